"""The Suspects page in its states: nothing trained, a mined trial, an imported set, rules and filters in the link, hostile links."""

from __future__ import annotations

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from tests.trained import train_tiny


@pytest.fixture(autouse=True)
def _quiet(workspace, monkeypatch):
    """An empty workspace whose queue nobody works on, and no cross-encoder that another test's page trained on this corpus."""
    from pages.ui import evidence, services

    monkeypatch.setattr(services, "scheduler", lambda: None)
    evidence._crosses.clear()


@pytest.fixture
def corpus_link(workspace, tiny_folder, tiny_corpus) -> str:
    """The link of the tiny corpus, known in the workspace."""
    from core.lab.corpora import add_corpus
    from core.lab.store import Store

    store = Store()
    size = {"n_documents": tiny_corpus.n_documents, "n_queries": tiny_corpus.n_queries}
    add_corpus(store, spec=str(tiny_folder), name=tiny_corpus.name, fingerprint=tiny_corpus.fingerprint, **size)
    store.close()
    return tiny_corpus.fingerprint


@pytest.fixture
def trial(workspace, corpus_link, tiny_folder, tiny_corpus) -> str:
    """The id of a trained trial that mines."""
    train_tiny(tiny_corpus, tiny_folder, workspace / "trials" / "20260101-aaaaaa", "ance")
    return "20260101-aaaaaa"


def page(root, name: str = "suspects", **params: str) -> AppTest:
    at = AppTest.from_file(str(root / f"pages/{name}.py"), default_timeout=120)
    for key, value in params.items():
        at.query_params[key] = value
    return at.run()


def words(at: AppTest) -> str:
    kinds = (at.title, at.markdown, at.caption, at.info, at.error, at.warning)
    return " ".join(str(e.value) for kind in kinds for e in kind).replace("\\", "")


def shown(at: AppTest):
    return next(frame.value for frame in at.dataframe if "doubt" in frame.value)


def tile(at: AppTest, label: str) -> str:
    return next(metric.value for metric in at.metric if metric.label == label)


def test_without_a_trial_the_untrained_models_best_are_doubted(root, corpus_link, tiny_corpus):
    at = page(root, corpus=corpus_link, only="false")
    assert not at.exception and not at.error
    assert "No trial of this corpus has mined yet" in words(at)
    n = len(np.unique(tiny_corpus.splits["train"].only_positive().pairs()[0])) * 30
    assert int(tile(at, "Negatives").replace(",", "")) == n
    table = shown(at)
    assert {"query", "document", "doubt", "harm", "n", "truth", "rank", "s-", "copy"} <= set(table.columns)
    assert table["rank"].between(1, 30).all()


def test_the_table_is_the_cores_in_the_cores_order(root, trial, corpus_link, tiny_corpus, workspace):
    from core.audit.evidence import evidence_of_trial
    from core.audit.suspect_table import suspects_of_trial
    from core.sampling.context import MiningContext
    from core.train.results import TrialResults
    from core.train.vectors import untrained_vectors

    results = TrialResults(workspace / "trials" / trial)
    context = MiningContext(tiny_corpus, lambda which: None)
    evidence = evidence_of_trial(tiny_corpus, results, context, guide=untrained_vectors(tiny_corpus, {"key": "static"}))
    expected = suspects_of_trial(tiny_corpus, results, context, evidence=evidence, use_cache=False)
    at = page(root, corpus=corpus_link, trial=trial)
    assert not at.exception and not at.error
    order = [row for row in expected.order() if expected.is_suspect[row]]
    assert int(tile(at, "Suspects").replace(",", "")) == len(order) > 0
    table = shown(at)
    assert table["doubt"].tolist() == pytest.approx(expected.combined[order[:15]].tolist(), abs=1e-5)
    assert table["used"].tolist() == expected.times_used[order[:15]].tolist()
    is_true = expected.grade >= 1
    hits = int((is_true & expected.is_suspect).sum())
    assert f"precision {hits / len(order):.2f} ({hits:,} of its {len(order):,} suspects are relevant)" in words(at)
    assert f"recall {hits / is_true.sum():.2f}" in words(at)


def test_rule_thresholds_filters_and_order_live_in_the_link(root, trial, corpus_link):
    whole = {"corpus": corpus_link, "trial": trial, "only": "false"}
    any_rule = page(root, corpus=corpus_link, trial=trial, rule="any")
    three = page(root, corpus=corpus_link, trial=trial)
    five = page(root, corpus=corpus_link, trial=trial, rule='{"key":"k-of-n","k":5}')
    counts = [int(tile(at, "Suspects").replace(",", "")) for at in (any_rule, three, five)]
    assert counts[0] > counts[1] > counts[2]
    by_score = page(root, **whole, sort="score")
    assert shown(by_score)["s-"].is_monotonic_decreasing
    high = page(root, **whole, why="score", reasons="score:0.4")
    assert (shown(high)["s-"] >= 0.4 - 1e-6).all()
    without = page(root, **whole, reasons="score:off")
    assert not without.exception
    relevant = page(root, **whole, truth="relevant")
    assert set(shown(relevant)["truth"]) == {"◆ relevant"}
    learned = page(root, corpus=corpus_link, trial=trial, rule="learned")
    assert not learned.exception and "Learning needs at least" in words(learned)


def test_a_click_on_a_rule_changes_the_link(root, trial, corpus_link):
    at = page(root, corpus=corpus_link, trial=trial)
    at.button_group(key="suspects.rule.k-of-n").set_value("any").run()
    assert not at.exception and at.query_params["rule"] in ("any", ["any"])


def test_the_reasons_view_teaches_and_draws(root, trial, corpus_link):
    at = page(root, corpus=corpus_link, trial=trial, view="reasons", about="margin")
    assert not at.exception and not at.error
    assert "s- - s+" in words(at) and "Qwen3" in words(at)
    assert len(at.get("plotly_chart")) == 1


def test_the_link_opens_a_card_that_can_be_judged(root, trial, corpus_link, tiny_corpus, workspace):
    from core.lab.store import Store
    from core.lab.verdicts import Verdicts

    table = page(root, corpus=corpus_link, trial=trial)
    assert "What do you say?" not in words(table)
    from core.train.results import TrialResults

    results = TrialResults(workspace / "trials" / trial)
    pair = next(row for row in results.candidates(results.tables()).to_pylist() if row["kept"])
    query, doc = tiny_corpus.query_ids([pair["query_row"]])[0], tiny_corpus.doc_ids([pair["doc_row"]])[0]
    at = page(root, corpus=corpus_link, trial=trial, query=query, doc=doc, judge="Ada")
    assert not at.exception and not at.error
    assert "Who else took it" in words(at) and "the sum over its" in words(at)
    at.button(key="card.judge.false-negative").click().run()
    store = Store()
    [verdict] = Verdicts(store).list(corpus_link)
    assert (verdict.query_id, verdict.doc_id, verdict.judge, verdict.kind) == (query, doc, "Ada", "false-negative")
    store.close()
    judged = page(root, corpus=corpus_link, trial=trial, only="false", judged="false-negative")
    assert shown(judged)["judged"].tolist() == ["false negative"] and tile(judged, "Verdicts") == "1"


def test_the_card_uses_the_pages_thresholds(root, trial, corpus_link, tiny_corpus, workspace):
    from core.train.results import TrialResults

    results = TrialResults(workspace / "trials" / trial)
    pair = next(row for row in results.candidates(results.tables()).to_pylist() if row["kept"])
    query, doc = tiny_corpus.query_ids([pair["query_row"]])[0], tiny_corpus.doc_ids([pair["doc_row"]])[0]
    at = page(root, corpus=corpus_link, trial=trial, query=query, doc=doc, reasons="score:0.123")
    said = next(frame.value for frame in at.dataframe if "what it means" in frame.value)
    assert said.loc[said["reason"] == "Scores high", "from"].tolist() == [0.123]


def test_a_button_trains_the_cross_encoder_and_it_becomes_a_column(root, trial, corpus_link):
    at = page(root, corpus=corpus_link, trial=trial)
    assert "cross p" not in shown(at).columns
    at.button(key="suspects.cross").click().run()
    assert not at.exception and not at.error
    assert "Cross-encoder trained in" in words(at) or "Cross-encoder" in words(at)
    table = shown(at)
    assert table["cross p"].between(0, 1).all()
    assert "suspects.cross" not in {button.key for button in at.button}


def test_a_trial_that_mines_nothing_is_told_and_another_set_is_shown(root, workspace, corpus_link, tiny_corpus, tiny_folder):
    train_tiny(tiny_corpus, tiny_folder, workspace / "trials" / "20260101-bbbbbb", "in-batch")
    at = page(root, corpus=corpus_link, trial="20260101-bbbbbb")
    assert not at.exception and "mines nothing" in words(at)
    assert shown(at)["rank"].between(1, 30).all()


def test_hostile_links_never_break_the_page(root, trial, corpus_link):
    bad = {"rule": '{"key":', "reasons": "score:x,nope:1,margin:1e99", "sort": "<b>", "why": "$", "page": "-3", "doc": "../", "view": "?"}
    at = page(root, corpus=corpus_link, trial=trial, **bad)
    assert not at.exception
    assert not page(root, corpus=corpus_link, trial="20200101-nothere").exception


def test_the_bench_shows_advice_rates_and_the_dose_response(root, trial, corpus_link, workspace, tiny_corpus, tiny_folder):
    from core.corpus.planted import hide_positives, planted_spec

    train_tiny(hide_positives(tiny_corpus, 1.0), planted_spec(str(tiny_folder), 1.0), workspace / "trials" / "20260101-cccccc", "ance")
    at = page(root, corpus=corpus_link, trial=trial, view="bench", samplers="true")
    assert not at.exception and not at.error, [e.value for e in at.error]
    said = words(at)
    assert "Use \"" in said and "false negatives among" in said
    table = next(frame.value for frame in at.dataframe if "AUC" in frame.value)
    assert "★ best" in set(table[""]) and table["AUC"].dropna().between(0, 1).all()
    rates = next(frame.value for frame in at.dataframe if "sampler" in frame.value)
    assert {"BM25", "bm25", "ance"} <= set(rates["sampler"]) and rates["all ranks"].dropna().between(0, 100).all()
    assert "What planted false negatives do to a model" in " ".join(e.value for e in at.subheader)
    assert len(at.get("plotly_chart")) == 3


@pytest.fixture
def mined(workspace, tmp_path):
    """A mined set of somebody else's, known in the workspace: its corpus."""
    from core.corpus.load import load_corpus
    from core.lab.corpora import add_corpus
    from core.lab.store import Store
    from tests import corpus_exports as out

    rows = [
        {"q": f"what colour is a {name}", "a": f"A {name} is {colour}.", "neg": f"The {name} has the colour {colour}."}
        for name, colour in (("lemon", "yellow"), ("cherry", "red"), ("lime", "green"), ("plum", "blue"))
    ]
    path = out.write_csv(rows, tmp_path / "faq.csv")
    corpus = load_corpus(path)
    store = Store()
    add_corpus(store, spec=str(path), name="faq", fingerprint=corpus.fingerprint, n_documents=8, n_queries=4)
    store.close()
    return corpus


@pytest.mark.parametrize("name", ["suspects", "negatives"])
def test_an_imported_set_gets_reasons_without_any_training(name, root, mined, workspace):
    at = page(root, name, corpus=mined.fingerprint, only="false")
    assert not at.exception and not at.error
    table = shown(at)
    assert len(table) >= 1 and table["doubt"].between(0, 1).all()
    assert not list((workspace / "trials").glob("*")), "nothing was trained"
    doc = mined.doc_ids(mined.imported.doc_rows[:1])[0]
    query = mined.query_ids(mined.imported.query_rows[:1])[0]
    card = page(root, name, corpus=mined.fingerprint, query=query, doc=doc)
    assert not card.exception and "The imported set gives it as a negative" in words(card)
    assert "What do you say?" in words(card) and "the sum over its" in words(card)
