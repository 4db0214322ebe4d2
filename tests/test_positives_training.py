"""Training on pairs made without labels: labels change nothing, masks hold, a stop changes nothing, evaluation is on real queries."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest

from core.errors import ParameterError
from core.sampling.batch import InBatch
from core.sampling.positive_base import MadePairs, PositiveBuilder
from core.sampling.positives_spans import InverseCloze, RandomCrops
from core.sampling.presets import PRESETS
from core.sampling.recipe import Lane, Recipe
from core.sampling.sources import BM25Source
from core.train.config import read_config
from core.train.events import EventWriter
from core.train.setup import prepare
from core.train.trial import Stopped, run_trial
from tests.positives_world import shuffled_labels, with_file, world
from tests.small import make_corpus
from tests.test_train_trial import bytes_of, events_of, make_trial

LABEL_FREE = [name for name, preset in PRESETS.items() if preset.recipe.positives.makes_queries and not preset.recipe.positives.uses_labels]


#: An encoder whose weights are written in no time.
LIGHT = {"epochs": 2, "encoder": {"key": "char-ngram", "dim": 16, "buckets": 512}}


def result_of(folder, corpus):
    run_trial(folder, threads=1, corpus=corpus)
    return {k: v for k, v in json.loads((folder / "result.json").read_text()).items() if k not in ("seconds", "corpus_fingerprint")}


@pytest.mark.parametrize("name", LABEL_FREE)
def test_training_without_labels_reads_no_label(name, tmp_path):
    recipe = PRESETS[name].recipe
    recipe = dataclasses.replace(recipe, positives=with_file(recipe.positives, tmp_path))
    true = make_trial(tmp_path / "true", world(), recipe, **LIGHT)
    results = [result_of(true, world())]
    for which, labels in (("permuted", shuffled_labels()), ("none", ())):
        folder = make_trial(tmp_path / which, world(labels), recipe, **LIGHT)
        results.append(result_of(folder, world(labels)))
        assert bytes_of(folder) == bytes_of(true)
    assert results[0] == results[1] == results[2]
    assert results[0]["n_test_queries"] == 6 and results[0]["weights"]
    assert any("No training label is used" in e["text"] for e in events_of(true, "log"))


def test_labels_do_matter_where_they_are_used(tmp_path):
    trials = [make_trial(tmp_path / str(i), world(labels), "in-batch", **LIGHT) for i, labels in enumerate((None, shuffled_labels()))]
    assert result_of(trials[0], world())["weights"] != result_of(trials[1], world(shuffled_labels()))["weights"]


@pytest.mark.parametrize("name", ["contriever", "inverse-cloze"])
def test_a_stop_in_the_middle_of_an_epoch_changes_nothing(name, tmp_path):
    places = (("a", 0), ("b", 0), ("c", 1))
    whole, stopped, other = (make_trial(tmp_path / w, world(), name, **LIGHT | {"epochs": 3, "seed": s}) for w, s in places)
    run_trial(whole, threads=1, corpus=world())
    run_trial(other, threads=1, corpus=world())
    assert bytes_of(whole) != bytes_of(other)
    for n_steps in (4, 1):
        calls = iter(range(n_steps))
        with pytest.raises(Stopped):
            run_trial(stopped, threads=1, corpus=world(), should_stop=lambda calls=calls: next(calls, None) is None)
    run_trial(stopped, threads=1, corpus=world())
    assert bytes_of(whole) == bytes_of(stopped)


def prepared(folder, corpus, recipe, **changes):
    make_trial(folder, corpus, recipe, **LIGHT | changes)
    return prepare(read_config(folder), corpus, folder, EventWriter(folder / "events.jsonl"))


def test_a_step_trains_on_the_made_texts_and_on_nothing_else(tmp_path):
    corpus = world()
    setup = prepared(tmp_path / "t", corpus, Recipe(positives=RandomCrops()))
    seen = []
    for epoch in (0, 1, 0):
        setup.begin_epoch(epoch)
        batch = setup.batch(np.arange(5))
        tokens = setup.stepper.model.tokenize(list(setup.made.pairs.query_texts[:5]))
        assert np.array_equal(setup.stepper.query_tokens.take(batch.query_rows).ids, tokens.ids)
        documents = setup.stepper.model.tokenize(list(setup.made.pairs.doc_texts[:5]))
        assert np.array_equal(setup.stepper.doc_tokens.take(batch.positive_texts).ids, documents.ids)
        assert batch.positive_rows.tolist() == setup.made.pairs.doc_rows[:5].tolist()
        seen.append(setup.made.pairs.query_texts)
    assert seen[0] == seen[2] != seen[1], "an epoch's texts depend on the epoch alone"
    vectors = setup.context.vectors("current")
    assert vectors.queries.shape[0] == corpus.n_queries and vectors.documents.shape[0] == corpus.n_documents
    expected = setup.stepper.model.encode_texts(corpus.document_texts(), "document")
    assert np.array_equal(vectors.documents, expected), "made texts are never searched"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Two(PositiveBuilder):
    """Two fixed pairs, for a look at the masks."""

    key = "two"
    title = "Two"
    is_redrawn = False

    def read(self, context):
        return None

    def draw(self, material, rng):
        return MadePairs(["a b", "c d"], [0, 2], ["x", "y"], protected=[[3], [-1]], negative_rows=[[1], [-1]])


def test_a_document_its_copies_and_what_a_pair_protects_are_masked(tmp_path):
    corpus = make_corpus(["alpha beta", "gamma", "delta", "epsilon", "alpha beta", "epsilon"], ["q", "r"], [], [(0, 1)])
    setup = prepared(tmp_path / "t", corpus, Recipe(positives=RandomCrops()), batch_size=2)
    made = setup.made
    made.builder, made._material = Two(), None
    made._epoch = -1
    setup.begin_epoch(0)
    masks = [set(row[row >= 0].tolist()) for row in setup.protected]
    assert masks == [{0, 4, 3, 5}, {2}]
    assert setup.batch(np.array([0, 1])).mined_rows.tolist() == [[1], [-1]]
    setup.stepper.step(setup.batch(np.array([0, 1])))


def test_what_cannot_work_is_said_before_training(tmp_path):
    from core.audit.doctor_fit import obstacles

    corpus = world(())
    mining = Recipe(positives=InverseCloze(), mined=(Lane(source=BM25Source()),))
    with pytest.raises(ParameterError, match="makes its own queries, and the mined lanes .BM25. search"):
        run_trial(make_trial(tmp_path / "a", corpus, mining), corpus=corpus)
    assert any("Remove the lanes" in sentence for sentence in obstacles(corpus, mining))
    assert obstacles(corpus, Recipe(positives=InverseCloze())) == []
    assert any("qrels/train" in sentence for sentence in obstacles(corpus, Recipe(batch=InBatch())))
    short = make_corpus(["a", "b"], ["q"], [], [(0, 0)])
    with pytest.raises(ParameterError, match="makes no pair from this corpus"):
        run_trial(make_trial(tmp_path / "b", short, Recipe(positives=InverseCloze())), corpus=short)


def test_positives_are_named_in_the_summary_and_survive_the_dictionary():
    recipe = PRESETS["contriever"].recipe
    assert recipe.summary().startswith("Random crops + MoCo") and Recipe.from_dict(recipe.to_dict()) == recipe
    assert Recipe().to_dict()["positives"] == {"key": "labelled", "min_grade": 1}
