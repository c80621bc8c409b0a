"""Flows with credentials from a file on the command line: hosts and types apply, and no secret is printed."""

import json
import re

import command_line
import pytest
from click.testing import CliRunner

import cli

SECRET = "hunter2hunter2"
SHOP = {"shop": {"type": "secret", "data": {"value": SECRET}, "hosts": ["localhost"]}}
LOGGING = {
    "nodes": [
        {"id": "tell", "type": "log", "config": {"message": "the key is {{ secrets.shop }}"}},
        {
            "id": "give",
            "type": "set",
            "config": {"values": {"key": "{{ secrets.shop }}", "size": "{{ secrets.shop|length }}"}},
        },
    ],
    "edges": [["tell", "give"]],
}
folder, file = command_line.folder, command_line.file


def call(*args, code=0):
    result = CliRunner().invoke(cli.main, args, catch_exceptions=False)
    assert result.exit_code == code, result.output
    return result


def test_a_flow_uses_the_credentials_of_the_file_without_printing_them(file):
    for options in ((), ("--json",)):
        result = call("run", file(LOGGING), "--credentials", file(SHOP, "c.json"), *options)
        assert SECRET not in result.output and "the key is ***" in result.output
        output = json.loads(result.stdout)
        assert (output["output"] if options else output) == {"key": "***", "size": len(SECRET)}
        assert "Warning" not in result.stderr


def test_a_credential_missing_from_the_file_fails_the_flow(file):
    result = call("run", file(LOGGING), "--credentials", file({}, "c.json"), code=1)
    assert "there is no credential 'shop'" in result.stderr
    assert "there is no credential 'shop'" in call("run", file(LOGGING), code=1).stderr


def test_a_file_readable_by_others_causes_a_warning(file, folder):
    name = file(SHOP, "c.json")
    (folder / name).chmod(0o644)
    assert "Warning: c.json is readable by other users" in call("run", file(LOGGING), "--credentials", name).stderr


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ([SECRET], "must be an object such as"),
        ({"shop": SECRET}, "'shop' must be an object with type and data"),
        ({"shop": {"type": "secret"}}, "'shop': data: is required"),
        ({"shop": {"type": "unheard of", "data": {}}}, "'shop': type: must be one of http_basic,"),
        ({"shop": {"type": "secret", "data": {"value": 5, "note": SECRET}}}, "'shop': data.value: "),
        ({"shop": {"type": "http_basic", "data": {"username": f"a:{SECRET}"}}}, "data.password: "),
        ({"shop": {"type": "secret", "data": {"value": SECRET}, "hosts": [SECRET + "/x"]}}, "'shop': hosts[0]: "),
        ({"shop": {"type": "secret", "data": {"value": SECRET}, "host": "x"}}, "'shop': host: "),
        ({"": {"type": "secret", "data": {"value": SECRET}}}, "'': name: "),
        ('{"shop": "' + SECRET, "c.json is not JSON"),
    ],
)
@pytest.mark.parametrize("command", ["run", "validate"])
def test_an_invalid_file_is_rejected_in_one_line_without_its_values(file, command, value, words):
    result = call(command, file(LOGGING), "--credentials", file(value, "c.json"), code=2)
    assert re.fullmatch(r"Error: c\.json.+\n", result.stderr), result.stderr
    assert words in result.stderr and SECRET not in result.output and result.stdout == ""


def test_validate_warns_of_credentials_missing_from_the_file(file):
    assert "warning" not in call("validate", file(LOGGING)).stdout
    assert "warning" not in call("validate", file(LOGGING), "--credentials", file(SHOP, "c.json")).stdout
    result = call("validate", file(LOGGING), "--credentials", file({}, "c.json"))
    assert "warning: nodes[0].config.message: there is no credential 'shop'" in result.stdout
    hook = {"nodes": [{"id": "h", "type": "webhook", "config": {"path": "p", "auth": "basic", "credential": "shop"}}]}
    result = call("validate", file(hook), "--credentials", file(SHOP, "c.json"))
    assert "is of type secret; it must be http_basic" in result.stdout


# Files


@pytest.fixture
def writer():
    """Register a node type `writer` that adds a line to a file of the workspace."""
    from world import Types

    def write(config, input, ctx):
        return {"size": ctx.need_files().append("notes/today.txt", b"line\n")}

    with Types() as types:
        types.offer("writer", write, pure=False)
        yield


WRITING = {"nodes": [{"id": "a", "type": "writer"}]}


def test_the_files_of_a_flow_are_in_the_given_folder(writer, file, folder):
    (folder / "mine").mkdir()
    (folder / "link").symlink_to(folder / "mine")
    for size, name in ((5, "mine"), (10, "mine"), (15, "link")):
        assert json.loads(call("run", file(WRITING), "--files", name).stdout) == {"size": size}
    assert (folder / "mine" / "notes" / "today.txt").read_text() == "line\n" * 3


def test_without_a_folder_its_files_are_deleted_at_the_end(writer, file, folder):
    for _ in range(2):
        assert json.loads(call("run", file(WRITING)).stdout) == {"size": 5}
    assert [path.name for path in folder.iterdir()] == ["flow.json"]


def test_a_missing_folder_is_rejected(file):
    assert "nowhere" in call("run", file(WRITING), "--files", "nowhere", code=2).stderr
