"""A WorkflowDefinition: what it may hold, what is wrong with it, and the `Plan` that the engine runs.

Pure: a JSON object goes in, a plan or a list of issues comes out. The checks come in two stages, because a draft may be
incomplete but never malformed: `graph` looks at ids and edges, `plan` also at node types, branches, config and
expressions.
"""

from __future__ import annotations

import heapq
import re
import zoneinfo
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, NamedTuple

from marshmallow import ValidationError, fields

from errors import DefinitionError, ExpressionError, Issue, NodeError
from expressions import Template, compile_value
from nodes.base import REGISTRY, Node, is_literal

ID = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
MAX_ID, MAX_NAME = 64, 200
ON_ERROR = ("fail", "continue", "branch")
ON_INTERRUPT = ("retry", "fail")


class Edge(NamedTuple):
    """A wire from node `source` to node `target`, live when the source leaves by `branch` (None: the unnamed way)."""

    source: str
    target: str
    branch: str | None


@dataclass(frozen=True, slots=True)
class Retry:
    """How often to try, and the pause before each further attempt: `delay * backoff ** n` seconds, with jitter."""

    attempts: int = 1
    delay: float = 1.0
    backoff: float = 2.0

    def pause(self, attempt: int, chance: float) -> float:
        """Seconds before the attempt after number `attempt`; `chance` (0 to 1) spreads it over 50 to 100 percent."""
        return min(self.delay * self.backoff ** (attempt - 1), 3600.0) * (0.5 + chance / 2)


@dataclass(frozen=True, slots=True)
class Settings:
    """A flow's own settings; `timeout` is for the whole run, in seconds, None for the server's."""

    timezone: str = "UTC"
    timeout: float | None = None
    max_concurrent_runs: int = 0
    overlap: str = "queue"
    error_workflow_id: str | None = None
    vars: Mapping[str, Any] = field(default_factory=dict)


class Dynamic(NamedTuple):
    """One config key whose value is made anew for every execution."""

    key: str
    compiled: Template
    field: fields.Field[Any]


@dataclass(frozen=True, slots=True)
class Config:
    """A node's config, validated once: `static` is shared by all executions, `dynamic` is evaluated for each."""

    static: dict[str, Any]
    dynamic: tuple[Dynamic, ...] = ()

    def evaluate(self, scope: Mapping[str, Any]) -> dict[str, Any]:
        """The config with its expressions replaced; NodeError names the key whose value is not what the node takes."""
        if not self.dynamic:
            return self.static
        config = dict(self.static)
        for key, compiled, field_ in self.dynamic:
            try:
                value = compiled.evaluate(scope)
                config[key] = value if type(field_) is fields.Raw else field_.deserialize(value)
            except ExpressionError as error:
                raise NodeError(f"config.{key}: {error}", permanent=True) from None
            except ValidationError as error:
                raise NodeError(f"config.{key}: {_flat(error.messages)}", permanent=True) from None
        return config


class Constant:
    """A list written out where an expression could stand."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def evaluate(self, scope: Mapping[str, Any]) -> Any:
        return self.value


@dataclass(frozen=True, slots=True)
class PlannedNode:
    """A node, ready to run. `inputs` are its edges in: the source's position in the plan, the branch it leaves by.

    `references` are the steps that its expressions look at, but for those that may be answered: where it comes after
    such a one, it sees its output; those in `addresses` show it where to answer them, however they were answered.
    """

    position: int
    id: str
    type: str
    name: str
    node: Node
    config: Config
    inputs: tuple[tuple[int, str | None], ...]
    is_leaf: bool
    foreach: Template | Constant | None = None
    retry: Retry = Retry()
    timeout: float | None = None
    on_error: str = "fail"
    on_interrupt: str = "retry"
    disabled: bool = False
    branching: bool = False
    references: frozenset[str] = frozenset()
    addresses: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Plan:
    """A valid definition in the order in which it runs."""

    nodes: tuple[PlannedNode, ...]
    settings: Settings

    @cached_property
    def by_id(self) -> dict[str, PlannedNode]:
        """Every node under its id."""
        return {node.id: node for node in self.nodes}

    @cached_property
    def answerable(self) -> tuple[str, ...]:
        """The nodes that wait for an answer, and have addresses for it."""
        return tuple(node.id for node in self.nodes if node.node.answers and not node.disabled)

    @cached_property
    def responding(self) -> frozenset[str]:
        """The nodes that answer a webhook and after which there is more to do."""
        return frozenset(node.id for node in self.nodes[:-1] if node.node.responds and not node.disabled)

    @cached_property
    def suspends(self) -> bool:
        """Whether a run may have to wait."""
        return any(node.node.suspends for node in self.nodes if not node.disabled)

    @cached_property
    def is_quick(self) -> bool:
        """Whether a run is over in no time, as far as its nodes can tell."""
        return all(node.node.quick and node.retry.attempts == 1 for node in self.nodes if not node.disabled)


class Graph(NamedTuple):
    """The raw nodes by id in the order of the file, and the edges."""

    nodes: dict[str, dict[str, Any]]
    edges: list[Edge]
    order: list[str]


class Issues(list[Issue]):
    """What is wrong, collected; `add` says where."""

    def add(self, path: str, message: str, node_id: str | None = None) -> None:
        """Note one issue at `path`, such as `nodes[2].config.url`."""
        self.append(Issue(path, message, node_id))


def plan(definition: Any, max_nodes: int = 20_000) -> Plan:
    """The plan of a definition (a JSON object). Raises DefinitionError with every issue found."""
    made, issues = check(definition, max_nodes)
    if made is None:
        raise DefinitionError(issues)
    return made


def check(definition: Any, max_nodes: int = 20_000) -> tuple[Plan | None, list[Issue]]:
    """The plan, or None, and all issues."""
    issues = Issues()
    shape = _graph(definition, issues, max_nodes)
    if shape is None:
        return None, issues
    if not shape.nodes:
        issues.add("nodes", "a flow needs at least one node")
    settings = _settings(definition.get("settings"), issues)
    _unknown_keys(definition, ("nodes", "edges", "settings"), "", issues)
    nodes = _nodes(shape, issues)
    return (None if issues else Plan(nodes, settings)), issues


def graph(definition: Any, max_nodes: int = 20_000) -> Graph:
    """Ids and edges of a draft; DefinitionError where they are malformed, doubled, dangling or form a cycle."""
    issues = Issues()
    shape = _graph(definition, issues, max_nodes)
    if shape is None:
        raise DefinitionError(issues)
    return shape


# The graph


def _graph(definition: Any, issues: Issues, max_nodes: int) -> Graph | None:
    if not isinstance(definition, dict):
        issues.add("definition", "must be an object with nodes and edges")
        return None
    raw = _list(definition, "nodes", issues)
    if len(raw) > max_nodes:
        issues.add("nodes", f"has {len(raw)} nodes; at most {max_nodes} are allowed")
        return None
    nodes = _ids(raw, issues)
    edges = _edges(_list(definition, "edges", issues), nodes, issues)
    if issues:
        return None
    order = _order(nodes, edges, issues)
    return None if issues else Graph(nodes, edges, order)


def _list(definition: dict[str, Any], key: str, issues: Issues) -> list[Any]:
    value = definition.get(key, [])
    if isinstance(value, list):
        return value
    issues.add(key, "must be a list")
    return []


def _ids(raw: list[Any], issues: Issues) -> dict[str, dict[str, Any]]:
    nodes: dict[str, dict[str, Any]] = {}
    for position, node in enumerate(raw):
        path = f"nodes[{position}]"
        if not isinstance(node, dict):
            issues.add(path, "must be an object with id and type")
            continue
        id_ = node.get("id")
        if not isinstance(id_, str) or not ID.match(id_) or len(id_) > MAX_ID:
            issues.add(f"{path}.id", "is missing or not a name of letters, digits and _ that starts with no digit")
        elif id_ in nodes:
            issues.add(f"{path}.id", f"the node id {id_!r} is used twice", id_)
        elif not isinstance(node.get("type"), str) or not node["type"]:
            issues.add(f"{path}.type", "is missing or not text", id_)
        else:
            nodes[id_] = node
    return nodes


def _edges(raw: list[Any], nodes: Mapping[str, Any], issues: Issues) -> list[Edge]:
    edges: dict[Edge, None] = {}
    for position, item in enumerate(raw):
        edge = _edge(item)
        path = f"edges[{position}]"
        if edge is None:
            issues.add(path, 'must be {"from": id, "to": id, "branch"?: name} or ["from", "to", "branch"?]')
            continue
        for end, id_ in (("from", edge.source), ("to", edge.target)):
            if id_ not in nodes:
                issues.add(f"{path}.{end}", f"there is no node {id_[:MAX_ID]!r}")
        if edge in edges:
            issues.add(path, f"the edge from {edge.source!r} to {edge.target!r} stands here twice")
        edges[edge] = None
    return list(edges)


def _edge(item: Any) -> Edge | None:
    if isinstance(item, dict):
        if item.keys() - {"from", "to", "branch", "id"}:
            return None
        parts = [item.get("from"), item.get("to"), item.get("branch")]
    elif isinstance(item, list) and len(item) in (2, 3):
        parts = [*item, None][:3]
    else:
        return None
    source, target, branch = parts
    if isinstance(source, str) and isinstance(target, str) and (branch is None or isinstance(branch, str)):
        return Edge(source, target, branch)
    return None


def _order(nodes: Mapping[str, Any], edges: Iterable[Edge], issues: Issues) -> list[str]:
    """Kahn's order; of several that could come next, the one that stands first in the file."""
    position = {id_: index for index, id_ in enumerate(nodes)}
    ids = list(nodes)
    waits_for = dict.fromkeys(nodes, 0)
    targets: dict[str, list[str]] = {id_: [] for id_ in nodes}
    for edge in edges:
        waits_for[edge.target] += 1
        targets[edge.source].append(edge.target)
    ready = [position[id_] for id_, count in waits_for.items() if count == 0]
    heapq.heapify(ready)
    order: list[str] = []
    while ready:
        id_ = ids[heapq.heappop(ready)]
        order.append(id_)
        for target in targets[id_]:
            waits_for[target] -= 1
            if not waits_for[target]:
                heapq.heappush(ready, position[target])
    if len(order) < len(nodes):
        loop = _cycle([id_ for id_ in ids if waits_for[id_]], edges)
        issues.add("edges", "the graph has a cycle: " + " -> ".join(loop), loop[0])
    return order


def _cycle(stuck: list[str], edges: Iterable[Edge]) -> list[str]:
    """One cycle, shown from its first node back to it: every stuck node has a stuck predecessor, so walk backwards."""
    left = set(stuck)
    before = {edge.target: edge.source for edge in edges if edge.source in left and edge.target in left}
    seen: dict[str, int] = {}
    walk: list[str] = []
    id_ = stuck[0]
    while id_ not in seen:
        seen[id_] = len(walk)
        walk.append(id_)
        id_ = before[id_]
    loop = walk[seen[id_] :][::-1]
    if len(loop) > 12:
        loop = [*loop[:6], "…", *loop[-5:]]
    return [*loop, loop[0]]


# Nodes, their config and settings


def _nodes(shape: Graph, issues: Issues) -> tuple[PlannedNode, ...]:
    place = {id_: index for index, id_ in enumerate(shape.order)}
    file_place = {id_: index for index, id_ in enumerate(shape.nodes)}
    inputs: dict[str, list[tuple[int, str | None]]] = {id_: [] for id_ in shape.nodes}
    sources = set()
    for edge in shape.edges:
        inputs[edge.target].append((place[edge.source], edge.branch))
        sources.add(edge.source)
    planned = []
    for id_ in shape.order:
        builder = _Builder(shape.nodes[id_], f"nodes[{file_place[id_]}]", place, shape.nodes, issues)
        built = builder.build(tuple(sorted(inputs[id_], key=lambda pair: pair[0])), id_ not in sources)
        if built is not None:
            planned.append(built)
    _check_edges(shape, issues)
    return tuple(planned) if issues else _addressing(planned)


def _addressing(nodes: list[PlannedNode]) -> tuple[PlannedNode, ...]:
    """The nodes, with those in `addresses` alone that are not before the node: these it sees as they ended."""
    bits = {id_: 1 << number for number, id_ in enumerate({id_ for node in nodes for id_ in node.addresses})}
    before: list[int] = []  # for each node, the bits of what comes before it
    for node in nodes if bits else ():
        before.append(0)
        for at, _ in node.inputs:
            before[-1] |= before[at] | bits.get(nodes[at].id, 0)
        outside = frozenset(id_ for id_ in node.addresses if not before[-1] & bits[id_])
        nodes[node.position] = replace(node, addresses=outside)
    return tuple(nodes)


def _check_edges(shape: Graph, issues: Issues) -> None:
    """Every edge leaves by a way that its source has, and enters no trigger."""
    ways = {id_: _ways(raw) for id_, raw in shape.nodes.items()}
    for edge in shape.edges:
        path = f"edges ({edge.source} -> {edge.target})"
        target = REGISTRY.get(shape.nodes[edge.target]["type"])
        if target is not None and target.trigger:
            issues.add(path, f"{edge.target!r} is a trigger and takes no incoming edge", edge.target)
        known = ways[edge.source]
        if known is None or edge.branch in known:
            continue
        names = ", ".join(repr(name) for name in known if name is not None)
        if edge.branch is None:
            issues.add(path, f"must name a branch of {edge.source!r}: {names}", edge.source)
        else:
            offer = f"it has {names}" if names else "it has none"
            issues.add(path, f"{edge.source!r} has no branch {edge.branch[:MAX_NAME]!r}; {offer}", edge.source)


def _ways(raw: Mapping[str, Any]) -> tuple[str | None, ...] | None:
    """The branches of a node; None in them is the unnamed way. None for an unknown type."""
    node = REGISTRY.get(raw["type"])
    if node is None:
        return None
    config = raw.get("config")
    ways: tuple[str | None, ...] = node.branches(config if isinstance(config, dict) else {}) or (None,)
    return (*ways, "error") if raw.get("on_error") == "branch" else ways


NODE_KEYS = (
    "id", "type", "name", "config", "position", "foreach", "retry", "timeout", "on_error", "on_interrupt", "disabled",
    "notes",
)  # fmt: skip


class _Builder:
    """Turns one raw node into a `PlannedNode`, or notes what is wrong with it."""

    def __init__(
        self, raw: dict[str, Any], path: str, place: Mapping[str, int], nodes: Mapping[str, Any], issues: Issues
    ) -> None:
        self.raw, self.path, self.place, self.nodes, self.issues = raw, path, place, nodes, issues
        self.id: str = raw["id"]
        self.references: set[str] = set()
        self.addresses: set[str] = set()

    def build(self, inputs: tuple[tuple[int, str | None], ...], is_leaf: bool) -> PlannedNode | None:
        node = REGISTRY.get(self.raw["type"])
        if node is None:
            self.bad("type", f"there is no node type {self.raw['type'][:MAX_NAME]!r}")
            return None
        before = len(self.issues)
        _unknown_keys(self.raw, NODE_KEYS, self.path, self.issues, self.id)
        own_ways = node.branches(self.raw["config"] if isinstance(self.raw.get("config"), dict) else {})
        if "error" in own_ways and self.raw.get("on_error") == "branch":
            self.bad("on_error", "cannot be branch: the node has a branch of its own that is called error")
        planned = PlannedNode(
            position=self.place[self.id],
            id=self.id,
            type=node.type,
            name=self.name(),
            node=node,
            config=self.config(node),
            inputs=inputs,
            is_leaf=is_leaf,
            foreach=self.foreach(node, bool(own_ways)),
            retry=self.retry(),
            timeout=self.number("timeout", None, 0.001, 86_400),
            on_error=self.choice("on_error", ON_ERROR),
            on_interrupt=self.choice("on_interrupt", ON_INTERRUPT),
            disabled=self.flag("disabled"),
            branching=bool(own_ways),
            references=frozenset(self.references),
            addresses=frozenset(self.addresses),
        )
        return planned if len(self.issues) == before else None

    def bad(self, key: str, message: str) -> None:
        self.issues.add(f"{self.path}.{key}", message, self.id)

    def name(self) -> str:
        name = self.raw.get("name", self.id)
        if not isinstance(name, str) or len(name) > MAX_NAME:
            self.bad("name", f"must be text of at most {MAX_NAME} characters")
            return self.id
        return name or self.id

    def choice(self, key: str, allowed: tuple[str, ...]) -> str:
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

    def number(self, key: str, default: Any, low: float, high: float, where: Any = None, whole: bool = False) -> Any:
        holder = self.raw if where is None else where
        value = holder.get(key, default)
        if value is None and default is None:
            return None
        kind = int if whole else (int, float)
        if isinstance(value, bool) or not isinstance(value, kind) or not low <= value <= high:
            word = "a whole number" if whole else "a number"
            self.bad(key if where is None else f"retry.{key}", f"must be {word} from {low:g} to {high:g}")
            return default
        return value

    def retry(self) -> Retry:
        raw = self.raw.get("retry")
        if raw is None:
            return Retry()
        if not isinstance(raw, dict):
            self.bad("retry", 'must be an object such as {"attempts": 3, "delay": 1, "backoff": 2}')
            return Retry()
        _unknown_keys(raw, ("attempts", "delay", "backoff"), f"{self.path}.retry", self.issues, self.id)
        return Retry(
            self.number("attempts", 3, 1, 20, raw, whole=True),
            self.number("delay", 1.0, 0, 3600, raw),
            self.number("backoff", 2.0, 1, 10, raw),
        )

    def foreach(self, node: Node, branching: bool) -> Template | Constant | None:
        raw = self.raw.get("foreach")
        if raw is None:
            return None
        if branching:
            self.bad("foreach", f"cannot be used on {node.type!r}, which has branches; map with another node first")
        elif node.suspends:
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
            return None
        for id_ in sorted(compiled.steps) if compiled is not None else ():
            self.reference(key, id_)
        return compiled

    def reference(self, key: str, id_: str) -> None:
        """An expression may only look at steps that exist and come earlier, or that have an address from the start."""
        if id_ not in self.place:
            self.bad(key, f"steps.{id_}: there is no node {id_!r}")
            return
        node = REGISTRY.get(self.nodes[id_]["type"])
        if node is not None and node.answers:
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
        schema = _schema(node)
        static, dynamic = {}, []
        for key, value in raw.items():
            field_ = schema.fields.get(key)
            compiled = None if field_ is None or is_literal(field_) else self.compiled(f"config.{key}", value)
            if compiled is None or field_ is None:
                static[key] = value
            else:
                dynamic.append(Dynamic(key, compiled, field_))
        try:
            loaded = schema.load(static, partial=tuple(item.key for item in dynamic))
        except ValidationError as error:
            for path, message in _messages(error.messages):
                self.bad(f"config.{path}" if path else "config", message)
            return Config({})
        per_item = {item.key: item.compiled for item in dynamic if item.field.metadata.get("x-per-item")}
        return Config({**loaded, **per_item}, tuple(item for item in dynamic if item.key not in per_item))


_SCHEMAS: dict[type[Node], Any] = {}


def _schema(node: Node) -> Any:
    """The one instance of a node type's config schema: making one costs more than using it."""
    schema = _SCHEMAS.get(type(node))
    if schema is None:
        schema = _SCHEMAS[type(node)] = node.Config()
    return schema


def _unknown_keys(
    raw: Mapping[str, Any], known: Iterable[str], path: str, issues: Issues, node_id: str | None = None
) -> None:
    for key in sorted(raw.keys() - set(known)):
        issues.add(f"{path}.{key[:MAX_NAME]}".lstrip("."), f"is no key here; there are {', '.join(known)}", node_id)


def _settings(raw: Any, issues: Issues) -> Settings:
    if raw is None:
        return Settings()
    if not isinstance(raw, dict):
        issues.add("settings", "must be an object")
        return Settings()
    _unknown_keys(raw, SETTING_CHECKS, "settings", issues)
    good = {}
    for key, (accepts, message) in SETTING_CHECKS.items():
        if key not in raw:
            continue
        if accepts(raw[key]):
            good[key] = raw[key]
        else:
            issues.add(f"settings.{key}", message)
    return Settings(**good)


def _number(value: Any, low: float, high: float) -> bool:
    return not isinstance(value, bool) and isinstance(value, int | float) and low <= value <= high


def _is_zone(value: Any) -> bool:
    if not isinstance(value, str):
        return False
    try:
        zoneinfo.ZoneInfo(value)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        return False
    return True


SETTING_CHECKS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "timezone": (_is_zone, "must be an IANA time zone such as Europe/Berlin"),
    "timeout": (lambda v: v is None or _number(v, 0.001, 2_592_000), "must be a number of seconds above 0"),
    "max_concurrent_runs": (
        lambda v: isinstance(v, int) and _number(v, 0, 10_000),
        "must be a whole number from 0 to 10000",
    ),
    "overlap": (lambda v: v in ("queue", "skip"), "must be queue or skip"),
    "error_workflow_id": (
        lambda v: v is None or (isinstance(v, str) and len(v) <= MAX_ID),
        "must be a flow's id or null",
    ),
    "vars": (lambda v: isinstance(v, dict), "must be an object"),
}


# marshmallow's messages as paths


def _messages(messages: Any, path: str = "") -> list[tuple[str, str]]:
    """marshmallow's nested `{key: [text]}` as `[(path, text)]`."""
    if isinstance(messages, dict):
        found = []
        for key, value in messages.items():
            step = f"[{key}]" if isinstance(key, int) else ("" if key == "_schema" else f".{key}")
            found += _messages(value, (path + step).lstrip("."))
        return found
    texts = messages if isinstance(messages, list) else [messages]
    return [(path, str(text).rstrip(".")[:1].lower() + str(text).rstrip(".")[1:]) for text in texts]


def _flat(messages: Any) -> str:
    return "; ".join(f"{path}: {text}" if path else text for path, text in _messages(messages))
