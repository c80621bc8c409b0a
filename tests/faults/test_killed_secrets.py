"""A flow that uses secrets is killed with SIGKILL: no secret is on the disk, and the run resumes with them."""

import base64
import json
from urllib.parse import quote

import pytest
from chosen_engine import ON_POSTGRES
from effects import http_node
from engines import stored_bytes
from record import ask, settled

pytestmark = [pytest.mark.slow, pytest.mark.postgres]

SECRET = "s3cr3t/T0ken+with=odd&chars"
PASSWORD = "open s3same, please"
BASIC = base64.b64encode(f"ada:{PASSWORD}".encode()).decode()
FORMS = {SECRET, quote(SECRET), quote(SECRET, safe=""), base64.b64encode(SECRET.encode()).decode(), PASSWORD, BASIC}
USED = {
    "key": "{{ secrets.shop }}",
    "url": "{{ secrets.shop|urlencode }}",
    "basic": "Basic {{ (secrets.till.username ~ ':' ~ secrets.till.password)|b64encode }}",
}


def credentials(server):
    for name, type_, data in (
        ("shop", "secret", {"value": SECRET}),
        ("till", "http_basic", {"username": "ada", "password": PASSWORD}),
    ):
        body = {"name": name, "type": type_, "data": data, "hosts": ["127.0.0.1"]}
        server.call("POST", "/api/credentials", body)


def left(server):
    """Return the files on disk that contain the secret, including pages of the database and its log.

    On PostgreSQL, the rows count as a file.
    """
    found = [("rows", form) for form in FORMS if ON_POSTGRES and form.encode() in stored_bytes(server.database)]
    for path in server.data_dir.rglob("*"):
        if path.is_file():
            text = path.read_bytes().decode("utf-8", "replace")
            found += [(path.name, form) for form in FORMS if form in text]
    said = "".join(list(server.lines))
    return found + [("log", form) for form in FORMS if form in said]


def test_a_kill_leaves_no_secret_on_disk_and_the_run_resumes_with_it(serve, effects):
    server = serve()
    credentials(server)
    nodes = [
        http_node("first", effects.url, USED),
        {"id": "keep", "type": "store", "config": {"operation": "set", "key": "{{ secrets.shop }}", "value": USED}},
        http_node("each", effects.url, {"item": "{{ item }}", **USED}, foreach="{{ [secrets.shop, secrets.till] }}"),
        {"id": "note", "type": "log", "config": {"message": "so far {{ secrets.shop }}", "data": "{{ steps }}"}},
        http_node("held", effects.held, {"before": "{{ input }}", **USED}),
        {"id": "wait", "type": "wait", "config": {"seconds": 0.5}},
        http_node("last", effects.url, {"all": "{{ steps }}", **USED}),
    ]
    ids = [item["id"] for item in nodes]
    flow = server.add_flow({"nodes": nodes, "edges": [list(pair) for pair in zip(ids, ids[1:], strict=False)]})
    run = server.run(flow)["id"]
    effects.wait_for_keys(f"{run}:held:0")
    server.kill()
    assert not left(server)
    server.start()
    settled(server.database)
    (row,) = ask(server.database, "SELECT * FROM runs")
    assert row.status == "success", row.error_text
    assert not left(server)
    # Each request came once, except the interrupted one; the service returned the secrets.
    seen = effects.seen()
    assert {key.partition(":")[2]: times for key, times in seen.items()} == {
        "first:0": 1, "each:0": 1, "each:1": 1, "held:0": 2, "last:0": 1,
    }  # fmt: skip
    output = server.call("GET", f"/api/runs/{run}/output")
    assert (output["body"]["key"], output["body"]["basic"]) == ("***", "Basic ***")
    assert json.dumps(output).count("***") > 10


def test_the_search_finds_stored_values(serve, effects):
    server = serve()
    server.add_flow({"nodes": [{"id": "a", "type": "set", "config": {"values": {"x": SECRET}}}], "edges": []})
    assert ("rows" if ON_POSTGRES else "headrace.sqlite3-wal", SECRET) in left(server)
