"""The workspaces' credentials. Their values come here encrypted; security/vault.py decrypts them."""

from __future__ import annotations

from typing import Any

from peewee import IntegerField, ModelSelect, TextField

from database import execute, write
from errors import Conflict

from .base import Base, now_ms


class Credential(Base):
    """`data` is the encrypted JSON of what its type holds; `hosts` a JSON list of where it may go, null for any."""

    prefix = "cred"
    id = TextField(primary_key=True)
    workspace_id = TextField()
    name = TextField()
    type = TextField()
    data = TextField()
    hosts = TextField(null=True)
    created_at = IntegerField()
    updated_at = IntegerField()

    class Meta:
        table_name = "credentials"
        indexes = ((("workspace_id", "name"), True),)

    @classmethod
    def keep(cls, workspace_id: str, **values: Any) -> Credential:
        """A new credential; Conflict for a name that the workspace has already."""
        now = now_ms()
        with write():
            cls.check_name(workspace_id, values["name"])
            return cls.add(workspace_id=workspace_id, created_at=now, updated_at=now, **values)

    @classmethod
    def check_name(cls, workspace_id: str, name: str) -> None:
        """Conflict for a name that the workspace has already."""
        if cls.one("workspace_id = ? AND name = ?", workspace_id, name) is not None:
            raise Conflict(f"name: there is a credential {name!r} already")

    @classmethod
    def named(cls, workspace_id: str, name: str) -> Credential | None:
        """The workspace's credential of this name or id."""
        return cls.one("workspace_id = ? AND name = ?", workspace_id, name) or cls.one(
            "workspace_id = ? AND id = ?", workspace_id, name
        )

    @classmethod
    def of(cls, workspace_id: str) -> ModelSelect:
        """The workspace's credentials."""
        return cls.select().where(cls.workspace_id == workspace_id)

    def change(self, **values: Any) -> None:
        """Set these columns. Conflict for a taken name, or another name while an active flow asks for this one."""
        with write():
            present = Credential.get_by_id(self.id)
            name = values.get("name", present.name)
            if name != present.name:
                self.check_name(self.workspace_id, name)
                present.check_unused("renamed")
            for key, value in values.items():
                setattr(present, key, value)
            # Strictly later, since whoever keeps it decrypted goes by this time.
            present.updated_at = max(now_ms(), present.updated_at + 1)
            present.save()
        self.__data__.update(present.__data__)

    def remove(self) -> bool:
        """Delete it; whether it was there. Conflict while an active flow's webhook checks its callers with it."""
        with write():
            self.check_unused("deleted")
            return bool(self.delete_instance())

    def check_unused(self, done: str) -> None:
        """Conflict that names an active flow whose webhook checks its callers with this."""
        sql = "SELECT f.name FROM webhooks w JOIN workflows f ON f.id = w.workflow_id WHERE w.credential_id = ? LIMIT 1"
        user = execute(sql, (self.id,)).fetchone()
        if user is not None:
            raise Conflict(f"A webhook of the active flow {user[0]!r} uses this credential; it cannot be {done}")
