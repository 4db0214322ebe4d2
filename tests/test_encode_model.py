"""Every encoder's model: contract, state, determinism, training."""

from __future__ import annotations

import time

import numpy as np
import pytest

from core.encode.encoders import ENCODERS, TOWERS, CharNgram, StaticEncoder, StaticScratch, make_encoder
from core.errors import ParameterError

torch = pytest.importorskip("torch")
from core.encode.model import EncoderModel, Tokens  # noqa: E402

TEXTS = ["a cat sat on the mat", "", "日本語 😀 c++", "where is the cat", "x"]


def small(encoder):
    """The encoder with a small table, where it has one to choose."""
    sizes = {StaticScratch: {"dim": 16}, CharNgram: {"dim": 16, "buckets": 512}}
    return encoder.but(**sizes.get(type(encoder), {}))


@pytest.fixture(params=[(piece, towers) for piece in ENCODERS if piece.is_table for towers in TOWERS], ids=str)
def model(request) -> EncoderModel:
    piece, towers = request.param
    return small(piece(towers=towers)).build(TEXTS, seed=7)


def train(model: EncoderModel, n_steps: int, seed: int = 0) -> EncoderModel:
    """In-batch softmax steps over random pairs of texts."""
    rng = np.random.default_rng(seed)
    words = [f"word{i} thing{i % 7}" for i in range(50)]
    tokens = model.tokenize(words)
    (optimizer,) = model.optimizers(lr=0.01)
    for _ in range(n_steps):
        queries = model.forward(tokens.take(rng.integers(0, 50, 16)), "query")
        documents = model.forward(tokens.take(rng.integers(0, 50, 16)), "document")
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(queries @ documents.T, torch.arange(16)).backward()
        optimizer.step()
    return model


def test_pieces_declare_themselves():
    assert len({piece.key for piece in ENCODERS}) == len(ENCODERS)
    for piece in ENCODERS:
        assert piece.source.url.startswith("https://") and piece.title and piece.family == "encoder"
        assert "How:" in piece.lesson() and "Fails" in piece.lesson() and piece.idea().endswith(".")
        assert make_encoder(piece(towers="separate").to_dict()) == piece(towers="separate")
        assert make_encoder(piece.key) == piece()
    with pytest.raises(ParameterError, match=r"encoder\.key must be one of static"):
        make_encoder("bert")
    with pytest.raises(ParameterError, match="n_min must be <= n_max"):
        CharNgram(n_min=5, n_max=4)


def test_encode_gives_one_float32_vector_a_text(model):
    tokens = model.tokenize(TEXTS)
    for side in ("query", "document"):
        vectors = model.encode(tokens, side)
        assert vectors.shape == (len(TEXTS), model.dim) and vectors.dtype == np.float32
        assert not vectors[1].any(), "an empty text is the zero vector"
        assert vectors[[0, 2, 3, 4]].any(1).all() and np.isfinite(vectors).all()
        np.testing.assert_array_equal(vectors, model.encode_texts(TEXTS, side))
        np.testing.assert_array_equal(vectors, model.forward(tokens, side).detach().numpy())
    assert model.encode(model.tokenize([]), "query").shape == (0, model.dim)


def test_encode_equals_the_mean_of_rows(model):
    tokens, table = model.tokenize(TEXTS), next(iter(model.state().values()))
    vectors = model.encode(tokens, "query")
    for row in (0, 2, 3, 4):
        ids = tokens.take([row]).ids
        np.testing.assert_allclose(vectors[row], table[ids].mean(0), atol=1e-5)


def test_a_text_gets_the_same_vector_in_any_company(model):
    tokens = model.tokenize(TEXTS * 300)
    parts = [model.encode(tokens.part(first, first + len(TEXTS)), "document") for first in range(0, len(tokens), len(TEXTS))]
    np.testing.assert_array_equal(model.encode(tokens, "document"), np.concatenate(parts))


def test_training_moves_the_towers_it_should(model):
    before = model.state()
    train(model, 3)
    after = model.state()
    assert list(before) == (["shared"] if model.encoder.towers == "shared" else ["document", "query"])
    assert all((before[name] != after[name]).any() for name in before)
    if len(after) == 2:
        np.testing.assert_array_equal(before["query"], before["document"])
        assert (after["query"] != after["document"]).any()


def test_equal_seeds_give_equal_bytes(model):
    held = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        twin = model.encoder.build(TEXTS, seed=7)
        assert twin.weights_hash() == model.weights_hash()
        assert train(twin, 50).weights_hash() == train(model, 50).weights_hash()
    finally:
        torch.set_num_threads(held)


def test_seeds_matter_where_vectors_start_random():
    for piece in (StaticScratch(dim=8), CharNgram(dim=8, buckets=256)):
        assert piece.build([], 0).weights_hash() != piece.build([], 1).weights_hash()
        found = piece.build([], 0).state()["shared"].std()
        assert found == pytest.approx(piece.spread, rel=0.05)


def test_state_round_trip_and_refusals(model):
    kept, key = model.state(), model.weights_hash()
    train(model, 2)
    assert model.weights_hash() != key, "state() must be a copy and the hash must see the weights"
    model.load_state(kept)
    assert model.weights_hash() == key
    with pytest.raises(ValueError, match="needs"):
        model.load_state({"other": next(iter(kept.values()))})
    with pytest.raises(ValueError, match="shape"):
        model.load_state({name: table[:-1] for name, table in kept.items()})


def test_hash_tells_equal_weights_of_different_encoders_apart():
    one = CharNgram(dim=8, buckets=256, n_max=4).build([], 0)
    other = CharNgram(dim=8, buckets=256, n_max=5).build([], 0)
    assert one.weights_hash() != other.weights_hash()


def test_clone_is_apart_and_momentum_equals_a_loop(model):
    key_model = model.clone()
    train(model, 3)
    old, online = key_model.state(), model.state()
    assert any((old[name] != online[name]).any() for name in old)
    key_model.momentum_update(model, 0.9)
    new = key_model.state()
    for name in old:
        rows = np.unique(np.r_[0:3, np.flatnonzero((old[name] != online[name]).any(1))[:20]])
        for row in rows:
            for column in range(model.dim):
                expected = 0.9 * float(old[name][row, column]) + 0.1 * float(online[name][row, column])
                assert new[name][row, column] == pytest.approx(expected, abs=1e-6)
    np.testing.assert_array_equal(model.state()[name], online[name])


def test_optimizer_leaves_unused_rows_alone():
    model = StaticScratch(dim=8).build([], 0)
    before = model.state()["shared"]
    tokens = model.tokenize(["cat"])
    (optimizer,) = model.optimizers(lr=0.01)
    model.forward(tokens, "query").sum().backward()
    optimizer.step()
    moved = np.flatnonzero((model.state()["shared"] != before).any(1))
    assert moved.tolist() == sorted(set(tokens.ids.tolist()))
    assert isinstance(tokens, Tokens)


def test_static_starts_from_wordllama():
    vectors = StaticEncoder().build([], 0).encode_texts(["a car", "an automobile", "a banana"], "query")
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    assert unit[0] @ unit[1] > unit[0] @ unit[2] + 0.1


def test_the_seconds_of_encoding_are_those_of_encoding_alone(tiny_corpus, monkeypatch):
    """A refresh encodes and does not make tokens again, so an estimate of refreshes must not count that."""
    from core.encode.model import EncoderModel
    from core.train.vectors import untrained_vectors

    tokenize = EncoderModel.tokenize
    monkeypatch.setattr(EncoderModel, "tokenize", lambda self, texts: time.sleep(0.3) or tokenize(self, texts))
    assert 0 < untrained_vectors(tiny_corpus, {"key": "char-ngram", "dim": 16}).seconds < 0.3
