"""What the embedded cross-encoder reads of a pair, against plain loops; odd texts."""

from __future__ import annotations

import math

import numpy as np
import pytest

from core.search import cross_analogy, cross_features
from core.search.bm25 import BM25
from core.search.cross_analogy import Analogies
from core.search.cross_encoder import EmbeddedCrossEncoder
from core.search.cross_features import FEEDBACK, PairFeatures, levels
from core.search.cross_loops import INTERACTIONS, KERNELS, MATCH, SPREAD
from core.search.cross_task import make_task
from core.search.cross_words import WordTable
from tests.small import make_corpus

QUICK = EmbeddedCrossEncoder(hidden=8, members=2, epochs=3, folds=3)


@pytest.fixture(scope="module")
def tiny(tiny_corpus):
    return tiny_corpus, BM25.fit(tiny_corpus.document_texts())


def every_pair(corpus, n_queries=8):
    queries = np.repeat(np.arange(n_queries), corpus.n_documents)
    return queries, np.tile(np.arange(corpus.n_documents), n_queries)


def test_analogies_leave_out_the_own_query_and_fold(tiny):
    corpus, bm25 = tiny
    features = PairFeatures(corpus, bm25)
    task = make_task(corpus, features.best, 3, 5)
    analogies = Analogies(features, task)
    queries, docs = every_pair(corpus, 4)
    found = analogies.of(queries, docs, 1)
    assert found.shape == (len(queries), 6)
    for first, (asks, says) in ((0, analogies._vectors), (3, features.pooled)):
        for i in range(0, len(queries), 13):
            others = [q for q in np.flatnonzero(task.fold_of >= 0) if q != queries[i] and task.fold_of[q] != 1]
            others = sorted(others, key=lambda q: (-float(asks[queries[i]].astype(float) @ asks[q].astype(float)), q))[:12]
            rows = []
            for q in others:
                positives = task.doc_rows[task.query_rows == q]
                near = max([max(0.0, float(says[p] @ says[docs[i]])) for p in positives if p != docs[i]], default=0.0)
                rows.append((max(0.0, float(asks[queries[i]] @ asks[q])), near))
            weight = sum(a * a for a, _ in rows)
            expected = [max(a * n for a, n in rows), sum(a * a * n for a, n in rows) / max(weight, 1e-6), max(n for _, n in rows)]
            assert found[i, first : first + 3] == pytest.approx(expected, abs=1e-5)


def plain_interactions(words: WordTable, features: PairFeatures, query: int, doc: int) -> dict[str, float]:
    """Some of the columns by plain loops over Python lists."""
    def bag(bags, row):
        return bags.items[bags.starts[row] : bags.starts[row + 1]].tolist()

    q, d, t = bag(words.queries, query), bag(words.documents, doc), bag(words.titles, doc)
    sim = {(a, b): 1.0 if a == b else float(words.vectors[a] @ words.vectors[b]) for a in q for b in [*d, *t]}
    idf = words.idf.astype(float)
    total = sum(idf[w] for w in q) + 1e-6
    best = {a: max([sim[a, b] for b in d], default=-1.0) for a in q}
    near = {a: max(best[a], 0.0) for a in q}
    telling = sorted(near[a] for a in q if idf[a] >= 0.5 * max(idf[w] for w in q))
    lexical = features._lexical[query, :FEEDBACK]
    shares = features._feedback[query]
    norm = {other: math.sqrt(sum(idf[w] ** 2 for w in bag(words.documents, other))) for other in [*lexical[lexical >= 0].tolist(), doc]}
    feedback, left = 0.0, 1.0
    for other, share in zip(lexical.tolist(), shares.tolist(), strict=True):
        if share > 0 and other != doc:
            feedback += share * sum(idf[w] ** 2 for w in set(d) & set(bag(words.documents, other))) / norm[doc] / norm[other]
        elif other == doc:
            left = 1.0 - share
    found = {
        "idf share of the query found": sum(idf[a] for a in q if a in d) / total,
        "softly found": sum(idf[a] * near[a] for a in q) / total,
        "found above the match": sum(idf[a] for a in q if near[a] >= MATCH) / total,
        "weakest telling word": telling[0] if telling else 1.0,
        "second weakest": telling[1] if len(telling) > 1 else 1.0,
        "names missed": sum(words.is_name[a] for a in q if a not in d),
        "stems found": sum(idf[a] for a in q if words.stems[a] in words.stems[d]) / total,
        "in the title": sum(idf[a] for a in q if a in t) / total,
        "title softly": sum(idf[a] * max(max([sim[a, b] for b in t], default=0.0), 0.0) for a in q) / total,
        "document softly": sum(idf[b] * max(sim[a, b] for a in q) for b in d) / (sum(idf[b] for b in d) + 1e-6),
        "feedback": feedback / max(left, 1e-6),
    }
    for k in range(KERNELS):
        centre = 0.9 - 0.2 * k
        pooled = 0.0
        for a in q:
            away = [((sim[a, b] - centre) / SPREAD) ** 2 for b in d if a != b]
            pooled += idf[a] * math.log1p(sum(math.exp(-0.5 * x) for x in away if x < 18))
        found[f"kernel {centre:.1f}"] = pooled / total
    return found


def test_interactions_are_those_of_plain_loops(tiny):
    corpus, bm25 = tiny
    features = PairFeatures(corpus, bm25)
    queries, docs = every_pair(corpus, 6)
    found = features.of(queries, docs)
    assert found.shape == (len(queries), len(features.names)) and found.dtype == np.float32 and np.isfinite(found).all()
    for i in range(0, len(queries), 7):
        expected = plain_interactions(features.words, features, queries[i], docs[i])
        row = dict(zip(INTERACTIONS, found[i].tolist(), strict=False))
        assert {name: row[name] for name in expected} == pytest.approx(expected, abs=2e-4), (queries[i], docs[i])


def test_words_know_names_numbers_and_negations():
    documents = ["We saw the Rhine near Bonn. It was not deep in 1911.", "A boat on the Rhine. The boat left Bonn at noon.", ""]
    words = WordTable.of(make_corpus(documents, ["Rhine boat Rhine", ""], [(0, 0)]))
    at = {word: words.queries.items[i] for i, word in enumerate(["rhine", "boat"])}
    assert words.is_name[at["rhine"]] and not words.is_name[at["boat"]]
    assert words.queries.sizes.tolist() == [2, 0] and words.documents.sizes[2] == 0
    assert words.is_number.sum() == 1 and words.is_negation.sum() == 1
    assert words.idf[at["boat"]] == pytest.approx(math.log1p(2.5 / 1.5)) and words.idf[at["boat"]] > words.idf[at["rhine"]]
    assert np.linalg.norm(words.vectors, axis=1) == pytest.approx(1, abs=1e-5)


def test_odd_texts_have_finite_features():
    documents = ["", "alpha", "alpha beta alpha", "12 34", "no"] * 3
    queries = ["", "alpha", "?", "12 beta", "unheard"] * 2
    corpus = make_corpus(documents, queries, [(q, q) for q in range(10)])
    found = QUICK.train(corpus, bm25=BM25.fit(documents))
    assert found.is_trained
    pairs = every_pair(corpus, 10)
    assert np.isfinite(found.scorer.analogies.features.of(*pairs)).all() and np.isfinite(found.probabilities(*pairs)).all()


def test_levels_of_a_list_and_of_none():
    assert levels(np.array([[3.0, 1.0, -np.inf], [-np.inf] * 3])).tolist() == [[3.0, 2.0, 1.0], [0.0, 0.0, 0.0]]


def test_features_do_not_depend_on_the_threads_nor_on_what_was_asked_before(tiny, monkeypatch):
    corpus, bm25 = tiny
    queries, docs = every_pair(corpus, 9)

    def found(*parts):
        features = PairFeatures(corpus, bm25)
        analogies = Analogies(features, make_task(corpus, features.best, 3, 5))
        each = [np.concatenate([features.of(queries[p], docs[p]), analogies.of(queries[p], docs[p], 1)], axis=1) for p in parts]
        return np.concatenate(each)

    alone = found(slice(None))
    monkeypatch.setattr(cross_features, "LEAST_QUERIES", 1)
    monkeypatch.setattr(cross_analogy, "LEAST_PAIRS", 1)
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert (found(slice(None)) == alone).all()
    assert (found(slice(0, 1), slice(1, 20), slice(20, None)) == alone).all()
