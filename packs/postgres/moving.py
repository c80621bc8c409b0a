"""Moving a server's data from its SQLite file to a new PostgreSQL database.

Both databases have their transaction, and either may be interrupted between any two steps. So the last steps are: the
SQLite file notes that a move is about to be committed (`moving_to`, with a token), PostgreSQL commits the data with the
token, the file notes that its data was moved (`moved_to`). From the first of these on no server starts on the file. If
the command is interrupted before it, nothing has changed; after it, repeating the command finds out by the token
whether PostgreSQL has the data.
"""

from __future__ import annotations

import secrets
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from database import SET_FACT, execute, shared, write
from database.queries import leases, server_state
from database.queries.server_state import MOVED, MOVED_FROM, MOVING
from database.sqlite import db
from errors import Conflict
from models import ServerFact
from packs.moving.rows import Copied, Report, SqliteTables, copy_all
from packs.postgres import transactions


class Moved(NamedTuple):
    """Result of a move: the place without a password, and the copied rows; None if an earlier command copied them."""

    place: str
    copied: Copied | None


def move(url: str, values: Path, lease_seconds: int, report: Report) -> Moved:
    """Move the data of the connected, migrated SQLite database to the empty PostgreSQL database at this URL.

    `values` is the folder of large values, which stays as it is. The write lock is held meanwhile.

    Raises: BadInput for an invalid URL; Conflict if a server is alive, the target is not empty or an error of it;
        ConfigError if the data was moved before.
    """
    place = transactions.describe_place(url)
    with shared.lock:
        # The marks in this file must not be undone by a power failure: PostgreSQL has the data then.
        execute("PRAGMA synchronous = FULL")
        if living := leases.find_living():
            raise Conflict(
                f"A server is working on {db.database} ({', '.join(living)}); stop it first. A server that was killed "
                f"counts as stopped after {lease_seconds} seconds"
            )
        token = _check_not_moved(place)
        with transactions.open_new(url) as target:
            if token is not None and target.was_filled_by(token):
                _mark_moved(place)
                return Moved(place, None)
            token = secrets.token_hex(16)
            with write():
                target.create_tables()
                copied = copy_all(SqliteTables(db.connection(), values), target, report)
                target.set_fact(MOVED_FROM, token)
                target.analyze()
                execute(SET_FACT, (MOVING, f"{token} {place}"))
            try:
                target.commit()
            except transactions.UnknownOutcome:
                raise
            except Exception:  # refused; but after an interruption by the user it may have succeeded
                _forget_move()
                raise
        _mark_moved(place)
    return Moved(place, copied)


def undo() -> str | None:
    """Let servers start on the connected SQLite file again. Return the place that its data was moved to, or None."""
    with write():
        moved, moving = ServerFact.find(MOVED), ServerFact.find(MOVING)
        _forget_move()
    if moved is not None:
        return str(moved.value.partition(" ")[0])
    return None if moving is None else str(moving.value.partition(" ")[2])


def _check_not_moved(place: str) -> str | None:
    """Return the token of an interrupted move to the same place, or None. Raises: ConfigError if the data was moved."""
    moving = ServerFact.find(MOVING)
    if moving is not None and ServerFact.find(MOVED) is None:
        token, _, to = moving.value.partition(" ")
        if to == place:
            return str(token)
    server_state.check_not_moved()
    return None


def _mark_moved(place: str) -> None:
    now = datetime.now(UTC).isoformat(sep=" ", timespec="seconds")
    with write():
        _forget_move()
        execute(SET_FACT, (MOVED, f"{place} at {now}"))


def _forget_move() -> None:
    with write():
        execute("DELETE FROM server_facts WHERE name IN (?, ?)", (MOVED, MOVING))
