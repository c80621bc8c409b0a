"""Tables of a workspace: their names and columns. Their rows are in data_rows.py.

A row is one JSON object of cells by the ids of columns. So a column is renamed or deleted without a change of rows; a
row that is written later loses the cells of deleted columns. A number, a text or a date is compared by SQL on the JSON.
Only equality has an index, and only of columns that need one: `data_keys` has a digest of each of their cells.

Everything that changes a table or its rows holds the lock of the table until its transaction ends.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import orjson

from database import execute, fetch_value, write
from database.base import DAY_MS, insert, now_ms
from database.queries.locks import lock_names
from database.queries.table_columns import MAX_COLUMNS, TYPES, TableColumn, check_name
from errors import BadInput, Conflict, NotFound
from models import DataTable

MAX_TABLES = 200  # of a workspace
WRITES_KEPT_MS = 30 * DAY_MS


def columns_of(table: DataTable) -> tuple[TableColumn, ...]:
    """Return its columns in their order. They are parsed once, until `table` is read again or changed."""
    found: tuple[TableColumn, ...] | None = table.__dict__.get("listed")
    if found is None:
        found = tuple(TableColumn(**values) for values in orjson.loads(str(table.columns)))
        table.__dict__["listed"] = found
    return found


def by_name(table: DataTable) -> dict[str, TableColumn]:
    return {column.name: column for column in columns_of(table)}


def by_id(table: DataTable) -> dict[str, TableColumn]:
    return {column.id: column for column in columns_of(table)}


def of(workspace_id: str) -> list[DataTable]:
    """Return the tables of the workspace, by name."""
    return list(DataTable.each("workspace_id = ? ORDER BY lower(name), id", (workspace_id,)))


def named(workspace_id: str, name: str) -> DataTable | None:
    """Return the table with this name or id, or None."""
    found = DataTable.one("workspace_id = ? AND name = ?", workspace_id, name)
    return found or DataTable.one("workspace_id = ? AND id = ?", workspace_id, name)


def make(workspace_id: str, name: str, columns: Iterable[tuple[str, str]] = ()) -> DataTable:
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


def lock(table: DataTable) -> None:
    """Wait for the lock of the table, and read its row again. Raises: NotFound if it was deleted."""
    lock_names("table", (table.id,))
    found = DataTable.find(table.id)
    if found is None:
        raise NotFound(f"The table {table.name!r} was deleted")
    table.__data__ = found.__data__
    table.__dict__.pop("listed", None)


def rename(table: DataTable, name: str) -> None:
    """Rename it. Raises: Conflict if the name is taken."""
    with write():
        lock_names("tables", (table.workspace_id,))
        lock(table)
        if name != table.name:
            _check_table_name(str(table.workspace_id), name)
        _save(table, name=name)


def remove(row: DataTable) -> bool:
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
    column = find_column(table, id_)
    others = [other for other in columns_of(table) if other.id != id_]
    at = columns_of(table).index(column) if position is None else position
    if name is not None:
        column = column._replace(name=check_name(name))
        _check_unique(column.name, others)
    _save(table, columns=_encode([*others[:at], column, *others[at:]]))
    return column


def drop_column(table: DataTable, id_: str) -> TableColumn:
    """Delete a column. Raises: NotFound."""
    column = find_column(table, id_)
    execute("DELETE FROM data_keys WHERE table_id = ? AND column_id = ?", (table.id, id_))
    _save(table, columns=_encode(other for other in columns_of(table) if other.id != id_))
    return column


def index_column(table: DataTable, id_: str) -> None:
    """Mark a column as indexed; `data_rows.index_rows` adds its cells."""
    _save(table, columns=_encode(each._replace(indexed=each.indexed or each.id == id_) for each in columns_of(table)))


def find_column(table: DataTable, id_: str) -> TableColumn:
    """Return the column with this id. Raises: NotFound."""
    if (found := by_id(table).get(id_)) is None:
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
