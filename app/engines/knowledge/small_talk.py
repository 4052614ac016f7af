"""Small talk: replies to a greeting, thanks or a goodbye, with a few topics to ask about."""

from __future__ import annotations

import re
import sqlite3

from app.engines.knowledge.markdown_inline import escaped

# The patterns repeat with ++ and *+, which give nothing back: a pattern that tries every way of parting a text takes
# twice as long with each word of it.
_EDGE = " \t\n\r\f\v\xa0!.,?~:;)(*'\"-"
MOST_CHARS = 120
"""Characters of a text beyond which it is no small talk."""
_NAMES = (
    r"(?: (?:there|all|everyone|bot|assistant|team|again|so much|very much|a lot|a bunch|you(?! are\b)|everybody|folks)"
    r"(?![\w']))*+"
)
_HELLO = r"(?:hi++|hello++|hey++|hiya|yo|greetings|howdy|good (?:morning|afternoon|evening|day)|hallo|hola|salut|moin)"
_THANKS = r"(?:thanks|thank you|thank u|thx|ty|cheers|much appreciated|danke|merci|gracias)"
_HOW = r"(?:how are you(?: doing)?(?: today)?|how's it going|what's up|sup)"
_AFTER_THANKS = (
    r"(?:that (?:helps|helped|was helpful|is all|works)|for (?:your|the) help|you(?:'re| are) (?:great|the best)|"
    r"bye|goodbye|very helpful|perfect|great|so|very|much|a|lot)"
)
_BYE = (
    r"(?:bye++|goodbye|bye bye|see (?:you|ya)(?: later| soon)?|good night|cya|ciao|farewell|"
    r"have a (?:nice|good|great) (?:day|evening|weekend|one))"
)
_FINE = (
    r"(?:ok(?:ay)?|great|perfect|cool|awesome|nice|got it|i see|alright|sounds good|understood|good bot|wow|yes|no|"
    r"that (?:helps|helped|was helpful|makes sense|worked))(?: (?:thanks|then|now))?"
)
_WHO = (
    r"(?:(?:hi|hello|hey|so)[ ,]++)?(?:who are you|what are you|what's your name|what is your name|"
    r"are you (?:a )?(?:robot|bot|human|real(?: person)?|an? ai|a person)|what can you do(?: for me)?|"
    r"what can i ask(?: you)?|what do you know|can you help(?: me)?|help(?: me)?|i need help|i have a question|"
    r"how can you help(?: me)?|what (?:topics|subjects) (?:do|can) you (?:know|cover|answer))(?: please)?"
)
_PLAY = (
    r"(?:please |can you |could you |will you )*+"
    r"(?:tell|write|sing|make|compose|give)(?: me| us)?(?: an?| some| another)?"
    r"(?: (?:funny|good|short|nice|little))*+ (?:jokes?|poems?|story|stories|songs?|haikus?|raps?|limericks?|riddles?)"
    r"(?: (?:about|on|for|in)\b.{0,60})?"
)
_WELCOME = (
    rf"(?:(?:many|ok(?:ay)?|great|perfect|cool|awesome|alright|yes|no|and|{_HELLO}{_NAMES})[ ,!.]++)*+"
    rf"{_THANKS}{_NAMES}(?:[ ,!.]++{_AFTER_THANKS})*+"
)
_TALK = (
    (rf"{_HELLO}{_NAMES}(?:[ ,!.]++{_HOW})?", "Hello! What would you like to know?{topics}"),
    (_WELCOME, "You are welcome! If anything else comes up, just ask."),
    (rf"(?:ok(?:ay)? |thanks |well )*+{_BYE}{_NAMES}", "Goodbye! Come back whenever you have a question."),
    (_FINE, "Glad that helps. If anything else comes up, just ask."),
    (_HOW, "All is well, thank you. What would you like to know?{topics}"),
    (_WHO, "I am an assistant that looks things up in this site's pages and shows where it found them.{topics}"),
    (_PLAY, "I am afraid that I only know what stands in this site's pages.{topics}"),
)
_RULES = tuple((re.compile(pattern, re.IGNORECASE), reply) for pattern, reply in _TALK)


def small_talk(text: str) -> str | None:
    """A reply to what asks nothing, with ``{topics}`` where topics may be named; None for anything else."""
    if len(text) > MOST_CHARS:
        return None
    plain = " ".join(text.replace("’", "'").split()).strip(_EDGE)
    return next((reply for pattern, reply in _RULES if pattern.fullmatch(plain)), None)


def topics(db: sqlite3.Connection, most: int = 3) -> str:
    """One sentence that names a few pages one may ask about, or nothing."""
    sql = """SELECT DISTINCT title FROM pages WHERE title <> ''
             ORDER BY length(file) - length(replace(file, '/', '')), id LIMIT ?"""
    titles = [escaped(title).replace("{", "(").replace("}", ")") for (title,) in db.execute(sql, (most,))]
    return f" You could ask about {listed(titles)}." if titles else ""


def listed(names: list[str]) -> str:
    """Names as they stand in a sentence."""
    quoted = [f"“{name}”" for name in names]
    return quoted[0] if len(quoted) == 1 else ", ".join(quoted[:-1]) + f" or {quoted[-1]}"
