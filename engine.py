"""The synchronous engine: runs a plan's nodes in topological order and hands every step, a value, to a callback.

It has no database, HTTP, threads or clock of its own: the job lends it what it needs. Only a node type of
HEADRACE_NODES_DIR has its own thread (nodes/plugin_runner.py). `plan` is exported too, so that
`engine.run(engine.plan(definition), job)` is a complete use.
"""

from __future__ import annotations

import functools
import logging
import random
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, NamedTuple

import orjson

from definition import Pin, Plan, PlannedNode, plan
from engine_types import Job, Open, Outcome, Settled, Step
from errors import DatabaseLost, ErrorKind, ExpressionError, NodeError
from nodes import plugin_runner
from nodes.base import Answer, Branch, Context, Suspend
from nodes.limits import MAX_UNMEASURED, encode, size_of
from server_log.work_ids import CURRENT

__all__ = ["Job", "Open", "Outcome", "Plan", "Settled", "Step", "encode", "plan", "run", "scope_of"]

log = logging.getLogger("headrace.engine")
NS_IN_MS = 1_000_000
MAX_ERROR_TEXT = 2_000
# The keys of the output of a node that responds: its body is a value, a file of the workspace, or bytes in base64.
RESPONSES = [{"status", "headers", kind} for kind in ("body", "file", "base64")]
RESPONSE_KEYS = 3


class Cancelled(Exception):
    """The run has to end early; the text says who wants that, or why."""

    def __init__(self, reason: str, kind: ErrorKind = "cancelled") -> None:
        super().__init__(reason)
        self.kind = kind


def run(plan: Plan, job: Job) -> Outcome:
    """Execute every live node of the plan, in order. An error of a node gives a failed Outcome and is never raised.

    Errors of `job.on_step` are raised, since a run whose steps cannot be recorded must not go on; except that a
    NodeError for a step that has ended counts as the failure of the node.
    """
    return _Run(plan, job).execute()


def scope_of(plan: Plan, job: Job, node_id: str) -> dict[str, Any]:
    """Return the scope of the expressions of a node, by the results in `job.settled`. Nothing is executed.

    Nodes without a result count as not executed. If no edge into the node is live, those from executed nodes count as
    live; without any there is no `input`.
    """
    run, node = _Run(plan, job), plan.by_id[node_id]
    for before in plan.nodes[: node.position]:
        done = job.settled.get((before.id, None), Settled(None, None, True))
        state = _State(not done.skipped, done.output, done.branch, before.id)
        run.states.append(state)
        if state.executed:
            run.steps[before.id] = state.output
    live = run.live(node)
    if live is None:
        sources = dict.fromkeys(at for at, _ in node.inputs if run.states[at].executed)
        live = tuple(plan.nodes[at] for at in sources)
    scope = _Execution(run, node, live).scope
    if node.inputs and not live:
        del scope["input"]
    return scope


class _State(NamedTuple):
    """A settled node: its branch and its output. `origin` is the node that made the output; `text` is the output as
    JSON, if this process made that.

    A node that is `held` waits, or depends on a node that waits.
    """

    executed: bool
    output: Any = None
    branch: str | None = None
    origin: str = ""
    held: bool = False
    text: bytes | None = None


HELD = _State(False, held=True)
NO_VARS: Mapping[str, Any] = {}


class _Failure(Exception):
    """A node failed finally with `on_error: fail`: the run ends."""

    def __init__(self, node: PlannedNode, message: str, kind: ErrorKind) -> None:
        super().__init__(message)
        self.node, self.message, self.kind = node, message, kind


class _Run:
    """One execution of a plan. `states` has the settled nodes, by position."""

    def __init__(self, plan: Plan, job: Job) -> None:
        self.plan = plan
        self.job = job
        self.seq = job.first_seq
        self.states: list[_State] = []
        self.waits: dict[str, str] = {}
        self.held: set[str] = set()
        links = job.links
        self.links = {} if links is None else {id_: links(id_) for id_ in plan.answerable}
        self.steps: dict[str, Any] = dict(self.links)
        self.timeout = min(plan.settings.timeout or job.timeout, job.timeout)
        self.deadline = time.monotonic() + self.timeout
        # The context of quick nodes: they use no services of the server, and keep no reference to it.
        self.context = Context("", {}, {}, "", self.deadline, job.log, keyring=job.keyring, files=job.files)
        self.scope = {
            "run": {"id": job.run_id},
            "workflow": {},
            **job.scope,
            "vars": {**job.scope.get("vars", NO_VARS), **plan.settings.vars},
            "secrets": job.keyring,
            "trigger": job.input,
            "steps": self.steps,
        }

    def execute(self) -> Outcome:
        CURRENT.execution = self
        try:
            for node in self.plan.nodes:
                state = self.settle(node)
                self.states.append(state)
                if state.executed:
                    self.steps[node.id] = state.output
                elif state.held:
                    self.held.add(node.id)
            output, text = (None, None) if self.waits else self.output()
        except _Failure as failure:
            return Outcome("failed", None, failure.message, failure.node.id, failure.kind, self.response())
        except Cancelled as cancelled:
            return Outcome("failed", None, str(cancelled), None, cancelled.kind, self.response())
        finally:
            CURRENT.execution = None
        if self.waits:
            return Outcome("waiting", response=self.response(), waits=self.waits)
        return Outcome("success", output, response=self.response(), text=text)

    def settle(self, node: PlannedNode) -> _State:
        """Skip, pass by or execute one node, unless it is done already, and return its state."""
        job = self.job
        if job.settled and (done := job.settled.get((node.id, None))) is not None:
            return _State(not done.skipped, done.output, done.branch, node.id)
        if self.held and self.is_held(node):
            return HELD
        live = self.live(node)
        if live is None:
            self.skip(node, ())
            return _State(False)
        if node.disabled:
            return self.pass_by(node, live)
        if node.pinned is not None:
            return self.pin(node, node.pinned, live)
        open_ = job.waiting.get(node.id) if job.waiting else None
        if open_ is not None and open_.answer is None:
            self.waits[node.id] = open_.reason
            return HELD
        self.check(node)
        execution = _Execution(self, node, live)
        if open_ is not None:
            return execution.go_on(open_)
        return execution.once() if node.foreach is None else execution.map(node.foreach)

    def is_held(self, node: PlannedNode) -> bool:
        """Return True if a source of the node, or a step that its expressions read, is not settled yet."""
        states = self.states
        looks = "*" in node.references or not self.held.isdisjoint(node.references)
        return looks or any(states[at].held for at, _ in node.inputs)

    def live(self, node: PlannedNode) -> tuple[PlannedNode, ...] | None:
        """Return the predecessors whose edge into this node is live; None if the node is not to be executed."""
        states, nodes = self.states, self.plan.nodes
        if node.inputs:
            found = [nodes[at] for at, way in node.inputs if states[at].executed and states[at].branch == way]
            return tuple(found) or None
        fired = self.job.trigger_node
        # A pinned node without inputs stands for the nodes before it, which are left out.
        is_cut = node.pinned is not None and not node.node.trigger
        return () if fired is None or fired == node.id or is_cut else None

    def given(self, live: tuple[PlannedNode, ...]) -> _State:
        """Return the input of a node: the run's input, the one live output, or an object of several."""
        if not live:
            return _State(True, self.job.input)
        if len(live) == 1:
            return self.states[live[0].position]
        return _State(True, self.together(live))

    def together(self, nodes: Sequence[PlannedNode]) -> dict[str, Any]:
        """Return an object of the outputs of these nodes; too large if many of them pass on the same large value."""
        outputs = {node.id: self.states[node.position].output for node in nodes}
        if len(nodes) > MAX_UNMEASURED:
            try:
                size_of(outputs, f"what {len(nodes)} nodes give together", 2 * self.job.max_value_bytes)
            except NodeError as error:
                raise _Failure(nodes[-1], error.message, error.kind) from None
        return outputs

    def pass_by(self, node: PlannedNode, live: tuple[PlannedNode, ...]) -> _State:
        """Pass the input of a disabled node on, as if its edges met. Skip a trigger, and a node with branches."""
        names = tuple(source.id for source in live)
        # A disabled node cannot choose a branch. Skip its successors too: a disabled check must never pass everything.
        if node.branches or node.node.trigger:
            self.skip(node, names)
            return _State(False)
        given = self.given(live)
        if given.origin:
            self.skip(node, names, same_as=given.origin)
        else:
            self.skip(node, names, output=self.encoded(node, given.output))
        return _State(True, given.output, None, given.origin or node.id)

    def pin(self, node: PlannedNode, pin: Pin, live: tuple[PlannedNode, ...]) -> _State:
        """Record the pinned output of a node, as if the node had just made it."""
        encoded = self.job.keyring.clean(self.encoded(node, pin.output))
        now, names = self.job.clock() // NS_IN_MS, tuple(source.id for source in live)
        mark = Mark(self.next_seq(), 1, None, None, now, 0.0)
        step = _step(node, mark, names, "success", now, {"output": encoded, "branch": pin.branch})
        self.job.on_step(step._replace(pure=True))
        return _State(True, orjson.loads(encoded), pin.branch, node.id)

    def encoded(self, node: PlannedNode, value: Any) -> bytes:
        try:
            return encode(value, self.job.max_value_bytes)
        except NodeError as error:
            raise _Failure(node, error.message, error.kind) from None

    def skip(self, node: PlannedNode, inputs: tuple[str, ...], **output: Any) -> None:
        """Record a node as skipped."""
        now = self.job.clock() // NS_IN_MS
        self.job.on_step(_step(node, Mark(self.next_seq(), 1, None, None, now, 0.0), inputs, "skipped", now, output))

    def check(self, node: PlannedNode) -> None:
        """Raise if the run must not go on to this node: it was cancelled, or its time is over."""
        reason = self.job.stop()
        if reason is not None:
            raise Cancelled(reason)
        if time.monotonic() > self.deadline:
            raise _Failure(node, f"the run exceeded its timeout of {self.timeout:g} s", "timeout")

    def limit(self) -> str:
        """Return the name and the seconds of the timeout that ends the run."""
        own = self.plan.settings.timeout is not None and self.plan.settings.timeout <= self.job.timeout
        whose = "the flow's timeout (settings.timeout)" if own else "the longest time of a run (HEADRACE_RUN_TIMEOUT)"
        return f"{whose} of {self.timeout:g} s"

    def output(self) -> tuple[Any, bytes | None]:
        """Return the output of the executed leaf, or an object of several, with its JSON text, if there is one.

        If no leaf was executed, it is the output of the last executed node, or of the node `until`.
        """
        states = self.states
        ends = [node for node in self.plan.leaves if states[node.position].executed]
        if not ends and self.plan.until is None:
            ends = [node for node in self.plan.nodes if states[node.position].executed][-1:]
        if len(ends) > 1:
            return self.together(ends), None
        end = states[ends[0].position] if ends else _State(False)
        return end.output, end.text

    def response(self) -> Any:
        """Return the output of the first node that responded to a webhook, else None."""
        for node in self.plan.responders:
            state = self.states[node.position] if node.position < len(self.states) else _State(False)
            if state.executed and is_response(state.output):
                return state.output
        return None

    def next_seq(self) -> int:
        if self.seq >= self.job.max_steps:
            raise Cancelled(f"the run exceeded its bound of {self.job.max_steps} steps", "limit")
        self.seq += 1
        return self.seq - 1


class Mark(NamedTuple):
    """A begun execution: the number of its step, its attempt, item and start (`clock`: `time.perf_counter`)."""

    seq: int
    attempt: int
    item_index: int | None
    item: bytes | None
    started_at: int
    clock: float


class _Execution:
    """The execution of one node: its items, attempts and errors."""

    def __init__(self, run: _Run, node: PlannedNode, live: tuple[PlannedNode, ...]) -> None:
        self.run, self.node, self.job = run, node, run.job
        states = run.states
        self.outputs = {source.id: states[source.position].output for source in live}
        self.inputs = tuple(self.outputs)
        self.given = run.given(live)
        self.size = 0  # bytes of its outputs so far, for all items
        self.scope: dict[str, Any] = {
            **run.scope,
            "input": self.given.output,
            "now": datetime.fromtimestamp(run.job.clock() / 1e9, UTC),
        }
        if node.addresses:
            others = {id_: step for id_, step in run.steps.items() if id_ not in node.addresses}
            shown = {id_: links for id_, links in run.links.items() if id_ in node.addresses}
            self.scope["steps"] = {**others, **shown}
        elif "*" in node.references:
            # A copy: the output of the node must not come to contain itself.
            self.scope["steps"] = dict(run.steps)

    def once(self) -> _State:
        """Execute the node once, for its whole input."""
        return self.attempts(None, self.given.output, self.scope, None)

    def go_on(self, open_: Open) -> _State:
        """Finish a step that waited, with its answer."""
        mark = Mark(open_.seq, open_.attempt, None, None, open_.started_at, 0.0)
        if not self.node.node.pure:
            self.job.on_step(_step(self.node, mark, self.inputs, "running", None, {}))
        return self.attempts(None, self.given.output, self.scope, None, (mark, open_.answer))

    def map(self, foreach: Any) -> _State:
        """Execute the node for each item. The output is the list of outputs; a failed item has an error object."""
        mark = self.begin(None, 1, None, announce=False)
        try:
            results = []
            for index, item in enumerate(self.items(foreach)):
                results.append(self.item(index, item))
                if self.size > self.job.max_value_bytes:
                    text = f"the outputs of {index + 1} items have {self.size} bytes"
                    text += f"; at most {self.job.max_value_bytes} are allowed"
                    raise NodeError(text, permanent=True, kind="limit")
            return self.finish(mark, results)
        except NodeError as error:
            return self.fail(mark, error)

    def items(self, foreach: Any) -> list[Any]:
        try:
            items = foreach.evaluate(self.scope)
        except ExpressionError as error:
            raise NodeError(f"foreach: {error}", permanent=True, kind="expression") from None
        if not isinstance(items, list):
            raise NodeError("foreach: the expression gives no list", permanent=True)
        if len(items) > self.job.max_items:
            text = f"foreach: {len(items)} items; at most {self.job.max_items} are allowed"
            raise NodeError(text, permanent=True, kind="limit")
        return items

    def item(self, index: int, item: Any) -> Any:
        """Return the output for one item. Raises: NodeError if it failed and `on_error` does not allow that."""
        done = self.job.settled.get((self.node.id, index))
        if done is not None:
            return done.output
        self.run.check(self.node)
        encoded = self.job.keyring.clean(encode(item, self.job.max_value_bytes))
        return self.attempts(index, item, {**self.scope, "item": item, "index": index}, encoded).output

    def attempts(
        self, index: int | None, given: Any, scope: dict[str, Any], item: bytes | None,
        begun: tuple[Mark, Answer | None] | None = None,
    ) -> _State:  # fmt: skip
        """Try, and try again as `retry` says, but not before the remote side allows it (`retry_after`).

        `begun` is a first attempt that has waited, and its answer.
        """
        retry = self.node.retry
        tried = self.job.tried.get((self.node.id, index), 0) if self.job.tried else 0
        mark, answer = begun or (self.begin(index, tried + 1, item), None)
        while True:
            try:
                return self.finish(mark, self.call(given, scope, index, answer, max(0, retry.attempts - mark.attempt)))
            except NodeError as error:
                left = self.run.deadline - time.monotonic()
                if error.permanent or mark.attempt >= retry.attempts or 0 < left < error.retry_after:
                    return self.fail(mark, error)
                self.record(mark, "failed", error_text=self.shown(error), error_kind=error.kind)
                pause = max(retry.pause(mark.attempt, random.random()), error.retry_after)
            self.job.sleep(max(0.0, min(pause, left)))
            self.run.check(self.node)
            mark, answer = self.begin(index, mark.attempt + 1, item), None

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
        if node.node.quick:
            ctx = self.run.context
            ctx.node_id, ctx.inputs, ctx.scope, ctx.deadline = node.id, self.outputs, scope, deadline
        else:
            ctx = self.context(scope, index, answer, retries, deadline)
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
            raise self.in_time(error, deadline) from error.__cause__
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
            node.id, self.outputs, scope, f"{job.run_id}:{node.id}:{index or 0}", deadline, job.log, job.store,
            job.services, job.flows, job.keyring, job.files, functools.partial(self.pause, deadline), retries,
            job.agents, job.stop, index, answer, self.links(), job.clock,
        )  # fmt: skip

    def in_time(self, error: NodeError, deadline: float) -> NodeError:
        """Return the error of an attempt; if a timeout ended the attempt, name that."""
        now = time.monotonic()
        if now >= self.run.deadline:
            ended_by = self.run.limit()
        elif now >= deadline:
            ended_by = f"the node's timeout of {self.node.timeout:g} s"
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

    def begin(self, index: int | None, attempt: int, item: bytes | None, announce: bool = True) -> Mark:
        """Begin an execution with a new number; one with effects is on record before it starts."""
        mark = Mark(self.run.next_seq(), attempt, index, item, self.job.clock() // NS_IN_MS, time.perf_counter())
        if announce and not self.node.node.pure:
            self.job.on_step(_step(self.node, mark, self.inputs, "running", None, {}))
        return mark

    def finish(self, mark: Mark, result: Any) -> _State:
        """Record a success. If a node passed its input on, the record names the origin and has no copy."""
        branch = None
        if type(result) is Suspend:
            result = replace(result, reason=self.job.keyring.clean_text(result.reason))
            self.record(mark, "waiting", wait=result)
            self.run.waits[self.node.id] = result.reason
            return HELD
        if type(result) is Branch:
            branch, result = result.name, result.value
        if result is self.given.output and self.given.origin and mark.item_index is None:
            self.record(mark, "success", same_as=self.given.origin, branch=branch)
            return _State(True, result, branch, self.given.origin, text=self.given.text)
        encoded = self.job.encoded_input if result is self.job.input else None
        if encoded is None:
            encoded = encode(result, self.job.max_value_bytes)
        cleaned = self.job.keyring.clean(encoded)
        if cleaned is not encoded:
            # The next nodes see the recorded value, as they would after a crash.
            encoded, result = cleaned, orjson.loads(cleaned)
        self.size += len(encoded)
        self.record(mark, "success", output=encoded, branch=branch)
        return _State(True, result, branch, self.node.id, text=encoded)

    def fail(self, mark: Mark, error: NodeError) -> _State:
        """Record a final failure, and continue, take the error branch, or end the run, as `on_error` says."""
        text = self.shown(error)
        in_list = mark.item_index is not None
        mode = self.node.on_error
        if mode == "fail" or (in_list and mode == "branch"):
            self.record(mark, "failed", error_text=text, error_kind=error.kind, final=not in_list)
            if in_list:
                raise NodeError(f"item {mark.item_index}: {text}", permanent=True, kind=error.kind)
            raise _Failure(self.node, text, error.kind)
        value = {"error": text, "index": mark.item_index} if in_list else {"error": text}
        branch = "error" if mode == "branch" else None
        self.record(mark, "failed", output=orjson.dumps(value), branch=branch, error_text=text, error_kind=error.kind)
        return _State(True, value, branch, self.node.id)

    def shown(self, error: NodeError) -> str:
        """Return the message of an error, redacted and cut to MAX_ERROR_TEXT characters."""
        # Half a surrogate pair is text to Python, but files and databases refuse it.
        text = self.job.keyring.clean_text(error.message).encode("utf-8", "replace").decode()
        return text if len(text) <= MAX_ERROR_TEXT else text[:MAX_ERROR_TEXT] + "…"

    def record(self, mark: Mark, status: str, **more: Any) -> None:
        """Hand an ended step to the record. Items of pure nodes are not recorded: to repeat them costs nothing."""
        if mark.item_index is None or not self.node.node.pure:
            ended = None if status == "waiting" else self.job.clock() // NS_IN_MS
            self.job.on_step(_step(self.node, mark, self.inputs, status, ended, more))


def _step(
    node: PlannedNode, mark: Mark, inputs: tuple[str, ...], status: str, finished_at: int | None,
    more: dict[str, Any],
) -> Step:  # fmt: skip
    # A dict, not `**more`: Python would compare each name in it with the names of all parameters.
    if finished_at is None:
        duration = None
    else:
        # A mark without a clock was not measured in this process: the step waited, or was not executed.
        duration = (time.perf_counter() - mark.clock) * 1000 if mark.clock else float(finished_at - mark.started_at)
    return Step(
        mark.seq, node.id, node.type, node.name, status, mark.attempt, mark.item_index, inputs, mark.item,
        mark.started_at, finished_at, duration, node.node.pure, **more,
    )  # fmt: skip


def is_response(output: Any) -> bool:
    """Return True if the output of a node that responds is a response; with `foreach` or after an error it is not."""
    return isinstance(output, dict) and len(output) == RESPONSE_KEYS and output.keys() in RESPONSES
