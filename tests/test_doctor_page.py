"""The Corpus page's views of the doctor and of planted truth, each alone."""

from __future__ import annotations

from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from core.corpus.load import load_corpus
from core.lab.corpora import add_corpus, list_corpora
from core.lab.store import Store
from core.lab.workspace import Workspace
from tests.corpus_files import write
from tests.test_doctor import faulty


def page(root: Path, **params: str) -> AppTest:
    at = AppTest.from_file(str(root / "pages" / "corpus.py"), default_timeout=60)
    for name, value in params.items():
        at.query_params[name] = value
    return at.run()


def known(folder: Path, workspace: Path) -> str:
    corpus = load_corpus(folder)
    store = Store(Workspace(workspace))
    add_corpus(store, spec=str(folder), name=corpus.name, fingerprint=corpus.fingerprint, n_documents=1, n_queries=1)
    return corpus.fingerprint


@pytest.fixture
def ill(workspace, tmp_path) -> str:
    return known(write(faulty(), tmp_path / "ill"), workspace)


@pytest.fixture
def tiny(workspace, tiny_folder) -> str:
    return known(tiny_folder, workspace)


def labels(at: AppTest) -> set[str]:
    return {button.label for button in at.button}


def words(at: AppTest) -> str:
    return " ".join(element.value for element in [*at.markdown, *at.caption]).replace("\\", "")


def corpora() -> list:
    return list(list_corpora(Store(Workspace())))


def test_findings_are_cards_with_counts_and_remedies(root, ill):
    at = page(root, corpus=ill, view="doctor")
    assert not at.exception
    text = words(at)
    assert "Judgements that point nowhere" in text and "2 of 21 documents" in text and "Unlabelled copies of positives" in text
    assert {"Merge duplicates", "Drop seen test queries", "Protect twins", "Clean all of it"} <= labels(at)


def test_examples_open_by_link_and_show_both_texts(root, ill):
    at = page(root, corpus=ill, view="doctor", finding="exact_duplicates")
    assert not at.exception and "Hide examples" in labels(at)
    assert "`d17`" in words(at) and "`d16`" in words(at)
    at.button(key="doctor.exact_duplicates.doc0").click().run()
    assert not at.exception and at.query_params["doc"] == "d17" and "view" not in at.query_params
    assert page(root, corpus=ill, view="doctor", finding="dangling_qrels").dataframe[-1].value.shape == (3, 1)


def test_a_cleaned_copy_is_kept_and_opened(root, ill):
    at = page(root, corpus=ill, view="doctor")
    at.button(key="doctor.clean").click().run()
    assert not at.exception
    newest = corpora()[0]
    assert newest.name == "ill cleaned" and at.query_params["corpus"] == newest.fingerprint and newest.fingerprint != ill
    assert load_corpus(newest.spec).n_documents == 18
    assert at.title[0].value == "ill cleaned"


def test_positives_are_hidden_by_a_button(root, tiny):
    at = page(root, corpus=tiny, view="planted", hide="1.0")
    assert not at.exception and "cannot be, because each query keeps one" in words(at)
    next(b for b in at.button if b.label.startswith("Open the corpus with hidden")).click().run()
    assert not at.exception
    newest = corpora()[0]
    assert newest.spec.startswith("planted:1:0:") and at.query_params["corpus"] == newest.fingerprint
    again = page(root, corpus=newest.fingerprint, view="planted")
    assert "hidden already" in again.info[0].value


def test_a_corpus_with_one_label_a_query_has_nothing_to_hide(root, workspace, tmp_path):
    from tests.corpus_files import flawless

    at = page(root, corpus=known(write(flawless(), tmp_path / "single"), workspace), view="planted")
    assert "No training query has two positives" in at.info[0].value
