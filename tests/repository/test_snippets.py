"""Every code block of the documents does what it says, as it stands there."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import tomllib
from collections.abc import Iterator
from html.parser import HTMLParser
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import jwt
import pytest
import yaml

from app.config import Settings, env_name
from tests.clients.conftest import install
from tests.conftest import Service
from tests.repository.snippets import ROOT, SNIPPETS, Snippet, in_language, runtime_python, snippet_with

SHELL = in_language("sh", "bash", "shell")
SECRET = "a secret of more than sixteen letters"
OPTIONS = set(re.findall(r"^\| `data-([a-z-]+)` \|", (ROOT / "docs/embedding.md").read_text("utf-8"), re.MULTILINE))
VOID = {"meta", "link", "img", "br", "input", "hr"}
needs_node = pytest.mark.skipif(shutil.which("node") is None, reason="no Node here")


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Python with the packages of requirements.txt alone."""
    return runtime_python(tmp_path_factory.mktemp("runtime"))


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """The service as `make run` starts it, with the documents as its folder."""
    one = Service({"BATON_DATA_DIR": str(tmp_path_factory.mktemp("data"))})
    yield one
    one.stop()


def run(*command: object, folder: Path = ROOT, text: str | None = None, **environ: str) -> str:
    """What a command writes; it has to end well."""
    ran = subprocess.run(
        [str(word) for word in command], cwd=folder, input=text, capture_output=True, text=True, check=False,
        timeout=90, env={"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": str(folder), **environ},
    )  # fmt: skip
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout


def ids(snippets: list[Snippet]) -> list[Any]:
    return [pytest.param(snippet, id=snippet.id) for snippet in snippets]


# --- all of them


CHECKED = {
    "python",
    "js",
    "jsx",
    "tsx",
    "vue",
    "php",
    "html",
    "css",
    "sh",
    "json",
    "yaml",
    "toml",
    "dotenv",
    "http",
    "text",
}


@pytest.mark.parametrize("snippet", ids(SNIPPETS))
def test_every_block_names_a_language_that_is_checked(snippet: Snippet) -> None:
    """No block stands there without a language, or in one that no test here looks at; `text` is what is not code."""
    assert snippet.language in CHECKED


@pytest.mark.parametrize("snippet", ids([one for one in SNIPPETS if "CHANGELOG" not in one.id]))
def test_every_variable_in_a_block_is_a_setting(snippet: Snippet) -> None:
    """A name that begins with BATON_ is a setting that exists."""
    known = {env_name(name) for name in Settings.model_fields}
    assert set(re.findall(r"\bBATON_[A-Z_]+\b", snippet.text)) <= known


def test_data_can_be_read() -> None:
    """JSON, YAML and TOML parse."""
    read = {"json": json.loads, "yaml": yaml.safe_load, "toml": tomllib.loads}
    for snippet in in_language(*read):
        read[snippet.language](snippet.text)


@pytest.mark.parametrize("snippet", ids(in_language("dotenv")))
def test_settings_are_accepted(snippet: Snippet) -> None:
    """The lines of a .env are settings with values that the service takes."""
    pairs = dict(line.split("=", 1) for line in snippet.text.splitlines() if line and not line.startswith("#"))
    assert pairs
    Settings.from_env(pairs)


@pytest.mark.parametrize("snippet", ids(in_language("http")))
def test_headers_and_bodies_can_be_read(snippet: Snippet) -> None:
    """Each line before the empty one is a request line or a header; a JSON body parses."""
    head, _, body = snippet.text.partition("\n\n")
    assert all(re.fullmatch(r"[A-Z]+ /\S* HTTP/1\.1|[A-Za-z-]+: .+", line) for line in head.strip().splitlines())
    if body:
        json.loads(body)


# --- Python


@pytest.mark.parametrize("snippet", ids(in_language("python")))
def test_python_is_imported_with_what_the_service_installs(snippet: Snippet, python: Path, tmp_path: Path) -> None:
    """Each Python block is a module that can be imported where only requirements.txt is installed.

    What runs at import gets what it asks for: the client of the protocol page stands in another test; ``my_graph`` is
    the reader's own.
    """
    if "sys.argv" in snippet.text or "sys.stdin" in snippet.text:
        run(python, "-m", "py_compile", "/dev/stdin", text=snippet.text)
        imports = re.findall(r"^(?:import|from) (?!bridge).*", snippet.text, re.MULTILINE)
        run(python, "-c", "\n".join(imports))
        return
    (tmp_path / "snippet.py").write_text(snippet.text)
    (tmp_path / "my_graph.py").write_text("graph = None\n")
    (tmp_path / "bridge.py").write_text(snippet_with('"""bridge.py:', "python"))
    run(python, "-c", "import snippet", folder=tmp_path, PYTHONPATH=f"{tmp_path}:{ROOT}")


class Upstream(BaseHTTPRequestHandler):
    """Flowise and Dify as far as the recipes need them."""

    asked: list[dict[str, Any]]

    def do_POST(self) -> None:
        question = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.asked.append({"path": self.path, "key": self.headers.get("Authorization"), **question})
        if "response_mode" in question:
            events = [{"event": "message", "answer": word} for word in ("It ", "is ", "open.")] + [
                {"event": "message_end"}
            ]
            body, kind = "".join(f"data: {json.dumps(event)}\n\n" for event in events), "text/event-stream"
        else:
            body, kind = json.dumps({"text": "It is open."}), "application/json"
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def upstream() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """The address of such a server, and what it was asked."""
    asked: list[dict[str, Any]] = []
    with HTTPServer(("127.0.0.1", 0), type("Here", (Upstream,), {"asked": asked})) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/", asked
        server.shutdown()


@pytest.mark.parametrize("words", ["prediction/YOUR-FLOW-ID", "v1/chat-messages"])
def test_the_recipes_answer(
    words: str, python: Path, tmp_path: Path, upstream: tuple[str, list[dict[str, Any]]]
) -> None:
    """The recipes for Flowise and Dify, in the service's own environment, ask and pass on the answer."""
    address, asked = upstream
    (tmp_path / "recipe.py").write_text(snippet_with(words, "python"))
    code = (
        f"import recipe, inspect\nrecipe.URL = {address!r}\n"
        "class Request: question, session_ref, history = 'Are you open?', '1f0c9a77be', ()\n"
        "names = inspect.signature(recipe.answer).parameters\n"
        "given = {'request': Request, 'question': Request.question, 'session_ref': Request.session_ref}\n"
        "said = recipe.answer(**{name: given[name] for name in names})\n"
        "print(said if isinstance(said, str) else ''.join(said))\n"
    )
    assert run(python, "-c", code, folder=tmp_path, PYTHONPATH=f"{tmp_path}:{ROOT}").strip() == "It is open."
    assert "Are you open?" in json.dumps(asked)


@pytest.mark.parametrize("language", ["python", "js", "php"])
def test_the_tokens_of_the_snippets_are_accepted(language: str, python: Path, tmp_path: Path) -> None:
    """The lines that sign a visitor's token make one that verifies: a JWT with sub, exp in an hour and our aud."""
    tools = {"python": python, "js": shutil.which("node"), "php": shutil.which("php")}
    if tools[language] is None:
        pytest.skip(f"no {language} here")
    text = snippet_with(
        {"python": "def chat_token", "js": "function chatToken", "php": "function chat_token"}[language], language
    )
    call = {
        "python": "\nprint(chat_token(42, {}))",
        "js": "\nconsole.log(chatToken(42, {}))",
        "php": "\necho chat_token(42, {});",
    }
    source = ("<?php\n" if language == "php" else "") + text + call[language].format(json.dumps(SECRET))
    file = tmp_path / {"python": "t.py", "js": "t.mjs", "php": "t.php"}[language]
    file.write_text(source)
    token = run(tools[language], file, folder=tmp_path).strip()
    claims = jwt.decode(token, SECRET, ["HS256"], audience="baton", options={"require": ["exp", "sub"]})
    assert claims["sub"] == "42"


# --- the shell


@pytest.mark.parametrize("snippet", ids(SHELL))
def test_shell_lines_parse_and_name_what_exists(snippet: Snippet) -> None:
    """The lines are good shell; `make` targets, files and modules that they name exist."""
    run("sh", "-n", text=snippet.text)
    makefile = (ROOT / "Makefile").read_text("utf-8")
    for target in re.findall(r"\bmake ([a-z][a-z-]*)", snippet.text):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target
    for file in re.findall(r"(?:-r|--config) (\S+)", snippet.text):
        assert (ROOT / file).exists(), file


def test_the_lines_of_the_quickstart_work_as_typed(service: Service) -> None:
    """Copied into one shell one after the other, each call of the quickstart is answered with success."""
    blocks = [one.text for one in SHELL if one.path.name == "quickstart.md" and "curl" in one.text]
    typed = "\n".join(blocks).replace("http://127.0.0.1:8000", service.url).replace("curl ", "curl -fsS ")
    said = run("bash", "-e", "-c", f"set -o pipefail\n{typed}")
    assert len(re.findall(r'"success": ?true', said)) == 3
    assert "event: answer.end" in said
    assert "24 hours" in said


def test_the_command_line_answers_from_the_folder_that_is_set(python: Path, tmp_path: Path) -> None:
    """`python -m app knowledge ask` works in the service's environment, and reads BATON_KNOWLEDGE_DIR."""
    line = snippet_with("-m app knowledge ask", "sh").strip()
    said = run("sh", "-c", line.replace(".venv/bin/python", str(python)))
    assert "24 hours" in said
    (tmp_path / "bikes.md").write_text("# Bikes\n\n## How much is a bike?\n\nA bike costs 300 euros.\n")
    typed = f'{python} -m app knowledge ask "How much is a bike?"'
    assert "300 euros" in run("sh", "-c", typed, BATON_KNOWLEDGE_DIR=str(tmp_path))
    wrong = subprocess.run(
        [python, "-m", "app", "knowledge", "ask", "x"], cwd=ROOT, env={"BATON_KNOWLEDGE_DIR": "/no/such"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert wrong.returncode == 2
    assert wrong.stdout.startswith("BATON_KNOWLEDGE_DIR: ")


# --- what browsers read


class Balance(HTMLParser):
    """Whether tags close in the order in which they open, and the attributes and scripts that were met."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.options: set[str] = set()
        self.scripts: list[str] = []
        self.frames: list[dict[str, str | None]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in VOID:
            self.open.append(tag)
        if tag in ("script", "baton-chat"):
            self.options |= {name.removeprefix("data-") for name, _ in attrs if name.startswith("data-")}
        if tag == "iframe":
            self.frames.append(dict(attrs))
        for name, value in attrs:
            if name == "data-suggestions":
                assert isinstance(json.loads(value or ""), list)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open[-1:] == ["script"] and data.strip():
            self.scripts.append(data)


def pasted() -> list[Any]:
    """The HTML blocks of the documents and the files to paste into Webflow."""
    files = [
        Snippet(path, 1, "html", path.read_text("utf-8")) for path in sorted((ROOT / "widget/webflow").glob("*.html"))
    ]
    return ids([*in_language("html"), *files])


@pytest.mark.parametrize("snippet", pasted())
def test_html_is_well_formed_and_its_options_exist(snippet: Snippet, tmp_path: Path) -> None:
    """Tags close, every `data-` option is in the table of options, scripts parse, and a frame has a size."""
    page = Balance()
    page.feed(snippet.text)
    page.close()
    assert page.open == []
    assert page.options <= OPTIONS
    for script in page.scripts if shutil.which("node") else ():
        (tmp_path / "script.js").write_text(script)
        run("node", "--check", tmp_path / "script.js")
    for frame in page.frames:
        style = (frame.get("style") or "") + "".join(re.findall(r"<style>(.*?)</style>", snippet.text))
        assert "width: 100%" in style
        assert re.search(r"height: \d+(px|vh|dvh)", style)
        assert frame.get("title")


@needs_node
@pytest.mark.parametrize("snippet", ids(in_language("js", "tsx", "css")))
def test_scripts_and_styles_parse(snippet: Snippet) -> None:
    """JavaScript, TypeScript and CSS are read by the bundler that builds the widget."""
    esbuild = ROOT / "widget" / "node_modules" / ".bin" / "esbuild"
    if not esbuild.exists():
        pytest.skip("needs `make widget`")
    run(esbuild, f"--loader={snippet.language}", "--log-level=warning", text=snippet.text)


COMPILE_VUE = """
import { readFileSync } from "node:fs";
import { compileScript, compileTemplate, parse } from "vue/compiler-sfc";
const { descriptor, errors } = parse(readFileSync(0, "utf8"), { filename: "App.vue" });
const script = compileScript(descriptor, { id: "app", inlineTemplate: false });
const template = compileTemplate({ source: descriptor.template.content, filename: "App.vue", id: "app" });
for (const error of [...errors, ...template.errors]) console.error(String(error));
if (errors.length || template.errors.length) process.exit(1);
console.log(script.content);
"""


@needs_node
@pytest.mark.parametrize("snippet", ids(in_language("tsx", "vue")))
def test_components_are_used_as_their_types_say(snippet: Snippet, tmp_path: Path) -> None:
    """A React example passes tsc with the types of the packages; a Vue one compiles, and its script passes tsc."""
    folders = [ROOT / "examples" / "node_modules", ROOT / "tests" / "clients" / "node_modules"]
    for package in ["@types/react", *re.findall(r'from "([^".]+)"', snippet.text)]:
        if not (folders[0] / package).exists():
            install(folders[1].parent)
        if not any((folder / package).exists() for folder in folders):
            pytest.skip(f"{package} is not installed: `make example-apps`")
    (tmp_path / "node_modules").symlink_to(folders[0])
    text = snippet.text
    if snippet.language == "vue":
        (tmp_path / "compile.mjs").write_text(COMPILE_VUE)
        text = run("node", tmp_path / "compile.mjs", folder=tmp_path, text=snippet.text)
    (tmp_path / f"App.{'tsx' if snippet.language == 'tsx' else 'ts'}").write_text(text)
    options = {"strict": True, "noEmit": True, "skipLibCheck": True, "jsx": "react-jsx", "types": [],
               "target": "es2022", "module": "esnext", "moduleResolution": "bundler",
               "paths": {"ai": [f"{folders[1]}/ai"], "@ai-sdk/*": [f"{folders[1]}/@ai-sdk/*"]}}  # fmt: skip
    (tmp_path / "tsconfig.json").write_text(json.dumps({"compilerOptions": options, "include": ["App.*"]}))
    run(ROOT / "widget" / "node_modules" / ".bin" / "tsc", "--project", tmp_path, folder=tmp_path)


@needs_node
def test_the_signature_check_in_javascript_accepts_our_calls(tmp_path: Path) -> None:
    """The check for Node takes a signature as the service makes it, and refuses a changed body."""
    code = snippet_with("function fromBaton", "js") + (
        "\nconst now = String(Math.floor(Date.now() / 1000));"
        "\nconst made = 'sha256=' + createHmac('sha256', 's').update(now + '.').update('{}').digest('hex');"
        "\nconsole.log(fromBaton('s', now, made, '{}'), fromBaton('s', now, made, '{ }'));"
    )
    (tmp_path / "check.mjs").write_text(code)
    assert run("node", tmp_path / "check.mjs").strip() == "true false"


@pytest.mark.parametrize("file", ["members.html", "after-a-click.html"])
def test_the_files_for_webflow_hold_what_the_guide_shows(file: str) -> None:
    """The longer snippets for Webflow are the guide's own, below a comment that says where they go."""
    comment, _, html = (ROOT / "widget" / "webflow" / file).read_text("utf-8").partition("\n")
    assert comment.startswith("<!-- Baton: ")
    assert html in {snippet.text for snippet in in_language("html")}
