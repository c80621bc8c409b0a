"""Values too large for a row: each lies in a file of its own under the data folder, `values/<run id>/<name>.json`.

A file is on the disk before the row that speaks of it, so a row never points at nothing. Who claimed the run for the
second time writes `<name>.2.json`, and so on: a process that was asleep may still write what is no row's any more.

Equal values of a run share one file, by hard links: a webhook's input, the output of its trigger and the output of the
run are often the same.
"""

from __future__ import annotations

import os
import re
import shutil
import threading
from collections import Counter, OrderedDict
from collections.abc import Iterable, Iterator
from hashlib import blake2b
from pathlib import Path
from typing import NamedTuple

NAME = re.compile(r"[A-Za-z0-9_]+\Z")
MAX_KNOWN = 4_096  # files that a process remembers by what is in them


class Kept(NamedTuple):
    """A value as a row holds it: its `text`, or the `size` in bytes of the file where it lies."""

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
    """What the file system knows of each file in the folder; nothing where others delete it meanwhile."""
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                yield entry.stat(follow_symlinks=False)
    except FileNotFoundError:
        return


def _make_folder(folder: Path) -> None:
    """Make the folder of a run and that of all runs, each for nobody else: `parents` would open the latter to all."""
    for each in (folder.parent, folder):
        each.mkdir(mode=0o700, parents=True, exist_ok=True)


def _write(path: Path, value: bytes) -> None:
    """Write a new file; it is on the disk when this returns, though its name may not be."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(fd, "wb") as file:
        file.write(value)
        file.flush()
        os.fsync(file.fileno())


def _link(existing: Path | None, path: Path, value: bytes) -> bool:
    """Give the file of this value another name; False if it is gone or changed, or cannot have more names."""
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


class _Known:
    """The newest files by run and content, so that an equal value becomes a link to the file instead of a copy.

    Only of this process: after a crash a value may be written a second time, which is no harm.
    """

    def __init__(self) -> None:
        self._paths: OrderedDict[tuple[str, bytes], Path] = OrderedDict()
        self._lock = threading.Lock()

    def find(self, key: tuple[str, bytes]) -> Path | None:
        with self._lock:
            return self._paths.get(key)

    def add(self, key: tuple[str, bytes], path: Path) -> None:
        with self._lock:
            self._paths[key] = path
            if len(self._paths) > MAX_KNOWN:
                self._paths.popitem(last=False)


class Payloads:
    """The files of all runs. Values up to `inline_bytes` stay in their rows."""

    def __init__(self, folder: Path, inline_bytes: int) -> None:
        self.folder = folder
        self.inline_bytes = inline_bytes
        self._known = _Known()

    def keep(self, run_id: str, name: str, value: bytes | None, claims: int = 1) -> Kept:
        """What to write into the row for this JSON text; a large one is in its file, synced, when this returns."""
        if value is None:
            return Kept(None)
        if len(value) <= self.inline_bytes:
            return Kept(value.decode())
        path = self._path(run_id, name, claims)
        _make_folder(path.parent)
        # A new file each time: others may share what an earlier attempt wrote under this name.
        path.unlink(missing_ok=True)
        key = (run_id, blake2b(value, digest_size=32).digest())
        if not _link(self._known.find(key), path, value):
            _write(path, value)
            self._known.add(key, path)
        for folder in (path.parent, self.folder):
            _sync(folder)
        return Kept(None, len(value))

    def load(self, run_id: str, name: str, kept: Kept) -> bytes | None:
        """The JSON text again; None where there is none."""
        if kept.size is not None:
            return self._latest(run_id, name).read_bytes()
        return None if kept.text is None else kept.text.encode()

    def beginning(self, run_id: str, name: str, most: int) -> bytes:
        """The first bytes of the JSON text in a file, for those who only want to see what it is."""
        with self._latest(run_id, name).open("rb") as file:
            return file.read(most)

    def share(self, run_id: str, with_id: str, names: Iterable[str]) -> None:
        """Let another run have these values of a run, its input among them, where it has none yet."""
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
        """Delete the files of a run; how many bytes that gives back: what another run shares stays on the disk."""
        folder = self._path(run_id, "x").parent
        files = list(_files(folder))
        links = Counter(file.st_ino for file in files)
        freed = sum(file.st_size // file.st_nlink for file in files if links[file.st_ino] == file.st_nlink)
        shutil.rmtree(folder, ignore_errors=True)
        return freed

    def size_of(self, run_id: str) -> int:
        """How many bytes the files of a run take; what several share is counted in parts, so that the sum is right."""
        return sum(file.st_size // file.st_nlink for file in _files(self._path(run_id, "x").parent) if file.st_nlink)

    def run_ids(self) -> Iterator[str]:
        """The runs that have files, in no order; read bit by bit, since there can be very many."""
        try:
            entries = os.scandir(self.folder)
        except FileNotFoundError:
            return
        with entries:
            for entry in entries:
                if entry.name.startswith("run_") and NAME.match(entry.name):
                    yield entry.name

    def changed_at(self, run_id: str) -> int | None:
        """When a file of the run was added or deleted, in milliseconds; None where it has none."""
        try:
            return self._path(run_id, "x").parent.stat().st_mtime_ns // 1_000_000
        except FileNotFoundError:
            return None

    def _latest(self, run_id: str, name: str) -> Path:
        """The file of whoever claimed the run last of those who wrote one."""
        first = self._path(run_id, name)
        later = first.parent.glob(f"{name}.*.json")
        return max(later, key=lambda path: int(path.suffixes[0][1:]), default=first)

    def _path(self, run_id: str, name: str, claims: int = 1) -> Path:
        if not NAME.match(run_id) or not NAME.match(name):
            raise ValueError(f"no name of a payload: {run_id}/{name}")
        return self.folder / run_id / (f"{name}.{claims}.json" if claims > 1 else f"{name}.json")
