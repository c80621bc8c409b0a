"""Accounts of credentials: their tokens when a credential is opened, changed or deleted, and connecting one.

To connect an account, a person is sent to the service for their consent, and the answer is taken. An attempt is one
row, found by the hash of `state`: it is bound to the session, the credential and what the credential is then, can be
used once, and lasts ten minutes.
"""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import orjson

import models
from database.base import now_ms
from database.queries import credentials, registered_hooks
from database.queries.audit import NewAuditEntry
from database.queries.locks import lock_names
from errors import BadInput, Conflict, Forbidden, NodeError, VaultError
from models import OAuthAttempt, OAuthGrant
from nodes.base import Context, Services
from nodes.credentials.keyring import DecryptedCredential, Keyring
from nodes.credentials.types import TYPES
from packs.oauth import grants
from packs.oauth.settings import (
    ACCOUNT,
    CUSTOM,
    GRANT_TYPES,
    OAuthSettings,
    bind,
    get_provider,
    is_same_account,
    settings_of,
)
from packs.oauth.token_requests import (
    describe_refusal,
    exchange_code,
    is_issuer,
    make_authorization_url,
    make_times,
    revoke,
)
from packs.oauth.tokens import ENDED
from registry import AccountKeeper
from security.credentials import Credentials
from security.vault import GRANTS

log = logging.getLogger("headrace.credentials")
LIFETIME_MS = 600_000
EXCHANGE_SECONDS = 30.0
MAX_DETAIL = 200
BEGIN_AGAIN = "Go back to Headrace and select Connect account again"


class Accounts(AccountKeeper):
    """Keeps the grants of credentials of GRANT_TYPES."""

    def open(self, kept: Credentials, row: models.Credential, made: DecryptedCredential) -> DecryptedCredential:
        """Return the credential with its grant, and with the host that the service gave the account, if any."""
        if row.type not in GRANT_TYPES:
            return made
        grant = OAuthGrant.find(row.id)
        details = {} if grant is None else grants.details_of(grant)
        hosts = (*made.hosts, *find_instance_hosts(details, settings_of(row.type, made.data)))
        return replace(made, grants=store_of(kept, row, made.data), details=details, hosts=hosts)

    def describe(self, kept: Credentials, rows: Sequence[models.Credential]) -> dict[str, dict[str, Any]]:
        """Return how credentials are connected, by id; other types have no entry. See `describe_connection`."""
        accounts = [row for row in rows if row.type in GRANT_TYPES]
        found = grants.list_grants([row.id for row in accounts])
        return {row.id: describe_connection(row, found.get(row.id), _provider_of(kept, row)) for row in accounts}

    def find_problems(self, rows: Sequence[models.Credential]) -> dict[str, str]:
        """Return why accounts cannot be used, by id."""
        accounts = [row for row in rows if row.type in GRANT_TYPES]
        found = grants.list_grants([row.id for row in accounts])
        return {row.id: text for row in accounts if (text := _explain_state(row, found.get(row.id)))}

    def change(self, kept: Credentials, row: models.Credential, values: Mapping[str, Any]) -> None:
        """Delete the grant, unless it is also one for these new values."""
        if row.type in GRANT_TYPES and not _keeps_grant(kept, row, values):
            credentials.forget_account(row.id)

    def begin_removal(self, kept: Credentials, services: Services, row: models.Credential) -> Callable[[], object]:
        """Return the function that revokes the tokens that the credential has now."""
        return Connections(kept, services).begin_revocation(row)


def store_of(kept: Credentials, row: models.Credential, data: Mapping[str, Any]) -> grants.DatabaseGrants:
    """Return the store of the grant of a credential with these values."""
    return grants.DatabaseGrants(
        kept.vault, row, data.get("refresh_token", ""), lambda: kept.find_users(row.workspace_id, [row])[row.id]
    )


def _provider_of(kept: Credentials, row: models.Credential) -> str | None:
    try:
        return str(kept.values_of(row).get("provider", CUSTOM))
    except VaultError:
        return None


def _keeps_grant(kept: Credentials, row: models.Credential, after: Mapping[str, Any]) -> bool:
    try:
        return is_same_account(kept.values_of(row), after)
    except VaultError:
        return False


def _explain_state(row: models.Credential, grant: OAuthGrant | None) -> str | None:
    """Return why an account cannot be used, or None."""
    if grant is not None and grant.status == OAuthGrant.REVOKED:
        return f"account not connected any more: connect {row.name!r} again"
    if grant is None and row.type == ACCOUNT:
        return f"account not connected: connect {row.name!r}"
    return None


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
            "details": grants.details_of(grant),
        }
        if grant.refresh_at is None or get_provider({"provider": provider}).get("longer_grant"):
            shown["expires_at"] = grant.expires_at
            if status == OAuthGrant.CONNECTED and grant.expires_at is not None and grant.expires_at <= now_ms():
                status, reason = OAuthGrant.REVOKED, ENDED
    return {"status": status, "reason": reason, "provider": provider, **shown}


# Connecting


class Started(NamedTuple):
    """An attempt that was begun: the address to open in the browser, and when it expires (ms)."""

    authorization_url: str
    expires_at: int


class Person(NamedTuple):
    """The session in which a person connects an account, and its user."""

    session_id: str
    user_id: str


class Connections:
    """Connects and disconnects the accounts of credentials."""

    def __init__(self, credentials: Credentials, services: Services) -> None:
        self.credentials, self.vault, self.services = credentials, credentials.vault, services

    def begin(self, row: models.Credential, person: Person, redirect_url: str) -> Started:
        """Start an attempt of this person. Raises: BadInput if the credential is not one that a person connects."""
        if row.type != ACCOUNT:
            raise BadInput(f"A credential of the type {TYPES[row.type].title or row.type} needs no connection")
        data = self._open(row)
        settings = settings_of(row.type, data)
        state, verifier = secrets.token_urlsafe(32), secrets.token_urlsafe(48)
        known = {"verifier": verifier, "redirect_url": redirect_url, "data": bind(data)}
        grants.start_attempt(
            state, LIFETIME_MS, credential_id=row.id, workspace_id=row.workspace_id, session_id=person.session_id,
            user_id=person.user_id, sealed=self.vault.seal(known, GRANTS),
        )  # fmt: skip
        return Started(make_authorization_url(settings, state, verifier, redirect_url), now_ms() + LIFETIME_MS)

    def find_attempt(self, state: str, person: Person) -> OAuthAttempt:
        """Return the attempt that an answer belongs to.

        Raises: BadInput for an unknown state; Forbidden for another session; Conflict if it was used or has expired.
        """
        attempt = grants.attempt_by_state(state) if state else None
        if attempt is None:
            raise BadInput(f"This answer belongs to no connection that was begun here. {BEGIN_AGAIN}.")
        if (attempt.session_id, attempt.user_id) != person:
            raise Forbidden(f"This connection was begun in another session, or by somebody else. {BEGIN_AGAIN}.")
        if attempt.used_at is not None:
            raise Conflict(f"This answer was used already. {BEGIN_AGAIN} if the account is not connected.")
        if attempt.expires_at <= now_ms():
            raise Conflict(f"This connection was begun more than ten minutes ago. {BEGIN_AGAIN}.")
        return attempt

    def finish(self, attempt: OAuthAttempt, answer: Mapping[str, str], entry: NewAuditEntry) -> models.Credential:
        """Exchange the code of an answer, and store the grant. Return the credential.

        Whatever is raised, an earlier grant is unchanged. Raises: BadInput if the answer has an error, no code or
        another issuer, or none although the credential has one; Conflict if the credential was changed meanwhile;
        NodeError if the service gives no tokens.
        """
        if not grants.use_attempt(attempt):
            raise Conflict(f"This answer was used already. {BEGIN_AGAIN} if the account is not connected.")
        row = models.Credential.find(attempt.credential_id)
        known = self._open_attempt(attempt)
        if row is None or not is_same_account(known["data"], data := self._open(row)):
            raise Conflict(f"The credential was changed or deleted meanwhile. {BEGIN_AGAIN}.")
        settings = settings_of(row.type, data)
        if "iss" in answer and not is_issuer(settings, answer["iss"]):
            raise BadInput(f"The answer came from another service than the one that was asked (iss). {BEGIN_AGAIN}.")
        if "error" in answer:
            raise BadInput(explain_refusal(answer["error"], answer.get("error_description", "")))
        # Of services in our list it is not certain that they name themselves.
        if data.get("issuer") and "iss" not in answer:
            raise BadInput(
                "The answer does not name the service that it comes from (iss), although the credential has an issuer. "
                f"Remove the issuer from the credential if the service sends no iss. {BEGIN_AGAIN}."
            )
        if not answer.get("code"):
            raise BadInput(f"The answer of the service has no code. {BEGIN_AGAIN}.")
        issued = exchange_code(settings, answer["code"], known["verifier"], known["redirect_url"], self._context(row))
        kept = {name: answer[name][:MAX_DETAIL] for name in settings.callback_kept if answer.get(name)}
        issued = issued._replace(details={**kept, **issued.details}, scope=issued.scope or " ".join(settings.scopes))
        self._store(row, known["data"], issued, entry)
        return row

    def _store(self, row: models.Credential, data: Mapping[str, Any], issued: Any, entry: NewAuditEntry) -> None:
        now = now_ms()
        values = {
            "details": "{}",
            **grants.seal_tokens(self.vault, issued),
            **make_times(issued, now, bool(issued.refresh_token)),
            "connected_at": now,
        }
        with entry.about(row).written():
            lock_names("credentials", (row.workspace_id,))
            present = models.Credential.find(row.id)
            if present is None or not is_same_account(data, self._open(present)):
                raise Conflict(f"The credential was changed or deleted meanwhile. {BEGIN_AGAIN}.")
            grants.put(row.id, row.workspace_id, **values)
            registered_hooks.try_again(row.id)
            entry.note(scopes=issued.scope.split()[:20])

    def disconnect(self, row: models.Credential, entry: NewAuditEntry) -> None:
        """Delete the grant of a credential, and revoke it if the service can. Raises: Conflict if there is none."""
        revoke_tokens = self.begin_revocation(row)
        with entry.about(row).written():
            lock_names("credentials", (row.workspace_id,))
            if not credentials.forget_account(row.id):
                raise Conflict("The account is not connected")
        revoke_tokens()

    def begin_revocation(self, row: models.Credential) -> Callable[[], object]:
        """Return a function that revokes the tokens that the credential has now, as well as possible."""
        data, token, hint = self._read_tokens(row)
        ctx = self._context(row) if token else None

        def revoke_token() -> None:
            if ctx is None:
                return
            try:
                revoke(settings_of(row.type, data), token, hint, ctx)
            except NodeError as error:
                log.info("the grant of the credential %s could not be revoked: %s", row.id, error.message)

        return revoke_token

    def _read_tokens(self, row: models.Credential) -> tuple[Mapping[str, Any], str, str]:
        """Return values, token and kind of token to revoke; the token is empty if nothing can be revoked."""
        try:
            data = self.credentials.values_of(row)
            grant = None if row.type != ACCOUNT else store_of(self.credentials, row, data).read()
        except (VaultError, NodeError):
            return {}, "", ""
        if grant is None or not settings_of(row.type, data).revocation_url:
            return {}, "", ""
        if grant.refresh_token:
            return data, grant.refresh_token, "refresh_token"
        return data, grant.access_token, "access_token"

    def _open(self, row: models.Credential) -> Mapping[str, Any]:
        try:
            return self.credentials.values_of(row)
        except VaultError as error:
            raise Conflict(f"The credential cannot be read: {error}. Replace its values") from None

    def _open_attempt(self, attempt: OAuthAttempt) -> dict[str, Any]:
        try:
            found: dict[str, Any] = orjson.loads(self.vault.decrypt(attempt.sealed.encode(), GRANTS))
        except VaultError:
            raise Conflict(f"The server's key was changed meanwhile. {BEGIN_AGAIN}.") from None
        return found

    def _context(self, row: models.Credential) -> Context:
        """Return the context of requests to the service, in which the values of the credential are redacted."""
        keyring = Keyring()
        keyring.hide(*TYPES[row.type].secrets(self._open(row)))
        deadline = time.monotonic() + EXCHANGE_SECONDS
        key = f"connect:{row.id}"
        return Context(
            "credential",
            {},
            {},
            key,
            deadline,
            services=self.services,
            keyring=keyring,
            clock=lambda: now_ms() * 1_000_000,
        )


def explain_refusal(code: str, description: str) -> str:
    """Return what an error in an answer means, for the person."""
    said = describe_refusal(code, description)
    if code == "access_denied":
        return f"Access was not granted, so nothing was changed. The service said: {said}."
    return f"The service refused the connection. It said: {said}. Check the client and its scopes in Headrace."
