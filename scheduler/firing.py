"""Firing of due schedules: each instant exactly once, even if several processes fire.

The decision is pure; carrying it out is one transaction for many schedules. Concurrency is optimistic: a schedule
advances only if its next time is still the one that was read, and an instant with a row in `schedule_fires` is not
fired again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, NamedTuple
from zoneinfo import ZoneInfoNotFoundError

import orjson
from cronsim import CronSimError

from database import execute, write
from database.queries import logs, schedules, workflows
from database.queries import runs as run_queries
from database.queries.schedules import GRACE_MS, Due
from fields import iso
from models import Workflow
from scheduler.cron import FireTimes, Interval, get_cron

PAGE = 500
RUNS_AT_ONCE = 500
MAX_CAUGHT_UP = 1_000
MAX_COUNTED = 100_000
UNREADABLE = (CronSimError, ValueError, OSError, ZoneInfoNotFoundError)

MayStart = Callable[[Workflow], str | None]


class Missed(NamedTuple):
    """The result of the `catch_up` policy for missed instants."""

    due_at: int
    message: str
    fired: int


class Decision(NamedTuple):
    """The decision on a due schedule. `broken`: the reason why it cannot fire."""

    due: Due
    instants: list[int]
    next_at: int | None
    missed: Missed | None = None
    broken: str | None = None


def get_fire_times(due: Due) -> FireTimes:
    """Return the schedule's times. Raises: one of UNREADABLE if its expression or zone is invalid."""
    if due.cron is not None:
        return get_cron(due.cron, due.timezone)
    return Interval(due.every or 0.0, due.anchor_ms)


def decide(due: Due, now: int, present_since: int = 0) -> Decision:
    """Return the instants to fire and the next one.

    Instants after `present_since` fire, unless they are older than the grace period: the loss of a leader is not a
    downtime. Earlier ones were missed, and follow the `catch_up` policy.
    """
    try:
        fire_times = get_fire_times(due)
    except UNREADABLE as error:
        return Decision(due, [], None, broken=str(error))
    since, edge = max(due.anchor_ms, due.next_at - 1), max(now - GRACE_MS - 1, min(present_since, now))
    first = fire_times.after(since)
    if first is None or first > now:
        return Decision(due, [], first)
    late, told = _catch_up(fire_times, due.catch_up, since, edge, now) if first <= edge else ([], None)
    missed = None if told is None else Missed(first, told, len(late))
    in_time = list(fire_times.between(max(since, edge), now))
    return Decision(due, late + in_time, fire_times.after(now), missed)


def _catch_up(fire_times: FireTimes, policy: str, since: int, until: int, now: int) -> tuple[list[int], str | None]:
    """Return the missed instants to fire, and a message: None if these are all, and none is older than the grace.

    With the policy "none", the latest one still fires within the grace: the server started a moment too late for it.
    """
    recent = now - GRACE_MS
    if policy in ("none", "last"):
        newest = fire_times.newest(since, until)
        assert newest is not None
        if newest >= recent and fire_times.after(since) == newest:
            return [newest], None
        if policy == "none" and newest < recent:
            return [], "no missed times are fired"
        return [newest], f"only the latest missed time, {iso(newest)}, is fired"
    found = list(islice(fire_times.between(since, until), MAX_COUNTED))
    if len(found) <= MAX_CAUGHT_UP:
        return found, None if found[0] >= recent else f"all {len(found)} missed times are fired"
    kept, dropped = found[-MAX_CAUGHT_UP:], f"{len(found) - MAX_CAUGHT_UP}"
    if len(found) == MAX_COUNTED:
        kept, dropped = [], f"more than {dropped}"
        latest = fire_times.newest(since, until)
        while latest is not None and len(kept) < MAX_CAUGHT_UP:
            kept.insert(0, latest)
            latest = fire_times.newest(since, latest - 1)
    return kept, f"the latest {MAX_CAUGHT_UP} missed times are fired; {dropped} are dropped"


def fire_due(now: int, may_start: MayStart = lambda flow: None, present_since: int = 0) -> list[str]:
    """Fire due schedules; return the ids of new, pending runs. `may_start(flow)` may return a reason not to start.

    Instants up to `present_since` were missed: no process was there to fire them.
    """
    runs: list[str] = []
    while True:
        page = schedules.due(now, PAGE)
        for batch in _batches(decide(due, now, present_since) for due in page):
            runs += _carry_out(batch, now, may_start)
        if len(page) < PAGE:
            return runs


def skip_due(now: int) -> int:
    """Move each due schedule to its next instant without firing; return their number."""
    skipped = 0
    while page := schedules.due(now, PAGE):
        with write():
            schedules.lock(page)
            skipped += sum(schedules.move(due, decide(due, now).next_at) for due in page)
    return skipped


def _batches(decisions: Iterable[Decision]) -> Iterator[list[Decision]]:
    """Group decisions so that each transaction stays short."""
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


def _carry_out(batch: list[Decision], now: int, may_start: MayStart) -> list[str]:
    """Fire these in one transaction; return the ids of the runs."""
    runs: list[str] = []
    with write():
        schedules.lock(decision.due for decision in batch)
        flows = active_flows([decision.due.workflow_id for decision in batch])
        for decision in batch:
            flow = flows.get(decision.due.workflow_id)
            if flow is None:
                schedules.drop(decision.due)
            elif schedules.move(decision.due, decision.next_at):
                due, missed = decision.due, decision.missed
                if decision.broken is not None:
                    text = f"{_name(due, flow)} cannot fire any more, fix it and save the flow: {decision.broken}"
                    _log(due, flow, "error", text, {"cron": due.cron, "timezone": due.timezone})
                if missed is not None:
                    late = now - missed.due_at
                    text = (
                        f"{_name(due, flow)} was due at {iso(missed.due_at)}, {format_duration(late)} ago; "
                        f"by its catch_up policy ({due.catch_up}), {missed.message}"
                    )
                    delay = {"due_at": iso(missed.due_at), "late_seconds": late // 1000}
                    data = {**delay, "catch_up": due.catch_up, "fired": missed.fired}
                    # The level is info if `watch` has already logged a warning about this delay.
                    _log(due, flow, "warning" if due.alerted_at is None else "info", text, data)
                fired = (_fire(decision.due, flow, instant, now, may_start) for instant in decision.instants)
                runs += [id_ for id_ in fired if id_ is not None]
    return runs


def active_flows(ids: Sequence[str]) -> dict[str, Workflow]:
    """Return the active ones of these flows by id, without their definitions, which may be large."""
    return {flow.id: flow for flow in workflows.of_ids(ids, brief=True) if flow.status == "active"}


def _fire(due: Due, flow: Workflow, instant: int, now: int, may_start: MayStart) -> str | None:
    """Fire one instant; return the id of the run, or None if it fired before or the flow may not start."""
    reason = may_start(flow)
    if reason is not None:
        if schedules.take_instants(due, instant, now, None, f"skipped: {reason}"):
            text = f"{_name(due, flow)} did not start a run at {iso(instant)}: {reason}"
            _log(due, flow, "warning", text, {"scheduled_for": iso(instant)})
        return None
    text = orjson.dumps({"scheduled_for": iso(instant), "fired_at": iso(now)}).decode()
    run = run_queries.accept(flow, triggered_by="schedule", trigger_node=due.node_id, input=text)
    if not schedules.take_instants(due, instant, now, run.id):
        return None
    execute(*run_queries.insertion(run))
    return run.id


def watch(now: int) -> int:
    """Log, once each, the schedules that are overdue because no process fires them; return their number.

    Every process does this, in case the leader hangs.
    """
    found = schedules.find_unreported(now, PAGE)
    if not found:
        return 0
    told = 0
    with write():
        schedules.lock(found)
        flows = active_flows([due.workflow_id for due in found])
        for due in found:
            flow = flows.get(due.workflow_id)
            if flow is not None and schedules.mark_reported(due, now):
                since, late = iso(due.next_at), now - due.next_at
                text = f"{_name(due, flow)} is overdue since {since} ({format_duration(late)}): no process fires it"
                _log(due, flow, "warning", text, {"due_at": since, "late_seconds": late // 1000})
                told += 1
    return told


def _log(due: Due, flow: Workflow, level: str, message: str, data: dict[str, Any]) -> None:
    text = orjson.dumps({"workflow_id": due.workflow_id, **data}).decode()
    execute(*logs.entry(flow.workspace_id, None, due.node_id, level, message, text))


def _name(due: Due, flow: Workflow) -> str:
    return f"The schedule {due.node_id} of the flow {flow.name}"


def format_duration(ms: int) -> str:
    """Return a duration for people, in its two largest units: `2 h 5 min`."""
    seconds = ms // 1000
    parts = ((seconds // 86_400, "d"), (seconds // 3600 % 24, "h"), (seconds // 60 % 60, "min"), (seconds % 60, "s"))
    first = next((at for at, (number, _) in enumerate(parts) if number), len(parts) - 1)
    return " ".join(f"{number} {unit}" for number, unit in parts[first : first + 2] if number) or "0 s"
