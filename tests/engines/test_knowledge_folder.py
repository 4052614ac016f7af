"""The knowledge folder on disk: what is read, what is left out, and what happens when it changes or breaks."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from app.engines.knowledge import KnowledgeEngine
from app.engines.knowledge.index_manager import SCAN_SECONDS
from app.engines.knowledge.links import slug
from app.engines.knowledge.reader import parse_source

BASE = "https://x.example/knowledge"
Open = Callable[[], KnowledgeEngine]


@pytest.fixture
def pages(tmp_path: Path) -> Path:
    """A folder with one page."""
    folder = tmp_path / "pages"
    folder.mkdir()
    (folder / "opening.md").write_text("# Opening hours\n\nThe bakery opens at seven in the morning.\n")
    return folder


@pytest.fixture
def start(tmp_path: Path, pages: Path) -> Iterator[Open]:
    """Engines over that folder, all with the same data folder, as workers have."""
    engines: list[KnowledgeEngine] = []

    def begin() -> KnowledgeEngine:
        engines.append(KnowledgeEngine(pages, base_url=BASE, data_dir=tmp_path / "data"))
        return engines[-1]

    yield begin
    for engine in engines:
        engine.close()


def until(true: Callable[[], bool], seconds: float = 60.0) -> bool:
    """Whether something became true in time."""
    end = time.monotonic() + seconds
    while not true():
        if time.monotonic() > end:
            return False
        time.sleep(0.05)
    return True


def urls(engine: KnowledgeEngine, question: str) -> list[str]:
    """Where the answer comes from."""
    return [one.url for one in engine.find(question, 5)]


def test_new_page_is_found(start: Open, pages: Path) -> None:
    """A page written while the service runs answers soon after."""
    engine = start()
    assert urls(engine, "how much is a croissant") == []
    (pages / "prices.md").write_text("# Prices\n\nA croissant costs two euros.\n")
    assert until(lambda: urls(engine, "how much is a croissant") == [f"{BASE}/prices#prices"])


def test_changed_and_removed_pages(start: Open, pages: Path) -> None:
    """A page that is rewritten answers anew; one that is removed answers no more."""
    (pages / "prices.md").write_text("# Prices\n\nA croissant costs two euros.\n")
    engine = start()
    assert urls(engine, "croissant")
    (pages / "prices.md").write_text("# Prices\n\nA pretzel costs one euro.\n")
    assert until(lambda: bool(urls(engine, "pretzel")) and not urls(engine, "croissant"))
    (pages / "prices.md").unlink()
    assert until(lambda: urls(engine, "pretzel") == [])


def test_folder_gone_keeps_the_old_index(start: Open, pages: Path, tmp_path: Path) -> None:
    """When the folder disappears the old index goes on answering, the status says so, and it heals."""
    engine = start()
    pages.rename(tmp_path / "away")
    assert until(lambda: engine.status()["problem"] is not None)
    assert urls(engine, "when does the bakery open")
    (tmp_path / "away").rename(pages)
    assert until(lambda: engine.status()["problem"] is None)


def test_folder_gone_before_a_worker_starts(start: Open, pages: Path, tmp_path: Path) -> None:
    """A worker that starts while the folder is away serves the index that an earlier one left."""
    start().close()
    pages.rename(tmp_path / "away")
    engine = start()
    assert urls(engine, "when does the bakery open")
    assert engine.status()["problem"]


def test_emptied_folder_keeps_the_old_index(start: Open, pages: Path) -> None:
    """A folder without a page leaves the old index serving, and the status says so."""
    engine = start()
    (pages / "opening.md").unlink()
    assert until(lambda: "no Markdown" in str(engine.status()["problem"]))
    assert urls(engine, "when does the bakery open")


def test_empty_from_the_start(start: Open, pages: Path) -> None:
    """A folder that never held a page answers honestly."""
    (pages / "opening.md").unlink()
    engine = start()
    assert "could not find" in engine.ask("when does the bakery open").text
    assert engine.status()["pages"] == 0


def test_broken_pages_are_named_and_the_rest_answers(start: Open, pages: Path) -> None:
    """A page that is no UTF-8 or far too large is left out and named; the others answer."""
    (pages / "latin.md").write_bytes("# Käse\n\nGruyère".encode("latin-1"))
    (pages / "huge.md").write_bytes(b"# Huge\n\n" + b"word " * 1_000_000)
    engine = start()
    assert urls(engine, "when does the bakery open")
    status = engine.status()
    assert status["pages"] == 1
    assert "huge.md" in status["problem"] or "latin.md" in status["problem"]


def test_a_page_that_breaks_keeps_its_last_good_text(start: Open, pages: Path) -> None:
    """A page overwritten with rubbish goes on answering with what it said before."""
    engine = start()
    (pages / "opening.md").write_bytes(b"\xff\xfe\xff rubbish")
    assert until(lambda: "opening.md" in str(engine.status()["problem"]))
    assert urls(engine, "when does the bakery open")


def test_a_torn_index_is_made_anew(start: Open, tmp_path: Path) -> None:
    """An index file that is no index does not stop a worker."""
    start().close()
    for file in (tmp_path / "data").glob("*.db"):
        file.write_bytes(b"not a database")
    assert urls(start(), "when does the bakery open")


def test_a_second_worker_opens_the_same_index(start: Open, tmp_path: Path) -> None:
    """Workers share one index file."""
    first, second = start(), start()
    assert first.status()["indexed_at"] == second.status()["indexed_at"]
    assert len(list((tmp_path / "data").glob("*.db"))) == 1


def test_old_indexes_are_removed(start: Open, pages: Path, tmp_path: Path) -> None:
    """However often the folder changes, at most two indexes are kept."""
    engine = start()
    for number in range(4):
        (pages / f"page{number}.md").write_text(f"# Page {number}\n\nNumber {number}.\n")
        assert until(lambda wanted=number + 2: engine.status()["pages"] == wanted)
    assert len(list((tmp_path / "data").glob("*.db"))) <= 2


def test_many_looks_cost_one_scan(start: Open, pages: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The folder is looked at every couple of seconds at most, however many questions come."""
    engine = start()
    looks: list[int] = []
    real = os.scandir
    monkeypatch.setattr(os, "scandir", lambda *given: looks.append(1) or real(*given))
    began = time.monotonic()
    for _ in range(50):
        engine.find("bakery", 3)
    assert len(looks) <= 1 + (time.monotonic() - began) / SCAN_SECONDS


def test_what_counts_as_a_page(start: Open, pages: Path, tmp_path: Path) -> None:
    """Pages in subfolders count; hidden folders, other files and links out of the folder do not."""
    (tmp_path / "secret.md").write_text("# Secret\n\nThe combination is rhubarb.\n")
    (pages / "link.md").symlink_to(tmp_path / "secret.md")
    (pages / ".git").mkdir()
    (pages / ".git" / "hidden.md").write_text("# Hidden\n\nrhubarb\n")
    (pages / "notes.txt").write_text("rhubarb")
    (pages / "deep" / "er").mkdir(parents=True)
    (pages / "deep" / "er" / "page.md").write_text("# Deep\n\nStrawberry tart.\n")
    engine = start()
    assert urls(engine, "rhubarb") == []
    assert urls(engine, "strawberry tart") == [f"{BASE}/deep/er/page#deep"]
    assert engine.page("link") is None


def test_paths_and_titles(start: Open, pages: Path) -> None:
    """README and index stand for their folder, addresses are encoded, titles come from front matter or heading."""
    (pages / "a b").mkdir()
    (pages / "a b" / "index.md").write_text("---\ntitle: 'Sweet & sour'\n---\n\n## Fillings\n\nRaspberry filling.\n")
    (pages / "größe?.md").write_text("Only marzipan here, under no heading.\n")
    engine = start()
    (filling,) = engine.find("raspberry filling", 5)
    assert filling.url == f"{BASE}/a%20b#fillings"
    assert filling.title.startswith("Sweet & sour")
    assert urls(engine, "marzipan") == [f"{BASE}/gr%C3%B6%C3%9Fe%3F"]
    folder = engine.page("a b")
    assert folder is not None
    assert folder.title == "Sweet & sour"
    assert folder.name.file == "a b/index.md"
    assert engine.page("a b/index") == folder


@pytest.mark.parametrize(
    "path", ["../pages/opening", "..", "/etc/passwd", "opening/../../x", "a\x00b", "\udc80", "", "nope"]
)
def test_no_path_leads_out(start: Open, path: str) -> None:
    """Whatever is asked for, only indexed pages are given."""
    assert start().page(path) is None


def test_dangerous_front_matter_url(start: Open, pages: Path) -> None:
    """A front matter address that is not http is not used."""
    (pages / "evil.md").write_text("---\nurl: javascript:alert(1)\n---\n# Evil\n\nGingerbread.\n")
    assert urls(start(), "gingerbread") == [f"{BASE}/evil#evil"]


def test_hostile_markdown_is_text(start: Open, pages: Path) -> None:
    """Scripts, images and links of a page do not reach an answer, and a page's own [1] is no marker."""
    (pages / "evil.md").write_text(
        "# Cinnamon rolls\n\nCinnamon rolls <script>alert(1)</script> are [great](https://evil.example/x) "
        "![p](//evil/p.png) <img src=x onerror=alert(1)> and baked daily [7].\n"
    )
    answer = start().ask("cinnamon rolls")
    assert "baked daily" in answer.text
    for bad in ("<script", "alert(1)", "evil.example", "p.png", "<img"):
        assert bad not in answer.text
        assert bad not in answer.citations[0].snippet
    assert "[7]" not in answer.text


def test_code_is_kept_whole(start: Open, pages: Path) -> None:
    """A code block comes as a block, with the line that leads to it."""
    (pages / "oven.md").write_text(
        "# Oven\n\n## Preheat\n\nTo preheat the oven, run:\n\n```sh\noven --preheat 200\noven --wait\n```\n"
    )
    text = start().ask("how do I preheat the oven").text
    assert "```sh\noven --preheat 200\noven --wait\n```" in text
    assert text.startswith("**Oven › Preheat** [1]\n\nTo preheat the oven, run:")


def test_two_pages_compete(start: Open, pages: Path) -> None:
    """Of two pages that a bare word fits alike one answers, and the other is named under it."""
    (pages / "a.md").write_text("# Sourdough starter\n\nA starter is flour and water that ferment.\n")
    (pages / "b.md").write_text("# Sourdough loaf\n\nA loaf rises for twelve hours.\n")
    answer = start().ask("sourdough")
    assert "See also Sourdough" in answer.text
    assert answer.text.endswith("[2].")
    assert {one.url.rpartition("/")[2][0] for one in answer.citations} == {"a", "b"}


def test_slugs_as_github_writes_them() -> None:
    """Anchors are lower case, without punctuation, and numbered when they come again."""
    assert slug("How do I *reset* it?") == "how-do-i-reset-it"
    assert slug("C++ & `npm ci`") == "c--npm-ci"
    assert slug("Größe / Länge") == "größe--länge"


def test_page_headings_have_the_anchors_of_citations(start: Open, pages: Path) -> None:
    """A doubled heading is cited under the very anchor that the page's list of headings gives it."""
    (pages / "twice.md").write_text("# Twice\n\n## Note\n\nPlain.\n\n## Note\n\nPoppy seeds inside.\n")
    engine = start()
    assert urls(engine, "poppy seeds") == [f"{BASE}/twice#note-1"]
    page = engine.page("twice")
    assert page is not None
    assert [one.anchor for one in page.headings] == ["twice", "note", "note-1"]
    assert parse_source(page.source, page.name, engine.links).anchors == {"twice", "note", "note-1"}
