"""What must never stand in the sources: ways to make markup out of text, weak chance, words in logs."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = [
    *(path for path in sorted((ROOT / "widget" / "src").rglob("*.ts*")) if ".test." not in path.name),
    *sorted((ROOT / "app" / "static" / "site").rglob("*.js")),
]
BUILT = sorted((ROOT / "app" / "static").glob("*.js"))
PYTHON = sorted((ROOT / "app").rglob("*.py"))
TEMPLATES = sorted((ROOT / "app" / "templates").rglob("*.html"))
MARKUP = re.compile(
    r"\b(innerHTML|outerHTML|insertAdjacentHTML|createContextualFragment|setHTMLUnsafe|parseHTMLUnsafe|DOMParser|srcdoc)\b"
    r"|\bdocument\s*\.\s*write(ln)?\b|\beval\s*\(|\bnew\s+Function\b|\bsetTimeout\s*\(\s*['\"`]|javascript:"
)
NAMED = {"app/static/site/install.js": {"srcdoc"}, "app/static/site/demo.js": {"srcdoc"}}
"""What may stand all the same: the preview on the install page is a frame whose text the page itself escapes, and the
text of the demo's panes is constant."""
TO_ANYBODY = re.compile(r"postMessage\s*\([^;]*['\"]\*['\"]|targetOrigin\s*:\s*['\"]\*")
WEAK = {"random", "uuid1", "getnode"}
LOG_METHODS = {"debug", "info", "warning", "error", "exception", "critical", "log"}
UNSAFE = re.compile(r"\|\s*safe\b|autoescape\s+false|Markup\(|xmlattr|\|\s*tojson")
RENDERED = ("page.opening", "page.html")
"""What templates print unescaped: Markup that app/web/markdown.py alone has made."""


def short(path: Path) -> str:
    return str(path.relative_to(ROOT))


def uncommented(text: str) -> str:
    """The script without its comments; addresses such as https://x keep their slashes."""
    return re.sub(r"(?<!:)//[^\n]*|/\*.*?\*/", "", text, flags=re.DOTALL)


def names_of(path: Path) -> Iterator[str]:
    """Every name that a file imports or reaches as an attribute."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.Attribute):
            yield node.attr if node.attr != "random" else "an attribute"


def log_calls(path: Path) -> Iterator[ast.Call]:
    """Calls of a logger's methods."""
    logger = re.compile(r"(_?log(ger)?|ACCESS|logging)", re.IGNORECASE)
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        called = node.func if isinstance(node, ast.Call) else None
        if (
            isinstance(called, ast.Attribute)
            and called.attr in LOG_METHODS
            and logger.fullmatch(ast.unparse(called.value))
        ):
            assert isinstance(node, ast.Call)
            yield node


def test_the_rules_see_what_they_forbid() -> None:
    """Each rule catches what it is for, so that none holds by looking past it."""
    for bad in ("a.innerHTML = b", "document.write(x)", "eval(x)", "x.insertAdjacentHTML('a', b)", "new Function(x)"):
        assert MARKUP.search(bad), bad
    assert TO_ANYBODY.search("parent.postMessage({ a: 1 }, '*')")
    assert UNSAFE.search("{{ x|safe }}")
    assert len(SCRIPTS) > 40
    assert len(PYTHON) > 50
    assert len(TEMPLATES) > 5
    assert sum(len(list(log_calls(path))) for path in PYTHON) > 12


@pytest.mark.parametrize("path", SCRIPTS, ids=short)
def test_no_script_makes_markup_of_text(path: Path) -> None:
    """No innerHTML, outerHTML, insertAdjacentHTML, document.write, eval and the like in the widget or the pages."""
    found = {match[0] for match in MARKUP.finditer(uncommented(path.read_text("utf-8")))}
    assert found - NAMED.get(short(path), set()) == set()


@pytest.mark.parametrize("path", [*SCRIPTS, *BUILT], ids=short)
def test_no_message_goes_to_anybody(path: Path) -> None:
    """No window is sent a message with '*' for its origin, in the sources or in what is built of them."""
    assert not TO_ANYBODY.search(path.read_text("utf-8"))


@pytest.mark.parametrize("path", PYTHON, ids=short)
def test_chance_comes_from_secrets(path: Path) -> None:
    """Nothing in app/ imports random or uuid1: what must not be guessed comes from secrets."""
    assert set(names_of(path)) & WEAK == set()


@pytest.mark.parametrize("path", PYTHON, ids=short)
def test_a_log_line_is_a_fixed_sentence(path: Path) -> None:
    """A logging call begins with a literal without f-string, % or +; its arguments name no text, question or body."""
    for call in log_calls(path):
        assert call.args, ast.unparse(call)
        assert isinstance(call.args[0], ast.Constant), ast.unparse(call)
        passed = " ".join(ast.unparse(one) for one in [*call.args[1:], *(keyword.value for keyword in call.keywords)])
        assert not re.search(r"\b(question|content|text|body|query|session_id|history|answer|token)\b", passed), passed
        assert not any(keyword.arg == "exc_info" for keyword in call.keywords), "a traceback may quote a visitor"
        assert call.func.attr != "exception", "a traceback may quote a visitor"  # type: ignore[attr-defined]


@pytest.mark.parametrize("path", PYTHON, ids=short)
def test_no_python_runs_text(path: Path) -> None:
    """No eval, exec, pickle, yaml.load or shell in app/."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Call):
            assert ast.unparse(node.func) not in {"eval", "exec", "os.system", "pickle.loads", "yaml.load"}
            assert not any(word.arg == "shell" for word in node.keywords)
    assert not {"pickle", "marshal", "shelve"} & set(names_of(path))


@pytest.mark.parametrize("path", TEMPLATES, ids=short)
def test_templates_escape_everything(path: Path) -> None:
    """No template switches escaping off; the one that shows a page of the folder prints what rendering.py has made."""
    text = path.read_text("utf-8")
    assert not UNSAFE.search(text)
    refused = re.search(r"<script(?![^>]*\bsrc=)|<\w[^>]*\s(on\w+|style)\s*=|<style", text)
    assert not refused, "the page's policy would refuse it"
    if path.name == "knowledge.html":
        assert all(f"{{{{ {name} }}}}" in text for name in RENDERED)


def test_only_rendering_vouches_for_markup() -> None:
    """Markup is imported by app/web/markdown.py and nowhere else."""
    assert [short(path) for path in PYTHON if "Markup" in set(names_of(path))] == ["app/web/markdown.py"]
