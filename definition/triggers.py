"""What an active flow wants from those who fire triggers: addresses of webhooks, times of schedules, what is polled."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from definition import Plan, PlannedNode
from errors import DefinitionError, Issue
from nodes.core.triggers import CREDENTIAL_TYPES

EVERY = 900.0  # seconds between two polls, where a node does not say
YEAR = 366 * 86_400
NOT_SOURCE = {"every", "backlog"}
IN_A_RUN = {"input", "steps", "trigger", "run", "item", "index"}


class Trigger(NamedTuple):
    """A trigger node: who fires it, its loaded config, and with it what only the plan or the node type knows."""

    node_id: str
    type: str
    config: Mapping[str, Any]


def triggers_of(plan: Plan) -> list[Trigger]:
    """The triggers of the plan that something outside the run fires; disabled ones want nothing.

    DefinitionError where one is polled by an expression that only a run could answer.
    """
    found = []
    for node in plan.nodes:
        if node.disabled:
            continue
        if node.node.polls:
            found.append(Trigger(node.id, "poll", _poll(node, plan)))
        elif node.type in KNOWN:
            found.append(Trigger(node.id, node.type, {**node.config.static, **KNOWN[node.type](node, plan)}))
    return found


def _poll(node: PlannedNode, plan: Plan) -> dict[str, Any]:
    """`{type, every, source}`; `source` stays the same as long as the config says the same about where to look.

    Expressions count as they are written, so that a secret may be renewed; `vars` count where one looks at them.
    """
    written = {**node.config.static, **{item.key: item.written for item in node.config.dynamic}}
    keys = node.node.source or sorted(written.keys() - NOT_SOURCE)
    roots: set[str] = set()
    for item in node.config.dynamic:
        if wrong := item.compiled.roots & IN_A_RUN:
            text = f"{min(wrong)} is known only within a run, and this is asked for before there is one"
            raise DefinitionError([Issue(f"nodes ({node.id}).config.{item.key}", text, node.id)])
        roots |= item.compiled.roots
    said = [node.type, {key: written.get(key) for key in keys}, plan.settings.vars if "vars" in roots else None]
    digest = hashlib.sha256(json.dumps(said, default=str, sort_keys=True).encode()).hexdigest()
    return {"type": node.type, "every": _every(node), "source": digest[:32]}


def _every(node: PlannedNode) -> float:
    every = node.config.static.get("every", EVERY)
    if isinstance(every, bool) or not isinstance(every, int | float) or not 1 <= every <= YEAR:
        text = "must be a number of seconds, from 1 to those of a year"
        raise DefinitionError([Issue(f"nodes ({node.id}).config.every", text, node.id)])
    return float(every)


# Node type to what is added to its config.
KNOWN: dict[str, Callable[[PlannedNode, Plan], dict[str, Any]]] = {
    "webhook": lambda node, plan: {"credential_types": CREDENTIAL_TYPES[node.config.static["auth"]]},
    "schedule": lambda node, plan: {"timezone": node.config.static.get("timezone") or plan.settings.timezone},
}
