"""What a node type is, what it may touch while it runs, and the registry of all of them.

A node type is one class with a literal `type`, a docstring (its description in the catalogue), a `Config` schema (its
validation, form and docs at once) and `run`. Subclassing `Node` registers it. Nothing here knows of a database, of
HTTP or of the status of a run.
"""

from __future__ import annotations

import importlib.util
import inspect
import ssl
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Generic, NamedTuple, Protocol, TypeVar

from marshmallow import Schema, fields

from agent.journal import Entry, Journal, Usage
from errors import NodeError
from net.egress import Rule, tls_context

if TYPE_CHECKING:
    from nodes.credentials.keyring import Credential, Keyring
    from nodes.files.files import Files

T = TypeVar("T")
CATEGORIES = ("trigger", "logic", "data", "integration", "storage", "output", "ai")
# What an editor for code may be told that a setting is written in.
LANGUAGES = ("python", "sql", "json", "markdown", "jinja", "html")


@dataclass(frozen=True, slots=True)
class Branch:
    """A node's result that leaves by the branch `name`: only edges that name it are live."""

    name: str
    value: Any


@dataclass(frozen=True, slots=True)
class Suspend:
    """A node's result that is not there yet: the run holds no thread while it waits.

    It goes on with `Node.resume` at `until` (ms since 1970; None: no time is set) or when it is answered, whichever is
    first. `reason` says what it waits for, in words. `run_id` is the run of another flow that will answer. Where
    somebody was `told` of it, it goes on record at once: after a crash they would be told again. A node that `asks`
    names the `question` that people are to answer.
    """

    until: int | None
    reason: str
    run_id: str | None = None
    told: bool = False
    question: str | None = None


class Answer(NamedTuple):
    """What a node that waited has got. `name` is `time` when its time came, `ended` from the run that it started,
    else one of the node's `answers`; `by` says who gave it, `at` when, in ms. `question` is that of `Suspend`.
    """

    name: str
    value: Any = None
    by: str | None = None
    at: int = 0
    question: str | None = None


class Item(NamedTuple):
    """An entry that a poll found. `key` marks it for ever: what is known by its key starts no run again. `value` is
    the run's input.
    """

    key: str
    value: Any


class Polled(NamedTuple):
    """What a poll found: entries, oldest first, new or not, and the `state` (JSON) that the next poll is given.

    The state moves on only when each entry that is new has its run; until then the next poll is given the old one, and
    is to find the others again. `whole` says that the source shows these entries and no others; `more` that it has
    more, to be asked for at once. A first look lasts until there is no more.
    """

    items: Sequence[Item]
    state: Any = None
    whole: bool = False
    more: bool = False


class Flows(Protocol):
    """What starts other flows; the run that it starts is on the disk together with the step that started it."""

    def start(self, node_id: str, workflow_id: str, input: Any, wait: bool) -> str:
        """The id of the new run; NodeError where there can be none."""


class Store(Protocol):
    """The workspace's key-value store; every call is atomic across processes. `ttl` is in seconds."""

    def get(self, key: str) -> Any: ...

    def set(self, key: str, value: Any, ttl: float | None = None) -> None: ...

    def delete(self, key: str) -> bool: ...

    def increment(self, key: str, by: float = 1, ttl: float | None = None) -> float: ...

    def list(self, prefix: str = "", limit: int = 100) -> list[dict[str, Any]]: ...


class Memory(Protocol):
    """What the agents of the workspace remember; every call is atomic across processes, and no secret is kept.

    An entry is `{"id", "agent_id", "session", "key", "content", "tags", "expires_at", "created_at", "updated_at"}`, the
    times as ISO 8601 text. The session "" is shared by all sessions of the agent. NodeError where a value is too large.
    """

    def read(self, agent_id: str, key: str, session: str = "") -> dict[str, Any] | None: ...

    def write(
        self,
        agent_id: str,
        key: str,
        content: str,
        session: str = "",
        tags: Sequence[str] = (),
        expires_in: float | None = None,
    ) -> dict[str, Any]:
        """Keep it under the key, replacing what was there; the entry. `expires_in` is in seconds, None: for ever."""

    def delete(self, agent_id: str, key: str, session: str = "") -> bool: ...

    def search(self, agent_id: str, query: str, session: str | None = None, limit: int = 10) -> list[dict[str, Any]]:
        """The entries that fit the query best, of all sessions, or of one and those that all share."""

    def recall(self, agent_id: str, session: str, task: str, token_budget: int) -> list[dict[str, Any]]:
        """What to remind an agent of that gets this task: `{"key", "content", "tags", "updated_at"}` each."""


class AgentRecord(Journal, Protocol):
    """What is on record of the agent in this node, and where it is kept. `start` is what it began with, if it has."""

    @property
    def id(self) -> str: ...

    @property
    def start(self) -> Any: ...

    def begin(self, agent_id: str, task: str, input: Any, session: str, model: str) -> None:
        """Say that it begins, or goes on."""

    def keep_start(self, start: Any) -> None:
        """Keep what it begins with, JSON, before it does anything."""

    def usage(self) -> Usage:
        """What it has used until now."""

    def calls(self) -> Sequence[Entry]:
        """The calls of tools until now."""

    def end(self, status: str, output: Any = None, error_text: str | None = None) -> None:
        """Note how it ended, or that it is `waiting`, together with the step that is recorded next."""


class Agents(Protocol):
    """What agents, and nodes that serve them, have of their workspace and of the server's settings."""

    @property
    def memory(self) -> Memory: ...

    @property
    def models(self) -> Any:
        """The settings of language models (`agent.model_choice.Models`)."""

    @property
    def inspection(self) -> Any:
        """What there is to be looked at: flows, runs, types of nodes."""

    def definition(self, agent_id: str) -> Any:
        """The workspace's agent of this id, or one that everybody has (`agent.definition.Agent`), or None."""

    def record(self, node_id: str, index: int | None) -> AgentRecord:
        """What is on record of the agent in this node, of this item."""

    def conversation(self, agent_id: str, session: str, most: int) -> Sequence[tuple[str, str]]:
        """The last tasks of the session, each with the answer, the oldest first."""

    def callable_flows(self) -> Sequence[Any]:
        """The active flows of the workspace that other flows can call."""


class Once(Generic[T]):
    """Something costly, made at its first use and kept; call it to have it."""

    def __init__(self, make: Callable[[], T]) -> None:
        self._make = make
        self._made: T | None = None
        self._lock = threading.Lock()

    def __call__(self) -> T:
        with self._lock:
            if self._made is None:
                self._made = self._make()
            return self._made

    def close(self) -> None:
        """Close what was made, if it was."""
        with self._lock:
            if self._made is not None:
                self._made.close()  # type: ignore[attr-defined]
                self._made = None


@dataclass(frozen=True, slots=True)
class Services:
    """What a process lends to its nodes, shared by all runs: the HTTP client with the egress rules, the sandbox.

    `egress` is the rule itself, for what speaks another protocol, and `ca_file` has more authorities to believe.
    """

    http: Once[Any]
    sandbox: Once[Any]
    egress: Rule
    ca_file: Path | None = None

    def tls(self, use: str) -> ssl.SSLContext:
        """How to know servers by their certificates; what has the same `use`, such as smtp, shares one."""
        return tls_context(self.ca_file, use)

    def close(self) -> None:
        """Close them."""
        self.http.close()
        self.sandbox.close()


def discard(node_id: str, level: str, message: str, data: Any) -> None:
    """A log for runs that nobody records, such as benchmarks of the engine alone."""


@dataclass(slots=True)
class Context:
    """What one execution of a node may touch.

    `inputs` maps each live predecessor to its output; `scope` is what expressions see (`steps`, `trigger`, `vars`…).
    `deadline` is on the clock of `time.monotonic`, in seconds. `idempotency_key` is `run_id:node_id:index`, the same at
    every attempt and after a crash. `log(level, message, data)` writes to the run's log. `files` are the workspace's.
    `pause(seconds)` is how a node sleeps, until the deadline at most; it raises NodeError, and soon, when the run is to
    end, for which `stopped()` gives the reason. `retries` is how often it would be tried again if it failed now.
    `index` is the number of the item. A node that `asks` gets here the `answer` with which it goes on, and from
    `links(question)` the addresses at which a question can be answered.
    """

    node_id: str
    inputs: Mapping[str, Any]
    scope: Mapping[str, Any]
    idempotency_key: str
    deadline: float | None = None
    write_log: Callable[[str, str, str, Any], None] = discard
    store: Store | None = None
    services: Services | None = None
    flows: Flows | None = None
    keyring: Keyring | None = None
    files: Files | None = None
    pause: Callable[[float], None] = time.sleep
    retries: int = 0
    agents: Agents | None = None
    stopped: Callable[[], str | None] = lambda: None
    index: int | None = None
    answer: Answer | None = None
    links: Callable[[str], dict[str, str]] | None = None

    def log(self, level: str, message: str, data: Any = None) -> None:
        """Write to the run's log, without any secret; `level` is debug, info, warning or error."""
        if self.keyring is not None:
            message, data = self.keyring.clean_text(message), self.keyring.clean_data(data)
        self.write_log(self.node_id, level, message, data)

    def clean(self, text: str) -> str:
        """The text without any secret: to be called before a message is cut, for half a secret is hard to tell."""
        return text if self.keyring is None else self.keyring.clean_text(text)

    def credential(self, name: str, *types: str) -> Credential:
        """The workspace's credential of this name or id, of one of these types; NodeError where there is none.

        Its values are struck out of whatever this run records from now on.
        """
        if self.keyring is None:
            raise NodeError("there are no credentials here", permanent=True)
        return self.keyring.use(name, *types)

    def need_files(self) -> Files:
        """The workspace's files; NodeError where there are none."""
        if self.files is None:
            raise NodeError("there are no files here", permanent=True)
        return self.files

    def need_services(self) -> Services:
        """What the process lends; NodeError where it lends nothing."""
        if self.services is None:
            raise NodeError("there is no network here", permanent=True)
        return self.services

    def need_agents(self) -> Agents:
        """What agents have of the workspace; NodeError where there is none."""
        if self.agents is None:
            raise NodeError("there are no agents here", permanent=True)
        return self.agents

    def seconds_left(self, at_most: float) -> float:
        """Seconds until the deadline, `at_most` where there is none or it is later.

        Raises NodeError when it has passed.
        """
        if self.deadline is None:
            return at_most
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise NodeError("timed out before it could start")
        return min(left, at_most)


class Node:
    """Base of every node type. Stateless: one instance serves all runs, in all threads.

    - `branches(config)` names the ways out; empty means one unnamed way.
    - `pure` says that it has no effect outside the run, so that doing it again is harmless.
    - `quick` says that it takes no noticeable time: it is pure, computes little and waits for nothing.
    - `slow` says that it may well take minutes, most of which it waits for others: some threads are kept free of it.
    - `responds` says that its output, `{"status": int, "headers": {}, "body": any}`, answers the webhook that fired.
    - `trigger` marks the nodes that start a run and take no incoming edge.
    - `polls` marks the triggers that look for new entries themselves, by `poll`: every `every` seconds of their config,
      a quarter of an hour without it. `source` names the config keys that say where they look; without it, all but
      `every` and `backlog`. What was there at the first poll of a source starts nothing, unless `backlog` is true.
    - `suspends` marks the nodes whose `run` may return `Suspend`; `resume` then gives the result. Such a node is pure:
      what it starts (`ctx.flows`) is recorded together with its step.
    - `answers` names what may be answered to one that waits, by people or by a signed link; empty: nothing.
    - `asks` marks the nodes that may wait several times, with a question each. Their `run` is called again with each
      answer, and keeps by itself what it has done; so such a node need not be pure, and may be mapped over a list, in
      which it cannot wait. It can be answered when it has asked, not before.
    - `also` is what people call it who know it from elsewhere: a search finds it by these words too.
    - `icon` is the name of an icon of Tabler's set, as in `world-www`; without it, that of the category is shown.
    - `examples` show it at work: `{"config", "input", "output"}` each. A test runs those of pure nodes.
    - `extra` is the file of `extras/` that brings the modules which it `requires`.
    - `own` marks those of HEADRACE_NODES_DIR; own.py sets it. The engine calls them as apart.py says.
    """

    type: ClassVar[str]
    category: ClassVar[str]
    title: ClassVar[str] = ""
    also: ClassVar[tuple[str, ...]] = ()
    icon: ClassVar[str] = ""
    pure: ClassVar[bool] = True
    quick: ClassVar[bool] = False
    slow: ClassVar[bool] = False
    trigger: ClassVar[bool] = False
    polls: ClassVar[bool] = False
    source: ClassVar[tuple[str, ...]] = ()
    responds: ClassVar[bool] = False
    suspends: ClassVar[bool] = False
    answers: ClassVar[tuple[str, ...]] = ()
    asks: ClassVar[bool] = False
    examples: ClassVar[tuple[dict[str, Any], ...]] = ()
    extra: ClassVar[str] = ""
    requires: ClassVar[tuple[str, ...]] = ()
    own: ClassVar[bool] = False

    class Config(Schema):
        """No settings."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "type" in cls.__dict__:
            register(cls)

    @classmethod
    def branches(cls, config: Mapping[str, Any]) -> tuple[str, ...]:
        """The names of the ways out under this (raw, perhaps incomplete) config."""
        return ()

    @property
    def has_address(self) -> bool:
        """Whether the place to answer it is known from the start of a run."""
        return bool(self.answers) and not self.asks

    @classmethod
    def looks_at_steps(cls, config: Mapping[str, Any]) -> bool:
        """Whether it may look at outputs of any node before it, under this (raw, perhaps incomplete) config."""
        return False

    def run(self, config: dict[str, Any], input: Any, ctx: Context) -> Any:
        """Do the work: return JSON, a `Branch` of it or `Suspend`, or raise NodeError."""
        raise NodeError(f"{self.type} cannot run", permanent=True)

    def poll(self, config: dict[str, Any], state: Any, ctx: Context) -> Polled:
        """Look for new entries; NodeError where that fails. `state` is None at the first poll of a source.

        A state that is given here is on the disk, together with the runs of the entries that it came with. The
        expressions of the config see `vars`, `secrets`, `workflow` and `now`. Nothing that this does may depend on its
        being done once: it may be cut off anywhere, and be repeated with the same state.
        """
        raise NodeError(f"{self.type} does not poll", permanent=True)

    def resume(self, config: dict[str, Any], input: Any, answer: Answer) -> Any:
        """The result after `Suspend`, made of what came: JSON, a `Branch` of it, or NodeError."""
        raise NodeError(f"{self.type} does not wait", permanent=True)


REGISTRY: dict[str, Node] = {}


def install_line(cls: type[Node]) -> str | None:
    """The command that brings what the node type lacks here; None where it lacks nothing."""
    if all(importlib.util.find_spec(module) is not None for module in cls.requires):
        return None
    return f"pip install -r extras/{cls.extra}.txt"


def check_installed(cls: type[Node]) -> None:
    """NodeError that says how to install what the node type lacks here."""
    line = install_line(cls)
    if line is not None:
        raise NodeError(f"{cls.type} needs a package that is not installed: {line}", permanent=True)


def register(cls: type[Node]) -> None:
    """Put a node type into the catalogue; a type name that is taken or a class that is incomplete is a TypeError."""
    if cls.type in REGISTRY:
        raise TypeError(f"{cls.__qualname__}: the node type {cls.type!r} exists already")
    if getattr(cls, "category", None) not in CATEGORIES:
        raise TypeError(f"{cls.__qualname__}: category must be one of {', '.join(CATEGORIES)}")
    if cls.polls and not cls.trigger:
        raise TypeError(f"{cls.__qualname__}: only a trigger polls")
    if inspect.getdoc(cls) in (None, "", inspect.getdoc(Node)):
        raise TypeError(f"{cls.__qualname__}: a node's docstring is its description; write one")
    REGISTRY[cls.type] = cls()


def setting(
    kind: type[fields.Field[Any]] | fields.Field[Any],
    help: str,
    *,
    title: str = "",
    labels: Mapping[Any, str] | None = None,
    literal: bool = False,
    lines: str | None = None,
    names: str = "",
    braces: str = "",
    instead: str = "",
    **options: Any,
) -> Any:
    """Return a config field with its help. `literal` values are taken as written, so `{{ … }}` in them is refused.

    `title` is the label of the field in forms, `labels` has a label for each value of a choice. Without them, forms
    show the key and the value.

    `instead` says what to do there for whoever wants an expression. `braces` says why such a text is not refused: what
    is written there has braces of its own.

    `kind` is a marshmallow field class, or a made field (for `fields.List(fields.String())`) whose metadata is then
    set. `lines` is for forms: what is written there may have several lines, in one of LANGUAGES, or "" for any text;
    `names` says that it is the id of a `workflow` or an `agent`.
    """
    metadata: dict[str, Any] = {"description": help} | ({"x-literal": True} if literal else {})
    metadata |= {"title": title} if title else {}
    metadata |= {"x-enum-labels": {str(value): label for value, label in labels.items()}} if labels else {}
    metadata |= {key: value for key, value in (("braces", braces), ("instead", instead)) if value}
    if lines is not None:
        metadata |= {"x-multiline": True} | ({"x-language": lines} if lines else {})
    if names:
        metadata["x-names"] = names
    if isinstance(kind, fields.Field):
        kind.metadata = {**kind.metadata, **metadata}
        return kind
    return kind(metadata=metadata, **options)


def is_literal(field_: fields.Field[Any]) -> bool:
    """Whether the config field takes its value as written."""
    return bool(field_.metadata.get("x-literal"))
