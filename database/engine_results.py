"""Values that both engines return: the size of the database, and the function that executes statements."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

Execute: TypeAlias = Callable[[str, tuple[Any, ...]], int]  # one statement; the number of rows that it changed


class Space(NamedTuple):
    """The size of the database on the disk in bytes: in all, and the part that is free for new rows."""

    total: int
    free: int

    @property
    def used(self) -> int:
        return self.total - self.free
