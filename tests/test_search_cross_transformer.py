"""The transformer cross-encoder on a model of two small layers with random weights, made here: nothing is downloaded."""

from __future__ import annotations

import numpy as np
import pytest

from core.errors import ParameterError
from core.search import cross_cache
from core.search.bm25 import BM25, tokenize
from core.search.cross_encoder import TransformerCrossEncoder


@pytest.fixture(scope="module")
def bert(tiny_corpus, tmp_path_factory):
    """A folder with a BERT of 2 layers x 16 whose vocabulary is the tiny corpus's words."""
    import torch
    from transformers import BertConfig, BertForSequenceClassification, BertTokenizerFast

    folder = tmp_path_factory.mktemp("bert")
    words = sorted({word for text in [*tiny_corpus.document_texts(), *tiny_corpus.query_texts()] for word in tokenize(text)})
    (folder / "vocab.txt").write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *words]), encoding="utf-8")
    tokenizer = BertTokenizerFast(str(folder / "vocab.txt"))
    with torch.random.fork_rng():
        torch.manual_seed(0)
        config = BertConfig(
            vocab_size=len(words) + 5, hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32, num_labels=1,
            max_position_embeddings=128,
        )  # fmt: skip
        BertForSequenceClassification(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def piece(bert):
    return TransformerCrossEncoder(model=str(bert), learning_rate=5e-3, longest=64, epochs=2, batch_size=16)


def pairs(corpus, n_queries=4):
    return np.repeat(np.arange(n_queries), corpus.n_documents), np.tile(np.arange(corpus.n_documents), n_queries)


def test_it_learns_calibrates_and_comes_back_from_disk(tiny_corpus, piece, tmp_path):
    bm25 = BM25.fit(tiny_corpus.document_texts())
    cross_cache.forget()
    model = cross_cache.cross_model(tiny_corpus, piece, bm25=bm25, seed=3, folder=tmp_path)
    queries, docs = pairs(tiny_corpus)
    found = model.probabilities(queries, docs)
    assert found.dtype == np.float32 and np.isfinite(found).all() and (found > 0).all() and (found < 1).all() and found.std() > 0
    assert model.report.n_folds == 2 and np.isfinite(model.report.auc)
    folds = model.fold_of[queries]
    assert {0, 1} <= set(folds.tolist())
    for fold in (0, 1):
        at = np.flatnonzero(folds == fold)
        by_other = model.scorer.logits(queries[at], docs[at], np.full(len(at), 1 - fold))
        assert not np.allclose(by_other, model.scorer.logits(queries[at], docs[at], folds[at])), "each fold has a model of its own"
    cross_cache.forget()
    again = cross_cache.cross_model(tiny_corpus, piece, bm25=bm25, seed=3, folder=tmp_path)
    assert again is not model and again.report == model.report
    assert np.allclose(again.probabilities(queries, docs), found, atol=1e-5)
    cross_cache.forget()


def test_equal_seeds_give_equal_models(tiny_corpus, piece):
    bm25 = BM25.fit(tiny_corpus.document_texts())
    queries, docs = pairs(tiny_corpus, 2)
    short = piece.but(epochs=1)
    first, second = (short.train(tiny_corpus, bm25=bm25, seed=seed) for seed in (1, 1))
    assert np.array_equal(first.probabilities(queries, docs), second.probabilities(queries, docs))
    assert not np.array_equal(first.logits(queries, docs), short.train(tiny_corpus, bm25=bm25, seed=2).logits(queries, docs))


def test_a_model_that_is_not_there_is_the_users_to_mend(tiny_corpus, tmp_path):
    with pytest.raises(ParameterError, match="cannot be loaded"):
        TransformerCrossEncoder(model=str(tmp_path / "none")).train(tiny_corpus, bm25=BM25.fit(tiny_corpus.document_texts()))
