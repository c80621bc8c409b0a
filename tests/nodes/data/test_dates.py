"""The date node: parsing, formatting and calculation."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from marshmallow import ValidationError

from errors import NodeError
from nodes import REGISTRY
from nodes.data.dates import DIRECTIVES, UNITS, add, count_units, format_time, get_end, get_start

PARIS, NEW_YORK = "Europe/Paris", "America/New_York"


def refused(**config):
    with pytest.raises(ValidationError) as caught:
        REGISTRY["date"].Config().load(config)
    return caught.value.messages


@pytest.fixture
def date(run):
    def execute(operation, value=None, input=None, scope=None, **config):
        given = {} if value is None else {"value": value}
        return run("date", {"operation": operation, **given, **config}, input, scope=scope)

    return execute


def utc(date, value, **config):
    """Return the parsed time in UTC."""
    return date("parse", value, **config)["iso"]


# Parsing


@pytest.mark.parametrize(
    ("value", "iso"),
    [
        ("2026-01-31", "2026-01-31T00:00:00.000Z"),
        ("20260131", "2026-01-31T00:00:00.000Z"),
        ("2026-W05-6", "2026-01-31T00:00:00.000Z"),
        (" 2026-01-31 08:30 ", "2026-01-31T08:30:00.000Z"),
        ("2026-01-31T08:30:15.1239+02:00", "2026-01-31T06:30:15.123Z"),
        ("2026-01-31T08:30:15Z", "2026-01-31T08:30:15.000Z"),
        (1769848215, "2026-01-31T08:30:15.000Z"),
        (1769848215.5, "2026-01-31T08:30:15.500Z"),
        (1769848215500, "2026-01-31T08:30:15.500Z"),
        ("1769848215", "2026-01-31T08:30:15.000Z"),
        ("1769848215.25", "2026-01-31T08:30:15.250Z"),
        ("1769848215500", "2026-01-31T08:30:15.500Z"),
        (0, "1970-01-01T00:00:00.000Z"),
        (-1, "1969-12-31T23:59:59.000Z"),
        ("Sat, 31 Jan 2026 08:30:15 GMT", "2026-01-31T08:30:15.000Z"),
        ("Sat, 31 Jan 2026 08:30:15 +0200 (EET)", "2026-01-31T06:30:15.000Z"),
        (datetime(2026, 1, 31, 8, 30), "2026-01-31T08:30:00.000Z"),
        ("0001-01-01", "0001-01-01T00:00:00.000Z"),
        ("9999-12-31T23:59:59.999Z", "9999-12-31T23:59:59.999Z"),
    ],
)
def test_a_time_is_parsed_in_every_common_format(date, value, iso):
    assert utc(date, value) == iso


def test_now_is_the_same_time_as_in_expressions(date):
    now = datetime(2026, 1, 31, 8, 30, tzinfo=UTC)
    assert date("parse", "now", scope={"now": now})["iso"] == "2026-01-31T08:30:00.000Z"
    before = datetime.now(UTC)
    assert before <= datetime.fromisoformat(date("convert", "now")) + timedelta(milliseconds=1)


def test_without_a_value_the_input_is_parsed(date):
    assert date("convert", input="2026-01-31") == "2026-01-31T00:00:00.000+00:00"


@pytest.mark.parametrize(
    ("value", "config", "iso"),
    [
        ("31.01.2026", {"input_format": "%d.%m.%Y"}, "2026-01-31T00:00:00.000Z"),
        ("1/31/26 8:05 pm", {"input_format": "%m/%d/%y %I:%M %p"}, "2026-01-31T20:05:00.000Z"),
        ("31 January 2026 +0200", {"input_format": "%d %B %Y %z"}, "2026-01-30T22:00:00.000Z"),
        ("31.01.2026", {"input_format": "%d.%m.%Y", "timezone": PARIS}, "2026-01-30T23:00:00.000Z"),
        ("2026-07-01 12:00", {"timezone": NEW_YORK, "input_timezone": PARIS}, "2026-07-01T10:00:00.000Z"),
        ("2026-07-01T12:00Z", {"input_timezone": PARIS}, "2026-07-01T12:00:00.000Z"),
    ],
)
def test_a_time_is_parsed_in_the_input_format(date, value, config, iso):
    assert utc(date, value, **config) == iso


@pytest.mark.parametrize(
    "value",
    ["", "soon", "2026-13-01", "31.01.2026", "5", "x" * 101, "9" * 17, True, [], {"a": 1}, 1e300, 10**30],
)
def test_the_error_for_an_invalid_time_shows_a_valid_one(date, value):
    with pytest.raises(
        NodeError, match="value is .*, which is not a time such as 2026-01-31T08:30:00Z, seconds"
    ) as caught:
        date("parse", value)
    assert caught.value.permanent and len(caught.value.message) < 300


def test_a_missing_input_is_named(date):
    with pytest.raises(NodeError, match="the input is null, which is not a time"):
        date("parse")
    with pytest.raises(NodeError, match=r"value is '2026-01-31', which is not a time such as %d.%m.%Y"):
        date("parse", "2026-01-31", input_format="%d.%m.%Y")


def test_parse_returns_all_parts_in_the_time_zone(date):
    assert date("parse", "2027-01-01T03:04:05.678Z", timezone=NEW_YORK) == {
        "iso": "2027-01-01T03:04:05.678Z",
        "timestamp": 1798772645678,
        "year": 2026,
        "quarter": 4,
        "month": 12,
        "day": 31,
        "hour": 22,
        "minute": 4,
        "second": 5,
        "millisecond": 678,
        "weekday": 4,
        "weekday_name": "Thursday",
        "week": 53,
        "week_year": 2026,
        "day_of_year": 365,
        "timezone": NEW_YORK,
        "offset": "-05:00",
    }


# Formatting


@pytest.mark.parametrize(
    ("format", "text"),
    [
        ("%Y-%m-%d %H:%M:%S", "2026-07-05 15:04:09"),
        ("%-d. %B %y, %-I:%M %p", "5. July 26, 3:04 PM"),
        ("%a %A %b %e", "Sun Sunday Jul  5"),
        ("%f %L", "120000 120"),
        ("%j %-j %u %V %G %q", "186 186 7 27 2026 3"),
        ("%z %Z", "+0200 CEST"),
        ("%s", "1783256649"),
        ("%F %T%%", "2026-07-05 15:04:09%"),
    ],
)
def test_a_time_is_formatted(date, format, text):
    assert date("format", "2026-07-05T13:04:09.12Z", timezone=PARIS, format=format) == text


def test_numbers_without_leading_zeros_keep_a_zero(date):
    assert date("format", "2000-01-01", format="%-H %-M %-y %-I") == "0 0 0 12"


@given(st.datetimes(timezones=st.just(UTC)), st.sampled_from("YymdHIMSfpAaBbjuVGzsF"))
def test_directives_equal_those_of_strftime(at, letter):
    shown = format_time(at, f"%{letter}")
    expected = at.strftime(f"%{letter}")
    # C libraries format years before 1000 differently.
    assert shown == (expected.zfill(4) if letter in "YG" else expected.zfill(10) if letter == "F" else expected)


def test_a_time_is_converted_to_another_time_zone(date):
    assert date("convert", "2026-07-01T12:00:00Z", timezone="Asia/Kathmandu") == "2026-07-01T17:45:00.000+05:45"
    assert date("convert", "2026-07-01T12:00:00Z", timezone=NEW_YORK) == "2026-07-01T08:00:00.000-04:00"


# Calculation


@pytest.mark.parametrize(
    ("value", "amount", "unit", "iso"),
    [
        ("2026-01-31", 1, "month", "2026-02-28T00:00:00.000Z"),
        ("2024-02-29", 1, "year", "2025-02-28T00:00:00.000Z"),
        ("2026-11-30", 1, "quarter", "2027-02-28T00:00:00.000Z"),
        ("2026-03-31", -1, "month", "2026-02-28T00:00:00.000Z"),
        ("2026-01-15", -13, "month", "2024-12-15T00:00:00.000Z"),
        ("2026-01-31", 2, "week", "2026-02-14T00:00:00.000Z"),
        ("2026-01-31T23:00", 90, "minute", "2026-02-01T00:30:00.000Z"),
        ("2026-01-31", 1.5, "hour", "2026-01-31T01:30:00.000Z"),
        ("2026-01-31", 0.25, "second", "2026-01-31T00:00:00.250Z"),
        ("2026-01-31", "2", "day", "2026-02-02T00:00:00.000Z"),
    ],
)
def test_units_are_added(date, value, amount, unit, iso):
    assert date("add", value, amount=amount, unit=unit) == iso
    assert date("subtract", value, amount=-float(amount), unit=unit) == iso


@pytest.mark.parametrize(
    ("value", "amount", "unit", "local"),
    [
        # In Paris, clocks change from 2:00 to 3:00 on 29 March, and from 3:00 to 2:00 on 25 October.
        ("2026-03-28T08:00", 1, "day", "2026-03-29T08:00+02:00"),
        ("2026-03-28T08:00", 24, "hour", "2026-03-29T09:00+02:00"),
        ("2026-03-28T02:30", 1, "day", "2026-03-29T03:30+02:00"),
        ("2026-02-28T02:30", 1, "month", "2026-03-28T02:30+01:00"),
        ("2026-10-24T02:30", 1, "day", "2026-10-25T02:30+02:00"),
        ("2026-10-25T00:30Z", 1, "hour", "2026-10-25T02:30+01:00"),
        ("2026-10-25T01:30Z", 1, "day", "2026-10-26T02:30+01:00"),
        ("2026-10-24T08:00", 1, "week", "2026-10-31T08:00+01:00"),
    ],
)
def test_days_keep_the_hour_across_daylight_saving_and_hours_do_not(date, value, amount, unit, local):
    found = date("add", value, amount=amount, unit=unit, timezone=PARIS)
    assert datetime.fromisoformat(found) == datetime.fromisoformat(local)


@pytest.mark.parametrize(
    ("unit", "start", "end"),
    [
        ("millisecond", "2026-08-15T13:45:30.123Z", "2026-08-15T13:45:30.123Z"),
        ("second", "2026-08-15T13:45:30.000Z", "2026-08-15T13:45:30.999Z"),
        ("minute", "2026-08-15T13:45:00.000Z", "2026-08-15T13:45:59.999Z"),
        ("hour", "2026-08-15T13:00:00.000Z", "2026-08-15T13:59:59.999Z"),
        ("day", "2026-08-15T00:00:00.000Z", "2026-08-15T23:59:59.999Z"),
        ("week", "2026-08-10T00:00:00.000Z", "2026-08-16T23:59:59.999Z"),
        ("month", "2026-08-01T00:00:00.000Z", "2026-08-31T23:59:59.999Z"),
        ("quarter", "2026-07-01T00:00:00.000Z", "2026-09-30T23:59:59.999Z"),
        ("year", "2026-01-01T00:00:00.000Z", "2026-12-31T23:59:59.999Z"),
    ],
)
def test_a_unit_has_a_start_and_an_end(date, unit, start, end):
    assert date("start_of", "2026-08-15T13:45:30.1236Z", unit=unit) == start
    assert date("end_of", "2026-08-15T13:45:30.1236Z", unit=unit) == end


def test_days_start_and_end_by_the_clock_of_the_time_zone(date):
    for value, start, end in [
        ("2026-03-29T12:00", "2026-03-28T23:00:00.000Z", "2026-03-29T21:59:59.999Z"),  # 23 hours
        ("2026-10-25T12:00", "2026-10-24T22:00:00.000Z", "2026-10-25T22:59:59.999Z"),  # 25 hours
    ]:
        assert date("start_of", value, unit="day", timezone=PARIS) == start
        assert date("end_of", value, unit="day", timezone=PARIS) == end
    # In Chile, this day has no midnight; of the repeated hour, the second one starts later.
    assert date("start_of", "2026-09-06T12:00", unit="day", timezone="America/Santiago") == "2026-09-06T04:00:00.000Z"
    assert date("end_of", "2026-09-05T12:00", unit="day", timezone="America/Santiago") == "2026-09-06T03:59:59.999Z"
    assert date("start_of", "2026-10-25T01:30Z", unit="hour", timezone=PARIS) == "2026-10-25T01:00:00.000Z"
    assert date("end_of", "2026-10-25T00:30Z", unit="hour", timezone=PARIS) == "2026-10-25T00:59:59.999Z"


@pytest.mark.parametrize(
    ("value", "other", "unit", "number"),
    [
        ("2026-01-31", "2026-02-28", "day", 28),
        ("2026-01-31", "2026-02-28", "month", 1),
        ("2026-01-31", "2026-02-27", "month", 0),
        ("2026-02-28", "2026-01-31", "month", -1),
        ("2020-02-29", "2026-02-28", "year", 6),
        ("2026-01-01T12:00", "2026-01-02T11:59", "day", 0),
        ("2026-01-02T11:59", "2026-01-01T12:00", "day", 0),
        ("2026-01-01", "2026-01-31", "week", 4),
        ("2026-01-01", "2026-12-31", "quarter", 3),
        ("2026-01-01", "2026-01-02T12:30", "hour", 36.5),
        ("2026-01-01T00:00:01.5", "2026-01-01", "second", -1.5),
        ("2026-01-01", "2026-01-01T00:00:00.001", "millisecond", 1),
        ("2026-03-28T12:00", "2026-03-29T12:00", "day", 1),
        ("2026-03-28T12:00", "2026-03-29T12:00", "hour", 23),
        ("2026-10-25T00:30Z", "2026-10-25T01:30Z", "minute", 60),
    ],
)
def test_the_difference_is_counted_in_units(date, value, other, unit, number):
    found = date("difference", value, other=other, unit=unit, timezone=PARIS)
    assert found == number and isinstance(found, type(number))


zones = st.sampled_from(["UTC", PARIS, NEW_YORK, "Australia/Lord_Howe", "America/Santiago", "Asia/Kathmandu"])
instants = st.datetimes(datetime(1971, 1, 1), datetime(2037, 1, 1), timezones=st.just(UTC)).map(
    lambda at: at.replace(microsecond=at.microsecond // 1000 * 1000)
)


@given(instants, zones, st.sampled_from(list(UNITS)))
def test_a_time_is_between_the_start_and_the_end_of_its_unit(at, zone, unit):
    local = at.astimezone(ZoneInfo(zone))
    start, end = get_start(local, unit).astimezone(UTC), get_end(local, unit)
    if unit != "hour" or zone != "Australia/Lord_Howe":  # an hour there can lose its middle
        assert start <= at <= end
    # The start of a start is itself. A day without midnight starts an hour later by the clock.
    assert get_start(start.astimezone(ZoneInfo(zone)), unit).astimezone(UTC) == start


@given(instants, st.integers(-500, 500), zones, st.sampled_from(list(UNITS)))
def test_the_difference_is_the_amount_that_was_added(at, amount, zone, unit):
    local = at.astimezone(ZoneInfo(zone))
    later = add(local, amount, unit)
    found = count_units(local, later.astimezone(UTC).astimezone(ZoneInfo(zone)), unit)
    # From the last day of a month, subtracting and adding a month differ; so they do when clocks are set back.
    assert found == amount or (unit not in ("second", "minute", "hour", "millisecond") and abs(found - amount) == 1)


@pytest.mark.parametrize(
    ("operation", "config"),
    [
        ("add", {"value": "9999-12-31", "amount": 1, "unit": "month"}),
        ("add", {"value": "9999-12-31", "amount": 1, "unit": "day"}),
        ("add", {"value": "2026-01-01", "amount": 1e300, "unit": "hour"}),
        ("add", {"value": "2026-01-01", "amount": 1e300, "unit": "year"}),
        ("subtract", {"value": "2026-01-01", "amount": 2026, "unit": "year"}),
        ("end_of", {"value": "9999-12-31", "unit": "year"}),
        ("parse", {"value": "9999-12-31T23:00Z", "timezone": "Asia/Tokyo"}),
        ("convert", {"value": "0001-01-01", "timezone": NEW_YORK, "input_timezone": "UTC"}),
        ("start_of", {"value": "0001-01-01", "unit": "day", "timezone": "Asia/Tokyo"}),
    ],
)
def test_times_end_with_the_year_9999(run, operation, config):
    with pytest.raises(NodeError, match="not within the years 1 to 9999"):
        run("date", {"operation": operation, **config})


def test_parts_of_a_day_are_counted_in_hours(date):
    with pytest.raises(NodeError, match="amount must be a whole number of days; use hours"):
        date("add", "2026-01-01", amount=0.5, unit="day")


@pytest.mark.parametrize(
    ("config", "key"),
    [
        ({"operation": "round"}, "operation"),
        ({"operation": "format"}, "format"),
        ({"operation": "format", "format": "%Q"}, "format"),
        ({"operation": "format", "format": "100%"}, "format"),
        ({"operation": "format", "format": "%Y" * 51}, "format"),
        ({"operation": "add", "unit": "day"}, "amount"),
        ({"operation": "add", "amount": 1}, "unit"),
        ({"operation": "add", "amount": 1, "unit": "fortnight"}, "unit"),
        ({"operation": "add", "amount": "many", "unit": "day"}, "amount"),
        ({"operation": "difference", "unit": "day"}, "other"),
        ({"operation": "start_of"}, "unit"),
        ({"operation": "parse", "timezone": "Mars/Olympus"}, "timezone"),
        ({"operation": "parse", "timezone": "../../etc/passwd"}, "timezone"),
        ({"operation": "parse", "input_timezone": "nowhere"}, "input_timezone"),
        ({"operation": "parse", "input_format": "%s"}, "input_format"),
        ({"operation": "parse", "input_format": "%d%d"}, "input_format"),
        ({"operation": "parse", "input_format": "%-d"}, "input_format"),
        ({"operation": "parse", "input_format": "%"}, "input_format"),
    ],
)
def test_settings_that_an_operation_requires_must_be_set(config, key):
    assert key in refused(**config)


def test_every_directive_can_be_formatted(date):
    for letter in DIRECTIVES:
        assert date("format", "2026-01-31", format=f"%{letter}")
