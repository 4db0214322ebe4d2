"""A plain Python script that trains a trial's model again with sentence-transformers alone."""

from __future__ import annotations

import re
from importlib import metadata
from typing import Any

from core.encode.encoders import CharNgram, FrozenHead, StaticEncoder, StaticScratch, make_encoder
from core.lab.script_text import BODY, FORMULAS, LOADERS, LOSSES, SIMILARITIES
from core.sampling.weighting import Equal
from core.train.config import TrialConfig

DATA, MODEL, OUT = "train.parquet", "model", "trained"


def training_script(config: TrialConfig, n_negatives: int, *, n_minings: int = 0, notes: tuple[str, ...] = ()) -> str:
    """The script's text: it reads ``train.parquet`` beside it and writes ``trained/``.

    ``n_negatives``: negative columns of the data, 0 = pairs alone; ``n_minings``: tables that the trial mined; ``notes``: what
    the data leaves out. What is not as in the trial stands in the script's own docstring. Equal arguments give equal bytes.
    """
    recipe, encoder = config.recipe_value, make_encoder(config.encoder)
    signal = recipe.signal
    is_in_batch = recipe.batch.key != "none"
    is_mnrl = signal.key == "infonce" and is_in_batch
    separate = getattr(encoder, "towers", "shared") == "separate"
    loader = LOADERS["saved" if encoder.key not in LOADERS or needs_model(config) and encoder.key != CharNgram.key else encoder.key]
    packages = ["'sentence-transformers>=6.2,<7'", "datasets", "accelerate", "pyarrow"]
    packages += ["negspace"] if encoder.key == CharNgram.key else [] if needs_model(config) else ["wordllama"]
    columns = ["anchor", "positive", *(f"negative_{i}" for i in range(1, n_negatives + 1))]
    settings: dict[str, Any] = {
        "EPOCHS": config.epochs,
        "BATCH_SIZE": recipe.passes.pairs(config.batch_size),
        "LEARNING_RATE": config.learning_rate,
        "SEED": config.seed,
        "COLUMNS": columns,
        "SEPARATE_TOWERS": separate,
        "NORMALIZE": signal.similarity == "cosine",
        "SIMILARITY_NAME": {"l2": "euclidean"}.get(signal.similarity, signal.similarity),
    }
    settings |= {"DIM": encoder.dim, "SPREAD": encoder.spread} if isinstance(encoder, StaticScratch) else {}
    if not is_mnrl:
        settings["IN_BATCH"] = is_in_batch
    settings |= {name.upper(): value for name, value in signal.to_dict().items() if name not in ("key", "similarity")}
    differs = differences(config, n_negatives, n_minings) + list(notes)
    head = "\n".join(f"{name} = {value!r}" for name, value in settings.items())
    return BODY.format(
        name=_one_line(config.name or config.recipe_name or "a trial"),
        recipe=_one_line(recipe.summary()),
        corpus=_one_line(config.corpus_name or "its corpus"),
        version=_version(),
        packages=" ".join(packages),
        differs="\n".join(f"* {_one_line(sentence)}" for sentence in differs),
        settings=head,
        similarity=SIMILARITIES[signal.similarity],
        loss=LOSSES["mnrl"] if is_mnrl else LOSSES["own"].format(formula=FORMULAS[signal.key]),
        loader=loader,
        data=DATA,
        out=OUT,
    )


def needs_model(config: TrialConfig) -> bool:
    """Whether the untrained model must lie beside the script: no package gives it."""
    return config.encoder.get("key") not in (StaticEncoder.key, StaticScratch.key) or bool(config.encoder.get("fields"))


def differences(config: TrialConfig, n_negatives: int, n_minings: int) -> list[str]:
    """What the script does otherwise than the trial did, one sentence each."""
    recipe = config.recipe_value
    found = [
        "Order of the pairs: another random order, from the same seed.",
    ]
    if recipe.order.key != "shuffled":
        found.append(f"The trial's batches were drawn from clusters ({recipe.order.title.lower()}); here any pairs share a batch.")
    if recipe.batch.key != "none":
        found.append(
            "In the batch the trial masked every known positive of a query; here only equal texts are kept out of one batch "
            "(BatchSamplers.NO_DUPLICATES)."
        )
    if recipe.batch.key not in ("none", "in-batch"):
        found.append(f"Batch negatives: the trial used '{recipe.batch.title}', this script plain in-batch negatives.")
    if recipe.passes.parts > 1:
        found.append(
            f"The trial made each batch in {recipe.passes.parts} parts ({recipe.passes.title.lower()}); here it is encoded at once, "
            "with the same gradient in more memory (sentence-transformers' CachedMultipleNegativesRankingLoss needs less)."
        )
    if recipe.batch.fixes_documents:
        found.append("The trial kept all document vectors and searched them at each step; here both sides learn.")
    if recipe.batch.gives_negatives and recipe.mined and not recipe.batch.shares_mined:
        found.append("Each query's mined negatives served that query alone; here they serve the whole batch.")
    if recipe.mined and not n_negatives:
        found.append("The trial's mined negatives are not in the data.")
    if n_minings > len(recipe.mined):
        found.append(f"The trial mined {n_minings} tables while it trained; here one set of negatives serves all epochs.")
    if any(lane.picker.is_random for lane in recipe.mined):
        found.append("The trial drew other negatives for each epoch; here they are the same in all.")
    if any(lane.weight != 1 for lane in recipe.mined):
        found.append("Mined negatives had a loss weight of their own; here it is 1.")
    if recipe.written.gives_negatives:
        found.append(f"The trial trained against synthetic texts, too ({recipe.written.title}); they are not in the data.")
    if any(lane.weighting != Equal() for lane in recipe.mined):
        found.append("Each mined negative weighed less the likelier it was an answer; here all weigh alike.")
    if recipe.perturbation.weight_beside:
        found.append("The trial also trained on vectors moved in the worst direction; here they stay where they are.")
    if config.verdicts and config.verdict_use == "down-weight":
        found.append("Judged pairs had less weight in the loss; here they have full weight.")
    if config.encoder.get("fields"):
        found.append("The trial read the documents' fields as feature tokens; the texts of the data do not hold them.")
    if config.encoder.get("key") == FrozenHead.key:
        found.append("The trial trained the head alone; here every weight of the model is trained.")
    return found


def _one_line(text: str) -> str:
    """Text of a person inside a docstring: one line, nothing that could end the string or escape in it."""
    return re.sub(r"\s+", " ", text.replace("\\", "/").replace('"', "'")).strip()


def _version() -> str:
    try:
        return metadata.version("negspace")
    except metadata.PackageNotFoundError:  # a clone that runs without being installed
        return "0"
