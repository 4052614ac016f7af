"""Writes the bill of materials (CycloneDX) of what runs, and checks the licence of every part. Needs no network.

``python -m scripts.sbom`` writes ``sbom/service.cdx.json`` (the packages of requirements*.txt, without those of
development, that are installed in this environment) and, where npm is found, ``sbom/widget.cdx.json`` (what widget/ is
built from). It ends with 1 when a part has no licence or one that is not in ALLOWED.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
OUT = ROOT / "sbom"
ALLOWED = {
    "0BSD", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "CC0-1.0", "ISC", "MIT", "MIT-0", "MPL-2.0", "PSF-2.0",
    "Python-2.0", "Unlicense", "Zlib", "ZPL-2.1",
    # Names that older packages give in place of an SPDX identifier.
    "License :: OSI Approved :: Apache Software License", "License :: OSI Approved :: BSD License",
    "License :: OSI Approved :: MIT License", "License :: OSI Approved :: Mozilla Public License 2.0 (MPL 2.0)",
}  # fmt: skip
"""Licences that allow use and redistribution beside MIT code without asking."""
UNDECLARED = {"protobuf": "BSD-3-Clause"}
"""The licence in the package's own LICENSE file, where its metadata has none that the generator reads."""


def main() -> int:
    """Write the documents, print what is wrong, and say whether all is well."""
    OUT.mkdir(exist_ok=True)
    documents = {"service": service_sbom()}
    if shutil.which("npm"):
        documents["widget"] = widget_sbom()
    else:
        print("npm was not found: sbom/widget.cdx.json is left out.")
    problems: list[str] = []
    for name, document in documents.items():
        (OUT / f"{name}.cdx.json").write_text(json.dumps(document, indent=2) + "\n", "utf-8")
        problems += [f"{name}: {problem}" for problem in licence_problems(document["components"])]
        print(f"sbom/{name}.cdx.json: {len(document['components'])} components")
    print("\n".join(problems) or "Every licence is one that may stand beside MIT.")
    return 1 if problems else 0


def service_sbom(*, validate: bool = True) -> dict[str, Any]:
    """What the lists of requirements name and this environment has; tools of development are left out.

    ``validate`` checks the document against CycloneDX's schema, which takes ten seconds.
    """
    options = ("--pyproject", "pyproject.toml", "--output-reproducible", "--validate" if validate else "--no-validate")
    document = _run(sys.executable, "-m", "cyclonedx_py", "environment", *options, sys.executable)
    lists = [path.read_text("utf-8") for path in sorted(ROOT.glob("requirements*.txt")) if "-dev" not in path.name]
    needed = set().union(*map(requirement_names, lists))
    document["components"] = [part for part in document["components"] if normalized(part["name"]) in needed]
    for part in document["components"]:
        if "licenses" not in part and part["name"] in UNDECLARED:
            part["licenses"] = [{"license": {"id": UNDECLARED[part["name"]]}}]
    kept = {part["bom-ref"] for part in document["components"]} | {"root-component"}
    document["dependencies"] = [
        {"ref": one["ref"], "dependsOn": [ref for ref in one.get("dependsOn", []) if ref in kept]}
        for one in document.get("dependencies", [])
        if one["ref"] in kept
    ]
    return document


def widget_sbom() -> dict[str, Any]:
    """What the lock file of widget/ names for the built files; tools of development are left out."""
    options = ("--omit", "dev", "--sbom-format", "cyclonedx", "--sbom-type", "application", "--package-lock-only")
    return _run("npm", "sbom", *options, folder="widget")


def licence_problems(components: list[dict[str, Any]]) -> list[str]:
    """One line for each component whose licence is missing or not allowed."""
    problems = []
    for part in components:
        licences = [_licence(one) for one in part.get("licenses", [])]
        if not any(is_allowed(licence) for licence in licences):
            problems.append(f"{part['name']} {part['version']}: {', '.join(licences) or 'no licence'} is not allowed")
    return problems


def is_allowed(expression: str) -> bool:
    """Whether an SPDX expression or a classifier is allowed: every part of AND, or one part of OR."""
    if expression in ALLOWED:
        return True
    flat = re.sub(r"\(([^()]*)\)", lambda match: "MIT" if is_allowed(match[1]) else "NONE", expression)
    if flat != expression:
        return is_allowed(flat)
    if " OR " in expression:
        return any(is_allowed(part) for part in expression.split(" OR "))
    return " AND " in expression and all(is_allowed(part) for part in expression.split(" AND "))


def requirement_names(requirements: str) -> set[str]:
    """The packages that a requirements file pins."""
    return {normalized(name) for name in re.findall(r"^([A-Za-z0-9._-]+)==", requirements, re.MULTILINE)}


def normalized(name: str) -> str:
    """A package's name as PEP 503 compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _licence(one: dict[str, Any]) -> str:
    licence = one.get("license", {})
    return str(one.get("expression") or licence.get("id") or licence.get("name") or "")


def _run(*command: str, folder: str = ".") -> dict[str, Any]:
    ran = subprocess.run(command, cwd=ROOT / folder, capture_output=True, text=True, check=False)
    if ran.returncode:
        raise SystemExit(f"{command[0]} failed: {ran.stderr.strip()[-500:]}")
    document: dict[str, Any] = json.loads(ran.stdout)
    return document


if __name__ == "__main__":
    raise SystemExit(main())
