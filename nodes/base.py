"""Base of node types: the class `Node`, the context of its execution, and the registry of all types.

A node type is one class with a literal `type`, a docstring (its description), a `Config` schema (its validation, form
and docs at once) and `run`. Subclassing `Node` registers it. Independent of the database, HTTP and the run's status.
"""

from __future__ import annotations

import functools
import importlib.util
import inspect
import ssl
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Generic, Literal, NamedTuple, Protocol, TypeAlias, TypeVar

from marshmallow import Schema

from errors import NodeError, TimedOut
from net.egress import Rule, tls_context
from nodes.credentials.keyring import DecryptedCredential, Keyring
from nodes.fields import setting as setting  # plugins may import it from here
from nodes.files.files import WorkspaceFiles
from registry import registry

T = TypeVar("T")
# Label and icon of each category, in the order of the catalog.
CATEGORIES = {
    "trigger": ("Triggers", "bolt"),
    "logic": ("Logic", "git-branch"),
    "data": ("Data", "table"),
    "integration": ("Integration", "plug"),
    "storage": ("Storage", "database"),
    "output": ("Output", "send"),
    "ai": ("AI", "robot"),
}


@dataclass(frozen=True, slots=True)
class Branch:
    """A node's result on the branch `name`: only edges from this branch are live."""

    name: str
    value: Any


# The kinds of waits besides that of a node for its answer:
# - `pause`: the engine's, before it begins an attempt;
# - `loop`: the open items of a loop;
# - `item`: one of them. If it ends well, that settles its step; if it fails, the loop goes on at once;
# - `item_on`: one of them, for a loop that continues after errors: each end settles its step;
# - `item_each`: one of them, after whose answer the loop goes on at once;
# - `item_pause`: the same, before the engine begins an attempt.
WaitKind = Literal["pause", "loop", "item", "item_on", "item_each", "item_pause"]


@dataclass(frozen=True, slots=True)
class Suspend:
    """A node's result that is not available yet: the run waits without holding a thread.

    It continues with `Node.resume` at `until` (ms since 1970; None: no timeout) or when it is answered, whichever comes
    first. `reason` describes the wait. `run_id` is the run of another flow that will answer. If people were `told`, the
    wait is committed at once, so that a crash does not notify them again. A node that `asks` gives the `question`.

    The engine sets the rest: the `kind`, and for a loop, how many runs of other flows may be open at once (`places`),
    and the milliseconds between their starts (`delay_ms`).
    """

    until: int | None
    reason: str
    run_id: str | None = None
    told: bool = False
    question: str | None = None
    kind: WaitKind | None = None
    places: int = 0
    delay_ms: int = 0


class Answer(NamedTuple):
    """The result of a wait. `name` is `time` after the timeout, `ended` from the started run, else one of the node's
    `answers`; `by` is the person who answered, `at` the time in ms. `question` is that of `Suspend`.
    """

    name: str
    value: Any = None
    by: str | None = None
    at: int = 0
    question: str | None = None


class Item(NamedTuple):
    """An entry found by a poll. `key` identifies it for ever: a known key never starts another run. `value` is the
    run's input.
    """

    key: str
    value: Any


class Polled(NamedTuple):
    """The result of a poll: entries, oldest first, new or not, and the `state` (JSON) for the next poll.

    The state is saved only after each new entry has its run; until then the next poll gets the old one, and must find
    the others again. `whole`: the source has only these entries. `more`: it has more, to be polled at once; then the
    first poll of a source continues.
    """

    items: Sequence[Item]
    state: Any = None
    whole: bool = False
    more: bool = False


class Inbox(Protocol):
    """Receives messages from a listening trigger. If the trigger was changed, or belongs to another process meanwhile,
    each method raises an error that ends the listening: it must not be caught.
    """

    def is_open(self) -> bool:
        """Return False once the trigger must stop listening. Ask at least every half second."""

    def connected(self) -> None:
        """Report that the source was reached, which ends a failure."""

    def deliver(self, items: Sequence[Item]) -> int:
        """Start a run for each item, in order, as far as there is room for runs; return their number.

        Their runs are on the disk then, so they can be acknowledged. Offer the others again later. An item whose key is
        known starts no run; one with an empty key always does.
        """

    def catch_up(self, items: Sequence[Item], backlog: bool) -> None:
        """Start a run for each item whose key is unknown; of the first ones of a source only with `backlog`."""

    def save(self, state: Any) -> None:
        """Save the state (JSON) for the next time."""


class Flows(Protocol):
    """Starts other flows; the new run is committed together with the step that started it."""

    def start(self, place: str, workflow_id: str, input: Any, wait: bool) -> str:
        """Return the id of the new run. `place` is `Context.place`. Raises: NodeError if it cannot start."""

    def stop(self, node_id: str) -> None:
        """Have the next step of the node drop the runs of its loop that have not started."""


# Conditions on rows of a table: column, operator and value each; and True if any of them is enough.
Where: TypeAlias = tuple[Sequence[tuple[str, str, Any]], bool]


class Tables(Protocol):
    """The workspace's tables; every call is atomic across processes.

    Rows are objects: values by the names of columns, and `id`, `created_at`, `updated_at` of the server. A write with
    an idempotency `key` is done once; repeated, it returns the result of the first one. `make` creates a missing table
    and missing columns. Raises: HeadraceError for an unknown table or column, a wrong value or an exceeded limit.
    """

    def describe(self) -> list[dict[str, Any]]:
        """Return the tables: `{"name", "columns": [{"name", "type"}], "rows"}`."""

    def select(self, name: str, where: Where, sort: str, limit: int) -> list[dict[str, Any]]:
        """Return rows by the column `sort`, after a minus in descending order; default: oldest first."""

    def count(self, name: str, where: Where) -> int: ...

    def insert(
        self, name: str, rows: Sequence[Mapping[str, Any]], key: str | None, make: bool = False
    ) -> list[dict[str, Any]]: ...

    def upsert(
        self, name: str, rows: Sequence[Mapping[str, Any]], by: str, key: str | None, make: bool = False
    ) -> list[dict[str, Any]]:
        """Update the rows with the same value in the column `by`, or insert new ones; return them."""

    def update(self, name: str, where: Where, values: Mapping[str, Any], key: str | None) -> int: ...

    def delete(self, name: str, where: Where, key: str | None) -> int: ...

    def increment(self, name: str, where: Where, column: str, by: float, key: str | None) -> dict[str, Any]:
        """Add to a number: `{"updated", "value"}`, the new value of the first row that matches, or None."""


class Store(Protocol):
    """The workspace's key-value store; every call is atomic across processes. `ttl` is in seconds."""

    @property
    def tables(self) -> Tables: ...

    def get(self, key: str) -> Any: ...

    def set(self, key: str, value: Any, ttl: float | None = None) -> None: ...

    def delete(self, key: str) -> bool: ...

    def increment(self, key: str, by: float = 1, ttl: float | None = None) -> float: ...

    def list(self, prefix: str = "", limit: int = 100) -> list[dict[str, Any]]: ...


class Once(Generic[T]):
    """A lazily created, cached object; call it to get it."""

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
        """Close the object, if it was created."""
        with self._lock:
            if self._made is not None:
                self._made.close()  # type: ignore[attr-defined]
                self._made = None


@dataclass(frozen=True, slots=True)
class Services:
    """Shared services of a process for its nodes: the HTTP client with the egress rules, the sandbox.

    `egress` is the rule itself, for other protocols; `ca_file` has additional trusted CAs.
    """

    http: Once[Any]
    sandbox: Once[Any]
    egress: Rule
    ca_file: Path | None = None

    def tls(self, use: str) -> ssl.SSLContext:
        """Return a TLS context; everything with the same `use`, such as smtp, shares one."""
        return tls_context(self.ca_file, use)

    def close(self) -> None:
        """Close all services."""
        self.http.close()
        self.sandbox.close()


def discard(node_id: str, level: str, message: str, data: Any) -> None:
    """Discard a log entry, for runs that are not recorded, such as benchmarks of the engine."""


@dataclass(slots=True)
class Context:
    """Everything that one execution of a node may use.

    `inputs` maps each live predecessor to its output; `scope` is that of expressions (`steps`, `trigger`, `vars`…).
    `deadline` is in seconds on `time.monotonic`. `idempotency_key` is `run_id:node_id:index`, the same at each attempt
    and after a crash. `log(level, message, data)` writes to the run's log. `files` are the workspace's.
    `pause(seconds)` sleeps, at most until the deadline; it raises NodeError soon after the run is to stop, for which
    `stopped()` returns the reason. `retries` is the number of attempts left. `index` is the number of the item. A node
    that `asks` resumes with `answer`; `links(question)` returns the URLs that answer a question. `clock` is the time of
    day, in nanoseconds since 1970. Outside of a workspace, `workspace_id` is None.
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
    files: WorkspaceFiles | None = None
    pause: Callable[[float], None] = time.sleep
    retries: int = 0
    agents: Any = None
    stopped: Callable[[], str | None] = lambda: None
    index: int | None = None
    answer: Answer | None = None
    links: Callable[[str], dict[str, str]] | None = None
    clock: Callable[[], int] = time.time_ns
    workspace_id: str | None = None

    @property
    def place(self) -> str:
        """Return where an answer arrives: the id of the node, with the number of the item: `node:3`."""
        return self.node_id if self.index is None else f"{self.node_id}:{self.index}"

    def now_ms(self) -> int:
        """Return the server's time in milliseconds since 1970: its machines may have other clocks."""
        return self.clock() // 1_000_000

    def log(self, level: str, message: str, data: Any = None) -> None:
        """Write to the run's log with secrets redacted; `level` is debug, info, warning or error."""
        if self.keyring is not None:
            message, data = self.keyring.clean_text(message), self.keyring.clean_data(data)
        self.write_log(self.node_id, level, message, data)

    def clean(self, text: str) -> str:
        """Redact the text. Call it before truncating a message: half of a secret is hard to recognize."""
        return text if self.keyring is None else self.keyring.clean_text(text)

    def hide(self, *values: str) -> None:
        """Redact these values in this run from now on."""
        if self.keyring is not None:
            self.keyring.hide(*values)

    def hide_once(self, *values: str) -> None:
        """Redact values that are used for one request, such as signatures, in the output of this node."""
        if self.keyring is not None:
            self.keyring.hide_once(self.place, *values)

    def check_secrets(self, host: str, texts: Iterable[str]) -> None:
        """Raise NodeError if a text contains a secret read by an expression that may not be sent to this host."""
        if self.keyring is not None:
            self.keyring.check_host(host, texts)

    def credential(self, name: str, *types: str) -> DecryptedCredential:
        """Return the workspace's credential of this name or id. Its values are redacted in this run from now on.

        Raises: NodeError if there is none, or it is not of one of these types.
        """
        if self.keyring is None:
            raise NodeError("credentials are not available here", permanent=True)
        return self.keyring.use(name, *types)

    def need_files(self) -> WorkspaceFiles:
        """Return the workspace's files. Raises: NodeError if they are not available."""
        if self.files is None:
            raise NodeError("files are not available here", permanent=True)
        return self.files

    def need_services(self) -> Services:
        """Return the process's services. Raises: NodeError if they are not available."""
        if self.services is None:
            raise NodeError("the network is not available here", permanent=True)
        return self.services

    def need_agents(self) -> Any:
        """Return the services of the pack of agents, such as their `memory`. Raises: NodeError if there are none."""
        if self.agents is None:
            raise NodeError("agents are not available here", permanent=True)
        return self.agents

    def seconds_left(self, at_most: float) -> float:
        """Return the seconds until the deadline, at most `at_most`.

        Raises: NodeError if the deadline has passed.
        """
        if self.deadline is None:
            return at_most
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise TimedOut("timed out before it started")
        return min(left, at_most)


class Node:
    """Base of every node type. Stateless: one instance serves all runs, in all threads.

    - `branches(config)` returns the branch names; empty means one unnamed branch.
    - `pure`: it has no side effects outside the run, so repeating it is harmless.
    - `quick`: it takes no noticeable time: it is pure, computes little and does not wait.
    - `reads_now`: it is quick, and reads `now` in the scope of its context; other nodes always have it there.
    - `slow`: it may take minutes, mostly waiting for others; some threads are reserved for other runs.
    - `responds`: its output, `{"status": int, "headers": {}, "body": any}`, is the response to the webhook.
    - `trigger` marks the nodes that start a run and accept no incoming edge.
    - `polls` marks the triggers that look for new entries by `poll`, every `every` seconds of their config (default: a
      quarter of an hour). `source` names the config keys that identify the source; default: all but `every` and
      `backlog`. Entries that exist at the first poll of a source start no runs, unless `backlog` is true.
    - `listens` marks the polling triggers that hold a connection instead, by `listen`; `source` is as in polls.
    - `suspends` marks the nodes whose `run` may return `Suspend`; `resume` then returns the result. It is pure:
      runs that it starts (`ctx.flows`) are recorded together with its step.
    - `answers` names the possible answers to a waiting node, by people or by a signed link; empty: none.
    - `asks` marks the nodes that may wait several times, with a question each. Their `run` is called again with each
      answer, and keeps its own record; so such a node need not be pure, and may have a `foreach`, in which it cannot
      wait. It can be answered only after it has asked.
    - `starts_runs`: its wait is for the run of another flow. In a `foreach`, the database starts these runs in turn.
    - `adds_item`: in a `foreach`, its result, an object, gets the item as `item`.
    - `also` has its names in other tools: a search finds it by these words, too.
    - `icon` is the name of a Tabler icon, such as `world-www`; default: the category's icon.
    - `examples` have `{"config", "input", "output"}` each. A test runs those of pure nodes.
    - `extra` is the pack whose `requirements.txt` installs the modules in `requires`.
    - `own` marks those of HEADRACE_NODES_DIR; `plugins` sets it, and `plugin_runner` calls them.
    """

    type: ClassVar[str]
    category: ClassVar[str]
    title: ClassVar[str] = ""
    also: ClassVar[tuple[str, ...]] = ()
    icon: ClassVar[str] = ""
    pure: ClassVar[bool] = True
    quick: ClassVar[bool] = False
    reads_now: ClassVar[bool] = False
    slow: ClassVar[bool] = False
    trigger: ClassVar[bool] = False
    polls: ClassVar[bool] = False
    listens: ClassVar[bool] = False
    source: ClassVar[tuple[str, ...]] = ()
    responds: ClassVar[bool] = False
    suspends: ClassVar[bool] = False
    answers: ClassVar[tuple[str, ...]] = ()
    asks: ClassVar[bool] = False
    starts_runs: ClassVar[bool] = False
    adds_item: ClassVar[bool] = False
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
        """Return the names of the branches under this (raw, possibly incomplete) config."""
        return ()

    @property
    def has_address(self) -> bool:
        """Return True if its resume address exists from the start of a run."""
        return bool(self.answers) and not self.asks

    @classmethod
    def collects(cls) -> bool:
        """Return True if its calls or entries can be collected by `debounce`."""
        return cls.polls

    @classmethod
    def looks_at_steps(cls, config: Mapping[str, Any]) -> bool:
        """Return True if it may read outputs of any earlier node under this (raw, possibly incomplete) config."""
        return False

    def schema(self, config: Mapping[str, Any]) -> Schema:
        """Return the schema of this (raw, possibly incomplete) config: the same instance for equal choices."""
        return _make_schema(self.Config)

    def run(self, config: dict[str, Any], input: Any, ctx: Context) -> Any:
        """Do the work: return JSON, a `Branch` of it or `Suspend`, or raise NodeError."""
        raise NodeError(f"{self.type} cannot run", permanent=True)

    def poll(self, config: dict[str, Any], state: Any, ctx: Context) -> Polled:
        """Return new entries. `state` is None at the first poll of a source. Raises: NodeError.

        A given state is on disk, together with the runs of its entries. The expressions of the config see `vars`,
        `secrets`, `workflow` and `now`. A poll may be interrupted anywhere and repeated with the same state, so nothing
        may depend on its running only once.
        """
        raise NodeError(f"{self.type} does not poll", permanent=True)

    def listen(self, config: dict[str, Any], state: Any, ctx: Context, inbox: Inbox) -> None:
        """Receive from the source until the inbox is closed. `state` is the last one saved, None for a new source.

        Raises: NodeError if the source cannot be reached, or is lost. It is then called again after a pause.
        """
        raise NodeError(f"{self.type} does not listen", permanent=True)

    def resume(self, config: dict[str, Any], input: Any, answer: Answer) -> Any:
        """Return the result after `Suspend`, from the answer: JSON or a `Branch` of it. Raises: NodeError."""
        raise NodeError(f"{self.type} does not wait", permanent=True)


@functools.cache
def _make_schema(config: type[Schema]) -> Schema:
    """Return the shared instance of a config schema: creating one costs more than using it."""
    return config()


class NodeTypes(dict[str, Node]):
    """The node types by name. `get` also gives those that packs make from files, at their first use.

    Iterating gives only the others.
    """

    def get(self, type_: str, default: Any = None) -> Any:
        found = dict.get(self, type_)
        if found is None:
            found = next((node for each in registry.node_finders if (node := each.find(type_)) is not None), None)
        return default if found is None else found

    def list_types(self) -> set[str]:
        """Return the names of all, with those of packs."""
        return self.keys() | {type_ for each in registry.node_finders for type_ in each.types()}


REGISTRY = NodeTypes()


def install_line(cls: type[Node]) -> str | None:
    """Return the command that installs what the node type requires; None if it is installed."""
    is_missing = any(importlib.util.find_spec(module) is None for module in cls.requires)
    return f".venv/bin/python -m pip install -r packs/{cls.extra}/requirements.txt" if is_missing else None


def check_installed(cls: type[Node]) -> None:
    """Raise NodeError with the install command if a required package is missing."""
    line = install_line(cls)
    if line is not None:
        raise NodeError(f"{cls.type} requires a package that is not installed; run: {line}", permanent=True)


def register(cls: type[Node]) -> None:
    """Register a node type. Raises: TypeError if its type name is taken, or the class is incomplete."""
    if cls.type in REGISTRY:
        raise TypeError(f"{cls.__qualname__}: the node type {cls.type!r} exists already")
    if getattr(cls, "category", None) not in CATEGORIES:
        raise TypeError(f"{cls.__qualname__}: category must be one of {', '.join(CATEGORIES)}")
    if cls.polls and not cls.trigger:
        raise TypeError(f"{cls.__qualname__}: only a trigger polls")
    if cls.listens and not cls.polls:
        raise TypeError(f"{cls.__qualname__}: a trigger that listens also polls; set polls, too")
    if inspect.getdoc(cls) in (None, "", inspect.getdoc(Node)):
        raise TypeError(f"{cls.__qualname__}: a node's docstring is its description; write one")
    REGISTRY[cls.type] = cls()
