"""Memories of agents, found by key, by full-text search, or newest first; `WorkspaceMemory` is their use in a run.

No query returns an expired memory, whether or not its row is deleted yet. Rows are selected by indexes alone, because
reading a column stored after a long `content` means reading all of the content.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, NamedTuple

import orjson

from database import execute, fetch_value, write
from database.base import LOCKED, STEP_SECONDS, UNLOCKED_ONLY, new_id, now_ms
from database.full_text import EXPIRED, all_words, any_word, save_words, select_matching
from database.queries.locks import lock_names
from database.queries.retention import delete_memories
from database.queries.waits import without_signatures
from errors import LimitExceeded, NodeError
from fields import iso
from models import AgentMemory
from packs.agents.nodes.memory import MAX_AGENT, MAX_CONTENT, MAX_FOUND, MAX_KEY, MAX_TAG, MAX_TAGS
from packs.agents.nodes.memory import MAX_SECONDS as MAX_EXPIRY
from packs.agents.runtime.prompts import CHARS_PER_TOKEN

MAX_ENTRIES = 1_000  # of an agent, by default
ROOM_AT_ONCE = 50  # entries that a write deletes if the maximum was lowered
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
        # Delete surplus memories: expired ones, then the least recently updated, but never this one.
        agent = (row.workspace_id, row.agent_id)
        of_agent = "workspace_id = ? AND agent_id = ?"
        count = fetch_value(f"SELECT COUNT(*) FROM agent_memories WHERE {of_agent}", agent)
        surplus = min(count - most, ROOM_AT_ONCE)
        if surplus > 0:
            surplus -= delete_memories(f"{EXPIRED} AND {of_agent} LIMIT ? {UNLOCKED_ONLY}", (now, *agent, surplus))
        if surplus > 0:
            oldest = f"SELECT number FROM agent_memories WHERE {of_agent} AND number <> ? ORDER BY updated_at LIMIT ?"
            delete_memories(oldest, (*agent, row.number, surplus))
    return row


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
                gone += delete_memories(meant, (numbers.pop(), *params))
                if time.monotonic() > end:
                    break
        yield gone


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


def _numbers(sql: str, params: tuple[Any, ...]) -> list[int]:
    return [number for (number,) in execute(sql, params).fetchall()]


# The service of agents' runs and of the nodes (`Context.agents.memory`).
#
# Every argument is validated, since it may be a model's answer. Secrets that the run has seen are redacted.

MAX_RECALLED = 100  # entries of each kind (best, latest) from which `recall` chooses
OVERHEAD = 40  # characters of an entry besides its texts: its time, punctuation
MIN_CUT = 200  # characters: a shorter start of a content says too little
ELLIPSIS = "…"


class WorkspaceMemory:
    """Memory of the agents of one workspace. `clean` redacts secrets in JSON text, `now` returns the time in ms.

    An agent has at most `most` entries. Every call is atomic across processes.

    An entry is `{"id", "agent_id", "session", "key", "content", "tags", "expires_at", "created_at", "updated_at"}`; the
    times are ISO 8601 text. The session "" is shared by all sessions of the agent.
    """

    def __init__(
        self,
        workspace_id: str,
        clean: Callable[[bytes], bytes] = lambda encoded: encoded,
        most: int = 1_000,
        now: Callable[[], int] = now_ms,
    ) -> None:
        self.workspace_id, self.clean, self.most, self.now = workspace_id, clean, most, now

    def read(self, agent_id: str, key: str, session: str = "") -> dict[str, Any] | None:
        """Return the entry with this key, or None."""
        row = under(self._memory_name(agent_id, session, key), self.now())
        return None if row is None else _entry(row)

    def write(
        self,
        agent_id: str,
        key: str,
        content: str,
        session: str = "",
        tags: Sequence[str] = (),
        expires_in: float | None = None,
    ) -> dict[str, Any]:
        """Save an entry, replacing one with the same key and its expiry, and return it.

        `expires_in` is in seconds, None: never. Raises: NodeError if a value is too long or is not text.
        """
        name, now = self._memory_name(agent_id, session, key), self.now()
        _check(isinstance(tags, list | tuple), "tags must be a list of texts")
        if len(tags) > MAX_TAGS:
            raise LimitExceeded(f"there are {len(tags)} tags; at most {MAX_TAGS} are allowed")
        tags = [_text("a tag", tag, MAX_TAG, 1) for tag in tags]
        content, tags = self._redact([_text("content", content, MAX_CONTENT), tags])
        expires_at = None
        if expires_in is not None:
            is_number = isinstance(expires_in, int | float) and not isinstance(expires_in, bool)
            in_bounds = is_number and 1 <= expires_in <= MAX_EXPIRY
            _check(in_bounds, f"expires_in must be a number of seconds from 1 to {MAX_EXPIRY}")
            expires_at = now + int(expires_in * 1000)
        return _entry(put(name, content, orjson.dumps(tags).decode(), expires_at, self.most, now))

    def delete(self, agent_id: str, key: str, session: str = "") -> bool:
        """Delete the entry. Return False if there was none."""
        return drop(self._memory_name(agent_id, session, key), self.now())

    def search(self, agent_id: str, query: str, session: str | None = None, limit: int = 10) -> list[dict[str, Any]]:
        """Return the entries with all words of the query, best first; if no entry has all, entries with any word.

        They are of all sessions, or of one session and the shared entries. With an empty query, the latest.
        """
        scope, text = self._scope(agent_id, session), _question("query", query)
        _check(type(limit) is int, "limit must be a whole number")
        limit = max(1, min(limit, MAX_FOUND))
        if text.strip():
            found = best(scope, all_words(text), limit) or best(scope, any_word(text), limit)
        else:
            found = latest(scope, limit)
        return [_entry(row) for row in rows(found, scope)]

    def recall(self, agent_id: str, session: str, task: str, token_budget: int) -> list[dict[str, Any]]:
        """Return relevant entries for a task within the token budget: `{"key", "content", "tags", "updated_at"}`.

        They are of this session or shared: first entries with words of the task, best first, then the latest. A token
        counts as CHARS_PER_TOKEN characters. An entry that does not fit is left out, or its content is cut to at least
        MIN_CUT characters and ends with `…`.
        """
        scope = self._scope(agent_id, session)
        matching = best(scope, any_word(_question("task", task)), MAX_RECALLED)
        numbers = dict.fromkeys([*matching, *latest(scope, MAX_RECALLED)])
        found: list[dict[str, Any]] = []
        room = token_budget * CHARS_PER_TOKEN
        for row in rows(numbers, scope):
            tags, content = orjson.loads(row.tags), row.content
            left = room - OVERHEAD - len(row.key) - sum(map(len, tags))
            if len(content) > left:
                if left < MIN_CUT:
                    continue
                content = content[: left - len(ELLIPSIS)] + ELLIPSIS
            found.append({"key": row.key, "content": content, "tags": tags, "updated_at": iso(row.updated_at)})
            room = left - len(content)
            if room <= OVERHEAD:
                break
        return found

    def _scope(self, agent_id: str, session: str | None) -> MemoryScope:
        """Return the scope of a session of the agent: its own and the shared entries. None: all entries."""
        sessions = None if session is None else tuple({self._name("session", session, MAX_KEY, 0), ""})
        return MemoryScope(self.workspace_id, self._name("agent_id", agent_id, MAX_AGENT), sessions, self.now())

    def _memory_name(self, agent_id: str, session: str, key: str) -> MemoryName:
        return MemoryName(
            self.workspace_id,
            self._name("agent_id", agent_id, MAX_AGENT),
            self._name("session", session, MAX_KEY, 0),
            self._name("key", key, MAX_KEY),
        )

    def _name(self, what: str, value: str, most: int, least: int = 1) -> str:
        """Return the name with secrets redacted, as it is stored: so every use of it finds the same entry."""
        return str(self._redact(_text(what, value, most, least)))

    def _redact(self, value: Any) -> Any:
        return orjson.loads(self.clean(orjson.dumps(value)))


def _check(is_valid: bool, problem: str) -> None:
    if not is_valid:
        raise NodeError(problem, permanent=True)


def _text(what: str, value: Any, most: int, least: int = 0) -> str:
    """Check that the value is text of at most `most` characters, and not blank if `least` is 1. Return it."""
    storable = _question(what, value)
    if len(value) > most:
        raise LimitExceeded(f"{what} has {len(value)} characters; at most {most} are allowed")
    _check(not least or bool(value.strip()), f"{what} must not be empty")
    _check("\0" not in value and storable == value, f"{what} must not contain NUL or half a surrogate pair")
    return storable


def _question(what: str, value: Any) -> str:
    """Return the text with halves of surrogate pairs replaced, which the database does not take."""
    _check(isinstance(value, str), f"{what} must be text")
    return str(value).encode("utf-8", "replace").decode()


def _entry(row: AgentMemory) -> dict[str, Any]:
    return {
        "id": row.id, "agent_id": row.agent_id, "session": row.session, "key": row.key, "content": row.content,
        "tags": orjson.loads(row.tags), "expires_at": None if row.expires_at is None else iso(row.expires_at),
        "created_at": iso(row.created_at), "updated_at": iso(row.updated_at),
    }  # fmt: skip
