"""Hostile text on every surface that shows text: no script runs, no foreign host is asked, no link leaves the three."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from html import escape
from urllib.parse import urlsplit

import httpx
import pytest
from playwright.sync_api import BrowserContext, Request, expect

from tests.widget.conftest import Visitor
from tests.widget.fake_bot import MARK

Visit = Callable[..., Visitor]
TEXTS = [
    f'<script src="https://{MARK}/a.js"></script><script>window.pwned = 1</script>',
    f'<img src="https://{MARK}/a.png" onerror="window.pwned = 1"><svg onload="window.pwned = 1"></svg>',
    f"![picture](https://{MARK}/a.png) ![p][r] <video src=//{MARK}/v autoplay>\n\n[r]: https://{MARK}/b.png",
    "[one](javascript:window.pwned=1) [two](JaVaScRiPt&colon;window.pwned=1) [three](java\tscript:window.pwned=1)",
    (
        "[four][x] <javascript:window.pwned=1> [five](data:text/html,<script>window.pwned=1</script>)\n\n"
        "[x]: javascript:window.pwned=1"
    ),
    "&lt;script&gt;window.pwned=1&lt;/script&gt; &#106;avascript:window.pwned=1 [six](&#106;avascript:window.pwned=1)",
    "[vb](vbscript:x) [file](file:///etc/passwd) [blob](blob:https://x/y) [ftp](ftp://x/y) [//](//canary.test/z)",
    "\u202egnp.exe\u202c \u2066isolated \u0000\u0007\u001b[31mred {{7*7}} </textarea><script>window.pwned=1</script>",
    (
        "```html\n</code></pre><img src=x onerror=window.pwned=1>\n```\n\n"
        "| a |\n|---|\n| <img src=x onerror=window.pwned=1> |"
    ),
]
LINKS = """() => { const all = []; const walk = (root) => { for (const one of root.querySelectorAll('*')) {
    if (one.shadowRoot) walk(one.shadowRoot);
    if (one.matches('a[href], area[href], [src], iframe, object, embed, base, link'))
        all.push([one.localName, one.href || one.src || '', one.rel || '', one.target || '']) } };
    const host = document.querySelector('baton-widget, baton-chat'); walk(host.shadowRoot); return all }"""


@pytest.fixture
def asked(context: BrowserContext, baton: str, site: str) -> Iterator[list[Request]]:
    """The requests of the browser; at the end none of them went to another host than the service's and the site's."""
    seen: list[Request] = []
    context.on("request", lambda one: seen.append(one))
    yield seen
    hosts = {urlsplit(one.url).netloc for one in seen if one.url.startswith("http")}
    here = urlsplit(baton).netloc
    assert hosts <= {here, here.replace("localhost", "127.0.0.1"), urlsplit(site).netloc}


def unharmed(visitor: Visitor) -> None:
    """Nothing ran, and every link that is there goes where links may go, in a tab that knows nothing of this one."""
    assert visitor.page.evaluate("() => window.pwned") is None
    assert visitor.errors == []
    for name, url, rel, target in visitor.page.evaluate(LINKS):
        assert name == "a", (name, url)
        assert urlsplit(url).scheme in {"http", "https", "mailto"}, url
        assert "noopener" in rel
        assert target == "_blank"


def test_questions_and_answers(visit: Visit, asked: list[Request]) -> None:
    """Hostile texts as question and as answer, one character at a time, in the widget, on the page, after a reload."""
    visitor = visit().open()
    for number, text in enumerate(TEXTS, 1):
        visitor.ask(f"say:{text}")
        expect(visitor.answers).to_have_count(number)
        expect(visitor.button("Stop")).to_have_count(0)
        unharmed(visitor)
    page = visitor.carry_on()
    expect(page.articles).to_have_count(2 * len(TEXTS))
    unharmed(page)
    visitor.page.reload()
    expect(visitor.articles).to_have_count(2 * len(TEXTS))
    unharmed(visitor)
    own = visitor.page.get_by_role("article", name="You").first
    expect(own).to_contain_text(TEXTS[0])


def test_citations(visit: Visit, asked: list[Request]) -> None:
    """Hostile citations are shown as text; only an honest address is a link."""
    visitor = visit().open().ask("traps")
    expect(visitor.answers).to_contain_text("As the pages say")
    expect(visitor.answers.get_by_role("link").first).to_be_visible()
    expect(visitor.answers).to_contain_text("<img src=x onerror=window.pwned=1>")
    unharmed(visitor)
    page = visitor.carry_on()
    expect(page.answers.get_by_role("link").first).to_be_visible()
    unharmed(page)


@pytest.mark.parametrize("text", TEXTS)
def test_words_of_the_tag(visit: Visit, asked: list[Request], text: str) -> None:
    """Hostile greeting, title and suggestions are shown as text."""
    tag = "".join(
        f' data-{name}="{escape(text)}"' for name in ("greeting", "title", "color", "lang", "offset", "position")
    )
    visitor = visit(tag=f'{tag} data-suggestions="{escape(json.dumps(["quick", text]))}"')
    visitor.open()
    expect(visitor.button("quick")).to_be_visible()
    unharmed(visitor)


def test_an_operators_words(visit: Visit, asked: list[Request], service: Callable[..., object]) -> None:
    """Hostile words and names of messages that the site's own server appended are shown as text."""
    limits = {"BATON_RATE_LIMIT_SESSION": "", "BATON_RATE_LIMIT_ADDRESS": ""}
    one = service(BATON_API_KEY="key-of-the-site-itself", WEB_CONCURRENCY="1", **limits)
    url = str(one.url).replace("127.0.0.1", "localhost")  # type: ignore[attr-defined]
    made = httpx.post(f"{url}/api/session/create").json()["session_id"]
    key = {"Authorization": "Bearer key-of-the-site-itself"}
    for text in TEXTS:
        for role in ("assistant", "system"):
            message = {
                "message": text,
                "role": role,
                "metadata": {"operator": text[:60], "citations": [{"title": text, "url": "javascript:1"}]},
            }
            assert httpx.post(f"{url}/api/session/{made}/messages", json=message, headers=key).status_code == 201
    visitor = visit(tag=f'data-api-url="{url}" data-session-key="{made}"').open()
    expect(visitor.articles).to_have_count(2 * len(TEXTS))
    assert visitor.page.evaluate("() => window.pwned") is None
    for name, address, *_ in visitor.page.evaluate(LINKS):
        assert name == "a"
        assert urlsplit(address).scheme in {"http", "https", "mailto"}
    asked[:] = [one for one in asked if not one.url.startswith(url)]


def test_links_open_apart(visit: Visit, asked: list[Request], context: BrowserContext, site: str) -> None:
    """Links in answers and citations open in a new tab that has no opener and is not told where it came from."""
    visitor = visit().open().ask(f"say:See [the page]({site}linked).")
    expect(visitor.button("Stop")).to_have_count(0)
    with context.expect_page() as opened:
        visitor.page.get_by_role("link", name="the page").click()
    opened.value.wait_for_url(f"{site}linked")
    assert opened.value.evaluate("() => [window.opener, document.referrer]") == [None, ""]
    visitor.ask("sources")
    expect(visitor.page.get_by_role("link", name="First page").last).to_be_visible()
    unharmed(visitor)
