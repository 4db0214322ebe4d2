"""The percentile cut and the consensus of detectors against plain loops; "start" at a mining after the first step."""

from __future__ import annotations

import numpy as np
import pytest

from core.errors import ParameterError
from core.sampling.context import MiningContext, Vectors
from core.sampling.filters import Consensus, Looked, PercentileCut
from core.sampling.mine import mine_lane
from core.sampling.recipe import Lane
from core.sampling.settings import apply_settings
from core.sampling.sources import BM25Source, Dense, RandomCorpus
from core.sampling.windows import RankWindow
from core.train.results import TrialResults
from core.train.trial import Stopped, run_trial
from tests.small import make_corpus
from tests.test_sampling_oracles import PAIRS, QUERIES, TEXTS
from tests.test_train_trial import bytes_of, make_trial

NAMES = ("start", "current", "other", "third")


@pytest.fixture
def worlds():
    """A corpus, and a context with four models of their own."""
    corpus = make_corpus(TEXTS, QUERIES, PAIRS, [])
    rng = np.random.default_rng(7)
    models = {
        name: Vectors(*(rng.normal(size=(n, 3)).astype(np.float32) for n in (len(QUERIES), len(TEXTS))), "cosine", name) for name in NAMES
    }
    return MiningContext(corpus, models.__getitem__), models


def cosine(vectors, q, d):
    a, b = vectors.queries[q].astype(float), vectors.documents[d].astype(float)
    return a @ b / np.linalg.norm(a) / np.linalg.norm(b)


@pytest.mark.parametrize("source", [Dense(), BM25Source(), RandomCorpus()], ids=lambda s: s.key)
@pytest.mark.parametrize("percentile", [0.2, 0.5, 1.0])
def test_the_percentile_cut_counts_the_positives_of_its_own_source(worlds, source, percentile):
    context, models = worlds
    lane = Lane(source=source, window=RankWindow(last=30), filters=(PercentileCut(percentile=percentile),), per_query=10)
    table = mine_lane(lane, context, np.arange(6), np.random.default_rng(0))

    def score(q, d):
        if source.key == "bm25":
            return float(context.bm25.score_pairs([QUERIES[q]], np.array([0]), np.array([d]))[0])
        return cosine(models["current"], q, d)

    known = [score(q, d) for q, d in PAIRS]
    n_refused = 0
    for i, j in np.argwhere(table.doc_rows >= 0):
        doc = int(table.doc_rows[i, j])
        if (i, doc) in PAIRS:
            continue
        share = sum(s <= score(i, doc) + 1e-9 for s in known) / len(known)
        is_refused = bool(table.verdicts[i, j] & 1 << table.rules.index("percentile"))
        assert is_refused == (share >= percentile), (i, doc)
        n_refused += is_refused
    assert n_refused > 0 or percentile == 1.0


def test_the_percentile_may_be_the_cross_encoders(tiny_corpus):
    context = MiningContext(tiny_corpus, lambda which: None)
    rule = PercentileCut(percentile=0.3, by="cross-encoder")
    query_rows, doc_rows = np.arange(4), np.tile(np.arange(0, 60, 5), (4, 1))
    blank = np.zeros(doc_rows.shape, np.float32)
    kept = rule.keep(context, Looked(query_rows, doc_rows, blank.astype(np.int32), blank, blank[:, 0]))
    cross, pairs = rule.cross(context), context.training_pairs
    known = cross.probabilities(*pairs)
    for i, j in np.ndindex(kept.shape):
        p = cross.probabilities(query_rows[i : i + 1], doc_rows[i, j : j + 1])[0]
        assert kept[i, j] == ((known <= p).mean() < 0.3)
    assert kept.any() and not kept.all() and rule.asks_cross and not PercentileCut().asks_cross


@pytest.mark.parametrize("share", [0.2, 0.4, 0.6, 0.8])
def test_consensus_counts_the_votes_above_the_lowest_positive(worlds, share):
    context, models = worlds
    rule = Consensus(share=share, trials="other, third,other")
    lane = Lane(source=Dense(), window=RankWindow(last=30), filters=(rule,), per_query=5)
    table = mine_lane(lane, context, np.arange(6), np.random.default_rng(0))
    assert rule.models == ("start", "other", "third"), "a trial votes once"
    n_refused = 0
    for i, j in np.argwhere(table.doc_rows >= 0):
        doc, own = int(table.doc_rows[i, j]), [d for q, d in PAIRS if q == i]
        bm25 = context.bm25.scores(QUERIES[i])
        votes = [bm25[doc] > min(bm25[d] for d in own)]
        votes += [cosine(models[n], i, doc) > min(cosine(models[n], i, d) for d in own) + 1e-9 for n in NAMES]
        is_refused = bool(table.verdicts[i, j] & 1 << table.rules.index("consensus"))
        if doc not in own:
            assert is_refused == (sum(votes) / 5 >= share), (i, doc)
            n_refused += is_refused
    assert n_refused > 0


def test_each_detector_can_be_left_out(worlds):
    context, models = worlds
    query_rows, doc_rows = np.arange(6), np.tile(np.arange(30), (6, 1))
    blank = np.zeros(doc_rows.shape, np.float32)
    looked = Looked(query_rows, doc_rows, blank.astype(np.int32), blank, blank[:, 0])
    everybody = Consensus(trials="other").votes(context, looked)
    none = {"bm25": False, "start": False, "current": False}
    for place, name in enumerate(("bm25", "start", "current")):
        np.testing.assert_array_equal(Consensus(**none | {name: True}).votes(context, looked), everybody[[place]])
    np.testing.assert_array_equal(Consensus(**none, trials="other").votes(context, looked), everybody[[3]])
    with pytest.raises(ParameterError, match="needs a detector"):
        Consensus(**none, trials=" , ")


def test_the_encoder_before_training_votes_at_every_mining_and_after_a_stop(tmp_path, tiny_corpus):
    from core.sampling.presets import preset

    recipe = apply_settings(preset("consensus").recipe, ["consensus.bm25=false", "consensus.current=false", "consensus.share=0.5"])
    whole = make_trial(tmp_path / "whole", tiny_corpus, recipe, epochs=3, learning_rate=0.05)
    run_trial(whole, threads=1, corpus=tiny_corpus)
    stopped = make_trial(tmp_path / "stopped", tiny_corpus, recipe, epochs=3, learning_rate=0.05)
    calls = iter(range(5))
    with pytest.raises(Stopped):
        run_trial(stopped, threads=1, corpus=tiny_corpus, should_stop=lambda: next(calls, None) is None)
    run_trial(stopped, threads=1, corpus=tiny_corpus)
    assert bytes_of(stopped) == bytes_of(whole)

    results = TrialResults(whole)
    tables, start = results.tables(), results.snapshot(0)
    assert [info.step for info in tables][1:] and len(tables) == 3
    last = results.candidates(tables[-1:])
    bit = 1 << 4  # behind the three rules of the base and the near-duplicates
    for q, d, verdicts in zip(*(last[name].to_numpy() for name in ("query_row", "doc_row", "verdicts")), strict=True):
        own = tiny_corpus.positives.positives(int(q))
        scores = start.score_pairs(np.full(len(own) + 1, q, np.int64), np.append(own, d).astype(np.int64))
        margin = scores[-1] - scores[:-1].min()
        if abs(margin) > 1e-3 and d not in own:  # snapshots are float16
            assert bool(verdicts & bit) == (margin > 0)
