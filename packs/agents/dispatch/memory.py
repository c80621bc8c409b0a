"""Memory of agents: the service of their runs and of the nodes (`Context.agents.memory`).

Every argument is validated, since it may be a model's answer. Secrets that the run has seen are redacted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import orjson

from database.base import now_ms
from database.full_text import all_words, any_word
from database.queries import agent_memory
from database.queries.agent_memory import MemoryName, MemoryScope
from errors import LimitExceeded, NodeError
from fields import iso
from models import AgentMemory
from packs.agents.nodes.memory import MAX_AGENT, MAX_CONTENT, MAX_FOUND, MAX_KEY, MAX_TAG, MAX_TAGS
from packs.agents.nodes.memory import MAX_SECONDS as MAX_EXPIRY
from packs.agents.runtime.prompts import CHARS_PER_TOKEN

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
        row = agent_memory.under(self._memory_name(agent_id, session, key), self.now())
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
        content, tags = self._redact([_text("content", content, MAX_CONTENT), _tags(tags)])
        expires_at = None if expires_in is None else now + int(_seconds(expires_in) * 1000)
        return _entry(agent_memory.put(name, content, orjson.dumps(tags).decode(), expires_at, self.most, now))

    def delete(self, agent_id: str, key: str, session: str = "") -> bool:
        """Delete the entry. Return False if there was none."""
        return agent_memory.drop(self._memory_name(agent_id, session, key), self.now())

    def search(self, agent_id: str, query: str, session: str | None = None, limit: int = 10) -> list[dict[str, Any]]:
        """Return the entries with all words of the query, best first; if no entry has all, entries with any word.

        They are of all sessions, or of one session and the shared entries. With an empty query, the latest.
        """
        scope, text, limit = self._scope(agent_id, session), _question("query", query), _limit(limit)
        if text.strip():
            found = agent_memory.best(scope, all_words(text), limit) or agent_memory.best(scope, any_word(text), limit)
        else:
            found = agent_memory.latest(scope, limit)
        return [_entry(row) for row in agent_memory.rows(found, scope)]

    def recall(self, agent_id: str, session: str, task: str, token_budget: int) -> list[dict[str, Any]]:
        """Return relevant entries for a task within the token budget: `{"key", "content", "tags", "updated_at"}`.

        They are of this session or shared: first entries with words of the task, best first, then the latest. A token
        counts as CHARS_PER_TOKEN characters. An entry that does not fit is left out, or its content is cut to at least
        MIN_CUT characters and ends with `…`.
        """
        scope = self._scope(agent_id, session)
        best = agent_memory.best(scope, any_word(_question("task", task)), MAX_RECALLED)
        numbers = dict.fromkeys([*best, *agent_memory.latest(scope, MAX_RECALLED)])
        return _fit(agent_memory.rows(numbers, scope), token_budget * CHARS_PER_TOKEN)

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


def _tags(values: Any) -> list[str]:
    _check(isinstance(values, list | tuple), "tags must be a list of texts")
    if len(values) > MAX_TAGS:
        raise LimitExceeded(f"there are {len(values)} tags; at most {MAX_TAGS} are allowed")
    return [_text("a tag", value, MAX_TAG, 1) for value in values]


def _seconds(value: Any) -> float:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    _check(is_number and 1 <= value <= MAX_EXPIRY, f"expires_in must be a number of seconds from 1 to {MAX_EXPIRY}")
    return float(value)


def _limit(value: Any) -> int:
    _check(type(value) is int, "limit must be a whole number")
    return max(1, min(int(value), MAX_FOUND))


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


def _fit(rows: Iterable[AgentMemory], room: int) -> list[dict[str, Any]]:
    """Return the entries that fit into `room` characters, in their order; a content may be cut."""
    found = []
    for row in rows:
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
