"""Units of writes: the statements that are done together or not at all, and the counts of the runs that end in them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeAlias

from database import Execute, is_postgres, statements

from .base import DAY_MS, Decides, Needed, Write, now_ms
from .locks import FlowLock, lock_for, lock_names
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
    if execute is None:
        with statements() as execute:
            return execute_units(units, execute)
    if is_postgres():
        units = list(units)
        lock_for((item for unit in units for item in unit), execute)
    ended: list[EndedRun] = []
    counts = [_execute_unit(unit, execute, ended) for unit in units]
    if ended:
        _count(ended, execute)
    return counts


def _count(ended: Sequence[EndedRun], execute: Execute) -> None:
    if is_postgres() and (past := {run.workspace_id for run in ended if run.day < now_ms() // DAY_MS}):
        # Whoever sums up past days (metric_sums.py) sees these counts, or they delete the sums.
        lock_names("days", past, shared=True)
    for sql, params in RunDay.add_all(ended):
        execute(sql, params)


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
