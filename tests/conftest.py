"""What all tests share: quiet threads, no network for models, the tiny corpus, a workspace of their own."""

from __future__ import annotations

import gc
import os
import sys
from functools import cache
from pathlib import Path

# Before numpy, torch or faiss are imported: tests run side by side and must not fight over the cores.
for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")
# A test that would fetch a model fails at once, here as on a machine without a network.
for _name in ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE", "TRANSFORMERS_OFFLINE"):
    os.environ[_name] = "1"
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import pytest  # noqa: E402

from tests.tiny_corpus import write_beir  # noqa: E402

ROOT = Path(__file__).resolve().parents[1]


def pytest_collection_finish() -> None:
    """What the imported libraries hold stays until the end: no collection need look through it again."""
    gc.freeze()


@pytest.fixture(scope="session")
def root() -> Path:
    """The repository's folder."""
    return ROOT


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real collections beside the repository; skips the test where there is none."""
    folder = Path(os.environ.get("NEGSPACE_TEST_DATA") or ROOT.parent / "shared" / "data")
    if not folder.is_dir():
        pytest.skip(f"no folder of real collections at {folder}; name one with NEGSPACE_TEST_DATA")
    return folder


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny corpus as files in BEIR's layout; read only."""
    return write_beir(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="session")
def tiny_corpus(tiny_folder: Path):
    """The tiny corpus, read by the product's own reader: 60 documents, 24 train + 8 test queries, with truth."""
    from core.corpus.load import load_corpus

    return load_corpus(tiny_folder)


@pytest.fixture(scope="session", autouse=True)
def _components_are_looked_for_once():
    """Each AppTest begins a Streamlit of its own, which reads what every installed package says of itself: most of a page test's time."""
    if "streamlit.testing.v1" not in sys.modules:
        yield
        return
    from streamlit.components.v2 import manifest_scanner

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(manifest_scanner, "scan_component_manifests", cache(manifest_scanner.scan_component_manifests))
        yield


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty workspace that the product takes for its own during one test."""
    folder = tmp_path / "workspace"
    folder.mkdir()
    monkeypatch.setenv("NEGSPACE_WORKSPACE", str(folder))
    return folder
