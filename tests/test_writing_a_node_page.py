"""docs/writing-a-node.md works: its files are written and its commands executed, with a real server."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from test_readme import free_port

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "writing-a-node.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
# `make run` uses its own terminal; here it returns as soon as the server responds.
MAKE = """
make() {
    [ "$*" = run ] || return 1
    .venv/bin/python workflow_server.py & SERVER=$!
    trap 'kill $SERVER; wait $SERVER' EXIT
    until curl -s -o /dev/null http://127.0.0.1:$PORT/api/health; do kill -0 $SERVER; sleep 0.05; done
}
"""

# In the folder of Headrace there is a workflow_server.py.
PYTHON = """#!/bin/sh
[ "$1" = workflow_server.py ] && shift && set -- "{root}/workflow_server.py" "$@"
exec "{python}" "$@"
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with `headrace`, where the commands are executed, and `own-nodes` with all files of the page."""
    place = tmp_path_factory.mktemp("page")
    for language, text in BLOCKS:
        if language == "python":
            path = place / text.splitlines()[0].removeprefix("# ")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
    python = place / "headrace" / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(PYTHON.format(root=ROOT, python=sys.executable))
    python.chmod(0o755)
    return place


@pytest.fixture(scope="module")
def desk():
    """The help desk service of the page."""
    from pytest_httpserver import HTTPServer

    with HTTPServer("127.0.0.1") as server:
        server.expect_request("/tickets", method="POST").respond_with_json({"number": 7})
        yield server


@pytest.fixture(scope="module")
def pasted(place, desk):
    """The output of all commands of the page, in order."""
    port = free_port()
    commands = "".join(text for language, text in BLOCKS if language == "sh")
    for there, here in (
        ("https://desk.example", desk.url_for("").rstrip("/")),
        ("desk.example", "127.0.0.1"),
        ("http://127.0.0.1:8000", f"http://127.0.0.1:{port}"),
    ):
        commands = commands.replace(there, here)
    env = {
        **{key: value for key, value in os.environ.items() if not key.startswith("HEADRACE")},
        "PORT": str(port),
        "HEADRACE_EGRESS_ALLOW": "127.0.0.1",
        "PYTHONPATH": str(ROOT),  # as the folder of Headrace has it, where the page runs pytest
    }
    done = subprocess.run(
        ["bash", "-e"],
        input=MAKE + commands,
        cwd=place / "headrace",
        env=env,
        text=True,
        capture_output=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done


def test_every_block_is_a_whole_file_or_a_command():
    assert {language for language, _ in BLOCKS} == {"python", "sh"}
    assert len(BLOCKS) == PAGE.count("```") / 2
    files = [text.splitlines()[0] for language, text in BLOCKS if language == "python"]
    assert all(re.fullmatch(r"# own-nodes/(tests/test_)?\w+\.py", line) for line in files)


@pytest.mark.slow
def test_every_command_does_what_the_page_says(pasted):
    assert '"error"' not in pasted.stdout
    assert (
        '{\n  "country": "GB",\n  "iban": "GB82 WEST 1234 5698 7654 32"\n}' in pasted.stdout
    )  # `run` without a server
    assert '"type":"acme_iban"' in pasted.stdout and '"own":true' in pasted.stdout and '"broken":[]' in pasted.stdout
    assert '"output":{"country":"GB","iban":"GB82 WEST 1234 5698 7654 32"}' in pasted.stdout


@pytest.mark.slow
def test_the_node_that_calls_a_service_uses_its_credential_without_recording_it(pasted, desk, place):
    assert '"output":{"number":7}' in pasted.stdout
    (request, _) = desk.log[0]
    assert request.json == {"subject": "Ada cannot log in"}
    assert request.headers["Authorization"] == "Bearer open-sesame-12345"
    assert re.fullmatch(r"run_\w+:tell:0", request.headers["Idempotency-Key"])
    database = place / "headrace" / "data" / "headrace.sqlite3"
    kept = [path.read_bytes() for path in database.parent.glob("headrace.sqlite3*")]
    assert kept and not any(b"open-sesame" in data for data in kept)


@pytest.mark.slow
def test_the_tests_of_the_page_pass(pasted):
    assert re.search(r"= 13 passed in", pasted.stdout), pasted.stdout
