"""Runs and their steps."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import orjson
from flask import Response, jsonify
from marshmallow import ValidationError, validate

import fields
from api.audit import MAX_PINNED, begin_entry, defer_entry, defer_start_entry, remove
from api.http.auth import (
    ANSWER_ROLE,
    check_role,
    find,
    get_user,
    get_workspace_id,
    has_role,
    must_redact_links,
    require_role,
)
from api.http.json_io import Resource, check_depth, get_config, get_dispatcher
from api.http.paging import MAX_WHOLE, Cursor, PageArgs, Place, SliceArgs, WholeArgs, listed, slice_of
from api.open_questions import ENGINES_OWN, list_asking_types, list_open_questions
from constants import ENDED, RUN_STATUSES, TRIGGERS
from database.base import DAY_MS, Write, made_at, microseconds, now_ms
from database.queries import runs as run_queries
from database.queries import steps
from database.queries.runs import RunFilters
from dispatch import PREVIEWS, SEARCHES
from dispatch.payloads import Kept
from dispatch.run_retry import find_retry_scope
from errors import ERROR_KINDS, BadInput, Conflict, NotFound
from fields import (
    Items,
    Json,
    Milliseconds,
    OneOrMore,
    Out,
    Resendable,
    Shape,
    Strict,
    Time,
    choice,
    fragment,
    iso,
    text,
)
from models import Run, Step, Wait, Workflow
from nodes.base import REGISTRY
from schemas import ANY_JSON, RUN_ID, Error, RunOut, StartArgs, StepOut

if TYPE_CHECKING:
    from dispatch.run_search import FoundRun, Searched


# Runs that another system executed: the body of POST /api/runs, checked and completed. The view is in runs.py.

MAX_VALUE = 1_000_000
OLDEST_MS = 946_684_800_000  # the year 2000; no ULID is older
MAX_CLOCK_AHEAD_MS = 60_000  # the clock of another system may be ahead
IS_ID = validate.Regexp(re.compile(rf"{RUN_ID}\Z"), error="must be `run_` and a ULID, such as that of another server")


class RunIn(Resendable, Strict):
    """A run that was executed elsewhere: the object that GET /api/runs/:id returns, or a part of it."""

    read_only = {
        *("workspace_id", "workflow_version", "created_at", "duration_us", "error_node_id", "waiting", "parent_run_id"),
        *("retry_of", "progress", "draft", "until", "only", "pinned", "questions", "found_in"),
    }
    id = fields.String(
        load_default=None,
        validate=IS_ID,
        help="The id of the run, if no run has had it. Its time is that of acceptance, by which lists are sorted",
    )
    workflow_id = text(64, required=True)
    workflow_name = text(200, load_default=None, help="The name of the flow at that time; without it, the present one")
    status = choice(RUN_STATUSES, load_default="success")
    triggered_by = choice(TRIGGERS, load_default="manual")
    started_at = Time(load_default=None)
    finished_at = Time(load_default=None)
    duration_ms = Milliseconds(
        load_default=None,
        validate=validate.Range(0, 10**12),
        help="Without it, the time between start and end, if the run has ended",
    )
    input = fields.Raw(load_default=None)
    output = fields.Raw(load_default=None)
    error_text = text(10_000, 0, load_default=None)
    error_kind = choice(ERROR_KINDS, load_default=None)
    cancelled = fields.Boolean(load_default=False)


def complete(body: dict[str, Any]) -> dict[str, Any]:
    """Return the columns of a run for this body of the shape RunIn, without the flow. Raises: BadInput."""
    started, finished = body["started_at"], body["finished_at"]
    if started is not None and finished is not None and finished < started:
        raise BadInput("finished_at: is before started_at")
    if finished is not None and body["status"] not in ENDED:
        raise BadInput(f"finished_at: a run that is {body['status']} has not finished")
    if body["cancelled"] and body["status"] != "failed":
        raise BadInput(f"cancelled: a run that is {body['status']} was not cancelled; its status must be failed")
    values = {name: body[name] for name in body if body[name] is not None and name != "workflow_id"}
    for name in ("input", "output"):
        values[name] = _encode(name, body[name])
    if "id" in values:
        # No run can be of another time, and an older one would soon be deleted.
        at, now, days = made_at(values["id"]), now_ms(), get_config().retention_days
        if not OLDEST_MS <= at <= now + MAX_CLOCK_AHEAD_MS:
            raise BadInput("id: its first ten characters after `run_` are not a time between the year 2000 and now")
        if days and at < now - days * DAY_MS:
            raise BadInput(
                f"id: is of {iso(at)[:10]}, and this server deletes runs after {days} days; without an id, the run is "
                "recorded as of now"
            )
    if body["status"] in ENDED:
        finished = values.setdefault("finished_at", max(now_ms(), started or 0))
        started = values.setdefault("started_at", finished)
        values.setdefault("duration_ms", finished - started)
    return values


def _encode(name: str, value: Any) -> str | None:
    if value is None:
        return None
    check_depth(value, name)
    encoded = orjson.dumps(value).decode()
    if len(encoded) > MAX_VALUE:
        raise BadInput(f"{name}: has more than {MAX_VALUE} bytes")
    return encoded


# Lists of runs as JSON, made from columns without `Run` objects, since the app polls them every second or two.
#
# An item has the fields of `RunItemOut` or `RunBriefOut`. Serializing objects with marshmallow takes four times as
# long.

COLUMNS = (
    "id, workflow_id, workflow_name, workflow_version, workspace_id, status, triggered_by, duration_ms, created_at, "
    "started_at, finished_at, error_text, error_node_id, error_kind, cancelled, waiting, parent_run_id, retry_of, "
    "nodes_total, nodes_done, options"
)
VALUES = "input, input_bytes, output, output_bytes"
WITHOUT_OPTIONS: dict[str, Any] = {"draft": False, "until": None, "pinned": [], "only": None}


def select_columns(brief: bool) -> str:
    """Return the columns that `respond` needs, as SQL; `brief` leaves out input and output."""
    return COLUMNS if brief else f"{COLUMNS}, {VALUES}"


def respond(found: Iterable[tuple[Any, ...]], last: str | None) -> Response:
    """Return the response with a page of runs, given as column values, and the id before the next page."""
    return _respond([_show(values) for values in found], last)


def respond_found(found: Iterable[FoundRun], last: str | None, searched: Searched) -> Response:
    """Return the response with a page of a search in run data: the same, with places, and how far it looked."""
    items = [{**_show(values), "found_in": [place._asdict() for place in places]} for values, places in found]
    until = None if searched.until is None else iso(searched.until)
    return _respond(items, last, searched={"runs": searched.runs, "until": until, "partly_read": searched.partial})


def _respond(items: list[dict[str, Any]], last: str | None, **more: Any) -> Response:
    body = {"items": items, "next_cursor": Cursor.encode(last), **more}
    return Response(orjson.dumps(body), mimetype="application/json")


def make_reference(path: str, size: int) -> bytes:
    """Return the JSON that replaces a value too large for a response."""
    return orjson.dumps({"$ref": path, "bytes": size})


def _show(values: tuple[Any, ...]) -> dict[str, Any]:
    """Return the item of a run, given as the values of COLUMNS and maybe VALUES."""
    (
        id_, workflow_id, workflow_name, version, workspace_id, status, triggered_by, duration, created, started,
        finished, error_text, error_node_id, error_kind, cancelled, waiting, parent_run_id, retry_of, nodes, done,
        options, *given,
    ) = values  # fmt: skip
    shown = {}
    if given:
        input, input_bytes, output, output_bytes = given
        if input_bytes is not None:
            input = make_reference(f"/api/runs/{id_}/input", input_bytes)
        if output_bytes is not None:
            output = make_reference(f"/api/runs/{id_}/output", output_bytes)
        shown = {"input": fragment(input), "output": fragment(output)}
    return {
        "id": id_,
        "workflow_id": workflow_id,
        "workflow_name": workflow_name,
        "workflow_version": version,
        "workspace_id": workspace_id,
        "status": status,
        "triggered_by": triggered_by,
        "duration_ms": None if duration is None else round(duration),
        "duration_us": microseconds(duration),
        "created_at": iso(created),
        "started_at": None if started is None else iso(started),
        "finished_at": None if finished is None else iso(finished),
        "error_text": error_text,
        "error_node_id": error_node_id,
        "error_kind": error_kind,
        "cancelled": bool(cancelled),
        "waiting": waiting,
        "parent_run_id": parent_run_id,
        "retry_of": retry_of,
        "progress": None if nodes is None else {"done": done or 0, "total": nodes},
        **WITHOUT_OPTIONS,
        **({} if options is None else orjson.loads(options)),
        **shown,
    }


blueprint = Resource("runs", "Runs and their steps")
LATEST = 8
MAX_CHILDREN = 200
MAX_ANSWER = 16_000_000  # characters of step values in a response; the rest are references
# Fields of a step that are not a column of its row.
COMPUTED = ("id", "index", "number", "pinned", "input", "output")
STEP_COLUMNS = ["seq", "item_index", *(name for name in StepOut._declared_fields if name not in COMPUTED)]


class FileFieldOut(Out):
    """A field of a question that takes files."""

    name = fields.String(help="The name of the part of the form")
    title = fields.String()
    help = fields.String()
    required = fields.Boolean()
    max = fields.Integer(help="The largest number of files")
    max_bytes = fields.Integer(help="The largest size of each")
    accept = fields.List(fields.String(), help="Endings of accepted names; empty: any")


class QuestionOut(Out):
    """An open question of a waiting run, answered by POST /api/runs/:id/resume."""

    node_id = fields.String(help="The node; for an item of a loop, `node:index`")
    item_index = fields.Integer(allow_none=True, help="The item of a loop")
    node_name = fields.String()
    node_type = fields.String()
    text = fields.String(help="The question, as shown to people")
    answers = fields.List(fields.String())
    question = fields.String(allow_none=True, help="For a node with several questions")
    asked_at = Time()
    expires_at = Time(allow_none=True, help="The deadline of the answer")
    form = fields.Dict(
        keys=fields.String(),
        values=fields.Raw(),
        allow_none=True,
        help="JSON Schema of the answers to the node's `fields`, which `body` has; without files",
    )
    has_files = fields.Boolean(help="The form also asks for files, which an answer in `multipart/form-data` has")
    files = fields.List(fields.Nested(FileFieldOut), help="The fields that take files")


RUN, QUESTION = RunOut(), QuestionOut()


class RunWholeOut(RunOut):
    """One run with its open questions."""

    questions = Items(fields.Nested(QuestionOut))


class RunBriefOut(RunOut):
    """A run of a list without input and output."""

    class Meta:
        exclude = ("input", "output")


PLACES = ("error", "input", "output", "step_error", "step_item", "step_output")


class FoundPlaceOut(Out):
    """A place in the data of a run that contains the text `data`."""

    place = choice(PLACES, help="The data of the run itself, or of a step: its error, item of a loop or output")
    text = fields.String(help="The text with what is around it, as recorded")
    step = fields.Integer(allow_none=True, help="The `number` of the step")
    node_id = fields.String(allow_none=True)
    node_name = fields.String(allow_none=True)


class SearchedOut(Out):
    """How far a search for `data` has looked."""

    runs = fields.Integer(help="The number of runs that were read")
    until = Time(allow_none=True, help="The time of acceptance of the oldest of them")
    partly_read = fields.Integer(help="The number of them that were read in part, since they have too much data")


class RunItemOut(RunOut):
    """A run of a list."""

    output = Json(allow_none=True, help="Omitted with `brief`, like `input`", optional=True)
    found_in = fields.List(
        fields.Nested(FoundPlaceOut), optional=True, help="With `data`: the first places that contain it, up to 3"
    )


SEARCH_RUNS = (
    "The beginning of a run's id (`run_01…`) or its last six characters, or letters of the flow's name or of the error"
)


SEARCH_DATA = (
    "Text in the input, the output, an error, or the data of a step, ignoring case. Reads recorded values for up to "
    "two seconds; `searched` says how far it looked, and the next page looks further"
)


class RunArgs(PageArgs):
    status = OneOrMore(RUN_STATUSES, load_default=None)
    workflow_id = text(64, load_default=None)
    triggered_by = choice(TRIGGERS, load_default=None)
    since = Time(load_default=None)
    until = Time(load_default=None)
    cancelled = fields.Boolean(load_default=None)
    error_kind = OneOrMore(ERROR_KINDS, load_default=None)
    waiting = fields.Boolean(load_default=False, help="Only runs that wait for a person's answer")
    search = text(200, is_stored=False, load_default=None, help=SEARCH_RUNS)
    data = text(200, is_stored=False, load_default=None, help=SEARCH_DATA)
    brief = fields.Boolean(load_default=False, help="Omit input and output")


class LatestArgs(Shape):
    brief = fields.Boolean(load_default=False, help="Omit input and output")


def check_version(value: Any) -> None:
    """Check the version of a retry. Raises: ValidationError if it is not `latest`, `same` or a number."""
    if value not in ("latest", "same") and not (type(value) is int and 0 < value < 2**31):
        raise ValidationError("must be latest, same or the number of a version")


class RetryIn(Strict):
    start = choice(("start", "failed"), data_key="from", load_default="failed")
    version = fields.Raw(
        load_default=None,
        validate=check_version,
        metadata={"type": ["string", "integer"], "examples": ["latest", "same", 3]},
        help="Without it: latest, or same for a run that was started with a definition, `until` or `pinned`",
    )


class StepsArgs(WholeArgs):
    cursor = Place(load_default=None)
    node_id = text(64, load_default=None, help="Only steps of this node")
    values = fields.Boolean(load_default=True, help="false: `input` and `output` are null in all steps")


class SettingsArgs(Shape):
    item = fields.Integer(
        load_default=0, validate=validate.Range(0, 10**6), help="The item, for the step of a whole loop"
    )


class SettingOut(Out):
    name = fields.String()
    ok = fields.Boolean()
    value = Json(allow_none=True, help="The setting; if `truncated`, the beginning of the text or of its JSON")
    error = fields.String(allow_none=True, help="The reason why an expression could not be evaluated")
    truncated = fields.Boolean()


class SettingsOut(Out):
    node_id = fields.String()
    settings = fields.List(fields.Nested(SettingOut), allow_none=True, help="As written in the definition, in order")
    reason = fields.String(allow_none=True, help="skipped or pinned, if the node was not executed")
    index = fields.Integer(allow_none=True, help="The item of a loop")
    items = fields.Integer(allow_none=True, help="The number of items of the loop, for the step of a whole loop")


class BranchCountOut(Out):
    branch = fields.String()
    count = fields.Integer()


class CountOut(Out):
    node_id = fields.String()
    count = fields.Integer(allow_none=True, help="Null if the output is too large to read here")
    branches = fields.List(fields.Nested(BranchCountOut), help="The items on each branch of a node that routed them")


class CountsOut(Out):
    items = fields.List(fields.Nested(CountOut))


def link_large_values(run: Run) -> Run:
    """Return the run for a response: an input or output in a file becomes a reference to its URL."""
    for name in ("input", "output"):
        size = getattr(run, f"{name}_bytes")
        if size is not None:
            setattr(run, name, make_reference(f"/api/runs/{run.id}/{name}", size))
    return run


@blueprint.get("/runs")
@require_role("viewer", only_database=True)
@blueprint.arguments(RunArgs, location="query")
@blueprint.response(
    200, listed(RunItemOut, searched=fields.Nested(SearchedOut, optional=True, help="With `data`: how far it looked"))
)
def list_runs(args: dict[str, Any]) -> Any:
    """List the runs of the workspace, newest first. `since` and `until` refer to the time of acceptance.

    `status` may be several, separated by commas. A text `search`, and runs that wait for people, are searched in 5,000
    runs at a time: a page may be short or empty, and the next one may have more, if there is a cursor. The same holds
    for `data`, which reads the recorded values; each user may have one such request at a time (429).
    """
    from dispatch.run_search import RunSearch

    limit, cursor = args.pop("limit"), args.pop("cursor")
    asking = list_asking_types() if args.pop("waiting") else None
    columns, data = select_columns(args.pop("brief")), args.pop("data")
    rows = run_queries.select_where(RunFilters(get_workspace_id(), asking=asking, unsigned=must_redact_links(), **args))
    if data is None:
        return respond(*rows.values(columns, limit, cursor))
    with SEARCHES.taken(get_user().id):
        search = RunSearch(get_dispatcher().resources.payloads, data, must_redact_links())
        found, last = search.page(rows, columns, limit, cursor)
    return respond_found(found, last, search.searched)


@blueprint.post("/runs")
@require_role("operator")
@blueprint.arguments(RunIn)
@blueprint.response(201, RunOut)
def record(body: dict[str, Any]) -> Any:
    """Record a run that another system executed. Nothing is executed.

    The body may be a whole run, as another server returned it: fields that only that server knows are ignored. 409 if
    there is, or was, a run with this `id`.
    """
    flow = find(Workflow, body["workflow_id"], "operator", "flow")
    return run_queries.record(flow, defer_start_entry("run.recorded"), **complete(body))


@blueprint.get("/runs/<run>")
@require_role("viewer", run=Run, only_database=True)
@blueprint.response(200, RunWholeOut)
def read(run: Run) -> Any:
    """Show a run. `questions` are the questions whose answers it waits for; empty if there are none."""
    questions = QUESTION.dump(list_open_questions(run), many=True)
    return jsonify({**RUN.dump(link_large_values(run)), "questions": questions})


@blueprint.delete("/runs/<run>")
@require_role("editor", run=Run)
@blueprint.response(204)
def delete(run: Run) -> None:
    """Delete an ended run with its steps and log."""
    if run.finished_at is None and not run.recorded:
        raise Conflict("The run has not finished; cancel it first")
    remove("run.deleted", run, run_queries.remove)
    get_dispatcher().resources.payloads.remove(run.id)


@blueprint.post("/runs/<run>/cancel")
@require_role("operator", run=Run)
@blueprint.response(200, RunOut)
def cancel(run: Run) -> Any:
    """Cancel a pending or running run. It is `failed` with `cancelled: true` at once."""
    return link_large_values(get_dispatcher().cancel(run, get_user().email, defer_entry("run.cancelled")))


@blueprint.post("/runs/<run>/retry")
@require_role("operator", run=Run)
@blueprint.arguments(StartArgs, location="query")
@blueprint.arguments(RetryIn, required=False)
@blueprint.response(200, RunOut)
@blueprint.alt_response(202, schema=RunOut)
@blueprint.alt_response(422, schema=Error)
def retry(args: dict[str, Any], body: dict[str, Any], run: Run) -> Any:
    """Retry an ended run as a new run: from its start, or from the failed node with completed steps kept.

    `version` of the flow is `latest`, `same` as the run's, or a number. If a node or one of its predecessors has
    changed, it is executed again. Waits and answers as `run` does, and refuses an input that the flow no longer
    accepts.

    Retrying an older version, a draft or pinned nodes needs the role editor: an approval may be missing there.
    """
    dispatcher = get_dispatcher()
    start, version = body["start"], body["version"]
    repeated = find_retry_scope(dispatcher.resources, run, start, version)
    if not repeated.is_current:
        check_role(run.workspace_id, "editor")
    told = {"from": start, "version": repeated.version, "draft": repeated.version is None}
    if repeated.pinned:  # a pinned approval was given by nobody
        told["pinned"] = repeated.pinned[:MAX_PINNED]
    entry = begin_entry("run.retried").about(run).note(**told)

    def note(made: Run) -> Write:
        return entry.note(run_id=made.id).insertion()

    ticket = dispatcher.retry(run, start, version, note, is_awaited=args["wait"] > 0)
    finished = dispatcher.waiting.wait_with_limit(ticket, args["wait"])
    return link_large_values(finished), 200 if finished.finished_at is not None else 202


@blueprint.get("/runs/<run>/steps")
@require_role("viewer", run=Run, only_database=True)
@blueprint.arguments(StepsArgs, location="query")
@blueprint.response(200, listed(StepOut))
def list_steps(args: dict[str, Any], run: Run) -> Any:
    """List the steps of a run in the order of execution: all of them, unless a `limit` is given.

    With `values=false`, `input` and `output` are not read, which lists a long run quickly. Otherwise values that do not
    fit into an answer are references to their address.
    """
    after = -1 if args["cursor"] is None else int(args["cursor"])
    page = run.id, args["limit"] or MAX_WHOLE, after, args["node_id"]
    if args["values"]:
        rows, more = steps.of(*page)
        values = _Values(run, rows)
        items = [values.show(row) for row in rows]
    else:
        items, more = steps.outlines(*page)
        pinned = set(run_queries.pinned(run))
        for item in items:
            done = item["status"] == "success" and item["node_id"] in pinned
            item.update(pinned=done, input=None, output=None)
    return {"items": items, "next_cursor": None if more is None else str(more)}


@blueprint.get("/runs/<run>/definition")
@require_role("viewer", run=Run)
@blueprint.response(200, "WorkflowDefinition")
def get_definition(run: Run) -> Any:
    """Show the WorkflowDefinition of the run: that of its version, or its unsaved draft."""
    found = get_dispatcher().resources.definition_of(run)
    if found is None:
        raise NotFound("The definition of this run is no longer stored")
    return jsonify(found)


@blueprint.get("/runs/<run>/children")
@require_role("viewer", run=Run, only_database=True)
@blueprint.arguments(SliceArgs, location="query")
@blueprint.response(200, listed(RunBriefOut))
def list_children(args: dict[str, Any], run: Run) -> Any:
    """List the first 200 runs that this run started, oldest first, without input and output."""
    return slice_of(run_queries.started(run, MAX_CHILDREN), args)


@blueprint.get("/runs/<run>/<any(input, output):name>")
@require_role("viewer", run=Run)
@blueprint.response(200, ANY_JSON)
def get_value(run: Run, name: str) -> Any:
    """Show the input or output of a run as JSON, whatever its size."""
    kept = Kept(getattr(run, name), getattr(run, f"{name}_bytes"))
    return _respond_json(get_dispatcher().resources.payloads.load(run.id, name, kept))


@blueprint.get("/runs/<run>/steps/<int(max=999999999):number>")
@require_role("viewer", run=Run, only_database=True)
@blueprint.response(200, StepOut)
def get_step(run: Run, number: int) -> Any:
    """Show a step by its `number`. Values too large for an answer are references, as in the list."""
    step = _find_step(run, number)
    return _Values(run, [step]).show(step)


@blueprint.get("/runs/<run>/steps/<int(max=999999999):number>/output")
@require_role("viewer", run=Run)
@blueprint.response(200, ANY_JSON)
def get_step_output(run: Run, number: int) -> Any:
    """Show the output of a step as JSON, whatever its size."""
    step = _find_step(run, number)
    return _respond_json(
        get_dispatcher().resources.payloads.load(run.id, f"step_{number}", Kept(step.output, step.output_bytes))
    )


@blueprint.get("/runs/<run>/steps/<int(max=999999999):number>/settings")
@require_role("viewer", run=Run)
@blueprint.arguments(SettingsArgs, location="query")
@blueprint.response(200, SettingsOut)
def get_step_settings(args: dict[str, Any], run: Run, number: int) -> Any:
    """Show the settings that a step had: the expressions are evaluated again with the recorded data of the run.

    Secrets are never read: dots stand in their place, and in place of each text computed from one. The definition is
    the one with which the run started. A node that was not executed has no settings, and a `reason`.
    """
    from dispatch.expression_preview import SentSettings

    step = _find_step(run, number)
    if step.status == "skipped" or step.node_id in run_queries.pinned(run):
        reason = "skipped" if step.status == "skipped" else "pinned"
        return {"node_id": step.node_id, "settings": None, "reason": reason, "index": None, "items": None}
    definition = get_dispatcher().resources.definition_of(run)
    if definition is None:
        raise NotFound("The definition of this run is no longer stored")
    with PREVIEWS.taken(get_user().id):
        sent = SentSettings(get_dispatcher().resources, run, step, definition, args["item"]).sent()
    settings = [{"name": name, **value._asdict()} for name, value in sent.settings.items()]
    return {
        "node_id": step.node_id, "settings": settings, "reason": None, "index": sent.index, "items": sent.items,
    }  # fmt: skip


@blueprint.get("/runs/<run>/counts")
@require_role("viewer", run=Run)
@blueprint.response(200, CountsOut)
def get_counts(run: Run) -> Any:
    """Count the items of each node whose output is a list, without sending the outputs.

    Outputs in files are read up to a total of 16 MB; for more, the count is null.
    """
    counts, large = steps.count_items(run.id)
    known: dict[str, int | None] = {**counts}
    room, resources = MAX_ANSWER, get_dispatcher().resources
    for step in large:
        room -= step.output_bytes or 0
        value = None if room < 0 else resources.value(run.id, f"step_{step.seq}", Kept(None, step.output_bytes))
        if room < 0 or isinstance(value, list):
            known[step.node_id] = None if value is None else len(value)
    routed = steps.count_routed_items(run.id)
    known |= {node_id: sum(found.values()) for node_id, found in routed.items()}
    return {
        "items": [
            {
                "node_id": node_id,
                "count": count,
                "branches": [{"branch": name, "count": items} for name, items in routed.get(node_id, {}).items()],
            }
            for node_id, count in known.items()
        ]
    }


@blueprint.get("/dashboard/runs/latest")
@require_role("viewer", only_database=True)
@blueprint.arguments(LatestArgs, location="query")
@blueprint.response(200, listed(RunItemOut))
def list_latest(args: dict[str, Any]) -> Any:
    """List the latest 8 runs."""
    rows = run_queries.select_where(RunFilters(get_workspace_id()))
    found, _ = rows.values(select_columns(args["brief"]), LATEST, None)
    return respond(found, None)


class _Values:
    """Inputs and outputs of steps, assembled from the record, which stores a value shared by several steps once.

    A response repeats it for each step, so their total size is limited.
    """

    def __init__(self, run: Run, rows: list[Step]) -> None:
        self.run, self.pinned, self.room = run, set(run_queries.pinned(run)), MAX_ANSWER
        wanted = {name for row in rows for name in self.get_sources(row)} | {row.same_as for row in rows if row.same_as}
        self.outputs = steps.outputs(run.id, wanted)

    @staticmethod
    def get_sources(row: Step) -> list[str]:
        """Return the nodes whose outputs make up the step's input."""
        names: list[str] = orjson.loads(row.inputs) if row.inputs else []
        return list(dict.fromkeys(name.partition(":")[0] for name in names))

    def show(self, row: Step) -> dict[str, Any]:
        """Return the step for a response."""
        shown = {name: getattr(row, name) for name in STEP_COLUMNS}
        output = self.get_links(row) if row.status == "waiting" else self.get_output(row)
        pinned = row.status == "success" and row.node_id in self.pinned
        return shown | {"id": steps.id_of(row), "pinned": pinned, "input": self.get_input(row), "output": output}

    def get_links(self, row: Step) -> dict[str, str] | None:
        """Return the links that answer a waiting step. A link is permission to answer, so viewers get none."""
        links = get_dispatcher().resources.links
        node = REGISTRY.get(row.node_type)
        if links is None or node is None or not node.answers or not has_role(ANSWER_ROLE, self.run.workspace_id):
            return None
        wait = Wait.one("run_id = ? AND node_id = ?", row.run_id, steps.place_of(row))
        if wait is not None and wait.kind in ENGINES_OWN:
            return None
        question = None if wait is None or not node.asks else wait.question
        return None if node.asks and question is None else links.of(row.run_id, steps.place_of(row), node, question)

    def get_input(self, row: Step) -> Any:
        if row.item_index is not None:
            return row.item
        sources = [(name, self.outputs.get(name)) for name in self.get_sources(row)]
        ways = dict.fromkeys(orjson.loads(row.inputs)) if row.inputs and ":" in row.inputs else {}
        values = {
            name: self.get_items(step, [way.partition(":")[2] for way in ways if way.startswith(f"{name}:")])
            for name, step in sources
            if step is not None
        }
        if len(sources) == 1:
            return next(iter(values.values()), None)
        return values if sources else self.fit(link_large_values(self.run).input, f"/api/runs/{self.run.id}/input")

    def get_items(self, source: Step, branches: list[str]) -> Any:
        """Return the output of a step, of one that routed items those of these branches."""
        text = self.get_output(source)
        if not branches or not isinstance(text, str):
            return orjson.Fragment(text or "null")
        lists = orjson.loads(text)
        return [item for name in branches for item in lists.get(name, [])]

    def get_output(self, row: Step) -> Any:
        """Return JSON text, or a reference. A step that passed its input through has the value of its source."""
        if row.same_as is not None:
            maker = self.outputs.get(row.same_as)
            return None if maker is None else self.get_output(maker)
        path = f"/api/runs/{self.run.id}/steps/{row.seq}/output"
        return self.fit(row.output, path) if row.output_bytes is None else make_reference(path, row.output_bytes)

    def fit(self, text: Any, path: str) -> Any:
        """Return the JSON text, or a reference if the response has no room left for it."""
        size = 0 if text is None else len(text)
        if size > self.room:
            return make_reference(path, len(text.encode()) if isinstance(text, str) else size)
        self.room -= size
        return text


def _find_step(run: Run, number: int) -> Step:
    step: Step | None = Step.one("run_id = ? AND seq = ?", run.id, number)
    if step is None:
        raise NotFound(f"The run has no step {number}")
    return step


def _respond_json(text: bytes | None) -> Response:
    return Response(text or b"null", mimetype="application/json")
