"""Training on vectors that were moved a little in the worst direction beside those that are there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from core.params import Citation, Piece, param

if TYPE_CHECKING:
    from torch import Tensor

# Below this length a gradient has no direction, and its vector is left where it is.
LEAST = 1e-12


class Perturbation(Piece):
    """Base of the perturbations. ``weight``: of the loss on the moved vectors, beside the loss itself; 0 = none is computed."""

    family = "perturbation"

    @property
    def weight_beside(self) -> float:
        """Weight of the loss on the moved vectors."""
        return 0.0

    def moved(self, vectors: Tensor, gradient: Tensor) -> Tensor:
        """``vectors`` (..., D) moved by a constant; ``gradient`` (..., D) of the loss. The result is differentiable in the vectors."""
        raise TypeError(f"{type(self).__name__} moves nothing")


@dataclass(frozen=True, kw_only=True)
class Unperturbed(Perturbation):
    """The loss is computed on the vectors as they are.

    One forward and one backward pass a step. What the model is told of a pair, it is told of exactly this point.
    """

    key = "none"
    title = "No perturbation"
    source = Citation("Goodfellow et al.", 2014, "Explaining and Harnessing Adversarial Examples", "https://arxiv.org/abs/1412.6572")


@dataclass(frozen=True, kw_only=True)
class FGM(Perturbation):
    """The model must also be right when each text's vector is moved a little where the loss grows fastest.

    r = epsilon |v| g / |g|, g the gradient of the loss at the vector v of a query, positive or mined negative; the loss on v + r is
    added. The labels keep their word for the neighbourhood, so one wrong pair bends the space less. Miyato et al. move the token
    embeddings. We move the pooled vector: with mean pooling every token of a text of T tokens gets the same gradient, so theirs moves the
    pooled vector along g / |g|, too, only by 1 / sqrt(T) of the length, less for long texts. It costs one more scoring and no
    second encoding. A large epsilon moves positives behind negatives and teaches noise; vectors of queues, which do not learn, stay.
    """

    key = "fgm"
    title = "Adversarial (FGM)"
    cost = "low"
    difficulty = "medium"
    source = Citation(
        "Miyato et al.", 2016, "Adversarial Training Methods for Semi-Supervised Text Classification", "https://arxiv.org/abs/1605.07725"
    )
    epsilon: float = param(0.1, "how far each vector is moved, as a share of its length", ge=0.0, le=10.0)
    weight: float = param(1.0, "weight of the loss on the moved vectors", ge=0.0, le=100.0)

    @property
    def weight_beside(self):
        return self.weight

    def moved(self, vectors, gradient):
        size = self.epsilon * vectors.detach().norm(dim=-1, keepdim=True)
        return vectors + size * gradient / gradient.norm(dim=-1, keepdim=True).clamp(min=LEAST)


PERTURBATIONS: tuple[type[Perturbation], ...] = (Unperturbed, FGM)
