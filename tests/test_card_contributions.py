"""Contributions: exact against each encoder's own score, and drawn where the words stand."""

from __future__ import annotations

import numpy as np
import pytest

from core.audit.contributions import decisive_words, explain
from core.encode.encoders import CharNgram, StaticEncoder, StaticScratch
from core.search.exact import score_pairs

QUERY = "how often should I feed my sourdough starter"
TEXTS = [
    "Feeding a sourdough starter Stir equal weights of flour, water & salt - every day!",
    "Why a loaf does not rise",
    "  İstanbul’da çay  ☕ twice: çay ",
    "",
]


ENCODERS = (StaticEncoder(), StaticScratch(dim=16), CharNgram(dim=16), StaticEncoder(towers="separate"))


@pytest.fixture(scope="module", params=ENCODERS, ids=["static", "scratch", "ngram", "towers"])
def model(request):
    made = request.param.build(TEXTS, 3)
    if request.param.towers == "separate":  # towers start alike; make them differ, as training does
        state = made.state()
        state["query"] = state["query"] + np.random.default_rng(0).normal(0, 0.1, state["query"].shape).astype(np.float32)
        made.load_state(state)
    return made


@pytest.mark.parametrize("similarity", ["cosine", "dot", "l2"])
def test_shares_add_up_to_the_models_own_score(model, similarity):
    queries, documents = model.encode_texts([QUERY], "query"), model.encode_texts(TEXTS, "document")
    scores = score_pairs(queries, documents, np.zeros(len(TEXTS), np.int64), np.arange(len(TEXTS)), similarity=similarity)
    for text, score in zip(TEXTS, scores, strict=True):
        for part in explain(model.token_tables(), QUERY, text, similarity):
            total = part.rest + sum(stretch.share for stretch in part.stretches)
            assert total == pytest.approx(part.score, abs=1e-9)
            assert part.score == pytest.approx(float(score), abs=1e-5 * max(1, abs(float(score))))


def test_each_share_is_the_tokens_own_product(model):
    """One token at a time: q . v_t / (n |q| |d|), summed over the tokens whose characters the stretch covers."""
    text = TEXTS[0]
    tables = model.token_tables()
    _, part = explain(tables, QUERY, text, "cosine")
    q, d = model.encode_texts([QUERY], "query")[0], model.encode_texts([text], "document")[0]
    spans, vectors = tables.of(text, "document")
    own = [float(v @ q) / len(vectors) / np.linalg.norm(q) / np.linalg.norm(d) for v in vectors]
    starter = next(s for s in part.stretches if text[s.start : s.end] == "starter")
    inside = [share for (start, end), share in zip(spans, own, strict=True) if start < starter.end and end > starter.start]
    assert starter.share == pytest.approx(sum(inside), abs=1e-5)


def test_stretches_stand_in_order_and_cover_every_word(model):
    for text in TEXTS:
        _, part = explain(model.token_tables(), QUERY, text, "cosine")
        ends = [0, *(s.end for s in part.stretches)]
        assert all(start.start >= end for start, end in zip(part.stretches, ends, strict=False))
        covered = "".join(text[s.start : s.end] for s in part.stretches)
        assert [c for c in text if c.isalnum() and c.isascii()] == [c for c in covered if c.isalnum() and c.isascii()]


def test_decisive_words_have_the_largest_difference(model):
    tables = model.token_tables()
    candidate, positive = (explain(tables, QUERY, text, "cosine")[1] for text in (TEXTS[1], TEXTS[0]))
    mine, theirs = candidate.of_words(), positive.of_words()
    found = decisive_words(candidate, positive, 4)
    every = sorted((abs(mine.get(w, 0) - theirs.get(w, 0)) for w in (set(mine) | set(theirs)) - {""}), reverse=True)
    assert [abs(a - b) for _, a, b in found] == pytest.approx(every[:4])
    assert "sourdough" in theirs and mine.get("sourdough") is None
    assert sum(mine.values()) == pytest.approx(candidate.score)


def test_a_saved_model_gives_the_same_shares_without_torch(tmp_path, model):
    from core.encode.store import read_token_tables

    model.save(tmp_path / "model", "cosine")
    again = explain(read_token_tables(tmp_path / "model"), QUERY, TEXTS[0], "cosine")[1]
    assert again == explain(model.token_tables(), QUERY, TEXTS[0], "cosine")[1]


def test_marked_up_text_is_the_text_and_nothing_of_it_is_read_as_html():
    import html
    import re

    from pages.ui.card_texts import coloured

    text = "<b>starter</b> & $x$ <script>alert(1)</script> feed"
    _, part = explain(StaticEncoder().build([], 0).token_tables(), QUERY, text, "cosine")
    drawn = coloured(part, 0.1, {"feed"}, {"starter"})
    assert html.unescape(re.sub(r"</?span[^>]*>", "", drawn)) == text
    assert "<script" not in drawn and "<b>" not in drawn
    assert len(re.findall("outline:", drawn)) == 1 and len(re.findall("border-bottom", drawn)) == 1
