"""Validation of definitions: accepted values, and the path of each issue."""

import time

import pytest
from each import for_each
from world import Types, chain, flow, node

import definition
import nodes  # noqa: F401  (fills the registry)
from definition import Retry, check, graph, outline_nodes, plan
from errors import DefinitionError


@pytest.fixture(autouse=True)
def types():
    with Types() as types:
        yield types


def issues(made, **bounds):
    """Return the issues as (path, node id)."""
    return [(issue.path, issue.node_id) for issue in check(made, **bounds)[1]]


def complaint(made):
    """Return the only issue."""
    (issue,) = check(made)[1]
    return issue


def order(made):
    return [planned.id for planned in plan(made).nodes]


# The shape


@pytest.mark.parametrize("made", [None, True, 7, 1.5, "{}", [], [{"nodes": []}]])
def test_a_definition_is_an_object(made):
    assert issues(made) == [("definition", None)]


def test_an_empty_object_lacks_nodes():
    assert issues({}) == [("nodes", None)]
    assert "at least one node" in complaint({"nodes": []}).message


@pytest.mark.parametrize("key", ["nodes", "edges"])
@pytest.mark.parametrize("wrong", [None, {}, "ab", 3])
def test_nodes_and_edges_are_lists(key, wrong):
    assert (key, None) in issues({**flow("a"), key: wrong})


def test_only_nodes_are_required():
    assert order({"nodes": [{"id": "a", "type": "noop"}]}) == ["a"]


def test_an_unknown_key_of_the_definition_is_named():
    assert issues({**flow("a"), "egdes": []}) == [("egdes", None)]


def test_an_unknown_key_of_a_node_is_named():
    assert issues(flow(node("a", retries=3))) == [("nodes[0].retries", "a")]


def test_position_and_notes_are_the_editors_own():
    assert order(flow(node("a", position={"x": 1.5, "y": -2}, notes="hello"))) == ["a"]


def test_too_many_nodes_are_rejected_before_other_checks():
    assert issues(flow("a", "a", "9"), max_nodes=2) == [("nodes", None)]
    assert issues(flow("a", "b"), max_nodes=2) == []


# Ids and types


@pytest.mark.parametrize("wrong", [None, 1, "a"])
def test_a_node_is_an_object(wrong):
    assert issues({"nodes": [node("a"), wrong]}) == [("nodes[1]", None)]


@pytest.mark.parametrize("id_", [None, 1, "", "1a", "a-b", "a b", "ä", "a\n", "a" * 65, ["a"], {}])
def test_an_id_is_a_name(id_):
    assert issues({"nodes": [{"id": id_, "type": "noop"}]}) == [("nodes[0].id", None)]


@pytest.mark.parametrize("id_", ["a", "_", "A9_", "a" * 64])
def test_letters_digits_and_underscores_make_an_id(id_):
    assert order(flow(id_)) == [id_]


def test_an_id_is_missing():
    assert issues({"nodes": [{"type": "noop"}]}) == [("nodes[0].id", None)]


def test_an_id_is_used_twice():
    assert issues(flow("a", "b", "a")) == [("nodes[2].id", "a")]


@pytest.mark.parametrize("type_", [None, 4, "", ["noop"]])
def test_a_type_is_text(type_):
    assert issues({"nodes": [{"id": "a", "type": type_}]}) == [("nodes[0].type", "a")]


def test_a_type_is_known():
    issue = complaint(flow("a", node("b", "no_such")))
    assert (issue.path, issue.node_id) == ("nodes[1].type", "b")
    assert "'no_such'" in issue.message


def test_all_issues_are_found_at_once():
    made = flow(node("a", "no_such"), node("b", "give", {"valu": 1}, timeout=-1), node("c", "if"), overlap="maybe")
    assert set(issues(made)) == {
        ("nodes[0].type", "a"),
        ("nodes[1].config.valu", "b"),
        ("nodes[1].timeout", "b"),
        ("nodes[2].config.condition", "c"),
        ("settings.overlap", None),
    }


def test_plan_raises_all_issues_and_shows_the_first_five():
    with pytest.raises(DefinitionError) as caught:
        plan({"nodes": [{"id": f"n{number}", "type": "no_such"} for number in range(7)]})
    assert len(caught.value.details) == 7
    assert str(caught.value).endswith("(and 2 more)")
    assert caught.value.status == 400


# Edges


@pytest.mark.parametrize(
    "edge",
    [
        {"from": "a", "to": "b"},
        {"from": "a", "to": "b", "branch": None},
        {"from": "a", "to": "b", "id": "e1"},
        ["a", "b"],
        ["a", "b", None],
    ],
)
def test_an_edge_has_a_long_and_a_short_form(edge):
    assert plan(flow("b", "a", edges=[edge])).by_id["b"].inputs == ((0, None),)


@pytest.mark.parametrize("edge", [{"from": "a", "to": "b", "branch": "true"}, ["a", "b", "true"]])
def test_both_forms_take_a_branch(edge):
    made = flow(node("a", "if", {"condition": True}), "b", edges=[edge])
    assert plan(made).by_id["b"].inputs == ((0, "true"),)


@pytest.mark.parametrize(
    "edge",
    [
        None,
        "ab",
        7,
        [],
        ["a"],
        ["a", "b", "c", "d"],
        ["a", 1],
        ["a", "b", 1],
        {},
        {"from": "a"},
        {"to": "b"},
        {"from": "a", "to": None},
        {"from": "a", "to": "b", "branch": 1},
        {"from": "a", "to": "b", "if": "x"},
    ],
)
def test_any_other_form_of_an_edge_is_rejected(edge):
    assert issues({**flow("a", "b"), "edges": [["a", "b"], edge]}) == [("edges[1]", None)]


def test_a_dangling_edge_is_reported_at_its_end():
    assert issues(flow("a", edges=["a b", "c a", "x y"])) == [
        ("edges[0].to", None),
        ("edges[1].from", None),
        ("edges[2].from", None),
        ("edges[2].to", None),
    ]


def test_a_duplicate_edge_is_rejected_in_either_form():
    assert issues(flow("a", "b", edges=["a b", {"from": "a", "to": "b"}])) == [("edges[1]", None)]


def test_two_branches_may_lead_to_the_same_node():
    made = flow(node("a", "if", {"condition": True}), "b", edges=["a b true", "a b false"])
    assert plan(made).by_id["b"].inputs == ((0, "true"), (0, "false"))


def test_an_unknown_branch_is_rejected_with_the_known_ones():
    issue = complaint(flow(node("a", "if", {"condition": True}), "b", edges=["a b yes"]))
    assert (issue.path, issue.node_id) == ("edges (a -> b)", "a")
    assert "'true', 'false'" in issue.message


def test_an_edge_of_a_node_with_branches_must_name_one():
    issue = complaint(flow(node("a", "if", {"condition": True}), "b", edges=["a b"]))
    assert issue.node_id == "a" and "must name a branch" in issue.message


def test_an_edge_of_a_node_without_branches_must_name_none():
    issue = complaint(flow("a", "b", edges=["a b true"]))
    assert issue.node_id == "a" and "has no branches" in issue.message


def test_the_cases_of_a_switch_are_its_branches():
    switch = node("a", "switch", {"value": 1, "cases": ["x", 2, 2.5]})
    made = flow(switch, "b", edges=["a b x", "a b 2", "a b 2.5", "a b default"])
    assert len(plan(made).by_id["b"].inputs) == 4
    assert issues(flow(switch, "b", edges=["a b y"])) == [("edges (a -> b)", "a")]


def test_the_branch_error_exists_only_with_on_error_branch():
    assert order(flow(node("a", on_error="branch"), "b", edges=["a b error"])) == ["a", "b"]
    assert issues(flow("a", "b", edges=["a b error"])) == [("edges (a -> b)", "a")]


def test_a_node_cannot_have_two_branches_named_error():
    made = flow(node("a", "switch", {"value": 1, "cases": ["error"]}, on_error="branch"))
    assert issues(made) == [("nodes[0].on_error", "a")]


def test_a_trigger_takes_no_edge():
    assert issues(flow("a", node("b", "manual"), edges=["a b"])) == [("edges (a -> b)", "b")]


# Cycles


def cycle_of(made):
    issue = complaint(made)
    assert issue.path == "edges"
    return issue.message.removeprefix("the edges form a cycle: ").split(" -> ")


def test_a_node_that_leads_to_itself_is_a_cycle():
    assert cycle_of(flow("a", edges=["a a"])) == ["a", "a"]


def test_a_cycle_is_shown_from_a_node_back_to_it():
    loop = cycle_of(flow("start", "a", "b", "c", "end", edges=["start a", "a b", "b c", "c a", "c end"]))
    assert loop[0] == loop[-1] and sorted(loop[1:]) == ["a", "b", "c"]
    assert all(pair in [("a", "b"), ("b", "c"), ("c", "a")] for pair in zip(loop, loop[1:], strict=False))


def test_descendants_of_a_cycle_are_not_part_of_it():
    assert cycle_of(flow("z", "y", "a", "b", edges=["a b", "b a", "b y", "y z"]))[0] in ("a", "b")


def test_a_long_cycle_is_shortened():
    made = chain(*[f"n{number}" for number in range(5_000)])
    loop = cycle_of(made | {"edges": [*made["edges"], ["n4999", "n0"]]})
    assert len(loop) == 13 and "…" in loop and loop[0] == loop[-1]


def test_a_draft_may_lack_config_but_not_contain_a_cycle():
    assert graph(flow(node("a", "no_such"), node("b", "if"), edges=["a b"])).order == ["a", "b"]
    with pytest.raises(DefinitionError):
        graph(flow("a", "b", edges=["a b", "b a"]))


def test_a_draft_may_be_empty():
    assert graph({}).order == []


# The order


def test_nodes_follow_their_predecessors_in_any_file_order():
    assert order(flow("c", "b", "a", edges=["a b", "b c"])) == ["a", "b", "c"]


def test_ties_break_by_the_order_in_the_file():
    assert order(flow("d", "b", "a", "c")) == ["d", "b", "a", "c"]
    assert order(flow("end", "y", "x", "start", edges=["start x", "start y", "x end", "y end"])) == [
        "start",
        "y",
        "x",
        "end",
    ]


def test_a_node_that_becomes_free_goes_before_later_ones_of_the_file():
    assert order(flow("a", "b", "z", edges=["a b"])) == ["a", "b", "z"]


def test_the_order_of_the_edges_does_not_matter():
    edges = ["a c", "b c", "a d", "b d", "c d"]
    assert plan(flow("a", "b", "c", "d", edges=edges)) == plan(flow("a", "b", "c", "d", edges=edges[::-1]))


def test_leaves_are_the_nodes_without_an_outgoing_edge():
    planned = plan(flow("a", "b", "c", edges=["a b"]))
    assert {item.id for item in planned.nodes if item.is_leaf} == {"b", "c"}


def test_a_chain_of_ten_thousand_nodes_plans_soon():
    made = chain(*[f"n{number}" for number in range(10_000)])
    began = time.perf_counter()
    assert order(made)[-1] == "n9999"
    assert time.perf_counter() - began < 5


def test_ten_thousand_branches_into_one_node_plan():
    names = [f"n{number}" for number in range(10_000)]
    planned = plan(flow(*names, "end", edges=[[name, "end"] for name in names]))
    assert planned.by_id["end"].inputs == tuple((number, None) for number in range(10_000))


# A node's keys


@for_each(
    "key, wrong",
    [
        ("name", 5),
        ("name", "x" * 201),
        ("on_error", "ignore"),
        ("on_error", ["fail"]),
        ("on_interrupt", "continue"),
        ("disabled", "yes"),
        ("disabled", 1),
        ("timeout", 0),
        ("timeout", -1),
        ("timeout", 86_401),
        ("timeout", "5"),
        ("timeout", True),
        ("timeout", float("nan")),
        ("retry", 3),
        ("retry", []),
        ("config", []),
        ("config", None),
        ("config", "x"),
        ("foreach", 3),
        ("foreach", "input.items"),
        ("foreach", {"a": 1}),
    ],
)
def test_a_wrong_value_is_found_at_its_key(key, wrong):
    assert issues(flow("x", {**node("a"), key: wrong})) == [(f"nodes[1].{key}", "a")]


@pytest.mark.parametrize(
    ("key", "wrong"),
    [
        ("attempts", 0),
        ("attempts", 21),
        ("attempts", 1.5),
        ("attempts", True),
        ("attempts", None),
        ("attempts", "3"),
        ("delay", -0.1),
        ("delay", 3601),
        ("backoff", 0.9),
        ("backoff", 11),
        ("backoff", float("inf")),
        ("backof", 2),
    ],
)
def test_a_wrong_value_in_retry_is_found_at_its_key(key, wrong):
    assert issues(flow(node("a", retry={key: wrong}))) == [(f"nodes[0].retry.{key}", "a")]


@pytest.mark.parametrize(
    "retry",
    [
        {"attempts": 1, "delay": 0, "backoff": 1},
        {"attempts": 20, "delay": 3600, "backoff": 10},
        {"attempts": 2, "delay": 0.5, "backoff": 1.5},
    ],
)
def test_retry_accepts_values_within_bounds(retry):
    assert plan(flow(node("a", retry=retry))).nodes[0].retry == Retry(**retry)


def test_without_retry_there_is_one_attempt():
    assert plan(flow("a", node("b", retry=None))).nodes[0].retry.attempts == 1


def test_an_empty_retry_means_three_attempts():
    assert plan(flow(node("a", retry={}))).nodes[0].retry == Retry(3, 1.0, 2.0)


@pytest.mark.parametrize("timeout", [0.001, 1, 86_400])
def test_timeout_accepts_values_within_bounds(timeout):
    assert plan(flow(node("a", timeout=timeout))).nodes[0].timeout == timeout


def test_a_node_without_a_name_is_called_by_its_id():
    planned = plan(flow("a", node("b", name=""), node("c", name="Look up")))
    assert [item.name for item in planned.nodes] == ["a", "b", "Look up"]


@pytest.mark.parametrize("foreach", ["{{ input.items }}", [1, 2], ["{{ input }}"], []])
def test_foreach_takes_an_expression_or_a_list(foreach):
    assert plan(flow(node("a", foreach=foreach))).nodes[0].foreach is not None


def test_foreach_goes_with_on_error_branch():
    assert order(flow(node("a", foreach="{{ input }}", on_error="branch"), "b", edges=["a b error"])) == ["a", "b"]


# Config and expressions


def test_a_missing_setting_is_found_at_its_key():
    assert issues(flow(node("a", "if"))) == [("nodes[0].config.condition", "a")]


def test_an_unknown_setting_is_found_at_its_key():
    assert issues(flow(node("a", "give", {"value": 1, "vlaue": 2}))) == [("nodes[0].config.vlaue", "a")]


def test_a_wrong_setting_deep_inside_is_found_at_its_path():
    made = flow(node("a", "webhook", {"path": "x", "methods": ["POST", "FETCH"]}))
    assert issues(made) == [("nodes[0].config.methods[1]", "a")]


def test_two_conflicting_settings_are_found():
    made = flow(node("a", "webhook", {"path": "x", "auth": "basic"}))
    assert issues(made) == [("nodes[0].config.credential", "a")]


def test_an_expression_is_not_validated_before_evaluation():
    assert order(flow(node("a", "respond", {"status": "{{ input.status }}"}))) == ["a"]
    assert issues(flow(node("a", "respond", {"status": "none"}))) == [("nodes[0].config.status", "a")]


def test_a_required_setting_may_be_an_expression():
    assert order(flow(node("a", "if", {"condition": "{{ input }}"}))) == ["a"]


def test_an_expression_that_does_not_compile_is_found_with_its_place():
    issue = complaint(flow(node("a", "give", {"value": {"b": ["{{ 1 + }}"]}})))
    assert (issue.path, issue.node_id) == ("nodes[0].config.value", "a")
    assert "b[0]" in issue.message


def test_a_foreach_that_does_not_compile_is_found():
    assert ("nodes[0].foreach", "a") in issues(flow(node("a", foreach="{{ [ }}")))


def test_braces_in_a_literal_setting_are_not_an_expression():
    made = flow(node("a", "code", {"source": "x = {{ 1 + }}"}))
    assert plan(made).nodes[0].config.static["source"] == "x = {{ 1 + }}"


@pytest.mark.parametrize("expression", ["{{ steps.nobody }}", "{{ steps['nobody'].x }}", "{{ 1 if steps.nobody }}"])
def test_an_expression_names_a_step_that_does_not_exist(expression):
    issue = complaint(flow(node("a", "give", {"value": expression})))
    assert (issue.path, issue.node_id) == ("nodes[0].config.value", "a")
    assert "there is no node 'nobody'" in issue.message


def test_an_expression_names_a_step_that_runs_later():
    made = flow(node("a", "give", {"value": "{{ steps.b }}"}), "b", edges=["a b"])
    assert "'b' does not run before 'a'" in complaint(made).message


def test_an_expression_names_its_own_step():
    assert "does not run before" in complaint(flow(node("a", "give", {"value": "{{ steps.a }}"}))).message


def test_a_foreach_names_a_step_that_runs_later():
    made = flow(node("a", foreach="{{ steps.b }}"), "b", edges=["a b"])
    assert issues(made) == [("nodes[0].foreach", "a")]


def test_an_expression_may_name_an_earlier_step():
    made = flow(node("b", "give", {"value": "{{ steps.a.x }}"}), "a", edges=["a b"])
    assert order(made) == ["a", "b"]


# Settings


@for_each(
    "key, wrong",
    [
        ("timezone", "Mars/Olympus"),
        ("timezone", ""),
        ("timezone", "../../etc/passwd"),
        ("timezone", "/etc/localtime"),
        ("timezone", "Europe"),
        ("timezone", "a\0b"),
        ("timezone", None),
        ("timezone", 2),
        ("timeout", 0),
        ("timeout", "600"),
        ("timeout", True),
        ("timeout", 3_000_000),
        ("description", 5),
        ("description", "x" * 2_001),
        ("template", ["a"]),
        ("max_concurrent_runs", -1),
        ("max_concurrent_runs", 1.0),
        ("max_concurrent_runs", True),
        ("parallel", 0),
        ("parallel", 17),
        ("parallel", 2.0),
        ("parallel", True),
        ("parallel", None),
        ("overlap", "drop"),
        ("overlap", []),
        ("error_workflow_id", 5),
        ("error_workflow_id", "x" * 65),
        ("vars", []),
        ("vars", None),
        ("colour", "red"),
    ],
)
def test_a_wrong_setting_of_the_flow_is_found_at_its_key(key, wrong):
    assert issues(flow("a", **{key: wrong})) == [(f"settings.{key}", None)]


@pytest.mark.parametrize("wrong", [[], "x", 0, False])
def test_settings_are_an_object(wrong):
    assert issues({**flow("a"), "settings": wrong}) == [("settings", None)]


def test_settings_are_kept():
    settings = {
        "timezone": "Europe/Paris",
        "timeout": 2.5,
        "max_concurrent_runs": 3,
        "overlap": "skip",
        "parallel": 16,
        "error_workflow_id": "wf_1",
        "vars": {"a": 1},
    }
    assert plan(flow("a", **settings)).settings == definition.FlowSettings(**settings)


def test_a_description_and_a_template_are_for_people_only():
    described = flow("a", description="x" * 2_000, template="daily-report", timeout=3)
    assert plan(described).settings == plan(flow("a", timeout=3)).settings


def test_settings_have_defaults():
    assert plan({**flow("a"), "settings": None}).settings == definition.FlowSettings()
    assert plan(flow("a")).settings.timezone == ""


# Outlines for an editor


def outline(**node):
    return outline_nodes({"nodes": [{"id": "it", **node}]}, 10)["it"]


@pytest.mark.parametrize(
    ("node", "branches", "unnamed"),
    [
        ({"type": "noop"}, [], True),
        ({"type": "noop", "on_error": "branch"}, ["error"], True),
        ({"type": "if"}, ["true", "false"], False),
        ({"type": "if", "on_error": "branch"}, ["true", "false", "error"], False),
        ({"type": "switch", "config": {"cases": ["a", "b"]}}, ["a", "b", "default"], False),
        ({"type": "switch", "config": {"cases": "{{ x"}}, ["default"], False),
        pytest.param(
            {"type": "classify", "config": {"labels": ["bug", {"name": "idea"}]}},
            ["bug", "idea"],
            False,
            marks=pytest.mark.pack("agents"),
        ),
        ({"type": "approval", "disabled": True}, ["approved", "rejected", "timeout"], False),
    ],
)
def test_an_outline_has_the_branches_of_the_config(node, branches, unnamed):
    found = outline(**node)
    assert (found.branches, found.unnamed) == (branches, unnamed)


def test_an_outline_marks_triggers_and_waits():
    assert outline(type="webhook").trigger and not outline(type="noop").trigger
    assert outline(type="approval").waits and not outline(type="noop").waits


@pytest.mark.parametrize(
    "definition",
    [
        None,
        1,
        [],
        {},
        {"nodes": 1},
        {"nodes": [None, 1, {}, {"id": 1, "type": "noop"}, {"id": "a"}, {"id": "b", "type": 1}]},
    ],
)
def test_malformed_definitions_have_no_outlines(definition):
    assert outline_nodes(definition, 10) == {}


def test_an_invalid_definition_has_outlines_of_its_valid_nodes():
    made = {"nodes": [{"id": "a", "type": "if"}, {"id": "b", "type": "nothing"}, {"id": "a", "type": "noop"}, 7]}
    assert list(outline_nodes(made | {"edges": [["a", "z"]]}, 10)) == ["a"]
    assert outline_nodes(made, 10)["a"].branches == ["true", "false"]
    assert outline_nodes(made, 0) == {}


# Settings of loops, repeats and rate limits: accepted values, and the path of each issue


def loop_issues(made):
    return [(issue.path, issue.node_id) for issue in check(made)[1]]


def test_a_node_that_routes_items_does_not_continue_after_errors():
    made = flow(node("a", "if", {"condition": True}, foreach="{{ input }}", on_error="continue"))
    assert loop_issues(made) == [("nodes[0].on_error", "a")]


def test_a_node_that_asks_by_a_form_has_no_loop():
    config = {"message": "?", "fields": [{"name": "a", "kind": "text"}]}
    assert ("nodes[0].foreach", "a") in loop_issues(flow(node("a", "approval", config, foreach=[1])))


@pytest.mark.parametrize(
    ("more", "path"),
    [
        ({"concurrency": 2}, "concurrency"),
        ({"foreach": [1], "concurrency": 0}, "concurrency"),
        ({"foreach": [1], "concurrency": 101}, "concurrency"),
        ({"foreach": [1], "concurrency": 1.5}, "concurrency"),
        ({"delay": 1}, "delay"),
        ({"foreach": [1], "delay": -1}, "delay"),
        ({"repeat": 3}, "repeat"),
        ({"repeat": {}}, "repeat.until"),
        ({"repeat": {"until": "done"}}, "repeat.until"),
        ({"repeat": {"until": "{{ output"}}, "repeat.until"),
        ({"repeat": {"until": "{{ steps.z }}"}}, "repeat.until"),
        ({"repeat": {"until": "{{ output }}", "every": -1}}, "repeat.every"),
        ({"repeat": {"until": "{{ output }}", "at_most": 0}}, "repeat.at_most"),
        ({"repeat": {"until": "{{ output }}", "times": 2}}, "repeat.times"),
        ({"rate": {}}, "rate.calls"),
        ({"rate": {"calls": 0}}, "rate.calls"),
        ({"rate": {"calls": 1, "per": 0}}, "rate.per"),
        ({"rate": {"calls": 1, "key": ""}}, "rate.key"),
        ({"rate": {"calls": 1, "key": 5}}, "rate.key"),
        ({"rate": [1]}, "rate"),
    ],
)
def test_settings_of_loops_repeats_and_rates_are_checked(more, path):
    found = [issue[0] for issue in loop_issues(flow(node("a", **more)))]
    assert f"nodes[0].{path}" in found


@pytest.mark.parametrize("key", ["repeat", "rate"])
def test_a_node_that_waits_with_branches_is_neither_repeated_nor_limited(key):
    more = {"repeat": {"until": "{{ output }}"}, "rate": {"calls": 1}}[key]
    assert loop_issues(flow(node("a", "approval", {"message": "?"}, **{key: more}))) == [(f"nodes[0].{key}", "a")]
