"""The composer: a recipe as pieces in slots, each lane a pipeline from source to picker."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import streamlit as st

from core.errors import ParameterError
from core.params import Piece, make_piece
from core.sampling.recipe import FAMILIES, SLOTS, Lane, Recipe, default_piece, lane_params
from core.sampling.windows import RankWindow
from pages.ui.form import params_form, piece_form
from pages.ui.recipe_checks import batch_reasons
from pages.ui.recipe_files import file_form
from pages.ui.recipe_pieces import choose, choose_encoder, encoder_of, slot
from pages.ui.text import plain, shorten

if TYPE_CHECKING:
    from pages.ui.frame import Session

_DRAFT = "recipe_draft"
MAX_LANES = 6
#: What every recipe decides, beside the encoder; the other slots mostly stay as they are and stand below, a line high.
FIRST = ("positives", "batch", "signal")
#: What the field for a trial is called, where a piece of the slot takes one.
TRIAL_LABELS = {"batch": "Starts from"}
SLOT_HELP = {
    "batch": "Negatives that come free with the batch.",
    "order": "Which training pairs share a batch, and so are each other's negatives.",
    "passes": "How a batch is encoded, and so how large it can be.",
    "schedule": "When lanes that ask the model in training are mined again.",
    "signal": "The loss: what a positive and its negatives tell the model.",
    "perturbation": "Whether vectors are moved a little in the worst direction while training.",
    "positives": "Where the pairs of a query and its answer come from.",
    "written": "Synthetic negatives beside the others: made by rule, or from a file that a model or a person wrote.",
}


def compose(session: Session, recipe: Recipe, trials: dict[str, str]) -> Recipe:
    """The recipe that the slots describe, written into the link; the one passed in while they describe none.

    ``trials``: the ids of finished trials of this corpus with their names, for the sources that want one.
    """
    draft = _draft(recipe)
    encoder = encoder_of(session.link)
    rest = [name for name in SLOTS if name not in FIRST and len(FAMILIES[name]) > 1]
    cells = dict(zip((*FIRST, "encoder"), st.columns([1, 1, 1.25, 1.3], gap="small"), strict=True))
    cells |= dict(zip(rest, st.columns(len(rest), gap="small"), strict=True))
    for name in (*FIRST, *rest):
        with cells[name]:
            draft[name] = slot(
                name.capitalize(),
                FAMILIES[name],
                draft.get(name) or default_piece(name).to_dict(),
                f"recipe.{name}",
                because=batch_reasons(encoder) if name == "batch" else None,
                form=lambda piece, where, which=name: _form(piece, where, trials, TRIAL_LABELS.get(which, "Clustered with")),
                help=SLOT_HELP.get(name, ""),
            )
    with cells["encoder"]:
        choose_encoder(session.link, "recipe.encoder")
    removed = None
    for i, lane in enumerate(draft["mined"]):
        if _lane(i, lane, trials):
            removed = i
    if removed is not None:
        del draft["mined"][removed]
    with st.container(horizontal=True, vertical_alignment="center"):
        if st.button("Add a lane", icon=":material/add:", key="lane.add", disabled=len(draft["mined"]) >= MAX_LANES):
            draft["mined"].append(Lane().to_dict())
            removed = -1
        if not draft["mined"]:
            searches = make_piece(FAMILIES["batch"], draft["batch"], "batch").fixes_documents
            st.caption(
                "This recipe has no lane: each step searches the whole corpus for its queries."
                if searches
                else "This recipe mines nothing: its negatives come from the batch alone."
            )
    made = _made(recipe, draft)
    if made != recipe:
        session.link.set(recipe=made)
    if removed is not None:
        # The widgets below the changed lane were drawn for other lanes.
        st.rerun()
    return made


def _draft(recipe: Recipe) -> dict[str, Any]:
    """What the slots show: the recipe, or the change to it that is not valid yet."""
    kept = st.session_state.get(_DRAFT) or {}
    return kept["data"] if kept.get("base") == recipe.key else recipe.to_dict()


def _made(recipe: Recipe, draft: dict[str, Any]) -> Recipe:
    try:
        made = Recipe.from_dict(draft)
    except ParameterError as error:
        st.session_state[_DRAFT] = {"base": recipe.key, "data": draft}
        st.error(f"{plain(str(error))} Until then the last valid recipe stays in force.", icon=":material/error:")
        return recipe
    st.session_state.pop(_DRAFT, None)
    return made


def _lane(i: int, lane: dict[str, Any], trials: dict[str, str]) -> bool:
    """Draw one lane and change ``lane`` to what its widgets say; True when it is to be removed."""
    prefix = f"lane{i}"
    head, remove = st.columns([5, 1], vertical_alignment="bottom")
    head.markdown(f"**Lane {i + 1}** :gray[source :material/arrow_right_alt: ranks "
                  ":material/arrow_right_alt: filters :material/arrow_right_alt: picker "
                  ":material/arrow_right_alt: how many]")  # fmt: skip
    with remove.container(horizontal=True, horizontal_alignment="right"):
        is_removed = st.button("Remove", icon=":material/delete:", key=f"{prefix}.remove", type="tertiary")
    cells = st.columns([1.25, 0.9, 1.3, 1.25, 1.25], gap="small")
    with cells[0]:
        lane["source"] = slot(
            "Source",
            FAMILIES["source"],
            lane["source"],
            f"{prefix}.source",
            form=lambda piece, where: _form(piece, where, trials, "Mined with"),
        )
    source = make_piece(FAMILIES["source"], lane["source"], "source")
    with cells[1].container(border=True, height="stretch"):
        if source.is_redrawn:
            st.caption(f":material/casino: {plain(source.title)} has no ranks: it is drawn anew each epoch.")
        else:
            window = piece_form(RankWindow(**_values(lane["window"])), f"{prefix}.window", columns=1)
            lane["window"] = window.to_dict()
    with cells[2].container(border=True, height="stretch"):
        lane["filters"] = _filters(lane["filters"], prefix)
    with cells[3]:
        lane["picker"] = slot("Picker", FAMILIES["picker"], lane["picker"], f"{prefix}.picker")
    with cells[4]:
        with st.container(border=True):
            lane |= params_form(lane_params(), {p.name: lane[p.name] for p in lane_params()}, prefix, columns=1)
        lane["weighting"] = slot("Weights", FAMILIES["weighting"], lane.get("weighting", {"key": "equal"}), f"{prefix}.weighting")
    return is_removed


def _filters(kept: list[dict[str, Any]], prefix: str) -> list[dict[str, Any]]:
    by_key = {piece.key: piece for piece in FAMILIES["filters"]}
    before = {data["key"]: make_piece(by_key.values(), data, "filters") for data in kept}
    given = st.session_state.setdefault("_chosen", {})
    key = f"slot.{prefix}.filters"
    if key not in st.session_state or given.get(key) != list(before):
        st.session_state[key] = list(before)
    chosen = st.multiselect(
        "Filters",
        list(by_key),
        key=key,
        format_func=lambda k: by_key[k].title,
        placeholder="none",
        help="Each refuses candidates; the first that refuses decides. Known positives and texts identical to one are refused always.",
    )
    given[key] = chosen
    return [piece_form(before.get(k) or by_key[k](), f"{prefix}.filter", columns=1).to_dict() for k in chosen]


def _form(piece: Piece, prefix: str, trials: dict[str, str], label: str) -> Piece:
    """A piece's parameters; a finished trial whose vectors it takes is chosen by name, a file that it reads is uploaded."""
    if hasattr(piece, "file"):
        return file_form(piece, prefix)
    if "trial" not in {spec.name for spec in piece.params()}:
        return piece_form(piece, prefix, columns=1)
    now = piece.trial  # type: ignore[attr-defined]
    options = ["", *trials, *([now] if now and now not in trials else [])]
    chosen = choose(
        label,
        options,
        now,
        f"{prefix}.trial",
        shown=lambda name: shorten(trials.get(name, "another trial"), 40) if name else "the untrained encoder",
        help="A finished trial of this corpus whose vectors are used."
        + ("" if trials else " None has finished yet; until then those of the untrained encoder are."),
    )
    return piece_form(piece.but(trial=chosen), prefix, columns=1, without=("trial",))


def _values(data: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in data.items() if name != "key"}
