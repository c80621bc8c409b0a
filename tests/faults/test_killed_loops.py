"""Loops are killed and resumed: no finished item runs again, none is lost, and their outputs keep the order."""

import json
from collections import Counter

import pytest
from effects import http_node
from record import Crashes, ask, check_effects, is_interrupted, left_on_disk, settled, steps
from servers import insist

pytestmark = [pytest.mark.slow, pytest.mark.postgres]

ITEMS = 60
KILLS = 3


def called(url):
    """Return a flow that sends its input to the peer twice, and returns it."""
    nodes = [
        {"id": "start", "type": "called"},
        http_node("one", url, {"n": "{{ trigger }}"}),
        http_node("two", url, {"n": "{{ trigger }}"}),
        {"id": "result", "type": "jmespath", "config": {"query": "body.n"}},
    ]
    ids = [node["id"] for node in nodes]
    return {"nodes": nodes, "edges": [list(pair) for pair in zip(ids, ids[1:], strict=False)]}


def looping(url, flow):
    """Return a flow that runs the other one for each item, then sends each result, several at a time."""
    each = {"workflow_id": flow, "input": "{{ item }}"}
    nodes = [
        {"id": "start", "type": "manual"},
        {"id": "each", "type": "subflow", "config": each, "foreach": "{{ input }}", "concurrency": 5},
        http_node("send", url, {"n": "{{ item }}"}, foreach="{{ input }}", concurrency=4),
        {"id": "end", "type": "set", "config": {"values": {"n": "{{ input | map(attribute='body.n') | list }}"}}},
    ]
    edges = [["start", "each"], ["each", "send"], ["send", "end"]]
    return {"nodes": nodes, "edges": edges}


def check(path, run_id, effects):
    """Check the run and the runs of its items, after all have ended."""
    runs = ask(path, "SELECT * FROM runs ORDER BY id")
    assert {run.status for run in runs} == {"success"}, [(run.status, run.error_text) for run in runs]
    (top,) = [run for run in runs if run.id == run_id]
    assert json.loads(top.output) == {"n": list(range(ITEMS))}
    places = Counter(run.parent_node_id for run in runs if run.parent_run_id == run_id)
    assert places == Counter(f"each:{index}" for index in range(ITEMS)), "each item has one run"
    assert not ask(path, "SELECT * FROM waits")
    seen, record = effects.seen(), steps(path)
    for run in runs:
        of_it = [step for step in record if step.run_id == run.id]
        ends = Counter((step.node_id, step.item_index) for step in of_it if not is_interrupted(step))
        assert set(ends.values()) == {1}
        check_effects(run, of_it, seen)


@pytest.mark.parametrize("processes", [1, 2])
def test_a_loop_survives_kills_of_all_processes(tmp_path, serve, effects, seeded, processes):
    server = serve(WEB_CONCURRENCY=str(processes))
    top = server.add_flow(looping(effects.url, server.add_flow(called(effects.url))))
    crashes = Crashes(effects)
    body = {"input": list(range(ITEMS))}
    path = f"/api/workflows/{top}/run?wait=0"
    _, run, _ = insist((server,), "POST", path, lambda _: body, (200, 202), {"Idempotency-Key": "k"}, 1)
    for kill in range(KILLS):
        effects.wait_for(ITEMS * 3 * (kill + 1) // (KILLS + 1) + seeded.randint(-ITEMS // 3, ITEMS // 3))
        server.kill()
        crashes.note(left_on_disk(server.database, tmp_path))
        server.start()
    settled(server.database)
    check(server.database, run["id"], effects)
    crashes.check([])
