"""Leases: of living processes, and of exclusive rights such as leading the scheduler."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Set
from pathlib import Path
from typing import NamedTuple

import orjson

from database import LeaseClock, execute, fetch_value, is_postgres, lease_clock, write_leases
from database.base import DAY_MS, encode_list, now_ms
from database.shared import boot_id


def this_process() -> str | None:
    """Return the identity of this process: pid namespace, pid and start time; None if unknown.

    With PostgreSQL, the namespace begins with the boot id, because its leases are of several machines.
    """
    return _process("self", os.getpid())


def _process(folder: str, pid: int) -> str | None:
    try:
        space = str(Path("/proc/self/ns/pid").readlink())
        fields = Path(f"/proc/{folder}/stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()
    except OSError:
        return None
    if is_postgres():
        if not boot_id():
            return None
        space = f"{boot_id()}:{space}"
    state, started = fields[0], fields[19]
    return f"{space} {pid} {started}" if state not in "ZX" else None


def is_there(process: str) -> bool | None:
    """Return True if this same process exists; None if its id belongs to another pid namespace or machine."""
    space, pid, _ = process.split()
    own = this_process()
    return _process(pid, int(pid)) == process if own is not None and own.split()[0] == space else None


class Load(NamedTuple):
    """The load of a process, or the sum of several: active runs, threads for runs, and those of its queues.

    `queued` is the number of runs that wait for a thread, `unsent` of offers that wait for the message broker, and
    `is_broker_down` of processes without a connection to the broker. `deaf_ms` is the longest time in which the broker
    brought no run although runs were pending.
    """

    active: int = 0
    threads: int = 0
    queued: int = 0
    unsent: int = 0
    is_broker_down: int = 0
    deaf_ms: int = 0


DESCRIBE = f"UPDATE leases SET role = ?, {', '.join(f'{name} = ?' for name in Load._fields)} WHERE name = ?"
SUMS = ", ".join(f"COALESCE({'MAX' if name == 'deaf_ms' else 'SUM'}({name}), 0)" for name in Load._fields)


def beat(name: str, for_ms: int, node_types: Iterable[str] = ()) -> None:
    """Renew the lease of a process, which has these node types, for this time."""
    clock = lease_clock()
    sql = (
        f"INSERT INTO leases (name, until, owner, process, node_types) VALUES (?, {clock.sql}, ?, ?, ?) "
        "ON CONFLICT (name) DO UPDATE SET until = excluded.until, node_types = excluded.node_types"
    )
    types = encode_list(sorted(node_types))
    with write_leases():
        execute(sql, (name, clock.now() + for_ms, clock.identity(), this_process(), types))


def has_node_types(types: Set[str]) -> bool:
    """Return True if a living process has all of these node types."""
    clock = lease_clock()
    sql = f"SELECT node_types FROM leases WHERE owner = ? AND until > {clock.sql} AND node_types IS NOT NULL"
    found = execute(sql, (clock.identity(), clock.now())).fetchall()
    return any(types <= set(orjson.loads(text)) for (text,) in found)


def describe(name: str, role: str, load: Load) -> None:
    """Write the role and the load of a process. Call inside a transaction."""
    execute(DESCRIBE, (role, *load, name))


def count_by_role() -> list[tuple[str, int, Load]]:
    """Return role, number and load of the living processes."""
    clock = lease_clock()
    sql = (
        f"SELECT COALESCE(role, 'all'), COUNT(*), {SUMS} FROM leases "
        f"WHERE name LIKE 'proc%' AND owner = ? AND until > {clock.sql} GROUP BY COALESCE(role, 'all')"
    )
    found = execute(sql, (clock.identity(), clock.now())).fetchall()
    return [(role, processes, Load(*load)) for role, processes, *load in found]


def delete_gone() -> None:
    """Delete the leases of processes that no longer exist."""
    sql = "SELECT name, process FROM leases WHERE owner = ? AND process IS NOT NULL"
    found = execute(sql, (lease_clock().identity(),)).fetchall()
    gone = [name for name, process in found if is_there(process) is False]
    for name in gone:
        end(name)


def find_living() -> list[str]:
    """Return the processes that exist, even if silent; in other pid namespaces, processes with a valid lease."""
    clock = lease_clock()
    sql = f"SELECT name, until > {clock.sql}, process FROM leases WHERE name LIKE 'proc%' AND owner = ?"
    found = []
    for name, is_valid, process in execute(sql, (clock.now(), clock.identity())).fetchall():
        exists = None if process is None else is_there(process)
        if is_valid if exists is None else exists:
            found.append(name if process is None else f"process {process.split()[1]}")
    return found


def end(name: str) -> None:
    """End the lease of a process."""
    drop(name, lease_clock().identity())


def lead(name: str, owner: str, for_ms: int, wall: Callable[[], int] = now_ms) -> bool:
    """Take or renew the right for this time. Return False if another owner holds it.

    PostgreSQL reads its own clock, unless `wall` is another function than `now_ms`. The clock is read after the
    row: with an older time, a lease that was just renewed would seem too long.
    """
    clock = lease_clock() if is_postgres() and wall is now_ms else LeaseClock(str, "?", wall)
    # A waiting process only reads and does not disturb writers. A lease longer than `for_ms` was written while the
    # clock was ahead, and does not count.
    row = execute("SELECT owner, until FROM leases WHERE name = ?", (name,)).fetchone()
    if row is not None and row[0] != owner:
        now = clock.now() if clock.sql == "?" else fetch_value(f"SELECT {clock.sql}", (0,))
        if now < row[1] <= now + for_ms:
            return False
    # Each time is computed when it is needed: PostgreSQL may wait for another process between two of them.
    sql = (
        f"INSERT INTO leases (name, until, owner) VALUES (?, {clock.sql}, ?) ON CONFLICT (name) DO UPDATE SET "
        f"until = {clock.sql}, owner = excluded.owner "
        f"WHERE leases.owner = excluded.owner OR leases.until <= {clock.sql} OR leases.until > {clock.sql}"
    )
    with write_leases():
        now = clock.now()
        end = now + for_ms
        return bool(execute(sql, (name, end, owner, end, now, end)).rowcount)


def drop(name: str, owner: str) -> None:
    """Give up the right, if `owner` still holds it."""
    with write_leases():
        execute("DELETE FROM leases WHERE name = ? AND owner = ?", (name, owner))


def prune() -> None:
    """Delete leases that ended a day ago or before the last boot."""
    clock = lease_clock()
    old = f"name LIKE 'proc%' AND (owner IS NULL OR owner <> ? OR until < {clock.sql})"
    with write_leases():
        execute(f"DELETE FROM leases WHERE {old}", (clock.identity(), clock.now() - DAY_MS))
