"""What a person meets when something goes wrong: refresh, stop, a killed worker or server, many visitors."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from playwright.sync_api import expect

from tests.browser import steps
from tests.browser.harness import exceptions, goto, run_server, wait_idle

SAMPLE = "sample:lab"
# Long enough to be caught in the middle on a fast machine, short enough to be waited for on a slow one.
EPOCHS = 6
SAME = ("metrics", "untrained", "bm25", "truth_metrics", "weights", "steps")


def test_refreshed_stopped_and_killed_a_trial_ends_where_an_unbroken_one_ends(server, page):
    known = set(steps.trial_folders(server))
    (broken,) = steps.train(page, server, SAMPLE, "ance", epochs=EPOCHS, seed=3)
    before = _wait_for_step(page, server, broken, 5)
    with _held(server, broken):
        page.reload()
        steps.wait_until(page, lambda: steps.state(page, broken) == "running", "the trial is there after a refresh")
        assert set(steps.trial_folders(server)) - known == {broken}
        assert page.locator(f".st-key-trial-{broken}").count() == 1
    _wait_for_step(page, server, broken, before + 5)

    with _held(server, broken):
        steps.press(page, "Stop", waits=False)
        steps.wait_until(page, lambda: steps.state(page, broken) == "stopping", "the page says that it stops")
    steps.wait_for_state(page, broken, "stopped")
    wait_idle(page)
    stopped_at = steps.last_step(server, broken)
    assert f"step {stopped_at} of" in steps.row_text(page, broken)
    assert not (server.workspace / "trials" / broken / "result.json").exists()
    steps.press(page, "Go on", waits=False)

    _wait_for_step(page, server, broken, stopped_at + 1)
    killed = steps.worker(server, broken)
    assert killed is not None
    killed.kill()
    steps.wait_for_state(page, broken, "interrupted")
    expect(page.locator(f".st-key-trial-{broken}")).to_contain_text("vanished without a word")  # it stands below the state
    text = steps.row_text(page, broken)
    assert "Resume goes on" in text and str(killed.pid) in text
    goto(page, server)
    assert "interrupted" in page.locator("body").inner_text()
    goto(page, server, f"train?corpus={SAMPLE}&trial={broken}&recipes=ance&epochs={EPOCHS}&seed=3&queue=true")
    steps.press(page, "Go on", waits=False)
    steps.wait_until(page, lambda: steps.state(page, broken) in ("queued", "running"), "it goes on")
    (whole,) = steps.press_train(page, server, 1)
    steps.wait_for_state(page, broken, "finished")
    assert "vanished" not in steps.row_text(page, broken)
    steps.wait_for_state(page, whole, "finished")
    assert set(steps.trial_folders(server)) - known == {broken, whole}
    results = [steps.result(server, trial_id) for trial_id in (broken, whole)]
    assert [results[0][key] for key in SAME] == [results[1][key] for key in SAME]
    assert results[0]["steps"] == steps.last_step(server, broken)


def test_a_killed_server_loses_nothing(tmp_path, page, faults):
    """The worker goes on alone; the page comes back by itself; the queue goes on too."""
    with run_server(tmp_path / "workspace") as first:
        running, waiting = steps.train(page, first, SAMPLE, "ance,bm25", epochs=EPOCHS)
        _wait_for_step(page, first, running, 5)
        with _held(first, running):
            steps.wait_until(page, lambda: page.locator("[data-testid=stProgress]").count(), "the progress is shown")
            # What a page still has to fetch of Streamlit's own files when its server is away stays broken until it is opened anew.
            page.wait_for_load_state("networkidle")
            same_worker = steps.worker(first, running)
            faults.expect_outage()
            first.kill()
        assert same_worker is not None and same_worker.is_running()
        at_kill = steps.last_step(first, running)
        port = int(first.url.rsplit(":", 1)[1])
        with run_server(first.workspace, port) as second:
            steps.wait_for_state(page, running, "finished", 90)
            steps.wait_for_state(page, waiting, "finished", 90)
            assert steps.trial_folders(second) == [running, waiting]
            trained = [event["step"] for event in steps.events(second, running, "progress")]
            assert trained == sorted(trained) and at_kill < trained[-1], "it went on where it was"
            assert len([e for e in steps.events(second, running, "state") if e["state"] == "running"]) == 1, "it was not started again"


@contextmanager
def _held(server, trial_id: str) -> Iterator[None]:
    """The worker stands still meanwhile: on a fast machine it would be ready before the page was there again."""
    process = steps.worker(server, trial_id)
    assert process is not None
    process.suspend()
    try:
        yield
    finally:
        process.resume()


def _wait_for_step(page, server, trial_id: str, step: int) -> int:
    """The step that the trial has reached, at least ``step``, while it still trains."""
    steps.wait_until(page, lambda: steps.last_step(server, trial_id) >= step, f"{trial_id} has reached step {step}")
    assert not (server.workspace / "trials" / trial_id / "result.json").exists(), "it was finished before it could be disturbed"
    return steps.last_step(server, trial_id)


# Several people -------------------------------------------------------------------------------------------
def test_two_tabs_do_not_disturb_each_other(server, page, faults):
    """Each tab keeps its own corpus, recipe and view; a trial queued in one appears in the other."""
    other = page.context.new_page()
    faults.watch(other)
    goto(page, server, f"train?corpus={SAMPLE}&recipes=bm25&epochs=1&queue=true")
    goto(other, server, f"recipe?corpus={SAMPLE}&recipe=nv-retriever&view=gallery")
    addresses = [page.url, other.url]
    other.reload()
    wait_idle(other)
    assert [page.url, other.url] == addresses
    expect(other.get_by_role("heading", level=1)).to_contain_text("NV-Retriever")
    (trial,) = steps.press_train(page, server, 1)
    goto(other, server, f"train?corpus={SAMPLE}")
    steps.wait_until(other, lambda: steps.state(other, trial), "the other tab shows the trial")
    steps.wait_for_state(page, trial, "finished")
    steps.wait_for_state(other, trial, "finished")
    assert "measure=" not in page.url and not exceptions(other)


N_VISITORS = 6


def test_a_class_of_visitors_at_once(fresh_server, browser, faults):
    """Six browsers open Home, then Train: each gets its page, and the slowest within a few seconds on an idle machine."""
    with ExitStack() as stack:
        visitors = []
        for _ in range(N_VISITORS):
            context = browser.new_context(viewport={"width": 1200, "height": 800})
            stack.callback(context.close)
            visitors.append(context.new_page())
            faults.watch(visitors[-1])
        for path, heading in (("", "retriever"), (f"train?corpus={SAMPLE}", "Train")):
            started = time.monotonic()
            for visitor in visitors:
                visitor.goto(f"{fresh_server.url}/{path}", wait_until="commit")
            for visitor in visitors:
                wait_idle(visitor)
                expect(visitor.get_by_role("heading", level=1)).to_contain_text(heading)
                assert not exceptions(visitor)
            took = time.monotonic() - started
            print(f"{N_VISITORS} visitors, {path or 'home'}: {took:.1f} s")
            assert took < 40, f"{N_VISITORS} visitors waited {took:.0f} s for {path or 'home'}"
    assert list(faults) == []


