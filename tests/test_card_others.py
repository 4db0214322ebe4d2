"""Who else took a candidate, and its near copies: against the files and a plain loop."""

from __future__ import annotations

import numpy as np
import pyarrow.parquet as parquet
import pytest

from core.audit.card_others import near_copies, who_took
from core.corpus.load import load_corpus
from core.sampling.context import MiningContext, Vectors
from core.search.words import tokenize
from core.train.results import TrialResults
from tests import corpus_exports as out
from tests.trained import train_tiny


@pytest.fixture(scope="module")
def trials(tmp_path_factory, tiny_folder, tiny_corpus):
    folder = tmp_path_factory.mktemp("others")
    return {name: TrialResults(train_tiny(tiny_corpus, tiny_folder, folder / name, name)) for name in ("bm25", "ance", "in-batch")}


def test_each_trial_says_what_its_files_say(trials):
    listed = [(name, f"trial {name}", results.folder) for name, results in trials.items()]
    rows = [row for name in ("bm25", "ance") for info in trials[name].tables() for row in parquet.read_table(info.path).to_pylist()]
    for pair in sorted({(r["query_row"], r["doc_row"]) for r in rows})[::17]:
        found = {taken.trial_id: taken for taken in who_took(listed, *pair)}
        assert set(found) == {"bm25", "ance"}, "a trial that mines nothing took nothing"
        for name, taken in found.items():
            own = [r for info in trials[name].tables() for r in parquet.read_table(info.path).to_pylist()]
            own = [r for r in own if (r["query_row"], r["doc_row"]) == pair]
            uses = sum(r["times_used"] for r in own)
            assert (taken.times_used, taken.n_minings) == (uses, len(own))
            assert taken.rank == (min(r["rank"] for r in own) if own else None)
            assert taken.pull == pytest.approx(sum(r["times_used"] * (r["weight"] or 0) for r in own), rel=1e-5)
            last = "" if not own else "kept" if own[-1]["kept"] else own[-1]["rule"]
            assert taken.fate == ("used" if uses else last)


def test_the_one_that_pulled_most_comes_first_and_a_lost_folder_is_left_out(trials, tmp_path):
    listed = [("gone", "gone", tmp_path / "gone"), *((n, n, r.folder) for n, r in trials.items())]
    used = next(r for r in parquet.read_table(trials["ance"].tables()[0].path).to_pylist() if r["times_used"])
    found = who_took(listed, used["query_row"], used["doc_row"])
    assert {t.trial_id for t in found} == {"bm25", "ance"}
    assert [t.pull for t in found] == sorted((t.pull for t in found), reverse=True)


def test_near_copies_are_those_of_a_loop_over_all_documents(tmp_path):
    """Forty words, from the end of which more and more are changed: shares from 1 down to 0, some on each side of .8."""
    words = [f"word{i}" for i in range(40)]
    texts = [" ".join(words[: 40 - n] + [f"other{n}x{i}" for i in range(n)]) for n in range(0, 40, 2)] + ["short", "short!", ""]
    rows = [{"q": f"query {i}", "a": text} for i, text in enumerate(texts) if text]
    corpus = load_corpus(out.write_csv(rows, tmp_path / "copies.csv"))
    rng = np.random.default_rng(0)
    shapes = ((corpus.n_queries, 4), (corpus.n_documents, 4))
    vectors = Vectors(*(rng.normal(size=shape).astype(np.float32) for shape in shapes), "cosine", "noise")
    context = MiningContext(corpus, lambda which: vectors)
    runs = [{tuple(w[i : i + 3]) for i in range(max(1, len(w) - 2))} for w in map(tokenize, corpus.document_texts())]
    n_found = 0
    for doc_row in range(corpus.n_documents):
        shares = [len(runs[doc_row] & other) / len(runs[doc_row] | other) for other in runs]
        expected = {j for j, share in enumerate(shares) if share >= 0.8 and j != doc_row}
        found = near_copies(corpus, context, vectors, doc_row)
        assert {row for row, _ in found} == expected
        assert [share for _, share in found] == sorted((shares[row] for row, _ in found), reverse=True)
        n_found += len(found)
    assert n_found >= 6


def test_a_query_without_the_pair_is_no_fault(trials):
    listed = [("bm25", "bm25", trials["bm25"].folder)]
    [taken] = who_took(listed, 0, 10**6)
    assert taken.rank is None and taken.fate == "" and taken.pull == 0 and np.isfinite(taken.pull)
