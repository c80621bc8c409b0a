"""Folders, tags and favourites: how people find flows in a long list."""

from __future__ import annotations

from functools import partial
from typing import Any

from marshmallow import ValidationError
from marshmallow.validate import Length

import fields
from api.audit import begin_entry
from api.http.auth import get_user, get_workspace_id, require_role
from api.http.json_io import Resource
from api.http.paging import SliceArgs, listed, slice_of
from database.queries import workflows
from database.queries.workflows import LabelChange, Startable
from errors import BadInput, NotFound
from fields import FolderPath, Out, Strict, normalize_path, tag_list, text

blueprint = Resource("folders", "Folders, tags and favourites of flows")
MAX_LABELLED = 200  # flows of a request


class FolderOut(Out):
    path = fields.String()
    flows = fields.Integer(help="Flows in it and not in its subfolders, without archived ones")


class TagOut(Out):
    tag = fields.String()
    flows = fields.Integer(help="Flows that have it, without archived ones")


class FolderMove(Strict):
    folder = FolderPath(required=True)
    to = FolderPath(required=True, allow_none=True, help="The new path; null: its flows are then in no folder")


class LabelsIn(Strict):
    ids = fields.List(text(64), required=True, validate=Length(1, MAX_LABELLED), help="The flows to change")
    folder = FolderPath(allow_none=True, help="Move them to this folder; null: out of all folders")
    add_tags = tag_list(load_default=())
    remove_tags = tag_list(load_default=())


class ChangedOut(Out):
    changed = fields.Integer(help="The number of flows that have changed")


@blueprint.get("/folders")
@require_role("viewer", only_database=True)
@blueprint.arguments(SliceArgs, location="query")
@blueprint.response(200, listed(FolderOut))
def list_folders(args: dict[str, Any]) -> Any:
    """List the folders that contain flows, by path. A parent folder without flows of its own is not listed."""
    found = workflows.count_folders(get_workspace_id())
    return slice_of([{"path": name, "flows": flows} for name, flows in found], args)


@blueprint.get("/tags")
@require_role("viewer", only_database=True)
@blueprint.arguments(SliceArgs, location="query")
@blueprint.response(200, listed(TagOut))
def list_tags(args: dict[str, Any]) -> Any:
    """List the tags of flows in the workspace, sorted."""
    found = workflows.count_tags(get_workspace_id())
    return slice_of([{"tag": name, "flows": flows} for name, flows in found], args)


@blueprint.post("/folders/move")
@require_role("editor")
@blueprint.arguments(FolderMove)
@blueprint.response(200, ChangedOut)
def move(body: dict[str, Any]) -> Any:
    """Rename a folder or move it into another one, with its subfolders. If the new path exists, the two are merged.

    With null, or the path of its parent, the folder disappears, and its flows and subfolders move up. No flow changes.
    """
    workspace_id, before, after = get_workspace_id(), body["folder"], body["to"]
    new_paths = {path: _replace(path, before, after) for path in workflows.folders_within(workspace_id, before)}
    if not new_paths:
        raise NotFound(f"The workspace has no folder {before!r}")
    with begin_entry("folder.moved").target("folder", before, before).written() as entry:
        changed = workflows.rename_folder(workspace_id, before, new_paths) if before != after else 0
        entry.note(folder={"before": before, "after": after}, flows=changed)
    return {"changed": changed}


def _replace(path: str, before: str, after: str | None) -> str | None:
    """Return the path with this beginning replaced. Raises: BadInput if the result is too deep or too long."""
    rest = path[len(before) + 1 :]
    new = "/".join(part for part in (after, rest) if part)
    if not new:
        return None
    try:
        return normalize_path(new)
    except ValidationError as error:
        raise BadInput(f"to: the subfolder {path!r} would become {new!r}, which {error.messages[0]}") from None


@blueprint.post("/flows/labels")
@require_role("editor")
@blueprint.arguments(LabelsIn)
@blueprint.response(200, ChangedOut)
def label(body: dict[str, Any]) -> Any:
    """Move several flows to a folder, and add and remove tags: all of them, or none.

    Versions and `updated_at` of the flows stay as they are. A tag in both lists is added.
    """
    ids, workspace_id = tuple(dict.fromkeys(body["ids"])), get_workspace_id()
    added = tuple(dict.fromkeys(body["add_tags"]))
    removed = tuple(tag for tag in body["remove_tags"] if tag not in added)
    wanted = LabelChange("folder" in body, body.get("folder"), added, removed)
    found = {flow.id: flow for flow in workflows.of_ids(ids, brief=True) if flow.workspace_id == workspace_id}
    if missing := [id_ for id_ in ids if id_ not in found]:
        raise NotFound(f"ids: the workspace has no flow {missing[0]!r}")
    return {"changed": wanted.record(workspace_id, [found[id_] for id_ in ids], partial(begin_entry, "flow.updated"))}


@blueprint.put("/workflows/<flow>/favourite")
@require_role("viewer", flow=Startable)
@blueprint.response(204)
def mark(flow: Startable) -> None:
    """Mark the flow as one of your favourites. Other members do not see it."""
    workflows.set_favourite(get_user().id, flow.id, True)


@blueprint.delete("/workflows/<flow>/favourite")
@require_role("viewer", flow=Startable)
@blueprint.response(204)
def unmark(flow: Startable) -> None:
    """Remove the flow from your favourites."""
    workflows.set_favourite(get_user().id, flow.id, False)
