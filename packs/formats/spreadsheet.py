"""Spreadsheets (xlsx): the rows of a sheet. The format is a zip of XML, which can be far larger than the file."""

from __future__ import annotations

import math
import shutil
import xml.etree.ElementTree as ET
import zlib
from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from io import BytesIO
from typing import Any
from zipfile import ZIP_DEFLATED, ZIP_STORED, BadZipFile, ZipFile

import openpyxl
from defusedxml.common import DefusedXmlException
from openpyxl.utils.exceptions import InvalidFileException

from parsers.child import SLIPS

# The unzipped size is limited before anything is parsed.
MAX_UNZIPPED, MAX_PARTS, PIECE = 64 * 2**20, 5_000, 64 * 1024


class InvalidSpreadsheet(Exception):
    """The reason why the file cannot be read, to follow its name in a sentence."""


def read(options: dict[str, Any], data: bytes) -> tuple[dict[str, Any], tuple[bytes, ...]]:
    """Return `{rows}`, the non-empty rows of the named sheet as lists of JSON values; `{problem}` if it cannot be read.
    `sheet` null means the first; `max_rows` and `max_columns` are limits.
    """
    try:
        return {"rows": list(_rows(data, options["sheet"], options["max_rows"], options["max_columns"]))}, ()
    except InvalidSpreadsheet as problem:
        return {"problem": str(problem)}, ()
    except (InvalidFileException, BadZipFile, DefusedXmlException, ET.ParseError, *SLIPS) as error:
        return {"problem": f"is not a readable xlsx file: {str(error).partition(chr(10))[0][:200]}"}, ()


def _rows(data: bytes, name: str | None, max_rows: int, max_columns: int) -> Iterator[list[Any]]:
    book = openpyxl.load_workbook(_rewrite_zip(data), read_only=True, data_only=True, keep_links=False)
    names = book.sheetnames
    if not names or (name is not None and name not in names):
        raise InvalidSpreadsheet(f"has no sheet {name!r}; its sheets are: {', '.join(names)[:300]}")
    sheet = book[name or names[0]]
    # Ignore the file's own claim about its size.
    sheet.reset_dimensions()
    for number, row in enumerate(sheet.iter_rows(values_only=True)):
        if number >= max_rows:
            raise InvalidSpreadsheet(f"has more than {max_rows} rows")
        width = next((at for at in range(len(row), 0, -1) if row[at - 1] is not None), 0)
        values = [_json(value) for value in row[:width]]
        if len(values) > max_columns:
            raise InvalidSpreadsheet(f"has more than {max_columns} columns")
        if values:
            yield values


def _rewrite_zip(data: bytes) -> BytesIO:
    """Return the zip with each part cut to its declared size. Raises: InvalidSpreadsheet if it is invalid or too large.

    The library reads whole parts, and Python unzips all of one, up to 2 GB, before it cuts it to that size.
    """
    try:
        with ZipFile(BytesIO(data)) as archive:
            parts = list({part.filename: part for part in archive.infolist()}.values())
            if len(parts) > MAX_PARTS or sum(part.file_size for part in parts) > MAX_UNZIPPED:
                raise InvalidSpreadsheet(f"has more than {MAX_UNZIPPED} bytes or {MAX_PARTS} parts when unzipped")
            if any(part.compress_type not in (ZIP_STORED, ZIP_DEFLATED) for part in parts):
                raise InvalidSpreadsheet("uses a compression that spreadsheets do not use")
            made = BytesIO()
            with ZipFile(made, "w") as copy:
                for part in parts:
                    with archive.open(part) as source, copy.open(part.filename, "w") as target:
                        shutil.copyfileobj(source, target, PIECE)
    except (BadZipFile, ValueError, NotImplementedError, OSError, RuntimeError, EOFError, zlib.error):
        raise InvalidSpreadsheet("is not a readable xlsx file (save an older xls file as xlsx first)") from None
    return made


def _json(value: Any) -> Any:
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if value is None or isinstance(value, str | int | float | bool) else str(value)
