"""Sub-flows: runs started by a run, by its `subflow` nodes or, when it fails, as its error flow.

Their rows are committed in the same transaction as the step, or the end, that starts them: a run and its cause are
always recorded together.
"""

from __future__ import annotations

from typing import Any

import engine
from database.base import Write, new_id
from database.queries import concurrent_runs, logs, runs, waits
from definition import FlowSettings
from engine import Outcome, Plan
from errors import DefinitionError, LimitExceeded, NodeError, Unavailable
from models import Run, Workflow

from .acceptance import Active
from .process_limits import limit_reached
from .resources import Resources
from .run_record import AnyRecord

MAX_DEPTH = 10


def trigger_of(plan: Plan, type_: str) -> str | None:
    """Return the id of the first node of this type that is not disabled, or None."""
    return next((node.id for node in plan.nodes if node.type == type_ and not node.disabled), None)


class SubflowStarter:
    """`ctx.flows` of one run: starts other flows of its workspace. Secrets of this run are redacted in their inputs."""

    def __init__(self, resources: Resources, active: Active, record: AnyRecord) -> None:
        self.resources, self.active, self.run, self.record = resources, active, active.run, record

    def start(self, place: str, workflow_id: str, input: Any, wait: bool) -> str:
        """Add a new run of the flow, to be committed together with the step that starts it, and return its id.

        The run of an item of a loop that waits for it is held back until it is its turn.

        A run over the concurrency limit with overlap "skip" is refused here, or when the step is recorded.

        Raises: NodeError if the flow cannot be started.
        """
        flow = Workflow.find(workflow_id)
        if flow is None or flow.workspace_id != self.run.workspace_id:
            raise NodeError(f"workflow_id: there is no flow {workflow_id!r} in this workspace", permanent=True)
        if flow.status == "archived":
            raise NodeError(f"workflow_id: the flow {flow.name!r} is archived", permanent=True)
        if self.run.depth >= MAX_DEPTH:
            raise LimitExceeded(f"flows call each other more than {MAX_DEPTH} levels deep")
        try:
            plan = self.resources.plan_of(flow)
        except DefinitionError as error:
            raise NodeError(f"the flow {flow.name!r} cannot run: {error.message}", permanent=True) from None
        limit = plan.settings.max_concurrent_runs if plan.settings.overlap == "skip" else 0
        refusal = f"the flow {flow.name!r} {limit_reached(limit)}"
        if limit and concurrent_runs.busy(flow.id) >= limit:
            raise NodeError(refusal)
        given = self.active.keyring.clean(engine.encode(input, self.resources.config.max_value_bytes))
        try:
            made = _child(self.resources, self.active, flow, plan, "called", given, place if wait else None)
        except Unavailable as error:
            raise NodeError(error.message, kind="storage") from None
        record = self.record
        is_held = wait and waits.is_item(place)
        if is_held:
            made.waiting = waits.HELD
        record.start(made, limit, refusal)
        if is_held:
            for write in waits.give_turn(str(self.run.id), waits.node_of(place)):
                record.add(write)
        return str(made.id)

    def stop(self, node_id: str) -> None:
        """Have the next step of the node drop the runs of its loop that have not started."""
        for write in waits.stop(str(self.run.id), node_id):
            self.record.add(write)


def _child(
    resources: Resources, active: Active, flow: Workflow, plan: Plan, trigger: str, input: bytes, answers: str | None
) -> Run:
    """Return a pending run of the flow as a child of the active run. `input` is JSON text.

    `answers` is the node of the active run that waits for the child, or None.
    """
    run, id_ = active.run, new_id("run")
    kept = resources.payloads.keep(id_, "input", input)
    if kept.size is not None:
        active.inputs.append(id_)
    return runs.accept(
        flow, id=id_, input=kept.text, input_bytes=kept.size, triggered_by=run.triggered_by,
        trigger_node=trigger_of(plan, trigger), depth=run.depth + 1, parent_run_id=run.id, parent_node_id=answers,
        nodes_total=len(plan.nodes), nodes_done=0,
    )  # fmt: skip


def failure_writes(resources: Resources, active: Active, outcome: Outcome) -> list[Write]:
    """Return the writes that start the error flow of a failed run (`error_workflow_id`), or [] if there is none.

    They take effect only if the run ends with this outcome. A failed run of an error flow starts no error flow.
    """
    run, plan = active.run, active.plan
    target = plan.settings.error_workflow_id
    trigger = plan.by_id.get(run.trigger_node or "")
    if outcome.status != "failed" or target is None or (trigger is not None and trigger.type == "error"):
        return []
    flow = Workflow.find(target)
    try:
        if flow is None or flow.workspace_id != run.workspace_id or flow.status != "active":
            raise NodeError(f"there is no active flow {target!r} in this workspace")
        error_plan = resources.plan_of(flow)
        if trigger_of(error_plan, "error") is None:
            raise NodeError(f"the flow {flow.name!r} has no trigger of the type error")
        told = {
            "workflow": {"id": run.workflow_id, "name": run.workflow_name, "version": run.workflow_version},
            "run": {"id": run.id, "triggered_by": run.triggered_by},
            "node_id": outcome.error_node_id,
            "error_text": outcome.error_text,
            "error_kind": outcome.error_kind,
        }
        encoded = engine.encode(told, resources.config.max_value_bytes)
        made = runs.insertion(_child(resources, active, flow, error_plan, "error", encoded, None))
    except (DefinitionError, NodeError) as error:
        message = f"the error workflow was not started: {error.message}"
        made = logs.entry(run.workspace_id, run.id, None, "error", message, None)
    return [runs.while_it_runs(run, made)]


def remains_of(definition: dict[str, Any], run: Run) -> Plan:
    """Return a minimal plan for a run whose definition is no longer valid: only its error flow."""
    fired = [node["type"] for node in definition["nodes"] if node["id"] == run.trigger_node]
    told = (definition.get("settings") or {}).get("error_workflow_id")
    return Plan((), FlowSettings(error_workflow_id=None if fired == ["error"] else told))
