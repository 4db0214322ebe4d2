"""Text from a corpus is data: it is shown as it is, never read as Markdown, mathematics or HTML."""

from __future__ import annotations

import html
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable
from typing import Any

import streamlit as st

_PUNCTUATION = re.compile(r"([!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~])")
# Streamlit turns these into emoji, icons, arrows and links after the escapes are gone, in the text itself;
# an invisible word joiner between their characters is the only thing that keeps them as typed.
_REPLACED = re.compile(r":(?=[\w+\-/]+:|//)|www(?=\.)|@(?=\w)|<(?=-)|-(?=[->])|<(?==)|>(?==)|~(?==)", re.IGNORECASE)
_ICON = re.compile(r":(?=material/)")
_WORD = re.compile(r"\w+")


def plain(text: str) -> str:
    """Markdown that shows exactly ``text`` on one line: for labels, captions and sentences."""
    one_line = re.sub(r"\s+", " ", text).strip()
    joined = _REPLACED.sub(lambda found: found.group() + "\u2060", one_line)
    return _PUNCTUATION.sub(r"\\\1", joined)


def code(text: str) -> str:
    """Markdown that shows exactly ``text`` on one line as inline code: for ids and file names."""
    one_line = _ICON.sub(":\u2060", re.sub(r"\s+", " ", text).strip()) or " "
    fence = "`" * (1 + max((len(run) for run in re.findall(r"`+", one_line)), default=0))
    return f"{fence} {one_line} {fence}" if "`" in one_line else f"`{one_line}`"


def shorten(text: str, n_characters: int) -> str:
    """The text on one line, cut at a word with an ellipsis; unescaped."""
    one_line = re.sub(r"\s+", " ", text).strip()
    if len(one_line) <= n_characters:
        return one_line
    cut = one_line[: n_characters - 1]
    at_word = cut.rsplit(" ", 1)[0]
    return (at_word if len(at_word) > n_characters // 2 else cut) + "…"


def told_apart(options: Iterable[Any], label_of: Callable[[Any], Any]) -> dict[Any, str]:
    """A label for each option, no two alike: Streamlit knows a chosen option again by its label alone.

    Where two are called the same the end of the option itself is added, else its place.

    >>> told_apart(["t-1a", "t-2b", "x"], {"t-1a": "ANCE", "t-2b": "ANCE", "x": "BM25"}.get)
    {'t-1a': 'ANCE (t-1a)', 't-2b': 'ANCE (t-2b)', 'x': 'BM25'}
    """
    labels = {option: str(label_of(option)) for option in options}
    n_each = Counter(labels.values())
    taken: set[str] = {label for label in labels.values() if n_each[label] == 1}
    for place, (option, label) in enumerate(labels.items(), start=1):
        if n_each[label] > 1:
            told = f"{label} ({str(option)[-6:]})"
            labels[option] = told if told not in taken else f"{label} ({place})"
        taken.add(labels[option])
    return labels


def highlight(text: str, terms: Collection[str]) -> str:
    """HTML in which every character of ``text`` is escaped and the words in ``terms`` are marked.

    A word is marked when its lower-case form is in ``terms`` (so BM25's tokens can be passed as they
    are). The only tags are ours; draw it with :func:`show`, which uses ``st.html`` (sanitised).
    """
    wanted = {term.lower() for term in terms}
    out, end = [], 0
    for word in _WORD.finditer(text):
        if word.group().lower() in wanted:
            out.append(html.escape(text[end : word.start()]))
            out.append(f"<mark {_MARK}>{html.escape(word.group())}</mark>")
            end = word.end()
    out.append(html.escape(text[end:]))
    return "".join(out)


_MARK = 'style="background:#E69F0059;color:inherit;border-radius:3px;padding:0 .1em"'


def show(text: str, terms: Collection[str] = (), *, title: str = "", muted: bool = False) -> None:
    """Draw a text from the corpus exactly, wrapped, with ``terms`` marked and an optional bold title."""
    head = f"<div style='font-weight:650'>{highlight(title, terms)}</div>" if title else ""
    style = "white-space:pre-wrap;overflow-wrap:anywhere;line-height:1.5" + (";opacity:.72" if muted else "")
    st.html(f"<div style='{style}'>{head}{highlight(text, terms)}</div>")
