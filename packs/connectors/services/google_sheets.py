"""Google Sheets: rows by the names in the header row.

Values that are not given are sent as null, which leaves a cell as it is.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from typing import Any
from urllib.parse import quote

from errors import LimitExceeded, NodeError
from nodes.fields import kind_of, text_of, to_objects
from packs.connectors.operation import ConnectorExchange

BOOK = "/spreadsheets/{spreadsheet}"
SHEETS = {"fields": "sheets.properties(sheetId,title,index,hidden,gridProperties(rowCount,columnCount))"}
RENDER = {"data": "UNFORMATTED_VALUE", "shown": "FORMATTED_VALUE", "formulas": "FORMULA"}
INPUT = {"typed": "USER_ENTERED", "formulas": "USER_ENTERED", "raw": "RAW"}
START = re.compile(r"[A-Z]{0,3}([0-9]{1,8})")
# What Sheets takes for a formula, and numbers, which it does not.
FORMULA, NUMBER = re.compile(r"[=+@-]"), re.compile(r"[+-]?[0-9.,]+%?\Z")
LETTERS = re.compile(r"[A-Za-z]{1,3}\Z")
ROW_NUMBER = "row_number"
MAX_ROWS = 50_000
FIRST_COLUMNS = 26  # that every new sheet has

Row = dict[str, Any]


def read_rows(x: ConnectorExchange) -> list[Row]:
    """Return the rows of the sheet, or those that have the wanted values."""
    table = SheetTable(x)
    table.read()
    wanted = x.inputs.get("where", {})
    if unknown := [name for name in wanted if name not in table.names and table.names]:
        raise NodeError(f"where: the sheet has no column {unknown[0]!r}; it has {', '.join(table.names)[:300]}", True)
    after = x.inputs.get("after_row", 0)
    found = [
        row
        for row in table.rows
        if row[ROW_NUMBER] > after
        and all(text_of(row.get(name, "")) == text_of("" if value is None else value) for name, value in wanted.items())
    ]
    return found[: x.config["max_items"]]


def append_rows(x: ConnectorExchange) -> dict[str, Any]:
    """Add the rows after the last one. Return `{"range", "rows"}`."""
    table, rows = SheetTable(x), _given_rows(x)
    table.read_header()
    table.add_columns(rows)
    updates = table.append(rows)
    return {"range": updates.get("updatedRange"), "rows": len(rows)}


def update_rows(x: ConnectorExchange) -> dict[str, Any]:
    """Change the rows that match. Return `{"updated", "not_found", "rows"}`."""
    change = Change(x)
    change.update()
    return {"updated": len(change.changed), "not_found": len(change.missing), "rows": change.changed}


def append_or_update_rows(x: ConnectorExchange) -> dict[str, Any]:
    """Change the rows that match, and append the others. Return `{"updated", "appended", "rows"}`."""
    change = Change(x)
    change.update()
    # Rows with equal keys are one.
    found: dict[tuple[str, ...], Row] = {}
    for row in change.missing:
        found.setdefault(tuple(text_of(row[name]) for name in change.match), {}).update(row)
    new = list(found.values())
    numbers = change.table.numbers(change.table.append(new), len(new)) if new else []
    return {"updated": len(change.changed), "appended": len(new), "rows": change.changed + numbers}


def delete_rows(x: ConnectorExchange) -> dict[str, Any]:
    """Delete rows or columns. Return `{"deleted": number}`."""
    start, count = x.inputs["start"].strip(), x.inputs["count"]
    by_rows = x.inputs["what"] == "rows"
    first = _row_index(start) if by_rows else _column_index(start)
    span = {"dimension": "ROWS" if by_rows else "COLUMNS", "startIndex": first, "endIndex": first + count}
    _change(x, {"deleteDimension": {"range": {"sheetId": _find_sheet(x)["sheetId"], **span}}})
    return {"deleted": count}


def clear_sheet(x: ConnectorExchange) -> dict[str, Any]:
    """Empty the cells of the sheet, or of a range. Return `{"cleared": range}`."""
    found = _find_sheet(x)
    cells, header = x.inputs.get("range"), x.inputs["header_row"]
    if not cells:
        grid = found["gridProperties"]
        first = header + 1 if x.inputs["keep_header"] else 1
        if first > grid["rowCount"]:
            return {"cleared": None}
        cells = f"A{first}:{_column_name(grid['columnCount'] - 1)}{grid['rowCount']}"
    answer = x.send("POST", f"{_values(found['title'], cells)}:clear", body={})
    return {"cleared": x.read(answer).get("clearedRange")}


def list_sheets(x: ConnectorExchange) -> list[Row]:
    """Return `{"id", "title", "index", "hidden", "rows", "columns"}` of each sheet."""
    return [_describe(found) for found in _sheets(x)][: x.config["max_items"]]


def list_columns(x: ConnectorExchange) -> list[Row]:
    """Return `{"name", "column"}` of each column of the header row; the column is a letter."""
    table = SheetTable(x)
    table.read_header()
    numbers: list[Row] = [{"name": ROW_NUMBER, "column": None}] if x.inputs["row_number"] and table.names else []
    columns: list[Row] = [{"name": name, "column": _column_name(at)} for at, name in enumerate(table.names)]
    return [*numbers, *columns][: x.config["max_items"]]


def create_sheet(x: ConnectorExchange) -> dict[str, Any]:
    """Add a sheet. Return `{"id", "title", "index"}`."""
    title = x.inputs["title"]
    if x.inputs["if_exists"] == "use":
        for found in _sheets(x):
            if found["title"] == title:
                return {"id": found["sheetId"], "title": title, "index": found["index"]}
    index = {"index": x.inputs["index"]} if "index" in x.inputs else {}
    made = _change(x, {"addSheet": {"properties": {"title": title, **index}}})
    if columns := x.inputs.get("columns"):
        _write_header(x, title, "A1", columns)
    properties = made["replies"][0]["addSheet"]["properties"]
    return {"id": properties["sheetId"], "title": properties["title"], "index": properties["index"]}


def delete_sheet(x: ConnectorExchange) -> dict[str, Any]:
    """Remove a sheet. Return `{"deleted": title}`."""
    found = _find_sheet(x)
    _change(x, {"deleteSheet": {"sheetId": found["sheetId"]}})
    return {"deleted": found["title"]}


class SheetTable:
    """The rows of a sheet, whose columns have the names in the header row."""

    def __init__(self, x: ConnectorExchange) -> None:
        self.x, self.header_row = x, x.inputs["header_row"]
        self.title: str = x.inputs.get("sheet") or _sheets(x)[0]["title"]
        self.names: list[str] = []
        self.rows: list[Row] = []

    def read(self) -> None:
        """Read all rows. Rows without any value are left out."""
        given = self.x.inputs
        dates = "SERIAL_NUMBER" if given.get("dates_as") == "number" else "FORMATTED_STRING"
        query = {"valueRenderOption": RENDER[given.get("values_as", "data")], "dateTimeRenderOption": dates}
        cells = given.get("range", "")
        found = self.x.read(self.x.send("GET", _values(self.title, cells), query=query))
        lines = found.get("values", [])
        first = 0 if cells else self.header_row - 1
        if len(lines) > MAX_ROWS:
            raise LimitExceeded(f"the sheet has more than {MAX_ROWS:,} rows; set a range")
        start = START.search(found.get("range", "").rpartition("!")[2])
        number = (int(start[1]) if start else 1) + first + 1
        self.names = _unique_names(lines[first] if len(lines) > first else [])
        self.rows = [
            {ROW_NUMBER: number + at, **{name: "" if value is None else value for name, value in row.items()}}
            for at, row in enumerate(to_objects(lines[first:]))
            if any(value not in (None, "") for value in row.values())
        ]

    def read_header(self) -> None:
        """Read the names of the columns."""
        query = {"valueRenderOption": RENDER["data"], "dateTimeRenderOption": "FORMATTED_STRING"}
        path = _values(self.title, f"{self.header_row}:{self.header_row}")
        lines = self.x.read(self.x.send("GET", path, query=query)).get("values", [])
        self.names = _unique_names(lines[0] if lines else [])

    def add_columns(self, rows: Iterable[Row]) -> None:
        """Add columns for the names of the rows that are not in the header, as the setting says."""
        new = [name for name in dict.fromkeys(name for row in rows for name in row) if name not in self.names]
        new = [name for name in new if name != ROW_NUMBER]
        how = self.x.inputs["new_columns"]
        if not new or (how == "ignore" and self.names):
            return
        if how != "add":
            known = f"it has {', '.join(self.names)[:300]}" if self.names else "its header row is empty"
            raise NodeError(f"rows: the sheet has no column {new[0]!r}; {known}", permanent=True)
        width = len(self.names) + len(new)
        if width > FIRST_COLUMNS:
            found = _find_sheet(self.x, self.title)
            missing = width - found["gridProperties"]["columnCount"]
            if missing > 0:
                wanted = {"sheetId": found["sheetId"], "dimension": "COLUMNS", "length": missing}
                _change(self.x, {"appendDimension": wanted})
        _write_header(self.x, self.title, f"{_column_name(len(self.names))}{self.header_row}", new)
        self.names += new

    def append(self, rows: Sequence[Row]) -> dict[str, Any]:
        """Append the rows. Return what the service tells of the changed range."""
        query = {"valueInputOption": INPUT[self.x.inputs["values"]], "insertDataOption": "INSERT_ROWS"}
        body = {"majorDimension": "ROWS", "values": [self.line(row) for row in rows]}
        path = f"{_values(self.title, f'A{self.header_row}')}:append"
        answer = self.x.send("POST", path, query=query, body=body, part=":append")
        return dict(self.x.read(answer).get("updates", {}))

    def numbers(self, updates: Mapping[str, Any], count: int) -> list[int]:
        """Return the numbers of the appended rows."""
        found = START.search(str(updates.get("updatedRange", "")).rpartition("!")[2])
        return [int(found[1]) + at for at in range(count)] if found else []

    def line(self, row: Row) -> list[Any]:
        """Return the cells of a row; null for a column that it does not have."""
        as_typed = self.x.inputs["values"] == "typed"
        return [_cell(row.get(name), as_typed) for name in self.names]


class Change:
    """Changes to the rows of a sheet that match by columns: `changed` are their numbers, `missing` the rows without."""

    def __init__(self, x: ConnectorExchange) -> None:
        given = x.inputs["match"]
        self.x, self.table = x, SheetTable(x)
        self.match: list[str] = [text_of(name) for name in (given if isinstance(given, list) else [given])]
        self.changed: list[int] = []
        self.missing: list[Row] = []

    def update(self) -> None:
        """Write the rows that exist, with one request."""
        rows = _given_rows(self.x)
        for number, row in enumerate(rows):
            if absent := [name for name in self.match if name not in row]:
                raise NodeError(f"rows[{number}]: has no {absent[0]!r}, by which rows are matched", permanent=True)
        self.table.read()
        self._check_match()
        places: dict[tuple[str, ...], list[int]] = {}
        for known in self.table.rows:
            places.setdefault(self._key(known), []).append(known[ROW_NUMBER])
        self.table.add_columns(rows)
        data = []
        for row in rows:
            numbers = places.get(self._key(row), [])
            data += [self._range(number, row) for number in numbers]
            self.changed += numbers
            self.missing += [] if numbers else [row]
        if data:
            body = {"valueInputOption": INPUT[self.x.inputs["values"]], "data": data}
            self.x.send("POST", f"{BOOK}/values:batchUpdate", body=body, part=":update")

    def _check_match(self) -> None:
        known = {ROW_NUMBER, *self.table.names}
        for name in self.match:
            if name not in known and self.table.names:
                names = ", ".join(self.table.names)[:300]
                raise NodeError(f"match: the sheet has no column {name!r}; it has {names}", permanent=True)

    def _key(self, row: Row) -> tuple[str, ...]:
        return tuple(text_of(row[name]) if row[name] is not None else "" for name in self.match)

    def _range(self, number: int, row: Row) -> dict[str, Any]:
        end = _column_name(len(self.table.names) - 1)
        cells = f"{_quote_title(self.table.title)}!A{number}:{end}{number}"
        return {"range": cells, "majorDimension": "ROWS", "values": [self.table.line(row)]}


def _given_rows(x: ConnectorExchange) -> list[Row]:
    given = x.inputs.get("rows", x.inputs.get("row"))
    if given is None:
        raise NodeError("row: is required: the values by the names of the columns", permanent=True)
    rows = given if isinstance(given, list) else [given]
    for number, row in enumerate(rows):
        if not isinstance(row, dict):
            raise NodeError(f"rows[{number}]: must be an object with column names, but is {kind_of(row)}", True)
    return rows


def _unique_names(cells: Sequence[Any]) -> list[str]:
    return list(to_objects([list(cells), []])[0])


def _cell(value: Any, as_typed: bool) -> Any:
    """Return a value as a cell has it: lists and objects as JSON, times as Sheets reads them.

    Text that would be a formula if it were typed gets an apostrophe in front, which says that it is text: it may come
    from strangers, and a formula can send the sheet to them.
    """
    if isinstance(value, str) and as_typed and FORMULA.match(value) and not NUMBER.match(value):
        return f"'{value}"
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M:%S}"
    if isinstance(value, date):
        return value.isoformat()
    return text_of(value) if isinstance(value, list | dict) else value


def _sheets(x: ConnectorExchange) -> list[dict[str, Any]]:
    found = x.read(x.send("GET", BOOK, query=SHEETS))
    return [each["properties"] for each in found["sheets"]]


def _find_sheet(x: ConnectorExchange, title: str | None = None) -> dict[str, Any]:
    wanted = title or x.inputs.get("sheet")
    found = _sheets(x)
    for properties in found:
        if wanted in (None, properties["title"]):
            return properties
    names = ", ".join(repr(properties["title"]) for properties in found)[:300]
    raise NodeError(f"sheet: the spreadsheet has no sheet {wanted!r}; it has {names}", permanent=True)


def _describe(found: Mapping[str, Any]) -> Row:
    grid = found.get("gridProperties", {})
    size = {"rows": grid.get("rowCount"), "columns": grid.get("columnCount")}
    hidden = bool(found.get("hidden"))
    return {"id": found["sheetId"], "title": found["title"], "index": found["index"], "hidden": hidden, **size}


def _change(x: ConnectorExchange, request: Mapping[str, Any]) -> dict[str, Any]:
    answer = x.send("POST", f"{BOOK}:batchUpdate", body={"requests": [request]}, part=f":{next(iter(request))}")
    return dict(x.read(answer))


def _write_header(x: ConnectorExchange, title: str, cell: str, names: Sequence[str]) -> None:
    body = {"majorDimension": "ROWS", "values": [list(names)]}
    x.send("PUT", _values(title, cell), query={"valueInputOption": "RAW"}, body=body, part=":header")


def _values(title: str, cells: str) -> str:
    """Return the path of the values of cells, or of the whole sheet."""
    place = _quote_title(title) + (f"!{cells}" if cells else "")
    return f"{BOOK}/values/{quote(place, safe='')}"


def _quote_title(title: str) -> str:
    return "'" + title.replace("'", "''") + "'"


def _column_name(index: int) -> str:
    """Return the letters of a column: A for 0, AA for 26."""
    name = ""
    index += 1
    while index:
        index, letter = divmod(index - 1, 26)
        name = chr(ord("A") + letter) + name
    return name


def _column_index(letters: str) -> int:
    if not LETTERS.match(letters):
        raise NodeError(f"start: {letters[:20]!r} is not a column such as C", permanent=True)
    index = 0
    for letter in letters.upper():
        index = index * 26 + ord(letter) - ord("A") + 1
    return index - 1


def _row_index(number: str) -> int:
    if not number.isdecimal() or not 1 <= len(number) <= 8 or int(number) < 1:
        raise NodeError(f"start: {number[:20]!r} is not a row number such as 2", permanent=True)
    return int(number) - 1
