"""What fields add to the lab corpus: queries that only the place answers, and the articles that passages come from."""

from __future__ import annotations

import re

from lab_facts import Document, Query, World, bare, chance, shuffled, stems

ASKED_BY_PLACE = 75  # per cent of the (domain, attribute, place) groups that can be asked
MOST = 20  # documents that may answer one such query
VAGUE = {"Worldwide", "Americas", "Northern Hemisphere", "South and Central America"}  # overlap other places: never used
PARTS = {"Maghreb", "Morocco", "Britain", "Scotland"}  # one lies in the other: never asked
SPOKEN = {"Oceans": "the oceans", "Middle East": "the Middle East", "United States": "the United States"}
DEMONYMS = {
    "France": "French",
    "Spain": "Spanish",
    "the Netherlands": "Dutch|Holland",
    "Flanders": "Flemish",
    "Poland": "Polish",
    "Oceans": "sea|seas|ocean|marine",
    "Greece": "Greek",
    "United States": "US|USA|American",
    "Oceania": "Australia|New Zealand",
}
LOOSE = {"North", "South", "Middle", "States", "West"}  # words that alone name no place


def names_place(document: Document, place: str) -> bool:
    """Whether title or text give the place away, by its name, a word that starts like it or its people's name."""
    words = [word[:4] for word in re.findall(r"[^\W\d_]{4,}", place) if word not in LOOSE]
    known = rf"|\b(?:{DEMONYMS[place]})\b" if place in DEMONYMS else ""
    return bool(re.search(rf"\b(?:{'|'.join(words)}){known}", f"{document.title} {document.text}", re.IGNORECASE))


def place_queries(world: World, states: dict[str, dict[str, int]], by_key: dict[str, Document]) -> list[Query]:
    """Queries for one attribute of whatever lies in a place that no answering document names."""
    queries = []
    for (domain, attribute), facts in sorted(world.peers.items()):
        patterns = world.templates[domain][attribute].get("f", [])
        places = {world.entities[domain, fact.entity].get("place", "") for fact in facts} - VAGUE - PARTS
        for place in sorted(place for place in places if place and " and " not in place):
            key = f"{domain}/{attribute}/place={place}"
            answers = [fact for fact in facts if place in world.entities[domain, fact.entity]["place"]]
            documents = {document for fact in answers for document in states[fact.key]}
            if (
                patterns
                and 2 <= len(documents) <= MOST
                and chance(ASKED_BY_PLACE, "by place", key)
                and not any(names_place(by_key[document], place) for document in documents)
            ):
                text = shuffled(patterns, "f", key)[0].format(place=SPOKEN.get(place, place))
                queries.append(Query(key, text, answers[0], tuple(fact.key for fact in answers), place))
    return queries


def is_elsewhere(world: World, query: Query, entity: str) -> bool:
    """Whether the entity surely lies outside the place that the query needs."""
    place = world.entities[query.fact.domain, entity].get("place", "")
    return place not in VAGUE and query.place not in place


def needs_field(world: World, query: Query, grades: dict[str, int], by_key: dict[str, Document]) -> list[tuple]:
    """Planted rows: the three documents most alike in words to the answers that only the place rules out."""
    fact = query.fact
    alike = set().union(*(stems(by_key[key].text) for key in grades))
    rows = []
    for other in world.peers[fact.domain, fact.attribute]:
        document = by_key[f"aspect:{other.key}"]
        if document.key not in grades and is_elsewhere(world, query, other.entity):
            mine = stems(document.text)
            rows.append((-len(mine & alike) / len(mine), document.key, f"place is {document.place}, not {query.place}"))
    return [("needs_field", query.key, key, note) for _, key, note in sorted(rows)[:3]]


def passages(documents: list[Document], categories: dict[str, str]) -> dict[str, tuple[str, int]]:
    """Document key -> (name of the article that it is a passage of, number of the passage in it, from 1).

    An article is what is said about one entity: overview first, then the attributes in the order of the facts. A word in
    another sense is an article of its own, and so is each copy, for copies stand on other sites.
    """
    order = ("overview", "aspect", "paraphrase", "myth")
    articles: dict[str, list[tuple]] = {}
    for i, document in enumerate(documents):
        article = f"{categories.get(document.domain, document.domain)}: {bare(document.entity)}"
        if document.role == "sense":
            article = f"other: {document.title}"
        elif document.role.endswith("duplicate"):
            article = f"copy of {article} ({document.key.rsplit('/', 1)[-1]})"
        role = document.role.rstrip("123")
        about = document.key.split("/")[2] if role in ("aspect", "paraphrase") else ""
        rank = order.index(role) if role in order else 0
        articles.setdefault(article, []).append((0 if role == "overview" else 2 if role == "myth" else 1, about, rank, i))
    return {
        documents[row[-1]].key: (article, number)
        for article, rows in articles.items()
        for number, row in enumerate(sorted(rows), 1)
    }
