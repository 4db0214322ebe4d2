"""The table of suspects: against loops over a trial's files, its order, its cache, what verdicts change."""

from __future__ import annotations

import numpy as np
import pytest

from core.audit.combine import AnyReason, KOfN, LearnedFromVerdicts
from core.audit.evidence import Evidence, evidence_of_trial
from core.audit.reasons import default_reasons, make_reason
from core.audit.suspect_table import lessons_of, softmax_weights, suspect_table, suspects_of_imported, suspects_of_trial
from core.audit.trial_figures import pairs_of
from core.corpus.corpus import Corpus
from core.corpus.imported import ImportedNegatives
from core.errors import ParameterError, TrialError
from core.sampling.context import MiningContext
from core.sampling.presets import PRESETS
from core.train.config import TrialConfig, write_config
from core.train.results import TrialResults
from core.train.trial import run_trial
from tests.small import make_context, make_corpus


@pytest.fixture(scope="module")
def trial(tmp_path_factory, tiny_folder) -> TrialResults:
    folder = tmp_path_factory.mktemp("suspects") / "t"
    recipe = PRESETS["nv-retriever"].recipe.to_dict()
    write_config(folder, TrialConfig(corpus=str(tiny_folder), recipe=recipe, name="nv", epochs=3, batch_size=8))
    run_trial(folder, threads=1)
    return TrialResults(folder)


@pytest.fixture(scope="module")
def context(tiny_corpus) -> MiningContext:
    return MiningContext(tiny_corpus, lambda which: None)


@pytest.fixture(scope="module")
def evidence(tiny_corpus, trial, context) -> Evidence:
    return evidence_of_trial(tiny_corpus, trial, context)


@pytest.fixture(scope="module")
def table(tiny_corpus, trial, context, evidence):
    return suspects_of_trial(tiny_corpus, trial, context, evidence=evidence, use_cache=False)


def test_the_pairs_are_the_kept_ones_each_once(table, trial, tiny_corpus, context):
    rows = trial.candidates(trial.tables()).to_pylist()
    kept = {(r["query_row"], r["doc_row"]) for r in rows if r["kept"]}
    kept = {pair for pair in kept if not context.protected.contains(*pair)}
    pairs = list(zip(table.query_row.tolist(), table.doc_row.tolist(), strict=True))
    assert pairs == sorted(kept) and len(pairs) > 100
    for i, pair in enumerate(pairs):
        own = [r for r in rows if (r["query_row"], r["doc_row"]) == pair]
        assert table.times_used[i] == sum(r["times_used"] for r in own)
        assert table.harm[i] == pytest.approx(sum(r["times_used"] * (r["weight"] or 0) for r in own), rel=1e-5)
        assert table.rank[i] == own[-1]["rank"]
        assert table.grade[i] == tiny_corpus.truth.grade_of(*pair)


def test_refused_candidates_only_when_asked(table, trial, tiny_corpus, context, evidence):
    more = suspects_of_trial(tiny_corpus, trial, context, evidence=evidence, include_refused=True, use_cache=False)
    assert len(more) > len(table)
    assert not tiny_corpus.positives.contains(more.query_row, more.doc_row).any()


def test_every_column_is_there_or_its_absence_is_told(table):
    keys = {reason.key for reason in default_reasons()}
    assert set(table.doubts) == set(table.flags) == keys - set(table.missing)
    assert set(table.missing) == {"cross-encoder", "trials", "clicked"}
    for reason in table.reasons:
        assert table.flags[reason.key].tolist() == [not np.isnan(d) and d >= np.float32(reason.threshold) for d in table.doubts[reason.key]]
    assert table.is_suspect.tolist() == [n >= 4 for n in table.n_reasons]


def test_the_order_is_doubt_times_harm(table):
    rows = range(len(table))
    product = table.combined * table.harm
    wanted = sorted(rows, key=lambda i: (-product[i], -table.combined[i], table.query_row[i], table.doc_row[i]))
    assert table.order().tolist() == wanted
    some = table.take(table.is_suspect)
    assert len(some) == table.is_suspect.sum() and some.reasons == table.reasons and len(some.doubts["margin"]) == len(some)


def test_history_says_how_much_less_than_expected_a_score_fell(table, trial, evidence):
    rows = trial.candidates(trial.tables()).to_pylist()
    falls, pulls, pairs = [], [], []
    for q, d in zip(table.query_row.tolist(), table.doc_row.tolist(), strict=True):
        own = [r for r in rows if (r["query_row"], r["doc_row"]) == (q, d)]
        pull = sum(r["times_used"] * (r["weight"] or 0) for r in own)
        if sum(r["times_used"] for r in own):
            now = evidence.vectors.score_pairs(np.array([q]), np.array([d]))[0]
            falls.append(own[0]["model_score"] - now)
            pulls.append(np.log1p(pull))
            pairs.append((q, d))
    slope, offset = np.polyfit(pulls, falls, 1)
    residual = offset + slope * np.array(pulls) - np.array(falls)
    wanted = dict(zip(pairs, residual / residual.std(), strict=True))
    found = {(q, d): v for q, d, v in zip(table.query_row.tolist(), table.doc_row.tolist(), table.doubts["history"], strict=True)}
    assert {pair for pair, v in found.items() if not np.isnan(v)} == set(wanted)
    np.testing.assert_allclose([found[pair] for pair in wanted], list(wanted.values()), atol=1e-3)


def test_columns_are_kept_and_thresholds_do_not_spoil_them(tiny_corpus, trial, context, evidence, table, monkeypatch):
    first = suspects_of_trial(tiny_corpus, trial, context, evidence=evidence)
    files = sorted((trial.folder / "suspects").iterdir())
    assert len(files) == len(first.doubts) and not any("part" in f.name for f in files)
    own = tuple(r.but(threshold=-1.0) if r.key == "like-positive" else r for r in default_reasons())
    monkeypatch.setattr("core.audit.doubt_columns._column", lambda *a: pytest.fail("computed again"))
    again = suspects_of_trial(tiny_corpus, trial, context, evidence=evidence, reasons=own)
    for key, column in table.doubts.items():
        np.testing.assert_array_equal(again.doubts[key], column)
    assert again.flags["like-positive"].sum() > first.flags["like-positive"].sum()
    assert sorted((trial.folder / "suspects").iterdir()) == files


def test_another_guide_does_not_read_the_kept_columns(tiny_corpus, trial, context, evidence, table):
    suspects_of_trial(tiny_corpus, trial, context, evidence=evidence)
    other = evidence_of_trial(tiny_corpus, trial, context, guide=trial.snapshot(trial.snapshots()[1]))
    found = suspects_of_trial(tiny_corpus, trial, context, evidence=other)
    assert not np.array_equal(found.doubts["guide"], table.doubts["guide"])
    np.testing.assert_array_equal(found.doubts["margin"], table.doubts["margin"])


def test_a_file_cut_short_is_computed_again(tiny_corpus, trial, context, evidence, table):
    suspects_of_trial(tiny_corpus, trial, context, evidence=evidence)
    for path in (trial.folder / "suspects").glob("margin-*.npy"):
        path.write_bytes(path.read_bytes()[:100])
    again = suspects_of_trial(tiny_corpus, trial, context, evidence=evidence)
    np.testing.assert_array_equal(again.doubts["margin"], table.doubts["margin"])


def verdicts_of(table, corpus, n=60):
    rows = np.random.default_rng(0).permutation(len(table))[:n]
    ids = zip(corpus.query_ids(table.query_row[rows]), corpus.doc_ids(table.doc_row[rows]), strict=True)
    kinds = np.where(table.doubts["like-positive"][rows] > np.median(table.doubts["like-positive"]), "false-negative", "true-negative")
    return dict(zip(ids, kinds.tolist(), strict=True))


def test_verdicts_teach_and_unsure_does_not(table, tiny_corpus, trial, context, evidence):
    verdicts = verdicts_of(table, tiny_corpus)
    lessons = lessons_of(evidence, table.reasons, {**verdicts, ("nowhere", "d"): "false-negative"})
    assert len(lessons) == 60
    unsure = {pair: "unsure" for pair in list(verdicts)[:10]}
    assert len(lessons_of(evidence, table.reasons, {**verdicts, **unsure})) == 50
    learned = table.decided(LearnedFromVerdicts(), lessons)
    direct = suspects_of_trial(
        tiny_corpus, trial, context, evidence=evidence, combination=LearnedFromVerdicts(), verdicts=verdicts, use_cache=False
    )
    np.testing.assert_array_equal(learned.combined, direct.combined)
    is_like = table.doubts["like-positive"] > np.median(table.doubts["like-positive"])
    assert (learned.is_suspect == is_like).mean() > 0.75 and learned.learned.n_verdicts == 60
    with pytest.raises(ParameterError, match="Judge some more"):
        table.decided(LearnedFromVerdicts())


def test_a_choice_of_reasons_decides_alone(table):
    one = (make_reason({"key": "margin", "threshold": 0.0}),)
    found = table.decided(AnyReason(), reasons=one)
    np.testing.assert_array_equal(found.is_suspect, table.doubts["margin"] >= 0)
    assert not table.decided(KOfN(k=2), reasons=one).is_suspect.any() and set(found.flags) == {"margin"}


def test_softmax_weights_equal_a_loop(tiny_corpus, evidence, table):
    found = softmax_weights(evidence, table.query_row, table.doc_row)
    scores = evidence.vectors.score_pairs(table.query_row, table.doc_row)
    for q in np.unique(table.query_row)[:5]:
        positives = tiny_corpus.positives.positives(q)
        lowest = evidence.vectors.score_pairs(np.full(len(positives), q), positives).min()
        own = table.query_row == q
        parts = np.exp(scores[own].astype(float) / 0.05)
        np.testing.assert_allclose(found[own], parts / (parts.sum() + np.exp(float(lowest) / 0.05)), rtol=1e-4)


def test_imported_negatives_get_reasons_without_training():
    documents = ["a red fox in a den", "a red fox in the den", "a wolf", "a bear", "a red fox in a den"]
    plain = make_corpus(documents, ["red fox home", "wolf"], [(0, 0), (1, 2)])
    mined = ImportedNegatives.from_mentions([0, 0, 0, 1], [1, 4, 0, 3], [np.nan] * 4, [np.nan] * 2, "triplets")
    corpus = Corpus("mined", plain.documents, plain.queries, plain.splits, imported=mined)
    context = make_context(corpus)
    found = suspects_of_imported(corpus, context, context.vectors())
    # Document 0 is the label itself and 4 its copy: both are findings of their own, not doubts.
    assert list(zip(found.query_row.tolist(), found.doc_row.tolist(), strict=True)) == [(0, 1), (1, 3)]
    assert found.rank.tolist() == [1, 1] and (found.harm > 0).all() and not found.times_used.any() and found.grade is None
    assert {"history", "trials", "guide", "cross-encoder"} <= set(found.missing) and "near-duplicate" in found.doubts


def test_no_pairs_and_no_reasons_give_an_empty_answer(evidence, tiny_corpus, context, tmp_path):
    nothing = np.empty(0, np.int64)
    assert len(suspect_table(evidence, nothing, nothing)) == 0
    assert not suspect_table(evidence, np.array([0]), np.array([5]), reasons=()).is_suspect.any()
    recipe = PRESETS["in-batch"].recipe.to_dict()
    write_config(tmp_path / "t", TrialConfig(corpus="x", recipe=recipe))
    with pytest.raises(TrialError, match="no table"):
        suspects_of_trial(tiny_corpus, TrialResults(tmp_path / "t"), context)
    assert len(pairs_of(evidence.table)) > 0
