"""Which credentials and which other flows a definition names, and which of the credentials the workspace does not have.

A draft may be incomplete, so this goes by the raw definition and passes over whatever is malformed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from typing import Any, NamedTuple

from marshmallow import fields

from errors import ExpressionError, Issue
from expressions import compile_text, texts_with_expressions
from nodes.base import REGISTRY, Node, is_literal
from nodes.core.triggers import CREDENTIAL_TYPES
from nodes.credentials.keyring import or_list

from .builder import MOST_PARTS, parts_of_broken, schema_of
from .graph import MOST_ISSUES

ERROR_FLOW = "settings.error_workflow_id"
LONGEST = 200  # characters of a name in a message


class Use(NamedTuple):
    """A node names a credential at `path`. It has to be of one of `types`; none of them: of any. No node: an agent."""

    node_id: str | None
    path: str
    name: str
    types: tuple[str, ...] = ()


def uses(definition: Any) -> list[Use]:
    """The credentials that its nodes name: in a key for one, or as `secrets.<name>`. Disabled ones name none.

    Of a definition with more expressions than may be in one, there are those that are found until then.
    """
    nodes = definition.get("nodes") if isinstance(definition, dict) else None
    found: list[Use] = []
    reader = _Reader()
    for position, raw in enumerate(nodes if isinstance(nodes, list) else ()):
        if isinstance(raw, dict) and isinstance(raw.get("id"), str) and not raw.get("disabled"):
            found += reader.of_node(raw, f"nodes[{position}]")
    return found


def calls(definition: Any) -> list[Use]:
    """Return the flows that its nodes and its settings name, by their ids. Disabled nodes name none."""
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
    for key, field in schema_of(node).fields.items():
        value = config.get(key)
        if field.metadata.get("x-names") == "workflow" and isinstance(value, str) and value:
            yield Use(raw["id"], f"{path}.config.{key}", value)


def missing(definition: Any, type_of: Callable[[str], str | None]) -> list[Issue]:
    """A warning for each use of a credential that there is not, or not of the type that it has to be.

    `type_of` gives the type of the one that has this name or id, None where there is none.
    """
    return missing_of(uses(definition), type_of)


def missing_of(found: Iterable[Use], type_of: Callable[[str], str | None]) -> list[Issue]:
    """The same for these uses: the first of them, where there are very many."""
    warnings = (Issue(use.path, text, use.node_id, "warning") for use in found if (text := _problem(use, type_of)))
    return list(islice(warnings, MOST_ISSUES))


def _problem(use: Use, type_of: Callable[[str], str | None]) -> str | None:
    name, type_ = use.name[:LONGEST], type_of(use.name)
    if type_ is None:
        return f"there is no credential {name!r} in this workspace"
    if use.types and type_ not in use.types:
        return f"the credential {name!r} is of type {type_}; it must be {or_list(use.types)}"
    return None


class _Reader:
    """Reads node by node, and compiles no more expressions than may be in a definition."""

    def __init__(self) -> None:
        self.parts = 0

    def of_node(self, raw: Mapping[str, Any], path: str) -> Iterator[Use]:
        node = REGISTRY.get(raw["type"]) if isinstance(raw.get("type"), str) else None
        if node is None:
            return
        id_, schema = raw["id"], schema_of(node)
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
        for text in texts_with_expressions(value):
            # Compiling is what costs, and a text that names a secret has this word in it.
            if "secrets" in text and self.parts <= MOST_PARTS:
                names |= self.named_in(text)
        for name in sorted(names):
            yield Use(id_, path, name)

    def named_in(self, text: str) -> frozenset[str]:
        try:
            compiled = compile_text(text)
        except ExpressionError:
            self.parts += parts_of_broken(text)
            return frozenset()
        self.parts += compiled.parts
        return compiled.secrets


def _types(node: Node, config: Mapping[str, Any], field: fields.Field[Any]) -> tuple[str, ...] | None:
    """The types of credential that the key takes; None where it is for none, or none is asked for."""
    types = field.metadata.get("x-credential")
    if types is None or node.type != "webhook":
        return None if types is None else tuple(types)
    auth = config.get("auth")
    return (CREDENTIAL_TYPES.get(auth) if isinstance(auth, str) else None) or None
