"""Negatives that are written, not mined: synthetic texts that are trained against and never searched."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from core.corpus.written import NEGATIVE, Written, read_written
from core.params import Citation, Piece, param
from core.sampling.counterfactual import Exchange

if TYPE_CHECKING:
    from core.corpus.corpus import Corpus
    from core.sampling.context import MiningContext

SYNEG = Citation(
    "Li et al.", 2024, "SyNeg: LLM-Driven Synthetic Hard-Negatives for Dense Retrieval", "https://arxiv.org/abs/2412.17250"
)
#: Purpose of the random stream of rule-made texts.
WRITE = 43
#: Documents in which names and numbers to exchange are looked for; of a larger corpus so many are drawn.
MOST_SEARCHED = 50_000


class WrittenNegatives(Piece):
    """Base of the pieces that give a query texts of no document of the corpus to be pushed from."""

    family = "written"
    per_query: int = 0
    weight: float = 1.0

    @property
    def gives_negatives(self) -> bool:
        return True

    def write(self, context: MiningContext, query_rows: np.ndarray, seed: int) -> list[Written]:
        """Texts for these training queries, in their order."""
        raise TypeError(f"{type(self).__name__} writes nothing")


@dataclass(frozen=True, kw_only=True)
class NoWritten(WrittenNegatives):
    """Every negative is a document of the corpus.

    The ordinary case: what a query is pushed from can be searched, looked up and judged. Nothing synthetic enters the training.
    """

    key = "none"
    title = "No written negatives"
    source = SYNEG

    @property
    def gives_negatives(self):
        return False


@dataclass(frozen=True, kw_only=True)
class Counterfactuals(WrittenNegatives):
    """A positive with a name, a date or a number exchanged is the negative, made by rule.

    How: names, dates and numbers of a positive are found by rule and one is exchanged for another of the corpus that is written alike;
    one that the query names comes first, for then the text speaks of something else. Such a text has nearly all the words
    of the positive and is no answer: the hardest negative there is, without a model and without a search.

    Fails where the exchanged detail is not what is asked for: the text still answers, and is a false negative; `all` exchanges
    everything and is safer. Mean vectors hardly see one word in thirty, so light encoders gain little. Positives without
    names and numbers give nothing. A language model writes more natural ones; the rule is ours.
    """

    key = "counterfactuals"
    title = "Rule-made counterfactuals"
    cost = "low"
    difficulty = "easy"
    source = SYNEG
    swap: str = param("one", "what is exchanged", choices=("one", "all"))
    variants: int = param(2, "texts made for each training pair; each epoch draws of a query's", ge=1, le=20)
    per_query: int = param(1, "written negatives taken for each query", ge=1, le=100)
    weight: float = param(1.0, "loss weight of each of these negatives", ge=0.0, le=1000.0)

    def write(self, context, query_rows, seed):
        corpus = context.corpus
        n = corpus.n_documents
        searched = np.arange(n) if n <= MOST_SEARCHED else np.sort(np.random.default_rng(0).permutation(n)[:MOST_SEARCHED])
        exchange = Exchange(part for parts in _parts(corpus, searched) for part in parts)
        all_queries, all_docs = context.training_pairs
        own = np.isin(all_queries, query_rows)
        rng = np.random.default_rng([seed, WRITE])
        found = []
        texts = dict(zip(all_docs[own].tolist(), _parts(corpus, all_docs[own]), strict=True))
        query_texts = dict(zip(query_rows.tolist(), corpus.query_texts(query_rows), strict=True))
        ids = corpus.query_ids(), corpus.doc_ids()
        for query, doc in zip(all_queries[own].tolist(), all_docs[own].tolist(), strict=True):
            made = [exchange.counterfactual(texts[doc], query_texts[query], self.swap, rng) for _ in range(self.variants)]
            found += [Written(NEGATIVE, ids[0][query], ids[1][doc], text, "rule") for text in dict.fromkeys(filter(None, made))]
        return found


def _parts(corpus: Corpus, rows: np.ndarray) -> list[tuple[str, str]]:
    """(title, text) of these documents."""
    documents = corpus.documents.select(["title", "text"]).take(rows)
    return list(zip(documents["title"].to_pylist(), documents["text"].to_pylist(), strict=True))


@dataclass(frozen=True, kw_only=True)
class NegativesFromFile(WrittenNegatives):
    """Negatives that a language model or a person wrote for the query come from a file.

    How: a model is asked for texts that look like the positive and do not answer the query; `negspace write` asks any chat endpoint,
    says first what it costs, and goes on where it stopped. Pasted texts do as well: one JSON object a line with query-id
    and text. They join the softmax of their query, and are no document: never searched, never in a ranking.

    Fails when the model writes an answer after all, which nothing here can see, or in a style of its own that a trained encoder
    tells apart at a glance: then the negatives are easy. The paper mixes them with mined ones; so should a recipe.
    """

    key = "written-file"
    title = "Written negatives from a file"
    cost = "low"
    difficulty = "medium"
    needs = ("a file of written texts",)
    source = SYNEG
    file: str = param("", "path of a file of JSON lines: query-id, text")
    per_query: int = param(1, "written negatives taken for each query", ge=1, le=100)
    weight: float = param(1.0, "loss weight of each of these negatives", ge=0.0, le=1000.0)

    def lacks(self, corpus, recipe=None):
        return file_lacks(self, "negatives", "written.file")

    def write(self, context, query_rows, seed):
        known = set(context.corpus.query_ids(query_rows))
        return [own for own in read_written(Path(self.file), NEGATIVE) if own.query_id in known]


def file_lacks(piece: Piece, kind: str, setting: str) -> str:
    """What to do where the piece names no file that exists; "" where it does."""
    file = piece.file  # type: ignore[attr-defined]
    if file and Path(file).is_file():
        return ""
    what = "names no file" if not file else "names a file that does not exist"
    return (
        f"{piece.title} {what}. Write one with 'negspace write CORPUS --kind {kind} --out FILE.jsonl', or paste texts as JSON lines, and "
        f"set {setting} to its path."
    )


WRITTEN: tuple[type[WrittenNegatives], ...] = (NoWritten, Counterfactuals, NegativesFromFile)
