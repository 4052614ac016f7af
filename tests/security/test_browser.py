"""R10, R11, R16, R17 and R18: what a hostile page, link, text or window can do in a real browser."""

from __future__ import annotations

import re
from collections.abc import Callable

import httpx
import pytest
from playwright.sync_api import BrowserContext, Page, Request, Route, expect

from tests.widget.conftest import Visitor

Visit = Callable[..., Visitor]
SHAPES = """(target) => { for (const origin of ['*', location.origin]) for (const shape of [
    'open', 'close', {type: 'baton', action: 'open'}, {type: 'open'}, {session: 'ses_' + 'A'.repeat(32)},
    {baton: {session: 'x'}},
    {type: 'session', session_id: 'ses_' + 'A'.repeat(32)}, {type: 'message', text: 'forged', role: 'assistant'},
    null, 5, [],
    {event: 'answer.delta', data: {text: 'forged'}}, JSON.stringify({type: 'open'}), {type: 'config', options: {apiUrl: 'https://evil.test'}},
  ]) { try { target.postMessage(shape, origin) } catch {} } }"""
WATCH = """() => { if (window.top !== window) return; window.heard = [];
    addEventListener('message', (event) => window.heard.push([event.origin, JSON.stringify(event.data)])) }"""


def linked_session(baton: str, words: str, kind: str = "once") -> tuple[str, str]:
    """A conversation made elsewhere: its id, and a link to it."""
    made = httpx.post(f"{baton}/api/session/create").json()["session_id"]
    httpx.post(f"{baton}/api/session/{made}/messages", json={"message": words})
    ticket = httpx.post(f"{baton}/api/session/{made}/handoff", json={"kind": kind}).json()["ticket"]
    return made, f"{baton}/chat?session={ticket}"


def test_r10_nothing_else_sees_the_secret(visit: Visit, context: BrowserContext, baton: str) -> None:
    """R10: by id or ticket: no later script, request, referrer, storage of another
    form, history entry or title holds it; reload, back and a duplicated tab go on.
    """
    made, link = linked_session(baton, "Said before")
    for address, secret in ((link, link.partition("=")[2]), (f"{baton}/chat?a=1&session={made}#part", made)):
        asked: list[Request] = []
        context.on("request", lambda one, seen=asked: seen.append(one))

        def spy(route: Route) -> None:
            answer = route.fetch()
            route.fulfill(
                response=answer, body=f"(window.spied = window.spied || []).push(location.href);{answer.text()}"
            )

        context.route("**/site/chat.js*", spy)
        page = visit(address)
        expect(page.articles).to_have_count(1)
        spied = page.page.evaluate(
            "() => [...window.spied, location.href, document.title, document.referrer, history.state]"
        )
        assert secret not in str(spied)
        assert "session=" not in str(spied)
        assert [one.url for one in asked if secret in one.url and "/chat?" not in one.url] == []
        assert [one.url for one in asked if secret in str(one.headers.get("referer"))] == []
        page.page.reload()
        expect(page.articles).to_have_count(1)
        page.page.goto(f"{baton}/health")
        page.page.go_back()
        expect(page.articles).to_have_count(1)
        assert secret not in page.page.url
        with context.expect_page() as opened:
            page.page.evaluate("() => { window.open(location.href) }")
        expect(Visitor(opened.value).articles).to_have_count(1)
        assert secret not in opened.value.url
        page.page.close()
        opened.value.close()
        context.unroute("**/site/chat.js*")


def test_r11_a_strangers_link_is_known_for_one(visit: Visit, context: BrowserContext, baton: str) -> None:
    """R11: a victim with a chat of her own opens a stranger's link: she is told and offered a new one, also after a
    reload; her own chats, in the widget and on the page, stay hers, and what she types later the stranger never
    reads.
    """
    hers = visit().open().ask("quick and private")
    expect(hers.answers).to_have_count(1)
    own = visit(f"{baton}/chat").ask("quick on the page")
    expect(own.answers).to_have_count(1)
    trap, link = linked_session(baton, "The stranger's words", "share")
    page = visit(link)
    expect(page.articles).to_have_count(1)
    expect(page.status).to_contain_text("begun elsewhere")
    page.page.reload()
    expect(page.status).to_contain_text("begun elsewhere")
    for tab in (hers, own):
        tab.page.reload()
        expect(tab.articles).to_have_count(2)
        expect(tab.articles.first).not_to_contain_text("stranger")
    page.button("New chat").first.click()
    expect(page.articles).to_have_count(0)
    page.ask("quick secret of hers")
    expect(page.answers).to_have_count(1)
    read = httpx.get(f"{baton}/api/session/{trap}/messages").text
    assert "secret" not in read
    assert "private" not in read


@pytest.mark.parametrize(
    "kind", ["messages", "transcript?format=md", "transcript?format=txt", "transcript?format=json", "events"]
)
def test_r16_the_api_is_no_page(context: BrowserContext, baton: str, kind: str) -> None:
    """R16: opened in a browser, what the API gives of a hostile conversation is text or a
    download; nothing in it runs.
    """
    made, _ = linked_session(
        baton, "<script>window.pwned=1</script><img src=x onerror=window.pwned=1><svg onload=window.pwned=1>"
    )
    page = context.new_page()
    asked: list[str] = []
    page.on("request", lambda one: asked.append(one.url))
    address = f"{baton}/api/session/{made}/{kind}"
    if kind.startswith("transcript"):
        with page.expect_download() as download:
            page.evaluate("(url) => { location.href = url }", address)
        assert download.value.suggested_filename.startswith("conversation.")
    elif kind == "events":
        page.goto(address + "?after=none", wait_until="commit")
        assert page.evaluate("() => document.contentType") in ("text/event-stream", "text/plain")
    else:
        page.goto(address)
        assert page.evaluate("() => document.contentType") == "application/json"
    assert page.evaluate("() => window.pwned") is None
    assert {re.sub(r"[?#].*", "", url) for url in asked} <= {
        address.partition("?")[0],
        f"{baton}/favicon.ico",
        "about:blank",
    }


def test_r17_what_a_page_relies_on_stays_its_own(visit: Visit) -> None:
    """R17: built-ins, prototypes, handlers, history, focus order,
    selection and layout of the host page are as they were.
    """
    look = """() => { const of = (thing) => Object.getOwnPropertyNames(thing).sort().join();
        const code = [fetch, XMLHttpRequest.prototype.open, history.pushState, history.replaceState, addEventListener,
            EventTarget.prototype.addEventListener, Element.prototype.attachShadow, JSON.parse, Array.prototype.push,
            console.error, setTimeout, Promise, customElements.define, navigator.sendBeacon, window.open];
        return { natives: code.map(String).join(), length: history.length, url: location.href, title: document.title,
            prototypes: [Object, Array, String, Element, HTMLElement, Document, Window].map((k) => of(k.prototype)),
            on: Object.keys(HTMLElement.prototype).filter((n) => n.startsWith('on'))
                .map((n) => String(document.body[n])),
            win: Object.keys(window).filter((n) => n.startsWith('on')).map((n) => String(window[n])),
            style: [...document.querySelectorAll('h1, p, html, body')].map((e) => JSON.stringify(getComputedStyle(e))),
            box: JSON.stringify(document.querySelector('h1').getBoundingClientRect()),
            lang: document.documentElement.lang,
            scroll: document.documentElement.scrollWidth + 'x' + document.documentElement.scrollHeight } }"""
    body = "<p style='all: revert'>Words</p><style>h1 { color: rgb(1, 2, 3) }</style>"
    head = (
        "<script>window.thrown = []; onerror = (e) => { thrown.push(String(e)) };"
        "onunhandledrejection = (e) => thrown.push(1)</script>"
    )
    bare = visit(tag='type="text/plain"', head=head, body=body)
    before = bare.page.evaluate(look)
    visitor = visit(tag='type="text/javascript"', head=head, body=body)
    visitor.open().ask("quick")
    expect(visitor.answers).to_have_count(1)
    after = visitor.page.evaluate(look)
    before["url"] = after["url"] = re.sub(r"\?.*", "", after["url"])
    assert after == before
    assert visitor.page.evaluate("() => window.thrown") == []


def test_r17_a_hostile_page_breaks_the_chat_at_most(visit: Visit, context: BrowserContext) -> None:
    """R17: a page with frozen and replaced built-ins, and a global Baton of its own, is never thrown into."""
    context.add_init_script("""if (window.top === window) {
        Object.freeze(Array.prototype); Object.freeze(Object.prototype);
        window.Baton = 'taken'; Element.prototype.animate = undefined; window.structuredClone = undefined;
        Object.defineProperty(window, 'indexedDB', { get() { throw new Error('no') } });
        Object.defineProperty(document, 'cookie', { get() { throw Error('no') }, set() { throw Error('no') } }) }""")
    visitor = visit()
    visitor.open().ask("quick")
    expect(visitor.answers).to_have_count(1)
    assert visitor.errors == []


def chat_of(page: Page) -> list[str]:
    """What the conversation on the page shows."""
    return page.get_by_role("article").all_inner_texts()


def test_r18_windows_have_nothing_to_say(visit: Visit, context: BrowserContext, baton: str) -> None:
    """R18: messages of many shapes, from the host page, a frame, an opener and the page itself, move neither widget
    nor full page; and neither sends any window a message, so that a page that frames or opens it hears nothing.
    """
    context.add_init_script(f"({WATCH})()")
    visitor = visit().open().ask("quick")
    expect(visitor.answers).to_have_count(1)
    shown = chat_of(visitor.page)
    visitor.page.evaluate(f"({SHAPES})(window)")
    visitor.page.evaluate(
        """(shapes) => { const frame = document.createElement('iframe');
        frame.sandbox = 'allow-scripts';
        frame.srcdoc = '<script>(' + shapes + ')(parent)<' + '/script>'; document.body.append(frame);
        return new Promise((done) => frame.onload = done) }""",
        SHAPES,
    )
    _, link = linked_session(baton, "Said before")
    framing = visit(tag='type="text/plain"', body=f'<iframe src="{link}"></iframe>')
    inside = framing.page.frame_locator("iframe").get_by_role("log", name="Conversation").get_by_role("article")
    expect(inside).to_have_count(1)
    framing.page.evaluate(f"({SHAPES})(frames[0])")
    with context.expect_page() as opened:
        framing.page.evaluate("(url) => { window.other = window.open(url) }", linked_session(baton, "In a tab")[1])
    page = Visitor(opened.value)
    expect(page.articles).to_have_count(1)
    framing.page.evaluate(f"({SHAPES})(other)")
    page.page.evaluate(f"({SHAPES})(window)")
    page.ask("quick")
    expect(page.answers).to_have_count(1)
    assert chat_of(visitor.page) == shown
    expect(inside).to_have_count(1)
    expect(page.articles).to_have_count(3)
    assert framing.page.evaluate("() => window.heard") == [], "the full page spoke to who frames or opened it"
    visitor.page.wait_for_function("() => window.heard.some(([origin]) => origin === 'null')")
    own = {visitor.page.evaluate("() => location.origin"), "null"}
    assert {origin for origin, _ in visitor.page.evaluate("() => window.heard")} == own
    assert visitor.errors == page.errors == []
