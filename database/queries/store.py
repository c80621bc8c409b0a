"""The key-value store of a workspace, which its flows read and write."""

from __future__ import annotations

from collections.abc import Callable
from pkgutil import resolve_name
from typing import Any

import orjson

from database import execute, write
from database.base import now_ms
from database.queries.locks import lock_names
from errors import NodeError
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
