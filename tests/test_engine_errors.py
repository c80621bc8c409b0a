"""Retries, errors and deadlines of the engine."""

# ruff: noqa: F811

import time

import pytest
from test_engine import (
    calls,  # noqa: F401  (fixtures)
    failing,
    statuses,
)
from world import Types, chain, flow, node, run

from errors import NodeError


@pytest.fixture(autouse=True)
def types():
    with Types() as types:
        yield types


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
