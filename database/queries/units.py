"""Units of writes: the statements that are done together or not at all, and the counts of the runs that end in them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import chain
from typing import Any, NamedTuple, TypeAlias

from database import Execute, execute_together, is_postgres, statements
from database.base import DAY_MS, Decides, Needed, Write, insert_all, now_ms
from database.queries.locks import FlowLock, adds_only, find_runs, make_locks, make_names_lock

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
    return insert_all("run_days", DAY_COLUMNS, ended if len(ended) == 1 else _sums(ended), ADD_DAY)


def _sums(ended: Sequence[EndedRun]) -> list[tuple[Any, ...]]:
    sums: dict[tuple[str, str, int], list[float]] = {}
    for workspace_id, workflow_id, day, total, success, failed, duration_ms in ended:
        counts = sums.setdefault((workspace_id, workflow_id, day), [0, 0, 0, 0.0])
        counts[0] += total
        counts[1] += success
        counts[2] += failed
        counts[3] += duration_ms
    return [(*key, *counts) for key, counts in sorted(sums.items())]


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
    for write in count_ended(ended) if ended else ():
        batch.add(write)
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
        left = [each for each in decided if _goes_on(*each)]


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


def _goes_on(unit: Unit, counts: list[int], end: int) -> bool:
    """Return True if more follows the statement before this place, which has changed a row.

    Raises: Undone if it has not, and was `Needed`.
    """
    if counts[end - 1]:
        return end < len(unit)
    if isinstance(unit[end - 1], Needed):
        raise Undone
    counts[end:] = [0] * (len(unit) - end)
    return False
