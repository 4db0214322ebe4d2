"""What a trial is: one value that, with the corpus, decides every byte that training writes."""

from __future__ import annotations

import dataclasses
import json
import platform
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from core.errors import ParameterError, TrialError
from core.params import Param, param
from core.sampling.recipe import Recipe

#: Libraries whose version can change a trial's numbers.
LIBRARIES = ("negspace", "torch", "numpy", "scipy", "faiss-cpu", "sentence-transformers", "tokenizers", "wordllama")


@dataclass(frozen=True, kw_only=True)
class TrialConfig:
    """Corpus, recipe, encoder and training settings of one trial.

    ``corpus``: as :func:`core.corpus.load.load_corpus` takes it; ``corpus_fingerprint``: refused when the corpus that is
    found there has another one ("" = not known yet). ``recipe``, ``encoder``: dicts as their to_dict() gives them.
    """

    corpus: str
    recipe: dict[str, Any]
    encoder: dict[str, Any] = dataclasses.field(default_factory=lambda: {"key": "static"})
    corpus_fingerprint: str = ""
    corpus_name: str = ""
    name: str = ""
    recipe_name: str = ""
    epochs: int = param(8, "passes over the training pairs", ge=1, le=1000)
    batch_size: int = param(128, "pairs in a step", unit="pairs", ge=1, le=65_536)
    learning_rate: float = param(0.01, "step size of Adam", ge=1e-7, le=1.0)
    seed: int = param(0, "decides the order of the pairs, every random draw and new weights", ge=0, le=2**31 - 1)
    snapshots: int = param(4, "checkpoints whose vectors are kept for the map, first and last included", ge=2, le=50)

    def __post_init__(self) -> None:
        for spec in config_params():
            object.__setattr__(self, spec.name, spec.check("Trial", getattr(self, spec.name)))
        if not self.corpus:
            raise ParameterError("Trial.corpus must name a folder, a zip or sample:NAME.")

    @property
    def recipe_value(self) -> Recipe:
        """The recipe as pieces; raises ParameterError."""
        return Recipe.from_dict(self.recipe)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> TrialConfig:
        """The configuration that :meth:`to_dict` wrote; keys it does not know are ignored (a newer version's)."""
        names = {f.name for f in dataclasses.fields(cls)}
        missing = {"corpus", "recipe"} - set(data)
        if missing:
            raise TrialError(f"trial.json lacks {', '.join(sorted(missing))}. It is not a trial of this product.")
        return cls(**{name: value for name, value in data.items() if name in names})


def config_params() -> tuple[Param, ...]:
    """The declared numeric settings, in the order in which a form shows them."""
    hints = {"epochs": int, "batch_size": int, "learning_rate": float, "seed": int, "snapshots": int}
    return tuple(
        Param(name=f.name, type=hints[f.name], default=f.default, **f.metadata)
        for f in dataclasses.fields(TrialConfig)
        if f.name in hints
    )


def library_versions() -> dict[str, str]:
    """Versions of Python and of the libraries that a trial's numbers depend on."""
    versions = {"python": platform.python_version()}
    for name in LIBRARIES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue  # a clone that runs without being installed
    return versions


def read_config(folder: Path) -> TrialConfig:
    """The configuration in a trial's folder; raises TrialError where there is none."""
    path = Path(folder) / "trial.json"
    try:
        return TrialConfig.from_dict(json.loads(path.read_text(encoding="utf-8")).get("config") or {})
    except FileNotFoundError:
        raise TrialError(f"{folder} holds no trial.json. Give the folder that 'negspace train' printed.") from None
    except json.JSONDecodeError as error:
        raise TrialError(f"{path}:{error.lineno}: not JSON ({error.msg}). The file was changed by hand.") from None


def write_config(folder: Path, config: TrialConfig, **extra: Any) -> None:
    """Write trial.json whole or not at all."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    data = {"name": config.name, "config": config.to_dict(), "libraries": library_versions(), **extra}
    temporary = folder / "trial.json.new"
    temporary.write_text(json.dumps(data, indent=2, ensure_ascii=False), encoding="utf-8")
    temporary.replace(folder / "trial.json")
