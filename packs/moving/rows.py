"""The rows of all tables, as they move between databases and archives.

`SqliteTables`, and `PostgresTables` of packs/postgres/transactions.py, read each table in the order of its key, a few
rows at a time, and write rows that were read elsewhere. A row is a tuple of values that both engines have (text, int,
float, bytes, None), in the order of the columns of its `TableLayout`; as a line it is a JSON list.

Left out are tables of the database itself and of its present processes. Large values of runs are copied too.
"""

from __future__ import annotations

import base64
import hashlib
import os
import re
import sqlite3
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any, Generic, NamedTuple, Protocol, TypeAlias, TypeVar

import orjson

from database.queries.server_state import OF_ONE_DATABASE
from errors import Conflict

# Large values of runs, as they move between databases and archives: in files beside SQLite, in rows of PostgreSQL.
# Values in an S3 store are read from there, and written into rows.
#
# dispatch/payloads.py has the form of the files: `<folder>/<run id>/<name>.json`, `<name>.2.json` for the second
# claim.

ReadObject: TypeAlias = Callable[[str], bytes]  # returns the content of the object with this name
RUN = re.compile(r"run_[A-Za-z0-9_]+\Z")
FILE = re.compile(r"([A-Za-z0-9_]+)(?:\.([1-9][0-9]*))?\.json\Z")
VALUE_ROWS = "payloads"


class WrittenValue(NamedTuple):
    """A value that the run's claim of this number wrote: JSON text."""

    run_id: str
    name: str
    claims: int
    data: bytes

    def line(self) -> bytes:
        """Return bytes that identify the value, for a checksum."""
        return f"{self.run_id} {self.name} {self.claims} ".encode() + hashlib.sha256(self.data).digest()

    @property
    def file(self) -> str:
        """Return the path of its file in the folder."""
        return f"{self.run_id}/{self.name}{f'.{self.claims}' if self.claims > 1 else ''}.json"

    def is_valid(self) -> bool:
        """Return True if the names are those of a value, so that its file is in the folder."""
        return bool(RUN.match(self.run_id) and FILE.match(f"{self.name}.json")) and self.claims > 0


def read_files(folder: Path) -> Iterator[WrittenValue]:
    """Yield the values in files. Those that a server deletes meanwhile are left out."""
    with suppress(FileNotFoundError), os.scandir(folder) as runs:
        for run in runs:
            if RUN.match(run.name):
                yield from _read_run(folder, run.name)


def _read_run(folder: Path, run_id: str) -> Iterator[WrittenValue]:
    with suppress(FileNotFoundError):
        for path in sorted((folder / run_id).iterdir()):
            if found := FILE.match(path.name):
                with suppress(FileNotFoundError):
                    yield WrittenValue(run_id, found[1], int(found[2] or 1), path.read_bytes())


def write_files(folder: Path, values: Iterable[WrittenValue]) -> None:
    """Write values into new files, without bringing them to the disk. Equal values of a run are one file."""
    for run_id, of_run in groupby(values, lambda value: value.run_id):
        (folder / run_id).mkdir(parents=True, exist_ok=True)
        written: dict[bytes, Path] = {}
        for value in of_run:
            path, digest = folder / value.file, hashlib.sha256(value.data).digest()
            if digest in written:
                os.link(written[digest], path)
            else:
                path.write_bytes(value.data)
                written[digest] = path


Item = TypeVar("Item")
Row: TypeAlias = tuple[Any, ...]
Report: TypeAlias = Callable[[str, int, bool], None]  # the name of a table, its rows so far, True at its end

LEFT_OUT = {
    "schema_migration",
    "server_counters",
    "commit_numbers",
    "leases",
    VALUE_ROWS,
    "value_objects",
    "webhook_listeners",  # they live for minutes
}
VALUES = "values"  # the name of large values in reports
# A trigger deletes these sums if their days are counted later.
LAST = ("workspace_days", "flow_sums")
KINDS = {
    **dict.fromkeys(("INTEGER", "bigint", "smallint", "integer"), "integer"),
    **dict.fromkeys(("REAL", "double precision"), "real"),
    **dict.fromkeys(("TEXT", "text"), "text"),
    **dict.fromkeys(("BLOB", "bytea"), "blob"),
}
FULL_TEXT = "_fts"  # part of the names of the tables of SQLite's index
REPORTED_ROWS = 20_000
NUL, REPLACEMENT = "\0", "\ufffd"
NUL_IN_LINE = b"\\u0000"
MAX_NAMED = 5


class TableLayout(NamedTuple):
    """A table. The kind of a column is integer, real, text or blob."""

    name: str
    columns: tuple[str, ...]
    kinds: tuple[str, ...]
    key: tuple[str, ...]


class Measure(NamedTuple):
    """The number of rows, and their checksum: the sum of the SHA-256 of each as a line, whatever their order."""

    rows: int
    checksum: str


class RowSource(Protocol):
    """A database or an archive from which rows are read."""

    def tables(self) -> dict[str, TableLayout]: ...
    def read(self, table: TableLayout) -> Iterator[Row]: ...
    def values(self) -> Iterator[WrittenValue]: ...


class Target(RowSource, Protocol):
    """A database to which rows are written. `has_nul` is True if its texts may have the character NUL."""

    has_nul: bool

    def write(self, table: TableLayout, rows: Iterable[Row]) -> None: ...
    def write_values(self, values: Iterable[WrittenValue]) -> None: ...


# Lines


def encode_row(row: Row) -> bytes:
    """Return the row as a line without its line break. Bytes are text in base64."""
    return orjson.dumps(row, default=_encode_bytes)


def _encode_bytes(value: Any) -> str:
    if not isinstance(value, bytes):
        raise TypeError
    return base64.b64encode(value).decode()


def decode_row(line: bytes, table: TableLayout) -> Row:
    """Return the row in a line. Raises: ValueError if it is not a row of this table."""
    values = orjson.loads(line)
    if not isinstance(values, list) or len(values) != len(table.columns):
        raise ValueError
    for at, kind in enumerate(table.kinds):
        if kind == "blob" and values[at] is not None:
            values[at] = base64.b64decode(values[at], validate=True)
        elif kind == "real" and values[at] is not None:
            values[at] = float(values[at])
    return tuple(values)


# Copying


@dataclass
class Copied:
    """The result of a copy: the measures of tables by name, the measure of large values, and changed values."""

    tables: dict[str, Measure] = field(default_factory=dict)
    values: Measure = Measure(0, "")
    released_runs: int = 0
    replaced_nul: int = 0

    @property
    def rows(self) -> int:
        return sum(measure.rows for measure in self.tables.values())


def ordered(tables: dict[str, TableLayout]) -> list[TableLayout]:
    """Return the tables in the order in which they are copied."""
    return sorted(tables.values(), key=lambda table: (table.name in LAST, table.name))


def copy_all(source: RowSource, target: Target, report: Report) -> Copied:
    """Copy all tables and large values into the empty ones of the target, and compare both.

    Raises: Conflict if the tables of the two differ, or if the target has other rows than were written.
    """
    copied = Copied()
    tables, wanted = target.tables(), source.tables()
    if tables != wanted:
        names = sorted(name for name in {*tables, *wanted} if tables.get(name) != wanted.get(name))
        raise Conflict(f"The two have different columns, so nothing can be copied: {', '.join(names[:MAX_NAMED])}")
    for table in ordered(wanted):
        counted = CountedItems(table.name, encode_row, report)
        target.write(table, counted.each(portable_rows(source, table, copied, target.has_nul)))
        copied.tables[table.name] = counted.end(target.read(table))
    counted_values = CountedItems(VALUES, WrittenValue.line, report)
    target.write_values(counted_values.each(source.values()))
    copied.values = counted_values.end(target.values())
    return copied


def portable_rows(source: RowSource, table: TableLayout, copied: Copied, has_nul: bool = True) -> Iterator[Row]:
    """Yield the rows of a table in their form for another database. Note changed values in `copied`.

    No process of the other database executes a run that is running here, so the run is pending there; this is not
    counted as a death of its process. Without `has_nul`, NUL becomes U+FFFD.
    """
    rows = source.read(table)
    if table.name == "runs":
        rows = _released(table, rows, copied)
    elif table.name == "server_facts":
        name = table.columns.index("name")
        rows = (row for row in rows if row[name] not in OF_ONE_DATABASE)
    return rows if has_nul else _without_nul(rows, copied)


def _released(table: TableLayout, rows: Iterable[Row], copied: Copied) -> Iterator[Row]:
    status, owner = table.columns.index("status"), table.columns.index("lease_owner")
    for row in rows:
        if row[status] == "running" and row[owner] is not None:
            changed = list(row)
            changed[status], changed[owner] = "pending", None
            copied.released_runs += 1
            row = tuple(changed)
        yield row


def _without_nul(rows: Iterable[Row], copied: Copied) -> Iterator[Row]:
    for row in rows:
        # One search in all of the row; the backslash may also be in a text of JSON, which stays.
        if NUL_IN_LINE in encode_row(row):
            texts = [value for value in row if isinstance(value, str) and NUL in value]
            copied.replaced_nul += len(texts)
            row = tuple(value.replace(NUL, REPLACEMENT) if isinstance(value, str) else value for value in row)
        yield row


class CountedItems(Generic[Item]):
    """Rows or values that are counted and reported on their way; `line` gives the bytes of one for the checksum."""

    def __init__(self, name: str, line: Callable[[Item], bytes], report: Report | None = None) -> None:
        self._name, self._line, self._report = name, line, report
        self._rows = self._sum = 0

    def each(self, items: Iterable[Item]) -> Iterator[Item]:
        """Yield the items."""
        for item in items:
            self._rows += 1
            self._sum += int.from_bytes(hashlib.sha256(self._line(item)).digest())
            if self._report is not None and not self._rows % REPORTED_ROWS:
                self._report(self._name, self._rows, False)
            yield item

    def end(self, copies: Iterable[Item] | None = None) -> Measure:
        """Report the end, and return the Measure. Raises: Conflict if it differs from that of the copies."""
        measure = Measure(self._rows, f"{self._sum % 2**256:064x}")
        if copies is not None:
            copied = CountedItems(self._name, self._line)
            deque(copied.each(copies), maxlen=0)
            if (found := copied.end()) != measure:
                raise Conflict(
                    f"The copy of {self._name} is wrong: {measure.rows} were written and {found.rows} are there, or "
                    "their content differs"
                )
        if self._report is not None:
            self._report(self._name, measure.rows, True)
        return measure


def quote_names(names: Iterable[str]) -> str:
    """Return these names for SQL."""
    return ", ".join(f'"{name}"' for name in names)


def select_rows(table: TableLayout) -> str:
    """Return the SELECT of all rows in the order of the key."""
    return f'SELECT {quote_names(table.columns)} FROM "{table.name}" ORDER BY {quote_names(table.key)}'


def make_layout(name: str, columns: list[tuple[str, str, int | None]]) -> TableLayout:
    """Return a TableLayout; a column has a name, a type and its place in the key, or None."""
    key = sorted((place, column) for column, _, place in columns if place is not None)
    kinds = tuple(KINDS[kind] for _, kind, _ in columns)
    return TableLayout(name, tuple(column for column, *_ in columns), kinds, tuple(column for _, column in key))


# SQLite


class SqliteTables:
    """The tables of an SQLite database. Its caller has begun a transaction, so that all of them are of one state."""

    has_nul = True

    def __init__(self, connection: sqlite3.Connection, folder: Path) -> None:
        """Use this connection, and the large values in files of this folder."""
        self._connection, self._folder = connection, folder

    def tables(self) -> dict[str, TableLayout]:
        """Return the tables by name."""
        sql = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite%'"
        info = "SELECT name, type, CASE WHEN pk > 0 THEN pk END FROM pragma_table_info(?)"
        names = [name for (name,) in self._connection.execute(sql) if name not in LEFT_OUT and FULL_TEXT not in name]
        return {name: make_layout(name, self._connection.execute(info, (name,)).fetchall()) for name in names}

    def read(self, table: TableLayout) -> Iterator[Row]:
        """Yield the rows in the order of the key. Raises: Conflict if the file is damaged."""
        try:
            yield from self._connection.execute(select_rows(table))
        except sqlite3.Error as error:
            raise Conflict(f"The rows of {table.name} cannot be read: {error}") from error

    def write(self, table: TableLayout, rows: Iterable[Row]) -> None:
        """Insert the rows. Triggers index the texts of memories. Raises: Conflict if the file does not take them."""
        marks = ", ".join("?" * len(table.columns))
        try:
            self._connection.executemany(
                f'INSERT INTO "{table.name}" ({quote_names(table.columns)}) VALUES ({marks})', rows
            )
        except sqlite3.Error as error:
            raise Conflict(f"The rows of {table.name} cannot be written: {error}") from error

    def values(self) -> Iterator[WrittenValue]:
        """Yield the large values, in any order."""
        return read_files(self._folder)

    def write_values(self, values: Iterable[WrittenValue]) -> None:
        """Write large values into files."""
        write_files(self._folder, values)
