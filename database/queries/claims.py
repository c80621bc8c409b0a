"""Claims: which process executes a run. A process claims pending runs, and runs of a process whose lease ended."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from database import execute, fetch_value, lease_clock
from database.base import IN_LIST, Write, encode_list, now_ms
from database.queries import concurrent_runs
from database.queries.locks import FlowLock
from database.queries.waits import STILL_RUNS
from models import Run

# Statuses are part of the SQL text, not parameters: only then does SQLite use the partial indexes.
NO_LEASE = "NOT EXISTS (SELECT 1 FROM leases WHERE name = {0}.lease_owner AND owner = ? AND until > {1})"
EVER = 2**62  # milliseconds before which no lease ended


def find_claimable(limit: int) -> list[str]:
    """Return ids of pending runs to execute; not of runs executed elsewhere.

    Oldest first, but runs during which processes died come last.
    """
    ours = "status = 'pending' AND waiting IS NULL AND recorded = 0"
    sql = f"SELECT id FROM runs WHERE {ours} ORDER BY (deaths > 1), id LIMIT ?"
    return [id_ for (id_,) in execute(sql, (limit,)).fetchall()]


def claim(id_: str, owner: str, limit: int = 0, workflow_id: str = "") -> list[Write | FlowLock]:
    """Return writes that claim a pending run; they succeeded if the row count of the first one is 1.

    With a `limit`, at most that many runs of its flow, which must be given then, are running at once, oldest
    first: other runs are queued.
    """
    sql = (
        "UPDATE runs SET status = 'running', lease_owner = ?, claims = claims + 1, "
        "started_at = COALESCE(started_at, ?) WHERE id = ? AND status = 'pending' AND waiting IS NULL"
    )
    params = (owner, now_ms(), id_)
    if not limit:
        return [Write(sql, params)]
    return concurrent_runs.claim_within(limit, Write(sql, params), id_, workflow_id)


def is_still_claimed(run: Run) -> bool:
    """Return True if its last claim still executes it."""
    return bool(fetch_value(f"SELECT {STILL_RUNS}", (run.id, run.claims)))


def filter_running(ids: Collection[str], owner: str) -> set[str]:
    """Return the runs that `owner` still executes: the others were cancelled or taken over."""
    sql = f"SELECT id FROM runs WHERE status = 'running' AND lease_owner = ? AND id {IN_LIST}"
    return {id_ for (id_,) in execute(sql, (owner, encode_list(ids))).fetchall()} if ids else set()


def find_held_by(owner: str) -> list[tuple[str, int]]:
    """Return ids and claim numbers of the running runs that `owner` has claimed."""
    sql = "SELECT id, claims FROM runs WHERE status = 'running' AND lease_owner = ?"
    return list(execute(sql, (owner,)).fetchall())


def release(id_: str, owner: str, claims: int | None = None) -> Write:
    """Return the write that makes a run of `owner` pending for any process; with `claims`, only that claim."""
    mine = "id = ? AND status = 'running' AND lease_owner = ? AND claims = COALESCE(?, claims)"
    return Write(f"UPDATE runs SET status = 'pending', lease_owner = NULL WHERE {mine}", (id_, owner, claims))


def _no_lease(runs: str, silent: bool) -> tuple[str, tuple[Any, ...]]:
    """Return the condition that a run's process has no lease, with `silent` no valid one, and its parameters."""
    clock = lease_clock()
    return NO_LEASE.format(runs, clock.sql), (clock.identity(), clock.now() - (0 if silent else EVER))


def abandoned(silent: bool = True) -> list[Run]:
    """Return the running runs of dead processes.

    Without `silent`, a silent process counts as alive unless it is known to have ended.
    """
    no_lease, alive = _no_lease("runs", silent)
    # Most often there is none: Peewee would take longer to make the statement than SQLite to execute it.
    sql = f"SELECT id FROM runs WHERE status = 'running' AND lease_owner IS NOT NULL AND {no_lease}"
    ids = sorted(id_ for (id_,) in execute(sql, alive).fetchall())
    return [run for id_ in ids if (run := Run.find(id_)) is not None]


def requeue_abandoned(id_: str, silent: bool = True) -> Write:
    """Return the write that makes a run pending again if its process is still not alive: see `abandoned`."""
    no_lease, alive = _no_lease("runs", silent)
    sql = (
        "UPDATE runs SET status = 'pending', lease_owner = NULL, deaths = deaths + 1 "
        f"WHERE id = ? AND status = 'running' AND {no_lease}"
    )
    return Write(sql, (id_, *alive))


def lock_lease(id_: str) -> Write:
    """Return the write that locks the lease of the run's process until the transaction ends.

    With `requeue_abandoned` after it, a process that renews its lease at the last moment either keeps its runs, or
    its renewal waits, and it finds then that it has lost them.
    """
    sql = "UPDATE leases SET until = until WHERE name = (SELECT lease_owner FROM runs WHERE id = ?)"
    return Write(sql, (id_,))
