"""Connecting an account: sending a person to a service for their consent, and taking the answer.

An attempt is one row, found by the hash of `state`: it is bound to the session, the credential and what the credential
is then, can be used once, and lasts ten minutes.
"""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Mapping
from typing import Any, NamedTuple

import orjson

import models
from database.base import now_ms
from database.queries import oauth_grants, registered_hooks
from database.queries.audit import NewAuditEntry
from database.queries.locks import lock_names
from errors import BadInput, Conflict, Forbidden, NodeError, VaultError
from models import OAuthAttempt
from nodes.base import Context, Services
from nodes.credentials.grants import make_times
from nodes.credentials.keyring import Keyring
from nodes.credentials.oauth_types import ACCOUNT, bind, is_same_account, settings_of
from nodes.credentials.types import TYPES
from nodes.http.token_requests import describe_refusal, exchange_code, is_issuer, make_authorization_url, revoke

from .credentials import Credentials
from .oauth_grants import seal_tokens
from .vault import GRANTS

log = logging.getLogger("headrace.credentials")
LIFETIME_MS = 600_000
EXCHANGE_SECONDS = 30.0
MAX_DETAIL = 200
BEGIN_AGAIN = "Go back to Headrace and select Connect account again"


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
        oauth_grants.start_attempt(
            state, LIFETIME_MS, credential_id=row.id, workspace_id=row.workspace_id, session_id=person.session_id,
            user_id=person.user_id, sealed=self.vault.seal(known, GRANTS),
        )  # fmt: skip
        return Started(make_authorization_url(settings, state, verifier, redirect_url), now_ms() + LIFETIME_MS)

    def find_attempt(self, state: str, person: Person) -> OAuthAttempt:
        """Return the attempt that an answer belongs to.

        Raises: BadInput for an unknown state; Forbidden for another session; Conflict if it was used or has expired.
        """
        attempt = oauth_grants.attempt_by_state(state) if state else None
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
        if not oauth_grants.use_attempt(attempt):
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
            **seal_tokens(self.vault, issued),
            **make_times(issued, now, bool(issued.refresh_token)),
            "connected_at": now,
        }
        with entry.about(row).written():
            lock_names("credentials", (row.workspace_id,))
            present = models.Credential.find(row.id)
            if present is None or not is_same_account(data, self._open(present)):
                raise Conflict(f"The credential was changed or deleted meanwhile. {BEGIN_AGAIN}.")
            oauth_grants.put(row.id, row.workspace_id, **values)
            registered_hooks.try_again(row.id)
            entry.note(scopes=issued.scope.split()[:20])

    def disconnect(self, row: models.Credential, entry: NewAuditEntry) -> None:
        """Delete the grant of a credential, and revoke it if the service can. Raises: Conflict if there is none."""
        told = self.read_tokens(row)
        with entry.about(row).written():
            lock_names("credentials", (row.workspace_id,))
            if not oauth_grants.drop(row.id):
                raise Conflict("The account is not connected")
        self.revoke(row, told)

    def read_tokens(self, row: models.Credential) -> tuple[Mapping[str, Any], str, str] | None:
        """Return values, token and kind of token to revoke; None if there is nothing that could be revoked."""
        try:
            data = self.credentials.values_of(row)
            grant = None if row.type != ACCOUNT else self.credentials.grants_of(row, data).read()
        except (VaultError, NodeError):
            return None
        if grant is None or not settings_of(row.type, data).revocation_url:
            return None
        if grant.refresh_token:
            return data, grant.refresh_token, "refresh_token"
        return (data, grant.access_token, "access_token") if grant.access_token else None

    def revoke(self, row: models.Credential, told: tuple[Mapping[str, Any], str, str] | None) -> None:
        """Revoke what `read_tokens` returned, as well as possible."""
        if told is None:
            return
        data, token, hint = told
        try:
            revoke(settings_of(row.type, data), token, hint, self._context(row))
        except NodeError as error:
            log.info("the grant of the credential %s could not be revoked: %s", row.id, error.message)

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
        return Context("credential", {}, {}, key, deadline, services=self.services, keyring=keyring, clock=_clock)


def _clock() -> int:
    return now_ms() * 1_000_000


def explain_refusal(code: str, description: str) -> str:
    """Return what an error in an answer means, for the person."""
    said = describe_refusal(code, description)
    if code == "access_denied":
        return f"Access was not granted, so nothing was changed. The service said: {said}."
    return f"The service refused the connection. It said: {said}. Check the client and its scopes in Headrace."
