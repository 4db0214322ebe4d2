"""The live preview: what two recipes would pick and refuse on this corpus, before anything is trained."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import streamlit as st

from core.sampling.presets import PRESETS, name_of
from pages.ui import charts
from pages.ui.browse import find_rows
from pages.ui.card_dialog import n_closed
from pages.ui.looks import draw
from pages.ui.problems import problems_shown
from pages.ui.recipe_batches import batch_table
from pages.ui.recipe_card import preview_card
from pages.ui.recipe_mining import UNTRAINED, Scorer, previewed, sampled_queries, training_queries
from pages.ui.recipe_tables import batch_pool, candidate_rows, cost_helps, cost_line, funnel_steps, picked_scores, positive_scores
from pages.ui.text import code, plain, shorten, show

if TYPE_CHECKING:
    from core.corpus.corpus import Corpus
    from core.lab.tables import TrialRow
    from core.sampling.recipe import Recipe
    from pages.ui.frame import Session
    from pages.ui.links import Link

MAX_LISTED = 300
SHOWN_POSITIVES = 3


def draw_preview(session: Session, corpus: Corpus, recipe: Recipe, encoder: dict[str, Any], trials: Mapping[str, TrialRow]) -> None:
    """Recipe A, the chosen one, beside recipe B of the link, on the sampled training queries and the chosen one."""
    link = session.link
    st.subheader("What it would pick", anchor=False)
    query_row, other, who = _controls(link, corpus, recipe, trials)
    scorer = Scorer.of(who, encoder, {i: row.folder for i, row in trials.items()})
    _query(corpus, query_row)
    sides = [("A", recipe), ("B", PRESETS[other].recipe)]
    found: list[tuple[str, Any, Any]] = []
    encode_seconds = 0.0
    heads, cells = st.columns(2, gap="medium"), st.columns(2, gap="medium")
    for head, cell, (letter, each) in zip(heads, cells, sides, strict=True):
        title = name_of(each)
        name = f"{letter}: {'your recipe' if title == 'custom' else title}"
        head.markdown(f"##### {plain(name)}")
        head.caption(plain(each.summary()))
        with cell, problems_shown(), st.spinner("Encoding the corpus and mining 200 queries ..."):
            preview, context, seconds = previewed(corpus, each, scorer, query_row)
            _candidates(link, corpus, preview, context, scorer, query_row, letter)
            found.append((name, preview, context))
            encode_seconds = max(encode_seconds, seconds)
    if found:
        if link.value("doc", ""):
            _, _, context = found[-1 if link.value("side", "A", options=["A", "B"]) == "B" else 0]
            preview_card(session, corpus, scorer, query_row, context)
        _cost(found, encode_seconds)
        _funnels(found)
        _scores(found, recipe.signal.similarity == PRESETS[other].recipe.signal.similarity)


def _controls(
    link: Link, corpus: Corpus, recipe: Recipe, trials: Mapping[str, TrialRow]
) -> tuple[int, str, str]:  # fmt: skip
    search, query, step, by, against = st.columns([1.2, 2.8, 1.15, 1.5, 1.5], gap="small", vertical_alignment="bottom")
    with search:
        words = link.bind(st.text_input, "find", "Find a query", default="", icon=":material/search:", placeholder="words")
    everything = training_queries(corpus)
    rows = sampled_queries(corpus)
    if words:
        rows = np.intersect1d(find_rows(corpus.queries, ("query_id", "text"), words), everything)[:MAX_LISTED]
        if not len(rows):
            search.caption("No training query has these words.")
            rows = sampled_queries(corpus)
    wanted = int(corpus.query_rows([link.query])[0]) if link.query else -1
    if wanted >= 0 and wanted in everything:
        rows = np.union1d(rows, [wanted])
    elif link.query:
        link.forget("query")
    ids = corpus.query_ids(rows)
    texts = dict(zip(ids, corpus.query_texts(rows), strict=True))
    now = ids.index(link.query) if link.query in texts else 0
    with step.container(horizontal=True, gap="xsmall"):
        if st.button("", icon=":material/chevron_left:", key="query.previous", help="Previous query"):
            link.set(query=ids[(now - 1) % len(ids)])
        if st.button("", icon=":material/chevron_right:", key="query.next", help="Next query"):
            link.set(query=ids[(now + 1) % len(ids)])
    with query:
        chosen = link.bind(
            st.selectbox,
            "query",
            f"Training query (of {len(ids):,} {'found' if words else 'sampled'})",
            options=ids,
            format_func=lambda i: shorten(texts[i], 90),
        )
    with by:
        names = {UNTRAINED: "the untrained encoder"} | {i: row.name for i, row in trials.items()}
        who = link.bind(
            st.selectbox,
            "by",
            "Scored by",
            options=list(names),
            format_func=lambda i: shorten(names[i], 40),
            help="The model that plays the one in training: untrained as before the first step, or a finished "
            "trial of this corpus, as late in a training.",
        )
    with against:
        known = [name for name, preset in PRESETS.items() if preset.recipe != recipe]
        other = link.bind(
            st.selectbox,
            "against",
            "Compare with (B)",
            options=known,
            default="bm25" if "bm25" in known else "in-batch",
            format_func=lambda name: PRESETS[name].title,
        )
    return int(rows[ids.index(chosen)]), other, who


def _query(corpus: Corpus, row: int) -> None:
    with st.container(border=True, gap="xsmall"):
        st.caption(f":material/star: Query {code(corpus.query_ids([row])[0])}")
        show(corpus.query_texts([row])[0])
        positives = corpus.positives.positives(row)
        more = f", the first {SHOWN_POSITIVES} shown" if len(positives) > SHOWN_POSITIVES else ""
        st.caption(f":material/circle: {len(positives)} known positive{'s' if len(positives) != 1 else ''}{more}")
        for text in corpus.document_texts(positives[:SHOWN_POSITIVES]):
            show(shorten(text, 260), muted=True)


def _candidates(link: Link, corpus: Corpus, preview: Any, context: Any, scorer: Scorer, query_row: int, letter: str) -> None:
    if not preview.lanes:
        pool = batch_pool(context)
        st.info(
            f"This recipe mines nothing: its negatives are other queries' positives, whichever share the batch. "
            f"They come from {pool.n_documents:,} positives of {pool.n_pairs:,} training pairs, "
            f"{pool.share:.0%} of the corpus; the other documents are never seen as a negative.",
            icon=":material/shuffle:",
        )
        batch_table(corpus, preview, context, scorer, query_row, letter)
        return
    rows = candidate_rows(corpus, preview, context, query_row)
    ids = corpus.doc_ids(rows.pop("doc_row"))
    key = f"candidates.{letter}.{query_row}.{n_closed()}"

    def pick() -> None:
        ticked = st.session_state[key]["selection"]["rows"]
        if ticked:
            link.set(doc=ids[ticked[0]], side=letter)

    config = {
        "fate": st.column_config.TextColumn(
            width=118,
            help="Picked for training, kept but not picked, or the rule that refused it. A random picker draws again in training.",
        ),
        "document": st.column_config.TextColumn(width=222),
        "rank": st.column_config.Column(width=46, help="In the source's own list, before any rule."),
        "s-": st.column_config.NumberColumn(format="%.3f", width=56, help="Its score by the scoring model."),
        "margin": st.column_config.NumberColumn(
            format="%+.3f",
            width=66,
            help="s+ - s-: the score of the query's lowest-scored positive minus its own, by the scoring model. Zero or less: hard.",
        ),
        "source score": st.column_config.NumberColumn(format="%.2f", width=66, help="On the source's own scale."),
        "truth": st.column_config.TextColumn(width=90, help="What the fuller judgements say. Training never sees them."),
    }
    st.dataframe(
        rows,
        hide_index=True,
        width="stretch",
        height=388,
        column_config=config,
        key=key,
        on_select=pick,
        selection_mode="single-row",
    )
    st.caption("Tick the box left of a row for its why-card." if ids else "No document was looked at for this query.")
    if preview.recipe.order.key != "shuffled" and preview.recipe.batch.gives_negatives:
        batch_table(corpus, preview, context, scorer, query_row, letter)


def _cost(found: list[tuple[str, Any, Any]], encode_seconds: float) -> None:
    st.subheader("What it would cost, and what it would teach", anchor=False)
    lines = [cost_line(name, preview, context) for name, preview, context in found]
    helps = cost_helps(len(found[0][1].query_rows), encode_seconds)
    st.dataframe(
        {column: [line[column] for line in lines] for column in lines[0]},
        hide_index=True,
        width="stretch",
        column_config={
            column: st.column_config.Column(help=helps.get(column))
            if isinstance(lines[0][column], str)
            else st.column_config.NumberColumn(help=helps.get(column), format="localized")
            for column in lines[0]
        },
        key="cost",
    )


def _funnels(found: list[tuple[str, Any, Any]]) -> None:
    cells = st.columns(len(found), gap="medium")
    for cell, (name, preview, _) in zip(cells, found, strict=True):
        with cell:
            for i, lane in enumerate(preview.lanes):
                number = f", lane {i + 1}" if len(preview.lanes) > 1 else ""
                figure = charts.funnel(funnel_steps(lane), title=f"{name[0]}{number}: {lane.lane.source.title}")
                # Room for the counts where the column is narrow.
                figure.update_xaxes(range=[0, 1.7 * max(1, funnel_steps(lane)[0][1])])
                draw(figure, key=f"funnel.{name[0]}.{i}")
            if not preview.lanes:
                st.caption(f"{name[0]} looks at no candidates.")


def _scores(found: list[tuple[str, Any, Any]], is_same_scale: bool) -> None:
    groups: list[dict[str, np.ndarray]] = []
    for name, preview, context in found:
        picked = picked_scores(preview, context)
        label = f"{name} picks" if preview.lanes else f"{name} pool"
        groups.append({label: picked, "positive": positive_scores(preview, context)})
    title = "Scores of what would be trained on, by the scoring model"
    if is_same_scale:
        merged = {label: values for group in groups for label, values in group.items()}
        draw(charts.histogram(merged, "score of query and document (larger = closer)", title=title), key="scores")
    else:
        st.caption("A and B compare vectors differently, so their scores have no common axis.")
        for i, (cell, group) in enumerate(zip(st.columns(2), groups, strict=False)):
            with cell:
                draw(charts.histogram(group, "score (larger = closer)", title=title), key=f"scores.{i}")
    st.caption(
        "Picks right of the positives are harder than the answer itself, or unlabelled answers. A pool is what a batch "
        "draws from: each sampled query against the positives of other training queries."
    )
