"""Bringing in a table: what its first rows are, which column is what, and the corpus that comes of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from pages.ui.text import plain

if TYPE_CHECKING:
    from core.corpus.roles import Roles
    from pages.ui.frame import Session

NONE = "-"
SHOWN_CHARACTERS = 300
ENDINGS = ["csv", "tsv", "jsonl", "json", "parquet", "gz", "txt", "ndjson", "tab"]
LABELS = {
    "query": ("Query", "The text that is searched with: a question, a claim, an anchor."),
    "positive": ("Positive", "The text that answers it. Lists hold several; objects with docid, title and text are read, too."),
    "negative": ("Negatives", "Columns of mined negatives. They are kept to be looked at; nothing is trained on them by itself."),
    "query_id": ("Query id", "Rows with the same id are one query. Without ids, rows with the same text are."),
    "positive_id": ("Document id", "Of the positive. Without ids, the same title and text are one document."),
    "title": ("Title", "Of the positive; encoders and BM25 read it before the text."),
    "grade": ("Grade", "A whole number; 1 and more is relevant, 0 is judged non-relevant."),
    "label": ("Label", "Of a mined set: 1 marks the positive, 0 a mined negative."),
    "split": ("Split", "train, dev or test, row by row. Without one, a fifth of the queries becomes the test split."),
    "scores": ("Scores", "Of the miner: one number, or a list along the positives and then the negatives."),
    "negative_scores": ("Scores of negatives", "Of the miner, a list along the negatives."),
}
USUAL = ("query", "positive", "negative")


def import_table(session: Session) -> None:
    """The form of a table: file, preview, columns, and the button that makes a corpus of it."""
    from core.corpus.load import load_uploads
    from core.corpus.roles import guess_mapping
    from pages.ui.corpora import keep_copy, know

    st.markdown(
        "Question-answer pairs, triplets, or a set that was mined elsewhere (sentence-transformers, FlagEmbedding, Tevatron): "
        "its negatives come along and can be inspected without training."
    )
    file = st.file_uploader("A table: CSV, TSV, JSON lines, JSON or Parquet", type=ENDINGS)
    if file is None:
        return
    options = _settings()
    columns, rows = _first_rows(file, options)
    st.caption(f"The first {len(rows)} rows of {plain(file.name)}. Which column is what was guessed; say it where the guess is wrong.")
    st.dataframe(_shown(columns, rows), hide_index=True, width="stretch", height=min(38 + 35 * len(rows), 250))
    roles = _choose(columns, guess_mapping(columns, rows), key=f"{file.name}.{len(columns)}")
    name = st.text_input("Name", value=file.name.split(".")[0], max_chars=60, key=f"import.name.{file.name}")
    missing = [LABELS[role][0].lower() for role in ("query", "positive") if not getattr(roles, role)]
    if missing:
        st.caption(f"Choose the column of the {' and the '.join(missing)} first.")
    if st.button("Make a corpus of it", type="primary", disabled=bool(missing), icon=":material/table_convert:"):
        with st.spinner("Reading the table ..."):
            corpus = load_uploads({file.name: file}, name.strip() or "table", options=options | roles.to_options())
            spec = keep_copy(session, corpus)
        know(session, corpus, spec)


def _settings() -> dict[str, str]:
    with st.expander("The file itself", icon=":material/settings:"):
        header, encoding, delimiter = st.columns(3)
        chosen = {
            "header": header.selectbox("First row", ["told by its content", "yes", "no"], help="Does the first row of a CSV name columns?"),
            "encoding": encoding.selectbox("Encoding", ["utf-8", "cp1252", "latin-1", "utf-16"], help="Old spreadsheets often use cp1252."),
            "delimiter": delimiter.selectbox("Between cells", ["told by its content", "comma", "semicolon", "tab", "pipe"]),
        }
    return {key: value for key, value in chosen.items() if value not in ("told by its content", "utf-8")}


def _first_rows(file, options: dict[str, str]) -> tuple[list[str], list[dict]]:
    from core.corpus.cells import peek, plain_bytes
    from core.corpus.faults import Faults
    from core.corpus.limits import Limits
    from core.corpus.sources import Member

    faults = Faults()
    data = plain_bytes(Member(lambda limit: file.getvalue(), file.size), file.name, Limits(), faults)
    faults.check()
    return peek(data or b"", file.name, "", options)


def _shown(columns: list[str], rows: list[dict]) -> dict[str, list[str]]:
    from core.corpus.cells import text_of

    return {name: [text_of(row.get(name))[:SHOWN_CHARACTERS] for row in rows] for name in columns}


def _choose(columns: list[str], guess: Roles, key: str) -> Roles:
    """The columns as chosen, the guess at first. ``key``: of the widgets; another table starts with its own guess."""
    from core.corpus.roles import Roles

    chosen: dict[str, str | tuple[str, ...]] = {}

    def choose(role: str, place) -> None:
        label, about = LABELS[role]
        if role == "negative":
            chosen[role] = tuple(place.multiselect(label, columns, list(guess.negative), help=about, key=f"import.{key}.{role}"))
            return
        options = [NONE, *columns]
        guessed = getattr(guess, role)
        index = options.index(guessed) if guessed in columns else 0
        value = place.selectbox(label, options, index=index, help=about, key=f"import.{key}.{role}")
        chosen[role] = "" if value == NONE else value

    for role, place in zip(USUAL, st.columns(3), strict=True):
        choose(role, place)
    rest = [role for role in LABELS if role not in USUAL]
    with st.expander("More columns", expanded=any(getattr(guess, role) for role in rest), icon=":material/view_column:"):
        places = st.columns(4)
        for i, role in enumerate(rest):
            choose(role, places[i % 4])
    return Roles(**chosen)
