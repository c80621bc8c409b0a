"""The settings that a step had, and the counts of items: computed from the record of a run."""

from datetime import datetime

import pytest
from test_previews import SECRET
from test_runs import start

from dispatch.expression_preview import HIDDEN, MAX_VALUE

pytestmark = pytest.mark.usefixtures("shared_server")


@pytest.fixture
def sent(owner):
    """`sent(run, node, …)` returns the answer for the last step of this node; its settings by name."""

    def read(run, node, query="", who=owner):
        steps = owner.get(f"/api/runs/{run['id']}/steps?node_id={node}&values=false").json["items"]
        answer = who.get(f"/api/runs/{run['id']}/steps/{steps[-1]['number']}/settings{query}")
        assert answer.status_code == 200, answer.text
        found = answer.json
        named = None if found["settings"] is None else {item["name"]: item for item in found["settings"]}
        return found | {"settings": named}

    return read


def values(sent):
    return {name: item["value"] if item["ok"] else item["error"] for name, item in sent["settings"].items()}


def flow_of(*nodes, foreach=None):
    made = [{"id": "start", "type": "manual"}, *nodes]
    ids = [node["id"] for node in made]
    return {"nodes": made, "edges": [[a, b] for a, b in zip(ids, ids[1:], strict=False)]}


def set_(id_="make", **more):
    return {"id": id_, "type": "set", **more}


def test_expressions_have_the_values_that_the_step_had(owner, make_flow, sent):
    config = {"values": {"n": "{{ input.n * 2 }}", "text": "from {{ trigger.name }}", "fixed": 1}}
    run = start(owner, make_flow(flow_of(set_(config=config))), {"input": {"n": 21, "name": "Ada"}})
    assert values(sent(run, "make")) == {"values": {"n": 42, "text": "from Ada", "fixed": 1}}
    assert values(sent(run, "start")) == {}


def test_a_definition_that_changed_since_does_not_matter(owner, make_flow, sent):
    flow = make_flow(flow_of(set_(config={"values": {"n": "{{ input.n }}"}})))
    run = start(owner, flow, {"input": {"n": 1}})
    changed = flow_of(set_(config={"values": {"other": "{{ input.other }}"}}))
    assert owner.put(f"/api/workflows/{flow['id']}", {"definition": changed}).status_code == 200
    assert values(sent(run, "make")) == {"values": {"n": 1}}


def test_a_draft_has_its_own_settings(owner, make_flow, sent):
    draft = flow_of(set_(config={"values": {"draft": "{{ input }}"}}))
    run = start(owner, make_flow(flow_of(set_())), {"input": 5, "definition": draft})
    assert values(sent(run, "make")) == {"values": {"draft": 5}}


def test_now_is_the_time_of_the_step(owner, make_flow, sent):
    run = start(owner, make_flow(flow_of(set_(config={"values": {"at": "{{ now }}"}}))))
    (step,) = owner.get(f"/api/runs/{run['id']}/steps?node_id=make").json["items"]
    then, shown = step["output"]["at"], values(sent(run, "make"))["values"]["at"]
    assert abs((datetime.fromisoformat(then) - datetime.fromisoformat(shown)).total_seconds()) < 1


# Secrets


@pytest.fixture
def secret(owner):
    body = {"name": "key", "type": "secret", "data": {"value": SECRET}}
    assert owner.post("/api/credentials", body).status_code == 201


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("Bearer {{ secrets.key }}", f"Bearer {HIDDEN}"),
        ("{{ secrets.key }}", HIDDEN),
        ("{{ secrets.key | upper }}", HIDDEN),
        ("{{ secrets.key | length }}", HIDDEN),
        ("{{ secrets['key'] | b64encode }}", HIDDEN),
        ("{{ secrets.key == 'guess' }}", HIDDEN),
        ("{{ input.shown }}", "yes"),
    ],
)
def test_secrets_and_texts_made_from_them_are_dots(owner, make_flow, sent, secret, written, shown):
    node = set_(config={"values": {"a": [written], "plain": "x"}})
    run = start(owner, make_flow(flow_of(node)), {"input": {"shown": "yes"}})
    found = sent(run, "make")
    assert SECRET not in str(found)
    assert values(found) == {"values": {"a": [shown], "plain": "x"}}


def test_a_secret_in_an_output_stays_redacted(owner, make_flow, sent, secret):
    nodes = set_("leak", config={"values": {"k": "{{ secrets.key }}"}}), set_(config={"values": {"k": "{{ input.k }}"}})
    run = start(owner, make_flow(flow_of(*nodes)))
    assert values(sent(run, "make")) == {"values": {"k": "***"}}


def test_links_that_answer_a_run_are_dots(owner, make_flow, sent):
    asks = {"id": "ask", "type": "approval", "config": {"message": "ok?"}}
    tells = set_("tell", config={"values": {"link": "{{ steps.ask.approved_url }}"}})
    definition = {
        "nodes": [{"id": "start", "type": "manual"}, tells, asks],
        "edges": [["start", "tell"], ["tell", "ask"]],
    }
    run = start(owner, make_flow(definition), {}, 202)
    (step,) = owner.get(f"/api/runs/{run['id']}/steps?node_id=tell").json["items"]
    assert "token=" in step["output"]["link"]
    assert values(sent(run, "tell"))["values"]["link"] == HIDDEN


# Loops


def test_an_item_of_a_loop_has_its_own_settings(owner, make_flow):
    node = {
        "id": "call",
        "type": "store",
        "config": {"operation": "set", "key": "{{ index }}: {{ item.name }}", "value": 1},
    }
    node["foreach"] = "{{ input }}"
    run = start(owner, make_flow(flow_of(node)), {"input": [{"name": "Ada"}, {"name": "Bo"}]})
    steps = owner.get(f"/api/runs/{run['id']}/steps?node_id=call&values=false").json["items"]
    (number,) = [step["number"] for step in steps if step["index"] == 1]
    found = owner.get(f"/api/runs/{run['id']}/steps/{number}/settings").json
    assert found["index"] == 1 and found["settings"][1]["value"] == "1: Bo"


def test_the_step_of_a_loop_shows_the_chosen_item(owner, make_flow, sent):
    node = set_(config={"values": {"who": "{{ item.name }}", "at": "{{ index }}"}}, foreach="{{ input }}")
    run = start(owner, make_flow(flow_of(node)), {"input": [{"name": "Ada"}, {"name": "Bo"}]})
    first, last, beyond = (sent(run, "make", f"?item={at}") for at in (0, 1, 7))
    assert values(first) == {"values": {"who": "Ada", "at": 0}} and (first["index"], first["items"]) == (0, 2)
    assert values(last) == {"values": {"who": "Bo", "at": 1}} and last["index"] == 1
    assert beyond["index"] == 1


# Limits


def test_a_large_setting_is_cut(owner, make_flow, sent):
    run = start(owner, make_flow(flow_of(set_(config={"values": "{{ input }}"}))), {"input": {"a": "x" * 100_000}})
    item = sent(run, "make")["settings"]["values"]
    assert item["ok"] and item["truncated"] and len(item["value"]) == MAX_VALUE


def test_an_expression_that_fails_says_why(owner, make_flow, sent):
    run = start(owner, make_flow(flow_of(set_(config={"values": {"a": "{{ input.nothing.more }}"}}))), {"input": {}})
    item = sent(run, "make")["settings"]["values"]
    assert not item["ok"] and "nothing" in item["error"]


def test_a_node_that_was_not_executed_has_a_reason(owner, make_flow, sent):
    flow = make_flow(flow_of(set_(config={"values": {"a": 1}}), {"id": "off", "type": "noop", "disabled": True}))
    run = start(owner, flow, {"input": 1, "pinned": {"make": {"output": {"a": 2}}}})
    assert sent(run, "make")["reason"] == "pinned" and sent(run, "make")["settings"] is None
    assert sent(run, "off")["reason"] == "skipped"


def test_viewers_may_read_the_settings_and_strangers_not(owner, make_flow, sent, member, client):
    run = start(owner, make_flow(flow_of(set_(config={"values": {"a": 1}}))))
    assert values(sent(run, "make", who=member("viewer"))) == {"values": {"a": 1}}
    assert client.get(f"/api/runs/{run['id']}/steps/0/settings").status_code == 401
    assert owner.get(f"/api/runs/{run['id']}/steps/99/settings").status_code == 404


# Counts


def test_lists_are_counted_without_sending_them(owner, make_flow):
    loop = set_("each", config={"values": {"n": "{{ item }}"}}, foreach="{{ input }}")
    nodes = {"id": "same", "type": "noop"}, loop, set_("one", config={"values": {"n": 1}})
    run = start(owner, make_flow(flow_of(*nodes)), {"input": [1, 2, 3]})
    counts = owner.get(f"/api/runs/{run['id']}/counts").json["items"]
    assert {item["node_id"]: item["count"] for item in counts} == {"start": 3, "same": 3, "each": 3}


def test_a_list_in_a_file_is_counted_too(owner, make_flow):
    node = {"id": "same", "type": "noop"}
    large = set_("large", config={"values": "{{ input }}"}, foreach="{{ range(200) }}")
    run = start(owner, make_flow(flow_of(node, large)), {"input": {"a": "x" * 10_000}})
    counts = {item["node_id"]: item["count"] for item in owner.get(f"/api/runs/{run['id']}/counts").json["items"]}
    assert counts == {"large": 200}
