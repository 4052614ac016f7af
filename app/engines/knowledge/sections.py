"""Makes sections of a parsed page: under each heading its blocks, as plain text and as clean Markdown."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from markdown_it.token import Token

from app.engines.knowledge.documents import Block, BlockKind, Section
from app.engines.knowledge.html_tags import names
from app.engines.knowledge.markdown_parser import BOX, ParsedPage, plain_text

_FLAT_BOXES = names("tab tabs tab-item tab-set tabitem code-group grid card figure columns column")
_LONG_BOX = 2_000
"""Characters from which on a box is no block of its own: its content stands under its title."""
_SPECIAL = re.compile(r"([\\`*\[\]])|(?<!\w)(_)(?=\S)|(?<=\S)(_)(?!\w)|(<)(?=[A-Za-z/!?])|(~)(?=~)")
_LINE_MARK = re.compile(r"\A(?:(#{1,6}|[-+>])(?=\s|\Z)|(\d{1,9})([.)])(?=\s|\Z))")
_CITATION_MARK = re.compile(r"\[(\d{1,3})\]")
_TICKS = re.compile(r"`+")
_CJK = r"\u3000-\u9fff\uac00-\ud7af\uff00-\uffef"
_CJK_BREAK = re.compile(rf"(?<=[{_CJK}])\n(?=[{_CJK}])")
_TASK = {True: "☑ ", False: "☐ "}


def sections(page: ParsedPage, title: str) -> tuple[Section, ...]:
    """The sections in order. A first section without heading or blocks is left out."""
    return tuple(_Walk(page.tokens, title).run())


class _Walk:
    def __init__(self, tokens: Sequence[Token], title: str) -> None:
        self._tokens = tokens
        self._title = title
        self._close = _closes(tokens)
        self._has_heading = _headings_before(tokens)
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

    def _range(self, at: int, end: int) -> None:
        while at < end:
            token = self._tokens[at]
            close = self._close.get(at, at)
            if token.type == "heading_open":
                self._heading(token, self._tokens[at + 1])
            elif token.type == "footnote_block_open":
                self._footnotes(at, close)
            elif self._opens_up(token, at, close):
                self._range(at + 1, close)
            else:
                self._refer(at, close + 1)
                block = self._block(token, at, close)
                if block is not None and block.text:
                    self._blocks[-1].append(block)
            at = close + 1

    def _opens_up(self, token: Token, at: int, close: int) -> bool:
        """Whether the parts of a block count each by itself: those of tabs, and of whatever holds a heading."""
        if close == at or token.type in ("paragraph_open", "table_open"):
            return False
        if self._has_heading[close] > self._has_heading[at]:
            return True
        is_box = token.type == f"container_{BOX}_open"
        return is_box and (token.meta.get("kind") in _FLAT_BOXES or self._size(at, close) > _LONG_BOX)

    def _size(self, at: int, close: int) -> int:
        return sum(len(token.content) for token in self._tokens[at:close])

    def _heading(self, opening: Token, inline: Token) -> None:
        level, text = int(opening.tag[1]), plain_text(inline)
        while self._trail and self._trail[-1][0] >= level:
            self._trail.pop()
        path = tuple(above for _, above in self._trail if above != self._title)
        self._trail.append((level, text))
        self._found.append((str(opening.attrGet("id")), text, level, path))
        self._blocks.append([])
        self._refer_inline(inline)

    def _refer(self, at: int, end: int) -> None:
        for token in self._tokens[at:end]:
            self._refer_inline(token)

    def _refer_inline(self, token: Token) -> None:
        for child in token.children or ():
            if child.type == "footnote_ref":
                self._notes.setdefault(child.meta["id"], len(self._blocks) - 1)

    def _footnotes(self, at: int, close: int) -> None:
        """A footnote is the last block of the section that refers to it."""
        at += 1
        while at < close:
            end = self._close.get(at, at)
            text, markdown = self._content(at + 1, end)
            if text:
                section = self._blocks[self._notes.get(self._tokens[at].meta.get("id", -1), -1)]
                section.append(Block("paragraph", text, markdown))
            at = end + 1

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

    def _content(self, at: int, end: int, *, tight: bool = False) -> tuple[str, str]:
        """Plain text and Markdown of everything between two tokens."""
        texts: list[str] = []
        markdowns: list[str] = []
        while at < end:
            close = self._close.get(at, at)
            text, markdown = self._piece(self._tokens[at], at, close)
            if text:
                texts.append(text)
                markdowns.append(markdown)
            at = close + 1
        return "\n".join(texts), ("\n" if tight else "\n\n").join(markdowns)

    def _piece(self, token: Token, at: int, close: int) -> tuple[str, str]:
        if token.type in ("fence", "code_block"):
            return token.content.strip("\n"), _fenced(token)
        if token.type == "inline":
            return inline_text(token), inline_markdown(token)
        if token.type == "paragraph_open" and token.meta.get("title"):
            text = inline_text(self._tokens[at + 1])
            return text, f"**{inline_markdown(self._tokens[at + 1]).replace('**', '')}**"
        if token.type == "heading_open":
            return inline_text(self._tokens[at + 1]), f"**{inline_markdown(self._tokens[at + 1]).replace('**', '')}**"
        if token.type in ("bullet_list_open", "ordered_list_open", "table_open", "dl_open"):
            block = self._block(token, at, close)
            return (block.text, block.markdown) if block else ("", "")
        if token.nesting == 1:
            text, markdown = self._content(at + 1, close)
            if token.type == "blockquote_open":
                markdown = "\n".join(f"> {line}".rstrip() for line in markdown.split("\n"))
            return text, markdown
        return "", ""

    def _items(self, at: int, close: int) -> Iterator[tuple[str, str]]:
        """Text and Markdown of each item; what is nested stays in its item, indented."""
        ordered = self._tokens[at].type == "ordered_list_open"
        number = int(self._tokens[at].attrGet("start") or 1)
        at += 1
        while at < close:
            end = self._close[at]
            token = self._tokens[at]
            text, markdown = self._content(at + 1, end, tight=self._is_tight(at + 1, end))
            task = _TASK[token.meta["checked"]] if token.meta and "checked" in token.meta else ""
            mark = f"{number}. " if ordered else "- "
            number += 1
            if text:
                yield (
                    task + text,
                    mark + task + markdown.replace("\n", "\n" + " " * len(mark)).replace("\n   \n", "\n\n"),
                )
            at = end + 1

    def _is_tight(self, at: int, end: int) -> bool:
        return at < end and self._tokens[at].type == "paragraph_open" and self._tokens[at].hidden

    def _definitions(self, at: int, close: int) -> Iterator[tuple[str, str]]:
        """Each term with its meanings: ``**Term**: meaning``."""
        terms: list[tuple[str, str]] = []
        meanings: list[tuple[str, str]] = []
        at += 1
        while at < close:
            end = self._close[at]
            if self._tokens[at].type == "dt_open":
                if meanings:
                    yield _definition(terms, meanings)
                    terms, meanings = [], []
                terms.append(self._content(at + 1, end))
            else:
                meanings.append(self._content(at + 1, end))
            at = end + 1
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
        texts = [" · ".join(filter(None, map(inline_text, row))) for row in rows]
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


def _headings_before(tokens: Sequence[Token]) -> list[int]:
    """Of every token the number of headings up to it."""
    counts: list[int] = []
    count = 0
    for token in tokens:
        count += token.type == "heading_open"
        counts.append(count)
    return counts


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
    fence = _longer_than(content, "```")
    language = (token.info.split() or [""])[0].strip("{}.").split("{")[0]
    return f"{fence}{language}\n{content}\n{fence}"


def _longer_than(content: str, fence: str) -> str:
    longest = max(map(len, _TICKS.findall(content)), default=0)
    return fence if longest < len(fence) else "`" * (longest + 1)


def inline_text(token: Token) -> str:
    """A line as plain text."""
    parts: list[str] = []
    for child in token.children or ():
        if child.type in ("softbreak", "hardbreak"):
            parts.append("\n")
        elif child.type != "anchor":
            parts.append(child.content)
    return " ".join(_CJK_BREAK.sub("", "".join(parts)).split())


def inline_markdown(token: Token) -> str:
    """A line as Markdown that holds words, emphasis, code and links that lead somewhere; no picture, no HTML."""
    text = _CJK_BREAK.sub("", "".join(_inline_piece(child) for child in token.children or ()))
    return _LINE_MARK.sub(_escaped_mark, " ".join(text.split()))


def _escaped_mark(found: re.Match[str]) -> str:
    return f"\\{found[1]}" if found[1] else f"{found[2]}\\{found[3]}"


def _inline_piece(token: Token) -> str:
    if token.type == "text":
        return escaped(token.content)
    if token.type == "code_inline":
        fence = _longer_than(token.content, "`")
        pad = " " if len(fence) > 1 else ""
        return f"{fence}{pad}{token.content}{pad}{fence}"
    if token.type in ("softbreak", "hardbreak"):
        return "\n"
    if token.type == "link_open":
        return "["
    if token.type == "link_close":
        return f"]({token.meta['href'].replace('(', '%28').replace(')', '%29')})"
    return _EMPHASIS.get(token.type, "")


_EMPHASIS = {
    "strong_open": "**",
    "strong_close": "**",
    "em_open": "*",
    "em_close": "*",
    "s_open": "~~",
    "s_close": "~~",
}


def escaped(text: str) -> str:
    """Text that Markdown shows as it is; ``[1]`` becomes ``(1)``, since markers belong to an answer's own sources."""
    text = _CITATION_MARK.sub(r"(\1)", text)
    return _SPECIAL.sub(lambda found: "\\" + found[0], text)
