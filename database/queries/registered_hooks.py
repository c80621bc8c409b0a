"""Registered hooks: the webhooks that this server adds in services for app triggers, and removes again (an outbox).

A row is written in the transaction that activates, changes or deletes a flow, before any request to the service. Its
state `adding` becomes `added` once the service has the webhook. With `removing`, the row is deleted once the service
has no webhook with our address, or a user confirms that it was removed by hand. So after a crash at any point, rows
describe the remaining work. It can be repeated, because the webhooks of a service are found by our address.

The pack `connectors` does the work (packs/connectors/app_triggers/). What writes the rows stands here, so that webhooks
are removed when that pack is on again, if flows are changed while it is off.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import orjson

from database import execute, write
from database.base import insert, new_id, now_ms
from database.queries import credentials
from database.queries.locks import lock_names
from errors import DefinitionError, Issue
from models import RegisteredHook


def sync(flow: Any, wanted: Iterable[tuple[str, Mapping[str, Any]]]) -> None:
    """Set the flow's hooks to `(node id, {type, path, account, settings, events})`. Call it inside `write()`.

    Raises: DefinitionError for an account that does not exist or has a wrong type.
    """
    wanted = list(wanted)
    if wanted:
        lock_names("credentials", (flow.workspace_id,), shared=True)
    now = now_ms()
    missing = {node_id: _values(flow, node_id, config) for node_id, config in wanted}
    for row in RegisteredHook.each("workflow_id = ? AND state <> 'removing' ORDER BY id", (flow.id,)):
        expected = missing.get(row.node_id)
        if expected is not None and all(getattr(row, name) == value for name, value in expected.items()):
            del missing[row.node_id]
        else:
            sql = (
                "UPDATE registered_hooks SET state = 'removing', next_at = ?, attempts = 0, last_error = NULL, "
                "version = version + 1 WHERE id = ?"
            )
            execute(sql, (now, row.id))
    for node_id, values in missing.items():
        new = {
            "id": new_id(RegisteredHook.prefix), "workspace_id": flow.workspace_id, "workflow_id": flow.id,
            "node_id": node_id, **values, "url": None, "state": RegisteredHook.ADDING, "secret": None, "next_at": now,
            "claimed_until": 0, "claimed_by": None, "version": 1, "attempts": 0, "last_error": None,
            "created_at": now,
        }  # fmt: skip
        execute(*insert("registered_hooks", new))


def try_again(account_id: str) -> None:
    """Make failed work with this account due, because the account was changed."""
    with write():
        sql = "UPDATE registered_hooks SET next_at = ? WHERE account_id = ? AND last_error IS NOT NULL"
        execute(sql, (now_ms(), account_id))


def add_all_again() -> None:
    """Make all hooks due to be added again, because their secrets have changed. Call inside a transaction."""
    sql = "UPDATE registered_hooks SET state = 'adding', secret = NULL, next_at = 0 WHERE state = 'added'"
    execute(sql)
    execute("UPDATE registered_hooks SET secret = NULL")


def _values(flow: Any, node_id: str, config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the columns that depend on a node's config."""
    name, found = config["account"], credentials.named(flow.workspace_id, config["account"])
    if found is None:
        raise _refuse(node_id, f"there is no credential {name!r}")
    if found.type not in config["account_types"]:
        raise _refuse(node_id, f"{name!r} is of type {found.type}; it must be {' or '.join(config['account_types'])}")
    scope = {"type": config["type"], "account": str(found.id), **config["settings"]}
    return {
        "type": config["type"], "path": config["path"], "account_id": str(found.id),
        "scope": orjson.dumps(scope, option=orjson.OPT_SORT_KEYS).decode(),
        "events": orjson.dumps(config["events"]).decode(),
    }  # fmt: skip


def _refuse(node_id: str, message: str) -> DefinitionError:
    return DefinitionError([Issue(f"nodes ({node_id}).config.account", message, node_id)])
