"""CLI: the command line. Each command reads its arguments, calls the code that does the work, and prints the result.

Wrong input is one line on stderr, `Error: …`, with exit code 2; a failed run has exit code 1. Output for programs goes
to stdout, everything else to stderr.
"""

from __future__ import annotations

import importlib
import logging
import os
import re
import secrets
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import click
import orjson

import config as settings
import database
import definition as definitions
import engine
from config import KEY_FILE, Config, read_setting
from constants import ROLES, VERSION
from database import backups
from database.base import now_ms
from database.queries import logs as log_queries
from database.queries import server_state, steps, users, waits, workflows
from database.queries.audit import NewAuditEntry
from database.queries.workflows import LabelChange, check_no_copies
from dispatch import Dispatcher, Resources, Start, make_services
from dispatch.payloads import Kept
from dispatch.recorder import Recorder
from errors import BadInput, ConfigError, Conflict, HeadraceError, NotFound, TooLarge
from fields import JOINERS, is_seen
from models import Run, User, Workflow, Workspace
from nodes import REGISTRY, plugins
from nodes.credentials.keyring import DecryptedCredential
from registry import explain_off, registry
from scheduler.firing import skip_due
from schemas import FlowIn, Login, LogOut, RunOut, StepOut
from security import accounts, credentials, key_rotation
from worker import find_lanes

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
    """A group of commands whose errors are one line each. `import openapi` is a command of two words."""

    def load(self) -> None:
        """Add the commands of the packs that are on."""
        plugins.load_packs(read_setting("HEADRACE_PACKS"))
        for name in registry.commands:
            importlib.import_module(name)

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
            try:
                return super().invoke(ctx)
            except click.NoSuchOption as error:  # it may be an option of a pack that is off
                raise click.UsageError(
                    f"{error.format_message().removesuffix('.')}{explain_off()}", error.ctx
                ) from None


def exit_with(error: Exception) -> NoReturn:
    """Print this error of the server as errors of commands are printed, and end the process."""
    try:
        with translate_errors():
            raise error
    except CommandError as line:
        line.show()
        sys.exit(line.exit_code)


@click.group(cls=Commands)
@click.version_option(VERSION, prog_name="headrace", message="%(prog)s %(version)s")
def main() -> None:
    """Headrace, a workflow server. Without a command: serve."""
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
        if file.read(len(backups.MAGIC)) != backups.MAGIC:
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


# Archives: all data of a server, which the pack `moving` writes and restores


def is_archive(file: Path) -> bool:
    """Return True if the file begins as an archive does."""
    with file.open("rb") as read:
        return read.read(4) == b"PK\x03\x04"  # of a ZIP file


def is_openapi(file: bytes) -> bool:
    """Return True if the file declares itself an OpenAPI document, of a supported version or not."""
    if file.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] != b"{":
        return re.search(rb"^(?:\xef\xbb\xbf)?[\"']?(?:openapi|swagger)[\"']?[ \t]*:", file, re.MULTILINE) is not None
    try:
        value = orjson.loads(file.removeprefix(b"\xef\xbb\xbf"))
    except orjson.JSONDecodeError:
        return False
    return "openapi" in value or "swagger" in value


def check_options(**options: object) -> None:
    """Check that none of these options is given with an archive. Raises: BadInput."""
    for name, value in options.items():
        if value is not None:
            raise BadInput(f"--{name} is for flows and OpenAPI documents: an archive has all workspaces with their ids")


# Flows in files, and the commands that export and import them


class FlowFile(NamedTuple):
    """A flow in a file: a template, an exported flow, or a bare definition, which has no name.

    An exported flow may also have a folder and tags.
    """

    name: Any
    definition: Any
    sample_input: Any = None
    folder: Any = None
    tags: Any = ()


def parse_flow(value: Any) -> FlowFile:
    """Return the flow in the content of a file, in any of these forms."""
    if isinstance(value, dict) and "definition" in value:
        found = FlowFile(value.get("name"), value["definition"], value.get("sample_input"))
        # The tags of a template describe the template. Only exported flows have a status.
        return found._replace(folder=value.get("folder"), tags=value.get("tags") or ()) if "status" in value else found
    return FlowFile(None, value)


def read_flow(file: Path) -> FlowFile:
    """Return the single flow of a file."""
    return parse_flow(read_json(file.read_bytes(), str(file)))


def encode_definition(definition: Any, config: Config) -> str:
    """Return the definition as stored in the database. Raises: BadInput or TooLarge if it exceeds a limit."""
    try:
        text = orjson.dumps(definition)
    except orjson.JSONEncodeError as error:
        raise BadInput(f"The definition is nested too deeply: {error}") from None
    if len(text) > config.max_definition_bytes:
        raise TooLarge(f"The definition has more than {config.max_definition_bytes} bytes; split the flow")
    return text.decode()


@main.command("export")
@click.argument("flow_id", required=False)
@click.option("--flows", "every", is_flag=True, help="Export all flows of all workspaces as a list.")
@click.option("--all", "all_data", is_flag=True, help="Export all data of the server as an archive.")
@click.option("--out", type=NEW_FILE, metavar="FILE", help="Write to this file instead of stdout.")
def export_flows(flow_id: str | None, every: bool, all_data: bool, out: Path | None) -> None:
    """Print a flow as JSON that `import`, `run` and `validate` read, or write an archive that `import` restores."""
    if (flow_id is not None) + every + all_data != 1:
        raise click.UsageError("Give either the id of a flow, or --flows, or --all")
    if all_data:
        registry.find_part("moving", "`export --all`").export_archive(out)
        return
    with open_database(for_reading=True):
        flows = Workflow.select().order_by(Workflow.id) if every else [Workflow.find(flow_id)]
        exported = [export_flow(flow) for flow in flows if flow is not None]
    if not (every or exported):
        raise NotFound(f"There is no flow {flow_id!r}")
    found = format_json(exported if every else exported[0])
    if out is None:
        click.echo(found)
    else:
        out.write_bytes(found + b"\n")


def export_flow(flow: Workflow) -> dict[str, Any]:
    """Return a flow in the form of a file."""
    definition = orjson.loads(flow.definition_json)
    known = {"folder": workflows.folder_of(flow), "tags": workflows.tags_of(flow)}
    labels = {name: value for name, value in known.items() if value}
    return {"name": flow.name, "status": flow.status, "version": flow.version, **labels, "definition": definition}


@main.command("import")
@click.argument("file", type=FILE)
@click.option("--workspace", "workspace_id", metavar="ID", help="The target workspace; required if there are several.")
@click.option("--name", help="Name of the flow; required if the file has none.")
@click.option("--again", is_flag=True, help="Import flows although the workspace has flows with their definitions.")
def import_file(file: Path, workspace_id: str | None, name: str | None, again: bool) -> None:
    """Create draft flows from an exported file, a template or a bare definition: all flows of the file, or none.

    If the workspace already has a flow with the definition of one of them, none is created, unless --again is given.

    An archive of `export --all` is restored into the server's database, which must be empty.
    """
    if is_archive(file):
        check_options(workspace=workspace_id, name=name, again=again or None)
        registry.find_part("moving", "`import` of an archive").import_archive(file)
    elif is_openapi(file.read_bytes()):  # with its pack, the command of the pack takes it
        registry.find_part("importing", "`import` of an OpenAPI document")
    else:
        import_flows(file, workspace_id, name, again)


def import_flows(file: Path, workspace_id: str | None, name: str | None, again: bool) -> None:
    """Create draft flows from the file and print their ids and names."""
    value = read_json(file.read_bytes(), str(file))
    found = [parse_flow(item) for item in value] if isinstance(value, list) else [parse_flow(value)]
    if name is not None and isinstance(value, list):
        raise click.UsageError(f"--name needs a single flow; {file} holds a list")
    with open_database() as config:
        workspace = find_workspace(workspace_id)
        rows = [make_draft(flow if name is None else flow._replace(name=name), config) for flow in found]
        if not again:
            refuse_copies(workspace.id, [row["definition_json"] for row in rows])
        with database.write():
            made = [create_flow(workspace.id, row) for row in rows]
    for flow in made:
        click.echo(f"{flow.id} {flow.name}")


def refuse_copies(workspace_id: str, definitions_json: Iterable[str]) -> None:
    """Check that the workspace has no flow with one of these definitions. Raises: Conflict if it has."""
    try:
        check_no_copies(workspace_id, definitions_json)
    except Conflict as error:
        raise Conflict(f"Nothing was imported. {error.message}. To import it once more, add --again") from None


def create_flow(workspace_id: str, row: dict[str, Any]) -> Workflow:
    """Create a flow with these columns and write its audit entry."""
    labels = LabelChange.of({name: row.pop(name) for name in ("folder", "tags") if name in row})
    with NewAuditEntry("flow.created", workspace_id).written() as entry:
        flow = workflows.draft(workspace_id=workspace_id, **row)
        changed = labels.apply(workspace_id, (flow.id,))
        entry.about(flow).note(status=flow.status, **changed.get(flow.id, {}))
    return flow


def make_draft(flow: FlowFile, config: Config) -> dict[str, Any]:
    """Return the columns of a draft. Raises: BadInput for an invalid name or a malformed graph."""
    if flow.name is None:
        raise BadInput("The flow has no name; give it one with --name")
    given = {"name": flow.name, "folder": flow.folder, "tags": flow.tags}
    for name, problems in FlowIn().validate(given).items():
        found = problems if isinstance(problems, list) else [text for texts in problems.values() for text in texts]
        raise BadInput(f"{name}: {' '.join(found)}")
    values = FlowIn().load(given)
    definitions.graph(flow.definition, config.max_nodes)
    labels = {name: values[name] for name in ("folder", "tags") if values[name]}
    text = encode_definition(flow.definition, config)
    return {"name": flow.name, "status": "draft", **labels, "definition_json": text}


FOLDER = click.Path(exists=True, file_okay=False, resolve_path=True, path_type=Path)
MIN_WAIT = 0.05  # seconds; the process claims runs only while its lease is valid
STYLES = {"success": "green", "failed": "red", "running": "yellow", "skipped": "dim"}


# Flows without a server


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
        if row.kind is settings.PACKS and value is None:
            text = "all"
        click.echo(f"{row.env}={'********' if row.kind.secret and text else text}")
    click.echo(f"# The database: {config.database_name}")


# Maintenance: backup, restore, resuming a restored server, key rotation

NEW_FOLDER = click.Path(path_type=Path)
BACKUP_FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)
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
@click.argument("source", type=BACKUP_FOLDER)
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


# A process of the server


@main.command()
@click.option(
    "--concurrency",
    type=click.IntRange(1, 1024),
    metavar="NUMBER",
    help="Runs at a time, instead of HEADRACE_RUN_THREADS.",
)
@click.option("--queues", metavar="NAMES", help="The queues, by commas: headrace.runs, headrace.slow; default: both.")
@click.pass_context
def worker(context: click.Context, concurrency: int | None, queues: str | None) -> None:
    """Execute runs until the process is ended, and answer no requests. Needs the settings of the other processes."""
    context.obj(find_lanes(queues), concurrency)
