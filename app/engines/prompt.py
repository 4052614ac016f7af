"""Makes what a model is asked: the rules, the passages as fenced data, as much history as fits, the question."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from pathlib import Path

from app.engines.base import ChatMessage, Citation, EngineRequest

_RULES = Path(__file__).with_name("prompt.md")
MOST_SOURCES = 5
_SHORT_QUESTION = 6
_MOST_CHARS = 4_000


def rules(path: Path | None) -> str:
    """The system prompt: the operator's file, or the one that comes with Baton."""
    return (path or _RULES).read_text("utf-8").strip()


def search_words(turn: EngineRequest) -> str:
    """What to look for: the question, and for a short follow-up also the question before it."""
    question = turn.question[:_MOST_CHARS]
    before = next((said.content for said in reversed(turn.history) if said.role == "user"), "")
    if before and len(question.split()) < _SHORT_QUESTION:
        return f"{question} {before[:300]}"
    return question


def messages(turn: EngineRequest, rules: str, sources: Sequence[Citation], history_tokens: int) -> list[dict[str, str]]:
    """The chat as a model takes it; the last message is the question, word for word."""
    system = f"{rules}\n\n{fenced(sources)}" if sources else f"{rules}\n\nThere is no source for this question."
    past = [{"role": said.role, "content": said.content} for said in window(turn.history, history_tokens)]
    return [{"role": "system", "content": system}, *past, {"role": "user", "content": turn.question}]


def fenced(sources: Sequence[Citation]) -> str:
    """The sources between fences that no text can forge: their word is new for every question."""
    word = secrets.token_hex(4)
    parts = [
        f"<<source {number} {word}>>\n{one.title}\n{one.snippet}\n<<end {word}>>"
        for number, one in enumerate(sources, 1)
    ]
    return f"Sources, each between lines that hold the word {word}:\n\n" + "\n\n".join(parts)


def window(history: Sequence[ChatMessage], most_tokens: int) -> list[ChatMessage]:
    """The newest whole turns (a question and what followed it) that fit; older ones are left out whole."""
    kept: list[ChatMessage] = []
    turn: list[ChatMessage] = []
    left = most_tokens
    for said in reversed(history):
        turn.append(said)
        if said.role != "user":
            continue
        left -= sum(tokens(one.content) for one in turn)
        if left < 0:
            return kept[::-1]
        kept += turn
        turn = []
    if sum(tokens(one.content) for one in turn) <= left:
        kept += turn
    return kept[::-1]


def tokens(text: str) -> int:
    """About how many tokens a model makes of a message: four letters of English, or one of a denser script, each."""
    dense = sum(1 for letter in text if ord(letter) > 0x2E80) if not text.isascii() else 0
    other = len(text.encode("utf-8", "replace")) - 3 * dense
    return dense + other // 4 + 4
