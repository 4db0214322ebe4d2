"""Comparing trials: groups of seeds, baselines, sentences and ranked lists against plain computations."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pytest

from core.audit.compare import compare_trials, group_of, sentence
from core.audit.rankings import trial_ranking, truth_baselines, untrained_ranking
from core.errors import TrialError
from core.evaluate.metrics import MEASURES
from core.evaluate.significance import Difference
from core.sampling.context import Vectors
from core.sampling.presets import PRESETS
from core.search.bm25 import BM25
from core.train.config import TrialConfig


def fake(name: str, *, seed: int = 0, preset: str = "in-batch", untrained: float = 0.2, fingerprint: str = "f", rows=(3, 5, 8), shift=0.0):
    """A trial's results as far as a comparison reads them; values depend on the query and ``shift``."""
    config = TrialConfig(corpus="x", recipe=PRESETS[preset].recipe.to_dict(), name=name, seed=seed, corpus_fingerprint=fingerprint)
    base = np.linspace(0.1, 0.7, len(rows))
    table = {"query_row": np.array(rows, np.int32)}
    for m in MEASURES:
        table |= {f"trial.{m}": base + shift, f"untrained.{m}": np.full(len(rows), untrained), f"bm25.{m}": np.full(len(rows), 0.3)}
    return SimpleNamespace(
        folder=SimpleNamespace(name=f"folder-{name}"),
        config=config,
        result={"corpus_fingerprint": fingerprint, "seconds": {"train": 1.0 + seed, "total": 2.0}},
        per_query=lambda: pa.table(table),
    )


def test_seeds_of_one_recipe_become_one_line():
    trials = [fake("ance, seed 0", preset="ance"), fake("ib, seed 0", seed=0), fake("ib, seed 1", seed=1, shift=0.1)]
    together = compare_trials(trials).by_recipe()
    assert [s.name for s in together.systems] == ["ance, seed 0", "ib (2 seeds)", "untrained", "BM25"]
    group = together.systems[1]
    assert group.members == ("folder-ib, seed 0", "folder-ib, seed 1")
    np.testing.assert_allclose(group.values["RR@10"], np.linspace(0.1, 0.7, 3) + 0.05)
    assert group.spread["RR@10"] == pytest.approx((0.4, 0.5)) and group.seconds["train"] == pytest.approx(1.5)
    assert compare_trials(trials).has_seeds and not compare_trials(trials[:2]).has_seeds


def test_only_seed_and_name_leave_the_group_as_it_is():
    one = fake("a").config
    assert group_of(one) == group_of(fake("b", seed=4).config) != group_of(fake("a", preset="ance").config)


def test_each_distinct_untrained_encoder_is_a_baseline():
    same = compare_trials([fake("a"), fake("b", seed=1)])
    assert [s.name for s in same.systems if s.kind == "baseline"] == ["untrained", "BM25"]
    other = compare_trials([fake("a"), fake("b", untrained=0.25)])
    assert [s.name for s in other.systems if s.kind == "baseline"] == ["untrained", "untrained (b)", "BM25"]


def test_what_cannot_be_compared_is_refused():
    with pytest.raises(TrialError, match="different corpora"):
        compare_trials([fake("a"), fake("b", fingerprint="g")])
    with pytest.raises(TrialError, match="different queries"):
        compare_trials([fake("a"), fake("b", rows=(3, 5, 9))])
    with pytest.raises(TrialError, match="no truth"):
        compare_trials([fake("a")], against_truth=True)
    with pytest.raises(TrialError, match="at least one"):
        compare_trials([])


def test_differences_are_against_the_first_and_corrected():
    found = compare_trials([fake("a"), fake("b", shift=0.1)]).against_first("RR@10")
    index, difference, p = found[0]
    assert index == 1 and difference.mean == pytest.approx(0.1)
    assert p >= difference.p and difference.p == pytest.approx(0.25)  # two of the eight sign patterns of three equal differences


@pytest.mark.parametrize(
    ("values", "p", "expected"),
    [
        ((0.012, 0.003, 0.021), 0.01, "A is better than B by .012 RR@10 (95 % band .003 to .021, p = .01)."),
        ((-0.2, -0.3, -0.1), 0.0001, "A is worse than B by .200 RR@10 (95 % band -.300 to -.100, p < .001)."),
        ((0.0, -0.01, 0.01), 1.0, "No difference between A and B can be shown (.000 RR@10, 95 % band -.010 to .010, p = 1)."),
        ((0.004, -0.001, 0.01), 0.0501, "No difference between A and B can be shown (+.004 RR@10, 95 % band -.001 to .010, p = .05)."),
    ],
)
def test_a_sentence_says_what_the_test_allows(values, p, expected):
    assert sentence("A", "B", Difference(*values, p, 232), p, "RR@10") == expected


def test_a_run_becomes_rows_in_the_order_asked_for():
    run = pa.table(
        {"query_row": [9, 9, 4, 4, 4], "rank": [1, 2, 1, 2, 101], "doc_row": [7, 3, 5, 6, 1], "score": [1.0, 0.9, 1.0, 0.9, 0.1]}
    )
    found = trial_ranking(SimpleNamespace(run=lambda: run), np.array([9, 4, 2]))
    assert found[:, :3].tolist() == [[7, 3, -1], [5, 6, -1], [-1, -1, -1]] and (found[:, 3:] == -1).all()


def test_baselines_against_truth_are_measured_again(tiny_corpus):
    rng = np.random.default_rng(0)
    queries = rng.normal(size=(tiny_corpus.n_queries, 8)).astype(np.float16)
    documents = rng.normal(size=(tiny_corpus.n_documents, 8)).astype(np.float16)
    results = SimpleNamespace(snapshots=lambda: [0, 9], snapshot=lambda step: Vectors(queries, documents, "dot", f"step {step}"))
    rows = tiny_corpus.split_query_rows("test")
    found = truth_baselines(results, tiny_corpus, BM25.fit(tiny_corpus.document_texts()), rows)
    assert list(found) == ["untrained", "BM25"]
    ranking = untrained_ranking(results, rows)
    for i, query_row in enumerate(rows):
        scores = documents.astype(np.float32) @ queries[query_row].astype(np.float32)
        order = np.argsort(-scores, kind="stable")
        assert ranking[i, : len(order)].tolist() == order.tolist()
        relevant = set(tiny_corpus.truth.positives(int(query_row)).tolist())
        first = next(rank for rank, row in enumerate(order, 1) if int(row) in relevant)
        assert found["untrained"]["RR@10"][i] == pytest.approx(1 / first if first <= 10 else 0.0)
