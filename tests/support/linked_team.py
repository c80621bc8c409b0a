"""A web process and workers on PostgreSQL and a broker, each connection through a proxy that can be cut; callers."""

import http.client
import json
import os
import re
import threading
import time
from collections import Counter, defaultdict
from types import SimpleNamespace

import psycopg
from effects import http_node
from psycopg.rows import namedtuple_row
from record import check_effects
from servers import PATIENCE, Server, Worker, until
from tcp_proxy import TcpProxy

LEASE_SECONDS = 3  # of the servers in servers.py
# With this a recorder commits: the extended protocol has it as a statement without a name.
COMMIT = "\0COMMIT\0"
IS_SOAK = bool(os.environ.get("HEADRACE_SOAK_SECONDS"))
CALLERS = 3
PAUSE = 0.1  # of a caller between two calls


class LinkedTeam:
    """One web process (`web`) and `workers`. Each has its own `proxies`, one for each host in the URLs.

    The first is `to_postgres`, the last `to_broker`, if there is one. `url` is the address of the database for psycopg.
    """

    def __init__(self, folder, url, broker_url="", workers=2, **settings):
        self.url = f"{url}{'&' if '?' in url else '?'}sslmode=disable"  # the proxies look for texts
        self.shared = {
            "HEADRACE_SECRET_KEY": "only for the tests of several processes",
            "HEADRACE_PUBLIC_URL": "http://127.0.0.1:8000",
            **settings,
        }
        self.proxies = []
        self.broker_url = broker_url
        self.web = self._make(Server, folder / "web", HEADRACE_ROLE="web", WEB_CONCURRENCY="1")
        self.workers = [self._make(Worker, folder / f"worker{number}") for number in range(workers)]
        self.all = [self.web, *self.workers]
        self.names = {}

    def _make(self, kind, folder, **more):
        proxies = []

        def link(found):
            proxies.append(TcpProxy(("127.0.0.1", int(found[1]))))
            return f":{proxies[-1].port}"

        url, broker_url = (re.sub(r":(\d+)(?=[,/])", link, each) for each in (self.url, self.broker_url))
        made = kind(folder, DATABASE_URL=url, CELERY_BROKER_URL=broker_url, **self.shared, **more)
        made.proxies, made.to_postgres, made.to_broker = proxies, proxies[0], proxies[-1]
        self.proxies += proxies
        return made

    def start(self):
        self.web.start()
        self.web.log_in()
        known = self._leases()
        for worker in self.workers:
            worker.start()
            self.names[worker] = until(lambda: self._leases() - known, "the worker has a lease")  # noqa: B023
            known |= self.names[worker]
        return self

    def _leases(self):
        return {row.name for row in self.ask("SELECT name FROM leases WHERE name LIKE 'proc%'")}

    def close(self):
        for each in self.all:
            each.close()
        for proxy in self.proxies:
            proxy.close()

    def heal(self):
        """Heal all links, and wait until every process is at work again."""
        for proxy in self.proxies:
            proxy.heal()
        until(lambda: self.web.request("GET", "/api/ready")[0] == 200, "the web process is ready")
        alive = "SELECT count(*) AS n FROM leases WHERE name LIKE 'proc%' AND until > extract(epoch FROM now()) * 1000"
        until(lambda: self.ask(alive)[0].n >= len(self.all), "all have a lease")

    def owner_of(self, worker):
        """Return the name of the lease of a worker."""
        (found,) = self.names[worker]
        return found

    def snapshot(self, run):
        """Return all that the database has of a run."""
        return [
            self.ask(f"SELECT * FROM {table} WHERE {column} = %s ORDER BY 1, 2", run)
            for table, column in (("runs", "id"), ("all_steps", "run_id"), ("log_entries", "run_id"))
        ]

    def ask(self, sql, *params):
        """Return the rows of a query."""
        with psycopg.connect(self.url, row_factory=namedtuple_row, connect_timeout=5) as connection:
            return connection.execute(sql, params or None).fetchall()

    def last_lines(self):
        return "\n".join(f"{each.data_dir.name}\n{''.join(list(each.lines)[-30:])}" for each in self.all)

    # Flows with two effects, which are never quick

    def add_flow(self, url, path=None, second=None):
        """Add a flow that sends a request to `url` and to `second`. It begins by hand, or by the webhook at `path`."""
        hook = {"id": "start", "type": "webhook", "config": {"path": path, "dedupe_header": "Idempotency-Key"}}
        first = {"id": "start", "type": "manual"} if path is None else hook
        n = "{{ trigger.n }}" if path is None else "{{ trigger.body.n }}"
        nodes = [first, http_node("one", url, {"n": n}), http_node("two", second or url, {"n": n})]
        return self.web.add_flow({"nodes": nodes, "edges": [["start", "one"], ["one", "two"]]})

    def start_runs(self, flow, count, first=0):
        """Start runs for which nobody waits. Return their ids."""
        return [self.web.run(flow, {"n": number})["id"] for number in range(first, first + count)]

    def ended(self, flow, count, seconds=PATIENCE):
        """Return the rows of the runs of a flow once so many have ended."""
        sql = "SELECT * FROM runs WHERE workflow_id = %s AND finished_at IS NOT NULL ORDER BY id"

        def found():
            rows = self.ask(sql, flow)
            return len(rows) >= count and rows

        return until(found, f"{count} runs of {flow} end", seconds)

    def check(self, flow, ids, effects):
        """Check that each of these runs of the flow has ended once, with its effects as recorded. Return their rows."""
        runs = self.ended(flow, len(ids))
        (rows,) = self.ask("SELECT count(*) AS n FROM runs WHERE workflow_id = %s", flow)
        assert rows.n == len(ids) and {run.id for run in runs} == set(ids)
        assert {run.status for run in runs} == {"success"}, [run.error_text for run in runs if run.error_text][:3]
        steps = defaultdict(list)
        sql = "SELECT * FROM all_steps WHERE run_id = ANY(%s) ORDER BY run_id, seq"
        for step in self.ask(sql, list(ids)):
            steps[step.run_id].append(step)
        seen = effects.seen()
        for run in runs:
            done = Counter(step.node_id for step in steps[run.id] if step.status == "success")
            assert done == {"start": 1, "one": 1, "two": 1}, steps[run.id]
            check_effects(run, steps[run.id], seen)
        sql = "SELECT SUM(total) AS total, SUM(success) AS success FROM run_days WHERE workflow_id = %s"
        (days,) = self.ask(sql, flow)
        assert (days.total, days.success) == (len(ids), len(ids))
        return runs


class Callers:
    """Clients that call a webhook again and again while the block lasts, each number until it is accepted.

    `told` maps a number to the ids in the responses to it, `refused` counts responses of 503, `errors` has all that
    no caller may get. `accepted_at` has the times of successes, and `slowest` is the longest wait for any response.
    """

    def __init__(self, server, path):
        self.server, self.path = server, path
        self.told = defaultdict(set)
        self.refused, self.last, self.slowest = 0, 0, 0.0
        self.errors, self.accepted_at = [], []
        self._lock, self._ends = threading.Lock(), threading.Event()
        self._threads = [threading.Thread(target=self._call, daemon=True) for _ in range(CALLERS)]

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *error):
        self._ends.set()
        for thread in self._threads:
            thread.join(PATIENCE)
        assert not any(thread.is_alive() for thread in self._threads), "a caller has no response"
        assert not self.errors, self.errors[:5]

    def ids(self):
        """Return the id of each accepted call. Each number has one."""
        assert all(len(found) == 1 for found in self.told.values()), self.told
        return [next(iter(found)) for found in self.told.values()]

    def wait_for(self, more, seconds=PATIENCE):
        """Wait until so many more calls are accepted. Return the seconds until the first of them."""
        began, before = time.monotonic(), len(self.accepted_at)
        until(lambda: len(self.accepted_at) >= before + more, f"{more} calls are accepted", seconds)
        return self.accepted_at[before] - began

    def _call(self):
        while not self._ends.is_set():
            with self._lock:
                self.last += 1
                number = self.last
            while not self._is_accepted(number):
                time.sleep(PAUSE)
            time.sleep(PAUSE)

    def _is_accepted(self, number):
        """Call once. Return True if the call was accepted, or got a response that no caller may get."""
        began = time.monotonic()
        headers = {"Idempotency-Key": f"{self.path}-{number}"}
        try:
            answer, text = self.server._exchange("POST", f"/api/webhooks/{self.path}", {"n": number}, headers)
        except (OSError, http.client.HTTPException) as error:
            self.errors.append(f"{number}: {error!r}")
            return True
        with self._lock:
            self.slowest = max(self.slowest, time.monotonic() - began)
            if answer.status in (200, 202):
                self.told[number].add(json.loads(text)["run_id"])
                self.accepted_at.append(time.monotonic())
                return True
            if answer.status == 503 and answer.getheader("Retry-After"):
                self.refused += 1
                return self._ends.is_set() and time.monotonic() - began > PATIENCE
            self.errors.append(f"{number}: {answer.status} {answer.getheader('Retry-After')} {text!r}")
            return True


class Prober:
    """A client that asks whether the web process lives, ten times a second. `slowest`: its longest wait."""

    def __init__(self, server):
        self.server = server
        self.slowest = 0.0
        self._ends = threading.Event()
        self._thread = threading.Thread(target=self._ask, daemon=True)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *error):
        self._ends.set()
        self._thread.join(PATIENCE)

    def _ask(self):
        while not self._ends.wait(0.1):
            began = time.monotonic()
            status, _ = self.server.request("GET", "/api/health")
            assert status == 200
            self.slowest = max(self.slowest, time.monotonic() - began)


def outage(team, path, break_, heal, seconds, calls=20):
    """Call a webhook of the team before, during and after a fault: then so many times. Return what callers saw."""
    with Callers(team.web, path) as callers, Prober(team.web) as prober:
        callers.wait_for(5)
        break_()
        time.sleep(seconds)
        heal()
        back = callers.wait_for(calls)
    return SimpleNamespace(callers=callers, back=back, health=prober.slowest, ids=callers.ids())
