"""Renders a Markdown page of the knowledge folder as HTML that cannot do harm."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from markdown_it import MarkdownIt
from markdown_it.token import Token
from markupsafe import Markup
from mdit_py_plugins.front_matter import front_matter_plugin

from app.engines.knowledge.anchors import Slugs

ALLOWED_SCHEMES = frozenset({"http", "https", "mailto"})
REL = "noopener noreferrer nofollow"


@dataclass(frozen=True, slots=True)
class Heading:
    """One entry of a table of contents; ``anchor`` is the id of its heading."""

    level: int
    text: str
    anchor: str


@dataclass(frozen=True, slots=True)
class RenderedPage:
    """A page for a template; all of its tags are made here.

    ``opening`` is the level-1 heading that the page begins with, if it does; ``html`` is everything else.
    """

    opening: Markup
    html: Markup
    headings: tuple[Heading, ...]


def render(markdown: str, source: str, base: str) -> RenderedPage:
    """The HTML of ``markdown``.

    ``source`` is the file's path below the folder (``decisions/README.md``) and ``base`` the path under which
    pages are shown (``/knowledge``): links between pages are resolved against both. Raw HTML is shown as text,
    images become their description, and a link that leads anywhere but http, https, mailto or a page of the
    folder becomes plain text.
    """
    parser = _parser()
    env: dict[str, Any] = {}
    tokens = parser.parse(markdown, env)
    headings = tuple(_add_heading_ids(tokens))
    for token in tokens:
        _align_by_class(token)
        if token.type == "inline" and token.children:
            token.children = list(_safe_inline(token.children, source, base))
    tokens = [token for token in tokens if token.type != "front_matter"]
    rest = 3 if tokens and tokens[0].type == "heading_open" and tokens[0].tag == "h1" else 0

    def html(part: Sequence[Token]) -> Markup:
        return Markup(parser.renderer.render(part, parser.options, env))  # noqa: S704

    return RenderedPage(html(tokens[:rest]), html(tokens[rest:]), headings)


def _parser() -> MarkdownIt:
    parser = MarkdownIt("commonmark", {"html": False}).enable(["table", "strikethrough"])
    parser.use(front_matter_plugin)
    # resolve_link judges every target; the parser's own check would leave refused links as raw Markdown.
    parser.validateLink = _allow_all_links  # type: ignore[method-assign,assignment]
    # What can scroll sideways must be reachable by keyboard.
    parser.add_render_rule("table_open", _table_open)
    parser.add_render_rule("table_close", _table_close)
    parser.add_render_rule("fence", _code)
    parser.add_render_rule("code_block", _code)
    return parser


def _allow_all_links(_url: str) -> bool:
    return True


def _table_open(*_: Any) -> str:
    return '<div class="scroll" role="group" aria-label="Table" tabindex="0"><table>\n'


def _table_close(*_: Any) -> str:
    return "</table></div>\n"


def _code(_renderer: Any, tokens: Sequence[Token], index: int, *_: Any) -> str:
    text = Markup.escape(tokens[index].content)
    return f'<pre tabindex="0" role="group" aria-label="Code"><code>{text}</code></pre>\n'


def _add_heading_ids(tokens: Sequence[Token]) -> Iterator[Heading]:
    """Gives every heading the id that citations use for it."""
    anchors = Slugs()
    for opening, inline in pairwise(tokens):
        if opening.type == "heading_open":
            text = plain_text(inline)
            anchor = anchors(text)
            opening.attrSet("id", anchor)
            yield Heading(int(opening.tag[1:]), text, anchor)


def plain_text(inline: Token) -> str:
    """The text and code of a line without its marks; of an image, its description."""
    return "".join(child.content for child in inline.children or () if child.type != "html_inline").strip()


def _align_by_class(token: Token) -> None:
    """markdown-it aligns table cells by a style attribute, which the page's CSP refuses: do it by a class."""
    style = str(token.attrs.pop("style", ""))
    if style.startswith("text-align:"):
        token.attrSet("class", "align-" + style.partition(":")[2])


def _safe_inline(children: Sequence[Token], source: str, base: str) -> Iterator[Token]:
    allowed: list[bool] = []
    """Of each open link, whether it stays one."""
    for child in children:
        if child.type == "image":
            yield _as_text(child)
        elif child.type == "link_open":
            target = resolve_link(str(child.attrGet("href") or ""), source, base)
            allowed.append(target is not None)
            if target is not None:
                child.attrs = {"href": target, "rel": REL}
                yield child
        elif child.type != "link_close" or allowed.pop():
            yield child


def _as_text(image: Token) -> Token:
    text = Token("text", "", 0)
    text.content = image.content
    return text


def resolve_link(href: str, source: str, base: str) -> str | None:
    """Where a link of the page ``source`` leads, or None where it may not be followed."""
    try:
        parts = urlsplit(href)
    except ValueError:
        return None
    if parts.scheme:
        return href if parts.scheme.lower() in ALLOWED_SCHEMES else None
    if parts.netloc or href.startswith(("//", "\\", "/\\")):
        return None
    if not parts.path or parts.path.startswith("/"):
        return href
    path = posixpath.normpath(posixpath.join(posixpath.dirname(source), unquote(parts.path)))
    if path.startswith(".."):
        return None
    fragment = "#" + parts.fragment if parts.fragment else ""
    return f"{base}/{quote(page_path(path))}".rstrip("/") + fragment


def page_path(file: str) -> str:
    """The path under which a file of the folder is shown: without ``.md``; README and index stand for their folder."""
    if not file.lower().endswith(".md"):
        return file
    folder, name = posixpath.split(file[:-3])
    return folder if name.lower() in {"readme", "index"} else posixpath.join(folder, name)
