"""Settings that a step had: those of its node with their expressions evaluated, computed from the record on demand.

Nothing is executed and no credential is opened. Dots stand in place of secrets and of links that answer waiting runs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import orjson

import definition as definitions
from database.queries import steps
from definition import Plan
from expressions import Template
from models import Run, Step, Workflow
from nodes.base import REGISTRY
from nodes.fields import is_literal

from .expression_preview import HIDDEN, ExpressionContext, Preview, TemplateValue, compile_template
from .resources import Resources

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
