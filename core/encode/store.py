"""Model folders in sentence-transformers' format, written and read without importing that library.

Importing it takes several seconds, the files are a few lines of JSON; the tests open every kind of
folder with the library itself.
"""

from __future__ import annotations

import json
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from core.encode.char_ngram import NgramTokenizer
from core.encode.encoders import CharNgram, Encoder, FrozenHead, StaticEncoder, make_encoder
from core.encode.features import OPEN, FeatureTokenizer, split_tokenizer
from core.encode.subwords import SubwordTokenizer
from core.encode.token_tables import TokenTables
from core.errors import UserError

if TYPE_CHECKING:
    from core.encode.model import EncoderModel

OWN_FILE = "negspace_encoder.json"
SIMILARITIES = {"cosine": "cosine", "dot": "dot", "l2": "euclidean"}
_STATIC = "sentence_transformers.sentence_transformer.modules.static_embedding.StaticEmbedding"
_NGRAM = "core.encode.st_char_ngram.CharNgramEmbedding"
_ROUTER = "sentence_transformers.base.modules.router.Router"
_NORMALIZE = "sentence_transformers.base.modules.normalize.Normalize"
_WEIGHTS = "embedding.weight"


def save_model(model: EncoderModel, folder: Path, similarity: str) -> None:
    """Write ``model``; ``similarity``: cosine, dot or l2, raises ValueError otherwise."""
    if similarity not in SIMILARITIES:
        raise ValueError(f"similarity must be one of {', '.join(SIMILARITIES)}; got {similarity!r}.")
    folder.mkdir(parents=True, exist_ok=True)
    if model.encoder.is_table:
        _save_tables(model, folder, similarity)
    else:
        _save_modules(model, folder, similarity)
    _write_json(folder / OWN_FILE, {"encoder": model.encoder.to_dict(), "similarity": similarity})
    (folder / "README.md").write_text(_card(model, similarity), encoding="utf-8")


def _save_modules(model: Any, folder: Path, similarity: str) -> None:
    """By the library itself: its modules know their own files."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.base.modules import Normalize, Router

    from core.encode.transformer import quiet

    sides = {name.split(".", 1)[0] for name in model.weights}
    if "shared" in sides:
        modules = model.modules_of("shared")
    else:
        modules = [Router.for_query_document(*(model.modules_of(side) for side in ("query", "document")))]
    modules = [*modules, *([Normalize()] if similarity == "cosine" else [])]
    whole = SentenceTransformer(modules=modules, device="cpu", similarity_fn_name=SIMILARITIES[similarity])
    with quiet():
        whole.save(str(folder), create_model_card=False)
    whole.to(getattr(model, "device", "cpu"))


def _save_tables(model: EncoderModel, folder: Path, similarity: str) -> None:
    kind = _NGRAM if isinstance(model.encoder, CharNgram) else _STATIC
    state = model.state()
    if "shared" in state:
        _write_tower(folder, model, state["shared"])
        modules = [("", kind)]
    else:
        towers = {side: f"{side}_0_{kind.rsplit('.', 1)[1]}" for side in ("query", "document")}
        for side, name in towers.items():
            _write_tower(folder / name, model, state[side])
        router = {
            "types": {name: kind for name in towers.values()},
            "structure": {side: [name] for side, name in towers.items()},
            "parameters": {"default_route": "document", "allow_empty_key": True, "route_mappings": {}},
        }
        _write_json(folder / "router_config.json", router)
        modules = [("", _ROUTER)]
    if similarity == "cosine":
        _write_json(folder / "1_Normalize" / "config.json", {"module_input_name": "sentence_embedding"})
        modules.append(("1_Normalize", _NORMALIZE))
    listed = [{"idx": i, "name": str(i), "path": path, "type": kind} for i, (path, kind) in enumerate(modules)]
    _write_json(folder / "modules.json", listed)
    config = {
        "__version__": {name: _version(name) for name in ("sentence_transformers", "transformers", "torch")},
        "model_type": "SentenceTransformer",
        "prompts": {"query": "", "document": ""},
        "default_prompt_name": None,
        "similarity_fn_name": SIMILARITIES[similarity],
    }
    _write_json(folder / "config_sentence_transformers.json", config)


def read_model(folder: Path) -> EncoderModel:
    """The model in ``folder``: one of ours, or any StaticEmbedding folder of sentence-transformers.

    Raises UserError when there is no model, or one of another architecture.
    """
    encoder = _own_encoder(folder)
    if encoder is not None and not encoder.is_table:
        return _read_modules(encoder, folder)
    from core.encode.tables import TableModel

    tables = _read(folder, encoder)
    return TableModel(tables.encoder, tables.tokenizer, tables.tables)  # type: ignore[arg-type]


def read_token_tables(folder: Path) -> TokenTables | None:
    """The vectors of every token of the model in ``folder``, read without torch; None where a vector is no mean of such.

    Raises as :func:`read_model`.
    """
    encoder = _own_encoder(folder)
    return None if encoder is not None and not encoder.is_table else _read(folder, encoder)


def _own_encoder(folder: Path) -> Encoder | None:
    own = folder / OWN_FILE
    return make_encoder(_read_json(own)["encoder"]) if own.is_file() else None


def _read_modules(encoder: Any, folder: Path) -> EncoderModel:
    from core.encode.transformer import TransformerModel, load_modules, without_normalize

    modules = without_normalize(load_modules(str(folder), type(encoder).__name__, 0))
    towers = {"shared": modules}
    if type(modules[0]).__name__ == "Router":
        towers = {side: list(modules[0].sub_modules[side]) for side in ("query", "document")}
    if not isinstance(encoder, FrozenHead):
        return TransformerModel(encoder, towers)
    from core.encode.frozen import FrozenBase, FrozenModel

    n = 2 if encoder.hidden else 1
    base = FrozenBase(next(iter(towers.values()))[:-n])
    return FrozenModel(encoder, base, {side: own[-n:] for side, own in towers.items()})


def _read(folder: Path, encoder: Encoder | None) -> TokenTables:
    towers = _towers(folder)
    if encoder is None:
        encoder = StaticEncoder(towers="shared" if "shared" in towers else "separate")
    tables = {side: _read_table(path) for side, path in towers.items()}
    return TokenTables(_read_tokenizer(encoder, next(iter(towers.values()))), tables, encoder)


def _towers(folder: Path) -> dict[str, Path]:
    """Each table's folder, by its name in the state."""
    if not (folder / "modules.json").is_file():
        raise UserError(f"{folder}: no modules.json. Name a folder saved by a trial or by sentence-transformers.")
    modules = _read_json(folder / "modules.json")
    kinds = [module["type"].rsplit(".", 1)[1] for module in modules]
    root = folder / modules[0]["path"]
    if all(kind == "Normalize" for kind in kinds[1:]):
        if kinds[0] in ("StaticEmbedding", "CharNgramEmbedding"):
            return {"shared": root}
        if kinds[0] == "Router":
            structure = _read_json(root / "router_config.json")["structure"]
            names = {side: path for side in ("query", "document") for path in structure.get(side, [])}
            if len(names) == 2 and all(len(path) == 1 for path in structure.values()):
                return {side: root / path for side, path in names.items()}
    raise UserError(
        f"{folder}: modules {', '.join(kinds)} cannot be loaded. Give a StaticEmbedding model, "
        "alone or behind a query/document Router, with or without Normalize."
    )


def _write_tower(folder: Path, model: EncoderModel, table: np.ndarray) -> None:
    from safetensors.numpy import save_file

    folder.mkdir(parents=True, exist_ok=True)
    save_file({_WEIGHTS: table}, folder / "model.safetensors")
    if isinstance(model.tokenizer, (SubwordTokenizer, FeatureTokenizer)):
        model.tokenizer.save(folder / "tokenizer.json")
    else:
        _write_json(folder / "config.json", ngram_config(model.encoder))


def ngram_config(encoder: Encoder) -> dict[str, int]:
    """What CharNgramEmbedding's constructor needs."""
    values = encoder.to_dict()
    return {name: values[name] for name in ("dim", "buckets", "n_min", "n_max")}


def _read_tokenizer(encoder: Encoder, tower: Path) -> Any:
    if isinstance(encoder, CharNgram):
        return NgramTokenizer(encoder.buckets, encoder.n_min, encoder.n_max)
    from tokenizers import Tokenizer

    if not (tower / "tokenizer.json").is_file():
        raise UserError(f"{tower}: no tokenizer.json. Save the model again with sentence-transformers.")
    spec = (tower / "tokenizer.json").read_text(encoding="utf-8")
    words, features = split_tokenizer(spec) if OPEN in spec else (spec, [])
    tokenizer = SubwordTokenizer(Tokenizer.from_str(words))
    return FeatureTokenizer(tokenizer, features) if features else tokenizer


def _read_table(tower: Path) -> np.ndarray:
    from safetensors.numpy import load_file

    path = tower / "model.safetensors"
    weights = load_file(path) if path.is_file() else {}
    if _WEIGHTS not in weights:
        raise UserError(f"{path}: no {_WEIGHTS}. Open the model with sentence-transformers and save it again.")
    return weights[_WEIGHTS].astype(np.float32)


def _card(model: EncoderModel, similarity: str) -> str:
    flag = ", trust_remote_code=True" if isinstance(model.encoder, CharNgram) else ""
    return f"""---
library_name: sentence-transformers
pipeline_tag: sentence-similarity
---
{model.encoder.summary()}, {model.dim} numbers in a vector, {similarity} similarity, trained with Negative Space.

```python
from sentence_transformers import SentenceTransformer

model = SentenceTransformer("path/to/this/folder"{flag})
scores = model.similarity(model.encode_query(["a question"]), model.encode_document(["a text"]))
```
"""


@cache
def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "not installed"


def _read_json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def _write_json(path: Path, value: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")
