"""Filters of a list that a user has saved under a name."""

from __future__ import annotations

from typing import Any

from peewee import IntegerField, TextField

from database import execute, fetch_value, write
from errors import Conflict

from .base import Base
from .locks import lock_names

MAX_SAVED = 50  # of a user, for a page of a workspace
OWN = "workspace_id = ? AND user_id = ? AND page = ?"


class SavedFilter(Base):
    """`query` is a JSON object: the values of the filters by name, as in the address of the page."""

    prefix = "sf"
    id = TextField(primary_key=True)
    workspace_id = TextField()
    user_id = TextField()
    page = TextField()
    name = TextField()
    query = TextField()
    created_at = IntegerField()

    @classmethod
    def of(cls, workspace_id: str, user_id: str, page: str) -> list[SavedFilter]:
        """Return the user's filters for this page of the workspace, by name."""
        return list(cls.each(f"{OWN} ORDER BY lower(name), id", (workspace_id, user_id, page)))

    @classmethod
    def save_new(cls, **values: Any) -> SavedFilter:
        """Save a filter. Raises: Conflict if the name is taken, or if the user has too many."""
        with write():
            cls._lock(values["user_id"])
            own = (values["workspace_id"], values["user_id"], values["page"])
            cls._check_name(own, values["name"])
            if fetch_value(f"SELECT COUNT(*) FROM saved_filters WHERE {OWN}", own) >= MAX_SAVED:
                raise Conflict(f"You already have {MAX_SAVED} saved filters on this page; delete one first")
            return cls.add(**values)

    def change(self, **values: str) -> bool:
        """Set `name` or `query`. Return False if it was deleted. Raises: Conflict if the name is taken."""
        with write():
            self._lock(str(self.user_id))
            name = values.get("name", self.name)
            if name != self.name:
                self._check_name((str(self.workspace_id), str(self.user_id), str(self.page)), str(name))
            columns = ", ".join(f"{column} = ?" for column in values)
            changed = execute(f"UPDATE saved_filters SET {columns} WHERE id = ?", (*values.values(), self.id))
        for column, value in values.items():
            setattr(self, column, value)
        return bool(changed.rowcount)

    @staticmethod
    def _lock(user_id: str) -> None:
        lock_names("filters", (user_id,))

    @classmethod
    def _check_name(cls, own: tuple[str, str, str], name: str) -> None:
        if cls.one(f"{OWN} AND name = ?", *own, name) is not None:
            raise Conflict(f"You already have a saved filter {name!r} on this page; choose another name")
