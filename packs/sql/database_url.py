"""The credential of a database: its URL."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

from marshmallow import ValidationError, validates_schema

from nodes.credentials.base import CredentialType, parts_of_url, secret


class DatabaseUrl(CredentialType):
    """The URL of a database with user name and password: postgresql://user:password@host/name."""

    title = "Database"
    main = url_field = "url"
    url = secret(
        "postgresql://… or mysql://…, optionally with ?sslmode=verify-full, or sqlite:///shop.db for a file "
        "of the workspace",
        required=True,
        title="Database URL",
    )

    @classmethod
    def secrets(cls, data: Mapping[str, Any]) -> list[str]:
        password = parts_of_url(data["url"]).password
        return [data["url"], *([password, unquote(password)] if password else [])]

    @validates_schema
    def is_an_address(self, data: Mapping[str, Any], **kwargs: Any) -> None:
        """Require a supported kind of database, with a host unless it is a file."""
        parts = parts_of_url(data.get("url", ""))
        if parts.scheme not in ("sqlite", "postgresql", "postgres", "mysql"):
            raise ValidationError("Must start with postgresql://, mysql:// or sqlite:///.", "url")
        if parts.scheme == "sqlite":
            if parts.netloc or not parts.path.strip("/"):
                raise ValidationError("Must be sqlite:/// and the path of a file.", "url")
            if parts.path.startswith("//"):
                raise ValidationError("Must lead to one of the workspace's files: sqlite:///shop.sqlite3.", "url")
        elif not parts.hostname or not parts.path.strip("/"):
            raise ValidationError("Must name a host and a database: postgresql://user:password@host/name.", "url")
