"""Create data of this version, for later versions to open: `python tests/migrations/make_database.py`.

A real server stores at least one thing of each kind; its backup becomes `<version>.tar.gz` beside this file. KEY
is the server's key, and the addresses and passwords are those of tests/support/servers.py.
"""

from __future__ import annotations

import io
import sys
import tarfile
import tempfile
import threading
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "support")]

import subprocess  # noqa: E402

from servers import Server, until  # noqa: E402
from world import chain, flow, node  # noqa: E402

from constants import VERSION  # noqa: E402

HERE = Path(__file__).parent
KEY = "the key of the databases that are kept"
SECRET = "the value of the credential that is kept"
VIEWER = "viewer@example.org"
FEED = """<?xml version="1.0"?><rss version="2.0"><channel><title>News</title>
<item><guid>1</guid><title>First</title><link>https://example.org/1</link></item></channel></rss>"""
DOCUMENT = """{"openapi": "3.0.0", "info": {"title": "Pets", "version": "1"}, "servers": [{"url": "https://pets.example"}],
"paths": {"/pets": {"get": {"operationId": "listPets", "summary": "List pets", "responses": {}}}}}"""
AGENT = {"id": "mine", "name": "Mine", "instructions": "Answer.", "model": "test"}


@contextmanager
def feed():
    """Serve a feed with one entry, and yield its address."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Type", "application/rss+xml")
            self.end_headers()
            self.wfile.write(FEED.encode())

        def log_message(self, *args):
            pass

    listener = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=listener.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{listener.server_port}/feed.xml"
    finally:
        listener.shutdown()
        listener.server_close()


def fill(server, feed_url):
    """Make the server store something in every table."""
    call, session = server.call, server.session()
    people(server, session)
    call("POST", "/api/credentials", {"name": "kept", "type": "secret", "data": {"value": SECRET}})
    runs(server)
    triggers(server, feed_url)
    agents(server)
    editing(server, session)
    tables(server)
    call("POST", "/api/import/openapi", {"document": DOCUMENT})
    call("POST", "/api/logs", {"message": "A line that a program wrote", "level": "warning", "data": {"n": 1}})


def people(server, session):
    """Add a member, an invitation, a token, another workspace, and a failed login."""
    server.add_member(VIEWER, "viewer", "Vera")
    call = server.call
    call("POST", "/api/invitations", {"email": "guest@example.org", "role": "editor"}, headers=session)
    call("POST", "/api/tokens", {"name": "for the kept database", "role": "viewer"}, headers=session)
    call("POST", "/api/workspaces", {"name": "Second"}, headers=session)
    server.request("POST", "/api/auth/login", {"email": VIEWER, "password": "a wrong one"})


def runs(server):
    """Add flows with versions, and runs: successful, failed, cancelled, waiting, and of a draft."""
    call = server.call
    doubles = chain(node("start", "manual"), node("twice", "set", {"values": {"n": "{{ input.n * 2 }}"}}))
    made = server.add_flow(doubles, "Doubles")
    server.run(made, {"n": 21}, wait=20)
    secret = {"values": {"length": "{{ secrets.kept | length }}", "n": "{{ input.n }}"}}
    changed = chain(node("start", "manual"), node("twice", "set", secret), node("say", "log", {"message": "Done"}))
    call("PUT", f"/api/workflows/{made}", {"definition": changed})
    server.run(made, {"n": 1}, wait=20)
    call("POST", f"/api/workflows/{made}/run?wait=20", {"input": {"n": 2}}, headers={"Idempotency-Key": "once"})
    call("POST", f"/api/workflows/{made}/run?wait=20", {"input": {"n": 3}, "definition": doubles})
    call("POST", "/api/runs", {"workflow_id": made, "status": "success", "triggered_by": "manual", "output": 1})
    for day in range(1, 10):
        old = {"workflow_id": made, "status": "success", "finished_at": f"2026-01-{day:02}T12:00:00Z"}
        call("POST", "/api/runs", old)
    fails = server.add_flow(flow(node("halt", "code", {"source": "1 / 0"})), "Fails")
    failed = server.run(fails, None, wait=20)
    call("POST", f"/api/runs/{failed['id']}/retry", {"from": "start"})
    large = server.add_flow(flow(node("big", "set", {"values": {"text": "{{ 'x' * 200000 }}"}})), "Large values")
    server.run(large, None, wait=20)
    stored = node("keep", "store", {"operation": "set", "key": "last", "value": "{{ input }}"})
    file = node("write", "file", {"operation": "write", "path": "reports/today.txt", "data": "Hello"})
    server.run(server.add_flow(chain(node("start", "manual"), stored, file), "Keeps"), {"n": 1}, wait=20)
    asks = server.add_flow(flow(node("may", "approval", {"message": "May it?"})), "Asks")
    waiting = [server.run(asks)["id"] for _ in range(2)]
    call("POST", f"/api/runs/{waiting[1]}/cancel", {})
    naps = server.add_flow(chain(node("nap", "wait", {"seconds": 60}), node("end", "noop")), "Naps")
    napping = server.run(naps, "slept")["id"]
    calls = server.add_flow(flow(node("call", "subflow", {"workflow_id": asks})), "Calls")
    calling = server.run(calls)["id"]
    for id_ in (waiting[0], napping, calling):
        until(lambda id_=id_: call("GET", f"/api/runs/{id_}")["waiting"], "the run waits")


def triggers(server, feed_url):
    """Call a webhook, let a schedule fire, and let a feed be polled."""
    hook = flow(node("hook", "webhook", {"path": "kept", "respond": "last", "dedupe_header": "Idempotency-Key"}))
    server.add_flow(hook, "Called")
    server.call("POST", "/api/webhooks/kept", {"order": 7}, headers={"Idempotency-Key": "seven"})
    ticks = server.add_flow(flow(node("tick", "schedule", {"every": 1})), "Ticks")
    until(lambda: server.call("GET", f"/api/runs?workflow_id={ticks}")["items"], "the schedule fires")
    server.call("PUT", f"/api/workflows/{ticks}", {"definition": flow(node("tick", "schedule", {"every": 86400}))})
    server.add_flow(flow(node("news", "rss_trigger", {"url": feed_url, "every": 3600})), "Follows")
    until(lambda: polled(server), "the feed is polled")


def polled(server):
    return [
        item
        for item in server.call("GET", "/api/schedules")["items"]
        if item["node_type"] == "rss_trigger" and item["last_at"]
    ]


def agents(server):
    """Add an agent of the workspace with a task and a memory."""
    server.call("POST", "/api/agents", AGENT)
    task = {"agent_id": "mine", "task": "What is kept?", "session": "s", "model": "test", "wait": 30}
    answer = server.call("POST", "/api/agent/run", task)
    until(lambda: server.call("GET", f"/api/agent/runs/{answer['id']}")["status"] != "running", "the agent ends")
    memory = {"agent_id": "mine", "session": "s", "key": "colour", "content": "Blue is what they like", "tags": ["a"]}
    server.call("POST", "/api/agent/memory", memory)


def editing(server, session):
    """Add a flow with a draft that is published later, and what people keep beside their flows."""
    call = server.call
    begin = flow(node("start", "manual"))
    made = call("POST", "/api/flows", {"name": "Edited", "definition": begin, "folder": "Team/Mine", "tags": ["kept"]})
    of_flow = f"/api/workflows/{made['id']}"
    draft = {"definition": chain(node("start", "manual"), node("end", "noop")), "base_version": 1, "revision": 0}
    revision = call("PUT", f"{of_flow}/draft", draft)["revision"]
    at = datetime.now(UTC) + timedelta(days=300)
    later = {"revision": revision, "name": "Second", "note": "Ends", "at": at.isoformat()}
    call("POST", f"{of_flow}/publish", later)
    call("POST", f"{of_flow}/test-call", {"definition": flow(node("hook", "webhook", {"path": "listens"}))})
    for address in (f"{of_flow}/presence", f"{of_flow}/favourite"):
        call("PUT", address, {}, status=(200, 204), headers=session)
    saved = {"page": "runs", "name": "Failures", "query": {"status": "failed"}}
    call("POST", "/api/saved-filters", saved, headers=session)
    call("PUT", "/api/variables/region", {"value": "eu"})


def tables(server):
    """Add a table with a row that a flow writes, which has a rate limit, and a call that waits for more calls."""
    columns = [{"name": "email"}, {"name": "orders", "type": "number"}]
    server.call("POST", "/api/tables", {"name": "customers", "columns": columns})
    values = {"email": "{{ input.email }}", "orders": 1}
    row = {"operation": "upsert", "table": "customers", "column": "email", "values": values}
    writes = node("row", "table", row, rate={"calls": 100, "per": 3600, "key": "crm"})
    server.run(server.add_flow(chain(node("start", "manual"), writes), "Writes"), {"email": "ada@example.com"}, wait=20)
    hook = node("hook", "webhook", {"path": "collects"}, debounce={"seconds": 3600})
    server.add_flow(flow(hook), "Collects")
    server.call("POST", "/api/webhooks/collects", {"order": 9})


def command(server, *args):
    """Run a command of the command line on the server's data."""
    run = [sys.executable, str(ROOT / "workflow_server.py"), *map(str, args)]
    subprocess.run(run, cwd=ROOT, env=server.environment, check=True, capture_output=True, timeout=120)


def settle(server):
    """Aggregate the statistics of past days, as the server does once an hour."""
    source = "import sys, database; from pathlib import Path; from database.base import now_ms; "
    source += "from database.queries.metrics import settle_days; "
    work = "database.connect(Path(sys.argv[1])); settle_days(now_ms())"
    subprocess.run([sys.executable, "-c", source + work, str(server.database)], cwd=ROOT, check=True, timeout=120)


def packed(folder):
    """Return the folder as a compressed archive, without data that differs between machines."""
    buffer = io.BytesIO()

    def plain(info):
        info.uid = info.gid = info.mtime = 0
        info.uname = info.gname = ""
        return info

    with tarfile.open(fileobj=buffer, mode="w:xz") as archive:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                archive.add(path, path.relative_to(folder).as_posix(), filter=plain)
    return buffer.getvalue()


def main():
    target = HERE / f"{VERSION}.tar.xz"
    with tempfile.TemporaryDirectory() as folder, feed() as feed_url:
        settings = {"HEADRACE_SECRET_KEY": KEY, "HEADRACE_LLM_MODEL": "test"}
        server = Server(Path(folder) / "data", **settings)
        try:
            server.start()
            server.log_in()
            fill(server, feed_url)
            settle(server)
            command(server, "backup", Path(folder) / "copy")
        finally:
            server.close()
        target.write_bytes(packed(Path(folder) / "copy"))
    print(f"{target.relative_to(ROOT)}: {target.stat().st_size} bytes")


if __name__ == "__main__":
    main()
