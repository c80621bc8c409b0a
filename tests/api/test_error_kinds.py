"""The kind of each failure: on steps and runs, in the list of runs, and in error workflows."""

import time
from dataclasses import replace

import pytest
from engines import other_connection
from sites import answering
from world import flow, node

from database import execute
from database.queries import steps as step_queries
from errors import ERROR_KINDS


@pytest.fixture
def config(config):
    """Settings that allow requests to this machine."""
    return replace(config, egress_allow=("127.0.0.0/8",))


def single(type_, config, **more):
    """Return a flow of one node after its trigger."""
    return flow(node("start", "manual"), node("a", type_, config, **more), edges=["start a"])


def request(url, **more):
    return single("http", {"url": url}, **more)


FAILING = [
    (single("filter", {"items": "{{ input.rows }}", "keep": "{{ item }}"}), "config"),
    (single("set", {"values": {"a": "{{ input.b.c }}"}}), "expression"),
    (single("noop", {}, foreach="{{ input.rows.x.y }}"), "expression"),
    (single("http", {"url": "https://example.org", "credential": "absent"}), "credential"),
    (request("http://10.11.12.13/"), "egress"),
    (request("http://127.0.0.1:9/"), "remote"),
    (single("code", {"source": "1 / 0"}), "code"),
    (single("code", {"source": "while True:\n    pass", "timeout": 0.1}), "timeout"),
    (single("stop", {"message": "enough"}), "stop"),
]


@pytest.mark.parametrize(("definition", "kind"), FAILING, ids=range(len(FAILING)))
def test_a_failed_run_and_its_step_have_the_kind(owner, make_run, definition, kind):
    run = make_run(definition, input={"rows": 5})
    step = owner.get(f"/api/runs/{run['id']}/steps").json["items"][-1]
    brief = owner.get(f"/api/runs/{run['id']}/steps?values=false").json["items"][-1]
    assert (run["status"], run["error_kind"], step["error_kind"]) == ("failed", kind, kind), run["error_text"]
    assert brief["error_kind"] == kind
    listed = owner.get(f"/api/runs?error_kind={kind}&brief=true").json["items"]
    assert [(one["id"], one["error_kind"]) for one in listed] == [(run["id"], kind)]


@pytest.mark.parametrize(
    ("status", "kind"),
    [(400, "refused"), (401, "credential"), (403, "refused"), (404, "refused"), (429, "remote"), (503, "remote")],
)
def test_a_status_tells_a_rejection_from_an_outage(make_run, httpserver, status, kind):
    url = answering(httpserver, "/", (status, {}, "no"))
    assert make_run(request(url))["error_kind"] == kind


def test_a_run_that_succeeds_has_none(run):
    assert run["error_kind"] is None


def test_each_attempt_has_a_kind_of_its_own(owner, make_run, httpserver):
    url = answering(httpserver, "/", (503, {}, "later"), (404, {}, "gone"))
    run = make_run(request(url, retry={"attempts": 3, "delay": 0}))
    kinds = [step["error_kind"] for step in owner.get(f"/api/runs/{run['id']}/steps?node_id=a").json["items"]]
    assert kinds == ["remote", "refused"] and run["error_kind"] == "refused"


def test_a_failure_that_the_flow_survives_stays_on_the_step_alone(owner, make_run):
    run = make_run(single("stop", {"message": "enough"}, on_error="continue"))
    assert (run["status"], run["error_kind"]) == ("success", None)
    assert owner.get(f"/api/runs/{run['id']}/steps").json["items"][-1]["error_kind"] == "stop"


def test_an_item_that_fails_gives_the_run_its_kind(make_run):
    run = make_run(single("set", {"values": {"a": "{{ item.b.c }}"}}, foreach="{{ [1] }}"))
    assert run["error_kind"] == "expression"


def test_a_timeout_of_the_flow_and_of_a_node(make_run, make_flow):
    slow = single("code", {"source": "while True:\n    pass", "timeout": 5}, timeout=0.2)
    assert make_run(slow)["error_kind"] == "timeout"
    definition = single("code", {"source": "while True:\n    pass", "timeout": 5})
    assert make_run({**definition, "settings": {"timeout": 0.2}})["error_kind"] == "timeout"


def test_the_waiting_flow_gets_the_kind_of_the_flow_that_it_called(owner, make_flow, make_run):
    called = make_flow(single("stop", {"message": "enough"}))
    started = owner.post(
        f"/api/workflows/{make_flow(single('subflow', {'workflow_id': called['id']}))['id']}/run?wait=20"
    ).json
    run = until(lambda: ended(owner, started["id"]))
    assert run["error_kind"] == "stop", run["error_text"]


def ended(owner, run_id):
    run = owner.get(f"/api/runs/{run_id}").json
    return run if run["finished_at"] else None


def until(found, seconds=20):
    """Return the first true result of `found` within the time."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if result := found():
            return result
        time.sleep(0.01)
    raise AssertionError("not within the time")


def test_a_cancelled_run_and_its_waiting_step(owner, make_flow):
    made = make_flow(single("wait", {"seconds": 3600}))
    run = owner.post(f"/api/workflows/{made['id']}/run").json
    until(lambda: owner.get(f"/api/runs/{run['id']}").json["waiting"])
    assert owner.post(f"/api/runs/{run['id']}/cancel").json["error_kind"] == "cancelled"
    assert owner.get(f"/api/runs/{run['id']}/steps").json["items"][-1]["error_kind"] == "cancelled"
    assert [one["id"] for one in owner.get("/api/runs?error_kind=cancelled").json["items"]] == [run["id"]]


def test_the_flow_of_errors_is_told_the_kind(owner, make_flow):
    told = make_flow(flow(node("start", "error"), node("a", "noop"), edges=["start a"]), status="active")
    failing = single("stop", {"message": "enough"}) | {"settings": {"error_workflow_id": told["id"]}}
    owner.post(f"/api/workflows/{make_flow(failing)['id']}/run")
    run = until(lambda: owner.get(f"/api/runs?workflow_id={told['id']}").json["items"])[0]
    assert (run["input"]["error_text"], run["input"]["error_kind"]) == ("enough", "stop")


def test_a_run_that_was_executed_elsewhere_may_have_one(owner, flow):
    body = {"workflow_id": flow["id"], "status": "failed", "error_text": "no answer"}
    known = owner.post("/api/runs", {**body, "error_kind": "remote"}).json
    unknown = owner.post("/api/runs", body).json
    assert (known["error_kind"], unknown["error_kind"]) == ("remote", None)
    refused = owner.post("/api/runs", {**body, "error_kind": "weather"})
    assert refused.status_code == 400 and refused.json["details"][0]["path"] == "error_kind"


# The list of runs


@pytest.fixture
def recorded(owner, flow):
    """`recorded(kind)` records a failed run and returns its id."""

    def record(kind, **more):
        body = {"workflow_id": flow["id"], "status": "failed", "error_kind": kind, **more}
        return owner.post("/api/runs", body).json["id"]

    return record


def listed(owner, **query):
    return [run["id"] for run in owner.get("/api/runs", query_string=query).json["items"]]


def test_the_list_can_be_of_several_kinds_and_combined_with_other_filters(owner, recorded, flow):
    first, other, last = recorded("remote"), recorded("limit"), recorded("timeout", triggered_by="schedule")
    owner.post("/api/runs", {"workflow_id": flow["id"]})
    assert listed(owner, error_kind="remote,timeout") == [last, first]
    assert listed(owner, error_kind="remote,timeout", triggered_by="schedule") == [last]
    assert listed(owner, error_kind="limit", workflow_id=flow["id"], status="failed") == [other]
    assert listed(owner, error_kind="limit", status="success") == []
    assert listed(owner, error_kind="limit", cancelled="true") == []
    assert listed(owner, error_kind="limit", cancelled="false") == [other]
    assert listed(owner, error_kind="bug") == []


def test_pages_of_several_kinds_follow_each_other(owner, recorded):
    made = [recorded(("remote", "limit", "bug")[number % 3]) for number in range(9)]
    found, cursor = [], None
    while True:
        query = {"error_kind": "remote,limit", "limit": 2} | ({"cursor": cursor} if cursor else {})
        page = owner.get("/api/runs", query_string=query).json
        found += [run["id"] for run in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert found == [id_ for number, id_ in reversed(list(enumerate(made))) if number % 3 < 2]


def test_an_unknown_kind_is_refused_with_the_known_ones(owner):
    answer = owner.get("/api/runs?error_kind=weather")
    assert answer.status_code == 400 and answer.json["details"][0]["path"] == "error_kind"
    assert all(kind in answer.json["details"][0]["message"] for kind in ERROR_KINDS)


def test_steps_that_were_packed_before_there_were_kinds_are_read(app, owner, make_run):
    """Packed steps of earlier versions are lists without the last value."""
    run = make_run(single("stop", {"message": "enough"}))
    packed = "SELECT packed_steps FROM runs WHERE id = ?"
    text = execute(packed, (run["id"],)).fetchone()[0]
    assert text.endswith(',true,"stop"]]')
    older = text.replace(',"stop"]]', "]]").replace(",false,null]", ",false]")
    with other_connection(app.extensions["headrace"].config.database_path) as other:
        other.execute("UPDATE runs SET packed_steps = ? WHERE id = ?", (older, run["id"]))
    steps = owner.get(f"/api/runs/{run['id']}/steps").json["items"]
    assert [(step["node_id"], step["status"], step["error_kind"]) for step in steps] == [
        ("start", "success", None),
        ("a", "failed", None),
    ]
    assert step_queries.ending(run["id"]).node_id == "a"
