"""The Compare page in its states: nothing to compare, one trial, several with two seeds, truth, hostile links."""

from __future__ import annotations

import pytest
from streamlit.testing.v1 import AppTest

from tests.test_page_negatives import _clean, corpus_link, train, words  # noqa: F401


def page(root, **params: str) -> AppTest:
    at = AppTest.from_file(str(root / "pages/compare.py"), default_timeout=60)
    for key, value in params.items():
        at.query_params[key] = value
    at.run()
    return at


def test_without_a_trial_the_way_is_offered(root, corpus_link):  # noqa: F811
    at = page(root, corpus=corpus_link)
    assert not at.exception and not at.error
    assert "Train some" in {b.label for b in at.button}


def test_without_a_corpus_the_page_has_one_title(root):
    at = page(root)
    assert not at.exception and [title.value for title in at.title] == ["Compare"]
    assert "Choose a corpus" in {b.label for b in at.button}


def test_one_trial_stands_beside_the_baselines(root, corpus_link, train):  # noqa: F811
    train("in-batch")
    at = page(root, corpus=corpus_link)
    assert not at.exception and not at.error
    assert at.dataframe[0].value.iloc[:, 0].tolist() == ["in-batch, seed 0", "untrained", "BM25"]


def test_trials_are_compared_tested_and_grouped(root, corpus_link, train, tiny_corpus):  # noqa: F811
    first, second, third = train("in-batch"), train("in-batch", seed=1), train("bm25")
    at = page(root, corpus=corpus_link, trials=f"{third},{first},{second}", measure="nDCG@10")
    assert not at.exception and not at.error
    shown = at.dataframe[0].value
    assert shown.iloc[:, 0].tolist() == ["bm25, seed 0", "in-batch, seed 0", "in-batch, seed 1", "untrained", "BM25"]
    told = words(at).replace("\\", "")
    assert sum(name in told for name in ("than bm25, seed 0", "and bm25, seed 0 can be shown")) >= 1
    grouped = page(root, corpus=corpus_link, trials=f"{third},{first},{second}", group="true", against="truth")
    assert not grouped.exception and not grouped.error
    assert grouped.dataframe[0].value.iloc[:, 0].tolist() == ["bm25, seed 0", "in-batch (2 seeds)", "untrained", "BM25"]
    query = tiny_corpus.query_ids(tiny_corpus.split_query_rows("test"))[2]
    lists = page(root, corpus=corpus_link, trials=f"{first},{third}", query=query, depth="20", a="BM25", b="untrained")
    assert not lists.exception
    assert lists.dataframe[-1].value["rank"].tolist() == list(range(1, 21))


@pytest.mark.parametrize("params", [{"trials": "a,b c,../x", "measure": "P@5"}, {"a": "nope", "b": "<i>", "depth": "7"}])
def test_hostile_links_never_break_the_page(root, corpus_link, train, params):  # noqa: F811
    train("in-batch")
    assert not page(root, corpus=corpus_link, **params).exception
