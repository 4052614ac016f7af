"""R37: what meets a text from outside does work in proportion to its length, whatever stands in it."""

from __future__ import annotations

import itertools
import json
import random
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from app import create_app, logging_config
from app.api import json_body
from app.api.client_protocols import MAX_BODY_BYTES
from app.config import Settings
from app.conversations import ids
from app.conversations.events import parse_cursor, parse_message_id
from app.engines import citations, prompt, sanitize, webhook_parsers
from app.engines.base import CancelToken, ChatMessage, Citation, EngineRequest
from app.engines.knowledge import KnowledgeEngine, dialects, languages, markdown_parser, reader, sections, small_talk
from app.engines.knowledge.query import leans
from app.web.markdown import render
from tests.conftest import Service, until

SHORT, LONG = 1_000, 4_000
MOST = 12.0
"""Work in proportion gives a ratio of 4, its square 16; a doubling a word would never end."""

SOURCE = (Citation("A page", "https://example.com/a", "Its words."),)
UNITS = {
    "greetings": "hi ",
    "greetings run together": "hi",
    "thanks": "thanks so much ",
    "a letter": "a",
    "a letter of six": "㌖",
    "a letter of eighteen": "\ufdfa",
    "spaces": " ",
    "lines": "a.\n",
    "empty lines": "\n",
    "brackets": "[",
    "brackets of all kinds": "[{(<",
    "links without an end": "](",
    "numbers in brackets": "[1, 2",
    "wide brackets": "【1",
    "angles": "<a ",
    "angles with an address": "<a:",
    "comments without an end": "<!--",
    "quotes": '"',
    "quotes escaped": '\\"',
    "backslashes": "\\",
    "backticks": "`",
    "backticks apart": "` a",
    "fences": "```\n",
    "open attributes": "{#a",
    "marks above": "\u0301",
    "marks in the wrong order": "\u0315\u0300\u05ae\u0327",
    "Hebrew points": "\u05b8\u05bc",
    "CJK": "漢",
    "Hangul parts": "\u1100\u1161\u11a8",
    "digits": "1",
    "digits and stops": "1.",
    "words glued": "a-b_",
    "capitals": "aB",
    "apostrophes": "a'",
    "questions": "what does ",
    "questions to the end": "how? ",
    "addresses": "https://a",
    "schemes": "a+",
    "schemes to a host": "a://",
    "tokens begun": "eyJ-",
    "tokens in two": "eyJaaaaaaaa.",
    "session ids begun": "ses_",
    "encoded": "%73",
    "bearer": "bearer ",
    "halves of pairs": "\ud83d",
    "links of Hugo": ']({{< ref "a" >}}',
    "headings": "# a\n",
    "lists in lists": "- ",
    "tables": "|a",
    "emphasis": "*a_",
    "pairs of front matter": "a: ",
}
"""What is repeated, and by the last letter cannot match."""


def _invented() -> str:
    draw = random.Random(37)
    return " ".join("".join(draw.choices("bcdfgklmnprstvzaeiou", k=11)) for _ in range(LONG // 12 + 1))


def _texts(length: int) -> dict[str, str]:
    made = {name: (unit * length)[: length - 1] + "x" for name, unit in UNITS.items()}
    made |= {f"{name}, after a letter": "a: b " + text for name, text in made.items()}
    return made | {"invented words": _invented()[:length]}


def _fed(text: str) -> str:
    reader = citations.CitationRewriter(SOURCE)
    return "".join(reader.feed(text[at : at + 7]) for at in range(0, len(text), 7)) + reader.flush()


def _events(text: str) -> list[Any]:
    sent = "".join(f"data: {line}\n" for line in text.split("a")).encode("utf-8", "replace")
    try:
        return list(webhook_parsers._sse_events(iter([sent[at : at + 50] for at in range(0, len(sent), 50)])))
    except webhook_parsers.EngineFailed:
        return []


def _object(text: str) -> object:
    try:
        return json_body.parse_json_object(b'{"message": "' + text.encode("utf-8", "replace") + b'"' + b"[" * 30)
    except json_body.BadRequest:
        return None


READERS: dict[str, Callable[[str], object]] = {
    "small talk": lambda text: [small_talk.small_talk(text[:at]) for at in (30, 60, 119)],
    "bounded": languages.bounded,
    "words": languages.words,
    "terms": lambda text: [languages.terms(text, lang) for lang in ("en", "ja", "xx")],
    "language": languages.detect,
    "runs": lambda text: [languages.content_runs(word, "ja") for word in languages.words(text)],
    "leans": lambda text: leans(text, "en"),
    "search words": lambda text: prompt.search_query(
        EngineRequest("and", (ChatMessage("user", text),), CancelToken(), lambda *_: [])
    ),
    "tokens": prompt.estimate_tokens,
    "window": lambda text: prompt.fit_history([ChatMessage("user", word) for word in text.split("a")], 100_000),
    "markers": lambda text: citations.CitationRewriter(SOURCE).feed(text),
    "markers of a stream": _fed,
    "markers moved": lambda text: citations.renumber_citations(text, SOURCE),
    "events of a webhook": _events,
    "whole": sanitize.split_surrogates,
    "plain": lambda text: sanitize.one_line(text, 200),
    "sound": lambda text: sanitize.is_safe_url("https://" + text),
    "body": _object,
    "masked": logging_config.redact,
    "position": lambda text: parse_cursor(text, "abcdef"),
    "message": lambda text: parse_message_id(text, "abcdef"),
    "session": ids.hash_session_id,
    "ticket": ids.parse_ticket,
    "escaped": sections.escaped,
    "front matter": lambda text: reader.front_matter(f"---\n{text}\n"),
    "front matter's value": lambda text: reader.front_matter(f"---\na: {text}\n---\n"),
    "front matter in TOML": lambda text: reader.front_matter(f"+++\na = {text}\n+++\n"),
    "dialects": dialects.normalize,
    "dialects of MDX": lambda text: dialects.normalize(text, mdx=True),
    "page": lambda text: sections.sections(markdown_parser.parse(text), ""),
    "headings": lambda text: markdown_parser.parse(f"# {text.replace(chr(10), ' ')}\n"),
}


def work(read: Callable[[str], object], text: str, rounds: int = 2) -> float:
    """Seconds of this thread's processor for one reading: the best of a few, each of several readings."""
    best = float("inf")
    for _ in range(rounds):
        _forget()
        began = time.thread_time()
        read(text)
        best = min(best, time.thread_time() - began)
    return best


def _forget() -> None:
    for kept in (languages._word_terms, languages._stem):
        kept.cache_clear()


def growth(read: Callable[[str], object], few: str, many: str) -> float:
    """How many times the work grows from one text to the other; what takes under half a millisecond is not looked at.

    A ratio that is too large is measured once more: another process may have had the caches meanwhile.
    """
    for _ in range(4):
        long = work(read, many)
        ratio = long / max(work(read, few), 0.5e-3 / 4)
        if ratio < MOST:
            break
    return ratio


@pytest.mark.parametrize("name", READERS)
def test_r37_work_grows_with_the_length_and_no_faster(name: str) -> None:
    """R37: no reader of a text from outside takes more than in proportion for 4,000 characters beside 1,000."""
    few, many = _texts(SHORT), _texts(LONG)
    ratios = {text: growth(READERS[name], few[text], many[text]) for text in many}
    assert {text: round(ratio) for text, ratio in ratios.items() if ratio >= MOST} == {}


@pytest.mark.parametrize(
    ("text", "reply"),
    [
        ("hi", "hello"),
        ("Hello there!", "hello"),
        ("hi, how are you today?", "hello"),
        ("good  morning everyone", "hello"),
        ("many thanks", "thanks"),
        ("hi all, thanks so much, that helps", "thanks"),
        ("thanks you're great", "thanks"),
        ("thanks, you are the best!!", "thanks"),
        ("ok great. thank you very much", "thanks"),
        ("ok bye", "bye"),
        ("okay thanks", "thanks"),
        ("(what can you do?)", "who"),
        ("Danke schön!", "thanks"),
        ("Wer bist du?", "who"),
        ("Bonjour !", "hello"),
        ("¿Quién eres?", "who"),
        ("grazie mille", "thanks"),
        ("Olá, bom dia", "hello"),
        ("dank je wel", "thanks"),
        ("ありがとうございます！", "thanks"),
        ("你好！", "hello"),
        ("مرحبا", "hello"),
        ("hi hi hi hi hi hi hi hi hi hi hi hi x", None),
        ("hi, how long is a message kept?", None),
        ("!?", None),
    ],
)
def test_small_talk_is_answered_in_kind(text: str, reply: str | None) -> None:
    """Greetings, thanks and goodbyes get a kind word, with whatever stands around them; a question never does."""
    found = small_talk.small_talk(text)
    assert found is None if reply is None else found is not None and found[0] == reply


def _bulk(folder: Path, pages: int) -> None:
    """A folder of many different words."""
    draw = random.Random(1)
    known = ["".join(draw.choices("bcdfgklmnprstvzaeiou", k=draw.randint(6, 12))) for _ in range(8_000)]
    for number in range(pages):
        said = "\n\n".join(" ".join(draw.choices(known, k=12)).capitalize() + "." for _ in range(20))
        (folder / f"page-{number}.md").write_text(f"# Page {number}\n\n{said}\n", "utf-8")


def test_r37_a_few_words_of_a_question_are_repaired(tmp_path: Path) -> None:
    """R37: of 64 invented words a few are compared with the folder's, and none of an earlier question's."""
    (tmp_path / "pages").mkdir()
    _bulk(tmp_path / "pages", 20)
    engine = KnowledgeEngine(tmp_path / "pages", base_url="/knowledge", data_dir=tmp_path / "data")
    invented = _invented()[: 64 * 12]
    try:
        asked = {
            words: steps(lambda words=words: engine.ask(" ".join(invented.split()[:words])))  # type: ignore[misc]
            for words in (4, 64)
        }
        earlier = [ChatMessage("user", invented)] * 4
        later = steps(lambda: engine.ask("and this?", earlier))
    finally:
        engine.close()
    assert asked[64] < 4 * asked[4]
    assert later < 2 * asked[64]


def steps(work: Callable[[], object]) -> int:
    """How many functions of Python a piece of work calls, those written in C among them."""
    calls = itertools.count()
    sys.setprofile(lambda _frame, kind, _given: kind in ("call", "c_call") and next(calls))
    try:
        work()
    finally:
        sys.setprofile(None)
    return next(calls)


BODIES = {
    "objects": "{}",
    "objects with a name": '{"a":1}',
    "lists": "[]",
    "lists in lists": "[[[[[[[[]]]]]]]]",
    "brackets alone": "[",
    "numbers": "1",
    "fractions": "1e9",
    "empty texts": '""',
    "texts that end in a backslash": r'"\\"',
    "messages": '{"role":"user","content":"x"}',
}


@pytest.mark.parametrize("name", BODIES)
def test_r37_a_body_of_four_megabytes_holds_few_values(name: str) -> None:
    """R37: of 4 MiB of tiny values none is read, whatever they are: it would hold the worker for seconds."""
    unit = BODIES[name] + ","
    body = ('{"messages": [' + (unit * (MAX_BODY_BYTES // len(unit)))[:-1] + "]}").encode()

    def read() -> None:
        with pytest.raises(json_body.BadRequest):
            json_body.parse_json_object(body)

    read()
    assert steps(read) < 200


def test_r37_four_megabytes_of_long_texts_are_read() -> None:
    """R37: the largest history that a client sends is read: long texts, whatever stands in them, with their parts."""
    parts = [{"type": "text", "text": '[{"a": 1}], ' * 600}, {"type": "source-url", "url": "https://example.com/"}]
    sent = {"messages": [{"id": f"m{number}", "role": "user", "parts": parts} for number in range(400)]}
    body = json.dumps(sent).encode()
    assert MAX_BODY_BYTES / 2 < len(body) < MAX_BODY_BYTES
    assert json_body.parse_json_object(body) == sent


QUESTIONS = {
    "greetings": ("hi " * 39 + "x", []),
    "letters of six": ("㌖" * 4_000, []),
    "letters of six, before": ("and this?", ["㌖" * 4_000] * 4),
    "invented words": (_invented()[: 64 * 12], []),
    "invented words, before": ("and this?", [_invented()[: 64 * 12]] * 4),
}


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a service with one worker and a folder of 300 pages."""
    folder = tmp_path_factory.mktemp("pages")
    _bulk(folder, 300)
    one = Service(
        {
            "BATON_DATA_DIR": str(tmp_path_factory.mktemp("data")),
            "BATON_KNOWLEDGE_DIR": str(folder),
            "WEB_CONCURRENCY": "1",
            "BATON_RATE_LIMIT_ADDRESS": "",
            "BATON_RATE_LIMIT_CREATE": "",
        }
    )
    yield one.url
    one.stop()


@pytest.mark.parametrize("name", QUESTIONS)
def test_r37_a_worker_serves_while_it_looks_a_question_up(alone: str, name: str) -> None:
    """R37: eight hard questions at once on the only worker are all answered, and it is healthy in between."""
    question, earlier = QUESTIONS[name]
    session: dict[str, str] = {}
    if earlier:
        session = {"session_id": httpx.post(f"{alone}/api/session/create", json={}).json()["session_id"]}
        for content in earlier:
            message = {"message": content}
            path = f"{alone}/api/session/{session['session_id']}/messages"
            assert httpx.post(path, json=message).status_code == 201

    def ask(_: int) -> int:
        return httpx.post(f"{alone}/api/chat", json={"query": question, **session}, timeout=30).status_code

    between = 0
    with ThreadPoolExecutor(8) as asking:
        answers = [asking.submit(ask, number) for number in range(1 if earlier else 8)]
        while not all(answer.done() for answer in answers):
            assert httpx.get(f"{alone}/health", timeout=30).status_code == 200
            between += 1
    assert {answer.result() for answer in answers} <= {200, 503}
    assert 200 in {answer.result() for answer in answers}
    assert between > 0


def test_r37_a_page_is_read_and_rendered_once(tmp_path: Path) -> None:
    """R37: a page seen before costs a small part of its first sight, and so does a path that leads nowhere."""
    (tmp_path / "pages").mkdir()
    (tmp_path / "pages" / "README.md").write_text("# Start\n\n" + "Words *in* `rows`.\n\n" * 2_000, "utf-8")
    config = Settings.from_env(
        {"BATON_KNOWLEDGE_DIR": str(tmp_path / "pages"), "BATON_DATA_DIR": str(tmp_path / "data")}
    )
    client = create_app(config).test_client()

    def sight(path: str) -> int:
        return steps(lambda: client.get(path))

    first = sight("/knowledge")
    assert client.get("/knowledge").status_code == 200
    assert 20 * sight("/knowledge") < first
    assert client.get("/knowledge/nothing").status_code == 404
    assert 20 * sight("/knowledge/nothing") < first
    (tmp_path / "pages" / "README.md").write_text("# Start anew\n", "utf-8")
    until(lambda: b"Start anew" in client.get("/knowledge").data, what="the new page")


@pytest.mark.parametrize("unit", ["*a* **b** `c` [d](e) ", "- a\n", "# a\n", "|a|b|\n|-|-|\n|c|d|\n\n", "["])
def test_r37_of_a_dense_page_no_more_is_rendered_than_of_a_third_of_it(unit: str) -> None:
    """R37: the work to render a page is bounded, also where it is full of links, lists, headings or tables."""
    work = [
        steps(lambda size=size: render(markdown_parser.parse(reader.readable_part((unit * size)[:size]))))  # type: ignore[misc]
        for size in (170_000, 500_000)
    ]
    assert work[1] <= 1.01 * work[0]


def test_r37_a_dense_page_says_that_it_goes_on(tmp_path: Path) -> None:
    """R37: a page that is not shown to its end says so, and /health names it; half a megabyte of prose is shown."""
    (tmp_path / "ok.md").write_text("# Fine\n\nThe umbrella policy is simple.\n", "utf-8")
    (tmp_path / "dense.md").write_text("# Dense\n\n" + "- a\n" * 16_000, "utf-8")
    config = Settings.from_env({"BATON_KNOWLEDGE_DIR": str(tmp_path), "BATON_DATA_DIR": str(tmp_path / ".data")})
    client = create_app(config).test_client()
    until(lambda: client.get("/knowledge/dense").status_code == 200, seconds=30, what="the page")
    notice = b"This page is too long to be shown to its end."
    assert notice in client.get("/knowledge/dense").data
    assert notice not in client.get("/knowledge/ok").data
    problem = client.get("/health").get_json()["knowledge"]["problem"]
    assert problem == "A page is not shown to its end: dense.md: too many links, lists or tables."
    prose = "The umbrella policy covers most of what a visitor asks.\n" * 9_000
    assert reader.readable_part(prose) == prose


def test_r37_a_page_over_512_kb_is_left_out_and_named(tmp_path: Path) -> None:
    """R37: a page over 512 KB is neither found nor shown; /health names it, also where it was smaller before."""
    (tmp_path / "ok.md").write_text("# Fine\n\nThe umbrella policy is simple.\n", "utf-8")
    (tmp_path / "big.md").write_text("# Big\n\nThe zeppelin policy is simple.\n", "utf-8")
    engine = KnowledgeEngine(tmp_path, base_url="/knowledge", data_dir=tmp_path / ".data")
    try:
        assert engine.page("big") is not None
        (tmp_path / "big.md").write_text("# Big\n\n" + "The zeppelin policy is simple. " * 20_000, "utf-8")
        until(lambda: engine.page("big") is None, what="the page to go")
        assert engine.status()["problem"] == "A page could not be read: big.md: larger than 512 KB."
        assert engine.find("zeppelin policy") == []
        assert [one.title for one in engine.find("umbrella policy")] == ["Fine"]
    finally:
        engine.close()


def test_a_link_to_a_hidden_file_is_no_page(tmp_path: Path) -> None:
    """A symbolic link to a hidden file of the folder, or into a hidden folder, is as hidden as what it leads to."""
    (tmp_path / ".secret.md").write_text("# Secret\n", "utf-8")
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git" / "notes.md").write_text("# Notes\n", "utf-8")
    (tmp_path / "shown.md").write_text("# Shown\n", "utf-8")
    for name, to in (("one", ".secret.md"), ("two", ".git/notes.md"), ("three", "shown.md")):
        (tmp_path / f"{name}.md").symlink_to(tmp_path / to)
    assert [one.file for one in reader.scan([tmp_path])[0]] == ["shown.md", "three.md"]
