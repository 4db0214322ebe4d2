"""The Map page alone: every state, from no trial to a trained one, and links that are wrong."""

from __future__ import annotations

import dataclasses
import json

import pytest
from streamlit.testing.v1 import AppTest

from core.sampling.presets import PRESETS
from core.train.config import TrialConfig
from core.train.trial import run_trial


@pytest.fixture(autouse=True)
def _quiet(workspace, monkeypatch):
    """No scheduler and no compiling in the background: no thread outlives the test."""
    from core.project import umap_map
    from pages.ui import services

    monkeypatch.setattr(services, "scheduler", lambda: None)
    monkeypatch.setattr(umap_map, "warm_in_background", lambda: None)


@pytest.fixture
def submit(workspace, tiny_folder, tiny_corpus):
    """Put a trial of the tiny corpus into the workspace, trained when asked; returns its row."""
    from core.lab.corpora import add_corpus
    from core.lab.store import Store

    store = Store()
    size = {"n_documents": tiny_corpus.n_documents, "n_queries": tiny_corpus.n_queries}
    add_corpus(store, spec=str(tiny_folder), name="tiny", fingerprint=tiny_corpus.fingerprint, **size)

    def make(preset: str, train: bool = True):
        config = TrialConfig(
            corpus=str(tiny_folder),
            corpus_fingerprint=tiny_corpus.fingerprint,
            corpus_name="tiny",
            name=f"try *{preset}*",
            recipe=PRESETS[preset].recipe.to_dict(),
            epochs=2,
            snapshots=3,
        )
        row = store.submit(dataclasses.asdict(config), config.name)
        if train:
            run_trial(row.folder, threads=1)
        else:
            (row.folder / "trial.json").write_text(json.dumps({"name": config.name, "config": config.to_dict()}))
        return row

    yield make
    store.close()


def open_map(root, **params: str) -> AppTest:
    at = AppTest.from_file(str(root / "pages/map.py"), default_timeout=120)
    for key, value in params.items():
        at.query_params[key] = value
    return at.run()


def words(at: AppTest) -> str:
    kinds = (at.title, at.markdown, at.caption, at.info, at.error, at.warning)
    return " ".join(str(e.value) for kind in kinds for e in kind)


def figure(at: AppTest) -> dict:
    return json.loads(at.get("plotly_chart")[0].proto.spec)


def test_without_a_trial_it_says_what_to_do(root):
    at = open_map(root)
    assert not at.exception and not at.error
    assert "no trial" in words(at) and "Train one" in {b.label for b in at.button}


def test_an_unknown_trial_is_one_sentence_and_the_list(root, submit):
    submit("random", train=False)
    at = open_map(root, trial="20200101-ffffff")
    assert not at.exception
    assert len(at.error) == 1 and at.title[0].value == "Map"


def test_a_trial_without_a_snapshot_waits(root, submit):
    at = open_map(root, trial=submit("random", train=False).id)
    assert not at.exception and not at.error
    assert "No snapshot has been written yet" in words(at)
    assert not at.get("plotly_chart")


def test_a_trained_trial_is_drawn_by_roles_with_its_neighbours(root, submit, tiny_corpus):
    row = submit("ance")
    at = open_map(root, trial=row.id)
    assert not at.exception and not at.error
    assert at.query_params["corpus"] == tiny_corpus.fingerprint
    drawn = figure(at)
    carried = [point[0] for trace in drawn["data"] for point in trace.get("customdata") or ()]
    assert sorted(i for i in carried if i.startswith("d:")) == sorted(f"d:{i}" for i in tiny_corpus.doc_ids())
    assert len(carried) == len(set(carried))
    assert len(drawn["frames"]) == 4  # three snapshots and the way back
    neighbours = at.dataframe[0].value
    assert neighbours["rank"].tolist() == list(range(1, 11))
    assert neighbours["score"].is_monotonic_decreasing


def test_going_through_queries_and_snapshots_stays_in_the_link(root, submit, tiny_corpus):
    row = submit("bm25")
    at = open_map(root, trial=row.id)
    first = at.query_params.get("query")
    at.button(key="map.next").click().run()
    second = at.query_params["query"]
    assert not at.exception and second != first
    at.button(key="map.previous").click().run()
    at.button(key="map.next").click().run()
    assert at.query_params["query"] == second
    at.button(key="map.random").click().run()
    assert at.query_params["query"] != second
    at.button(key="map.suspects").click().run()
    assert not at.exception
    again = open_map(root, trial=row.id, query=second, step="0", points="500", pointer="lasso")
    assert not again.exception and not again.warning
    assert figure(again)["layout"]["dragmode"] == "lasso"
    assert "(untrained)" in words(again)


def test_a_negative_in_the_link_opens_its_card(root, submit, tiny_corpus):
    from core.train.results import TrialResults

    row = submit("bm25")
    results = TrialResults(row.folder)
    found = results.candidates(results.tables()).to_pylist()
    pair = next(r for r in found if r["kept"])
    query_id, doc_id = tiny_corpus.query_ids([pair["query_row"]])[0], tiny_corpus.doc_ids([pair["doc_row"]])[0]
    at = open_map(root, trial=row.id, query=query_id, doc=doc_id)
    assert not at.exception
    said = words(at).replace("\\", "")
    assert "Looked at in" in said and "Who else took it" in said and "What do you say?" in said
    assert doc_id in words(at)


def test_a_recipe_that_mines_nothing_says_so(root, submit):
    at = open_map(root, trial=submit("in-batch").id)
    assert not at.exception and not at.error
    assert "mines no negatives" in words(at)
    names = [trace.get("name", "") for trace in figure(at)["data"] if trace.get("customdata")]
    assert not any(name.startswith(("negatives", "suspects")) for name in names)


def test_hostile_links_never_break_the_page(root, submit):
    row = submit("random")
    at = open_map(root, trial=row.id, query="<b>$x$", doc="../", step="7", points="x", pointer="]", find="(")
    assert not at.exception and not at.error
    assert len(at.warning) >= 3
