"""What the engine runs: a plan, its nodes and their config, checked and compiled once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

from marshmallow import ValidationError, fields

from errors import ExpressionError, NodeError
from expressions import Template
from nodes.base import Node
from nodes.core.logic import kind_of
from nodes.limits import MAX_TEXT, UNMEASURED, size_of

from .messages import LONGEST, joined


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
    """One config key whose value is made anew for every execution, from what is `written` there."""

    key: str
    compiled: Template
    field: fields.Field[Any]
    written: Any


@dataclass(frozen=True, slots=True)
class Config:
    """A node's config, validated once: `static` is shared by all executions, `dynamic` is evaluated for each."""

    static: dict[str, Any]
    dynamic: tuple[Dynamic, ...] = ()

    def evaluate(self, scope: Mapping[str, Any], most: int = MAX_TEXT) -> dict[str, Any]:
        """The config with its expressions replaced; NodeError names the key whose value is not what the node takes.

        So it does where a key in which many expressions repeat a value has far more than `most` characters of JSON.
        """
        if not self.dynamic:
            return self.static
        config = dict(self.static)
        for key, compiled, field_, written in self.dynamic:
            try:
                value = compiled.evaluate(scope)
                if compiled.count > UNMEASURED:
                    size_of(value, f"config.{key}", 2 * most)
                config[key] = value if type(field_) is fields.Raw else field_.deserialize(value)
            except ExpressionError as error:
                raise NodeError(f"config.{key}: {error}", permanent=True) from None
            except ValidationError as error:
                problem = joined(f"config.{key}", error.messages)
                raise NodeError(problem + _gave(written, value), permanent=True) from None
        return config


def _gave(written: Any, value: Any) -> str:
    """What an expression came to, by its kind alone, for its value may be a secret."""
    whole = isinstance(written, str) and len(written) <= LONGEST and written.startswith("{{") and written.endswith("}}")
    return f"; {written} is {kind_of(value)}" if whole else ""


class Constant:
    """A list written out where an expression could stand."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def evaluate(self, scope: Mapping[str, Any]) -> Any:
        return self.value


class Pin(NamedTuple):
    """What is taken for the output of a node instead of executing it, and the branch by which it leaves."""

    output: Any
    branch: str | None = None


@dataclass(frozen=True, slots=True)
class PlannedNode:
    """A node, ready to run. `inputs` are its edges in: the source's position in the plan, the branch it leaves by;
    `branches` the ways out that its type gives it under its config.

    `references` are the steps that its expressions look at (`*`: perhaps any that come before it), but for those that
    may be answered: where it comes after such a one, it sees its output; those in `addresses` show it where to answer
    them, however they were answered. One that is `pinned` is not executed.
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
    addresses: frozenset[str] = frozenset()
    pinned: Pin | None = None


@dataclass(frozen=True)
class Plan:
    """A valid definition in the order in which it runs, or a part of one (see parts.py).

    `until` is the node whose output is the run's, `left_out` are nodes that the run has nothing to do with.
    """

    nodes: tuple[PlannedNode, ...]
    settings: Settings
    until: str | None = None
    left_out: tuple[PlannedNode, ...] = ()

    @cached_property
    def by_id(self) -> dict[str, PlannedNode]:
        """Every node under its id."""
        return {node.id: node for node in self.nodes}

    @cached_property
    def leaves(self) -> tuple[PlannedNode, ...]:
        """The nodes after which nothing comes."""
        return tuple(node for node in self.nodes if node.is_leaf)

    @cached_property
    def responders(self) -> tuple[PlannedNode, ...]:
        """The nodes that can answer a webhook."""
        return tuple(node for node in self.nodes if node.node.responds and not node.disabled)

    @cached_property
    def answerable(self) -> dict[str, Node]:
        """The nodes that wait for an answer, and have addresses for it from the start; those left out have some too,
        since others may look at them.
        """
        nodes = (*self.nodes, *self.left_out)
        return {node.id: node.node for node in nodes if node.node.has_address and not node.disabled}

    @cached_property
    def responding(self) -> frozenset[str]:
        """The nodes that answer a webhook and after which there is more to do."""
        return frozenset(node.id for node in self.responders if node is not self.nodes[-1])

    @cached_property
    def suspends(self) -> bool:
        """Whether a run may have to wait."""
        return any(node.node.suspends for node in self.nodes if not node.disabled)

    @cached_property
    def is_slow(self) -> bool:
        """Whether a run may hold a thread for minutes."""
        return any(node.node.slow for node in self.nodes if not node.disabled)

    @cached_property
    def is_quick(self) -> bool:
        """Whether a run is over in no time, as far as its nodes can tell."""
        return all(node.node.quick and node.retry.attempts == 1 for node in self.nodes if not node.disabled)
