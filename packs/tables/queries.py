"""Tables of a workspace and their rows: queries, imports of many rows, and what nodes and agents do with tables.

A row is one JSON object of cells by the ids of columns. So a column is renamed or deleted without a change of rows; a
row that is written later loses the cells of deleted columns. A number, a text or a date is compared by SQL on the JSON.
Only equality has an index, and only of columns that need one: `data_keys` has a digest of each of their cells.

Everything that changes a table or its rows holds the lock of the table until its transaction ends.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from itertools import chain
from typing import Any, NamedTuple

import orjson

from database import execute, execute_all, fetch_value, write
from database.base import DAY_MS, IN_LIST, encode_list, insert, insert_all, new_id, now_ms
from database.queries.leases import is_there, this_process
from database.queries.locks import lock_names
from errors import BadInput, Conflict, NotFound, TooLarge
from models import DataRow, DataTable
from packs.tables.columns import (
    MAX_CELLS,
    MAX_COLUMNS,
    TYPES,
    Condition,
    RowFilter,
    RowOrder,
    TableColumn,
    Where,
    check_name,
    digest_of,
    filter_sql,
    find_column,
    guess_type,
    make_filter,
    make_order,
    show_time,
    sort_sql,
    to_cell,
    to_param,
)

MAX_TABLES = 200  # of a workspace
WRITES_KEPT_MS = 30 * DAY_MS


def columns_of(table: DataTable) -> tuple[TableColumn, ...]:
    """Return its columns in their order. They are parsed once, until `table` is read again or changed."""
    found: tuple[TableColumn, ...] | None = table.__dict__.get("listed")
    if found is None:
        found = tuple(TableColumn(**values) for values in orjson.loads(str(table.columns)))
        table.__dict__["listed"] = found
    return found


def columns_by_name(table: DataTable) -> dict[str, TableColumn]:
    return {column.name: column for column in columns_of(table)}


def columns_by_id(table: DataTable) -> dict[str, TableColumn]:
    return {column.id: column for column in columns_of(table)}


def list_tables(workspace_id: str) -> list[DataTable]:
    """Return the tables of the workspace, by name."""
    return list(DataTable.each("workspace_id = ? ORDER BY lower(name), id", (workspace_id,)))


def find_table(workspace_id: str, name: str) -> DataTable | None:
    """Return the table with this name or id, or None."""
    found = DataTable.one("workspace_id = ? AND name = ?", workspace_id, name)
    return found or DataTable.one("workspace_id = ? AND id = ?", workspace_id, name)


def make_table(workspace_id: str, name: str, columns: Iterable[tuple[str, str]] = ()) -> DataTable:
    """Insert a table with columns of these names and types.

    Raises: Conflict if the name is taken or there are too many tables; BadInput if a column is not valid.
    """
    made = _number(columns, 1, ())
    with write():
        lock_names("tables", (workspace_id,))
        _check_table_name(workspace_id, name)
        if fetch_value("SELECT COUNT(*) FROM data_tables WHERE workspace_id = ?", (workspace_id,)) >= MAX_TABLES:
            raise Conflict(f"The workspace already has {MAX_TABLES} tables; delete one first")
        values = {"columns": _encode(made), "next_column": len(made) + 1, "row_count": 0, "updated_at": now_ms()}
        return DataTable.add(workspace_id=workspace_id, name=name, **values)


def lock_table(table: DataTable) -> None:
    """Wait for the lock of the table, and read its row again. Raises: NotFound if it was deleted."""
    lock_names("table", (table.id,))
    found = DataTable.find(table.id)
    if found is None:
        raise NotFound(f"The table {table.name!r} was deleted")
    table.__data__ = found.__data__
    table.__dict__.pop("listed", None)


def rename_table(table: DataTable, name: str) -> None:
    """Rename it. Raises: Conflict if the name is taken."""
    with write():
        lock_names("tables", (table.workspace_id,))
        lock_table(table)
        if name != table.name:
            _check_table_name(str(table.workspace_id), name)
        _save(table, name=name)


def remove_table(row: DataTable) -> bool:
    """Delete the table with its rows. Return True if it existed."""
    with write():
        lock_names("table", (row.id,))
        for table in ("data_keys", "data_rows", "data_writes"):
            execute(f"DELETE FROM {table} WHERE table_id = ?", (row.id,))
        return bool(execute("DELETE FROM data_tables WHERE id = ?", (row.id,)).rowcount)


def add_columns(table: DataTable, columns: Iterable[tuple[str, str]]) -> list[TableColumn]:
    """Add columns of these names and types at the end. Raises: BadInput, Conflict."""
    made = plan_columns(table, columns)
    _save(table, columns=_encode([*columns_of(table), *made]), next_column=int(table.next_column) + len(made))
    return made


def plan_columns(table: DataTable, columns: Iterable[tuple[str, str]]) -> list[TableColumn]:
    """Return the columns that `add_columns` would add. Raises: BadInput, Conflict."""
    return _number(columns, int(table.next_column), columns_of(table))


def change_column(table: DataTable, id_: str, name: str | None, position: int | None) -> TableColumn:
    """Rename a column, or move it to this position. Raises: NotFound, BadInput, Conflict."""
    column = find_column_by_id(table, id_)
    others = [other for other in columns_of(table) if other.id != id_]
    at = columns_of(table).index(column) if position is None else position
    if name is not None:
        column = column._replace(name=check_name(name))
        _check_unique(column.name, others)
    _save(table, columns=_encode([*others[:at], column, *others[at:]]))
    return column


def drop_column(table: DataTable, id_: str) -> TableColumn:
    """Delete a column. Raises: NotFound."""
    column = find_column_by_id(table, id_)
    execute("DELETE FROM data_keys WHERE table_id = ? AND column_id = ?", (table.id, id_))
    _save(table, columns=_encode(other for other in columns_of(table) if other.id != id_))
    return column


def index_column(table: DataTable, id_: str) -> None:
    """Mark a column as indexed; `index_rows` adds its cells."""
    _save(table, columns=_encode(each._replace(indexed=each.indexed or each.id == id_) for each in columns_of(table)))


def find_column_by_id(table: DataTable, id_: str) -> TableColumn:
    """Return the column with this id. Raises: NotFound."""
    if (found := columns_by_id(table).get(id_)) is None:
        raise NotFound(f"The table {table.name!r} has no column with the id {id_[:20]!r}")
    return found


def count_rows(table: DataTable, change: int) -> None:
    """Add to the number of its rows."""
    _save(table, row_count=int(table.row_count) + change)


def _save(table: DataTable, **values: Any) -> None:
    values["updated_at"] = now_ms()
    names = ", ".join(f"{name} = ?" for name in values)
    execute(f"UPDATE data_tables SET {names} WHERE id = ?", (*values.values(), table.id))
    table.__data__.update(values)
    table.__dict__.pop("listed", None)


def result_of(key: str) -> Any:
    """Return the result of the write with this key, or None if it was not done."""
    text = fetch_value("SELECT result FROM data_writes WHERE key = ?", (key,))
    return None if text is None else orjson.loads(text)


def note_result(key: str, table_id: str, result: Any) -> None:
    """Record the result of a write, in its transaction."""
    text, until = orjson.dumps(result).decode(), now_ms() + WRITES_KEPT_MS
    execute(*insert("data_writes", {"key": key, "table_id": table_id, "result": text, "expires_at": until}))


def _encode(columns: Iterable[TableColumn]) -> str:
    return orjson.dumps([column.as_dict() for column in columns]).decode()


def _number(columns: Iterable[tuple[str, str]], first: int, present: Sequence[TableColumn]) -> list[TableColumn]:
    """Return new columns with ids from this number on. Raises: BadInput, Conflict if a name is taken."""
    made: list[TableColumn] = []
    for number, (name, type_) in enumerate(columns, first):
        if type_ not in TYPES:
            raise BadInput(f"{type_!r} is not a type of a column; use one of {', '.join(TYPES)}")
        made.append(TableColumn(f"c{number}", check_name(name), type_))
        _check_unique(made[-1].name, [*present, *made[:-1]])
    if len(present) + len(made) > MAX_COLUMNS:
        raise Conflict(f"A table has at most {MAX_COLUMNS} columns")
    return made


def _check_unique(name: str, others: Iterable[TableColumn]) -> None:
    if name.lower() in {other.name.lower() for other in others}:
        raise Conflict(f"The table already has a column {name!r}; choose another name")


def _check_table_name(workspace_id: str, name: str) -> None:
    if DataTable.one("workspace_id = ? AND name = ?", workspace_id, name) is not None:
        raise Conflict(f"The workspace already has a table {name!r}; choose another name")


# Rows: queries, and writes within a transaction that has the lock of the table.

MAX_ROWS = 100_000  # of a table
ROW_COLUMNS = ("id", "table_id", "cells", "created_at", "updated_at")
KEY_COLUMNS = ("table_id", "column_id", "digest", "row_id")
SELECT = "SELECT r.id, r.cells, r.created_at, r.updated_at FROM data_rows r"
EVERYTHING, BY_ID = RowFilter(), RowOrder()
PAGED = 1_000  # rows that are read at once from a whole table
Cells = dict[str, Any]  # by the ids of columns
Clean = Callable[[bytes], bytes]


class Row(NamedTuple):
    """A row as it is read."""

    id: str
    cells: Cells
    created_at: int
    updated_at: int

    def show(self, columns: Iterable[TableColumn]) -> dict[str, Any]:
        """Return the row as a flat object: its id, its cells by the names of columns, and its times."""
        cells = {column.name: self.cells.get(column.id) for column in columns}
        return {"id": self.id, **cells, **self.times()}

    def times(self) -> dict[str, str]:
        return {"created_at": show_time(self.created_at), "updated_at": show_time(self.updated_at)}


def keep_all(encoded: bytes) -> bytes:
    """Return the JSON text unchanged."""
    return encoded


def select(
    table: DataTable, where: RowFilter = EVERYTHING, order: RowOrder = BY_ID, limit: int = 100, after: Any = None
) -> list[Row]:
    """Return rows of the table. `after` is the place (`place_of`) of the last row of the page before."""
    sql, params = _where(table, where)
    key, direction = sort_sql(order.column), "DESC" if order.is_descending else "ASC"
    if after is not None:
        condition, given = _after(key, order, after)
        sql, params = f"{sql} AND {condition}", (*params, *given)
    by = f"r.id {direction}" if order.column.id == "id" else f"({key} IS NULL), {key} {direction}, r.id"
    return _read(f"{SELECT} WHERE {sql} ORDER BY {by} LIMIT ?", (*params, limit))


def place_of(row: Row, order: RowOrder) -> list[Any]:
    """Return the place of a row in an order, as JSON: its sort key and its id."""
    column = order.column
    if column.id in ("created_at", "updated_at"):
        return [getattr(row, column.id), row.id]
    value = row.id if column.id == "id" else row.cells.get(column.id)
    if isinstance(value, str | dict | list) and column.id != "id":
        value = str(to_param(column, value))[:200]
    return [value, row.id]


def _after(key: str, order: RowOrder, after: Any) -> tuple[str, tuple[Any, ...]]:
    value, id_ = after
    sign = "<" if order.is_descending else ">"
    if order.column.id == "id":
        return f"r.id {sign} ?", (id_,)
    if value is None:
        return f"({key} IS NULL AND r.id > ?)", (id_,)
    param = to_param(order.column, value) if isinstance(value, bool) else value
    return f"({key} IS NULL OR {key} {sign} ? OR ({key} = ? AND r.id > ?))", (param, param, id_)


def count(table: DataTable, where: RowFilter = EVERYTHING) -> int:
    """Return the number of rows that satisfy the filter."""
    if not where.conditions:
        return int(fetch_value("SELECT row_count FROM data_tables WHERE id = ?", (table.id,)) or 0)
    sql, params = _where(table, where)
    return int(fetch_value(f"SELECT COUNT(*) FROM data_rows r WHERE {sql}", params))


def find(table: DataTable, id_: str) -> Row | None:
    """Return the row with this id, or None."""
    rows = _read(f"{SELECT} WHERE r.id = ? AND r.table_id = ?", (id_, table.id))
    return rows[0] if rows else None


def find_all(table: DataTable, ids: Sequence[str]) -> list[Row]:
    """Return the rows with these ids that still exist, in the order of the ids."""
    sql = f"{SELECT} WHERE r.id {IN_LIST} AND r.table_id = ?"
    found = {row.id: row for row in _read(sql, (encode_list(ids), table.id))}
    return [found[id_] for id_ in ids if id_ in found]


def select_between(table: DataTable, first: str, last: str, limit: int) -> list[Row]:
    """Return rows with ids from `first` to `last`."""
    sql = f"{SELECT} WHERE r.table_id = ? AND r.id >= ? AND r.id <= ? ORDER BY r.id LIMIT ?"
    return _read(sql, (table.id, first, last, limit))


def read_whole(table: DataTable, where: RowFilter = EVERYTHING) -> Iterator[Row]:
    """Yield all rows, oldest first. They are read in pages: a row that is added meanwhile may be one of them."""
    after = None
    while rows := select(table, where, limit=PAGED, after=after):
        yield from rows
        after = place_of(rows[-1], BY_ID)


def _read(sql: str, params: tuple[Any, ...]) -> list[Row]:
    return [Row(id_, orjson.loads(cells), *times) for id_, cells, *times in execute(sql, params).fetchall()]


def _where(table: DataTable, where: RowFilter) -> tuple[str, tuple[Any, ...]]:
    """Return the condition on a table's rows. If an indexed column must equal a value, only those rows are examined."""
    sql, params = filter_sql(where)
    start, given = "r.table_id = ?", (str(table.id),)
    key = None
    if not where.is_any or len(where.conditions) == 1:
        indexed = {column.id for column in columns_of(table) if column.indexed}
        usable = (each for each in where.conditions if each.operator == "eq" and each.value not in (None, ""))
        key = next((each for each in usable if each.column.id in indexed), None)
    if key:
        start = (
            f"{start} AND r.id IN (SELECT row_id FROM data_keys WHERE table_id = ? AND column_id = ? AND digest = ?)"
        )
        given = (*given, str(table.id), key.column.id, digest_of(key.value))  # type: ignore[assignment]
    return f"{start} AND {sql}" if sql else start, (*given, *params)


def to_cells(table: DataTable, values: Mapping[str, Any], is_lenient: bool = False) -> Cells:
    """Return values by the names of columns as cells. Raises: BadInput if a column or a value is wrong."""
    if not isinstance(values, Mapping):
        raise BadInput("A row must be an object of values by the names of columns")
    columns = columns_by_name(table)
    return {
        (column := own_column(columns, name)).id: to_cell(column, value, is_lenient) for name, value in values.items()
    }


def own_column(columns: Mapping[str, TableColumn], name: str) -> TableColumn:
    """Return the column of this name. Raises: BadInput if there is none, or the server sets it."""
    column = find_column(columns, name)
    if column.id == name:
        raise BadInput(f"{name!r} is set by the server and cannot be written")
    return column


def encode_cells(cells: Cells, clean: Clean = keep_all) -> str:
    """Return cells as JSON without the empty ones. Raises: TooLarge."""
    text = clean(orjson.dumps({id_: value for id_, value in cells.items() if value is not None}))
    if len(text) > MAX_CELLS:
        raise TooLarge(f"A row has more than {MAX_CELLS:,} bytes, the limit of a table")
    return text.decode()


@contextmanager
def changing(table: DataTable) -> Iterator[None]:
    """Open a transaction in which nobody else changes the table or its rows. Raises: NotFound if it was deleted."""
    with write():
        lock_table(table)
        yield


def insert_rows(
    table: DataTable, texts: Sequence[str], ids: Sequence[str] | None = None, room_for: int | None = None
) -> list[str]:
    """Insert rows with these cells, as JSON; return their ids. Call it within `changing`.

    `room_for` is the number of rows for which there must be room: others may follow.
    Raises: TooLarge if the table would have more than MAX_ROWS.
    """
    if int(table.row_count) + (room_for or len(texts)) > MAX_ROWS:
        raise TooLarge(f"The table {table.name!r} would have more than {MAX_ROWS:,} rows; delete some first")
    now, ids = now_ms(), list(ids or (new_id(DataRow.prefix) for _ in texts))
    rows = [(id_, table.id, text, now, now) for id_, text in zip(ids, texts, strict=True)]
    execute_all(insert_all("data_rows", ROW_COLUMNS, rows))
    _add_keys(table, zip(ids, map(orjson.loads, texts), strict=True) if _indexed(table) else ())
    count_rows(table, len(ids))
    return ids


def update_rows(table: DataTable, rows: Sequence[Row], change: Callable[[Row], Cells], clean: Clean = keep_all) -> int:
    """Set cells of these rows: `change` returns the new ones. Call it within `changing`. Return their number."""
    known, now = columns_by_id(table), now_ms()
    changed = []
    for row in rows:
        cells = {id_: value for id_, value in (row.cells | change(row)).items() if id_ in known}
        changed.append((row, encode_cells(cells, clean)))
    _remove_keys(table, rows)
    execute_all(
        ("UPDATE data_rows SET cells = ?, updated_at = ? WHERE id = ?", (text, now, row.id)) for row, text in changed
    )
    _add_keys(table, ((row.id, orjson.loads(text)) for row, text in changed) if _indexed(table) else ())
    return len(changed)


def delete_rows(table: DataTable, rows: Sequence[Row]) -> int:
    """Delete these rows. Call it within `changing`. Return their number."""
    _remove_keys(table, rows)
    ids = encode_list(row.id for row in rows)
    gone = int(execute(f"DELETE FROM data_rows WHERE id {IN_LIST} AND table_id = ?", (ids, table.id)).rowcount)
    count_rows(table, -gone)
    return gone


def index_rows(table: DataTable, column_id: str) -> None:
    """Index a column, unless it is indexed: equal cells are then found at once. Call it within `changing`."""
    column = find_column_by_id(table, column_id)
    if column.indexed:
        return
    index_column(table, column_id)
    (only,) = (each for each in columns_of(table) if each.id == column_id)
    _add_keys(table, ((row.id, row.cells) for row in read_whole(table)), [only])


def _indexed(table: DataTable) -> list[TableColumn]:
    return [column for column in columns_of(table) if column.indexed]


def _add_keys(
    table: DataTable, rows: Iterable[tuple[str, Cells]], columns: Sequence[TableColumn] | None = None
) -> None:
    columns = _indexed(table) if columns is None else columns
    found = [
        (table.id, column.id, digest_of(cells[column.id]), id_)
        for id_, cells in rows
        for column in columns
        if cells.get(column.id) not in (None, "")
    ]
    execute_all(insert_all("data_keys", KEY_COLUMNS, found))


def _remove_keys(table: DataTable, rows: Iterable[Row]) -> None:
    """Delete the index entries of these rows, as they were read."""
    columns = _indexed(table)
    keys = chain.from_iterable(
        ((table.id, column.id, digest_of(row.cells[column.id]), row.id) for column in columns if column.id in row.cells)
        for row in rows
    )
    condition = " AND ".join(f"{name} = ?" for name in KEY_COLUMNS)
    execute_all((f"DELETE FROM data_keys WHERE {condition}", key) for key in keys)


# Imports of many rows into a table, in short transactions: a long one would delay all other writes.
#
# An import has a record from its first to its last transaction. If it fails, or its process ends, its rows are
# deleted. They are found by their ids, which are consecutive.

BATCH = 1_000  # rows in a transaction
KEY = "import "
DIGITS = 8  # at the end of an id: the number of the row within the import
FORGOTTEN_MS = 3_600_000  # until an import, also of another machine, counts as interrupted


class RowImport:
    """An import of rows with these cells, as JSON. Between two transactions it calls `pause` with seconds."""

    def __init__(self, table: DataTable, texts: Sequence[str], pause: Callable[[float], None] = time.sleep) -> None:
        self.table, self.texts, self.pause = table, texts, pause
        self.base = new_id(DataRow.prefix)[:-DIGITS]

    def run(self, prepare: Callable[[], None], last: AbstractContextManager[Any]) -> None:
        """Add all rows, or none.

        `prepare` changes the table in the first transaction. `last` opens the last transaction, with its audit entry.

        Raises: Conflict if the columns are changed meanwhile, NotFound, TooLarge.
        """
        count, columns = len(self.texts), None
        try:
            for first in range(0, max(1, count), BATCH):
                began, is_last = time.monotonic(), first + BATCH >= count
                with last if is_last else nullcontext(), changing(self.table):
                    if columns is None:
                        prepare()
                        told = orjson.dumps({"process": this_process(), "at": now_ms()}).decode()
                        row = {"key": KEY + self.base, "table_id": self.table.id, "result": told}
                        execute(*insert("data_writes", {**row, "expires_at": now_ms() + WRITES_KEPT_MS}))
                        columns = self.table.columns
                    elif self.table.columns != columns:
                        raise Conflict("The columns of the table were changed meanwhile; import the file again")
                    texts = self.texts[first : first + BATCH]
                    ids = [f"{self.base}{number:0{DIGITS}}" for number in range(first, first + len(texts))]
                    insert_rows(self.table, texts, ids, room_for=count - first)
                    if is_last:
                        _forget(self.base)
                self.pause(time.monotonic() - began)  # others have half of the time
        except BaseException:
            undo(self.table, self.base)
            raise


def undo(table: DataTable, base: str) -> None:
    """Remove the rows of an import that did not end, and its record, in short transactions."""
    left = True
    while left:
        try:
            with changing(table):
                rows = select_between(table, base + "0" * DIGITS, base + "9" * DIGITS, BATCH)
                delete_rows(table, rows)
                if not (left := len(rows) == BATCH):
                    _forget(base)
        except NotFound:  # with the table
            return


def undo_interrupted() -> None:
    """Delete the rows of unfinished imports whose processes have ended."""
    sql = "SELECT key, table_id, result FROM data_writes WHERE key >= ? AND key < ?"
    for key, table_id, told in execute(sql, (KEY, KEY + "~")).fetchall():
        noted = orjson.loads(told)
        is_dead = noted["process"] is not None and is_there(noted["process"]) is False
        is_over = is_dead or noted["at"] < now_ms() - FORGOTTEN_MS
        if is_over and (table := DataTable.find(table_id)) is not None:
            undo(table, key.removeprefix(KEY))


def _forget(base: str) -> None:
    execute("DELETE FROM data_writes WHERE key = ?", (KEY + base,))


# A workspace's tables for nodes and tools of agents. Each call is one transaction, and a write is done once.

MAX_WRITTEN = 1_000  # rows of one write
Values = Mapping[str, Any]


class WorkspaceTables:
    """One workspace's tables (`nodes.base.Tables`).

    `clean` redacts secrets in JSON text. Values are by the names of columns, dates ISO 8601 text or datetimes. `key` is
    the idempotency key of a write: a second write with it changes nothing, and returns what the first one did.

    Every method raises NotFound if there is no table of this name, BadInput for a wrong column or value, and TooLarge.
    """

    def __init__(self, workspace_id: str, clean: Clean) -> None:
        self.workspace_id, self.clean = workspace_id, clean

    def describe(self) -> list[dict[str, Any]]:
        """Return the tables: `{"name", "columns": [{"name", "type"}], "rows"}`."""
        return [
            {
                "name": table.name,
                "columns": [{"name": each.name, "type": each.type} for each in columns_of(table)],
                "rows": table.row_count,
            }
            for table in list_tables(self.workspace_id)
        ]

    def select(self, name: str, where: Where, sort: str, limit: int) -> list[dict[str, Any]]:
        """Return rows as objects. `sort` is the name of a column, after a minus in descending order."""
        table = self._find(name)
        columns = columns_by_name(table)
        return _show(table, select(table, make_filter(columns, where), make_order(columns, sort), limit))

    def count(self, name: str, where: Where) -> int:
        """Return the number of rows that match."""
        table = self._find(name)
        return count(table, make_filter(columns_by_name(table), where))

    def insert(self, name: str, rows: Sequence[Values], key: str | None, make: bool = False) -> list[dict[str, Any]]:
        """Insert rows and return them. `make` creates the table and the columns that it lacks."""
        table = self._find(name, make)

        def work() -> list[str]:
            _prepare(table, rows, make)
            return insert_rows(table, [encode_cells(to_cells(table, row), self.clean) for row in rows])

        return _show(table, find_all(table, _once(table, key, work)))

    def upsert(
        self, name: str, rows: Sequence[Values], by: str, key: str | None, make: bool = False
    ) -> list[dict[str, Any]]:
        """Update the rows with the same value in the column `by`, or insert new ones. Return them.

        If several rows have that value, all are updated. The column gets an index.
        """
        table = self._find(name, make)

        def work() -> list[str]:
            _prepare(table, rows, make)
            column = own_column(columns_by_name(table), by)
            index_rows(table, column.id)
            return [id_ for row in rows for id_ in self._put(table, to_cells(table, row), column)]

        return _show(table, find_all(table, list(dict.fromkeys(_once(table, key, work)))))

    def _put(self, table: DataTable, cells: Cells, column: TableColumn) -> list[str]:
        value = cells.get(column.id)
        if value in (None, ""):
            raise BadInput(f"{column.name}: each row needs a value of the column by which rows are found")
        stored = orjson.loads(self.clean(orjson.dumps(value)))
        found = select(table, RowFilter((Condition(column, "eq", stored),)), limit=MAX_WRITTEN)
        if not found:
            return insert_rows(table, [encode_cells(cells, self.clean)])
        update_rows(table, found, lambda row: cells, self.clean)
        return [row.id for row in found]

    def update(self, name: str, where: Where, values: Values, key: str | None) -> int:
        """Set cells of the rows that match. Return their number."""
        table = self._find(name)

        def work() -> int:
            cells = to_cells(table, values)
            return update_rows(table, _matching(table, where), lambda row: cells, self.clean)

        return int(_once(table, key, work))

    def delete(self, name: str, where: Where, key: str | None) -> int:
        """Delete the rows that match. Return their number."""
        table = self._find(name)
        return int(_once(table, key, lambda: delete_rows(table, _matching(table, where))))

    def increment(self, name: str, where: Where, column: str, by: float, key: str | None) -> dict[str, Any]:
        """Add to a number of the rows that match: `{"updated", "value"}`, the new value of the first one or None."""
        table = self._find(name)

        def work() -> dict[str, Any]:
            number = own_column(columns_by_name(table), column)
            if number.type != "number":
                raise BadInput(f"{column}: only a column of the type number can be incremented")
            rows = _matching(table, where)
            sums = {row.id: to_cell(number, row.cells.get(number.id, 0) + by) for row in rows}
            update_rows(table, rows, lambda row: {number.id: sums[row.id]}, self.clean)
            return {"updated": len(rows), "value": sums[rows[0].id] if rows else None}

        found: dict[str, Any] = _once(table, key, work)
        return found

    def _find(self, name: str, make: bool = False) -> DataTable:
        found = find_table(self.workspace_id, name)
        if found is None and make:
            try:
                return make_table(self.workspace_id, name)
            except Conflict:  # another run has made it meanwhile
                found = find_table(self.workspace_id, name)
                if found is None:
                    raise
        if found is None:
            raise NotFound(f"There is no table {name[:200]!r} in this workspace")
        return found


def _once(table: DataTable, key: str | None, work: Callable[[], Any]) -> Any:
    """Do the work in a transaction unless a write with the key was done; return its result, which is JSON."""
    with changing(table):
        if key is None:
            return work()
        done = result_of(key)
        if done is None:
            done = work()
            note_result(key, str(table.id), done)
        return done


def _matching(table: DataTable, where: Where) -> list[Row]:
    """Return the rows to change. Raises: BadInput without conditions; TooLarge for more than MAX_WRITTEN rows."""
    found = make_filter(columns_by_name(table), where)
    if not found.conditions:
        raise BadInput("where: is required, so that not all rows are changed by mistake")
    rows = select(table, found, limit=MAX_WRITTEN + 1)
    if len(rows) > MAX_WRITTEN:
        raise TooLarge(f"More than {MAX_WRITTEN:,} rows match, the limit of one write; use a narrower condition")
    return rows


def _prepare(table: DataTable, rows: Sequence[Values], make: bool) -> None:
    """Check the rows and, if `make` is true, add columns for values that have none yet."""
    if len(rows) > MAX_WRITTEN:
        raise TooLarge(f"One write takes at most {MAX_WRITTEN:,} rows; split the list into parts")
    if not all(isinstance(row, Mapping) for row in rows):
        raise BadInput("values: must be an object, or a list of objects, of values by the names of columns")
    if make:
        known = columns_by_name(table)
        names = dict.fromkeys(name for row in rows for name in row if name not in known)
        add_columns(table, [(name, guess_type(row.get(name) for row in rows)) for name in names])


def _show(table: DataTable, rows: Sequence[Row]) -> list[dict[str, Any]]:
    return [row.show(columns_of(table)) for row in rows]
