"""The slots of a batch on the Recipe page, what does not fit the corpus, and the staleness of queues on the Train page."""

from __future__ import annotations

import json

import numpy as np
import pytest

from core.audit.batches import first_epoch
from core.sampling.presets import PRESETS
from core.sampling.settings import apply_settings
from core.train.config import read_config
from core.train.events import EventWriter
from core.train.setup import prepare
from pages.ui import recipe_batches, train_charts
from pages.ui.codes import decode_recipe, encode_recipe
from tests.test_page_recipe import _quiet, box, known, number, page, words  # noqa: F401
from tests.test_page_train import EVENTS, submit, write
from tests.test_page_train import page as train_page
from tests.test_train_trial import make_trial

STALE = {"kind": "staleness", "step": 10, "n_entries": 6, "ages": [1.0, 2.0], "counts": [4, 2], "cosine": [0.99, 0.9]}


def test_the_slots_of_a_batch_are_chosen_and_go_into_the_link(root, known):  # noqa: F811
    at = page(root, corpus=known, recipe="in-batch")
    assert not at.exception and not at.error
    assert (box(at, "Order").value, box(at, "Passes").value) == ("shuffled", "one")
    box(at, "Order").set_value("topic-aware").run()
    assert not at.exception and at.query_params["recipe"] == "tas-b"
    assert box(at, "Clustered with").value == "" and "untrained encoder" in str(box(at, "Clustered with").options)
    number(at, "Clusters").set_value(5).run()
    box(at, "Passes").set_value("cross-batch").run()
    made = decode_recipe(at.query_params["recipe"])
    assert (made.order.clusters, made.passes.workers) == (5, 4) and not at.exception
    box(at, "Order").set_value("shuffled").run()
    box(at, "Passes").set_value("one").run()
    assert at.query_params["recipe"] == "in-batch"
    assert encode_recipe(made) != "tas-b" and decode_recipe(encode_recipe(made)) == made


def test_the_preview_shows_the_batch_that_a_query_shares(root, known, tiny_corpus, monkeypatch):  # noqa: F811
    monkeypatch.setattr(recipe_batches, "BATCH_SIZE", 6)
    at = page(root, corpus=known, recipe="tas-b", against="in-batch")
    assert not at.exception and not at.error
    assert "Topic-aware batches: 5 batches of 6 pairs from" in words(at) and "Shuffled: 5 batches of 6 pairs in" in words(at)
    tables = [frame.value for frame in at.dataframe if list(frame.value.columns) == ["document", "s-", "margin", "truth"]]
    assert len(tables) == 2 and all(0 < len(table) < 6 for table in tables)
    assert all((np.diff(table["s-"]) <= 0).all() for table in tables)
    mixed = encode_recipe(apply_settings(PRESETS["bm25"].recipe, ["order=clustered"]))
    at = page(root, corpus=known, recipe=mixed, against="bm25")
    assert not at.exception and "Clustered batches: 5 batches of 6 pairs from" in words(at) and "Shuffled:" not in words(at)


def test_batches_of_the_first_epoch_are_those_of_the_training(tmp_path, tiny_corpus):
    """The preview's batches against a real trial's setup; its figures against a double loop over them."""
    folder = make_trial(tmp_path / "t", tiny_corpus, "clustered-batches", batch_size=6, seed=0)
    setup = prepare(read_config(folder), tiny_corpus, folder, EventWriter(folder / "events.jsonl"))
    epoch = first_epoch(setup.recipe, setup.context, batch_size=6)
    trained = setup.order(0).reshape(-1)
    for first in range(0, len(trained), 6):
        assert len(set(epoch.batches[trained[first : first + 6]])) == 1
    assert np.array_equal(epoch.groups, setup.groups)
    vectors, queries = setup.context.vectors("current"), np.unique(epoch.query_rows)
    n = n_hard = n_false = total = 0.0
    for query in queries:
        own = tiny_corpus.positives.positives(query)
        lowest = min(float(vectors.score_pairs(np.array([query]), np.array([d]))[0]) for d in own)
        batch = epoch.batches[list(epoch.query_rows).index(query)]
        others = {int(d) for d, b in zip(epoch.positive_rows, epoch.batches, strict=True) if b == batch}
        others -= {int(d) for d in range(60) if setup.context.protected.contains(np.array([query]), np.array([d]))[0]}
        assert sorted(others) == epoch.pool(setup.context, query).tolist()
        for doc in others:
            score = float(vectors.score_pairs(np.array([query]), np.array([doc]))[0])
            n, total = n + 1, total + score
            n_hard += score >= lowest
            n_false += int(tiny_corpus.truth.grade_of(np.array([query]), np.array([doc]))[0] >= 1)
    found = epoch.figures(setup.context, queries)
    assert found == pytest.approx({"hard": n_hard / n, "score": total / n, "false": n_false / n}, abs=1e-5) and n_hard and n_false


def test_a_step_larger_than_the_corpus_is_told_before_training(root, known):  # noqa: F811
    at = train_page(root, corpus=known, recipe="large-batch")
    assert not at.exception and any("8 times 128" in w.value for w in at.warning)
    assert PRESETS["large-batch"].recipe.passes.pairs(128) == 1024


def test_staleness_is_drawn_by_age_and_its_absence_is_said(root, known, monkeypatch):  # noqa: F811
    _, queue = submit(known, "Memory queue")
    _, moco = submit(known, "MoCo")
    _, plain = submit(known, "In-batch")
    write(queue, *EVENTS, STALE | {"step": 5, "cosine": [0.5, 0.4]}, STALE)
    write(moco, *EVENTS, STALE | {"to_model": [0.8, 0.7]})
    write(plain, *EVENTS)
    drawn = []
    monkeypatch.setattr(train_charts, "draw", lambda figure, key: drawn.append((key, json.loads(figure.to_json()))))
    at = train_page(root, corpus=known, inside="stale", trials=f"{queue.id},{moco.id},{plain.id}")
    assert not at.exception and "1 = nothing has moved" in words(at)
    figure = next(figure for key, figure in drawn if key == "inside")
    assert [line["name"] for line in figure["data"]] == [
        "Memory queue, step 10", "MoCo, step 10", "MoCo, step 10: against the model in training",
    ]  # fmt: skip
    assert [list(line["y"]) for line in figure["data"]] == [[0.99, 0.9], [0.99, 0.9], [0.8, 0.7]]
    assert figure["layout"]["xaxis"]["title"]["text"] == train_charts.AGE_TITLE
    assert figure["layout"]["yaxis"]["title"]["text"] == train_charts.STALE_TITLE
    at = train_page(root, corpus=known, inside="stale", trials=plain.id)
    assert not at.exception and "None of these trials keeps a queue" in words(at)
