"""Partitions of `runs` and `steps` on PostgreSQL: one table for the runs of some days, with ids between two bounds.

Both tables have partitions with the same bounds. The first partition has no lower bound, and the last no upper one, so
every id has a partition. In order:

- `runs_old`: runs from before the tables were partitioned, and the few runs that outlived their partitions
- `runs_20261130` and others, named after their first day: `cut` adds them, `drop` removes the oldest
- the last one, which should stay empty: `cut` is called before its first day

`cut` and `drop` lock both tables exclusively, for an instant. They wait no longer than LOCK_MS for the lock, because
all other transactions queue behind them; a later call tries again. Each is one transaction, which first checks that no
other process has done the same.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from enum import Enum
from typing import Any, NamedTuple, TypeAlias

import orjson

from database import SET_FACT, LockTimeout, execute, fetch_value, write_leases
from database.base import DAY_MS, IN_LIST, encode_list, first_id, made_at
from database.queries.locks import RUN_ID
from models import ServerFact

TABLES = {"runs": "id", "steps": "run_id"}
LOCK_MS = 200
AHEAD_DAYS = 3  # `cut` is called so early, because it may fail for a long time while the tables are in use
SHARE = 5  # number of partitions for the time that runs are kept: each slows queries without an id
MAX_DAYS = 92  # of a partition
MAX_CUTS = 4
MAX_KEPT_RUNS, MAX_KEPT_STEPS = 1_000, 20_000  # to move to `runs_old` while other transactions wait
REMOVED = "partitions removed"  # the name of the fact: a list of pairs of bounds
FOUND = (
    "SELECT c.relname, pg_get_expr(c.relpartbound, c.oid) FROM pg_inherits AS i "
    "JOIN pg_class AS c ON c.oid = i.inhrelid WHERE i.inhparent = CAST('runs' AS regclass)"
)
BOUNDS = re.compile(r"FROM \((?:MINVALUE|'(\w+)')\) TO \((?:MAXVALUE|'(\w+)')\)")
UNFINISHED = "(status = 'pending' OR status = 'running') AND recorded = 0"
LOCK_TABLES = "LOCK TABLE ONLY runs, ONLY steps IN ACCESS EXCLUSIVE MODE"
Ask: TypeAlias = Callable[[str], Any]  # executes a statement and returns its cursor


class Partition(NamedTuple):
    """A partition of `runs`: its name without that of the table, its smallest id, and the first id after it.

    The first partition has no lower bound, the last one no upper.
    """

    name: str
    lower: str | None
    upper: str | None

    @property
    def days(self) -> float:
        """Return the number of days that it covers."""
        if self.lower is None or self.upper is None:
            return float("inf")
        return (made_at(self.upper) - made_at(self.lower)) / DAY_MS


class Result(Enum):
    """The result of `drop`. A crowded partition has too many runs that must stay."""

    DROPPED, BUSY, CROWDED = range(3)


def days_each(kept_days: int) -> int:
    """Return the number of days of one partition if runs are kept for `kept_days`, 0 for unlimited."""
    return max(1, min(MAX_DAYS, kept_days // SHARE)) if kept_days else MAX_DAYS


def find_all(ask: Ask = execute) -> list[Partition]:
    """Return the partitions, oldest first."""
    found = []
    for name, text in ask(FOUND).fetchall():
        bounds = BOUNDS.search(text)
        if bounds is not None:
            found.append(Partition(name.removeprefix("runs_"), *bounds.groups()))
    return sorted(found, key=lambda partition: partition.lower or "")


def cut_ahead(now: int, kept_days: int) -> int:
    """Add partitions until the last one begins after AHEAD_DAYS. Return their number.

    Raises: LockTimeout if others use the tables for longer than LOCK_MS; a later call goes on.
    """
    cuts = 0
    while cuts < MAX_CUTS and (last := find_all()[-1]).lower is not None:
        begins = made_at(last.lower)
        if begins >= now + AHEAD_DAYS * DAY_MS:
            break
        with write_leases():
            _lock(last)
            newest = [fetch_value(f"SELECT MAX({key}) FROM {table}_{last.name}") for table, key in TABLES.items()]
            # After the newest row of the last partition: it has rows if this was late.
            rows_end = max((made_at(id_) // DAY_MS + 1) * DAY_MS for id_ in (*newest, last.lower) if id_ is not None)
            end = max(now // DAY_MS * DAY_MS, begins + days_each(kept_days) * DAY_MS)
            _cut(last, max(end, rows_end))
        cuts += 1
    return cuts


def _cut(last: Partition, at: int) -> None:
    """End the last partition at this time, and add one after it."""
    name, cut = name_at(at), first_id("run", at)
    for table in TABLES:
        part = f"{table}_{last.name}"
        execute(f"ALTER TABLE {table} DETACH PARTITION {part}")
        _create(execute, table, name, f"'{cut}'", "MAXVALUE")
        execute(f"ALTER TABLE {table} ATTACH PARTITION {part} FOR VALUES FROM ('{last.lower}') TO ('{cut}')")


def _create(ask: Ask, table: str, name: str, lower: str, upper: str) -> None:
    # For the fill factor and the statistics see `_partition` in database/migrations/0037_baseline.py.
    storage = " WITH (fillfactor = 70)" if table == "runs" else ""
    ask(f"CREATE TABLE {table}_{name} PARTITION OF {table} FOR VALUES FROM ({lower}) TO ({upper}){storage}")
    if table == "runs":
        ask(f"CREATE STATISTICS runs_{name}_kinds (mcv) ON workspace_id, status, triggered_by FROM runs_{name}")


def name_at(at_ms: int) -> str:
    """Return the name of the partition that begins at this time."""
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y%m%d")


def split_old(oldest: str, ask: Ask) -> None:
    """Add partitions to two empty tables, for rows that follow: from the day of the oldest id to the first partition.

    `ask` executes a statement in the transaction of these rows.
    """
    first = find_all(ask)[0]
    if first.upper is None or not RUN_ID.match(oldest) or oldest >= first.upper:
        return
    end, begin = made_at(first.upper), made_at(oldest) // DAY_MS * DAY_MS
    days = -(-(end - begin) // DAY_MS // (2 * SHARE)) or 1
    cuts = [*range(begin, end, days * DAY_MS), end]
    for table in TABLES:
        ask(f"ALTER TABLE {table} DETACH PARTITION {table}_{first.name}")
        until = first_id("run", begin)
        ask(f"ALTER TABLE {table} ATTACH PARTITION {table}_{first.name} FOR VALUES FROM (MINVALUE) TO ('{until}')")
        for at, after in zip(cuts, cuts[1:], strict=False):
            _create(ask, table, name_at(at), f"'{first_id('run', at)}'", f"'{first_id('run', after)}'")


def count_runs(partition: Partition) -> int:
    """Return the number of its runs."""
    return int(fetch_value(f"SELECT COUNT(*) FROM runs_{partition.name}"))


def drop(partition: Partition, kept: Sequence[str]) -> Result:
    """Remove the oldest partition except `runs_old`. Move the runs `kept`, with their steps, to `runs_old`.

    `kept` are the runs that may not be deleted. It may be older than the transaction, because a deletable run stays
    deletable. Rows of the deleted runs in other tables remain until `retention.clear_removed`; the fact REMOVED has
    the bounds of their ids.
    """
    steps = f"SELECT COUNT(*) FROM steps_{partition.name} WHERE run_id {IN_LIST}"
    if len(kept) > MAX_KEPT_RUNS or fetch_value(steps, (encode_list(kept),)) > MAX_KEPT_STEPS:
        return Result.CROWDED
    try:
        _let_old_grow(partition)
        with write_leases():
            _lock(partition)
            old, oldest = find_all()[:2]
            left = f"SELECT 1 FROM runs_{partition.name} WHERE {UNFINISHED} AND NOT id {IN_LIST} LIMIT 1"
            if oldest != partition or fetch_value(left, (encode_list(kept),)) is not None:
                return Result.BUSY
            for table, key in TABLES.items():
                _merge(table, key, old, partition, kept)
            removed = [*find_removed(), (partition.lower, partition.upper)]
            execute(SET_FACT, (REMOVED, orjson.dumps(removed).decode()))
    except LockTimeout:
        return Result.BUSY
    return Result.DROPPED


def _let_old_grow(partition: Partition) -> None:
    """Validate the next upper bound of `runs_old` now, while other transactions can write."""
    name = find_all()[0].name
    for table, key in TABLES.items():
        old = f"{table}_{name}"
        for changes in (
            (
                f"DROP CONSTRAINT IF EXISTS {old}_bound",
                f"ADD CONSTRAINT {old}_bound CHECK ({key} < '{partition.upper}') NOT VALID",
            ),
            (f"VALIDATE CONSTRAINT {old}_bound",),
        ):
            with write_leases():
                execute(f"SET LOCAL lock_timeout = {LOCK_MS}")
                for change in changes:
                    execute(f"ALTER TABLE {old} {change}")


def _merge(table: str, key: str, old: Partition, partition: Partition, kept: Sequence[str]) -> None:
    gone, stays = f"{table}_{partition.name}", f"{table}_{old.name}"
    for part in (stays, gone):
        execute(f"ALTER TABLE {table} DETACH PARTITION {part}")
    execute(f"INSERT INTO {stays} SELECT * FROM {gone} WHERE {key} {IN_LIST}", (encode_list(kept),))
    execute(f"DROP TABLE {gone}")
    execute(f"ALTER TABLE {table} ATTACH PARTITION {stays} FOR VALUES FROM (MINVALUE) TO ('{partition.upper}')")


def find_removed() -> list[tuple[str, str]]:
    """Return the bounds of removed partitions whose runs have rows in other tables."""
    fact = ServerFact.find(REMOVED)
    return [] if fact is None else [(lower, upper) for lower, upper in orjson.loads(fact.value)]


def forget_removed(bounds: tuple[str, str]) -> None:
    """Note that the runs between these bounds have no rows left."""
    with write_leases():
        execute("SELECT value FROM server_facts WHERE name = ? /* FOR NO KEY UPDATE */", (REMOVED,))
        left = [one for one in find_removed() if one != bounds]
        if left:
            execute(SET_FACT, (REMOVED, orjson.dumps(left).decode()))
        else:
            execute("DELETE FROM server_facts WHERE name = ?", (REMOVED,))


def _lock(partition: Partition) -> None:
    """Lock both tables. Raises: LockTimeout also if another process has changed the partition meanwhile."""
    execute(f"SET LOCAL lock_timeout = {LOCK_MS}")
    execute(LOCK_TABLES)
    if partition not in find_all():
        raise LockTimeout
