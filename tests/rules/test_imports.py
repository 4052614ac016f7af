"""The layers of the code: who may import whom, how large a file and a function may be, what files are named."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FILES = sorted((ROOT / "app").rglob("*.py"))
MIDDLE = {path.stem for path in (ROOT / "app").glob("*.py")} - {"__init__", "__main__"}
LEAVES = {"errors", "session"}
EDGES = ("engines", "store", "routes")
ORDER = ("conversation", "answering", "transcript", "ports", "events")
FLASK = {"flask", "werkzeug", "flask_cors", "flask_limiter", "flask_sock"}
WIRES = {*FLASK, "redis", "hiredis", "httpx", "requests", "gunicorn", "gevent", "http", "socket"}
BAD_NAMES = {"utils", "util", "helpers", "helper", "manager", "handler", "handlers", "base", "common", "misc"}


def imported(path: Path) -> set[str]:
    """Every module that a file imports, wherever in it; imports for type checking alone do not count."""
    tree = ast.parse(path.read_text("utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING"):
            node.body = []
    package = path.relative_to(ROOT).parent.parts
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            above = ".".join(package[: len(package) - node.level + 1]) if node.level else ""
            start = ".".join(part for part in (above, node.module or "") if part)
            names |= {start} | {f"{start}.{alias.name}" for alias in node.names if start.startswith("app")}
    return names


def ours(path: Path) -> set[str]:
    """The parts of ``app`` that a file imports: ``session``, ``store``, ..."""
    return {name.split(".")[1] for name in imported(path) if name.startswith("app.")} & (MIDDLE | set(EDGES))


def reads_environment(node: ast.AST) -> bool:
    """Whether this is ``os.environ``, ``os.getenv`` or an import of either."""
    names = {"environ", "environb", "getenv"}
    if isinstance(node, ast.ImportFrom):
        return node.module == "os" and bool(names & {alias.name for alias in node.names})
    return isinstance(node, ast.Attribute) and node.attr in names and ast.unparse(node.value) == "os"


def middle_files() -> list[Path]:
    return [ROOT / "app" / f"{name}.py" for name in sorted(MIDDLE)]


def edge_files(edge: str) -> list[Path]:
    return [path for path in FILES if path.relative_to(ROOT / "app").parts[0] == edge]


def test_the_rules_look_at_real_files() -> None:
    """The files that the rules speak of are there, so that no rule holds for want of a file."""
    assert {"errors", "session", "config", "ports", *ORDER} <= MIDDLE
    assert all(edge_files(edge) for edge in EDGES)
    assert {"flask"} <= {name.split(".")[0] for path in edge_files("routes") for name in imported(path)}


@pytest.mark.parametrize("path", middle_files(), ids=lambda path: path.stem)
def test_the_middle_knows_no_wire(path: Path) -> None:
    """A file directly in app/ imports no Flask, no Redis, no HTTP, and nothing out of an edge."""
    assert not {name.split(".")[0] for name in imported(path)} & WIRES
    assert path.stem == "config" or not ours(path) & set(EDGES)


@pytest.mark.parametrize("edge", ["store", "engines"])
def test_store_and_engines_see_only_the_middle(edge: str) -> None:
    """Store and engines import neither Flask nor each other nor the routes nor the conversation."""
    for path in edge_files(edge):
        assert not {name.split(".")[0] for name in imported(path)} & FLASK, path
        assert not ours(path) & ({"conversation", "answering", *EDGES} - {edge}), path


def test_routes_see_neither_store_nor_engines() -> None:
    """Routes reach storage and engines through the conversation only."""
    for path in edge_files("routes"):
        assert not ours(path) & {"store", "engines"}, path
        assert "redis" not in {name.split(".")[0] for name in imported(path)}, path


def test_the_middle_has_one_direction() -> None:
    """conversation -> answering -> transcript -> ports -> events; errors and session import nothing of ours."""
    for place, name in enumerate(ORDER):
        assert not ours(ROOT / "app" / f"{name}.py") & set(ORDER[:place]), name
    for name in LEAVES:
        assert not ours(ROOT / "app" / f"{name}.py"), name


def test_only_config_reads_the_environment() -> None:
    """os.environ and os.getenv stand in app/config.py and nowhere else in the service."""
    readers = {
        path for path in FILES for node in ast.walk(ast.parse(path.read_text("utf-8"))) if reads_environment(node)
    }
    assert readers == {ROOT / "app" / "config.py"}


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_files_and_functions_stay_small(path: Path) -> None:
    """A file has at most 300 lines and says its role; a function at most 40 lines; names say something."""
    text = path.read_text("utf-8")
    tree = ast.parse(text)
    assert path.stem not in BAD_NAMES
    assert len(text.splitlines()) <= 300
    assert ast.get_docstring(tree) or not tree.body
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert (node.end_lineno or 0) - node.lineno < 40, f"{node.name} is too long"


@pytest.mark.parametrize("path", sorted((ROOT / "widget" / "src").rglob("*.ts*")), ids=lambda path: path.name)
def test_widget_files_stay_small(path: Path) -> None:
    """A TypeScript file has at most 300 lines."""
    assert len(path.read_text("utf-8").splitlines()) <= 300
