"""The harvested sample: read without importing, the same each time, large, and split by hash."""

from __future__ import annotations

import subprocess
import sys
import textwrap

import pytest

from core.corpus import python_docs
from core.corpus.load import load_corpus, sample_names

SOURCE = '''
"""A module that must never run.

It holds a few functions whose docstrings say enough to become documents of the corpus, and others that do not."""
raise SystemExit("imported!")

def add(a, b):
    """add(a, b) -- Return the sum of two numbers.

    The numbers may be whole or broken, real or complex; the result has the wider of their two types, as always.
    """

def _private():
    """Return something secret to nobody.

    The numbers may be whole or broken, real or complex; the result has the wider of their two types, as always.
    """

def short():
    """Return nothing at all."""

if True:
    class Box:
        """A box that holds
        one thing only.

        Put a thing in and take it out again; whoever looks into an empty box finds nothing, and is told so politely.
        """

        def open(self):
            """open(self)

            Return the thing that is in the box.

            Put a thing in and take it out again; whoever looks into an empty box finds nothing, and is told so politely.
            """

            def inner():
                """Return what no one can reach.

                Put a thing in and take it out again; whoever looks into an empty box finds nothing at all in this case.
                """
'''


def test_docstrings_become_entries(tmp_path):
    path = tmp_path / "shop.py"
    path.write_text(textwrap.dedent(SOURCE))
    entries = list(python_docs._documented(path, "shop", "shop"))
    assert [(e.name, e.kind, e.summary) for e in entries] == [
        ("shop", "module", "A module that must never run."),
        ("shop.add", "function", "Return the sum of two numbers."),
        ("shop.Box", "class", "A box that holds one thing only."),
        ("shop.Box.open", "function", "Return the thing that is in the box."),
    ]
    assert all(e.text.split() and e.summary not in e.text for e in entries)


@pytest.mark.parametrize("content", [b"def f(:", b"\xff\xfe\x00", b"# coding: nonsense\n", b"x = '\0'", b"(" * 5000])
def test_a_file_that_is_no_python_is_passed_over(tmp_path, content):
    path = tmp_path / "broken.py"
    path.write_bytes(content)
    assert list(python_docs._documented(path, "broken", "x")) == []


def small_world(monkeypatch, tmp_path):
    library, packages = tmp_path / "lib", tmp_path / "site"
    for folder in (library, library / "test", packages / "numpy" / "_core", packages / "numpy" / "tests"):
        folder.mkdir(parents=True)
    words = "so that there is enough to read in this document about the thing called"
    entry = 'def {0}():\n    """{1}\n\n    It does what it says, {2} {0}.\n    """\n\n'
    for path, names in {
        library / "a.py": ["first", "second"], library / "test" / "b.py": ["hidden"], packages / "numpy" / "__init__.py": ["third"],
        packages / "numpy" / "_core" / "_impl.py": ["fourth"], packages / "numpy" / "tests" / "test_x.py": ["hidden"],
    }.items():  # fmt: skip
        path.write_text("".join(entry.format(name, f"Return the {name} of all things.", words) for name in names))
    (library / "c.py").write_text("".join(entry.format(f"same{i}", "Fit the model.", words) for i in range(11)))
    (library / "d.py").write_text("".join(entry.format(f"few{i}", "Close the open file.", words) for i in range(3)))
    monkeypatch.setattr(python_docs, "_standard_library", lambda: library)
    monkeypatch.setattr(python_docs, "_installed", lambda: {"numpy": "1"})
    monkeypatch.setattr(python_docs, "_folder", lambda name: packages / name)


def test_the_harvest_of_a_small_world(monkeypatch, tmp_path):
    small_world(monkeypatch, tmp_path)
    corpus = python_docs.harvest()
    ids = corpus.doc_ids()
    assert {"a.first", "a.second", "numpy.third", "numpy.fourth"} < set(ids) and not any("hidden" in i for i in ids)
    assert corpus.documents["module"].to_pylist()[ids.index("numpy.fourth")] == "numpy"
    asked = dict(zip(corpus.query_texts(), corpus.positives.n_per_query().tolist(), strict=True))
    assert asked["Close the open file."] == 3 and "Fit the model." not in asked  # eleven answers: no query
    assert sum(i.startswith("c.same") for i in ids) == 11
    assert len(corpus.split_query_rows("test")) == round(0.2 * corpus.n_queries)
    assert set(corpus.documents["title"].to_pylist()) == {""}
    assert python_docs.harvest().fingerprint == corpus.fingerprint
    loaded = load_corpus("sample:python-docs", cache=tmp_path / "cache")
    assert loaded.fingerprint == corpus.fingerprint
    monkeypatch.setattr(python_docs, "harvest", lambda: pytest.fail("not from the cache"))
    assert load_corpus("sample:python-docs", cache=tmp_path / "cache").n_documents == corpus.n_documents


def test_it_is_listed_among_the_samples():
    names = list(sample_names())
    assert names[-1] == "python-docs" and sample_names()["python-docs"].endswith(".")


@pytest.mark.slow
def test_the_real_harvest_is_large_the_same_again_and_imports_nothing(root):
    # The whole takes most of a minute: two packages and a part of the standard library show all of it.
    code = """
import sys
import pyarrow
from core.corpus import python_docs
pyarrow.array(["pyarrow itself looks for pandas"])
before, every = set(sys.modules), set(python_docs.PACKAGES)
python_docs.PACKAGES = {name: python_docs.PACKAGES[name] for name in ("sklearn", "networkx")}
library = python_docs._standard_library()
python_docs._standard_library = lambda: library / "asyncio"
corpus = python_docs.harvest()
imported = sorted({name.split(".")[0] for name in set(sys.modules) - before} & every)
print(corpus.n_documents, len(set(corpus.documents["package"].to_pylist())), corpus.fingerprint, imported)
"""

    def harvest(seed: str) -> str:
        done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True,
                              env={"PYTHONHASHSEED": seed, "PATH": "", "OMP_NUM_THREADS": "1"})  # fmt: skip
        return done.stdout

    found = harvest("1")
    n_documents, n_packages, _, imported = found.split(" ", 3)
    assert int(n_documents) >= 2000 and n_packages == "3" and imported.strip() == "[]"
    assert harvest("2") == found
