"""Syntax errors in the code of nodes are found while a flow is edited, and nothing of the code is executed."""

import pytest

from dispatch import references
from nodes.data.python_sandbox import Sandbox

pytestmark = pytest.mark.usefixtures("shared_server")


@pytest.fixture(scope="module")
def sandbox():
    made = Sandbox()
    yield made
    made.close()


@pytest.mark.parametrize(
    ("source", "line", "words"),
    [
        ("x = 1\nfor i in range(3)\n  x", 2, "Expected `:`"),
        ("x = [1, 2\ny = 3", 2, "Expected `,`"),
        ("a = 'open", 1, "closing quote"),
        ("(" * 10_000, 1, "too deeply nested"),
        ("x = 1\ndel x", 2, "'del'"),
    ],
)
def test_the_first_error_is_told_with_its_line(sandbox, source, line, words):
    message = sandbox.check(source)
    assert message.startswith(f"line {line}: ") and words in message


@pytest.mark.parametrize(
    "source", ["", "x = 1", "while True: pass", "1 / 0", "raise ValueError", "input['a']", "no_name"]
)
def test_code_that_compiles_is_not_executed(sandbox, source):
    assert sandbox.check(source) is None


def code(*sources):
    return {"nodes": [{"id": f"n{at}", "type": "code", "config": {"source": text}} for at, text in enumerate(sources)]}


def test_a_definition_is_checked_with_the_place_of_each_error(owner):
    body = {"definition": code("x = 1", "x =")}
    told = owner.post("/api/workflows/validate", body).json
    (issue,) = (issue for issue in told["issues"] if issue["path"].startswith("nodes"))
    assert issue["path"] == "nodes[1].config.source" and issue["node_id"] == "n1" and issue["level"] == "warning"
    assert issue["message"] == "line 1: SyntaxError: Expected an expression"


def test_the_number_of_issues_and_the_time_are_bounded(sandbox, monkeypatch):
    assert len(references.find_code_issues(code(*["x ="] * 50), sandbox)) == references.MAX_ISSUES
    monkeypatch.setattr(references, "MAX_SECONDS", -1.0)
    assert references.find_code_issues(code("x ="), sandbox) == []


@pytest.mark.parametrize(
    "definition", [None, {}, {"nodes": 3}, {"nodes": [1, {"type": "code"}, {"type": "code", "config": {"source": 5}}]}]
)
def test_a_definition_of_any_shape_is_accepted(sandbox, definition):
    assert references.find_code_issues(definition, sandbox) == []
