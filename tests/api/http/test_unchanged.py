"""Caching: without a commit, a response that depends on the database alone is a 304 without running the view."""

import logging
import threading

import pytest
from children import end_child
from chosen_engine import ON_POSTGRES
from servers import until
from world import start_python

from api.http import caching
from database import write, write_runs
from database.queries import workspaces
from models import LogEntry, Run, User
from registry import registry

# By endpoint, a path of each view that is marked so: what the app asks for again and again.
POLLED = {
    "runs.list_runs": "/api/runs?limit=50&brief=true",
    "runs.list_latest": "/api/dashboard/runs/latest",
    "runs.read": "/api/runs/{run}",
    "runs.list_steps": "/api/runs/{run}/steps",
    "runs.get_step": "/api/runs/{run}/steps/0",
    "runs.list_children": "/api/runs/{run}/children",
    "logs.list_logs": "/api/logs",
    "logs.list_run_logs": "/api/logs/{run}",
    "workflows.list_flows": "/api/flows",
    "workflows.read": "/api/workflows/{flow}",
    "folders.list_folders": "/api/folders",
    "folders.list_tags": "/api/tags",
    "saved_filters.list_own": "/api/saved-filters",
    "variables.list_variables": "/api/variables",
    "registered_webhooks.list_failing": "/api/registered-webhooks",
    "tables.list_tables": "/api/tables",
    "schedules.list_schedules": "/api/schedules",
    "metrics.get_metrics": "/api/metrics?days=2",
    "agent.list_logs": "/api/agent/logs",
}
for pack, view in (
    ("tables", "tables.list_tables"),
    ("connectors", "registered_webhooks.list_failing"),
    ("agents", "agent.list_logs"),
):
    if pack not in registry.packs:
        del POLLED[view]
ASK = {"nodes": [{"id": "ask", "type": "approval", "config": {"message": "Go?"}}]}

OTHER = """
import sys, database
from chosen_engine import connect
from database.queries import runs, workflows, workspaces
from models import LogEntry, User, Workflow
connect(sys.argv[1])
user, flow = User.find(sys.argv[2]), Workflow.get()
place = flow.workspace_id
def member(): return workspaces.get_member(place, user.id)
def run():
    with database.write_runs():
        database.execute(*runs.insertion(runs.accept(flow, triggered_by="manual")))
DO = {
    "run": run,
    "log": lambda: LogEntry.add(workspace_id=place, level="info", message="m"),
    "flow": lambda: workflows.change(flow, None, triggers=[], name=flow.name + "x"),
    "join": lambda: workspaces.join(place, user, "viewer"),
    "leave": lambda: workspaces.leave(member()),
}
for line in sys.stdin:
    DO[line.strip()]()
    print("done", flush=True)
"""


@pytest.fixture
def paths(run):
    return {name: path.format(run=run["id"], flow=run["workflow_id"]) for name, path in POLLED.items()}


@pytest.fixture
def ask(caplog):
    """`ask(client, path, tag)` returns the response; `statements` is the number of SQL statements executed for it."""

    def get(client, path, tag=None, **headers):
        caplog.clear()
        with caplog.at_level(logging.DEBUG, "peewee"):
            answer = client.get(path, headers={**headers, **({"If-None-Match": tag} if tag else {})})
        own = [record for record in caplog.records if record.thread == threading.get_ident()]
        answer.statements = sum(record.name == "peewee" for record in own)
        return answer

    return get


@pytest.fixture
def other(app, config, add_member, workspace, run):
    """`other(word)` makes another process execute the command `word`, with `other.user` for commands about a user."""
    user = add_member("viewer")
    process = start_python(OTHER, config.database_path, user.id)

    def tell(word):
        process.stdin.write(f"{word}\n")
        process.stdin.flush()
        assert process.stdout.readline() == "done\n"

    tell.user = user
    yield tell
    end_child(process)


def known(ask, client, path):
    """Return the ETag of a response, once its 304 takes no statement. At first, the server may still write.

    On PostgreSQL, the response is made each time: commits of other machines are not known at once.
    """
    tag = ask(client, path).headers["ETag"]

    def is_known():
        again = ask(client, path, tag)
        assert again.status_code == 304, "what nobody has changed is as it was"
        return again.statements == 0 or ON_POSTGRES

    until(is_known, "no statement is needed")
    return tag


def test_the_paths_here_are_of_all_views_that_are_marked_so(app):
    views = {name: app.view_functions[name] for name in app.view_functions}
    parts = {name: getattr(getattr(view, "view_class", None), "get", view) for name, view in views.items()}
    marked = {name for name, view in parts.items() if getattr(view, "access", None) and view.access.only_database}
    assert marked == POLLED.keys()


@pytest.mark.parametrize("name", POLLED)
def test_an_unchanged_response_is_a_304_without_an_sql_statement(ask, owner, token_client, paths, name):
    for client in (owner, token_client("viewer")):
        tag = known(ask, client, paths[name])
        for given in (tag, f"W/{tag}", f'"other", {tag}'):
            again = ask(client, paths[name], given)
            assert (again.status_code, again.data, again.headers["ETag"]) == (304, b"", tag)
            assert again.headers["Cache-Control"] == "private, no-cache" and "Content-Type" not in again.headers
            assert again.headers["X-Content-Type-Options"] == "nosniff"
        assert ask(client, paths[name], '"another"').status_code == 200


def test_after_a_commit_the_body_is_made_and_may_be_unchanged(ask, owner, paths):
    for path in paths.values():
        tag = known(ask, owner, path)
        for committed in (write, write_runs):
            with committed():
                pass
            again = ask(owner, path, tag)
            assert again.status_code == 304 and again.statements > 0
            known(ask, owner, path)


def test_the_same_is_asked_again_in_the_next_minute(ask, owner, paths, monkeypatch):
    for path in paths.values():
        tag = known(ask, owner, path)
        later = caching.now_ms() + caching.MINUTE_MS
        with monkeypatch.context() as patched:
            patched.setattr(caching, "now_ms", lambda later=later: later)
            assert ask(owner, path, tag).statements > 0


def test_another_query_workspace_or_caller_is_another_question(ask, owner, other, app, make_flow, member):
    tag = known(ask, owner, "/api/flows")
    assert ask(owner, "/api/flows?limit=1", tag).statements > 0
    elsewhere = owner.post("/api/workspaces", {"name": "Mine"}).json["id"]
    tag = known(ask, owner, "/api/flows")
    there = ask(owner, "/api/flows", tag, **{"X-Workspace-Id": elsewhere})
    assert there.status_code == 200 and there.json["items"] == []
    assert ask(member("viewer"), "/api/flows", tag).statements > 0


def test_the_page_of_another_user_gets_no_304(ask, owner):
    tag = known(ask, owner, "/api/flows")
    assert ask(owner, "/api/flows", tag, **{"X-User-Id": "usr_other"}).status_code == 403


def test_no_store_responses_are_made_each_time(ask, owner, make_flow):
    run = owner.post(f"/api/workflows/{make_flow(ASK)['id']}/run").json
    for _ in range(3):
        answer = ask(owner, f"/api/runs/{run['id']}/steps", "*")
        assert (answer.status_code, answer.headers["Cache-Control"]) == (200, "no-store")
        assert "ETag" not in answer.headers and answer.json["items"][0]["output"]


def test_a_parameter_that_is_wrong_is_wrong_each_time(ask, owner):
    tag = known(ask, owner, "/api/runs")
    assert [ask(owner, f"/api/runs?{query}", tag).status_code for query in ("limit=0", "flow=1") * 2] == [400] * 4


# Two processes


@pytest.mark.slow
def test_commits_of_other_processes_are_seen_at_once(ask, owner, other):
    paths = {
        "run": ["/api/runs?limit=3", "/api/dashboard/runs/latest", "/api/metrics", "/api/flows?brief=true"],
        "log": ["/api/logs?limit=3"],
        "flow": ["/api/flows", f"/api/workflows/{Run.get().workflow_id}"],
    }
    tags = {path: owner.get(path).headers["ETag"] for each in paths.values() for path in each}
    rounds = 300
    for _ in range(rounds):
        for word, changed in paths.items():
            other(word)
            for path in changed:
                answer = owner.get(path, headers={"If-None-Match": tags[path]})
                assert answer.status_code == 200, f"{path} has changed"
                tags[path] = answer.headers["ETag"]
    assert Run.select().count() > rounds and LogEntry.select().count() >= rounds


@pytest.mark.slow
@pytest.mark.sqlite_only("on PostgreSQL, other processes see a change within POLL_SECONDS")
def test_a_user_without_access_gets_no_304(ask, other, workspace, token_client, run):
    path = f"/api/runs/{run['id']}"
    tag = None
    for _ in range(300):
        client = token_client("viewer", user=other.user, workspace=workspace)
        tag = client.get(path).headers["ETag"]
        assert client.get(path, headers={"If-None-Match": tag}).status_code == 304
        other("leave")
        assert client.get(path, headers={"If-None-Match": tag}).status_code == 401
        other("join")
    assert workspaces.role_of(other.user.id, workspace.id) == "viewer" and User.find(other.user.id)
