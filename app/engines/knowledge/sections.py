"""Makes sections of a parsed page: under each heading its blocks, as plain text and as clean Markdown."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import accumulate, starmap

from markdown_it.token import Token

from app.engines.knowledge.documents import Block, BlockKind, Section
from app.engines.knowledge.html_tags import backticks, names
from app.engines.knowledge.markdown_parser import BOX, CJK_BREAK, ParsedPage, plain_text

_FLAT_BOXES = names("tab tabs tab-item tab-set tabitem code-group grid card figure columns column")
_LONG_BOX = 2_000
"""Characters from which on a box is no block of its own: its content stands under its title."""
_SPECIAL = re.compile(r"([\\`*\[\]])|(?<!\w)(_)(?=\S)|(?<=\S)(_)(?!\w)|(<)(?=[A-Za-z/!?])|(~)(?=~)")
_LINE_MARK = re.compile(r"\A(\d{0,9})((?<=\d)[.)]|(?<!\d)(?:#{1,6}|[-+>]))(?=\s|\Z)")
_CITATION_MARK = re.compile(r"\[(\d{1,3})\]")
_EMPHASIS = {"strong": "**", "em": "*", "s": "~~"}
_TASK: dict[object, str] = {True: "☑ ", False: "☐ "}


def sections(page: ParsedPage, title: str) -> tuple[Section, ...]:
    """The sections in order. A first section without heading or blocks is left out."""
    return tuple(_Walk(page.tokens, title).run())


class _Walk:
    def __init__(self, tokens: Sequence[Token], title: str) -> None:
        self._tokens = tokens
        self._title = title
        self._close = _closes(tokens)
        self._headings = list(accumulate(token.type == "heading_open" for token in tokens))
        """Of every token the number of headings up to it."""
        self._trail: list[tuple[int, str]] = []
        self._found: list[tuple[str | None, str, int, tuple[str, ...]]] = [(None, "", 0, ())]
        self._blocks: list[list[Block]] = [[]]
        self._notes: dict[int, int] = {}
        """Of each footnote the section that refers to it first."""

    def run(self) -> Iterator[Section]:
        self._range(0, len(self._tokens))
        for (anchor, heading, level, path), blocks in zip(self._found, self._blocks, strict=True):
            if blocks or heading:
                yield Section(anchor, heading, level, path, tuple(blocks))

    def _parts(self, at: int, end: int) -> Iterator[tuple[Token, int, int]]:
        """The tokens of one level between two places, each with its place and that of the token that closes it."""
        while at < end:
            close = self._close.get(at, at)
            yield self._tokens[at], at, close
            at = close + 1

    def _range(self, start: int, end: int) -> None:
        for token, at, close in self._parts(start, end):
            if token.type == "heading_open":
                self._heading(token, self._tokens[at + 1])
            elif token.type == "footnote_block_open":
                self._footnotes(at, close)
            elif self._opens_up(token, at, close):
                self._range(at + 1, close)
            else:
                self._refer(*self._tokens[at : close + 1])
                block = self._block(token, at, close)
                if block is not None and block.text:
                    self._blocks[-1].append(block)

    def _opens_up(self, token: Token, at: int, close: int) -> bool:
        """Whether the parts of a block count each by itself: those of tabs, and of whatever holds a heading."""
        if close == at or token.type in ("paragraph_open", "table_open"):
            return False
        if self._headings[close] > self._headings[at]:
            return True
        is_box = token.type == f"container_{BOX}_open"
        size = sum(len(token.content) for token in self._tokens[at:close])
        return is_box and (token.meta.get("kind") in _FLAT_BOXES or size > _LONG_BOX)

    def _heading(self, opening: Token, inline: Token) -> None:
        level, text = int(opening.tag[1]), plain_text(inline)
        while self._trail and self._trail[-1][0] >= level:
            self._trail.pop()
        path = tuple(above for _, above in self._trail if above != self._title)
        self._trail.append((level, text))
        self._found.append((str(opening.attrGet("id")), text, level, path))
        self._blocks.append([])
        self._refer(inline)

    def _refer(self, *tokens: Token) -> None:
        for child in (child for token in tokens for child in token.children or ()):
            if child.type == "footnote_ref":
                self._notes.setdefault(child.meta["id"], len(self._blocks) - 1)

    def _footnotes(self, start: int, end: int) -> None:
        """A footnote is the last block of the section that refers to it."""
        for token, at, close in self._parts(start + 1, end):
            text, markdown = self._content(at + 1, close)
            if text:
                section = self._blocks[self._notes.get(token.meta.get("id", -1), -1)]
                section.append(Block("paragraph", text, markdown))

    def _block(self, token: Token, at: int, close: int) -> Block | None:
        if token.type == "table_open":
            return self._table(at, close)
        if token.type in ("bullet_list_open", "ordered_list_open"):
            items = list(self._items(at, close))
            return _listed("list", items, "\n")
        if token.type == "dl_open":
            return _listed("definition", list(self._definitions(at, close)), "\n\n")
        kind: BlockKind = _KINDS.get(token.type, "paragraph")
        text, markdown = self._content(at, close + 1)
        return Block(kind, text, markdown)

    def _content(self, start: int, end: int, *, tight: bool = False) -> tuple[str, str]:
        """Plain text and Markdown of everything between two tokens."""
        pieces = [piece for piece in starmap(self._piece, self._parts(start, end)) if piece[0]]
        return "\n".join(text for text, _ in pieces), ("\n" if tight else "\n\n").join(
            markdown for _, markdown in pieces
        )

    def _piece(self, token: Token, at: int, close: int) -> tuple[str, str]:
        if token.type in ("fence", "code_block"):
            return token.content.strip("\n"), _fenced(token)
        if token.type == "inline":
            return plain_text(token), inline_markdown(token)
        if token.type == "heading_open" or token.meta.get("title"):
            inline = self._tokens[at + 1]
            return plain_text(inline), f"**{inline_markdown(inline).replace('**', '')}**"
        if token.type in ("bullet_list_open", "ordered_list_open", "table_open", "dl_open"):
            block = self._block(token, at, close)
            return (block.text, block.markdown) if block else ("", "")
        if token.nesting == 1:
            text, markdown = self._content(at + 1, close)
            if token.type == "blockquote_open":
                markdown = "\n".join(f"> {line}".rstrip() for line in markdown.split("\n"))
            return text, markdown
        return "", ""

    def _items(self, start: int, end: int) -> Iterator[tuple[str, str]]:
        """Text and Markdown of each item; what is nested stays in its item, indented."""
        ordered = self._tokens[start].type == "ordered_list_open"
        first = int(self._tokens[start].attrGet("start") or 1)
        for number, (token, at, close) in enumerate(self._parts(start + 1, end), first):
            is_tight = at + 1 < close and self._tokens[at + 1].hidden
            text, markdown = self._content(at + 1, close, tight=is_tight)
            task = _TASK.get(token.meta.get("checked", ""), "")
            mark = f"{number}. " if ordered else "- "
            if text:
                indented = markdown.replace("\n", "\n" + " " * len(mark)).replace("\n   \n", "\n\n")
                yield task + text, mark + task + indented

    def _definitions(self, start: int, end: int) -> Iterator[tuple[str, str]]:
        """Each term with its meanings: ``**Term**: meaning``."""
        terms: list[tuple[str, str]] = []
        meanings: list[tuple[str, str]] = []
        for token, at, close in self._parts(start + 1, end):
            if token.type == "dt_open" and meanings:
                yield _definition(terms, meanings)
                terms, meanings = [], []
            (terms if token.type == "dt_open" else meanings).append(self._content(at + 1, close))
        if terms or meanings:
            yield _definition(terms, meanings)

    def _table(self, at: int, close: int) -> Block | None:
        rows: list[list[Token]] = []
        for inner in range(at, close):
            if self._tokens[inner].type == "tr_open":
                rows.append([])
            elif self._tokens[inner].type in ("th_open", "td_open"):
                rows[-1].append(self._tokens[inner + 1])
        if not rows:
            return None
        lines = ["| " + " | ".join(inline_markdown(cell).replace("|", "\\|") for cell in row) + " |" for row in rows]
        texts = [" · ".join(filter(None, map(plain_text, row))) for row in rows]
        head = f"{lines[0]}\n|" + " --- |" * len(rows[0])
        return Block(
            "table",
            "\n".join(filter(None, texts)),
            "\n".join([head, *lines[1:]]),
            tuple(lines[1:]),
            tuple(texts[1:]),
            head,
        )


_KINDS: dict[str, BlockKind] = {
    "fence": "code",
    "code_block": "code",
    "blockquote_open": "quote",
    f"container_{BOX}_open": "admonition",
}


def _closes(tokens: Sequence[Token]) -> dict[int, int]:
    """Of every opening token the index of its closing one."""
    found: dict[int, int] = {}
    opened: list[int] = []
    for at, token in enumerate(tokens):
        if token.nesting == 1:
            opened.append(at)
        elif token.nesting == -1 and opened:
            found[opened.pop()] = at
    return found


def _listed(kind: BlockKind, items: list[tuple[str, str]], separator: str) -> Block | None:
    if not items:
        return None
    texts, markdowns = zip(*items, strict=True)
    return Block(kind, "\n".join(texts), separator.join(markdowns), tuple(markdowns), tuple(texts))


def _definition(terms: list[tuple[str, str]], meanings: list[tuple[str, str]]) -> tuple[str, str]:
    text = ", ".join(text for text, _ in terms) + ": " + "\n".join(text for text, _ in meanings)
    term = ", ".join(f"**{markdown.replace('**', '')}**" for _, markdown in terms if markdown)
    return text, f"{term}: " + "\n\n".join(markdown for _, markdown in meanings)


def _fenced(token: Token) -> str:
    content = token.content.strip("\n")
    ticks = backticks(content)
    language = (token.info.split() or [""])[0].strip("{}.").split("{")[0]
    return f"{ticks}{language}\n{content}\n{ticks}"


def inline_markdown(token: Token) -> str:
    """A line as Markdown that holds words, emphasis, code and links that lead somewhere; no picture, no HTML."""
    text = CJK_BREAK.sub("", "".join(_inline_piece(child) for child in token.children or ()))
    return _LINE_MARK.sub(r"\1\\\2", " ".join(text.split()))


def _inline_piece(token: Token) -> str:
    if token.type == "text":
        return escaped(token.content)
    if token.type == "code_inline":
        ticks = backticks(token.content, 1)
        pad = " " if len(ticks) > 1 else ""
        return f"{ticks}{pad}{token.content}{pad}{ticks}"
    if token.type in ("softbreak", "hardbreak"):
        return "\n"
    if token.type == "link_open":
        return "["
    if token.type == "link_close":
        return f"]({token.meta['href'].replace('(', '%28').replace(')', '%29')})"
    return _EMPHASIS.get(token.tag, "")


def escaped(text: str) -> str:
    """Text that Markdown shows as it is; ``[1]`` becomes ``(1)``, since markers belong to an answer's own sources."""
    text = _CITATION_MARK.sub(r"(\1)", text)
    return _SPECIAL.sub(lambda found: "\\" + found[0], text)
