"""A page as it is read from outside: its elements and its policy."""

from __future__ import annotations

from html.parser import HTMLParser

import httpx

Attributes = dict[str, str | None]


class HtmlPage(HTMLParser):
    """Every element of a page, in order, with its attributes."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, Attributes]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Called by the parser for each element."""
        self.elements.append((tag, dict(attrs)))

    def all(self, name: str) -> list[Attributes]:
        """The attributes of all elements of this name."""
        return [attributes for tag, attributes in self.elements if tag == name]

    def ids(self) -> set[str | None]:
        """What an address may point at."""
        return {attributes.get("id") for _, attributes in self.elements}


def policy(response: httpx.Response) -> dict[str, str]:
    """The content security policy, directive by directive."""
    parts = response.headers["Content-Security-Policy"].split(";")
    return {name: value for name, _, value in (part.strip().partition(" ") for part in parts)}
