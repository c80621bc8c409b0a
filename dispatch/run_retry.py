"""Retry of an ended run: a new run, from its start or from its failed node, with the chosen version.

The first run is history and does not change. The new run gets copies of its completed steps. Retries of a failed node
within a run are made by `node_execution.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import orjson

import definition as definitions
import engine
from database import execute, write
from database.base import Write, new_id
from database.queries import runs, steps
from database.queries.locks import lock_flow, lock_runs
from database.queries.steps import Settlement
from definition import Plan
from errors import BadInput, Conflict, DatabaseLost, Issue, NodeError, NotFound
from models import Run, Workflow

from .acceptance import Note, Start, check_input
from .process_limits import limit_reached
from .resources import Resources, StartOptions, find_version, is_task

# Keys of a node that do not change its behaviour.
DISPLAY_KEYS = ("name", "position", "notes")


def make_retry(resources: Resources, run: Run, start: str, version: str | int | None, note: Note | None = None) -> Run:
    """Create a pending run that repeats this one, with its options and kept steps, and the write of `note`; return it.

    `start` is `start` or `failed`. `version` is `same`, `latest` or a number. None means `latest`, or `same` if the run
    had options: a part of its flow, or a definition of its own.

    Raises: Conflict if the run has not ended, did not fail (for `failed`), was executed elsewhere, or its flow is
    deleted or archived; NotFound if the version does not exist, BadInput if it lacks a node that the options name,
    Unprocessable if it refuses the run's input.
    """
    flow, options = _flow_of(run, start), resources.options_of(run)
    number, text = _choose(flow, run, options, version)
    plan = resources.apply_options(options, lambda: resources.plans.get(flow.id, number or 0, lambda: text))
    if run.trigger_node is not None and run.trigger_node not in plan.by_id:
        raise Conflict(f"version: the trigger {run.trigger_node!r} of the run is not in version {number}")
    if options is not None and options.only is not None:
        kept = list(options.kept)
    else:
        kept = _kept_nodes(plan, run, text, number) if start == "failed" else []
    done = set(kept) - {run.error_node_id}
    check_input(plan, run.trigger_node, lambda: resources.input_of(run), run.workspace_id, done)
    limit = plan.settings.max_concurrent_runs if plan.settings.overlap == "skip" else 0
    made = runs.accept(
        flow, id=new_id("run"), workflow_version=number, input=run.input, input_bytes=run.input_bytes,
        triggered_by=run.triggered_by, trigger_node=run.trigger_node, retry_of=run.id, nodes_total=len(plan.nodes),
        nodes_done=0, options=run.options,
    )  # fmt: skip
    files = {*(["options"] if options is not None else []), *steps.files(run.id, kept)}
    resources.payloads.share(run.id, made.id, files)
    more = [runs.share_options(run.id, made.id), *([] if note is None else [note(made)])]
    record_run(resources, run, made, kept, files, limit, more)
    return made


class RetryScope(NamedTuple):
    """The scope of a retry: a version of the flow (None: a draft), and the nodes with pinned outputs."""

    version: int | None
    is_latest: bool
    pinned: list[str]

    @property
    def is_current(self) -> bool:
        """Return True if it is the flow's latest version without pinned outputs."""
        return self.is_latest and not self.pinned


def find_retry_scope(resources: Resources, run: Run, start: str, version: str | int | None) -> RetryScope:
    """Return the scope of `make_retry` with these choices. Raises the same errors for a bad choice."""
    flow, options = _flow_of(run, start), resources.options_of(run)
    number, _ = _choose(flow, run, options, version)
    return RetryScope(number, number == flow.version, [] if options is None else sorted(options.pinned))


def _choose(
    flow: Workflow, run: Run, options: StartOptions | None, version: str | int | None
) -> tuple[int | None, str]:
    """Return the number of the version to run (None: the run's own definition), and its definition."""
    if version is None:
        version = "latest" if options is None else "same"
    if options is not None and options.definition is not None:
        if version != "same":
            raise Conflict("version: must be `same`, because the run used an unsaved definition")
        return None, options.definition
    number = int({"same": run.workflow_version or 0, "latest": flow.version}.get(str(version), version))
    if number == flow.version:
        return number, str(flow.definition_json)
    row = find_version(flow.id, number)
    if row is None:
        raise NotFound(f"version: the flow has no version {number}")
    return number, str(row.definition_json)


def record_run(
    resources: Resources, run: Run | None, made: Run, kept: list[str], files: set[str], limit: int, more: list[Write]
) -> None:
    """Write the new run with its kept steps of `run`, whose `files` are shared already, and the writes `more`.

    If it is not written, its files are deleted.

    Raises: NotFound if the first run was deleted meanwhile, Conflict if the flow's concurrency limit is reached.
    """
    try:
        with write():
            if limit:
                lock_flow(made.workflow_id)
            if run is not None:
                lock_runs((run.id,))  # no step of it is written between the two looks at its steps
                if Run.find(run.id) is None:
                    raise NotFound("The run was deleted")
            if not execute(*(runs.insertion_unless_busy(made, limit) if limit else runs.insertion(made))).rowcount:
                raise Conflict(f"The flow {limit_reached(limit)}")
            if run is not None and kept:
                steps.keep(run.id, made.id, kept)
                # A node of a cancelled run may have ended, and written its file, since `files` were listed.
                if late := set(steps.files(run.id, kept)) - files:
                    resources.payloads.share(run.id, made.id, late)
            for one in more:
                execute(*one)
    except BaseException as error:
        if not isinstance(error, DatabaseLost):  # it may have been recorded after all
            resources.payloads.remove(made.id)
        raise


def _flow_of(run: Run, start: str) -> Workflow:
    if run.recorded:
        raise Conflict("The run was executed elsewhere, so it cannot be repeated here")
    if run.finished_at is None:
        raise Conflict("The run has not ended; cancel it first")
    if start == "failed" and run.status != "failed":
        raise Conflict("from: the run did not fail; repeat it from its start")
    if is_task(run.workflow_id):
        raise Conflict("The run is a task of an agent; give the task again by POST /api/agent/run")
    flow = Workflow.find(run.workflow_id)
    if flow is None:
        raise Conflict("The flow of the run was deleted")
    if flow.status == "archived":
        raise Conflict("The flow is archived; make it a draft or active to run it")
    return flow


def _kept_nodes(plan: Plan, run: Run, text: str, number: int | None) -> list[str]:
    """Return the nodes whose completed steps are still valid: neither they nor their dependencies have changed."""
    if number == run.workflow_version:
        return list(plan.by_id)
    row = find_version(run.workflow_id, run.workflow_version)
    if row is None:
        return []
    before, after = orjson.loads(row.definition_json), orjson.loads(text)
    old_vars, new_vars = ((each.get("settings") or {}).get("vars") for each in (before, after))
    if old_vars != new_vars:
        return []
    old, new = _strip_nodes(before), _strip_nodes(after)
    kept: set[str] = set()
    for node in plan.nodes:
        needs = {plan.nodes[at].id for at, _ in node.inputs} | node.references
        if "*" in needs:
            needs = {other.id for other in plan.nodes[: node.position]}
        if needs <= kept and old.get(node.id) == new[node.id]:
            kept.add(node.id)
    return [node.id for node in plan.nodes if node.id in kept]


def _strip_nodes(definition: Mapping[str, Any]) -> dict[str, Any]:
    """Return each node without its DISPLAY_KEYS, and the edges into it."""
    shape = definitions.graph(definition)
    found: dict[str, Any] = {
        id_: ({key: value for key, value in node.items() if key not in DISPLAY_KEYS}, set())
        for id_, node in shape.nodes.items()
    }
    for edge in shape.edges:
        found[edge.target][1].add((edge.source, edge.branch))
    return found


# Run of one node: a new run that executes just this node, with the outputs that another run of the flow recorded.
#
# The new run gets copies of the completed steps of that run, except those of the node and of the nodes after it;
# large values are shared. So it has the data for the next node too. Pinned outputs take precedence.


def make_run_of_one_node(resources: Resources, start: Start, source: Run | None) -> Run:
    """Create a pending run of the node `start.options.only`; `source` is an ended run of the flow, or None.

    Without an input of its own, it has the input of `source`.

    Raises: BadInput if a value is too large, Conflict if data for the node is missing, it is disabled, or the flow's
    concurrency limit is reached; Unprocessable if the node is a trigger that refuses the input.
    """
    flow, options = start.flow, start.options
    assert options is not None and options.only is not None
    options.check(resources.config.max_value_bytes)
    if options.definition is None:
        whole = resources.plan_of(flow)
    else:
        whole = definitions.plan_draft(orjson.loads(options.definition), resources.config.max_nodes)
    definitions.select_one(whole, options.only, options.pinned, ())  # checks the ids
    settled = {} if source is None else steps.settled(source.id)
    kept = _choose_kept(whole, options, settled)
    _check_data(whole, options, {id_: settled[id_] for id_ in kept})
    options = options._replace(kept=kept)
    plan = resources.apply_options(options, lambda: whole)
    id_, payloads = new_id("run"), resources.payloads
    value = start.input
    if value is None and source is not None:
        check_input(plan, None, lambda: resources.input_of(source), flow.workspace_id)
        text, size = source.input, source.input_bytes
    else:
        check_input(plan, None, lambda: value, flow.workspace_id)
        try:
            encoded = engine.encode(value, resources.config.max_value_bytes)
        except NodeError as error:
            raise BadInput(f"input: {error.message}") from None
        text, size = payloads.keep(id_, "input", encoded)
    given = payloads.keep(id_, "options", options.encoded())
    made = runs.accept(
        flow, id=id_, input=text, input_bytes=size, triggered_by=start.triggered_by, nodes_total=len(plan.nodes),
        nodes_done=0, retry_of=None if source is None else source.id, **options.columns(flow.version),
    )  # fmt: skip
    files = set() if source is None else set(steps.files(source.id, kept))
    if source is not None:
        payloads.share(source.id, id_, files)
    limit = plan.settings.max_concurrent_runs if plan.settings.overlap == "skip" else 0
    more = [runs.keep_options(id_, given.text, given.size), *([] if start.note is None else [start.note(made)])]
    record_run(resources, source, made, kept, files, limit, more)
    return made


def _choose_kept(plan: Plan, options: StartOptions, settled: Mapping[str, Settlement]) -> list[str]:
    """Return the settled nodes of the plan whose steps the new run gets, in the order of these steps."""
    later = {options.only}
    for node in plan.nodes:
        if any(plan.nodes[at].id in later for at, _ in node.inputs):
            later.add(node.id)
    kept: dict[str, None] = {}
    for id_, how in settled.items():
        is_wanted = id_ in plan.by_id and id_ not in later and id_ not in options.pinned
        if is_wanted and (how.same_as is None or how.same_as in kept):
            kept[id_] = None
    return list(kept)


def _check_data(plan: Plan, options: StartOptions, kept: Mapping[str, Settlement]) -> None:
    """Check that the data for the node is there. Raises: Conflict if it is not, or if the node is disabled."""
    assert options.only is not None
    node, pinned = plan.by_id[options.only], options.pinned
    if node.disabled:
        raise _refuse(f"The node {node.id!r} is disabled, so it cannot be run", node.id)
    missing = sorted(definitions.find_sources(plan, node.id) - kept.keys() - pinned.keys())
    if missing:
        names = ", ".join(map(repr, missing[:10]))
        what = "these nodes have" if len(missing) > 1 else "this node has"
        raise _refuse(f"The node {node.id!r} needs the output of {names}, but {what} no output yet", *missing)
    branches = {id_: how.branch for id_, how in kept.items() if not how.skipped}
    branches |= {id_: pin.branch for id_, pin in pinned.items()}
    sources = [(plan.nodes[at].id, way) for at, way in node.inputs]
    if sources and not any(id_ in branches and branches[id_] == way for id_, way in sources):
        raise _refuse(f"The node {node.id!r} has no input: in that run, no branch led to it", node.id)


def _refuse(message: str, *node_ids: str) -> Conflict:
    """Return the error, with the path `only` and these nodes in its details."""
    return Conflict(message, [Issue("only", message, id_) for id_ in node_ids[:10]])
