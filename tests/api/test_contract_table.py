"""The contract's table, row by row: each path exists, and its response has every promised field."""

import json
import re

import pytest

pytestmark = pytest.mark.usefixtures("shared_server")

ULID = "[0-9A-HJKMNP-TV-Z]{26}"
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
ANYTHING = object()


def id_of(prefix):
    return re.compile(f"{prefix}_{ULID}")


def or_null(shape):
    return (shape, None)


FLOW = {
    "id": id_of("wf"),
    "name": str,
    "status": {"draft", "active", "archived"},
    "version": int,
    "workspace_id": id_of("ws"),
    "definition_json": str,
    "created_at": TIME,
    "updated_at": TIME,
    "folder": or_null(str),
    "tags": list,
}
RUN = {
    "id": id_of("run"),
    "workflow_id": id_of("wf"),
    "workflow_name": str,
    "status": {"running", "success", "failed", "pending"},
    "triggered_by": {"manual", "schedule", "webhook"},
    "duration_ms": or_null(int),
    "duration_us": or_null(int),
    "started_at": or_null(TIME),
    "finished_at": or_null(TIME),
    "output": ANYTHING,
    "error_text": or_null(str),
}
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
CREDENTIAL = {"id": id_of("cred"), "name": str, "type": str, "created_at": TIME, "updated_at": TIME}
TEMPLATE = {"id": str, "name": str, "description": str, "category": str, "definition": dict}
METRICS = {"total_runs": int, "success_runs": int, "last_run_at": or_null(TIME)}


def misfits(value, shape, path=""):
    """Return the paths at which the value does not have this shape."""
    if shape is ANYTHING:
        return []
    if isinstance(shape, tuple):
        return [] if value is None else misfits(value, shape[0], path)
    if isinstance(shape, dict):
        missing = [f"{path}.{key} is missing" for key in shape if key not in value]
        return missing + [
            wrong for key in shape if key in value for wrong in misfits(value[key], shape[key], f"{path}.{key}")
        ]
    if isinstance(shape, set):
        fits = value in shape
    elif isinstance(shape, re.Pattern):
        fits = isinstance(value, str) and shape.fullmatch(value)
    else:
        fits = isinstance(value, shape) and not (shape is int and isinstance(value, bool))
    return [] if fits else [f"{path} is {value!r}"]


@pytest.fixture
def world(owner, flow, run):
    """One object of each kind; its ids replace the names in the paths below."""
    owner.post("/api/logs", {"message": "hello", "run_id": run["id"]})
    memory = owner.post("/api/agent/memory", {"agent_id": "researcher", "key": "city", "content": "Rome"}).json
    owner.post("/api/credentials", {"name": "shop", "type": "http_bearer", "data": {"token": "t"}})
    return {"flow": flow["id"], "run": run["id"], "memory": memory["id"]}


LISTS = [
    ("/api/flows", FLOW),
    ("/api/runs", RUN),
    ("/api/runs?limit=50&status=success", RUN),
    ("/api/runs/{run}/steps", STEP),
    ("/api/dashboard/runs/latest", RUN),
    ("/api/logs", LOG),
    ("/api/logs?run_id={run}&limit=5", LOG),
    ("/api/logs/{run}", LOG),
    ("/api/nodes", NODE),
    ("/api/nodes?search=set&category=data", NODE),
    ("/api/agents", AGENT),
    ("/api/agent/memory", MEMORY),
    ("/api/templates", TEMPLATE),
    ("/api/credentials", CREDENTIAL),
]


@pytest.mark.parametrize(("path", "shape"), LISTS, ids=[path for path, _ in LISTS])
def test_a_list_has_items_with_every_field_of_the_contract(owner, world, path, shape):
    answer = owner.get(path.format(**world))
    assert answer.status_code == 200
    assert answer.json["items"] and not [wrong for item in answer.json["items"] for wrong in misfits(item, shape)]


def test_all_durations_are_integers_in_the_description_of_the_api(owner):
    schemas = owner.get("/api/openapi.json").json["components"]["schemas"]
    durations = {
        f"{name}.{key}": shape["type"]
        for name, schema in schemas.items()
        for key, shape in schema.get("properties", {}).items()
        if key.endswith(("_ms", "duration_us"))
    }
    assert {"RunOut.duration_ms", "StepOut.duration_us", "DayOut.mean_duration_ms"} <= durations.keys()
    assert {str(type_) for type_ in durations.values()} <= {"integer", "['integer', 'null']"}


def test_agent_logs_is_a_list(owner):
    answer = owner.get("/api/agent/logs?agent_id=researcher")
    assert answer.status_code == 200 and answer.json["items"] == []


ONES = [
    ("/api/auth/session", SESSION),
    ("/api/workflows/{flow}", FLOW),
    ("/api/runs/{run}", RUN),
    ("/api/agent/memory/{memory}", MEMORY),
    ("/api/metrics", METRICS),
    ("/api/health", {"ok": bool, "ts": re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{3})?Z")}),
]


@pytest.mark.parametrize(("path", "shape"), ONES, ids=[path for path, _ in ONES])
def test_an_object_has_every_field_of_the_contract(owner, world, path, shape):
    answer = owner.get(path.format(**world))
    assert answer.status_code == 200
    assert not misfits(answer.json, shape)


WRITES = [
    ("POST", "/api/flows", {"name": "A"}, FLOW),
    ("PUT", "/api/workflows/{flow}", {"name": "B"}, FLOW),
    ("POST", "/api/workflows/{flow}/run", {"input": 1}, RUN),
    ("POST", "/api/runs", {"workflow_id": "{flow}", "status": "success"}, RUN),
    ("POST", "/api/logs", {"message": "hello"}, LOG),
    ("POST", "/api/agent/memory", {"agent_id": "researcher", "key": "k", "content": "c"}, MEMORY),
    ("POST", "/api/credentials", {"name": "c", "type": "http_bearer", "data": {"token": "t"}}, CREDENTIAL),
]


@pytest.mark.parametrize(("method", "path", "body", "shape"), WRITES, ids=[f"{row[0]} {row[1]}" for row in WRITES])
def test_a_write_returns_the_created_object(owner, world, method, path, body, shape):
    filled = json.loads(json.dumps(body).replace("{flow}", world["flow"]))
    answer = owner.open(path.format(**world), filled, method=method)
    assert answer.status_code in (200, 201), answer.text
    assert not misfits(answer.json, shape)


def test_login_answers_user_and_session_and_sets_the_cookie(client):
    answer = client.post("/api/auth/login", {"email": "owner@example.org", "password": "correct horse battery"})
    assert answer.status_code == 200 and not misfits(answer.json, SESSION)
    cookie = answer.headers["Set-Cookie"]
    assert cookie.startswith("headrace_session=") and "HttpOnly" in cookie and "SameSite=Lax" in cookie


@pytest.mark.parametrize("path", ["/api/auth/session", "/api/workflows/{flow}"])
def test_a_delete_answers_nothing(owner, world, path):
    answer = owner.delete(path.format(**world))
    assert answer.status_code == 204 and not answer.data


def test_an_agent_task_without_a_model_is_503(owner):
    answer = owner.post("/api/agent/run", {"agent_id": "researcher", "task": "look"})
    assert answer.status_code == 503 and "HEADRACE_LLM_MODEL" in answer.json["error"]


def test_health_needs_no_login(client):
    answer = client.get("/api/health")
    assert answer.status_code == 200 and answer.json["ok"] is True


def test_definition_json_is_text_that_holds_the_definition(owner, make_flow):
    definition = {"nodes": [{"id": "a", "type": "noop"}], "edges": []}
    flow = make_flow(definition)
    assert json.loads(owner.get(f"/api/workflows/{flow['id']}").json["definition_json"]) == definition


def test_a_deleted_flow_is_404(owner, flow):
    owner.delete(f"/api/workflows/{flow['id']}")
    assert owner.get(f"/api/workflows/{flow['id']}").status_code == 404
    assert owner.get("/api/flows").json["items"] == []


def test_every_answer_under_api_is_json(owner, world):
    for path, _ in LISTS + ONES:
        assert owner.get(path.format(**world)).mimetype == "application/json"


def test_an_answer_may_not_be_kept_or_reinterpreted(owner):
    headers = owner.get("/api/flows").headers
    assert headers["X-Content-Type-Options"] == "nosniff" and headers["X-Frame-Options"] == "DENY"
    assert "default-src 'none'" in headers["Content-Security-Policy"]
    assert owner.get("/api/auth/session").headers["Cache-Control"] == "no-store"
