"""Key rotation command."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from cli.base import main, open_database, to_one_line
from config import KEY_FILE
from security import key_rotation

NEW_KEY = click.Path(exists=True, dir_okay=False, allow_dash=True, path_type=Path)


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
