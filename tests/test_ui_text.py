"""Corpus text is shown as it is: against a Markdown parser and an HTML parser, on hostile and random texts."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from pages.ui.text import code, highlight, plain, shorten

JOINER = "\u2060"
HOSTILE = [
    "<script>alert(1)</script>",
    "$x^2$ and $$y$$",
    "*a* **b** _c_ __d__",
    "[text](http://x.y)",
    "![i](x.png)",
    "`code` ``more``",
    "a | b | c",
    "# heading",
    "- item",
    "1. item",
    "> quote",
    "    indented",
    "---",
    "&amp; &lt; &#42;",
    "\\alpha \\* \\\\",
    "~~gone~~",
    ":red[no] :smile: :material/home:",
    "-> <- <-> >= <= ~= --",
    "https://x.y www.x.y me@x.y",
    "<b onclick=x>b</b>",
    "a\n\n# b\n* c",
    "[ref]: http://x",
    "<!-- -->",
    "|---|---|",
]
MARKDOWN = MarkdownIt("gfm-like", {"linkify": False})


def one_line(text: str) -> str:
    return re.sub(r"\s+", " ", text).strip()


class Reader(HTMLParser):
    """Collects the tags and the text of a piece of HTML."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[str] = []
        self.text: list[str] = []
        self.marked: list[str] = []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)

    def handle_endtag(self, tag):
        self.tags.append("/" + tag)

    def handle_comment(self, data):
        self.tags.append("comment")

    def handle_decl(self, decl):
        self.tags.append("declaration")

    def handle_data(self, data):
        self.text.append(data)
        if self.tags and self.tags[-1] == "mark":
            self.marked.append(data)


def rendered(markdown: str) -> tuple[set[str], str]:
    """The kinds of inline and block nodes in the Markdown, and the text that they show."""
    kinds, shown = set(), []
    for token in MARKDOWN.parse(markdown):
        kinds.add(token.type)
        for child in token.children or []:
            kinds.add(child.type)
            shown.append(child.content)
    return kinds, "".join(shown)


def read(html: str) -> Reader:
    reader = Reader()
    reader.feed(html)
    reader.close()
    return reader


@pytest.mark.parametrize("text", HOSTILE)
def test_plain_shows_the_text_and_nothing_else(text):
    kinds, shown = rendered(plain(text))
    assert kinds <= {"paragraph_open", "paragraph_close", "inline", "text", "text_special"}
    assert shown.replace(JOINER, "") == one_line(text)


@given(st.text(alphabet=st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), max_size=60))
def test_plain_survives_any_text(text):
    kinds, shown = rendered(plain(text))
    assert kinds <= {"paragraph_open", "paragraph_close", "inline", "text", "text_special"}
    assert shown.replace(JOINER, "") == one_line(text).replace(JOINER, "")


@pytest.mark.parametrize(
    "text", [":smile:", ":material/home:", "->", "<-", "--", ">=", "~=", "https://x.y", "www.x.y", "me@x.y"]
)
def test_plain_breaks_what_streamlit_replaces_after_the_escapes(text):
    assert JOINER in plain(text)


@pytest.mark.parametrize("text", ["$x$", "$5 and $6", ":red[x]", ":blue-background[x]"])
def test_plain_escapes_what_only_streamlit_reads(text):
    assert not re.search(r"(?<!\\)[$\[\]]", plain(text))


@given(st.text(max_size=60).filter(lambda t: one_line(t)))
def test_code_is_one_code_node_with_the_text(text):
    if any(ord(c) < 32 or c in "\x7f\ufffd" for c in text) or ":material/" in text:
        return
    kinds, shown = rendered(code(text))
    assert "code_inline" in kinds
    assert shown == one_line(text) or shown == " "


@pytest.mark.parametrize("text", HOSTILE)
def test_highlight_makes_no_tag_but_its_marks(text):
    reader = read(highlight(text, ["alert", "item", "code"]))
    assert set(reader.tags) <= {"mark", "/mark"}
    assert "".join(reader.text) == text


@given(st.text(max_size=60), st.lists(st.sampled_from(["bread", "Über", "1"]), max_size=3))
def test_highlight_marks_exactly_the_terms(text, terms):
    text = f"{text.replace(chr(13), '')} Bread, über-bread breads 1"
    reader = read(highlight(text, terms))
    wanted = {t.lower() for t in terms}
    assert "".join(reader.text) == text
    assert reader.marked == [word for word in re.findall(r"\w+", text) if word.lower() in wanted]


def test_shorten_cuts_at_a_word_and_says_so():
    assert shorten("short  text\n", 20) == "short text"
    assert shorten("one two three four", 12) == "one two…"
    assert len(shorten("x" * 99, 10)) == 10
