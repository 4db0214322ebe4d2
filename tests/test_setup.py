"""What a user gets: pinned versions, the make targets, and a wheel that holds the whole product."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def normal(name: str) -> str:
    """A distribution's name as package indexes compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def pins() -> dict[str, str]:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pairs = [line.split("==") for line in lines if line and not line.startswith("#")]
    return {normal(name): version for name, version in pairs}


def requirements() -> list[str]:
    groups = PROJECT["optional-dependencies"].values()
    lines = PROJECT["dependencies"] + [line for group in groups for line in group]
    return [line for line in lines if not line.startswith(PROJECT["name"] + "[")]


def test_every_requirement_is_pinned_inside_its_range():
    from packaging.requirements import Requirement

    faults = []
    for requirement in map(Requirement, requirements()):
        version = pins().get(normal(requirement.name))
        if version is None or version not in requirement.specifier:
            faults.append(f"{requirement}: pinned {version}")
    assert faults == []


def test_pins_are_exact_and_belong_to_no_machine():
    assert all(re.fullmatch(r"[0-9][0-9a-z.]*", version) for version in pins().values())
    assert "+" not in pins()["torch"]


def test_the_python_in_use_has_the_pinned_versions():
    from importlib.metadata import PackageNotFoundError, version

    wrong = []
    optional = [line for group in ("irds", "scann") for line in PROJECT["optional-dependencies"][group]]
    not_for_tests = {normal(re.split(r"[<>=]", line)[0]) for line in optional}
    for name in (normal(re.split(r"[<>=]", line)[0]) for line in requirements()):
        try:
            found = version(name).split("+")[0]
        except PackageNotFoundError:
            found = "missing"
            if name in not_for_tests:
                continue
        if found != pins()[name] and name != "setuptools":
            wrong.append(f"{name}: {found}, pinned {pins()[name]}")
    assert wrong == []


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
@pytest.mark.parametrize(
    ("target", "shows"), [("run", "negspace serve"), ("test", "pytest"), ("lint", "ruff"), ("readme", "recipes")]
)
def test_make_has_the_target(target, shows):
    done = subprocess.run(["make", "-n", target], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert shows in done.stdout


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
def test_make_repeats_an_install_that_broke_off_or_was_moved(tmp_path):
    folder = tmp_path / "a folder with spaces"
    (folder / ".venv" / "bin").mkdir(parents=True)
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, folder)
    (folder / ".venv" / "bin" / "python").symlink_to(sys.executable)

    def plan() -> str:
        return subprocess.run(["make", "-n", "run"], cwd=folder, capture_output=True, text=True, check=True).stdout

    (folder / ".venv" / ".root").write_text(f"{folder}\n")
    (folder / ".venv" / ".made").touch()
    assert "-m venv" not in plan() and "pip" in plan()  # made, but never fully installed
    (folder / ".venv" / ".run").touch()
    assert "pip" not in plan()  # complete
    later = (folder / ".venv" / ".run").stat().st_mtime + 10
    os.utime(folder / "constraints.txt", (later, later))
    assert "pip" in plan() and "-m venv" not in plan()  # other versions wanted
    (folder / ".venv" / ".root").write_text("/elsewhere\n")
    assert "-m venv" in plan()  # the folder was moved


def test_ci_runs_the_whole_suite():
    script = ROOT / ".ci" / "run"
    assert os.access(script, os.X_OK)
    assert "make test" in script.read_text(encoding="utf-8")


@pytest.mark.slow
def test_the_wheel_holds_the_whole_product(tmp_path):
    source = tmp_path / "source"
    source.mkdir()
    unwanted = shutil.ignore_patterns("__pycache__", "*.egg-info")
    names = ["pyproject.toml", "setup.py", "README.md", "LICENSE", ".streamlit", "app.py", "core", "pages", "sample_data"]
    for name in (name for name in names if (ROOT / name).exists()):
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, source / name, **({"ignore": unwanted} if (ROOT / name).is_dir() else {}))
    # No isolation: the build needs no network, only the setuptools that [test] installs.
    command = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", tmp_path, source]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr

    (wheel,) = tmp_path.glob("negspace-*.whl")
    held = set(zipfile.ZipFile(wheel).namelist())
    files = [path for name in ("core", "pages", "sample_data") for path in (source / name).rglob("*")]
    wanted = {str(path.relative_to(source)) for path in files if path.is_file()} | {"app.py", ".streamlit/config.toml"}
    assert wanted - held == set()
    own = {name for name in held if ".dist-info/" not in name}
    assert own - wanted == set(), "the wheel holds files that are not the product's"
