"""What the tests of schedules share: moments as text, a clock that the test sets, schedules on record."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from world import add_flow, flow, node

from database import write
from models import LogEntry, Run, Schedule, ScheduleFire

SECOND, MINUTE, HOUR, DAY = 1_000, 60_000, 3_600_000, 86_400_000


def at(text, zone="UTC", fold=0):
    """A moment on the clock of a zone in milliseconds: `at("2024-03-31 01:30", "Europe/Berlin")`."""
    return int(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone), fold=fold).timestamp() * 1000)


def shown(instant, zone="UTC"):
    """What the clock of a zone shows: `2024-03-31 03:00 +0200`."""
    return datetime.fromtimestamp(instant / 1000, ZoneInfo(zone)).strftime("%Y-%m-%d %H:%M %z")


def utc(instant):
    """As the API writes it."""
    return datetime.fromtimestamp(instant / 1000, UTC).isoformat(timespec="milliseconds")[:-6] + "Z"


START = at("2026-03-02 12:00")


class Clock:
    """A clock on the wall, which can be set, and one that nobody sets."""

    def __init__(self, now=START):
        self.now, self.passed = now, 0

    def wall(self):
        return self.now

    def monotonic(self):
        return self.passed

    def pass_by(self, ms):
        """Time goes on."""
        self.now += ms
        self.passed += ms

    def jump(self, ms):
        """Somebody sets the clock on the wall."""
        self.now += ms


def config(**given):
    """A schedule's config as the server has it: `config(every=60)`."""
    return {"timezone": "UTC", "catch_up": "last", **given}


def schedule(now=START, made=None, node_id="tick", workspace="ws_1", **given):
    """An active flow with this schedule, as of `now`."""
    made = made or add_flow(flow(node(node_id)), workspace)
    sync(made, now, **{node_id: config(**given)})
    return made


def sync(made, now=START, **wanted):
    """Give a flow these schedules, as a change of it does."""
    with write():
        Schedule.sync(made, list(wanted.items()), now)


def row(made, node_id="tick"):
    """The schedule as its row is."""
    return Schedule.get((Schedule.workflow_id == made.id) & (Schedule.node_id == node_id))


def fires(made=None):
    """The instants at which schedules have fired, oldest first."""
    query = ScheduleFire.select() if made is None else ScheduleFire.select().where(ScheduleFire.workflow_id == made.id)
    return [fire.instant for fire in query.order_by(ScheduleFire.instant)]


def runs(made=None):
    """The runs, oldest first."""
    query = Run.select() if made is None else Run.select().where(Run.workflow_id == made.id)
    return list(query.order_by(Run.id))


def logged():
    """The log as level and message, oldest first."""
    return [(entry.level, entry.message) for entry in LogEntry.select().order_by(LogEntry.id)]
