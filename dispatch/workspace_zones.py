"""The time zone of a workspace, and the schedules that follow it."""

from __future__ import annotations

import orjson

from database.queries import schedules, workspaces
from database.queries.locks import lock_names
from errors import DefinitionError
from models import Workflow, Workspace

from .publishing import find_triggers_of


def change_zone(workspace: Workspace, zone: str, max_nodes: int) -> None:
    """Set the time zone of the workspace and of its active schedules without one. Call inside a transaction."""
    before = workspaces.zone_of(workspace)
    # Names are locked before rows (see locks.py); with the row of the workspace, no flow gets the former zone any more.
    lock_names("workflow", schedules.flows_with_zone(str(workspace.id), before))
    workspaces.set_zone(workspace, zone)
    if zone == before:
        return
    for id_ in schedules.flows_with_zone(str(workspace.id), before):
        flow = Workflow.find(id_)
        if flow is None or flow.status != "active":
            continue
        try:
            triggers = find_triggers_of(orjson.loads(flow.definition_json), flow.status, max_nodes) or []
        except DefinitionError:  # of a node type that this server no longer has: it gets the time zone when it is saved
            continue
        schedules.sync(flow, [(one.node_id, one.config) for one in triggers if one.type == "schedule"])
