"""One slot of a recipe on the page: which piece, its lesson, its parameters; and the encoder in the link."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import streamlit as st

from core.encode.encoders import ENCODERS, encoder_of_text, make_encoder
from core.errors import ParameterError
from core.params import Piece, make_piece
from pages.ui.form import describe_piece, piece_form
from pages.ui.text import plain

if TYPE_CHECKING:
    from pages.ui.links import Link

DEFAULT_ENCODER = "static"


def choose(label: str, options: Sequence[str], value: str, key: str, *, shown: Callable[[str], str], **kwargs) -> str:
    """A selectbox whose truth is ``value``: a value that differs from what it gave last sets it."""
    given = st.session_state.setdefault("_chosen", {})
    if key not in st.session_state or given.get(key) != value:
        st.session_state[key] = value
    given[key] = new = st.selectbox(label, options, key=key, format_func=shown, **kwargs)
    return new


def slot(
    label: str,
    pieces: Sequence[type[Piece]],
    data: dict[str, Any],
    prefix: str,
    *,
    because: Mapping[str, str] | None = None,
    form: Callable[[Piece, str], Piece] | None = None,
    help: str = "",
) -> dict[str, Any]:
    """The piece chosen in this slot, as a dict: which one, what it is, its parameters.

    ``because``: by key, why a piece cannot be used here. ``form``: draws the parameters instead of piece_form.
    """
    by_key = {piece.key: piece for piece in pieces}
    because = because or {}
    with st.container(border=True, height="stretch", gap="small"):
        if len(pieces) > 1:
            key = choose(
                label,
                list(by_key),
                data["key"],
                f"slot.{prefix}",
                shown=lambda k: by_key[k].title + (" (not here)" if k in because else ""),
                help=help or None,
            )
        else:
            key = data["key"]
            st.markdown(f"**{plain(by_key[key].title)}**")
        piece = make_piece(pieces, data, label) if key == data["key"] else by_key[key]()
        if key in because:
            st.caption(f":material/block: Disabled because {plain(because[key])}.")
        piece = form(piece, prefix) if form else piece_form(piece, prefix, columns=1)
        with st.popover("Lesson", icon=":material/school:", width="stretch"):
            describe_piece(type(piece), because=because.get(key, ""))
    return piece.to_dict()


def encoder_text(data: Mapping[str, Any]) -> str:
    """An encoder in a link: its key and what differs from the defaults, ``char-ngram;dim=128``."""
    piece = make_encoder(dict(data))
    changed = [(p.name, getattr(piece, p.name)) for p in piece.params() if getattr(piece, p.name) != p.default]
    return ";".join([piece.key, *(f"{name}={value}" for name, value in changed)])


def encoder_of(link: Link) -> dict[str, Any]:
    """The encoder of the link, the default one when there is none or it cannot be read."""
    text = link.value("encoder", DEFAULT_ENCODER)
    try:
        piece = encoder_of_text(text)
    except ParameterError as error:
        st.warning(f"Ignored the encoder of this link: {plain(str(error))}", icon=":material/link_off:")
        link.forget("encoder")
        return make_encoder(DEFAULT_ENCODER).to_dict()
    return piece.to_dict()


def choose_encoder(link: Link, prefix: str) -> dict[str, Any]:
    """The slot of the encoder; its choice is written into the link."""
    before = encoder_of(link)
    after = slot("Encoder", ENCODERS, before, prefix, help="What turns a text into a vector; training moves it.")
    if after != before:
        text = encoder_text(after)
        link.set(encoder=None if text == DEFAULT_ENCODER else text)
    return after
