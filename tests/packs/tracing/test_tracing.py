"""Traces of a real server, as a collector receives them: the spans of runs and nodes, and their places in traces."""

import socket
import subprocess
import sys

import pytest
from each import for_each
from servers import Server, until
from trace_collector import Collector
from world import ROOT, chain, flow, node

from errors import ConfigError
from packs.tracing.spans import check_packages
from registry import Registry

pytestmark = pytest.mark.slow

TRACE, CALLER = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
SERVER_KIND, CLIENT_KIND, ERROR = 2, 3, 2
SECRET = "hunter2-of-the-tests"


@pytest.fixture(scope="module")
def collector():
    with Collector() as collector:
        yield collector


@pytest.fixture(scope="module")
def server(collector, tmp_path_factory):
    settings = {
        "HEADRACE_OTLP_URL": collector.server.url_for("").rstrip("/"),
        "OTEL_BSP_SCHEDULE_DELAY": 50,
        "OTEL_RESOURCE_ATTRIBUTES": "deployment.environment.name=tests",
    }
    server = Server(tmp_path_factory.mktemp("traces") / "data", **settings)
    try:
        server.start().log_in()
        yield server
    finally:
        server.close()


def call(server, path, traceparent=None, body=None, **config):
    """Call a webhook of the server. Return the id of its run."""
    headers = {} if traceparent is None else {"traceparent": traceparent}
    answer = server.call("POST", f"/api/webhooks/{path}", body or {}, headers=headers)
    return answer["run_id"]


def hook(path, **config):
    return node("hook", "webhook", {"path": path, **config})


def request_of(server, run_id, node_id="get"):
    """Return the headers of the request that a node has sent."""
    steps = server.call("GET", f"/api/runs/{run_id}/steps")["items"]
    return next(step["output"]["body"]["headers"] for step in steps if step["node_id"] == node_id)


def test_a_run_is_in_the_trace_of_its_caller_and_hands_it_on(server, collector):
    server.add_flow(chain(hook("on"), "a", node("get", "http", {"url": collector.echo})), name="Hand on")
    run_id = call(server, "on", f"00-{TRACE}-{CALLER}-01")
    run, nodes = collector.of_run(run_id, 4)
    assert (run.name, run.trace, run.parent, run.kind) == ("Hand on", TRACE, CALLER, SERVER_KIND)
    assert {span.trace for span in nodes.values()} == {TRACE} and {span.parent for span in nodes.values()} == {run.id}
    assert request_of(server, run_id)["traceparent"] == f"00-{TRACE}-{nodes['get'].id}-01"
    assert nodes["get"].kind == CLIENT_KIND and nodes["get"].attributes["headrace.node.type"] == "http"
    assert run.start <= nodes["hook"].start <= nodes["a"].end <= nodes["get"].start < nodes["get"].end <= run.end
    assert run.attributes["headrace.status"] == "success" and run.status == 0
    assert run.resource["service.name"] == "headrace" and run.resource["deployment.environment.name"] == "tests"


def test_a_quick_run_has_the_same_spans(server, collector):
    server.add_flow(chain(hook("quick", respond="last"), "a", node("b", "set", {"values": {"x": 1}})))
    server.call("POST", "/api/webhooks/quick", {}, headers={"traceparent": f"00-{TRACE}-{CALLER}-01"})
    run_id = server.call("GET", "/api/runs?limit=1")["items"][0]["id"]
    run, nodes = collector.of_run(run_id, 4)
    assert (run.trace, run.parent, set(nodes)) == (TRACE, CALLER, {"hook", "a", "b"})
    assert all(span.parent == run.id and span.start <= span.end <= run.end for span in nodes.values())


def test_a_run_without_a_caller_begins_a_trace(server, collector):
    made = server.add_flow(flow("a"))
    runs = [collector.of_run(server.run(made, wait=10)["id"], 2)[0] for _ in range(2)]
    assert len({run.trace for run in runs}) == 2 and {run.parent for run in runs} == {""}


@for_each(
    "given", ["", "00", f"00-{'0' * 32}-{CALLER}-01", f"ff-{TRACE}-{CALLER}-01", f"00-{TRACE.upper()}-{CALLER}-01"]
)
def test_an_invalid_context_is_ignored(server, collector, given):
    if not [one for one in server.call("GET", "/api/flows")["items"] if one["name"] == "Odd"]:
        server.add_flow(chain(hook("odd"), "a"), name="Odd")
    run, _ = collector.of_run(call(server, "odd", given), 3)
    assert run.trace != TRACE and run.parent == ""


def test_a_trace_that_is_not_sampled_is_only_handed_on(server, collector):
    server.add_flow(chain(hook("unsampled"), node("get", "http", {"url": collector.echo})))
    run_id = call(server, "unsampled", f"00-{TRACE}-{CALLER}-00")
    until(lambda: server.call("GET", f"/api/runs/{run_id}")["status"] == "success", "the run ends")
    sent = request_of(server, run_id)["traceparent"]
    assert sent.startswith(f"00-{TRACE}-") and sent.endswith("-00") and CALLER not in sent
    collector.of_run(server.run(server.add_flow(flow("a")), wait=10)["id"], 2)  # later spans have come
    assert not [span for span in collector.spans if span.attributes["headrace.run.id"] == run_id]


def test_a_header_of_the_node_is_not_replaced(server, collector):
    config = {"url": collector.echo, "headers": {"Traceparent": f"00-{TRACE}-{CALLER}-01"}}
    run = server.run(server.add_flow(flow(node("get", "http", config))), wait=10)
    assert request_of(server, run["id"])["traceparent"] == f"00-{TRACE}-{CALLER}-01"


def test_a_run_that_another_run_started_is_in_its_trace(server, collector):
    called = server.add_flow(chain(node("start", "called"), "a"), name="Called")
    caller = server.add_flow(flow(node("sub", "subflow", {"workflow_id": called, "input": {}})), name="Caller")
    run, _ = collector.of_run(server.run(caller, wait=10)["id"], 2)
    (child,) = server.call("GET", f"/api/runs?workflow_id={called}")["items"]
    below, _ = collector.of_run(child["id"], 3)
    assert (below.trace, below.parent) == (run.trace, run.id)


def test_a_failure_has_its_kind_and_no_value(server, collector):
    server.call("POST", "/api/credentials", {
        "name": "key", "type": "http_bearer", "data": {"token": SECRET}, "hosts": ["127.0.0.1"],
    })  # fmt: skip
    url = f"{collector.echo}?word={{{{ trigger.body.word }}}}"
    failing = chain(
        hook("fails"),
        node("get", "http", {"url": url, "credential": "key"}),
        node("stop", "stop", {"message": "{{ trigger.body.word }}"}),
    )
    server.add_flow(failing)
    run, nodes = collector.of_run(call(server, "fails", body={"word": "rhubarb"}), 4)
    kind = nodes["stop"].attributes["error.type"]
    assert kind and run.attributes["error.type"] == kind and run.attributes["headrace.error.node_id"] == "stop"
    assert (run.status, nodes["stop"].status, nodes["get"].status) == (ERROR, ERROR, 0)
    sent = b"".join(collector.bodies)
    assert b"rhubarb" not in sent and SECRET.encode() not in sent and run.message == nodes["stop"].message == ""


def test_a_run_that_waited_while_the_server_was_killed_has_one_span(server, collector):
    ask = node("ask", "approval", {"message": "May it?"})
    made = server.add_flow(flow("a", ask, "b", edges=["a ask", "ask b approved"]))
    run_id = server.run(made)["id"]
    until(lambda: server.call("GET", f"/api/runs/{run_id}")["waiting"], "the run waits")
    until(lambda: [one for one in collector.spans if one.attributes["headrace.run.id"] == run_id], "a span has come")
    server.kill()
    server.start()
    server.call("POST", f"/api/runs/{run_id}/resume", {"node_id": "ask", "answer": "approved"})
    run, nodes = collector.of_run(run_id, 4)
    assert set(nodes) == {"a", "ask", "b"} and {span.parent for span in nodes.values()} == {run.id}
    assert run.attributes["headrace.claims"] == 2 and nodes["ask"].end - nodes["ask"].start > 0


def test_a_cancelled_run_has_its_span(server, collector):
    made = server.add_flow(flow(node("ask", "approval", {"message": "May it?"})))
    run_id = server.run(made)["id"]
    until(lambda: server.call("GET", f"/api/runs/{run_id}")["waiting"], "the run waits")
    server.call("POST", f"/api/runs/{run_id}/cancel", {})
    run, _ = collector.of_run(run_id, 1)
    assert (run.attributes["error.type"], run.attributes["headrace.cancelled"]) == ("cancelled", True)


def test_a_collector_that_does_not_answer_delays_nothing(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        server = Server(tmp_path / "data", HEADRACE_OTLP_URL=url, OTEL_BSP_SCHEDULE_DELAY=10, WEB_CONCURRENCY=1)
        try:
            server.start().log_in()
            made = server.add_flow(flow("a"))
            for _ in range(20):
                assert server.run(made, wait=10)["status"] == "success"
            server.terminate()
            assert server.ended(seconds=20) == 0
        finally:
            server.close()


def test_nothing_is_imported_without_the_setting(tmp_path):
    script = (
        "import sys, workflow_server; from config import Config; from pathlib import Path\n"
        "app = workflow_server.create_app(Config(data_dir=Path(sys.argv[1])), print_login=False)\n"
        "server = app.extensions['headrace']; server.start(); server.stop()\n"
        "print([name for name in sys.modules if name.startswith('opentelemetry')])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "data")], cwd=ROOT, text=True, capture_output=True, timeout=60
    )
    assert done.stdout == "[]\n", done.stderr


def test_missing_packages_are_named_at_the_start(monkeypatch):
    monkeypatch.setitem(sys.modules, "opentelemetry", None)
    with pytest.raises(ConfigError, match="pip install -r packs/tracing/requirements.txt"):
        check_packages()


def test_the_setting_is_refused_without_the_pack():
    with pytest.raises(ConfigError, match="HEADRACE_OTLP_URL needs the pack tracing"):
        Registry().find_part("tracing", "HEADRACE_OTLP_URL")
