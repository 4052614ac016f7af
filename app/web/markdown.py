"""Turns a Markdown page of the knowledge folder into HTML that cannot do harm."""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from markdown_it import MarkdownIt
from markdown_it.token import Token
from markupsafe import Markup
from mdit_py_plugins.front_matter import front_matter_plugin

Slug = Callable[[str], str]
ALLOWED_SCHEMES = frozenset({"http", "https", "mailto"})
REL = "noopener noreferrer nofollow"


@dataclass(frozen=True, slots=True)
class Heading:
    """One entry of a table of contents; ``anchor`` is the id of its heading."""

    level: int
    text: str
    anchor: str


@dataclass(frozen=True, slots=True)
class Rendered:
    """A page ready for a template: nothing but tags made here.

    ``opening`` is the heading that the page begins with, if it does; ``html`` is all that follows.
    """

    opening: Markup
    html: Markup
    headings: tuple[Heading, ...]


def render(markdown: str, source: str, base: str, slug: Slug) -> Rendered:
    """The HTML of ``markdown``.

    ``source`` is the file's path below the folder (``decisions/README.md``) and ``base`` the path under which
    pages are shown (``/knowledge``): links between pages are resolved against both. Raw HTML is shown as text,
    images become their description, and a link that leads anywhere but http, https, mailto or a page of the
    folder becomes plain text.
    """
    parser = _parser()
    env: dict[str, Any] = {}
    tokens = parser.parse(markdown, env)
    headings = tuple(_name_headings(tokens, slug))
    for token in tokens:
        _align_by_class(token)
        if token.type == "inline" and token.children:
            token.children = list(_safe_inline(token.children, source, base))
    tokens = [token for token in tokens if token.type != "front_matter"]
    first = 3 if tokens and tokens[0].type == "heading_open" and tokens[0].tag == "h1" else 0

    def html(part: Sequence[Token]) -> Markup:
        return Markup(parser.renderer.render(part, parser.options, env))  # noqa: S704

    return Rendered(html(tokens[:first]), html(tokens[first:]), headings)


def _parser() -> MarkdownIt:
    parser = MarkdownIt("commonmark", {"html": False}).enable(["table", "strikethrough"])
    parser.use(front_matter_plugin)
    # Every target is judged in _target; the parser's own check would leave refused links as raw Markdown.
    parser.validateLink = _every_link  # type: ignore[method-assign,assignment]
    # What can scroll sideways must be reachable by keyboard.
    parser.add_render_rule("table_open", _table_open)
    parser.add_render_rule("table_close", _table_close)
    parser.add_render_rule("fence", _code)
    parser.add_render_rule("code_block", _code)
    return parser


def _every_link(_url: str) -> bool:
    return True


def _table_open(*_: Any) -> str:
    return '<div class="scroll" role="group" aria-label="Table" tabindex="0"><table>\n'


def _table_close(*_: Any) -> str:
    return "</table></div>\n"


def _code(_renderer: Any, tokens: Sequence[Token], index: int, *_: Any) -> str:
    text = Markup.escape(tokens[index].content)
    return f'<pre tabindex="0" role="group" aria-label="Code"><code>{text}</code></pre>\n'


def _name_headings(tokens: Sequence[Token], slug: Slug) -> Iterator[Heading]:
    """Give every heading an id; the second of the same name gets ``-1``, the third ``-2``."""
    taken: dict[str, int] = {}
    for opening, inline in pairwise(tokens):
        if opening.type != "heading_open":
            continue
        text = plain_text(inline)
        anchor = unique(slug(text), taken)
        opening.attrSet("id", anchor)
        yield Heading(int(opening.tag[1:]), text, anchor)


def unique(name: str, taken: dict[str, int]) -> str:
    """``name``, or ``name-1``, ``name-2`` ... where it is taken already; remembers what it gave."""
    chosen = name
    while chosen in taken:
        taken[name] += 1
        chosen = f"{name}-{taken[name]}"
    taken[chosen] = 0
    return chosen


def plain_text(inline: Token) -> str:
    """What is read aloud of a line: its words and code, without marks, with an image's description."""
    return "".join(child.content for child in inline.children or () if child.type != "html_inline").strip()


def _align_by_class(token: Token) -> None:
    """A table says its alignment in a style attribute, which the page's policy refuses: say it by class."""
    style = str(token.attrs.pop("style", ""))
    if style.startswith("text-align:"):
        token.attrSet("class", "align-" + style.partition(":")[2])


def _safe_inline(children: Sequence[Token], source: str, base: str) -> Iterator[Token]:
    kept: list[bool] = []
    for child in children:
        if child.type == "image":
            yield _as_text(child)
        elif child.type == "link_open":
            target = _target(str(child.attrGet("href") or ""), source, base)
            kept.append(target is not None)
            if target is not None:
                child.attrs = {"href": target, "rel": REL}
                yield child
        elif child.type != "link_close" or kept.pop():
            yield child


def _as_text(image: Token) -> Token:
    text = Token("text", "", 0)
    text.content = image.content
    return text


def _target(href: str, source: str, base: str) -> str | None:
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
    """The path under which a file of the folder is shown: without ``.md``; README and index are their folder."""
    if not file.lower().endswith(".md"):
        return file
    folder, name = posixpath.split(file[:-3])
    return folder if name.lower() in {"readme", "index"} else posixpath.join(folder, name)
