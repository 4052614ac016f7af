"""The Dockerfile and compose.yaml. No container engine is needed: the steps are carried out in a clean folder."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from app.config import Settings, env_name
from app.storage.embedded_redis import server_binary
from tests.conftest import free_port, until
from tests.repository.dockerfile import Image, build, sent_to_builder

pytestmark = pytest.mark.timeout(600)  # the packages are fetched and installed as in a builder
ROOT = Path(__file__).resolve().parents[2]
NO_INDEX = re.compile(r"No matching distribution|Could not find a version|connection|Temporary failure", re.IGNORECASE)


@pytest.fixture(scope="module")
def image() -> Iterator[Image]:
    """The result of the Dockerfile's steps."""
    folder = Path(tempfile.mkdtemp(prefix="baton-image-"))
    folder.chmod(0o755)
    try:
        yield build(ROOT / "Dockerfile", folder / "root")
    except subprocess.CalledProcessError as error:
        if NO_INDEX.search(error.stderr):
            pytest.skip(f"the packages cannot be fetched here: {error.stderr.strip().splitlines()[-1]}")
        raise AssertionError(error.stdout + error.stderr) from None
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def run_as(image: Image) -> dict[str, int]:
    """The user of the image for Popen, where this machine lets that user start its Python."""
    uid, gid = map(int, image.user.split(":"))
    if os.getuid() == 0:
        with contextlib.suppress(PermissionError):
            if subprocess.run([sys.executable, "-c", ""], user=uid, group=gid, check=False, cwd="/").returncode == 0:
                return {"user": uid, "group": gid}
    return {}


def test_the_image_serves_the_chat_and_says_when_it_is_healthy(image: Image) -> None:
    """Its command starts the service on PORT, its check passes then and only then, and SIGTERM ends it cleanly."""
    port = free_port()
    environ = image.process_environ(PORT=str(port), HOST="127.0.0.1", WEB_CONCURRENCY="1")
    check = [image.inside(word) for word in image.healthcheck]
    options: dict[str, Any] = {
        "cwd": image.folder,
        "env": environ,
        "capture_output": True,
        "check": False,
        **run_as(image),
    }
    assert subprocess.run(check, **options).returncode != 0
    before = files_of(image)
    log = image.root.with_name("log")
    with log.open("wb") as written:
        service = subprocess.Popen(
            image.command, cwd=image.folder, env=environ, stderr=written, start_new_session=True, **run_as(image)
        )
    try:
        until(lambda: is_healthy(service, check, options, log), 60, "the health check to pass")
        url = f"http://127.0.0.1:{port}"
        assert "data-open-chat" in httpx.get(url).text
        assert httpx.get(f"{url}/widget.js").status_code == 200
        answer = httpx.post(f"{url}/api/chat", json={"query": "How long are chats kept?"}, timeout=30).json()
        assert answer["citations"]
    finally:
        service.send_signal(signal.SIGTERM)
        code = service.wait(60)
    assert code == 0, log.read_text()
    assert files_of(image) == before, "it writes into /data and nowhere else"


def is_healthy(service: subprocess.Popen[bytes], check: list[str], options: dict[str, Any], log: Path) -> bool:
    """Whether the health check passes; a service that has ended fails the test with what it wrote."""
    assert service.poll() is None, log.read_text()
    return subprocess.run(check, **options).returncode == 0


def files_of(image: Image) -> set[tuple[str, int]]:
    """Every file of the image outside the data folder, with its size."""
    below = (path for path in image.root.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    return {(str(path), path.lstat().st_size) for path in below if not path.is_relative_to(image.root / "data")}


def test_the_image_holds_what_runs_and_nothing_else(image: Image) -> None:
    """No tests, no sources of the widget, no tools, no pip, no .env; the built widget is there."""
    names = {path.name for path in image.folder.iterdir()}
    assert names == {"LICENSE", "pyproject.toml", "gunicorn.conf.py", "app", "docs", "pages"}
    assert (image.folder / "app" / "static" / "widget.js").exists()
    installed = {path.name for path in (image.root / "opt/venv/lib/python3.11/site-packages").iterdir()}
    assert {"flask", "gunicorn", "redis"} <= installed
    assert not {"pytest", "pip", "playwright", "mypy"} & installed


def test_the_image_does_not_run_as_root(image: Image) -> None:
    """The user has a number other than 0 and owns the data folder, not the code."""
    uid, gid = map(int, image.user.split(":"))
    assert uid > 0
    assert gid > 0
    if os.getuid() == 0:
        assert (image.root / "data").stat().st_uid == uid
        assert (image.folder / "app").stat().st_uid == 0


def test_the_builder_is_given_only_what_is_copied(tmp_path: Path) -> None:
    """.dockerignore keeps secrets, tests and caches away from the builder, whatever lies about in the folder."""
    for name in (
        ".env",
        ".git/config",
        "tests/test_x.py",
        "app/x.py",
        "app/__pycache__/x.pyc",
        "docs/a.md",
        "pages/b.md",
        "notes.txt",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x")
    shutil.copy(ROOT / ".dockerignore", tmp_path)
    sent = {str(path) for start in tmp_path.iterdir() for path in sent_to_builder(tmp_path, start.name)}
    assert sent == {"app/x.py", "docs/a.md", "pages/b.md"}


def test_hadolint_finds_nothing() -> None:
    """The linter for Dockerfiles has nothing to say."""
    linter = Path(sys.executable).with_name("hadolint")
    ran = subprocess.run([linter, "Dockerfile"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stdout) == (0, "")


def composed() -> dict[str, dict]:
    return yaml.safe_load((ROOT / "compose.yaml").read_text("utf-8"))["services"]


def test_compose_gives_the_service_settings_that_exist() -> None:
    """Every variable in compose.yaml is a setting, and REDIS_URL names the other service."""
    environ = composed()["baton"]["environment"]
    assert set(environ) <= {env_name(name) for name in Settings.model_fields}
    values = {name: re.sub(r"\$\{\w+:-((?:[^{}]|\{[^}]*\})*)\}", r"\1", value) for name, value in environ.items()}
    values = {name: re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", value) for name, value in values.items()}
    settings = Settings.from_env(values)
    assert settings.redis_url is not None
    assert settings.redis_url.get_secret_value().startswith("redis://redis:6379")
    assert settings.public_url == "http://127.0.0.1:8000"
    assert composed()["baton"]["depends_on"] == {"redis": {"condition": "service_healthy"}}


def test_compose_lets_running_answers_finish() -> None:
    """A stop waits longer than gunicorn's own graceful time."""
    graceful = re.search(r"^graceful_timeout = (\d+)", (ROOT / "gunicorn.conf.py").read_text("utf-8"), re.MULTILINE)
    assert graceful is not None
    assert int(composed()["baton"]["stop_grace_period"].removesuffix("s")) > int(graceful[1])


def test_the_redis_of_compose_keeps_what_it_stored(tmp_path: Path, service) -> None:
    """A server started with the options in compose.yaml is durable in the words of /health, and evicts nothing."""
    _, *options = composed()["redis"]["command"]
    assert composed()["redis"]["volumes"] == ["redis:/data"]
    port = free_port()
    server = subprocess.Popen(
        [server_binary(), *options, "--port", str(port), "--dir", tmp_path], stdout=subprocess.DEVNULL
    )
    try:
        baton = service(REDIS_URL=f"redis://127.0.0.1:{port}/0")
        assert httpx.get(f"{baton.url}/health").json()["durability"] == "append-only"
        assert "evict" not in baton.output
    finally:
        server.terminate()
        server.wait(20)
