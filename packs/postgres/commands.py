"""The command that moves all data of a server from SQLite to PostgreSQL."""

from __future__ import annotations

import click

from cli import exit_on_sigterm, main, open_file, to_one_line
from config import KEY_FILE
from database import backups
from packs.moving.commands import TransferProgress, print_copied


@main.command("migrate-to-postgres")
@click.argument("url", required=False)
@click.option("--undo", is_flag=True, help="After a move: let servers start on the SQLite file again.")
def migrate_to_postgres(url: str | None, undo: bool) -> None:
    """Move all data from the SQLite file of a stopped server to an empty PostgreSQL database.

    URL is postgresql://user:password@host/database. Default: DATABASE_URL, which other users of the machine do not see.
    The file stays as it is, with a mark so that no server starts on it.
    """
    import packs.postgres.moving as moving

    if undo and url is not None:
        raise click.UsageError("--undo changes only the SQLite file: give no URL with it")
    with exit_on_sigterm(), open_file() as config:
        if undo:
            place = moving.undo()
            text = f"The data of {config.database_path} was not moved"
            if place is not None:
                text = f"Servers start on {config.database_path} again; do not start one on {place}"
            click.echo(to_one_line(text))
            return
        url = url or (config.database_url if config.is_postgres else None)
        if url is None:
            raise click.UsageError("Give the URL of a PostgreSQL database, or set DATABASE_URL to it")
        moved = moving.move(url, config.data_dir / "values", config.lease, TransferProgress())
    if moved.copied is None:
        click.echo(to_one_line(f"{moved.place} has the data already: an interrupted command had copied it"))
    else:
        print_copied(moved.place, moved.copied)
    click.echo(to_one_line(f"No server starts on {config.database_path} any more; `--undo` would change that"))
    steps = [f"Start the server with DATABASE_URL={moved.place}, with user name and password, and HEADRACE_PUBLIC_URL"]
    if not config.secret_key:
        steps.append(f"Its key is now a setting: HEADRACE_SECRET_KEY_FILE={config.data_dir / KEY_FILE}")
    if any(backups.files_in(config.data_dir / "files")):
        steps.append(f"The workspaces' files are still in {config.data_dir / 'files'}: move them to HEADRACE_FILES_DIR")
    for line in steps:
        click.echo(to_one_line(line))
