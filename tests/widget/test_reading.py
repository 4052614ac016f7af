"""Reading answers: focus stays, long ones begin in sight, wide tables can be scrolled, all of it can be printed."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import httpx
import pytest
from playwright.sync_api import Locator, expect

from tests.widget.conftest import Visitor, answered

Visit = Callable[..., Visitor]
TABLE = """say:
| Plan | What you get | Price and conditions |
|---|---|---|
| Basic | One widget on one site, answers from your folder, mail support in two days | 0 EUR, as long as you like |
| Team | As Basic, with operators, a desk, canned replies, and analytics for ninety days | 49 EUR a month, by year |
"""


def place(found: Locator) -> dict[str, float]:
    """Where it is in the window."""
    box = found.bounding_box()
    assert box is not None
    return dict(box)


def active(visitor: Visitor) -> str:
    """The words of the element that has the focus, within every shadow root."""
    words: str = visitor.page.evaluate("""() => { let at = document.activeElement;
        while (at?.shadowRoot) at = at.shadowRoot.activeElement; return at?.textContent ?? ''; }""")
    return words


def test_focus_when_an_answer_ends(visit: Visit) -> None:
    """A link in an answer that has the focus while the answer is written has it when that is done."""
    visitor = visit().open().ask("slowly:Run [this](https://pages.example.test/a) first. " + "So " * 30)
    visitor.answers.get_by_text("this", exact=True).focus()
    assert active(visitor) == "this"
    expect(visitor.button("Send")).to_be_visible()
    expect(visitor.answers.get_by_role("button", name="Copy answer")).to_be_visible()
    assert active(visitor) == "this"


def test_copying_moves_nothing(visit: Visit) -> None:
    """What was copied is said on the button and to those who listen; nothing on the screen moves for it."""
    visitor = visit().open().ask("say:" + "Word. " * 200 + "\n\n```\nmake run\n```")
    visitor.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    expect(visitor.button("Send")).to_be_visible()
    log = visitor.page.get_by_role("log")
    before = place(log)
    said = visitor.page.locator("#live")
    for name in ("Copy code", "Copy answer"):
        visitor.button(name).click()
        expect(said.get_by_text("Copied", exact=True)).to_have_count(1 if name == "Copy code" else 2)
        assert place(log) == before, name
        if name == "Copy code":
            assert visitor.page.evaluate("() => navigator.clipboard.readText()") == "make run"
            expect(visitor.button("Copied")).to_be_visible()
            expect(visitor.button("Copy code")).to_be_visible()
    assert "make run" in visitor.page.evaluate("() => navigator.clipboard.readText()")


COVERED = """(one) => { const { x, y, width, height } = one.getBoundingClientRect(); const root = one.getRootNode();
    const tops = [y + 2, y + height - 2].map((at) => root.elementFromPoint(x + width / 2, at));
    return tops.some((top) => !one.contains(top)) }"""


@pytest.mark.parametrize(
    ("rating", "question"), [("Poor answer", "What would have helped?"), ("Good answer", "What was helpful?")]
)
@pytest.mark.parametrize(("width", "height"), [(1000, 740), (360, 640)])
def test_rating_under_a_notice(visit: Visit, width: int, height: int, rating: str, question: str) -> None:
    """V16: with a notice below, the ratings of the last answer can be pressed, and what they ask is in sight."""
    visitor = visit()
    visitor.page.set_viewport_size({"width": width, "height": height})
    visitor.open()
    for number in (1, 2, 3):
        visitor.ask(f"prose {number}")
        expect(visitor.answers).to_have_count(number)
        expect(visitor.button("Stop")).to_have_count(0)
    visitor.page.reload()
    expect(visitor.status).to_contain_text("Your chat has been restored")
    expect(visitor.answers).to_have_count(3)
    button = visitor.answers.last.get_by_role("button", name=rating)
    assert not button.evaluate(COVERED)
    visitor.page.get_by_role("log").hover()
    visitor.page.mouse.wheel(0, -90)
    expect(visitor.button("New words below")).to_be_visible()
    button.evaluate("(one) => one.click()")
    why = visitor.page.get_by_role("textbox", name=question)
    expect(why).to_be_visible()
    expect(button).to_have_attribute("aria-pressed", "true")
    for shown in (why, visitor.button("Send feedback")):
        assert not shown.evaluate(COVERED)


def in_sight(visitor: Visitor) -> tuple[float, float, float]:
    """How far the last question is below the top of the log, the log's height, and what is left below its view."""
    log = visitor.page.get_by_role("log")
    question = visitor.page.get_by_role("article", name="You").last
    left = log.evaluate("(one) => one.scrollHeight - one.scrollTop - one.clientHeight")
    return place(question)["y"] - place(log)["y"], place(log)["height"], left


def test_a_long_answer(visit: Visit) -> None:
    """The question of a long answer stays in sight near the top while it is written and after; a scroll is obeyed."""
    visitor = answered(visit().open(), "quick one")
    visitor.ask("words=400 pace=0.005")
    expect(visitor.answers.last).to_contain_text("w390")
    expect(visitor.button("Send")).to_be_visible()
    top, height, left = in_sight(visitor)
    assert 0 <= top < height / 4
    assert left > 0
    visitor.button("New words below").click()
    assert in_sight(visitor)[2] < 60
    visitor.ask("words=400 pace=0.01")
    expect(visitor.answers.last).to_contain_text("w100")
    visitor.page.get_by_role("log").evaluate("(one) => { one.scrollTop = 0 }")
    expect(visitor.answers.last).to_contain_text("w399")
    assert visitor.page.get_by_role("log").evaluate("(one) => one.scrollTop") == 0
    visitor.button("New words below").click()
    assert in_sight(visitor)[2] < 60


def test_a_short_answer_and_a_very_long_question(visit: Visit) -> None:
    """A short answer is shown to its end; of a question longer than the panel the last lines stay in sight."""
    visitor = answered(visit().open(), "quick one " + "and so on " * 380)
    log, answer = place(visitor.page.get_by_role("log")), place(visitor.answers.last)
    assert log["y"] < answer["y"] < log["y"] + log["height"] - 40
    visitor.ask("quick two")
    expect(visitor.answers).to_have_count(2)
    expect(visitor.button("Send")).to_be_visible()
    assert in_sight(visitor)[2] < 60


@pytest.mark.parametrize("width", [360, 1000])
def test_a_wide_table(visit: Visit, width: int) -> None:
    """A table with long cells has rows of a few lines and is scrolled sideways in the panel and on a phone."""
    visitor = visit()
    visitor.page.set_viewport_size({"width": width, "height": 740})
    visitor.open().ask(TABLE)
    expect(visitor.button("Send")).to_be_visible()
    table = visitor.answers.locator(".table")
    heights = table.locator("tr").evaluate_all("(all) => all.map((one) => one.getBoundingClientRect().height)")
    assert max(heights) < 130
    view, content = table.evaluate("(one) => [one.clientWidth, one.scrollWidth]")
    assert content > view
    log = visitor.page.get_by_role("log")
    assert place(table)["x"] + place(table)["width"] <= place(log)["x"] + place(log)["width"]
    table.evaluate("(one) => { one.scrollLeft = one.scrollWidth }")
    last = table.locator("tr").nth(1).locator("td").last
    assert place(last)["x"] + place(last)["width"] <= place(table)["x"] + place(table)["width"] + 1
    visitor.ask("say:\n| A | B | C |\n|---|---|---|\n| 1 | 2 | 3 |\n")
    small = visitor.answers.last.locator(".table")
    expect(visitor.answers).to_have_count(2)
    expect(small).to_be_visible()
    view, content = small.evaluate("(one) => [one.clientWidth, one.scrollWidth]")
    assert content == view


@pytest.mark.parametrize("width", [1100, 1280, 1440, 1920])
def test_no_shift_when_sources_come(visit: Visit, baton: str, width: int) -> None:
    """When the first answer with sources ends on the full page, the words stay where they were."""
    visitor = visit(f"{baton}/chat")
    visitor.page.set_viewport_size({"width": width, "height": 800})
    visitor.ask("quick one")
    expect(visitor.answers).to_have_count(1)
    before = place(visitor.answers.first.locator("p").first)
    field = place(visitor.box)
    visitor.ask("sources")
    expect(visitor.answers.last.get_by_role("link").first).to_be_visible()
    after = place(visitor.answers.first.locator("p").first)
    assert (after["x"], after["width"]) == (before["x"], before["width"])
    assert place(visitor.box)["x"] == field["x"]
    aside = visitor.page.get_by_role("complementary")
    if width >= 1280:
        assert place(aside)["x"] >= after["x"] + after["width"]
    else:
        expect(aside).to_have_count(0)


def test_printing_the_page_around(visit: Visit) -> None:
    """On paper there is nothing of the widget, with its panel closed or open."""
    visitor = visit()
    expect(visitor.button("Open chat")).to_be_visible()
    visitor.page.emulate_media(media="print")
    expect(visitor.page.get_by_role("button")).to_have_count(0)
    visitor.page.emulate_media(media="screen")
    visitor.open()
    visitor.page.emulate_media(media="print")
    expect(visitor.page.get_by_role("dialog")).to_be_hidden()
    expect(visitor.page.locator("baton-widget")).to_be_hidden()


@pytest.fixture
def long_conversation(baton: str) -> Iterator[str]:
    """A link to a conversation of 150 messages."""
    made = httpx.post(f"{baton}/api/session/create").json()["session_id"]
    with httpx.Client(base_url=f"{baton}/api/session/me", headers={"Authorization": f"Bearer {made}"}) as one:
        for n in range(150):
            one.post("/messages", json={"message": f"message number {n}."})
        yield one.post("/handoff", json={"kind": "share"}).json()["url"]


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_printing_the_conversation(visit: Visit, long_conversation: str, theme: str) -> None:
    """The full page on paper is the whole conversation, dark words on white, and no button."""
    visitor = visit(f"{long_conversation}&theme={theme}")
    expect(visitor.page.get_by_text("message number 149.")).to_be_visible()
    expect(visitor.page.get_by_text("message number 0.")).to_have_count(1)
    visitor.page.emulate_media(media="print")
    log = visitor.page.get_by_role("log")
    assert log.evaluate("(one) => one.scrollHeight - one.clientHeight") <= 0
    assert visitor.page.evaluate("() => document.documentElement.scrollHeight") > 3000
    expect(visitor.page.get_by_role("button")).to_have_count(0)
    expect(visitor.box).to_have_count(0)
    first = visitor.page.get_by_text("message number 3.")
    assert first.evaluate("(one) => getComputedStyle(one).color") == "rgb(0, 0, 0)"
    assert visitor.page.pdf().count(b"/Type /Page\n") + visitor.page.pdf().count(b"/Type /Page ") > 3
