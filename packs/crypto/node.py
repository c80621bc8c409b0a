"""Crypto node: hashes, signatures, random values and related encodings."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import random
import secrets
import string
import time
import uuid
from collections.abc import Callable, Mapping
from typing import Any

from marshmallow import ValidationError, fields, validate, validates_schema

from errors import MalformedData, NodeError
from fields import Schema
from nodes.base import Branch, Context, Node
from nodes.fields import anything, choice, credential, flag, kind_of, labels_of, setting, text, text_of, whole
from nodes.limits import check_text, refusal

# Algorithms of hashlib, with their labels.
ALGORITHMS = {
    "sha256": "SHA-256", "sha512": "SHA-512", "sha384": "SHA-384", "sha224": "SHA-224", "sha3_256": "SHA3-256",
    "sha3_512": "SHA3-512", "blake2b": "BLAKE2b", "blake2s": "BLAKE2s", "sha1": "SHA-1", "md5": "MD5",
}  # fmt: skip
SYMBOLS = "!#$%&*+-=?@_"
CHARSETS = {
    "alphanumeric": string.ascii_letters + string.digits,
    "letters": string.ascii_letters,
    "lowercase": string.ascii_lowercase,
    "digits": string.digits,
    "hex": "0123456789abcdef",
    # Without characters that people confuse: 0 and O, 1, l and I.
    "readable": "23456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz",
    "password": string.ascii_letters + string.digits + SYMBOLS,
}
CHARSET_LABELS = {
    "alphanumeric": "Letters and digits", "letters": "Letters", "lowercase": "Lowercase letters", "digits": "Digits",
    "hex": "Hex digits", "readable": "Easy to read", "password": "Password",
}  # fmt: skip
CLASSES = (string.ascii_lowercase, string.ascii_uppercase, string.digits, SYMBOLS)
MAX_RANDOM = 10_000


# Encodings of bytes


def encode(raw: bytes, encoding: str) -> str:
    """Return the bytes as text: hex, base64, or base64url without padding."""
    if encoding == "hex":
        return raw.hex()
    if encoding == "base64":
        return base64.b64encode(raw).decode()
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def decode(value: str, encoding: str, what: str = "data") -> bytes:
    """Return the bytes of such a text, ignoring spaces and missing padding; accepts both alphabets of base64."""
    bare = "".join(value.split())
    try:
        if encoding == "hex":
            return bytes.fromhex(bare)
        bare = bare.rstrip("=").replace("-", "+").replace("_", "/")
        return base64.b64decode(bare + "=" * (-len(bare) % 4), validate=True)
    except (ValueError, binascii.Error):
        raise MalformedData(f"{what} is not {encoding}") from None


def _as_text(config: Mapping[str, Any], data: bytes, ctx: Context) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise MalformedData("the decoded data is not UTF-8 text; only text can be decoded") from None


# Operations take the config, the bytes of `data`, and the context.

Operation = Callable[[Mapping[str, Any], bytes, Context], Any]


def _sign(config: Mapping[str, Any], data: bytes, ctx: Context) -> bytes:
    secret = ctx.credential(config["credential"], "hmac").data["secret"]
    return hmac.digest(secret.encode(), data, config["algorithm"])


def is_signed(config: Mapping[str, Any], data: bytes, ctx: Context) -> bool:
    """Return True if the signature is valid, in constant time."""
    given = config["signature"].strip().removeprefix(f"{config['algorithm']}=")
    right = _sign(config, data, ctx)
    try:
        return hmac.compare_digest(decode(given, config["encoding"]), right)
    except NodeError:
        return False


def uuid7(ms: int) -> uuid.UUID:
    """Return a UUID that starts with the time, so that later ones sort after it (RFC 9562, 5.7)."""
    first, last = secrets.randbits(12), secrets.randbits(62)
    return uuid.UUID(int=(ms << 80) | (0x7 << 76) | (first << 64) | (0b10 << 62) | last)


def _random(config: Mapping[str, Any], data: bytes, ctx: Context) -> str:
    if "bytes" in config:
        return encode(secrets.token_bytes(config["bytes"]), config["encoding"])
    length, charset = config["length"], config["charset"]
    if charset == "password" and "characters" not in config:
        # Characters of each class, as far as the length allows, in random order.
        drawn = [secrets.choice(one) for one in CLASSES[:length]]
        drawn += [secrets.choice(CHARSETS["password"]) for _ in range(length - len(drawn))]
        random.SystemRandom().shuffle(drawn)
        return "".join(drawn)
    characters = config.get("characters") or CHARSETS[charset]
    return "".join(secrets.choice(characters) for _ in range(length))


# Label and function of each operation.
OPERATIONS: dict[str, tuple[str, Operation]] = {
    "hash": (
        "Hash",
        lambda config, data, ctx: encode(
            hashlib.new(config["algorithm"], data, usedforsecurity=False).digest(), config["encoding"]
        ),
    ),
    "hmac": ("Sign (HMAC)", lambda config, data, ctx: encode(_sign(config, data, ctx), config["encoding"])),
    "verify": ("Verify signature", is_signed),
    "uuid": (
        "Generate UUID",
        lambda config, data, ctx: str(uuid.uuid4() if config["version"] == 4 else uuid7(time.time_ns() // 1_000_000)),
    ),
    "random": ("Generate random text", _random),
    "base64_encode": (
        "Base64 encode",
        lambda config, data, ctx: encode(data, "base64url" if config["url_safe"] else "base64"),
    ),
    "base64_decode": ("Base64 decode", _as_text),
    "hex_encode": ("Hex encode", lambda config, data, ctx: data.hex()),
    "hex_decode": ("Hex decode", _as_text),
}
WITHOUT_DATA = ("uuid", "random")
# Operations whose data has this encoding.
WRITTEN_IN = {"base64_decode": "base64", "hex_decode": "hex"}


def _read_data(config: Mapping[str, Any], input: Any) -> bytes:
    """Return the bytes of `data`."""
    operation, value = config["operation"], config.get("data", input)
    if operation in WITHOUT_DATA:
        return b""
    if value is None or isinstance(value, list | dict):
        raise refusal(
            f"data must be text, but is {kind_of(value)}; use {{{{ input.body }}}} for a part of the input, "
            "or {{ input|tojson }} for all of it"
        )
    written = check_text(text_of(value), "data")
    encoding = WRITTEN_IN.get(operation, config["data_encoding"])
    try:
        return written.encode() if encoding == "text" else decode(written, encoding)
    except UnicodeEncodeError:
        raise refusal("data has half a surrogate pair, which is not valid text") from None


class Crypto(Node):
    """Creates hashes, signatures, UUIDs and random text, and converts text to and from base64 and hex.

    Verify routes to the branch valid or invalid, with its input.
    """

    # A retry would create another UUID. But a step is committed before a node with side effects starts or a response is
    # sent, so nothing outside can have seen a value that a crash discarded.
    pure = True
    type = "crypto"
    category = "data"
    icon = "lock"
    also = ("hash", "hmac", "sign", "encrypt", "decrypt", "md5", "sha256", "base64", "uuid")
    quick = True
    examples = (
        {
            "config": {"operation": "hash", "algorithm": "md5", "data": "{{ input.email|lower }}"},
            "input": {"email": "Ada@Example.org"},
            "output": "5bfcf2d8e394674550332640d72db509",
        },
        {"config": {"operation": "uuid", "version": 7}, "input": None},
        {
            "config": {"operation": "base64_decode", "data": "{{ input.token.split('.')[1] }}"},
            "input": {"token": "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhZGEifQ."},
            "output": '{"sub":"ada"}',
        },
    )

    class Config(Schema):
        operation = choice("The operation on the data", labels_of(OPERATIONS), required=True, title="Operation")
        data = anything("The text to process. Default: the input", lines="", title="Data")
        data_encoding = choice(
            "The encoding of the data to hash or sign",
            {"text": "Text", "hex": "Hex", "base64": "Base64"},
            load_default="text",
            title="Data encoding",
        )
        algorithm = choice("The hash algorithm", ALGORITHMS, load_default="sha256", title="Hash algorithm")
        encoding = choice(
            "The encoding of a hash, a signature or random bytes",
            {"hex": "Hex", "base64": "Base64", "base64url": "Base64 (URL-safe)"},
            load_default="hex",
            title="Output encoding",
        )
        credential = credential("For hmac and verify: the credential with the secret", "hmac", title="Credential")
        signature = text(
            "For verify: the signature to check, with or without the prefix sha256=", most=1_000, title="Signature"
        )
        version = setting(
            fields.Integer(strict=True, load_default=4, validate=validate.OneOf((4, 7))),
            "For uuid: version 4 is random, version 7 starts with the time",
            literal=True,
            title="UUID version",
            labels={4: "4 (random)", 7: "7 (time-ordered)"},
        )
        length = whole("For random: the number of characters", 1, MAX_RANDOM, load_default=32, title="Length")
        charset = choice(
            "For random: the characters to use; password contains some of each class",
            CHARSET_LABELS,
            load_default="alphanumeric",
            title="Character set",
        )
        characters = text(
            "For random: your own characters: ABC123", most=1_000, least=1, literal=True, title="Custom characters"
        )
        bytes = whole(
            "For random: a number of random bytes instead of characters, written in the output encoding",
            1,
            MAX_RANDOM,
            title="Random bytes",
        )
        url_safe = flag("For base64_encode: use - and _ instead of + and /, without padding", False, title="URL-safe")

        @validates_schema
        def has_required_settings(self, data: Mapping[str, Any], **kwargs: Any) -> None:
            """Require the secret, and the signature to verify. Expressions are not in `data` yet."""
            signs, partial = data.get("operation") in ("hmac", "verify"), kwargs.get("partial") or ()
            if signs and not data.get("credential"):
                raise ValidationError(f"Is required for {data['operation']}.", "credential")
            if data.get("operation") == "verify" and "signature" not in {*data, *partial}:
                raise ValidationError("Is required for verify.", "signature")

    @classmethod
    def branches(cls, config: Mapping[str, Any]) -> tuple[str, ...]:
        return ("valid", "invalid") if config.get("operation") == "verify" else ()

    def run(self, config: dict[str, Any], input: Any, ctx: Context) -> Any:
        operation = config["operation"]
        result = OPERATIONS[operation][1](config, _read_data(config, input), ctx)
        if operation == "verify":
            return Branch("valid" if result else "invalid", input)
        return result
