"""Somebody's own service behind a signed POST, good and bad."""

from __future__ import annotations

import hashlib
import hmac
import json
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from ipaddress import ip_address
from pathlib import Path

import pytest

from app import engines
from app.config import Settings
from app.engines import webhook_parsers
from app.engines.base import AnswerChunk, Citation, CitationsChunk
from app.engines.http_client import http_client, resolve_public_address
from app.engines.sanitize import clean_citations
from app.errors import EngineFailed, EngineTimeout
from tests.engines.conftest import ask, text_of
from tests.engines.faulty_server import FaultyServer

Settings = Callable[..., Settings]
DOCS = Path(__file__).resolve().parents[2] / "docs" / "engines.md"
CITED = CitationsChunk((Citation("Faulty page", "https://pages.example.test/faulty#a", "A passage."),))


@pytest.fixture(params=["json", "sse", "ndjson"])
def webhook(request: pytest.FixtureRequest, settings: Settings, server: FaultyServer) -> Settings:
    """A webhook in each of the ways it may answer."""
    return settings(engine="webhook", webhook_url=f"{server.url}/hook?as={request.param}")


@pytest.fixture
def sse(settings: Settings) -> Settings:
    return settings(engine="webhook")


def answer(config: Settings, question: str, *history: str, **more: object) -> list[AnswerChunk]:
    return list(engines.create_engine(config).answer(ask(question, *history, **more)))


def test_words_and_citations_come_in_every_way(webhook: Settings) -> None:
    """JSON, server-sent events and JSON a line all bring the words and the sources."""
    chunks = answer(webhook, "chunk=1 say:Ümläute 😀 and a line\nbreak [1].")
    assert text_of(chunks) == "Ümläute 😀 and a line\nbreak [1]."
    assert chunks[-1] == CITED


def test_what_is_sent(sse: Settings, server: FaultyServer) -> None:
    """The body holds the query, the history, the session's ref and metadata, and nothing else."""
    answer(sse, "Grüße", "Hi", "Hello!")
    assert server.requests[-1].json == {
        "query": "Grüße",
        "history": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello!"}],
        "session_ref": "0123456789",
        "metadata": {"site": "test"},
    }


def test_the_signature_is_over_timestamp_and_body(sse: Settings, server: FaultyServer) -> None:
    """Who knows the secret can check that a call is ours and fresh."""
    answer(sse, "hello")
    request = server.requests[-1]
    stamp = request.headers["x-baton-timestamp"]
    expected = hmac.new(b"shared-secret-of-both", stamp.encode() + b"." + request.body, hashlib.sha256).hexdigest()
    assert request.headers["x-baton-signature"] == f"sha256={expected}"
    assert abs(int(stamp) - time.time()) < 5


def test_without_a_secret_nothing_is_signed(settings: Settings, server: FaultyServer) -> None:
    """No secret, no signature that would mean nothing."""
    answer(settings(engine="webhook", webhook_secret=None), "hello")
    assert "x-baton-signature" not in server.requests[-1].headers


def snippet(language: str, holding: str) -> str:
    """The code block of the docs in that language that holds some words."""
    blocks = DOCS.read_text("utf-8").split(f"```{language}\n")[1:]
    return next(code for block in blocks if holding in (code := block.split("```")[0]))


def test_the_documented_check_in_python_works(sse: Settings, server: FaultyServer) -> None:
    """The snippet of the docs accepts our calls, and refuses a changed body, an old one and another secret."""
    answer(sse, "Grüße")
    request = server.requests[-1]
    place: dict[str, Callable[..., bool]] = {}
    exec(snippet("python", "def from_baton"), place)
    stamp, sign = request.headers["x-baton-timestamp"], request.headers["x-baton-signature"]
    check = place["from_baton"]
    assert check("shared-secret-of-both", stamp, sign, request.body)
    assert not check("shared-secret-of-both", stamp, sign, request.body + b" ")
    assert not check("other", stamp, sign, request.body)
    assert not check("shared-secret-of-both", str(int(stamp) - 600), sign, request.body)
    assert not check("shared-secret-of-both", "", "", request.body)


def test_the_documented_check_in_javascript_works(sse: Settings, server: FaultyServer) -> None:
    """The same of the snippet in JavaScript."""
    node = shutil.which("node")
    assert node, "needs node"
    answer(sse, "Grüße")
    request = server.requests[-1]
    payload = {"stamp": request.headers["x-baton-timestamp"], "sign": request.headers["x-baton-signature"],
            "body": request.body.decode()}  # fmt: skip
    code = snippet("js", "function fromBaton") + (
        f"\nconst t = {json.dumps(payload)}, secret = 'shared-secret-of-both';"
        "console.log(JSON.stringify([fromBaton(secret, t.stamp, t.sign, t.body),"
        "fromBaton(secret, t.stamp, t.sign, t.body + ' '), fromBaton('other', t.stamp, t.sign, t.body),"
        "fromBaton(secret, String(t.stamp - 600), t.sign, t.body), fromBaton(secret, '', '', t.body)"
        "]));"
    )
    done = subprocess.run([node, "--input-type=module", "-e", code], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == [True, False, False, False, False]


@pytest.mark.parametrize("fault", ["refuse", "status=500", "status=404", "status=429", "html", "empty"])
def test_every_fault_fails_the_turn(webhook: Settings, fault: str) -> None:
    """Whatever the service does, the turn ends with EngineFailed in words of ours."""
    with pytest.raises(EngineFailed) as failed:
        answer(webhook, fault)
    assert "scripted" not in failed.value.detail


@pytest.mark.parametrize("fault", ["garbage", "fail", "endless-line", "endless-event", "die-after=5"])
def test_every_fault_in_a_stream_fails_the_turn(sse: Settings, fault: str) -> None:
    """Garbage, an error inside the stream, a line or event without end, and a break end the turn."""
    with pytest.raises(EngineFailed):
        answer(sse, fault)


def test_a_whole_answer_has_a_size_cap(settings: Settings, server: FaultyServer) -> None:
    """JSON without end is not read without end."""
    with pytest.raises(EngineFailed):
        answer(settings(engine="webhook", webhook_url=f"{server.url}/hook?as=json"), "endless-line")


@pytest.mark.parametrize("fault", ["hang", "hang-body", "drip"])
def test_silence_is_a_timeout(webhook: Settings, fault: str) -> None:
    """Signs of life without a word do not count as words."""
    with pytest.raises(EngineTimeout):
        answer(webhook, fault, idle_timeout=0.5)


def test_a_redirect_with_the_same_method_is_followed_where_allowed(settings: Settings, server: FaultyServer) -> None:
    """307 and 308 lead on, signed anew, into a private network only with BATON_WEBHOOK_ALLOW_PRIVATE."""
    server.redirect_to = f"{server.url}/hook"
    config = settings(engine="webhook", webhook_url=f"{server.url}/elsewhere?code=308", webhook_allow_private=True)
    assert text_of(answer(config, "echo hi")).startswith("echo: echo hi")
    assert server.requests[-1].headers["x-baton-signature"]
    with pytest.raises(EngineFailed, match="private"):
        answer(settings(engine="webhook", webhook_url=f"{server.url}/elsewhere"), "hi")
    assert len(server.requests) == 3


@pytest.mark.parametrize("to", ["file:///etc/passwd", "http://user@127.0.0.1/", "", "//[", "gopher://127.0.0.1/"])
def test_a_redirect_to_nowhere_is_refused(settings: Settings, server: FaultyServer, to: str) -> None:
    """Only sound http and https addresses are followed, and no circle is run for ever."""
    server.redirect_to = to
    config = settings(engine="webhook", webhook_url=f"{server.url}/elsewhere", webhook_allow_private=True)
    with pytest.raises(EngineFailed):
        answer(config, "hi")
    assert len(server.requests) <= 4


@pytest.mark.parametrize("code", ["301", "302", "303"])
def test_a_redirect_that_would_lose_the_body_is_refused(settings: Settings, server: FaultyServer, code: str) -> None:
    """A redirect that turns a POST into a GET is no answer."""
    server.redirect_to = f"{server.url}/hook"
    with pytest.raises(EngineFailed):
        answer(settings(engine="webhook", webhook_url=f"{server.url}/elsewhere?code={code}"), "hi")
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1", "localhost", "10.0.0.1", "192.168.1.1", "169.254.169.254", "0.0.0.0", "100.64.0.1", "127.1",
        "2130706433", "0x7f000001", "0177.0.0.1", "224.0.0.1", "239.255.255.250", "255.255.255.255", "192.0.0.8",
        "192.88.99.1", "::1", "::", "::ffff:10.0.0.1", "::ffff:7f00:1", "::127.0.0.1", "::8.8.8.8", "64:ff9b::7f00:1",
        "64:ff9b::a9fe:a9fe", "64:ff9b:1::808:808", "2001:0:4136:e378:8000:63bf:3fff:fdd2", "2002:7f00:1::",
        "2002:808:808::", "fe80::1", "fec0::1", "fc00::1", "fd12:3456::1", "ff02::1", "ff0e::1", "2001:db8::1",
    ],
)  # fmt: skip
def test_private_places_are_known(host: str) -> None:
    """An address inside a private network is refused, however it is written."""
    with pytest.raises(EngineFailed, match="private"):
        resolve_public_address(host, 80)


@pytest.mark.parametrize("host", ["8.8.8.8", "2001:4860:4860::8888", "64:ff9b::808:808", "::ffff:8.8.8.8"])
def test_public_addresses_are_dialled_as_they_were_checked(host: str) -> None:
    """A public address is dialled itself, also where NAT64 translates to it."""
    assert ip_address(resolve_public_address(host, 443)) == ip_address(host)


def test_a_redirect_reuses_no_connection_to_a_private_address(settings: Settings, server: FaultyServer) -> None:
    """A connection that another call to a private address has kept open is no way for a redirect to that address."""
    with FaultyServer() as private:
        warm = http_client().post(f"{private.url}/elsewhere", json={})
        assert warm.status_code == 307
        server.redirect_to = f"{private.url}/hook"
        with pytest.raises(EngineFailed, match="private"):
            answer(settings(engine="webhook", webhook_url=f"{server.url}/elsewhere"), "hi")
        assert [request.target for request in private.requests] == ["/elsewhere"]


def test_citations_are_cleaned() -> None:
    """At most five, one a page, http or https only, lengths capped, everything else left out."""
    given = [
        {"title": "a", "url": "javascript:alert(1)", "snippet": "x"},
        {"title": "b", "url": "https://user@evil.test/"},
        {"title": "c", "url": "https://ok.test/one#x", "snippet": "s" * 2000},
        {"title": "c again", "url": "https://ok.test/one#y"},
        {"title": "t" * 999, "url": "http://ok.test/two"},
        {"url": "https://ok.test/three", "snippet": 7},
        "https://ok.test/four",
        {"title": "long", "url": "https://ok.test/" + "p" * 3000},
        {"title": "line\nbreak\x00", "url": " https://ok.test/five "},
        *({"title": str(n), "url": f"https://ok.test/more{n}"} for n in range(9)),
    ]
    kept = clean_citations(given)
    assert [one.url.rpartition("/")[2] for one in kept] == ["one#x", "two", "three", "five", "more0"]
    assert len(kept[0].snippet) <= 600
    assert len(kept[1].title) <= 200
    assert kept[2] == Citation("ok.test", "https://ok.test/three", "")
    assert kept[3].title == "line break"
    assert clean_citations(None) == clean_citations("x") == clean_citations({"url": "https://ok.test"}) == ()


def test_markers_follow_their_citations() -> None:
    """Where cleaning drops or joins a citation, the numbers in a whole answer still mean what they meant."""
    payload = {"answer": "A [1], b [2], c [3], [9].", "citations": [
        {"title": "bad", "url": "ftp://x.test/"}, {"title": "b", "url": "https://x.test/b"},
        {"title": "b", "url": "https://x.test/b#2"}]}  # fmt: skip
    chunks = list(webhook_parsers.parse_json(iter([json.dumps(payload).encode()])))
    assert text_of(chunks) == "A, b [1], c [1], [9]."
    assert len(chunks[-1].citations) == 1


def test_what_known_tools_answer_is_understood() -> None:
    """A list of one object, and the words under the names that n8n and Flowise use."""
    assert text_of(list(webhook_parsers.parse_json(iter([b'[{"output": "from n8n"}]'])))) == "from n8n"
    assert (
        text_of(list(webhook_parsers.parse_json(iter([b'{"text": "from Flowise", "chatId": "x"}'])))) == "from Flowise"
    )


@pytest.mark.parametrize("body", [b"", b"null", b"[]", b'{"answer": 7}', b"\xff\xfe", b"[" * 100_000, b'"text"'])
def test_what_is_no_answer_is_refused(body: bytes) -> None:
    """JSON of another shape, and what is no JSON, fails the turn."""
    with pytest.raises(EngineFailed):
        list(webhook_parsers.parse_json(iter([body])))


def test_a_stream_reads_the_same_however_it_is_cut() -> None:
    """The blocks in which a stream arrives do not matter, nor how its lines end."""
    lines = [
        ": hello",
        'data: {"text": "Grü"}',
        "",
        "event: message",
        'data: {"text":',
        'data: "ße"}',
        "",
        "data: [DONE]",
    ]
    for ending in ("\n", "\r\n"):
        stream = ending.join([*lines, "", ""]).encode()

        def cut(size: int, data: bytes = stream) -> Iterator[bytes]:
            return (data[at : at + size] for at in range(0, len(data), size))

        assert {text_of(list(webhook_parsers.parse_sse(cut(size)))) for size in range(1, len(stream))} == {"Grüße"}
