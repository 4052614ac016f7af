"""M4: what a model thinks is never shown as text, whatever its server makes of it; it is a sign of life."""

from __future__ import annotations

import json
import random
import time

import pytest

from app.config import Settings
from app.engines.base import CitationsChunk, ThinkingChunk
from app.engines.thinking import MAX_THINKING_CHARS, ThinkingFilter
from app.errors import EngineFailed, EngineTimeout
from tests.engines.conftest import MakeSettings, answer, ask, python_engine, text_of
from tests.engines.faulty_server import FaultyServer

CASES = {
    "<think>let me see</think>Yes.": "Yes.",
    "<think>\nlet me see\n</think>\n\nYes.": "Yes.",
    "\n<thinking>let me see</thinking> Yes.": "Yes.",
    "<thought>a</thought>Yes. <reasoning>b</reasoning>Really.": "Yes. Really.",
    "<THINK>let me see</Think>Yes.": "Yes.",
    "<think type='deep'>let < me > see <b></think>Yes.": "Yes.",
    "[THINK]let me see[/THINK]Yes.": "Yes.",
    "◁think▷let me see◁/think▷Yes.": "Yes.",
    "Yes. <think>or no?": "Yes. ",
    "Yes. <think>or no?</think>No.": "Yes. No.",
    "Use the `<think>` tag.": "Use the `<think>` tag.",
    "So:\n```xml\n<think>\nwords\n</think>\n```\nDone.": "So:\n```xml\n<think>\nwords\n</think>\n```\nDone.",
    "a < b, <b>bold</b>, x <thin, [THIN], <think": "a < b, <b>bold</b>, x <thin, [THIN], <think",
    "I thought <thinker> knew; [think] too.": "I thought <thinker> knew; [think] too.",
    "one ` tick\n<think>x</think>two": "one ` tick\ntwo",
}


@pytest.mark.parametrize("text", CASES)
def test_thoughts_are_taken_out_wherever_the_stream_is_cut(text: str) -> None:
    """Tags of every kind, in one piece, letter by letter, and cut anywhere: the same words remain."""
    chance = random.Random(7)
    cuts = [[text], list(text)]
    for _ in range(40):
        at = sorted(chance.sample(range(len(text) + 1), min(4, len(text))))
        cuts.append([text[start:end] for start, end in zip([0, *at], [*at, len(text)], strict=True)])
    for pieces in cuts:
        thinking = ThinkingFilter()
        assert "".join(map(thinking.feed, pieces)) + thinking.flush() == CASES[text]


def test_a_closing_tag_alone_hides_what_was_not_shown_yet() -> None:
    """Templates that open the thought in the prompt leave its end only: in a whole answer it hides what came before."""
    thinking = ThinkingFilter()
    assert thinking.feed("The user asks for x.</think>\n\nYes.") + thinking.flush() == "Yes."
    streamed = ThinkingFilter()
    assert "".join(map(streamed.feed, "Yes.</think> No.")) + streamed.flush() == "Yes. No."


def test_thoughts_without_end_have_an_end() -> None:
    """A model that only thinks is given up, and the filter keeps nothing of it."""
    thinking = ThinkingFilter()
    with pytest.raises(EngineFailed):  # noqa: PT012 - how many pieces it takes does not matter
        for _ in range(MAX_THINKING_CHARS // 500):
            assert thinking.feed("<think>" + "hmm " * 250) == ""


@pytest.mark.parametrize("chunk", [1, 4, 1000])
def test_a_models_thoughts_cite_nothing_and_are_not_shown(openai: Settings, chunk: int) -> None:
    """Neither words nor sources of a thought are in the answer."""
    chunks = answer(openai, f"chunk={chunk} say:<think>Maybe [1] or [2], see https://x.test/</think>Twenty [2].")
    assert text_of(chunks) == "Twenty [1]."
    assert len(next(chunk for chunk in chunks if isinstance(chunk, CitationsChunk)).citations) == 1
    assert chunk == 1000 or any(isinstance(one, ThinkingChunk) for one in chunks)


def test_an_answer_of_thoughts_alone_is_none(openai: Settings) -> None:
    """A thought that is never closed is not shown for want of an answer."""
    with pytest.raises(EngineFailed, match="no answer"):
        answer(openai, "say:<think>I wonder")


def delta(**fields: object) -> bytes:
    choice = {"index": 0, "delta": fields, "finish_reason": None}
    return (
        b"data: " + json.dumps({"id": "c", "object": "chat.completion.chunk", "choices": [choice]}).encode() + b"\n\n"
    )


@pytest.mark.parametrize(
    "thought",
    [
        {"reasoning_content": "hmm"},
        {"reasoning": "hmm", "content": ""},
        {"content": None, "reasoning_details": [{"type": "reasoning.text", "text": "hmm"}]},
        {"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "hmm"}]}]},
        {"content": "<think>hmm"},
    ],
    ids=["reasoning_content", "reasoning", "reasoning_details", "parts", "tag"],
)
def test_thinking_is_a_sign_of_life(openai: Settings, server: FaultyServer, thought: dict[str, object]) -> None:
    """A model that thinks for longer than ENGINE_TIMEOUT, but says so, is waited for; silence is not."""
    pauses: list[bytes | float] = [block for _ in range(5) for block in (delta(**thought), 0.4)]
    end = delta(content="</think>Yes." if "<think>" in str(thought) else "Yes.") + b"data: [DONE]\n\n"
    server.script = ("text/event-stream", [*pauses, end])
    began = time.monotonic()
    assert text_of(answer(openai, "why?", idle_timeout=1.0)) == "Yes."
    assert time.monotonic() - began > 1.5
    server.script = ("text/event-stream", [delta(**thought), 3.0, end])
    with pytest.raises(EngineTimeout):
        answer(openai, "why?", idle_timeout=0.5)


def test_a_webhooks_and_a_python_engines_thoughts(settings: MakeSettings, server: FaultyServer) -> None:
    """What stands behind another engine may be such a model too."""
    hook = settings(engine="webhook")
    assert text_of(answer(hook, "chunk=2 say:<think>hmm</think>Yes.")) == "Yes."
    whole = settings(engine="webhook", webhook_url=f"{server.url}/hook?as=json")
    assert text_of(answer(whole, "say:hmm</think>Yes.")) == "Yes."
    engine = python_engine("thinks")
    assert text_of(list(engine.answer(ask("why?")))) == "Yes."


def test_it_is_linear() -> None:
    """Many beginnings of tags cost as much a letter as few."""

    def seconds(text: str) -> float:
        began = time.process_time()
        thinking = ThinkingFilter()
        thinking.feed(text)
        thinking.flush()
        return time.process_time() - began

    for unit in ("<", "<think ", "`", "[THIN", "</think", "<think>", "\n<t"):
        short, long = (min(seconds(unit * (size // len(unit))) for _ in range(3)) for size in (20_000, 160_000))
        assert long < 8 * 4 * short + 0.02, unit
