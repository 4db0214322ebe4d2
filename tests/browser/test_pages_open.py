"""Every page opens by its own address on a server that nobody has visited."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.browser.harness import goto

PAGES = sorted(path.stem for path in (Path(__file__).resolve().parents[2] / "pages").glob("[!_]*.py"))
HOME = "home"  # the default page: Streamlit gives it the root as its only address


def test_there_are_pages():
    assert HOME in PAGES


@pytest.mark.parametrize("name", PAGES)
def test_page_opens_by_deep_link(name, fresh_server, page):
    goto(page, fresh_server, "" if name == HOME else name)
    assert page.locator("[data-testid=stDialog]").count() == 0, "Streamlit says that there is no such page"
    expect(page.get_by_role("heading", level=1).first).to_be_visible(timeout=30_000)
