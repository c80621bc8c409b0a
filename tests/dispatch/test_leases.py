"""A process that cannot renew its lease starts no node with effects, and takes over no runs."""

import pytest
from peewee import OperationalError
from test_dispatch import add_run_of_dead_process, submit, take_from
from world import chain, flow, node, process, run_of

import database
from database.queries import leases

LEASE = 3600


class Clock:
    """A clock in seconds that only the test moves."""

    now = 1_000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def mine(tmp_path, clock):
    """A process with the test's clock that executes its runs in the test's thread."""
    with process(tmp_path, inline=True, lease=LEASE) as dispatcher:
        dispatcher.lease.clock = clock
        dispatcher.lease.beat()
        yield dispatcher


@pytest.fixture
def full_disk(monkeypatch):
    """`full_disk(True)` makes every renewal of a lease fail."""

    def refuse(name, for_ms, node_types):
        raise OperationalError("database or disk is full")

    beat = leases.beat
    return lambda is_full: monkeypatch.setattr(leases, "beat", refuse if is_full else beat)


def add_silent_run(dispatcher):
    """Record a run of a process that is not known to be dead, but whose lease has expired, and return its id."""
    id_ = add_run_of_dead_process(dispatcher, flow(node("a", "noop")))
    with database.write():
        database.execute("INSERT INTO leases (name, until, owner) SELECT 'proc_gone', 1, owner FROM leases LIMIT 1")
    return id_


# Nodes with effects


def test_no_node_with_effects_starts_while_the_lease_cannot_be_renewed(mine, clock, types, full_disk):
    def lapse(config, input, ctx):
        clock.now += LEASE + 1
        full_disk(True)
        return input

    types.offer("lapse", lapse)
    run = submit(mine, chain(node("a", "lapse"), node("b", "act")), 1)
    assert types.effects == []
    full_disk(False)
    mine.lease.beat()
    mine.executor.record_unrecorded()
    row = run_of(run.id)
    assert row.status == "failed" and "could not be recorded" in row.error_text and types.effects == []


def test_an_expired_lease_is_renewed_before_a_node_with_effects_starts(mine, clock, types):
    def lapse(config, input, ctx):
        clock.now += LEASE + 1
        return input

    types.offer("lapse", lapse)
    run = submit(mine, chain(node("a", "lapse"), node("b", "act")), 1)
    assert run_of(run.id).status == "success" and len(types.effects) == 1 and mine.is_open()


def test_no_node_with_effects_starts_in_a_run_lost_after_the_lease_expired(mine, clock, types, monkeypatch):
    def lapse(config, input, ctx):
        clock.now += LEASE + 1
        return input

    beat = leases.beat

    def taken_before(name, for_ms, node_types):
        # The step of the node with effects is recorded already, and another process sweeps before the renewal.
        monkeypatch.setattr(leases, "beat", beat)
        take_from(mine, run_id[0])
        beat(name, for_ms, node_types)

    run_id = []
    types.offer("lapse", lapse)
    types.offer("note", lambda config, input, ctx: run_id.append(ctx.idempotency_key.partition(":")[0]))
    monkeypatch.setattr(leases, "beat", taken_before)
    submit(mine, chain(node("n", "note"), node("a", "lapse"), node("b", "act")), 1)
    assert types.effects == [] and run_of(run_id[0]).deaths == 1


# Taking over runs


def test_after_its_lease_expired_a_process_waits_a_lease_before_it_takes_over_runs(mine, clock):
    id_ = add_silent_run(mine)
    clock.now += LEASE + 1
    mine.sweep()
    assert run_of(id_).status == "running", "its own lease has expired"
    mine.lease.beat()
    clock.now += LEASE - 1
    mine.lease.beat()
    mine.sweep()
    assert run_of(id_).status == "running", "the others have not had the time to renew their leases"
    clock.now += 1
    mine.sweep()
    assert run_of(id_).status == "success"


def test_after_a_failed_renewal_a_process_waits_a_lease_before_it_takes_over_runs(mine, clock, full_disk):
    id_ = add_silent_run(mine)
    full_disk(True)
    with pytest.raises(OperationalError):
        mine.lease.beat()
    full_disk(False)
    mine.sweep()
    assert run_of(id_).status == "running"
    mine.lease.beat()
    mine.sweep()
    assert run_of(id_).status == "running"
    clock.now += LEASE - 1
    mine.lease.beat()
    clock.now += 1
    mine.sweep()
    assert run_of(id_).status == "success"


def test_after_a_slow_renewal_a_process_waits_a_lease_before_it_takes_over_runs(mine, clock, monkeypatch):
    """The database was away, for a shorter time than the lease: the leases of others may have run out meanwhile."""
    beat, id_ = leases.beat, add_silent_run(mine)

    def come_late(name, for_ms, node_types):
        clock.now += LEASE / 2
        beat(name, for_ms, node_types)

    monkeypatch.setattr(leases, "beat", come_late)
    mine.lease.beat()
    monkeypatch.setattr(leases, "beat", beat)
    mine.sweep()
    assert run_of(id_).status == "running"
    clock.now += LEASE / 2 - 1
    mine.lease.beat()
    clock.now += LEASE / 2 + 1
    mine.sweep()
    assert run_of(id_).status == "success"


def test_runs_of_a_process_known_to_be_dead_are_taken_over_at_once(mine, clock):
    id_ = add_run_of_dead_process(mine, flow(node("a", "noop")))
    clock.now += LEASE + 1
    mine.lease.beat()
    mine.sweep()
    assert run_of(id_).status == "success"
