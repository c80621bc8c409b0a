"""Retrying a run: from its start or from the failed step, with the same or another version of its flow."""

import orjson
import pytest
from world import Types, add_flow, chain, flow, fresh_database, node, process, run_of, steps_of

from database.queries import runs, workflows
from dispatch import Start
from dispatch.payloads import Kept
from errors import Conflict, NotFound
from models import Run, RunDay, Workflow


@pytest.fixture
def types():
    with Types() as types:
        yield types


@pytest.fixture
def inline(tmp_path):
    with fresh_database(tmp_path), process(tmp_path, inline=True, inline_value_bytes=100) as dispatcher:
        yield dispatcher


def failed(dispatcher, definition, input=1):
    """Return a failed run of a new flow."""
    ticket = dispatcher.submit(Start(add_flow(definition), input, "manual"))
    run = run_of(ticket.run.id)
    assert run.status == "failed", run.error_text
    return run


def change(run, definition):
    assert workflows.change(
        Workflow.get_by_id(run.workflow_id), None, definition_json=orjson.dumps(definition).decode(), triggers=()
    )


def again(dispatcher, run, start="failed", version="latest"):
    """Retry the run, and return the new run once it has ended."""
    return run_of(dispatcher.retry(run, start, version).run.id)


def nodes(dispatcher, effects):
    """Return the nodes that had an effect, in order."""
    return [key.split(":")[1] for key in effects]


BROKEN = chain(node("a", "act"), node("b", "act"), node("c", "fail"), node("d", "act"))
MENDED = chain(node("a", "act"), node("b", "act"), node("c", "give", {"value": 7}), node("d", "act"))


def test_a_retry_from_the_failed_step_uses_the_corrected_flow(inline, types):
    first = failed(inline, BROKEN)
    change(first, MENDED)
    second = again(inline, first)
    assert (second.status, second.output, second.retry_of, second.workflow_version) == ("success", "7", first.id, 2)
    assert types.effects == [f"{first.id}:a:0", f"{first.id}:b:0", f"{second.id}:d:0"]
    assert [(step.node_id, step.status) for step in steps_of(second.id)] == [(id_, "success") for id_ in "abcd"]
    assert run_of(first.id).status == "failed"
    assert (RunDay.get().total, RunDay.get().success, RunDay.get().failed) == (2, 1, 1)


def test_a_retry_with_the_same_version_keeps_completed_steps_and_fails_again(inline, types):
    first = failed(inline, BROKEN)
    change(first, MENDED)
    second = again(inline, first, version="same")
    assert (second.status, second.error_node_id, second.workflow_version) == ("failed", "c", 1)
    assert nodes(inline, types.effects) == ["a", "b"]


def test_a_retry_from_the_start_repeats_all_steps(inline, types):
    first = failed(inline, BROKEN, {"x": 1})
    second = again(inline, first, start="start", version="same")
    assert nodes(inline, types.effects) == ["a", "b", "a", "b"]
    assert (second.input, second.triggered_by) == ('{"x":1}', "manual")


def test_a_successful_run_can_only_be_retried_from_its_start(inline, types):
    first = run_of(inline.submit(Start(add_flow(chain(node("a", "act"))), 1, "manual")).run.id)
    with pytest.raises(Conflict, match="did not fail"):
        inline.retry(first, "failed", "same")
    assert again(inline, first, start="start").status == "success"


def test_a_retry_can_use_a_version_by_its_number(inline, types):
    first = failed(inline, BROKEN)
    change(first, MENDED)
    change(first, BROKEN)
    assert again(inline, first, version=2).status == "success"
    with pytest.raises(NotFound, match="no version 9"):
        inline.retry(first, "failed", 9)


def test_changed_nodes_and_their_dependants_are_executed_again(inline, types):
    made = flow(node("a", "act"), node("b", "act"), node("x", "act"), node("c", "fail"), edges=["a b", "b c", "x c"])
    first = failed(inline, made)
    types.effects.clear()
    mended = orjson.loads(orjson.dumps(made))
    mended["nodes"][0]["config"] = {"value": 5}
    mended["nodes"][3] = node("c", "act")
    change(first, mended)
    second = again(inline, first)
    assert (second.status, orjson.loads(second.output)) == ("success", {"b": 5, "x": 1})
    assert nodes(inline, types.effects) == ["a", "b", "c"]


def test_a_new_name_or_position_of_a_node_is_not_a_change(inline, types):
    first = failed(inline, BROKEN)
    mended = orjson.loads(orjson.dumps(MENDED))
    mended["nodes"][0] |= {"name": "First", "position": {"x": 1, "y": 2}}
    change(first, mended)
    types.effects.clear()
    again(inline, first)
    assert nodes(inline, types.effects) == ["d"]


@pytest.mark.parametrize("edges", [["b a"], []])
def test_another_edge_is_a_change(inline, types, edges):
    first = failed(inline, flow(node("a", "act"), node("b", "act"), node("c", "fail"), edges=["a b", "b c"]))
    types.effects.clear()
    change(first, flow(node("a", "act"), node("b", "act"), node("c", "noop"), edges=[*edges, "b c"]))
    assert again(inline, first).status == "success"
    assert "b" in nodes(inline, types.effects)


def test_a_step_read_by_an_expression_counts_as_a_dependency(inline, types):
    made = flow(node("x", "act"), node("y", "act", {"value": "{{ steps.x }}"}), node("z", "fail"), edges=["y z"])
    first = failed(inline, made)
    mended = orjson.loads(orjson.dumps(made))
    mended["nodes"][0]["config"], mended["nodes"][2] = {"value": 9}, node("z", "noop")
    change(first, mended)
    assert orjson.loads(again(inline, first).output) == {"x": 9, "z": 9}


def test_changed_variables_of_the_flow_repeat_all_steps(inline, types):
    first = failed(inline, BROKEN)
    change(first, {**MENDED, "settings": {"vars": {"a": 1}}})
    types.effects.clear()
    again(inline, first)
    assert nodes(inline, types.effects) == ["a", "b", "d"]


def test_completed_items_are_not_repeated(inline, types):
    def odd(config, input, ctx):
        types.effects.append(ctx.idempotency_key)
        if input == 2 and len(types.effects) < 4:
            raise ValueError("not yet")
        return input * 10

    types.offer("odd", odd, pure=False)
    first = failed(inline, flow(node("a", "odd", foreach=[1, 2, 3])))
    types.effects.extend("xx")
    second = again(inline, first)
    assert second.output == "[10,20,30]"
    assert types.effects[4:] == [f"{second.id}:a:1", f"{second.id}:a:2"]


def test_large_values_of_a_retry_survive_the_deletion_of_the_first_run(inline, types):
    large = "x" * 500
    first = failed(inline, chain(node("a", "act"), node("c", "fail")), large)
    change(first, chain(node("a", "act"), node("c", "noop")))
    second = again(inline, first)
    runs.remove(Run.get_by_id(first.id))
    inline.resources.payloads.remove(first.id)
    assert inline.resources.value(second.id, "input", Kept(None, 502)) == large
    assert inline.resources.value(second.id, "step_0", Kept(None, 502)) == large
    assert inline.resources.value(second.id, "output", Kept(second.output, second.output_bytes)) == large


def test_a_failure_with_on_error_continue_is_kept(inline, types):
    made = chain(node("a", "fail", on_error="continue"), node("b", "act"), node("c", "fail"))
    first = failed(inline, made)
    mended = orjson.loads(orjson.dumps(made))
    mended["nodes"][2]["type"] = "act"
    change(first, mended)
    types.effects.clear()
    assert again(inline, first).status == "success"
    assert nodes(inline, types.effects) == ["c"]


def test_a_refused_retry_leaves_nothing(inline, types):
    first = failed(inline, BROKEN)
    made = Workflow.get_by_id(first.workflow_id)
    recorded = runs.record(made, status="failed", triggered_by="manual")
    before = Run.select().count()
    with pytest.raises(Conflict, match="elsewhere"):
        inline.retry(run_of(recorded.id), "start", "same")
    workflows.change(made, None, status="archived")
    with pytest.raises(Conflict, match="archived"):
        inline.retry(first, "start", "same")
    workflows.remove(Workflow.get_by_id(made.id))
    with pytest.raises(Conflict, match="deleted"):
        inline.retry(first, "start", "same")
    assert Run.select().count() == before


def test_a_missing_trigger_is_named(inline, types):
    made = add_flow(flow("a", node("f", "fail"), edges=["a f"]))
    first = run_of(inline.submit(Start(made, 1, "schedule", trigger_node="a")).run.id)
    change(first, flow("b"))
    with pytest.raises(Conflict, match="trigger 'a'"):
        inline.retry(first, "start", "latest")


def test_a_run_is_retried_over_the_api(owner, make_flow):
    made = make_flow(
        chain(node("a", "set", {"values": {"n": "{{ input + 1 }}"}}), node("b", "stop", {"message": "no"}))
    )
    first = owner.post(f"/api/workflows/{made['id']}/run", {"input": 1}).json
    assert first["progress"] == {"done": 2, "total": 2}
    definition = chain(node("a", "set", {"values": {"n": "{{ input + 1 }}"}}), node("b"))
    owner.put(f"/api/workflows/{made['id']}", {"definition": definition})
    answer = owner.post(f"/api/runs/{first['id']}/retry", {"from": "failed"})
    assert (answer.status_code, answer.json["status"], answer.json["output"]) == (200, "success", {"n": 2})
    assert answer.json["retry_of"] == first["id"]
    wrong = owner.post(f"/api/runs/{first['id']}/retry", {"from": "end"})
    assert (wrong.status_code, wrong.json["details"][0]["path"]) == (400, "from")
    wrong = owner.post(f"/api/runs/{first['id']}/retry", {"version": "oldest"})
    assert (wrong.status_code, wrong.json["details"][0]["path"]) == (400, "version")
    wrong = owner.post(f"/api/runs/{answer.json['id']}/retry")
    assert wrong.status_code == 409


APPROVED = {
    "nodes": [{"id": "ask", "type": "approval", "config": {"message": "Pay?"}}, {"id": "pay", "type": "noop"}],
    "edges": [["ask", "pay", "approved"]],
}


def without_approval(owner, make_flow):
    """Return three runs without an approval: of the version before it was added, of a draft, and with it pinned."""
    before = {"nodes": [{"id": "pay", "type": "noop"}], "edges": []}
    path = f"/api/workflows/{make_flow(before)['id']}"
    old = owner.post(f"{path}/run", {}).json
    owner.put(path, {"definition": APPROVED})
    draft = owner.post(f"{path}/run", {"definition": before}).json
    pinned = owner.post(f"{path}/run", {"pinned": {"ask": {"output": {}, "branch": "approved"}}}).json
    return {"old": old, "draft": draft, "pinned": pinned}


@pytest.mark.parametrize(
    ("which", "version", "told"),
    [
        ("old", "same", {"version": 1, "draft": False}),
        ("old", 1, {"version": 1, "draft": False}),
        ("draft", None, {"version": None, "draft": True}),
        ("pinned", None, {"version": 2, "draft": False, "pinned": ["ask"]}),
    ],
)
def test_only_an_editor_retries_an_old_version_or_pinned_nodes(owner, member, make_flow, which, version, told):
    run = without_approval(owner, make_flow)[which]
    path, body = f"/api/runs/{run['id']}/retry", {"from": "start", "version": version}
    before = Run.select().count()
    refused = member("operator").post(path, body)
    assert refused.status_code == 403 and "editor" in refused.json["error"] and Run.select().count() == before
    made = member("editor").post(path, body)
    assert made.status_code == 200 and made.json["status"] == "success"
    entry = owner.get("/api/audit?action=run.retried").json["items"][0]
    assert entry["changes"] == {"from": "start", "run_id": made.json["id"], **told}


def test_an_operator_can_retry_a_run_with_the_latest_version(owner, member, make_flow):
    run = without_approval(owner, make_flow)["old"]
    made = member("operator").post(f"/api/runs/{run['id']}/retry?wait=0", {"from": "start", "version": "latest"})
    assert made.status_code == 202 and made.json["workflow_version"] == 2
    (entry,) = owner.get("/api/audit?action=run.retried").json["items"]
    assert entry["changes"] == {"from": "start", "version": 2, "draft": False, "run_id": made.json["id"]}
