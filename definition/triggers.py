"""Triggers of an active workflow: addresses of webhooks and forms, schedules and polls."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from constants import FORM_METHOD
from definition import Plan, PlannedNode
from errors import DefinitionError, Issue
from nodes.core.triggers import CREDENTIAL_TYPES, EventTrigger

DEFAULT_INTERVAL = 900.0  # seconds between polls
YEAR = 366 * 86_400
NO_ADDRESS = (
    "HEADRACE_PUBLIC_URL is not set, so the service cannot be told where to send events; set it to the address at "
    "which it reaches this server"
)
NOT_SOURCE = {"every", "backlog"}
IN_A_RUN = {"input", "steps", "trigger", "run", "item", "index"}


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
            found.append(Trigger(node.id, "poll", _poll(node, plan)))
        elif isinstance(node.node, EventTrigger):
            found += [Trigger(node.id, kind, config) for kind, config in node.node.list_triggers(node.config.static)]
        elif node.type in KNOWN:
            config = {**node.config.static, **KNOWN[node.type](node, plan)}
            found.append(Trigger(node.id, KINDS.get(node.type, node.type), config))
    return found


def _poll(node: PlannedNode, plan: Plan) -> dict[str, Any]:
    """Return `{type, every, source}`. `source` stays the same as long as the config points to the same place.

    Expressions count by their source text, so a secret can be rotated; `vars` count if an expression reads them.
    """
    written = {**node.config.static, **{item.key: item.written for item in node.config.dynamic}}
    keys = node.node.source or sorted(written.keys() - NOT_SOURCE)
    roots: set[str] = set()
    for item in node.config.dynamic:
        if wrong := item.compiled.roots & IN_A_RUN:
            text = f"{min(wrong)} is not available here: a trigger polls before there is a run"
            raise DefinitionError([Issue(f"nodes ({node.id}).config.{item.key}", text, node.id)])
        roots |= item.compiled.roots
    said = [node.type, {key: written.get(key) for key in keys}, plan.settings.vars if "vars" in roots else None]
    digest = hashlib.sha256(json.dumps(said, default=str, sort_keys=True).encode()).hexdigest()
    every = node.config.static.get("every", DEFAULT_INTERVAL)
    if isinstance(every, bool) or not isinstance(every, int | float) or not 1 <= every <= YEAR:
        text = f"must be a number of seconds from 1 to {YEAR} (a year)"
        raise DefinitionError([Issue(f"nodes ({node.id}).config.every", text, node.id)])
    return {"type": node.type, "every": float(every), "source": digest[:32]}


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
