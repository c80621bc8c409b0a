"""The types of the engine's input and output: a job (a run without its plan), its steps and its outcome."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, NamedTuple, Protocol

import orjson

from errors import ErrorKind
from nodes.base import Agents, Answer, Flows, Services, Store, Suspend, discard
from nodes.credentials.keyring import Keyring
from nodes.files.files import WorkspaceFiles

SEVERAL = ""  # the branch of a step that has routed items to several branches


@lru_cache(4096)
def _json_names(names: tuple[str, ...]) -> str:
    return orjson.dumps(names).decode()


class StepRecord(NamedTuple):
    """One execution of a node: a row of the record.

    `seq` numbers the steps of a run; a later step of the same number replaces the earlier (`running`, then its end).
    `status` is running, success, failed, skipped, waiting, or repeated (a round of a `repeat` before the last one);
    `wait` says what a waiting step waits for. `inputs` names the nodes whose outputs the input was made of (none: the
    run's own input), as `node:branch` if a node has routed items there; `item_index` is that of an item of a `foreach`,
    whose own input is then in `item`. `output` is JSON text, None while there is none; `same_as` names the node whose
    output this one passed on (then `output` is None). `error_kind` is an `errors.ErrorKind`; `final` marks the failure
    that ends the run. Times are milliseconds since 1970, UTC.
    """

    seq: int
    node_id: str
    node_type: str
    node_name: str
    status: str
    attempt: int
    item_index: int | None
    inputs: tuple[str, ...]
    item: bytes | None
    started_at: int
    finished_at: int | None
    duration_ms: float | None
    pure: bool
    output: bytes | None = None
    same_as: str | None = None
    branch: str | None = None
    error_text: str | None = None
    error_kind: ErrorKind | None = None
    final: bool = False
    wait: Suspend | None = None

    def row(self, run_id: str, item: str | None, output: str | None, output_bytes: int | None) -> tuple[Any, ...]:
        """Return the values of the step's row, in the order of `database.tables.steps.STEP_COLUMNS`.

        `item` and `output` are the JSON texts as the row holds them; an output of `output_bytes` lies in a file.
        """
        return (
            run_id, self.seq, self.node_id, self.node_type, self.node_name, self.status, self.attempt,
            self.item_index, _json_names(self.inputs) if self.inputs else None, item, output, output_bytes,
            self.same_as, self.branch, self.error_text, self.started_at, self.finished_at, self.duration_ms,
            self.final, self.error_kind,
        )  # fmt: skip


class Workers(Protocol):
    """Threads that execute several nodes of a run at once, or several items of a loop."""

    def submit(self, work: Callable[[], Any], /) -> Future[Any]: ...


class Settled(NamedTuple):
    """A node or an item that an earlier attempt of this run has finished: it is not executed again."""

    output: Any
    branch: str | None = None
    skipped: bool = False


class Open(NamedTuple):
    """A step that is recorded as waiting: its number, its attempt, its start (ms), and its answer, if there is one.

    `reason` is the reason for the wait, as text. `is_pause`: the attempt begins after a pause. `error_text` and
    `error_kind` are those of a loop that ends as failed when its open items have ended.
    """

    seq: int
    attempt: int
    started_at: int
    reason: str = ""
    answer: Answer | None = None
    is_pause: bool = False
    error_text: str | None = None
    error_kind: str | None = None


class Outcome(NamedTuple):
    """The result of a run: `status` is success, failed or waiting.

    `response` is the output of the first `respond` node that ran; `waits` maps each waiting node to its
    reason. `text` is the output as JSON, if a step has it in that form.
    """

    status: str
    output: Any = None
    error_text: str | None = None
    error_node_id: str | None = None
    error_kind: str | None = None
    response: Any = None
    waits: Mapping[str, str] = {}
    text: bytes | None = None


@dataclass(slots=True)
class Job:
    """Everything that a run needs besides its plan. `encoded_input` is the input as JSON text, if that exists.

    `on_step(step)` is called for every step; when it returns for a `running` one, that row is durable. `stop()` returns
    the reason to end the run early, or None. `settled` maps (node_id, index or None) to its result, `tried` to the
    number of failed or interrupted attempts, `rounds` to the number of rounds of a `repeat` that have ended,
    `rounds_began` to the start of its first one (ms), `waiting` a node id, or `node:index` for an item, to its waiting
    step, `answers` the id of a node that asks to its last answer; `first_seq` is the next free number of a step.
    `sleep` is called with a short pause, in seconds. `links(node_id)` returns the signed addresses at which a waiting
    node can be answered, `links(node_id, question)` those for one question; `flows` starts other flows; `keyring` opens
    credentials, and redacts their values in every step. `clock` is the time of day, in nanoseconds since 1970.
    `timeout` is the maximum of seconds for this execution, `started_at` the start of the run (ms; None: now), from
    which the flow's own timeout counts.
    `workspace_id` is for the server's log and the places of parsers. `rates(key, calls, per, has_waited)` takes a start
    of a rate limit of the workspace and returns 0, or the seconds after which to ask again; `workers(count)` is a
    context with threads, whose `submit` is that of an `Executor`: without it, nodes and items run one after the other;
    with it, several threads may call the functions of the job at the same time.
    """

    run_id: str
    input: Any = None
    encoded_input: bytes | None = None
    trigger_node: str | None = None
    scope: Mapping[str, Any] = field(default_factory=dict)
    on_step: Callable[[StepRecord], None] = lambda step: None
    settled: Mapping[tuple[str, int | None], Settled] = field(default_factory=dict)
    tried: Mapping[tuple[str, int | None], int] = field(default_factory=dict)
    rounds: Mapping[tuple[str, int | None], int] = field(default_factory=dict)
    rounds_began: Mapping[tuple[str, int | None], int] = field(default_factory=dict)
    waiting: Mapping[str, Open] = field(default_factory=dict)
    answers: Mapping[str, Answer] = field(default_factory=dict)
    first_seq: int = 0
    stop: Callable[[], str | None] = lambda: None
    sleep: Callable[[float], None] = time.sleep
    log: Callable[[str, str, str, Any], None] = discard
    store: Store | None = None
    services: Services | None = None
    flows: Flows | None = None
    links: Callable[..., dict[str, str]] | None = None
    keyring: Keyring = field(default_factory=Keyring)
    files: WorkspaceFiles | None = None
    agents: Agents | None = None
    timeout: float = 3600.0
    started_at: int | None = None
    max_steps: int = 100_000
    max_items: int = 10_000
    max_value_bytes: int = 16 * 2**20
    workspace_id: str | None = None
    clock: Callable[[], int] = time.time_ns
    rates: Callable[[str, int, float, bool], float] | None = None
    workers: Callable[[int], AbstractContextManager[Workers]] | None = None
