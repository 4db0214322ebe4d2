"""Small trials of the tiny corpus, each kind trained once for the suite."""

from __future__ import annotations

import json
import shutil
import tempfile
from functools import cache
from pathlib import Path

from core.corpus.corpus import Corpus
from core.sampling.presets import PRESETS
from core.train.config import TrialConfig, write_config
from core.train.trial import run_trial


def train_tiny(
    corpus: Corpus, spec: Path | str, folder: Path, preset: str, *, epochs: int = 2, signal: dict | None = None, **changes
) -> Path:
    """``folder``, now a finished trial of the preset, or of it with another ``signal``, on the corpus."""
    config = TrialConfig(
        corpus=str(spec),
        corpus_fingerprint=corpus.fingerprint,
        corpus_name=corpus.name,
        recipe=PRESETS[preset].recipe.to_dict() | ({"signal": signal} if signal else {}),
        recipe_name=preset,
        name=f"{preset}, tiny",
        epochs=epochs,
        batch_size=8,
        **changes,
    )
    write_config(folder, config)
    return finish(folder, config, corpus)


def finish(folder: Path, config: TrialConfig, corpus: Corpus) -> Path:
    """``folder``, which holds the configuration, now a finished trial: a copy of the one that was trained when first asked for."""
    key = json.dumps(config.to_dict(), sort_keys=True)
    if key not in _finished:
        own = Path(_home().name, str(len(_finished)))
        write_config(own, config)
        run_trial(own, threads=1, corpus=corpus)
        _finished[key] = own
    shutil.copytree(_finished[key], folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("trial.json"))
    return folder


_finished: dict[str, Path] = {}


@cache
def _home() -> tempfile.TemporaryDirectory:
    """Where the trials lie that no test may change; removed when the process ends."""
    return tempfile.TemporaryDirectory(prefix="trained-")
