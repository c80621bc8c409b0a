"""Secrets that the audit log never contains, and entries of two processes."""

import pytest
from test_audit import entries, walk
from world import said, start_python

from config import KEY_FILE
from database import execute
from database.queries import sessions
from models import AuditEntry, Workflow

APPROVAL = {"nodes": [{"id": "ask", "type": "approval", "config": {"message": "Pay?"}}], "edges": []}
DOCUMENT = {"openapi": "3.1.0", "info": {"title": "Pet store"}, "paths": {"/pets": {"get": {}}}}
AGENT = {"id": "mine", "name": "Mine", "instructions": "Do.", "model": "test"}
BEARER = {"name": "shop", "type": "http_bearer", "data": {"token": "t"}}


# No secret

S = "hunter2-is-the-secret"


@pytest.fixture
def secret_everywhere(owner, client, member, make_flow, token_client):
    """Put the secret into every field that accepts one, except names."""
    nodes = [{"id": "a", "type": "set", "config": {"values": {"key": S}}, "name": S, "notes": S}]
    flow = make_flow({"nodes": nodes, "edges": [], "settings": {"vars": {"k": S}}})
    path = f"/api/workflows/{flow['id']}"
    owner.put(path, {"definition": {"nodes": [{**nodes[0], "config": {"values": {"x": S}}}]}, "status": "active"})
    owner.post(f"{path}/restore", {"version": 1})
    owner.post(f"{path}/run", {"input": {"password": S}}, headers={"Idempotency-Key": S})
    owner.post("/api/runs", {"workflow_id": flow["id"], "output": S, "error_text": S, "status": "failed"})
    owner.post("/api/logs", {"message": S, "data": {"a": S}})
    made = owner.post("/api/credentials", {**BEARER, "data": {"token": S}}).json
    owner.put(f"/api/credentials/{made['id']}", {"data": {"token": f"{S}2"}})
    owner.post(f"/api/credentials/{made['id']}/test", {"url": f"http://127.0.0.1:1/?key={S}"})
    owner.post("/api/credentials/test", {"type": "http_bearer", "data": {"token": S}})
    owner.post("/api/import/curl", {"command": f"curl -H 'Authorization: Bearer {S}' https://example.org"})
    described = {**DOCUMENT, "paths": {"/a": {"get": {"description": S, "summary": S}}}}
    owner.post("/api/import/openapi", {"document": described})
    owner.post("/api/agents", {**AGENT, "instructions": S, "description": S})
    owner.put("/api/agents/mine", {**AGENT, "instructions": f"{S}3", "tools": ["store"]})
    owner.post("/api/agent/run", {"agent_id": "mine", "task": S, "input": S, "session": S})
    owner.post("/api/agent/memory", {"agent_id": "a", "key": "k", "content": S, "tags": [S]})
    waits = make_flow(APPROVAL)
    run = owner.post(f"/api/workflows/{waits['id']}/run").json
    owner.post(f"/api/runs/{run['id']}/resume", {"answer": "approved", "comment": S})
    owner.post("/api/members", {"email": "new@example.org", "role": "viewer", "password": S})
    client.post("/api/auth/login", {"email": "new@example.org", "password": S})
    client.post("/api/auth/login", {"email": "new@example.org", "password": f"{S}4"})
    client.post("/api/auth/login", {"email": S, "password": S})
    client.patch("/api/profile", {"password": f"{S}5", "current_password": S, "email": "newer@example.org"})
    token = owner.post("/api/tokens", {"name": "t"}).json["token"]
    return token, [cookie.get_cookie("headrace_session").value for cookie in (owner, client)]


def test_no_secret_is_in_the_file(secret_everywhere, config, tmp_path):
    token, cookies = secret_everywhere
    assert {"password.changed", "credential.updated", "run.answered", "agent.updated"} <= {row[0] for row in entries()}
    raw = b"".join(str(row).encode() for row in execute("SELECT * FROM audit_entries").fetchall())
    assert b"credential.updated" in raw
    for secret in (S, token, *cookies, (config.data_dir / KEY_FILE).read_text().strip(), "argon2"):
        assert secret.encode() not in raw, secret


# Two processes

SOURCE = """
import sys
from pathlib import Path
from apps import make_config
import workflow_server
from models import ApiToken, User, Workspace

app = workflow_server.create_app(make_config(Path(sys.argv[1]), run_threads=1))
client = app.test_client()
headers = {"Authorization": f"Bearer {sys.argv[2]}"}
for number in range(30):
    made = client.post("/api/flows", json={"name": f"{sys.argv[3]} {number}"}, headers=headers)
    assert made.status_code == 201, made.text
    if number % 3 == 0:
        assert client.delete(f"/api/workflows/{made.json['id']}", headers=headers).status_code == 204
"""


@pytest.mark.slow
def test_two_processes_leave_an_entry_for_each_thing_that_they_do(tmp_path, first_app, config, app, owner):
    _, token = sessions.issue_token(name="two", role="owner", user_id=owner.user.id, workspace_id=owner.workspace.id)
    processes = [start_python(SOURCE, config.data_dir, token, name) for name in ("one", "two")]
    for process in processes:
        said(process)
    told = entries(token_name="two")
    assert len(told) == len(set(row.id for row in AuditEntry.select())) == 80
    assert sum(action == "flow.created" for action, _, _ in told) == 60
    assert Workflow.select().count() == 40
    assert len(walk(owner, "action=flow")) == 80
