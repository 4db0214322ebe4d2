"""Which JSON fields a corpus file must and may hold, and the column that each becomes."""

from __future__ import annotations

from dataclasses import dataclass

RESERVED = ("doc_id", "title", "text")


@dataclass(frozen=True)
class Columns:
    """What one kind of file must and may hold: the output column of each JSON field."""

    required: dict[str, str]
    optional: dict[str, str]
    keeps_more: bool  # further scalar fields become columns, too

    @property
    def named(self) -> dict[str, str]:
        return self.required | self.optional

    @property
    def remedy(self) -> str:
        return "Each line needs " + " and ".join(self.required) + "."


DOCUMENTS = Columns({"_id": "doc_id", "text": "text"}, {"title": "title"}, keeps_more=True)
QUERIES = Columns({"_id": "query_id", "text": "text"}, {}, keeps_more=False)


def extra_column(field: str, *, is_metadata: bool) -> str:
    """The column of a further field: its own name, unless the corpus itself uses that name.

    Fields of the ``metadata`` object share the names of the fields beside it; the latter's values win.
    """
    if field in RESERVED:
        return f"metadata.{field}" if is_metadata else f"extra.{field}"
    return field
