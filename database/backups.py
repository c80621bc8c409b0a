"""Backups: all of a server's data except its key, copied while it runs, and restored into an empty folder.

A backup is a folder with `headrace.sqlite3`, `values/`, `files/` and `manifest.json`. The manifest is written last and
has the size and SHA-256 of every file, so a folder without one is an incomplete backup.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, NamedTuple

import orjson

import database
from config import KEY_FILE, Config
from constants import VERSION
from database import sqlite
from database.queries import leases, server_state
from errors import BadInput, ConfigError, Conflict, NotFound

FORMAT = 1
MANIFEST = "manifest.json"
DATABASE = "headrace.sqlite3"
FOLDERS = ("values", "files")
RESTORING = ".restoring"  # exists in a data folder while a restore is in progress
CHUNK = 1 << 20
MAGIC = b"SQLite format 3\0"
PAGES_AT_ONCE = 1000  # of a copied database
MAX_MANIFEST_BYTES = 1 << 30
MAX_NAMED = 5


class BackupManifest(NamedTuple):
    """The manifest of a backup. `files` has (size in bytes, SHA-256) by path, such as `values/run_1/input.json`."""

    version: str
    made_at: str
    migrations: list[str]
    files: dict[str, tuple[int, str]]

    @property
    def size(self) -> int:
        """Return the total size of all files in bytes."""
        return sum(size for size, _ in self.files.values())


# Making a backup


def make(config: Config, target: Path) -> BackupManifest:
    """Copy the connected database, the large values and the workspaces' files into the new folder `target`.

    The server may keep writing: every value that a copied row refers to is in the backup.

    Raises: Conflict if the target exists.
    """
    draft = target.with_name(f".{target.name}.partial")
    for path in (target, draft):
        if path.exists():
            raise Conflict(f"{path} exists already and is not overwritten; choose another folder")
    with restrict_permissions(), delete_on_failure(draft):
        draft.mkdir()
        copied: dict[str, _Copied] = {}
        # Twice: a value is on disk before the row that refers to it, and may be deleted after the row is copied.
        _copy_folder(config.data_dir, "values", draft, copied)
        copy_database(draft / DATABASE)
        for folder in FOLDERS:
            _copy_folder(config.data_dir, folder, draft, copied)
        files = {path: (one.size, one.digest) for path, one in sorted(copied.items())}
        made = datetime.now(UTC).isoformat(timespec="seconds")
        files[DATABASE] = _measure(draft / DATABASE)
        manifest = BackupManifest(VERSION, made, sorted(database.migrations()), files)
        (draft / MANIFEST).write_bytes(orjson.dumps({"format": FORMAT, **manifest._asdict()}))
        os.sync()
        draft.rename(target)
    return manifest


class _Copied(NamedTuple):
    """A copied file: inode, size and time of its source, size and SHA-256."""

    seen: tuple[int, int, int]
    size: int
    digest: str


def _copy_folder(data_dir: Path, folder: str, draft: Path, copied: dict[str, _Copied]) -> None:
    """Copy each file of the folder that is not copied yet or has changed."""
    belonging: set[Path] = set()  # journal files of databases that flows keep there, which were copied with them
    for path in sorted(files_in(data_dir / folder)):
        name = path.relative_to(data_dir).as_posix()
        # Files that the server deletes meanwhile are not needed.
        with suppress(FileNotFoundError):
            found = path.stat(follow_symlinks=False)
            seen = (found.st_ino, found.st_size, found.st_mtime_ns)
            if path in belonging or (name in copied and copied[name].seen == seen):
                continue
            target = draft / name
            target.parent.mkdir(parents=True, exist_ok=True)
            if folder == "files" and copy_if_database(path, target):
                belonging |= {path.with_name(path.name + ending) for ending in sqlite.BESIDE}
                copied[name] = _Copied(seen, *_measure(target))
            else:
                copied[name] = _Copied(seen, *_copy(path, target))


def files_in(folder: Path) -> Iterator[Path]:
    """Yield the regular files below the folder, if it exists. Links are not followed."""
    for parent, _, names in os.walk(folder):
        for name in names:
            path = Path(parent, name)
            if path.is_file() and not path.is_symlink():
                yield path


def copy_stream(read: IO[bytes], written: IO[bytes] | None = None) -> tuple[int, str]:
    """Read to the end, and write the same if there is a target. Return the size and the SHA-256."""
    digest, size = hashlib.sha256(), 0
    while piece := read.read(CHUNK):
        if written is not None:
            written.write(piece)
        digest.update(piece)
        size += len(piece)
    return size, digest.hexdigest()


def _copy(source: Path, target: Path) -> tuple[int, str]:
    with source.open("rb") as read, target.open("wb") as written:
        return copy_stream(read, written)


def _measure(path: Path) -> tuple[int, str]:
    with path.open("rb") as file:
        return copy_stream(file)


@contextmanager
def restrict_permissions() -> Iterator[None]:
    """Make new files readable only by their owner."""
    before = os.umask(0o077)
    try:
        yield
    finally:
        os.umask(before)


@contextmanager
def delete_on_failure(*paths: Path) -> Iterator[None]:
    """Delete these files and folders if the block raises."""
    try:
        yield
    except BaseException:
        for path in paths:
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)
        raise


# Databases


def copy_database(target: Path) -> None:
    """Copy the live database consistently to a new file. Raises: FileExistsError if the file exists."""
    os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    with delete_on_failure(target):
        _copy_pages(str(database.db.database), target)


def _copy_pages(source: str, target: Path, uri: bool = False) -> None:
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
        _copy_pages(f"{source.absolute().as_uri()}?mode=ro", target, uri=True)
    except sqlite3.Error:
        target.unlink(missing_ok=True)
        return False
    return True


# Restoring


def restore(config: Config, source: Path) -> BackupManifest:
    """Restore the backup into the config's data folder, which must be empty except for the key. Pause its server.

    Everything is checked before the database gets its name, as the last step. On failure the folder is emptied again.

    Raises: NotFound or BadInput if the source is not a complete backup; ConfigError if a newer version made it;
        Conflict if the data folder is not empty or a server uses it.
    """
    manifest = read_manifest(source)
    done = database.replace_former(set(manifest.migrations), str(source), manifest.version)
    if unknown := sorted(done - database.migrations()):
        raise ConfigError(
            f"{source} was made by Headrace {manifest.version} and this is {VERSION}, which does not know its "
            f"migrations {', '.join(unknown[:MAX_NAMED])}; restore it with Headrace {manifest.version} or newer"
        )
    with restoring(config, manifest.size) as (staging, draft):
        for name, expected in manifest.files.items():
            copied, target = source / name, draft if name == DATABASE else staging / name
            target.parent.mkdir(parents=True, exist_ok=True)
            if copied.is_symlink() or not copied.is_file():
                raise BadInput(f"The backup is damaged: {copied} is missing")
            if _copy(copied, target) != expected:
                raise BadInput(f"The backup is damaged: {copied} has changed since the backup was made")
        pause(draft, f"restored from the backup of {manifest.made_at}")
    return manifest


@contextmanager
def restoring(config: Config, size: int = 0) -> Iterator[tuple[Path, Path]]:
    """Give a folder for `values/` and `files/`, and the path of a new database, which take some `size` bytes.

    At the end of the block all get their names in the config's data folder, the database last. On failure the folder is
    emptied again.

    Raises: Conflict if the data folder is not empty, a server uses it, or the disk has no room.
    """
    check_empty(config)
    folder, path = config.data_dir, config.database_path
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    draft = path.with_name(f".{path.name}.restoring")
    free = shutil.disk_usage(folder).free
    if size > free:
        raise Conflict(f"{folder} has {free} bytes of free space, and the backup needs {size}")
    staging = folder / RESTORING
    try:
        staging.mkdir(mode=0o700)
    except FileExistsError:
        raise Conflict(f"Another restore into {folder} is in progress") from None
    made = [draft, *(draft.with_name(draft.name + ending) for ending in (*sqlite.BESIDE, ".lock")), path]
    with restrict_permissions(), delete_on_failure(staging, *made, *(folder / name for name in FOLDERS)):
        yield staging, draft
        os.sync()
        for name in FOLDERS:
            if (staging / name).is_dir():
                (staging / name).rename(folder / name)
        draft.rename(path)
        os.sync()
        shutil.rmtree(staging)


def read_manifest(source: Path) -> BackupManifest:
    """Return the manifest of the backup in this folder.

    Raises: NotFound if it is missing; BadInput if it is malformed; ConfigError if a newer version wrote it.
    """
    path = source / MANIFEST
    if not path.is_file():
        raise NotFound(f"{source} is not a complete backup: it has no {MANIFEST}")
    if path.stat().st_size > MAX_MANIFEST_BYTES:
        raise BadInput(f"{path} is not the manifest of a backup: it has more than {MAX_MANIFEST_BYTES} bytes")
    try:
        found = orjson.loads(path.read_bytes())
        version = found["version"]
        if not isinstance(version, str) or not isinstance(found["format"], int):
            raise TypeError
        if found["format"] > FORMAT:
            raise ConfigError(f"{source} was made by Headrace {version}, which is newer than {VERSION}; use it")
        files = {name: (int(size), str(digest)) for name, (size, digest) in found["files"].items()}
        manifest = BackupManifest(version, str(found["made_at"]), list(map(str, found["migrations"])), files)
    except (orjson.JSONDecodeError, AttributeError, KeyError, TypeError, ValueError):
        raise BadInput(f"{path} is not the manifest of a backup") from None
    strange = [name for name in manifest.files if not is_valid_name(name)]
    if strange or DATABASE not in manifest.files:
        raise BadInput(f"{path} lists files that are not part of a backup: {strange[:MAX_NAMED]}")
    return manifest


def is_valid_name(name: str) -> bool:
    """Return True if a backup may contain a file with this name."""
    folder, *rest = name.split("/")
    inside = folder in FOLDERS and rest and not {"..", ".", ""} & set(rest) and "\0" not in name
    return name == DATABASE or bool(inside)


def check_empty(config: Config) -> None:
    """Check that the data folder has only the key. Raises: Conflict if it has more, or the database exists."""
    folder, path = config.data_dir, config.database_path
    if path.exists():
        working: list[str] = []  # the servers that use this database, as far as can be seen
        with suppress(database.DatabaseFailed):
            database.connect(path)
            try:
                working = leases.find_living()
            finally:
                database.disconnect()
        if working:
            raise Conflict(f"A server is using {path} ({', '.join(working)}); restore into another, empty folder")
        raise Conflict(f"The database {path} exists already; restore into an empty folder")
    names = sorted(entry.name for entry in folder.iterdir()) if folder.is_dir() else []
    more = [name for name in names if not name.startswith(KEY_FILE)]
    if more:
        named = ", ".join(more[:MAX_NAMED])
        raise Conflict(f"{folder} is not empty ({named}); restore into a folder that has nothing but {KEY_FILE}")


def pause(path: Path, reason: str) -> None:
    """Pause the servers of this SQLite database, and delete the leases of the servers that wrote it."""
    database.connect(path)
    try:
        database.check_migrations()
        with database.write():
            database.execute("DELETE FROM leases")
            server_state.pause(reason)
        database.empty_log()
    except database.DatabaseFailed as error:
        raise BadInput(f"The database in the backup cannot be read: {error}") from None
    finally:
        database.disconnect()
        for ending in (*sqlite.BESIDE, ".lock"):
            path.with_name(path.name + ending).unlink(missing_ok=True)


def check_not_restoring(config: Config) -> None:
    """Check that no restore is in progress in the data folder. Raises: ConfigError if one is, or was interrupted."""
    if (config.data_dir / RESTORING).exists():
        raise ConfigError(
            f"A restore into {config.data_dir} is in progress or was interrupted. If none is running, empty the "
            f"folder, except for {KEY_FILE}, and restore again"
        )
