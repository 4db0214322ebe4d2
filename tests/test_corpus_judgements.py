"""Judgements against plain dictionaries of pairs."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.corpus.judgements import Judgements

N_QUERIES, N_DOCUMENTS = 6, 9
PAIRS = st.lists(st.tuples(st.integers(0, N_QUERIES - 1), st.integers(0, N_DOCUMENTS - 1), st.integers(-1, 3)))


def table_of(pairs) -> Judgements:
    columns = [[pair[i] for pair in pairs] for i in range(3)]
    return Judgements.from_pairs(*columns, N_QUERIES)


def best_grades(pairs) -> dict[tuple[int, int], int]:
    best: dict[tuple[int, int], int] = {}
    for query_row, doc_row, grade in pairs:
        best[query_row, doc_row] = max(grade, best.get((query_row, doc_row), grade))
    return best


@given(PAIRS)
def test_table_holds_each_pair_once_with_its_highest_grade(pairs):
    table, best = table_of(pairs), best_grades(pairs)
    assert (table.n_queries, table.n_pairs) == (N_QUERIES, len(best))
    assert (table.indptr.dtype, table.doc_rows.dtype, table.grades.dtype) == (np.int64, np.int64, np.int16)
    found = zip(*(array.tolist() for array in table.pairs()), strict=True)
    assert list(found) == sorted((q, d, grade) for (q, d), grade in best.items())
    for query_row in range(N_QUERIES):
        assert table.judged(query_row).tolist() == sorted(d for q, d in best if q == query_row)
        positives = sorted(d for (q, d), grade in best.items() if q == query_row and grade >= 1)
        assert table.positives(query_row).tolist() == positives
    with_positives = sorted({q for (q, _), grade in best.items() if grade >= 1})
    assert table.query_rows_with_positives().tolist() == with_positives
    assert table.only_positive() == table_of([(q, d, g) for (q, d), g in best.items() if g >= 1])


@given(PAIRS)
def test_look_ups_broadcast_and_answer_rows_outside_the_table(pairs):
    table, best = table_of(pairs), best_grades(pairs)
    query_rows = np.arange(N_QUERIES)[:, None]
    doc_rows = np.arange(-1, N_DOCUMENTS + 3)
    contains, grades = table.contains(query_rows, doc_rows), table.grade_of(query_rows, doc_rows)
    assert contains.dtype == bool and grades.dtype == np.int16
    assert contains.shape == grades.shape == (N_QUERIES, len(doc_rows))
    for q in range(N_QUERIES):
        for i, d in enumerate(doc_rows.tolist()):
            assert contains[q, i] == ((q, d) in best)
            assert grades[q, i] == best.get((q, d), 0)
    assert table.contains(-1, 0).shape == ()


@given(PAIRS, st.lists(st.integers(0, N_QUERIES - 1)))
def test_padded_rows_and_chosen_queries(pairs, query_rows):
    table, best = table_of(pairs), best_grades(pairs)
    padded = table.padded(query_rows, fill=-7)
    width = max((len(table.judged(q)) for q in query_rows), default=0)
    assert padded.shape == (len(query_rows), width) and padded.dtype == np.int64
    for row, q in zip(padded.tolist(), query_rows, strict=True):
        judged = table.judged(q).tolist()
        assert row == judged + [-7] * (width - len(judged))
    assert table.only_queries(query_rows) == table_of([(q, d, g) for (q, d), g in best.items() if q in query_rows])
    assert table.without_queries(query_rows) == table_of(
        [(q, d, g) for (q, d), g in best.items() if q not in query_rows]
    )


@given(PAIRS, PAIRS)
def test_union_keeps_the_higher_grade(left, right):
    assert table_of(left).union(table_of(right)) == table_of(left + right)


def test_tables_are_read_only_and_refuse_what_does_not_fit():
    table = table_of([(0, 1, 1)])
    with pytest.raises(ValueError, match="read-only"):
        table.doc_rows[0] = 3
    with pytest.raises(IndexError):
        table.judged(-1)
    with pytest.raises(ValueError, match="of 6 and 2 queries"):
        table.union(Judgements.empty(2))
    for bad in ([6], [0], [1]), ([-1], [0], [1]), ([0], [-1], [1]), ([0], [0], [40_000]), ([0, 1], [0], [1]):
        with pytest.raises(ValueError):
            Judgements.from_pairs(*bad, N_QUERIES)
    with pytest.raises(ValueError, match="last value of indptr"):
        Judgements(np.array([0, 2]), np.array([1]), np.array([1]))
