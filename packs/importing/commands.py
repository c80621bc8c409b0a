"""Commands: `import` also takes OpenAPI documents and cURL commands, and `import openapi` writes a connector."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import click

from cli import FILE, find_workspace, format_json, import_file, is_archive, is_openapi, main, open_database, to_one_line
from config import Config
from database.queries.audit import NewAuditEntry
from dispatch import make_services
from errors import BadInput, Conflict, NodeError
from nodes import REGISTRY
from packs.connectors.file_schema import NAME
from packs.importing import curl, presets
from packs.importing.advice import Suggestion
from packs.importing.palette import read as read_palette

PARAMS = (
    click.Argument(["file"], type=FILE, required=False),
    click.Option(["--curl", "command"], metavar="COMMAND|-", help="Print the http node for this cURL command."),
    *(option for option in import_file.params if isinstance(option, click.Option)),
)


@main.command("import", params=list(PARAMS))
@click.pass_context
def import_any(
    context: click.Context,
    file: Path | None,
    command: str | None,
    workspace_id: str | None,
    name: str | None,
    again: bool,
) -> None:
    """Create draft flows from an exported file, a template or a bare definition: all flows of the file, or none.

    If the workspace already has a flow with the definition of one of them, none is created, unless --again is given.

    An OpenAPI document, JSON or YAML, becomes presets in the palette. With --curl, nothing is stored. An archive of
    `export --all` is restored into the server's database, which must be empty.
    """
    if (file is None) == (command is None):
        raise click.UsageError("Give either a file or a cURL command with --curl")
    if file is None:
        if workspace_id or name or again:
            raise click.UsageError("--workspace, --name and --again need a file; --curl stores nothing")
        print_node(str(command))
    elif is_archive(file) or not is_openapi(raw := file.read_bytes()):
        context.invoke(import_file, file=file, workspace_id=workspace_id, name=name, again=again)
    elif name is not None or again:
        option = "--again" if name is None else "--name"
        raise click.UsageError(f"{option} needs a flow; {file} is an OpenAPI document")
    else:
        import_palette(raw, workspace_id)


def import_palette(raw: bytes, workspace_id: str | None) -> None:
    """Add presets for the operations of the document to the palette and print their ids and names."""
    palette = read_palette(raw)
    rows = [preset.as_row() for preset in palette.presets]
    with open_database():
        workspace = find_workspace(workspace_id)
        with NewAuditEntry("preset.imported", workspace.id).written() as entry:
            made = presets.replace_source(workspace.id, palette.source, palette.title, rows)
            entry.target("preset", palette.source, palette.title).note(presets=len(made))
    for preset in made:
        click.echo(to_one_line(f"{preset.id} {preset.name}"))
    print_advice(palette.credentials, palette.notes)


def print_node(command: str) -> None:
    """Print the node for a cURL command. `-` reads it from stdin, which hides it from other users."""
    if command == "-":
        command = sys.stdin.buffer.read(curl.MAX_BYTES + 1).decode("utf-8", "surrogateescape")
    imported = curl.make_node(command)
    click.echo(format_json(imported.node))
    print_advice(imported.credentials, imported.notes)


def print_advice(credentials: Iterable[Suggestion], notes: Iterable[str]) -> None:
    """Print the credentials to create, and notes, on stderr."""
    for found in credentials:
        known = [f"{key} {value}" for key, value in found.data.items()]
        sources = [f"{key} from {source}" for key, source in found.sources.items()]
        click.echo(to_one_line(f"Credential {found.name} ({found.type}): {', '.join(known + sources)}"), err=True)
    for note in notes:
        click.echo(to_one_line(note), err=True)


FOLDER = click.Path(file_okay=False, path_type=Path)
WAIT = 60.0  # seconds for a document from a URL


@main.command("import openapi")
@click.argument("source", metavar="FILE|URL")
@click.option("--name", help="The connector's node type and file name, such as our_shop. Default: from the title.")
@click.option(
    "--operations",
    "pattern",
    default="*",
    metavar="GLOB",
    help="Only operations whose id, path or tag matches: orders*",
)
@click.option("--base", default="", metavar="URL", help="The API's address, if it is not the document's first server.")
@click.option("--out", "folder", type=FOLDER, metavar="DIR", help="The folder. Default: HEADRACE_CONNECTORS_DIR.")
@click.option("--replace", "is_replacing", is_flag=True, help="Replace an existing file.")
def import_openapi(
    source: str, name: str | None, pattern: str, base: str, folder: Path | None, is_replacing: bool
) -> None:
    """Write a connector from an OpenAPI 3 or Swagger 2 document, JSON or YAML: a node type for the API.

    stderr lists the parts that are left out. The server reads the file at its next start.
    """
    import packs.importing.connector as documents

    config = Config.from_env()
    if name is not None:
        check_name(name)
    is_url = source.startswith(("https://", "http://"))
    document = fetch(source, config, documents.MAX_BYTES) if is_url else read_start(source, documents.MAX_BYTES + 1)
    made = documents.read(document, pattern, base, source if is_url else "")
    type_ = name or documents.make_type(made.connector["name"])
    check_name(type_)
    target = write(type_, format_json(made.connector) + b"\n", folder or config.connectors_dir or Path(), is_replacing)
    for note in made.notes:
        click.echo(to_one_line(note), err=True)
    count = len(made.connector["operations"])
    click.echo(to_one_line(f"{target}: {made.connector['name']}, {count} operation{'s' if count != 1 else ''}"))
    if config.connectors_dir is None or target.parent.resolve() != config.connectors_dir.resolve():
        click.echo("Put it into the folder of HEADRACE_CONNECTORS_DIR, and restart the server", err=True)
    else:
        click.echo("Restart the server to use it", err=True)


def check_name(name: str) -> None:
    """Check that a connector can have this name. Raises: BadInput."""
    if not NAME.match(name):
        raise BadInput(f"--name {name!r} must have lower-case letters, digits and _ only, such as our_shop")
    if name in REGISTRY:
        raise BadInput(f"--name {name!r} is a node type already; choose another name")


def read_start(path: str, most: int) -> bytes:
    """Return the content of a file, at most this many bytes. Raises: OSError."""
    with Path(path).open("rb") as file:
        return file.read(most)


def fetch(url: str, config: Config, most: int) -> bytes:
    """Return the document at a URL, as far as the egress rule allows it. Raises: BadInput."""
    services = make_services(replace(config, http_max_bytes=most))
    try:
        answer = services.http().fetch("GET", url, seconds=WAIT)
    except NodeError as error:
        raise BadInput(error.message) from None
    finally:
        services.close()
    if answer.status != 200:
        raise BadInput(f"{answer.who} answered {answer.status} {answer.reason}")
    return bytes(answer.content)


def write(type_: str, content: bytes, folder: Path, is_replacing: bool) -> Path:
    """Write the file of a connector. Return its path. Raises: Conflict if it exists, unless `is_replacing`; OSError."""
    target = folder / f"{type_}.json"
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with target.open("wb" if is_replacing else "xb") as file:
            file.write(content)
    except FileExistsError:
        raise Conflict(f"{target} exists already: give another --name, or --replace") from None
    return target
