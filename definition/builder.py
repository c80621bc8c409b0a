"""Builder of planned nodes: validates the raw nodes of a definition and collects the issues of each."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from itertools import islice
from typing import Any, NamedTuple

from marshmallow import Schema, ValidationError, fields

from errors import ExpressionError, Issue, NodeError
from expressions import Template, compile_text, compile_value, find_expressions, find_texts_with_expressions
from nodes import plugin_runner, plugins
from nodes.base import REGISTRY, Node
from nodes.core.triggers import CREDENTIAL_TYPES
from nodes.credentials.keyring import or_list
from nodes.fields import EXPRESSION, NOT_EVALUATED, is_literal, weight_of_schemas
from registry import explain_off

from .execution_plan import CallRate, Config, Constant, Debouncing, Dynamic, PlannedNode, Repeat, Retry
from .messages import flatten, suggest, suggest_by_alias
from .node_graph import MAX_ID, MAX_ISSUES, MAX_NAME, Graph, Issues, report_unknown_keys
from .schema import DEBOUNCE, NODE, RATE, REPEAT, RETRY, get_bounds, get_enum

# Limit on the expressions of one definition: more would take many seconds and much memory to compile.
MAX_PARTS = 500_000
CHARACTERS_PER_PART = 4  # estimate for an expression that does not compile
# Limit on the JSON Schemas of one definition, in bytes of compiled patterns: 500 of the most expensive schemas.
MAX_SCHEMA_WEIGHT = 2**28
ONLY_IN_A_RUN = {"steps", "run", "item", "index", "secrets"}
COLLECTING = "triggers of calls, messages and polled entries"
MAX_NAMED_WAYS = 10  # ways out of a node in a message
NO_RETRY = Retry()
PACING = {"concurrency", "delay", "repeat", "rate", "debounce"}


def build_nodes(shape: Graph, issues: Issues) -> tuple[PlannedNode, ...]:
    """Return all nodes in order of execution; nodes with issues are sketches without a config, never to be executed.

    There are fewer if the check was stopped. Edges are checked by `check_edges`.
    """
    place = {id_: index for index, id_ in enumerate(shape.order)}
    file_place = {id_: index for index, id_ in enumerate(shape.nodes)}
    inputs = collect_inputs(shape, place)
    sources = {edge.source for edge in shape.edges}
    planned, parts, schemas = [], 0, 0
    for id_ in shape.order:
        builder = _Builder(shape.nodes[id_], f"nodes[{file_place[id_]}]", place, shape.nodes, issues)
        is_leaf = id_ not in sources
        planned.append(builder.build(inputs[id_], is_leaf) or builder.sketch(inputs[id_], is_leaf))
        parts += builder.parts
        schemas += builder.schemas
        if parts > MAX_PARTS:
            issues.add("nodes", f"all expressions together have more than {MAX_PARTS:,} parts; split the flow in two")
        if schemas > MAX_SCHEMA_WEIGHT:
            message = "the JSON Schemas of all nodes together are too large to check; simplify their patterns"
            issues.add("nodes", message)
        if parts > MAX_PARTS or schemas > MAX_SCHEMA_WEIGHT or issues.is_full:
            break
    return _addressing(planned)


def collect_inputs(shape: Graph, place: Mapping[str, int]) -> dict[str, tuple[tuple[int, str | None], ...]]:
    """Return the incoming edges of each node, as pairs of the source's position and the branch taken there."""
    found: dict[str, list[tuple[int, str | None]]] = {id_: [] for id_ in shape.nodes}
    for edge in shape.edges:
        found[edge.target].append((place[edge.source], edge.branch))
    return {id_: tuple(sorted(edges, key=lambda pair: pair[0])) for id_, edges in found.items()}


def _addressing(nodes: list[PlannedNode]) -> tuple[PlannedNode, ...]:
    """Keep in `addresses` only nodes that do not run before the node; the others become references to their output."""
    bits = {id_: 1 << number for number, id_ in enumerate({id_ for node in nodes for id_ in node.addresses})}
    before: list[int] = []  # for each node, the bits of its ancestors
    for node in nodes if bits else ():
        before.append(0)
        for at, _ in node.inputs:
            before[-1] |= before[at] | bits.get(nodes[at].id, 0)
        outside = frozenset(id_ for id_ in node.addresses if not before[-1] & bits[id_])
        seen = node.references | (node.addresses - outside)
        nodes[node.position] = dataclasses.replace(node, addresses=outside, references=seen)
    return tuple(nodes)


def check_edges(shape: Graph, issues: Issues, ids: Collection[str]) -> None:
    """Report edges from a branch that the source does not have, and edges into a trigger, between these nodes."""
    ways = {id_: find_ways(shape.nodes[id_]) for id_ in ids}
    for edge in shape.edges:
        if edge.source not in ids or edge.target not in ids:
            continue
        if issues.is_full:
            break
        path = f"edges ({edge.source} -> {edge.target})"
        target = REGISTRY.get(shape.nodes[edge.target]["type"])
        if target is not None and target.trigger:
            issues.add(path, f"{edge.target!r} is a trigger and takes no incoming edge", edge.target)
        known = ways[edge.source]
        if known is None or edge.branch in known:
            continue
        # All names would make the message very long.
        first = [repr(name[:MAX_NAME]) for name in islice(known, MAX_NAMED_WAYS + 1) if name is not None]
        names = ", ".join([*first[:MAX_NAMED_WAYS], "…"] if len(known) > MAX_NAMED_WAYS else first)
        # An edge without a branch would be live on all of them, which surprises users; so it must name one.
        if edge.branch is None:
            issues.add(path, f"must name a branch of {edge.source!r}: {names}", edge.source)
        else:
            offer = f"choose one of {names}" if names else "it has no branches, so leave the branch out"
            issues.add(path, f"{edge.source!r} has no branch {edge.branch[:MAX_NAME]!r}; {offer}", edge.source)


def find_ways(raw: Mapping[str, Any]) -> dict[str | None, None] | None:
    """Return the branches of a node, with None for the unnamed branch; None if the type is unknown.

    They are an ordered set, for fast lookup: a node may have very many.
    """
    node = REGISTRY.get(raw["type"])
    if node is None:
        return None
    try:
        ways: dict[str | None, None] = dict.fromkeys(_branches(node, _config(raw)) or (None,))
    except NodeError:
        return None
    return ways | {"error": None} if raw.get("on_error") == "branch" else ways


def _config(raw: Mapping[str, Any]) -> dict[str, Any]:
    return raw["config"] if isinstance(raw.get("config"), dict) else {}


def _branches(node: Node, config: dict[str, Any]) -> tuple[str, ...]:
    """Return the branches of the node type for a raw config. Raises: NodeError if the code of a plugin fails."""
    return plugin_runner.branches(node, config) if node.own else node.branches(config)


NODE_KEYS, RETRY_KEYS = tuple(NODE["properties"]), tuple(RETRY["properties"])
REPEAT_EXAMPLE = """{"until": "{{ output.status == 'done' }}", "every": 30, "at_most": 100}"""
RATE_EXAMPLE = '{"calls": 60, "per": 60, "key": "slack"}'


class _Builder:
    """Builds a `PlannedNode` from one raw node, or reports its issues."""

    def __init__(
        self, raw: dict[str, Any], path: str, place: Mapping[str, int], nodes: Mapping[str, Any], issues: Issues
    ) -> None:
        self.raw, self.path, self.place, self.nodes, self.issues = raw, path, place, nodes, issues
        self.id: str = raw["id"]
        self.references: set[str] = set()
        self.roots: set[str] = set()  # names that its expressions read
        self.addresses: set[str] = set()
        self.parts = 0  # of its expressions
        self.schemas = 0  # weight of its JSON Schemas, see `weight_of_schemas`

    def build(self, inputs: tuple[tuple[int, str | None], ...], is_leaf: bool) -> PlannedNode | None:
        node = REGISTRY.get(self.raw["type"])
        if node is None:
            type_ = self.raw["type"][:MAX_NAME]
            also = {name: (*other.also, other.title) for name, other in REGISTRY.items()}
            similar = suggest_by_alias(type_, also) or suggest(type_, REGISTRY.list_types())
            why = plugins.explain_missing(type_) or similar + explain_off(" Packs" if similar else "; packs")
            self.bad("type", f"unknown node type {type_!r}{why}")
            return None
        before = len(self.issues)
        report_unknown_keys(self.raw, NODE_KEYS, self.path, self.issues, self.id)
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
            foreach=self.foreach(node, branches),
            retry=self.retry(),
            timeout=self.number(self.raw, NODE, "timeout", None),
            on_error=self.choice("on_error"),
            on_interrupt=self.choice("on_interrupt"),
            disabled=self.flag("disabled"),
            branches=branches,
            references=frozenset(self.references),
            addresses=frozenset(self.addresses),
            **({} if self.raw.keys().isdisjoint(PACING) else self.pacing(node, branches)),
            reads_now=node.reads_now or not node.quick or "now" in self.roots,
        )
        return planned if len(self.issues) == before else None

    def pacing(self, node: Node, branches: tuple[str, ...]) -> dict[str, Any]:
        """Return the settings in PACING, which few nodes have."""
        return {
            "concurrency": self.concurrency(node),
            "delay": self.delay(),
            "repeat": self.repeat(node, branches),
            "rate": self.rate(node),
            "debounce": self.debounce(node),
        }

    def sketch(self, inputs: tuple[tuple[int, str | None], ...], is_leaf: bool) -> PlannedNode:
        """Return the node without its config, as far as it is known after `build` found issues."""
        type_, flag = self.raw["type"], self.raw.get("disabled") is True
        node = REGISTRY.get(type_, REGISTRY["noop"])
        ways = tuple(way for way in find_ways(self.raw) or () if way not in (None, "error"))
        return PlannedNode(
            self.place[self.id], self.id, type_, self.id, node, Config({}), inputs, is_leaf, disabled=flag,
            branches=ways, references=frozenset(self.references), addresses=frozenset(self.addresses),
        )  # fmt: skip

    def bad(self, key: str, message: str) -> None:
        self.issues.add(f"{self.path}.{key}", message, self.id)

    def branches(self, node: Node) -> tuple[str, ...]:
        """Return the node's branches. Also record if it reads other steps, which depends on its config."""
        config = _config(self.raw)
        try:
            found = _branches(node, config)
            looks = plugin_runner.looks_at_steps(node, config) if node.own else node.looks_at_steps(config)
        except NodeError as error:
            self.bad("config", error.message)
            return ()
        if looks:
            self.references.add("*")
        if "error" in found and self.raw.get("on_error") == "branch":
            self.bad("on_error", 'cannot be "branch": the node already has a branch named "error"')
        return found

    def name(self) -> str:
        name = self.raw.get("name", self.id)
        if not isinstance(name, str) or len(name) > MAX_NAME:
            self.bad("name", f"must be text of at most {MAX_NAME} characters")
            return self.id
        return name or self.id

    def choice(self, key: str) -> str:
        allowed: list[str] = NODE["properties"][key]["enum"]
        value = self.raw.get(key, allowed[0])
        if value not in allowed:
            self.bad(key, f"must be one of: {', '.join(allowed)}")
            return allowed[0]
        return str(value)

    def flag(self, key: str) -> bool:
        value = self.raw.get(key, False)
        if not isinstance(value, bool):
            self.bad(key, "must be true or false")
        return bool(value)

    def number(self, holder: Mapping[str, Any], schema: dict[str, Any], key: str, default: Any, path: str = "") -> Any:
        """Return the number `holder[key]`, checked against the bounds in its schema."""
        value = holder.get(key, default)
        if value is None and default is None:
            return None
        low, high = get_bounds(schema, key)
        whole = "integer" in schema["properties"][key]["type"]
        kind = int if whole else (int, float)
        if isinstance(value, bool) or not isinstance(value, kind) or not low <= value <= high:
            word = "a whole number" if whole else "a number"
            self.bad(path + key, f"must be {word} from {low:g} to {high:g}")
            return default
        return value

    def retry(self) -> Retry:
        raw = self.raw.get("retry")
        if raw is None:
            return NO_RETRY
        if not isinstance(raw, dict):
            self.bad("retry", 'must be an object such as {"attempts": 3, "delay": 1, "backoff": 2}')
            return Retry()
        report_unknown_keys(raw, RETRY_KEYS, f"{self.path}.retry", self.issues, self.id)
        rules = RETRY["properties"]
        return Retry(**{key: self.number(raw, RETRY, key, rules[key]["default"], "retry.") for key in rules})

    def foreach(self, node: Node, branches: tuple[str, ...]) -> Template | Constant | None:
        raw = self.raw.get("foreach")
        if raw is None:
            return None
        if node.answers and (_config(self.raw).get("fields") or node.type == "form_page"):
            self.bad("foreach", "cannot be used on a node that asks by a form; ask for each item in a flow of its own")
        elif branches and self.raw.get("on_error") == "continue":
            self.bad("on_error", 'must be "branch" here: then the failed items go to the branch "error"')
        compiled = self.compiled("foreach", raw)
        if compiled is None and isinstance(raw, list):
            return Constant(raw)
        if compiled is None:
            self.bad("foreach", "must be a list, or an expression that returns one, such as {{ input.orders }}")
        return compiled

    def concurrency(self, node: Node) -> int | None:
        """Return how many items run at once; None for the default of the node type."""
        value: int | None = self.number(self.raw, NODE, "concurrency", None)
        if value is None:
            return None
        if self.raw.get("foreach") is None:
            self.bad("concurrency", "needs a list to loop over: set foreach, too")
        elif value > 1 and node.asks:
            self.bad("concurrency", f"must be 1 on {node.type!r}, whose record needs one item after the other")
        return value

    def delay(self) -> float:
        value = self.number(self.raw, NODE, "delay", None)
        if value and self.raw.get("foreach") is None:
            self.bad("delay", "needs a list to loop over: set foreach, too; to wait before a node, use a wait node")
        return float(value or 0)

    def repeat(self, node: Node, branches: tuple[str, ...]) -> Repeat | None:
        raw = self.part("repeat", REPEAT, REPEAT_EXAMPLE)
        if raw is None:
            return None
        if branches or node.trigger or node.asks or node.responds:
            self.bad("repeat", f"cannot be used on {node.type!r}; repeat a node that gets or does something")
        until = raw.get("until")
        compiled = self.compiled("repeat.until", until) if isinstance(until, str) else None
        if compiled is None:
            self.bad("repeat.until", "must be an expression for the output, such as {{ output.status == 'done' }}")
            return None
        numbers = {key: self.number(raw, REPEAT, key, _default(REPEAT, key), "repeat.") for key in ("every", "at_most")}
        return Repeat(compiled, **numbers, for_at_most=self.number(raw, REPEAT, "for_at_most", None, "repeat."))

    def rate(self, node: Node) -> CallRate | None:
        raw = self.part("rate", RATE, RATE_EXAMPLE)
        if raw is None:
            return None
        if node.suspends or node.trigger:
            instead = "; set a delay between the items" if node.suspends else ""
            self.bad("rate", f"cannot be used on {node.type!r}{instead}")
        key = raw.get("key")
        if key is not None and not (isinstance(key, str) and 0 < len(key) <= MAX_ID):
            self.bad("rate.key", f"must be text of 1 to {MAX_ID} characters")
            key = None
        calls = self.number(raw, RATE, "calls", 0, "rate.")
        return CallRate(calls, self.number(raw, RATE, "per", _default(RATE, "per"), "rate."), key)

    def debounce(self, node: Node) -> Debouncing | None:
        raw = self.part("debounce", DEBOUNCE, '{"seconds": 10, "key": "{{ input.body.id }}", "keep": "last"}')
        if raw is None:
            return None
        if not node.collects():
            instead = "set a longer interval" if node.type == "schedule" else f"only {COLLECTING} can collect"
            self.bad("debounce", f"cannot be used on {node.type!r}; {instead}")
        elif node.type == "webhook" and _config(self.raw).get("respond", "immediately") != "immediately":
            self.bad("debounce", 'needs the response "immediately": the run starts after the call')
        key = raw.get("key")
        compiled = self.compiled("debounce.key", key) if isinstance(key, str) else None
        if key is not None and compiled is None:
            self.bad("debounce.key", "must be an expression for the call, such as {{ input.body.id }}")
        elif compiled is not None and (wrong := compiled.roots & ONLY_IN_A_RUN):
            self.bad("debounce.key", f"{min(wrong)} is not available here: calls are collected before there is a run")
        keep, allowed = raw.get("keep", "last"), get_enum(DEBOUNCE, "keep")
        if keep not in allowed:
            self.bad("debounce.keep", f"must be one of: {', '.join(allowed)}")
        seconds = self.number(raw, DEBOUNCE, "seconds", 0, "debounce.")
        return Debouncing(seconds, compiled, str(keep))

    def part(self, key: str, schema: dict[str, Any], example: str) -> dict[str, Any] | None:
        """Return a setting that is an object, or None; report one that is something else, and its unknown keys."""
        raw = self.raw.get(key)
        if raw is None or isinstance(raw, dict):
            if raw is not None:
                report_unknown_keys(raw, tuple(schema["properties"]), f"{self.path}.{key}", self.issues, self.id)
            return raw
        self.bad(key, f"must be an object such as {example}")
        return None

    def compiled(self, key: str, value: Any) -> Template | None:
        try:
            compiled = compile_value(value)
        except ExpressionError as error:
            self.bad(key, str(error))
            self.parts += estimate_parts(value)
            return None
        if compiled is not None:
            self.parts += compiled.parts
            self.roots |= compiled.roots
            for id_ in sorted(compiled.steps):
                self.reference(key, id_)
        return compiled

    def reference(self, key: str, id_: str) -> None:
        """Record a use of `steps.<id>`: the step must exist, and run earlier or have a resume address."""
        if id_ == "*":
            self.references.add(id_)
            return
        if id_ not in self.place:
            self.bad(key, f"steps.{id_}: there is no node {id_!r}")
            return
        node = REGISTRY.get(self.nodes[id_]["type"])
        if node is not None and node.has_address and self.nodes[id_].get("foreach") is None:
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
        schema = node.schema(raw)
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
            if node.own:
                loaded = plugin_runner.load_config(node, schema, static, partial)
            else:
                loaded = schema.load(static, partial=partial)
        except ValidationError as error:
            for path, message in flatten(error.messages):
                if self.issues.is_full:
                    break
                self.bad(f"config.{path}" if path else "config", self.hinted(schema, raw, path, message))
            return Config({})
        except NodeError as error:
            self.bad("config", error.message)
            return Config({})
        per_item = {item.key: item.compiled for item in dynamic if item.field.metadata.get("x-per-item")}
        if per_item:
            return Config({**loaded, **per_item}, tuple(item for item in dynamic if item.key not in per_item))
        return Config(loaded, tuple(dynamic))

    def has_unevaluated(self, key: str, value: Any, field_: fields.Field[Any]) -> bool:
        """Return True, and report an issue, if the setting has an expression that would not be evaluated."""
        if not is_literal(field_):
            return self.has_unevaluated_key(key, value)
        place = None if field_.metadata.get("braces") else next(find_expressions(value), None)
        if place is not None:
            instead = field_.metadata.get("instead")
            self.bad(f"config.{key}{place[0][:MAX_NAME]}", NOT_EVALUATED + (f"; {instead}" if instead else ""))
        return place is not None

    def has_unevaluated_key(self, key: str, value: Any) -> bool:
        """Do the same for keys of objects: expressions in keys are never evaluated, unlike those in values."""
        if not isinstance(value, dict | list):
            return False
        for place, name in keys_in(value):
            if EXPRESSION.search(name):
                told = "expressions in field names are not evaluated; use a fixed name"
                self.bad(f"config.{key}{place[:MAX_NAME]}", f"{told}: {name[:MAX_NAME]!r}")
                return True
        return False

    def hinted(self, schema: Schema, raw: Mapping[str, Any], path: str, message: str) -> str:
        """Return the message with a hint: suggest a known setting for an unknown one.

        An empty required field gets only "must not be empty", without the maximum length.
        """
        if path in raw and path not in schema.fields:
            offer = suggest(path, schema.fields) or f"; allowed: {', '.join(schema.fields) or 'none'}"
            return f"unknown setting{offer}"
        if raw.get(path) == "" and message.startswith("must not be empty, "):
            return "must not be empty"
        return message


def _default(schema: dict[str, Any], key: str) -> Any:
    return schema["properties"][key]["default"]


def keys_in(value: Any) -> Iterator[tuple[str, str]]:
    """Yield the path of each object in a JSON value with each of its keys."""
    rest = [("", value)]
    while rest:
        place, part = rest.pop()
        if isinstance(part, dict):
            yield from ((place, key) for key in part)
            rest += [(f"{place}.{key}", item) for key, item in part.items() if isinstance(item, dict | list)]
        elif isinstance(part, list):
            rest += [(f"{place}[{index}]", item) for index, item in enumerate(part) if isinstance(item, dict | list)]


def estimate_parts(value: Any) -> int:
    """Estimate the number of expression parts in a value that does not compile."""
    return 1 + sum(map(len, find_texts_with_expressions(value))) // CHARACTERS_PER_PART


def get_schema(node: Node, raw: Mapping[str, Any] | None = None) -> Schema:
    """Return the schema of the config of this raw node, which is of this type; without one, of an empty config."""
    return node.schema(_config(raw or {}))


def read_nodes(definition: Any, max_nodes: int | None = None) -> Iterator[tuple[str, dict[str, Any], Node]]:
    """Yield the path, the raw node and the type of each node of a draft that has an id and a known type."""
    nodes = definition.get("nodes") if isinstance(definition, dict) else None
    for position, raw in enumerate(nodes[:max_nodes] if isinstance(nodes, list) else ()):
        if isinstance(raw, dict) and isinstance(raw.get("id"), str):
            node = REGISTRY.get(raw["type"]) if isinstance(raw.get("type"), str) else None
            if node is not None:
                yield f"nodes[{position}]", raw, node


# Credential usage: the credentials and workflows that a definition refers to, and warnings about missing ones.
#
# A draft may be incomplete, so this reads the raw definition and ignores malformed parts.

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
    warnings: list[Issue] = []
    for use in found:
        name, type_ = use.name[:MAX_NAME], type_of(use.name)
        if type_ is None:
            text = f"there is no credential {name!r} in this workspace"
        elif use.types and type_ not in use.types:
            text = f"the credential {name!r} is of type {type_}; it must be {or_list(use.types)}"
        else:
            continue
        warnings.append(Issue(use.path, text, use.node_id, "warning"))
        if len(warnings) == MAX_ISSUES:
            break
    return warnings


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
