"""The parts of a quick webhook call, which the loop of a worker answers, measured one by one in one process.

    python tools/benchmarks/path.py [--calls 2000] [--repeat 7] [--group 8] [--json]

The flow is that of webhook.py. Each part is done again and again by itself, so the processor's caches are
warm: in a server, where all parts take turns, each takes longer. `whole` are calls from the parsed head to the answer,
in groups as one turn of a loop has them: the time of the loop's thread, and of all threads. Each figure is the best of
the repetitions, in microseconds of processor time for each call. The disk is not waited for (`/dev/shm` where there is
one, and HEADRACE_DURABILITY=normal).
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import json
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

# As a script, this folder is first in the path, and its files would hide modules of the same name.
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from gunicorn.config import Config as GunicornConfig

import database
import engine
import workflow_server
from api.run_answer import make_node_answer
from api.shortcut import ShortcutCall
from config import Config
from database.base import new_id
from database.queries import runs as run_queries
from database.queries.runs import execute_units
from database.queries.webhooks import WebhookTarget
from dispatch import quick_runs
from dispatch.payloads import Payloads
from dispatch.recorder import WholeRun, insertions
from dispatch.run_record import RunRecord
from models import Run
from net.http_worker.connection import DatedResponse, begin_response, keep_settings, parse_head
from nodes.credentials.keyring import Keyring
from tools.benchmarks import common
from tools.benchmarks.webhook import INPUT, definition

PATH = "benchmark/node"
BODY = json.dumps(INPUT).encode()
HEAD = (
    f"POST /api/webhooks/{PATH} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
    f"Content-Length: {len(BODY)}\r\n\r\n"
).encode()
PEER = SimpleNamespace(client=("127.0.0.1", 50_000), requests=0)
PATIENCE = 30.0
GROUPS = (1, 8, 32)
COLLECTOR = 50_000, 20, 50  # thresholds of the garbage collector, as gunicorn.conf.py sets them


@contextlib.contextmanager
def server() -> Iterator[Any]:
    """Yield the parts of a server in this process, with the flow at its address."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(prefix="headrace-bench-", dir=memory if memory.is_dir() else None) as folder:
        config = Config(data_dir=Path(folder), durability="normal", admin_password=common.PASSWORD)
        app = workflow_server.create_app(config, print_login=False)
        made = app.extensions["headrace"]
        made.start()
        client = app.test_client()
        client.post("/api/auth/login", json={"email": config.admin_email, "password": common.PASSWORD})
        flow = {"name": "Path", "status": "active", "definition": definition(PATH, "node")}
        if client.post("/api/flows", json=flow).status_code != 201:
            raise SystemExit("the flow could not be made")
        gc.collect()
        gc.freeze()
        gc.set_threshold(*COLLECTOR)
        try:
            yield made
        finally:
            made.stop()


class Parts:
    """The parts of a call, each as a function that executes it once."""

    def __init__(self, made: Any) -> None:
        self.config = GunicornConfig()
        keep_settings(self.config)
        self.request = parse_head(self.config, HEAD, PEER)
        self.hook = WebhookTarget.at(PATH, "POST")
        self.plan = made.dispatcher.resources.plan_of(self.hook.flow)
        self.dispatcher, self.shortcut = made.dispatcher, made.shortcut
        pairs = self.request.headers
        call = ShortcutCall("POST", self.request.path, "", dict(pairs), pairs, BODY, PEER.client)
        headers = {name.lower(): value for name, value in pairs}
        self.value = {"method": "POST", "path": PATH, "query": {}, "headers": headers, "body": json.loads(call.body)}
        self.payloads = Payloads(Path("unused"), 2**20)
        self.run, self.steps = self.accept(), []
        self.outcome = self.execute(self.steps.append)
        self.ended = self.record()

    def head(self) -> None:
        """Parse the request's head, by gunicorn."""
        parse_head(self.config, HEAD, PEER)

    def accept(self) -> Run:
        """Create the run: an id, the input as JSON text, a row."""
        encoded = engine.encode(self.value, 2**24)
        return run_queries.accept(
            self.hook.flow, id=new_id("run"), input=encoded.decode(), triggered_by="webhook", trigger_node="hook",
            status="running", claims=1, started_at=1, nodes_total=len(self.plan.nodes),
        )  # fmt: skip

    def execute(self, on_step: Callable[[engine.StepRecord], Any] = lambda step: None) -> engine.Outcome:
        """Execute the five nodes."""
        job = engine.Job(
            run_id="run_bench", input=self.value, trigger_node="hook",
            scope=self.dispatcher.resources.scope_of(self.run), on_step=on_step, keyring=Keyring(),
        )  # fmt: skip
        return engine.run(self.plan, job)

    def record(self) -> WholeRun:
        """Record the five steps and the end of the run."""
        record = RunRecord(self.dispatcher.recorder, self.payloads, self.run)
        for step in self.steps:
            record.step(step)
        run_queries.end_unsaved(self.run, "success", 1.0, output="{}", nodes_done=5)
        return record.whole()

    def answer(self) -> None:
        """Create the response, its head by gunicorn."""
        answer = make_node_answer(self.run, self.outcome.response)
        sent = SimpleNamespace(sendall=lambda data: None)
        response = DatedResponse(self.request, sent, self.config)
        begin_response(response, "200 OK", tuple(answer.headers), len(answer.body))
        response.write(answer.body)
        response.close()

    def copies(self, count: int) -> list[WholeRun]:
        """Return so many ended runs, each with its own id."""
        made = []
        for _ in range(count):
            run = self.accept()
            run_queries.end_unsaved(run, "success", 1.0, output="{}", nodes_done=5)
            made.append(WholeRun(run, [(run.id, *values[1:]) for values in self.ended.steps], []))
        return made


def cpu_us(work: Callable[[], Any], count: int, repeat: int, clock: Callable[[], float] = time.thread_time) -> float:
    """Return the best time of one call, in microseconds."""
    best = float("inf")
    for _ in range(repeat):
        began = clock()
        for _ in range(count):
            work()
        best = min(best, (clock() - began) / count)
    return best * 1e6


def statements_us(parts: Parts, group: int, count: int, repeat: int) -> tuple[float, float]:
    """Return SQLite's time for a run: statements, and the commit without a disk."""
    best = [float("inf"), float("inf")]
    for _ in range(repeat):
        writes = [insertions(parts.copies(group)) for _ in range(max(1, count // group))]
        inside, whole = 0.0, time.thread_time()
        for each in writes:
            with database.write_runs() as execute:
                began = time.thread_time()
                execute_units([each], execute)
                inside += time.thread_time() - began
        whole = time.thread_time() - whole
        runs = len(writes) * group
        best = [min(best[0], inside / runs), min(best[1], (whole - inside) / runs)]
    return best[0] * 1e6, best[1] * 1e6


def turn(parts: Parts, group: int) -> None:
    """Execute one turn of a loop with so many calls, until all are answered."""
    left, answered = [group], threading.Event()

    def reply(status: str, headers: Any, body: bytes) -> None:
        left[0] -= 1
        if not left[0]:
            answered.set()

    for _ in range(group):
        if not parts.shortcut.take(parts.request, BODY, reply):
            raise SystemExit("a call was not a quick one")
    parts.shortcut.end_turn()
    if not answered.wait(PATIENCE):
        raise SystemExit(f"{left[0]} of {group} calls were not answered")


def measure(parts: Parts, options: argparse.Namespace) -> list[tuple[str, float]]:
    """Return all parts with descriptions."""
    best = partial(cpu_us, count=options.calls, repeat=options.repeat)
    turns = {group: max(1, options.calls // group) for group in GROUPS}
    eight = parts.copies(options.group)
    statements, commit = statements_us(parts, options.group, options.calls, options.repeat)
    found = [
        ("head, parsed by gunicorn", best(parts.head)),
        ("run accepted: id, input, row", best(parts.accept)),
        ("five nodes executed", best(parts.execute)),
        ("five steps and the end noted", best(parts.record)),
        (f"statements made, in groups of {options.group}", best(lambda: insertions(eight)) / options.group),
        (f"statements done, in groups of {options.group}", statements),
        (f"commit without the disk, in groups of {options.group}", commit),
        ("answer made, its head by gunicorn", best(parts.answer)),
    ]
    for group, count in turns.items():
        for what, clock in (("the loop's thread", time.thread_time), ("all threads", time.process_time)):
            whole = cpu_us(partial(turn, parts, group), count, options.repeat, clock) / group
            found.append((f"whole, {group} a turn: {what}", whole))
    return [(what, round(value, 1)) for what, value in found]


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="Measure the parts of a webhook that the loop answers.")
    parser.add_argument("--calls", type=int, default=2_000, help="of each part in a repetition")
    parser.add_argument("--repeat", type=int, default=7)
    parser.add_argument("--group", type=int, default=8, help="runs of one commit, for the parts of the writer")
    parser.add_argument("--json", action="store_true", help="print only the JSON document")
    options = parser.parse_args(arguments)
    # On a busy machine too, or when Python's garbage collector runs, each call is a quick one.
    quick_runs.QUICK_SECONDS = PATIENCE
    with server() as made:
        results = measure(Parts(made), options)
    document = {
        "benchmark": "path",
        "machine": common.machine(),
        "repeat": options.repeat,
        "results": [{"part": what, "us": value} for what, value in results],
        "targets": {},
    }
    common.report(document, [common.table(("part", "µs of the processor a call"), results)], options.json)


if __name__ == "__main__":
    main()
