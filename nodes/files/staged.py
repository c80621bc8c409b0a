"""Staged files: uploads of a form that is not sent yet.

They lie beside other unfinished uploads, and have no path. When the form is sent, they move to the folder of the run
that it starts. A mark says so from before the first move until the run is on record: if the process dies in between,
`remove_unsent` finds the files of a run that never was.
"""

from __future__ import annotations

import os
import re
import secrets
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

from nodes.files.files import DRAFT, NEW_FILE, STALE_SECONDS, UPLOADS, Absent, Files, Upload, describe_file

MARKS = DRAFT + "forms"
KEY = re.compile(re.escape(DRAFT) + r"[0-9a-f]{32}\Z")
MARK = re.compile(r"(run_[0-9A-Z]{26})-[0-9a-f]{8}\Z")
MARK_SECONDS = 3600  # age of a mark whose process has surely died


def folder_of(run_id: str) -> str:
    """Return the folder of the files that were sent with the form of a run."""
    return f"forms/{run_id}"


@contextmanager
def staging(files: Files, min_free: int = 0) -> Iterator[Upload]:
    """Create a staged file, whose key is `Upload.name`. It is deleted if the block fails.

    Keeps at least `min_free` bytes of the disk free.
    """
    with files._open("the upload", [UPLOADS], make=True) as folder:
        key = DRAFT + secrets.token_hex(16)
        fd = os.open(key, NEW_FILE, 0o600, dir_fd=folder)
        try:
            with os.fdopen(fd, "wb") as file:
                yield Upload(file, files, folder, key, min_free)
                file.flush()
                os.fsync(fd)
        except BaseException:
            with suppress(FileNotFoundError):
                os.unlink(key, dir_fd=folder)
            raise


def discard(files: Files, keys: Iterable[str]) -> None:
    """Delete staged files, if they exist."""
    with suppress(Absent), files._open("the upload", [UPLOADS]) as folder:
        for key in keys:
            with suppress(FileNotFoundError):
                os.unlink(_check(key), dir_fd=folder)


@contextmanager
def moving(files: Files, run_id: str, names: Mapping[str, str]) -> Iterator[dict[str, dict[str, Any]]]:
    """Move staged files to the folder of a run that the block starts or answers: `names` are their new names by key.

    Yields the file object of each by key. If the block fails, they are staged again.

    Raises: Absent if a file is not staged any more.
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
                _move_back(files, path, key)
            _remove_folder(files, run_id)
            raise
        finally:
            os.unlink(mark, dir_fd=marks)


def settle(files: Files, run_id: str, names: Mapping[str, str]) -> None:
    """Give the files of a recorded run their place if it lacks them, and delete those that it has already.

    A request may fail without knowing whether its run was recorded: the next one with the same form finds the run.
    """
    for key, name in names.items():
        path = f"{folder_of(run_id)}/{name}"
        if any(file["path"] == path for file in files.find(path, limit=1)):
            discard(files, [key])
        else:
            with suppress(Absent):
                _move(files, key, path)


def remove_unsent(files: Files, has_run: Callable[[str], bool], now: float | None = None) -> int:
    """Delete files of forms that were never sent: stale staged ones, and those of runs that were never recorded.

    Return their number.
    """
    now, count = time.time() if now is None else now, 0
    for name, age in _list(files, UPLOADS, now):
        if KEY.match(name) and age > STALE_SECONDS:
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


def _move(files: Files, key: str, path: str) -> int:
    with files._open("the upload", [UPLOADS]) as folder, files.place(path, make=True) as (new_folder, name):
        os.rename(_check(key), name, src_dir_fd=folder, dst_dir_fd=new_folder)
        os.fsync(new_folder)
        return os.stat(name, dir_fd=new_folder, follow_symlinks=False).st_size


def _move_back(files: Files, path: str, key: str) -> None:
    with suppress(Absent), files.place(path) as (folder, name), files._open("the upload", [UPLOADS]) as uploads:
        os.rename(name, key, src_dir_fd=folder, dst_dir_fd=uploads)


def _remove_folder(files: Files, run_id: str) -> None:
    """Remove the folder of a run if it is empty."""
    with suppress(Exception):
        files.delete(folder_of(run_id))


def _list(files: Files, folder: str, now: float) -> list[tuple[str, float]]:
    """Return the names in a folder with their ages in seconds."""
    if not files.root.exists():
        return []
    try:
        with files._open("the upload", [folder]) as opened, os.scandir(opened) as entries:
            return [(entry.name, now - entry.stat(follow_symlinks=False).st_mtime) for entry in entries]
    except Absent:
        return []
