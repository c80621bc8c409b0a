"""Tables of a workspace: their names and columns. Their rows are in data_rows.py.

A row is one JSON object of cells by the ids of columns. So a column is renamed or deleted without a change of rows; a
row that is written later loses the cells of deleted columns. A number, a text or a date is compared by SQL on the JSON.
Only equality has an index, and only of columns that need one: `data_keys` has a digest of each of their cells.

Everything that changes a table or its rows holds the lock of the table until its transaction ends.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import Any

import orjson
from peewee import CompositeKey, IntegerField, TextField

from database import execute, fetch_value, write
from errors import BadInput, Conflict, NotFound

from .base import DAY_MS, Base, Expiring, insert, now_ms
from .locks import lock_names
from .table_columns import MAX_COLUMNS, TYPES, TableColumn, check_name

MAX_TABLES = 200  # of a workspace
WRITES_KEPT_MS = 30 * DAY_MS


class DataTable(Base):
    """`columns` is a JSON list of columns (table_columns.Column), `next_column` the number of the next new one's id."""

    prefix = "tbl"
    id = TextField(primary_key=True)
    workspace_id = TextField()
    name = TextField()
    columns = TextField()
    next_column = IntegerField()
    row_count = IntegerField()
    created_at = IntegerField()
    updated_at = IntegerField()

    @cached_property
    def listed(self) -> tuple[TableColumn, ...]:
        """Return its columns in their order."""
        return tuple(TableColumn(**values) for values in orjson.loads(str(self.columns)))

    @property
    def by_name(self) -> dict[str, TableColumn]:
        return {column.name: column for column in self.listed}

    @property
    def by_id(self) -> dict[str, TableColumn]:
        return {column.id: column for column in self.listed}

    @classmethod
    def of(cls, workspace_id: str) -> list[DataTable]:
        """Return the tables of the workspace, by name."""
        return list(cls.each("workspace_id = ? ORDER BY lower(name), id", (workspace_id,)))

    @classmethod
    def named(cls, workspace_id: str, name: str) -> DataTable | None:
        """Return the table with this name or id, or None."""
        found = cls.one("workspace_id = ? AND name = ?", workspace_id, name)
        return found or cls.one("workspace_id = ? AND id = ?", workspace_id, name)

    @classmethod
    def make(cls, workspace_id: str, name: str, columns: Iterable[tuple[str, str]] = ()) -> DataTable:
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
            return cls.add(workspace_id=workspace_id, name=name, **values)

    def lock(self) -> None:
        """Wait for the lock of the table, and read its row again. Raises: NotFound if it was deleted."""
        lock_names("table", (self.id,))
        found = DataTable.find(self.id)
        if found is None:
            raise NotFound(f"The table {self.name!r} was deleted")
        self.__data__ = found.__data__
        self.__dict__.pop("listed", None)

    def rename(self, name: str) -> None:
        """Rename it. Raises: Conflict if the name is taken."""
        with write():
            lock_names("tables", (self.workspace_id,))
            self.lock()
            if name != self.name:
                _check_table_name(str(self.workspace_id), name)
            self._save(name=name)

    def remove(self) -> bool:
        """Delete the table with its rows. Return True if it existed."""
        with write():
            lock_names("table", (self.id,))
            for table in ("data_keys", "data_rows", "data_writes"):
                execute(f"DELETE FROM {table} WHERE table_id = ?", (self.id,))
            return bool(execute("DELETE FROM data_tables WHERE id = ?", (self.id,)).rowcount)

    # Columns. Call these in a transaction, after `lock`.

    def add_columns(self, columns: Iterable[tuple[str, str]]) -> list[TableColumn]:
        """Add columns of these names and types at the end. Raises: BadInput, Conflict."""
        made = self.plan_columns(columns)
        self._save(columns=_encode([*self.listed, *made]), next_column=int(self.next_column) + len(made))
        return made

    def plan_columns(self, columns: Iterable[tuple[str, str]]) -> list[TableColumn]:
        """Return the columns that `add_columns` would add. Raises: BadInput, Conflict."""
        return _number(columns, int(self.next_column), self.listed)

    def change_column(self, id_: str, name: str | None, position: int | None) -> TableColumn:
        """Rename a column, or move it to this position. Raises: NotFound, BadInput, Conflict."""
        column = self.find_column(id_)
        others = [other for other in self.listed if other.id != id_]
        at = self.listed.index(column) if position is None else position
        if name is not None:
            column = column._replace(name=check_name(name))
            _check_unique(column.name, others)
        self._save(columns=_encode([*others[:at], column, *others[at:]]))
        return column

    def drop_column(self, id_: str) -> TableColumn:
        """Delete a column. Raises: NotFound."""
        column = self.find_column(id_)
        execute("DELETE FROM data_keys WHERE table_id = ? AND column_id = ?", (self.id, id_))
        self._save(columns=_encode(other for other in self.listed if other.id != id_))
        return column

    def index_column(self, id_: str) -> None:
        """Mark a column as indexed; `data_rows.index_rows` adds its cells."""
        self._save(columns=_encode(each._replace(indexed=each.indexed or each.id == id_) for each in self.listed))

    def find_column(self, id_: str) -> TableColumn:
        """Return the column with this id. Raises: NotFound."""
        if (found := self.by_id.get(id_)) is None:
            raise NotFound(f"The table {self.name!r} has no column with the id {id_[:20]!r}")
        return found

    def count_rows(self, change: int) -> None:
        """Add to the number of its rows."""
        self._save(row_count=int(self.row_count) + change)

    def _save(self, **values: Any) -> None:
        values["updated_at"] = now_ms()
        names = ", ".join(f"{name} = ?" for name in values)
        execute(f"UPDATE data_tables SET {names} WHERE id = ?", (*values.values(), self.id))
        self.__data__.update(values)
        self.__dict__.pop("listed", None)


class DataRow(Base):
    """`cells` is a JSON object of values by the ids of columns; an empty cell is left out."""

    prefix = "row"
    id = TextField(primary_key=True)
    table_id = TextField()
    cells = TextField()
    created_at = IntegerField()
    updated_at = IntegerField()


class DataKey(Base):
    """A cell of an indexed column, found by its digest (table_columns.digest_of)."""

    table_id = TextField()
    column_id = TextField()
    digest = TextField()
    row_id = TextField()

    class Meta:
        primary_key = CompositeKey("table_id", "column_id", "digest", "row_id")


class DataWrite(Expiring, Base):
    """A write with an idempotency key, and its `result` as JSON: repeated, it returns that and changes nothing."""

    key = TextField(primary_key=True)
    table_id = TextField()
    result = TextField()
    expires_at = IntegerField()

    @classmethod
    def result_of(cls, key: str) -> Any:
        """Return the result of the write with this key, or None if it was not done."""
        text = fetch_value("SELECT result FROM data_writes WHERE key = ?", (key,))
        return None if text is None else orjson.loads(text)

    @classmethod
    def note(cls, key: str, table_id: str, result: Any) -> None:
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
