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
from core.sampling.decisions import DOWN_WEIGHT, DROP, USES
from core.sampling.recipe import Recipe

#: Libraries whose version can change a trial's numbers.
LIBRARIES = ("negspace", "torch", "numpy", "scipy", "faiss-cpu", "sentence-transformers", "tokenizers", "wordllama")


@dataclass(frozen=True, kw_only=True)
class TrialConfig:
    """Corpus, recipe, encoder and training settings of one trial.

    ``corpus``: as :func:`core.corpus.load.load_corpus` takes it; ``corpus_fingerprint``: refused when the corpus that is
    found there has another one ("" = not known yet). ``recipe``, ``encoder``: dicts as their to_dict() gives them.
    ``verdicts``: digest of the trial's ``verdicts.jsonl``, "" = it has none. ``like``: the trial that this one repeats with
    verdicts, "" = none; it has no part in training.
    """

    corpus: str
    recipe: dict[str, Any]
    encoder: dict[str, Any] = dataclasses.field(default_factory=lambda: {"key": "static"})
    corpus_fingerprint: str = ""
    corpus_name: str = ""
    name: str = ""
    recipe_name: str = ""
    epochs: int = param(8, "passes over the training pairs", ge=1, le=1000)
    batch_size: int = param(
        128, "pairs encoded at once: a step, unless the recipe caches gradients or has workers", unit="pairs", ge=1, le=65_536
    )
    learning_rate: float = param(0.01, "step size of Adam", ge=1e-7, le=1.0)
    seed: int = param(0, "decides the order of the pairs, every random draw and new weights", ge=0, le=2**31 - 1)
    snapshots: int = param(4, "checkpoints whose vectors are kept for the map, first and last included", ge=2, le=50)
    verdicts: str = ""
    verdict_use: str = param(DROP, "what becomes of pairs that people judged false negatives or near-duplicates", choices=USES)
    verdict_weight: float = param(0.1, "down-weight: share of their loss weight that judged pairs keep", ge=0.001, le=1.0)
    like: str = ""

    def __post_init__(self) -> None:
        for spec in (*config_params(), *verdict_params()):
            object.__setattr__(self, spec.name, spec.check("Trial", getattr(self, spec.name)))
        if not self.corpus:
            raise ParameterError("Trial.corpus must name a folder, a zip or sample:NAME.")

    @property
    def recipe_value(self) -> Recipe:
        """The recipe as pieces; raises ParameterError."""
        return Recipe.from_dict(self.recipe)

    @property
    def refuses_judged(self) -> bool:
        """Whether its mining has the rule that refuses judged pairs."""
        return bool(self.verdicts) and self.verdict_use != DOWN_WEIGHT

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready; what verdicts alone need is left out where there are none, so older trials keep their bytes and groups."""
        absent = set() if self.verdicts else {"verdicts", *(spec.name for spec in verdict_params())}
        absent |= set() if self.like else {"like"}
        absent |= {"verdict_weight"} if self.verdict_use != DOWN_WEIGHT else set()
        return {name: value for name, value in dataclasses.asdict(self).items() if name not in absent}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> TrialConfig:
        """The configuration that :meth:`to_dict` wrote; keys it does not know are ignored (a newer version's)."""
        names = {f.name for f in dataclasses.fields(cls)}
        missing = {"corpus", "recipe"} - set(data)
        if missing:
            raise TrialError(f"trial.json lacks {', '.join(sorted(missing))}. It is not a trial of this product.")
        return cls(**{name: value for name, value in data.items() if name in names})


def config_params() -> tuple[Param, ...]:
    """The declared settings of every training, in the order in which a form shows them."""
    return _declared({"epochs": int, "batch_size": int, "learning_rate": float, "seed": int, "snapshots": int})


def verdict_params() -> tuple[Param, ...]:
    """The declared settings of a training with verdicts."""
    return _declared({"verdict_use": str, "verdict_weight": float})


def _declared(hints: dict[str, type]) -> tuple[Param, ...]:
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
