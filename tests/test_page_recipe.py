"""The Recipe page: gallery, composer, preview and what it queues; its tables against the arrays they come from."""

from __future__ import annotations

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from core.corpus.load import load_corpus
from core.sampling.presets import FAMILY_TITLES, PRESETS
from pages.ui import services
from pages.ui.codes import decode_recipe


class NoScheduler:
    """Nobody works on the queue: no thread or process outlives a test."""

    max_running = 1

    def wake(self) -> None:
        pass


@pytest.fixture(autouse=True)
def _quiet(workspace, monkeypatch):
    monkeypatch.setattr(services, "scheduler", NoScheduler)


@pytest.fixture
def known(workspace, tiny_folder) -> str:
    """The link of the tiny corpus, known in the workspace."""
    from core.lab.corpora import add_corpus
    from core.lab.store import Store

    corpus = load_corpus(tiny_folder)
    store = Store()
    about = {"n_documents": corpus.n_documents, "n_queries": corpus.n_queries}
    add_corpus(store, spec=str(tiny_folder), name=corpus.name, fingerprint=corpus.fingerprint, **about)
    store.close()
    return corpus.fingerprint


def page(root, **params: str) -> AppTest:
    at = AppTest.from_file(str(root / "pages/recipe.py"), default_timeout=120)
    for key, value in params.items():
        at.query_params[key] = value
    return at.run()


def box(at: AppTest, label: str):
    return next(e for e in at.selectbox if e.label.startswith(label))


def number(at: AppTest, label: str):
    return next(e for e in at.number_input if e.label.startswith(label))


def words(at: AppTest) -> str:
    kinds = (at.title, at.markdown, at.caption, at.info, at.error, at.warning)
    return " ".join(str(e.value) for kind in kinds for e in kind).replace("\\", "")


def test_gallery_has_a_card_for_every_preset_and_family(root, known):
    at = page(root, corpus=known)
    assert not at.exception and not at.error
    assert {s.value for s in at.subheader} == set(FAMILY_TITLES.values())
    assert {f"choose.{name}" for name in PRESETS} <= {b.key for b in at.button}
    for preset in PRESETS.values():
        assert preset.source.url in words(at)


def test_a_choice_goes_into_the_link_and_opens_the_preview(root, known):
    at = page(root, corpus=known)
    at.button(key="choose.simans").click().run().run()
    assert not at.exception and at.query_params["recipe"] == "simans"
    assert at.title[0].value.startswith("SimANS")
    assert "What it would pick" in {s.value for s in at.subheader}


def test_preview_shows_both_recipes_with_their_fates_and_costs(root, known):
    at = page(root, corpus=known, recipe="nv-retriever", against="dpr")
    assert not at.exception and not at.error
    ours, other, cost = (frame.value for frame in at.dataframe)
    assert list(ours["fate"]).count("✕ picked") <= 2 and (other["fate"] == "✕ picked").sum() <= 1
    assert any(fate.startswith("refused: known positive") for fate in ours["fate"])
    assert not (ours["fate"].eq("✕ picked") & ours["fate"].str.startswith("refused")).any()
    assert list(cost["recipe"]) == ["A: NV-Retriever: percentage cut", "B: DPR: in-batch + one BM25"]
    assert cost["false negatives"].str.endswith("%").all() and "truth" in ours


def test_a_recipe_that_mines_nothing_says_so(root, known):
    at = page(root, corpus=known, recipe="in-batch")
    assert not at.exception and not at.error
    assert "mines nothing" in words(at)
    assert at.dataframe[-1].value["false negatives"][0] == "none mined"


def test_a_changed_piece_makes_another_recipe_in_the_link(root, known):
    at = page(root, corpus=known, recipe="bm25")
    number(at, "Per query").set_value(3).run()
    changed = decode_recipe(at.query_params["recipe"])
    assert changed.mined[0].per_query == 3 and at.title[0].value == "Your own recipe"
    box(at, "Picker").set_value("top").run()
    assert decode_recipe(at.query_params["recipe"]).mined[0].picker.key == "top"


def test_what_is_not_valid_is_said_and_the_last_recipe_stays(root, known):
    at = page(root, corpus=known, recipe="bm25")
    number(at, "Per query").set_value(60).run()
    assert not at.exception and at.query_params["recipe"] == "bm25"
    assert "Lane.per_query must be" in words(at) and "last valid recipe" in words(at)
    assert number(at, "Per query").value == 60
    number(at, "Last").set_value(80).run()
    assert not at.error and decode_recipe(at.query_params["recipe"]).mined[0].per_query == 60


def test_lanes_come_and_go(root, known):
    at = page(root, corpus=known, recipe="bm25")
    at.button(key="lane.add").click().run()
    assert len(decode_recipe(at.query_params["recipe"]).mined) == 2
    at.button(key="lane0.remove").click().run()
    left = decode_recipe(at.query_params["recipe"]).mined
    assert [lane.source.key for lane in left] == ["random"]
    assert not at.exception and not at.error


def test_moco_with_separate_towers_cannot_be_trained(root, known):
    at = page(root, corpus=known, recipe="moco", encoder="static;towers=separate")
    assert not at.exception
    assert "needs shared towers" in at.error[0].value
    assert all(b.disabled for b in at.button if b.label in ("Train this", "Add to queue"))


def test_a_window_deeper_than_the_corpus_is_a_warning(root, known):
    at = page(root, corpus=known, recipe="nv-retriever")
    assert "needs 100 candidates, this corpus has 60" in words(at)
    at = page(root, corpus=known, recipe="rank-window")
    assert "begins behind the last" in words(at)


def test_add_to_queue_submits_with_defaults(root, known):
    from core.lab.store import Store

    at = page(root, corpus=known, recipe="ance")
    next(b for b in at.button if b.label == "Add to queue").click().run()
    assert not at.exception and not at.error
    (row,) = Store().list()
    assert (row.name, row.state, row.corpus_fingerprint) == ("ANCE", "queued", known)
    assert row.config["recipe"] == PRESETS["ance"].recipe.to_dict()


@pytest.mark.parametrize("encoder", ["nothing", "static;dim=3", "char-ngram;dim=x", ";;"])
def test_a_damaged_encoder_in_the_link_is_left_out(root, known, encoder):
    at = page(root, corpus=known, encoder=encoder)
    assert not at.exception and "encoder" not in at.query_params
    assert any("encoder of this link" in w.value for w in at.warning)


def test_encoders_survive_the_link():
    from core.encode.encoders import ENCODERS
    from pages.ui.recipe_pieces import encoder_of, encoder_text

    class Here:
        def __init__(self, text):
            self.text = text

        def value(self, name, default):
            return self.text

    for piece in (*(cls() for cls in ENCODERS), ENCODERS[2](dim=64, towers="separate")):
        assert encoder_of(Here(encoder_text(piece.to_dict()))) == piece.to_dict()


def test_tables_agree_with_the_preview(tiny_corpus):
    from core.sampling.recipe import Recipe
    from pages.ui.recipe_mining import UNTRAINED, Scorer, previewed, training_queries
    from pages.ui.recipe_tables import RULES, candidate_rows, funnel_steps, picked_scores, positive_scores

    recipe: Recipe = PRESETS["nv-retriever"].recipe
    query = int(training_queries(tiny_corpus)[3])
    preview, context, _ = previewed(tiny_corpus, recipe, Scorer.of(UNTRAINED, {"key": "static"}, {}), query)
    table, lane = preview.lanes[0].candidates, preview.lanes[0]
    position = list(preview.query_rows).index(query)
    rows = candidate_rows(tiny_corpus, preview, context, query)
    vectors = context.vectors()
    expected = {}
    for column, doc in enumerate(table.doc_rows[position]):
        if doc >= 0:
            s = float(vectors.score_pairs(np.array([query]), np.array([[doc]]))[0, 0])
            expected[int(table.ranks[position][column])] = (doc, s)
    assert sorted(rows["rank"]) == sorted(expected)
    for rank, s in zip(rows["rank"], rows["s-"], strict=True):
        assert s == pytest.approx(expected[rank][1], abs=1e-5)
    order = [{"✕ picked": 0, "kept": 1}.get(fate, 2) for fate in rows["fate"]]
    assert order == sorted(order)
    steps = funnel_steps(lane)
    refused = sum(int((table.decided_by == i).sum()) for i in range(len(table.rules)))
    assert steps[0][1] - refused == steps[-2][1] and steps[-1] == ("picked", int((lane.columns >= 0).sum()))
    assert len(picked_scores(preview, context)) == steps[-1][1]
    assert len(positive_scores(preview, context)) == np.isin(context.training_pairs[0], preview.query_rows).sum()
    assert set(table.rules) <= set(RULES)
