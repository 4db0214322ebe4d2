"""Positives that a piece makes of the texts: the contract of every builder, and each against its rule."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import chisquare

from core.errors import ParameterError
from core.sampling.positive_base import PositiveBuilder
from core.sampling.positives import POSITIVES
from core.sampling.positives_spans import ContiguousSpans, InverseCloze, RandomCrops, WordNoise, noised
from core.sampling.text_units import Units, sentences, share_of
from tests.positives_world import with_file, world
from tests.small import make_context, make_corpus

BUILDERS = [piece for piece in POSITIVES if issubclass(piece, PositiveBuilder)]
HOSTILE = ["", "one", "ein  zwei\tdrei", "  ", "<b>x</b> $y$ **z** | w", "日本語の文章です。次の文です。", "a. b. c."]
HOSTILE += ["word " * 300, "same same", "same same", "Only Names Here", "... !!! 1999 ..."]


def drawn(piece, corpus, seed=0, epoch=0):
    context = make_context(corpus)
    return piece.draw_epoch(piece.read(context), seed, epoch)


def assert_pairs(piece, corpus):
    context = make_context(corpus)
    material = piece.read(context)
    made = piece.draw_epoch(material, 5, 0)
    again = piece.draw_epoch(piece.read(context), 5, 0)
    later = piece.draw_epoch(material, 5, 1)
    for a, b in ((made.query_texts, again.query_texts), (made.doc_texts, again.doc_texts)):
        assert (None if a is None else list(a)) == (None if b is None else list(b)), "equal seeds, equal texts"
    for name in ("doc_rows", "protected", "negative_rows", "query_rows"):
        assert np.array_equal(getattr(made, name), getattr(again, name))
        assert getattr(made, name).dtype == np.int64
    assert len(made) == len(later), "as many pairs in every epoch"
    if not piece.is_redrawn:
        assert list(made.query_texts) == list(later.query_texts)
    assert made.doc_rows.min(initial=0) >= 0 and made.doc_rows.max(initial=-1) < corpus.n_documents
    assert made.protected.max(initial=-1) < corpus.n_documents
    assert all(text.strip() for text in made.query_texts), "no empty query"
    assert all(text.strip() for text in made.doc_texts or ["x"]), "no empty positive"
    banned = np.concatenate([made.doc_rows[:, None], made.protected], 1)
    for own, negatives in zip(banned, made.negative_rows, strict=True):
        assert not set(own[own >= 0].tolist()) & set(negatives[negatives >= 0].tolist()), "no positive among its negatives"
    return made


@pytest.mark.parametrize("piece", BUILDERS, ids=lambda p: p.key)
def test_every_builder_keeps_the_contract(piece, tmp_path):
    corpus = world()
    made = with_file(piece(), tmp_path)
    assert not made.lacks(corpus)
    assert len(assert_pairs(made, corpus)) > 0
    assert piece.makes_queries and piece.lesson().count("\n\n") >= 1
    if made == piece():  # a file is of one corpus
        assert assert_pairs(made, make_corpus(HOSTILE, ["q"], [(0, 0)])) is not None
    with pytest.raises(ParameterError, match="makes its own queries"):
        made.pairs(make_context(corpus))


def test_units_cut_exactly_what_is_written():
    units = Units(" Red,  green\nand blue. ")
    assert len(units) == 4 and units.cut(1, 3) == "green\nand" and units.words() == ["Red,", "green", "and", "blue."]
    assert units.without(1, 3) == "Red, blue." and units.without(0, 4, "[MASK]") == "[MASK]"
    assert units.joined(["a", None, "c", "d"]) == "a c d"
    assert [Units("日本 go").cut(i, i + 1) for i in range(3)] == ["日", "本", "go"]
    assert Units("日本語").joined(["日", None, "語"]) == "日語"
    text = 'It "rains." Then (it pours!) 3.5 mm? yes'
    assert [text[a:b] for a, b in sentences(text)] == ['It "rains."', "Then (it pours!)", "3.5 mm?", "yes"]
    assert sentences("  ") == []


def test_inverse_cloze_cuts_a_sentence_out_and_keeps_it_in_at_the_stated_rate():
    corpus = world()
    n_kept, n, chosen = 0, 0, np.zeros(2)
    titles, texts = corpus.documents["title"].to_pylist(), corpus.documents["text"].to_pylist()
    for epoch in range(60):
        made = drawn(InverseCloze(kept=0.25), corpus, epoch=epoch)
        assert made.doc_rows.tolist() == list(range(corpus.n_documents))
        for query, row, document in zip(made.query_texts, made.doc_rows, made.doc_texts, strict=True):
            own = [texts[row][a:b] for a, b in sentences(texts[row])]
            chosen[own.index(query)] += 1
            rest = " ".join(s for s in own if s != query)
            assert document in (f"{titles[row]} {texts[row]}", f"{titles[row]} {rest}")
            n_kept += document.endswith(texts[row])
            n += 1
    assert chisquare([n_kept, n - n_kept], [n * 0.25, n * 0.75]).pvalue > 1e-3
    assert chisquare(chosen).pvalue > 1e-3, "each sentence equally likely"


def test_crops_have_the_stated_lengths_and_lie_in_the_text():
    corpus = make_corpus([" ".join(f"w{i}" for i in range(100))], ["q"], [(0, 0)])
    lengths, starts = [], []
    for epoch in range(800):
        made = drawn(RandomCrops(deleted=0.0), corpus, epoch=epoch)
        for text in (made.query_texts[0], made.doc_texts[0]):
            numbers = [int(w[1:]) for w in text.split()]
            assert numbers == list(range(numbers[0], numbers[0] + len(numbers))), "a run of words"
            lengths.append(len(numbers))
            starts.append(numbers[0])
    counts = np.bincount(lengths, minlength=50)
    assert min(lengths) >= 10 and max(lengths) <= 49
    assert chisquare(counts[10:50]).pvalue > 1e-3, "floor(100 * U(.1, .5)): each of 10 ... 49 equally likely"
    pairs = np.array(starts).reshape(-1, 2)
    assert abs(np.corrcoef(pairs.T)[0, 1]) < 0.12, "the two crops are independent"


def test_share_of_is_never_nothing_and_never_more_than_all():
    rng = np.random.default_rng(0)
    assert {share_of(2, 0.01, 0.1, rng) for _ in range(50)} == {1} and share_of(3, 1.0, 1.0, rng) == 3


@pytest.mark.parametrize("way", ["delete", "replace", "mask"])
def test_noise_hits_each_word_with_the_stated_probability(way):
    own = [f"w{i}" for i in range(20)]
    units, others = Units(" ".join(own)), np.array(["x", "y"], object)
    hits = np.zeros(20)
    rng = np.random.default_rng(1)
    for _ in range(1500):
        words = noised(units, way, 0.2, others, rng).split(" ")
        if way == "delete":
            left = set(words)
            hits += [word not in left for word in own]
            assert words == [w for w in own if w in left], "order is kept"
        else:
            assert len(words) == 20 and set(words) - set(own) <= ({"[MASK]"} if way == "mask" else {"x", "y"})
            hits += [a != b for a, b in zip(words, own, strict=True)]
    assert chisquare([hits.sum(), 1500 * 20 - hits.sum()], [6000, 24000]).pvalue > 1e-3
    assert chisquare(hits).pvalue > 1e-4, "no place is spared"
    assert noised(Units("one two"), "delete", 0.9, None, np.random.default_rng(0)) in ("one", "two", "one two")


def test_noisy_queries_ask_for_the_document_as_it_is():
    made = drawn(WordNoise(way="replace", probability=0.5), world())
    assert made.doc_texts is None and made.query_texts[0] != world().document_texts([0])[0]


def test_contiguous_spans_touch_and_do_not_overlap():
    corpus = make_corpus([" ".join(f"w{i}" for i in range(30)), "too short for it"], ["q"], [(0, 0)])
    places, n_first = np.zeros(31), 0
    for epoch in range(1200):
        made = drawn(ContiguousSpans(least=5, most=12), corpus, epoch=epoch)
        assert made.doc_rows.tolist() == [0]
        a, b = ([int(w[1:]) for w in text.split()] for text in (made.query_texts[0], made.doc_texts[0]))
        n_first += a[0] < b[0]
        first, second = sorted((a, b))
        assert first[-1] + 1 == second[0] and 5 <= len(first) <= 12 and 5 <= len(second) <= 12
        places[second[0]] += 1
    assert chisquare(places[5:26]).pvalue > 1e-3 and chisquare([n_first, 1200 - n_first]).pvalue > 1e-3


def test_of_a_very_large_corpus_some_documents_are_drawn_always_the_same(monkeypatch):
    from core.sampling import positives_spans

    corpus = world()
    monkeypatch.setattr(positives_spans, "MOST_DOCUMENTS", 7)
    rows = drawn(RandomCrops(), corpus).doc_rows
    assert len(rows) == 7 and rows.tolist() == sorted(set(rows.tolist())) == drawn(WordNoise(), corpus, seed=9).doc_rows.tolist()
    made = drawn(WordNoise(probability=0.0), corpus)
    assert list(made.query_texts) == corpus.document_texts(made.doc_rows)


def test_joint_bounds_are_refused():
    with pytest.raises(ParameterError, match="RandomCrops.longest must be >="):
        RandomCrops(shortest=0.5, longest=0.2)
    with pytest.raises(ParameterError, match="ContiguousSpans.most must be >="):
        ContiguousSpans(least=9, most=3)
