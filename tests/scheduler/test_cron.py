"""When schedules fire, above all where the clock is set forward or back. Expectations are those of Debian's cron(8):

jobs of a fixed time that the clock skips run right after the change, in a repeated hour they run once; jobs with `*`
in minute or hour follow the new time at once.
"""

from datetime import datetime, timedelta
from itertools import islice
from zoneinfo import ZoneInfo

import pytest
from cronsim import CronSimError
from hypothesis import given, reject, settings
from hypothesis import strategies as st
from moments import DAY, HOUR, MINUTE, SECOND, at, shown
from properties import examples

from scheduler.cron import Cron, Interval, get_cron

BERLIN, NEW_YORK, LORD_HOWE = "Europe/Berlin", "America/New_York", "Australia/Lord_Howe"


def times(expression, zone, start, count):
    """The first instants after a moment of the zone, as its clock shows them."""
    found, times = at(start, zone), []
    fire_times = Cron(expression, zone)
    for _ in range(count):
        found = fire_times.after(found)
        times.append(shown(found, zone))
    return times


# The clock is set forward

FORWARD = [
    # 02:00 becomes 03:00
    ("30 2 * * *", BERLIN, "2024-03-30 12:00", ["2024-03-31 03:00 +0200", "2024-04-01 02:30 +0200"]),
    ("0 2 * * *", BERLIN, "2024-03-30 12:00", ["2024-03-31 03:00 +0200", "2024-04-01 02:00 +0200"]),
    ("0 3 * * *", BERLIN, "2024-03-30 12:00", ["2024-03-31 03:00 +0200", "2024-04-01 03:00 +0200"]),
    ("59 1 * * *", BERLIN, "2024-03-30 12:00", ["2024-03-31 01:59 +0100", "2024-04-01 01:59 +0200"]),
    # Three times that become one
    ("0,20 2,3 * * *", BERLIN, "2024-03-30 12:00", ["2024-03-31 03:00 +0200", "2024-03-31 03:20 +0200"]),
    ("0 * * * *", BERLIN, "2024-03-31 00:30", ["2024-03-31 01:00 +0100", "2024-03-31 03:00 +0200"]),
    ("*/15 * * * *", BERLIN, "2024-03-31 01:30", ["2024-03-31 01:45 +0100", "2024-03-31 03:00 +0200"]),
    ("*/15 2 * * *", BERLIN, "2024-03-31 00:00", ["2024-04-01 02:00 +0200", "2024-04-01 02:15 +0200"]),
    ("30 2 * * *", NEW_YORK, "2024-03-09 12:00", ["2024-03-10 03:00 -0400", "2024-03-11 02:30 -0400"]),
    ("0 * * * *", NEW_YORK, "2024-03-10 00:30", ["2024-03-10 01:00 -0500", "2024-03-10 03:00 -0400"]),
    ("30 2 10 3 *", NEW_YORK, "2024-01-01 00:00", ["2024-03-10 03:00 -0400", "2025-03-10 02:30 -0400"]),
    # 02:00 becomes 02:30
    ("10 2 * * *", LORD_HOWE, "2024-10-05 12:00", ["2024-10-06 02:30 +1100", "2024-10-07 02:10 +1100"]),
    ("30 2 * * *", LORD_HOWE, "2024-10-05 12:00", ["2024-10-06 02:30 +1100", "2024-10-07 02:30 +1100"]),
    ("40 2 * * *", LORD_HOWE, "2024-10-05 12:00", ["2024-10-06 02:40 +1100", "2024-10-07 02:40 +1100"]),
    ("0 * * * *", LORD_HOWE, "2024-10-06 00:30", ["2024-10-06 01:00 +1030", "2024-10-06 03:00 +1100"]),
    ("*/20 * * * *", LORD_HOWE, "2024-10-06 01:30", ["2024-10-06 01:40 +1030", "2024-10-06 02:40 +1100"]),
    # An hour that follows the change begins at its beginning
    ("*/30 3 * * *", LORD_HOWE, "2024-10-05 12:00", ["2024-10-06 03:00 +1100", "2024-10-06 03:30 +1100"]),
    # Midnight is skipped
    ("0 0 * * *", "Africa/Cairo", "2024-04-25 12:00", ["2024-04-26 01:00 +0300", "2024-04-27 00:00 +0300"]),
    ("*/30 0 26 * *", "Africa/Cairo", "2024-04-25 12:00", ["2024-05-26 00:00 +0300", "2024-05-26 00:30 +0300"]),
    # A day is skipped
    ("0 12 * * *", "Pacific/Apia", "2011-12-29 13:00", ["2011-12-31 00:00 +1400", "2011-12-31 12:00 +1400"]),
]


@pytest.mark.parametrize(("expression", "zone", "start", "expected"), FORWARD)
def test_the_clock_is_set_forward(expression, zone, start, expected):
    assert times(expression, zone, start, len(expected)) == expected


# The clock is set back

BACK = [
    # 03:00 becomes 02:00
    ("30 2 * * *", BERLIN, "2024-10-26 12:00", ["2024-10-27 02:30 +0200", "2024-10-28 02:30 +0100"]),
    ("0 3 * * *", BERLIN, "2024-10-26 12:00", ["2024-10-27 03:00 +0100", "2024-10-28 03:00 +0100"]),
    ("0 2 * * *", BERLIN, "2024-10-26 12:00", ["2024-10-27 02:00 +0200", "2024-10-28 02:00 +0100"]),
    ("0 2,3 * * *", BERLIN, "2024-10-26 12:00", ["2024-10-27 02:00 +0200", "2024-10-27 03:00 +0100"]),
    (
        "0 * * * *",
        BERLIN,
        "2024-10-27 01:30",
        ["2024-10-27 02:00 +0200", "2024-10-27 02:00 +0100", "2024-10-27 03:00 +0100"],
    ),
    (
        "*/30 * * * *",
        BERLIN,
        "2024-10-27 02:10",
        ["2024-10-27 02:30 +0200", "2024-10-27 02:00 +0100", "2024-10-27 02:30 +0100", "2024-10-27 03:00 +0100"],
    ),
    (
        "*/30 2 * * *",
        BERLIN,
        "2024-10-27 00:00",
        ["2024-10-27 02:00 +0200", "2024-10-27 02:30 +0200", "2024-10-27 02:00 +0100", "2024-10-27 02:30 +0100"],
    ),
    ("30 1 * * *", NEW_YORK, "2024-11-02 12:00", ["2024-11-03 01:30 -0400", "2024-11-04 01:30 -0500"]),
    ("0 * * * *", NEW_YORK, "2024-11-03 00:30", ["2024-11-03 01:00 -0400", "2024-11-03 01:00 -0500"]),
    # 02:00 becomes 01:30
    ("45 1 * * *", LORD_HOWE, "2024-04-06 12:00", ["2024-04-07 01:45 +1100", "2024-04-08 01:45 +1030"]),
    ("0 2 * * *", LORD_HOWE, "2024-04-06 12:00", ["2024-04-07 02:00 +1030", "2024-04-08 02:00 +1030"]),
    ("0 * * * *", LORD_HOWE, "2024-04-07 00:30", ["2024-04-07 01:00 +1100", "2024-04-07 02:00 +1030"]),
    ("*/30 * * * *", LORD_HOWE, "2024-04-07 01:10", ["2024-04-07 01:30 +1100", "2024-04-07 01:30 +1030"]),
    ("*/20 2 * * *", LORD_HOWE, "2024-04-06 12:00", ["2024-04-07 02:00 +1030", "2024-04-07 02:20 +1030"]),
    # Midnight is repeated
    ("0 0 * * *", "America/Havana", "2024-11-02 12:00", ["2024-11-03 00:00 -0400", "2024-11-04 00:00 -0500"]),
    ("0 * * * *", "America/Havana", "2024-11-02 23:30", ["2024-11-03 00:00 -0400", "2024-11-03 00:00 -0500"]),
]


@pytest.mark.parametrize(("expression", "zone", "start", "expected"), BACK)
def test_the_clock_is_set_back(expression, zone, start, expected):
    assert times(expression, zone, start, len(expected)) == expected


def test_a_fixed_time_fires_once_if_the_clock_repeats_it():
    fire_times = Cron("30 2 * * *", BERLIN)
    assert shown(fire_times.after(at("2024-10-27 02:10", BERLIN, fold=1)), BERLIN) == "2024-10-28 02:30 +0100"


# The fields

FIELDS = [
    ("0 9 * * 0", "2026-03-02 00:00", ["2026-03-08 09:00 +0000", "2026-03-15 09:00 +0000"]),
    ("0 9 * * 7", "2026-03-02 00:00", ["2026-03-08 09:00 +0000", "2026-03-15 09:00 +0000"]),
    ("0 9 * * sun", "2026-03-02 00:00", ["2026-03-08 09:00 +0000", "2026-03-15 09:00 +0000"]),
    ("0 9 * * 5-7", "2026-03-02 00:00", ["2026-03-06 09:00 +0000", "2026-03-07 09:00 +0000", "2026-03-08 09:00 +0000"]),
    ("0 9 * * MON-FRI", "2026-03-06 00:00", ["2026-03-06 09:00 +0000", "2026-03-09 09:00 +0000"]),
    ("0 0 1 JAN,jul *", "2026-03-02 00:00", ["2026-07-01 00:00 +0000", "2027-01-01 00:00 +0000"]),
    ("0 0 L * *", "2026-01-31 12:00", ["2026-02-28 00:00 +0000", "2026-03-31 00:00 +0000"]),
    ("0 0 * * 5L", "2026-03-02 00:00", ["2026-03-27 00:00 +0000", "2026-04-24 00:00 +0000"]),
    ("0 0 * * MON#2", "2026-03-02 00:00", ["2026-03-09 00:00 +0000", "2026-04-13 00:00 +0000"]),
    ("0 0 29 2 *", "2026-03-02 00:00", ["2028-02-29 00:00 +0000", "2032-02-29 00:00 +0000"]),
    ("5-10/2 8 * * *", "2026-03-02 00:00", ["2026-03-02 08:05 +0000", "2026-03-02 08:07 +0000"]),
    # Day of the month or of the week: either is enough…
    ("0 0 13 * 5", "2026-03-02 00:00", ["2026-03-06 00:00 +0000", "2026-03-13 00:00 +0000", "2026-03-20 00:00 +0000"]),
    # …but where one begins with a star, both.
    ("0 0 13 * *", "2026-03-02 00:00", ["2026-03-13 00:00 +0000", "2026-04-13 00:00 +0000"]),
    ("0 0 */2 * 5", "2026-03-02 00:00", ["2026-03-13 00:00 +0000", "2026-03-27 00:00 +0000"]),
]


@pytest.mark.parametrize(("expression", "start", "expected"), FIELDS)
def test_the_fields_of_an_expression(expression, start, expected):
    assert times(expression, "UTC", start, len(expected)) == expected


def test_the_next_instant_is_later_than_the_given_one():
    fire_times = Cron("0 12 * * *", "UTC")
    noon = at("2026-03-02 12:00")
    assert fire_times.after(noon - 1) == noon
    assert fire_times.after(noon) == noon + DAY


def test_an_expression_that_matches_no_date_has_no_instant():
    fire_times = Cron("0 0 */31 * MON#5", "UTC")  # the first of a month that is its fifth Monday
    start = at("2026-03-02 12:00")
    assert fire_times.after(start) is None
    assert fire_times.newest(start, start + DAY) is None


# Compared with the rules minute by minute

CHANGES = [
    ("Europe/Berlin", "2024-03-31 00:00"),
    ("Europe/Berlin", "2024-10-27 00:00"),
    ("America/New_York", "2024-03-10 00:00"),
    ("America/New_York", "2024-11-03 00:00"),
    ("Australia/Lord_Howe", "2024-04-06 12:00"),
    ("Australia/Lord_Howe", "2024-10-05 12:00"),
    ("Africa/Cairo", "2024-04-25 12:00"),
    ("Africa/Cairo", "2024-10-31 12:00"),
    ("America/Havana", "2024-11-03 00:00"),
    ("America/Sao_Paulo", "2018-11-03 12:00"),
    ("Africa/Casablanca", "2024-03-09 12:00"),
    ("Europe/Dublin", "2024-10-26 12:00"),
    ("Pacific/Apia", "2011-12-29 12:00"),
    ("Asia/Kathmandu", "2024-03-31 00:00"),
    ("UTC", "2024-03-31 00:00"),
]


@st.composite
def field(draw, low, high):
    """A field's text and its numbers."""
    kind = draw(st.sampled_from(["*", "*/", "list", "range"]))
    if kind == "*":
        return "*", set(range(low, high + 1))
    if kind == "*/":
        step = draw(st.integers(1, high))
        return f"*/{step}", set(range(low, high + 1)[::step])
    if kind == "list":
        numbers = draw(st.sets(st.integers(low, high), min_size=1, max_size=4))
        return ",".join(map(str, numbers)), numbers
    first = draw(st.integers(low, high))
    last = draw(st.integers(first, high))
    return f"{first}-{last}", set(range(first, last + 1))


EVERY_MONTH = st.just(("*", set(range(1, 13))))
EXPRESSIONS = st.tuples(field(0, 59), field(0, 23), field(1, 31), EVERY_MONTH | field(1, 12), field(0, 7))


def text_of(fields):
    return " ".join(text for text, _ in fields)


def cron_of(fields, zone):
    """Return the Cron; an expression without any date, such as the 30th of February, is not an example."""
    try:
        return Cron(text_of(fields), zone)
    except CronSimError:
        reject()


def minute_by_minute(fields, zone, start, end):
    """The instants after start, up to end."""
    (minute, minutes), (hour, hours), (day, days), (_, months), (weekday, weekdays) = fields
    weekdays = {number % 7 for number in weekdays}
    both = day.startswith("*") or weekday.startswith("*")
    fixed = not minute.startswith("*") and not hour.startswith("*")

    def matches(local):
        by_day, by_weekday = local.day in days, local.isoweekday() % 7 in weekdays
        is_day = by_day and by_weekday if both else by_day or by_weekday
        return local.minute in minutes and local.hour in hours and local.month in months and is_day

    def local_at(second):
        return datetime.fromtimestamp(second, ZoneInfo(zone))

    second = start // 1000 // 60 * 60
    shown_before = local_at(second)
    found = []
    while (second := second + 60) * 1000 <= end:
        local = local_at(second)
        skipped = local.replace(tzinfo=None) - shown_before.replace(tzinfo=None) - timedelta(minutes=1)
        missed = [local.replace(tzinfo=None) - timedelta(minutes=n + 1) for n in range(skipped // timedelta(minutes=1))]
        if fixed and (any(map(matches, missed)) or (matches(local) and not local.fold)):
            found.append(second * 1000)
        if not fixed and matches(local):
            found.append(second * 1000)
        shown_before = local
    return found


@given(EXPRESSIONS, st.sampled_from(CHANGES), st.integers(0, 30 * 60))
@settings(max_examples=examples(150), deadline=None)
def test_cron_follows_the_rules_minute_by_minute(fields, change, begin):
    zone, day = change
    start = at(day, zone) + begin * MINUTE - 5 * HOUR
    expected = minute_by_minute(fields, zone, start, start + 36 * HOUR)
    fire_times = cron_of(fields, zone)
    assert list(fire_times.between(start, start + 36 * HOUR)) == expected
    assert fire_times.newest(start, start + 36 * HOUR) == (expected[-1] if expected else None)


@given(EXPRESSIONS, st.sampled_from(CHANGES), st.integers(0, 48 * 3600), st.integers(0, 4 * 3600))
@settings(max_examples=examples(150), deadline=None)
def test_the_next_instant_never_moves_back(fields, change, begin, later):
    zone, day = change
    fire_times = cron_of(fields, zone)
    start = at(day, zone) + begin * SECOND
    first, second = fire_times.after(start), fire_times.after(start + later * SECOND)
    assert (first or 1e18) > start and (first or 1e18) <= (second or 1e18)


# Intervals


def test_an_interval_is_counted_from_its_anchor():
    fire_times = Interval(90, 1_000)
    assert list(islice(fire_times.between(1_000, 10**9), 3)) == [91_000, 181_000, 271_000]
    assert fire_times.after(-(10**9)) == 91_000
    assert (fire_times.after(90_999), fire_times.after(91_000)) == (91_000, 181_000)


def test_an_interval_does_not_drift_if_it_is_read_late():
    fire_times = Interval(1.5, 0)
    found = 0
    for number in range(1, 10_000):
        found = fire_times.after(found)
        assert found == number * 1_500
    assert fire_times.after(10**12 + 7) == 10**12 + 500


@given(st.integers(1_000, 10**8), st.integers(0, 10**13), st.integers(0, 10**13), st.integers(0, 10**10))
def test_the_newest_of_an_interval_is_the_last_before(interval, anchor, after, length):
    fire_times = Interval(interval / 1000, anchor)
    found = fire_times.newest(after, after + length)
    if found is None:
        assert fire_times.after(after) > after + length
    else:
        assert after < found <= after + length < fire_times.after(found)
        assert (found - anchor) % interval == 0


def test_schedules_with_the_same_expression_share_a_cron():
    assert get_cron("5 4 * * *", BERLIN) is get_cron("5 4 * * *", BERLIN)
    assert get_cron("5 4 * * *", BERLIN) is not get_cron("5 4 * * *", NEW_YORK)
