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
from peewee import IntegerField, TextField

from database import execute, lease_clock, write

from .base import IN_LIST, Base, Expiring, encode_list, insert, now_ms
from .leases import is_there, this_process
from .users import hash_token

LEASE_MS = 60_000  # longer than a refresh may take
NO_LEASE = "lease_id = NULL, lease_process = NULL, lease_clock = NULL, lease_until = NULL"
OWN = "credential_id = ? AND lease_id = ?"


class OAuthGrant(Base):
    """The grant of a credential. Times are in ms; null: never, or unknown.

    `details` is a JSON object of the other values in the service's answer, without secrets. `scope` has the granted
    scopes, separated by spaces. `expires_at` is the end of the access token, `refresh_at` when to get a new one.
    `obtained_at` is when the present tokens were issued; `refreshed_at` is the same time if they were issued by a
    refresh. `reason` explains the status revoked or error. The lease of `lease_process` ends at `lease_until` by the
    clock `lease_clock`.
    """

    CONNECTED, REVOKED, ERROR = "connected", "revoked", "error"

    credential_id = TextField(primary_key=True)
    workspace_id = TextField()
    status = TextField()
    tokens = TextField(null=True)
    scope = TextField(null=True)
    details = TextField()
    reason = TextField(null=True)
    connected_at = IntegerField(null=True)
    obtained_at = IntegerField(null=True)
    refreshed_at = IntegerField(null=True)
    refresh_at = IntegerField(null=True)
    expires_at = IntegerField(null=True)
    version = IntegerField()
    lease_id = TextField(null=True)
    lease_process = TextField(null=True)
    lease_clock = TextField(null=True)
    lease_until = IntegerField(null=True)

    class Meta:
        table_name = "oauth_grants"

    @classmethod
    def of(cls, credential_ids: Collection[str]) -> dict[str, OAuthGrant]:
        """Return the grants of these credentials by the credential's id."""
        found = cls.each(f"credential_id {IN_LIST}", (encode_list(credential_ids),)) if credential_ids else ()
        return {row.credential_id: row for row in found}

    @property
    def known(self) -> dict[str, Any]:
        """Return the details as an object."""
        found: dict[str, Any] = orjson.loads(self.details)
        return found

    @classmethod
    def put(cls, credential_id: str, workspace_id: str, **values: Any) -> None:
        """Replace the grant after a new consent. A refresh in progress will then be discarded."""
        row = {"credential_id": credential_id, "workspace_id": workspace_id, "status": cls.CONNECTED, **values}
        with write():
            found = execute("SELECT version FROM oauth_grants WHERE credential_id = ?", (credential_id,)).fetchone()
            execute("DELETE FROM oauth_grants WHERE credential_id = ?", (credential_id,))
            execute(*insert("oauth_grants", {**row, "version": found[0] + 1 if found else 1}))

    @classmethod
    def begin(cls, credential_id: str, workspace_id: str) -> None:
        """Insert a grant without tokens, for a credential whose values contain its first refresh token."""
        sql = (
            "INSERT INTO oauth_grants (credential_id, workspace_id, status, details, version) "
            "VALUES (?, ?, ?, '{}', 0) ON CONFLICT (credential_id) DO NOTHING"
        )
        with write():
            execute(sql, (credential_id, workspace_id, cls.CONNECTED))

    def claim(self, abandoned: str | None = None) -> str | None:
        """Take the lease to refresh this version. Return its id; None if another process has it, or has refreshed it.

        `abandoned` is a lease that this process failed to release.
        """
        clock, lease = lease_clock(), secrets.token_hex(8)
        # The lease of a killed process on this machine is free at once.
        if self.lease_process is not None and is_there(self.lease_process) is False:
            abandoned = self.lease_id
        free = f"lease_id IS NULL OR lease_id = ? OR lease_clock <> ? OR lease_until <= {clock.sql}"
        sql = (
            f"UPDATE oauth_grants SET lease_id = ?, lease_process = ?, lease_clock = ?, lease_until = {clock.sql} "
            f"WHERE credential_id = ? AND version = ? AND ({free})"
        )
        held = (lease, this_process(), clock.identity(), clock.now() + LEASE_MS)
        with write():
            params = (*held, self.credential_id, self.version, abandoned or "", clock.identity())
            return lease if execute(sql, (*params, clock.now())).rowcount else None

    @classmethod
    def refresh(cls, credential_id: str, lease: str, **values: Any) -> bool:
        """Store the result of a refresh and release the lease. Return False if the grant has changed meanwhile."""
        names = ", ".join(f"{name} = ?" for name in values)
        sql = f"UPDATE oauth_grants SET {names}, version = version + 1, {NO_LEASE} WHERE {OWN}"
        with write():
            return bool(execute(sql, (*values.values(), credential_id, lease)).rowcount)

    @classmethod
    def release(cls, credential_id: str, lease: str) -> None:
        """Release the lease after a refresh without a result."""
        with write():
            execute(f"UPDATE oauth_grants SET {NO_LEASE} WHERE {OWN}", (credential_id, lease))

    @classmethod
    def drop(cls, credential_id: str) -> bool:
        """Delete the grant of a credential, and attempts to connect it. Return True if it had a grant."""
        with write():
            execute("DELETE FROM oauth_attempts WHERE credential_id = ?", (credential_id,))
            return bool(execute("DELETE FROM oauth_grants WHERE credential_id = ?", (credential_id,)).rowcount)


class OAuthAttempt(Expiring, Base):
    """An attempt to connect an account: the user is on the service's page of consent. The id is the hash of `state`.

    `sealed` is encrypted JSON: the verifier of PKCE, the redirect URL, and the values to which the grant is bound.
    """

    kept_ms = 3_600_000  # so that a late answer gets an error that says so
    id = TextField(primary_key=True)
    credential_id = TextField()
    workspace_id = TextField()
    session_id = TextField()
    user_id = TextField()
    sealed = TextField()
    expires_at = IntegerField()
    used_at = IntegerField(null=True)

    class Meta:
        table_name = "oauth_attempts"

    @classmethod
    def start(cls, state: str, lifetime_ms: int, **values: Any) -> None:
        """Insert an attempt, which replaces others of the same session for the same credential."""
        row = {"id": hash_token(state), "expires_at": now_ms() + lifetime_ms, **values}
        replaced = "DELETE FROM oauth_attempts WHERE credential_id = ? AND session_id = ?"
        with write():
            execute(replaced, (row["credential_id"], row["session_id"]))
            execute(*insert("oauth_attempts", row))

    @classmethod
    def by_state(cls, state: str) -> OAuthAttempt | None:
        """Return the attempt of this state, used or not, or None."""
        return cls.find(hash_token(state))

    def use(self) -> bool:
        """Take the attempt. Return False if it was used or has expired: of several answers, one succeeds."""
        now = now_ms()
        sql = "UPDATE oauth_attempts SET used_at = ? WHERE id = ? AND used_at IS NULL AND expires_at > ?"
        with write():
            return bool(execute(sql, (now, self.id, now)).rowcount)
