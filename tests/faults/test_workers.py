"""A web process and two workers on PostgreSQL and RabbitMQ: whatever is killed, each run ends exactly once."""

import http.client
import json
import os
import signal
from collections import Counter
from contextlib import suppress

import pytest
from effects import http_node
from record import check_effects
from servers import until
from trace_collector import Collector
from world import Background

pytest.importorskip("celery")
from amqp.exceptions import ChannelError
from kombu import Connection

from packs.celery.queue import NAMES, CeleryQueue

pytestmark = pytest.mark.slow

RUNS = 120


def definition(url, n="{{ trigger.n }}"):
    """Return a flow with two effects, which is never quick."""
    nodes = [{"id": "start", "type": "manual"}, http_node("one", url, {"n": n}), http_node("two", url, {"n": n})]
    return {"nodes": nodes, "edges": [["start", "one"], ["one", "two"]]}


def start_runs(web, flow, count, first=0):
    """Start runs for which nobody waits. Return their ids."""
    return [web.run(flow, {"n": number})["id"] for number in range(first, first + count)]


def all_ended(team, ids):
    """Return the rows of the runs once all have ended."""

    def ended():
        rows = team.ask("SELECT * FROM runs WHERE finished_at IS NOT NULL")
        return len(rows) >= len(ids) and rows

    return until(ended, "all runs end")


def check(team, ids, effects):
    """Check that each of these runs has ended once, and its effects too, except where a kill interrupted them."""
    runs = all_ended(team, ids)
    assert Counter(run.id for run in runs) == Counter(ids)
    assert {run.status for run in runs} == {"success"}, [run.error_text for run in runs if run.error_text][:3]
    steps = team.ask("SELECT * FROM all_steps ORDER BY run_id, seq")
    seen = effects.seen()
    for run in runs:
        mine = [step for step in steps if step.run_id == run.id]
        done = Counter(step.node_id for step in mine if step.status == "success")
        assert done == {"start": 1, "one": 1, "two": 1}, mine
        check_effects(run, mine, seen)
        assert json.loads(run.output)["body"]["n"] == json.loads(run.input)["n"]
    (days,) = team.ask("SELECT SUM(total) AS total, SUM(success) AS success FROM run_days")
    assert (days.total, days.success) == (len(ids), len(ids))


def test_workers_execute_a_backlog_each_run_once(team, effects):
    team = team()
    ids = start_runs(team.web, team.web.add_flow(definition(effects.url)), RUNS)
    check(team, ids, effects)
    assert {run.claims for run in all_ended(team, ids)} == {1}
    assert max(effects.seen().values()) == 1


@pytest.mark.nightly
def test_all_workers_of_a_machine_hear_the_broker(team, broker):
    team()
    with Connection(broker.url) as connection:
        declare = connection.default_channel.queue_declare
        for name in NAMES.values():
            until(lambda name=name: declare(name, passive=True).consumer_count == 2, f"two workers consume {name}")


def test_the_broker_is_killed_under_load_and_comes_back(team, effects, broker):
    team = team()
    flow = team.web.add_flow(definition(effects.url))
    ids = start_runs(team.web, flow, 20)
    broker.kill()
    ids += start_runs(team.web, flow, RUNS)
    all_ended(team, ids)
    broker.start()
    ids += start_runs(team.web, flow, 20)
    check(team, ids, effects)
    assert max(effects.seen().values()) == 1


def test_a_worker_is_killed_and_another_continues_its_runs(team, effects):
    team = team()
    ids = start_runs(team.web, team.web.add_flow(definition(effects.held)), 8)
    effects.wait_for(4)
    team.workers[0].kill()
    effects.opened.set()
    check(team, ids, effects)


def test_a_worker_that_stops_gives_its_runs_back(team, effects):
    team = team()
    ids = start_runs(team.web, team.web.add_flow(definition(effects.held)), 8)
    effects.wait_for(4)
    assert team.workers[0].stop() == 0
    effects.opened.set()
    check(team, ids, effects)
    assert {run.deaths for run in all_ended(team, ids)} == {0}


@pytest.mark.nightly
def test_workers_without_a_broker_ask_the_database(team, effects):
    team = team(CELERY_BROKER_URL="")
    ids = start_runs(team.web, team.web.add_flow(definition(effects.url)), 30)
    check(team, ids, effects)


def test_a_caller_waits_for_a_run_of_web_while_no_worker_runs(team, effects):
    team = team(workers=0)
    flow = team.web.add_flow(definition(effects.url))
    assert team.web.run(flow, {"n": 1}, wait=30)["status"] == "success"
    waiting = team.web.run(flow, {"n": 2})["id"]
    assert team.ask("SELECT status FROM runs WHERE id = %s", waiting)[0].status == "pending"


@pytest.mark.nightly
def test_a_silent_broker_delays_no_caller(team, effects, broker):
    team = team()
    flow = team.web.add_flow(definition(effects.url))
    os.killpg(broker.process.pid, signal.SIGSTOP)
    try:
        ids = start_runs(team.web, flow, 30)
        all_ended(team, ids)
    finally:
        os.killpg(broker.process.pid, signal.SIGCONT)
    check(team, ids, effects)


def send(broker, messages):
    """Send these, as if they were ids of runs, to both queues in turn. Return when the workers have received all."""
    sender = CeleryQueue(broker.url)
    sender.start(lambda run_id: None)
    for number, id_ in enumerate(messages):
        sender.offer(id_, "slow" if number % 2 else "runs")
    until(lambda: sender.state() == (0, False, 0.0), "the messages are sent")
    sender.close()
    until(lambda: count_messages(broker) == 0, "the workers receive the messages")


def count_messages(broker):
    """Return the number of messages in the queues."""
    count = 0
    with Connection(broker.url) as connection:
        for name in NAMES.values():
            with suppress(ChannelError):  # no process has used the queue yet
                count += connection.channel().queue_declare(name, passive=True).message_count
    return count


@pytest.mark.nightly
def test_messages_that_come_again_and_again_and_of_no_run_change_nothing(team, effects, broker, seeded):
    team = team()
    flow = team.web.add_flow(definition(effects.url))
    ids = start_runs(team.web, flow, 40)
    foreign = [f"run_01J{number:023d}" for number in range(40)]
    messages = [*ids * 3, *foreign, *["nonsense", "", {"run": ids[0]}, None] * 3]
    send(broker, seeded.sample(messages, len(messages)))
    check(team, ids, effects)
    assert max(effects.seen().values()) == 1 and {run.claims for run in all_ended(team, ids)} == {1}
    # Late, and of runs that are cancelled, wait, or were deleted.
    ask = {"nodes": [{"id": "ask", "type": "approval", "config": {"message": "?"}}], "edges": []}
    waiting = start_runs(team.web, team.web.add_flow(ask), 4)
    until(lambda: {run.waiting for run in state_of(team, waiting)} == {"approval: ?"}, "the runs wait")
    for id_ in waiting[:2]:
        team.web.call("POST", f"/api/runs/{id_}/cancel")
    for id_ in ids[:10]:
        team.web.call("DELETE", f"/api/runs/{id_}", status=(200, 204))
    before = state_of(team, [*ids, *waiting])
    messages = [*ids * 3, *waiting * 3]
    send(broker, seeded.sample(messages, len(messages)))
    assert team.web.run(flow, {"n": 40}, wait=30)["status"] == "success"
    assert len(before) == 34 and state_of(team, [*ids, *waiting]) == before
    assert max(effects.seen().values()) == 1


def state_of(team, ids):
    """Return the rows of these runs, without those that were deleted."""
    return team.ask("SELECT * FROM runs WHERE id = ANY(%s) ORDER BY id", list(ids))


def test_the_web_process_is_killed_and_workers_end_what_it_had_accepted(team, effects):
    team = team()
    flow = team.web.add_flow(definition(effects.held))
    ids = start_runs(team.web, flow, 4)
    calls = [Background(team.web.run, flow, {"n": 9}, 60)]  # executed by the web process itself
    effects.wait_for(5)
    team.web.kill()
    with pytest.raises((OSError, http.client.HTTPException)):
        calls[0].result()
    effects.opened.set()
    awaited = until(lambda: team.ask("SELECT id FROM runs WHERE deaths > 0"), "the death is noticed")
    check(team, [*ids, *[run.id for run in awaited]], effects)


@pytest.mark.nightly
def test_a_worker_stops_while_its_broker_is_down(team, effects, broker):
    team = team()
    broker.kill()
    team.workers[0].said("Connection to broker lost")
    assert team.workers[0].stop() == 0
    ids = start_runs(team.web, team.web.add_flow(definition(effects.url)), 10)
    check(team, ids, effects)


def test_a_worker_is_seen_in_the_traces_and_in_the_metrics(team):
    trace, caller = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
    with Collector() as collector:
        url = collector.server.url_for("").rstrip("/")
        found = team(workers=1, HEADRACE_OTLP_URL=url, OTEL_BSP_SCHEDULE_DELAY=50)
        hook = {"id": "hook", "type": "webhook", "config": {"path": "seen"}}
        get = {"id": "get", "type": "http", "config": {"url": collector.echo}}
        found.web.add_flow({"nodes": [hook, get], "edges": [["hook", "get"]]})
        headers = {"traceparent": f"00-{trace}-{caller}-01"}
        run_id = found.web.call("POST", "/api/webhooks/seen", {}, headers=headers)["run_id"]
        run, nodes = collector.of_run(run_id, 3)
    assert (run.trace, run.parent, nodes["get"].parent) == (trace, caller, run.id)
    assert {span.resource["headrace.role"] for span in (run, *nodes.values())} == {"worker"}

    def metrics():
        return found.web._exchange("GET", "/metrics", None, {})[1].decode()

    for role in ("worker", "web"):
        until(
            lambda role=role: f'headrace_processes{{role="{role}"}} 1.0' in metrics(), f"the {role} has told its role"
        )
