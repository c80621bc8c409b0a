"""Queries of registered hooks for their work: to claim rows that are due, and to note what was done.

database/queries/registered_hooks.py writes the rows, and says what their states mean.
"""

from __future__ import annotations

from typing import Any

from database import execute, fetch_value, write
from database.base import now_ms
from database.queries.leases import is_there, this_process
from models import RegisteredHook

CLAIM_MS = 60_000  # longer than the work may take
OTHER_CLAIMED = (
    "EXISTS (SELECT 1 FROM registered_hooks o WHERE o.id <> h.id AND o.path = h.path AND o.scope = h.scope "
    "AND o.claimed_until > ?)"
)


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
    # Release the claims of killed processes on this machine.
    claimed = execute("SELECT id, claimed_by FROM registered_hooks WHERE claimed_until > ?", (now,)).fetchall()
    for hook_id, process in claimed:
        if process is not None and is_there(process) is False:
            with write():
                sql = "UPDATE registered_hooks SET claimed_until = 0 WHERE id = ? AND claimed_by = ?"
                execute(sql, (hook_id, process))
    ids = [id_ for (id_,) in execute(due, (now, now, now, most)).fetchall()]
    return [row for id_ in ids if (row := _claim(id_, now)) is not None]


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


def forget(hook: RegisteredHook) -> bool:
    """Delete the row of a hook that a user removed by hand, even if it is claimed. Return False if it is needed."""
    with write():
        sql = "DELETE FROM registered_hooks WHERE id = ? AND state = 'removing'"
        return bool(execute(sql, (hook.id,)).rowcount)


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
