"""Hostile host pages: their content and scripts change neither what the widget loads nor whom it speaks to."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import BrowserContext, ConsoleMessage, Route, expect

from tests.conftest import until
from tests.widget.conftest import Visitor, answered

Visit = Callable[..., Visitor]
EVIL = "https://evil.example/"
# What a sanitizer that keeps names and ids lets through; each replaces a property of `document` or of `window`.
NAMES = [
    "currentScript", "scripts", "querySelector", "querySelectorAll", "createElement", "createElementNS",
    "createComment", "createTreeWalker", "importNode", "body", "head", "documentElement", "title", "activeElement",
    "visibilityState", "addEventListener", "baseURI", "readyState", "adoptedStyleSheets", "getElementById",
]  # fmt: skip
CLOBBERED = "".join(
    [f'<img name="{name}" src="{EVIL}widget.js" data-api-url="{EVIL}" alt>' for name in NAMES]
    + [f'<form name="{name}" data-api-url="{EVIL}"><input name="src" value="{EVIL}widget.js"></form>' for name in NAMES]
    + [f'<embed name="{name}" src="{EVIL}widget.js" data-api-url="{EVIL}" type="image/png">' for name in NAMES[:2]]
    + ['<form name="Baton"><input name="init"></form>', '<a id="options"></a><a id="customElements"></a>']
)


@pytest.fixture
def evil(context: BrowserContext) -> list[str]:
    """What was asked of the other host."""
    asked: list[str] = []

    def refuse(route: Route) -> None:
        asked.append(route.request.resource_type)
        route.abort()

    context.route(f"{EVIL}**", refuse)
    return asked


def works(visitor: Visitor) -> None:
    """The chat opens, answers, and carries nothing into the page's errors."""
    visitor.open().ask("quick one")
    expect(visitor.answers).to_have_count(1)
    assert visitor.errors == []


@pytest.mark.parametrize("place", ["head", "body"])
def test_named_elements_stand_in_for_nothing(visit: Visit, evil: list[str], place: str) -> None:
    """Images, forms and embeds named as properties of `document` come before the tag: nothing is loaded from them."""
    visitor = visit(**{place: CLOBBERED})
    works(visitor)
    visitor.ask("quick two")
    expect(visitor.answers).to_have_count(2)
    assert not {"script", "fetch", "xhr"} & set(evil)


def test_named_elements_after_the_tag(visit: Visit, evil: list[str]) -> None:
    """User content that comes when the launcher is there stands in the way of neither the panel nor the chat."""
    visitor = visit()
    visitor.page.evaluate("(html) => document.body.insertAdjacentHTML('beforeend', html)", CLOBBERED)
    works(visitor)
    assert not {"script", "fetch", "xhr"} & set(evil)


def test_a_tag_without_current_script(visit: Visit, evil: list[str], baton: str) -> None:
    """A module has no `currentScript`; the widget then finds its own tag among the real scripts alone."""
    visitor = visit(body=CLOBBERED, tag='type="module"')
    works(visitor)
    assert not {"script", "fetch", "xhr"} & set(evil)


def test_options_on_object_prototype(visit: Visit, evil: list[str], baton: str, context: BrowserContext) -> None:
    """What a script of the page added to `Object.prototype` is no option and no stored record."""
    names = ["apiUrl", "chatUrl", "user", "token", "from", "elsewhere", "autoRestore", "sessionScope", "sessionKey"]
    head = f"<script>for (const name of {names}) Object.prototype[name] = '{EVIL}'</script>"
    asked: list[str] = []
    context.on("request", lambda one: asked.append(one.url) if one.resource_type == "fetch" else None)
    visitor = visit(head=head)
    works(visitor)
    visitor.page.reload()
    expect(visitor.answers).to_have_count(1)
    with visitor.page.context.expect_page() as opened:
        visitor.act("Open full page")
    page = baton.replace("localhost", "127.0.0.1")
    opened.value.wait_for_url(f"{page}/chat**")
    assert asked
    assert all(one.startswith((f"{baton}/", f"{page}/")) for one in asked)
    assert evil == []


@pytest.mark.parametrize("name", ["baton-widget", "baton-chat"])
def test_an_element_that_somebody_else_defined(visit: Visit, context: BrowserContext, name: str) -> None:
    """The console says it in one line, and nothing is thrown into the page; the panel does without <baton-chat>."""
    lines: list[str] = []

    def hear(line: ConsoleMessage) -> None:
        if line.text.startswith("Baton:"):
            lines.append(line.text)

    context.on("console", hear)
    head = f"<script>customElements.define('{name}', class extends HTMLElement {{}})</script>"
    visitor = visit(head=head)
    if name == "baton-chat":
        works(visitor)
    else:
        visitor.page.evaluate("() => { Baton.open(); Baton.identify('x'); Baton.close(); }")
    until(lambda: len(lines) > 0, 10, "the line in the console")
    assert len(lines) == 1
    assert name in lines[0]
    assert visitor.errors == []


def test_what_is_stored_is_bounded(visit: Visit) -> None:
    """A draft of 3 MB and 5,000 unsent questions in the tab's storage: a bounded part is shown, and the chat works."""
    visitor = visit().open()
    expect(visitor.box).to_be_visible()
    visitor.page.evaluate("""() => {
        const prefix = Object.keys(sessionStorage).find((key) => key.endsWith(':open')).slice(0, -4);
        const one = (n) => ({ client_id: `q.${n}`, text: `unsent ${n}`, at: '2026-01-01T00:00:00.000Z', held: true });
        sessionStorage[prefix + 'unsent'] = JSON.stringify(Array.from({ length: 5000 }, (_, n) => one(n)));
        sessionStorage[prefix + 'draft'] = 'x'.repeat(3e6);
    }""")
    visitor.page.reload()
    expect(visitor.page.get_by_text("unsent 4999")).to_have_count(1)
    assert visitor.articles.count() <= 50
    assert len(visitor.box.input_value()) <= 65_536
    visitor.ask("quick one")
    expect(visitor.answers).to_have_count(1)
    assert visitor.errors == []


@pytest.mark.parametrize("text", ["erased", "gone", "signIn", "<b>text</b>", "{}", '{"id": "x"}', "null", ""])
def test_a_forged_storage_event(visit: Visit, text: str) -> None:
    """A storage event without a change, or a text there that is no record, empties no chat."""
    visitor = answered(visit().open(), "quick one")
    other = visit()
    visitor.page.evaluate(
        """(text) => {
        const [key, oldValue] = Object.entries(localStorage).find(([key]) => key.endsWith(':session'));
        for (const newValue of [text, null]) dispatchEvent(new StorageEvent('storage', { key, oldValue, newValue }));
        }""",
        text,
    )
    if text not in ("erased", "gone"):
        # Another tab really writes it.
        other.page.evaluate(
            """(text) => { const key = Object.keys(localStorage).find((key) => key.endsWith(':session'));
            localStorage[key] = text }""",
            text,
        )
    visitor.ask("quick two")
    expect(visitor.answers).to_have_count(2)
    expect(visitor.articles).to_have_count(4)
    assert visitor.errors == []
