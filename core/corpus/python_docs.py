"""The sample ``python-docs``: the docstrings of the Python that runs here, read from its sources.

Nothing is shipped and nothing is imported: the files are parsed with ``ast``. A docstring's summary is a query, the rest of it
the document that answers. The name of the documented thing stands in the field ``name`` and not in the title, because the
title is read by encoders and BM25 and a name such as ``count_nonzero`` says what the summary says.
"""

from __future__ import annotations

import ast
import re
import sys
import sysconfig
import tokenize
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from core.corpus.corpus import Corpus
from core.corpus.faults import Faults
from core.corpus.judgements import Judgements
from core.corpus.splits import complete_splits
from core.errors import CorpusError

NAME = "python-docs"
DESCRIPTION = (
    "Real and large: the docstrings of your own Python and its scientific packages, summary line as query, the rest as "
    "document; read from the installed sources at first use (about half a minute)."
)
VERSION = 1  # raise it when the harvest changes

#: Import name -> distribution, of packages whose docstrings explain; only those that are installed are read.
PACKAGES = {
    "numpy": "numpy", "scipy": "scipy", "sklearn": "scikit-learn", "pandas": "pandas", "torch": "torch",
    "statsmodels": "statsmodels", "sympy": "sympy", "networkx": "networkx", "matplotlib": "matplotlib", "skimage": "scikit-image",
    "xarray": "xarray", "dask": "dask", "numba": "numba", "pyarrow": "pyarrow", "sqlalchemy": "SQLAlchemy",
    "streamlit": "streamlit", "faiss": "faiss-cpu", "umap": "umap-learn", "sentence_transformers": "sentence-transformers",
}  # fmt: skip
SKIPPED_FOLDERS = {
    "test", "tests", "testing", "site-packages", "__pycache__", "idlelib", "lib2to3", "turtledemo", "ensurepip",
    "_vendor", "vendored", "externals", "array_api_compat", "array_api_extra",
}  # fmt: skip
FILE_BYTES = 2_000_000
SUMMARY_WORDS = (3, 40)
LEAST_WORDS = 15  # of a document
TEXT_CHARACTERS = 6000
MOST_ANSWERS = 10  # a summary that more things share ("Fit the model.") asks for none of them
_WORD = re.compile(r"\w+")
_SIGNATURE = re.compile(r"^[\w.]+\s*\(.*\)(\s*->.*)?$", re.DOTALL)
_OWN_NAME = re.compile(r"^[\w.]+\s*(\([^)]*\))?\s*(--|:|-)\s+")


@dataclass(frozen=True)
class Entry:
    """One documented thing."""

    name: str
    kind: str
    module: str
    package: str
    summary: str
    text: str


def stamp() -> list[str]:
    """What decides the harvest: the versions of Python, of the packages and of this reader."""
    return [f"reader {VERSION}", f"python {sys.version.split()[0]}", *(f"{name} {version}" for name, version in _installed().items())]


def harvest() -> Corpus:
    """The corpus, the same for the same versions; takes about half a minute.

    Document fields: ``name``, ``kind`` (module, class, function), ``module``, ``package``. A summary that up to ten things
    share is one query with several positives; one that more share is no query, and its documents stay. A document that
    repeats an earlier one's text is left out, and the earlier one answers instead. Tests and private names are not read.
    """
    import pyarrow as pa

    documents: dict[str, Entry] = {}
    doc_of_text: dict[str, int] = {}
    answers: dict[str, tuple[str, str, list[int]]] = {}  # normalised summary -> query id, its words as written, document rows
    for entry in _entries():
        if entry.name in documents:
            continue
        row = doc_of_text.setdefault(entry.text, len(documents))
        if row == len(documents):
            documents[entry.name] = entry
        key = " ".join(_WORD.findall(entry.summary.lower()))
        answers.setdefault(key, (f"q.{entry.name}", entry.summary, []))[2].append(row)
    queries = [(query_id, text, sorted(set(rows))) for query_id, text, rows in answers.values() if len(set(rows)) <= MOST_ANSWERS]
    if not queries:
        raise CorpusError(f"sample:{NAME}: no Python source with docstrings was found in {_standard_library()}.")
    entries = list(documents.values())
    table = pa.table(
        {
            "doc_id": list(documents),
            "title": [""] * len(entries),
            "text": [e.text for e in entries],
            "kind": [e.kind for e in entries],
            "module": [e.module for e in entries],
            "name": [e.name for e in entries],
            "package": [e.package for e in entries],
        }
    )
    pairs = [(i, row) for i, (_, _, rows) in enumerate(queries) for row in rows]
    labelled = Judgements.from_pairs([q for q, _ in pairs], [d for _, d in pairs], [1] * len(pairs), len(queries))
    # All of it is one table; the reader's own rule takes a fifth of the queries, by the hash of their ids, for the test split.
    splits = complete_splits({"train": labelled}, lambda rows: [queries[row][0] for row in rows], Faults())
    asked = pa.table({"query_id": [query[0] for query in queries], "text": [query[1] for query in queries]})
    return Corpus(NAME, table, asked, splits)


def _entries() -> Iterator[Entry]:
    """Everything documented, package by package and file by file in the order of their names."""
    places = [("python", _standard_library(), "")]
    places += [(name, folder, f"{name}.") for name in _installed() if (folder := _folder(name)) is not None]
    for package, folder, prefix in places:
        for path in _sources(folder):
            # Much that is public is written in a private file (scipy.signal.butter in scipy/signal/_filter_design.py).
            parts = [part for part in path.relative_to(folder).with_suffix("").parts if not part.startswith("_")]
            module = (prefix + ".".join(parts)).rstrip(".")
            if module:
                yield from _documented(path, module, package)


def _sources(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.iterdir(), key=lambda p: p.name):
        if path.is_symlink() or path.name in SKIPPED_FOLDERS or path.name == "__main__.py":
            continue
        if path.is_dir():
            yield from _sources(path)
        elif path.suffix == ".py" and not path.stem.startswith("test_") and path.stat().st_size <= FILE_BYTES:
            yield path


def _documented(path: Path, module: str, package: str) -> Iterator[Entry]:
    try:
        with tokenize.open(path) as file, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of other people's sources: invalid escapes and the like
            tree = ast.parse(file.read())
    except (SyntaxError, ValueError, UnicodeDecodeError, OSError, RecursionError):
        return  # a template, a file for another Python version
    waiting: list[tuple[ast.AST, str, str]] = [(tree, module, "module")]
    while waiting:
        node, name, kind = waiting.pop()
        split = _split(ast.get_docstring(node) or "")  # type: ignore[arg-type]
        if split:
            yield Entry(name, kind, module, package, *split)
        inner = [child for child in _statements(node) if not child.name.startswith("_")]
        for child in reversed(inner if kind != "function" else []):
            waiting.append((child, f"{name}.{child.name}", "class" if isinstance(child, ast.ClassDef) else "function"))


def _statements(node: ast.AST) -> Iterator[ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef]:
    """Classes and functions of a body, also those that stand under an ``if`` or a ``try``."""
    for child in getattr(node, "body", []):
        if isinstance(child, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            yield child
        elif isinstance(child, (ast.If, ast.Try)):
            yield from _statements(child)


def _split(docstring: str) -> tuple[str, str] | None:
    """``(summary, rest)``, or None where one of them says too little or the summary is a signature."""
    paragraphs = re.split(r"\n\s*\n", docstring.strip())
    if paragraphs and _SIGNATURE.match(paragraphs[0]):
        paragraphs = paragraphs[1:]  # functions written in C begin with how they are called
    if len(paragraphs) < 2:
        return None
    summary = _OWN_NAME.sub("", " ".join(paragraphs[0].split()))
    rest = "\n\n".join(paragraphs[1:]).strip()[:TEXT_CHARACTERS]
    n_words = len(_WORD.findall(summary))
    if not SUMMARY_WORDS[0] <= n_words <= SUMMARY_WORDS[1] or len(_WORD.findall(rest)) < LEAST_WORDS:
        return None
    return tuple(text.encode("utf-8", "replace").decode() for text in (summary, rest))  # type: ignore[return-value]


def _installed() -> dict[str, str]:
    """Version of each package that is installed, in the order of the table."""
    found = {}
    for name, distribution in PACKAGES.items():
        try:
            found[name] = metadata.version(distribution)
        except metadata.PackageNotFoundError:
            continue
    return found


def _folder(name: str) -> Path | None:
    places = [sysconfig.get_path("purelib"), sysconfig.get_path("platlib"), *sys.path]
    return next((Path(place, name) for place in places if place and Path(place, name, "__init__.py").is_file()), None)


def _standard_library() -> Path:
    return Path(sysconfig.get_path("stdlib"))
