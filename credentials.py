"""The stored credentials, opened: rows of the database, the server's key and the types of credential put together."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

import models
from nodes.credential_types import TYPES
from nodes.keyring import Credential
from vault import Vault


class Credentials:
    """The credentials of all workspaces, under one key."""

    def __init__(self, vault: Vault) -> None:
        self.vault = vault

    def find(self, workspace_id: str, name: str) -> Credential | None:
        """The workspace's credential of this name or id; VaultError where the key does not fit."""
        row = models.Credential.named(workspace_id, name)
        return None if row is None else self.open(row)

    def open(self, row: models.Credential) -> Credential:
        """A row with its values to be used. It is bound to its hosts, or to those that the values name."""
        data: Mapping[str, Any] = self.vault.unseal(row.id, row.updated_at, row.data)
        hosts = orjson.loads(row.hosts) if row.hosts else TYPES[row.type].hosts(data)
        return Credential(row.name, row.type, data, tuple(hosts))
