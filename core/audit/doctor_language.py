"""A cheap guess of each text's language: by script, and in Latin script by the commonest words."""

from __future__ import annotations

import unicodedata
from functools import cache

import numpy as np

UNCLEAR, SHORT = "unclear", "too short"
LEAST_WORDS = 8  # of a text in Latin script
LEAST_HITS = 2
KANA = {"HIRAGANA", "KATAKANA", "KATAKANA-HIRAGANA"}

# Words that are frequent in one of these languages and rare in the others.
STOPWORDS = {
    "English": "the of and to is that it with as was are this by from have which you not or at be an a in on for can do how does what when",
    "German": "der die das und nicht ist ein eine den von zu mit sich auf für dem im auch wird sind oder werden einer zum",
    "French": "le les des et est une du dans qui pour pas au sur plus avec sont il ce cette ou par être aux",
    "Spanish": "el los las y es una del por con para su como pero más este fue está lo al sus cuando muy",
    "Italian": "il di che è un della per non gli con sono una le nel dei delle alla più anche come questo si",
    "Portuguese": "os que não uma um da em para com dos das como mais foi ao pelo pela são também seu você",
    "Dutch": "de het een van en dat niet zijn op aan met voor er maar ook bij naar wordt deze hij uit",
    "Swedish": "och att det som är av för med den till inte på har ett jag kan från om",
    "Polish": "nie się jest że jak dla przez są oraz który która może być ze tylko ich tym już było",
    "Turkish": "ve bir bu için da de ile çok olarak daha olan gibi ne sonra kadar ise",
}
SCRIPT_LANGUAGES = {
    "HIRAGANA": "Japanese", "HANGUL": "Korean", "CJK": "Chinese", "CYRILLIC": "Cyrillic script",
    "GREEK": "Greek", "ARABIC": "Arabic script", "HEBREW": "Hebrew", "DEVANAGARI": "Devanagari script", "THAI": "Thai",
    "BENGALI": "Bengali", "TAMIL": "Tamil", "TELUGU": "Telugu", "GEORGIAN": "Georgian", "ARMENIAN": "Armenian",
}  # fmt: skip


def guess_languages(terms: np.ndarray, starts: np.ndarray, vocabulary: dict[str, int]) -> tuple[list[str], np.ndarray]:
    """``(names, codes)``: ``names[codes[i]]`` is the guess for text i; "unclear" and "too short" are answers, too.

    ``terms``, ``starts``, ``vocabulary``: as :func:`core.search.words.number_words` gives them. The script with the most
    characters decides; in Latin script the language with the most of its commonest words, of at least two and more than the next.
    Japanese is told from Chinese by a single kana. A guess for a mix, not for one text: a list of names fits no language.
    """
    n_words = np.diff(starts)
    characters = np.fromiter((len(word) for word in vocabulary), np.int32, len(vocabulary))
    scripts = [_script(word) for word in vocabulary]
    names = [UNCLEAR, SHORT]
    codes = np.zeros(len(n_words), np.int64)
    best = np.zeros(len(n_words), np.int64)
    found = {script: _per_text(np.where([s == script for s in scripts], characters, 0), terms, starts) for script in sorted(set(scripts))}
    latin = found.get("LATIN", np.zeros(len(n_words), np.int64))
    kana = found.get("HIRAGANA", np.zeros(len(n_words), np.int64))
    for script, amount in found.items():
        if script in SCRIPT_LANGUAGES and script not in KANA:
            best = _take(names, SCRIPT_LANGUAGES[script], codes, amount > np.maximum(best, latin), amount, best)
    best = _take(names, "Japanese", codes, (kana > 0) & (kana + found.get("CJK", 0) > np.maximum(best - 1, latin)), kana, best)
    is_latin = (best == 0) & (latin > 0)
    hits = np.stack([_per_text(_flags(vocabulary, words), terms, starts) for words in STOPWORDS.values()])
    order = np.sort(hits, axis=0)
    winner = hits.argmax(axis=0)
    is_clear = is_latin & (order[-1] >= LEAST_HITS) & (order[-1] > order[-2])
    for i, name in enumerate(STOPWORDS):
        _take(names, name, codes, is_clear & (winner == i), latin, best)
    codes[(best == 0) & ~is_clear & (n_words < LEAST_WORDS)] = names.index(SHORT)
    return names, codes


def _take(names: list[str], name: str, codes: np.ndarray, is_it: np.ndarray, amount: np.ndarray, best: np.ndarray) -> np.ndarray:
    if not is_it.any():
        return best
    if name not in names:
        names.append(name)
    codes[is_it] = names.index(name)
    return np.where(is_it, amount, best)


def _per_text(of_word: np.ndarray, terms: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """int64: the sum of a number of each word over each text."""
    sums = np.concatenate([[0], np.cumsum(of_word[terms], dtype=np.int64)])
    return sums[starts[1:]] - sums[starts[:-1]]


def _flags(vocabulary: dict[str, int], words: str) -> np.ndarray:
    flags = np.zeros(len(vocabulary), np.int8)
    flags[[vocabulary[word] for word in words.split() if word in vocabulary]] = 1
    return flags


def _script(word: str) -> str:
    scripts = {_script_of(character) for character in word if character.isalpha()}
    # Words are not parted by spaces in Japanese: one of them holds kana and Chinese characters.
    return "HIRAGANA" if scripts & KANA else next((_script_of(c) for c in word if c.isalpha()), "")


@cache
def _script_of(character: str) -> str:
    return unicodedata.name(character, "").split(" ")[0]
