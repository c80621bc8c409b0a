"""What is due is fired: each instant once, whoever else fires too.

The decision is pure; carrying it out is one transaction for many schedules. The database decides who wins: a schedule
moves on only from where it was read, and an instant that has its row in `schedule_fires` is not taken again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any, NamedTuple
from zoneinfo import ZoneInfoNotFoundError

import orjson
from cronsim import CronSimError

from database import execute, write
from models import GRACE_MS, Due, LogEntry, Run, Schedule, ScheduleFire, Workflow
from scheduler.cron import Every, Rhythm, cron
from schema_fields.row_json import iso

PAGE = 500
RUNS_AT_ONCE = 500
CAUGHT_UP = 1_000
COUNTED = 100_000
UNREADABLE = (CronSimError, ValueError, OSError, ZoneInfoNotFoundError)

MayStart = Callable[[Workflow], str | None]


class Missed(NamedTuple):
    """What became of the instants that came too late."""

    due_at: int
    message: str
    fired: int


class Decision(NamedTuple):
    """What is to be done about a schedule that is due. `broken` says why nothing can be."""

    due: Due
    instants: list[int]
    next_at: int | None
    missed: Missed | None = None
    broken: str | None = None


def rhythm_of(due: Due) -> Rhythm:
    """When the schedule fires; one of UNREADABLE where nobody can tell."""
    if due.cron is not None:
        return cron(due.cron, due.timezone)
    return Every(due.every or 0.0, due.anchor_ms)


def decide(due: Due, now: int) -> Decision:
    """The instants to fire and the next one.

    An instant within the grace is fired in any case, since a leader that was killed is no downtime; what came earlier
    is for `catch_up` to decide.
    """
    try:
        rhythm = rhythm_of(due)
    except UNREADABLE as error:
        return Decision(due, [], None, broken=str(error))
    since, edge = max(due.anchor_ms, due.next_at - 1), now - GRACE_MS - 1
    first = rhythm.after(since)
    if first is None or first > now:
        return Decision(due, [], first)
    late, missed = _catch_up(rhythm, due.catch_up, since, edge, first) if first <= edge else ([], None)
    in_time = list(rhythm.between(max(since, edge), now))
    return Decision(due, late + in_time, rhythm.after(now), missed)


def _catch_up(rhythm: Rhythm, policy: str, since: int, until: int, first: int) -> tuple[list[int], Missed]:
    """Those of the instants that came too late that are made up for, and what to say of it."""
    if policy == "none":
        return [], Missed(first, "none of the missed times is made up for", 0)
    if policy == "last":
        newest = rhythm.newest(since, until) or first
        return [newest], Missed(first, f"the newest of the missed times, {iso(newest)}, is made up for", 1)
    found = list(islice(rhythm.between(since, until), COUNTED))
    if len(found) <= CAUGHT_UP:
        return found, Missed(first, f"all {len(found)} missed times are made up for", len(found))
    kept, dropped = found[-CAUGHT_UP:], f"{len(found) - CAUGHT_UP}"
    if len(found) == COUNTED:
        kept, dropped = _newest(rhythm, since, until), f"more than {dropped}"
    return kept, Missed(
        first, f"the newest {CAUGHT_UP} missed times are made up for, {dropped} were dropped", len(kept)
    )


def _newest(rhythm: Rhythm, since: int, until: int) -> list[int]:
    """The newest instants, as many as are ever made up for, oldest first."""
    found: list[int] = []
    newest = rhythm.newest(since, until)
    while newest is not None and len(found) < CAUGHT_UP:
        found.append(newest)
        newest = rhythm.newest(since, newest - 1)
    return found[::-1]


def fire_due(now: int, may_start: MayStart | None = None) -> list[str]:
    """Fire what is due; the ids of the new runs, which are pending.

    `may_start` gives the reason for which a flow is not to start now, if there is one.
    """
    runs: list[str] = []
    while True:
        page = Schedule.due(now, PAGE)
        for batch in _batches(decide(due, now) for due in page):
            runs += _carry_out(batch, now, may_start)
        if len(page) < PAGE:
            return runs


def skip_due(now: int) -> int:
    """Let each schedule that is due wait for its next instant, and fire none of those that are past; how many did."""
    skipped = 0
    while page := Schedule.due(now, PAGE):
        with write():
            skipped += sum(Schedule.move(due, decide(due, now).next_at) for due in page)
    return skipped


def _batches(decisions: Iterable[Decision]) -> Iterator[list[Decision]]:
    """As many at a time as make a transaction of bearable length."""
    batch: list[Decision] = []
    size = 0
    for decision in decisions:
        batch.append(decision)
        size += max(1, len(decision.instants))
        if size >= RUNS_AT_ONCE:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _carry_out(batch: list[Decision], now: int, may_start: MayStart | None) -> list[str]:
    """Fire these in one transaction; the ids of the runs."""
    runs: list[str] = []
    with write():
        flows = active_flows([decision.due.workflow_id for decision in batch])
        for decision in batch:
            flow = flows.get(decision.due.workflow_id)
            if flow is None:
                Schedule.drop(decision.due)
            elif Schedule.move(decision.due, decision.next_at):
                _tell(decision, flow, now)
                fired = (_fire(decision.due, flow, instant, now, may_start) for instant in decision.instants)
                runs += [id_ for id_ in fired if id_ is not None]
    return runs


def active_flows(ids: Iterable[str]) -> dict[str, Workflow]:
    """The active ones of these flows with what a run needs of them: a definition may be large, and is not read."""
    wanted = sorted(set(ids))
    sql = (
        "SELECT id, workspace_id, name, version FROM workflows WHERE status = 'active' "
        f"AND id IN ({', '.join('?' * len(wanted))})"
    )
    names = ("id", "workspace_id", "name", "version")
    rows = execute(sql, tuple(wanted)).fetchall()
    return {row[0]: Workflow(**dict(zip(names, row, strict=True))) for row in rows}


def _fire(due: Due, flow: Workflow, instant: int, now: int, may_start: MayStart | None) -> str | None:
    """Fire at one instant; the id of the run, None where it was fired already or the flow may not start."""
    reason = None if may_start is None else may_start(flow)
    if reason is not None:
        if ScheduleFire.take(due, instant, now, None, f"skipped: {reason}"):
            text = f"{_name(due, flow)} did not start a run at {iso(instant)}: {reason}"
            _log(due, flow, "warning", text, {"scheduled_for": iso(instant)})
        return None
    text = orjson.dumps({"scheduled_for": iso(instant), "fired_at": iso(now)}).decode()
    run = Run.accept(flow, triggered_by="schedule", trigger_node=due.node_id, input=text)
    if not ScheduleFire.take(due, instant, now, run.id):
        return None
    execute(*run.insertion())
    return run.id


def _tell(decision: Decision, flow: Workflow, now: int) -> None:
    """Write to the log that the schedule was late, or that it cannot be read."""
    due, missed = decision.due, decision.missed
    if decision.broken is not None:
        text = f"{_name(due, flow)} does not fire any more: {decision.broken}"
        _log(due, flow, "error", text, {"cron": due.cron, "timezone": due.timezone})
    if missed is not None:
        late = now - missed.due_at
        text = (
            f"{_name(due, flow)} was due at {iso(missed.due_at)} and comes {lasting(late)} late; "
            f"its catch_up is {due.catch_up}: {missed.message}"
        )
        data = {
            "due_at": iso(missed.due_at),
            "late_seconds": late // 1000,
            "catch_up": due.catch_up,
            "fired": missed.fired,
        }
        # That it is late was told already where nobody fired for a while; this is how it ended.
        _log(due, flow, "warning" if due.alerted_at is None else "info", text, data)


def watch(now: int) -> int:
    """Write to the log, once each, which schedules are overdue because nobody fires; how many there were.

    Every process does this, so that it is done even if the firing is what hangs.
    """
    found = Schedule.untold(now, PAGE)
    told = 0
    if found:
        with write():
            flows = active_flows([due.workflow_id for due in found])
            for due in found:
                flow = flows.get(due.workflow_id)
                if flow is not None and Schedule.tell(due, now):
                    late = now - due.next_at
                    text = f"{_name(due, flow)} has been due since {iso(due.next_at)}, {lasting(late)}; nobody fires it"
                    _log(due, flow, "warning", text, {"due_at": iso(due.next_at), "late_seconds": late // 1000})
                    told += 1
    return told


def _log(due: Due, flow: Workflow, level: str, message: str, data: dict[str, Any]) -> None:
    text = orjson.dumps({"workflow_id": due.workflow_id, **data}).decode()
    execute(*LogEntry.entry(flow.workspace_id, None, due.node_id, level, message, text))


def _name(due: Due, flow: Workflow) -> str:
    return f"The schedule {due.node_id} of the flow {flow.name}"


def lasting(ms: int) -> str:
    """A length of time for people, in its two largest units: `2 h 5 min`."""
    seconds = ms // 1000
    parts = ((seconds // 86_400, "d"), (seconds // 3600 % 24, "h"), (seconds // 60 % 60, "min"), (seconds % 60, "s"))
    first = next((at for at, (number, _) in enumerate(parts) if number), len(parts) - 1)
    return " ".join(f"{number} {unit}" for number, unit in parts[first : first + 2] if number) or "0 s"
