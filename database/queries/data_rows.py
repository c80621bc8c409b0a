"""Rows of a workspace's tables: queries, and the writes within a transaction that has the lock of the table."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import chain
from typing import Any, NamedTuple

import orjson

from database import execute, execute_all, fetch_value, write
from database.base import IN_LIST, encode_list, insert_all, new_id, now_ms
from database.queries import data_tables
from database.queries.table_columns import (
    MAX_CELLS,
    Condition,
    RowFilter,
    RowOrder,
    TableColumn,
    digest_of,
    filter_sql,
    find_column,
    show_time,
    sort_sql,
    to_cell,
    to_param,
)
from errors import BadInput, TooLarge
from models import DataRow, DataTable

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
    if key := _find_key(table, where):
        start = (
            f"{start} AND r.id IN (SELECT row_id FROM data_keys WHERE table_id = ? AND column_id = ? AND digest = ?)"
        )
        given = (*given, str(table.id), key.column.id, digest_of(key.value))  # type: ignore[assignment]
    return f"{start} AND {sql}" if sql else start, (*given, *params)


def _find_key(table: DataTable, where: RowFilter) -> Condition | None:
    if where.is_any and len(where.conditions) > 1:
        return None
    indexed = {column.id for column in data_tables.columns_of(table) if column.indexed}
    usable = (each for each in where.conditions if each.operator == "eq" and each.value not in (None, ""))
    return next((each for each in usable if each.column.id in indexed), None)


def to_cells(table: DataTable, values: Mapping[str, Any], is_lenient: bool = False) -> Cells:
    """Return values by the names of columns as cells. Raises: BadInput if a column or a value is wrong."""
    if not isinstance(values, Mapping):
        raise BadInput("A row must be an object of values by the names of columns")
    columns = data_tables.by_name(table)
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
        data_tables.lock(table)
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
    data_tables.count_rows(table, len(ids))
    return ids


def update_rows(table: DataTable, rows: Sequence[Row], change: Callable[[Row], Cells], clean: Clean = keep_all) -> int:
    """Set cells of these rows: `change` returns the new ones. Call it within `changing`. Return their number."""
    known, now = data_tables.by_id(table), now_ms()
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
    data_tables.count_rows(table, -gone)
    return gone


def index_rows(table: DataTable, column_id: str) -> None:
    """Index a column, unless it is indexed: equal cells are then found at once. Call it within `changing`."""
    column = data_tables.find_column(table, column_id)
    if column.indexed:
        return
    data_tables.index_column(table, column_id)
    (only,) = (each for each in data_tables.columns_of(table) if each.id == column_id)
    _add_keys(table, ((row.id, row.cells) for row in read_whole(table)), [only])


def _indexed(table: DataTable) -> list[TableColumn]:
    return [column for column in data_tables.columns_of(table) if column.indexed]


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
