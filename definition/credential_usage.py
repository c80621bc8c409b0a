"""Credential usage: the credentials and workflows that a definition refers to, and warnings about missing ones.

A draft may be incomplete, so this reads the raw definition and ignores malformed parts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from typing import Any, NamedTuple

from marshmallow import fields

from errors import ExpressionError, Issue
from expressions import compile_text, find_texts_with_expressions
from nodes.base import Node
from nodes.core.triggers import CREDENTIAL_TYPES
from nodes.credentials.keyring import or_list
from nodes.fields import is_literal

from .builder import MAX_PARTS, estimate_parts, get_schema, read_nodes
from .node_graph import MAX_ISSUES, MAX_NAME

ERROR_FLOW = "settings.error_workflow_id"


class Use(NamedTuple):
    """A reference to a credential at `path`, required to be one of `types` (empty: any). No node: from an agent."""

    node_id: str | None
    path: str
    name: str
    types: tuple[str, ...] = ()


def find_credentials(definition: Any) -> list[Use]:
    """Return the credentials that enabled nodes refer to, by a setting or as `secrets.<name>`.

    Stops compiling expressions at MAX_PARTS; later references are not found.
    """
    reader = _UsageReader()
    return [use for path, raw, node in _enabled_nodes(definition) for use in reader.of_node(raw, node, path)]


def find_workflows(definition: Any) -> list[Use]:
    """Return the workflows that enabled nodes and the settings refer to, by id."""
    found = [
        Use(raw["id"], f"{path}.config.{key}", value)
        for path, raw, node in _enabled_nodes(definition)
        for key, field in get_schema(node, raw).fields.items()
        if field.metadata.get("x-names") == "workflow" and (value := _text(raw.get("config"), key))
    ]
    settings = definition.get("settings") if isinstance(definition, dict) else None
    target = _text(settings, "error_workflow_id")
    return [*found, Use(None, ERROR_FLOW, target)] if target else found


def _enabled_nodes(definition: Any) -> Iterator[tuple[str, dict[str, Any], Node]]:
    return (item for item in read_nodes(definition) if not item[1].get("disabled"))


def _text(data: Any, key: str) -> str:
    """Return the text `data[key]`; an empty one if `data` is not an object or has no text there."""
    value = data.get(key) if isinstance(data, dict) else None
    return value if isinstance(value, str) else ""


def check_uses(found: Iterable[Use], type_of: Callable[[str], str | None]) -> list[Issue]:
    """Return a warning for each reference to a credential that does not exist or has the wrong type.

    `type_of` maps a name or id to the credential's type, or None if there is no such credential. Returns at most
    MAX_ISSUES warnings.
    """
    warnings = (Issue(use.path, text, use.node_id, "warning") for use in found if (text := _problem(use, type_of)))
    return list(islice(warnings, MAX_ISSUES))


def _problem(use: Use, type_of: Callable[[str], str | None]) -> str | None:
    name, type_ = use.name[:MAX_NAME], type_of(use.name)
    if type_ is None:
        return f"there is no credential {name!r} in this workspace"
    if use.types and type_ not in use.types:
        return f"the credential {name!r} is of type {type_}; it must be {or_list(use.types)}"
    return None


class _UsageReader:
    """Reads one node after another, compiling at most MAX_PARTS parts of expressions in total."""

    def __init__(self) -> None:
        self.parts = 0

    def of_node(self, raw: Mapping[str, Any], node: Node, path: str) -> Iterator[Use]:
        id_, schema = raw["id"], get_schema(node, raw)
        config: dict[str, Any] = raw["config"] if isinstance(raw.get("config"), dict) else {}
        for key, value in config.items():
            field = schema.fields.get(key)
            types = None if field is None else _types(node, config, field)
            if types is not None and isinstance(value, str) and value:
                yield Use(id_, f"{path}.config.{key}", value, types)
            elif field is not None and not is_literal(field):
                yield from self.secrets(id_, f"{path}.config.{key}", value)
        yield from self.secrets(id_, f"{path}.foreach", raw.get("foreach"))
        yield from self.secrets(id_, f"{path}.repeat", raw.get("repeat"))
        yield from self.secrets(id_, f"{path}.debounce", raw.get("debounce"))

    def secrets(self, id_: str, path: str, value: Any) -> Iterator[Use]:
        names: set[str] = set()
        for text in find_texts_with_expressions(value):
            # Compile only texts with this word: compiling is the expensive part.
            if "secrets" in text and self.parts <= MAX_PARTS:
                names |= self.named_in(text)
        for name in sorted(names):
            yield Use(id_, path, name)

    def named_in(self, text: str) -> frozenset[str]:
        try:
            compiled = compile_text(text)
        except ExpressionError:
            self.parts += estimate_parts(text)
            return frozenset()
        self.parts += compiled.parts
        return compiled.secrets


def _types(node: Node, config: Mapping[str, Any], field: fields.Field[Any]) -> tuple[str, ...] | None:
    """Return the credential types that a key accepts; None if it takes no credential under this config."""
    types = field.metadata.get("x-credential")
    if types is None or node.type != "webhook":
        return None if types is None else tuple(types)
    auth = config.get("auth")
    return (CREDENTIAL_TYPES.get(auth) if isinstance(auth, str) else None) or None
