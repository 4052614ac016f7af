"""`client_id` makes a retry safe."""

from __future__ import annotations

import hashlib

from tests.contract.api_client import ApiClient, Visitor, at_once
from tests.contract.conftest import RunningService
from tests.contract.fake_bot import spoken
from tests.contract.feeds import SseFeed, joined, story


def test_an_append_again(visitor: Visitor) -> None:
    """The same one again in the same session gets the first answer again (200) and stores nothing twice."""
    first = visitor.say("hello", client_id="c", metadata={"n": 1})
    again = [visitor.say("hello", client_id="c"), visitor.say("quite another text", client_id="c")]
    assert first.status_code == 201
    for answer in again:
        assert answer.status_code == 200
        assert answer.json() == first.json()
    assert visitor.texts() == ["hello"]


def test_client_ids_belong_to_a_session(caller: ApiClient) -> None:
    """Another session's client ids are its own."""
    one, other = caller.create(), caller.create()
    assert one.said("one", client_id="c")["id"] != other.said("other", client_id="c")["id"]
    assert (one.texts(), other.texts()) == (["one"], ["other"])


def test_a_chat_again(own: RunningService) -> None:
    """The same chat again gets the first answer again and asks the engine nothing twice."""
    visitor = ApiClient(own.base).create()
    first = visitor.ask("chat-again cite", client_id="c")
    for answer in (visitor.ask("chat-again cite", client_id="c"), visitor.ask("other words", client_id="c")):
        assert answer.status_code == 200
        assert answer.json() == first.json()
    assert visitor.texts() == ["chat-again cite", first.json()["answer"]]
    assert own.own.engine_calls("chat-again") == 1


def test_racing_streams(own: RunningService) -> None:
    """So do racing streams: each brings the whole answer, one turn for all."""
    visitor = ApiClient(own.base).create()

    def stream(_: int) -> SseFeed:
        return visitor.ask_streamed("racing-streams tokens=50 delay=0.02", client_id="race")

    feeds = at_once(10, stream)
    ends = [feed.until_closed()[-1] for feed in feeds]
    assert {end.event for end in ends} == {"answer.end"}
    assert len({end.data["turn_id"] for end in ends}) == 1
    assert len({joined(feed.events) for feed in feeds}) == 1
    assert joined(feeds[0].events) == ends[0].data["message"]["content"]
    assert own.own.engine_calls("racing-streams") == 1


def test_a_stream_again(visitor: Visitor) -> None:
    """A stream asked for again after its end brings the same answer and its end."""
    first = visitor.ask_streamed("tokens=30", client_id="c").until_closed()
    again = visitor.ask_streamed("tokens=30", client_id="c").until_closed()
    whole = visitor.ask("tokens=30", client_id="c").json()
    assert again[-1].event == "answer.end"
    assert again[-1].data == first[-1].data
    assert joined(again) == joined(first) == whole["answer"]
    assert whole["message_id"] == first[-1].data["message"]["id"]


def test_a_running_stream_joined(visitor: Visitor) -> None:
    """The same client id joins a running turn and gets it from the first word."""
    with visitor.ask_streamed("tokens=80 delay=0.02", client_id="c") as first:
        first.until("answer.delta", count=3)
        with visitor.ask_streamed("tokens=80 delay=0.02", client_id="c") as second:
            assert second.status == 200
            assert joined(second.until_closed()) == joined(first.until_closed())


def test_append_and_chat_keep_apart(visitor: Visitor) -> None:
    """Append and chat keep their client ids apart."""
    visitor.said("appended", client_id="same")
    answer = visitor.ask("asked", client_id="same")
    assert (answer.status_code, answer.json()["answer"]) == (200, "echo: asked")
    assert visitor.say("appended", client_id="same").status_code == 200
    assert visitor.texts() == ["appended", "asked", "echo: asked"]


def test_a_failed_turn_again(own: RunningService) -> None:
    """After a failed turn the same call runs the turn again, without storing the question again."""
    visitor = ApiClient(own.base).create()
    assert visitor.ask("failed-again raise-once tell", client_id="c").status_code == 502
    assert visitor.texts() == ["failed-again raise-once tell"]
    answer = visitor.ask("failed-again raise-once tell", client_id="c")
    assert answer.status_code == 200
    assert visitor.texts() == ["failed-again raise-once tell", answer.json()["answer"]]
    assert own.own.engine_calls("failed-again") == 2
    assert visitor.ask("failed-again raise-once tell", client_id="c").json() == answer.json()
    assert own.own.engine_calls("failed-again") == 2


def test_a_broken_turn_again(visitor: Visitor) -> None:
    """A retry after a broken answer keeps the earlier words as a message of their own, marked `interrupted`."""
    question = f"tokens=20 break-once=10 {visitor.id[-6:]}"
    broken = visitor.ask(question, client_id="c")
    assert broken.status_code == 502
    answer = visitor.ask(question, client_id="c")
    assert answer.status_code == 200
    history = visitor.history()
    assert [message["role"] for message in history] == ["user", "assistant", "assistant"]
    assert history[1]["metadata"].get("interrupted") is True
    assert history[1]["content"] == "".join(f"w{number} " for number in range(10))
    assert history[2]["content"] == answer.json()["answer"] == "".join(f"w{number} " for number in range(20))
    assert "interrupted" not in history[2]["metadata"]


def test_a_question_run_again_comes_last(visitor: Visitor) -> None:
    """A question run again is asked as the last user message, whatever was said in between."""
    question = f"raise-once tell {visitor.id[-6:]}"
    assert visitor.ask(question, client_id="c").status_code == 502
    visitor.said("in between")
    body = visitor.ask(question, client_id="c").json()["answer"]
    assert f'"question": "{question}"' in body
    assert "in between" in body
    assert visitor.texts()[0] == question
    assert visitor.texts().count(question) == 1


def test_racing_retries(own: RunningService) -> None:
    """Retries of a failed turn that race run it once more, together."""
    visitor = ApiClient(own.base).create()
    question = "racing-retries raise-once tokens=20 delay=0.02"
    assert visitor.ask(question, client_id="c").status_code == 502
    answers = at_once(10, lambda _: visitor.ask(question, client_id="c"))
    assert [answer.status_code for answer in answers] == [200] * 10
    assert len({answer.text for answer in answers}) == 1
    assert own.own.engine_calls("racing-retries") == 2


def test_words_that_a_failover_lost_are_written_again(own: RunningService) -> None:
    """A server that takes over with less of a running answer gets all of it; the message has no hole."""
    visitor = ApiClient(own.base).create()
    with visitor.ask_streamed("tokens=30 delay=0.1") as feed, own.redis.client() as redis:
        feed.until("answer.delta", count=4)
        key = next(redis.scan_iter(f"baton:{{{hashlib.sha256(visitor.id.encode()).hexdigest()[:32]}}}:said"))
        redis.set(key, "w0 ", keepttl=True)
        feed.until("answer.end", seconds=20)
    assert visitor.texts()[-1] == spoken(30)


def test_an_answer_stopped_before_its_first_word_again(visitor: Visitor) -> None:
    """A replay has the same events: a beginning, no word, and an end."""
    seen = []
    with visitor.ask_streamed("hang", client_id="c") as feed:
        feed.until("answer.start")
        assert visitor.post("/stop").json()["stopped"] is True
        seen.append(story(feed.until("answer.end")))
    with visitor.ask_streamed("hang", client_id="c") as feed:
        seen.append(story(feed.until("answer.end")))
    first, again = ([(event.event, event.data) for event in events if event.event != "message"] for events in seen)
    assert [name for name, _ in first] == ["answer.start", "answer.end"]
    assert again == first
