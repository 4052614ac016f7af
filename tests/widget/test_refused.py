"""What the visitor and the site's owner are told where the service refuses: limits, and sites that are not allowed."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import expect

from tests.widget.conftest import Visitor, serve_baton, serve_site

Visit = Callable[..., Visitor]


@pytest.fixture(scope="module")
def strict(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A service with small limits that allows ``http://localhost:*`` alone."""
    with serve_baton(
        tmp_path_factory.mktemp("strict"),
        BATON_ALLOWED_ORIGINS="https://allowed.example",
        BATON_RATE_LIMIT_SESSION="1 per hour",
        BATON_RATE_LIMIT_CREATE="2 per minute",
        WEB_CONCURRENCY="1",
    ) as address:
        yield address


@pytest.fixture
def other_site(strict: str) -> Iterator[str]:
    """A site that the service does not allow."""
    with serve_site(strict) as address:
        yield address


def test_a_site_that_is_not_allowed(visit: Visit, other_site: str) -> None:
    """The console names the origin and the variable in one line; the visitor sees it plainly, and the text stays."""
    lines: list[str] = []
    visitor = visit(other_site)
    visitor.page.on("console", lambda line: lines.append(line.text))
    visitor.open().ask("quick one")
    expect(visitor.status).to_contain_text("The chat is not available on this website.")
    expect(visitor.box).to_have_value("quick one")
    expect(visitor.articles).to_have_count(0)
    expect(visitor.button("Retry")).to_have_count(0)
    visitor.box.press("Enter")
    expect(visitor.button("Stop")).to_have_count(0)
    expect(visitor.box).to_have_value("quick one")
    own = [line for line in lines if line.startswith("Baton:")]
    assert len(own) == 1
    assert "BATON_ALLOWED_ORIGINS" in own[0]
    assert other_site.rstrip("/") in own[0]


def test_which_limit_and_until_when(visit: Visit, stranger: Visit, strict: str) -> None:
    """A chat that has reached its hourly limit says so, with the minutes and the time; so does a whole network."""
    visitor = visit(f"{strict}/chat")
    visitor.ask("quick one")
    expect(visitor.answers).to_have_count(1)
    visitor.ask("quick two")
    expect(visitor.status).to_contain_text("This chat has reached its limit")
    notice = visitor.status.inner_text()
    assert "minutes, at " in notice
    expect(visitor.button("Retry")).to_be_visible()
    for n in range(2):
        other = stranger(f"{strict}/chat")
        other.ask("quick one")
        if n == 0:
            expect(other.answers).to_have_count(1)
    expect(other.status).to_contain_text("from your network")
    expect(other.status).to_contain_text("seconds")
