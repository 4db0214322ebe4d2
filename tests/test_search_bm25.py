"""BM25 against rank-bm25 and against a plain double loop."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.search.bm25 import BM25, tokenize
from core.search.words import number_words

WORDS = st.sampled_from(["the", "a", "cat", "dog", "Über", "x1", "zip", "!", ""])
TEXTS = st.lists(WORDS, max_size=9).map(" ".join)


def okapi(texts, **settings):
    rank_bm25 = pytest.importorskip("rank_bm25")
    return rank_bm25.BM25Okapi([tokenize(text) for text in texts], **settings)


def best_by_loops(index, texts, query, k):
    """Documents with a word of the query, by score, then row."""
    words = set(tokenize(query)) & set(index.vocabulary)
    scores = index.scores(query)
    matches = [row for row, text in enumerate(texts) if words & set(tokenize(text))]
    return sorted(matches, key=lambda row: (-scores[row], row))[:k]


def zipfian_texts(n, rng, n_words=400, length=30):
    """Texts in which several words are in more than half of the documents."""
    return [
        " ".join(f"w{int(w)}" for w in np.minimum(rng.zipf(1.2, rng.integers(0, length)), n_words)) for _ in range(n)
    ]


def test_tokenize_keeps_every_word_of_the_lower_cased_text():
    assert tokenize("BM25's k1, Über-alles_2\n!") == ["bm25", "s", "k1", "über", "alles_2"]
    terms, starts, vocabulary = number_words(["b a b", "", "c a"])
    assert terms.tolist() == [0, 1, 0, 2, 1] and starts.tolist() == [0, 3, 3, 5]
    assert vocabulary == {"b": 0, "a": 1, "c": 2}


@given(texts=st.lists(TEXTS, min_size=1, max_size=12), query=TEXTS, k=st.integers(1, 15))
@settings(max_examples=150, deadline=None)
def test_scores_are_rank_bm25s_and_lists_are_the_sorted_scores(texts, query, k):
    index = BM25.fit(texts)
    if any(map(tokenize, texts)):  # rank-bm25 divides by zero without a word
        np.testing.assert_allclose(index.scores(query), okapi(texts).get_scores(tokenize(query)), atol=1e-5)
    else:
        assert not index.scores(query).any()
    hits = index.search([query], k)
    expected = best_by_loops(index, texts, query, k)
    assert hits.doc_rows[0].tolist() == expected + [-1] * (k - len(expected))
    assert hits.scores[0, : len(expected)].tolist() == index.scores(query)[expected].tolist()
    assert np.isneginf(hits.scores[0, len(expected) :]).all()
    assert hits.doc_rows.dtype == np.int64 and hits.scores.dtype == np.float32


@pytest.mark.parametrize("settings", [{}, {"k1": 0.9, "b": 0.4, "epsilon": 0.0}, {"b": 0.95, "epsilon": 0.6}])
def test_scores_equal_rank_bm25_on_a_corpus_with_floored_idf(settings):
    rng = np.random.default_rng(5)
    texts, queries = zipfian_texts(600, rng), zipfian_texts(40, rng, length=12)
    index, peer = BM25.fit(texts, **settings), okapi(texts, **settings)
    df = np.diff(index.weights.indptr)
    assert (df > len(texts) / 2).any(), "no word has a negative idf: the test would not see the floor"
    if settings.get("epsilon", 1) > 0:
        assert len(index.dense), "no dense row: the test would not see that path"
    for word, idf in peer.idf.items():
        assert index.idf[index.vocabulary[word]] == pytest.approx(idf, abs=1e-12)
    hits = index.search(queries, 20)
    for i, query in enumerate(queries):
        scores = peer.get_scores(tokenize(query))
        np.testing.assert_allclose(index.scores(query), scores, atol=1e-5)
        assert hits.doc_rows[i, : hits.n_found[i]].tolist() == best_by_loops(index, texts, query, 20)


def test_weight_is_the_formula_written_out():
    texts = ["cat cat dog", "dog", "bird", "fish", "ant bee"]
    mean_length = 8 / 5
    idf = math.log(5 - 1 + 0.5) - math.log(1 + 0.5)
    weight = idf * 2 * 2.5 / (2 + 1.5 * (1 - 0.75 + 0.75 * 3 / mean_length))
    index = BM25.fit(texts)
    assert index.scores("cat")[0] == pytest.approx(weight, abs=1e-6)
    assert index.scores("cat unknown cat")[0] == pytest.approx(2 * weight, abs=1e-6)


def test_documents_whose_only_shared_word_weighs_nothing_are_still_returned():
    texts = ["the a", "the b", "c", "d"]  # "the" is in exactly half of the documents: its idf is 0
    hits = BM25.fit(texts).search(["the", "nothing"], 3)
    assert hits.doc_rows.tolist() == [[0, 1, -1], [-1, -1, -1]]
    assert hits.scores[0, :2].tolist() == [0, 0]
    assert BM25.fit(["x"]).search(["x"], 2).doc_rows.tolist() == [[0, -1]]  # idf below zero


def test_ties_are_broken_by_row_beyond_k_and_beyond_the_fold():
    texts = ["common word", "common"] * 3000 + ["other"] * 30000
    hits = BM25.fit(texts).search(["common"], 100)
    assert hits.doc_rows[0].tolist() == list(range(1, 200, 2))


def test_pairs_equal_search_to_the_last_bit_for_any_number_of_threads():
    rng = np.random.default_rng(2)
    texts, queries = zipfian_texts(3000, rng), zipfian_texts(50, rng, length=15)
    index = BM25.fit(texts)
    hits = index.search(queries, 100, threads=1)
    again = index.search(queries, 100, threads=3)
    assert (hits.doc_rows == again.doc_rows).all() and (hits.scores == again.scores).all()
    found = hits.doc_rows >= 0
    query_index = np.nonzero(found)[0]
    scores = index.score_pairs(queries, query_index, hits.doc_rows[found], threads=2)
    assert scores.dtype == np.float32 and (scores == hits.scores[found]).all()
    assert index.score_pairs(["no such words"], [0], [3]).tolist() == [0]
    assert index.score_pairs(queries, 0, np.arange(3000)).tolist() == index.scores(queries[0]).tolist()


def test_term_weights_sum_to_the_score_and_are_sorted():
    texts = ["the cat sat on the mat", "the dog", "a bird", "a cat"]
    index = BM25.fit(texts)
    shares = index.term_weights("cat the mat cat fish", 0)
    assert {word for word, _ in shares} == {"cat", "the", "mat"}
    assert [share for _, share in shares] == sorted((share for _, share in shares), reverse=True)
    assert sum(share for _, share in shares) == pytest.approx(index.scores("cat the mat cat fish")[0], abs=1e-6)
    assert index.term_weights("fish", 0) == []


def test_rows_that_do_not_exist_are_refused():
    index = BM25.fit(["a", "b"])
    for query_index, doc_rows in (([0], [2]), ([1], [0]), ([0], [-1]), ([[0]], [[0]])):
        with pytest.raises(ValueError):
            index.score_pairs(["a"], query_index, doc_rows)
    with pytest.raises(ValueError):
        index.search(["a"], 0)
    with pytest.raises(ValueError):
        index.term_weights("a", 2)
    with pytest.raises(ValueError):
        index.search(["a"], 1, threads=0)


def test_nothing_to_search_gives_empty_lists():
    assert BM25.fit([]).search(["a"], 3).doc_rows.tolist() == [[-1, -1, -1]]
    assert BM25.fit(["", "!"]).search(["a", ""], 1).doc_rows.tolist() == [[-1], [-1]]
    assert BM25.fit(["a"]).search([], 2).doc_rows.shape == (0, 2)


def test_tldr_scores_equal_rank_bm25(shared_data):
    def texts(name):
        lines = map(json.loads, (shared_data / "tldr" / name).read_text(encoding="utf-8").splitlines())
        return [f"{line.get('title', '')} {line['text']}".strip() for line in lines]

    documents, queries = texts("corpus.jsonl"), texts("queries.jsonl")[:28000:2000]
    index, peer = BM25.fit(documents), okapi(documents)
    hits = index.search(queries, 100)
    for i, query in enumerate(queries):
        scores = peer.get_scores(tokenize(query))
        np.testing.assert_allclose(index.scores(query), scores, atol=1e-5)
        n = hits.n_found[i]
        np.testing.assert_allclose(hits.scores[i, :n], np.sort(scores)[::-1][:n], atol=1e-5)
