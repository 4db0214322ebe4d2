"""The slots of a batch on the Recipe page, what does not fit the corpus, and the staleness of queues on the Train page."""

from __future__ import annotations

import json

from core.sampling.presets import PRESETS
from pages.ui import train_charts
from pages.ui.codes import decode_recipe, encode_recipe
from tests.test_page_recipe import _quiet, box, known, number, page, words  # noqa: F401
from tests.test_page_train import EVENTS, submit, write
from tests.test_page_train import page as train_page

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
