"""What a run can be started with beside its input, for those who try out what they build.

A definition that is not saved, a node after which it stops, nodes that are not executed since their output is given.
All of it is on the disk with the run: whoever resumes it makes the same plan of it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

import definition as definitions
import engine
from definition import Pin
from engine import Plan
from errors import BadInput, NodeError


@dataclass(frozen=True, slots=True)
class Options:
    """`definition` is JSON text that runs in place of the flow's; `until` is a node, `pinned` has nodes by their id."""

    definition: str | None = None
    until: str | None = None
    pinned: Mapping[str, Pin] = field(default_factory=dict)

    @classmethod
    def of(cls, text: bytes) -> Options:
        """Those that `encoded` made this of."""
        found = orjson.loads(text)
        pinned = {id_: Pin(**pin) for id_, pin in found["pinned"].items()}
        return cls(found["definition"], found["until"], pinned)

    def encoded(self) -> bytes:
        """All of them as JSON text."""
        pinned = {id_: pin._asdict() for id_, pin in self.pinned.items()}
        return orjson.dumps({"definition": self.definition, "until": self.until, "pinned": pinned})

    def columns(self, version: int | None) -> dict[str, Any]:
        """What the run's row tells of them, given the number of the flow's version."""
        draft = self.definition is not None
        told = {"draft": draft, "until": self.until, "pinned": list(self.pinned)}
        return {"options": orjson.dumps(told).decode(), "workflow_version": None if draft else version}

    def check(self, max_bytes: int) -> None:
        """BadInput where the outputs that are given are larger together than an input may be."""
        try:
            engine.encode([pin.output for pin in self.pinned.values()], max_bytes)
        except NodeError as error:
            raise BadInput(f"pinned: {error.message}") from None

    def plan(self, saved: Callable[[], Plan], max_nodes: int) -> Plan:
        """The plan of the run; `saved` gives that of the flow. BadInput where they do not fit each other."""
        text, until, pinned = self.definition, self.until, self.pinned
        if text is None:
            whole = saved()
        elif until is None:
            whole = engine.plan(orjson.loads(text), max_nodes)
        else:
            whole, later = definitions.plan_until(orjson.loads(text), until, max_nodes)
            pinned = {id_: pin for id_, pin in pinned.items() if id_ not in later}
        return whole if until is None and not pinned else definitions.select_part(whole, until, pinned)
