"""What a batch would hold: the negatives of a query that come free, for recipes that mine nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import streamlit as st

from pages.ui.recipe_mining import SEED, Scorer, composed
from pages.ui.text import shorten

if TYPE_CHECKING:
    from core.audit.preview import Preview
    from core.corpus.corpus import Corpus
    from core.sampling.context import MiningContext

BATCH_SIZE = 128
COLUMNS = {
    "document": st.column_config.TextColumn(width=330, help="A positive of another query in the same batch."),
    "s-": st.column_config.NumberColumn(format="%.3f", width=60, help="Its score by the scoring model."),
    "margin": st.column_config.NumberColumn(
        format="%+.3f", width=70, help="s+ - s-: the score of the query's lowest-scored positive minus its own. Zero or less: hard."
    ),
    "truth": st.column_config.TextColumn(width=90, help="What the fuller judgements say. Training never sees them."),
}


def batch_table(corpus: Corpus, preview: Preview, context: MiningContext, scorer: Scorer, query_row: int, letter: str) -> None:
    """The batch that holds the query in the first epoch, its hardest negative first, and how hard such batches are."""
    if preview.recipe.positives.key != "labelled":  # other pairs are made when training begins
        return
    epoch = composed(corpus, preview.recipe, scorer, BATCH_SIZE)
    docs = epoch.pool(context, query_row)
    figures = epoch.figures(context, preview.query_rows)
    st.caption(sentence(epoch, figures, preview.recipe.order.title))
    if len(docs):
        st.dataframe(rows_of(corpus, context, query_row, docs), hide_index=True, height=300, column_config=COLUMNS, key=f"batch.{letter}")


def rows_of(corpus: Corpus, context: MiningContext, query_row: int, docs: np.ndarray) -> dict[str, list[Any]]:
    """One line a document as columns, the highest score first."""
    rows = np.full(len(docs), query_row)
    vectors = context.vectors("current")
    scores = vectors.score_pairs(rows, docs)
    positives = corpus.positives.positives(query_row)
    own = vectors.score_pairs(np.full(len(positives), query_row), positives).min()
    order = np.argsort(-scores, kind="stable")
    texts = corpus.document_texts(docs[order])
    table: dict[str, list[Any]] = {
        "document": [shorten(text, 220) for text in texts],
        "s-": scores[order].tolist(),
        "margin": (own - scores[order]).tolist(),
    }
    if corpus.truth is not None:
        is_relevant = corpus.truth.grade_of(rows, docs[order]) >= 1
        table["truth"] = ["◆ relevant" if relevant else "" for relevant in is_relevant]
    return table


def sentence(epoch: Any, figures: dict[str, float], order: str) -> str:
    """How the first epoch is composed, and what that makes of its free negatives."""
    n = int(epoch.batches.max(initial=-1)) + 1
    clusters = "" if epoch.groups is None else f" from {len(np.unique(epoch.groups))} clusters"
    text = f"{order}: {n} batches of {epoch.size} pairs{clusters} in the first epoch (seed {SEED}). "
    if not figures:
        return text + "None of them holds a negative for the sampled queries."
    text += f"Of their free negatives {figures['hard']:.1%} score at or above the positive, {figures['score']:.3f} on average"
    if "false" in figures:
        text += f"; {figures['false']:.2%} are answers by the truth"
    return text + ". Below: the batch of this query."
