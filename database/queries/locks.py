"""Locks within a transaction, for PostgreSQL, whose writers are concurrent. SQLite has one writer and needs none.

A transaction takes its locks in this order, so that deadlocks are rare:

1. names, by `lock_names` or `FlowLock`: in the order of KINDS, and in each call in the order of their numbers;
2. rows of runs, in the order of their ids;
3. rows of other tables that belong to one of these runs, or to one of these names;
4. counts of runs by day, in the order of their keys;
5. with COMMIT, a counter of changes (postgres.py).

A transaction that deletes rows without a lock of their names skips locked rows (UNLOCKED_ONLY).

Taking a lock is a statement of its own, because only later statements see the commit of the transaction that had the
lock before. If a deadlock happens anyway, PostgreSQL ends one of the transactions: see `Deadlock`.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Any, NamedTuple

from database import execute, is_postgres
from database.base import IN_LIST, LOCKED, Write, encode_list

# The kinds of names, in the order in which a transaction takes their locks.
KINDS = (
    "key",  # the server's key: exclusive to check it at the start or to replace it, shared to encrypt with it
    "founder",  # a user who creates workspaces
    "address",  # an email address, with or without a user
    "admins",  # all admins
    "members",  # the members of a workspace, and the invitations to it
    "login",  # a counter of failed logins
    "workflow",  # a flow
    "patterns",  # all paths of webhooks with parameters
    "webhook",  # a path
    "listener",  # the listener for a test call of a flow
    "labels",  # folders and tags of a workspace
    "filters",  # the saved filters of a user
    "credentials", "presets", "agents", "files",  # of a workspace
    "memories",  # of an agent
    "store",  # a key of a workspace's store
    "tables",  # the names of a workspace's tables
    "table",  # a table with its rows
    "variables",  # of a workspace
    "rate",  # a rate limit of a workspace
    "debounce",  # the calls of a trigger with one key
    "retention",  # the deletion of old runs
    "flow",  # the active runs of a flow
    "days",  # the counts of a workspace's past days
)  # fmt: skip
RUN_ID = re.compile(r"run_[0-7][0-9A-HJKMNP-TV-Z]{25}\Z")
# The bounds of the ids limit PostgreSQL to the partitions between them: usually one.
LOCK_RUNS = f"SELECT id FROM runs WHERE id >= ? AND id <= ? AND id {IN_LIST} ORDER BY id {LOCKED}"
# A negative number stands for a shared lock.
LOCK_NAMES = (
    "SELECT CASE WHEN key > 0 THEN pg_advisory_xact_lock(key) ELSE pg_advisory_xact_lock_shared(-key) END FROM "
    "(SELECT CAST(value AS BIGINT) AS key FROM (SELECT value FROM json_each(?)) AS listed) AS keys"
)
# Writes that need no lock: of complete new runs, which no other transaction can see yet, and of log entries.
NEEDS_NO_LOCK = ("INSERT INTO runs (", "INSERT INTO steps (", "INSERT INTO log_entries (")


class FlowLock(NamedTuple):
    """A lock of a flow's runs, as an item of a unit; its row count is 1. It is taken before the whole unit.

    `alone` is for a transaction that counts the flow's active runs and then adds one. Transactions that end runs share
    the lock.
    """

    workflow_id: str
    alone: bool = False


def lock_names(kind: str, names: Iterable[str], shared: bool = False) -> None:
    """Wait for the locks of these names and keep them until the end of the transaction.

    Raises: ValueError for a kind that is not in KINDS, with SQLite too, where it locks nothing.
    """
    if kind not in KINDS:
        raise ValueError(f"unknown kind of a lock: {kind}")
    if is_postgres():
        execute(*make_names_lock(kind, names, shared))


def make_names_lock(kind: str, names: Iterable[str], shared: bool = False) -> Write:
    """Return the statement of `lock_names`."""
    return Write(LOCK_NAMES, (_encode_keys({_key(kind, name): not shared for name in names}),))


def lock_flow(workflow_id: str) -> None:
    """Let no other transaction add or end a run of the flow, until the end of this one."""
    lock_names("flow", (workflow_id,))


def lock_runs(ids: Iterable[str]) -> None:
    """Let no other transaction change these runs, until the end of this one."""
    if is_postgres():
        execute(*_make_runs_lock(ids))


def make_locks(items: Iterable[Any]) -> list[Write]:
    """Return the statements that lock what these items of units need: flows, and every run that a statement names."""
    keys: dict[int, bool] = {}
    changes = []
    for item in items:
        if isinstance(item, FlowLock):
            key = _key("flow", item.workflow_id)
            keys[key] = keys.get(key, False) or item.alone
        elif isinstance(item, Write) and _needs_lock(item.sql):
            changes.append(item)
    runs = find_runs(changes)
    found = [Write(LOCK_NAMES, (_encode_keys(keys),))] if keys else []
    return [*found, _make_runs_lock(runs)] if runs else found


def _make_runs_lock(ids: Iterable[str]) -> Write:
    ordered = sorted(ids)
    return Write(LOCK_RUNS, (*(ordered[:1] or [""]), *(ordered[-1:] or [""]), encode_list(ordered)))


def find_runs(items: Iterable[Any]) -> set[str]:
    """Return the ids of all runs that the statements among these items name."""
    writes = [item for item in items if isinstance(item, Write)]
    return {value for write in writes for value in write.params if type(value) is str and RUN_ID.match(value)}


def adds_only(items: Iterable[Any]) -> bool:
    """Return True if all statements among these items add new runs with their steps, or log entries."""
    return not any(isinstance(item, Write) and _needs_lock(item.sql) for item in items)


@lru_cache(4_096)
def _needs_lock(sql: str) -> bool:
    return not (sql.startswith(NEEDS_NO_LOCK) and " VALUES (" in sql)


@lru_cache(4_096)
def _key(kind: str, name: str) -> int:
    """Return the positive number of 63 bits under which PostgreSQL locks this name."""
    digest = hashlib.blake2b(f"{kind} {name}".encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest) >> 1 or 1


def _encode_keys(keys: dict[int, bool]) -> str:
    return encode_list(str(key if alone else -key) for key, alone in sorted(keys.items()))
