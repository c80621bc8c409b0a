"""The contract's table, row by row: each path exists, and its response has every promised field with its exact type.

The answers that hold a Flow or a Run besides are in test_api_contract.py.
"""

import json
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest
from strict_answers import ANYTHING, FLOW, RUN, TIME, find_objects, id_of, misfits, or_null, watch

from database.base import new_id, now_ms
from fields import iso

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


# The contract, with the names of path parameters as the rows of `objects` are called.
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
def objects(owner, flow, run):
    """One object of each kind; its ids replace the names in the requests."""
    owner.post("/api/logs", {"message": "hello", "run_id": run["id"]})
    owner.post("/api/agent/memory", {"agent_id": "researcher", "key": "city", "content": "Rome"})
    return {"flow": flow["id"], "run": run["id"], "new_run": new_id("run")}


def fill(value, objects):
    """Return the request with ids in place of names."""
    text = json.dumps(value)
    for name, id_ in objects.items():
        text = text.replace(f"{{{name}}}", id_)
    return json.loads(text)


def ask(client, row, objects):
    method, path = fill(row.asks, objects).split(" ")
    query = fill(row.query, objects)
    body = () if row.body is None else (fill(row.body, objects),)
    return client.open(f"{path}?{query}" if query else path, *body, method=method)


@pytest.mark.parametrize("row", params(TABLE))
def test_a_row_of_the_contract_holds(owner, objects, description, row):
    watch(owner, description)
    answer = ask(owner, row, objects)
    assert answer.status_code == row.status, answer.text
    if row.shape is NOTHING:
        assert not answer.data
        return
    assert answer.mimetype == "application/json" and not misfits(answer.json, row.shape)


@pytest.mark.parametrize("row", params(row for row in TABLE if row.query))
def test_a_query_of_the_contract_is_optional(owner, objects, description, row):
    watch(owner, description)
    answer = ask(owner, row._replace(query=""), objects)
    assert answer.status_code == 200 and not misfits(answer.json, row.shape)


def test_the_contract_has_26_rows():
    assert len({row.asks for row in TABLE}) == len(TABLE) == 26


@pytest.mark.parametrize("row", params(TABLE))
def test_only_the_login_and_health_need_no_session(client, objects, description, row):
    watch(client, description)
    answer = ask(client, row, objects)
    if row.asks in ("POST /api/auth/login", "GET /api/health"):
        assert answer.status_code == 200
    else:
        assert answer.status_code == 401 and not misfits(answer.json, {"error": str})


def test_a_posted_object_is_returned_with_the_values_that_it_was_given(owner, objects, description):
    watch(owner, description)
    flow = owner.post("/api/flows", WHOLE_FLOW).json
    given = {name: WHOLE_FLOW[name] for name in ("name", "status", "version", "definition_json")}
    assert given.items() <= flow.items() and flow["id"] != WHOLE_FLOW["id"]
    body = fill(WHOLE_RUN, objects)
    times = {name: body[name].replace("Z", ".000Z") for name in ("started_at", "finished_at")}
    assert {**body, **times}.items() <= owner.post("/api/runs", body).json.items()


def test_an_object_of_an_answer_may_be_sent_back_whole(owner, objects, description):
    watch(owner, description)
    flow = owner.get(f"/api/workflows/{objects['flow']}").json
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


# Every answer that holds a Flow or a Run is as the contract says, with strict types, and as its own description says


START = {"id": "start", "type": "manual"}
ECHO = {"nodes": [START], "edges": []}
FAILS = {"nodes": [{"id": "no", "type": "stop", "config": {"message": "No stock"}}], "edges": []}
ASKS = {"nodes": [START, {"id": "ask", "type": "approval", "config": {"message": "Pay?"}}], "edges": [["start", "ask"]]}
HOOK = {"nodes": [{"id": "hook", "type": "webhook", "config": {"path": "orders"}}], "edges": []}
STOPS = {"nodes": [{"id": "gate", "type": "gate"}], "edges": []}
VISITS = {}


class World:
    """Somebody who asks, and flows and runs of all kinds. Every answer is checked as it comes."""

    def __init__(self, client, description):
        self.client = client
        self.seen = watch(client, description)

    def get(self, path, **query):
        return self.expect(200, self.client.get(f"{path}?{urlencode(query)}" if query else path))

    def expect(self, status, answer):
        assert answer.status_code == status, answer.text
        return answer

    def flow(self, definition=ECHO, **values):
        return self.expect(
            201, self.client.post("/api/flows", {"name": "Echo", "definition": definition, **values})
        ).json

    def run(self, definition=ECHO, status=200, query="", **body):
        answer = self.client.post(f"/api/workflows/{self.flow(definition)['id']}/run{query}", {"input": 1, **body})
        return self.expect(status, answer).json

    def record(self, **values):
        body = {"workflow_id": self.flow()["id"], **values}
        return self.expect(201, self.client.post("/api/runs", body)).json

    def runs(self):
        """Make runs of every status and trigger; return one that is found by all words."""
        for status in ("success", "failed", "running", "pending"):
            for trigger in ("manual", "schedule", "webhook"):
                self.record(status=status, triggered_by=trigger, output=[status])
        self.run(FAILS)
        self.client.post(f"/api/runs/{self.run(ASKS, 202)['id']}/cancel")
        self.run(ASKS, 202)
        return self.run(STOPPED, pinned={"start": {"output": {"word": "needle"}}}, until="end")


STOPPED = {"nodes": [START, {"id": "end", "type": "noop"}], "edges": [["start", "end"]]}


@pytest.fixture
def world(owner, description, gate):
    return World(owner, description)


def visit(id_, status=200):
    """Add the decorated function to VISITS: it makes this answer, maybe in several ways, and returns the answers."""

    def add(make):
        VISITS[id_, status] = make
        return make

    return add


# Flows


@visit("list_flows")
def list_flows(world):
    world.client.put(f"/api/workflows/{world.flow()['id']}/favourite")
    made = world.flow(HOOK, folder="Shop/New", tags=["eu"], status="active")
    world.client.put(f"/api/workflows/{made['id']}/favourite")
    world.expect(201, world.client.post("/api/runs", {"workflow_id": made["id"], "status": "failed"}))
    world.record(status="success")
    world.record(status="running")
    head = {"base_version": 1, "revision": 0, "definition": ECHO}
    world.expect(200, world.client.put(f"/api/workflows/{made['id']}/draft", head))
    cursor = world.get("/api/flows", limit=1).json["next_cursor"]
    pages = [{}, {"limit": 2}, {"cursor": cursor}, {"brief": "true"}, {"workspace_id": made["workspace_id"]}]
    filters = [
        *({"failing": failing} for failing in ("true", "false")),
        *({"status": status} for status in ("active", "draft", "active,draft")),
        *({"sort": order, "limit": 3} for order in ("newest", "name", "updated", "last_run")),
        *({"favourite": favourite} for favourite in ("true", "false")),
        *({"search": "ech"}, {"trigger": "webhook"}, {"folder": "Shop"}, {"folder": "Shop/New", "subfolders": "false"}),
        *({"tag": "eu"}, {"failing": "true", "brief": "true"}),
    ]
    return [world.get("/api/flows", **query) for query in pages + filters]


@visit("create_flow", 201)
def create_flow(world):
    whole = world.flow(folder="Shop", tags=["eu"])
    bodies = [{"name": "A"}, {"name": "A", "definition": ECHO, "status": "active"}, whole]
    return [world.client.post("/api/flows", body) for body in bodies]


@visit("get_flow")
def get_flow(world):
    made = [world.flow(), world.flow(status="active"), world.flow(status="archived")]
    return [world.get(f"/api/workflows/{flow['id']}") for flow in made]


@visit("update_flow")
def update_flow(world):
    made = world.flow()
    path = f"/api/workflows/{made['id']}"
    whole = world.get(path).json
    bodies = [whole, {"name": "B"}, {"definition": HOOK}, {"folder": "Shop"}, {"tags": ["eu"]}, {"status": "active"}]
    return [world.client.put(path, body) for body in bodies]


@visit("restore_flow")
def restore_flow(world):
    path = f"/api/workflows/{world.flow()['id']}"
    world.client.put(path, {"definition": HOOK})
    return [world.client.post(f"{path}/restore", {"version": 1})]


@visit("publish_flow")
def publish_flow(world):
    path = f"/api/workflows/{world.flow()['id']}"
    world.client.put(f"{path}/draft", {"base_version": 1, "revision": 0, "definition": HOOK})
    return [world.client.post(f"{path}/publish", {"activate": True})]


@visit("use_template", 201)
def use_template(world):
    names = [template["id"] for template in world.get("/api/templates").json["items"]]
    return [world.client.post(f"/api/templates/{name}/use") for name in names]


# Runs


@visit("run_flow")
def run_flow(world):
    echo, fails = world.flow(), world.flow(FAILS)
    key = {"headers": {"Idempotency-Key": "once"}}
    bodies = [{}, {"input": [1, None, "x"]}, {"definition": STOPPED, "until": "end"}]
    path = f"/api/workflows/{echo['id']}/run"
    again = [world.client.post(path, {"input": 1}, **key) for _ in range(2)]
    return [
        *again,
        *(world.client.post(path, body) for body in bodies),
        world.client.post(f"/api/workflows/{fails['id']}/run"),
    ]


@visit("run_flow", 202)
def run_and_do_not_wait(world):
    asks, stops = world.flow(ASKS), world.flow(STOPS)
    waits = [world.client.post(f"/api/workflows/{asks['id']}/run{query}") for query in ("", "?wait=0")]
    return [*waits, world.client.post(f"/api/workflows/{stops['id']}/run?wait=0.2")]


@visit("list_runs")
def list_runs(world):
    run = world.runs()
    at = iso(now_ms() + 60_000)
    cursor = world.get("/api/runs", limit=1).json["next_cursor"]
    pages = [{}, {"limit": 50, "status": "success"}, {"cursor": cursor}, {"brief": "true"}, {"waiting": "true"}]
    pages.append({"workspace_id": run["workspace_id"]})
    filters = [
        *({"status": status} for status in ("success", "failed", "running", "pending", "failed,pending")),
        *({"triggered_by": trigger} for trigger in ("manual", "schedule", "webhook")),
        *({"cancelled": cancelled} for cancelled in ("true", "false")),
        *({"workflow_id": run["workflow_id"]}, {"since": "2026-01-01", "until": at}, {"error_kind": "stop,cancelled"}),
        *({"search": run["id"][:16]}, {"search": run["id"][-6:]}, {"search": "ech"}),
        *({"data": "needle"}, {"data": "needle", "brief": "true"}),
    ]
    return [world.get("/api/runs", **query) for query in pages + filters]


@visit("list_latest_runs")
def list_latest_runs(world):
    world.runs()
    return [world.get("/api/dashboard/runs/latest", **query) for query in ({}, {"brief": "true"})]


@visit("create_run", 201)
def create_run(world):
    whole = world.get(f"/api/runs/{world.run(FAILS)['id']}").json
    world.client.delete(f"/api/runs/{whole['id']}")
    bodies = [
        *({"status": status} for status in ("success", "failed", "running", "pending")),
        {"duration_ms": 1.5, "started_at": "2026-01-01"},
        whole,
    ]
    flow = world.flow()
    return [world.client.post("/api/runs", {**body, "workflow_id": flow["id"]}) for body in bodies]


@visit("get_run")
def get_run(world):
    world.runs()
    return [world.get(f"/api/runs/{run['id']}") for run in world.get("/api/runs").json["items"]]


@visit("list_run_children")
def list_run_children(world):
    config = {"workflow_id": world.flow()["id"]}
    caller = world.run({"nodes": [{"id": "call", "type": "subflow", "config": config}]})
    return [world.get(f"/api/runs/{caller['id']}/children")]


@visit("cancel_run")
def cancel_run(world):
    waiting, running = world.run(ASKS, 202), world.run(STOPS, 202, "?wait=0.2")
    return [world.client.post(f"/api/runs/{run['id']}/cancel") for run in (waiting, running)]


@visit("retry_run")
def retry_run(world):
    failed, done = world.run(FAILS), world.run()
    return [
        world.client.post(f"/api/runs/{failed['id']}/retry"),
        world.client.post(f"/api/runs/{done['id']}/retry", {"from": "start", "version": 1}),
    ]


@visit("retry_run", 202)
def retry_and_do_not_wait(world):
    run = world.run(ASKS, 202)
    world.client.post(f"/api/runs/{run['id']}/cancel")
    return [world.client.post(f"/api/runs/{run['id']}/retry", {"from": "start"})]


@visit("resume_run")
def resume_run(world):
    runs = [world.run(ASKS, 202) for _ in range(2)]
    answers = ("approved", "rejected")
    return [
        world.client.post(f"/api/runs/{run['id']}/resume", {"answer": word})
        for run, word in zip(runs, answers, strict=True)
    ]


@pytest.mark.parametrize(("id_", "status"), VISITS, ids=lambda value: str(value))
def test_an_answer_with_a_flow_or_a_run_is_as_the_contract_says(world, description, id_, status):
    kinds = {kind for known, code, kind in description.holders() if (known, code) == (id_, status)}
    answers = VISITS[id_, status](world)
    assert kinds and answers
    for answer in answers:
        assert answer.status_code == status, answer.text
        assert {kind for kind, _ in find_objects(answer.json)} == kinds, answer.text
    queries = [urlsplit(answer.request.url).query for answer in answers]
    used = {name for query in queries for name, _ in parse_qsl(query)}
    assert id_ not in ("list_flows", "list_runs", "list_latest_runs") or description.query_of(id_) <= used


def test_every_answer_with_a_flow_or_a_run_is_visited(description):
    assert {(id_, status) for id_, status, _ in description.holders()} == VISITS.keys()


def test_the_description_names_the_known_answers(description):
    assert {("list_flows", 200, "Flow"), ("retry_run", 202, "Run")} <= description.holders()


@pytest.mark.slow
@pytest.mark.postgres
def test_no_other_answer_without_parameters_holds_a_flow_or_a_run(world, description):
    world.runs()
    known = {id_ for id_, _, _ in description.holders()}
    for path in description.plain_paths():
        assert world.client.get(path).status_code < 500
        id_, _, kinds = world.seen[-1]
        assert id_ in known or not kinds, f"the description of {path} does not say that it holds {kinds}"


@pytest.mark.parametrize("definition", [ECHO, FAILS])
def test_a_run_that_the_shortcut_answers_is_as_the_contract_says(world, behind, token_client, description, definition):
    path = f"/api/workflows/{world.flow(definition)['id']}/run"
    program = token_client("operator")
    seen = watch(program, description)
    assert program.post(path, {"input": 1}).status_code == 200
    assert behind.taken == 1 and seen == [("run_flow", 200, {"Run"})]


def test_an_answer_by_a_signed_link_holds_no_run(world, client, description):
    run = world.run(ASKS, 202)
    (step,) = [step for step in world.get(f"/api/runs/{run['id']}/steps").json["items"] if step["status"] == "waiting"]
    link = urlsplit(step["output"]["url"])
    seen = watch(client, description)
    answer = client.post(f"{link.path}?{link.query}", {"answer": "approved"})
    assert answer.status_code == 200 and seen == [("resume_run", 200, set())]
