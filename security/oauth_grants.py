"""OAuth grants of credentials in the database: their tokens, the lease of a refresh, revocation, and their JSON.

The refresh itself is `nodes/http/oauth2.py`: `get_token`.

When a service revokes a grant, the workspace's log says so once, with the flows that need the account.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import orjson

import models
from database import DatabaseFailed, LockTimeout, execute, write
from database.base import Write, now_ms
from database.queries import logs, oauth_grants
from errors import DatabaseLost, NodeError, VaultError
from models import OAuthGrant
from nodes.credentials.grants import ENDED, Grant, Issued, make_times
from nodes.credentials.oauth_providers import get_provider
from nodes.credentials.oauth_types import ACCOUNT, OAuthSettings

from .vault import GRANTS, Vault

log = logging.getLogger("headrace.credentials")
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
                oauth_grants.begin(self.id, self.workspace_id)
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
            return oauth_grants.claim(row, _abandoned.get(self.id))

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
            is_kept = oauth_grants.refresh(
                self.id, lease, **values, status=OAuthGrant.CONNECTED, reason=None, refreshed_at=now
            )
        _unsaved.pop(key, None)
        _abandoned.pop(self.id, None)
        return is_kept

    def release(self, lease: str) -> None:
        try:
            oauth_grants.release(self.id, lease)
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
            if oauth_grants.refresh(self.id, lease, **values) and told is not None:
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


def find_instance_hosts(details: Mapping[str, str], settings: OAuthSettings) -> tuple[str, ...]:
    """Return the host of the account's own address, if the provider has such ones: `*.salesforce.com`."""
    try:
        parts = urlsplit(details.get(settings.instance_field, ""))
        host = (parts.hostname or "").lower() if parts.scheme == "https" else ""
    except ValueError:
        host = ""
    is_known = host and any(
        host == pattern or host.endswith(pattern.removeprefix("*")) for pattern in settings.instance_hosts
    )
    return (host,) if is_known else ()


def describe_connection(row: models.Credential, grant: OAuthGrant | None, provider: str | None) -> dict[str, Any]:
    """Return how a credential is connected, for the API, without secrets.

    `{status, provider, connected_at, expires_at, scopes, reason, details}`; `expires_at` only if nothing renews it, or
    nothing but its use.
    """
    status, reason = "not_connected" if row.type == ACCOUNT else OAuthGrant.CONNECTED, None
    shown: dict[str, Any] = {"connected_at": None, "expires_at": None, "scopes": [], "details": {}}
    if grant is not None:
        status, reason = grant.status, grant.reason
        shown |= {
            "connected_at": grant.connected_at,
            "scopes": (grant.scope or "").split(),
            "details": oauth_grants.details_of(grant),
        }
        if grant.refresh_at is None or get_provider({"provider": provider}).get("longer_grant"):
            shown["expires_at"] = grant.expires_at
            if status == OAuthGrant.CONNECTED and grant.expires_at is not None and grant.expires_at <= now_ms():
                status, reason = OAuthGrant.REVOKED, ENDED
    return {"status": status, "reason": reason, "provider": provider, **shown}
