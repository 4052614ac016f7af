"""On somebody's page: its shortcuts, focus, Trusted Types, a moved or emptied body, a custom element of the page's."""

from __future__ import annotations

from collections.abc import Callable

import httpx
from playwright.sync_api import Route, expect

from tests.widget.conftest import Visitor, answered

Visit = Callable[..., Visitor]
FOCUSED = """() => {
    let at = document.activeElement;
    while (at?.shadowRoot) at = at.shadowRoot.activeElement;
    return at?.localName;
}"""
LISTENING = """() => {
    window.keys = [];
    const hear = ({ target, key }) => ['INPUT', 'TEXTAREA'].includes(target.tagName) || window.keys.push(key);
    for (const name of ['keydown', 'keypress', 'keyup']) document.addEventListener(name, hear);
}"""
POLICY = "require-trusted-types-for 'script'; trusted-types baton"
TYPES = f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
CHAT = '<div style="height: 500px"><baton-chat data-title="On the page"></baton-chat></div>'


def test_shortcuts_of_the_page(visit: Visit) -> None:
    """What is typed in the chat is none of the page's shortcuts; Escape closes the panel all the same."""
    visitor = visit()
    visitor.page.evaluate(LISTENING)
    visitor.open()
    visitor.box.press_sequentially("s/k")
    expect(visitor.box).to_have_value("s/k")
    assert visitor.page.evaluate("window.keys") == []
    visitor.box.press("Escape")
    expect(visitor.button("Open chat")).to_be_visible()


def test_where_no_people_answer(visit: Visit) -> None:
    """Nothing of the desk is fetched, offered or said."""
    visitor = visit()
    fetched: list[str] = []
    visitor.page.on("request", lambda request: fetched.append(request.url))
    visitor.open().ask("quick: may I speak to a human?")
    expect(visitor.answers).to_contain_text("A quick answer.")
    visitor.button("More actions").click()
    expect(visitor.button("End chat")).to_be_enabled()
    for words in ("Talk to a person", "read along"):
        expect(visitor.page.get_by_text(words)).to_have_count(0)
    assert [url for url in fetched if "/people-" in url] == []


def test_focus_after_stop(visit: Visit) -> None:
    """After Stop by the keyboard the focus is in the text field, not lost."""
    visitor = visit().open().ask("silent")
    visitor.page.locator(".thinking").wait_for()
    visitor.button("Stop").focus()
    visitor.page.keyboard.press("Enter")
    expect(visitor.button("Send")).to_be_visible()
    assert visitor.page.evaluate(FOCUSED) == "textarea"


def test_trusted_types(visit: Visit) -> None:
    """A page that enforces Trusted Types need allow one policy by the name of baton."""
    visitor = answered(visit(head=TYPES).open())
    assert not visitor.errors


def test_a_body_that_is_moved(visit: Visit) -> None:
    """In a page whose body has a transform the launcher stands in its corner of the window nevertheless."""
    visitor = visit(head="<style>body { transform: translateY(40px); width: 400px; height: 3000px }</style>")
    place = visitor.button("Open chat").bounding_box()
    size = visitor.page.viewport_size
    assert place
    assert size
    assert (place["x"] + 76, place["y"] + 76) == (size["width"], size["height"])


def test_a_body_that_is_emptied(visit: Visit) -> None:
    """When the page empties its body, Baton.open() still opens the chat."""
    visitor = visit()
    expect(visitor.button("Open chat")).to_be_visible()
    visitor.page.evaluate("() => { document.body.innerHTML = ''; Baton.open(); }")
    visitor.ask("quick")
    expect(visitor.answers).to_have_count(1)


def test_the_conversation_alone(visit: Visit) -> None:
    """A baton-chat element in the page shows the panel's conversation, from the start and when it is added later."""
    visitor = visit(body=CHAT)
    alone = visitor.page.locator("main baton-chat")
    expect(alone.get_by_role("heading", name="On the page")).to_be_visible()
    alone.get_by_role("textbox", name="Message").fill("quick")
    alone.get_by_role("button", name="Send").click()
    expect(alone.get_by_role("article")).to_have_count(2)
    visitor.button("Open chat").click()
    panel = visitor.page.get_by_role("dialog")
    expect(panel.get_by_role("article")).to_have_count(2)
    visitor.page.evaluate("() => document.querySelector('main').append(document.createElement('baton-chat'))")
    expect(visitor.page.locator("main baton-chat").last.get_by_role("article")).to_have_count(2)


def test_the_policy_is_shown(baton: str) -> None:
    """The install page names the Trusted Types policy beside the two sources to allow."""
    assert "trusted-types baton" in httpx.get(f"{baton}/install").text


def test_two_places_of_one_conversation_send_once(visit: Visit) -> None:
    """A question asked while another answer runs comes back to the composer that it was asked in, and is sent once."""
    visitor = visit(body=CHAT)
    alone = visitor.page.locator("main baton-chat")
    visitor.button("Open chat").click()
    panel = visitor.page.get_by_role("dialog")
    alone.get_by_role("textbox", name="Message").fill("quick")
    alone.get_by_role("textbox", name="Message").press("Enter")
    expect(panel.get_by_role("article")).to_have_count(2)
    visitor.page.route("**/api/chat", refuse, times=1)
    alone.get_by_role("textbox", name="Message").fill("quick too")
    alone.get_by_role("textbox", name="Message").press("Enter")
    for place in (alone, panel):
        expect(place.get_by_role("article")).to_have_count(4)
        expect(place.get_by_role("article").nth(2)).to_contain_text("quick too")
        expect(place.get_by_role("textbox", name="Message")).to_have_value("")
    panel.get_by_role("textbox", name="Message").fill("quick three")
    panel.get_by_role("textbox", name="Message").press("Enter")
    expect(alone.get_by_role("article").nth(4)).to_contain_text("quick three")
    expect(alone.get_by_role("article")).to_contain_text(
        ["quick", "A quick", "quick too", "A quick", "quick three", "A quick"]
    )


def refuse(route: Route) -> None:
    """Answers as if another tab's question were being answered."""
    route.fulfill(
        status=409,
        content_type="application/problem+json",
        headers={"Retry-After": "2", "Access-Control-Allow-Origin": "*"},
        body='{"success": false, "status": 409, "code": "turn_in_progress", "retryable": true}',
    )
