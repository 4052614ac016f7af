"""The default engine over a folder of the tests' own: citations as the page has them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.contract.api_client import ApiClient
from tests.contract.conftest import NO_LIMITS
from tests.contract.launch import RedisProcess, Service

PAGES = {
    "README.md": "# Heron Harbour\n\nHeron Harbour is a marina with two hundred berths on the east shore.\n",
    "berths/index.md": "# Berths\n\nBerths are rented by the season.\n\n## Prices\n\n"
    "A berth for a sailing boat of eight metres costs 740 crowns a season.\n",
    "visiting/dogs.md": "---\ntitle: Dogs ashore\n---\n\n# Something else\n\n"
    "Dogs must be kept on a lead on all pontoons, and may swim at the slipway.\n",
    "visiting/fuel.md": "---\ntitle: Fuel\nurl: https://harbour.example/fuel-dock\n---\n\n"
    "Diesel is sold at the fuel dock from seven in the morning.\n",
    "deep/er/still/laundry.md": "# Laundry\n\nThe washing machines take tokens, which the harbour office sells.\n\n"
    "## Opening hours of the laundry\n\nThe laundry closes at nine in the evening.\n",
    "notes.txt": "The secret password is swordfish.\n",
}


@pytest.fixture(scope="module")
def harbour(folder: Callable[[dict[str, str]], Path]) -> Iterator[ApiClient]:
    """A service with the default engine over the harbour's pages."""
    redis = RedisProcess()
    settings = {"BATON_PUBLIC_URL": "https://chat.example", "BATON_KNOWLEDGE_DIR": str(folder(PAGES))}
    service = Service(redis.url, **NO_LIMITS, **settings, WEB_CONCURRENCY="1")
    yield ApiClient(service.base)
    service.remove()
    redis.stop()


@pytest.mark.parametrize(
    ("question", "title", "url", "words"),
    [
        (
            "How much does a berth for a sailing boat cost?",
            "Berths",
            "https://chat.example/knowledge/berths#prices",
            "740 crowns",
        ),
        ("Must dogs be kept on a lead?", "Dogs ashore", "https://chat.example/knowledge/visiting/dogs", "on a lead"),
        ("When is diesel sold?", "Fuel", "https://harbour.example/fuel-dock", "seven in the morning"),
        (
            "When does the laundry close?",
            "Laundry",
            "https://chat.example/knowledge/deep/er/still/laundry#opening-hours-of-the-laundry",
            "nine in the evening",
        ),
        (
            "How many berths does the marina have?",
            "Heron Harbour",
            "https://chat.example/knowledge",
            "two hundred berths",
        ),
    ],
)
def test_citations(harbour: ApiClient, question: str, title: str, url: str, words: str) -> None:
    """Best first, at most 5, one a page; `url`, `title` and `snippet` as the page says."""
    body = harbour.post("/api/chat", json={"query": question}).json()
    assert words in body["answer"].replace("\n", " ")
    citations = body["citations"]
    assert 1 <= len(citations) <= 5
    assert citations[0]["title"].startswith(title)
    found = citations[0]["url"].rstrip("/")
    assert found == url or found.split("#")[0].rstrip("/") == url
    pages = [citation["url"].split("#")[0] for citation in citations]
    assert len(set(pages)) == len(pages), "one a page"
    for citation in citations:
        assert citation.keys() >= {"title", "url", "snippet"}
        assert 0 < len(citation["snippet"]) <= 600
        assert not citation["snippet"].startswith("#")
        assert "---" not in citation["snippet"]
    assert words in citations[0]["snippet"]


@pytest.mark.parametrize(
    "question",
    [
        "Who won the chess olympiad in 1984?",
        "What is the secret password?",
        "How do I bake sourdough bread?",
        "xyzzy plugh",
    ],
)
def test_an_honest_no(harbour: ApiClient, question: str) -> None:
    """When the folder does not answer, `answer` says so and `citations` is `[]`; only `*.md` is read."""
    body = harbour.post("/api/chat", json={"query": question}).json()
    assert body["citations"] == []
    assert body["answer"]
    assert "swordfish" not in body["answer"]


def test_a_follow_up(harbour: ApiClient) -> None:
    """A follow-up uses the conversation."""
    visitor = harbour.create()
    visitor.ask("Is there a laundry?")
    body = visitor.ask("And when does it close?").json()
    assert "nine in the evening" in body["answer"]


def test_a_citation_opens(harbour: ApiClient) -> None:
    """`GET /knowledge/<path>`: a page of the folder, rendered, so that a citation opens; nothing outside of it does."""
    for path, words in (("berths", "740 crowns"), ("visiting/dogs", "on a lead"), ("deep/er/still/laundry", "tokens")):
        answer = harbour.get(f"/knowledge/{path}")
        assert answer.status_code == 200
        assert words in answer.text
    assert 'id="prices"' in harbour.get("/knowledge/berths").text
    for path in (
        "nothing",
        "../../etc/passwd",
        "%2e%2e/%2e%2e/etc/passwd",
        "notes.txt",
        "notes",
        "..%2f..%2fetc%2fpasswd",
        "/etc/passwd",
    ):
        answer = harbour.get(f"/knowledge/{path}")
        assert answer.status_code == 404, path
        assert "swordfish" not in answer.text


def test_the_seeds_question(harbour: ApiClient) -> None:
    """A streamed answer has its citations at its end, the same as the JSON answer's."""
    visitor = harbour.create()
    events = visitor.ask_streamed("Must dogs be kept on a lead?", client_id="c").until_closed()
    body = visitor.ask("Must dogs be kept on a lead?", client_id="c").json()
    assert events[-1].event == "answer.end"
    assert events[-1].data["citations"] == body["citations"]
    assert body["citations"]
