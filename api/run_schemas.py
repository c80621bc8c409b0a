"""The shapes of what starts a run, and of what is asked about its steps (see schemas.py)."""

from __future__ import annotations

from typing import Any

from marshmallow import fields, validate

from definition import Pin
from nodes.fields import Named
from schema_fields import Strict, text
from schemas import DEFINITION, WholeArgs

MOST_PINNED = 1_000


class PinIn(Strict):
    """What is taken for the output of a node that is not to be executed."""

    output = fields.Raw(required=True, allow_none=True, metadata={"description": "Its output, any JSON"})
    branch = text(
        200,
        load_default=None,
        allow_none=True,
        metadata={"description": "The branch by which it leaves; a node that has branches must name one"},
    )


def pins(help: str) -> Any:
    """A field with nodes by their id, each with what is taken for its output."""
    return Named(
        keys=text(64),
        values=fields.Nested(PinIn),
        load_default=None,
        allow_none=True,
        validate=validate.Length(max=MOST_PINNED),
        metadata={"description": help},
    )


def pins_of(given: dict[str, Any] | None) -> dict[str, Pin]:
    """What came in by such a field."""
    return {id_: Pin(**pin) for id_, pin in (given or {}).items()}


class StartIn(Strict):
    input = fields.Raw(load_default=None, allow_none=True)
    definition = fields.Raw(
        load_default=None,
        allow_none=True,
        metadata={
            **DEFINITION,
            "description": "A WorkflowDefinition that is run in place of the saved one, and is not saved; for editors",
        },
    )
    until = text(
        64,
        load_default=None,
        allow_none=True,
        metadata={
            "description": "The id of a node: only what it takes to come to it is executed, and its output is the run's"
        },
    )
    pinned = pins("By node id, what is taken for the output of nodes that are not executed; for editors")


class StepsArgs(WholeArgs):
    node_id = text(64, load_default=None, metadata={"description": "Only the steps of this node"})
    values = fields.Boolean(
        load_default=True, metadata={"description": "false: `input` and `output` are null in every step"}
    )
