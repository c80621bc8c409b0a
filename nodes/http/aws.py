"""Signature version 4 of AWS.

Source: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
"""

from __future__ import annotations

import hashlib
import hmac
import posixpath
import re
from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import parse_qsl, quote

ALGORITHM = "AWS4-HMAC-SHA256"
UNRESERVED = "-_.~"
# The service and the region in a host name: dynamodb.eu-central-1.amazonaws.com, iam.amazonaws.com.
HOST = re.compile(r"(?:[a-z0-9.-]{1,200}\.)?([a-z0-9-]{1,60})\.([a-z]{2}(?:-[a-z]{1,12}){1,3}-\d)\.amazonaws\.com\Z")
GLOBAL_HOST = re.compile(r"(?:[a-z0-9.-]{1,200}\.)?([a-z0-9-]{1,60})\.amazonaws\.com\Z")
GLOBAL_REGION = "us-east-1"


class Scope(NamedTuple):
    """The region and the service that a signature is for."""

    region: str
    service: str


def find_scope(host: str) -> Scope | None:
    """Return the scope that the name of one of AWS's hosts tells; None for other hosts."""
    host = host.lower()
    if found := HOST.match(host):
        return Scope(found[2], found[1])
    found = GLOBAL_HOST.match(host)
    return Scope(GLOBAL_REGION, found[1]) if found else None


def encode_query(query: str) -> str:
    """Return the parameters of a URL in the form that is signed: sorted, and escaped as RFC 3986 does."""
    pairs = [(quote(name, UNRESERVED), quote(value, UNRESERVED)) for name, value in parse_qsl(query, True)]
    return "&".join(f"{name}={value}" for name, value in sorted(pairs))


def encode_path(path: str, service: str) -> str:
    """Return the path in the form that is signed. It is the escaped path of a URL: all services but S3 escape twice."""
    if service == "s3":
        return path or "/"
    normal = posixpath.normpath("/" + path.lstrip("/"))
    return quote(normal + ("/" if path.endswith("/") and normal != "/" else ""), "/" + UNRESERVED)


def sign(
    method: str, path: str, query: str, headers: Mapping[str, str], body_hash: str, scope: Scope, keys: tuple[str, str]
) -> str:
    """Return the value of the header Authorization.

    `path` and `query` are those of the encoded URL, the latter by `encode_query`. All `headers` are signed; they
    include Host and X-Amz-Date. `keys` are the id of the access key, and its secret.
    """
    lines = {name.lower(): " ".join(value.split()) for name, value in headers.items()}
    names, time = ";".join(sorted(lines)), lines["x-amz-date"]
    listed = "".join(f"{name}:{lines[name]}\n" for name in sorted(lines))
    request = "\n".join((method.upper(), encode_path(path, scope.service), query, listed, names, body_hash))
    place = f"{time[:8]}/{scope.region}/{scope.service}/aws4_request"
    text = f"{ALGORITHM}\n{time}\n{place}\n{hashlib.sha256(request.encode()).hexdigest()}"
    key = f"AWS4{keys[1]}".encode()
    for part in place.split("/"):
        key = _digest(key, part)
    return f"{ALGORITHM} Credential={keys[0]}/{place}, SignedHeaders={names}, Signature={_digest(key, text).hex()}"


def _digest(key: bytes, text: str) -> bytes:
    return hmac.digest(key, text.encode(), "sha256")
