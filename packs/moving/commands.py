"""What `export --all`, and `import` of an archive, do and print."""

from __future__ import annotations

import sys
from pathlib import Path

import click

import database
from cli import exit_on_sigterm, open_database, to_one_line
from config import KEY_FILE, Config
from dispatch.resources import find_value_store
from packs.moving import archives
from packs.moving.rows import Copied
from registry import registry
from security import key_rotation


class TransferProgress:
    """Print a line for each table that has rows, on stderr; on a terminal it shows how far the table is."""

    def __init__(self) -> None:
        self._is_live = sys.stderr.isatty()

    def __call__(self, name: str, rows: int, is_end: bool) -> None:
        if not self._is_live:
            if is_end and rows:
                click.echo(f"{name}: {rows}", err=True)
        elif rows:
            click.echo(f"\r{name}: {rows} {' ' if is_end else '…'}", nl=is_end, err=True)


def print_copied(place: str, copied: Copied) -> None:
    """Print what was copied to this place."""
    tables = sum(bool(measure.rows) for measure in copied.tables.values())
    counts = f"{copied.rows} rows of {tables} tables and {copied.values.rows} large values"
    click.echo(to_one_line(f"{place} has {counts}; all checksums are those of the source"))
    if copied.released_runs:
        click.echo(f"Runs that continue at the next start: {copied.released_runs}")
    if copied.replaced_nul:
        click.echo(f"Texts in which the character NUL became U+FFFD, since PostgreSQL has none: {copied.replaced_nul}")


def export_archive(out: Path | None) -> None:
    """Write an archive of everything to this file, or to stdout."""
    if out is None and sys.stdout.isatty():
        raise click.UsageError("An archive is not text: give --out FILE")
    with exit_on_sigterm(), open_database(for_reading=True) as config:
        read_object = None
        if config.values_url:
            registry.load(config.packs)
            store = find_value_store()
            store.check_values(config)
            read_object = store.open_payloads(config, 0).read_object
        if out is None:
            made = archives.write(sys.stdout.buffer, config, TransferProgress(), read_object)
        else:
            made = archives.write_file(out, config, TransferProgress(), read_object)
    where = "stdout" if out is None else str(out)
    counts = f"{made.rows} rows, {made.values.rows} large values, {len(made.files)} files"
    click.echo(to_one_line(f"{where}: {counts}"), err=True)
    click.echo("It does not contain the key that decrypts the credentials: keep a copy of that elsewhere", err=True)


def import_archive(file: Path) -> None:
    """Restore an archive into the server's database, which must be empty."""
    config = Config.from_env()
    with exit_on_sigterm():
        made, copied = archives.restore(config, file, TransferProgress())
    click.echo(to_one_line(f"{file} was made at {made.made_at} by Headrace {made.version}"))
    print_copied(config.database_name, copied)
    database.connect(config.database)
    try:
        has_key = key_rotation.has_key(config)
    finally:
        database.disconnect()
    if not has_key:
        click.echo(to_one_line(f"Put the key of that server into {config.data_dir / KEY_FILE} before the start"))
    click.echo("The server will start paused: check it, then resume it with `resume`")
