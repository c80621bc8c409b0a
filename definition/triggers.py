"""Triggers of an active workflow: addresses of webhooks and forms, schedules and polls."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from constants import FORM_METHOD
from definition import Plan, PlannedNode
from nodes.core.triggers import CREDENTIAL_TYPES, EventTrigger
from registry import registry

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
