"""Sources that use the corpus's own structure, the positive's neighbourhood, or what was mined before."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from core.corpus.impressions import Impressions
from core.params import Citation, param
from core.sampling.context import MiningContext
from core.sampling.source import Source
from core.search.hits import Hits

ANCE_TELE = Citation(
    "Sun et al.",
    2022,
    "Reduce Catastrophic Forgetting of Dense Retrieval Training with Teleportation Negatives",
    "https://arxiv.org/abs/2210.17167",
)


def best_of_groups(n_queries: int, owners: np.ndarray, doc_rows: np.ndarray, keys: np.ndarray, depth: int) -> np.ndarray:
    """int64 (n_queries, depth): each query's documents with the largest keys, -1 at the end.

    ``owners``, ``doc_rows``, ``keys`` (N,): mentions in any order; of a document that a query has twice the larger key counts.
    Ties: smaller document row.
    """
    order = np.lexsort((-keys, doc_rows, owners))
    owners, doc_rows, keys = owners[order], doc_rows[order], keys[order]
    is_first = np.ones(len(order), bool)
    is_first[1:] = (np.diff(owners) != 0) | (np.diff(doc_rows) != 0)
    owners, doc_rows, keys = owners[is_first], doc_rows[is_first], keys[is_first]
    order = np.lexsort((doc_rows, -keys, owners))
    owners, doc_rows = owners[order], doc_rows[order]
    places = np.arange(len(owners)) - np.searchsorted(owners, owners)
    rows = np.full((n_queries, depth), -1, np.int64)
    is_in = places < depth
    rows[owners[is_in], places[is_in]] = doc_rows[is_in]
    return rows


def pairs_of_positives(context: MiningContext, query_rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(place in ``query_rows``, document row) of every known positive of these queries."""
    padded = context.corpus.positives.padded(query_rows)
    owners, columns = np.nonzero(padded >= 0)
    return owners, padded[owners, columns]


@dataclass(frozen=True, kw_only=True)
class Cluster(Source):
    """Documents of the same cluster as the positive, or as the query.

    All documents are clustered by k-means of their vectors; the candidates are the members of the cluster, those that the model
    scores highest for the query first. A cluster is a topic that the corpus itself shows, so these negatives are alike in subject without
    being the nearest of all. Copies of the positive lie in its cluster as well: leave them out with the near-duplicates filter.
    It fails where clusters are finer than answers: then the cluster holds the unlabelled ones.
    """

    key = "cluster"
    title = "Same cluster"
    cost = "medium"
    difficulty = "medium"
    source = Citation(
        "Hofstätter et al.",
        2021,
        "Efficiently Teaching an Effective Dense Retriever with Balanced Topic Aware Sampling",
        "https://arxiv.org/abs/2104.06967",
    )
    around: str = param("positive", "whose cluster the negatives come from", choices=("positive", "query"))
    clusters: int = param(0, "clusters of the documents; 0 = the square root of their number", ge=0, le=100_000)
    model: str = param(
        "start", "whose vectors are clustered: of the encoder before training, or of the model in training", choices=("start", "current")
    )

    @property
    def is_dynamic(self):
        return self.model == "current"

    def retrieve(self, context, query_rows, depth, rng):
        from core.search.exact import top_k
        from core.search.kmeans import k_means

        vectors = context.vectors(self.model)
        cosine = vectors.similarity == "cosine"
        n_documents = len(vectors.documents)
        k = min(self.clusters or max(1, round(n_documents**0.5)), n_documents)
        labels, centres = k_means(vectors.documents, k, rng, is_spherical=cosine)
        if self.around == "query":
            owners = np.arange(len(query_rows))
            wanted = top_k(vectors.queries[query_rows], centres, 1, similarity="cosine" if cosine else "l2").doc_rows[:, 0]
        else:
            owners, positives = pairs_of_positives(context, query_rows)
            wanted = labels[positives]
        members = np.argsort(labels, kind="stable")
        starts = np.searchsorted(labels[members], np.arange(len(centres) + 1))
        found: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
        for cluster in np.unique(wanted):
            of = np.unique(owners[wanted == cluster])
            inside = members[starts[cluster] : starts[cluster + 1]]
            queries, inner = vectors.queries[query_rows[of]], vectors.documents[inside]
            hits = top_k(queries, inner, min(depth, len(inside)), similarity=vectors.similarity)
            found.append((np.repeat(of, hits.doc_rows.shape[1]), inside[hits.doc_rows.ravel()], hits.scores.ravel()))
        rows = np.full((len(query_rows), depth), -1, np.int64)
        if found:
            rows = best_of_groups(len(query_rows), *(np.concatenate(part) for part in zip(*found, strict=True)), depth)
        return Hits(rows, self.score(context, query_rows, rows))

    def score(self, context, query_rows, doc_rows):
        return context.vectors(self.model).score_pairs(query_rows, doc_rows)

    def likeness(self, context, from_rows, doc_rows):
        return context.vectors(self.model).score_documents(from_rows, doc_rows)


@dataclass(frozen=True, kw_only=True)
class Context(Source):
    """Other passages of the document that the positive was cut from.

    They share author, subject and names with the answer and still do not answer, which no search for similar texts is needed to find.
    A field of the corpus says which passages belong together; candidates come in the order of the corpus, so draw from them.
    It fails where neighbouring passages answer as well, which is common in long documents with one label, and where a
    document was not cut at all.
    """

    key = "context"
    title = "Same source document"
    source = Citation(
        "Lu et al.",
        2021,
        "Multi-stage Training with Improved Negative Contrast for Neural Passage Retrieval",
        "https://aclanthology.org/2021.emnlp-main.492/",
    )
    field: str = param("source", "field of corpus.jsonl that is equal for passages of one document; title serves many collections")

    def lacks(self, corpus, recipe):
        more = [name for name in corpus.documents.column_names if name not in ("doc_id", "title", "text")]
        shown = f"its further fields are {', '.join(more[:8])}" if more else "it has no further fields"
        if self.field not in corpus.documents.column_names:
            return (
                f"Context negatives need a field that says which passages belong to one document; this corpus has no {self.field!r} "
                f"({shown}). Set context.field, add the field to corpus.jsonl, or choose another source."
            )
        if self._groups(corpus)[1].max(initial=1) < 2:
            return f"Every document has a {self.field!r} of its own, so no positive has a neighbour. Set context.field to another field."
        return ""

    def _groups(self, corpus) -> tuple[np.ndarray, np.ndarray]:
        """(group of each document int64 (C,), -1 = its field is empty; size of each group)."""
        import pyarrow.compute as pc

        column = corpus.documents[self.field].combine_chunks()
        codes = column.dictionary_encode().indices.to_numpy().astype(np.int64)
        groups = np.where(pc.equal(column, "").to_numpy(zero_copy_only=False), -1, codes)
        return groups, np.bincount(groups[groups >= 0], minlength=1)

    def retrieve(self, context, query_rows, depth, rng):
        if self.field not in context.corpus.documents.column_names:
            rows = np.full((len(query_rows), depth), -1, np.int64)
            return Hits(rows, self.score(context, query_rows, rows))
        groups, _ = self._groups(context.corpus)
        members = np.argsort(groups, kind="stable")
        in_order = groups[members]
        owners, positives = pairs_of_positives(context, query_rows)
        is_grouped = groups[positives] >= 0
        owners, wanted = owners[is_grouped], groups[positives[is_grouped]]
        first, last = np.searchsorted(in_order, wanted, "left"), np.searchsorted(in_order, wanted, "right")
        n_each = last - first
        places = np.repeat(first, n_each) + np.arange(n_each.sum()) - np.repeat(np.cumsum(n_each) - n_each, n_each)
        docs = members[places]
        rows = best_of_groups(len(query_rows), np.repeat(owners, n_each), docs, np.zeros(len(docs)), depth)
        return Hits(rows, self.score(context, query_rows, rows))


@dataclass(frozen=True, kw_only=True)
class LookAhead(Source):
    """Documents nearest to the positive instead of the query.

    As training pulls the query to its positive, the positive's neighbours become what the query meets next: mining them now saves
    waiting for the next refresh. With several positives the neighbours of each count. Scores are those of the query, as
    for every source. Copies and paraphrases of the positive stand first among its neighbours, so it needs a guard.
    """

    key = "look-ahead"
    title = "Neighbours of the positive"
    cost = "high"
    difficulty = "medium"
    is_dynamic = True
    source = ANCE_TELE

    def retrieve(self, context, query_rows, depth, rng):
        owners, positives = pairs_of_positives(context, query_rows)
        distinct, places = np.unique(positives, return_inverse=True)
        hits = context.vectors("current").search_from(distinct, depth)
        docs, keys = hits.doc_rows[places.reshape(-1)], hits.scores[places.reshape(-1)]
        if len(owners) == len(query_rows) and (np.diff(owners) > 0).all():  # one positive each: nothing to merge
            return Hits(docs, self.score(context, query_rows, docs))
        is_real = docs >= 0
        spread = np.broadcast_to(owners[:, None], docs.shape)
        rows = best_of_groups(len(query_rows), spread[is_real], docs[is_real], keys[is_real], depth)
        return Hits(rows, self.score(context, query_rows, rows))


@dataclass(frozen=True, kw_only=True)
class Momentum(Source):
    """What the search of the last refresh found, offered once more beside the new one.

    A model that meets only its newest mistakes forgets the earlier ones: they come back, are mined again and leave again. Keeping the
    last refresh's candidates in the mix calms this swinging. The recipe needs a lane that searches with the current model; before
    its first refresh BM25's ranking, the usual warm-up, stands in. Half of these negatives are easier than they were.
    """

    key = "momentum"
    title = "Of the last refresh"
    cost = "low"
    difficulty = "medium"
    is_dynamic = True
    source = ANCE_TELE

    def lacks(self, corpus, recipe):
        if any(lane.source.key == "dense" for lane in recipe.mined):
            return ""
        return "Momentum negatives repeat what a dense lane found at the last refresh; this recipe has none. Add a lane with source=dense."

    def retrieve(self, context, query_rows, depth, rng):
        if "dense" not in context.earlier:
            rows = context.bm25.search(context.corpus.query_texts(query_rows), depth).doc_rows
        else:
            known, found = context.earlier["dense"]
            places = np.searchsorted(known, query_rows)
            rows = np.full((len(query_rows), depth), -1, np.int64)
            width = min(depth, found.shape[1])
            rows[:, :width] = found[places, :width]
        return Hits(rows, self.score(context, query_rows, rows))


@dataclass(frozen=True, kw_only=True)
class NotClicked(Source):
    """Documents that searchers were shown for the query and did not click.

    They come from a log (impressions.tsv), best position first; a document that was clicked in any session of the query is left out. They
    are what the system in use ranked high, so they are hard without a search. But not clicked is not judged: most results
    are never looked at, the less the lower they stand (position bias), and one answer clicked leaves the others unread. Facebook's search
    found random negatives better than these. Only documents above a clicked one were probably looked at; ask for those to be safer.
    """

    key = "not-clicked"
    title = "Shown, not clicked"
    source = Citation(
        "Huang et al.", 2020, "Embedding-based Retrieval in Facebook Search", "https://arxiv.org/abs/2006.11632"
    )
    above_click: bool = param(False, "only what stood above a clicked document in the same session, and so was probably looked at")

    def lacks(self, corpus, recipe):
        if not corpus.has_impressions:
            return (
                "This corpus has no log of impressions. Put impressions.tsv (query-id, doc-id, clicked) beside corpus.jsonl, or choose "
                "another source."
            )
        log = corpus.impressions
        if self.above_click and ((log.positions <= 0).all() or (log.sessions < 0).all()):
            return "The log names no positions or no sessions, so what stood above a click is unknown. Set not-clicked.above_click=false."
        return ""

    def retrieve(self, context, query_rows, depth, rng):
        rows = np.full((len(query_rows), depth), -1, np.int64)
        log = context.corpus.impressions
        if log is not None:
            place = np.full(context.corpus.n_queries, -1, np.int64)
            place[query_rows] = np.arange(len(query_rows))
            is_used = (place[log.query_rows] >= 0) & ~log.clicked.contains(log.query_rows, log.doc_rows)
            if self.above_click:
                is_used &= (log.positions > 0) & (log.positions < lowest_clicks(log))
            keys = -log.positions[is_used].astype(np.float64)
            rows = best_of_groups(len(query_rows), place[log.query_rows[is_used]], log.doc_rows[is_used], keys, depth)
        return Hits(rows, self.score(context, query_rows, rows))


def lowest_clicks(log: Impressions) -> np.ndarray:
    """int32 (N,): the lowest position that was clicked in the impression's session, 0 = none or no session known."""
    lowest = np.zeros(int(log.sessions.max(initial=-1)) + 1, np.int32)
    is_click = log.is_clicked & (log.sessions >= 0)
    np.maximum.at(lowest, log.sessions[is_click], log.positions[is_click])
    return np.where(log.sessions >= 0, lowest[np.maximum(log.sessions, 0)] if len(lowest) else 0, 0)


MINED_SOURCES: tuple[type[Source], ...] = (Cluster, Context, LookAhead, Momentum, NotClicked)
