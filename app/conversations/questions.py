"""Questions that the engine could not answer, grouped, kept for 30 days where ``BATON_KEEP_QUESTIONS`` is on.

They are kept apart from the conversations: nothing says whose question it was. Mail addresses, links and numbers of
five digits and more (phones, cards, customers) are replaced first; names and what else people write stay as they are.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass

from app.engines.knowledge import languages
from app.storage.client import RedisClient, load_script

QUESTIONS_KEY = "baton:questions:{desk}"
KEPT_MS = 30 * 86_400_000
MAX_QUESTIONS = 500
"""Groups that are kept; a new one takes the place of the one that was not asked for the longest time."""
MAX_CHARS = 300
_PERSONAL = (
    (re.compile(r"\b(?:https?://|www\.)\S{1,2000}", re.IGNORECASE), "[link]"),
    (re.compile(r"[^\s@<>\"'(),;:]{1,64}@[^\s@<>\"'(),;:]{1,190}"), "[e-mail]"),
    (re.compile(r"[+(]?[0-9\u0660-\u0669\u06f0-\u06f9](?:[ \-./()\u00a0]{0,3}[0-9\u0660-\u0669\u06f0-\u06f9]){4,}"),
     "[number]"),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class UnansweredQuestion:
    """Questions of the same words, as the last of them was asked. Times in ms."""

    id: str
    question: str
    count: int
    first_at: int
    last_at: int


def without_personal_details(text: str) -> str:
    """One line of at most MAX_CHARS, with placeholders for mail addresses, links and long numbers."""
    text = " ".join(text.split())
    for pattern, placeholder in _PERSONAL:
        text = pattern.sub(placeholder, text)
    return text if len(text) <= MAX_CHARS else text[: MAX_CHARS - 1] + "…"


def group_of(text: str) -> str:
    """The group of a question: those whose words, without stop words and endings, are the same in any order."""
    lang = languages.detect(text) or "en"
    stop_words = languages.stop_words(lang)
    words = [word for word in languages.words(text) if word not in stop_words] or languages.words(text)
    stems = {term for word in words for term in languages.part_terms(word, lang)}
    return hashlib.sha256(" ".join(sorted(stems) or [text.casefold()]).encode()).hexdigest()[:16]


class QuestionLog:
    """The questions that are kept."""

    def __init__(self, client: RedisClient) -> None:
        self._client = client

    def add(self, question: str) -> None:
        """Keeps a question that was not answered. Raises StorageUnavailable."""
        text = without_personal_details(question)
        if text:
            args = (group_of(text), text, KEPT_MS, MAX_QUESTIONS)
            self._client.run(load_script("add_question"), (QUESTIONS_KEY,), *args)

    def list(self) -> list[UnansweredQuestion]:
        """The most frequent first, of those as frequent the latest first."""
        questions = [
            UnansweredQuestion(group.decode(), text.decode("utf-8", "replace"), int(count), int(first_at), int(last_at))
            for group, text, count, first_at, last_at in self._client.run(
                load_script("read_questions"), (QUESTIONS_KEY,)
            )
        ]
        return sorted(questions, key=lambda question: (-question.count, -question.last_at))

    def erase(self, question_id: str = "") -> int:
        """Erases one group, or all of them; how many there were."""
        return int(self._client.run(load_script("erase_questions"), (QUESTIONS_KEY,), question_id)[0])
