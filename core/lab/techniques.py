"""Every technique with what was measured of it here: trials of one corpus and one setting, found by their recipes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.errors import UserError
from core.evaluate.significance import Band
from core.lab.code_lines import recipe_lines
from core.lab.same_trial import setting_key
from core.lab.sweep_figures import WORK, Measured
from core.sampling.presets import PRESETS, Preset
from core.train.config import TrialConfig


@dataclass(frozen=True)
class Setting:
    """Finished trials that differ in nothing but recipe and seed, so that their figures can be compared.

    ``folders``: preset -> seed -> folder, the newest where a seed was trained twice; ``config``: of one of them.
    """

    key: str
    config: TrialConfig
    folders: Mapping[str, Mapping[int, Path]]

    @property
    def title(self) -> str:
        """"static, 8 epochs, batches of 128, learning rate 0.01"."""
        c = self.config
        encoder = ", ".join(str(value) for name, value in c.encoder.items() if name == "key" or value not in ("shared", ""))
        return f"{encoder}, {c.epochs} epochs, batches of {c.batch_size}, learning rate {c.learning_rate:g}"


def settings_of(trials: Iterable[tuple[Mapping[str, Any], Path]]) -> list[Setting]:
    """The settings under which presets were trained, those with the most presets first. ``trials``: configuration and folder of
    finished trials of one corpus, oldest first. Own recipes, trials with verdicts and those of other versions are passed over."""
    known = {preset.recipe.key: name for name, preset in PRESETS.items()}
    configs: dict[str, TrialConfig] = {}
    folders: dict[str, dict[str, dict[int, Path]]] = {}
    for data, folder in trials:
        try:
            config = TrialConfig.from_dict(dict(data))
            name, key = known.get(config.recipe_value.key), setting_key(config)
        except (UserError, KeyError, TypeError):  # another version wrote it
            continue
        if name is not None and not config.verdicts:
            configs.setdefault(key, config)
            folders.setdefault(key, {}).setdefault(name, {})[config.seed] = folder
    found = [Setting(key, configs[key], own) for key, own in folders.items()]
    return sorted(found, key=lambda setting: -len(setting.folders))


@dataclass(frozen=True)
class Technique:
    """One preset on the map. ``quality``, ``false_negatives``: means and t intervals over the seeds; ``seconds``: mean, fastest and
    slowest trial; None = not measured (``false_negatives`` also where nothing is mined). ``lines``: of code."""

    preset: Preset
    lines: int
    n_seeds: int = 0
    quality: Band | None = None
    seconds: Band | None = None
    false_negatives: Band | None = None

    @property
    def is_measured(self) -> bool:
        return self.quality is not None


def techniques(measured: Mapping[str, Measured], measure: str, by: str) -> list[Technique]:
    """Every preset, measured or not, in the order of the gallery."""
    found = []
    for name, preset in PRESETS.items():
        lines, own = recipe_lines(preset.recipe), measured.get(name)
        if own is None:
            found.append(Technique(preset, lines))
            continue
        false = own.false_negatives()
        known = false if own.false else None
        found.append(Technique(preset, lines, own.n_seeds, own.over_seeds(measure, by), own.seconds(WORK), known))
    return found


def undominated(all_of_them: Iterable[Technique]) -> list[str]:
    """Names of the measured presets that no other one beats in both quality and seconds, the cheapest first."""
    known = sorted((t for t in all_of_them if t.quality and t.seconds), key=lambda t: (t.seconds.mean, -t.quality.mean))  # type: ignore[union-attr]
    best, front = float("-inf"), []
    for technique in known:
        assert technique.quality is not None
        if technique.quality.mean > best:
            best = technique.quality.mean
            front.append(technique.preset.name)
    return front
