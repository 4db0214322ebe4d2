"""What LTRe and ADORE find at each step is kept: a table an epoch, with ranks, scores, uses and pulls."""

from __future__ import annotations

import numpy as np
import pytest

from core.audit.card import Cards
from core.sampling.context import MiningContext
from core.sampling.presets import PRESETS
from core.train.found import MOST_RANKS, Found
from core.train.results import TrialResults
from core.train.trial import Stopped, run_trial
from tests.test_train_trial import bytes_of, events_of, make_trial


def test_the_table_equals_a_loop():
    """Queries that come again, in another batch or twice in one, keep their later search and the uses of both."""
    rng = np.random.default_rng(0)
    found, expected = Found(np.arange(6) * 2, 5, 1, "x"), {}
    for _ in range(8):
        positions = rng.integers(0, 6, 4)
        rows = np.stack([rng.permutation(12)[:5] for _ in positions])
        rows[rng.random(rows.shape) < 0.2] = -1
        rows = np.take_along_axis(rows, np.argsort(rows < 0, 1, kind="stable"), 1)
        scores, weights = rng.random((2, 4, 5)).astype(np.float32)
        positives, own = rng.integers(0, 12, 4), rng.random(4).astype(np.float32)
        found.note(positions, positives, own, rows, scores, weights)
        for i, position in enumerate(positions):
            before = expected.get(position, ({}, 0, 0))[0]
            now = {}
            for j, doc in enumerate(rows[i]):
                if doc >= 0:
                    _, _, uses, weight = before.get(doc, (0, 0, 0, 0.0))
                    now[doc] = (j + 1, scores[i, j], uses + 1, weight + float(weights[i, j]))
            expected[position] = now, positives[i], own[i]
    table = found.take()
    for position, (documents, positive, score) in expected.items():
        seen = {
            doc: (rank, table.scores[position, rank - 1], table.times_used[position, rank - 1], table.weight_sum[position, rank - 1])
            for rank, doc in enumerate(table.doc_rows[position], 1)
            if doc >= 0
        }
        assert seen.keys() == documents.keys() and all(seen[doc] == pytest.approx(documents[doc]) for doc in seen)
        assert (table.positive_rows[position], table.positive_scores[position]) == (positive, score)
    assert (found.take().doc_rows == -1).all(), "the next epoch begins empty"
    assert found.take().is_kept.sum() == 0


@pytest.mark.parametrize("name", ["ltre", "adore"])
def test_every_epoch_leaves_a_table_that_cards_read(name, tmp_path, tiny_corpus):
    folder = make_trial(tmp_path / name, tiny_corpus, name, epochs=2, batch_size=8)
    run_trial(folder, threads=1, corpus=tiny_corpus)
    results = TrialResults(folder)
    tables = results.tables()
    steps = results.result["steps"]
    batch = PRESETS[name].recipe.batch
    assert [(t.lane, t.source, t.step) for t in tables] == [(0, batch.key, steps // 2), (0, batch.key, steps)]
    rows = results.candidates(tables[:1])
    n_queries = len(tiny_corpus.split_query_rows("train"))
    depth = min(batch.depth, MOST_RANKS, tiny_corpus.n_documents)
    assert set(rows["query_row"].to_pylist()) == set(tiny_corpus.split_query_rows("train").tolist())
    assert n_queries * (depth - 4) <= rows.num_rows <= n_queries * depth
    assert set(rows["rule"].to_pylist()) == {"kept"} and min(rows["times_used"].to_pylist()) >= 1
    assert max(rows["weight"].to_pylist()) > 0
    labels = tiny_corpus.splits["train"]
    grades = labels.grade_of(rows["query_row"].to_numpy(), rows["doc_row"].to_numpy())
    assert not (grades > 0).any(), "a known positive was never a negative"
    query_row, doc_row = rows["query_row"][0].as_py(), rows["doc_row"][0].as_py()
    models = {"untrained": results.snapshot(results.snapshots()[0]), "this trial": results.snapshot(results.snapshots()[-1])}
    cards = Cards(tiny_corpus, results, models, MiningContext(tiny_corpus, lambda name: models["this trial"]))
    moments = cards.card(query_row, doc_row).history
    assert moments and moments[0].rank == 1 and moments[0].times_used >= 1 and moments[0].rule == "kept"
    refreshes = events_of(folder, "refresh")
    assert len(refreshes) == 2 and all(0 <= event["lanes"][0]["false_negative_rate"] <= 1 for event in refreshes)


def test_a_stop_in_the_middle_of_an_epoch_changes_no_byte(tmp_path, tiny_corpus):
    whole, broken = (make_trial(tmp_path / name, tiny_corpus, "ltre", epochs=2, batch_size=4) for name in ("whole", "broken"))
    run_trial(whole, threads=1, corpus=tiny_corpus)
    calls = iter(range(100))
    with pytest.raises(Stopped):
        run_trial(broken, threads=1, corpus=tiny_corpus, should_stop=lambda: next(calls) == 3)
    run_trial(broken, threads=1, corpus=tiny_corpus)
    assert bytes_of(whole) == bytes_of(broken) != {}


@pytest.mark.parametrize("name", ["ltre", "adore"])
def test_the_preview_shows_what_a_step_would_find(name, tiny_corpus):
    from core.audit.preview import preview
    from core.encode.encoders import make_encoder
    from core.train.vectors import untrained_vectors

    vectors = untrained_vectors(tiny_corpus, make_encoder("static").to_dict())
    context = MiningContext(tiny_corpus, lambda which: vectors)
    rows = np.unique(context.training_pairs[0])
    found = preview(PRESETS[name].recipe, context, rows, epochs=3)
    (lane,) = found.lanes
    depth = min(PRESETS[name].recipe.batch.depth, tiny_corpus.n_documents)
    assert {"picked", "known-positive"} <= set(lane.fate(0)) <= {"picked", "known-positive", "identical-to-positive"}
    assert lane.fate(0).count("picked") >= depth - 6
    n_pairs = len(context.training_pairs[0])
    assert (found.cost.searches, found.cost.train_encodings) == (3 * len(rows), 3 * n_pairs)
    assert found.cost.mine_encodings == tiny_corpus.n_documents
