"""What an agent is: its definition as JSON, everything that is wrong with one, and the value that runs go by.

Pure: JSON goes in, an `Agent` or a list of issues comes out. Whether the credentials and flows that it names are there
is for others to say, and so is which tools come of a `ToolSpec`.
"""

from __future__ import annotations

import dataclasses
import re
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import orjson

import json_schema
from agent.field_checks import Fields, Issues, number, text, whole
from errors import DefinitionError, Issue

ID = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*\Z")
MODEL = re.compile(r"test\Z|[a-z][a-z0-9_.-]*:\S+\Z")
# A host or an address; a wildcard stands for the first part of at least three.
HOST = re.compile(r"((\*\.(?=[^.]+\.))?[a-z0-9_]([a-z0-9_.-]{0,250}[a-z0-9])?|[0-9a-f:]{2,39})\Z")
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS")
MAX_ID, MAX_NAME, MAX_DESCRIPTION, MAX_INSTRUCTIONS = 64, 200, 1_000, 50_000
MAX_TOOLS, MAX_LISTED, MAX_SCHEMA = 50, 50, 64 * 1024
MAX_STEPS, MAX_TOKENS, MAX_SECONDS, MAX_COST = 100, 10_000_000, 3_600, 1_000
MAX_WAIT = 366 * 86_400  # seconds, as long as an approval may take

LLM, SERVICE = "llm", "service_url"


class Kind(NamedTuple):
    """A type of tool: its keys beside type and approval, and the types of credential that it takes.

    `tools` are the names of what it brings; None where they hang on what there is in the workspace or on a server.
    """

    keys: tuple[str, ...] = ()
    tools: tuple[str, ...] | None = None
    credentials: tuple[str, ...] = ()
    needs_one: bool = False


KINDS = {
    "http": Kind(
        ("hosts", "methods", "credential"),
        ("http_request",),
        ("http_basic", "http_bearer", "http_header", "oauth2_client_credentials"),
    ),
    "code": Kind(tools=("run_code",)),
    "store": Kind(("write",), ("store_get", "store_set", "store_list")),
    "memory": Kind(tools=("memory_search", "memory_write")),
    "run_flow": Kind(("workflows",)),
    "sql": Kind(("credential",), ("sql_query", "sql_schema"), ("database_url",), True),
    "mcp": Kind(("credential", "tools"), None, ("mcp",), True),
    "runs": Kind(tools=("list_runs", "get_run", "get_run_log")),
    "flows": Kind(tools=("list_flows", "get_flow", "search_nodes", "describe_node", "validate_flow")),
}


@dataclass(frozen=True, slots=True)
class ToolSpec:
    """Tools of one type that an agent is given. Of the keys that follow `approval`, a type has those of its `Kind`.

    `approval` says which of the tools a person must agree to, each time: all, none, or those of these names. None for
    `hosts`, `workflows` and `tools` is all that there are; `credential` is a name or an id.
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
        """The keys that its type has beside type and approval, as far as they say something."""
        given = {key: getattr(self, key) for key in KINDS[self.type].keys}
        return {key: value for key, value in given.items() if value is not None}

    def asks(self, tool: str) -> bool:
        """Whether a person must agree to each call of the tool of this name."""
        return self.approval if isinstance(self.approval, bool) else tool in self.approval

    def as_dict(self) -> dict[str, Any]:
        """As plain JSON, with the keys of its type."""
        given = {"type": self.type, "approval": self.approval, **self.options}
        return {key: list(value) if isinstance(value, tuple) else value for key, value in given.items()}


@dataclass(frozen=True, slots=True)
class Limits:
    """Where a run of an agent ends at the latest.

    `steps` are requests to the model, `tokens` those in and out of all of them, `cost` is in US dollars, None for any.
    """

    steps: int = 12
    tokens: int = 50_000
    seconds: float = 180
    cost: float | None = None


@dataclass(frozen=True, slots=True)
class ApprovalRule:
    """Whom to tell that a call waits for approval (a credential of type service_url), and for how many seconds it may.

    None: nobody, and as long as the server lets it.
    """

    notify: str | None = None
    timeout: float | None = None


@dataclass(frozen=True, slots=True)
class Agent:
    """An agent, checked. None for `model` is the server's, for `output_schema` text; `credential` is of type llm.

    With `memory` it is told what it remembers; to look for more and to write, it needs the tool of that name.
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
        """The definition as plain JSON, every default written out; `restored` makes the agent of it again."""
        plain = {key.name: getattr(self, key.name) for key in dataclasses.fields(self)}
        return {
            **plain,
            "tools": [spec.as_dict() for spec in self.tools],
            "limits": dataclasses.asdict(self.limits),
            "approval": None if self.approval is None else dataclasses.asdict(self.approval),
        }


KEYS = tuple(key.name for key in dataclasses.fields(Agent))


def parse(raw: Any) -> Agent:
    """The agent of a definition (a JSON object). Raises DefinitionError with every issue found."""
    made, issues = check(raw)
    if made is None:
        raise DefinitionError(issues)
    return made


def check(raw: Any) -> tuple[Agent | None, list[Issue]]:
    """The agent, or None, and all issues."""
    issues = Issues()
    if not isinstance(raw, dict):
        issues.add("definition", "must be an object with id, name and instructions")
        return None, issues
    values = _agent(Fields(raw, "", issues))
    return (None if issues else Agent(**values)), issues


def restored(snapshot: Mapping[str, Any]) -> Agent:
    """The agent of a snapshot, which was checked when it was made: by the bounds of then, so not by those of today.

    What it does not say, as it knew nothing of it, is as usual.
    """
    approval = snapshot.get("approval")
    made: dict[str, Any] = {
        "tools": tuple(map(_spec, snapshot["tools"])),
        "limits": Limits(**snapshot["limits"]),
        "approval": None if approval is None else ApprovalRule(**approval),
    }
    return Agent(**{**snapshot, **made})


def _spec(snapshot: Mapping[str, Any]) -> ToolSpec:
    values: dict[str, Any] = {key: tuple(it) if isinstance(it, list) else it for key, it in snapshot.items()}
    return ToolSpec(**values)


def slug(name: str) -> str:
    """An id made of a name, `Größe & co` as `grosse-co`; empty where the name has no Latin letter and no digit."""
    plain = unicodedata.normalize("NFKD", name.replace("ß", "ss")).encode("ascii", "ignore").decode().lower()
    return re.sub("[^a-z0-9]+", "-", plain).strip("-")[:MAX_ID].rstrip("-")


# What it needs from the workspace


class Named(NamedTuple):
    """A credential that the definition names at `path`, and the types of which it may be."""

    path: str
    name: str
    types: tuple[str, ...]


def credentials_of(agent: Agent) -> Iterator[Named]:
    """The credentials that it names."""
    if agent.credential is not None:
        yield Named("credential", agent.credential, (LLM,))
    for position, spec in enumerate(agent.tools):
        if spec.credential is not None:
            yield Named(f"tools[{position}].credential", spec.credential, KINDS[spec.type].credentials)
    if agent.approval is not None and agent.approval.notify is not None:
        yield Named("approval.notify", agent.approval.notify, (SERVICE,))


def needs_credentials(agent: Agent) -> tuple[str, ...]:
    """The types of its tools that need a credential and name none: whoever runs it has to."""
    return tuple(spec.type for spec in agent.tools if KINDS[spec.type].needs_one and spec.credential is None)


# Reading a definition: each of these gives the values, and notes what is wrong with them


def _agent(given: Fields) -> dict[str, Any]:
    given.only(KEYS)
    return {
        "id": given.read("id", text(MAX_ID, ID, "must be a-z, 0-9 and single dashes, such as mail-triage")),
        "name": given.read("name", text(MAX_NAME)),
        "instructions": given.read("instructions", text(MAX_INSTRUCTIONS)),
        "description": given.read("description", text(MAX_DESCRIPTION, may_be_empty=True), ""),
        "model": given.read("model", text(MAX_NAME, MODEL, "must be provider:name, such as openai:gpt-5"), None),
        "credential": given.read("credential", text(MAX_NAME), None),
        "tools": _tools(given),
        "memory": given.flag("memory", False),
        "output_schema": given.read("output_schema", _schema, None),
        "limits": _limits(given),
        "approval": _approval(given),
    }


def _schema(value: Any) -> Mapping[str, Any]:
    """A JSON Schema of an object: that alone can every model be held to."""
    if not isinstance(value, dict):
        raise ValueError("must be null or a JSON Schema, which is an object")
    try:
        size = len(orjson.dumps(value))
    except TypeError as error:
        raise ValueError(f"is not JSON: {error}") from None
    if size > MAX_SCHEMA:
        raise ValueError(f"must have at most {MAX_SCHEMA:,} bytes")
    json_schema.check(value)
    if value.get("type") != "object":
        raise ValueError('must have "type": "object"; put anything else under a key of it')
    return value


def _limits(given: Fields) -> Limits:
    usual = Limits()
    inner = given.inner("limits", tuple(key.name for key in dataclasses.fields(Limits)))
    if inner is None:
        return usual
    return Limits(
        inner.read("steps", whole(1, MAX_STEPS), usual.steps),
        inner.read("tokens", whole(1, MAX_TOKENS), usual.tokens),
        inner.read("seconds", number(1, MAX_SECONDS), usual.seconds),
        inner.read("cost", number(0, MAX_COST, above=True), None),
    )


def _approval(given: Fields) -> ApprovalRule | None:
    inner = given.inner("approval", tuple(key.name for key in dataclasses.fields(ApprovalRule)))
    if inner is None:
        return None
    return ApprovalRule(inner.read("notify", text(MAX_NAME), None), inner.read("timeout", number(1, MAX_WAIT), None))


def _tools(given: Fields) -> tuple[ToolSpec, ...]:
    raw = given.raw.get("tools")
    if raw is None:
        return ()
    if not isinstance(raw, list) or len(raw) > MAX_TOOLS:
        given.bad("tools", f"must be a list of at most {MAX_TOOLS} tools")
        return ()
    found = [_tool(item, f"tools[{position}]", given.issues) for position, item in enumerate(raw)]
    _check_once(found, given.issues)
    return tuple(spec for spec in found if spec is not None)


def _tool(raw: Any, path: str, issues: Issues) -> ToolSpec | None:
    raw = {"type": raw} if isinstance(raw, str) else raw
    if not isinstance(raw, dict):
        issues.add(path, f'must be a type, or an object such as {{"type": "http"}}; the types are {", ".join(KINDS)}')
        return None
    given = Fields(raw, path, issues)
    type_ = raw.get("type")
    if not isinstance(type_, str) or type_ not in KINDS:
        given.bad("type", f"must be one of {', '.join(KINDS)}")
        return None
    keys = KINDS[type_].keys
    given.only(("type", "approval", *keys))
    read = {key: READERS[key](given) for key in keys}
    return ToolSpec(type_, _asking(given, type_), **read)


def _asking(given: Fields, type_: str) -> bool | tuple[str, ...]:
    """Which tools need approval. A name that there is not would be one that needs none, so it is refused."""
    value = given.raw.get("approval")
    if value is None or isinstance(value, bool):
        return bool(value)
    names: tuple[str, ...] = given.texts("approval", MAX_LISTED, text(MAX_NAME), ())
    known = KINDS[type_].tools
    for name in names if known is not None else ():
        if known is not None and name not in known:
            given.bad("approval", f"there is no tool {name[:100]!r} here; there are {', '.join(known)}")
    return names


def _check_once(specs: list[ToolSpec | None], issues: Issues) -> None:
    """A type may stand there once, else its tools would have the same names; mcp once for each server."""
    seen = set()
    for position, spec in enumerate(specs):
        if spec is None:
            continue
        same = (spec.type, spec.credential if spec.type == "mcp" else None)
        if same in seen:
            every = "each credential" if spec.type == "mcp" else "each agent"
            issues.add(f"tools[{position}]", f"{spec.type} stands here twice; it can once for {every}")
        seen.add(same)


def _host(value: Any) -> str:
    return text(253, HOST, "must be a host, or *.example.com for all below it")(
        value.lower() if isinstance(value, str) else value
    )


def _method(value: Any) -> str:
    if not isinstance(value, str) or value.upper() not in METHODS:
        raise ValueError(f"must be some of {', '.join(METHODS)}")
    return value.upper()


READERS = {
    "credential": lambda given: given.read("credential", text(MAX_NAME), None),
    "hosts": lambda given: given.texts("hosts", MAX_LISTED, _host, None),
    "methods": lambda given: given.texts("methods", len(METHODS), _method, ("GET",)),
    "write": lambda given: given.flag("write", True),
    "workflows": lambda given: given.texts("workflows", MAX_LISTED, text(MAX_ID), None),
    "tools": lambda given: given.texts("tools", MAX_LISTED, text(MAX_NAME), None),
}
