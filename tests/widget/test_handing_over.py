"""A conversation changes hands: by the full page, its links, a frame on the customer's own page, and a download."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import BrowserContext, Request, expect

from tests.conftest import ROOT
from tests.widget.conftest import Visitor, answered

Visit = Callable[..., Visitor]
Stranger = Callable[..., Visitor]


def shared_link(visitor: Visitor) -> str:
    """What "Copy link" puts on the clipboard."""
    visitor.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    visitor.act("Copy link")
    expect(visitor.status).to_contain_text("Link copied")
    return str(visitor.page.evaluate("() => navigator.clipboard.readText()"))


def test_a_spent_link(visit: Visit, stranger: Stranger, context: BrowserContext) -> None:
    """A link that was used once says so in plain words, shows nothing of the old conversation, and can be asked."""
    asked: list[Request] = []
    context.on("request", lambda one: asked.append(one))
    visitor = answered(visit().open(), "quick secret")
    page = visitor.carry_on()
    expect(page.articles).to_have_count(2)
    link = next(one.url for one in asked if "/chat?session=" in one.url)
    late = stranger(link)
    notice = late.page.get_by_role("status").or_(late.page.get_by_role("alert"))
    expect(notice.filter(has_text=re.compile("link"))).to_be_visible()
    expect(late.articles).to_have_count(0)
    assert "secret" not in late.page.content()
    assert late.page.url.endswith("/chat")
    answered(late)


def test_the_page_in_its_tab(visit: Visit) -> None:
    """The page has no opener, a clean address and history, its notice until the next question, and what it needs."""
    page = answered(visit().open()).carry_on()
    expect(page.status).to_contain_text("Conversation continued from widget")
    assert page.page.evaluate("() => [window.opener, location.search, location.hash]") == [None, "", ""]
    answered(page, "quick two")
    expect(page.status).not_to_contain_text("continued")
    page.page.goto("about:blank")
    page.page.go_back()
    expect(page.articles).to_have_count(4)
    assert page.page.url.endswith("/chat")


def test_a_shared_link(visit: Visit, stranger: Stranger) -> None:
    """A link for another device says that it was begun elsewhere; both see the same words; New chat leaves it."""
    visitor = answered(visit().open(), "quick one")
    link = shared_link(visitor)
    assert "ses_" not in link
    friend = stranger(link)
    expect(friend.articles).to_have_count(2)
    expect(friend.status).to_contain_text("begun elsewhere")
    answered(friend, "quick two")
    expect(visitor.articles).to_have_count(4)
    expect(friend.status).to_contain_text("begun elsewhere")
    friend.page.reload()
    expect(friend.articles).to_have_count(4)
    expect(friend.status).to_contain_text("begun elsewhere")
    friend.button("New chat").first.click()
    expect(friend.articles).to_have_count(0)
    answered(friend, "quick three")
    expect(visitor.articles).to_have_count(4)
    again = stranger(link)
    expect(again.articles).to_have_count(4)


def test_what_copy_link_says_is_true(visit: Visit, stranger: Stranger) -> None:
    """V14: whoever has the link can read and write until the chat ends, and both are told so, in each language."""
    visitor = answered(visit().open(), "quick one")
    link = shared_link(visitor)
    expect(visitor.status).to_contain_text("Anyone who has it can read this chat and write in it until it ends.")
    guest = stranger(link)
    expect(guest.status).to_contain_text("Anyone who has the link can read and write here.")
    expect(guest.articles.first).to_contain_text("quick one")
    answered(guest, "quick two")
    expect(visitor.articles).to_have_count(4)
    guest.act("End chat")
    guest.page.get_by_role("dialog").last.get_by_role("button", name="End chat").click()
    expect(visitor.status).to_contain_text("ended")
    expect(stranger(link).status).to_contain_text("This link has already been used or has expired.")
    write = {"en": "write", "de": "schreiben", "ar": "الكتابة"}
    for lang, word in write.items():
        texts = json.loads((ROOT / f"widget/src/locales/{lang}.json").read_text())
        assert [key for key in ("link.copied", "link.text", "elsewhere", "qr.text") if word not in texts[key]] == []


def test_a_shared_link_after_the_end(visit: Visit, stranger: Stranger) -> None:
    """When the chat has ended, its shared link is dead."""
    visitor = answered(visit().open(), "quick secret")
    link = shared_link(visitor)
    visitor.act("End chat")
    visitor.page.get_by_role("dialog").get_by_role("button", name="End chat").last.click()
    expect(visitor.status).to_contain_text("ended")
    late = stranger(link)
    expect(late.status).to_contain_text("link")
    assert "secret" not in late.page.content()
    answered(late)


def test_no_clipboard(visit: Visit, context: BrowserContext) -> None:
    """Where copying is not allowed the link is shown, to be copied by hand."""
    context.add_init_script("Object.defineProperty(navigator, 'clipboard', { value: undefined })")
    visitor = answered(visit().open())
    visitor.act("Copy link")
    expect(visitor.page.get_by_role("textbox", name="Link")).to_have_value(re.compile(r"/chat\?session="))


def test_a_held_back_tab(visit: Visit, context: BrowserContext) -> None:
    """Where the browser holds the new tab back, a link is offered in its place, and works."""
    context.add_init_script("window.open = () => null")
    visitor = answered(visit().open())
    visitor.button("Open full page").click()
    link = visitor.page.get_by_role("link", name="Open full page")
    expect(link).to_be_visible()
    with context.expect_page() as opened:
        link.click()
    page = Visitor(opened.value)
    expect(page.articles).to_have_count(2)
    assert page.page.evaluate("() => window.opener") is None


def test_the_customers_own_page(visit: Visit, context: BrowserContext, site: str) -> None:
    """``chat-url`` goes before the service's own page, and is given the ticket."""
    visitor = answered(visit(tag=f'data-chat-url="{site}chatbot?from=widget"').open())
    with context.expect_page() as opened:
        visitor.button("Open full page").click()
    opened.value.wait_for_url(re.compile(rf"^{site}chatbot\?from=widget&session="))
    assert "ses_" not in opened.value.url


def test_in_a_frame(visit: Visit, baton: str) -> None:
    """The page works in a frame on another site, with a ticket passed on, and keeps its own conversation there."""
    made = httpx.post(f"{baton}/api/session/create").json()["session_id"]
    httpx.post(f"{baton}/api/session/{made}/messages", json={"message": "Said before"})
    ticket = httpx.post(f"{baton}/api/session/{made}/handoff").json()["ticket"]
    visitor = visit(tag='type="text/plain"', body=f'<iframe src="{baton}/chat?session={ticket}"></iframe>')
    frame = visitor.page.frame_locator("iframe")
    log = frame.get_by_role("log", name="Conversation")
    expect(log.get_by_role("article")).to_contain_text(["Said before"])
    frame.get_by_role("textbox", name="Message").fill("quick two")
    frame.get_by_role("textbox", name="Message").press("Enter")
    expect(log.get_by_role("article")).to_have_count(3)
    assert visitor.errors == []


@pytest.mark.parametrize("where", ["widget", "page"])
def test_a_transcript(visit: Visit, tmp_path: Path, where: str) -> None:
    """Download transcript gives a file with what was said, from the widget and from the page."""
    visitor = answered(visit().open(), "quick one")
    place = visitor if where == "widget" else visitor.carry_on()
    expect(place.articles).to_have_count(2)
    with place.page.expect_download() as download:
        place.act("Download transcript")
    download.value.save_as(tmp_path / "chat.md")
    text = (tmp_path / "chat.md").read_text()
    assert "quick one" in text
    assert "A quick answer." in text


def test_a_page_that_begins_by_itself(visit: Visit, baton: str) -> None:
    """Opened without a link the page is an empty chat; its draft and its conversation survive a reload."""
    page = answered(visit(f"{baton}/chat"), "quick one")
    page.box.fill("half a thought")
    page.page.reload()
    expect(page.articles).to_have_count(2)
    expect(page.box).to_have_value("half a thought")
    expect(page.status).to_contain_text("Your chat has been restored")


SHOUT = """() => { const id = 'ses_' + 'x'.repeat(32);
    const ended = { kind: 'event', event: 'session', data: { status: 'ended' } };
    for (const data of [id, { session: id }, { type: 'baton', event: 'end' }, ended, null, 1])
        window.postMessage(data, '*') }"""


def test_windows_that_shout(visit: Visit, baton: str) -> None:
    """What other windows post to the widget or the page changes nothing."""
    visitor = answered(visit().open(), "quick one")
    page = visitor.carry_on()
    expect(page.articles).to_have_count(2)
    for place in (visitor, page):
        place.page.evaluate(SHOUT)
        answered(place, "quick again")
        assert place.errors == []


def test_deleting_is_for_whoever_began_it(visit: Visit, stranger: Stranger) -> None:
    """The holder of a shared link may write and end the chat, and is not offered to delete it; its owner is."""
    visitor = answered(visit().open(), "quick one")
    guest = stranger(shared_link(visitor))
    expect(guest.answers).to_have_count(1)
    guest.button("More actions").click()
    expect(guest.button("Delete conversation")).to_be_disabled()
    expect(guest.button("End chat")).to_be_enabled()
    visitor.button("More actions").click()
    expect(visitor.button("Delete conversation")).to_be_enabled()
