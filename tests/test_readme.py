"""The README's tour works when it is pasted, line by line, against the real server."""

import os
import re
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import contextmanager
from pathlib import Path

import pytest
from children import child

from api import catalogue
from nodes import REGISTRY

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
LOG_IN = """
URL={url}
JSON='Content-Type: application/json'
curl -s -c cookies.txt $URL/api/auth/login -H "$JSON" -d '{{"email": "me@example.com", "password": "change-me-please"}}'
"""


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def wait_for(url, process):
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and process.poll() is None:
        try:
            return urllib.request.urlopen(url, timeout=5).status
        except OSError:
            time.sleep(0.05)
    raise AssertionError(f"the server did not answer at {url}")


@contextmanager
def serving(data_dir, **settings):
    """The address of a server with the owner that the pages speak of."""
    port = free_port()
    env = {
        **{key: value for key, value in os.environ.items() if not key.startswith("HEADRACE")},
        "PORT": str(port),
        "HEADRACE_DATA_DIR": str(data_dir),
        "HEADRACE_ADMIN_EMAIL": "me@example.com",
        "HEADRACE_ADMIN_PASSWORD": "change-me-please",
        **settings,
    }
    with child([sys.executable, "workflow_server.py"], seconds=None, cwd=ROOT, env=env) as process:
        wait_for(f"http://127.0.0.1:{port}/api/health", process)
        yield f"http://127.0.0.1:{port}"


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with serving(tmp_path_factory.mktemp("data")) as url:
        yield url


@pytest.mark.slow
def test_the_tour_works_when_it_is_pasted(server, tmp_path):
    tour = re.search(r"<!-- tour -->\n```sh\n(.*?)```", README, re.DOTALL)[1]
    script = tour.replace("http://127.0.0.1:8000", server)
    # A shell that reads its commands from a pipe does what one does into which they are pasted.
    done = subprocess.run(["bash", "-e"], input=script, cwd=tmp_path, text=True, capture_output=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert '"output":{"name":"Ada","price":30,"count":4,"total":120}' in done.stdout
    assert "A big order by Ada: 120" in done.stdout
    assert "there is no node 'chekc'" in done.stdout


@pytest.mark.slow
def test_the_task_for_an_agent_is_taken(tmp_path, tmp_path_factory):
    (task,) = re.findall(r"<!-- agent -->\n```sh\n(.*?)```", README, re.DOTALL)
    with serving(tmp_path_factory.mktemp("data"), HEADRACE_LLM_MODEL="test") as url:
        script = LOG_IN.format(url=url) + task
        done = subprocess.run(["bash", "-e"], input=script, cwd=tmp_path, text=True, capture_output=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert '"agent_id":"summarizer"' in done.stdout and '"status":"success"' in done.stdout


def test_each_template_that_it_names_is_there():
    for path in re.findall(r"templates_data/[\w-]+\.json", README):
        assert (ROOT / path).exists(), path


def test_it_tells_how_many_node_types_there_are():
    homes = ("nodes.", "packs.")
    ours = [type_ for type_, node in REGISTRY.items() if not node.own and type(node).__module__.startswith(homes)]
    assert "**Over 50 node types**" in README and len(ours) > 50
    assert "over 50 templates" in README and len(catalogue.read_templates()) > 50


def test_it_names_every_document_and_every_extra():
    extras = {path.parent.name for path in ROOT.glob("packs/*/requirements.txt") if path.read_text().strip()}
    for name in [*(path.name for path in (ROOT / "docs").glob("*.md")), *(f"`{extra}`" for extra in extras)]:
        assert name in README, name
