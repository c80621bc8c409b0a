"""Connections of a web process and workers to PostgreSQL and RabbitMQ are cut, frozen, slow, or lose answers.

Each run is executed once, callers get their run or a 503, and the processes recover by themselves.
"""

import shutil
import threading
import time

import pytest
from linked_team import COMMIT, IS_SOAK, LEASE_SECONDS, LinkedTeam, outage
from message_brokers import RabbitMQ, serving
from postgres import create
from servers import until
from world import Background

pytest.importorskip("celery")

pytestmark = pytest.mark.slow

# Longer than a lease, and than a thread waits for a connection.
AWAY_SECONDS = 90 if IS_SOAK else 6
BACK_SECONDS = 10  # until calls are accepted after a link has healed


@pytest.fixture(scope="module")
def broker():
    yield from serving(RabbitMQ)


@pytest.fixture(scope="module")
def running(postgres_server, broker, tmp_path_factory):
    create(postgres_server, "linked")
    team = LinkedTeam(tmp_path_factory.mktemp("team"), postgres_server.url(database="linked"), broker.url)
    try:
        yield team.start()
    finally:
        team.close()
        postgres_server.admin("DROP DATABASE linked WITH (FORCE)", database="postgres")


@pytest.fixture
def team(running, tell):
    """A team whose links are whole again at the end."""
    tell("processes", running.last_lines)
    yield running
    running.heal()


# Between the processes and PostgreSQL


class QuickCalls:
    """Clients that call a quick webhook at `path`, and an unknown one. `found` has the responses."""

    def __init__(self, server, path):
        self.server, self.path, self.found = server, path, []
        self._stops = threading.Event()

    def __enter__(self):
        self._calls = [Background(self._call, path) for path in (self.path, "unknown")]
        return self

    def __exit__(self, *error):
        self._stops.set()
        for each in self._calls:
            each.result()

    def statuses(self):
        """Return the statuses of the quick webhook."""
        return [status for path, status, _ in list(self.found) if path == self.path]

    def _call(self, path):
        while not self._stops.wait(0.05):
            answer, _ = self.server._exchange("POST", f"/api/webhooks/{path}", {"n": 1}, {})
            self.found.append((path, answer.status, answer.getheader("Retry-After") is not None))


@pytest.mark.soak
@pytest.mark.parametrize("fault", ["cut", "freeze"])
def test_the_web_process_loses_the_database_and_recovers(team, effects, fault):
    """Its loop executes quick calls itself, and looks for unknown addresses in the database each time."""
    flow = team.add_flow(effects.url, f"web-{fault}")
    hook = {"id": "hook", "type": "webhook", "config": {"path": f"quick-{fault}", "respond": "last"}}
    add = {"id": "add", "type": "set", "config": {"values": {"n": "{{ trigger.body.n + 1 }}"}}}
    quick = team.web.add_flow({"nodes": [hook, add], "edges": [["hook", "add"]]})
    link = team.web.to_postgres
    with QuickCalls(team.web, f"quick-{fault}") as calls:
        until(lambda: calls.statuses().count(200) > 5, "calls are answered")
        seen = outage(team, f"web-{fault}", getattr(link, fault), link.heal, AWAY_SECONDS)
        before = calls.statuses().count(200)
        until(lambda: calls.statuses().count(200) > before + 5, "calls are answered again", BACK_SECONDS)
    team.check(flow, seen.ids, effects)
    assert seen.callers.slowest < AWAY_SECONDS + BACK_SECONDS and seen.back < BACK_SECONDS
    assert seen.health < 3, "the loop goes on"
    assert set(calls.found) <= {
        (calls.path, 200, False), (calls.path, 503, True), ("unknown", 404, False), ("unknown", 503, True)
    }  # fmt: skip
    told, refused = (calls.statuses().count(status) for status in (200, 503))
    runs = team.ended(quick, told)
    assert told <= len(runs) <= told + refused and {run.status for run in runs} == {"success"}


def test_slow_links_delay_runs_and_nothing_else(team, effects):
    flow = team.add_flow(effects.url, "slow")
    for process in team.all:
        process.to_postgres.slow(0.05)
    seen = outage(team, "slow", lambda: None, lambda: None, 0, calls=5)
    runs = team.check(flow, seen.ids, effects)
    assert not seen.callers.refused and {(run.claims, run.deaths) for run in runs} == {(1, 0)}
    assert max(effects.seen().values()) == 1


def test_a_call_whose_commit_loses_its_answer_is_accepted_once(team, effects):
    flow = team.add_flow(effects.url, "lost")
    team.web.to_postgres.lose_answer(COMMIT)
    ids = [team.web.call("POST", "/api/webhooks/lost", {"n": number})["run_id"] for number in range(3)]
    assert team.web.to_postgres.lost.is_set()
    team.check(flow, ids, effects)
    assert max(effects.seen().values()) == 1


@pytest.mark.parametrize("loses", ["answer", "request"])
def test_all_commits_of_runs_are_lost_once(team, effects, loses):
    """Claims, steps and ends: the first connection that commits each of them is cut."""
    flow = team.add_flow(effects.url)
    for worker in team.workers:
        getattr(worker.to_postgres, f"lose_{loses}")(COMMIT, times=4)
    ids = team.start_runs(flow, 3)
    runs = team.check(flow, ids, effects)
    assert sum(worker.to_postgres.losses for worker in team.workers) >= 4
    assert {(run.claims, run.deaths) for run in runs} == {(1, 0)} and max(effects.seen().values()) == 1


@pytest.mark.parametrize("fault", ["cut", "freeze"])
def test_a_worker_that_is_cut_off_for_longer_than_its_lease_writes_nothing(team, effects, fault):
    flow = team.add_flow(effects.held, second=effects.url)
    (run,) = team.start_runs(flow, 1)
    effects.wait_for(1)
    (owner,) = team.ask("SELECT lease_owner FROM runs WHERE id = %s", run)
    (cut_off,) = [worker for worker in team.workers if owner.lease_owner == team.owner_of(worker)]
    getattr(cut_off.to_postgres, fault)()
    began = time.monotonic()
    team.ended(flow, 1)
    assert time.monotonic() - began > LEASE_SECONDS * 0.6
    record = team.snapshot(run)
    seen = effects.seen()
    assert seen[f"{run}:one:0"] == 2 and seen[f"{run}:two:0"] == 1, "in doubt, with the same key"
    effects.opened.set()
    cut_off.to_postgres.heal()
    team.heal()
    cut_off.said(f"run {run} no longer belongs to this process", seconds=20)
    assert team.snapshot(run) == record and effects.seen() == seen
    (again,) = team.start_runs(flow, 1, first=1)
    team.check(flow, [run, again], effects)


# Between the processes and the broker


@pytest.mark.soak
@pytest.mark.parametrize(
    ("whose", "fault"),
    [
        ("web", "cut"),
        ("workers", "freeze"),
        pytest.param("web", "freeze", marks=pytest.mark.nightly),
        pytest.param("workers", "cut", marks=pytest.mark.nightly),
    ],
)
def test_runs_go_on_without_the_broker(team, effects, whose, fault):
    flow = team.add_flow(effects.url)
    processes = [team.web] if whose == "web" else team.workers
    for process in processes:
        getattr(process.to_broker, fault)()
    began = time.monotonic()
    ids = team.start_runs(flow, 10)
    accepted = time.monotonic() - began
    team.ended(flow, 10, seconds=10)
    assert accepted < 5
    for process in processes:
        process.to_broker.heal()
    ids += team.start_runs(flow, 10, first=10)
    runs = team.check(flow, ids, effects)
    assert {run.claims for run in runs} == {1} and max(effects.seen().values()) == 1


@pytest.mark.soak
@pytest.mark.nightly
def test_a_broker_comes_back_without_its_queues(team, effects, broker):
    flow = team.add_flow(effects.url)
    ids = team.start_runs(flow, 5)
    broker.kill()
    ids += team.start_runs(flow, 5, first=5)
    for name in ("data", "logs"):
        shutil.rmtree(broker.folder / name, ignore_errors=True)
    broker.start()
    ids += team.start_runs(flow, 5, first=10)
    team.check(flow, ids, effects)
    until(lambda: delivered(team, flow, ids, effects), "the broker brings runs again")


def delivered(team, flow, ids, effects):
    """Start a run. Return True if it ends sooner than a worker that hears its broker would look for it."""
    began = time.monotonic()
    ids += team.start_runs(flow, 1, first=len(ids))
    team.ended(flow, len(ids))
    return time.monotonic() - began < 0.4 or threading.Event().wait(0.1)
