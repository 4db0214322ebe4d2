"""A trial's candidates as arrays, and every figure counted from them, against plain loops over the Parquet files."""

from __future__ import annotations

import math

import numpy as np
import pyarrow.parquet as parquet
import pytest

from core.audit.card import Cards
from core.audit.query_table import KNOWN, NOT_DRAWN, USED, lookup_table, query_table
from core.audit.trial_figures import (
    RANK_BANDS,
    doubtful_queries,
    false_negatives_by_rank,
    funnels,
    matching_pairs,
    pairs_of,
    popular_documents,
    pulled_queries,
    shares_by_step,
    wilson,
)
from core.audit.trial_table import HARDNESS, read_trial_table, rules_of_lanes
from core.errors import TrialError
from core.sampling.context import MiningContext
from core.sampling.presets import PRESETS
from core.train.config import TrialConfig, write_config
from core.train.results import TrialResults
from core.train.trial import run_trial

REASONS = ("above the positive", "within 5 % of the positive", "copy of a positive")


def train(folder, corpus_folder, name: str, **settings):
    config = TrialConfig(corpus=str(corpus_folder), recipe=PRESETS[name].recipe.to_dict(), name=name, epochs=3, batch_size=8, **settings)
    write_config(folder, config)
    run_trial(folder, threads=1)
    return TrialResults(folder)


@pytest.fixture(scope="module")
def mined(tmp_path_factory, tiny_folder) -> TrialResults:
    return train(tmp_path_factory.mktemp("mined") / "t", tiny_folder, "nv-retriever")


@pytest.fixture(scope="module")
def context(tiny_corpus) -> MiningContext:
    return MiningContext(tiny_corpus, lambda which: None)


@pytest.fixture(scope="module")
def table(mined, tiny_corpus, context):
    return read_trial_table(mined, tiny_corpus, context.twins(0.8))


@pytest.fixture(scope="module")
def rows(mined, tiny_corpus, context) -> list[dict]:
    """The oracle: every stored row as a dict with what must follow from it, one at a time."""
    twins, found = context.twins(0.8), []
    for info in mined.tables():
        for row in parquet.read_table(info.path).to_pylist():
            q, d, s, positive = row["query_row"], row["doc_row"], row["model_score"], row["model_positive_score"]
            known = d in tiny_corpus.positives.positives(q)
            row |= {"number": info.number, "step": info.step, "known": known, "weight": row["weight"] or 0.0}
            row["hardness"] = "hard" if s >= positive else "semi-hard" if s >= positive - 0.1 else "easy"
            near = positive - abs(positive) * 0.05 < s < positive
            doubt = (s >= positive, near, d in twins.judged(q))
            row["doubts"] = tuple(bool(flag) and not known for flag in doubt)
            row["grade"] = int(tiny_corpus.truth.grade_of(q, d))
            found.append(row)
    return found


def test_each_row_is_read_and_judged_as_by_hand(table, rows):
    assert len(table) == len(rows) > 500 and len(table.tables) >= 2
    for i, row in enumerate(rows):
        assert table.tables[table.place[i]].number == row["number"]
        assert (table.query_row[i], table.doc_row[i], table.rank[i]) == (row["query_row"], row["doc_row"], row["rank"])
        assert table.rules[table.rule[i]] == row["rule"] and table.is_kept[i] == row["kept"]
        assert HARDNESS[table.hardness[i]] == row["hardness"]
        assert tuple(table.reasons[title][i] for title in REASONS) == row["doubts"]
        assert table.grade[i] == row["grade"] and table.times_used[i] == row["times_used"]
        assert table.pull[i] == pytest.approx(row["times_used"] * row["weight"], rel=1e-5)
        assert table.margin[i] == pytest.approx(row["model_positive_score"] - row["model_score"], abs=1e-6)


def test_the_tiny_trial_shows_what_the_tests_need(table):
    assert table.is_suspect.any() and (table.grade[table.is_used] >= 1).any() and (~table.is_kept).any()
    assert set(np.unique(table.hardness)) == {0, 1, 2}


def test_one_query_is_read_alone_as_it_stands_in_the_whole(mined, tiny_corpus, context, table):
    query_row = int(table.query_row[70])
    alone = read_trial_table(mined, tiny_corpus, context.twins(0.8), query_row=query_row)
    part = table.of_query(query_row)
    assert len(alone) == len(part) > 0
    for name in ("doc_row", "rank", "score", "times_used", "hardness", "place"):
        np.testing.assert_array_equal(getattr(alone, name), getattr(part, name))
    assert [alone.rules[i] for i in alone.rule] == [part.rules[i] for i in part.rule]
    one = table.of_tables([table.tables[1].number])
    assert set(one.place.tolist()) == {1}


def test_pairs_add_up_over_the_refreshes(table, rows):
    expected: dict[tuple[int, int], list[dict]] = {}
    for row in rows:
        expected.setdefault((row["query_row"], row["doc_row"]), []).append(row)
    pairs = pairs_of(table)
    assert list(zip(pairs.query_row.tolist(), pairs.doc_row.tolist(), strict=True)) == sorted(expected)
    for i, key in enumerate(sorted(expected)):
        own = expected[key]
        assert pairs.times_used[i] == sum(r["times_used"] for r in own)
        assert pairs.pull[i] == pytest.approx(sum(r["times_used"] * r["weight"] for r in own), rel=1e-5)
        assert (pairs.n_refreshes[i], pairs.n_kept[i]) == (len(own), sum(r["kept"] for r in own))
        last = rows[pairs.last[i]]
        assert (last["query_row"], last["doc_row"], last["number"]) == (*key, max(r["number"] for r in own))
    unused = pairs.times_used == 0
    assert np.isnan(pairs.weight[unused]).all() and not np.isnan(pairs.weight[~unused]).any()


@pytest.mark.parametrize(
    "filters",
    [
        {"hardness": "hard"},
        {"rule": "kept"},
        {"rule": "known-positive"},
        {"only_suspects": True, "only_used": True},
        {"rule": "no such rule"},
    ],
)
def test_filters_keep_what_a_loop_keeps(table, rows, filters):
    pairs = pairs_of(table)
    mask = matching_pairs(table, pairs, **filters)
    for i in range(len(pairs)):
        last = rows[pairs.last[i]]
        expected = last["hardness"] == filters.get("hardness", last["hardness"])
        expected &= last["rule"] == filters.get("rule", last["rule"])
        expected &= any(last["doubts"]) or not filters.get("only_suspects")
        expected &= pairs.times_used[i] > 0 or not filters.get("only_used")
        assert mask[i] == expected


def test_funnel_counts_every_row_once(mined, table, rows):
    [(lane, steps)] = funnels(table, rules_of_lanes(mined))
    counted = dict(steps)
    assert lane == 0 and counted["looked at"] == len(rows)
    for rule in (*rules_of_lanes(mined)[0], "kept"):
        assert counted[rule] == sum(row["rule"] == rule for row in rows)
    assert counted["trained against"] == sum(row["times_used"] > 0 for row in rows)
    assert sum(n for name, n in steps if name not in ("looked at", "trained against")) == len(rows)


def test_shares_of_each_step(table, rows):
    steps, shares, n = shares_by_step(table.take(table.is_used))
    used = [row for row in rows if row["times_used"]]
    assert steps.tolist() == sorted({row["step"] for row in used})
    for i, step in enumerate(steps):
        own = [row for row in used if row["step"] == step]
        assert n[i] == len(own)
        for kind in HARDNESS:
            assert shares[kind][i] == pytest.approx(sum(r["hardness"] == kind for r in own) / len(own))
        assert shares["suspect"][i] == pytest.approx(sum(any(r["doubts"]) for r in own) / len(own))
        assert shares["relevant by truth"][i] == pytest.approx(sum(r["grade"] >= 1 for r in own) / len(own))


def test_rankings_of_documents_and_queries(table, rows):
    pairs = pairs_of(table)
    found = popular_documents(table, pairs)
    uses: dict[int, int] = {}
    for row in rows:
        if row["times_used"]:
            uses[row["doc_row"]] = uses.get(row["doc_row"], 0) + row["times_used"]
    assert dict(zip(found.rows.tolist(), found.times_used.tolist(), strict=True)) == uses
    assert found.times_used.tolist() == sorted(uses.values(), reverse=True)
    doubtful = doubtful_queries(table, pairs)
    assert (np.diff(doubtful.n_suspects) <= 0).all()
    latest = {(r["query_row"], r["doc_row"]): r for r in rows}  # rows stand in the order of the tables
    for query_row, n_suspects, n, n_relevant in zip(
        doubtful.rows, doubtful.n_suspects, doubtful.n_others, doubtful.n_relevant, strict=True
    ):
        own = [r for (q, _), r in latest.items() if q == query_row]
        assert (n_suspects, n) == (sum(any(r["doubts"]) for r in own), len(own))
        assert n_relevant == sum(r["grade"] >= 1 for r in own)
    assert (np.diff(pulled_queries(table, pairs).pull) <= 0).all()


def test_false_negatives_by_rank_against_a_loop(table, rows):
    pairs = pairs_of(table)
    used = pairs.take(pairs.times_used > 0)
    bands = false_negatives_by_rank(table, used)
    assert [b.label for b in bands] == ["1-10", "11-50", "51-100", "101 and below"]
    for band, (first, last) in zip(bands, RANK_BANDS, strict=True):
        own = [rows[i] for i in used.last if first <= rows[i]["rank"] <= (last or math.inf)]
        assert (band.n, band.n_false) == (len(own), sum(r["grade"] >= 1 for r in own))
        assert math.isnan(band.rate) if not own else band.low <= band.rate <= band.high
    assert sum(b.n for b in bands) == len(used) > 0
    assert sum(b.n_false for b in bands) > 0


def test_wilson_holds_its_bounds():
    assert wilson(0, 10)[1] == 0.0 and wilson(10, 10)[2] == pytest.approx(1.0)
    assert all(math.isnan(v) for v in wilson(0, 0))


def test_a_trial_without_mining_says_so(tmp_path, tiny_folder, tiny_corpus, context):
    results = train(tmp_path / "t", tiny_folder, "in-batch")
    with pytest.raises(TrialError, match="mines none"):
        read_trial_table(results, tiny_corpus, context.twins(0.8))


def cards_of(results, corpus, context, whole=None) -> Cards:
    steps = results.snapshots()
    return Cards(corpus, results, {"untrained": results.snapshot(steps[0]), "this trial": results.snapshot(steps[-1])}, context, whole)


def test_query_table_tells_each_fate_and_adds_up(mined, tiny_corpus, context, table, rows):
    cards = cards_of(mined, tiny_corpus, context, table)
    for query_row in np.unique(table.query_row)[:6]:
        own = [r for r in rows if r["query_row"] == query_row]
        columns = query_table(cards, cards.candidates(int(query_row)), int(query_row))
        assert sorted(columns["doc_row"].tolist()) == sorted({r["doc_row"] for r in own})
        groups = []
        for i, doc_row in enumerate(columns["doc_row"]):
            mine = [r for r in own if r["doc_row"] == doc_row]
            uses = sum(r["times_used"] for r in mine)
            last = mine[-1]
            fate = USED if uses else NOT_DRAWN if last["rule"] == "kept" else last["rule"]
            assert columns["fate"][i] == fate and columns["times_used"][i] == uses
            assert columns["source rank"][i] == last["rank"]
            assert columns["margin"][i] == pytest.approx(last["model_positive_score"] - last["model_score"], abs=1e-6)
            assert columns["hardness"][i] == ("" if fate == KNOWN else last["hardness"])
            assert columns["refreshes"][i] == len(mine)
            groups.append({USED: 0, NOT_DRAWN: 1, KNOWN: 3}.get(fate, 2))
        assert groups == sorted(groups)


def test_card_agrees_with_the_files_and_with_plain_ranks(mined, tiny_corpus, context, rows):
    cards = cards_of(mined, tiny_corpus, context)  # nothing in memory: the query's rows are read from the files
    used = next(r for r in rows if r["times_used"])
    query_row, doc_row = used["query_row"], used["doc_row"]
    card = cards.card(query_row, doc_row)
    own = [r for r in rows if (r["query_row"], r["doc_row"]) == (query_row, doc_row)]
    assert [m.step for m in card.history] == [r["step"] for r in own]
    assert card.times_used == sum(r["times_used"] for r in own)
    assert card.weight == pytest.approx(sum(r["times_used"] * r["weight"] for r in own) / card.times_used, rel=1e-5)
    for moment, row in zip(card.history, own, strict=True):
        refused = [rule for bit, rule in enumerate(rules_of_lanes(mined)[0]) if row["verdicts"] >> bit & 1]
        assert [rule for rule, passes in moment.verdicts.items() if not passes] == refused
    vectors = mined.snapshot(mined.snapshots()[-1])
    q, documents = vectors.queries[query_row].astype(np.float64), vectors.documents.astype(np.float64)
    scores = documents @ q / np.maximum(np.linalg.norm(documents, axis=1) * np.linalg.norm(q), 1e-12)
    last = card.sources[-1]
    assert last.name == "this trial" and last.score == pytest.approx(scores[doc_row], abs=1e-4)
    assert abs(last.rank - (1 + (scores > scores[doc_row]).sum())) <= 1  # half precision may swap neighbours
    positives = tiny_corpus.positives.positives(query_row)
    assert last.positive_score == pytest.approx(scores[positives].min(), abs=1e-4)
    assert last.margin == pytest.approx(last.positive_score - last.score)
    assert card.truth_grade == int(tiny_corpus.truth.grade_of(query_row, doc_row))
    assert f"trained against {'once' if card.times_used == 1 else f'{card.times_used} times'}" in card.fate


def test_card_of_a_positive_and_of_a_stranger(mined, tiny_corpus, context, table):
    cards = cards_of(mined, tiny_corpus, context, table)
    query_row = int(table.query_row[0])
    positive = int(tiny_corpus.positives.positives(query_row)[0])
    card = cards.card(query_row, positive)
    assert card.is_known_positive and not card.is_suspect and "never a negative" in card.fate
    seen = set(table.of_query(query_row).doc_row.tolist())
    strangers = [d for d in range(tiny_corpus.n_documents) if d not in seen and d != positive]
    if strangers:
        assert "No source" in cards.card(query_row, strangers[0]).fate


def test_lookup_ranks_as_the_model_does(tmp_path, tiny_folder, tiny_corpus, context):
    cards = cards_of(train(tmp_path / "t", tiny_folder, "in-batch"), tiny_corpus, context)
    query_row = int(tiny_corpus.split_query_rows("train")[0])
    columns = lookup_table(cards, query_row, k=20)
    assert columns["rank, this trial"].tolist() == list(range(1, 21))
    assert (np.diff(columns["score"]) <= 1e-6).all()
    pool = set(context.training_pairs[1].tolist())
    for doc_row, fate in zip(columns["doc_row"], columns["fate"], strict=True):
        is_known = doc_row in tiny_corpus.positives.positives(query_row)
        assert fate == (KNOWN if is_known else "in the batches' pool" if doc_row in pool else "never in a batch")
    given = lookup_table(cards, query_row, np.array([5, 3]))
    assert given["doc_row"].tolist() == [5, 3]
