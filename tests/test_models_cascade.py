"""The cascade: stages against plain loops and the product's own rerank, the command, and its part of the Compare page."""

from __future__ import annotations

import json

import numpy as np
import pytest

from core.audit.cascade import BOTH, RERANKER, RETRIEVER, measure_cascade, reranked
from core.cli import main
from core.encode.encoders import StaticEncoder
from core.errors import CorpusError, ParameterError
from core.search.bm25 import BM25
from core.search.cross_encoder import EmbeddedCrossEncoder, rerank
from core.search.exact import top_k
from tests.small import make_corpus
from tests.test_page_compare import page
from tests.test_page_negatives import _clean, corpus_link, train, words  # noqa: F401


@pytest.fixture(scope="module")
def known(tiny_corpus):
    cross = EmbeddedCrossEncoder(members=1, epochs=4, folds=2).train(tiny_corpus, bm25=BM25.fit(tiny_corpus.document_texts()))
    return tiny_corpus, StaticEncoder().build([], 0), cross


@pytest.fixture(scope="module")
def found(known):
    return measure_cascade(*known[:2], "cosine", known[2], k=3, depth=12, alone_queries=4)


def measured(lists, corpus, rows, k, depth):
    """recall@depth, recall@k, precision@k by plain loops."""
    recalls, firsts, precisions = [], [], []
    for ranked, row in zip(lists, rows, strict=True):
        own = set(corpus.splits["test"].positives(row).tolist())
        recalls.append(len(own & set(ranked[:depth].tolist())) / len(own))
        firsts.append(len(own & set(ranked[:k].tolist())) / len(own))
        precisions.append(len(own & set(ranked[:k].tolist())) / k)
    return [np.mean(recalls), np.mean(firsts), np.mean(precisions)]


def test_stages_equal_plain_loops_and_rerank(known, found):
    corpus, model, cross = known
    rows = corpus.split_query_rows("test")
    queries, documents = model.encode_texts(corpus.query_texts(rows), "query"), model.encode_texts(corpus.document_texts(), "document")
    hits = top_k(queries, documents, 12, similarity="cosine")
    both = rerank(cross, rows, hits).doc_rows
    for name, lists in ((RETRIEVER, hits.doc_rows), (BOTH, both)):
        stage = found.stage(name)
        assert [stage.recall_depth, stage.recall_k, stage.precision_k] == pytest.approx(measured(lists, corpus, rows, 3, 12))
        assert stage.n_queries == len(rows) and stage.depth == 12 and stage.query_ms > 0
    assert found.stage(BOTH).recall_depth == found.stage(RETRIEVER).recall_depth, "the second stage only orders"
    assert found.stage(BOTH).query_ms > found.stage(RETRIEVER).query_ms

    alone = found.stage(RERANKER)
    some = rows[np.linspace(0, len(rows) - 1, 4).astype(int)]
    every = np.repeat(np.arange(corpus.n_documents)[None], 4, 0)
    lists = reranked(every, cross.probabilities(np.repeat(some, corpus.n_documents), every.reshape(-1)).reshape(every.shape))
    assert [alone.recall_depth, alone.recall_k, alone.precision_k] == pytest.approx(measured(lists, corpus, some, 3, 12))
    assert alone.depth == corpus.n_documents and [s.n_queries for s in found.sampled] == [4, 4, 4]
    assert [s.depth for s in found.by_depth] == [10, 12, 20, 50]
    recalls = [s.recall_depth for s in found.by_depth]
    assert recalls == sorted(recalls) and "cannot be won back" in found.sentence
    assert json.loads(json.dumps(found.to_dict()))["stages"][0]["name"] == RETRIEVER


def test_ties_and_padding_of_a_reranking():
    rows = np.array([[5, 2, 9, -1], [4, 3, -1, -1]])
    scores = np.array([[0.5, 0.5, 0.9, -np.inf], [0.1, 0.2, -np.inf, -np.inf]], np.float32)
    assert reranked(rows, scores).tolist() == [[9, 2, 5, -1], [3, 4, -1, -1]]


def test_truth_may_judge_and_what_cannot_be_measured_is_refused(known):
    corpus, model, cross = known
    judged = measure_cascade(corpus, model, "cosine", cross, depth=20, alone_queries=0, against_truth=True)
    assert judged.against == "truth" and [s.name for s in judged.stages] == [RETRIEVER, BOTH] and judged.sampled == ()
    for changes in ({"k": 0}, {"depth": 0}, {"alone_queries": -1}):
        with pytest.raises(ParameterError, match="must be an int in"):
            measure_cascade(corpus, model, "cosine", cross, **changes)
    bare = make_corpus(["a", "b"], ["x"], [(0, 0)])
    with pytest.raises(CorpusError, match="held-out"):
        measure_cascade(bare, model, "cosine", cross)
    with pytest.raises(CorpusError, match="no truth"):
        measure_cascade(bare, model, "cosine", cross, against_truth=True)


def test_the_command_prints_stages_and_json(capsys, workspace, tiny_folder, tiny_corpus, tmp_path):
    from core.search import cross_cache
    from tests.trained import train_tiny

    cross_cache.forget()  # what another test keeps in memory is not written again
    trial = train_tiny(tiny_corpus, tiny_folder, tmp_path / "t", "in-batch", epochs=1)
    code = main(["cascade", str(tiny_folder), "--trial", str(trial), "--depth", "10", "--alone", "3", "--json"])
    out = capsys.readouterr().out
    answer = json.loads(out.strip().splitlines()[-1])
    assert code == 0 and {s["name"] for s in answer["stages"]} == {RETRIEVER, RERANKER, BOTH}
    assert "Both: the cascade" in out and "P@10" in out and list((workspace / "cache" / "cross").iterdir())
    assert main(["cascade", str(tiny_folder), "--trial", str(tmp_path), "--json"]) == 2
    assert "neither a trial's folder nor an id" in capsys.readouterr().err


def test_compare_measures_the_cascade_once_and_keeps_it(root, corpus_link, train):  # noqa: F811
    train("in-batch")
    at = page(root, corpus=corpus_link)
    assert not at.exception and "As a cascade" in words(at) + " ".join(s.value for s in at.subheader)
    at.button(key="cascade.measure").click().run()
    assert not at.exception and not at.error
    titles = [t for frame in at.dataframe for t in frame.value.iloc[:, 0].astype(str).tolist()]
    assert "Both: the cascade" in titles and "Retriever alone" in titles and "Reranker alone, every document" in titles
    again = page(root, corpus=corpus_link)
    assert "cascade.measure" not in {b.key for b in again.button}
    truth = page(root, corpus=corpus_link, against="truth")
    assert "cascade.measure" in {b.key for b in truth.button}, "another judge is another measurement"
