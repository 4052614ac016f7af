"""Makes the pictures of the README and the docs from the real service in Chromium: ``make pictures``."""

from __future__ import annotations

import io
import itertools
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

from tests.conftest import BROWSERS, QUIET, ROOT, Service

PICTURES = ROOT / "docs" / "pictures"
QUESTION = "How long are chats kept?"
WORDS_PER_SECOND = 12
"""Slower than `make run`, so that there are enough frames of an answer."""
WIDTH = 900
"""The width in pixels of the animated picture."""
FASTEST_MS, SLOWEST_MS = 60, 400
"""A frame stands as long as it took to make, within these bounds."""
LAST_FRAME_MS = 2500
MAX_ANIMATION_BYTES = 500_000


@contextmanager
def service() -> Iterator[str]:
    """The address of a service that answers from this repository's documents, with an empty data folder."""
    with tempfile.TemporaryDirectory() as data:
        one = Service({"BATON_DATA_DIR": data, "BATON_TYPING_SPEED": str(WORDS_PER_SECOND)})
        try:
            deadline = time.monotonic() + 60
            while not httpx.post(f"{one.url}/api/chat", json={"query": QUESTION}).json().get("citations"):
                assert time.monotonic() < deadline, "the documents were not read within a minute"
                time.sleep(0.5)
            yield one.url
        finally:
            one.stop()


def screenshot(page: Page, clip: dict[str, float] | None = None) -> Image.Image:
    """What the page shows now."""
    return Image.open(io.BytesIO(page.screenshot(clip=clip))).convert("RGB")  # type: ignore[arg-type]


def handover(browser: Browser, url: str, scheme: str) -> None:
    """The demo's two panes: a question, the answer growing in both, the phone reloaded in the middle of it."""
    context = browser.new_context(viewport={"width": 1240, "height": 1400}, color_scheme=scheme)  # type: ignore[arg-type]
    page = context.new_page()
    page.goto(url)
    panes = page.locator(".panes")
    box = panes.bounding_box()
    assert box is not None
    clip = {"x": box["x"] - 16, "y": box["y"] - 16, "width": box["width"] + 32, "height": box["height"] + 32}
    frames, moments = [screenshot(page, clip)], [time.monotonic()]
    page.get_by_role("button", name="Reload the phone in mid-answer").click()
    deadline = time.monotonic() + 20
    note = page.locator("#live-note")
    while time.monotonic() < deadline and "Both are live" not in note.inner_text():
        frames.append(screenshot(page, clip))
        moments.append(time.monotonic())
    page.wait_for_timeout(600)
    frames.append(screenshot(page, clip))
    context.close()
    took = [round(1000 * (after - before)) for before, after in itertools.pairwise(moments)]
    durations = [min(max(one, FASTEST_MS), SLOWEST_MS) for one in took] + [SLOWEST_MS, LAST_FRAME_MS]
    height = round(frames[0].height * WIDTH / frames[0].width)
    small = [frame.resize((WIDTH, height), Image.Resampling.LANCZOS) for frame in frames]
    name = f"handover-{scheme}.webp"
    for quality in (80, 65, 50, 35):
        picture = io.BytesIO()
        small[0].save(
            picture, "WEBP", save_all=True, append_images=small[1:], duration=durations, loop=0, quality=quality,
            method=4, minimize_size=True,
        )  # fmt: skip
        if picture.tell() < MAX_ANIMATION_BYTES:
            break
    assert picture.tell() < MAX_ANIMATION_BYTES, f"{name} would have {picture.tell()} bytes"
    (PICTURES / name).write_bytes(picture.getvalue())


def stills(browser: Browser, url: str, scheme: str) -> None:
    """Panel, full page, /install and /knowledge."""
    context = browser.new_context(viewport={"width": 1280, "height": 800}, color_scheme=scheme)  # type: ignore[arg-type]
    page = context.new_page()

    def keep(name: str, shown: Page = page) -> None:
        screenshot(shown).save(PICTURES / f"{name}-{scheme}.webp", quality=82, method=6)

    page.goto(url)
    keep("demo")
    page.get_by_role("button", name="Open chat").click()
    box = page.get_by_role("textbox", name="Message")
    box.fill(QUESTION)
    box.press("Enter")
    page.get_by_role("article", name="Assistant").locator("[part~=source]").first.wait_for()
    keep("panel")
    with context.expect_page() as opened:
        page.get_by_role("button", name="Open full page").or_(page.get_by_role("link", name="Open full page")).click()
    opened.value.get_by_role("article").first.wait_for()
    keep("full-page", opened.value)
    for name, path in (("install", "/install"), ("knowledge", "/knowledge")):
        page.goto(url + path)
        page.wait_for_load_state("networkidle")
        keep(name)
    context.close()


def main() -> None:
    """Every picture, light and dark."""
    executable = next(filter(None, map(shutil.which, BROWSERS)), None)
    with service() as url, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=list(QUIET))
        for scheme in ("light", "dark"):
            handover(browser, url, scheme)
            stills(browser, url, scheme)
        browser.close()
    for picture in sorted(PICTURES.glob("*.webp")):
        print(f"{picture.name:28} {picture.stat().st_size:7} bytes")


if __name__ == "__main__":
    main()
