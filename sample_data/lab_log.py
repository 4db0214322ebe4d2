"""A simulated log of impressions and clicks on the lab corpus, with position bias and failed sessions.

The law, also in README.md: a session shows the ten best documents of a lexical ranker with noise. One session in six is
given up before anything is looked at. In the others the result at position r is looked at with probability LOOK[r - 1],
independently of the others, and a result that is looked at is clicked with a probability that depends on its grade in truth.
"""

from __future__ import annotations

import math
import re
from collections import Counter

from lab_facts import Document, Query, stable

LOOK = (1, 0.8, 0.65, 0.55, 0.45, 0.38, 0.32, 0.28, 0.24, 0.2)  # probability that a position is looked at; one result each
SESSIONS = (1, 2, 3)  # sessions a query, equally likely
GIVEN_UP = 1 / 6  # share of the sessions without any look
CLICK = {0: 0.04, 1: 0.4, 2: 0.75}  # click probability of a result that is looked at, by its grade in truth
NOISE = 0.3  # scores are multiplied by 1 - NOISE ... 1 + NOISE, anew for each session and document


def lot(*parts: str) -> float:
    """A number in [0, 1) that depends on nothing but the parts."""
    return stable(*parts) / 2**64


def stems(text: str) -> set[str]:
    """What the simulated ranker indexes: the first five letters of words of three letters and more."""
    return {word[:5] for word in re.findall(r"[^\W\d_]{3,}", text.lower())}


def impressions(queries: list[Query], documents: list[Document], truth: dict[str, dict[str, int]]) -> list[tuple]:
    """(query key, document key, position, clicked, session key), position from 1."""
    index: dict[str, list[str]] = {}
    lengths = {}
    for document in documents:
        found = stems(f"{document.title} {document.text}")
        lengths[document.key] = math.sqrt(len(found) + 10)
        for stem in found:
            index.setdefault(stem, []).append(document.key)
    rarity = {stem: math.log(1 + len(documents) / len(keys)) for stem, keys in index.items()}
    rows = []
    for query in queries:
        sums: Counter[str] = Counter()
        for stem in sorted(stems(query.text) & index.keys()):
            for key in index[stem]:
                sums[key] += rarity[stem] / lengths[key]
        scores = {key: round(score, 9) for key, score in sums.items()}  # logarithms differ in the last digit by machine
        best = sorted(scores, key=lambda key: (-scores[key], key))[:100]
        for number in range(SESSIONS[stable("sessions", query.key) % len(SESSIONS)]):
            session = f"{query.key}*{number}"
            noisy = {key: scores[key] * (1 + NOISE * (2 * lot("noise", session, key) - 1)) for key in best}
            shown = sorted(best, key=lambda key: (-noisy[key], key))[: len(LOOK)]
            given_up = lot("given up", session) < GIVEN_UP
            for position, key in enumerate(shown, 1):
                is_seen = not given_up and lot("look", session, str(position)) < LOOK[position - 1]
                is_clicked = is_seen and lot("click", session, key) < CLICK[truth[query.key].get(key, 0)]
                rows.append((query.key, key, position, int(is_clicked), session))
    return rows
