"""Runs on PostgreSQL, on SQLite beside it, and through workers: their rate, and what each costs.

    python tools/benchmarks/scale.py [--seconds 3] [--rounds 3] [--connections 32] [--workers 1,2,4] [--threads 16]
                               [--parts webhook,workers] [--client auto|wrk|python] [--json]

`webhook`: the flow of webhook.py, answered by its respond node, so that each answer is a run on the disk
with its five steps. It is called on a server on SQLite, on one of two servers that share a database of PostgreSQL, and
on both of them, each with two processes. They take turns in each round.

`workers`: a flow of a webhook that answers immediately, and a POST to a local service, so that no web process
executes it. First a backlog is accepted; the service holds all answers back. When every thread of every worker waits
for one, the time begins, the answers come, and it ends with the last run. Then calls come at half of that rate, and
their delay is the time from acceptance to the end of the run. For comparison, servers without workers execute the same
flow themselves, on SQLite and on PostgreSQL.

PostgreSQL (default settings, so with fsync) and RabbitMQ are started for the benchmark, with their data on the disk of
the folder for temporary files. The load, all servers and workers share the machine. Each load is compared with the
database: every answer has its run, every run its steps, every run of the second flow exactly one request.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import multiprocessing
import os
import shutil
import signal
import statistics
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

# As a script, this folder is first in the path, and its files would hide modules of the same name.
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from config import Config
from tools.benchmarks import common, scale_servers
from tools.benchmarks.accounts import UNFINISHED, Accounts, Recorded, open_reader
from tools.benchmarks.load import Api, Target, measure, measure_with_wrk, quantile, request
from tools.benchmarks.scale_servers import Usage
from tools.benchmarks.webhook import Hook

WEB_PROCESSES = 2  # of each web server
LOAD_PROCESSES = 4
ACCEPTING_CONNECTIONS = 8
STREAM_SHARE = 0.5  # of the rate of a backlog
PATIENCE = 120.0  # seconds for a backlog
POLL_SECONDS = 0.2
TARGET_RATIO, TARGET_GROWTH, FULL = 0.7, 1.1, 0.1
EFFECT_STEPS = 2
SETTINGS = {
    "HEADRACE_SECRET_KEY": "only for the benchmark",
    "HEADRACE_PUBLIC_URL": "http://127.0.0.1:8000",
    "HEADRACE_MAX_PENDING": 1_000_000,
    "HEADRACE_EGRESS_ALLOW": "127.0.0.1",
    "HEADRACE_GRACE": 1,
}
LAST_END = "SELECT MAX(finished_at) FROM runs WHERE workflow_id = ? AND id > ?"
DELAYS = "SELECT finished_at - created_at FROM runs WHERE workflow_id = ? AND id > ? ORDER BY 1"


class Place(NamedTuple):
    """A database and the web servers on it. `settings` are those of every process on it."""

    name: str
    database: Path | str
    servers: Sequence[common.Server]
    settings: Mapping[str, object]

    @property
    def url(self) -> str | None:
        """Return the URL of PostgreSQL; None for SQLite."""
        return self.database if isinstance(self.database, str) else None

    @property
    def pids(self) -> list[int]:
        """Return the processes of the web servers."""
        return [server.process.pid for server in self.servers]


class Machine:
    """The programs that are measured. All end with the block that entered `stack`."""

    def __init__(self, stack: contextlib.ExitStack, options: argparse.Namespace) -> None:
        self.stack, self.options = stack, options
        self.folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="headrace-bench-")))
        self.pool = stack.enter_context(make_pool())
        self.postgres = stack.enter_context(scale_servers.postgres())
        folder = self._new_folder()
        server = stack.enter_context(common.headrace(folder, WEB_PROCESSES, SETTINGS))
        self.sqlite = Place("SQLite", Config(data_dir=folder).database_path, [server], SETTINGS)

    def on_postgres(self, name: str, **settings: object) -> Place:
        """Return a new server on a new database of PostgreSQL."""
        url = self.postgres.new_database()
        given = {**SETTINGS, "DATABASE_URL": url, **settings}
        return Place(name, url, [self.stack.enter_context(self.serve(given))], given)

    def serve(self, settings: Mapping[str, object]) -> contextlib.AbstractContextManager[common.Server]:
        """Return a server with these settings and a folder of its own, to be entered."""
        return common.headrace(self._new_folder(), WEB_PROCESSES, settings)

    def usage(self, place: Place, **groups: list[int]) -> Usage:
        """Return the meter of a place with PostgreSQL and further groups of processes."""
        all_groups = {"web": place.pids, **groups}
        if place.url:
            all_groups["postgres"] = [self.postgres.process.pid]
        return Usage(all_groups, place.url)

    def worker(self, place: Place) -> contextlib.AbstractContextManager[int]:
        """Return a worker at this place, to be entered."""
        return scale_servers.worker(self._new_folder(), self.options.threads, place.settings)

    def _new_folder(self) -> Path:
        return Path(tempfile.mkdtemp(dir=self.folder))


def make_pool() -> Any:
    """Return the processes that load servers. Call it before a server or a thread is started."""
    return multiprocessing.get_context("fork").Pool(LOAD_PROCESSES)


def spent(before: Mapping[str, float], after: Mapping[str, float], runs: int) -> dict[str, Any]:
    """Return what each of the runs has used between two readings: ms of the processor, bytes of WAL, transactions."""
    used = {name: after[name] - before[name] for name in after}
    seconds = used.pop("clock")
    cores = os.cpu_count() or 1
    runs = max(runs, 1)
    found: dict[str, Any] = {"idle": used.pop("idle") / (seconds * cores)}
    for name in ("wal", "commits"):
        found[name] = used.pop(name) / runs if name in used else None
    return found | {"cpu_ms": {name: seconds / runs * 1000 for name, seconds in used.items()}}


# Webhooks


def measure_webhooks(machine: Machine, single: Place, options: argparse.Namespace) -> list[dict[str, Any]]:
    """Return the medians of the rounds on SQLite, on PostgreSQL, and with a second server there."""
    places = [machine.sqlite, single]
    hooks = [Hook(Api(place.servers[0].port), place.servers[0], place.database, "node") for place in places]
    for hook in hooks:
        hook.check()
    measured = measure_with_wrk if options.client == "wrk" else partial(measure, machine.pool)
    rounds: list[dict[str, Any]] = []
    with machine.serve(single.settings) as second:
        places.append(single._replace(name="PostgreSQL, 2 web", servers=[*single.servers, second]))
        for _ in range(options.rounds):
            rounds.append({})
            for place, hook in zip(places, [*hooks, hooks[-1]], strict=True):
                rounds[-1][place.name] = load_web(machine, place, hook, measured, options)
    return [summarize_webhooks(place.name, rounds) for place in places]


def load_web(
    machine: Machine, place: Place, hook: Hook, measured: Callable[..., dict[str, Any]], options: argparse.Namespace
) -> dict[str, Any]:
    """Load all servers of a place at the same time with an equal part of the connections."""
    targets = [hook.target._replace(port=one.port, session=one.process.pid) for one in place.servers]
    connections = options.connections // len(targets)
    usage = machine.usage(place)
    before = usage.read()
    with ThreadPoolExecutor(len(targets)) as threads:
        parts = list(threads.map(lambda target: measured(target, connections, options.seconds), targets))
    after = usage.read()
    answers = sum(part["answers"] for part in parts)
    unanswered = options.connections if options.client == "wrk" else 0
    return {
        **{key: sum(part[key] for part in parts) for key in ("rate", "answers", "errors", "turned_away")},
        **{key: max(part[key] for part in parts) for key in ("p50_ms", "p99_ms")},
        **spent(before, after, answers),
        **hook.account(answers, unanswered)._asdict(),
    }


def summarize_webhooks(name: str, rounds: Sequence[Mapping[str, Mapping[str, Any]]]) -> dict[str, Any]:
    """Return the medians of one place. Its ratio to SQLite is the median of those of the rounds."""
    own = [found[name] for found in rounds]
    ratios = [found[name]["rate"] / max(found["SQLite"]["rate"], 1e-9) for found in rounds]
    return {
        "target": name,
        **{key: median(own, key) for key in ("rate", "p50_ms", "p99_ms", "idle", "wal", "commits")},
        "ratio_to_sqlite": round(statistics.median(ratios), 3),
        "cpu_ms": cpu_medians(own),
        **{key: sum(found[key] for found in own) for key in COUNTED},
        "rounds": [round(found["rate"], 1) for found in own],
    }


COUNTED = ("answers", "errors", "turned_away", "lost", "extra", "incomplete")


def median(rounds: Sequence[Mapping[str, Any]], key: str) -> float | None:
    """Return the median of a figure; None if it was not measured."""
    if rounds[0][key] is None:
        return None
    return round(statistics.median(found[key] for found in rounds), 3)


def cpu_medians(rounds: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Return the median of the processor time, in ms a run, of each group of processes."""
    return {name: round(statistics.median(one["cpu_ms"][name] for one in rounds), 3) for name in rounds[0]["cpu_ms"]}


# Runs through workers


class Service:
    """The service that the flow calls."""

    def __init__(self, server: common.Server) -> None:
        self.url, self.pid = f"http://127.0.0.1:{server.port}", server.process.pid

    def ask(self, path: str) -> dict[str, int]:
        """Open or close its gate, or only return its numbers of held and of all requests."""
        with urllib.request.urlopen(self.url + path, timeout=10) as answer:
            found: dict[str, int] = json.load(answer)
        return found

    def wait_until_held(self, count: int) -> None:
        """Return when it holds so many requests. After PATIENCE, end the benchmark."""
        end = time.monotonic() + PATIENCE
        while (held := self.ask("/")["held"]) < count:
            if time.monotonic() > end:
                raise SystemExit(f"only {held} of {count} threads have called the service")
            time.sleep(POLL_SECONDS / 4)


class Effect(Recorded):
    """An active flow with one effect, whose webhook answers immediately, when the run is on the disk."""

    quiet = 0.0

    def __init__(self, place: Place, service: Service) -> None:
        hook = {"path": "benchmark/effect", "auth": "none", "respond": "immediately"}
        call = {"method": "POST", "url": service.url, "body": {"order": "{{ input.body.order }}"}}
        nodes = [{"id": "hook", "type": "webhook", "config": hook}, {"id": "call", "type": "http", "config": call}]
        definition = {"nodes": nodes, "edges": [["hook", "call"]]}
        server = place.servers[0]
        made = {"name": "Effect", "status": "active", "definition": definition}
        flow = Api(server.port).call("POST", "/api/flows", made)["id"]
        text = request("POST", "/api/webhooks/benchmark/effect", {}, {"order": 4711, "customer": "Ada"})
        target = Target("effect", server.port, server.process.pid, text, b'"run_id":"run_', 202)
        super().__init__(target, place.database, flow, "webhook", EFFECT_STEPS)

    def last_end(self) -> float:
        """Return the time at which the last of the new runs ended, in seconds since 1970."""
        with open_reader(self.database) as read:
            return float(read(LAST_END, self.flow, self.last).fetchone()[0]) / 1000

    def delays(self, after: str) -> list[float]:
        """Return the delays of the runs after this one, from acceptance to end, in ms, sorted."""
        with open_reader(self.database) as read:
            return [float(delay) for (delay,) in read(DELAYS, self.flow, after).fetchall()]

    def wait_for_end(self) -> None:
        """Return when all runs have ended. After PATIENCE, end the benchmark."""
        end = time.monotonic() + PATIENCE
        with open_reader(self.database) as read:
            while read(UNFINISHED, self.flow).fetchone()[0]:
                if time.monotonic() > end:
                    raise SystemExit(f"the backlog does not end within {PATIENCE:.0f} s")
                time.sleep(POLL_SECONDS)


class Crew(NamedTuple):
    """Executors of the second flow: so many workers, or with none the web server itself."""

    name: str
    place: Place
    flow: Effect
    workers: int


def measure_workers(machine: Machine, single: Place, options: argparse.Namespace) -> list[dict[str, Any]]:
    """Return the medians of the rounds for each number of workers, and for servers that execute the runs themselves."""
    alone = [machine.sqlite, single._replace(name="PostgreSQL, no worker")]
    service = Service(machine.stack.enter_context(scale_servers.service()))
    broker = machine.stack.enter_context(scale_servers.rabbitmq())
    shared = machine.on_postgres("PostgreSQL", HEADRACE_ROLE="web", CELERY_BROKER_URL=broker.url)
    crews = [Crew(place.name, place, Effect(place, service), 0) for place in alone]
    flow = Effect(shared, service)
    crews += [Crew(f"PostgreSQL, {count} worker{'s' * (count > 1)}", shared, flow, count) for count in options.workers]
    rounds: list[dict[str, Any]] = []
    for _ in range(options.rounds):
        rounds.append({})
        for crew in crews:
            rounds[-1][crew.name] = work_off(machine, crew, service, broker.process.pid, options)
    return [summarize_workers(crew, rounds) for crew in crews]


def work_off(
    machine: Machine, crew: Crew, service: Service, broker: int, options: argparse.Namespace
) -> dict[str, Any]:
    """Accept a backlog and measure its execution; then measure a steady stream."""
    effects = service.ask("/close")["requests"]
    groups = {"service": [service.pid]} | ({"broker": [broker]} if crew.workers else {})
    accepting = machine.usage(crew.place, **groups)
    before = accepting.read()
    accepted = measure(machine.pool, crew.flow.target, ACCEPTING_CONNECTIONS, options.seconds)
    after = accepting.read()
    backlog = accepted["answers"]
    with contextlib.ExitStack() as stack:
        pids = [stack.enter_context(machine.worker(crew.place)) for _ in range(crew.workers)]
        threads = options.threads * (crew.workers or WEB_PROCESSES)
        service.wait_until_held(min(backlog, threads))
        executing = machine.usage(crew.place, workers=pids, **groups)
        began, start = executing.read(), time.time()
        service.ask("/open")
        crew.flow.wait_for_end()
        ended, seconds = executing.read(), crew.flow.last_end() - start
        found = crew.flow.account(backlog, 0)
        rate = backlog / max(seconds, 1e-3)
        stream = measure_stream(machine, crew, executing, rate * STREAM_SHARE, options)
    made = backlog + stream["answers"]
    return {
        "rate": rate,
        "accepted": spent(before, after, backlog),
        **spent(began, ended, backlog),
        "stream": stream,
        **{key: accepted[key] + stream[key] for key in ("answers", "errors", "turned_away")},
        **{key: getattr(found, key) + stream[key] for key in ("lost", "extra", "incomplete")},
        "repeated": service.ask("/")["requests"] - effects - made,
    }


def measure_stream(
    machine: Machine, crew: Crew, usage: Usage, pace: float, options: argparse.Namespace
) -> dict[str, Any]:
    """Call the webhook at this pace, and return the delays of its runs."""
    since = crew.flow.last
    before = usage.read()
    seen = measure(machine.pool, crew.flow.target, ACCEPTING_CONNECTIONS, options.seconds, pace)
    crew.flow.wait_for_end()
    after = usage.read()
    found: Accounts = crew.flow.account(seen["answers"], 0)
    delays = crew.flow.delays(since)
    return {
        **{key: seen[key] for key in ("answers", "errors", "turned_away", "rate")},
        **found._asdict(),
        **spent(before, after, seen["answers"]),
        "delay_p50_ms": quantile(delays, 0.5),
        "delay_p99_ms": quantile(delays, 0.99),
    }


def summarize_workers(crew: Crew, rounds: Sequence[Mapping[str, Mapping[str, Any]]]) -> dict[str, Any]:
    """Return the medians of one crew."""
    own = [found[crew.name] for found in rounds]
    streams, accepted = [found["stream"] for found in own], [found["accepted"] for found in own]
    return {
        "target": crew.name,
        "workers": crew.workers,
        **{key: median(own, key) for key in ("rate", "idle", "wal", "commits")},
        "cpu_ms": cpu_medians(own),
        "accepted": {key: median(accepted, key) for key in ("wal", "commits")} | {"cpu_ms": cpu_medians(accepted)},
        "stream": {
            **{key: median(streams, key) for key in ("rate", "delay_p50_ms", "delay_p99_ms", "idle", "wal", "commits")},
            "cpu_ms": cpu_medians(streams),
        },
        **{key: sum(found[key] for found in own) for key in (*COUNTED, "repeated")},
        "rounds": [round(found["rate"], 1) for found in own],
    }


# The document


def goals(webhooks: Sequence[Mapping[str, Any]], crews: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the targets that apply to the measurements."""
    results = [*webhooks, *crews]
    found = {key: common.target(sum(one[key] for one in results), 0) for key in COUNTED if key != "answers"}
    if webhooks:
        found["webhook_to_sqlite"] = common.target(webhooks[1]["ratio_to_sqlite"], TARGET_RATIO, at_least=True)
    if crews:
        found["effects_repeated_or_missing"] = common.target(sum(abs(one["repeated"]) for one in crews), 0)
    workers = [one for one in crews if one["workers"]]
    for fewer, more in zip(workers, workers[1:], strict=False):
        if fewer["idle"] > FULL:  # else the cores are full, and more workers cannot do more
            name = f"growth_from_{fewer['workers']}_to_{more['workers']}_workers"
            found[name] = common.target(round(more["rate"] / fewer["rate"], 2), TARGET_GROWTH, at_least=True)
    return found


def webhook_table(results: Sequence[Mapping[str, Any]]) -> str:
    """Return the table of the first flow."""
    head = ("webhook", "runs/s", "ratio to SQLite", "p50, ms", "p99, ms", "web CPU, ms a run", "PostgreSQL CPU, ms")
    head += ("WAL, bytes a run", "commits a run", "idle, %", "rounds")
    rows = [
        (
            one["target"], one["rate"], one["ratio_to_sqlite"], one["p50_ms"], one["p99_ms"], one["cpu_ms"]["web"],
            one["cpu_ms"].get("postgres", "–"), _shown(one["wal"]), _shown(one["commits"]), one["idle"] * 100,
            _rounds(one),
        )
        for one in results
    ]  # fmt: skip
    return common.table(head, rows)


def worker_tables(crews: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the tables of the second flow: the backlog, and the steady stream."""
    parts = ("web", "workers", "postgres", "broker", "service")
    head = ("backlog executed by", "runs/s", "idle, %", *(f"{part} CPU, ms a run" for part in parts))
    head += ("WAL, bytes a run", "commits a run", "WAL to accept", "commits to accept", "rounds")
    rows = [
        (
            one["target"], one["rate"], one["idle"] * 100, *(one["cpu_ms"].get(part, "–") for part in parts),
            *(_shown(costs[key]) for costs in (one, one["accepted"]) for key in ("wal", "commits")), _rounds(one),
        )
        for one in crews
    ]  # fmt: skip
    steady = ("steady stream to", "runs/s", "delay p50, ms", "p99, ms", "idle, %", "WAL, bytes a run", "commits a run")
    streams = [(one["target"], one["stream"]) for one in crews]
    more = [
        (
            name, one["rate"], one["delay_p50_ms"], one["delay_p99_ms"], one["idle"] * 100, _shown(one["wal"]),
            _shown(one["commits"]),
        )
        for name, one in streams
    ]  # fmt: skip
    return [common.table(head, rows), common.table(steady, more)]


def _shown(value: float | None) -> float | str:
    return "–" if value is None else value


def _rounds(one: Mapping[str, Any]) -> str:
    return ", ".join(f"{rate:,.0f}" for rate in one["rounds"])


def parsed(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Measure runs on PostgreSQL and through workers.")
    parser.add_argument("--seconds", type=float, default=3.0, help="of each load and round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--connections", type=int, default=32, help="to webhooks")
    parser.add_argument("--workers", default="1,2,4", help="numbers of worker processes")
    parser.add_argument("--threads", type=int, default=16, help="of a worker")
    parser.add_argument("--parts", default="webhook,workers", help="what to measure")
    parser.add_argument("--client", choices=("auto", "wrk", "python"), default="auto", help="auto: wrk where it is")
    parser.add_argument("--json", action="store_true", help="print only the JSON document")
    options = parser.parse_args(arguments)
    options.workers = [int(number) for number in options.workers.split(",")]
    options.parts = options.parts.split(",")
    if options.client == "auto":
        options.client = "wrk" if shutil.which("wrk") else "python"
    return options


def main(arguments: Sequence[str] | None = None) -> None:
    options, busy = parsed(arguments), common.load_average()
    if missing := scale_servers.find_missing():
        print(f"scale.py is skipped: this machine has no {missing}", file=sys.stderr)
        return
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("terminated"))  # so that all that was started ends
    with contextlib.ExitStack() as stack:
        machine = Machine(stack, options)
        version = machine.postgres.version()
        single = machine.on_postgres("PostgreSQL, 1 web")
        webhooks = measure_webhooks(machine, single, options) if "webhook" in options.parts else []
        crews = measure_workers(machine, single, options) if "workers" in options.parts else []
    document = {
        "benchmark": "scale",
        "machine": common.machine(),
        "postgres": version,
        "load_average_before": busy,
        "client": options.client,
        **{name: getattr(options, name) for name in ("seconds", "rounds", "connections", "threads")},
        "webhook": webhooks,
        "workers": crews,
        "targets": goals(webhooks, crews),
    }
    tables = [webhook_table(webhooks)] * bool(webhooks) + (worker_tables(crews) if crews else [])
    tables += [f"PostgreSQL {version}. Load average of the machine before: {busy:g}."]
    common.report(document, [*tables, common.target_table(document["targets"])], options.json)


if __name__ == "__main__":
    main()
