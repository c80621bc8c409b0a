"""Publishing of drafts: a draft becomes the next version of its flow, at once or at a scheduled time.

An active flow has triggers: addresses of webhooks and forms, schedules and polls.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import orjson

import definition as definitions
from constants import FORM_METHOD, ROLES
from database import write
from database.queries import drafts, schedules, workflows, workspaces
from database.queries.audit import NewAuditEntry, differences
from database.queries.locks import lock_names
from definition import Plan, PlannedNode
from errors import Conflict, DefinitionError, Forbidden
from models import Draft, ScheduledPublish, User, Workflow, Workspace
from nodes.core.triggers import CREDENTIAL_TYPES, EventTrigger
from registry import registry

STALE = "The flow has changed since; read it again and repeat your change"
NO_ADDRESS = (
    "HEADRACE_PUBLIC_URL is not set, so the service cannot be told where to send events; set it to the address at "
    "which it reaches this server"
)


class Trigger(NamedTuple):
    """A trigger node: its kind, and its loaded config extended by data of the plan and the node type.

    The kind of a form is `webhook`, too: its address is a row of the same table.
    """

    node_id: str
    type: str
    config: Mapping[str, Any]


class Publication(NamedTuple):
    """A definition to publish. `triggers` are those of an active flow."""

    definition_json: str
    base_version: int
    draft_revision: int
    status: str
    triggers: list[Trigger] | None
    name: str | None = None
    note: str | None = None


def find_triggers(plan: Plan) -> list[Trigger]:
    """Return the enabled triggers of the plan that fire from outside a run.

    Raises: DefinitionError if the config of a polling trigger uses a value that exists only within a run.
    """
    found = []
    for node in plan.nodes:
        if node.disabled:
            continue
        if node.node.polls:
            found.append(Trigger(node.id, "poll", registry.polls.describe(node, plan)))
        elif isinstance(node.node, EventTrigger):
            found += [Trigger(node.id, kind, config) for kind, config in node.node.list_triggers(node.config.static)]
        elif node.type in KNOWN:
            config = {**node.config.static, **KNOWN[node.type](node, plan)}
            found.append(Trigger(node.id, KINDS.get(node.type, node.type), config))
    return found


# Node type to the function that adds to its config.
KNOWN: dict[str, Callable[[PlannedNode, Plan], dict[str, Any]]] = {
    "webhook": lambda node, plan: {"credential_types": CREDENTIAL_TYPES[node.config.static["auth"]]},
    "form": lambda node, plan: {
        "methods": [FORM_METHOD],
        "credential_types": ("http_basic",) if node.config.static["access"] == "password" else (),
    },
    "schedule": lambda node, plan: {"timezone": node.config.static.get("timezone") or plan.settings.timezone},
}
# Node type to the kind of its trigger, if they differ.
KINDS = {"form": "webhook"}


def find_triggers_of(definition: Any, status: str, max_nodes: int) -> list[Trigger] | None:
    """Validate a definition: ids and edges; everything if the flow is active, whose triggers are returned.

    Raises: DefinitionError.
    """
    if status == "active":
        return find_triggers(definitions.plan(definition, max_nodes))
    definitions.graph(definition, max_nodes)
    return None


def check_base(base_version: int, version: int) -> None:
    """Check that no version was saved since the draft began. Raises: Conflict if one was."""
    if base_version != version:
        raise Conflict(
            f"The draft is based on version {base_version}, but the flow has version {version} by now. Compare the "
            f"two; to publish the draft, save it again with base_version {version}"
        )


def save_draft(flow: Workflow, definition_json: str, base_version: int, revision: int, user_id: str) -> Draft:
    """Save the draft of a flow as its next revision and return it. An unchanged draft keeps its revision.

    A draft that equals the version on which it is based is cleared. Raises: Conflict unless `revision` is the present.
    """
    with write():
        draft = drafts.lock(flow.id)
        check_revision(draft, revision)
        present = Workflow.find(flow.id)
        if present is None:
            raise Conflict("The flow was deleted; save the definition as a new flow")
        if base_version > present.version:
            raise Conflict(f"The flow has no version {base_version}; its current version is {present.version}")
        is_same = base_version == present.version and is_alike(definition_json, present.definition_json)
        text, base = (None, None) if is_same else (definition_json, base_version)
        whole = drafts.of(flow.id)
        if (whole.definition_json, whole.base_version) != (text, base):
            drafts.put(whole, text, base, user_id)
    return whole


def check_revision(draft: Draft, revision: int | None) -> None:
    """Check that the draft is at this revision, unless that is None. Raises: Conflict if it is not."""
    if revision not in (None, draft.revision):
        raise Conflict(
            f"The draft has changed since: it has revision {draft.revision}, and your change is based on revision "
            f"{revision}. Read the draft again and repeat your change"
        )


def is_alike(text: str, other: str) -> bool:
    """Return True if two JSON texts have the same value."""
    return text == other or bool(orjson.loads(text) == orjson.loads(other))


def publish(entry: NewAuditEntry, flow: Workflow, made: Publication, user_id: str, is_scheduled: bool = False) -> None:
    """Create the next version of the flow, clear its draft and write the audit entry, in one transaction.

    If the draft has changed since the publish was scheduled, it is not cleared, but based on the new version.

    Raises: Conflict if the flow or the draft has changed.
    """
    before = {"status": flow.status, "version": flow.version}
    # Before the transaction, which should be short.
    counts = definitions.count_differences(orjson.loads(flow.definition_json), orjson.loads(made.definition_json))
    changes: dict[str, Any] = {"definition_json": made.definition_json, "status": made.status}
    with entry.about(flow).written():
        draft = drafts.lock(flow.id)
        if not is_scheduled:
            check_revision(draft, made.draft_revision)
        if not workflows.change(flow, user_id, made.base_version, made.triggers, **changes):
            raise Conflict(STALE)
        if made.name is not None or made.note is not None:
            workflows.describe_version(flow.id, flow.version, name=made.name, note=made.note)
        drafts.unschedule(flow.id)
        if not drafts.exists(draft):
            pass
        elif draft.revision == made.draft_revision:
            drafts.put(draft, None, None, user_id)
        else:
            drafts.rebase(flow.id, made.base_version, flow.version)
        named = {} if made.name is None else {"name": made.name}
        entry.note(**differences(before, {name: getattr(flow, name) for name in before}), **counts, **named)


def publish_scheduled(due: ScheduledPublish, max_nodes: int) -> bool:
    """Publish a due definition. Return False if it was published, cancelled or replaced since.

    Raises: DefinitionError, Conflict, Forbidden if it cannot be published.
    """
    flow = Workflow.find(due.workflow_id)
    if flow is None:
        return False
    check_base(due.base_version, flow.version)
    user = User.find(due.created_by)
    role = None if user is None else workspaces.role_of(due.created_by, flow.workspace_id)
    if user is None or role is None or ROLES.index(role) < ROLES.index("editor"):
        raise Forbidden("The person who scheduled it may no longer change flows of this workspace")
    triggers = find_triggers_of(orjson.loads(due.definition_json), flow.status, max_nodes)
    entry = NewAuditEntry("flow.published", flow.workspace_id, user_id=user.id, user_email=user.email)
    made = Publication(
        due.definition_json, due.base_version, due.draft_revision, flow.status, triggers, due.name, due.note
    )
    with write():
        drafts.lock(flow.id)
        present = Workflow.find(flow.id)
        if present is None or (present.status, present.version) != (flow.status, flow.version):
            return False  # the next attempt reads the flow again
        if not drafts.take_scheduled(due):
            return False
        publish(entry.note(scheduled=True), present, made, user.id, is_scheduled=True)
    return True


# The time zone of a workspace, and the schedules that follow it.


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
