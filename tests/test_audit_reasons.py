"""Reasons to doubt, against plain loops over texts, vectors and labels."""

from __future__ import annotations

import math

import numpy as np
import pytest

from core.audit.evidence import Evidence
from core.audit.reasons import REASONS, default_reasons, make_reason
from core.corpus.corpus import Corpus
from core.corpus.impressions import Impressions
from core.errors import ParameterError
from core.sampling.context import MiningContext, Vectors
from core.search.words import tokenize
from tests.small import make_corpus

DOCUMENTS = [
    "the red fox lives in a den under the oak", "a den under the oak is where the red fox lives", "the red fox eats mice",
    "the grey wolf lives in a forest", "the red fox lives in a den under the old oak", "", "mice eat corn",
    "the grey wolf eats deer", "foxes and wolves", "a red fox den",
]  # fmt: skip
QUERIES = ["where does the red fox live", "what does the red fox eat", "home of the red fox", "grey wolf food", "nobody labelled this"]
TRAIN = [(0, 0), (0, 4), (1, 2), (2, 0), (2, 9), (3, 7)]


class CrossFake:
    key = "fake"

    def probabilities(self, query_rows, doc_rows):
        return (query_rows * 10 + doc_rows).astype(np.float32) / 100


# (query, document, clicked), an impression each.
LOG = [(0, 1, True), (0, 1, False), (0, 1, False), (0, 4, True), (2, 3, False), (2, 9, True), (3, 1, False), (3, 1, True)]


@pytest.fixture(scope="module")
def corpus():
    made = make_corpus(DOCUMENTS, QUERIES, TRAIN)
    queries, docs, clicked = zip(*LOG, strict=True)
    log = Impressions.of(queries, docs, [1] * len(LOG), clicked, range(len(LOG)), len(QUERIES))
    return Corpus(made.name, made.documents, made.queries, made.splits, impressions=log)


def vectors_of(corpus, seed, similarity="cosine"):
    rng = np.random.default_rng(seed)
    made = (rng.normal(size=(n, 5)).astype(np.float32) for n in (corpus.n_queries, corpus.n_documents))
    return Vectors(*made, similarity, f"seed {seed}")


@pytest.fixture(scope="module")
def evidence(corpus):
    context = MiningContext(corpus, lambda which: None)
    others = [vectors_of(corpus, 7), vectors_of(corpus, 8)]
    return Evidence(corpus, context, vectors_of(corpus, 1), guide=vectors_of(corpus, 2), others=others, cross=CrossFake())


@pytest.fixture(scope="module")
def pairs(corpus):
    every = [(q, d) for q in range(corpus.n_queries) for d in range(corpus.n_documents)]
    return np.array(every, np.int64).T


def cosine(a, b):
    return float(a @ b / (np.linalg.norm(a) * np.linalg.norm(b)))


def score(vectors, q, d):
    return cosine(vectors.queries[q], vectors.documents[d])


def positives(q):
    return [d for query, d in TRAIN if query == q]


def lowest(vectors, q):
    return min((score(vectors, q, p) for p in positives(q)), default=math.nan)


def other_positives(q, d):
    return [p for p in positives(q) if p != d]


def shingles(text):
    words = tokenize(text)
    return {tuple(words)} if len(words) < 3 else {tuple(words[i : i + 3]) for i in range(len(words) - 2)}


def jaccard(a, b):
    return len(a & b) / len(a | b)


def idf(word):
    n = sum(word in tokenize(text) for text in DOCUMENTS)
    found = {w: math.log(len(DOCUMENTS) - c + 0.5) - math.log(c + 0.5) for w, c in DF.items()}
    mean = sum(found.values()) / len(found)
    value = math.log(len(DOCUMENTS) - n + 0.5) - math.log(n + 0.5)
    return max(value if value >= 0 else 0.25 * mean, 0)


DF = {w: sum(w in tokenize(t) for t in DOCUMENTS) for text in DOCUMENTS for w in tokenize(text)}


def crowd_count(vectors, q, word, k):
    crowd = sorted(range(len(DOCUMENTS)), key=lambda d: -score(vectors, q, d))[:k]
    return sum(word in tokenize(DOCUMENTS[d]) for d in crowd)


def words_cosine(vectors, q, a, b):
    weigh = {w: (idf(w) * math.log(52 / (crowd_count(vectors, q, w, 50) + 1))) ** 2 for w in DF}
    first, second = set(tokenize(DOCUMENTS[a])), set(tokenize(DOCUMENTS[b]))
    norms = [math.sqrt(sum(weigh[w] ** 2 for w in words)) for words in (first, second)]
    return sum(weigh[w] ** 2 for w in first & second) / (norms[0] * norms[1]) if all(norms) else 0.0


def answer_share(q, d, positive, weigh):
    said = set(tokenize(DOCUMENTS[positive])) - set(tokenize(QUERIES[q]))
    total = sum(weigh(w) for w in said)
    return sum(weigh(w) for w in said & set(tokenize(DOCUMENTS[d]))) / total if total else math.nan


def csls(vectors, q, d):
    asked = sorted({query for query, _ in TRAIN})
    of_query = np.mean([score(vectors, q, other) for other in range(len(DOCUMENTS))])  # ten documents: all of them are the best
    return 2 * score(vectors, q, d) - of_query - np.mean(sorted((score(vectors, other, d) for other in asked), reverse=True)[:5])


def mean(values):
    said = [value for value in values if not math.isnan(value)]
    return sum(said) / len(said) if said else math.nan


def expected(key, q, d, evidence):
    own, guide = evidence.vectors, evidence.guide
    s, s_plus = score(own, q, d), lowest(own, q)
    if key == "score":
        return s
    if key == "margin":
        return s - s_plus
    if key == "percentage":
        return 1 + (s - s_plus) / abs(s_plus)
    if key == "percentile":
        known = [score(own, query, doc) for query, doc in TRAIN]
        return sum(k <= s for k in known) / len(known)
    if key == "cross-encoder":
        return (q * 10 + d) / 100
    if key == "guide":
        return score(guide, q, d) - lowest(guide, q)
    if key == "sources":
        bm25 = evidence.context.bm25.scores(QUERIES[q])
        if not positives(q):
            return math.nan
        votes = [bm25[d] >= min(bm25[p] for p in positives(q))]
        return np.mean(votes + [score(v, q, d) >= lowest(v, q) for v in (own, guide)])
    if key == "trials":
        return np.mean([score(v, q, d) >= lowest(v, q) for v in evidence.others]) if positives(q) else math.nan
    beside = other_positives(q, d)
    if key == "near-duplicate":
        return max((jaccard(shingles(DOCUMENTS[d]), shingles(DOCUMENTS[p])) for p in beside), default=math.nan)
    if key in ("like-positive", "like-positive-guide"):
        which = own if key == "like-positive" else guide
        return mean([cosine(which.documents[d], which.documents[p]) for p in beside])
    if key == "words-of-positive":
        return mean([words_cosine(own, q, d, p) for p in beside])
    if key == "answer":
        weigh = lambda w: idf(w) ** 2 * math.log(51 / (crowd_count(own, q, w, 50) + 1))  # noqa: E731
        return mean([answer_share(q, d, p, weigh) for p in beside])
    if key == "answer-guide":
        weigh = lambda w: idf(w) / (crowd_count(guide, q, w, 20) + 1)  # noqa: E731
        return mean([answer_share(q, d, p, weigh) for p in beside])
    if key == "clicked":
        return mean([clicked for query, doc, clicked in LOG if (query, doc) == (q, d)])
    if key == "mutual":
        return csls(own, q, d)
    others = [query for query, doc in TRAIN if doc == d and query != q]
    if key == "like-query":
        return max((max(cosine(own.queries[q], own.queries[o]), 0) for o in others), default=math.nan)
    if key == "shared-positive":
        return max((jaccard(set(positives(q)), set(positives(o))) for o in others), default=math.nan)
    raise AssertionError(f"no oracle for {key}")


@pytest.mark.parametrize("reason", [r for r in default_reasons() if r.key != "history"], ids=lambda r: r.key)
def test_every_reason_equals_a_plain_loop(reason, evidence, pairs, corpus):
    found = reason.doubt(*pairs, evidence)
    assert found.dtype == np.float32 and found.shape == (pairs.shape[1],)
    wanted = [expected(reason.key, int(q), int(d), evidence) for q, d in pairs.T]
    np.testing.assert_allclose(found, np.array(wanted, np.float64), rtol=1e-4, atol=1e-5)


def test_a_reason_is_complete():
    assert len({cls.key for cls in REASONS}) == len(REASONS) >= 15
    for cls in REASONS:
        assert 0 < len(cls.short) <= 12 and cls.source.url.startswith("http") and len(cls.lesson().splitlines()) >= 3
        assert [p.name for p in cls.params()][-1:] == ["threshold"] or "threshold" in {p.name for p in cls.params()}
        assert make_reason(cls().to_dict()) == cls()
        assert set(cls.needs) <= {"model", "cross", "guide", "trials", "history", "log"}
    with pytest.raises(ParameterError, match="reasons.key"):
        make_reason("nothing")


def test_a_degree_is_half_exactly_at_the_threshold():
    for reason in default_reasons():
        t = np.float32(reason.threshold)
        doubts = np.array([t, np.nextafter(t, np.float32(-np.inf)) - 1e-4, t + 1, np.nan], np.float32)
        degree = reason.degree(doubts)
        assert reason.flag(doubts).tolist() == (degree >= 0.5).tolist() == [True, False, True, False]
        assert degree[3] == 0 and degree[0] == np.float32(0.5)


def test_what_is_missing_is_said(corpus, pairs):
    bare = Evidence(corpus, MiningContext(corpus, lambda which: None), vectors_of(corpus, 1), guide=None)
    lacking = {reason.key for reason in default_reasons() if reason.missing(bare)}
    assert lacking == {"cross-encoder", "guide", "like-positive-guide", "answer-guide", "trials", "history"}


def test_clicks_need_a_log():
    silent = make_corpus(DOCUMENTS, QUERIES, TRAIN)
    bare = Evidence(silent, MiningContext(silent, lambda which: None), vectors_of(silent, 1), guide=None)
    assert "impressions.tsv" in make_reason("clicked").missing(bare)


def test_held_out_labels_are_no_evidence_about_other_queries():
    hidden = make_corpus(DOCUMENTS, QUERIES, [(0, 0)], test_pairs=[(1, 2)])
    found = Evidence(hidden, MiningContext(hidden, lambda which: None), vectors_of(hidden, 1), guide=None)
    rows = np.array([0]), np.array([2])
    for key in ("like-query", "shared-positive"):
        assert np.isnan(make_reason(key).doubt(*rows, found)[0])


def test_answer_strings_are_looked_for_word_for_word(corpus):
    import pyarrow as pa

    from core.corpus.corpus import Corpus

    queries = corpus.queries.append_column("answers", pa.array(["oak|a forest", "mice", "", "deer", "red"]))
    told = Corpus("told", corpus.documents, queries, corpus.splits)
    found = Evidence(told, MiningContext(told, lambda which: None), vectors_of(told, 1), guide=None)
    q = np.array([0, 0, 0, 1, 1, 2, 4, 4])
    d = np.array([0, 3, 2, 6, 8, 0, 9, 5])
    doubts = make_reason("answer").doubt(q, d, found)
    np.testing.assert_array_equal(doubts, [1, 1, 0, 1, 0, np.nan, 1, 0])
