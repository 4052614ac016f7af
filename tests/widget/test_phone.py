"""\"Continue on your phone\": a code that a camera reads opens the conversation on another device, once."""

from __future__ import annotations

import io
import shutil
import subprocess
from collections.abc import Callable
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Locator, expect

from tests.conftest import ROOT
from tests.widget.conftest import Visitor, answered

Visit = Callable[..., Visitor]
READER = """const { default: jsQR } = await import("jsqr");
const chunks = []; for await (const one of process.stdin) chunks.push(one);
const all = Buffer.concat(chunks); const [width, height] = [all.readUInt32LE(0), all.readUInt32LE(4)];
console.log(jsQR(new Uint8ClampedArray(all.subarray(8)), width, height)?.data ?? "");"""
PIXELS = """async (png) => { const image = await createImageBitmap(await (await fetch(png)).blob());
    const canvas = new OffscreenCanvas(image.width, image.height), at = canvas.getContext('2d');
    at.drawImage(image, 0, 0);
    return [image.width, image.height, [...at.getImageData(0, 0, image.width, image.height).data]]; }"""


def read_code(visitor: Visitor, code: Locator) -> str:
    """What a camera reads from the code as it stands on the screen, with what is around it."""
    import base64

    png = "data:image/png;base64," + base64.b64encode(code.screenshot()).decode()
    other = visitor.page.context.new_page()
    width, height, data = other.evaluate(PIXELS, png)
    other.close()
    node = shutil.which("node")
    assert node, "reading the code needs Node, as the widget's own tests do"
    raw = io.BytesIO()
    raw.write(width.to_bytes(4, "little") + height.to_bytes(4, "little") + bytes(data))
    done = subprocess.run(
        [node, "--input-type=module", "-e", READER],
        input=raw.getvalue(), capture_output=True, check=True, cwd=ROOT / "widget", timeout=30,
    )  # fmt: skip
    return done.stdout.decode().strip()


def open_code(visitor: Visitor) -> Locator:
    visitor.act("Continue on your phone")
    dialog = visitor.page.get_by_role("dialog", name="Continue on your phone")
    expect(dialog).to_be_visible()
    code = dialog.get_by_role("img", name="QR code")
    expect(code).to_be_visible()
    return code


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_code_opens_the_conversation(visit: Visit, stranger: Visit, theme: str) -> None:
    """The code is read from the screen, in dark mode too, and opens the conversation in another browser, once."""
    visitor = answered(visit(tag=f'data-theme="{theme}"').open(), "quick one")
    code = open_code(visitor)
    dialog = visitor.page.get_by_role("dialog", name="Continue on your phone")
    expect(dialog).to_contain_text("5 more minutes")
    expect(dialog).to_contain_text("once")
    link = read_code(visitor, code)
    assert urlsplit(link).path == "/chat"
    assert "ses_" not in link
    phone = stranger(link)
    expect(phone.articles).to_have_count(2)
    phone.ask("quick from the phone")
    expect(phone.articles).to_have_count(4)
    second = stranger(link)
    expect(second.status).to_contain_text("link has already been used")
    expect(second.articles).to_have_count(0)
    visitor.page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)
    expect(visitor.button("More actions")).to_be_focused()
    expect(visitor.articles).to_have_count(4)


def test_the_code_is_renewed(visit: Visit, stranger: Visit) -> None:
    """While the dialog is open the code is drawn anew before it expires; closed, it makes no more links."""
    visitor = answered(visit().open(), "quick one")
    made: list[str] = []
    visitor.page.on("request", lambda one: made.append(one.url) if one.url.endswith("/handoff") else None)
    visitor.page.clock.install()
    code = open_code(visitor)
    first = read_code(visitor, code)
    for _ in range(20):
        visitor.page.clock.run_for(15_000)
    dialog = visitor.page.get_by_role("dialog", name="Continue on your phone")
    expect(dialog).to_contain_text("5 more minutes")
    second = read_code(visitor, code)
    assert second != first
    until_now = len(made)
    assert until_now >= 2
    phone = stranger(second)
    expect(phone.articles).to_have_count(2)
    dialog.get_by_role("button", name="Close").click()
    visitor.page.clock.run_for(400_000)
    assert len(made) == until_now


def test_before_there_is_a_conversation(visit: Visit) -> None:
    """Without a conversation there is nothing to continue, and the action is off."""
    visitor = visit().open()
    visitor.button("More actions").click()
    expect(visitor.button("Continue on your phone")).to_be_disabled()
