"""Augmentation with unlabelled queries: which they are, which pairs they get, what mining knows of them, a whole trial."""

from __future__ import annotations

import numpy as np
import pytest

from core.audit.doctor_fit import warnings
from core.corpus.corpus import Corpus
from core.corpus.judgements import Judgements
from core.errors import TrialError
from core.lab.bundle_check import kept_files
from core.lab.mined_set import training_positives
from core.sampling.augmented import CrossAugmented, unlabelled_queries
from core.sampling.context import MiningContext
from core.sampling.mine import mine_lane
from core.sampling.presets import preset
from core.sampling.recipe import Lane, Recipe
from core.sampling.settings import apply_settings
from core.sampling.sources import Dense
from core.train.events import read_events
from core.train.pairs import read_pairs
from core.train.results import TrialResults
from core.train.trial import Stopped, run_trial
from tests.small import make_context, make_corpus
from tests.test_train_trial import bytes_of, make_trial


def more_queries(corpus: Corpus, texts: list[str]) -> Corpus:
    """The corpus with further queries, which nothing judges, behind its own."""
    import pyarrow as pa

    def wider(judged: Judgements) -> Judgements:
        return Judgements.from_pairs(*judged.pairs(), corpus.n_queries + len(texts))

    queries = pa.table(
        {"query_id": [*corpus.query_ids(), *(f"more-{i}" for i in range(len(texts)))], "text": [*corpus.query_texts(), *texts]}
    )
    return Corpus("more", corpus.documents, queries, {name: wider(j) for name, j in corpus.splits.items()}, wider(corpus.truth))


ASKED = [
    "how to feed a sourdough starter",
    "Why are sunsets RED?",  # a test query in other letters
    "why does a sunset look red",
    "  ",
    "which food is poisonous for a dog",
]


@pytest.fixture(scope="module")
def wide(tiny_corpus):
    return more_queries(tiny_corpus, ASKED)


def context_of(corpus: Corpus) -> MiningContext:
    from core.train.vectors import untrained_vectors

    vectors = untrained_vectors(corpus, {"key": "static"})
    return MiningContext(corpus, lambda which: vectors)


def test_held_out_queries_are_never_unlabelled(wide):
    """Neither a query that any split judges, be it as not relevant, nor one in the words of a held-out query."""
    n = wide.n_queries - len(ASKED)
    assert unlabelled_queries(wide).tolist() == [n, n + 2, n + 4]
    texts = ["first", "second", "third", "FOURTH", "fifth", "fourth"]
    corpus = make_corpus([f"text {i}" for i in range(4)], texts, [(0, 0)], [(1, 1)])
    corpus.splits["dev"] = Judgements.from_pairs([3], [2], [0], 6)  # judged, but no positive
    assert unlabelled_queries(corpus).tolist() == [2, 4], "the last asks what a query of dev asks"


def test_only_what_the_cross_encoder_is_sure_of_becomes_a_positive(wide):
    context = context_of(wide)
    piece = CrossAugmented(above=0.6, depth=20, per_query=2)
    cross, vectors = piece.cross(context), context.vectors("start")
    expected = [tuple(pair) for pair in np.column_stack(wide.splits["train"].only_positive().pairs()[:2]).tolist()]
    n_labelled = len(expected)
    for q in unlabelled_queries(wide):
        everything = np.arange(wide.n_documents)
        scores = vectors.score_pairs(np.full(len(everything), q), everything)
        first = sorted(everything, key=lambda d: (-scores[d], d))[:20]
        p = {d: float(cross.probabilities(np.array([q]), np.array([d]))[0]) for d in first}
        sure = sorted((d for d in first if p[d] > 0.6), key=lambda d: -p[d])[:2]
        expected += [(int(q), int(d)) for d in sure]
    found = np.column_stack(piece.pairs(context)).tolist()
    assert len(expected) > n_labelled and [tuple(pair) for pair in found] == sorted(expected)
    assert not set(np.array(found)[:, 0]) & set(wide.split_query_rows("test").tolist())
    said = piece.told(context, *piece.pairs(context))
    assert said.startswith("3 unlabelled queries, ") and f"got {len(expected) - n_labelled} positives" in said


def test_labels_are_put_aside_where_no_query_is_unlabelled(tiny_corpus):
    context = context_of(tiny_corpus)
    piece = CrossAugmented(above=0.3, aside=0.5)
    queries, docs = piece.pairs(context)
    aside, is_put_aside = piece.unlabelled(context)
    asked = tiny_corpus.split_query_rows("train")
    assert is_put_aside and len(aside) == len(asked) // 2 and set(aside) <= set(asked.tolist())
    labels = tiny_corpus.splits["train"].only_positive()
    kept = labels.without_queries(aside).pairs()
    is_new = np.isin(queries, aside)
    assert sorted(zip(queries[~is_new], docs[~is_new], strict=True)) == sorted(zip(*kept[:2], strict=True))
    right = labels.contains(queries[is_new], docs[is_new]).mean()
    assert is_new.any() and f"{right:.0%} of them are among the labels put aside" in piece.told(context, queries, docs)
    nobody = CrossAugmented(aside=0.0)
    assert nobody.unlabelled(context)[0].size == 0 and "nothing to add" in nobody.told(context, *nobody.pairs(context))
    assert len(nobody.pairs(context)[0]) == labels.n_pairs
    sentences = warnings(tiny_corpus, Recipe(positives=piece))
    assert any("labels of 50% of the training queries are put aside" in s for s in sentences)
    assert not any("put aside" in s for s in warnings(tiny_corpus, Recipe(positives=nobody)))


def test_a_made_positive_is_no_negative_of_its_query():
    documents = ["red stone", "blue river", "red stone", "green hill", "grey sand"]
    corpus = make_corpus(documents, ["red", "blue", "rock"], [(0, 0), (1, 1)])
    context = make_context(corpus, seed=3)
    context.train_on(np.array([0, 1, 2]), np.array([0, 1, 0]))
    table = mine_lane(Lane(source=Dense()), context, np.array([0, 1, 2]), np.random.default_rng(0))
    fate = {int(d): table.rules[r] if r >= 0 else "kept" for d, r in zip(table.doc_rows[2], table.decided_by[2], strict=True) if d >= 0}
    assert fate == {0: "known-positive", 2: "identical-to-positive", 1: "kept", 3: "kept", 4: "kept"}
    assert table.positive_rows.tolist() == [0, 1, 0] and np.isfinite(table.positive_scores).all()
    assert context.protected.positives(2).tolist() == [0, 2]
    untouched = make_context(corpus, seed=3)
    untouched.train_on(np.array([0, 1]), np.array([0, 1]))
    assert untouched.positives is corpus.positives and untouched.known is untouched.index.protected


def test_an_augmented_trial_is_the_same_stopped_and_resumed(tmp_path, wide):
    recipe = apply_settings(preset("rocketqa-augmented").recipe, ["positives.above=0.5"])
    whole = make_trial(tmp_path / "whole", wide, recipe)
    result = run_trial(whole, threads=1, corpus=wide)
    stopped = make_trial(tmp_path / "stopped", wide, recipe)
    calls = iter(range(5))
    with pytest.raises(Stopped):
        run_trial(stopped, threads=1, corpus=wide, should_stop=lambda: next(calls, None) is None)
    run_trial(stopped, threads=1, corpus=wide)
    assert bytes_of(stopped) == bytes_of(whole)

    pairs = read_pairs(whole)
    n_labelled = wide.splits["train"].only_positive().n_pairs
    assert result["n_train_pairs"] == len(pairs[0]) > n_labelled
    assert not np.isin(pairs[0], wide.split_query_rows("test")).any()
    results = TrialResults(whole)
    table = results.candidates(results.tables())
    made = Judgements.from_pairs(*pairs, np.ones(len(pairs[0]), int), wide.n_queries)
    used = table.filter(table["kept"])
    assert not made.contains(used["query_row"].to_numpy(), used["doc_row"].to_numpy()).any()
    told = [e["text"] for e in read_events(whole / "events.jsonl")[0] if e["kind"] == "log"]
    assert sum("3 unlabelled queries" in text for text in told) == 1

    exported = training_positives(results, wide)
    assert sorted(zip(*exported.pairs()[:2], strict=True)) == sorted(zip(*pairs, strict=True))
    assert "pairs.parquet" in kept_files(whole), "bundles carry it"


def test_labels_alone_still_need_no_model(tmp_path, tiny_corpus):
    folder = make_trial(tmp_path / "t", tiny_corpus, "in-batch", epochs=1)
    run_trial(folder, threads=1, corpus=tiny_corpus)
    assert read_pairs(folder) is None
    assert training_positives(TrialResults(folder), tiny_corpus).n_pairs == tiny_corpus.splits["train"].only_positive().n_pairs
    lost = make_trial(tmp_path / "lost", tiny_corpus, "rocketqa-augmented", epochs=1)
    with pytest.raises(TrialError):
        training_positives(TrialResults(lost), tiny_corpus)
