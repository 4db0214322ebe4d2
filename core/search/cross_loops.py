"""Inner loops of the cross-encoder: how a query's words meet a document's, one pair after another.

Every pair is computed alone and in one order, so its numbers do not depend on the pairs beside it.
"""

from __future__ import annotations

import math

import numpy as np

from core.search.compiled import compiled, f4, filled, given, i4, i8, u1

MATCH = 0.6  # cosine of two words from which they count as the same thing said otherwise
KERNELS = 6  # centres .9, .7 ... -.1: Xiong et al. 2017, End-to-End Neural Ad-hoc Ranking with Kernel Pooling
SPREAD = 0.1
LOWEST = 1e-6
#: What the columns of ``interactions`` say.
INTERACTIONS = (
    "idf share of the query found", "softly found", "found above the match", "weakest telling word", "second weakest",
    "rarest word", "names", "names found", "names missed", "numbers", "numbers found", "stems found", "neighbours found",
    "in the title", "title in the query", "title softly", "document in the query", "document softly",
    *(f"kernel {0.9 - 0.2 * k:.1f}" for k in range(KERNELS)),
    "feedback", "feedback beyond the query", "negations", "negations in the query", "document numbers", "document names",
    "document words", "query words",
)  # fmt: skip

_BAG = (given(i4), given(i8))


@compiled((given(f4, 2), i8, i8), any_order=True)
def _cosine(vectors, left, right):
    total = np.float32(0)
    for j in range(vectors.shape[1]):
        total += vectors[left, j] * vectors[right, j]
    return total


@compiled((
    given(i8), given(i8), given(f4, 2), given(f4), given(i4), given(u1), given(u1), given(u1),
    *_BAG, *_BAG, *_BAG, *_BAG, *_BAG, given(i8), given(i4), given(f4), given(f4), i8, filled(f4, 2),
))  # fmt: skip
def interactions(
    query_rows, doc_rows, vectors, idf, stems, is_name, is_number, is_negation,
    query_items, query_starts, doc_items, doc_starts, title_items, title_starts,
    query_pairs, query_pair_starts, doc_pairs, doc_pair_starts,
    feedback_starts, feedback_docs, feedback_shares, doc_weights, longest_query, found,
):  # fmt: skip
    """Fill ``found`` (N, len(INTERACTIONS)); pairs of one query must stand together.

    ``feedback_*``: for query row q the documents that a lexical search finds first and their shares (sum 1), one CSR row a
    query. ``doc_weights``: float32 (C,), 1 / the length of each document's idf vector.
    """
    n_words = vectors.shape[0]
    seen = np.full(n_words, -1, np.int64)
    sims = np.empty((n_words, longest_query), np.float32)
    relevance = np.zeros(n_words, np.float64)
    in_query = np.full(n_words, -1, np.int64)
    in_stems = np.full(n_words, -1, np.int64)
    best = np.empty(longest_query, np.float64)
    title_best = np.empty(longest_query, np.float64)
    is_exact = np.empty(longest_query, np.bool_)
    kernel_sums = np.empty((longest_query, KERNELS), np.float64)
    current = np.int64(-1)
    for pair in range(len(query_rows)):
        query, doc = query_rows[pair], doc_rows[pair]
        first = query_starts[query]
        n_query = query_starts[query + 1] - first
        doc_first, doc_last = doc_starts[doc], doc_starts[doc + 1]
        if query != current:
            if current >= 0:
                for at in range(feedback_starts[current], feedback_starts[current + 1]):
                    for place in range(doc_starts[feedback_docs[at]], doc_starts[feedback_docs[at] + 1]):
                        relevance[doc_items[place]] = 0.0
            current = query
            for at in range(feedback_starts[query], feedback_starts[query + 1]):
                other = feedback_docs[at]
                for place in range(doc_starts[other], doc_starts[other + 1]):
                    word = doc_items[place]
                    relevance[word] += feedback_shares[at] * idf[word] * doc_weights[other]
            for i in range(n_query):
                in_query[query_items[first + i]] = query
        total, highest = LOWEST, 0.0
        n_names, n_numbers, n_negations = 0.0, 0.0, 0.0
        for i in range(n_query):
            word = query_items[first + i]
            total += idf[word]
            highest = max(highest, idf[word])
            n_names += is_name[word]
            n_numbers += is_number[word]
            n_negations += is_negation[word]
            best[i] = -1.0
            title_best[i] = -1.0
            is_exact[i] = False
            for k in range(KERNELS):
                kernel_sums[i, k] = 0.0

        doc_total, doc_exact, doc_soft = LOWEST, 0.0, 0.0
        feedback, feedback_beyond = 0.0, 0.0
        negated, numbered, named = 0.0, 0.0, 0.0
        for place in range(doc_first, doc_last):
            word = doc_items[place]
            if seen[word] != query:
                seen[word] = query
                for i in range(n_query):
                    sims[word, i] = np.float32(1) if query_items[first + i] == word else _cosine(vectors, query_items[first + i], word)
            in_stems[stems[word]] = pair
            nearest = -1.0
            for i in range(n_query):
                sim = float(sims[word, i])
                nearest = max(nearest, sim)
                best[i] = max(best[i], sim)
                if query_items[first + i] == word:
                    is_exact[i] = True
                else:
                    for k in range(KERNELS):
                        away = (sim - (0.9 - 0.2 * k)) / SPREAD
                        if away * away < 18.0:
                            kernel_sums[i, k] += math.exp(-0.5 * away * away)
            doc_total += idf[word]
            doc_soft += idf[word] * nearest
            feedback += relevance[word] * idf[word] * doc_weights[doc]
            if in_query[word] == query:
                doc_exact += idf[word]
            else:
                feedback_beyond += relevance[word] * idf[word] * doc_weights[doc]
            negated += is_negation[word]
            numbered += is_number[word]
            named += is_name[word]
        own = 0.0
        for at in range(feedback_starts[query], feedback_starts[query + 1]):
            if feedback_docs[at] == doc:
                own = feedback_shares[at]
        if own > 0.0:  # a document does not speak for itself
            for place in range(doc_first, doc_last):
                word = doc_items[place]
                itself = own * idf[word] * idf[word] * doc_weights[doc] * doc_weights[doc]
                feedback -= itself
                if in_query[word] != query:
                    feedback_beyond -= itself
            feedback /= max(1.0 - own, LOWEST)
            feedback_beyond /= max(1.0 - own, LOWEST)

        title_total, title_exact = LOWEST, 0.0
        in_title = 0.0
        for place in range(title_starts[doc], title_starts[doc + 1]):
            word = title_items[place]
            title_total += idf[word]
            if in_query[word] == query:
                title_exact += idf[word]
                in_title += idf[word]
            if seen[word] == query:
                for i in range(n_query):
                    title_best[i] = max(title_best[i], float(sims[word, i]))

        exact, soft, matched, stemmed, title_soft = 0.0, 0.0, 0.0, 0.0, 0.0
        names_found, numbers_found, rarest = 0.0, 0.0, 0.0
        weakest, second = 1.0, 1.0
        for i in range(n_query):
            word = query_items[first + i]
            weight = idf[word]
            near = max(best[i], 0.0)
            soft += weight * near
            title_soft += weight * max(title_best[i], 0.0)
            if is_exact[i]:
                exact += weight
                names_found += is_name[word]
                numbers_found += is_number[word]
            if near >= MATCH:
                matched += weight
            if in_stems[stems[word]] == pair:
                stemmed += weight
            if weight >= highest:
                rarest = near
            if weight >= 0.5 * highest:
                if near < weakest:
                    second = weakest
                    weakest = near
                elif near < second:
                    second = near
        low, stop = doc_pair_starts[doc], doc_pair_starts[doc + 1]
        n_shared, n_pairs = 0.0, LOWEST
        for at in range(query_pair_starts[query], query_pair_starts[query + 1]):
            n_pairs += 1
            while low < stop and doc_pairs[low] < query_pairs[at]:
                low += 1
            if low < stop and doc_pairs[low] == query_pairs[at]:
                n_shared += 1

        row = found[pair]
        row[0], row[1], row[2] = exact / total, soft / total, matched / total
        row[3], row[4], row[5] = weakest, second, rarest
        row[6], row[7], row[8] = n_names > 0, names_found / max(n_names, 1.0), n_names - names_found
        row[9], row[10] = n_numbers > 0, numbers_found / max(n_numbers, 1.0)
        row[11], row[12] = stemmed / total, n_shared / n_pairs
        row[13], row[14], row[15] = in_title / total, title_exact / title_total, title_soft / total
        row[16], row[17] = doc_exact / doc_total, doc_soft / doc_total
        for k in range(KERNELS):
            pooled = 0.0
            for i in range(n_query):
                pooled += idf[query_items[first + i]] * math.log1p(kernel_sums[i, k])
            row[18 + k] = pooled / total
        at = 18 + KERNELS
        row[at], row[at + 1] = feedback, feedback_beyond
        row[at + 2], row[at + 3] = min(negated, 2.0), min(n_negations, 2.0)
        row[at + 4], row[at + 5] = math.log1p(numbered), math.log1p(named)
        row[at + 6], row[at + 7] = math.log1p(doc_last - doc_first), math.log1p(n_query)


@compiled((given(i8), given(i8), given(i4, 2), given(f4, 2), given(i8, 2), given(f4, 2), filled(f4, 2)))
def analogies(places, doc_rows, neighbours, likeness, positives, vectors, found):
    """Fill ``found`` (N, 3): how a document resembles what answered the queries most like the pair's.

    ``places``: each pair's row in ``neighbours`` and ``likeness`` (Q, K): training queries, -1 = none, and how alike they are;
    ``positives`` (T, J): their labelled documents, -1 = none; ``vectors``: the documents'. Columns: the best product of both
    likenesses, the mean over the neighbours weighted by theirs, the best document. A document is no analogy of itself.
    """
    for pair in range(len(places)):
        doc = doc_rows[pair]
        best, highest, total, weight = 0.0, 0.0, 0.0, LOWEST
        for k in range(neighbours.shape[1]):
            other = neighbours[places[pair], k]
            if other < 0:
                continue
            near = 0.0
            for j in range(positives.shape[1]):
                if positives[other, j] >= 0 and positives[other, j] != doc:
                    near = max(near, float(_cosine(vectors, positives[other, j], doc)))
            alike = max(float(likeness[places[pair], k]), 0.0)
            best = max(best, alike * near)
            highest = max(highest, near)
            total += alike * alike * near
            weight += alike * alike
        found[pair, 0], found[pair, 1], found[pair, 2] = best, total / weight, highest
