"""docs/webhooks.md works when it is pasted, block by block, against the real server; so do bodies in chunks."""

import http.client
import re
import subprocess
from pathlib import Path

import pytest
from test_readme import server as real_server

PAGE = (Path(__file__).parent.parent / "docs" / "webhooks.md").read_text(encoding="utf-8")
server = real_server
MOST = 5 * 2**20  # HEADRACE_MAX_BODY_BYTES by default


@pytest.fixture(scope="module")
def pasted(server, tmp_path_factory):
    """What the shell says to all blocks of the page, one after the other."""
    script = "\n".join(re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL)).replace("http://127.0.0.1:8000", server)
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
