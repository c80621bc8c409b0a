"""Authentication of webhook callers: one check for each credential type, each in constant time.

Events of app triggers, signed by their service, are checked in `app_events.py`.

Formats: RFC 7617 (basic), RFC 6750 (bearer), GitHub's "Validating webhook deliveries", Stripe's "Verify webhook
signatures manually".
"""

from __future__ import annotations

import base64
import binascii
import hmac
import re
from collections.abc import Callable, Mapping
from typing import Any

from werkzeug.datastructures import Headers

SIGNATURE_HEADERS = {"github": "X-Hub-Signature-256", "stripe": "Stripe-Signature"}
TIMESTAMP = re.compile(r"[0-9]{1,12}\Z")


def is_authentic(type_: str, secret: Mapping[str, Any], headers: Headers, raw: bytes, now: float) -> bool:
    """Return True if the request's headers and body, as received, prove knowledge of the secret of this type.

    `now` is in seconds since 1970: a signature that has a timestamp must be recent.
    """
    return CHECKS[type_](secret, headers, raw, now)


def get_header_name(type_: str, secret: Mapping[str, Any]) -> str:
    """Return the header that carries the secret or signature, in lower case."""
    if type_ == "hmac":
        return _get_signature_header(secret).lower()
    return str(secret["name"]).lower() if type_ == "http_header" else "authorization"


def get_secret_text(values: Mapping[str, Any]) -> str | None:
    """Return the secret that a caller could guess; None for a public key."""
    return next((str(values[name]) for name in ("value", "password", "token", "secret") if values.get(name)), None)


def _equals(given: str, expected: str) -> bool:
    # WSGI decodes headers as Latin-1; encoding them again gives the bytes that were sent, mostly UTF-8.
    return hmac.compare_digest(given.encode("latin-1", "replace"), expected.encode())


def _check_basic(secret: Mapping[str, Any], headers: Headers, raw: bytes, now: float) -> bool:
    given = _get_credentials(headers, "basic")
    try:
        decoded = base64.b64decode(given, validate=True)
    except (binascii.Error, ValueError):
        return False
    return hmac.compare_digest(decoded, f"{secret['username']}:{secret['password']}".encode())


def _check_hmac(secret: Mapping[str, Any], headers: Headers, raw: bytes, now: float) -> bool:
    given = headers.get(_get_signature_header(secret), "")
    if secret["style"] == "stripe":
        # `t=<seconds>,v1=<hex>`, with several v1 during a key rotation. Other schemes are ignored.
        pairs = [item.strip().partition("=")[::2] for item in given.split(",")]
        times = [value for name, value in pairs if name == "t"]
        if len(times) != 1 or not TIMESTAMP.match(times[0]) or abs(now - int(times[0])) > secret["tolerance"]:
            return False
        expected = hmac.digest(secret["secret"].encode(), times[0].encode() + b"." + raw, "sha256").hex()
        return any([_equals(value, expected) for name, value in pairs if name == "v1"])
    prefix = "sha256=" if secret["style"] == "github" else secret.get("prefix", "")
    digest = hmac.digest(secret["secret"].encode(), raw, secret["algorithm"])
    if secret["encoding"] == "base64":
        return _equals(given, prefix + base64.b64encode(digest).decode())
    return _equals(given[: len(prefix)] + given[len(prefix) :].lower(), prefix + digest.hex())


def _get_credentials(headers: Headers, scheme: str) -> str:
    """Return the credentials of the header Authorization; empty for another scheme."""
    name, _, value = headers.get("Authorization", "").partition(" ")
    return value.strip() if name.lower() == scheme else ""


def _get_signature_header(secret: Mapping[str, Any]) -> str:
    return str(secret.get("header") or SIGNATURE_HEADERS[secret["style"]])


CHECKS: dict[str, Callable[[Mapping[str, Any], Headers, bytes, float], bool]] = {
    "http_basic": _check_basic,
    "http_header": lambda secret, headers, raw, now: _equals(headers.get(secret["name"], ""), secret["value"]),
    "http_bearer": lambda secret, headers, raw, now: _equals(_get_credentials(headers, "bearer"), secret["token"]),
    "hmac": _check_hmac,
}
