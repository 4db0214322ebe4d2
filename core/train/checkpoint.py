"""What a stopped trial needs to go on exactly where it was: arrays and one JSON file, no pickle."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

if TYPE_CHECKING:
    from core.train.step import Stepper


def write_checkpoint(folder: Path, arrays: dict[str, np.ndarray], state: dict[str, Any]) -> None:
    """Replace the checkpoint whole: a kill at any moment leaves the old one or the new one."""
    new, old = folder.with_name(folder.name + ".new"), folder.with_name(folder.name + ".old")
    shutil.rmtree(new, ignore_errors=True)
    new.mkdir(parents=True)
    np.savez(new / "arrays.npz", **arrays)
    (new / "state.json").write_text(json.dumps(state), encoding="utf-8")
    shutil.rmtree(old, ignore_errors=True)
    if folder.exists():
        os.replace(folder, old)
    os.replace(new, folder)
    shutil.rmtree(old, ignore_errors=True)


def read_checkpoint(folder: Path) -> tuple[dict[str, np.ndarray], dict[str, Any]] | None:
    """(arrays, state) of the last whole checkpoint; None where there is none."""
    for place in (folder, folder.with_name(folder.name + ".old")):
        if (place / "state.json").exists():
            with np.load(place / "arrays.npz", allow_pickle=False) as stored:
                arrays = {name: stored[name] for name in stored.files}
            return arrays, json.loads((place / "state.json").read_text(encoding="utf-8"))
    return None


def delete_checkpoint(folder: Path) -> None:
    """Remove it and what a kill in the middle of writing may have left."""
    for suffix in ("", ".new", ".old"):
        shutil.rmtree(folder.with_name(folder.name + suffix), ignore_errors=True)


def pack_stepper(stepper: Stepper) -> dict[str, np.ndarray]:
    """Weights, key encoder, the batch piece's state and optimisers as named arrays."""
    arrays = {f"model.{name}": value for name, value in stepper.model.state().items()}
    if stepper.key_model is not None:
        arrays |= {f"key.{name}": value for name, value in stepper.key_model.state().items()}
    arrays |= {f"batch.{name}": value.numpy() for name, value in stepper.state.items()}
    return arrays | pack_optimizers(stepper.optimizers)


def unpack_stepper(stepper: Stepper, arrays: dict[str, np.ndarray], step: int) -> None:
    """Load what :func:`pack_stepper` packed after ``step`` steps."""

    def part(prefix: str) -> dict[str, np.ndarray]:
        return {key.removeprefix(prefix): value for key, value in arrays.items() if key.startswith(prefix)}

    stepper.model.load_state(part("model."))
    if stepper.key_model is not None:
        stepper.key_model.load_state(part("key."))
    for name, value in part("batch.").items():
        stepper.state[name].copy_(torch.from_numpy(np.array(value)))
    unpack_optimizers(stepper.optimizers, arrays)
    stepper.n_done = step


def pack_optimizers(optimizers: list[torch.optim.Optimizer]) -> dict[str, np.ndarray]:
    """Every optimiser's state as named arrays: ``optimizer.I.PARAMETER.NAME``."""
    arrays = {}
    for i, optimizer in enumerate(optimizers):
        for parameter, values in optimizer.state_dict()["state"].items():
            for name, value in values.items():
                value = value.cpu() if isinstance(value, torch.Tensor) else value
                arrays[f"optimizer.{i}.{parameter}.{name}"] = np.asarray(value)
    return arrays


def unpack_optimizers(optimizers: list[torch.optim.Optimizer], arrays: dict[str, np.ndarray]) -> None:
    """Load what :func:`pack_optimizers` packed."""
    for i, optimizer in enumerate(optimizers):
        packed = optimizer.state_dict()
        state: dict[int, dict[str, Any]] = {}
        for key, value in arrays.items():
            if key.startswith(f"optimizer.{i}."):
                _, _, parameter, name = key.split(".", 3)
                restored: Any = value.item() if value.ndim == 0 and name == "step" else torch.from_numpy(np.array(value))
                state.setdefault(int(parameter), {})[name] = restored
        optimizer.load_state_dict({**packed, "state": state})
