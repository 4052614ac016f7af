"""Pages made with frameworks that take hold of the document, the focus or the selection: the chat works there too."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import urlencode

import pytest
from playwright.sync_api import ConsoleMessage, expect

from tests.widget.conftest import Visitor, answered

Visit = Callable[..., Visitor]
REACT_18 = ["react-18/umd/react.production.min.js", "react-dom-18/umd/react-dom.production.min.js"]
MODAL = """<div class="modal" tabindex="-1" style="position: fixed; top: 0; left: 0; background: #fff; display: none">
    <div class="modal-dialog"><input aria-label="Name"><button>Save</button></div></div>"""
FOCUS_TRAPS = {
    "bubbling": "document.addEventListener('focusin', take)",
    "capturing": "document.addEventListener('focusin', take, true)",
    "focus": "document.addEventListener('focus', take, true)",
}
REPLACED = {
    "another root": "() => document.replaceChild(html(), document.documentElement)",
    "a copy of it": "() => document.documentElement.replaceWith(document.documentElement.cloneNode(true))",
    "written anew": "() => { document.open(); document.write('<!doctype html><h1>Next</h1>'); document.close(); }",
    "another body": "() => document.body.replaceWith(Object.assign(document.createElement('body'), { id: 'next' }))",
    "root gone for a while": "async () => { const next = html(); document.documentElement.remove();"
    " await new Promise((go) => setTimeout(go, 300)); document.append(next); }",
}
HTML = """const html = () => { const one = document.createElement('html');
    one.innerHTML = '<head><title>Next</title></head><body><h1>Next</h1></body>'; return one; };"""


def console_errors(visitor: Visitor) -> list[str]:
    """What the console says as an error from now on."""
    lines: list[str] = []

    def hear(line: ConsoleMessage) -> None:
        if line.type in ("error", "warning"):
            lines.append(line.text)

    visitor.page.on("console", hear)
    return lines


@pytest.mark.parametrize("opened", [False, True])
def test_a_document_that_react_hydrates(visit: Visit, baton: str, site: str, opened: bool) -> None:
    """React 18 hydrates the whole document, the tag in it, without an error; the chat may be open already."""
    tag = f'<script src="{baton}/widget.js" defer=""></script>'
    page = f"<!doctype html><html><head><title>A site</title></head><body><main>rendered</main>{tag}</body></html>"
    visitor = visit(f"{site}?{urlencode({'html': page})}")
    errors = console_errors(visitor)
    expect(visitor.button("Open chat")).to_be_visible()
    if opened:
        visitor.open()
    visitor.page.evaluate(f"""async () => {{
        for (const name of {REACT_18}) (0, eval)(await (await fetch('/packages/' + name)).text());
        const h = React.createElement;
        const Page = () => {{ const [n, set] = React.useState(0); React.useEffect(() => set(1), []);
            return h('html', null, h('head', null, h('title', null, 'A site')),
                h('body', null, h('main', null, n ? 'hydrated' : 'rendered'),
                    h('script', {{ src: '{baton}/widget.js', defer: true }}))); }};
        ReactDOM.hydrateRoot(document, h(Page)); }}""")
    expect(visitor.page.get_by_text("hydrated")).to_be_visible()
    if not opened:
        visitor.open()
    visitor.ask("quick")
    expect(visitor.answers).to_have_count(1)
    assert errors == []
    assert visitor.errors == []


@pytest.mark.parametrize("how", REPLACED)
def test_a_document_that_is_replaced(visit: Visit, how: str) -> None:
    """The page replaces its root or its body: the launcher comes back, and an open chat with what was said in it."""
    visitor = answered(visit().open())
    errors = console_errors(visitor)
    visitor.page.evaluate(f"() => {{ {HTML} return ({REPLACED[how]})() }}")
    expect(visitor.page.locator("baton-widget")).to_have_count(1)
    expect(visitor.page.get_by_role("dialog")).to_be_visible()
    expect(visitor.answers).to_have_count(1)
    visitor.ask("quick two")
    expect(visitor.answers).to_have_count(2)
    assert errors == []
    assert visitor.errors == []


def test_a_modal_of_bootstrap(visit: Visit, site: str, baton: str) -> None:
    """While a modal of Bootstrap 5 holds the focus, what is typed in the chat lands in the composer."""
    page = f'<!doctype html><title>A site</title>{MODAL}<script src="{baton}/widget.js" defer></script>'
    visitor = visit(f"{site}?{urlencode({'html': page})}").open()
    visitor.page.evaluate(
        """async () => { (0, eval)(await (await fetch('/packages/bootstrap/dist/js/bootstrap.bundle.min.js')).text());
        new bootstrap.Modal(document.querySelector('.modal')).show(); }"""
    )
    expect(visitor.page.get_by_label("Name")).to_be_visible()
    visitor.box.click()
    visitor.page.keyboard.type("quick question")
    expect(visitor.box).to_have_value("quick question")
    expect(visitor.page.get_by_label("Name")).to_have_value("")
    visitor.page.keyboard.press("Enter")
    expect(visitor.answers).to_have_count(1)


@pytest.mark.parametrize("kind", FOCUS_TRAPS)
def test_a_page_that_takes_the_focus_back(visit: Visit, kind: str) -> None:
    """However a dialog of the page listens for focus outside of it, the chat keeps its own; the page's fields obey."""
    visitor = visit(body='<input id="inside" aria-label="Name"><input aria-label="Elsewhere">').open()
    visitor.page.evaluate(
        f"""() => {{ const inside = document.querySelector('#inside');
        const take = (event) => event.target !== inside && inside.focus();
        {FOCUS_TRAPS[kind]}; }}"""
    )
    visitor.page.get_by_label("Elsewhere").click()
    expect(visitor.page.get_by_label("Name")).to_be_focused()
    visitor.box.click()
    visitor.page.keyboard.type("hello")
    expect(visitor.box).to_have_value("hello")
    expect(visitor.page.get_by_label("Name")).to_have_value("")


@pytest.mark.parametrize(
    "rule", ["* { user-select: none; -webkit-user-select: none }", "html, body { user-select: none; cursor: wait }"]
)
def test_a_page_that_forbids_selecting(visit: Visit, rule: str) -> None:
    """Answers can be selected and copied where the page's style and scripts forbid it for their own texts."""
    visitor = visit(
        head=f"<style>{rule}</style>",
        body="<script>for (const kind of ['selectstart', 'copy', 'contextmenu'])"
        " document.addEventListener(kind, (event) => event.preventDefault())</script>",
    )
    visitor.open().ask("quick")
    text = visitor.answers.locator(".text")
    expect(text).to_have_text("A quick answer.")
    assert text.evaluate("(one) => getComputedStyle(one).userSelect") == "text"
    allowed = text.evaluate("""(one) => ['selectstart', 'copy', 'contextmenu'].map((kind) =>
        one.dispatchEvent(new Event(kind, { bubbles: true, composed: true, cancelable: true })))""")
    assert allowed == [True, True, True]
    text.click(click_count=3)
    assert "quick" in visitor.page.evaluate(
        "() => String(document.querySelector('baton-widget').shadowRoot.querySelector('baton-chat').shadowRoot"
        ".getSelection?.() ?? getSelection())"
    )
