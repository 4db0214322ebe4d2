"""What the Map page works with, each part made once for a trial, a snapshot and a group of queries."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import streamlit as st

from core.audit import pairs as audit
from core.project import scene
from pages.ui.looks import hover_text
from pages.ui.text import shorten

if TYPE_CHECKING:
    from core.corpus.corpus import Corpus
    from core.corpus.judgements import Judgements
    from core.project.cache import LayoutCache
    from core.train.results import TrialResults

Folder = str


@dataclass(frozen=True)
class Trial:
    """A trial with snapshots, on its corpus."""

    id: str
    corpus: Corpus
    results: TrialResults
    steps: tuple[int, ...]

    @property
    def folder(self) -> Folder:
        return str(self.results.folder)

    @property
    def mines(self) -> bool:
        """Whether its recipe looks for negatives at all, before its steps or in each."""
        recipe = self.results.config.recipe_value
        return bool(recipe.mined) or recipe.batch.fixes_documents

    @cached_property
    def order(self) -> np.ndarray:
        """The training queries in the order in which the page goes through them."""
        return scene.query_order(self.corpus.split_query_rows("train"))

    @cached_property
    def labels(self) -> dict[int, str]:
        """Step -> "untrained" or "epoch 2, step 18"."""
        from core.train.events import read_events

        events, _ = read_events(self.results.folder / "events.jsonl")
        epochs = {e["step"]: e.get("epoch") for e in events if e.get("kind") == "snapshot"}
        return {
            step: "untrained" if step == 0 else f"epoch {epochs[step]:.3g}" if epochs.get(step) else f"step {step}"
            for step in self.steps
        }

    def negatives(self, step: int, query_rows: np.ndarray) -> scene.Pairs:
        """All kept candidates of the queries at a snapshot."""
        stamp = len(self.results.tables())
        return _negatives(self.folder, step, tuple(map(int, query_rows)), stamp, self.results)

    def scores(self, step: int, query_row: int) -> np.ndarray:
        """The query's scores with the whole corpus at a snapshot."""
        return _scores(self.folder, step, int(query_row), self.results)

    def reasons(self, step: int, negatives: scene.Pairs) -> list[tuple[str, ...]]:
        """Why each of the negatives may be no negative."""
        return audit.doubted(self.results.snapshot(step), self.corpus, twins(self.corpus), negatives)


@st.cache_data(max_entries=128, show_spinner=False)
def _negatives(
    folder: Folder, step: int, query_rows: tuple[int, ...], stamp: int, _results: TrialResults
) -> scene.Pairs:
    return audit.negatives_in_use(_results, step, np.array(query_rows, np.int64))


@st.cache_resource(max_entries=64, show_spinner=False)
def _scores(folder: Folder, step: int, query_row: int, _results: TrialResults) -> np.ndarray:
    return scene.scores_of(_results.snapshot(step), query_row)


def twins(corpus: Corpus) -> Judgements:
    """Near-copies of each query's positives."""
    from core.audit.card import TWIN_SHARE
    from pages.ui.recipe_mining import shared_context

    return shared_context(corpus).twins(TWIN_SHARE)


@dataclass(frozen=True)
class View:
    """One query of a trial at one snapshot, on the map that it shares with its group.

    ``negatives``: those on the map; ``kept``: all of this query's, best rank first, with the reasons to doubt each.
    ``role`` (N,) and ``is_own`` (N,): of the documents of ``cast``.
    """

    trial: Trial
    step: int
    query_row: int
    cast: scene.Cast
    positives: scene.Pairs
    negatives: scene.Pairs
    kept: dict[int, tuple[str, ...]]
    role: np.ndarray
    is_own: np.ndarray

    @property
    def corpus(self) -> Corpus:
        return self.trial.corpus

    @cached_property
    def own_positives(self) -> np.ndarray:
        return self.positives.of(self.query_row)

    @cached_property
    def own_negatives(self) -> np.ndarray:
        """Those on the map, best rank first."""
        return self.negatives.of(self.query_row)

    @cached_property
    def scores(self) -> np.ndarray:
        return self.trial.scores(self.step, self.query_row)

    @cached_property
    def ranks(self) -> np.ndarray:
        return scene.ranks_of(self.scores)

    @cached_property
    def lowest_positive(self) -> float:
        """The query's lowest positive score; NaN without a positive."""
        return float(self.scores[self.own_positives].min()) if len(self.own_positives) else float("nan")

    def role_for(self, doc_row: int) -> str:
        """The role of a document for the chosen query, drawn or not."""
        if doc_row in self.own_positives:
            return "positive"
        if doc_row not in self.kept:
            return "other"
        return "suspect" if self.kept[doc_row] else "negative"

    def title(self, doc_row: int) -> tuple[str, str, str]:
        """(id, title, text) of a document."""
        row = self.corpus.documents.slice(int(doc_row), 1).to_pylist()[0]
        return row["doc_id"], row["title"] or "", row["text"] or ""


def view_of(trial: Trial, step: int, query_row: int, n_points: int) -> View:
    """Everything of a view but the places of its points."""
    group = scene.query_group(trial.order, query_row, n_points)
    positives = audit.positives_of(trial.corpus, group)
    drawn = {s: trial.negatives(s, group).first(scene.NEGATIVES_PER_QUERY) for s in trial.steps}
    cast = scene.cast(trial.corpus.n_documents, group, positives, list(drawn.values()), n_points=n_points)
    rows = trial.negatives(step, group).of(query_row)
    own = scene.Pairs(np.full(len(rows), query_row), rows)
    kept = dict(zip(map(int, rows), trial.reasons(step, own), strict=True))
    # Of the chosen query all that happen to be on the map, so that none of them looks like mere background.
    is_drawn = cast.places_of(rows) >= 0
    is_other = drawn[step].query_rows != query_row
    negatives = scene.Pairs(
        np.concatenate([drawn[step].query_rows[is_other], own.query_rows[is_drawn]]),
        np.concatenate([drawn[step].doc_rows[is_other], rows[is_drawn]]),
    )
    is_suspect = np.array([bool(why) for why in trial.reasons(step, negatives)], bool)
    role, is_own = scene.roles(cast, query_row, positives, negatives, is_suspect)
    return View(trial, step, query_row, cast, positives, negatives, kept, role, is_own)


def places_of(view: View, folder: Path, report: Callable[[int, int], None]) -> dict[int, np.ndarray]:
    """Step -> the places of documents, then queries; ``report`` is called before each layout that must be computed."""
    trial = view.trial
    key = f"{trial.corpus.fingerprint}|{trial.id}"
    made = scene.layouts(_cache(str(folder)), trial.results.snapshot, trial.steps, view.cast, key, report=report)
    return dict(zip(trial.steps, made, strict=True))


@st.cache_resource(max_entries=8, show_spinner=False)
def _cache(folder: Folder) -> LayoutCache:
    from core.project.cache import LayoutCache

    return LayoutCache(Path(folder))


def trust(view: View, places: np.ndarray) -> tuple[float, float]:
    """(share of the 10 full-space neighbours that the plane kept, trustworthiness), both in [0, 1]."""
    return _trust(view.trial.folder, view.step, view.cast.key, view, places)


@st.cache_data(max_entries=256, show_spinner=False)
def _trust(folder: Folder, step: int, cast: str, _view: View, _places: np.ndarray) -> tuple[float, float]:
    from core.project.umap_map import fidelity, trustworthiness

    space, metric = scene.space_of(_view.trial.results.snapshot(step), _view.cast)
    return fidelity(space, _places, 10, metric), trustworthiness(space, _places, 10, metric)


@st.cache_data(max_entries=32, show_spinner=False)
def _tooltips(fingerprint: str, cast: str, _corpus: Corpus, _doc_rows: np.ndarray) -> tuple[list[str], list[str]]:
    table = _corpus.documents.take(_doc_rows)
    ids, titles, texts = (table[name].to_pylist() for name in ("doc_id", "title", "text"))
    lines = []
    for title, text in zip(titles, texts, strict=True):
        head = f"<b>{hover_text(shorten(title, 90))}</b><br>" if title else ""
        lines.append(head + hover_text(text or "", n_characters=220))
    return ids, lines


def tooltips(view: View) -> tuple[list[str], list[str]]:
    """(doc ids, escaped and wrapped titles and texts) of all drawn documents."""
    return _tooltips(view.corpus.fingerprint, view.cast.key, view.corpus, view.cast.doc_rows)
