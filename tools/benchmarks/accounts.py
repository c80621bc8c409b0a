"""Requests that start runs, compared with the runs in the database: none lost, none too many, each with all its steps.

A benchmark checks the answers after each load, so that a figure never counts work that was not done.
"""

from __future__ import annotations

import contextlib
import sqlite3
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import psycopg

from tools.benchmarks.load import Client, Target

PATIENCE = 60.0
POLL_SECONDS = 0.1
QUIET_SECONDS = 1.0
UNFINISHED = "SELECT COUNT(*) FROM runs WHERE workflow_id = ? AND status IN ('pending', 'running')"
MADE = "SELECT COUNT(*), MAX(id) FROM runs WHERE workflow_id = ? AND id > ?"
WHOLE = """
SELECT COUNT(*) FROM runs WHERE workflow_id = ? AND id > ? AND status = 'success' AND triggered_by = ?
AND (SELECT COUNT(DISTINCT node_id) FROM {0} WHERE run_id = runs.id AND status = 'success') = ?
AND (SELECT COUNT(*) FROM {0} WHERE run_id = runs.id) = ?
"""
# Older versions, without packed steps, have only the table.
STEPS = "SELECT MIN(name) FROM sqlite_master WHERE name IN ('all_steps', 'steps')"


@contextlib.contextmanager
def open_reader(database: Path | str) -> Iterator[Callable[..., Any]]:
    """Give a function that executes a query and returns its cursor. `database`: a file of SQLite, or a URL."""
    if isinstance(database, str):
        with psycopg.connect(database, autocommit=True) as server:
            yield lambda sql, *params: server.execute(sql.replace("?", "%s"), params)
    else:
        with contextlib.closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as file:
            yield lambda sql, *params: file.execute(sql, params)


class Accounts(NamedTuple):
    """The runs in the database after a load, compared with the answers: how many are lost, too many or not whole.

    `seconds` is how long the last of them took to end once the load was over.
    """

    lost: int
    extra: int
    incomplete: int
    seconds: float


class Recorded:
    """A request that starts a run of this flow, with so many steps, with each good answer."""

    quiet = QUIET_SECONDS

    def __init__(self, target: Target, database: Path | str, flow: str, triggered_by: str, steps: int = 5) -> None:
        self.target, self.database, self.flow, self.triggered_by = target, database, flow, triggered_by
        self.steps, self.last = steps, ""

    def check(self) -> None:
        """Send it once, and check the result."""
        client = Client(self.target.port)
        answer = client.exchange(self.target.request)
        client.close()
        if answer.status != self.target.status or self.target.contains not in answer.body:
            raise SystemExit(f"{self.target.name} was answered with {answer.status}: {answer.body[:500]!r}")
        found = self.account(1, 0)
        if found[:3] != (0, 0, 0):
            raise SystemExit(f"{self.target.name} did not run its flow as it should: {found}")

    def account(self, answered: int, unanswered: int) -> Accounts:
        """Wait for the end of the runs that are new since the last time, and count them.

        Up to `unanswered` of them may be there without an answer.
        """
        began = time.perf_counter()
        with open_reader(self.database) as read:
            seconds = self._settled(read, began)
            made, last = read(MADE, self.flow, self.last).fetchone()
            (table,) = ("all_steps",) if isinstance(self.database, str) else read(STEPS).fetchone()
            wanted = (self.flow, self.last, self.triggered_by, self.steps, self.steps)
            (whole,) = read(WHOLE.format(table), *wanted).fetchone()
        self.last = last or self.last
        return Accounts(max(0, answered - made), max(0, made - answered - unanswered), made - whole, seconds)

    def _settled(self, read: Callable[..., Any], began: float) -> float:
        """Return the seconds until all runs have ended, and no other one has come for `quiet` seconds.

        A quick run is in the memory of a process until it has ended, and while the disk is slow nobody can see it.
        """
        before, since = None, 0.0
        while (passed := time.perf_counter() - began) < PATIENCE:
            made = read(MADE, self.flow, self.last).fetchone()
            if made != before or read(UNFINISHED, self.flow).fetchone()[0]:
                before, since = made, passed
            elif passed - since >= self.quiet:
                return since
            time.sleep(POLL_SECONDS)
        raise SystemExit(f"runs of {self.flow} do not end within {PATIENCE:.0f} s")
