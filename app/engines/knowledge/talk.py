"""Small talk: a kind word back to a greeting, thanks or goodbye, and what to ask about."""

from __future__ import annotations

import re
import sqlite3

_EDGE = r"[\s!.,?~:;)(*'\"-]*"
_NAMES = r"(?:\s+(?:there|all|everyone|bot|assistant|team|again|so much|very much|a lot|a bunch|you|everybody|folks))*"
_TALK = (
    (
        rf"(?:hi+|hello+|hey+|hiya|yo|greetings|howdy|good (?:morning|afternoon|evening|day)|hallo|hola|salut|moin){_NAMES}"
        r"(?:[\s,!.]+(?:how are you(?: doing)?(?: today)?|how's it going|what's up))?",
        "Hello! What would you like to know?{topics}",
    ),
    (
        r"(?:many |ok(?:ay)? |great |perfect |cool |awesome |alright |yes |no |hi |and )*"
        rf"(?:thanks|thank you|thank u|thx|ty|cheers|much appreciated|danke|merci|gracias){_NAMES}"
        r"(?:[\s,!.]+(?:that (?:helps|helped|was helpful|is all|works)|for (?:your|the) help|you(?:'re| are) (?:great|the best)|"
        r"bye|goodbye|very helpful|perfect|great|so|very|much|a|lot))*",
        "You are welcome! If anything else comes up, just ask.",
    ),
    (
        r"(?:ok(?:ay)? |thanks |well )*(?:bye+|goodbye|bye bye|see (?:you|ya)(?: later| soon)?|good night|cya|ciao|farewell|"
        r"have a (?:nice|good|great) (?:day|evening|weekend|one))" + _NAMES,
        "Goodbye! Come back whenever you have a question.",
    ),
    (
        r"(?:ok(?:ay)?|great|perfect|cool|awesome|nice|got it|i see|alright|sounds good|understood|good bot|wow|"
        r"that (?:helps|helped|was helpful|makes sense|worked))(?:\s+(?:thanks|then|now))?",
        "Glad that helps. If anything else comes up, just ask.",
    ),
    (
        r"(?:how are you(?: doing)?(?: today)?|how's it going|what's up|sup)",
        "All is well, thank you. What would you like to know?{topics}",
    ),
    (
        r"(?:hi |hello |hey |so )?(?:who are you|what are you|are you (?:a )?(?:robot|bot|human|real(?: person)?|real|an? ai|a person)|"
        r"what can you do(?: for me)?|what can i ask(?: you)?|what do you know|can you help(?: me)?|help(?: me)?|i need help|"
        r"how can you help(?: me)?|what (?:topics|subjects) (?:do|can) you (?:know|cover|answer))(?: please)?",
        "I am an assistant that looks things up in this site's pages and shows where it found them.{topics}",
    ),
)
_RULES = tuple((re.compile(_EDGE + pattern + _EDGE, re.IGNORECASE), reply) for pattern, reply in _TALK)


def small_talk(text: str) -> str | None:
    """A reply to what asks nothing, with ``{topics}`` where topics may be named; None for anything else."""
    plain = text.replace("’", "'")
    if len(plain) > 120 or not plain.strip():
        return None
    return next((reply for pattern, reply in _RULES if pattern.fullmatch(plain)), None)


def topics(db: sqlite3.Connection, most: int = 3) -> str:
    """One sentence that names a few pages one may ask about, or nothing."""
    sql = "SELECT DISTINCT title FROM pages WHERE title <> '' ORDER BY length(path) - length(replace(path, '/', '')), id LIMIT ?"
    titles = [title.replace("{", "(").replace("}", ")") for (title,) in db.execute(sql, (most,))]
    return f" You could ask about {listed(titles)}." if titles else ""


def listed(names: list[str]) -> str:
    """Names as they stand in a sentence."""
    quoted = [f"“{name}”" for name in names]
    return quoted[0] if len(quoted) == 1 else ", ".join(quoted[:-1]) + f" or {quoted[-1]}"
