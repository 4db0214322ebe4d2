"""Samplers, filters and pickers against plain loops; random ones against their exact law."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from scipy.stats import chisquare

from core.errors import ParameterError
from core.sampling.filters import AbsoluteCut, Looked, MarginCut, NearDuplicates, PercentageCut
from core.sampling.mine import mine_lane, pick
from core.sampling.pickers import SimANS, Top, Uniform
from core.sampling.presets import preset
from core.sampling.queues import Queue, _enqueue
from core.sampling.recipe import Lane
from core.sampling.schedule import EverySteps, Once
from core.sampling.settings import apply_settings
from core.sampling.sources import BM25Source, Dense, Gold, RandomCorpus, draw_distinct
from core.sampling.windows import RankWindow
from tests.small import make_context, make_corpus

TEXTS = [f"topic {i % 5} word{i} word{i * 7 % 11}" for i in range(30)]
QUERIES = [f"word{i} topic {i % 5}" for i in range(6)]
PAIRS = [(0, 0), (0, 5), (1, 1), (2, 2), (3, 3), (4, 4), (5, 29)]


@pytest.fixture
def context():
    return make_context(make_corpus(TEXTS, QUERIES, PAIRS), seed=5)


@pytest.mark.parametrize("similarity", ["dot", "cosine", "l2"])
def test_dense_mining_equals_a_double_loop(similarity):
    corpus = make_corpus(TEXTS, QUERIES, PAIRS)
    context = make_context(corpus, seed=5, similarity=similarity)
    lane = Lane(source=Dense(), window=RankWindow(first=2, last=9), picker=Top(), per_query=3)
    rows = corpus.split_query_rows("train")
    table = mine_lane(lane, context, rows, np.random.default_rng(0))
    columns = pick(lane, table, np.random.default_rng(0))
    vectors = context.vectors()

    def score(q, d):
        a, b = vectors.queries[q].astype(float), vectors.documents[d].astype(float)
        if similarity == "dot":
            return a @ b
        if similarity == "l2":
            return -((a - b) ** 2).sum()
        return a @ b / np.linalg.norm(a) / np.linalg.norm(b)

    for i, q in enumerate(rows):
        ranked = sorted(range(len(TEXTS)), key=lambda d: (-score(q, d), d))
        positives = {d for p, d in PAIRS if p == q}
        expected = [d for rank, d in enumerate(ranked, 1) if 2 <= rank <= 9 and d not in positives][:3]
        assert table.doc_rows[i][columns[i]].tolist() == expected
        lowest = min(positives, key=lambda d: (score(q, d), d))
        assert table.positive_rows[i] == lowest
        assert table.positive_scores[i] == pytest.approx(score(q, lowest), abs=1e-5)


def test_bm25_candidates_are_rank_bm25s(context):
    from rank_bm25 import BM25Okapi

    from core.search.bm25 import tokenize

    peer = BM25Okapi([tokenize(text) for text in TEXTS])
    table = mine_lane(Lane(source=BM25Source(), window=RankWindow(last=10)), context, np.arange(6), np.random.default_rng(0))
    for q in range(6):
        scores = peer.get_scores(tokenize(QUERIES[q]))
        expected = [d for d in sorted(range(30), key=lambda d: (-scores[d], d)) if scores[d] != 0][:10]
        assert table.doc_rows[q][table.doc_rows[q] >= 0].tolist() == expected
        assert table.positive_scores[q] == pytest.approx(min(scores[d] for p, d in PAIRS if p == q), abs=1e-4)


def test_random_negatives_are_uniform_over_what_is_not_a_positive(context):
    rng = np.random.default_rng(0)
    n_draws = 3000
    counts = np.zeros(30)
    lane = Lane(source=RandomCorpus(), per_query=4)
    for _ in range(n_draws):
        table = mine_lane(lane, context, np.array([0]), rng, with_model_scores=False)
        counts[table.doc_rows[0]] += 1
    assert counts[[0, 5]].sum() == 0 and counts.sum() == 4 * n_draws
    assert chisquare(np.delete(counts, [0, 5])).pvalue > 1e-4


def test_sequential_rejection_draws_every_pair_equally_often():
    rng = np.random.default_rng(1)
    pool = np.arange(10)
    drawn = draw_distinct(20_000, 2, pool, lambda rows, values: values == 7, rng)  # the fast path: 10 >= 4 * 2
    kinds = list(itertools.permutations([0, 1, 2, 3, 4, 5, 6, 8, 9], 2))
    index = {pair: i for i, pair in enumerate(kinds)}
    counts = np.bincount([index[tuple(pair)] for pair in drawn.tolist()], minlength=len(kinds))
    assert chisquare(counts).pvalue > 1e-4


def test_gold_draws_only_positives_of_other_queries(context):
    table = mine_lane(Lane(source=Gold(), per_query=4), context, np.arange(6), np.random.default_rng(0))
    pool = {d for _, d in PAIRS}
    for q in range(6):
        own = {d for p, d in PAIRS if p == q}
        assert set(table.doc_rows[q].tolist()) <= pool - own


def looked():
    rng = np.random.default_rng(3)
    scores = np.sort(rng.normal(0, 1, (5, 8)).astype(np.float32), 1)[:, ::-1]
    rows = np.tile(np.arange(8), (5, 1))
    return Looked(np.arange(5), rows, rows.astype(np.int32) + 1, scores, rng.normal(0, 1, 5).astype(np.float32))


@pytest.mark.parametrize(
    ("rule", "law"),
    [
        (AbsoluteCut(maximum=0.3), lambda s, p: s < 0.3),
        (MarginCut(margin=0.2), lambda s, p: s <= p - 0.2),
        (PercentageCut(ratio=0.9), lambda s, p: s <= (0.9 * p if p >= 0 else 1.1 * p)),
    ],
    ids=lambda v: getattr(v, "key", ""),
)
def test_cuts_equal_their_formula_also_below_zero(rule, law):
    block = looked()
    keep = rule.keep(None, block)
    assert (block.positive_scores < 0).any() and (block.positive_scores > 0).any()
    for i, j in np.ndindex(keep.shape):
        assert keep[i, j] == law(float(block.scores[i, j]), float(block.positive_scores[i]))


def test_near_duplicates_of_any_positive_are_refused():
    long = "the quick brown fox jumps over the lazy dog near the quiet river bank today"
    corpus = make_corpus([long, long + " again", long, "something else entirely about stones"], ["quick fox"], [(0, 0)])
    context = make_context(corpus)
    table = mine_lane(Lane(source=Dense(), filters=(NearDuplicates(threshold=0.7),)), context, np.array([0]), np.random.default_rng(0))
    rule = {int(d): int(r) for d, r in zip(table.doc_rows[0], table.decided_by[0], strict=True) if d >= 0}
    names = ["kept" if r < 0 else table.rules[r] for r in (rule[0], rule[1], rule[2], rule[3])]
    assert names == ["known-positive", "near-duplicates", "identical-to-positive", "kept"]


def test_verdicts_show_every_rule_that_refuses_not_only_the_first(context):
    lane = Lane(source=Dense(), window=RankWindow(first=3, last=20), filters=(AbsoluteCut(maximum=-1.0),))
    table = mine_lane(lane, context, np.arange(6), np.random.default_rng(0))
    assert not table.is_kept.any()
    first_two = table.verdicts[:, :2]
    assert (first_two & 0b100).all() and (first_two & 0b1000).all(), "outside the window and above the cut"


def test_top_takes_the_first_allowed_columns_in_order():
    allowed = np.array([[False, True, True, False, True]])
    scores = np.zeros((1, 5), np.float32)
    assert Top().pick(scores, np.zeros(1, np.float32), allowed, 2, np.random.default_rng(0)).tolist() == [[1, 2]]
    assert Top().pick(scores, np.zeros(1, np.float32), allowed, 5, np.random.default_rng(0)).tolist() == [[1, 2, 4, -1, -1]]


def first_draws(picker, scores, positive, n):
    rng = np.random.default_rng(9)
    block = np.tile(np.asarray(scores, np.float32), (n, 1))
    return picker.pick(block, np.full(n, positive, np.float32), np.ones(block.shape, bool), 1, rng)[:, 0]


def test_uniform_and_simans_follow_their_law():
    counts = np.bincount(first_draws(Uniform(), [3, 2, 1, 0], 2, 20_000), minlength=4)
    assert chisquare(counts).pvalue > 1e-4
    scores, positive, a, b = [3.0, 2.0, 1.5, 0.5], 1.8, 1.3, 0.1
    weights = np.array([math.exp(-a * (s - positive - b) ** 2) for s in scores])
    counts = np.bincount(first_draws(SimANS(a=a, b=b), scores, positive, 20_000), minlength=4)
    assert chisquare(counts, weights / weights.sum() * 20_000).pvalue > 1e-4


def test_simans_does_not_underflow_with_dot_scores():
    columns = SimANS(a=1000.0).pick(
        np.array([[500.0, 90.0, -800.0]], np.float32), np.array([100.0], np.float32), np.ones((1, 3), bool), 3, np.random.default_rng(0)
    )
    assert columns[0].tolist() == [1, 0, 2], "the nearest to the positive first, all of them drawn"


def test_schedules_are_due_when_they_say():
    assert [Once().is_due(s, 4) for s in range(6)] == [True, False, False, False, False, False]
    assert [EverySteps().is_due(s, 4) for s in range(9)] == [True, False, False, False] * 2 + [True]
    assert [EverySteps(steps=3).is_due(s, 4) for s in range(7)] == [True, False, False] * 2 + [True]
    assert EverySteps(steps=3).refreshes(7, 4) == 3


def test_a_queue_keeps_the_last_documents_first_in_first_out():
    import torch

    from core.sampling.batch import BatchStep

    queue, state, history = Queue(size=5), Queue(size=5).start(1), []
    for start, n in ((0, 3), (3, 3), (6, 7), (13, 2)):
        rows = torch.arange(start, start + n)
        _enqueue(BatchStep(rows[:, None].float(), rows, None, None), state)
        history += rows.tolist()
        assert sorted(state["rows"][state["rows"] >= 0].tolist()) == sorted(history[-5:])
        assert (state["vectors"][state["rows"] >= 0, 0] == state["rows"][state["rows"] >= 0]).all()
    assert queue.size == 5


def test_settings_reach_slots_lanes_and_pieces():
    recipe = preset("ance").recipe
    changed = apply_settings(
        recipe,
        ["signal.temperature=0.02", "window.last=30", "mined.0.per_query=4", "picker=simans", "simans.a=7", "schedule.steps=5"]
        + ["filters=near-duplicates,percentage", "percentage.ratio=0.8", "batch=none"],
    )
    lane = changed.mined[0]
    assert changed.signal.temperature == 0.02 and lane.window.last == 30 and lane.per_query == 4
    assert lane.picker == SimANS(a=7.0) and changed.schedule.steps == 5 and changed.batch.key == "none"
    assert [f.key for f in lane.filters] == ["near-duplicates", "percentage"] and lane.filters[1].ratio == 0.8


@pytest.mark.parametrize(
    ("setting", "says"),
    [
        ("signal", "needs piece.field=value"),
        ("signal.temperature=hot", "InfoNCE.temperature must be a number"),
        ("signal.heat=1", "no parameter 'heat'"),
        ("signal=magic", "must be one of infonce"),
        ("mined.7.per_query=1", "counted from 0"),
        ("cheese.a=1", "no piece 'cheese'"),
        ("filters=magic", "filters must be of"),
        ("window.last=0", "RankWindow.last must be an int in [1, 10000]; got 0."),
    ],
)
def test_a_wrong_setting_says_what_is_right(setting, says):
    with pytest.raises(ParameterError) as raised:
        apply_settings(preset("bm25").recipe, [setting])
    assert says in str(raised.value)
