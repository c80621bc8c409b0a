"""Maintenance commands: backup, restore, resuming a restored server, key rotation."""

from __future__ import annotations

import sys
from pathlib import Path

import click

import database
from cli.base import exit_on_sigterm, main, open_database, to_one_line
from config import KEY_FILE, Config
from database import backups
from database.base import now_ms
from database.queries import server_state
from errors import BadInput
from scheduler.firing import skip_due
from security import key_rotation

NEW_FOLDER = click.Path(path_type=Path)
FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)
NEW_KEY = click.Path(exists=True, dir_okay=False, allow_dash=True, path_type=Path)


PG_DUMP = (
    "PostgreSQL makes its own backups, also while the server runs: `pg_dump --format=custom --file={1} {0}`. Large "
    "values are in {2}. Keep copies of HEADRACE_SECRET_KEY and of the folder HEADRACE_FILES_DIR too"
)
PG_RESTORE = (
    "PostgreSQL restores its own backups: `pg_restore --clean --if-exists --dbname={0} {1}` while no server runs. Then "
    "start the server with HEADRACE_PAUSED=true to check it"
)


@main.command()
@click.argument("target", type=NEW_FOLDER)
def backup(target: Path) -> None:
    """Copy the database, the large values and the workspaces' files to the new folder TARGET. The server may run."""
    with exit_on_sigterm(), open_database(for_reading=True) as config:
        if config.is_postgres:
            place = f"{config.values_url}, which needs a backup of its own" if config.values_url else "the database"
            raise BadInput(PG_DUMP.format(config.database_name, target, place))
        made = backups.make(config, target)
        click.echo(f"{target}: {len(made.files)} files, {made.size} bytes")
        where = "HEADRACE_SECRET_KEY" if config.secret_key else config.data_dir / KEY_FILE
        click.echo(to_one_line(f"It does not contain the key that decrypts the credentials: keep a copy of {where}"))


@main.command()
@click.argument("source", type=FOLDER)
def restore(source: Path) -> None:
    """Restore the backup in the folder SOURCE into the data folder, which must be empty except for the key.

    The server then starts paused, until `resume`.
    """
    config = Config.from_env()
    if config.is_postgres:
        raise BadInput(PG_RESTORE.format(config.database_name, source))
    with exit_on_sigterm():
        made = backups.restore(config, source)
    count = f"{len(made.files)} files, {made.size} bytes"
    click.echo(to_one_line(f"{config.data_dir} has the backup of {made.made_at} by Headrace {made.version}: {count}"))
    database.connect(config.database_path)
    try:
        has_key = key_rotation.has_key(config)
    finally:
        database.disconnect()
    if not has_key:
        click.echo(to_one_line(f"Put the key of that server into {config.data_dir / KEY_FILE} before the start"))
    click.echo("The server will start paused: check it, then resume it with `resume`")


@main.command()
@click.option(
    "--skip-missed", is_flag=True, help="Fire no schedule for missed times, even if its catch_up asks for it."
)
def resume(skip_missed: bool) -> None:
    """Resume a restored server: schedules, polls, waits and runs. A running server resumes within seconds."""
    with open_database() as config:
        if config.paused:
            raise BadInput("HEADRACE_PAUSED is true: remove it from the settings and restart the server")
        skipped = skip_due(now_ms()) if skip_missed and server_state.is_paused() else 0
        if not server_state.resume():
            click.echo("The server was not paused")
            return
    if skip_missed:
        click.echo(f"{skipped} schedule{'' if skipped == 1 else 's'} will skip missed times")
    click.echo("The server resumes within seconds")


@main.command()
def migrate() -> None:
    """Bring the database up to date, as each start of the server does. PostgreSQL's may be empty."""
    with open_database():
        click.echo("The database is up to date")


@main.command("rotate-key")
@click.option("--new-key-file", type=NEW_KEY, metavar="FILE|-", help="The new key, for HEADRACE_SECRET_KEY.")
@click.option("--skip-unreadable", is_flag=True, help="Keep credentials that the present key cannot decrypt.")
def rotate_key(new_key_file: Path | None, skip_unreadable: bool) -> None:
    """Re-encrypt all credentials under a new key, while no server runs."""
    new_key = None
    if new_key_file is not None:
        raw = sys.stdin.buffer.read() if str(new_key_file) == "-" else new_key_file.read_bytes()
        new_key = key_rotation.parse_key(raw, "--new-key-file")
    with open_database() as config:
        done = key_rotation.rotate_key(config, new_key, skip_unreadable)
    click.echo(f"{done.changed} credential{'s are' if done.changed != 1 else ' is'} under the new key")
    if new_key is not None:
        click.echo("Set HEADRACE_SECRET_KEY to the new key now: the server does not start with the old one")
    elif done.old is not None:
        click.echo(f"{config.data_dir / KEY_FILE} has the new key; keep a copy of it elsewhere")
        click.echo(f"{done.old} has the old key, which earlier backups need: delete it when you no longer need them")
    if done.unreadable:
        click.echo(to_one_line(f"Not changed, since no key decrypts them: {', '.join(done.unreadable)}"))
    if done.waiting:
        runs = f"{done.waiting} run{'s wait' if done.waiting != 1 else ' waits'}"
        click.echo(f"{runs} for an answer: the links that were sent are invalid; members can answer in the app")
