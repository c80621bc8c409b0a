"""Backup: consistent copies of databases while other processes write."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path

from database import db

MAGIC = b"SQLite format 3\0"
PAGES_AT_ONCE = 1000  # of a copy


def copy_database(target: Path) -> None:
    """Copy the live database consistently to a new file. Raises: FileExistsError if the file exists."""
    os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    try:
        _copy(str(db.database), target)
    except BaseException:
        target.unlink(missing_ok=True)
        raise


def _copy(source: str, target: Path, uri: bool = False) -> None:
    with closing(sqlite3.connect(source, uri=uri)) as read, closing(sqlite3.connect(target)) as copy:
        # The read transaction pins one state. Without it, the copy would restart after every write of another process,
        # and under constant writes never end.
        read.execute("BEGIN")
        read.execute("SELECT 1 FROM sqlite_master").fetchone()
        read.backup(copy, pages=PAGES_AT_ONCE)


def copy_if_database(source: Path, target: Path) -> bool:
    """Copy a file consistently if it is a readable SQLite database. Return False otherwise."""
    with source.open("rb") as file:
        if file.read(len(MAGIC)) != MAGIC:
            return False
    try:
        # Read-only: files of an interrupted writer, or placed there by a stranger, must not be recovered here.
        _copy(f"{source.absolute().as_uri()}?mode=ro", target, uri=True)
    except sqlite3.Error:
        target.unlink(missing_ok=True)
        return False
    return True
