"""The form of a table on the Corpus page, and `negspace import`."""

from __future__ import annotations

import json

import pytest
from streamlit.testing.v1 import AppTest

from core.cli import main
from core.corpus.load import load_corpus
from core.lab.corpora import add_corpus
from core.lab.store import Store
from tests import corpus_exports as out

ROWS = [{"q": f"what is *{i}*?", "a": f"<b>it is {i}</b>", "neg": f"it is {i + 1}"} for i in range(10)]


@pytest.fixture(autouse=True)
def _clean(workspace, monkeypatch):
    from pages.ui import services

    monkeypatch.setattr(services, "scheduler", lambda: None)


def table_page(root) -> AppTest:
    at = AppTest.from_file(str(root / "pages" / "corpus.py"), default_timeout=60)
    at.query_params["way"] = "table"
    return at.run()


def test_a_table_is_previewed_guessed_and_made_a_corpus(root, tmp_path, workspace):
    data = out.write_csv(ROWS, tmp_path / "faq.csv").read_bytes()
    at = table_page(root)
    assert not at.exception and len(at.get("file_uploader")) == 1 and not at.dataframe
    at.get("file_uploader")[0].set_value(("faq.csv", data, "text/csv")).run()
    assert not at.exception and len(at.dataframe[0].value) == 10
    chosen = {box.label: box.value for box in at.selectbox}
    assert (chosen["Query"], chosen["Positive"]) == ("q", "a") and at.multiselect[0].value == ["neg"]
    next(button for button in at.button if button.label == "Make a corpus of it").click().run()
    assert not at.exception and not at.error
    saved = [load_corpus(folder) for folder in (workspace / "uploads").iterdir()]
    assert [corpus.n_queries for corpus in saved] == [10] and len(saved[0].imported) == 10


def test_imported_negatives_are_looked_at_without_training(root, tmp_path, workspace):
    rows = [*ROWS, {"q": "what is *3*?", "a": "<b>it is 3</b>", "neg": "<b>it is 3</b>"}]
    corpus = load_corpus(out.write_csv(rows, tmp_path / "faq.csv"))
    store = Store()
    add_corpus(store, spec=str(tmp_path / "faq.csv"), name="faq", fingerprint=corpus.fingerprint, n_documents=1, n_queries=1)
    store.close()
    at = AppTest.from_file(str(root / "pages" / "corpus.py"), default_timeout=60)
    at.query_params["corpus"], at.query_params["view"] = corpus.fingerprint, "imported"
    at.run()
    assert not at.exception and not at.error
    table = next(frame.value for frame in at.dataframe if "verdict" in frame.value)
    assert table["text"].tolist() == ["it is 4", "<b>it is 3</b>"]
    assert table["verdict"].tolist() == ["not suspected", "a labelled positive"]
    assert 0 <= table["doubt"][0] <= 1 and len(table["reasons"][1]) == 0, "what is labelled needs no doubt"


def test_what_cannot_be_read_is_said(root):
    at = table_page(root)
    at.get("file_uploader")[0].set_value(("x.csv", b"\xff\xfea", "text/csv")).run()
    assert not at.exception and any("Save the file as UTF" in error.value for error in at.error)


def test_import_writes_beir_again(tmp_path, capsys):
    path = out.write_csv(ROWS, tmp_path / "faq.csv")
    folder = tmp_path / "out"
    assert main(["import", f"csv:{path}?query=q&positive=a", "--out", str(folder), "--workspace", str(tmp_path / "w"), "--json"]) == 0
    answer = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert answer["imported_negatives"] == 10 and load_corpus(folder).fingerprint == answer["fingerprint"]
    assert main(["import", str(path), "--out", str(folder), "--workspace", str(tmp_path / "w")]) == 2
    assert "is not empty" in capsys.readouterr().err
