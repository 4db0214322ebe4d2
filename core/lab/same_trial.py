"""Trials found again by what decides their numbers, whatever they are called and wherever their corpus lies."""

from __future__ import annotations

from pathlib import Path

from core.encode.encoders import make_encoder
from core.errors import UserError
from core.lab import files
from core.lab.workspace import Workspace
from core.params import digest
from core.train.config import TrialConfig, read_config

#: Parts of a configuration that change no figure of the trial.
NO_MATTER = ("name", "recipe_name", "corpus", "corpus_name", "corpus_fingerprint", "snapshots", "like")


def trial_key(config: TrialConfig, fingerprint: str = "") -> str:
    """16 hexadecimal digits: trials of one corpus, recipe, encoder, setting and seed share them.

    ``fingerprint``: the corpus's, where the configuration does not know it. Parts that were left out because they have their
    defaults count as given. Raises UserError for a recipe or encoder of another version.
    """
    told = {name: value for name, value in config.to_dict().items() if name not in NO_MATTER}
    told |= {"recipe": config.recipe_value.to_dict(), "encoder": make_encoder(config.encoder).to_dict()}
    return digest(told | {"fingerprint": config.corpus_fingerprint or fingerprint})


def setting_key(config: TrialConfig) -> str:
    """16 hexadecimal digits that trials share which differ in nothing but recipe and seed: their figures can be compared."""
    told = {name: value for name, value in config.to_dict().items() if name not in (*NO_MATTER, "recipe", "seed")}
    return digest(told | {"encoder": make_encoder(config.encoder).to_dict()})


def trials_by_key(workspace: Workspace) -> dict[str, list[Path]]:
    """The folders of every trial of the workspace by its key: finished ones first, then by age. Others' folders are passed over."""
    found: dict[str, list[Path]] = {}
    for folder in sorted(path for path in workspace.trials.iterdir() if not path.name.startswith(".")):
        try:
            config = read_config(folder)
            result = files.read_json(folder / files.RESULT) or {}
            key = trial_key(config, str(result.get("corpus_fingerprint") or ""))
        except UserError:
            continue
        found.setdefault(key, []).append(folder)
    return {key: sorted(folders, key=lambda folder: not (folder / files.RESULT).exists()) for key, folders in found.items()}
