"""Carries out a Dockerfile's own steps in a folder, where there is no container engine.

The folder stands for the image's file system: each absolute path that the image uses (``PATHS``) is that path below the
folder. What this cannot show is the base image, the isolation of a container, and the size of the result.
"""

from __future__ import annotations

import fnmatch
import io
import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

from dockerfile_parse import DockerfileParser

PATHS = ("/opt/venv", "/baton", "/data")


@dataclass
class Image:
    """What the steps have made: a folder, the environment, and how to start and check it."""

    root: Path
    context: Path
    environ: dict[str, str] = field(default_factory=dict)
    workdir: str = "/"
    user: str = "0"
    command: list[str] = field(default_factory=list)
    healthcheck: list[str] = field(default_factory=list)
    stages: dict[str, Path] = field(default_factory=dict)
    _stage: str = ""

    def inside(self, text: str) -> str:
        """The text with the image's paths as they are on this machine."""
        return re.sub(rf"(?<![\w./-])({'|'.join(PATHS)})(?![\w-])", rf"{self.root}\1", text)

    def process_environ(self, **more: str) -> dict[str, str]:
        """The variables that a process in the image has; ``python`` is this machine's, as the base image has one."""
        path = self.inside(self.environ.get("PATH", "")).replace("$PATH", "").strip(":")
        kept = {
            name: value for name, value in os.environ.items() if name.startswith("PIP_") or "_PROXY" in name.upper()
        }
        given = {name: self.inside(value) for name, value in self.environ.items()}
        return kept | given | {"PATH": ":".join(filter(None, (path, f"{self.root}/bin", "/usr/bin:/bin")))} | more

    @property
    def folder(self) -> Path:
        """The working folder."""
        return Path(self.inside(self.workdir))


def build(dockerfile: Path, root: Path, **arguments: str) -> Image:
    """Carry out every step; a step that fails raises CalledProcessError with what it wrote."""
    image = Image(root, dockerfile.parent)
    parser = DockerfileParser(fileobj=io.BytesIO(dockerfile.read_bytes()))
    for step in parser.structure:
        if step["instruction"] != "COMMENT":
            _STEPS[step["instruction"]](image, step["value"], arguments)
    return image


def _from(image: Image, value: str, _: dict[str, str]) -> None:
    """A new stage begins with an empty folder at the same place, so that paths written into scripts stay true."""
    if image.root.exists():
        image.stages[image._stage] = image.root.rename(image.root.with_name(f"{image.root.name}-{image._stage}"))
    image._stage = value.partition(" AS ")[2] or "last"
    image.environ, image.workdir, image.user = {}, "/", "0"
    (image.root / "bin").mkdir(parents=True)
    for name in PATHS:
        (image.root / name[1:]).parent.mkdir(parents=True, exist_ok=True)
    python = image.root / "bin" / "python"
    python.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    python.chmod(0o755)


def _copy(image: Image, value: str, _: dict[str, str]) -> None:
    options = dict(re.findall(r"--(from|chown)=(\S+)", value))
    *sources, target = re.sub(r"--\w+=\S+", "", value).split()
    to = Path(image.inside(str(Path(image.workdir) / target)))
    for source in sources:
        if stage := options.get("from"):
            _put(image.stages[stage] / source.lstrip("/"), to)
        else:
            found = sent_to_builder(image.context, source)
            assert found, f"COPY {source}: the builder is not given it"
            for path in found:
                below = path.relative_to(source) if (image.context / source).is_dir() else Path(path.name)
                _put(image.context / path, to if target == path.name and below.name == target else to / below)
    if "chown" in options and os.getuid() == 0:
        for path in (to, *to.rglob("*")):
            os.chown(path, *map(int, options["chown"].split(":")))


def _put(source: Path, to: Path) -> None:
    to.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        shutil.copytree(source, to, symlinks=True, dirs_exist_ok=True)
    else:
        shutil.copy2(source, to)


def _run(image: Image, value: str, arguments: dict[str, str]) -> None:
    words = re.sub(r"install -d -o \d+ -g \d+", "install -d", value) if os.getuid() else value
    subprocess.run(
        ["sh", "-c", image.inside(words)], cwd=image.folder, env=image.process_environ(**arguments), check=True,
        capture_output=True, text=True,
    )  # fmt: skip


def _env(image: Image, value: str, _: dict[str, str]) -> None:
    image.environ |= dict(re.findall(r"(\w+)=(\S+)", value))


def _workdir(image: Image, value: str, _: dict[str, str]) -> None:
    image.workdir = value
    image.folder.mkdir(parents=True, exist_ok=True)


def _user(image: Image, value: str, _: dict[str, str]) -> None:
    image.user = value


def _command(image: Image, value: str, _: dict[str, str]) -> None:
    image.command = json.loads(value)


def _healthcheck(image: Image, value: str, _: dict[str, str]) -> None:
    image.healthcheck = json.loads(value.partition("CMD ")[2])


_STEPS = {
    "FROM": _from, "COPY": _copy, "RUN": _run, "ENV": _env, "WORKDIR": _workdir, "USER": _user, "CMD": _command,
    "HEALTHCHECK": _healthcheck, "ARG": lambda *_: None, "EXPOSE": lambda *_: None, "STOPSIGNAL": lambda *_: None,
}  # fmt: skip


def sent_to_builder(context: Path, source: str) -> list[Path]:
    """The files of the context that COPY finds under a name or pattern, without those that .dockerignore leaves out."""
    rules = [line for line in (context / ".dockerignore").read_text().splitlines() if line and not line.startswith("#")]
    starts = sorted(context.glob(source))
    files = [path for start in starts for path in (sorted(start.rglob("*")) if start.is_dir() else [start])]
    below = [path.relative_to(context) for path in files if path.is_file()]
    return [path for path in below if not _is_ignored(path, rules)]


def _is_ignored(path: Path, rules: list[str]) -> bool:
    """The last rule that fits the path or a folder above it counts."""
    ignored = False
    for rule in rules:
        pattern = rule.removeprefix("!")
        names = [str(path), *map(str, list(path.parents)[:-1])]
        if any(
            fnmatch.fnmatch(name, pattern) or fnmatch.fnmatch(f"/{name}", pattern.replace("**/", "*/"))
            for name in names
        ):
            ignored = not rule.startswith("!")
    return ignored
