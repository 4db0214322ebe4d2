"""The literature's order of strategies, held against what was measured: it appears, the opposite does, or nothing can be said.

Papers' figures come from other models and collections and are not repeated here; what can be expected again is an order. Each
expectation names the paper that reports it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from core.evaluate.significance import Difference, holm, paired_randomisation
from core.params import Citation
from core.sampling.presets import PRESETS

QUALITY, FALSE = "quality", "false negatives"
LEVEL = 0.05
SEED = 20_262
APPEARS, OPPOSITE, UNCLEAR = "appears", "the opposite appears", "cannot be told"


@dataclass(frozen=True)
class Expectation:
    """``better`` does better than ``worse``: ranks higher, or trains against fewer false negatives. ``reported``: who says so, a preset
    whose citation it is, or the citation; ``why``: in one clause."""

    better: str
    worse: str
    reported: Citation | str
    why: str
    of: str = QUALITY

    @property
    def source(self) -> Citation:
        return PRESETS[self.reported].source if isinstance(self.reported, str) else self.reported


ZHAN = Citation(
    "Zhan et al.", 2021, "Optimizing Dense Retrieval Model Training with Hard Negatives", "https://arxiv.org/abs/2104.08051"
)
CONTRIEVER = Citation(
    "Izacard et al.", 2022, "Unsupervised Dense Information Retrieval with Contrastive Learning", "https://arxiv.org/abs/2112.09118"
)
SPIDER = Citation("Ram et al.", 2022, "Learning to Retrieve Passages without Supervision", "https://arxiv.org/abs/2112.07708")

#: Only orders; those whose presets are not both here are passed over.
EXPECTATIONS: tuple[Expectation, ...] = (
    Expectation("bm25", "random", "ance", "lexical negatives are harder than random ones"),
    Expectation("ance", "bm25", "ance", "negatives of the current model are harder than lexical ones"),
    Expectation("random", "in-batch", ZHAN, "random negatives reach documents that are nobody's positive"),
    Expectation("dpr", "in-batch", "dpr", "one BM25 negative a query helps"),
    Expectation("large-batch", "in-batch", "dpr", "more batch negatives help"),
    Expectation("cross-batch", "in-batch", "rocketqa", "more batch negatives help"),
    Expectation("hardest-in-batch", "in-batch", "hardest-in-batch", "the batch's nearest teach most"),
    Expectation("mns", "in-batch", "mns", "uniform samples mend the batch's bias to popular documents"),
    Expectation("random", "impressions", "random", "what was shown and not clicked is biased to the hard"),
    Expectation("rank-window", "static-dense", "rank-window", "the first ranks hold unlabelled answers"),
    Expectation("star", "random", ZHAN, "static hard negatives beat random ones"),
    Expectation("adore", "star", ZHAN, "negatives of every step beat static ones"),
    Expectation("ance-tele", "ance", "ance-tele", "momentum and look-ahead negatives steady the training"),
    Expectation("simans", "ance", "simans", "ambiguous negatives beat the nearest ones"),
    Expectation("trisampler", "ance", "trisampler", "negatives near query and positive alike beat the nearest ones"),
    Expectation("tas-b", "in-batch", "tas-b", "batches of one topic hold harder negatives"),
    Expectation("rocketqa", "static-dense", "rocketqa", "denoising makes hard negatives useful"),
    Expectation("rocketqa-augmented", "rocketqa", "rocketqa", "labels of a cross-encoder add queries"),
    Expectation("nv-retriever", "static-dense", "nv-retriever", "a cut at the positive's score keeps answers out"),
    Expectation("ance-denoised", "ance", "rocketqa", "denoising makes hard negatives useful"),
    Expectation("gist", "in-batch", "gist", "a guide masks the batch's false negatives"),
    Expectation("margin-mse", "bm25", "margin-mse", "a teacher's margins say more than labels"),
    Expectation("random-crops", "inverse-cloze", CONTRIEVER, "independent crops are better pairs than a span and its rest"),
    Expectation("recurring-spans", "inverse-cloze", SPIDER, "spans that recur are better pairs than a span and its rest"),
    Expectation("spider", "inverse-cloze", SPIDER, "spans that recur are better pairs than a span and its rest"),
    Expectation("random", "ance", "rocketqa", "what ranks best is often an unlabelled answer", FALSE),
    Expectation("ance-denoised", "ance", "rocketqa", "a cross-encoder throws answers out", FALSE),
    Expectation("rocketqa", "static-dense", "rocketqa", "a cross-encoder throws answers out", FALSE),
    Expectation("simans", "ance", "simans", "what scores far above the positive is seldom drawn", FALSE),
    Expectation("nv-retriever", "ance", "nv-retriever", "what scores as high as the positive is cut off", FALSE),
    Expectation("rank-window", "static-dense", "rank-window", "the first ranks are left out", FALSE),
)


@dataclass(frozen=True)
class Finding:
    """An expectation and what was measured: ``difference`` of better - worse, positive where the expected one does better;
    ``p``: corrected for all expectations together (Holm)."""

    expectation: Expectation
    measure: str
    difference: Difference
    p: float

    @property
    def verdict(self) -> str:
        if np.isnan(self.p) or self.p > LEVEL:
            return UNCLEAR
        return APPEARS if self.difference.mean > 0 else OPPOSITE

    @property
    def sentence(self) -> str:
        """What may be said, with the figures."""
        e, d = self.expectation, self.difference
        if e.of == FALSE:
            claim = f"{e.better} trains against fewer false negatives than {e.worse}"
            mean, low, high = (100 * (0.0 - value) for value in (d.mean, d.high, d.low))
            band = f"{mean:+.2f} percentage points of {self.measure}, 95 % band {low:+.2f} to {high:+.2f}"
        else:
            claim = f"{e.better} ranks better than {e.worse}"
            band = f"{d.mean:+.4f} {self.measure}, 95 % band {d.low:+.4f} to {d.high:+.4f}"
        says = {
            APPEARS: "appears here",
            OPPOSITE: "does not appear here: the opposite does",
            UNCLEAR: f"cannot be told here: the difference {'has the expected sign' if d.mean > 0 else 'does not have the expected sign'}, "
            "but is within chance",
        }
        return f"{claim} ({e.why}; {e.source.authors} {e.source.year}): {says[self.verdict]} ({band}, Holm p = {self.p:.3f})."


def findings(
    quality: Mapping[str, np.ndarray],
    false_shares: Mapping[str, Mapping[int, float]],
    measure: str,
    expectations: Sequence[Expectation] = EXPECTATIONS,
) -> list[Finding]:
    """Every expectation whose presets were both measured, in their order.

    ``quality``: preset -> float64 (Q,), the measure's value for each held-out query, its seeds' mean. ``false_shares``: preset ->
    training query row -> share of its mined negatives in the loss that truth calls relevant. Paired by query.
    """
    told, differences = [], []
    for e in expectations:
        if e.of == QUALITY and e.better in quality and e.worse in quality:
            a, b, name = quality[e.better], quality[e.worse], measure
        elif e.of == FALSE and e.better in false_shares and e.worse in false_shares:
            # Turned round, so that positive is better.
            rows = sorted(set(false_shares[e.better]) & set(false_shares[e.worse]))
            b, a = (np.array([false_shares[name][row] for row in rows]) for name in (e.better, e.worse))
            name = "the mined negatives"
        else:
            continue
        told.append((e, name))
        differences.append(paired_randomisation(a, b, rng=np.random.default_rng(SEED)))
    corrected = holm([d.p for d in differences]) if differences else []
    return [Finding(e, name, d, float(p)) for (e, name), d, p in zip(told, differences, corrected, strict=True)]
