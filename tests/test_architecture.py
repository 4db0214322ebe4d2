"""The shape of the code: imports point down, files stay short, start-up stays light, packages are declared."""

from __future__ import annotations

import ast
import subprocess
import sys
import tomllib
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

# From the top floor down; a room may import itself and what stands after it. Training evaluates each epoch and
# writes maps, so evaluate and project stand below it.
ROOMS = (
    "app", "pages", "pages.ui", "core.cli", "core.commands", "core.bench", "core.lab", "core.lessons", "core.audit",
    "core.train", "core.sampling", "core.project", "core.evaluate", "core.search", "core.encode", "core.corpus",
    "core.params", "core.errors",
)  # fmt: skip
TOP_LEVEL = {
    "pyproject.toml", "setup.py", "README.md", "app.py", "pages", "core", "tests", "sample_data",
    "LICENSE", "ARCHITECTURE.md", "Makefile", "constraints.txt", "docs",
}  # fmt: skip
MOST_LINES, MOST_PAGE_LINES = 320, 119
HEAVY = {"torch", "umap", "numba", "sklearn", "faiss", "sentence_transformers", "sqlalchemy", "streamlit"}
# Distributions whose import name is another.
IMPORT_NAMES = {"faiss-cpu": "faiss", "scikit-learn": "sklearn", "umap-learn": "umap"}


def python_files(*folders: str) -> list[Path]:
    files = [path for folder in folders for path in sorted((ROOT / folder).rglob("*.py"))]
    return [path.relative_to(ROOT) for path in files if "__pycache__" not in path.parts]


def product_files() -> list[Path]:
    return [Path("app.py")] * (ROOT / "app.py").exists() + python_files("pages", "core")


def module_name(path: Path) -> str:
    """``core/corpus/load.py`` -> ``core.corpus.load``; a package's ``__init__.py`` -> the package."""
    parts = path.with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@cache
def nodes(source: str) -> list[ast.AST]:
    """The nodes that the rules look at; each file is parsed once for all of them."""
    kinds = (ast.Import, ast.ImportFrom, ast.ExceptHandler, ast.keyword)
    return [node for node in ast.walk(ast.parse(source)) if isinstance(node, kinds)]


def imports(path: Path, source: str) -> set[tuple[int, str]]:
    """``(line, module)`` of every import in the file, also those inside functions."""
    package = module_name(path).split(".") if path.name == "__init__.py" else module_name(path).split(".")[:-1]
    found = set()
    for node in nodes(source):
        if isinstance(node, ast.Import):
            found |= {(node.lineno, alias.name) for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            # `from core import params` names a room that only the alias shows.
            found |= {(node.lineno, f"{module}.{alias.name}") for alias in node.names}
    return found


def room(module: str) -> str | None:
    """The room a module belongs to, the longest that fits; None for packages of others and for ``core`` itself."""
    return max((r for r in ROOMS if module == r or module.startswith(r + ".")), key=len, default=None)


def upward_imports(path: Path, source: str) -> list[str]:
    own = room(module_name(path))
    offences = []
    for line, module in sorted(imports(path, source)):
        other = room(module)
        if own and other and ROOMS.index(other) < ROOMS.index(own):
            offences.append(f"{path}:{line}: {own} imports {other}, which stands above it")
        elif other is None and module.split(".")[0] == "core" and module != "core":
            offences.append(f"{path}:{line}: {module} is in no known room")
    return offences


def forbidden_constructs(path: Path, source: str) -> list[str]:
    offences = []
    for node in nodes(source):
        where = f"{path}:{getattr(node, 'lineno', 0)}"
        if isinstance(node, ast.ExceptHandler) and node.type is None:
            offences.append(f"{where}: bare except")
        elif isinstance(node, ast.keyword) and node.arg in {"shell", "unsafe_allow_html", "allow_pickle"}:
            if not (isinstance(node.value, ast.Constant) and node.value.value is False):
                offences.append(f"{where}: {node.arg} is not False")
    offences += [f"{path}:{line}: pickle" for line, module in imports(path, source) if module.split(".")[0] == "pickle"]
    return offences


def declared(*groups: str) -> set[str]:
    """Import names of the distributions that pyproject.toml names, with these optional groups."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    lines = project["dependencies"] + [line for g in groups for line in project["optional-dependencies"][g]]
    names = {line.split(">")[0].split("[")[0].strip() for line in lines}
    return {IMPORT_NAMES.get(name, name.replace("-", "_")) for name in names}


def read(path: Path) -> str:
    return (ROOT / path).read_text(encoding="utf-8")


def test_imports_point_down():
    assert [fault for path in product_files() for fault in upward_imports(path, read(path))] == []


@pytest.mark.parametrize(
    ("path", "source", "n_offences"),
    [
        ("core/corpus/load.py", "from core.cli import main", 1),
        ("core/corpus/load.py", "def f():\n    from core import lab", 1),
        ("core/train/trial.py", "from ..lab import store", 1),
        ("core/train/trial.py", "from core.evaluate.metrics import means\nfrom . import losses", 0),
        ("core/errors.py", "import core.utilities", 1),
        ("pages/ui/frame.py", "import pages.train", 1),
    ],
)
def test_an_upward_import_is_found(path, source, n_offences):
    assert len(upward_imports(Path(path), source)) == n_offences


def test_no_streamlit_in_core():
    found = [(path, line, module) for path in python_files("core") for line, module in imports(path, read(path))]
    assert [hit for hit in found if hit[2].split(".")[0] == "streamlit"] == []


def test_files_stay_short():
    lengths = {path: len(read(path).splitlines()) for path in product_files() + python_files("tests")}
    pages = {path for path in lengths if path.parent == Path("pages")}
    assert {path: n for path, n in lengths.items() if n > (MOST_PAGE_LINES if path in pages else MOST_LINES)} == {}
    assert [path for path in lengths if path.stem in {"utils", "util", "helpers", "misc"}] == []


def test_no_forbidden_constructs():
    assert [fault for path in product_files() for fault in forbidden_constructs(path, read(path))] == []


def test_forbidden_constructs_are_found():
    source = "import pickle\ntry:\n    run('x', shell=True)\nexcept:\n    st.markdown(x, unsafe_allow_html=flag)\n"  # never run
    assert len(forbidden_constructs(Path("core/x.py"), source)) == 4
    assert forbidden_constructs(Path("core/x.py"), "np.load(p, allow_pickle=False)") == []


def test_every_package_imported_is_declared():
    known = declared() | {"core", "pages", "app"} | set(sys.stdlib_module_names)
    undeclared = []
    for path in product_files():
        allowed = known | (declared("bench") if room(module_name(path)) == "core.bench" else set())
        undeclared += [f"{path}:{line}: {m}" for line, m in imports(path, read(path)) if m.split(".")[0] not in allowed]
    assert undeclared == []


def test_top_level_holds_only_what_was_agreed():
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip("not a git checkout")
    names = {line.split("/")[0] for line in listed.stdout.splitlines()}
    assert {name for name in names if not name.startswith(".")} - TOP_LEVEL == set()


def test_light_modules_load_nothing_heavy():
    light = ["core.params", "core.corpus"]
    light += ["core.sampling.recipe"] * (ROOT / "core" / "sampling" / "recipe.py").exists()
    code = f"import sys, {', '.join(light)}\nprint(*sorted({HEAVY!r} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == []
