"""Tables of a workspace: their columns and rows. Import and export are in table_csv.py."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import orjson
from marshmallow import ValidationError
from marshmallow.validate import Length, Range

import fields
from api.audit import record_change, remove
from api.http.auth import get_workspace_id, require_role
from api.http.json_io import Resource
from constants import OPERATORS
from database.queries import data_tables
from database.queries.data_rows import (
    Row,
    changing,
    count,
    delete_rows,
    encode_cells,
    find,
    find_all,
    insert_rows,
    place_of,
    select,
    to_cells,
    update_rows,
)
from database.queries.table_columns import TYPES, RowFilter, make_filter, make_order
from errors import BadInput, NotFound
from fields import Cursor, Json, Out, Strict, Time, choice, text
from models import DataTable
from schemas import PageArgs, SliceArgs, listed, slice_of

blueprint = Resource("tables", "Tables of the workspace")
MAX_TABLE_NAME, MAX_CHANGED = 100, 500
MAX_FILTER = 4_000  # characters of JSON
VALUES = {"type": "object", "additionalProperties": True}


class ColumnOut(Out):
    id = fields.String(help="Stays the same when the column is renamed")
    name = fields.String()
    type = choice(tuple(TYPES))
    indexed = fields.Boolean(help="Rows are found at once by an equal value: set by the first upsert by this column")


class TableOut(Out):
    id = fields.String()
    name = fields.String()
    columns = fields.List(fields.Nested(ColumnOut), from_row=data_tables.columns_of)
    row_count = fields.Integer()
    created_at = Time()
    updated_at = Time(help="Of the last change of the table or its rows")


class ColumnIn(Strict):
    name = text(60, required=True)
    type = choice(tuple(TYPES), load_default="text")


class ColumnChange(Strict):
    name = text(60)
    position = fields.Integer(strict=True, validate=Range(0, 49), help="From 0, the first column")


class TableIn(Strict):
    name = text(MAX_TABLE_NAME, required=True)
    columns = fields.List(fields.Nested(ColumnIn), load_default=list, validate=Length(max=50))


class TableChange(Strict):
    name = text(MAX_TABLE_NAME, required=True)


class RowOut(Out):
    id = fields.String()
    values = Json(metadata=VALUES, help="By the names of columns; an empty cell is null")
    created_at = Time()
    updated_at = Time()


class RowCursor(Cursor):
    """Cursor of a list of rows: the sort key and the id of the last row of the page before."""

    pattern = re.compile(r"\A\[[^\0]{1,2000}\]\Z")


class RowArgs(PageArgs):
    cursor = RowCursor(load_default=None)
    filter = text(
        MAX_FILTER,
        0,
        is_stored=False,
        load_default="",
        help='Conditions as JSON: `[{"column": "total", "operator": "gte", "value": 100}]`. Operators: '
        + ", ".join(OPERATORS),
    )
    match = choice(("all", "any"), load_default="all", help="Whether all conditions must hold, or any")
    sort = text(61, 0, is_stored=False, load_default="", help="A column; `-total`: the largest first. Default: `id`")


class RowValues(Strict):
    values = fields.Dict(keys=fields.String(), required=True, metadata=VALUES, help="By the names of columns")


class RowsIn(Strict):
    rows = fields.List(
        fields.Dict(keys=fields.String(), metadata=VALUES), required=True, validate=Length(1, MAX_CHANGED)
    )


class RowIds(Strict):
    ids = fields.List(text(64), required=True, validate=Length(1, MAX_CHANGED))


class DeletedOut(Out):
    deleted = fields.Integer()


class ConditionIn(Strict):
    column = fields.String(required=True)
    operator = fields.String(load_default="eq")
    value = fields.Raw(load_default=None, allow_none=True)


CONDITIONS = ConditionIn(many=True)
TOTAL = fields.Integer(help="The number of all rows that match")


# Tables and columns


@blueprint.get("/tables")
@require_role("viewer", only_database=True)
@blueprint.arguments(SliceArgs, location="query")
@blueprint.response(200, listed(TableOut))
def list_tables(args: dict[str, Any]) -> Any:
    """List the tables of the workspace by name."""
    return slice_of(data_tables.of(get_workspace_id()), args)


@blueprint.post("/tables")
@require_role("editor")
@blueprint.arguments(TableIn)
@blueprint.response(201, TableOut)
def create(body: dict[str, Any]) -> Any:
    """Create a table. 409 if the name is taken."""
    columns = [(column["name"], column["type"]) for column in body["columns"]]
    with record_change("table.created") as entry:
        table = data_tables.make(get_workspace_id(), body["name"].strip(), columns)
        entry.about(table).note(columns=len(columns))
    return table


@blueprint.get("/tables/<table>")
@require_role("viewer", table=DataTable)
@blueprint.response(200, TableOut)
def get_table(table: DataTable) -> Any:
    """Show a table with its columns."""
    return table


@blueprint.patch("/tables/<table>")
@require_role("editor", table=DataTable)
@blueprint.arguments(TableChange)
@blueprint.response(200, TableOut)
def rename(body: dict[str, Any], table: DataTable) -> Any:
    """Rename a table. Flows that use it by its former name fail."""
    before, name = table.name, body["name"].strip()
    with record_change("table.changed", table) as entry:
        data_tables.rename(table, name)
        entry.note(name={"before": before, "after": name})
    return table


@blueprint.delete("/tables/<table>")
@require_role("editor", table=DataTable)
@blueprint.response(204)
def delete(table: DataTable) -> None:
    """Delete a table with all of its rows."""
    remove("table.deleted", table, data_tables.remove)


@blueprint.post("/tables/<table>/columns")
@require_role("editor", table=DataTable)
@blueprint.arguments(ColumnIn)
@blueprint.response(201, TableOut)
def add_column(body: dict[str, Any], table: DataTable) -> Any:
    """Add a column at the end."""
    with record_change("table.changed", table) as entry, changing(table):
        data_tables.add_columns(table, [(body["name"], body["type"])])
        entry.note(column_added=body["name"])
    return table


@blueprint.patch("/tables/<table>/columns/<column_id>")
@require_role("editor", table=DataTable)
@blueprint.arguments(ColumnChange)
@blueprint.response(200, TableOut)
def change_column(body: dict[str, Any], table: DataTable, column_id: str) -> Any:
    """Rename or move a column. Its type cannot change: add another column instead."""
    with record_change("table.changed", table) as entry, changing(table):
        before = data_tables.find_column(table, column_id).name
        after = data_tables.change_column(table, column_id, body.get("name"), body.get("position"))
        entry.note(column={"before": before, "after": after.name})
    return table


@blueprint.delete("/tables/<table>/columns/<column_id>")
@require_role("editor", table=DataTable)
@blueprint.response(200, TableOut)
def delete_column(table: DataTable, column_id: str) -> Any:
    """Delete a column with its values."""
    with record_change("table.changed", table) as entry, changing(table):
        entry.note(column_deleted=data_tables.drop_column(table, column_id).name)
    return table


# Rows


@blueprint.get("/tables/<table>/rows")
@require_role("operator", table=DataTable)
@blueprint.arguments(RowArgs, location="query")
@blueprint.response(200, listed(RowOut, total=TOTAL))
def list_rows(args: dict[str, Any], table: DataTable) -> Any:
    """List rows, oldest first or by a column.

    Viewers cannot: the API hides signatures of answer links from them, and a row may contain such a link.
    """
    where = read_filter(table, args["filter"], args["match"])
    order = make_order(data_tables.by_name(table), args["sort"])
    rows = select(table, where, order, args["limit"] + 1, _read_place(args["cursor"]))
    shown = rows[: args["limit"]]
    cursor = orjson.dumps(place_of(shown[-1], order)).decode() if len(rows) > len(shown) else None
    return {"items": [_show(table, row) for row in shown], "next_cursor": cursor, "total": count(table, where)}


@blueprint.post("/tables/<table>/rows")
@require_role("operator", table=DataTable)
@blueprint.arguments(RowsIn)
@blueprint.response(201, listed(RowOut))
def add_rows(body: dict[str, Any], table: DataTable) -> Any:
    """Add rows, all or none."""
    with record_change("table.edited", table) as entry, changing(table):
        ids = insert_rows(table, [encode_cells(to_cells(table, row, is_lenient=True)) for row in body["rows"]])
        entry.note(rows_added=len(ids))
    return {"items": [_show(table, row) for row in find_all(table, ids)], "next_cursor": None}


@blueprint.patch("/tables/<table>/rows/<row_id>")
@require_role("operator", table=DataTable)
@blueprint.arguments(RowValues)
@blueprint.response(200, RowOut)
def change_row(body: dict[str, Any], table: DataTable, row_id: str) -> Any:
    """Change values of a row; those that are not given stay."""
    with record_change("table.edited", table) as entry, changing(table):
        cells = to_cells(table, body["values"], is_lenient=True)
        update_rows(table, [_find(table, row_id)], lambda row: cells)
        entry.note(rows_changed=1)
        return _show(table, _find(table, row_id))


@blueprint.get("/tables/<table>/rows/<row_id>")
@require_role("operator", table=DataTable)
@blueprint.response(200, RowOut)
def get_row(table: DataTable, row_id: str) -> Any:
    """Show a row."""
    return _show(table, _find(table, row_id))


@blueprint.post("/tables/<table>/rows/delete")
@require_role("operator", table=DataTable)
@blueprint.arguments(RowIds)
@blueprint.response(200, DeletedOut)
@blueprint.doc(operationId="delete_table_rows")
def delete_many(body: dict[str, Any], table: DataTable) -> Any:
    """Delete rows. Ids of rows that no longer exist are ignored."""
    with record_change("table.edited", table) as entry, changing(table):
        deleted = delete_rows(table, find_all(table, list(dict.fromkeys(body["ids"]))))
        entry.note(rows_deleted=deleted)
    return {"deleted": deleted}


@blueprint.delete("/tables/<table>/rows/<row_id>")
@require_role("operator", table=DataTable)
@blueprint.response(204)
def delete_row(table: DataTable, row_id: str) -> None:
    """Delete a row."""
    with record_change("table.edited", table) as entry, changing(table):
        delete_rows(table, [_find(table, row_id)])
        entry.note(rows_deleted=1)


def read_filter(table: DataTable, written: str, match: str) -> RowFilter:
    """Return the filter of a query. Raises: BadInput."""
    if not written:
        return RowFilter()
    try:
        given: Sequence[dict[str, Any]] = CONDITIONS.load(orjson.loads(written))
    except (ValueError, ValidationError):
        raise BadInput(
            'filter: must be a JSON list such as [{"column": "total", "operator": "gte", "value": 1}]'
        ) from None
    return make_filter(
        data_tables.by_name(table), ([(one["column"], one["operator"], one["value"]) for one in given], match == "any")
    )


def _read_place(cursor: str | None) -> Any:
    if cursor is None:
        return None
    try:
        value, id_ = orjson.loads(cursor)
    except ValueError:
        raise BadInput("cursor: is not a cursor from this server; use the next_cursor of a response") from None
    if not isinstance(id_, str) or isinstance(value, dict | list):
        raise BadInput("cursor: is not a cursor from this server; use the next_cursor of a response")
    return value, id_


def _find(table: DataTable, row_id: str) -> Row:
    if (row := find(table, row_id)) is None:
        raise NotFound(f"The table {table.name!r} has no row {row_id[:64]!r}")
    return row


def _show(table: DataTable, row: Row) -> dict[str, Any]:
    values = {column.name: row.cells.get(column.id) for column in data_tables.columns_of(table)}
    return {"id": row.id, "values": values, "created_at": row.created_at, "updated_at": row.updated_at}
