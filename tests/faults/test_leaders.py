"""Leaders that were frozen for longer than their lease, and processes of two versions beside each other."""

import json
import os
import signal
from collections import Counter

import pytest
from record import check_effects
from servers import processes, states_of, until
from test_killed_schedules import scheduled

pytest.importorskip("celery")

pytestmark = [pytest.mark.slow, pytest.mark.postgres]

FLOWS = 6
FIRES = "SELECT workflow_id, instant, run_id FROM schedule_fires ORDER BY instant"
OWN = """
from marshmallow import Schema
from nodes.sdk import Node


class Shout(Node):
    \"\"\"Says it loudly.\"\"\"

    type = "shout"
    category = "data"

    class Config(Schema):
        pass

    def run(self, config, input, ctx):
        return {"said": "HELLO"}
"""


def signal_all(server, number):
    """Send a signal to all processes of a server. Return when they are stopped, if it stops them."""
    pids = [pid for pid, _, session in processes() if session == server.master]
    for pid in pids:
        os.kill(pid, number)
    if number == signal.SIGSTOP:
        until(lambda: all(set(states_of(pid)) <= {"T"} for pid in pids), "the processes are stopped")


def leader_of(found):
    """Return the owner of a valid lease of the leader, or None."""
    valid = "name = 'leader' AND until > EXTRACT(EPOCH FROM clock_timestamp()) * 1000"
    return next((row.owner for row in found.ask(f"SELECT owner FROM leases WHERE {valid}")), None)


def test_a_leader_that_was_frozen_fires_no_instant_again(team, effects):
    found = team()
    flows = [found.web.add_flow(scheduled(effects.url, every=1)) for _ in range(FLOWS)]
    servers = [found.web, *found.workers]
    leaders = {until(lambda: leader_of(found), "a process leads")}

    def go_on(times):
        before = Counter(fire.workflow_id for fire in found.ask(FIRES))

        def enough():
            now = Counter(fire.workflow_id for fire in found.ask(FIRES))
            return all(now[flow] - before[flow] >= times for flow in flows)

        until(enough, "the schedules go on")

    go_on(1)
    # Two different survivors, so that at least one of them was not the leader.
    for survivor in servers[1:]:
        others = [server for server in servers if server is not survivor]
        for server in others:
            signal_all(server, signal.SIGSTOP)
        go_on(2)
        leaders.add(leader_of(found))
        for server in others:
            signal_all(server, signal.SIGCONT)
        go_on(2)
    assert len(leaders) > 1
    for flow in flows:
        found.web.call("PUT", f"/api/workflows/{flow}", {"status": "archived"})
    until(lambda: not found.ask("SELECT 1 FROM runs WHERE finished_at IS NULL"), "all runs end")
    fires, runs = found.ask(FIRES), found.ask("SELECT * FROM runs")
    assert sorted(fire.run_id for fire in fires) == sorted(run.id for run in runs)
    assert {run.status for run in runs} == {"success"}
    told = Counter((run.workflow_id, json.loads(run.input)["scheduled_for"]) for run in runs)
    assert set(told.values()) == {1}
    seen, steps = effects.seen(), found.ask("SELECT * FROM all_steps")
    for run in runs:
        check_effects(run, [step for step in steps if step.run_id == run.id], seen)


def test_an_older_build_leaves_runs_with_new_node_types_to_newer_ones(team, tmp_path):
    folder = tmp_path / "own"
    folder.mkdir()
    (folder / "shout.py").write_text(OWN)
    found = team(workers=1, HEADRACE_NODES_DIR=folder)
    older, newer = found.add_worker(HEADRACE_NODES_DIR=""), found.workers[0]
    nodes = [{"id": "pause", "type": "wait", "config": {"seconds": 0.1}}, {"id": "shout", "type": "shout"}]
    flow = found.web.add_flow({"nodes": nodes, "edges": [["pause", "shout"]]})
    plain = found.web.add_flow({"nodes": nodes[:1], "edges": []})

    def start(count=20):
        return [found.web.run(each)["id"] for _ in range(count) for each in (flow, plain)]

    def pending():
        return found.ask("SELECT workflow_id FROM runs WHERE finished_at IS NULL")

    ids = start()
    until(lambda: not pending(), "all runs end")
    newer.kill()
    ids += start(5)
    # The web process has the node type too, so the runs are not failed, though no worker has it.
    until(lambda: {run.workflow_id for run in pending()} == {flow}, "the older one ends the plain runs")
    older.said("is left to a process that has its node types")
    newer.start()
    until(lambda: not pending(), "all runs end")
    assert {(run.id, run.status) for run in found.ask("SELECT id, status FROM runs")} == {
        (id_, "success") for id_ in ids
    }


@pytest.mark.soak
@pytest.mark.nightly
def test_processes_go_on_after_a_newer_build_migrated_the_database_and_older_ones_do_not_start(team):
    found = team(workers=1)
    found.ask("INSERT INTO schema_migration (name, applied) VALUES ('9999_future', now()) RETURNING name")
    flow = found.web.add_flow({"nodes": [{"id": "pause", "type": "wait", "config": {"seconds": 0.1}}], "edges": []})
    assert found.web.run(flow, wait=30)["status"] == "success"
    with pytest.raises(AssertionError, match="which does not know its migrations 9999_future"):
        found.add_worker()
