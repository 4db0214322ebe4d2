"""Every format a corpus may come in, against the same corpus read from BEIR's layout."""

from __future__ import annotations

import gzip
import json
import zipfile

import pytest

from core.corpus.cells import peek
from core.corpus.load import absolute_spec, load_corpus, load_uploads
from core.corpus.roles import guess_mapping
from core.corpus.spec import parse_spec
from core.corpus.write import write_beir
from core.errors import CorpusError
from tests import corpus_exports as out
from tests.corpus_files import flawless, with_files, write, zipped


def zip_folder(folder, path):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(folder.rglob("*")):
            if file.is_file():
                archive.write(file, file.relative_to(folder).as_posix())
    return path


def test_written_and_read_again_it_is_the_same(tiny_corpus, tmp_path):
    again = load_corpus(write_beir(tiny_corpus, tmp_path / "out"))
    assert again.fingerprint == tiny_corpus.fingerprint
    with pytest.raises(CorpusError, match="is not empty"):
        write_beir(tiny_corpus, tmp_path / "out")


def test_three_tables_in_parquet_are_the_same_corpus(tiny_corpus, tmp_path):
    folder = out.write_tables(tiny_corpus, tmp_path / "tables")
    assert load_corpus(folder).fingerprint == tiny_corpus.fingerprint
    zipped_too = zip_folder(folder, tmp_path / "tables.zip")
    assert load_corpus(zipped_too, cache=tmp_path / "cache").fingerprint == tiny_corpus.fingerprint


@pytest.mark.parametrize("topics", ["classic", "xml", "tsv"])
@pytest.mark.parametrize("documents", ["trectext", "jsonl"])
def test_trec_gives_the_same_judged_texts(tiny_corpus, tmp_path, topics, documents):
    corpus = load_corpus(out.write_trec(tiny_corpus, tmp_path / "trec", topics, documents))
    assert corpus.doc_ids() == tiny_corpus.doc_ids() and corpus.query_ids() == tiny_corpus.query_ids()
    for split in tiny_corpus.splits:
        assert out.judged_texts(corpus, split, True) == out.judged_texts(tiny_corpus, split, True)
    assert corpus.truth == tiny_corpus.truth and corpus.splits == tiny_corpus.splits


def test_trec_judgements_without_a_split_are_divided_by_the_rule(tmp_path):
    (tmp_path / "docs.txt").write_text("".join(f"<DOC>\n<DOCNO>d{i}</DOCNO>\n<TEXT>text <P>{i}</P></TEXT>\n</DOC>\n" for i in range(20)))
    (tmp_path / "topics.txt").write_text("".join(f"<top>\n<num> Number: {i}\n<desc>\nquestion {i}\n</top>\n" for i in range(10)))
    (tmp_path / "qrels").write_text("".join(f"{i} 0 d{i} 1\n{i} 0 d{i + 10} 0\n" for i in range(10)))
    corpus = load_corpus(tmp_path)
    assert out.split_sizes(corpus) == {"train": 8, "test": 2}
    assert sum(int((table.grades == 0).sum()) for table in corpus.splits.values()) == 10
    assert corpus.document_texts([3]) == ["text  3"] and corpus.query_texts([4]) == ["question 4"]
    assert load_corpus(f"trec:{tmp_path}").fingerprint == corpus.fingerprint


def test_a_plain_text_in_a_topic_and_old_encodings(tmp_path):
    (tmp_path / "docs.sgml").write_bytes("<doc><docno>d1</docno><headline>Über &amp; so</headline><p>caf\xe9</p></doc>".encode("latin-1"))
    (tmp_path / "topics.xml").write_text('<topics><topic number="7">a &lt;b&gt; question</topic></topics>')
    (tmp_path / "x.qrels").write_text("7\t0\td1\t2\n")
    corpus = load_corpus(tmp_path)
    assert corpus.document_texts() == ["Über & so café"] and corpus.query_texts() == ["a <b> question"]
    assert any("read as Latin-1" in note for note in corpus.notes)


@pytest.mark.parametrize("ending", ["csv", "tsv", "jsonl", "parquet", "csv.gz", "json"])
def test_a_table_of_pairs_says_the_same(tiny_corpus, tmp_path, ending):
    rows = out.positive_pairs(tiny_corpus)
    path = tmp_path / f"pairs.{ending}"
    if ending in ("csv", "tsv"):
        out.write_csv(rows, path, "," if ending == "csv" else "\t")
    elif ending == "csv.gz":
        path.write_bytes(gzip.compress(out.write_csv(rows, tmp_path / "pairs").read_bytes()))
    elif ending == "json":
        path.write_text(json.dumps(rows))
    else:
        (out.write_jsonl if ending == "jsonl" else out.write_parquet)(rows, path)
    corpus = load_corpus(path, cache=tmp_path / "cache")
    for split in tiny_corpus.splits:
        assert out.judged_texts(corpus, split) == out.judged_texts(tiny_corpus, split)
    assert set(corpus.query_ids()) <= set(tiny_corpus.query_ids()) and set(corpus.doc_ids()) <= set(tiny_corpus.doc_ids())
    assert load_corpus(path, cache=tmp_path / "cache").fingerprint == corpus.fingerprint
    assert load_uploads({path.name: path.read_bytes()}, "pairs").fingerprint == corpus.fingerprint


def test_question_and_answer_in_two_columns_without_a_header(tmp_path):
    rows = [(f"what is thing {i}, really?", f'it is "{i}"\nand more') for i in range(10)]
    path = tmp_path / "faq.csv"
    path.write_text("".join('"{}","{}"\n'.format(q, a.replace('"', '""')) for q, a in rows))
    corpus = load_corpus(path)
    assert corpus.query_texts() == [q for q, _ in rows] and corpus.document_texts() == [a for _, a in rows]
    assert out.split_sizes(corpus) == {"train": 8, "test": 2}


def test_columns_that_are_named_in_the_address_win(tmp_path):
    path = out.write_csv([{"a": f"words {i}", "b": f"other {i}", "n": i % 2} for i in range(10)], tmp_path / "t.csv")
    corpus = load_corpus(f"csv:{path}?query=b&positive=a&grade=n")
    assert corpus.query_texts([0]) == ["other 0"] and corpus.document_texts([0]) == ["words 0"]
    assert sum(out.split_sizes(corpus).values()) == 5  # grade 0 is judged non-relevant
    with pytest.raises(CorpusError, match="no column 'zz'.*It has 'a', 'b', 'n'"):
        load_corpus(f"{path}?query=zz")
    with pytest.raises(CorpusError, match="no such option"):
        load_corpus(f"{path}?colour=b")


def test_train_and_test_in_two_files(tmp_path):
    for name, first in (("train", 0), ("test", 100)):
        out.write_jsonl([{"question": f"q {i}", "answer": f"a {i}"} for i in range(first, first + 8)], tmp_path / f"{name}.jsonl")
    assert out.split_sizes(load_corpus(tmp_path)) == {"train": 8, "test": 8}


def test_strange_cells(tmp_path):
    text = (
        "\ufeffquery,answer,answer,id\r\n" + "".join(f"q{i},<script>alert({i})</script>\0,second {i},{i}\r\n" for i in range(10)) + "\r\n"
    )
    path = tmp_path / "odd.csv"
    path.write_bytes(text.encode())
    corpus = load_corpus(path)
    assert corpus.document_texts([0]) == ["<script>alert(0)</script>"] and corpus.query_texts([9]) == ["q9"]
    assert load_corpus(f"{path}?positive=answer.2").document_texts([1]) == ["second 1"]


def test_numbers_and_nan_in_parquet(tmp_path):
    rows = [{"query_id": float(i), "query": f"question {i}", "positive": f"text {i}", "docid": i, "title": None} for i in range(10)]
    rows.append({"query_id": float("nan"), "query": "no id", "positive": "text 3", "docid": 3, "title": None})
    corpus = load_corpus(out.write_parquet(rows, tmp_path / "n.parquet"))
    assert corpus.query_ids() == [*map(str, range(10)), "q11"] and corpus.doc_ids() == list(map(str, range(10)))


def test_encodings_are_named_or_refused(tmp_path):
    path = tmp_path / "l.csv"
    path.write_bytes(b"query,answer\n" + "".join(f"frage ä{i},größe {i}\n" for i in range(10)).encode("cp1252"))
    with pytest.raises(CorpusError, match=r"l.csv:2: byte 0xE4 at position 19 .* is not UTF-8"):
        load_corpus(path)
    assert load_corpus(f"{path}?encoding=cp1252").query_texts([0]) == ["frage ä0"]
    path.write_bytes("query,answer\n".encode("utf-16") + "a,b\n".encode("utf-16-le"))
    with pytest.raises(CorpusError, match="UTF-16"):
        load_corpus(path)
    with pytest.raises(CorpusError, match="no known text encoding"):
        load_corpus(f"{path}?encoding=klingon")


def test_beir_forms(tmp_path):
    expected = load_uploads(flawless(), "mine").fingerprint
    nested = write(flawless(), tmp_path / "a" / "mine").parent
    assert load_corpus(nested).fingerprint == expected
    assert load_corpus(f"beir:{nested}").fingerprint == expected
    (tmp_path / "z.zip").write_bytes(zipped(flawless(), "inside/"))
    assert load_corpus(tmp_path / "z.zip").fingerprint == expected
    headless = {name: data.split(b"\n", 1)[1] if name.endswith(".tsv") else data for name, data in flawless().items()}
    assert load_uploads(headless, "mine").fingerprint == expected
    zeros = load_uploads(with_files(train=flawless()["qrels/train.tsv"] + b"q0\td9\t0\n"), "mine")
    assert zeros.splits["train"].contains(0, 9) and zeros.positives.grade_of(0, 9) == 0
    packed = {f"{name}.gz": gzip.compress(data) for name, data in flawless().items()}
    assert load_corpus(write(packed, tmp_path / "gz")).fingerprint == expected


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        (["anchor", "positive", "negative"], ("anchor", "positive", ("negative",))),
        (["query", "pos", "neg", "pos_scores", "neg_scores"], ("query", "pos", ("neg",))),
        (["query_id", "query", "positive_passages", "negative_passages"], ("query", "positive_passages", ("negative_passages",))),
        (["Question", "Answer"], ("Question", "Answer", ())),
        (["qid", "query", "doc_id", "title", "text", "relevance", "split"], ("query", "text", ())),
        (["anchor", "positive", "negative_1", "negative_2"], ("anchor", "positive", ("negative_1", "negative_2"))),
    ],
)
def test_guesses(columns, expected):
    found = guess_mapping(columns, [])
    assert (found.query, found.positive, found.negative) == expected


def test_addresses(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert absolute_spec("csv:faq.csv?query=a b&positive=c&negative=n1,n2") == f"csv:{tmp_path}/faq.csv?query=a b&positive=c&negative=n1,n2"
    again = parse_spec(absolute_spec("csv:faq.csv?query=a%26b"))
    assert again.options == {"query": "a&b"} and again.format == "csv"
    assert absolute_spec("sample:lab") == "sample:lab" and absolute_spec("irds:beir/scifact") == "irds:beir/scifact"
    (tmp_path / "what?.csv").write_text("query,answer\n" + "a,b\n" * 3)
    assert load_corpus("what?.csv").n_queries == 1
    for bad in ("csv:", "docx:x", "\0", "x" * 5000, "~nobody-here/x", "hf:", "csv:?query=a"):
        with pytest.raises(CorpusError):
            load_corpus(bad)


def test_preview(tmp_path):
    columns, rows = peek(b"question;answer\nwhat;that\n", "a.csv")
    assert columns == ["question", "answer"] and rows == [{"question": "what", "answer": "that"}]
    with pytest.raises(CorpusError, match="holds no row"):
        peek(b"", "a.csv")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["stackfaq", "scifact", "medquad_liveqa", "tldr", "wordnet_examples"])
def test_real_collections_by_every_route(shared_data, tmp_path, name):
    expected = load_corpus(shared_data / name)
    assert load_corpus(zip_folder(shared_data / name, tmp_path / "z.zip")).fingerprint == expected.fingerprint
    assert load_corpus(write_beir(expected, tmp_path / "beir")).fingerprint == expected.fingerprint
    assert load_corpus(out.write_tables(expected, tmp_path / "tables")).fingerprint == expected.fingerprint
    rows = out.positive_pairs(expected) if name in ("stackfaq", "scifact") else out.positive_pairs(expected)[:3000]
    found = [load_corpus(out.write_csv(rows, tmp_path / "p.csv")), load_corpus(out.write_parquet(rows, tmp_path / "p.parquet"))]
    assert found[0].fingerprint == found[1].fingerprint
    if len(rows) < 3000:
        for split in expected.splits:
            assert out.judged_texts(found[0], split) == out.judged_texts(expected, split)
    trec = load_corpus(out.write_trec(expected, tmp_path / "trec"))
    assert (trec.splits, trec.truth, trec.doc_ids()) == (expected.splits, expected.truth, expected.doc_ids())
    # Old mark-up (<P>) within a text is no text for TREC: only there may the texts differ.
    differ = sum(" ".join(a.split()) != " ".join(b.split()) for a, b in zip(trec.document_texts(), expected.document_texts(), strict=True))
    assert differ == 0
