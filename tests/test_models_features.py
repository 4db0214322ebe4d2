"""Feature tokens: the tokenizer against the library's own, the starting vectors, saved folders, and what fields teach."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from core.corpus.corpus import Corpus
from core.corpus.judgements import Judgements
from core.encode.encoders import StaticEncoder, StaticScratch, TinyTransformer
from core.encode.features import FeatureTokenizer, feature_of, features_of, field_names, split_tokenizer, with_features
from core.encode.model import load_model
from core.encode.subwords import SubwordTokenizer, wordllama_tokenizer
from core.errors import ParameterError

FEATURES = ["⟦place=Canada⟧", "⟦place=São Paulo⟧", "⟦category=dishes⟧"]
TEXTS = [
    "⟦category=dishes⟧ ⟦place=Canada⟧ chips with gravy",
    "⟦place=Canada⟧",
    "",
    "words alone, no feature",
    "in the middle ⟦place=São Paulo⟧ of words ",
    "⟦place=Nowhere⟧ an unknown one is read as words ⟦broken",
    " ⟦category=dishes⟧⟦place=Canada⟧  two spaces",
]


@pytest.fixture(scope="module")
def places() -> Corpus:
    """Documents that only their field tells apart: the same words, another place."""
    names = ["Canada", "Japan", "Peru", "Kenya", "Norway", "Spain"]
    n = len(names)
    documents = pa.table({
        "doc_id": [f"d{i}" for i in range(2 * n)], "title": [""] * (2 * n),
        "text": ["a dish of the country"] * n + [f"other text {i}" for i in range(n)],
        "place": [*names, *[""] * n], "category": ["dishes"] * n + ["other"] * n,
    })  # fmt: skip
    queries = pa.table({"query_id": [f"q{i}" for i in range(n)], "text": [f"what do they eat in {name}" for name in names]})
    pairs = Judgements.from_pairs(list(range(n)), list(range(n)), [1] * n, n)
    return Corpus(name="places", documents=documents, queries=queries, splits={"train": pairs, "test": pairs})


def test_features_are_written_and_found():
    assert field_names(" place, category ,place,,") == ("place", "category")
    assert feature_of("place", " New\n York ⟦x⟧ ") == "⟦place=New York x⟧" and feature_of("place", "  ") == ""
    texts = with_features(["a", "b"], ("place", "category"), (["Peru", ""], ["x", "y"]))
    assert texts == ["⟦place=Peru⟧ ⟦category=x⟧ a", "⟦category=y⟧ b"]
    assert features_of(texts) == ["⟦category=x⟧", "⟦category=y⟧", "⟦place=Peru⟧"]
    with pytest.raises(ParameterError, match="at most 50,000"):
        features_of([f"⟦id={i}⟧" for i in range(50_001)])


def test_ids_equal_those_of_the_library_with_added_tokens(tmp_path):
    from tokenizers import Tokenizer

    tokenizer = FeatureTokenizer(wordllama_tokenizer(), FEATURES)
    tokenizer.save(tmp_path / "tokenizer.json")
    theirs = Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    tokens = tokenizer.tokenize(TEXTS)
    for i, text in enumerate(TEXTS):
        assert tokens.take([i]).ids.tolist() == theirs.encode(text, add_special_tokens=False).ids, text
        spans = tokenizer.spans(text)
        assert len(spans) == tokens.lengths[i]
    assert TEXTS[0][slice(*tokenizer.spans(TEXTS[0])[1])] == "⟦place=Canada⟧"
    assert len(tokenizer.tokenize([])) == 0
    words, found = split_tokenizer((tmp_path / "tokenizer.json").read_text(encoding="utf-8"))
    assert found == FEATURES and SubwordTokenizer(Tokenizer.from_str(words)).n_ids == tokenizer.base.n_ids


def test_a_feature_starts_at_the_mean_of_its_value(places):
    piece = StaticEncoder(fields="place,category", feature_scale=2.0)
    texts = piece.document_texts(places)
    assert texts[0] == "⟦place=Canada⟧ ⟦category=dishes⟧ a dish of the country" and texts[6] == "⟦category=other⟧ other text 0"
    assert piece.document_texts(places, [7, 0]) == [texts[7], texts[0]] and piece.query_texts(places) == places.query_texts()
    model, plain = piece.build(texts, 0), StaticEncoder().build([], 0)
    table, words = model.state()["shared"], plain.state()["shared"]
    assert len(table) == len(words) + 8 and (table[: len(words)] == words).all()
    canada = plain.tokenize(["Canada"]).ids
    np.testing.assert_allclose(model.encode_texts(["⟦place=Canada⟧"], "document")[0], 2 * words[canada].mean(0), rtol=1e-5)
    assert StaticEncoder().build(texts, 0).weights_hash() == plain.weights_hash() and "fields" not in StaticEncoder().to_dict()


def test_what_the_words_do_not_say_is_found_by_the_field(places, tmp_path):
    from core.sampling.presets import preset
    from core.train.config import TrialConfig, write_config
    from core.train.trial import run_trial

    reached = {}
    for name, encoder in (("words", StaticEncoder()), ("place", StaticEncoder(fields="place"))):
        folder = tmp_path / name
        settings = {"encoder": encoder.to_dict(), "epochs": 1, "batch_size": 6, "snapshots": 2}
        write_config(folder, TrialConfig(corpus="in memory", recipe=preset("in-batch").recipe.to_dict(), **settings))
        reached[name] = run_trial(folder, threads=1, corpus=places)
    assert reached["words"]["metrics"]["RR@10"] < 0.6 and reached["place"]["metrics"]["RR@10"] == 1.0
    from core.audit.contributions import explain
    from core.encode.store import read_token_tables
    from core.train.vectors import trial_vectors

    vectors, tables = trial_vectors(tmp_path / "place", places), read_token_tables(tmp_path / "place" / "model")
    explained = explain(tables, *tables.texts(places, 2, 2), "cosine")[1]
    assert explained.score == pytest.approx(float(vectors.score_pairs(np.array([2]), np.array([2]))[0]), abs=1e-5)
    assert explained.text.startswith("⟦place=Peru⟧") and max(explained.stretches, key=lambda s: s.share).start <= 1


@pytest.mark.parametrize("piece", [
    StaticScratch(dim=12, fields="place"), StaticScratch(dim=12, fields="place", towers="separate"),
    TinyTransformer(dim=16, layers=1, vocabulary=300, max_tokens=24, fields="place,category"),
], ids=["table", "towers", "tiny"])  # fmt: skip
def test_the_library_reads_features_alike(piece, places, tmp_path):
    from sentence_transformers import SentenceTransformer

    texts = piece.document_texts(places)
    model = piece.build(texts, 3)
    assert model.weights_hash() == piece.build(texts, 3).weights_hash()
    model.save(tmp_path / "m", "dot")
    peer = SentenceTransformer(str(tmp_path / "m"), device="cpu", local_files_only=True)
    ours = model.encode_texts(texts, "document")
    np.testing.assert_allclose(peer.encode_document(texts), ours, atol=1e-5)
    again = load_model(tmp_path / "m")
    assert again.weights_hash() == model.weights_hash()
    np.testing.assert_array_equal(again.encode_texts(texts, "document"), ours)
    assert np.abs(ours[0] - ours[1]).max() > 1e-4, "equal words, another place"


def test_a_corpus_without_the_field_is_told_before_training(places):
    from core.sampling.presets import preset
    from pages.ui.recipe_checks import obstacles
    from tests.small import make_corpus

    with pytest.raises(ParameterError, match="no field 'colour'. They have: category, place. Change StaticEncoder.fields."):
        StaticEncoder(fields="place,colour").document_texts(places)
    bare = make_corpus(["a", "b"], ["x", "y"], [(0, 0)], [(1, 1)])
    recipe = preset("in-batch").recipe
    assert any("no fields besides title and text" in s for s in obstacles(recipe, StaticEncoder(fields="place").to_dict(), bare))
    assert not any("field" in s for s in obstacles(recipe, StaticEncoder(fields="place").to_dict(), places))
