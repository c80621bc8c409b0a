"""Schema of the definition format, as JSON Schema (draft 2020-12) in parts that refer to each other.

The API description and the page /docs/definition are made from it, and validation takes its enums and bounds from it.
Rules beyond JSON Schema, for example that edges join existing nodes, are checked by `node_graph` and `builder`.
"""

from __future__ import annotations

import zoneinfo
from collections.abc import Callable, Collection
from typing import Any

from .execution_plan import FlowSettings
from .node_graph import ID, MAX_ID, MAX_NAME, Issues, report_unknown_keys

# Prefix of a reference to another part: `{"$ref": REF + name}`.
REF = "#/components/schemas/"


def _object(required: tuple[str, ...] = (), /, **properties: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of an object with only these properties."""
    needed = {"required": list(required)} if required else {}
    return {"type": "object", "properties": properties, **needed, "additionalProperties": False}


def _field(type_: str | list[str], description: str, **rules: Any) -> dict[str, Any]:
    return {"type": type_, **rules, "description": description}


def _any_of(description: str, *schemas: dict[str, Any]) -> dict[str, Any]:
    return {"anyOf": list(schemas), "description": description}


def _ref(name: str) -> dict[str, Any]:
    return {"$ref": REF + name}


def _id(description: str) -> dict[str, Any]:
    return _field("string", description, pattern=f"^{ID.pattern.removesuffix(chr(92) + 'Z')}$", maxLength=MAX_ID)


NULL = {"type": "null"}
OPTIONAL_NUMBER, OPTIONAL_TEXT = ["number", "null"], ["string", "null"]

MAX_NOTES, MAX_NOTE, MAX_GROUPS = 200, 5_000, 200
MAX_DESCRIPTION = 2_000  # of a flow
MAX_PAUSE = 86_400  # seconds
MAX_TIMEOUT = 2_592_000  # seconds, of a run
MAX_CONCURRENCY = 100
MAX_PARALLEL = 16
MAX_COORDINATE = 1_000_000  # of a note on the canvas
COLORS = ["yellow", "blue", "green", "red", "violet", "gray"]

POSITION: dict[str, Any] = {
    "type": "object",
    "properties": {"x": _field("number", "Pixels from the left"), "y": _field("number", "Pixels from the top")},
}
RETRY = _object(
    attempts=_field("integer", "Maximum number of attempts, including the first", minimum=1, maximum=20, default=3),
    delay=_field("number", "Seconds before the second attempt", minimum=0, maximum=3600, default=1),
    backoff=_field(
        "number", "Factor by which each further delay grows, up to one hour", minimum=1, maximum=10, default=2
    ),
)
REPEAT = _object(
    ("until",),
    until={
        "type": "string",
        "description": "Condition after each round, an expression: `{{ output.status == 'done' }}`. It also sees "
        "`round`, the number of the round from 1",
    },
    every=_field("number", "Seconds between two rounds", minimum=0, maximum=MAX_PAUSE, default=10),
    at_most=_field("integer", "Maximum number of rounds; then the node fails", minimum=1, maximum=10_000, default=100),
    for_at_most=_field(
        OPTIONAL_NUMBER,
        "Maximum of seconds from the start of the first round, over all pauses and restarts; then the node fails. "
        "Default: only `at_most` applies",
        minimum=0.001, maximum=MAX_TIMEOUT,
    ),
)  # fmt: skip
RATE = _object(
    ("calls",),
    calls=_field("integer", "Number of calls", minimum=1, maximum=1_000_000),
    per=_field(
        "number", "Seconds within which at most that many calls start: a sliding window",
        minimum=0.001, maximum=MAX_PAUSE, default=60,
    ),
    key=_field(
        OPTIONAL_TEXT,
        "Name of the limit: all nodes of the workspace with the same name share it. Default: the node has its own",
        maxLength=MAX_ID, minLength=1,
    ),
)  # fmt: skip
DEBOUNCE = _object(
    ("seconds",),
    seconds=_field(
        "number", "Seconds without a call after which the run starts; at most ten times as long after the first call",
        minimum=0.1, maximum=MAX_PAUSE,
    ),
    key={
        "type": ["string", "null"],
        "description": "Expression for the call: `{{ input.body.id }}`. Calls with different values start different "
        "runs. Default: all calls start one run",
    },
    keep=_field(
        "string", "Input of the run: that of the `last` or the `first` call, or a list of `all` of them",
        enum=["last", "first", "all"], default="last",
    ),
)  # fmt: skip
NODE = _object(
    ("id", "type"),
    id=_id(
        "Name of the node in edges and expressions, unique in the flow: letters, digits and `_`, not starting with a "
        "digit"
    ),
    type=_field("string", "Node type, one of those in [nodes.md](nodes.md)", minLength=1),
    name=_field("string", "Display name; default: the id", maxLength=MAX_NAME),
    config=_field(
        "object", "Settings of the node type; most accept [expressions](expressions.md)", additionalProperties={}
    ),
    foreach=_any_of(
        "List, or an expression that returns one: the node runs once for each item, available to expressions as "
        "`item` and `index`, and returns the list of outputs. A node with branches routes each item to one of them",
        {"type": "string"}, {"type": "array", "items": {}}, NULL,
    ),
    concurrency=_field(
        ["integer", "null"],
        "Number of items of a `foreach` that run at once; default: 1, or all of them if the node asks people",
        minimum=1, maximum=MAX_CONCURRENCY,
    ),
    delay=_field(
        OPTIONAL_NUMBER, "Seconds between the starts of two items of a `foreach`; default: none",
        minimum=0, maximum=MAX_PAUSE,
    ),
    repeat=_any_of("Repeat the node until a condition is true; its output is that of the last round",
                   _ref("WorkflowRepeat"), NULL),
    debounce=_any_of(
        "Triggers: calls, messages or entries within a window start one run, after the last of them",
        _ref("WorkflowDebounce"), NULL
    ),
    rate=_any_of("Rate limit: how often the node may be called", _ref("WorkflowRate"), NULL),
    retry=_any_of("Retry policy of the node; default: one attempt", _ref("WorkflowRetry"), NULL),
    timeout=_field(
        OPTIONAL_NUMBER, "Timeout of one attempt in seconds; default: only the flow's timeout applies",
        minimum=0.001, maximum=86_400,
    ),
    on_error=_field(
        "string",
        "Action if the last attempt fails: `fail` ends the run, `continue` outputs "
        '`{"error": text}`, `branch` outputs it to the branch `error`',
        enum=["fail", "continue", "branch"], default="fail",
    ),
    on_interrupt=_field(
        "string",
        "Action if the server stops while the node runs: `retry` executes it again with the same idempotency key; "
        "`fail` ends the run as failed",
        enum=["retry", "fail"], default="retry",
    ),
    disabled=_field(
        "boolean",
        "If true, the node is not executed and its input passes through; a trigger, or a node with branches, is "
        "skipped",
        default=False,
    ),
    position=_any_of("Position in the editor; the engine ignores it", _ref("WorkflowPosition"), NULL),
    notes=_field(OPTIONAL_TEXT, "Comment for readers; the engine ignores it"),
)  # fmt: skip
EDGE = _object(
    ("from", "to"),
    **{"from": _id("Id of the source node")},
    to=_id("Id of the target node"),
    branch=_field(OPTIONAL_TEXT, "Branch of the source node; required if it has branches, otherwise omitted"),
    id={"description": "Ignored; an editor may store its own id"},
)
SHORT_EDGE = _field(
    "array", 'Short form of an edge: `["from", "to"]` or `["from", "to", "branch"]`',
    items={"type": "string"}, minItems=2, maxItems=3,
)  # fmt: skip
SETTINGS = _object(
    timezone=_field("string", "IANA time zone of the flow's schedules, like Europe/Berlin. Default: the workspace's"),
    timeout=_field(
        OPTIONAL_NUMBER,
        "Seconds from the start of a run after which it fails, whatever it waits for. Default: none; waits end as "
        "their nodes say, and `HEADRACE_RUN_TIMEOUT` limits the work between them",
        minimum=0.001, maximum=MAX_TIMEOUT,
    ),
    max_concurrent_runs=_field(
        "integer", "Maximum number of concurrent runs; 0: no limit", minimum=0, maximum=10_000, default=0
    ),
    overlap=_field(
        "string", "Action if that limit is reached: `queue` lets the new run wait, `skip` rejects it",
        enum=["queue", "skip"], default="queue",
    ),
    parallel=_field(
        "integer",
        "Maximum number of nodes of one run that are executed at the same time, if they do not depend on each other",
        minimum=1, maximum=MAX_PARALLEL, default=1,
    ),
    error_workflow_id=_field(
        OPTIONAL_TEXT, "Id of the flow to run when a run of this one fails; its trigger must be of type `error`",
        maxLength=MAX_ID,
    ),
    vars=_field(
        "object", "Constants, available to all expressions of the flow as `vars.<name>`; before the workspace's",
        additionalProperties={}, default={},
    ),
    description=_field(
        "string", "A description of the flow for readers; the engine ignores it", maxLength=MAX_DESCRIPTION, default=""
    ),
    template=_field(
        "string", "Id of the template that the flow was made from; the editor shows the remaining set-up",
        maxLength=MAX_ID,
    ),
)  # fmt: skip
NOTE = _object(
    ("id",),
    id=_id("Name of the note, unique among the notes of the flow"),
    text=_field(
        "string",
        "Text in limited Markdown: headings, lists, `**bold**`, `*italic*`, code and links. HTML is shown as text",
        maxLength=MAX_NOTE,
    ),
    position=_any_of("Position in the editor", _ref("WorkflowPosition"), NULL),
    width=_field("number", "Width in pixels", minimum=80, maximum=2_000, default=240),
    height=_field("number", "Height in pixels", minimum=40, maximum=2_000, default=160),
    color=_field("string", "Color of the paper", enum=COLORS, default="yellow"),
)
GROUP = _object(
    ("id", "nodes"),
    id=_id("Name of the group, unique among the groups of the flow"),
    name=_field("string", "Title of the frame; default: the id", maxLength=MAX_NAME),
    nodes=_field(
        "array", "Ids of the nodes within the frame; a node is in one group at most", items={"type": "string"},
        minItems=1,
    ),
    folded=_field("boolean", "If true, the editor shows the group as one card", default=False),
    color=_field("string", "Color of the frame", enum=["gray", *COLORS[:-1]], default="gray"),
)  # fmt: skip
DEFINITION: dict[str, Any] = {
    "description": "Definition of a flow: nodes, the edges between them, settings, and notes and groups for readers",
    **_object(
        nodes=_field(
            "array", "Steps of the flow, in any order; at most `HEADRACE_MAX_NODES`", items=_ref("WorkflowNode")
        ),
        edges=_field(
            "array", "Connections between nodes, without cycles and duplicates",
            items={"anyOf": [_ref("WorkflowEdge"), _ref("WorkflowShortEdge")]},
        ),
        settings=_any_of("Settings of the flow as a whole", _ref("WorkflowSettings"), NULL),
        notes=_any_of(
            f"Notes on the canvas, at most {MAX_NOTES}; the engine ignores them",
            {"type": "array", "items": _ref("WorkflowNote"), "maxItems": MAX_NOTES}, NULL,
        ),
        groups=_any_of(
            f"Named frames around nodes, at most {MAX_GROUPS}; the engine ignores them",
            {"type": "array", "items": _ref("WorkflowGroup"), "maxItems": MAX_GROUPS}, NULL,
        ),
    ),
}  # fmt: skip

COMPONENTS: dict[str, dict[str, Any]] = {
    "WorkflowDefinition": DEFINITION,
    "WorkflowNode": NODE,
    "WorkflowRetry": RETRY,
    "WorkflowRepeat": REPEAT,
    "WorkflowRate": RATE,
    "WorkflowDebounce": DEBOUNCE,
    "WorkflowPosition": POSITION,
    "WorkflowEdge": EDGE,
    "WorkflowShortEdge": SHORT_EDGE,
    "WorkflowSettings": SETTINGS,
    "WorkflowNote": NOTE,
    "WorkflowGroup": GROUP,
}


def get_enum(schema: dict[str, Any], key: str) -> tuple[str, ...]:
    """Return the enum values of a property."""
    return tuple(schema["properties"][key]["enum"])


def get_bounds(schema: dict[str, Any], key: str) -> tuple[float, float]:
    """Return the minimum and maximum of a numeric property."""
    field = schema["properties"][key]
    return field["minimum"], field["maximum"]


# Annotations of a definition: notes and groups on the canvas, and their validation. No plan contains them.

NOTE_KEYS, GROUP_KEYS = tuple(NOTE["properties"]), tuple(GROUP["properties"])


def check_annotations(definition: dict[str, Any], nodes: Collection[str], issues: Issues) -> None:
    """Report issues of the notes and groups of a definition with these node ids."""
    for path, note in _items(definition, "notes", MAX_NOTES, issues):
        _check_note(path, note, issues)
    taken: dict[str, str] = {}
    for path, group in _items(definition, "groups", MAX_GROUPS, issues):
        report_unknown_keys(group, GROUP_KEYS, path, issues)
        _check_text(path, group, "name", MAX_NAME, issues)
        _check_color(path, group, GROUP, issues)
        if not isinstance(group.get("folded", False), bool):
            issues.add(f"{path}.folded", "must be true or false")
        _check_members(path, group, nodes, taken, issues)


def _items(definition: dict[str, Any], key: str, most: int, issues: Issues) -> list[tuple[str, dict[str, Any]]]:
    """Return the objects of a list with their paths, and report a wrong list and wrong ids."""
    raw = definition.get(key)
    if raw is None:
        return []
    if not isinstance(raw, list):
        issues.add(key, "must be a list")
        return []
    if len(raw) > most:
        issues.add(key, f"has {len(raw)} entries; the limit is {most}")
        return []
    seen: set[str] = set()
    found = []
    for index, item in enumerate(raw):
        path = f"{key}[{index}]"
        if not isinstance(item, dict):
            issues.add(path, 'must be an object with the key "id"')
            continue
        id_ = item.get("id")
        if not isinstance(id_, str) or not ID.match(id_) or len(id_) > MAX_ID:
            issues.add(f"{path}.id", "is required: letters, digits and _, not starting with a digit")
        elif id_ in seen:
            issues.add(f"{path}.id", f"the id {id_!r} is used twice in {key}; ids must be unique")
        else:
            seen.add(id_)
        found.append((path, item))
    return found


def _check_note(path: str, note: dict[str, Any], issues: Issues) -> None:
    report_unknown_keys(note, NOTE_KEYS, path, issues)
    _check_text(path, note, "text", NOTE["properties"]["text"]["maxLength"], issues)
    _check_color(path, note, NOTE, issues)
    for key in ("width", "height"):
        low, high = get_bounds(NOTE, key)
        if not _is_number(note.get(key, low), low, high):
            issues.add(f"{path}.{key}", f"must be a number from {low:g} to {high:g}")
    position = note.get("position")
    if position is not None and not (
        isinstance(position, dict)
        and position.keys() <= {"x", "y"}
        and all(_is_number(value, -MAX_COORDINATE, MAX_COORDINATE) for value in position.values())
    ):
        issues.add(f"{path}.position", f'must be {{"x": number, "y": number}}, at most {MAX_COORDINATE:,} from 0')


def _check_text(path: str, raw: dict[str, Any], key: str, most: int, issues: Issues) -> None:
    value = raw.get(key, "")
    if not isinstance(value, str) or len(value) > most:
        issues.add(f"{path}.{key}", f"must be text of at most {most:,} characters")


def _check_color(path: str, raw: dict[str, Any], schema: dict[str, Any], issues: Issues) -> None:
    allowed = get_enum(schema, "color")
    if raw.get("color", allowed[0]) not in allowed:
        issues.add(f"{path}.color", f"must be one of: {', '.join(allowed)}")


def _check_members(
    path: str, group: dict[str, Any], nodes: Collection[str], taken: dict[str, str], issues: Issues
) -> None:
    """Report members that do not exist or are in a group already; `taken` has the path of the group of each node."""
    members = group.get("nodes")
    if not isinstance(members, list) or not members:
        issues.add(f"{path}.nodes", "must be a list of at least one node id")
        return
    for index, id_ in enumerate(members):
        if issues.is_full:
            break
        if not isinstance(id_, str) or id_ not in nodes:
            issues.add(f"{path}.nodes[{index}]", f"there is no node {str(id_)[:MAX_ID]!r}")
        elif id_ in taken:
            issues.add(f"{path}.nodes[{index}]", f"{id_!r} is in {taken[id_]} already; a node is in one group", id_)
        else:
            taken[id_] = path


def _is_number(value: Any, low: float, high: float) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and low <= value <= high


# Settings of a workflow: their validation.


def read_settings(raw: Any, issues: Issues) -> FlowSettings:
    if raw is None:
        return FlowSettings()
    if not isinstance(raw, dict):
        issues.add("settings", "must be an object")
        return FlowSettings()
    report_unknown_keys(raw, SETTING_CHECKS, "settings", issues)
    good = {}
    for key, (accepts, message) in SETTING_CHECKS.items():
        if key not in raw:
            continue
        if accepts(raw[key]):
            if key not in FOR_PEOPLE:
                good[key] = raw[key]
        else:
            issues.add(f"settings.{key}", message)
    return FlowSettings(**good)


def _is_within(value: Any, key: str) -> bool:
    low, high = get_bounds(SETTINGS, key)
    return not isinstance(value, bool) and isinstance(value, int | float) and low <= value <= high


def _is_text(value: Any, key: str) -> bool:
    return isinstance(value, str) and len(value) <= SETTINGS["properties"][key]["maxLength"]


def is_zone(value: Any) -> bool:
    """Return True if the value is the name of an IANA time zone."""
    if not isinstance(value, str):
        return False
    try:
        zoneinfo.ZoneInfo(value)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        return False
    return True


SETTING_CHECKS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "timezone": (is_zone, "must be an IANA time zone such as Europe/Berlin"),
    "timeout": (lambda v: v is None or _is_within(v, "timeout"), "must be a number of seconds from 0.001 to 2592000"),
    "max_concurrent_runs": (
        lambda v: isinstance(v, int) and _is_within(v, "max_concurrent_runs"),
        "must be a whole number from 0 to 10000",
    ),
    "overlap": (lambda v: v in get_enum(SETTINGS, "overlap"), "must be queue or skip"),
    "parallel": (lambda v: isinstance(v, int) and _is_within(v, "parallel"), "must be a whole number from 1 to 16"),
    "error_workflow_id": (
        lambda v: v is None or (isinstance(v, str) and len(v) <= MAX_ID),
        "must be the id of a flow, or null",
    ),
    "vars": (lambda v: isinstance(v, dict), "must be an object"),
    "description": (lambda v: _is_text(v, "description"), f"must be text of at most {MAX_DESCRIPTION} characters"),
    "template": (lambda v: _is_text(v, "template"), "must be the id of a template"),
}
# Settings that a run does not need.
FOR_PEOPLE = {"description", "template"}
