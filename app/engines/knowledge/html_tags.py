"""HTML and JSX in Markdown: tags go, what they hold stays; pictures, links, code and anchors become Markdown."""

from __future__ import annotations

import html
import re
import textwrap


def names(text: str) -> frozenset[str]:
    """The names in a text, parted by spaces."""
    return frozenset(text.split())


def backticks(code: str, least: int = 3) -> str:
    """Backticks around code, more than it has in a row itself, and not fewer than ``least``."""
    return "`" * max(least, 1 + max(map(len, _TICKS.findall(code)), default=0))


def put_aside(kept: list[str], code: str) -> str:
    """The mark that stands for a piece of code from now on, whose number in ``kept`` it has."""
    kept.append(code)
    return f"\ue000{len(kept) - 1}\ue001"


_TICKS = re.compile("`+")
_BRACES = r"\{(?:[^{}]++|\{(?:[^{}]++|\{(?:[^{}]++|\{[^{}]*+\})*+\})*+\})*+\}"
_VALUE = rf"(?:\"[^\"]*+\"|'[^']*+'|{_BRACES}|[^\s<>\"'={{}}`]++)"
_TAG = re.compile(
    rf"(?<!\]\()<(?P<close>/?)(?P<name>[A-Za-z][\w.:-]*+)?(?P<attributes>(?:\s++(?:[\w@:.#-]++(?:\s*+=\s*+{_VALUE})?+|{_BRACES}))*+)"
    r"\s*+/?>"
)
_ATTRIBUTE = re.compile(
    r"([\w:-]++)\s*=\s*(?:\"([^\"]*)\"|'([^']*)'|\{\s*[\"'`]([^\"'`{}]*)[\"'`]\s*\}|([^\s\"'{}>/]+))"
)
_CLOSED = re.compile(r"(?<!\]\()</([A-Za-z][\w.:-]*)\s*>|<([A-Za-z][\w.:-]*)[^<>]*/>")
_BLOCKS = names(
    """
    address article aside blockquote body br button caption center col colgroup dd details dialog div dl dt
    fieldset figcaption figure footer form h1 h2 h3 h4 h5 h6 head header hgroup hr html li link main menu meta
    nav ol optgroup option p picture section select source summary table tbody td tfoot th thead title tr ul
    """
)
_INLINES = names(
    """
    a abbr acronym b bdi bdo big cite code data del dfn em font i img input ins kbd label mark meter output
    progress q rp rt ruby s samp small span strike strong sub sup time tt u var wbr area base map param
    textarea slot template track noscript object
    """
)
_UNSEEN = names("script style svg iframe video audio canvas embed noframes head math")
_LABELLED = names(
    """
    accordion accordionitem card cardlink linkcard step tab tabitem tabs.tab expandable
    """
)
_IDENTITY = re.compile(r"[^\s<>\"'&\ue000-\ue003]+")
_VOID = names("br hr img input link meta source wbr area base col embed param track p li")
_ANCHOR_LINK = re.compile(
    r"<a\s[^<>]*?\bhref\s*=\s*[\"']([^\"'<>\s]*)[\"'][^<>]*>([^<>\[\]\n]{1,300})</a\s*>", re.IGNORECASE
)
_HEADING = re.compile(r"^([ ]*)<h([1-6])\b([^<>]*)>([^\n]*?)</h\2\s*>[ ]*$", re.IGNORECASE | re.MULTILINE)
_INLINE_CODE = re.compile(r"<code\b[^<>]*>([^<>\n`\ue000]*)</code\s*>", re.IGNORECASE)
_MASK = re.compile("\ue000(\\d+)\ue001")
_PRE = re.compile(r"<pre(?:\s[^<>]*)?>", re.IGNORECASE)
_PRE_END = re.compile(r"</pre\s*>", re.IGNORECASE)
_HIGHLIGHT = re.compile(r"\{(?:\{[<%]|%)-?[ ]*(?:highlight|code-toggle)\b[^{}\n]*(?<!/)[>%]\}\}?")
_HIGHLIGHT_END = re.compile(r"\{(?:\{[<%]|%)-?[ ]*(?:/[ ]*|end)(?:highlight|code-toggle)[ ]*-?[>%]\}\}?")
_LITERAL = re.compile(r"(?<![\\$])\{\s*(?:\"([^\"{}\n]*)\"|'([^'{}\n]*)'|`([^`{}\n]*)`)\s*\}")
_EXPRESSION = re.compile(rf"(?<![\\$]){_BRACES}")
_LINE_START = re.compile(r"[ ]*(?:(?:[-*+]|\d{1,9}[.)])[ ]+)*")


def put_preformatted_aside(text: str, kept: list[str]) -> str:
    """``<pre>`` elements, and what stands between Hugo's and Jekyll's ``highlight`` marks, as code."""
    for opening, closing in ((_PRE, _PRE_END), (_HIGHLIGHT, _HIGHLIGHT_END)):
        parts: list[str] = []
        pos = 0
        while (found := opening.search(text, pos)) and (end := closing.search(text, found.end())):
            inner = text[found.end() : end.start()]
            inner = html.unescape(_TAG.sub("", inner)) if opening is _PRE else inner
            code = _MASK.sub(lambda mask: kept[int(mask[1])], inner).strip("\n")
            ticks = backticks(code)
            parts += [text[pos : found.start()], "\n\n", put_aside(kept, f"{ticks}\n{code}\n{ticks}"), "\n\n"]
            pos = end.end()
        text = "".join([*parts, text[pos:]])
    return text


def convert(text: str, kept: list[str], anchor: str, boxes: frozenset[str]) -> str:
    """The text without tags.

    ``kept`` is where code is put aside, ``anchor`` how an anchor is written, ``boxes`` the components (in lower case)
    that become ``:::`` containers. What looks like a tag but is none that HTML or the page itself closes stays text.
    """
    if "<" not in text:
        return text
    text = _INLINE_CODE.sub(lambda found: put_aside(kept, f"`{html.unescape(found[1])}`") if found[1] else "", text)
    text = _HEADING.sub(lambda found: f"{found[1]}{'#' * int(found[2])} {found[4]} <a{found[3]}></a>", text)
    text = _ANCHOR_LINK.sub(
        lambda found: f"[{found[2].strip()}](<{html.unescape(found[1])}>)" if found[1] else found[2], text
    )
    return _Converter(text, anchor, boxes).run()


def without_expressions(text: str, *, mdx: bool) -> str:
    """JSX expressions: a literal becomes its text; in MDX, every other one goes."""
    text = _LITERAL.sub(lambda found: next(filter(None, found.groups()), ""), text)
    return _EXPRESSION.sub("", text).replace("\\{", "{").replace("\\}", "}") if mdx else text


def attributes_of(written: str) -> dict[str, str]:
    """The attributes of a tag that are plain strings, by name in lower case."""
    return {
        found[1].lower(): html.unescape(next((value for value in found.groups()[1:] if value), ""))
        for found in _ATTRIBUTE.finditer(written)
    }


class _Converter:
    def __init__(self, text: str, anchor: str, boxes: frozenset[str]) -> None:
        self._text, self._anchor, self._boxes = text, anchor, boxes
        self._lower = text.lower()
        self._closed = {name for found in _CLOSED.findall(text) for name in found if name}
        self._unclosed: set[str] = set()
        self._out: list[str] = []
        self._open: list[tuple[str, int]] = []
        """Open tags that began a line, with their indent: what they hold may be indented without being code."""

    def run(self) -> str:
        pos = 0
        while found := _TAG.search(self._text, pos):
            name = (found["name"] or "").lower()
            if not self._is_tag(found["name"] or "", name, found):
                self._hold(self._text[pos : found.end()])
                pos = found.end()
                continue
            self._hold(self._text[pos : found.start()])
            end = self._end_of(name, found) if name in _UNSEEN else -1
            if end < 0:
                self._tag(name, found)
            pos = max(end, found.end())
        self._hold(self._text[pos:])
        return "".join(self._out)

    def _is_tag(self, written: str, name: str, found: re.Match[str]) -> bool:
        if not name:
            return not found["attributes"]
        known = name in _BLOCKS or name in _INLINES or name in _UNSEEN or name == "pre"
        return known or written in self._closed

    def _end_of(self, name: str, found: re.Match[str]) -> int:
        """Where an element ends whose content is not Markdown; -1 where it does not."""
        if found["close"] or found[0].endswith("/>") or name in self._unclosed:
            return -1
        start = self._lower.find(f"</{name}", found.end())
        end = self._lower.find(">", start) if start >= 0 else -1
        if end < 0:
            self._unclosed.add(name)
        return end + 1 if end >= 0 else -1

    def _hold(self, text: str) -> None:
        """Text between two tags; inside of an element its common indent goes where it would make the text code."""
        if self._open and "\n" in text:
            first, rest = text.split("\n", 1)
            body, newline, last = rest.rpartition("\n")
            base = self._open[0][1]
            dedented = textwrap.dedent(body)
            taken = next(
                (len(a) - len(b) for a, b in zip(body.split("\n"), dedented.split("\n"), strict=False) if b), 0
            )
            if taken > base:
                body = textwrap.indent(dedented, " " * base)
            text = f"{first}\n{body}{newline}{last}"
        self._out.append(text)

    def _tag(self, name: str, found: re.Match[str]) -> None:
        line = self._line_before()
        starts_line = _LINE_START.fullmatch(line) is not None
        indent = len(line) - len(line.lstrip(" "))
        closes, attributes = bool(found["close"]), found["attributes"]
        self._track(name, found, indent if starts_line else -1)
        values = attributes_of(attributes) if attributes else {}
        identity = values.get("id") or (values.get("name", "") if name == "a" else "")
        mark = self._anchor.format(identity) if _IDENTITY.fullmatch(identity) else ""
        if name in self._boxes and name not in _BLOCKS | {"cite", "label"} and starts_line:
            lead = " " * (self._open[0][1] if self._open else indent)
            kind = values.get("type", name)
            title = values.get("title", "")
            text = "\n" + lead + (":::" if closes or found[0].endswith("/>") else f"::: {kind} {title}") + f"\n{lead}"
            self._out.append(text if not found[0].endswith("/>") else "")
        elif (name in _LABELLED or name == "summary") and not closes:
            label = values.get("label") or values.get("title") or (values.get("value", "") if "tab" in name else "")
            self._out.append(f"\n\n{' ' * indent}**{label}**\n\n{' ' * indent}" if label else "\n")
        elif name == "li" and not closes:
            self._out.append(("" if line.strip() == "" else "\n") + "- " + mark)
        elif name == "img" or mark:
            self._out.append(mark + (re.sub(r"([\[\]*_`<])", r"\\\1", values.get("alt", "")) if name == "img" else ""))
        elif name not in _INLINES and not starts_line:
            self._out.append(" ")

    def _line_before(self) -> str:
        """What stands before in this line, as far as it has been written."""
        return "".join(self._out[-8:]).rpartition("\n")[2]

    def _track(self, name: str, found: re.Match[str], indent: int) -> None:
        if name in _VOID or found[0].endswith("/>"):
            return
        if found["close"]:
            at = next((n for n in range(len(self._open) - 1, -1, -1) if self._open[n][0] == name), -1)
            if at >= 0:
                del self._open[at:]
        elif indent >= 0 and len(self._open) < 50:
            self._open.append((name, indent))
