"""The API of tables: columns, rows, and their import and export as CSV files."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import closing
from itertools import islice
from tempfile import SpooledTemporaryFile
from typing import IO, Any, NamedTuple

import orjson
from flask import Response
from marshmallow import ValidationError
from marshmallow.validate import Length, Range

import fields
from api.audit import begin_entry, record_change, remove
from api.files import MAX_FORM, receive
from api.http.auth import get_workspace_id, require_role
from api.http.json_io import Resource, get_request
from api.http.paging import Cursor, PageArgs, SliceArgs, listed, slice_of
from constants import FORMULA_STARTS, MULTIPART, OPERATORS
from errors import BadInput, Conflict, HeadraceError, Issue, NotFound, NotJson, TooLarge
from fields import Json, Out, Shape, Strict, Time, choice, text
from models import DataTable
from nodes.core.logic import disposition
from packs.tables import queries
from packs.tables.columns import (
    SYSTEM,
    TYPES,
    RowFilter,
    TableColumn,
    guess_type_of_texts,
    make_filter,
    make_order,
    show_time,
    to_cell,
)
from packs.tables.queries import (
    MAX_ROWS,
    Row,
    RowImport,
    changing,
    count,
    delete_rows,
    encode_cells,
    find,
    find_all,
    insert_rows,
    place_of,
    read_whole,
    select,
    to_cells,
    update_rows,
)
from schemas import Error

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
    columns = fields.List(fields.Nested(ColumnOut), from_row=queries.columns_of)
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
    match = choice(("all", "any"), load_default="all", help="Combine the conditions: all of them must hold, or any")
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
    return slice_of(queries.list_tables(get_workspace_id()), args)


@blueprint.post("/tables")
@require_role("editor")
@blueprint.arguments(TableIn)
@blueprint.response(201, TableOut)
def create(body: dict[str, Any]) -> Any:
    """Create a table. 409 if the name is taken."""
    columns = [(column["name"], column["type"]) for column in body["columns"]]
    with record_change("table.created") as entry:
        table = queries.make_table(get_workspace_id(), body["name"].strip(), columns)
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
        queries.rename_table(table, name)
        entry.note(name={"before": before, "after": name})
    return table


@blueprint.delete("/tables/<table>")
@require_role("editor", table=DataTable)
@blueprint.response(204)
def delete(table: DataTable) -> None:
    """Delete a table with all of its rows."""
    remove("table.deleted", table, queries.remove_table)


@blueprint.post("/tables/<table>/columns")
@require_role("editor", table=DataTable)
@blueprint.arguments(ColumnIn)
@blueprint.response(201, TableOut)
def add_column(body: dict[str, Any], table: DataTable) -> Any:
    """Add a column at the end."""
    with record_change("table.changed", table) as entry, changing(table):
        queries.add_columns(table, [(body["name"], body["type"])])
        entry.note(column_added=body["name"])
    return table


@blueprint.patch("/tables/<table>/columns/<column_id>")
@require_role("editor", table=DataTable)
@blueprint.arguments(ColumnChange)
@blueprint.response(200, TableOut)
def change_column(body: dict[str, Any], table: DataTable, column_id: str) -> Any:
    """Rename or move a column. Its type cannot change: add another column instead."""
    with record_change("table.changed", table) as entry, changing(table):
        before = queries.find_column_by_id(table, column_id).name
        after = queries.change_column(table, column_id, body.get("name"), body.get("position"))
        entry.note(column={"before": before, "after": after.name})
    return table


@blueprint.delete("/tables/<table>/columns/<column_id>")
@require_role("editor", table=DataTable)
@blueprint.response(200, TableOut)
def delete_column(table: DataTable, column_id: str) -> Any:
    """Delete a column with its values."""
    with record_change("table.changed", table) as entry, changing(table):
        entry.note(column_deleted=queries.drop_column(table, column_id).name)
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
    order = make_order(queries.columns_by_name(table), args["sort"])
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
        queries.columns_by_name(table),
        ([(one["column"], one["operator"], one["value"]) for one in given], match == "any"),
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
    values = {column.name: row.cells.get(column.id) for column in queries.columns_of(table)}
    return {"id": row.id, "values": values, "created_at": row.created_at, "updated_at": row.updated_at}


# CSV import into tables, and export. An import is checked as a whole before it writes, and undone if it fails.

csv_blueprint = Resource("table_csv", "CSV import and export of tables")
MAX_BYTES = 50 * 2**20
IN_MEMORY = 2**20
MAX_ISSUES = 50
SAMPLE = 64 * 1024


class ImportIn(Strict):
    """The form fields besides the file."""

    mapping = text(
        20_000,
        0,
        load_default="",
        is_stored=False,
        help='The column for each header as JSON: `{"E-mail": "email", "Notes": null}`; null ignores it. Headers that '
        "are not mentioned mean the column of the same name",
    )
    create_columns = fields.Boolean(load_default=False, help="Add columns that the table lacks, with guessed types")
    skip_invalid = fields.Boolean(load_default=False, help="Import the other rows if some are not valid")


class ImportForm(ImportIn):
    """The whole form, for the OpenAPI document."""

    file = fields.Raw(required=True, metadata={"type": "string", "format": "binary"}, help="CSV in UTF-8")


class RowIssue(Out):
    line = fields.Integer(help="In the file; 1 is the first")
    message = fields.String()


class ImportOut(Out):
    imported = fields.Integer(help="Number of added rows")
    skipped = fields.Integer(help="Number of rows that are not valid, with `skip_invalid`")
    columns_added = fields.List(fields.String())
    issues = fields.List(fields.Nested(RowIssue), help=f"The first {MAX_ISSUES} of the skipped rows")


class ExportArgs(Shape):
    filter = text(MAX_FILTER, 0, is_stored=False, load_default="", help="As in the list of rows")
    match = choice(("all", "any"), load_default="all")


class CsvImport(NamedTuple):
    """The result of reading a file: rows as JSON of their cells, new columns, and the invalid rows."""

    texts: list[str]
    new: list[TableColumn]
    issues: list[tuple[int, str]]
    skipped: int


FORM = ImportIn()


@csv_blueprint.post("/tables/<table>/import")
@require_role("editor", takes_form=True, table=DataTable)
@csv_blueprint.doc(requestBody={"required": True, "content": {MULTIPART: {"schema": ImportForm}}})
@csv_blueprint.response(200, ImportOut)
@csv_blueprint.alt_response(413, schema=Error)
@csv_blueprint.alt_response(415, schema=Error)
def import_rows(table: DataTable) -> Any:
    """Add the rows of a CSV file, all or none unless `skip_invalid` is true. The first line has the headers.

    Many rows are added in parts. If the server stops in the middle, it removes them again.
    """
    request = get_request()
    if request.mimetype != MULTIPART:
        raise NotJson(f"The body must be a form of the type {MULTIPART}, with the file in the field `file`")
    request.max_content_length = MAX_BYTES + MAX_FORM
    with SpooledTemporaryFile(IN_MEMORY) as file:
        form, name = receive(request, _Bounded(file).write, FORM)
        file.seek(0)
        plan = _plan(table, file, form)
    if plan.issues and not form["skip_invalid"]:
        line, message = plan.issues[0]
        more = f" (and {plan.skipped - 1:,} more rows)" if plan.skipped > 1 else ""
        details = [Issue(f"line {number}", text) for number, text in plan.issues]
        raise BadInput(f"Nothing was imported. Line {line}: {message}{more}", details)
    columns = table.columns

    def add_columns() -> None:
        if table.columns != columns:
            raise Conflict("The columns of the table were changed meanwhile; import the file again")
        queries.add_columns(table, ((column.name, column.type) for column in plan.new))

    entry = begin_entry("table.imported").about(table)
    entry.note(file=name[:100], rows_added=len(plan.texts), rows_skipped=plan.skipped)
    RowImport(table, plan.texts).run(add_columns, entry.written())
    return {
        "imported": len(plan.texts),
        "skipped": plan.skipped,
        "columns_added": [column.name for column in plan.new],
        "issues": [{"line": line, "message": message} for line, message in plan.issues],
    }


@csv_blueprint.get("/tables/<table>/export")
@require_role("operator", table=DataTable)
@csv_blueprint.arguments(ExportArgs, location="query")
@csv_blueprint.response(200, {"type": "string"}, content_type="text/csv", description="The rows as CSV in UTF-8")
def export(args: dict[str, Any], table: DataTable) -> Response:
    """Download the rows as CSV, oldest first. Text that a spreadsheet would run as a formula gets an apostrophe."""
    where = read_filter(table, args["filter"], args["match"])
    response = Response(_write_lines(table, read_whole(table, where)), content_type="text/csv; charset=utf-8")
    response.headers["Content-Disposition"] = disposition("attachment", f"{table.name}.csv")
    response.headers["Cache-Control"] = "no-store"
    return response


# Reading


class _Bounded:
    def __init__(self, file: IO[bytes]) -> None:
        self.file, self.left = file, MAX_BYTES

    def write(self, piece: bytes) -> int:
        self.left -= len(piece)
        if self.left < 0:
            raise TooLarge(f"The file has more than {MAX_BYTES:,} bytes, the limit of an import")
        return self.file.write(piece)


def _plan(table: DataTable, file: IO[bytes], form: dict[str, Any]) -> CsvImport:
    """Return the rows and columns that the file adds. Raises: BadInput, TooLarge, Conflict."""
    with closing(_read(file)) as rows:
        _, headers = next(rows, (0, []))
        if not any(headers):
            raise BadInput("file: is empty; the first line must have the headers")
        found = list(islice(rows, MAX_ROWS + 1))
    if len(found) > MAX_ROWS:
        raise TooLarge(f"The file has more than {MAX_ROWS:,} rows, the limit of a table")
    targets, new = _find_columns(table, headers, _read_mapping(form["mapping"]), form["create_columns"], found)
    texts: list[str] = []
    issues: list[tuple[int, str]] = []
    skipped = 0
    for line, cells in found:
        try:
            if len(cells) > len(targets):
                raise BadInput(f"has {len(cells)} values, but there are {len(targets)} headers")
            given = ((column, cell) for column, cell in zip(targets, cells, strict=False) if column and cell != "")
            values = {column.id: to_cell(column, _unescape(cell), is_lenient=True) for column, cell in given}
            texts.append(encode_cells(values))
        except HeadraceError as error:
            skipped += 1
            if len(issues) < MAX_ISSUES:
                issues.append((line, error.message))
    return CsvImport(texts, new, issues, skipped)


def _read(file: IO[bytes]) -> Generator[tuple[int, list[str]]]:
    """Yield the rows that are not empty, with their lines. Raises: BadInput."""
    text = io.TextIOWrapper(file, encoding="utf-8-sig", newline="")
    try:
        sample = text.read(SAMPLE).partition("\n")[0]
        text.seek(0)
        delimiter = max(",;\t|", key=sample.count)
        reader = csv.reader(text, delimiter=delimiter, strict=True)
        for row in reader:
            if any(row):
                yield reader.line_num, row
    except UnicodeDecodeError:
        raise BadInput("file: is not UTF-8 text; save it as CSV UTF-8") from None
    except csv.Error as error:
        raise BadInput(f"file: is not CSV: {error}") from None
    finally:
        text.detach()


def _read_mapping(written: str) -> dict[str, str | None]:
    try:
        found = orjson.loads(written) if written else {}
    except orjson.JSONDecodeError:
        found = None
    if not isinstance(found, dict) or not all(value is None or isinstance(value, str) for value in found.values()):
        raise BadInput('mapping: must be a JSON object of columns by header, such as {"E-mail": "email"}')
    return found


def _find_columns(
    table: DataTable, headers: Sequence[str], mapping: dict[str, str | None], creates: bool, rows: Sequence[Any]
) -> tuple[list[TableColumn | None], list[TableColumn]]:
    """Return the column of each header, None to ignore it, and those of them that are new."""
    present = {column.name.lower(): column for column in queries.columns_of(table)}
    wanted = [mapping.get(header, _unescape(header)) for header in (header.strip() for header in headers)]
    names = [None if not name or name.lower() in SYSTEM else name for name in wanted]
    missing = {name: at for at, name in enumerate(names) if name and name.lower() not in present}
    if missing and not creates:
        unmapped = [name for name in missing if name in mapping.values()]
        if unmapped:
            raise BadInput(f"mapping: the table has no column {unmapped[0]!r}; send create_columns=true to add it")
        missing = {}
    new = queries.plan_columns(
        table,
        ((name, guess_type_of_texts(row[at] for _, row in rows if at < len(row))) for name, at in missing.items()),
    )
    present |= {column.name.lower(): column for column in new}
    targets = [present.get(name.lower()) if name else None for name in names]
    used = [column for column in targets if column]
    if not used:
        raise BadInput(f"file: none of the headers is a column of the table: {', '.join(headers[:20])[:300]}")
    if len(set(used)) < len(used):
        raise BadInput("file: two headers lead to the same column; map one of them to another column")
    return targets, new


def _unescape(cell: str) -> str:
    """Return the text without the apostrophe that an export put before it."""
    return cell[1:] if cell[:1] == "'" and _needs_apostrophe(cell) else cell


def _needs_apostrophe(text: str) -> bool:
    """Return True for text that begins like a formula, also after apostrophes: each import takes off one of them."""
    return text.lstrip("'").startswith(FORMULA_STARTS)


# Writing


def _write_lines(table: DataTable, rows: Iterable[Row]) -> Iterator[str]:
    columns = queries.columns_of(table)
    yield _write_line(["id", *(_format(column.name) for column in columns), "created_at", "updated_at"])
    for row in rows:
        cells = (_format(row.cells.get(column.id)) for column in columns)
        yield _write_line([row.id, *cells, show_time(row.created_at), show_time(row.updated_at)])


def _write_line(cells: Sequence[str]) -> str:
    line = io.StringIO()
    csv.writer(line).writerow(cells)
    return line.getvalue()


def _format(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return "'" + value if _needs_apostrophe(value) else value
    return orjson.dumps(value).decode()
