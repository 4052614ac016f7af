"""The desk in a real Chromium: what operators do by keyboard, what they see live, and that everybody can use it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import httpx
import pytest
from playwright.sync_api import Browser, BrowserContext, Locator, Page, expect

from tests.conftest import until
from tests.contract.desk_client import ServerClient
from tests.widget.conftest import DEADLINE, serve_baton
from tests.widget.test_axe import STILL, clean

API_KEY = "the-desk-of-the-tests"
REPLIES = [
    {"shortcut": "hello", "text": "Hello, how can I help you?"},
    {"shortcut": "refund", "text": "Refunds take three to five working days."},
]
PAGE = "https://shop.example/pricing"


class Visitor:
    """Somebody who chats, by the API."""

    def __init__(self, base: str, name: str = "", **metadata: str) -> None:
        self.base = base
        created = httpx.post(f"{base}/api/session/create", json={"metadata": metadata}, timeout=10).json()
        self.headers = {"Authorization": f"Bearer {created['session_id']}"}
        self.name = name

    def post(self, path: str, body: dict[str, object] | None = None) -> httpx.Response:
        answer = httpx.post(f"{self.base}/api{path}", json=body or {}, headers=self.headers, timeout=30)
        answer.raise_for_status()
        return answer

    def ask(self, question: str) -> Visitor:
        self.post("/chat", {"query": question})
        return self

    def say(self, text: str) -> None:
        self.post("/session/me/messages", {"message": text})

    def want_a_person(self) -> Visitor:
        self.post("/session/me/human", {"contact": {"name": self.name}} if self.name else {})
        return self

    def history(self) -> list[dict[str, object]]:
        answer = httpx.get(f"{self.base}/api/session/me/messages", headers=self.headers, timeout=10).json()
        found: list[dict[str, object]] = answer["messages"]
        return found

    def texts(self) -> list[object]:
        return [message["content"] for message in self.history()]

    def handler(self) -> object:
        return httpx.get(f"{self.base}/api/session/me", headers=self.headers, timeout=10).json()["handler"]


class Desk:
    """An operator's tab, whose parts are found by their accessible names."""

    def __init__(self, page: Page, base: str) -> None:
        self.page, self.base = page, base
        self.errors: list[str] = []
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("console", lambda line: self.errors.append(line.text) if line.type == "error" else None)

    def view(self, name: str) -> Locator:
        return self.page.get_by_role("navigation", name="Views").get_by_role("link", name=name)

    @property
    def rows(self) -> Locator:
        return self.page.get_by_role("list", name="Conversations").get_by_role("listitem")

    @property
    def log(self) -> Locator:
        return self.page.get_by_role("log", name="Conversation")

    def field(self, name: str) -> Locator:
        return self.page.get_by_role("textbox", name=name)

    def button(self, name: str) -> Locator:
        return self.page.get_by_role("button", name=name, exact=True)

    def press(self, *keys: str) -> None:
        for key in keys:
            self.page.keyboard.press(key)

    def sees(self, text: str) -> None:
        expect(self.log.get_by_text(text)).to_be_visible()


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a service with a desk."""
    settings = {"BATON_DESK": "on", "BATON_API_KEY": API_KEY, "BATON_KEEP_QUESTIONS": "on"}
    with serve_baton(tmp_path_factory.mktemp("desk"), **settings) as address:
        yield address.replace("localhost", "127.0.0.1")


@pytest.fixture
def server(base: str) -> Iterator[ServerClient]:
    """The service's owner, with an operator who is available; at the end neither they nor a conversation are left."""
    one = ServerClient(base, API_KEY)
    pat, _ = one.invite("Pat Moore", "operator")
    one.acting_as(pat).call("POST", "/me", json={"available": True})
    yield one
    lead, _ = one.invite("Cleaner", "lead")
    for view in ("queue", "open", "bot", "ended"):
        for row in one.call("GET", f"/conversations?view={view}&limit=100").json()["conversations"]:
            one.acting_as(lead).call("DELETE", f"/conversations/{row['ref']}")
    for operator in one.call("GET", "/operators").json()["operators"]:
        one.call("DELETE", f"/operators/{operator['id']}")


@pytest.fixture
def sign_in(browser: Browser, server: ServerClient, base: str) -> Iterator[Callable[..., Desk]]:
    """Opens the desk for a new operator, in a browser of their own."""
    opened: list[tuple[BrowserContext, Desk]] = []

    def come(name: str = "Anna Berger", role: str = "lead", **more: object) -> Desk:
        context = browser.new_context(**more)  # type: ignore[arg-type]
        context.set_default_timeout(DEADLINE)
        expect.set_options(timeout=DEADLINE)
        desk = Desk(context.new_page(), base)
        opened.append((context, desk))
        _, invitation = server.invite(name, role)
        desk.page.goto(f"{base}/desk#invite={invitation}")
        expect(desk.view("Queue")).to_be_visible()
        return desk

    yield come
    for context, desk in opened:
        assert [text for text in desk.errors if "status of 4" not in text] == []
        context.close()


def test_twenty_tasks_by_keyboard(sign_in: Callable[..., Desk], server: ServerClient, base: str) -> None:
    """A support person's tasks, from seeing who waits longest to what the bot says after it got the chat back."""
    eva = Visitor(base, "Eva Lang", page=PAGE, plan="Pro").ask("sources").want_a_person()
    mia = Visitor(base, "Mia Wolf").ask("quick").want_a_person()
    desk = sign_in()
    page = desk.page
    server.acting_as(server.invite("Lead", "lead")[0]).call("PUT", "/replies", json={"replies": REPLIES})
    page.reload()
    # 1. see who waits longest, and how many wait
    expect(desk.view("Queue")).to_contain_text("2")
    expect(desk.rows.first).to_contain_text("Eva Lang")
    expect(page).to_have_title("(2) Desk")
    # 2. open that conversation
    desk.press("j", "Enter")
    expect(page.get_by_role("heading", name="Eva Lang")).to_be_visible()
    # 3. read what was said, with its sources
    expect(desk.log.get_by_role("article")).to_have_count(2)
    expect(desk.log.get_by_role("link", name="1 First page")).to_be_visible()
    # 4. see where the visitor is, and what the site says of them
    details = page.get_by_role("complementary", name="Details")
    expect(details.get_by_role("link", name="/pricing")).to_have_attribute("href", PAGE)
    expect(details).to_contain_text("Pro")
    # 5. take it; the focus is where the reply is written
    desk.press("t")
    expect(desk.field("Reply")).to_be_focused()
    expect(desk.view("Queue")).to_contain_text("1")
    until(lambda: eva.handler() == "human", what="Eva's chat to be taken")
    # 6. reply
    page.keyboard.type("Hello Eva, just a moment.")
    desk.press("Enter")
    expect(desk.log.get_by_role("article", name="You")).to_contain_text("just a moment")
    until(lambda: "Hello Eva, just a moment." in eva.texts(), what="the reply to arrive")
    # 7. see that the visitor types, and what they wrote
    eva.post("/session/me/typing")
    expect(page.get_by_text("Eva Lang is typing…")).to_be_visible()
    eva.say("When do I get my money back?")
    desk.sees("When do I get my money back?")
    expect(page.get_by_text("Eva Lang is typing…")).to_have_count(0)
    # 8. a canned reply
    page.keyboard.type("/ref")
    expect(page.get_by_role("option", name="refund")).to_be_visible()
    desk.press("Enter")
    expect(desk.field("Reply")).to_have_value(REPLIES[1]["text"])
    desk.press("Enter")
    until(lambda: REPLIES[1]["text"] in eva.texts(), what="the canned reply to arrive")
    # 9. the same from outside of the field
    desk.press("Escape", "/", "ArrowDown", "ArrowUp", "Enter")
    expect(desk.field("Reply")).to_have_value(REPLIES[0]["text"])
    desk.press("Control+a", "Delete", "Escape")
    # 10. a note for colleagues, which the visitor does not get
    desk.press("n")
    page.keyboard.type("Ordered twice.")
    desk.press("Enter")
    expect(desk.log.get_by_role("article", name="Your note")).to_contain_text("Ordered twice.")
    assert "Ordered twice." not in eva.texts()
    # 11. the next conversation of the queue
    desk.press("Escape", "j", "Enter")
    expect(page.get_by_role("heading", name="Mia Wolf")).to_be_visible()
    # 12. take over by the first word of a reply
    desk.press("r")
    page.keyboard.type("Hello Mia.")
    desk.press("Enter")
    until(lambda: mia.handler() == "human", what="Mia's chat to be taken")
    expect(desk.view("Mine")).to_contain_text("2")
    # 13. go to one's own conversations
    desk.press("Escape", "2")
    expect(desk.view("Mine")).to_have_attribute("aria-current", "page")
    expect(desk.rows).to_have_count(2)
    # 14. find one by a name, wherever one is
    desk.press("Control+k")
    page.keyboard.type("eva lang")
    desk.press("Enter")
    expect(page.get_by_role("heading", name="Eva Lang")).to_be_visible()
    # 15. assign it to a colleague
    desk.press("a")
    expect(page.get_by_role("dialog", name="Assign to").get_by_role("button", name="Pat Moore")).to_be_focused()
    desk.press("Enter")
    expect(page.get_by_text("Pat Moore has this conversation").first).to_be_visible()
    # 16. put the other one back into the queue
    desk.press("Control+k")
    page.keyboard.type("mia wolf")
    desk.press("Enter")
    expect(page.get_by_role("heading", name="Mia Wolf")).to_be_visible()
    desk.press("q")
    until(lambda: mia.handler() == "queue", what="Mia to wait again")
    # 17. switch oneself available
    page.get_by_role("switch", name="Available").focus()
    desk.press("Enter")
    expect(page.get_by_role("switch", name="Available")).to_be_checked()
    # 18. hand back to the bot, and check what it says next
    desk.press("b")
    until(lambda: mia.handler() == "bot", what="the bot to have Mia's chat")
    mia.ask("prose")
    desk.sees("Nobody has to sweep.")
    # 19. end a chat, after a question
    desk.press("e")
    expect(page.get_by_role("dialog", name="End this chat?")).to_be_visible()
    desk.press("Tab", "Enter")
    expect(page.get_by_text("This chat has ended").first).to_be_visible()
    assert httpx.get(f"{base}/api/session/me", headers=mia.headers, timeout=10).json()["status"] == "ended"
    # 20. look up the keys
    desk.press("?")
    expect(page.get_by_role("dialog", name="Keyboard shortcuts")).to_be_visible()
    desk.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)


def test_an_empty_queue_says_that_one_is_not_available(sign_in: Callable[..., Desk]) -> None:
    """At the first login nobody is put into the queue for this operator: the queue says so, and how to change it."""
    desk = sign_in()
    expect(desk.page.get_by_role("list", name="Conversations")).to_be_visible()  # also without a row
    expect(desk.page.get_by_text("You are not available.")).to_be_visible()
    desk.button("Make me available").click()
    expect(desk.page.get_by_role("switch", name="Available")).to_be_checked()
    expect(desk.page.get_by_text("You are not available.")).to_have_count(0)


def test_what_was_taken_is_followed(sign_in: Callable[..., Desk], base: str) -> None:
    """Taken from the bot, or last of the queue, it stays in a list: that of one's own. While others wait, they do."""
    bo, eva, mia = (Visitor(base, name).ask("quick") for name in ("Bo", "Eva Lang", "Mia Wolf"))
    eva.want_a_person()
    mia.want_a_person()
    desk = sign_in()
    current = desk.page.locator(".row[aria-current]")
    expect(desk.rows).to_have_count(2)
    desk.press("j", "Enter")
    expect(desk.page.get_by_role("button", name="Take", exact=True)).to_be_visible()
    desk.press("t")
    expect(desk.field("Reply")).to_be_focused()
    expect(desk.rows).to_have_count(1)
    expect(desk.view("Queue")).to_have_attribute("aria-current", "page")
    desk.press("Escape", "j", "Enter")
    expect(desk.page.get_by_role("button", name="Take", exact=True)).to_be_visible()
    desk.press("t")
    expect(desk.view("Mine")).to_have_attribute("aria-current", "page")
    expect(current).to_contain_text("Mia Wolf")
    expect(desk.field("Reply")).to_be_focused()
    desk.press("Escape", "4")
    expect(desk.rows).to_have_count(1)
    desk.press("j", "Enter")
    expect(desk.page.get_by_role("button", name="Take", exact=True)).to_be_visible()
    desk.press("r")
    expect(desk.field("Reply")).to_be_focused()
    desk.page.keyboard.type("May I help?")
    desk.press("Enter")
    until(lambda: "May I help?" in bo.texts(), what="the reply that takes the chat from the bot")
    expect(desk.view("Mine")).to_have_attribute("aria-current", "page")
    expect(current).to_contain_text("May I help?")
    expect(desk.field("Reply")).to_be_focused()


def test_a_slash_alone_is_not_sent(sign_in: Callable[..., Desk], base: str, server: ServerClient) -> None:
    """Where there are no canned replies, Enter after the slash that asks for them sends no slash."""
    server.acting_as(server.invite("Lead", "lead")[0]).call("PUT", "/replies", json={"replies": []})
    visitor = Visitor(base, "Eva Lang").ask("quick").want_a_person()
    desk = sign_in()
    expect(desk.rows).to_have_count(1)
    desk.press("j", "Enter")
    expect(desk.button("Take")).to_be_visible()
    desk.press("t")
    expect(desk.field("Reply")).to_be_focused()
    desk.press("/")
    expect(desk.page.get_by_text("There are no canned replies yet.")).to_be_visible()
    desk.press("Enter", "Escape", *"Hello", "Enter")
    until(lambda: "Hello" in visitor.texts(), what="the reply")
    assert "/" not in visitor.texts()


def test_the_bots_words_stream_in_until_somebody_takes_over(sign_in: Callable[..., Desk], base: str) -> None:
    """Whoever looks sees how an answer is rated, and the next one grow; taking it ends it there, for good."""
    visitor = Visitor(base, "Eva Lang")
    visitor.ask("quick")
    desk = sign_in()
    desk.view("Bot").click()
    desk.rows.first.click()
    desk.sees("A quick answer.")
    rated = visitor.history()[-1]["id"]
    visitor.post(f"/session/me/messages/{rated}/feedback", {"rating": "down", "comment": "Far too quick"})
    desk.sees("Far too quick")
    with httpx.stream(
        "POST",
        f"{base}/api/chat",
        json={"query": "long"},
        headers={**visitor.headers, "Accept": "text/event-stream"},
        timeout=30,
    ) as answer:
        live = desk.log.locator("article[aria-busy=true]")
        expect(live).to_contain_text("w3")
        desk.press("t")
        answer.read()
    expect(live).to_have_count(0)
    said = desk.log.get_by_role("article", name="Bot").last.locator(".text").inner_text()
    assert said.split()[:4] == ["w0", "w1", "w2", "w3"]
    assert len(said.split()) < 120
    expect(desk.log).to_contain_text("This answer was cut off here.")
    stored = visitor.history()[-1]
    assert str(stored["content"]).split() == said.split()


def test_an_invitation_leaves_the_address_and_signs_in_once(browser: Browser, server: ServerClient, base: str) -> None:
    """Opening the link signs in, once; over somebody's login it waits for a button and spends nothing until then."""
    operator, invitation = server.invite("Anna Berger", "operator")
    _, another = server.invite("Ben Cole", "operator")
    context = browser.new_context()
    context.set_default_timeout(DEADLINE)
    desk = Desk(context.new_page(), base)
    desk.page.goto(f"{base}/desk#invite={invitation}")
    expect(desk.view("Queue")).to_be_visible()
    assert "invite" not in desk.page.url
    desk.page.reload()
    expect(desk.view("Queue")).to_be_visible()
    for _ in range(2):
        desk.page.goto(f"{base}/desk#invite={another}")  # pasted over the open desk
        expect(desk.button("Sign in")).to_be_visible()
        expect(desk.page).to_have_url(f"{base}/desk")
        assert another not in desk.page.evaluate("JSON.stringify([document.documentElement.outerHTML, history.state])")
    desk.page.reload()
    expect(desk.view("Queue")).to_be_visible()
    assert desk.errors == []
    other = Desk(browser.new_context().new_page(), base)
    other.page.goto(f"{base}/desk")
    expect(other.page.get_by_text("You are not signed in.")).to_be_visible()
    assert other.errors == []
    other.page.goto(f"{base}/desk#invite={invitation}")
    expect(other.page.get_by_text("This invitation has already been used or has expired.")).to_be_visible()
    other.page.goto(f"{base}/desk#invite={another}")
    expect(other.view("Queue")).to_be_visible()
    other.page.context.close()
    # Removed while at work: nothing is left on the screen.
    Visitor(base, "Eva Lang").ask("quick").want_a_person()
    expect(desk.rows).to_have_count(1)
    server.call("DELETE", f"/operators/{operator}")
    expect(desk.page.get_by_text("You have been signed out.")).to_be_visible()
    expect(desk.page.get_by_text("Eva Lang")).to_have_count(0)
    context.close()


def test_two_operators_one_conversation(sign_in: Callable[..., Desk], base: str) -> None:
    """The second one sees who else looks and who has it, and can write notes alone. A viewer writes nothing."""
    Visitor(base, "Eva Lang").ask("quick").want_a_person()
    anna, tom, vera = sign_in(), sign_in("Tom Reed", "operator"), sign_in("Vera Noll", "viewer")
    for desk in (anna, tom, vera):
        desk.rows.first.click()
        expect(desk.page.get_by_role("heading", name="Eva Lang")).to_be_visible()
    expect(anna.page.get_by_text("Tom Reed, Vera Noll are also viewing this")).to_be_visible()
    expect(vera.field("Reply")).to_have_count(0)
    expect(vera.button("Take")).to_have_count(0)
    expect(vera.page.get_by_role("link", name="Analytics")).to_have_count(0)
    anna.button("Take").click()
    expect(tom.page.get_by_text("Anna Berger has this conversation").first).to_be_visible()
    expect(tom.field("Reply")).to_be_disabled()
    expect(tom.button("Take")).to_have_count(0)
    tom.field("Note").fill("I know her.")
    tom.button("Send").click()
    expect(anna.log.get_by_role("article", name="Note by Tom Reed")).to_contain_text("I know her.")
    anna.field("Reply").fill("Hello!")
    anna.button("Send").click()
    expect(tom.log.get_by_role("article", name="Anna Berger")).to_contain_text("Hello!")


def test_single_keys_do_nothing_in_fields_and_can_be_switched_off(sign_in: Callable[..., Desk], base: str) -> None:
    """In a field they are text; switched off they do nothing anywhere, also after a reload. Ctrl+K goes on to work."""
    visitor = Visitor(base, "Eva Lang").ask("quick").want_a_person()
    desk = sign_in()
    desk.rows.first.click()
    desk.press("r")
    desk.page.keyboard.type("tbeqanj?/")
    expect(desk.field("Reply")).to_have_value("tbeqanj?/")
    assert visitor.handler() == "queue"
    desk.field("Reply").fill("")
    desk.press("Escape", "?")
    off = desk.page.get_by_role("dialog").get_by_role("switch", name="Single-key shortcuts")
    off.click()
    expect(off).not_to_be_checked()
    desk.press("Escape")
    desk.page.reload()
    expect(desk.page.get_by_role("heading", name="Eva Lang")).to_be_visible()
    desk.press("e", "t", "?")
    expect(desk.page.get_by_role("dialog")).to_have_count(0)
    desk.press("Control+k")
    expect(desk.page.get_by_role("combobox")).to_be_focused()
    desk.press("Escape")
    expect(desk.page.get_by_role("dialog")).to_have_count(0)
    assert visitor.handler() == "queue"


def test_what_came_while_offline_is_there_once_afterwards(sign_in: Callable[..., Desk], base: str) -> None:
    """Offline says so and keeps what is on the screen; then each message is there once, a reply too, with Retry."""
    visitor = Visitor(base, "Eva Lang").ask("quick").want_a_person()
    desk = sign_in()
    desk.rows.first.click()
    expect(desk.button("Take")).to_be_visible()
    desk.press("t")
    expect(desk.field("Reply")).to_be_focused()
    desk.page.context.set_offline(True)
    expect(desk.page.get_by_text("You are offline.")).to_be_visible()
    desk.field("Reply").fill("Can you hear me?")
    desk.press("Enter")
    failed = desk.log.get_by_role("article", name="You")
    expect(failed.get_by_role("button", name="Try again")).to_be_visible()
    visitor.say("Hello?")
    Visitor(base, "Mia Wolf").ask("quick").want_a_person()
    desk.page.context.set_offline(False)
    desk.sees("Hello?")
    expect(desk.view("Queue")).to_contain_text("1")
    expect(desk.page.get_by_text("You are offline.")).to_have_count(0)
    failed.get_by_role("button", name="Try again").click()
    until(lambda: visitor.texts().count("Can you hear me?") == 1, what="the reply to arrive")
    expect(desk.log.get_by_text("Can you hear me?")).to_have_count(1)
    expect(desk.log.get_by_text("Hello?")).to_have_count(1)
    desk.errors.clear()  # browsers report each call that the network refused


def test_on_a_phone_the_list_then_the_conversation(sign_in: Callable[..., Desk], base: str) -> None:
    """At 360 pixels one thing at a time, nothing wider than the screen; back by the link and by the history."""
    Visitor(base, "Eva Lang", page=PAGE).ask("sources").want_a_person()
    desk = sign_in(viewport={"width": 360, "height": 740}, has_touch=True, is_mobile=True)
    page = desk.page
    expect(desk.view("Analytics")).to_be_visible()
    for name in ("Queue", "Mine", "Open", "Bot", "Ended", "Analytics"):
        place = desk.view(name).bounding_box()
        assert place, name
        assert 0 <= place["x"] <= 360 - place["width"], name
    desk.rows.first.tap()
    expect(desk.field("Reply")).to_be_visible()
    expect(desk.rows).to_have_count(0)
    desk.button("Take").tap()
    expect(desk.button("Back to queue")).to_be_visible()
    page.get_by_role("button", name="Details").tap()
    expect(page.get_by_role("complementary", name="Details").get_by_role("link", name="/pricing")).to_be_visible()
    page.get_by_role("button", name="Close").tap()
    assert page.evaluate("document.documentElement.scrollWidth") == 360
    expect(page).to_have_url(re.compile("#mine/"))  # the list follows what was taken
    page.get_by_role("link", name="Back to the list").tap()
    expect(page.get_by_role("heading", name="Mine")).to_be_visible()
    expect(desk.rows).to_have_count(1)
    page.go_back()
    expect(page.get_by_role("heading", name="Eva Lang")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") == 360


LINES = "(one) => { const all = new Range(); all.selectNodeContents(one); return all.getClientRects().length }"
CONTRAST = """() => axe.run({ runOnly: { type: 'rule', values: ['color-contrast'] } })
    .then(({ passes, violations }) =>
        [passes.length, violations.flatMap(({ nodes }) => nodes.map((one) => one.html))])"""


def clean_in_both(page: Page, what: str) -> None:
    """No rule of axe is violated; on the dark screen, which differs in its colours alone, none about contrast."""
    clean(page, what)
    page.emulate_media(color_scheme="dark")
    page.evaluate(STILL)
    assert page.evaluate(CONTRAST) == [1, []], f"{what}, dark"
    page.emulate_media(color_scheme="light")


def test_axe_finds_nothing_at_the_desk(
    sign_in: Callable[..., Desk], browser: Browser, server: ServerClient, base: str
) -> None:
    """Every state: signed out, invited, empty, a list, a conversation with everything, each dialog, narrow."""
    context = browser.new_context(color_scheme="light")
    page = context.new_page()
    page.goto(f"{base}/desk")
    expect(page.get_by_text("You are not signed in.")).to_be_visible()
    clean_in_both(page, "signed out")
    page.goto(f"{base}/desk#invite=none")
    expect(page.get_by_text("This invitation has already been used or has expired.")).to_be_visible()
    clean_in_both(page, "spent")
    context.close()
    desk = sign_in(color_scheme="light", viewport={"width": 1440, "height": 900})
    page = desk.page
    page.goto(f"{base}/desk#invite=none")
    expect(page.get_by_role("button", name="Sign in")).to_be_visible()
    clean_in_both(page, "invited")
    page.reload()
    expect(page.get_by_text("Nobody is waiting.")).to_be_visible()
    clean_in_both(page, "empty")
    server.invite("Tom Reed", "operator")
    server.acting_as(server.invite("Lead", "lead")[0]).call("PUT", "/replies", json={"replies": REPLIES})
    visitor = Visitor(base, "Eva Lang", page=PAGE, plan="Pro").ask("sources")
    rated = visitor.history()[-1]["id"]
    visitor.post(f"/session/me/messages/{rated}/feedback", {"rating": "down", "comment": "Which page?"})
    visitor.want_a_person()
    Visitor(base).ask("quick").want_a_person()
    page.reload()
    expect(desk.rows).to_have_count(2)
    clean_in_both(page, "list")
    desk.rows.first.click()
    expect(desk.log.get_by_role("article")).to_have_count(2)
    desk.press("t")
    expect(desk.field("Reply")).to_be_focused()
    desk.field("Note").fill("Ordered twice.")
    desk.press("Enter")
    desk.field("Reply").fill("Hello.")
    desk.press("Enter")
    visitor.post("/session/me/typing")
    expect(desk.log.get_by_role("article")).to_have_count(4)
    clean_in_both(page, "conversation")
    desk.press("/")
    expect(page.get_by_role("option")).to_have_count(2)
    clean_in_both(page, "canned replies")
    desk.press("Escape", "Escape")
    for key, name in (("a", "Assign to"), ("e", "End this chat?"), ("?", "Keyboard shortcuts")):
        desk.press(key)
        expect(page.get_by_role("dialog", name=name)).to_be_visible()
        clean_in_both(page, name)
        desk.press("Escape")
        expect(page.get_by_role("dialog")).to_have_count(0)
    desk.press("Control+k")
    expect(page.get_by_role("combobox")).to_be_visible()
    clean_in_both(page, "palette")
    desk.press("Escape")
    desk.button("Settings").click()
    clean_in_both(page, "settings")
    buttons = page.get_by_role("dialog").locator(".choices button")
    lines = [one.evaluate(LINES) for one in buttons.all()]
    assert lines == [1] * len(lines), "no label is broken"
    desk.press("Escape")
    page.set_viewport_size({"width": 900, "height": 700})
    clean_in_both(page, "tablet")
    page.get_by_role("button", name="Details").click()
    clean_in_both(page, "tablet, details")
    page.set_viewport_size({"width": 360, "height": 740})
    page.get_by_role("button", name="Close").click()
    clean_in_both(page, "phone, conversation")
    page.get_by_role("link", name="Back to the list").click()
    clean_in_both(page, "phone, list")


def test_a_visitor_with_the_widget_and_an_operator_at_the_desk(
    sign_in: Callable[..., Desk], browser: Browser, base: str
) -> None:
    """What one of them does, the other sees at once: the page, words, who has the chat, the rating and the end."""
    context = browser.new_context()
    context.set_default_timeout(DEADLINE)
    visitor = context.new_page()
    visitor.goto(f"{base}/?secret=1")
    visitor.get_by_role("button", name="Open chat").click()
    box = visitor.get_by_role("textbox", name="Message")
    visitor.get_by_role("button", name="More actions").click()
    expect(visitor.get_by_role("button", name="Talk to a person")).to_be_visible()
    visitor.keyboard.press("Escape")
    box.fill("prose")
    box.press("Enter")
    chat = visitor.get_by_role("log", name="Conversation")
    expect(chat.get_by_text("The text then goes at once.")).to_be_visible()
    with visitor.expect_response("**/feedback"):
        visitor.get_by_role("button", name="Poor answer").click()
    desk = sign_in()
    desk.press("4")
    expect(desk.rows).to_have_count(1)
    desk.press("j", "Enter")
    details = desk.page.get_by_role("complementary", name="Details")
    expect(details.get_by_role("link", name="/", exact=True)).to_have_attribute("href", f"{base}/")
    expect(desk.log).to_contain_text("Rated as a poor answer")
    desk.press("t")
    expect(visitor.get_by_text("Anna Berger").first).to_be_visible()
    expect(desk.field("Reply")).to_be_focused()
    desk.page.keyboard.type("Hello, this is Anna.")
    desk.press("Enter")
    expect(visitor.get_by_role("article", name="Anna Berger")).to_contain_text("Hello, this is Anna.")
    box.press_sequentially("Thank you")
    expect(desk.page.get_by_text("is typing…")).to_be_visible()
    box.press("Enter")
    desk.sees("Thank you")
    desk.press("Escape", "e", "Tab", "Enter")
    expect(visitor.get_by_text("This chat has ended.")).to_be_visible()
    expect(desk.field("Reply")).to_be_disabled()
    context.close()


def test_a_lead_reads_the_counts_of_the_day(sign_in: Callable[..., Desk], server: ServerClient, base: str) -> None:
    """Plots with a table each, by keyboard too; the counts as a file; questions without an answer, erased when asked
    twice. An operator has no link to it.
    """
    server.acting_as(server.invite("Lead", "lead")[0]).call("DELETE", "/questions", json={})
    Visitor(base).ask("riddle: the price of <b>everything</b>").ask("quick")
    desk = sign_in(color_scheme="light", viewport={"width": 1280, "height": 900}, accept_downloads=True)
    page = desk.page
    until(lambda: server.call("GET", "/analytics").json()["days"][-1]["not_found"], what="the answer to be counted")
    desk.view("Analytics").click()
    figures = page.get_by_role("figure")
    expect(figures).to_have_count(9)
    answers = page.get_by_role("figure", name="Answers", exact=True)
    expect(answers.locator("svg rect").first).to_be_attached()
    answers.locator("summary").press("Enter")
    day = server.call("GET", "/analytics").json()["days"][-1]
    row = answers.get_by_role("row").nth(1)
    expect(row.get_by_role("cell")).to_have_text([str(day[name]) for name in ("answers", "not_found", "failed")])
    with page.expect_download() as download:
        page.get_by_role("link", name="Download as CSV").click()
    assert download.value.path().read_text().startswith("date,sessions,asked")
    page.get_by_role("button", name="7 days").press("Enter")
    expect(answers.get_by_role("row")).to_have_count(8)
    clean_in_both(page, "analytics")
    question = page.get_by_text("riddle: the price of <b>everything</b>", exact=True)
    expect(question).to_be_visible()
    page.get_by_role("button", name="Erase: riddle").press("Enter")
    expect(question).to_be_visible()
    page.get_by_role("button", name="Erase for good? riddle").press("Enter")
    expect(question).to_have_count(0)
    expect(page.get_by_text("There are none.")).to_be_visible()
    assert server.call("GET", "/questions").json()["questions"] == []
    page.set_viewport_size({"width": 360, "height": 740})
    clean_in_both(page, "analytics on a phone")
    operator = sign_in("Tom Reed", "operator")
    expect(operator.view("Ended")).to_be_visible()
    expect(operator.view("Analytics")).to_have_count(0)


def test_an_admin_invites_and_removes_at_the_desk(sign_in: Callable[..., Desk], browser: Browser, base: str) -> None:
    """The settings lead an admin to the operators: a name and a role give a link, which logs that person in; removed at
    the second press, they are out.
    """
    lead = sign_in("Lea Lind")
    lead.button("Settings").click()
    expect(lead.button("Operators")).to_have_count(0)
    desk = sign_in("Ada Ahn", "admin", color_scheme="light")
    page = desk.page
    desk.button("Settings").click()
    desk.button("Operators").click()
    dialog = page.get_by_role("dialog", name="Operators")
    expect(dialog.get_by_role("listitem").filter(has_text="Ada Ahn")).to_be_visible()
    dialog.get_by_role("textbox", name="Name, as visitors see it").fill("Tim Tran")
    dialog.get_by_role("combobox", name="Role").select_option("viewer")
    desk.button("Invite").click()
    field = dialog.get_by_role("textbox", name="Sign-in link for Tim Tran")
    expect(field).to_have_value(re.compile(rf"^{re.escape(base)}/desk#invite=inv_"))
    clean_in_both(page, "operators")
    context = browser.new_context()
    tim = Desk(context.new_page(), base)
    tim.page.goto(field.input_value())
    expect(tim.view("Queue")).to_be_visible()
    desk.button("Remove Tim Tran").click()
    expect(dialog.get_by_role("listitem").filter(has_text="Tim Tran")).to_be_visible()
    desk.button("Really remove Tim Tran").click()
    expect(dialog.get_by_role("listitem").filter(has_text="Tim Tran")).to_have_count(0)
    expect(tim.page.get_by_text("You have been signed out.")).to_be_visible()
    context.close()


def test_leads_write_canned_replies_that_are_there_at_once(sign_in: Callable[..., Desk], base: str) -> None:
    """Written in a dialog, and offered behind the slash without a reload; an operator cannot change them."""
    desk = sign_in(color_scheme="light")
    page = desk.page
    desk.press("Control+k")
    page.keyboard.type("canned")
    desk.press("Enter")
    desk.button("Add a reply").click()
    page.get_by_role("textbox", name="Shortcut").last.fill("bye")
    page.get_by_role("textbox", name="Text").last.fill("Have a good day!")
    desk.button("Save").click()
    expect(page.get_by_text("Saved.")).to_be_visible()
    clean_in_both(page, "canned replies, to change")
    desk.press("Escape")
    Visitor(base, "Eva Lang").ask("quick").want_a_person()
    desk.rows.first.click()
    expect(desk.field("Reply")).to_be_visible()
    desk.press("r", "/", "b", "y", "Enter")
    expect(desk.field("Reply")).to_have_value("Have a good day!")
    operator = sign_in("Tom Reed", "operator")
    operator.button("Settings").click()
    expect(operator.button("Sign out")).to_be_visible()
    expect(operator.button("Canned replies")).to_have_count(0)
