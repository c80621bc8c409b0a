"""Wrong input on the command line, templates, and serving."""

import json
import os
import socket
import sys
import time
import urllib.request
from pathlib import Path

import command_line
import pytest
from children import child
from click.testing import CliRunner
from command_line import call, refused, roles

import cli
from api.catalogue import FOLDER, read_templates
from models import User

ROOT = Path(__file__).parent.parent
ECHO = {"nodes": [{"id": "start", "type": "manual"}], "edges": []}
folder, data_dir, file = command_line.folder, command_line.data_dir, command_line.file


# Wrong input


@pytest.mark.parametrize("command", ["run", "validate", "import"])
def test_a_missing_file_or_invalid_json_is_rejected(data_dir, file, command):
    assert "'none.json' does not exist" in refused(command, "none.json")
    assert "flow.json is not JSON" in (message := refused(command, file('{\n  "nodes": tru\n}')))
    assert "(line 2, column " in message
    assert "is a directory" in refused(command, ".")


@pytest.mark.parametrize("command", ["run", "validate"])
def test_a_definition_nested_too_deeply_is_rejected(file, command):
    values = "[" * 900 + "]" * 900
    text = '{"nodes": [{"id": "a", "type": "set", "config": {"values": {"a": ' + values + "}}}]}"
    assert "nested too deeply" in refused(command, file(text))


def test_a_definition_above_the_size_limit_is_rejected(data_dir, file, monkeypatch):
    monkeypatch.setenv("HEADRACE_MAX_DEFINITION_BYTES", "40")
    for command in ("run", "validate", "import"):
        assert "more than 40 bytes" in refused(command, file({"name": "A", "definition": ECHO}))


def test_run_rejects_an_invalid_definition_in_one_line(file):
    assert "nodes[0].type" in refused("run", file({"nodes": [{"id": "a", "type": "line\nbreak"}]}))


@pytest.mark.parametrize(
    ("args", "word"),
    [
        (["--input", "{]"], "--input is not JSON"),
        (["--input", "@none.json"], "none.json: No such file"),
        (["--input", "@."], "Is a directory"),
        (["--input", "-"], "--input - is not JSON"),
        (["--timeout", "0"], "--timeout"),
        (["--bogus"], "--bogus"),
        (["more"], "unexpected extra argument"),
    ],
)
def test_run_rejects_input_that_it_cannot_read(file, args, word):
    assert word in refused("run", file(ECHO), *args)


@pytest.mark.parametrize(
    ("args", "word"),
    [
        (["export", "wf_none"], "no flow 'wf_none'"),
        (["export"], "--all"),
        (["export", "wf_none", "--all"], "--all"),
        (["import", "list.json", "--name", "A"], "needs a single flow"),
        (["import", "list.json", "--workspace", "ws_none"], "no workspace 'ws_none'"),
        (["user", "add", "no address"], "is not an e-mail address"),
        (["user", "add", "a@example.org", "--role", "boss"], "'boss' is not one of"),
        (["user", "add", "a@example.org", "--workspace", "ws_none"], "no workspace 'ws_none'"),
        (["user", "add", "a@example.org", "--password-stdin"], "password:"),
        (["user", "password", "a@example.org"], "no user 'a@example.org'"),
        (["user", "promote", "a@example.org"], "no user 'a@example.org'"),
        (["user", "demote", "a@example.org"], "no user 'a@example.org'"),
        (["user", "bogus"], "bogus"),
        (["backup", "none/copy"], "none/.copy.partial: No such file or directory"),
        (["restore", "none"], "'none' does not exist"),
        (["backup"], "TARGET"),
        (["bogus"], "No such command 'bogus'"),
        (["--bogus"], "--bogus"),
    ],
)
def test_a_wrong_argument_is_rejected(data_dir, file, args, word):
    file([], "list.json")
    assert word in refused(*args)
    assert list(roles().values()) == ["owner"]


@pytest.mark.parametrize("password", ["short", "x" * 1001, b"not utf-8: \xff"])
def test_a_password_unusable_for_a_login_is_rejected(data_dir, password):
    for command in ("add", "password"):
        email = User.get().email if command == "password" else "a@example.org"
        assert "password" in refused("user", command, email, "--password-stdin", input=password)


DATABASE_COMMANDS = [
    pytest.param(["export", "--all"], marks=pytest.mark.pack("moving")),
    ["import", "flow.json", "--name", "A"], ["user", "add", "a@example.org"],
    ["user", "password", "a@example.org"], ["user", "list"], ["backup", "copy"], ["resume"],
]  # fmt: skip


@pytest.mark.parametrize("args", DATABASE_COMMANDS, ids=lambda args: " ".join(args[:2]))
def test_a_missing_or_foreign_database_is_rejected_and_none_is_created(folder, file, args):
    file(ECHO)
    assert f"There is no database {folder}/data/headrace.sqlite3" in refused(*args)
    assert not (folder / "data").exists()
    (folder / "data").mkdir()
    (folder / "data/headrace.sqlite3").write_text("something else")
    assert "not an SQLite database" in refused(*args)


@pytest.mark.parametrize("args", [[], ["config"], ["run", "flow.json"], ["user", "list"]], ids=" ".join)
def test_a_wrong_setting_is_rejected(file, monkeypatch, args):
    file(ECHO)
    monkeypatch.setenv("PORT", "many")
    assert "PORT is 'many'" in refused(*args)


def test_an_unexpected_error_shows_a_traceback(data_dir, monkeypatch):
    monkeypatch.setattr(User, "select", lambda: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        CliRunner().invoke(cli.main, ["user", "list"], catch_exceptions=False)


# Templates


def is_self_contained(template):
    """Return True if the template needs no credential, file, other service or answer."""
    return not template["credentials"] and not {"http", "files", "flows", "llm"} & template.get("trial", {}).keys()


@pytest.mark.parametrize("name", [template["id"] for template in read_templates() if is_self_contained(template)])
def test_run_executes_each_self_contained_template_with_its_sample_input(name):
    path = FOLDER / f"{name}.json"
    result = CliRunner().invoke(cli.main, ["run", "--json", str(path)], catch_exceptions=False)
    ended = json.loads(result.stdout)
    assert ended["steps"] and ended["status"] == "success", ended["error_text"]


# Serving


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def ask(url, body=None):
    """Return the status of a GET, or of a POST with this body."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=10) as answer:
        return answer.status


def wait_for(url, process):
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and process.poll() is None:
        try:
            return ask(url)
        except OSError:
            time.sleep(0.05)
    raise AssertionError(f"the server did not answer at {url}")


@pytest.mark.slow
def test_it_serves_from_any_folder_while_commands_run(folder):
    port = free_port()
    # Neither these files nor the folders of PYTHONPATH may come before our own modules.
    (folder / "config.py").write_text("raise SystemExit('the wrong config')")
    (folder / ".env").write_text(f"PORT={port}\nWEB_CONCURRENCY=1\n")
    env = {**os.environ, "PYTHONPATH": str(folder / "more")}
    with child([sys.executable, str(ROOT / "workflow_server.py")], env=env) as process:
        assert wait_for(f"http://127.0.0.1:{port}/api/health", process) == 200
        call("user", "add", "ann@example.org", "--password-stdin", input="a good password")
        login = {"email": "ann@example.org", "password": "a good password"}
        assert ask(f"http://127.0.0.1:{port}/api/auth/login", login) == 200
        call("backup", "copy")
        assert process.poll() is None
        process.terminate()
        process.wait(timeout=60)
    assert (folder / "data/headrace.sqlite3").is_file()
