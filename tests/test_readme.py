"""README.md and pages of docs/ work: their commands, pasted into a shell, with a real server."""

import http.client
import json
import os
import re
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from children import child
from servers import Server
from world import chain

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


# The commands of docs/credentials.md work when pasted


CREDENTIALS = (Path(__file__).parent.parent / "docs" / "credentials.md").read_text(encoding="utf-8")


@pytest.mark.slow
def test_every_command_of_the_page_has_the_output_that_it_shows(server, tmp_path):
    script = "\n".join(re.findall(r"```sh\n(.*?)```", CREDENTIALS, re.DOTALL)).replace("http://127.0.0.1:8000", server)
    done = subprocess.run(["bash", "-e"], input=script, cwd=tmp_path, text=True, capture_output=True, timeout=60)
    assert done.returncode == 0 and '"error"' not in done.stdout, done.stdout + done.stderr
    assert done.stdout.count('"status":"untested"') == 2
    assert "there is no credential 'other' in this workspace" in done.stdout
    assert '"status":"success"' in done.stdout and '{"key":"***","lost":11}' in done.stdout
    assert "a-key-of-your-own" not in done.stdout and "another key" not in done.stdout


# The commands of docs/environments.md copy a flow from one real server to another one


ENVIRONMENTS = (Path(__file__).parent.parent / "docs" / "environments.md").read_text(encoding="utf-8")


def start(folder):
    folder.mkdir()
    server = Server(folder, WEB_CONCURRENCY=1).start()
    server.log_in()
    return server


@pytest.mark.slow
def test_an_update_reaches_the_other_server_once(tmp_path):
    (script,) = re.findall(r"<!-- update -->\n```sh\n(.*?)```", ENVIRONMENTS, re.DOTALL)
    env, changed = dict(os.environ), chain("start", "added")
    with closing(start(tmp_path / "dev")) as dev, closing(start(tmp_path / "prod")) as prod:
        for name, server in (("DEV", dev), ("PROD", prod)):
            flow = server.add_flow(chain("start"))
            env |= {name: server.url, f"{name}_FLOW": flow, f"{name}_TOKEN": server.token}
        dev.call("PUT", f"/api/workflows/{env['DEV_FLOW']}", {"definition": changed})

        def update():
            done = subprocess.run(["bash", "-ec", script], env=env, text=True, capture_output=True, timeout=60)
            assert done.returncode == 0, done.stderr
            return prod.call("GET", f"/api/workflows/{env['PROD_FLOW']}")

        first, second = update(), update()
    assert [node["id"] for node in json.loads(first["definition_json"])["nodes"]] == ["start", "added"]
    assert first["version"] == second["version"] == 2


# docs/webhooks.md works when it is pasted, block by block, against the real server; so do bodies in chunks


WEBHOOKS = (Path(__file__).parent.parent / "docs" / "webhooks.md").read_text(encoding="utf-8")
MOST = 5 * 2**20  # HEADRACE_MAX_BODY_BYTES by default


@pytest.fixture(scope="module")
def pasted(server, tmp_path_factory):
    """What the shell says to all blocks of the page, one after the other."""
    script = "\n".join(re.findall(r"```sh\n(.*?)```", WEBHOOKS, re.DOTALL)).replace("http://127.0.0.1:8000", server)
    folder = tmp_path_factory.mktemp("shell")
    done = subprocess.run(["bash", "-e"], input=script, cwd=folder, text=True, capture_output=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_every_call_of_the_page_is_answered_as_it_says(pasted):
    assert '"error"' not in pasted, pasted
    # orders, till, sensor, push, contact, and a stream's first and last event; the repeated calls go to files
    assert pasted.count('{"run_id":"run_') == 7
    assert '{"sum":5}' in pasted and '{"item":"7"}' in pasted and '{"name":"ada"}' in pasted
    assert "data: Looking it up\n\n" in pasted and 'data: {"name":"Ada"}\n\n' in pasted and "event: end\n" in pasted
    assert "HTTP/1.1 204" in pasted and "Access-Control-Allow-Origin: https://shop.example.com" in pasted
    assert "HTTP/1.1 203" in pasted and "Hello Ada\n" in pasted and "Cache-Control: no-store" in pasted


@pytest.mark.slow
@pytest.mark.parametrize(("size", "status"), [(100, 202), (MOST - 12, 202), (MOST - 11, 413)])
def test_a_body_in_chunks_is_taken_whole_or_refused(server, pasted, size, status):
    text = b'{"name": "' + b"x" * size + b'"}'
    connection = http.client.HTTPConnection(server.removeprefix("http://"), timeout=30)
    chunks = (text[at : at + 60_000] for at in range(0, len(text), 60_000))
    headers = {"Content-Type": "application/json"}
    connection.request("POST", "/api/webhooks/orders?count=1", body=chunks, headers=headers, encode_chunked=True)
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    assert answer.status == status, body[:200]


# What docs/runs.md says to paste works against the real server, and pages of promises name tests that are there


RUNS = (ROOT / "docs" / "runs.md").read_text(encoding="utf-8")
RELIABILITY = (ROOT / "docs" / "reliability.md").read_text(encoding="utf-8")
SECURITY = (ROOT / ".github/SECURITY.md").read_text(encoding="utf-8")


@pytest.mark.slow
def test_a_run_is_answered_and_repeated_as_the_page_says(server, tmp_path):
    blocks = re.findall(r"```sh\n(.*?)```", RUNS, re.DOTALL)
    ask = f"curl -s -b cookies.txt {server}/api/runs/$RUN"
    wait = f"""until {ask} | grep -q '"finished_at":"'; do sleep 0.05; done; {ask}/steps\n"""
    waiting, taking, repeating, trying = blocks
    script = LOG_IN.format(url=server) + waiting + wait + repeating + wait + trying + "echo ====\n" + taking
    done = subprocess.run(["bash", "-e"], input=script, cwd=tmp_path, text=True, capture_output=True, timeout=60)
    before, refused = done.stdout.split("====\n")
    assert done.returncode == 0 and '"error"' not in before, done.stdout + done.stderr
    assert [issue["path"] for issue in json.loads(refused)["details"]] == ["input.room"]
    assert '"waiting":"approval: Pay 30 to Ada?"' in (tmp_path / "waiting.json").read_text()
    assert re.search(r'"retry_of":"run_\w+"', done.stdout)
    tried = json.loads((tmp_path / "tried.json").read_text())
    assert (tried["output"], tried["draft"], tried["pinned"]) == ({"paid": "as Eve said"}, True, ["ask"])
    assert '"pinned":true,"input":null,"output":null' in done.stdout


def named_tests(page):
    """`(file, test)` for each test that the page names, in the file that was named last before it."""
    file = None
    for path, name in re.findall(r"`((?:[\w/]+/)?test_\w+\.py)`|`(test_\w+)`", page):
        file = path or file
        if name:
            yield file, name


@pytest.mark.parametrize(("page", "number"), [(RELIABILITY, 50), (SECURITY, 30)], ids=["reliability", "security"])
def test_every_test_that_holds_a_promise_is_there(page, number):
    named = list(named_tests(page))
    assert len(named) > number
    missing = [
        f"{file}::{name}"
        for file, name in named
        if f"def {name}(" not in (ROOT / "tests" / str(file)).read_text(encoding="utf-8")
    ]
    assert not missing, missing
