"""The embedded cross-encoder: contract, features against plain loops, cross-fitting, calibration, what is kept where."""

from __future__ import annotations

import math

import numpy as np
import pytest

from core.corpus.judgements import Judgements
from core.corpus.load import load_corpus
from core.errors import ParameterError
from core.sampling.context import CorpusIndex, MiningContext
from core.sampling.filters import CrossEncoderCut, Looked
from core.search import cross_cache
from core.search.bm25 import BM25
from core.search.cross_encoder import (
    CROSS_ENCODERS,
    EmbeddedCrossEncoder,
    TransformerCrossEncoder,
    make_cross_encoder,
    rerank,
)  # fmt: skip
from core.search.cross_features import PairFeatures
from core.search.cross_metrics import auc, average_precision, calibration_error
from core.search.cross_pairs import LEAST_WRITTEN, PairStore
from core.search.cross_task import make_task, platt, sigmoid
from core.search.hits import Hits
from tests.small import make_corpus

QUICK = EmbeddedCrossEncoder(hidden=8, members=2, epochs=3, folds=3)


@pytest.fixture(scope="module")
def tiny(tiny_corpus):
    return tiny_corpus, BM25.fit(tiny_corpus.document_texts())


@pytest.fixture(scope="module")
def model(tiny):
    return QUICK.train(tiny[0], bm25=tiny[1], seed=5)


def every_pair(corpus, n_queries=8):
    queries = np.repeat(np.arange(n_queries), corpus.n_documents)
    return queries, np.tile(np.arange(corpus.n_documents), n_queries)


def test_pieces_have_their_metadata_and_survive_their_dictionary():
    assert [piece.key for piece in CROSS_ENCODERS] == ["embedded", "transformer"]
    for piece in CROSS_ENCODERS:
        assert piece.family == "cross-encoder" and piece.idea().endswith(".") and piece.source.url.startswith("https://")
        assert make_cross_encoder(piece().to_dict()) == piece() == make_cross_encoder(piece.key)
    assert make_cross_encoder("embedded").needs == () and make_cross_encoder("transformer").needs == ("model",)
    with pytest.raises(ParameterError, match="cross-encoder.key must be one of embedded, transformer"):
        make_cross_encoder("magic")
    with pytest.raises(ParameterError, match="must name a folder"):
        TransformerCrossEncoder(model="")


def test_probabilities_keep_the_contract(tiny, model):
    corpus, _ = tiny
    queries, docs = every_pair(corpus)
    found = model.probabilities(queries, docs)
    assert found.dtype == np.float32 and found.shape == queries.shape
    assert np.isfinite(found).all() and (found >= 0).all() and (found <= 1).all() and len(np.unique(found)) > 100
    assert len(model.key) == 16 and model.key == QUICK.key_for(corpus, 5) != QUICK.key_for(corpus, 6)
    assert model.probabilities(queries[:0], docs[:0]).shape == (0,)
    assert model.report.n_folds == 3 and model.report.n_queries == 24 and model.report.n_positives == 27


def test_equal_seeds_give_equal_bytes_and_others_do_not(tiny, model):
    corpus, bm25 = tiny
    queries, docs = every_pair(corpus)
    again = QUICK.train(corpus, bm25=bm25, seed=5)
    # Asked in another order and in pieces: a pair's value must not depend on the pairs beside it.
    order = np.random.default_rng(0).permutation(len(queries))
    parts = np.concatenate([again.probabilities(queries[part], docs[part]) for part in np.array_split(order, 7)])
    assert parts.tobytes() == model.probabilities(queries, docs)[order].tobytes()
    other = QUICK.train(corpus, bm25=bm25, seed=6)
    assert not np.array_equal(other.probabilities(queries, docs), model.probabilities(queries, docs))


def test_truth_and_test_labels_are_never_read(tiny, tiny_corpus, model):
    corpus, bm25 = tiny
    queries, docs = every_pair(corpus)
    blind = type(corpus)(
        "blind", corpus.documents, corpus.queries, {"train": corpus.splits["train"]}, None, fingerprint=corpus.fingerprint
    )
    found = QUICK.train(blind, bm25=bm25, seed=5)
    assert found.probabilities(queries, docs).tobytes() == model.probabilities(queries, docs).tobytes()


def test_a_query_is_scored_by_networks_that_never_saw_its_labels(tiny, model):
    """Other labels for the queries of one fold: their own scores stay, but for the calibration, and the others' change."""
    corpus, bm25 = tiny
    fold_of = model.fold_of
    query_rows, doc_rows, grades = corpus.splits["train"].pairs()
    is_moved = fold_of[query_rows] == 0
    moved = np.where(is_moved, (doc_rows + 11) % corpus.n_documents, doc_rows)
    train = Judgements.from_pairs(query_rows, moved, grades, corpus.n_queries)
    changed = type(corpus)("changed", corpus.documents, corpus.queries, {**corpus.splits, "train": train}, fingerprint=corpus.fingerprint)
    other = QUICK.train(changed, bm25=bm25, seed=5)
    assert np.array_equal(other.fold_of, fold_of)
    held, seen = np.flatnonzero(fold_of == 0), np.flatnonzero(fold_of == 1)
    for rows, is_same in ((held, True), (seen, False)):
        queries, docs = np.repeat(rows, corpus.n_documents), np.tile(np.arange(corpus.n_documents), len(rows))
        folds = fold_of[queries]
        plain = np.allclose(model.scorer.logits(queries, docs, folds), other.scorer.logits(queries, docs, folds), atol=1e-9)
        assert plain == is_same


def test_odd_corpora_learn_nothing_and_say_so():
    corpus = make_corpus(["a b", "", "c"], ["a", ""], [(0, 0), (1, 1)])
    found = EmbeddedCrossEncoder().train(corpus, bm25=BM25.fit(corpus.document_texts()))
    assert not found.is_trained and "too few" in found.report.note and math.isnan(found.report.auc)
    assert found.probabilities(np.array([0, 1]), np.array([1, 2])).tolist() == [0.0, 0.0]


def test_no_negative_is_a_known_positive_or_its_copy(tiny):
    corpus, bm25 = tiny
    task = make_task(corpus, PairFeatures(corpus, bm25).best, 3, 0)
    texts = corpus.document_texts()
    known = {(q, texts[d]) for q, d in zip(*corpus.positives.pairs()[:2], strict=True)}
    assert len(task.pool_docs) and not [q for q, d in zip(task.pool_queries, task.pool_docs, strict=True) if (q, texts[d]) in known]
    places = task.draw(np.arange(len(task.query_rows)), 200, np.random.default_rng(1))
    assert (places >= 0).all() and (task.pool_queries[places] == task.query_rows[:, None]).all()
    n_hard = task.hard[1].max()
    assert (places >= n_hard).mean() == pytest.approx(0.25, abs=0.03)
    assert set(np.unique(task.fold_of)) == {-1, 0, 1, 2} and (task.fold_of[corpus.split_query_rows("test")] == -1).all()


def test_pairs_are_computed_once_and_shared_through_a_folder(tmp_path):
    asked = []

    def compute(queries, docs):
        asked.append(len(queries))
        return queries * 0.5 + docs

    store = PairStore(100)
    store.attach(tmp_path)
    queries, docs = np.repeat(np.arange(20), 60), np.tile(np.arange(60), 20)
    first = store.values(queries, docs, compute)
    assert first.tolist() == (queries * 0.5 + docs).astype(np.float32).tolist()
    assert store.values(queries[::-1], docs[::-1], compute).tolist() == first[::-1].tolist() and asked == [1200]
    assert store.values(np.array([30, 30, 0]), np.array([1, 1, 0]), compute).tolist() == [16.0, 16.0, 0.0] and asked == [1200, 1]
    assert 1200 >= LEAST_WRITTEN
    (tmp_path / "pairs-damaged.npz").write_bytes(b"PK\x03\x04 nothing")
    other = PairStore(100)
    other.attach(tmp_path)
    assert other.values(queries, docs, compute).tolist() == first.tolist() and asked == [1200, 1]


def test_a_model_is_trained_once_and_found_in_memory_and_on_disk(tiny, tmp_path, monkeypatch):
    corpus, bm25 = tiny
    cross_cache.forget()
    trained = []
    train = EmbeddedCrossEncoder.train
    monkeypatch.setattr(EmbeddedCrossEncoder, "train", lambda self, *a, **k: trained.append(self) or train(self, *a, **k))
    queries, docs = every_pair(corpus, 20)
    first = cross_cache.cross_model(corpus, QUICK, bm25=bm25, folder=tmp_path)
    expected = first.probabilities(queries, docs)
    assert cross_cache.cross_model(corpus, QUICK, bm25=bm25, folder=tmp_path) is first and len(trained) == 1
    cross_cache.forget()
    again = cross_cache.cross_model(corpus, QUICK, bm25=bm25, folder=tmp_path)
    assert again is not first and len(trained) == 1 and again.report == first.report
    assert again.probabilities(queries, docs).tobytes() == expected.tobytes() and again.pairs.n_computed == 0
    again.pairs = PairStore(corpus.n_documents)
    assert again.probabilities(queries, docs).tobytes() == expected.tobytes() and again.pairs.n_computed == len(queries)
    cross_cache.forget()
    (tmp_path / first.key / "model.json").write_text("{}")
    assert cross_cache.cross_model(corpus, QUICK, bm25=bm25, folder=tmp_path).key == first.key and len(trained) == 2
    cross_cache.cross_model(corpus, QUICK, bm25=bm25, seed=1, folder=tmp_path)
    assert len(trained) == 3
    cross_cache.forget()


def test_the_filter_refuses_what_is_likely_and_pads_stay(tiny):
    corpus, _ = tiny
    context = MiningContext(corpus, lambda which: None, CorpusIndex(corpus, seed=2))
    rows = np.array([0, 3])
    docs = np.tile(np.arange(-1, corpus.n_documents), (2, 1))
    blank = np.zeros(docs.shape, np.float32)
    looked = Looked(rows, docs, blank.astype(np.int32), blank, blank[:, 0])
    cross = context.cross(EmbeddedCrossEncoder())
    assert cross.key == EmbeddedCrossEncoder().key_for(corpus, 2)
    p = cross.probabilities(np.repeat(rows, corpus.n_documents), np.tile(np.arange(corpus.n_documents), 2)).reshape(2, -1)
    for threshold in (0.1, 0.5):
        kept = CrossEncoderCut(threshold=threshold).keep(context, looked)
        assert kept[:, 0].all() and np.array_equal(kept[:, 1:], p < np.float32(threshold))
    assert not CrossEncoderCut(threshold=0.0).keep(context, looked)[:, 1:].any()
    cross_cache.forget()


def test_rerank_sorts_by_probability_and_keeps_the_documents(tiny, model):
    corpus, bm25 = tiny
    rows = np.array([1, 4])
    hits = bm25.search(corpus.query_texts(rows), 80)
    found = rerank(model, rows, hits)
    for i, row in enumerate(rows):
        real = hits.doc_rows[i][hits.doc_rows[i] >= 0]
        p = model.probabilities(np.full(len(real), row), real)
        expected = sorted(zip(-p, real, strict=True))
        assert found.doc_rows[i].tolist() == [int(d) for _, d in expected] + [-1] * (80 - len(real))
        assert found.scores[i][: len(real)].tolist() == [float(-s) for s, _ in expected]
    assert rerank(model, rows, Hits.none(2, 3)).doc_rows.tolist() == [[-1] * 3] * 2


def test_measures_against_plain_loops_and_peers():
    from sklearn.metrics import average_precision_score, roc_auc_score

    rng = np.random.default_rng(0)
    scores = rng.integers(0, 30, 400) / 30
    labels = rng.random(400) < scores
    assert auc(scores, labels) == pytest.approx(roc_auc_score(labels, scores))
    assert average_precision(scores, labels) == pytest.approx(average_precision_score(labels, scores))
    assert math.isnan(auc(scores, labels | True)) and math.isnan(average_precision(scores, labels & False))
    truth = rng.random(20000)
    drawn = rng.random(20000) < truth
    assert calibration_error(truth, drawn) < 0.02 < 0.1 < calibration_error(truth**3, drawn)


def test_platt_finds_the_law_that_made_the_labels():
    rng = np.random.default_rng(3)
    logits = rng.normal(0, 2, 40000)
    slope, shift = platt(logits, rng.random(40000) < sigmoid(0.6 * logits - 1.2))
    assert slope == pytest.approx(0.6, abs=0.03) and shift == pytest.approx(-1.2, abs=0.05)
    assert platt(np.array([5.0, -5.0]), np.array([False, True]))[0] == 1e-3


@pytest.mark.slow
def test_on_the_sample_it_is_calibrated_and_halves_the_false_negatives_of_ance():
    from core.audit.preview import preview
    from core.encode.encoders import make_encoder
    from core.sampling.presets import PRESETS
    from core.train.vectors import untrained_vectors

    corpus = load_corpus("sample:lab")
    vectors = untrained_vectors(corpus, make_encoder("static").to_dict())
    context = MiningContext(corpus, lambda which: vectors)
    query_rows = np.unique(context.training_pairs[0])
    naive, denoised = (
        preview(PRESETS[name].recipe, context, query_rows).false_negative_rate(context) for name in ("ance", "ance-denoised")
    )
    assert naive > 0.04 and denoised < naive / 4
    cross = context.cross(EmbeddedCrossEncoder())
    assert cross.report.auc > 0.94 and cross.report.calibration_error < 0.03
    # Unlabelled answers among the top 50 of the untrained vectors, against everything else there.
    table = cross.scorer.analogies.features.best(query_rows)[1].astype(np.int64)
    queries, docs = np.repeat(query_rows, table.shape[1]), table.reshape(-1)
    is_open = ~corpus.positives.contains(queries, docs) & (docs >= 0)
    p = cross.probabilities(queries[is_open], docs[is_open])
    is_answer = corpus.truth.grade_of(queries[is_open], docs[is_open]) >= 1
    assert auc(p, is_answer) > 0.92 and average_precision(p, is_answer) > 0.38
    cross_cache.forget()
