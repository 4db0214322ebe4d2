"""Retraining from a page: the button's states, what it queues; and the comparison that opens on what the verdicts changed."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from streamlit.testing.v1 import AppTest

from core.audit.perfect import perfect_verdicts_of_trial
from core.lab.retrain import retrain_config, submit_retrain
from core.lab.store import Store
from core.lab.verdicts import Verdicts
from core.sampling.decisions import FILE, read_decided
from core.train.config import read_config, write_config
from core.train.results import TrialResults
from core.train.trial import run_trial
from tests.test_page_compare import page
from tests.test_page_negatives import _clean, corpus_link, train, words  # noqa: F401


def button_page() -> None:
    import streamlit as st

    from pages.ui import frame
    from pages.ui.retrain import retrain_button

    with frame("Train") as session:
        retrain_button(session, session.store.get(st.session_state["shown_trial"]), key="r")


def button(trial_id: str, corpus: str) -> AppTest:
    at = AppTest.from_function(button_page, default_timeout=60)
    at.session_state["shown_trial"] = trial_id
    at.query_params["corpus"] = corpus
    return at.run()


@pytest.fixture
def judged(corpus_link, train, tiny_corpus):  # noqa: F811
    """A finished ANCE trial whose true candidates a judge called false negatives."""
    trial_id = train("ance")
    store = Store()
    decided = perfect_verdicts_of_trial(tiny_corpus, TrialResults(store.get(trial_id).folder))
    for query_id, doc_id in decided:
        Verdicts(store).record(tiny_corpus.fingerprint, query_id, doc_id, "Ada", "false-negative")
    return trial_id, decided


def test_without_a_verdict_the_button_waits_and_says_so(root, corpus_link, train):  # noqa: F811
    at = button(train("ance"), corpus_link)
    assert not at.exception and not at.error
    assert "Nothing is decided yet" in words(at) and not at.radio


def test_one_press_queues_the_child_with_its_verdicts(root, corpus_link, judged, monkeypatch):  # noqa: F811
    from pages.ui import services

    trial_id, decided = judged
    woken = []
    monkeypatch.setattr(services, "scheduler", lambda: SimpleNamespace(wake=lambda: woken.append(1)))
    at = button(trial_id, corpus_link)
    assert not at.exception and f"{len(decided)} false negatives" in words(at)
    at.radio(key="r.use").set_value("promote").run()
    at.button(key="r.train").click().run()
    assert woken and not at.exception
    store = Store()
    [child] = [row for row in store.list() if row.config.get("like") == trial_id]
    config = read_config(child.folder)
    assert config.verdict_use == "promote" and read_decided(child.folder / FILE) == decided
    assert child.state in ("queued", "running") and child.owner
    assert "verdicts promoted" in words(button(trial_id, corpus_link)).replace("\\", "")


def test_the_comparison_opens_on_what_the_verdicts_changed(root, corpus_link, judged, tiny_corpus):  # noqa: F811
    trial_id, decided = judged
    store = Store()
    parent = store.get(trial_id)
    config, files = retrain_config(read_config(parent.folder), trial_id, decided, use="promote")
    folder = store.workspace.trials / "child"
    write_config(folder, config)
    for name, data in files.items():
        (folder / name).write_bytes(data)
    run_trial(folder, threads=1, corpus=tiny_corpus)
    store.adopt()
    at = page(root, corpus=corpus_link, trials=f"{trial_id},child")
    assert not at.exception and not at.error
    assert at.subheader[0].value == "What the verdicts changed"
    told = words(at).replace("\\", "")
    assert "Judged by the labels" in told and "Judged by the truth" in told and f"{len(decided)} false negatives" in told
    labels, truth = (at.dataframe[i].value.set_index("measure") for i in (0, 1))
    before, after = TrialResults(parent.folder).result, TrialResults(folder).result
    for measure in ("RR@10", "MAP"):
        assert labels.loc[measure, "before"] == pytest.approx(before["metrics"][measure])
        assert truth.loc[measure, "after"] == pytest.approx(after["truth_metrics"][measure])
        assert truth.loc[measure, "change"] == pytest.approx(after["truth_metrics"][measure] - before["truth_metrics"][measure])
    alone = page(root, corpus=corpus_link, trials="child")
    assert not alone.exception and "What the verdicts changed" not in [s.value for s in alone.subheader]


def test_a_waiting_child_is_no_comparison_yet(root, corpus_link, judged):  # noqa: F811
    trial_id, decided = judged
    child = submit_retrain(Store(), trial_id, decided)
    at = page(root, corpus=corpus_link, trials=f"{trial_id},{child.id}")
    assert not at.exception and "What the verdicts changed" not in [s.value for s in at.subheader]
