"""Asking a language model to judge: off unless the server's environment names one, and its cost is shown first."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import streamlit as st

from core.lab.llm_client import KEY_VARIABLE, MODEL_VARIABLE, SECOND_VARIABLE, URL_VARIABLE, Endpoint
from core.lab.llm_judge import SURE, Item, LlmRun, Price, estimate
from pages.ui.bits import tiles
from pages.ui.card_judge import BUTTONS
from pages.ui.live import live
from pages.ui.text import code, plain

if TYPE_CHECKING:
    from core.corpus.corpus import Corpus
    from pages.ui.frame import Session
    from pages.ui.judge_queue import Queue

MOST_PAIRS = 5000


@st.cache_resource(show_spinner=False)
def _runs() -> dict[str, LlmRun]:
    """The latest run on each corpus, for all visitors of this server."""
    return {}


def model_judges(session: Session, corpus: Corpus, queue: Queue) -> None:
    """The whole view."""
    endpoint = Endpoint.from_environment()
    if endpoint is None:
        _off()
        return
    run = _runs().get(corpus.fingerprint)
    if run is not None and run.is_running:
        _watch(run)
        return
    if run is not None:
        _result(run)
    _ask(session, corpus, queue, endpoint)


def _off() -> None:
    with st.container(border=True):
        st.markdown(":material/smart_toy: **No language model is asked.** Nothing leaves this server unless it is told where to:")
        st.code(
            f"export {URL_VARIABLE}=http://localhost:8000/v1   # any server that speaks OpenAI's chat protocol\n"
            f"export {MODEL_VARIABLE}=name-of-a-cheap-model\n"
            f"export {SECOND_VARIABLE}=name-of-a-better-one    # optional: judges again what the first doubts\n"
            f"export {KEY_VARIABLE}=...                        # where the server wants one",
            language="bash",
        )
        st.caption("Then start Negative Space again. Verdicts of any chat can also be pasted under Import.")


def _ask(session: Session, corpus: Corpus, queue: Queue, endpoint: Endpoint) -> None:
    who = code(endpoint.model) + (f", then {code(endpoint.second_model)} for what it doubts" if endpoint.second_model else "")
    st.markdown(
        f"**Ask {who}** to judge pairs of the queue, the worst first. Query, candidate and one known positive are sent to "
        f"{code(endpoint.url)}, nothing else."
    )
    judged = session.verdicts.by_pair(corpus.fingerprint)
    waiting = [pair for pair in queue.pairs if pair not in judged]
    if not waiting:
        st.caption("Every pair of this queue is judged.")
        return
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        n = st.number_input("Pairs", 1, min(MOST_PAIRS, len(waiting)), min(100, len(waiting)), key="model.n", width=120)
        prices = [_price("", endpoint.model)] + ([_price("2", endpoint.second_model)] if endpoint.second_model else [])
        pace = st.number_input("Calls a minute", 0, 10_000, 0, key="model.pace", width=160, help="At most; 0 = as fast as four at once go.")
    items = _items(corpus, waiting[: int(n)])
    cost = estimate(items, prices[0], prices[1] if len(prices) > 1 else None)
    price = f"{cost.low:.2f}" if cost.high == cost.low else f"{cost.low:.2f} to {cost.high:.2f}"
    sent, back = f"~ {cost.input_tokens:,}", f"~ {cost.output_tokens:,}"
    tiles(
        {"Pairs": cost.n_pairs, "Tokens sent": sent, "Tokens back": back, "Cost": f"~ {price}"},
        helps={
            "Tokens sent": "A token for four letters, with the instruction; within about a quarter for English.",
            "Cost": "In the currency of your prices. The range: the second model is asked about none, or about all.",
        },
    )
    if st.button(f"Ask about {cost.n_pairs:,} pairs", type="primary", icon=":material/smart_toy:", key="model.ask"):
        second = prices[1] if len(prices) > 1 else None
        run = LlmRun(
            session.verdicts, corpus.fingerprint, endpoint, items, price=prices[0], second_price=second, per_minute=float(pace) or None
        )
        _runs()[corpus.fingerprint] = run.start()
        st.rerun()
    if endpoint.second_model:
        st.caption(
            "A cascade as in RLHN: the second model judges again whatever the first does not call a true negative, and what it "
            f"says with a confidence below {SURE}."
        )


def _price(name: str, model: str) -> Price:
    helps = f"Price of {plain(model)} for a million tokens, in your currency."
    ask = {"min_value": 0.0, "value": 0.0, "step": 0.05, "format": "%.2f", "width": 150, "help": helps}
    second = f", model {name}" if name else ""
    there = st.number_input(f"Price in{second}", key=f"model.in{name}", **ask)
    return Price(there, st.number_input(f"Price out{second}", key=f"model.out{name}", **ask))


def _items(corpus: Corpus, pairs: list[tuple[str, str]]) -> list[Item]:
    query_rows = corpus.query_rows([query for query, _ in pairs])
    queries, documents = corpus.query_texts(query_rows), corpus.document_texts(corpus.doc_rows([doc for _, doc in pairs]))
    first = [rows[0] if len(rows) else -1 for rows in (corpus.positives.positives(int(row)) for row in query_rows)]
    texts = corpus.document_texts(np.maximum(first, 0))
    positives = [text if row >= 0 else "" for row, text in zip(first, texts, strict=True)]
    return [Item(*pair, query, text, positive) for pair, query, text, positive in zip(pairs, queries, documents, positives, strict=True)]


def _watch(run: LlmRun) -> None:
    @live(1.0, while_=lambda: run.is_running)
    def progress() -> None:
        seen = run.seen()
        text = f"{seen.n_done:,} of {seen.n_pairs:,} pairs judged by {code(run.endpoint.model)}"
        st.progress(seen.n_done / max(1, seen.n_pairs), text=text)
        st.caption(_sentence(run))
        st.button("Stop", icon=":material/stop_circle:", key="model.stop", on_click=run.stop)

    progress()


def _result(run: LlmRun) -> None:
    seen = run.seen()
    words = {"finished": "is done", "stopped": "was stopped", "failed": "ended at a fault"}.get(seen.state, seen.state)
    (st.error if seen.state == "failed" else st.info)(f"The last run {words}. {_sentence(run)}", icon=":material/smart_toy:")
    if seen.faults:
        with st.expander(f"{len(seen.faults):,} pairs without a verdict", icon=":material/rule:"):
            st.dataframe({"fault": seen.faults[:200]}, hide_index=True, width="stretch")


def _sentence(run: LlmRun) -> str:
    seen = run.seen()
    kinds = ", ".join(f"{n:,} {BUTTONS[kind][0].lower()}" for kind, n in sorted(seen.counts.items()))
    second = f"; {seen.n_escalated:,} went to {code(run.endpoint.second_model)}" if run.endpoint.second_model else ""
    cost = f"; {seen.input_tokens + seen.output_tokens:,} tokens" + (f", cost {seen.cost:.4f}" if seen.cost else "")
    return f"{seen.n_done:,} verdicts{': ' + kinds if kinds else ''}{second}{cost}."
