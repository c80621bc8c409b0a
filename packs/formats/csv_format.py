"""CSV format (RFC 4180): parses and writes tables within limits."""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any

from constants import FORMULA_STARTS
from errors import LimitExceeded, MalformedData
from nodes.data.lists import MISSING, Path, path, read
from nodes.fields import kind_of, text_of
from nodes.limits import MAX_INTEGER, MAX_ITEMS, MIN_INTEGER, LimitedText, refusal, size_of

DELIMITERS = (",", ";", "\t", "|")
# The limit of an Excel sheet.
MAX_COLUMNS = 16_384
# A cell of an object takes at least seven characters of JSON, so more cells would exceed a step's output. Padding the
# short rows of a table with one long row counts, too.
MAX_CELLS = 2_500_000
SAMPLE, SAMPLE_ROWS = 64 * 1024, 20
PLAIN_NUMBER = re.compile(r"[+-]?[0-9][0-9.,]*(?:[eE][+-]?[0-9]+)?")
INTEGER = re.compile(r"-?(?:0|[1-9][0-9]{0,19})")
DECIMAL = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]{1,4})?")


# Reading


def parse(text: str, delimiter: str, header: bool, columns: Sequence[str], types: bool, skip: int) -> list[Any]:
    """Return the rows: objects by the names in the first row or in `columns`, or lists without either.

    `delimiter` is one character, or empty to detect it. `skip` is the number of lines to skip first. If the first row
    has names, `columns` selects columns.
    """
    text = _skip_lines(text.removeprefix("\ufeff"), skip)
    if not delimiter:
        text, delimiter = _find_delimiter(text)
    rows, read_cell = _rows(text, delimiter), parse_cell if types else str
    if not header and not columns:
        return [[read_cell(cell) for cell in row] for row in rows]
    names = _make_unique(next(rows, []) if header else columns)
    made = _make_objects(rows, names, read_cell)
    if not header or not columns:
        return made
    if missing := [column for column in columns if column not in names]:
        raise refusal(f"there is no column {missing[0]!r}; the columns are {', '.join(names[:20])[:500]}")
    return [{column: row[column] for column in columns} for row in made]


def _skip_lines(text: str, count: int) -> str:
    parts = text.split("\n", count)
    return parts[count] if len(parts) > count else ""


def _make_objects(rows: Iterator[list[str]], names: list[str], read_cell: Any) -> list[dict[str, Any]]:
    """Return rows as objects: missing cells are empty, and additional cells get generated names."""
    made, left = [], MAX_CELLS
    for row in rows:
        if len(row) > len(names):
            names = _make_unique([*names, *[""] * (len(row) - len(names))])
        row += [""] * (len(names) - len(row))
        left -= len(row)
        if left < 0:
            raise LimitExceeded(f"the table has more than {MAX_CELLS:,} cells")
        made.append(dict(zip(names, map(read_cell, row), strict=True)))
    return made


def _rows(text: str, delimiter: str) -> Iterator[list[str]]:
    """Yield the rows that are not blank."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    count = cells = 0
    try:
        for row in filter(None, reader):
            count, cells = count + 1, cells + len(row)
            if len(row) > MAX_COLUMNS:
                raise LimitExceeded(f"the table has more than {MAX_COLUMNS:,} columns")
            if count > MAX_ITEMS:
                raise LimitExceeded(f"the table has more than {MAX_ITEMS:,} rows")
            if cells > MAX_CELLS:
                raise LimitExceeded(f"the table has more than {MAX_CELLS:,} cells")
            yield row
    except csv.Error as error:
        hint = "; a quotation mark may not be closed" if "limit" in str(error) or "end" in str(error) else ""
        raise MalformedData(f"line {reader.line_num}: {error}{hint}") from None


def _find_delimiter(text: str) -> tuple[str, str]:
    """Return the text and its delimiter: from a first line `sep=;`, as in Excel, else the one with the most columns."""
    first = text[:10].splitlines()[:1]
    if first and first[0].startswith("sep=") and len(first[0]) == 5:
        return _skip_lines(text, 1), first[0][4]
    return text, max(DELIMITERS, key=lambda delimiter: _rate(text[:SAMPLE], delimiter))


def _rate(sample: str, delimiter: str) -> tuple[float, int]:
    """Rate a delimiter: the fraction of the first rows with as many columns as the first one, and their number.

    A single column proves nothing, so it has the lowest rating.
    """
    reader = csv.reader(io.StringIO(sample, newline=""), delimiter=delimiter)
    try:
        widths = [len(row) for row in islice(reader, SAMPLE_ROWS) if row]
    except csv.Error:
        return 0.0, 0
    if not widths or widths[0] < 2:
        return 0.0, 0
    return widths.count(widths[0]) / len(widths), widths[0]


def _make_unique(names: Iterable[str]) -> list[str]:
    """Return stripped, unique column names; empty and duplicate ones get a number."""
    made: dict[str, None] = {}
    counts: dict[str, int] = {}
    for place, given in enumerate(names, 1):
        name = base = given.strip() or f"column_{place}"
        while name in made:
            counts[base] = counts.get(base, 1) + 1
            name = f"{base}_{counts[base]}"
        made[name] = None
    return list(made)


def parse_cell(cell: str) -> Any:
    """Return a cell as a number, a boolean or null if it is clearly one.

    Text with leading zeros (phone numbers), with a plus, or beyond 64 bits stays text.
    """
    if not cell:
        return None
    if INTEGER.fullmatch(cell):
        whole = int(cell)
        return whole if MIN_INTEGER <= whole <= MAX_INTEGER and cell != "-0" else cell
    if DECIMAL.fullmatch(cell) and math.isfinite(number := float(cell)):
        return number
    return {"true": True, "false": False}.get(cell.lower(), cell) if len(cell) < 6 else cell


# Writing


def write(rows: list[Any], delimiter: str, header: bool, columns: Sequence[str], escape: bool, bom: bool) -> str:
    """Return the CSV of objects, whose keys become columns, or of lists. Lines end with CR LF (RFC 4180).

    With `escape`, text that a spreadsheet would treat as a formula gets an apostrophe.
    """
    made = LimitedText()
    if bom:
        made.write("\ufeff")
    writer = csv.writer(made, delimiter=delimiter)
    format_cell = _escape_formula if escape else _format_cell
    if rows and isinstance(rows[0], list):
        names = list(columns)
        table: Iterable[list[Any]] = _check_kind(rows, list)
    else:
        names = list(columns) or list(dict.fromkeys(name for row in _check_kind(rows, dict) for name in row))
        if len(rows) * len(names) > MAX_CELLS or len(names) > MAX_COLUMNS:
            raise LimitExceeded(f"the table would have more than {MAX_CELLS:,} cells or {MAX_COLUMNS:,} columns")
        paths = [path(name) for name in names]
        table = ([_read_value(row, column) for column in paths] for row in _check_kind(rows, dict))
    if header and names:
        writer.writerow(map(format_cell, names))
    writer.writerows([format_cell(value) for value in row] for row in table)
    return made.getvalue()


def _check_kind(rows: list[Any], kind: type) -> Iterator[Any]:
    for place, row in enumerate(rows):
        if not isinstance(row, kind):
            kinds = "lists" if kind is list else "objects"
            raise refusal(f"item {place} is {kind_of(row)}, but the rows of this table must be {kinds}")
        yield row


def _read_value(row: dict[str, Any], column: Path) -> Any:
    value = read(row, column)
    return None if value is MISSING else value


def _format_cell(value: Any) -> str:
    kind = type(value)
    if kind is str or kind is int:
        return str(value)
    if kind is list or kind is dict:
        size_of(value, "a cell")
    return "" if value is None else text_of(value)


def _escape_formula(value: Any) -> str:
    text = _format_cell(value)
    if isinstance(value, str) and text.startswith(FORMULA_STARTS) and not PLAIN_NUMBER.fullmatch(text):
        return "'" + text
    return text
