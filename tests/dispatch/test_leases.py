"""A process that cannot renew its lease starts nothing with effects, and takes nobody for dead."""

import pytest
from peewee import OperationalError
from test_dispatch import left_behind, submit, taken_from
from world import chain, flow, node, process, run_of

import database
from models import Lease

LEASE = 3600


class Clock:
    """A clock that stands still until it is moved; seconds."""

    now = 1_000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def mine(tmp_path, clock):
    """A process whose clock the test has, and which executes its runs in the thread of the test."""
    with process(tmp_path, inline=True, lease=LEASE) as dispatcher:
        dispatcher.lease.clock = clock
        dispatcher.lease.beat()
        yield dispatcher


@pytest.fixture
def full_disk(monkeypatch):
    """`full_disk(True)`: no lease can be renewed."""

    def refuse(name, for_ms):
        raise OperationalError("database or disk is full")

    beat = Lease.beat
    return lambda is_full: monkeypatch.setattr(Lease, "beat", refuse if is_full else beat)


def silent(dispatcher):
    """A run of a process that is not known to be gone, but has not been heard of for longer than its lease."""
    id_ = left_behind(dispatcher, flow(node("a", "noop")))
    with database.write():
        database.execute("INSERT INTO leases (name, until, owner) SELECT 'proc_gone', 1, owner FROM leases LIMIT 1")
    return id_


# What has effects


def test_nothing_with_effects_starts_while_the_lease_cannot_be_renewed(mine, clock, types, full_disk):
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


def test_a_lease_that_has_run_out_is_renewed_before_something_with_effects_starts(mine, clock, types):
    def lapse(config, input, ctx):
        clock.now += LEASE + 1
        return input

    types.offer("lapse", lapse)
    run = submit(mine, chain(node("a", "lapse"), node("b", "act")), 1)
    assert run_of(run.id).status == "success" and len(types.effects) == 1 and mine.is_open()


def test_nothing_with_effects_starts_in_a_run_that_was_taken_as_the_lease_ran_out(mine, clock, types, monkeypatch):
    def lapse(config, input, ctx):
        clock.now += LEASE + 1
        return input

    beat = Lease.beat

    def taken_before(name, for_ms):
        # The step of the node with effects is on record already, and others look while the lease is not renewed.
        monkeypatch.setattr(Lease, "beat", beat)
        taken_from(mine, run_id[0])
        beat(name, for_ms)

    run_id = []
    types.offer("lapse", lapse)
    types.offer("note", lambda config, input, ctx: run_id.append(ctx.idempotency_key.partition(":")[0]))
    monkeypatch.setattr(Lease, "beat", taken_before)
    submit(mine, chain(node("n", "note"), node("a", "lapse"), node("b", "act")), 1)
    assert types.effects == [] and run_of(run_id[0]).deaths == 1


# Whom it takes for dead


def test_a_process_whose_lease_lapsed_trusts_silence_only_after_a_lease(mine, clock):
    id_ = silent(mine)
    clock.now += LEASE + 1
    mine.sweep()
    assert run_of(id_).status == "running", "its own lease has run out"
    mine.lease.beat()
    clock.now += LEASE - 1
    mine.lease.beat()
    mine.sweep()
    assert run_of(id_).status == "running", "the others had no time yet to say that they live"
    clock.now += 1
    mine.sweep()
    assert run_of(id_).status == "success"


def test_a_failed_renewal_delays_the_trust_in_silence_by_a_lease(mine, clock, full_disk):
    id_ = silent(mine)
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


def test_the_runs_of_a_process_that_is_known_to_be_gone_are_taken_at_once_all_the_same(mine, clock):
    id_ = left_behind(mine, flow(node("a", "noop")))
    clock.now += LEASE + 1
    mine.lease.beat()
    mine.sweep()
    assert run_of(id_).status == "success"
