"""Writes the sample corpus "lab" from facts/*.tsv and templates/*.txt, byte for byte the same on every machine.

Usage: python sample_data/generate_lab.py [FOLDER]      (default: sample_data/lab)

A fact is one cell of a facts table: (domain, entity, attribute). A document states one fact (aspect, paraphrase) or some
facts of one entity (overview). A query asks for one fact, so every document that states it belongs to the truth.
No random numbers: each choice takes a stable hash of what is chosen for.
"""

from __future__ import annotations

import csv
import hashlib
import json
import re
import sys
from dataclasses import dataclass, field, replace
from pathlib import Path

HERE = Path(__file__).parent
DOMAINS = sorted(path.stem for path in (HERE / "templates").glob("*.txt"))
NOT_ATTRIBUTES = {"name", "hint", "place", "pron"}
PARAPHRASE, ASKED, ASKED_TWICE, TEST, WRONG = 45, 42, 6, 22, 2  # per cent of facts, facts, facts, facts, training labels
N_EXACT, N_NEAR = 15, 27
SHORT = 17  # words
CATEGORIES = {"worlds": "planets and moons", "body": "human body", "programming": "computing", "painters": "painting"}


def stable(*parts: str) -> int:
    """A number in [0, 2**64) that depends on nothing but the parts."""
    return int.from_bytes(hashlib.blake2b("\x1f".join(parts).encode(), digest_size=8).digest(), "big")


def chance(percent: int, *parts: str) -> bool:
    return stable(*parts) % 1000 < 10 * percent


def shuffled(items, *parts: str) -> list:
    return sorted(items, key=lambda item: stable(*parts, str(item)))


@dataclass(frozen=True)
class Fact:
    domain: str
    entity: str
    attribute: str
    value: str
    ask: str  # the value in other words, '' where the table has none

    @property
    def key(self) -> str:
        return f"{self.domain}/{self.entity}/{self.attribute}"

    @property
    def group(self) -> str:
        """Facts with one answer (all countries that pay with the euro) share it, and with it their split."""
        return f"{self.domain}/{self.attribute}/{self.value}"


@dataclass(frozen=True)
class Document:
    key: str
    role: str  # aspect, paraphrase, overview, sense, myth, exact_duplicate, near_duplicate
    domain: str
    entity: str
    place: str
    title: str
    text: str
    grades: dict = field(hash=False, compare=False)  # fact key -> 2 states it, 1 states it among other things


@dataclass(frozen=True)
class Query:
    key: str
    text: str
    fact: Fact
    answers: tuple[str, ...]  # keys of the facts that answer it


def read_table(path: Path) -> list[dict]:
    with path.open(encoding="utf-8", newline="") as lines:
        return list(csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE))


def read_templates(path: Path) -> dict[str, dict[str, list[str]]]:
    """attribute -> letter -> patterns; README.md explains the letters."""
    sections: dict[str, dict[str, list[str]]] = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith("["):
            section = sections.setdefault(line.strip("[]"), {})
        elif line:
            section.setdefault(line[0], []).append(line[2:])
    return sections


def bare(name: str) -> str:
    return name.removeprefix("the ")


def upper_first(text: str) -> str:
    return text[:1].upper() + text[1:]


def stems(text: str) -> set[str]:
    return {word[:5] for word in re.findall(r"[^\W\d_]{4,}", text.lower())} - {"with", "that", "from", "which", "their", "into", "large", "small"}


def fill(pattern: str, entity: dict, **more: str) -> str:
    name, hint, pronoun = entity["name"], entity["hint"], entity.get("pron", "it")
    text = pattern.format(name=name, Name=upper_first(name), hint=hint, Hint=upper_first(hint), it=pronoun, It=upper_first(pronoun), **more)
    return upper_first(re.sub(r"([?!])[.,]", r"\1", text))


class World:
    """All facts, and from them all documents."""

    def __init__(self) -> None:
        self.entities: dict[tuple[str, str], dict] = {}
        self.facts: dict[str, Fact] = {}
        self.templates = {domain: read_templates(HERE / "templates" / f"{domain}.txt") for domain in DOMAINS}
        for domain in DOMAINS:
            for row in read_table(HERE / "facts" / f"{domain}.tsv"):
                self.entities[domain, row["name"]] = row
                for attribute in row.keys() - NOT_ATTRIBUTES:
                    value, _, ask = row[attribute].partition(" ~ ")
                    if value and attribute in self.templates[domain]:
                        fact = Fact(domain, row["name"], attribute, value, ask)
                        self.facts[fact.key] = fact
        self.facts = dict(sorted(self.facts.items()))
        self.mates: dict[tuple[str, str], list[Fact]] = {}  # facts of one entity
        self.peers: dict[tuple[str, str], list[Fact]] = {}  # facts of one attribute
        for fact in self.facts.values():
            self.mates.setdefault((fact.domain, fact.entity), []).append(fact)
            self.peers.setdefault((fact.domain, fact.attribute), []).append(fact)
        names = [bare(name).lower() for _, name in self.entities]
        self.ambiguous = {name for name in names if names.count(name) > 1}
        self.documents = [*self._aspects(), *self._overviews(), *self._asides()]

    def hint_tells(self, fact: Fact) -> bool:
        return bool(stems(self.entities[fact.domain, fact.entity]["hint"]) & stems(fact.value))

    def _document(self, role: str, fact: Fact, title: str, pattern: str, grades: dict, **more: str) -> Document:
        entity = self.entities[fact.domain, fact.entity]
        text = fill(pattern, entity, **more)
        if len(text.split()) < SHORT:  # too short to stand alone: say who is meant, by the name or by the hint
            by_name = "{hint}" in pattern.lower()
            closing = self.templates[fact.domain]["closing"]["n" if by_name else "h"]
            closing = shuffled(closing, "closing", role, fact.key)[0]
            text += " " + fill(closing, entity)
            if not by_name:
                pattern += closing
        if "{hint}" in pattern.lower():  # then the hint's own words may state a fact as well
            grades = {other.key: 1 for other in self.mates[fact.domain, fact.entity] if self.hint_tells(other)} | grades
        key = f"{role}:{fact.key}" if role != "overview" else f"{role}:{fact.domain}/{fact.entity}"
        return Document(key, role, fact.domain, fact.entity, entity.get("place", ""), fill(title, entity), text, grades)

    def _aspects(self):
        for key, fact in self.facts.items():
            section = self.templates[fact.domain][fact.attribute]
            first, second, *_ = shuffled(section["d"], "pattern", key)
            titles = shuffled([*section["t"], "{Name}"], "title", key)
            yield self._document("aspect", fact, titles[0], first, {key: 2}, value=fact.value)
            if chance(PARAPHRASE, "paraphrase", key):
                own = section.get("p")  # patterns of their own where the asked wording does not fit the usual ones
                value = fact.value if own or not fact.ask else fact.ask
                yield self._document("paraphrase", fact, titles[1], shuffled(own, "p", key)[0] if own else second, {key: 2}, value=value)

    def _overviews(self):
        for domain, name in self.entities:
            facts = shuffled(self.mates[domain, name], "overview")
            pattern = shuffled(self.templates[domain]["overview"]["d"], "overview", name)[0]
            used = facts[: len(re.findall(r"\{o\d\}", pattern))]
            clauses = {f"o{i}": shuffled(self.templates[domain][f.attribute]["o"], f.key)[0].format(value=f.value) for i, f in enumerate(used, 1)}
            yield self._document("overview", facts[0], "{Name}", pattern, {fact.key: 1 for fact in used}, **clauses)

    def _asides(self):
        """Hand-written neighbours that answer nothing: other senses of a word, and statements of what is not so."""
        for role, rows in (("sense", read_table(HERE / "facts/senses.tsv")), ("myth", read_table(HERE / "facts/myths.tsv"))):
            for row in rows:
                entity = self.entities[row["domain"], row["name"]]
                key = f"{role}:{row['domain']}/{row['name']}/{row.get('attribute', '')}/{row['title']}"
                place = entity.get("place", "") if role == "myth" else ""
                yield Document(key, role, row["domain"] if role == "myth" else "other", row["name"], place, row["title"], row["text"], {"kind": row.get("kind", "sense")})

    def queries(self):
        for key, fact in self.facts.items():
            if not chance(ASKED, "asked", key) or stems(bare(fact.entity)) & stems(fact.value):
                continue  # a name that gives the answer away makes no question
            for round_ in ("1", "2")[: 1 + chance(ASKED_TWICE, "twice", key)]:
                yield self._query(fact, round_)

    def _query(self, fact: Fact, round_: str) -> Query:
        entity, section = self.entities[fact.domain, fact.entity], self.templates[fact.domain][fact.attribute]
        answers = (fact.key,)
        backwards = round_ == "1" and chance(60, "backwards", fact.key)
        if backwards and fact.ask and "r" in section:
            pattern = shuffled(section["r"], "r", fact.key)[0]
        elif backwards and "v" in section and chance(50, "v", fact.key):
            pattern = shuffled(section["v"], "v", fact.key)[0]
            answers = tuple(other.key for other in self.peers[fact.domain, fact.attribute] if other.value == fact.value)
        else:
            pattern = shuffled(section["q"], "q", fact.key)[int(round_) - 1]
        by_hint = (chance(40, "hint", fact.key, round_) or bare(fact.entity).lower() in self.ambiguous) and not self.hint_tells(fact)
        who = entity["hint" if by_hint else "name"]
        text = pattern.format(who=who, value=fact.value, ask=fact.ask)
        text = text if pattern[0].islower() else upper_first(text)
        if text.endswith("?") and chance(25, "casual", fact.key):
            text = text[0].lower() + text[1:-1]
        return Query(f"{fact.key}#{round_}", text, fact, answers)

    def same_answers(self) -> dict[str, set[str]]:
        """fact key -> facts of other domains that tell the same: each names the other's entity (Brazil: Portuguese; Portuguese: Brazil)."""
        names = {name: re.compile(rf"\b{re.escape(bare(name))}\b") for _, name in self.entities if len(bare(name)) > 3}
        mentions = {key: {name for name, found in names.items() if found.search(fact.value)} for key, fact in self.facts.items()}
        told: dict[str, set[str]] = {}
        for key, fact in self.facts.items():
            for other in mentions[key] and [g for g in self.facts.values() if g.entity in mentions[key] and g.domain != fact.domain]:
                if fact.entity in mentions[other.key]:
                    told.setdefault(key, set()).add(other.key)
        return told


def near_copy(document: Document, recipe: int) -> Document:
    title, text = [(document.title + " (copy)", document.text.replace(" and ", " & ", 1)), ("", "Once more: " + document.text), (document.title, document.text + " Checked again.")][recipe % 3]
    return replace(document, key="near:" + document.key, role="near_duplicate", title=title, text=text)


def build() -> dict[str, bytes]:
    """File name inside the corpus folder -> its bytes."""
    world = World()
    queries, documents, told = list(world.queries()), list(world.documents), world.same_answers()
    states: dict[str, dict[str, int]] = {}

    def register(document: Document) -> None:
        if document.role not in ("sense", "myth"):
            for fact_key, grade in document.grades.items():
                states.setdefault(fact_key, {})[document.key] = grade

    for document in documents:
        register(document)
    by_key = {document.key: document for document in documents}
    planted: list[tuple[str, str, str, str]] = []
    labels: dict[str, list[str]] = {}
    for query in queries:
        candidates = {key for answer in query.answers for key in states[answer]}
        first = [key for key in candidates if by_key[key].role != "overview"]
        ranked = shuffled(first, "label", query.key) + shuffled(candidates - set(first), "label", query.key)
        if chance(20, "overview first", query.key):
            ranked.reverse()
        labels[query.key] = ranked[: 1 + chance(24, "two", query.key) + chance(8, "three", query.key)]
    labelled = shuffled({key for keys in labels.values() for key in keys if by_key[key].role == "aspect"}, "duplicate")
    for i, key in enumerate(labelled[: N_EXACT + N_NEAR]):
        copy = replace(by_key[key], key="exact:" + key, role="exact_duplicate") if i < N_EXACT else near_copy(by_key[key], i)
        documents.append(copy)
        by_key[copy.key] = copy
        register(copy)

    truth: dict[str, dict[str, int]] = {}
    for query in queries:
        grades = {key: 1 for answer in query.answers for g in told.get(answer, ()) for key in states[g]}
        for answer in query.answers:
            for key, grade in states[answer].items():
                grades[key] = max(grade, grades.get(key, 0))
        grades.update({key: 2 for key in labels[query.key]})
        truth[query.key] = grades
        for key in sorted(grades.keys() - set(labels[query.key])):
            role = by_key[key].role
            planted.append((role if role.endswith("duplicate") else "unlabelled_positive", query.key, key, role))
        planted.extend(near_misses(world, query, grades))

    is_test = {query.key: chance(TEST, "test", query.fact.group) for query in queries}
    train = [query for query in queries if not is_test[query.key]]
    n_wrong = round(WRONG / 100 * sum(len(labels[query.key]) for query in train))
    for i, query in enumerate(shuffled(train, "wrong")[:n_wrong]):
        wrong = near_misses(world, query, truth[query.key])[i % 2][2]
        labels[query.key] = [wrong] if i % 2 else [*labels[query.key], wrong]
        planted.append(("wrong_label", query.key, wrong, "instead of the right label" if i % 2 else "beside the right labels"))
        planted = [row for row in planted if row[:3] != (row[0], query.key, wrong) or row[0] == "wrong_label"]
        if i % 2:  # the right documents are unlabelled now
            gone = {row[2] for row in planted if row[1] == query.key}
            planted += [("unlabelled_positive", query.key, key, by_key[key].role) for key in truth[query.key] if key not in gone]
    return write_files(documents, queries, labels, truth, is_test, planted)


def near_misses(world: World, query: Query, grades: dict[str, int]) -> list[tuple[str, str, str, str]]:
    """Planted rows (kind, query, document, note): right entity or right attribute, and yet no answer."""
    fact, rows = query.fact, []
    mates = [f for f in world.mates[fact.domain, fact.entity] if f != fact and f"aspect:{f.key}" not in grades]
    peers = [f for f in world.peers[fact.domain, fact.attribute] if f"aspect:{f.key}" not in grades]
    for kind, others in (("near_miss_same_entity", mates), ("near_miss_same_attribute", peers)):
        for other in sorted(others, key=lambda f: stable(query.key, f.key))[:1]:
            rows.append((kind, query.key, f"aspect:{other.key}", other.key))
    if number := re.search(r"\d[\d,]*", fact.value):
        figures = [(abs(int(n.group().replace(",", "")) - int(number.group().replace(",", ""))), f.key) for f in peers if (n := re.search(r"\d[\d,]*", f.value))]
        rows += [("near_miss_number", query.key, f"aspect:{key}", key) for _, key in sorted(figures)[:1]]
    for document in world.documents:
        if document.role == "myth" and document.key.startswith(f"myth:{fact.key}/"):
            rows.append((f"near_miss_{document.grades['kind']}", query.key, document.key, document.title))
        elif document.role == "sense" and document.key.startswith(f"sense:{fact.domain}/{fact.entity}/"):
            rows.append(("near_miss_sense", query.key, document.key, document.title))
    return rows


def write_files(documents, queries, labels, truth, is_test, planted) -> dict[str, bytes]:
    """Numbers documents and queries in an order that tells nothing, and lays all tables out."""
    doc_id = {key: f"d{i:04d}" for i, key in enumerate(shuffled([d.key for d in documents], "id"), 1)}
    query_id = {key: f"q{i:04d}" for i, key in enumerate(shuffled([q.key for q in queries], "id"), 1)}
    corpus = [{"_id": doc_id[d.key], "title": d.title, "text": d.text, "category": CATEGORIES.get(d.domain, d.domain), "place": d.place} for d in documents]
    asked = [{"_id": query_id[q.key], "text": q.text} for q in queries]

    def lines(rows) -> bytes:
        return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in sorted(rows, key=lambda row: row["_id"])).encode()

    def table(header, rows) -> bytes:
        return "".join("\t".join(map(str, row)) + "\n" for row in [header, *sorted(set(rows))]).encode()

    def qrels(wanted) -> bytes:
        return table(("query-id", "corpus-id", "score"), [(query_id[q], doc_id[d], 1) for q, keys in labels.items() if is_test[q] is wanted for d in keys])

    about = {
        "title": "Lab: what people ask about the world",
        "description": f"{len(corpus):,} short paragraphs about elements, countries, animals, instruments and ten more fields, {len(asked):,} questions, "
        "with near-misses, unlabelled positives, duplicates and wrong labels planted and listed.",
        "licence": "MIT, as the rest of this product",
        "facts": "General knowledge, written for this product; nothing copied. sample_data/README.md tells how it is made.",
    }
    return {
        "about.json": (json.dumps(about, indent=2, ensure_ascii=False) + "\n").encode(),
        "corpus.jsonl": lines(corpus),
        "queries.jsonl": lines(asked),
        "qrels/train.tsv": qrels(False),
        "qrels/test.tsv": qrels(True),
        "qrels/truth.tsv": table(("query-id", "corpus-id", "score"), [(query_id[q], doc_id[d], g) for q, grades in truth.items() for d, g in grades.items()]),
        "planted.tsv": table(("kind", "query-id", "corpus-id", "note"), [(kind, query_id[q], doc_id[d], note) for kind, q, d, note in planted]),
    }


def main() -> None:
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else HERE / "lab"
    for name, content in build().items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


if __name__ == "__main__":
    main()
