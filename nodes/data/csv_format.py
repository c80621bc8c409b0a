"""CSV format (RFC 4180): parses and writes tables within limits."""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

from errors import LimitExceeded, MalformedData
from nodes.data.paths import MISSING, Path, path, read
from nodes.fields import kind_of, text_of
from nodes.limits import GREATEST, LEAST, MAX_ITEMS, LimitedText, refusal, size_of

DELIMITERS = (",", ";", "\t", "|")
# The limit of an Excel sheet.
MAX_COLUMNS = 16_384
# A cell of an object takes at least seven characters of JSON, so more cells would exceed a step's output. A table of
# one long and many short rows is padded up to this, whatever the length of its text.
MAX_CELLS = 2_500_000
SAMPLE, SAMPLE_ROWS = 64 * 1024, 20
# First characters that make a spreadsheet treat text as a formula, including full-width ones.
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
PLAIN_NUMBER = re.compile(r"[+-]?[0-9][0-9.,]*(?:[eE][+-]?[0-9]+)?")
INTEGER = re.compile(r"-?(?:0|[1-9][0-9]{0,19})")
DECIMAL = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]{1,4})?")


# Reading


def parse(text: str, delimiter: str, header: bool, columns: Sequence[str], types: bool, skip: int) -> list[Any]:
    """Return the rows: objects by the names in the first row or in `columns`, or lists without either.

    `delimiter` is one character, or empty for the one that fits. `skip` lines are passed over first. Where the first
    row has names, `columns` are those to keep.
    """
    text = _after_lines(text.removeprefix("\ufeff"), skip)
    if not delimiter:
        text, delimiter = _delimited(text)
    rows, read_cell = _rows(text, delimiter), typed if types else str
    if not header and not columns:
        return [[read_cell(cell) for cell in row] for row in rows]
    names = _unique(next(rows, []) if header else columns)
    made = _objects(rows, names, read_cell)
    return _only(columns, names, made) if header and columns else made


def _after_lines(text: str, count: int) -> str:
    start = 0
    for _ in range(count):
        end = text.find("\n", start)
        if end < 0:
            return ""
        start = end + 1
    return text[start:]


def _only(columns: Sequence[str], names: list[str], rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    for column in columns:
        if column not in names:
            raise refusal(f"there is no column {column!r}; there are {', '.join(names[:20])[:500]}")
    return [{column: row[column] for column in columns} for row in rows]


def _objects(rows: Iterator[list[str]], names: list[str], read_cell: Any) -> list[dict[str, Any]]:
    """Return rows as objects: missing cells are empty, and additional cells get generated names."""
    made, left = [], MAX_CELLS
    for row in rows:
        if len(row) > len(names):
            names = _unique([*names, *[""] * (len(row) - len(names))])
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
        for row in reader:
            if not row:
                continue
            count, cells = count + 1, cells + len(row)
            if len(row) > MAX_COLUMNS or count > MAX_ITEMS or cells > MAX_CELLS:
                raise LimitExceeded(f"the table has more than {_too_many(len(row), count)}")
            yield row
    except csv.Error as error:
        hint = "; a quotation mark is perhaps not closed" if "limit" in str(error) or "end" in str(error) else ""
        raise MalformedData(f"line {reader.line_num}: {error}{hint}") from None


def _too_many(columns: int, rows: int) -> str:
    if columns > MAX_COLUMNS:
        return f"{MAX_COLUMNS:,} columns"
    return f"{MAX_ITEMS:,} rows" if rows > MAX_ITEMS else f"{MAX_CELLS:,} cells"


def _delimited(text: str) -> tuple[str, str]:
    """Return the text and its delimiter: from a first line `sep=;`, as in Excel, else the one with the most columns."""
    first = text[:10].splitlines()[:1]
    if first and first[0].startswith("sep=") and len(first[0]) == 5:
        return _after_lines(text, 1), first[0][4]
    return text, max(DELIMITERS, key=lambda delimiter: _fit(text[:SAMPLE], delimiter))


def _fit(sample: str, delimiter: str) -> tuple[float, int]:
    """Rate a delimiter: the fraction of the first rows with as many columns as the first one, and their number.

    A single column proves nothing, so it rates lowest.
    """
    reader = csv.reader(io.StringIO(sample, newline=""), delimiter=delimiter)
    try:
        widths = [len(row) for row in islice(reader, SAMPLE_ROWS) if row]
    except csv.Error:
        return 0.0, 0
    if not widths or widths[0] < 2:
        return 0.0, 0
    return widths.count(widths[0]) / len(widths), widths[0]


def _unique(names: Iterable[str]) -> list[str]:
    """Return stripped, unique column names; empty and duplicate ones get a number."""
    made: dict[str, None] = {}
    counts: dict[str, int] = {}
    for place, given in enumerate(names, 1):
        name = given.strip() or f"column_{place}"
        base = name
        while name in made:
            counts[base] = counts.get(base, 1) + 1
            name = f"{base}_{counts[base]}"
        made[name] = None
    return list(made)


def typed(cell: str) -> Any:
    """Return a cell as a number, a boolean or null if it is clearly one.

    Text with leading zeros (phone numbers), with a plus, or beyond 64 bits stays text.
    """
    if not cell:
        return None
    if INTEGER.fullmatch(cell):
        whole = int(cell)
        return whole if LEAST <= whole <= GREATEST and cell != "-0" else cell
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
    shown = _safe if escape else _cell
    if rows and isinstance(rows[0], list):
        table: Iterable[list[Any]] = _lists(rows)
        names = list(columns)
    else:
        names = list(columns) or _union(rows)
        table = _of_objects(rows, [path(name) for name in names])
    if header and names:
        writer.writerow(map(shown, names))
    writer.writerows([shown(value) for value in row] for row in table)
    return made.getvalue()


def _union(rows: list[Any]) -> list[str]:
    """Return the keys of all objects, in order of their first occurrence."""
    names: dict[str, None] = {}
    for place, row in enumerate(rows):
        if not isinstance(row, Mapping):
            raise refusal(f"item {place} is {kind_of(row)}; a table is made of objects, or of lists")
        names.update(dict.fromkeys(row))
    return list(names)


def _of_objects(rows: list[Any], columns: list[Path]) -> Iterator[list[Any]]:
    if len(rows) * len(columns) > MAX_CELLS or len(columns) > MAX_COLUMNS:
        raise LimitExceeded(f"the table would have more than {MAX_CELLS:,} cells or {MAX_COLUMNS:,} columns")
    for place, row in enumerate(rows):
        if not isinstance(row, Mapping):
            raise refusal(f"item {place} is {kind_of(row)}, but those before it are objects")
        yield [None if (value := read(row, column)) is MISSING else value for column in columns]


def _lists(rows: list[Any]) -> Iterator[list[Any]]:
    for place, row in enumerate(rows):
        if not isinstance(row, list):
            raise refusal(f"item {place} is {kind_of(row)}, but those before it are lists")
        yield row


def _cell(value: Any) -> str:
    kind = type(value)
    if kind is str or kind is int:
        return str(value)
    if kind is list or kind is dict:
        size_of(value, "a cell")
    return "" if value is None else text_of(value)


def _safe(value: Any) -> str:
    text = _cell(value)
    if isinstance(value, str) and text.startswith(FORMULA) and not PLAIN_NUMBER.fullmatch(text):
        return "'" + text
    return text
