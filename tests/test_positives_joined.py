"""Joined vectors: a sum of scores, a weight that never sees the queries that evaluate, and the command."""

from __future__ import annotations

import json

import numpy as np
import pytest

from core.audit.joined import WEIGHTS, cross_fitted, joined
from core.cli import main
from core.errors import ParameterError
from core.sampling.context import Vectors
from tests.trained import train_tiny

RNG = np.random.default_rng(7)


def vectors(similarity: str, dim: int) -> Vectors:
    queries, documents = (RNG.normal(size=(n, dim)).astype(np.float32) for n in (5, 9))
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


def test_a_query_is_served_with_the_weight_that_other_queries_chose():
    values = RNG.random((4, 31))
    queries, served, chosen = cross_fitted(values, np.random.default_rng(3))
    order = np.random.default_rng(3).permutation(31)
    for half, other, weight in ((order[:15], order[15:], chosen[0]), (order[15:], order[:15], chosen[1])):
        assert (served[half] == weight).all()
        assert weight == max(range(4), key=lambda w: (np.mean([values[w, q] for q in other]), -w))
    assert queries.tolist() == list(range(31))
    spoilt = values.copy()
    spoilt[2, order[:15]] = 9.0  # what the first half says does not move what it is served with
    assert cross_fitted(spoilt, np.random.default_rng(3))[2][0] == chosen[0] and cross_fitted(spoilt, np.random.default_rng(3))[2][1] == 2


def test_the_command_joins_two_trials(workspace, tiny_corpus, tiny_folder, capsys):
    folders = [train_tiny(tiny_corpus, tiny_folder, workspace / "trials" / name, name, epochs=1) for name in ("in-batch", "spar-lambda")]
    assert main(["compare", *map(str, folders), "--joined", "--json"]) == 0
    words = capsys.readouterr().out
    answer = json.loads(words.splitlines()[-1])["joined"]
    assert set(answer["weights"]) <= set(WEIGHTS) and "other half" in answer["chosen_on"] and 0 <= answer["metrics"]["RR@10"] <= 1
    assert "Joined vectors" in words and answer["difference"]["n_queries"] == 8
    assert main(["compare", str(folders[0]), "--joined"]) == 2
