"""The metrics for Prometheus: of all processes, each described in docs/monitoring.md; and the dashboard for them."""

import json
import re
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from each import for_each
from prometheus_client.parser import text_string_to_metric_families
from servers import Server, until
from world import add_flow, chain, flow, node

from api.http.request_metrics import RUN, WEBHOOK, RequestMetrics, describe_route
from database import write
from database.base import now_ms
from database.queries import leases, runs, server_metrics, server_state
from database.queries.leases import Load
from database.queries.runs import execute_units
from database.queries.server_metrics import MAX_FLOWS, Count
from dispatch.histograms import SECONDS, Counter, Histogram
from dispatch.queues import QueueState
from models import RunDay, Workflow
from packs.prometheus.metrics import METRICS

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "monitoring.md").read_text(encoding="utf-8")
DASHBOARD = json.loads((ROOT / "deploy" / "grafana.json").read_text(encoding="utf-8"))
ROW = re.compile(r"^\| `(headrace_\w+)` \| (\w+) \|(.*?)\| .+ \|$", re.MULTILINE)


@pytest.fixture
def client(app):
    """Somebody who is not logged in, as in tests/conftest.py, and not the client of nodes."""
    return app.test_client()


@pytest.fixture
def read(owner):
    """`read(name, **labels)` returns the value of the one sample with at least these labels, or None."""

    def read(name, /, **labels):
        families = text_string_to_metric_families(owner.get("/metrics").text)
        samples = [one for family in families for one in family.samples if one.name == name]
        found = [one.value for one in samples if labels.items() <= one.labels.items()]
        assert len(found) < 2, (name, labels)
        return found[0] if found else None

    return read


@pytest.fixture
def paused(server):
    """The server starts no runs."""
    server_state.pause("by a test")
    server.dispatcher.look_for_pause()


def put(flow_id, status="pending", **values):
    """Put a run on record."""
    with write():
        run = runs.accept(Workflow.find(flow_id), status=status, triggered_by="manual", **values)
        ended = [runs.counted(run)] if status in ("success", "failed") else []
        execute_units([[runs.insertion(run), *ended]])
    return run


# The table of metrics


def test_every_metric_is_described(owner):
    described = {name: (kind, tuple(re.findall(r"`(\w+)`", labels))) for name, kind, labels in ROW.findall(PAGE)}
    assert described == {metric.name: (metric.kind, metric.labels) for metric in METRICS}


def test_every_metric_is_shown_with_its_type_and_labels(owner, server, make_flow):
    put(make_flow(flow("a"), status="active")["id"], "success", finished_at=now_ms(), duration_ms=1.0)
    server.requests.seconds.observe(1.0, "/metrics")
    server.requests.responses.add("2xx")
    server.recorder.commit([])
    with write():
        server_metrics.add_counts([Count("headrace_broker_offers_total", ("sent",), "count", 1.0)])
    server.metrics.publish()
    text = owner.get("/metrics").text
    for name, kind, _, labels, _ in METRICS:
        assert f"# TYPE {name} {kind}" in text
        line = re.search(rf"^{name}(?:_count)?(?:{{(.*)}})? \S+$", text, re.MULTILINE)
        assert line, name
        assert sorted(re.findall(r'(\w+)="', line[1] or "")) == sorted(labels)


def test_a_name_says_its_unit_and_kind():
    for metric in METRICS:
        assert metric.name.endswith("_total") == (metric.kind == "counter"), metric.name
        assert metric.help and len(metric.help) < 80


# Runs and flows


def test_prometheus_reads_text(token_client, make_run):
    make_run({"nodes": [{"id": "a", "type": "noop"}]})
    answer = token_client("viewer").get("/metrics")
    assert answer.status_code == 200 and answer.content_type.startswith("text/plain; version=0.0.4")
    lines = answer.text.splitlines()
    assert 'headrace_runs{status="success"} 1.0' in lines and "headrace_paused 0.0" in lines
    assert all(line.startswith("#") or len(line.rsplit(" ", 1)) == 2 for line in lines)
    figures = dict(line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
    assert float(figures["headrace_database_bytes"]) > float(figures["headrace_database_free_bytes"]) >= 0


def test_a_paused_server_says_so(paused, read):
    assert read("headrace_paused") == 1


def test_runs_are_counted_by_state(paused, make_flow, read):
    made = make_flow(flow("a"), status="active")["id"]
    limited = "a free place (max_concurrent_runs)"
    for status, waiting in (("pending", None), ("pending", "a time"), ("pending", limited), ("pending", "an answer")):
        put(made, status, waiting=waiting)
    put(made, "failed", finished_at=now_ms(), duration_ms=2_000.0)
    put(made, "running")
    put(made, "running", recorded=True)
    counts = {state: read("headrace_unfinished_runs", state=state) for state in ("running", "claimable", "limited")}
    assert (
        counts == {"running": 1, "claimable": 1, "limited": 1}
        and read("headrace_unfinished_runs", state="waiting") == 2
    )
    assert read("headrace_ended_runs_total", status="failed") == 1
    assert read("headrace_workflow_runs_total", workflow_id=made, status="failed") == 1
    assert read("headrace_workflow_runs_total", workflow_id=made, status="success") == 0
    assert read("headrace_workflow_run_seconds_total", workflow_id=made) == 2
    assert read("headrace_workflow_unfinished_runs", workflow_id=made, state="waiting") == 2


def test_a_flow_has_its_name(make_flow, read):
    made = make_flow(flow("a"), status="active")
    put(made["id"], "success", finished_at=now_ms(), duration_ms=1.0)
    assert read("headrace_workflow_info", workflow_id=made["id"], name=made["name"]) == 1


def test_claimable_runs_are_counted_by_lane_and_the_oldest_has_its_age(paused, workspace, read):
    assert read("headrace_oldest_claimable_seconds") == 0
    slow = add_flow(chain(node("a", "agent", {"agent_id": "summarizer", "task": "x"})), workspace.id)
    for each in (slow, slow, add_flow(flow("a"), workspace.id)):
        put(each.id)
    put(slow.id, claims=1, created_at=1)  # it has begun before
    assert read("headrace_claimable_runs", lane="slow") == 3 and read("headrace_claimable_runs", lane="runs") == 1
    assert 0 <= read("headrace_oldest_claimable_seconds") < 60


def test_only_the_busiest_flows_have_series(owner, workspace, read):
    today = now_ms() // 86_400_000
    with write():
        for number in range(MAX_FLOWS + 10):
            RunDay.create(
                workspace_id=workspace.id, workflow_id=f"flow_{number:03}", day=today, total=number + 1,
                success=number + 1, failed=0, duration_ms=1.0,
            )  # fmt: skip
    text = owner.get("/metrics").text
    shown = re.findall(r'headrace_workflow_info{.*workflow_id="(\w+)"', text)
    assert sorted(shown) == [f"flow_{number:03}" for number in range(10, MAX_FLOWS + 10)]


# Processes


def test_processes_are_counted_by_role(server, read):
    leases.beat("proc_worker", 60_000)
    leases.beat("proc_silent", -1)
    leases.lead("leader", "lead_1", 60_000)
    with write():
        leases.describe("proc_worker", "worker", Load(5, 16))
    server.metrics.publish()
    assert read("headrace_processes", role="worker") == 1 and read("headrace_active_runs", role="worker") == 5
    assert read("headrace_processes", role="all") == 1
    assert read("headrace_run_threads", role="all") == server.config.run_threads


def test_queues_are_summed_by_role_and_the_longest_silence_counts(server, read):
    for name, load in (("proc_1", Load(1, 2, 3, 4, 1, 12_500)), ("proc_2", Load(10, 20, 30, 40, 1, 500))):
        leases.beat(name, 60_000)
        with write():
            leases.describe(name, "worker", load)
    names = ("queued_runs", "broker_unsent_offers", "broker_down", "broker_deaf_seconds")
    assert [read(f"headrace_{name}", role="worker") for name in names] == [33, 44, 2, 12.5]
    server.metrics.publish()
    assert [read(f"headrace_{name}", role="all") for name in names] == [0, 0, 0, 0]


def test_runs_without_a_thread_are_queued(server, read):
    for number in range(server.dispatcher.queue.max_slow + 3):
        server.dispatcher.queue.offer(f"slow_{number}", "slow")
    server.metrics.publish()
    assert read("headrace_queued_runs", role="all") >= 3


class FakeBroker:
    """A broker with this state."""

    def __init__(self, *state):
        self.answer = QueueState(*state)

    def state(self):
        return self.answer


def test_ready_warns_of_a_proxy_that_is_not_trusted(server, client, monkeypatch):
    assert client.get("/api/ready").json["warning"] is None
    monkeypatch.setattr(server, "config", replace(server.config, public_url="https://flows.example.org"))
    answer = client.get("/api/ready")
    assert answer.status_code == 200 and "HEADRACE_TRUSTED_PROXIES" in answer.json["warning"]


def test_the_state_of_the_broker_is_published_and_ready_tells_it(server, client, read, monkeypatch):
    assert client.get("/api/ready").json["broker"] is None
    monkeypatch.setattr(server.dispatcher, "broker", FakeBroker(7, True, 3.25))
    server.metrics.publish()
    assert read("headrace_broker_down", role="all") == 1 and read("headrace_broker_unsent_offers", role="all") == 7
    assert read("headrace_broker_deaf_seconds", role="all") == 3.25
    ready = client.get("/api/ready")
    assert ready.status_code == 200 and ready.json["broker"] == "down"
    monkeypatch.setattr(server.dispatcher, "broker", FakeBroker(0))
    assert client.get("/api/ready").json["broker"] == "up"


def test_events_are_counted_by_their_label_and_given_back():
    counter = Counter("x_total")
    for label in ("sent", "sent", "failed"):
        counter.add(label)
    taken = counter.take()
    assert {(one.labels, one.part, one.value) for one in taken} == {(("sent",), "count", 2), (("failed",), "count", 1)}
    assert counter.take() == []
    counter.give_back(taken)
    counter.add("sent")
    assert {one.labels: one.value for one in counter.take()} == {("sent",): 3, ("failed",): 1}


# Histograms


def test_a_histogram_is_added_to_those_of_other_processes(server, read):
    for seconds in (0.0001, 0.2, 0.25, 100):
        server.requests.seconds.observe(seconds, "/api/runs")
    server.metrics.publish()
    with write():
        server_metrics.add_counts([Count("headrace_http_request_seconds", ("/api/runs",), "0.5", 2.0)])
    name = "headrace_http_request_seconds_{}"
    buckets = {
        le: read(name.format("bucket"), route="/api/runs", le=le) for le in ("0.005", "0.1", "0.5", "2.5", "+Inf")
    }
    assert buckets == {"0.005": 1, "0.1": 1, "0.5": 5, "2.5": 5, "+Inf": 6}
    assert read(name.format("count"), route="/api/runs") == 6
    assert read(name.format("sum"), route="/api/runs") == pytest.approx(100.4501)
    server.metrics.publish()
    assert read(name.format("count"), route="/api/runs") == 6


def test_counts_that_cannot_be_written_are_kept(server, monkeypatch):
    def refuse(*given):
        raise OSError("full")

    server.requests.seconds.observe(1.0, "/x")
    with monkeypatch.context() as patch:
        patch.setattr(leases, "describe", refuse)
        with pytest.raises(OSError):
            server.metrics.publish()
        server.metrics.publish_last()
    assert [count for count in server_metrics.list_counts() if "/x" in count.labels] == []
    server.requests.seconds.observe(1.0, "/x")
    server.metrics.publish()
    found = {count.part: count.value for count in server_metrics.list_counts() if "/x" in count.labels}
    assert found == {"2.5": 2, "sum": 2}


def test_commits_of_runs_are_counted(server, make_flow, owner, read):
    made = make_flow(flow("a"), status="active")["id"]
    owner.post(f"/api/workflows/{made}/run", {})
    server.metrics.publish()
    assert read("headrace_commit_seconds_count") >= 1
    assert read("headrace_commit_size_sum") >= read("headrace_commit_size_count")
    assert read("headrace_commit_seconds_sum") > 0


def test_every_value_is_in_its_bucket():
    histogram = Histogram("x", SECONDS)
    for bound in SECONDS:
        histogram.observe(bound)
    assert [count.part for count in histogram.take()] == [*(f"{bound:g}" for bound in SECONDS), "sum"]
    assert histogram.take() == []


class Exchange:
    """As much of an exchange of the HTTP worker as is counted."""

    def __init__(self, path="/", environ=None, status=200, is_shortcut=False):
        self.request = type("Request", (), {"path": path})()
        self.response = None if status is None else type("Response", (), {"status_code": status})()
        self.environ, self.is_shortcut = environ or {}, is_shortcut


@for_each(
    "given, labels",
    [
        ({"environ": {"headrace.route": "/api/runs/<run>"}, "status": 404}, ("/api/runs/<run>", "4xx")),
        ({}, ("none", "2xx")),
        ({"status": 999}, ("none", "5xx")),
        ({"status": None}, ("none", "5xx")),
        ({"is_shortcut": True, "path": "/api/webhooks/a/b"}, ("/api/webhooks/<path>", "2xx")),
        ({"is_shortcut": True, "path": "/api/workflows/w/run"}, ("/api/workflows/<flow>/run", "2xx")),
    ],
)  # fmt: skip
def test_a_request_is_counted_by_its_route(given, labels):
    counted = RequestMetrics()
    counted.count(Exchange(**given), 0.5)
    assert {count.labels for count in counted.seconds.take()} == {labels[:1]}
    assert counted.responses.take() == [Count("headrace_http_responses_total", labels[1:], "count", 1)]


def test_routes_of_shortcuts_are_routes_of_views(app):
    assert {RUN, WEBHOOK} <= {describe_route(rule.rule) for rule in app.url_map.iter_rules()}


def test_the_labels_of_requests_are_few(app):
    routes = {describe_route(rule.rule) for rule in app.url_map.iter_rules()}
    assert len(routes) < 150 and not [route for route in routes if ":" in route]


# The dashboard


def expressions():
    """The queries of the dashboard."""
    for panel in DASHBOARD["panels"]:
        yield from (target["expr"] for target in panel.get("targets", ()))


def test_the_dashboard_asks_only_for_metrics_that_exist():
    names = {metric.name for metric in METRICS if metric.kind != "histogram"}
    names |= {f"{one.name}_{part}" for one in METRICS if one.kind == "histogram" for part in ("bucket", "sum", "count")}
    asked = {name for expr in expressions() for name in re.findall(r"\bheadrace_\w+", expr)}
    assert asked <= names
    shown = {metric.name for metric in METRICS if any(metric.name in expr for expr in expressions())}
    assert shown == {metric.name for metric in METRICS}


def test_the_dashboard_groups_only_by_labels_that_exist():
    known = {label for metric in METRICS for label in metric.labels} | {"le"}
    for expr in expressions():
        for labels in re.findall(r"(?:by|on|group_left) \(([^)]*)\)", expr):
            assert set(labels.split(", ")) <= known, expr
        assert expr.count("(") == expr.count(")") and expr.count("{") == expr.count("}")


def test_the_dashboard_can_be_imported():
    assert DASHBOARD["title"] == "Headrace" and DASHBOARD["schemaVersion"] >= 36 and "id" not in DASHBOARD
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(ids) == len(set(ids))
    source, _ = DASHBOARD["templating"]["list"]
    assert (source["type"], source["query"]) == ("datasource", "prometheus")
    for panel in DASHBOARD["panels"]:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24 and panel["type"] in ("row", "stat", "timeseries")
        for target in panel.get("targets", ()):
            assert target["datasource"]["uid"] == "${datasource}"


# Real processes


@pytest.mark.slow
def test_the_counts_of_all_processes_stay_when_the_server_stops(tmp_path):
    webhook = {"id": "hook", "type": "webhook", "config": {"path": "counted", "respond": "last"}}
    with closing(Server(tmp_path / "data", WEB_CONCURRENCY=2)) as server:
        server.start().log_in()
        made = server.add_flow({"nodes": [webhook]})
        for _ in range(20):
            server.call("POST", "/api/webhooks/counted", {})
            server.call("GET", f"/api/workflows/{made}")
        assert server.request("GET", "/nothing")[0] == 404
        server.terminate()
        assert server.ended() == 0
        server.start()

        def read():
            return server._exchange("GET", "/metrics", None, {})[1].decode().splitlines()

        until(lambda: 'headrace_processes{role="all"} 2.0' in read(), "both processes have a lease")
        lines = read()
        for route in ("/api/webhooks/<path>", "/api/workflows/<flow>"):
            assert f'headrace_http_request_seconds_count{{route="{route}"}} 20.0' in lines
        assert 'headrace_http_request_seconds_count{route="none"} 1.0' in lines
        assert 'headrace_http_responses_total{status="4xx"} 1.0' in lines
        assert [
            line for line in lines if f'headrace_workflow_runs_total{{status="success",workflow_id="{made}"' in line
        ]


@pytest.mark.slow
def test_the_metrics_of_all_routes_are_less_than_100_kb(tmp_path, app):
    routes = {describe_route(rule.rule): rule for rule in app.url_map.iter_rules()}
    with closing(Server(tmp_path / "server", WEB_CONCURRENCY=1)) as server:
        server.start().log_in()
        token, server.token = server.token, None
        for rule in routes.values():
            path = re.sub(r"<(?:any\((\w+)[^>]*|[^>]*)>", lambda found: found[1] or "1", rule.rule)
            for method in rule.methods - {"HEAD"}:
                server._exchange(method, path, None, {})
        server.terminate()
        assert server.ended() == 0
        server.token = token
        server.start()
        answer, text = server._exchange("GET", "/metrics", None, {})
    assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    counted = set(re.findall(r'headrace_http_request_seconds_count{route="([^"]*)"}', text.decode()))
    assert counted >= routes.keys() and len(text) < 100_000
