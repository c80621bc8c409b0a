"""Webhook addresses: one row for each path and method, written with its flow.

Only active flows answer. An inactive one keeps its addresses: if another flow could take them, it would get calls that
were meant for the first.

Addresses are written in the transaction of the flow, so a change that wants a taken address is rolled back. Every call
reads its row, so all processes see a change immediately. The row has the credential's id: one query then returns all
data for a call, and deleting a credential finds the webhooks that use it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any, NamedTuple

import orjson
from peewee import CompositeKey, TextField

from database import execute, fetch_value, settings_commits
from database.changes import QueryCache
from errors import Conflict, DefinitionError, Issue, NotFound

from .base import Base, insert
from .credentials import Credential
from .locks import lock_names


class Webhook(Base):
    """`credential_id` authenticates callers, null for a public webhook."""

    path = TextField()
    method = TextField()
    workflow_id = TextField()
    node_id = TextField()
    workspace_id = TextField()
    credential_id = TextField(null=True)

    class Meta:
        primary_key = CompositeKey("path", "method")

    @classmethod
    def sync(cls, flow: Any, wanted: Iterable[tuple[str, Mapping[str, Any]]]) -> None:
        """Set the flow's rows to its webhooks: `(node id, loaded config)`. Call it inside `write()`.

        `config["credential_types"]` are the accepted types. Raises: Conflict for an address of another flow;
        DefinitionError for an address of two nodes, and for a credential that is missing or has a wrong type.
        """
        wanted = list(wanted)
        if wanted:
            lock_names("webhook", {config["path"] for _, config in wanted})
            lock_names("credentials", (flow.workspace_id,), shared=True)
        execute("DELETE FROM webhooks WHERE workflow_id = ?", (flow.id,))
        takers: dict[tuple[str, str], str] = {}
        for node_id, config in wanted:
            credential_id = _credential_id(flow.workspace_id, node_id, config)
            for method in dict.fromkeys(config["methods"]):
                address = (config["path"], method)
                _check_free(flow.workspace_id, node_id, address, takers)
                takers[address] = node_id
                row = {
                    "path": config["path"], "method": method, "workflow_id": flow.id, "node_id": node_id,
                    "workspace_id": flow.workspace_id, "credential_id": credential_id,
                }  # fmt: skip
                execute(*insert("webhooks", row))

    @classmethod
    def pause(cls, flow: Any) -> None:
        """Keep the addresses of an inactive flow that its definition still has. Call it inside `write()`.

        They lose their credential, so that a credential used only by inactive flows can be deleted.
        """
        for path, method in execute("SELECT path, method FROM webhooks WHERE workflow_id = ?", (flow.id,)).fetchall():
            if (path, method) in _addresses(flow.definition_json):
                execute("UPDATE webhooks SET credential_id = NULL WHERE path = ? AND method = ?", (path, method))
            else:
                execute("DELETE FROM webhooks WHERE path = ? AND method = ?", (path, method))

    @classmethod
    def methods_of(cls, path: str) -> list[str]:
        """Return the methods that this path accepts; none if no active flow has it."""
        sql = (
            "SELECT w.method FROM webhooks w JOIN workflows f ON f.id = w.workflow_id "
            "WHERE w.path = ? AND f.status = 'active' ORDER BY w.method"
        )
        return [method for (method,) in execute(sql, (path,))]


@lru_cache(1)
def _addresses(definition_json: str) -> set[tuple[str, str]]:
    """Return path and method of each enabled webhook. A draft may be any JSON: unreadable parts are ignored."""
    definition = orjson.loads(definition_json)
    nodes = definition.get("nodes") if isinstance(definition, dict) else None
    found = set()
    for node in nodes if isinstance(nodes, list) else []:
        if not isinstance(node, dict) or node.get("type") != "webhook" or node.get("disabled"):
            continue
        config = node.get("config")
        config = config if isinstance(config, dict) else {}
        path, methods = config.get("path"), config.get("methods", ["POST"])
        if isinstance(path, str) and isinstance(methods, list):
            found |= {(path.strip().strip("/"), str(method)) for method in methods}
    return found


def _credential_id(workspace_id: str, node_id: str, config: Mapping[str, Any]) -> str | None:
    """Return the id of the credential that the node names, by name or id."""
    types = config["credential_types"]
    if not types:
        return None
    name, found = config["credential"], Credential.named(workspace_id, config["credential"])
    if found is None:
        _refuse(node_id, "credential", f"there is no credential {name!r}")
    elif found.type not in types:
        _refuse(node_id, "credential", f"{name!r} is of type {found.type}; auth takes {' or '.join(types)}")
    else:
        return str(found.id)
    return None


def _check_free(
    workspace_id: str, node_id: str, address: tuple[str, str], takers: Mapping[tuple[str, str], str]
) -> None:
    path, method = address
    if address in takers:
        _refuse(node_id, "path", f"{method} {path} is the address of the node {takers[address]!r} too")
    sql = (
        "SELECT w.workspace_id, f.name FROM webhooks w LEFT JOIN workflows f ON f.id = w.workflow_id "
        "WHERE w.path = ? AND w.method = ?"
    )
    taken = execute(sql, address).fetchone()
    if taken is not None:
        whose = f"the flow {taken[1]!r}" if taken[0] == workspace_id else "a flow of another workspace"
        raise Conflict(f"Node {node_id!r}: the webhook address {method} {path} is taken by {whose}")


def _refuse(node_id: str, key: str, message: str) -> None:
    raise DefinitionError([Issue(f"nodes ({node_id}).config.{key}", message, node_id)])


class Fired(NamedTuple):
    """The flow of a called webhook, with the fields that a run needs. Its definition is read on demand."""

    id: str
    version: int
    name: str
    workspace_id: str
    status: str

    @property
    def definition_json(self) -> str:
        """Return the definition of this version, even if the flow has changed. Raises: NotFound if it was deleted."""
        sql = "SELECT definition_json FROM workflow_versions WHERE workflow_id = ? AND version = ?"
        found = fetch_value(sql, (self.id, self.version))
        if found is None:
            raise NotFound("There is no webhook at this address")
        return str(found)


class Hook(NamedTuple):
    """Data for a call of a webhook. `secret` is the credential's encrypted data, `secret_stamp` its last change."""

    node_id: str
    flow: Any
    credential_id: str | None
    secret_type: str | None
    secret_stamp: int | None
    secret: str | None

    @classmethod
    def at(cls, path: str, method: str) -> Hook | None:
        """Return the webhook at this address, cached (see database/changes.py); None if no active flow has it."""
        return _hooks.get((path, method), lambda: cls._read(path, method))

    @classmethod
    def _read(cls, path: str, method: str) -> Hook | None:
        found = execute(AT, (path, method)).fetchone()
        return None if found is None else cls(found[0], Fired(*found[1:6]), *found[6:])


_hooks: QueryCache[tuple[str, str], Hook] = QueryCache(settings_commits)


AT = """
SELECT w.node_id, f.id, f.version, f.name, f.workspace_id, f.status, w.credential_id, c.type, c.updated_at, c.data
FROM webhooks w JOIN workflows f ON f.id = w.workflow_id LEFT JOIN credentials c ON c.id = w.credential_id
WHERE w.path = ? AND w.method = ? AND f.status = 'active'
"""
