"""Server state that outlives restarts."""

from __future__ import annotations

from database import SET_FACT, execute, write
from errors import ConfigError
from models import ServerFact

PAUSED = "paused"
# The place to which the data of this database was or is being moved; and in the new database, the token of its move.
MOVED, MOVING, MOVED_FROM = "moved_to", "moving_to", "moved_from"
IF_UNDONE = (
    "To use this one again, and lose all changes made there since, run "
    "`python workflow_server.py migrate-to-postgres --undo`"
)
OF_ONE_DATABASE = {MOVED, MOVING, MOVED_FROM}


def pause(reason: str) -> None:
    """Pause all servers on this database."""
    with write():
        execute(SET_FACT, (PAUSED, reason))


def resume() -> bool:
    """Resume the servers within seconds. Return True if they were paused."""
    with write():
        return bool(execute("DELETE FROM server_facts WHERE name = ?", (PAUSED,)).rowcount)


def is_paused() -> bool:
    """Return True until `resume`, if `pause` was called."""
    return ServerFact.find(PAUSED) is not None


def check_not_moved() -> None:
    """Check that the data is still in this database. Raises: ConfigError if it was moved, perhaps incompletely."""
    moved, moving, path = ServerFact.find(MOVED), ServerFact.find(MOVING), ServerFact._meta.database.database
    if moved is not None:
        raise ConfigError(
            f"The data of {path} was moved to {moved.value}, and this copy of it is not used any more: set "
            f"DATABASE_URL to that database. {IF_UNDONE}"
        )
    if moving is not None:
        raise ConfigError(
            f"The data of {path} was being moved to {moving.value.partition(' ')[2]} when the move was "
            "interrupted, at its end: repeat `migrate-to-postgres` with the same URL, which finds out whether it "
            f"was complete. {IF_UNDONE}"
        )
