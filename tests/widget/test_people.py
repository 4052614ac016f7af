"""A person steps in, as the visitor sees it: the queue, the person, the way back; a message where nobody is there."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import jwt
import pytest
import redis
from playwright.sync_api import BrowserContext, ConsoleMessage, Locator, expect

from app.storage.embedded_redis import socket_path
from tests.conftest import until
from tests.contract.desk_client import ServerClient
from tests.widget.conftest import Visitor, answered, serve_baton, serve_site
from tests.widget.test_axe import clean
from tests.widget.test_handing_over import shared_link

Visit = Callable[..., Visitor]
KEY = "a key of the tests"
SECRET = "a secret of at least thirty-two bytes"
SETTINGS = {"BATON_DESK": "on", "BATON_API_KEY": KEY, "BATON_IDENTITY_SECRET": SECRET}
JOINED = "Anna Berg joined the conversation."
OVERFLOW = "() => document.documentElement.scrollWidth - document.documentElement.clientWidth"


class Operator:
    """Somebody at the desk, for whom a server calls; what they do is done to the conversation that ``last`` finds."""

    def __init__(self, url: str, name: str) -> None:
        server = ServerClient(url, KEY)
        self.client = server.acting_as(server.invite(name, "lead")[0])

    def call(self, method: str, path: str, **body: Any) -> dict[str, Any]:
        response = self.client.call(method, path, **({"json": body} if method != "GET" else {}))
        assert response.is_success, response.text
        fields: dict[str, Any] = response.json()
        return fields

    def available(self, on: bool) -> None:
        self.call("POST", "/me", available=on)

    def rows(self, view: str) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = self.call("GET", f"/conversations?view={view}")["conversations"]
        return rows

    def last(self, text: str) -> str:
        """The ref of the conversation whose last words are these; of one without words, with none."""

        def find() -> list[str]:
            rows = [row for view in ("queue", "open", "bot") for row in self.rows(view)]
            return [row["ref"] for row in rows if (row["last_message"] or {"preview": ""})["preview"] == text]

        until(find, 10, f"a conversation that ends with {text!r}")
        return find()[0]

    def do(self, ref: str, what: str, **body: Any) -> None:
        self.call("POST", f"/conversations/{ref}/{what}", **body)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the service keeps its data."""
    return tmp_path_factory.mktemp("people")


@pytest.fixture(scope="module")
def storage(baton: str, folder: Path) -> Iterator[redis.Redis]:
    """The service's own Redis."""
    with redis.Redis(unix_socket_path=str(socket_path(folder))) as client:
        yield client


@pytest.fixture(scope="module")
def baton(folder: Path) -> Iterator[str]:
    """The address of a service with the desk on."""
    with serve_baton(folder, **SETTINGS) as address:
        yield address


@pytest.fixture(scope="module")
def site(baton: str) -> Iterator[str]:
    """The address of the customer's site."""
    with serve_site(baton) as address:
        yield address


@pytest.fixture(scope="module")
def invited(baton: str) -> Operator:
    return Operator(baton, "Anna Berg")


@pytest.fixture
def anna(invited: Operator) -> Iterator[Operator]:
    """An operator who is there; afterwards nobody waits."""
    invited.available(True)
    yield invited
    for row in (*invited.rows("queue"), *invited.rows("open")):
        invited.do(row["ref"], "end")


@pytest.fixture(autouse=True)
def quiet(context: BrowserContext) -> Iterator[None]:
    """The console has no error and no warning."""
    messages: list[str] = []

    def hear(message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            messages.append(message.text)

    context.on("console", hear)
    yield
    assert messages == []


def people(visitor: Visitor) -> Locator:
    """The line that says who answers."""
    return visitor.page.get_by_role("status").locator(".people")


def waiting(visit: Visit) -> Visitor:
    """A visitor who has been answered, has asked for a person, and is the first in the queue."""
    visitor = answered(visit().open())
    visitor.act("Talk to a person")
    expect(people(visitor)).to_contain_text("You are number 1")
    return visitor


def test_from_the_assistant_to_a_person_and_back(visit: Visit, anna: Operator) -> None:
    """Asked for, waited for, joined, written with, given back: one calm line each, announced once to screen readers."""
    visitor = visit().open()
    expect(visitor.page.get_by_text("People from our team may read along")).to_be_visible()
    visitor.page.evaluate(HEAR)
    visitor.act("Talk to a person")
    expect(people(visitor)).to_contain_text("You are number 1 in the queue.")
    with visitor.page.expect_response(re.compile("/typing$")) as typing:
        visitor.ask("Is anybody there?")
    assert typing.value.status == 200
    expect(visitor.articles).to_have_count(1)
    ref = anna.last("Is anybody there?")
    anna.do(ref, "take")
    expect(people(visitor)).to_contain_text(JOINED)
    anna.do(ref, "typing")
    expect(visitor.page.get_by_text("Anna Berg is typing…").first).to_be_visible()
    anna.do(ref, "messages", message="Good day!\nHow can I help?")
    message = visitor.page.get_by_role("article", name="Anna Berg")
    expect(message).to_contain_text("How can I help?")
    expect(message.locator(".avatar")).to_have_text("AB")
    expect(visitor.page.locator(".list-end")).to_be_empty()
    visitor.ask("My parcel is lost.")
    anna.last("My parcel is lost.")
    expect(visitor.page.locator(".delivery, .thinking")).to_have_count(0)
    expect(visitor.button("Stop")).to_have_count(0)
    expect(visitor.button("Retry")).to_have_count(0)
    anna.do(ref, "release", to="bot")
    expect(people(visitor)).to_contain_text("You are back with the assistant.")
    visitor.ask("quick")
    expect(visitor.answers).to_contain_text("A quick answer.")
    expect(people(visitor)).to_have_count(0)
    received: list[str] = visitor.page.evaluate("() => window.heard")
    for line in ("You are number 1 in the queue.", JOINED, "You are back with the assistant.", "is typing…"):
        assert len([one for one in received if line in one]) == 1, (line, received)
    assert visitor.errors == []


HEAR = """() => { window.heard = [];
    const root = document.querySelector('baton-widget').shadowRoot.querySelector('baton-chat').shadowRoot;
    const hear = (found) => { for (const { addedNodes, target, type } of found)
        for (const one of type === 'characterData' ? [target] : addedNodes) if (one.textContent.trim())
            window.heard.push(one.textContent) };
    for (const one of root.querySelectorAll('[role=status], [aria-live=polite]'))
        new MutationObserver(hear).observe(one, { childList: true, subtree: true, characterData: true }) }"""


def test_what_a_person_writes_is_in_sight(visit: Visit, anna: Operator) -> None:
    """After an answer that was shown from its question on, each message of a person is shown to its end."""
    visitor = answered(visit().open(), "prose")
    visitor.act("Talk to a person")
    expect(people(visitor)).to_contain_text("in the queue")
    ref = anna.rows("queue")[0]["ref"]
    anna.do(ref, "take")
    for number in range(1, 9):
        anna.do(ref, "messages", message=f"A line.\nLine {number}.")
        one = visitor.page.get_by_role("article", name="Anna Berg").filter(has_text=f"Line {number}.")
        expect(one).to_be_in_viewport(ratio=0.9)


def test_the_place_in_the_queue(visit: Visit, stranger: Visit, anna: Operator) -> None:
    """Who waits behind somebody moves up when they are served."""
    first = answered(visit().open(), "quick one")
    first.act("Talk to a person")
    expect(people(first)).to_contain_text("You are number 1 in the queue.")
    second = stranger().open().ask("quick two")
    expect(second.answers).to_contain_text("A quick answer.")
    second.act("Talk to a person")
    expect(people(second)).to_contain_text("You are number 2 in the queue.")
    anna.do(anna.rows("queue")[0]["ref"], "take")
    expect(people(first)).to_contain_text(JOINED)
    expect(people(second)).to_contain_text("You are number 1 in the queue.")


def test_a_take_in_the_middle_of_an_answer(visit: Visit, anna: Operator) -> None:
    """The words so far stay and are marked calmly, no word of the bot follows, and nothing is left to stop or retry."""
    visitor = visit().open().ask("words=100 pace=0.1")
    expect(visitor.answers).to_contain_text("w3")
    anna.do(anna.last("words=100 pace=0.1"), "take")
    expect(people(visitor)).to_contain_text(JOINED)
    expect(visitor.answers).to_contain_text("This answer stops here: a person takes over.")
    said = visitor.answers.locator(".text").inner_text()
    anna.do(anna.rows("mine")[0]["ref"], "messages", message="I am here now.")
    expect(visitor.page.get_by_role("article", name="Anna Berg")).to_contain_text("I am here now.")
    assert visitor.answers.locator(".text").inner_text() == said
    assert re.fullmatch(r"w0( w\d+)*\s*", said)
    for gone in ("Stop", "Retry"):
        expect(visitor.button(gone)).to_have_count(0)
    visitor.page.reload()
    visitor.page.get_by_role("dialog").wait_for()
    expect(visitor.answers).to_contain_text("This answer stops here: a person takes over.")
    assert visitor.answers.locator(".text").inner_text() == said


def test_a_take_before_the_first_word(visit: Visit, anna: Operator) -> None:
    """Nothing is left of an answer that had no word yet."""
    visitor = visit().open().ask("silent")
    expect(visitor.button("Stop")).to_be_visible()
    anna.do(anna.last("silent"), "take")
    expect(people(visitor)).to_contain_text(JOINED)
    expect(visitor.button("Send")).to_be_visible()
    expect(visitor.articles).to_have_count(1)
    expect(visitor.page.locator(".thinking")).to_have_count(0)


def test_wherever_the_visitor_is(visit: Visit, context: BrowserContext, anna: Operator) -> None:
    """A second tab, a reload and the full page show the same state and every change, waiting and talking."""
    visitor = answered(visit().open())
    second = visit().open()
    expect(second.answers).to_have_count(1)
    visitor.act("Talk to a person")
    full = visitor.carry_on()
    tabs = [visitor, second, full]

    def reloaded(line: str) -> None:
        for one in tabs:
            expect(people(one)).to_contain_text(line)
        for one in tabs:
            one.page.reload()
        for one in tabs:
            expect(people(one)).to_contain_text(line)
            expect(one.answers).to_have_count(1)

    reloaded("You are number 1 in the queue.")
    ref = anna.rows("queue")[0]["ref"]
    anna.do(ref, "take")
    reloaded(JOINED)
    full.ask("From the full page.")
    anna.last("From the full page.")
    anna.do(ref, "messages", message="Seen.")
    for one in tabs:
        expect(one.page.get_by_role("article", name="Anna Berg")).to_contain_text("Seen.")
    anna.do(ref, "release", to="bot")
    for one in tabs:
        expect(people(one)).to_contain_text("back with the assistant")
        one.page.reload()
        expect(one.page.get_by_role("article", name="Anna Berg")).to_contain_text("Seen.")
        expect(one.button("Retry")).to_have_count(0)
        assert one.errors == []


def test_out_of_sight(visit: Visit, context: BrowserContext, anna: Operator) -> None:
    """With the panel closed a person's words are counted on the launcher and in the title, and the place is kept."""
    visitor = waiting(visit)
    visitor.button("Close chat").click()
    anna.do(anna.rows("queue")[0]["ref"], "messages", message="Here I am.")
    expect(visitor.page).to_have_title(re.compile(r"^\(1\) "))
    visitor.button("Open chat").click()
    expect(people(visitor)).to_contain_text(JOINED)


def test_signing_in_while_a_person_answers(visit: Visit, anna: Operator) -> None:
    """The conversation becomes the user's, and the person stays in it."""
    visitor = waiting(visit)
    anna.do(anna.rows("queue")[0]["ref"], "take")
    expect(people(visitor)).to_contain_text(JOINED)
    token = jwt.encode({"sub": "ada", "exp": time.time() + 600, "aud": "baton"}, SECRET, "HS256")
    with visitor.page.expect_response(re.compile("/claim$")) as claimed:
        visitor.page.evaluate("(token) => window.Baton.identify(token)", token)
    assert claimed.value.status == 200
    visitor.ask("Do you know me now?")
    anna.do(anna.last("Do you know me now?"), "messages", message="Of course.")
    expect(visitor.page.get_by_role("article", name="Anna Berg")).to_contain_text("Of course.")
    expect(people(visitor)).to_contain_text(JOINED)


def test_ended_by_the_person(visit: Visit, anna: Operator) -> None:
    """The chat has ended, nobody is announced any more, and the next question begins a new one with the assistant."""
    visitor = waiting(visit)
    ref = anna.rows("queue")[0]["ref"]
    anna.do(ref, "take")
    anna.do(ref, "end")
    expect(visitor.status).to_contain_text("ended")
    expect(people(visitor)).to_have_count(0)
    visitor.ask("quick again")
    expect(visitor.answers).to_have_count(2)


def test_offered_where_it_helps(visit: Visit, anna: Operator) -> None:
    """Under an answer that does not know, and where the visitor asks for a person, and not elsewhere."""
    visitor = answered(visit().open())
    expect(visitor.button("Talk to a person")).to_have_count(0)
    visitor.ask("a riddle")
    expect(visitor.answers).to_have_count(2)
    expect(visitor.button("Talk to a person")).to_be_visible()
    visitor.ask("quick, please")
    expect(visitor.answers).to_have_count(3)
    expect(visitor.button("Talk to a person")).to_have_count(0)
    visitor.ask("quick: can I speak to a human?")
    expect(visitor.answers).to_have_count(4)
    visitor.button("Talk to a person").click()
    expect(people(visitor)).to_contain_text("You are number 1 in the queue.")
    expect(visitor.box).to_be_focused()


def test_nobody_is_there(visit: Visit, anna: Operator) -> None:
    """By keyboard alone a message is left, with a mail address; the operators have both, and nothing is waited for."""
    anna.available(False)
    visitor = visit().open()
    visitor.act("Talk to a person")
    form = visitor.page.get_by_role("dialog", name="Nobody is here right now")
    expect(form.get_by_label("Your message")).to_be_focused()
    keys = visitor.page.keyboard
    keys.type("Please write to me.")
    keys.press("Tab")
    keys.type("Ada")
    keys.press("Tab")
    keys.type("ada@")
    keys.press("Enter")
    expect(form.get_by_role("alert")).to_have_text("Please check the email address.")
    expect(form.get_by_label("Your email address")).to_be_focused()
    keys.type("example.test")
    keys.press("Enter")
    expect(form).to_have_count(0)
    expect(people(visitor)).to_contain_text("A reply will come here or by email.")
    expect(visitor.articles).to_have_count(1)
    expect(visitor.button("Stop")).to_have_count(0)
    ref = anna.last("Please write to me.")
    row = anna.call("GET", f"/conversations/{ref}")
    assert {"name": "Ada", "email": "ada@example.test"} in [
        row.get("contact"),
        row.get("conversation", {}).get("contact"),
    ]
    anna.available(True)
    anna.do(ref, "messages", message="I have read it.")
    expect(people(visitor)).to_contain_text(JOINED)
    expect(visitor.page.get_by_role("article", name="Anna Berg")).to_contain_text("I have read it.")


def test_a_queue_that_nobody_serves(stranger: Visit, tmp_path: Any) -> None:
    """The visitor is told so after a while, and may leave a message; the assistant answers again."""
    with serve_baton(tmp_path, BATON_QUEUE_TIMEOUT="1", WEB_CONCURRENCY="1", **SETTINGS) as address:
        operator = Operator(address, "Anna Berg")
        operator.available(True)
        visitor = answered(stranger(f"{address}/chat"))
        visitor.act("Talk to a person")
        expect(people(visitor)).to_contain_text("nobody was free to answer")
        visitor.ask("quick again")
        expect(visitor.answers).to_have_count(2)


def test_on_another_device(visit: Visit, stranger: Visit, anna: Operator) -> None:
    """By a link opened elsewhere the person and their words are there at once; both devices stay in step."""
    visitor = waiting(visit)
    ref = anna.rows("queue")[0]["ref"]
    anna.do(ref, "messages", message="Hello, I am here.")
    expect(people(visitor)).to_contain_text(JOINED)
    url = shared_link(visitor)
    phone = stranger(url, viewport={"width": 390, "height": 780}, is_mobile=True, has_touch=True)
    devices = (visitor, phone)
    expect(people(phone)).to_contain_text(JOINED)
    expect(phone.page.get_by_role("article", name="Anna Berg")).to_contain_text("Hello, I am here.")
    assert phone.page.evaluate(OVERFLOW) <= 0
    phone.ask("I am on the train now.")
    anna.last("I am on the train now.")
    expect(visitor.articles.last).to_contain_text("I am on the train now.")
    anna.do(ref, "typing")
    for one in devices:
        expect(one.page.get_by_text("Anna Berg is typing…").first).to_be_visible()
    anna.do(ref, "messages", message="Have a good journey.")
    for one in devices:
        expect(one.articles.last).to_contain_text("Have a good journey.")
    anna.do(ref, "release", to="bot")
    for one in devices:
        expect(people(one)).to_contain_text("You are back with the assistant.")
    phone.ask("quick again")
    for one in devices:
        expect(one.answers).to_have_count(2)
        assert one.errors == []


def test_a_person_who_is_gone(visit: Visit, anna: Operator, baton: str, storage: redis.Redis) -> None:
    """The visitor is told that the person had to leave, and where in the queue they are; somebody else joins."""
    ben = ServerClient(baton, KEY).log_in("Ben Hill", "operator")
    visitor = waiting(visit)
    ref = anna.rows("queue")[0]["ref"]
    assert ben.post(f"/conversations/{ref}/messages", {"message": "One moment."}).status_code == 201
    expect(people(visitor)).to_contain_text("Ben Hill joined")
    storage.zadd("baton:desk:{desk}:present", {ben.operator_id: time.time() * 1000 - 121_000})
    storage.hincrby(f"baton:desk:{{desk}}:row:{ref}", "since", -121_000)
    expect(people(visitor)).to_contain_text("the person you were talking to had to leave")
    expect(people(visitor)).to_contain_text("You are number 1 in the queue.")
    clean(visitor.page, "absent")
    anna.do(ref, "take")
    expect(people(visitor)).to_contain_text(JOINED)
    assert visitor.errors == []


@pytest.mark.parametrize(
    ("theme", "lang", "width"), [("light", "en", 1000), ("dark", "en", 360), ("light", "ar", 360), ("dark", "de", 1000)]
)
def test_every_state_is_accessible(
    stranger: Visit, site: str, anna: Operator, theme: str, lang: str, width: int
) -> None:
    """axe finds nothing, and nothing is wider than the screen: light and dark, narrow and wide, in every language."""
    back, ink = ("#fff", "#111") if theme == "light" else ("#111", "#eee")
    head = (
        f"<meta name=viewport content='width=device-width'><style>html {{ background: {back}; color: {ink} }}</style>"
    )
    query = urlencode({"tag": f'data-theme="{theme}" data-lang="{lang}"', "head": head})
    visitor = stranger(f"{site}?{query}", color_scheme=theme, viewport={"width": width, "height": 700})
    page = visitor.page

    def look(what: str) -> None:
        clean(page, what)
        assert page.evaluate(OVERFLOW) <= 0, what

    def talk() -> None:
        page.locator("#more").click()
        page.locator("#menu button").first.click()

    page.locator("[part~=launcher]").click()
    expect(page.locator(".read-along")).to_be_visible()
    look("told that people may read along")
    anna.available(False)
    talk()
    expect(page.locator(".contact")).to_be_visible()
    page.locator(".contact [type=submit]").click()
    expect(page.get_by_role("alert")).not_to_be_empty()
    look("nobody there")
    page.locator("[name=message]").fill(f"Hello {theme} {lang}")
    page.locator(".contact [type=submit]").click()
    expect(page.locator(".people")).to_be_visible()
    look("left a message")
    anna.available(True)
    page.get_by_role("textbox").first.fill("a riddle")
    page.keyboard.press("Enter")
    expect(page.locator(".list-end button")).to_be_visible()
    look("offered")
    page.locator(".list-end button").click()
    expect(page.locator(".people.queue")).to_be_visible()
    look("queue")
    ref = anna.rows("queue")[0]["ref"]
    anna.do(ref, "messages", message="Good day!\nSee https://example.test/a-long-address-that-goes-on-and-on-and-on")
    anna.do(ref, "typing")
    expect(page.locator(".people.human")).to_be_visible()
    expect(page.locator(".list-end .avatar")).to_be_visible()
    look("a person")
    anna.do(ref, "release", to="bot")
    expect(page.locator(".people.bot")).to_be_visible()
    look("given back")
    assert visitor.errors == []
