"""Small trials of the tiny corpus, trained once for a module of tests."""

from __future__ import annotations

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
    run_trial(folder, threads=1, corpus=corpus)
    return folder
