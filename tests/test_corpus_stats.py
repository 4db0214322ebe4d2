"""The Corpus page's numbers against plain loops."""

from __future__ import annotations

import json

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from core.corpus.stats import statistics, word_counts
from tests.corpus_files import document, lines, load, tsv, with_files


def test_statistics_equal_plain_loops():
    records = [document(i, text="w " * i) for i in range(18)]
    records += [document(18, title="Title 3", text="w " * 3), {"_id": "d19", "text": " "}]
    test = [("q8", "d8", 2), ("q8", "d9", 1), ("q8", "d10", 0), ("q9", "d8", 1)]
    truth = [("q8", "d8", 2), ("q8", "d11", 1), ("q0", "d0", 1), ("q0", "d5", 0)]
    corpus = load(with_files(corpus=lines(*records), test=tsv(*test), truth=tsv(*truth)))
    found = statistics(corpus)
    assert json.loads(json.dumps(found)) == found
    lengths = [len(text.split()) for text in corpus.document_texts()]
    assert found["document_words"] == {
        "mean": np.mean(lengths),
        "min": 0.0,
        "q25": np.quantile(lengths, 0.25),
        "median": np.median(lengths),
        "q75": np.quantile(lengths, 0.75),
        "q95": np.quantile(lengths, 0.95),
        "max": 19.0,
    }
    assert found["query_words"]["mean"] == 2.0
    assert (found["n_documents"], found["n_queries"], found["fields"]) == (20, 12, [])
    assert (found["n_empty_documents"], found["n_empty_queries"], found["n_duplicate_documents"]) == (1, 0, 1)
    assert found["share_positive_documents"] == 10 / 20
    assert found["splits"]["test"] == {
        "n_queries": 2,
        "n_positives": 3,
        "positives_per_query": {"mean": 1.5, "max": 2},
        "n_judged_non_relevant": 1,
    }
    assert found["truth"] == {
        "n_queries": 2,
        "n_positives": 3,
        "positives_per_query": {"mean": 1.5, "max": 2},
        "n_judged_non_relevant": 1,
        "n_hidden_positives": 1,
    }


@given(st.lists(st.text(alphabet="ab é\u00a0\t\n\u3000", max_size=12)))
def test_words_are_counted_as_str_split_does(texts):
    column = pa.chunked_array([pa.array(texts, type=pa.string())])
    assert word_counts(column).tolist() == [len(text.split()) for text in texts]
