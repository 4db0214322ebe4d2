"""TREC's marked-up files: <DOC> and <top>, written long before XML, and topics in XML. Read by tags, never by a parser
that would follow entities: what a file says is data."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator

from core.corpus.faults import Faults
from core.corpus.limits import Limits, size_words
from core.corpus.lines import BROKEN

TITLES = ("title", "headline", "hl", "head", "ti", "h3")
TOPIC_FIELDS = ("title", "query", "question", "desc", "description", "text", "summary")
_DOC = re.compile(rb"</?doc>", re.IGNORECASE)
_TOPIC = re.compile(rb"<(/?)(?:top|topic|query)(?:\s[^<>]{0,500})?>", re.IGNORECASE)
_FIELD = re.compile(r"<(/?)([A-Za-z][\w.-]{0,30})(?:\s[^<>]{0,200})?>")
# Mark-up within a text is in capitals in TREC's collections (<P>, <F P=105>); what a text itself says in lower case stays.
_INNER = re.compile(r"</?[A-Z][A-Z0-9]{0,15}(?:\s[^<>]{0,100})?>")
_NUMBER = re.compile(r"""\b(?:number|num|id|qid)\s*=\s*["']?([^"'\s>]{1,200})""", re.IGNORECASE)
_LABEL = re.compile(r"^\s*(?:Number|Topic|Description|Narrative)\s*:", re.IGNORECASE)


def documents(data: bytes, file: str, limits: Limits, faults: Faults) -> Iterator[tuple[int, tuple[str, str, str]]]:
    """``(line, (doc_id, title, text))`` of each <DOC>; the text is what stands in <TEXT>, else all but number and title."""
    for number, block in _blocks(data, _DOC, file, "DOC", faults):
        if len(block) > limits.line_bytes:
            most = size_words(limits.line_bytes)
            faults.mend(file, BROKEN, f"{file}:{number}: a document of {size_words(len(block))}, more than {most}. Split it.")
            continue
        fields = _fields(_decoded(block, file, number, faults))
        doc_id = fields.get("docno", fields.get("docid", "")).strip()
        if not doc_id:
            faults.mend(file, BROKEN, f"{file}:{number}: missing <DOCNO>. Each document needs one.")
            continue
        title = next((fields[name] for name in TITLES if fields.get(name, "").strip()), "")
        body = fields.get("text")
        if body is None:
            body = " ".join(value for name, value in fields.items() if name not in ("docno", "docid", "dochdr", *TITLES))
        yield number, (doc_id, _plain(title), _plain(body))


def topics(data: bytes, file: str, faults: Faults, wanted: str = "") -> Iterator[tuple[int, tuple[str, str]]]:
    """``(line, (query_id, text))`` of each topic. ``wanted``: its field; by default title, else the first of the usual ones."""
    for number, block in _blocks(data, _TOPIC, file, "top", faults):
        head, _, body = block.partition(b">")
        attributes = head.decode("utf-8", "replace")
        text = _decoded(body, file, number, faults)
        fields = _fields(text, closes=False)
        found = _NUMBER.search(attributes)
        query_id = found[1] if found else _LABEL.sub("", fields.get("num", fields.get("number", fields.get("id", "")))).strip()
        names = (wanted.lower(), *TOPIC_FIELDS) if wanted else TOPIC_FIELDS
        query = next((fields[name] for name in names if fields.get(name, "").strip()), text if not fields else "")
        query = " ".join(_plain(_LABEL.sub("", query)).split())
        if query_id and query:
            yield number, (html.unescape(query_id), query)
        else:
            what = "number" if not query_id else "title"
            faults.mend(file, BROKEN, f"{file}:{number}: a topic without {what}. Each topic needs a number and a title.")


def _blocks(data: bytes, tag: re.Pattern[bytes], file: str, name: str, faults: Faults) -> Iterator[tuple[int, bytes]]:
    """``(line, bytes)`` from each opening tag to its end: attributes of the opening tag, '>', and what is inside."""
    number, counted, start = 1, 0, -1
    for match in tag.finditer(data):
        is_end = data[match.start() + 1 : match.start() + 2] == b"/"
        if start >= 0 and (is_end or name == "DOC"):
            number += data.count(b"\n", counted, start)
            counted = start
            if is_end:
                yield number, data[start : match.start()] if name != "DOC" else data[start + 5 : match.start()]
            else:
                faults.mend(file, BROKEN, f"{file}:{number}: a <{name}> without its end; it was skipped. Add </{name}>.")
            start = -1 if is_end else match.start()
        elif start < 0 and not is_end and not data[match.start() : match.end()].lower().startswith(b"<topics"):
            start = match.start()
    if start >= 0:
        number += data.count(b"\n", counted, start)
        faults.mend(file, BROKEN, f"{file}:{number}: a <{name}> without its end; it was skipped. Add </{name}>.")


def _fields(text: str, *, closes: bool = True) -> dict[str, str]:
    """What stands after each tag, in lower case: up to its own end (``closes``), or up to the next tag, as in topics."""
    found: dict[str, list[str]] = {}
    name, start = "", 0
    for match in _FIELD.finditer(text):
        tag, is_end = match[2].lower(), bool(match[1])
        if name and closes and not (is_end and tag == name):
            continue  # a tag within the field
        if name:
            found.setdefault(name, []).append(text[start : match.start()])
        name, start = ("", 0) if is_end else (tag, match.end())
    if name and not closes:
        found.setdefault(name, []).append(text[start:])
    elif name:  # never closed: the rest, which a reader of old tapes would see, too
        found.setdefault(name, []).append(_FIELD.sub(" ", text[start:]))
    return {name: "\n".join(parts) for name, parts in found.items()}


def _plain(text: str) -> str:
    text = html.unescape(_INNER.sub(" ", text)).replace("\0", " ").strip()
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def _decoded(block: bytes, file: str, number: int, faults: Faults) -> str:
    try:
        return block.decode()
    except UnicodeDecodeError:
        faults.mend(file, "texts that are not UTF-8", f"{file}:{number}: is not UTF-8 and was read as Latin-1, as old collections are.")
        return block.decode("latin-1")
