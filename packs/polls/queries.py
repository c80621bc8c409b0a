"""Polls: the polled triggers, their next poll, their state and the entries that they know.

A poll belongs to one process from `claim` on, and `version` is its fencing token: a later claim, or a change of the
flow, increments it, and writes of the earlier claim then change nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Mapping
from typing import Any, NamedTuple

from database import execute, execute_all, fetch_value, is_postgres, write
from database.base import DAY_MS, LOCKED, now_ms
from models import Poll

CLAIM_MS = 150_000  # until another process may take over an unfinished poll
KEPT_MS = 30 * DAY_MS  # of a trigger that is not polled, and of an entry that the source no longer shows
KEPT_ENTRIES = 1_000  # entries that the source no longer shows, of any age
MAX_ENTRIES = 10_000


class Claim(NamedTuple):
    """A trigger claimed for a poll. Its state is that of the source `state_of`; `begun` is 1 after the first poll."""

    workflow_id: str
    node_id: str
    type: str
    every: float
    source: str
    version: int
    state_of: str | None
    state: str | None
    begun: int
    failures: int
    last_error: str | None

    @property
    def is_new(self) -> bool:
        """Return True if this source has not been polled yet."""
        return self.state_of != self.source

    @property
    def state_text(self) -> str | None:
        """Return the state for the next poll of this source."""
        return None if self.is_new else self.state


SELECT = f"SELECT {', '.join(Claim._fields)} FROM polls"
THIS = "workflow_id = ? AND node_id = ?"
IDLE = "next_at IS NULL AND idle_since < ?"


def sync(flow: Any, wanted: Iterable[tuple[str, Mapping[str, Any]]], now: int | None = None) -> None:
    """Set the flow's polled triggers to exactly these: node id and `{type, every, source}`.

    Call it in the transaction that changes the flow. Removed triggers keep their state for a while, so that a flow
    continues where it was when it is reactivated. A poll in progress loses its claim.
    """
    now = now_ms() if now is None else now
    configs = dict(wanted)
    with write():
        rows = Poll.each(f"workflow_id = ? ORDER BY node_id {LOCKED}", (flow.id,))
        present = {row.node_id: row for row in rows}
        for node_id in present.keys() - configs.keys():
            idle = "next_at = NULL, idle_since = ?, owner = NULL, version = version + 1"
            execute(f"UPDATE polls SET {idle} WHERE {THIS} AND next_at IS NOT NULL", (now, flow.id, node_id))
        for node_id, config in configs.items():
            row = present.get(node_id)
            if row is not None and row.idle_since is not None and now - row.idle_since > KEPT_MS:
                drop(flow.id, node_id)
                row = None
            _put(flow, node_id, config, row, now)


def _put(flow: Any, node_id: str, config: Mapping[str, Any], present: Poll | None, now: int) -> None:
    said = (config["type"], config["every"], config["source"])
    if present is None:
        sql = (
            "INSERT INTO polls (workflow_id, node_id, workspace_id, type, every, source, next_at, moved_at, "
            "version, begun, failures) VALUES (?, ?, ?, ?, ?, ?, ?, ?, 1, 0, 0)"
        )
        execute(sql, (flow.id, node_id, flow.workspace_id, *said, now, now))
        return
    # A trigger that was interrupted, has failed or was changed is polled immediately.
    begins = present.owner is not None or present.failures or present.source != config["source"]
    later = now + round(config["every"] * 1000)
    next_at = now if begins or present.next_at is None else min(present.next_at, later)
    sql = (
        "UPDATE polls SET type = ?, every = ?, source = ?, next_at = ?, moved_at = ?, idle_since = NULL, "
        f"owner = NULL, failures = 0, version = version + 1 WHERE {THIS}"
    )
    execute(sql, (*said, next_at, now, flow.id, node_id))


def drop(workflow_id: str, node_id: str | None = None) -> None:
    """Delete the trigger with its entries, or all triggers of the flow. Call inside a transaction."""
    for table in ("polls", "poll_entries"):
        where = "workflow_id = ? AND node_id = COALESCE(?, node_id)"
        execute(f"DELETE FROM {table} WHERE {where}", (workflow_id, node_id))


def prune(now: int) -> int:
    """Delete triggers that have been idle too long to continue. Return their number."""
    old = execute(f"SELECT workflow_id, node_id FROM polls WHERE {IDLE}", (now - KEPT_MS,)).fetchall()
    gone = 0
    for this in old:
        with write():
            # Unless its flow was activated since.
            if execute(f"DELETE FROM polls WHERE {THIS} AND {IDLE}", (*this, now - KEPT_MS)).rowcount:
                drop(*this)
                gone += 1
    return gone


def claim(owner: str, now: int, limit: int, but: Collection[tuple[str, str]] = ()) -> list[Claim]:
    """Claim due triggers except `but`, most overdue first; others may take over after CLAIM_MS."""
    sql = f"{SELECT} WHERE next_at <= ? ORDER BY next_at LIMIT ?"
    due = [Claim(*row) for row in execute(sql, (now, limit + len(but))).fetchall()]
    due = [claim for claim in due if (claim.workflow_id, claim.node_id) not in but][:limit]
    if not due:
        return []
    sql = f"UPDATE polls SET owner = ?, version = version + 1, next_at = ?, moved_at = ? WHERE {THIS} AND version = ?"
    with write():
        # Always in the same order of rows, which prevents deadlocks.
        taken = {
            claim
            for claim in sorted(due, key=_fence)
            if execute(sql, (owner, now + CLAIM_MS, now, *_fence(claim))).rowcount
        }
    return [claim._replace(version=claim.version + 1) for claim in due if claim in taken]


def holds(claim: Claim) -> bool:
    """Return True if this claim still owns the poll. Call inside a transaction."""
    return fetch_value(f"SELECT 1 FROM polls WHERE {THIS} AND version = ? {LOCKED}", _fence(claim)) is not None


def reset_state(claim: Claim) -> None:
    """Delete the state of another source, in the transaction that stores the first state of this one."""
    sql = f"UPDATE polls SET state_of = source, state = NULL, begun = 0 WHERE {THIS} AND version = ?"
    if execute(sql, _fence(claim)).rowcount:
        execute(f"DELETE FROM poll_entries WHERE {THIS}", (claim.workflow_id, claim.node_id))


def end(claim: Claim, now: int, next_at: int | None, **values: Any) -> bool:
    """Release the claim and set these columns. Return False if it belonged to another process."""
    row = {"owner": None, "next_at": next_at, "moved_at": now, **values}
    columns = ", ".join(f"{key} = ?" for key in row)
    sql = f"UPDATE polls SET {columns}, version = version + 1 WHERE {THIS} AND version = ?"
    with write():
        return bool(execute(sql, (*row.values(), *_fence(claim))).rowcount)


def update_held(claim: Claim, now: int, **values: Any) -> bool:
    """Set these columns and keep the claim. Return False if it belongs to another process."""
    row = {"moved_at": now, **values}
    columns = ", ".join(f"{key} = ?" for key in row)
    with write():
        return bool(
            execute(
                f"UPDATE polls SET {columns} WHERE {THIS} AND version = ?", (*row.values(), *_fence(claim))
            ).rowcount
        )


def extend(claims: Iterable[Claim], now: int, until: int) -> None:
    """Extend these claims to this time, as far as they are still valid."""
    sql = f"UPDATE polls SET next_at = ?, moved_at = ? WHERE {THIS} AND version = ?"
    with write():
        execute_all((sql, (until, now, *_fence(claim))) for claim in sorted(claims, key=_fence))


def held(owner: str) -> set[tuple[str, str, int]]:
    """Return flow, node and version of all claims of `owner`."""
    sql = "SELECT workflow_id, node_id, version FROM polls WHERE owner = ?"
    return {(row[0], row[1], row[2]) for row in execute(sql, (owner,)).fetchall()}


def release(owner: str, now: int) -> None:
    """Release the unfinished polls of `owner`, so that other processes may poll immediately."""
    sql = "UPDATE polls SET owner = NULL, next_at = ?, moved_at = ?, version = version + 1 WHERE owner = ?"
    with write():
        _lock_claimed()
        execute(sql, (now, now, owner))


def take_over(owner: str, now: int) -> int:
    """Release polls of the former leader, and polls scheduled while the clock was ahead. Return their number."""
    others = "UPDATE polls SET owner = NULL, next_at = ?, moved_at = ?, version = version + 1 WHERE owner <> ?"
    ahead = (
        "UPDATE polls SET next_at = CASE WHEN owner IS NULL THEN ? ELSE ? END, moved_at = ? "
        "WHERE moved_at > ? AND next_at > ?"
    )
    with write():
        _lock_claimed()
        moved: int = execute(others, (now, now, owner)).rowcount
        return moved + int(execute(ahead, (now, now + CLAIM_MS, now, now, now)).rowcount)


def _fence(claim: Claim) -> tuple[Any, ...]:
    return claim.workflow_id, claim.node_id, claim.version


def _lock_claimed() -> None:
    """Lock all claimed triggers on PostgreSQL, in the order of `claim`."""
    if is_postgres():
        execute(f"SELECT 1 FROM polls WHERE owner IS NOT NULL ORDER BY workflow_id, node_id {LOCKED}")


def digest(key: str) -> bytes:
    """Return the digest that represents a key in the table."""
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest()[:16]


def known_entries(claim: Claim) -> dict[bytes, int | None]:
    """Return all entries that the trigger knows, with the time since when the source no longer shows them."""
    sql = f"SELECT entry, gone_at FROM poll_entries WHERE {THIS}"
    return dict(execute(sql, (claim.workflow_id, claim.node_id)).fetchall())


def find_known(claim: Claim, entries: Collection[bytes]) -> set[bytes]:
    """Return which of these entries the trigger knows."""
    marks = ", ".join("?" * len(entries))
    sql = f"SELECT entry FROM poll_entries WHERE {THIS} AND entry IN ({marks})"
    this = (claim.workflow_id, claim.node_id)
    return {bytes(row[0]) for row in execute(sql, (*this, *entries)).fetchall()} if entries else set()


def learn(claim: Claim, entries: Iterable[tuple[bytes, str | None]], now: int, shown: bool) -> None:
    """Store these entries, each with its run or None. Call inside a transaction.

    `shown`: the source is assumed to show them until a poll finds that it does not.
    """
    sql = "INSERT INTO poll_entries (workflow_id, node_id, entry, run_id, seen_at, gone_at) VALUES (?, ?, ?, ?, ?, ?)"
    this, gone = (claim.workflow_id, claim.node_id), None if shown else now
    execute_all((sql, (*this, entry, run_id, now, gone)) for entry, run_id in entries)


def mark(claim: Claim, known: Mapping[bytes, int | None], shown: Collection[bytes], now: int) -> None:
    """Record which of the known entries the source shows. Call inside a transaction."""
    sql = f"UPDATE poll_entries SET gone_at = ? WHERE {THIS} AND entry = ?"
    this = (claim.workflow_id, claim.node_id)
    back = [(None, *this, entry) for entry in shown if known[entry] is not None]
    gone = [(now, *this, entry) for entry, since in known.items() if since is None and entry not in shown]
    execute_all((sql, row) for row in (*back, *gone))


def prune_entries(claim: Claim, count: int, now: int) -> int:
    """Delete entries that the source has not shown for long. Return their number. Call inside a transaction.

    `count` is the maximum number of known entries.
    """
    if count <= KEPT_ENTRIES:
        return 0
    old = find_outdated(known_entries(claim), now)
    sql = f"DELETE FROM poll_entries WHERE {THIS} AND entry = ?"
    execute_all((sql, (claim.workflow_id, claim.node_id, entry)) for entry in old)
    return len(old)


def find_outdated(known: Mapping[bytes, int | None], now: int) -> list[bytes]:
    """Return the entries to delete: not shown for a month, except the newest thousand; and those over the maximum."""
    gone = sorted(((since, entry) for entry, since in known.items() if since is not None), reverse=True)
    room = max(0, MAX_ENTRIES - (len(known) - len(gone)))
    return [
        entry
        for number, (since, entry) in enumerate(gone)
        if number >= room or (number >= KEPT_ENTRIES and since < now - KEPT_MS)
    ]
