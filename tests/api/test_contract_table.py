"""The contract's table, row by row: each path exists, and its response has every promised field with its exact type.

The answers that hold a Flow or a Run besides are in test_contract_everywhere.py.
"""

import json
from typing import Any, NamedTuple

import pytest
from strict_answers import ANYTHING, FLOW, RUN, TIME, id_of, misfits, or_null, watch

from database.base import new_id

pytestmark = pytest.mark.usefixtures("shared_server")

STEP = {
    "id": str,
    "run_id": id_of("run"),
    "node_id": str,
    "node_type": str,
    "node_name": str,
    "status": {"running", "success", "failed", "skipped", "waiting"},
    "attempt": int,
    "input": ANYTHING,
    "output": ANYTHING,
    "error_text": or_null(str),
    "started_at": TIME,
    "finished_at": or_null(TIME),
    "duration_ms": or_null(int),
    "duration_us": or_null(int),
}
LOG = {
    "id": id_of("log"),
    "run_id": or_null(id_of("run")),
    "node_id": or_null(str),
    "level": {"debug", "info", "warning", "error"},
    "message": str,
    "data": ANYTHING,
    "created_at": TIME,
}
SESSION = {
    "session": {"id": id_of("ses"), "workspace_id": id_of("ws"), "created_at": TIME, "expires_at": TIME},
    "user": {"id": id_of("usr"), "email": str, "name": str},
}
NODE = {"type": str, "name": str, "category": str, "description": str, "config_schema": dict}
AGENT = {"id": str, "name": str, "description": str, "instructions": str, "tools": list}
MEMORY = {
    "id": id_of("mem"),
    "agent_id": str,
    "session": str,
    "key": str,
    "content": str,
    "tags": list,
    "expires_at": or_null(TIME),
    "created_at": TIME,
    "updated_at": TIME,
}
TEMPLATE = {"id": str, "name": str, "description": str, "category": str, "definition": dict}
METRICS = {"total_runs": int, "success_runs": int, "last_run_at": or_null(TIME)}
HEALTH = {"ok": True, "ts": TIME}
NOTHING = None
LOGIN = {"email": "owner@example.org", "password": "correct horse battery"}
WHOLE_FLOW = {
    "id": "wf_01KDVDNSE8AX2R4D9Q7W3NYMTB",
    "name": "Orders",
    "status": "draft",
    "version": 1,
    "workspace_id": "ws_01KDVDNSE8AX2R4D9Q7W3NYMTB",
    "definition_json": '{"nodes":[],"edges":[]}',
    "created_at": "2026-01-01T00:00:00Z",
    "updated_at": "2026-01-01T00:00:00Z",
}
WHOLE_RUN = {
    "id": "{new_run}",
    "workflow_id": "{flow}",
    "workflow_name": "Orders",
    "status": "success",
    "triggered_by": "webhook",
    "duration_ms": 1234,
    "started_at": "2026-01-01T00:00:00Z",
    "finished_at": "2026-01-01T00:00:05Z",
    "output": {"ok": True},
    "error_text": None,
}


def items(shape):
    """Return the shape of a list, which has at least one such item."""
    return {"items": [shape]}


class Row(NamedTuple):
    """A row of the contract, with a request of it: its body, and the status and shape of its answer."""

    asks: str
    shape: Any
    body: Any = None
    status: int = 200
    query: str = ""


# The contract, with the names of path parameters as the rows of `world` are called.
TABLE = [
    Row("POST /api/auth/login", SESSION, LOGIN),
    Row("GET /api/auth/session", SESSION),
    Row("DELETE /api/auth/session", NOTHING, status=204),
    Row("GET /api/flows", items(FLOW)),
    Row("POST /api/flows", FLOW, WHOLE_FLOW, 201),
    Row("GET /api/workflows/{flow}", FLOW),
    Row("PUT /api/workflows/{flow}", FLOW, WHOLE_FLOW),
    Row("DELETE /api/workflows/{flow}", NOTHING, status=204),
    Row("POST /api/workflows/{flow}/run", RUN, {"input": 1}),
    Row("GET /api/runs", items(RUN), query="limit=50&status=success"),
    Row("POST /api/runs", RUN, WHOLE_RUN, 201),
    Row("GET /api/runs/{run}", RUN),
    Row("GET /api/runs/{run}/steps", items(STEP)),
    Row("GET /api/dashboard/runs/latest", items(RUN)),
    Row("GET /api/logs", items(LOG), query="run_id={run}&limit=5"),
    Row("POST /api/logs", LOG, {"message": "hello", "run_id": "{run}"}, 201),
    Row("GET /api/logs/{run}", items(LOG)),
    Row("GET /api/nodes", items(NODE), query="search=set&category=data"),
    Row("GET /api/agents", items(AGENT)),
    Row("POST /api/agent/run", {"error": str}, {"agent_id": "researcher", "task": "look"}, 503),  # there is no model
    Row("GET /api/agent/logs", {"items": list}, query="agent_id=researcher"),
    Row("GET /api/agent/memory", items(MEMORY)),
    Row("POST /api/agent/memory", MEMORY, {"agent_id": "researcher", "key": "k", "content": "c"}, 201),
    Row("GET /api/templates", items(TEMPLATE)),
    Row("GET /api/metrics", METRICS),
    Row("GET /api/health", HEALTH),
]


def params(rows):
    """Return rows as parameters; those of agents need their pack: see tests/packs/agents/test_pack_off.py."""
    agents = [pytest.mark.pack("agents")]
    return [pytest.param(row, id=row.asks, marks=agents if "/agent" in row.asks else ()) for row in rows]


@pytest.fixture
def world(owner, flow, run):
    """One object of each kind; its ids replace the names in the requests."""
    owner.post("/api/logs", {"message": "hello", "run_id": run["id"]})
    owner.post("/api/agent/memory", {"agent_id": "researcher", "key": "city", "content": "Rome"})
    return {"flow": flow["id"], "run": run["id"], "new_run": new_id("run")}


def fill(value, world):
    """Return the request with ids in place of names."""
    text = json.dumps(value)
    for name, id_ in world.items():
        text = text.replace(f"{{{name}}}", id_)
    return json.loads(text)


def ask(client, row, world):
    method, path = fill(row.asks, world).split(" ")
    query = fill(row.query, world)
    body = () if row.body is None else (fill(row.body, world),)
    return client.open(f"{path}?{query}" if query else path, *body, method=method)


@pytest.mark.parametrize("row", params(TABLE))
def test_a_row_of_the_contract_holds(owner, world, description, row):
    watch(owner, description)
    answer = ask(owner, row, world)
    assert answer.status_code == row.status, answer.text
    if row.shape is NOTHING:
        assert not answer.data
        return
    assert answer.mimetype == "application/json" and not misfits(answer.json, row.shape)


@pytest.mark.parametrize("row", params(row for row in TABLE if row.query))
def test_a_query_of_the_contract_is_optional(owner, world, description, row):
    watch(owner, description)
    answer = ask(owner, row._replace(query=""), world)
    assert answer.status_code == 200 and not misfits(answer.json, row.shape)


def test_the_contract_has_26_rows():
    assert len({row.asks for row in TABLE}) == len(TABLE) == 26


@pytest.mark.parametrize("row", params(TABLE))
def test_only_the_login_and_health_need_no_session(client, world, description, row):
    watch(client, description)
    answer = ask(client, row, world)
    if row.asks in ("POST /api/auth/login", "GET /api/health"):
        assert answer.status_code == 200
    else:
        assert answer.status_code == 401 and not misfits(answer.json, {"error": str})


def test_a_posted_object_is_returned_with_the_values_that_it_was_given(owner, world, description):
    watch(owner, description)
    flow = owner.post("/api/flows", WHOLE_FLOW).json
    given = {name: WHOLE_FLOW[name] for name in ("name", "status", "version", "definition_json")}
    assert given.items() <= flow.items() and flow["id"] != WHOLE_FLOW["id"]
    body = fill(WHOLE_RUN, world)
    times = {name: body[name].replace("Z", ".000Z") for name in ("started_at", "finished_at")}
    assert {**body, **times}.items() <= owner.post("/api/runs", body).json.items()


def test_an_object_of_an_answer_may_be_sent_back_whole(owner, world, description):
    watch(owner, description)
    flow = owner.get(f"/api/workflows/{world['flow']}").json
    same = owner.put(f"/api/workflows/{flow['id']}", flow)
    changes = {"updated_at", "warnings"}
    assert same.status_code == 200 and {name for name in same.json if same.json[name] != flow.get(name)} <= changes
    copy = owner.post("/api/flows", flow)
    assert copy.status_code == 201 and copy.json["definition_json"] == flow["definition_json"]
    listed = owner.get("/api/flows").json["items"][0]
    assert owner.post("/api/flows", {name: listed[name] for name in FLOW}).status_code == 201


def test_the_types_are_exact():
    """A number is not a boolean, a boolean is not a number, and a time has milliseconds and Z."""
    good = {"id": "run_01KDVDNSE8AX2R4D9Q7W3NYMTB", "at": "2026-01-01T00:00:00.000Z", "n": 1, "ok": True}
    shape = {"id": id_of("run"), "at": TIME, "n": int, "ok": bool}
    assert not misfits(good, shape)
    wrong = {
        "id": ("run_x", "wf_01KDVDNSE8AX2R4D9Q7W3NYMTB", 1, None),
        "at": ("2026-01-01T00:00:00Z", "2026-01-01T00:00:00.000+00:00", "2026-01-01 00:00:00.000Z", 0),
        "n": (True, 1.0, "1", None),
        "ok": (1, 0, "true", None),
    }
    for name, values in wrong.items():
        for value in values:
            assert misfits({**good, name: value}, shape), (name, value)
    assert misfits({}, items(FLOW)) and misfits({"items": []}, items(FLOW))


def test_all_durations_are_integers_in_the_description_of_the_api(description):
    durations = {
        f"{name}.{key}": shape["type"]
        for name, schema in description.components["schemas"].items()
        for key, shape in schema.get("properties", {}).items()
        if key.endswith(("_ms", "duration_us"))
    }
    assert {"RunOut.duration_ms", "StepOut.duration_us", "DayOut.mean_duration_ms"} <= durations.keys()
    assert {str(type_) for type_ in durations.values()} <= {"integer", "['integer', 'null']"}


def test_login_sets_the_cookie(client):
    cookie = client.post("/api/auth/login", LOGIN).headers["Set-Cookie"]
    assert cookie.startswith("headrace_session=") and "HttpOnly" in cookie and "SameSite=Lax" in cookie


@pytest.mark.pack("agents")
def test_an_agent_task_without_a_model_is_503(owner):
    answer = owner.post("/api/agent/run", {"agent_id": "researcher", "task": "look"})
    assert answer.status_code == 503 and "HEADRACE_LLM_MODEL" in answer.json["error"]


def test_definition_json_is_text_that_holds_the_definition(owner, make_flow):
    definition = {"nodes": [{"id": "a", "type": "noop"}], "edges": []}
    flow = make_flow(definition)
    assert json.loads(owner.get(f"/api/workflows/{flow['id']}").json["definition_json"]) == definition


def test_a_deleted_flow_is_404(owner, flow):
    owner.delete(f"/api/workflows/{flow['id']}")
    assert owner.get(f"/api/workflows/{flow['id']}").status_code == 404
    assert owner.get("/api/flows").json["items"] == []


def test_an_answer_may_not_be_kept_or_reinterpreted(owner):
    headers = owner.get("/api/flows").headers
    assert headers["X-Content-Type-Options"] == "nosniff" and headers["X-Frame-Options"] == "DENY"
    assert "default-src 'none'" in headers["Content-Security-Policy"]
    assert owner.get("/api/auth/session").headers["Cache-Control"] == "no-store"
