"""The nodes of a definition, made ready to run; whatever is wrong with one of them is noted, node by node."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterator, Mapping
from itertools import islice
from typing import Any

from marshmallow import Schema, ValidationError, fields

from errors import ExpressionError, NodeError
from expressions import Template, compile_value, places_of_expressions, texts_with_expressions
from nodes import plugin_runner, plugins
from nodes.base import REGISTRY, Node, is_literal
from nodes.fields import AS_WRITTEN, EXPRESSION, weight_of_schemas

from .graph import MAX_NAME, Graph, Issues, unknown_keys
from .messages import elsewhere, meant, paths_of
from .plan import Config, Constant, Dynamic, PlannedNode, Retry
from .schema import NODE, RETRY, bounds_of, keys_of, words_of

# Of all expressions in a definition: with more, it would take a process many seconds and much memory.
MOST_PARTS = 500_000
CHARACTERS_A_PART = 4  # of an expression that does not compile, as it is seldom known how far that went
# The same of all JSON Schemas, as bytes that their patterns are compiled to: five hundred of the costliest.
MOST_SCHEMAS = 2**28
NAMED = 10  # ways out of a node in a message


def nodes_of(shape: Graph, issues: Issues) -> tuple[PlannedNode, ...]:
    place = {id_: index for index, id_ in enumerate(shape.order)}
    file_place = {id_: index for index, id_ in enumerate(shape.nodes)}
    inputs = inputs_of(shape, place)
    sources = {edge.source for edge in shape.edges}
    planned, parts, schemas = [], 0, 0
    for id_ in shape.order:
        builder = _Builder(shape.nodes[id_], f"nodes[{file_place[id_]}]", place, shape.nodes, issues)
        built = builder.build(inputs[id_], id_ not in sources)
        if built is not None:
            planned.append(built)
        parts += builder.parts
        schemas += builder.schemas
        if parts > MOST_PARTS:
            issues.add("nodes", f"the expressions of all nodes have more than {MOST_PARTS:,} parts together")
        if schemas > MOST_SCHEMAS:
            issues.add(
                "nodes", "the JSON Schemas of all nodes, or the patterns in them, take too much to check together"
            )
        if parts > MOST_PARTS or schemas > MOST_SCHEMAS or issues.is_full:
            break
    _check_edges(shape, issues)
    return tuple(planned) if issues else _addressing(planned)


def inputs_of(shape: Graph, place: Mapping[str, int]) -> dict[str, tuple[tuple[int, str | None], ...]]:
    """For each node its edges in: the place of the source, and the branch by which it leaves."""
    found: dict[str, list[tuple[int, str | None]]] = {id_: [] for id_ in shape.nodes}
    for edge in shape.edges:
        found[edge.target].append((place[edge.source], edge.branch))
    return {id_: tuple(sorted(edges, key=lambda pair: pair[0])) for id_, edges in found.items()}


def _addressing(nodes: list[PlannedNode]) -> tuple[PlannedNode, ...]:
    """The nodes, with those in `addresses` alone that are not before the node; the others it sees as they ended."""
    bits = {id_: 1 << number for number, id_ in enumerate({id_ for node in nodes for id_ in node.addresses})}
    before: list[int] = []  # for each node, the bits of what comes before it
    for node in nodes if bits else ():
        before.append(0)
        for at, _ in node.inputs:
            before[-1] |= before[at] | bits.get(nodes[at].id, 0)
        outside = frozenset(id_ for id_ in node.addresses if not before[-1] & bits[id_])
        seen = node.references | (node.addresses - outside)
        nodes[node.position] = dataclasses.replace(node, addresses=outside, references=seen)
    return tuple(nodes)


def _check_edges(shape: Graph, issues: Issues) -> None:
    """Every edge leaves by a way that its source has, and enters no trigger."""
    ways = {id_: _by_name(ways_of(raw)) for id_, raw in shape.nodes.items()}
    for edge in shape.edges:
        if issues.is_full:
            break
        path = f"edges ({edge.source} -> {edge.target})"
        target = REGISTRY.get(shape.nodes[edge.target]["type"])
        if target is not None and target.trigger:
            issues.add(path, f"{edge.target!r} is a trigger and takes no incoming edge", edge.target)
        known = ways[edge.source]
        if known is None or edge.branch in known:
            continue
        names = _names(known)
        # An edge that is live on every branch would be a surprise, so it must name one.
        if edge.branch is None:
            issues.add(path, f"must name a branch of {edge.source!r}: {names}", edge.source)
        else:
            offer = f"it has {names}" if names else "it has none"
            issues.add(path, f"{edge.source!r} has no branch {edge.branch[:MAX_NAME]!r}; {offer}", edge.source)


def _by_name(ways: tuple[str | None, ...] | None) -> dict[str | None, None] | None:
    """The same in their order, to be looked for: a node may have very many."""
    return None if ways is None else dict.fromkeys(ways)


def _names(ways: Collection[str | None]) -> str:
    """The first of them that have a name, for a message: one of all for each wrong edge would be very long."""
    names = [repr(name[:MAX_NAME]) for name in islice(ways, NAMED + 1) if name is not None]
    return ", ".join([*names[:NAMED], "…"] if len(ways) > NAMED else names)


def ways_of(raw: Mapping[str, Any]) -> tuple[str | None, ...] | None:
    """The branches of a node; None in them is the unnamed way. None for an unknown type."""
    node = REGISTRY.get(raw["type"])
    if node is None:
        return None
    try:
        ways: tuple[str | None, ...] = _branches(node, raw) or (None,)
    except NodeError:
        return None
    return (*ways, "error") if raw.get("on_error") == "branch" else ways


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _branches(node: Node, raw: Mapping[str, Any]) -> tuple[str, ...]:
    """The branches of the node's type under its raw config. NodeError where a type that is not ours fails at that."""
    config = _object(raw.get("config"))
    return plugin_runner.branches(node, config) if node.own else node.branches(config)


NODE_KEYS, RETRY_KEYS = keys_of(NODE), keys_of(RETRY)


class _Builder:
    """Turns one raw node into a `PlannedNode`, or notes what is wrong with it."""

    def __init__(
        self, raw: dict[str, Any], path: str, place: Mapping[str, int], nodes: Mapping[str, Any], issues: Issues
    ) -> None:
        self.raw, self.path, self.place, self.nodes, self.issues = raw, path, place, nodes, issues
        self.id: str = raw["id"]
        self.references: set[str] = set()
        self.addresses: set[str] = set()
        self.parts = 0  # of its expressions
        self.schemas = 0  # what it took to check its JSON Schemas

    def build(self, inputs: tuple[tuple[int, str | None], ...], is_leaf: bool) -> PlannedNode | None:
        node = REGISTRY.get(self.raw["type"])
        if node is None:
            type_ = self.raw["type"][:MAX_NAME]
            offer = plugins.why_missing(type_) or elsewhere(type_, also()) or meant(type_, REGISTRY)
            self.bad("type", f"there is no node type {type_!r}{offer}")
            return None
        before = len(self.issues)
        unknown_keys(self.raw, NODE_KEYS, self.path, self.issues, self.id)
        branches = self.branches(node)
        planned = PlannedNode(
            position=self.place[self.id],
            id=self.id,
            type=node.type,
            name=self.name(),
            node=node,
            config=self.config(node),
            inputs=inputs,
            is_leaf=is_leaf,
            foreach=self.foreach(node, bool(branches)),
            retry=self.retry(),
            timeout=self.number(self.raw, NODE, "timeout", None),
            on_error=self.choice("on_error"),
            on_interrupt=self.choice("on_interrupt"),
            disabled=self.flag("disabled"),
            branches=branches,
            references=frozenset(self.references),
            addresses=frozenset(self.addresses),
        )
        return planned if len(self.issues) == before else None

    def bad(self, key: str, message: str) -> None:
        self.issues.add(f"{self.path}.{key}", message, self.id)

    def branches(self, node: Node) -> tuple[str, ...]:
        """Its branches; notes too whether it looks at steps, which hangs on the config as well."""
        config = _object(self.raw.get("config"))
        try:
            found = _branches(node, self.raw)
            looks = plugin_runner.looks_at_steps(node, config) if node.own else node.looks_at_steps(config)
        except NodeError as error:
            self.bad("config", error.message)
            return ()
        if looks:
            self.references.add("*")
        if "error" in found and self.raw.get("on_error") == "branch":
            self.bad("on_error", "cannot be branch: the node has a branch of its own that is called error")
        return found

    def name(self) -> str:
        name = self.raw.get("name", self.id)
        if not isinstance(name, str) or len(name) > MAX_NAME:
            self.bad("name", f"must be text of at most {MAX_NAME} characters")
            return self.id
        return name or self.id

    def choice(self, key: str) -> str:
        allowed = words_of(NODE, key)
        value = self.raw.get(key, allowed[0])
        if value not in allowed:
            self.bad(key, f"must be one of {', '.join(allowed)}")
            return allowed[0]
        return str(value)

    def flag(self, key: str) -> bool:
        value = self.raw.get(key, False)
        if not isinstance(value, bool):
            self.bad(key, "must be true or false")
        return bool(value)

    def number(self, holder: Mapping[str, Any], schema: dict[str, Any], key: str, default: Any, path: str = "") -> Any:
        """The number under the key of the holder, whose schema has its bounds."""
        value, (low, high) = holder.get(key, default), bounds_of(schema, key)
        if value is None and default is None:
            return None
        whole = schema["properties"][key]["type"] == "integer"
        kind = int if whole else (int, float)
        if isinstance(value, bool) or not isinstance(value, kind) or not low <= value <= high:
            word = "a whole number" if whole else "a number"
            self.bad(path + key, f"must be {word} from {low:g} to {high:g}")
            return default
        return value

    def retry(self) -> Retry:
        raw = self.raw.get("retry")
        if raw is None:
            return Retry()
        if not isinstance(raw, dict):
            self.bad("retry", 'must be an object such as {"attempts": 3, "delay": 1, "backoff": 2}')
            return Retry()
        unknown_keys(raw, RETRY_KEYS, f"{self.path}.retry", self.issues, self.id)
        numbers = {
            key: self.number(raw, RETRY, key, RETRY["properties"][key]["default"], "retry.") for key in RETRY_KEYS
        }
        return Retry(**numbers)

    def foreach(self, node: Node, branching: bool) -> Template | Constant | None:
        raw = self.raw.get("foreach")
        if raw is None:
            return None
        if branching:
            self.bad("foreach", f"cannot be used on {node.type!r}, which has branches; map with another node first")
        elif node.suspends and not node.asks:
            self.bad("foreach", f"cannot be used on {node.type!r}, which waits")
        compiled = self.compiled("foreach", raw)
        if compiled is None and isinstance(raw, list):
            return Constant(raw)
        if compiled is None:
            self.bad("foreach", "must be an expression that gives a list, such as {{ input.orders }}")
        return compiled

    def compiled(self, key: str, value: Any) -> Template | None:
        try:
            compiled = compile_value(value)
        except ExpressionError as error:
            self.bad(key, str(error))
            self.parts += parts_of_broken(value)
            return None
        if compiled is not None:
            self.parts += compiled.parts
            for id_ in sorted(compiled.steps):
                self.reference(key, id_)
        return compiled

    def reference(self, key: str, id_: str) -> None:
        """An expression may only look at steps that exist and come earlier, or that have an address from the start."""
        if id_ == "*":
            self.references.add(id_)
            return
        if id_ not in self.place:
            self.bad(key, f"steps.{id_}: there is no node {id_!r}")
            return
        node = REGISTRY.get(self.nodes[id_]["type"])
        if node is not None and node.has_address:
            self.addresses.add(id_)
            return
        self.references.add(id_)
        if self.place[id_] >= self.place[self.id]:
            self.bad(key, f"steps.{id_}: {id_!r} does not run before {self.id!r}")

    def config(self, node: Node) -> Config:
        raw = self.raw.get("config", {})
        if not isinstance(raw, dict):
            self.bad("config", "must be an object")
            return Config({})
        schema = schema_of(node)
        static, dynamic, refused = {}, [], []
        for key, value in raw.items():
            field_ = schema.fields.get(key)
            if field_ is not None and self.has_unevaluated(key, value, field_):
                refused.append(key)
                continue
            compiled = None if field_ is None or is_literal(field_) else self.compiled(f"config.{key}", value)
            if compiled is None or field_ is None:
                static[key] = value
            else:
                dynamic.append(Dynamic(key, compiled, field_, value))
        if not node.own:
            self.schemas += weight_of_schemas(schema, static)
        try:
            partial = (*refused, *(item.key for item in dynamic))
            loaded = (
                plugin_runner.loaded(node, schema, static, partial)
                if node.own
                else schema.load(static, partial=partial)
            )
        except ValidationError as error:
            for path, message in paths_of(error.messages):
                if self.issues.is_full:
                    break
                self.bad(f"config.{path}" if path else "config", self.hinted(schema, raw, path, message))
            return Config({})
        except NodeError as error:
            self.bad("config", error.message)
            return Config({})
        per_item = {item.key: item.compiled for item in dynamic if item.field.metadata.get("x-per-item")}
        return Config({**loaded, **per_item}, tuple(item for item in dynamic if item.key not in per_item))

    def has_unevaluated(self, key: str, value: Any, field_: fields.Field[Any]) -> bool:
        """Return True, and note why, if the setting has an expression in a place where none is evaluated."""
        if not is_literal(field_):
            return self.has_unevaluated_key(key, value)
        place = None if field_.metadata.get("braces") else next(places_of_expressions(value), None)
        if place is not None:
            instead = field_.metadata.get("instead")
            self.bad(f"config.{key}{place[0][:MAX_NAME]}", AS_WRITTEN + (f"; {instead}" if instead else ""))
        return place is not None

    def has_unevaluated_key(self, key: str, value: Any) -> bool:
        """The same for keys of objects, which are never evaluated, beside values that are."""
        if not isinstance(value, dict | list):
            return False
        for place, name in keys_in(value):
            if EXPRESSION.search(name):
                told = "the names of fields are taken as written, so {{ … }} is not evaluated here"
                self.bad(f"config.{key}{place[:MAX_NAME]}", f"{told}: {name[:MAX_NAME]!r}")
                return True
        return False

    def hinted(self, schema: Schema, raw: Mapping[str, Any], path: str, message: str) -> str:
        """The message, with what may help: the settings that there are.

        Without what does not: who left a field empty need not read how long it may be.
        """
        if path in raw and path not in schema.fields:
            offer = meant(path, schema.fields) or f"; {self.raw['type']} has {', '.join(schema.fields) or 'none'}"
            return f"there is no such setting{offer}"
        if raw.get(path) == "" and message.startswith("must not be empty, "):
            return "must not be empty"
        return message


def also() -> dict[str, tuple[str, ...]]:
    """Other tools' names for each node type."""
    return {type_: (*node.also, node.title) for type_, node in REGISTRY.items()}


def keys_in(value: Any) -> Iterator[tuple[str, str]]:
    """Yield each key of the objects in a JSON value, after the place of its object."""
    rest = [("", value)]
    while rest:
        place, part = rest.pop()
        if isinstance(part, dict):
            yield from ((place, key) for key in part)
            rest += [(f"{place}.{key}", item) for key, item in part.items() if isinstance(item, dict | list)]
        elif isinstance(part, list):
            rest += [(f"{place}[{index}]", item) for index, item in enumerate(part) if isinstance(item, dict | list)]


def parts_of_broken(value: Any) -> int:
    """For how many parts a value counts whose expressions do not compile."""
    return 1 + sum(map(len, texts_with_expressions(value))) // CHARACTERS_A_PART


_SCHEMAS: dict[type[Node], Any] = {}


def schema_of(node: Node) -> Any:
    """The one instance of a node type's config schema: making one costs more than using it."""
    schema = _SCHEMAS.get(type(node))
    if schema is None:
        schema = _SCHEMAS[type(node)] = node.Config()
    return schema
