"""What an epoch costs: shares of the negatives, and a row for each recipe."""

from __future__ import annotations

import pytest

from core.bench import epochs
from core.sampling.presets import PRESETS


@pytest.mark.parametrize(("name", "shares"), [("ance", [4]), ("ance-tele", [2, 1, 1]), ("bm25-random", [2, 2]), ("in-batch", [])])
def test_negatives_are_shared_out_among_the_lanes(name, shares):
    assert [lane.per_query for lane in epochs.with_negatives(PRESETS[name].recipe, 4).mined] == shares


def test_every_recipe_stands_beside_in_batch(tiny_corpus, monkeypatch):
    monkeypatch.setattr(epochs, "EPOCHS", 2)
    monkeypatch.setattr(epochs, "BATCH_SIZE", 8)
    found, refused = epochs.bench_epochs(tiny_corpus, ["ance", "hard-positives", "word-noise"], 2, n_rounds=1)
    assert list(refused) == ["hard-positives"] and "log" in refused["hard-positives"]
    assert list(found) == ["in-batch", "random", "ance", "word-noise"]
    one, base, drawn = found["ance"], found["in-batch"], found["random"]
    assert base["ratio"] == pytest.approx(1, abs=0.1) and base["ratio_with_measuring"] == pytest.approx(1, abs=0.1)
    assert one["mine"] > 2 * base["mine"] and one["ratio"] == pytest.approx((one["train"] + one["mine"]) / base["train"])
    assert one["ratio_to_random"] == pytest.approx((one["train"] + one["mine"]) / (drawn["train"] + drawn["mine"]))
    assert drawn["ratio_to_random"] == 1
    made = found["word-noise"]  # a pair a document, not a pair a query
    assert made["pairs"] == tiny_corpus.n_documents != base["pairs"]
    assert made["ratio"] == pytest.approx((made["train"] + made["mine"]) / made["pairs"] * base["pairs"] / base["train"])
