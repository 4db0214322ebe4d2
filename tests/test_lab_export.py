"""Exports of a trial: the chosen pairs against a plain loop, every format read back, equal bytes, and what is refused."""

from __future__ import annotations

import csv
import json
import zipfile
from collections import defaultdict

import numpy as np
import pyarrow.parquet as parquet
import pytest

from core.corpus.load import load_corpus
from core.errors import CorpusError, ParameterError, TrialError
from core.evaluate.metrics import MEASURES
from core.lab.export import FORMATS, Export, export_trial, format_of, refusal
from core.lab.export_tables import strictly_falling
from core.lab.mined_set import Choice, mined_set, tables_of
from core.sampling.decisions import read_decided
from core.train.results import TrialResults
from tests.small import make_corpus
from tests.trained import train_tiny

SETS = ("triplet", "n-tuple", "labeled-list", "flagembedding", "tevatron")


@pytest.fixture(scope="module")
def results(tiny_corpus, tiny_folder, tmp_path_factory) -> TrialResults:
    return TrialResults(train_tiny(tiny_corpus, tiny_folder, tmp_path_factory.mktemp("ance") / "trial", "ance", epochs=3))


@pytest.fixture(scope="module")
def filtered(tiny_corpus, tiny_folder, tmp_path_factory) -> TrialResults:
    """A trial whose filters refuse some candidates."""
    return TrialResults(train_tiny(tiny_corpus, tiny_folder, tmp_path_factory.mktemp("nv") / "trial", "nv-retriever"))


@pytest.fixture(scope="module")
def in_batch(tiny_corpus, tiny_folder, tmp_path_factory) -> TrialResults:
    return TrialResults(train_tiny(tiny_corpus, tiny_folder, tmp_path_factory.mktemp("batch") / "trial", "in-batch"))


def pairs_by_query(found) -> dict[int, list[int]]:
    return {group.query_row: group.negatives.tolist() for group in found.groups(0, len(found))}


def looped(results, corpus, refresh: str, of: str) -> dict[int, dict[int, tuple[int, int]]]:
    """query -> document -> (rank, table) of its latest row, by a plain loop over the files."""
    tables = {"all": results.tables(), "last": results.tables()[-1:]}[refresh]
    last, used, kept = {}, defaultdict(int), defaultdict(int)
    for info in tables:
        for row in parquet.read_table(info.path).to_pylist():
            pair = row["query_row"], row["doc_row"]
            last[pair] = (row["rank"], info.number)
            used[pair] += row["times_used"]
            kept[pair] += row["kept"]
    texts = corpus.document_texts()
    found: dict = defaultdict(dict)
    for (q, d), place in last.items():
        positives = corpus.positives.positives(q).tolist()
        is_wanted = {"used": used[q, d] > 0, "kept": kept[q, d] > 0, "all": True}[of]
        if is_wanted and d not in positives and texts[d] not in [texts[p] for p in positives]:
            found[q][d] = place
    return found


@pytest.mark.parametrize("refresh", ["last", "all"])
@pytest.mark.parametrize("of", ["used", "kept", "all"])
def test_the_chosen_pairs_are_those_of_a_plain_loop(results, tiny_corpus, refresh, of):
    found = pairs_by_query(mined_set(results, tiny_corpus, Choice(refresh=refresh, of=of)))
    expected = looped(results, tiny_corpus, refresh, of)
    assert {q: set(docs) for q, docs in found.items()} == {q: set(docs) for q, docs in expected.items()}
    for q, docs in found.items():
        assert docs == sorted(docs, key=lambda d: (*expected[q][d], d))


def test_what_a_filter_refused_is_not_kept(filtered, tiny_corpus):
    kept, all_ = (pairs_by_query(mined_set(filtered, tiny_corpus, Choice(of=of, refresh="all"))) for of in ("kept", "all"))
    expected = looped(filtered, tiny_corpus, "all", "kept")
    assert {q: set(docs) for q, docs in kept.items()} == {q: set(docs) for q, docs in expected.items()} and kept != all_


def test_orders_and_the_first_of_each_query(results, tiny_corpus):
    whole = mined_set(results, tiny_corpus, Choice(of="kept", order="score"))
    few = mined_set(results, tiny_corpus, Choice(of="kept", order="score", per_query=3))
    vectors = results.snapshot(results.snapshots()[-1])
    for group, short in zip(whole.groups(0, len(whole)), few.groups(0, len(few)), strict=True):
        queries, documents = (np.asarray(v, np.float64) for v in (vectors.queries, vectors.documents))
        q = queries[group.query_row] / np.linalg.norm(queries[group.query_row])
        d = documents[group.negatives] / np.linalg.norm(documents[group.negatives], axis=1, keepdims=True)
        assert np.allclose(group.scores, d @ q, atol=1e-5) and (np.diff(group.scores) <= 0).all()
        assert short.negatives.tolist() == group.negatives[:3].tolist()
    pulled = mined_set(results, tiny_corpus, Choice(of="used", order="pull", refresh="all"))
    assert pairs_by_query(pulled) != pairs_by_query(mined_set(results, tiny_corpus, Choice(of="used", refresh="all")))


def test_suspects_and_doubted_pairs_stay_out(results, tiny_corpus):
    from core.audit.trial_table import read_trial_table
    from core.corpus.judgements import Judgements
    from core.sampling.context import CorpusIndex

    choice = Choice(of="kept", refresh="all")
    whole = mined_set(results, tiny_corpus, choice)
    clean = mined_set(results, tiny_corpus, Choice(of="kept", refresh="all", suspects=False))
    table = read_trial_table(results, tiny_corpus, CorpusIndex(tiny_corpus).twins(0.8))
    assert mined_set(results, tiny_corpus, Choice(of="kept", refresh="all", suspects=False), table=table).n_negatives == clean.n_negatives
    assert 0 < clean.n_negatives < whole.n_negatives and any("suspects" in note for note in clean.notes)
    some = next(whole.groups(0, 1))
    doubted = Judgements.from_pairs([some.query_row], some.negatives[:1], [1], tiny_corpus.n_queries)
    less = pairs_by_query(mined_set(results, tiny_corpus, choice, leave_out=doubted))
    assert less.get(some.query_row, []) == some.negatives[1:].tolist()


def written(results, corpus, name, out, choice=None, **more) -> dict:
    return export_trial(Export(results, corpus, choice or Choice(), **more), format_of(name), out)


@pytest.mark.parametrize("suffix", [".parquet", ".jsonl"])
@pytest.mark.parametrize("name", SETS)
def test_a_set_comes_back_through_our_own_readers(results, tiny_corpus, tmp_path, name, suffix):
    if suffix not in FORMATS[name].suffixes:
        pytest.skip("the library reads JSON lines alone")
    choice = Choice(of="kept", refresh="all")
    written(results, tiny_corpus, name, tmp_path / f"mined{suffix}", choice)
    mined, again = mined_set(results, tiny_corpus, choice), load_corpus(tmp_path / f"mined{suffix}")
    texts, queries = tiny_corpus.document_texts(), tiny_corpus.query_texts()
    n = mined.width if name == "n-tuple" else None
    expected = {queries[q]: [texts[d] for d in docs[:n]] for q, docs in pairs_by_query(mined).items() if n is None or len(docs) >= n}
    found: dict = defaultdict(list)
    for q, d in zip(again.imported.query_rows, again.imported.doc_rows, strict=True):
        found[again.query_texts([q])[0]].append(again.document_texts([d])[0])
    # A copy under another id is the same text: it counts once where ids do not travel.
    unique = {q: list(dict.fromkeys(docs)) for q, docs in expected.items()}
    assert found == unique if name != "tevatron" else found == expected
    positives = {(again.query_texts([q])[0], again.document_texts([d])[0]) for q, d in zip(*again.positives.pairs()[:2], strict=True)}
    own = [(queries[q], texts[d]) for q, d in zip(*mined.positives.pairs()[:2], strict=True) if queries[q] in expected]
    assert positives == set(own)
    if name == "tevatron":
        assert set(again.query_ids()) == set(tiny_corpus.query_ids(mined.query_rows))
    if name == "flagembedding":
        row = int(again.query_rows([again.query_ids()[0]])[0])
        group = next(g for g in mined.groups(0, len(mined)) if queries[g.query_row] == again.query_texts([row])[0])
        assert again.imported.scores[again.imported.query_rows == row].tolist() == group.scores.tolist()
        assert again.imported.positive_scores[row] == group.positive_scores.min()


@pytest.mark.parametrize("name", list(FORMATS))
def test_equal_trials_give_equal_bytes(results, tiny_corpus, tmp_path, name):
    decided = {("train-1", "bread-7"): "false-negative"}
    for suffix in FORMATS[name].suffixes:
        outs = [tmp_path / f"{i}{suffix}" for i in range(2)]
        for out in outs:
            counts = written(results, tiny_corpus, name, out, decided=decided)
            assert json.dumps(counts)
        assert outs[0].read_bytes() == outs[1].read_bytes() and outs[0].stat().st_size > 0
    assert [path for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_trec_eval_measures_what_we_measured(results, tiny_corpus, tmp_path):
    import ir_measures

    written(results, tiny_corpus, "trec-run", tmp_path / "run.txt")
    written(results, tiny_corpus, "qrels", tmp_path / "qrels.txt")
    run = list(ir_measures.read_trec_run(str(tmp_path / "run.txt")))
    qrels = list(ir_measures.read_trec_qrels(str(tmp_path / "qrels.txt")))
    ours = results.per_query().to_pydict()
    queries = set(tiny_corpus.query_ids(ours["query_row"]))
    qrels = [row for row in qrels if row.query_id in queries]
    for measure in (m for m in MEASURES if m != "MAP"):
        theirs = {m.query_id: m.value for m in ir_measures.iter_calc([ir_measures.parse_measure(measure)], qrels, run)}
        for row, value in zip(ours["query_row"], ours[f"trial.{measure}"], strict=True):
            assert theirs[tiny_corpus.query_ids([row])[0]] == pytest.approx(value, abs=1e-9)


def test_equal_scores_keep_their_order_for_tools_that_sort():
    scores = np.float32([3, 3, 3, 1, 7, 7])
    first = np.array([1, 0, 0, 0, 1, 0], bool)
    fallen = strictly_falling(scores, first)
    assert (np.diff(fallen)[~first[1:]] < 0).all() and np.allclose(fallen, scores, rtol=1e-6) and scores[1] == 3
    assert fallen[[0, 3, 4]].tolist() == [3, 1, 7]


def test_the_negatives_as_a_run_hold_every_pair(results, tiny_corpus, tmp_path):
    counts = written(results, tiny_corpus, "trec-negatives", tmp_path / "n.txt", Choice(of="kept"))
    rows = [line.split() for line in (tmp_path / "n.txt").read_text().splitlines()]
    mined = mined_set(results, tiny_corpus, Choice(of="kept"))
    own = {(tiny_corpus.query_ids([q])[0], d) for q, docs in pairs_by_query(mined).items() for d in tiny_corpus.doc_ids(docs)}
    assert {(row[0], row[2]) for row in rows} == own and len(rows) == counts["rows"] == len(own)
    assert all(row[1] == "Q0" and row[5] == "ance-tiny" for row in rows)
    for a, b in zip(rows, rows[1:], strict=False):
        assert a[0] != b[0] or (int(b[3]) == int(a[3]) + 1 and float(b[4]) < float(a[4]))


def test_verdicts_drop_promote_or_change_nothing(results, tiny_corpus, tmp_path):
    choice = Choice(of="kept")
    group = next(mined_set(results, tiny_corpus, choice).groups(0, 1))
    query = tiny_corpus.query_ids([group.query_row])[0]
    ids = tiny_corpus.doc_ids(group.negatives[:3])
    decided = dict(zip([(query, i) for i in ids], ("false-negative", "near-duplicate", "true-negative"), strict=True))
    found = {}
    for use in ("drop", "promote", "keep"):
        export = Export(results, tiny_corpus, Choice(of="kept", verdict_use=use), decided=decided)
        found[use] = next(g for g in export.mined.groups(0, len(export.mined)) if g.query_row == group.query_row)
    assert found["keep"].negatives.tolist() == group.negatives.tolist()
    copies = set(tiny_corpus.document_texts(group.negatives[:2]))
    left = [d for d in group.negatives.tolist() if tiny_corpus.document_texts([d])[0] not in copies]
    assert found["drop"].negatives.tolist() == found["promote"].negatives.tolist() == left
    assert set(found["promote"].positives) == {*group.positives.tolist(), int(group.negatives[0])}
    assert found["drop"].positives.tolist() == group.positives.tolist()

    counts = written(results, tiny_corpus, "qrels-corrected", tmp_path / "c.txt", decided=decided)
    written(results, tiny_corpus, "qrels", tmp_path / "q.txt")
    before, after = ({tuple(row.split()) for row in (tmp_path / f"{n}.txt").read_text().splitlines()} for n in "qc")
    assert after - before == {(query, "0", ids[0], "1"), (query, "0", ids[2], "0")} and before <= after and counts["promoted"] == 1
    for suffix in (".csv", ".jsonl"):
        written(results, tiny_corpus, "verdicts", tmp_path / f"v{suffix}", decided=decided)
        assert read_decided(tmp_path / f"v{suffix}") == decided
    with (tmp_path / "v.csv").open(newline="") as file:
        assert next(csv.reader(file)) == ["query_id", "doc_id", "verdict"]


def test_the_corpus_comes_back_with_and_without_its_set(results, tiny_corpus, tmp_path):
    written(results, tiny_corpus, "beir", tmp_path / "plain.zip")
    assert load_corpus(tmp_path / "plain.zip").fingerprint == tiny_corpus.fingerprint
    choice = Choice(of="kept", verdict_use="promote")
    decided = {("train-1", "bread-7"): "false-negative"}
    written(results, tiny_corpus, "beir-mined", tmp_path / "mined.zip", choice, decided=decided)
    again, mined = load_corpus(tmp_path / "mined.zip"), Export(results, tiny_corpus, choice, decided=decided).mined
    assert again.imported.doc_rows.tolist() == mined.doc_rows.tolist() and again.imported.scores.tolist() == mined.scores.tolist()
    new = set(zip(*again.splits["train"].pairs()[:2], strict=True)) - set(zip(*tiny_corpus.splits["train"].pairs()[:2], strict=True))
    assert new == {(int(tiny_corpus.query_rows(["train-1"])[0]), int(tiny_corpus.doc_rows(["bread-7"])[0]))}
    with zipfile.ZipFile(tmp_path / "mined.zip") as archive:
        assert {info.date_time for info in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}


def test_texts_and_ids_are_not_mangled(tmp_path):
    odd = ["tab\there", "line\none\r\ntwo", "quote \" and , comma"]
    odd += ["sep\u2028par\u2029nel\x85", "emoji 😀 ünï", "</script>", "=1+1", "\\u0041"]
    corpus = make_corpus(odd, ["tab\tline\nquote? emoji script 1 u0041", "sep comma"], [(0, 0), (1, 1)], [(0, 0), (1, 1)])
    folder = train_tiny(corpus, "nowhere", tmp_path / "trial", "bm25", epochs=1)
    results, choice = TrialResults(folder), Choice(of="all")
    mined = mined_set(results, corpus, choice)
    for name in SETS:
        for suffix in FORMATS[name].suffixes:
            written(results, corpus, name, tmp_path / f"m{suffix}", choice)
            again = load_corpus(tmp_path / f"m{suffix}")
            expected = {corpus.document_texts([d])[0] for d in [*mined.doc_rows, *mined.positives.pairs()[1]]}
            assert set(again.document_texts()) <= expected and again.query_texts([0]) == corpus.query_texts([int(mined.query_rows[0])])


def test_ids_with_white_space_fit_no_trec_file(tmp_path, results):
    import pyarrow as pa

    base = make_corpus(["a b", "c d"], ["a?", "c?"], [(0, 0), (1, 1)], [(0, 0), (1, 1)])
    for spoilt in ("a b", "tab\t", "", "nbsp\u00a0x", "line\n"):
        documents = base.documents.set_column(0, "doc_id", pa.array([spoilt, "d1"]))
        corpus = type(base)("odd", documents, base.queries, base.splits)
        for name in ("qrels", "trec-run", "trec-negatives"):
            export = Export(results, corpus)
            assert "white space" in refusal(export, format_of(name))
            with pytest.raises(CorpusError, match="white space"):
                export_trial(export, format_of(name), tmp_path / "x.txt")
    assert list(tmp_path.iterdir()) == []


def test_what_cannot_be_written_is_one_sentence(results, in_batch, tiny_corpus, tmp_path):
    assert "mined nothing" in refusal(Export(in_batch, tiny_corpus), format_of("triplet"))
    assert "judged" in refusal(Export(results, tiny_corpus), format_of("verdicts"))
    assert refusal(Export(results, tiny_corpus), format_of("n-tuple")) == ""
    with pytest.raises(ParameterError, match="must end in .parquet or .jsonl"):
        written(results, tiny_corpus, "triplet", tmp_path / "x.csv")
    with pytest.raises(ParameterError, match="does not exist"):
        written(results, tiny_corpus, "triplet", tmp_path / "no" / "x.jsonl")
    with pytest.raises(ParameterError, match="--format must be one of triplet, n-tuple"):
        format_of("nonsense")
    with pytest.raises(TrialError, match="There is no mining 99"):
        tables_of(results.tables(), "99")
    for wrong in ({"of": "most"}, {"refresh": "first"}, {"per_query": -1}, {"order": "random"}):
        with pytest.raises(ParameterError, match="Export"):
            Choice(**wrong)
    unfinished = TrialResults(tmp_path / "t")
    unfinished.__dict__["config"] = results.config
    assert "not finished" in refusal(Export(unfinished, tiny_corpus), format_of("trec-run"))


def test_progress_is_told_and_ends_with_the_whole(results, tiny_corpus, tmp_path):
    told: list[float] = []
    written(results, tiny_corpus, "triplet", tmp_path / "m.jsonl", tell=told.append)
    assert told == sorted(told) and told[-1] == 1.0 and len(told) > 1
