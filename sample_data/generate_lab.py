"""Writes the sample corpus "lab" from facts/*.tsv and templates/*.txt, byte for byte the same on every machine.

Usage: python sample_data/generate_lab.py [FOLDER]      (default: sample_data/lab)

A fact is one cell of a facts table: (domain, entity, attribute). A document states one fact (aspect, paraphrase) or
some facts of one entity (overview). A query asks for one fact, so every document that states it belongs to the truth.
"""

from __future__ import annotations

import json
import re
import sys
from dataclasses import replace
from pathlib import Path

from lab_facts import TEST, Document, Query, World, bare, chance, shuffled, stable
from lab_fields import is_elsewhere, needs_field, passages, place_queries
from lab_log import impressions

HERE = Path(__file__).parent
WRONG = 2  # per cent of the training labels
N_EXACT, N_NEAR = 15, 27
TOLD_BY = [  # facts of the first domain's attribute may be told by documents of the other domain
    ("countries", "food", "dishes"),
    ("countries", "language", "languages"),
    ("languages", "spoken", "countries"),
    ("dishes", "history", "countries"),
    ("worlds", "visit", "spacecraft"),
    ("spacecraft", "goal", "worlds"),
]
CATEGORIES = {"worlds": "planets and moons", "body": "human body", "programming": "computing", "painters": "painting"}


def told_elsewhere(world: World) -> dict[str, set[str]]:
    """Fact key -> documents of other domains that tell it in passing.

    Brazil's food is feijoada: so every document on feijoada that mentions Brazil tells it.
    """
    found = {name: re.compile(rf"\b{re.escape(bare(name))}\b") for _, name in world.entities if len(bare(name)) > 3}
    told: dict[str, set[str]] = {}
    for domain, attribute, other in TOLD_BY:
        documents = [d for d in world.documents if d.domain == other and d.role != "myth" and d.entity in found]
        for fact in world.peers[domain, attribute]:
            if fact.entity in found:
                told[fact.key] = {
                    document.key
                    for document in documents
                    if found[document.entity].search(fact.value) and found[fact.entity].search(document.text)
                }
    return told


def near_copy(document: Document, recipe: int) -> Document:
    title, text = [
        (document.title + " (copy)", document.text.replace(" and ", " & ", 1)),
        ("", "Once more: " + document.text),
        (document.title, document.text + " Checked again."),
    ][recipe % 3]
    return replace(document, key="near:" + document.key, role="near_duplicate", title=title, text=text)


def build() -> dict[str, bytes]:
    """File name inside the corpus folder -> its bytes."""
    world = World()
    queries, documents, told = list(world.queries()), list(world.documents), told_elsewhere(world)
    states: dict[str, dict[str, int]] = {}

    def register(document: Document) -> None:
        if document.role not in ("sense", "myth"):
            for fact_key, grade in document.grades.items():
                states.setdefault(fact_key, {})[document.key] = grade

    for document in documents:
        register(document)
    by_key = {document.key: document for document in documents}
    queries += place_queries(world, states, by_key)
    planted: list[tuple[str, str, str, str]] = []
    labels: dict[str, list[str]] = {}
    for query in queries:
        candidates = {key for answer in query.answers for key in states[answer]}
        first = [key for key in candidates if by_key[key].role != "overview"]
        ranked = shuffled(first, "label", query.key) + shuffled(candidates - set(first), "label", query.key)
        if chance(20, "overview first", query.key):
            ranked.reverse()
        labels[query.key] = ranked[: 1 + chance(30, "two", query.key) + chance(12, "three", query.key)]
        if len(ranked) <= 3 and chance(30, "complete", query.key):
            labels[query.key] = ranked
    labelled = shuffled({key for keys in labels.values() for key in keys if by_key[key].role == "aspect"}, "duplicate")
    for i, key in enumerate(labelled[: N_EXACT + N_NEAR]):
        copy = (
            replace(by_key[key], key="exact:" + key, role="exact_duplicate")
            if i < N_EXACT
            else near_copy(by_key[key], i)
        )
        documents.append(copy)
        by_key[copy.key] = copy
        register(copy)
        for keys in told.values():
            keys |= {copy.key} if key in keys else set()

    truth: dict[str, dict[str, int]] = {}
    for query in queries:
        grades = {key: 1 for answer in query.answers for key in told.get(answer, ())}
        for answer in query.answers:
            for key, grade in states[answer].items():
                grades[key] = max(grade, grades.get(key, 0))
        grades.update({key: 2 for key in labels[query.key]})
        truth[query.key] = grades
        for key in sorted(grades.keys() - set(labels[query.key])):
            role = by_key[key].role.rstrip("123")
            planted.append((role if role.endswith("duplicate") else "unlabelled_positive", query.key, key, role))
        planted.extend(near_misses(world, query, grades))
        if query.place:
            planted.extend(needs_field(world, query, grades, by_key))

    is_test = {query.key: chance(TEST, "test", query.group) for query in queries}
    train = [query for query in queries if not is_test[query.key]]
    n_wrong = round(WRONG / 100 * sum(len(labels[query.key]) for query in train))
    for i, query in enumerate(shuffled(train, "wrong")[:n_wrong]):
        wrong = near_misses(world, query, truth[query.key])[i % 2][2]
        labels[query.key] = [wrong] if i % 2 else [*labels[query.key], wrong]
        planted.append(
            ("wrong_label", query.key, wrong, "instead of the right label" if i % 2 else "beside the right labels")
        )
        planted = [row for row in planted if row[:3] != (row[0], query.key, wrong) or row[0] == "wrong_label"]
        if i % 2:  # the right documents are unlabelled now
            gone = {row[2] for row in planted if row[1] == query.key}
            planted += [
                ("unlabelled_positive", query.key, key, by_key[key].role.rstrip("123"))
                for key in truth[query.key]
                if key not in gone
            ]
    log = impressions(train, documents, truth)
    return write_files(documents, queries, labels, truth, is_test, planted, log)


def near_misses(world: World, query: Query, grades: dict[str, int]) -> list[tuple[str, str, str, str]]:
    """Planted rows (kind, query, document, note): right entity or right attribute, and yet no answer."""
    fact, rows = query.fact, []
    mates = [f for f in world.mates[fact.domain, fact.entity] if f != fact and f"aspect:{f.key}" not in grades]
    peers = [f for f in world.peers[fact.domain, fact.attribute] if f"aspect:{f.key}" not in grades]
    if query.place:
        peers = [f for f in peers if is_elsewhere(world, query, f.entity)]
    for kind, others in (("near_miss_same_entity", mates), ("near_miss_same_attribute", peers)):
        for other in sorted(others, key=lambda f: stable(query.key, f.key))[:1]:
            rows.append((kind, query.key, f"aspect:{other.key}", other.key))
    if number := re.search(r"\d[\d,]*", fact.value):
        figures = [
            (abs(int(n.group().replace(",", "")) - int(number.group().replace(",", ""))), f.key)
            for f in peers
            if (n := re.search(r"\d[\d,]*", f.value))
        ]
        rows += [("near_miss_number", query.key, f"aspect:{key}", key) for _, key in sorted(figures)[:1]]
    for document in world.documents:
        if document.role == "myth" and document.key.startswith(f"myth:{fact.key}/"):
            rows.append((f"near_miss_{document.grades['kind']}", query.key, document.key, document.title))
        elif document.role == "sense" and document.key.startswith(f"sense:{fact.domain}/{fact.entity}/"):
            rows.append(("near_miss_sense", query.key, document.key, document.title))
    return rows


def write_files(documents, queries, labels, truth, is_test, planted, log) -> dict[str, bytes]:
    """Numbers documents and queries in an order that tells nothing, and lays all tables out."""
    doc_id = {key: f"d{i:04d}" for i, key in enumerate(shuffled([d.key for d in documents], "id"), 1)}
    query_id = {key: f"q{i:04d}" for i, key in enumerate(shuffled([q.key for q in queries], "id"), 1)}
    session_id = {key: f"s{i:04d}" for i, key in enumerate(shuffled({row[-1] for row in log}, "id"), 1)}
    passage = passages(documents, CATEGORIES)
    corpus = [
        {
            "_id": doc_id[d.key],
            "title": d.title,
            "text": d.text,
            "category": CATEGORIES.get(d.domain, d.domain),
            "place": d.place,
            "source": passage[d.key][0],
            "passage": passage[d.key][1],
        }
        for d in documents
    ]
    asked = [{"_id": query_id[q.key], "text": q.text} for q in queries]

    def lines(rows) -> bytes:
        return "".join(
            json.dumps(row, ensure_ascii=False) + "\n" for row in sorted(rows, key=lambda row: row["_id"])
        ).encode()

    def table(header, rows) -> bytes:
        return "".join("\t".join(map(str, row)) + "\n" for row in [header, *sorted(set(rows))]).encode()

    def qrels(wanted) -> bytes:
        return table(
            ("query-id", "corpus-id", "score"),
            [(query_id[q], doc_id[d], 1) for q, keys in labels.items() if is_test[q] is wanted for d in keys],
        )

    about = {
        "title": "Lab: what people ask about the world",
        "description": f"{len(corpus):,} short paragraphs about elements, countries, animals and eleven more fields, "
        f"{len(asked):,} questions; near-misses, unlabelled positives, duplicates and wrong labels are listed.",
        "licence": "MIT, as the rest of this product",
        "facts": "General knowledge, written for this product; nothing copied. See sample_data/README.md.",
    }
    return {
        "about.json": (json.dumps(about, indent=2, ensure_ascii=False) + "\n").encode(),
        "corpus.jsonl": lines(corpus),
        "queries.jsonl": lines(asked),
        "qrels/train.tsv": qrels(False),
        "qrels/test.tsv": qrels(True),
        "qrels/truth.tsv": table(
            ("query-id", "corpus-id", "score"),
            [(query_id[q], doc_id[d], g) for q, grades in truth.items() for d, g in grades.items()],
        ),
        "planted.tsv": table(
            ("kind", "query-id", "corpus-id", "note"),
            [(kind, query_id[q], doc_id[d], note) for kind, q, d, note in planted],
        ),
        "impressions.tsv": table(
            ("query-id", "doc-id", "position", "clicked", "session"),
            [(query_id[q], doc_id[d], position, clicked, session_id[s]) for q, d, position, clicked, s in log],
        ),
    }


def main() -> None:
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else HERE / "lab"
    for name, content in build().items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


if __name__ == "__main__":
    main()
