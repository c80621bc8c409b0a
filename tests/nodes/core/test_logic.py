import pytest
from marshmallow import ValidationError

from errors import ExpressionError, NodeError
from nodes import REGISTRY
from nodes.base import Branch


class Keep:
    """A fake compiled expression on `item`."""

    def __init__(self, function):
        self.evaluate = function


@pytest.mark.parametrize("found", [True, 1, "yes", "true", "TRUE", [0], {"a": 1}, "0", "no", " x "])
def test_if_routes_to_true(make_ctx, found):
    assert REGISTRY["if"].run({"condition": found}, "in", make_ctx()[0]) == Branch("true", "in")


@pytest.mark.parametrize("found", [False, 0, 0.0, "", " ", "false", "False", None, [], {}])
def test_if_routes_to_false(make_ctx, found):
    assert REGISTRY["if"].run({"condition": found}, "in", make_ctx()[0]) == Branch("false", "in")


def test_if_passes_the_same_object_on(run):
    given = {"a": 1}
    assert run("if", {"condition": True}, given).value is given


@pytest.mark.parametrize(
    ("value", "branch"),
    [
        ("a", "a"),
        (1, "1"),
        (1.0, "1"),
        ("1", "1"),
        (True, "true"),
        (2.5, "2.5"),
        ("b", "default"),
        (None, "default"),
        ([], "default"),
    ],
)
def test_switch_compares_by_text(run, value, branch):
    assert run("switch", {"value": value, "cases": ["a", 1, True, 2.5]}, "in") == Branch(branch, "in")


def test_switch_has_a_branch_for_each_case():
    assert REGISTRY["switch"].branches({"cases": ["a", 1, False]}) == ("a", "1", "false", "default")
    assert REGISTRY["switch"].branches({"cases": "abc"}) == ("default",)


@pytest.mark.parametrize(
    "cases", [[], ["a", "a"], [1, "1"], ["default"], [""], [None], [{}], ["x" * 201], list(range(101)), "a"]
)
def test_switch_refuses_bad_cases(cases):
    with pytest.raises(ValidationError) as caught:
        REGISTRY["switch"].Config().load({"value": 1, "cases": cases})
    assert "cases" in caught.value.messages


def test_filter_keeps_the_items_for_which_the_expression_is_true(make_ctx):
    ctx, _ = make_ctx(scope={"vars": {"most": 2}})
    keep = Keep(lambda scope: scope["item"] <= scope["vars"]["most"] and scope["index"] > 0)
    assert REGISTRY["filter"].run({"keep": keep}, [1, 2, 3], ctx) == [2]
    assert "item" not in ctx.scope


def test_filter_accepts_another_list_and_a_constant(run):
    assert run("filter", {"items": [1, 2], "keep": True}, "in") == [1, 2]
    assert run("filter", {"keep": False}, [1, 2]) == []


@pytest.mark.parametrize(("items", "kind"), [({}, "an object"), (None, "null"), ("abc", "text")])
def test_filter_needs_a_list(run, items, kind):
    with pytest.raises(NodeError, match=f"a list, but is {kind}") as caught:
        run("filter", {"keep": True}, items)
    assert caught.value.permanent


def test_the_error_of_filter_names_the_item_at_which_the_expression_failed(make_ctx):
    def fail(scope):
        raise ExpressionError("no such key")

    with pytest.raises(NodeError, match="keep failed for item 0: no such key"):
        REGISTRY["filter"].run({"keep": Keep(fail)}, [1], make_ctx()[0])


@pytest.mark.parametrize(("mode", "output"), [("object", {"b": 1, "a": 2}), ("list", [1, 2]), ("first", 1)])
def test_merge_combines_the_inputs_in_order(run, mode, output):
    assert run("merge", {"mode": mode}, None, inputs={"b": 1, "a": 2}) == output


def test_merge_without_inputs_is_empty(run):
    assert run("merge", {"mode": "first"}) is None
    assert run("merge") == {}


def test_stop_fails_permanently_with_its_message(run):
    with pytest.raises(NodeError, match="no stock") as caught:
        run("stop", {"message": "no stock"})
    assert caught.value.permanent


def test_noop_passes_the_same_object_on(run):
    given = {"a": 1}
    assert run("noop", {}, given) is given
