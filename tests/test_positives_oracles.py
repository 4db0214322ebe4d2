"""Positives from passages, extracts and queries, each against a plain loop over its rule."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pyarrow as pa
import pytest
from scipy.stats import chisquare

from core.corpus.articles import articles
from core.corpus.corpus import Corpus
from core.errors import ParameterError
from core.sampling.positives_extract import SalientExtract, SalientSpans, TitleAsQuery, salient_spans
from core.sampling.positives_passages import NeighbouringPieces, RecurringSpans, recurring_spans
from core.sampling.positives_queries import QueryClusters, SparLambda, cluster_terms, open_queries
from core.sampling.text_units import STOP_WORDS, Units, sentences
from core.search.words import tokenize
from tests.positives_world import PASSAGES, PLACES, THINGS, world
from tests.small import make_context, make_corpus

CORPUS = world()
TEXTS = CORPUS.document_texts()


def draws(piece, corpus, n=1):
    context = make_context(corpus)
    material = piece.read(context)
    return [piece.draw_epoch(material, 0, epoch) for epoch in range(n)]


def test_articles_are_the_passages_of_a_source_in_their_order():
    found = articles(CORPUS)
    assert [rows.tolist() for rows in found] == [list(range(a * PASSAGES, (a + 1) * PASSAGES)) for a in range(len(PLACES))]
    columns = {"doc_id": list("abcdef"), "title": [""] * 6, "text": list("uvwxyz")}
    fields = {"source": ["s", "s", "", "s", "t", ""], "passage": ["10", "9", "1", "x", "1", ""]}
    odd = Corpus("odd", pa.table(columns | fields), CORPUS.queries, {})
    assert [rows.tolist() for rows in articles(odd)] == [[1, 0, 3]], "by number, what has none last; one alone is no article"
    assert articles(world(with_fields=False)) == []


@pytest.mark.parametrize("distance", [1, 2])
def test_neighbours_stand_within_the_distance_and_each_equally_often(distance):
    counts: Counter[tuple[int, int]] = Counter()
    for made in draws(NeighbouringPieces(distance=distance), CORPUS, 300):
        assert made.protected[:, 0].tolist() == list(range(CORPUS.n_documents)) and made.doc_texts is None
        for own, text, other in zip(made.protected[:, 0].tolist(), made.query_texts, made.doc_rows.tolist(), strict=True):
            assert text == TEXTS[own]
            counts[own % PASSAGES, other - own if own // PASSAGES == other // PASSAGES else 99] += 1
    for place in range(PASSAGES):
        expected = {d for d in range(-distance, distance + 1) if d and 0 <= place + d < PASSAGES}
        own = {d: n for (p, d), n in counts.items() if p == place}
        assert set(own) == expected and (len(own) == 1 or chisquare(list(own.values())).pvalue > 1e-3)


def test_recurring_spans_equal_a_double_loop():
    rng = np.random.default_rng(4)
    words = ["stone", "bridge", "the", "of", "mill", "", "old"]
    for _ in range(30):
        passages = [[words[i] for i in rng.integers(len(words), size=rng.integers(0, 12))] for _ in range(4)]
        runs: dict[tuple[str, ...], dict[int, int]] = {}
        for p, own in enumerate(passages):
            for n in range(2, 6):
                for i in range(len(own) - n + 1):
                    runs.setdefault(tuple(own[i : i + n]), {}).setdefault(p, i)

        def is_good(run):
            return all(word and word not in STOP_WORDS for word in (run[0], run[-1]))

        good = {run: at for run, at in runs.items() if len(at) > 1 and is_good(run)}

        def is_inside(short, long):
            return len(short) < len(long) and any(long[i : i + len(short)] == short for i in range(len(long)))

        expected = {
            run: at for run, at in good.items() if not any(is_inside(run, other) and good[other].keys() == at.keys() for other in good)
        }
        assert recurring_spans(passages, 5) == expected


def test_a_recurring_span_joins_a_window_and_another_passage():
    n_kept = n = 0
    for made in draws(RecurringSpans(kept=0.3, shortest_window=6, longest_window=9), CORPUS, 80):
        for i, (query, other) in enumerate(zip(made.query_texts, made.doc_rows.tolist(), strict=True)):
            own = int(made.protected[i, 0])
            negative = int(made.negative_rows[i, 0])
            assert own != other and own // PASSAGES == other // PASSAGES == negative // PASSAGES
            assert other in made.protected[i] and negative not in made.protected[i]
            thing = THINGS[own // PASSAGES]
            spans = [span for span in (" ".join(thing.split()[1:]), *PLACES) if span in TEXTS[own]]
            n += 1
            n_kept += any(span in query for span in spans)
            assert len(query.split()) <= 9
    assert abs(n_kept / n - 0.3) < 0.08
    whole = draws(RecurringSpans(kept=1.0), CORPUS)[0]
    assert all(query in TEXTS[row] for query, row in zip(whole.query_texts, whole.protected[:, 0], strict=True))


def test_recurring_spans_say_what_they_need_and_do_without_it():
    flat = world(with_fields=False)
    assert "fields 'source'" in RecurringSpans().lacks(flat) and "fields 'source'" in NeighbouringPieces().lacks(flat)
    assert not RecurringSpans(same_source=False).lacks(flat)
    made = draws(RecurringSpans(same_source=False), flat)[0]
    assert len(made) >= 18 and (made.negative_rows == -1).all()
    with pytest.raises(ParameterError, match="longest_window must be >="):
        RecurringSpans(shortest_window=9, longest_window=8)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("The bridge opened on 3 March 1932, near Sydney.", ["3 March 1932", "Sydney"]),
        ("Anna Keel met (Jonas Brandt) in May. May came.", ["Anna Keel", "Jonas Brandt", "May", "May"]),
        ("Bridges are old. In 999 or 2150 nobody knew.", []),
        ("Near the Lake, Mount Serrin rises.", ["Lake", "Mount Serrin"]),
        ("", []),
    ],
)
def test_salient_spans_are_names_and_dates_by_rule(text, found):
    assert [text[a:b] for a, b in salient_spans(text)] == found


def test_a_masked_sentence_asks_for_the_document_that_holds_the_span():
    texts = CORPUS.documents["text"].to_pylist()
    seen: dict[int, set[str]] = {}
    for made in draws(SalientSpans(), CORPUS, 40):
        for query, row in zip(made.query_texts, made.doc_rows.tolist(), strict=True):
            before, after = query.split("[MASK]")
            own = [texts[row][a:b] for a, b in sentences(texts[row])]
            (sentence,) = [s for s in own if s.startswith(before) and s.endswith(after) and len(s) > len(before + after)]
            span = sentence[len(before) : len(sentence) - len(after)]
            assert span in [texts[row][a:b] for a, b in salient_spans(texts[row])]
            seen.setdefault(row, set()).add(span)
    assert {"Anna Keel", "1810"} <= seen[1], "every span of a document has its turn"


def test_titles_ask_for_the_text_below_them():
    corpus = make_corpus(["alpha", "beta", "gamma", ""], ["q"], [(0, 0)])
    corpus.documents = corpus.documents.set_column(1, "title", pa.array(["One", "Two", "One", "Three"]))
    made = draws(TitleAsQuery(), corpus)[0]
    assert list(made.query_texts) == ["One", "Two", "One"] and list(made.doc_texts) == ["alpha", "beta", "gamma"]
    assert [set(row[row >= 0].tolist()) for row in made.protected] == [{0, 2}, {1}, {0, 2}]
    assert draws(TitleAsQuery(keep_title=True), corpus)[0].doc_texts is None
    assert "needs titles" in TitleAsQuery().lacks(make_corpus(["a"], ["q"], [(0, 0)]))
    many = make_corpus([f"text {i}" for i in range(20)], ["q"], [(0, 0)])
    many.documents = many.documents.set_column(1, "title", pa.array(["Untitled"] * 17 + ["A", "B", "C"]))
    assert list(draws(TitleAsQuery(), many)[0].query_texts) == ["A", "B", "C"]


@pytest.mark.parametrize("by", ["bm25", "vectors"])
def test_the_most_salient_of_the_drawn_spans_is_taken(by):
    piece, context = SalientExtract(by=by, candidates=5, shortest=3, longest=6), make_context(CORPUS)
    material = piece.read(context)
    made = piece.draw(material, np.random.default_rng(9))
    rng = np.random.default_rng(9)
    if by == "vectors":
        from core.encode.encoders import StaticEncoder

        model = StaticEncoder().build([], 0)

    for i, row in enumerate(made.doc_rows.tolist()):
        units = Units(TEXTS[row])
        length = int(rng.integers(3, 7))
        spans = [units.cut(int(f), int(f) + length) for f in rng.integers(0, len(units) - length + 1, 5)]
        if by == "bm25":
            scores = [sum(w for _, w in context.bm25.term_weights(span, row)) for span in spans]
        else:
            a, b = model.encode_texts(spans, "query"), model.encode_texts([TEXTS[row]], "document")[0]
            scores = [float(v @ b / np.linalg.norm(v) / np.linalg.norm(b)) for v in a]
        best = scores[spans.index(made.query_texts[i])]
        assert made.query_texts[i] in spans and best == pytest.approx(max(scores), abs=1e-4)


def test_spar_takes_the_first_and_the_last_ranks_of_bm25():
    context = make_context(CORPUS)
    piece = SparLambda(depth=9, n_positives=3, n_negatives=2)
    rows = open_queries(CORPUS)
    assert rows.tolist() == list(range(6)), "held-out queries teach nothing"
    counts = np.zeros(3)
    made = None
    for made in draws(piece, CORPUS, 200):
        assert made.query_rows.tolist() == rows.tolist() and list(made.query_texts) == CORPUS.query_texts(rows)
        for i, row in enumerate(rows):
            ranked = [d for d in np.argsort(-context.bm25.scores(CORPUS.query_texts([row])[0]), kind="stable")][:9]
            hits = context.bm25.search(CORPUS.query_texts([row]), 9).doc_rows[0]
            hits = hits[hits >= 0].tolist()
            assert set(hits) <= set(ranked) and made.protected[i][made.protected[i] >= 0].tolist() == hits[:3]
            tail = hits[max(3, len(hits) - 2) :]
            assert made.negative_rows[i][made.negative_rows[i] >= 0].tolist() == tail
            counts[hits[:3].index(int(made.doc_rows[i]))] += 1
    assert chisquare(counts).pvalue > 1e-3
    asked = draws(SparLambda(ask="sentences"), CORPUS)[0]
    assert (asked.query_rows == -1).all() and len(asked) == CORPUS.n_documents
    none = make_corpus(["a", "b"], ["q"], [], [(0, 0)])
    assert "every query of this corpus is held out" in SparLambda().lacks(none)
    with pytest.raises(ParameterError, match="SparLambda.depth must be >="):
        SparLambda(depth=10, n_positives=8, n_negatives=5)


def test_queries_get_the_words_of_their_cluster_or_a_sibling():
    texts = [f"{word} {kind}" for kind in ("bread flour oven", "ship harbour sail") for word in ("old", "new", "red", "big")]
    corpus = make_corpus(["bread", "ship"], texts, [(i, i // 4) for i in range(8)], [])
    terms = QueryClusters(size=4, probability=0.5, n_terms=2)
    n_added = n = 0
    for made in draws(terms, corpus, 100):
        assert made.doc_rows.tolist() == [i // 4 for i in range(8)] and made.query_rows.tolist() == list(range(8))
        for i, text in enumerate(made.query_texts):
            assert text.startswith(texts[i])
            added = text[len(texts[i]) :].split()
            n += 1
            n_added += bool(added)
            pool = {w for j in range(i // 4 * 4, i // 4 * 4 + 4) for w in texts[j].split()} - set(texts[i].split())
            assert set(added) <= pool and len(added) in (0, 2)
    assert chisquare([n_added, n - n_added]).pvalue > 1e-3
    for made in draws(QueryClusters(size=4, probability=1.0, way="sibling"), corpus, 5):
        for i, text in enumerate(made.query_texts):
            assert text[len(texts[i]) + 1 :] in {t for t in texts[i // 4 * 4 : i // 4 * 4 + 4]} - {texts[i]}


def test_cluster_terms_equal_a_plain_count():
    clusters = [["a red ship", "the red boat"], ["red bread", "bread and ship"]]
    bags = [[set(tokenize(t)) - STOP_WORDS for t in own] for own in clusters]
    for own, found in zip(bags, cluster_terms(clusters), strict=True):
        weight = {}
        for word in set().union(*own):
            df = sum(word in bag for each in bags for bag in each)
            weight[word] = sum(word in bag for bag in own) * np.log(4 / df)
        assert found == sorted((w for w in weight if weight[w] > 0), key=lambda w: (-weight[w], w))
