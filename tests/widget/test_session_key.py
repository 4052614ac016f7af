"""``session-key``: a name of a conversation in one browser, or of a signed-in user's everywhere; never a credential."""

from __future__ import annotations

import re
from collections.abc import Callable

import httpx
import pytest
from playwright.sync_api import BrowserContext, expect

from tests.widget.conftest import Visitor
from tests.widget.test_identity import baton, signed, site

__all__ = ["baton", "site"]  # the service and the site of a test are those whose visitors sign in

Visit = Callable[..., Visitor]
STORED = """() => Object.fromEntries(Object.entries(localStorage).filter(([key]) => /:session(:|$)/.test(key))
    .map(([key, value]) => [key.replace(/^.*:session:?/, ''), JSON.parse(value).id]))"""


def key_of(visitor: Visitor) -> str:
    visitor.page.wait_for_function("() => window.Baton?.open")
    key: str = visitor.page.evaluate("() => Baton.sessionKey")
    return key


def named(key: str) -> str:
    return f'data-session-key="{key}"'


def chat(visitor: Visitor, words: str) -> Visitor:
    visitor.open().ask(f"quick {words}")
    expect(visitor.answers).to_have_count(1)
    return visitor


def says(visitor: Visitor, words: str) -> None:
    """The conversation on the screen is the one in which that was asked, and no other."""
    expect(visitor.articles).to_have_count(2)
    expect(visitor.articles.first).to_contain_text(f"quick {words}")


def test_the_key_of_a_browser(visit: Visit, stranger: Visit) -> None:
    """Without a key it is `webchat:` and an id made once a browser, known before the chat is opened."""
    visitor = visit()
    key = key_of(visitor)
    assert re.fullmatch(r"webchat:[A-Za-z0-9_-]{8,}", key)
    chat(visitor, "one")
    visitor.page.reload()
    assert key_of(visitor) == key
    assert key_of(visit()) == key
    assert key_of(stranger()) != key
    again = visit(tag=named(key)).open()
    says(again, "one")
    assert key_of(visit(tag=named("orders"))) == "orders"


@pytest.mark.parametrize("key", ["ses_", "ses_short", "ses_" + "x" * 33, "two words", "x" * 129, "<b>", ""])
def test_what_is_no_key(visit: Visit, key: str) -> None:
    """What begins like an id is never a name, and a text of another form is none: the browser's own key is in use."""
    visitor = chat(visit(tag=named(key.replace("<", "&lt;"))), "one")
    assert key_of(visitor).startswith("webchat:")
    assert list(visitor.page.evaluate(STORED)) == [""]


def test_two_keys_are_two_conversations(visit: Visit) -> None:
    """Each name has a conversation and a draft of its own, also beside the one without a name, and keeps them."""
    chat(visit(), "nameless")
    one = chat(visit(tag=named("a.b:c@d-e_F")), "one")
    one.box.fill("a draft")
    two = chat(visit(tag=named("orders")), "two")
    expect(two.box).to_have_value("")
    one.page.reload()
    two.page.reload()
    says(one, "one")
    says(two, "two")
    expect(one.box).to_have_value("a draft")
    says(visit().open(), "nameless")
    says(visit(tag=named("orders")).open(), "two")


def test_changing_the_key(visit: Visit) -> None:
    """Another key in `Baton.init` shows that conversation in the same panel; the first key brings the first back."""
    visitor = chat(visit(tag=named("one")), "one")
    visitor.page.evaluate("() => Baton.init({ sessionKey: 'two' })")
    expect(visitor.articles).to_have_count(0)
    assert key_of(visitor) == "two"
    visitor.ask("quick two")
    says(visitor, "two")
    visitor.page.evaluate("() => Baton.init({ sessionKey: 'one' })")
    says(visitor, "one")
    visitor.ask("quick three")
    expect(visitor.answers).to_have_count(2)
    assert visitor.errors == []


@pytest.mark.parametrize("key", ["order-4711", "webchat:abcdefgh1"])
def test_the_same_key_in_another_browser(visit: Visit, stranger: Visit, key: str) -> None:
    """A name is no credential: whoever uses it in another browser sees nothing of this one's conversation."""
    chat(visit(tag=named(key)), "secret")
    other = stranger(tag=named(key)).open()
    expect(other.box).to_be_visible()
    other.ask("quick other")
    says(other, "other")
    other.page.reload()
    says(other, "other")


def test_tabs_of_one_key(visit: Visit) -> None:
    """Tabs of one name show the same conversation as it goes on; a tab of another name hears nothing of it."""
    one, two, other = visit(tag=named("k")).open(), visit(tag=named("k")).open(), visit(tag=named("l")).open()
    expect(other.box).to_be_visible()
    one.ask("quick one")
    says(two, "one")
    two.ask("quick two")
    expect(one.articles).to_have_count(4)
    expect(other.articles).to_have_count(0)


@pytest.mark.parametrize("scope", ["tab", "page"])
def test_a_key_of_one_tab(visit: Visit, scope: str) -> None:
    """With the scope of a tab or a page nothing is shared by a key, also not by a signed-in user's."""
    tag = f'{named("k")} data-session-scope="{scope}"'
    for more in ({}, signed("carol")):
        one = chat(visit(tag=tag, **more), "one")
        two = visit(tag=tag, **more).open()
        expect(two.box).to_be_visible()
        two.ask("quick two")
        says(two, "two")
        one.page.reload()
        if scope == "page":
            expect(one.box).to_be_visible()
            expect(one.articles).to_have_count(0)
        else:
            says(one, "one")


def test_a_user_s_key_on_every_device(visit: Visit, stranger: Visit, site: str) -> None:
    """A signed-in user finds a name's conversation on another device, however long ago; another user does not."""
    old = 'data-session-expiry="1"'
    chat(visit(tag=f"{named('orders')} {old}", **signed("ada")), "orders")
    chat(visit(tag=f"{named('support')} {old}", **signed("ada")), "support")
    device = stranger(tag="", url=signed_address(site, f"{named('orders')} {old}", "ada")).open()
    says(device, "orders")
    device.ask("quick more")
    expect(device.answers).to_have_count(2)
    mallory = stranger(url=signed_address(site, named("orders"), "mallory")).open()
    expect(mallory.box).to_be_visible()
    mallory.ask("quick mallory")
    says(mallory, "mallory")
    back = visit(tag=f"{named('orders')} {old}", **signed("ada")).open()
    expect(back.articles).to_have_count(4)


def test_opening_begins_no_conversation(visit: Visit, stranger: Visit, site: str, context: BrowserContext) -> None:
    """Before the first question nothing is stored, also where a user is signed in; then both devices share the one."""
    made: list[str] = []
    told: list[str] = []
    context.on("request", lambda one: made.append(one.url) if one.url.endswith("/create") else None)
    context.on("console", lambda one: told.append(one.text) if one.type in ("error", "warning") else None)
    address = signed_address(site, named("fresh"), "dora")
    here, there = visit(address).open(), stranger(url=address).open()
    for device in (here, there):
        expect(device.page.get_by_text("Hello! What would you like to know?")).to_be_visible()
        expect(device.box).to_be_visible()
    assert (made, told) == ([], [])
    here.page.reload()
    expect(here.box).to_be_visible()
    here.ask("quick here")
    says(here, "here")
    assert len(made) == 1
    there.ask("quick there")
    for device in (here, there):
        expect(device.articles).to_have_count(4)


def signed_address(site: str, tag: str, user: str) -> str:
    return f"{site}?{httpx.QueryParams({'tag': tag, **signed(user)})}"


def test_begun_before_signing_in(visit: Visit, stranger: Visit, site: str) -> None:
    """What was begun under a name before signing in becomes the user's; one of that name that is there goes first."""
    first = chat(visit(tag=named("cart")), "first")
    first.page.goto(signed_address(site, named("cart"), "bob"))
    says(first.open() if first.button("Open chat").is_visible() else first, "first")
    device = stranger(url=signed_address(site, named("cart"), "bob")).open()
    says(device, "first")
    other = chat(stranger(tag=named("cart")), "second")
    other.page.goto(signed_address(site, named("cart"), "bob"))
    says(other, "first")


def test_resetting(visit: Visit) -> None:
    """`Baton.reset()` leaves no conversation of any name in the browser."""
    one = chat(visit(tag=named("one")), "one")
    two = chat(visit(), "two")
    assert set(two.page.evaluate(STORED)) == {"", "one"}
    two.page.evaluate("() => Baton.reset()")
    expect(two.articles).to_have_count(0)
    assert two.page.evaluate(STORED) == {}
    expect(one.articles).to_have_count(0)
    one.page.reload()
    expect(one.box).to_be_visible()
    expect(one.articles).to_have_count(0)


@pytest.mark.parametrize("how", ["by the visitor", "by the service", "stay"])
def test_closing_after_the_end(visit: Visit, baton: str, how: str) -> None:
    """With `on-end="close"` the panel closes two seconds after the chat was ended; a new chat keeps it open."""
    visitor = chat(visit(tag='data-on-end="stay"' if how == "stay" else 'data-on-end="close"'), "one")
    visitor.page.clock.install()
    if how == "by the service":
        session = visitor.page.evaluate(STORED)[""]
        httpx.post(f"{baton}/api/session/me/end", headers={"Authorization": f"Bearer {session}"})
    else:
        visitor.act("End chat")
        visitor.page.get_by_role("dialog").last.get_by_role("button", name="End chat").click()
    expect(visitor.status).to_contain_text("ended")
    expect(visitor.button("Close chat")).to_be_visible()
    visitor.page.clock.fast_forward(2_100)
    expect(visitor.button("Close chat" if how == "stay" else "Open chat")).to_be_visible()
    if how == "by the visitor":
        visitor.open()
        visitor.page.clock.fast_forward(5_000)
        expect(visitor.button("Close chat")).to_be_visible()
        expect(visitor.status).to_contain_text("ended")
