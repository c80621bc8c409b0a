"""What the server has to know about itself from one start to the next."""

from __future__ import annotations

from peewee import TextField

from database import execute, write

from .base import Base

PAUSED = "paused"


class Fact(Base):
    """`key`: the fingerprint of the key that the stored credentials are encrypted with. `version`: the version that has
    opened the database last. `paused`: why no run starts, until `resume`.
    """

    name = TextField(primary_key=True)
    value = TextField()

    @classmethod
    def pause(cls, reason: str) -> None:
        """Let every server on this database be paused."""
        with write():
            execute("INSERT OR REPLACE INTO server_facts (name, value) VALUES (?, ?)", (PAUSED, reason))

    @classmethod
    def resume(cls) -> bool:
        """Let the servers go on within seconds. Return True if they were paused."""
        with write():
            return bool(execute("DELETE FROM server_facts WHERE name = ?", (PAUSED,)).rowcount)

    @classmethod
    def is_paused(cls) -> bool:
        """Return True until `resume`, if `pause` was called."""
        return cls.find(PAUSED) is not None

    class Meta:
        table_name = "server_facts"
