"""Base of all tables: ids, times, pages and the `Write` value that the recorder commits."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from functools import cache
from itertools import chain
from typing import Any, ClassVar, Generic, NamedTuple, Self, TypeVar

import orjson
from peewee import BooleanField, Database, Model, make_snake_case

from constants import DAY
from database import db, execute, is_postgres, on_engine_change, write
from database.shared import monotonic_ms as monotonic_ms
from database.shared import now_ms as now_ms

DAY_MS = DAY * 1000
STEP_SECONDS = 0.01  # of one of the transactions that delete many rows
PRUNED_AT_ONCE = 1_000
IN_LIST = "IN (SELECT value FROM json_each(?))"  # with `encode_list` of the values
# For the end of a SELECT: PostgreSQL locks its rows (see locks.py), SQLite sees a comment.
LOCKED = "/* FOR NO KEY UPDATE */"
UNLOCKED_ONLY = "/* FOR NO KEY UPDATE SKIP LOCKED */"  # skips locked rows
ROWS_AT_ONCE = 20  # of one INSERT; SQLite caches a statement for each number
MAX_EXAMINED = 5_000  # rows that a page examines for a condition without an index
RECENT_MS = 2 * DAY_MS
# Crockford's base 32 of ULIDs (github.com/ulid/spec), two digits at once, and the digits as `int` reads them.
DIGITS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
PAIRS = [first + second for first in DIGITS for second in DIGITS]
READ = str.maketrans(DIGITS, "0123456789abcdefghijklmnopqrstuv")

Row = TypeVar("Row", bound="Base")


class Write(NamedTuple):
    """One statement for the recorder."""

    sql: str
    params: tuple[Any, ...]

    def with_condition(self, condition: str, params: tuple[Any, ...]) -> Write:
        """Return this insertion with a condition in addition to its own."""
        head, values, marks = self.sql.partition(" VALUES ")
        where = f"{head} SELECT {marks[1:-1]} WHERE" if values else f"{self.sql} AND"
        return Write(f"{where} {condition}", (*self.params, *params))


class Needed(Write):
    """A statement that must change a row; otherwise none of the statements with it is executed."""

    __slots__ = ()


class Decides(Write):
    """A statement that must change a row; otherwise the statements after it in its unit are not executed."""

    __slots__ = ()


_last_ulid = 0
_ulid_lock = threading.Lock()


def ulid(number: int) -> str:
    """Return the ULID of these 128 bits: 48 for the milliseconds since 1970, 80 random."""
    return "".join([PAIRS[number >> shift & 1023] for shift in range(120, -1, -10)])


def new_id(prefix: str) -> str:
    """Return `prefix_` and a ULID larger than all earlier ones of this process, even within a millisecond."""
    global _last_ulid
    fresh = now_ms() << 80 | int.from_bytes(os.urandom(10))
    with _ulid_lock:
        _last_ulid = number = max(fresh, _last_ulid + 1)
    return f"{prefix}_{ulid(number)}"


def made_at(id_: str) -> int:
    """Return the time of an id in milliseconds."""
    return int(id_.partition("_")[2][:10].translate(READ), 32)


def first_id(prefix: str, at_ms: int) -> str:
    """Return the smallest id of this time."""
    return f"{prefix}_{ulid(max(0, min(at_ms, 2**48 - 1)) << 80)}"


def without_index(column: str) -> str:
    """Return SQL for this text column that prevents the use of its index, which would find too many rows."""
    return f"COALESCE({column}, '')"


def encode_list(values: Iterable[str]) -> str:
    """Return the parameter of IN_LIST for these values: a JSON list."""
    return orjson.dumps(list(values)).decode()


@cache
def _reading(model: type[Model], without: tuple[str, ...] = ()) -> tuple[str, list[str], list[str]]:
    """Return the SELECT of all columns, those `without` as null, with their names and the names of booleans."""
    columns = model._meta.sorted_fields
    names = ", ".join("NULL" if column.name in without else f'"{column.column_name}"' for column in columns)
    flags = [column.name for column in columns if isinstance(column, BooleanField)]
    return f'SELECT {names} FROM "{model._meta.table_name}"', [column.name for column in columns], flags


def name_table(model: type[Model]) -> str:
    """Return the name of a class's table: `agent_runs` for AgentRun. An irregular name is in the class's `Meta`."""
    return f"{make_snake_case(model.__name__)}s"


class Base(Model):
    """A table. `prefix` is the beginning of its ids, if they are text. Indexes are in `database/migrations/` only."""

    prefix: ClassVar[str] = ""
    is_partitioned: ClassVar[bool] = False  # by the id, on PostgreSQL

    class Meta:
        database = db
        table_function = name_table

    @classmethod
    def find(cls, id_: Any) -> Self | None:
        """Return the row with this id, or None."""
        key: Any = cls._meta.primary_key
        return cls.one(f"{key.column_name} = ?", id_)

    @classmethod
    def one(cls, where: str, *params: Any) -> Self | None:
        """Return the row that satisfies this SQL condition, or None."""
        rows = list(cls.each(f"{where} LIMIT 1", params))
        return rows[0] if rows else None

    @classmethod
    def each(cls, where: str, params: tuple[Any, ...], without: tuple[str, ...] = ()) -> Iterator[Self]:
        """Yield the rows that satisfy this SQL condition, which may include an order and a limit.

        Columns `without` are not read, and null.

        For queries of every request: the statement is built once for each table, since building it with Peewee takes
        ten times as long as SQLite's answer.
        """
        return cls._made(execute(f"{_reading(cls, without)[0]} WHERE {where}", params))

    @classmethod
    def _made(cls, found: Iterable[tuple[Any, ...]]) -> Iterator[Self]:
        """Yield rows as objects. Their data is set at once: column by column takes five times as long."""
        _, names, flags = _reading(cls)
        for values in found:
            row = cls(__no_default__=True)
            row.__data__ = data = dict(zip(names, values, strict=True))
            for name in flags:
                data[name] = bool(data[name])
            yield row

    @classmethod
    def fresh(cls, values: dict[str, Any]) -> Self:
        """Return a row with values of all columns, not yet written."""
        row: Self = cls(__no_default__=True)
        row.__data__ = values
        return row

    @classmethod
    def add(cls, **values: Any) -> Self:
        """Insert a row with a new id and the present time, unless given."""
        made = new_id(cls.prefix) if cls.prefix else None
        if made is not None:
            values.setdefault("id", made)
        if "created_at" in cls._meta.fields:
            # Lists are ordered by the time in the id, so `created_at` must be the same.
            values.setdefault("created_at", now_ms() if made is None else made_at(made))
        with write():
            row: Self = cls.create(**values)
        return row

    def remove(self) -> bool:
        """Delete the row. Return True if it existed."""
        with write():
            return bool(self.delete_instance())


def _bind(database: Database, model: type[Model] = Base) -> None:
    """Have the classes of all tables use this database."""
    for table in model.__subclasses__():
        table._meta.set_database(database)
        _bind(database, table)


on_engine_change(_bind)


def microseconds(duration_ms: float | None) -> int | None:
    """Return the duration in whole microseconds, or None."""
    return None if duration_ms is None else round(duration_ms * 1_000)


class Expiring:
    """Mixin for tables whose rows expire: they satisfy the SQL condition `expired` for the time `kept_ms` ago."""

    _meta: ClassVar[Any]
    expired: ClassVar[str] = "expires_at <= ?"
    kept_ms: ClassVar[int] = 0

    @classmethod
    def prune(cls) -> int:
        """Delete the expired rows, PRUNED_AT_ONCE in a transaction. Return their number.

        There can be hundreds of thousands: in one transaction they would delay heartbeats, and living processes would
        count as dead.
        """
        table, total, before = cls._meta.table_name, 0, now_ms() - cls.kept_ms
        columns = ", ".join(column.column_name for column in cls._meta.get_primary_keys())
        # Selected outside of the transaction, since it may read the whole table.
        sql = f"SELECT {columns} FROM {table} WHERE {cls.expired} LIMIT {PRUNED_AT_ONCE}"
        while found := execute(sql, (before,)).fetchall():
            keys = ", ".join([f"({', '.join('?' * len(found[0]))})"] * len(found))
            with write():
                given = f"SELECT {columns} FROM {table} WHERE ({columns}) IN (VALUES {keys}) AND {cls.expired}"
                # Rows that other transactions are changing are left for the next call.
                delete = f"DELETE FROM {table} WHERE ({columns}) IN ({given} {UNLOCKED_ONLY})"
                gone = execute(delete, (*chain.from_iterable(found), before)).rowcount
            total += gone
            if not gone:
                break
        return total


class Timed:
    """Mixin for tables with a column `duration_ms`, in milliseconds with fractions."""

    duration_ms: Any

    @property
    def duration_us(self) -> int | None:
        return microseconds(self.duration_ms)


class Match(NamedTuple):
    """SQL condition without an index, and its parameters: rows are examined one by one, MAX_EXAMINED for a page."""

    sql: str
    params: tuple[Any, ...]

    @classmethod
    def letters(cls, text: str | None, *columns: str, unsigned: bool = False) -> Match | None:
        """Return the condition that a column contains this text, ignoring the case of A to Z; None without a text.

        `unsigned`: searches the text without the signatures of links (see link_signatures.py).
        """
        if text is None:
            return None
        shown = [f"without_signatures({column})" if unsigned else column for column in columns]
        like = " OR ".join(f"{column} LIKE ? ESCAPE '\\'" for column in shown)
        return cls(f"({like})", (containing(text),) * len(columns))

    @classmethod
    def all_of(cls, *matches: Match | None) -> Match | None:
        """Return the conjunction of these conditions, or None if there are none."""
        given = [match for match in matches if match is not None]
        if not given:
            return None
        params = chain.from_iterable(match.params for match in given)
        return cls(" AND ".join(match.sql for match in given), tuple(params))


def containing(text: str) -> str:
    """Return the LIKE pattern for values that contain this text, with the escape \\."""
    escaped = text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return f"%{escaped}%"


def id_bounds(prefix: str, since: int | None, until: int | None) -> tuple[str | None, str | None]:
    """Return the first id of the time `since`, and the first one after `until`, in milliseconds; None for no bound."""
    return None if since is None else first_id(prefix, since), None if until is None else first_id(prefix, until + 1)


def limit_each(arms: Sequence[str], limit: str) -> list[str]:
    """Return the parts of a UNION ALL of the rows with the largest ids, each with this limit, for PostgreSQL.

    SQLite reads the parts in the order of their indexes without it; PostgreSQL would read and sort all of their rows.
    """
    return [f"({arm} ORDER BY id DESC LIMIT {limit})" for arm in arms]


def join_given(given: Iterable[tuple[str, Any]]) -> tuple[str, tuple[Any, ...]]:
    """Return the conjunction of SQL conditions with one parameter each, but not of those whose parameter is None."""
    used = [(condition, value) for condition, value in given if value is not None]
    return " AND ".join(condition for condition, _ in used), tuple(value for _, value in used)


class Rows(Generic[Row]):
    """Rows of a table, newest first, with ids from the first of `bounds` on and below the second.

    `given` are SQL conditions with their parameters (see `join_given`).

    `arms` are conditions of which each row satisfies exactly one. Each becomes a SELECT, and SQLite merges them by id:
    for an index with another column before the id. Otherwise it would sort all rows or scan the table, however few are
    wanted. They are part of the SQL text, so they must never contain input.

    `match` is a condition without an index.
    """

    def __init__(
        self, model: type[Row], given: Iterable[tuple[str, Any]], arms: Sequence[str] = (),
        bounds: tuple[str | None, str | None] = (None, None), match: Match | None = None,
    ) -> None:  # fmt: skip
        where, self.params = join_given(given)
        self.model, self.match = model, match
        self.since, self.until = bounds
        self.wheres = [f"{where} AND {arm}" for arm in arms] or [where]

    def page(self, limit: int, before: str | None) -> tuple[list[Row], str | None]:
        """Return the newest `limit` rows older than the id `before`, and the id for the next page (None: the end).

        With a `match`, at most MAX_EXAMINED rows are examined: a page may be short or empty without being the last.
        """
        select, names, _ = _reading(self.model)
        found, last = self._page(select, names.index("id"), limit, before)
        return list(self.model._made(found)), last

    def values(self, columns: str, limit: int, before: str | None) -> tuple[list[tuple[Any, ...]], str | None]:
        """Return the same page as values of these columns (SQL, the id first): objects take much longer."""
        return self._page(f'SELECT {columns} FROM "{self.model._meta.table_name}"', 0, limit, before)

    def __iter__(self) -> Iterator[Row]:
        return self.model._made(self._select(_reading(self.model)[0], None, self.since, self.match))

    def _page(self, select: str, id_at: int, limit: int, before: str | None) -> tuple[list[Any], str | None]:
        lowest = None
        if self.match is not None:
            # The last row that the page examines; none if fewer are left.
            ids = f'SELECT id FROM "{self.model._meta.table_name}"'
            last = self._select(ids, before, self.since, None, 1, MAX_EXAMINED - 1).fetchone()
            lowest = None if last is None else str(last[0])
        found = self._newest(select, before, lowest or self.since, limit + 1)
        return found[:limit], found[limit - 1][id_at] if len(found) > limit else lowest

    def _newest(self, select: str, before: str | None, since: str | None, limit: int) -> list[Any]:
        """Return the newest rows. Most pages are within RECENT_MS; with it, PostgreSQL looks into few partitions."""
        if is_postgres() and self.model.is_partitioned:
            newest = min(id_ for id_ in (before, self.until, first_id(self.model.prefix, now_ms())) if id_ is not None)
            with suppress(ValueError):  # of a cursor that is not an id
                recent = first_id(self.model.prefix, made_at(newest) - RECENT_MS)
                if since is None or since < recent:
                    found: list[Any] = self._select(select, before, recent, self.match, limit).fetchall()
                    if len(found) == limit:
                        return found
        return self._select(select, before, since, self.match, limit).fetchall()

    def _select(
        self, select: str, before: str | None, since: str | None, match: Match | None, limit: int | None = None,
        offset: int = 0,
    ) -> Any:  # fmt: skip
        where, params = "", self.params
        if since is not None:
            where, params = f"{where} AND id >= ?", (*params, since)
        # One bound on each side: with two, SQLite estimates so few rows that it scans all workspaces.
        if uppers := [id_ for id_ in (before, self.until) if id_ is not None]:
            where, params = f"{where} AND id < ?", (*params, min(uppers))
        if match is not None:
            where, params = f"{where} AND {match.sql}", (*params, *match.params)
        arms = [f"{select} WHERE {arm}{where}" for arm in self.wheres]
        if limit is None:
            return execute(f"{' UNION ALL '.join(arms)} ORDER BY id DESC", params * len(arms))
        if len(arms) > 1 and is_postgres():
            arms, params = limit_each(arms, "?"), (*params, limit + offset)
        sql = f"{' UNION ALL '.join(arms)} ORDER BY id DESC LIMIT ? OFFSET ?"
        return execute(sql, (*params * len(arms), limit, offset))


@cache
def _inserting(table: str, columns: tuple[str, ...], count: int = 1, conflict: str = "") -> str:
    row = f"({', '.join('?' * len(columns))})"
    return f"INSERT INTO {table} ({', '.join(columns)}) VALUES {', '.join([row] * count)}{conflict}"


def insert(table: str, row: dict[str, Any]) -> Write:
    """Return the write that inserts this row."""
    return Write(_inserting(table, tuple(row)), tuple(row.values()))


def insert_all(table: str, columns: tuple[str, ...], rows: Sequence[Sequence[Any]], conflict: str = "") -> list[Write]:
    """Return the writes that insert these rows, ROWS_AT_ONCE in a statement, which costs less than one for each.

    `conflict` is an ON CONFLICT clause.
    """
    pages = [rows[at : at + ROWS_AT_ONCE] for at in range(0, len(rows), ROWS_AT_ONCE)]
    return [Write(_inserting(table, columns, len(page), conflict), tuple(chain.from_iterable(page))) for page in pages]
