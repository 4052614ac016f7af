"""Renders a parsed page of the knowledge folder as HTML that cannot do harm."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from markdown_it import MarkdownIt
from markdown_it.token import Token
from markupsafe import Markup
from mdit_py_plugins.container import container_plugin
from mdit_py_plugins.footnote import footnote_plugin

from app.engines.knowledge.documents import Heading
from app.engines.knowledge.markdown_parser import BOX, ParsedPage

REL = "noopener noreferrer nofollow"
TONES = {
    "warning": "abstract attention bug caution danger deprecated error fail failure important warn warning pitfall",
    "tip": "check hint success tip",
}
"""How a box is coloured by its kind; every other one is a plain note."""
_ENV = {"docId": "note"}
"""Footnotes get ids of their own, which no heading has."""


@dataclass(frozen=True, slots=True)
class RenderedPage:
    """A page for a template; all of its tags are made here.

    ``opening`` is the level-1 heading that the page begins with, if it does; ``html`` is everything else.
    """

    opening: Markup
    html: Markup
    headings: tuple[Heading, ...]
    is_cut: bool
    """Whether the page goes on after the part that is shown."""


def render(page: ParsedPage) -> RenderedPage:
    """The HTML of a parsed page: no HTML of its author's, no picture; links only where the parser left some."""
    tokens = page.tokens
    after_title = 3 if tokens and tokens[0].type == "heading_open" and tokens[0].tag == "h1" else 0
    renderer = _renderer()

    def html(part: Sequence[Token]) -> Markup:
        return Markup(renderer.renderer.render(part, renderer.options, dict(_ENV)))  # noqa: S704

    return RenderedPage(html(tokens[:after_title]), html(tokens[after_title:]), page.headings, page.is_cut)


@lru_cache(maxsize=1)
def _renderer() -> MarkdownIt:
    renderer = MarkdownIt("commonmark", {"html": False})
    renderer.use(footnote_plugin).use(container_plugin, BOX, render=_box)
    rules: dict[str, Any] = {
        # What can scroll sideways must be reachable by keyboard.
        "table_open": lambda *_: '<div class="scroll" role="group" aria-label="Table" tabindex="0"><table>\n',
        "table_close": lambda *_: "</table></div>\n",
        "fence": _code,
        "code_block": _code,
        "anchor": _anchor,
        "link_open": _link,
        "list_item_open": _item,
        "th_open": _cell,
        "td_open": _cell,
        "html_block": _nothing,
        "html_inline": _nothing,
    }
    for name, rule in rules.items():
        renderer.add_render_rule(name, _as_method(rule))
    return renderer


def _as_method(rule: Any) -> Any:
    """The renderer binds its rules to itself; ours need no renderer."""
    return lambda _renderer, *args: rule(*args)


def _nothing(*_: Any) -> str:
    return ""


def _box(_renderer: Any, tokens: Sequence[Token], index: int, *_: Any) -> str:
    if tokens[index].nesting < 0:
        return "</div>\n"
    kind = str(tokens[index].meta.get("kind", ""))
    tone = next((tone for tone, kinds in TONES.items() if kind in kinds.split()), "note")
    return f'<div class="box {"tab" if kind.startswith("tab") else tone}">\n'


def _code(tokens: Sequence[Token], index: int, *_: Any) -> str:
    text = Markup.escape(tokens[index].content)
    return f'<pre tabindex="0" role="group" aria-label="Code"><code>{text}</code></pre>\n'


def _anchor(tokens: Sequence[Token], index: int, *_: Any) -> str:
    return f'<span id="{Markup.escape(tokens[index].content)}"></span>'


def _link(tokens: Sequence[Token], index: int, *_: Any) -> str:
    href = Markup.escape(str(tokens[index].attrGet("href")))
    return f'<a href="{href}" rel="{REL}">'


def _item(tokens: Sequence[Token], index: int, *_: Any) -> str:
    meta = tokens[index].meta
    if "checked" not in meta:
        return "<li>"
    state = "checked " if meta["checked"] else ""
    label = "Done" if meta["checked"] else "Not done"
    return f'<li class="task"><input type="checkbox" disabled {state}aria-label="{label}"> '


def _cell(tokens: Sequence[Token], index: int, *_: Any) -> str:
    """markdown-it aligns table cells by a style attribute, which the page's policy refuses: done by a class."""
    style = str(tokens[index].attrs.get("style", ""))
    align = f' class="align-{style.partition(":")[2]}"' if style.startswith("text-align:") else ""
    return f"<{tokens[index].tag}{align}>"
