"""List of workflows for a page: each with its triggers, last run and next due time."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import orjson

import fields
from constants import RUN_STATUSES, WORKFLOW_STATUSES
from database.queries import drafts as draft_queries
from database.queries import workflow_labels, workflows
from database.queries.workflow_labels import labels_of
from database.queries.workflow_lists import (
    FlowFilters,
    LastRun,
    Listed,
    definitions_of,
    flow_page,
    last_runs,
    next_times,
    sizes_of,
    versions_of,
)
from database.queries.workflows import MAX_CHARACTERS
from errors import BadInput
from fields import Cursor, FolderPath, Json, OneOrMore, TagsArg, Time, choice, iso, text
from nodes import REGISTRY, catalogue
from schemas import FLOW_ID, RUN_ID, FlowOut, PageArgs

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
    node = REGISTRY.get(type_) if isinstance(type_, str) else None
    return node is not None and node.trigger


_outlines = Outlines()


def load_page(workspace_id: str, user_id: str, args: Mapping[str, Any]) -> tuple[list[dict[str, Any]], str | None]:
    """Return the flows for the arguments of GET /api/flows, as data, and the text of the next cursor."""
    ids = None if args["trigger"] is None else _find_with_trigger(workspace_id, args["trigger"])
    folders, favourite = _find_folders(workspace_id, args["folder"], args["subfolders"]), args["favourite"]
    filters = FlowFilters(
        workspace_id, args["status"], args["search"], args["failing"], ids, folders, args["tag"] or (),
        marked_by=user_id if favourite else None, not_marked_by=user_id if favourite is False else None,
    )  # fmt: skip
    listed, after = flow_page(filters, args["sort"], args["limit"], _parse_cursor(args["cursor"], args["sort"]))
    if not args["brief"]:
        listed, after = _limit_size(listed, after)
    return _show(workspace_id, user_id, listed, args["brief"]), _make_cursor(after, args["sort"])


def _limit_size(listed: list[Listed], after: tuple[Any, str] | None) -> tuple[list[Listed], tuple[Any, str] | None]:
    """Return the flows whose definitions fit into one response, at least one, and the key of the last one."""
    sizes, room = sizes_of([flow.id for flow in listed]), MAX_CHARACTERS
    for number, flow in enumerate(listed):
        room -= sizes.get(flow.id, 0)
        if room < 0 and number > 0:
            before = listed[number - 1]
            return listed[:number], (before.key, before.id)
    return listed, after


def _find_with_trigger(workspace_id: str, type_: str) -> list[str]:
    """Return the ids of the flows with an enabled trigger of this type."""
    if not _is_trigger(type_):
        known = sorted(entry["type"] for entry in catalogue() if entry["trigger"])
        raise BadInput(f"trigger: must be one of {', '.join(known)}")
    outlines = _outlines.of(versions_of(workspace_id))
    return [id_ for id_, outline in outlines.items() if any(trigger["type"] == type_ for trigger in outline.triggers)]


def _find_folders(workspace_id: str, folder: str | None, has_subfolders: bool) -> list[str] | None:
    """Return the folders that are meant; None for all flows, and an empty list for flows in no folder."""
    if folder is None:
        return None if has_subfolders else []
    return [folder, *workflow_labels.folders_within(workspace_id, folder)] if has_subfolders else [folder]


def _show(workspace_id: str, user_id: str, listed: Sequence[Listed], brief: bool) -> list[dict[str, Any]]:
    ids = [flow.id for flow in listed]
    outlines = _outlines.of((flow.id, flow.version) for flow in listed)
    runs, times = last_runs(workspace_id, ids), next_times(ids)
    rows = {flow.id: flow for flow in workflows.of_ids(ids, brief)}
    drafts, labels, marked = draft_queries.existing(ids), labels_of(ids), workflow_labels.favourites_of(user_id, ids)
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
    times = {
        name: None if at is None else iso(at)
        for name, at in (("started_at", run.started_at), ("finished_at", run.finished_at))
    }
    known = {"id": run.id, "status": run.status, "cancelled": bool(run.cancelled)}
    return {**known, **times, "error_text": run.error_text}


# Cursors: the id of the last flow of the previous page and, unless the order is by id, its sort key.


def _parse_cursor(cursor: str | None, sort: str) -> tuple[Any, str] | None:
    if cursor is None:
        return None
    order, _, rest = cursor.partition(":") if ":" in cursor else ("newest", "", cursor)
    if order != sort:
        raise BadInput(f"cursor: belongs to the order {order}; use that order, or start without a cursor")
    id_, _, key = rest.partition(":")
    return (int(key) if sort == "updated" else key), id_


def _make_cursor(after: tuple[Any, str] | None, sort: str) -> str | None:
    if after is None:
        return None
    key, id_ = after
    return id_ if sort == FLOW_SORTS[0] else f"{sort}:{id_}:{key}"
