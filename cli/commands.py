"""Commands that run flows without a server, manage users and show the settings."""

from __future__ import annotations

import os
import secrets
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, NamedTuple

import click

import config as settings
import database
import definition as definitions
import engine
from cli.base import (
    FILE,
    CommandError,
    exit_on_sigterm,
    find_workspace,
    format_json,
    main,
    open_database,
    read_json,
    to_one_line,
)
from cli.flow_files import FlowFile, encode_definition, read_flow
from config import Config
from constants import ROLES
from database.base import now_ms
from database.queries import logs as log_queries
from database.queries import steps, users, waits, workflows
from database.queries.audit import NewAuditEntry
from dispatch import Dispatcher, Resources, Start, make_services
from dispatch.group_commit import Recorder
from dispatch.payloads import Kept
from errors import BadInput, Conflict, NotFound
from models import Run, User, Workspace
from nodes import REGISTRY, plugins
from nodes.credentials.keyring import DecryptedCredential
from schemas import Login, LogOut, RunOut, StepOut
from security import accounts, credentials

FOLDER = click.Path(exists=True, file_okay=False, resolve_path=True, path_type=Path)
MIN_WAIT = 0.05  # seconds; the process claims runs only while its lease is valid
STYLES = {"success": "green", "failed": "red", "running": "yellow", "skipped": "dim"}


# Flows in files, without a server


def load_config() -> Config:
    """Return the settings, with packs and own node types loaded. Failures are logged."""
    config = Config.from_env()
    plugins.prepare(config)
    return config


CREDENTIALS = click.option(
    "--credentials", "secrets_file", type=FILE, metavar="FILE", help="Credentials for the run, as JSON."
)


def read_credentials(file: Path | None) -> dict[str, DecryptedCredential]:
    """Return the credentials of a file by name, with a warning if others can read it; none for None."""
    if file is None:
        return {}
    if file.stat().st_mode & 0o077:
        click.echo(f"Warning: {file} is readable by other users; fix it with `chmod 600 {file}`", err=True)
    return credentials.parse_credentials(read_json(file.read_bytes(), str(file)), str(file))


@main.command()
@click.argument("file", type=FILE)
@CREDENTIALS
def validate(file: Path, secrets_file: Path | None) -> None:
    """Validate a flow: print all issues with their places. Exit code 2 if it cannot run."""
    config = load_config()
    flow, found = read_flow(file), read_credentials(secrets_file)
    encode_definition(flow.definition, config)
    plan, issues = definitions.check(flow.definition, config.max_nodes)
    if secrets_file is not None:
        types = {name: credential.type for name, credential in found.items()}
        issues = [*issues, *definitions.check_uses(definitions.find_credentials(flow.definition), types.get)]
    for issue in issues:
        click.echo(to_one_line(f"{'' if issue.level == 'error' else f'{issue.level}: '}{issue}"))
    if plan is None:
        raise CommandError(f"{file} is not valid: {len(issues)} {'issue' if len(issues) == 1 else 'issues'}")
    click.echo(f"{file} is valid: {len(plan.nodes)} {'node' if len(plan.nodes) == 1 else 'nodes'}")


@main.command()
@click.argument("file", type=FILE)
@click.option("--input", "given", metavar="JSON|@FILE|-", help="The input; default: a template's sample input.")
@click.option("--timeout", type=click.IntRange(1, 31_536_000), metavar="SECONDS", help="Stop the run after this long.")
@click.option("--json", "whole", is_flag=True, help="Print the whole run with steps and logs instead of its output.")
@CREDENTIALS
@click.option("--files", type=FOLDER, metavar="FOLDER", help="Folder of the files that the flow reads and writes.")
def run(
    file: Path, given: str | None, timeout: int | None, whole: bool, secrets_file: Path | None, files: Path | None
) -> None:
    """Run a flow without a server; nothing is stored. Exit code 1 if it fails."""
    config = load_config()
    flow, found = read_flow(file), read_credentials(secrets_file)
    value = flow.sample_input if given is None else read_input(given)
    with scratch_dispatcher(replace(config, run_timeout=timeout or config.run_timeout), found) as dispatcher:
        dispatcher.resources.files_folder = files
        finished = execute(dispatcher, flow._replace(name=str(flow.name or file.stem)), value)
        print_run(dispatcher, finished, whole)
    if finished.status != "success":
        where = "" if finished.error_node_id is None else f"node {finished.error_node_id}: "
        raise click.ClickException(to_one_line(where + (finished.error_text or f"the run is {finished.status}")))


def read_input(given: str) -> Any:
    """Return the input of `--input`: JSON, `@` and a file's path, or `-` for stdin."""
    if given == "-":
        return read_json(sys.stdin.buffer.read(), "--input -")
    if given.startswith("@"):
        return read_json(Path(given[1:]).read_bytes(), given[1:])
    return read_json(os.fsencode(given), "--input")


@contextmanager
def scratch_dispatcher(config: Config, found: Mapping[str, DecryptedCredential]) -> Iterator[Dispatcher]:
    """Return a dispatcher that runs inline, with a temporary database and data folder."""
    with exit_on_sigterm(), tempfile.TemporaryDirectory(prefix="headrace-") as folder:
        config = replace(config, data_dir=Path(folder), files_dir=None, database_url="")
        config = replace(config, durability="normal", paused=False)
        database.connect(config.database_path, config.durability)
        database.migrate()
        recorder = Recorder()
        resources = Resources(config, make_services(config), find_credential=lambda _, name: found.get(name))
        dispatcher = Dispatcher(resources, recorder, inline=True)
        recorder.start()
        dispatcher.start()
        dispatcher.lease.keep()
        try:
            yield dispatcher
        finally:
            dispatcher.stop()
            recorder.stop()
            database.disconnect()


def execute(dispatcher: Dispatcher, flow: FlowFile, value: Any) -> Run:
    """Run the flow to its end, printing its steps. Raises: DefinitionError before anything is printed."""
    text = encode_definition(flow.definition, dispatcher.config)
    row = workflows.draft(workspace_id="local", name=flow.name, status="draft", definition_json=text)
    dispatcher.resources.plan_of(row)
    with show_table() if sys.stderr.isatty() else nullcontext(print_step) as show:
        dispatcher.executor.on_step = lambda run, step: show(step)
        run = dispatcher.waiting.wait(dispatcher.submit(Start(row, value, "manual")), 0)
        while run.finished_at is None:
            run = wait_and_resume(dispatcher, run)
    return run


def wait_and_resume(dispatcher: Dispatcher, run: Run) -> Run:
    """Return the run after its timed wait. Raises: BadInput if it waits for an answer, which needs a server."""
    if any(REGISTRY[step.node_type].answers for step in steps.waiting(run.id)):
        raise BadInput(f"The run waits for {run.waiting}, which only a server can receive")
    wake_at = waits.find_next_wake(run.id) or 0
    time.sleep(max(MIN_WAIT, (wake_at - now_ms()) / 1000))
    dispatcher.wake()
    return Run.get_by_id(run.id)


class StepLine(NamedTuple):
    """A step as a line of output."""

    status: str
    node: str
    duration: str
    note: str


def make_line(step: engine.StepRecord) -> StepLine:
    """Return the step's status, node (and item), duration, and branch or error."""
    node = step.node_id if step.item_index is None else f"{step.node_id}[{step.item_index}]"
    duration = "" if step.duration_ms is None else format_duration(step.duration_ms)
    notes = [
        f"attempt {step.attempt}" if step.attempt > 1 else "",
        f"-> {step.branch}" if step.branch else "",
        step.error_text or "",
    ]
    return StepLine(step.status, node, duration, to_one_line("  ".join(filter(None, notes))))


def format_duration(duration: float) -> str:
    """Return a duration in milliseconds as `12 ms`, or `<1 ms` if it is less."""
    return "<1 ms" if duration < 1 else f"{round(duration)} ms"


def print_step(step: engine.StepRecord) -> None:
    """Print one line for a finished step."""
    line = make_line(step)
    if line.status != "running":
        click.echo(f"{line.status:<8} {line.node:<24} {line.duration:>12}  {line.note}".rstrip(), err=True)


@contextmanager
def show_table() -> Iterator[Callable[[engine.StepRecord], None]]:
    """Show a table on the terminal that grows with the run; of a long run, the last steps that fit."""
    from rich.console import Console
    from rich.live import Live
    from rich.table import Column, Table
    from rich.text import Text

    console = Console(stderr=True)
    lines: dict[int, StepLine] = {}

    def table() -> Table:
        fitting = list(lines.values())[-max(1, console.height - 4) :]
        hidden = len(lines) - len(fitting)
        columns = "status", "node", Column("duration", justify="right"), ""
        made = Table(*columns, box=None, caption=f"{hidden} earlier steps" if hidden else None)
        for line in fitting:
            made.add_row(Text(line.status, STYLES.get(line.status, "")), *map(Text, line[1:]))
        return made

    def show(step: engine.StepRecord) -> None:
        lines[step.seq] = make_line(step)

    with Live(get_renderable=table, console=console, refresh_per_second=8):
        yield show


def print_run(dispatcher: Dispatcher, run: Run, whole: bool) -> None:
    """Print the output on stdout and the log on stderr; or the whole run as one JSON object on stdout."""
    output = dispatcher.resources.value(run.id, "output", Kept(run.output, run.output_bytes))
    logs = list(read_pages(lambda after: log_queries.of(run.id, 1000, after)))
    if whole:
        shown = RunOut(only=("status", "duration_ms", "duration_us", "error_text", "error_node_id", "error_kind")).dump(
            run
        )
        shown_logs = LogOut(only=("node_id", "level", "message", "data", "created_at")).dump(logs, many=True)
        click.echo(format_json({**shown, "output": output, "steps": dump_steps(dispatcher, run), "logs": shown_logs}))
        return
    for entry in logs:
        text = f"{entry.level:<8} {entry.node_id or 'run'}: {entry.message} {entry.data or ''}"
        click.echo(to_one_line(text).rstrip(), err=True)
    if run.status == "success":
        click.echo(format_json(output))


def dump_steps(dispatcher: Dispatcher, run: Run) -> list[dict[str, Any]]:
    """Return the steps of the run as in the API, with complete outputs."""
    names = (
        "node_id", "node_type", "status", "attempt", "index", "branch", "error_text", "error_kind", "started_at",
        "duration_ms", "duration_us",
    )  # fmt: skip
    schema = StepOut(only=names)
    outputs: dict[str | None, Any] = {}
    shown = []
    for step in read_pages(lambda after: steps.of(run.id, 1000, -1 if after is None else after)):
        kept = Kept(step.output, step.output_bytes)
        output = outputs[step.same_as] if step.same_as else dispatcher.resources.value(run.id, f"step_{step.seq}", kept)
        if step.item_index is None:
            outputs[step.node_id] = output
        shown.append({**schema.dump(step), "output": output})
    return shown


def read_pages(read: Callable[[Any], tuple[list[Any], Any]]) -> Iterator[Any]:
    """Yield all rows of a list that is read by pages."""
    after = None
    while True:
        rows, after = read(after)
        yield from rows
        if after is None:
            return


# Users


@main.group()
def user() -> None:
    """Add and list users, set passwords, and appoint admins."""


PASSWORD_STDIN = click.option("--password-stdin", is_flag=True, help="Read the password from stdin.")
OWN = click.option("--own", is_flag=True, help="The user chose this password and need not change it.")


@user.command("add")
@click.argument("email")
@click.option("--workspace", "workspace_id", metavar="ID", help="The workspace; required if there are several.")
@click.option("--role", type=click.Choice(ROLES), default="editor", show_default=True)
@PASSWORD_STDIN
@OWN
def add_user(email: str, workspace_id: str | None, role: str, password_stdin: bool, own: bool) -> None:
    """Make a user a member of a workspace. A new user gets a password: asked for, or generated and printed once.

    Sessions of an existing user end.
    """
    with open_database():
        workspace = find_workspace(workspace_id)
        known = users.by_email(email)
        if known is not None and password_stdin:
            raise Conflict(f"The user {known.email} exists already; `user password` changes the password")
        password, generated = (None, False) if known is not None else choose_password(email, password_stdin)
        entry = NewAuditEntry("member.added", workspace.id)
        accounts.add_member(entry, email, role, password, set_up=own and not generated)
    click.echo(f"{email.strip().lower()} is {role} of {workspace.name}")
    if generated:
        click.echo(f"password: {password}")


@user.command("password")
@click.argument("email")
@PASSWORD_STDIN
@OWN
def reset_password(email: str, password_stdin: bool, own: bool) -> None:
    """Set a user's password: asked for, or generated and printed once. Ends the user's sessions and API tokens."""
    with open_database():
        found = find_user(email)
        password, generated = choose_password(found.email, password_stdin)
        accounts.set_password(found, password, set_up=own and not generated)
    click.echo(f"{found.email} has a new password")
    if generated:
        click.echo(f"password: {password}")


@user.command("promote")
@click.argument("email")
def promote(email: str) -> None:
    """Make a user an admin of the server, who may create workspaces and accounts and reset passwords."""
    with open_database():
        found = find_user(email)
        accounts.change_admin(found, True)
    click.echo(f"{found.email} is an admin")


@user.command("demote")
@click.argument("email")
def demote(email: str) -> None:
    """Revoke a user's admin rights, except those of the last admin."""
    with open_database():
        found = find_user(email)
        accounts.change_admin(found, False)
    click.echo(f"{found.email} is no longer an admin")


def find_user(email: str) -> User:
    """Return the user with this address. Raises: NotFound if there is none."""
    found = users.by_email(email)
    if found is None:
        raise NotFound(f"There is no user {email!r}; `user list` shows all")
    return found


@user.command("list")
def list_users() -> None:
    """Print each membership: address, role, workspace id and name, and `admin` or `-`, separated by tabs."""
    with open_database(for_reading=True):
        names = {row.id: row.name for row in Workspace.select()}
        for found in User.select().order_by(User.email):
            places = [(role, id_, names[id_]) for id_, role in users.roles(found).items()]
            for place in places or [("-", "-", "-")]:
                rights = "admin" if found.is_admin else "-"
                click.echo("\t".join(map(to_one_line, (found.email, *place, rights))))


def choose_password(email: str, from_stdin: bool) -> tuple[str, bool]:
    """Return the password from stdin or the terminal, or a generated one, and True if it was generated."""
    password = ""
    if from_stdin:
        password = read_password()
    elif sys.stdin.isatty():
        question = "Password (empty: generate one)"
        password = click.prompt(question, "", hide_input=True, confirmation_prompt=True, show_default=False, err=True)
    if not password and not from_stdin:
        return secrets.token_urlsafe(12), True
    wrong = Login().validate({"email": email, "password": password})
    if wrong:
        raise BadInput("; ".join(f"{field}: {' '.join(messages)}" for field, messages in wrong.items()))
    return password, False


def read_password() -> str:
    """Return all of stdin without the final line break."""
    try:
        return sys.stdin.buffer.read().decode().rstrip("\r\n")
    except UnicodeDecodeError:
        raise BadInput("--password-stdin: stdin is not UTF-8 text") from None


# Settings


@main.command("config")
def show_config() -> None:
    """Print the effective settings as lines of a `.env` file; secrets are masked."""
    config = Config.from_env()
    for unknown in settings.find_unknown_settings():
        click.echo(to_one_line(f"Warning: {unknown}"), err=True)
    for row, field in zip(settings.table(), fields(config), strict=True):
        value = getattr(config, field.name)
        text = ",".join(value) if isinstance(value, tuple) else "" if value is None else str(value)
        click.echo(f"{row.env}={'********' if row.kind.secret and text else text}")
    click.echo(f"# The database: {config.database_name}")
