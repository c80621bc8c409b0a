"""Filters of a list that a user has saved under a name."""

from __future__ import annotations

from typing import Any

from database import execute, fetch_value, write
from database.queries.locks import lock_names
from errors import Conflict
from models import SavedFilter

MAX_SAVED = 50  # of a user, for a page of a workspace
OWN = "workspace_id = ? AND user_id = ? AND page = ?"


def of(workspace_id: str, user_id: str, page: str) -> list[SavedFilter]:
    """Return the user's filters for this page of the workspace, by name."""
    return list(SavedFilter.each(f"{OWN} ORDER BY lower(name), id", (workspace_id, user_id, page)))


def save_new(**values: Any) -> SavedFilter:
    """Save a filter. Raises: Conflict if the name is taken, or if the user has too many."""
    with write():
        _lock(values["user_id"])
        own = (values["workspace_id"], values["user_id"], values["page"])
        _check_name(own, values["name"])
        if fetch_value(f"SELECT COUNT(*) FROM saved_filters WHERE {OWN}", own) >= MAX_SAVED:
            raise Conflict(f"You already have {MAX_SAVED} saved filters on this page; delete one first")
        return SavedFilter.add(**values)


def change(saved: SavedFilter, **values: str) -> bool:
    """Set `name` or `query`. Return False if it was deleted. Raises: Conflict if the name is taken."""
    with write():
        _lock(str(saved.user_id))
        name = values.get("name", saved.name)
        if name != saved.name:
            _check_name((str(saved.workspace_id), str(saved.user_id), str(saved.page)), str(name))
        columns = ", ".join(f"{column} = ?" for column in values)
        changed = execute(f"UPDATE saved_filters SET {columns} WHERE id = ?", (*values.values(), saved.id))
    for column, value in values.items():
        setattr(saved, column, value)
    return bool(changed.rowcount)


def _lock(user_id: str) -> None:
    lock_names("filters", (user_id,))


def _check_name(own: tuple[str, str, str], name: str) -> None:
    if SavedFilter.one(f"{OWN} AND name = ?", *own, name) is not None:
        raise Conflict(f"You already have a saved filter {name!r} on this page; choose another name")
