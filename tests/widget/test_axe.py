"""axe-core finds nothing: launcher, panel, dialog, page and install, light and dark, in English and Arabic."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlencode

import pytest
from playwright.sync_api import Page, expect

from tests.conftest import ROOT
from tests.widget.conftest import Visitor

Stranger = Callable[..., Visitor]
AXE = Path(ROOT / "widget/node_modules/axe-core/axe.min.js")
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
STILL = """() => new Promise((done) => { const look = () => { const all = [];
    const walk = (root) => { all.push(...root.getAnimations());
    for (const one of root.querySelectorAll('*')) if (one.shadowRoot) walk(one.shadowRoot) }; walk(document);
    const still = (one) => one.playState !== 'running' || one.effect.getTiming().iterations === Infinity;
    if (all.every(still)) done(); else setTimeout(look, 30) }; look() })"""
TEXT = (
    "say:## Heading\n\nSome **bold** text with `code` and [a link](https://pages.example.test/).\n\n- one\n- two\n\n"
    "| a | b |\n|---|---|\n| 1 | 2 |\n\n```js\nconst a = 1;\n```\n\n> quoted\n\n- [x] done\n"
)


def clean(page: Page, what: str) -> None:
    """No rule is violated on what is on the screen."""
    page.evaluate(STILL)
    if not page.evaluate("() => 'axe' in window"):
        page.evaluate(AXE.read_text())
    found = page.evaluate("(tags) => axe.run({ runOnly: tags })", RULES)
    assert found["passes"]
    violations = [
        (one["id"], [(node["html"][:160], node["failureSummary"]) for node in one["nodes"]][:3])
        for one in found["violations"]
    ]
    assert violations == [], what


def talk(page: Page) -> None:
    """Three questions, the last of which fails."""
    box = page.get_by_role("textbox").first
    for text in ("sources", TEXT, "please fail"):
        box.fill(text)
        box.press("Enter")
        expect(page.locator("button[type=button].send-button")).to_have_count(0)
        expect(page.locator("article[aria-busy]")).to_have_count(0)
    expect(page.locator("article")).to_have_count(6)
    expect(page.locator(".delivery button")).to_be_visible()


@pytest.mark.parametrize("lang", ["en", "ar"])
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_widget_and_page(stranger: Stranger, site: str, baton: str, theme: str, lang: str) -> None:
    """Every state of the widget and of the full page."""
    tag = f'data-theme="{theme}" data-lang="{lang}" data-suggestions=\'["One?", "Two?"]\''
    back, ink = ("#fff", "#111") if theme == "light" else ("#111", "#eee")
    head = f"<style>html {{ background: {back}; color: {ink} }}</style>"
    visitor = stranger(f"{site}?{urlencode({'tag': tag, 'head': head})}", color_scheme=theme)
    page = visitor.page
    launcher = page.locator("[part~=launcher]")
    expect(launcher).to_be_visible()
    clean(page, "launcher")
    launcher.click()
    expect(page.get_by_role("textbox").first).to_be_visible()
    clean(page, "empty panel")
    talk(page)
    clean(page, "messages and Retry")
    page.locator("article .icon-button").last.click()
    expect(page.locator(".feedback-form")).to_be_visible()
    clean(page, "rating")
    page.locator("#more").click()
    clean(page, "menu")
    page.locator("#menu button").nth(2).click()
    expect(page.locator(".qr")).to_be_visible()
    clean(page, "QR code")
    page.keyboard.press("Escape")
    page.locator("#more").click()
    page.locator("#menu button").nth(4).click()
    expect(page.locator(".dialog")).to_be_visible()
    clean(page, "dialog")
    page.keyboard.press("Escape")
    with page.context.expect_page() as opened:
        page.locator("header .icon-button").first.click()
    full = opened.value
    expect(full.locator("article")).to_have_count(6)
    full.goto(f"{full.url}?theme={theme}&lang={lang}")
    expect(full.locator("article")).to_have_count(6)
    clean(full, "full page")
    page.bring_to_front()
    page.locator("#more").click()
    page.locator("#menu button").nth(4).click()
    page.locator(".dialog button").last.click()
    expect(page.locator(".notice").first).to_be_visible()
    clean(page, "ended")


@pytest.mark.parametrize(("theme", "width"), [("light", 360), ("dark", 1280)])
def test_pages(stranger: Stranger, baton: str, theme: str, width: int) -> None:
    """The demo, the install page, the API's page, a page of the folder and a missing one, narrow and wide."""
    for path in ("/", "/install", "/docs", "/knowledge/embedding", "/nothing-here", "/chat"):
        visitor = stranger(
            f"{baton}{path}", color_scheme=theme, bypass_csp=True, viewport={"width": width, "height": 800}
        )
        visitor.page.wait_for_load_state("networkidle")
        clean(visitor.page, path)
        assert visitor.errors == []
        assert (
            visitor.page.evaluate("() => document.documentElement.scrollWidth - document.documentElement.clientWidth")
            <= 0
        )
