"""Large values of runs in rows of PostgreSQL, so that machines need no shared folder. See dispatch/payloads.py.

A value is stored in parts of PART_BYTES, so that its beginning can be read alone. Each claim of a run writes its own
rows; those of the latest claim are valid. A row may refer to an object of an S3 store (packs/s3/value_store.py).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Set
from typing import Any, NamedTuple

from database import execute, fetch_value, write_values
from database.base import IN_LIST, encode_list, made_at

PART_BYTES = 1 << 20
IDS_AT_ONCE = 500
# Finds the rows of the run `?1` with the name `?2`.
LATEST = "run_id = ?1 AND name = ?2 AND claims = (SELECT MAX(claims) FROM payloads WHERE run_id = ?1 AND name = ?2)"
COPY = (
    "INSERT INTO payloads (run_id, name, claims, part, data, object) "
    "SELECT CAST(?2 AS TEXT), name, 1, part, data, object "
    f"FROM payloads AS p WHERE run_id = ?1 AND name {IN_LIST.replace('?', '?3')} "
    "AND claims = (SELECT MAX(claims) FROM payloads WHERE run_id = ?1 AND name = p.name) "
    "AND NOT EXISTS (SELECT 1 FROM payloads WHERE run_id = ?2 AND name = p.name)"
)
# Objects of the runs `?2` to which no value refers: all objects of the run `?1`, and those with the names `?3`.
UNUSED = (
    f"SELECT run_id, digest FROM value_objects AS o WHERE run_id {IN_LIST.replace('?', '?2')} "
    f"AND (run_id = ?1 OR run_id || '/' || digest {IN_LIST.replace('?', '?3')}) "
    "AND NOT EXISTS (SELECT 1 FROM payloads AS p WHERE p.object = o.run_id || '/' || o.digest)"
)
RUN_IDS = (
    "SELECT run_id FROM (SELECT DISTINCT run_id FROM payloads WHERE run_id > ?1 ORDER BY run_id LIMIT ?2) AS found "
    "UNION SELECT run_id FROM "
    "(SELECT DISTINCT run_id FROM value_objects WHERE run_id > ?1 ORDER BY run_id LIMIT ?2) AS noted "
    "ORDER BY run_id LIMIT ?2"
)


class Object(NamedTuple):
    """An object of the store: the run that has written it, and the digest of its content."""

    run_id: str
    digest: str

    @property
    def name(self) -> str:
        """Return its name in `payloads`."""
        return f"{self.run_id}/{self.digest}"


def put(run_id: str, name: str, claims: int, value: bytes) -> None:
    """Write a value of this claim, in place of an earlier one of the same name."""
    this: tuple[Any, ...] = (run_id, name, claims)
    with write_values():
        execute("DELETE FROM payloads WHERE run_id = ? AND name = ? AND claims = ?", this)
        for part, start in enumerate(range(0, len(value), PART_BYTES)):
            sql = "INSERT INTO payloads (run_id, name, claims, part, data) VALUES (?, ?, ?, ?, ?)"
            execute(sql, (*this, part, value[start : start + PART_BYTES]))


def put_object(run_id: str, name: str, claims: int, digest: str) -> None:
    """Record that a value of this claim is the object with this digest. It replaces an earlier value."""
    this = (run_id, name, claims)
    with write_values():
        note_object(run_id, digest)
        execute("DELETE FROM payloads WHERE run_id = ? AND name = ? AND claims = ?", this)
        sql = "INSERT INTO payloads (run_id, name, claims, part, data, object) VALUES (?, ?, ?, 0, ?, ?)"
        execute(sql, (*this, b"", Object(run_id, digest).name))


def note_object(run_id: str, digest: str) -> None:
    """Record that the store may have this object of the run from now on."""
    with write_values():
        execute("INSERT INTO value_objects (run_id, digest) VALUES (?, ?) ON CONFLICT DO NOTHING", (run_id, digest))


def load(run_id: str, name: str) -> bytes | str | None:
    """Return the value that the latest claim wrote, or the name of its object as text; None without one."""
    parts = execute(f"SELECT data, object FROM payloads WHERE {LATEST} ORDER BY part", (run_id, name)).fetchall()
    if parts and parts[0][1] is not None:
        return str(parts[0][1])
    return b"".join(bytes(data) for data, _ in parts) if parts else None


def beginning(run_id: str, name: str, most: int) -> bytes | str | None:
    """Return the first `most` bytes of the value, or the name of its object as text; None without one."""
    sql = f"SELECT substring(data FROM 1 FOR CAST(?3 AS INT)), object FROM payloads WHERE {LATEST} AND part = 0"
    found = execute(sql, (run_id, name, min(most, PART_BYTES))).fetchone()
    if found is None:
        return None
    return bytes(found[0]) if found[1] is None else str(found[1])


def copy(run_id: str, with_id: str, names: Iterable[str]) -> None:
    """Copy these values to another run. It keeps its own values with the same names."""
    with write_values():
        execute(COPY, (run_id, with_id, encode_list(names)))


def remove(run_id: str) -> list[Object]:
    """Delete the values of a run. Return the objects to which no value refers any more."""
    with write_values():
        gone = execute("DELETE FROM payloads WHERE run_id = ? RETURNING object", (run_id,)).fetchall()
    # After the commit: if two runs refer to an object, the one that is deleted last finds it unused.
    return find_unused(run_id, {name for (name,) in gone if name is not None})


def forget_objects(objects: Iterable[Object]) -> None:
    """Record that the store does not have these objects any more."""
    with write_values():
        for run_id, digest in objects:
            execute("DELETE FROM value_objects WHERE run_id = ? AND digest = ?", (run_id, digest))


def run_ids() -> Iterator[str]:
    """Yield the ids of runs with values or objects, in the order of their age."""
    last = ""
    while True:
        found = [id_ for (id_,) in execute(RUN_IDS, (last, IDS_AT_ONCE)).fetchall()]
        yield from found
        if len(found) < IDS_AT_ONCE:
            return
        last = found[-1]


def changed_at(run_id: str, with_objects: bool = False) -> int | None:
    """Return when the run was accepted, in milliseconds; None if it has neither values nor unused objects."""
    has_any = fetch_value("SELECT 1 FROM payloads WHERE run_id = ? LIMIT 1", (run_id,)) is not None
    return made_at(run_id) if has_any or (with_objects and find_unused(run_id)) else None


def find_unused(run_id: str, names: Set[str] = frozenset()) -> list[Object]:
    """Return the unused objects of a run, and the unused objects with these names."""
    runs = {run_id, *(name.partition("/")[0] for name in names)}
    return [Object(*row) for row in execute(UNUSED, (run_id, encode_list(runs), encode_list(names))).fetchall()]
