"""Units of writes: the statements that are done together or not at all, and the counts of the runs that end in them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import chain
from typing import TypeAlias

from database import Execute, execute_together, is_postgres, statements

from .base import DAY_MS, Decides, Needed, Write, now_ms
from .locks import FlowLock, adds_only, make_locks, make_names_lock
from .run_days import EndedRun, RunDay

Item: TypeAlias = Write | EndedRun | FlowLock
Unit: TypeAlias = Sequence[Item]


class Undone(Exception):
    """A `Needed` write changed no row, so its whole unit must be rolled back."""


def execute_units(units: Iterable[Unit], execute: Execute | None = None) -> list[list[int]]:
    """Execute units in order, in the open transaction. Return the row counts of each.

    What follows a `Decides` write that changed no row is not done, and its row count is 0. The locks of all units are
    taken first (see locks.py). Ended runs are counted last, once for each flow and day. `execute` is what `write_runs`
    gives.

    Raises: Undone if a `Needed` write changed no row.
    """
    if is_postgres():
        return _execute_together(list(units), execute is not None)
    if execute is None:
        with statements() as execute:
            return execute_units(units, execute)
    ended: list[EndedRun] = []
    counts = [_execute_unit(unit, execute, ended) for unit in units]
    for sql, params in RunDay.add_all(ended) if ended else ():
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


class _Batch:
    """Statements that PostgreSQL executes in one round trip, each with the place for its row count."""

    def __init__(self) -> None:
        self._waiting: list[tuple[Write, list[int], int]] = []

    def add(self, write: Write, counts: list[int] | None = None, place: int = 0) -> None:
        """Add a statement, whose row count will be at this place in `counts`."""
        self._waiting.append((write, [0] if counts is None else counts, place))

    def execute(self, commits: bool = False) -> int:
        """Execute the statements, and commit with them if that is wanted. Return the row count of the last one."""
        count = 0
        found = execute_together([write for write, _, _ in self._waiting], commits) if self._waiting else ()
        for (_, counts, place), count in zip(self._waiting, found, strict=True):
            counts[place] = count
        self._waiting.clear()
        return count


def _execute_together(units: Sequence[Unit], is_whole: bool) -> list[list[int]]:
    """Execute units with their locks on PostgreSQL, in few round trips: only `Needed` and `Decides` are waited for.

    `is_whole`: they are a whole transaction of `write_runs`. If they only add runs, it is committed with them.
    """
    ended: list[EndedRun] = []
    batch = _Batch()
    for lock in make_locks(chain.from_iterable(units)):
        batch.add(lock)
    all_counts = [_add_unit(unit, batch, ended) for unit in units]
    if past := {run.workspace_id for run in ended if run.day < now_ms() // DAY_MS}:
        # Metric sums of past days (metric_sums.py) either contain these counts, or are deleted by them.
        batch.add(make_names_lock("days", past, shared=True))
    for write in RunDay.add_all(ended) if ended else ():
        batch.add(write)
    batch.execute(commits=is_whole and adds_only(chain.from_iterable(units)))
    return all_counts


def _add_unit(unit: Unit, batch: _Batch, ended: list[EndedRun]) -> list[int]:
    counts = [1] * len(unit)
    for place, item in enumerate(unit):
        if isinstance(item, EndedRun):
            ended.append(item)
        if not isinstance(item, Write):
            continue
        batch.add(item, counts, place)
        if type(item) is Write or batch.execute():
            continue
        if isinstance(item, Needed):
            raise Undone
        counts[place + 1 :] = [0] * (len(unit) - place - 1)
        break
    return counts
