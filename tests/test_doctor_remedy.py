"""Cleaned copies, protected recipes, and what the doctor says of a recipe that does not fit."""

from __future__ import annotations

import pytest

from core.audit.doctor import examine, report
from core.audit.doctor_fit import check_recipe, obstacles
from core.audit.doctor_remedy import CLEANING, REMEDIES, cleaned, protect_twins
from core.errors import CorpusError, ParameterError
from core.sampling.presets import PRESETS
from core.sampling.settings import apply_settings
from tests.corpus_files import document, lines, load, tsv, with_files
from tests.test_doctor import faulty


def labels_by_text(table, corpus) -> set:
    texts, queries = corpus.document_texts(), corpus.query_ids()
    return {(queries[q], texts[d], g) for q, d, g in zip(*(column.tolist() for column in table.pairs()), strict=True)}


def test_merging_keeps_every_label_under_the_first_of_equal_documents():
    corpus = load(faulty())
    clean = cleaned(corpus, "merge_duplicates")
    texts = corpus.document_texts()
    assert clean.document_texts() == list(dict.fromkeys(texts))
    assert clean.doc_ids() == [corpus.doc_ids()[texts.index(text)] for text in dict.fromkeys(texts)]
    for name, table in corpus.splits.items():
        assert labels_by_text(clean.splits[name], clean) == labels_by_text(table, corpus)
    assert labels_by_text(clean.truth, clean) == labels_by_text(corpus.truth, corpus)
    assert clean.name == "mine cleaned" and clean.fingerprint != corpus.fingerprint
    assert "2 of 21 documents" in clean.notes[-1]
    assert report(clean, examine(clean))["exact_duplicates"] == 0


def test_all_remedies_together_leave_nothing_to_clean():
    corpus = load(faulty())
    clean = cleaned(corpus, *CLEANING)
    found = report(clean, examine(clean))
    assert (found["exact_duplicates"], found["train_test_query_overlap"], found["empty_documents"]) == (0, 0, 0)
    assert clean.n_documents == 18 and clean.query_ids() == corpus.query_ids()
    assert clean.splits["train"].n_pairs == corpus.splits["train"].n_pairs - 1  # q2 had both copies
    with pytest.raises(CorpusError, match="nothing of that kind"):
        cleaned(clean, *CLEANING)


def test_an_empty_positive_is_not_dropped():
    corpus = load(with_files(corpus=lines(*(document(i) for i in range(1, 20)), {"_id": "d0", "text": ""}, {"_id": "e", "text": " "})))
    assert "e" not in cleaned(corpus, "drop_empty").doc_ids()
    assert cleaned(corpus, "drop_empty").positives.n_pairs == corpus.positives.n_pairs


def test_no_test_split_is_emptied():
    queries = [{"_id": f"q{i}", "text": "the same"} for i in range(2)]
    files = with_files(queries=lines(*queries), train=tsv(("q0", "d0", 1)), test=tsv(("q1", "d1", 1)))
    with pytest.raises(CorpusError, match="no test query would be left"):
        cleaned(load(files), "drop_seen_queries")


def test_only_known_remedies_clean(tiny_corpus):
    for keys in ((), ("protect_twins",), ("nonsense",)):
        with pytest.raises(ParameterError):
            cleaned(tiny_corpus, *keys)
    assert set(CLEANING) < set(REMEDIES)
    assert {finding.remedy for finding in examine(tiny_corpus)} <= {*REMEDIES, ""}


def test_every_mined_lane_is_protected_once():
    for preset in PRESETS.values():
        recipe = protect_twins(preset.recipe)
        for lane in recipe.mined:
            assert [rule.key for rule in lane.filters].count("near-duplicates") == 1
        assert protect_twins(recipe) == recipe


def test_what_does_not_fit_is_told_in_sentences(tiny_corpus):
    assert check_recipe(tiny_corpus, PRESETS["in-batch"].recipe, 8) == []
    bm25 = apply_settings(PRESETS["bm25"].recipe, ["window.last=61"])
    assert any("rank window 1-61 needs 61 candidates, this corpus has 60" in s for s in check_recipe(tiny_corpus, bm25))
    behind = apply_settings(PRESETS["bm25"].recipe, ["window.last=90", "window.first=61"])
    assert "begins behind the last" in obstacles(tiny_corpus, behind)[0] == check_recipe(tiny_corpus, behind)[0]
    n_pairs = tiny_corpus.splits["train"].n_pairs
    assert check_recipe(tiny_corpus, PRESETS["in-batch"].recipe, n_pairs) == []
    assert f"larger than the {n_pairs} training pairs" in check_recipe(tiny_corpus, PRESETS["in-batch"].recipe, n_pairs + 1)[0]
    queue = apply_settings(PRESETS["moco"].recipe, ["batch.size=1000"])
    assert any("1,000 documents are kept" in sentence for sentence in check_recipe(tiny_corpus, queue))


def test_a_corpus_without_training_pairs_is_an_obstacle():
    corpus = load(with_files(train=tsv(("q0", "d0", 1)), test=None))
    assert "no pairs to train on" in obstacles(corpus, PRESETS["in-batch"].recipe)[0]
