"""Cross-encoders made once for a corpus, a piece and a seed: kept in memory, and on disk where a folder is known."""

from __future__ import annotations

import shutil
import tempfile
import threading
from collections import OrderedDict
from pathlib import Path
from typing import TYPE_CHECKING

from core.search.cross_encoder import CrossEncoder, CrossModel

if TYPE_CHECKING:
    from core.corpus.corpus import Corpus
    from core.search.bm25 import BM25

#: Models kept in memory, each with the words and features of its corpus.
MOST_MODELS = 4
_models: OrderedDict[str, CrossModel] = OrderedDict()
_lock = threading.Lock()


def cross_model(
    corpus: Corpus, piece: CrossEncoder, *, bm25: BM25, seed: int = 0, folder: Path | None = None
) -> CrossModel:
    """The model of this corpus, piece and seed: trained at most once, then found in memory or under ``folder``.

    ``folder``: ``cross`` in the workspace's cache, where each model has a folder named by its key; other processes find the
    model and the scored pairs there. Without it the model is kept in memory only. One thread trains at a time, the others
    wait for it. A folder that cannot be written is passed over.
    """
    key = piece.key_for(corpus, seed)
    with _lock:
        if key in _models:
            _models.move_to_end(key)
        else:
            _models[key] = _open_or_train(corpus, piece, bm25, seed, None if folder is None else folder / key)
            while len(_models) > MOST_MODELS:
                _models.popitem(last=False)
        model = _models[key]
        if folder is not None and model.pairs.folder is None and (folder / key).is_dir():
            model.pairs.attach(folder / key)
        return model


def forget() -> None:
    """Empty the memory; what is on disk stays."""
    with _lock:
        _models.clear()


def forget_pairs() -> None:
    """Empty what the models in memory said of pairs; the models stay."""
    with _lock:
        for model in _models.values():
            model.pairs.forget()


def _open_or_train(corpus: Corpus, piece: CrossEncoder, bm25: BM25, seed: int, home: Path | None) -> CrossModel:
    if home is not None and (home / "model.json").is_file():
        try:
            return piece.open(home, corpus, bm25=bm25, seed=seed)
        except (OSError, ValueError, KeyError, TypeError):  # damaged, or of another version: made again
            shutil.rmtree(home, ignore_errors=True)
    model = piece.train(corpus, bm25=bm25, seed=seed)
    if home is not None:
        _keep(model, home)
    return model


def _keep(model: CrossModel, home: Path) -> None:
    try:
        home.parent.mkdir(parents=True, exist_ok=True)
        part = Path(tempfile.mkdtemp(prefix=f"{home.name}-", dir=home.parent))
    except OSError:
        return
    try:
        model.save(part)
        part.chmod(0o755)
        part.rename(home)  # another process may have been first: then its folder, which holds the same, stays
    except OSError:
        shutil.rmtree(part, ignore_errors=True)
