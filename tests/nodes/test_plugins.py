"""Plugins: the files that are loaded or refused, and the removal of all parts of a refused file."""

import enum
import importlib
import logging
import os
import re
import sys
import textwrap
import threading
import time
import uuid
from dataclasses import dataclass

import pytest
from world import PATIENCE, Gate, Types, add_flow, chain, flow, fresh_database, node, process, run, run_of, value

import nodes
from database.queries.store import WorkspaceStore
from definition import check
from dispatch import Start
from engine import Open
from errors import NodeError
from models import AgentMemory
from nodes import REGISTRY, plugin_runner, plugins, sdk
from nodes.base import Answer, Branch, Suspend
from nodes.credentials.keyring import DecryptedCredential, Keyring
from registry import explain_off

HEAD = """
from marshmallow import Schema, fields, post_load
from nodes.sdk import (
    Branch, Node, NodeError, setting, text,
)
"""
POLLS = "category = 'trigger'\ntrigger = polls = True"


def node_file(type_="shout", body="", name="Shout", head=HEAD, run="return input"):
    """Return the source of a node type; `body` is added to its class."""
    body = textwrap.indent(textwrap.dedent(body).strip(), "    ")
    return (
        f"{head}\n\nclass {name}(Node):\n"
        f'    """Says it loudly."""\n\n    type = "{type_}"\n    category = "data"\n{body}\n\n'
        f"    def run(self, config, input, ctx):\n        {run}\n"
    )


@pytest.fixture
def folder(tmp_path):
    """`folder(name=source)` writes files `name.py` and returns the folder. Its types are removed at the end."""
    place = tmp_path / "own"
    place.mkdir()

    def write(**files):
        for name, source in files.items():
            (place / f"{name}.py").write_bytes(source if isinstance(source, bytes) else source.encode())
        return place

    yield write
    plugins.load(None)


def own_types():
    return {type_ for type_, node in REGISTRY.items() if node.own}


def modules():
    return {name for name in sys.modules if name.startswith("headrace_nodes.")}


def test_each_file_registers_its_node_types(folder):
    two = node_file("shout") + node_file("whisper", name="Whisper", head="")
    assert plugins.load(folder(both=two, third=node_file("sing"))) == []
    assert own_types() == {"shout", "whisper", "sing"}
    entries = {entry["type"]: entry for entry in nodes.catalogue()}
    assert entries["shout"]["own"] is True and entries["noop"]["own"] is False
    assert entries["shout"]["description"] == "Says it loudly."


def test_plugins_are_never_executed_by_the_request_that_starts_a_run(folder):
    plugins.load(folder(shout=node_file(body="quick = True")))
    assert REGISTRY["shout"].quick is False


def test_other_files_and_folders_are_ignored(folder):
    place = folder(_helper="raise SystemExit", shout=node_file())
    (place / ".hidden.py").write_text("raise SystemExit")
    (place / "notes.txt").write_text("no Python")
    (place / "folder.py").mkdir()
    (place / "tests").mkdir()
    (place / "tests" / "test_shout.py").write_text("raise SystemExit")
    assert plugins.load(place) == []
    assert modules() == {"headrace_nodes.shout"}


@pytest.mark.parametrize(
    "line",
    ["from ._loud import loud", "from headrace_nodes._loud import loud", "from . import _loud; loud = _loud.loud"],
)
def test_a_file_can_import_its_helpers(folder, line):
    helper = "def loud(value):\n    return value.upper()\n"
    source = node_file(head=HEAD + line, run="return loud(input)")
    assert plugins.load(folder(_loud=helper, shout=source)) == []
    assert REGISTRY["shout"].run({}, "ada", None) == "ADA"


def test_a_file_that_another_one_imports_is_loaded_once(folder):
    first = node_file("first", head=HEAD + "from .second import Shout as Other")
    assert plugins.load(folder(first=first, second=node_file("second"))) == []
    assert own_types() == {"first", "second"}


# Refused sources, each with the reason and the line in the error (None: no line).
BROKEN = [
    ("class Shout(Node:\n", "SyntaxError: ", 1),
    ("\nimport no_such_library\n", "ModuleNotFoundError: No module named 'no_such_library'", 2),
    ("from nodes.base import no_such_name", "ImportError: cannot import name 'no_such_name'", 1),
    ("x = 1\n1 / 0", "ZeroDivisionError: division by zero", 2),
    ("raise SystemExit(3)", "SystemExit: 3", 1),
    ("import sys\nsys.exit()", "SystemExit", 2),
    ("def f(): f()\nf()", "RecursionError: ", 1),
    ("x = 'a\0b'", "null bytes", None),
    (b"x = '\xff'", "SyntaxError: (unicode error) 'utf-8' codec can't decode byte 0xff", None),
    ("class E(Exception):\n    def __str__(self): 1 / 0\nraise E", "E, whose message cannot be shown", 3),
    ("raise ValueError('a\\n' * 1000)", "ValueError: a a a", 1),
    ("", "it has no node type", None),
    (HEAD + "class Shout(Node):\n    '''Has no type.'''\n", "it has no node type", None),
    (node_file("http"), "TypeError: Shout: the node type 'http' exists already", 8),
    (node_file(body="category = 'loud'"), "TypeError: Shout: category must be one of trigger, logic", 8),
    (node_file().replace('"""Says it loudly."""', ""), "Shout: a node's docstring is its description", 8),
    (node_file("Shout"), "Shout: type must have at most 64 lower-case letters, digits and _", 8),
    (node_file("a-b"), "Shout: type must have", 8),
    (node_file("1a"), "Shout: type must have", 8),
    (node_file(""), "Shout: type must have", 8),
    (node_file("a" * 65), "Shout: type must have", 8),
    (node_file(body="type = 5"), "Shout: type must have", 8),
    (node_file(body="type = []"), "TypeError: unhashable type", 8),
    (node_file(body="trigger = True"), "Shout: a trigger must set category = 'trigger', trigger", 8),
    (node_file(body="category = 'trigger'"), "Shout: a trigger must set", 8),
    (node_file(body="polls = True"), "TypeError: Shout: only a trigger polls", 8),
    (node_file(body="trigger = polls = True"), "Shout: a trigger must set", 8),
    (node_file(body=POLLS), "Shout: it has no method poll", 8),
    (node_file(body=f"{POLLS}\ndef poll(self, config): ..."), "Shout: poll must take (self, config, state, ctx)", 8),
    (node_file(body="source = ['at']"), "Shout: source must be a tuple of keys of its Config", 8),
    (node_file(body="source = ('at',)"), "Shout: source must be a tuple of keys of its Config", 8),
    (node_file(body="pure = 'no'"), "Shout: pure must be True or False", 8),
    (node_file(body="title = None"), "Shout: title and icon must be text", 8),
    (node_file(body="also = 'yell'"), "Shout: also must be a tuple of texts", 8),
    (node_file(body="answers = ['yes']"), "Shout: answers must be a tuple of names", 8),
    (node_file(body="answers = ('yes',)"), "Shout: it has answers, so it must set suspends = True", 8),
    (node_file(body="suspends = True"), "Shout: it has no method resume", 8),
    (node_file(body="examples = [{}]"), "Shout: examples must be a tuple of dicts", 8),
    (node_file(body="examples = ({'input': {1, 2}},)"), "Shout: its entry in the catalogue raised TypeError", 8),
    (node_file().replace("def run", "def work"), "Shout: it has no method run", 8),
    (node_file().replace("def run", "async def run"), "Shout: run must be a plain method, not an async one", 8),
    (node_file(run="yield input"), "Shout: run must return its result, not yield", 8),
    (node_file().replace(", ctx)", ")"), "Shout: run must take (self, config, input, ctx): too many", 8),
    (node_file().replace("def run", "run = 5\n    def work"), "Shout: run must be a method", 8),
    (node_file(body="def __init__(self): 1 / 0"), "ZeroDivisionError", 13),
    (node_file(body="Config = dict"), "Shout: Config must be a marshmallow Schema", 8),
    (
        node_file(body="class Config(Schema):\n    def __init__(self): raise KeyError('x')"),
        "Shout.Config raised KeyError", 8,
    ),
    (
        node_file(body="class Config(Schema):\n    at = fields.Raw(load_default=object())"),
        "Shout.Config: at: its load_default raised TypeError: Type is not JSON serializable: object", 8,
    ),
    (
        node_file(body="class Config(Schema):\n    at = fields.Raw(load_default=lambda: {1, 2})"),
        "Shout.Config: at: its load_default raised TypeError", 8,
    ),
    (
        node_file(body="class Config(Schema):\n    at = fields.Raw(data_key='from')"),
        "Shout.Config: at must be stored under its own name", 8,
    ),
    (
        node_file(body="class Config(Schema):\n    at = fields.Raw(metadata={'x-thing': object()})"),
        "Shout: its entry in the catalogue raised TypeError", 8,
    ),
    (node_file(body="def branches(self, config): return ('a',)"), "catalogue raised TypeError", 8),
    (
        node_file(body="@classmethod\ndef branches(cls, config): return config['cases']"),
        "raised KeyError: 'cases' (bad.py, line 14)", 8,
    ),
    (node_file(body="@classmethod\ndef branches(cls, config): return 'ab'"), "shout.branches must return a tuple", 8),
    (node_file(body="@classmethod\ndef branches(cls, config): return ('a', 'a')"), "returned the same name twice", 8),
    (HEAD + "from nodes.base import REGISTRY\nREGISTRY['http'] = REGISTRY['noop']", "it replaces or removes", None),
    (HEAD + "from nodes.base import REGISTRY\ndel REGISTRY['http']", "it replaces or removes", None),
    (HEAD + "from nodes.base import REGISTRY\nREGISTRY['alias'] = REGISTRY['http']", "to the registry manually", None),
]  # fmt: skip


@pytest.mark.parametrize(("source", "reason", "line"), BROKEN)
def test_a_file_that_cannot_be_loaded_is_reported_once_and_leaves_nothing_behind(folder, caplog, source, reason, line):
    before = dict(REGISTRY)
    place = folder(bad=source, good=node_file("good"), _helper="")
    (broken,) = plugins.load(place)
    assert broken.file == "bad.py" and reason in broken.reason and "\n" not in broken.reason
    assert len(broken.reason) <= plugins.MAX_REASON + 1
    assert line is None or broken.reason.startswith(f"line {line}: ")
    (record,) = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert record.getMessage() == f"Could not load {place / 'bad.py'}: {broken.reason}"
    assert record.exc_info is None
    assert modules() == {"headrace_nodes.good"} and not hasattr(sys.modules["headrace_nodes"], "bad")
    assert {type_: node for type_, node in REGISTRY.items() if type_ != "good"} == before
    assert "good" in {entry["type"] for entry in nodes.catalogue()}


def test_types_registered_before_a_file_failed_are_removed(folder):
    bad = node_file("shout") + "\nfrom ._more import More\n1 / 0"
    later = node_file("shout", head=HEAD + "from ._more import More")
    assert [
        broken.file for broken in plugins.load(folder(bad=bad, later=later, _more=node_file("more", name="More")))
    ] == ["bad.py"]
    assert own_types() == {"shout", "more"}
    assert type(REGISTRY["shout"]).__module__ == "headrace_nodes.later"


def test_a_broken_helper_is_named(folder):
    place = folder(_helper="x = 1\n1 / 0", shout=node_file(head="from ._helper import x\n" + HEAD))
    (broken,) = plugins.load(place)
    assert (broken.file, broken.reason) == ("shout.py", "_helper.py, line 2: ZeroDivisionError: division by zero")
    (place / "_helper.py").write_text("def :::")
    (broken,) = plugins.load(place)
    assert broken.reason == "_helper.py, line 1: SyntaxError: invalid syntax"


def test_a_second_file_with_the_same_type_is_refused(folder):
    (broken,) = plugins.load(folder(a=node_file(), b=node_file()))
    assert broken.file == "b.py" and "the node type 'shout' exists already" in broken.reason
    assert own_types() == {"shout"}


@pytest.mark.parametrize("name", ["my-node.py", "a.b.py", "1a.py"])
def test_a_file_without_a_valid_module_name_is_reported(folder, name):
    place = folder()
    (place / name).write_text(node_file())
    (broken,) = plugins.load(place)
    assert broken.file == name and "its name must consist of letters, digits and _" in broken.reason
    assert not own_types()


def test_a_broken_symbolic_link_is_reported(folder):
    place = folder()
    (place / "gone.py").symlink_to(place / "nothing")
    assert [broken.file for broken in plugins.load(place)] == ["gone.py"]


def test_a_keyboard_interrupt_is_not_caught(folder):
    place = folder(a=node_file() + "\nraise KeyboardInterrupt")
    with pytest.raises(KeyboardInterrupt):
        plugins.load(place)
    assert not own_types() and not modules()


def test_a_missing_folder_is_reported(tmp_path, caplog):
    (broken,) = plugins.load(tmp_path / "nothing")
    assert broken.reason == "it cannot be read: No such file or directory"
    assert caplog.messages == [f"Could not load {tmp_path / 'nothing'}: {broken.reason}"]
    _, issues = check({"nodes": [{"id": "a", "type": "shout"}]})
    assert issues[0].message.endswith("; the folder of HEADRACE_NODES_DIR could not be loaded: " + broken.reason)
    plugins.load(None)


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_an_unreadable_folder_is_reported(folder):
    place = folder()
    place.chmod(0)
    (broken,) = plugins.load(place)
    place.chmod(0o700)
    assert broken.reason == "it cannot be read: Permission denied"


# Loading again


def test_loading_again_reads_the_files_again(folder):
    place = folder(shout=node_file(run="return 1"))
    plugins.load(place)
    first = REGISTRY["shout"]
    assert plugins.load(place) == [] and REGISTRY["shout"] is not first
    folder(shout=node_file(run="return 'changed'"))
    plugins.load(place)
    assert REGISTRY["shout"].run({}, None, None) == "changed"


def test_another_folder_replaces_the_types_of_the_previous_one(folder, tmp_path):
    plugins.load(folder(shout=node_file(), bad="1 / 0"))
    second = tmp_path / "second"
    second.mkdir()
    (second / "sing.py").write_text(node_file("sing"))
    assert plugins.load(second) == [] == plugins.BROKEN
    assert own_types() == {"sing"} and modules() == {"headrace_nodes.sing"}


def test_without_a_folder_there_are_no_plugins(folder):
    before = dict(REGISTRY)
    plugins.load(folder(shout=node_file()))
    assert plugins.load(None) == []
    assert before == REGISTRY and not modules() and "headrace_nodes" not in sys.modules


def test_files_are_modules(folder):
    plugins.load(folder(shout=node_file()))
    module = importlib.import_module("headrace_nodes.shout")
    assert module.__spec__.name == "headrace_nodes.shout" and module.__file__.endswith("/own/shout.py")


# Missing types in a definition


@pytest.mark.parametrize(
    ("source", "type_"),
    [
        ("def :::\nclass A(Node):\n    type = 'fetch_rates'\n", "fetch_rates"),
        ('def :::\nclass A(Node):\n    type: ClassVar[str] = "fetch_rates"  # this\n', "fetch_rates"),
        ("1 / 0", "rates"),
        (b"\xff\n    type = 'fetch_rates'", "fetch_rates"),
    ],
)
def test_the_issue_of_a_missing_type_names_the_broken_file(folder, source, type_):
    (broken,) = plugins.load(folder(rates=source))
    _, issues = check({"nodes": [{"id": "a", "type": type_}, {"id": "b", "type": "other"}]})
    why = f"the file rates.py in HEADRACE_NODES_DIR could not be loaded: {broken.reason}"
    assert [issue.message for issue in issues] == [
        f"unknown node type {type_!r}; {why}",
        f"unknown node type 'other'{explain_off()}",
    ]


# Types that fail during validation of a definition

RAISING = """
class Config(Schema):
    at = fields.Raw()

@classmethod
def branches(cls, config):
    return tuple(config.get("at", ()))
"""


def issues_of(config):
    made, issues = check({"nodes": [{"id": "a", "type": "shout", "config": config}]})
    assert (made is None) == bool(issues)
    return [issue.message for issue in issues]


def test_an_error_in_branches_is_an_issue(folder):
    plugins.load(folder(shout=node_file(body=RAISING)))
    assert issues_of({}) == []
    assert issues_of({"at": 5}) == ["shout.branches raised TypeError: 'int' object is not iterable (shout.py, line 18)"]
    assert issues_of({"at": [[]]}) == ["shout.branches must return a tuple of names"]


def test_branches_cannot_change_the_definition(folder):
    body = "@classmethod\ndef branches(cls, config):\n    config.setdefault('x', []).append(1)\n    return ()"
    plugins.load(folder(shout=node_file(body=body + "\nclass Config(Schema):\n    x = fields.List(fields.Raw())")))
    config = {"x": [0]}
    assert issues_of(config) == [] and config == {"x": [0]}


@pytest.mark.parametrize(
    ("hook", "message"),
    [
        ("raise KeyError('x')", "shout.Config raised KeyError: 'x' (shout.py, line 16)"),
        ("raise SystemExit", "shout.Config raised SystemExit (shout.py, line 16)"),
        ("return 5", "shout.Config must return a dict"),
        ("raise NodeError('no')", "no"),
    ],
)
def test_an_error_in_loading_a_config_is_an_issue(folder, hook, message):
    body = f"class Config(Schema):\n    @post_load\n    def made(self, data, **kwargs):\n        {hook}"
    plugins.load(folder(shout=node_file(body=body)))
    assert issues_of({}) == [message]


def test_an_error_in_looks_at_steps_is_an_issue(folder):
    plugins.load(folder(shout=node_file(body="@classmethod\ndef looks_at_steps(cls, config): return config['x']")))
    assert issues_of({}) == ["shout.looks_at_steps raised KeyError: 'x' (shout.py, line 14)"]


def test_the_sdk_has_each_of_its_names():
    assert all(hasattr(sdk, name) for name in sdk.__all__)


# The plugin runner: plugins work on copies, in their own thread, and their results are checked


@pytest.fixture(autouse=True)
def end_abandoned_threads():
    """End abandoned threads after each test: they would count in the next one."""
    yield
    for thread in list(plugin_runner._abandoned):
        thread.join(PATIENCE)
        assert not thread.is_alive()


@pytest.fixture
def types():
    with Types() as types:
        yield types


@pytest.fixture
def own(types):
    """`own(run, …)` registers a function as the node type `mine`, like one from HEADRACE_NODES_DIR."""
    return lambda run, **more: types.offer("mine", run, own=True, **more)


def mine(config=None, **more):
    return node("a", "mine", config, **more)


def test_a_retry_waits_as_long_as_the_service_requires(own):
    slept, errors = [], [NodeError("busy", retry_after=90), NodeError("busy", retry_after="soon")]

    def ask(config, input, ctx):
        if errors:
            raise errors.pop(0)
        return "done"

    own(ask)
    assert run(flow(mine(retry={"attempts": 3, "delay": 1})), sleep=slept.append).output == "done"
    assert slept[0] == 90 and slept[1] <= 2


def test_a_pause_ends_at_the_deadline_of_the_run(own):
    slept, threads = [], set()

    def sleep(seconds):
        slept.append(seconds)
        threads.add(threading.current_thread())

    own(lambda config, input, ctx: [ctx.pause(seconds) for seconds in (2, 3600, -1)])
    assert run(flow(mine(timeout=5)), sleep=sleep).status == "success"
    assert slept[0] == 2 and 0 < slept[1] <= 5 and slept[2] == 0
    assert threads == {threading.current_thread()}


# Copies


def spoil(thing):
    """Change all mutable parts of a value."""
    if isinstance(thing, dict):
        for item in thing.values():
            spoil(item)
        thing["spoilt"] = True
    elif isinstance(thing, list):
        for item in thing:
            spoil(item)
        thing.append("spoilt")
    return thing


def test_a_changed_input_that_is_returned_is_a_new_output(own):
    own(lambda config, input, ctx: spoil(input))
    made = flow(node("first", "give", {"value": {"a": [1]}}), mine(), "b", edges=["first a", "first b"])
    ran = run(made)
    assert ran.of["a"].same_as is None
    assert value(ran.of["a"]) == {"a": [1, "spoilt"], "spoilt": True}
    assert value(ran.of["first"]) == {"a": [1]} == ran.output["b"]


def test_changes_to_a_config_do_not_affect_the_next_run(own):
    own(lambda config, input, ctx: spoil(config["value"]))
    ran = run(flow(mine({"value": [{"a": 1}]}, foreach=[1, 2])))
    assert ran.output == [[{"a": 1, "spoilt": True}, "spoilt"]] * 2


def test_changes_to_a_config_do_not_affect_the_step_it_comes_from(own):
    own(lambda config, input, ctx: spoil(config["value"]))
    ran = run(chain(node("first", "give", {"value": {"rows": [1]}}), mine({"value": "{{ input.rows }}"}), "b"))
    assert value(ran.of["a"]) == [1, "spoilt"] and value(ran.of["first"]) == {"rows": [1]}


def test_changes_to_an_item_do_not_affect_the_list(own):
    own(lambda config, input, ctx: spoil(input))
    ran = run(
        flow(mine(foreach="{{ input }}"), "b", node("c", "give", {"value": "{{ trigger }}"}), edges=["a b"]), [[]]
    )
    assert ran.output == {"b": [["spoilt"]], "c": [[]]}


def test_outputs_of_other_steps_can_be_read_but_not_changed(own):
    def look(config, input, ctx):
        assert ctx.inputs["first"] == ctx.scope["steps"]["first"] == {"a": 1} and list(ctx.inputs) == ["first"]
        spoil(ctx.inputs["first"])
        spoil(ctx.scope["steps"]["first"])
        spoil(ctx.scope["vars"])
        return [ctx.scope["vars"], len(ctx.inputs)]

    own(look)
    made = chain(node("first", "give", {"value": {"a": 1}}), mine(), node("b", "give", {"value": "{{ steps.first }}"}))
    ran = run(made | {"settings": {"vars": {"x": []}}})
    assert value(ran.of["a"]) == [{"x": []}, 1] and ran.output == {"a": 1}


# The recorded form


class Colour(enum.Enum):
    RED = "red"


ID = uuid.UUID(int=1)
SEEN = [
    ((1, (2,)), [1, [2]]),
    ({"id": ID}, {"id": str(ID)}),
    ([Colour.RED], ["red"]),
    ({"x": float("nan")}, {"x": None}),
    (None, None),
]


@pytest.mark.parametrize(("given", "seen"), SEEN)
def test_the_next_node_receives_the_recorded_form(types, own, given, seen):
    found = []
    own(lambda config, input, ctx: given)
    types.offer("look", lambda config, input, ctx: found.append(input))
    ran = run(chain(mine(), node("b", "look")))
    assert found == [seen] == [value(ran.of["a"])]
    assert type(found[0]) is type(seen)


def test_a_branch_continues_with_the_recorded_form(own):
    own(lambda config, input, ctx: Branch("left", (1, 2)), branches=("left", "right"))
    ran = run(flow(mine(), "b", "c", edges=["a b left", "a c right"]))
    assert (ran.of["b"].status, ran.of["c"].status) == ("success", "skipped")
    assert ran.output == [1, 2]


@dataclass
class Row:
    a: int


class Endless(dict):
    """A subclass, which is lost in a record."""


LOOP = []
LOOP.append(LOOP)


@pytest.mark.parametrize("given", [object(), {1, 2}, {1: 2}, Row(1), Endless(), b"x", 2**70, LOOP, "\ud800", len])
def test_a_result_that_is_not_json_fails_the_node_permanently(own, given):
    own(lambda config, input, ctx: given)
    ran = run(flow(mine(retry={"attempts": 3})))
    assert ran.status == "failed" and ran.error_text.startswith("the output is not JSON")
    assert len(ran.steps) == 1


def test_a_result_that_is_too_large_fails_the_node(own):
    own(lambda config, input, ctx: "x" * 100)
    assert "the limit is 50" in run(flow(mine()), max_value_bytes=50).error_text


# Branches and waits


@pytest.mark.parametrize(
    ("declared", "given", "text"),
    [
        ((), Branch("left", 1), "mine returned the branch 'left'; it declares none"),
        (("left", "right"), Branch("up", 1), "mine returned the branch 'up'; it declares: 'left', 'right'"),
        (("left",), Branch(None, 1), "mine returned no Branch; it declares: 'left'"),
        (("left",), Branch(["left"], 1), "mine returned the branch \"['left']\"; it declares: 'left'"),
        (("left", "right"), 1, "mine returned no Branch; it declares: 'left', 'right'"),
        ((), Suspend(1, "x"), "mine returned Suspend, but does not set suspends = True"),
    ],
)
def test_an_undeclared_branch_fails_the_node_permanently(own, declared, given, text):
    own(lambda config, input, ctx: given, branches=declared)
    ran = run(flow(mine(retry={"attempts": 3})))
    assert (ran.status, ran.error_text, len(ran.steps)) == ("failed", text, 1)


@pytest.mark.parametrize(
    ("wait", "text"),
    [
        (Suspend(None, "x"), "without a time"),
        (Suspend("soon", "x"), "a time that is not in milliseconds"),
        (Suspend(1.5, "x"), "a time that is not in milliseconds"),
        (Suspend(True, "x"), "a time that is not in milliseconds"),
        (Suspend(-1, "x"), "a time that is not in milliseconds"),
        (Suspend(2**80, "x"), "a time that is not in milliseconds"),
        (Suspend(1, None), "a reason that is not text"),
    ],
)
def test_a_wait_that_would_never_end_fails_the_node(own, wait, text):
    own(lambda config, input, ctx: wait, suspends=True, resume=lambda self, config, input, answer: None)
    ran = run(flow(mine()))
    assert ran.status == "failed" and text in ran.error_text


def test_a_plugin_can_wait_and_continues_with_a_copy_of_its_input(own):
    def resume(self, config, input, answer):
        return spoil(input) + [answer.name, (answer.value,)]

    own(lambda config, input, ctx: Suspend(5, "for the time"), suspends=True, resume=resume)
    ran = run(flow(mine()), [1])
    assert (ran.status, ran.steps[0].wait) == ("waiting", Suspend(5, "for the time"))
    open_ = Open(0, 1, 0, "for the time", Answer("time", "now"))
    ran = run(flow(mine()), [1], waiting={"a": open_}, first_seq=1)
    assert (ran.status, ran.output) == ("success", [1, "spoilt", "time", ["now"]])


# Errors


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (SystemExit(3), "SystemExit: 3"),
        (KeyboardInterrupt(), "KeyboardInterrupt"),
        (GeneratorExit(), "GeneratorExit"),
        (BaseException("x"), "BaseException: x"),
        (RuntimeError("x"), "RuntimeError: x"),
        (NodeError("bad"), "bad"),
        (NodeError(5), "5"),
        (NodeError(None, permanent="yes"), "None"),
    ],
)
def test_any_error_fails_only_the_node(own, error, text):
    def fail(config, input, ctx):
        raise error

    own(fail)
    ran = run(flow(mine(on_error="continue"), "b", edges=["a b"]))
    assert (ran.status, ran.output) == ("success", {"error": text})


def test_an_error_that_cannot_be_shown_fails_only_the_node(own):
    class Shy(Exception):
        def __str__(self):
            raise ValueError

    def fail(config, input, ctx):
        raise Shy

    own(fail)
    assert run(flow(mine())).error_text == "Shy, whose message cannot be shown"


def test_an_infinite_recursion_fails_only_the_node(own):
    def again(config, input, ctx):
        return again(config, input, ctx)

    own(again)
    assert run(flow(mine())).error_text.startswith("RecursionError")


def test_a_node_error_keeps_its_retry_settings(own):
    def fail(config, input, ctx):
        raise NodeError("no", permanent=input)

    own(fail)
    attempts = [len(run(flow(mine(retry={"attempts": 2})), permanent).steps) for permanent in (True, False)]
    assert attempts == [1, 2]


# Time


@pytest.fixture
def hang(own):
    """`hang(pure=…)` registers a node type that waits for the test."""
    gate = Gate()
    yield lambda **more: own(gate, **more) or gate
    gate.opened.set()


def test_a_node_that_does_not_end_is_abandoned_and_the_run_continues(hang, caplog):
    hang()
    ran = run(flow(mine(timeout=0.05, on_error="continue"), "b", edges=["a b"]))
    assert ran.status == "success"
    assert re.fullmatch(
        r"the node's timeout of 0\.05 s ended it: did not end within 0\.0[1-5]\d? s and was abandoned",
        ran.output["error"],
    )
    assert caplog.messages == ["Node a (mine) did not end in time; its thread is abandoned"]


def test_a_node_that_does_not_end_is_abandoned_when_the_run_stops(hang):
    hang()
    ran = run(flow(mine()), timeout=0.05)
    assert ran.status == "failed" and "was abandoned" in ran.error_text


@pytest.mark.slow
@pytest.mark.parametrize(("pure", "attempts"), [(True, 2), (False, 1)])
def test_an_abandoned_node_is_retried_only_if_it_has_no_side_effects(hang, pure, attempts):
    hang(pure=pure)
    ran = run(flow(mine(timeout=0.05, retry={"attempts": 2})))
    assert ran.status == "failed"
    assert [step.status for step in ran.steps if step.status == "failed"] == ["failed"] * attempts


def test_a_node_that_notices_its_deadline_raises_its_own_error(own):
    def mind(config, input, ctx):
        threading.Event().wait(ctx.seconds_left(60))
        raise NodeError("the service took too long")

    own(mind)
    for seconds in (0.05, 1, 5, 20):
        error_text = run(flow(mine(timeout=seconds))).error_text
        if "timed out before it started" not in error_text:  # happens on a busy machine
            break
    assert error_text == f"the node's timeout of {seconds} s ended it: the service took too long"


def test_a_late_result_of_a_node_with_side_effects_counts(own):
    def act(config, input, ctx):
        while ctx.deadline > time.monotonic():
            threading.Event().wait(0.01)
        return "done"

    own(act, pure=False)
    assert run(flow(mine(timeout=0.05))).output == "done"


def test_an_abandoned_node_cannot_reach_its_run(types, caplog):
    entries, refused, gate = [], [], Gate()

    def late(config, input, ctx):
        gate(config, input, ctx)
        try:
            ctx.log("info", "too late")
        except NodeError as error:
            refused.append(error.message)

    types.offer("mine", late, own=True)
    run(flow(mine(timeout=0.05)), log=lambda *entry: entries.append(entry))
    (thread,) = plugin_runner._abandoned
    gate.opened.set()
    thread.join(PATIENCE)
    assert refused == ["the node was abandoned"] and entries == []
    assert caplog.messages[-1] == "Node a (mine) ended after it was abandoned"


def test_a_call_in_progress_when_the_node_is_abandoned_is_the_last(types):
    """A call in the run's thread may take longer than the deadline of the node."""
    entries, gate = [], Gate()

    def log_twice(config, input, ctx):
        for number in range(2):
            ctx.log("info", str(number))

    def slow(*entry):
        gate({}, None, None)
        entries.append(entry)

    types.offer("mine", log_twice, own=True)
    timer = threading.Timer(0.05 + plugin_runner.LATE_SECONDS + 0.1, gate.opened.set)
    timer.start()
    ran = run(flow(mine(timeout=0.05)), log=slow)
    timer.join(60)
    assert ran.status == "failed" and [entry[2] for entry in entries] == ["0"]


def test_too_many_abandoned_nodes_prevent_new_ones(hang, monkeypatch):
    gate = hang()
    monkeypatch.setattr(plugin_runner, "MAX_ABANDONED", 1)
    assert "was abandoned" in run(flow(mine(timeout=0.05))).error_text
    assert "restart the server" in run(flow(mine())).error_text
    gate.opened.set()
    for thread in list(plugin_runner._abandoned):
        thread.join(PATIENCE)
    assert run(flow(mine()), 5).output == 5


# Calls of the context


def test_calls_of_the_context_are_executed_in_the_thread_of_the_run(own):
    threads = {}

    class Store:
        def increment(self, key, by=1, ttl=None):
            threads["store"] = threading.get_ident()
            return by

    def work(config, input, ctx):
        threads["node"] = threading.get_ident()
        ctx.log("info", "hello", {"a": 1})
        return [ctx.store.increment("n", by=2), ctx.idempotency_key, ctx.node_id, 0 < ctx.seconds_left(5) <= 5]

    def log(*entry):
        threads["log"] = threading.get_ident()
        assert entry == ("a", "info", "hello", {"a": 1})

    own(work)
    assert run(flow(mine()), store=Store(), log=log).output == [2, "run_1:a:0", "a", True]
    here = threading.get_ident()
    assert threads["log"] == threads["store"] == here != threads["node"]


def test_an_error_of_a_call_is_raised_in_the_node(own):
    class Store:
        def get(self, key):
            raise ValueError(key)

    def work(config, input, ctx):
        try:
            return ctx.store.get("k")
        except ValueError as error:
            return str(error)

    own(work)
    assert run(flow(mine()), store=Store()).output == "k"


@pytest.mark.parametrize("level", ["loud", None, ["info"]])
def test_an_invalid_log_entry_fails_the_node(own, level):
    own(lambda config, input, ctx: ctx.log(level, "x"))
    assert "must be one of: debug, info, warning, error" in run(flow(mine())).error_text


def test_a_credential_can_be_used_and_is_not_recorded(own):
    token = "hunter2-hunter2"

    def work(config, input, ctx):
        found = ctx.credential("shop", "http_bearer")
        assert found.data["token"] == token and "secrets" not in ctx.scope
        ctx.log("info", f"with {found.data['token']}")
        return {"name": found.name, "type": found.type, "hosts": found.hosts, "token": found.data["token"]}

    entries = []
    own(work)
    keyring = Keyring(lambda name: DecryptedCredential(name, "http_bearer", {"token": token}, ("shop.example",)))
    ran = run(flow(mine(), "b", edges=["a b"]), keyring=keyring, log=lambda *entry: entries.append(entry[2]))
    assert ran.output == {"name": "shop", "type": "http_bearer", "hosts": ["shop.example"], "token": "***"}
    assert entries == ["with ***"] and token not in repr(ran.steps)


def test_a_missing_credential_is_an_error_of_the_node(own):
    own(lambda config, input, ctx: ctx.credential("shop"))
    assert run(flow(mine())).error_text == "there is no credential 'shop' in this workspace"


# In a process


def test_a_process_survives_errors_of_its_plugins(own, tmp_path):
    def end(config, input, ctx):
        raise SystemExit

    own(end)
    with fresh_database(tmp_path), process(tmp_path, run_threads=1) as dispatcher:
        for _ in range(3):
            run_ = dispatcher.waiting.wait(dispatcher.submit(Start(add_flow(flow(mine())), 1, "manual")), PATIENCE)
            assert (run_.status, run_.error_text) == ("failed", "SystemExit")
        run_ = dispatcher.waiting.wait(dispatcher.submit(Start(add_flow(flow("b")), 1, "manual")), PATIENCE)
        assert run_.status == "success"


def test_the_thread_of_a_run_is_free_after_a_node_is_abandoned(hang, tmp_path):
    hang(pure=False)
    with fresh_database(tmp_path), process(tmp_path, run_threads=1) as dispatcher:
        hung = dispatcher.submit(Start(add_flow(flow(mine(timeout=0.05))), 1, "manual"))
        after = dispatcher.submit(Start(add_flow(flow("b")), 1, "manual"))
        assert dispatcher.waiting.wait(after, PATIENCE).status == "success"
        assert "was abandoned" in run_of(dispatcher.waiting.wait(hung, PATIENCE).id).error_text


def test_the_store_and_the_log_are_the_workspaces(own, tmp_path):
    def work(config, input, ctx):
        ctx.log("warning", "counted", {"by": 2})
        return ctx.store.increment("n", by=2)

    own(work)
    with fresh_database(tmp_path), process(tmp_path) as dispatcher:
        run_ = dispatcher.waiting.wait(dispatcher.submit(Start(add_flow(flow(mine())), 1, "manual")), PATIENCE)
        assert (run_.status, run_.output) == ("success", "2")
        assert WorkspaceStore("ws_1").get("n") == 2


@pytest.mark.pack("agents")
def test_the_memory_of_agents_is_that_of_the_workspace(own, tmp_path):
    def work(config, input, ctx):
        memory = ctx.need_agents().memory
        memory.write("researcher", "city", "Rome", tags=["place"])
        return [entry["key"] for entry in memory.search("researcher", "place")]

    own(work)
    with fresh_database(tmp_path), process(tmp_path) as dispatcher:
        run_ = dispatcher.waiting.wait(dispatcher.submit(Start(add_flow(flow(mine())), 1, "manual")), PATIENCE)
        assert (run_.status, run_.output) == ("success", '["city"]')
        assert [row.content for row in AgentMemory.select()] == ["Rome"]
