"""Changes of a flow: its schedules continue, restart or are deleted."""

import pytest
from moments import HOUR, MINUTE, SECOND, START, config, fires, row, schedule, sync

from database import write
from database.queries import schedules
from models import Schedule
from scheduler.firing import fire_due

pytestmark = pytest.mark.usefixtures("path")


def test_a_new_schedule_begins_now():
    made = schedule(every=3600)
    fire_due(START)
    assert (row(made).anchor_ms, row(made).next_at) == (START, START + HOUR)


def test_a_change_of_something_else_does_not_shift_an_interval():
    made = schedule(every=3600)
    fire_due(START)
    before = row(made).__data__
    sync(made, START + 10 * MINUTE, tick=config(every=3600))
    assert row(made).__data__ == before


def test_a_new_schedule_starts_at_its_creation():
    made = schedule(every=60)
    sync(made, START + 30 * SECOND, tick=config(every=60))
    fire_due(START + 61 * SECOND)
    assert fires() == [START + MINUTE]


@pytest.mark.parametrize(
    "changed",
    [{"every": 1800}, {"cron": "0 * * * *"}, {"cron": "30 * * * *", "timezone": "Asia/Tokyo"}],
)
def test_another_rule_restarts_the_schedule(changed):
    made = schedule(every=3600)
    fire_due(START)
    sync(made, START + 10 * MINUTE, tick=config(**changed))
    assert row(made).anchor_ms == row(made).next_at == START + 10 * MINUTE
    assert (row(made).every, row(made).cron) == (changed.get("every"), changed.get("cron"))


def test_another_time_zone_restarts_a_cron_schedule():
    made = schedule(cron="0 0 * * *")
    fire_due(START)
    assert row(made).next_at == START + 12 * HOUR
    sync(made, START + MINUTE, tick=config(cron="0 0 * * *", timezone="Asia/Tokyo"))
    fire_due(START + MINUTE)
    assert row(made).next_at == START + 3 * HOUR


def test_another_time_zone_does_not_shift_an_interval():
    made = schedule(every=3600)
    fire_due(START)
    sync(made, START + MINUTE, tick=config(every=3600, timezone="Asia/Tokyo"))
    assert (row(made).next_at, row(made).timezone) == (START + HOUR, "Asia/Tokyo")


def test_another_catch_up_leaves_the_times_alone():
    made = schedule(every=3600)
    fire_due(START)
    sync(made, START + MINUTE, tick=config(every=3600, catch_up="all"))
    assert (row(made).next_at, row(made).catch_up) == (START + HOUR, "all")


def test_a_flow_has_exactly_the_wanted_schedules():
    made = schedule(every=60)
    other = schedule(every=60)
    sync(made, hourly=config(every=3600), daily=config(cron="0 0 * * *"))
    assert sorted(found.node_id for found in Schedule.select().where(Schedule.workflow_id == made.id)) == [
        "daily",
        "hourly",
    ]
    sync(made)
    assert [found.workflow_id for found in Schedule.select()] == [other.id]


def test_a_reactivated_flow_restarts_without_missed_times():
    made = schedule(every=60, catch_up="all")
    fire_due(START)
    sync(made, START + MINUTE // 2)
    fire_due(START + HOUR)
    sync(made, START + 2 * HOUR, tick=config(every=60, catch_up="all"))
    fire_due(START + 2 * HOUR + MINUTE)
    assert fires() == [START + 2 * HOUR + MINUTE]


def test_a_failed_change_keeps_the_schedules():
    made = schedule(every=60)
    with pytest.raises(ZeroDivisionError), write():
        schedules.sync(made, [("tick", config(every=1))], START)
        raise ZeroDivisionError
    assert row(made).every == 60


@pytest.mark.parametrize("fire_times", [{"every": 60}, {"cron": "*/5 * * * *"}])
def test_a_schedule_read_before_a_change_cannot_fire_after_it(fire_times):
    made = schedule(**fire_times)
    (read,) = schedules.due(START, 10)
    sync(made, START, tick=config(every=7))
    with write():
        assert not schedules.move(read, START + HOUR)
    assert row(made).next_at == row(made).anchor_ms > START


def test_without_a_time_a_schedule_begins_at_the_present_one():
    made = schedule(None, every=60)
    assert abs(row(made).anchor_ms - made.created_at) < HOUR
