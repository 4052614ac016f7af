"""A page of the knowledge folder as HTML: safe whatever it holds, and with the anchors that citations use."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest

from app.engines.knowledge.documents import PageName
from app.engines.knowledge.links import Links
from app.engines.knowledge.markdown_parser import parse
from app.web.markdown import REL, RenderedPage, render

HOSTILE = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "a <b onclick=alert(1)>b</b>",
    "<svg/onload=alert(1)>",
    "[a](javascript:alert(1))",
    "[a](JaVaScRiPt:alert(1))",
    "[a](java\tscript:alert(1))",
    "[a](&#106;avascript:alert(1))",
    "[a](data:text/html;base64,PHNjcmlwdD4=)",
    "[a](vbscript:x)",
    "[a](file:///etc/passwd)",
    "[a][r]\n\n[r]: javascript:alert(1)",
    "<javascript:alert(1)>",
    "[a](//evil.test/x)",
    r"[a](/\evil.test)",
    r"[a](\\evil.test\x)",
    "[a](../../../etc/passwd)",
    "[a](http://[bad)",
    "![x](https://evil.test/x.png)",
    '![x](https://ok.test/x.png "t" onload=1)',
    "[![x](https://evil.test/x.png)](javascript:alert(1))",
    "```<script>\nalert(1)</script>\n```",
    "|a|\n|-|\n|<script>|",
    "# <img src=x onerror=alert(1)>",
    "---\ntitle: <script>\n---\ntext",
    "&lt;script&gt;alert(1)&lt;/script&gt;",
    '[a](https://ok.test "\' onmouseover=alert(1)")',
]
ALLOWED = {
    "p",
    "a",
    "code",
    "pre",
    "div",
    "table",
    "thead",
    "tbody",
    "tr",
    "th",
    "td",
    "h1",
    "hr",
    "h2",
    "em",
    "strong",
    "li",
    "ul",
}


class Tags(HTMLParser):
    """All elements of a text with their attributes."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


PAGE = PageName("guide/page", "guide/page.md")
FILES = ("index.md", "guide/page.md", "guide/other.md", "guide/deep/README.md", "guide/deep/with space.md")
PATHS = ("", "guide/page", "guide/other", "guide/deep", "guide/deep/with space")
LINKS = Links(map(PageName, PATHS, FILES), "/knowledge")


def made(markdown: str) -> RenderedPage:
    """The page ``guide/page.md`` of a small folder."""
    return render(parse(markdown, resolve_link=lambda href: LINKS.resolve(href, PAGE)))


def html(markdown: str) -> str:
    page = made(markdown)
    return page.opening + page.html


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_makes_no_tag_that_runs_loads_or_leads_astray(text: str) -> None:
    """Whatever a page holds, only harmless tags come out, and links lead to http, https, mailto or the folder."""
    for tag, attributes in Tags(html(text)).found:
        assert tag in ALLOWED
        assert not {name for name in attributes if name.startswith("on") or name in ("src", "style", "srcset")}
        if tag == "a":
            assert re.match(r"(https?://(?!evil)|mailto:|/[^/\\\\])", attributes["href"] or "")
            assert attributes["rel"] == REL


@pytest.mark.parametrize(
    ("link", "leads_to"),
    [
        ("other.md", "/knowledge/guide/other"),
        ("other.md#a-part", "/knowledge/guide/other#a-part"),
        ("../index.md", "/knowledge"),
        ("../README.md#start", "/knowledge#start"),
        ("deep/README.md", "/knowledge/guide/deep"),
        ("deep/with%20space.md", "/knowledge/guide/deep/with%20space"),
        ("#here", "/knowledge/guide/page#here"),
        ("/install", "/install"),
        ("https://example.com/a?b=c", "https://example.com/a?b=c"),
        ("mailto:a@example.com", "mailto:a@example.com"),
    ],
)
def test_links_between_pages_lead_to_where_the_pages_are_shown(link: str, leads_to: str) -> None:
    """A link to a file of the folder is rewritten to the page that shows it; others stay as they are."""
    assert [one["href"] for tag, one in Tags(html(f"[x]({link})")).found if tag == "a"] == [leads_to]


def test_a_refused_link_stays_readable_as_text() -> None:
    """Only the link goes; its words, also set in bold, and the words around it stay."""
    assert html("See [**this** one](javascript:x) now") == "<p>See <strong>this</strong> one now</p>\n"


def test_an_image_becomes_its_description() -> None:
    """No picture is loaded from anywhere; what it shows is said instead."""
    assert html("![A map](https://x.test/map.png)") == "<p>A map</p>\n"


def test_headings_of_the_same_name_get_anchors_of_their_own() -> None:
    """As on GitHub: the second gets -1, the third -2, and one that is named so already is stepped over."""
    page = made("# A\n## Same\n## Same\n## Same-1\n## `Same`\n")
    assert [heading.anchor for heading in page.headings] == ["a", "same", "same-1", "same-1-1", "same-2"]
    assert [one["id"] for tag, one in Tags(page.html).found if tag == "h2"] == ["same", "same-1", "same-1-1", "same-2"]


def test_the_opening_heading_stands_apart() -> None:
    """The table of contents can stand between a page's title and its text."""
    page = made("# Title\n\ntext\n")
    assert page.opening == '<h1 id="title">Title</h1>\n'
    assert page.html == "<p>text</p>\n"


def test_a_table_says_its_alignment_by_class() -> None:
    """A style attribute would be refused by the page's policy."""
    assert '<td class="align-right">1</td>' in html("|a|\n|-:|\n|1|\n")
