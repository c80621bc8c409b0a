"""Runs and their state transitions, each a conditional statement; and the options of a run besides its input."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from itertools import chain
from typing import Any, NamedTuple, TypeAlias

import orjson
from peewee import SQL

from constants import ENDED, RUN_STATUSES, TRIGGERS, UNFINISHED
from database import Execute, execute, execute_together, fetch_value, is_postgres, statements, write
from database.base import (
    DAY_MS,
    IN_LIST,
    Decides,
    Match,
    Needed,
    Rows,
    Write,
    encode_list,
    id_bounds,
    insert,
    insert_all,
    made_at,
    new_id,
    now_ms,
)
from database.queries import concurrent_runs, logs, waits
from database.queries.concurrent_runs import QUEUED
from database.queries.locks import FlowLock, adds_only, find_runs, lock_names, lock_runs, make_locks, make_names_lock
from database.queries.retention import TABLES_OF_RUNS, clear
from database.queries.waits import STILL_RUNS, stop_all
from errors import ERROR_KINDS, Conflict, Unprocessable
from models import IdempotencyKey, Run, Workflow

# Units of writes: the statements that are done together or not at all, and the counts of the runs that end in them.

ADD_DAY = (
    " ON CONFLICT (workspace_id, day, workflow_id) DO UPDATE SET total = run_days.total + excluded.total, "
    "success = run_days.success + excluded.success, failed = run_days.failed + excluded.failed, "
    "duration_ms = run_days.duration_ms + excluded.duration_ms"
)


class EndedRun(NamedTuple):
    """A run to be counted, as a row of one: its flow, the day on which it ended, its duration in milliseconds."""

    workspace_id: str
    workflow_id: str
    day: int
    total: int  # 1
    success: int  # 1 or 0
    failed: int  # 0 or 1
    duration_ms: float


DAY_COLUMNS = EndedRun._fields


def count_ended(ended: Sequence[EndedRun]) -> list[Write]:
    """Return writes that count ended runs, one row for each flow and day, always in the same order of rows.

    Two transactions that count the same flows thus never wait for each other in a circle.
    """
    if len(ended) == 1:
        return insert_all("run_days", DAY_COLUMNS, ended, ADD_DAY)
    sums: dict[tuple[str, str, int], list[float]] = {}
    for workspace_id, workflow_id, day, total, success, failed, duration_ms in ended:
        counts = sums.setdefault((workspace_id, workflow_id, day), [0, 0, 0, 0.0])
        counts[0] += total
        counts[1] += success
        counts[2] += failed
        counts[3] += duration_ms
    return insert_all("run_days", DAY_COLUMNS, [(*key, *counts) for key, counts in sorted(sums.items())], ADD_DAY)


Item: TypeAlias = Write | EndedRun | FlowLock
Unit: TypeAlias = Sequence[Item]
DECIDERS = (Decides, Needed)


class Undone(Exception):
    """A `Needed` write changed no row, so its whole unit must be rolled back."""


def execute_units(units: Iterable[Unit], execute: Execute | None = None) -> list[list[int]]:
    """Execute units in order, in the open transaction. Return the row counts of each.

    After a `Decides` write that changed no row, the rest of its unit is skipped; its row counts are 0. The locks of all
    units are taken first (see locks.py). Ended runs are counted last, once for each flow and day. `execute` is the
    function of `write_runs`.

    Raises: Undone if a `Needed` write changed no row.
    """
    if is_postgres():
        return _execute_together(list(units), execute is not None)
    if execute is None:
        with statements() as execute:
            return execute_units(units, execute)
    ended: list[EndedRun] = []
    counts = [_execute_unit(unit, execute, ended) for unit in units]
    for sql, params in count_ended(ended) if ended else ():
        execute(sql, params)
    return counts


def _execute_unit(unit: Unit, execute: Execute, ended: list[EndedRun]) -> list[int]:
    counts = []
    for item in unit:
        if not isinstance(item, Write):
            if isinstance(item, EndedRun):
                ended.append(item)
            counts.append(1)
            continue
        counts.append(count := execute(*item))
        if not count and isinstance(item, Needed):
            raise Undone
        if not count and isinstance(item, Decides):
            return counts + [0] * (len(unit) - len(counts))
    return counts


class _StatementBatch:
    """Statements that PostgreSQL executes in one round trip, each with the place for its row count."""

    def __init__(self) -> None:
        self._waiting: list[tuple[Write, list[int], int]] = []

    def add(self, write: Write, counts: list[int] | None = None, place: int = 0) -> None:
        """Add a statement, whose row count will be at this place in `counts`."""
        self._waiting.append((write, [0] if counts is None else counts, place))

    def execute(self, commits: bool = False) -> None:
        """Execute the statements, and commit with them if that is wanted."""
        found = execute_together([write for write, _, _ in self._waiting], commits) if self._waiting else ()
        for (_, counts, place), count in zip(self._waiting, found, strict=True):
            counts[place] = count
        self._waiting.clear()


def _execute_together(units: Sequence[Unit], is_whole: bool) -> list[list[int]]:
    """Execute units with their locks on PostgreSQL, in few round trips: only `Needed` and `Decides` are waited for.

    `is_whole`: they are a whole transaction of `write_runs`. If they only add runs, it is committed with them.
    """
    ended: list[EndedRun] = []
    batch = _StatementBatch()
    for lock in make_locks(chain.from_iterable(units)):
        batch.add(lock)
    all_counts = [[1] * len(unit) for unit in units]
    for wave in _split_into_waves(units):
        _execute_wave([(units[number], all_counts[number]) for number in wave], batch, ended)
    if past := {run.workspace_id for run in ended if run.day < now_ms() // DAY_MS}:
        # Metric sums of past days (metric_sums.py) either contain these counts, or are deleted by them.
        batch.add(make_names_lock("days", past, shared=True))
    for count in count_ended(ended) if ended else ():
        batch.add(count)
    batch.execute(commits=is_whole and adds_only(chain.from_iterable(units)))
    return all_counts


def _split_into_waves(units: Sequence[Unit]) -> list[list[int]]:
    """Return the numbers of successive units that may be executed side by side: they name different runs.

    A unit that counts the runs of a flow, and one that decides more than once, are alone.
    """
    if not any(isinstance(item, DECIDERS) for unit in units for item in unit):
        return [list(range(len(units)))]
    waves: list[list[int]] = []
    named: set[str] = set()
    was_alone = True
    for number, unit in enumerate(units):
        runs = find_runs(unit)
        counts_runs = any(isinstance(item, FlowLock) and item.alone for item in unit)
        is_alone = counts_runs or sum(isinstance(item, DECIDERS) for item in unit) > 1
        if is_alone or was_alone or not named.isdisjoint(runs):
            waves.append([])
            named = set()
        waves[-1].append(number)
        named |= runs
        was_alone = is_alone
    return waves


def _execute_wave(wave: Sequence[tuple[Unit, list[int]]], batch: _StatementBatch, ended: list[EndedRun]) -> None:
    """Execute units together: first each up to its deciding write, then the rest of units where that changed a row."""
    left = [(unit, counts, 0) for unit, counts in wave]
    while left:
        begun = [(unit, counts, _add_until_decided(unit, counts, start, batch, ended)) for unit, counts, start in left]
        decided = [each for each in begun if each[2] and isinstance(each[0][each[2] - 1], DECIDERS)]
        if decided:
            batch.execute()
        left = []
        for unit, counts, end in decided:
            if counts[end - 1]:
                if end < len(unit):
                    left.append((unit, counts, end))
            elif isinstance(unit[end - 1], Needed):
                raise Undone
            else:
                counts[end:] = [0] * (len(unit) - end)


def _add_until_decided(unit: Unit, counts: list[int], start: int, batch: _StatementBatch, ended: list[EndedRun]) -> int:
    """Add the statements from this place on, up to one that decides. Return the place after the last one."""
    for place in range(start, len(unit)):
        item = unit[place]
        if isinstance(item, EndedRun):
            ended.append(item)
        elif isinstance(item, Write):
            batch.add(item, counts, place)
            if isinstance(item, DECIDERS):
                return place + 1
    return len(unit)


# The condition that no row has or names a run's id: something of a deleted run may be left for a while.
NEVER_USED = " AND ".join(
    f"NOT EXISTS (SELECT 1 FROM {table} WHERE {match})"
    for table, match in (
        ("runs", "id = ?"),
        ("runs", "parent_run_id = ? AND parent_run_id IS NOT NULL"),
        *((table, "run_id = ?") for table in TABLES_OF_RUNS),
    )
)
CLOSE_RUNNING_STEPS = (
    "UPDATE steps SET status = 'failed', error_text = 'the run was cancelled while this step ran', "
    "error_kind = 'cancelled', finished_at = ? WHERE run_id = ? AND status = 'running'"
)
MAX_FAILURE_TEXT = 10_000  # characters of the log entry about a failure
# The beginning of an id, as pasted into a search.
ID_BEGINS = re.compile(r"run_[0-7][0-9A-HJKMNP-TV-Z]{0,25}\Z", re.ASCII | re.IGNORECASE)
# Its last six characters, as the app shows them.
ID_ENDS = re.compile(r"[0-9A-HJKMNP-TV-Z]{6}\Z", re.ASCII | re.IGNORECASE)
AFTER_ALL = "~"  # sorts after every character of an id
# The condition of a run that waits for a person: at a node of one of the types to be filled in, or by an agent.
ASKS_PEOPLE = (
    "waiting IS NOT NULL AND EXISTS (SELECT 1 FROM waits w JOIN steps s ON s.run_id = w.run_id AND s.seq = w.seq "
    "WHERE w.run_id = runs.id AND w.answered_at IS NULL AND (w.question IS NOT NULL OR s.node_type IN ({})))"
)
RunState: TypeAlias = tuple[str, str | None]  # the status, and the reason for which a pending run waits


class RunFilters(NamedTuple):
    """Runs of a workspace. `since` and `until` compare the time of acceptance, in milliseconds.

    `search` is the beginning of an id, else text in the flow's name or the error, or the last six characters of an id.
    `asking`: runs that wait for people, at a node of one of these types or by an agent. `unsigned`: searches the text
    without the signatures of links.
    """

    workspace_id: str
    status: Sequence[str] | None = None
    workflow_id: str | None = None
    triggered_by: str | None = None
    since: int | None = None
    until: int | None = None
    cancelled: bool | None = None
    error_kind: Sequence[str] | None = None
    search: str | None = None
    asking: Sequence[str] | None = None
    unsigned: bool = False

    @property
    def is_of_errors(self) -> bool:
        """Return True if only some failed runs are wanted, which are few and have indexes of their own."""
        return bool(self.cancelled or self.error_kind)

    def arms(self) -> list[str]:
        """Return the conditions for the indexes: by status and, for ended runs, by trigger. See `Rows`.

        Raises: ValueError for an unknown status, trigger or kind: the conditions must contain our own constants only.
        """
        named = RUN_STATUSES if self.status is None else self.status
        wanted = {RUN_STATUSES[RUN_STATUSES.index(name)] for name in named}
        if self.is_of_errors:
            wanted &= {"failed"}
        if self.asking is not None:
            wanted &= {"pending"}
        kinds = [ERROR_KINDS[ERROR_KINDS.index(kind)] for kind in self.error_kind or ()]
        triggers = TRIGGERS if self.triggered_by is None else [TRIGGERS[TRIGGERS.index(self.triggered_by)]]
        if not wanted:
            return ["1 = 0"]
        if self.is_of_errors:
            return [f"error_kind = '{kind}'" for kind in kinds] or ["cancelled = 1"]
        if (self.workflow_id, self.triggered_by) == (None, None) and len(wanted) == len(RUN_STATUSES):
            return []
        of_trigger = "" if self.triggered_by is None else f" AND triggered_by = '{triggers[0]}'"
        unfinished = [f"status = '{name}'{of_trigger}" for name in UNFINISHED if name in wanted]
        ended = [name for name in ENDED if name in wanted]
        return unfinished + [f"status = '{name}' AND triggered_by = '{one}'" for name in ended for one in triggers]


@cache
def _blank() -> dict[str, Any]:
    """Return all columns of a run without values."""
    return {column.name: column.default for column in Run._meta.sorted_fields}


def progress(run: Run) -> dict[str, int] | None:
    """Return the number of settled nodes: `{done, total}`; None for a run that was executed elsewhere."""
    return None if run.nodes_total is None else {"done": run.nodes_done or 0, "total": run.nodes_total}


def draft(run: Run) -> bool:
    """Return True if it runs an unsaved definition."""
    return run.options is not None and bool(orjson.loads(run.options)["draft"])


def until(run: Run) -> str | None:
    """Return the node after which it stops, or None."""
    return None if run.options is None else orjson.loads(run.options)["until"]


def only(run: Run) -> str | None:
    """Return the only node that it executes, or None."""
    return None if run.options is None else orjson.loads(run.options).get("only")


def pinned(run: Run) -> list[str]:
    """Return the nodes that are not executed because their output was given."""
    return [] if run.options is None else orjson.loads(run.options)["pinned"]


def accept(flow: Any, **values: Any) -> Run:
    """Return a new run of this flow, pending unless `values` differ; `insertion` writes its row."""
    # `since` and `until` compare ids, so `created_at` must be the id's time.
    id_ = values.pop("id", None) or new_id("run")
    row = {
        **_blank(), "id": id_, "workspace_id": flow.workspace_id, "workflow_id": flow.id,
        "workflow_name": flow.name, "workflow_version": flow.version, "status": "pending",
        "created_at": made_at(id_), **values,
    }  # fmt: skip
    if row["status"] not in RUN_STATUSES or row["triggered_by"] not in TRIGGERS:
        # No list would contain it: see `select_where`.
        raise ValueError(f"no run can be {row['status']} and triggered by {row['triggered_by']}")
    return Run.fresh(row)


def insertion(run: Run) -> Write:
    """Return the write that inserts its row."""
    return insert("runs", run.__data__)


def insertions(runs: Sequence[Run], packed_steps: Sequence[str | None]) -> list[Write]:
    """Return writes that insert these runs from `accept`, each with its packed steps (`steps.packed`)."""
    rows = [(*run.__data__.values(), steps) for run, steps in zip(runs, packed_steps, strict=True)]
    return insert_all("runs", (*_blank(), "packed_steps"), rows)


def insertion_unless_busy(run: Run, limit: int) -> Write:
    """Return the write that inserts its row unless the flow has `limit` active runs; see its row count.

    It needs the flow's lock: `FlowLock(workflow_id, alone=True)` in its unit, or `lock_flow`.
    """
    return insertion(run).with_condition(f"{concurrent_runs.BUSY} < ?", (*[run.workflow_id] * 3, limit))


def counted(run: Run) -> EndedRun:
    """Return the counts of this run, which has ended."""
    row = run.__data__
    at = row["created_at"] if row["finished_at"] is None else row["finished_at"]
    success = int(row["status"] == "success")
    flow = row["workspace_id"], row["workflow_id"]
    return EndedRun(*flow, at // DAY_MS, 1, success, 1 - success, row["duration_ms"] or 0.0)


def while_it_runs(run: Run, made: Write) -> Write:
    """Return the insertion, conditional on this run still being executed by its last claim."""
    return made.with_condition(STILL_RUNS, (run.id, run.claims))


def deleted(run: Run) -> Run:
    """Change this object, as seen by callers that still wait for the deleted run, and return it."""
    run.__data__.update(
        status="failed", error_text="the run was deleted", error_kind="cancelled", output=None, output_bytes=None
    )
    return run


def record(flow: Workflow, note: Callable[[Run], Write] | None = None, **values: Any) -> Run:
    """Record a run that was executed elsewhere; it counts like others. `note` adds a write to the transaction.

    Raises: Conflict if a given id is that of a run, or of a deleted one of which something is left.
    """
    run = accept(flow, recorded=True, **values)
    noted = [] if note is None else [note(run)]
    made = insertion(run)
    if "id" in values:  # inserted unless another row has or names its id
        sql, params = made.with_condition(NEVER_USED, (run.id,) * NEVER_USED.count("?"))
        made = Decides(f"{sql} ON CONFLICT (id) DO NOTHING", params)
    with write():
        counts = execute_units([[made, *noted, *([counted(run)] if run.status in ENDED else [])]])[0]
    if not counts[0]:
        raise Conflict(f"There is or was a run with the id {run.id}; record this one with another id, or without")
    return run


def select_where(filters: RunFilters) -> Rows[Run]:
    """Return the runs that satisfy these filters. Raises: ValueError for an unknown status, trigger or kind."""
    given = [("workspace_id = ?", filters.workspace_id), ("workflow_id = ?", filters.workflow_id)]
    if filters.is_of_errors:
        given.append(("triggered_by = ?", filters.triggered_by))
    (lowest, end), search = id_bounds("run", filters.since, filters.until), filters.search
    if search is not None and ID_BEGINS.match(search):
        begin = "run_" + search[4:].upper()
        lowest, end, search = max(lowest or begin, begin), min(end or begin + AFTER_ALL, begin + AFTER_ALL), None
    cancelled, asking = filters.cancelled, filters.asking
    # A run has the text in its name or error, or its id ends with it.
    text = Match.letters(search, "workflow_name", "error_text", unsigned=filters.unsigned)
    if text is not None and search is not None and ID_ENDS.match(search):
        text = Match(f"({text.sql} OR id LIKE ?)", (*text.params, f"%{search.upper()}"))
    match = Match.all_of(
        None if cancelled is None else Match(f"cancelled = {cancelled:d}", ()),
        text,
        None if asking is None else Match(ASKS_PEOPLE.format(", ".join("?" * len(asking))), tuple(asking)),
    )
    return Rows(Run, given, filters.arms(), (lowest, end), match)


def write_progress(run: Run, done: int) -> Write:
    """Return the write of the number of settled nodes."""
    sql = "UPDATE runs SET nodes_done = ?, nodes_total = ? WHERE id = ? AND claims = ?"
    return Write(sql, (done, run.nodes_total, run.id, run.claims))


def suspend(run: Run, owner: str, reason: str, waits: int, done: int) -> Unit:
    """Return writes that suspend a run for `waits` unanswered nodes; then the flow's next queued run may start.

    If an answer has come meanwhile, the run is pending without waiting, for any process to resume.
    """
    sql = (
        "UPDATE runs SET status = 'pending', lease_owner = NULL, nodes_done = ?, nodes_total = ?, "
        "waiting = CASE WHEN (SELECT COUNT(*) FROM waits WHERE run_id = runs.id AND seq IS NOT NULL "
        "AND answered_at IS NULL AND COALESCE(kind, '') NOT LIKE 'item%') >= ? THEN ? END "
        "WHERE id = ? AND status = 'running' AND lease_owner = ? AND claims = ?"
    )
    suspended = Decides(sql, (done, run.nodes_total, waits, reason, run.id, owner, run.claims))
    return [suspended, Write(concurrent_runs.RELEASE_NEXT, (run.workflow_id,)), FlowLock(run.workflow_id)]


def read_states(ids: Iterable[str]) -> dict[str, RunState]:
    """Return the states of these runs by id. A deleted run has none."""
    sql = f"SELECT id, status, waiting FROM runs WHERE id {IN_LIST}"
    return {id_: (status, waiting) for id_, status, waiting in execute(sql, (encode_list(ids),)).fetchall()}


def backlog(most: int) -> int:
    """Return the number of runs that wait for a thread or a concurrency limit, up to `most`."""
    sql = (
        "SELECT COUNT(*) FROM (SELECT * FROM (SELECT 1 FROM runs "
        "WHERE status = 'pending' AND waiting IS NULL AND recorded = 0 LIMIT ?) AS found UNION ALL SELECT * FROM ("
        f"SELECT 1 FROM runs WHERE status = 'pending' AND waiting = '{QUEUED}' LIMIT ?) AS found LIMIT ?) AS found"
    )
    return int(fetch_value(sql, (most, most, most)))


def children(run: Run) -> list[Run]:
    """Return the unfinished runs for whose output this one waits, except those that have not started."""
    waited = (Run.parent_run_id == run.id) & Run.parent_node_id.is_null(False) & Run.finished_at.is_null()
    has_started = SQL(f"status IN ('pending', 'running') AND COALESCE(waiting, '') <> '{waits.HELD}'")
    return list(Run.select().where(waited, Run.parent_run_id.is_null(False), has_started))


def lock_family(row: Run) -> None:
    """Lock the run and the runs for which it waits, with their flows, in the order of all transactions."""
    if not is_postgres():
        return
    family, last = [row], [row]
    while last := [child for run in last for child in children(run)]:
        family += last
    lock_names("flow", {run.workflow_id for run in family}, shared=True)
    lock_runs({str(id_) for run in family for id_ in (run.id, run.parent_run_id) if id_ is not None})


def started(run: Run, limit: int) -> list[Run]:
    """Return the first runs that this one started, whether it waits for them or not."""
    mine = (Run.parent_run_id == run.id) & Run.parent_run_id.is_null(False)
    return list(Run.select().where(mine).order_by(Run.id).limit(limit))


def remove(run: Run) -> bool:
    """Delete the run with its steps and log. Return True if it existed."""
    with write():
        lock_runs([str(run.id)])
        was_there = bool(run.delete_instance())
        clear([str(run.id)])
    return was_there


def finish(run: Run, owner: str, status: str, waits: bool = False, **values: Any) -> Unit:
    """Return writes that end a run executed by `owner` and count it; the object is changed at once.

    `waits`: some of its steps may wait. The first write's row count is 0 if the run was cancelled or taken over
    meanwhile: then nothing changes.
    """
    where = "status = 'running' AND lease_owner = ? AND claims = ?"
    return _end(run, where, (owner, run.claims), status, waits, **values)


def end_unsaved(run: Run, status: str, duration_ms: float, **values: Any) -> None:
    """End a run that has no row yet."""
    run.__data__.update(
        status=status, finished_at=now_ms(), duration_ms=duration_ms, lease_owner=None, waiting=None, **values
    )


def failure_entries(run: Run) -> list[Write]:
    """Return the write of the log entry about this run's failure; none for a success.

    Its level is error, but info for a cancelled run, which was intended.
    """
    if run.status != "failed":
        return []
    level, about = ("info", "The run was stopped") if run.cancelled else ("error", "The run failed")
    message = f"{about}: {run.error_text}"[:MAX_FAILURE_TEXT]
    return [logs.entry(run.workspace_id, run.id, run.error_node_id, level, message, None)]


def cancel(run: Run, reason: str, noted: Iterable[Write] = ()) -> bool:
    """End a pending or running run as cancelled immediately; its process will notice. Return False if it had ended.

    The writes in `noted` happen only if it had not ended.
    """
    values = {"error_text": reason, "error_kind": "cancelled", "cancelled": True}
    ending = _end(run, "status IN ('pending', 'running')", (), "failed", waits=True, **values)
    # Its process may have ended; otherwise the result of the step replaces this one.
    closed = Write(CLOSE_RUNNING_STEPS, (now_ms(), run.id))
    with write():
        counts = execute_units([[*ending, closed, *noted]])[0]
    return bool(counts[0])


def _end(run: Run, where: str, params: tuple[Any, ...], status: str, waits: bool, **values: Any) -> Unit:
    now = now_ms()
    duration = values.pop("duration_ms", None)
    if duration is None:
        duration = float(max(0, now - (run.started_at or now)))
    row: dict[str, Any] = {
        "status": status, "finished_at": now, "duration_ms": duration, "lease_owner": None, "waiting": None,
        **values,
    }  # fmt: skip
    columns = ", ".join(f"{key} = ?" for key in row)
    ended = Decides(f"UPDATE runs SET {columns} WHERE id = ? AND {where}", (*row.values(), run.id, *params))
    run.__data__.update(row)
    unit: list[Item] = [ended, counted(run)]
    if waits:  # its waiting steps will never be answered
        closed = (
            "UPDATE steps SET status = 'failed', error_text = 'the run ended while this step waited', "
            "error_kind = 'cancelled', finished_at = ? WHERE run_id = ? AND status = 'waiting'"
        )
        gone = Write("DELETE FROM waits WHERE run_id = ?", (run.id,))
        unit += [Write(closed, (now, run.id)), gone, stop_all(str(run.id))]
    if run.parent_node_id is not None:
        unit += _answer_parent(run, now)
    return [
        *unit,
        *failure_entries(run),
        Write(concurrent_runs.RELEASE_NEXT, (run.workflow_id,)),
        FlowLock(run.workflow_id),
    ]


def _answer_parent(run: Run, now: int) -> list[Write]:
    """Return writes that resume the run that waits for this one. It reads the output from here.

    The end of an item of a loop settles its step, and gives the turn to the next one.
    """
    parent, place = str(run.parent_run_id), str(run.parent_node_id)
    failed = "failed" if run.status == "failed" else "ended"
    answered = (
        f"UPDATE waits SET name = CASE WHEN kind = 'item' THEN '{failed}' ELSE 'ended' END, answer = ?, "
        "answered_at = ? WHERE run_id = ? AND node_id = ? AND answered_at IS NULL"
    )
    answer = Write(answered, (f'"{run.id}"', now, parent, place))
    if not waits.is_item(place):
        return [answer, *waits.resume_after(parent, place)]
    turn = waits.give_turn(parent, waits.node_of(place))
    # A large output is not in the row, so it settles nothing here.
    settled: list[Write] = []
    if run.status != "success":
        text = f"the run {run.id} failed: {run.error_text}"[:MAX_FAILURE_TEXT]
        output = orjson.dumps({"error": text, "index": int(place.rpartition(":")[2])}).decode()
        settled = [waits.settle_item(parent, place, output, (text, run.error_kind), now)]
    elif run.output is not None:
        settled = [waits.settle_item(parent, place, run.output, None, now)]
    return [*settled, answer, *waits.resume_after(parent, place), *turn]


def keep_options(run_id: str, value: str | None, value_bytes: int | None) -> Write:
    """Return the write that inserts the options if the run has a row."""
    row = {"run_id": run_id, "value": value, "value_bytes": value_bytes}
    return insert("run_options", row).with_condition("EXISTS (SELECT 1 FROM runs WHERE id = ?)", (run_id,))


def share_options(run_id: str, with_id: str) -> Write:
    """Return the write that copies the options of a run, if any, to another run."""
    sql = "INSERT INTO run_options (run_id, value, value_bytes) SELECT ?, value, value_bytes FROM run_options "
    return Write(f"{sql} WHERE run_id = ?", (with_id, run_id))


# Idempotency keys, which keep a run from being started twice.

OTHER_REQUEST = (
    "This idempotency key was used within 24 hours for a request with another method, path or body; send a new key "
    "for a new request"
)


def take_key(workflow_id: str, key: str, run_id: str, request_hash: str | None = None) -> list[Write]:
    """Return writes that bind the key to the run, if it has a row; the second fails if the key is bound already."""
    now = now_ms()
    stale = "DELETE FROM idempotency_keys WHERE workflow_id = ? AND key = ? AND created_at < ?"
    row = {
        "workflow_id": workflow_id, "key": key, "run_id": run_id, "created_at": now, "request_hash": request_hash,
    }  # fmt: skip
    bound = insert("idempotency_keys", row).with_condition("EXISTS (SELECT 1 FROM runs WHERE id = ?)", (run_id,))
    return [Write(stale, (workflow_id, key, now - DAY_MS)), bound]


def run_of_key(workflow_id: str, key: str, request_hash: str | None = None) -> Run | None:
    """Return the run started under this key within a day, or None.

    Raises: Unprocessable if another request had the key.
    """
    row = IdempotencyKey.one("workflow_id = ? AND key = ? AND created_at >= ?", workflow_id, key, now_ms() - DAY_MS)
    if row is None:
        return None
    if None not in (row.request_hash, request_hash) and row.request_hash != request_hash:
        raise Unprocessable(OTHER_REQUEST)
    return Run.find(row.run_id)
