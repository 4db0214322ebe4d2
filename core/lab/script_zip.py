"""The script with its data as one zip: train.py, train.parquet and, where no package has it, the untrained model."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from core.encode.encoders import make_encoder
from core.errors import TrialError
from core.lab.export_format import Format
from core.lab.export_sets import SETS, write_pairs
from core.lab.packing import pack
from core.lab.script import DATA, MODEL, needs_model, training_script
from core.train.results import TrialResults

if TYPE_CHECKING:
    from core.corpus.corpus import Corpus
    from core.lab.export import Export

SCRIPT = "train.py"


def write_script(export: Export, out: Path) -> dict[str, Any]:
    """A zip that trains the model again: the n-tuples of a trial that mined, else its positive pairs."""
    config, n_minings = export.results.config, len(export.results.tables())
    signal = config.recipe_value.signal
    if signal.needs_teacher:
        raise TrialError(
            f"The script's data has no place for a teacher's scores, and {signal.title} needs them. "
            "Export the mined set (n-tuples) instead."
        )
    n_tuples = next(format for format in SETS if format.name == "n-tuple")
    with TemporaryDirectory(dir=out.parent, prefix=".script-") as place:
        folder = Path(place)
        suffix, export.suffix = export.suffix, ".parquet"
        counts = n_tuples.write(export, folder / DATA) if n_minings else write_pairs(export, folder / DATA)
        export.suffix = suffix
        width = export.mined.width if n_minings else 0
        text = training_script(config, width, n_minings=n_minings, notes=tuple(counts["notes"]))
        members: dict[str, Path | bytes] = {SCRIPT: text.encode(), DATA: folder / DATA}
        if needs_model(config):
            model = save_untrained(export.results, export.corpus, folder / MODEL)
            members |= {f"{MODEL}/{path.relative_to(model).as_posix()}": path for path in model.rglob("*") if path.is_file()}
        pack(out, members)
    return counts


def save_untrained(results: TrialResults, corpus: Corpus, folder: Path) -> Path:
    """The folder, with the model that the trial started from in sentence-transformers' format."""
    config = results.config
    encoder = make_encoder(config.encoder)
    model = encoder.build(encoder.document_texts(corpus), config.seed)
    model.save(folder, config.recipe_value.signal.similarity)
    return folder


SCRIPTS: tuple[Format, ...] = (
    Format(
        "script",
        "Training script",
        "Python with sentence-transformers: train.py and its data as a zip; trains this model again without this product.",
        (".zip",),
        write_script,
    ),
)
