"""The widget in a real Chromium: bytes and requests, main-thread work with 500 messages, cost of a long answer.

Reported: what a page loads before and after the first click; the longest task of the main thread in each step with 500
messages beside the same step with two; and the main thread's time a token at 100 and at 1,000 tokens. A step is to
stay under 100 ms of work at a stretch, on a machine that does nothing else meanwhile.
"""

from __future__ import annotations

import gzip
import json
import shutil
import statistics
import tempfile
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import httpx
from playwright.sync_api import Browser, Page, sync_playwright

from tests.conftest import BROWSERS, QUIET, Service

KEY = "key-of-the-bench"
ROUNDS = 5
ANSWER = (
    "Baton keeps a conversation for **one day**. After that `Redis` forgets it by itself [1].\n\n"
    "- a visitor may end it\n- a visitor may delete it\n\n| what | how long |\n|---|---|\n| a ticket | 300 s |\n"
)
SETTINGS = {
    "BATON_ENGINE": "python:tests.widget.fake_bot:answer", "BATON_API_KEY": KEY,
    "BATON_RATE_LIMIT_CREATE": "", "BATON_RATE_LIMIT_SESSION": "", "BATON_RATE_LIMIT_ADDRESS": "",
}  # fmt: skip
CATEGORIES = ["devtools.timeline", "disabled-by-default-devtools.timeline", "toplevel"]


def conversation(url: str, messages: int) -> str:
    """A session with so many messages, every second one an answer; its id."""
    with httpx.Client(base_url=url) as client:
        made = str(client.post("/api/session/create").json()["session_id"])
        for number in range(messages):
            said = (
                {"message": f"Question number {number}, of ordinary length?"}
                if number % 2 == 0
                else {"message": f"{ANSWER}\nNumber {number}.", "role": "assistant"}
            )
            headers = {"Authorization": f"Bearer {KEY}"}
            assert client.post(f"/api/session/{made}/messages", json=said, headers=headers).status_code == 201
    return made


def tasks(trace: bytes) -> list[float]:
    """Milliseconds of every task of the busiest page's main thread."""
    events: list[dict[str, Any]] = json.loads(trace)["traceEvents"]
    mains = {
        (one["pid"], one["tid"])
        for one in events
        if one.get("name") == "thread_name" and one["args"]["name"] == "CrRendererMain"
    }
    by_thread: dict[tuple[int, int], list[float]] = {}
    for one in events:
        thread = (one["pid"], one["tid"])
        if thread in mains and one.get("ph") == "X" and one["name"] in {"RunTask", "ThreadControllerImpl::RunTask"}:
            # CPU time where it is reported: a busy machine must not pass for a slow widget.
            by_thread.setdefault(thread, []).append(one.get("tdur", one.get("dur", 0)) / 1000)
    return max(by_thread.values(), key=sum, default=[])


def traced(browser: Browser, page: Page, step: Callable[[], object]) -> list[float]:
    """The tasks of the main thread while the step is made and what follows from it settles."""
    browser.start_tracing(page=page, categories=CATEGORIES)
    step()
    page.wait_for_timeout(700)
    return tasks(browser.stop_tracing())


def steps(browser: Browser, url: str, key: str, messages: int) -> dict[str, float]:
    """The longest task of each step, in ms, in a fresh browser."""
    context = browser.new_context()
    page = context.new_page()
    page.goto(f"{url}/health")
    page.evaluate(
        """(key) => { document.body.replaceChildren(); const tag = document.createElement('script');
            tag.src = '/widget.js'; tag.dataset.sessionKey = key; document.head.append(tag) }""",
        key,
    )
    launcher = page.get_by_role("button", name="Open chat")
    articles = page.get_by_role("article")
    box = page.get_by_role("textbox", name="Message")

    def opened() -> None:
        launcher.click()
        articles.last.wait_for()

    def scrolled() -> None:
        page.get_by_role("log").hover()
        for _ in range(5):
            page.mouse.wheel(0, -2000)
            page.wait_for_timeout(50)

    def asked() -> None:
        box.press("Enter")
        page.get_by_role("article", name="Assistant").get_by_text("A quick answer.").last.wait_for()

    longest = {"open": max(traced(browser, page, opened))}
    # The older ones are built in idle moments.
    page.wait_for_timeout(2000 if messages > 10 else 200)
    longest["type"] = max(traced(browser, page, lambda: box.press_sequentially("quick and easy", delay=40)))
    longest["scroll"] = max(traced(browser, page, scrolled))
    longest["ask"] = max(traced(browser, page, asked))
    context.close()
    return longest


def long_task_steps(browser: Browser, url: str) -> None:
    """500 messages beside two."""
    few, many = conversation(url, 2), conversation(url, 498)
    found: dict[int, list[dict[str, float]]] = {2: [], 500: []}
    for _ in range(ROUNDS):
        for messages, key in ((2, few), (500, many)):
            found[messages].append(steps(browser, url, key, messages))
        many = conversation(url, 498)  # the question of this round filled the other one
    print("Longest task of the main thread (median of", ROUNDS, "rounds, ms of CPU)")
    print(f"  {'step':8} {'2 messages':>12} {'500 messages':>14} {'ratio':>7}")
    for step in ("open", "type", "scroll", "ask"):
        a, b = (statistics.median(one[step] for one in found[messages]) for messages in (2, 500))
        print(f"  {step:8} {a:12.1f} {b:14.1f} {b / a:7.2f}")


def long_answer(browser: Browser, url: str) -> None:
    """The main thread's time a token, at 100 and at 1,000 tokens."""
    cost: dict[int, list[float]] = {100: [], 1000: []}
    for _ in range(3):
        for tokens, found in cost.items():
            context = browser.new_context()
            page = context.new_page()
            page.goto(f"{url}/chat")
            page.get_by_role("textbox", name="Message").fill(f"words={tokens} pace=0.01")

            def asked(page: Page = page, last: str = f"w{tokens - 1}") -> None:
                page.get_by_role("textbox", name="Message").press("Enter")
                page.get_by_role("article", name="Assistant").get_by_text(last).wait_for(timeout=60_000)

            found.append(sum(traced(browser, page, asked)) / tokens)
            context.close()
    a, b = (statistics.median(cost[tokens]) for tokens in (100, 1000))
    print(
        f"A token of an answer costs the main thread {a:.2f} ms at 100 tokens, {b:.2f} ms at 1,000: {b / a:.2f} times"
    )


def bytes_and_requests(browser: Browser, url: str) -> None:
    """What a page pays: before the first click, after opening, after the first answer."""
    context = browser.new_context()
    page = context.new_page()
    seen: list[str] = []
    page.on("request", lambda one: seen.append(one.url) if one.url != f"{url}/health" else None)
    page.goto(f"{url}/health")
    page.evaluate(
        """() => { document.body.replaceChildren(); const tag = document.createElement('script');
            tag.src = '/widget.js'; document.head.append(tag) }"""
    )
    page.get_by_role("button", name="Open chat").wait_for()
    page.wait_for_timeout(500)
    moments = [("before the first click", list(seen))]
    page.get_by_role("button", name="Open chat").click()
    page.get_by_role("textbox", name="Message").wait_for()
    page.wait_for_timeout(500)
    moments.append(("after opening", list(seen)))
    page.get_by_role("textbox", name="Message").fill("quick")
    page.get_by_role("textbox", name="Message").press("Enter")
    page.get_by_role("article", name="Assistant").get_by_text("A quick answer.").last.wait_for()
    moments.append(("after an answer", list(seen)))
    for what, urls in moments:
        code = {one for one in urls if urlsplit(one).path.endswith(".js")}
        size = sum(len(gzip.compress(httpx.get(one).content, 9)) for one in code)
        hosts = {urlsplit(one).netloc for one in urls}
        print(f"  {what:24} {len(urls):3} requests, {len(hosts)} host, {size / 1024:6.1f} KB of code (gzip)")
    context.close()


def main() -> None:
    """Measure, and print what was found."""
    path = next(filter(None, map(shutil.which, BROWSERS)), None)
    service = Service({"BATON_DATA_DIR": tempfile.mkdtemp(), **SETTINGS})
    try:
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=path, args=list(QUIET))
            bytes_and_requests(browser, service.url)
            long_task_steps(browser, service.url)
            long_answer(browser, service.url)
            browser.close()
    finally:
        service.stop()


if __name__ == "__main__":
    main()
