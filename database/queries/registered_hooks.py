"""Registered hooks: the webhooks that this server adds in services for app triggers, and removes again (an outbox).

A row is written in the transaction that activates, changes or deletes a flow, before any request to the service. Its
state `adding` becomes `added` once the service has the webhook. With `removing`, the row is deleted once the service
has no webhook with our address, or a user confirms that it was removed by hand. So after a crash at any point, rows
describe the remaining work. It can be repeated, because the webhooks of a service are found by our address.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import orjson

from database import execute, fetch_value, write
from database.base import insert, new_id, now_ms
from database.queries import credentials
from database.queries.leases import is_there, this_process
from database.queries.locks import lock_names
from errors import DefinitionError, Issue
from models import RegisteredHook

CLAIM_MS = 60_000  # longer than the work may take
CHECK_MS = 86_400_000  # between two checks that the service still has the webhook
OTHER_CLAIMED = (
    "EXISTS (SELECT 1 FROM registered_hooks o WHERE o.id <> h.id AND o.path = h.path AND o.scope = h.scope "
    "AND o.claimed_until > ?)"
)


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
        if same(row, missing.get(row.node_id, {})):
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


def same(hook: RegisteredHook, values: Mapping[str, Any]) -> bool:
    """Return True if the hook has these values."""
    return {name: getattr(hook, name) for name in values} == values and bool(values)


def of_node(workflow_id: str, node_id: str) -> list[RegisteredHook]:
    """Return the hooks of a node, newest first: the service may still sign with the secret of an earlier one."""
    return list(RegisteredHook.each("workflow_id = ? AND node_id = ? ORDER BY id DESC LIMIT 5", (workflow_id, node_id)))


def claim_due(now: int, most: int) -> list[RegisteredHook]:
    """Claim rows with due work, except rows for a place in a service at which another row is claimed."""
    due = (
        "SELECT h.id FROM registered_hooks h WHERE h.next_at <= ? AND h.claimed_until <= ? "
        f"AND NOT {OTHER_CLAIMED} ORDER BY h.next_at, h.id LIMIT ?"
    )
    if fetch_value("SELECT MIN(next_at) FROM registered_hooks") is None:
        return []
    _free_abandoned(now)
    ids = [id_ for (id_,) in execute(due, (now, now, now, most)).fetchall()]
    return [row for id_ in ids if (row := _claim(id_, now)) is not None]


def _free_abandoned(now: int) -> None:
    """Release the claims of killed processes on this machine."""
    claimed = execute("SELECT id, claimed_by FROM registered_hooks WHERE claimed_until > ?", (now,)).fetchall()
    for id_, process in claimed:
        if process is not None and is_there(process) is False:
            with write():
                sql = "UPDATE registered_hooks SET claimed_until = 0 WHERE id = ? AND claimed_by = ?"
                execute(sql, (id_, process))


def _claim(id_: str, now: int) -> RegisteredHook | None:
    with write():
        sql = (
            "UPDATE registered_hooks AS h SET claimed_until = ?, claimed_by = ?, version = version + 1 "
            f"WHERE h.id = ? AND h.next_at <= ? AND h.claimed_until <= ? AND NOT {OTHER_CLAIMED}"
        )
        claimed = execute(sql, (now + CLAIM_MS, this_process(), id_, now, now, now)).rowcount
        return RegisteredHook.find(id_) if claimed else None


def hand_over(hook: RegisteredHook) -> bool:
    """Delete the row if another one wants a hook at this place of the service: adding that one replaces this one.

    The other row then has the address, so it can remove this hook even if it is never added. Return False if no
    other row wants the hook, or if this process has lost its claim.
    """
    sql = (
        "UPDATE registered_hooks SET url = COALESCE(url, ?) "
        "WHERE path = ? AND scope = ? AND state <> 'removing' AND id <> ?"
    )
    with write():
        return bool(execute(sql, (hook.url, hook.path, hook.scope, hook.id)).rowcount) and end(hook)


def check_others(hook: RegisteredHook) -> None:
    """Make a check of the hooks with this address due: the removed webhook may have been theirs."""
    with write():
        sql = "UPDATE registered_hooks SET next_at = ? WHERE url = ? AND state = 'added' AND id <> ?"
        execute(sql, (now_ms(), hook.url, hook.id))


def failing(workspace_id: str, most: int) -> list[RegisteredHook]:
    """Return the hooks whose last attempt failed, the newest first."""
    where = "workspace_id = ? AND last_error IS NOT NULL ORDER BY id DESC LIMIT ?"
    return list(RegisteredHook.each(where, (workspace_id, most)))


def try_again(account_id: str) -> None:
    """Make failed work with this account due, because the account was changed."""
    with write():
        sql = "UPDATE registered_hooks SET next_at = ? WHERE account_id = ? AND last_error IS NOT NULL"
        execute(sql, (now_ms(), account_id))


def forget(hook: RegisteredHook) -> bool:
    """Delete the row of a hook that a user removed by hand, even if it is claimed. Return False if it is needed."""
    with write():
        sql = "DELETE FROM registered_hooks WHERE id = ? AND state = 'removing'"
        return bool(execute(sql, (hook.id,)).rowcount)


def is_current(hook: RegisteredHook) -> bool:
    """Return True if the claim is still valid: neither a change of the flow nor another process has ended it."""
    return fetch_value("SELECT version FROM registered_hooks WHERE id = ?", (hook.id,)) == hook.version


def put(hook: RegisteredHook, **values: Any) -> bool:
    """Set these columns. Return False, without a change, if the claim is no longer valid."""
    names = ", ".join(f"{name} = ?" for name in values)
    with write():
        sql = f"UPDATE registered_hooks SET {names} WHERE id = ? AND version = ?"
        return bool(execute(sql, (*values.values(), hook.id, hook.version)).rowcount)


def give_back(hook: RegisteredHook) -> None:
    """Release a claim that became invalid by a change of the flow, so that the new work can begin."""
    with write():
        sql = "UPDATE registered_hooks SET claimed_until = 0 WHERE id = ? AND claimed_until = ?"
        execute(sql, (hook.id, hook.claimed_until))


def end(hook: RegisteredHook) -> bool:
    """Delete the row, if the claim is still valid."""
    with write():
        sql = "DELETE FROM registered_hooks WHERE id = ? AND version = ?"
        return bool(execute(sql, (hook.id, hook.version)).rowcount)


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
