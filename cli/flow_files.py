"""Flow files: files with flows and imports, and the commands that export and import them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import click
import orjson

import database
import definition as definitions
from cli.base import FILE, NEW_FILE, find_workspace, format_json, main, open_database, read_json
from cli.transfers import check_options, export_archive, import_archive, is_archive
from config import Config
from database.queries import workflows
from database.queries.audit import NewAuditEntry
from database.queries.workflows import LabelChange, check_no_copies
from errors import BadInput, Conflict, NotFound, TooLarge
from models import Workflow
from schemas import FlowIn


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
        export_archive(out)
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
        import_archive(file)
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
