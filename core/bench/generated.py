"""A corpus written by code: as large as asked, no one's text, the same for the same seed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from core.corpus.corpus import Corpus
from core.corpus.judgements import Judgements
from core.errors import ParameterError

N_TOPICS, TOPIC_WORDS, OWN_WORDS = 250, 48, 6
# Shares of a document's and of a query's words: from everyday words, from the topic, from the document's own words.
DOCUMENT_MIX = (0.45, 0.35, 0.20)
QUERY_MIX = (0.40, 0.45, 0.15)


@dataclass(frozen=True)
class GeneratedCorpus:
    """``documents``: (doc_id, title, text); ``queries``: (query_id, text), those of training first.

    ``train_pairs``, ``test_pairs``: (query_id, doc_id), one positive a query.
    """

    documents: list[tuple[str, str, str]]
    queries: list[tuple[str, str]]
    train_pairs: list[tuple[str, str]]
    test_pairs: list[tuple[str, str]]


def generated_corpus(
    n_documents: int = 20000, n_train: int = 4000, n_test: int = 500, seed: int = 0
) -> GeneratedCorpus:
    """A corpus in which both shared words and shared meaning lead from a query to its document.

    Words are the whole words of wordllama's vocabulary, frequent ones first, drawn by Zipf's law. A topic is a word
    and those whose vectors are nearest to it. A document (8 to 200 words, 60 in the mean) mixes everyday words, words
    of its topic and six words of its own, repeated. Its query (4 to 12 words) mixes everyday words, a few of the
    document's own words, and words of the topic that the document need not contain. Raises ParameterError for a
    number below its least. Source of the law: Zipf 1949.
    """
    for name, value, least in (("n_documents", n_documents, 1), ("n_train", n_train, 0), ("n_test", n_test, 0)):
        if value < least:
            raise ParameterError(f"{name} must be an int in [{least}, inf); got {value}.")
    rng = np.random.default_rng(seed)
    words, vectors = _words()
    topics = _topics(vectors, rng)
    everyday = np.cumsum(1 / (np.arange(len(words)) + 2.7))
    everyday /= everyday[-1]

    doc_topics = rng.integers(0, len(topics), n_documents)
    own_words = rng.integers(200, len(words), (n_documents, OWN_WORDS))

    def write(doc_rows: np.ndarray, lengths: np.ndarray, mix: tuple[float, float, float]) -> list[str]:
        of_text = np.repeat(doc_rows, lengths)
        kinds = rng.choice(3, len(of_text), p=mix)
        near_topic = np.minimum(rng.geometric(0.06, len(of_text)) - 1, TOPIC_WORDS - 1)
        picks = np.choose(
            kinds,
            [
                np.searchsorted(everyday, rng.random(len(of_text))),
                topics[doc_topics[of_text], near_topic],
                own_words[of_text, rng.integers(0, OWN_WORDS, len(of_text))],
            ],
        )
        ends = np.cumsum(lengths)
        return [" ".join(words[picks[end - n : end]]) for end, n in zip(ends, lengths, strict=True)]

    doc_rows = np.arange(n_documents)
    lengths = np.clip(rng.lognormal(4.0, 0.45, n_documents), 8, 200).astype(int)
    texts = write(doc_rows, lengths, DOCUMENT_MIX)
    titles = write(doc_rows, rng.integers(2, 6, n_documents), (0.0, 0.6, 0.4))
    n_queries = n_train + n_test
    positives = rng.permutation(n_documents)[np.arange(n_queries) % n_documents]
    query_texts = write(positives, rng.integers(4, 13, n_queries), QUERY_MIX)

    pairs = [(f"q{i}", f"d{row}") for i, row in enumerate(positives)]
    return GeneratedCorpus(
        documents=[(f"d{i}", titles[i], texts[i]) for i in range(n_documents)],
        queries=[(f"q{i}", text) for i, text in enumerate(query_texts)],
        train_pairs=pairs[:n_train],
        test_pairs=pairs[n_train:],
    )


def _words() -> tuple[np.ndarray, np.ndarray]:
    """``(words, vectors)``: whole words of three letters and more, frequent first, and unit vectors for them."""
    from core.encode.subwords import SPACE_MARK, wordllama_tokenizer, wordllama_vectors

    tokens = sorted(wordllama_tokenizer().tokenizer.get_vocab().items(), key=lambda token: token[1])
    whole = [(token[1:], i) for token, i in tokens if token.startswith(SPACE_MARK) and len(token) > 3]
    whole = [(word, i) for word, i in whole if word.isascii() and word.isalpha() and word.islower()]
    vectors = wordllama_vectors()[[i for _, i in whole]].astype(np.float32)
    vectors /= np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)
    return np.array([word for word, _ in whole], dtype=object), vectors


def _topics(vectors: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """int64 (N_TOPICS, TOPIC_WORDS): each row a word and its nearest words, nearest first."""
    centres = rng.choice(np.arange(200, len(vectors)), N_TOPICS, replace=False)
    return np.argsort(-(vectors[centres] @ vectors.T), axis=1, kind="stable")[:, :TOPIC_WORDS]


def generated(**sizes: int) -> Corpus:
    """:func:`generated_corpus` as a Corpus, in memory."""
    import pyarrow as pa

    made = generated_corpus(**sizes)
    doc_rows = {doc_id: row for row, (doc_id, _, _) in enumerate(made.documents)}
    query_rows = {query_id: row for row, (query_id, _) in enumerate(made.queries)}

    def judged(pairs: list[tuple[str, str]]) -> Judgements:
        rows = [(query_rows[query], doc_rows[doc]) for query, doc in pairs]
        return Judgements.from_pairs([q for q, _ in rows], [d for _, d in rows], [1] * len(rows), len(query_rows))

    return Corpus(
        name="generated",
        documents=pa.table(dict(zip(("doc_id", "title", "text"), map(list, zip(*made.documents, strict=True)), strict=True))),
        queries=pa.table(dict(zip(("query_id", "text"), map(list, zip(*made.queries, strict=True)), strict=True))),
        splits={"train": judged(made.train_pairs), "test": judged(made.test_pairs)},
    )
