"""Plugins: the files that are loaded or refused, and the removal of all parts of a refused file."""

import importlib
import logging
import os
import sys
import textwrap

import pytest

import nodes
from definition import check
from nodes import REGISTRY, plugins, sdk

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
        f"there is no node type {type_!r}; {why}",
        "there is no node type 'other'",
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
