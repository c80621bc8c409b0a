"""Spreadsheets (xlsx): the rows of a sheet. A spreadsheet is a zip of XML, which can be far larger than it looks."""

from __future__ import annotations

import math
import shutil
import xml.etree.ElementTree as ET
import zlib
from collections.abc import Iterator, Sequence
from datetime import date, datetime, time, timedelta
from io import BytesIO
from typing import Any
from zipfile import ZIP_DEFLATED, ZIP_STORED, BadZipFile, ZipFile, ZipInfo

import openpyxl
from defusedxml.common import DefusedXmlException
from openpyxl.utils.exceptions import InvalidFileException

# What it unzips to is bounded before anything is parsed.
MOST_UNZIPPED, MOST_PARTS, PIECE = 64 * 2**20, 5_000, 64 * 1024
# What the library raises over a file in which something is not what it takes it for.
SLIPS = (AttributeError, IndexError, KeyError, RecursionError, TypeError, ValueError)


class Problem(Exception):
    """Why the file cannot be read, as the rest of a sentence that begins with its name."""


def read(options: dict[str, Any], data: bytes) -> tuple[dict[str, Any], tuple[bytes, ...]]:
    """`{rows}`, those of the sheet of this name that are not empty, as lists of JSON values; `{problem}` where that
    cannot be. `sheet` null stands for the first; `max_rows` and `max_columns` are how many there may be.
    """
    try:
        return {"rows": list(_rows(data, options["sheet"], options["max_rows"], options["max_columns"]))}, ()
    except Problem as problem:
        return {"problem": str(problem)}, ()
    except (InvalidFileException, BadZipFile, DefusedXmlException, ET.ParseError, *SLIPS) as error:
        return {"problem": f"is no xlsx file that can be read: {str(error).partition(chr(10))[0][:200]}"}, ()


def _rows(data: bytes, name: str | None, max_rows: int, max_columns: int) -> Iterator[list[Any]]:
    book = openpyxl.load_workbook(_as_it_says(data), read_only=True, data_only=True, keep_links=False)
    names = book.sheetnames
    if not names or (name is not None and name not in names):
        raise Problem(f"has no sheet {name!r}; there are {', '.join(names)[:300]}")
    sheet = book[name or names[0]]
    # What a file says about its own size need not be true.
    sheet.reset_dimensions()
    for number, row in enumerate(sheet.iter_rows(values_only=True)):
        if number >= max_rows:
            raise Problem(f"has more than {max_rows} rows")
        values = _trimmed(row)
        if len(values) > max_columns:
            raise Problem(f"has more than {max_columns} columns")
        if values:
            yield values


def _as_it_says(data: bytes) -> BytesIO:
    """The zip anew, each part as long as it says. Problem for what is no zip, or unzips to too much.

    The library reads parts as a whole, and Python unzips all of one, up to 2 GB, before it cuts it to that size.
    """
    try:
        with ZipFile(BytesIO(data)) as archive:
            parts = list({part.filename: part for part in archive.infolist()}.values())
            _check_parts(parts)
            made = BytesIO()
            with ZipFile(made, "w") as copy:
                for part in parts:
                    with archive.open(part) as source, copy.open(part.filename, "w") as target:
                        shutil.copyfileobj(source, target, PIECE)
    except (BadZipFile, ValueError, NotImplementedError, OSError, RuntimeError, EOFError, zlib.error):
        raise Problem("is no xlsx file that can be read (older xls files have to be saved anew)") from None
    return made


def _check_parts(parts: Sequence[ZipInfo]) -> None:
    if len(parts) > MOST_PARTS or sum(part.file_size for part in parts) > MOST_UNZIPPED:
        raise Problem(f"unzips to more than {MOST_UNZIPPED} bytes or {MOST_PARTS} parts")
    if any(part.compress_type not in (ZIP_STORED, ZIP_DEFLATED) for part in parts):
        raise Problem("is zipped in a way that no spreadsheet is")


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
