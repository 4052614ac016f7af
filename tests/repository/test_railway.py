""".railway/railway.ts, railway.toml and the Procfile: what they ask of Railway, and that they ask for the same."""

from __future__ import annotations

import json
import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest

from app.config import Settings, env_name

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / ".railway"
RENDER = """
import program from "./railway.ts";
import { createRailwayContext, project } from "railway/iac";
console.log(JSON.stringify(await program(createRailwayContext({ environment: "production" }), project)));
"""
TOML = tomllib.loads((ROOT / "railway.toml").read_text("utf-8"))
installed = pytest.mark.skipif(
    shutil.which("node") is None or not (FOLDER / "node_modules" / "railway").exists(),
    reason="needs Node and `make check-railway`",
)


@pytest.fixture(scope="module")
def resources() -> dict[str, dict[str, Any]]:
    """What the file describes, by name."""
    tsx = FOLDER / "node_modules" / "tsx" / "dist" / "cli.mjs"
    command = ["node", str(tsx), "--input-type=module", "-e", RENDER]
    ran = subprocess.run(command, cwd=FOLDER, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    return {one["name"]: one for one in json.loads(ran.stdout)["resources"]}


@installed
def test_the_types_are_those_of_the_package() -> None:
    """tsc, with the types of npm's `railway`, has nothing to say."""
    tsc = ROOT / "widget" / "node_modules" / ".bin" / "tsc"
    command = [tsc, "--project", FOLDER / "tsconfig.json"]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout


@installed
def test_the_file_describes_the_service_and_a_redis(resources: dict[str, dict[str, Any]]) -> None:
    """There is a Redis, and the service is given its address, as a reference and not as text."""
    assert resources["Redis"]["engine"] == "redis"
    address = resources["baton"]["variables"]["REDIS_URL"]
    assert address == {"type": "reference", "resource": resources["Redis"]["address"], "output": "REDIS_URL"}


@installed
def test_every_variable_is_a_setting_and_no_secret_stands_in_the_file(resources: dict[str, dict[str, Any]]) -> None:
    """The literal values are accepted by the service; secrets are left to Railway."""
    variables = resources["baton"]["variables"]
    assert set(variables) <= {env_name(name) for name in Settings.model_fields}
    literal = {name: one["value"] for name, one in variables.items() if one["type"] == "literal"}
    settings = Settings.from_env(literal)
    assert settings.host == "::"
    assert settings.trusted_proxies == 1
    secret = {"BATON_API_KEY", "BATON_IDENTITY_SECRET", "BATON_WEBHOOK_SECRET", "OPENAI_API_KEY"}
    assert not secret & set(literal)


@installed
def test_both_files_ask_for_the_same(resources: dict[str, dict[str, Any]]) -> None:
    """Health check, drain, overlap and restarts are the same in railway.ts and in railway.toml."""
    deploy = resources["baton"]["deploy"]
    expected = {name: value for name, value in TOML["deploy"].items() if name != "startCommand"}
    assert deploy == expected
    assert resources["baton"]["build"] == {"builder": "DOCKERFILE", "dockerfilePath": "Dockerfile"}


def test_the_old_file_starts_what_the_procfile_starts() -> None:
    """railway.toml and the Procfile name the same command, and the drain is longer than gunicorn's graceful time."""
    assert (ROOT / "Procfile").read_text("utf-8") == f"web: {TOML['deploy']['startCommand']}\n"
    graceful = next(line for line in (ROOT / "gunicorn.conf.py").read_text("utf-8").splitlines()
                    if line.startswith("graceful_timeout"))  # fmt: skip
    assert TOML["deploy"]["drainingSeconds"] > int(graceful.split(" = ")[1])
