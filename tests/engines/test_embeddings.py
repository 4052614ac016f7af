"""Search by meaning with an endpoint: what its vectors change, and that its trouble changes nothing."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from app import engines
from app.config import Settings
from app.engines.knowledge import KnowledgeEngine, embeddings
from app.engines.knowledge.embeddings import Endpoint, EndpointEmbeddings
from tests.conftest import until

QUESTION = "When can I buy bread in the bakery?"
PAGES = {
    "bakery": "# Bakery\n\nIn the bakery bread is what you buy: bread of rye, bread of wheat, bakery rolls.\n",
    "hours": "# Hours\n\nThe bakery can sell bread from seven in the morning until noon.\n",
    "garden": "# Garden\n\nA garden is watered in the evening, twice a week.\n",
}


@dataclass
class Meaning:
    """An endpoint for which ``when`` and ``seven`` mean the same; ``broken`` says how it misbehaves."""

    asked: list[list[str]] = field(default_factory=list)
    keys: list[str | None] = field(default_factory=list)
    broken: str = ""
    url: str = ""

    def reply(self, sent: dict[str, object]) -> bytes:
        texts = list(sent["input"])  # type: ignore[call-overload]
        self.asked.append(texts)
        if self.broken == "slow":
            time.sleep(2.5)
        if self.broken == "garbage":
            return b'{"data": "nothing"}'
        rows = [{"index": at, "embedding": self.vector(text)} for at, text in enumerate(texts)]
        return json.dumps({"data": rows[::-1]}).encode()

    @staticmethod
    def vector(text: str) -> list[float]:
        kinds = (("when", "seven"), ("rye", "wheat"), ("garden", "evening"))
        return [1.0 if any(word in text.lower() for word in kind) else -0.1 for kind in kinds]


@pytest.fixture
def endpoint() -> Iterator[Meaning]:
    meaning = Meaning()

    class Reply(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            meaning.keys.append(self.headers["Authorization"])
            body = meaning.reply(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(500 if meaning.broken == "500" else 200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Reply) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        meaning.url = f"http://127.0.0.1:{server.server_port}/v1"
        yield meaning
        server.shutdown()


@pytest.fixture
def pages(tmp_path: Path) -> Path:
    folder = tmp_path / "pages"
    folder.mkdir()
    for name, text in PAGES.items():
        (folder / f"{name}.md").write_text(text)
    return folder


@pytest.fixture
def start(tmp_path: Path, pages: Path) -> Iterator[Callable[..., KnowledgeEngine]]:
    """Engines over one folder and one data folder, as workers have."""
    started: list[KnowledgeEngine] = []

    def begin(url: str = "", key: str = "") -> KnowledgeEngine:
        made = EndpointEmbeddings(Endpoint(url, "tiny", key)) if url else None
        started.append(KnowledgeEngine(pages, base_url="https://x.test", data_dir=tmp_path / "data", embeddings=made))
        return started[-1]

    yield begin
    for engine in started:
        engine.close()


def titles(engine: KnowledgeEngine) -> list[str]:
    return [one.title.partition(" ›")[0] for one in engine.find(QUESTION, 5)]


def learnt(engine: KnowledgeEngine, many: int = 3) -> bool:
    engine.find(QUESTION, 1)
    return engine.status()["embedded"] == many


Start = Callable[..., KnowledgeEngine]


def test_meaning_has_a_say_in_the_order(start: Start, endpoint: Meaning) -> None:
    """A page that means what is asked, and comes second by its words, comes first with vectors."""
    by_words = titles(start())
    assert by_words[0] == "Bakery"
    engine = start(endpoint.url)
    until(lambda: learnt(engine), what="the vectors")
    assert titles(engine)[0] == "Hours"
    assert set(by_words) <= set(titles(engine))


@pytest.mark.parametrize("fault", ["500", "garbage", "slow", "gone"])
def test_an_error_leaves_the_answer_to_keywords(
    start: Start, endpoint: Meaning, fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the endpoint does, the answer is that of words alone, after a second at most, and it is counted."""
    by_words = start().find(QUESTION, 5)
    engine = start(endpoint.url)
    until(lambda: learnt(engine), what="the vectors")
    endpoint.broken = fault
    if fault == "gone":
        monkeypatch.setattr(engine._embeddings, "_endpoint", Endpoint("http://127.0.0.1:9/v1", "tiny"))
    began = time.monotonic()
    assert engine.find(QUESTION, 5) == by_words
    assert time.monotonic() - began < 2.4
    calls = len(endpoint.asked)
    assert engine.find(QUESTION, 5) == by_words
    assert len(endpoint.asked) == calls, "a troubled endpoint is left alone for a while"


def test_only_changed_passages_are_fetched_again(start: Start, endpoint: Meaning, pages: Path) -> None:
    """Another worker fetches nothing; after a change only the new passage is sent."""
    engine = start(endpoint.url, "sk-embed")
    until(lambda: learnt(engine), what="the vectors")
    assert set(endpoint.keys) == {"Bearer sk-embed"}
    sent = sum(len(texts) for texts in endpoint.asked if texts != [QUESTION])
    assert sent == 3
    second = start(endpoint.url)
    until(lambda: learnt(second), what="the vectors")
    (pages / "prices.md").write_text("# Prices\n\nA roll costs one euro.\n")
    until(lambda: learnt(engine, 4), 20, "the new vectors")
    fetched = [text for texts in endpoint.asked if texts != [QUESTION] for text in texts]
    assert len(fetched) == 4
    assert "roll costs" in fetched[-1]


def test_it_is_off_unless_set(settings: Callable[..., Settings], endpoint: Meaning) -> None:
    """Without BATON_EMBEDDINGS_URL nothing is asked of anybody; with it the knowledge engine has vectors made."""
    assert "embedding_failures" not in engines.get_knowledge_engine(settings()).status()
    engine = engines.get_knowledge_engine(settings(embeddings_url=endpoint.url))
    until(lambda: bool(endpoint.asked), what="the passages to be sent")
    assert engine.status()["embedding_failures"] == 0
    engine.close()


def test_the_signs_find_the_neighbourhood() -> None:
    """The quick comparison by signs puts a vector's own neighbours first."""
    one, near, far = (embeddings._unit(numbers) for numbers in ([1, 2, -3, 4], [1, 1, -2, 5], [-1, -2, 3, -4]))
    assert (embeddings._sign(one) ^ embeddings._sign(near)).bit_count() < (
        embeddings._sign(one) ^ embeddings._sign(far)
    ).bit_count()
    assert embeddings._dot(one, near) > embeddings._dot(one, far)
