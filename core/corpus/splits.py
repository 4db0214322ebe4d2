"""Train, test and dev: read as they are named, made where they are missing, kept apart."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping

import numpy as np

from core.corpus.faults import Faults
from core.corpus.judgements import Judgements

TEST_SHARE = 0.20
ALIASES = {"valid": "dev", "val": "dev", "validation": "dev"}
# A query judged in several splits stays in the first of these only.
GUARDED = ("test", "dev", "train")


def split_name(stem: str) -> str:
    """The split that a file of this stem holds."""
    name = stem.lower()
    return ALIASES.get(name, name)


def choose_test_rows(query_rows: np.ndarray, query_ids: list[str]) -> np.ndarray:
    """A fifth of the queries, at least one: those whose ids have the smallest SHA-256. int64, ascending.

    The choice hangs on the ids alone, so that it is the same on every machine and in every order.
    """
    n = max(1, round(TEST_SHARE * len(query_rows)))
    digests = [hashlib.sha256(query_id.encode()).digest() for query_id in query_ids]
    chosen = sorted(range(len(digests)), key=digests.__getitem__)[:n]
    return np.sort(np.asarray(query_rows, dtype=np.int64)[chosen])


def beir_file(split: str) -> str:
    """The file of a split in BEIR's layout."""
    return f"qrels/{split}.tsv"


def complete_splits(
    tables: Mapping[str, Judgements], query_ids, faults: Faults, called: Callable[[str], str] = beir_file
) -> dict[str, Judgements]:
    """The splits of a corpus, with a train and a test split whatever was there; says what it decided.

    ``query_ids``: function from query rows to ids. ``called``: how a message names the split of this name.
    A table without a positive is no reason to fail; at least one positive must be somewhere.
    """
    splits = dict(tables)
    with_positives = {name: len(table.query_rows_with_positives()) for name, table in splits.items()}
    if not with_positives.get("test") or not with_positives.get("train"):
        splits = _make_test(splits, with_positives, query_ids, faults, called)
    return _keep_apart(splits, query_ids, faults, called)


def _make_test(splits, with_positives, query_ids, faults: Faults, called) -> dict[str, Judgements]:
    # Divide train, else test, else whatever the files are called.
    usable = [name for name in splits if with_positives[name]]
    divided = next(([name] for name in ("train", "test") if name in usable), None)
    if divided is None:
        divided = [name for name in usable if name != "dev"] or usable
    whole = Judgements.empty(next(iter(splits.values())).n_queries)
    for name in divided:
        whole = whole.union(splits[name])
    rest = {name: table for name, table in splits.items() if name not in (*divided, "train", "test")}
    candidates = whole.query_rows_with_positives()
    outside = candidates
    if "dev" in rest:  # a dev query stays one; dividing it would only be undone below
        outside = np.setdiff1d(candidates, rest["dev"].query_rows_with_positives())
    outside = outside if len(outside) else candidates
    test_rows = choose_test_rows(outside, query_ids(outside))
    missing = "train" if divided == ["test"] else "test"
    names = " and ".join(called(name) for name in divided)
    faults.remark(
        f"{names}: there is no {missing} split, so {len(test_rows):,} of {len(candidates):,} queries with a positive "
        "(the smallest SHA-256 of their ids) are the test split and the others the train split."
    )
    if len(test_rows) == len(candidates):
        faults.remark(f"{names}: no query is left to train on. Add judged queries.")
    return {"train": whole.without_queries(test_rows), "test": whole.only_queries(test_rows), **rest}


def _keep_apart(splits: dict[str, Judgements], query_ids, faults: Faults, called) -> dict[str, Judgements]:
    """Never evaluate on trained queries: a query with positives in two splits leaves the less guarded one."""
    for i, guarded in enumerate(GUARDED):
        for other in GUARDED[i + 1 :]:
            if guarded not in splits or other not in splits:
                continue
            both = np.intersect1d(
                splits[guarded].query_rows_with_positives(), splits[other].query_rows_with_positives()
            )
            if len(both):
                splits[other] = splits[other].without_queries(both)
                if guarded == "test":
                    faults.in_two_splits.update(query_ids(both))
                faults.mend_many(
                    called(other),
                    f"queries that are in {guarded}, too",
                    [
                        f"{called(other)}: query {query_id!r} is in {guarded}, too; it stays in {guarded} only."
                        for query_id in query_ids(both[:20])
                    ],
                    len(both),
                )
    return splits
