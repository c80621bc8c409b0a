"""What all tables share: ids, times, pages and the `Write` value that the recorder commits."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any, ClassVar, Generic, NamedTuple, Self, TypeVar

from peewee import BooleanField, Model, ModelSelect
from ulid import ULID

from database import db, execute, write

DAY_MS = 86_400_000

Row = TypeVar("Row", bound="Base")


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


def monotonic_ms() -> int:
    """Milliseconds of a clock that nobody sets, the same for all processes of the machine."""
    return time.monotonic_ns() // 1_000_000


@cache
def boot_id() -> str:
    """What tells this start of the machine from others, since `monotonic_ms` begins anew with each. Empty: unknown."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return ""


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
        """The row for which this SQL holds, or None."""
        rows = list(cls.each(f"{where} LIMIT 1", params))
        return rows[0] if rows else None

    @classmethod
    def each(cls, where: str, params: tuple[Any, ...]) -> Iterator[Self]:
        """The rows for which this SQL holds, one by one; an order and a limit may follow in it.

        For what every request asks: the statement is written once a table, since Peewee takes ten times as long to
        write one as SQLite to answer it.
        """
        return cls._made(execute(f"{_reading(cls)[0]} WHERE {where}", params))

    @classmethod
    def _made(cls, found: Iterable[tuple[Any, ...]]) -> Iterator[Self]:
        """Rows with all columns as objects, whose data is set at once: column by column it takes five times as long."""
        _, names, flags = _reading(cls)
        for values in found:
            row = cls(__no_default__=True)
            row.__data__ = data = dict(zip(names, values, strict=True))
            for name in flags:
                data[name] = bool(data[name])
            yield row

    @classmethod
    def fresh(cls, values: dict[str, Any]) -> Self:
        """A row that is not written yet, of these values of all its columns."""
        row: Self = cls(__no_default__=True)
        row.__data__ = values
        return row

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

    def remove(self) -> bool:
        """Delete the row; whether it was still there."""
        with write():
            return bool(self.delete_instance())

    @classmethod
    def page(cls, query: Rows[Self] | ModelSelect, limit: int, before: str | None) -> tuple[list[Self], str | None]:
        """The newest `limit` rows of the query older than the id `before`, and the id to go on from (None: the end)."""
        if isinstance(query, Rows):
            rows = list(query.newest(limit + 1, before))
        else:
            older = query if before is None else query.where(cls.id < before)
            sql, params = older.order_by(cls.id.desc()).limit(limit + 1).sql()
            rows = list(cls._made(execute(sql, tuple(params))))
        return rows[:limit], rows[limit - 1].id if len(rows) > limit else None


class Rows(Generic[Row]):
    """Rows of a table for which this SQL holds, newest first; `until`: with an id below this one.

    `arms` are conditions of which each row has exactly one. Each becomes a SELECT of its own, and SQLite merges them by
    id: for an index that has a column before the id which may be anything. Otherwise all rows would be sorted, or the
    table searched, however few are wanted. They stand in the text, so they must never hold what a caller has given.
    """

    def __init__(
        self, model: type[Row], where: str, params: Iterable[Any], arms: Sequence[str] = (), until: str | None = None
    ) -> None:
        self.model, self.params, self.until = model, tuple(params), until
        self.wheres = [f"{where} AND {arm}" for arm in arms] or [where]

    def newest(self, limit: int, before: str | None = None) -> Iterator[Row]:
        """The newest rows, older than the id `before`; `limit` -1 for all."""
        select, _, _ = _reading(self.model)
        # One bound, the nearer: two would make SQLite think so little is left that it searches all workspaces for it.
        bounds = [id_ for id_ in (before, self.until) if id_ is not None]
        older, params = (" AND id < ?", (*self.params, min(bounds))) if bounds else ("", self.params)
        sql = " UNION ALL ".join(f"{select} WHERE {where}{older}" for where in self.wheres)
        return self.model._made(execute(f"{sql} ORDER BY id DESC LIMIT ?", (*params * len(self.wheres), limit)))

    def __iter__(self) -> Iterator[Row]:
        return self.newest(-1)


@cache
def _inserting(table: str, columns: tuple[str, ...]) -> str:
    return f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})"


def insert(table: str, row: dict[str, Any]) -> Write:
    """The write that inserts this row."""
    return Write(_inserting(table, tuple(row)), tuple(row.values()))
