"""The doctor's counts against plain loops, on the small collections and on faults planted by hand."""

from __future__ import annotations

import json
from collections import Counter
from itertools import chain

import numpy as np
import pytest

from core.audit.doctor import CHECKS, examine, report
from core.audit.doctor_finding import SEVERITIES, Patient
from core.audit.doctor_labels import suspected_wrong_labels
from core.audit.doctor_language import guess_languages
from core.audit.doctor_pairs import near_pairs
from core.cli import main
from core.corpus.load import load_corpus
from core.search.twins import twin_matrix
from core.search.words import number_words, tokenize
from tests.corpus_files import document, lines, load, tsv, with_files, write


def by_hand(corpus) -> dict[str, int]:
    """Double loops over everything that the report counts, but for what reading threw away."""
    texts = corpus.document_texts()
    query_texts = corpus.query_texts()
    positives = [set(corpus.positives.positives(row).tolist()) for row in range(corpus.n_queries)]

    def shingles(text: str) -> frozenset:
        words = tokenize(text)
        return frozenset(zip(words, words[1:], words[2:], strict=False)) if len(words) >= 3 else frozenset([tuple(words)])

    sets = [shingles(text) for text in texts]
    having: dict[tuple, list[int]] = {}
    near = set()
    for row, held in reversed(list(enumerate(sets))):  # each meets those behind it; pairs without a common shingle overlap by nothing
        least = 0.8 * len(held) - 1e-9  # the union is no smaller than either
        for other, n_shared in Counter(chain.from_iterable(having.get(one, ()) for one in held)).items():
            if n_shared >= least and n_shared >= 0.8 * (len(held) + len(sets[other]) - n_shared) - 1e-9:
                near.add((row, other))
        for one in held:
            having.setdefault(one, []).append(row)
    twins = {row: {a + b - row for a, b in near if row in (a, b)} for row in {r for pair in near for r in pair}}
    train = {" ".join(tokenize(query_texts[row])) for row in corpus.split_query_rows("train").tolist()} - {""}
    known = {(q, d) for q, docs in enumerate(positives) for d in docs}
    truth = [] if corpus.truth is None else zip(*corpus.truth.only_positive().pairs()[:2], strict=True)
    return {
        "documents": len(texts),
        "queries": len(query_texts),
        "positives": sum(len(docs) for docs in positives),
        "queries_without_positives": sum(not docs for docs in positives),
        "multi_positive_queries": sum(len(docs) > 1 for docs in positives),
        "exact_duplicates": len(texts) - len(set(texts)),
        "near_duplicate_pairs": len(near),
        "positive_twins": sum(len({t for d in docs for t in twins.get(d, ())} - docs) for docs in positives),
        "train_test_query_overlap": sum(
            " ".join(tokenize(query_texts[row])) in train for row in corpus.split_query_rows("test").tolist()
        ),
        "empty_documents": sum(not tokenize(text) for text in texts),
        "empty_queries": sum(not tokenize(text) for text in query_texts),
        **({} if corpus.truth is None else {"unlabelled_positives": sum(pair not in known for pair in truth)}),
    }


def check_against_loops(corpus):
    found = report(corpus, examine(corpus))
    assert json.loads(json.dumps(found)) == found
    expected = by_hand(corpus)
    assert {key: found[key] for key in expected} == expected
    return found


def faulty():
    """Every fault that the doctor knows, a few times."""
    words = "one two three four five six seven eight nine ten eleven twelve".split()
    long = " ".join(words * 2)
    records = [document(i, text=f"{i} own text of number {i} with words {words[i % 12]} {i * 7}") for i in range(16)]
    records += [document(i, title="", text=long + more) for i, more in ((16, ""), (17, ""), (18, " thirteen"))]
    records += [document(i, title="", text="") for i in (19, 20)]
    queries = [{"_id": f"q{i}", "text": f"question {i} {words[i]}"} for i in range(10)]
    queries += [{"_id": "q10", "text": "Question 1, two!"}, {"_id": "q11", "text": " "}, {"_id": "q12", "text": "nobody asks"}]
    train = [(f"q{i}", f"d{i}", 1) for i in range(8)] + [("q1", "d16", 1), ("q2", "d17", 1), ("q2", "d16", 1), ("q3", "nowhere", 1)]
    train += [("q4", "d17", 1)]
    test = [("q8", "d8", 1), ("q10", "d9", 1), ("q11", "d10", 0), ("q7", "d7", 1), ("gone", "d1", 1)]
    files = with_files(corpus=lines(*records), queries=lines(*queries), train=tsv(*train), test=tsv(*test))
    return files | {"qrels/truth.tsv": tsv(("q1", "d16", 1), ("q1", "d5", 2), ("q8", "lost", 1))}


def test_counts_equal_loops_on_planted_faults():
    found = check_loops_and_ids(load(faulty()))
    assert found["dangling_qrels"] == 3 and found["exact_duplicates"] == 2 and found["near_duplicate_pairs"] == 4
    # q1: copies d17 and d18 of d16; q2: d18; q4: d16 and d18.
    assert found["positive_twins"] == 5
    kinds = {finding["kind"]: finding for finding in found["findings"]}
    assert kinds["dangling_qrels"]["figures"]["by_file"] == {"qrels/test.tsv": 1, "qrels/train.tsv": 1, "qrels/truth.tsv": 1}
    # q10 has the words of q1; q7 stood in both files and was left in test by the reader.
    assert found["train_test_query_overlap"] == 2 and kinds["train_test_query_overlap"]["figures"] == {"same_words": 1, "same_id": 1}
    assert kinds["train_test_query_overlap"]["remedy"] == "drop_seen_queries"
    severities = [SEVERITIES.index(finding["severity"]) for finding in found["findings"]]
    assert severities == sorted(severities) and severities[0] == 0


def check_loops_and_ids(corpus):
    found = report(corpus, examine(corpus))
    expected = by_hand(corpus) | {"train_test_query_overlap": found["train_test_query_overlap"]}  # loops see no dropped ids
    assert {key: found[key] for key in expected} == expected
    for finding in found["findings"]:
        assert len(finding["examples"]) <= 50 and finding["count"] <= finding["of"]
        assert bool(finding["count"]) >= bool(finding["examples"])
        assert finding["sentence"].endswith(".")
    return found


def test_counts_equal_loops_on_the_tiny_corpus(tiny_corpus):
    found = check_against_loops(tiny_corpus)
    assert found["exact_duplicates"] == 1 and found["near_duplicate_pairs"] == 1 and found["dangling_qrels"] == 0
    assert {f["kind"] for f in found["findings"]} >= {check.__name__ for check in CHECKS} - {"train_test_overlap", "near_duplicates"}


@pytest.mark.parametrize("name", ["stackfaq", pytest.param("scifact", marks=pytest.mark.slow)])
def test_counts_equal_loops_on_real_collections(shared_data, name):
    folder = shared_data / name
    corpus = load_corpus(folder)
    found = check_against_loops(corpus)
    doc_ids, query_ids = set(corpus.doc_ids()), set(corpus.query_ids())
    rows = [line.split("\t") for path in sorted(folder.glob("qrels/*.tsv")) for line in path.read_text().splitlines()[1:]]
    assert found["dangling_qrels"] == sum(q not in query_ids or d not in doc_ids for q, d, _ in rows)


@pytest.mark.parametrize("threshold", [0.3, 0.5, 0.8, 1.0])
def test_near_pairs_are_those_of_the_twin_matrix(threshold):
    rng = np.random.default_rng(int(threshold * 10))
    letters = list("abcdefgh")
    texts = [" ".join(rng.choice(letters, rng.integers(0, 25))) for _ in range(40)]
    for _ in range(80):
        words = texts[rng.integers(40)].split()
        for _ in range(rng.integers(0, 3)):
            if words:
                words[rng.integers(len(words))] = rng.choice(letters)
        texts.append(" ".join(words))
    matrix = twin_matrix(texts, np.arange(len(texts)), threshold=threshold).tocoo()
    expected = {pair for pair in zip(matrix.row.tolist(), matrix.col.tolist(), strict=True) if pair[0] < pair[1]}
    terms, starts, _ = number_words(texts)
    found = near_pairs(terms, starts, threshold=threshold)
    assert {(a, int(b)) for a in range(len(texts)) for b in found.twins(a) if a < b} == expected
    assert found.n_pairs == len(expected) > 0 and found.is_complete
    assert set(found.examples(5)) <= expected
    cut = near_pairs(terms, starts, threshold=threshold, most=1)
    assert cut.n_pairs <= found.n_pairs and not cut.is_complete


def test_a_thousand_equal_texts_are_counted_without_looking_at_each_pair():
    terms, starts, _ = number_words(["the same words in every text"] * 3000 + ["", ""])
    assert near_pairs(terms, starts, most=0).n_pairs == 3000 * 2999 // 2 + 1


def test_a_wrong_label_is_suspected_and_a_right_one_is_not():
    topics = ["cats purr and sleep", "ships sail the sea", "bread needs flour", "stars shine at night"]
    records = [document(i, title="", text=f"{topics[i % 4]} {i}") for i in range(40)]
    queries = [{"_id": "q0", "text": "kittens and cats"}, {"_id": "q1", "text": "sail the ocean"}, {"_id": "q2", "text": "and the flour"}]
    # q0's label is about ships: no common word, while the many documents about cats share words with it.
    train, test = [("q0", "d1", 1), ("q1", "d5", 1)], [("q2", "d2", 1)]
    corpus = load(with_files(corpus=lines(*records), queries=lines(*queries), train=tsv(*train), test=tsv(*test)))
    finding = suspected_wrong_labels(Patient(corpus))
    assert finding.figures["rank"] == 20
    assert [(e.query_row, e.doc_row) for e in finding.examples] in ([], [(0, 1)])
    assert finding.figures["without_common_word"] == 1


def test_empty_queries_are_not_the_same_query():
    queries = [{"_id": f"q{i}", "text": text} for i, text in enumerate(["", "?!", "a question"])]
    files = with_files(queries=lines(*queries), train=tsv(("q0", "d0", 1)), test=tsv(("q1", "d1", 1), ("q2", "d2", 1)))
    found = check_against_loops(load(files))
    assert found["empty_queries"] == 2 and found["train_test_query_overlap"] == 0


def test_languages_are_told_apart_by_script_and_common_words():
    texts = [
        "the cat sat on the mat and it was happy with that",
        "der Hund und die Katze sind nicht auf dem Sofa",
        "le chat est dans la maison avec les enfants",
        "кошка сидит на ковре и спит",
        "猫がマットの上に座っている",
        "我们今天去公园散步",
        "Alpha Beta",
        "",
    ]
    names, codes = guess_languages(*number_words(texts))
    told = [names[code] for code in codes]
    assert told == ["English", "German", "French", "Cyrillic script", "Japanese", "Chinese", "too short", "too short"]


def test_the_command_prints_the_promised_keys(capsys, tmp_path):
    folder = write(faulty(), tmp_path / "faulty")
    assert main(["doctor", str(folder), "--workspace", str(tmp_path / "w"), "--json"]) == 0
    *text, last = capsys.readouterr().out.strip().splitlines()
    answer = json.loads(last)
    promised = ("documents", "queries", "positives", "dangling_qrels", "queries_without_positives", "exact_duplicates")
    promised += ("near_duplicate_pairs", "train_test_query_overlap")
    assert [answer[key] for key in promised] == [21, 13, 14, 3, 3, 2, 4, 2]
    assert any(line.startswith("FAULT: ") for line in text)
    # From the cache the counts of what reading dropped are the same.
    assert main(["doctor", str(folder), "--workspace", str(tmp_path / "w"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out.strip().splitlines()[-1]) == answer
