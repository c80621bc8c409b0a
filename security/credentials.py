"""The stored credentials, opened: rows of the database, the server's key and the types of credential put together.

Here too: how one is tried out, and which flows and agents name which.
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
from agent.definition import Agent, check, credentials_of
from definition.messages import join_messages
from errors import BadInput, Conflict, Issue, NodeError, NotFound, Unavailable
from models import AuditEntry, Fact, Workflow, differences
from nodes.base import Context, Services
from nodes.credentials.keyring import CHECKS, Credential, Keyring, Untested
from nodes.credentials.types import TYPES
from nodes.files.files import Files
from schemas import CredentialIn

from .vault import Vault

log = logging.getLogger("headrace.credentials")
TRIAL_SECONDS = 15.0
LONGEST_ANSWER = 2_000
NO_CHECK = "Its values can be read. There is no server that a credential of this type logs in to"
BROKEN = "It could not be tried because of an error in Headrace; the server's log has the details"
MOST_LOOKED_AT, READ_AT_ONCE = 5_000, 100  # flows


class Credentials:
    """The credentials of all workspaces, under one key."""

    def __init__(self, vault: Vault) -> None:
        self.vault = vault

    def find(self, workspace_id: str, name: str) -> Credential | None:
        """The workspace's credential of this name or id; VaultError where the key does not fit."""
        row = models.Credential.named(workspace_id, name)
        return None if row is None else self.open(row)

    def open(self, row: models.Credential) -> Credential:
        """A row with its values to be used. It is bound to its hosts, or to those that the values name."""
        data: Mapping[str, Any] = self.vault.unseal(row.id, row.updated_at, row.data)
        return opened(row.name, row.type, data, orjson.loads(row.hosts) if row.hosts else None)

    def keep(self, entry: AuditEntry, data: Mapping[str, Any], **values: Any) -> models.Credential:
        """A new credential with these values, which are checked already; Conflict for a name that there is.

        `entry` goes into the audit trail, and says which workspace it is.
        """
        sealed = self.vault.seal(data)
        with entry.written():
            self._check_key()
            row = models.Credential.keep(str(entry.workspace_id), data=sealed, **values)
            entry.about(row).note(type=row.type)
        return row

    def change(self, entry: AuditEntry, row: models.Credential, values: Mapping[str, Any]) -> None:
        """Set these columns, `data` to values that are checked already. Conflict where its name is in use."""
        sealed = {"data": self.vault.seal(values["data"])} if "data" in values else {}
        if values.get("name", row.name) != row.name:
            check_unused(row, "renamed", [row.name])
        with entry.about(row).written():
            self._check_key()
            entry.note(**differences({"name": row.name, "hosts": _hosts(row.hosts)}, _shown_of(values)))
            if sealed:
                entry.note(data={"changed": True})
            row.change(**{**values, **sealed})

    def remove(self, entry: AuditEntry, row: models.Credential) -> None:
        """Delete it; Conflict while an active flow uses it, NotFound where it is gone."""
        check_unused(row, "deleted", [row.name, row.id])
        with entry.about(row).written():
            if not row.remove():
                raise NotFound("The credential was deleted just now")

    def are_under_this_key(self) -> bool:
        """Whether the database is still under the key that this process has."""
        known = Fact.find("key")
        return known is not None and known.value == self.vault.fingerprint()

    def _check_key(self) -> None:
        """Unavailable where it is under another one by now: nobody could read what is written with this."""
        if not self.are_under_this_key():
            raise Unavailable("The server's key was changed while it ran; it has to be started again")


def _hosts(text: str | None) -> Any:
    return None if text is None else orjson.loads(text)


def _shown_of(values: Mapping[str, Any]) -> dict[str, Any]:
    """What may be told of a change: all but the values."""
    told = {"name": values["name"]} if "name" in values else {}
    return told | ({"hosts": _hosts(values["hosts"])} if "hosts" in values else {})


def opened(name: str, type_: str, data: Mapping[str, Any], hosts: list[str] | None) -> Credential:
    """A credential of these values; without `hosts` it is bound to those that the values name."""
    return Credential(name, type_, data, tuple(TYPES[type_].hosts(data) if hosts is None else hosts))


def of_json(value: Any, what: str) -> dict[str, Credential]:
    """Credentials as a file has them, by name: `{"shop": {"type": "smtp", "data": {…}, "hosts": […]}}`.

    BadInput says what is wrong and repeats no value.
    """
    if not isinstance(value, dict):
        raise BadInput(f'{what}: must be an object such as {{"shop": {{"type": "secret", "data": {{"value": "…"}}}}}}')
    return {name: _of_entry(name, entry, what) for name, entry in value.items()}


def _of_entry(name: str, entry: Any, what: str) -> Credential:
    if not isinstance(entry, dict):
        raise BadInput(f"{what}: {name!r} must be an object with type and data")
    try:
        given = CredentialIn().load({**entry, "name": name})
        if given["type"] not in TYPES:
            raise BadInput(f"{what}: {name!r}: type: must be one of {', '.join(TYPES)}")
        return opened(name, given["type"], _loaded(given["type"], given["data"]), given["hosts"])
    except ValidationError as error:
        raise BadInput(f"{what}: {name!r}: {join_messages(error.messages)}") from None


def _loaded(type_: str, data: Mapping[str, Any]) -> dict[str, Any]:
    try:
        values: dict[str, Any] = TYPES[type_].load(data)
    except ValidationError as error:
        raise ValidationError({"data": error.messages}) from None
    return values


# Trying one out


class Trial(NamedTuple):
    """The result: `status` is ok, failed or untested; `message` names the server that was asked, or the problem."""

    status: str
    message: str
    duration_ms: float

    @property
    def ok(self) -> bool:
        """Return True if a server was asked and accepted the credential."""
        return self.status == "ok"


def try_out(
    name: str, find: Callable[[], Credential], asked: Mapping[str, Any], services: Services, files: Files
) -> Trial:
    """Connect with a credential, as its type's check does it, within TRIAL_SECONDS. `asked` is what the caller adds.

    `find` opens it; that it cannot is an answer like any other. No value of it is in the answer or in the log.
    """
    keyring = Keyring(lambda name: find())
    ctx = Context(
        "credential", {}, {}, f"trial:{models.new_id('trial')}", time.monotonic() + TRIAL_SECONDS,
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
        log.error("a credential could not be tried\n%s", keyring.clean_text(traceback.format_exc()))
    return Trial(status, keyring.clean_text(message)[:LONGEST_ANSWER], (time.perf_counter() - began) * 1000)


# Who uses them


def warnings_of(definition: Any, workspace_id: str) -> list[Issue]:
    """A warning for each credential that the definition names and the workspace does not have."""
    return definitions.find_missing_credentials(definition, _types_in(workspace_id))


def agent_warnings(agent: Agent, workspace_id: str) -> list[Issue]:
    """The same for what an agent's definition names."""
    uses = [definitions.Use(None, *named) for named in credentials_of(agent)]
    return definitions.check_uses(uses, _types_in(workspace_id))


def host_warnings(row: models.Credential) -> list[Issue]:
    """Return a warning if flows send credentials of this type, and no host is named that may have this one."""
    told = TYPES[row.type].without_hosts
    return [Issue("hosts", told, level="warning")] if told and not _hosts(row.hosts) else []


def _types_in(workspace_id: str) -> Callable[[str], str | None]:
    """What gives the type of the workspace's credential of a name, None where there is none."""

    @cache
    def type_of(name: str) -> str | None:
        row = models.Credential.named(workspace_id, name)
        return None if row is None else str(row.type)

    return type_of


class UsedBy(NamedTuple):
    """A flow or an agent that names a credential. `status` is the flow's, None for an agent."""

    type: str
    id: str
    name: str
    status: str | None


# What is named by each version of a flow or an agent that was looked at: such a version never changes, and to read a
# thousand of them anew for each list would take longer than all the rest of it.
_known: dict[tuple[str, int], frozenset[str]] = {}


def used_by(workspace_id: str, rows: Iterable[models.Credential]) -> dict[str, list[UsedBy]]:
    """Who names each of these credentials, by its id: active flows, then others, then agents, each by their name.

    No credential is opened, and all flows are looked at together, the newest MOST_LOOKED_AT of them.
    """
    by_name: dict[str, list[UsedBy]] = {}
    for user, names in (*_flows(workspace_id), *_agents(workspace_id)):
        for name in names:
            by_name.setdefault(name, []).append(user)
    found = {row.id: {*by_name.get(row.name, ()), *by_name.get(row.id, ())} for row in rows}
    return {id_: sorted(users, key=_order) for id_, users in found.items()}


def _order(user: UsedBy) -> tuple[bool, bool, str, str]:
    return user.type == "agent", user.status != "active", user.name.casefold(), user.id


def _flows(workspace_id: str) -> Iterator[tuple[UsedBy, frozenset[str]]]:
    heads = list(Workflow.heads(workspace_id, MOST_LOOKED_AT))
    found = {key: _known[key] for id_, _, _, version in heads if (key := (id_, version)) in _known}
    lacking = [id_ for id_, _, _, version in heads if (id_, version) not in found]
    for begin in range(0, len(lacking), READ_AT_ONCE):
        for id_, version, text in models.definitions_of(lacking[begin : begin + READ_AT_ONCE]):
            found[id_, version] = frozenset(use.name for use in definitions.find_credentials(orjson.loads(text)))
    _remember(found)
    for id_, name, status, version in heads:
        # What was changed or deleted in between names nothing for now.
        yield UsedBy("flow", id_, name, status), found.get((id_, version), frozenset())


def _agents(workspace_id: str) -> Iterator[tuple[UsedBy, frozenset[str]]]:
    for row in models.Agent.of(workspace_id, "", MOST_LOOKED_AT):
        key = f"{workspace_id}/{row.id}", row.updated_at
        names = _known.get(key)
        if names is None:
            agent, _ = check(orjson.loads(row.definition))
            names = frozenset() if agent is None else frozenset(use.name for use in credentials_of(agent))
            _remember({key: names})
        yield UsedBy("agent", row.id, row.name, None), names


def _remember(found: dict[tuple[str, int], frozenset[str]]) -> None:
    """Keep these in mind, among no more than twice MOST_LOOKED_AT."""
    global _known
    _known = {**_known, **found} if len(_known) + len(found) <= 2 * MOST_LOOKED_AT else dict(found)


def check_unused(row: models.Credential, done: str, names: list[str]) -> None:
    """Conflict that names an active flow whose nodes name the credential by one of these names.

    A flow that is activated in this very moment is not seen; like any other, it then fails at that node.
    """
    # What JSON may write in several ways cannot be looked for in its text.
    plain = all(name.isascii() and name.isprintable() and not set(name) & set('"\\/') for name in names)
    for _, flow, text in Workflow.active_with(row.workspace_id, names if plain else []):
        if any(use.name in names for use in definitions.find_credentials(orjson.loads(text))):
            raise Conflict(f"The active flow {flow!r} uses this credential; it cannot be {done}")
