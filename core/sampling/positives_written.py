"""Positives whose queries a language model or a person wrote: generated for a document, or another wording of a query."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from core.corpus.written import PARAPHRASE, QUERY, read_written
from core.errors import ParameterError
from core.params import Citation, param
from core.sampling.positive_base import MadePairs, PositiveBuilder
from core.sampling.positives_queries import open_queries
from core.sampling.written import file_lacks

GPL = Citation(
    "Wang et al.",
    2022,
    "GPL: Generative Pseudo Labeling for Unsupervised Domain Adaptation of Dense Retrieval",
    "https://arxiv.org/abs/2112.07577",
)


@dataclass(frozen=True, kw_only=True)
class GeneratedQueries(PositiveBuilder):
    """A query that a model wrote for a document asks for that document.

    How: a language model reads a document and writes queries that it answers; `negspace write` asks any chat endpoint and keeps
    the answers in a file, and pasted ones do as well: doc-id and text, one JSON object a line. No label is used. GPL goes on to
    mine negatives and to weigh them with a cross-encoder; here the other documents of the batch serve.

    Fails where the model's queries are unlike what people ask: too long, too well-formed, in the document's own words. Queries
    that many documents answer have one positive only, and the others of the batch are pushed away.
    """

    key = "generated-queries"
    title = "Generated queries"
    cost = "high"
    difficulty = "medium"
    is_redrawn = False
    needs = ("a file of written texts",)
    source = GPL
    file: str = param("", "path of a file of JSON lines: doc-id, text")

    def lacks(self, corpus, recipe=None):
        return file_lacks(self, "queries", "positives.file")

    def read(self, context):
        written = read_written(Path(self.file), QUERY)
        rows = context.corpus.doc_rows([own.doc_id for own in written])
        if not (rows >= 0).any():
            raise ParameterError(f"No doc-id in {Path(self.file).name} is one of this corpus's. Take a file that was written for it.")
        has_text = np.array([bool(text) for text in context.corpus.document_texts()], bool)
        kept = [i for i in np.argsort(rows, kind="stable") if rows[i] >= 0 and has_text[rows[i]]]
        protected: dict[str, list[int]] = {}
        for i in kept:
            protected.setdefault(written[i].text, []).append(int(rows[i]))
        width = max((len(own) for own in protected.values()), default=0)
        padded = np.full((len(kept), width), -1, np.int64)
        for place, i in enumerate(kept):
            own = protected[written[i].text]
            padded[place, : len(own)] = own
        return MadePairs([written[i].text for i in kept], rows[kept], protected=padded)

    def draw(self, material, rng):
        return material


@dataclass(frozen=True, kw_only=True)
class Paraphrases(PositiveBuilder):
    """A labelled query is asked in other words, which a model or a person wrote.

    How: each epoch every labelled pair takes the query's own text or one of its paraphrases, all equally likely. The file has
    query-id and text, one JSON object a line; `negspace write` asks a chat endpoint for it. More wordings of one need teach what
    may vary in a query. Queries without a paraphrase stay as they are; the training labels are used.

    Fails where a paraphrase drifts to another need: the label is then wrong for it. A model's wordings are alike, so ten
    of them add little to two.
    """

    key = "paraphrases"
    title = "Paraphrased queries"
    cost = "high"
    difficulty = "easy"
    uses_labels = True
    needs = ("a file of written texts",)
    source = GPL
    file: str = param("", "path of a file of JSON lines: query-id, text")

    def lacks(self, corpus, recipe=None):
        return file_lacks(self, "paraphrases", "positives.file")

    def read(self, context):
        corpus = context.corpus
        query_rows, doc_rows = context.training_pairs
        written = read_written(Path(self.file), PARAPHRASE)
        rows = corpus.query_rows([own.query_id for own in written])
        allowed = set(open_queries(corpus).tolist())
        if not any(row in allowed for row in rows.tolist()):
            raise ParameterError(
                f"No query-id in {Path(self.file).name} is one of this corpus's training queries. Take a file that was written for it."
            )
        wordings = {row: [text] for row, text in enumerate(corpus.query_texts()) if text.strip()}
        for own, row in zip(written, rows.tolist(), strict=True):
            if row in allowed:
                wordings.setdefault(row, []).append(own.text)
        has_text = np.array([row in wordings for row in query_rows.tolist()], bool)
        query_rows, doc_rows = query_rows[has_text], doc_rows[has_text]
        return query_rows, doc_rows, wordings, context.protected.padded(query_rows)

    def draw(self, material, rng):
        query_rows, doc_rows, wordings, protected = material
        texts = [wordings[row][rng.integers(len(wordings[row]))] for row in query_rows.tolist()]
        return MadePairs(texts, doc_rows, protected=protected, query_rows=query_rows)
