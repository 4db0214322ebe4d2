"""A trial whose recipe asks a cross-encoder: equal seeds, equal bytes, stopped or not, kept or trained again."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.sampling.presets import preset
from core.search import cross_cache
from core.train.config import TrialConfig, write_config
from core.train.events import read_events
from core.train.results import TrialResults
from core.train.trial import Stopped, run_trial


def make_trial(folder: Path, seed: int = 0) -> Path:
    recipe = preset("ance-denoised").recipe.to_dict()
    write_config(folder, TrialConfig(corpus="in memory", recipe=recipe, epochs=2, batch_size=8, snapshots=2, seed=seed))
    return folder


def bytes_of(folder: Path) -> dict[str, bytes]:
    kept = (path for path in sorted(folder.rglob("*")) if path.suffix in (".npy", ".parquet", ".safetensors"))
    return {str(path.relative_to(folder)): path.read_bytes() for path in kept}


def test_a_trial_is_the_same_stopped_resumed_and_without_the_cache(tmp_path, tiny_corpus):
    cross_cache.forget()
    whole = make_trial(tmp_path / "trials" / "whole")
    run_trial(whole, threads=1, corpus=tiny_corpus)
    models = list((tmp_path / "cache" / "cross").iterdir())
    assert len(models) == 1 and (models[0] / "model.json").is_file(), "the workspace keeps the model for the next trial"

    stopped = make_trial(tmp_path / "trials" / "stopped")
    calls = iter(range(3))
    with pytest.raises(Stopped):
        run_trial(stopped, threads=1, corpus=tiny_corpus, should_stop=lambda: next(calls, None) is None)
    cross_cache.forget()  # as in another process: the model comes from disk
    run_trial(stopped, threads=1, corpus=tiny_corpus)
    assert bytes_of(stopped) == bytes_of(whole)

    cross_cache.forget()  # and elsewhere it is trained again
    alone = make_trial(tmp_path / "alone")
    run_trial(alone, threads=1, corpus=tiny_corpus)
    assert bytes_of(alone) == bytes_of(whole)
    other = make_trial(tmp_path / "trials" / "other", seed=1)
    run_trial(other, threads=1, corpus=tiny_corpus)
    assert bytes_of(other) != bytes_of(whole) and len(list((tmp_path / "cache" / "cross").iterdir())) == 2
    cross_cache.forget()

    told = [event["text"] for event in read_events(whole / "events.jsonl")[0] if event["kind"] == "log"]
    assert any(text.startswith("Cross-encoder: 27 labelled pairs of 24 queries") for text in told)
    results = TrialResults(whole)
    assert "cross-encoder" in set(results.candidates(results.tables())["rule"].to_pylist())
