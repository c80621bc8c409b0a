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
from nodes.base import REGISTRY, Node, is_literal
from nodes.core.triggers import CREDENTIAL_TYPES
from nodes.credentials.keyring import or_list

from .builder import MAX_PARTS, estimate_parts, get_schema
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
    nodes = definition.get("nodes") if isinstance(definition, dict) else None
    found: list[Use] = []
    reader = _Reader()
    for position, raw in enumerate(nodes if isinstance(nodes, list) else ()):
        if isinstance(raw, dict) and isinstance(raw.get("id"), str) and not raw.get("disabled"):
            found += reader.of_node(raw, f"nodes[{position}]")
    return found


def find_workflows(definition: Any) -> list[Use]:
    """Return the workflows that enabled nodes and the settings refer to, by id."""
    if not isinstance(definition, dict):
        return []
    nodes, settings = definition.get("nodes"), definition.get("settings")
    found: list[Use] = []
    for position, raw in enumerate(nodes if isinstance(nodes, list) else ()):
        if isinstance(raw, dict) and isinstance(raw.get("id"), str) and not raw.get("disabled"):
            found += _calls_of_node(raw, f"nodes[{position}]")
    told = settings.get("error_workflow_id") if isinstance(settings, dict) else None
    return [*found, Use(None, ERROR_FLOW, told)] if isinstance(told, str) and told else found


def _calls_of_node(raw: Mapping[str, Any], path: str) -> Iterator[Use]:
    node = REGISTRY.get(raw["type"]) if isinstance(raw.get("type"), str) else None
    config = raw.get("config")
    if node is None or not isinstance(config, dict):
        return
    for key, field in get_schema(node).fields.items():
        value = config.get(key)
        if field.metadata.get("x-names") == "workflow" and isinstance(value, str) and value:
            yield Use(raw["id"], f"{path}.config.{key}", value)


def find_missing_credentials(definition: Any, type_of: Callable[[str], str | None]) -> list[Issue]:
    """Return a warning for each reference to a credential that does not exist or has the wrong type.

    `type_of` maps a name or id to the credential's type, or None if there is no such credential.
    """
    return check_uses(find_credentials(definition), type_of)


def check_uses(found: Iterable[Use], type_of: Callable[[str], str | None]) -> list[Issue]:
    """Do the same for given references; at most MAX_ISSUES warnings."""
    warnings = (Issue(use.path, text, use.node_id, "warning") for use in found if (text := _problem(use, type_of)))
    return list(islice(warnings, MAX_ISSUES))


def _problem(use: Use, type_of: Callable[[str], str | None]) -> str | None:
    name, type_ = use.name[:MAX_NAME], type_of(use.name)
    if type_ is None:
        return f"there is no credential {name!r} in this workspace"
    if use.types and type_ not in use.types:
        return f"the credential {name!r} is of type {type_}; it must be {or_list(use.types)}"
    return None


class _Reader:
    """Reads one node after another, compiling at most MAX_PARTS parts of expressions in total."""

    def __init__(self) -> None:
        self.parts = 0

    def of_node(self, raw: Mapping[str, Any], path: str) -> Iterator[Use]:
        node = REGISTRY.get(raw["type"]) if isinstance(raw.get("type"), str) else None
        if node is None:
            return
        id_, schema = raw["id"], get_schema(node)
        config: dict[str, Any] = raw["config"] if isinstance(raw.get("config"), dict) else {}
        for key, value in config.items():
            field = schema.fields.get(key)
            types = None if field is None else _types(node, config, field)
            if types is not None and isinstance(value, str) and value:
                yield Use(id_, f"{path}.config.{key}", value, types)
            elif field is not None and not is_literal(field):
                yield from self.secrets(id_, f"{path}.config.{key}", value)
        yield from self.secrets(id_, f"{path}.foreach", raw.get("foreach"))

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
