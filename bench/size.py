"""How many files and lines the service and the widget have: `make bench BENCH=size`."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PARTS = {
    "Python (app)": ("app", "*.py"),
    "Lua (app)": ("app", "*.lua"),
    "gunicorn.conf.py": (".", "gunicorn.conf.py"),
    "TypeScript (widget/src)": ("widget/src", "*.ts"),
}


def count(folder: str, pattern: str) -> tuple[int, int]:
    """Files and lines, comments and empty lines included; a test beside its component (``*.test.ts``) is none."""
    found = (ROOT / folder).glob(pattern) if folder == "." else (ROOT / folder).rglob(pattern)
    files = [path for path in found if not path.name.endswith(".test.ts")]
    return len(files), sum(len(path.read_text().splitlines()) for path in files)


def main() -> None:
    """Prints a Markdown table."""
    print("| part | files | lines |\n| --- | --- | --- |")
    for name, (folder, pattern) in PARTS.items():
        files, lines = count(folder, pattern)
        print(f"| {name} | {files} | {lines} |")


if __name__ == "__main__":
    main()
