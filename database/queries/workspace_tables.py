"""A workspace's tables for nodes and tools of agents. Each call is one transaction, and a write is done once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import orjson

from database.queries import data_tables
from database.queries.data_rows import (
    Cells,
    Clean,
    Row,
    changing,
    count,
    delete_rows,
    encode_cells,
    find_all,
    index_rows,
    insert_rows,
    own_column,
    select,
    to_cells,
    update_rows,
)
from database.queries.table_columns import (
    Condition,
    RowFilter,
    TableColumn,
    Where,
    guess_type,
    make_filter,
    make_order,
    to_cell,
)
from errors import BadInput, Conflict, NotFound, TooLarge
from models import DataTable

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
                "columns": [{"name": each.name, "type": each.type} for each in data_tables.columns_of(table)],
                "rows": table.row_count,
            }
            for table in data_tables.of(self.workspace_id)
        ]

    def select(self, name: str, where: Where, sort: str, limit: int) -> list[dict[str, Any]]:
        """Return rows as objects. `sort` is the name of a column, after a minus in descending order."""
        table = self._find(name)
        columns = data_tables.by_name(table)
        return _show(table, select(table, make_filter(columns, where), make_order(columns, sort), limit))

    def count(self, name: str, where: Where) -> int:
        """Return the number of rows that match."""
        table = self._find(name)
        return count(table, make_filter(data_tables.by_name(table), where))

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
            column = own_column(data_tables.by_name(table), by)
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
            number = own_column(data_tables.by_name(table), column)
            if number.type != "number":
                raise BadInput(f"{column}: only a column of the type number can be incremented")
            rows = _matching(table, where)
            sums = {row.id: to_cell(number, row.cells.get(number.id, 0) + by) for row in rows}
            update_rows(table, rows, lambda row: {number.id: sums[row.id]}, self.clean)
            return {"updated": len(rows), "value": sums[rows[0].id] if rows else None}

        found: dict[str, Any] = _once(table, key, work)
        return found

    def _find(self, name: str, make: bool = False) -> DataTable:
        found = data_tables.named(self.workspace_id, name)
        if found is None and make:
            try:
                return data_tables.make(self.workspace_id, name)
            except Conflict:  # another run has made it meanwhile
                found = data_tables.named(self.workspace_id, name)
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
        done = data_tables.result_of(key)
        if done is None:
            done = work()
            data_tables.note_result(key, str(table.id), done)
        return done


def _matching(table: DataTable, where: Where) -> list[Row]:
    """Return the rows to change. Raises: BadInput without conditions; TooLarge for more than MAX_WRITTEN rows."""
    found = make_filter(data_tables.by_name(table), where)
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
        known = data_tables.by_name(table)
        names = dict.fromkeys(name for row in rows for name in row if name not in known)
        data_tables.add_columns(table, [(name, guess_type(row.get(name) for row in rows)) for name in names])


def _show(table: DataTable, rows: Sequence[Row]) -> list[dict[str, Any]]:
    return [row.show(data_tables.columns_of(table)) for row in rows]
