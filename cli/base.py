"""Base of all commands: their group, one-line errors, files and the server's database."""

from __future__ import annotations

import logging
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
import orjson

import database
from config import Config
from constants import VERSION
from database.backups import MAGIC
from database.queries import server_state
from errors import BadInput, ConfigError, HeadraceError, NotFound
from fields import JOINERS, is_seen
from models import Workspace
from registry import explain_off, registry

FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
NEW_FILE = click.Path(dir_okay=False, path_type=Path)


class CommandError(click.ClickException):
    """Wrong input, reported in one line."""

    exit_code = 2

    def __init__(self, message: str) -> None:
        super().__init__(to_one_line(message))


@contextmanager
def translate_errors() -> Iterator[None]:
    """Turn errors that the user can fix into `CommandError`; others stay unchanged."""
    try:
        yield
    except click.exceptions.NoArgsIsHelpError:
        raise
    except click.UsageError as error:
        raise CommandError(error.format_message()) from None
    except (HeadraceError, ConfigError) as error:
        raise CommandError(str(error)) from None
    except OSError as error:
        if error.filename is None:
            raise
        raise CommandError(f"{error.filename}: {error.strerror}") from None


class Commands(click.Group):
    """A group of commands whose errors are one line each. `import openapi` is a command of two words.

    `load` adds them when one is wanted: a server does not keep them in memory.
    """

    load: Callable[[], None]

    def list_commands(self, ctx: click.Context) -> list[str]:
        self.load()
        return super().list_commands(ctx)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        self.load()
        words = " ".join(args[:2])
        try:
            return super().resolve_command(ctx, [words, *args[2:]] if words in self.commands else args)
        except click.UsageError as error:  # it may be a command of a pack that is off
            if not registry.off:
                raise
            raise click.UsageError(f"{error.message.removesuffix('.')}{explain_off()}", ctx) from None

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        with translate_errors():
            return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        with translate_errors():
            return super().invoke(ctx)


@click.group(cls=Commands, invoke_without_command=True)
@click.version_option(VERSION, prog_name="headrace", message="%(prog)s %(version)s")
@click.pass_context
def main(context: click.Context) -> None:
    """Headrace, a workflow server. Without a command: serve."""
    if context.invoked_subcommand is None:
        context.obj()
    # Commands print their own output; the log is for warnings.
    logging.getLogger().setLevel(logging.WARNING)


def read_json(raw: bytes, source: str) -> Any:
    """Return JSON text as data. Raises: BadInput with the place of the error."""
    try:
        return orjson.loads(raw.removeprefix(b"\xef\xbb\xbf"))
    except orjson.JSONDecodeError as error:
        raise BadInput(f"{source} is not JSON: {error.msg} (line {error.lineno}, column {error.colno})") from None


def format_json(value: Any) -> bytes:
    """Return indented JSON as UTF-8, independently of the terminal's encoding."""
    return orjson.dumps(value, option=orjson.OPT_INDENT_2)


def to_one_line(text: str) -> str:
    """Return the text without line breaks and control characters, which could upset a terminal."""
    return "".join(letter if is_seen(letter) or letter in JOINERS else " " for letter in text)


# The server's database


@contextmanager
def open_database(for_reading: bool = False) -> Iterator[Config]:
    """Open the server's database, migrate it and return the settings.

    Raises: NotFound if there is no database; ConfigError if its data was moved and the command writes.
    """
    config = Config.from_env()
    if not config.is_postgres:
        _check_file(config.database_path)
    with _connected(config.database, config.durability):
        if not for_reading:
            server_state.check_not_moved()
        yield config


@contextmanager
def open_file() -> Iterator[Config]:
    """Open the server's SQLite file, even if DATABASE_URL is set, as `open_database` does."""
    config = Config.from_env()
    _check_file(config.database_path)
    with _connected(config.database_path, config.durability):
        yield config


def _check_file(path: Path) -> None:
    if not path.is_file():
        raise NotFound(f"There is no database {path}; start the server once, or name its folder in HEADRACE_DATA_DIR")
    with path.open("rb") as file:
        if file.read(len(MAGIC)) != MAGIC:
            raise BadInput(f"{path} is not an SQLite database; check HEADRACE_DATA_DIR and DATABASE_URL")


@contextmanager
def _connected(target: Path | str, durability: str) -> Iterator[None]:
    database.connect(target, durability)
    try:
        database.migrate()
        yield
    finally:
        database.disconnect()


@contextmanager
def exit_on_sigterm() -> Iterator[None]:
    """End the process by an exception on SIGTERM, so that clean-up code runs."""
    before = signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def find_workspace(id_: str | None) -> Workspace:
    """Return the workspace with this id; without an id, the only workspace."""
    if id_ is not None:
        found = Workspace.find(id_)
        if found is None:
            raise NotFound(f"There is no workspace {id_!r}; `user list` shows all")
        return found
    all_of_them = list(Workspace.select().order_by(Workspace.id).limit(10))
    if len(all_of_them) != 1:
        names = ", ".join(f"{row.id} ({row.name})" for row in all_of_them)
        raise BadInput(f"Choose a workspace with --workspace: {names}" if names else "There is no workspace yet")
    return all_of_them[0]
