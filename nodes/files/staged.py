"""Staged files: uploads of a form that is not sent yet.

They lie beside other unfinished uploads, and have no path. When the form is sent, they move to the folder of the run
that it starts. A mark says so from before the first move until the run is on record: if the process dies in between,
`remove_unsent` finds the files of a run that never was.

Anybody may send a page of a form. So staged files are limited, in bytes: in the workspace, of one form, and of one
network address that sends it. Their names begin with hashes of both, so the folder itself has the counts, for all
processes and after every crash. A file has its reserved size from the beginning, and its own at the end.
"""

from __future__ import annotations

import os
import re
import secrets
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from hashlib import blake2s
from typing import IO, Any, NamedTuple

from errors import NodeError
from nodes.files.files import (
    DRAFT,
    NEW_FILE,
    UPLOADS,
    Absent,
    OverQuota,
    Upload,
    WorkspaceFiles,
    describe_file,
    holding_usage,
)

MARKS = DRAFT + "forms"
KEY = re.compile(re.escape(DRAFT) + r"[0-9a-f]{32}\Z")
MARK = re.compile(r"(run_[0-9A-Z]{26})-[0-9a-f]{8}\Z")
MARK_SECONDS = 3600  # age of a mark whose process has surely died


STAGED_SECONDS = 3600  # for which a staged file is kept after its form was last seen
MAX_STAGED = 2**30  # bytes of a workspace
# A form, and one network that sends it, may stage this many times its largest answer, but at least FLOOR and at most
# this many bytes.
FLOOR = 50 * 2**20
FORM_TIMES, FORM_MOST = 20, MAX_STAGED // 2
NETWORK_TIMES, NETWORK_MOST = 4, MAX_STAGED // 4
LEAST = 64 * 2**10  # bytes that each file counts for, to limit their number
STEP = 2**20  # bytes that are reserved at a time


class Crowded(NodeError):
    """Too many bytes are staged."""


class UploadSource(NamedTuple):
    """The form of a staged file, and the network that sends it; None if it is one of very many people.

    `largest` is the number of bytes of the form's largest answer: even one that exceeds the limits can be sent.
    """

    form: str
    network: str | None
    largest: int

    @property
    def prefix(self) -> str:
        """Return the beginning of the names of the files of this form and this network."""
        return DRAFT + _hash(self.form) + _hash(self.network or "")

    @property
    def limits(self) -> dict[str, int]:
        """Return the largest number of bytes of all staged files whose names begin with each of these prefixes."""
        limits = {DRAFT: MAX_STAGED}
        limits[DRAFT + _hash(self.form)] = min(max(FORM_TIMES * self.largest, FLOOR), FORM_MOST)
        if self.network is not None:
            limits[self.prefix] = min(max(NETWORK_TIMES * self.largest, FLOOR), NETWORK_MOST)
        return {prefix: max(self.largest, most) for prefix, most in limits.items()}


def folder_of(run_id: str) -> str:
    """Return the folder of the files that were sent with the form of a run."""
    return f"forms/{run_id}"


class StagedUpload(Upload):
    """A staged file while it is written. Its bytes are reserved in steps, before they are written."""

    def __init__(
        self, file: IO[bytes], files: WorkspaceFiles, folder: int, name: str, min_free: int, source: UploadSource
    ) -> None:
        super().__init__(file, files, folder, name, min_free)
        self.source, self.reserved = source, 0

    def write(self, data: bytes) -> int:
        """Write a piece. Raises: OverQuota, Crowded if there is no room for it; Overfull, NodeError as Upload does."""
        needed = min(self.size + len(data), self.room)
        if needed > self.reserved:
            self.reserve(needed)
        return super().write(data)

    def reserve(self, needed: int) -> None:
        """Reserve this number of bytes, and more if there is room, by the size of the file."""
        with holding_usage(self.files.root, self.files.quota) as usage:
            others = _measure(self.folder, time.time())
            others.pop(self.name, None)
            charged = {key: max(LEAST, size) for key, size in others.items()}
            free = min(
                most - sum(size for key, size in charged.items() if key.startswith(prefix))
                for prefix, most in self.source.limits.items()
            )
            if max(needed, LEAST) > free:
                raise Crowded("too many files of forms that are not sent yet", kind="limit")
            left = usage.limit - usage.used - sum(others.values()) if usage.limit else free
            if needed > left or left <= 0:
                raise OverQuota("the files of forms that are not sent yet would exceed the quota", True, kind="limit")
            self.reserved = min(max(needed, self.reserved + STEP), self.room, free, left)
            os.ftruncate(self.file.fileno(), self.reserved)


@contextmanager
def staging(files: WorkspaceFiles, source: UploadSource, room: int, min_free: int = 0) -> Iterator[Upload]:
    """Create a staged file of up to `room` bytes, whose key is `Upload.name`. It is deleted if the block fails.

    Keeps at least `min_free` bytes of the disk free.

    Raises: Overfull, OverQuota, Crowded.
    """
    with files._open("the upload", [UPLOADS], make=True) as folder:
        key = source.prefix + secrets.token_hex(8)
        fd = os.open(key, NEW_FILE, 0o600, dir_fd=folder)
        try:
            with os.fdopen(fd, "wb") as file:
                upload = StagedUpload(file, files, folder, key, min_free, source)
                upload.room = room
                upload.reserve(0)
                yield upload
                file.flush()
                os.ftruncate(fd, upload.size)
                os.fsync(fd)
        except BaseException:
            with suppress(FileNotFoundError):
                os.unlink(key, dir_fd=folder)
            raise


def count_staged(files: WorkspaceFiles) -> int:
    """Return the bytes of all staged files."""
    try:
        with files._open("the upload", [UPLOADS]) as folder:
            return sum(_measure(folder, time.time()).values())
    except Absent:
        return 0


def renew(files: WorkspaceFiles, keys: Iterable[str]) -> None:
    """Keep staged files, if they exist, for another STAGED_SECONDS: their form is still being filled in."""
    with suppress(Absent), files._open("the upload", [UPLOADS]) as folder:
        for key in keys:
            with suppress(FileNotFoundError):
                os.utime(_check(key), dir_fd=folder, follow_symlinks=False)


def discard(files: WorkspaceFiles, keys: Iterable[str]) -> None:
    """Delete staged files, if they exist."""
    with suppress(Absent), files._open("the upload", [UPLOADS]) as folder:
        for key in keys:
            with suppress(FileNotFoundError):
                os.unlink(_check(key), dir_fd=folder)


@contextmanager
def moving(files: WorkspaceFiles, run_id: str, names: Mapping[str, str]) -> Iterator[dict[str, dict[str, Any]]]:
    """Move staged files to the folder of a run that the block starts or answers: `names` are their new names by key.

    Yields the file object of each by key. If the block fails, they are staged again.

    Raises: Absent if a file is not staged any more; OverQuota if the workspace has no room for them.
    """
    with files._open("the upload", [MARKS], make=True) as marks:
        mark = f"{run_id}-{secrets.token_hex(4)}"
        os.close(os.open(mark, NEW_FILE, 0o600, dir_fd=marks))
        os.fsync(marks)
        moved: dict[str, str] = {}
        try:
            made = {}
            for key, name in names.items():
                path = f"{folder_of(run_id)}/{name}"
                size = _move(files, key, path)
                moved[key] = path
                made[key] = describe_file(path, size)
            yield made
        except BaseException:
            for key, path in moved.items():
                with (
                    suppress(Absent),
                    files.place(path) as (folder, name),
                    files._open("the upload", [UPLOADS]) as uploads,
                    files._charging(0, name, folder),
                ):
                    os.rename(name, key, src_dir_fd=folder, dst_dir_fd=uploads)
            _remove_folder(files, run_id)
            raise
        finally:
            os.unlink(mark, dir_fd=marks)


def settle(files: WorkspaceFiles, run_id: str, names: Mapping[str, str]) -> None:
    """Give the files of a recorded run their place if it lacks them, and delete those that it has already.

    A request may fail without knowing whether its run was recorded: the next one with the same form finds the run.
    """
    for key, name in names.items():
        path = f"{folder_of(run_id)}/{name}"
        if any(file["path"] == path for file in files.find(path, limit=1)):
            discard(files, [key])
        else:
            with suppress(Absent, OverQuota):
                _move(files, key, path)


def remove_unsent(files: WorkspaceFiles, has_run: Callable[[str], bool], now: float | None = None) -> int:
    """Delete files of forms that were never sent: stale staged ones, and those of runs that were never recorded.

    Return their number.
    """
    now, count = time.time() if now is None else now, 0
    for name, age in _list(files, UPLOADS, now):
        if KEY.match(name) and age > STAGED_SECONDS:
            discard(files, [name])
            count += 1
    for name, age in _list(files, MARKS, now):
        found = MARK.match(name)
        if found is None or age <= MARK_SECONDS:
            continue
        if not has_run(found[1]):
            count += sum(files.delete(file["path"]) for file in files.find(folder_of(found[1]) + "/"))
            _remove_folder(files, found[1])
        with files._open("the upload", [MARKS]) as marks, suppress(FileNotFoundError):
            os.unlink(name, dir_fd=marks)
    return count


def _check(key: str) -> str:
    if not KEY.match(key):
        raise Absent(f"{key[:50]!r} is not a staged file", permanent=True)
    return key


def _move(files: WorkspaceFiles, key: str, path: str) -> int:
    with files._open("the upload", [UPLOADS]) as folder, files.place(path, make=True) as (new_folder, name):
        size = os.stat(_check(key), dir_fd=folder, follow_symlinks=False).st_size
        with files._charging(size, name, new_folder):
            os.rename(key, name, src_dir_fd=folder, dst_dir_fd=new_folder)
        os.fsync(new_folder)
        return size


def _remove_folder(files: WorkspaceFiles, run_id: str) -> None:
    """Remove the folder of a run if it is empty."""
    with suppress(Exception):
        files.delete(folder_of(run_id))


def _hash(text: str) -> str:
    return blake2s(text.encode(), digest_size=4).hexdigest()


def _measure(folder: int, now: float) -> dict[str, int]:
    """Return the sizes of the staged files in the open folder by key. Deletes stale ones."""
    found = {}
    with os.scandir(folder) as entries:
        for entry in entries:
            with suppress(FileNotFoundError):
                if not KEY.match(entry.name):
                    continue
                stat = entry.stat(follow_symlinks=False)
                if stat.st_mtime < now - STAGED_SECONDS:
                    os.unlink(entry.name, dir_fd=folder)
                else:
                    found[entry.name] = stat.st_size
    return found


def _list(files: WorkspaceFiles, folder: str, now: float) -> list[tuple[str, float]]:
    """Return the names in a folder with their ages in seconds."""
    if not files.root.exists():
        return []
    try:
        with files._open("the upload", [folder]) as opened, os.scandir(opened) as entries:
            return [(entry.name, now - entry.stat(follow_symlinks=False).st_mtime) for entry in entries]
    except Absent:
        return []
