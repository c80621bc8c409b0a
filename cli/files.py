"""Flows, and what else is kept in files: what a file holds, and the commands that bring it in and out."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import click
import orjson

import database
import definition as definitions
from cli.base import FILE, NEW_FILE, find_workspace, main, one_line, opened, pretty, read_json
from config import Config
from errors import BadInput, NotFound, TooLarge
from importing import curl, openapi
from importing.secret_detection import Suggestion
from models import AuditEntry, Preset, Workflow
from schemas import FlowIn


class FlowFile(NamedTuple):
    """A flow as a file has it: a template, an exported flow, or a bare definition, which has no name."""

    name: Any
    definition: Any
    sample_input: Any = None


def flow_of(value: Any) -> FlowFile:
    """What a file holds, whichever of the three it is."""
    if isinstance(value, dict) and "definition" in value:
        return FlowFile(value.get("name"), value["definition"], value.get("sample_input"))
    return FlowFile(None, value)


def flow_in(file: Path) -> FlowFile:
    """The one flow of a file."""
    return flow_of(read_json(file.read_bytes(), str(file)))


def definition_text(definition: Any, config: Config) -> str:
    """The definition as the database keeps it, within its bounds."""
    try:
        text = orjson.dumps(definition)
    except orjson.JSONEncodeError as error:
        raise BadInput(f"The definition is nested too deeply: {error}") from None
    if len(text) > config.max_definition_bytes:
        raise TooLarge(f"The definition has more than {config.max_definition_bytes} bytes")
    return text.decode()


@main.command("export")
@click.argument("flow_id", required=False)
@click.option("--all", "every", is_flag=True, help="All flows of all workspaces, as a list.")
@click.option("--out", type=NEW_FILE, metavar="FILE", help="Write to this file, not to stdout.")
def export_flows(flow_id: str | None, every: bool, out: Path | None) -> None:
    """Print a flow as JSON that `import`, `run` and `validate` read."""
    if (flow_id is None) != every:
        raise click.UsageError("Give the id of a flow, or --all")
    with opened():
        found = pretty([exported(flow) for flow in Workflow.select().order_by(Workflow.id)] if every else one(flow_id))
    if out is None:
        click.echo(found)
    else:
        out.write_bytes(found + b"\n")


def one(flow_id: str | None) -> dict[str, Any]:
    """The flow of this id as a file has it."""
    flow = Workflow.find(flow_id)
    if flow is None:
        raise NotFound(f"There is no flow {flow_id!r}")
    return exported(flow)


def exported(flow: Workflow) -> dict[str, Any]:
    """A flow as a file has it."""
    definition = orjson.loads(flow.definition_json)
    return {"name": flow.name, "status": flow.status, "version": flow.version, "definition": definition}


@main.command("import")
@click.argument("file", type=FILE, required=False)
@click.option("--curl", "command", metavar="COMMAND|-", help="Print the http node that sends what this command sends.")
@click.option("--workspace", "workspace_id", metavar="ID", help="Where to; needed where there are several.")
@click.option("--name", help="The flow's name, for a file that has none, or to give it another.")
def import_file(file: Path | None, command: str | None, workspace_id: str | None, name: str | None) -> None:
    """Make draft flows of an exported file, a template or a bare definition: all that the file holds, or none.

    Of an OpenAPI document, JSON or YAML, make presets in the palette. With --curl, nothing is kept.
    """
    if (file is None) == (command is None):
        raise click.UsageError("Give a file, or a cURL command by --curl")
    if file is None:
        if workspace_id or name:
            raise click.UsageError("--workspace and --name are for files; of --curl nothing is kept")
        print_node(str(command))
        return
    raw = file.read_bytes()
    if not openapi.is_openapi(raw):
        import_flows(file, raw, workspace_id, name)
    elif name is not None:
        raise click.UsageError(f"--name is for a flow; {file} is an OpenAPI document")
    else:
        import_palette(raw, workspace_id)


def import_flows(file: Path, raw: bytes, workspace_id: str | None, name: str | None) -> None:
    """Make draft flows of the file and print their ids and names."""
    value = read_json(raw, str(file))
    found = [flow_of(item) for item in value] if isinstance(value, list) else [flow_of(value)]
    if name is not None and isinstance(value, list):
        raise click.UsageError(f"--name is for a single flow; {file} holds a list")
    with opened() as config:
        workspace = find_workspace(workspace_id)
        rows = [draft(flow if name is None else flow._replace(name=name), config) for flow in found]
        with database.write():
            made = [kept(workspace.id, row) for row in rows]
    for flow in made:
        click.echo(f"{flow.id} {flow.name}")


def kept(workspace_id: str, row: dict[str, Any]) -> Workflow:
    """A flow of these columns, and an entry of it in the audit trail."""
    with AuditEntry.begin("flow.created", workspace_id).written() as entry:
        flow = Workflow.draft(workspace_id=workspace_id, **row)
        entry.about(flow).note(status=flow.status)
    return flow


def import_palette(raw: bytes, workspace_id: str | None) -> None:
    """Put the operations of the document into the palette and print their ids and names."""
    palette = openapi.read(raw)
    rows = [preset.as_row() for preset in palette.presets]
    with opened():
        workspace = find_workspace(workspace_id)
        with AuditEntry.begin("preset.imported", workspace.id).written() as entry:
            made = Preset.replace_source(workspace.id, palette.source, palette.title, rows)
            entry.target("preset", palette.source, palette.title).note(presets=len(made))
    for preset in made:
        click.echo(one_line(f"{preset.id} {preset.name}"))
    print_advice(palette.credentials, palette.notes)


def print_node(command: str) -> None:
    """Print the node that a cURL command becomes; it may be read from stdin, where nobody else sees it."""
    if command == "-":
        command = sys.stdin.buffer.read(curl.MAX_BYTES + 1).decode("utf-8", "surrogateescape")
    imported = curl.make_node(command)
    click.echo(pretty(imported.node))
    print_advice(imported.credentials, imported.notes)


def print_advice(credentials: Iterable[Suggestion], notes: Iterable[str]) -> None:
    """The credentials to make, and what else there is to know, on stderr."""
    for found in credentials:
        known = [f"{key} {value}" for key, value in found.data.items()]
        sources = [f"{key} from {source}" for key, source in found.sources.items()]
        click.echo(one_line(f"Credential {found.name} ({found.type}): {', '.join(known + sources)}"), err=True)
    for note in notes:
        click.echo(one_line(note), err=True)


def draft(flow: FlowFile, config: Config) -> dict[str, Any]:
    """The columns of a draft made of this flow; BadInput for a name that cannot be, or a graph that is malformed."""
    if flow.name is None:
        raise BadInput("The flow has no name; give it one with --name")
    wrong = FlowIn().validate({"name": flow.name}).get("name")
    if wrong:
        raise BadInput(f"name: {' '.join(wrong)}")
    definitions.graph(flow.definition, config.max_nodes)
    return {"name": flow.name, "status": "draft", "definition_json": definition_text(flow.definition, config)}
