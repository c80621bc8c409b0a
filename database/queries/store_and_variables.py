"""Values of a workspace that flows read: the store, which nodes write, and the variables, which people set."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pkgutil import resolve_name
from typing import Any, NamedTuple

import orjson

from database import execute, is_postgres, settings_commits, write
from database.base import insert, made_at, now_ms
from database.queries.locks import lock_names
from database.shared import QueryCache
from errors import Conflict, NodeError, TooLarge
from models import StoreEntry
from registry import explain_off, registry

SET = (
    "INSERT INTO store_entries (workspace_id, key, value, expires_at, updated_at) VALUES (?, ?, ?, ?, ?) "
    "ON CONFLICT (workspace_id, key) DO UPDATE SET value = excluded.value, expires_at = excluded.expires_at, "
    "updated_at = excluded.updated_at"
)
LAST = "\U0010ffff"  # the last character


def live(workspace_id: str) -> Any:
    """Return the condition for the workspace's unexpired entries."""
    return (StoreEntry.workspace_id == workspace_id) & (
        StoreEntry.expires_at.is_null() | (StoreEntry.expires_at > now_ms())
    )


def page(workspace_id: str, prefix: str, after: str | None, limit: int) -> list[StoreEntry]:
    """Return entries whose keys begin with the prefix and come after the key `after`, by key."""
    query = StoreEntry.select().where(live(workspace_id))
    if prefix:
        query = query.where((StoreEntry.key >= prefix) & (StoreEntry.key < prefix + LAST))
    if after is not None:
        query = query.where(StoreEntry.key > after)
    return list(query.order_by(StoreEntry.key).limit(limit))


def find_live(workspace_id: str, key: str) -> StoreEntry | None:
    """Return the entry with this key, or None."""
    found: StoreEntry | None = StoreEntry.get_or_none(live(workspace_id) & (StoreEntry.key == key))
    return found


class WorkspaceStore:
    """One workspace's store for nodes (`nodes.base.Store`). Values are JSON, `ttl` is in seconds.

    `clean` redacts secrets in JSON text.
    """

    def __init__(self, workspace_id: str, clean: Callable[[bytes], bytes] = lambda encoded: encoded) -> None:
        self.workspace_id, self.clean = workspace_id, clean

    @property
    def tables(self) -> Any:
        """Return the workspace's tables (`nodes.base.Tables`). Their module is loaded at the first use.

        Raises: NodeError if their pack is off.
        """
        if not registry.tables:
            raise NodeError(f"tables are not available{explain_off()}", permanent=True)
        return resolve_name(registry.tables)(self.workspace_id, self.clean)

    def get(self, key: str) -> Any:
        """Return the value, or None."""
        row = find_live(self.workspace_id, self._key(key))
        return None if row is None else orjson.loads(row.value)

    def set(self, key: str, value: Any, ttl: float | None = None) -> None:
        """Store the value under the key, replacing an earlier one. Raises: TypeError if it is not JSON."""
        text = self.clean(orjson.dumps(value)).decode()
        now = now_ms()
        expires = None if ttl is None else now + int(ttl * 1000)
        with write():
            self._lock(key)
            execute(SET, (self.workspace_id, self._key(key), text, expires, now))

    def delete(self, key: str) -> bool:
        """Delete the entry. Return True if it existed."""
        with write():
            self._lock(key)
            found = live(self.workspace_id) & (StoreEntry.key == self._key(key))
            return bool(StoreEntry.delete().where(found).execute())

    def increment(self, key: str, by: float = 1, ttl: float | None = None) -> float:
        """Add to the number under the key, by default 0, and return it. Raises: TypeError if it is not a number."""
        with write():
            self._lock(key)
            present = self.get(key)
            if present is None:
                present = 0
            if isinstance(present, bool) or not isinstance(present, int | float):
                raise TypeError(f"the value under {key!r} is not a number")
            self.set(key, present + by, ttl)
        total: float = present + by
        return total

    def _lock(self, key: str) -> None:
        """Lock the key, whether it has a row or not."""
        lock_names("store", (f"{self.workspace_id} {self._key(key)}",))

    def _key(self, key: str) -> str:
        """Return the stored form of the key: secrets in it are redacted, always in the same way."""
        return str(orjson.loads(self.clean(orjson.dumps(key))))

    def list(self, prefix: str = "", limit: int = 100) -> list[dict[str, Any]]:
        """Return entries by key that begins with the prefix: `{"key", "value"}`."""
        rows = page(self.workspace_id, prefix, None, limit)
        return [{"key": row.key, "value": orjson.loads(row.value)} for row in rows]


# Variables of a workspace: named JSON values that all of its flows read as `vars.<name>`.
#
# Each change adds a set of all variables, which counts from a moment on. A run reads the set that counted when it was
# accepted: nothing has to be recorded for it, and it finds the same values whenever it is resumed.

MAX_VARIABLES, MAX_BYTES = 200, 64 * 1024  # of a workspace, as JSON
MAX_SETS = 50  # kept for a workspace; a run from before the oldest set reads the oldest
# The delay between the commit of a set and `effective_at`, so that all processes have read it by then. PostgreSQL needs
# more, because processes query for changes.
LEAD_MS, LEAD_MS_POSTGRES = 50, 1_000
NOTHING: Mapping[str, Any] = {}


class VariablesSince(NamedTuple):
    """The variables since `effective_at`, in milliseconds since 1970."""

    effective_at: int
    variables: Mapping[str, Any]


def find_variables(workspace_id: str, run_id: str | None = None) -> Mapping[str, Any]:
    """Return the workspace's variables at the time of the run's id, or now. It is fast if there are none."""
    sets = _sets.get(workspace_id, lambda: _read(workspace_id))
    if not sets:
        return NOTHING
    at_ms = now_ms() if run_id is None else made_at(run_id)
    for one in sets:
        if one.effective_at <= at_ms:
            return one.variables
    return sets[-1].variables if len(sets) == MAX_SETS else NOTHING


def current_variables(workspace_id: str) -> dict[str, Any]:
    """Return the workspace's variables of the latest change."""
    sets = _read(workspace_id)
    return dict(sets[0].variables) if sets else {}


def set_variable(workspace_id: str, name: str, value: Any) -> int:
    """Set a variable. Return the time from which it counts, in milliseconds.

    Raises: Conflict if there are too many; TooLarge.
    """
    with write():
        variables = _begin(workspace_id)
        if name not in variables and len(variables) >= MAX_VARIABLES:
            raise Conflict(f"The workspace already has {MAX_VARIABLES} variables; delete one first")
        return _put(workspace_id, variables | {name: value})


def delete_variable(workspace_id: str, name: str) -> int | None:
    """Delete a variable. Return the time from which it is gone; None if it did not exist."""
    with write():
        variables = _begin(workspace_id)
        if name not in variables:
            return None
        del variables[name]
        return _put(workspace_id, variables)


def _begin(workspace_id: str) -> dict[str, Any]:
    lock_names("variables", (workspace_id,))
    return current_variables(workspace_id)


def _put(workspace_id: str, variables: dict[str, Any]) -> int:
    text = orjson.dumps(variables)
    if len(text) > MAX_BYTES:
        raise TooLarge(f"The variables have more than {MAX_BYTES:,} bytes in total; use files or tables")
    sets = _read(workspace_id)
    at = now_ms() + (LEAD_MS_POSTGRES if is_postgres() else LEAD_MS)
    if sets:
        at = max(at, sets[0].effective_at + 1)
    row = {"workspace_id": workspace_id, "effective_at": at, "variables": text.decode()}
    execute(*insert("variable_sets", row))
    if len(sets) >= MAX_SETS:
        oldest = sets[MAX_SETS - 2].effective_at
        execute("DELETE FROM variable_sets WHERE workspace_id = ? AND effective_at < ?", (workspace_id, oldest))
    return at


def _read(workspace_id: str) -> tuple[VariablesSince, ...]:
    """Return the sets of the workspace, the latest first."""
    sql = "SELECT effective_at, variables FROM variable_sets WHERE workspace_id = ? ORDER BY effective_at DESC LIMIT ?"
    return tuple(
        VariablesSince(at, orjson.loads(text)) for at, text in execute(sql, (workspace_id, MAX_SETS)).fetchall()
    )


_sets: QueryCache[str, tuple[VariablesSince, ...]] = QueryCache(settings_commits)
