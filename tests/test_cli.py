"""Every command of the command line: its effect, and its one-line error for wrong input."""

import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import click
import command_line
import pytest
from children import child
from click.testing import CliRunner
from command_line import call, refused, roles

import cli
from cli import format_duration
from config import table
from database.queries import sessions, users, workflows, workspaces
from database.queries.audit import NewAuditEntry
from database.queries.workflows import LabelChange
from models import ApiToken, AuditEntry, Session, User, Workflow, Workspace
from nodes import plugins
from registry import explain_off
from security import accounts
from workflow_server import serve

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs/cli.md").read_text(encoding="utf-8")
ECHO = {"nodes": [{"id": "start", "type": "manual"}], "edges": []}
BRANCHING = {
    "nodes": [
        {"id": "start", "type": "manual"},
        {"id": "sum", "type": "set", "config": {"values": {"total": "{{ input.a + 1 }}"}}},
        {"id": "big", "type": "if", "config": {"condition": "{{ input.total > 10 }}"}},
        {"id": "tell", "type": "log", "config": {"message": "big: {{ input.total }}", "level": "warning"}},
        {"id": "small", "type": "noop"},
    ],
    "edges": [["start", "sum"], ["sum", "big"], ["big", "tell", "true"], ["big", "small", "false"]],
}
FAILING = {
    "nodes": [
        {"id": "start", "type": "manual"},
        {"id": "halt", "type": "code", "config": {"source": "1 / 0"}},
    ],
    "edges": [["start", "halt"]],
}
UNREACHABLE = {
    "nodes": [
        {
            "id": "get",
            "type": "http",
            "config": {"url": "http://127.0.0.1:1/"},
            "retry": {"attempts": 20, "delay": 60},
        }
    ]
}
folder, data_dir, file = command_line.folder, command_line.data_dir, command_line.file


# run


def test_run_prints_the_output_on_stdout_and_the_steps_on_stderr(file):
    result = call("run", file(BRANCHING), "--input", '{"a": 41}')
    assert json.loads(result.stdout) == {"total": 42}
    lines = [line.split() for line in result.stderr.splitlines()]
    assert [line[:2] for line in lines[:5]] == [
        ["success", "start"], ["success", "sum"], ["success", "big"], ["success", "tell"], ["skipped", "small"],
    ]  # fmt: skip
    assert lines[2][-2:] == ["->", "true"]
    assert re.search(r"^warning +tell: big: 42", result.stderr, re.MULTILINE)


def test_run_takes_its_input_from_a_file_or_stdin(file):
    flow, given = file(ECHO), file({"b": [2]}, "input.json")
    assert json.loads(call("run", flow, "--input", f"@{given}").stdout) == {"b": [2]}
    assert json.loads(call("run", flow, "--input", "-", input='"é"').stdout) == "é"
    assert json.loads(call("run", flow).stdout) is None


def test_run_uses_the_sample_input_of_a_template_by_default(file):
    template = file({"name": "T", "definition": ECHO, "sample_input": 7})
    assert json.loads(call("run", template).stdout) == 7
    assert json.loads(call("run", template, "--input", "8").stdout) == 8


def test_run_rejects_an_input_that_does_not_match_the_flows_schema(file):
    takes = {"type": "object", "properties": {"day": {"type": "string"}}}
    flow = file({"nodes": [{"id": "start", "type": "manual", "config": {"input_schema": takes}}], "edges": []})
    assert 'does not match the input schema: day: 7 is not of type "string"' in refused(
        "run", flow, "--input", '{"day": 7}'
    )
    assert json.loads(call("run", flow, "--input", '{"day": "x"}').stdout) == {"day": "x"}


def test_run_resumes_after_a_timed_wait(file):
    nodes = [
        {"id": "a", "type": "wait", "config": {"seconds": 0.05}},
        {"id": "b", "type": "wait", "config": {"seconds": 0.05}},
    ]
    nodes.append({"id": "c", "type": "set", "config": {"values": {"x": "{{ input.x + 1 }}"}}})
    result = call("run", file({"nodes": nodes, "edges": [["a", "b"], ["b", "c"]]}), "--input", '{"x": 1}')
    assert json.loads(result.stdout) == {"x": 2}
    assert [line.split()[:2] for line in result.stderr.splitlines()][:5] == [
        ["waiting", "a"], ["success", "a"], ["waiting", "b"], ["success", "b"], ["success", "c"],
    ]  # fmt: skip


@pytest.mark.slow
def test_run_resumes_after_a_wait_longer_than_its_lease(file):
    nodes = [{"id": "a", "type": "wait", "config": {"seconds": 2.5}}, {"id": "b", "type": "noop"}]
    flow = file({"nodes": nodes, "edges": [["a", "b"]]})
    env = {**os.environ, "HEADRACE_LEASE_SECONDS": "1"}
    command = [sys.executable, str(ROOT / "workflow_server.py"), "run", flow, "--input", "7"]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=60)
    assert (done.returncode, json.loads(done.stdout)) == (0, 7), done.stderr
    assert [line.split()[:2] for line in done.stderr.splitlines()] == [
        ["waiting", "a"], ["success", "a"], ["success", "b"],
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("node", "reason"),
    [
        ({"type": "approval", "config": {"message": "Pay?"}}, "approval: Pay?"),
        ({"type": "callback"}, "a callback"),
    ],
)
def test_run_rejects_a_wait_for_an_answer_that_needs_a_server(file, folder, node, reason):
    beside = {"id": "b", "type": "wait", "config": {"seconds": 3600}}
    result = CliRunner().invoke(
        cli.main,
        ["run", file({"nodes": [{"id": "a", **node}, beside], "edges": []})],
        obj=serve,
        catch_exceptions=False,
    )
    assert (result.exit_code, result.stdout) == (2, "")
    line = result.stderr.splitlines()[-1]
    assert line.startswith("Error: The run waits for ") and reason in line and "only a server can receive" in line
    assert [path.name for path in folder.iterdir()] == ["flow.json"]


def test_run_fails_at_a_subflow_because_there_are_no_other_flows(file):
    nodes = [{"id": "a", "type": "subflow", "config": {"workflow_id": "wf_1"}}]
    result = CliRunner().invoke(cli.main, ["run", file({"nodes": nodes, "edges": []})], obj=serve)
    assert result.exit_code == 1 and "there is no flow 'wf_1'" in result.stderr


def test_run_uses_the_name_of_an_exported_flow(file):
    values = {"values": {"name": "{{ workflow.name }}"}}
    definition = {"nodes": [{"id": "a", "type": "set", "config": values}]}
    assert json.loads(call("run", file({"name": "Orders", "definition": definition})).stdout) == {"name": "Orders"}
    assert json.loads(call("run", file(definition)).stdout) == {"name": "flow"}


def test_run_as_json_prints_the_whole_run(file):
    result = call("run", file(BRANCHING), "--json", "--input", '{"a": 41}')
    run = json.loads(result.stdout)
    assert (run["status"], run["output"], run["error_text"]) == ("success", {"total": 42}, None)
    assert [(step["node_id"], step["status"]) for step in run["steps"]][-2:] == [
        ("tell", "success"),
        ("small", "skipped"),
    ]
    # A step that passes its input through shows it as its output.
    assert [step["output"] for step in run["steps"][:4]] == [{"a": 41}, {"total": 42}, {"total": 42}, {"total": 42}]
    assert [(entry["level"], entry["message"]) for entry in run["logs"]] == [("warning", "big: 42")]


def test_durations_are_whole_milliseconds_and_microseconds(file):
    run = json.loads(call("run", file(BRANCHING), "--json", "--input", '{"a": 41}').stdout)
    timed = [run, *run["steps"]]
    assert {type(each[name]) for each in timed for name in ("duration_ms", "duration_us")} == {int}
    assert all(abs(each["duration_us"] - each["duration_ms"] * 1_000) <= 500 for each in timed)


@pytest.mark.parametrize(("duration", "shown"), [(0.4, "<1 ms"), (1.6, "2 ms"), (61_000.2, "61000 ms")])
def test_a_step_shows_whole_milliseconds(duration, shown):
    assert format_duration(duration) == shown


def test_run_shows_values_too_large_for_a_row(file):
    text = "x" * 100_000
    run = json.loads(call("run", file(ECHO), "--json", "--input", json.dumps(text)).stdout)
    assert run["output"] == run["steps"][0]["output"] == text


def test_a_failed_run_names_the_node_and_the_error_and_has_exit_code_1(file):
    result = CliRunner().invoke(cli.main, ["run", file(FAILING)])
    assert (result.exit_code, result.stdout) == (1, "")
    last = result.stderr.splitlines()[-1]
    assert last.startswith("Error: node halt: ")
    assert "ZeroDivisionError" in last


def test_a_failed_run_as_json_is_printed_on_stdout(file):
    result = CliRunner().invoke(cli.main, ["run", file(FAILING), "--json"])
    assert result.exit_code == 1
    run = json.loads(result.stdout)
    assert (run["status"], run["error_node_id"], run["output"]) == ("failed", "halt", None)


def test_run_reaches_private_addresses_only_if_the_environment_allows_it(file, monkeypatch, httpserver):
    httpserver.expect_request("/x").respond_with_json({"ok": True})
    flow = file({"nodes": [{"id": "get", "type": "http", "config": {"url": httpserver.url_for("/x")}}]})
    assert CliRunner().invoke(cli.main, ["run", flow]).exit_code == 1
    monkeypatch.setenv("HEADRACE_EGRESS_ALLOW", f"{httpserver.host},127.0.0.1")
    assert json.loads(call("run", flow).stdout)["body"] == {"ok": True}


def test_run_removes_its_temporary_files(file, folder, monkeypatch):
    scratch = folder / "scratch"
    scratch.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    call("run", file(ECHO))
    CliRunner().invoke(cli.main, ["run", file(FAILING)])
    assert list(scratch.iterdir()) == []
    assert sorted(path.name for path in folder.iterdir()) == ["flow.json", "scratch"]


@pytest.mark.slow
def test_run_stops_after_its_timeout(file, monkeypatch):
    monkeypatch.setenv("HEADRACE_EGRESS_ALLOW", "127.0.0.1")
    result = CliRunner().invoke(cli.main, ["run", file(UNREACHABLE), "--timeout", "1"])
    assert result.exit_code == 1
    assert "exceeded its timeout of 1 s" in result.stderr


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 1)])
def test_a_run_stopped_by_a_signal_removes_its_temporary_files(file, folder, number, code):
    scratch = folder / "scratch"
    scratch.mkdir()
    env = {**os.environ, "TMPDIR": str(scratch), "HEADRACE_EGRESS_ALLOW": "127.0.0.1"}
    command = [sys.executable, str(ROOT / "workflow_server.py"), "run", file(UNREACHABLE)]
    with child(command, env=env, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr.readline().startswith("failed   get")
        process.send_signal(number)
        assert process.wait(timeout=20) == code
    assert list(scratch.iterdir()) == []


def on_a_terminal(*args, answers=()):
    """Run a command in a process with a terminal as stdin and stderr. Return the terminal's text, and stdout.

    `answers` are pairs of a prompt and what to type at it; the prompt throws away what is typed before it.
    """
    ours, theirs = pty.openpty()
    env = {**os.environ, "TERM": "xterm", "COLUMNS": "100", "LINES": "30"}
    command = [sys.executable, str(ROOT / "workflow_server.py"), *args]
    with child(command, stdin=theirs, stderr=theirs, stdout=subprocess.PIPE, env=env, text=True) as process:
        os.close(theirs)
        shown, left = "", list(answers)
        while piece := read_terminal(ours):
            shown += piece
            if left and left[0][0] in shown:
                os.write(ours, left.pop(0)[1].encode())
        out = process.stdout.read()
        assert process.wait(timeout=20) == 0, shown
    os.close(ours)
    return shown, out


def read_terminal(fd):
    """What comes next; nothing at the end, which Linux calls an error."""
    assert select.select([fd], [], [], 20)[0], "nothing more comes"
    try:
        return os.read(fd, 65536).decode()
    except OSError:
        return ""


@pytest.mark.slow
def test_run_on_a_terminal_shows_a_table(file):
    shown, out = on_a_terminal("run", file(BRANCHING), "--input", '{"a": 41}')
    assert json.loads(out) == {"total": 42}
    assert "\x1b[32msuccess\x1b[0m  sum" in shown
    assert "-> true" in shown


# validate


def test_validate_confirms_a_valid_flow(file):
    assert call("validate", file(BRANCHING)).stdout == "flow.json is valid: 5 nodes\n"
    assert call("validate", file({"definition": ECHO})).stdout == "flow.json is valid: 1 node\n"


def test_validate_prints_every_issue_with_its_path(file):
    nodes = [{"id": "a", "type": "sett"}, {"id": "b", "type": "if", "config": {}}]
    result = CliRunner().invoke(cli.main, ["validate", file({"nodes": nodes})])
    assert result.exit_code == 2
    assert result.stdout.splitlines() == [
        f"nodes[0].type: unknown node type 'sett'; did you mean 'set'?{explain_off(' Packs')}",
        "nodes[1].config.condition: is required",
    ]
    assert result.stderr == "Error: flow.json is not valid: 2 issues\n"


# Node types of HEADRACE_NODES_DIR


@pytest.fixture
def nodes_dir(folder, monkeypatch):
    """HEADRACE_NODES_DIR with one node type and one broken file."""
    place = folder / "own"
    place.mkdir()
    (place / "twice.py").write_text('''
from nodes.sdk import Node

class Twice(Node):
    """Gives twice its input."""

    type = "twice"
    category = "data"

    def run(self, config, input, ctx):
        return input * 2
''')
    (place / "thrice.py").write_text("1 / 0")
    monkeypatch.setenv("HEADRACE_NODES_DIR", "own")
    yield place
    plugins.load(None)


def test_run_and_validate_load_the_node_types_of_the_folder(nodes_dir, file, caplog):
    flow = file({"nodes": [{"id": "a", "type": "twice"}]})
    assert call("validate", flow).stdout == "flow.json is valid: 1 node\n"
    assert json.loads(call("run", flow, "--input", "21").stdout) == 42
    told = f"Could not load {nodes_dir / 'thrice.py'}: line 1: ZeroDivisionError: division by zero"
    assert [record.getMessage() for record in caplog.records if record.levelname == "ERROR"] == [told, told]


def test_validate_reports_a_broken_file_of_a_node_type(nodes_dir, file):
    result = CliRunner().invoke(cli.main, ["validate", file({"nodes": [{"id": "a", "type": "thrice"}]})])
    assert result.exit_code == 2
    assert result.stdout.splitlines() == [
        "nodes[0].type: unknown node type 'thrice'; the file thrice.py in HEADRACE_NODES_DIR could not be loaded: "
        "line 1: ZeroDivisionError: division by zero"
    ]


def test_config_prints_a_missing_folder_as_empty():
    assert "HEADRACE_NODES_DIR=" in call("config").stdout.splitlines()


def test_config_prints_the_packs_as_it_reads_them(monkeypatch):
    assert "HEADRACE_PACKS=all" in call("config").stdout.splitlines()
    monkeypatch.setenv("HEADRACE_PACKS", "")
    assert "HEADRACE_PACKS=" in call("config").stdout.splitlines()


# export and import


@pytest.mark.slow
def test_import_names_the_pack_that_an_openapi_document_or_a_curl_command_needs(tmp_path):
    document = tmp_path / "shop.yaml"
    document.write_text("openapi: 3.0.0\n")
    for options in ([str(document)], ["--curl", "curl https://a.example/"]):
        command = [sys.executable, str(ROOT / "workflow_server.py"), "import", *options]
        env = {**os.environ, "HEADRACE_PACKS": ""}
        done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=60)
        assert (done.returncode, done.stdout) == (2, "") and "importing" in done.stderr


@pytest.fixture
def flow(data_dir):
    """A flow in the server's database."""
    text = json.dumps(BRANCHING)
    where = Workspace.get().id
    return workflows.draft(workspace_id=where, name="Größe", status="active", triggers=[], definition_json=text)


def test_export_prints_a_flow_for_people_and_for_run(flow, folder):
    result = call("export", flow.id)
    expected = {"name": "Größe", "status": "active", "version": 1, "definition": BRANCHING}
    assert json.loads(result.stdout) == expected
    assert result.stdout.startswith('{\n  "name": "Größe",\n')
    (folder / "out.json").write_text(result.stdout)
    assert json.loads(call("run", "out.json", "--input", '{"a": 1}').stdout) == {"total": 2}


def test_export_writes_all_flows_to_a_file_that_import_reads(flow, folder):
    call("export", "--flows", "--out", "all.json")
    assert [item["name"] for item in json.loads((folder / "all.json").read_text())] == ["Größe"]
    (line,) = call("import", "all.json", "--again").stdout.splitlines()
    id_, name = line.split(" ")
    made = Workflow.get_by_id(id_)
    assert (made.name, made.status, made.version) == (name, "draft", 1) == ("Größe", "draft", 1)
    assert json.loads(made.definition_json) == BRANCHING
    assert (made.workspace_id, workflows.versions_of(made, 10, None)[0][0].version) == (flow.workspace_id, 1)


def test_folder_and_tags_of_a_flow_are_exported_and_imported(flow, folder):
    labels = LabelChange(True, "Shop/Orders", ("x", "y"))
    labels.record(flow.workspace_id, [flow], lambda: NewAuditEntry("flow.updated"))
    exported = json.loads(call("export", flow.id).stdout)
    assert (exported["folder"], exported["tags"]) == ("Shop/Orders", ["x", "y"])
    (folder / "flow.json").write_text(json.dumps(exported))
    made = Workflow.find(call("import", "flow.json", "--again").stdout.split(" ")[0])
    assert (workflows.folder_of(made), workflows.tags_of(made)) == ("Shop/Orders", ("x", "y"))
    (folder / "flow.json").write_text(json.dumps({**exported, "tags": ["a,b"]}))
    assert "tags: must not contain a comma" in refused("import", "flow.json")


def test_import_refuses_a_flow_that_the_workspace_has_already(flow, file):
    call("export", flow.id, "--out", "exported.json")
    other = {"name": "Other", "definition": ECHO}
    message = refused("import", "exported.json")
    assert f"'Größe' ({flow.id})" in message and "add --again" in message
    reordered = {key: BRANCHING[key] for key in reversed(BRANCHING)}
    assert flow.id in refused("import", file([other, {"name": "Renamed", "definition": reordered}]))
    assert Workflow.select().count() == 1
    call("import", "exported.json", "--again")
    call("import", file({"name": "Größe", "definition": ECHO}))
    assert Workflow.select().count() == 3


def test_import_compares_with_the_flows_of_the_workspace_alone(flow, file):
    other = workspaces.found("Other", User.get())
    twice = file([{"name": name, "definition": BRANCHING} for name in ("A", "B")])
    call("import", twice, "--workspace", other.id)
    assert [made.workspace_id for made in Workflow.select()].count(other.id) == 2
    message = refused("import", twice, "--workspace", other.id)
    assert "in 'A' (" in message and "'B' (" in message


def test_import_accepts_a_bare_definition_with_a_name(data_dir, file):
    call("import", file(ECHO), "--name", "Bare")
    assert [flow.name for flow in Workflow.select()] == ["Bare"]


def test_import_accepts_a_template(data_dir):
    call("import", str(ROOT / "templates_data/lead-scoring.json"))
    assert [(flow.name, flow.status, workflows.tags_of(flow)) for flow in Workflow.select()] == [
        ("Lead scoring", "draft", ())
    ]


def test_import_accepts_an_incomplete_flow(data_dir, file):
    call("import", file({"name": "Half", "definition": {"nodes": [{"id": "a", "type": "unheard_of"}]}}))
    assert Workflow.select().count() == 1


def test_import_uses_the_workspace_given_by_id(data_dir, file):
    other = workspaces.found("Other", User.get())
    message = refused("import", file(ECHO), "--name", "A")
    assert "--workspace" in message
    assert other.id in message
    call("import", file(ECHO), "--name", "A", "--workspace", other.id)
    assert [flow.workspace_id for flow in Workflow.select()] == [other.id]


@pytest.mark.parametrize(
    ("bad", "word"),
    [
        ({"name": "B", "definition": {"nodes": [], "edges": [["a", "b"]]}}, "there is no node 'a'"),
        ({"name": "B", "definition": 5}, "must be an object"),
        ({"name": "", "definition": ECHO}, "name:"),
        ({"name": 5, "definition": ECHO}, "name:"),
        ({"name": "x" * 201, "definition": ECHO}, "name:"),
        (ECHO, "--name"),
        (5, "--name"),
    ],
)
def test_import_creates_nothing_if_one_flow_of_the_file_is_invalid(data_dir, file, bad, word):
    assert word in refused("import", file([{"name": "Good", "definition": ECHO}, bad]))
    assert Workflow.select().count() == 0


# user


def test_migrate_needs_a_database(folder):
    assert "There is no database" in refused("migrate")


def test_migrate_says_that_the_database_is_up_to_date(data_dir):
    assert call("migrate").stdout == "The database is up to date\n"


def test_user_add_creates_a_member_and_prints_the_password_once(data_dir):
    result = call("user", "add", "Ann@Example.org", "--role", "operator")
    said, password = result.stdout.split("\npassword: ")
    assert said == "ann@example.org is operator of Main"
    password = password.strip()
    assert accounts.check_password(users.by_email("ann@example.org"), password)
    assert roles()["ann@example.org"] == "operator"
    assert not users.by_email("ann@example.org").is_admin


def test_user_add_reads_the_password_from_stdin(data_dir):
    result = call("user", "add", "ann@example.org", "--password-stdin", input="with a blank \n")
    assert "password" not in result.stdout
    assert accounts.check_password(users.by_email("ann@example.org"), "with a blank ")
    assert roles()["ann@example.org"] == "editor"


@pytest.mark.slow
def test_user_add_asks_for_the_password_on_a_terminal_and_does_not_show_it(data_dir):
    answers = [("generate one)", "typed in twice\n"), ("Repeat", "typed in twice\n")]
    shown, out = on_a_terminal("user", "add", "ann@example.org", answers=answers)
    assert out == "ann@example.org is editor of Main\n"
    assert "typed in twice" not in shown
    assert accounts.check_password(users.by_email("ann@example.org"), "typed in twice")


def test_user_add_adds_an_existing_user_to_another_workspace(data_dir):
    owner = User.get()
    other = workspaces.found("Other", User.add(email="b@example.org", name="b", password_hash="-"))
    sessions.start(owner, Workspace.get().id, 1)
    result = call("user", "add", owner.email, "--role", "viewer", "--workspace", other.id)
    assert Session.select().count() == 0
    assert result.stdout == f"{owner.email} is viewer of Other\n"
    assert users.roles(owner)[other.id] == "viewer"
    assert "is a member already" in refused("user", "add", owner.email, "--workspace", other.id)
    assert "user password" in refused("user", "add", owner.email, "--workspace", other.id, "--password-stdin")


def test_user_password_replaces_the_password_and_ends_the_sessions(data_dir):
    owner = User.get()
    place = Workspace.get().id
    sessions.start(owner, place, 1)
    sessions.issue_token(name="t", role="owner", user_id=owner.id, workspace_id=place)
    call("user", "password", owner.email.upper(), "--password-stdin", input="another one\r\n")
    assert accounts.check_password(User.get(), "another one")
    assert Session.select().count() == 0 == ApiToken.select().count()
    made = call("user", "password", owner.email).stdout.split()[-1]
    assert accounts.check_password(User.get(), made)


@pytest.mark.parametrize("command", [["add", "ann@example.org"], ["password", "ann@example.org"]])
def test_a_password_from_the_command_line_must_be_changed_unless_it_is_the_users_own(data_dir, command):
    set_up = lambda: users.by_email("ann@example.org").set_up  # noqa: E731
    if command[0] == "password":
        call("user", "add", "ann@example.org", "--own", "--password-stdin", input="a good one")
        assert set_up()
    call("user", *command, "--password-stdin", input="typed by another")
    assert not set_up()
    call("user", "password", "ann@example.org", "--own", "--password-stdin", input="her very own")
    assert set_up()
    call("user", "password", "ann@example.org", "--own")
    assert not set_up(), "what was made up is nobody's own"


def test_user_list_prints_every_membership(data_dir):
    User.add(email="nobody@example.org", name="n", password_hash="-")
    place = Workspace.get()
    assert call("user", "list").stdout.splitlines() == [
        "nobody@example.org\t-\t-\t-\t-",
        f"{User.get().email}\towner\t{place.id}\tMain\tadmin",
    ]


def test_user_promote_makes_an_admin_and_user_demote_reverses_it(data_dir):
    other = User.add(email="b@example.org", name="b", password_hash="-")
    assert call("user", "promote", "B@example.org").stdout == "b@example.org is an admin\n"
    assert User.find(other.id).is_admin
    call("user", "demote", User.get().email)
    assert [row.email for row in User.select().where(User.is_admin == 1)] == ["b@example.org"]
    assert "needs an admin" in refused("user", "demote", "b@example.org")
    assert User.find(other.id).is_admin
    told = [(row.action, row.target_name) for row in AuditEntry.select().order_by(AuditEntry.id)]
    assert told == [("user.promoted", "b@example.org"), ("user.demoted", User.get().email)]


# config


def test_config_prints_every_setting_and_no_secret(monkeypatch):
    monkeypatch.setenv("HEADRACE_SECRET_KEY", "do not print this one")
    monkeypatch.setenv("HEADRACE_EGRESS_ALLOW", "example.org, 10.0.0.0/8")
    lines = call("config").stdout.splitlines()
    shown = dict(line.split("=", 1) for line in lines if not line.startswith("#"))
    assert list(shown) == [row.env for row in table()]
    assert shown["HEADRACE_EGRESS_ALLOW"] == "example.org,10.0.0.0/8"
    assert shown["HEADRACE_SECRET_KEY"] == "********"
    assert shown["HEADRACE_ADMIN_PASSWORD"] == ""
    assert "do not print" not in "".join(lines)


# The page


def all_commands(group=cli.main, path=()):
    """Yield the words of every command, and the command."""
    for name in group.list_commands(None):
        command = group.commands[name]
        if isinstance(command, click.Group):
            yield from all_commands(command, (*path, name))
        else:
            yield (*path, name), command


@pytest.mark.parametrize(("words", "command"), list(all_commands()), ids=lambda part: str(part))
def test_the_page_lists_every_command_and_option(words, command):
    assert f"`{' '.join(words)}" in PAGE
    for option in command.params:
        if isinstance(option, click.Option):
            assert f"`{option.opts[0]}" in PAGE or f" {option.opts[0]}" in PAGE
