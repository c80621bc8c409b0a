"""Run options for testing a flow while building it, beside the input.

They are an unsaved definition, a node after which the run stops, or the only node that it executes, and pinned outputs
of nodes, which are not executed. All of them are stored with the run, so every process that resumes it makes the same
plan.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import orjson

import definition as definitions
import engine
from definition import Pin
from engine import Plan
from errors import BadInput, NodeError


class StartOptions(NamedTuple):
    """`definition` is JSON text used in place of the flow's, `until` is a node id, `pinned` has outputs by node id.

    `only` is the id of the only node to be executed, `kept` those of nodes whose steps were copied from another run.
    """

    definition: str | None = None
    until: str | None = None
    pinned: Mapping[str, Pin] = {}
    only: str | None = None
    kept: Sequence[str] = ()

    @classmethod
    def of(cls, text: bytes) -> StartOptions:
        """Return the options from the text made by `encoded`."""
        found = orjson.loads(text)
        pinned = {id_: Pin(**pin) for id_, pin in found["pinned"].items()}
        return cls(found["definition"], found["until"], pinned, found.get("only"), found.get("kept", ()))

    def encoded(self) -> bytes:
        """Return the options as JSON text."""
        pinned = {id_: pin._asdict() for id_, pin in self.pinned.items()}
        given = {"definition": self.definition, "until": self.until, "pinned": pinned}
        return orjson.dumps(given if self.only is None else {**given, "only": self.only, "kept": self.kept})

    def columns(self, version: int | None) -> dict[str, Any]:
        """Return the values of the run's columns, given the number of the flow's version."""
        draft = self.definition is not None
        told = {"draft": draft, "until": self.until, "pinned": list(self.pinned), "only": self.only}
        return {"options": orjson.dumps(told).decode(), "workflow_version": None if draft else version}

    def check(self, max_bytes: int) -> None:
        """Check the total size of the pinned outputs. Raises: BadInput if it is over the limit of an input."""
        try:
            engine.encode([pin.output for pin in self.pinned.values()], max_bytes)
        except NodeError as error:
            raise BadInput(f"pinned: {error.message}") from None

    def plan(self, saved: Callable[[], Plan], max_nodes: int) -> Plan:
        """Return the plan of the run; `saved` returns the flow's. Raises: BadInput if the options do not fit it."""
        text, until, pinned = self.definition, self.until, self.pinned
        if self.only is not None:
            if text is not None:
                return definitions.plan_one(orjson.loads(text), self.only, pinned, self.kept, max_nodes)
            return definitions.select_one(saved(), self.only, pinned, self.kept)
        if text is not None:
            return definitions.plan_part(orjson.loads(text), until, pinned, max_nodes)
        return saved() if until is None and not pinned else definitions.select_part(saved(), until, pinned)
