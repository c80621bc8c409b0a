"""The nodes that read and write documents of the workspace's files: spreadsheets and PDF."""

from __future__ import annotations

import math
import re
import shutil
import xml.etree.ElementTree as ET
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime, time, timedelta
from io import BytesIO
from itertools import chain
from typing import IO, Any
from zipfile import ZIP_DEFLATED, ZIP_STORED, BadZipFile, ZipFile, ZipInfo

from marshmallow import Schema, fields, validate

from errors import NodeError
from nodes.base import Context, Node, check_installed, setting
from nodes.files import check_secrets, described, path_of
from nodes.kinds import anything, choice, text, text_of
from nodes.placeholders import texts
from reading import read_apart

MOST_ROWS, MOST_COLUMNS, MOST_CELL = 100_000, 1_000, 32_767
# A spreadsheet is a zip of XML: what it unzips to is bounded before anything is parsed.
MOST_UNZIPPED, MOST_PARTS, PIECE = 64 * 2**20, 5_000, 64 * 1024
MOST_PDF, MOST_PAGES, MOST_TEXT, PDF_SECONDS = 50 * 2**20, 2_000, 10 * 2**20, 60.0
# What XML 1.0 cannot have.
ILLEGAL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
# What libraries raise over a file in which something is not what they take it for.
SLIPS = (AttributeError, IndexError, KeyError, RecursionError, TypeError, ValueError)


class Spreadsheet(Node):
    """Reads an Excel file (xlsx) as a list of objects, or writes one from such a list."""

    type = "spreadsheet"
    category = "data"
    icon = "file-spreadsheet"
    also = ("xlsx", "sheet", "convert to file", "extract from file")
    pure = False
    extra = "spreadsheet"
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
        operation = choice("What to do", ("read", "write"), required=True)
        file = anything("The file: uploads/orders.xlsx, or what another node gave for it", required=True)
        items = anything("For write: a list of objects, or of lists; without it, the input")
        sheet = text("The name of the sheet; without it, the first", most=31)
        header = setting(
            fields.Boolean, "Whether the first row has the names of the columns", literal=True, load_default=True
        )

    def run(self, config: dict[str, Any], input: Any, ctx: Context) -> Any:
        check_installed(type(self))
        where = path_of(config["file"])
        if config["operation"] == "write":
            if where.lower().endswith((".csv", ".xls", ".ods", ".tsv")):
                raise NodeError(
                    "file: has to end in .xlsx, for that is what is written; the node csv writes CSV", permanent=True
                )
            items = config.get("items", input)
            check_secrets(ctx, [where, config.get("sheet", ""), *texts([items])])
            rows = rows_of(items, config["header"])
            return _write(rows, where, config.get("sheet", "Sheet1"), ctx)
        with ctx.need_files().reading(where) as file:
            found = list(_read(file, where, config.get("sheet"), ctx))
        return as_objects(found) if config["header"] else found


def _read(file: IO[bytes], where: str, name: str | None, ctx: Context) -> Iterator[list[Any]]:
    """The rows of a sheet that are not empty, as JSON values."""
    import openpyxl
    from defusedxml.common import DefusedXmlException
    from openpyxl.utils.exceptions import InvalidFileException

    try:
        book = openpyxl.load_workbook(_as_it_says(file, where), read_only=True, data_only=True, keep_links=False)
        names = book.sheetnames
        if not names or (name is not None and name not in names):
            raise NodeError(f"{where!r} has no sheet {name!r}; there are {', '.join(names)[:300]}", permanent=True)
        sheet = book[name or names[0]]
        # What a file says about its own size need not be true.
        sheet.reset_dimensions()
        for number, row in enumerate(sheet.iter_rows(values_only=True)):
            ctx.seconds_left(1)
            if number >= MOST_ROWS:
                raise NodeError(f"{where!r} has more than {MOST_ROWS} rows", permanent=True)
            values = _trimmed(row)
            if len(values) > MOST_COLUMNS:
                raise NodeError(f"{where!r} has more than {MOST_COLUMNS} columns", permanent=True)
            if values:
                yield values
    except (InvalidFileException, BadZipFile, DefusedXmlException, ET.ParseError, *SLIPS) as error:
        why = str(error).partition("\n")[0][:200]
        raise NodeError(f"{where!r} is no xlsx file that can be read: {why}", permanent=True) from None


def _as_it_says(file: IO[bytes], where: str) -> IO[bytes]:
    """The zip anew, each part as long as it says. NodeError for what is no zip, or unzips to too much.

    The library reads parts as a whole, and Python unzips all of one, up to 2 GB, before it cuts it to that size.
    """
    try:
        with ZipFile(file) as archive:
            parts = list({part.filename: part for part in archive.infolist()}.values())
            _check_parts(parts, where)
            made = BytesIO()
            with ZipFile(made, "w") as copy:
                for part in parts:
                    with archive.open(part) as source, copy.open(part.filename, "w") as target:
                        shutil.copyfileobj(source, target, PIECE)
    except (BadZipFile, ValueError, NotImplementedError, OSError, RuntimeError, EOFError, zlib.error):
        raise NodeError(
            f"{where!r} is no xlsx file that can be read (older xls files have to be saved anew)", True
        ) from None
    return made


def _check_parts(parts: Sequence[ZipInfo], where: str) -> None:
    if len(parts) > MOST_PARTS or sum(part.file_size for part in parts) > MOST_UNZIPPED:
        raise NodeError(f"{where!r} unzips to more than {MOST_UNZIPPED} bytes or {MOST_PARTS} parts", permanent=True)
    if any(part.compress_type not in (ZIP_STORED, ZIP_DEFLATED) for part in parts):
        raise NodeError(f"{where!r} is zipped in a way that no spreadsheet is", permanent=True)


def _trimmed(row: Sequence[Any]) -> list[Any]:
    """The values of a row as JSON, without the empty ones at its end."""
    width = next((at for at in range(len(row), 0, -1) if row[at - 1] is not None), 0)
    return [_json(value) for value in row[:width]]


def _json(value: Any) -> Any:
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if value is None or isinstance(value, str | int | float | bool) else str(value)


def as_objects(rows: list[list[Any]]) -> list[dict[str, Any]]:
    """Rows under the names in the first of them; a column without one is `column 3`, a second `a` is `a 2`."""
    if not rows:
        return []
    width = max(map(len, rows))
    names: dict[str, None] = {}
    for number, title in enumerate([*rows[0], *[None] * (width - len(rows[0]))], 1):
        base = name = f"column {number}" if title is None or not str(title).strip() else text_of(title).strip()
        again = 2
        while name in names:
            name, again = f"{base} {again}", again + 1
        names[name] = None
    return [dict(zip(names, [*row, *[None] * (width - len(row))], strict=False)) for row in rows[1:]]


def rows_of(items: Any, header: bool) -> Iterator[list[Any]]:
    """Rows of objects, the names of their columns first where `header` says so; or of lists, as they are."""
    if not isinstance(items, list):
        raise NodeError("items: must be a list of objects or of lists", permanent=True)
    if len(items) > MOST_ROWS:
        raise NodeError(f"items: has more than {MOST_ROWS} rows", permanent=True)
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


def _write(rows: Iterable[list[Any]], where: str, title: str, ctx: Context) -> dict[str, Any]:
    import openpyxl

    if bad := [letter for letter in "[]:*?/\\" if letter in title]:
        raise NodeError(f"sheet: the name may not have {bad[0]} in it", permanent=True)
    book = openpyxl.Workbook(write_only=True)
    sheet = book.create_sheet(title)
    for row in rows:
        ctx.seconds_left(1)
        if len(row) > MOST_COLUMNS:
            raise NodeError(f"items: more than {MOST_COLUMNS} columns", permanent=True)
        sheet.append([_cell(sheet, value) for value in row])
    buffer = BytesIO()
    book.save(buffer)
    return described(where, ctx.need_files().write(where, buffer.getvalue()))


def _cell(sheet: Any, value: Any) -> Any:
    """A cell with the value: a text stays a text, so that nobody's data is calculated as a formula."""
    from openpyxl.cell import WriteOnlyCell

    if isinstance(value, int | float | bool) or value is None:
        return value
    cell = WriteOnlyCell(sheet, value=ILLEGAL.sub("", text_of(value))[:MOST_CELL])
    cell.data_type = "s"
    return cell


class Pdf(Node):
    """Takes the text out of a PDF file, page by page, and what the file says about itself."""

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
        file = anything("The file: uploads/invoice.pdf, or what another node gave for it", required=True)
        password = text("The password, where the file has one: {{ secrets.pdf }}", most=200)
        max_pages = setting(
            fields.Integer(strict=True, load_default=MOST_PAGES, validate=validate.Range(1, MOST_PAGES)),
            "How many pages to read at most",
            literal=True,
        )

    def run(self, config: dict[str, Any], input: Any, ctx: Context) -> Any:
        where = path_of(config["file"])
        files = ctx.need_files()
        if files.size(where) > MOST_PDF:
            raise NodeError(f"{where!r} has more than {MOST_PDF} bytes", permanent=True)
        options = {"password": config.get("password"), "max_pages": config["max_pages"], "most": MOST_TEXT}
        found = read_apart("pdf", options, files.read(where), ctx.seconds_left(PDF_SECONDS))
        if "problem" in found:
            raise NodeError(f"{where!r} {found['problem']}", permanent=True)
        return {key: found[key] for key in ("text", "pages", "page_count", "info")}
