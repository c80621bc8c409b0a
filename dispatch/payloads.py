"""Payloads: values too large for a row, each in a file under the data folder, `values/<run id>/<name>.json`.

A file is on the disk before the row that refers to it, so no row refers to a missing file. The second claim of a run
writes `<name>.2.json`, and so on: a suspended process whose claim was lost may still write files that no row uses.

Equal values of a run share one file by hard links: a webhook's input, the output of its trigger and the output of the
run are often the same.
"""

from __future__ import annotations

import logging
import os
import re
import shutil
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from hashlib import blake2b
from pathlib import Path
from typing import NamedTuple

from database.queries import large_values
from errors import NotFound, Unavailable

log = logging.getLogger("headrace.dispatch")
NAME = re.compile(r"[A-Za-z0-9_]+\Z")
MAX_KNOWN = 4_096  # files that a process remembers by their content


class ValueGone(NotFound, FileNotFoundError):
    """A value that a row refers to is not stored any more."""

    def __init__(self, run_id: str, name: str) -> None:
        super().__init__(f"The value {name} of the run {run_id} is no longer stored; see the server's log")


class Kept(NamedTuple):
    """A value as stored in a row: its `text`, or the `size` in bytes of its file."""

    text: str | None
    size: int | None = None


def _sync(folder: Path) -> None:
    """Bring the folder's entries to the disk: a file that was synced may still lack its name."""
    fd = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _files(folder: Path) -> Iterator[os.stat_result]:
    """Yield the status of each file in the folder; nothing if another process deletes the folder meanwhile."""
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                yield entry.stat(follow_symlinks=False)
    except FileNotFoundError:
        return


def _make_folder(folder: Path) -> None:
    """Create a run's folder and its parent, each with mode 0700: `parents=True` would let others read the parent."""
    for each in (folder.parent, folder):
        each.mkdir(mode=0o700, parents=True, exist_ok=True)


def _link(existing: Path | None, path: Path, value: bytes) -> bool:
    """Give the file of this value another name. Return False if it is gone, changed, or cannot have more names."""
    if existing is None:
        return False
    try:
        os.link(existing, path)
    except OSError:
        return False
    if path.read_bytes() == value:
        return True
    path.unlink()
    return False


class Payloads:
    """The payload files of all runs. Values up to `inline_bytes` stay in their rows."""

    def __init__(self, folder: Path, inline_bytes: int) -> None:
        self.folder = folder
        self.inline_bytes = inline_bytes
        # The newest files by run and content: an equal value becomes a hard link instead of a copy. This is only in
        # memory: after a crash a value may be written a second time, which is harmless.
        self._known: dict[tuple[str, bytes], Path] = {}
        self._lock = threading.Lock()

    def keep(self, run_id: str, name: str, value: bytes | None, claims: int = 1, is_patient: bool = False) -> Kept:
        """Return the form in which a row stores this JSON text. A large value is written to its file first, and synced.

        With `is_patient`, for a run in progress, it waits longer for an object store that is down.
        """
        if value is None:
            return Kept(None)
        if len(value) <= self.inline_bytes:
            return Kept(value.decode())
        self._store(run_id, name, value, claims, is_patient)
        return Kept(None, len(value))

    def close(self) -> None:
        """Do nothing: files need no connection."""

    def prepare(self, run_id: str, value: bytes | None) -> None:
        """Do nothing: an object store writes the value here, before the transaction that calls `keep`."""

    def _store(self, run_id: str, name: str, value: bytes, claims: int, is_patient: bool = False) -> None:
        """Write the value to its file, and sync it."""
        path = self._path(run_id, name, claims)
        _make_folder(path.parent)
        # Always a new file: other names may link to the file that an earlier attempt wrote here.
        path.unlink(missing_ok=True)
        key = (run_id, blake2b(value, digest_size=32).digest())
        if not _link(self._known.get(key), path, value):
            fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(fd, "wb") as file:
                file.write(value)
                file.flush()
                os.fsync(file.fileno())
            with self._lock:
                self._known[key] = path
                if len(self._known) > MAX_KNOWN:
                    del self._known[next(iter(self._known))]
        for folder in (path.parent, self.folder):
            _sync(folder)

    def load(self, run_id: str, name: str, kept: Kept) -> bytes | None:
        """Return the JSON text, or None for a row without a value. Raises: ValueGone if it was deleted."""
        if kept.size is not None:
            try:
                return self._fetch(run_id, name)
            except FileNotFoundError as error:
                log.warning("The value %s of %s is not stored any more: %s", name, run_id, error)
                raise ValueGone(run_id, name) from None
        return None if kept.text is None else kept.text.encode()

    def _fetch(self, run_id: str, name: str) -> bytes:
        """Return the content of a file. Raises: FileNotFoundError if it was deleted."""
        return self._latest(run_id, name).read_bytes()

    def beginning(self, run_id: str, name: str, most: int) -> bytes:
        """Return the first `most` bytes of the JSON text in a file, for display."""
        with self._latest(run_id, name).open("rb") as file:
            return file.read(most)

    def share(self, run_id: str, with_id: str, names: Iterable[str]) -> None:
        """Link the run's input and these values into another run, except values that it already has."""
        target = self._path(with_id, "x").parent
        wanted = [name for name in ("input", *names) if not self._path(with_id, name).exists()]
        found = {name: path for name in wanted if (path := self._latest(run_id, name)).exists()}
        if not found:
            return
        _make_folder(target)
        for name, path in found.items():
            os.link(path, self._path(with_id, name))
        for folder in (target, self.folder):
            _sync(folder)

    def remove(self, run_id: str) -> int:
        """Delete the files of a run. Return the freed bytes: files shared with another run stay on the disk."""
        folder = self._path(run_id, "x").parent
        files = list(_files(folder))
        links = Counter(file.st_ino for file in files)
        freed = sum(file.st_size // file.st_nlink for file in files if links[file.st_ino] == file.st_nlink)
        shutil.rmtree(folder, ignore_errors=True)
        return freed

    def size_of(self, run_id: str) -> int:
        """Return the size of the run's files in bytes. Of a shared file each run has a part, so that sums are right."""
        return sum(file.st_size // file.st_nlink for file in _files(self._path(run_id, "x").parent) if file.st_nlink)

    def run_ids(self) -> Iterator[str]:
        """Yield the ids of runs with files, in any order, read on demand since there can be very many."""
        try:
            entries = os.scandir(self.folder)
        except FileNotFoundError:
            return
        with entries:
            for entry in entries:
                if entry.name.startswith("run_") and NAME.match(entry.name):
                    yield entry.name

    def changed_at(self, run_id: str) -> int | None:
        """Return the time when a file of the run was last added or deleted, in milliseconds; None without files."""
        try:
            return self._path(run_id, "x").parent.stat().st_mtime_ns // 1_000_000
        except FileNotFoundError:
            return None

    def _latest(self, run_id: str, name: str) -> Path:
        """Return the file written by the latest claim of the run."""
        first = self._path(run_id, name)
        later = first.parent.glob(f"{name}.*.json")
        return max(later, key=lambda path: int(path.suffixes[0][1:]), default=first)

    def _path(self, run_id: str, name: str, claims: int = 1) -> Path:
        if not NAME.match(run_id) or not NAME.match(name):
            raise ValueError(f"not a valid name of a payload: {run_id}/{name}")
        return self.folder / run_id / (f"{name}.{claims}.json" if claims > 1 else f"{name}.json")


class RowPayloads(Payloads):
    """Payloads without files: every value must fit into a row. `refuse`, which raises, is called for a larger one."""

    def __init__(self, inline_bytes: int, refuse: Callable[[], object]) -> None:
        self.inline_bytes, self.refuse = inline_bytes, refuse

    def keep(self, run_id: str, name: str, value: bytes | None, claims: int = 1, is_patient: bool = False) -> Kept:
        if value is None:
            return Kept(None)
        if len(value) > self.inline_bytes:
            self.refuse()
        return Kept(value.decode())


# Payloads as rows of PostgreSQL, because processes on several machines have no shared folder.


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
