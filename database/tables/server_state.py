"""Server state that outlives restarts."""

from __future__ import annotations

from peewee import TextField

from database import SET_FACT, execute, write

from .base import Base

PAUSED = "paused"


class Fact(Base):
    """`key`: fingerprint of the key that encrypts the credentials. `version`: the last version that opened it.
    `paused`: why no run starts, until `resume`.
    """

    name = TextField(primary_key=True)
    value = TextField()

    @classmethod
    def pause(cls, reason: str) -> None:
        """Pause all servers on this database."""
        with write():
            execute(SET_FACT, (PAUSED, reason))

    @classmethod
    def resume(cls) -> bool:
        """Resume the servers within seconds. Return True if they were paused."""
        with write():
            return bool(execute("DELETE FROM server_facts WHERE name = ?", (PAUSED,)).rowcount)

    @classmethod
    def is_paused(cls) -> bool:
        """Return True until `resume`, if `pause` was called."""
        return cls.find(PAUSED) is not None

    class Meta:
        table_name = "server_facts"
