"""Taking a trial out, as files of other tools or as a bundle, and bringing a bundle in."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import streamlit as st

from core.params import digest
from pages.ui.export_jobs import Job, job_of
from pages.ui.problems import problems_shown
from pages.ui.services import corpus as open_corpus
from pages.ui.text import plain, shorten
from pages.ui.trials import corpus_link

if TYPE_CHECKING:
    from streamlit.delta_generator import DeltaGenerator

    from core.audit.card import Cards
    from core.audit.trial_table import TrialTable
    from core.lab.export_format import Format
    from core.lab.mined_set import Choice
    from core.lab.store import Store
    from core.lab.tables import TrialRow
    from core.train.results import TrialResults
    from pages.ui.frame import Session

BUNDLE = "bundle"
_ASKED = "export_asked"
LOOK_SECONDS = 0.2
WORKING = "Writing the file. You can close this: it goes on, and is here when you come back."
BUNDLE_LINE = "Another installation of Negative Space: everything that its pages show of this trial, as one zip."
OF = {"used": "trained against", "kept": "kept by every rule", "all": "all that were looked at"}
ORDER = {"rank": "best rank", "score": "highest score", "pull": "most pull"}
USE = {"drop": "drop them", "promote": "make them positives", "keep": "take no notice"}
MINED_SETTINGS = ("triplet", "n-tuple", "labeled-list", "flagembedding", "tevatron", "trec-negatives", "beir-mined", "script")


def export_menu(
    session: Session, trial_row: TrialRow, cards_or_results: Cards | TrialResults | None = None, *, key: str, is_live: bool = False
) -> None:
    """A button that opens the dialog with the formats. ``cards_or_results``: spares reading the candidates again.

    ``is_live``: the button stands in a part that redraws itself. A dialog opened there is dead after the next redraw, so it is
    only asked for, and the page opens it with :func:`export_asked`.
    """
    if st.button("Export", icon=":material/download:", key=f"export.{key}", help="As a training set, run, qrels, script or bundle."):
        if is_live:
            session.state[_ASKED] = trial_row.id
            st.rerun()
        export_dialog(session, trial_row, getattr(cards_or_results, "whole", None))


def export_asked(session: Session) -> None:
    """Open the dialog that a live part asked for; call it outside of such a part."""
    trial_id = session.state.pop(_ASKED, None)
    if trial_id is not None:
        export_dialog(session, session.store.get(trial_id))


@st.dialog("Export a trial", width="medium")
def export_dialog(session: Session, row: TrialRow, table: TrialTable | None = None) -> None:
    """Choose a format and what goes in; the file is written beside the page, and then handed out."""
    from core.lab.export import FORMATS

    with problems_shown():
        names = [*FORMATS, BUNDLE]
        left, right = st.columns([3, 1.4], gap="small", vertical_alignment="bottom")
        with left:
            chosen = st.selectbox(
                f"{plain(shorten(row.name, 60))} as",
                names,
                format_func=lambda name: "Bundle" if name == BUNDLE else FORMATS[name].title,
                key="export.format",
            )
        st.caption(plain(BUNDLE_LINE if chosen == BUNDLE else FORMATS[chosen].reader))
        if chosen == BUNDLE:
            _bundle(session, row)
        else:
            _format(session, row, FORMATS[chosen], table, right)


def _format(session: Session, row: TrialRow, format: Format, table: TrialTable | None, place: DeltaGenerator) -> None:
    from core.lab.export import Export, export_trial, refusal
    from core.train.results import TrialResults

    results, corpus = TrialResults(row.folder), open_corpus(corpus_link(row) or "")
    choice = _choice(results, format)
    decided = _decided(session, corpus.fingerprint)
    export = Export(results, corpus, choice, decided=decided or None, table=table)
    reason = refusal(export, format)
    if reason:
        st.info(plain(reason), icon=":material/info:")
        return
    suffix = format.suffixes[0]
    if len(format.suffixes) > 1:
        with place:
            key = f"export.suffix.{format.name}"
            suffix = st.segmented_control("File", format.suffixes, default=suffix, key=key, label_visibility="collapsed") or suffix

    def write(job: Job) -> list[str]:
        # Its own Export: the one above belongs to the page's thread.
        own = Export(results, corpus, choice, decided=decided or None, table=table, tell=job.tell)
        return _counts(export_trial(own, format, job.path))

    stamp = [row.id, row.state, format.name, suffix, vars(choice), sorted(map(str, (decided or {}).items())), row.ended]
    _offer(session, row, f"{format.name}{suffix}", format.mime(suffix), stamp, write)


def _choice(results: TrialResults, format: Format) -> Choice:
    """What the widgets say; formats that hold no mined negatives have none."""
    from core.lab.mined_set import Choice

    tables = results.tables()
    if format.name not in MINED_SETTINGS or not tables:
        return Choice()
    labels = {"last": "the last of each lane", "all": f"all {len(tables)}"} | {str(info.number): info.label for info in tables}
    first, second, third = st.columns(3, gap="small", vertical_alignment="bottom")
    with first:
        of = st.selectbox("Negatives", list(OF), format_func=OF.get, key="export.of")
        refresh = st.selectbox("Of which mining", list(labels), format_func=labels.get, key="export.refresh")
    with second:
        per_query = st.number_input("At most for each query", 0, 10_000, 0, key="export.n", help="0: all of them.")
        order = st.selectbox("First those with the", list(ORDER), format_func=ORDER.get, key="export.order")
    with third:
        suspects = st.segmented_control(
            "Suspects", ["keep", "leave out"], default="keep", key="export.suspects", help="In doubt by their scores or a copied text."
        )
        help = "What people judged on this corpus: false negatives and, where they are dropped, near-duplicates."
        use = st.selectbox("Judged false negatives", list(USE), format_func=USE.get, key="export.use", help=help)
    return Choice(refresh=refresh, of=of, per_query=int(per_query), order=order, suspects=suspects != "leave out", verdict_use=use)


def _decided(session: Session, fingerprint: str) -> dict[tuple[str, str], str]:
    from core.lab.verdicts import Verdicts

    return dict(Verdicts(session.store).decided(fingerprint))


def _bundle(session: Session, row: TrialRow) -> None:
    from core.lab.bundle import write_bundle
    from core.lab.tables import ACTIVE

    if row.state in (*ACTIVE, "queued"):
        st.info("It is still training. Bundle it when it has finished, or stop it first.", icon=":material/info:")
        return
    with_corpus = st.toggle(
        "With its corpus", value=not row.corpus.startswith("sample:"), key="export.corpus", help="So that it opens where nobody has it."
    )

    def write(job: Job) -> list[str]:
        corpus = open_corpus(corpus_link(row) or "") if with_corpus else None
        manifest = write_bundle(row, job.path, with_corpus=with_corpus, corpus=corpus, tell=job.tell)
        return [f"{len(manifest['files']):,} files."]

    _offer(session, row, "bundle.zip", "application/zip", [row.id, row.state, row.name, BUNDLE, with_corpus, row.ended], write)


def _offer(session: Session, row: TrialRow, name: str, mime: str, stamp: list[Any], write) -> None:
    """The button that starts the writing, its progress, and the download when the file is there."""
    from core.corpus.limits import size_words
    from core.lab.export_tables import safe_word

    job = job_of(session.workspace, digest(stamp), name, write)
    if job.state == "new":
        # By its callback, so that the button is gone in the run that shows the progress.
        st.button("Prepare the file", type="primary", icon=":material/build:", key=f"prepare.{job.key}", on_click=job.start)
    if job.state == "running":
        # Not a part that redraws itself: that would draw the whole page when it ends, and close this dialog.
        bar = st.progress(job.share, text=WORKING)
        while job.state == "running":
            time.sleep(LOOK_SECONDS)
            bar.progress(job.share, text=WORKING)
        bar.empty()
    if job.state == "failed" and job.error is not None:
        job.is_told = True
        raise job.error  # the dialog shows a user error as a sentence, and a bug as one
    elif job.state == "done":
        for sentence in job.notes:
            st.caption(plain(sentence))
        st.download_button(
            f"Download ({size_words(job.path.stat().st_size)})",
            data=job.path.read_bytes,
            file_name=f"{safe_word(row.name) or row.id}-{name}",
            mime=mime,
            type="primary",
            icon=":material/download:",
            on_click="ignore",
            key=f"download.{job.key}",
        )


def _counts(counts: dict[str, Any]) -> list[str]:
    told = ", ".join(f"{value:,} {name}" for name, value in counts.items() if isinstance(value, int))
    return [f"{told}.", *counts["notes"]]


def bundle_upload(store: Store, owner: str = "") -> TrialRow | None:
    """The place to drop a bundle; the trial when one was opened just now."""
    from core.lab.bundle import open_bundle

    with st.form("open-bundle", border=False):
        file = st.file_uploader("Or open a bundle that another installation wrote", type=["zip"])
        is_sent = st.form_submit_button("Open the bundle", icon=":material/unarchive:")
    if not is_sent:
        return None
    if file is None:
        st.warning("Choose a bundle first.", icon=":material/edit:")
        return None
    bar = st.progress(0.0, text="Reading the bundle ...")

    def tell(share: float) -> None:
        bar.progress(min(1.0, share), text="Unpacking and checking ...")

    row = open_bundle(store, file, name=file.name, owner=owner, tell=tell)
    bar.empty()
    return row
