"""The parts of the script that trains without this product: plain text, filled in by core/lab/script.py."""

BODY = '''"""Trains "{name}" again with sentence-transformers alone; written by Negative Space {version}.

Recipe: {recipe}
Corpus: {corpus}

    pip install {packages}
    python train.py

writes {out}/, which SentenceTransformer("{out}") opens.

What is as in the trial: the starting weights, the pairs and negatives in {data}, loss, learning rate (constant, no
warm-up, no clipping), batch size and epochs. What is not:
{differs}
"""

import argparse
from pathlib import Path

import torch
from datasets import Dataset
from sentence_transformers import SentenceTransformer, SentenceTransformerTrainer, SentenceTransformerTrainingArguments
from sentence_transformers.base.sampler import BatchSamplers
from sentence_transformers.sentence_transformer.losses import MultipleNegativesRankingLoss

HERE = Path(__file__).resolve().parent
{settings}


{loader}

{similarity}

{loss}

class RowAdam(torch.optim.Optimizer):
    """Adam that moves only the token rows that a batch used (the update of torch.optim.SparseAdam), as the trial's did.

    AdamW over the whole table would go on moving every row for many steps after its last gradient: at this learning rate that
    throws away what the starting vectors know.
    """

    def __init__(self, parameters, lr):
        super().__init__(parameters, {{"lr": lr, "betas": (0.9, 0.999), "eps": 1e-8}})

    @torch.no_grad()
    def step(self, closure=None):
        for group in self.param_groups:
            (first, second), eps = group["betas"], group["eps"]
            for table in group["params"]:
                if table.grad is None:
                    continue
                state = self.state[table]
                if not state:
                    state.update(step=0, mean=torch.zeros_like(table), square=torch.zeros_like(table))
                state["step"] += 1
                rows = table.grad.flatten(1).any(1).nonzero()[:, 0]
                gradient = table.grad[rows]
                mean = state["mean"][rows].lerp(gradient, 1 - first)
                square = state["square"][rows].lerp(gradient.square(), 1 - second)
                state["mean"][rows], state["square"][rows] = mean, square
                size = group["lr"] * (1 - second ** state["step"]) ** 0.5 / (1 - first ** state["step"])
                table[rows] -= size * mean / (square.sqrt() + eps)


def make_optimizer(model):
    """RowAdam where all weights are token tables; None (the trainer's AdamW) for another model given with --model."""
    bags = [module for module in model.modules() if isinstance(module, torch.nn.EmbeddingBag)]
    if sum(len(list(bag.parameters())) for bag in bags) < len(list(model.parameters())):
        return None
    return RowAdam(model.parameters(), lr=LEARNING_RATE)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default=str(HERE / "{data}"))
    parser.add_argument("--model", help="a folder to start from instead of the untrained encoder")
    parser.add_argument("--out", default="{out}")
    parser.add_argument("--max-steps", type=int, default=-1, help="stop early, to try it")
    options = parser.parse_args()

    data = Dataset.from_parquet(options.data, cache_dir=str(Path(options.out) / ".cache")).select_columns(COLUMNS)
    model = SentenceTransformer(options.model) if options.model else untrained()
    arguments = SentenceTransformerTrainingArguments(
        output_dir=str(Path(options.out) / ".run"),
        num_train_epochs=EPOCHS,
        max_steps=options.max_steps,
        per_device_train_batch_size=BATCH_SIZE,
        learning_rate=LEARNING_RATE,
        lr_scheduler_type="constant",
        weight_decay=0.0,
        max_grad_norm=0.0,
        batch_sampler=BatchSamplers.NO_DUPLICATES,
        router_mapping={{name: "query" if name == "anchor" else "document" for name in COLUMNS}} if SEPARATE_TOWERS else {{}},
        seed=SEED,
        save_strategy="no",
        report_to="none",
    )
    settings = {{"model": model, "args": arguments, "train_dataset": data, "loss": make_loss(model)}}
    SentenceTransformerTrainer(**settings, optimizers=(make_optimizer(model), None)).train()
    model.save(options.out)
    print(f"saved {{options.out}}")


if __name__ == "__main__":
    main()
'''

_WORDLLAMA = '''def wordllama_files():
    """The tokenizer and the token vectors inside the wordllama package."""
    from importlib.util import find_spec

    from safetensors.numpy import load_file
    from tokenizers import Tokenizer

    place = Path(find_spec("wordllama").submodule_search_locations[0])
    tokenizer = Tokenizer.from_file(str(place / "tokenizers/l2_supercat_tokenizer_config.json"))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    vectors = load_file(place / "weights/l2_supercat_256.safetensors")["embedding.weight"]
    return tokenizer, vectors.astype("float32")  # the file holds half precision, too little to train in

'''

_UNTRAINED = '''
def untrained():
    """The encoder before its first step, the same weights as the trial's."""
    from sentence_transformers.base.modules.normalize import Normalize
    from sentence_transformers.base.modules.router import Router
    from sentence_transformers.sentence_transformer.modules import StaticEmbedding

    tokenizer, vectors = starting_vectors()
    towers = [StaticEmbedding(tokenizer, embedding_weights=vectors.copy()) for _ in range(1 + SEPARATE_TOWERS)]
    first = Router.for_query_document([towers[0]], [towers[1]]) if SEPARATE_TOWERS else towers[0]
    return SentenceTransformer(modules=[first] + [Normalize()] * NORMALIZE, similarity_fn_name=SIMILARITY_NAME)
'''

#: By the encoder's key: the function ``untrained``.
LOADERS = {
    "static": _WORDLLAMA
    + '''
def starting_vectors():
    return wordllama_files()

'''
    + _UNTRAINED,
    "static-scratch": _WORDLLAMA
    + '''
def starting_vectors():
    import numpy as np

    tokenizer, _ = wordllama_files()
    random = np.random.default_rng(SEED).standard_normal((tokenizer.get_vocab_size(), DIM), dtype=np.float32)
    return tokenizer, random * np.float32(SPREAD)

'''
    + _UNTRAINED,
    "char-ngram": '''def untrained():
    """The encoder before its first step, from the folder beside this file; its one module lives in the negspace package."""
    return SentenceTransformer(str(HERE / "model"), trust_remote_code=True)
''',
    "saved": '''def untrained():
    """The encoder before its first step, from the folder beside this file."""
    return SentenceTransformer(str(HERE / "model"))
''',
}

SIMILARITIES = {
    "cosine": '''def similarity(queries, documents):
    """Cosine of every query with every document."""
    from torch.nn.functional import normalize

    return normalize(queries, dim=-1) @ normalize(documents, dim=-1).T
''',
    "dot": '''def similarity(queries, documents):
    """Dot product of every query with every document."""
    return queries @ documents.T
''',
    "l2": '''def similarity(queries, documents):
    """Minus the squared distance of every query and every document, so that larger is closer."""
    return 2 * queries @ documents.T - queries.square().sum(1)[:, None] - documents.square().sum(1)[None]
''',
}

LOSSES = {
    "mnrl": '''def make_loss(model):
    """InfoNCE over the batch: every other row's positive and all negatives of the batch are negatives of a query."""
    return MultipleNegativesRankingLoss(model, scale=1 / TEMPERATURE, similarity_fct=similarity)

''',
    "own": '''class SignalLoss(torch.nn.Module):
    """The trial's own loss, which sentence-transformers does not have for several negatives a query."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, sentence_features, labels=None):
        queries, positives, *negatives = [self.model(features)["sentence_embedding"] for features in sentence_features]
        n = len(queries)
        own = torch.arange(n)
        everything = similarity(queries, torch.cat([positives, *negatives]))
        positive = everything[own, own]
        blocks = everything.reshape(n, 1 + len(negatives), n)
        if IN_BATCH:
            negative, is_allowed = everything, torch.ones_like(everything, dtype=torch.bool)
            is_allowed[own, own] = False
        else:
            negative = blocks[own, 1:, own]
            is_allowed = torch.ones_like(negative, dtype=torch.bool)
{formula}


def make_loss(model):
    return SignalLoss(model)

''',
}

_MEAN = """        per_pair = per_pair.masked_fill(~is_allowed, 0.0).sum(1) / is_allowed.sum(1).clamp(min=1)
"""
#: The end of ``forward``, by the signal's key; the same arithmetic as core/sampling/signal.py.
FORMULAS = {
    "infonce": """        logits = negative.masked_fill(~is_allowed, -torch.inf) / TEMPERATURE
        logits = torch.cat([positive[:, None] / TEMPERATURE, logits], 1)
        return (logits.logsumexp(1) - logits[:, 0]).mean()""",
    "triplet": "        per_pair = (negative - positive[:, None] + MARGIN).clamp(min=0)\n" + _MEAN + "        return per_pair.mean()",
    "hinge": "        per_pair = (1 - (positive[:, None] - negative) / TEMPERATURE).clamp(min=0)\n"
    + _MEAN
    + "        return per_pair.mean()",
    "pairwise-logistic": "        per_pair = torch.nn.functional.softplus((negative - positive[:, None]) / TEMPERATURE)\n"
    + _MEAN
    + "        return per_pair.mean()",
    "bce": "        per_pair = torch.nn.functional.softplus((negative - THRESHOLD) / TEMPERATURE)\n"
    + _MEAN
    + "        own_term = torch.nn.functional.softplus(-(positive - THRESHOLD) / TEMPERATURE)\n"
    + "        return (own_term + per_pair).mean()",
}
