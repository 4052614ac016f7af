"""Cuts a Markdown page into chunks at its headings; each chunk is a list of whole blocks."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from markdown_it import MarkdownIt
from markdown_it.token import Token

from app.engines.knowledge.anchors import Slugs
from app.engines.knowledge.markdown_inline import bare, code, escaped, outdone, run, sentences, without_tags

CHUNK = 1400
"""Characters after which a chunk ends at the next block."""
LONG_BLOCK = 2400
"""Characters after which a list, a table or a paragraph is cut between its parts."""

_ATTRIBUTES = re.compile(r"\s*\{\s*:?\s*#([\w:.-]+)[^{}]*\}\s*$")
_FENCE_WORDS = re.compile(r"^\s*(?::::|///|!!!|\?\?\?).*$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Block:
    """One block of a page. ``parts`` are Markdown: sentences, list items, the text of a code block, or table rows."""

    kind: str
    """``text``, ``list``, ``code`` or ``table``; a table's first two parts are its head and its rule."""
    parts: tuple[str, ...]

    @property
    def plain(self) -> str:
        """The block as plain text."""
        if self.kind == "code":
            return re.sub(r"^```.*\n?", "", self.parts[0], flags=re.MULTILINE)
        if self.kind == "table":
            rows = [part for at, part in enumerate(self.parts) if at != 1]
            return "\n".join(bare(row).strip("| ").replace(" | ", " · ") for row in rows)
        return ("\n" if self.kind == "list" else " ").join(bare(part) for part in self.parts)


@dataclass(frozen=True, slots=True)
class Heading:
    """A heading in plain text, with the anchor under which a page shows it."""

    level: int
    text: str
    anchor: str


@dataclass(slots=True)
class Chunk:
    """Blocks under one heading; ``trail`` is the path of headings down to its own, without the page's title."""

    trail: tuple[str, ...]
    anchor: str
    blocks: list[Block] = field(default_factory=list)


def _parser() -> MarkdownIt:
    return MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])


def headings(source: str) -> list[Heading]:
    """Every heading of a page in order, with its anchor; ``source`` comes without front matter."""
    tokens = _parser().parse(source)
    unique = Slugs()
    return [_heading(tokens, at, unique) for at, token in enumerate(tokens) if token.type == "heading_open"]


def _heading(tokens: list[Token], at: int, unique: Slugs) -> Heading:
    text = bare(run(tokens[at + 1].children))
    own = _ATTRIBUTES.search(text)
    text = _ATTRIBUTES.sub("", text)
    anchor = own.group(1) if own else unique(text)
    return Heading(int(tokens[at].tag[1]), text, anchor)


def chunks(source: str, title: str) -> list[Chunk]:
    """The chunks of a page in order; a heading with nothing under it gives a chunk without blocks."""
    tokens = _parser().parse(source)
    unique = Slugs()
    trail: list[Heading] = []
    found = [Chunk((), "")]
    for at in _tops(tokens):
        if tokens[at].type == "heading_open":
            heading = _heading(tokens, at, unique)
            trail = [*(above for above in trail if above.level < heading.level), heading]
            path = tuple(step.text for step in trail if step.text != title)
            found.append(Chunk(path, heading.anchor))
            continue
        for block in _blocks(tokens, at):
            if _size(found[-1]) + len(block.plain) > CHUNK and found[-1].blocks:
                found.append(Chunk(found[-1].trail, found[-1].anchor))
            found[-1].blocks.append(block)
    return [chunk for chunk in found if chunk.blocks or chunk.trail]


def _size(chunk: Chunk) -> int:
    return sum(len(block.plain) for block in chunk.blocks)


def _tops(tokens: list[Token]) -> Iterator[int]:
    """The positions of top-level blocks and of all headings, since those inside lists or quotes get anchors too."""
    for at, token in enumerate(tokens):
        if token.type == "heading_open" or (token.level == 0 and token.nesting >= 0):
            yield at


def _close(tokens: list[Token], at: int) -> int:
    for end in range(at + 1, len(tokens)):
        if tokens[end].level == tokens[at].level and tokens[end].nesting == -1:
            return end
    return len(tokens)


def _blocks(tokens: list[Token], at: int) -> Iterator[Block]:
    make = _MAKERS.get(tokens[at].type)
    return make(tokens, at) if make else iter(())


def _prose(tokens: list[Token], at: int) -> Iterator[Block]:
    parts = sentences(_FENCE_WORDS.sub("", run(tokens[at + 1].children)))
    if parts:
        yield from _cut("text", [], parts)


def _raw(tokens: list[Token], at: int) -> Iterator[Block]:
    text = " ".join(without_tags(tokens[at].content).split())
    if text:
        yield from _cut("text", [], sentences(escaped(text)))


def _quote(tokens: list[Token], at: int) -> Iterator[Block]:
    for inner in range(at + 1, _close(tokens, at)):
        if tokens[inner].level == tokens[at].level + 1 and tokens[inner].nesting >= 0:
            yield from _blocks(tokens, inner)


def _list(tokens: list[Token], at: int) -> Iterator[Block]:
    return _cut("list", [], _items(tokens, at, _close(tokens, at)))


def _listing(tokens: list[Token], at: int) -> Iterator[Block]:
    yield _code(tokens[at])


def _code(token: Token) -> Block:
    fence = outdone(token.content, "```")
    language = (token.info or "").split(" ")[0].strip("{}")
    return Block("code", (f"{fence}{language}\n{token.content.rstrip()}\n{fence}",))


def _cut(kind: str, head: list[str], parts: list[str]) -> Iterator[Block]:
    taken: list[str] = []
    for part in parts:
        if taken and sum(map(len, taken)) + len(part) > LONG_BLOCK:
            yield Block(kind, (*head, *taken))
            taken = []
        taken.append(part)
    if taken or head:
        yield Block(kind, (*head, *taken))


def _table(tokens: list[Token], start: int) -> Iterator[Block]:
    rows: list[list[str]] = []
    for at in range(start, _close(tokens, start)):
        token = tokens[at]
        if token.type == "tr_open":
            rows.append([])
        elif token.type in {"th_open", "td_open"}:
            rows[-1].append(run(tokens[at + 1].children).replace("|", "\\|"))
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    rule = "|" + " --- |" * (len(rows[0]) if rows else 1)
    yield from _cut("table", [*lines[:1], rule], lines[1:])


def _items(tokens: list[Token], at: int, end: int) -> list[str]:
    """One Markdown text an item, its marker in front; what is nested stays in its item, indented."""
    ordered = tokens[at].type == "ordered_list_open"
    number = int(tokens[at].attrGet("start") or 1)
    found: list[str] = []
    for inner in range(at + 1, end):
        if tokens[inner].type == "list_item_open" and tokens[inner].level == tokens[at].level + 1:
            mark = f"{number}. " if ordered else "- "
            body = _item(tokens, inner, _close(tokens, inner))
            number += 1
            if body:
                found.append(mark + body.replace("\n", "\n" + " " * len(mark)))
    return found


def _item(tokens: list[Token], at: int, end: int) -> str:
    lines: list[str] = []
    inner = at + 1
    while inner < end:
        token = tokens[inner]
        if token.type == "inline":
            lines.append(run(token.children))
        elif token.type in {"fence", "code_block"}:
            lines.append(_code(token).parts[0] if "\n" in token.content.strip() else code(token.content.strip()))
        elif token.type in {"bullet_list_open", "ordered_list_open"}:
            close = _close(tokens, inner)
            lines += _items(tokens, inner, close)
            inner = close
        inner += 1
    return "\n".join(line for line in lines if line)


_MAKERS: dict[str, Callable[[list[Token], int], Iterator[Block]]] = {
    "paragraph_open": _prose,
    "html_block": _raw,
    "fence": _listing,
    "code_block": _listing,
    "table_open": _table,
    "bullet_list_open": _list,
    "ordered_list_open": _list,
    "blockquote_open": _quote,
}
