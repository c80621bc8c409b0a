"""The types of the engine's input and output: a job (a run without its plan), its steps and its outcome."""

from __future__ import annotations

import functools
import logging
import math
import random
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from typing import Any, NamedTuple, Protocol, cast

import orjson

from definition import Plan, PlannedNode
from errors import DatabaseLost, ErrorKind, ExpressionError, NodeError
from nodes import plugin_runner
from nodes.base import Answer, Branch, Context, Flows, Services, Store, Suspend, WaitKind, discard
from nodes.credentials.keyring import Keyring
from nodes.files.files import WorkspaceFiles
from nodes.limits import MAX_UNMEASURED, encode, size_of
from server_log import copy_work, set_work

SEVERAL = ""  # the branch of a step that has routed items to several branches


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
    agents: Any = None
    timeout: float = 3600.0
    started_at: int | None = None
    max_steps: int = 100_000
    max_items: int = 10_000
    max_value_bytes: int = 16 * 2**20
    workspace_id: str | None = None
    clock: Callable[[], int] = time.time_ns
    rates: Callable[[str, int, float, bool], float] | None = None
    workers: Callable[[int], AbstractContextManager[Workers]] | None = None


# Execution of one node: its input, attempts, rounds and errors, and the steps that it hands to the record.

log = logging.getLogger("headrace.engine")
NS_IN_MS = 1_000_000
MAX_ERROR_TEXT = 2_000
SHORT_PAUSE = 5.0  # seconds; a longer pause is recorded as a wait, which holds no thread
MIN_WAIT = 0.5  # seconds; ended waits are looked for about twice a second
TURN = "its turn (rate limit)"  # the reason of a wait


class SettledNode(NamedTuple):
    """A settled node: its branch and its output. `origin` is the node that made the output; `text` is the output as
    JSON, if this process made that.

    `branch` is a `Ways` if the node has routed items. A node that is `held` waits, or depends on a node that waits.
    """

    executed: bool
    output: Any = None
    branch: str | Ways | None = None
    origin: str = ""
    held: bool = False
    text: bytes | None = None


class Ways:
    """The live branches of a node that has routed items, each with its items. Equal to the name of each of them."""

    __slots__ = ("lists",)

    def __init__(self, lists: Mapping[str, list[Any]]) -> None:
        """`lists` has the items of every branch; a branch without items is not live."""
        self.lists = {name: items for name, items in lists.items() if items}

    def __eq__(self, other: object) -> bool:
        return other in self.lists

    __hash__ = None  # type: ignore[assignment]


HELD = SettledNode(False, held=True)


class Failure(Exception):
    """A node failed finally with `on_error: fail`: the run ends."""

    def __init__(self, node: PlannedNode, message: str, kind: ErrorKind) -> None:
        super().__init__(message)
        self.node, self.message, self.kind = node, message, kind


class Cancelled(Exception):
    """The run must end early. The text is the reason."""

    def __init__(self, reason: str, kind: ErrorKind = "cancelled") -> None:
        super().__init__(reason)
        self.kind = kind


class Running(Protocol):
    """The parts of a run (`engine._Run`) that the execution of a node uses."""

    plan: Plan
    job: Job
    states: list[SettledNode]
    scope: dict[str, Any]
    steps: dict[str, Any]
    links: dict[str, Any]
    waits: dict[str, str]
    deadline: float
    ends_at: int | None
    context: Context
    numbers: Iterator[int]


class BegunAttempt(NamedTuple):
    """A begun execution: the number of its step, its attempt, item and start (`clock`: `time.perf_counter`)."""

    seq: int
    attempt: int
    item_index: int | None
    item: bytes | None
    started_at: int
    clock: float


def get_now(job: Job) -> datetime:
    """Return the time of day of the run."""
    return datetime.fromtimestamp(job.clock() / 1e9, UTC)


def find_input(run: Running, node: PlannedNode, live: tuple[PlannedNode, ...]) -> SettledNode:
    """Return the input of a node: the run's input, the one live output, or an object of several."""
    if not live:
        return SettledNode(True, run.job.input)
    if len(live) == 1:
        state = run.states[live[0].position]
        return state if type(state.branch) is not Ways else find_passed(run, node, live[0])
    return SettledNode(True, put_together(run, live, node))


def find_passed(run: Running, node: PlannedNode, source: PlannedNode) -> SettledNode:
    """Return the output of this source for a node; of routed items, the items on branches that lead to the node."""
    state = run.states[source.position]
    if type(state.branch) is not Ways:
        return state
    lists = state.branch.lists
    ways = [way for at, way in node.inputs if at == source.position and way in lists]
    items = lists[str(ways[0])] if len(ways) == 1 else [item for way in ways for item in lists[str(way)]]
    return SettledNode(True, items)


def find_outputs(run: Running, node: PlannedNode, live: tuple[PlannedNode, ...]) -> dict[str, Any]:
    """Return the output of each of these sources for the node, by id."""
    if run.plan.routes_items:
        return {source.id: find_passed(run, node, source).output for source in live}
    states = run.states
    return {source.id: states[source.position].output for source in live}


def name_sources(run: Running, node: PlannedNode, live: tuple[PlannedNode, ...]) -> tuple[str, ...]:
    """Return the names of these sources; of one that has routed items, with each branch that leads to the node."""
    names: list[str] = []
    for source in live:
        ways = run.states[source.position].branch
        if type(ways) is Ways:
            names += [f"{source.id}:{way}" for at, way in node.inputs if at == source.position and way in ways.lists]
        else:
            names.append(source.id)
    return tuple(names)


def put_together(run: Running, nodes: Sequence[PlannedNode], target: PlannedNode | None = None) -> dict[str, Any]:
    """Return an object of the outputs of these nodes, as the node `target` gets them, or as they are.

    Too large if many of them pass on the same large value.
    """
    if target is not None:
        outputs = find_outputs(run, target, tuple(nodes))
    else:
        outputs = {node.id: run.states[node.position].output for node in nodes}
    if len(nodes) > MAX_UNMEASURED:
        try:
            size_of(outputs, f"what {len(nodes)} nodes give together", 2 * run.job.max_value_bytes)
        except NodeError as error:
            raise Failure(nodes[-1], error.message, error.kind) from None
    return outputs


def check_time(run: Running, node: PlannedNode, open_: Open | None = None) -> None:
    """Raise if the run must not go on to this node: it was cancelled, or its time is over.

    `open_` is a step that has waited. No wait lasts longer than the run may: if it ended then, the time is over, even
    if the clock of this machine is behind.
    """
    reason = run.job.stop()
    if reason is not None:
        raise Cancelled(reason)
    is_over = time.monotonic() > run.deadline
    if run.ends_at is not None and open_ is not None and open_.answer is not None:
        is_over = is_over or open_.answer.at >= run.ends_at
    if is_over:
        raise Failure(node, f"the run exceeded its timeout of {find_timeout(run)[1]:g} s", "timeout")


def find_timeout(run: Running) -> tuple[str, float]:
    """Return the name and the seconds of the timeout that ends the run."""
    own, job = run.plan.settings.timeout, run.job
    if own is not None and (own <= job.timeout or (run.ends_at or 0) <= job.clock() // NS_IN_MS):
        return "the flow's timeout (settings.timeout)", own
    return "the longest time of a run (HEADRACE_RUN_TIMEOUT)", job.timeout


def next_seq(run: Running) -> int:
    """Return the number of a new step. Threads may ask at the same time: `next` of a counter gives each another."""
    seq = next(run.numbers)
    if seq >= run.job.max_steps:
        raise Cancelled(f"the run exceeded its bound of {run.job.max_steps} steps", "limit")
    return seq


class Execution:
    """The execution of one node: its items, attempts and errors."""

    def __init__(self, run: Running, node: PlannedNode, live: tuple[PlannedNode, ...]) -> None:
        self.run, self.node, self.job = run, node, run.job
        if run.plan.routes_items:
            self.outputs, self.inputs = find_outputs(run, node, live), name_sources(run, node, live)
        else:
            states = run.states
            self.outputs = {source.id: states[source.position].output for source in live}
            self.inputs = tuple(self.outputs)
        self.given = find_input(run, node, live)
        self.size = 0  # bytes of its outputs so far, for all items
        if node.repeat is not None:
            self.rounds: dict[int | None, int] = {}  # by item, the number of the present round
            self.round_ends: dict[int | None, int] = {}  # by item, when no more rounds begin, in ms
        self.scope: dict[str, Any] = {**run.scope, "input": self.given.output}
        if node.reads_now:
            self.scope["now"] = get_now(run.job)
        if node.addresses:
            others = {id_: step for id_, step in run.steps.items() if id_ not in node.addresses}
            shown = {id_: links for id_, links in run.links.items() if id_ in node.addresses}
            self.scope["steps"] = {**others, **shown}
        elif "*" in node.references:
            # A copy: the output of the node must not come to contain itself.
            self.scope["steps"] = dict(run.steps)

    def once(self) -> SettledNode:
        """Execute the node once, for its whole input."""
        return self.attempts(None, self.given.output, self.scope, None)

    def go_on(self, open_: Open) -> SettledNode:
        """Finish a step that waited, with its answer; or begin it, after a pause."""
        return self.attempts(None, self.given.output, self.scope, None, open_)

    def resumed(
        self, open_: Open, index: int | None = None, item: bytes | None = None
    ) -> tuple[BegunAttempt, Answer | None]:
        """Return the mark and the answer of a step that waited; one with effects is recorded as running again."""
        clock = time.perf_counter() if open_.is_pause else 0.0
        started_at = self.job.clock() // NS_IN_MS if open_.is_pause else open_.started_at
        mark = BegunAttempt(open_.seq, open_.attempt, index, item, started_at, clock)
        if not self.node.node.pure:
            self.job.on_step(make_step(self.node, mark, self.inputs, "running", None, {}))
        return mark, None if open_.is_pause else open_.answer

    def attempts(
        self, index: int | None, given: Any, scope: dict[str, Any], item: bytes | None,
        open_: Open | None = None,
    ) -> SettledNode:  # fmt: skip
        """Try, and try again as `retry` says, but not before the remote side allows it (`retry_after`).

        `open_` is a first attempt that has waited. With `repeat`, each round has attempts of its own.
        """
        retry = self.node.retry
        if open_ is None:
            tried = self.job.tried.get((self.node.id, index), 0) if self.job.tried else 0
            if self.node.rate is not None and (held := self.take_turn(index, tried + 1, item)) is not None:
                return held
            mark, answer = self.begin(index, tried + 1, item), None
        else:
            if self.node.rate is not None and (held := self.take_turn(index, open_.attempt, item, open_)) is not None:
                return held
            mark, answer = self.resumed(open_, index, item)
        if self.node.repeat is not None and self.node.repeat.for_at_most is not None:
            began = self.job.rounds_began.get((self.node.id, index), mark.started_at)
            self.round_ends[index] = began + int(self.node.repeat.for_at_most * 1000)
        while True:
            try:
                result = self.call(given, scope, index, answer, max(0, retry.attempts - mark.attempt))
                if self.node.repeat is None or type(result) is Suspend:
                    return self.finish(mark, result)
                paused = self.next_round(mark, result, scope)
                if isinstance(paused, SettledNode):
                    return paused
            except NodeError as error:
                left = self.run.deadline - time.monotonic()
                if error.permanent or mark.attempt >= retry.attempts or 0 < left < error.retry_after:
                    return self.fail(mark, error)
                pause, attempt = max(retry.pause(mark.attempt, random.random()), error.retry_after), mark.attempt + 1
                if pause > self.left_for_rounds(index):
                    return self.fail(mark, error)
                self.record(mark, "failed", error_text=self.shown(error), error_kind=error.kind)
                self.job.sleep(max(0.0, min(pause, left)))
            else:
                attempt = 1
            check_time(self.run, self.node)
            if self.node.rate is not None and (held := self.take_turn(index, attempt, item)) is not None:
                return held
            mark, answer = self.begin(index, attempt, item), None

    def next_round(self, mark: BegunAttempt, result: Any, scope: dict[str, Any]) -> SettledNode | None:
        """End the round of a `repeat`. Return the state if it was the last one, or if the pause is a wait.

        Raises: NodeError if the condition is not met after the last round, or no other may begin in time.
        """
        repeat, index = self.node.repeat, mark.item_index
        assert repeat is not None
        number = self.round_of(index)
        encoded = self.job.keyring.clean(encode(result, self.job.max_value_bytes))
        output = orjson.loads(encoded)
        if repeat.is_over({**scope, "output": output, "round": number}):
            return self.finish(mark, result)
        if number >= repeat.at_most:
            raise out_of_rounds(number, "at_most")
        if repeat.every > self.left_for_rounds(index):
            raise self.out_of_time(number)
        self.rounds[index] = number + 1
        self.record(mark, "repeated", output=encoded)
        # Many short pauses would hold the thread as long as a long one.
        slept = repeat.every * (number - 1) if repeat.every >= MIN_WAIT else 0.0
        return self.pause_on_record(
            index, 1, mark.item, repeat.every, f"round {number + 1} of at most {repeat.at_most}", slept
        )

    def left_for_rounds(self, index: int | None) -> float:
        """Return the seconds for which the rounds of a `repeat` may still go on."""
        ends_at = None if self.node.repeat is None else self.round_ends.get(index)
        return math.inf if ends_at is None else ends_at / 1000 - self.job.clock() / 1e9

    def out_of_time(self, number: int) -> NodeError:
        """Return the error of a `repeat` whose time is over in or after this round."""
        assert self.node.repeat is not None
        return out_of_rounds(number, f"for_at_most {self.node.repeat.for_at_most:g} s")

    def take_turn(
        self, index: int | None, attempt: int, item: bytes | None, open_: Open | None = None
    ) -> SettledNode | None:
        """Start by the node's rate limit, after a wait for its turn. Return the state if that is a long wait.

        `open_` is a step that has waited, for its turn or for something else.
        """
        rate, limits = self.node.rate, self.job.rates
        if rate is None or limits is None:
            return None
        key = rate.key or f"{self.run.scope['workflow'].get('id', '')} {self.node.id}"
        has_waited = open_ is not None and open_.reason == TURN
        while (seconds := limits(key, rate.calls, rate.per, has_waited)) > 0:
            if (held := self.pause_on_record(index, attempt, item, seconds, TURN, open_=open_)) is not None:
                return held
            has_waited = True
        return None

    def pause_on_record(
        self, index: int | None, attempt: int, item: bytes | None, seconds: float, reason: str, slept: float = 0.0,
        open_: Open | None = None,
    ) -> SettledNode | None:  # fmt: skip
        """Sleep. If the pause and the seconds `slept` before are long, record a waiting step and return HELD.

        That step is `open_` if it has waited before.
        """
        if slept + seconds <= SHORT_PAUSE:
            if seconds > 0:
                self.job.sleep(min(seconds, max(0.0, self.run.deadline - time.monotonic())))
                check_time(self.run, self.node)
            return None
        if open_ is None:
            mark = self.begin(index, attempt, item, announce=False)
        else:
            mark = BegunAttempt(open_.seq, attempt, index, item, open_.started_at, 0.0)
        until = self.job.clock() // NS_IN_MS + int(seconds * 1000)
        kind: WaitKind = "pause" if index is None else "item_pause"
        self.record(mark, "waiting", wait=Suspend(until, reason, kind=kind))
        if index is None:
            self.run.waits[self.node.id] = reason
        return HELD

    def call(self, given: Any, scope: dict[str, Any], index: int | None, answer: Answer | None, retries: int) -> Any:
        """Make one attempt, or finish one that waited for `answer`. `retries` more may follow.

        Raises: NodeError for every error of the node.
        """
        node, job, deadline = self.node, self.job, self.run.deadline
        if node.node.asks and index is None:
            # It counts until the next question, even if the attempt that was to use it failed.
            answer = job.answers.get(node.id)
        if node.timeout is not None:
            deadline = min(deadline, time.monotonic() + node.timeout)
        ends = deadline
        if node.repeat is not None:
            left = self.left_for_rounds(index)
            if left <= 0:  # the pause before it has ended late
                raise self.out_of_time(self.round_of(index) - 1)
            ends = min(deadline, time.monotonic() + left)
        if node.node.quick:
            ctx = self.run.context
            ctx.node_id, ctx.inputs, ctx.scope, ctx.deadline = node.id, self.outputs, scope, ends
        else:
            ctx = self.context(scope, index, answer, retries, ends)
            self.run.context.node_id = node.id  # for the server's log
        try:
            # The expressions of a polling trigger are those of its polls, which see other names.
            is_polled = node.node.polls and not node.node.own
            config = node.config.static if is_polled else node.config.evaluate(scope, job.max_value_bytes)
            if node.node.own:
                result = self.call_own(config, given, ctx, answer)
            elif answer is None or node.node.asks:
                result = node.node.run(config, given, ctx)
            else:
                result = node.node.resume(config, given, answer)
        except NodeError as error:
            raise self.in_time(error, deadline, index) from error.__cause__
        except DatabaseLost:
            raise  # the node is not at fault, and the run goes on later
        except Exception as error:
            trace = job.keyring.clean_text(traceback.format_exc())
            log.error(
                "node %s (%s) of run %s raised\n%s", node.id, node.type, job.run_id, trace, extra={"traceback": trace}
            )
            kind: ErrorKind = "code" if node.node.own else "bug"
            raise NodeError(plugin_runner.describe_with_place(error), kind=kind) from error
        # A late result of a node with effects, or of one that starts a run, is kept: the effect has happened, and a
        # retry would repeat it.
        if node.node.pure and not node.node.suspends and node.timeout is not None and time.monotonic() > deadline:
            raise NodeError(f"ran longer than its timeout of {node.timeout:g} s", kind="timeout")
        return result

    def context(
        self, scope: dict[str, Any], index: int | None, answer: Answer | None, retries: int, deadline: float
    ) -> Context:
        """Return the context of the node: everything that it may use."""
        node, job = self.node, self.job
        return Context(
            node.id, self.outputs, scope, self.idempotency_key(index), deadline, job.log, job.store,
            job.services, job.flows, job.keyring, job.files, functools.partial(self.pause, deadline), retries,
            job.agents, job.stop, index, answer, self.links(), job.clock, job.workspace_id,
        )  # fmt: skip

    def idempotency_key(self, index: int | None) -> str:
        """Return the key of the node's effect: the same at each attempt, another one for each round of a `repeat`."""
        key = f"{self.job.run_id}:{self.node.id}:{index or 0}"
        number = 1 if self.node.repeat is None else self.round_of(index)
        return key if number == 1 else f"{key}:{number}"

    def round_of(self, index: int | None) -> int:
        """Return the number of the present round of a `repeat`, from 1, also after a crash."""
        return self.rounds.get(index) or self.job.rounds.get((self.node.id, index), 0) + 1

    def in_time(self, error: NodeError, deadline: float, index: int | None) -> NodeError:
        """Return the error of an attempt; if a timeout ended the attempt, name that."""
        now = time.monotonic()
        if now >= self.run.deadline:
            name, seconds = find_timeout(self.run)
            ended_by = f"{name} of {seconds:g} s"
        elif now >= deadline:
            ended_by = f"the node's timeout of {self.node.timeout:g} s"
        elif self.node.repeat is not None and self.left_for_rounds(index) <= 0:
            return self.out_of_time(self.round_of(index))
        else:
            return error
        return NodeError(f"{ended_by} ended it: {error.message}", error.permanent, error.retry_after, "timeout")

    def links(self) -> Callable[[str], dict[str, str]] | None:
        """Return a function that gives the addresses for a question of this node; None if there are none."""
        links = self.job.links
        return None if links is None or not self.node.node.asks else functools.partial(links, self.node.id)

    def pause(self, deadline: float, seconds: float) -> None:
        """Pause the executing node, until its deadline at most. Raises: NodeError if the run has to end."""
        self.job.sleep(max(0.0, min(seconds, deadline - time.monotonic())))
        reason = self.job.stop()
        if reason is not None:
            raise NodeError(reason, permanent=True, kind="cancelled")

    def call_own(self, config: dict[str, Any], given: Any, ctx: Context, answer: Answer | None) -> Any:
        """Return the result of a plugin's node, as the record will have it. The node works on copies."""
        node, most = self.node, self.job.max_value_bytes
        config, given = plugin_runner.copy_value(config), orjson.loads(encode(given, most))

        def work(lent: Context) -> Any:
            if answer is None:
                return node.node.run(config, given, lent)
            return node.node.resume(config, given, answer)

        result = plugin_runner.call(node.node, work, ctx)
        plugin_runner.check(node.node, node.branches, result)
        if type(result) is Suspend:
            return result
        if type(result) is Branch:
            return Branch(result.name, orjson.loads(encode(result.value, most)))
        return orjson.loads(encode(result, most))

    def begin(self, index: int | None, attempt: int, item: bytes | None, announce: bool = True) -> BegunAttempt:
        """Begin an execution with a new number; one with effects is recorded before it starts."""
        mark = BegunAttempt(next_seq(self.run), attempt, index, item, self.job.clock() // NS_IN_MS, time.perf_counter())
        if announce and not self.node.node.pure:
            self.job.on_step(make_step(self.node, mark, self.inputs, "running", None, {}))
        return mark

    def finish(self, mark: BegunAttempt, result: Any) -> SettledNode:
        """Record a success. If a node passed its input on, the record names the origin and has no copy."""
        branch = None
        if type(result) is Suspend:
            result = replace(result, reason=self.job.keyring.clean_text(result.reason), kind=self.kind_of_wait(mark))
            self.record(mark, "waiting", wait=result)
            if mark.item_index is None:
                self.run.waits[self.node.id] = result.reason
            return HELD
        if type(result) is Branch:
            branch, result = result.name, result.value
        if result is self.given.output and self.given.origin and mark.item_index is None:
            self.record(mark, "success", same_as=self.given.origin, branch=branch)
            return SettledNode(True, result, branch, self.given.origin, text=self.given.text)
        encoded = self.job.encoded_input if result is self.job.input else None
        if encoded is None:
            encoded = encode(result, self.job.max_value_bytes)
        cleaned = self.job.keyring.clean(encoded)
        if cleaned is not encoded:
            # The next nodes see the recorded value, as they would after a crash.
            encoded, result = cleaned, orjson.loads(cleaned)
        self.size += len(encoded)
        self.record(mark, "success", output=encoded, branch=branch)
        return SettledNode(True, result, branch, self.node.id, text=encoded)

    def fail(self, mark: BegunAttempt, error: NodeError) -> SettledNode:
        """Record a final failure, and continue, take the error branch, or end the run, as `on_error` says."""
        text = self.shown(error)
        in_list = mark.item_index is not None
        mode = self.node.on_error
        if mode == "fail" or (in_list and mode == "branch" and not self.node.routes_items):
            self.record(mark, "failed", error_text=text, error_kind=error.kind, final=not in_list)
            if in_list:
                raise NodeError(f"item {mark.item_index}: {text}", permanent=True, kind=error.kind)
            raise Failure(self.node, text, error.kind)
        value = {"error": text, "index": mark.item_index} if in_list else {"error": text}
        branch = "error" if mode == "branch" else None
        self.record(mark, "failed", output=orjson.dumps(value), branch=branch, error_text=text, error_kind=error.kind)
        return SettledNode(True, value, branch, self.node.id)

    def kind_of_wait(self, mark: BegunAttempt) -> WaitKind | None:
        """Return the kind of a wait that the node asks for."""
        return None

    def shown(self, error: NodeError) -> str:
        """Return the message of an error, redacted and cut to MAX_ERROR_TEXT characters."""
        # Half a surrogate pair is text to Python, but files and databases refuse it.
        text = self.job.keyring.clean_text(error.message).encode("utf-8", "replace").decode()
        return text if len(text) <= MAX_ERROR_TEXT else text[:MAX_ERROR_TEXT] + "…"

    def record(self, mark: BegunAttempt, status: str, **more: Any) -> None:
        """Hand an ended step to the record. Items of pure nodes are not recorded: to repeat them costs nothing."""
        self.job.keyring.end_step(self.node.id, mark.item_index)
        if status == "waiting" and self.run.ends_at is not None:
            more["wait"] = limit_wait(more["wait"], self.run.ends_at)
        if mark.item_index is None or self.node.records_items:
            ended = None if status == "waiting" else self.job.clock() // NS_IN_MS
            self.job.on_step(make_step(self.node, mark, self.inputs, status, ended, more))


def out_of_rounds(number: int, bound: str) -> NodeError:
    """Return the error of a `repeat` that has reached a bound after so many rounds."""
    text = f"repeat: its condition was not met after {number} round{'' if number == 1 else 's'} ({bound})"
    return NodeError(text, permanent=True, kind="limit")


def limit_wait(wait: Suspend, ends_at: int) -> Suspend:
    """Return the wait, which lasts no longer than the run may. A loop goes on when its items end."""
    if wait.kind == "loop":
        return wait
    return replace(wait, until=ends_at if wait.until is None else min(wait.until, ends_at))


def make_step(
    node: PlannedNode, mark: BegunAttempt, inputs: tuple[str, ...], status: str, finished_at: int | None,
    more: dict[str, Any],
) -> StepRecord:  # fmt: skip
    # A dict, not `**more`: Python would compare each name in it with the names of all parameters.
    if finished_at is None:
        duration = None
    else:
        # A mark without a clock was not measured in this process: the step waited, or was not executed.
        duration = (time.perf_counter() - mark.clock) * 1000 if mark.clock else float(finished_at - mark.started_at)
    return StepRecord(
        mark.seq, node.id, node.type, node.name, status, mark.attempt, mark.item_index, inputs, mark.item,
        mark.started_at, finished_at, duration, node.node.pure, **more,
    )  # fmt: skip


# Loops: the execution of a node for each item of a list (`foreach`), one after the other or several at once.
#
# An item is a checkpoint: a finished one is not executed again. A loop whose items wait is a waiting step itself, which
# goes on when an item needs it; then items that have not begun begin, as `concurrency` allows.


def make_loop(run: Running, node: PlannedNode, live: tuple[PlannedNode, ...]) -> Loop:
    """Return the execution of a node with `foreach`."""
    if node.is_plain_loop:
        return Loop(run, node, live)
    if node.is_parallel_loop and run.job.workers is not None:
        return ParallelLoop(run, node, live)
    return OpenLoop(run, node, live)


class Loop(Execution):
    """A loop whose items end one after the other, without a pause."""

    mark: BegunAttempt  # of the step of the whole loop

    def map(self, open_: Open | None) -> SettledNode:
        """Execute the node for each item. The output is the list of outputs; a failed item has an error object.

        If the node routes items, the output is an object with a list for each branch. Return HELD if items wait.
        """
        if open_ is None:
            self.mark = self.begin(None, 1, None, announce=False)
        else:
            self.mark = BegunAttempt(open_.seq, open_.attempt, None, None, open_.started_at, 0.0)
        try:
            results = self.collect(self.items(), open_)
            if results is None:
                return HELD
            if self.node.routes_items:
                return self.route(results)
            return self.finish(self.mark, [state.output for state in results])
        except NodeError as error:
            return self.fail(self.mark, error)

    def collect(self, items: list[Any], open_: Open | None) -> list[SettledNode] | None:
        """Return the results of all items; None if some are not there yet. Raises: NodeError if one failed."""
        return [self.item(index, item) for index, item in enumerate(items)]

    def items(self) -> list[Any]:
        assert self.node.foreach is not None
        try:
            items = self.node.foreach.evaluate(self.scope)
        except ExpressionError as error:
            raise NodeError(f"foreach: {error}", permanent=True, kind="expression") from None
        if not isinstance(items, list):
            raise NodeError("foreach: the expression gives no list", permanent=True)
        if len(items) > self.job.max_items:
            text = f"foreach: {len(items)} items; at most {self.job.max_items} are allowed"
            raise NodeError(text, permanent=True, kind="limit")
        return items

    def item(self, index: int, item: Any) -> SettledNode:
        """Return the result for one item. Raises: NodeError if it failed and `on_error` does not allow that."""
        done = self.job.settled.get((self.node.id, index))
        if done is not None:
            return SettledNode(True, done.output, done.branch)
        check_time(self.run, self.node)
        return self.measured(index, self.execute(index, item))

    def execute(self, index: int, item: Any, open_: Open | None = None) -> SettledNode:
        """Execute the node for one item, or finish the item that waited."""
        encoded = self.job.keyring.clean(encode(item, self.job.max_value_bytes))
        scope = {**self.scope, "item": item, "index": index}
        if self.node.node.answers and self.job.links is not None:
            links = self.job.links(f"{self.node.id}:{index}")
            scope["steps"] = {**self.scope["steps"], self.node.id: links}
        state = self.attempts(index, item, scope, encoded, open_)
        if self.node.node.adds_item and not state.held and isinstance(state.output, dict):
            state = state._replace(output={**state.output, "item": item})
        return state

    def measured(self, index: int, state: SettledNode) -> SettledNode:
        """Return the result. Raises: NodeError if the results are too large together."""
        if self.size > self.job.max_value_bytes:
            text = f"the outputs of {index + 1} items have {self.size} bytes"
            text += f"; at most {self.job.max_value_bytes} are allowed"
            raise NodeError(text, permanent=True, kind="limit")
        return state

    def route(self, results: list[SettledNode]) -> SettledNode:
        """Return the state of a node that has routed its items: each branch with items is live."""
        node = self.node
        names = (*node.branches, "error") if node.on_error == "branch" else node.branches
        lists: dict[str, list[Any]] = {name: [] for name in names}
        for result in results:
            lists[str(result.branch)].append(result.output)
        state = self.finish(self.mark, Branch(SEVERAL, lists))
        return state._replace(branch=Ways(state.output))


class OpenLoop(Loop):
    """A loop whose items may wait, or start with a delay between them."""

    def collect(self, items: list[Any], open_: Open | None) -> list[SettledNode] | None:
        self.limit = self.node.concurrency or (max(1, len(items)) if self.node.node.answers else 1)
        self.results: list[SettledNode | None] = [None] * len(items)
        self.opened = 0  # items that wait
        self.error: NodeError | None = None  # the failure that ends the loop
        self.started_at: float | None = None  # the start of the last item, on the monotonic clock
        self.is_full = False  # no more items may begin now
        if open_ is not None and open_.error_text is not None:
            self.error = NodeError(open_.error_text, permanent=True, kind=cast("ErrorKind", open_.error_kind))
        if self.node.node.starts_runs:
            self.announce(len(items))
        self.execute_all(items)
        if self.error is not None and (not self.opened or not self.node.node.starts_runs):
            raise self.error
        if self.error is None and not self.opened and None not in self.results:
            return [state for state in self.results if state is not None]
        if self.error is not None and self.job.flows is not None:
            self.job.flows.stop(self.node.id)
        self.run.waits[self.node.id] = self.announce(len(items))
        return None

    def execute_all(self, items: list[Any]) -> None:
        for index, item in enumerate(items):
            self.advance(index, item)

    def advance(self, index: int, item: Any) -> None:
        """Execute an item as far as it can get now, unless it is settled."""
        node = self.node
        done = self.job.settled.get((node.id, index))
        if done is not None:
            self.settle(index, self.restored(item, SettledNode(True, done.output, done.branch)))
            return
        open_ = self.job.waiting.get(f"{node.id}:{index}")
        if open_ is not None and open_.answer is None:
            self.opened += 1
        elif open_ is not None and open_.answer is not None and open_.answer.name == "dropped":
            return
        elif open_ is not None or self.may_begin(index, item):
            check_time(self.run, node)
            self.start(index, partial(self.execute, index, item, open_))

    def restored(self, item: Any, state: SettledNode) -> SettledNode:
        """Return the result of a settled item, with the item if the node adds it."""
        if self.node.node.adds_item and isinstance(state.output, dict):
            return state._replace(output={**state.output, "item": item})
        return state

    def may_begin(self, index: int, item: Any) -> bool:
        """Return True if a new item may begin now. A short delay sleeps; a long one is recorded as a wait."""
        if self.error is not None or self.is_full:
            return False
        if self.node.node.starts_runs:
            return True
        if self.opened >= self.limit:
            self.is_full = True
            return False
        if self.node.delay and self.started_at is not None:
            left = self.started_at + self.node.delay - time.monotonic()
            encoded = self.job.keyring.clean(encode(item, self.job.max_value_bytes))
            if self.pause_on_record(index, 1, encoded, left, "the delay between items") is not None:
                self.opened, self.is_full = self.opened + 1, True
                return False
        self.started_at = time.monotonic()
        return True

    def start(self, index: int, work: Callable[[], SettledNode]) -> None:
        """Execute an item."""
        try:
            self.settle(index, work())
        except NodeError as error:
            self.error = self.error or error

    def settle(self, index: int, state: SettledNode) -> None:
        """Note the result of an item, or that it waits."""
        if state.held:
            self.opened += 1
        else:
            self.results[index] = self.measured(index, state)

    def announce(self, total: int) -> str:
        """Record that the loop waits for its items, with a failure that will end it. Return the reason."""
        at_once = f", {self.limit} at a time" if self.limit < total else ""
        reason = f"{total} items{at_once}"
        places = self.limit if self.node.node.starts_runs else 0
        loop = Suspend(None, reason, kind="loop", places=places, delay_ms=int(self.node.delay * 1000))
        error = {} if self.error is None else {"error_text": self.shown(self.error), "error_kind": self.error.kind}
        self.record(self.mark, "waiting", wait=loop, **error)
        return reason

    def kind_of_wait(self, mark: BegunAttempt) -> WaitKind | None:
        node = self.node
        if node.repeat is not None or node.routes_items and self.limit < len(self.results):
            return "item_each"
        goes_on = node.on_error == "continue" and mark.attempt >= node.retry.attempts
        return "item_on" if goes_on else "item"


class ParallelLoop(OpenLoop):
    """A loop that executes several items at once, in threads. Their results are guarded by a lock."""

    workers: Workers

    def __init__(self, run: Running, node: PlannedNode, live: tuple[PlannedNode, ...]) -> None:
        super().__init__(run, node, live)
        self.lock = threading.Lock()
        self.work_ids = copy_work()
        self.running: dict[Future[Any], int] = {}

    def execute_all(self, items: list[Any]) -> None:
        assert self.job.workers is not None
        with self.job.workers(self.limit) as self.workers:
            try:
                super().execute_all(items)
            finally:
                while self.running:
                    self.await_one()

    def may_begin(self, index: int, item: Any) -> bool:
        while self.running and len(self.running) + self.opened >= self.limit:
            self.await_one()
        return super().may_begin(index, item)

    def start(self, index: int, work: Callable[[], SettledNode]) -> None:
        def execute() -> SettledNode:
            set_work(self.work_ids)
            return work()

        while len(self.running) >= self.limit:
            self.await_one()
        self.running[self.workers.submit(execute)] = index

    def await_one(self) -> None:
        """Wait until an item has ended, and note its result."""
        for ended in wait(self.running, return_when=FIRST_COMPLETED).done:
            super().start(self.running.pop(ended), ended.result)

    def finish(self, mark: BegunAttempt, result: Any) -> SettledNode:
        with self.lock:
            return super().finish(mark, result)
