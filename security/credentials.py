"""Credentials, decrypted: database rows, the server's key and the credential types combined.

Also here: testing a credential, and finding the flows and agents that use one.
"""

from __future__ import annotations

import logging
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache
from typing import Any, NamedTuple

import orjson
from marshmallow import ValidationError

import definition as definitions
import models
from constants import TOKEN_TYPES
from database.base import new_id
from database.queries import credentials, registered_hooks, workflows
from database.queries.audit import NewAuditEntry, differences
from database.queries.locks import lock_names
from definition.messages import join_messages
from errors import BadInput, Conflict, Issue, NodeError, NotFound, Unavailable, VaultError
from models import ServerFact
from nodes.base import Context, Services
from nodes.credentials.keyring import DecryptedCredential, Keyring
from nodes.credentials.types import CHECKS, TYPES, Untested
from nodes.files.files import WorkspaceFiles
from registry import explain_off, registry
from schemas import CredentialIn

from .vault import Vault

log = logging.getLogger("headrace.credentials")
Opener = Callable[[str, str], DecryptedCredential | None]  # returns a workspace's credential by name or id
TRIAL_SECONDS = 15.0
MAX_MESSAGE = 2_000
NO_CHECK = "Its values are readable. Credentials of this type have no server to log in to"
BROKEN = "The test failed because of an error in Headrace; the server's log has the details"
MAX_EXAMINED, BATCH = 5_000, 100  # flows
USER_TYPES = ("flow", "agent", "credential")  # in this order
LOGIN_TYPES = ("smtp", "imap")  # whose `token_from` may name another credential
MAX_WARNINGS = 100  # about accounts that are not connected


class Credentials:
    """The credentials of all workspaces, encrypted under one key."""

    def __init__(self, vault: Vault) -> None:
        self.vault = vault

    def find(self, workspace_id: str, name: str) -> DecryptedCredential | None:
        """Return the workspace's credential with this name or id. Raises: VaultError if the key does not fit."""
        row = credentials.named(workspace_id, name)
        return None if row is None else self.open(row)

    def open(self, row: models.Credential) -> DecryptedCredential:
        """Return the credential of a row, bound to the row's hosts, by default to the hosts in its values."""
        data = self.values_of(row)
        made = make_credential(row.name, row.type, data, orjson.loads(row.hosts) if row.hosts else None)
        opened: DecryptedCredential = registry.accounts.open(self, row, made)
        return opened

    def values_of(self, row: models.Credential) -> Mapping[str, Any]:
        """Return the decrypted values of a row. Raises: VaultError if the key does not fit."""
        data: Mapping[str, Any] = self.vault.unseal(row.id, row.updated_at, row.data)
        return data

    def find_users(self, workspace_id: str, rows: Iterable[models.Credential]) -> dict[str, list[UsedBy]]:
        """Return the users of each credential by its id; those of a mail server's use the account that logs in, too.

        The order is: active flows, other flows, agents and credentials, each by name.
        """
        rows = list(rows)
        logins = self._list_logins(workspace_id) if any(row.type in TOKEN_TYPES for row in rows) else {}
        servers = {row.id: [*logins.get(row.name, ()), *logins.get(row.id, ())] for row in rows}
        own = find_users(workspace_id, [*rows, *(server for found in servers.values() for server in found)])
        users = {
            id_: {
                *own[id_],
                *(UsedBy("credential", server.id, server.name, None) for server in found),
                *(user for server in found for user in own[server.id]),
            }
            for id_, found in servers.items()
        }
        return {id_: sorted(found, key=_sort_key) for id_, found in users.items()}

    def _list_logins(self, workspace_id: str) -> dict[str, list[models.Credential]]:
        """Return the credentials of mail servers, by the name or id of the account that logs in."""
        found: dict[str, list[models.Credential]] = {}
        for row in credentials.of_types(workspace_id, LOGIN_TYPES):
            try:
                name = self.values_of(row).get("token_from")
            except VaultError:  # no flow can use it either
                continue
            if name:
                found.setdefault(name, []).append(row)
        return found

    def _check_unused(self, row: models.Credential, done: str, names: list[str]) -> None:
        """Check that no active flow uses the credential by one of these names, directly or to log in to a mail server.

        Raises: Conflict with the name of a flow that uses it.
        """
        check_unused(row, done, names)
        logins = self._list_logins(row.workspace_id) if row.type in TOKEN_TYPES else {}
        for server in (server for name in names for server in logins.get(name, ())):
            check_unused(server, done, [server.name, server.id], f" through {server.name!r}")

    def keep(self, entry: NewAuditEntry, data: Mapping[str, Any], **values: Any) -> models.Credential:
        """Store a new credential with validated values. `entry` is the audit entry and names the workspace.

        Raises: Conflict if the name is taken; Unavailable if the server's key has changed.
        """
        sealed = self.vault.seal(data)
        with entry.written():
            self._check_key()
            row = credentials.keep(str(entry.workspace_id), data=sealed, **values)
            entry.about(row).note(type=row.type)
        return row

    def change(self, entry: NewAuditEntry, row: models.Credential, values: Mapping[str, Any]) -> None:
        """Set these columns; `data` has validated values. Raises: Conflict if an active flow uses its name."""
        sealed = {"data": self.vault.seal(values["data"])} if "data" in values else {}
        if values.get("name", row.name) != row.name:
            self._check_unused(row, "renamed", [row.name])
        with entry.about(row).written():
            self._check_key()
            told = {"name": values["name"]} if "name" in values else {}  # everything but the values
            if "hosts" in values:
                told["hosts"] = _parse_hosts(values["hosts"])
            entry.note(**differences({"name": row.name, "hosts": _parse_hosts(row.hosts)}, told))
            if sealed:
                entry.note(data={"changed": True})
                registry.accounts.change(self, row, values["data"])
            credentials.change(row, **{**values, **sealed})
            registered_hooks.try_again(row.id)

    def remove(self, entry: NewAuditEntry, row: models.Credential) -> None:
        """Delete the row. Raises: Conflict while an active flow uses it; NotFound if it is already deleted."""
        self._check_unused(row, "deleted", [row.name, row.id])
        with entry.about(row).written():
            if not credentials.remove(row):
                raise NotFound("The credential was already deleted")

    def is_key_current(self) -> bool:
        """Return True if the database still uses this process's key."""
        known = ServerFact.find("key")
        return known is not None and known.value == self.vault.fingerprint()

    def _check_key(self) -> None:
        """Check the key, which then stays until the transaction ends: values under an old one would be unreadable.

        Raises: Unavailable if it has changed.
        """
        lock_names("key", ("",), shared=True)
        if not self.is_key_current():
            raise Unavailable("The server's key was changed while it ran; restart the server")


def _parse_hosts(text: str | None) -> Any:
    return None if text is None else orjson.loads(text)


def make_credential(name: str, type_: str, data: Mapping[str, Any], hosts: list[str] | None) -> DecryptedCredential:
    """Return a credential with these values; by default bound to the hosts in the values."""
    return DecryptedCredential(name, type_, data, tuple(TYPES[type_].hosts(data) if hosts is None else hosts))


def parse_credentials(value: Any, file: str) -> dict[str, DecryptedCredential]:
    """Return credentials from a file by name: `{"shop": {"type": "smtp", "data": {…}, "hosts": […]}}`.

    Raises: BadInput with the place of the error, but no values.
    """
    if not isinstance(value, dict):
        raise BadInput(f'{file}: must be an object such as {{"shop": {{"type": "secret", "data": {{"value": "…"}}}}}}')
    found = {}
    for name, entry in value.items():
        if not isinstance(entry, dict):
            raise BadInput(f"{file}: {name!r} must be an object with type and data")
        place = ""
        try:
            given = CredentialIn().load({**entry, "name": name})
            type_ = given["type"]
            if type_ not in TYPES:
                raise BadInput(f"{file}: {name!r}: type: must be one of {', '.join(TYPES)}{explain_off()}")
            place = "data"
            found[name] = make_credential(name, type_, TYPES[type_].load(given["data"]), given["hosts"])
        except ValidationError as error:
            messages = {place: error.messages} if place else error.messages
            raise BadInput(f"{file}: {name!r}: {join_messages(messages)}") from None
    return found


# Tests


class Trial(NamedTuple):
    """Result of a test: `status` is ok, failed or untested; `message` names the server that was asked, or the error."""

    status: str
    message: str
    duration_ms: float

    @property
    def ok(self) -> bool:
        """Return True if a server was asked and accepted the credential."""
        return self.status == "ok"


def run_test(
    name: str,
    find: Callable[[], DecryptedCredential],
    asked: Mapping[str, Any],
    services: Services,
    files: WorkspaceFiles,
) -> Trial:
    """Test a credential by its type's check within TRIAL_SECONDS. `asked` has the caller's options for the check.

    `find` opens the credential; its failure is a result too. The result and the log contain no secret.
    """
    keyring = Keyring(lambda name: find())
    ctx = Context(
        "credential", {}, {}, f"trial:{new_id('trial')}", time.monotonic() + TRIAL_SECONDS,
        services=services, keyring=keyring, files=files,
    )  # fmt: skip
    began = time.perf_counter()
    status, message = "failed", BROKEN
    try:
        credential = keyring.use(name)
        check = CHECKS.get(credential.type)
        if check is None:
            raise Untested(NO_CHECK)
        status, message = "ok", check(credential, ctx, asked)
    except Untested as untested:
        status, message = "untested", str(untested)
    except NodeError as error:
        message = error.message
    except Exception:
        trace = keyring.clean_text(traceback.format_exc())
        log.error("a credential could not be tested\n%s", trace, extra={"traceback": trace})
    return Trial(status, keyring.clean_text(message)[:MAX_MESSAGE], (time.perf_counter() - began) * 1000)


# Uses


def find_warnings(definition: Any, workspace_id: str, find: Opener) -> list[Issue]:
    """Return a warning for each credential that the definition names and that is missing or not connected.

    `find` opens a credential of a workspace: one of a mail server may name the account that logs in.
    """
    return check_uses(definitions.find_credentials(definition), workspace_id, find)


def check_uses(uses: list[definitions.Use], workspace_id: str, open_: Opener) -> list[Issue]:
    """Return the same warnings for these uses of credentials."""
    find = cache(lambda name: credentials.named(workspace_id, name))
    found = definitions.check_uses(uses, lambda name: None if (row := find(name)) is None else str(row.type))
    accounts = {}
    for name in {use.name for use in uses}:
        row = find(name)
        if row is not None and row.type in LOGIN_TYPES:
            login = _find_login(open_, workspace_id, name)
            row = find(login) if login else None
        if row is not None and row.type in TOKEN_TYPES:
            accounts[name] = row
    rows = list(accounts.values())
    problems = registry.accounts.find_problems(rows)  # by id
    for row in rows:
        if row.type not in TYPES:
            problems[row.id] = f"the credential {row.name!r} has the unknown type {row.type}{explain_off()}"
    for use in uses[:MAX_WARNINGS]:
        if use.name in accounts and (text := problems.get(accounts[use.name].id)):
            found.append(Issue(use.path, text, use.node_id, "warning"))
    return found


def _find_login(open_: Opener, workspace_id: str, name: str) -> str:
    """Return the name of the account that logs in to a mail server; empty if it has a password or cannot be read.

    It cannot be read either if the pack with its type is off.
    """
    try:
        server = open_(workspace_id, name)
    except (VaultError, NodeError):
        return ""
    return "" if server is None else server.data.get("token_from") or ""


def find_host_warnings(row: models.Credential) -> list[Issue]:
    """Return a warning if flows send credentials of this type, but no host is allowed for this one."""
    told = row.type in TYPES and TYPES[row.type].without_hosts
    return [Issue("hosts", told, level="warning")] if told and not _parse_hosts(row.hosts) else []


class UsedBy(NamedTuple):
    """A flow, an agent or another credential that names a credential. `status` is the flow's, else None."""

    type: str
    id: str
    name: str
    status: str | None


# The names in each examined version of a flow: versions never change, and reading a thousand of them for each
# list would take longer than the rest of the request. At most twice MAX_EXAMINED versions.
_names_cache: dict[tuple[str, int], frozenset[str]] = {}


def find_users(workspace_id: str, rows: Iterable[models.Credential]) -> dict[str, list[UsedBy]]:
    """Return the flows and agents that name each credential, by its id.

    No credential is decrypted. All flows are examined together, the newest MAX_EXAMINED of them.
    """
    by_name: dict[str, list[UsedBy]] = {}
    for user, names in _list_flows(workspace_id):
        for name in names:
            by_name.setdefault(name, []).append(user)
    for referrer in registry.list_referrers(workspace_id):
        for name in referrer.credentials:
            by_name.setdefault(name, []).append(UsedBy(referrer.type, referrer.id, referrer.name, None))
    return {row.id: list({*by_name.get(row.name, ()), *by_name.get(row.id, ())}) for row in rows}


def _sort_key(user: UsedBy) -> tuple[int, bool, str, str]:
    return USER_TYPES.index(user.type), user.status != "active", user.name.casefold(), user.id


def _list_flows(workspace_id: str) -> Iterator[tuple[UsedBy, frozenset[str]]]:
    global _names_cache
    heads = list(workflows.list_heads(workspace_id, MAX_EXAMINED))
    found = {key: _names_cache[key] for id_, _, _, version in heads if (key := (id_, version)) in _names_cache}
    lacking = [id_ for id_, _, _, version in heads if (id_, version) not in found]
    for begin in range(0, len(lacking), BATCH):
        for id_, version, text in workflows.definitions_of(lacking[begin : begin + BATCH]):
            found[id_, version] = frozenset(use.name for use in definitions.find_credentials(orjson.loads(text)))
    _names_cache = {**_names_cache, **found} if len(_names_cache) + len(found) <= 2 * MAX_EXAMINED else dict(found)
    for id_, name, status, version in heads:
        # A flow that was changed or deleted meanwhile has no names for now.
        yield UsedBy("flow", id_, name, status), found.get((id_, version), frozenset())


def check_unused(row: models.Credential, done: str, names: list[str], through: str = "") -> None:
    """Check that no active flow uses the credential by one of these names. `through` is told with the flow's name.

    A flow activated at this moment is not seen; its run then fails at that node.

    Raises: Conflict with the name of a flow that uses it.
    """
    # A name that JSON can write in several ways cannot be searched for in the text.
    plain = all(name.isascii() and name.isprintable() and not set(name) & set('"\\/') for name in names)
    for _, flow, text in workflows.active_with(row.workspace_id, names if plain else []):
        if any(use.name in names for use in definitions.find_credentials(orjson.loads(text))):
            raise Conflict(f"The active flow {flow!r} uses this credential{through}; it cannot be {done}")
