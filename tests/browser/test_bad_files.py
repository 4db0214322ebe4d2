"""Corpora that are not as they should be, and text that is not what it seems. A file of its own: files are what the browsers share out."""

from __future__ import annotations

from playwright.sync_api import Dialog, expect

from tests.browser import steps
from tests.browser.harness import exceptions, goto, wait_idle
from tests.corpus_files import flawless, lines, one_document, tsv, zipped


def _broken_zip() -> bytes:
    return zipped(flawless())[:-200]


def _bad_line() -> dict[str, bytes]:
    files = flawless()
    rows = files["corpus.jsonl"].splitlines(keepends=True)
    return files | {"corpus.jsonl": b"".join([*rows[:6], b'{"_id": "d6", "text": \n', *rows[7:]])}


def _dangling() -> dict[str, bytes]:
    files = flawless()
    return files | {"qrels/train.tsv": files["qrels/train.tsv"] + tsv(("q0", "nowhere", 1), header=False)}


def test_bad_uploads_get_one_clear_sentence(server, page):
    """Refused: a broken zip, an empty corpus. Loaded with a remark that names file and line: a broken line, a dangling pair."""
    refused = {
        "a broken zip": ({"mine.zip": _broken_zip()}, ("mine.zip", "zip", "again")),
        "no document": (flawless() | {"corpus.jsonl": b""}, ("corpus.jsonl",)),
        "no corpus file": ({"queries.jsonl": flawless()["queries.jsonl"]}, ("corpus.jsonl",)),
    }
    for what, (files, parts) in refused.items():
        steps.upload(page, server, _flat(files))
        errors = page.locator("[data-testid=stAlertContentError]").all_inner_texts()
        assert errors and all(part in steps.text_of(page) for part in parts), (what, errors)
        assert not exceptions(page) and "Traceback" not in steps.text_of(page) and "bug in Negative Space" not in steps.text_of(page)
        assert not steps.link_value(page, "corpus")
    loaded = {"broken line": (_bad_line(), "corpus.jsonl:7", "19"), "dangling": (_dangling(), "train.tsv:10", "20")}
    for name, (files, place, n_documents) in loaded.items():
        steps.upload(page, server, _flat(files), name)
        expect(page.get_by_role("heading", name=name, exact=True)).to_be_visible()
        tile = page.locator("[data-testid=stMetric]").filter(has_text="Documents")
        assert tile.locator("[data-testid=stMetricValue]").inner_text() == n_documents
        page.get_by_text("from loading").click()
        _, remarks = steps.grid_with(page, "what was found, and what was done")
        assert any(place in row["what was found, and what was done"] for row in remarks), remarks


def test_a_corpus_of_one_document_is_loaded_and_trained(server, page):
    """No negative exists in it: the training ends with a sentence or a result (tests/test_one_document.py opens every page)."""
    steps.upload(page, server, _flat(one_document()), "tiny")
    corpus = steps.link_value(page, "corpus")
    assert corpus
    (trial,) = steps.train(page, server, corpus, "in-batch", epochs=2)
    steps.wait_until(page, lambda: steps.state(page, trial) in ("finished", "failed"), "the trial has ended")
    wait_idle(page)
    text = steps.row_text(page, trial)
    assert "Traceback" not in text and "Error:" not in text, text
    goto(page, server, f"negatives?trial={trial}")
    assert not exceptions(page)


def _flat(files: dict[str, bytes]) -> dict[str, bytes]:
    """As a browser sends them: without folders."""
    return {name.rsplit("/", 1)[-1]: content for name, content in files.items()}


# Text that is not what it seems -------------------------------------------------------------------------
SCRIPT = "<script>alert(1)</script><img src=x onerror=alert(2)>"
FORMULA = "costs $x^2$ or $5 and $6"
MARKDOWN = "# **bold** [link](javascript:alert(3)) `code` :red[not red] :material/home:"
LONG = "ab" * 400
HOSTILE = f"{SCRIPT} {FORMULA} {MARKDOWN}"


def _hostile_corpus() -> dict[str, bytes]:
    """Subjects so that every query has wrong documents that share its words."""
    n, rows = 24, range(24)
    documents = [{"_id": f"d<b>{i}", "title": f"{SCRIPT} title {i}", "text": f"subject{i % 6} number{i} {HOSTILE} {LONG}"} for i in rows]
    queries = [{"_id": f"q*{i}*", "text": f"subject{i % 6} number{i} {HOSTILE}"} for i in rows]
    return {
        "corpus.jsonl": lines(*documents),
        "queries.jsonl": lines(*queries),
        "train.tsv": tsv(*[(f"q*{i}*", f"d<b>{i}", 1) for i in range(n - 6)]),
        "test.tsv": tsv(*[(f"q*{i}*", f"d<b>{i}", 1) for i in range(n - 6, n)]),
    }


def test_hostile_text_is_shown_as_it_is(server, page):
    dialogs: list[str] = []

    def note(dialog: Dialog) -> None:
        dialogs.append(dialog.message)
        dialog.dismiss()

    page.on("dialog", note)
    name = "<b>me</b> $x$ *it*"
    steps.upload(page, server, _hostile_corpus(), name)
    corpus = steps.link_value(page, "corpus")
    expect(page.get_by_role("heading", name=name, exact=True)).to_be_visible()
    (trial,) = steps.train(page, server, corpus, "ance", epochs=2)
    steps.wait_for_state(page, trial, "finished")
    links = (
        f"corpus?corpus={corpus}&query=q*0*",
        f"recipe?corpus={corpus}&recipe=bm25&view=compose&query=q*0*",
        f"map?trial={trial}&query=q*0*&doc=d<b>6",
        f"negatives?trial={trial}&query=q*0*&doc=d<b>6",
        f"compare?trials={trial}&query=q*18*",
    )
    for link in links:
        goto(page, server, link)
        text = " ".join(page.locator("body").inner_text().replace("\u2060", "").split())
        assert [part for part in (SCRIPT, FORMULA, "# **bold** [link](javascript:alert(3))") if part not in text] == [], link
        assert page.locator("script:text('alert(1)'), img[onerror], a[href^='javascript'], .katex").count() == 0, link
        wide = page.evaluate("document.querySelector('[data-testid=stMain]').scrollWidth - window.innerWidth")
        assert wide <= 0, f"{link} scrolls sideways by {wide} pixels"
    assert dialogs == []
