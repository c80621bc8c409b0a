"""Runs with several nodes at work are killed and resumed: no finished node runs again, and none is lost."""

import json
from collections import Counter

import pytest
from effects import http_node
from record import Crashes, ask, check_effects, is_interrupted, left_on_disk, settled, steps
from servers import insist

pytestmark = [pytest.mark.slow, pytest.mark.postgres]

BRANCHES = 6
RUNS = 6
KILLS = 2  # at the third death a run is given up


def branching(url, called):
    """Return a flow with branches of two requests each, and one that runs another flow; all meet at the end."""
    nodes, edges = [{"id": "start", "type": "manual"}], []
    for number in range(BRANCHES):
        first, second = f"a{number}", f"b{number}"
        nodes += [
            http_node(first, url, {"n": number}),
            http_node(second, url, {"n": f"{{{{ steps.{first}.body.n }}}}"}),
        ]
        edges += [["start", first], [first, second], [second, "end"]]
    nodes.append({"id": "call", "type": "subflow", "config": {"workflow_id": called, "input": 7}})
    given = "{{ steps.values() | selectattr('body', 'defined') | list | length }}"
    nodes.append(
        {"id": "end", "type": "set", "config": {"values": {"requests": given, "called": "{{ steps.call.n }}"}}}
    )
    return {"nodes": nodes, "edges": [*edges, ["start", "call"], ["call", "end"]], "settings": {"parallel": 4}}


def called(url):
    """Return a flow that sends its input and returns it."""
    nodes = [
        {"id": "start", "type": "called"},
        http_node("one", url, {"n": "{{ trigger }}"}),
        {"id": "result", "type": "jmespath", "config": {"query": "body"}},
    ]
    return {"nodes": nodes, "edges": [["start", "one"], ["one", "result"]]}


@pytest.mark.parametrize("processes", [1, 2])
def test_parallel_branches_survive_kills_of_all_processes(tmp_path, serve, effects, seeded, processes):
    server = serve(WEB_CONCURRENCY=str(processes))
    top = server.add_flow(branching(effects.url, server.add_flow(called(effects.url))))
    crashes = Crashes(effects)
    ids = [
        insist((server,), "POST", f"/api/workflows/{top}/run?wait=0", lambda _: {"input": 1}, (200, 202),
               {"Idempotency-Key": f"k{number}"}, number)[1]["id"]
        for number in range(RUNS)
    ]  # fmt: skip
    total = RUNS * (2 * BRANCHES + 1)
    for kill in range(KILLS):
        effects.wait_for(total * (kill + 1) // (KILLS + 1) + seeded.randint(-5, 5))
        server.kill()
        crashes.note(left_on_disk(server.database, tmp_path))
        server.start()
    settled(server.database)
    crashes.check([])
    runs = ask(server.database, "SELECT * FROM runs ORDER BY id")
    assert {run.status for run in runs} == {"success"}, [(run.status, run.error_text) for run in runs]
    assert len(runs) == 2 * RUNS and {run.id for run in runs if run.parent_run_id is None} == set(ids)
    record, seen = steps(server.database), effects.seen()
    for run in runs:
        of_it = [step for step in record if step.run_id == run.id]
        assert set(Counter(step.node_id for step in of_it if not is_interrupted(step)).values()) == {1}
        assert len({step.seq for step in of_it}) == len(of_it)
        check_effects(run, of_it, seen)
        if run.id in ids:
            assert json.loads(run.output) == {"requests": 2 * BRANCHES, "called": 7}
