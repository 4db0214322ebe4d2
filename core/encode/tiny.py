"""A BERT of a few layers with a WordPiece vocabulary, both made from a corpus; and feature tokens for any transformer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np

from core.encode.features import features_of, value_of, without_features

if TYPE_CHECKING:
    from core.encode.encoders_deep import TinyTransformer

PAD, UNKNOWN, FIRST, LAST, MASK = "[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"
MOST_LETTERS = 1000
FEED_FORWARD = 4  # times the size of a layer


def word_pieces(texts: Sequence[str], n_most: int) -> Any:
    """A ``tokenizers`` WordPiece tokenizer learnt from the texts, lower case; equal texts, equal vocabulary.

    The trainer numbers inner letters in the random order of a hash table and breaks ties by these numbers. So every letter of
    the vocabulary, the commonest thousand, is numbered beforehand: by its code point, alone and as an inner one.
    """
    from tokenizers import Tokenizer, models, processors, trainers

    normalizer = _plain(Tokenizer(models.WordPiece(unk_token=UNKNOWN))).normalizer
    words = [normalizer.normalize_str(without_features(text)) for text in texts]
    counts: Counter[str] = Counter()
    for text in words:
        counts.update(text)
    common = sorted(counts, key=lambda letter: (-counts[letter], letter))[:MOST_LETTERS]
    letters = {letter for letter in common if not letter.isspace()}
    if len(counts) > MOST_LETTERS:
        words = ["".join(letter if letter in letters else " " for letter in text) for text in words]
    special = [PAD, UNKNOWN, FIRST, LAST, MASK]
    numbered = [*special, *sorted(letters), *(f"##{letter}" for letter in sorted(letters))]
    learner = _plain(Tokenizer(models.WordPiece(unk_token=UNKNOWN)))
    trainer = trainers.WordPieceTrainer(
        vocab_size=max(n_most, len(numbered)), special_tokens=numbered, min_frequency=2, show_progress=False
    )
    learner.train_from_iterator(words, trainer)
    # A tokenizer of the vocabulary alone: the learner would take the letters for special tokens.
    tokenizer = _plain(Tokenizer(models.WordPiece(learner.get_vocab(), unk_token=UNKNOWN)))
    tokenizer.add_special_tokens(special)
    ends = [(FIRST, tokenizer.token_to_id(FIRST)), (LAST, tokenizer.token_to_id(LAST))]
    tokenizer.post_processor = processors.TemplateProcessing(single=f"{FIRST} $A {LAST}", special_tokens=ends)
    return tokenizer


def _plain(tokenizer: Any) -> Any:
    from tokenizers import normalizers, pre_tokenizers

    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    return tokenizer


def tiny_modules(piece: TinyTransformer, texts: Sequence[str], seed: int) -> list[Any]:
    """The modules of an untrained tower: a Transformer, mean pooling. Every weight comes from ``seed``."""
    from sentence_transformers.base.modules import Transformer
    from sentence_transformers.sentence_transformer.modules import Pooling
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    from core.encode.transformer import seeded

    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=word_pieces(texts, piece.vocabulary), model_max_length=piece.max_tokens,
        pad_token=PAD, unk_token=UNKNOWN, cls_token=FIRST, sep_token=LAST, mask_token=MASK,
    )  # fmt: skip
    config = BertConfig(
        vocab_size=len(tokenizer), hidden_size=piece.dim, num_hidden_layers=piece.layers, num_attention_heads=piece.heads,
        intermediate_size=FEED_FORWARD * piece.dim, max_position_embeddings=piece.max_tokens, pad_token_id=tokenizer.pad_token_id,
        hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0,
    )  # fmt: skip
    with TemporaryDirectory(prefix="negspace-tiny-") as place, seeded(seed):
        BertModel(config).save_pretrained(place)
        tokenizer.save_pretrained(place)
        module = Transformer(place, max_seq_length=piece.max_tokens)
    if piece.field_names:
        add_features(module, texts)
    return [module, Pooling(piece.dim, "mean")]


def add_features(module: Any, texts: Sequence[str]) -> None:
    """Make each feature of the texts a token of the tower, its vector the mean of its value's word pieces."""
    import torch
    from tokenizers import AddedToken

    features = features_of(texts)
    if not features:
        return
    tokenizer, model = module.tokenizer, module.auto_model
    values = tokenizer([value_of(feature) for feature in features], add_special_tokens=False)["input_ids"]
    n_before = len(tokenizer)
    tokenizer.add_tokens([AddedToken(f, lstrip=True, rstrip=True, normalized=False) for f in features], special_tokens=True)
    model.resize_token_embeddings(len(tokenizer), mean_resizing=False)
    table = model.get_input_embeddings().weight
    with torch.no_grad():
        centre = table[:n_before].mean(0)
        for row, ids in enumerate(values):
            table[n_before + row] = table[np.array(ids)].mean(0) if ids else centre
