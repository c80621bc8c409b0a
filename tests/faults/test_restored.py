"""A busy server is backed up and the copy restored beside it: it fires nothing until `resume`, then continues."""

import shutil
import subprocess
import sys
from collections import Counter

import pytest
from effects import http_node
from record import ask, settled, steps
from servers import PATIENCE, Server, until
from world import ROOT, chain, flow, node

pytestmark = [
    pytest.mark.slow,
    pytest.mark.sqlite_only("a backup is a copy of the database file"),
]

RENEWALS = 4  # renewals of its lease while a paused server is watched; each is a second with sweeps and ticks


def command(server, *args):
    """Run a command on the data of a server. Return its output."""
    done = subprocess.run(
        [sys.executable, str(ROOT / "workflow_server.py"), *map(str, args)],
        cwd=ROOT, env=server.environment, text=True, capture_output=True, timeout=3 * PATIENCE,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def flows(server, url):
    """Add flows in progress at the backup: calls, schedules, waits, large values, files and an approval."""
    asks = http_node("asks", url, {"n": 1})
    active = {
        "called": chain(node("hook", "webhook", {"path": "busy"}), asks, node("file", "file", WRITING)),
        "ticking": chain(node("tick", "schedule", {"every": 1, "catch_up": "all"}), asks),
        "waiting": chain(node("begin", "manual"), node("nap", "wait", {"seconds": 4}), asks),
        "large": chain(node("begin", "manual"), node("big", "set", {"values": {"text": "{{ 'x' * 100000 }}"}})),
        "asking": flow(node("may", "approval", {"message": "May it?"}), asks, edges=["may asks approved"]),
    }
    return {name: server.add_flow(definition, name) for name, definition in active.items()}


WRITING = {"operation": "write", "path": "busy/{{ run.id }}.txt", "data": "done"}


def unfinished(server):
    return {row.id for row in ask(server.database, "SELECT id FROM runs WHERE finished_at IS NULL")}


def what_fired(server):
    """Return everything that a server changes by itself unless it is paused."""
    return [
        ask(server.database, sql)
        for sql in (
            "SELECT id, status, finished_at FROM runs WHERE status != 'running' ORDER BY id",
            "SELECT * FROM schedule_fires ORDER BY instant",
            "SELECT run_id, seq, status FROM all_steps ORDER BY run_id, seq",
            "SELECT * FROM waits ORDER BY run_id",
            "SELECT next_at FROM schedules",
        )
    ]


def renewals(server, seen):
    """Return the number of lease expiry times seen so far."""
    seen |= {row.until for row in ask(server.database, "SELECT until FROM leases WHERE name LIKE 'proc%'")}
    return len(seen)


def test_a_restored_copy_of_a_busy_server_fires_nothing_until_resumed_and_repeats_nothing(
    serve, effects, start_load, tmp_path
):
    first = serve(tmp_path / "first", HEADRACE_INLINE_VALUE_BYTES="1K")
    made = flows(first, effects.url)
    for name in ("waiting", "large", "asking"):
        for _ in range(5):
            first.run(made[name])
    load = start_load(made["called"], first)
    load.start(60)
    effects.wait_for(20)
    command(first, "backup", tmp_path / "copy")
    load.join()
    first.terminate()
    first.ended()

    copy = Server(tmp_path / "second", HEADRACE_INLINE_VALUE_BYTES="1K")
    copy.data_dir.mkdir()
    shutil.copy(first.data_dir / "secret.key", copy.data_dir)
    command(copy, "restore", tmp_path / "copy")
    left, before, asked = unfinished(copy), what_fired(copy), effects.seen()
    assert left and before[0], "there is something that could go on, and something that has ended"
    second = serve(tmp_path / "second", HEADRACE_INLINE_VALUE_BYTES="1K")
    second.token = first.token

    assert second.call("GET", "/api/ready")["paused"]
    assert second.request("POST", "/api/webhooks/busy", {})[0] == 503
    assert second.request("POST", f"/api/workflows/{made['large']}/run", {})[0] == 503
    seen = set()
    until(lambda: renewals(second, seen) > RENEWALS * 2, "both of its workers have lived for a while")
    assert effects.seen() == asked and unfinished(second) == left
    after = what_fired(second)
    assert after[1:] == before[1:] and {run.id for run in before[0]} <= {run.id for run in after[0]}

    assert "resumes within seconds" in command(second, "resume")
    until(lambda: not second.call("GET", "/api/ready")["paused"], "the worker that answers goes on")
    approvals = [step.run_id for step in ask(second.database, "SELECT run_id FROM waits WHERE node_id = 'may'")]
    for run_id in approvals:
        second.call("POST", f"/api/runs/{run_id}/resume", {"node_id": "may", "answer": "approved"})
    settled(second.database, *left)
    until(lambda: len(what_fired(second)[1]) > len(before[1]) + 1, "the schedule fires again")

    done = Counter((step.run_id, step.node_id) for step in steps(second.database) if step.status == "success")
    assert set(done.values()) == {1}, "no step was done twice"
    ended = {row.id: row.status for row in ask(second.database, "SELECT id, status FROM runs")}
    assert {ended[id_] for id_ in left} == {"success"}
    instants = Counter((row.workflow_id, row.instant) for row in what_fired(second)[1])
    assert set(instants.values()) == {1}, "no instant was fired twice"
    finished = {run.id for run in before[0] if run.finished_at is not None}
    again = {key for key, times in effects.seen().items() if times != asked[key] and key.split(":")[0] in finished}
    assert not again, "what had ended before the backup asked nobody again"
