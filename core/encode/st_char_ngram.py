"""The sentence-transformers module of hashed character n-grams, for folders that a trial saved.

``SentenceTransformer(folder, trust_remote_code=True)``: the library asks for the flag for every class
that is not its own.
"""

from __future__ import annotations

from typing import Any, Self

import torch
from sentence_transformers.base.modules.input_module import InputModule

from core.encode.char_ngram import NgramTokenizer


class CharNgramEmbedding(InputModule):
    """Mean of the vectors of a text's hashed character n-grams."""

    config_keys: list[str] = ["dim", "buckets", "n_min", "n_max"]

    def __init__(self, dim: int, buckets: int, n_min: int, n_max: int):
        super().__init__()
        self.dim, self.buckets, self.n_min, self.n_max = dim, buckets, n_min, n_max
        self.ngrams = NgramTokenizer(buckets, n_min, n_max)
        self.embedding = torch.nn.EmbeddingBag(buckets, dim)

    def preprocess(self, inputs: list[str], prompt: str | None = None, **kwargs: Any) -> dict[str, torch.Tensor]:
        tokens = self.ngrams.tokenize(self._prepend_prompt(inputs, prompt) if prompt else inputs)
        return {"input_ids": torch.from_numpy(tokens.ids), "offsets": torch.from_numpy(tokens.offsets[:-1])}

    def forward(self, features: dict[str, torch.Tensor], **kwargs: Any) -> dict[str, torch.Tensor]:
        features["sentence_embedding"] = self.embedding(features["input_ids"], features["offsets"])
        return features

    def get_embedding_dimension(self) -> int:
        return self.dim

    def save(self, output_path: str, *args: Any, safe_serialization: bool = True, **kwargs: Any) -> None:
        self.save_config(output_path)
        self.save_torch_weights(output_path, safe_serialization=safe_serialization)

    @classmethod
    def load(cls, model_name_or_path: str, subfolder: str = "", **kwargs: Any) -> Self:
        hub = {k: kwargs.get(k) for k in ("token", "cache_folder", "revision")}
        hub["local_files_only"] = bool(kwargs.get("local_files_only"))
        module = cls(**cls.load_config(model_name_or_path, subfolder=subfolder, **hub))
        return cls.load_torch_weights(model_name_or_path, subfolder=subfolder, model=module, **hub)
