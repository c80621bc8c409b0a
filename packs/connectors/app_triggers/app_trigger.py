"""App triggers: a node type for the webhook of one service, made from its file in `packs/connectors/data/triggers/`.

The file says how the service signs its calls, which events it sends, what identifies a repeated call, and how its API
adds and removes a webhook: see `_schema.json` there. What the server does with it is in app_events.py and
registration.py. `github.json` defines the node type `github_trigger`. Nothing but the names is read before a type is
used.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, ClassVar, cast

import orjson
from marshmallow import Schema, ValidationError, fields, validate, validates_schema

from nodes import entry_of
from nodes.core.triggers import EventTrigger, WebhookPath
from nodes.fields import credential, line, setting, web_address

SECRET_TYPES = ("secret", "hmac")
MIN_SECRET_PATH = 20  # characters of the last part of a path that nobody may guess
MAX_EVENTS = 100


class AppTrigger(EventTrigger):
    """Starts a run for each event that a service sends. Base of the node types of app triggers."""

    taker = "packs.connectors.app_triggers.app_events:take_event"
    preset: ClassVar[Mapping[str, Any]]

    @classmethod
    def collects(cls) -> bool:
        return True

    @property
    def service_type(self) -> str:
        """Return the type of the connector of the same service."""
        return self.type.removesuffix(SUFFIX)

    @property
    def signs(self) -> bool:
        """Return True if the service proves its calls by a secret, not by the address alone."""
        return bool(self.preset["verify"]["kind"] != "path")

    def list_events(self, config: Mapping[str, Any]) -> list[str]:
        """Return the events that start a run: the chosen ones, or all."""
        return list(config.get("events") or self.preset["events"])

    def list_triggers(self, config: Mapping[str, Any]) -> list[tuple[str, dict[str, Any]]]:
        types = SECRET_TYPES if self.signs and config.get("credential") else ()
        webhook = {**config, "methods": self.preset["methods"], "credential_types": types}
        registered = [("registered_hook", self.registration(config))] if "account" in config else []
        return [("webhook", webhook), *registered]

    def registration(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """Return the hook that a node with this loaded config registers, as `registered_hooks.sync` takes it."""
        register = self.preset["register"]
        names = (*register.get("params", {}), "api_url")
        settings = {name: config[name] for name in names if config.get(name)}
        return {
            "type": self.type, "path": config["path"], "account": config["account"],
            "account_types": register["account"], "settings": settings, "events": self.list_events(config),
        }  # fmt: skip


class SecretPath(WebhookPath):
    """A path whose last part nobody may guess, because the service signs nothing."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Any:
        path: str = super()._deserialize(value, attr, data, **kwargs)
        if len(path.rpartition("/")[2]) < MIN_SECRET_PATH:
            raise ValidationError(
                f"Its last part must have at least {MIN_SECRET_PATH} random characters: the address is the only secret."
            )
        return path


def no_parameter(path: str) -> None:
    """Reject a path with parameters: the service has one fixed address."""
    if ":" in path:
        raise ValidationError("Must not have parameters.")


def make(type_: str, preset: Mapping[str, Any]) -> AppTrigger:
    """Return the node type of a file. It is not in the registry, which finds it by the library."""
    # The example of the catalog: a call with the body of the file's example.
    told, service, register = preset["example"], type_.removesuffix("_trigger"), preset.get("register", {})
    path = f"{service}/7f3a9c0e5b2d48d1a6c4"
    config: dict[str, Any] = {"account": preset["name"]} if register else {}
    config |= {name: param["example"] for name, param in register.get("params", {}).items() if "example" in param}
    config |= {"events": [told["event"]], "path": path}
    if preset["verify"]["kind"] != "path" and (not register or register.get("needs_credential")):
        config["credential"] = f"{service} signing secret"
    if preset.get("challenge", {}).get("kind") == "query":
        config["verify_token"] = "a word of your own"
    output = {"method": "POST", "path": path, "query": {}, "headers": {}, "body": told["body"], "event": told["event"]}
    values = {
        "__doc__": preset["description"],
        "__module__": __name__,
        "preset": preset,
        "methods": tuple(preset["methods"]),
        "title": f"{preset['name']} trigger",
        "also": ("app trigger", "webhook", *preset.get("also", ())),
        "examples": ({"config": config, "output": output},),
        "Config": _make_config(preset),
    }
    cls: type[AppTrigger] = type(f"AppTrigger_{type_}", (AppTrigger,), values)
    cls.type = type_  # not in `values`, which would register the class
    return cls()


def _make_config(preset: Mapping[str, Any]) -> type[Schema]:
    """Return the schema of a node's config."""
    name, register = preset["name"], preset.get("register", {})
    is_signed = preset["verify"]["kind"] != "path"
    events = fields.String(
        validate=validate.OneOf(tuple(preset["events"])), metadata={"x-enum-labels": dict(preset["events"])}
    )
    found: dict[str, Any] = {}
    if register:
        help = f"The account that adds the webhook in {name} when the flow is activated, and removes it later"
        found["account"] = credential(help, *register["account"], title="Account")
        found["account"].metadata["x-scopes"] = register.get("scopes", [])
    found |= {param: _make_param(told) for param, told in register.get("params", {}).items()}
    found["events"] = setting(
        fields.List(events, validate=validate.Length(1, MAX_EVENTS)),
        "The events that start a run. Default: all; others are answered without a run",
        literal=True,
        title="Events",
    )
    if preset.get("challenge", {}).get("kind") == "query":
        found["verify_token"] = line(
            f"A word of your own, which you also enter in {name}: it proves that the address is yours",
            most=200,
            least=8,
            required=True,
            title="Verify token",
        )
    found["path"] = setting(
        WebhookPath if is_signed else SecretPath,
        f"Path of the address for {name}, after /api/webhooks/. Choose one that cannot be guessed",
        literal=True,
        required=True,
        validate=no_parameter,
        title="Path",
        metadata={"x-address": True, "x-advanced": True, "x-steps": list(preset["steps"])},
    )
    if is_signed:
        help = f"The credential with the secret that {name} signs with" + (
            ""
            if not register or register.get("needs_credential")
            else ". Not needed with an account, unless the steps ask for it"
        )
        found["credential"] = credential(help, *SECRET_TYPES, title="Signing secret")
        found["credential"].metadata["x-own-secret"] = True
    if register:
        origin = "/".join(register["base"].split("/")[:3])
        found["api_url"] = line(
            f"Another address of the API of {name}, such as that of your own server. Default: {origin}",
            web_address,
            most=200,
            title="API address",
        )
    found["has_proof"] = _make_check(preset)
    return type("Config", (Schema,), found)


def _make_param(told: Mapping[str, Any]) -> Any:
    metadata = {"x-options": told["options"]} if "options" in told else {}
    metadata |= {"examples": [told["example"]]} if "example" in told else {}
    return line(told["help"], _fits(told["pattern"], told["help"]), most=200, title=told["title"], metadata=metadata)


def _fits(pattern: str, help: str) -> Any:
    compiled = re.compile(pattern)

    def check(value: str) -> None:
        if not compiled.fullmatch(value):
            raise ValidationError(f"Does not look right. {help}.")

    return check


def _make_check(preset: Mapping[str, Any]) -> Any:
    """Return the check that a config can prove the calls of the service, and can register the webhook."""
    name, register = preset["name"], preset.get("register", {})
    is_signed = preset["verify"]["kind"] != "path"

    def has_proof(self: Schema, data: Mapping[str, Any], **kwargs: Any) -> None:
        account, secret = data.get("account"), data.get("credential")
        if is_signed and not secret and (not account or register.get("needs_credential")):
            if register and not register.get("needs_credential"):
                raise ValidationError(f"Connect {name}, or enter a signing secret.", "account")
            raise ValidationError(f"Choose the credential with the secret that {name} signs with.", "credential")
        given = [param for param in register.get("params", {}) if data.get(param)]
        if account and register.get("params") and not given:
            raise ValidationError("Is required.", next(iter(register["params"])))
        if account and register.get("one_of") and len(given) > 1:
            raise ValidationError(f"Cannot be combined with {given[0]}; remove one of them.", given[1])

    return validates_schema(has_proof)


# The library of app triggers

FOLDER = Path(__file__).parents[1] / "data" / "triggers"
SUFFIX = "_trigger"


@cache
def types() -> frozenset[str]:
    """Return the node types of all files."""
    return frozenset(path.stem + SUFFIX for path in FOLDER.glob("*.json") if not path.name.startswith("_"))


def find(type_: str) -> AppTrigger | None:
    """Return the node type of this name, or None if there is no file for it."""
    return _make(type_) if type_ in types() else None


@cache
def list_entries() -> tuple[dict[str, Any], ...]:
    """Return the entries of all app triggers by name."""
    found = [
        {
            **entry_of(cast(Any, type(node))),
            "mark": node.preset["icon"],
            "service": {"type": node.service_type, "name": node.preset["name"]},
        }
        for node in map(_make, types())
    ]
    return tuple(sorted(found, key=lambda entry: str(entry["name"]).casefold()))


def describe(type_: str) -> None:
    """Return None: the entry in the catalogue has all."""


def list_broken() -> tuple[()]:
    """Return no files: the tests check all."""
    return ()


def read(type_: str) -> dict[str, Any]:
    """Return the content of the file of this type, which is one of `types`. The tests check all files."""
    return dict(orjson.loads((FOLDER / f"{type_.removesuffix(SUFFIX)}.json").read_bytes()))


@cache
def _make(type_: str) -> AppTrigger:
    return make(type_, read(type_))
