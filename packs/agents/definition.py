"""Definition of an agent: validation of its JSON, and the `AgentDefinition` value for its runs.

Pure: takes JSON, returns an `AgentDefinition` or a list of issues. Other modules check that its credentials and flows
exist, and turn each `ToolSpec` into tools.
"""

from __future__ import annotations

import dataclasses
import difflib
import re
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import orjson

from constants import HTTP_CREDENTIALS, HTTP_METHODS
from definition.messages import MAX_QUOTED
from errors import DefinitionError, Issue
from parsers import json_schema

# Checks of JSON that people write, which report every issue with its path. A check returns the accepted value, or
# raises ValueError with the requirement.

MAX_UNKNOWN = 20  # unknown keys reported for one object

Check = Callable[[Any], Any]


class FieldIssues(list[Issue]):
    """Collected issues."""

    def add(self, path: str, message: str) -> None:
        """Add an issue at `path`, such as `tools[0].hosts`."""
        self.append(Issue(path, message))


class Fields:
    """The keys of the object at `path`."""

    def __init__(self, raw: Mapping[str, Any], path: str, issues: FieldIssues) -> None:
        self.raw, self.path, self.issues = raw, path, issues

    def add_issue(self, key: str, message: str) -> None:
        """Add an issue of a key."""
        self.issues.add(f"{self.path}.{key}".lstrip("."), message)

    def check_keys(self, known: Sequence[str]) -> None:
        """Report keys that are not known."""
        for key in sorted(map(str, self.raw.keys() - set(known)))[:MAX_UNKNOWN]:
            close = difflib.get_close_matches(key[:MAX_QUOTED].lower(), known, 1, 0.7)
            offer = f"did you mean {close[0]!r}?" if close else f"known keys: {', '.join(known)}"
            self.add_issue(_printable(key[:MAX_QUOTED]), f"unknown key; {offer}")

    def read(self, key: str, check: Check, *default: Any) -> Any:
        """Return the key's checked value; null or a missing key gives the default, or an issue if there is none."""
        value = self.raw.get(key)
        if value is None:
            if not default:
                self.add_issue(key, "is required")
                return None
            return default[0]
        try:
            return check(value)
        except ValueError as error:
            self.add_issue(key, str(error))
            return default[0] if default else None

    def read_flag(self, key: str, default: bool) -> bool:
        """Return the key's boolean value."""
        return bool(self.read(key, _flag, default))

    def read_list(self, key: str, max_count: int, check: Check, default: Any) -> Any:
        """Return the list of texts under the key, each checked, as a tuple without duplicates."""
        value = self.raw.get(key)
        if value is None:
            return default
        if not isinstance(value, list) or not 1 <= len(value) <= max_count:
            self.add_issue(key, f"must be a list of 1 to {max_count} texts")
            return default
        found = []
        for position, item in enumerate(value):
            try:
                found.append(check(item))
            except ValueError as error:
                self.add_issue(f"{key}[{position}]", str(error))
        return tuple(dict.fromkeys(found))

    def read_object(self, key: str, known: Sequence[str]) -> Fields | None:
        """Return the object under the key, checked for unknown keys; None if it is missing."""
        value = self.raw.get(key)
        if value is None:
            return None
        if not isinstance(value, dict):
            self.add_issue(key, f"must be an object with the keys: {', '.join(known)}")
            return None
        found = Fields(value, f"{self.path}.{key}".lstrip("."), self.issues)
        found.check_keys(known)
        return found


def text(max_length: int, pattern: re.Pattern[str] | None = None, rule: str = "", may_be_empty: bool = False) -> Check:
    """Return a check for text of at most `max_length` characters; `rule` describes the pattern, if any."""

    def check(value: Any) -> str:
        if not isinstance(value, str):
            raise ValueError("must be text")
        if not value.strip() and not (may_be_empty and not value):
            raise ValueError("must not be empty")
        if len(value) > max_length:
            raise ValueError(f"must have at most {max_length:,} characters")
        if "\0" in value or _printable(value) != value:
            raise ValueError("must not contain the character NUL or half a surrogate pair")
        if pattern is not None and not pattern.match(value):
            raise ValueError(rule)
        return value

    return check


def whole(low: int, high: int) -> Check:
    """Return a check for a whole number within bounds."""

    def check(value: Any) -> int:
        if type(value) is not int or not low <= value <= high:
            raise ValueError(f"must be a whole number from {low:,} to {high:,}")
        return value

    return check


def number(low: float, high: float, above: bool = False) -> Check:
    """Return a check for a number within bounds; `above` excludes the lower bound."""

    def check(value: Any) -> float:
        if type(value) not in (int, float) or not low <= value <= high or (above and value == low):
            raise ValueError(f"must be a number {'above' if above else 'from'} {low:,} {'up ' * above}to {high:,}")
        found: float = value
        return found

    return check


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError("must be true or false")
    return value


def _printable(value: str) -> str:
    return value.encode("utf-8", "replace").decode()


ID = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*\Z")
MODEL = re.compile(r"test\Z|[a-z][a-z0-9_.-]*:\S+\Z")
# A host name or IP address; a wildcard may replace the first of at least three labels.
HOST = re.compile(r"((\*\.(?=[^.]+\.))?[a-z0-9_]([a-z0-9_.-]{0,250}[a-z0-9])?|[0-9a-f:]{2,39})\Z")
MAX_ID, MAX_NAME, MAX_DESCRIPTION, MAX_INSTRUCTIONS = 64, 200, 1_000, 50_000
MAX_TOOLS, MAX_LISTED, MAX_SCHEMA = 50, 50, 64 * 1024
MAX_STEPS, MAX_TOKENS, MAX_SECONDS, MAX_COST = 100, 10_000_000, 3_600, 1_000
MAX_WAIT = 366 * 86_400  # seconds, the longest approval timeout

LLM, SERVICE = "llm", "service_url"


class ToolKind(NamedTuple):
    """A type of tool: its keys besides type and approval, and the credential types that it accepts.

    `tools` are the names of its tools; None if they depend on the workspace or a server. `needs_one`: a credential is
    required.
    """

    keys: tuple[str, ...] = ()
    tools: tuple[str, ...] | None = None
    credentials: tuple[str, ...] = ()
    needs_one: bool = False


KINDS = {
    "http": ToolKind(
        ("hosts", "methods", "credential"),
        ("http_request",),
        HTTP_CREDENTIALS,
    ),
    "code": ToolKind(tools=("run_code",)),
    "store": ToolKind(("write",), ("store_get", "store_set", "store_list")),
    "tables": ToolKind(("write",), ("list_tables", "table_rows", "table_insert", "table_upsert", "table_update")),
    "memory": ToolKind(tools=("memory_search", "memory_write")),
    "run_flow": ToolKind(("workflows",)),
    "sql": ToolKind(("credential",), ("sql_query", "sql_schema"), ("database_url",), True),
    "mcp": ToolKind(("credential", "tools"), None, ("mcp",), True),
    "runs": ToolKind(tools=("list_runs", "get_run", "get_run_log")),
    "flows": ToolKind(tools=("list_flows", "get_flow", "search_nodes", "describe_node", "validate_flow")),
}


@dataclass(frozen=True, slots=True)
class ToolSpec:
    """The tools of one type in an agent's definition. A type has those of the keys after `approval` that `KINDS` lists.

    `approval` lists the tools that need a person's approval for each call: all, none, or these names. None for `hosts`,
    `workflows` and `tools` means all; `credential` is a name or an id.
    """

    type: str
    approval: bool | tuple[str, ...] = False
    credential: str | None = None
    hosts: tuple[str, ...] | None = None
    methods: tuple[str, ...] = ("GET",)
    write: bool = True
    workflows: tuple[str, ...] | None = None
    tools: tuple[str, ...] | None = None

    @property
    def options(self) -> dict[str, Any]:
        """Return the keys of its type that are set, besides type and approval."""
        given = {key: getattr(self, key) for key in KINDS[self.type].keys}
        return {key: value for key, value in given.items() if value is not None}

    def asks(self, tool: str) -> bool:
        """Return True if each call of the tool needs a person's approval."""
        return self.approval if isinstance(self.approval, bool) else tool in self.approval

    def as_dict(self) -> dict[str, Any]:
        """Return plain JSON with the keys of its type."""
        given = {"type": self.type, "approval": self.approval, **self.options}
        return {key: list(value) if isinstance(value, tuple) else value for key, value in given.items()}


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of an agent's run.

    `steps` are requests to the model, `tokens` the sum of input and output tokens, `seconds` working time, `cost` US
    dollars (None: unlimited).
    """

    steps: int = 12
    tokens: int = 50_000
    seconds: float = 180
    cost: float | None = None


@dataclass(frozen=True, slots=True)
class ApprovalRule:
    """Approval settings: the credential (type service_url) for notifications, and the timeout in seconds.

    None: no notification; the server's maximum timeout.
    """

    notify: str | None = None
    timeout: float | None = None


@dataclass(frozen=True, slots=True)
class AgentDefinition:
    """A validated agent. `model` None: the server's default; `output_schema` None: text; `credential` has type llm.

    With `memory`, its prompt includes relevant memories; searching and writing memory needs the tool of that name.
    """

    id: str
    name: str
    instructions: str
    description: str = ""
    model: str | None = None
    credential: str | None = None
    tools: tuple[ToolSpec, ...] = ()
    memory: bool = False
    output_schema: Mapping[str, Any] | None = None
    limits: Limits = field(default_factory=Limits)
    approval: ApprovalRule | None = None

    def snapshot(self) -> dict[str, Any]:
        """Return the definition as plain JSON with all defaults; `restore` is the inverse."""
        plain = {key.name: getattr(self, key.name) for key in dataclasses.fields(self)}
        return {
            **plain,
            "tools": [spec.as_dict() for spec in self.tools],
            "limits": dataclasses.asdict(self.limits),
            "approval": None if self.approval is None else dataclasses.asdict(self.approval),
        }


KEYS = tuple(key.name for key in dataclasses.fields(AgentDefinition))


def parse(raw: Any) -> AgentDefinition:
    """Return the agent of a definition (a JSON object). Raises: DefinitionError with every issue."""
    made, issues = check(raw)
    if made is None:
        raise DefinitionError(issues)
    return made


def check(raw: Any) -> tuple[AgentDefinition | None, list[Issue]]:
    """Return the agent, or None if the definition is invalid, and all issues."""
    issues = FieldIssues()
    if not isinstance(raw, dict):
        issues.add("definition", 'must be an object with the keys "id", "name" and "instructions"')
        return None, issues
    given = Fields(raw, "", issues)
    given.check_keys(KEYS)
    agent = AgentDefinition(
        id=given.read("id", text(MAX_ID, ID, "must be a-z, 0-9 and single dashes, such as mail-triage")),
        name=given.read("name", text(MAX_NAME)),
        instructions=given.read("instructions", text(MAX_INSTRUCTIONS)),
        description=given.read("description", text(MAX_DESCRIPTION, may_be_empty=True), ""),
        model=given.read("model", text(MAX_NAME, MODEL, "must be provider:name, such as openai:gpt-5"), None),
        credential=given.read("credential", text(MAX_NAME), None),
        tools=_tools(given),
        memory=given.read_flag("memory", False),
        output_schema=given.read("output_schema", _schema, None),
        limits=_limits(given),
        approval=_approval(given),
    )
    return (None if issues else agent), issues


def restore(snapshot: Mapping[str, Any]) -> AgentDefinition:
    """Return the agent of a snapshot without validation: limits may have changed since it was made.

    Keys added to the format later get their defaults.
    """
    approval = snapshot.get("approval")
    made: dict[str, Any] = {
        "tools": tuple(map(_spec, snapshot["tools"])),
        "limits": Limits(**snapshot["limits"]),
        "approval": None if approval is None else ApprovalRule(**approval),
    }
    return AgentDefinition(**{**snapshot, **made})


def _spec(snapshot: Mapping[str, Any]) -> ToolSpec:
    values: dict[str, Any] = {key: tuple(it) if isinstance(it, list) else it for key, it in snapshot.items()}
    return ToolSpec(**values)


def slug(name: str) -> str:
    """Return an id for a name, `Größe & co` as `grosse-co`; empty if the name has no Latin letter or digit."""
    plain = unicodedata.normalize("NFKD", name.replace("ß", "ss")).encode("ascii", "ignore").decode().lower()
    return re.sub("[^a-z0-9]+", "-", plain).strip("-")[:MAX_ID].rstrip("-")


# References to the workspace


class CredentialReference(NamedTuple):
    """A credential referred to at `path`, and the types it may have."""

    path: str
    name: str
    types: tuple[str, ...]


def find_credentials(agent: AgentDefinition) -> Iterator[CredentialReference]:
    """Yield the credentials that the agent refers to."""
    if agent.credential is not None:
        yield CredentialReference("credential", agent.credential, (LLM,))
    for position, spec in enumerate(agent.tools):
        if spec.credential is not None:
            yield CredentialReference(f"tools[{position}].credential", spec.credential, KINDS[spec.type].credentials)
    if agent.approval is not None and agent.approval.notify is not None:
        yield CredentialReference("approval.notify", agent.approval.notify, (SERVICE,))


def needs_credentials(agent: AgentDefinition) -> tuple[str, ...]:
    """Return the types of its tools that require a credential but have none: the caller must supply it."""
    return tuple(spec.type for spec in agent.tools if KINDS[spec.type].needs_one and spec.credential is None)


# Validation: each function returns values and reports issues


def _schema(value: Any) -> Mapping[str, Any]:
    """Validate a JSON Schema of an object, the only kind that every model supports."""
    if not isinstance(value, dict):
        raise ValueError("must be null, or a JSON Schema (an object)")
    try:
        size = len(orjson.dumps(value))
    except TypeError as error:
        raise ValueError(f"is not JSON: {error}") from None
    if size > MAX_SCHEMA:
        raise ValueError(f"must have at most {MAX_SCHEMA:,} bytes")
    json_schema.check(value)
    if value.get("type") != "object":
        raise ValueError('must have "type": "object"; put any other value under a key of it')
    return value


def _limits(given: Fields) -> Limits:
    usual = Limits()
    inner = given.read_object("limits", tuple(key.name for key in dataclasses.fields(Limits)))
    if inner is None:
        return usual
    return Limits(
        inner.read("steps", whole(1, MAX_STEPS), usual.steps),
        inner.read("tokens", whole(1, MAX_TOKENS), usual.tokens),
        inner.read("seconds", number(1, MAX_SECONDS), usual.seconds),
        inner.read("cost", number(0, MAX_COST, above=True), None),
    )


def _approval(given: Fields) -> ApprovalRule | None:
    inner = given.read_object("approval", tuple(key.name for key in dataclasses.fields(ApprovalRule)))
    if inner is None:
        return None
    return ApprovalRule(inner.read("notify", text(MAX_NAME), None), inner.read("timeout", number(1, MAX_WAIT), None))


def _tools(given: Fields) -> tuple[ToolSpec, ...]:
    raw = given.raw.get("tools")
    if raw is None:
        return ()
    if not isinstance(raw, list) or len(raw) > MAX_TOOLS:
        given.add_issue("tools", f"must be a list of at most {MAX_TOOLS} tools")
        return ()
    specs: dict[tuple[str, str | None], ToolSpec] = {}
    for position, item in enumerate(raw):
        path = f"tools[{position}]"
        spec = _tool(item, path, given.issues)
        if spec is None:
            continue
        # Tools of the same type would have equal names; mcp may occur once for each server.
        same = (spec.type, spec.credential if spec.type == "mcp" else None)
        if same in specs:
            every = "each credential" if spec.type == "mcp" else "each agent"
            given.issues.add(path, f"{spec.type} is listed twice; use it once for {every}")
        specs[same] = spec
    return tuple(specs.values())


def _tool(raw: Any, path: str, issues: FieldIssues) -> ToolSpec | None:
    raw = {"type": raw} if isinstance(raw, str) else raw
    if not isinstance(raw, dict):
        issues.add(path, f'must be a type, or an object such as {{"type": "http"}}; known types: {", ".join(KINDS)}')
        return None
    given = Fields(raw, path, issues)
    type_ = raw.get("type")
    if not isinstance(type_, str) or type_ not in KINDS:
        given.add_issue("type", f"must be one of: {', '.join(KINDS)}")
        return None
    keys = KINDS[type_].keys
    given.check_keys(("type", "approval", *keys))
    read = {key: READERS[key](given) for key in keys}
    return ToolSpec(type_, _asking(given, type_), **read)


def _asking(given: Fields, type_: str) -> bool | tuple[str, ...]:
    """Read the tools that need approval. An unknown name is an issue: a misspelled tool would need none."""
    value = given.raw.get("approval")
    if value is None or isinstance(value, bool):
        return bool(value)
    names: tuple[str, ...] = given.read_list("approval", MAX_LISTED, text(MAX_NAME), ())
    known = KINDS[type_].tools
    for name in names if known is not None else ():
        if known is not None and name not in known:
            given.add_issue("approval", f"there is no tool {name[:100]!r}; known tools: {', '.join(known)}")
    return names


def _host(value: Any) -> str:
    lower = value.lower() if isinstance(value, str) else value
    return text(253, HOST, "must be a host, or a wildcard such as *.example.com")(lower)


def _method(value: Any) -> str:
    if not isinstance(value, str) or value.upper() not in HTTP_METHODS:
        raise ValueError(f"must be one or more of: {', '.join(HTTP_METHODS)}")
    return value.upper()


READERS = {
    "credential": lambda given: given.read("credential", text(MAX_NAME), None),
    "hosts": lambda given: given.read_list("hosts", MAX_LISTED, _host, None),
    "methods": lambda given: given.read_list("methods", len(HTTP_METHODS), _method, ("GET",)),
    "write": lambda given: given.read_flag("write", True),
    "workflows": lambda given: given.read_list("workflows", MAX_LISTED, text(MAX_ID), None),
    "tools": lambda given: given.read_list("tools", MAX_LISTED, text(MAX_NAME), None),
}
