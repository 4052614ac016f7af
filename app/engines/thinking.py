"""Takes a model's thoughts out of its text: ``<think>…</think>`` and the like. They are a sign of life, never words."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from app.engines.base import AnswerChunk, TextChunk, ThinkingChunk
from app.errors import EngineFailed

MAX_THINKING_CHARS = 1_000_000
_NAMES = "think|thinking|thought|thoughts|reasoning"
_OPEN = rf"(?i:<(?:{_NAMES})(?:\s[^<>]{{0,100}})?>)|\[THINK\]|◁think▷"
_CLOSE = rf"(?i:</(?:{_NAMES})\s{{0,9}}>)|\[/THINK\]|◁/think▷"
_TOKEN = re.compile(rf"(?P<code>`+)|(?P<line>\n)|(?P<open>{_OPEN})|(?P<close>{_CLOSE})")
_CLOSING = re.compile(_CLOSE)
_INCOMPLETE = re.compile(r"(?:`+|(?i:</?[a-z]{0,9}(?:\s[^<>]{0,100})?)|\[/?T?H?I?N?K?|◁/?[a-z]{0,5})\Z")
_LONGEST_TAG = 120


class ThinkingFilter:
    """One answer's text as it streams, without thoughts.

    A tag inside code stays, since an answer may be about it. A thought that is never closed hides the rest. A closing
    tag without an opening one, as some templates of chat models leave it, hides what came before it, unless that has
    been shown already. Text is buffered only while it may be part of a tag.
    """

    def __init__(self) -> None:
        self._buffer = ""
        self._code = ""
        self._thinking = False
        self._has_text = False
        self._space = ""
        self._hidden_chars = 0

    def feed(self, text: str) -> str:
        """The text that may be shown now. Raises EngineFailed for thoughts without end."""
        text = self._buffer + text
        unfinished = _INCOMPLETE.search(text, max(0, len(text) - _LONGEST_TAG))
        cut = unfinished.start() if unfinished else len(text)
        self._buffer = text[cut:]
        return self._filter(text[:cut])

    def flush(self) -> str:
        """What is still buffered, at the end of the answer."""
        text, self._buffer = self._buffer, ""
        return self._filter(text)

    def _filter(self, text: str) -> str:
        shown: list[str] = []
        position = 0
        while position < len(text):
            if self._thinking:
                position = self._skip_thought(text, position)
                continue
            match = _TOKEN.search(text, position)
            shown.append(text[position : match.start() if match else len(text)])
            if match is None:
                break
            position = match.end()
            self._token(match, shown)
        visible = "".join(shown)
        if self._has_text:
            return visible
        self._space += visible  # what stands around a thought before the first word belongs to the thought
        self._has_text = bool(self._space.strip())
        if not self._has_text:
            return ""
        return self._space.lstrip() if self._hidden_chars else self._space

    def _skip_thought(self, text: str, position: int) -> int:
        closing = _CLOSING.search(text, position)
        end = closing.end() if closing else len(text)
        self._thinking = closing is None
        self._hidden_chars += end - position
        if self._hidden_chars > MAX_THINKING_CHARS:
            raise EngineFailed("The answer was too long.")
        return end

    def _token(self, match: re.Match[str], shown: list[str]) -> None:
        if match["code"]:
            self._track_code(match[0])
        elif match["line"] and len(self._code) < 3:
            self._code = ""  # inline code ends with its line
        elif not self._code and match["open"]:
            self._thinking = True
            self._hidden_chars += 1
            return
        elif not self._code and match["close"]:
            if not self._has_text:
                shown.clear()
            self._hidden_chars += 1
            return
        shown.append(match[0])

    def _track_code(self, run: str) -> None:
        if not self._code:
            self._code = run
        elif run == self._code or 3 <= len(self._code) <= len(run):
            self._code = ""


def hide_thinking(chunks: Iterable[AnswerChunk]) -> Iterator[AnswerChunk]:
    """The chunks without thoughts in their text; each piece of a thought becomes a ThinkingChunk."""
    thinking = ThinkingFilter()
    for chunk in chunks:
        if not isinstance(chunk, TextChunk) or not isinstance(chunk.text, str):
            yield chunk
        elif text := thinking.feed(chunk.text):
            yield TextChunk(text)
        else:
            yield ThinkingChunk()
    if text := thinking.flush():
        yield TextChunk(text)
