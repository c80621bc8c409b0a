"""Document nodes: read and write spreadsheets, and read PDF."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from io import BytesIO
from itertools import chain
from typing import Any

from errors import LimitExceeded, MalformedData, NodeError
from fields import Schema
from nodes.base import Context, Node, check_installed
from nodes.fields import anything, choice, flag, text, text_of, texts, to_objects, whole
from nodes.files.files import describe_file, get_path
from nodes.files.node import check_secrets
from parsers.process import read_apart

MAX_ROWS, MAX_COLUMNS, MAX_CELL = 100_000, 1_000, 32_767
MAX_DOCUMENT, READ_SECONDS = 50 * 2**20, 60.0
MAX_PAGES, MAX_TEXT = 2_000, 10 * 2**20
# Characters that XML 1.0 does not permit.
ILLEGAL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")


class Spreadsheet(Node):
    """Reads an Excel file (xlsx) as a list of objects, or writes one from such a list."""

    type = "spreadsheet"
    category = "data"
    icon = "file-spreadsheet"
    also = ("xlsx", "sheet", "convert to file", "extract from file")
    pure = False
    extra = "formats"
    requires = ("openpyxl",)
    examples = (
        {
            "config": {"operation": "read", "file": "uploads/orders.xlsx", "sheet": "May"},
            "input": None,
            "output": [{"id": 1, "total": 9.5}, {"id": 2, "total": 20}],
        },
        {
            "config": {"operation": "write", "file": "reports/orders.xlsx", "items": "{{ input }}"},
            "input": [{"id": 1, "total": 9.5}],
            "output": {
                "path": "reports/orders.xlsx",
                "name": "orders.xlsx",
                "size": 4900,
                "content_type": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
            },
        },
    )

    class Config(Schema):
        operation = choice(
            "The operation on the file", {"read": "Read", "write": "Write"}, required=True, title="Operation"
        )
        file = anything(
            "The file: uploads/orders.xlsx, or the output of another node", required=True, title="File", names="file"
        )
        items = anything("For write: a list of objects, or of lists. Default: the input", title="Rows")
        sheet = text("The name of the sheet. Default: the first", most=31, title="Sheet")
        header = flag("The first row contains the column names", True, title="Header row")

    def run(self, config: dict[str, Any], input: Any, ctx: Context) -> Any:
        check_installed(type(self))
        where = get_path(config["file"])
        if config["operation"] == "write":
            if where.lower().endswith((".csv", ".xls", ".ods", ".tsv")):
                raise NodeError("file: must end in .xlsx, the format that is written; use the node csv for CSV", True)
            import openpyxl

            items = config.get("items", input)
            check_secrets(ctx, [where, config.get("sheet", ""), *texts([items])])
            rows = to_rows(items, config["header"])
            title = config.get("sheet", "Sheet1")
            if bad := [letter for letter in "[]:*?/\\" if letter in title]:
                raise NodeError(f"sheet: the name must not contain {bad[0]}", permanent=True)
            book = openpyxl.Workbook(write_only=True)
            sheet = book.create_sheet(title)
            for row in rows:
                ctx.seconds_left(1)
                if len(row) > MAX_COLUMNS:
                    raise LimitExceeded(f"items: more than {MAX_COLUMNS} columns")
                sheet.append([_cell(sheet, value) for value in row])
            buffer = BytesIO()
            book.save(buffer)
            return describe_file(where, ctx.need_files().write(where, buffer.getvalue()))
        options = {"sheet": config.get("sheet"), "max_rows": MAX_ROWS, "max_columns": MAX_COLUMNS}
        found = _parse("packs.formats.spreadsheet", options, where, ctx)["rows"]
        return to_objects(found) if config["header"] else found


def _parse(parser: str, options: dict[str, Any], where: str, ctx: Context) -> Any:
    """Return the file's content from this parser. Raises: NodeError if it is too large, or malformed."""
    files = ctx.need_files()
    if files.size(where) > MAX_DOCUMENT:
        raise LimitExceeded(f"{where!r} has more than {MAX_DOCUMENT} bytes")
    found = read_apart(parser, options, files.read(where), ctx.seconds_left(READ_SECONDS), ctx.workspace_id)
    if "problem" in found:
        raise MalformedData(f"{where!r} {found['problem']}")
    return found


def to_rows(items: Any, header: bool) -> Iterator[list[Any]]:
    """Yield rows for objects, with the column names first if `header`; or for lists, as they are."""
    if not isinstance(items, list):
        raise NodeError("items: must be a list of objects or of lists", permanent=True)
    if len(items) > MAX_ROWS:
        raise LimitExceeded(f"items: has more than {MAX_ROWS} rows")
    names = list(dict.fromkeys(chain.from_iterable(item for item in items if isinstance(item, Mapping))))
    if names and header:
        yield list(names)
    for number, item in enumerate(items):
        if isinstance(item, Mapping):
            yield [item.get(name) for name in names]
        elif isinstance(item, list):
            yield item
        else:
            raise NodeError(f"items[{number}]: must be an object or a list", permanent=True)


def _cell(sheet: Any, value: Any) -> Any:
    """Return a cell with the value; text stays text, so that it is not calculated as a formula."""
    from openpyxl.cell import WriteOnlyCell

    if isinstance(value, int | float | bool) or value is None:
        return value
    cell = WriteOnlyCell(sheet, value=ILLEGAL.sub("", text_of(value))[:MAX_CELL])
    cell.data_type = "s"
    return cell


class Pdf(Node):
    """Extracts the text of a PDF file, page by page, and the metadata of the file."""

    type = "pdf"
    category = "data"
    title = "PDF text"
    icon = "file-type-pdf"
    also = ("extract from file", "read pdf", "document")
    examples = (
        {
            "config": {"file": "uploads/invoice.pdf"},
            "input": None,
            "output": {
                "text": "Invoice 2026-17",
                "pages": ["Invoice 2026-17"],
                "page_count": 1,
                "info": {"title": "Invoice"},
            },
        },
    )

    class Config(Schema):
        file = anything(
            "The file: uploads/invoice.pdf, or the output of another node", required=True, title="File", names="file"
        )
        password = text("The password of the file, if it has one: {{ secrets.pdf }}", most=200, title="Password")
        max_pages = whole("Maximum number of pages to read", 1, MAX_PAGES, load_default=MAX_PAGES, title="Max pages")

    def run(self, config: dict[str, Any], input: Any, ctx: Context) -> Any:
        options = {"password": config.get("password"), "max_pages": config["max_pages"], "most": MAX_TEXT}
        found = _parse("packs.formats.pdf", options, get_path(config["file"]), ctx)
        return {key: found[key] for key in ("text", "pages", "page_count", "info")}
