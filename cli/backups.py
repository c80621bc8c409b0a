"""The commands that copy a server's data, put a copy back, and let a server go on that was restored."""

from __future__ import annotations

from pathlib import Path

import click

import backups
import database
from cli.base import main, one_line, opened
from cli.commands import unwinding_at_sigterm
from config import Config
from errors import BadInput
from models import Fact, now_ms
from scheduler.firing import skip_due
from security.vault import KEY_FILE

NEW_FOLDER = click.Path(path_type=Path)
FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)


@main.command()
@click.argument("target", type=NEW_FOLDER)
def backup(target: Path) -> None:
    """Copy the database, the large values and the workspaces' files to the new folder TARGET, while a server works."""
    with unwinding_at_sigterm(), opened() as config:
        made = backups.make(config, target)
        click.echo(f"{target}: {len(made.files)} files, {made.size} bytes")
        where = "HEADRACE_SECRET_KEY" if config.secret_key else config.data_dir / KEY_FILE
        click.echo(one_line(f"The key is not in it, and nothing reads the credentials without: keep a copy of {where}"))


@main.command()
@click.argument("source", type=FOLDER)
def restore(source: Path) -> None:
    """Put the backup in the folder SOURCE into the data folder, which must be empty but for the key.

    The server then starts paused, until `resume`.
    """
    config = Config.from_env()
    with unwinding_at_sigterm():
        made = backups.restore(config, source)
    count = f"{len(made.files)} files, {made.size} bytes"
    click.echo(one_line(f"{config.data_dir} has the backup of {made.made_at} by Headrace {made.version}: {count}"))
    database.connect(config.database_path)
    try:
        has_key = backups.key_that_fits(config)
    finally:
        database.disconnect()
    if not has_key:
        click.echo(one_line(f"Put the key of that server into {config.data_dir / KEY_FILE} before the start"))
    click.echo("The server starts paused: look at it, then let it go on with `resume`")


@main.command()
@click.option("--skip-missed", is_flag=True, help="Fire no schedule for times before now, whatever its catch_up says.")
def resume(skip_missed: bool) -> None:
    """Let a restored server go on: schedules, polls, waits and runs. One that is running does within seconds."""
    with opened() as config:
        if config.paused:
            raise BadInput("HEADRACE_PAUSED is true: take it out of the settings and start the server again")
        skipped = skip_due(now_ms()) if skip_missed and Fact.is_paused() else 0
        if not Fact.resume():
            click.echo("The server was not paused")
            return
    if skip_missed:
        click.echo(f"{skipped} schedule{'' if skipped == 1 else 's'} will not make up for missed times")
    click.echo("The server goes on within seconds")
