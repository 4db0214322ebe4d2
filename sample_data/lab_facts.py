"""Facts, the documents that state them and the queries that ask for them; generate_lab.py plants and writes.

No random numbers: each choice takes a stable hash of what it is made for.
"""

from __future__ import annotations

import csv
import hashlib
import re
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).parent
DOMAINS = sorted(path.stem for path in (HERE / "templates").glob("*.txt"))
NOT_ATTRIBUTES = {"name", "hint", "place", "pron"}
ASKED, ASKED_TWICE, TEST = 46, 6, 22  # per cent of the facts
PARAPHRASES, PARAPHRASES_UNASKED = (60, 40, 15), (35,)  # per cent of the facts with at least 1, 2, 3 paraphrases
SHORT = 17  # words
TOLD_SHARE = 2 / 3  # of a fact's words, from which a hint states the fact in passing
COMMON = {"with", "that", "from", "which", "their", "into", "large", "small"}


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
    place: str = ""  # the field without which it has no answer, '' = text is enough

    @property
    def group(self) -> str:
        """Queries of one group are in one split."""
        return self.key if self.place else self.fact.group


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
    return {word[:5] for word in re.findall(r"[^\W\d_]{4,}", text.lower())} - COMMON


def fill(pattern: str, entity: dict, **more: str) -> str:
    name, hint, pronoun = entity["name"], entity["hint"], entity.get("pron", "it")
    text = pattern.format(
        name=name,
        Name=upper_first(name),
        hint=hint,
        Hint=upper_first(hint),
        it=pronoun,
        It=upper_first(pronoun),
        **more,
    )
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

    def is_asked(self, fact: Fact) -> bool:
        """A name that gives the answer away makes no question."""
        return chance(ASKED, "asked", fact.key) and not stems(bare(fact.entity)) & stems(fact.value)

    def n_paraphrases(self, fact: Fact) -> int:
        lot = stable("paraphrase", fact.key) % 100
        return sum(lot < limit for limit in (PARAPHRASES if self.is_asked(fact) else PARAPHRASES_UNASKED))

    def hint_touches(self, fact: Fact) -> bool:
        """The hint has a word of the fact: a question by such a hint would give a part of its answer away."""
        return bool(stems(self.entities[fact.domain, fact.entity]["hint"]) & stems(fact.value))

    def hint_tells(self, fact: Fact) -> bool:
        """The hint says two thirds of the fact's words or more: whoever reads it knows the answer.

        One common word is no answer: "the racket game of Wimbledon" does not say that tennis grew out of "an older indoor game".
        """
        value = stems(fact.value)
        return bool(value) and len(stems(self.entities[fact.domain, fact.entity]["hint"]) & value) >= TOLD_SHARE * len(value)

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
            first, *others = shuffled(section["d"], "pattern", key)
            titles = shuffled([*section["t"], "{Name}"], "title", key)
            yield self._document("aspect", fact, titles[0], first, {key: 2}, value=fact.value)
            own = section.get("p", [])  # where the asked wording does not fit the usual patterns
            for i in range(self.n_paraphrases(fact)):
                pattern = own[i] if i < len(own) else others[i]
                value = fact.ask if fact.ask and not own and i % 2 == 0 else fact.value
                yield self._document(f"paraphrase{i + 1}", fact, titles[(i + 1) % 3], pattern, {key: 2}, value=value)

    def _overviews(self):
        for domain, name in self.entities:
            facts = shuffled(self.mates[domain, name], "overview")
            pattern = shuffled(self.templates[domain]["overview"]["d"], "overview", name)[0]
            used = facts[: len(re.findall(r"\{o\d\}", pattern))]
            clauses = {
                f"o{i}": shuffled(self.templates[domain][f.attribute]["o"], f.key)[0].format(value=f.value)
                for i, f in enumerate(used, 1)
            }
            yield self._document("overview", facts[0], "{Name}", pattern, {fact.key: 1 for fact in used}, **clauses)

    def _asides(self):
        """Hand-written neighbours that answer nothing: other senses of a word, and statements of what is not so."""
        for role, name in (("sense", "senses.tsv"), ("myth", "myths.tsv")):
            for row in read_table(HERE / "facts" / name):
                entity = self.entities[row["domain"], row["name"]]
                key = f"{role}:{row['domain']}/{row['name']}/{row.get('attribute', '')}/{row['title']}"
                place = entity.get("place", "") if role == "myth" else ""
                yield Document(
                    key,
                    role,
                    row["domain"] if role == "myth" else "other",
                    row["name"],
                    place,
                    row["title"],
                    row["text"],
                    {"kind": row.get("kind", "sense")},
                )

    def queries(self):
        for key, fact in self.facts.items():
            if not self.is_asked(fact):
                continue
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
        by_hint = (
            chance(32, "hint", fact.key, round_) or bare(fact.entity).lower() in self.ambiguous
        ) and not self.hint_touches(fact)
        who = entity["hint" if by_hint else "name"]
        if pattern.startswith("{who}"):  # keywords: no article, no long description
            who = bare(entity["hint" if bare(fact.entity).lower() in self.ambiguous else "name"])
        text = pattern.format(who=who, value=fact.value, ask=fact.ask)
        text = upper_first(text) if pattern[0].isupper() else text
        if text.endswith("?") and chance(25, "casual", fact.key):
            text = text[0].lower() + text[1:-1]
        return Query(f"{fact.key}#{round_}", text, fact, answers)
