"""Grants of credentials in the database: their encrypted tokens, the lease of a refresh, and revocation.

A refresh (`tokens.get_token`) holds the lease of the row while it asks the service, outside of a transaction. `version`
increments with each change, so that a refresh that was overtaken, by another one, a new consent or a change of the
credential, changes nothing. When a service revokes a grant, the workspace's log says so once, with the flows that need
the account.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import orjson

import models
from database import DatabaseFailed, LockTimeout, execute, lease_clock, write
from database.base import IN_LIST, Write, encode_list, insert, now_ms
from database.queries import logs
from database.queries.leases import is_there, this_process
from database.queries.users import hash_token
from errors import DatabaseLost, NodeError, VaultError
from models import OAuthAttempt, OAuthGrant
from packs.oauth.token_requests import Issued, make_times
from packs.oauth.tokens import Grant
from security.vault import GRANTS, Vault

log = logging.getLogger("headrace.credentials")
LEASE_MS = 60_000  # longer than a refresh may take
NO_LEASE = "lease_id = NULL, lease_process = NULL, lease_clock = NULL, lease_until = NULL"
OWN = "credential_id = ? AND lease_id = ?"
MAX_REASON = 500
MAX_NAMED = 10  # flows in a log entry
MAX_UNSAVED = 200

# Tokens that a service issued and this process could not store, by credential and version: the service may accept the
# old ones no longer.
_unsaved: dict[tuple[str, int], Issued] = {}
# The last lease of a credential that this process could not give up.
_abandoned: dict[str, str] = {}


class DatabaseGrants:
    """The grant of one credential in the database: a `GrantStore`."""

    def __init__(
        self, vault: Vault, row: models.Credential, first_token: str, find_users: Callable[[], Sequence[Any]]
    ) -> None:
        """`first_token` is the refresh token in the values of the credential, if it brings one along.

        `find_users` returns the flows and agents that use the credential (`UsedBy`).
        """
        self.vault, self.first_token, self.find_users = vault, first_token, find_users
        self.id, self.workspace_id, self.name = row.id, row.workspace_id, row.name

    def read(self) -> Grant | None:
        row = OAuthGrant.find(self.id)
        if row is None and self.first_token:
            with _storing():
                insert_empty(self.id, self.workspace_id)
            row = OAuthGrant.find(self.id)
        return None if row is None else self.open(row)

    def open(self, row: OAuthGrant) -> Grant:
        """Return the grant of a row. Raises: NodeError if the server's key does not fit."""
        tokens: Mapping[str, str] = {}
        if row.tokens is not None:
            try:
                tokens = self.vault.unseal(f"grant {row.credential_id}", row.version, row.tokens, GRANTS)
            except VaultError as error:
                text = f"the account of the credential {self.name!r} cannot be read: {error}"
                raise NodeError(text, True, kind="credential") from None
        return Grant(
            version=row.version,
            status=row.status,
            access_token=tokens.get("access_token", ""),
            refresh_token=tokens.get("refresh_token") or self.first_token,
            obtained_at=row.obtained_at,
            refresh_at=row.refresh_at,
            expires_at=row.expires_at,
            refreshed_at=row.refreshed_at,
            reason=row.reason,
        )

    def claim(self, grant: Grant) -> str | None:
        row = OAuthGrant.find(self.id)
        if row is None or row.version != grant.version:
            return None
        with _storing():
            return take_lease(row, _abandoned.get(self.id))

    def unsaved(self, grant: Grant) -> Issued | None:
        return _unsaved.get((self.id, grant.version))

    def keep(self, lease: str, grant: Grant, issued: Issued, now: int) -> bool:
        key = (self.id, grant.version)
        if len(_unsaved) >= MAX_UNSAVED:
            _unsaved.clear()
        _unsaved[key] = issued
        is_renewable = issued.renew_after is None
        values = seal_tokens(self.vault, issued, grant.refresh_token if is_renewable else "")
        values |= make_times(issued, now, is_renewable)
        with _storing():
            is_kept = store_refresh(
                self.id, lease, **values, status=OAuthGrant.CONNECTED, reason=None, refreshed_at=now
            )
        _unsaved.pop(key, None)
        _abandoned.pop(self.id, None)
        return is_kept

    def release(self, lease: str) -> None:
        try:
            give_up_lease(self.id, lease)
        except (DatabaseFailed, DatabaseLost, LockTimeout):
            _abandoned[self.id] = lease

    def mark(self, lease: str, status: str, reason: str) -> None:
        row = OAuthGrant.find(self.id)
        if row is None:
            return
        reason = reason[:MAX_REASON]
        is_revoked, is_news = status == OAuthGrant.REVOKED, row.status != status
        values: dict[str, Any] = {"status": status, "reason": reason}
        if is_revoked:
            values |= {"tokens": None, "expires_at": None, "refresh_at": None}
        told = self._make_entry(is_revoked, reason) if is_news else None
        with _storing(), write():
            if store_refresh(self.id, lease, **values) and told is not None:
                execute(*told)
        if is_news:
            log.warning("the credential %s of %s: %s: %s", self.id, self.workspace_id, status, reason)

    def _make_entry(self, is_revoked: bool, reason: str) -> Write:
        """Return the write of the log entry about a refusal, with the flows that use the credential."""
        users = self.find_users()
        flows = [user for user in users if user.type == "flow"]
        named = ", ".join(repr(user.name) for user in users[:MAX_NAMED])
        more = f" and {len(users) - MAX_NAMED} more" if len(users) > MAX_NAMED else ""
        used = f". It is used by {named}{more}" if users else ""
        if is_revoked:
            text = f"The credential {self.name!r} is not connected any more: {reason}. Connect it again{used}"
        else:
            text = f"The account of the credential {self.name!r} cannot be refreshed: {reason}{used}"
        data = {"credential_id": self.id, "workflow_ids": [user.id for user in flows[:MAX_NAMED]]}
        return logs.entry(self.workspace_id, None, None, "error", text, orjson.dumps(data).decode())


@contextmanager
def _storing() -> Iterator[None]:
    """Turn errors of the database into those of nodes, which may try again."""
    try:
        yield
    except DatabaseLost:  # the run is continued later
        raise
    except (DatabaseFailed, LockTimeout) as error:
        raise NodeError(f"the tokens of the account could not be stored: {error}", kind="storage") from None


def seal_tokens(vault: Vault, issued: Issued, refresh_token: str = "") -> dict[str, Any]:
    """Return the columns `tokens`, and `scope` and `details` if the answer has them.

    `refresh_token` is the present one, which stays if the answer has no new one (RFC 6749, section 6).
    """
    tokens = {"access_token": issued.access_token, "refresh_token": issued.refresh_token or refresh_token}
    values: dict[str, Any] = {"tokens": vault.seal(tokens, GRANTS)}
    if issued.scope:
        values["scope"] = issued.scope
    if issued.details:
        values["details"] = orjson.dumps(dict(issued.details)).decode()
    return values


# Rows of grants


def list_grants(credential_ids: Collection[str]) -> dict[str, OAuthGrant]:
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


def insert_empty(credential_id: str, workspace_id: str) -> None:
    """Insert a grant without tokens, for a credential whose values contain its first refresh token."""
    sql = (
        "INSERT INTO oauth_grants (credential_id, workspace_id, status, details, version) "
        "VALUES (?, ?, ?, '{}', 0) ON CONFLICT (credential_id) DO NOTHING"
    )
    with write():
        execute(sql, (credential_id, workspace_id, OAuthGrant.CONNECTED))


def take_lease(grant: OAuthGrant, abandoned: str | None = None) -> str | None:
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


def store_refresh(credential_id: str, lease: str, **values: Any) -> bool:
    """Store the result of a refresh and release the lease. Return False if the grant has changed meanwhile."""
    names = ", ".join(f"{name} = ?" for name in values)
    sql = f"UPDATE oauth_grants SET {names}, version = version + 1, {NO_LEASE} WHERE {OWN}"
    with write():
        return bool(execute(sql, (*values.values(), credential_id, lease)).rowcount)


def give_up_lease(credential_id: str, lease: str) -> None:
    """Release the lease after a refresh without a result."""
    with write():
        execute(f"UPDATE oauth_grants SET {NO_LEASE} WHERE {OWN}", (credential_id, lease))


# Attempts to connect an account


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
