"""Plan of a workflow: its nodes with their config, validated and compiled once, as the engine runs them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, NamedTuple

from marshmallow import ValidationError, fields

from errors import BadInput, ExpressionError, NodeError
from expressions import Template
from nodes.base import Node
from nodes.core.logic import is_true
from nodes.fields import kind_of
from nodes.limits import MAX_TEXT, MAX_UNMEASURED, size_of

from .messages import MAX_QUOTED, join_messages
from .node_graph import MAX_NAME, Issues


@dataclass(frozen=True, slots=True)
class Retry:
    """Retry policy: max attempts, and a delay of `delay * backoff ** n` seconds, with jitter, before each retry."""

    attempts: int = 1
    delay: float = 1.0
    backoff: float = 2.0

    def pause(self, attempt: int, chance: float) -> float:
        """Return the seconds to wait after attempt number `attempt`; `chance` (0 to 1) scales it by 50 to 100 %."""
        return min(self.delay * self.backoff ** (attempt - 1), 3600.0) * (0.5 + chance / 2)


class Repeat(NamedTuple):
    """Rounds of a node, with `every` seconds between them, until the condition `until` is true.

    There are at most `at_most`, and none begins more than `for_at_most` seconds after the first.
    """

    until: Template | Constant
    every: float = 10.0
    at_most: int = 100
    for_at_most: float | None = None

    def is_over(self, scope: Mapping[str, Any]) -> bool:
        """Return True if the condition is met. Raises: NodeError if it cannot be evaluated."""
        try:
            return is_true(self.until.evaluate(scope))
        except ExpressionError as error:
            raise NodeError(f"repeat.until: {error}", permanent=True, kind="expression") from None


class CallRate(NamedTuple):
    """A rate limit: `calls` calls in `per` seconds, shared by all nodes of the workspace with the same `key`."""

    calls: int
    per: float = 60.0
    key: str | None = None


class Debouncing(NamedTuple):
    """Calls of a trigger with the same `key` start one run, `seconds` after the last of them.

    `keep` chooses the input of the run: that of the last or the first call, or a list of all.
    """

    seconds: float
    key: Template | None = None
    keep: str = "last"


@dataclass(frozen=True, slots=True)
class FlowSettings:
    """Settings of a workflow; `timeout` limits the seconds from a run's start to its end.

    Without a `timezone` it is the workspace's. At most `parallel` nodes of a run are executed at the same time.
    """

    timezone: str = ""
    timeout: float | None = None
    max_concurrent_runs: int = 0
    overlap: str = "queue"
    error_workflow_id: str | None = None
    parallel: int = 1
    vars: Mapping[str, Any] = field(default_factory=dict)


class Dynamic(NamedTuple):
    """A config key with an expression, evaluated for every execution; `written` is its source."""

    key: str
    compiled: Template
    field: fields.Field[Any]
    written: Any


@dataclass(frozen=True, slots=True)
class Config:
    """Validated config of a node: `static` is shared by all executions, `dynamic` is evaluated for each."""

    static: dict[str, Any]
    dynamic: tuple[Dynamic, ...] = ()

    def evaluate(self, scope: Mapping[str, Any], most: int = MAX_TEXT) -> dict[str, Any]:
        """Return the config with its expressions evaluated.

        Raises: NodeError if an expression fails, its value is invalid for the key, or a key whose many expressions
            repeat a value exceeds twice `most` characters of JSON.
        """
        if not self.dynamic:
            return self.static
        config = dict(self.static)
        for key, compiled, field_, written in self.dynamic:
            try:
                value = compiled.evaluate(scope)
                if compiled.count > MAX_UNMEASURED:
                    size_of(value, f"config.{key}", 2 * most)
                config[key] = value if type(field_) is fields.Raw else field_.deserialize(value)
            except ExpressionError as error:
                raise NodeError(f"config.{key}: {error}", permanent=True, kind="expression") from None
            except ValidationError as error:
                problem = join_messages(error.messages, f"config.{key}")
                is_short = isinstance(written, str) and len(written) <= MAX_QUOTED
                if is_short and written.startswith("{{") and written.endswith("}}"):
                    # Never the value itself, which may be a secret.
                    problem += f"; {written} is {kind_of(value)}"
                raise NodeError(problem, permanent=True) from None
        return config


class Constant:
    """A literal list in place of an expression."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def evaluate(self, scope: Mapping[str, Any]) -> Any:
        return self.value


class Pin(NamedTuple):
    """The output used instead of executing a node, and the branch it takes."""

    output: Any
    branch: str | None = None


@dataclass(frozen=True, slots=True)
class PlannedNode:
    """A node, ready to run.

    `inputs` are its incoming edges: the source's position in the plan and the branch taken there. `branches` are its
    ways out under its config. `references` are the steps whose output its expressions read (`*`: possibly any earlier
    step); `reads_now` says if it needs the time of its start. `addresses` are steps that do not run before it and wait
    for an answer: its expressions see their resume addresses. A `pinned` node is not executed. `concurrency` items of a
    `foreach` are executed at once (None: one, or all if it asks people), with `delay` seconds between their starts.
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
    branches: tuple[str, ...] = ()
    references: frozenset[str] = frozenset()
    reads_now: bool = True
    addresses: frozenset[str] = frozenset()
    pinned: Pin | None = None
    concurrency: int | None = None
    delay: float = 0.0
    repeat: Repeat | None = None
    rate: CallRate | None = None
    debounce: Debouncing | None = None

    @property
    def has_address(self) -> bool:
        """Return True if its resume address exists from the start of a run: not those of the items of a loop."""
        return self.node.has_address and self.foreach is None

    def takes_answer(self, in_loop: bool) -> bool:
        """Return True if it can be answered, or with `in_loop`, if each of its items can."""
        is_executed = not self.disabled and self.pinned is None
        return is_executed and bool(self.node.answers) and in_loop == (self.foreach is not None and not self.node.asks)

    @property
    def pauses(self) -> bool:
        """Return True if the engine may pause before it executes the node."""
        return self.repeat is not None or self.rate is not None or self.delay > 0

    @property
    def routes_items(self) -> bool:
        """Return True if it chooses a branch for each item of a list."""
        return self.foreach is not None and bool(self.branches)

    @property
    def is_plain_loop(self) -> bool:
        """Return True if its items end one after the other, without a pause."""
        return not self.node.suspends and not self.pauses and (self.concurrency or 1) == 1

    @property
    def is_quick(self) -> bool:
        """Return True if it ends almost at once, so that a thread for it would cost more than it saves."""
        return self.node.quick and self.retry.attempts == 1 and not self.pauses

    @property
    def is_parallel_loop(self) -> bool:
        """Return True if several of its items are executed at once, in threads."""
        return (self.concurrency or 1) > 1 and not self.node.pure and not self.node.suspends

    @property
    def records_items(self) -> bool:
        """Return True if each item is recorded, because it has effects or may wait."""
        return not self.node.pure or self.node.suspends or self.pauses


@dataclass(frozen=True)
class Plan:
    """A valid definition in order of execution, or a part of one (see `subplan`).

    The output of the node `until` is the run's output. `left_out` are nodes that the run does not use.
    """

    nodes: tuple[PlannedNode, ...]
    settings: FlowSettings
    until: str | None = None
    left_out: tuple[PlannedNode, ...] = ()

    @cached_property
    def by_id(self) -> dict[str, PlannedNode]:
        """Return every node by id."""
        return {node.id: node for node in self.nodes}

    @cached_property
    def leaves(self) -> tuple[PlannedNode, ...]:
        """Return the nodes without outgoing edges."""
        return tuple(node for node in self.nodes if node.is_leaf)

    @cached_property
    def responders(self) -> tuple[PlannedNode, ...]:
        """Return the nodes that can respond to a webhook."""
        return tuple(node for node in self.nodes if node.node.responds and not node.disabled)

    @cached_property
    def answerable(self) -> dict[str, Node]:
        """Return the nodes that wait for an answer and have a resume address from the start.

        Includes nodes left out of the run, because expressions of other nodes may use their address.
        """
        nodes = (*self.nodes, *self.left_out)
        return {node.id: node.node for node in nodes if node.has_address and not node.disabled}

    @cached_property
    def responding(self) -> frozenset[str]:
        """Return the ids of responders that are not the last node."""
        return frozenset(node.id for node in self.responders if node is not self.nodes[-1])

    @cached_property
    def checks_input(self) -> bool:
        """Return True if a trigger may check the run's input, before the run exists, with a schema."""
        return any(node.node.trigger and "input_schema" in node.config.static for node in self.nodes)

    @cached_property
    def suspends(self) -> bool:
        """Return True if a run may pause for a wait."""
        return any(node.node.suspends or node.pauses for node in self.nodes if not node.disabled)

    @cached_property
    def routes_items(self) -> bool:
        """Return True if a node may have several live branches, with different items."""
        return any(node.routes_items for node in self.nodes)

    @cached_property
    def is_slow(self) -> bool:
        """Return True if a run may occupy a thread for minutes."""
        return any(node.node.slow for node in self.nodes if not node.disabled)

    @cached_property
    def is_quick(self) -> bool:
        """Return True if a run ends almost at once, judging by its nodes."""
        return all(node.is_quick for node in self.nodes if not node.disabled)

    @cached_property
    def uses_threads(self) -> bool:
        """Return True if a run may execute several nodes, or items of a node, at the same time."""
        return self.settings.parallel > 1 or any(node.is_parallel_loop for node in self.nodes)


# Subplan: the part of a plan needed to reach one node, with pinned outputs in place of execution.
#
# Pure: takes a plan, returns a plan that runs like any other.


def select_part(plan: Plan, until: str | None, pinned: Mapping[str, Pin], without: Collection[str] = ()) -> Plan:
    """Return the plan of the nodes that must run to reach the node `until`, or every leaf if it is None.

    Includes the ancestors of these nodes and the steps their expressions read. Excludes the ancestors that only
    `pinned` nodes need, and the leaves `without`. A pinned node counts as executed, but is skipped if all its ancestors
    run and skip it.

    Raises: BadInput if a node or a branch does not exist.
    """
    _check(plan, until, pinned)
    needed = _needed(plan, until, pinned, without)
    order = sorted(needed)
    place = {old: new for new, old in enumerate(order)}
    nodes = tuple(_placed(plan.nodes[old], place, until, pinned) for old in order)
    return Plan(nodes, plan.settings, until, tuple(node for node in plan.nodes if node.position not in needed))


def select_one(plan: Plan, only: str, pinned: Mapping[str, Pin], kept: Collection[str]) -> Plan:
    """Return the plan in which just the node `only` is executed, with its pinned sources and the nodes `kept`.

    Kept nodes have recorded steps. They are disabled in the plan, so that they are not executed again.

    Raises: BadInput if the node, a pinned node or a branch does not exist.
    """
    _check(plan, only, pinned, "only")
    pins = {id_: pinned[id_] for id_ in find_sources(plan, only) & pinned.keys()}
    order = [node.position for node in plan.nodes if node.id == only or node.id in pins or node.id in kept]
    place = {old: new for new, old in enumerate(order)}
    nodes = []
    for old in order:
        node = _placed(plan.nodes[old], place, only, pins)
        if node.pinned is not None:
            node = replace(node, inputs=())
        elif node.id != only:
            node = replace(node, disabled=True, references=frozenset(), addresses=frozenset())
        nodes.append(node)
    return Plan(tuple(nodes), plan.settings, only, tuple(node for node in plan.nodes if node.position not in place))


def find_sources(plan: Plan, node_id: str) -> set[str]:
    """Return the nodes whose output the node needs: its direct predecessors, and the steps that it reads."""
    node = plan.by_id[node_id]
    return {plan.nodes[at].id for at, _ in node.inputs} | node.references - {"*"}


def find_unconnected(plan: Plan, bad: Collection[str | None]) -> frozenset[str]:
    """Return the nodes of unconnected parts of the plan that contain a `bad` node and no trigger.

    None of them if nothing else is left. Expressions that read a step connect nodes too.
    """
    parts = list(range(len(plan.nodes)))  # for each node, a node of the same part; the first one has itself

    def first(at: int) -> int:
        while parts[at] != at:
            parts[at] = at = parts[parts[at]]
        return at

    for node in plan.nodes:
        read = [plan.by_id[id_].position for id_ in node.references if id_ != "*"]
        for at in (*(source for source, _ in node.inputs), *read):
            low, high = sorted((first(at), first(node.position)))
            parts[high] = low
    wrong = {first(node.position) for node in plan.nodes if node.id in bad}
    wrong -= {first(node.position) for node in plan.nodes if node.node.trigger and not node.disabled}
    found = frozenset(node.id for node in plan.nodes if first(node.position) in wrong)
    return found if len(found) < len(plan.nodes) else frozenset()


def _check(plan: Plan, until: str | None, pinned: Mapping[str, Pin], key: str = "until") -> None:
    issues = Issues()
    if until is not None and until not in plan.by_id:
        issues.add(key, f"there is no node {until[:MAX_NAME]!r}")
    for id_, pin in pinned.items():
        node = plan.by_id.get(id_)
        if node is None:
            issues.add(f"pinned.{id_[:MAX_NAME]}", "there is no node with this id")
            continue
        branches: tuple[str | None, ...] = node.branches or (None,)
        if node.on_error == "branch" and "error" not in branches:
            branches = (*branches, "error")
        if pin.branch not in branches:
            known = ", ".join(repr(name) for name in branches if name is not None)
            text = f"must be one of: {known}" if known else "must be omitted: the node has no branches"
            issues.add(f"pinned.{id_}.branch", text, id_)
    if issues:
        raise BadInput("; ".join(map(str, issues[:5])), issues)


def _needed(plan: Plan, until: str | None, pinned: Collection[str], without: Collection[str]) -> set[int]:
    """Return the positions of the nodes in the subplan."""
    if until is not None:
        rest = [plan.by_id[until].position]
    else:
        ends = [node for node in plan.nodes if node.is_leaf or node.id in pinned]
        rest = [node.position for node in ends if node.id not in without]
    needed: set[int] = set()
    while rest:
        at = rest.pop()
        if at in needed:
            continue
        needed.add(at)
        node = plan.nodes[at]
        if node.id not in pinned:
            rest += [source for source, _ in node.inputs]
            rest += [plan.by_id[id_].position for id_ in node.references if id_ != "*"]
    return needed


def _placed(node: PlannedNode, place: Mapping[int, int], until: str | None, pinned: Mapping[str, Pin]) -> PlannedNode:
    """Move the node to its new position. A pinned node needs no references, and no inputs if some are left out."""
    pin = pinned.get(node.id)
    inputs = tuple((place[at], way) for at, way in node.inputs if at in place)
    if pin is not None and len(inputs) < len(node.inputs):
        inputs = ()
    is_leaf = node.is_leaf if until is None else node.id == until
    moved = replace(node, position=place[node.position], inputs=inputs, is_leaf=is_leaf)
    if pin is None:
        return moved
    return replace(moved, pinned=pin, disabled=False, references=frozenset(), addresses=frozenset())
