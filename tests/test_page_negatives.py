"""The Negatives page in its states: no trial, mined, in-batch, deep links to a card, hostile links."""

from __future__ import annotations

import dataclasses
import json

import pytest
from streamlit.testing.v1 import AppTest

from core.lab.workspace import Workspace
from core.sampling.presets import PRESETS
from core.sampling.recipe import Recipe
from core.sampling.written import NegativesFromFile
from core.train.results import TrialResults


@pytest.fixture(autouse=True)
def _clean(workspace, monkeypatch):
    """An empty workspace whose queue nobody works on."""
    from pages.ui import services

    monkeypatch.setattr(services, "scheduler", lambda: None)


@pytest.fixture
def corpus_link(workspace, tiny_folder, tiny_corpus) -> str:
    """The link of the tiny corpus, known in the workspace."""
    from core.lab.corpora import add_corpus
    from core.lab.store import Store

    store = Store()
    add_corpus(
        store,
        spec=str(tiny_folder),
        name=tiny_corpus.name,
        fingerprint=tiny_corpus.fingerprint,
        n_documents=tiny_corpus.n_documents,
        n_queries=tiny_corpus.n_queries,
    )
    store.close()
    return tiny_corpus.fingerprint


@pytest.fixture
def train(workspace, tiny_folder, tiny_corpus):
    """Trains a preset by hand in the workspace; returns the trial's id."""
    from core.lab.store import Store
    from core.train.config import TrialConfig
    from core.train.trial import run_trial

    def make(name: str, *, seed: int = 0, recipe: Recipe | None = None) -> str:
        config = TrialConfig(
            corpus=str(tiny_folder),
            corpus_fingerprint=tiny_corpus.fingerprint,
            corpus_name=tiny_corpus.name,
            recipe=(recipe or PRESETS[name].recipe).to_dict(),
            name=f"{name}, seed {seed}",
            epochs=2,
            batch_size=8,
            seed=seed,
        )
        store = Store()
        row = store.submit(config.to_dict(), config.name)
        store.request_stop(row.id)
        run_trial(row.folder, threads=1)
        store.correct()
        store.close()
        return row.id

    return make


def page(root, **params: str) -> AppTest:
    at = AppTest.from_file(str(root / "pages/negatives.py"), default_timeout=60)
    for key, value in params.items():
        at.query_params[key] = value
    at.run()
    return at


def words(at: AppTest) -> str:
    return " ".join(str(e.value) for kind in (at.title, at.markdown, at.caption, at.info, at.warning, at.error) for e in kind)


def test_without_a_trial_the_way_to_train_is_offered(root, corpus_link):
    at = page(root, corpus=corpus_link)
    assert not at.exception and not at.error
    assert "No trial of this corpus has started" in words(at).replace("\\", "")
    assert "Choose a recipe and train" in {b.label for b in at.button}


def test_a_query_lists_its_candidates_with_fates_and_reasons(root, corpus_link, train, tiny_corpus):
    trial = train("nv-retriever")
    at = page(root, corpus=corpus_link, trial=trial)
    assert not at.exception and not at.error
    shown = at.dataframe[0].value
    assert {"fate", "document", "s-", "s+", "margin", "weight", "used", "BM25", "untrained", "this trial", "truth", "≥ s+"} <= set(
        shown.columns
    )
    assert "✕ used" in set(shown["fate"]) and shown["used"].sum() > 0
    second = tiny_corpus.query_ids(tiny_corpus.split_query_rows("train"))[1]
    at.button(key="q.next").click().run()
    assert at.query_params["query"] in (second, [second])
    assert at.dataframe[0].value["document"].tolist() != shown["document"].tolist()


def test_the_link_opens_a_card(root, corpus_link, train, tiny_corpus):
    trial = train("nv-retriever")
    query_row = int(tiny_corpus.split_query_rows("train")[0])
    positive = tiny_corpus.doc_ids(tiny_corpus.positives.positives(query_row)[:1])[0]
    at = page(root, corpus=corpus_link, trial=trial, query=tiny_corpus.query_ids([query_row])[0], doc=positive)
    assert not at.exception
    assert "never a negative" in words(at).replace("\\", "")


def test_the_whole_trial_is_counted_and_filtered(root, corpus_link, train):
    trial = train("nv-retriever")
    at = page(root, corpus=corpus_link, trial=trial, view="trial")
    assert not at.exception and not at.error
    pull = at.dataframe[0].value["pull"].tolist()
    assert pull == sorted(pull, reverse=True) and pull[0] > 0
    easy = page(root, corpus=corpus_link, trial=trial, view="trial", hard="easy")
    assert set(easy.dataframe[0].value["hardness"]) == {"easy"}
    for name in ("documents", "queries"):
        assert not page(root, corpus=corpus_link, trial=trial, view="trial", list=name).exception
    none = page(root, corpus=corpus_link, trial=trial, view="trial", rule="known-positive")
    assert not none.exception and "No pair is left" in words(none).replace("\\", "")


def test_written_negatives_are_listed_with_what_became_of_them(root, corpus_link, train, tiny_corpus, tmp_path):
    first, second = tiny_corpus.query_ids(tiny_corpus.split_query_rows("train")[:2])
    lines = [{"query-id": first, "text": f"A <b>false</b> answer, number {n}.", "origin": "model-x"} for n in range(2)]
    (tmp_path / "written.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    written = NegativesFromFile(file=str(tmp_path / "written.jsonl"))
    mined = dataclasses.replace(PRESETS["bm25"].recipe, written=written)
    trial = train("llm-negatives", recipe=mined)
    at = page(root, corpus=corpus_link, trial=trial, query=first)
    assert not at.exception and not at.error
    assert "Written for this query" in {s.value for s in at.subheader}
    assert words(at).count("synthetic, by model") == 2 and "<b>false" not in " ".join(str(h.proto.body) for h in at.get("html"))
    figures = [str(c.value) for c in at.caption if "margin" in str(c.value) and "used" in str(c.value)]
    uses = TrialResults(Workspace().trials / trial).written()
    expected = [uses.times_used[place] for place in uses.of_query(int(tiny_corpus.query_rows([first])[0]))]
    assert sum(expected) == 2  # one of the two in each of two epochs
    assert [f"used {n}x" in text or (not n and "not used" in text) for n, text in zip(expected, figures, strict=True)] == [True, True]
    other = page(root, corpus=corpus_link, trial=trial, query=second)
    assert "No text was written for it" in words(other)
    whole = page(root, corpus=corpus_link, trial=trial, view="trial")
    assert not whole.exception and "2 synthetic texts for 1 query," in words(whole) and "(2 uses" in words(whole)

    alone = train("llm-negatives", recipe=dataclasses.replace(PRESETS["llm-negatives"].recipe, written=written), seed=1)
    at = page(root, corpus=corpus_link, trial=alone, query=first)
    assert not at.exception and "the texts written for it" in words(at) and "Written for this query" in {s.value for s in at.subheader}
    whole = page(root, corpus=corpus_link, trial=alone, view="trial")
    assert not whole.exception and "2 synthetic texts" in words(whole)


def test_in_batch_says_plainly_that_nothing_was_mined(root, corpus_link, train):
    trial = train("in-batch")
    at = page(root, corpus=corpus_link, trial=trial)
    assert not at.exception and "mines nothing" in words(at)
    assert at.dataframe[0].value["this trial"].tolist() == list(range(1, 21))
    whole = page(root, corpus=corpus_link, trial=trial, view="trial")
    assert not whole.exception and "Choose a recipe that mines" in {b.label for b in whole.button}


def test_hostile_links_never_break_the_page(root, corpus_link, train):
    trial = train("bm25")
    at = page(root, corpus=corpus_link, trial=trial, query="$x$", doc="<b>", refresh="99", order="'", view="no", find="[", page="-1")
    assert not at.exception
    gone = page(root, corpus=corpus_link, trial="20200101-nothere")
    assert not gone.exception and "not in this workspace" in words(gone).replace("\\", "")
