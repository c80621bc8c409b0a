"""The audit log: it has every change, no failed change and no secret."""

import json
from functools import partial
from io import BytesIO

import pytest
from audited_routes import AGENT, APPROVAL, BEARER, DOCUMENT, FAILS, LEAVES, PASSWORD, WITHOUT_ENTRY
from engines import accept_inserts, refuse_inserts
from moments import with_draft
from oauth_accounts import connected_account
from test_every_route import BY_TOKEN, OTHER_PARTS, routes_of
from world import at_once, said, start_python

from config import KEY_FILE
from database import execute, write
from database.queries import sessions, users, workspaces
from database.queries.audit import ACTIONS, SUBJECTS, NewAuditEntry
from models import AgentRun, AuditEntry, RegisteredHook, User, Wait, Workflow
from registry import registry
from security import accounts, login_throttle

pytestmark = pytest.mark.usefixtures("shared_server")


SAFE = ("GET", "HEAD", "OPTIONS")


def entries(**where):
    """Return the recorded entries, oldest first, as `(action, target_name, changes)`."""
    query = AuditEntry.select().order_by(AuditEntry.id)
    for name, value in where.items():
        query = query.where(getattr(AuditEntry, name) == value)
    return [(row.action, row.target_name, json.loads(row.changes)) for row in query]


def last():
    return AuditEntry.select().order_by(AuditEntry.id.desc()).get()


def add_failing_hook(workspace_id):
    """Add a webhook that could not be removed in its service."""
    values = {"path": "gone", "scope": "{}", "events": "[]", "account_id": "cred_1", "url": "https://here.example/gone"}
    times = dict.fromkeys(("next_at", "claimed_until", "created_at"), 0)
    RegisteredHook.create(
        id=OTHER_PARTS["<hook_id>"], workspace_id=workspace_id, workflow_id="wf_1", node_id="event",
        type="github_trigger", state="removing", version=1, attempts=1, last_error="no", **values, **times,
    )  # fmt: skip


@pytest.fixture
def ready(owner, server, member, make_flow, make_run):
    """The objects that the routes above work on: ids by their placeholder."""
    for path in (OTHER_PARTS["<path:path>"], "moving/a.css"):
        server.dispatcher.resources.files_of(owner.workspace.id).write(path, b"kept")
    owner.post("/api/agents", AGENT)
    owner.post("/api/import/openapi", {"document": DOCUMENT})
    waits = make_flow(APPROVAL)
    waiting = owner.post(f"/api/workflows/{waits['id']}/run").json
    ended = make_run(FAILS)
    memory = owner.post("/api/agent/memory", {"agent_id": "a", "key": "k", "content": "c"}).json
    table = row = ""
    if "tables" in registry.packs:
        columns = [{"name": "total", "type": "number"}]
        table = owner.post("/api/tables", {"name": "orders", "columns": columns}).json["id"]
        row = owner.post(f"/api/tables/{table}/rows", {"rows": [{"total": 1}]}).json["items"][0]["id"]
    owner.put(f"/api/store/{OTHER_PARTS['<path:key>']}", {"value": 1})
    owner.put(f"/api/variables/{OTHER_PARTS['<variable>']}", {"value": 1})
    values = {"workspace_id": waiting["workspace_id"], "agent_id": "a", "run_id": waiting["id"], "node_id": "n"}
    AgentRun.add(id="arun_1", item_index=-1, task="t", status="waiting", session="", **values)
    session, _ = sessions.start(owner.user, owner.workspace.id, days=1)
    values = {"workspace_id": owner.workspace.id, "role": "viewer", "invited_by": owner.user.id}
    invitation, token = workspaces.invite(email="new@example.org", lifetime_ms=60_000, **values)
    add_failing_hook(owner.workspace.id)
    return {
        **OTHER_PARTS,
        "<table>": table,
        "<row_id>": row,
        "<workspace>": owner.workspace.id,
        "<member>": member("viewer").user.id,
        "<token>": owner.post("/api/tokens", {"name": "t"}).json["id"],
        "<flow>": with_draft(owner, make_flow(folder="Billing")),
        "<waiting>": waiting["id"],
        "<ended>": ended["id"],
        "<credential>": connected_account(owner),
        "<agent_run>": "arun_1",
        "<memory>": memory["id"],
        "<session_id>": session.id,
        "<invitation>": invitation.id,
        "<invited>": token,
    }


def do(client, route, ids):
    """Use a route of LEAVES on the objects of `ready`."""
    _, body = LEAVES[route]
    method, path = route.split(" ", 1)
    run = "<ended>" if method == "DELETE" or path.endswith("retry") else "<waiting>"
    names = {"<run>": ids[run], "<name>": "mine" if "agents" in path else "api-to-table", **ids}
    if route == "DELETE /api/agent/memory":
        path += "?agent_id=a"
    text = "" if body is None else json.dumps(body)
    for part, id_ in names.items():
        path, text = path.replace(part, id_), text.replace(part, id_)
    if route == "POST /api/files":
        return client.post(path, data={**body, "file": (BytesIO(b"a,b"), "may.csv")})
    if route.endswith("/import"):
        return client.post(path, data={"file": (BytesIO(b"total\n3\n"), "may.csv")})
    return client.open(path, json.loads(text) if text else None, method=method)


@pytest.fixture
def check_routes(app, owner, ready, shared_server):
    """`check_routes(routes, check)` calls `check(route, use)`, where `use()` does the route on the objects of `ready`.

    Each route finds the rows with which the checks began. It fails with all routes whose check fails.
    """

    def check_all(routes, check):
        wrong = []
        for route in shared_server.each(routes, owner):
            client = app.test_client() if route.endswith(("login", "redeem")) else owner
            try:
                check(route, partial(do, client, route, ready))
            except AssertionError as error:
                wrong.append(f"{route}: {error}")
        assert not wrong, "\n".join(wrong)

    return check_all


# Everything is in it


def test_every_writing_route_has_an_audit_entry_or_a_reason_for_none(first_app):
    unsafe = {route for route in routes_of(first_app) if route.split(" ")[0] not in SAFE}
    assert unsafe == set(LEAVES) | set(WITHOUT_ENTRY) and not set(LEAVES) & set(WITHOUT_ENTRY)
    assert set(BY_TOKEN) <= set(WITHOUT_ENTRY)


@pytest.mark.pack("agents")
def test_a_route_leaves_its_entry(owner, check_routes):
    def check(route, use):
        before = AuditEntry.select().count()
        answer = use()
        assert answer.status_code in (200, 201, 202, 204), answer.text
        assert AuditEntry.select().count() == before + 1
        entry = last()
        who = users.by_email("new@example.org") if route.endswith("redeem") else owner.user
        assert entry.action == LEAVES[route][0] and entry.user_id == who.id
        assert (entry.user_email, entry.token_name, entry.address) == (who.email, None, "127.0.0.1")
        assert entry.workspace_id == (entry.target_id if "workspace" in entry.action else owner.workspace.id)

    check_routes(LEAVES, check)


@pytest.mark.skipif(bool(registry.off), reason="some actions are those of packs")
def test_every_action_can_be_left():
    others = {"flow.activated", "flow.deactivated", "password.changed", "session.refused", "invitation.refused"}
    others |= {"user.promoted", "user.demoted", "flow.publish_scheduled", "credential.connected"}
    others |= {"workspace.changed"}
    possible = {action for action in ACTIONS if "tables" in registry.packs or not action.startswith("table.")}
    assert {action for action, _ in LEAVES.values()} | others == possible


def test_the_entry_of_a_flow_change_counts_the_differences(owner, make_flow):
    nodes = [{"id": name, "type": "noop"} for name in ("a", "b", "c")]
    flow = make_flow({"nodes": nodes, "edges": [["a", "b"]]})
    changed = [{"id": "a", "type": "noop", "position": {"x": 9, "y": 9}}, {"id": "b", "type": "noop", "name": "B"}]
    changed.append({"id": "d", "type": "noop"})
    path = f"/api/workflows/{flow['id']}"
    owner.put(path, {"definition": {"nodes": changed, "edges": [["a", "b"]]}, "status": "active", "name": "New"})
    owner.put(path, {"status": "archived"})
    owner.put(path, {"status": "draft", "definition": {"nodes": changed, "edges": []}})
    owner.post(f"{path}/restore", {"version": 1})
    told = [(action, changes) for action, _, changes in entries(target_id=flow["id"])]
    assert told == [
        ("flow.created", {"status": "draft"}),
        (
            "flow.activated",
            {
                "name": {"before": "Echo", "after": "New"},
                "status": {"before": "draft", "after": "active"},
                "version": {"before": 1, "after": 2},
                "nodes": {"added": 1, "removed": 1, "changed": 1},
            },
        ),
        ("flow.deactivated", {"status": {"before": "active", "after": "archived"}}),
        (
            "flow.updated",
            {
                "status": {"before": "archived", "after": "draft"},
                "version": {"before": 2, "after": 3},
                "edges": {"changed": True},
            },
        ),
        (
            "flow.restored",
            {
                "version": {"before": 3, "after": 4},
                "nodes": {"added": 1, "removed": 1, "changed": 1},
                "edges": {"changed": True},
                "restored": 1,
            },
        ),
    ]


def test_entries_have_roles_tokens_and_hosts_before_and_after(owner, member):
    user = member("viewer").user
    owner.patch("/api/members", {"user_id": user.id, "role": "operator"})
    owner.delete("/api/members", {"user_id": user.id})
    token = owner.post("/api/tokens", {"name": "ci", "role": "editor", "days": 7}).json
    made = owner.post("/api/credentials", BEARER).json
    change = {"hosts": ["a.example.org"], "data": {"token": "other"}, "name": "store"}
    owner.put(f"/api/credentials/{made['id']}", change)
    assert entries() == [
        ("member.changed", user.email, {"role": {"before": "viewer", "after": "operator"}}),
        ("member.removed", user.email, {"role": "operator"}),
        ("token.created", "ci", {"role": "editor", "days": 7}),
        ("credential.created", "shop", {"type": "http_bearer"}),
        (
            "credential.updated",
            "shop",
            {
                "name": {"before": "shop", "after": "store"},
                "hosts": {"before": None, "after": ["a.example.org"]},
                "data": {"changed": True},
            },
        ),
    ]
    assert token["token"] not in json.dumps(entries())


@pytest.mark.pack("agents")
def test_the_entry_of_an_agent_change_names_the_changed_parts(owner):
    owner.post("/api/agents", AGENT)
    owner.put("/api/agents/mine", {**AGENT, "name": "Ours", "instructions": "Do it well.", "tools": ["store"]})
    changed = {"instructions": {"changed": True}, "tools": {"changed": True}}
    assert entries()[-1] == ("agent.updated", "Mine", {"name": {"before": "Mine", "after": "Ours"}, **changed})


def test_long_values_are_recorded_as_changed_only(owner):
    made = owner.post("/api/credentials", BEARER).json
    hosts = [f"host-{number}.example.org" for number in range(50)]
    owner.put(f"/api/credentials/{made['id']}", {"hosts": hosts, "data": {"token": "t"}})
    assert entries()[-1][2]["hosts"] == {"changed": True}


def test_the_entry_of_an_api_token_request_names_the_token(owner, token_client):
    client = token_client("editor")
    client.post("/api/flows", {"name": "A"})
    assert (last().action, last().user_id, last().token_name) == ("flow.created", owner.user.id, "test")


def test_a_failed_login_has_an_entry_if_the_account_exists(owner, client):
    client.post("/api/auth/login", {"email": "OWNER@example.org", "password": "wrong"})
    client.post("/api/auth/login", {"email": "my-password-in-the-wrong-field", "password": "x"})
    assert entries() == [("session.refused", "owner@example.org", {})]
    assert last().workspace_id == owner.workspace.id


def test_a_throttled_account_fills_no_table(client, owner):
    for _ in range(login_throttle.MAX_FAILURES["pair"] + 5):
        client.post("/api/auth/login", {"email": "owner@example.org", "password": "wrong"})
    assert len(entries()) == login_throttle.MAX_FAILURES["pair"]


def test_an_answer_by_a_link_is_recorded_with_an_address_and_no_user(owner, client, make_flow):
    flow = make_flow(APPROVAL)
    run = owner.post(f"/api/workflows/{flow['id']}/run").json
    (step,) = owner.get(f"/api/runs/{run['id']}/steps").json["items"]
    assert client.post(f"/api{step['output']['approved_url'].partition('/api')[2]}").status_code == 200
    entry = last()
    assert (entry.action, entry.user_id, entry.user_email, entry.address) == ("run.answered", None, None, "127.0.0.1")
    assert json.loads(entry.changes) == {"node_id": "ask", "answer": "approved"}
    assert entry.workspace_id == owner.workspace.id


@pytest.mark.pack("mcp")
def test_runs_started_by_tokens_have_no_entry_but_cancelled_runs_have(owner, token_client, make_flow):
    flow = make_flow(APPROVAL)
    client = token_client("operator")
    before = len(entries())
    run = client.post(f"/api/workflows/{flow['id']}/run").json
    client.post("/api/runs", {"workflow_id": flow["id"]})
    assert len(entries()) == before
    asked = {"jsonrpc": "2.0", "id": 1, "method": "tools/call"}
    tool = {"name": "cancel_run", "arguments": {"run_id": run["id"]}}
    answer = client.post("/mcp", {**asked, "params": tool}, headers={"Accept": "application/json"})
    assert answer.json["result"]["structuredContent"]["status"] == "failed", answer.text
    assert (last().action, last().target_id, last().token_name) == ("run.cancelled", run["id"], "test")


def test_a_retry_names_both_runs(owner, make_run):
    run = make_run(FAILS)
    again = owner.post(f"/api/runs/{run['id']}/retry", {"from": "start"}).json
    told = {"from": "start", "version": 1, "draft": False, "run_id": again["id"]}
    assert (last().target_id, json.loads(last().changes)) == (run["id"], told)


def test_entries_outlive_their_targets(owner, member, flow):
    editor = member("editor")
    editor.delete(f"/api/workflows/{flow['id']}")
    owner.delete("/api/members", {"user_id": editor.user.id})
    editor.user.remove()
    (entry,) = owner.get(f"/api/audit?user_id={editor.user.id}").json["items"]
    assert (entry["user_email"], entry["target_name"], entry["action"]) == (editor.user.email, "Echo", "flow.deleted")


def test_entries_of_the_command_line_have_no_user(owner, workspace):
    accounts.set_password(owner.user, "another good one")
    assert (last().action, last().user_id, last().address) == ("password.changed", None, None)
    assert last().workspace_id == workspace.id and last().target_name == "owner@example.org"


# What failed is not in it

FAILURES = {
    "POST /api/flows": {"name": "A", "status": "active"},
    "PUT /api/workflows/<flow>": {"name": "B", "version": 7},
    "POST /api/workflows/<flow>/restore": {"version": 9},
    "POST /api/workflows/<flow>/run": {"input": 1, "more": 2},
    "PATCH /api/members": {"user_id": "<owner>", "role": "viewer"},
    "DELETE /api/members": {"user_id": "<owner>"},
    "POST /api/members/password": {"user_id": "<owner>", "password": PASSWORD},
    "POST /api/members": {"email": "owner@example.org", "role": "viewer"},
    "POST /api/credentials": BEARER,
    "PUT /api/credentials/<credential>": {"hosts": ["evil.example"]},
    "POST /api/runs/<run>/cancel": {},
    "POST /api/runs/<run>/retry": {"version": 9},
    "POST /api/runs/<run>/resume": {"answer": "approved"},
    "POST /api/agents": {**AGENT, "id": "researcher"},
    "PUT /api/agents/<name>": {**AGENT, "updated_at": "2020-01-01T00:00:00Z"},
    "DELETE /api/presets/<source>": None,
    "PATCH /api/profile": {"name": "Ada", "password": "a new password", "current_password": "wrong"},
    "PATCH /api/auth/session": {"workspace_id": "ws_elsewhere"},
}


@pytest.mark.parametrize("route", FAILURES)
def test_a_failed_change_leaves_no_entry(owner, flow, run, count_rows, route):
    made = owner.post("/api/credentials", BEARER).json
    owner.post("/api/agents", AGENT)
    ids = {"<flow>": flow["id"], "<run>": run["id"], "<credential>": made["id"], "<name>": "mine", "<source>": "none"}
    before = count_rows()["audit_entries"]
    method, path = route.split(" ", 1)
    for part, id_ in ids.items():
        path = path.replace(part, id_)
    text = json.dumps(FAILURES[route]).replace("<owner>", owner.user.id)
    answer = owner.open(path, json.loads(text), method=method)
    assert answer.status_code >= 400, answer.text
    assert count_rows()["audit_entries"] == before


@pytest.mark.pack("agents")
def test_where_the_entry_cannot_be_written_nothing_changes(check_routes, count_rows):
    """A change and its entry are one transaction: if the entry is refused, so is the change."""

    def check(route, use):
        refuse_inserts("audit_entries")
        before, waits = count_rows(), [(row.node_id, row.answered_at) for row in Wait.select()]
        flows = [(row.name, row.version) for row in Workflow.select()]
        answer = use()
        accept_inserts()
        assert answer.status_code >= 400, answer.text
        changed = {name for name, rows in count_rows().items() if rows != before[name]}
        # A try at a password counts before it is looked at.
        assert changed <= ({"login_failures"} if route.endswith("login") else set())
        assert waits == [(row.node_id, row.answered_at) for row in Wait.select()]
        assert flows == [(row.name, row.version) for row in Workflow.select()]

    trials = ("POST /api/credentials/test", "POST /api/credentials/<credential>/test")  # which change nothing
    check_routes([route for route in LEAVES if route not in trials], check)


def test_concurrent_deletions_of_one_object_leave_one_entry(app, owner, flow):
    def delete(number):
        client = app.test_client()
        client.set_cookie("headrace_session", owner.get_cookie("headrace_session").value)
        return client.delete(f"/api/workflows/{flow['id']}").status_code

    statuses = at_once(6, delete)
    assert sorted(statuses) == [204] + [404] * 5
    assert [action for action, _, _ in entries(target_id=flow["id"])] == ["flow.created", "flow.deleted"]


# Runs: no commit more than before


def test_a_run_with_its_entry_costs_one_commit(owner, server, flow, monkeypatch):
    commits, commit = [], server.recorder._commit
    monkeypatch.setattr(server.recorder, "_commit", lambda group: (commits.append(len(group)), commit(group)))
    owner.post(f"/api/workflows/{flow['id']}/run")
    assert len(commits) == 1 and last().action == "run.started"


def test_a_call_that_starts_no_run_again_leaves_no_second_entry(owner, flow):
    path = f"/api/workflows/{flow['id']}/run"
    first, second = (owner.post(path, headers={"Idempotency-Key": "k"}).json["id"] for _ in range(2))
    assert first == second
    assert [action for action, _, _ in entries(target_id=first)] == ["run.started"]


def test_the_entry_of_a_test_run_names_its_draft_and_pinned_nodes(owner, token_client, make_flow):
    definition = {
        "nodes": [{"id": "ask", "type": "approval", "config": {"message": "Pay?"}}, {"id": "pay", "type": "noop"}],
        "edges": [["ask", "pay", "approved"]],
    }
    path = f"/api/workflows/{make_flow(definition)['id']}/run"
    pinned = {"ask": {"branch": "approved", "output": "a secret of the flow"}}
    for client in (owner, token_client("editor")):
        assert client.post(path, {"pinned": pinned}).json["status"] == "success"
        assert last().action == "run.started"
        assert json.loads(last().changes) == {"draft": False, "pinned": ["ask"]}
        client.post(path, {"definition": {**definition, "edges": []}, "until": "pay"})
        assert json.loads(last().changes) == {"draft": True}
    owner.post(path, {"until": "ask"})
    assert json.loads(last().changes) == {}


def test_a_run_that_a_busy_flow_does_not_take_leaves_no_entry(owner, make_flow, gate):
    settings = {"max_concurrent_runs": 1, "overlap": "skip"}
    flow = make_flow({"nodes": [{"id": "a", "type": "gate"}], "edges": [], "settings": settings})
    path = f"/api/workflows/{flow['id']}/run?wait=0"
    assert [owner.post(path).status_code for _ in range(2)] == [202, 409]
    assert [action for action, _, _ in entries()].count("run.started") == 1


# What its ids are called now


def names(owner, query="limit=1"):
    """Return the `names` of the newest entry that the query finds."""
    return owner.get(f"/api/audit?{query}").json["items"][0]["names"]


def test_existing_objects_are_listed_with_their_current_names(owner, member, flow):
    editor = member("editor")
    editor.patch("/api/profile", {"name": "Mina Okafor"})
    editor.put(f"/api/workflows/{flow['id']}", {"name": "New"})
    owner.put(f"/api/workflows/{flow['id']}", {"name": "Newer"})
    query = f"user_id={editor.user.id}&action=flow"
    assert names(owner, query) == {editor.user.id: "Mina Okafor", flow["id"]: "Newer"}
    owner.delete(f"/api/workflows/{flow['id']}")
    assert names(owner, query) == {editor.user.id: "Mina Okafor"}
    editor.user.remove()
    assert names(owner, query) == {}


@pytest.mark.pack("agents")
def test_the_target_of_an_entry_is_named(owner, check_routes):
    def check(route, use):
        with write():
            User.update(name="Ada").execute()
        use()
        entry = owner.get("/api/audit?limit=1").json["items"][0]
        assert entry["names"].pop(owner.user.id) == "Ada"
        if entry["target_type"] in (None, "session", "preset", "folder") or entry["target_id"] in (None, owner.user.id):
            assert entry["names"] == {}
        else:
            assert entry["names"][entry["target_id"]]

    check_routes([route for route in LEAVES if not route.startswith(("DELETE", "PATCH /api/auth"))], check)


@pytest.mark.pack("agents")
def test_ids_in_its_changes_are_named_too(owner, make_run):
    run = make_run(FAILS)
    again = owner.post(f"/api/runs/{run['id']}/retry", {"from": "start"}).json
    assert names(owner)[again["id"]] == names(owner)[run["id"]] == "Echo"
    owner.post("/api/agent/memory", {"agent_id": "researcher", "key": "k", "content": "c"})
    assert names(owner)["researcher"] == "Researcher"


def test_nothing_of_another_workspace_is_named(owner, other):
    theirs = other.post("/api/flows", {"name": "Theirs"}).json["id"]
    other.post("/api/agents", AGENT)
    with NewAuditEntry("flow.updated", owner.workspace.id).target("flow", theirs, None).written() as entry:
        entry.note(of=other.workspace.id, agent_id="mine")
    assert names(owner) == {}


# Who may read it


@pytest.mark.parametrize(("role", "status"), [("viewer", 403), ("operator", 403), ("editor", 403), ("owner", 200)])
def test_only_owners_read_it(member, token_client, role, status):
    assert member(role).get("/api/audit").status_code == status
    assert token_client(role).get("/api/audit").status_code == status


def test_entries_of_other_workspaces_are_not_listed(owner, other, flow):
    other.post("/api/flows", {"name": "Theirs"})
    assert {entry["target_name"] for entry in other.get("/api/audit").json["items"]} == {"Theirs"}
    assert {entry["target_name"] for entry in owner.get("/api/audit").json["items"]} == {"Echo"}
    assert other.get(f"/api/audit?target_id={flow['id']}").json["items"] == []
    assert other.get("/api/audit", headers={"X-Workspace-Id": owner.workspace.id}).status_code == 403


def test_the_audit_log_cannot_be_changed(owner, flow):
    for method in ("post", "put", "patch", "delete"):
        assert getattr(owner, method)("/api/audit", {}).status_code == 405


# The list


def walk(client, query):
    found, cursor = [], ""
    while True:
        page = client.get(f"/api/audit?{query}&limit=3{cursor}").json
        found += page["items"]
        if page["next_cursor"] is None:
            return found
        assert len(page["items"]) == 3
        cursor = f"&cursor={page['next_cursor']}"


@pytest.fixture
def history(owner, member):
    """Write entries of several users, subjects and targets; return their list items, oldest first."""
    editor = member("editor")
    for client in (owner, editor, owner):
        flow = client.post("/api/flows", {"name": "A"}).json
        client.put(f"/api/workflows/{flow['id']}", {"status": "archived"})
        client.delete(f"/api/workflows/{flow['id']}")
        client.post("/api/tokens", {"name": "t"})
    return owner.get("/api/audit?limit=200").json["items"][::-1]


def test_pages_are_ordered_newest_first_and_complete(owner, history):
    assert len(history) == 12 and walk(owner, "") == history[::-1]


@pytest.mark.parametrize("by", ["", "user_id", "target_id"])
def test_filters_return_the_same_entries_as_filtering_the_whole_list(owner, history, by):
    chosen = history[5]
    for action in ("flow", "flow.deleted", "token", "token.created", "run"):
        query = f"action={action}" + (f"&{by}={chosen[by]}" if by else "")
        expected = [
            entry
            for entry in history
            if action in (entry["action"], entry["action"].split(".")[0]) and (not by or entry[by] == chosen[by])
        ]
        assert walk(owner, query) == expected[::-1], query


def test_times_bound_it_at_both_ends(owner, history):
    since, until = history[2]["created_at"], history[8]["created_at"]
    expected = [entry for entry in history if since <= entry["created_at"] <= until]
    assert walk(owner, f"since={since}&until={until}") == expected[::-1]


@pytest.mark.parametrize("query", ["action=flows", "action=flow.", "action=' OR 1", "since=yesterday", "user_id=%00"])
def test_a_filter_that_cannot_be_is_400(owner, query):
    assert owner.get(f"/api/audit?{query}").status_code == 400


def test_subjects_are_the_beginnings_of_actions():
    assert {action.split(".")[0] for action in ACTIONS} == set(SUBJECTS)


# Secrets that the audit log never contains, and entries of two processes


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


@pytest.mark.pack("agents")
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
