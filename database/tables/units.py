"""Units of writes: the statements that are done together or not at all, and the counts of the runs that end in them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeAlias

from database import Execute, statements

from .base import Decides, Needed, Write
from .run_days import EndedRun, RunDay

Unit: TypeAlias = Sequence[Write | EndedRun]


class Undone(Exception):
    """A `Needed` write changed no row, so its whole unit must be rolled back."""


def execute_units(units: Iterable[Unit], execute: Execute | None = None) -> list[list[int]]:
    """Execute units in order, in the open transaction. Return the row counts of each.

    What follows a `Decides` write that changed no row is not done, and its row count is 0. Ended runs are counted
    last, once for each flow and day. `execute` is what `write_runs` gives.

    Raises: Undone if a `Needed` write changed no row.
    """
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
