import time
from datetime import UTC, datetime, timedelta

import pytest

from definition import check
from errors import NodeError
from nodes import REGISTRY
from nodes.base import Answer, Branch, Suspend
from registry import registry

YEAR = 366 * 86_400


def issues(type_, config):
    """Return the issues of a flow of one such node: `{path: message}`."""
    made = {"nodes": [{"id": "a", "type": type_, "config": config}], "edges": []}
    return {issue.path: issue.message for issue in check(made)[1]}


def iso(**later):
    return (datetime.now(UTC) + timedelta(**later)).isoformat()


def resume(type_, answer, config=None, input="in"):
    node = REGISTRY[type_]
    return node.resume(config or {}, input, answer)


# wait


@pytest.mark.parametrize(
    "config",
    [
        {"seconds": 0},
        {"seconds": 0.5},
        {"seconds": YEAR},
        {"seconds": "{{ input.n }}"},
        {"until": "2030-01-01T08:30:00Z"},
        {"until": "2030-01-01"},
        {"until": "2030-01-01T08:30:00+05:30"},
        {"until": "{{ now + timedelta(hours=2) }}"},
    ],
)
def test_wait_accepts_seconds_or_a_time(config):
    assert issues("wait", config) == {}


@pytest.mark.parametrize(
    "config",
    [
        {},
        {"seconds": 1, "until": "2030-01-01"},
        {"seconds": "{{ 1 }}", "until": "2030-01-01"},
        {"seconds": 1, "until": "{{ now }}"},
        {"seconds": "{{ 1 }}", "until": "{{ now }}"},
    ],
)
def test_wait_requires_exactly_one_of_them(config):
    assert list(issues("wait", config).values()) == ["set a duration (seconds) or a time (until), not both"]


@pytest.mark.parametrize(
    ("config", "path"),
    [
        ({"seconds": -1}, "nodes[0].config.seconds"),
        ({"seconds": YEAR + 1}, "nodes[0].config.seconds"),
        ({"seconds": "soon"}, "nodes[0].config.seconds"),
        ({"seconds": True}, "nodes[0].config.seconds"),
        ({"seconds": None}, "nodes[0].config.seconds"),
        ({"until": "tomorrow"}, "nodes[0].config.until"),
        ({"until": 5}, "nodes[0].config.until"),
        ({"until": None}, "nodes[0].config.until"),
        ({"until": "2030-13-01"}, "nodes[0].config.until"),
        ({"seconds": 1, "minutes": 2}, "nodes[0].config.minutes"),
    ],
)
def test_wait_refuses_invalid_seconds_and_times(config, path):
    assert path in issues("wait", config)


def test_wait_suspends_for_the_given_seconds(run):
    before = time.time() * 1000
    found = run("wait", {"seconds": 60})
    assert before + 59_000 < found.until < before + 62_000 and found.run_id is None
    assert found.reason == f"until {datetime.fromtimestamp(found.until // 1000, UTC):%Y-%m-%d %H:%M:%S} UTC"


def test_wait_suspends_until_a_time_which_is_utc_by_default(run):
    soon = datetime.now(UTC).replace(microsecond=0) + timedelta(hours=1)
    at = int(soon.timestamp() * 1000)
    assert run("wait", {"until": soon.isoformat()}).until == at
    assert run("wait", {"until": soon.replace(tzinfo=None).isoformat()}).until == at
    elsewhere = soon.astimezone(UTC) + timedelta(hours=2)
    assert run("wait", {"until": elsewhere.replace(tzinfo=None).isoformat() + "+02:00"}).until == at


@pytest.mark.parametrize("config", [{"seconds": 0}, {"until": "2001-01-01"}, {"until": "0001-01-01T00:00:00+23:59"}])
def test_wait_continues_at_once_if_the_time_has_passed(run, config):
    given = {"x": 1}
    assert run("wait", config, given) is given


@pytest.mark.parametrize("until", [{"days": 367}, "2300-01-01", "9999-12-31T23:59:59.999999-12:00"])
def test_wait_refuses_more_than_a_year(run, until):
    until = until if isinstance(until, str) else iso(**until)
    with pytest.raises(NodeError, match="within a year from now") as caught:
        run("wait", {"until": until})
    assert caught.value.permanent


def test_wait_accepts_the_maximum_time(run):
    assert isinstance(run("wait", {"seconds": YEAR}), Suspend)
    assert isinstance(run("wait", {"until": iso(days=365)}), Suspend)


@pytest.mark.parametrize("bad", ["{{ 'tomorrow' }}", "{{ none }}", "{{ [1] }}", "{{ 10 ** 30 }}"])
@pytest.mark.parametrize("key", ["seconds", "until"])
def test_the_error_of_wait_names_the_key_of_an_invalid_expression(key, bad):
    plan, found = check({"nodes": [{"id": "a", "type": "wait", "config": {key: bad}}], "edges": []})
    assert not found
    with pytest.raises(NodeError, match=f"config.{key}") as caught:
        plan.nodes[0].config.evaluate({"now": datetime.now(UTC)})
    assert caught.value.permanent


def test_wait_passes_its_input_on(run):
    given = {"x": 1}
    assert resume("wait", Answer("time"), {"seconds": 60}, given) is given


# approval and callback


@pytest.mark.parametrize("type_", ["approval", "callback"])
def test_the_default_timeout_is_a_week(run, type_):
    config = {"message": "Pay?"} if type_ == "approval" else {}
    before = time.time() * 1000
    assert abs(run(type_, config).until - before - 7 * 86_400_000) < 5_000
    assert abs(run(type_, {**config, "timeout": 60}).until - before - 60_000) < 5_000


@pytest.mark.parametrize("timeout", [0, 0.5, -1, YEAR + 1, "{{ 60 }}", None, "soon"])
@pytest.mark.parametrize("type_", ["approval", "callback"])
def test_a_timeout_is_between_a_second_and_a_year_and_cannot_be_an_expression(type_, timeout):
    assert "nodes[0].config.timeout" in issues(
        type_, {"message": "Pay?", "timeout": timeout} if type_ == "approval" else {"timeout": timeout}
    )


@pytest.mark.parametrize("config", [{}, {"message": ""}, {"message": "x" * 2_001}, {"message": None}])
def test_an_approval_needs_a_message(config):
    assert "nodes[0].config.message" in issues("approval", config)


def test_an_approval_shows_its_question(run):
    assert run("approval", {"message": "Pay 5 €?"}).reason == "approval: Pay 5 €?"
    assert run("callback").reason == "a callback"


def test_an_approval_routes_to_the_decision():
    at = 1_767_254_400_123
    assert resume("approval", Answer("approved", "fine", "ann@example.org", at)) == Branch(
        "approved",
        {"answer": "approved", "by": "ann@example.org", "comment": "fine", "at": "2026-01-01T08:00:00.123Z"},
    )
    assert resume("approval", Answer("rejected", None, None, at)) == Branch(
        "rejected", {"answer": "rejected", "by": None, "comment": None, "at": "2026-01-01T08:00:00.123Z"}
    )
    assert resume("approval", Answer("time", None, None, at)) == Branch(
        "timeout", {"answer": "timeout", "by": None, "comment": None, "at": "2026-01-01T08:00:00.123Z"}
    )


def test_a_callback_continues_with_the_posted_data():
    assert resume("callback", Answer("received", {"x": [1]})) == Branch("received", {"x": [1]})
    assert resume("callback", Answer("received", None)) == Branch("received", None)
    assert resume("callback", Answer("time")) == Branch("timeout", None)


@pytest.mark.parametrize(
    ("type_", "branches", "answers"),
    [
        ("approval", ("approved", "rejected", "timeout"), ("approved", "rejected")),
        ("callback", ("received", "timeout"), ("received",)),
        ("wait", (), ()),
        ("subflow", (), ()),
    ],
)
def test_waiting_nodes_declare_their_branches_and_answers(type_, branches, answers):
    node = REGISTRY[type_]
    assert (node.branches({}), node.answers, node.suspends, node.pure) == (branches, answers, True, True)


@pytest.mark.parametrize("type_", ["wait", "approval", "callback", "subflow"])
def test_a_waiting_node_may_have_a_foreach(type_):
    made = {"nodes": [{"id": "a", "type": type_, "config": {}, "foreach": [1]}], "edges": []}
    assert "nodes[0].foreach" not in {issue.path for issue in check(made)[1]}


# approval with notifications


def test_an_approval_waits_also_if_no_pack_sends_notices(run, monkeypatch):
    monkeypatch.setattr(registry, "send_notice", "")
    found = run("approval", {"message": "Pay?", "notify": "chat"})
    assert isinstance(found, Suspend) and not found.told
    ((level, message, _),) = run.lines
    assert level == "warning" and message.startswith("the approval request was not sent: this server sends no notices")


# subflow


class Flows:
    """Records the started flows."""

    def __init__(self):
        self.started = []

    def start(self, *args):
        self.started.append(args)
        return "run_2"


def test_subflow_waits_for_the_run_that_it_starts(run, make_ctx):
    ctx, _ = make_ctx()
    ctx.flows = Flows()
    assert run("subflow", {"workflow_id": "wf_1"}, "in", ctx) == Suspend(None, "the run run_2", "run_2")
    assert run("subflow", {"workflow_id": "wf_1", "input": None}, "in", ctx) == Suspend(None, "the run run_2", "run_2")
    assert ctx.flows.started == [("node", "wf_1", "in", True), ("node", "wf_1", None, True)]


def test_subflow_can_continue_without_waiting(run, make_ctx):
    ctx, _ = make_ctx()
    ctx.flows = Flows()
    assert run("subflow", {"workflow_id": "wf_1", "wait": False}, "in", ctx) == {"run_id": "run_2"}
    assert ctx.flows.started == [("node", "wf_1", "in", False)]


def test_subflow_fails_if_flows_are_not_available(run):
    with pytest.raises(NodeError, match="cannot be run here") as caught:
        run("subflow", {"workflow_id": "wf_1"})
    assert caught.value.permanent


def test_subflow_returns_the_output_or_fails_with_the_error():
    ended = {"run_id": "run_2", "status": "success", "output": [1], "error_text": None}
    assert resume("subflow", Answer("ended", ended)) == [1]
    assert resume("subflow", Answer("ended", {**ended, "output": None})) is None
    failed = {"run_id": "run_2", "status": "failed", "output": None, "error_text": "no luck", "error_kind": "remote"}
    with pytest.raises(NodeError, match="the run run_2 failed: no luck") as caught:
        resume("subflow", Answer("ended", failed))
    assert not caught.value.permanent and caught.value.kind == "remote"


@pytest.mark.parametrize(
    "config",
    [
        {},
        {"workflow_id": ""},
        {"workflow_id": None},
        {"workflow_id": "x" * 65},
        {"workflow_id": "wf_1", "wait": "maybe"},
    ],
)
def test_subflow_requires_the_id_of_a_flow(config):
    assert issues("subflow", config)
