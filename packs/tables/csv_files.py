"""CSV import into tables, and export. An import is checked as a whole before it writes, and undone if it fails."""

from __future__ import annotations

import csv
import io
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import closing
from tempfile import SpooledTemporaryFile
from typing import IO, Any, NamedTuple

import orjson
from flask import Response

import fields
from api.audit import begin_entry
from api.files import MAX_FORM, receive
from api.http.auth import require_role
from api.http.json_io import Resource, get_request
from constants import FORMULA_STARTS, MULTIPART
from database.queries import data_tables
from database.queries.data_rows import MAX_ROWS, Row, encode_cells, read_whole
from database.queries.row_imports import RowImport
from database.queries.table_columns import SYSTEM, TableColumn, guess_type_of_texts, show_time, to_cell
from errors import BadInput, Conflict, HeadraceError, Issue, NotJson, TooLarge
from fields import Out, Shape, Strict, choice, text
from models import DataTable
from nodes.core.logic import disposition
from packs.tables.api import MAX_FILTER, read_filter
from schemas import Error

blueprint = Resource("table_csv", "CSV import and export of tables")
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


@blueprint.post("/tables/<table>/import")
@require_role("editor", takes_form=True, table=DataTable)
@blueprint.doc(requestBody={"required": True, "content": {MULTIPART: {"schema": ImportForm}}})
@blueprint.response(200, ImportOut)
@blueprint.alt_response(413, schema=Error)
@blueprint.alt_response(415, schema=Error)
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
        raise _make_error(plan)
    columns = table.columns

    def add_columns() -> None:
        if table.columns != columns:
            raise Conflict("The columns of the table were changed meanwhile; import the file again")
        data_tables.add_columns(table, ((column.name, column.type) for column in plan.new))

    entry = begin_entry("table.imported").about(table)
    entry.note(file=name[:100], rows_added=len(plan.texts), rows_skipped=plan.skipped)
    RowImport(table, plan.texts).run(add_columns, entry.written())
    return {
        "imported": len(plan.texts),
        "skipped": plan.skipped,
        "columns_added": [column.name for column in plan.new],
        "issues": [{"line": line, "message": message} for line, message in plan.issues],
    }


@blueprint.get("/tables/<table>/export")
@require_role("operator", table=DataTable)
@blueprint.arguments(ExportArgs, location="query")
@blueprint.response(200, {"type": "string"}, content_type="text/csv", description="The rows as CSV in UTF-8")
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
        found = list(_bounded(rows))
    targets, new = _find_columns(table, headers, _read_mapping(form["mapping"]), form["create_columns"], found)
    texts: list[str] = []
    issues: list[tuple[int, str]] = []
    skipped = 0
    for line, cells in found:
        try:
            texts.append(_encode(cells, targets))
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


def _bounded(rows: Iterator[tuple[int, list[str]]]) -> Iterator[tuple[int, list[str]]]:
    for number, row in enumerate(rows, 1):
        if number > MAX_ROWS:
            raise TooLarge(f"The file has more than {MAX_ROWS:,} rows, the limit of a table")
        yield row


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
    present = {column.name.lower(): column for column in data_tables.columns_of(table)}
    wanted = [mapping.get(header, _unescape(header)) for header in (header.strip() for header in headers)]
    names = [None if not name or name.lower() in SYSTEM else name for name in wanted]
    missing = {name: at for at, name in enumerate(names) if name and name.lower() not in present}
    if missing and not creates:
        unmapped = [name for name in missing if name in mapping.values()]
        if unmapped:
            raise BadInput(f"mapping: the table has no column {unmapped[0]!r}; send create_columns=true to add it")
        missing = {}
    new = data_tables.plan_columns(
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


def _encode(cells: Sequence[str], targets: Sequence[TableColumn | None]) -> str:
    if len(cells) > len(targets):
        raise BadInput(f"has {len(cells)} values, but there are {len(targets)} headers")
    given = ((column, cell) for column, cell in zip(targets, cells, strict=False) if column and cell != "")
    return encode_cells({column.id: to_cell(column, _unescape(cell), is_lenient=True) for column, cell in given})


def _unescape(cell: str) -> str:
    """Return the text without the apostrophe that an export put before it."""
    return cell[1:] if cell[:1] == "'" and _needs_apostrophe(cell) else cell


def _needs_apostrophe(text: str) -> bool:
    """Return True for text that begins like a formula, also after apostrophes: each import takes off one of them."""
    return text.lstrip("'").startswith(FORMULA_STARTS)


def _make_error(plan: CsvImport) -> BadInput:
    line, message = plan.issues[0]
    more = f" (and {plan.skipped - 1:,} more rows)" if plan.skipped > 1 else ""
    details = [Issue(f"line {line}", message) for line, message in plan.issues]
    return BadInput(f"Nothing was imported. Line {line}: {message}{more}", details)


# Writing


def _write_lines(table: DataTable, rows: Iterable[Row]) -> Iterator[str]:
    columns = data_tables.columns_of(table)
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
