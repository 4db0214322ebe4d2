"""The README is run: its new technique works as it stands there, its commands parse, its files exist."""

from __future__ import annotations

import re
import shlex

import numpy as np
import pytest

from core.sampling import pickers


@pytest.fixture(scope="module")
def text(root) -> str:
    return (root / "README.md").read_text(encoding="utf-8")


def test_the_technique_in_the_readme_works_as_it_stands(text):
    code = re.search(r"```python\n(.*?)```", text, re.S).group(1)
    space = vars(pickers).copy()
    exec(compile(code, "README.md", "exec"), space)
    piece = space["Middle"]
    assert piece.idea().endswith(".") and [p.name for p in piece.params()] == ["sharpness"]
    scores = np.tile(np.arange(5, 0, -1, dtype=np.float32), (4000, 1))
    columns = piece(sharpness=2.0).pick(scores, np.zeros(4000, np.float32), np.ones(scores.shape, bool), 1, np.random.default_rng(0))
    law = np.exp(-2.0 * np.abs(np.arange(5) - 2))
    np.testing.assert_allclose(np.bincount(columns[:, 0], minlength=5) / 4000, law / law.sum(), atol=0.03)


def test_every_command_in_the_readme_parses(text):
    from core.cli import _parser

    lines = re.findall(r"^\.venv/bin/negspace (.*)$", text, re.M)
    assert len(lines) >= 5
    for line in lines:
        _parser().parse_args(shlex.split(line))


def test_the_settings_named_in_the_text_apply(text):
    from core.sampling.presets import preset
    from core.sampling.settings import apply_settings

    found = re.findall(r"`--recipe (\S+) ((?:--set \S+ ?)+)`", text)
    assert found
    for name, settings in found:
        apply_settings(preset(name).recipe, [s for s in settings.split() if s != "--set"])


def test_links_and_pictures_exist(text, root):
    for target in re.findall(r"\]\(((?!https?:)[^)#]+)\)", text):
        assert (root / target).exists(), target
