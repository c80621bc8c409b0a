"""The semantics of a run, rule by rule."""

# ruff: noqa: F811
import time
from datetime import UTC, datetime

import orjson
import pytest
from world import Types, chain, flow, node, run, value

from engine import Settled
from errors import NodeError
from nodes.base import Branch


@pytest.fixture(autouse=True)
def types():
    with Types() as types:
        yield types


@pytest.fixture
def calls(types):
    """Return the recorded calls of nodes of the type `note`: config, input and context, in order."""
    seen = []

    def note(config, input, ctx):
        seen.append((config, input, ctx))
        return config.get("value", input)

    types.offer("note", note)
    return seen


def failing(types, *results):
    """Register a node type `flaky` that returns these results, or raises them, in turn. Return the unused results."""
    left = list(results)

    def flaky(config, input, ctx):
        result = left.pop(0)
        if isinstance(result, BaseException):
            raise result
        return result

    types.offer("flaky", flaky)
    return left


def statuses(ran):
    return {id_: step.status for id_, step in ran.of.items()}


IF_TRUE = node("if", "if", {"condition": True})


# Roots


def test_the_input_of_a_run_is_the_input_of_its_root():
    ran = run(flow("a"), {"x": 1})
    assert (ran.status, ran.output, ran.error_text) == ("success", {"x": 1}, None)


def test_a_manual_run_starts_every_node_without_an_incoming_edge():
    ran = run(flow(node("hook", "webhook", {"path": "x"}), "a", node("m", "manual")), 5)
    assert statuses(ran) == {"hook": "success", "a": "success", "m": "success"}


def test_a_trigger_that_fired_is_the_only_root():
    made = flow(node("m", "manual"), node("hook", "webhook", {"path": "x"}), "alone", "a", "b", edges=["m a", "hook b"])
    ran = run(made, 5, trigger_node="hook")
    assert statuses(ran) == {"m": "skipped", "hook": "success", "alone": "skipped", "a": "skipped", "b": "success"}
    assert ran.output == 5


def test_every_node_can_read_the_runs_input_as_trigger():
    ran = run(chain(node("a", "give", {"value": 0}), node("b", "give", {"value": "{{ trigger.x }}"})), {"x": [7]})
    assert ran.output == [7]


# Joins, branches and skipping


def test_a_node_gets_the_output_of_its_predecessor(calls):
    run(chain(node("a", "give", {"value": [1]}), node("b", "note")))
    assert calls[0][1] == [1] and calls[0][2].inputs == {"a": [1]}


def test_a_join_gets_an_object_of_its_predecessors_outputs(calls):
    made = flow(
        node("join", "note"),
        node("a", "give", {"value": 1}),
        node("b", "give", {"value": 2}),
        edges=["a join", "b join"],
    )
    assert run(made).output == {"a": 1, "b": 2}
    assert list(calls[0][1]) == ["a", "b"]


def test_a_join_with_one_live_edge_gets_only_that_output():
    made = flow(IF_TRUE, "yes", "no", "join", edges=["if yes true", "if no false", "yes join", "no join"])
    ran = run(made, 9)
    assert ran.output == 9
    assert statuses(ran) == {"if": "success", "yes": "success", "no": "skipped", "join": "success"}
    assert ran.of["join"].inputs == ("yes",)


def test_a_join_with_two_live_edges_ignores_a_dead_one():
    made = flow(
        IF_TRUE, "yes", "no", "other", "join", edges=["if yes true", "if no false", "yes join", "no join", "other join"]
    )
    assert run(made, 9).output == {"yes": 9, "other": 9}


def test_every_node_of_a_branch_that_is_not_taken_is_skipped():
    made = flow(IF_TRUE, "a", "b", "c", "d", edges=["if a false", "a b", "b c", "if d true"])
    ran = run(made, 1)
    assert statuses(ran) == {"if": "success", "a": "skipped", "b": "skipped", "c": "skipped", "d": "success"}
    assert ran.output == 1


def test_a_skipped_step_has_neither_input_nor_output():
    step = run(flow(IF_TRUE, "a", edges=["if a false"])).of["a"]
    assert (step.inputs, step.output, step.same_as, step.error_text, step.branch) == ((), None, None, None, None)


def test_a_step_records_the_branch_that_was_taken():
    assert run(flow(IF_TRUE)).of["if"].branch == "true"


def test_a_node_waits_for_all_its_predecessors(calls):
    made = flow(node("end", "note"), "a", "b", "c", edges=["a end", "a b", "b c", "c end"])
    ran = run(made, 1)
    assert [step.node_id for step in ran.steps] == ["a", "b", "c", "end"]
    assert calls[0][1] == {"a": 1, "c": 1}


def test_an_undeclared_branch_leads_to_no_node(types):
    types.offer("odd", lambda config, input, ctx: Branch("third", 1), branches=("first", "second"))
    ran = run(flow(node("a", "odd"), "b", "c", edges=["a b first", "a c second"]))
    assert statuses(ran) == {"a": "success", "b": "skipped", "c": "skipped"}


# The output of a run


def test_the_output_of_a_run_is_the_output_of_its_only_leaf():
    assert run(chain(node("a", "give", {"value": 1}), node("b", "give", {"value": 2}))).output == 2


def test_the_output_with_several_executed_leaves_is_an_object():
    made = flow(node("a", "give", {"value": 1}), node("b", "give", {"value": 2}), "c", edges=["a c"])
    assert run(made).output == {"b": 2, "c": 1}


def test_a_skipped_leaf_is_not_part_of_the_output():
    made = flow(
        IF_TRUE, node("a", "give", {"value": 1}), node("b", "give", {"value": 2}), edges=["if a true", "if b false"]
    )
    assert run(made).output == 1


def test_if_no_leaf_ran_the_output_is_that_of_the_last_executed_node():
    made = flow(node("a", "give", {"value": 3}), IF_TRUE, "b", edges=["a if", "if b false"])
    assert run(made).output == 3


def test_a_run_that_executes_nothing_has_no_output():
    ran = run(flow(node("m", "manual", disabled=True)), 1)
    assert (ran.status, ran.output) == ("success", None)


def test_the_first_respond_node_sets_the_response():
    made = chain(node("a", "respond", {"status": 201, "body": 1}), node("b", "respond", {"status": 202, "body": 2}))
    assert run(made).response == {"status": 201, "headers": {}, "body": 1}


def test_a_response_is_kept_if_the_run_fails_later():
    ran = run(chain(node("a", "respond", {"body": 1}), node("b", "fail")))
    assert ran.status == "failed" and ran.response["body"] == 1


def test_a_skipped_respond_node_sets_no_response():
    assert run(flow(IF_TRUE, node("a", "respond", {"body": 1}), edges=["if a false"])).response is None


# Foreach


def test_foreach_returns_a_list_of_outputs():
    made = flow(node("a", "give", {"value": "{{ item * 10 + index }}"}, foreach="{{ input.items }}"))
    ran = run(made, {"items": [1, 2, 3]})
    assert ran.output == [10, 21, 32]
    assert value(ran.of["a"]) == [10, 21, 32]


def test_foreach_accepts_a_literal_list():
    assert run(flow(node("a", foreach=["x", 2]))).output == ["x", 2]


def test_foreach_accepts_a_list_with_expressions():
    assert run(flow(node("a", foreach=["{{ input }}", 2])), "x").output == ["x", 2]


def test_foreach_over_an_empty_list_returns_an_empty_list():
    ran = run(flow(node("a", "fail", foreach="{{ input }}")), [])
    assert (ran.status, ran.output) == ("success", [])


def test_in_foreach_the_node_gets_the_item_and_expressions_see_the_whole_input(calls):
    run(flow(node("a", "note", {"value": "{{ input }}"}, foreach="{{ input }}")), [5, 6])
    assert [call[1] for call in calls] == [5, 6]
    assert [call[0]["value"] for call in calls] == [[5, 6], [5, 6]]


@pytest.mark.parametrize("wrong", [None, 3, "abc", {"a": 1}])
def test_foreach_over_a_value_that_is_not_a_list_fails(wrong):
    ran = run(flow(node("a", foreach="{{ input }}")), wrong)
    assert (ran.status, ran.error_node_id) == ("failed", "a")
    assert "no list" in ran.error_text


def test_an_error_in_the_foreach_expression_names_foreach():
    ran = run(flow(node("a", foreach="{{ input.nothing }}")), {})
    assert ran.error_text.startswith("foreach: ")


def test_foreach_has_a_maximum_number_of_items():
    assert run(flow(node("a", foreach="{{ input }}")), [1, 2], max_items=2).status == "success"
    ran = run(flow(node("a", foreach="{{ input }}")), [1, 2, 3], max_items=2)
    assert ran.status == "failed" and "3 items" in ran.error_text


def test_foreach_stops_at_the_first_failed_item_and_names_its_index(types):
    left = failing(types, "ok", NodeError("bad", permanent=True), "never")
    ran = run(flow(node("a", "flaky", foreach=[1, 2, 3])))
    assert (ran.status, ran.error_text) == ("failed", "item 1: bad")
    assert left == ["never"]


def test_with_continue_foreach_replaces_a_failed_item_by_its_error(types):
    failing(types, "x", NodeError("bad"), "z")
    ran = run(flow(node("a", "flaky", foreach=[1, 2, 3], on_error="continue")))
    assert ran.output == ["x", {"error": "bad", "index": 1}, "z"]
    assert ran.of["a"].status == "success"


def test_foreach_takes_the_error_branch_if_an_item_fails(types):
    failing(types, "x", NodeError("bad"))
    made = flow(node("a", "flaky", foreach=[1, 2, 3], on_error="branch"), "ok", "bad", edges=["a ok", "a bad error"])
    ran = run(made)
    assert ran.output == {"error": "item 1: bad"}
    assert statuses(ran) == {"a": "failed", "ok": "skipped", "bad": "success"}


@pytest.mark.parametrize("mode", ["continue", "branch"])
def test_on_error_applies_to_foreach_over_a_value_that_is_not_a_list(mode):
    ran = run(flow(node("a", foreach="{{ input }}", on_error=mode)), 3)
    assert ran.status == "success" and "no list" in ran.output["error"]


def test_items_are_recorded_as_steps_only_for_a_node_with_effects():
    pure = run(flow(node("a", foreach=[1, 2])))
    assert [step.item_index for step in pure.steps] == [None]
    impure = run(flow(node("a", "act", foreach=[1, 2])))
    assert [(step.item_index, step.status) for step in impure.steps] == [
        (0, "running"),
        (0, "success"),
        (1, "running"),
        (1, "success"),
        (None, "success"),
    ]
    assert [step.item for step in impure.steps] == [b"1", b"1", b"2", b"2", None]


def test_each_item_has_an_idempotency_key_of_its_own(types):
    run(flow(node("a", "act", foreach=["x", "y"])))
    assert types.effects == ["run_1:a:0", "run_1:a:1"]


def test_each_item_has_its_own_attempts(types):
    failing(types, NodeError("1"), "a", NodeError("2"), NodeError("3"), "b")
    ran = run(flow(node("a", "flaky", foreach=[1, 2], retry={"attempts": 3})))
    assert ran.output == ["a", "b"]


def test_a_cancelled_run_stops_between_two_items(types):
    reasons = iter([None, None, "enough"])
    ran = run(flow(node("a", "act", foreach=[1, 2, 3])), stop=lambda: next(reasons))
    assert (ran.status, ran.error_text) == ("failed", "enough")
    assert len(types.effects) == 1


# Values


@pytest.mark.parametrize("odd", [{1, 2}, object(), b"x", {1: 2}, datetime.now(UTC), 2**64, "\ud800", 1j])
def test_an_output_that_is_not_json_fails_the_node(types, odd):
    types.offer("odd", lambda config, input, ctx: odd)
    ran = run(flow(node("a", "odd", retry={"attempts": 3})))
    assert ran.status == "failed" and "not JSON" in ran.error_text
    assert len(ran.steps) == 1


def test_an_output_that_is_too_large_fails_the_node():
    made = flow(node("a", "give", {"value": "x" * 98}))
    assert run(made, max_value_bytes=100).status == "success"
    assert "the limit is 99" in run(made, max_value_bytes=99).error_text


def test_an_output_that_is_nested_too_deeply_fails_the_node(types):
    def deep(config, input, ctx):
        made = []
        for _ in range(100_000):
            made = [made]
        return made

    types.offer("deep", deep)
    assert "not JSON" in run(flow(node("a", "deep"))).error_text


def test_an_output_that_contains_itself_fails_the_node(types):
    def loop(config, input, ctx):
        made = {}
        made["me"] = made
        return made

    types.offer("loop", loop)
    assert "not JSON" in run(flow(node("a", "loop"))).error_text


def test_on_error_applies_to_an_invalid_output(types):
    types.offer("odd", lambda config, input, ctx: object())
    ran = run(flow(node("a", "odd", on_error="continue")))
    assert ran.status == "success" and "not JSON" in ran.output["error"]


def test_an_item_that_is_too_large_fails_the_node():
    ran = run(flow(node("a", foreach="{{ input }}")), ["x" * 200], max_value_bytes=100)
    assert ran.status == "failed" and ran.error_node_id == "a"


def test_a_disabled_join_fails_if_its_joined_input_is_too_large():
    big = {"value": "x" * 80}
    made = flow(node("a", "give", big), node("b", "give", big), node("join", disabled=True), edges=["a join", "b join"])
    ran = run(made, max_value_bytes=100)
    assert (ran.status, ran.error_node_id) == ("failed", "join")


def test_an_output_that_is_the_input_is_recorded_as_a_reference(types):
    ran = run(chain(node("a", "give", {"value": [1]}), "b", node("c", "if", {"condition": True})))
    assert (ran.of["b"].output, ran.of["b"].same_as) == (None, "a")
    assert (ran.of["c"].output, ran.of["c"].same_as) == (None, "a")
    assert ran.output == [1]


def test_an_output_that_only_equals_the_input_is_recorded_in_full(types):
    types.offer("copy", lambda config, input, ctx: list(input))
    ran = run(chain(node("a", "give", {"value": [1]}), node("b", "copy")))
    assert (value(ran.of["b"]), ran.of["b"].same_as) == ([1], None)


def test_the_input_of_the_run_is_recorded_in_full_by_the_root():
    ran = run(flow("a"), [1])
    assert (value(ran.of["a"]), ran.of["a"].same_as) == ([1], None)


# Expressions


def test_an_expression_in_the_input_is_never_evaluated():
    evil = "{{ secrets }}{{ 7 * 7 }}"
    made = chain(node("a", "give", {"value": "{{ input.x }}"}), node("b", "set", {"values": {"y": "{{ input }}"}}))
    assert run(made, {"x": evil}).output == {"y": evil}


def test_an_expression_in_a_foreach_item_is_never_evaluated():
    ran = run(flow(node("a", "give", {"value": "{{ item }}"}, foreach="{{ input }}")), ["{{ 1 + 1 }}"])
    assert ran.output == ["{{ 1 + 1 }}"]


def test_expressions_see_steps_vars_run_and_workflow():
    made = chain(
        node("a", "give", {"value": {"n": 2}}),
        node("b", "give", {"value": "{{ [steps.a.n, vars.rate, run.id, workflow.name, input.n] }}"}),
        vars={"rate": 0.5},
    )
    ran = run(made, scope={"workflow": {"name": "Mine"}})
    assert ran.output == [2, 0.5, "run_1", "Mine", 2]


def test_expressions_cannot_read_a_skipped_step():
    made = flow(IF_TRUE, "no", node("end", "give", {"value": "{{ steps.no }}"}), edges=["if no false", "if end true"])
    assert "no" in run(made, 1).error_text


def test_a_string_that_is_a_single_expression_keeps_the_type_of_its_value():
    made = flow(node("a", "give", {"value": ["{{ input }}", "n = {{ input }}", "plain"]}))
    assert run(made, 3).output == [3, "n = 3", "plain"]


def test_the_config_of_a_plan_is_not_changed_by_its_runs():
    made = flow(node("a", "set", {"values": {"x": "{{ input }}"}}))
    assert [run(made, number).output for number in (1, 2)] == [{"x": 1}, {"x": 2}]


# Disabled nodes


def test_a_disabled_node_passes_its_input_on():
    ran = run(chain(node("a", "give", {"value": 1}), node("b", "fail", disabled=True), "c"))
    assert (ran.status, ran.output) == ("success", 1)
    assert (ran.of["b"].status, ran.of["b"].same_as) == ("skipped", "a")


def test_a_disabled_root_passes_on_the_input_of_the_run():
    ran = run(chain(node("a", "fail", disabled=True), "b"), 5)
    assert ran.output == 5 and value(ran.of["a"]) == 5


def test_a_disabled_join_passes_on_an_object():
    made = flow(
        node("a", "give", {"value": 1}), node("b", "give", {"value": 2}), node("j", disabled=True), edges=["a j", "b j"]
    )
    assert run(made).output == {"a": 1, "b": 2}


def test_a_disabled_node_with_branches_is_skipped_with_its_successors():
    made = flow(node("if", "if", {"condition": True}, disabled=True), "a", "b", edges=["if a true", "if b false"])
    assert statuses(run(made)) == {"if": "skipped", "a": "skipped", "b": "skipped"}


def test_a_disabled_trigger_is_skipped_with_its_successors():
    made = flow(node("m", "manual", disabled=True), "a", edges=["m a"])
    assert statuses(run(made, 1)) == {"m": "skipped", "a": "skipped"}


def test_a_disabled_node_on_a_dead_branch_does_not_run_its_successors():
    made = flow(IF_TRUE, node("a", disabled=True), "b", edges=["if a false", "a b"])
    assert statuses(run(made)) == {"if": "success", "a": "skipped", "b": "skipped"}


def test_the_expressions_of_a_disabled_node_are_not_evaluated():
    ran = run(flow(node("a", "give", {"value": "{{ input.x.y.z }}"}, disabled=True)), 1)
    assert ran.output == 1


def test_a_disabled_node_never_takes_its_error_branch():
    made = flow(node("a", disabled=True, on_error="branch"), "ok", "bad", edges=["a ok", "a bad error"])
    assert statuses(run(made, 1)) == {"a": "skipped", "ok": "success", "bad": "skipped"}


# Stopping


def test_a_stopped_run_ends_before_its_next_node(types):
    reasons = iter([None, "cancelled by ann"])
    ran = run(chain(node("a", "act"), node("b", "act", on_error="continue")), stop=lambda: next(reasons))
    assert (ran.status, ran.error_text, ran.error_node_id) == ("failed", "cancelled by ann", None)
    assert types.effects == ["run_1:a:0"]


def test_a_run_has_a_maximum_number_of_steps():
    made = chain("a", "b", "c")
    assert run(made, max_steps=3).status == "success"
    ran = run(made, max_steps=2)
    assert ran.status == "failed" and "bound of 2 steps" in ran.error_text


def test_items_and_attempts_count_as_steps():
    assert run(flow(node("a", foreach=[1, 2])), max_steps=3).status == "success"
    assert "bound of 2" in run(flow(node("a", foreach=[1, 2])), max_steps=2).error_text
    assert "bound of 2" in run(flow(node("a", "fail", retry={"attempts": 3})), max_steps=2).error_text


# The record


def test_steps_are_numbered_in_the_order_of_the_plan():
    ran = run(flow("c", "a", "b", edges=["a c", "b c"]), first_seq=10)
    assert [(step.seq, step.node_id) for step in ran.steps] == [(10, "a"), (11, "b"), (12, "c")]


def test_a_node_with_effects_is_recorded_as_running_before_it_starts(types):
    seen = []
    types.offer("look", lambda config, input, ctx: [step.status for step in seen], pure=False)
    ran = run(chain("a", node("b", "look")), on_step=seen.append)
    assert ran.output == ["success", "running"]
    assert [(step.seq, step.status) for step in seen] == [(0, "success"), (1, "running"), (1, "success")]


def test_a_pure_node_is_not_recorded_as_running():
    assert [step.status for step in run(flow("a")).steps] == ["success"]


def test_a_step_has_names_times_and_the_sources_of_its_input():
    ran = run(flow(node("a", name="First"), "b", "c", edges=["a c", "b c"]))
    step = ran.of["c"]
    assert step.inputs == ("a", "b") and ran.of["a"].inputs == ()
    assert (ran.of["a"].node_name, ran.of["a"].node_type) == ("First", "noop")
    assert abs(step.started_at - time.time() * 1000) < 60_000
    assert step.finished_at >= step.started_at and 0 <= step.duration_ms < 60_000


def test_a_running_step_has_no_end():
    step = run(flow(node("a", "act"))).steps[0]
    assert (step.status, step.finished_at, step.duration_ms, step.output) == ("running", None, None, None)


def test_a_log_line_goes_to_the_log_of_the_run_with_the_nodes_id():
    lines = []
    run(
        flow(node("a", "log", {"message": "n = {{ input }}", "level": "warning"})),
        3,
        log=lambda *line: lines.append(line),
    )
    assert lines == [("a", "warning", "n = 3", None)]


# Continuing an interrupted run


def test_a_settled_node_is_not_executed_again(types):
    made = chain(node("a", "act", {"value": 1}), node("b", "act"))
    ran = run(made, settled={("a", None): Settled([5])})
    assert (ran.output, types.effects) == ([5], ["run_1:b:0"])
    assert set(ran.of) == {"b"}


def test_a_settled_branch_is_taken_again():
    made = flow(IF_TRUE, "yes", "no", edges=["if yes true", "if no false"])
    ran = run(made, 1, settled={("if", None): Settled(7, "false")})
    assert statuses(ran) == {"yes": "skipped", "no": "success"} and ran.output == 7


def test_a_settled_skip_stays_a_skip():
    ran = run(chain("a", "b"), 1, settled={("a", None): Settled(None, None, True)})
    assert statuses(ran) == {"b": "skipped"}


def test_expressions_can_read_settled_outputs():
    made = chain("a", node("b", "give", {"value": "{{ steps.a.x }}"}))
    assert run(made, settled={("a", None): Settled({"x": 4})}).output == 4


def test_settled_items_are_not_executed_again(types):
    made = flow(node("a", "act", foreach=["x", "y", "z"]))
    ran = run(made, settled={("a", 0): Settled("was x"), ("a", 1): Settled({"error": "no", "index": 1})})
    assert ran.output == ["was x", {"error": "no", "index": 1}, "z"]
    assert types.effects == ["run_1:a:2"]


def test_a_completely_settled_run_only_returns_its_output():
    ran = run(chain("a", "b"), settled={("a", None): Settled(1), ("b", None): Settled(2)})
    assert (ran.status, ran.output, ran.steps) == ("success", 2, [])


# Size


@pytest.mark.slow
def test_a_chain_of_ten_thousand_nodes_runs():
    ran = run(chain(*[f"n{number}" for number in range(10_000)]), {"a": 1})
    assert ran.output == {"a": 1} and len(ran.steps) == 10_000


def test_the_output_of_a_run_can_be_written_as_json():
    ran = run(flow("a", "b"), {"x": [1, None, "é"]})
    assert orjson.loads(orjson.dumps(ran.output)) == {"a": {"x": [1, None, "é"]}, "b": {"x": [1, None, "é"]}}


def test_an_output_made_from_all_steps_does_not_contain_itself():
    given = {"all": "{{ steps }}"}
    ran = run(
        chain(node("a", "give", {"value": 1}), node("b", "set", {"values": given}), node("c", "set", {"values": given}))
    )
    assert ran.output == {"all": {"a": 1, "b": {"all": {"a": 1}}}}


# Retries, errors and deadlines of the engine


# Retry


def test_a_node_is_tried_up_to_its_number_of_attempts(types):
    failing(types, NodeError("1"), NodeError("2"), "done")
    ran = run(flow(node("a", "flaky", retry={"attempts": 3})))
    assert ran.output == "done"
    assert [(step.attempt, step.status, step.error_text) for step in ran.steps] == [
        (1, "failed", "1"),
        (2, "failed", "2"),
        (3, "success", None),
    ]


def test_the_error_of_the_last_attempt_is_reported(types):
    left = failing(types, NodeError("1"), NodeError("2"), "never")
    ran = run(flow(node("a", "flaky", retry={"attempts": 2})))
    assert (ran.status, ran.error_text, left) == ("failed", "2", ["never"])


@pytest.mark.parametrize(("tried", "left"), [(0, 2), (1, 1), (2, 0), (5, 0)])
def test_a_node_can_read_its_number_of_remaining_retries(calls, tried, left):
    """An attempt that was cut off counts; the number left is never negative."""
    run(flow(node("a", "note", retry={"attempts": 3, "delay": 0})), tried={("a", None): tried})
    assert calls[0][2].retries == left


def test_without_retry_a_node_is_tried_once(types):
    left = failing(types, NodeError("1"), "never")
    assert run(flow(node("a", "flaky"))).status == "failed" and left == ["never"]


def test_a_permanent_error_is_not_tried_again(types):
    left = failing(types, NodeError("1", permanent=True), "never")
    slept = []
    ran = run(flow(node("a", "flaky", retry={"attempts": 5})), sleep=slept.append)
    assert (ran.status, left, slept) == ("failed", ["never"], [])


def test_any_other_exception_is_tried_again(types):
    failing(types, ZeroDivisionError("x"), "done")
    assert run(flow(node("a", "flaky", retry={"attempts": 2}))).output == "done"


def test_pauses_grow_by_the_backoff_with_jitter_of_half(types):
    for _ in range(20):
        failing(types, *[NodeError("no")] * 4, "done")
        slept = []
        run(flow(node("a", "flaky", retry={"attempts": 5, "delay": 2, "backoff": 3})), sleep=slept.append)
        types.__exit__()
        assert len(slept) == 4
        for pause, most in zip(slept, [2, 6, 18, 54], strict=True):
            assert most / 2 <= pause <= most


def test_pauses_have_random_jitter(types):
    slept = []
    failing(types, *[NodeError("no")] * 20)
    run(flow(node("a", "flaky", retry={"attempts": 20, "delay": 1, "backoff": 1})), sleep=slept.append)
    assert len(set(slept)) > 10


def test_a_pause_is_limited_to_an_hour_and_to_the_timeout_of_the_run(types):
    slept = []
    failing(types, *[NodeError("no")] * 20)
    made = flow(node("a", "flaky", retry={"attempts": 20, "delay": 3600, "backoff": 10}))
    run(made, sleep=slept.append, timeout=10**9)
    assert max(slept) <= 3600
    slept.clear()
    failing_again = flow(node("a", "fail", retry={"attempts": 3, "delay": 3600}))
    run(failing_again, sleep=slept.append, timeout=5)
    assert max(slept) <= 5


@pytest.mark.parametrize(("asked", "pause"), [(90, 90), (0.1, 1)])
def test_a_pause_is_at_least_as_long_as_retry_after(types, asked, pause):
    slept = []
    failing(types, NodeError("1", retry_after=asked), "done")
    ran = run(flow(node("a", "flaky", retry={"attempts": 2, "delay": 1})), sleep=slept.append)
    assert ran.output == "done" and slept[0] == pytest.approx(pause, rel=0.5)


def test_a_retry_after_beyond_the_runs_timeout_is_not_waited_for(types):
    slept = []
    left = failing(types, NodeError("come back tomorrow", retry_after=86_400), "never")
    ran = run(flow(node("a", "flaky", retry={"attempts": 5})), sleep=slept.append, timeout=60)
    assert (ran.status, ran.error_text, slept, left) == ("failed", "come back tomorrow", [], ["never"])


def test_a_node_can_pause(types):
    slept = []
    types.offer("nap", lambda config, input, ctx: ctx.pause(5) or "rested")
    assert run(flow(node("a", "nap")), sleep=slept.append).output == "rested"
    assert slept == [5]


def test_a_cancellation_ends_a_pausing_node(types):
    reasons, after = [], []
    types.offer("nap", lambda config, input, ctx: (ctx.pause(5), after.append(1)))
    ran = run(
        chain(node("a", "nap", retry={"attempts": 3}), "b"),
        sleep=lambda seconds: reasons.append("cancelled by me"),
        stop=lambda: reasons[0] if reasons else None,
    )
    assert (ran.status, ran.error_text, after) == ("failed", "cancelled by me", [])
    assert [(step.node_id, step.status) for step in ran.steps] == [("a", "failed")]


def test_a_cancellation_between_two_attempts_ends_the_run(types):
    left = failing(types, NodeError("1"), "never")
    reasons = []
    ran = run(
        flow(node("a", "flaky", retry={"attempts": 2}, on_error="continue")),
        sleep=lambda seconds: reasons.append("cancelled by me"),
        stop=lambda: reasons[0] if reasons else None,
    )
    assert (ran.status, ran.error_text, left) == ("failed", "cancelled by me", ["never"])


def test_every_attempt_has_the_same_idempotency_key(types):
    keys = []

    def flaky(config, input, ctx):
        keys.append(ctx.idempotency_key)
        raise NodeError("no")

    types.offer("flaky", flaky, pure=False)
    run(flow(node("a", "flaky", retry={"attempts": 3})))
    assert keys == ["run_1:a:0"] * 3


# Errors


def test_a_failed_node_ends_the_run():
    ran = run(chain(node("a", "fail", {"value": "no luck"}), "b"))
    assert (ran.status, ran.output, ran.error_text, ran.error_node_id) == ("failed", None, "no luck", "a")
    assert statuses(ran) == {"a": "failed"}


def test_on_error_continue_passes_the_error_to_the_next_node():
    ran = run(chain(node("a", "fail", {"value": "no luck"}, on_error="continue"), "b"))
    assert (ran.status, ran.output) == ("success", {"error": "no luck"})
    assert (ran.of["a"].status, ran.of["a"].error_text) == ("failed", "no luck")


def test_on_error_branch_takes_the_error_branch():
    made = flow(node("a", "fail", {"value": "no luck"}, on_error="branch"), "ok", "bad", edges=["a ok", "a bad error"])
    ran = run(made)
    assert ran.output == {"error": "no luck"}
    assert statuses(ran) == {"a": "failed", "ok": "skipped", "bad": "success"}
    assert ran.of["a"].branch == "error"


def test_with_on_error_branch_a_success_takes_the_unnamed_branch():
    made = flow(node("a", "give", {"value": 1}, on_error="branch"), "ok", "bad", edges=["a ok", "a bad error"])
    assert statuses(run(made)) == {"a": "success", "ok": "success", "bad": "skipped"}


def test_on_error_continue_takes_no_named_branch():
    made = flow(node("a", "if", {"condition": "{{ input.x }}"}, on_error="continue"), "b", edges=["a b true"])
    assert statuses(run(made, {})) == {"a": "failed", "b": "skipped"}


def test_an_unexpected_exception_is_reported_with_its_class(types):
    failing(types, KeyError("x"))
    assert run(flow(node("a", "flaky"))).error_text == "KeyError: 'x'"


def test_an_endless_recursion_fails_the_node(types):
    def deeper(config, input, ctx):
        return deeper(config, input, ctx)

    types.offer("deep", deeper)
    assert run(flow(node("a", "deep"))).error_text.startswith("RecursionError")


def test_an_error_text_has_a_maximum_length(types):
    failing(types, NodeError("x" * 100_000))
    assert len(run(flow(node("a", "flaky"))).error_text) < 2_100


def test_an_error_text_with_a_lone_surrogate_is_recorded(types):
    failing(types, NodeError("odd \ud800 text"))
    ran = run(flow(node("a", "flaky", on_error="continue")))
    assert ran.status == "success" and "odd" in ran.output["error"]
    ran.of["a"].error_text.encode()


def test_an_error_while_recording_a_step_is_raised():
    def broken(step):
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        run(flow(node("a", on_error="continue")), on_step=broken)


def test_an_invalid_evaluated_config_names_its_key():
    ran = run(flow(node("a", "respond", {"status": "{{ input }}"})), 999)
    assert ran.error_text.startswith("config.status: ")
    ran = run(flow(node("a", "give", {"value": "{{ input.x.y }}"})), {})
    assert ran.error_text.startswith("config.value: ")


def test_an_invalid_evaluated_config_is_not_tried_again():
    ran = run(flow(node("a", "respond", {"status": "{{ input }}"}, retry={"attempts": 4})), 999)
    assert len(ran.steps) == 1


# Time


def test_a_timeout_sets_the_deadline_of_the_node(calls):
    run(flow(node("a", "note", timeout=7), node("b", "note")), timeout=100)
    assert 6 < calls[0][2].deadline - time.monotonic() <= 7
    assert 99 < calls[1][2].deadline - time.monotonic() <= 100


def test_a_nodes_timeout_cannot_exceed_the_timeout_of_the_run(calls):
    run(flow(node("a", "note", timeout=70)), timeout=10)
    assert calls[0][2].deadline - time.monotonic() <= 10


def test_the_shorter_timeout_of_flow_and_server_applies(calls):
    run(flow(node("a", "note"), timeout=5), timeout=10)
    run(flow(node("a", "note"), timeout=500), timeout=100)
    assert 4 < calls[0][2].deadline - time.monotonic() <= 5
    assert 99 < calls[1][2].deadline - time.monotonic() <= 100


def fail_at_the_deadline(config, input, ctx):
    """Wait until the deadline, then fail like the HTTP client of a node does."""
    while time.monotonic() < ctx.deadline:
        pass
    raise NodeError("GET example.com:443/: no complete answer within 0.02 s")


@pytest.mark.parametrize(
    ("times", "words"),
    [
        ({"flow": 0.02}, "the flow's timeout (settings.timeout) of 0.02 s ended it: GET example.com"),
        ({"node": 0.02}, "the node's timeout of 0.02 s ended it: GET example.com"),
        ({"server": 0.02}, "the longest time of a run (HEADRACE_RUN_TIMEOUT) of 0.02 s ended it: GET example.com"),
    ],
)
def test_a_failure_at_the_deadline_names_the_timeout(types, times, words):
    types.offer("waits", fail_at_the_deadline)
    node_times = {"timeout": times["node"]} if "node" in times else {}
    made = flow(node("a", "waits", **node_times), **({"timeout": times["flow"]} if "flow" in times else {}))
    assert run(made, timeout=times.get("server", 60)).error_text.startswith(words)


def test_a_failure_before_the_deadline_keeps_its_message(types):
    def fail(config, input, ctx):
        raise NodeError("no complete answer within 1 s")

    types.offer("waits", fail)
    assert run(flow(node("a", "waits", timeout=50))).error_text == "no complete answer within 1 s"


def past(config, input, ctx):
    """Work until a little after the deadline."""
    while time.monotonic() <= ctx.deadline:
        pass
    return "late"


def test_a_pure_node_that_ends_after_its_deadline_fails_and_is_retried(types):
    types.offer("late", past)
    ran = run(flow(node("a", "late", timeout=0.001, retry={"attempts": 2})))
    assert ran.status == "failed" and "timeout of 0.001 s" in ran.error_text
    assert [step.attempt for step in ran.steps] == [1, 2]


def test_a_late_result_of_a_node_with_effects_is_kept(types):
    types.offer("late", past, pure=False)
    assert run(flow(node("a", "late", timeout=0.001))).output == "late"


def test_a_run_past_its_timeout_fails_before_its_next_node(types):
    types.offer("late", past)
    ran = run(chain(node("a", "late"), node("b", "act", on_error="continue")), timeout=0.01)
    assert (ran.status, ran.error_node_id) == ("failed", "b")
    assert "timeout of 0.01 s" in ran.error_text and not types.effects


def test_a_node_is_not_retried_after_the_runs_timeout(types):
    types.offer("late", past)
    ran = run(flow(node("a", "late", timeout=0.02, retry={"attempts": 20}, on_error="continue")), timeout=0.01)
    assert ran.status == "failed" and "the run exceeded" in ran.error_text


# Error kinds


def broken(config, input, ctx):
    raise KeyError("absent")


def slow(config, input, ctx):
    while time.monotonic() < ctx.deadline:
        pass


@pytest.mark.parametrize(
    ("settings", "job", "kind"),
    [
        ({"type": "broken"}, {}, "bug"),
        ({"type": "large"}, {"max_value_bytes": 100}, "limit"),
        ({"foreach": "{{ [1, 2, 3] }}"}, {"max_items": 2}, "limit"),
        ({"type": "large", "foreach": "{{ [1, 2, 3] }}"}, {"max_value_bytes": 500}, "limit"),
        ({"foreach": "{{ input }}"}, {}, "config"),
        ({"type": "slow", "timeout": 0.01}, {}, "timeout"),
        ({"type": "slow"}, {"timeout": 0.01}, "timeout"),
        ({"type": "act"}, {"max_steps": 1}, "limit"),
        ({}, {"stop": lambda: "cancelled by ada@example.org"}, "cancelled"),
    ],
)
def test_a_failure_has_an_error_kind(types, settings, job, kind):
    types.offer("broken", broken)
    types.offer("slow", slow)
    types.offer("large", lambda config, input, ctx: "x" * 200)
    ran = run(chain(node("first"), {**node("a"), **settings}, node("b")), **job)
    assert (ran.status, ran.error_kind) == ("failed", kind), ran.error_text
