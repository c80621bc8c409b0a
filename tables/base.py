"""What all tables share: ids, times, pages and the `Write` value that the recorder commits."""

from __future__ import annotations

import threading
import time
from functools import cache
from typing import Any, ClassVar, NamedTuple, Self

from peewee import BooleanField, Model, ModelSelect
from ulid import ULID

from database import db, execute, write

DAY_MS = 86_400_000


class Write(NamedTuple):
    """One statement for the recorder."""

    sql: str
    params: tuple[Any, ...]

    def provided(self, condition: str, params: tuple[Any, ...]) -> Write:
        """This insertion, to be done only if the condition holds then."""
        head, _, marks = self.sql.partition(" VALUES ")
        return Write(f"{head} SELECT {marks[1:-1]} WHERE {condition}", (*self.params, *params))


def now_ms() -> int:
    """Milliseconds since 1970, UTC."""
    return time.time_ns() // 1_000_000


_last_ulid = 0
_ulid_lock = threading.Lock()


def new_id(prefix: str) -> str:
    """`prefix_` and a ULID that is larger than every earlier one of this process, even within a millisecond."""
    global _last_ulid
    with _ulid_lock:
        _last_ulid = max(int(ULID()), _last_ulid + 1)
        return f"{prefix}_{ULID.from_int(_last_ulid)}"


def made_at(id_: str) -> int:
    """When an id was made, in milliseconds."""
    return int(ULID.from_str(id_.partition("_")[2])) >> 80


def first_id(prefix: str, at_ms: int) -> str:
    """The smallest id that could have been made at this time."""
    return f"{prefix}_{ULID.from_int(max(0, min(at_ms, 2**48 - 1)) << 80)}"


@cache
def _reading(model: type[Model]) -> tuple[str, list[str], list[str]]:
    """The SELECT of all columns, their names, and which of them are booleans."""
    columns = model._meta.sorted_fields
    names = ", ".join(f'"{column.column_name}"' for column in columns)
    flags = [column.name for column in columns if isinstance(column, BooleanField)]
    return f'SELECT {names} FROM "{model._meta.table_name}"', [column.name for column in columns], flags


class Base(Model):
    """A table with its own text id. `prefix` is what its ids begin with."""

    prefix: ClassVar[str] = ""

    class Meta:
        database = db
        legacy_table_names = False

    @classmethod
    def find(cls, id_: Any) -> Self | None:
        """The row of this id, or None."""
        key: Any = cls._meta.primary_key
        return cls.one(f"{key.column_name} = ?", id_)

    @classmethod
    def one(cls, where: str, *params: Any) -> Self | None:
        """The row for which this SQL holds, or None.

        For what every request asks: the statement is written once a table, since Peewee takes ten times as long to
        write one as SQLite to answer it.
        """
        select, names, flags = _reading(cls)
        found = execute(f"{select} WHERE {where} LIMIT 1", params).fetchone()
        if found is None:
            return None
        values = dict(zip(names, found, strict=True))
        for name in flags:
            values[name] = bool(values[name])
        return cls(__no_default__=True, **values)

    @classmethod
    def add(cls, **values: Any) -> Self:
        """Insert a row with a new id and the present time, unless given."""
        if cls.prefix:
            values.setdefault("id", new_id(cls.prefix))
        if "created_at" in cls._meta.fields:
            values.setdefault("created_at", now_ms())
        with write():
            row: Self = cls.create(**values)
        return row

    def remove(self) -> None:
        """Delete the row."""
        with write():
            self.delete_instance()

    @classmethod
    def page(cls, query: ModelSelect, limit: int, before: str | None) -> tuple[list[Self], str | None]:
        """The newest `limit` rows of the query older than the id `before`, and the id to go on from (None: the end)."""
        if before is not None:
            query = query.where(cls.id < before)
        rows = list(query.order_by(cls.id.desc()).limit(limit + 1))
        return rows[:limit], rows[limit - 1].id if len(rows) > limit else None


def insert(table: str, row: dict[str, Any]) -> Write:
    """The write that inserts this row."""
    return Write(f"INSERT INTO {table} ({', '.join(row)}) VALUES ({', '.join('?' * len(row))})", tuple(row.values()))
