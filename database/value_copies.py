"""Large values of runs, as they move between databases and archives: in files beside SQLite, in rows of PostgreSQL.
Values in an S3 store are read from there, and written into rows.

dispatch/payloads.py has the form of the files: `<folder>/<run id>/<name>.json`, `<name>.2.json` for the second claim.
"""

from __future__ import annotations

import hashlib
import logging
import os
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

from database.queries.large_values import PART_BYTES
from errors import Conflict

log = logging.getLogger("headrace.database")
ReadObject: TypeAlias = Callable[[str], bytes]  # returns the content of the object with this name
ROWS_OF_SERVER = 8
RUN = re.compile(r"run_[A-Za-z0-9_]+\Z")
FILE = re.compile(r"([A-Za-z0-9_]+)(?:\.([1-9][0-9]*))?\.json\Z")
VALUE_ROWS = "payloads"
COLUMNS = "run_id, name, claims, part, data"


class WrittenValue(NamedTuple):
    """A value that the run's claim of this number wrote: JSON text."""

    run_id: str
    name: str
    claims: int
    data: bytes

    def line(self) -> bytes:
        """Return bytes that identify the value, for a checksum."""
        return f"{self.run_id} {self.name} {self.claims} ".encode() + hashlib.sha256(self.data).digest()

    @property
    def file(self) -> str:
        """Return the path of its file in the folder."""
        return f"{self.run_id}/{self.name}{f'.{self.claims}' if self.claims > 1 else ''}.json"

    def is_valid(self) -> bool:
        """Return True if the names are those of a value, so that its file is in the folder."""
        return bool(RUN.match(self.run_id) and FILE.match(f"{self.name}.json")) and self.claims > 0


def read_files(folder: Path) -> Iterator[WrittenValue]:
    """Yield the values in files. Those that a server deletes meanwhile are left out."""
    with suppress(FileNotFoundError), os.scandir(folder) as runs:
        for run in runs:
            if RUN.match(run.name):
                yield from _read_run(folder, run.name)


def _read_run(folder: Path, run_id: str) -> Iterator[WrittenValue]:
    with suppress(FileNotFoundError):
        for path in sorted((folder / run_id).iterdir()):
            if found := FILE.match(path.name):
                with suppress(FileNotFoundError):
                    yield WrittenValue(run_id, found[1], int(found[2] or 1), path.read_bytes())


def write_files(folder: Path, values: Iterable[WrittenValue]) -> None:
    """Write values into new files, without bringing them to the disk. Equal values of a run are one file."""
    for run_id, of_run in groupby(values, lambda value: value.run_id):
        (folder / run_id).mkdir(parents=True, exist_ok=True)
        written: dict[bytes, Path] = {}
        for value in of_run:
            path, digest = folder / value.file, hashlib.sha256(value.data).digest()
            if digest in written:
                os.link(written[digest], path)
            else:
                path.write_bytes(value.data)
                written[digest] = path


def read_rows(connection: Any, read_object: ReadObject | None = None) -> Iterator[WrittenValue]:
    """Yield the values in the rows of PostgreSQL (psycopg), in the order of their runs. Missing objects are left out.

    Raises: Conflict if a value is an object, and there is nothing to read it.
    """
    with connection.cursor(name="value_rows") as cursor:
        cursor.itersize = ROWS_OF_SERVER
        cursor.execute(f"SELECT {COLUMNS}, object FROM {VALUE_ROWS} ORDER BY run_id, name, claims, part", binary=True)
        for (run_id, name, claims), rows in groupby(cursor, lambda row: row[:3]):
            parts = list(rows)
            if (object_name := parts[0][-1]) is None:
                yield WrittenValue(run_id, name, claims, b"".join(bytes(data) for *_, data, _ in parts))
                continue
            if read_object is None:
                raise Conflict("There are large values in a store of objects: set HEADRACE_VALUES_URL to its address")
            try:
                yield WrittenValue(run_id, name, claims, read_object(object_name))
            except FileNotFoundError as error:
                log.warning("The value %s of %s is left out: %s", name, run_id, error)


def write_rows(connection: Any, values: Iterable[WrittenValue]) -> None:
    """Write values into rows of PostgreSQL, in parts."""
    with connection.cursor() as cursor, cursor.copy(f"COPY {VALUE_ROWS} ({COLUMNS}) FROM STDIN") as copy:
        for run_id, name, claims, data in values:
            for part, start in enumerate(range(0, len(data), PART_BYTES)):
                copy.write_row((run_id, name, claims, part, data[start : start + PART_BYTES]))
