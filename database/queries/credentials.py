"""Credentials of workspaces. Their values are encrypted; security/vault.py decrypts them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from database import execute, fetch_value, write
from database.base import Rows, now_ms
from database.queries.locks import lock_names
from errors import Conflict, NotFound
from models import Credential

USERS = (
    "SELECT f.name FROM webhooks w JOIN workflows f ON f.id = w.workflow_id WHERE w.credential_id = ? LIMIT 1",
    "SELECT f.name FROM registered_hooks h JOIN workflows f ON f.id = h.workflow_id "
    "WHERE h.account_id = ? AND h.state <> 'removing' LIMIT 1",
)
# A webhook that a service may still have.
REMOVALS = "SELECT url FROM registered_hooks WHERE account_id = ? AND state = 'removing' AND url IS NOT NULL LIMIT 1"


def keep(workspace_id: str, **values: Any) -> Credential:
    """Insert a new credential. Raises: Conflict if the name is taken."""
    now = now_ms()
    with write():
        lock_names("credentials", (workspace_id,))
        check_name(workspace_id, values["name"])
        return Credential.add(workspace_id=workspace_id, created_at=now, updated_at=now, **values)


def check_name(workspace_id: str, name: str) -> None:
    """Check that the name is free. Raises: Conflict if it is taken."""
    if Credential.one("workspace_id = ? AND name = ?", workspace_id, name) is not None:
        raise Conflict(f"name: a credential {name!r} exists already; choose another name")


def named(workspace_id: str, name: str) -> Credential | None:
    """Return the workspace's credential with this name or id, or None."""
    return Credential.one("workspace_id = ? AND name = ?", workspace_id, name) or Credential.one(
        "workspace_id = ? AND id = ?", workspace_id, name
    )


def names_of(workspace_id: str, type: str) -> list[str]:
    """Return the names of the workspace's credentials of a type; only two of several."""
    found = Credential.each("workspace_id = ? AND type = ? ORDER BY id LIMIT 2", (workspace_id, type), ("data",))
    return [row.name for row in found]


def of(workspace_id: str) -> Rows[Credential]:
    """Return the workspace's credentials."""
    return Rows(Credential, [("workspace_id = ?", workspace_id)])


def of_types(workspace_id: str, types: Sequence[str]) -> list[Credential]:
    """Return the workspace's credentials of these types."""
    marks = ", ".join("?" * len(types))
    return list(Credential.each(f"workspace_id = ? AND type IN ({marks}) ORDER BY id", (workspace_id, *types)))


def change(credential: Credential, **values: Any) -> None:
    """Set these columns.

    Raises: Conflict for a taken name, or to rename one that an active flow uses; NotFound if it was deleted.
    """
    with write():
        lock_names("credentials", (credential.workspace_id,))
        present = Credential.find(credential.id)
        if present is None:
            raise NotFound("The credential was deleted")
        name = values.get("name", present.name)
        if name != present.name:
            check_name(credential.workspace_id, name)
            check_unused(present, "renamed")
        for key, value in values.items():
            setattr(present, key, value)
        # Strictly increasing, since the vault's cache compares this time.
        present.updated_at = max(now_ms(), present.updated_at + 1)
        present.save()
    credential.__data__.update(present.__data__)


def remove(credential: Credential) -> bool:
    """Delete the row, and the tokens of its account. Return True if the row existed.

    Raises: Conflict if an active flow's webhook uses it.
    """
    with write():
        lock_names("credentials", (credential.workspace_id,))
        check_unused(credential, "deleted")
        if (waits := fetch_value(REMOVALS, (credential.id,))) is not None:
            raise Conflict(
                f"The webhook {waits} must still be removed from its service with this credential, which cannot be "
                "deleted until then. Wait, or remove the webhook by hand and confirm that on the Dashboard"
            )
        forget_account(credential.id)
        return bool(credential.delete_instance())


def forget_account(credential_id: str) -> bool:
    """Delete the tokens of a credential's account, and attempts to connect it. Return True if it had tokens."""
    with write():
        execute("DELETE FROM oauth_attempts WHERE credential_id = ?", (credential_id,))
        return bool(execute("DELETE FROM oauth_grants WHERE credential_id = ?", (credential_id,)).rowcount)


def check_unused(credential: Credential, done: str) -> None:
    """Check that no webhook of an active flow authenticates callers or is registered with it.

    Raises: Conflict if one is.
    """
    user = next((found for sql in USERS if (found := fetch_value(sql, (credential.id,))) is not None), None)
    if user is not None:
        raise Conflict(f"A webhook of the active flow {user!r} uses this credential; it cannot be {done}")
