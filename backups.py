"""Backups: everything that a server keeps but its key, copied while it works, and put back into an empty folder.

A backup is a folder with `headrace.sqlite3`, `values/`, `files/` and `manifest.json`. The manifest is written last and
has the size and the SHA-256 of every file, so a folder without one is not a whole backup.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import orjson

import database
from config import Config
from errors import BadInput, ConfigError, Conflict, NotFound
from models import Fact, Lease
from security.vault import KEY_FILE, find_key
from version import VERSION

FORMAT = 1
MANIFEST = "manifest.json"
DATABASE = "headrace.sqlite3"
FOLDERS = ("values", "files")
RESTORING = ".restoring"  # is in a data folder from the beginning of a restore to its end
PIECE = 1 << 20
MAX_MANIFEST_BYTES = 1 << 30
MAX_NAMED = 5


class Manifest(NamedTuple):
    """The manifest of a backup. `files` has (size in bytes, SHA-256) by path, such as `values/run_1/input.json`."""

    version: str
    made_at: str
    migrations: list[str]
    files: dict[str, tuple[int, str]]

    @property
    def size(self) -> int:
        """The bytes of all files together."""
        return sum(size for size, _ in self.files.values())


# Making one


def make(config: Config, target: Path) -> Manifest:
    """Copy the connected database, the large values and the workspaces' files into the new folder `target`.

    Others may go on writing: every value of which a row of the copied database speaks is there.

    Raises: Conflict if the target exists.
    """
    draft = target.with_name(f".{target.name}.partial")
    for path in (target, draft):
        if path.exists():
            raise Conflict(f"{path} exists already; nothing is overwritten")
    with _for_owner_only(), _gone_if_it_fails(draft):
        draft.mkdir()
        copied: dict[str, _Copied] = {}
        # Twice: a value is on the disk before the row that speaks of it, and may be deleted after the row is copied.
        _copy_folder(config.data_dir, "values", draft, copied)
        database.backup(draft / DATABASE)
        for folder in FOLDERS:
            _copy_folder(config.data_dir, folder, draft, copied)
        files = {path: (one.size, one.digest) for path, one in sorted(copied.items())}
        made = datetime.now(UTC).isoformat(timespec="seconds")
        files[DATABASE] = _measure(draft / DATABASE)
        manifest = Manifest(VERSION, made, sorted(database.migrations()), files)
        (draft / MANIFEST).write_bytes(orjson.dumps({"format": FORMAT, **manifest._asdict()}))
        os.sync()
        draft.rename(target)
    return manifest


class _Copied(NamedTuple):
    """A file as it was copied: what its source looked like then, its size and its SHA-256."""

    seen: tuple[int, int, int]
    size: int
    digest: str


def _copy_folder(data_dir: Path, folder: str, draft: Path, copied: dict[str, _Copied]) -> None:
    """Copy each file of the folder that is not copied yet, or has changed since."""
    belonging: set[Path] = set()  # to a database that flows keep there, and that was copied with what is in them
    for path in sorted(_files_in(data_dir / folder)):
        name = path.relative_to(data_dir).as_posix()
        # What a server has deleted meanwhile is not missed.
        with suppress(FileNotFoundError):
            found = path.stat(follow_symlinks=False)
            seen = (found.st_ino, found.st_size, found.st_mtime_ns)
            if path in belonging or (name in copied and copied[name].seen == seen):
                continue
            target = draft / name
            target.parent.mkdir(parents=True, exist_ok=True)
            if folder == "files" and database.copy_if_one(path, target):
                belonging |= {path.with_name(path.name + ending) for ending in database.BESIDE}
                copied[name] = _Copied(seen, *_measure(target))
            else:
                copied[name] = _Copied(seen, *_copy(path, target))


def _files_in(folder: Path) -> Iterator[Path]:
    """Yield the regular files below the folder, if it exists. Links are not followed."""
    for parent, _, names in os.walk(folder):
        for name in names:
            path = Path(parent, name)
            if path.is_file() and not path.is_symlink():
                yield path


def _copy(source: Path, target: Path) -> tuple[int, str]:
    """Copy the file; its size and SHA-256."""
    digest, size = hashlib.sha256(), 0
    with source.open("rb") as read, target.open("wb") as written:
        while piece := read.read(PIECE):
            written.write(piece)
            digest.update(piece)
            size += len(piece)
    return size, digest.hexdigest()


def _measure(path: Path) -> tuple[int, str]:
    """The size of the file and its SHA-256."""
    with path.open("rb") as file:
        return path.stat().st_size, hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def _for_owner_only() -> Iterator[None]:
    """Let nobody else read the files that are made meanwhile."""
    before = os.umask(0o077)
    try:
        yield
    finally:
        os.umask(before)


@contextmanager
def _gone_if_it_fails(*paths: Path) -> Iterator[None]:
    """Delete these files and folders if what is done meanwhile fails."""
    try:
        yield
    except BaseException:
        for path in paths:
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)
        raise


# Putting it back


def restore(config: Config, source: Path) -> Manifest:
    """Put the backup into the config's data folder, which must be empty but for the key. Its server is then paused.

    Everything is checked before the database, as the last, gets its name. If anything fails, the folder is empty again.

    Raises: NotFound or BadInput if the source is not a whole backup, ConfigError if a newer version made it, Conflict
        if the data folder is not empty or a server works there.
    """
    manifest = read_manifest(source)
    _refuse_newer(source, manifest)
    check_empty(config)
    folder, path = config.data_dir, config.database_path
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    free = shutil.disk_usage(folder).free
    if manifest.size > free:
        raise Conflict(f"{folder} has {free} bytes of free space, and the backup needs {manifest.size}")
    staging, draft = folder / RESTORING, path.with_name(f".{path.name}.restoring")
    try:
        staging.mkdir(mode=0o700)
    except FileExistsError:
        raise Conflict(f"Another restore into {folder} is under way") from None
    with _for_owner_only(), _gone_if_it_fails(staging, draft, *(folder / name for name in FOLDERS), path):
        for name, expected in manifest.files.items():
            target = draft if name == DATABASE else staging / name
            target.parent.mkdir(parents=True, exist_ok=True)
            _copy_checked(source / name, target, expected)
        _pause(draft, f"restored from the backup of {manifest.made_at}")
        os.sync()
        for name in FOLDERS:
            if (staging / name).is_dir():
                (staging / name).rename(folder / name)
        draft.rename(path)
        os.sync()
        shutil.rmtree(staging)
    return manifest


def read_manifest(source: Path) -> Manifest:
    """Return the manifest of the backup in this folder.

    Raises: NotFound if there is no manifest, BadInput if it is not one, ConfigError if a newer version has written it.
    """
    path = source / MANIFEST
    if not path.is_file():
        raise NotFound(f"{source} is not a whole backup: it has no {MANIFEST}")
    if path.stat().st_size > MAX_MANIFEST_BYTES:
        raise BadInput(f"{path} is not the manifest of a backup: it has more than {MAX_MANIFEST_BYTES} bytes")
    try:
        found = orjson.loads(path.read_bytes())
        version = found["version"]
        if not isinstance(version, str) or not isinstance(found["format"], int):
            raise TypeError
        if found["format"] > FORMAT:
            raise ConfigError(f"{source} was made by Headrace {version}, which is newer than {VERSION}; use that one")
        files = {name: (int(size), str(digest)) for name, (size, digest) in found["files"].items()}
        manifest = Manifest(version, str(found["made_at"]), list(map(str, found["migrations"])), files)
    except (orjson.JSONDecodeError, AttributeError, KeyError, TypeError, ValueError):
        raise BadInput(f"{path} is not the manifest of a backup") from None
    strange = [name for name in manifest.files if not _is_ours(name)]
    if strange or DATABASE not in manifest.files:
        raise BadInput(f"{path} names files that no backup has: {strange[:MAX_NAMED]}")
    return manifest


def _is_ours(name: str) -> bool:
    """Return True if a backup may have a file of this name."""
    folder, *rest = name.split("/")
    inside = folder in FOLDERS and rest and not {"..", ".", ""} & set(rest) and "\0" not in name
    return name == DATABASE or bool(inside)


def _refuse_newer(source: Path, manifest: Manifest) -> None:
    unknown = sorted(set(manifest.migrations) - database.migrations())
    if unknown:
        raise ConfigError(
            f"{source} was made by Headrace {manifest.version} and this is {VERSION}, which does not know its "
            f"migrations {', '.join(unknown[:MAX_NAMED])}; restore it with Headrace {manifest.version} or newer"
        )


def check_empty(config: Config) -> None:
    """Do nothing if a backup can be restored here.

    Raises: Conflict if the data folder holds anything but the key, or the database is there already.
    """
    folder, path = config.data_dir, config.database_path
    if path.exists():
        working = _servers_on(path)
        if working:
            raise Conflict(f"A server is working on {path} ({', '.join(working)}); restore into another, empty folder")
        raise Conflict(f"There is a database {path} already; restore into an empty folder, nothing is overwritten")
    names = sorted(entry.name for entry in folder.iterdir()) if folder.is_dir() else []
    more = [name for name in names if not name.startswith(KEY_FILE)]
    if more:
        named = ", ".join(more[:MAX_NAMED])
        raise Conflict(f"{folder} is not empty ({named}); restore into a folder that has nothing but {KEY_FILE}")


def _servers_on(path: Path) -> list[str]:
    """The processes of servers that work on this database, as far as one can see."""
    with suppress(database.DatabaseError):
        database.connect(path)
        try:
            return Lease.living()
        finally:
            database.disconnect()
    return []


def _copy_checked(source: Path, target: Path, expected: tuple[int, str]) -> None:
    """Copy a file of a backup.

    Raises: BadInput if it is not as it was when the backup was made.
    """
    if source.is_symlink() or not source.is_file():
        raise BadInput(f"The backup is damaged: {source} is missing")
    if _copy(source, target) != expected:
        raise BadInput(f"The backup is damaged: {source} is not as it was when the backup was made")


def _pause(path: Path, reason: str) -> None:
    """Let servers on this database start paused, and none of those be alive that wrote it."""
    database.connect(path)
    try:
        database.refuse_newer()
        with database.write():
            database.execute("DELETE FROM leases")
            Fact.pause(reason)
        database.empty_log()
    except database.DatabaseError as error:
        raise BadInput(f"The database in the backup cannot be read: {error}") from None
    finally:
        database.disconnect()
        for ending in (*database.BESIDE, ".lock"):
            path.with_name(path.name + ending).unlink(missing_ok=True)


def check_not_restoring(config: Config) -> None:
    """Do nothing if no restore is under way in the data folder.

    Raises: ConfigError if one is, or was interrupted.
    """
    if (config.data_dir / RESTORING).exists():
        raise ConfigError(
            f"A restore into {config.data_dir} is under way or was interrupted. If none is running, empty the folder, "
            f"but for {KEY_FILE}, and restore again"
        )


def key_that_fits(config: Config) -> bool:
    """Return True if the key of the config, or a file beside where it belongs, opens the connected database."""
    known = Fact.find("key")
    return known is None or bool(config.secret_key) or find_key(config.data_dir / KEY_FILE, known.value) is not None
