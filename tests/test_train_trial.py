"""A whole trial: what it writes, equal bytes for equal seeds, stop and resume, several positives, honest refusals."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from core.corpus.corpus import Corpus
from core.errors import ParameterError, TrialError
from core.evaluate.metrics import MEASURES, evaluate_run, means
from core.sampling.presets import preset
from core.train.config import TrialConfig, read_config, write_config
from core.train.events import read_events
from core.train.results import TrialResults
from core.train.trial import Stopped, run_trial
from tests.small import make_corpus


def make_trial(folder: Path, corpus: Corpus, recipe="bm25", **changes) -> Path:
    settings = {"epochs": 2, "batch_size": 8, "snapshots": 2} | changes
    chosen = preset(recipe).recipe if isinstance(recipe, str) else recipe
    write_config(folder, TrialConfig(corpus="in memory", recipe=chosen.to_dict(), **settings))
    return folder


def events_of(folder: Path, kind: str) -> list[dict]:
    return [e for e in read_events(folder / "events.jsonl")[0] if e["kind"] == kind]


def bytes_of(folder: Path) -> dict[str, bytes]:
    """Everything that must be equal for equal seeds: weights, vectors, candidates, run, per-query measures."""
    kept = {}
    for path in sorted(folder.rglob("*")):
        if path.suffix in (".npy", ".parquet", ".safetensors"):
            kept[str(path.relative_to(folder))] = path.read_bytes()
    return kept


@pytest.fixture(scope="module")
def trained(tmp_path_factory, tiny_corpus):
    folder = make_trial(tmp_path_factory.mktemp("trial") / "one", tiny_corpus, "ance", epochs=3)
    return folder, run_trial(folder, threads=1, corpus=tiny_corpus)


def test_a_trial_writes_what_pages_and_scripts_read(trained, tiny_corpus):
    folder, result = trained
    assert json.loads((folder / "result.json").read_text()) == result
    assert set(result["metrics"]) == set(result["untrained"]) == set(result["bm25"]) == set(MEASURES)
    assert set(result["seconds"]) == {"train", "mine", "evaluate", "total"} and all(v >= 0 for v in result["seconds"].values())
    assert result["seconds"]["train"] + result["seconds"]["mine"] + result["seconds"]["evaluate"] <= result["seconds"]["total"] + 1e-6
    assert [e["epoch"] for e in events_of(folder, "evaluation")] == [0, 1, 2, 3], "before the first step, then every epoch"
    assert events_of(folder, "evaluation")[0]["metrics"] == pytest.approx(result["untrained"])
    assert {e["name"] for e in events_of(folder, "baseline")} == {"untrained", "bm25"}
    assert len(events_of(folder, "refresh")) == 3 and not (folder / "checkpoint").exists()
    assert set(result["truth_metrics"]) == set(MEASURES)
    results = TrialResults(folder)
    assert len(results.tables()) == 3 and len(results.snapshots()) == 2
    assert results.snapshot(results.snapshots()[-1]).documents.shape[0] == tiny_corpus.n_documents


def test_the_run_on_disk_gives_the_reported_measures(trained, tiny_corpus):
    folder, result = trained
    run = TrialResults(folder).run()
    rows = tiny_corpus.split_query_rows("test")
    ranked = np.full((len(rows), 100), -1, np.int64)
    for i, row in enumerate(rows):
        own = run.filter(np.asarray(run["query_row"]) == row)
        ranked[i, : own.num_rows] = own["doc_row"].to_numpy()
    again = means(evaluate_run(ranked, tiny_corpus.splits["test"], rows))
    assert {m: again[m] for m in MEASURES} == pytest.approx(result["metrics"])
    assert TrialResults(folder).per_query()["trial.RR@10"].to_numpy().mean() == pytest.approx(result["metrics"]["RR@10"])


def test_no_known_positive_was_ever_a_candidate_that_is_kept(trained, tiny_corpus):
    folder, _ = trained
    results = TrialResults(folder)
    table = results.candidates(results.tables())
    kept = table.filter(table["kept"])
    assert kept.num_rows > 0
    assert not tiny_corpus.positives.contains(kept["query_row"].to_numpy(), kept["doc_row"].to_numpy()).any()
    used = table["times_used"].to_numpy()
    n_pairs = len(tiny_corpus.splits["train"].only_positive().pairs()[0])
    assert used.sum() == 3 * 2 * n_pairs, "2 negatives a pair in each of 3 epochs"
    assert used[~table["kept"].to_numpy()].sum() == 0
    weights = table["weight"].to_numpy(zero_copy_only=False)
    assert np.isnan(weights[used == 0]).all() and (weights[used > 0] > 0).all() and (weights[used > 0] <= 1 / 0.05 + 1e-3).all()


@pytest.mark.parametrize("recipe", ["ance", "moco", "memory-queue", "bm25-random"])
def test_equal_seeds_give_equal_bytes_and_a_stop_changes_nothing(recipe, tmp_path, tiny_corpus):
    whole = make_trial(tmp_path / "whole", tiny_corpus, recipe, epochs=3)
    run_trial(whole, threads=1, corpus=tiny_corpus)
    again = make_trial(tmp_path / "again", tiny_corpus, recipe, epochs=3)
    run_trial(again, threads=1, corpus=tiny_corpus)
    assert bytes_of(whole) == bytes_of(again)
    other = make_trial(tmp_path / "other", tiny_corpus, recipe, epochs=3, seed=1)
    run_trial(other, threads=1, corpus=tiny_corpus)
    assert bytes_of(whole) != bytes_of(other)

    stopped = make_trial(tmp_path / "stopped", tiny_corpus, recipe, epochs=3)
    for n_steps in (2, 1, 3):  # in the middle of an epoch, again at once, later
        calls = iter(range(n_steps))
        with pytest.raises(Stopped):
            run_trial(stopped, threads=1, corpus=tiny_corpus, should_stop=lambda calls=calls: next(calls, None) is None)
        assert (stopped / "checkpoint" / "state.json").exists() and not (stopped / "result.json").exists()
    run_trial(stopped, threads=1, corpus=tiny_corpus)
    assert bytes_of(whole) == bytes_of(stopped)
    assert len(events_of(stopped, "resume")) == 3


@pytest.mark.parametrize("encoder", ["static-scratch", "char-ngram"])
@pytest.mark.parametrize("towers", ["shared", "separate"])
def test_other_encoders_and_towers_train_and_load(encoder, towers, tmp_path, tiny_corpus):
    from sentence_transformers import SentenceTransformer

    folder = make_trial(tmp_path / "t", tiny_corpus, "in-batch", epochs=1, encoder={"key": encoder, "towers": towers})
    run_trial(folder, threads=1, corpus=tiny_corpus)
    peer = SentenceTransformer(str(folder / "model"), device="cpu", trust_remote_code=encoder == "char-ngram")
    texts = tiny_corpus.document_texts()[:5]
    vectors = TrialResults(folder).vectors(tiny_corpus).documents[:5]
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    np.testing.assert_allclose(peer.encode_document(texts), unit, atol=1e-5)


def test_training_learns_what_the_pairs_say(tmp_path):
    animals = ["cat", "dog", "horse", "cow", "sheep", "goat", "duck", "hen"]
    codes = ["zor", "blik", "quan", "fump", "drel", "waxo", "yint", "plov"]
    documents = [f"{code} is a word" for code in codes] + [f"filler text number {i}" for i in range(30)]
    queries = [f"tell me about {a}" for a in animals] + [f"{a} please" for a in animals]
    corpus = make_corpus(documents, queries, [(i, i) for i in range(8)], [(8 + i, i) for i in range(8)])
    result = run_trial(make_trial(tmp_path / "t", corpus, "random", epochs=40, learning_rate=0.02), threads=1, corpus=corpus)
    assert result["untrained"]["RR@10"] < 0.6 < 0.95 < result["metrics"]["RR@10"]


def one_line(error: Exception, *parts: str) -> None:
    assert "\n" not in str(error) and all(part in str(error) for part in parts), str(error)


def test_corpora_that_cannot_be_trained_on_say_why(tmp_path):
    cases = [
        (make_corpus(["only one"], ["q", "r"], [(0, 0)], [(1, 0)]), "bm25", "1 document"),
        (make_corpus(["a b", "c d"], ["a", "c"], [], [(1, 0)]), "bm25", "no training pair"),
        (make_corpus(["a b", "c d"], ["a", "c"], [(0, 0)], []), "bm25", "no held-out query"),
        (make_corpus(["a b", "c d"], ["a", "c"], [(0, 0)], [(1, 1)]), "in-batch", "one training pair"),
    ]
    for i, (corpus, recipe, says) in enumerate(cases):
        with pytest.raises(ParameterError) as raised:
            run_trial(make_trial(tmp_path / str(i), corpus, recipe), threads=1, corpus=corpus)
        one_line(raised.value, says)
    moco = make_trial(tmp_path / "moco", cases[3][0], "moco", encoder={"key": "static-scratch", "towers": "separate"})
    with pytest.raises(ParameterError, match="shared towers"):
        run_trial(moco, threads=1, corpus=cases[3][0])


def test_a_batch_or_window_larger_than_the_data_is_told_and_trained(tmp_path, tiny_corpus):
    folder = make_trial(tmp_path / "t", tiny_corpus, "rank-window", epochs=1, batch_size=5000)
    run_trial(folder, threads=1, corpus=tiny_corpus)
    told = " ".join(e["text"] for e in events_of(folder, "log"))
    assert "Batch size 5000 is larger" in told and "500 ranks deep, the corpus has 60 documents" in told
    assert "have none" in told, "a window of ranks 101-500 holds nothing here"


def test_a_changed_corpus_is_refused(tmp_path, tiny_corpus):
    folder = make_trial(tmp_path / "t", tiny_corpus, corpus_fingerprint="0" * 16)
    with pytest.raises(TrialError, match="has changed since"):
        run_trial(folder, threads=1, corpus=tiny_corpus)


def test_a_folder_that_is_no_trial_is_named(tmp_path):
    with pytest.raises(TrialError, match="holds no trial.json"):
        read_config(tmp_path)
    (tmp_path / "trial.json").write_text("{oops")
    with pytest.raises(TrialError, match="trial.json:1: not JSON"):
        read_config(tmp_path)
    with pytest.raises(TrialError, match="has not finished"):
        results = TrialResults(make_trial(tmp_path / "t", None))
        results.per_query()


def test_static_dense_mines_with_the_trial_that_it_names(trained, tmp_path, tiny_corpus):
    from core.sampling.settings import apply_settings

    folder, _ = trained
    recipe = apply_settings(preset("static-dense").recipe, [f"source.trial={folder}", "picker=top"])
    mined = make_trial(tmp_path / "t", tiny_corpus, recipe, epochs=1)
    run_trial(mined, threads=1, corpus=tiny_corpus)
    results = TrialResults(mined)
    table = results.candidates(results.tables())
    vectors = TrialResults(folder).vectors(tiny_corpus)
    scores = vectors.score_pairs(table["query_row"].to_numpy().astype(np.int64), table["doc_row"].to_numpy().astype(np.int64))
    np.testing.assert_allclose(table["score"].to_numpy(), scores, atol=1e-5)
