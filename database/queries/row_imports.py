"""Imports of many rows into a table, in short transactions: a long one would delay all other writes.

An import has a record from its first to its last transaction. If it fails, or its process ends, its rows are deleted.
They are found by their ids, which are consecutive.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import orjson

from database import execute
from database.base import insert, new_id, now_ms
from database.queries.data_rows import changing, delete_rows, insert_rows, select_between
from database.queries.data_tables import WRITES_KEPT_MS
from database.queries.leases import is_there, this_process
from errors import Conflict, NotFound
from models import DataRow, DataTable

BATCH = 1_000  # rows in a transaction
KEY = "import "
DIGITS = 8  # at the end of an id: the number of the row within the import
FORGOTTEN_MS = 3_600_000  # until an import, also of another machine, counts as interrupted


class RowImport:
    """An import of rows with these cells, as JSON. Between two transactions it calls `pause` with seconds."""

    def __init__(self, table: DataTable, texts: Sequence[str], pause: Callable[[float], None] = time.sleep) -> None:
        self.table, self.texts, self.pause = table, texts, pause
        self.base = new_id(DataRow.prefix)[:-DIGITS]

    def run(self, prepare: Callable[[], None], last: AbstractContextManager[Any]) -> None:
        """Add all rows, or none.

        `prepare` changes the table in the first transaction. `last` opens the last transaction, with its audit entry.

        Raises: Conflict if the columns are changed meanwhile, NotFound, TooLarge.
        """
        try:
            self._run(prepare, last)
        except BaseException:
            undo(self.table, self.base)
            raise

    def _run(self, prepare: Callable[[], None], last: AbstractContextManager[Any]) -> None:
        parts = list(self._parts())
        columns = None
        for number, (ids, texts) in enumerate(parts, 1):
            began = time.monotonic()
            with last if number == len(parts) else nullcontext(), changing(self.table):
                if columns is None:
                    prepare()
                    self._note()
                    columns = self.table.columns
                elif self.table.columns != columns:
                    raise Conflict("The columns of the table were changed meanwhile; import the file again")
                left = len(self.texts) - (number - 1) * BATCH
                insert_rows(self.table, texts, ids, room_for=left)
                if number == len(parts):
                    _forget(self.base)
            self.pause(time.monotonic() - began)  # others have half of the time

    def _parts(self) -> Iterator[tuple[list[str], Sequence[str]]]:
        for first in range(0, max(1, len(self.texts)), BATCH):
            texts = self.texts[first : first + BATCH]
            yield [f"{self.base}{number:0{DIGITS}}" for number in range(first, first + len(texts))], texts

    def _note(self) -> None:
        told = orjson.dumps({"process": this_process(), "at": now_ms()}).decode()
        values = {"key": KEY + self.base, "table_id": self.table.id, "result": told}
        execute(*insert("data_writes", {**values, "expires_at": now_ms() + WRITES_KEPT_MS}))


def undo(table: DataTable, base: str) -> None:
    """Remove the rows of an import that did not end, and its record, in short transactions."""
    left = True
    while left:
        try:
            with changing(table):
                rows = select_between(table, base + "0" * DIGITS, base + "9" * DIGITS, BATCH)
                delete_rows(table, rows)
                if not (left := len(rows) == BATCH):
                    _forget(base)
        except NotFound:  # with the table
            return


def undo_interrupted() -> None:
    """Delete the rows of unfinished imports whose processes have ended."""
    sql = "SELECT key, table_id, result FROM data_writes WHERE key >= ? AND key < ?"
    for key, table_id, told in execute(sql, (KEY, KEY + "~")).fetchall():
        noted = orjson.loads(told)
        is_dead = noted["process"] is not None and is_there(noted["process"]) is False
        is_over = is_dead or noted["at"] < now_ms() - FORGOTTEN_MS
        if is_over and (table := DataTable.find(table_id)) is not None:
            undo(table, key.removeprefix(KEY))


def _forget(base: str) -> None:
    execute("DELETE FROM data_writes WHERE key = ?", (KEY + base,))
