"""The version is said in one place, and everything that tells it reads it there."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from click.testing import CliRunner
from test_layers import sources

import cli
from constants import VERSION

ROOT = Path(__file__).parent.parent


@pytest.mark.slow
def test_a_plain_clone_that_is_not_installed_prints_its_version(tmp_path):
    command = [sys.executable, str(ROOT / "workflow_server.py"), "--version"]
    done = subprocess.run(command, cwd=tmp_path, text=True, capture_output=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"headrace {VERSION}\n", "")


def test_the_version_is_asked_for_without_a_database(tmp_path, monkeypatch):
    monkeypatch.setenv("HEADRACE_DATA_DIR", str(tmp_path / "none"))
    assert CliRunner().invoke(cli.main, ["--version"]).output == f"headrace {VERSION}\n"
    assert not list(tmp_path.iterdir())


def test_readiness_tells_the_version_and_health_stays_as_the_contract_says(client):
    assert client.get("/api/ready").json["version"] == VERSION
    assert set(client.get("/api/health").json) == {"ok", "ts"}


def test_the_openapi_document_has_the_version(client):
    assert client.get("/api/openapi.json").json["info"]["version"] == VERSION


def test_packaging_reads_the_version_from_its_one_place():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert "version" in project["project"]["dynamic"]
    assert project["tool"]["setuptools"]["dynamic"]["version"] == {"attr": "constants.VERSION"}


def test_no_other_source_writes_the_version_out():
    wanted = re.compile(rf"""["']{re.escape(VERSION)}["']""")
    assert [path for path in sources() if wanted.search((ROOT / path).read_text(encoding="utf-8"))] == ["constants.py"]


def test_the_changelog_begins_with_this_version_and_dates_all_others():
    first, *released = re.findall(r"^## (.+)$", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    dated = r"\d+\.\d+\.\d+ \(\d{4}-\d\d-\d\d\)"
    assert first == f"{VERSION} (unreleased)" or (first.split()[0] == VERSION and re.fullmatch(dated, first))
    assert all(re.fullmatch(dated, heading) for heading in released)
