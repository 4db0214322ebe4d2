"""Fixtures of the browser tests: a server for the session, a fresh one, and a page that reports what went wrong."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from tests.browser.harness import BROWSER_FLAGS, Faults, Server, chromium_path, exceptions, run_server

HERE = Path(__file__).resolve().parent
FAILURES = HERE / ".failures"
WIDTH, HEIGHT = 1400, 900
FAILED = pytest.StashKey[bool]()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.browser)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item):
    report = yield
    if report.when == "call":
        item.stash[FAILED] = report.failed
    return report


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=chromium_path(), headless=True, args=list(BROWSER_FLAGS))
        yield running
        running.close()


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server for all tests that do not mind each other."""
    with run_server(tmp_path_factory.mktemp("served") / "workspace") as running:
        yield running


@pytest.fixture
def serve() -> Iterator[Callable[[Path], Server]]:
    """Starts servers that end after the test's page is closed: a page whose server goes away logs errors."""
    with ExitStack() as stack:
        yield lambda workspace: stack.enter_context(run_server(workspace))


@pytest.fixture
def fresh_server(tmp_path: Path, serve: Callable[[Path], Server]) -> Server:
    """A server that nobody has visited, with an empty workspace."""
    return serve(tmp_path / "workspace")


@pytest.fixture
def faults() -> Faults:
    """What went wrong in the page; `faults.expect("text")` or `faults.expect_outage()` before breaking something."""
    return Faults()


@pytest.fixture
def page(browser: Browser, faults: Faults, serve: object, request: pytest.FixtureRequest) -> Iterator[Page]:
    """A page of its own context; the test fails on any exception shown or console error that it leaves behind.

    ``serve`` is asked for so that the page is closed first.
    """
    # Spinners and fades are drawn without end while a page waits, which costs more than what it waits for.
    context = browser.new_context(viewport={"width": WIDTH, "height": HEIGHT}, reduced_motion="reduce")
    opened = context.new_page()
    faults.watch(opened)
    yield opened
    found = exceptions(opened) + list(faults)
    if found or request.node.stash.get(FAILED, False):
        FAILURES.mkdir(exist_ok=True)
        opened.screenshot(path=FAILURES / f"{re.sub(r'[^A-Za-z0-9_-]+', '-', request.node.name)}.png", full_page=True)
    context.close()
    assert found == [], "the page showed or logged errors"
