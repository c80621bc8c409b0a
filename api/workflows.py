"""Workflows: create, read, change, validate, restore and run them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import orjson
from flask import jsonify, request
from marshmallow.validate import Length, Range

import definition as definitions
import fields
from api.audit import begin_entry, defer_start_entry, record_change, remove
from api.http.auth import check_role, get_user, get_workspace_id, require_role
from api.http.json_io import Resource, check_depth, dump, get_config, get_dispatcher, get_server, parse_json
from api.http.paging import Cursor, PageArgs, listed
from api.runs import link_large_values
from constants import RUN_STATUSES, WORKFLOW_STATUSES
from database.queries import drafts as draft_queries
from database.queries import workflows
from database.queries.audit import differences
from database.queries.workflows import (
    MAX_CHARACTERS,
    FlowFilters,
    LabelChange,
    LastRun,
    Listed,
    Startable,
    check_no_copies,
    current_versions,
    definitions_of,
    flow_page,
    labels_of,
    last_runs,
    next_times,
    sizes_of,
)
from definition import Pin
from definition.diff import ANNOTATIONS, get_annotations
from dispatch import CHECKS, SAVES, Start, StartOptions
from dispatch.publishing import NO_ADDRESS, STALE, Trigger, find_triggers, find_triggers_of
from dispatch.references import check_uncalled, find_code_issues, warned, warnings_of
from errors import BadInput, Conflict, DefinitionError, Issue, NotFound, TooLarge
from fields import FolderPath, Json, OneOrMore, Out, Strict, TagsArg, Time, choice, iso, text
from models import Run, Workflow, WorkflowVersion
from nodes import REGISTRY, catalogue
from nodes.fields import NamedValues
from schemas import (
    DEFINITION,
    FLOW_ID,
    RUN_ID,
    CheckIn,
    CheckOut,
    Error,
    FlowBody,
    FlowIn,
    FlowOut,
    RunOut,
    SavedOut,
    StartArgs,
)

# Version summaries: the changes between the versions of a flow, in a few words.

MAX_COMPARED = 4_000_000  # of definitions compared for a page; older versions get no summary
MAX_NAMES = 3  # nodes named in a summary
MAX_NAME_LENGTH = 60  # characters of a node's name


def summarize_versions(rows: Sequence[WorkflowVersion]) -> dict[int, dict[str, Any]]:
    """Return `{node_count, summary}` of these versions of one flow, newest first, by number.

    `summary` is null if the previous version is missing; both are null for versions beyond MAX_COMPARED.
    """
    if not rows:
        return {}
    first, last = rows[-1].version - 1, rows[0].version
    texts = workflows.version_texts(rows[0].workflow_id, first, last, MAX_COMPARED)
    parsed = {version: orjson.loads(text) for version, text in texts.items()}
    found = {}
    for version in range(first + 1, last + 1):
        now, before = parsed.get(version), parsed.get(version - 1)
        count = None if now is None else len(_get_nodes(now))
        summary = "first version" if version == 1 else None
        if now is not None and before is not None:
            summary = compare(before, now)
        found[version] = {"node_count": count, "summary": summary}
    return found


def compare(before: dict[str, Any], now: dict[str, Any]) -> str:
    """Return the changes in one line: `2 nodes added (a, Ask the bank); 1 node changed (c); edges changed`.

    Nodes are listed by name, or by id if they have none.
    """
    old, new = _get_nodes(before), _get_nodes(now)
    parts = {
        "added": [id_ for id_ in new if id_ not in old],
        "removed": [id_ for id_ in old if id_ not in new],
        "changed": [
            id_ for id_, node in new.items() if id_ in old and _remove_position(node) != _remove_position(old[id_])
        ],
    }
    changes = []
    for word, ids in parts.items():
        names = [str((old | new)[id_].get("name") or id_)[:MAX_NAME_LENGTH] for id_ in ids[:MAX_NAMES]]
        listed = ", ".join(names) + (", …" if len(ids) > MAX_NAMES else "")
        changes += [f"{len(ids)} {'node' if len(ids) == 1 else 'nodes'} {word} ({listed})"] if ids else []
    if _get_edges(before) != _get_edges(now):
        changes.append("edges changed")
    if (before.get("settings") or None) != (now.get("settings") or None):
        changes.append("settings changed")
    changes += [
        f"{name} changed" for name in ANNOTATIONS if get_annotations(before, name) != get_annotations(now, name)
    ]
    moved = any(id_ in old and node != old[id_] for id_, node in new.items())
    return "; ".join(changes) or ("nodes moved" if moved else "formatting changed")


def _get_nodes(definition: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {node["id"]: node for node in definition.get("nodes") or []}


def _get_edges(definition: dict[str, Any]) -> set[bytes]:
    return {_normalize_edge(edge) for edge in definition.get("edges") or []}


def _normalize_edge(raw: Any) -> bytes:
    """Return an edge in one form: the app writes objects, others may write lists."""
    if isinstance(raw, dict):
        raw = [raw.get(key) for key in ("from", "to", "branch")]
    return orjson.dumps([*raw, None][:3] if isinstance(raw, list) else raw)


def _remove_position(node: dict[str, Any]) -> dict[str, Any]:
    """Return the node without its position on the canvas, which does not affect its behaviour."""
    return {key: value for key, value in node.items() if key != "position"}


# List of workflows for a page: each with its triggers, last run and next due time.

MAX_CACHED = 5_000  # outlines in a process


LAST_RUN = {
    "type": "object",
    "description": "The newest run",
    "properties": {
        "id": {"type": "string"},
        "status": {"type": "string", "enum": RUN_STATUSES},
        "cancelled": {"type": "boolean"},
        "started_at": {"type": ["string", "null"], "format": "date-time"},
        "finished_at": {"type": ["string", "null"], "format": "date-time"},
        "error_text": {"type": ["string", "null"], "description": "The first 300 characters"},
    },
    "required": ["id", "status", "cancelled", "started_at", "finished_at", "error_text"],
}
TRIGGER_LIST = {
    "type": "array",
    "description": "Its trigger nodes, except disabled ones",
    "items": {
        "type": "object",
        "properties": {"node_id": {"type": "string"}, "type": {"type": "string"}},
        "required": ["node_id", "type"],
    },
}


class FlowItemOut(FlowOut):
    """A flow of a list, with its triggers, last run and next due time."""

    definition_json = fields.String(help="A WorkflowDefinition as JSON text; omitted with `brief`", optional=True)
    description = fields.String(help="The setting `description` of its current version; empty if there is none")
    node_count = fields.Integer()
    triggers = Json(metadata=TRIGGER_LIST)
    last_run = Json(allow_none=True, metadata=LAST_RUN)
    failing = fields.Boolean(help="True if the last ended run failed and was not cancelled")
    next_at = Time(allow_none=True, help="Next due time of its schedules")
    has_draft = fields.Boolean(help="True if it has changes that are not published")
    favourite = fields.Boolean(help="True if you have marked it")


class FlowBriefOut(FlowItemOut):
    class Meta:
        exclude = ("definition_json",)


class FlowCursor(Cursor):
    """Cursor of a list of flows: the last id; in other orders than by age also the order and its sort key."""

    pattern = re.compile(
        rf"(updated:{FLOW_ID}:[0-9]{{1,15}}|last_run:{FLOW_ID}:({RUN_ID})?|name:{FLOW_ID}:[^\0]+|{FLOW_ID})\Z"
    )


FLOW_SORTS = ("newest", "name", "updated", "last_run")


class FlowArgs(PageArgs):
    cursor = FlowCursor(load_default=None)
    status = OneOrMore(WORKFLOW_STATUSES, load_default=None)
    search = text(200, 0, is_stored=False, load_default=None)
    failing = fields.Boolean(load_default=None)
    trigger = text(64, load_default=None, help="Flows with this type of trigger: webhook, schedule")
    folder = FolderPath(load_default=None, help="Flows in this folder and its subfolders")
    subfolders = fields.Boolean(load_default=True, help="False: not in subfolders; without a folder: in no folder")
    tag = TagsArg(load_default=None, help="Flows with this tag, or with all of several, separated by commas")
    favourite = fields.Boolean(load_default=None, help="Only your favourites, or only others")
    sort = choice(FLOW_SORTS, load_default="newest")
    brief = fields.Boolean(load_default=False, help="Omit `definition_json`")


class DefinitionSummary(NamedTuple):
    """Overview of a definition: its number of nodes, its enabled triggers and its description."""

    node_count: int
    triggers: list[dict[str, str]]
    description: str


class Outlines:
    """Cache of outlines by flow and version: a version never changes."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, int], DefinitionSummary] = {}

    def of(self, versions: Iterable[tuple[str, int]]) -> dict[str, DefinitionSummary]:
        """Return the outline of each flow by id, given ids and versions. Missing ones are read in one query."""
        keys = list(versions)
        found = {key[0]: outline for key in keys if (outline := self._known.get(key)) is not None}
        missing = [id_ for id_, _ in keys if id_ not in found]
        if missing:
            if len(self._known) + len(missing) > MAX_CACHED:
                self._known = {}
            for id_, version, text in definitions_of(missing):
                found[id_] = self._known[id_, version] = make_outline(text)
        return found


def make_outline(text: str) -> DefinitionSummary:
    """Return the outline of a definition, which may be a draft with unknown node types."""
    definition = orjson.loads(text)
    nodes = definition.get("nodes") or []
    triggers = [
        {"node_id": node["id"], "type": node["type"]}
        for node in nodes
        if not node.get("disabled") and _is_trigger(node.get("type"))
    ]
    settings = definition.get("settings")
    description = settings.get("description") if isinstance(settings, dict) else None
    return DefinitionSummary(len(nodes), triggers, description if isinstance(description, str) else "")


def _is_trigger(type_: Any) -> bool:
    return isinstance(type_, str) and type_ in REGISTRY and REGISTRY[type_].trigger


_outlines = Outlines()


def load_page(workspace_id: str, user_id: str, args: Mapping[str, Any]) -> tuple[list[dict[str, Any]], str | None]:
    """Return the flows for the arguments of GET /api/flows, as data, and the text of the next cursor."""
    ids = None
    if (type_ := args["trigger"]) is not None:
        if not _is_trigger(type_):
            known = sorted(entry["type"] for entry in catalogue() if entry["trigger"])
            raise BadInput(f"trigger: must be one of {', '.join(known)}")
        outlines = _outlines.of(current_versions(workspace_id))
        ids = [id_ for id_, made in outlines.items() if any(trigger["type"] == type_ for trigger in made.triggers)]
    folder, favourite = args["folder"], args["favourite"]
    folders: list[str] | None = [] if folder is None else [folder]  # none: flows that are in no folder
    if args["subfolders"]:
        folders = None if folder is None else [folder, *workflows.folders_within(workspace_id, folder)]
    filters = FlowFilters(
        workspace_id, args["status"], args["search"], args["failing"], ids, folders, args["tag"] or (),
        marked_by=user_id if favourite else None, not_marked_by=user_id if favourite is False else None,
    )  # fmt: skip
    listed, after = flow_page(filters, args["sort"], args["limit"], _parse_cursor(args["cursor"], args["sort"]))
    if not args["brief"]:
        # The flows whose definitions fit into one response, at least one.
        sizes, room = sizes_of([flow.id for flow in listed]), MAX_CHARACTERS
        for number, flow in enumerate(listed):
            room -= sizes.get(flow.id, 0)
            if room < 0 and number > 0:
                listed, after = listed[:number], (listed[number - 1].key, listed[number - 1].id)
                break
    shown = _show(workspace_id, user_id, listed, args["brief"])
    if after is None:
        return shown, None
    return shown, after[1] if args["sort"] == FLOW_SORTS[0] else f"{args['sort']}:{after[1]}:{after[0]}"


def _show(workspace_id: str, user_id: str, listed: Sequence[Listed], brief: bool) -> list[dict[str, Any]]:
    ids = [flow.id for flow in listed]
    outlines = _outlines.of((flow.id, flow.version) for flow in listed)
    runs, times = last_runs(workspace_id, ids), next_times(ids)
    rows = {flow.id: flow for flow in workflows.of_ids(ids, brief)}
    drafts, labels, marked = draft_queries.existing(ids), labels_of(ids), workflows.favourites_of(user_id, ids)
    unpublished = [id_ for id_ in drafts if id_ in outlines and outlines[id_].node_count == 0]
    outlines |= {id_: make_outline(text) for id_, text in draft_queries.definitions_of(unpublished)}
    # A flow that was deleted meanwhile is left out.
    return [
        {
            **rows[id_].__data__,
            **outlines[id_]._asdict(),
            "last_run": _show_last_run(runs.get(id_)),
            "failing": id_ in runs and runs[id_].failing,
            "next_at": times.get(id_),
            "has_draft": id_ in drafts,
            **labels[id_]._asdict(),
            "favourite": id_ in marked,
        }
        for id_ in ids
        if id_ in rows and id_ in outlines
    ]


def _show_last_run(run: LastRun | None) -> dict[str, Any] | None:
    if run is None:
        return None
    known = {"id": run.id, "status": run.status, "cancelled": bool(run.cancelled), "error_text": run.error_text}
    times = (("started_at", run.started_at), ("finished_at", run.finished_at))
    return known | {name: None if at is None else iso(at) for name, at in times}


# Cursors: the id of the last flow of the previous page and, unless the order is by id, its sort key.


def _parse_cursor(cursor: str | None, sort: str) -> tuple[Any, str] | None:
    if cursor is None:
        return None
    order, _, rest = cursor.partition(":") if ":" in cursor else ("newest", "", cursor)
    if order != sort:
        raise BadInput(f"cursor: belongs to the order {order}; use that order, or start without a cursor")
    id_, _, key = rest.partition(":")
    return (int(key) if sort == "updated" else key), id_


blueprint = Resource("workflows", "Flows and their versions")
EMPTY = '{"nodes":[],"edges":[]}'
MAX_KEY_LENGTH = 200
MAX_PINNED = 1_000
MAX_VERSION_NAME = 100
MAX_VERSION_NOTE = 2_000
UNCHANGED = LabelChange()
LARGE = 100_000  # characters of a definition that may take seconds to validate


class FlowChange(FlowBody):
    name = text(200)
    status = choice(WORKFLOW_STATUSES)
    version = fields.Integer(strict=True, validate=Range(1, 2**31), help="The version that the change is based on")


class VersionOut(Out):
    workflow_id = fields.String()
    version = fields.Integer()
    definition_json = fields.String()
    created_at = Time()
    created_by = fields.String(allow_none=True, optional=True)
    created_by_name = fields.String(allow_none=True, optional=True)
    name = fields.String(allow_none=True)
    note = fields.String(allow_none=True)


class VersionBriefOut(VersionOut):
    class Meta:
        exclude = ("definition_json",)


VERSION, VERSION_BRIEF = VersionOut(), VersionBriefOut()


class VersionItemOut(VersionOut):
    """A version of a list."""

    definition_json = fields.String(help="Omitted with `brief`", optional=True)
    node_count = fields.Integer(allow_none=True, help="With `summary`", optional=True)
    summary = fields.String(
        allow_none=True, help="With `summary`: changes since the previous version, if available", optional=True
    )


class VersionArgs(PageArgs):
    brief = fields.Boolean(load_default=False, help="Omit `definition_json`")
    summary = fields.Boolean(load_default=False, help="Include the changes")


class VersionNaming(Strict):
    """The name of a version and a note about it; null for none."""

    name = text(MAX_VERSION_NAME, allow_none=True)
    note = text(MAX_VERSION_NOTE, allow_none=True)


class RestoreIn(Strict):
    version = fields.Integer(required=True, strict=True, validate=Range(1, 2**31))


class OutlineOut(Out):
    branches = fields.List(fields.String(), help="The names of its branches, as configured")
    unnamed = fields.Boolean(help="True if it has an unnamed output")
    trigger = fields.Boolean()
    waits = fields.Boolean(help="True if a run may wait there")


class FlowCheckOut(CheckOut):
    nodes = fields.Dict(
        keys=fields.String(),
        values=fields.Nested(OutlineOut),
        help="Data to draw each node of a known type, by id, also for invalid definitions",
    )


class PinIn(Strict):
    """The output of a pinned node, which is not executed."""

    output = fields.Raw(required=True, allow_none=True, help="The output, any JSON")
    branch = text(200, load_default=None, help="The branch it takes; required for a node with branches")


def make_pins_field(help: str) -> Any:
    """Return a field with pinned nodes by id."""
    return NamedValues(
        keys=text(64),
        values=fields.Nested(PinIn),
        load_default=None,
        validate=Length(max=MAX_PINNED),
        metadata={"description": help},
    )


def parse_pins(given: dict[str, Any] | None) -> dict[str, Pin]:
    """Return the pins of such a field."""
    return {id_: Pin(**pin) for id_, pin in (given or {}).items()}


class StartIn(Strict):
    input = fields.Raw(load_default=None)
    definition = fields.Raw(
        load_default=None,
        metadata=DEFINITION,
        help="A WorkflowDefinition to run instead of the saved one, without saving it; editors only",
    )
    until = text(
        64,
        load_default=None,
        help="Id of a node: only it and its predecessors are executed, and its output is the run's",
    )
    only = text(64, load_default=None, help="Id of the only node that is executed; editors only")  # type: ignore[assignment]
    from_run = text(
        40, load_default=None, help="With `only`: an ended run of this flow, whose recorded outputs the node is given"
    )
    pinned = make_pins_field("Outputs by node id for nodes that are not executed; editors only")


@blueprint.get("/flows")
@require_role("viewer", only_database=True)
@blueprint.arguments(FlowArgs, location="query")
@blueprint.response(200, listed(FlowItemOut))
def list_flows(args: dict[str, Any]) -> Any:
    """List the flows of the workspace, each with its triggers, its last run and its next due time.

    Sorted by creation, newest first, or by `updated`, `last_run` or `name`. A cursor belongs to one order. `status` may
    be several, separated by commas. A page of long definitions may have fewer than `limit`.
    """
    items, cursor = load_page(get_workspace_id(), get_user().id, args)
    return dump(listed(FlowBriefOut if args["brief"] else FlowItemOut), {"items": items, "next_cursor": cursor})


@blueprint.post("/flows")
@require_role("editor")
@blueprint.arguments(FlowIn)
@blueprint.response(201, SavedOut)
def create(body: dict[str, Any]) -> Any:
    """Create a flow: as a draft, which may be incomplete, or active, which must be valid."""
    text = EMPTY if (given := read_definition(body)) is None else given
    values = {"workspace_id": get_workspace_id(), "name": body["name"], "status": body["status"]}
    with limit_checks(text):
        triggers = validate_text(text, body["status"])
        if body["refuse_copy"]:
            check_no_copies(values["workspace_id"], [text])
        with record_change("flow.created") as entry:
            flow = workflows.draft(get_user().id, triggers, definition_json=text, **values)
            labels = LabelChange.of(body).apply(flow.workspace_id, (flow.id,))
            entry.about(flow).note(status=flow.status, **labels.get(flow.id, {}))
        return warned(flow, get_server().credentials.find)


@blueprint.get("/workflows/<flow>")
@require_role("viewer", flow=Workflow, only_database=True)
@blueprint.response(200, FlowOut)
def read(flow: Workflow) -> Any:
    """Show a flow."""
    return flow


@blueprint.put("/workflows/<flow>")
@require_role("editor", flow=Workflow)
@blueprint.arguments(FlowChange)
@blueprint.response(200, SavedOut)
def change(body: dict[str, Any], flow: Workflow) -> Any:
    """Change the fields in the body. A changed definition is the next version; an old `version` is refused.

    A body with only `folder` or `tags` does not change `updated_at`.
    """
    labels = LabelChange.of(body)
    if body.keys() & {"folder", "tags"} and body.keys() <= {"folder", "tags", "version"}:
        if body.get("version") not in (None, flow.version):
            raise Conflict(STALE)
        labels.record(flow.workspace_id, [flow], partial(begin_entry, "flow.updated"))
        return warned(flow, get_server().credentials.find)
    text = read_definition(body)
    status, here = body.get("status", flow.status), flow.definition_json if text is None else text
    changes: dict[str, Any] = {name: body[name] for name in ("name", "status") if name in body}
    if text is not None:
        changes["definition_json"] = text
    with limit_checks(here):
        triggers = validate_text(here, status) if text is not None or status == "active" else None
        action = "updated"
        if flow.status != status and "active" in (flow.status, status):
            action = "activated" if status == "active" else "deactivated"
        _change(f"flow.{action}", flow, changes, triggers, body.get("version"), labels)
        return warned(flow, get_server().credentials.find)


@blueprint.delete("/workflows/<flow>")
@require_role("editor", flow=Workflow)
@blueprint.response(204)
def delete(flow: Workflow) -> None:
    """Delete a flow and its versions. Refused while an active flow or an agent calls it. Its runs stay."""
    check_uncalled(flow)
    remove("flow.deleted", flow, workflows.remove)


@blueprint.post("/workflows/<flow>/run")
@require_role("operator", flow=Startable)
@blueprint.arguments(StartArgs, location="query")
@blueprint.arguments(StartIn, required=False)
@blueprint.response(200, RunOut)
@blueprint.alt_response(202, schema=RunOut)
@blueprint.alt_response(422, schema=Error)
def run(args: dict[str, Any], body: dict[str, Any], flow: Startable) -> Any:
    """Run the flow. Waits up to `wait` seconds: 200 with the finished run, otherwise 202 with the unfinished run.

    With the header `Idempotency-Key`, the same key within 24 hours returns the first run and starts no other.

    An input that a trigger's `input_schema` refuses is a 422 with the errors and their places; no run is started.

    For test runs: `definition` runs an unsaved draft. Only the part of it that runs must be valid, and an unconnected
    part with errors that no trigger starts is left out. `until` executes only a node, its predecessors and the nodes
    that it names as `steps.<id>`. `pinned` gives outputs of nodes that are then not executed, nor are nodes that only
    they would need. A pinned node counts as executed, unless all its predecessors were executed and took another
    branch: then it is skipped. Omitted nodes have no steps.

    `only` executes one node, with the outputs that the run `from_run` recorded, and with `pinned` ones. The new run has
    the input of that run, unless one is given, and copies of its steps, except those of the node and the nodes after
    it. Missing data is a 409 whose details have the path `only` and name the nodes.

    `definition`, `pinned` and `only` need the role editor.
    """
    dispatcher = get_dispatcher()
    key = request.headers.get("Idempotency-Key")
    if key is not None:
        if not 0 < len(key) <= MAX_KEY_LENGTH:
            raise BadInput(f"Idempotency-Key: must have 1 to {MAX_KEY_LENGTH} characters")
        key = f"run:{key}"  # apart from keys of webhook calls, whose callers only need to know an address
    options = read_options(body, flow)
    source = _find_source(body, flow, key)
    told: dict[str, Any] = {}
    if options is not None and (options.definition is not None or options.pinned or options.only is not None):
        # A pinned approval was given by nobody.
        told = {"draft": options.definition is not None}
        told |= {"pinned": sorted(options.pinned)[:MAX_PINNED]} if options.pinned else {}
        told |= {"only": options.only} if options.only is not None else {}
    note = defer_start_entry(**told)
    # A caller who waits for a quick run lends it the request's thread.
    here = args["wait"] >= 1
    start = Start(flow, body["input"], "manual", None, key, options, note, is_awaited=args["wait"] > 0)
    is_one = options is not None and options.only is not None
    ticket = dispatcher.run_one_node(start, source) if is_one else dispatcher.submit(start, here)
    finished = dispatcher.waiting.wait_with_limit(ticket, args["wait"])
    return link_large_values(finished), 200 if finished.finished_at is not None else 202


@blueprint.get("/workflows/<flow>/versions")
@require_role("viewer", flow=Workflow)
@blueprint.arguments(VersionArgs, location="query")
@blueprint.response(200, listed(VersionItemOut))
def list_versions(args: dict[str, Any], flow: Workflow) -> Any:
    """List the versions of the flow, newest first; with `summary`, the changes since the previous one.

    A page of long definitions may have fewer than `limit` items.
    """
    rows, cursor = workflows.versions_of(flow, args["limit"], args["cursor"], args["brief"])
    shape = VERSION_BRIEF if args["brief"] else VERSION
    summaries = summarize_versions(rows) if args["summary"] else {}
    items = [{**shape.dump(row), **summaries.get(row.version, {})} for row in rows]
    return jsonify({"items": items, "next_cursor": Cursor.encode(cursor)})


@blueprint.get("/workflows/<flow>/versions/<int(max=999999999):number>")
@require_role("viewer", flow=Workflow)
@blueprint.response(200, VersionOut)
def get_version(flow: Workflow, number: int) -> Any:
    """Show a version."""
    return _find_version(flow, number)


@blueprint.patch("/workflows/<flow>/versions/<int(max=999999999):number>")
@require_role("editor", flow=Workflow)
@blueprint.arguments(VersionNaming)
@blueprint.response(200, VersionOut)
def name_version(body: dict[str, str | None], flow: Workflow, number: int) -> Any:
    """Set the name of a version, or the note about it. Its definition never changes."""
    version = _find_version(flow, number)
    before = {name: getattr(version, name) for name in body}
    with record_change("flow.version_named", flow) as entry:
        if body:
            workflows.describe_version(flow.id, number, **body)
        entry.note(version=number, **differences(before, body))
    return _find_version(flow, number)


@blueprint.post("/workflows/<flow>/restore")
@require_role("editor", flow=Workflow)
@blueprint.arguments(RestoreIn)
@blueprint.response(200, SavedOut)
def restore(body: dict[str, int], flow: Workflow) -> Any:
    """Restore the definition of an earlier version as the next version."""
    text = _find_version(flow, body["version"]).definition_json
    with limit_checks(text):
        triggers = validate_text(text, flow.status)
        _change("flow.restored", flow, {"definition_json": text}, triggers, restored=body["version"])
        return warned(flow, get_server().credentials.find)


@blueprint.post("/workflows/validate")
@require_role("viewer")
@blueprint.arguments(CheckIn)
@blueprint.response(200, FlowCheckOut)
def validate(body: dict[str, Any]) -> Any:
    """List the errors of a definition by node; a `warning` does not prevent activation. Nothing is saved.

    `nodes` has, by id, the branches of each node and other data to draw it, as far as it is readable.
    """
    definition, max_nodes = body["definition"], get_config().max_nodes
    read_definition(body)  # checks the size limit of saved definitions
    with CHECKS.taken(get_user().id):
        plan, issues = definitions.check(definition, max_nodes)
        sandbox = get_dispatcher().resources.services.sandbox()
        found = [
            *issues,
            *warnings_of(definition, get_workspace_id(), get_server().credentials.find),
            *find_code_issues(definition, sandbox),
        ]
        drawn = {id_: outline._asdict() for id_, outline in definitions.outline_nodes(definition, max_nodes).items()}
        return {"ok": plan is not None, "issues": [issue.as_dict() for issue in found], "nodes": drawn}


def _change(
    action: str,
    flow: Workflow,
    changes: dict[str, Any],
    triggers: list[Trigger] | None,
    expected: int | None = None,
    labels: LabelChange = UNCHANGED,
    **more: Any,
) -> None:
    """Change the flow and write an audit entry with the differences. Raises: Conflict if it has changed meanwhile."""
    before = {name: getattr(flow, name) for name in ("name", "status", "version")}
    text = changes.get("definition_json", flow.definition_json)
    # Before the transaction: it takes longer than that should.
    counts = definitions.count_differences(orjson.loads(flow.definition_json), orjson.loads(text))
    with record_change(action, flow) as entry:
        if not workflows.change(flow, get_user().id, expected, triggers, **changes):
            raise Conflict(STALE)
        labelled = labels.apply(flow.workspace_id, (flow.id,)).get(flow.id, {})
        entry.note(**differences(before, {name: getattr(flow, name) for name in before}), **counts, **labelled, **more)


def _find_version(flow: Workflow, number: int) -> WorkflowVersion:
    row = WorkflowVersion.get_or_none(workflow_id=flow.id, version=number)
    if row is None:
        raise NotFound(f"The flow has no version {number}")
    workflows.set_authors([row])
    found: WorkflowVersion = row
    return found


def read_definition(body: dict[str, Any]) -> str | None:
    """Return the definition in the body as JSON text, or None."""
    if "definition_json" in body and "definition" in body:
        raise BadInput("Give either definition_json or definition, not both")
    if "definition_json" in body:
        text = body["definition_json"]
    elif "definition" in body:
        check_depth(body["definition"], "definition")
        text = orjson.dumps(body["definition"]).decode()
    else:
        return None
    limit = get_config().max_definition_bytes
    if len(text.encode()) > limit:
        raise TooLarge(f"The definition has more than {limit} bytes; split the flow into subflows")
    return str(text)


def read_options(body: dict[str, Any], flow: Startable | Workflow) -> StartOptions | None:
    """Return the run options in the body, or None if there are none."""
    definition, until, only = body["definition"], body["until"], body["only"]
    pinned = parse_pins(body["pinned"])
    if definition is None and until is None and only is None and not pinned:
        return None
    if definition is not None or only is not None or pinned:
        check_role(flow.workspace_id, "editor")
    if until is not None and only is not None:
        raise BadInput("only: give either only or until", [Issue("only", "give either only or until")])
    text = None if definition is None else read_definition({"definition": definition})
    options = StartOptions(text, until, pinned, only)
    if text is not None:
        with limit_checks(text):
            # The part that is to be run, without what has a value already.
            part = get_dispatcher().resources.plan_with(options, flow)
            find_triggers(replace(part, nodes=tuple(node for node in part.nodes if node.pinned is None)))
    return options


def _find_source(body: dict[str, Any], flow: Startable, key: str | None) -> Run | None:
    """Return the run whose recorded outputs a run of one node is given, or None."""
    if body["from_run"] is None and (body["only"] is None or key is None):
        return None
    if body["only"] is None:
        raise BadInput("from_run: needs only", [Issue("from_run", "is only possible together with only")])
    if key is not None:
        raise BadInput("Idempotency-Key: a run of one node cannot have one; leave the header out")
    run = Run.find(body["from_run"])
    if run is None or run.workflow_id != flow.id or run.workspace_id != flow.workspace_id:
        raise NotFound(f"from_run: the flow has no run {body['from_run']!r}")
    if run.finished_at is None:
        raise Conflict("from_run: the run has not ended; wait for its end, or cancel it")
    return run


def limit_checks(text: str) -> AbstractContextManager[None]:
    """Return a context that limits concurrent validations of large definitions, which may take seconds."""
    return SAVES.taken(get_user().id) if len(text) > LARGE else nullcontext()


def validate_text(text: str, status: str) -> list[Trigger] | None:
    """Validate a definition: ids and edges of a draft; everything of an active flow, whose triggers are returned."""
    triggers = find_triggers_of(parse_json(text, "definition_json"), status, get_config().max_nodes)
    registered = [trigger for trigger in triggers or () if trigger.type == "registered_hook"]
    if registered and not get_config().public_url:
        node_id = registered[0].node_id
        raise DefinitionError([Issue(f"nodes ({node_id}).config.account", NO_ADDRESS, node_id)])
    return triggers
