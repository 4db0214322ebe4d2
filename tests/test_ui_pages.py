"""Home and Corpus, each alone and through app.py: first visits, a corpus in full, and what goes wrong."""

from __future__ import annotations

import pytest
from streamlit.testing.v1 import AppTest

from core.corpus.load import load_corpus


@pytest.fixture(autouse=True)
def _clean(workspace, monkeypatch):
    """An empty workspace whose queue nobody works on: no thread or process outlives the test."""
    from pages.ui import services

    monkeypatch.setattr(services, "scheduler", lambda: None)


@pytest.fixture
def known(workspace, tiny_folder) -> str:
    """The link of the tiny corpus, known in the workspace."""
    from core.lab.corpora import add_corpus
    from core.lab.store import Store

    corpus = load_corpus(tiny_folder)
    store = Store()
    add_corpus(store, spec=str(tiny_folder), name=corpus.name, fingerprint=corpus.fingerprint, n_documents=60, n_queries=32)
    store.close()
    return corpus.fingerprint


def page(root, name: str, **params: str) -> AppTest:
    at = AppTest.from_file(str(root / name), default_timeout=60)
    for key, value in params.items():
        at.query_params[key] = value
    at.run()
    return at


def words(at: AppTest) -> str:
    return " ".join(str(e.value) for kind in (at.title, at.markdown, at.caption, at.info, at.error) for e in kind)


@pytest.mark.parametrize("name", ["pages/home.py", "app.py"])
def test_home_names_the_three_ways_and_the_empty_list(root, name):
    at = page(root, name)
    assert not at.exception and not at.error
    assert {"Try the sample", "Bring a corpus", "Open a trial"} <= {b.label for b in at.button}
    assert "No trials yet" in words(at)


def test_home_lists_trials_with_their_names_as_text(root, workspace):
    from core.lab.store import Store

    store = Store()
    store.submit({"corpus": "sample:lab", "recipe": {}, "corpus_name": "Lab"}, "Cost $5 *now*")
    store.close()
    at = page(root, "app.py")
    assert not at.exception
    assert "No trials yet" not in words(at)
    assert any(r"\$5 \*now\*" in str(e.proto.label) for e in at.get("page_link")) or any(r"\$5 \*now\*" in b.label for b in at.button)


def test_corpus_without_one_offers_the_ways(root):
    at = page(root, "pages/corpus.py")
    assert not at.exception and not at.error
    assert at.title[0].value == "Choose a corpus"


def test_corpus_by_path_is_loaded_and_named_by_its_content(root, tiny_folder, tiny_corpus):
    at = page(root, "pages/corpus.py", way="path")
    at.text_input[0].set_value(str(tiny_folder))
    at.button[0].click().run()
    assert not at.exception and not at.error
    assert at.query_params["corpus"] == tiny_corpus.fingerprint and "way" not in at.query_params
    assert {m.label: m.value for m in at.metric}["Documents"] == "60"


def test_a_path_without_a_corpus_is_one_sentence(root, tmp_path):
    at = page(root, "pages/corpus.py", way="path")
    at.text_input[0].set_value(str(tmp_path / "nowhere"))
    at.button[0].click().run()
    assert not at.exception
    assert len(at.error) == 1 and "nowhere" in at.error[0].value


def test_corpus_shows_figures_queries_and_positives(root, known, tiny_corpus):
    query_id = tiny_corpus.query_ids()[0]
    at = page(root, "pages/corpus.py", corpus=known, query=query_id)
    assert not at.exception and not at.error
    figures = {m.label: m.value for m in at.metric}
    assert figures["Documents"] == "60" and figures["Queries"] == "32" and "Unlabelled" in figures
    assert query_id in words(at) and "positive" in words(at)
    assert len(at.dataframe[-1].value) == 15


def test_search_narrows_and_pages_within_what_is_found(root, known, tiny_corpus):
    at = page(root, "pages/corpus.py", corpus=known, show="documents", find="TOMATO", page="9")
    assert not at.exception
    expected = sum("tomato" in text.lower() for text in tiny_corpus.document_texts())
    assert 0 < expected == len(at.dataframe[-1].value)


def test_search_without_a_hit_says_so(root, known):
    at = page(root, "pages/corpus.py", corpus=known, find="zzzz (")
    assert not at.exception
    assert "None of the 32 queries match" in words(at)


def test_an_unknown_corpus_offers_another(root):
    at = page(root, "pages/corpus.py", corpus="0123456789abcdef")
    assert not at.exception
    assert len(at.error) == 1 and "not in this workspace" in at.error[0].value
    assert "Choose another corpus" in {b.label for b in at.button}


def test_hostile_parameters_never_break_a_page(root, known):
    at = page(
        root,
        "pages/corpus.py",
        corpus=known,
        split="x'",
        page="-4",
        show="<b>",
        query="$nope$",
        doc="../",
        trial="a b",
        find="[",
    )
    assert not at.exception
    assert len(at.warning) >= 2


def failing():
    import streamlit as st

    from core.errors import CorpusError, ParameterError
    from pages.ui import frame

    with frame("Corpus"):
        kind = st.session_state.get("kind", "user")
        if kind == "user":
            raise ParameterError("RankWindow.last must be an int in [1, 10000]; got 0.")
        if kind == "many":
            raise CorpusError([f"qrels/train.tsv:{i}: *no* such query. Remove the line." for i in range(30)])
        raise ZeroDivisionError("a bug")


@pytest.mark.parametrize(("kind", "n_traces"), [("user", 0), ("many", 0), ("bug", 1)])
def test_errors_are_sentences_and_bugs_show(kind, n_traces):
    at = AppTest.from_function(failing)
    at.session_state["kind"] = kind
    at.run()
    assert len(at.error) == 1 and len(at.exception) == n_traces
    if kind == "user":
        assert at.error[0].value.startswith("RankWindow")
    elif kind == "many":
        assert at.error[0].value.startswith("30 faults") and len(at.dataframe[0].value) == 21
    else:
        assert "bug" in at.error[0].value


def test_the_first_page_imports_nothing_heavy(root):
    import subprocess
    import sys

    heavy = ("torch", "umap", "numba", "faiss", "sentence_transformers", "sklearn", "sqlalchemy")
    modules = "pages.ui, pages.ui.trials, pages.ui.hero, pages.ui.corpora"
    code = f"import sys; import {modules}; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_trial_is_brought_in_from_its_folder(workspace, tmp_path):
    from core.errors import TrialError
    from core.lab.bundle import bring_in
    from core.lab.store import Store
    from core.lab.workspace import Workspace

    other = Store(Workspace(tmp_path / "other"))
    there = other.submit({"corpus": "sample:lab", "recipe": {}, "corpus_name": "Lab"}, "From elsewhere")
    store = Store()
    here = bring_in(store, there.folder)
    assert (here.id, here.name, here.corpus) == (there.id, "From elsewhere", "sample:lab")
    assert here.state == "stopped" and (here.folder / "trial.json").is_file() and there.folder.is_dir()
    assert bring_in(store, here.folder).id == here.id
    assert bring_in(store, there.folder).id != here.id
    assert len(store.list()) == 2
    with pytest.raises(TrialError, match="trial.json"):
        bring_in(store, tmp_path)
    store.close(), other.close()


def untitled():
    from pages.ui import frame

    with frame("Corpus", has_title=False) as session:
        session.need_corpus()


def test_an_empty_page_has_a_heading_and_the_way_on():
    at = AppTest.from_function(untitled).run()
    assert not at.exception
    assert [t.value for t in at.title] == ["Corpus"] and [b.label for b in at.button] == ["Choose a corpus"]
