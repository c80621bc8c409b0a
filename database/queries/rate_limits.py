"""Rate limits of nodes, shared by all processes and machines of a workspace.

The window slides: a start is allowed if fewer than `calls` nodes have started within the last `per` seconds. A node
over the limit gets a turn, one after the other, and asks again when it has come, because others may have started later
than at their turns.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import orjson

from database import execute, write
from database.base import now_ms
from database.queries.locks import lock_names

KEEP = (
    "INSERT INTO rate_limits (workspace_id, key, empty_at, state) VALUES (?, ?, ?, ?) "
    "ON CONFLICT (workspace_id, key) DO UPDATE SET empty_at = excluded.empty_at, state = excluded.state"
)
# A start counts a little longer than its window, because requests take different times to arrive: a part, and ms.
MARGIN_SHARE, MAX_MARGIN = 0.05, 50
MAX_STARTS = 256  # entries of a row: for more starts, neighbours share an entry


class Starts(NamedTuple):
    """The starts within `window` ms as pairs of a time in ms and a number, oldest first; and the last turn given."""

    window: int = 0
    turn: int = 0
    starts: tuple[tuple[int, int], ...] = ()

    @property
    def empty_at(self) -> int:
        """Return when nothing of it counts any more, in ms."""
        return max([self.turn, *(at for at, _ in self.starts[-1:])]) + self.window

    def at(self, now: int) -> Starts:
        """Return the starts that count now. If the clock was set back, they count as if no time had passed."""
        ahead = max(0, self.starts[-1][0] - now) if self.starts else 0
        kept = tuple((at - ahead, count) for at, count in self.starts if at - ahead > now - self.window)
        return Starts(self.window, self.turn - ahead, kept)

    def take(self, calls: int, per: float, now: int, has_waited: bool) -> tuple[int, Starts]:
        """Return 0 for a start now, else the ms to wait before asking again, with the new state."""
        length = math.ceil(per * 1000)
        window = length + max(1, min(MAX_MARGIN, int(length * MARGIN_SHARE)))
        present = self._replace(window=max(window, self.window)).at(now)
        free_at = present.find_free(calls, window, now)
        if has_waited:
            return (free_at - now, present) if free_at > now else (0, present.add(now))
        if present.turn > now:  # others wait: the turn comes after theirs
            free_at = max(free_at, present.turn + math.ceil(window / calls))
        return (free_at - now, present._replace(turn=free_at)) if free_at > now else (0, present.add(now))

    def find_free(self, calls: int, window: int, now: int) -> int:
        """Return when fewer than `calls` starts are in a window that ends then."""
        for at, count in reversed(self.starts):
            calls -= count
            if calls <= 0:
                return max(now, at + window)
        return now

    def add(self, now: int) -> Starts:
        """Add a start. If there are too many entries, two neighbours become one, which counts until the later."""
        starts = [*self.starts, (now, 1)]
        if len(starts) > MAX_STARTS:  # the two that are the closest to the one before them, so that no span gets long
            at = min(range(2, len(starts)), key=lambda index: starts[index][0] - starts[index - 2][0])
            starts[at - 1 : at + 1] = [(starts[at][0], starts[at - 1][1] + starts[at][1])]
        return self._replace(starts=tuple(starts))


def take(workspace_id: str, key: str, calls: int, per: float, has_waited: bool = False) -> float:
    """Take a start of a limit of `calls` in `per` seconds, or get a turn. Return the seconds until that; 0: start.

    After the wait, ask again with `has_waited`: then the start is free, or becomes so soon.
    """
    with write():
        lock_names("rate", (f"{workspace_id} {key}",))
        found = execute(
            "SELECT state FROM rate_limits WHERE workspace_id = ? AND key = ?", (workspace_id, key)
        ).fetchone()
        known = Starts() if found is None or found[0] is None else Starts(*orjson.loads(found[0]))
        wait, state = known.take(calls, per, now_ms(), has_waited)
        execute(KEEP, (workspace_id, key, state.empty_at * 1000, orjson.dumps([*state]).decode()))
    return wait / 1000
