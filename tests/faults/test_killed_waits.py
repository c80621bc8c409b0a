"""Waiting runs are killed and resumed: none is lost, none calls another twice, and no answer counts twice."""

import json
from collections import Counter, defaultdict
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

import pytest
from effects import http_node
from record import Crashes, ask, check_effects, describe, is_interrupted, left_on_disk, settled, steps
from servers import insist, until

pytestmark = [pytest.mark.slow, pytest.mark.soak, pytest.mark.postgres]

RUNS = 70  # started between two kills; each of them calls a run, which calls another
REQUESTS = 9  # made by each of them and the runs that it calls
CLIENTS = 6  # that start and answer runs at the same time
N = {"n": "{{ trigger.n }}"}


def chain(*nodes):
    names = [node["id"] for node in nodes]
    return {"nodes": list(nodes), "edges": [list(pair) for pair in zip(names, names[1:], strict=False)]}


def called(url, middle):
    """Return a flow of two requests with a node between; its output is the number in its input."""
    result = {"id": "result", "type": "jmespath", "config": {"query": "body.n"}}
    return chain({"id": "start", "type": "called"}, http_node("one", url, N), middle, http_node("two", url, N), result)


def calling(flow):
    return {"id": "call", "type": "subflow", "config": {"workflow_id": flow, "input": N}}


def pause(length):
    return {"id": "pause", "type": "wait", "config": {"seconds": length}}


def waiting(url, flow):
    """Return a flow with every kind of wait; the last is for the flow that it calls."""
    end = {"n": "{{ input.body.n }}", "approval": "{{ steps.approval }}", "callback": "{{ steps.callback }}"}
    made = chain(
        {"id": "start", "type": "manual"},
        http_node("one", url, {**N, "link": "{{ steps.callback.url }}"}),
        pause("{{ 1 + trigger.n % 2 }}"),
        http_node("two", url, N),
        {"id": "approval", "type": "approval", "config": {"message": "Shall {{ trigger.n }} go on?"}},
        http_node("yes", url, N),
        {"id": "callback", "type": "callback", "config": {}},
        http_node("received", url, N),
        calling(flow),
        http_node("last", url, {"n": "{{ input }}"}),
        {"id": "end", "type": "set", "config": {"values": end}},
    )
    made["nodes"].append(http_node("no", url, N))
    others = [edge for edge in made["edges"] if edge[0] not in ("approval", "callback")]
    branches = [["approval", "yes", "approved"], ["approval", "no", "rejected"], ["callback", "received", "received"]]
    return {**made, "edges": [*others, *branches, ["no", "callback"]]}


class Answers:
    """Clients that answer each run: two contradicting approvals and two callbacks. All retry.

    `sent` are the bodies that were sent to a node of a run, `taken` those that were answered with 200.
    """

    def __init__(self, *servers):
        self.servers = servers
        self.sent, self.taken = defaultdict(list), defaultdict(list)
        self._pool = ThreadPoolExecutor(CLIENTS)
        self._asked = []

    def start(self, flow, numbers):
        """Start and answer the runs of these numbers."""
        self._asked += [self._pool.submit(self._begin, flow, number) for number in numbers]

    def join(self):
        """Return when all are started and answered."""
        while self._asked:
            self._asked.pop(0).result()

    def close(self):
        self._pool.shutdown(cancel_futures=True)

    def _begin(self, flow, number):
        path, key = f"/api/workflows/{flow}/run?wait=0", {"Idempotency-Key": f"key-{number}"}
        _, run, _ = insist(self.servers, "POST", path, lambda _: {"input": {"n": number}}, (200, 202), key, number)
        for who in (0, 1):
            self._asked += [self._pool.submit(self._approve, run["id"], ("approved", "rejected")[who], number + who)]
            self._asked += [self._pool.submit(self._call_back, run["id"], f"{who}", number + who)]

    def _approve(self, id_, answer, number):
        def body(attempt):
            return {"node_id": "approval", "answer": answer, "comment": f"{answer} {attempt}"}

        self._answer(id_, "approval", f"/api/runs/{id_}/resume", body, number)

    def _call_back(self, id_, who, number):
        link = until(lambda: self._link(id_, number), "the run has told its link")
        self._answer(id_, "callback", link, lambda attempt: {"said": f"{who} {attempt}"}, number)

    def _link(self, id_, number):
        """Return the path of the address in the run's first node; None if it has none yet."""
        path = f"/api/runs/{id_}/steps"
        _, found, _ = insist(self.servers, "GET", path, lambda attempt: None, (200,), number=number)
        told = [
            step["output"]["body"]["link"] for step in found["items"] if step["node_id"] == "one" and step["output"]
        ]
        return urlsplit(told[0])._replace(scheme="", netloc="").geturl() if told else None

    def _answer(self, id_, node, path, body, number):
        def noted(attempt):
            self.sent[id_, node].append(body(attempt))
            return body(attempt)

        status, _, times = insist(self.servers, "POST", path, noted, (200, 409), number=number)
        if status == 200:
            self.taken[id_, node].append(body(times - 1))


@pytest.fixture
def answers():
    made = []

    def begin(*servers):
        made.append(Answers(*servers))
        return made[-1]

    yield begin
    for each in made:
        each.close()


def check(path, flows, numbers, answers, effects):
    """Check every guarantee about these runs and the runs that they called, after all have ended."""
    runs = ask(path, "SELECT * FROM runs ORDER BY id")
    broken = [(run.id, run.status, run.claims, run.error_text) for run in runs if run.status != "success"]
    assert not broken, f"{len(broken)} runs did not succeed: {broken[:5]}"
    assert not ask(path, "SELECT * FROM waits")
    by_flow = {flow: [run for run in runs if run.workflow_id == flow] for flow in flows}
    tops = by_flow[flows[0]]
    assert sorted(json.loads(run.input)["n"] for run in tops) == list(numbers)
    for caller, called in zip(flows, flows[1:], strict=False):
        parents = sorted(run.parent_run_id for run in by_flow[called])
        assert parents == [run.id for run in by_flow[caller]], "each run has called exactly one"
    seen, by_run = effects.seen(), defaultdict(list)
    for step in steps(path):
        by_run[step.run_id].append(step)
    for run in runs:
        ends = Counter(step.node_id for step in by_run[run.id] if not is_interrupted(step))
        assert set(ends.values()) == {1}, describe(by_run[run.id])
        check_effects(run, by_run[run.id], seen)
    assert {key.partition(":")[0] for key in seen} == {run.id for run in runs}
    for run in tops:
        check_answers(run, answers)


def check_answers(run, answers):
    """Check that each node's answer is one of the bodies sent to it, and the accepted one."""
    output = json.loads(run.output)
    approval = {"node_id": "approval", "answer": output["approval"]["answer"], "comment": output["approval"]["comment"]}
    for node, used in (("approval", approval), ("callback", output["callback"])):
        sent, taken = answers.sent[run.id, node], answers.taken[run.id, node]
        assert used in sent and taken in ([], [used]), (run.id, used, sent, taken)
    assert output["n"] == json.loads(run.input)["n"]


def test_waiting_runs_survive_kills_of_all_processes(tmp_path, serve, effects, seeded, rounds, answers):
    server = serve()
    lowest = server.add_flow(called(effects.url, pause(1)))
    middle = server.add_flow(called(effects.url, calling(lowest)))
    top = server.add_flow(waiting(effects.url, middle))
    answers, crashes, last = answers(server), Crashes(effects), 0

    def at_random():
        effects.wait_for(effects.count() + seeded.randint(1, RUNS * REQUESTS // 3))

    for _ in rounds(1):
        answers.start(top, range(last + 1, last + RUNS + 1))
        last += RUNS
        at_random()
        server.kill_worker(seeded.choice(server.workers()), lambda: crashes.note(server.database))
        at_random()
        server.kill()
        crashes.note(left_on_disk(server.database, tmp_path))
        server.start()
        answers.join()
        settled(server.database)
    check(server.database, [top, middle, lowest], range(1, last + 1), answers, effects)
    crashes.check([])
