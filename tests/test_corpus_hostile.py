"""300 and more malformed inputs over all formats: a corpus or a CorpusError, soon, and nothing written outside the cache."""

from __future__ import annotations

import gzip
import io
import json
import random
import time
import zipfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.corpus.corpus import Corpus
from core.corpus.limits import Limits
from core.corpus.load import load_corpus, load_uploads
from core.errors import CorpusError
from tests.corpus_files import flawless, zipped

SECONDS = 2.0
LIMITS = Limits(file_bytes=4 << 20, line_bytes=1 << 20, archive_bytes=8 << 20, documents=5000, queries=5000, judgements=20_000)
FORMATS = (None, "beir", "trec", "csv", "tsv", "jsonl", "json", "parquet")


def survives(files: dict[str, bytes], **options) -> Corpus | None:
    """The corpus, or None after a CorpusError whose every fault is a sentence; fails after two seconds."""
    started = time.process_time()
    try:
        corpus = load_uploads(files, "hostile", limits=LIMITS, **options)
        assert corpus.positives.n_pairs >= 1 and len(corpus.document_texts()) == corpus.n_documents
        assert not any("\0" in text for text in corpus.document_texts() + corpus.query_texts())
        for text in corpus.document_texts() + corpus.query_texts():
            text.encode()
    except CorpusError as error:
        assert error.faults and all(fault.strip() and "Traceback" not in fault for fault in error.faults)
        corpus = None
    assert time.process_time() - started < SECONDS
    return corpus


def parquet(rows: list[dict]) -> bytes:
    import pyarrow as pa
    import pyarrow.parquet as pq

    sink = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows), sink)
    return sink.getvalue()


PAIRS = [{"query": f"what is {i}", "positive": f"text {i}", "negative": f"other {i}", "grade": 1} for i in range(20)]
GOOD: dict[str, bytes] = {
    "pairs.csv": b"query,positive,negative,grade\n" + b"".join(b'what is %d,"text, %d",other %d,1\n' % (i, i, i) for i in range(20)),
    "pairs.tsv": b"query\tpositive\n" + b"".join(b"what is %d\ttext %d\n" % (i, i) for i in range(20)),
    "mined.jsonl": b"".join(
        json.dumps({"query": r["query"], "pos": [r["positive"]], "neg": [r["negative"]]}).encode() + b"\n" for r in PAIRS
    ),
    "pairs.json": json.dumps(PAIRS).encode(),
    "pairs.parquet": parquet(PAIRS),
    "pairs.csv.gz": gzip.compress(b"query,positive\n" + b"a b,c d\n" * 20),
    "mine.zip": zipped(flawless()),
}
TREC = {
    "docs.trectext": b"".join(b"<DOC>\n<DOCNO>d%d</DOCNO>\n<TEXT>text %d</TEXT>\n</DOC>\n" % (i, i) for i in range(20)),
    "topics.txt": b"".join(b"<top>\n<num> Number: %d\n<title> question %d\n</top>\n" % (i, i) for i in range(20)),
    "qrels.txt": b"".join(b"%d 0 d%d 1\n" % (i, i) for i in range(20)),
}


def test_the_good_ones_are_good():
    assert all(survives({name: data}) is not None for name, data in GOOD.items()) and survives(TREC) is not None


MEAN = [b"\0", b"\xff\xfe", b"\xef\xbb\xbf", b"\r", b"\n\n", b'"', b"'", b"\t", b",", b"{", b"[", b"]}", b"<DOC>", b"</DOC>", b"<top>"]
MEAN += [
    b"NaN",
    b"1e999",
    b"-1",
    b"\xed\xa0\x80",
    b'"\\ud800"',
    b"\\u0000",
    b"<script>",
    b"\xc3",
    b"9" * 400,
    b"../../x",
    b"%s%n",
    b"A" * 5000,
]


@st.composite
def spoilt(draw, data: bytes) -> bytes:
    """The bytes after up to four cuts, insertions, repeats or flips."""
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, max(len(data) - 1, 0)))
        kind = draw(st.sampled_from(("insert", "cut", "end", "flip", "repeat")))
        if kind == "insert":
            data = data[:at] + draw(st.sampled_from(MEAN)) + data[at:]
        elif kind == "cut":
            data = data[:at] + data[at + draw(st.integers(1, 60)) :]
        elif kind == "end":
            data = data[:at]
        elif kind == "flip" and data:
            data = data[:at] + bytes([data[at] ^ draw(st.integers(1, 255))]) + data[at + 1 :]
        else:
            data = data[:at] + data[at : at + 40] * draw(st.integers(2, 50)) + data[at:]
    return data


QUICK = settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True, database=None)


@pytest.mark.parametrize("name", list(GOOD))
@QUICK
@given(data=st.data())
def test_a_spoilt_file(name, data):
    survives({name: data.draw(spoilt(GOOD[name]))})


@pytest.mark.parametrize("name", list(TREC))
@QUICK
@given(data=st.data())
def test_a_spoilt_file_of_trec(name, data):
    survives(TREC | {name: data.draw(spoilt(TREC[name]))}, format=data.draw(st.sampled_from((None, "trec"))))


@QUICK
@given(
    st.binary(max_size=300),
    st.sampled_from(FORMATS),
    st.sampled_from(("x.csv", "x.jsonl", "x", "x.parquet", "qrels.txt", "corpus.jsonl", "x.gz")),
)
def test_noise_in_any_format(noise, format, name):
    survives({name: noise}, format=format)


ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=8,
)
FIELDS = st.sampled_from(
    ("query", "pos", "neg", "positive", "negative", "positive_passages", "labels", "scores", "label", "title", "split", "id", "")
)


@QUICK
@given(st.lists(st.dictionaries(FIELDS, ANY_JSON, max_size=6), min_size=1, max_size=6), st.sampled_from(("x.jsonl", "x.json")))
def test_json_of_any_shape(records, name):
    text = json.dumps(records) if name == "x.json" else "".join(json.dumps(record) + "\n" for record in records)
    survives({name: text.encode()})


@QUICK
@given(
    st.lists(st.lists(st.text(max_size=12), max_size=5), max_size=8),
    st.sampled_from((",", "\t", ";", "|", '"')),
    st.sampled_from(("csv", "tsv")),
)
def test_cells_of_any_text(rows, delimiter, format):
    text = "query,answer\n" * (len(rows) % 2) + "\n".join(delimiter.join(row) for row in rows)
    survives({f"x.{format}": text.encode("utf-8", "replace")}, format=format)


def bomb(n_bytes: int) -> bytes:
    return zipped({"pairs.csv": b"query,positive\n" + b"a" * n_bytes})


GROWING = b'<!DOCTYPE t [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;">]><topics><topic number="1">&b;&b;</topic></topics>'
EXTERNAL = b'<!DOCTYPE t [<!ENTITY x SYSTEM "file:///etc/passwd">]><topics><topic number="1">&x;</topic></topics>'
HAND_MADE: dict[str, dict[str, bytes]] = {
    "zip bomb of a table": {"b.zip": bomb(4_000_000)},
    "gzip bomb": {"b.csv.gz": gzip.compress(b"query,positive\n" + b"a" * 100_000_000)},
    "gzip cut short": {"b.csv.gz": GOOD["pairs.csv.gz"][:30]},
    "gzip within gzip": {"b.csv.gz": gzip.compress(gzip.compress(GOOD["pairs.csv"]))},
    "path out of a zip": {"b.zip": zipped({"../../../evil.csv": GOOD["pairs.csv"]})},
    "absolute path in a zip": {"b.zip": zipped({"/tmp/evil.csv": GOOD["pairs.csv"]})},
    "zip in a zip": {"b.zip": zipped({"inner.zip": zipped(flawless())})},
    "empty zip": {"b.zip": zipped({})},
    "upload with a path": {"../../evil.csv": GOOD["pairs.csv"]},
    "nothing": {},
    "empty file": {"x.csv": b""},
    "header alone": {"x.csv": b"query,positive\n"},
    "one column": {"x.csv": b"query\na\nb\n"},
    "a line of 900 kB": {"x.csv": b"query,positive\n" + b"a," + b"b " * 450_000 + b"\n"},
    "a line beyond the limit": {"x.jsonl": json.dumps({"query": "a", "positive": "b" * 2_000_000}).encode()},
    "a quote left open": {"x.csv": b'query,positive\n"a,b\n' + b"c,d\n" * 50_000},
    "many columns": {"x.csv": b",".join(b"c%d" % i for i in range(20_000)) + b"\n" + b"," * 19_999 + b"\n"},
    "ten thousand negatives": {"x.jsonl": json.dumps({"query": "a", "pos": ["b"], "neg": [f"n{i}" for i in range(10_000)]}).encode()},
    "deep JSON": {"x.jsonl": b'{"query":' + b"[" * 100_000},
    "deep JSON list": {"x.json": b"[" * 100_000},
    "a huge number": {"x.jsonl": b'{"query": "a", "positive": ' + b"9" * 10_000 + b"}"},
    "a score beyond a float": {"x.jsonl": b'{"query": "a", "pos": ["b"], "neg": ["c"], "neg_scores": [1%s]}' % (b"0" * 400)},
    "a label beyond a float": {"x.jsonl": b'{"query": "a", "pos": "b", "label": 1%s}' % (b"0" * 400)},
    "halves of characters": {"x.jsonl": b'{"query": "\\ud800", "positive": "\\udfff"}\n'},
    "NUL everywhere": {"x.csv": b"query,positive\n\0a,\0b\n"},
    "entities that grow": TREC | {"topics.xml": GROWING},
    "an external entity": TREC | {"topics.xml": EXTERNAL},
    "tags without end": TREC | {"docs.trectext": b"<DOC>" * 100_000},
    "fields without end": TREC | {"docs.trectext": b"<DOC>" + b"<TEXT>" * 100_000 + b"</DOC>"},
    "angles alone": TREC | {"docs.trectext": b"<DOC><DOCNO>d1</DOCNO><TEXT>" + b"<P " * 150_000 + b"</TEXT></DOC>"},
    "topics without end": TREC | {"topics.txt": b"<top>\n<num> 1" * 50_000},
    "attributes without end": TREC | {"topics.txt": b"<top " * 100_000 + b"<top><num>1<title>a</top>"},
    "grades beyond int16": TREC | {"qrels.txt": b"1 0 d1 99999999999999999999\n1 0 d2 nan\n2 0 d2 1\n"},
    "five columns": TREC | {"qrels.txt": b"1 0 d1 1 1\n"},
    "only topics": {"topics.txt": TREC["topics.txt"]},
    "parquet of lists of lists": {"x.parquet": parquet([{"query": [["a"]], "positive": [[1, 2]]}])},
    "parquet of bytes": {"x.parquet": parquet([{"query": b"\xff\xfe", "positive": b"\0"}])},
    "parquet without rows": {"x.parquet": parquet([{"query": "a", "positive": "b"}])[:60]},
    "parquet in a csv": {"x.csv": GOOD["pairs.parquet"]},
    "csv in a parquet": {"x.parquet": GOOD["pairs.csv"]},
    "an id that another text has": {"x.jsonl": b'{"query":"a","pos":[{"docid":"1","text":"x"},{"docid":"1","text":"y"}]}\n'},
    "tables of which one is empty": {"corpus.csv": b"", "queries.csv": b"id,text\n1,a\n", "qrels.csv": b"qid,docid,score\n1,1,1\n"},
    "tables without ids": {"corpus.csv": b"a,b\n1,2\n", "queries.csv": b"a,b\n1,2\n", "qrels.csv": b"a,b\n1,2\n"},
    "an Excel file": {"x.xlsx": zipped({"xl/workbook.xml": b"<x/>"})},
    "a picture": {"x.csv": b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 40},
}  # fmt: skip


@pytest.mark.parametrize("name", list(HAND_MADE))
def test_hand_made(name):
    for format in (None, "csv", "jsonl", "trec"):
        survives(HAND_MADE[name], format=format)


def test_nothing_is_written_outside_the_cache(tmp_path: Path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in").mkdir()
    rng = random.Random(0)
    for i, (name, files) in enumerate(HAND_MADE.items()):
        folder = tmp_path / "in" / str(i)
        folder.mkdir()
        for file, data in files.items():
            (folder / Path(file).name).write_bytes(data)
        before = sorted(path for path in tmp_path.rglob("*") if "cache" not in path.parts)
        spec = f"{rng.choice(['', 'trec:', 'csv:', 'parquet:'])}{folder}"
        for place in (spec, *(str(path) for path in folder.iterdir())):
            try:
                load_corpus(place, cache=tmp_path / "cache", limits=LIMITS)
            except CorpusError as error:
                assert error.faults, name
        assert sorted(path for path in tmp_path.rglob("*") if "cache" not in path.parts) == before, name
    assert not Path("/tmp/evil.csv").exists()


def test_bombs_are_named():
    with pytest.raises(CorpusError, match="times its size"):
        load_uploads(HAND_MADE["zip bomb of a table"], "x", limits=LIMITS)
    with pytest.raises(CorpusError, match="unpacks to more than"):
        load_uploads(HAND_MADE["gzip bomb"], "x", limits=LIMITS)
    with pytest.raises(CorpusError, match="leads out of the archive"):
        load_uploads(HAND_MADE["path out of a zip"], "x", limits=LIMITS)


def test_markup_is_kept_as_text_and_entities_are_not_followed():
    corpus = survives(
        TREC | {"topics.txt": b"<top>\n<num> 1\n<title> is 1 &lt; 2 <script>x</script>\n</top>"} | {"qrels.txt": b"1 0 d1 1\n"}
    )
    assert corpus is not None and corpus.query_texts()[0].startswith("is 1 < 2")
    external = HAND_MADE["an external entity"] | {"qrels.txt": b"1 0 d1 1\n"}
    corpus = survives({name: data for name, data in external.items() if name != "topics.txt"})
    assert corpus is not None and corpus.query_texts() == ["&x;"]


def test_a_damaged_archive_of_tables():
    whole = zipped({"train.csv": GOOD["pairs.csv"], "test.csv": GOOD["pairs.csv"].replace(b"what", b"who")})
    with zipfile.ZipFile(io.BytesIO(whole)) as archive:
        assert len(archive.namelist()) == 2
    assert survives({"t.zip": whole}) is not None
    for cut in (10, len(whole) // 2, len(whole) - 5):
        assert survives({"t.zip": whole[:cut]}) is None
