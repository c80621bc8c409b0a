"""Archives: all of a server's data except its key in one file, which either kind of database is restored from.

An archive is a ZIP file:

- `tables/<name>.jsonl`: the rows of a table in the order of its key, each a JSON list (table_rows.py)
- `values.jsonl`: the large values of runs, each `[run id, name, number of the claim, JSON text]`
- `files/<workspace id>/<path>`: the workspaces' files
- `manifest.json`, the last: the format, the version, the columns, counts and checksums of tables, those of the values,
  and the size and SHA-256 of each file.
"""

from __future__ import annotations

import io
import os
import sqlite3
import tempfile
import zipfile
import zlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any, NamedTuple

import orjson

import database
from config import Config
from constants import VERSION
from database import backups
from errors import BadInput, ConfigError, Conflict
from packs.moving.rows import (
    VALUES,
    Copied,
    CountedItems,
    Measure,
    ReadObject,
    Report,
    RowSource,
    SqliteTables,
    TableLayout,
    WrittenValue,
    copy_all,
    decode_row,
    encode_row,
    ordered,
    portable_rows,
)
from registry import registry

ARCHIVE_FORMAT = 1
VALUES_FILE, FILES = "values.jsonl", "files/"
LEVEL = 1  # of compression: the higher ones take several times as long for a tenth less
DAMAGES = (KeyError, EOFError, zipfile.BadZipFile, zlib.error)  # of a member of the file


class ArchiveManifest(NamedTuple):
    """The manifest of an archive."""

    version: str
    made_at: str
    tables: dict[str, tuple[TableLayout, Measure]]
    values: Measure
    files: dict[str, tuple[int, str]]  # size and SHA-256 by path, such as `files/ws_1/a.csv`

    @property
    def rows(self) -> int:
        return sum(measure.rows for _, measure in self.tables.values())


def files_folder(config: Config) -> Path | None:
    """Return the folder of the workspaces' files, or None if the server has none."""
    return config.files_dir if config.is_postgres else config.data_dir / "files"


# Writing


def write_file(path: Path, config: Config, report: Report, read_object: ReadObject | None = None) -> ArchiveManifest:
    """Write an archive to this file, which only its owner can read; an earlier one is replaced at the end."""
    draft = path.with_name(f".{path.name}.partial")
    with backups.restrict_permissions(), backups.delete_on_failure(draft):
        with draft.open("wb") as stream:
            manifest = write(stream, config, report, read_object)
            stream.flush()
            os.fsync(stream.fileno())
        draft.replace(path)
    return manifest


def write(stream: IO[bytes], config: Config, report: Report, read_object: ReadObject | None = None) -> ArchiveManifest:
    """Write an archive of the connected database, of one moment, and of the files. The server may run meanwhile.
    `read_object` reads large values in a store of objects.

    A value or file that the server deletes meanwhile, with its run, may be missing.
    """
    copied = Copied()
    tables = {}
    with (
        _open_snapshot(config, read_object) as source,
        zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED, compresslevel=LEVEL) as out,
    ):
        for table in ordered(source.tables()):
            counted = CountedItems(table.name, encode_row, report)
            lines = map(encode_row, counted.each(portable_rows(source, table, copied)))
            _write_lines(out, f"tables/{table.name}.jsonl", lines)
            tables[table.name] = (table, counted.end())
        values = CountedItems(VALUES, WrittenValue.line, report)
        listed = values.each(source.values())
        texts = (orjson.dumps((one.run_id, one.name, one.claims, one.data.decode())) for one in listed)
        _write_lines(out, VALUES_FILE, texts)
        files = {name: _write_file(out, name, path) for name, path in _files_of(config)}
        made_at = datetime.now(UTC).isoformat(timespec="seconds")
        manifest = ArchiveManifest(VERSION, made_at, tables, values.end(), files)
        measured = {name: {**table._asdict(), **measure._asdict()} for name, (table, measure) in tables.items()}
        parts = manifest._asdict() | {"tables": measured, "values": manifest.values._asdict()}
        text = orjson.dumps({"format": ARCHIVE_FORMAT, **parts}, option=orjson.OPT_INDENT_2)
        out.writestr(backups.MANIFEST, text)
    return manifest


@contextmanager
def _open_snapshot(config: Config, read_object: ReadObject | None) -> Iterator[RowSource]:
    """Yield the tables of the connected database in one consistent state."""
    if database.is_postgres():
        with registry.find_part("postgres.transactions", "DATABASE_URL").open_snapshot(read_object) as source:
            yield source
        return
    with closing(sqlite3.connect(str(database.db.database))) as connection:
        connection.execute("BEGIN")
        connection.execute("SELECT 1 FROM sqlite_master").fetchone()
        yield SqliteTables(connection, config.data_dir / "values")


def _write_lines(out: zipfile.ZipFile, name: str, lines: Iterable[bytes]) -> None:
    with out.open(name, "w", force_zip64=True) as member, io.BufferedWriter(member, backups.CHUNK) as buffer:
        for line in lines:
            buffer.write(line)
            buffer.write(b"\n")


def _files_of(config: Config) -> Iterator[tuple[str, Path]]:
    """Yield the name and the path of each file of a workspace."""
    folder = files_folder(config)
    if folder is not None:
        for path in sorted(backups.files_in(folder)):
            yield FILES + path.relative_to(folder).as_posix(), path


def _write_file(out: zipfile.ZipFile, name: str, path: Path) -> tuple[int, str]:
    """Write a file; an SQLite database in one consistent state. Return its size and SHA-256."""
    with tempfile.TemporaryDirectory(prefix="headrace-") as folder:
        copy = Path(folder) / "copy"
        source = copy if backups.copy_if_database(path, copy) else path
        with source.open("rb") as read, out.open(name, "w", force_zip64=True) as written:
            return backups.copy_stream(read, written)


# Reading


class Archive:
    """An archive to read from, as a `RowSource`. Reading raises BadInput for data that differs from its manifest."""

    def __init__(self, file: zipfile.ZipFile, name: str) -> None:
        self._file, self.name = file, name
        self.manifest = self._read_manifest()

    def _read_manifest(self) -> ArchiveManifest:
        try:
            found = orjson.loads(self._file.read(backups.MANIFEST))
            if found["format"] > ARCHIVE_FORMAT:
                raise ConfigError(f"{self.name} was made by Headrace {found['version']}, which is newer: use it")
            tables = {
                name: (TableLayout(name, *(tuple(one[part]) for part in ("columns", "kinds", "key"))), _measure(one))
                for name, one in found["tables"].items()
            }
            files = {name: (int(size), str(digest)) for name, (size, digest) in found["files"].items()}
            manifest = ArchiveManifest(
                str(found["version"]), str(found["made_at"]), tables, _measure(found["values"]), files
            )
        except (*DAMAGES, TypeError, ValueError, AttributeError):
            raise BadInput(
                f"{self.name} is not an archive of `export --all`: it has no valid {backups.MANIFEST}"
            ) from None
        strange = [name for name in files if not (name.startswith(FILES) and backups.is_valid_name(name))]
        if strange:
            raise BadInput(f"{self.name} has files that are not part of an archive: {strange[: backups.MAX_NAMED]}")
        return manifest

    def tables(self) -> dict[str, TableLayout]:
        """Return the tables by name."""
        return {name: table for name, (table, _) in self.manifest.tables.items()}

    def read(self, table: TableLayout) -> Iterator[tuple[Any, ...]]:
        """Yield the rows of a table. Raises: BadInput if they differ from the manifest."""
        rows = (decode_row(line, table) for line in self._lines(f"tables/{table.name}.jsonl"))
        return self._checked(table.name, rows, encode_row, self.manifest.tables[table.name][1])

    def values(self) -> Iterator[WrittenValue]:
        """Yield the large values. Raises: BadInput if they differ from the manifest."""
        return self._checked(
            VALUES, map(_decode_value, self._lines(VALUES_FILE)), WrittenValue.line, self.manifest.values
        )

    def _checked(
        self, name: str, items: Iterable[Any], line: Callable[[Any], bytes], expected: Measure
    ) -> Iterator[Any]:
        counted = CountedItems(name, line)
        try:
            yield from counted.each(items)
        except (ValueError, TypeError, AttributeError):
            raise self._damaged(name) from None
        if counted.end() != expected:
            raise self._damaged(name)

    def check(self) -> None:
        """Read everything once. Raises: BadInput if a part differs from the manifest."""
        for part in (*map(self.read, self.tables().values()), self.values()):
            deque(part, maxlen=0)
        for name in self.manifest.files:
            self._copy_file(name, None)

    def _damaged(self, name: str) -> BadInput:
        return BadInput(f"{self.name} is damaged: {name} has changed since the archive was made")

    def _lines(self, name: str) -> Iterator[bytes]:
        try:
            with self._file.open(name) as member:
                for line in io.BufferedReader(member, backups.CHUNK):  # type: ignore[type-var]
                    yield line.rstrip(b"\n")
        except DAMAGES:
            raise self._damaged(name) from None

    def extract_files(self, folder: Path) -> None:
        """Write the workspaces' files into this folder. Raises: BadInput if one differs from the manifest."""
        for name in self.manifest.files:
            target = folder / name.removeprefix(FILES)
            target.parent.mkdir(parents=True, exist_ok=True)
            with target.open("xb") as written:
                self._copy_file(name, written)

    def _copy_file(self, name: str, written: IO[bytes] | None) -> None:
        try:
            with self._file.open(name) as read:
                found = backups.copy_stream(read, written)
        except DAMAGES:
            raise self._damaged(name) from None
        if found != self.manifest.files[name]:
            raise self._damaged(name)


def _measure(found: dict[str, Any]) -> Measure:
    return Measure(int(found["rows"]), str(found["checksum"]))


def _decode_value(line: bytes) -> WrittenValue:
    run_id, name, claims, text = orjson.loads(line)
    value = WrittenValue(str(run_id), str(name), int(claims), text.encode())
    if not value.is_valid():
        raise ValueError
    return value


@contextmanager
def open_archive(path: Path) -> Iterator[Archive]:
    """Open an archive. Raises: BadInput if it is not a complete one; ConfigError if a newer version made it."""
    with path.open("rb") as stream:
        try:
            file = zipfile.ZipFile(stream)
        except zipfile.BadZipFile:
            raise BadInput(f"{path} is not a complete archive of `export --all`") from None
        with file:
            yield Archive(file, str(path))


# Restoring


def restore(config: Config, path: Path, report: Report) -> tuple[ArchiveManifest, Copied]:
    """Restore the archive into the config's database and data folder, which must be empty. Pause its server.

    All is checked before the database is complete, as the last step. On failure both are as before.

    Raises: BadInput if the archive is damaged; ConfigError if another version has to read it; Conflict if the database
        or the folder is not empty.
    """
    with open_archive(path) as archive:
        archive.check()
        reason = f"restored from the archive of {archive.manifest.made_at}"
        fill = _fill_postgres if config.is_postgres else _fill_sqlite
        return archive.manifest, fill(config, archive, reason, report)


def _fill_sqlite(config: Config, archive: Archive, reason: str, report: Report) -> Copied:
    with backups.restoring(config) as (staging, draft):
        archive.extract_files(staging / "files")
        database.connect(draft)
        try:
            database.migrate(lambda: _fits(archive, SqliteTables(database.db.connection(), staging)))
            with database.write():
                database.execute("DELETE FROM server_facts")
                target = SqliteTables(database.db.connection(), staging / "values")
                copied = _copy_archive(archive, target, report)
            database.migrate()
        finally:
            database.disconnect()
        backups.pause(draft, reason)
    return copied


def _fill_postgres(config: Config, archive: Archive, reason: str, report: Report) -> Copied:
    transactions = registry.find_part("postgres.transactions", "DATABASE_URL")
    with transactions.open_new(config.database_url) as target:
        target.create_tables(lambda: _fits(archive, target))
        with _extracted(archive, config):
            copied = _copy_archive(archive, target, report)
            target.migrate()
            target.set_fact("paused", reason)
            target.analyze()
        target.commit()  # after a lost connection it may have succeeded, so the files stay
    return copied


@contextmanager
def _extracted(archive: Archive, config: Config) -> Iterator[None]:
    """Write the archive's files into the folder of a server on PostgreSQL. If the block fails, delete them again."""
    folder, files = config.files_dir, archive.manifest.files
    if not files:
        yield
        return
    if folder is None:
        raise BadInput(f"{archive.name} has files of workspaces: set HEADRACE_FILES_DIR, the folder to restore them to")
    if any(backups.files_in(folder)):
        raise Conflict(f"{folder} is not empty, and the archive has files: choose another HEADRACE_FILES_DIR")
    made = {folder / name.removeprefix(FILES).split("/")[0] for name in files}
    with backups.restrict_permissions(), backups.delete_on_failure(*made):
        archive.extract_files(folder)
        yield


def _fits(archive: Archive, target: Any) -> bool:
    """Return True if the target has the columns of the archive. The later migrations are applied to its rows."""
    return bool(archive.tables() == target.tables())


def _copy_archive(archive: Archive, target: Any, report: Report) -> Copied:
    if not _fits(archive, target):
        raise ConfigError(
            f"{archive.name} was made by Headrace {archive.manifest.version} and has other columns than {VERSION}: "
            f"import it with Headrace {archive.manifest.version}, and upgrade then"
        )
    return copy_all(archive, target, report)
