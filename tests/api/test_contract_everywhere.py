"""Every answer that holds a Flow or a Run is as the contract says, with strict types, and as its own description says.

The OpenAPI document says which answers those are: one that is added to it and not asked for here fails a test.
"""

from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest
from strict_answers import find_objects, watch

from database.base import now_ms
from fields import iso

pytestmark = pytest.mark.usefixtures("shared_server")

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
