"""Words as the index and a question both see them: normalised, identifiers split, stemmed."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from functools import lru_cache

_WORD = re.compile(r"v?\d+(?:[.,]\d+)+|[^\W_]+(?:['’][^\W_]+)*")
_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_CJK = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")
_GLUED = re.compile(r"(?<![^\W_])[^\W_]++(?:[-_.][^\W_]++)+")

LONGEST = 40
"""Characters of a word that count; longer runs (keys, hashes) are cut."""
MOST_MARKS = 30
"""Combining marks in a row that are kept (UAX 15, Stream-Safe): putting more in order takes their number squared."""


def normal(text: str) -> str:
    """Compatibility forms folded and accents taken off Latin letters; the case is kept."""
    if text.isascii():
        return text
    parts = unicodedata.normalize("NFKD", "".join(_few_marks(text)))
    return unicodedata.normalize("NFC", "".join(c for c in parts if not "\u0300" <= c <= "\u036f"))


def _few_marks(text: str) -> Iterator[str]:
    marks = 0
    for letter in text:
        marks = marks + 1 if unicodedata.combining(letter) else 0
        if marks <= MOST_MARKS:
            yield letter


def words(text: str) -> list[str]:
    """Lower-case words in order; ``createServer`` also gives its parts, ``sign-up`` also ``signup``."""
    return [part for word in _taken(text) for part in _split(word)]


def plain_words(text: str) -> list[str]:
    """Lower-case words in order, as a reader would count them: nothing split, nothing joined."""
    return [_bare(word) for word in _WORD.findall(normal(text))]


def stems(text: str) -> list[str]:
    """The stems of ``words(text)``."""
    return [root for word in _taken(text) for root in _stems(word)]


def _taken(text: str) -> list[str]:
    """Raw words, then those that two make when a hyphen, a dot or a line between them is left out."""
    text = normal(text)
    return [*_WORD.findall(text), *filter(None, map(_glue, _GLUED.findall(text)))]


@lru_cache(maxsize=50_000)
def _stems(word: str) -> tuple[str, ...]:
    return tuple(stem(part) for part in _split(word))


@lru_cache(maxsize=50_000)
def _bare(word: str) -> str:
    word = word.replace("’", "'").lower()
    word = word.removesuffix("'s")
    return word.replace("'", "")[:LONGEST]


@lru_cache(maxsize=50_000)
def _split(word: str) -> tuple[str, ...]:
    whole = _bare(word)
    if _CJK.search(whole):
        return tuple(whole[i : i + 2] for i in range(max(1, len(whole) - 1)))
    humps = _HUMP.split(word) if any(c.isupper() for c in word[1:]) else []
    parts = [_bare(part) for part in humps if len(part) > 1] if len(humps) > 1 else []
    return (*parts, whole) if whole else ()


def _glue(text: str) -> str:
    parts = re.split(r"[-_.]", text.lower())
    joined = "".join(parts)
    return joined if len(parts) == 2 and joined.isalpha() and len(joined) <= 20 else ""


_STEPS_2 = {
    "ational": "ate", "tional": "tion", "enci": "ence", "anci": "ance", "izer": "ize", "iser": "ize", "abli": "able",
    "alli": "al", "entli": "ent", "eli": "e", "ousli": "ous", "ization": "ize", "isation": "ize", "ation": "ate",
    "ator": "ate", "alism": "al", "iveness": "ive", "fulness": "ful", "ousness": "ous", "aliti": "al", "iviti": "ive",
    "biliti": "ble",
}  # fmt: skip
_STEPS_3 = {
    "icate": "ic", "ative": "", "alize": "al", "alise": "al", "iciti": "ic", "ical": "ic", "ful": "", "ness": "",
}  # fmt: skip
_STEPS_4 = (
    "ement", "ance", "ence", "able", "ible", "ment", "ant", "ent", "ism", "ate", "iti", "ous", "ive", "ize", "ise",
    "ion", "al", "er", "ic", "ou",
)  # fmt: skip
_VOWEL = re.compile(r"[aeiou]|(?<=[^aeiou])y")
_RUNS = re.compile(r"(?:[aeiouy]+)(?:[^aeiouy]+)")
_SHORT = re.compile(r"[^aeiouy][aeiouy][^aeiouywx]$")
_ODD = {
    form: root
    for line in """
analysi: analyses analysis
animal: animal animals
begin: began begun
big: bigger biggest
break: broken broke
build: built
bus: buses
buy: bought buying
instalment: instalment instalments installment installments
capital: capital capitals
cheap: cheaper cheapest
child: children
choos: chose chosen
data: data
death: death
deliv: delivery deliveries
describ: description descriptions
die: died dies dying
expir: expiry
fast: faster fastest
find: found
forget: forgot forgotten
freez: froze frozen
general: general generals generally
give: given gave
hide: hid hidden
hold: held
https: https
import: import
important: important importance
index: indices indexes
internal: internal
internation: international
keep: kept
larg: larger largest
leav: left
lie: lying
long: longer longest
lose: lost
make: made
man: men
news: news
organic: organic
pay: paid pays payment payments paying payable
peopl: people
police: police
polici: policy
ration: ration
rational: rational
relat: relation
relativ: relative
renew: renewal renewals
reus: reuse
risk: risky
run: ran
see: seen
sell: sold
send: sent
ship: shipping shipment shipments
show: shown
small: smaller smallest
spend: spent
steal: stolen
subscrib: subscription subscriptions
take: taken took
tell: told
universe: universe universes
universiti: university universities
use: used uses using usage
woman: women
write: written wrote
""".strip().splitlines()
    for root, _, forms in [line.partition(": ")]
    for form in forms.split()
}
"""Forms that the rules below would take for other words, or part from their own; by form, the stem."""


@lru_cache(maxsize=50_000)
def stem(word: str) -> str:
    """The stem of a lower-case word, after Porter's rules of 1980; words that are not plain English stay whole."""
    if len(word) < 4 or not (word.isascii() and word.isalpha()):
        return word[:-1] if len(word) == 3 and word.endswith("s") and word[1] not in "aeious" else word
    if word in _ODD:
        return _ODD[word]
    word = _plural(word)
    if len(word) < 4:
        return word
    for step in (_past, _final_y, _second, _third, _fourth, _fifth):
        word = step(word)
    return word


_FRONTS = ("un", "re", "non", "pre", "mis", "de", "in", "dis")
_BACKS = (
    "age",
    "er",
    "or",
    "ist",
    "al",
    "ity",
    "ship",
    "hood",
    "less",
    "ful",
    "able",
    "y",
    "ance",
    "ment",
    "ness",
    "ic",
    "ion",
)


def derived(word: str) -> list[str]:
    """Words that a word may have been made from: ``watt`` for ``wattage``, ``used`` for ``unused``; not all exist."""
    found = [word[len(front) :] for front in _FRONTS if word.startswith(front) and len(word) - len(front) > 3]
    for back in _BACKS:
        root = word[: -len(back)]
        found += [root, root + "e"] if word.endswith(back) and len(root) > 3 else []
    return found


def _measure(part: str) -> int:
    return len(_RUNS.findall(part))


def _plural(word: str) -> str:
    if word.endswith(("sses", "shes", "ches", "xes")):
        return word[:-2]
    if word.endswith("ies"):
        return word[:-3] + ("ie" if len(word) == 4 else "y")
    return word[:-1] if word.endswith("s") and word[-2] not in "suia" else word


def _past(word: str) -> str:
    if word.endswith("eed"):
        return word[:-1] if _measure(word[:-3]) else word
    for end in ("ed", "ing"):
        root = word[: -len(end)]
        if word.endswith(end) and len(root) > 1 and _VOWEL.search(root):
            return _mended(root)
    return word


def _mended(root: str) -> str:
    if root.endswith(("at", "bl", "iz", "is", "us")) and len(root) > 2:
        return root + "e"
    if root[-1] == root[-2] and root[-1] not in "lsz":
        return root[:-1]
    return root + "e" if _measure(root) == 1 and _SHORT.search(root) else root


def _final_y(word: str) -> str:
    turns = word.endswith("y") and word[-2] not in "aeiou" and _VOWEL.search(word[:-1])
    return word[:-1] + "i" if turns else word


def _second(word: str) -> str:
    for end, new in _STEPS_2.items():
        if word.endswith(end):
            return word[: -len(end)] + new if _measure(word[: -len(end)]) > 0 else word
    return word[:-2] if word.endswith("li") and _measure(word[:-2]) > 0 else word


def _third(word: str) -> str:
    for end, new in _STEPS_3.items():
        if word.endswith(end):
            return word[: -len(end)] + new if _measure(word[: -len(end)]) > 0 else word
    return word


def _fourth(word: str) -> str:
    for end in _STEPS_4:
        if word.endswith(end):
            root = word[: -len(end)]
            if _measure(root) > 1 and (end != "ion" or root[-1] in "st"):
                return root
            return word
    return word


def _fifth(word: str) -> str:
    if word.endswith("e"):
        root = word[:-1]
        many = _measure(root)
        if many > 1 or (many == 1 and not _SHORT.search(root)):
            word = root
    return word[:-1] if word.endswith("ll") and _measure(word[:-1]) > 1 else word
