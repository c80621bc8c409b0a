"""One process leads, another takes over, and the clock on the wall may be set. Time is the tests'."""

import pytest
from moments import DAY, HOUR, MINUTE, SECOND, START, Clock, config, fires, logged, row, runs, schedule, sync
from world import at_once, start_python

from database import execute
from database.queries import leases
from models import Lease, Run, Schedule
from scheduler.leader import LEASE_MS, LEASE_NAME, Leader

pytestmark = pytest.mark.usefixtures("path")


@pytest.fixture
def clock():
    return Clock()


class Process(Leader):
    """A process that records its fired runs."""

    def __init__(self, clock, **options):
        self.fired = []
        super().__init__(self.fired.extend, wall=clock.wall, monotonic=clock.monotonic, **options)


def pass_by(clock, ms, *processes, step=500):
    """Let time pass, with a tick of each process every half second."""
    for _ in range(ms // step):
        clock.pass_by(step)
        for process in processes:
            process.tick()


# Election


def test_only_one_fires(clock):
    schedule(every=1)
    first, second = Process(clock), Process(clock)
    pass_by(clock, 20 * SECOND, first, second)
    assert len(first.fired) == 20 and second.fired == []


def test_fired_runs_are_committed_before_they_are_passed_on(clock):
    schedule(every=1)
    found = []
    leader = Leader(
        lambda ids: found.extend(run.status for run in Run.select().where(Run.id.in_(ids))),
        wall=clock.wall,
        monotonic=clock.monotonic,
    )
    pass_by(clock, 2 * SECOND, leader)
    assert found == ["pending", "pending"]


def test_another_process_takes_over_from_a_dead_leader_without_loss(clock):
    made = schedule(every=1, catch_up="none")
    first, second = Process(clock), Process(clock)
    pass_by(clock, 10 * SECOND, first, second)
    pass_by(clock, 10 * SECOND, second)
    assert len(first.fired) == 10 and len(second.fired) == 10
    assert fires(made) == [START + number * SECOND for number in range(1, 21)]


@pytest.mark.parametrize("policy", ["none", "last", "all"])
@pytest.mark.parametrize("down", [3, 5, 20, 59, 61, 90, 1800])
def test_instants_of_a_downtime_start_one_run_at_most_unless_all_are_wanted(clock, policy, down):
    made = schedule(every=2, catch_up=policy)
    pass_by(clock, 10 * SECOND, Process(clock))
    clock.pass_by(down * SECOND)
    started, before = Process(clock), clock.now
    started.tick()
    late = fires(made)[5:]
    newest = START + (before - START) // 2_000 * 2_000
    assert late == (list(range(START + 12 * SECOND, newest + 1, 2_000)) if policy == "all" else [newest])
    pass_by(clock, 10 * SECOND, started)
    assert fires(made)[5 + len(late) :] == [newest + number * 2_000 for number in range(1, 6)]


@pytest.mark.parametrize(("down", "hours"), [(59, [1]), (61, [])])
def test_a_schedule_that_skips_missed_times_still_fires_one_of_the_last_minute(clock, down, hours):
    made = schedule(every=3600, catch_up="none")
    pass_by(clock, HOUR - SECOND, Process(clock), step=SECOND)
    clock.pass_by((down + 1) * SECOND)
    Process(clock).tick()
    assert fires(made) == [START + number * HOUR for number in hours]
    assert [level for level, _ in logged()] == ["warning"] * (not hours)


@pytest.mark.parametrize("policy", ["none", "last", "all"])
def test_a_late_leader_fires_every_instant(clock, policy):
    made = schedule(every=1, catch_up=policy)
    leader = Process(clock)
    leader.tick()
    pass_by(clock, 40 * SECOND, leader, step=LEASE_MS)
    assert fires(made) == [START + number * SECOND for number in range(1, 41)] and logged() == []


@pytest.mark.parametrize("policy", ["none", "last"])
def test_a_process_that_was_away_for_longer_than_a_lease_catches_up_with_one_run(clock, policy):
    made = schedule(every=2, catch_up=policy)
    leader = Process(clock)
    pass_by(clock, 4 * SECOND, leader)
    clock.pass_by(20 * SECOND)
    leader.tick()
    clock.jump(30 * SECOND)
    leader.tick()
    assert fires(made) == [START + second * SECOND for second in (2, 4, 24, 54)]


@pytest.mark.parametrize("policy", ["none", "last"])
def test_instants_pass_unfired_while_ticks_fail(clock, policy, monkeypatch):
    made = schedule(every=2, catch_up=policy)
    leader = Process(clock)
    pass_by(clock, 4 * SECOND, leader)
    with monkeypatch.context() as broken:
        broken.setattr(leader, "may_start", lambda flow: 1 / 0)
        for _ in range(20):
            clock.pass_by(2 * SECOND)
            with pytest.raises(ZeroDivisionError):
                leader.tick()
    leader.tick()
    assert len(fires(made)) == 3


@pytest.mark.parametrize("policy", ["none", "last", "all"])
def test_no_instant_is_lost_when_a_server_hands_over_to_another(clock, policy):
    made = schedule(every=1, catch_up=policy)
    first = Process(clock)
    pass_by(clock, 5 * SECOND, first)
    second = Process(clock)
    pass_by(clock, 5 * SECOND, first, second)
    first.stop()
    pass_by(clock, 5 * SECOND, second)
    assert fires(made) == [START + number * SECOND for number in range(1, 16)] and logged() == []


def test_the_lease_lasts_five_seconds_after_the_last_renewal(clock):
    first, second = Process(clock), Process(clock)
    first.tick()
    clock.pass_by(LEASE_MS - 1)
    second.tick()
    assert Lease.find(LEASE_NAME).owner == first.owner
    clock.pass_by(1)
    second.tick()
    assert Lease.find(LEASE_NAME).owner == second.owner


def test_a_suspended_leader_does_not_lead_any_more(clock):
    schedule(every=1, catch_up="all")
    first, second = Process(clock), Process(clock)
    first.tick()
    clock.pass_by(10 * SECOND)
    second.tick()
    clock.pass_by(SECOND)
    first.tick()
    assert first.fired == [] and len(second.fired) == 10


def test_a_process_delayed_after_reading_the_clock_takes_no_lead(clock):
    made = schedule(every=1, catch_up="all")
    first = Process(clock)
    pass_by(clock, 2_500, first)
    clock.pass_by(LEASE_MS)  # the first was busy, and its lease has run out

    def look_and_hesitate():
        second.wall, now = clock.wall, clock.wall()
        clock.pass_by(700)
        first.tick()
        return now

    second = Process(clock)
    second.wall = look_and_hesitate
    second.tick()
    assert Lease.find(LEASE_NAME).owner == first.owner
    pass_by(clock, 4_800, first, second)
    assert fires(made) == list(range(START + SECOND, clock.now + 1, SECOND))


def test_a_stopped_leader_releases_its_lease_at_once(clock):
    first, second = Process(clock), Process(clock)
    first.tick()
    second.tick()
    second.stop()
    assert Lease.find(LEASE_NAME).owner == first.owner
    first.stop()
    second.tick()
    assert Lease.find(LEASE_NAME).owner == second.owner


def test_one_of_many_processes_leads(clock):
    processes = [Process(clock) for _ in range(8)]
    schedule(START - SECOND, every=1)
    at_once(8, lambda number: processes[number].tick())
    assert sum(len(process.fired) for process in processes) == 1
    assert sum(leases.lead(LEASE_NAME, process.owner, LEASE_MS, clock.wall) for process in processes) == 1


@pytest.mark.slow
def test_processes_that_start_together_have_different_names(path):
    source = """
import sys
from chosen_engine import connect
connect(sys.argv[1])
from scheduler.leader import Leader
print(Leader(print).owner)
"""
    names = [start_python(source, path).communicate(timeout=60)[0] for _ in range(2)]
    assert len(set(names)) == 2 and all(name.startswith("lead_") for name in names)


def test_an_idle_tick_of_the_leader_makes_one_query(clock, caplog):
    leader, follower = Process(clock), Process(clock)
    schedule(every=3600)
    for process in (leader, follower):
        process.tick()
        clock.pass_by(500)
        caplog.clear()
        with caplog.at_level("DEBUG", "peewee"):
            process.tick()
        (asked,) = [record.msg[0] for record in caplog.records if record.name == "peewee"]
        assert asked.startswith("SELECT")


# The lease itself


def test_a_free_expired_or_own_lease_is_taken():
    assert leases.lead("right", "me", 1_000, lambda: 0)
    assert not leases.lead("right", "you", 1_000, lambda: 999)
    assert leases.lead("right", "me", 1_000, lambda: 500)
    assert not leases.lead("right", "you", 1_000, lambda: 1_499)
    assert leases.lead("right", "you", 1_000, lambda: 1_500)
    assert not leases.lead("right", "me", 1_000, lambda: 1_500)


def test_a_lease_is_released_by_its_owner_only():
    leases.lead("right", "me", 1_000, lambda: 0)
    leases.drop("right", "you")
    assert Lease.find("right").owner == "me"
    leases.drop("right", "me")
    assert Lease.find("right") is None


def test_a_lease_taken_while_the_clock_was_ahead_is_free():
    leases.lead("right", "me", 1_000, lambda: HOUR)
    assert leases.lead("right", "you", 1_000, lambda: 0)


# The clock is set


def test_a_clock_set_forward_is_like_downtime(clock):
    made = schedule(every=60, catch_up="last")
    leader = Process(clock)
    pass_by(clock, 90 * SECOND, leader)
    clock.jump(HOUR)
    pass_by(clock, SECOND, leader)
    assert fires(made) == [START + MINUTE, START + 61 * MINUTE]
    assert len(logged()) == 1


def test_after_the_clock_is_set_back_a_cron_schedule_continues_without_firing_twice(clock):
    made = schedule(cron="*/10 * * * *")
    leader = Process(clock)
    leader.tick()
    clock.jump(3 * HOUR)
    clock.pass_by(500)
    leader.tick()
    fired = fires(made)
    clock.jump(-2 * HOUR)
    pass_by(clock, 2 * HOUR + 15 * MINUTE, leader, step=10 * SECOND)
    assert fires(made) == sorted({*fired, *range(START + 70 * MINUTE, START + 195 * MINUTE, 10 * MINUTE)})
    assert len(runs()) == len(fires(made))


def test_after_the_clock_is_set_back_a_rare_cron_schedule_is_due_by_the_clock(clock):
    made = schedule(START + 20 * DAY, cron="0 0 1 * *")
    clock.jump(30 * DAY)
    leader = Process(clock)
    leader.tick()
    assert row(made).next_at > START + 31 * DAY
    clock.jump(-DAY - HOUR)
    clock.pass_by(500)
    leader.tick()
    assert clock.now < row(made).next_at < START + 31 * DAY


def test_set_back_an_interval_does_not_wait_for_longer_than_it_is(clock):
    made = schedule(every=600)
    leader = Process(clock)
    leader.tick()
    pass_by(clock, 10 * MINUTE, leader)
    clock.jump(-5 * HOUR)
    clock.pass_by(500)
    leader.tick()
    begun = clock.now
    assert (row(made).anchor_ms, row(made).next_at) == (begun, begun + 10 * MINUTE)
    pass_by(clock, 10 * MINUTE, leader)
    assert fires(made) == [begun + 10 * MINUTE, START + 10 * MINUTE]


def test_a_small_correction_of_the_clock_shifts_nothing(clock):
    made = schedule(every=600)
    leader = Process(clock)
    leader.tick()
    clock.jump(-4 * SECOND)
    clock.pass_by(500)
    leader.tick()
    assert (row(made).anchor_ms, row(made).next_at) == (START, START + 10 * MINUTE)


def test_whoever_takes_over_finds_what_was_computed_while_the_clock_was_ahead(clock):
    hourly, daily = schedule(START + 9 * DAY, every=3600), schedule(START + 9 * DAY, cron="0 0 * * *")
    Process(Clock(START + 9 * DAY)).tick()
    assert row(hourly).next_at == START + 9 * DAY + HOUR and row(daily).next_at == START + 9 * DAY + 12 * HOUR
    Process(clock).tick()
    assert row(hourly).next_at == START + HOUR
    assert row(daily).next_at == START + 12 * HOUR
    clock.now = START + 12 * HOUR
    leader = Process(clock)
    leader.tick()
    assert fires(daily) == [START + 12 * HOUR]


def test_a_leader_before_the_clock_was_set_back_is_not_waited_for(clock):
    ahead = Process(Clock(START + DAY))
    ahead.tick()
    leader = Process(clock)
    schedule(every=1)
    pass_by(clock, SECOND, leader)
    assert len(leader.fired) == 1


def test_a_leader_notices_that_its_lease_has_a_time_of_a_wrong_clock(clock):
    leader = Process(clock)
    leader.tick()
    clock.jump(-HOUR)
    clock.pass_by(500)
    leader.tick()
    assert Lease.find(LEASE_NAME).until == clock.now + LEASE_MS


def test_a_takeover_keeps_correct_times(clock):
    made = [schedule(every=60), schedule(cron="0 * * * *"), schedule(cron="0 0 1 1 *", timezone="Asia/Tokyo")]
    Process(clock).tick()
    before = [row(one).__data__ for one in made]
    clock.pass_by(LEASE_MS)
    Process(clock).tick()
    assert [row(one).__data__ for one in made] == before


def test_an_unreadable_schedule_fires_again_when_it_is_readable(clock):
    made = schedule(cron="0 * * * *")
    unreadable = schedule(cron="0 * * * *", timezone="Mars/Olympus")
    Process(clock).tick()
    execute("UPDATE schedules SET next_at = NULL")
    clock.pass_by(LEASE_MS)
    Process(clock).tick()
    assert row(made).next_at == START + HOUR
    assert row(unreadable).next_at is None
    sync(unreadable, clock.now, tick=config(cron="0 * * * *"))
    Process(clock).tick()
    assert Schedule.select().where(Schedule.next_at.is_null()).count() == 0
