"""The pasted tag on pages of every kind: it works, and leaves the page as it was."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable

import httpx
import pytest
from playwright.sync_api import BrowserContext, expect

from tests.widget.conftest import Visitor
from tests.widget.fake_bot import words

Visit = Callable[..., Visitor]
HOSTILE = (
    "<style>* { all: unset !important } button, baton-widget { display: none }"
    " body > * { visibility: hidden; position: static }</style>"
)
OVERLAY = "<style>.top { position: fixed; inset: 0; z-index: 2147483647; background: #fff8 }</style>"


def works(visitor: Visitor) -> None:
    """Somebody opens the chat, asks, and is answered; nothing was thrown into the page."""
    expect(visitor.button("Open chat")).to_have_count(1)
    visitor.open().ask("Hello")
    expect(visitor.answers).to_contain_text(words(30))
    assert visitor.errors == []


def test_twice(visit: Visit, baton: str) -> None:
    """Pasted twice there is one launcher and one conversation."""
    visitor = visit(body=f'<script src="{baton}/widget.js" defer></script>')
    expect(visitor.page.locator("baton-widget")).to_have_count(1)
    works(visitor)


def test_injected_later(visit: Visit, baton: str, site: str) -> None:
    """A tag manager may put the script in when the page has long been loaded."""
    visitor = visit(f"{baton}/health")
    visitor.page.evaluate("""() => { document.body.textContent = '';
        const tag = document.createElement('script');
        tag.async = true; tag.src = '/widget.js'; document.head.append(tag) }""")
    works(visitor)


def test_one_version_with_an_integrity_hash(visit: Visit, baton: str) -> None:
    """The tag may name one version of the script by its hash, at an address that never changes its content."""
    script = httpx.get(f"{baton}/widget.js").content
    version = hashlib.sha256(script).hexdigest()[:12]
    integrity = "sha384-" + base64.b64encode(hashlib.sha384(script).digest()).decode()
    address = f"{baton}/assets/{version}/widget.js"
    visitor = visit(f"{baton}/health")
    visitor.page.evaluate(
        """([src, integrity]) => { document.body.textContent = '';
        const tag = Object.assign(document.createElement('script'), { src, integrity, crossOrigin: 'anonymous' });
        document.head.append(tag) }""",
        [address, integrity],
    )
    works(visitor)


def test_in_the_head_without_defer(visit: Visit, baton: str) -> None:
    """The script may run before there is a body, and calls made at once are kept."""
    visitor = visit(head=f'<script src="{baton}/widget.js"></script><script>Baton.open()</script>')
    expect(visitor.page.get_by_role("dialog")).to_be_visible()
    assert visitor.errors == []


def test_calls_before_the_script(visit: Visit) -> None:
    """Calls that wait in an array are made when the script is there."""
    visitor = visit(head='<script>var Baton = [["init", {title: "Wait for me"}], ["open"]]</script>')
    expect(visitor.page.get_by_role("dialog", name="Wait for me")).to_be_visible()


def test_a_strict_policy(visit: Visit) -> None:
    """A page whose policy allows the service for scripts and connections needs nothing else."""
    said: list[str] = []
    visitor = visit(csp="1")
    visitor.page.on("console", lambda line: said.append(line.text))
    works(visitor)
    assert [line for line in said if "Content Security Policy" in line] == []


@pytest.mark.parametrize("style", [HOSTILE, OVERLAY + '<div class="top"></div>'])
def test_hostile_styles(visit: Visit, style: str) -> None:
    """Styles of the page that unset everything, hide buttons or lie on top do not reach the widget."""
    works(visit(head=style))


def test_blocked_storage(visit: Visit, context: BrowserContext) -> None:
    """Storage that throws is survived."""
    context.add_init_script("""for (const name of ['localStorage', 'sessionStorage'])
        Object.defineProperty(window, name, { get() { throw new DOMException('no', 'SecurityError') } })""")
    works(visit())


def test_without_locks_and_channels(visit: Visit, context: BrowserContext) -> None:
    """A browser without Web Locks and BroadcastChannel has the chat all the same, in two tabs at once."""
    context.add_init_script(
        "Object.defineProperty(navigator, 'locks', { value: undefined }); delete window.BroadcastChannel"
    )
    one, two = visit().open(), visit().open()
    one.ask("Hello")
    for tab in (one, two):
        expect(tab.answers).to_contain_text(words(30))


def test_the_element_taken_out_and_put_back(visit: Visit) -> None:
    """A single-page app may take the element out and put it, or another, back."""
    visitor = visit().open().ask("Hello")
    expect(visitor.answers).to_contain_text(words(30))
    visitor.page.evaluate(
        "() => { const one = document.querySelector('baton-widget'); one.remove(); document.body.append(one) }"
    )
    expect(visitor.answers).to_contain_text(words(30))
    visitor.page.evaluate(
        "() => { document.body.innerHTML = '<main>Another page</main><baton-widget></baton-widget>' }"
    )
    expect(visitor.answers).to_contain_text(words(30))
    expect(visitor.page.locator("baton-widget")).to_have_count(1)
    assert visitor.errors == []


def test_the_page_is_left_alone(visit: Visit, context: BrowserContext) -> None:
    """No global but Baton, no handler replaced, no cookie, no attribute or style on the page's own elements."""
    look = """() => ({ globals: Object.keys(window), sheets: document.adoptedStyleSheets.length,
        handlers: [window.onerror, window.onbeforeunload, window.onmessage, document.onclick].map(String),
        own: [...document.querySelectorAll(':not(baton-widget)')]
            .map((one) => one.tagName + one.getAttributeNames().join()) })"""
    bare = visit(tag='type="text/plain"', csp="1")
    before = bare.page.evaluate(look)
    visitor = visit(tag='type="text/javascript"', csp="1")
    works(visitor)
    after = visitor.page.evaluate(look)
    assert set(after["globals"]) - set(before["globals"]) == {"Baton"}
    assert {**after, "globals": 0} == {**before, "globals": 0}
    assert context.cookies() == []


def test_the_api(visit: Visit) -> None:
    """Baton opens, closes, emits events, goes away and comes back with other options; end() asks first."""
    visitor = visit()
    page = visitor.page
    page.wait_for_function("() => window.Baton")
    page.evaluate("""() => { window.emitted = [];
        for (const one of ['open', 'close', 'message', 'session'])
            Baton.on(one, (detail) => emitted.push([one, detail])) }""")
    page.evaluate("() => Baton.open()")
    expect(page.get_by_role("dialog")).to_be_visible()
    visitor.ask("Hello")
    expect(visitor.answers).to_contain_text(words(30))
    page.wait_for_function("() => emitted.filter(([name]) => name === 'message').length === 2")
    page.evaluate("() => Baton.end()")
    page.get_by_role("dialog").get_by_role("button", name="Cancel").click()
    page.evaluate("() => Baton.toggle()")
    expect(visitor.button("Open chat")).to_be_visible()
    emitted = page.evaluate("() => emitted")
    assert [name for name, _ in emitted][:2] == ["open", "session"]
    assert emitted[-1][0] == "close"
    assert "ses_" not in str(emitted)
    page.evaluate("() => Baton.destroy()")
    expect(page.locator("baton-widget")).to_have_count(0)
    page.evaluate("() => { Baton.init({ title: 'Again', position: 'bottom-left' }); Baton.open() }")
    expect(page.get_by_role("dialog", name="Again")).to_be_visible()
    assert visitor.button("Close chat").bounding_box()["x"] < 100  # type: ignore[index]
    assert visitor.errors == []


def test_options(visit: Visit) -> None:
    """Title, greeting, suggestions, place and offset come from the tag; a suggestion is sent when pressed."""
    visitor = visit(
        tag="""data-title="Help" data-greeting="Good morning" data-suggestions='["How long?"]'
        data-position="bottom-left" data-offset="30,90" """
    )
    box = visitor.button("Open chat").bounding_box()
    assert box is not None
    assert round(box["x"]) == 30
    assert round(visitor.page.viewport_size["height"] - box["y"] - box["height"]) == 90  # type: ignore[index]
    visitor.open()
    expect(visitor.page.get_by_role("dialog", name="Help")).to_be_visible()
    expect(visitor.page.get_by_text("Good morning")).to_be_visible()
    visitor.button("How long?").click()
    expect(visitor.answers).to_contain_text(words(30))


def test_the_service_away(visit: Visit, context: BrowserContext, baton: str) -> None:
    """When the panel cannot be loaded nothing is thrown, and the next click tries again."""
    context.route("**/assets/**", lambda route: route.abort())
    visitor = visit()
    visitor.button("Open chat").click()
    expect(visitor.button("Open chat")).to_have_attribute("title", "The chat cannot be reached. Try again.")
    context.unroute("**/assets/**")
    works(visitor)
    assert visitor.page.url.startswith("http://127.0.0.1")
    assert baton
