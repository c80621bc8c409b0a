"""Helpers for tests of schedules: times as text, a settable clock, recorded schedules."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from world import add_flow, flow, node

from database import write
from database.base import now_ms
from database.queries import schedules
from fields import iso
from models import LogEntry, Run, Schedule, ScheduleFire

SECOND, MINUTE, HOUR, DAY = 1_000, 60_000, 3_600_000, 86_400_000


def at(text, zone="UTC", fold=0):
    """Return a moment in a time zone in milliseconds: `at("2024-03-31 01:30", "Europe/Berlin")`."""
    return int(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone), fold=fold).timestamp() * 1000)


def shown(instant, zone="UTC"):
    """Return the local time in a zone: `2024-03-31 03:00 +0200`."""
    return datetime.fromtimestamp(instant / 1000, ZoneInfo(zone)).strftime("%Y-%m-%d %H:%M %z")


def utc(instant):
    """Return the moment in the format of the API."""
    return datetime.fromtimestamp(instant / 1000, UTC).isoformat(timespec="milliseconds")[:-6] + "Z"


START = at("2026-03-02 12:00")


class Clock:
    """A system clock that can be set, and a monotonic clock."""

    def __init__(self, now=START):
        self.now, self.passed = now, 0

    def wall(self):
        return self.now

    def monotonic(self):
        return self.passed

    def pass_by(self, ms):
        """Move both clocks forward."""
        self.now += ms
        self.passed += ms

    def jump(self, ms):
        """Set the system clock."""
        self.now += ms


def config(**given):
    """Return a schedule's config as the server stores it: `config(every=60)`."""
    return {"timezone": "UTC", "catch_up": "last", **given}


def schedule(now=START, made=None, node_id="tick", workspace="ws_1", **given):
    """Add an active flow with this schedule, as of `now`."""
    made = made or add_flow(flow(node(node_id)), workspace)
    sync(made, now, **{node_id: config(**given)})
    return made


def sync(made, now=START, **wanted):
    """Set a flow's schedules, as a change of the flow does."""
    with write():
        schedules.sync(made, list(wanted.items()), now)


def row(made, node_id="tick"):
    """Return the row of the schedule."""
    return Schedule.get((Schedule.workflow_id == made.id) & (Schedule.node_id == node_id))


def fires(made=None):
    """Return the instants at which schedules have fired, oldest first."""
    query = ScheduleFire.select() if made is None else ScheduleFire.select().where(ScheduleFire.workflow_id == made.id)
    return [fire.instant for fire in query.order_by(ScheduleFire.instant)]


def runs(made=None):
    """Return the runs, oldest first."""
    query = Run.select() if made is None else Run.select().where(Run.workflow_id == made.id)
    return list(query.order_by(Run.id))


def logged():
    """Return the log as level and message, oldest first."""
    return [(entry.level, entry.message) for entry in LogEntry.select().order_by(LogEntry.id)]


# A flow with a draft whose publishing is scheduled, for tests of every route


DEFINITION = {"nodes": [{"id": "a", "type": "noop"}], "edges": []}


def with_draft(client, flow):
    """Give the flow a draft whose publishing is scheduled. Return its id."""
    body = {"definition": DEFINITION, "base_version": 1, "revision": 0}
    assert client.put(f"/api/workflows/{flow['id']}/draft", body).status_code == 200
    at = {"at": iso(now_ms() + 86_400_000)}
    assert client.post(f"/api/workflows/{flow['id']}/publish", at).status_code == 202
    return flow["id"]
