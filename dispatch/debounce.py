"""Debounced triggers: calls within a window start one run, with the input of the last or the first call, or of all."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from typing import Any

import orjson

import engine
from database import execute_all, write
from definition import Debouncing, Plan
from errors import BadInput, Conflict, ExpressionError, NodeError
from models import Debounce, IdempotencyKey, Run, Window, debounces, find_variables, lock_names, new_id, now_ms

from .active_run import Start, Ticket
from .input_validation import check_input
from .resources import Resources


def collect(resources: Resources, start: Start, plan: Plan, how: Debouncing) -> Ticket:
    """Put a call on record, in the run that waits for more of them, or in a new one. Return its ticket.

    Raises: BadInput if the key cannot be computed or the input is too large, Conflict if the flow is archived.
    """
    flow, most = start.flow, resources.config.max_value_bytes
    assert start.trigger_node is not None
    if flow.status == "archived":
        raise Conflict("The flow is archived; make it a draft or active to run it")
    check_input(plan, start.trigger_node, lambda: start.input)
    window = Window(flow.id, start.trigger_node, _key_of(resources, start, plan, how), how.seconds)
    value = [start.input] if how.keep == "all" else start.input
    with write():
        lock_names("debounce", (f"{window.workflow_id} {window.node_id} {window.key}",))
        if start.key is not None and (first := IdempotencyKey.run_of(flow.id, start.key)) is not None:
            return Ticket(first, False)
        now = now_ms()
        run = Debounce.find_open(window, now)
        if run is not None and how.keep == "all":
            before = resources.input_of(run)
            encoded = _encode([*before, start.input], most)
            if encoded is None:  # the list is full, so this call begins another one
                run = None
        if run is None:
            run = _begin(resources, start, plan, window, value, now)
        else:
            if how.keep == "last":
                encoded = _encode(value, most)
            if how.keep != "first":
                kept = resources.payloads.keep(str(run.id), "input", encoded)
                Debounce.replace_input(run, kept.text, kept.size)
            Debounce.extend(window, now)
        if start.key is not None:
            execute_all(IdempotencyKey.take(flow.id, start.key, str(run.id)))
    return Ticket(run, True)


def _begin(resources: Resources, start: Start, plan: Plan, window: Window, value: Any, now: int) -> Run:
    encoded = _encode(value, resources.config.max_value_bytes)
    if encoded is None:
        raise BadInput(f"input: has more than {resources.config.max_value_bytes} bytes")
    id_ = new_id("run")
    kept = resources.payloads.keep(id_, "input", encoded)
    run = Run.accept(
        start.flow, id=id_, input=kept.text, input_bytes=kept.size, triggered_by=start.triggered_by,
        trigger_node=start.trigger_node, nodes_total=len(plan.nodes), nodes_done=0, waiting=debounces.COLLECTING,
    )  # fmt: skip
    Debounce.begin(window, run, now)
    return run


def _encode(value: Any, most: int) -> bytes | None:
    try:
        return engine.encode(value, most)
    except NodeError:
        return None


def _key_of(resources: Resources, start: Start, plan: Plan, how: Debouncing) -> str:
    """Return the key of the call, as a digest: it may be any value. Raises: BadInput if it cannot be computed."""
    if how.key is None:
        return ""
    flow = {"id": start.flow.id, "name": start.flow.name, "version": start.flow.version}
    scope = {
        "input": start.input, "trigger": start.input, "workflow": flow,
        "vars": {**find_variables(start.flow.workspace_id), **plan.settings.vars},
        "now": datetime.fromtimestamp(now_ms() / 1000, UTC),
    }  # fmt: skip
    try:
        value = how.key.evaluate(scope)
        encoded = orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
    except (ExpressionError, TypeError) as error:
        raise BadInput(f"debounce.key: {error}") from None
    return hashlib.blake2b(encoded, digest_size=16).hexdigest()
