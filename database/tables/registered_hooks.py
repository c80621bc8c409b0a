"""Registered hooks: the webhooks that this server adds in services for app triggers, and removes again (an outbox).

A row is written in the transaction that activates, changes or deletes a flow, before any request to the service. Its
state `adding` becomes `added` once the service has the webhook. With `removing`, the row is deleted once the service
has no webhook with our address, or a user confirms that it was removed by hand. So after a crash at any point, rows
describe the remaining work. It can be repeated, because the webhooks of a service are found by our address.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import orjson
from peewee import IntegerField, TextField

from database import execute, fetch_value, write
from errors import DefinitionError, Issue

from .base import Base, insert, new_id, now_ms
from .credentials import Credential
from .leases import is_there, this_process
from .locks import lock_names

CLAIM_MS = 60_000  # longer than the work may take
CHECK_MS = 86_400_000  # between two checks that the service still has the webhook
OTHER_CLAIMED = (
    "EXISTS (SELECT 1 FROM registered_hooks o WHERE o.id <> h.id AND o.path = h.path AND o.scope = h.scope "
    "AND o.claimed_until > ?)"
)


class RegisteredHook(Base):
    """`scope` is the place of the webhook in the service (JSON: service, account, settings), `events` a JSON list.

    `url` is the whole address, once the service may know it. `secret` is encrypted; it is set if the service creates
    it. `next_at` is when the next work is due, `claimed_until` the end of its claim, and `version` the fencing token of
    the claim. Times are in ms.
    """

    prefix = "hk"
    ADDING, ADDED, REMOVING = "adding", "added", "removing"

    id = TextField(primary_key=True)
    workspace_id = TextField()
    workflow_id = TextField()
    node_id = TextField()
    type = TextField()
    path = TextField()
    scope = TextField()
    events = TextField()
    account_id = TextField()
    url = TextField(null=True)
    state = TextField()
    secret = TextField(null=True)
    next_at = IntegerField()
    claimed_until = IntegerField()
    claimed_by = TextField(null=True)
    version = IntegerField()
    attempts = IntegerField()
    last_error = TextField(null=True)
    created_at = IntegerField()

    class Meta:
        table_name = "registered_hooks"

    @classmethod
    def sync(cls, flow: Any, wanted: Iterable[tuple[str, Mapping[str, Any]]]) -> None:
        """Set the flow's hooks to `(node id, {type, path, account, settings, events})`. Call it inside `write()`.

        Raises: DefinitionError for an account that does not exist or has a wrong type.
        """
        wanted = list(wanted)
        if wanted:
            lock_names("credentials", (flow.workspace_id,), shared=True)
        now = now_ms()
        missing = {node_id: _values(flow, node_id, config) for node_id, config in wanted}
        for row in cls.each("workflow_id = ? AND state <> 'removing' ORDER BY id", (flow.id,)):
            if row.same(missing.get(row.node_id, {})):
                del missing[row.node_id]
            else:
                sql = (
                    "UPDATE registered_hooks SET state = 'removing', next_at = ?, attempts = 0, last_error = NULL, "
                    "version = version + 1 WHERE id = ?"
                )
                execute(sql, (now, row.id))
        for node_id, values in missing.items():
            new = {
                "id": new_id(cls.prefix), "workspace_id": flow.workspace_id, "workflow_id": flow.id,
                "node_id": node_id, **values, "url": None, "state": cls.ADDING, "secret": None, "next_at": now,
                "claimed_until": 0, "claimed_by": None, "version": 1, "attempts": 0, "last_error": None,
                "created_at": now,
            }  # fmt: skip
            execute(*insert("registered_hooks", new))

    def same(self, values: Mapping[str, Any]) -> bool:
        """Return True if the hook has these values."""
        return {name: getattr(self, name) for name in values} == values and bool(values)

    @classmethod
    def of_node(cls, workflow_id: str, node_id: str) -> list[RegisteredHook]:
        """Return the hooks of a node, newest first: the service may still sign with the secret of an earlier one."""
        return list(cls.each("workflow_id = ? AND node_id = ? ORDER BY id DESC LIMIT 5", (workflow_id, node_id)))

    @classmethod
    def claim_due(cls, now: int, most: int) -> list[RegisteredHook]:
        """Claim rows with due work, except rows for a place in a service at which another row is claimed."""
        due = (
            "SELECT h.id FROM registered_hooks h WHERE h.next_at <= ? AND h.claimed_until <= ? "
            f"AND NOT {OTHER_CLAIMED} ORDER BY h.next_at, h.id LIMIT ?"
        )
        if fetch_value("SELECT MIN(next_at) FROM registered_hooks") is None:
            return []
        cls._free_abandoned(now)
        ids = [id_ for (id_,) in execute(due, (now, now, now, most)).fetchall()]
        return [row for id_ in ids if (row := cls._claim(id_, now)) is not None]

    @classmethod
    def _free_abandoned(cls, now: int) -> None:
        """Release the claims of killed processes on this machine."""
        claimed = execute("SELECT id, claimed_by FROM registered_hooks WHERE claimed_until > ?", (now,)).fetchall()
        for id_, process in claimed:
            if process is not None and is_there(process) is False:
                with write():
                    sql = "UPDATE registered_hooks SET claimed_until = 0 WHERE id = ? AND claimed_by = ?"
                    execute(sql, (id_, process))

    @classmethod
    def _claim(cls, id_: str, now: int) -> RegisteredHook | None:
        with write():
            sql = (
                "UPDATE registered_hooks AS h SET claimed_until = ?, claimed_by = ?, version = version + 1 "
                f"WHERE h.id = ? AND h.next_at <= ? AND h.claimed_until <= ? AND NOT {OTHER_CLAIMED}"
            )
            claimed = execute(sql, (now + CLAIM_MS, this_process(), id_, now, now, now)).rowcount
            return cls.find(id_) if claimed else None

    def hand_over(self) -> bool:
        """Delete the row if another one wants a hook at this place of the service: adding that one replaces this one.

        The other row then has the address, so it can remove this hook even if it is never added. Return False if no
        other row wants the hook, or if this process has lost its claim.
        """
        sql = (
            "UPDATE registered_hooks SET url = COALESCE(url, ?) "
            "WHERE path = ? AND scope = ? AND state <> 'removing' AND id <> ?"
        )
        with write():
            return bool(execute(sql, (self.url, self.path, self.scope, self.id)).rowcount) and self.end()

    def check_others(self) -> None:
        """Make a check of the hooks with this address due: the removed webhook may have been theirs."""
        with write():
            sql = "UPDATE registered_hooks SET next_at = ? WHERE url = ? AND state = 'added' AND id <> ?"
            execute(sql, (now_ms(), self.url, self.id))

    @classmethod
    def failing(cls, workspace_id: str, most: int) -> list[RegisteredHook]:
        """Return the hooks whose last attempt failed, the newest first."""
        where = "workspace_id = ? AND last_error IS NOT NULL ORDER BY id DESC LIMIT ?"
        return list(cls.each(where, (workspace_id, most)))

    @classmethod
    def try_again(cls, account_id: str) -> None:
        """Make failed work with this account due, because the account was changed."""
        with write():
            sql = "UPDATE registered_hooks SET next_at = ? WHERE account_id = ? AND last_error IS NOT NULL"
            execute(sql, (now_ms(), account_id))

    def forget(self) -> bool:
        """Delete the row of a hook that a user removed by hand, even if it is claimed. Return False if it is needed."""
        with write():
            sql = "DELETE FROM registered_hooks WHERE id = ? AND state = 'removing'"
            return bool(execute(sql, (self.id,)).rowcount)

    @property
    def is_current(self) -> bool:
        """Return True if the claim is still valid: neither a change of the flow nor another process has ended it."""
        return fetch_value("SELECT version FROM registered_hooks WHERE id = ?", (self.id,)) == self.version

    def put(self, **values: Any) -> bool:
        """Set these columns. Return False, without a change, if the claim is no longer valid."""
        names = ", ".join(f"{name} = ?" for name in values)
        with write():
            sql = f"UPDATE registered_hooks SET {names} WHERE id = ? AND version = ?"
            return bool(execute(sql, (*values.values(), self.id, self.version)).rowcount)

    def give_back(self) -> None:
        """Release a claim that became invalid by a change of the flow, so that the new work can begin."""
        with write():
            sql = "UPDATE registered_hooks SET claimed_until = 0 WHERE id = ? AND claimed_until = ?"
            execute(sql, (self.id, self.claimed_until))

    def end(self) -> bool:
        """Delete the row, if the claim is still valid."""
        with write():
            sql = "DELETE FROM registered_hooks WHERE id = ? AND version = ?"
            return bool(execute(sql, (self.id, self.version)).rowcount)

    @classmethod
    def add_all_again(cls) -> None:
        """Make all hooks due to be added again, because their secrets have changed. Call inside a transaction."""
        sql = "UPDATE registered_hooks SET state = 'adding', secret = NULL, next_at = 0 WHERE state = 'added'"
        execute(sql)
        execute("UPDATE registered_hooks SET secret = NULL")


def _values(flow: Any, node_id: str, config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the columns that depend on a node's config."""
    name, found = config["account"], Credential.named(flow.workspace_id, config["account"])
    if found is None:
        raise _refuse(node_id, f"there is no credential {name!r}")
    if found.type not in config["account_types"]:
        raise _refuse(node_id, f"{name!r} is of type {found.type}; it must be {' or '.join(config['account_types'])}")
    scope = {"type": config["type"], "account": str(found.id), **config["settings"]}
    return {
        "type": config["type"], "path": config["path"], "account_id": str(found.id),
        "scope": orjson.dumps(scope, option=orjson.OPT_SORT_KEYS).decode(),
        "events": orjson.dumps(config["events"]).decode(),
    }  # fmt: skip


def _refuse(node_id: str, message: str) -> DefinitionError:
    return DefinitionError([Issue(f"nodes ({node_id}).config.account", message, node_id)])
