"""The truth bench on made-up doubts whose quality is known, the rates of samplers, the advice, the dose-response, the command."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pyarrow.parquet as parquet
import pytest

from core.audit.advice import advice, verdict
from core.audit.dose import dose_plan, gather, share_of
from core.audit.evidence import Evidence
from core.audit.reasons import make_reason
from core.audit.sampler_rates import sampler_rates
from core.audit.suspect_table import SuspectTable
from core.audit.truth_bench import truth_bench
from core.audit.truth_combine import FITTERS, Half
from core.cli import main
from core.corpus.judgements import Judgements
from core.corpus.load import load_corpus
from core.errors import CorpusError, ParameterError
from core.lab.audited import other_trials
from core.sampling.context import MiningContext
from core.sampling.recipe import Recipe
from core.train.config import TrialConfig, write_config
from core.train.results import TrialResults
from core.train.vectors import untrained_vectors
from tests.small import make_corpus

REASONS = tuple(make_reason({"key": key, "threshold": 0.5}) for key in ("score", "near-duplicate", "words-of-positive"))
N_QUERIES, PER_QUERY = 60, 30


@pytest.fixture(scope="module")
def corpus():
    """60 queries, 30 candidates each; documents 0-2 of them are false negatives, document 40 is everybody's label."""
    truth = [(q, d) for q in range(N_QUERIES) for d in (0, 1, 2)]
    return make_corpus([f"text {i}" for i in range(41)], [f"query {i}" for i in range(N_QUERIES)], [(q, 40) for q in range(N_QUERIES)],
                       truth_pairs=truth)  # fmt: skip


def made_table(corpus, seed=0, strengths=(3.0, 0.0, 3.0)):
    """Doubts of normal noise plus a strength where truth says relevant: 0 = the reason knows nothing."""
    rng = np.random.default_rng(seed)
    queries, docs = (a.ravel() for a in np.meshgrid(np.arange(N_QUERIES), np.arange(PER_QUERY), indexing="ij"))
    grade = corpus.truth.grade_of(queries, docs)
    doubts = {r.key: (rng.normal(size=len(queries)) + s * (grade > 0)).astype(np.float32) for r, s in zip(REASONS, strengths, strict=True)}
    doubts["score"][rng.random(len(queries)) < 0.05] = np.nan
    zeros = np.zeros(len(queries))
    return SuspectTable(queries, docs, doubts, {k: v >= 0.5 for k, v in doubts.items()}, zeros.astype(np.float32), zeros > 0, zeros,
                        zeros.astype(np.int64), zeros.astype(np.int64), grade, REASONS)  # fmt: skip


def test_a_strong_reason_is_told_from_an_empty_one(corpus):
    bench = truth_bench(corpus, made_table(corpus), n_splits=3)
    strong, empty, other = bench.reasons
    assert other.auc == pytest.approx(0.983, abs=0.01)  # of two normals three apart: Phi(3 / sqrt 2)
    assert abs(empty.auc - 0.5) < 0.06 and empty.strict_recall < 0.05
    assert strong.n == pytest.approx(0.95 * 900, rel=0.03) and other.n == 900
    assert (bench.n_pairs, bench.n_false, bench.n_queries) == (1800, 180, 60)
    assert "1,620 candidates that truth does not list" in bench.counted
    learned = {m.key: m for m in bench.combinations}["learned-all"]
    assert learned.average_precision > other.average_precision and bench.best.f1 > other.f1
    assert bench.reaches and verdict(bench).startswith("Reached")
    for m in (*bench.reasons, *bench.combinations):
        assert m.precision_range[0] <= m.precision <= m.precision_range[1]
        assert json.dumps(m.to_dict(), allow_nan=False)


def test_nothing_is_praised_for_what_it_was_fitted_to(corpus):
    bench = truth_bench(corpus, made_table(corpus, strengths=(0.0, 0.0, 0.0)), n_splits=3)
    for m in (*bench.reasons, *bench.combinations):
        assert m.auc < 0.6 and m.average_precision < 0.17, m.title  # by chance: one in ten
    assert not bench.reaches and verdict(bench).startswith("Not reached")
    assert "Use " in advice(bench)


def test_each_combination_is_fitted_without_the_other_half(corpus):
    table = made_table(corpus)
    own = table.query_row < 30
    parts = []
    for spoiled in (False, True):  # the measuring half turned upside down must change nothing that was fitted
        doubts = {k: np.where(own | (not spoiled), v, -v) for k, v in table.doubts.items()}
        half = Half(REASONS, {k: v[own] for k, v in doubts.items()}, table.grade[own] > 0, table.query_row[own])
        parts.append([fit(half, 0) for fit in FITTERS])
    for first, second in zip(*parts, strict=True):
        np.testing.assert_array_equal(first.tuning_scores, second.tuning_scores)
        assert first.about == second.about
    assert [f.key for f in parts[0]] == ["any", "k-of-n", "learned-200", "learned-all"]
    assert np.isnan(parts[0][2].tuning_scores).sum() == 200  # its verdicts do not choose its threshold


def test_judged_pools_leave_unjudged_pairs_out(corpus):
    rows = [(q, d, 1 if d < 3 else 0) for q in range(N_QUERIES) for d in range(10)]
    pooled = make_corpus(["x"] * 41, ["y"] * N_QUERIES, [(0, 40)])
    pooled.truth = Judgements.from_pairs(*zip(*rows, strict=True), N_QUERIES)
    assert truth_bench(pooled, made_table(corpus), n_splits=1).n_pairs == 600
    assert truth_bench(pooled, made_table(corpus), n_splits=1, only_judged=False).n_pairs == 1800


def test_without_truth_there_is_no_bench(corpus):
    with pytest.raises(CorpusError, match="no truth"):
        truth_bench(make_corpus(["a"], ["b"], [(0, 0)]), made_table(corpus))
    with pytest.raises(CorpusError, match="too few"):
        truth_bench(make_corpus(["a"] * 41, ["b"] * 60, [(0, 40)], truth_pairs=[(0, 1)]), made_table(corpus))


def test_rates_of_sources_equal_a_loop(tiny_corpus):
    context = MiningContext(tiny_corpus, lambda which: None)
    evidence = Evidence(tiny_corpus, context, untrained_vectors(tiny_corpus, {"key": "static"}), guide=None)
    rates = {rate.name: rate for rate in sampler_rates(evidence)}
    found, n = 0, 0
    for q in np.unique(context.training_pairs[0]):
        scores = context.bm25.scores(tiny_corpus.query_texts([q])[0])
        ranked = sorted((d for d in range(60) if scores[d] != 0), key=lambda d: (-scores[d], d))[:10]
        open_ = [d for d in ranked if not context.protected.contains(q, d)]
        found, n = found + sum(tiny_corpus.truth.grade_of(q, d) >= 1 for d in open_), n + len(open_)
    first = rates["BM25"].bands[0]
    assert (first.label, first.n_false, first.n) == ("1-10", found, n) and first.low <= first.rate <= first.high
    assert "ance" in rates and "random" in rates and not rates["random"].bands and rates["random"].overall.n > 0
    assert json.dumps([rate.to_dict() for rate in rates.values()], allow_nan=False)


def test_a_plan_hides_the_same_labels_from_both_recipes(tiny_corpus):
    plan = dose_plan("somewhere", tiny_corpus, shares=(0, 0.5), seeds=(0, 1), epochs=2)
    assert len(plan) == 8 and [share_of(c) for c in plan] == [0] * 4 + [0.5] * 4 and all(c.epochs == 2 for c in plan)
    assert plan[4].corpus == plan[5].corpus == "planted:0.5:0:somewhere" and plan[4].recipe != plan[5].recipe
    with pytest.raises(ParameterError, match="itself"):
        dose_plan("planted:0.5:0:somewhere", tiny_corpus)
    with pytest.raises(ParameterError, match="Shares"):
        dose_plan("somewhere", tiny_corpus, shares=(1.5,))


def command(*arguments, capsys):
    code = main([*map(str, arguments), "--json"])
    out, err = capsys.readouterr()
    return code, json.loads(out.splitlines()[-1]) if code == 0 else err


@pytest.mark.slow
def test_the_command_audits_a_trial_and_doses(tiny_folder, workspace, tmp_path, capsys):
    code, trained = command("train", tiny_folder, "--recipe", "ance", "--epochs", 2, capsys=capsys)
    assert code == 0
    code, told = command("audit", tiny_folder, "--trial", trained["trial"], "--no-cross", "--splits", 2, capsys=capsys)
    assert code == 0 and told["n_candidates"] > 100 and "cross-encoder" in told["unsaid"]
    for found in told["reasons"].values():
        assert {"auc", "average_precision", "threshold", "precision", "recall", "n"} <= set(found)
    assert told["advice"] and told["best_combination"]["key"] in told["combinations"]
    assert any(rate["kind"] == "trial" for rate in told["false_negative_rate"])

    table = parquet.read_table(TrialResults(trained["trial"]).tables()[0].path)
    corpus = load_corpus(tiny_folder)
    queries, docs = corpus.query_ids(table["query_row"].to_numpy()[:40]), corpus.doc_ids(table["doc_row"].to_numpy()[:40])
    kinds = ["false-negative"] * 10 + ["true-negative"] * 30
    lines = [{"query_id": q, "doc_id": d, "verdict": kind} for q, d, kind in zip(queries, docs, kinds, strict=True)]
    verdicts = tmp_path / "v.jsonl"
    verdicts.write_text("".join(json.dumps(line) + "\n" for line in lines))
    of_trial = ("audit", tiny_folder, "--trial", trained["trial"], "--no-cross", "--splits", 1)
    code, learned = command(*of_trial, "--verdicts", verdicts, capsys=capsys)
    assert code == 0 and f"Learned from {len(lines)} verdicts" in learned["learned"]["sentence"]

    code, dose = command("audit", tiny_folder, "--dose", "--shares", "0,1", "--seeds", 1, "--epochs", 1, capsys=capsys)
    assert code == 0 and len(dose["doses"]) == 4 and set(dose["gaps"]) == {"0", "1"} and dose["measure"] == "truth.RR@10"
    assert [d["hidden"] for d in dose["doses"]] == [0, dose["doses"][1]["hidden"]] * 2 and dose["doses"][1]["hidden"] > 0
    assert dose["sentence"].startswith("With 0% hidden") and "RR@10 against truth" in dose["sentence"]
    by_hand = TrialResults(dose["trials"][0]).per_query()["truth.RR@10"].to_numpy()
    assert dose["doses"][0]["mean"] == pytest.approx(by_hand[~np.isnan(by_hand)].mean())
    code, again = command("audit", tiny_folder, "--dose", "--shares", "0,1", "--seeds", 1, "--epochs", 1, capsys=capsys)
    assert again["trials"] == dose["trials"]  # nothing is trained twice
    assert gather([]).gaps == {} and "nothing to compare" in gather([]).sentence


@pytest.mark.parametrize("arguments", [(), ("--dose", "--trial", "x"), ("--dose", "--shares", "a"), ("--dose", "--seeds", "0")])
def test_arguments_that_do_not_fit_are_refused_in_words(tiny_folder, workspace, arguments, capsys):
    assert main(["audit", str(tiny_folder), *arguments]) == 2
    assert capsys.readouterr().err.startswith("negspace: ")


def test_a_trial_trained_with_verdicts_is_no_witness(tiny_corpus, tmp_path, monkeypatch):
    monkeypatch.setattr(TrialResults, "vectors", lambda self, corpus: self.folder.name)
    config = TrialConfig(corpus="x", recipe=Recipe().to_dict())
    for name, verdicts in (("own", ""), ("seed", ""), ("judged", "0123456789abcdef")):
        write_config(tmp_path / name, dataclasses.replace(config, verdicts=verdicts))
        (tmp_path / name / "model").mkdir()
        (tmp_path / name / "result.json").write_text(json.dumps({"corpus_fingerprint": tiny_corpus.fingerprint}))
    assert [vectors for _, vectors in other_trials(TrialResults(tmp_path / "own"), tiny_corpus)] == ["seed"]
