"""A corpus of one document: no negative exists in it, and each page opens before and after a training and says what cannot be done."""

from __future__ import annotations

import dataclasses

import pytest
from streamlit.testing.v1 import AppTest

from core.corpus.load import load_corpus
from core.errors import ParameterError
from core.sampling.presets import PRESETS
from core.train.config import TrialConfig
from core.train.trial import run_trial
from tests.corpus_files import one_document, write
from tests.test_page_recipe import NoScheduler

BEFORE = ("corpus", "recipe", "train", "map", "negatives", "suspects", "judge", "indexes", "compare")
AFTER = ("train", "map", "negatives", "suspects", "judge", "compare")


@pytest.fixture
def single(workspace, tmp_path, monkeypatch):
    """(fingerprint, make): ``make()`` is the id of a trial of the corpus, which ends with a sentence."""
    from core.lab.corpora import add_corpus
    from core.lab.store import Store
    from core.project import umap_map
    from pages.ui import services

    monkeypatch.setattr(services, "scheduler", NoScheduler)
    monkeypatch.setattr(umap_map, "warm_in_background", lambda: None)
    folder = write(one_document(), tmp_path / "single")
    corpus = load_corpus(folder)
    store = Store()
    add_corpus(store, spec=str(folder), name="single", fingerprint=corpus.fingerprint, n_documents=1, n_queries=2)

    def make() -> str:
        known = {"corpus": str(folder), "corpus_fingerprint": corpus.fingerprint, "corpus_name": "single", "name": "alone"}
        config = TrialConfig(**known, recipe=PRESETS["bm25"].recipe.to_dict(), recipe_name="bm25", epochs=1)
        row = store.submit(dataclasses.asdict(config), config.name)
        with pytest.raises(ParameterError, match="has 1 document, so nothing can be a negative. Add documents"):
            run_trial(row.folder, threads=1)
        taken = store.take_next(1)
        assert taken is not None and store.settle(taken, "failed", "nothing can be a negative")
        return row.id

    yield corpus.fingerprint, make
    store.close()


def open_page(root, page: str, **params: str) -> None:
    at = AppTest.from_file(str(root / f"pages/{page}.py"), default_timeout=120)
    for key, value in params.items():
        at.query_params[key] = value
    at.run()
    assert not at.exception, (page, params, at.exception)
    told = " ".join(str(element.value) for kind in (at.error, at.warning, at.info, at.markdown) for element in kind)
    assert "Traceback" not in told and "bug in Negative Space" not in told, page


def test_every_page_opens_before_and_after_a_training(root, single):
    corpus, make = single
    for page in BEFORE:
        open_page(root, page, corpus=corpus)
    open_page(root, "recipe", corpus=corpus, recipe="bm25", view="compose")
    trial = make()
    for page in AFTER:
        open_page(root, page, corpus=corpus, trial=trial, trials=trial)
