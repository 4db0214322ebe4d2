"""What a command's options ask for: corpus, recipe, encoder, trial."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path

from core.errors import TrialError

OF_ENCODER = "encoder."  # --set encoder.FIELD=VALUE is the encoder's, every other one the recipe's


def corpus_of(options: Namespace):
    """(spec, corpus): the spec as another process finds the same corpus, and the corpus from the workspace's cache."""
    from core.corpus.load import absolute_spec, load_corpus
    from core.corpus.planted import planted_spec
    from core.lab.workspace import Workspace

    spec = absolute_spec(options.corpus)
    if options.hide_positives is not None:
        spec = planted_spec(spec, options.hide_positives, options.hide_seed)
    return spec, load_corpus(spec, cache=Workspace(options.workspace or None).corpora)


def recipe_of(options: Namespace):
    """(recipe, its name in words): the preset with every --set that is not the encoder's."""
    from core.sampling.presets import preset
    from core.sampling.settings import apply_settings

    chosen = preset(options.recipe)
    changed = apply_settings(chosen.recipe, (setting for setting in options.set if not setting.startswith(OF_ENCODER)))
    return changed, chosen.title + ("" if changed == chosen.recipe else ", changed")


def encoder_of(options: Namespace):
    """The encoder that is named, with its --set encoder.FIELD=VALUE."""
    from core.encode.encoders import encoder_of_text

    settings = [setting.removeprefix(OF_ENCODER) for setting in getattr(options, "set", []) if setting.startswith(OF_ENCODER)]
    encoder = encoder_of_text(options.encoder, settings)
    folder = Path(getattr(encoder, "model", "")).expanduser()
    return encoder.but(model=str(folder.resolve())) if hasattr(encoder, "model") and folder.is_dir() else encoder


def trial_folder(workspace, trial: str) -> Path:
    """The folder of a trial that is named by it or by its id; raises TrialError."""
    for folder in (Path(trial), workspace.trials / trial):
        if (folder / "trial.json").exists():
            return folder.resolve()
    raise TrialError(f"{trial} is neither a trial's folder nor an id in {workspace.trials}. 'negspace train' prints the folder.")
