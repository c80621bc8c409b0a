"""Commands: `import` also takes OpenAPI documents and, with --curl, cURL commands."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path

import click

from cli.base import FILE, find_workspace, format_json, main, open_database, to_one_line
from cli.flow_files import import_file
from cli.transfers import is_archive
from database.queries import presets
from database.queries.audit import NewAuditEntry
from packs.importing import curl, openapi
from packs.importing.palette import read as read_palette
from packs.importing.secret_detection import Suggestion

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
    elif is_archive(file) or not openapi.is_openapi(raw := file.read_bytes()):
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
