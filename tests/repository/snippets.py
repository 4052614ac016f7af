"""The fenced code blocks of the documents, and a Python that has only what requirements.txt installs."""

from __future__ import annotations

import re
import sys
import venv
from dataclasses import dataclass
from importlib.metadata import distributions
from pathlib import Path

from scripts.sbom import normalized, requirement_names

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
    *(path for path in sorted(ROOT.glob("widget/**/*.md")) if "node_modules" not in path.parts),
    *(path for path in sorted(ROOT.glob("examples/**/*.md")) if "node_modules" not in path.parts),
]
_BLOCK = re.compile(r"^( *)```(\w*)[^\n]*\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Snippet:
    """One block: its document, the line it begins on, its language and its text as it stands."""

    path: Path
    line: int
    language: str
    text: str

    @property
    def id(self) -> str:
        return f"{self.path.relative_to(ROOT)}:{self.line}"


def snippets_of(path: Path) -> list[Snippet]:
    """The blocks of one document."""
    text = path.read_text("utf-8")
    return [
        Snippet(path, text.count("\n", 0, found.start()) + 1, found[2], re.sub(f"(?m)^{found[1]}", "", found[3]))
        for found in _BLOCK.finditer(text)
    ]


SNIPPETS = [snippet for path in DOCUMENTS for snippet in snippets_of(path)]


def in_language(*languages: str) -> list[Snippet]:
    """The blocks of some languages, of all documents."""
    return [snippet for snippet in SNIPPETS if snippet.language in languages]


def snippet_with(words: str, language: str) -> str:
    """The one block of a language that holds some words."""
    (found,) = [snippet for snippet in in_language(language) if words in snippet.text]
    return found.text


def runtime_python(folder: Path) -> Path:
    """A Python that has the packages of requirements.txt and nothing else; made of links, without a network."""
    venv.create(folder, with_pip=False, symlinks=True)
    packages = next(folder.glob("lib/python*/site-packages"))
    needed = requirement_names((ROOT / "requirements.txt").read_text("utf-8"))
    for distribution in distributions(path=[path for path in sys.path if "site-packages" in path]):
        if normalized(distribution.metadata["Name"]) in needed:
            for top in {
                file.parts[0] for file in distribution.files or () if file.parts[0] not in ("..", "__pycache__")
            }:
                if not (packages / top).exists():
                    (packages / top).symlink_to(Path(str(distribution.locate_file(top))).resolve())
    return folder / "bin" / "python"
