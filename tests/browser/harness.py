"""A fresh server as a user starts it, and a browser page that knows when Streamlit has finished."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from urllib.parse import urlsplit

import psutil
from playwright.sync_api import ConsoleMessage, Page, Request, expect
from playwright.sync_api import TimeoutError as NotInTime

ROOT = Path(__file__).resolve().parents[2]
START_SECONDS, IDLE_SECONDS, QUIET_SECONDS, POLL_SECONDS, GRACE_SECONDS = 60.0, 60.0, 0.4, 0.05, 5.0
BROWSER_FLAGS = (
    "--no-sandbox",  # root in a container has no user namespaces
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
# What a page logs while its server is away.
OUTAGE = (
    "WebSocket", "net::ERR_", "when disconnected from server", "Unable to preload CSS", "dynamically imported module",
    "reaching server endpoint", "server is not responding",
)  # fmt: skip
# Console errors that say nothing about the product, as patterns; add one only with its reason.
HARMLESS = (
    # On a deep link Streamlit's page tries each part of the path as the server's base before it takes the root.
    r"404 .*://[^/]+/.+/_stcore/(health|host-config)\)",
)
# Parts of an earlier run, and the grey shapes that stand where charts and tables are still being fetched.
UNFINISHED = "[data-stale=true], [data-testid=stSkeleton]"
READY = "[data-testid=stApp][data-test-script-state=notRunning][data-test-connection-state=CONNECTED]"
# The page watches itself: asking it from outside every few milliseconds costs more than what it does meanwhile. Each wait (visit)
# counts its quiet time anew, for a click may not have begun to run yet.
VISITS = count()
_IS_IDLE = """({ready, unfinished, quiet, visit}) => {
    const isReady = document.querySelectorAll(ready).length === 1 && !document.querySelector(unfinished);
    const before = window.testIdle, since = before && before.visit === visit ? before.since : null;
    window.testIdle = {visit, since: isReady ? since ?? performance.now() : null};
    return isReady && performance.now() - window.testIdle.since >= quiet; }"""


def chromium_path() -> str:
    """The Chromium or Chrome to drive, found as `make test` finds it; raises RuntimeError when there is none."""
    known = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
    for name in (os.environ.get("CHROMIUM"), *known):
        found = shutil.which(name) if name else None
        if found:
            return found
    raise RuntimeError("No Chromium found: install one or name it with CHROMIUM=/path/to/chromium.")


@dataclass
class Server:
    """A running server: where it answers, what it keeps, what it printed."""

    url: str
    workspace: Path
    log: Path
    process: subprocess.Popen = field(repr=False)

    def kill(self) -> None:
        """End the server at once, as `kill -9` would; its workers go on."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(GRACE_SECONDS)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextmanager
def run_server(workspace: Path, port: int | None = None) -> Iterator[Server]:
    """A server on ``workspace``; on leaving, it and the workers it left there are ended.

    The same workspace may be served again (restart), also on the same port. Raises RuntimeError with the server's
    own output when it does not answer within a minute.
    """
    port = port or free_port()
    workspace.mkdir(parents=True, exist_ok=True)
    log = workspace.parent / f"{workspace.name}-server-{port}.log"
    # As a user's shell: without the thread limits that the tests set for themselves.
    env = {name: value for name, value in os.environ.items() if not name.endswith("_NUM_THREADS")}
    command = [sys.executable, "-m", "core.cli", "serve", "--port", str(port), "--workspace", str(workspace)]
    with log.open("ab") as out:
        process = subprocess.Popen(
            command, cwd=ROOT, env=env, stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True
        )
    server = Server(f"http://127.0.0.1:{port}", workspace, log, process)
    try:
        _wait_until_healthy(server)
        yield server
    finally:
        _end(server)


def _wait_until_healthy(server: Server) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and server.process.poll() is None:
        try:
            with urllib.request.urlopen(f"{server.url}/_stcore/health", timeout=2) as answer:
                if answer.status == 200:
                    return
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            time.sleep(0.1)
    raise RuntimeError(f"The server did not answer. It printed:\n{server.log.read_text(errors='replace')[-4000:]}")


def _end(server: Server) -> None:
    """Ask the server to end, then make it; then end every worker that still names this workspace."""
    if server.process.poll() is None:
        os.killpg(server.process.pid, signal.SIGTERM)
        try:
            server.process.wait(GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            server.kill()
    with suppress(ProcessLookupError):
        os.killpg(server.process.pid, signal.SIGKILL)  # what the command started and left behind
    # Workers have sessions of their own, so that they outlive the server; the folder is only this test's.
    for process in psutil.process_iter(["cmdline"]):
        if any(str(server.workspace) in word for word in process.info["cmdline"] or ()):
            try:
                process.kill()
            except psutil.NoSuchProcess:
                continue


class Faults(list):
    """What went wrong in a page: console errors, uncaught exceptions, requests to other hosts (a laboratory for
    private texts calls nobody), less the harmless and the expected."""

    def __init__(self) -> None:
        super().__init__()
        self.expected: list[str] = []

    def expect(self, text: str) -> None:
        """From now on a console error that holds ``text`` is no fault: for tests that break something on purpose."""
        self.expected.append(text)

    def expect_outage(self) -> None:
        """From now on the server may go away: for tests that kill or restart it."""
        self.expected.extend(OUTAGE)

    def watch(self, page: Page) -> None:
        page.on("console", self._console)
        page.on("request", self._request)
        page.on("pageerror", lambda error: self._add(f"uncaught: {error}"))

    def _console(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self._add(f"console: {message.text} ({message.location.get('url', '')})")

    def _request(self, request: Request) -> None:
        address = urlsplit(request.url)
        if address.scheme in {"http", "https"} and address.hostname not in {"127.0.0.1", "localhost"}:
            self._add(f"asks another host: {request.url}")

    def _add(self, text: str) -> None:
        is_harmless = any(re.search(pattern, text) for pattern in HARMLESS)
        if not is_harmless and not any(part in text for part in self.expected):
            self.append(text)


def goto(page: Page, server: Server, path: str = "") -> None:
    """Open ``path`` (with its query string) by deep link and wait until the script has run."""
    page.goto(f"{server.url}/{path.lstrip('/')}")
    wait_idle(page)


def wait_idle(page: Page, seconds: float = IDLE_SECONDS) -> None:
    """Return when no script has run for a moment and nothing on the page is stale; fails after ``seconds``."""
    arguments = {"ready": READY, "unfinished": UNFINISHED, "quiet": QUIET_SECONDS * 1000, "visit": next(VISITS)}
    try:
        page.wait_for_function(_IS_IDLE, arg=arguments, polling=POLL_SECONDS * 1000, timeout=seconds * 1000)
    except NotInTime as error:
        raise AssertionError(f"The page was still running after {seconds:.0f} s: {page.url}") from error


def click_button(page: Page, name: str, *, exact: bool = True) -> None:
    """Press the visible button of this name and wait until the script has run."""
    button = page.get_by_role("button", name=name, exact=exact).first
    expect(button).to_be_enabled()
    button.click()
    wait_idle(page)


def exceptions(page: Page) -> list[str]:
    """The text of every exception that Streamlit shows on the page."""
    return page.locator("[data-testid=stException]").all_inner_texts()
