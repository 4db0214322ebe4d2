"""Distillation: losses against sentence-transformers and plain loops, the teacher's scores, files of scores, a training."""

from __future__ import annotations

import math

import numpy as np
import pyarrow as pa
import pyarrow.parquet as parquet
import pytest
import torch

from core.errors import ParameterError
from core.sampling.batch import InBatch, NoBatch
from core.sampling.context import MiningContext
from core.sampling.distilled import DISTILLED, KLDistillation, MarginMSE
from core.sampling.given_scores import read_scores
from core.sampling.presets import preset
from core.sampling.recipe import Lane, Recipe
from core.sampling.settings import apply_settings
from core.sampling.sources import BM25Source, RandomCorpus
from core.search import cross_cache
from core.train.config import TrialConfig, write_config
from core.train.events import read_events
from core.train.step import Batch
from core.train.trial import Stopped, run_trial
from tests.small import make_corpus
from tests.test_train_step import encode, stepper_of
from tests.test_train_trial import bytes_of


class Fixed(torch.nn.Module):
    """A model whose vectors are its input."""

    def forward(self, features):
        return features


def columns_of(*vectors):
    return [{"sentence_embedding": v} for v in vectors]


@pytest.fixture
def listed():
    """Queries, positives, three negatives each, and a teacher's scores of the four."""
    torch.manual_seed(3)
    return torch.randn(6, 16), torch.randn(6, 16), torch.randn(3, 6, 16), 2 * torch.randn(6, 4)


def ours(signal, q, p, negatives, teacher):
    negative = torch.stack([(q * n).sum(1) for n in negatives], 1)
    allowed = torch.ones_like(negative, dtype=torch.bool)
    return float(signal.loss((q * p).sum(1), negative, allowed, None, (teacher[:, 0], teacher[:, 1:])))


def test_margin_mse_equals_sentence_transformers(listed):
    from sentence_transformers.sentence_transformer.losses import MarginMSELoss

    q, p, negatives, teacher = listed
    theirs = float(MarginMSELoss(Fixed())(columns_of(q, p, *negatives), teacher))
    assert ours(MarginMSE(similarity="dot", temperature=1.0), q, p, negatives, teacher) == pytest.approx(theirs, abs=1e-5)


@pytest.mark.parametrize(("student", "given"), [(1.0, 1.0), (0.5, 2.0)])
def test_kl_equals_sentence_transformers_but_for_its_factor(listed, student, given):
    from sentence_transformers.sentence_transformer.losses import DistillKLDivLoss

    q, p, negatives, teacher = listed
    peer = DistillKLDivLoss(Fixed(), student_temperature=student, teacher_temperature=given)
    theirs = float(peer(columns_of(q, p, *negatives), teacher))
    signal = KLDistillation(similarity="dot", temperature=student, teacher_temperature=given)
    assert student**2 * ours(signal, q, p, negatives, teacher) == pytest.approx(theirs, abs=1e-5)


RNG = np.random.default_rng(0)
POSITIVE, NEGATIVE = torch.tensor(RNG.normal(size=5)), torch.tensor(RNG.normal(size=(5, 4)))
ALLOWED = torch.tensor(RNG.random((5, 4)) < 0.8)
TEACHER = torch.tensor(RNG.normal(size=5)), torch.tensor(RNG.normal(size=(5, 4)))
TEACHER[0][2] = math.nan  # no score of the positive: the whole query takes no part
TEACHER[1][0, :2] = math.nan
ALLOWED[4] = False


SOFT = [MarginMSE(temperature=0.7), KLDistillation(temperature=0.7, teacher_temperature=1.3)]


@pytest.mark.parametrize("signal", SOFT, ids=lambda s: s.key)
@pytest.mark.parametrize("weights", [None, [1.0, 0.5, 2.0, 3.0]], ids=["equal", "weighted"])
def test_a_pair_without_a_teachers_score_takes_no_part(signal, weights):
    total = 0.0
    for i in range(5):
        known = [j for j in range(4) if ALLOWED[i, j] and not math.isnan(TEACHER[1][i, j]) and not math.isnan(TEACHER[0][i])]
        w = [1.0 if weights is None else weights[j] for j in known]
        s, t = [float(NEGATIVE[i, j]) for j in known], [float(TEACHER[1][i, j]) for j in known]
        own, given = float(POSITIVE[i]), float(TEACHER[0][i])
        if isinstance(signal, MarginMSE):
            terms = [w[k] * ((own - s[k]) / 0.7 - (given - t[k])) ** 2 for k in range(len(known))]
            total += sum(terms) / len(terms) if terms else 0.0
        elif known:
            student = [math.exp(own / 0.7), *(w[k] * math.exp(s[k] / 0.7) for k in range(len(known)))]
            taught = [math.exp(given / 1.3), *(w[k] * math.exp(t[k] / 1.3) for k in range(len(known)))]
            for a, b in zip(taught, student, strict=True):
                total += a / sum(taught) * math.log(a / sum(taught) / (b / sum(student)))
    log_weight = None if weights is None else torch.tensor(weights, dtype=torch.float64).log()
    negative = NEGATIVE.clone().requires_grad_()
    loss = signal.loss(POSITIVE, negative, ALLOWED, log_weight, TEACHER)
    assert float(loss.detach()) == pytest.approx(total / 5, abs=1e-9)
    loss.backward()
    assert negative.grad.isfinite().all() and (negative.grad[2] == 0).all() and (negative.grad[0, :2] == 0).all()


def test_infonce_is_kl_with_a_teacher_that_believes_the_label_alone():
    from core.sampling.signal import InfoNCE

    sure = torch.full((5,), 500.0, dtype=torch.float64), torch.zeros(5, 4, dtype=torch.float64)
    kl = KLDistillation(temperature=0.3).loss(POSITIVE, NEGATIVE, ALLOWED, None, sure)
    assert float(kl) == pytest.approx(float(InfoNCE(temperature=0.3).loss(POSITIVE, NEGATIVE, ALLOWED)), abs=1e-9)


@pytest.mark.parametrize("batch", [NoBatch(), InBatch(), InBatch(shared_negatives=False)], ids=["own", "shared", "beside"])
def test_a_step_gives_each_pair_its_own_teachers_score(batch):
    """The batch's other documents take no part, wherever the columns of the own mined negatives lie."""
    mined = np.array([[5, 6], [7, -1], [8, 9], [10, 11]])
    rng = np.random.default_rng(1)
    of_positive, of_mined = rng.normal(size=4).astype(np.float32), rng.normal(size=(4, 2)).astype(np.float32)
    of_positive *= 10  # beyond the student's margins for some, below them for others
    of_mined[1, 1], of_mined[2, 0] = np.nan, np.nan
    stepper = stepper_of(batch, MarginMSE(), mined=(Lane(source=RandomCorpus(), per_query=2),))
    queries, documents = encode(stepper, "query", range(4)), encode(stepper, "document", range(12))
    total, weights = 0.0, np.zeros((4, 2))
    for i in range(4):
        known = [j for j in range(2) if not np.isnan(of_mined[i, j])]
        for j in known:
            gap = float(queries[i] @ (documents[i] - documents[mined[i, j]])) / 0.05 - float(of_positive[i] - of_mined[i, j])
            total += gap**2 / len(known) / 4
            weights[i, j] = -2 * gap / 0.05 / len(known)
    rows = np.arange(4)
    report = stepper.step(Batch(rows, rows, mined, rows[:, None], teacher=(of_positive, of_mined)))
    assert report.loss == pytest.approx(total, rel=1e-5)
    np.testing.assert_allclose(report.mined_weights, weights, rtol=1e-3, atol=1e-3)
    assert (weights > 0).any() and (weights < 0).any(), "some are pushed away, some drawn closer"


CORPUS = make_corpus([f"text {i}" for i in range(5)], ["a", "b", "c"], [(0, 0), (1, 1)], [(2, 2)])
LINES = {
    "head.tsv": "query-id\tcorpus-id\tscore\nq0\td0\t3.5\nq1\td1\t-2\nq0\td4\t1\nq9\td0\t1\nq0\td4\t7\n",
    "bare.tsv": "q0\td0\t3.5\nq1\td1\t-2\nq9\td0\t1\nq0\td4\t7\n",
    "ours.csv": 'score,doc-id,query-id\n3.5,"d0",q0\n-2,d1,q1\n1,d0,q9\n7,d4,q0\n',
    "ours.jsonl": '{"qid": "q0", "pid": "d0", "score": 3.5}\n\n{"qid": "q1", "pid": "d1", "score": -2}\n'
    '{"qid": "q9", "pid": "d0", "score": 1}\n{"qid": "q0", "pid": "d4", "score": 7}\n',
    "ours.parquet": "",
}


@pytest.mark.parametrize("name", LINES)
def test_scores_of_every_kind_of_file_are_the_same(tmp_path, name):
    path = tmp_path / name
    if path.suffix == ".parquet":
        columns = {"query_id": ["q0", "q1", "q9", "q0"], "doc_id": ["d0", "d1", "d0", "d4"], "score": [3.5, -2.0, 1.0, 7.0]}
        parquet.write_table(pa.table(columns), path)
    else:
        path.write_text(LINES[name], encoding="utf-8")
    scores = read_scores(path, CORPUS)
    assert len(scores.keys) == 3 and scores.n_unknown == 1 and len(scores.digest) == 12
    found = scores.of(np.array([0, 1, 2]), np.array([[0, 4, -1], [1, 0, 4], [0, 1, 2]]))
    np.testing.assert_array_equal(found, np.array([[3.5, 7, np.nan], [-2, np.nan, np.nan], [np.nan] * 3], np.float32))


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("a.tsv", "query-id\tdoc-id\tscore\nq0\td0\thigh\n", "a.tsv:2: the score is not a number"),
        ("a.tsv", "query-id\tdoc-id\tscore\nq0\td0\n", "a.tsv:2: 2 columns"),
        ("a.tsv", "query-id\tscore\n", "a.tsv:1: no doc-id"),
        ("a.jsonl", '{"qid": "q0", "pid": "d0", "score": 1}\n[1]\n', "a.jsonl:2: not a JSON object"),
        ("a.jsonl", '{"qid": "q0", "pid": "d0", "score": null}\n', "a.jsonl:1: the score is not a number"),
        ("a.jsonl", '{"qid": "q0", "score": 1}\n', "a.jsonl:1: no doc-id"),
        ("a.parquet", "no parquet", "is not a Parquet file"),
        ("a.txt", "q0 d0 1\n", "must end in .tsv"),
        ("gone.tsv", None, "cannot be read"),
    ],
)
def test_a_file_that_cannot_be_read_says_where(tmp_path, name, content, says):
    if content is not None:
        (tmp_path / name).write_text(content, encoding="utf-8")
    with pytest.raises(ParameterError) as raised:
        read_scores(tmp_path / name, CORPUS)
    assert says in str(raised.value) and "query-id, doc-id and score" in str(raised.value) and "\n" not in str(raised.value)


def test_the_cross_encoders_score_is_the_log_odds_of_its_probability(tiny_corpus):
    context = MiningContext(tiny_corpus, lambda which: None)
    rows, docs = np.array([0, 1, 5]), np.array([[0, 30, -1], [1, 2, 3], [40, 50, 55]])
    signal = KLDistillation()
    found, cross = signal.teach(context, rows, docs), signal.cross(context)
    for i, j in np.ndindex(docs.shape):
        if docs[i, j] < 0:
            assert np.isnan(found[i, j])
            continue
        p = float(cross.probabilities(rows[i : i + 1], docs[i, j : j + 1])[0])
        assert found[i, j] == pytest.approx(math.log(p / (1 - p)), abs=1e-4)


def test_a_teacher_who_cannot_teach_is_told_before_training(tmp_path):
    cross_cache.forget()
    context = MiningContext(CORPUS, lambda which: None)
    pairs = np.array([0, 1]), np.array([0, 1])
    with pytest.raises(ParameterError, match="too few labelled training queries"):
        MarginMSE().teacher_sentence(context, *pairs)
    (tmp_path / "other.tsv").write_text("q0\td4\t1\n")
    with pytest.raises(ParameterError, match="none of the 2 training pairs has a score"):
        MarginMSE(scores=str(tmp_path / "other.tsv")).teacher_sentence(context, *pairs)
    (tmp_path / "one.tsv").write_text("q0\td0\t1\nq9\td0\t1\n")
    said = MarginMSE(scores=str(tmp_path / "one.tsv")).teacher_sentence(context, *pairs)
    assert "1 of the 2 training pairs" in said and "1 rows name a query or a document" in said


@pytest.mark.parametrize("signal", [piece() for piece in DISTILLED], ids=lambda s: s.key)
def test_a_teacher_needs_mined_negatives(signal):
    with pytest.raises(ParameterError, match="Add a mined lane"):
        Recipe(batch=InBatch(), signal=signal)
    assert Recipe.from_dict(Recipe(mined=(Lane(source=BM25Source()),), signal=signal).to_dict()).signal == signal


def trial_of(folder, recipe, **changes):
    config = TrialConfig(corpus="in memory", recipe=recipe.to_dict(), epochs=2, batch_size=8, snapshots=2, **changes)
    write_config(folder, config)
    return folder


@pytest.mark.parametrize("name", ["margin-mse", "kl-distillation"])
def test_a_distilled_trial_is_the_same_stopped_and_resumed(name, tmp_path, tiny_corpus):
    recipe = preset(name).recipe
    whole = trial_of(tmp_path / "whole", recipe)
    run_trial(whole, threads=1, corpus=tiny_corpus)
    stopped = trial_of(tmp_path / "stopped", recipe)
    calls = iter(range(5))
    with pytest.raises(Stopped):
        run_trial(stopped, threads=1, corpus=tiny_corpus, should_stop=lambda: next(calls, None) is None)
    run_trial(stopped, threads=1, corpus=tiny_corpus)
    assert bytes_of(stopped) == bytes_of(whole)
    told = [event["text"] for event in read_events(whole / "events.jsonl")[0] if event["kind"] == "log"]
    assert any("The teacher is the cross-encoder" in text for text in told)


def test_a_file_teaches_what_it_says(tmp_path, tiny_corpus):
    """A file that calls one negative better than the positive draws it above it; the labels alone would not."""
    query, positive, other = "train-16", "sky-1", "sky-5"
    scores = tmp_path / "scores.tsv"
    scores.write_text(f"{query}\t{positive}\t0\n{query}\t{other}\t8\n")
    recipe = apply_settings(preset("margin-mse").recipe, [f"signal.scores={scores}", "mined.0.per_query=60", "mined.0.window.last=60"])
    folder = tmp_path / "trial"
    write_config(folder, TrialConfig(corpus="in memory", recipe=recipe.to_dict(), epochs=8, batch_size=8, snapshots=2))
    run_trial(folder, threads=1, corpus=tiny_corpus)
    from core.train.results import TrialResults

    vectors = TrialResults(folder).vectors(tiny_corpus)
    row, docs = tiny_corpus.query_rows([query]), tiny_corpus.doc_rows([positive, other])
    taught = vectors.score_pairs(np.repeat(row, 2), docs)
    assert taught[1] - taught[0] == pytest.approx(8 * 0.05, abs=0.1)
