"""The quota of a workspace's files: how many bytes they may take together.

The number of bytes is in a small file in the workspace's folder. A change of a file's size holds the lock of that
file, so that the processes of all machines with the folder count one after the other. Files that something else
changed, such as a restored backup, are found when all are counted again: after COUNTED_SECONDS, or a hundred times as
long as that took.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import orjson

from errors import NodeError

DRAFT = ".draft-"  # the beginning of reserved names: of files that are not complete, and of this one
NAME = DRAFT + "usage"
COUNTED_SECONDS, PATIENCE = 600.0, 100.0
FLAGS = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC


class OverQuota(NodeError):
    """The files of the workspace would take more than their quota."""


class FileUsage:
    """The bytes that the files take. `limit` is the quota, 0 for none."""

    def __init__(self, used: int, limit: int) -> None:
        self.used, self.limit = used, limit

    def add(self, change: int) -> None:
        """Add bytes. Raises: OverQuota if there would be too many."""
        if change > 0 and self.limit and self.used + change > self.limit:
            raise OverQuota(
                f"the workspace's files would take {self.used + change:,} bytes, more than their quota of "
                f"{self.limit:,}; delete some first",
                permanent=True,
                kind="limit",
            )
        self.used = max(0, self.used + change)


@contextmanager
def holding_usage(root: Path, limit: int) -> Iterator[FileUsage]:
    """Give the usage of the files below this folder, which nobody else changes meanwhile. Changes of it are kept."""
    fd = os.open(root / NAME, FLAGS, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        used, counted_at, seconds = _read(fd)
        if not counted_at <= time.time() < counted_at + max(COUNTED_SECONDS, PATIENCE * seconds):
            counted_at, began = time.time(), time.monotonic()
            used = count_bytes(root)
            seconds = time.monotonic() - began
        usage = FileUsage(used, limit)
        yield usage
        text = orjson.dumps([usage.used, counted_at, seconds])
        os.pwrite(fd, text, 0)
        os.ftruncate(fd, len(text))
    finally:
        os.close(fd)


def _read(fd: int) -> tuple[int, float, float]:
    try:
        used, counted_at, seconds = orjson.loads(os.pread(fd, 200, 0))
        return int(used), float(counted_at), float(seconds)
    except (ValueError, TypeError):  # new, or a crash cut it
        return 0, 0.0, 0.0


def count_bytes(root: Path) -> int:
    """Return the bytes of all complete files below the folder. Links are not followed."""
    total = 0
    for parent, folders, names in os.walk(root):
        folders[:] = [name for name in folders if not name.startswith(DRAFT)]
        for name in names:
            with suppress(FileNotFoundError):
                total += 0 if name.startswith(DRAFT) else Path(parent, name).stat(follow_symlinks=False).st_size
    return total
