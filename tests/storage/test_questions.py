"""Questions that were not answered: grouped, without personal details as far as patterns find them, for 30 days."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
import redis

from app.conversations.questions import MAX_CHARS, MAX_QUESTIONS, QuestionLog, group_of, without_personal_details
from app.storage.client import RedisClient


@pytest.fixture
def log(redis_url: str) -> Iterator[QuestionLog]:
    client = RedisClient(redis_url)
    yield QuestionLog(client)
    client.close()


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("Where is my order 4711-8822?", "Where is my order [number]?"),
        ("Call me: +49 (0)30 / 123-456 please", "Call me: [number] please"),
        ("card 4111 1111 1111 1111 exp 12/29", "card [number] exp 12/29"),
        ("IBAN DE89 3704 0044 0532 0130 00", "IBAN DE[number]"),
        ("I am ada.lovelace+x@mail.example.co.uk, hello", "I am [e-mail], hello"),
        ("<bob@example.com>", "<[e-mail]>"),
        ("see https://shop.example/o/1?token=abc now", "see [link] now"),
        ("my number is ٠١٢٣٤٥٦٧", "my number is [number]"),
        ("Are you open on 24 December 2026?", "Are you open on 24 December 2026?"),
        ("two\n  lines", "two lines"),
    ],
)
def test_personal_details_are_replaced(text: str, kept: str) -> None:
    """Mail addresses, links and numbers of five digits and more; a year, a day and a price stay."""
    assert without_personal_details(text) == kept


def test_a_question_is_cut() -> None:
    """After the details are replaced, so that none is cut in two and left in."""
    text = "x" * (MAX_CHARS - 10) + " someone@example.com and more"
    assert len(without_personal_details(text)) == MAX_CHARS
    assert "someone" not in without_personal_details(text)


def test_the_work_grows_with_the_length_alone() -> None:
    """R37: text that almost matches a pattern, four times as long, takes at most ten times as long."""
    for piece in ("1 ", "1-", "a@", "@", "a.", "(1", "+1 ", "http:", "https://a ", "1" * 4 + "x", "a" * 64, "..@.."):
        short, long = (piece * (length // len(piece)) for length in (20_000, 80_000))
        spent = []
        for text in (short, long):
            best = float("inf")
            for _ in range(3):
                began = time.thread_time()
                without_personal_details(text)
                best = min(best, time.thread_time() - began)
            spent.append(best)
        assert spent[1] < 10 * spent[0] + 0.01, piece


def test_questions_of_the_same_words_are_one_group(log: QuestionLog) -> None:
    """In any order, with other endings and stop words; the most frequent comes first, as it was asked last."""
    for question in ("Do you ship to Norway?", "shipping to norway", "Norway: do you ship there?", "Is it blue?"):
        log.add(question)
    assert [(one.question, one.count) for one in log.list()] == [("Norway: do you ship there?", 3), ("Is it blue?", 1)]
    first = log.list()[0]
    assert first.first_at <= first.last_at
    assert group_of("你好吗") != group_of("再见")
    assert group_of("?!") != group_of("...")


def test_questions_can_be_erased(log: QuestionLog, redis_url: str) -> None:
    """One, or all of them; nothing is left in Redis."""
    log.add("Do you ship to Norway?")
    log.add("Is it blue?")
    assert log.erase(log.list()[0].id) == 1
    assert log.erase("unknown") == 0
    assert len(log.list()) == 1
    assert log.erase() == 1
    assert log.list() == []
    with redis.Redis.from_url(redis_url) as look:
        assert look.keys("baton:questions*") == []


def test_what_is_kept_is_bounded_and_expires(log: QuestionLog, redis_url: str) -> None:
    """No more than so many groups, the latest; every key and every group's name goes after 30 days."""
    with redis.Redis.from_url(redis_url) as look:
        look.zadd("baton:questions:{desk}", {"old": (time.time() - 31 * 86_400) * 1000})
        log.add("wordq")
        assert look.zscore("baton:questions:{desk}", "old") is None
    for number in range(MAX_QUESTIONS + 5):
        log.add(f"word{number:x}q")
    with redis.Redis.from_url(redis_url) as look:
        keys = look.keys("baton:questions*")
        assert len(keys) == MAX_QUESTIONS + 1
        assert {0 < look.pttl(key) <= 30 * 86_400_000 for key in keys} == {True}
    assert len(log.list()) == MAX_QUESTIONS
