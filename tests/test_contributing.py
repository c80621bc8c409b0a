"""What CONTRIBUTING.md says of commands and of a new node type is so."""

import re
from pathlib import Path

import pytest
from world import flow, node

import errors
import nodes.base
import nodes.data.lists
from engine import Job, plan, run

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")


def test_each_command_is_a_target():
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    assert set(re.findall(r"^\| `make ([\w-]+)", PAGE, re.MULTILINE)) <= targets


@pytest.fixture
def shown():
    """The class that the page shows, in the registry for the time of a test."""
    (source,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    scope = {**vars(errors), **vars(nodes.base), **vars(nodes.data.lists)}
    exec(source, scope)
    yield scope["Reverse"]
    del nodes.base.REGISTRY["reverse"]


def test_the_node_type_that_it_shows_does_what_its_example_says(shown):
    (example,) = shown.examples
    done = run(plan(flow(node("it", "reverse", example["config"]))), Job("run_1", example["input"]))
    assert done.output == example["output"]


def test_the_node_type_that_it_shows_fails_as_the_page_says(shown):
    failed = run(plan(flow(node("it", "reverse", {"items": "abc"}))), Job("run_1", None))
    assert failed.error_text and f"`{failed.error_text}`" in PAGE
