"""Date node: parses, formats and calculates dates and times, correct across daylight saving time."""

from __future__ import annotations

import re
from calendar import monthrange
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from marshmallow import ValidationError, validates_schema

from expressions.values import iso
from fields import Schema
from nodes.base import Context, Node
from nodes.core.triggers import check_zone
from nodes.fields import Number, anything, choice, kind_of, labels_of, line, setting
from nodes.limits import is_number, refusal

MAX_VALUE, MAX_FORMAT = 100, 100
# Numbers below this are seconds since 1970 (until the year 5138), others milliseconds (since 1973).
FIRST_MILLISECOND = 100_000_000_000
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MS = timedelta(milliseconds=1)
# Units of constant length, in milliseconds; the others follow the calendar of the time zone.
EXACT = {"millisecond": 1, "second": 1000, "minute": 60_000, "hour": 3_600_000}
DAYS = {"day": 1, "week": 7}
MONTHS = {"month": 1, "quarter": 3, "year": 12}
UNITS = {
    "millisecond": "Milliseconds", "second": "Seconds", "minute": "Minutes", "hour": "Hours", "day": "Days",
    "week": "Weeks", "month": "Months", "quarter": "Quarters", "year": "Years",
}  # fmt: skip
MONTH_NAMES = (
    *("January", "February", "March", "April", "May", "June", "July", "August", "September", "October"),
    *("November", "December"),
)
DAY_NAMES = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


def _format_offset(at: datetime, colon: str = "") -> str:
    minutes = int((at.utcoffset() or timedelta()).total_seconds() // 60)
    hours, rest = divmod(abs(minutes), 60)
    return f"{'-' if minutes < 0 else '+'}{hours:02d}{colon}{rest:02d}"


# Directives after `%`. Implemented here, because C libraries differ, and use other languages.
DIRECTIVES: dict[str, Callable[[datetime], str]] = {
    "Y": lambda at: f"{at.year:04d}",
    "y": lambda at: f"{at.year % 100:02d}",
    "m": lambda at: f"{at.month:02d}",
    "d": lambda at: f"{at.day:02d}",
    "e": lambda at: f"{at.day:2d}",
    "H": lambda at: f"{at.hour:02d}",
    "I": lambda at: f"{at.hour % 12 or 12:02d}",
    "M": lambda at: f"{at.minute:02d}",
    "S": lambda at: f"{at.second:02d}",
    "f": lambda at: f"{at.microsecond:06d}",
    "L": lambda at: f"{at.microsecond // 1000:03d}",
    "p": lambda at: "AM" if at.hour < 12 else "PM",
    "A": lambda at: DAY_NAMES[at.weekday()],
    "a": lambda at: DAY_NAMES[at.weekday()][:3],
    "B": lambda at: MONTH_NAMES[at.month - 1],
    "b": lambda at: MONTH_NAMES[at.month - 1][:3],
    "j": lambda at: f"{at.timetuple().tm_yday:03d}",
    "u": lambda at: str(at.isoweekday()),
    "V": lambda at: f"{at.isocalendar().week:02d}",
    "G": lambda at: f"{at.isocalendar().year:04d}",
    "q": lambda at: str((at.month + 2) // 3),
    "z": _format_offset,
    "Z": lambda at: at.tzname() or "",
    "s": lambda at: str((at - EPOCH) // timedelta(seconds=1)),
    "F": lambda at: at.date().isoformat(),
    "T": lambda at: f"{at:%H:%M:%S}",
    "%": lambda at: "%",
}
DIRECTIVE = re.compile(r"%(-?)(.?)", re.DOTALL)
# Directives for `strptime`: each only once, so that the same digits cannot be matched in many ways.
READABLE = ("Y", "y", "m", "d", "H", "I", "M", "S", "f", "p", "A", "a", "B", "b", "j", "z")
EPOCH_TEXT = re.compile(r"-?[0-9]{9,16}(?:\.[0-9]{1,9})?")


def check_format(format: str) -> None:
    """Reject unsupported directives."""
    if "%" not in format:
        raise ValidationError("Must contain a % directive, such as %Y-%m-%d %H:%M.")
    for _, letter in DIRECTIVE.findall(format):
        if letter not in DIRECTIVES:
            raise ValidationError(f"Has an unsupported directive %{letter}; supported: %{' %'.join(DIRECTIVES)}.")


def check_input_format(format: str) -> None:
    """Reject directives that cannot be parsed, or occur twice."""
    letters = [dash + letter for dash, letter in DIRECTIVE.findall(format)]
    for letter in letters:
        if letter not in (*READABLE, "%"):
            raise ValidationError(f"Has a directive %{letter} that cannot be parsed; use %{' %'.join(READABLE)}.")
        if letter != "%" and letters.count(letter) > 1:
            raise ValidationError(f"Has %{letter} twice; remove one.")


def format_time(at: datetime, format: str) -> str:
    """Return the time in this format; `%-d` is a number without leading zeros."""

    def replace(found: re.Match[str]) -> str:
        text = DIRECTIVES[found[2]](at)
        return (text.lstrip("0 ") or "0") if found[1] else text

    return DIRECTIVE.sub(replace, format)


# Parsing


def parse_time(value: Any, config: Mapping[str, Any], now: datetime, what: str) -> datetime:
    """Return the time of a value, in the time zone of the config. Raises: NodeError if it is not a time."""
    zone = ZoneInfo(config["timezone"])
    try:
        found = _parse(value, config.get("input_format"), now)
    except (ValueError, OverflowError, TypeError):
        shown = f"{value!r:.100}" if isinstance(value, str | int | float) else kind_of(value)
        how = config.get("input_format") or "2026-01-31T08:30:00Z, seconds or milliseconds since 1970, or now"
        raise refusal(f"{what} is {shown}, which is not a time such as {how}") from None
    if found.tzinfo is None:
        found = found.replace(tzinfo=ZoneInfo(config.get("input_timezone", config["timezone"])))
    return convert_zone(found, zone)


def _parse(value: Any, format: str | None, now: datetime) -> datetime:
    if isinstance(value, datetime):
        return value
    if is_number(value):
        return _from_number(value)
    if not isinstance(value, str) or len(value) > MAX_VALUE:
        raise ValueError
    text = value.strip()
    if text == "now":
        return now
    if format is not None:
        return datetime.strptime(text, format)
    if EPOCH_TEXT.fullmatch(text):
        return _from_number(float(text) if "." in text else int(text))
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        # The format of mails, feeds and HTTP headers: Tue, 06 Jan 2026 08:30:00 GMT.
        return parsedate_to_datetime(text)


def _from_number(number: float) -> datetime:
    return EPOCH + MS * (number * 1000 if abs(number) < FIRST_MILLISECOND else number)


def convert_zone(at: datetime, zone: Any) -> datetime:
    """Return the time in another zone. Raises: NodeError if it is outside of the years 1 to 9999 there."""
    try:
        return at.astimezone(UTC).astimezone(zone)
    except OverflowError:
        raise refusal("the time is not within the years 1 to 9999") from None


# Calculation. All times are in the zone of the calendar; `convert_zone` normalizes sums of wall-clock times.


def add(at: datetime, amount: float, unit: str) -> datetime:
    """Add units; days and longer ones by the wall clock: the same hour, at most the last day of a month.

    A time skipped by daylight saving moves to the hour after it.
    """
    try:
        if unit in EXACT:
            return convert_zone(at.astimezone(UTC) + MS * (amount * EXACT[unit]), at.tzinfo)
        if amount != int(amount):
            raise refusal(f"amount must be a whole number of {unit}s; use hours for parts of a day")
        if unit in DAYS:
            return at + timedelta(days=int(amount) * DAYS[unit])
        year, month = divmod(at.year * 12 + at.month - 1 + int(amount) * MONTHS[unit], 12)
        return at.replace(year=year, month=month + 1, day=min(at.day, monthrange(year, month + 1)[1]), fold=0)
    except (OverflowError, ValueError):
        raise refusal("the time is not within the years 1 to 9999") from None


def get_start(at: datetime, unit: str) -> datetime:
    """Return the start of the unit that contains the time; weeks start on Monday."""
    if unit == "millisecond":
        return at.replace(microsecond=at.microsecond // 1000 * 1000)
    if unit in EXACT:
        smaller = ("microsecond", "second", "minute")[: list(EXACT).index(unit)]
        none: dict[str, Any] = dict.fromkeys(smaller, 0)
        return at.replace(**none)
    day = at.replace(hour=0, minute=0, second=0, microsecond=0, fold=0)
    if unit in DAYS:
        return day - timedelta(days=at.weekday()) if unit == "week" else day
    length = MONTHS[unit]
    return day.replace(month=(at.month - 1) // length * length + 1, day=1)


def count_units(at: datetime, other: datetime, unit: str) -> float:
    """Return the units from one time to the other, negative if it is earlier. Days and longer ones are whole.

    They are counted on the calendar: noon to noon is a day, even if one hour is skipped.
    """
    # Python compares two times of one zone by the wall clock.
    at_utc, other_utc = at.astimezone(UTC), other.astimezone(UTC)
    if unit in EXACT:
        found = (other_utc - at_utc) / MS / EXACT[unit]
        return int(found) if found.is_integer() else found
    if other_utc < at_utc:
        return -count_units(other, at, unit)
    if unit in DAYS:
        count = (other.date() - at.date()).days // DAYS[unit]
    else:
        count = ((other.year - at.year) * 12 + other.month - at.month) // MONTHS[unit]
    return count - 1 if count and add(at, count, unit).astimezone(UTC) > other_utc else count


def get_end(at: datetime, unit: str) -> datetime:
    """Return the last millisecond of the unit that contains the time."""
    return convert_zone(add(get_start(at, unit), 1, unit), UTC) - MS


def list_parts(at: datetime) -> dict[str, Any]:
    """Return all components of a time."""
    week = at.isocalendar()
    return {
        "iso": iso(at),
        "timestamp": (at - EPOCH) // MS,
        "year": at.year,
        "quarter": (at.month + 2) // 3,
        "month": at.month,
        "day": at.day,
        "hour": at.hour,
        "minute": at.minute,
        "second": at.second,
        "millisecond": at.microsecond // 1000,
        "weekday": at.isoweekday(),
        "weekday_name": DAY_NAMES[at.weekday()],
        "week": week.week,
        "week_year": week.year,
        "day_of_year": at.timetuple().tm_yday,
        "timezone": str(at.tzinfo),
        "offset": _format_offset(at, ":"),
    }


class DateOperation(NamedTuple):
    """An operation: its label, its function of a time, the config and now, and the settings that it requires."""

    label: str
    apply: Callable[[datetime, Mapping[str, Any], datetime], Any]
    required: tuple[str, ...] = ()


OPERATIONS = {
    "parse": DateOperation("Parse", lambda at, config, now: list_parts(at)),
    "format": DateOperation("Format", lambda at, config, now: format_time(at, config["format"]), ("format",)),
    "convert": DateOperation(
        "Convert time zone",
        lambda at, config, now: at.replace(tzinfo=None).isoformat(timespec="milliseconds") + _format_offset(at, ":"),
    ),
    "add": DateOperation(
        "Add", lambda at, config, now: iso(add(at, config["amount"], config["unit"])), ("amount", "unit")
    ),
    "subtract": DateOperation(
        "Subtract", lambda at, config, now: iso(add(at, -config["amount"], config["unit"])), ("amount", "unit")
    ),
    "difference": DateOperation(
        "Difference",
        lambda at, config, now: count_units(at, parse_time(config["other"], config, now, "other"), config["unit"]),
        ("other", "unit"),
    ),
    "start_of": DateOperation("Start of period", lambda at, config, now: iso(get_start(at, config["unit"])), ("unit",)),
    "end_of": DateOperation("End of period", lambda at, config, now: iso(get_end(at, config["unit"])), ("unit",)),
}


class Date(Node):
    """Parses, formats and calculates dates and times, with correct daylight saving time in any time zone.

    Results are in UTC, like 2026-01-31T08:30:00.000Z, unless another format or time zone is given.
    """

    type = "date"
    category = "data"
    title = "Date and time"
    icon = "calendar"
    also = ("time zone", "timestamp", "format date", "moment")
    quick = True
    reads_now = True
    examples = (
        {
            "config": {"operation": "add", "value": "{{ input.due }}", "amount": 1, "unit": "month"},
            "input": {"due": "2026-01-31"},
            "output": "2026-02-28T00:00:00.000Z",
        },
        {
            "config": {"operation": "format", "timezone": "Europe/Paris", "format": "%A %-d %B %Y, %H:%M"},
            "input": "2026-07-14T10:00:00Z",
            "output": "Tuesday 14 July 2026, 12:00",
        },
        {
            "config": {
                "operation": "difference",
                "value": "28.03.2026",
                "other": "05.04.2026",
                "input_format": "%d.%m.%Y",
                "unit": "day",
                "timezone": "Europe/Berlin",
            },
            "input": None,
            "output": 8,
        },
    )

    class Config(Schema):
        operation = choice("The operation on the time", labels_of(OPERATIONS), required=True, title="Operation")
        value = anything(
            "The time: ISO 8601, the format of mails, seconds or milliseconds since 1970, or now. Default: the input",
            title="Time",
        )
        timezone = line(
            "The time zone of the result: Europe/Paris", check_zone, most=100, load_default="UTC", title="Time zone"
        )
        input_timezone = line(
            "Zone of times without an offset. Default: the time zone", check_zone, most=100, title="Input time zone"
        )
        input_format = line(
            "The format of the time if it is not a standard one: %d.%m.%Y %H:%M",
            check_input_format,
            most=MAX_FORMAT,
            title="Input format",
        )
        format = line(
            "For format: the format of the result: %d.%m.%Y %H:%M, %-d %B; %L are milliseconds, %V is the week, "
            "%q the quarter",
            check_format,
            most=MAX_FORMAT,
            title="Output format",
        )
        amount = setting(Number, "For add and subtract: the number of units", title="Amount")
        unit = choice("The unit of the calculation; weeks start on Monday", UNITS, title="Unit")
        other = anything("For difference: the other time. The result is negative if it is earlier", title="Other time")

        @validates_schema
        def has_required_settings(self, data: Mapping[str, Any], **kwargs: Any) -> None:
            """Require the settings of an operation. Expressions are not in `data` yet; `partial` names them."""
            operation = OPERATIONS.get(data.get("operation", ""))
            for key in operation.required if operation else ():
                if key not in {*data, *(kwargs.get("partial") or ())}:
                    raise ValidationError(f"Is required for {data['operation']}.", key)

    def run(self, config: dict[str, Any], input: Any, ctx: Context) -> Any:
        # The same time as `now` in this node's expressions.
        now = ctx.scope.get("now") or datetime.now(UTC)
        at = parse_time(config.get("value", input), config, now, "value" if "value" in config else "the input")
        try:
            return OPERATIONS[config["operation"]].apply(at, config, now)
        except OverflowError:
            raise refusal("the time is not within the years 1 to 9999") from None
