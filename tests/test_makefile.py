"""`make run` sets up what is missing, once, and again when what it needs has changed.

In a folder with a Python of its own, which installs nothing and notes what it is told.
"""

import os
import shutil
import subprocess
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PYTHON = """#!/bin/sh
echo "$*" >> told
"""
PIP = "-m pip install --quiet --disable-pip-version-check -r"
SERVE = "workflow_server.py"


@pytest.fixture
def folder(tmp_path):
    """A folder in which `.venv` is there, but nothing is installed in it."""
    shutil.copy(ROOT / "Makefile", tmp_path)
    shutil.copytree(ROOT / "extras", tmp_path / "extras")
    for name in ("requirements.txt", "requirements-dev.txt"):
        shutil.copy(ROOT / name, tmp_path)
    python = tmp_path / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(PYTHON)
    python.chmod(0o755)
    return tmp_path


@pytest.fixture
def make(folder):
    """`make("run", …)` gives what Python was told, line by line."""

    def run(*args, fails=False):
        (folder / "told").unlink(missing_ok=True)
        env = {key: value for key, value in os.environ.items() if key not in ("EXTRAS", "MAKEFLAGS", "MAKELEVEL")}
        done = subprocess.run(["make", *args], cwd=folder, env=env, text=True, capture_output=True, timeout=60)
        run.said = done.stdout + done.stderr
        assert (done.returncode != 0) == fails, run.said
        told = folder / "told"
        return told.read_text().splitlines() if told.exists() else []

    return run


def change(path):
    """Have the file be changed later than all that was done until now."""
    later = time.time() + 5
    os.utime(path, (later, later))


def test_a_server_without_extras_installs_none(make):
    assert make("run") == [f"{PIP} requirements.txt", SERVE]
    assert make("run") == [SERVE]


def test_extras_are_installed_once_before_the_server_starts(make):
    lines = [f"{PIP} extras/agents.txt", f"{PIP} extras/mcp.txt", SERVE]
    assert make("run", "EXTRAS=agents mcp") == [f"{PIP} requirements.txt", *lines]
    assert make("run", "EXTRAS=agents mcp") == [SERVE]


def test_an_extra_can_be_added_later(make):
    make("run", "EXTRAS=mcp")
    assert make("run", "EXTRAS=agents") == [f"{PIP} extras/agents.txt", SERVE]


def test_extras_that_are_there_follow_their_file_without_being_named_again(make, folder):
    make("run", "EXTRAS=agents mcp")
    change(folder / "extras" / "agents.txt")
    assert make("run") == [f"{PIP} extras/agents.txt", SERVE]


def test_an_extra_that_is_no_more_keeps_no_server_from_starting(make, folder):
    make("run", "EXTRAS=mqtt")
    (folder / "extras" / "mqtt.txt").unlink()
    assert make("run") == [SERVE]


def test_an_extra_that_there_is_not_is_named_and_nothing_starts(make):
    assert SERVE not in make("run", "EXTRAS=agent", fails=True)
    assert "There is no extra agent; there are: agents mcp" in make.said
