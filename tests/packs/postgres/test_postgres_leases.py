"""Leases on PostgreSQL: processes of several machines, whose clocks differ, are judged by the database's clock."""

import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
from children import child
from seeding import running
from world import PATIENCE, add_flow, flow

import database
from database import shared, write, write_runs
from database.base import now_ms
from database.queries import claims, leases
from database.queries.runs import execute_units
from models import Lease, Run
from scheduler.leader import LEASE_MS, Leadership

pytestmark = pytest.mark.slow

HOUR_NS = 3_600 * 10**9


@pytest.fixture
def url(fresh_url):
    """The URL of a new database, to which this process is connected."""
    url = fresh_url()
    database.connect(url, "normal")
    yield url
    database.disconnect()
    shared.follow(None)


@pytest.fixture
def run(url):
    """A run that the process "me" executes."""
    with write():
        made = add_flow(flow("a"))
    return running(made)


@pytest.fixture
def on_another_machine(monkeypatch):
    """`on_another_machine()` makes this process one of a machine that has started at another time."""

    def move(hours=0):
        monkeypatch.setattr(leases, "boot_id", lambda: "another-machine")
        real, monotonic = time.time_ns, shared.monotonic_ms
        monkeypatch.setattr(shared.time, "time_ns", lambda: real() + hours * HOUR_NS)
        monkeypatch.setattr(shared, "monotonic_ms", lambda: monotonic() + 10**9)

    return move


def requeue(run):
    """Write as `Dispatcher.sweep` does for a run of a process that seems dead. Return the row count of the run."""
    with write_runs() as execute:
        return execute_units([[claims.lock_lease(run.id), claims.requeue_abandoned(run.id)]], execute)[0][1]


# Processes


@pytest.mark.parametrize("hours", [0, 1, -1])
def test_another_machine_does_not_take_the_runs_of_this_one(run, on_another_machine, hours):
    leases.beat("me", 60_000)
    on_another_machine(hours)
    leases.delete_gone()
    assert claims.abandoned() == [] and requeue(run) == 0


def test_the_living_processes_are_those_of_all_machines(url, on_another_machine):
    leases.beat("proc_me", 60_000, ["noop"])
    on_another_machine()
    leases.beat("proc_other", 60_000, ["special"])
    assert len(leases.find_living()) == 2
    assert leases.has_node_types({"noop"}) and leases.has_node_types({"special"})
    leases.beat("proc_me", -1, ["noop"])
    assert len(leases.find_living()) == 1 and not leases.has_node_types({"noop"})


def test_an_expired_lease_is_taken(run, on_another_machine):
    leases.beat("me", 60_000)
    assert claims.abandoned() == []
    leases.beat("me", -1)
    on_another_machine()
    assert claims.abandoned() == [run] and claims.abandoned(silent=False) == []
    assert requeue(run) == 1 and Run.find(run.id).deaths == 1


def test_a_dead_process_is_known_only_on_its_own_machine(run, on_another_machine):
    """Linux numbers the first pid namespace of every machine alike, and process ids repeat."""
    leases.beat("me", 60_000)
    space, _, started = Lease.find("me").process.split()
    assert space.startswith(shared.boot_id())
    with child(["true"]) as gone:
        gone.wait(PATIENCE)
    Lease.update(process=f"{space} {gone.pid} {started}").execute()
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(leases, "boot_id", lambda: "another-machine")
        leases.delete_gone()
    assert claims.abandoned() == []
    leases.delete_gone()
    assert claims.abandoned() == [run]


def test_without_a_boot_id_no_process_is_looked_for(run, monkeypatch):
    monkeypatch.setattr(leases, "boot_id", lambda: "")
    leases.beat("me", 60_000)
    assert Lease.find("me").process is None
    Lease.update(process=f"pid:[1] {os.getpid()} 1").execute()
    leases.delete_gone()
    assert claims.abandoned() == []


def test_leases_of_yesterday_are_deleted(url):
    leases.beat("proc_old", -leases.DAY_MS - 1000)
    leases.beat("proc_just", -1000)
    leases.prune()
    assert [row.name for row in Lease.select()] == ["proc_just"]


def test_a_renewal_waits_for_a_process_that_takes_its_runs(run):
    """Otherwise its process could find the run still its own, and start a node with effects."""
    leases.beat("me", -1)
    done = threading.Event()

    def renew():
        leases.beat("me", 60_000)
        done.set()
        return claims.is_still_claimed(run)

    with ThreadPoolExecutor() as pool:
        with write_runs() as execute:
            counts = execute_units([[claims.lock_lease(run.id), claims.requeue_abandoned(run.id)]], execute)[0]
            renewed = pool.submit(renew)
            assert counts == [1, 1] and not done.wait(0.2)
        assert renewed.result(PATIENCE) is False


def test_a_process_that_renews_its_lease_at_the_last_moment_keeps_its_runs(run, url):
    leases.beat("me", -1)
    with psycopg.connect(url) as other:
        other.execute("UPDATE leases SET until = until + 60000 WHERE name = 'me'")
        with ThreadPoolExecutor() as pool:
            taken = pool.submit(requeue, run)
            waits = "SELECT COUNT(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
            deadline = time.monotonic() + PATIENCE
            with psycopg.connect(url, autocommit=True) as looking:
                while not looking.execute(waits).fetchone()[0]:
                    assert time.monotonic() < deadline
            other.commit()
            assert taken.result(PATIENCE) == 0
    assert Run.find(run.id).status == "running"


# Rights and the time of day


@pytest.mark.parametrize("hours", [0, 1, -1])
def test_a_right_holds_on_machines_whose_clocks_differ(url, on_another_machine, hours):
    first, second = (Leadership("leader", owner, LEASE_MS, now_ms) for owner in ("first", "second"))
    assert first.renew() and not second.renew()
    on_another_machine(hours)
    database.synchronize_clock()
    assert not second.renew() and first.renew() and first.is_valid()
    Lease.update(until=Lease.find("leader").until - LEASE_MS).execute()
    assert second.renew() and Lease.find("leader").owner == "second"


def test_a_right_from_before_the_database_was_set_back_does_not_count(url):
    assert leases.lead("leader", "first", LEASE_MS)
    Lease.update(until=now_ms() + 3_600_000).execute()
    assert leases.lead("leader", "second", LEASE_MS)


def test_one_of_many_takes_a_right(url):
    with ThreadPoolExecutor(8) as pool:
        owners = [f"lead_{number}" for number in range(8)]
        led = list(pool.map(lambda owner: leases.lead("leader", owner, LEASE_MS), owners))
    assert sum(led) == 1


@pytest.mark.parametrize("hours", [1, -1])
def test_the_time_of_day_is_the_databases(url, on_another_machine, hours, caplog):
    right = time.time_ns() // 10**6
    on_another_machine(hours)
    assert abs(now_ms() - right) > 3_500_000
    database.synchronize_clock()
    assert abs(now_ms() - right) < 10_000
    assert "the database's, which is used" in caplog.text
    database.connect(url, "normal")
    assert abs(now_ms() - right) > 3_500_000
