"""From a negative on the map to a better model: card, verdict, queue, retraining, comparison; and a peer's mined set without training."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from core.lab.store import Store
from core.lab.verdicts import Verdict, Verdicts
from core.lab.workspace import Workspace
from tests.browser import steps
from tests.browser.harness import ROOT, Server, goto, run_server, wait_idle

CARD = "[role=dialog]"


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, tiny_folder: Path, tiny_corpus):
    """A server on a workspace with one trial of the tiny corpus, trained from the command line, and the trial's id."""
    workspace = tmp_path_factory.mktemp("suspects") / "workspace"
    command = [sys.executable, "-m", "core.cli", "train", str(tiny_folder), "--recipe", "ance", "--epochs", "4"]
    env = os.environ | {"PYTHONPATH": str(ROOT)}
    subprocess.run([*command, "--workspace", str(workspace)], cwd=ROOT, env=env, check=True, capture_output=True, timeout=120)
    (trial,) = [path.parent.name for path in workspace.glob("trials/*/trial.json")]
    with run_server(workspace) as server:
        yield server, trial


def verdicts(server: Server, fingerprint: str) -> list[Verdict]:
    store = Store(Workspace(server.workspace))
    found = Verdicts(store).list(fingerprint)
    store.close()
    return found


def close_card(page: Page) -> None:
    page.keyboard.press("Escape")
    expect(page.locator(CARD)).to_have_count(0)
    wait_idle(page)


def test_from_a_suspect_on_the_map_to_the_comparison(trained, tiny_corpus, page: Page):
    server, trial = trained
    goto(page, server, f"map?trial={trial}")
    for _ in range(5):  # a suspect may lie right on the positive that it resembles
        steps.press(page, "With suspects")
        traces = steps.wait_until(page, lambda: steps.chart(page, "map-plane"), "the map is drawn", 60)
        name = next(t["name"] for t in traces if t["name"].startswith("suspects of this query"))
        if steps.has_free_point(page, "map-plane", name):
            break
    doc_id = steps.click_point(page, "map-plane", name).removeprefix("d:")
    card = page.locator(CARD)
    expect(card).to_contain_text(doc_id, timeout=30_000)
    wait_idle(page)
    assert steps.link_value(page, "doc") == doc_id
    query_id = steps.link_value(page, "query")
    for part in ("Positive", "Candidate", "the sum over its", "Who else took it", "Reasons to doubt it"):
        expect(card).to_contain_text(part)
    _judge_on_the_card(page, server, tiny_corpus.fingerprint, (query_id, doc_id))
    close_card(page)
    assert steps.link_value(page, "doc") == ""
    _judge_in_the_queue(page, server, tiny_corpus.fingerprint)
    _retrain_and_compare(page, server, trial)


def _judge_on_the_card(page: Page, server: Server, fingerprint: str, pair: tuple[str, str]) -> None:
    card = page.locator(CARD)
    card.get_by_label("Your name, to judge it").fill("ann")
    card.get_by_label("Your name, to judge it").press("Enter")
    wait_idle(page)
    card.get_by_role("button", name=re.compile("False negative$")).click()
    wait_idle(page)
    expect(card).to_contain_text("you, ")
    [verdict] = verdicts(server, fingerprint)
    assert (verdict.pair, verdict.judge, verdict.kind) == (pair, "ann", "false-negative")


def _judge_in_the_queue(page: Page, server: Server, fingerprint: str) -> None:
    """The Suspects page shows the verdict; its queue asks under the same name, and not for this pair again."""
    page.get_by_role("link", name="Suspects").first.click()
    wait_idle(page)
    grid, rows = steps.grid_with(page, "query", "document", "doubt", "harm", "judged")
    assert page.get_by_test_id("stMetric").filter(has_text="Verdicts").inner_text().split()[-1] == "1"
    doubts = [float(row["doubt"]) for row in rows]
    assert all(0.5 <= doubt <= 1 for doubt in doubts), "only suspects are listed at first"
    steps.pick_row(page, grid, 0)
    expect(page.locator(CARD)).to_contain_text(steps.link_value(page, "doc"))
    close_card(page)
    steps.press(page, "Judge these")
    expect(page.get_by_role("heading", name="Judge", exact=True)).to_be_visible()
    steps.wait_until(page, lambda: page.locator("[class*=st-key-judge-unsure]").count(), "a pair is asked for", 30)
    page.keyboard.press("2")
    steps.wait_until(page, lambda: len(verdicts(server, fingerprint)) == 2, "the second verdict is saved", 20)
    wait_idle(page)
    assert {verdict.judge for verdict in verdicts(server, fingerprint)} == {"ann"}


def _retrain_and_compare(page: Page, server: Server, trial: str) -> None:
    page.get_by_role("button", name=re.compile("Retrain with verdicts")).first.click()
    wait_idle(page)
    steps.press(page, "Train again", waits=False)

    def child() -> str:
        return next((i for i in steps.trial_folders(server) if i != trial and steps.state(page, i)), "")

    retrained = steps.wait_until(page, child, "the retrained trial stands on the Train page", 30)
    steps.wait_for_state(page, retrained, "finished", 120)
    about = json.loads((server.workspace / "trials" / retrained / "trial.json").read_text(encoding="utf-8"))["config"]
    assert about["like"] == trial and about["verdicts"]
    goto(page, server, f"compare?trials={trial},{retrained}")
    expect(page.get_by_role("heading", name="What the verdicts changed")).to_be_visible()
    text = steps.text_of(page)
    assert "Judged by the labels" in text and "Judged by the truth" in text and "1 false negative" in text


def test_a_peers_mined_set_opens_and_gets_reasons_without_training(page: Page, fresh_server):
    """Triplets as sentence-transformers' mine_hard_negatives writes them, loaded by hand, looked at on the Negatives page."""
    colours = (("lemon", "yellow"), ("cherry", "red"), ("lime", "green"), ("plum", "blue"))
    rows = [{"query": f"what colour is a {n}", "answer": f"A {n} is {c}.", "negative": f"The {n} has the colour {c}."} for n, c in colours]
    rows.append({"query": "what colour is a lemon", "answer": "A lemon is yellow.", "negative": "Steel rusts when it is wet."})
    content = "".join(json.dumps(row) + "\n" for row in rows).encode()
    goto(page, fresh_server, "corpus?way=table")
    page.locator("input[type=file]").first.set_input_files(
        [{"name": "mined.jsonl", "mimeType": "application/json", "buffer": content}]  # type: ignore[arg-type]
    )
    expect(page.get_by_role("button", name=re.compile("Make a corpus of it"))).to_be_visible(timeout=30_000)
    wait_idle(page)
    steps.press(page, "Make a corpus of it")
    page.get_by_role("link", name="Negatives").first.click()
    wait_idle(page)
    grid, listed = steps.grid_with(page, "Rank", "Document", "Said of it", "Doubt", "Reasons")
    assert all(0 <= float(row["Doubt"]) <= 1 for row in listed)
    steps.pick_row(page, grid, 0)
    card = page.locator(CARD)
    expect(card).to_contain_text("The imported set gives it as a negative of this query", timeout=30_000)
    wait_idle(page)
    expect(card).to_contain_text("Reasons to doubt it")
    close_card(page)
    steps.press(page, f"All {_n_suspects(page)} suspects of this set")
    expect(page.get_by_role("heading", name="Suspects", exact=True)).to_be_visible()
    assert steps.link_value(page, "source") in ("", "imported")
    assert not list((fresh_server.workspace / "trials").glob("*/trial.json")), "nothing was trained"


def _n_suspects(page: Page) -> str:
    label = page.get_by_role("button", name=re.compile("suspects of this set")).first.inner_text()
    return re.search(r"All ([\d,]+) suspects", label).group(1)
