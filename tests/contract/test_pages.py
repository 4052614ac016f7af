"""The pages and the files that they load, as a browser and a stranger see them."""

from __future__ import annotations

import base64
import gzip
import hashlib
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import unquote, urlsplit

import httpx
import pytest

from tests.conftest import Service
from tests.contract.conftest import RunningService
from tests.contract.html_page import HtmlPage, policy

ROOT = Path(__file__).resolve().parent.parent.parent
PAGES = ["/", "/chat", "/install", "/docs", "/knowledge", "/knowledge/security", "/knowledge/protocol"]
POLICY = {
    "default-src": "'none'",
    "script-src": "'self'",
    "style-src": "'self'",
    "connect-src": "'self'",
    "img-src": "'self' data:",
    "form-action": "'none'",
    "base-uri": "'none'",
}
StartService = Callable[..., Service]
HTML = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}


@pytest.fixture(scope="module")
def web(plain: RunningService) -> Iterator[httpx.Client]:
    """The service for which any origin is allowed; its public address is https://chat.example."""
    with httpx.Client(base_url=plain.base, headers=HTML) as client:
        yield client


@pytest.mark.parametrize("path", PAGES)
def test_every_page_comes_under_a_policy_that_begins_with_nothing(web: httpx.Client, path: str) -> None:
    """Scripts, styles and calls only from the service itself, none inline; no referrer, no sniffing."""
    answer = web.get(path)
    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    directives = policy(answer)
    directives.pop("frame-ancestors")
    assert directives == POLICY | ({"form-action": "'self'"} if path == "/knowledge" else {})
    assert answer.headers.get_list("X-Content-Type-Options") == ["nosniff"]
    assert answer.headers.get_list("Referrer-Policy") == ["no-referrer"]


@pytest.mark.parametrize("path", PAGES)
def test_a_page_loads_nothing_from_elsewhere_and_holds_nothing_inline(web: httpx.Client, path: str) -> None:
    """Every script, style and picture has an address on the service; no style or handler stands in an attribute."""
    for tag, attributes in HtmlPage(web.get(path).text).elements:
        loads = attributes.get("src") if tag != "link" else attributes.get("href")
        assert loads is None or re.match(r"/(?!/)", loads), (tag, loads)
        assert tag not in ("style", "iframe") or not attributes.get("src")
        assert tag != "script" or attributes.get("src")
        assert not [name for name in attributes if name == "style" or name.startswith("on")]


@pytest.mark.parametrize("path", [page for page in PAGES if page != "/chat"])
def test_only_the_full_page_may_be_framed(web: httpx.Client, path: str) -> None:
    """The other pages may be framed by nobody."""
    assert policy(web.get(path))["frame-ancestors"] == "'none'"


def test_the_full_page_may_be_framed_by_the_allowed_origins(web: httpx.Client, brief: RunningService) -> None:
    """By any when none are set, else by those and no other."""
    assert policy(web.get("/chat"))["frame-ancestors"] == "*"
    limited = httpx.get(brief.base + "/chat")
    assert policy(limited)["frame-ancestors"] == "https://a.example.com http://localhost:1234"
    assert "X-Frame-Options" not in limited.headers


def test_the_first_script_of_the_full_page_runs_before_anything_else(web: httpx.Client) -> None:
    """R10: it blocks, and only the declaration of the encoding precedes it; a word remains without scripts."""
    text = web.get("/chat").text
    elements = HtmlPage(text).elements
    assert [tag for tag, _ in elements[:4]] == ["html", "head", "meta", "script"]
    script = elements[3][1]
    assert not {"defer", "async", "type"} & set(script)
    assert httpx.get(str(web.base_url) + str(script["src"])).status_code == 200
    assert "<noscript>" in text


def test_the_script_to_paste_is_small_packed_and_cacheable(web: httpx.Client) -> None:
    """At most 2 KB over the wire, kept for minutes, asked again by its tag, loadable from any site."""
    with web.stream("GET", "/widget.js", headers={"Accept-Encoding": "gzip"}) as answer:
        packed = b"".join(answer.iter_raw())
    assert answer.headers["Content-Encoding"] == "gzip"
    assert len(packed) <= 2048
    assert gzip.decompress(packed) == web.get("/widget.js", headers={"Accept-Encoding": "identity"}).content
    assert "javascript" in answer.headers["Content-Type"]
    assert "max-age" in answer.headers["Cache-Control"]
    assert answer.headers.get_list("Access-Control-Allow-Origin") == ["*"]
    again = web.get("/widget.js", headers={"Accept-Encoding": "gzip", "If-None-Match": answer.headers["ETag"]})
    assert (again.status_code, again.content) == (304, b"")


def test_the_pinned_script_is_the_one_that_its_hash_demands(web: httpx.Client) -> None:
    """The install page offers an address with a version and a hash; another version is not there."""
    bench = HtmlPage(web.get("/install").text).all("main")[0]
    pinned, integrity = str(bench["data-pinned"]), str(bench["data-integrity"])
    assert pinned.startswith("https://chat.example/assets/")
    assert pinned.endswith("/widget.js")
    answer = web.get(urlsplit(pinned).path)
    assert integrity == "sha384-" + base64.b64encode(hashlib.sha384(answer.content).digest()).decode()
    assert "immutable" in answer.headers["Cache-Control"]
    assert web.get("/assets/000000000000/widget.js").status_code == 404


@pytest.mark.parametrize(
    "name", ["../app/config.py", "..%2f..%2fREADME.md", "%2e%2e/config.py", "site", "x.js", "%00.js", "a%5cb.js"]
)
def test_only_files_made_for_browsers_are_given_out(web: httpx.Client, name: str) -> None:
    """No path leads out of the folder, none to a folder, none to a failure."""
    assert web.get(f"/assets/{name}").status_code == 404


def test_the_pages_own_files_are_kept_for_ever_under_their_version(web: httpx.Client) -> None:
    """A page names its style with a version; without the version it is looked at again soon."""
    style = str(HtmlPage(web.get("/").text).all("link")[1]["href"])
    assert "immutable" in web.get(style).headers["Cache-Control"]
    assert "immutable" not in web.get(style.partition("?")[0]).headers["Cache-Control"]
    assert "immutable" not in web.get(style + "0").headers["Cache-Control"]


def test_browser_tabs_get_a_mark(web: httpx.Client) -> None:
    """Under the name that pages give, and under the one that browsers guess."""
    for path in ("/favicon.svg", "/favicon.ico"):
        assert web.get(path).headers["Content-Type"].startswith("image/svg+xml")


@pytest.mark.parametrize("path", ["/nowhere", "/knowledge/no-such-page", "/knowledge/../../etc/passwd", "/chat/x"])
def test_an_unknown_path_gets_a_helpful_page(web: httpx.Client, path: str) -> None:
    """404 with a way on, under the same policy, and with nothing of the address in it."""
    answer = web.get(path)
    assert answer.status_code == 404
    assert policy(answer)["frame-ancestors"] == "'none'"
    assert 'href="/"' in answer.text
    assert path not in answer.text


def test_a_program_gets_a_problem_instead_of_a_page(plain: RunningService) -> None:
    """Who does not ask for HTML gets an error in the form of the API."""
    answer = httpx.get(plain.base + "/nowhere")
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


def test_every_code_of_a_problem_has_its_line_on_the_api_page(web: httpx.Client) -> None:
    """A problem's type leads to /docs#code, so that line must be there, with the status."""
    contract = {"invalid_json", "role_forbidden", "not_owner", "bad_token", "session_not_found", "not_found"}
    contract |= {"method_not_allowed", "session_ended", "turn_in_progress", "session_full", "payload_too_large"}
    contract |= {"unsupported_media_type", "invalid_request", "rate_limited", "engine_failed", "engine_timeout"}
    contract |= {"engine_busy", "storage_unavailable", "origin_not_allowed"}
    rows = {str(row["id"]) for row in HtmlPage(web.get("/docs").text).all("tr") if "id" in row}
    assert contract <= rows
    kind = web.get("/api/nowhere").json()["type"]
    assert kind.rpartition("#")[2] in rows


def test_every_link_between_the_documents_leads_somewhere(web: httpx.Client) -> None:
    """Each page of the folder is shown, and each link in it meets a page and a heading that are there."""
    folder = ROOT / "docs"
    files = [file.relative_to(folder).with_suffix("").as_posix() for file in folder.glob("*.md")]
    paths = [re.sub(r"/(README|index)$", "", f"/knowledge/{name}") for name in files]
    pages = {path: HtmlPage(web.get(path).raise_for_status().text) for path in paths}
    for path, seen in pages.items():
        for link in seen.all("a"):
            target = urlsplit(str(link["href"]))
            if target.scheme or not (target.path.startswith("/knowledge") or not target.path):
                continue
            there = target.path or path
            assert there in pages, (path, link["href"])
            assert not target.fragment or unquote(target.fragment) in pages[there].ids(), (path, link["href"])


def test_the_documents_are_listed_and_searched_without_a_script(web: httpx.Client) -> None:
    """/knowledge lists every page but the decision records; its form asks the same address for ``q``."""
    listed = HtmlPage(web.get("/knowledge").text)
    links = {str(link["href"]) for link in listed.all("a")}
    pages = {file.stem for file in (ROOT / "docs").glob("*.md")} - {"index"}
    assert {f"/knowledge/{name}" for name in pages} <= links
    assert not [link for link in links if "/decisions" in link]
    assert web.get("/knowledge/decisions/gevent").status_code == 404
    (form,) = listed.all("form")
    assert (form["action"], form["method"]) == ("/knowledge", "get")
    answer = web.get("/knowledge", params={"q": "how do I set the rate limit?"})
    assert any(
        "/knowledge/" in str(link["href"]) and "#" in str(link["href"]) for link in HtmlPage(answer.text).all("a")
    )
    hostile = web.get("/knowledge", params={"q": '"><script>alert(1)</script>'}).text
    assert "<script>alert(1)" not in hostile


def test_d5_drafts_comments_and_what_is_ignored_are_404_and_links_have_no_dead_end(
    service: StartService, tmp_path: Path
) -> None:
    """D5, D8, D11: on /knowledge no private page or comment; every spelling of a page opens it; all folders count."""
    first, second = tmp_path / "shop", tmp_path / "faq"
    pages = {
        first
        / "guide"
        / "oven.mdx": "import X from 'x'\n\n# Oven\n\n<!-- zeppelin -->\n\n:::tip[Hot]\nMind it.\n:::\n",
        first / "guide" / "start.md": "[a](/guide/oven) [b](oven.mdx#oven) [c](./oven/) [d](draft.md)\n",
        first / "guide" / "draft.md": "---\ndraft: true\n---\n# Zeppelin\n",
        first / "old.md": "# Zeppelin\n",
        first / ".batonignore": "old.md\n",
        second / "hours.markdown": "+++\ntitle = 'Hours'\nurl = '/opening/'\n+++\nWe open at nine.\n",
    }
    for file, text in pages.items():
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, "utf-8")
    base = service(BATON_KNOWLEDGE_DIR=f"{first}{os.pathsep}{second}", WEB_CONCURRENCY="1").url
    with httpx.Client(base_url=base, headers=HTML) as client:
        for path in ("guide/oven", "guide/oven/", "guide/oven.mdx", "guide/oven.md", "hours", "opening/", "guide"):
            answer = client.get(f"/knowledge/{path}")
            assert answer.status_code == 200, path
            assert "zeppelin" not in answer.text.lower(), path
            assert ":::" not in answer.text, path
        for path in ("guide/draft", "guide/draft.md", "old", "old.md"):
            assert client.get(f"/knowledge/{path}").status_code == 404, path
        start = HtmlPage(client.get("/knowledge/guide/start").text)
        links = [str(link["href"]) for link in start.all("a") if "guide" in str(link["href"])]
        assert links == ["/knowledge/guide/oven", "/knowledge/guide/oven#oven", "/knowledge/guide/oven"]
        assert "zeppelin" not in client.get("/knowledge").text.lower()


def test_no_page_leads_nowhere_when_the_folder_is_about_something_else(service: StartService, tmp_path: Path) -> None:
    """With a site's own documents the pages do without links into Baton's."""
    (tmp_path / "opening-hours.md").write_text("# Opening hours\n\nWe open at nine.\n", "utf-8")
    base = service(BATON_KNOWLEDGE_DIR=str(tmp_path), WEB_CONCURRENCY="1").url
    for path in ("/", "/install", "/docs", "/nowhere", "/knowledge/opening-hours"):
        for link in HtmlPage(httpx.get(base + path, headers=HTML).text).all("a"):
            href = str(link["href"])
            assert not href.startswith("/") or httpx.get(base + href, headers=HTML).status_code == 200, (path, href)


def test_the_readme_names_files_that_are_there() -> None:
    """The path of a question and the links of the README are true to the files."""
    text = (ROOT / "README.md").read_text("utf-8")
    for name in re.findall(r"\| (app/[a-z_/.]+) \|", text) + re.findall(r"\]\(([^)#]+)\)", text):
        assert (ROOT / name).exists(), name


@pytest.mark.parametrize("name", ["panel", "messages", "locale-de"])
def test_a_part_by_its_old_name(web: httpx.Client, name: str) -> None:
    """A page opened before a deploy asks for a part by its old name and gets the new one, not for ever."""
    answer = web.get(f"/assets/{name}-0123456789ab.js")
    assert answer.status_code == 200
    assert answer.headers["Content-Type"].startswith("text/javascript")
    assert "immutable" not in answer.headers["Cache-Control"]
    assert web.get("/assets/nothing-0123456789ab.js").status_code == 404
