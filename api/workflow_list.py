"""The list of flows for a page: each with its triggers, its last run and when it is due next."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import orjson

from errors import BadInput
from models import (
    MOST_CHARACTERS,
    FlowFilters,
    LastRun,
    Listed,
    Workflow,
    definitions_of,
    flow_page,
    last_runs,
    next_times,
    sizes_of,
    versions_of,
)
from nodes.base import REGISTRY
from schema_fields.row_json import iso
from schemas import FLOW_SORTS

MOST_KNOWN = 5_000  # flows whose outlines a process keeps


class Outline(NamedTuple):
    """What a definition has, at a glance."""

    node_count: int
    triggers: list[dict[str, str]]


class Outlines:
    """The outlines of flows as they were looked at last: a version of a flow never changes."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, int], Outline] = {}

    def of(self, versions: Iterable[tuple[str, int]]) -> dict[str, Outline]:
        """The outline of each flow by its id, given with its version; what is not known is read, all at once."""
        keys = list(versions)
        found = {key[0]: outline for key in keys if (outline := self._known.get(key)) is not None}
        missing = [id_ for id_, _ in keys if id_ not in found]
        if missing:
            if len(self._known) + len(missing) > MOST_KNOWN:
                self._known = {}
            for id_, version, text in definitions_of(missing):
                found[id_] = self._known[id_, version] = outline_of(text)
        return found


def outline_of(text: str) -> Outline:
    """The outline of a definition, which may be a draft's, with types that are not known."""
    nodes = orjson.loads(text).get("nodes") or []
    triggers = [
        {"node_id": node["id"], "type": node["type"]}
        for node in nodes
        if not node.get("disabled") and _is_trigger(node.get("type"))
    ]
    return Outline(len(nodes), triggers)


def _is_trigger(type_: Any) -> bool:
    node = REGISTRY.get(type_) if isinstance(type_, str) else None
    return node is not None and node.trigger


_outlines = Outlines()


def page(workspace_id: str, args: Mapping[str, Any]) -> tuple[list[dict[str, Any]], str | None]:
    """The flows that the arguments of GET /api/flows ask for, as data, and the text of the next cursor."""
    ids = None if args["trigger"] is None else _with_trigger(workspace_id, args["trigger"])
    filters = FlowFilters(workspace_id, args["status"], args["search"], args["failing"], ids)
    listed, after = flow_page(filters, args["sort"], args["limit"], _begin(args["cursor"], args["sort"]))
    if not args["brief"]:
        listed, after = _fitting(listed, after)
    return _shown(workspace_id, listed, args["brief"]), _end(after, args["sort"])


def _fitting(listed: list[Listed], after: tuple[Any, str] | None) -> tuple[list[Listed], tuple[Any, str] | None]:
    """As many of the flows as have definitions that one answer may hold, at least one, and where to go on."""
    sizes, room = sizes_of([flow.id for flow in listed]), MOST_CHARACTERS
    for number, flow in enumerate(listed):
        room -= sizes.get(flow.id, 0)
        if room < 0 and number > 0:
            before = listed[number - 1]
            return listed[:number], (before.key, before.id)
    return listed, after


def _with_trigger(workspace_id: str, type_: str) -> list[str]:
    """The ids of the flows that have an enabled trigger of this type."""
    if not _is_trigger(type_):
        known = sorted(name for name, node in REGISTRY.items() if node.trigger)
        raise BadInput(f"trigger: must be one of {', '.join(known)}")
    outlines = _outlines.of(versions_of(workspace_id))
    return [id_ for id_, outline in outlines.items() if any(trigger["type"] == type_ for trigger in outline.triggers)]


def _shown(workspace_id: str, listed: Sequence[Listed], brief: bool) -> list[dict[str, Any]]:
    ids = [flow.id for flow in listed]
    outlines = _outlines.of((flow.id, flow.version) for flow in listed)
    runs, times = last_runs(workspace_id, ids), next_times(ids)
    rows = {flow.id: flow for flow in Workflow.of_ids(ids, brief)}
    # One that was deleted meanwhile is left out.
    return [
        {
            **rows[id_].__data__,
            **outlines[id_]._asdict(),
            "last_run": _last_run(runs.get(id_)),
            "failing": id_ in runs and runs[id_].failing,
            "next_at": times.get(id_),
        }
        for id_ in ids
        if id_ in rows and id_ in outlines
    ]


def _last_run(run: LastRun | None) -> dict[str, Any] | None:
    if run is None:
        return None
    times = {
        name: None if at is None else iso(at)
        for name, at in (("started_at", run.started_at), ("finished_at", run.finished_at))
    }
    known = {"id": run.id, "status": run.status, "cancelled": bool(run.cancelled)}
    return {**known, **times, "error_text": run.error_text}


# Where a page begins: the id of the flow before it, and with it what the order goes by, unless that is the id.


def _begin(cursor: str | None, sort: str) -> tuple[Any, str] | None:
    if cursor is None:
        return None
    order, _, rest = cursor.partition(":") if ":" in cursor else ("newest", "", cursor)
    if order != sort:
        raise BadInput(f"cursor: is one of the order {order}; go on in that, or begin anew")
    id_, _, key = rest.partition(":")
    return (int(key) if sort == "updated" else key), id_


def _end(after: tuple[Any, str] | None, sort: str) -> str | None:
    if after is None:
        return None
    key, id_ = after
    return id_ if sort == FLOW_SORTS[0] else f"{sort}:{id_}:{key}"
