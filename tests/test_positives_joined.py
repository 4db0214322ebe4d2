"""Joined vectors: a sum of scores, a weight that never sees the queries that evaluate, and the command."""

from __future__ import annotations

import json

import numpy as np
import pytest

from core.audit.joined import CHOSEN_BY, WEIGHTS, choose_weight, joined, measure
from core.cli import main
from core.errors import ParameterError
from core.evaluate.metrics import means
from core.sampling.context import Vectors
from tests.positives_world import world
from tests.trained import train_tiny

RNG = np.random.default_rng(7)


def vectors(similarity: str, dim: int, corpus=None) -> Vectors:
    n_queries, n_documents = (5, 9) if corpus is None else (corpus.n_queries, corpus.n_documents)
    queries, documents = (RNG.normal(size=(n, dim)).astype(np.float32) for n in (n_queries, n_documents))
    return Vectors(queries, documents, similarity, "x")


@pytest.mark.parametrize("similarities", [("cosine", "dot"), ("dot", "dot"), ("cosine", "cosine")])
def test_the_dot_product_of_joined_vectors_is_the_weighted_sum_of_both_scores(similarities):
    base, more = (vectors(similarity, dim) for similarity, dim in zip(similarities, (4, 7), strict=True))
    q, d = np.repeat(np.arange(5), 9), np.tile(np.arange(9), 5)
    for weight in (0.0, 0.3, 5.0):
        expected = base.score_pairs(q, d) + weight * more.score_pairs(q, d)
        np.testing.assert_allclose(joined(base, more, weight).score_pairs(q, d), expected, atol=1e-5)
    with pytest.raises(ParameterError, match="compared by l2"):
        joined(base, vectors("l2", 4), 1.0)


def test_the_weight_is_the_best_of_the_training_queries_and_knows_no_test_label():
    corpus = world()
    base, more = vectors("cosine", 6, corpus), vectors("cosine", 5, corpus)
    weight, split, found = choose_weight(base, more, corpus)
    by_hand = [means(measure(joined(base, more, w), corpus, "train"))[CHOSEN_BY] for w in WEIGHTS]
    assert found == by_hand and weight == WEIGHTS[int(np.argmax(by_hand))] and split == "train"
    with pytest.raises(ParameterError, match="qrels/dev"):
        choose_weight(base, more, world(()))


def test_the_command_joins_two_trials(workspace, tiny_corpus, tiny_folder, capsys):
    folders = [train_tiny(tiny_corpus, tiny_folder, workspace / "trials" / name, name, epochs=1) for name in ("in-batch", "spar-lambda")]
    assert main(["compare", *map(str, folders), "--joined", "--json"]) == 0
    words = capsys.readouterr().out
    answer = json.loads(words.splitlines()[-1])["joined"]
    assert answer["weight"] in WEIGHTS and answer["chosen_on"] == "train" and 0 <= answer["metrics"]["RR@10"] <= 1
    assert "Joined vectors" in words and answer["difference"]["n_queries"] == 8
    assert main(["compare", str(folders[0]), "--joined"]) == 2
