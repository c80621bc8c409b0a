"""Flows with an input schema: an invalid input starts no run, from any trigger."""

import pytest

from models import IdempotencyKey, Run

pytestmark = pytest.mark.usefixtures("shared_server")

BOOKING = {
    "type": "object",
    "properties": {
        "room": {"type": "string", "enum": ["north", "south"]},
        "guests": {"type": "array", "items": {"type": "object", "properties": {"age": {"type": "integer"}}}},
        "seats": {"type": "integer", "default": 4},
    },
    "required": ["room"],
}
RIGHT, WRONG = {"room": "north"}, {"room": "west", "guests": [{"age": 7}, {"age": "x"}]}


def asking(schema=BOOKING, type_="manual", *more, **start):
    config = {} if schema is None else {"input_schema": schema}
    nodes = [{"id": "start", "type": type_, "config": config, **start}, {"id": "end", "type": "noop"}, *more]
    return {"nodes": nodes, "edges": [["start", "end"]]}


def run(client, flow, status=200, headers=None, **body):
    answer = client.post(f"/api/workflows/{flow['id']}/run", body, headers=headers or {})
    assert answer.status_code == status, answer.text
    return answer.json


def retry(client, done, status=200, **body):
    answer = client.post(f"/api/runs/{done['id']}/retry", body)
    assert answer.status_code == status, answer.text
    return answer.json


def change(client, flow, definition):
    assert client.put(f"/api/workflows/{flow['id']}", {"definition": definition}).status_code == 200


@pytest.mark.parametrize("type_", ["manual", "called"])
def test_invalid_input_is_an_error_with_its_place_and_starts_no_run(owner, make_flow, count_rows, type_):
    flow = make_flow(asking(type_=type_))
    before = count_rows()
    answer = run(owner, flow, 422, input=WRONG)
    assert answer["error"].startswith("The input does not match the input schema: ")
    assert {issue["path"] for issue in answer["details"]} == {"input.room", "input.guests[1].age"}
    assert '"west" is not one of' in next(one["message"] for one in answer["details"] if one["path"] == "input.room")
    assert count_rows() == before


@pytest.mark.parametrize("given", [{}, {"input": None}, {"input": []}, {"input": "north"}])
def test_an_input_that_is_not_an_object_is_an_error_of_the_whole_input(owner, make_flow, given):
    (issue,) = run(owner, make_flow(asking()), 422, **given)["details"]
    assert issue["path"] == "input" and 'is not of type "object"' in issue["message"]


def test_a_right_input_is_taken_as_it_is_and_no_default_is_filled_in(owner, make_flow):
    done = run(owner, make_flow(asking()), input=RIGHT)
    assert (done["status"], done["input"], done["output"]) == ("success", RIGHT, RIGHT)


def test_without_a_schema_everything_is_taken(owner, make_flow):
    flow = make_flow(asking(None))
    assert [run(owner, flow, input=given)["output"] for given in (None, 1, WRONG)] == [None, 1, WRONG]


@pytest.mark.parametrize("role", ["operator", "editor"])
def test_the_input_is_validated_for_every_role(make_flow, member, role):
    assert run(member(role), make_flow(asking()), 422, input=WRONG)["details"]


def test_a_refused_input_does_not_use_up_its_key(owner, make_flow):
    flow, headers = make_flow(asking()), {"Idempotency-Key": "once"}
    run(owner, flow, 422, headers, input=WRONG)
    assert IdempotencyKey.select().count() == 0
    first = run(owner, flow, 200, headers, input=RIGHT)
    # The key answers for the run that it has started, whatever comes with it.
    assert run(owner, flow, 200, headers, input=WRONG)["id"] == first["id"]


def test_the_input_of_a_draft_run_is_validated_by_the_draft(owner, make_flow):
    open_, strict = make_flow(asking(None)), make_flow(asking())
    assert run(owner, open_, 422, input=WRONG, definition=asking())["details"]
    assert run(owner, strict, input=WRONG, definition=asking(None))["status"] == "success"
    assert Run.select().count() == 1


def test_up_to_a_node_only_the_triggers_count_that_lead_to_it(owner, make_flow):
    alone = {"id": "alone", "type": "noop"}
    flow = make_flow(asking(BOOKING, "manual", alone))
    assert run(owner, flow, 422, input=WRONG, until="end")["details"]
    assert run(owner, flow, input=WRONG, until="alone")["status"] == "success"


def test_a_trigger_that_is_not_executed_refuses_nothing(owner, make_flow):
    flow, off = make_flow(asking()), make_flow(asking(disabled=True))
    assert run(owner, flow, input=WRONG, pinned={"start": {"output": 1}})["output"] == 1
    assert run(owner, off, input=WRONG)["status"] == "success"


def test_other_triggers_start_the_flow_without_validation(owner, make_flow, client):
    hook = {"id": "hook", "type": "webhook", "config": {"path": "rooms", "respond": "last"}}
    make_flow(asking(BOOKING, "manual", hook), status="active")
    assert client.post("/api/webhooks/rooms", {"room": "west"}).status_code == 200


def test_repeating_is_checked_against_the_version_that_is_to_run(owner, make_flow):
    flow = make_flow(asking(None))
    first = run(owner, flow, input=WRONG)
    change(owner, flow, asking())
    assert {issue["path"] for issue in retry(owner, first, 422, **{"from": "start"})["details"]} >= {"input.room"}
    assert Run.select().count() == 1
    assert retry(owner, first, **{"from": "start", "version": "same"})["status"] == "success"


def test_from_where_it_failed_a_trigger_that_has_done_its_part_is_not_asked_again(owner, make_flow):
    broken, mended = asking(None), asking(None)
    broken["nodes"][1] = {"id": "end", "type": "stop", "config": {"message": "no"}}
    flow = make_flow(broken)
    first = run(owner, flow, input=WRONG)
    change(owner, flow, mended)
    assert retry(owner, first)["status"] == "success"
    change(owner, flow, asking())
    assert retry(owner, first, 422)["details"]


def test_invalid_input_of_a_called_flow_fails_its_trigger(owner, make_flow):
    asked = make_flow(asking())
    config = {"workflow_id": asked["id"], "input": WRONG}
    caller = run(owner, make_flow({"nodes": [{"id": "call", "type": "subflow", "config": config}]}))
    assert caller["status"] == "failed" and "the input does not match the input schema: room: " in caller["error_text"]


def test_long_lists_of_issues_are_cut(owner, make_flow):
    flow = make_flow(asking({"type": "array", "items": {"type": "integer"}}))
    answer = run(owner, flow, 422, input=["x"] * 1000)
    assert len(answer["details"]) == 50 and answer["details"][7]["path"] == "input[7]"
    assert len(answer["error"]) < 500


def test_a_schema_is_checked_when_the_flow_is(owner):
    body = {"definition": asking({"type": "objekt"})}
    issues = owner.post("/api/workflows/validate", body).json["issues"]
    assert [(issue["node_id"], issue["path"]) for issue in issues] == [("start", "nodes[0].config.input_schema")]


def test_an_expensive_schema_is_checked_in_a_separate_process(owner, make_flow):
    flow = make_flow(asking({"properties": {"a": {"pattern": "^.{1,600}$"}}}))
    assert run(owner, flow, 422, input={"a": ""})["details"][0]["path"] == "input.a"
    assert run(owner, flow, input={"a": "b"})["status"] == "success"


def test_input_that_cannot_be_validated_is_refused(owner, make_flow):
    flow = make_flow(asking({"pattern": "(.{1,100}){1,50}!"}))
    answer = run(owner, flow, 422, input="é" * 20_000)
    assert answer["error"].startswith("The input cannot be checked: the data cannot be validated by this schema")
    assert Run.select().count() == 0
