"""The main journey as a person goes it: sample, three trainings, curves, map, why-card, comparison; and links into it."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from playwright.sync_api import expect

from core.cli import main
from core.evaluate.metrics import MEASURES
from tests.browser import steps
from tests.browser.harness import Server, click_button, goto, run_server, wait_idle

SAMPLE = "sample:lab"
EPOCHS = 24
CARD = "[role=dialog]"


def test_sample_to_comparison(fresh_server, page):
    """One visit, nothing typed into the address bar after the first page."""
    goto(page, fresh_server)
    click_button(page, "Try the sample")
    assert steps.link_value(page, "corpus") == SAMPLE
    expect(page.get_by_role("heading", name="lab", exact=True)).to_be_visible()
    steps.press(page, "Choose a recipe")
    page.get_by_role("link", name="Train").click()
    wait_idle(page)
    epochs = page.get_by_role("spinbutton", name="Epochs")
    epochs.fill(str(EPOCHS))  # long enough that a page which asks once a second sees the curves grow
    epochs.press("Enter")
    wait_idle(page)
    ids = steps.press_train(page, fresh_server, 3)
    _watch(page, ids)
    _curves_are_those_of(page, fresh_server, ids)
    _compare(page, fresh_server, ids)
    _map(page, ids)
    _why_from_the_table(page, ids)


def _watch(page, ids) -> None:
    """The curves grow before the last trial has ended; in the end all are finished."""
    seen: list[int] = []

    def all_finished() -> bool:
        n_points = sum(len(trace["x"]) for trace in steps.chart(page, "curves"))
        states = [steps.state(page, trial_id) for trial_id in ids]
        assert not {"failed", "interrupted", "stopped"} & set(states), states
        if "finished" not in states[2:] and n_points and (not seen or n_points != seen[-1]):
            seen.append(n_points)
        return states == ["finished"] * 3

    steps.wait_until(page, all_finished, "three trials are finished", 120)
    assert len(seen) >= 3 and seen == sorted(seen), f"points on the curves while the last trial waited or ran: {seen}"


def _curves_are_those_of(page, server, ids) -> None:
    wait_idle(page)
    traces = steps.chart(page, "curves")
    assert len(traces) == 3
    for trace, trial_id in zip(traces, ids, strict=True):
        evaluations = steps.events(server, trial_id, "evaluation")
        assert trace["x"] == [e["step"] for e in evaluations] and len(trace["x"]) == EPOCHS + 1
        assert trace["y"] == pytest.approx([e["metrics"]["RR@10"] for e in evaluations])


def _compare(page, server, ids) -> None:
    """The table's figures are those in the trials' folders, wins and losses add up, two ranked lists stand side by side."""
    steps.press(page, "Compare 3 finished trials")
    _, rows = steps.grid_with(page, *MEASURES)
    for row, trial_id in zip(rows, ids, strict=False):
        result = steps.result(server, trial_id)
        assert {m: float(row[m]) for m in MEASURES} == pytest.approx(result["metrics"])
    named = {row[""]: row for row in rows[3:]}
    for name, key in (("untrained", "untrained"), ("BM25", "bm25")):
        assert {m: float(named[name][m]) for m in MEASURES} == pytest.approx(result[key])
    _, tallies = steps.grid_with(page, "B wins", "A wins", "ties")
    assert [t["measure"] for t in tallies] == list(MEASURES)
    n = result["n_test_queries"]
    assert {sum(int(t[c]) for c in ("B wins", "A wins", "ties")) for t in tallies} == {n}
    difference = float(rows[1]["RR@10"]) - float(rows[0]["RR@10"])
    assert float(tallies[0]["mean of B - A"]) == pytest.approx(difference, abs=1e-6)
    grid, changed = steps.grid_with(page, "query", "B - A")
    steps.pick_row(page, grid, 1)
    assert changed[1]["query"] in page.locator("body").inner_text()
    assert steps.link_value(page, "query")
    for column in ("in A", "in B"):
        _, ranked = steps.grid_with(page, "rank", "document", column)
        assert [int(row["rank"]) for row in ranked] == list(range(1, 11))


def _map(page, ids) -> None:
    """Points and a query's lines are drawn; a lasso fills a table."""
    page.get_by_role("link", name="Train").click()
    wait_idle(page)
    row = page.locator(f".st-key-trial-{ids[2]}")
    row.get_by_role("link", name="Map").click()
    wait_idle(page)
    traces = steps.wait_until(page, lambda: steps.chart(page, "map-plane"), "the map is drawn", 60)
    named = {trace["name"].split(" (")[0]: trace for trace in traces}
    assert {"background", "this query", "negatives of this query", "positives of this query"} <= set(named)
    drawn = sum(len(trace["ids"]) for trace in traces)
    assert drawn >= 1000 and len(named["negatives of this query"]["ids"]) >= 5
    lines = [trace for trace in traces if not trace["ids"] and trace["x"]]
    # A line from the query to each negative and positive: two ends and a gap.
    assert sum(len(trace["x"]) for trace in lines) >= 3 * len(named["negatives of this query"]["ids"])
    assert {trace["x"][0] for trace in lines} == {named["this query"]["x"][0]}
    page.get_by_role("button", name="Lasso").or_(page.get_by_role("radio", name="Lasso")).first.click()
    wait_idle(page)
    steps.lasso(page, "map-plane")
    _, picked = steps.grid_with(page, "role", "rank", "text", "id")
    n_picked = int(page.get_by_text("points selected").inner_text().split()[0].replace(",", ""))
    assert 100 <= n_picked < drawn and {"● positive", "✕ negative"} & {row["role"] for row in picked}
    ranks = [int(row["rank"]) for row in picked if row["rank"].isdigit()]
    assert ranks == sorted(ranks), "the closest to the query come first"


def _why_from_the_table(page, ids) -> None:
    """A ticked row opens the card of that very document: its text, rank, score, rule and uses."""
    page.get_by_role("link", name="Negatives").first.click()
    wait_idle(page)
    assert steps.link_value(page, "trial") == ids[2]
    grid, rows = steps.grid_with(page, "fate", "document", "s-", "s+", "margin", "weight", "used")
    assert len(rows) >= 10 and any("used" in row["fate"] for row in rows)
    for row in rows:
        assert float(row["margin"]) == pytest.approx(float(row["s+"]) - float(row["s-"]), abs=1e-5)
    steps.pick_row(page, grid, 1)
    card = page.locator(CARD)
    expect(card).to_contain_text("Why this document?")
    expect(card).to_contain_text(rows[1]["document"].split(" ")[0])
    expect(card).to_contain_text(steps.link_value(page, "doc"))
    for part in ("Positive", "Candidate", "Each time that it was looked at"):
        expect(card).to_contain_text(part)
    if int(rows[1]["used"]):
        expect(card).to_contain_text(f"used {rows[1]['used']} x")
    tables = [cell for table in steps.grids(page) for line in table for cell in line]
    assert {"decided", "source", "rules against it"} <= set(tables)


# Deep links ---------------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def trained(tmp_path_factory, tiny_folder) -> Iterator[tuple[Server, list[str], str]]:
    """A server on a workspace in which the command line has trained two trials of the tiny corpus: (server, ids, fingerprint)."""
    workspace = tmp_path_factory.mktemp("linked") / "workspace"
    command = ["train", str(tiny_folder), "--epochs", "4", "--workspace", str(workspace)]
    assert [main([*command, "--recipe", recipe]) for recipe in ("bm25", "ance")] == [0, 0]
    folders = sorted(workspace.glob("trials/*/trial.json"))
    about = json.loads(folders[0].read_text(encoding="utf-8"))
    with run_server(workspace) as server:
        yield server, [path.parent.name for path in folders], about["config"]["corpus_fingerprint"]


QUERY = "how often should I feed my sourdough starter"
HELD_OUT = "is a long nap bad"
LINKS = {
    "corpus?corpus={corpus}&query=train-1": (QUERY, "Feeding a sourdough starter"),
    "recipe?corpus={corpus}&recipe=bm25&query=train-1": ("BM25",),
    "train?corpus={corpus}&trial={trial}&trials={trials}": ("finished", "Compare 2 finished trials"),
    "map?trial={trial}&query=train-1": (QUERY,),
    "negatives?trial={trial}&query=train-1&doc=bread-2": (QUERY, "Why this document?", "Why a loaf does not rise"),
    "compare?trials={trials}&query=test-6": (HELD_OUT, "The two ranked lists of one query"),
}


@pytest.mark.parametrize("link", LINKS, ids=lambda link: link.split("?")[0])
def test_deep_link_with_trial_and_query(link, trained, page):
    """In a browser that has seen no other page, each page opens on what its link names."""
    server, ids, fingerprint = trained
    goto(page, server, link.format(corpus=fingerprint, trial=ids[0], trials=",".join(ids)))
    text = steps.text_of(page)
    assert [part for part in LINKS[link] if part not in text] == []
    assert page.locator("[data-testid=stAlertContentError]").count() == 0
    assert "link_off" not in text, "a part of the link was dropped"
