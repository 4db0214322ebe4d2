"""The literature's orders in the lessons are those of the sweeps in docs/."""

from __future__ import annotations

from streamlit.testing.v1 import AppTest

from core.audit.expectations import APPEARS, EXPECTATIONS, OPPOSITE
from core.audit.orders_seen import orders_seen, seen_of
from core.sampling.presets import PRESETS
from pages.ui import services
from tests.test_page_recipe import NoScheduler, known  # noqa: F401


def test_every_sentence_stands_in_the_sweep_of_its_collection(root):
    for seen in orders_seen():
        text = (root / "docs" / f"sweep-{seen.corpus}.md").read_text(encoding="utf-8")
        assert f"* {seen.sentence}" in text, seen
    assert {path.name for path in (root / "docs").glob("sweep-*.md")} == {f"sweep-{seen.corpus}.md" for seen in orders_seen()}


def test_every_expectation_between_presets_was_measured():
    wanted = {(e.better, e.worse) for e in EXPECTATIONS if {e.better, e.worse} <= set(PRESETS)}
    assert wanted == {(seen.better, seen.worse) for seen in orders_seen()}
    assert [seen.verdict in (APPEARS, OPPOSITE) for seen in seen_of("ance")] == sorted(
        (seen.verdict in (APPEARS, OPPOSITE) for seen in seen_of("ance")), reverse=True
    )


def test_the_lesson_says_what_was_seen(root, monkeypatch, known):  # noqa: F811
    monkeypatch.setattr(services, "scheduler", NoScheduler)
    at = AppTest.from_file(str(root / "pages/recipe.py"), default_timeout=120)
    at.query_params["corpus"] = known
    at.run()
    assert not at.exception
    text = " ".join(element.value for element in at.markdown).replace("\\", "")
    told = [seen for seen in seen_of("nv-retriever") if seen.verdict in (APPEARS, OPPOSITE)]
    assert told and all(seen.sentence.split(" (")[0] in text for seen in told)
    assert "within chance with 3 seeds" in text
