"""Core nodes: triggers, logic, waits, the store and the output."""

import time
from datetime import UTC, datetime, timedelta

import pytest
from contract import Case, Contract
from marshmallow import ValidationError

from definition import check
from dispatch.publishing import find_triggers
from engine import plan
from errors import ExpressionError, NodeError
from nodes import REGISTRY
from nodes.base import Answer, Branch, Suspend
from registry import registry


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


#


def test_respond_returns_the_input_with_status_200(run):
    assert run("respond", {}, {"a": 1}) == {"status": 200, "headers": {}, "body": {"a": 1}}


def test_respond_accepts_a_status_headers_and_a_body(run):
    config = {"status": 201, "headers": {"X-Count": 3}, "body": None}
    assert run("respond", config, "in") == {"status": 201, "headers": {"X-Count": "3"}, "body": None}


@pytest.mark.parametrize("status", [100, 199, 600, "many", None])
def test_respond_refuses_an_invalid_status(status):
    with pytest.raises(ValidationError, match="status"):
        REGISTRY["respond"].Config().load({"status": status})


@pytest.mark.parametrize(
    "headers", [{"X-A": "1\r\nSet-Cookie: a=b"}, {"X A": "1"}, {"X:": "1"}, {"": "1"}, {"X\n": "1"}, {"X-A": "\0"}]
)
def test_respond_refuses_headers_that_would_inject_others(headers):
    with pytest.raises(ValidationError, match="headers"):
        REGISTRY["respond"].Config().load({"headers": headers})


def test_log_writes_an_entry_and_passes_its_input_on(run):
    given = {"a": 1}
    assert run("log", {"level": "warning", "message": "low", "data": [1]}, given) is given
    assert run.lines == [("warning", "low", [1])]


def test_log_converts_values_to_text(run):
    run("log", {"message": {"a": [1, True]}})
    assert run.lines == [("info", '{"a": [1, true]}', None)]


#


@pytest.fixture
def store(run, make_ctx):
    """`store(operation, …)` runs the node, always with the same data; `store.ctx` has its context."""
    ctx, _ = make_ctx()

    def execute(operation, **config):
        return run("store", {"operation": operation, **config}, ctx=ctx)

    execute.ctx = ctx
    return execute


def test_a_value_that_was_set_is_returned(store):
    assert store("set", key="a", value={"b": 1}) == {"b": 1}
    assert store("get", key="a") == {"b": 1}


def test_a_missing_key_is_null(store):
    assert store("get", key="a") is None


def test_delete_returns_whether_the_key_existed(store):
    store("set", key="a", value=1)
    assert store("delete", key="a") == {"deleted": True}
    assert store("delete", key="a") == {"deleted": False}


def test_increment_adds_one_or_the_value(store):
    assert [store("increment", key="n"), store("increment", key="n", value=5)] == [1, 6]


@pytest.mark.parametrize("value", ["1", None, True, [1]])
def test_increment_refuses_a_value_that_is_not_a_number(store, value):
    with pytest.raises(NodeError, match="must be a number for increment"):
        store("increment", key="n", value=value)


def test_increment_of_a_stored_text_fails_and_names_the_key(store):
    store("set", key="name", value="Ada")
    with pytest.raises(NodeError, match="the value under 'name' is not a number"):
        store("increment", key="name")


def test_list_uses_the_key_as_a_prefix(store):
    for key in ("b:2", "b:1", "a"):
        store("set", key=key, value=key)
    assert [entry["key"] for entry in store("list", key="b:")] == ["b:1", "b:2"]
    assert len(store("list")) == 3


def test_a_ttl_is_stored_with_the_value(store):
    store("set", key="a", value=1, ttl=60)
    assert store.ctx.store.ttls == {"a": 60}


def test_a_number_as_key_is_converted_to_text(store):
    store("set", key=42, value=1)
    assert store("get", key="42") == 1


@pytest.mark.parametrize("operation", ["get", "set", "delete", "increment"])
def test_all_operations_except_list_require_a_key(store, operation):
    with pytest.raises(NodeError, match=f"key is required for the operation {operation}") as caught:
        store(operation)
    assert caught.value.permanent


@pytest.fixture
def case_store():
    return Case(config={"operation": "set", "key": "a", "value": {"b": 1}})


class TestTheStoreKeepsTheContract(Contract):
    type_ = "store"


#


def load(type_, **config):
    return REGISTRY[type_].Config().load(config)


def refused(type_, **config):
    with pytest.raises(ValidationError) as caught:
        load(type_, **config)
    return caught.value.messages


@pytest.mark.parametrize(("type_", "config"), [("manual", {}), ("webhook", {"path": "a"}), ("schedule", {"every": 60})])
def test_a_trigger_outputs_its_input(run, type_, config):
    assert run(type_, config, {"a": 1}) == {"a": 1}


def test_a_webhook_responds_immediately_by_default():
    assert load("webhook", path="a") == {
        "path": "a", "methods": ["POST"], "auth": "none", "respond": "immediately", "allow_credentials": False,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("given", "path"), [("/orders/new/", "orders/new"), (" a ", "a"), ("a.b/~c_d-e", "a.b/~c_d-e")]
)
def test_the_path_of_a_webhook_has_no_slashes_around_it(given, path):
    assert load("webhook", path=given)["path"] == path


@pytest.mark.parametrize("path", ["", "/", "a//b", "a b", "a/../b", ".", "a?b", "ä", "a\nb", "a%2fb", "x" * 201])
def test_a_webhook_refuses_an_invalid_path(path):
    assert "path" in refused("webhook", path=path)


def test_a_webhook_refuses_unknown_methods():
    assert "methods" in refused("webhook", path="a", methods=["TRACE"])
    assert "methods" in refused("webhook", path="a", methods=[])


@pytest.mark.parametrize("auth", ["basic", "header", "hmac"])
def test_authentication_of_a_webhook_requires_a_credential(auth):
    assert "credential" in refused("webhook", path="a", auth=auth)
    assert load("webhook", path="a", auth=auth, credential="key")["credential"] == "key"


@pytest.mark.parametrize(
    "cron", ["* * * * *", "30 8 * * MON-FRI", "0 0 29 2 *", "0 9 * * 0,7", "*/5 0 1 JAN *", "0 0 L * *"]
)
def test_a_schedule_accepts_a_cron_expression(cron):
    assert load("schedule", cron=cron) == {"cron": cron, "catch_up": "last"}


@pytest.mark.parametrize(
    "cron", ["", "* * * *", "* * * * * *", "60 * * * *", "x * * * *", "0 0 30 2 *", "@daily", "*/0 * * * *"]
)
def test_a_schedule_refuses_an_invalid_cron_expression(cron):
    assert "cron" in refused("schedule", cron=cron)


def test_a_schedule_requires_either_cron_or_an_interval():
    assert "cron" in refused("schedule")
    assert "cron" in refused("schedule", cron="* * * * *", every=60)


@pytest.mark.parametrize("every", [0, 0.5, -1, "often", True, float("inf"), float("nan")])
def test_a_schedule_runs_at_most_once_a_second(every):
    assert "every" in refused("schedule", every=every)


@pytest.mark.parametrize("zone", ["", "Nowhere/City", "../etc/passwd", "America", "/etc/localtime", "x\0y"])
def test_a_schedule_refuses_an_invalid_time_zone(zone):
    assert "timezone" in refused("schedule", every=60, timezone=zone)


def test_a_schedule_accepts_a_time_zone():
    assert load("schedule", every=60, timezone="Europe/Paris")["timezone"] == "Europe/Paris"


def test_schedules_of_a_flow_are_the_enabled_ones_in_their_own_or_the_flows_time_zone():
    nodes = [
        {"id": "own", "type": "schedule", "config": {"cron": "0 8 * * *", "timezone": "Asia/Tokyo"}},
        {"id": "flows", "type": "schedule", "config": {"every": 60, "catch_up": "none"}},
        {"id": "off", "type": "schedule", "config": {"every": 60}, "disabled": True},
        {"id": "start", "type": "manual"},
    ]
    made = plan({"nodes": nodes, "edges": [], "settings": {"timezone": "Europe/Paris"}})
    assert find_triggers(made) == [
        ("own", "schedule", {"cron": "0 8 * * *", "timezone": "Asia/Tokyo", "catch_up": "last"}),
        ("flows", "schedule", {"every": 60, "timezone": "Europe/Paris", "catch_up": "none"}),
    ]


#


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
