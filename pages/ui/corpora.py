"""Ways to get a corpus: the samples, files from the browser, a path on this machine, those used before."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import streamlit as st

from pages.ui.bits import ago
from pages.ui.text import code, plain, shorten
from pages.ui.travel import page_link

if TYPE_CHECKING:
    from core.corpus.corpus import Corpus
    from pages.ui.frame import Session

LAYOUT = """
A folder or zip in BEIR's layout, or the files one by one:

| file | what is in it |
|---|---|
| `corpus.jsonl` | one document a line: `{"_id": "d1", "title": "...", "text": "..."}`; further text fields are kept |
| `queries.jsonl` | one query a line: `{"_id": "q1", "text": "..."}` |
| `qrels/train.tsv`, `qrels/test.tsv` | judged pairs: query id, document id, grade, separated by tabs |
| `qrels/truth.tsv` | optional: fuller judgements, used for auditing only, never for training |
"""


def choose_corpus(session: Session) -> None:
    """Everything that leads to a corpus; when one is there, the page starts over with it in the link."""
    ways = {
        "sample": ":material/inventory_2: Sample",
        "upload": ":material/upload_file: Upload",
        "table": ":material/table: Table or mined set",
        "path": ":material/folder: Path on this machine",
    }
    way = session.link.bind(st.segmented_control, "way", "Where from", options=list(ways), format_func=ways.get)
    if way == "sample":
        _samples(session)
    elif way == "upload":
        _upload(session)
    elif way == "table":
        from pages.ui.corpus_import import import_table

        import_table(session)
    else:
        _path(session)
    if way in ("upload", "path"):
        with st.expander("How the files must look", icon=":material/help:"):
            st.markdown(LAYOUT)
    _used_before(session)


def first_sample() -> str | None:
    """The link of the sample to start with; None when none is installed."""
    from core.corpus.load import sample_names

    return next((f"sample:{name}" for name in sample_names()), None)


def _samples(session: Session) -> None:
    from core.corpus.load import sample_names

    names = sample_names()
    if not names:
        st.info("No sample is installed. Bring your own corpus, or install the product again.", icon=":material/info:")
        return
    cells = st.columns(max(2, len(names)), gap="medium")
    for cell, (name, description) in zip(cells, names.items(), strict=False):
        with cell.container(border=True, height="stretch", vertical_alignment="distribute"):
            with st.container():
                st.subheader(plain(name), anchor=False)
                st.markdown(plain(description))
            if st.button("Open this sample", key=f"sample.{name}", type="primary", width="stretch"):
                enter(session, f"sample:{name}")


def _upload(session: Session) -> None:
    from core.corpus.load import load_uploads

    files = st.file_uploader(
        "A zip, or corpus.jsonl, queries.jsonl and the tables",
        accept_multiple_files=True,
        type=["zip", "jsonl", "json", "tsv", "txt", "gz"],
    )
    first = Path(files[0].name).name.split(".")[0] if files else ""
    name = st.text_input("Name", value=first if len(files) == 1 else "", placeholder="my corpus", max_chars=60)
    if st.button("Load the corpus", type="primary", disabled=not files, icon=":material/upload:"):
        with st.status("Reading the files ...", expanded=False) as status:
            corpus = load_uploads({file.name: file for file in files}, name.strip() or first or "uploaded")
            status.update(label="Keeping a copy in the workspace ...")
            spec = keep_copy(session, corpus)
        know(session, corpus, spec)


def _path(session: Session) -> None:
    from core.corpus.load import absolute_spec, load_corpus

    with st.form("path", width=720):
        text = st.text_input(
            "Folder, zip, table or data set, as the machine that runs this server knows it",
            placeholder="/data/my-corpus",
            help="Also TREC folders and tables with their columns, such as `csv:/data/faq.csv?query=question&positive=answer`, "
            "`irds:beir/scifact` (ir_datasets) and `hf:NAME` (hub data sets).",
        )
        is_sent = st.form_submit_button("Load the corpus", type="primary", icon=":material/folder_open:")
    if is_sent and not text.strip():
        st.warning("Write the path of a folder or a zip first.", icon=":material/edit:")
    elif is_sent:
        spec = absolute_spec(text.strip())
        with st.spinner(f"Reading {code(spec)} ..."):
            corpus = load_corpus(spec, cache=session.workspace.corpora)
        know(session, corpus, spec)


def _used_before(session: Session) -> None:
    from core.lab.corpora import list_corpora

    rows = list_corpora(session.store)
    if not rows:
        return
    st.subheader("Used here before", anchor=False)
    with st.container(border=True, gap="xsmall"):
        for row in rows[:20]:
            name, size, age = st.columns([4, 4, 2], vertical_alignment="center")
            with name:
                page_link(
                    "corpus", f"**{plain(shorten(row.name, 48))}**", corpus=row.fingerprint, query=None, trial=None
                )
            size.caption(f"{row.n_documents:,} documents, {row.n_queries:,} queries")
            age.caption(ago(row.added))


def keep_copy(session: Session, corpus: Corpus) -> str:
    """Save the corpus in the workspace and return what opens it again."""
    folder = session.workspace.uploads / f"{_slug(corpus.name)}-{corpus.fingerprint}"
    if not folder.exists():
        corpus.save(folder)
    return str(folder)


def know(session: Session, corpus: Corpus, spec: str) -> None:
    """Write the corpus into the workspace's list and go on with its fingerprint in the link."""
    from core.lab.corpora import add_corpus

    add_corpus(
        session.store,
        spec=spec,
        name=corpus.name,
        fingerprint=corpus.fingerprint,
        n_documents=corpus.n_documents,
        n_queries=corpus.n_queries,
        owner=session.owner,
    )
    enter(session, corpus.fingerprint)


def enter(session: Session, corpus_link: str) -> None:
    """Start the page over with this corpus; what belonged to another one is dropped."""
    session.link.set(
        corpus=corpus_link, query=None, trial=None, trials=None, refresh=None, way=None, doc=None, page=None
    )
    st.rerun()


def _slug(name: str) -> str:
    return re.sub(r"[^\w.-]+", "-", name).strip("-.")[:40] or "corpus"
