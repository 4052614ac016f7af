"""Parses a page once for all: the index, the answers, the anchors and ``/knowledge`` read the same tokens."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Any

from linkify_it import LinkifyIt
from markdown_it import MarkdownIt
from markdown_it.rules_core import StateCore
from markdown_it.token import Token
from mdit_py_plugins.container import container_plugin
from mdit_py_plugins.deflist import deflist_plugin
from mdit_py_plugins.footnote import footnote_plugin

from app.engines.knowledge.dialects import normalize
from app.engines.knowledge.documents import Heading
from app.engines.knowledge.html_tags import names
from app.engines.knowledge.links import slug

BOX = "box"
"""The name of the container that all admonitions are: tokens ``container_box_open`` and ``container_box_close``."""
LABELS = {"tldr": "TL;DR", "faq": "FAQ", "seealso": "See also", "todo": "To do", "versionadded": "New"}
ALWAYS_LABELLED = names("caution danger deprecated error important warn warning")
_CJK = r"\u3000-\u9fff\uac00-\ud7af\uff00-\uffef"
CJK_BREAK = re.compile(rf"(?<=[{_CJK}])\n(?=[{_CJK}])")
"""A line break that is no space."""
_ANCHOR = re.compile("[ ]?\ue002([^\ue003]*)\ue003")
_WWW = re.compile(r"[\w-]+(?:\.[\w-]+)+(?:[/?#][^\s<>\"'`|]*[\w/=&#-])?")
_DANGLING_FOOTNOTE = re.compile(r"\[\^[^\]\s]{1,100}\](?!:)")

ResolveLink = Callable[[str], str | None]
"""Where a link of this page leads, or None where it may not be followed; then it becomes plain text."""


@dataclass(frozen=True, slots=True)
class ParsedPage:
    """The tokens of markdown-it, links resolved and anchors set."""

    tokens: list[Token]
    headings: tuple[Heading, ...]
    anchors: frozenset[str]
    """All ids of the page, of headings and of others."""
    is_cut: bool = False
    """Whether the page goes on after the part that was parsed."""


def parse(source: str, *, mdx: bool = False, resolve_link: ResolveLink = lambda href: href) -> ParsedPage:
    """A page without its front matter. Takes time linear in the source."""
    env = {"resolve_link": resolve_link}
    tokens = _parser().parse(normalize(source, mdx=mdx), env)
    headings = tuple(
        Heading(int(opening.tag[1]), plain_text(inline), str(opening.attrGet("id")))
        for opening, inline in pairwise(tokens)
        if opening.type == "heading_open"
    )
    anchors = {heading.anchor for heading in headings}
    anchors.update(child.content for token in tokens for child in token.children or () if child.type == "anchor")
    return ParsedPage(tokens, headings, frozenset(anchors))


def plain_text(inline: Token) -> str:
    """The text and code of a line without its marks; of a picture, its description."""
    breaks = ("softbreak", "hardbreak")
    parts = (
        "\n" if child.type in breaks else child.content for child in inline.children or () if child.type != "anchor"
    )
    return " ".join(CJK_BREAK.sub("", "".join(parts)).split())


@lru_cache(maxsize=1)
def _parser() -> MarkdownIt:
    options = {"html": False, "tasklists": True, "linkify": True}
    parser = MarkdownIt("commonmark", options).enable(["table", "strikethrough", "linkify"])
    # Not by top-level domains: README.md and main.py are no addresses.
    parser.linkify = LinkifyIt({"www.": {"validate": _www_length, "normalize": _www_url}}, {"fuzzy_link": False})
    # Indented code has become fences by now (dialects.py); what is still indented is content of a list or a component.
    parser.disable("code")
    parser.use(container_plugin, BOX, validate=lambda info, _markup: bool(info.strip()))
    parser.use(deflist_plugin).use(footnote_plugin)
    # The resolver judges every target; the parser's own check would leave refused links as raw Markdown.
    parser.validateLink = _allow_all_links  # type: ignore[method-assign,assignment]
    parser.core.ruler.after("block", "box_titles", _box_titles)
    parser.core.ruler.push("inline_tokens", _finish_inline)
    parser.core.ruler.push("heading_ids", _heading_ids)
    return parser


def _www_length(_linkify: object, text: str, pos: int) -> int:
    found = _WWW.match(text, pos)
    return len(found[0]) if found else 0


def _www_url(_linkify: object, match: Any) -> None:
    match.url = f"https://{match.url}"


def _allow_all_links(_url: str) -> bool:
    return True


def _box_titles(state: StateCore) -> None:
    """Gives a box its title as its first paragraph, so that it is parsed like any other line."""
    tokens: list[Token] = []
    for token in state.tokens:
        tokens.append(token)
        if token.type == f"container_{BOX}_open":
            kind, _, title = token.info.strip().partition(" ")
            token.meta = {"kind": kind}
            title = title.strip() or (label(kind) if kind in ALWAYS_LABELLED else "")
            if title:
                tokens += _title_tokens(title, token.level + 1)
    state.tokens = tokens


def label(kind: str) -> str:
    """The word for a kind of box that has no title."""
    return LABELS.get(kind) or kind.replace("-", " ").replace("_", " ").capitalize()


def _title_tokens(title: str, level: int) -> Iterator[Token]:
    opening = Token("paragraph_open", "p", 1, level=level, block=True, meta={"title": True})
    opening.attrSet("class", "title")
    yield opening
    yield Token("inline", "", 0, content=title, children=[], level=level + 1, block=True)
    yield Token("paragraph_close", "p", -1, level=level, block=True)


def _finish_inline(state: StateCore) -> None:
    resolve = state.env["resolve_link"]
    for token in state.tokens:
        if token.type == "inline" and token.children:
            token.children = list(_finished(token.children, resolve))


def _finished(children: list[Token], resolve: ResolveLink) -> Iterator[Token]:
    """Links that may be followed, pictures as their description, anchors as tokens of their own."""
    targets: list[str | None] = []
    for child in children:
        if child.type == "link_open":
            targets.append(resolve(str(child.attrGet("href") or "")))
            if targets[-1] is not None:
                child.attrs = {"href": targets[-1]}
                yield child
        elif child.type == "link_close":
            target = targets.pop()
            if target is not None:
                child.meta = {"href": target}
                yield child
        elif child.type == "image":
            yield Token("text", "", 0, content=child.content)
        elif child.type == "text":
            yield from _text(child)
        else:
            yield child


def _text(token: Token) -> Iterator[Token]:
    content = _DANGLING_FOOTNOTE.sub("", token.content) if "[^" in token.content else token.content
    if "\ue002" not in content:
        token.content = content
        yield token
        return
    pos = 0
    for found in _ANCHOR.finditer(content):
        yield Token("text", "", 0, content=content[pos : found.start()])
        yield Token("anchor", "a", 0, content=found[1])
        pos = found.end()
    yield Token("text", "", 0, content=content[pos:])


def _heading_ids(state: StateCore) -> None:
    """Every heading gets the anchor that its author wrote, else its slug; every anchor exists once."""
    taken: set[str] = set()
    for token in state.tokens:
        if token.type == "inline" and token.children and any(child.type == "anchor" for child in token.children):
            token.children = list(_once(token.children, taken))
    counts: dict[str, int] = {}
    for opening, inline in pairwise(state.tokens):
        if opening.type != "heading_open":
            continue
        own = next((child for child in inline.children or () if child.type == "anchor"), None)
        if own is not None and inline.children is not None:
            inline.children = [child for child in inline.children if child is not own]
            opening.attrSet("id", own.content)
        else:
            opening.attrSet("id", _unique(slug(plain_text(inline)) or "section", taken, counts))


def _once(children: list[Token], taken: set[str]) -> Iterator[Token]:
    for child in children:
        if child.type != "anchor":
            yield child
        elif child.content and child.content not in taken:
            taken.add(child.content)
            yield child


def _unique(wanted: str, taken: set[str], counts: dict[str, int]) -> str:
    anchor = wanted
    while anchor in taken:
        counts[wanted] = counts.get(wanted, 0) + 1
        anchor = f"{wanted}-{counts[wanted]}"
    taken.add(anchor)
    return anchor
