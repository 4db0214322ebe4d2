"""One training step: encode the batch, score it against every pool, mask, loss, gradient."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch

from core.encode.bag import unit
from core.encode.model import EncoderModel
from core.encode.tokens import Tokens
from core.sampling.batch import BatchStep
from core.sampling.recipe import Recipe
from core.train.encoding import encoding_of

if TYPE_CHECKING:
    from core.train.distributed import Group
    from core.train.fixed import FixedVectors
    from core.train.guide import Guide

# Known positives of a query beyond which masking by comparison would cost more than the scores themselves.
WIDEST_MASK = 64


@dataclass(frozen=True)
class Batch:
    """``query_rows``, ``positive_rows`` int64 (B,); ``mined_rows`` int64 (B, m), -1 = none; ``protected`` int64 (B, P),
    -1 padded: the documents that each query must never be pushed from. ``light`` int64 (B, L), -1 padded: those whose weight
    in the query's loss is multiplied by ``light_weight``; None = none. ``teacher``: float32 (B,) and (B, m), a teacher's scores of
    the positives and of the mined, NaN = it has none; None where the signal has no teacher. ``mined_log_weights`` float32
    (B, m): log of each mined document's own weight in its query's loss, beside its lane's; None = all alike.
    ``positive_texts`` int64 (B,): the rows of the texts that are read for the positives, where a positive is not a document's own
    text; None = ``positive_rows``."""

    query_rows: np.ndarray
    positive_rows: np.ndarray
    mined_rows: np.ndarray
    protected: np.ndarray
    light: np.ndarray | None = None
    light_weight: float = 1.0
    teacher: tuple[np.ndarray, np.ndarray] | None = None
    mined_log_weights: np.ndarray | None = None
    positive_texts: np.ndarray | None = None


@dataclass(frozen=True)
class StepReport:
    """``loss``: with that of moved vectors, where the recipe has some. ``mined_weights`` float32 (B, m): d l / d s of each mined
    negative, l the query's own loss: above 0 it is pushed away, below 0 (by a teacher's will) drawn closer; 0 where none.

    ``positive_score``, ``negative_score``: batch means, the latter over all allowed negatives; ``hard_share``: share of
    queries with an allowed negative that scores at least as high as the positive. ``searched``: (document rows int64 (B, D), scores
    float32 (B, D), the positives' scores float32 (B,)) where the step searched the corpus for its queries; their weights stand in
    ``mined_weights`` behind those of the lanes.
    """

    loss: float
    mined_weights: np.ndarray
    positive_score: float
    negative_score: float
    hard_share: float
    searched: tuple[np.ndarray, np.ndarray, np.ndarray] | None = None


class Stepper:
    """The model, its optimisers and the batch piece's state; :meth:`step` trains on one batch.

    ``n_done``: steps since the beginning of the trial, resumed ones included. ``group``: the processes that encode the batch
    together; each calls :meth:`step` with the same batch and has the same weights afterwards.
    ``guide``: set by whoever makes the stepper, where the batch piece has one.
    """

    def __init__(
        self,
        recipe: Recipe,
        model: EncoderModel,
        learning_rate: float,
        query_tokens: Tokens,
        doc_tokens: Tokens,
        group: Group | None = None,
    ):
        self.recipe, self.model = recipe, model
        self.query_tokens, self.doc_tokens = query_tokens, doc_tokens
        self.optimizers = model.optimizers(learning_rate)
        self.n_done = 0
        self.guide: Guide | None = None
        self.state = recipe.batch.start(model.dim)
        self.key_model = model.clone() if recipe.batch.uses_key_encoder else None
        self.fixed: FixedVectors | None = None
        self.encoding = encoding_of(recipe.passes, model, self._compared, group)
        weights = np.concatenate([np.full(own.per_query, own.weight) for own in (*recipe.mined, recipe.written)])
        self.log_weights = None if (weights == 1).all() else torch.from_numpy(np.log(np.maximum(weights, 1e-30))).float()

    def step(self, batch: Batch) -> StepReport:
        """Train on one batch; deterministic for given weights, batch and number of threads."""
        for optimizer in self.optimizers:
            optimizer.zero_grad(set_to_none=True)
        batch, queries, at = self._fixed(batch) if self.recipe.batch.fixes_documents else (batch, *self._encode_batch(batch))
        loss, positive, negative, is_allowed = self._loss(queries, at, batch)
        if self.recipe.perturbation.weight_beside and loss.requires_grad:
            loss = loss + self.recipe.perturbation.weight_beside * self._loss_of_moved(loss, queries, at, batch)
        if batch.mined_rows.shape[1]:
            negative.retain_grad()  # the report's weights, of the vectors as they are
        if loss.requires_grad:
            loss.backward()
            if not self.recipe.batch.fixes_documents:
                self.encoding.backward()
            for optimizer in self.optimizers:
                optimizer.step()
            if self.key_model is not None:
                self.key_model.momentum_update(self.model, self.recipe.batch.momentum)
        self.recipe.batch.finish(at, self.state)
        self.n_done += 1
        return self._report(loss, positive, negative, is_allowed, batch)

    def _loss(self, queries: torch.Tensor, at: BatchStep, batch: Batch):
        """(loss, scores of the positives (B,) and negatives (B, M), which of these take part) of these vectors."""
        positive = self._compare_rows(queries, at.positives)
        shared, own = self._negatives(queries, positive, at, batch)
        negative, is_allowed, log_weight = self._join(shared, own, at)
        log_weight = self._lightened(log_weight, negative, shared, at, batch)
        if batch.mined_log_weights is not None:
            own_weights = self._at_own_mined(torch.from_numpy(batch.mined_log_weights), torch.zeros_like(negative))
            log_weight = own_weights if log_weight is None else log_weight + own_weights
        if self.recipe.batch.fixes_documents and (own_weight := self.recipe.batch.weigh(negative, is_allowed, positive)) is not None:
            log_weight = own_weight if log_weight is None else log_weight + own_weight
        loss = self.recipe.signal.loss(positive, negative, is_allowed, log_weight, *self._taught(negative, batch))
        return loss, positive, negative, is_allowed

    def _loss_of_moved(self, loss: torch.Tensor, queries: torch.Tensor, at: BatchStep, batch: Batch) -> torch.Tensor:
        """The loss of the same batch with every vector that learns moved as the recipe's perturbation says."""
        vectors = {"queries": queries, "positives": at.positives, "mined": at.mined}
        vectors = {name: v for name, v in vectors.items() if v is not None and v.requires_grad}
        gradients = torch.autograd.grad(loss, list(vectors.values()), retain_graph=True, allow_unused=True)
        moved = {
            name: self._compared(self.recipe.perturbation.moved(v, g).reshape(-1, v.shape[-1])).reshape(v.shape)
            for (name, v), g in zip(vectors.items(), gradients, strict=True)
            if g is not None
        }
        return self._loss(moved.pop("queries", queries), replace(at, **moved), batch)[0]

    def _compared(self, vectors: torch.Tensor) -> torch.Tensor:
        return unit(vectors) if self.recipe.signal.similarity == "cosine" else vectors

    def _fixed(self, batch: Batch) -> tuple[Batch, torch.Tensor, BatchStep]:
        """The batch joined by what its queries find among the fixed document vectors; only the queries carry a gradient."""
        if self.fixed is None:
            from core.train.fixed import FixedVectors

            documents = self._compared(torch.from_numpy(self.model.encode(self.doc_tokens, "document")))
            self.fixed = FixedVectors(documents, self.recipe.signal.similarity, self.recipe.batch.depth)
        queries = self._compared(self.model.forward(self.query_tokens.take(batch.query_rows), "query"))
        batch, at = self.fixed.batch(queries, batch)
        return batch, queries, at

    def _encode_batch(self, batch: Batch) -> tuple[torch.Tensor, BatchStep]:
        n, m = batch.mined_rows.shape
        is_real = batch.mined_rows >= 0
        wanted = batch.mined_rows[is_real]
        positive_rows = torch.from_numpy(batch.positive_rows)
        texts = batch.positive_rows if batch.positive_texts is None else batch.positive_texts
        own_rows = wanted if self.key_model is not None else np.concatenate([texts, wanted])
        tokens = self.query_tokens.take(batch.query_rows), self.doc_tokens.take(own_rows)
        queries, documents = self.encoding.forward(*tokens)
        if self.key_model is not None:
            positives = self.encoding.keys(self.key_model, self.doc_tokens.take(texts))
            mined_vectors = documents
        else:
            positives, mined_vectors = documents[:n], documents[n:]
        if not m:
            return queries, BatchStep(positives, positive_rows, None, None)
        if not is_real.all():
            place = torch.from_numpy(np.flatnonzero(is_real.ravel()))
            mined_vectors = torch.zeros(n * m, self.model.dim).index_copy(0, place, mined_vectors)
        mined = mined_vectors.reshape(n, m, -1)
        return queries, BatchStep(positives, positive_rows, mined, torch.from_numpy(batch.mined_rows))

    def _compare(self, queries: torch.Tensor, documents: torch.Tensor) -> torch.Tensor:
        if self.recipe.signal.similarity == "l2":
            return 2 * queries @ documents.T - queries.square().sum(1)[:, None] - documents.square().sum(1)[None]
        return queries @ documents.T

    def _compare_rows(self, queries: torch.Tensor, documents: torch.Tensor) -> torch.Tensor:
        """(B,) or (B, m): each query with its own documents."""
        if documents.ndim == 3:
            queries = queries[:, None]
        if self.recipe.signal.similarity == "l2":
            return -(queries - documents).square().sum(-1)
        return (queries * documents).sum(-1)

    def _negatives(self, queries, positive, at: BatchStep, batch: Batch):
        """((scores, allowed, document rows) of the pools or None, (scores, allowed) of the queries' own mined negatives or None)."""
        pools = self.recipe.batch.pools(at, self.state)
        shared = None
        if pools:
            scores = self._compare(queries, _joined([vectors for vectors, _ in pools]))
            rows = _joined([rows for _, rows in pools]).numpy()
            is_allowed = torch.from_numpy(allowed(rows, batch.protected))
            shared = scores, self.recipe.batch.narrow(scores, is_allowed, positive), rows
        own = None
        if at.mined_rows is not None and not self.recipe.batch.shares_mined:
            scores = self._compare_rows(queries, at.mined) if self.fixed is None else self.fixed.compare(queries, at.mined_rows)
            own = scores, at.mined_rows >= 0
        return (shared, own) if self.guide is None else self._guided(self.guide, shared, own, at, batch)

    def _guided(self, guide: Guide, shared, own, at: BatchStep, batch: Batch):
        """The same without the pairs that the guide does not let pass."""
        rows, allows = torch.from_numpy(batch.query_rows), self.recipe.batch.pass_guide
        positive = guide.positive_scores(rows, at.positive_rows)
        if shared is not None:
            passed = allows(guide.scores(rows, torch.from_numpy(shared[2])), positive)
            shared = shared[0], shared[1] & passed, shared[2]
        if own is not None:
            own = own[0], own[1] & allows(guide.scores(rows, at.mined_rows), positive)
        return shared, own

    def _join(self, shared, own, at: BatchStep):
        parts = [part[:2] for part in (own, shared) if part is not None]
        negative = _joined([scores for scores, _ in parts], 1)
        is_allowed = _joined([mask for _, mask in parts], 1)
        if self.log_weights is None:
            return negative, is_allowed, None
        n, m = at.mined_rows.shape
        weight = torch.zeros(negative.shape[1])
        if own is not None:
            weight[: len(self.log_weights)] = self.log_weights
        else:
            weight[n : n + n * m] = self.log_weights.repeat(n)
        return negative, is_allowed, weight

    def _lightened(self, log_weight, negative, shared, at: BatchStep, batch: Batch):
        """``log_weight`` with the light pairs' own weight added, (B, M); as it was where there are none."""
        if batch.light is None or not batch.light.shape[1]:
            return log_weight
        parts = [] if shared is None else [np.broadcast_to(shared[2], (len(batch.light), len(shared[2])))]
        if at.mined_rows is not None and not self.recipe.batch.shares_mined:
            parts.insert(0, batch.mined_rows)
        is_light = torch.from_numpy(contained(np.concatenate(parts, 1), batch.light))
        weight = torch.zeros_like(negative) if log_weight is None else log_weight.expand_as(negative)
        return weight.detach() + is_light * math.log(batch.light_weight)

    def _taught(self, negative: torch.Tensor, batch: Batch) -> tuple[tuple[torch.Tensor, torch.Tensor], ...]:
        """The teacher's scores as the signal takes them, of positives (B,) and negatives (B, M); () where it takes none."""
        if batch.teacher is None:
            return ()
        own = torch.from_numpy(batch.teacher[1])
        return ((torch.from_numpy(batch.teacher[0]), self._at_own_mined(own, torch.full_like(negative, torch.nan))),)

    def _at_own_mined(self, values: torch.Tensor, among: torch.Tensor) -> torch.Tensor:
        """``among`` (B, M) with ``values`` (B, m) at the columns of each query's own mined negatives."""
        n, m = values.shape
        columns = torch.arange(m).expand(n, m)
        if self.recipe.batch.shares_mined:  # behind the positives, m of each query in turn
            columns = n + m * torch.arange(n)[:, None] + columns
        return among.scatter(1, columns, values)

    def _report(self, loss, positive, negative, is_allowed, batch: Batch) -> StepReport:
        n, m = batch.mined_rows.shape
        mined_weights = np.zeros((n, m), np.float32)
        if m and negative.grad is not None:
            pull = negative.grad * n  # the loss is a mean over the batch: times n is the query's own
            if self.recipe.batch.shares_mined:
                own = pull[:, n : n + n * m].reshape(n, n, m)
                mined_weights = own[torch.arange(n), torch.arange(n)].numpy()
            else:
                mined_weights = pull[:, :m].numpy()
        scores, own_scores, mask = negative.detach().numpy(), positive.detach().numpy(), is_allowed.numpy()
        searched = None
        if self.recipe.batch.fixes_documents:
            first = m - self.recipe.batch.depth
            searched = batch.mined_rows[:, first:], scores[:, first:m], own_scores
        is_hard = (scores >= own_scores[:, None]) & mask
        return StepReport(
            loss=float(loss.detach()),
            mined_weights=mined_weights,
            positive_score=float(own_scores.mean()),
            negative_score=float(scores[mask].mean()) if mask.any() else 0.0,
            hard_share=float(is_hard.any(1).mean()),
            searched=searched,
        )


def _joined(parts: list[torch.Tensor], dim: int = 0) -> torch.Tensor:
    """``torch.cat``, without a copy of a single part."""
    return torch.cat(parts, dim) if len(parts) > 1 else parts[0]


def contained(rows: np.ndarray, own: np.ndarray) -> np.ndarray:
    """bool (B, M): True where ``rows`` (B, M) is a document and among the query's ``own`` (B, L), which may be padded with -1."""
    found = np.zeros(rows.shape, bool)
    for column in range(own.shape[1]):
        found |= rows == own[:, column, None]
    return found & (rows >= 0)


def allowed(rows: np.ndarray, protected: np.ndarray) -> np.ndarray:
    """bool (B, M): False where ``rows`` (M,) is -1 or among the query's ``protected`` (B, P)."""
    mask = np.broadcast_to(rows >= 0, (len(protected), len(rows))).copy()
    if protected.shape[1] <= WIDEST_MASK:
        for column in range(protected.shape[1]):
            mask &= rows[None, :] != protected[:, column, None]
        return mask
    for i, own in enumerate(protected):
        mask[i] &= ~np.isin(rows, own)
    return mask
