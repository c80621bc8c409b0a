"""What an active flow wants from those who fire triggers: the webhooks' addresses, the schedules' times."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from definition import Plan, PlannedNode
from nodes.triggers import CREDENTIAL_TYPES


class Trigger(NamedTuple):
    """A trigger node: its loaded config, and with it what only the plan or the node type knows."""

    node_id: str
    type: str
    config: Mapping[str, Any]


def triggers_of(plan: Plan) -> list[Trigger]:
    """The triggers of the plan that something outside the run fires; disabled ones want nothing."""
    found = [node for node in plan.nodes if node.type in KNOWN and not node.disabled]
    return [Trigger(node.id, node.type, {**node.config.static, **KNOWN[node.type](node, plan)}) for node in found]


def _webhook(node: PlannedNode, plan: Plan) -> dict[str, Any]:
    return {"credential_types": CREDENTIAL_TYPES[node.config.static["auth"]]}


def _schedule(node: PlannedNode, plan: Plan) -> dict[str, Any]:
    return {"timezone": node.config.static.get("timezone") or plan.settings.timezone}


# Node type to what is added to its config.
KNOWN: dict[str, Callable[[PlannedNode, Plan], dict[str, Any]]] = {"webhook": _webhook, "schedule": _schedule}
