"""Clicks and hard positives from the log: the rules by plain loops, held-out queries, masks, training, what is missing."""

from __future__ import annotations

import json

import numpy as np
import pytest

from core.audit.doctor_fit import obstacles
from core.errors import ParameterError
from core.sampling.mine import mine_lane
from core.sampling.positives_log import Clicked, HardPositives
from core.sampling.presets import PRESETS
from core.sampling.recipe import Lane, Recipe
from core.sampling.sources import BM25Source
from core.train.trial import run_trial
from tests.positives_world import world
from tests.small import make_context
from tests.test_positives_training import LIGHT, prepared
from tests.test_train_trial import bytes_of, make_trial

# (query, document, position, clicked, session); queries 6 ... 11 are held out.
LOG = [
    (0, 1, 1, 1, 0), (0, 2, 2, 0, 0), (0, 1, 1, 1, 1), (0, 5, 2, 1, 1),
    (0, 3, 1, 0, 2), (0, 5, 2, 0, 2), (0, 1, 6, 0, 2),
    (1, 5, 1, 0, 3), (1, 6, 2, 0, 3),
    (2, 9, 1, 1, 4), (2, 9, 1, 0, 5), (2, 8, 2, 0, 5),
    (7, 7, 1, 1, 6), (8, 8, 1, 0, 7),
]  # fmt: skip


def pairs_of(piece, corpus):
    return list(zip(*(rows.tolist() for rows in piece.pairs(make_context(corpus))), strict=True))


def test_clicks_are_counted_and_held_out_queries_left_out():
    corpus = world(log=LOG)
    assert pairs_of(Clicked(), corpus) == [(0, 1), (0, 5), (2, 9)]
    assert pairs_of(Clicked(min_sessions=2), corpus) == [(0, 1)]
    assert pairs_of(Clicked(min_sessions=9), corpus) == []


def test_targets_of_failed_sessions_are_clicks_of_others_not_seen_at_the_top():
    corpus = world(log=LOG)
    mined = HardPositives(with_clicks=False, likeness=1.0)
    # Session 2 of query 0 saw 5 at position 2 and 1 at position 6; session 5 of query 2 saw its target first.
    assert pairs_of(mined, corpus) == [(0, 1)]
    assert pairs_of(mined.but(seen=6), corpus) == []
    assert pairs_of(mined.but(seen=1), corpus) == [(0, 1), (0, 5)]
    assert pairs_of(mined.but(seen=0), corpus) == [(0, 1), (0, 5), (2, 9)]
    assert pairs_of(HardPositives(likeness=1.0), corpus) == [(0, 1), (0, 5), (2, 9)]


def test_a_query_without_clicks_takes_those_of_the_most_alike_query():
    from core.sampling.positives_extract import static_encoder

    corpus = world(log=LOG)
    vectors = static_encoder()(corpus.query_texts())
    scores = {giver: float(vectors[1] @ vectors[giver]) for giver in (0, 2)}
    giver = max(scores, key=scores.get)
    found = set(pairs_of(HardPositives(with_clicks=False, likeness=-1.0), corpus))
    clicks = {0: {1, 5}, 2: {9}}[giver] - {5, 6}
    assert {d for q, d in found if q == 1} == clicks
    assert not {d for q, d in pairs_of(HardPositives(with_clicks=False, likeness=0.999), corpus) if q == 1}


@pytest.mark.parametrize("log", [LOG, [(0, 1, 0, 1, -1), (1, 2, 0, 0, -1)]])
def test_what_the_log_does_not_say_is_asked_for(log, tmp_path):
    assert "Add impressions.tsv" in Clicked().lacks(world())
    with pytest.raises(ParameterError, match="Add impressions.tsv"):
        run_trial(make_trial(tmp_path / "t", world(), "clicked", **LIGHT), corpus=world())
    corpus = world(log=log)
    assert not Clicked().lacks(corpus)
    assert ("column 'session'" in HardPositives().lacks(corpus)) == (log is not LOG)
    assert any("column 'session'" in s for s in obstacles(corpus, PRESETS["hard-positives"].recipe)) == (log is not LOG)


def test_no_lane_mines_what_was_clicked_nor_a_label(tmp_path):
    corpus = world(log=LOG)
    recipe = Recipe(positives=Clicked(), mined=(Lane(source=BM25Source()),))
    setup = prepared(tmp_path / "t", corpus, recipe)
    assert list(zip(setup.query_rows.tolist(), setup.positive_rows.tolist(), strict=True)) == [(0, 1), (0, 5), (2, 9)]
    table = mine_lane(recipe.mined[0], setup.context, np.array([0, 2]), np.random.default_rng(0))
    labels = corpus.splits["train"]
    for i, query in enumerate((0, 2)):
        kept = set(table.doc_rows[i][table.is_kept[i]].tolist())
        assert not kept & ({1, 5} if query == 0 else {9}) and not kept & set(labels.positives(query).tolist())
    batch = setup.batch(np.array([0, 1]))
    assert all({1, 5} <= set(row.tolist()) for row in batch.protected)


@pytest.mark.parametrize("name", ["clicked", "hard-positives"])
def test_training_on_a_log_evaluates_on_the_labels(name, tmp_path):
    corpus = world(log=LOG)
    folders = [make_trial(tmp_path / which, corpus, name, **LIGHT) for which in "ab"]
    results = [run_trial(folder, threads=1, corpus=corpus) for folder in folders]
    assert bytes_of(folders[0]) == bytes_of(folders[1])
    assert results[0]["n_test_queries"] == 6 and results[0]["n_train_pairs"] == 3
    assert json.loads((folders[0] / "result.json").read_text())["corpus_fingerprint"] == corpus.fingerprint


def test_hard_positives_of_the_sample_are_mostly_true(root):
    from core.corpus.load import load_corpus

    corpus = load_corpus("sample:lab")
    shares = {}
    for piece in (Clicked(), HardPositives(with_clicks=False)):
        q, d = piece.pairs(make_context(corpus, dim=1))
        shares[piece.key] = (len(q), float((corpus.truth.grade_of(q, d) >= 1).mean()))
        print(piece.key, shares[piece.key])
    assert all(n > 100 and share > 0.5 for n, share in shares.values())
