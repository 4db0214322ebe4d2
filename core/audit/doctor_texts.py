"""Checks of the documents themselves: copies, empty and long texts, languages."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from core.audit.doctor_finding import MOST_EXAMPLES, NEAR, Example, Finding, Patient, answered, some
from core.audit.doctor_language import SHORT, UNCLEAR, guess_languages

MAX_LENGTHS = (128, 256, 512)  # what transformer encoders usually read
SAMPLED_DOCUMENTS = 50_000
MIXED_SHARE = 0.05


def exact_duplicates(patient: Patient) -> Finding:
    """Documents whose joined title and text equal an earlier document's, character by character; empty ones count."""
    corpus = patient.corpus
    groups = pa.array(patient.texts, pa.large_string()).dictionary_encode().indices.to_numpy()
    first = np.full(groups.max(initial=-1) + 1, -1, np.int64)
    first[groups[::-1]] = np.arange(len(groups))[::-1]
    rows = np.flatnonzero(first[groups] != np.arange(len(groups)))
    return answered(
        "exact_duplicates", "Exact duplicates", "warning", len(rows), corpus.n_documents, "documents",
        f"{some(len(rows), corpus.n_documents, 'documents')} repeat an earlier document word for word under another id. "
        "Training against the copy of a positive teaches the model to deny its own answer, and a run that finds the copy gets no credit.",
        "No document repeats another word for word.",
        [Example(doc_row=int(row), other_doc_row=int(first[groups[row]])) for row in rows[:MOST_EXAMPLES]],
        "merge_duplicates",
    )  # fmt: skip


def near_duplicates(patient: Patient) -> Finding:
    """Unordered pairs of documents with a Jaccard overlap of word 3-shingles of .8 or more; exact copies are pairs, too."""
    near, corpus = patient.near, patient.corpus
    n_documents = int((np.asarray(near.near @ near.sizes) > 1)[near.group_of].sum())
    at_least = "" if near.is_complete else "at least "
    return answered(
        "near_duplicate_pairs", "Near-duplicates", "warning", near.n_pairs, corpus.n_documents * (corpus.n_documents - 1) // 2,
        "pairs of documents",
        f"{at_least.capitalize()}{near.n_pairs:,} pairs share {NEAR:.0%} or more of their word 3-shingles (exact copies included); "
        f"{some(n_documents, corpus.n_documents, 'documents')} are in such a pair. "
        "Where one is a positive, the other is hardly a negative.",
        "No two documents share 80% or more of their word 3-shingles.",
        [Example(doc_row=a, other_doc_row=b) for a, b in near.examples(MOST_EXAMPLES)],
        "protect_twins",
        {"documents": n_documents, "is_complete": near.is_complete, "threshold": NEAR},
    )  # fmt: skip


def positive_twins(patient: Patient) -> Finding:
    """(query, document) pairs where the document is near a positive of the query but no positive of it."""
    corpus, near = patient.corpus, patient.near
    query_rows, doc_rows, _ = corpus.positives.pairs()
    counts = near.n_twins_of(query_rows, doc_rows, corpus.n_queries)
    examples = []
    for query_row in np.flatnonzero(counts)[:MOST_EXAMPLES]:
        positives = corpus.positives.positives(int(query_row))
        for positive in positives:
            twins = np.setdiff1d(near.twins(int(positive)), positives)
            if len(twins):
                note = "copy of a positive, without a label"
                examples.append(Example(int(query_row), int(twins[0]), int(positive), note=note))
                break
    n_queries = int((counts > 0).sum())
    return answered(
        "positive_twins", "Unlabelled copies of positives", "fault", int(counts.sum()),
        corpus.positives.n_pairs + int(counts.sum()), "positives and their copies",
        f"{int(counts.sum()):,} unlabelled documents are copies or near-copies of a positive of the same query, in "
        f"{some(n_queries, len(corpus.positives.query_rows_with_positives()), 'queries')}. Every sampler that ranks documents will offer "
        "them as hard negatives: they are false negatives that can be avoided.",
        "Every copy of a positive is labelled, or there is none.",
        examples, "protect_twins", {"queries": n_queries},
    )  # fmt: skip


def empty_documents(patient: Patient) -> Finding:
    """Documents without a word character in title and text."""
    corpus = patient.corpus
    rows = np.flatnonzero(np.diff(patient.words[1]) == 0)
    judged = np.unique(corpus.positives.doc_rows)
    n_positive = len(np.intersect1d(rows, judged))
    return answered(
        "empty_documents", "Empty documents", "warning", len(rows), corpus.n_documents, "documents",
        f"{some(len(rows), corpus.n_documents, 'documents')} hold no word; {n_positive:,} of them are labelled positives. "
        "An empty text is the zero vector: it scores the same for every query.",
        "Every document holds a word.",
        [Example(doc_row=int(row)) for row in rows[:MOST_EXAMPLES]],
        "drop_empty" if len(rows) > n_positive else "",
        {"positives": n_positive},
    )  # fmt: skip


def empty_queries(patient: Patient) -> Finding:
    """Queries without a word character."""
    corpus = patient.corpus
    rows = np.flatnonzero(np.diff(patient.query_words[1]) == 0)
    return answered(
        "empty_queries", "Empty queries", "warning", len(rows), corpus.n_queries, "queries",
        f"{some(len(rows), corpus.n_queries, 'queries')} hold no word, so nothing can be found for them.",
        "Every query holds a word.",
        [Example(query_row=int(row)) for row in rows[:MOST_EXAMPLES]],
    )  # fmt: skip


def long_texts(patient: Patient, max_length: int = 256) -> Finding:
    """Documents with more subword tokens than ``max_length``, and the share of all tokens that a cut there loses."""
    from core.encode.encoders import ENCODERS
    from core.encode.subwords import wordllama_tokenizer

    corpus = patient.corpus
    rows = np.arange(corpus.n_documents)
    if len(rows) > SAMPLED_DOCUMENTS:
        rows = np.linspace(0, len(rows) - 1, SAMPLED_DOCUMENTS).astype(np.int64)
    lengths = wordllama_tokenizer().tokenize([patient.texts[row] for row in rows]).lengths
    total = max(int(lengths.sum()), 1)
    cut = {length: float(np.maximum(lengths - length, 0).sum() / total) for length in sorted({*MAX_LENGTHS, max_length})}
    longer = np.flatnonzero(lengths > max_length)
    longest = longer[np.argsort(-lengths[longer], kind="stable")]
    # An encoder that declares no limit reads every token.
    limits = {cls.key: int(getattr(cls, "max_tokens", 0)) for cls in ENCODERS}
    reads_all = ", ".join(key for key, limit in limits.items() if not limit)
    shares = ", ".join(f"{share:.1%} at {length}" for length, share in cut.items())
    sample = f" (of {len(rows):,} documents, evenly taken)" if len(rows) < corpus.n_documents else ""
    whole = f"The encoders {reads_all} read every token and cut nothing."
    return answered(
        "long_texts", "Long texts", "warning" if cut[max_length] > 0.1 else "note", len(longer), len(rows), "documents",
        f"{some(len(longer), len(rows), 'documents')} have more than {max_length} tokens. {whole} An encoder with a limit loses this share "
        f"of the tokens{sample}: {shares}.",
        f"No document has more than {max_length} tokens, so no encoder cuts one. {whole}",
        [Example(doc_row=int(rows[i]), note=f"{int(lengths[i]):,} tokens") for i in longest[:MOST_EXAMPLES]],
        "", {"cut_share": {str(length): share for length, share in cut.items()}, "max_length": max_length},
    )  # fmt: skip


def languages(patient: Patient) -> Finding:
    """Documents in another language than most; what is too short or mixed to tell is left out."""
    names, codes = guess_languages(*patient.words)
    query_names, query_codes = guess_languages(*patient.query_words)
    counts = np.bincount(codes, minlength=len(names))
    is_told = np.array([name not in (UNCLEAR, SHORT) for name in names])
    n_told = int(counts[is_told].sum())
    shares = {names[i]: int(counts[i]) for i in np.argsort(-counts, kind="stable") if counts[i]}
    if not n_told:
        return answered("languages", "Languages", "note", 0, patient.corpus.n_documents, "documents", "",
                        "The texts are too short or too mixed to tell their language.", figures={"documents": shares})  # fmt: skip
    main = int(np.argmax(np.where(is_told, counts, -1)))
    others = np.flatnonzero(is_told[codes] & (codes != main))
    listed = ", ".join(f"{name} {count / n_told:.1%}" for name, count in shares.items() if name not in (UNCLEAR, SHORT))
    asked = np.bincount(query_codes, minlength=len(query_names))
    query_shares = {query_names[i]: int(asked[i]) for i in np.argsort(-asked, kind="stable") if asked[i]}
    of_queries = next((name for name in query_shares if name not in (UNCLEAR, SHORT)), "")
    across = f" Most queries are {of_queries}, most documents {names[main]}." if of_queries and of_queries != names[main] else ""
    return answered(
        "languages", "Languages", "warning" if len(others) > MIXED_SHARE * n_told or across else "note", len(others), n_told, "documents",
        f"{some(len(others), n_told, 'documents that could be told')} are not in {names[main]}: {listed}.{across} A document in another "
        "language is an easy negative for a reason that has nothing to do with relevance.",
        f"All {n_told:,} documents whose language could be told are in {names[main]}.{across}",
        [Example(doc_row=int(row), note=names[codes[row]]) for row in others[:MOST_EXAMPLES]],
        "", {"documents": shares, "queries": query_shares},
    )  # fmt: skip


