"""What agents remember, and how it is found again: by key, by words, or the newest first.

A memory that has expired is there for nobody, whether its row is deleted yet or not. Which rows are meant is asked of
indexes alone, since reading a column that stands behind a long content means reading all of that.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

from peewee import AutoField, IntegerField, TextField

from database import execute, write
from database.full_text import all_words

from .base import Base, new_id, now_ms
from .link_signatures import without_signatures

ENTRIES = 1_000  # of an agent, where nobody says another number
ROOM_AT_ONCE = 50  # that a write deletes where the number was set lower
EXPIRED_AT_ONCE = 10
STEP_SECONDS = 0.01
EXPIRED = "SELECT number FROM agent_memories WHERE expires_at <= ?"


class MemoryScope(NamedTuple):
    """Which memories are meant: those of an agent (None: of all) in these sessions (None: in all), alive at `now`."""

    workspace_id: str
    agent_id: str | None
    sessions: tuple[str, ...] | None
    now: int

    def where(self) -> tuple[str, tuple[Any, ...]]:
        """The condition in SQL, and its parameters; without what has expired."""
        sql, params = "workspace_id = ?", [self.workspace_id]
        if self.agent_id is not None:
            sql, params = f"{sql} AND agent_id = ?", [*params, self.agent_id]
        if self.sessions is not None:
            marks = ", ".join("?" * len(self.sessions))
            sql, params = f"{sql} AND session IN ({marks})", [*params, *self.sessions]
        return sql, tuple(params)

    def has(self, row: AgentMemory) -> bool:
        """Whether the row is meant."""
        return (
            row.workspace_id == self.workspace_id
            and self.agent_id in (None, row.agent_id)
            and (self.sessions is None or row.session in self.sessions)
            and not row.has_expired(self.now)
        )


class AgentMemory(Base):
    """One thing that an agent remembers. The same agent, session and key are the same memory.

    `number` rises with the age of what is there; the full-text index knows a memory by it. The session "" is shared by
    all sessions of the agent. `tags` is a JSON list.
    """

    prefix = "mem"
    number = AutoField()
    id = TextField(unique=True)
    workspace_id = TextField()
    agent_id = TextField()
    session = TextField()
    key = TextField()
    content = TextField()
    tags = TextField()
    created_at = IntegerField()
    updated_at = IntegerField()
    expires_at = IntegerField(null=True)

    class Meta:
        table_name = "agent_memories"

    def shows(self, search: str) -> bool:
        """Return True if all words of a search that found it are in what is shown without signatures of links."""
        written = "\n".join((self.key, self.content, self.tags)).encode()
        shown = without_signatures(written)
        return shown == written or all(word in shown.decode().lower() for word in search.lower().split())

    def has_expired(self, now: int) -> bool:
        return self.expires_at is not None and self.expires_at <= now

    @classmethod
    def find(cls, id_: Any) -> AgentMemory | None:
        """The memory of this id, None where there is none, or no longer."""
        row = cls.one("id = ?", id_)
        return None if row is None or row.has_expired(now_ms()) else row

    @classmethod
    def under(cls, workspace_id: str, agent_id: str, session: str, key: str, now: int) -> AgentMemory | None:
        """The memory under this key at this time."""
        row = cls._row_under(workspace_id, agent_id, session, key)
        return None if row is None or row.has_expired(now) else row

    @classmethod
    def _row_under(cls, *names: str) -> AgentMemory | None:
        return cls.one("workspace_id = ? AND agent_id = ? AND session = ? AND key = ?", *names)

    # Writing

    @classmethod
    def put(
        cls,
        workspace_id: str,
        agent_id: str,
        session: str,
        key: str,
        *,
        content: str,
        tags: str,
        expires_at: int | None = None,
        most: int = ENTRIES,
        now: int | None = None,
    ) -> AgentMemory:
        """Write the memory, replacing an earlier one of the same agent, session and key.

        Where the agent has more than `most` then, what was updated longest ago goes, in the same transaction.
        """
        now = now_ms() if now is None else now
        values = {"content": content, "tags": tags, "expires_at": expires_at, "updated_at": now}
        with write():
            row = cls._row_under(workspace_id, agent_id, session, key)
            if row is not None and row.has_expired(now):
                row.delete_instance()
                row = None
            if row is None:
                names = {"workspace_id": workspace_id, "agent_id": agent_id, "session": session, "key": key}
                row = cls.create(id=new_id(cls.prefix), created_at=now, **names, **values)
            else:
                row.__data__.update(values)
                row.save()
            row._make_room(most, now)
        return row

    def _make_room(self, most: int, now: int) -> None:
        """Delete what the agent has too much: what has expired, then what was updated longest ago, but not this."""
        agent = (self.workspace_id, self.agent_id)
        of_agent = "workspace_id = ? AND agent_id = ?"
        count = execute(f"SELECT COUNT(*) FROM agent_memories WHERE {of_agent}", agent).fetchone()[0]
        surplus = min(count - most, ROOM_AT_ONCE)
        if surplus > 0:
            surplus -= _delete(f"{EXPIRED} AND {of_agent} LIMIT ?", (now, *agent, surplus))
        if surplus > 0:
            oldest = f"SELECT number FROM agent_memories WHERE {of_agent} AND number <> ? ORDER BY updated_at LIMIT ?"
            _delete(oldest, (*agent, self.number, surplus))

    @classmethod
    def drop(cls, workspace_id: str, agent_id: str, session: str, key: str, now: int) -> bool:
        """Delete what is under the key at this time; whether there was anything."""
        with write():
            row = cls.under(workspace_id, agent_id, session, key, now)
            return row is not None and bool(row.delete_instance())

    @classmethod
    def forget(cls, scope: MemoryScope) -> Iterator[int]:
        """Delete all that is meant, oldest first, in transactions of some milliseconds; how many went in each."""
        numbers = cls.newest(scope, "", -1)
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

    @classmethod
    def remove_expired(cls, now: int, has_time: Callable[[], bool]) -> bool:
        """Delete what has expired while there is time, in one transaction; whether nothing is left."""
        with write():
            while has_time():
                if _delete(f"{EXPIRED} LIMIT ?", (now, EXPIRED_AT_ONCE)) < EXPIRED_AT_ONCE:
                    return True
        return False

    # Finding: the numbers first, then the rows, as many as are wanted

    @classmethod
    def best(cls, scope: MemoryScope, match: str, limit: int) -> list[int]:
        """The numbers of those that match in the full-text index, best first; of equal ones, the latest updated."""
        if not match:
            return []
        where, params = scope.where()
        sql = (
            "SELECT number FROM (SELECT rowid AS number, bm25(agent_memories_fts) AS score FROM agent_memories_fts "
            f"WHERE agent_memories_fts MATCH ? AND {_IS_MEANT.format(where)} ORDER BY score LIMIT ?) "
            "JOIN agent_memories USING (number) ORDER BY score, updated_at DESC, number DESC"
        )
        return _numbers(sql, (match, *params, scope.now, limit))

    @classmethod
    def latest(cls, scope: MemoryScope, limit: int) -> list[int]:
        """The numbers of those that were updated last."""
        where, params = scope.where()
        sql = f"SELECT number FROM agent_memories WHERE {where} AND number NOT IN ({EXPIRED})"
        return _numbers(f"{sql} ORDER BY updated_at DESC, number DESC LIMIT ?", (*params, scope.now, limit))

    @classmethod
    def newest(cls, scope: MemoryScope, search: str, limit: int, before: int | None = None) -> list[int]:
        """The numbers of those made last, before the number `before`; `search` wants all of its words, each by its
        beginning, in key, content or tags. `limit` -1: all.
        """
        where, params = scope.where()
        match = all_words(search)
        if match:
            sql = f"SELECT rowid FROM agent_memories_fts WHERE agent_memories_fts MATCH ? AND {_IS_MEANT.format(where)}"
            params = (match, *params)
        else:
            sql = f"SELECT number AS rowid FROM agent_memories WHERE {where} AND number NOT IN ({EXPIRED})"
        params = (*params, scope.now)
        if before is not None:
            sql, params = f"{sql} AND rowid < ?", (*params, before)
        return _numbers(f"{sql} ORDER BY rowid DESC LIMIT ?", (*params, limit))

    @classmethod
    def rows(cls, numbers: Iterable[int], scope: MemoryScope) -> Iterator[AgentMemory]:
        """The memories of these numbers, each read when it is asked for; without those that are gone meanwhile."""
        for number in numbers:
            row = cls.one("number = ?", number)
            if row is not None and scope.has(row):
                yield row

    @classmethod
    def listed(
        cls, scope: MemoryScope, search: str, limit: int, before: str | None
    ) -> tuple[list[AgentMemory], str | None]:
        """A page of them, newest first, and the number to go on from, None at the end."""
        older = None if before is None else int(before if before.isdecimal() else 0)
        numbers = cls.newest(scope, search, limit + 1, older)
        return list(cls.rows(numbers[:limit], scope)), str(numbers[limit - 1]) if len(numbers) > limit else None


# The plus keeps SQLite from asking the full-text index for each number by itself, which takes a hundred times as long.
_IS_MEANT = f"+rowid IN (SELECT number FROM agent_memories WHERE {{}}) AND +rowid NOT IN ({EXPIRED})"


def _delete(numbers: str, params: tuple[Any, ...]) -> int:
    """Delete the memories whose numbers this SELECT gives; how many."""
    return int(execute(f"DELETE FROM agent_memories WHERE number IN ({numbers})", params).rowcount)


def _numbers(sql: str, params: tuple[Any, ...]) -> list[int]:
    return [number for (number,) in execute(sql, params).fetchall()]
