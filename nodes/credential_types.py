"""The types of credential and what each holds. Their values are secret: no message here repeats one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from marshmallow import Schema, ValidationError, fields, validate, validates_schema

from nodes.base import setting
from nodes.kinds import header_name, header_value

LONGEST = 10_000


def _secret(help: str, *checks: Any, least: int = 1, **options: Any) -> Any:
    length = validate.Length(least, LONGEST)
    return setting(fields.String, help, validate=[length, header_value, *checks], **options)


def _no_colon(value: str) -> None:
    if ":" in value:
        raise ValidationError("Must not contain a colon.")


class HttpBasic(Schema):
    """A user name and a password, as `Authorization: Basic …` carries them."""

    username = _secret("The user name", _no_colon, required=True)
    password = _secret("The password", least=0, required=True)


class HttpHeader(Schema):
    """A secret in a header of its own."""

    name = setting(fields.String, "The header's name: X-Api-Key", required=True, validate=header_name)
    value = _secret("The secret", required=True)


class HttpBearer(Schema):
    """A token, as `Authorization: Bearer …` carries it."""

    token = _secret("The token", required=True)


class Hmac(Schema):
    """A secret with which bodies are signed, and how the signature is sent.

    GitHub's style is `X-Hub-Signature-256: sha256=<hex>`, Stripe's `Stripe-Signature: t=<seconds>,v1=<hex>` over
    `t.body`; plain is any header with the bare signature, perhaps after a prefix.
    """

    secret = setting(fields.String, "The secret", required=True, validate=validate.Length(1, LONGEST))
    style = setting(fields.String, "Whose style", required=True, validate=validate.OneOf(("github", "stripe", "plain")))
    header = setting(
        fields.String, "The header with the signature; github and stripe have their own", validate=header_name
    )
    algorithm = setting(
        fields.String,
        "The hash; the other styles have sha256",
        validate=validate.OneOf(("sha256", "sha1", "sha512")),
        load_default="sha256",
    )
    encoding = setting(
        fields.String,
        "How the signature is written; the other styles have hex",
        validate=validate.OneOf(("hex", "base64")),
        load_default="hex",
    )
    prefix = setting(
        fields.String, "What stands before a plain signature", validate=[validate.Length(max=100), header_value]
    )
    tolerance = setting(
        fields.Integer,
        "How many seconds a Stripe signature may be old",
        strict=True,
        validate=validate.Range(1, 86_400),
        load_default=300,
    )

    @validates_schema
    def fits_its_style(self, data: Mapping[str, Any], **kwargs: Any) -> None:
        """A setting that would be passed over is a mistake, and plain does not say by itself where to look."""
        if data.get("style") == "plain":
            if "header" not in data:
                raise ValidationError("Is required for the style plain.", "header")
        elif data.get("algorithm") != "sha256" or data.get("encoding") != "hex" or "prefix" in data:
            raise ValidationError("Only the style plain has an algorithm, encoding or prefix of its own.", "style")


TYPES: dict[str, Schema] = {
    "http_basic": HttpBasic(),
    "http_header": HttpHeader(),
    "http_bearer": HttpBearer(),
    "hmac": Hmac(),
}
