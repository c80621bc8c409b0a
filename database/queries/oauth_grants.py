"""OAuth grants: the tokens that a service issued for a credential, and attempts to get one by a person's consent.

The tokens are encrypted; security/oauth_grants.py decrypts them. A refresh holds the lease of the row while it asks the
service, outside of a transaction. `version` increments with each change, so that a refresh that was overtaken, by
another one, a new consent or a change of the credential, changes nothing.
"""

from __future__ import annotations

import secrets
from collections.abc import Collection
from typing import Any

import orjson

from database import execute, lease_clock, write
from database.base import IN_LIST, encode_list, insert, now_ms
from database.queries.leases import is_there, this_process
from database.queries.users import hash_token
from models import OAuthAttempt, OAuthGrant

LEASE_MS = 60_000  # longer than a refresh may take
NO_LEASE = "lease_id = NULL, lease_process = NULL, lease_clock = NULL, lease_until = NULL"
OWN = "credential_id = ? AND lease_id = ?"


def of(credential_ids: Collection[str]) -> dict[str, OAuthGrant]:
    """Return the grants of these credentials by the credential's id."""
    found = OAuthGrant.each(f"credential_id {IN_LIST}", (encode_list(credential_ids),)) if credential_ids else ()
    return {row.credential_id: row for row in found}


def details_of(grant: OAuthGrant) -> dict[str, Any]:
    """Return the details as an object."""
    found: dict[str, Any] = orjson.loads(grant.details)
    return found


def put(credential_id: str, workspace_id: str, **values: Any) -> None:
    """Replace the grant after a new consent. A refresh in progress will then be discarded."""
    row = {"credential_id": credential_id, "workspace_id": workspace_id, "status": OAuthGrant.CONNECTED, **values}
    with write():
        found = execute("SELECT version FROM oauth_grants WHERE credential_id = ?", (credential_id,)).fetchone()
        execute("DELETE FROM oauth_grants WHERE credential_id = ?", (credential_id,))
        execute(*insert("oauth_grants", {**row, "version": found[0] + 1 if found else 1}))


def begin(credential_id: str, workspace_id: str) -> None:
    """Insert a grant without tokens, for a credential whose values contain its first refresh token."""
    sql = (
        "INSERT INTO oauth_grants (credential_id, workspace_id, status, details, version) "
        "VALUES (?, ?, ?, '{}', 0) ON CONFLICT (credential_id) DO NOTHING"
    )
    with write():
        execute(sql, (credential_id, workspace_id, OAuthGrant.CONNECTED))


def claim(grant: OAuthGrant, abandoned: str | None = None) -> str | None:
    """Take the lease to refresh this version. Return its id; None if another process has it, or has refreshed it.

    `abandoned` is a lease that this process failed to release.
    """
    clock, lease = lease_clock(), secrets.token_hex(8)
    # The lease of a killed process on this machine is free at once.
    if grant.lease_process is not None and is_there(grant.lease_process) is False:
        abandoned = grant.lease_id
    free = f"lease_id IS NULL OR lease_id = ? OR lease_clock <> ? OR lease_until <= {clock.sql}"
    sql = (
        f"UPDATE oauth_grants SET lease_id = ?, lease_process = ?, lease_clock = ?, lease_until = {clock.sql} "
        f"WHERE credential_id = ? AND version = ? AND ({free})"
    )
    held = (lease, this_process(), clock.identity(), clock.now() + LEASE_MS)
    with write():
        params = (*held, grant.credential_id, grant.version, abandoned or "", clock.identity())
        return lease if execute(sql, (*params, clock.now())).rowcount else None


def refresh(credential_id: str, lease: str, **values: Any) -> bool:
    """Store the result of a refresh and release the lease. Return False if the grant has changed meanwhile."""
    names = ", ".join(f"{name} = ?" for name in values)
    sql = f"UPDATE oauth_grants SET {names}, version = version + 1, {NO_LEASE} WHERE {OWN}"
    with write():
        return bool(execute(sql, (*values.values(), credential_id, lease)).rowcount)


def release(credential_id: str, lease: str) -> None:
    """Release the lease after a refresh without a result."""
    with write():
        execute(f"UPDATE oauth_grants SET {NO_LEASE} WHERE {OWN}", (credential_id, lease))


def drop(credential_id: str) -> bool:
    """Delete the grant of a credential, and attempts to connect it. Return True if it had a grant."""
    with write():
        execute("DELETE FROM oauth_attempts WHERE credential_id = ?", (credential_id,))
        return bool(execute("DELETE FROM oauth_grants WHERE credential_id = ?", (credential_id,)).rowcount)


def start_attempt(state: str, lifetime_ms: int, **values: Any) -> None:
    """Insert an attempt, which replaces others of the same session for the same credential."""
    row = {"id": hash_token(state), "expires_at": now_ms() + lifetime_ms, **values}
    replaced = "DELETE FROM oauth_attempts WHERE credential_id = ? AND session_id = ?"
    with write():
        execute(replaced, (row["credential_id"], row["session_id"]))
        execute(*insert("oauth_attempts", row))


def attempt_by_state(state: str) -> OAuthAttempt | None:
    """Return the attempt of this state, used or not, or None."""
    return OAuthAttempt.find(hash_token(state))


def use_attempt(attempt: OAuthAttempt) -> bool:
    """Take the attempt. Return False if it was used or has expired: of several answers, one succeeds."""
    now = now_ms()
    sql = "UPDATE oauth_attempts SET used_at = ? WHERE id = ? AND used_at IS NULL AND expires_at > ?"
    with write():
        return bool(execute(sql, (now, attempt.id, now)).rowcount)
