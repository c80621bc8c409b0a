"""Acceptance of a run: its row with everything that is committed together with it, or not at all."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

import engine
from database.base import new_id
from database.queries import runs
from database.queries.locks import FlowLock
from database.queries.units import Unit
from definition import PlannedNode
from engine import Plan
from errors import BadInput, Issue, NodeError, Unavailable, Unprocessable
from nodes.core.triggers import AskingNode, InputRefused

from .active_run import Start
from .group_commit import Recorder
from .resources import Resources, Task
from .run_record import RunRecord


def make_record(resources: Resources, recorder: Recorder, start: Start, plan: Plan) -> RunRecord:
    """Return the record of a new run. Nothing is in the database yet; large values are in files.

    Raises: BadInput if the input is too large.
    """
    flow, input, triggered_by, trigger_node, key, options, note, _, run_id, request_hash = start
    try:
        encoded = engine.encode(input, resources.config.max_value_bytes)
    except NodeError as error:
        raise BadInput(f"input: {error.message}") from None
    id_ = run_id or new_id("run")
    payloads = resources.payloads
    kept = payloads.keep(id_, "input", encoded)
    run = runs.accept(
        flow, id=id_, input=kept.text, input_bytes=kept.size, triggered_by=triggered_by, trigger_node=trigger_node,
        nodes_total=len(plan.nodes), nodes_done=0, **({} if options is None else options.columns(flow.version)),
    )  # fmt: skip
    given = []
    if options is not None:
        kept = payloads.keep(id_, "options", options.encoded())
        given = [runs.keep_options(id_, kept.text, kept.size)]
    limit = plan.settings.max_concurrent_runs
    unless = limit if plan.settings.overlap == "skip" else 0

    def made() -> Unit:
        bound = runs.take_key(flow.id, key, id_, request_hash) if key is not None else []
        more = flow.record(run) if isinstance(flow, Task) else []
        lock = [FlowLock(flow.id, alone=True)] if unless else []
        return [
            runs.insertion_unless_busy(run, unless) if unless else runs.insertion(run),
            *bound,
            *given,
            *more,
            *lock,
        ]

    noted = [] if note is None else [note(run)]
    if unless:
        # If the flow is busy, the run is not written.
        noted = [one.with_condition("EXISTS (SELECT 1 FROM runs WHERE id = ?)", (id_,)) for one in noted]
    return RunRecord(recorder, payloads, run, made, noted)


# Input validation by a run's triggers, before the run exists.


def check_input(
    plan: Plan, trigger_node: str | None, value: Callable[[], Any], workspace_id: str, done: Collection[str] = ()
) -> None:
    """Check the input with the triggers that the run of this workspace would execute; `value` returns the input.

    Without a `trigger_node`, all triggers of the flow check it, except the nodes in `done`, which are not executed.

    A refused input starts no run and uses no idempotency key: the caller is present and can correct it. The trigger
    checks again when it is executed, for runs that no request started. `default` in a schema is for forms only: the
    server never applies it, so a repeated run has the same input, and a changed schema gives old inputs no new meaning.

    Raises: Unprocessable if a trigger refuses the input, Unavailable if the check failed and may work later.
    """
    fired = plan.by_id.get(trigger_node) if trigger_node is not None else None
    for planned in plan.nodes if trigger_node is None else (fired,) if fired is not None else ():
        if isinstance(planned.node, AskingNode) and planned.id not in done and _asks(planned):
            _check(planned.node, planned.config.static, value(), workspace_id)


def _asks(planned: PlannedNode) -> bool:
    """Return True if the trigger is executed for the whole input, not for its items, and has a schema for it."""
    is_whole = not planned.disabled and planned.pinned is None and planned.foreach is None
    return is_whole and "input_schema" in planned.config.static


def _check(node: AskingNode, config: dict[str, Any], value: Any, workspace_id: str) -> None:
    try:
        node.check(config, value, workspace_id)
    except InputRefused as error:
        issues = [Issue(_within(issue["path"]), issue["message"]) for issue in error.issues]
        raise Unprocessable(error.message[0].upper() + error.message[1:], issues) from None
    except NodeError as error:
        told = f"The input cannot be checked: {error.message}"
        if error.permanent:
            raise Unprocessable(told, [Issue("input", error.message)]) from None
        raise Unavailable(told, retry_after=5) from None


def _within(path: str) -> str:
    """Return a path in the input as a path in the request."""
    return f"input{path}" if path.startswith("[") or not path else f"input.{path}"
