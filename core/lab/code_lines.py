"""How much code a technique is: lines of its own pieces, counted from their source."""

from __future__ import annotations

import ast
import inspect
import io
import textwrap
import tokenize
from functools import cache

from core.params import Piece
from core.sampling.pickers import Top
from core.sampling.recipe import Recipe
from core.sampling.windows import RankWindow

#: Class variables that describe a piece and do nothing.
DESCRIBES = {"key", "title", "short", "family", "source", "used_by", "cost", "difficulty", "needs"}
_LAYOUT = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER}
#: What the definition of the figure says wherever it is shown.
COUNTED = (
    "Lines of code of the technique's own pieces: of the classes that the plain in-batch recipe does not have. Without lessons, comments, "
    "titles and citations, and without what pieces share (searching, training steps, cross-encoders, indexes)."
)


def own_pieces(recipe: Recipe) -> list[type[Piece]]:
    """The classes that make the recipe more than plain in-batch, each once; the batch piece where there are none.

    A rank window counts where it leaves out the first ranks.
    """
    plain = {type(piece) for piece in Recipe().pieces()} | {Top, RankWindow}
    found = [type(piece) for piece in recipe.pieces() if type(piece) not in plain]
    found += [type(lane.window) for lane in recipe.mined if not lane.source.is_redrawn and lane.window.first > 1]
    return list(dict.fromkeys(found)) or [type(recipe.batch)]


def recipe_lines(recipe: Recipe) -> int:
    """Lines of code of the recipe's own pieces; a class that two of them inherit from counts once."""
    return sum(_lines(cls) for cls in dict.fromkeys(part for piece in own_pieces(recipe) for part in _parts(piece)))


def piece_lines(piece: type[Piece]) -> int:
    """Lines of code of a piece and of the pieces that it inherits from, without the base of its family."""
    return sum(map(_lines, _parts(piece)))


def _parts(piece: type[Piece]) -> list[type]:
    more = (cls for cls in piece.__mro__[1:] if issubclass(cls, Piece) and cls is not Piece and "family" not in vars(cls))
    return [piece, *more]


@cache
def _lines(cls: type) -> int:
    try:
        source = textwrap.dedent(inspect.getsource(cls))
    except (OSError, TypeError):  # installed without its source
        return 0
    words: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type not in _LAYOUT:
            words |= set(range(token.start[0], token.end[0] + 1))
    (body,) = ast.parse(source).body
    for node in ast.walk(body):
        if isinstance(node, (ast.ClassDef, ast.FunctionDef)) and ast.get_docstring(node) is not None:
            words -= _span(node.body[0])
    for node in body.body if isinstance(body, ast.ClassDef) else ():
        targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
        if any(isinstance(target, ast.Name) and target.id in DESCRIBES for target in targets):
            words -= _span(node)
    return len(words)


def _span(node: ast.stmt) -> set[int]:
    return set(range(node.lineno, (node.end_lineno or node.lineno) + 1))
