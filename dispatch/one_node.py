"""Run of one node: a new run that executes just this node, with the outputs that another run of the flow recorded.

The new run gets copies of the completed steps of that run, except those of the node and of the nodes after it; large
values are shared. So it has the data for the next node too. Pinned outputs take precedence.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

import definition as definitions
import engine
from database.base import new_id
from database.queries import runs, steps
from database.queries.steps import Settlement
from definition import Plan
from errors import BadInput, Conflict, Issue, NodeError
from models import Run

from .active_run import Start
from .input_validation import check_input
from .resources import Resources
from .run_options import StartOptions
from .run_retry import record_run


def make_run_of_one_node(resources: Resources, start: Start, source: Run | None) -> Run:
    """Create a pending run of the node `start.options.only`; `source` is an ended run of the flow, or None.

    Without an input of its own, it has the input of `source`.

    Raises: BadInput if a value is too large, Conflict if data for the node is missing, it is disabled, or the flow's
    concurrency limit is reached; Unprocessable if the node is a trigger that refuses the input.
    """
    flow, options = start.flow, start.options
    assert options is not None and options.only is not None
    options.check(resources.config.max_value_bytes)
    whole = _plan_whole(resources, start, options)
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
        text, size = payloads.keep(id_, "input", _encode(value, resources.config.max_value_bytes))
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


def _plan_whole(resources: Resources, start: Start, options: StartOptions) -> Plan:
    if options.definition is None:
        return resources.plan_of(start.flow)
    return definitions.plan_draft(orjson.loads(options.definition), resources.config.max_nodes)


def _encode(value: Any, max_bytes: int) -> bytes:
    try:
        return engine.encode(value, max_bytes)
    except NodeError as error:
        raise BadInput(f"input: {error.message}") from None


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
