"""The space that a database takes on the disk."""

from __future__ import annotations

from typing import NamedTuple


class Space(NamedTuple):
    """The size of the database on the disk in bytes: in all, and the part that is free for new rows."""

    total: int
    free: int

    @property
    def used(self) -> int:
        return self.total - self.free
