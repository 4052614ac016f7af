"""What the knowledge engine answers, cites and refuses, over a small folder that reads like a shop's help pages."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.engines.base import CancelToken, ChatMessage, Citation, CitationsChunk, Engine, EngineRequest, TextChunk
from app.engines.knowledge import KnowledgeEngine

SHOP = Path(__file__).resolve().parents[2] / "bench" / "answers" / "corpora" / "larkspur"
BASE = "https://shop.example/knowledge"


def turn(question: str, *earlier: str, stop: CancelToken | None = None) -> EngineRequest:
    """A question after earlier ones."""
    history = tuple(ChatMessage("user", one) for one in earlier)
    return EngineRequest(question=question, history=history, cancel=stop or CancelToken())


def asked(engine: KnowledgeEngine, question: str, *earlier: str) -> tuple[str, list[Citation]]:
    """The whole answer and its sources."""
    text, citations = "", []
    for piece in engine.answer(turn(question, *earlier)):
        if isinstance(piece, TextChunk):
            text += piece.text
        elif isinstance(piece, CitationsChunk):
            citations = list(piece.citations)
    return text, citations


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KnowledgeEngine]:
    """An engine over the lamp shop's pages."""
    engine = KnowledgeEngine(SHOP, base_url=BASE, data_dir=tmp_path_factory.mktemp("data"))
    yield engine
    engine.close()


def test_it_is_an_engine(shop: KnowledgeEngine) -> None:
    """The knowledge engine fits the seam that every engine fits."""
    assert isinstance(shop, Engine)
    assert shop.name == "knowledge"


def test_answer_with_source(shop: KnowledgeEngine) -> None:
    """A plain question is answered in a sentence with a numbered source that opens the exact section."""
    text, citations = asked(shop, "How long is the guarantee?")
    assert "ten years" in text
    assert "[1]" in text
    assert citations[0].title.startswith("Guarantee")
    assert citations[0].url == f"{BASE}/warranty#guarantee"
    assert "ten years" in citations[0].snippet


def test_front_matter_url(shop: KnowledgeEngine) -> None:
    """A page that names its own address is cited under that address."""
    text, citations = asked(shop, "how do I return a lamp")
    assert "30 days" in text
    assert citations[0].url.startswith("https://larkspur.example/help/returns#")


def test_readme_stands_for_folder(shop: KnowledgeEngine) -> None:
    """The README of the folder is cited under the folder's own address."""
    _, citations = asked(shop, "when is the showroom open")
    assert citations[0].url == f"{BASE}#visit-the-showroom"
    assert citations[0].title.startswith("Larkspur Lamps")


@pytest.mark.parametrize(
    ("question", "page"),
    [
        ("waranty claim without receipt", "warranty"),
        ("clean brass", "care/cleaning"),
        ("paypal", "orders"),
        ("american plug", "care/assembly"),
        ("unsubsribe newsleter", "privacy"),
    ],
)
def test_found_as_visitors_type(shop: KnowledgeEngine, question: str, page: str) -> None:
    """Keywords, typos and long stories find their page."""
    _, citations = asked(shop, question)
    assert page in [shop.path_of(one.url) for one in citations[:1]]


@pytest.mark.parametrize(
    ("earlier", "question", "page"),
    [
        ("how do I clean brass?", "and the paper shades?", "care/cleaning"),
        ("how much is delivery to Ireland?", "and to the US?", "delivery"),
        ("how long is a gift card valid?", "can it be spent in parts?", "orders"),
    ],
)
def test_follow_ups(shop: KnowledgeEngine, earlier: str, question: str, page: str) -> None:
    """A question that leans on the one before it is understood with it."""
    _, citations = asked(shop, question, earlier)
    assert citations
    assert shop.path_of(citations[0].url) == page


def test_a_question_of_its_own_after_others(shop: KnowledgeEngine) -> None:
    """A short question that is answered by itself is answered alike in the middle of a conversation."""
    earlier = ("how much is delivery to ireland?", "do you take paypal?")
    for question in ("How long is the guarantee?", "When is the showroom open?", "can I clean it? I mean brass"):
        assert asked(shop, question, *earlier)[1][0] == asked(shop, question)[1][0]


@pytest.mark.parametrize(
    "question",
    [
        "What is the capital of France?",
        "how do I bake sourdough bread",
        "who won the world cup in 2018",
        "how do I install kubernetes",
        "is bitcoin a good investment",
        "qwertzuiop",
    ],
)
def test_refused_honestly(shop: KnowledgeEngine, question: str) -> None:
    """What the folder does not answer is refused in so many words, with no source and no marker."""
    text, citations = asked(shop, question)
    assert "could not find" in text
    assert citations == []
    assert "[1]" not in text
    assert shop.find(question, 5) == []


def test_off_topic_after_on_topic(shop: KnowledgeEngine) -> None:
    """A foreign question is not answered because the one before it was not foreign."""
    text, citations = asked(shop, "and what is the capital of France?", "how long is the guarantee?")
    assert citations == []
    assert "could not find" in text


@pytest.mark.parametrize("words", ["hi", "Hello!", "thank you", "Thanks, that helps!", "bye", "who are you?", "👋 hi"])
def test_small_talk(shop: KnowledgeEngine, words: str) -> None:
    """A greeting or thanks gets a kind word, neither a source nor a refusal."""
    text, citations = asked(shop, words)
    assert text.strip()
    assert citations == []
    assert "could not find" not in text or words.startswith("👋")


def test_steps_stay_a_list(shop: KnowledgeEngine) -> None:
    """Steps are given as the list they are."""
    text, _ = asked(shop, "what are the steps for putting a lamp together?")
    assert "1. Screw the stem" in text
    assert "\n4. Fit the bulb last." in text


def test_table_rows_that_fit(shop: KnowledgeEngine) -> None:
    """A table is kept whole, with its head."""
    text, _ = asked(shop, "price of delivery to Ireland")
    assert "| Destination |" in text
    assert "£11" in text


def test_pieces_are_small(shop: KnowledgeEngine) -> None:
    """The answer comes a few words at a time, and its sources last."""
    pieces = list(shop.answer(turn("What cannot be returned?")))
    words = [piece for piece in pieces if isinstance(piece, TextChunk)]
    assert len(words) > 2
    assert max(len(piece.text) for piece in words) < 80
    assert isinstance(pieces[-1], CitationsChunk)


def test_stop(shop: KnowledgeEngine) -> None:
    """A stopped turn says no further word."""
    stop = CancelToken()
    said = []
    for piece in shop.answer(turn("What cannot be returned?", stop=stop)):
        if isinstance(piece, TextChunk):
            said.append(piece.text)
            stop.set()
    assert len(said) == 1


def test_citations_by_contract(shop: KnowledgeEngine) -> None:
    """At most five sources, one a page, snippets of at most 600 characters, and every marker has its source."""
    for question in ("lamp", "how long does it take", "delivery price", "brass", "bulbs for a shade", "order"):
        text, citations = asked(shop, question)
        pages = [one.url.partition("#")[0] for one in citations]
        assert len(citations) <= 5
        assert len(set(pages)) == len(pages)
        assert all(0 < len(one.snippet) <= 600 for one in citations)
        assert not citations or "[1]" in text
        assert f"[{len(citations) + 1}]" not in text
        assert text.count("See also") <= 1


def test_snippet_comes_from_the_page(shop: KnowledgeEngine) -> None:
    """A snippet is text of the page it names, word for word."""
    _, citations = asked(shop, "can an order be cancelled")
    page = shop.page(shop.path_of(citations[0].url))
    assert page is not None
    plain = " ".join(page.source.replace("#", " ").replace("*", " ").split())
    for line in citations[0].snippet.splitlines():
        assert " ".join(line.split()) in plain


def test_same_answer_from_many_threads(shop: KnowledgeEngine) -> None:
    """Many visitors at once each get what a single one gets."""
    questions = [
        "How long is the guarantee?",
        "can I pay with klarna",
        "which bulb fits",
        "What is the capital of France?",
    ]
    alone = {question: asked(shop, question) for question in questions}
    wrong: list[str] = []

    def visitor() -> None:
        for question in questions * 5:
            wrong.extend([question] if asked(shop, question) != alone[question] else [])

    threads = [threading.Thread(target=visitor) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert wrong == []


def test_odd_questions_do_no_harm(shop: KnowledgeEngine) -> None:
    """Quotes, operators, control characters, emptiness and great length are questions like any other."""
    for question in (
        '"',
        "AND OR NOT NEAR(",
        "a* ^b -c",
        "\x00\x07",
        "💡",
        "' OR 1=1 --",
        "lamp " * 3000,
        "?" * 4000,
        "日本語",
    ):
        text, citations = asked(shop, question)
        assert isinstance(text, str)
        assert len(citations) <= 5


def test_a_copy_answers_alike(shop: KnowledgeEngine, tmp_path: Path) -> None:
    """Two engines over the same pages give the same answers in the same order."""
    shutil.copytree(SHOP, tmp_path / "pages")
    other = KnowledgeEngine(tmp_path / "pages", base_url=BASE, data_dir=tmp_path / "data")
    for question in ("delivery to france", "lamp", "repair"):
        assert asked(other, question) == asked(shop, question)
    other.close()


def test_the_heading_is_part_of_the_answer(tmp_path: Path) -> None:
    """D12: what stands under "What cannot be returned?" reads as a no."""
    (tmp_path / "pages").mkdir()
    page = "# Returns\n\nTea can be sent back.\n\n## What cannot be returned?\n\nOpened tea, and gift cards.\n"
    (tmp_path / "pages" / "returns.md").write_text(page)
    engine = KnowledgeEngine(tmp_path / "pages", base_url=BASE, data_dir=tmp_path / "data")
    text, citations = asked(engine, "can I return opened tea?")
    assert text.startswith("**What cannot be returned?** [1]\n\nOpened tea, and gift cards.")
    assert citations[0].url == f"{BASE}/returns#what-cannot-be-returned"
    engine.close()
