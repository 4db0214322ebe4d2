"""Exported sets in the peers' own loaders, each training one step, and the script that trains without this product."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
import types
import zipfile
from importlib import util
from pathlib import Path

import numpy as np
import pytest

from core.encode.encoders import make_encoder
from core.lab.export import FORMATS, Export, export_trial
from core.lab.mined_set import Choice
from core.lab.script import training_script
from core.sampling.presets import PRESETS
from core.sampling.recipe import Recipe
from core.sampling.signal import SIGNALS
from core.train.config import TrialConfig
from core.train.results import TrialResults
from tests.trained import train_tiny

pytest.importorskip("datasets")
CHOICE = Choice(of="kept", refresh="all")


@pytest.fixture(scope="module")
def results(tiny_corpus, tiny_folder, tmp_path_factory) -> TrialResults:
    return TrialResults(train_tiny(tiny_corpus, tiny_folder, tmp_path_factory.mktemp("peers") / "trial", "ance"))


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "hf")


def loaded(results, corpus, name: str, out: Path):
    """The set through datasets' own loader, as every one of the peers begins."""
    from datasets import load_dataset

    export_trial(Export(results, corpus, CHOICE), FORMATS[name], out)
    kind = "parquet" if out.suffix == ".parquet" else "json"
    return load_dataset(kind, data_files=str(out), split="train", cache_dir=str(out.parent / "cache"))


def arguments(folder: Path) -> dict:
    settings = {"max_steps": 1, "per_device_train_batch_size": 4, "save_strategy": "no", "report_to": "none"}
    return {"output_dir": str(folder), "use_cpu": True, "disable_tqdm": True, "learning_rate": 0.1, "logging_strategy": "no"} | settings


@pytest.mark.parametrize("suffix", [".parquet", ".jsonl"])
@pytest.mark.parametrize("name", ["triplet", "n-tuple"])
def test_sentence_transformers_trains_a_step(results, tiny_corpus, tmp_path, name, suffix):
    from sentence_transformers import SentenceTransformer, SentenceTransformerTrainer, SentenceTransformerTrainingArguments
    from sentence_transformers.sentence_transformer.losses import MultipleNegativesRankingLoss, TripletLoss

    data = loaded(results, tiny_corpus, name, tmp_path / f"m{suffix}")
    model = SentenceTransformer(str(results.folder / "model"), device="cpu")
    before = model.encode(["tomatoes"])
    loss = TripletLoss(model) if name == "triplet" else MultipleNegativesRankingLoss(model)
    args = SentenceTransformerTrainingArguments(**arguments(tmp_path / "out"))
    SentenceTransformerTrainer(model=model, args=args, train_dataset=data, loss=loss).train()
    assert not np.allclose(model.encode(["tomatoes"]), before) or not np.allclose(model.encode([data[0]["anchor"]]), before)
    assert data.column_names == ["anchor", "positive", "negative"] if name == "triplet" else data.column_names[:3] == [
        "anchor", "positive", "negative_1",
    ]  # fmt: skip


@pytest.mark.parametrize("suffix", [".parquet", ".jsonl"])
def test_a_cross_encoder_learns_from_the_lists(results, tiny_corpus, tmp_path, suffix):
    from sentence_transformers import CrossEncoder, CrossEncoderTrainer, CrossEncoderTrainingArguments
    from sentence_transformers.cross_encoder.losses import LambdaLoss
    from transformers import BertConfig, BertForSequenceClassification, BertTokenizerFast

    data = loaded(results, tiny_corpus, "labeled-list", tmp_path / f"m{suffix}")
    assert data.column_names == ["anchor", "positive", "labels"] and all(set(row) <= {0, 1} for row in data["labels"])
    words = sorted({word for text in tiny_corpus.document_texts() for word in text.lower().split()})
    (tmp_path / "vocab.txt").write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *words]), encoding="utf-8")
    folder = tmp_path / "bert"
    BertTokenizerFast(vocab=str(tmp_path / "vocab.txt")).save_pretrained(folder)
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16, "num_labels": 1}
    BertForSequenceClassification(BertConfig(vocab_size=len(words) + 5, **sizes)).save_pretrained(folder)
    model = CrossEncoder(str(folder), device="cpu")
    args = CrossEncoderTrainingArguments(**arguments(tmp_path / "out"))
    before = model.predict([("a", "bread")])
    CrossEncoderTrainer(model=model, args=args, train_dataset=data, loss=LambdaLoss(model)).train()
    assert not np.allclose(model.predict([("a", "bread")]), before)


def test_flag_embedding_finds_what_its_loader_asks_for(results, tiny_corpus, tmp_path):
    data = loaded(results, tiny_corpus, "flagembedding", tmp_path / "m.jsonl")
    assert data.column_names == ["query", "pos", "neg", "pos_scores", "neg_scores"] and len(data) > 10
    for row in data:
        assert isinstance(row["query"], str) and row["pos"] and row["neg"] and all(isinstance(t, str) for t in row["pos"] + row["neg"])
        assert len(row["pos"]) == len(row["pos_scores"]) and len(row["neg"]) == len(row["neg_scores"])
        assert all(isinstance(score, float) for score in row["pos_scores"] + row["neg_scores"])


def test_tevatron_finds_what_its_loader_asks_for(results, tiny_corpus, tmp_path):
    data = loaded(results, tiny_corpus, "tevatron", tmp_path / "m.jsonl")
    assert data.column_names == ["query_id", "query", "positive_passages", "negative_passages"]
    for row in data:
        passages = row["positive_passages"] + row["negative_passages"]
        assert row["positive_passages"] and row["negative_passages"]
        assert all(isinstance(p[name], str) for p in passages for name in ("docid", "title", "text"))
        joined = [p["title"] + " " + p["text"] for p in passages]  # as its preprocessor joins them
        assert [text.strip() for text in joined] == tiny_corpus.document_texts(tiny_corpus.doc_rows([p["docid"] for p in passages]))


def test_flag_embeddings_own_loader(results, tiny_corpus, tmp_path, monkeypatch):
    spec = util.find_spec("FlagEmbedding")
    if spec is None:
        pytest.skip("FlagEmbedding is not installed")
    # Its package imports every model of its own; the loader alone needs none of them.
    place = Path(spec.submodule_search_locations[0])
    for name in ("FlagEmbedding", "FlagEmbedding.abc", "FlagEmbedding.abc.finetune", "FlagEmbedding.abc.finetune.embedder"):
        package = types.ModuleType(name)
        package.__path__ = [str(place.parent / name.replace(".", "/"))]
        monkeypatch.setitem(sys.modules, name, package)
    monkeypatch.setattr("torch.distributed.get_rank", lambda: 1)
    arguments = importlib.import_module("FlagEmbedding.abc.finetune.embedder.AbsArguments")
    dataset = importlib.import_module("FlagEmbedding.abc.finetune.embedder.AbsDataset")
    export_trial(Export(results, tiny_corpus, CHOICE), FORMATS["flagembedding"], tmp_path / "m.jsonl")
    for distils in (False, True):
        given = arguments.AbsEmbedderDataArguments(
            train_data=[str(tmp_path / "m.jsonl")], cache_path=str(tmp_path / "cache"), train_group_size=4, knowledge_distillation=distils
        )
        data = dataset.AbsEmbedderTrainDataset(given, None)
        query, passages, scores = data[0]
        assert query in tiny_corpus.query_texts() and len(passages) == 4 and set(passages) <= set(tiny_corpus.document_texts())
        assert len(scores) == 4 if distils else scores is None


def test_tevatrons_own_preprocessor(results, tiny_corpus, tmp_path):
    spec = util.find_spec("tevatron")
    if spec is None:
        pytest.skip("tevatron is not installed")
    path = Path(spec.submodule_search_locations[0]) / "datasets" / "preprocessor.py"
    found = util.spec_from_file_location("tevatron_preprocessor", path)
    module = util.module_from_spec(found)
    found.loader.exec_module(module)

    class Words:
        def encode(self, text, **_):
            return text.split()

    row = loaded(results, tiny_corpus, "tevatron", tmp_path / "m.jsonl")[0]
    example = module.TrainPreProcessor(Words())(row)
    assert len(example["negatives"]) == len(row["negative_passages"]) and example["query"] == row["query"].split()


def unpacked(results, corpus, folder: Path) -> Path:
    folder.mkdir()
    export_trial(Export(results, corpus), FORMATS["script"], folder / "script.zip")
    with zipfile.ZipFile(folder / "script.zip") as archive:
        archive.extractall(folder)
    return folder


OTHERS = {
    "towers": ("in-batch", {"key": "static-scratch", "dim": 16, "towers": "separate"}, {"key": "bce", "similarity": "dot"}),
    "char-ngram": ("bm25", {"key": "char-ngram", "dim": 16, "buckets": 512}, {"key": "triplet", "similarity": "l2"}),
}
#: Each script as ``python train.py --max-steps 1`` in its folder; one process, because the library's import takes ten seconds.
RUN = """
import os, runpy, sys
for folder in sys.argv[1:]:
    os.chdir(folder)
    sys.argv[:], sys.path[0] = ["train.py", "--max-steps", "1"], folder
    runpy.run_path("train.py", run_name="__main__")
    print("done", os.path.basename(folder), "core" in sys.modules, flush=True)
"""


@pytest.fixture(scope="module")
def scripts(results, tiny_corpus, tiny_folder, tmp_path_factory, root) -> Path:
    """A folder for each script, which has trained a step there: that of ``results``, by itself, then those of OTHERS."""
    home = tmp_path_factory.mktemp("scripts")
    unpacked(results, tiny_corpus, home / "plain")
    for name, (preset, encoder, signal) in OTHERS.items():
        trial = train_tiny(tiny_corpus, tiny_folder, home / f"{name}-trial", preset, epochs=1, signal=signal, encoder=encoder)
        unpacked(TrialResults(trial), tiny_corpus, home / name)
    (home / "char-ngram" / "core").symlink_to(root / "core")  # stands for the installed package
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"} | {"HF_HUB_OFFLINE": "1", "CUDA_VISIBLE_DEVICES": ""}
    command = [sys.executable, "-c", RUN, *(str(home / name) for name in ("plain", *OTHERS))]
    done = subprocess.run(command, cwd=home, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    said = [line for line in done.stdout.splitlines() if line.startswith("done ")]
    assert said == ["done plain False", "done towers False", "done char-ngram True"], "only the last may know this product"
    return home


@pytest.mark.slow
def test_the_script_trains_a_step_by_itself(results, scripts, tiny_corpus):
    from sentence_transformers import SentenceTransformer

    folder = scripts / "plain"
    assert not any(name in (folder / "train.py").read_text() for name in ("import core", "from core", "negspace."))
    trained = SentenceTransformer(str(folder / "trained"), device="cpu")
    untrained = make_encoder("static").build(tiny_corpus.document_texts(), 0)
    texts = tiny_corpus.document_texts()[:5]
    before, after = untrained.encode_texts(texts, "document"), trained.encode(texts)
    before /= np.linalg.norm(before, axis=1, keepdims=True)
    weights = dict(trained[0].named_parameters())["embedding.weight"].detach().numpy()
    # One step from the same start: every row that the batch used moved by the learning rate at most, all others stand still.
    moved = np.abs(weights - untrained.state()["shared"])
    assert weights.dtype == np.float32 and moved.max() == pytest.approx(results.config.learning_rate, rel=1e-3)
    assert 0 < (moved.max(1) > 0).sum() < 500
    assert 0.5 < (before * after).sum(1).min() and not np.allclose(before, after, atol=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("name", OTHERS)
def test_other_encoders_and_losses(scripts, name):
    from core.encode.model import load_model

    assert load_model(scripts / name / ("trained" if name != "char-ngram" else "model")).dim == 16
    assert (scripts / name / "trained" / "modules.json").is_file()


@pytest.mark.parametrize("signal", [cls.key for cls in SIGNALS])
@pytest.mark.parametrize("batch", ["none", "in-batch"])
@pytest.mark.parametrize("similarity", ["cosine", "dot", "l2"])
def test_the_scripts_loss_is_the_trials(signal, batch, similarity):
    """Both on the same vectors: the script's loss, and this product's over the same positives and negatives."""
    import torch

    from core.train.step import Stepper

    recipe = PRESETS["bm25"].recipe.to_dict() | {"signal": {"key": signal, "similarity": similarity}, "batch": {"key": batch}}
    text = training_script(TrialConfig(corpus="x", recipe=recipe), 2)
    space: dict = {"__file__": "train.py", "__name__": "script"}
    exec(compile(text, "train.py", "exec"), space)  # our own text, as Python would run it
    n, m, dim = 5, 2, 6
    torch.manual_seed(0)
    queries, *documents = (torch.randn(n, dim) for _ in range(2 + m))

    class Model(torch.nn.Module):
        similarity_fn_name = "cosine"

        def forward(self, features):
            return {"sentence_embedding": features["x"]}

    theirs = space["make_loss"](Model())([{"x": v} for v in (queries, *documents)], None)
    piece = Recipe.from_dict(recipe).signal
    compared = (lambda v: torch.nn.functional.normalize(v, dim=-1)) if similarity == "cosine" else (lambda v: v)
    q, docs = compared(queries), [compared(d) for d in documents]
    shell = types.SimpleNamespace(recipe=Recipe.from_dict(recipe))
    positive = Stepper._compare_rows(shell, q, docs[0])
    if batch == "none":
        negative = Stepper._compare_rows(shell, q, torch.stack(docs[1:], 1))
        is_allowed = torch.ones_like(negative, dtype=torch.bool)
    else:
        negative = Stepper._compare(shell, q, torch.cat(docs))
        is_allowed = torch.ones_like(negative, dtype=torch.bool)
        is_allowed[torch.arange(n), torch.arange(n)] = False
    assert float(theirs) == pytest.approx(float(piece.loss(positive, negative, is_allowed)), rel=1e-5)


def test_the_scripts_optimiser_is_sparse_adam():
    import torch

    space: dict = {"__file__": "train.py", "__name__": "script"}
    exec(compile(training_script(TrialConfig(corpus="x", recipe=PRESETS["bm25"].recipe.to_dict()), 1), "train.py", "exec"), space)
    torch.manual_seed(0)
    start = torch.randn(50, 4)
    ours, theirs = (torch.nn.Parameter(start.clone()) for _ in range(2))
    optimizers = space["RowAdam"]([ours], lr=0.01), torch.optim.SparseAdam([theirs], lr=0.01)
    for _ in range(6):
        rows = torch.randperm(50)[:9]
        gradient = torch.zeros(50, 4)
        gradient[rows] = torch.randn(9, 4)
        ours.grad, theirs.grad = gradient, gradient.to_sparse(1)
        for optimizer in optimizers:
            optimizer.step()
    assert torch.allclose(ours, theirs, atol=1e-6) and not torch.allclose(ours, start, atol=1e-3)
    assert space["make_optimizer"](torch.nn.Linear(2, 2)) is None


def test_a_name_cannot_break_out_of_the_script():
    name = '"""\nimport os\nos.system("true")\n"""\\'
    config = TrialConfig(corpus="x", recipe=PRESETS["bm25"].recipe.to_dict(), name=name, corpus_name="{x} %s \\N{BELL}")
    import ast

    tree = ast.parse(training_script(config, 1))
    assert not [node for node in ast.walk(tree) if isinstance(node, ast.Attribute) and node.attr == "system"]
    assert "os.system" in ast.get_docstring(tree)


def test_what_differs_is_said(results):
    text = training_script(results.config, 4, n_minings=3, notes=("9 queries have fewer.",))
    head = text.split('"""')[1]
    assert "mined 3 tables" in head and "another random order" in head and "9 queries have fewer." in head and "NO_DUPLICATES" in head
    assert text == training_script(results.config, 4, n_minings=3, notes=("9 queries have fewer.",))
    assert json.dumps(results.config.epochs) in text
