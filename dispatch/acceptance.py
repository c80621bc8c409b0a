"""Acceptance of a run: its row with everything that is committed together with it, or not at all."""

from __future__ import annotations

import engine
from database.base import new_id
from database.queries import idempotency_keys, runs
from database.queries.locks import FlowLock
from database.queries.units import Unit
from engine import Plan
from errors import BadInput, NodeError

from .active_run import Start
from .group_commit import Recorder
from .resources import Resources
from .run_record import RunRecord
from .tasks import Task


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
        bound = idempotency_keys.take(flow.id, key, id_, request_hash) if key is not None else []
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
