"""Retention: finds expired runs and log entries, and deletes them in small transactions.

Rows are read by pages in the order of ids, that is by age, so every query is short. The limits, and when to apply them,
are in `scheduler/retention.py`.

Ids sort by age, so no extra index is needed; an index by end time would cost every run a write. The row of a run is
deleted first, and a fact lists the runs whose other rows remain: a run of 100,000 steps takes many transactions, and a
retry that read only half of the steps would execute the other half again. Files are deleted last, because files
without a row can be found again. An idempotency key outlives the limits on number and size: for a day, a repeated call
must start nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import orjson

from database import execute, fetch_value, is_postgres, write
from database.base import DAY_MS, IN_LIST, UNLOCKED_ONLY, encode_list, first_id
from database.full_text import EXPIRED
from database.queries import partitions
from database.queries.locks import lock_names, lock_runs
from models import ServerFact

PAGE = 200
RUNS_AT_ONCE = 20
ROWS_AT_ONCE = 100
MEMORIES_AT_ONCE = 10
ALL_ROWS = 2**62  # a limit that is never reached
REMOVING = "runs being removed"  # the name of the fact
HasTime = Callable[[], bool]
OVER = "(recorded = 1 OR (status IN ('success', 'failed') AND finished_at < ?))"
# Subqueries of a single value: PostgreSQL would read the whole table for EXISTS among the columns of a SELECT.
# The parent run will read the output.
AWAITED = (
    "(parent_node_id IS NOT NULL AND COALESCE((SELECT o.status FROM runs AS o WHERE o.id = runs.parent_run_id), '') "
    "IN ('pending', 'running'))"
)
# The idempotency key must still prevent a repeated call from starting the flow again.
NAMED = "COALESCE((SELECT MAX(created_at) FROM idempotency_keys WHERE run_id = runs.id), 0) >= ?"
RUNS = f"SELECT id, {OVER} AND NOT {AWAITED} AND NOT {NAMED} FROM runs WHERE id > ? AND id < ? ORDER BY id LIMIT {PAGE}"
REMOVED = f"DELETE FROM runs WHERE id {IN_LIST} AND (recorded = 1 OR status IN ('success', 'failed')) RETURNING id"
STAYING = (
    f"SELECT id FROM runs_{{}} AS runs WHERE NOT COALESCE({OVER} AND NOT {AWAITED} AND NOT {NAMED}, FALSE) LIMIT ?"
)
OF_THEM = f"run_id {IN_LIST} LIMIT ?"
TABLES_OF_RUNS = ("steps", "log_entries", "waits", "agent_runs", "idempotency_keys", "run_options")
# The rows of runs in other tables; each statement deletes a limited number.
ROWS_OF_RUNS = (
    f"DELETE FROM steps WHERE (run_id, seq) IN (SELECT run_id, seq FROM steps WHERE {OF_THEM})",
    f"DELETE FROM log_entries WHERE id IN (SELECT id FROM log_entries WHERE {OF_THEM})",
    f"DELETE FROM waits WHERE (run_id, node_id) IN (SELECT run_id, node_id FROM waits WHERE {OF_THEM})",
    "DELETE FROM agent_steps WHERE (agent_run_id, seq) IN (SELECT s.agent_run_id, s.seq FROM agent_runs AS r "
    f"JOIN agent_steps AS s ON s.agent_run_id = r.id WHERE r.{OF_THEM})",
    f"DELETE FROM agent_runs WHERE id IN (SELECT id FROM agent_runs WHERE {OF_THEM})",
    "DELETE FROM idempotency_keys WHERE (workflow_id, key) IN (SELECT workflow_id, key FROM idempotency_keys "
    f"WHERE {OF_THEM})",
    f"DELETE FROM run_options WHERE run_id IN (SELECT run_id FROM run_options WHERE {OF_THEM})",
)
# The same for the runs of a removed partition: those between two ids that have no row of their own.
WITHOUT_RUN = "{0} >= ? AND {0} < ? AND NOT EXISTS (SELECT 1 FROM runs WHERE runs.id = {0}) LIMIT ?"
ROWS_WITHOUT_RUN = tuple(
    sql.replace(f"r.{OF_THEM}", WITHOUT_RUN.format("r.run_id")).replace(
        OF_THEM, WITHOUT_RUN.format(f"{sql.split()[2]}.run_id")
    )
    for sql in ROWS_OF_RUNS[1:]  # without steps, which are removed with their partition
)
# Tables whose rows expire by age alone, with their id prefix and condition. A log entry can outlive its run if a
# suspended process wrote it.
AGEING = {
    "log_entries": ("log", "NOT EXISTS (SELECT 1 FROM runs WHERE runs.id = log_entries.run_id)"),
    "audit_entries": ("aud", "1"),
}


class DeletableIds(NamedTuple):
    """Ids that may be deleted, and the last examined id, None at the end."""

    ids: list[str]
    last: str | None


class Removed(NamedTuple):
    """`taken`: number of handled runs; `ids`: ids of the deleted runs; `more`: True if rows of other tables remain."""

    taken: int
    ids: list[str]
    more: bool


def nth_newest(number: int) -> str | None:
    """Return the id of the nth newest run of the server, or None."""
    found: str | None = fetch_value("SELECT id FROM runs ORDER BY id DESC LIMIT 1 OFFSET ?", (number - 1,))
    return found


def runs_over(after: str, below: str, ended_before: int, now: int) -> DeletableIds:
    """Return the deletable runs of the next PAGE runs between two ids: ended before a time, or executed elsewhere."""
    return _page(execute(RUNS, (ended_before, now - DAY_MS, after, below)).fetchall())


def rows_over(table: str, after: str, before_ms: int) -> DeletableIds:
    """Return the deletable rows among the next PAGE rows of a table of AGEING from before a time."""
    prefix, goes = AGEING[table]
    sql = f"SELECT id, {goes} FROM {table} WHERE id > ? AND id < ? ORDER BY id LIMIT {PAGE}"
    return _page(execute(sql, (after, first_id(prefix, before_ms))).fetchall())


def _page(found: Sequence[tuple[str, int]]) -> DeletableIds:
    return DeletableIds([id_ for id_, goes in found if goes], found[-1][0] if len(found) == PAGE else None)


def remove_runs(ids: Sequence[str], has_time: HasTime) -> Removed:
    """Delete these runs with all their rows in one transaction, as time allows. Unfinished runs are kept.

    A run may have more rows than fit into a transaction. Its own row is deleted first, so that no one reads half a run,
    and a fact lists the runs with remaining rows; those are deleted before anything else, after a crash too.
    """
    taken, gone = 0, []
    with write():
        lock_names("retention", ("",))  # only one process may write the fact
        fact = ServerFact.find(REMOVING)
        left: Sequence[str] = [] if fact is None else orjson.loads(fact.value)
        noted = left
        while (left or taken < len(ids)) and has_time():
            if not left:
                group = ids[taken : taken + RUNS_AT_ONCE]
                taken += len(group)
                lock_runs(group)
                left = [id_ for (id_,) in execute(REMOVED, (encode_list(group),)).fetchall()]
                gone += left
            if _clear(left, has_time):
                left = []
        if left != noted:
            execute("DELETE FROM server_facts WHERE name = ?", (REMOVING,))
            if left:
                execute("INSERT INTO server_facts (name, value) VALUES (?, ?)", (REMOVING, encode_list(left)))
    return Removed(taken, gone, bool(left))


def remove_rows(table: str, ids: Sequence[str], has_time: HasTime) -> int:
    """Delete these rows of a table of AGEING in one transaction, as time allows. Return the number handled."""
    taken = 0
    with write():
        while taken < len(ids) and has_time():
            group = ids[taken : taken + ROWS_AT_ONCE]
            execute(f"DELETE FROM {table} WHERE id {IN_LIST}", (encode_list(group),))
            taken += len(group)
    return taken


def remove_expired_memories(now: int, has_time: HasTime) -> bool:
    """Delete expired memories of agents in one transaction while there is time. Return True if none is left.

    One that is being written at this moment is left, since it may not expire any more.
    """
    with write():
        while has_time():
            if delete_memories(f"{EXPIRED} LIMIT ? {UNLOCKED_ONLY}", (now, MEMORIES_AT_ONCE)) < MEMORIES_AT_ONCE:
                return True
    return False


def delete_memories(numbers: str, params: tuple[Any, ...]) -> int:
    """Delete the memories with the numbers of this SELECT. Return their count."""
    # So PostgreSQL executes the SELECT once. In the IN, one with locks may be executed again for each row, and then it
    # passes over the rows that it has locked, to others beyond its LIMIT.
    sql = f"DELETE FROM agent_memories WHERE number IN (WITH chosen AS ({numbers}) SELECT number FROM chosen)"
    return int(execute(sql, params).rowcount)


def clear(ids: Sequence[str]) -> None:
    """Delete all rows of these runs, whose own rows were deleted. Call inside a transaction."""
    for sql in ROWS_OF_RUNS:
        execute(sql, (encode_list(ids), ALL_ROWS))


def find_ranges(below: str, kept_days: int, crowded: Sequence[str] = ()) -> list[tuple[str, str]]:
    """Return the parts of the ids before `below` whose runs are deleted one by one, each as two bounds for `runs_over`.

    On PostgreSQL, partitions that cover little of the days for which runs are kept are removed as a whole, unless they
    are `crowded`. With 0 days, none is left out.
    """
    if not is_postgres():
        return [("", below)]
    most = partitions.days_each(kept_days) if kept_days else 0
    found = []
    for one in partitions.find_all():
        if (one.days > most or one.name in crowded) and (one.lower or "") < below:
            # An id may equal the bound. The bound without its last zero sorts before it, and after all smaller ids.
            found.append(((one.lower or "")[:-1], below if one.upper is None else min(one.upper, below)))
    return found


def remove_partition(below: str, ended_before: int, now: int) -> tuple[str, partitions.Result, int] | None:
    """Remove the oldest partition if all its ids are before `below`. Return its name, the result and its runs, or None.

    Runs that may not be deleted stay. Rows of the others in other tables are left to `clear_removed`.
    """
    found = partitions.find_all() if is_postgres() else []
    if len(found) < 3 or (oldest := found[1]).upper is None or oldest.upper > below:
        return None
    most = partitions.MAX_KEPT_RUNS + 1
    kept = [id_ for (id_,) in execute(STAYING.format(oldest.name), (ended_before, now - DAY_MS, most)).fetchall()]
    count = partitions.count_runs(oldest) - len(kept)
    result = partitions.drop(oldest, kept)
    return oldest.name, result, count if result is partitions.Result.DROPPED else 0


def clear_removed(bounds: tuple[str, str], has_time: HasTime) -> bool:
    """Delete rows of the runs of a removed partition, in one transaction, as time allows. Return True if none is left.

    Rows of a run that exists stay. If none is left, call `partitions.forget_removed`.
    """
    with write():
        for sql in ROWS_WITHOUT_RUN:
            while execute(sql, (*bounds, ROWS_AT_ONCE)).rowcount == ROWS_AT_ONCE:
                if not has_time():
                    return False
    return True


def missing(ids: Sequence[str]) -> list[str]:
    """Return the ids that have no run."""
    sql = "SELECT value FROM json_each(?) WHERE NOT EXISTS (SELECT 1 FROM runs WHERE id = value)"
    return [id_ for (id_,) in execute(sql, (encode_list(ids),)).fetchall()]


def _clear(ids: Sequence[str], has_time: HasTime) -> bool:
    """Delete the rows of these runs while there is time. Return True if none is left."""
    for sql in ROWS_OF_RUNS:
        while execute(sql, (encode_list(ids), ROWS_AT_ONCE)).rowcount == ROWS_AT_ONCE:
            if not has_time():
                return False
    return True
