"""Variables of a workspace: named JSON values that all of its flows read as `vars.<name>`.

Each change adds a set of all variables, which counts from a moment on. A run reads the set that counted when it was
accepted: nothing has to be recorded for it, and it finds the same values whenever it is resumed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import orjson

from database import execute, is_postgres, settings_commits, write
from database.base import insert, made_at, now_ms
from database.queries.locks import lock_names
from database.shared import QueryCache
from errors import Conflict, TooLarge

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
