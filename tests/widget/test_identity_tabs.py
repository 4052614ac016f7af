"""Tabs of one browser and who speaks in them: a tab speaks for whom its own page named, and for nobody else."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import BrowserContext, Request, expect

from tests.widget.conftest import Visitor, answered
from tests.widget.test_identity import baton, claimed, identify, signed, site, status_of, stored

__all__ = ["baton", "site"]

Visit = Callable[..., Visitor]
FAST = 'data-heartbeat-interval="1"'


class SentTokens:
    """The tokens that each tab has sent with its calls."""

    def __init__(self, context: BrowserContext) -> None:
        self.calls: list[tuple[object, str]] = []
        context.on("request", self._note)

    def _note(self, request: Request) -> None:
        if "baton-user" in request.headers:
            self.calls.append((request.frame.page, request.headers["baton-user"]))

    def __call__(self, visitor: Visitor, since: int = 0) -> set[str]:
        """The tokens of one tab, in the calls from number ``since`` on."""
        return {token for page, token in self.calls[since:] if page == visitor.page}


@pytest.fixture
def proofs(context: BrowserContext) -> SentTokens:
    """The tokens that a tab has sent with its calls."""
    return SentTokens(context)


def test_an_anonymous_tab_stays_anonymous(visit: Visit, proofs: SentTokens, baton: str) -> None:
    """A user speaks in one tab, and its heartbeats go on: another tab's anonymous chat stays what it is."""
    one = answered(visit(tag=FAST, **signed("ada")).open(), "quick for ada alone")
    other = visit(tag=FAST).open()
    expect(other.articles).to_have_count(0)
    other.ask("quick for anybody")
    expect(other.answers).to_have_count(1)
    anonymous = stored(other)
    for number in (2, 3):
        one.page.bring_to_front()
        one.ask("quick again for ada")
        expect(one.answers).to_have_count(number)
        with one.page.expect_response("**/heartbeat"):
            pass
        other.page.bring_to_front()
        other.ask("quick again for anybody")
        expect(other.answers).to_have_count(number)
        with other.page.expect_response("**/heartbeat"):
            pass
    assert "ada" not in "".join(other.articles.all_inner_texts())
    assert "anybody" not in "".join(one.articles.all_inner_texts())
    assert proofs(other) == set()
    assert status_of(baton, anonymous) == 200
    one.page.reload()
    expect(one.answers).to_have_count(3)
    assert "anybody" not in "".join(one.articles.all_inner_texts())


def test_tabs_of_different_people_never_meet(visit: Visit, proofs: SentTokens) -> None:
    """Two tabs whose pages name two people each keep their own conversation, whoever speaks, also after a reload."""
    one, other = visit(tag=FAST, **signed("eva")).open(), visit(tag=FAST, **signed("bob")).open()
    for number in (1, 2):
        for tab, name in ((one, "eva"), (other, "bob")):
            tab.page.bring_to_front()
            tab.ask(f"quick of {name}")
            expect(tab.answers).to_have_count(number)
            with tab.page.expect_response("**/heartbeat"):
                pass
    for tab, foreign in ((one, "bob"), (other, "eva")):
        assert foreign not in "".join(tab.articles.all_inner_texts())
        tab.page.reload()
        expect(tab.answers).to_have_count(2)
        assert foreign not in "".join(tab.articles.all_inner_texts())
        assert tab.errors == []
    assert not proofs(one) & proofs(other)


def test_a_proof_is_lent_for_the_claimed_conversation_alone(visit: Visit, proofs: SentTokens, baton: str) -> None:
    """A tab that shows a conversation follows its claim in another tab; what it begins after that is anonymous."""
    one = answered(visit().open(), "quick one")
    other = visit().open()
    expect(other.answers).to_have_count(1)
    old = stored(one)
    identify(one, "lea")
    new = claimed(one, old)
    other.page.bring_to_front()
    other.ask("quick two")
    expect(other.answers).to_have_count(2)
    expect(one.answers).to_have_count(2)
    assert status_of(baton, new) == 403
    other.act("New chat")
    expect(other.articles).to_have_count(0)
    lent = len(proofs(other))
    with other.page.expect_request("**/api/session/create") as created:
        other.ask("quick three")
    assert "baton-user" not in created.value.headers
    expect(other.answers).to_have_count(1)
    assert status_of(baton, stored(other)) == 200
    assert lent == len(proofs(other)) == 1


def test_a_tab_that_names_somebody_else_is_lent_nothing(visit: Visit, proofs: SentTokens, baton: str) -> None:
    """Where two tabs show one anonymous conversation and name two people, it becomes the first one's alone."""
    one = answered(visit().open(), "quick one")
    other = visit().open()
    expect(other.answers).to_have_count(1)
    old = stored(one)
    identify(one, "max")
    identify(other, "tom")
    named = len(proofs.calls)  # before it knew its own name, this tab may have been lent the other's token
    new = claimed(one, old)
    owner, loser = (one, other) if status_of(baton, new, "max") == 200 else (other, one)
    owner.page.bring_to_front()
    owner.ask("quick two")
    expect(owner.answers).to_have_count(2)
    loser.page.bring_to_front()
    loser.ask("quick three")
    expect(loser.page.get_by_text("quick three", exact=True)).to_have_count(1)
    expect(owner.page.get_by_text("quick three", exact=True)).to_have_count(0)
    expect(loser.page.get_by_text("quick two", exact=True)).to_have_count(0)
    assert not proofs(one, named) & proofs(other, named)
