"""Every preset trains for one epoch on a small cut of ``sample:lab``, measured, some twice with equal bytes; and on 60 documents."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from core.audit.doctor_fit import obstacles
from core.corpus.load import load_corpus
from core.errors import ParameterError, UserError
from core.evaluate.metrics import MEASURES
from core.sampling.presets import FAMILY_TITLES, PRESETS
from core.train.config import TrialConfig, write_config
from core.train.events import read_events
from core.train.results import TrialResults
from core.train.trial import run_trial
from tests.lab_cut import write_lab_cut
from tests.mined_corpus import with_log_and_sources

#: What may ask for more than sample:lab gives (texts from an endpoint or a file), and then must say so before it trains.
MAY_NEED_MORE = {"llm-negatives", "llm-queries", "generated-queries", "llm-paraphrases", "paraphrases"}
#: One of each family, and those whose bytes are hardest to keep equal.
TWICE = [
    *dict((preset.family, name) for name, preset in reversed(PRESETS.items()) if name not in MAY_NEED_MORE).values(),
    *(name for name in ("moco", "simans", "ance-tele", "large-batch", "adversarial", "kl-distillation") if name in PRESETS),
]


@pytest.fixture(scope="module", autouse=True)
def _shared():
    """What costs seconds and is the same for every preset is made once: tokens; models are not saved."""
    from core.encode import subwords
    from core.encode.model import EncoderModel

    tokenize = cache(lambda tokenizer, texts: own(tokenizer, texts))
    own = subwords.SubwordTokenizer.tokenize
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(subwords.SubwordTokenizer, "tokenize", lambda self, texts: tokenize(self, tuple(texts)))
        patch.setattr(EncoderModel, "save", lambda self, folder, similarity: None)
        yield


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """The cut, loaded once; cross-encoders and compiled loops are kept by the product between trials."""
    return load_corpus(write_lab_cut(tmp_path_factory.mktemp("lab") / "cut"))


@pytest.fixture(scope="module")
def trained(lab, tmp_path_factory):
    """name -> folder of its finished trial, trained when first asked for."""
    return cache(lambda name: train(tmp_path_factory.mktemp("trials") / name, name, lab))


@pytest.fixture(scope="module")
def tiny_with_more(tiny_corpus):
    """The tiny corpus with a log of shown documents and their sources, which some presets ask for."""
    return with_log_and_sources(tiny_corpus)


def train(folder: Path, name: str, corpus, **changes) -> Path:
    settings = {"epochs": 1, "batch_size": 64, "snapshots": 2} | changes
    recipe = PRESETS[name].recipe.to_dict()
    write_config(folder, TrialConfig(corpus="in memory", corpus_fingerprint=corpus.fingerprint, recipe=recipe, **settings))
    run_trial(folder, threads=1, corpus=corpus)
    return folder


def bytes_of(folder: Path) -> dict[str, bytes | str]:
    """What equal seeds must write alike: vectors, candidates, run, per-query measures, and the hash of all weights."""
    files = {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.suffix in (".npy", ".parquet")}
    return {**files, "weights": TrialResults(folder).result["weights"]}


def test_the_cut_is_what_presets_ask_for(lab):
    assert len(lab.split_query_rows("train")) == 240 and len(lab.split_query_rows("test")) == 60
    assert 1100 <= lab.n_documents <= 1400 and lab.n_queries == 330 and lab.truth is not None
    assert {"source", "passage", "place", "category"} <= set(lab.documents.column_names)
    assert TWICE and {PRESETS[name].family for name in TWICE} == set(FAMILY_TITLES) & {p.family for p in PRESETS.values()}


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_trains_for_one_epoch(name, lab, trained):
    try:
        folder = trained(name)
    except UserError as error:
        assert name in MAY_NEED_MORE and "\n" not in str(error) and len(str(error)) > 20, error
        assert PRESETS[name].recipe.lacks(lab)[0] in str(error), "it must say what to add"
        return
    assert obstacles(lab, PRESETS[name].recipe) == []
    result = TrialResults(folder).result
    assert result is not None and result["steps"] > 0 and result["n_test_queries"] == 60
    for part in ("metrics", "untrained", "bm25", "truth_metrics"):
        assert set(result[part]) == set(MEASURES) and all(0 <= value <= 1 for value in result[part].values()), part
    assert all(np.isfinite(value) and value >= 0 for value in result["seconds"].values())
    losses = [e["loss"] for e in read_events(folder / "events.jsonl")[0] if e["kind"] == "progress" and e["step"]]
    assert any(loss is not None and np.isfinite(loss) for loss in losses), "a loss that is not finite is written as null"
    vectors = TrialResults(folder).snapshot(result["steps"])
    assert np.isfinite(np.asarray(vectors.documents)).all() and np.isfinite(np.asarray(vectors.queries)).all()
    start = TrialResults(folder).snapshot(0)
    moved = any(not np.array_equal(getattr(start, side), getattr(vectors, side)) for side in ("queries", "documents"))
    assert moved, "an epoch that changes nothing trained nothing"


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_trains_where_its_windows_and_clusters_are_larger_than_the_corpus(name, tiny_corpus, tiny_with_more, tmp_path):
    corpus = tiny_with_more if obstacles(tiny_corpus, PRESETS[name].recipe) else tiny_corpus
    small = {"batch_size": 8, "encoder": {"key": "static-scratch", "dim": 16}}
    if missing := PRESETS[name].recipe.lacks(corpus):
        with pytest.raises(ParameterError, match=re.escape(missing[0])):
            train(tmp_path / name, name, corpus, **small)
        return
    result = TrialResults(train(tmp_path / name, name, corpus, **small)).result
    assert result["weights"] and result["metrics"] and all(0 <= value <= 1 for value in result["metrics"].values())


@pytest.mark.parametrize("name", list(dict.fromkeys(TWICE)))
def test_equal_seeds_give_equal_bytes(name, lab, trained, tmp_path):
    first, second = bytes_of(trained(name)), bytes_of(train(tmp_path / "again", name, lab))
    assert first == second and len(first) >= 7
