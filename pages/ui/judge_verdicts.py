"""What was judged: by whom, how far judges agree, each verdict with its note, and the ways out."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import streamlit as st

from core.audit.agreement import agreements
from core.lab.verdict_export import decided_jsonl, verdicts_csv, verdicts_jsonl
from core.lab.verdicts import FALSE_NEGATIVE, KINDS, NEAR_DUPLICATE, TRUE_NEGATIVE, Verdict
from pages.ui.bits import ago, tiles
from pages.ui.card_judge import BUTTONS
from pages.ui.judge_looks import SHORT
from pages.ui.retrain import retrain_button
from pages.ui.text import plain, shorten

if TYPE_CHECKING:
    from core.corpus.corpus import Corpus
    from core.lab.tables import TrialRow
    from pages.ui.frame import Session

FROM = {"page": "a person", "import": "imported", "llm": "a language model"}
MOST_SHOWN = 2000
KAPPA_HELP = (
    "Cohen's kappa: how much more often the two agree than two who guess with their own habits would. 0 = as by chance, 1 = "
    "always. Below .4 their verdicts should be talked about before anything is trained with them. Empty: both gave one label only."
)


def verdicts_view(session: Session, corpus: Corpus, row: TrialRow | None) -> None:
    """The whole view; all verdicts on this corpus, from whatever trial its pairs came."""
    found = session.verdicts.list(corpus.fingerprint)
    if not found:
        with st.container(border=True):
            st.markdown(":material/gavel: No pair of this corpus has been judged yet. Judge some, or import verdicts.")
        return
    decided = session.verdicts.decided(corpus.fingerprint)
    counts = Counter(decided.values())
    tiles(
        {
            "Pairs judged": len(decided),
            "False negatives": counts[FALSE_NEGATIVE],
            "True negatives": counts[TRUE_NEGATIVE],
            "Near-duplicates": counts[NEAR_DUPLICATE],
            "Unsure": counts["unsure"],
        },
        helps={
            "Pairs judged": "By anyone. Where several judged one pair, most votes decide; a tie counts as unsure. Where a person "
            "has judged, language models have no vote.",
        },
    )
    lead_on(session, row)
    left, right = st.columns([1.6, 1], gap="medium")
    with left:
        _judges(corpus, found)
    with right:
        _agreement(session, corpus)
    _history(session, corpus, found)
    _ways_out(session, corpus, found, decided)


def lead_on(session: Session, row: TrialRow | None) -> None:
    """The button that trains the trial again with the verdicts, once there are some."""
    if row is not None:
        retrain_button(session, row, key="judge.retrain")


def _judges(corpus: Corpus, found: list[Verdict]) -> None:
    by_judge: dict[str, list[Verdict]] = {}
    for verdict in found:
        by_judge.setdefault(verdict.judge, []).append(verdict)
    names = sorted(by_judge, key=lambda name: (-len(by_judge[name]), name))
    columns: dict[str, list] = {"judge": names, "verdicts": [len(by_judge[name]) for name in names]}
    for kind in KINDS:
        columns[SHORT[kind].lower()] = [sum(v.kind == kind for v in by_judge[name]) for name in names]
    if corpus.truth is not None:
        columns["by truth"] = [_right(corpus, by_judge[name]) for name in names]
    columns["last"] = [ago(max(v.created for v in by_judge[name])) for name in names]
    number = st.column_config.NumberColumn
    st.markdown("**Judges**")
    st.dataframe(
        columns,
        hide_index=True,
        width="stretch",
        key="verdicts.judges",
        column_config={
            "judge": st.column_config.TextColumn(width=80),
            "verdicts": number(width=62),
            **{SHORT[kind].lower(): number(width=52, help=BUTTONS[kind][0]) for kind in KINDS},
            "by truth": number(
                format="percent",
                width=74,
                help="Of this judge's false and true negatives, the share that the corpus's fuller judgements confirm. Those are not "
                "complete either: look at what they do not confirm before you call it wrong.",
            ),
            "last": st.column_config.TextColumn(width=92),
        },
    )


def _right(corpus: Corpus, verdicts: list[Verdict]) -> float | None:
    said = [v for v in verdicts if v.kind in (FALSE_NEGATIVE, TRUE_NEGATIVE)]
    queries, docs = corpus.query_rows([v.query_id for v in said]), corpus.doc_rows([v.doc_id for v in said])
    is_known = (queries >= 0) & (docs >= 0)
    if not is_known.any():
        return None
    relevant = corpus.truth.grade_of(queries[is_known], docs[is_known]) >= 1
    right = [v.kind == FALSE_NEGATIVE for v, known in zip(said, is_known, strict=True) if known] == relevant
    return round(float(right.mean()), 2)


def _agreement(session: Session, corpus: Corpus) -> None:
    pairs = agreements(session.verdicts.by_pair(corpus.fingerprint), KINDS)
    st.markdown("**Agreement**", help=KAPPA_HELP)
    if not pairs:
        st.caption("No pair was judged by two judges yet. Under **Queue**, “Judged by two” says how many a second judge gets.")
        return
    st.dataframe(
        {
            "judges": [f"{a.first} / {a.second}" for a in pairs],
            "pairs": [a.n for a in pairs],
            "alike": [round(a.observed, 2) for a in pairs],
            "kappa": [None if a.kappa != a.kappa else a.kappa for a in pairs],
            "that is": [a.words for a in pairs],
        },
        hide_index=True,
        width="stretch",
        key="verdicts.agreement",
        placeholder="",
        column_config={
            "judges": st.column_config.TextColumn(width=130),
            "pairs": st.column_config.NumberColumn(width=52, help="Judged by both."),
            "alike": st.column_config.NumberColumn(width=56, format="percent", help="Share that both judged alike."),
            "kappa": st.column_config.NumberColumn(width=60, format="%.2f", help=KAPPA_HELP),
            "that is": st.column_config.TextColumn(width=110, help="In the words of Landis and Koch (1977)."),
        },
    )


def _history(session: Session, corpus: Corpus, found: list[Verdict]) -> None:
    link = session.link
    judges = ["all", *sorted({v.judge for v in found})]
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        who = link.bind(st.selectbox, "by", "Judged by", options=judges, width=180)
        kinds = {"all": "all", **{kind: BUTTONS[kind][0] for kind in KINDS}}
        kind = link.bind(st.selectbox, "kind", "Verdict", options=list(kinds), format_func=kinds.get, width=180)
    chosen = [v for v in reversed(found) if who in ("all", v.judge) and kind in ("all", v.kind)]
    shown = chosen[:MOST_SHOWN]
    queries, docs = corpus.query_rows([v.query_id for v in shown]), corpus.doc_rows([v.doc_id for v in shown])
    # An id that the corpus does not have (verdicts may come from elsewhere) is shown as it is.
    texts = [t if r >= 0 else v.query_id for r, t, v in zip(queries, corpus.query_texts(queries.clip(0)), shown, strict=True)]
    documents = [t if r >= 0 else v.doc_id for r, t, v in zip(docs, corpus.document_texts(docs.clip(0)), shown, strict=True)]

    def pick() -> None:
        rows = st.session_state["verdicts.all"]["selection"]["rows"]
        if rows:
            link.set(view=None, query=shown[rows[0]].query_id, first=shown[rows[0]].doc_id)

    st.dataframe(
        {
            "verdict": [BUTTONS[v.kind][0].lower() for v in shown],
            "query": [shorten(text, 90) for text in texts],
            "document": [shorten(text, 140) for text in documents],
            "note": [shorten(v.note, 200) for v in shown],
            "judge": [v.judge for v in shown],
            "from": [FROM[v.source] for v in shown],
            "when": [ago(v.created) for v in shown],
        },
        hide_index=True,
        width="stretch",
        height=35 * (min(9, len(shown)) + 1) + 3,
        key="verdicts.all",
        on_select=pick,
        selection_mode="single-row",
        column_config={
            "verdict": st.column_config.TextColumn(width=105),
            "query": st.column_config.TextColumn(width=180),
            "document": st.column_config.TextColumn(width=220),
            "note": st.column_config.TextColumn(width=90),
            "judge": st.column_config.TextColumn(width=70),
            "from": st.column_config.TextColumn(width=84),
            "when": st.column_config.TextColumn(width=90),
        },
    )
    more = f" The newest {MOST_SHOWN:,} of {len(chosen):,} are listed." if len(chosen) > MOST_SHOWN else ""
    st.caption(f"Newest first. Tick a row to read the pair again and judge it anew.{more}")


def _ways_out(session: Session, corpus: Corpus, found: list[Verdict], decided: dict) -> None:
    with st.container(horizontal=True, gap="small", vertical_alignment="center"):
        quiet = {"icon": ":material/download:", "on_click": "ignore"}
        st.download_button("All as CSV", lambda: verdicts_csv(found), "verdicts.csv", "text/csv", **quiet)
        st.download_button("All as JSONL", lambda: verdicts_jsonl(found), "verdicts.jsonl", "application/jsonl", **quiet)
        st.download_button(
            "What was decided",
            lambda: decided_jsonl(decided),
            "decided.jsonl",
            "application/jsonl",
            **quiet,
            help="One line a pair, by most votes: the file that `negspace retrain --verdicts` takes.",
        )
        with st.popover("Withdraw", icon=":material/undo:"):
            st.caption("Takes back every verdict of one judge, such as an import or a model that turned out wrong.")
            who = st.selectbox("Whose", sorted({v.judge for v in found}), key="verdicts.withdraw.who")
            n = sum(v.judge == who for v in found)

            def withdraw() -> None:
                taken = session.verdicts.withdraw(corpus.fingerprint, who)
                st.toast(f"{taken:,} verdicts of {plain(who)} withdrawn.", icon=":material/undo:")

            st.button(f"Withdraw {n:,} verdicts", key="verdicts.withdraw", type="primary", on_click=withdraw)
