"""Files of a workspace, `files/<workspace id>/` in the data folder.

A path is relative, with plain names between slashes. It is walked name by name from the folder, without following
symlinks; so nothing outside can be reached, even if the folder changes meanwhile.
"""

from __future__ import annotations

import base64
import errno
import fcntl
import heapq
import itertools
import mimetypes
import os
import re
import secrets
import shutil
import stat
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

import orjson

from errors import LimitExceeded, MalformedData, NodeError
from fields import iso
from nodes.limits import has_too_many_parts

# The quota of a workspace's files: how many bytes they may take together.
#
# The number of bytes is in a small file in the workspace's folder. A change of a file's size holds the lock of that
# file, so that the processes of all machines with the folder count one after the other. Files that something else
# changed, such as a restored backup, are found when all are counted again: after COUNTED_SECONDS, or a hundred times
# as long as that took.

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


MAX_NAME, MAX_LEVELS, MAX_LISTED = 200, 20, 10_000
BAD = re.compile(r"[\x00-\x1f\x7f\\\ud800-\udfff]")
MAX_READ, PIECE = 16 * 2**20, 2**20
# Folder of unfinished uploads, and the age in seconds at which one is abandoned.
UPLOADS, STALE_SECONDS = DRAFT + "uploads", 24 * 3600
SORTED_AT_ONCE = 1_000  # names of a folder
UNKNOWN = "application/octet-stream"
# SQLite's files beside a database. It trusts their content, even the name of another file to delete.
SQLITE_FILES = re.compile(r"\.(db|sqlite|sqlite3)-(journal|wal|shm)\Z", re.IGNORECASE)
FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
REASONS = {
    errno.ENOENT: "the file does not exist",
    errno.ELOOP: "is a symbolic link, which is not followed",
    errno.ENOTDIR: "leads through a file or a symbolic link instead of a folder",
    errno.EISDIR: "is a folder",
    errno.ENOTEMPTY: "is a folder that is not empty",
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the disk is full",
    errno.EROFS: "the disk is read-only",
}
TRANSIENT = {errno.ENOSPC, errno.EDQUOT, errno.EMFILE, errno.ENFILE, errno.EIO}


def split_path(path: str) -> list[str]:
    """Return the names in a path. Raises: NodeError if it is absolute, or has `..`, `\\` or control characters."""
    if path.startswith("/") or BAD.search(path):
        raise NodeError(f"{path[:200]!r} is not a valid path of the workspace's files, such as reports/today.csv", True)
    names = [name for name in path.split("/") if name not in ("", ".")]
    if ".." in names:
        raise NodeError(f"{path[:200]!r} leads out of the workspace's files", permanent=True)
    if any(name.startswith(DRAFT) for name in names):
        raise NodeError(f"{path[:200]!r}: names starting with {DRAFT} are reserved", permanent=True)
    if any(SQLITE_FILES.search(name) for name in names):
        raise NodeError(f"{path[:200]!r}: SQLite's files beside a database are reserved", permanent=True)
    if len(names) > MAX_LEVELS or any(len(name.encode("utf-8", "replace")) > MAX_NAME for name in names):
        raise NodeError(f"the path {path[:50]!r}… is too long or too deep", permanent=True)
    return names


class WorkspaceFiles:
    """The files of one workspace, below `root`, which is created at the first write. `max_bytes` limits each file,
    `quota` all of them together; 0: no limit.

    Every method raises NodeError naming the path.
    """

    def __init__(self, root: Path, max_bytes: int, quota: int = 0) -> None:
        self.root, self.max_bytes, self.quota = root, max_bytes, quota

    @contextmanager
    def reading(self, path: str) -> Iterator[IO[bytes]]:
        """Open a file for reading."""
        with self.place(path) as (folder, name):
            fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
            with os.fdopen(fd, "rb") as file:
                self._check(path, os.fstat(fd))
                yield file

    def read(self, path: str) -> bytes:
        """Return the content of a file."""
        with self.reading(path) as file:
            return file.read(self.max_bytes)

    @contextmanager
    def writing(self, path: str) -> Iterator[BoundedFile]:
        """Open a new file for writing; it replaces the old one atomically once it is completely on disk."""
        with self.place(path, make=True) as (folder, name):
            draft = DRAFT + secrets.token_hex(8)
            fd = os.open(draft, NEW_FILE, 0o600, dir_fd=folder)
            try:
                with os.fdopen(fd, "wb") as file:
                    yield BoundedFile(file, path, self.max_bytes)
                    file.flush()
                    os.fsync(fd)
                    size = os.fstat(fd).st_size
                with self._charging(size, name, folder):
                    os.rename(draft, name, src_dir_fd=folder, dst_dir_fd=folder)
            except BaseException:
                os.unlink(draft, dir_fd=folder)
                raise
            os.fsync(folder)

    @contextmanager
    def uploading(self, min_free: int = 0) -> Iterator[Upload]:
        """Create a new file without a path. Unless `Upload.keep` gives it one, it is deleted at the end.

        Keeps at least `min_free` bytes of the disk free.
        """
        with self._open("the upload", [UPLOADS], make=True) as folder:
            # Leftovers of uploads whose process died.
            with os.scandir(folder) as entries:
                for entry in entries:
                    with suppress(FileNotFoundError):
                        if entry.stat(follow_symlinks=False).st_mtime < time.time() - STALE_SECONDS:
                            os.unlink(entry.name, dir_fd=folder)
            name = DRAFT + secrets.token_hex(8)
            fd = os.open(name, NEW_FILE, 0o600, dir_fd=folder)
            try:
                with os.fdopen(fd, "wb") as file:
                    yield Upload(file, self, folder, name, min_free)
            finally:
                with suppress(FileNotFoundError):  # it was moved to its path
                    os.unlink(name, dir_fd=folder)

    def write(self, path: str, data: bytes) -> int:
        """Write a whole file; return its size."""
        with self.writing(path) as file:
            file.write(data)
        return len(data)

    def append(self, path: str, data: bytes) -> int:
        """Append to a file, creating it if necessary; return its new size."""
        with self.place(path, make=True) as (folder, name):
            flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
            with (
                os.fdopen(os.open(name, flags, 0o600, dir_fd=folder), "ab") as file,
                self._charging(len(data)),
            ):
                found = os.fstat(file.fileno())
                self._check(path, found)
                BoundedFile(file, path, self.max_bytes - found.st_size).write(data)
                file.flush()
                os.fsync(file.fileno())
            os.fsync(folder)
            return found.st_size + len(data)

    def copy(self, path: str, to: str) -> int:
        """Copy a file, replacing an existing one; return its size."""
        with self.reading(path) as source, self.writing(to) as target:
            while piece := source.read(PIECE):
                target.write(piece)
            return target.size

    def move(self, path: str, to: str) -> int:
        """Move a file atomically, replacing an existing one; return its size."""
        with self.place(path) as (folder, name), self.place(to, make=True) as (new_folder, new_name):
            found = os.stat(name, dir_fd=folder, follow_symlinks=False)
            self._check(path, found)
            with self._charging(0, new_name, new_folder):
                os.rename(name, new_name, src_dir_fd=folder, dst_dir_fd=new_folder)
            os.fsync(new_folder)
            os.fsync(folder)
            return found.st_size

    def find(self, prefix: str = "", after: str = "", limit: int = MAX_LISTED) -> list[dict[str, Any]]:
        """Return up to `limit` files of all folders, in the order of their paths, as `{"path", "size", "modified_at"}`.

        Their paths begin with `prefix` and come after the path `after`. `modified_at` is in milliseconds since 1970.
        """
        if not self.root.exists():
            return []
        with self._open("the folder", []) as root:
            return list(itertools.islice(_walk(root, "", prefix, after), limit))

    def list(self, path: str = "", limit: int = MAX_LISTED) -> list[dict[str, Any]]:
        """List a folder by name: `{"path", "name", "type", "size", "modified_at"}`; type is file or folder."""
        names = split_path(path)
        if not names and not self.root.exists():
            return []
        with self._open(path, names) as folder:
            found = []
            with os.scandir(folder) as entries:
                for entry in entries:
                    if entry.is_symlink() or entry.name.startswith(DRAFT) or SQLITE_FILES.search(entry.name):
                        continue
                    found.append(self._entry(path, entry))
                    if len(found) > limit:
                        raise LimitExceeded(f"{path or 'the folder'} has more than {limit} entries")
        return sorted(found, key=lambda entry: str(entry["name"]))

    def delete(self, path: str) -> bool:
        """Delete a file or an empty folder. Return False if it did not exist."""
        try:
            with self.place(path) as (folder, name):
                found = os.stat(name, dir_fd=folder, follow_symlinks=False)
                is_folder = stat.S_ISDIR(found.st_mode)
                with self._charging(0 if is_folder else -found.st_size):
                    (os.rmdir if is_folder else os.unlink)(name, dir_fd=folder)
                os.fsync(folder)
        except Absent:
            return False
        return True

    def size(self, path: str) -> int:
        """Return the size of a file in bytes."""
        with self.reading(path) as file:
            return os.fstat(file.fileno()).st_size

    def page(self, path: str = "", after: str = "", limit: int = MAX_LISTED) -> Sequence[dict[str, Any]]:
        """Return up to `limit` files and folders directly in a folder, by name: `{"path", "size", "modified_at"}`.

        The path of a folder ends with a slash. They come after the path `after`. A folder that does not exist is empty.
        """
        names = split_path(path)
        start = "/".join([*names, ""]) if names else ""
        try:
            with self._open(path, names) as folder:
                keys = _sorted_keys(folder, start, start, after)
                entries = (_entry_of(key, start, folder) for key in keys if start + key > after)
                return list(itertools.islice((entry for entry in entries if entry is not None), limit))
        except Absent:
            return []

    def rename(self, path: str, to: str) -> None:
        """Move a file or a folder to a path that does not exist. Raises: Absent, FileAlreadyExists."""
        if split_path(to)[: len(split_path(path))] == split_path(path):
            raise NodeError(f"{path!r} cannot be moved into itself", permanent=True)
        with self.place(path) as (folder, name):
            os.stat(name, dir_fd=folder, follow_symlinks=False)
            with self.place(to, make=True) as (new_folder, new_name):
                if _stat(new_name, new_folder) is not None:
                    raise FileAlreadyExists(f"{to!r}: already exists", permanent=True)
                os.rename(name, new_name, src_dir_fd=folder, dst_dir_fd=new_folder)
                os.fsync(new_folder)
            os.fsync(folder)

    def delete_folder(self, path: str) -> int:
        """Delete a folder with up to MAX_LISTED files in it. Return their number.

        Raises: Absent; LimitExceeded if it has more files.
        """
        prefix = "/".join([*split_path(path), ""])
        found = self.find(prefix, limit=MAX_LISTED + 1)
        if len(found) > MAX_LISTED:
            raise LimitExceeded(f"{path!r} has more than {MAX_LISTED:,} files; delete its folders one by one")
        with self.place(path) as (folder, name), self._charging(-sum(file["size"] for file in found)):
            if not stat.S_ISDIR(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode):
                raise OSError(errno.ENOTDIR, "")
            shutil.rmtree(name, dir_fd=folder)  # type: ignore[call-overload, unused-ignore]
            os.fsync(folder)
        return len(found)

    def usage(self) -> int:
        """Return the bytes of all files, counted at most ten minutes ago."""
        if not self.root.exists():
            return 0
        with self._open("the folder", []), holding_usage(self.root, self.quota) as usage:
            return usage.used

    @contextmanager
    def _charging(self, size: int, name: str | None = None, folder: int = -1) -> Iterator[None]:
        """Add bytes to the usage, less those of the file of this name in the open folder, if the block succeeds.

        Raises: OverQuota.
        """
        if not self.quota:
            yield
            return
        with holding_usage(self.root, self.quota) as usage:
            replaced = None if name is None else _stat(name, folder)
            usage.add(size - (0 if replaced is None else replaced.st_size))
            yield

    def real_path(self, path: str, make: bool = False) -> Path:
        """Return the file's location for a library that opens it itself, after checking its folders and symlinks.

        Only for such libraries: the folder could change before they open it. If they may write (`make`), there must be
        some quota left.
        """
        if make and self.quota and self.root.exists():
            with holding_usage(self.root, self.quota) as usage:
                usage.add(1)
                usage.add(-1)
        with self.place(path, make) as (folder, name):
            try:
                self._check(path, os.stat(name, dir_fd=folder, follow_symlinks=False))
            except FileNotFoundError:
                if not make:
                    raise
        return self.root.joinpath(*split_path(path))

    def _entry(self, path: str, entry: os.DirEntry[str]) -> dict[str, Any]:
        found = entry.stat(follow_symlinks=False)
        return {
            "path": "/".join([*split_path(path), entry.name]),
            "name": entry.name,
            "type": "folder" if stat.S_ISDIR(found.st_mode) else "file",
            "size": found.st_size,
            "modified_at": iso(found.st_mtime_ns // 1_000_000),
        }

    def _check(self, path: str, found: os.stat_result) -> None:
        if stat.S_ISLNK(found.st_mode):
            raise OSError(errno.ELOOP, "")
        if stat.S_ISDIR(found.st_mode):
            raise OSError(errno.EISDIR, "")
        if not stat.S_ISREG(found.st_mode) or found.st_nlink > 1:
            raise NodeError(f"{path!r} is not a regular file", permanent=True)
        if found.st_size > self.max_bytes:
            raise LimitExceeded(f"{path!r} has more than {self.max_bytes:,} bytes, the limit for files")

    @contextmanager
    def place(self, path: str, make: bool = False) -> Iterator[tuple[int, str]]:
        """Yield the open folder of a path, and its last name."""
        *folders, name = split_path(path) or [""]
        if not name:
            raise NodeError("path: must name a file", permanent=True)
        with self._open(path, folders, make) as folder:
            yield folder, name

    @contextmanager
    def _open(self, path: str, folders: Sequence[str], make: bool = False) -> Iterator[int]:
        """Open the folder with this path. Converts system errors within to NodeErrors."""
        fd = -1
        try:
            if make:
                self.root.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
                self.root.mkdir(exist_ok=True, mode=0o700)
            fd = os.open(self.root, FOLDER)
            for name in folders:
                if make:
                    with suppress(FileExistsError):
                        os.mkdir(name, 0o700, dir_fd=fd)
                        os.fsync(fd)
                inner = os.open(name, FOLDER, dir_fd=fd)
                os.close(fd)
                fd = inner
            yield fd
        except FileNotFoundError:
            raise Absent(f"{path!r}: the file does not exist", permanent=True) from None
        except OSError as error:
            why = REASONS.get(error.errno or 0, error.strerror or str(error))
            raise NodeError(f"{path!r}: {why}", error.errno not in TRANSIENT, kind="storage") from None
        finally:
            if fd >= 0:
                os.close(fd)


class NoFiles(WorkspaceFiles):
    """The files of a workspace on a server that has none: every method raises NodeError with the reason."""

    def __init__(self, reason: str) -> None:
        super().__init__(Path(os.devnull), 0)
        self.reason = reason

    @contextmanager
    def _open(self, path: str, folders: Sequence[str], make: bool = False) -> Iterator[int]:
        raise NodeError(self.reason, permanent=True, kind="config")
        yield


class Absent(NodeError):
    """The file does not exist."""


class FileAlreadyExists(NodeError):
    """The file already exists."""


class Overfull(NodeError):
    """The file would exceed its size limit."""


class BoundedFile:
    """A file to write to, with a size limit."""

    def __init__(self, file: IO[bytes], path: str, room: int) -> None:
        self.file, self.path, self.room = file, path, room
        self.size = 0

    def write(self, data: bytes) -> int:
        """Write a piece. Raises: Overfull if the file would become too large."""
        if self.size + len(data) > self.room:
            raise Overfull(f"{self.path!r} would exceed the limit of {self.room:,} bytes", True)
        self.size += len(data)
        return self.file.write(data)


class Upload(BoundedFile):
    """A file that is written before its path is known."""

    def __init__(self, file: IO[bytes], files: WorkspaceFiles, folder: int, name: str, min_free: int) -> None:
        super().__init__(file, "the upload", files.max_bytes)
        self.files, self.folder, self.name, self.min_free = files, folder, name, min_free

    def write(self, data: bytes) -> int:
        """Write a piece. Raises: NodeError if less than `min_free` bytes of the disk would be left."""
        disk = os.fstatvfs(self.folder)
        if disk.f_bavail * disk.f_frsize - len(data) < self.min_free:
            raise NodeError(f"{self.path!r}: the disk is full", kind="storage")
        return super().write(data)

    def keep(self, path: str, overwrite: bool = False) -> None:
        """Move the file to its path once it is completely on disk, replacing an existing one atomically.

        Raises: FileAlreadyExists if a file exists and `overwrite` is false.
        """
        self.file.flush()
        os.fsync(self.file.fileno())
        with self.files.place(path, make=True) as (folder, name):
            if not overwrite and _stat(name, folder) is not None:
                raise FileAlreadyExists(f"{path!r}: the file already exists", permanent=True)
            with self.files._charging(self.size, name, folder):
                os.rename(self.name, name, src_dir_fd=self.folder, dst_dir_fd=folder)
            os.fsync(folder)


def _stat(name: str, folder: int) -> os.stat_result | None:
    """Return the stat of what has this name; None if nothing has it."""
    try:
        return os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return None


def _entry_of(key: str, path: str, folder: int) -> dict[str, Any] | None:
    """Return a file or, if the key ends with a slash, a folder; None if it is neither."""
    if key.endswith("/"):
        found = _stat(key[:-1], folder)
        return found and {"path": path + key, "size": 0, "modified_at": found.st_mtime_ns // 1_000_000}
    file = _stat_of_file(key, folder)
    return file and {"path": path + key, "size": file.st_size, "modified_at": file.st_mtime_ns // 1_000_000}


def _walk(folder: int, path: str, prefix: str, after: str) -> Iterator[dict[str, Any]]:
    """Yield the files below an open folder, whose path ends with a slash unless it is the root's."""
    for key in _sorted_keys(folder, path, prefix, after):
        name = key.rstrip("/")
        if key != name:
            try:
                inner = os.open(name, FOLDER, dir_fd=folder)
            except OSError:  # it was deleted, or replaced by a symlink
                continue
            try:
                yield from _walk(inner, path + key, prefix, after)
            finally:
                os.close(inner)
        elif found := _stat_of_file(name, folder):
            modified_at = found.st_mtime_ns // 1_000_000
            yield {"path": path + name, "size": found.st_size, "modified_at": modified_at}


def _sorted_keys(folder: int, path: str, prefix: str, after: str) -> Iterator[str]:
    """Yield the relevant names in a folder, folders with a slash at the end: so they sort like their paths.

    Sorts SORTED_AT_ONCE names at a time, to limit the memory for a folder of a million files.
    """
    last = ""
    while batch := heapq.nsmallest(SORTED_AT_ONCE, (key for key in _list_keys(folder) if key > last)):
        for key in batch:
            whole = path + key
            if key.endswith("/"):
                matters = whole.startswith(prefix) or prefix.startswith(whole)
                if matters and (whole > after or after.startswith(whole)):
                    yield key
            elif whole.startswith(prefix) and whole > after:
                yield key
        last = batch[-1]


def _list_keys(folder: int) -> Iterator[str]:
    with os.scandir(folder) as entries:
        for entry in entries:
            if not (entry.name.startswith(DRAFT) or SQLITE_FILES.search(entry.name) or BAD.search(entry.name)):
                yield entry.name + "/" * entry.is_dir(follow_symlinks=False)


def _stat_of_file(name: str, folder: int) -> os.stat_result | None:
    """Return the stat of a regular file; None for anything else."""
    found = _stat(name, folder)
    return found if found is not None and stat.S_ISREG(found.st_mode) and found.st_nlink == 1 else None


# Files of nodes


def describe_file(path: str, size: int) -> dict[str, Any]:
    """Return a file object for other nodes: `{"path", "name", "size", "content_type"}`."""
    return {"path": path, "name": path.rpartition("/")[2], "size": size, "content_type": guess_content_type(path)}


def guess_content_type(name: str) -> str:
    """Return the most likely content type for a file name."""
    found, packing = mimetypes.guess_type(name)
    if packing is not None:
        return "application/gzip" if packing == "gzip" else UNKNOWN
    return found or UNKNOWN


def get_path(value: Any) -> str:
    """Return the path in a path or a file object."""
    if isinstance(value, Mapping):
        value = value.get("path")
    if not isinstance(value, str) or not value:
        raise NodeError("file: must be a path, or a file from another node", permanent=True)
    return value


def parse_content(raw: bytes, name: str, encoding: str) -> Any:
    """Return the content of the named file or object as text, JSON or base64."""
    if encoding == "base64":
        return base64.b64encode(raw).decode()
    try:
        content = raw.decode("utf-8-sig")
        if encoding == "json" and has_too_many_parts(raw):
            raise LimitExceeded(f"{name!r} has too many lists and objects to parse; read it as text")
        return content if encoding == "text" else orjson.loads(content)
    except UnicodeDecodeError as error:
        raise MalformedData(f"{name!r} is not UTF-8 text (byte {error.start}); read it as base64") from None
    except orjson.JSONDecodeError as error:
        raise MalformedData(f"{name!r} is not JSON: {error.msg} (line {error.lineno})") from None


def to_bytes(data: Any, encoding: str) -> bytes:
    """Return the content of a file for this value."""
    if encoding == "base64":
        try:
            return base64.b64decode(data, validate=True)
        except (TypeError, ValueError):
            raise NodeError("data: must be base64", permanent=True) from None
    if isinstance(data, str) and encoding == "text":
        return data.encode("utf-8", "replace")
    return orjson.dumps(data)
