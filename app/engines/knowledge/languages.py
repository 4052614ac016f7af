"""The languages of pages and questions: which one a text is in, its stop words, and its words as terms of the index."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterable
from functools import cache, lru_cache
from pathlib import Path

import Stemmer
import stopwordsiso

DATA = Path(__file__).with_name("data")
MAX_CHARS = 4_000
"""Characters of a question that are read, counted once more after normalisation: one letter may become eighteen."""
STEMMERS = {
    "ar": "arabic", "ca": "catalan", "cs": "czech", "da": "danish", "de": "german", "el": "greek", "en": "english",
    "es": "spanish", "et": "estonian", "eu": "basque", "fa": "persian", "fi": "finnish", "fr": "french", "ga": "irish",
    "hi": "hindi", "hu": "hungarian", "hy": "armenian", "id": "indonesian", "it": "italian", "lt": "lithuanian",
    "nl": "dutch", "no": "norwegian", "pl": "polish", "pt": "portuguese", "ro": "romanian", "ru": "russian",
    "sv": "swedish", "ta": "tamil", "tr": "turkish",
}  # fmt: skip
COMPOUNDING = frozenset(["da", "de", "et", "fi", "hu", "nl", "no", "sv"])
"""Languages that write several words as one: a word is also looked for inside of longer ones."""
MAX_MARKS = 8
PREFIX = 6
"""Letters by which a word counts in a language without a stemmer."""
PARTICLES = frozenset(["back", "down", "in", "off", "on", "out", "over", "up"])
STOP = "\u00b7"
"""Ends the term of a stop word."""

_SPACELESS = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3005-\u3007\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\uf900-\ufaff"
_LETTER = "[^\\W_]|[\u0300-\u036f\u0591-\u05c7\u0610-\u061a\u064b-\u065f\u0900-\u0963\u0966-\u0dff]"
_WORD = re.compile(f"(?:{_LETTER})+(?:[-_.](?:{_LETTER})+)*")
_PARTS = re.compile(f"[{_SPACELESS}]+|(?:(?![{_SPACELESS}])(?:{_LETTER}))+")
_HUMP = re.compile(r"(?<=[a-z0-9]{2})(?=[A-Z])")
_DENSE = re.compile(f"[{_SPACELESS}]")
_HIRAGANA = re.compile("[\u3040-\u309f]+")
_MARKS = re.compile("[\u0300-\u036f\u064b-\u065f\u0640]")


def bounded(text: str) -> str:
    """The part of a question that is read, normalised."""
    return normalized(text[:MAX_CHARS])[:MAX_CHARS]


def normalized(text: str) -> str:
    """In Unicode's form NFKC, of combining marks in a row the first few: putting more in order takes their square."""
    if text.isascii():
        return text
    marks, kept = 0, []
    for letter in text:
        marks = marks + 1 if unicodedata.combining(letter) else 0
        if marks <= MAX_MARKS:
            kept.append(letter)
    return unicodedata.normalize("NFKC", "".join(kept))


def words(text: str) -> list[str]:
    """The words of a text in lower case; parts of ``sign-up`` and ``createServer`` apart, runs without spaces whole."""
    return [part for word in _WORD.findall(text) for part in _parts(word)]


def terms(text: str, lang: str) -> list[str]:
    """What stands in the index for a text: stems, joined compounds, pairs of characters where no spaces are written."""
    found: list[str] = []
    before = ""
    for word in _WORD.findall(text):
        found += _word_terms(lang, word)
        if before and lang == "en" and word in PARTICLES and before.isascii():
            found.append(_stem(lang, (before + word).casefold()))  # "log in" is also "login"
        before = word
    return found


@lru_cache(maxsize=50_000)
def _word_terms(lang: str, word: str) -> tuple[str, ...]:
    parts = _parts(word)
    found = [term for part in parts for term in part_terms(part, lang)]
    if 1 < len(parts) <= 4 and not any(is_spaceless(part) for part in parts):
        found.append(_stem(lang, "".join(parts)))
    return tuple(found)


def part_terms(part: str, lang: str) -> tuple[str, ...]:
    """The terms of one of ``words``: its stem, or the pairs of its characters."""
    if is_spaceless(part):
        return (part,) if len(part) == 1 else tuple(part[at : at + 2] for at in range(len(part) - 1))
    return (_stem(lang, part),)


def is_spaceless(word: str) -> bool:
    """Whether a word is of a script that puts no spaces between words."""
    return not word.isascii() and bool(_DENSE.match(word))


def is_particle(word: str) -> bool:
    """Whether a run of characters of such a script only joins others, as hiragana mostly does in Japanese."""
    return bool(_HIRAGANA.fullmatch(word))


@lru_cache(maxsize=50_000)
def _parts(word: str) -> tuple[str, ...]:
    if word.isascii():
        return tuple(part for run in re.split(r"[-_.]", word) for part in _humps(run))
    return tuple(part.casefold() for part in _PARTS.findall(normalized(word)))


def _humps(word: str) -> list[str]:
    is_name = word[:1].isupper() or len(word) > 64  # OpenAI is one word, createServer two
    return [word[:64].casefold()] if is_name else _HUMP.sub(" ", word).casefold().split()


@lru_cache(maxsize=100_000)
def _stem(lang: str, word: str) -> str:
    if word.isdigit() or len(word) > 64:
        return word[:64]
    algorithm = STEMMERS.get(lang)
    stem = Stemmer.Stemmer(algorithm).stemWord(word) if algorithm else word[:PREFIX]  # the objects are not thread-safe
    if word in stop_words(lang):
        return stem + STOP  # "sich" is not what "sichern" is about
    return stem if stem.isascii() else _folded(stem)


def _folded(word: str) -> str:
    """Without accents, which visitors leave out; other scripts keep their marks."""
    if max(word) > "\u06ff":
        return word
    return unicodedata.normalize("NFC", _MARKS.sub("", unicodedata.normalize("NFD", word)))


@cache
def _stop_words() -> dict[str, str]:
    found: dict[str, str] = json.loads((DATA / "stop_words.json").read_text("utf-8"))
    return found


@cache
def stop_words(lang: str) -> frozenset[str]:
    """Words that name nothing: ours for ten languages, stopwords-iso's for others."""
    own = _stop_words().get(lang)
    return frozenset(own.split()) if own else frozenset(stopwordsiso.stopwords(lang))


@cache
def _stop_pattern(lang: str) -> re.Pattern[str]:
    longest_first = sorted(stop_words(lang), key=len, reverse=True)
    return re.compile("|".join(map(re.escape, longest_first)) or r"(?!)")


def content_runs(run: str, lang: str) -> list[str]:
    """What remains of a run without spaces when the stop words in it are taken out."""
    return [part for part in _stop_pattern(lang).split(run) if part]


@cache
def _by_stop_word() -> dict[str, tuple[str, ...]]:
    """Stop words of languages with spaces, and which languages have each."""
    found: dict[str, list[str]] = {}
    for lang in sorted({*stopwordsiso.langs(), *_stop_words()} - {"ja", "ko", "la", "th", "zh", "br", "eo"}):
        for word in stop_words(lang) | stopwordsiso.stopwords(lang) if lang in STEMMERS else stop_words(lang):
            found.setdefault(word, []).append(lang)
    return {word: tuple(langs) for word, langs in found.items()}


def detect(text: str, among: Iterable[str] = ()) -> str:
    """The language of a text as ``en``, ``de`` ...; empty where nothing tells. By its script, else by its stop words.

    Where several languages are as likely, one of ``among`` wins, the first of them first.
    """
    text = text[:MAX_CHARS]
    by_script = _by_script(text)
    if by_script:
        return by_script
    likely = tuple(among)
    scores: dict[str, float] = {}
    known, own = _by_stop_word(), _stop_words()
    for word in words(text):
        langs = known.get(word, ())
        for lang in langs:
            share = 1.5 if lang in own and word in stop_words(lang) else 1.0
            scores[lang] = scores.get(lang, 0.0) + share / (1 + len(langs) / 8)
    scores = {lang: score for lang, score in scores.items() if score > 1 or lang in likely}
    if not scores:
        return ""
    best = max(scores.values())
    near = [lang for lang, score in scores.items() if score >= (0.6 if lang in likely[:1] else 0.85) * best]
    order = list(dict.fromkeys((*likely, *_stop_words(), *near)))
    return min(near, key=lambda lang: (order.index(lang), -scores[lang]))


def _by_script(text: str) -> str:
    if "¿" in text or "¡" in text:
        return "es"
    kana = len(re.findall("[\u3040-\u30ff]", text))
    hangul = len(re.findall("[\uac00-\ud7af]", text))
    han = len(re.findall("[\u3400-\u9fff]", text))
    thai = len(re.findall("[\u0e00-\u0e7f]", text))
    most = max(kana + han, hangul, thai)
    if 3 * most < sum(map(str.isalpha, text)) or not most:
        return ""
    if most in (hangul, thai):
        return "ko" if most == hangul else "th"
    return "ja" if 20 * kana > han else "zh"
