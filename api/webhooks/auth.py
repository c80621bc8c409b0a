"""Authentication of webhook callers: one check for each credential type, each in constant time.

Events of app triggers, signed by their service, are checked in `app_events.py`.

Formats: RFC 7617 (basic), RFC 6750 (bearer), GitHub's "Validating webhook deliveries", Stripe's "Verify webhook
signatures manually".
"""

from __future__ import annotations

import base64
import binascii
import hmac
import math
import re
import threading
import time
import warnings
from collections import OrderedDict
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import orjson
from marshmallow import ValidationError
from werkzeug.datastructures import Headers

from errors import NodeError, Unavailable
from net.egress import RequestOptions
from nodes.credentials.base import check_secure_url

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


# JWTs of webhook callers (RFC 7519): the header `Authorization: Bearer …` is checked with the credential's key.
#
# The algorithms follow from the key, never from the token: a token signed with a public key as if it were a secret is
# refused. Key sets (JWKS, RFC 7517) are fetched under the egress rule, and kept in memory.

MAX_TOKEN = 8_000  # characters
MAX_AGE = 3_600.0  # seconds after which a key set is fetched again
MAX_STALE = 86_400.0  # seconds for which it counts if it cannot be fetched
MIN_PAUSE = 60.0  # seconds between two requests for one key set: anyone can name an unknown key
FETCH_SECONDS = 5.0
MAX_SET_BYTES = 256 * 1024
MAX_KEYS = 100
MAX_SETS = 100
MIN_RSA_BITS = 2_048
MIN_MODULUS = MIN_RSA_BITS // 6  # characters of its base64
RSA_ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512")
# The algorithms of each kind of public key.
ALGORITHMS: dict[tuple[str, str], tuple[str, ...]] = {
    ("EC", "P-256"): ("ES256",),
    ("EC", "P-384"): ("ES384",),
    ("EC", "P-521"): ("ES512",),
    ("OKP", "Ed25519"): ("EdDSA", "Ed25519"),
}


class PublicKey(NamedTuple):
    """A key of joserfc, and the algorithms with which it may have signed."""

    key: Any
    algorithms: tuple[str, ...]


def read_claims(secret: Mapping[str, Any], authorization: str, now: float, key_sets: KeySets) -> dict[str, Any] | None:
    """Return the claims of the token in the header; None if it proves nothing. `now` is in seconds since 1970.

    Raises: Unavailable if its key set cannot be fetched.
    """
    from joserfc import jwt
    from joserfc.errors import JoseError, SecurityWarning

    # Issuers still use the name EdDSA, which RFC 9864 replaces; the key decides anyway.
    warnings.simplefilter("ignore", SecurityWarning)
    scheme, _, token = authorization.partition(" ")
    token = token.strip()
    if scheme.lower() != "bearer" or not 0 < len(token) <= MAX_TOKEN or not token.isascii():
        return None
    # JSON that is nested too deeply is a RecursionError.
    with suppress(JoseError, ValueError, TypeError, RecursionError):
        found = find_key(secret, token, key_sets)
        if found is None:
            return None
        claims = jwt.decode(token, found.key, algorithms=list(found.algorithms)).claims
        rules: dict[str, Any] = {"exp": {"essential": True}}
        rules |= {
            name: {"essential": True, "value": secret[given]}
            for name, given in (("iss", "issuer"), ("aud", "audience"))
            if secret.get(given)
        }
        jwt.JWTClaimsRegistry(now=int(now), leeway=secret["leeway"], **rules).validate(claims)
        return dict(orjson.loads(orjson.dumps(claims)))  # numbers that no run could record are refused
    return None


def find_key(secret: Mapping[str, Any], token: str, key_sets: KeySets) -> PublicKey | None:
    """Return the key of the credential with which the token must be signed."""
    from joserfc import jwk, jws

    if secret.get("secret"):
        return PublicKey(jwk.OctKey.import_key(secret["secret"]), (secret["algorithm"],))
    if secret.get("public_key"):
        return read_pem(secret["public_key"])
    kid = jws.extract_compact(token.encode()).headers().get("kid")
    return key_sets.find(secret["jwks_url"], kid if isinstance(kid, str) else None)


def read_pem(text: str) -> PublicKey:
    """Return the public key in PEM. Raises: ValueError if it is none that is supported."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
    from cryptography.hazmat.primitives.serialization import load_pem_public_key
    from joserfc import jwk

    try:
        found = load_pem_public_key(text.encode())
    except UnsupportedAlgorithm:
        raise ValueError("the key is of an unsupported kind") from None
    kinds = (
        (rsa.RSAPublicKey, jwk.RSAKey),
        (ec.EllipticCurvePublicKey, jwk.ECKey),
        (ed25519.Ed25519PublicKey, jwk.OKPKey),
    )
    if isinstance(found, rsa.RSAPublicKey) and found.key_size < MIN_RSA_BITS:
        raise ValueError(f"an RSA key must have at least {MIN_RSA_BITS} bits")
    for kind, key_class in kinds:
        if isinstance(found, kind):
            return to_public_key(key_class.import_key(text.encode()))
    raise ValueError("the key must be an RSA, elliptic curve or Ed25519 key")


def to_public_key(key: Any, algorithm: str | None = None) -> PublicKey:
    """Return the key with its algorithms, or with the one that its set names. Raises: ValueError if it has none."""
    is_rsa = key.key_type == "RSA"
    found = RSA_ALGORITHMS if is_rsa else ALGORITHMS.get((key.key_type, getattr(key, "curve_name", "")), ())
    if algorithm is not None:
        found = tuple(name for name in found if name == algorithm)
    if not found:
        raise ValueError("the key is of an unsupported kind")
    return PublicKey(key, found)


def read_key_set(content: bytes) -> dict[str | None, PublicKey]:
    """Return the usable keys of a JWKS by their id. A token without an id gets the key of a set that has only one.

    Raises: NodeError if it is not a key set, or has no usable key.
    """
    from joserfc import jwk
    from joserfc.errors import JoseError

    data = None
    with suppress(orjson.JSONDecodeError):
        data = orjson.loads(content)
    listed = data.get("keys") if isinstance(data, dict) else None
    if not isinstance(listed, list) or len(listed) > MAX_KEYS:
        raise NodeError(f"the answer is not a JSON Web Key Set of at most {MAX_KEYS} keys")
    found: dict[str | None, PublicKey] = {}
    for item in listed:
        # A set may have keys for other uses, and of kinds that we do not know.
        if not isinstance(item, dict) or item.get("kty") not in ("RSA", "EC", "OKP") or item.get("use", "sig") != "sig":
            continue
        if item["kty"] == "RSA" and len(str(item.get("n", ""))) < MIN_MODULUS:
            continue
        with suppress(JoseError, ValueError, TypeError, KeyError):
            public = {name: value for name, value in item.items() if name not in ("d", "p", "q", "dp", "dq", "qi")}
            found[item.get("kid")] = to_public_key(jwk.import_key(public), item.get("alg"))
    if not found:
        raise NodeError("the key set has no key for signatures of a supported kind")
    if len(found) == 1:
        found[None] = next(iter(found.values()))
    return found


@dataclass(slots=True)
class _KeySet:
    lock: threading.Lock = field(default_factory=threading.Lock)
    keys: dict[str | None, PublicKey] = field(default_factory=dict)
    fetched_at: float = -math.inf
    asked_at: float = -math.inf


class KeySets:
    """The key sets of one process, at most MAX_SETS. Thread-safe. `fetch(url)` returns the content of a set.

    A set is fetched when it is an hour old, and for an unknown key, but at most once a minute.
    """

    def __init__(self, fetch: Callable[[str], bytes], clock: Callable[[], float] = time.monotonic) -> None:
        self._fetch, self._clock = fetch, clock
        self._lock = threading.Lock()
        self._sets: OrderedDict[str, _KeySet] = OrderedDict()
        self.last_error: NodeError | None = None

    def find(self, url: str, kid: str | None) -> PublicKey | None:
        """Return the key of this id, or None. Raises: Unavailable if the set cannot be fetched."""
        with self._lock:
            found = self._sets.setdefault(url, _KeySet())
            self._sets.move_to_end(url)
            if len(self._sets) > MAX_SETS:
                self._sets.popitem(last=False)
        if self._is_due(found, kid) and found.lock.acquire(blocking=not found.keys):
            # Others go on with the keys that there are; without any, they wait for this request.
            try:
                if self._is_due(found, kid):
                    found.asked_at = self._clock()
                    found.keys, found.fetched_at = read_key_set(self._fetch(url)), self._clock()
                    self.last_error = None
            except NodeError as error:
                self.last_error = error
            finally:
                found.lock.release()
        if self._clock() - found.fetched_at > MAX_STALE:
            raise Unavailable("This webhook cannot authenticate its callers at the moment", retry_after=60)
        return found.keys.get(kid)

    def _is_due(self, found: _KeySet, kid: str | None) -> bool:
        now = self._clock()
        is_old = now - found.fetched_at > MAX_AGE
        return (is_old or kid not in found.keys) and now - found.asked_at >= MIN_PAUSE


def make_fetch(client: Callable[[], Any]) -> Callable[[str], bytes]:
    """Return the function that fetches a key set with the HTTP client of nodes, and so under its egress rule."""

    def fetch(url: str) -> bytes:
        _check_url(url)
        options = RequestOptions(allow=lambda following, sends_body: _check_url(following))
        accept = [("Accept", "application/json")]
        answer = client().fetch("GET", url, seconds=FETCH_SECONDS, headers=accept, options=options)
        if answer.status != 200:
            raise NodeError(f"{answer.who} answered {answer.status} {answer.reason}".rstrip())
        if len(answer.content) > MAX_SET_BYTES:
            raise NodeError(f"{answer.who}: the key set has more than {MAX_SET_BYTES} bytes")
        content: bytes = answer.content
        return content

    return fetch


def _check_url(url: str) -> None:
    """Raise NodeError if others on the way could replace the keys at this address, of an old credential or redirect."""
    try:
        check_secure_url(url)
    except ValidationError:
        why = "others on the way could replace the keys that it returns"
        raise NodeError(f"the JWKS URL and its redirects must start with https://, because {why}", True) from None
