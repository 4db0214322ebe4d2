"""The untrained model's best, doubted: against a plain sort of every score."""

from __future__ import annotations

import numpy as np
import pytest

from core.audit import untrained_suspects
from core.audit.evidence import Evidence
from core.audit.untrained_suspects import suspects_of_top
from core.sampling.context import MiningContext, Vectors


@pytest.fixture
def evidence(tiny_corpus) -> Evidence:
    rng = np.random.default_rng(5)
    shape = [(n, 8) for n in (tiny_corpus.n_queries, tiny_corpus.n_documents)]
    vectors = Vectors(*(rng.normal(size=s).astype(np.float32) for s in shape), "cosine", "noise")
    return Evidence(tiny_corpus, MiningContext(tiny_corpus, lambda which: vectors), vectors, guide=None)


@pytest.mark.parametrize("depth", [7, 60])  # 60: all documents, so that a copy would be among them
def test_each_querys_best_documents_without_its_positives_and_their_copies(evidence, tiny_corpus, depth):
    table = suspects_of_top(evidence, depth=depth)
    texts = tiny_corpus.document_texts()
    unit = [m / np.linalg.norm(m, axis=1, keepdims=True) for m in (evidence.vectors.queries, evidence.vectors.documents)]
    rows = tiny_corpus.split_query_rows("train")
    assert sorted(set(table.query_row.tolist())) == rows.tolist()
    for query_row in rows:
        answers = {texts[d] for d in tiny_corpus.positives.positives(int(query_row))}
        scores = unit[1] @ unit[0][query_row]
        best = [d for d in np.argsort(-scores, kind="stable") if texts[d] not in answers][:depth]
        own = table.query_row == query_row
        assert dict(zip(table.doc_row[own].tolist(), table.rank[own].tolist(), strict=True)) == {d: i + 1 for i, d in enumerate(best)}
    pairs = list(zip(table.query_row.tolist(), table.doc_row.tolist(), strict=True))
    assert pairs == sorted(pairs)
    assert (table.harm > 0).all() and np.isfinite(table.harm).all() and (table.times_used == 0).all()


def test_a_large_corpus_is_sampled_the_same_way_each_time(evidence, monkeypatch):
    monkeypatch.setattr(untrained_suspects, "MOST_QUERIES", 5)
    first, again = suspects_of_top(evidence, depth=100, seed=1), suspects_of_top(evidence, depth=100, seed=1)
    assert len(set(first.query_row.tolist())) == 5
    np.testing.assert_array_equal(first.query_row, again.query_row)
    assert first.rank.max() < evidence.corpus.n_documents, "a depth beyond the corpus takes what there is"
