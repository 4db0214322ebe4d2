"""The Judge page in its states: no name, keys and undo, grid, blind, an imported set, verdicts, import, language model."""

from __future__ import annotations

import json

import pytest
from streamlit.testing.v1 import AppTest

from core.sampling.presets import PRESETS


@pytest.fixture(autouse=True)
def _clean(workspace, monkeypatch):
    """An empty workspace whose queue nobody works on."""
    from pages.ui import judge_desk, services

    monkeypatch.setattr(services, "scheduler", lambda: None)
    monkeypatch.setattr(judge_desk, "UNREAD_SECONDS", 0.0)  # tests press faster than people read
    for name in ("URL", "KEY", "MODEL", "MODEL_2"):
        monkeypatch.delenv(f"NEGSPACE_LLM_{name}", raising=False)


@pytest.fixture
def store(workspace):
    from core.lab.store import Store

    opened = Store()
    yield opened
    opened.close()


@pytest.fixture
def verdicts(store):
    from core.lab.verdicts import Verdicts

    return Verdicts(store)


@pytest.fixture
def corpus_link(store, tiny_folder, tiny_corpus) -> str:
    return known(store, tiny_folder, tiny_corpus)


def known(store, folder, corpus) -> str:
    """The link of a corpus, known in the workspace."""
    from core.lab.corpora import add_corpus

    counts = {"n_documents": corpus.n_documents, "n_queries": corpus.n_queries}
    add_corpus(store, spec=str(folder), name=corpus.name, fingerprint=corpus.fingerprint, **counts)
    return corpus.fingerprint


@pytest.fixture
def trial(store, tiny_folder, tiny_corpus) -> str:
    """A trial that mined."""
    return trained(store, tiny_folder, tiny_corpus, "ance")


def trained(store, tiny_folder, tiny_corpus, recipe: str) -> str:
    """The id of a trial that was trained by hand."""
    from core.train.config import TrialConfig
    from tests.trained import finish

    config = TrialConfig(
        corpus=str(tiny_folder),
        corpus_fingerprint=tiny_corpus.fingerprint,
        recipe=PRESETS[recipe].recipe.to_dict(),
        name=recipe,
        epochs=2,
        batch_size=8,
    )
    row = store.submit(config.to_dict(), config.name)
    store.request_stop(row.id)
    finish(row.folder, config, tiny_corpus)
    store.correct()
    return row.id


def page(root, **params: str) -> AppTest:
    at = AppTest.from_file(str(root / "pages/judge.py"), default_timeout=60)
    for key, value in params.items():
        at.query_params[key] = value
    at.run()
    return at


def words(at: AppTest) -> str:
    kinds = (at.title, at.markdown, at.caption, at.info, at.warning, at.error, at.success)
    return " ".join(str(e.value) for kind in kinds for e in kind).replace("\\", "")


def button(at: AppTest, start: str):
    """The button whose key begins so."""
    return next(b for b in at.button if (b.key or "").startswith(start))


def pairs(at: AppTest) -> list[tuple[str, str]]:
    """The pairs on the page, by their ids."""
    queries = [c.value.split("`")[1] for c in at.caption if ": Query" in c.value]
    return list(zip(queries, [c.value.split("`")[1] for c in at.caption if "Candidate" in c.value], strict=True))


def test_without_anything_to_judge_the_way_to_train_is_offered(root, corpus_link):
    at = page(root, corpus=corpus_link)
    assert not at.exception and "nothing to judge yet" in words(at)
    assert "Choose a recipe and train" in {b.label for b in at.button}


def test_the_name_is_asked_once_and_kept_in_the_link(root, corpus_link, trial):
    at = page(root, corpus=corpus_link, trial=trial)
    assert not at.exception and "Who judges?" in words(at)
    at.text_input(key="judge.asked").set_value("  ")
    next(b for b in at.button if b.label == "Start judging").click().run()
    assert "1 to 60 characters" in words(at)
    at.text_input(key="judge.asked").set_value("ann")
    next(b for b in at.button if b.label == "Start judging").click().run()
    assert not at.exception and at.query_params["judge"] in ("ann", ["ann"]) and button(at, "judge.false-negative")


def test_verdicts_skip_and_undo_are_saved_at_once(root, corpus_link, trial, verdicts, tiny_corpus):
    f = tiny_corpus.fingerprint
    at = page(root, corpus=corpus_link, trial=trial, judge="ann", rule="any", twice="0")
    assert not at.exception and not at.error
    assert {b.key.split(".")[1] for b in at.button if (b.key or "").startswith("judge.")} >= {
        "false-negative", "true-negative", "near-duplicate", "unsure", "skip", "undo", "why",
    }  # fmt: skip
    first = pairs(at)
    at.text_input(key="judge.note").set_value("same  thing")
    button(at, "judge.false-negative").click().run()
    (saved,) = verdicts.list(f)
    assert (saved.judge, saved.kind, saved.note, saved.source) == ("ann", "false-negative", "same  thing", "page")
    assert [(saved.query_id, saved.doc_id)] == first != pairs(at) and at.text_input(key="judge.note").value == ""
    assert at.get("progress")[0].proto.text.startswith("**1 of ") and "1 by you" in at.get("progress")[0].proto.text
    second = pairs(at)
    button(at, "judge.skip").click().run()
    assert len(verdicts.skipped(f, "ann")) == 1 and pairs(at) != second
    button(at, "judge.undo").click().run()
    assert verdicts.skipped(f, "ann") == {} and pairs(at) == second
    button(at, "judge.undo").click().run()
    assert verdicts.list(f) == [] and pairs(at) == first
    button(at, "judge.undo").click().run()
    assert not at.exception


def test_two_judges_get_different_pairs_and_a_refresh_the_same(root, corpus_link, trial):
    params = {"corpus": corpus_link, "trial": trial, "rule": "any", "twice": "0"}
    ann, bob = (pairs(page(root, **params, judge=name)) for name in ("ann", "bob"))
    assert ann != bob and pairs(page(root, **params, judge="ann")) == ann


def test_a_key_that_comes_before_the_pair_could_be_read_saves_nothing(root, corpus_link, trial, verdicts, tiny_corpus, monkeypatch):
    from pages.ui import judge_desk

    at = page(root, corpus=corpus_link, trial=trial, judge="ann", rule="any")
    monkeypatch.setattr(judge_desk, "UNREAD_SECONDS", 60.0)
    shown = pairs(at)
    button(at, "judge.unsure").click().run()
    button(at, "judge.skip").click().run()
    assert verdicts.list(tiny_corpus.fingerprint) == [] and pairs(at) == shown and "nothing was saved" in words(at)
    monkeypatch.setattr(judge_desk, "UNREAD_SECONDS", 0.0)
    button(at, "judge.unsure").click().run()
    assert [v.pair for v in verdicts.list(tiny_corpus.fingerprint)] == shown


def test_blind_shows_no_score_and_no_reason(root, corpus_link, trial):
    params = {"corpus": corpus_link, "trial": trial, "rule": "any", "judge": "ann"}
    seen = words(page(root, **params))
    at = page(root, **params, blind="true")
    assert not at.exception and "doubt" in seen and "harm" in seen
    blind = words(at)
    assert "blind" in blind and not any(word in blind for word in ("doubt ", "harm "))
    assert not any((b.key or "").startswith("judge.why") for b in at.button)


def test_the_grid_keeps_each_pair_in_its_place(root, corpus_link, trial, verdicts, tiny_corpus):
    at = page(root, corpus=corpus_link, trial=trial, judge="ann", rule="any", scope="all", mode="grid")
    before = pairs(at)
    assert not at.exception and len(before) == len(set(before)) == 6
    at.button(key="judge.unsure.2").click().run()
    after = pairs(at)
    assert [a == b for a, b in zip(after, before, strict=True)] == [True, True, False, True, True, True]
    assert [v.pair for v in verdicts.list(tiny_corpus.fingerprint)] == [before[2]]


def test_all_judged_says_what_now(root, corpus_link, trial, verdicts, tiny_corpus):
    at = page(root, corpus=corpus_link, trial=trial, judge="ann", rule="any", twice="0")
    for _ in range(200):
        if not any((b.key or "").startswith("judge.unsure") for b in at.button):
            break
        button(at, "judge.unsure").click().run()
    assert not at.exception and "pairs of this queue are judged" in words(at)
    assert len(verdicts.list(tiny_corpus.fingerprint)) > 3


def test_a_pair_of_the_link_comes_first_and_is_judged_again_knowingly(root, corpus_link, trial, verdicts, tiny_corpus):
    f, query, doc = tiny_corpus.fingerprint, tiny_corpus.query_ids([0])[0], tiny_corpus.doc_ids([7])[0]
    verdicts.record(f, query, doc, "ann", "unsure")
    at = page(root, corpus=corpus_link, trial=trial, judge="ann", query=query, first=doc)
    assert not at.exception and "You judged this pair before: unsure" in words(at)
    button(at, "judge.true-negative").click().run()
    assert [v.kind for v in verdicts.list(f)] == ["true-negative"] and "first" not in at.query_params
    assert "You judged this pair before" not in words(at)


def test_the_card_opens_over_the_page(root, corpus_link, trial, tiny_corpus):
    query, doc = tiny_corpus.query_ids([0])[0], tiny_corpus.doc_ids([7])[0]
    at = page(root, corpus=corpus_link, trial=trial, judge="ann", query=query, doc=doc)
    assert not at.exception and not at.error


def test_an_imported_set_is_judged_without_any_trial(root, store, tmp_path, verdicts):
    from core.corpus.load import load_corpus

    texts = ((f"what is number {i}", f"number {i} is the {i}th number", f"number {i + 1} is not number {i}") for i in range(12))
    lines = [dict(zip(("query", "positive", "negative"), row, strict=True)) for row in texts]
    path = tmp_path / "mined.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    corpus = load_corpus(path)
    assert corpus.imported is not None
    at = page(root, corpus=known(store, path, corpus), judge="ann", scope="all")
    assert not at.exception and not at.error
    button(at, "judge.true-negative").click().run()
    assert len(verdicts.list(corpus.fingerprint)) == 1


def test_verdicts_agreement_and_truth_are_shown(root, corpus_link, trial, verdicts, tiny_corpus):
    empty = page(root, corpus=corpus_link, trial=trial, view="verdicts")
    assert not empty.exception and "No pair of this corpus has been judged" in words(empty)
    f = tiny_corpus.fingerprint
    for i in range(8):
        for judge, every in (("ann", 2), ("bob", 3)):
            kind = "false-negative" if i % every else "true-negative"
            verdicts.record(f, tiny_corpus.query_ids([i])[0], tiny_corpus.doc_ids([i])[0], judge, kind, note="$x$ <b>")
    verdicts.record(f, "gone", "gone", "eve", "unsure", source="import")
    at = page(root, corpus=corpus_link, trial=trial, view="verdicts")
    assert not at.exception and not at.error
    tables = [frame.value for frame in at.dataframe]
    judges = next(t for t in tables if "by truth" in t.columns)
    assert judges["judge"].tolist() == ["ann", "bob", "eve"] and judges["verdicts"].tolist() == [8, 8, 1]
    agreed = next(t for t in tables if "kappa" in t.columns)
    assert agreed["judges"].tolist() == ["ann / bob"] and agreed["pairs"].tolist() == [8]
    assert len(next(t for t in tables if "note" in t.columns)) == 17
    only = page(root, corpus=corpus_link, trial=trial, view="verdicts", by="eve")
    assert len(next(t.value for t in only.dataframe if "note" in t.value.columns)) == 1


def test_pasted_verdicts_are_read_and_saved_once(root, corpus_link, trial, verdicts, tiny_corpus):
    query, doc = tiny_corpus.query_ids([0])[0], tiny_corpus.doc_ids([7])[0]
    at = page(root, corpus=corpus_link, trial=trial, judge="ann", view="import")
    rows = [{"query_id": query, "doc_id": doc, "verdict": "relevant"}, {"query_id": "nobody", "doc_id": doc, "verdict": 1}]
    at.text_area(key="import.text").set_value(f"Sure:\n```json\n{json.dumps(rows, indent=1)}\n```").run()
    assert not at.exception and "1 verdict understood" in words(at).replace("*", "")
    assert any("'nobody' is not in this corpus" in c.value for c in at.code)
    at.button(key="import.save").click().run()
    assert "1 verdict added" in words(at)
    at.button(key="import.save").click().run()
    assert "1 were known already" in words(at)
    (saved,) = verdicts.list(tiny_corpus.fingerprint)
    assert (saved.judge, saved.kind, saved.source) == ("ann", "false-negative", "import")


def test_no_model_is_asked_unless_one_is_named(root, corpus_link, trial, monkeypatch):
    at = page(root, corpus=corpus_link, trial=trial, view="model")
    assert not at.exception and "No language model is asked" in words(at)
    monkeypatch.setenv("NEGSPACE_LLM_URL", "http://127.0.0.1:9/v1")
    monkeypatch.setenv("NEGSPACE_LLM_MODEL", "cheap")
    monkeypatch.setenv("NEGSPACE_LLM_MODEL_2", "dear")
    at = page(root, corpus=corpus_link, trial=trial, view="model", rule="any")
    assert not at.exception and not at.error and "cheap" in words(at) and "dear" in words(at)
    at.number_input(key="model.in").set_value(1000.0).run()
    cost = next(m.value for m in at.metric if m.label == "Cost")
    assert float(cost.split()[1]) > 0 and button(at, "model.ask").label.startswith("Ask about")
    monkeypatch.setenv("NEGSPACE_LLM_URL", "nonsense")
    assert "must be the base" in words(page(root, corpus=corpus_link, trial=trial, view="model"))


def test_a_trial_that_mined_nothing_says_so(root, store, corpus_link, tiny_folder, tiny_corpus):
    at = page(root, corpus=corpus_link, trial=trained(store, tiny_folder, tiny_corpus, "in-batch"), judge="ann")
    assert not at.exception and not at.error and "Choose a trial whose recipe mines" in words(at)


def test_learning_from_verdicts_says_how_many_it_needs_then_learns(root, corpus_link, trial, verdicts, tiny_corpus):
    params = {"corpus": corpus_link, "trial": trial, "judge": "ann", "rule": "learned"}
    assert "needs at least 5 false and 5 true" in words(page(root, **params))
    every = page(root, **{**params, "rule": "any", "scope": "all", "judge": "bob"})
    for i in range(24):
        button(every, "judge.false-negative" if i % 2 else "judge.true-negative").click().run()
    assert "Learned from 24 verdicts" in words(page(root, **params))


def test_a_model_is_asked_in_the_background_and_its_verdicts_land(root, corpus_link, trial, verdicts, tiny_corpus, monkeypatch):
    from pages.ui import judge_llm
    from tests.test_llm_judge import Chat, said

    chat = Chat()
    chat.answer = lambda model, text: (200, {}, said("relevant" if "tomato" in text.lower() else "not relevant", reason="<b>$x$"))
    monkeypatch.setenv("NEGSPACE_LLM_URL", chat.url)
    monkeypatch.setenv("NEGSPACE_LLM_MODEL", "cheap")
    at = page(root, corpus=corpus_link, trial=trial, view="model", rule="any")
    at.number_input(key="model.n").set_value(5).run()
    at.button(key="model.ask").click().run()
    judge_llm._runs()[tiny_corpus.fingerprint].join(30)
    at.run()
    assert not at.exception and "The last run is done. 5 verdicts" in words(at)
    found = verdicts.list(tiny_corpus.fingerprint)
    assert len(found) == 5 and {(v.judge, v.source) for v in found} == {("cheap", "llm")} and len(chat.asked) == 5
    assert not page(root, corpus=corpus_link, trial=trial, view="verdicts").exception
    judge_llm._runs().clear()
    chat.server.shutdown()
    chat.server.server_close()


def test_hostile_links_never_break_the_page(root, corpus_link, trial):
    bad = {"rule": "'", "scope": "[", "twice": "9", "mode": "no", "blind": "?", "view": "-", "first": "'", "query": "["}
    assert not page(root, corpus=corpus_link, trial=trial, judge="$x$<b>", **bad).exception
    assert not page(root, corpus=corpus_link, trial="20200101-nothere", judge="x" * 300).exception
