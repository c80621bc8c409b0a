"""Memories of agents, found by key, by full-text search, or newest first.

No query returns an expired memory, whether or not its row is deleted yet. Rows are selected by indexes alone, because
reading a column stored after a long `content` means reading all of the content.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any, NamedTuple

from database import execute, fetch_value, write
from database.base import LOCKED, STEP_SECONDS, UNLOCKED_ONLY, new_id, now_ms
from database.full_text import EXPIRED, all_words, save_words, select_matching
from database.queries.locks import lock_names
from database.queries.waits import without_signatures
from models import AgentMemory

MAX_ENTRIES = 1_000  # of an agent, by default
ROOM_AT_ONCE = 50  # entries that a write deletes if the maximum was lowered
EXPIRED_AT_ONCE = 10
READ_AT_ONCE = 10
BY_NAME = "workspace_id = ? AND agent_id = ? AND session = ? AND key = ?"


class MemoryName(NamedTuple):
    """The identity of a memory. The session "" is shared by all sessions of the agent."""

    workspace_id: str
    agent_id: str
    session: str
    key: str


class MemoryScope(NamedTuple):
    """A set of memories: of one agent (None: of all) in these sessions (None: in all), not expired at `now`."""

    workspace_id: str
    agent_id: str | None
    sessions: tuple[str, ...] | None
    now: int

    def where(self) -> tuple[str, tuple[Any, ...]]:
        """Return the SQL condition and its parameters, without the condition on expiry."""
        sql, params = "workspace_id = ?", [self.workspace_id]
        if self.agent_id is not None:
            sql, params = f"{sql} AND agent_id = ?", [*params, self.agent_id]
        if self.sessions is not None:
            marks = ", ".join("?" * len(self.sessions))
            sql, params = f"{sql} AND session IN ({marks})", [*params, *self.sessions]
        return sql, tuple(params)

    def has(self, row: AgentMemory) -> bool:
        """Return True if the row is in the scope."""
        return (
            row.workspace_id == self.workspace_id
            and self.agent_id in (None, row.agent_id)
            and (self.sessions is None or row.session in self.sessions)
            and not has_expired(row, self.now)
        )


def shows(memory: AgentMemory, search: str) -> bool:
    """Return True if all words of a search that found it are in the text as shown, without link signatures."""
    written = "\n".join((memory.key, memory.content, memory.tags)).encode()
    shown = without_signatures(written)
    return shown == written or all(word in shown.decode().lower() for word in search.lower().split())


def has_expired(memory: AgentMemory, now: int) -> bool:
    return memory.expires_at is not None and memory.expires_at <= now


def find(id_: Any) -> AgentMemory | None:
    """Return the memory with this id, or None if it does not exist or has expired."""
    row = AgentMemory.one("id = ?", id_)
    return None if row is None or has_expired(row, now_ms()) else row


class LiveMemory:
    """For views whose path names a memory (api/http/auth.py): one that has expired is not found."""

    @classmethod
    def find(cls, id_: str) -> AgentMemory | None:
        return find(id_)


def under(name: MemoryName, now: int, lock: str = "") -> AgentMemory | None:
    """Return the memory with this name, or None if it does not exist or has expired at `now`."""
    row = AgentMemory.one(f"{BY_NAME} {lock}", *name)
    return None if row is None or has_expired(row, now) else row


def put(
    name: MemoryName, content: str, tags: str, expires_at: int | None = None, most: int = MAX_ENTRIES,
    now: int | None = None,
) -> AgentMemory:  # fmt: skip
    """Save the memory, replacing one with the same name, and return it.

    If the agent then has more than `most`, the least recently updated ones are deleted in the same transaction.
    """
    now = now_ms() if now is None else now
    values = {"content": content, "tags": tags, "expires_at": expires_at, "updated_at": now}
    with write():
        _lock_agent(name)
        row = under(name, now, LOCKED)
        if row is not None:
            row.__data__.update(values)
            row.save()
        else:
            execute(f"DELETE FROM agent_memories WHERE {BY_NAME}", name)  # one that has expired
            row = AgentMemory.create(id=new_id(AgentMemory.prefix), created_at=now, **name._asdict(), **values)
        save_words(row.number, name.key, content, tags)
        _make_room(row, most, now)
    return row


def _make_room(memory: AgentMemory, most: int, now: int) -> None:
    """Delete the agent's surplus memories: expired ones, then the least recently updated, but never this one."""
    agent = (memory.workspace_id, memory.agent_id)
    of_agent = "workspace_id = ? AND agent_id = ?"
    count = fetch_value(f"SELECT COUNT(*) FROM agent_memories WHERE {of_agent}", agent)
    surplus = min(count - most, ROOM_AT_ONCE)
    if surplus > 0:
        surplus -= _delete(f"{EXPIRED} AND {of_agent} LIMIT ? {UNLOCKED_ONLY}", (now, *agent, surplus))
    if surplus > 0:
        oldest = f"SELECT number FROM agent_memories WHERE {of_agent} AND number <> ? ORDER BY updated_at LIMIT ?"
        _delete(oldest, (*agent, memory.number, surplus))


def drop(name: MemoryName, now: int) -> bool:
    """Delete the memory with this name. Return True if there was one that had not expired at `now`."""
    with write():
        _lock_agent(name)
        row = under(name, now)
        return row is not None and bool(row.delete_instance())


def forget(scope: MemoryScope) -> Iterator[int]:
    """Delete the memories in the scope, oldest first, in transactions of STEP_SECONDS. Yield the count of each."""
    numbers = newest(scope, "", None)
    same, params = scope.where()
    meant = f"SELECT number FROM agent_memories WHERE number = ? AND {same}"
    while numbers:
        gone = 0
        with write():
            end = time.monotonic() + STEP_SECONDS
            while numbers:
                gone += _delete(meant, (numbers.pop(), *params))
                if time.monotonic() > end:
                    break
        yield gone


def remove_expired(now: int, has_time: Callable[[], bool]) -> bool:
    """Delete expired memories in one transaction while there is time. Return True if none is left.

    One that is being written at this moment is left, since it may not expire any more.
    """
    with write():
        while has_time():
            if _delete(f"{EXPIRED} LIMIT ? {UNLOCKED_ONLY}", (now, EXPIRED_AT_ONCE)) < EXPIRED_AT_ONCE:
                return True
    return False


def best(scope: MemoryScope, match: str, limit: int) -> list[int]:
    """Return the numbers of memories that match the full-text query, best first, then latest update first."""
    if not match:
        return []
    where, params = scope.where()
    sql = (
        f"SELECT number FROM ({select_matching(where)} ORDER BY score LIMIT ?) AS found "
        "JOIN agent_memories USING (number) ORDER BY score, updated_at DESC, number DESC"
    )
    return _numbers(sql, (match, *params, scope.now, limit))


def latest(scope: MemoryScope, limit: int) -> list[int]:
    """Return the numbers of the most recently updated memories."""
    where, params = scope.where()
    sql = f"SELECT number FROM agent_memories WHERE {where} AND number NOT IN ({EXPIRED})"
    return _numbers(f"{sql} ORDER BY updated_at DESC, number DESC LIMIT ?", (*params, scope.now, limit))


def newest(scope: MemoryScope, search: str, limit: int | None, before: int | None = None) -> list[int]:
    """Return the numbers of the newest memories below the number `before`. `limit` None: all.

    `search` filters by words in key, content or tags: all must match, each may be the beginning of a longer word.
    """
    where, params = scope.where()
    if search.replace("\0", " ").strip():
        match = all_words(search)
        if not match:
            return []
        matching, params = select_matching(where), (match, *params)
    else:
        matching = f"SELECT number FROM agent_memories WHERE {where} AND number NOT IN ({EXPIRED})"
    sql, params = f"SELECT number FROM ({matching}) AS found", (*params, scope.now)
    if before is not None:
        sql, params = f"{sql} WHERE number < ?", (*params, before)
    sql = f"{sql} ORDER BY number DESC"
    return _numbers(sql, params) if limit is None else _numbers(f"{sql} LIMIT ?", (*params, limit))


def rows(numbers: Iterable[int], scope: MemoryScope) -> Iterator[AgentMemory]:
    """Yield the memories with these numbers, without ones deleted or expired meanwhile.

    They are read on demand, READ_AT_ONCE by a query: a memory can be long, and so can the way to the database be.
    """
    rest = iter(numbers)
    while some := tuple(islice(rest, READ_AT_ONCE)):
        found = {row.number: row for row in AgentMemory.each(f"number IN ({', '.join('?' * len(some))})", some)}
        yield from (row for number in some if (row := found.get(number)) is not None and scope.has(row))


def listed(scope: MemoryScope, search: str, limit: int, before: str | None) -> tuple[list[AgentMemory], str | None]:
    """Return a page of memories, newest first, and the cursor of the next page, None at the end."""
    older = None if before is None else int(before if before.isdecimal() else 0)
    numbers = newest(scope, search, limit + 1, older)
    return list(rows(numbers[:limit], scope)), str(numbers[limit - 1]) if len(numbers) > limit else None


def _lock_agent(name: MemoryName) -> None:
    lock_names("memories", (f"{name.workspace_id} {name.agent_id}",))


def _delete(numbers: str, params: tuple[Any, ...]) -> int:
    """Delete the memories with the numbers of this SELECT. Return their count."""
    # So PostgreSQL executes the SELECT once. In the IN, one with locks may be executed again for each row, and then it
    # passes over the rows that it has locked, to others beyond its LIMIT.
    sql = f"DELETE FROM agent_memories WHERE number IN (WITH chosen AS ({numbers}) SELECT number FROM chosen)"
    return int(execute(sql, params).rowcount)


def _numbers(sql: str, params: tuple[Any, ...]) -> list[int]:
    return [number for (number,) in execute(sql, params).fetchall()]
