"""What a person does and reads in the pages: tables, charts, trials; each waits for a condition, never for a time."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import psutil
from playwright.sync_api import Locator, Page, expect

from tests.browser.harness import Server, goto, wait_idle

FREE_PIXELS = 14
GRID = "[data-testid=stDataFrame]"
ROW_PIXELS, BOX_PIXELS = 35, 15
POLL_MS = 200
ENDS = ("finished", "failed", "stopped", "interrupted")
STATES = ("queued", "running", "stopping", *ENDS)
# A table is a picture; what it holds stands in a table inside it that is meant for screen readers.
_READ_GRID = """root => [...root.querySelectorAll('canvas table tr')].map(
    row => [...row.querySelectorAll('th, td')].map(cell => cell.textContent))"""
_READ_CHART = """root => (root._fullData || []).filter(trace => trace.visible === true).map(trace => ({
    name: trace.name, x: Array.from(trace.x || []), y: Array.from(trace.y || []),
    ids: Array.from(trace.customdata || [], data => data === null ? null : String(data[0]))}))"""
# The points of one trace in the window's pixels, each with the distance to the next point of any trace.
_PLACES = """(root, name) => {
    const {xaxis, yaxis} = root._fullLayout, box = root.getBoundingClientRect(), places = [];
    for (const trace of root._fullData)
        if (trace.visible === true && trace.customdata)
            Array.from(trace.x).forEach((x, i) => places.push({name: trace.name, id: String(trace.customdata[i][0]),
                x: box.x + xaxis._offset + xaxis.c2p(x), y: box.y + yaxis._offset + yaxis.c2p(trace.y[i])}));
    const alone = a => Math.min(...places.filter(b => b !== a).map(b => Math.hypot(a.x - b.x, a.y - b.y)));
    return places.filter(a => a.name === name).map(a => ({...a, alone: alone(a)})); }"""
_PLOT_BOX = """root => { const {xaxis, yaxis} = root._fullLayout, box = root.getBoundingClientRect();
    return [box.x + xaxis._offset, box.y + yaxis._offset, xaxis._length, yaxis._length]; }"""


def wait_until(page: Page, condition: Callable[[], Any], what: str, seconds: float = 60.0) -> Any:
    """The first true value of ``condition``; the page goes on meanwhile. Fails after ``seconds``, saying ``what``."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = condition()
        if found:
            return found
        page.wait_for_timeout(POLL_MS)
    raise AssertionError(f"Not within {seconds:.0f} s: {what}")


def text_of(page: Page) -> str:
    """All text of the page, tables too, without what only scripts see."""
    cells = [cell for grid in grids(page) for row in grid for cell in row.values()]
    return "\n".join([page.locator("body").inner_text(), *cells])


# Tables -------------------------------------------------------------------------------------------
def grids(page: Page) -> list[list[dict[str, str]]]:
    """Every table of the page that is drawn, as rows of column -> text."""
    return [_rows(grid) for grid in page.locator(GRID).all()]


def grid_with(page: Page, *columns: str) -> tuple[Locator, list[dict[str, str]]]:
    """The first table that has these columns, and its rows; waits until it is drawn."""

    def find():
        for grid in page.locator(GRID).all():
            rows = _rows(grid)
            if rows and set(columns) <= set(rows[0]):
                return grid, rows
        return None

    return wait_until(page, find, f"a table with {', '.join(columns)}", 15)


def pick_row(page: Page, grid: Locator, row: int) -> None:
    """Tick the box left of the row (counted from 0; it must not need scrolling inside the table)."""
    grid.scroll_into_view_if_needed()
    box = grid.bounding_box()
    assert box is not None
    page.mouse.click(box["x"] + BOX_PIXELS, box["y"] + ROW_PIXELS * (row + 1.5))
    wait_idle(page)


def _rows(grid: Locator) -> list[dict[str, str]]:
    lines = grid.evaluate(_READ_GRID)
    return [dict(zip(lines[0], line, strict=False)) for line in lines[1:]] if lines else []


# Charts -------------------------------------------------------------------------------------------
def chart(page: Page, key: str) -> list[dict[str, Any]]:
    """The visible traces of a chart as it is drawn: name, x, y, ids; [] while it is not."""
    plot = page.locator(f".st-key-{key} .js-plotly-plot")
    return plot.first.evaluate(_READ_CHART) if plot.count() else []


def has_free_point(page: Page, key: str, name: str) -> bool:
    """Whether a point of that trace can be hit: no other point lies on it."""
    plot = page.locator(f".st-key-{key} .js-plotly-plot").first
    return max(place["alone"] for place in plot.evaluate(_PLACES, name)) >= FREE_PIXELS


def click_point(page: Page, key: str, name: str) -> str:
    """Click the point of that trace that stands most alone (what lies under another cannot be hit); what it carries."""
    plot = page.locator(f".st-key-{key} .js-plotly-plot").first
    plot.scroll_into_view_if_needed()
    place = max(plot.evaluate(_PLACES, name), key=lambda place: place["alone"])
    page.mouse.move(place["x"] + 30, place["y"] + 30)
    page.mouse.move(place["x"], place["y"], steps=4)
    # A chart takes a click for the point whose label it shows, and the label follows the pointer with a delay: a click that
    # comes before it hits the point that was labelled on the way.
    label = plot.locator(".hoverlayer .hovertext", has_text=place["id"].split(":", 1)[-1])
    wait_until(page, label.count, "the point's own label is shown", 10)
    page.mouse.click(place["x"], place["y"])
    return place["id"]


def lasso(page: Page, key: str, share: float = 0.75) -> None:
    """Draw round the middle ``share`` of the chart's plane with the pointer that is switched on."""
    plot = page.locator(f".st-key-{key} .js-plotly-plot").first
    plot.scroll_into_view_if_needed()
    left, top, width, height = plot.evaluate(_PLOT_BOX)
    a, b = (1 - share) / 2, (1 + share) / 2
    corners = [(left + width * x, top + height * y) for x, y in ((a, a), (b, a), (b, b), (a, b), (a, a))]
    page.mouse.move(*corners[0])
    page.mouse.down()
    for corner in corners[1:]:
        page.mouse.move(*corner, steps=8)
    page.mouse.up()
    wait_idle(page)


# Trials -------------------------------------------------------------------------------------------
def train(page: Page, server: Server, corpus: str, recipes: str, **settings: object) -> list[str]:
    """Queue trials by the form of the Train page, opened by its link; the ids of the new ones, oldest first."""
    goto(page, server, "train?" + urlencode({"corpus": corpus, "recipes": recipes, "queue": "true", **settings}))
    return press_train(page, server, len(recipes.split(",")))


def press_train(page: Page, server: Server, n: int) -> list[str]:
    """Press the form's button and wait for the rows of the n new trials; their ids, oldest first."""
    before = set(trial_folders(server))
    press(page, f"Train {n} trials" if n > 1 else "Train", waits=False)

    def new() -> list[str]:
        found = [trial_id for trial_id in trial_folders(server) if trial_id not in before]
        return found if len(found) == n and all(state(page, i) for i in found) else []

    return wait_until(page, new, f"{n} new trials stand on the page", 30)


def press(page: Page, label: str, *, waits: bool = True) -> None:
    """Press the button of this label, whatever icon stands before it, and wait until the script has run.

    ``waits=False`` where the page redraws itself all the time: there is nothing to wait for but what it shows.
    """
    button = page.get_by_role("button", name=re.compile(rf"(^|\s){re.escape(label)}$")).first
    expect(button).to_be_enabled()
    button.click()
    if waits:
        wait_idle(page)


def trial_folders(server: Server) -> list[str]:
    """The ids of the workspace's trials, oldest first (ids begin with the time)."""
    trials = server.workspace / "trials"
    return sorted(folder.name for folder in trials.iterdir() if (folder / "trial.json").is_file()) if trials.is_dir() else []


def state(page: Page, trial_id: str) -> str:
    """What the Train page calls the trial's state now; "" while its row is not there or between two drawings."""
    badges = page.locator(f".st-key-trial-{trial_id} [data-testid=stMarkdownBadge], .st-key-trial-{trial_id} .stMarkdownBadge")
    words = badges.first.inner_text().split() if badges.count() else []
    return next((word for word in words if word in STATES), "")


def row_text(page: Page, trial_id: str) -> str:
    """Everything that stands in the trial's row of the Train page."""
    return page.locator(f".st-key-trial-{trial_id}").inner_text()


def wait_for_state(page: Page, trial_id: str, wanted: str, seconds: float = 60.0) -> None:
    """Wait until the page says that the trial is in the state; an end of another kind fails at once."""

    def arrived() -> bool:
        now = state(page, trial_id)
        assert now == wanted or now not in ENDS or now in left_behind, f"{trial_id} is {now}: {row_text(page, trial_id)}"
        return now == wanted

    left_behind = {state(page, trial_id)}  # a trial that goes on may be shown in its old state for a moment
    wait_until(page, arrived, f"{trial_id} is {wanted}", seconds)


def events(server: Server, trial_id: str, kind: str) -> list[dict[str, Any]]:
    """What the trial wrote of that kind so far."""
    path = server.workspace / "trials" / trial_id / "events.jsonl"
    lines = path.read_bytes().split(b"\n")[:-1] if path.is_file() else []
    return [event for event in map(json.loads, lines) if event["kind"] == kind]


def last_step(server: Server, trial_id: str) -> int:
    return max((event["step"] for event in events(server, trial_id, "progress")), default=0)


def result(server: Server, trial_id: str) -> dict[str, Any]:
    return json.loads((server.workspace / "trials" / trial_id / "result.json").read_text(encoding="utf-8"))


def worker(server: Server, trial_id: str) -> psutil.Process | None:
    """The process that trains the trial, as it says itself."""
    path: Path = server.workspace / "trials" / trial_id / "worker.json"
    try:
        return psutil.Process(json.loads(path.read_text(encoding="utf-8"))["pid"])
    except (FileNotFoundError, json.JSONDecodeError, psutil.NoSuchProcess):
        return None


# Corpora and links --------------------------------------------------------------------------------
def upload(page: Page, server: Server, files: dict[str, bytes], name: str = "") -> None:
    """Give the files to the Corpus page and press Load."""
    goto(page, server, "corpus?way=upload")
    buffers = [{"name": file, "mimeType": "application/octet-stream", "buffer": content} for file, content in files.items()]
    page.locator("input[type=file]").set_input_files(buffers)  # type: ignore[arg-type]
    wait_until(page, page.get_by_role("button", name=re.compile("Load the corpus")).is_enabled, "the files are there", 20)
    wait_idle(page)
    if name:
        page.get_by_label("Name").fill(name)
        page.get_by_label("Name").press("Enter")
        wait_idle(page)
    press(page, "Load the corpus")


def link_value(page: Page, name: str) -> str:
    """One value of the page's address, "" without it."""
    return parse_qs(urlsplit(page.url).query).get(name, [""])[0]
