"""Builds what a model is asked: system prompt, passages as fenced data, as much history as fits, question."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from pathlib import Path

from app.engines.base import ChatMessage, Citation, EngineRequest

_DEFAULT_PROMPT = Path(__file__).with_name("prompt.md")
MAX_SOURCES = 5
_SHORT_QUESTION_WORDS = 6
_MAX_QUERY_CHARS = 4_000
_AUTHORS = (
    "A person of the team has taken part: earlier replies that begin with a name and the word operator in brackets are "
    "theirs. Rely on them, and do not begin your own reply like that."
)


def load_system_prompt(path: Path | None) -> str:
    """The operator's file, or the one that comes with Baton."""
    return (path or _DEFAULT_PROMPT).read_text("utf-8").strip()


def search_query(request: EngineRequest) -> str:
    """What to search for: the question, and for a short follow-up also the question before it."""
    question = request.question[:_MAX_QUERY_CHARS]
    previous = next((message.content for message in reversed(request.history) if message.role == "user"), "")
    if previous and len(question.split()) < _SHORT_QUESTION_WORDS:
        return f"{question} {previous[:300]}"
    return question


def build_messages(
    request: EngineRequest, system_prompt: str, sources: Sequence[Citation], history_tokens: int
) -> list[dict[str, str]]:
    """The chat as a model takes it; the last message ends with the question, word for word.

    A question that failed leaves two messages of one role in a row, which some models refuse: they are joined.
    """
    system = f"{system_prompt}\n\n{format_sources(sources) if sources else 'There is no source for this question.'}"
    history = fit_history(request.history, history_tokens)
    if any(message.author for message in history):
        system += f"\n\n{_AUTHORS}"
    messages = [{"role": "system", "content": system}]
    for message in (*history, ChatMessage("user", request.question)):
        content = f"[{message.author}, operator] {message.content}" if message.author else message.content
        if len(messages) > 1 and messages[-1]["role"] == message.role:
            messages[-1]["content"] += f"\n\n{content}"
        else:
            messages.append({"role": message.role, "content": content})
    return messages


def format_sources(sources: Sequence[Citation]) -> str:
    """The sources between fences that no text can forge: their word is new for every question."""
    word = secrets.token_hex(4)
    parts = [
        f"<<source {number} {word}>>\n{source.title}\n{source.snippet}\n<<end {word}>>"
        for number, source in enumerate(sources, 1)
    ]
    return f"Sources, each between lines that hold the word {word}:\n\n" + "\n\n".join(parts)


def fit_history(history: Sequence[ChatMessage], max_tokens: int) -> list[ChatMessage]:
    """The newest complete turns (a question and what followed it) that fit; older ones are left out completely."""
    kept: list[ChatMessage] = []
    turn: list[ChatMessage] = []
    remaining = max_tokens
    for message in reversed(history):
        turn.append(message)
        if message.role != "user":
            continue
        remaining -= sum(estimate_tokens(message.content) for message in turn)
        if remaining < 0:
            return kept[::-1]
        kept += turn
        turn = []
    if sum(estimate_tokens(message.content) for message in turn) <= remaining:
        kept += turn
    return kept[::-1]


def estimate_tokens(text: str) -> int:
    """About how many tokens a message takes: one for four letters of English, or for one of a denser script."""
    dense = sum(1 for letter in text if ord(letter) > 0x2E80) if not text.isascii() else 0
    other = len(text.encode("utf-8", "replace")) - 3 * dense
    return dense + other // 4 + 4
