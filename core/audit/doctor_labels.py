"""Checks of the labels: rows that point nowhere, splits that leak, density, and labels that look wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from core.audit.doctor_finding import MOST_EXAMPLES, Example, Finding, Patient, answered, some

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

MOST_SUSPECTS = 1000
SUSPECT_RANK = 1000
BLOCK_SUSPECTS = 16
BLOCK_TEXTS = 20_000


def dangling_qrels(patient: Patient) -> Finding:
    """Rows of the qrels files (truth included) that name a query or document which is not there; the reader drops them."""
    corpus = patient.corpus
    by_file = {file: int(n) for file, n in corpus.facts.get("dangling", {}).items()}
    count = sum(by_file.values())
    tables = [*corpus.splits.values(), *([corpus.truth] if corpus.truth is not None else [])]
    of = count + sum(table.n_pairs for table in tables)
    where = ", ".join(f"{n:,} in {file}" for file, n in by_file.items())
    notes = [note for note in corpus.notes if "the row was dropped" in note]
    return answered(
        "dangling_qrels", "Judgements that point nowhere", "fault" if count > 0.01 * of else "warning", count, of, "judgements",
        f"{some(count, of, 'judgements')} name a query or document that does not exist and were dropped: {where}. "
        "What they judged counts as unlabelled, so its answers can be mined as negatives. Add the missing texts.",
        "Every judgement names a query and a document that exist.",
        [Example(note=note) for note in notes[:MOST_EXAMPLES]],
        figures={"by_file": by_file},
    )  # fmt: skip


def queries_without_positives(patient: Patient) -> Finding:
    """Queries without a positive in any split (truth does not count)."""
    corpus = patient.corpus
    rows = np.flatnonzero(corpus.positives.n_per_query() == 0)
    return answered(
        "queries_without_positives", "Queries without a positive", "warning" if len(rows) > 0.1 * corpus.n_queries else "note",
        len(rows), corpus.n_queries, "queries",
        f"{some(len(rows), corpus.n_queries, 'queries')} have no positive in any split: they are neither trained on nor measured.",
        "Every query has a positive.",
        [Example(query_row=int(row)) for row in rows[:MOST_EXAMPLES]],
    )  # fmt: skip


def multi_positive_queries(patient: Patient) -> Finding:
    """Queries with two or more known positives."""
    corpus = patient.corpus
    counts = corpus.positives.n_per_query()
    rows = np.flatnonzero(counts > 1)
    most = np.argsort(-counts[rows], kind="stable")
    n_queries = int((counts > 0).sum())
    return answered(
        "multi_positive_queries", "Queries with several positives", "note", len(rows), n_queries, "queries",
        f"{some(len(rows), n_queries, 'queries')} have several positives, {int(counts.max(initial=0)):,} at most. "
        "All of a query's positives are kept out of its negatives here; "
        "a tool that masks only the pair's own positive would train against the others.",
        "No query has more than one positive.",
        [Example(query_row=int(row), note=f"{int(counts[row]):,} positives") for row in rows[most][:MOST_EXAMPLES]],
    )  # fmt: skip


def train_test_overlap(patient: Patient) -> Finding:
    """Test queries that are also training queries: by their words (lower case, punctuation ignored) or by their id.

    A query whose id is in both splits was left in test only by the reader, so nothing is to be mended; it counts all the same.
    """
    corpus = patient.corpus
    test = corpus.split_query_rows("test")
    first = seen_test_queries(patient)
    by_id = np.intersect1d(corpus.query_rows(corpus.facts.get("in_two_splits") or [""]), test)
    rows = np.union1d(np.array(sorted(first), np.int64), by_id)
    parts = [f"{len(first):,} have the words of a training query"] * bool(first)
    parts += [f"{len(by_id):,} had their id in train, too, and were left in test only"] * bool(len(by_id))
    return answered(
        "train_test_query_overlap", "The same query in train and test", "fault" if first else "warning",
        len(rows), len(test), "test queries",
        f"{some(len(rows), len(test), 'test queries')} are training queries: {'; '.join(parts)}. "
        "A model can answer them by heart, which flatters every trial.",
        "No test query is a training query.",
        [
            Example(query_row=int(row), other_query_row=first.get(int(row), -1), note="same words" if int(row) in first else "same id")
            for row in rows[:MOST_EXAMPLES]
        ],
        "drop_seen_queries" if first else "",
        {"same_words": len(first), "same_id": len(by_id)},
    )  # fmt: skip


def seen_test_queries(patient: Patient) -> dict[int, int]:
    """Test query row -> the first training query row with the same words in the same order; empty texts never match."""
    corpus = patient.corpus
    terms, starts, _ = patient.query_words

    def key(row: int) -> bytes:
        return terms[starts[row] : starts[row + 1]].tobytes()

    known: dict[bytes, int] = {}
    for row in corpus.split_query_rows("train").tolist():
        known.setdefault(key(row), row)
    known.pop(b"", None)
    found = {row: known.get(key(row), -1) for row in corpus.split_query_rows("test").tolist()}
    return {row: other for row, other in found.items() if other >= 0}


def label_density(patient: Patient) -> Finding:
    """How many positives a query has, and how much of the corpus anybody has judged."""
    corpus = patient.corpus
    counts = corpus.positives.n_per_query()
    counts = counts[counts > 0]
    tables = [table.doc_rows for table in corpus.splits.values()]
    n_judged = len(np.unique(np.concatenate([np.empty(0, np.int64), *tables])))
    mean = float(counts.mean()) if len(counts) else 0.0
    return Finding(
        "label_density", "Label density", "note", n_judged, corpus.n_documents, "documents",
        f"A query has {mean:.2f} positives in the mean; {some(n_judged, corpus.n_documents, 'documents')} are judged for any query. "
        "Whatever is not judged is unlabelled, not irrelevant: the fewer labels, the more true answers stand among hard negatives.",
        figures={"positives_per_query": mean, "most_positives": int(counts.max(initial=0)), "judged_documents": n_judged},
    )  # fmt: skip


def unlabelled_positives(patient: Patient) -> Finding | None:
    """Positives of truth that no split labels, for queries with a label; None for a corpus without truth."""
    corpus = patient.corpus
    if corpus.truth is None:
        return None
    query_rows, doc_rows, _ = corpus.truth.only_positive().pairs()
    is_hidden = ~corpus.positives.contains(query_rows, doc_rows)
    hidden = np.flatnonzero(is_hidden)
    n_queries = len(np.unique(query_rows[hidden]))
    return answered(
        "unlabelled_positives", "Unlabelled positives (by truth)", "note", len(hidden), len(query_rows), "true positives",
        f"{some(len(hidden), len(query_rows), 'true positives')} carry no label, in {n_queries:,} queries: "
        "each one that a sampler picks is a false negative that the pages can count.",
        "Truth names no positive that the labels do not.",
        [Example(int(query_rows[i]), int(doc_rows[i]), note="relevant by truth") for i in hidden[:MOST_EXAMPLES]],
        figures={"queries": n_queries},
    )  # fmt: skip


def suspected_wrong_labels(patient: Patient) -> Finding:
    """Positives that share no word with their query and that neither BM25 nor the untrained encoder would ever show.

    Both ranks must be behind 1,000, or behind half of a smaller corpus. A suspicion: a translation or a code looks the same.
    """
    corpus = patient.corpus
    cut = min(SUSPECT_RANK, corpus.n_documents // 2)
    query_rows, doc_rows = _pairs_without_a_word(patient)
    n_wordless = len(query_rows)
    query_rows, doc_rows = query_rows[:MOST_SUSPECTS], doc_rows[:MOST_SUSPECTS]
    sharing = _n_sharing(patient, query_rows)
    is_far = sharing >= cut
    query_rows, doc_rows, sharing = query_rows[is_far], doc_rows[is_far], sharing[is_far]
    ranks = _untrained_ranks(patient, query_rows, doc_rows)
    picked = np.flatnonzero(ranks > cut)
    picked = picked[np.argsort(-ranks[picked], kind="stable")]
    is_cut = n_wordless > MOST_SUSPECTS
    only = f" Only the first {MOST_SUSPECTS:,} of {n_wordless:,} pairs without a common word were ranked." if is_cut else ""
    return answered(
        "suspected_wrong_labels", "Labels that look wrong", "warning", len(picked), corpus.positives.n_pairs, "positive pairs",
        f"{some(len(picked), corpus.positives.n_pairs, 'positive pairs')} share no word, and both BM25 and the untrained static encoder "
        f"rank the document behind place {cut:,}. Read them: a wrong label pulls the model towards nonsense.{only}",
        f"No positive is out of reach of both BM25 and the untrained encoder.{only}",
        [
            Example(
                int(query_rows[i]), int(doc_rows[i]),
                note=f"no common word; {int(sharing[i]):,} documents share one; encoder rank {int(ranks[i]):,}",
            )
            for i in picked[:MOST_EXAMPLES]
        ],
        figures={"without_common_word": n_wordless, "rank": cut},
    )  # fmt: skip


def _pairs_without_a_word(patient: Patient) -> tuple[np.ndarray, np.ndarray]:
    """Positive pairs whose query and document both have words, but none in common."""
    from scipy.sparse import csr_matrix

    query_rows, doc_rows, _ = patient.corpus.positives.pairs()
    _, starts, vocabulary = patient.words
    asked, query_starts, _ = patient.query_words
    shape = (patient.corpus.n_queries, len(vocabulary))
    words = _in_documents(patient)[asked]
    is_known = words >= 0
    rows = np.repeat(np.arange(len(query_starts) - 1), np.diff(query_starts))
    queries = csr_matrix((np.ones(is_known.sum(), np.int32), (rows[is_known], words[is_known])), shape=shape)
    documents = _word_matrix(patient)
    common = [np.empty(0, np.int64)]
    for first in range(0, len(query_rows), BLOCK_TEXTS):
        part = slice(first, first + BLOCK_TEXTS)
        common.append(np.asarray(queries[query_rows[part]].multiply(documents[doc_rows[part]]).sum(axis=1)).ravel())
    has_words = (np.diff(query_starts)[query_rows] > 0) & (np.diff(starts)[doc_rows] > 0)
    is_suspect = (np.concatenate(common) == 0) & has_words
    return query_rows[is_suspect], doc_rows[is_suspect]


def _word_matrix(patient: Patient) -> csr_matrix:
    """(C, V): the words of each document, a repeated one repeatedly; the numbers of words are not copied."""
    from scipy.sparse import csr_matrix

    terms, starts, vocabulary = patient.words
    is_small = starts[-1] < 2**31  # row starts as wide as the words' numbers, or both would be widened
    starts = starts.astype(np.int32) if is_small else starts
    return csr_matrix((np.ones(len(terms), np.int32), terms, starts), shape=(len(starts) - 1, len(vocabulary)))


def _in_documents(patient: Patient) -> np.ndarray:
    """For each word of the queries' vocabulary its number in the documents', -1 = in no document."""
    number = patient.words[2].get
    words = patient.query_words[2]
    return np.fromiter((number(word, -1) for word in words), np.int64, len(words))


def _n_sharing(patient: Patient, query_rows: np.ndarray) -> np.ndarray:
    """How many documents share a word with each query: all of these stand before one that shares none, for BM25."""
    from scipy.sparse import csr_matrix

    vocabulary = patient.words[2]
    asked, query_starts, _ = patient.query_words
    words = _in_documents(patient)[asked]
    documents = _word_matrix(patient)
    counts = np.zeros(len(query_rows), np.int64)
    for first in range(0, len(query_rows), BLOCK_SUSPECTS):
        rows = query_rows[first : first + BLOCK_SUSPECTS]
        lists = [words[query_starts[row] : query_starts[row + 1]] for row in rows]
        lists = [np.unique(known[known >= 0]) for known in lists]
        columns = np.repeat(np.arange(len(rows)), [len(known) for known in lists])
        wanted = csr_matrix((np.ones(len(columns), np.int32), (np.concatenate(lists), columns)), shape=(len(vocabulary), len(rows)))
        counts[first : first + len(rows)] = (documents @ wanted).getnnz(axis=0)
    return counts


def _untrained_ranks(patient: Patient, query_rows: np.ndarray, doc_rows: np.ndarray) -> np.ndarray:
    """The rank of each pair's document for the static encoder before any training, by cosine; int64."""
    if not len(query_rows):
        return np.empty(0, np.int64)
    from core.encode.encoders import make_encoder
    from core.search.exact import ranks_of

    model = make_encoder("static").build([], 0)
    wanted, places = np.unique(query_rows, return_inverse=True)
    texts = patient.texts
    documents = np.empty((len(texts), model.dim), np.float32)
    for i in range(0, len(texts), BLOCK_TEXTS):
        documents[i : i + BLOCK_TEXTS] = model.encode_texts(texts[i : i + BLOCK_TEXTS], "document")
    queries = model.encode_texts(patient.corpus.query_texts(wanted), "query")
    for vectors in (queries, documents):  # to unit length in place: the cosine of a search would copy them in double precision
        vectors /= np.maximum(np.sqrt(np.einsum("ij,ij->i", vectors, vectors)), 1e-9)[:, None]
    return ranks_of(queries, documents, places, doc_rows, similarity="dot")
