"""The catalogue against ``negspace recipes --json``: every row that is marked as provided is there, no preset is without a row."""

from __future__ import annotations

import ast
import json
from collections import Counter

import pytest

from core.cli import main
from core.lab.catalogue import families
from core.lab.code_lines import own_pieces, piece_lines, recipe_lines
from core.sampling.presets import FAMILY_TITLES, PRESETS
from tests.catalogue import PRESET, is_there, read_rows, write_rows


@pytest.fixture(scope="module")
def answer() -> dict:
    """What the command answers."""
    import contextlib
    import io

    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        assert main(["recipes", "--json"]) == 0
    return json.loads(out.getvalue().strip().splitlines()[-1])


@pytest.fixture(scope="module")
def rows():
    return read_rows()


def test_what_is_provided_is_there(answer, rows, record_property):
    missing = {row.named: row.missing(answer) for row in rows}
    unfinished = {name: providers for name, providers in missing.items() if providers}
    for name, providers in unfinished.items():
        print(f"missing: {name}: {', '.join(providers)}")
    record_property("missing", json.dumps(unfinished))
    assert {row.named: missing[row.named] for row in rows if row.provided and missing[row.named]} == {}


def test_every_preset_belongs_to_a_row_and_is_named_by_the_seed_as_its_row_says(answer, rows):
    by_seed, known = set(), set()
    for row in rows:
        known |= {*row.presets(), *(name.removeprefix(PRESET) for name in row.also)}
        by_seed |= set(row.presets()) if row.seed else set()
    assert [r["key"] for r in answer["recipes"] if r["key"] not in known] == [], "name them in tests/catalogue.tsv"
    assert {r["key"]: r["seed_named"] for r in answer["recipes"]} == {r["key"]: r["key"] in by_seed for r in answer["recipes"]}


def test_the_catalogue_itself_is_whole(rows, tmp_path):
    assert Counter(row.section for row in rows) == {1: 11, 2: 20, 3: 13, 4: 5, 5: 14, 6: 7}
    assert len({row.named for row in rows}) == len(rows) and all(row.by for row in rows)
    kinds = {name.split(":")[0] for row in rows for provider in row.by for name in provider.split("|")}
    assert kinds <= {"preset", "code", "index", *families()}
    copy = tmp_path / "copy.tsv"
    write_rows(rows, copy)
    assert read_rows(copy) == rows


def test_a_row_can_be_missing(answer):
    rules = "code:core.sampling.candidates.BASE_RULES"
    for there in ("preset:ance", "filter:margin", "signal:infonce.similarity=l2", f"{rules}=known-positive", "preset:magic|preset:ance"):
        assert is_there(there, answer), there
    gone = ["preset:magic", "preset:magic|filter:magic", "source:margin", "signal:infonce.heat", "signal:infonce.similarity=l3"]
    for name in (*gone, "code:core.magic", "code:core.sampling.candidates.MAGIC", f"{rules}=magic"):
        assert not is_there(name, answer), name


def test_the_answer_tells_all_of_every_preset_and_piece(answer):
    assert [r["key"] for r in answer["recipes"]] == list(PRESETS) and answer["families"] == FAMILY_TITLES
    keys = {f"{p['family']}:{p['key']}" for p in answer["pieces"]}
    assert len(keys) == len(answer["pieces"])
    for recipe in answer["recipes"]:
        assert recipe["title"] and recipe["url"].startswith("https://") and recipe["family"] in FAMILY_TITLES
        assert recipe["cost"] in ("free", "low", "medium", "high") and recipe["difficulty"] in ("easy", "medium", "hard")
        assert isinstance(recipe["seed_named"], bool) and recipe["lines"] > 0
        assert recipe["pieces"] and set(recipe["pieces"]) <= keys
    for piece in answer["pieces"]:
        assert piece["url"].startswith("http") and piece["idea"] and piece["lines"] > 0


def test_no_piece_of_the_product_is_left_out(root):
    """Every dataclass with a key in a room of pieces: read from the source, for importing all of it takes half a minute."""
    found = set()
    for room in ("sampling", "encode", "search", "audit", "train"):
        for path in sorted((root / "core" / room).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.ClassDef) and any("dataclass" in ast.unparse(d) for d in node.decorator_list) and _has_key(node):
                    found.add(f"{room}.{path.stem}.{node.name}")
    listed = {f"{piece.__module__.removeprefix('core.')}.{piece.__name__}" for own in families().values() for piece in own}
    assert found - listed == set(), "add their tuple to core/lab/catalogue.py"
    assert {"sampling.pickers.SimANS", "encode.encoders.CharNgram"} <= found


def _has_key(node: ast.ClassDef) -> bool:
    targets = [t for part in node.body if isinstance(part, ast.Assign) for t in part.targets]
    targets += [part.target for part in node.body if isinstance(part, ast.AnnAssign) and part.value is not None]
    return {"key", "title"} <= {ast.unparse(target) for target in targets}


def test_lines_are_those_of_code_without_lesson_and_citation():
    from core.sampling.batch import DPR, InBatch
    from core.sampling.pickers import SimANS
    from core.sampling.sources import RandomCorpus

    assert DPR.year == 2020 and own_pieces(PRESETS["in-batch"].recipe) == [InBatch]
    # @dataclass, class, two parameters, def log_weights and its two lines; is_random is code, the title is not.
    assert piece_lines(SimANS) == 8
    assert recipe_lines(PRESETS["random"].recipe) == piece_lines(RandomCorpus)
    assert recipe_lines(PRESETS["ance-denoised"].recipe) > recipe_lines(PRESETS["ance"].recipe) > 0
