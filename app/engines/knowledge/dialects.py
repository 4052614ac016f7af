"""Turns the dialects of documentation generators into CommonMark with one kind of container.

``normalize`` reads what Docusaurus (MDX), MkDocs, Hugo, GitBook, VitePress, Obsidian, MyST and plain HTML add to
Markdown and gives the same text with none of it: comments and imports are gone, components and shortcodes leave their
content, every admonition, callout, tab and directive is a ``:::`` container. Code stays as it is written.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from dataclasses import dataclass
from itertools import takewhile

from app.engines.knowledge import html_tags
from app.engines.knowledge.html_tags import backticks, names, put_aside

MAX_DEPTH = 24
"""Containers within containers; what is nested deeper keeps its text and loses its box."""
MAX_DIRECTIVES = 6
"""MyST directives within directives; what is nested deeper is code."""
ANCHOR = "\ue002{}\ue003"
"""How an explicit anchor stands in the normalized text; the parser makes an anchor of it."""
_MASK = re.compile("\ue000(\\d+)\ue001")
_PRIVATE = re.compile("[\ue000-\ue003]")

_QUOTE = re.compile(r"(?:[ ]{0,3}>[ ]?)*")
_FENCE = re.compile(r"(?P<lead>[ ]*(?:(?:[-*+]|\d{1,9}[.)])[ ]+)*)(?P<mark>`{3,}|~{3,}|:{3,}(?=\{code))(?P<info>.*)")
_LIST_ITEM = re.compile(r"(?:[-*+]|\d{1,9}[.)])[ ]+")
_HOLDER = re.compile(r"(?:!!!|\?\?\?|===[+!]* |///|\[\^|: |:::|</?[A-Za-z]|\{[%{])")
_TICKS = re.compile(r"`+")
_COMMENT = re.compile(r"<!--|\{/\*|(?:(?<=\s)|^)%%")
_COMMENT_END = {"<!--": "-->", "{/*": "*/}", "%%": "%%"}

_BOX_NAMES = names(
    """
    abstract admonition alert aside attention bug callout caution check cite danger details dropdown error
    example expand expander fail failure faq help hint hint-box important info information missing note notice
    pitfall question quote seealso success summary tip tldr todo topic version-added versionadded
    versionchanged deprecated warn warning
    """
)
_CODE_DIRECTIVES = names("code code-block code-cell sourcecode parsed-literal highlight prompt ipython")
_DROPPED_DIRECTIVES = names(
    """
    toctree eval-rst include literalinclude contents image bibliography index raw math mermaid autoclass
    automodule autofunction autodoc2-object autodoc2-summary doctest graphviz
    """
)
_COLONS = re.compile(r":{3,}[ ]*(?P<name>\{[^{}]*\}|[\w.-]*)(?P<rest>.*)")
_SLASHES = re.compile(r"/{3,}(?![/*!])[ ]*(?P<name>[\w-]*)[ ]*(?:\|[ ]*(?P<title>.*))?")
_BANGS = re.compile(r"(?P<mark>!!!|\?\?\?)\+?[ ]+(?P<name>[\w-]+)(?:[ ]+[\w-]+)*(?:[ ]+(?P<title>\".*\"))?[ ]*")
_TAB = re.compile(r"===[+!]*[ ]+(?P<title>\".*\"|'.*')[ ]*")
_CALLOUT = re.compile(r"\[!(?P<name>[\w-]+)(?:\|[^\]]*)?\][+-]?[ ]*(?P<title>.*)")
_TITLE = re.compile(r"(?:title|label|summary)=(?:\"([^\"]*)\"|'([^']*)'|([^\s}]+))")
_ESM = re.compile(
    r"(?:import[ ]+(?:[\w*${},\s]{1,500}?[ ]from[ ]*)?['\"][^'\"\n]+['\"];?"
    r"|import[ ]+[\w*$, ]*\{[ ]*|export[ ]+(?:const|let|var|function|async|class|default|\*|\{|type)\b.*)[ ]*"
)
_DROPPED_LINE = re.compile(
    r"\[\[?_?toc_?\]\]?|\$\{toc\}|;?-{1,}8<-{1,}.*|\{!.*!\}|<<<[ ]?@?\S*|@\[code\].*|\*\[[^\]]+\]:[ ].*"
    r"|\+\+\+(?:[ ].*)?|(?:[-*]|1\.)[ ]+toc|::[\w-]+(?:\[.*\])?(?:\{.*\})?|%[ ].*"
    r"|\\(?:newpage|pagebreak)|\[?\[?tableofcontents\]?\]?",
    re.IGNORECASE,
)
_ATTRIBUTE = r"(?:[.#][\w:./-]+|[\w:@-]+=(?:\"[^\"\n]*\"|'[^'\n]*'|[^\s\"'{}]+))"
_ATTRIBUTES = rf"[ ]?\{{(?::[^{{}}\n]*|[ ]*{_ATTRIBUTE}(?:[ ]+(?:{_ATTRIBUTE}|[\w-]+))*[ ]*)\}}"
_ATTRIBUTES_OR_MARK = re.compile(rf"^[ >]*:{{3,}}.*$|{_ATTRIBUTES}", re.MULTILINE)
"""Attributes, and the marks of boxes, whose attributes are their own."""
_ID = re.compile(r"#([\w:./-]+)|\bid=[\"']?([\w:./-]+)")
_TARGET = re.compile(r"\(([\w:.-]+)\)=[ ]*")
_ROLE = re.compile("\\{([a-z][\\w:+.-]*)\\}\ue000(\\d+)\ue001")
_PLAIN_ROLES = names(
    """
    abbr term guilabel menuselection sub sup subscript superscript index dfn any doc
    """
)
_ROLE_TARGET = re.compile(r"(.*?)[ ]*<([^<>]*)>")
_WIKILINK = re.compile(r"(!?)\[\[([^\[\]\n|\\]{1,300})(?:\\?\|([^\[\]\n]{0,300}))?\]\]")
_SHORTCODE = re.compile(
    r"\{\{[<%](?P<hugo>(?:[^{}]|\{[^{}\n]{0,100}\}){0,1000}?)/?-?[%>]\}\}|\{%(?P<liquid>(?:[^{}]|\{[^{}\n]{0,100}\}){0,1000}?)-?%\}|\{\{(?:[^{}\n]++|\{[^{}\n]*+\})*+\}\}"
)
_REF_LINK = re.compile(
    r"\]\(\{\{[<%]-?[ ]*(?:rel)?ref[ ]+\"?([^\s\"%>]{1,300})\"?[^\n{}]{0,100}?[%>]\}\}([^)\n]{0,300})\)"
)
_INLINE = (
    (re.compile(r"\{>>[^\n{}]*?<<\}|\{--[^\n{}]*?--\}"), ""),
    (re.compile(r"\{\+\+([^\n{}]*?)\+\+\}|\{==([^\n{}]*?)==\}"), r"\1\2"),
    (re.compile(r"(?<![=\w])==(?=[^\s=])([^=\n]*[^\s=])==(?![=\w])"), r"\1"),
    (re.compile(r"(?<!\+)\+\+([a-z][a-z0-9+-]*)\+\+(?!\+)"), r"\1"),
    (re.compile(r":(?:material|fontawesome|octicons|simple)-[a-z0-9-]{1,80}:"), ""),
    (re.compile(r"(?<![\w:/.])[ ]?:[a-z][a-z0-9_+-]{1,60}:(?![\w:/])"), ""),
    (re.compile(r"(?<=\S)[ ]{1,3}\^[A-Za-z0-9-]{3,64}[ ]*$", re.MULTILINE), ""),
    (re.compile(r"^\^[A-Za-z0-9-]{3,64}[ ]*$", re.MULTILINE), ""),
)


def normalize(text: str, *, mdx: bool = False) -> str:
    """The text without front matter as CommonMark with containers; see the module. Takes time linear in the text."""
    masked = _Masker(mdx)
    lines = masked.mask(_PRIVATE.sub("\ufffd", text).expandtabs(4).split("\n"))
    plain = _inline("\n".join(lines), masked.kept, mdx)
    return _unmask(_Boxes().run(plain.split("\n")), masked.kept)


class _Masker:
    """The first pass: leaves comments out and puts a number in place of code, so that later passes do not see it."""

    def __init__(self, mdx: bool, depth: int = 0) -> None:
        self._depth = depth
        self.kept: list[str] = []
        """Code by its number: a code span as written, or a fence with all of its lines."""
        self._mdx = mdx
        self._comment = ""
        self._out: list[str] = []
        self._indents: list[tuple[int, int]] = []
        """Of the lines above that are indented less: indent, and the indent from which on a line below is code."""

    def mask(self, lines: list[str]) -> list[str]:
        at = 0
        while at < len(lines):
            at = self._line(lines, at)
        return self._out

    def _line(self, lines: list[str], at: int) -> int:
        """Reads one line, or all of a code block; gives the index of the next."""
        line = lines[at]
        if self._comment:
            end = line.find(self._comment)
            if end < 0:
                return at + 1
            line = line[end + len(self._comment) :]
            self._comment = ""
        quote = _QUOTE.match(line)[0]  # type: ignore[index]
        body = line[len(quote) :]
        fence = _FENCE.fullmatch(body)
        if fence and not (fence["mark"][0] == "`" and "`" in fence["info"]):
            return self._fence(lines, at, quote, fence)
        if not quote and self._is_code(line, at == 0 or not lines[at - 1].strip()):
            return self._indented(lines, at)
        self._out.append(self._prose(line))
        return at + 1

    def _fence(self, lines: list[str], at: int, quote: str, fence: re.Match[str]) -> int:
        lead, mark = fence["lead"], fence["mark"]
        indent, depth = len(lead), quote.count(">")
        close = re.compile(rf"[ ]*{re.escape(mark[0])}{{{len(mark)},}}[ ]*")
        end = at + 1
        body: list[str] = []
        while end < len(lines):
            inner = _strip_quote(lines[end], depth)
            if inner is None or close.fullmatch(inner):
                end += inner is not None
                break
            outside = lead.strip() or indent > 3
            if outside and inner.strip() and _indent(inner) < min(indent, 2):
                break
            body.append(_dedent(inner, indent))
            end += 1
        directive = re.match(r"[ ]*\{([\w:.+-]+)\}[ ]*(.*)", fence["info"])
        if directive:
            self._directive(quote + lead, directive[1].lower(), directive[2], body)
        else:
            self._keep_fence(quote + lead, fence["info"].strip(), body)
        return end

    def _directive(self, lead: str, name: str, argument: str, body: list[str]) -> None:
        """A MyST directive (``{note}``) that is written as a fence."""
        at = 0
        if body and body[0].strip() == "---":
            at = next((n + 1 for n, line in enumerate(body[1:], 1) if line.strip() == "---"), 0)
        while at < len(body) and re.match(r"[ ]*:[\w-]+:", body[at]):
            at += 1
        if name in _CODE_DIRECTIVES or self._depth >= MAX_DIRECTIVES:
            self._keep_fence(lead, argument if name in _CODE_DIRECTIVES else "", body[at:])
        elif name.rpartition(":")[2] not in _DROPPED_DIRECTIVES:
            indent = " " * len(lead) if not lead.startswith((" ", ">")) else lead
            inner = _Masker(self._mdx, self._depth + 1)
            inner.kept = self.kept
            title = "" if name in ("figure", "table", "list-table", "csv-table") else argument
            self._out += [f"{lead}::: {name} {title}", *(indent + line for line in inner.mask(body[at:]))]
            self._out.append(f"{indent}:::")

    def _keep_fence(self, lead: str, info: str, body: list[str]) -> None:
        ticks = backticks("\n".join(body))
        code = "\n".join([f"{ticks}{info.replace('`', '')}", *body, ticks])
        self._out.append(lead + put_aside(self.kept, code))

    def _is_code(self, line: str, after_blank: bool) -> bool:
        """Whether an indented line is code by the rule of CommonMark; in MDX it never is."""
        body, indent = line.lstrip(" "), _indent(line)
        if not body:
            return False
        while self._indents and self._indents[-1][0] >= indent:
            self._indents.pop()
        limit = self._indents[-1][1] if self._indents else 4
        if indent >= limit and after_blank and not self._mdx:
            return True
        item = _LIST_ITEM.match(body)
        if item:
            limit = indent + len(item[0]) + 4
        elif _HOLDER.match(body):
            limit = 1_000_000 if body[0] in "<{" else indent + 8
        self._indents.append((indent, limit))
        return False

    def _indented(self, lines: list[str], at: int) -> int:
        indent = _indent(lines[at])
        below = (lines[number] for number in range(at, len(lines)))
        code = list(takewhile(lambda line: not line.strip() or _indent(line) >= indent, below))
        while not code[-1].strip():
            code.pop()
        above = self._indents[-1][1] - 4 if self._indents else 0
        self._keep_fence(" " * above, "", [line[indent:] for line in code])
        return at + len(code)

    def _prose(self, line: str) -> str:
        """A line without its comments, its code spans as numbers. A comment may go on in the lines after it."""
        runs = [found.span() for found in _TICKS.finditer(line)]
        ends: dict[int, list[int]] = {}
        for start, end in runs:
            ends.setdefault(end - start, []).append(start)
        parts: list[str] = []
        pos = 0
        for start, end in [*runs, (len(line), len(line))]:
            if start < pos:
                continue
            pos = self._comments(line, pos, start, parts)
            if self._comment or pos > start or start == end or line[start - 1 : start] == "\\":
                continue
            closes = ends[end - start]
            after = bisect_right(closes, start)
            if after < len(closes):
                parts.append(line[pos:start])
                pos = closes[after] + end - start
                parts.append(put_aside(self.kept, line[start:pos]))
        return "".join(parts if self._comment else [*parts, line[pos:]]).rstrip()

    def _comments(self, line: str, pos: int, limit: int, parts: list[str]) -> int:
        """Leaves out the comments that begin before ``limit``; gives where the line goes on.

        Obsidian's ``%%`` opens a comment of several lines only where one begins with it; elsewhere it may be a
        percentage.
        """
        while True:
            found = _COMMENT.search(line, pos, limit)
            if not found:
                return pos
            parts.append(line[pos : found.start()])
            close = _COMMENT_END[found[0]]
            end = line.find(close, found.end())
            if end >= 0:
                pos = end + len(close)
            elif close == "%%" and not line.lstrip().startswith("%%"):
                parts.append("%%")
                pos = found.end()
            else:
                self._comment = close
                return len(line)


def _strip_quote(line: str, depth: int) -> str | None:
    for _ in range(depth):
        found = re.match(r"[ ]{0,3}>[ ]?", line)
        if not found:
            return None
        line = line[found.end() :]
    return line


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip(" "))


def _dedent(line: str, indent: int) -> str:
    return line[min(indent, _indent(line)) :]


def _inline(text: str, kept: list[str], mdx: bool) -> str:
    """The second pass, over the whole text: imports, tags, shortcodes, roles, links of wikis and attributes."""
    text = _without_esm(html_tags.put_preformatted_aside(text, kept))
    text = html_tags.convert(text, kept, ANCHOR, _BOX_NAMES)
    text = _REF_LINK.sub(r"](\1\2)", text)
    text = _SHORTCODE.sub(_shortcode, text)
    text = _ROLE.sub(lambda found: _role(found, kept), text)
    text = _WIKILINK.sub(_wikilink, text)
    text = _ATTRIBUTES_OR_MARK.sub(_attributes, text)
    for pattern, plain in _INLINE:
        text = pattern.sub(plain, text)
    return html_tags.without_expressions(text, mdx=mdx)


def _without_esm(text: str) -> str:
    """MDX: ``import`` and ``export`` at the beginning of a line, up to the blank line where its brackets are closed."""
    lines = text.split("\n")
    out: list[str] = []
    at = 0
    while at < len(lines):
        if not lines[at].startswith(("import ", "export ", "import{")) or not _ESM.fullmatch(lines[at]):
            out.append(lines[at])
            at += 1
            continue
        depth = 0
        while at < len(lines):
            depth += sum(map(lines[at].count, "([{")) - sum(map(lines[at].count, ")]}"))
            at += 1
            if at >= len(lines) or (depth <= 0 and (not lines[at].strip() or lines[at].startswith(("import ", "#")))):
                break
        out.append("")
    return "\n".join(out)


def _shortcode(found: re.Match[str]) -> str:
    """One of Hugo's, Jekyll's or GitBook's: those that draw a box become containers, most others go."""
    words = " ".join((found["hugo"] or found["liquid"] or "").lstrip("-").split())
    name = words.lstrip("/ ").split(" ")[0].strip("/").lower().removeprefix("end")
    closes = words.startswith(("/", "end"))
    title = _title(words)
    line_start = found.string.rfind("\n", max(0, found.start() - 200), found.start()) + 1
    is_alone = not found.string[line_start : found.start()].strip(" >")
    if name in _BOX_NAMES and is_alone:
        if closes:
            return ":::"
        style = re.search(r"(?:style|type|color)=[\"']?([\w-]+)", words)
        first = re.match(r"\S+[ ]+\"?([a-z]+)\"?", words)
        kind = style[1] if style else first[1] if first and first[1] in _BOX_NAMES else name
        return f"::: {kind} {title}"
    if name == "embed" and (url := re.search(r"https?://[^\s\"]+", words)):
        return f"<{url[0]}>"
    return f"**{title}**\n" if title and not closes and is_alone and name in ("tab", "tabitem", "step") else ""


def _title(words: str) -> str:
    found = _TITLE.search(words)
    return next(filter(None, found.groups()), "") if found else ""


def _role(found: re.Match[str], kept: list[str]) -> str:
    """A MyST role (``{doc}`text <page>` ``) as its text; where it names only a target, that stays as code."""
    inner = kept[int(found[2])].strip("`").strip()
    target = _ROLE_TARGET.fullmatch(inner)
    name = found[1].rpartition(":")[2]
    if target and target[1]:
        return f"[{target[1]}](<{target[2]}>)" if name in ("doc", "download") else target[1]
    if name in _PLAIN_ROLES:
        return inner
    return found[0][found[0].index("\ue000") :]


def _wikilink(found: re.Match[str]) -> str:
    """Obsidian's ``[[Page#Heading|label]]`` as a link to ``wiki:``; an embedded picture or file is left out."""
    target, label = found[2].strip(), (found[3] or "").strip()
    if target.strip("_").lower() == "toc":
        return ""
    page, _, heading = target.partition("#")
    if found[1] and re.search(r"\.(?!md\b)[A-Za-z0-9]{2,5}$", page):
        return ""
    label = label or " › ".join(filter(None, [page.rpartition("/")[2], heading.lstrip("^").replace("#", " › ")]))
    fragment = f"#{heading.rpartition('#')[2]}" if heading and not heading.startswith("^") else ""
    label = re.sub(r"([*_`])", r"\\\1", label)
    return f"[{label}](<wiki:{page}{fragment}>)"


def _attributes(found: re.Match[str]) -> str:
    if not found[0].endswith("}") or found[0].lstrip(" >").startswith(":::"):
        return found[0]
    identity = _ID.search(found[0])
    return " " + ANCHOR.format(identity[1] or identity[2]) if identity else ""


@dataclass(slots=True)
class _Box:
    """An open container: what ends it, and how its lines are changed."""

    by: str
    """``:`` and ``/`` end at their mark, ``indent`` at a line that is indented less, ``quote`` with the quotation."""
    lead: str
    indent: int = 0
    quotes: int = 0


class _Boxes:
    """The third pass, line by line: all boxes become ``:::`` containers, the outer ones with more colons."""

    def __init__(self) -> None:
        self._open: list[_Box] = []
        self._out: list[str] = []
        self._options = False

    def run(self, lines: list[str]) -> list[str]:
        for line in lines:
            self._line(line)
        while self._open:
            self._close()
        return self._out

    def _line(self, line: str) -> None:
        quote = _QUOTE.match(line)[0]  # type: ignore[index]
        depth = quote.count(">")
        body = line[len(quote) :] if depth else line
        while self._open and self._has_ended(self._open[-1], depth, body):
            self._close()
        stripped = sum(1 for box in self._open if box.by == "quote")
        kept = "> " * (depth - stripped)
        if depth and not kept and quote.startswith(" "):
            body = f" {body}"
        body = _dedent(body, sum(4 for box in self._open if box.by == "indent"))
        self._content(kept, self._within_list(body), depth)

    def _within_list(self, body: str) -> str:
        """A line of a box that stands in a list item, indented like the box; a heading ends an unclosed box."""
        floor = max((box.lead.count(" ") for box in self._open if box.by in ":/" and ">" not in box.lead), default=0)
        if not floor or not body.strip() or _indent(body) >= floor:
            return body
        if not body.startswith("#"):
            return " " * floor + body.lstrip(" ")
        while self._open and self._open[-1].by in ":/":
            self._close()
        return body

    def _has_ended(self, box: _Box, depth: int, body: str) -> bool:
        if box.by == "quote":
            return depth < box.quotes
        if not body.strip():
            return False
        return box.by == "indent" and (_indent(body) <= box.indent or depth < box.quotes)

    def _content(self, lead: str, body: str, depth: int) -> None:
        text = body.strip(" ")
        indent = body[: _indent(body)]
        if self._options and re.match(r"[ ]{4}[ ]*[\w-]+:[ ]|[ ]*:[\w-]+:", body):
            return
        self._options = False
        callout = _CALLOUT.fullmatch(text) if depth else None
        if callout and lead:
            self._begin(_Box("quote", lead[:-2], quotes=depth), callout["name"].lower(), callout["title"])
        elif text[:1] in ":/!?=" and self._mark(lead, indent, text, depth):
            return
        elif target := _TARGET.fullmatch(text):
            self._out.append(f"{lead}{indent}{ANCHOR.format(target[1])}")
        else:
            self._out.append(lead.rstrip() if not text else lead if _DROPPED_LINE.fullmatch(text) else lead + body)

    def _mark(self, lead: str, indent: str, text: str, depth: int) -> bool:
        """Whether the line is the mark of a box; then it is dealt with."""
        if colons := _COLONS.fullmatch(text):
            name, rest = colons["name"], colons["rest"]
            if name.startswith("{."):
                name, rest = "", f"{name}{rest}"
            self._paired(":", lead + indent, name.strip("{} ").lower(), rest)
            return True
        slashes = _SLASHES.fullmatch(text)
        if slashes and (not slashes["name"] or slashes["title"] is not None or not text.endswith("/")):
            self._paired("/", lead + indent, slashes["name"].lower(), slashes["title"] or "")
            return True
        marked = _BANGS.fullmatch(text) or _TAB.fullmatch(text)
        if marked:
            name = marked.groupdict().get("name") or "tab"
            title = (marked["title"] or "").strip("\"'")
            indented = sum(4 for box in self._open if box.by == "indent")
            self._begin(_Box("indent", lead + indent, len(indent) + indented, depth), name.lower(), title)
            return True
        return False

    def _paired(self, by: str, lead: str, name: str, rest: str) -> None:
        if not name and not rest.strip():
            if any(box.by == by for box in self._open):
                while self._open[-1].by != by:
                    self._close()
                self._close()
            return
        name, title = _named_box(name, rest)
        self._options = True
        self._begin(_Box(by, lead), name, title)

    def _begin(self, box: _Box, name: str, title: str) -> None:
        if len(self._open) >= MAX_DEPTH:
            return
        colons = ":" * (3 + MAX_DEPTH - len(self._open))
        self._open.append(box)
        self._out.append(f"{box.lead}{colons} {name or 'note'} {title.strip()}".rstrip())

    def _close(self) -> None:
        box = self._open.pop()
        self._out.append(box.lead + ":" * (3 + MAX_DEPTH - len(self._open)))


def _named_box(name: str, rest: str) -> tuple[str, str]:
    """Kind and title of ``:::note[Title]``, ``:::note Title``, ``::: {.callout-note title="x"}``, ``:::{note} x``."""
    name = name.split(" ", maxsplit=1)[0].removeprefix("callout-")
    rest = rest.strip()
    bracketed = re.match(r"\[([^\n]*?)\](?:\{[^{}]*\})?$", rest)
    if bracketed:
        return name, bracketed[1]
    if rest.startswith("{"):
        inner = re.match(r"\{\.?([\w-]*)", rest)
        kind = inner[1].removeprefix("callout-") if inner and not name else name
        return kind, _title(rest)
    return name, _title(rest) if re.match(r"\w+=", rest) else rest


def _unmask(lines: list[str], kept: list[str]) -> str:
    """Puts the code back; the lines of a fence get the indent and the quotation marks of the line it stands in."""
    out: list[str] = []
    for line in lines:
        found = _MASK.search(line)
        if not found:
            out.append(line)
            continue
        code = kept[int(found[1])]
        if "\n" not in code:
            out.append(_MASK.sub(lambda one: kept[int(one[1])], line))
            continue
        lead = line[: found.start()]
        quote = _QUOTE.match(lead)[0].rstrip() if ">" in lead else ""  # type: ignore[index]
        rest = (quote + " " * (len(lead) - len(quote))) if lead.strip(" >") else lead
        first, *more = code.split("\n")
        out += [lead + first, *((rest + one).rstrip() if not one else rest + one for one in more)]
        if line[found.end() :].strip():
            out.append(rest + line[found.end() :])
    return "\n".join(out)
