"""Execution of one node: its input, attempts, rounds and errors, and the steps that it hands to the record."""

from __future__ import annotations

import functools
import logging
import math
import random
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, NamedTuple, Protocol

import orjson

from definition import Plan, PlannedNode
from errors import DatabaseLost, ErrorKind, NodeError
from execution.types import Job, Open, StepRecord
from nodes import plugin_runner
from nodes.base import Answer, Branch, Context, Suspend, WaitKind
from nodes.limits import MAX_UNMEASURED, encode, size_of

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
