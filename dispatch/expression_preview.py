"""Preview of expressions while a user edits them: evaluated as the engine would, with the recorded data of a run.

Nothing is executed and nothing is written. No credential is opened: dots stand in place of secrets.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, NamedTuple

import orjson

import definition as definitions
import engine
from database.base import now_ms
from database.queries import credentials, steps
from database.queries import steps as step_queries
from database.queries.workspace_variables import find_variables
from definition import Pin, Plan
from engine import Job, Settled
from errors import ExpressionError, NodeError, TooLarge
from expressions import Template, compile_value, find_texts_with_expressions
from models import Run, Step, Workflow
from nodes.base import REGISTRY
from nodes.credentials.types import TYPES
from nodes.fields import is_literal
from nodes.limits import size_of

from .payloads import Kept
from .resources import Flow, Resources

HIDDEN = "••••"
MAX_VALUE = 20_000  # bytes of a value's JSON, or characters of a text
MAX_SECONDS = 5.0  # for all templates of a request
# Characters of all texts with expressions compiled for one request: about a second, during which no other thread of the
# process can work.
MAX_COMPILED = 100_000
MAX_EACH_VALUE = 2_000  # the same, for one of several items
BATCH = 50  # steps read between two checks of their total size
NAMES = ("input", "item", "index", "steps", "trigger", "vars", "secrets", "run", "workflow", "now")
NO_RUN = "run_00000000000000000000000000"


class OfItem(NamedTuple):
    """The value of a template for one item of a loop, at this place, or for one of the last runs."""

    place: int | None
    run_id: str | None
    value: TemplateValue


class TemplateValue(NamedTuple):
    """The value of a template as JSON text, or the error. If `truncated`, the start of the value, as text."""

    ok: bool
    value: bytes | None = None
    error: str | None = None
    truncated: bool = False


@dataclass(frozen=True, slots=True)
class ExpressionContext:
    """The place of expressions: a node of a definition, and the run with the data for them, if any."""

    flow: Flow
    definition: Mapping[str, Any]
    node_id: str
    is_draft: bool = False
    run: Run | None = None
    pinned: Mapping[str, Pin] = field(default_factory=dict)


class MaskedSecrets(Mapping[str, Any]):
    """`secrets` of an expression, with dots in place of every value of a credential, secret or not."""

    def __init__(self, workspace_id: str) -> None:
        self.workspace_id = workspace_id

    def __getitem__(self, name: str) -> Any:
        row = credentials.named(self.workspace_id, name)
        if row is None:
            raise ExpressionError(f"there is no credential {name[:100]!r} in this workspace")
        kind = TYPES[row.type]
        return HIDDEN if kind.main else dict.fromkeys(kind._declared_fields, HIDDEN)

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def __len__(self) -> int:
        return 0


class Preview:
    """Evaluates templates for one place. Raises: DefinitionError if the definition's graph is not valid."""

    def __init__(self, resources: Resources, place: ExpressionContext) -> None:
        self.resources, self.place = resources, place
        shape = definitions.graph(place.definition, resources.config.max_nodes)
        self.plan = definitions.sketch(shape, place.definition.get("settings"))
        self.raw = shape.nodes.get(place.node_id)  # None if the definition lacks the node

    def names(self) -> dict[str, list[str]]:
        """Return the names that expressions can use: `top`, and `steps`, the ancestors of the node in their order."""
        before = _find_ancestors(self.plan, self.place.node_id)
        return {"top": list(NAMES), "steps": [node.id for node in self.plan.nodes if node.position in before]}

    def each(self, template: Any, most: int, runs: Sequence[Run]) -> list[OfItem]:
        """Evaluate the template for the first `most` items of the node's loop; without a loop, for each of the runs.

        Raises: TooLarge, as `values` does.
        """
        end = time.monotonic() + MAX_SECONDS
        if self._find_list() is None:
            shown = []
            for run in runs:
                other = copy.copy(self)
                other.place = replace(self.place, run=run)
                compiled = compile_template(template)
                scope = other.scope([compiled] if isinstance(compiled, Template) else [])
                value = other._value(template, compiled, scope, end, MAX_EACH_VALUE)
                shown.append(OfItem(None, run.id, value))
            return shown
        compiled, foreach = compile_template(template), compile_template(self._find_list())
        scope = self.scope([item for item in (compiled, foreach) if isinstance(item, Template)])
        items = self.evaluate_list(scope, foreach)
        scopes = ({**scope, "item": item, "index": index} for index, item in enumerate(items[:most]))
        return [
            OfItem(index, None, self._value(template, compiled, each, end, MAX_EACH_VALUE))
            for index, each in enumerate(scopes)
        ]

    def values(self, templates: Sequence[Any]) -> list[TemplateValue]:
        """Evaluate the templates. This may take seconds, so callers must hold one of the PREVIEWS (limits.py).

        Raises: TooLarge if the expressions are too long, or read too much recorded data.
        """
        listed = self._find_list()
        if sum(map(len, find_texts_with_expressions([*templates, listed]))) > MAX_COMPILED:
            raise TooLarge(f"The texts with expressions have more than {MAX_COMPILED} characters in total")
        compiled = [compile_template(template) for template in templates]
        foreach = compile_template(listed)
        found = [item for item in (*compiled, foreach) if isinstance(item, Template)]
        scope = self.scope(found)
        self.add_item(scope, foreach)
        end = time.monotonic() + MAX_SECONDS
        return [self._value(given, made, scope, end) for given, made in zip(templates, compiled, strict=True)]

    def _value(
        self, given: Any, made: Template | str | None, scope: Mapping[str, Any], end: float, shown: int = MAX_VALUE
    ) -> TemplateValue:
        if isinstance(made, str):
            return TemplateValue(False, error=made)
        if time.monotonic() > end:
            return TemplateValue(False, error=f"not evaluated: the expressions before took more than {MAX_SECONDS:g} s")
        try:
            return self.show(given if made is None else self.finished(given, made.evaluate(scope)), shown)
        except ExpressionError as error:
            reached = self.place.run is None or "input" in scope
            return TemplateValue(False, error=str(error) if reached else f"the run did not reach this node: {error}")

    def finished(self, given: Any, value: Any) -> Any:
        """Return the value of a template for the response."""
        return value

    def show(self, value: Any, shown: int = MAX_VALUE) -> TemplateValue:
        """Return the value, or its beginning if it is long."""
        most = self.resources.config.max_value_bytes
        try:
            size_of(value, "the value", 2 * most)
            encoded = engine.encode(value, most)
        except NodeError as error:
            return TemplateValue(False, error=error.message)
        if len(encoded) <= shown:
            return TemplateValue(True, encoded)
        start = value[:shown] if isinstance(value, str) else encoded[:shown].decode("utf-8", "ignore")
        return TemplateValue(True, orjson.dumps(start), truncated=True)

    # The scope of the expressions

    def scope(self, templates: Sequence[Template]) -> dict[str, Any]:
        """Return the scope of the node, with outputs of only the steps that the templates use."""
        place, run = self.place, self.place.run
        looked_at = set().union(*(template.steps for template in templates)) if templates else set()
        # In this plan, the node also sees the resume links of later nodes that can be answered.
        node, nodes = self.plan.by_id[place.node_id], list(self.plan.nodes)
        before = {nodes[at].id for at in _find_ancestors(self.plan, node.id)}
        nodes[node.position] = replace(node, addresses=frozenset((looked_at & self.plan.answerable.keys()) - before))
        plan = replace(self.plan, nodes=tuple(nodes))
        settled = self._settled(plan, looked_at)
        about = run or Run(id=NO_RUN, triggered_by="manual", started_at=now_ms(), workflow_name=place.flow.name)
        version = run.workflow_version if run else None if place.is_draft else place.flow.version
        job = Job(
            about.id,
            None if run is None else self.resources.input_of(run),
            scope={
                "vars": find_variables(place.flow.workspace_id, None if run is None else run.id),
                "run": {"id": about.id, "triggered_by": about.triggered_by, "started_at": about.started_at},
                "workflow": {"id": place.flow.id, "name": about.workflow_name, "version": version},
            },
            settled=settled,
            links=self.links_for(about, plan),
        )
        scope = engine.scope_of(plan, job, place.node_id) | {"secrets": MaskedSecrets(place.flow.workspace_id)}
        if run is None:
            del scope["trigger"]
            if not plan.by_id[place.node_id].inputs:
                del scope["input"]
        return scope

    def links_for(self, run: Run, plan: Plan) -> Callable[..., dict[str, str]] | None:
        """Return a function that gives the addresses at which a node can be answered."""
        return self.resources.links_for(run, plan)

    def _settled(self, plan: Plan, looked_at: set[str]) -> dict[tuple[str, int | None], Settled]:
        """Return the pinned or recorded outputs of the node's direct predecessors and of the steps looked at."""
        node, place = plan.by_id[self.place.node_id], self.place
        earlier = [other.id for other in plan.nodes[: node.position]]
        wanted = {plan.nodes[at].id for at, _ in node.inputs}
        wanted |= set(earlier) if "*" in looked_at else looked_at & set(earlier)
        settled = {id_: Settled(pin.output, pin.branch) for id_, pin in place.pinned.items() if id_ in wanted}
        if place.run is not None:
            settled |= self._recorded(place.run, sorted(wanted - settled.keys()))
        return {(id_, None): done for id_, done in settled.items()}

    def _recorded(self, run: Run, ids: Sequence[str]) -> dict[str, Settled]:
        steps: dict[str, Step] = {}
        size, most = 0, self.resources.config.max_value_bytes
        for at in range(0, len(ids), BATCH):
            found = step_queries.outputs(run.id, ids[at : at + BATCH])
            new = [step for id_, step in found.items() if id_ not in steps]
            size += sum(step.output_bytes or len(step.output or "") for step in new)
            if size > most:
                raise TooLarge(f"The outputs that the expressions read have more than {most} bytes in total")
            steps |= found
        values: dict[str, Any] = {}

        def value(step: Step) -> Any:
            if step.same_as is not None:
                maker = steps.get(step.same_as)
                return None if maker is None else value(maker)
            if step.node_id not in values:
                kept = Kept(step.output, step.output_bytes)
                values[step.node_id] = self.resources.value(run.id, f"step_{step.seq}", kept)
            return values[step.node_id]

        return {id_: Settled(value(step), step.branch) for id_ in ids if (step := steps.get(id_)) is not None}

    # Items

    def _find_list(self) -> Any:
        """Return the list, or the expression for it, if the node evaluates its expressions for each item; else None."""
        raw = self.raw or {}
        if raw.get("foreach") is not None:
            return raw["foreach"]
        node = REGISTRY.get(raw["type"])
        settings = [] if node is None else definitions.get_schema(node, raw).fields.values()
        lists = [name for field_ in settings if (name := field_.metadata.get("x-per-item"))]
        if not lists:
            return None
        return config.get(lists[0], "{{ input }}") if isinstance(config := raw.get("config"), dict) else "{{ input }}"

    def add_item(self, scope: dict[str, Any], foreach: Template | str | None) -> None:
        """Add the first item of the list to the scope, if there is one."""
        if items := self.evaluate_list(scope, foreach):
            scope.update(item=items[0], index=0)

    def evaluate_list(self, scope: Mapping[str, Any], foreach: Template | str | None) -> list[Any]:
        """Return the list of the loop; empty if the node has none, or if it cannot be evaluated."""
        try:
            items = foreach.evaluate(scope) if isinstance(foreach, Template) else self._find_list()
        except ExpressionError:
            return []
        return items if isinstance(items, list) else []


def _find_ancestors(plan: Plan, node_id: str) -> set[int]:
    """Return the positions of the node's ancestors."""
    found: set[int] = set()
    rest = [plan.by_id[node_id].position]
    while rest:
        sources = {at for at, _ in plan.nodes[rest.pop()].inputs} - found
        found |= sources
        rest += sources
    return found


def compile_template(template: Any) -> Template | str | None:
    """Return the compiled template, None for a value without expressions, or the error text."""
    try:
        return compile_value(template)
    except ExpressionError as error:
        return str(error)


# Settings that a step had: those of its node with their expressions evaluated, computed from the record on demand.
#
# Nothing is executed and no credential is opened. Dots stand in place of secrets and of links that answer waiting
# runs.

MAX_DEPTH = 100  # of the objects and lists of a setting


@dataclass(frozen=True, slots=True)
class StepSettings:
    """The settings by name, and for a loop the index of the item and the number of items, if known."""

    settings: dict[str, TemplateValue]
    index: int | None = None
    items: int | None = None


class SentSettings(Preview):
    """Evaluates the settings of one step as the step did.

    Raises: DefinitionError if the definition's graph is not valid.
    """

    def __init__(self, resources: Resources, run: Run, step: Step, definition: Mapping[str, Any], index: int) -> None:
        """`index` chooses the item if the step is that of a whole loop."""
        flow = Workflow(id=run.workflow_id, workspace_id=run.workspace_id, name=run.workflow_name)
        super().__init__(resources, ExpressionContext(flow, definition, step.node_id, run=run))
        self.step, self.run, self.index = step, run, index
        self.items: int | None = None

    def sent(self) -> StepSettings:
        """Return the settings. This may take seconds, so callers must hold one of the PREVIEWS (limits.py).

        Raises: TooLarge if the expressions are too long, or read too much recorded data.
        """
        raw = self.raw or {}
        config = raw.get("config")
        given = config if isinstance(config, dict) else {}
        node = REGISTRY.get(raw.get("type", ""))
        known = {} if node is None else definitions.get_schema(node, raw).fields
        literal = {name for name in given if name not in known or is_literal(known[name])}
        texts = {name: value for name, value in given.items() if name not in literal}
        found = dict(zip(texts, self.values(list(texts.values())), strict=True)) if texts else {}
        settings = {name: found.get(name) or self.show(given[name]) for name in given}
        of_item = self.step.item_index if self.step.item_index is not None else self.items and self.index
        return StepSettings(settings, of_item, self.items)

    def finished(self, given: Any, value: Any) -> Any:
        """Return the value for the response: without texts computed from a secret."""
        return _strike(given, value, 0)

    def scope(self, templates: Any) -> dict[str, Any]:
        """Return the scope of the node, with the time at which it started."""
        started = steps.first_start(self.run.id, self.step.node_id) or self.step.started_at
        return super().scope(templates) | {"now": datetime.fromtimestamp(started / 1000, UTC)}

    def links_for(self, run: Run, plan: Plan) -> Callable[..., dict[str, str]] | None:
        """Return a function that gives dots in place of links: viewers may read the settings."""
        real = super().links_for(run, plan)
        return None if real is None else lambda *which: dict.fromkeys(real(*which), HIDDEN)

    def add_item(self, scope: dict[str, Any], foreach: Template | str | None) -> None:
        """Add the item of the step to the scope; for the step of a whole loop, the one chosen."""
        if self.step.item_index is not None:
            item = None if self.step.item is None else orjson.loads(self.step.item)
            scope.update(item=item, index=self.step.item_index)
            return
        items = self.evaluate_list(scope, foreach)
        if items:
            self.items = len(items)
            self.index = min(self.index, len(items) - 1)
            scope.update(item=items[self.index], index=self.index)


def _strike(given: Any, value: Any, depth: int) -> Any:
    """Return the value with dots for each text that an expression computed from a secret, such as its hash.

    If the secret is only a part of the text, the text already has dots there.
    """
    if isinstance(given, str):
        made = compile_template(given)
        reads = isinstance(made, Template) and bool(made.secrets or "secrets" in made.roots)
        return HIDDEN if reads and HIDDEN not in orjson.dumps(value).decode() else value
    if depth >= MAX_DEPTH:
        return value
    if isinstance(given, dict) and isinstance(value, dict):
        return {key: _strike(given.get(key), item, depth + 1) for key, item in value.items()}
    if isinstance(given, list) and isinstance(value, list) and len(given) == len(value):
        return [_strike(one, item, depth + 1) for one, item in zip(given, value, strict=True)]
    return value
