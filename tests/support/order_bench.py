"""The order bench: two web servers and two workers on PostgreSQL and RabbitMQ, and kills of all of these.

An order is a call of a webhook with a key. Its run sends each line to a flaky service, calls another flow that waits,
asks for an approval, and ships what was approved.
"""

import http.client
import json
import os
import signal
import threading
import time
from collections import Counter, defaultdict
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from urllib.parse import urlsplit

import psycopg
from children import end_child
from effects import http_node
from psycopg.rows import namedtuple_row
from record import describe, is_interrupted
from servers import PATIENCE, Server, Worker, processes, until
from sql_servers import Postgres
from world import Background

CLIENTS = 16
PAUSE = 0.1  # seconds until a client repeats a request
RETRY = {"attempts": 9, "delay": 0.1, "backoff": 1.5}
WAYS = ("immediately", "node")  # when a call of the webhook is answered; callers of the latter wait for the run
LONG = 70_000  # characters of a note that is too large for the row of its run
DESCRIBED = "SELECT id, workflow_name, status, waiting, claims, deaths, lease_owner, error_text FROM runs"
LEASE_SECONDS = 3  # of the servers in servers.py
SETTLE_SECONDS = 120  # in which all orders end after the last kill


class DurablePostgres(Postgres):
    """A PostgreSQL server as in production, which can be killed and started again on its data."""

    fsync = "on"

    def children(self):
        """Return the ids of the processes of the server, except the first one."""
        return [pid for pid, parent, _ in processes() if parent == self.process.pid]

    def kill(self):
        """Send SIGKILL to the first process. Return when the others have noticed."""
        children = set(self.children())
        os.kill(self.process.pid, signal.SIGKILL)
        end_child(self.process)
        until(lambda: not children & {pid for pid, _, _ in processes()}, "PostgreSQL's processes end")

    def restart(self):
        """Start the server again. Return when it answers."""
        self.process = self.start()
        until(self.answers, "PostgreSQL answers")

    def answers(self):
        """Return True if a client can connect. Raises: AssertionError if the server has ended."""
        assert self.process.poll() is None, "PostgreSQL has ended"
        try:
            self.admin("SELECT 1")
        except psycopg.OperationalError:
            return False
        return True

    def backends(self):
        """Return the process ids of the connections of our processes."""
        sql = "SELECT pid FROM pg_stat_activity WHERE application_name = 'headrace' AND backend_type = 'client backend'"
        return [pid for (pid,) in self.admin(sql)]


def supervise(server):
    """Start a server, and again if it ends because the database is not there yet, as systemd does."""

    def start():
        try:
            return server.start()
        except AssertionError:
            if server._process.poll() is None:
                raise
            return None

    until(start, "the server starts")


class Team:
    """The processes of the bench. `noted` counts, for each run, the kills of its process while it was running."""

    def __init__(self, folder, postgres, broker, random, tell):
        self.postgres, self.broker, self.random = postgres, broker, random
        self.url = postgres.url()
        self.noted = Counter()
        self._mending = []
        shared = {
            "DATABASE_URL": self.url, "CELERY_BROKER_URL": broker.url, "HEADRACE_SECRET_KEY": "the key of the bench",
            "HEADRACE_PUBLIC_URL": "http://127.0.0.1:8000", "HEADRACE_DURABILITY": "full", "HEADRACE_RUN_THREADS": "8",
        }  # fmt: skip
        self.webs = [Server(folder / f"web{number}", HEADRACE_ROLE="web", **shared) for number in (0, 1)]
        self.workers = [Worker(folder / f"worker{number}", 8, **shared) for number in (0, 1)]
        tell("runs that have failed or not ended", self.describe_runs)
        for server in (*self.webs, *self.workers):
            tell(server.data_dir.name, lambda server=server: "".join(list(server.lines)[-60:]))

    def start(self):
        """Start all processes, and log in."""
        self.webs[0].start()  # it makes the schema
        for started in [Background(server.start) for server in (self.webs[1], *self.workers)]:
            started.result()
        self.webs[0].log_in()
        self.webs[1].token = self.webs[0].token
        return self

    def close(self):
        for server in (*self.webs, *self.workers):
            server.close()

    def ask(self, sql, *params):
        """Return the rows of a query."""
        with psycopg.connect(self.url, row_factory=namedtuple_row) as connection:
            return connection.execute(sql, params).fetchall()

    def describe_runs(self):
        """Return the runs that are not a success, for a failed test."""
        return "\n".join(map(str, self.ask(f"{DESCRIBED} WHERE status <> 'success' ORDER BY id LIMIT 20")))

    def find_running(self):
        return [row.id for row in self.ask("SELECT id FROM runs WHERE status = 'running'")]

    # Kills. Each returns when what it has killed is there again; only the broker takes longer.

    def kill(self, kind, down=1):
        """Kill one of this kind. `down` are the seconds until a killed PostgreSQL server starts again."""
        until(self._is_no_run_suspect, "no run has lost two processes")
        if kind == "postmaster":
            return self.kill_postmaster(down)
        return getattr(self, f"kill_{kind}")()

    def _is_no_run_suspect(self):
        """Return True if no unfinished run has lost two processes: it would be given up with the third."""
        try:
            return not self.ask("SELECT 1 FROM runs WHERE deaths > 1 AND finished_at IS NULL")
        except psycopg.OperationalError:
            return False

    def _note(self):
        self.noted.update(self.find_running())

    def kill_web_worker(self):
        web = self.random.choice(self.webs)
        web.kill_worker(self.random.choice(web.workers()), self._note)

    def kill_web_master(self):
        """Kill the first process of a web server; its workers end when they notice."""
        web = self.random.choice(self.webs)
        self._note()
        web.answering.clear()
        os.kill(web.master, signal.SIGKILL)
        web.ended()
        supervise(web)

    def kill_web(self):
        web = self.random.choice(self.webs)
        web.kill(self._note)
        supervise(web)

    def kill_worker(self):
        worker = self.random.choice(self.workers)
        worker.kill(self._note)
        supervise(worker)

    def kill_sleeping(self):
        """Freeze a worker until others have taken its runs, and let it go on."""
        worker = self.random.choice(self.workers)
        worker.signal(signal.SIGSTOP)
        self._note()
        threading.Event().wait(2 * LEASE_SECONDS)
        worker.signal(signal.SIGCONT)

    def kill_stopped(self):
        """Stop a server as for an update, and start it again."""
        server = self.random.choice([*self.webs, *self.workers])
        server.terminate()
        assert server.ended() == 0
        supervise(server)

    def kill_connections(self):
        """End up to half of the connections to PostgreSQL, as an administrator can."""
        backends = self.postgres.backends()
        for pid in self.random.sample(backends, max(1, len(backends) // 2)):
            self.postgres.admin(f"SELECT pg_terminate_backend({pid})")

    def kill_backend(self):
        """Kill a process of PostgreSQL, which then ends all others and recovers."""
        found = set(self.postgres.backends())
        with suppress(ProcessLookupError):
            os.kill(self.random.choice(sorted(found)), signal.SIGKILL)
        until(lambda: not found & {pid for pid, _, _ in processes()}, "all backends end")
        until(self.postgres.answers, "PostgreSQL answers")

    def kill_postmaster(self, down):
        self.postgres.kill()
        threading.Event().wait(down)
        self.postgres.restart()

    def kill_broker(self):
        self.mend()
        self.broker.kill()
        self._mending.append(Background(self.broker.start))

    def mend(self):
        """Return when the broker is there again."""
        while self._mending:
            self._mending.pop().result()


KINDS = ("web_worker", "web_master", "web", "worker", "connections", "backend", "postmaster", "broker")
MORE_KINDS = (*KINDS, "sleeping", "stopped")  # of a long test


def chain(*nodes):
    ids = [node["id"] for node in nodes]
    return {"nodes": list(nodes), "edges": [list(pair) for pair in zip(ids, ids[1:], strict=False)]}


def packing(url):
    """Return the flow that each order calls."""
    n = {"order": "{{ trigger.order }}"}
    return chain(
        {"id": "start", "type": "called"},
        http_node("reserve", f"{url}/reserve", n, retry=RETRY),
        {"id": "pause", "type": "wait", "config": {"seconds": "{{ 0.3 + (trigger.order % 5) * 0.3 }}"}},
        http_node("label", f"{url}/label", n, retry=RETRY),
        {"id": "packed", "type": "set", "config": {"values": n}},
    )


def ordering(url, way, packing_id):
    """Return the flow of an order, with the webhook `/orders/<way>`."""
    n = {"order": "{{ trigger.body.order }}"}
    links = {"run": "{{ run.id }}", "link": "{{ steps.approval.approved_url }}"}
    made = chain(
        {"id": "hook", "type": "webhook",
         "config": {"path": f"orders/{way}", "respond": way, "dedupe_header": "X-Order"}},
        http_node("lines", f"{url}/line", {**n, "line": "{{ item }}"}, foreach="{{ trigger.body.lines }}", retry=RETRY),
        {"id": "pack", "type": "subflow", "config": {"workflow_id": packing_id, "input": n}},
        http_node("ask", f"{url}/ask", {**n, **links}, retry=RETRY),
        {"id": "approval", "type": "approval", "config": {"message": "Ship order {{ trigger.body.order }}?"}},
        http_node("approved", f"{url}/ship", n, retry=RETRY),
        {"id": "end", "type": "set", "config": {"values": {
            **n, "packed": "{{ steps.pack.order }}", "answer": "{{ steps.approval.answer }}",
            "lines": "{{ steps.lines | map(attribute='body') | map(attribute='line') }}",
            "note": "{{ trigger.body.note | length }}"}}},
    )  # fmt: skip
    if way == "node":
        respond = {"id": "respond", "type": "respond", "config": {"body": {"run_id": "{{ run.id }}", **n}}}
        made["nodes"].append(respond)
        made["edges"].remove(["lines", "pack"])
        made["edges"] += [["lines", "respond"], ["respond", "pack"]]
    made["nodes"].append(http_node("rejected", f"{url}/refund", n, retry=RETRY))
    made["edges"].remove(["approval", "approved"])
    made["edges"] += [["approval", "approved", "approved"], ["approval", "rejected", "rejected"], ["rejected", "end"]]
    return made


class Orders:
    """Careful clients: they repeat each call until it is answered. Most orders are placed once, some by two clients.

    `told` has the ids in the answers, by number. Two people answer each approval, and may contradict each other:
    `sent` has their answers by run, `taken` those that were answered with 200.
    """

    def __init__(self, webs, service, random):
        self.webs, self.service, self.random = webs, service, random
        self.told, self.sent, self.taken = defaultdict(set), defaultdict(set), defaultdict(list)
        self.last = 0
        self._asked = set()
        self._pool = ThreadPoolExecutor(CLIENTS)
        self._calls = []
        service.heard = self._hear

    def place(self, count):
        """Place so many more orders."""
        for _ in range(count):
            self.last += 1
            first = self.random.randrange(2)
            for who in range(self.random.choice((1, 1, 2))):
                self._calls.append(self._pool.submit(self._place, self.last, first + who))

    def way(self, number):
        return WAYS[number % 2]

    def lines(self, number):
        return [f"line {index}" for index in range(1 + number % 4)]

    def note(self, number):
        return "x" * (LONG if number % 7 == 0 else 7)

    def _place(self, number, first):
        path, headers = f"/api/webhooks/orders/{self.way(number)}", {"X-Order": f"order {number}"}
        body = {"order": number, "lines": self.lines(number), "note": self.note(number)}
        _, answer = self._insist(first, path, body, headers, (200, 202))
        self.told[number].add(answer["run_id"])

    def _hear(self, path, body):
        """Have two people answer the approval for which a run has asked."""
        if path == "/ask" and body["run"] not in self._asked:
            self._asked.add(body["run"])
            link = urlsplit(body["link"])._replace(scheme="", netloc="").geturl()
            self._calls.append(self._pool.submit(self._answer, body["run"], link, "approved", {}))
            answer = "approved" if body["order"] % 3 else "rejected"
            own = {"node_id": "approval", "answer": answer}
            self._calls.append(
                self._pool.submit(self._answer, body["run"], f"/api/runs/{body['run']}/resume", answer, own)
            )

    def _answer(self, run, path, answer, body):
        self.sent[run].add(answer)
        status, _ = self._insist(len(self.taken), path, body, {}, (200, 409))
        if status == 200:
            self.taken[run].append(answer)

    def _insist(self, first, path, body, headers, done):
        end, number = time.monotonic() + 2 * PATIENCE, first
        while True:
            try:
                status, answer = self.webs[number % 2].request("POST", path, body, headers)
            except (OSError, http.client.HTTPException, json.JSONDecodeError) as error:
                status, answer = 0, error
            if status in done:
                return status, answer
            assert status in (0, 503), f"POST {path}: {status} {answer}"
            assert time.monotonic() < end, f"POST {path}: no answer, at last {status} {answer}"
            threading.Event().wait(PAUSE)
            number += 1

    def check_answers(self):
        """Raise the error of a call that has failed."""
        for call in list(self._calls):
            if call.done():
                call.result()

    def finish(self):
        """Return when all calls are answered."""
        while self._calls:
            self._calls.pop(0).result(2 * PATIENCE)

    def close(self):
        self._pool.shutdown(wait=False, cancel_futures=True)


# Checks of the order bench, after all orders have ended: one run an order, no effect twice, nothing left


UNFINISHED = (
    "SELECT id, workflow_name, status, waiting, claims, deaths, lease_owner FROM runs WHERE finished_at IS NULL"
)
LEFT = ("waits", "run_options")  # tables that have rows of unfinished runs only


def check(team, orders, service):
    """Check every guarantee about the orders, which have all ended."""
    runs = team.ask("SELECT * FROM runs ORDER BY id")
    steps = defaultdict(list)
    for step in team.ask("SELECT * FROM all_steps ORDER BY run_id, seq"):
        steps[step.run_id].append(step)
    broken = [
        (run.id, run.workflow_name, run.claims, run.deaths, run.error_text) for run in runs if run.status != "success"
    ]
    assert not broken, f"{len(broken)} runs did not succeed: {broken[:3]}\n{describe(steps[broken[0][0]])}"
    assert not team.ask(UNFINISHED)
    tops = [run for run in runs if run.parent_run_id is None]
    check_numbers(team, orders, runs, tops)
    requests = service.requests()
    foreign = {key.partition(":")[0] for key in requests} - {run.id for run in runs}
    assert not foreign, f"requests of runs that are not recorded: {foreign}"
    for run in runs:
        check_steps(run, steps[run.id])
        check_requests(run, steps[run.id], requests)
    for run in tops:
        check_output(run, orders)
    check_nothing_is_left(team, runs)


def check_numbers(team, orders, runs, tops):
    """Check that each order has one run, with one run of the flow that it calls, and that each run counts once."""
    by_number = defaultdict(set)
    for run in tops:
        by_number[int(json.loads(run.output)["order"])].add(run.id)
    assert by_number == orders.told, "each order has exactly the run that its clients were told"
    assert sorted(by_number) == list(range(1, orders.last + 1))
    twice = {number: ids for number, ids in by_number.items() if len(ids) != 1}
    assert not twice, f"placed once, recorded twice: {twice}"
    called = Counter(run.parent_run_id for run in runs if run.parent_run_id is not None)
    assert called == Counter(run.id for run in tops), "each run has called exactly one"
    keys = {row.key: row.run_id for row in team.ask("SELECT * FROM idempotency_keys")}
    assert keys == {f"hook:hook:order {number}": next(iter(ids)) for number, ids in by_number.items()}
    (days,) = team.ask("SELECT SUM(total) AS total, SUM(success) AS success FROM run_days")
    assert (days.total, days.success) == (len(runs), len(runs)), "the metrics do not match the recorded runs"


def check_steps(run, of_it):
    """Check that each node, and each item, has one end."""
    ends = Counter((step.node_id, step.item_index) for step in of_it if step.status in ("success", "skipped"))
    assert set(ends.values()) == {1}, f"{run.id}\n{describe(of_it)}"
    others = {step.status for step in of_it} - {"success", "skipped", "failed"}
    assert not others, f"{run.id}\n{describe(of_it)}"
    assert [step.seq for step in of_it] == sorted({step.seq for step in of_it}), describe(of_it)
    if run.claims == 1:
        assert not any(is_interrupted(step) for step in of_it), describe(of_it)


def check_requests(run, of_it, requests):
    """Check that each recorded attempt sent at most one request, and that a service that has answered was asked again
    only if the attempt was interrupted before its result was recorded.
    """
    for key, attempts in group_attempts(of_it).items():
        received = requests.pop(key, [])
        if not any(step.status == "success" for step in attempts):
            assert not received and {step.status for step in attempts} == {"skipped"}, f"{key}\n{describe(of_it)}"
            continue
        text = f"{key}: {[request.answer for request in received]}\n{describe(of_it)}"
        interrupted = sum(is_interrupted(step) for step in attempts)
        answered = sum(request.answer == "ok" for request in received)
        assert 1 <= answered <= 1 + interrupted, text
        assert len(received) <= len(attempts), text
    left = [key for key in requests if key.startswith(f"{run.id}:")]
    assert not left, f"requests without a step: {left}"


def group_attempts(of_it):
    """Return the steps that send requests by the key of these."""
    found = defaultdict(list)
    whole = {step.node_id for step in of_it if step.item_index is not None}
    for step in of_it:
        if step.node_type == "http" and (step.item_index is not None or step.node_id not in whole):
            found[f"{step.run_id}:{step.node_id}:{step.item_index or 0}"].append(step)
    return found


def check_output(run, orders):
    """Check the output of an order, and that its approval has the answer that was accepted."""
    output = json.loads(run.output)
    number = output["order"]
    assert output["packed"] == number and output["lines"] == orders.lines(number), output
    assert int(output["note"]) == len(orders.note(number)), output
    taken = orders.taken[run.id]
    assert output["answer"] in orders.sent[run.id], (run.id, output, orders.sent[run.id])
    assert taken in ([], [output["answer"]]), (run.id, output, taken)


def check_nothing_is_left(team, runs):
    """Check that no table has rows of runs that do not exist, or of runs that have ended."""
    for table in LEFT:
        assert not team.ask(f"SELECT * FROM {table}"), table
    kept = {row.run_id for row in team.ask("SELECT DISTINCT run_id FROM payloads WHERE name = 'input'")}
    assert {run.id for run in runs if run.input_bytes is not None} <= kept
    assert not [run for run in runs if run.lease_owner is not None]
    taken = {run.id: (run.deaths, team.noted[run.id]) for run in runs if run.deaths > team.noted[run.id]}
    assert not taken, f"taken from living processes (deaths, kills of its process): {taken}"
