"""Hostile host pages: their content and scripts change neither what the widget loads nor whom it speaks to."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import BrowserContext, Route, expect

from tests.widget.conftest import Visitor

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
