"""Base of the types of credentials, and the fields that several of them have."""

from __future__ import annotations

import base64
import ipaddress
import re
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, ClassVar
from urllib.parse import urlsplit

from marshmallow import ValidationError, fields, validate

from fields import Schema
from nodes.fields import header_value, setting, whole

MAX_VALUE = 10_000
MAX_KEY = 20_000
HOST = re.compile(r"[a-z0-9_]([a-z0-9_.-]{0,251}[a-z0-9])?\Z")
NO_COLON = validate.ContainsNoneOf(":", error="Must not contain a colon.")
NO_HOSTS = "No host is named, so no flow can send it anywhere. Name the hosts that may have it, unless it is only for "


class CredentialType(Schema):
    """Base of all types. `main` is the field for `secrets.<name>`; without it, it is an object of all fields.

    `needs_hosts`: its values name no host, so it cannot be sent anywhere until its owner lists hosts. `without_hosts`
    is the warning if it is saved without hosts; empty if its values name them. `url_field` is the field with the URL
    that names the host, if there is no field `host`. `login` is the format of a login that is sent in base64.
    `authorization` puts it on HTTP requests: a class of `nodes/http/authorization.py`, None if it cannot be sent so.
    """

    main: ClassVar[str] = ""
    needs_hosts: ClassVar[bool] = False
    title: ClassVar[str] = ""
    without_hosts: ClassVar[str] = ""
    url_field: ClassVar[str] = ""
    login: ClassVar[str] = ""
    authorization: ClassVar[Any] = None

    @classmethod
    def secrets(cls, data: Mapping[str, Any]) -> list[str]:
        """Return the values to redact, including their encoded forms on the wire."""
        names = [name for name, field in cls._declared_fields.items() if field.metadata.get("x-secret")]
        values = [data.get(name) for name in names]
        found = [text for value in values for text in (value.values() if isinstance(value, dict) else (value,)) if text]
        with suppress(KeyError):  # without a password, there is no login
            found += [base64.b64encode(cls.login.format(**data).encode()).decode()] if cls.login else []
        return found

    @classmethod
    def hosts(cls, data: Mapping[str, Any]) -> tuple[str, ...]:
        """Return the hosts named by the values."""
        if cls.url_field:
            return host_of(data[cls.url_field])
        return (str(data["host"]).lower(),) if data.get("host") else ()

    @classmethod
    def shown(cls, data: Mapping[str, Any]) -> Any:
        """Return the value for expressions."""
        return data[cls.main] if cls.main else dict(data)


def secret(help: str, *checks: Any, least: int = 1, most: int = MAX_VALUE, lines: bool = False, **options: Any) -> Any:
    """Return a field with a secret text, which has several lines if `lines` is set."""
    rules = [validate.Length(least, most), *(() if lines else (header_value,)), *checks]
    field = setting(fields.String, help, validate=rules, **options)
    field.metadata["x-secret"] = True
    return field


def text(help: str, *checks: Any, **options: Any) -> Any:
    """Return a field with a text that is not secret."""
    return setting(fields.String, help, validate=[validate.Length(1, 1_000), header_value, *checks], **options)


def port(default: int) -> Any:
    """Return a field for a port."""
    return whole("The port", 1, 65_535, literal=False, title="Port", load_default=default)


def host_of(url: str) -> tuple[str, ...]:
    """Return the host of a URL; empty if it has none."""
    host = urlsplit(url).hostname
    return (host.lower(),) if host else ()


def check_url(value: str) -> None:
    """Reject text that is not an http or https URL with a host."""
    try:
        parts = urlsplit(value)
        good = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0 and not parts.username
    except ValueError:
        good = False
    if not good:
        raise ValidationError("Must be a URL that starts with https:// or http://, without a user name.")


def is_loopback(host: str | None) -> bool:
    """Return True if the host is this machine by name or address."""
    if not host:
        return False
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def check_secure_url(value: str) -> None:
    """Reject an address that others on the way can read or change: only https, except on this machine."""
    check_url(value)
    parts = urlsplit(value)
    if parts.scheme != "https" and not is_loopback(parts.hostname):
        raise ValidationError("Must start with https://.")
    if parts.fragment:
        raise ValidationError("Must not contain #.")


def check_host(value: str) -> None:
    """Reject text that is neither a host name nor an IP address."""
    if HOST.match(value.lower()):
        return
    try:
        ipaddress.ip_address(value.strip("[]"))
    except ValueError:
        raise ValidationError("Must be a host name or an IP address.") from None


def parts_of_url(url: str) -> Any:
    """Return the parts of a URL; those of an empty one if it is not valid."""
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018  (reading it is what checks it)
        return parts
    except ValueError:
        return urlsplit("")


def check_ascii(value: str) -> None:
    """Reject text with other characters than ASCII."""
    if not value.isascii():
        raise ValidationError("Must contain only ASCII characters.")
