"""Webhook addresses: one row for each path and method, written with its flow.

Only active flows answer. An inactive one keeps its addresses: if another flow could take them, it would get calls that
were meant for the first.

A form has a row with the method `FORM`, which no request has: so a webhook may have the same path. Everything else is
the same for both.

Addresses are written in the transaction of the flow, so a change that wants a taken address is rolled back. Every call
reads its row, so all processes see a change immediately. The row has the credential's id: one query then returns all
data for a call, and deleting a credential finds the webhooks that use it.

The row of a path with parameters has its shape (see webhook_paths.py). A call whose path has a row of its own is found
by one query; for other calls, a table of all shapes is kept in memory until any process changes a setting.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import orjson

from constants import ANY_METHOD, FORM_METHOD, WEBHOOK_METHODS
from database import execute, fetch_value, settings_commits, write
from database.base import insert, new_id, now_ms
from database.queries import credentials
from database.queries.locks import lock_names
from database.shared import QueryCache
from errors import Conflict, DefinitionError, Issue, NotFound
from models import WebhookListener

PARAM = ":"
MAX_CALLED = 4_096  # characters of a called path that are compared; a request line is not longer


def shape_of(path: str) -> str:
    """Return the path without the names of its parameters."""
    if PARAM not in path:
        return path
    return "/".join(PARAM if part.startswith(PARAM) else part for part in path.split("/"))


def read_params(path: str, called: Sequence[str]) -> dict[str, str]:
    """Return the parameters of a call by name: those of `orders/:id` for the parts of a path that matches it."""
    pairs = zip(path.split("/"), called, strict=False)
    return {name[1:]: value for name, value in pairs if name.startswith(PARAM)}


def is_match(shape: str, called: Sequence[str]) -> bool:
    """Return True if a call with these parts of its path belongs to the shape. A parameter is never empty."""
    parts = shape.split("/")
    return len(parts) == len(called) and all(
        part == value or (part == PARAM and value != "") for part, value in zip(parts, called, strict=True)
    )


def do_overlap(shape: str, other: str) -> bool:
    """Return True if a called path could belong to both shapes."""
    parts, others = shape.split("/"), other.split("/")
    return len(parts) == len(others) and all(
        part == another or PARAM in (part, another) for part, another in zip(parts, others, strict=True)
    )


class Patterns:
    """The shapes with parameters, indexed by their first part, which is always fixed, and by their number of parts."""

    def __init__(self, shapes: Iterable[str]) -> None:
        found: dict[tuple[str, int], list[str]] = {}
        for shape in sorted(shapes, key=lambda shape: ([part == PARAM for part in shape.split("/")], shape)):
            parts = shape.split("/")
            found.setdefault((parts[0], len(parts)), []).append(shape)
        self._shapes: Mapping[tuple[str, int], list[str]] = found

    def find(self, called: Sequence[str]) -> list[str]:
        """Return the shapes that match these parts of a path. A fixed part takes precedence over a parameter."""
        if not self._shapes or sum(map(len, called)) > MAX_CALLED:
            return []
        key = called[0], len(called)
        return [shape for shape in self._shapes.get(key, ()) if is_match(shape, called)]


TRIGGER_SUFFIX = "_trigger"
MAX_PATTERNS = 100  # paths with parameters in a workspace
HAS_PARAM = f"replace(path, '{PARAM}', '') <> path"  # the expression of an index
# A flow that adds such a path must see all others, and no other flow may add one meanwhile.
ALL_PATTERNS = "patterns"


def sync(flow: Any, wanted: Iterable[tuple[str, Mapping[str, Any]]]) -> None:
    """Set the flow's rows to its webhooks: `(node id, loaded config)`. Call it inside `write()`.

    `config["credential_types"]` are the accepted types. Raises: Conflict for an address of another flow;
    DefinitionError for an address of two nodes, and for a credential that is missing or has a wrong type.
    """
    wanted = list(wanted)
    shapes = {shape_of(config["path"]) for _, config in wanted}
    if wanted:
        lock_names("patterns", (ALL_PATTERNS,), shared=not any(PARAM in shape for shape in shapes))
        lock_names("webhook", shapes)
        lock_names("credentials", (flow.workspace_id,), shared=True)
    execute("DELETE FROM webhooks WHERE workflow_id = ?", (flow.id,))
    takers: dict[tuple[str, str], str] = {}
    for node_id, config in wanted:
        credential_id = _credential_id(flow.workspace_id, node_id, config)
        if FORM_METHOD not in config["methods"]:
            _check_patterns(flow.workspace_id, node_id, config["path"])
        for method in expand_methods(config["methods"]):
            address = (shape_of(config["path"]), method)
            _check_free(flow.workspace_id, node_id, address, config["path"], takers)
            takers[address] = node_id
            row = {
                "path": address[0], "method": method, "workflow_id": flow.id, "node_id": node_id,
                "workspace_id": flow.workspace_id, "credential_id": credential_id,
            }  # fmt: skip
            execute(*insert("webhooks", row))


def pause(flow: Any) -> None:
    """Keep the addresses of an inactive flow that its definition still has. Call it inside `write()`.

    They lose their credential, so that a credential used only by inactive flows can be deleted.
    """
    for path, method in execute("SELECT path, method FROM webhooks WHERE workflow_id = ?", (flow.id,)).fetchall():
        if (path, method) in _addresses(flow.definition_json):
            execute("UPDATE webhooks SET credential_id = NULL WHERE path = ? AND method = ?", (path, method))
        else:
            execute("DELETE FROM webhooks WHERE path = ? AND method = ?", (path, method))


def methods_of(path: str, parts: Sequence[str]) -> list[str]:
    """Return the methods that a call of this path, with these parts, may have; none if no active flow has it."""
    sql = (
        "SELECT w.method FROM webhooks w JOIN workflows f ON f.id = w.workflow_id "
        "WHERE w.path = ? AND f.status = 'active' AND w.method <> ?"
    )
    shapes = [path, *_get_patterns().find(parts)]
    return sorted({method for shape in shapes for (method,) in execute(sql, (shape, FORM_METHOD))})


def expand_methods(methods: Iterable[str]) -> tuple[str, ...]:
    """Return the methods of a webhook, each once: `ANY` stands for all."""
    found = tuple(dict.fromkeys(methods))
    return WEBHOOK_METHODS if ANY_METHOD in found else found


@lru_cache(1)
def _addresses(definition_json: str) -> set[tuple[str, str]]:
    """Return path and method of each enabled webhook and form. A draft may be any JSON: it ignores unreadable parts."""
    definition = orjson.loads(definition_json)
    nodes = definition.get("nodes") if isinstance(definition, dict) else None
    found = set()
    for node in nodes if isinstance(nodes, list) else []:
        if not isinstance(node, dict) or node.get("disabled"):
            continue
        type_, config = node.get("type"), node.get("config")
        config = config if isinstance(config, dict) else {}
        path, methods = config.get("path"), config.get("methods", ["POST"])
        if type_ == "form":
            methods = [FORM_METHOD]
        elif type_ != "webhook":
            # An app trigger has the methods of its service.
            methods = [ANY_METHOD] if isinstance(type_, str) and type_.endswith(TRIGGER_SUFFIX) else []
        if isinstance(path, str) and isinstance(methods, list):
            shape = shape_of(path.strip().strip("/"))
            found |= {(shape, method) for method in expand_methods(map(str, methods))}
    return found


def _credential_id(workspace_id: str, node_id: str, config: Mapping[str, Any]) -> str | None:
    """Return the id of the credential that the node names, by name or id."""
    types = config["credential_types"]
    if not types:
        return None
    name, found = config["credential"], credentials.named(workspace_id, config["credential"])
    if found is None:
        _refuse(node_id, "credential", f"there is no credential {name!r}")
    elif found.type not in types:
        _refuse(node_id, "credential", f"{name!r} is of type {found.type}; auth takes {' or '.join(types)}")
    else:
        return str(found.id)
    return None


def _check_patterns(workspace_id: str, node_id: str, path: str) -> None:
    """Check that the path takes no calls of another workspace's flows, and that a path with parameters has room.

    Within a workspace, paths may overlap: a fixed part takes precedence over a parameter.
    """
    shape = shape_of(path)
    if PARAM in shape:
        # Its first part is fixed: only paths that begin with it can overlap.
        begin = shape[: shape.index("/") + 1]
        sql = "SELECT DISTINCT path, workspace_id FROM webhooks WHERE path LIKE ? ESCAPE '\\'"
        params: tuple[Any, ...] = (begin.replace("_", "\\_") + "%",)
        count = "SELECT COUNT(DISTINCT path) FROM webhooks WHERE workspace_id = ? AND path <> ? AND " + HAS_PARAM
        if fetch_value(count, (workspace_id, shape)) >= MAX_PATTERNS:
            _refuse(
                node_id, "path", f"the workspace has {MAX_PATTERNS} paths with parameters already; it may not have more"
            )
    else:
        sql, params = f"SELECT DISTINCT path, workspace_id FROM webhooks WHERE {HAS_PARAM}", ()
    # An equal shape is found by `_check_free`, for the methods that both have.
    others = [other for other, owner in execute(sql, params).fetchall() if owner != workspace_id and other != shape]
    if any(do_overlap(shape, other) for other in others):
        raise Conflict(f"Node {node_id!r}: the webhook address {path} overlaps one of a flow of another workspace")


def _check_free(
    workspace_id: str, node_id: str, address: tuple[str, str], path: str, takers: Mapping[tuple[str, str], str]
) -> None:
    """Check that no other node and no other flow has the address, which is a shape and a method."""
    method = address[1]
    name = f"/forms/{path}" if method == FORM_METHOD else f"{method} {path}"
    if address in takers:
        _refuse(node_id, "path", f"{name} is the address of the node {takers[address]!r} too")
    sql = (
        "SELECT w.workspace_id, f.name FROM webhooks w LEFT JOIN workflows f ON f.id = w.workflow_id "
        "WHERE w.path = ? AND w.method = ?"
    )
    taken = execute(sql, address).fetchone()
    if taken is not None:
        whose = f"the flow {taken[1]!r}" if taken[0] == workspace_id else "a flow of another workspace"
        raise Conflict(f"Node {node_id!r}: the address {name} is taken by {whose}")


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


class WebhookTarget(NamedTuple):
    """Data for a call of a webhook. `secret` is the credential's encrypted data, `secret_stamp` its last change."""

    node_id: str
    flow: Any
    credential_id: str | None
    secret_type: str | None
    secret_stamp: int | None
    secret: str | None

    @classmethod
    def at(cls, path: str, method: str) -> WebhookTarget | None:
        """Return the webhook at this address, cached (see database/shared.py); None if no active flow has it."""

        def read() -> WebhookTarget | None:
            found = execute(AT, (path, method)).fetchone()
            return None if found is None else cls(found[0], Fired(*found[1:6]), *found[6:])

        return _hooks.get((path, method), read)

    @classmethod
    def of_pattern(cls, parts: Sequence[str], method: str) -> WebhookTarget | None:
        """Return the webhook whose path with parameters matches these parts; None if no active flow has one."""
        found = (cls.at(shape, method) for shape in _get_patterns().find(parts))
        return next(filter(None, found), None)


_hooks: QueryCache[tuple[str, str], WebhookTarget] = QueryCache(settings_commits)
_patterns: QueryCache[str, Patterns] = QueryCache(settings_commits)


def _get_patterns() -> Patterns:
    """Return the shapes of all paths with parameters."""

    def read() -> Patterns:
        return Patterns(path for (path,) in execute(f"SELECT DISTINCT path FROM webhooks WHERE {HAS_PARAM}"))

    found = _patterns.get(ALL_PATTERNS, read)
    assert found is not None
    return found


AT = """
SELECT w.node_id, f.id, f.version, f.name, f.workspace_id, f.status, w.credential_id, c.type, c.updated_at, c.data
FROM webhooks w JOIN workflows f ON f.id = w.workflow_id LEFT JOIN credentials c ON c.id = w.credential_id
WHERE w.path = ? AND w.method = ? AND f.status = 'active'
"""


LISTENER_KEPT_MS = 86_400_000  # after its deadline a listener has no use; the next one deletes it then


def begin_listening(flow: Any, user_id: str, options: str, seconds: int) -> WebhookListener:
    """Replace the flow's listener. Raises: Conflict if another user is listening."""
    now = now_ms()
    row = {
        "workflow_id": flow.id, "id": new_id(WebhookListener.prefix), "workspace_id": flow.workspace_id,
        "user_id": user_id, "until": now + seconds * 1000, "options": options,
    }  # fmt: skip
    with write():
        lock_names("listener", (flow.id,))
        present = WebhookListener.find(flow.id)
        if present is not None and present.user_id != user_id and is_listening(present):
            raise Conflict("Another member is listening for a test call of this flow; try again in two minutes")
        execute("DELETE FROM webhook_listeners WHERE workflow_id = ? OR until < ?", (flow.id, now - LISTENER_KEPT_MS))
        execute(*insert("webhook_listeners", row))
    return WebhookListener.fresh({**row, "called_at": None, "run_id": None})


def listener_state(listener: WebhookListener) -> str:
    """Return `listening`, `called` or `expired`."""
    if listener.called_at is not None:
        return "called"
    return "listening" if listener.until > now_ms() else "expired"


def is_listening(listener: WebhookListener) -> bool:
    """Return True if it can still take a call."""
    return listener_state(listener) == "listening"


def claim_listener(listener: WebhookListener) -> bool:
    """Take the listener for a call. Return True if no other call has it, in any process."""
    now = now_ms()
    sql = "UPDATE webhook_listeners SET called_at = ? WHERE id = ? AND called_at IS NULL AND until > ?"
    with write():
        return bool(execute(sql, (now, listener.id, now)).rowcount)


def settle_listener(listener: WebhookListener, run_id: str | None) -> None:
    """Note the run of the call; or, if it started none, let the listener take another call."""
    sql = "UPDATE webhook_listeners SET run_id = ?, called_at = ? WHERE id = ?"
    with write():
        execute(sql, (run_id, None if run_id is None else now_ms(), listener.id))


def stop_listening(workflow_id: str) -> None:
    """Delete the flow's listener, if any."""
    execute("DELETE FROM webhook_listeners WHERE workflow_id = ?", (workflow_id,))
