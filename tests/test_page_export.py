"""The export dialog on the pages: formats, settings, a file that is written, refusals in words, and a bundle that comes in."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as parquet
import pytest
from streamlit.testing.v1 import AppTest

from core.lab.bundle import open_bundle, write_bundle
from core.lab.store import Store
from tests.trained import train_tiny


@pytest.fixture(autouse=True)
def _clean(workspace, monkeypatch):
    from pages.ui import services

    monkeypatch.setattr(services, "scheduler", lambda: SimpleNamespace(max_running=1, wake=lambda: None))


@pytest.fixture
def known(workspace, tiny_folder, tiny_corpus) -> Store:
    from core.lab.corpora import add_corpus

    store = Store()
    counts = {"n_documents": tiny_corpus.n_documents, "n_queries": tiny_corpus.n_queries}
    add_corpus(store, spec=str(tiny_folder), name=tiny_corpus.name, fingerprint=tiny_corpus.fingerprint, **counts)
    yield store
    store.close()


def trial(known: Store, tiny_corpus, tiny_folder, preset: str):
    """A finished trial of the workspace."""
    folder = known.workspace.trials / f"20261121-{preset}"
    train_tiny(tiny_corpus, tiny_folder, folder, preset, encoder={"key": "char-ngram", "dim": 8, "buckets": 256})
    known.adopt()
    return known.get(folder.name)


def dialog():
    import streamlit as st

    from pages.ui import frame
    from pages.ui.export import export_dialog

    with frame("Train", has_title=False) as session:
        export_dialog(session, session.store.get(st.query_params["trial"]))


def opened(row, **settings) -> AppTest:
    at = AppTest.from_function(dialog, default_timeout=60)
    at.query_params["trial"] = row.id
    at.run()
    for key, value in settings.items():
        at.selectbox(key=f"export.{key}").set_value(value).run()
    return at


def words(at: AppTest) -> str:
    return " ".join(str(e.value) for kind in (at.markdown, at.caption, at.info, at.error) for e in kind)


def prepare(at: AppTest) -> AppTest:
    next(b for b in at.button if b.label == "Prepare the file").click()
    return at.run()


def test_a_set_is_prepared_and_offered(known, tiny_corpus, tiny_folder, workspace):
    row = trial(known, tiny_corpus, tiny_folder, "ance")
    at = opened(row, format="flagembedding", of="kept")
    assert not at.exception and "FlagEmbedding (BGE)" in words(at).replace("\\", "")
    prepare(at)
    assert not at.exception and not at.error
    button = at.get("download_button")[0]
    assert button.proto.label.startswith("Download (")
    written = list((workspace / "cache" / "exports").glob("*/export.jsonl"))
    assert len(written) == 1 and written[0].read_text(encoding="utf-8").startswith('{"query": ')
    again = opened(row, format="flagembedding", of="kept")
    assert again.get("download_button") and not [b for b in again.button if b.label == "Prepare the file"]


@pytest.mark.parametrize("name", ["n-tuple", "trec-run", "qrels", "beir", "script", "bundle"])
def test_every_kind_of_file_can_be_written(known, tiny_corpus, tiny_folder, name):
    at = prepare(opened(trial(known, tiny_corpus, tiny_folder, "bm25"), format=name))
    assert not at.exception and not at.error and at.get("download_button")


def test_what_cannot_be_written_is_said(known, tiny_corpus, tiny_folder):
    row = trial(known, tiny_corpus, tiny_folder, "in-batch")
    at = opened(row)
    assert not at.exception and "mined nothing" in words(at) and not [b for b in at.button if b.label == "Prepare the file"]
    assert "Nobody has judged" in words(opened(row, format="verdicts"))
    waiting = known.submit({"corpus": str(tiny_folder), "corpus_fingerprint": tiny_corpus.fingerprint, "recipe": {}}, "Waits")
    assert "still training" in words(opened(waiting, format="bundle"))


def test_a_choice_that_leaves_nothing_is_one_sentence(known, tiny_corpus, tiny_folder):
    at = opened(trial(known, tiny_corpus, tiny_folder, "bm25"), format="n-tuple")
    at.selectbox(key="export.of").set_value("used").run()
    folder = known.list()[0].folder / "candidates"
    for path in folder.glob("*.parquet"):  # a trial that was stopped before it used anything
        table = parquet.read_table(path)
        unused = pa.array(np.zeros(table.num_rows, np.int32))
        parquet.write_table(table.set_column(table.schema.get_field_index("times_used"), "times_used", unused), path)
    prepare(at)
    assert not at.exception and len(at.error) == 1 and "Nothing is left to export" in at.error[0].value.replace("\\", "")
    at.selectbox(key="export.of").set_value("kept").run()
    prepare(at)
    assert at.get("download_button") and not at.error


@pytest.mark.parametrize(("page", "view"), [("train", {}), ("negatives", {"view": "trial"})])
def test_the_pages_have_the_button(root, known, tiny_corpus, tiny_folder, page, view):
    row = trial(known, tiny_corpus, tiny_folder, "bm25")
    at = AppTest.from_file(str(root / f"pages/{page}.py"), default_timeout=60)
    for key, value in {"corpus": tiny_corpus.fingerprint, "trial": row.id, **view}.items():
        at.query_params[key] = value
    at.run()
    assert not at.exception
    next(b for b in at.button if b.label == "Export").click()
    at.run()
    assert not at.exception and at.selectbox(key="export.format").value == "triplet"


def test_a_bundle_comes_in_on_the_first_page(root, known, tiny_corpus, tiny_folder, tmp_path):
    row = trial(known, tiny_corpus, tiny_folder, "bm25")
    write_bundle(row, tmp_path / "b.zip")

    def page():
        from pages.ui import frame
        from pages.ui.export import bundle_upload

        with frame("Home", has_title=False) as session:
            row = bundle_upload(session.store, "me")
            if row is not None:
                import streamlit as st

                st.markdown(f"opened {row.id}")

    at = AppTest.from_function(page, default_timeout=60).run()
    at.button[0].click().run()
    assert "Choose a bundle first" in at.warning[0].value
    at.file_uploader[0].upload("b.zip", (tmp_path / "b.zip").read_bytes(), "application/zip")
    at.button[0].click().run()
    assert not at.exception and not at.error and "opened " in words(at) and len(known.list()) == 2
    at.file_uploader[0].upload("b.zip", b"no zip", "application/zip")
    at.button[0].click().run()
    assert not at.exception and "is not a zip" in at.error[0].value


def test_an_opened_bundle_shows_the_same(root, known, tiny_corpus, tiny_folder, tmp_path):
    row = trial(known, tiny_corpus, tiny_folder, "ance")
    write_bundle(row, tmp_path / "b.zip", with_corpus=True)
    twin = open_bundle(known, tmp_path / "b.zip")
    query = tiny_corpus.query_ids(tiny_corpus.split_query_rows("train"))[2]
    views = [("negatives", {"view": "trial"}), ("negatives", {"query": query}), ("map", {})]
    for name, link in views:
        shown = []
        for found in (row, twin):
            at = AppTest.from_file(str(root / f"pages/{name}.py"), default_timeout=60)
            for key, value in {"corpus": tiny_corpus.fingerprint, "trial": found.id, **link}.items():
                at.query_params[key] = value
            at.run()
            assert not at.exception and not at.error
            figures = [chart.proto.spec for chart in at.get("plotly_chart")]
            shown.append((figures, [frame.value.to_dict("list") for frame in at.dataframe], [m.value for m in at.metric]))
        # As text, since a cell may be NaN, which equals nothing; the trial's own id is the one thing that differs.
        assert repr(shown[0]).replace(row.id, "ID") == repr(shown[1]).replace(twin.id, "ID") and any(shown[0])
