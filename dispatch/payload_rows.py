"""Payloads as rows of PostgreSQL, because processes on several machines have no shared folder."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from database.queries import large_values
from errors import Unavailable

from .payloads import Payloads


class PayloadRows(Payloads):
    """The payloads of all runs, in rows instead of files. A value is written before the row that refers to it."""

    def __init__(self, inline_bytes: int) -> None:
        self.inline_bytes = inline_bytes

    def _store(self, run_id: str, name: str, value: bytes, claims: int, is_patient: bool = False) -> None:
        large_values.put(run_id, name, claims, value)

    def _fetch(self, run_id: str, name: str) -> bytes:
        found = _existing(large_values.load(run_id, name), run_id, name)
        return self.read_object(found) if isinstance(found, str) else found

    def beginning(self, run_id: str, name: str, most: int) -> bytes:
        """Return the first `most` bytes of the JSON text, for display."""
        found = _existing(large_values.beginning(run_id, name, most), run_id, name)
        return self._read_beginning(found, most) if isinstance(found, str) else found

    def read_object(self, object_name: str) -> bytes:
        """Raise Unavailable, because no object store is configured."""
        raise Unavailable("The value is in an object store, but HEADRACE_VALUES_URL is not set any more; set it again")

    def _read_beginning(self, object_name: str, most: int) -> bytes:
        return self.read_object(object_name)

    def share(self, run_id: str, with_id: str, names: Iterable[str]) -> None:
        """Copy the run's input and these values to another run, except values that it already has."""
        large_values.copy(run_id, with_id, ["input", *names])

    def remove(self, run_id: str) -> int:
        """Delete the values of a run. Return 0: they are part of the database's size."""
        large_values.remove(run_id)
        return 0

    def size_of(self, run_id: str) -> int:
        """Return 0: values are part of the database's size."""
        return 0

    def run_ids(self) -> Iterator[str]:
        """Yield the ids of runs with values, read on demand."""
        return large_values.run_ids()

    def changed_at(self, run_id: str) -> int | None:
        """Return when the run was accepted, in milliseconds; None if it has no values."""
        return large_values.changed_at(run_id)


def _existing(value: bytes | str | None, run_id: str, name: str) -> bytes | str:
    if value is None:
        raise FileNotFoundError(f"the value {name} of {run_id} was deleted")
    return value
