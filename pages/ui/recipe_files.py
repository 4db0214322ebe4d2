"""Files of written texts on the pages: handed in through the browser, kept in the workspace, never read from elsewhere."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import TYPE_CHECKING

import streamlit as st

from core.corpus.written import NEGATIVE, PARAPHRASE, QUERY, read_written
from core.errors import ParameterError
from pages.ui import services
from pages.ui.form import params_form
from pages.ui.problems import problems_shown
from pages.ui.text import code

if TYPE_CHECKING:
    from core.params import Piece
    from core.sampling.recipe import Recipe

KINDS = {"written-file": NEGATIVE, "generated-queries": QUERY, "paraphrases": PARAPHRASE}
FOLDER = "written"


def _place() -> Path:
    folder = services.workspace().uploads / FOLDER
    folder.mkdir(exist_ok=True)
    return folder


def check_files(recipe: Recipe) -> None:
    """Raise ParameterError where a link's recipe names a file that was not handed in here: a link must not make a server read it."""
    for piece in (recipe.positives, recipe.written):
        file = getattr(piece, "file", "")
        if file and Path(file).resolve().parent != _place().resolve():
            raise ParameterError(f"{piece.title} names a file that was not handed in on this page. Choose the file in the composer.")


def file_form(piece: Piece, prefix: str) -> Piece:
    """The piece with the file that was handed in, and its other parameters."""
    now = Path(piece.file) if piece.file else None  # type: ignore[attr-defined]
    handed = st.file_uploader(
        "File of written texts", type=["jsonl"], key=f"{prefix}.file", help="JSON lines, as 'negspace write' makes them: ids and text."
    )
    if handed is not None:
        with problems_shown():
            now = _kept(handed.name, handed.getvalue(), KINDS[piece.key])
    if now is not None:
        st.caption(f"Texts of {code(now.name.partition('-')[2] or now.name)}")
    others = tuple(spec for spec in piece.params() if spec.name != "file")
    values = params_form(others, {spec.name: getattr(piece, spec.name) for spec in others}, f"{prefix}.{piece.key}", columns=1)
    return piece.but(file=str(now) if now is not None else "", **values)


def _kept(name: str, data: bytes, kind: str) -> Path:
    """Where the file is kept, named by its content; raises CorpusError, and keeps nothing, where it cannot be read."""
    stem = re.sub(r"[^\w.-]", "_", Path(name).stem)[:40] or "texts"
    path = _place() / f"{hashlib.sha256(data).hexdigest()[:16]}-{stem}.jsonl"
    if not path.exists():
        part = path.with_suffix(".part")
        part.write_bytes(data)
        try:
            read_written(part, kind)
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)
    return path
