"""Saved folders: opened by SentenceTransformer, and read back."""

from __future__ import annotations

import json

import numpy as np
import pytest

from core.encode.encoders import CharNgram, StaticEncoder, StaticScratch
from core.errors import UserError

torch = pytest.importorskip("torch")
from core.encode.model import load_model  # noqa: E402

TEXTS = ["a cat sat on the mat", "", " spaces  and\nlines ", "日本語 😀 c++", "</s> x", "naïve ▁ café"]
PIECES = [StaticEncoder(), StaticScratch(dim=16), CharNgram(dim=16, buckets=512)]


def built(piece, towers):
    model = piece.but(towers=towers).build([], seed=3)
    if towers == "separate":  # make the sides differ
        state = model.state()
        model.load_state({"query": state["query"], "document": state["document"][::-1]})
    return model


def unit(vectors):
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)


@pytest.mark.slow
@pytest.mark.parametrize("similarity", ["cosine", "dot", "l2"])
@pytest.mark.parametrize("towers", ["shared", "separate"])
@pytest.mark.parametrize("piece", PIECES, ids=lambda p: p.key)
def test_sentence_transformer_gives_the_same_vectors(tmp_path, piece, towers, similarity):
    from sentence_transformers import SentenceTransformer

    model = built(piece, towers)
    model.save(tmp_path / "m", similarity)
    peer = SentenceTransformer(
        str(tmp_path / "m"), trust_remote_code=piece.key == "char-ngram", local_files_only=True, device="cpu"
    )
    assert peer.similarity_fn_name == {"l2": "euclidean"}.get(similarity, similarity)
    assert peer.get_embedding_dimension() == model.dim
    sides = {"query": peer.encode_query(TEXTS), "document": peer.encode_document(TEXTS)}
    for side, theirs in sides.items():
        ours = model.encode_texts(TEXTS, side)
        ours = unit(ours) if similarity == "cosine" else ours
        np.testing.assert_allclose(theirs, ours, rtol=0, atol=1e-6)
    assert np.allclose(sides["query"], sides["document"], atol=1e-6) == (towers == "shared")

    peer.save(str(tmp_path / "again"))
    again = SentenceTransformer(str(tmp_path / "again"), trust_remote_code=True, local_files_only=True, device="cpu")
    np.testing.assert_array_equal(again.encode_query(TEXTS), sides["query"])


@pytest.mark.parametrize("towers", ["shared", "separate"])
@pytest.mark.parametrize("piece", PIECES, ids=lambda p: p.key)
def test_load_model_restores_encoder_and_bytes(tmp_path, piece, towers):
    model = built(piece, towers)
    model.save(tmp_path, "cosine")
    restored = load_model(tmp_path)
    assert restored.encoder == model.encoder
    assert restored.weights_hash() == model.weights_hash()
    np.testing.assert_array_equal(restored.encode_texts(TEXTS, "query"), model.encode_texts(TEXTS, "query"))


@pytest.mark.slow
@pytest.mark.parametrize("towers", ["shared", "separate"])
def test_load_model_reads_folders_that_the_library_saved(tmp_path, towers):
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.base.modules import Normalize, Router
    from sentence_transformers.sentence_transformer.modules import StaticEmbedding
    from tokenizers import Tokenizer, models, pre_tokenizers

    words = Tokenizer(models.WordLevel({"a": 0, "b": 1, "?": 2}, unk_token="?"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    first, second = (StaticEmbedding(words, embedding_dim=8) for _ in range(2))
    body = first if towers == "shared" else Router.for_query_document([first], [second])
    peer = SentenceTransformer(modules=[body, Normalize()], device="cpu")
    peer.save(str(tmp_path))
    model = load_model(tmp_path)
    assert model.encoder == StaticEncoder(towers=towers) and model.dim == 8
    texts = ["a b", "c", ""]
    np.testing.assert_allclose(unit(model.encode_texts(texts, "query")), peer.encode_query(texts), atol=1e-6)
    np.testing.assert_allclose(unit(model.encode_texts(texts, "document")), peer.encode_document(texts), atol=1e-6)


def test_save_writes_the_layout_that_the_library_writes(tmp_path):
    StaticScratch(dim=8, towers="separate").build([], 0).save(tmp_path, "cosine")
    assert sorted(p.relative_to(tmp_path).as_posix() for p in tmp_path.rglob("*.*")) == [
        "1_Normalize/config.json", "README.md", "config_sentence_transformers.json",
        "document_0_StaticEmbedding/model.safetensors", "document_0_StaticEmbedding/tokenizer.json",
        "modules.json", "negspace_encoder.json",
        "query_0_StaticEmbedding/model.safetensors", "query_0_StaticEmbedding/tokenizer.json", "router_config.json",
    ]  # fmt: skip
    StaticScratch(dim=8).build([], 0).save(tmp_path / "dot", "dot")
    assert [m["type"].rsplit(".")[-1] for m in json.loads((tmp_path / "dot/modules.json").read_text())] == [
        "StaticEmbedding"
    ]
    with pytest.raises(ValueError, match="similarity must be one of"):
        StaticScratch(dim=8).build([], 0).save(tmp_path / "bad", "manhattan")


def test_load_model_says_what_to_do(tmp_path):
    with pytest.raises(UserError, match="no modules.json. Name a folder"):
        load_model(tmp_path / "nowhere")
    modules = [{"path": "", "type": "sentence_transformers.models.Transformer"}]
    (tmp_path / "modules.json").write_text(json.dumps(modules))
    with pytest.raises(UserError, match="modules Transformer cannot be loaded"):
        load_model(tmp_path)
    modules[0]["type"] = "sentence_transformers.models.StaticEmbedding"
    (tmp_path / "modules.json").write_text(json.dumps(modules))
    with pytest.raises(UserError, match=r"no embedding.weight|no tokenizer.json"):
        load_model(tmp_path)
