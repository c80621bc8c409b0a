"""Large values of runs in rows: on PostgreSQL, whose machines need share no folder then. See dispatch/payload_rows.py.

A value is in parts of PART_BYTES, so that its beginning can be read alone. The second claim of a run writes rows of its
own; the latest claim's count.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from database import execute, fetch_value, write_values

from .base import IN_LIST, encode_list, made_at

PART_BYTES = 1 << 20
IDS_AT_ONCE = 500
# Finds the rows of the run `?1` with the name `?2`.
LATEST = "run_id = ?1 AND name = ?2 AND claims = (SELECT MAX(claims) FROM payloads WHERE run_id = ?1 AND name = ?2)"
COPY = (
    "INSERT INTO payloads (run_id, name, claims, part, data) SELECT CAST(?2 AS TEXT), name, 1, part, data "
    f"FROM payloads AS p WHERE run_id = ?1 AND name {IN_LIST.replace('?', '?3')} "
    "AND claims = (SELECT MAX(claims) FROM payloads WHERE run_id = ?1 AND name = p.name) "
    "AND NOT EXISTS (SELECT 1 FROM payloads WHERE run_id = ?2 AND name = p.name)"
)


def put(run_id: str, name: str, claims: int, value: bytes) -> None:
    """Write a value of this claim, in place of an earlier one of the same name."""
    this: tuple[Any, ...] = (run_id, name, claims)
    with write_values():
        execute("DELETE FROM payloads WHERE run_id = ? AND name = ? AND claims = ?", this)
        for part, start in enumerate(range(0, len(value), PART_BYTES)):
            sql = "INSERT INTO payloads (run_id, name, claims, part, data) VALUES (?, ?, ?, ?, ?)"
            execute(sql, (*this, part, value[start : start + PART_BYTES]))


def load(run_id: str, name: str) -> bytes | None:
    """Return the value that the latest claim wrote, or None."""
    parts = execute(f"SELECT data FROM payloads WHERE {LATEST} ORDER BY part", (run_id, name)).fetchall()
    return b"".join(bytes(data) for (data,) in parts) if parts else None


def beginning(run_id: str, name: str, most: int) -> bytes | None:
    """Return the first `most` bytes of the value, or None without one."""
    sql = f"SELECT substring(data FROM 1 FOR CAST(?3 AS INT)) FROM payloads WHERE {LATEST} AND part = 0"
    found = fetch_value(sql, (run_id, name, min(most, PART_BYTES)))
    return None if found is None else bytes(found)


def copy(run_id: str, with_id: str, names: Iterable[str]) -> None:
    """Copy these values to another run. It keeps its own values with the same names."""
    with write_values():
        execute(COPY, (run_id, with_id, encode_list(names)))


def remove(run_id: str) -> None:
    """Delete the values of a run."""
    with write_values():
        execute("DELETE FROM payloads WHERE run_id = ?", (run_id,))


def run_ids() -> Iterator[str]:
    """Yield the ids of runs with values, in the order of their age."""
    last = ""
    while True:
        sql = "SELECT DISTINCT run_id FROM payloads WHERE run_id > ? ORDER BY run_id LIMIT ?"
        found = [id_ for (id_,) in execute(sql, (last, IDS_AT_ONCE)).fetchall()]
        yield from found
        if len(found) < IDS_AT_ONCE:
            return
        last = found[-1]


def changed_at(run_id: str) -> int | None:
    """Return when the run was made, in milliseconds; None if it has no values."""
    has_any = fetch_value("SELECT 1 FROM payloads WHERE run_id = ? LIMIT 1", (run_id,))
    return None if has_any is None else made_at(run_id)
