"""Training with verdicts: judged pairs are masked, lightened or promoted, and nothing else changes."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from core.audit.trial_table import rules_of_lanes
from core.errors import TrialError
from core.sampling.batch import HardestInBatch, InBatch, NoBatch
from core.sampling.candidates import BASE_RULES, base_rules
from core.sampling.context import CorpusIndex, MiningContext
from core.sampling.decisions import FILE, Decisions, decided_bytes, digest_of
from core.sampling.judged import use_verdicts
from core.sampling.mine import mine_lane
from core.sampling.presets import preset
from core.sampling.queues import MoCo, Queue
from core.sampling.recipe import Lane
from core.sampling.signal import SIGNALS, InfoNCE, Triplet
from core.sampling.sources import RandomCorpus
from core.train.config import TrialConfig, write_config
from core.train.results import TrialResults
from core.train.step import Batch, allowed, contained
from core.train.trial import Stopped, run_trial
from tests.small import make_context, make_corpus
from tests.test_train_step import encode, stepper_of
from tests.test_train_trial import bytes_of, events_of, make_trial

MINED = (Lane(source=RandomCorpus(), per_query=2),)
# Which documents each of the four queries (positives 0 .. 3) must not be pushed from, or only lightly.
JUDGED = np.array([[1, 6], [7, -1], [-1, -1], [0, 9]])
ROWS = [[5, 6], [7, 8], [9, -1], [10, 4]]


def judged_batch(judged=None, light=None, weight=1.0) -> Batch:
    rows = np.arange(4)
    protected = rows[:, None] if judged is None else np.concatenate([rows[:, None], judged], 1)
    return Batch(rows, rows, np.asarray(ROWS), protected, light, weight)


# One step -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("batch", [InBatch(), InBatch(shared_negatives=False), Queue(size=8), MoCo(size=8), HardestInBatch(per_positive=3)])
def test_a_judged_pair_of_the_batch_or_a_queue_gets_no_gradient(batch, monkeypatch):
    stepper = stepper_of(batch, mined=MINED)
    seen = []
    join = stepper._join

    def spy(shared, own, at):
        negative, is_allowed, log_weight = join(shared, own, at)
        seen.append((negative, is_allowed, shared[2]))
        return negative, is_allowed, log_weight

    monkeypatch.setattr(stepper, "_join", spy)
    plain_rows = np.arange(4)
    mined = np.full((4, 2), -1)  # what mining leaves of these is masked by mining itself; pools are the batch's business
    for _ in range(3):  # later steps meet the queue
        stepper.step(Batch(plain_rows, plain_rows, mined, np.concatenate([plain_rows[:, None], JUDGED], 1)))
    for negative, is_allowed, rows in seen:
        n_own = negative.shape[1] - len(rows)
        for i in range(4):
            for j, row in enumerate(rows):
                if row in JUDGED[i] and row >= 0:
                    assert not is_allowed[i, n_own + j] and float(negative.grad[i, n_own + j]) == 0.0
        assert float(negative.grad.abs().sum()) > 0


def lightened_oracle(stepper, signal, weight: float, shares: bool) -> float:
    queries, documents = encode(stepper, "query", range(4)), encode(stepper, "document", range(12))
    total = 0.0
    for i in range(4):
        own = [d for d in ROWS[i] if d >= 0]
        pool = [d for d in range(4) if d != i] + [d for row in ROWS for d in row if d >= 0 and d != i] * shares
        if not shares:
            pool = own + [d for d in range(4) if d != i]
        w = [weight if d in JUDGED[i] else 1.0 for d in pool]
        s, p = [float(queries[i] @ documents[d]) for d in pool], float(queries[i] @ documents[i])
        if isinstance(signal, InfoNCE):
            t = signal.temperature
            total += -math.log(math.exp(p / t) / (math.exp(p / t) + sum(a * math.exp(b / t) for a, b in zip(w, s, strict=True))))
        else:
            total += sum(a * max(0.0, b - p + signal.margin) for a, b in zip(w, s, strict=True)) / len(pool)
    return total / 4


@pytest.mark.parametrize("shares", [True, False])
@pytest.mark.parametrize("signal", [InfoNCE(temperature=0.3), Triplet(margin=0.5)], ids=lambda s: s.key)
@pytest.mark.parametrize("weight", [0.1, 0.5])
def test_down_weight_equals_a_loss_computed_by_hand(shares, signal, weight):
    stepper = stepper_of(InBatch(shared_negatives=shares), signal, mined=MINED)
    expected = lightened_oracle(stepper, signal, weight, shares)
    unjudged = lightened_oracle(stepper, signal, 1.0, shares)
    assert stepper.step(judged_batch(light=JUDGED, weight=weight)).loss == pytest.approx(expected, abs=1e-5)
    assert abs(expected - unjudged) > 1e-3, "the judged pairs count"


def test_a_lane_weight_and_a_verdict_weight_multiply():
    lanes = (Lane(source=RandomCorpus(), per_query=2, weight=3.0),)
    stepper = stepper_of(NoBatch(), mined=lanes)
    queries, documents = encode(stepper, "query", range(4)), encode(stepper, "document", range(12))
    total = 0.0
    for i in range(4):
        e = {d: math.exp(float(queries[i] @ documents[d]) / 0.05) for d in [i, *ROWS[i]] if d >= 0}
        below = sum((3 * 0.2 if d in JUDGED[i] else 3) * e[d] for d in ROWS[i] if d >= 0)
        total += -math.log(e[i] / (e[i] + below))
    assert stepper.step(judged_batch(light=JUDGED, weight=0.2)).loss == pytest.approx(total / 4, abs=1e-5)


@pytest.mark.parametrize("signal", [s() for s in SIGNALS], ids=lambda s: s.key)
def test_no_light_pair_leaves_every_bit_as_it_was(signal):
    losses = []
    for light in (None, np.empty((4, 0), np.int64)):
        stepper = stepper_of(InBatch(), signal, mined=MINED)
        losses.append([stepper.step(judged_batch(light=light, weight=0.1)).loss for _ in range(3)])
    assert losses[0] == losses[1]


def test_containing_equals_a_double_loop():
    rows = np.random.default_rng(1).integers(-1, 5, (4, 9))
    own = np.array([[1, 2], [-1, -1], [4, -1], [0, 3]])
    assert contained(rows, own).tolist() == [[r >= 0 and r in mine.tolist() for r in line] for line, mine in zip(rows, own, strict=True)]


# Mining ---------------------------------------------------------------------------------------------------


def decided_of(corpus, pairs, kind="false-negative") -> dict:
    return {(f"{corpus.query_ids([q])[0]}", corpus.doc_ids([d])[0]): kind for q, d in pairs}


def small(n=12):
    texts = [f"text number {i} of many" for i in range(n)]
    texts[9] = texts[4]
    return make_corpus(texts, ["q zero", "q one", "q two"], [(0, 0), (1, 1)], [(2, 2)])


def context_with(corpus, decided, use="drop") -> MiningContext:
    index = CorpusIndex(corpus)
    plain = make_context(corpus)
    return MiningContext(corpus, plain.vectors, index, use_verdicts(Decisions.of(decided, corpus), index, use, 0.1))


@pytest.mark.parametrize("use", ["drop", "promote"])
def test_mining_refuses_judged_pairs_and_copies_of_them_and_says_so(use):
    corpus = small()
    context = context_with(corpus, decided_of(corpus, [(0, 4), (1, 7)]) | decided_of(corpus, [(0, 5)], "near-duplicate")
                           | decided_of(corpus, [(0, 6)], "true-negative") | decided_of(corpus, [(1, 8)], "unsure"), use)  # fmt: skip
    lane = preset("ance").recipe.mined[0]
    found = mine_lane(lane, context, np.array([0, 1]), np.random.default_rng(0))
    assert found.rules[:4] == ("known-positive", "identical-to-positive", "judged", "outside-window")
    refused = {0: {4, 9, 5}, 1: {7}}  # 9 has exactly the text of 4
    for i in range(2):
        by_rule = {int(d) for d, rule in zip(found.doc_rows[i], found.decided_by[i], strict=True) if rule == 2}
        assert by_rule == refused[i]
        assert not refused[i] & {int(d) for d in found.doc_rows[i][found.is_kept[i]]}
        bits = {int(d) for d, v in zip(found.doc_rows[i], found.verdicts[i], strict=True) if v >> 2 & 1}
        assert bits == refused[i]
    assert context.protected.contains([0, 0, 0, 1, 1, 0], [4, 9, 5, 7, 8, 6]).tolist() == [True] * 4 + [False] * 2


def test_down_weighted_pairs_stay_candidates_and_old_tables_keep_their_rules():
    corpus = small()
    context = context_with(corpus, decided_of(corpus, [(0, 4)]), "down-weight")
    found = mine_lane(preset("ance").recipe.mined[0], context, np.array([0, 1]), np.random.default_rng(0))
    assert found.rules[:3] == BASE_RULES == base_rules(False)
    assert 4 in found.doc_rows[0][found.is_kept[0]]
    assert context.judged.light.contains([0, 0, 1], [4, 9, 4]).tolist() == [True, True, False]
    assert not context.protected.contains(0, 4)


def test_labels_of_every_split_are_left_out_of_promotion():
    corpus = small()
    decided = decided_of(corpus, [(0, 4), (2, 5), (0, 0), (2, 2)])
    judged = use_verdicts(Decisions.of(decided, corpus), CorpusIndex(corpus), "promote", 0.1)
    queries, docs = judged.with_promoted(np.array([0, 1]), np.array([0, 1]))
    assert list(zip(queries.tolist(), docs.tolist(), strict=True)) == [(0, 0), (0, 4), (1, 1)], "query 2 is held out, (0, 0) a label"


# Whole trials ---------------------------------------------------------------------------------------------


def train_with(folder, corpus, decided, use, recipe="ance", **changes):
    make_trial(folder, corpus, recipe, epochs=3, **changes)
    if decided:
        data = decided_bytes(decided)
        (folder / FILE).write_bytes(data)
        config = TrialResults(folder).config.to_dict() | {"verdicts": digest_of(data), "verdict_use": use, "verdict_weight": 0.2}
        write_config(folder, TrialConfig.from_dict(config))
    return folder


@pytest.fixture(scope="module")
def parent(tmp_path_factory, tiny_corpus):
    folder = train_with(tmp_path_factory.mktemp("verdicts") / "parent", tiny_corpus, {}, "drop")
    run_trial(folder, threads=1, corpus=tiny_corpus)
    return folder


@pytest.fixture(scope="module")
def perfect(parent, tiny_corpus):
    from core.audit.perfect import perfect_verdicts_of_trial

    found = perfect_verdicts_of_trial(tiny_corpus, TrialResults(parent))
    assert found, "the tiny corpus has unlabelled positives among ANCE's candidates"
    return found


def test_perfect_verdicts_equal_a_plain_loop(parent, perfect, tiny_corpus):
    table = TrialResults(parent).candidates(TrialResults(parent).tables())
    expected = set()
    for q, d in zip(table["query_row"].to_pylist(), table["doc_row"].to_pylist(), strict=True):
        if tiny_corpus.truth.grade_of(q, d) >= 1 and not tiny_corpus.positives.contains(q, d):
            expected.add((tiny_corpus.query_ids([q])[0], tiny_corpus.doc_ids([d])[0]))
    assert set(perfect) == expected and set(perfect.values()) == {"false-negative"}
    assert all(q.startswith("train-") for q, _ in perfect), "held-out queries are never judged by the bench"


@pytest.mark.parametrize("use", ["drop", "promote"])
def test_a_dropped_pair_is_never_trained_against(use, parent, perfect, tmp_path, tiny_corpus):
    folder = train_with(tmp_path / "child", tiny_corpus, perfect, use)
    result = run_trial(folder, threads=1, corpus=tiny_corpus)
    results = TrialResults(folder)
    table = results.candidates(results.tables())
    pairs = Decisions.of(perfect, tiny_corpus).relevant()
    is_judged = pairs.contains(table["query_row"].to_numpy().astype(np.int64), table["doc_row"].to_numpy().astype(np.int64))
    assert is_judged.any(), "they are still looked at and shown"
    assert set(np.array(table["rule"].to_pylist())[is_judged]) <= {"judged", "identical-to-positive"}
    assert table["times_used"].to_numpy()[is_judged].sum() == 0
    assert "judged" in rules_of_lanes(results)[0]
    n_pairs = len(tiny_corpus.splits["train"].only_positive().pairs()[0])
    n_open = len([1 for q, d, _ in zip(*pairs.pairs(), strict=True) if not tiny_corpus.positives.contains(q, d)])
    assert result["n_train_pairs"] == n_pairs + n_open * (use == "promote")
    assert result["n_test_queries"] == len(tiny_corpus.split_query_rows("test"))
    told = " ".join(e["text"] for e in events_of(folder, "log"))
    assert f"{len(perfect)} false negatives and 0 near-duplicates" in told
    assert bytes_of(folder) != bytes_of(parent)


STOPPED = [("drop", "ance"), ("down-weight", "ance"), ("promote", "moco"), ("down-weight", "memory-queue")]


@pytest.mark.parametrize(("use", "recipe"), STOPPED)
def test_a_stop_changes_nothing_with_verdicts(use, recipe, perfect, tmp_path, tiny_corpus):
    whole = train_with(tmp_path / "whole", tiny_corpus, perfect, use, recipe)
    run_trial(whole, threads=1, corpus=tiny_corpus)
    stopped = train_with(tmp_path / "stopped", tiny_corpus, perfect, use, recipe)
    for n_steps in (2, 3):
        calls = iter(range(n_steps))
        with pytest.raises(Stopped):
            run_trial(stopped, threads=1, corpus=tiny_corpus, should_stop=lambda calls=calls: next(calls, None) is None)
    run_trial(stopped, threads=1, corpus=tiny_corpus)
    assert bytes_of(whole) == bytes_of(stopped)


def test_retraining_without_verdicts_gives_the_parents_bytes(parent, tmp_path, tiny_corpus):
    from core.lab.retrain import retrain_config

    config, files = retrain_config(TrialResults(parent).config, parent.name, {})
    assert files == {} and config.like == "parent" and config.verdicts == ""
    write_config(tmp_path / "again", config)
    run_trial(tmp_path / "again", threads=1, corpus=tiny_corpus)
    assert bytes_of(tmp_path / "again") == bytes_of(parent)


def test_a_lost_or_changed_file_of_verdicts_is_refused(perfect, tmp_path, tiny_corpus):
    folder = train_with(tmp_path / "t", tiny_corpus, perfect, "drop")
    (folder / FILE).write_bytes(decided_bytes({next(iter(perfect)): "unsure"}))
    with pytest.raises(TrialError, match="not the file that this trial was made with"):
        run_trial(folder, threads=1, corpus=tiny_corpus)
    (folder / FILE).unlink()
    with pytest.raises(TrialError, match="is missing"):
        run_trial(folder, threads=1, corpus=tiny_corpus)


def test_gradients_reach_every_unjudged_pair_in_a_whole_batch():
    """The loss's own gradient, from torch: zero exactly at judged pairs, not elsewhere."""
    scores = torch.randn(4, 12, generator=torch.Generator().manual_seed(0)).requires_grad_()
    mask = torch.from_numpy(allowed(np.arange(12), np.concatenate([np.arange(4)[:, None], JUDGED], 1)))
    InfoNCE(temperature=1.0).loss(torch.zeros(4), scores, mask).backward()
    assert ((scores.grad == 0) == ~mask).all()
