"""The synchronous engine: runs a plan's nodes in topological order and hands every step, a value, to a callback.

It has no database, HTTP, threads or clock of its own: the job provides them as functions. With `settings.parallel`,
a coordinator chooses the order, in threads that the job lends. Only a node type of HEADRACE_NODES_DIR has its own
thread (nodes/plugin_runner.py). `plan` is exported too: `engine.run(engine.plan(definition), job)` is a complete use.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping
from copy import copy
from dataclasses import replace
from functools import partial
from heapq import heappop, heappush
from itertools import count
from queue import SimpleQueue
from typing import Any, Protocol, TypeAlias

import orjson

from definition import Pin, Plan, PlannedNode, plan
from errors import NodeError
from node_execution import (
    HELD,
    NS_IN_MS,
    SEVERAL,
    BegunAttempt,
    Cancelled,
    Execution,
    Failure,
    Job,
    Open,
    Outcome,
    Running,
    Settled,
    SettledNode,
    StepRecord,
    Ways,
    Workers,
    check_time,
    find_input,
    get_now,
    make_loop,
    make_step,
    name_sources,
    next_seq,
    put_together,
)
from nodes.base import Context
from nodes.credentials.keyring import Keyring
from nodes.limits import encode
from server_log import CURRENT, copy_work, set_work

__all__ = [
    "Job",
    "Open",
    "Outcome",
    "Plan",
    "Settled",
    "StepRecord",
    "encode",
    "encode_output",
    "plan",
    "run",
    "scope_of",
]

# The keys of the output of a node that responds: its body is a value, a file of the workspace, or bytes in base64.
RESPONSES = [{"status", "headers", kind} for kind in ("body", "file", "base64")]
RESPONSE_KEYS = 3


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
        state = state_of(before, done)
        run.states.append(state)
        if state.executed:
            run.steps[before.id] = state.output
    live = run.live(node)
    if live is None:
        sources = dict.fromkeys(at for at, _ in node.inputs if run.states[at].executed)
        live = tuple(plan.nodes[at] for at in sources)
    scope = {"now": get_now(job), **Execution(run, node, live).scope}
    if node.inputs and not live:
        del scope["input"]
    return scope


NO_VARS: Mapping[str, Any] = {}


class _Run:
    """One execution of a plan. `states` has the settled nodes, by position."""

    def __init__(self, plan: Plan, job: Job) -> None:
        self.plan = plan
        self.job = job
        self.numbers: Iterator[int] = count(job.first_seq)
        self.states: list[SettledNode] = []
        self.waits: dict[str, str] = {}
        self.held: set[str] = set()
        links = job.links
        self.links = {} if links is None else {id_: links(id_) for id_ in plan.answerable}
        self.steps: dict[str, Any] = dict(self.links)
        self.ends_at: int | None = None  # by the flow's timeout, in ms since 1970
        seconds = job.timeout
        if plan.settings.timeout is not None:
            now = job.clock() // NS_IN_MS
            self.ends_at = (job.started_at or now) + int(plan.settings.timeout * 1000)
            seconds = min(seconds, (self.ends_at - now) / 1000)
        self.deadline = time.monotonic() + seconds
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
            if self.plan.settings.parallel > 1 and self.job.workers is not None:
                self.settle_in_parallel()
            else:
                for node in self.plan.nodes:
                    state = self.settle(node)
                    self.states.append(state)
                    if state.executed:
                        self.steps[node.id] = state.output
                    elif state.held:
                        self.held.add(node.id)
            output, text = (None, None) if self.waits else self.output()
        except Failure as failure:
            return Outcome("failed", None, failure.message, failure.node.id, failure.kind, self.response())
        except Cancelled as cancelled:
            return Outcome("failed", None, str(cancelled), None, cancelled.kind, self.response())
        finally:
            CURRENT.execution = None
        if self.waits:
            return Outcome("waiting", response=self.response(), waits=self.waits)
        return Outcome("success", output, response=self.response(), text=text)

    def settle_in_parallel(self) -> None:

        settle_all(self)

    def settle(self, node: PlannedNode) -> SettledNode:
        """Skip, pass by or execute one node, unless it is done already, and return its state."""
        job = self.job
        if job.settled and (done := job.settled.get((node.id, None))) is not None:
            return state_of(node, done)
        if self.held and self.is_held(node):
            return HELD
        live = self.live(node)
        if live is None:
            self.skip(node, ())
            return SettledNode(False)
        if node.disabled:
            return self.pass_by(node, live)
        if node.pinned is not None:
            return self.pin(node, node.pinned, live)
        open_ = job.waiting.get(node.id) if job.waiting else None
        if open_ is not None and open_.answer is None:
            self.waits[node.id] = open_.reason
            return HELD
        check_time(self, node, open_)
        if node.foreach is not None:
            return make_loop(self, node, live).map(open_)
        execution = Execution(self, node, live)
        return execution.once() if open_ is None else execution.go_on(open_)

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
            if len(found) > 1 and self.plan.routes_items:
                found = list({source.id: source for source in found}.values())
            return tuple(found) or None
        fired = self.job.trigger_node
        # A pinned node without inputs stands for the nodes before it, which are left out.
        is_cut = node.pinned is not None and not node.node.trigger
        return () if fired is None or fired == node.id or is_cut else None

    def pass_by(self, node: PlannedNode, live: tuple[PlannedNode, ...]) -> SettledNode:
        """Pass the input of a disabled node on, as if its edges met. Skip a trigger, and a node with branches."""
        names = name_sources(self, node, live)
        # A disabled node cannot choose a branch. Skip its successors too: a disabled check must never pass everything.
        if node.branches or node.node.trigger:
            self.skip(node, names)
            return SettledNode(False)
        given = find_input(self, node, live)
        if given.origin:
            self.skip(node, names, same_as=given.origin)
        else:
            self.skip(node, names, output=self.encoded(node, given.output))
        return SettledNode(True, given.output, None, given.origin or node.id)

    def pin(self, node: PlannedNode, pin: Pin, live: tuple[PlannedNode, ...]) -> SettledNode:
        """Record the pinned output of a node, as if the node had just made it."""
        encoded = self.job.keyring.clean(self.encoded(node, pin.output))
        now, names = self.job.clock() // NS_IN_MS, name_sources(self, node, live)
        mark = BegunAttempt(next_seq(self), 1, None, None, now, 0.0)
        step = make_step(node, mark, names, "success", now, {"output": encoded, "branch": pin.branch})
        self.job.on_step(step._replace(pure=True))
        return SettledNode(True, orjson.loads(encoded), pin.branch, node.id)

    def encoded(self, node: PlannedNode, value: Any) -> bytes:
        try:
            return encode(value, self.job.max_value_bytes)
        except NodeError as error:
            raise Failure(node, error.message, error.kind) from None

    def skip(self, node: PlannedNode, inputs: tuple[str, ...], **output: Any) -> None:
        """Record a node as skipped."""
        now = self.job.clock() // NS_IN_MS
        self.job.on_step(
            make_step(node, BegunAttempt(next_seq(self), 1, None, None, now, 0.0), inputs, "skipped", now, output)
        )

    def output(self) -> tuple[Any, bytes | None]:
        """Return the output of the executed leaf, or an object of several, with its JSON text, if there is one.

        If no leaf was executed, it is the output of the last executed node, or of the node `until`.
        """
        states = self.states
        ends = [node for node in self.plan.leaves if states[node.position].executed]
        if not ends and self.plan.until is None:
            ends = [node for node in self.plan.nodes if states[node.position].executed][-1:]
        if len(ends) > 1:
            return put_together(self, ends), None
        end = states[ends[0].position] if ends else SettledNode(False)
        return end.output, end.text

    def response(self) -> Any:
        """Return the output of the first node that responded to a webhook, else None."""
        for node in self.plan.responders:
            state = self.states[node.position] if node.position < len(self.states) else SettledNode(False)
            if state.executed and is_response(state.output):
                return state.output
        return None


def state_of(node: PlannedNode, done: Settled) -> SettledNode:
    """Return the state of a node that an earlier attempt of the run has settled."""
    if node.routes_items and done.branch == SEVERAL:
        return SettledNode(not done.skipped, done.output, Ways(done.output), node.id)
    return SettledNode(not done.skipped, done.output, done.branch, node.id)


def is_response(output: Any) -> bool:
    """Return True if the output of a node that responds is a response; with `foreach` or after an error it is not."""
    return isinstance(output, dict) and len(output) == RESPONSE_KEYS and output.keys() in RESPONSES


def encode_output(outcome: Outcome, keyring: Keyring, max_bytes: int) -> tuple[bytes | None, Outcome]:
    """Return the output of an ended run as JSON text, and its outcome, which is failed if the output is too large."""
    if outcome.status != "success":
        return None, outcome
    try:
        # Each step is redacted already, but not a change that a node made to its input, nor a value that became a
        # secret later.
        return keyring.clean(outcome.text or encode(outcome.output, max_bytes)), outcome
    except NodeError as error:
        return None, Outcome("failed", None, error.message, error_kind=error.kind, response=outcome.response)


# Parallel branches: executes independent nodes of one run at the same time, in threads (`settings.parallel`).
#
# The run's own thread coordinates: it alone chooses the next nodes and changes the states of the run. A node is ready
# once its sources, and the steps that its expressions read, are settled. The coordinator executes quick nodes itself,
# and lends a thread to each of the others. After a failure no node begins, and those being executed are awaited.


class Settling(Running, Protocol):
    """The parts of a run (`engine._Run`) that the coordinator uses."""

    held: set[str]

    def settle(self, node: PlannedNode) -> SettledNode: ...

    def is_held(self, node: PlannedNode) -> bool: ...

    def live(self, node: PlannedNode) -> tuple[PlannedNode, ...] | None: ...


Ready: TypeAlias = list[tuple[int, Settling]]  # a heap of positions in the plan, each with its view of the run


def settle_all(run: Settling) -> None:
    """Settle every node of the plan. Raises the first error of a node, once no other is being executed."""
    assert run.job.workers is not None
    with run.job.workers(run.plan.settings.parallel) as workers:
        _Coordinator(run, workers).settle_all()


def find_needs(plan: Plan) -> list[set[int]]:
    """Return, for each node, the positions of the nodes that must be settled before it.

    A node that may read any step waits for all before it in the plan. So does a node that responds for the one that
    responds before it: the first of them in the plan gives the response.
    """
    places = {node.id: node.position for node in plan.nodes}
    found: list[set[int]] = []
    reader, responder = 0, set[int]()
    for node in plan.nodes:
        needs = {at for at, _ in node.inputs} | {places[id_] for id_ in node.references & places.keys()}
        if "*" in node.references:
            # Those before the last such node are settled when that is.
            needs.update(range(reader, node.position))
            reader = node.position
        if node.node.responds and not node.disabled:
            needs |= responder
            responder = {node.position}
        found.append(needs)
    return found


class _Coordinator:
    """Settles the nodes of one run, at most `parallel` of them at the same time."""

    def __init__(self, run: Settling, workers: Workers) -> None:
        self.run, self.workers = run, workers
        self.nodes, self.limit = run.plan.nodes, run.plan.settings.parallel
        run.states = [SettledNode(False)] * len(self.nodes)
        self.job: Job = replace(run.job, on_step=self.on_step)
        self.followers: list[list[int]] = [[] for _ in self.nodes]
        self.missing: list[int] = []  # for each node, how many others it waits for
        self.quick: Ready = []
        self.others: Ready = []
        self.begun = 0  # nodes whose end is not noted yet
        self.ended: SimpleQueue[tuple[PlannedNode, SettledNode | BaseException]] = SimpleQueue()
        self.errors: list[BaseException] = []
        self.final: str | None = None  # the node whose failure is recorded as the end of the run
        self.lock = threading.Lock()

    def settle_all(self) -> None:
        for node, needs in zip(self.nodes, find_needs(self.run.plan), strict=True):
            self.missing.append(len(needs))
            for at in needs:
                self.followers[at].append(node.position)
        for position, missing in enumerate(self.missing):
            if not missing:
                self.make_ready(position)
        while self.begin_all():
            self.note(*self.ended.get())
        if self.errors:
            raise self.choose_error()

    def begin_all(self) -> int:
        """Begin the nodes that may begin now. Return the number of nodes whose end is not noted yet."""
        while not self.errors and (self.quick or (self.others and self.begun < self.limit)):
            is_quick = bool(self.quick)
            position, view = heappop(self.quick if is_quick else self.others)
            work = partial(self.settle, view, self.nodes[position])
            # Nothing could be executed beside the only node that is ready, so it needs no thread.
            is_alone = not self.begun and not self.others
            self.begun += 1
            if is_quick or is_alone:
                work()
            else:
                self.workers.submit(partial(_with_work, copy_work(), work))
        return self.begun

    def settle(self, view: Settling, node: PlannedNode) -> None:
        """Settle a node, in any thread, and report its end to the coordinator."""
        CURRENT.execution = view
        try:
            self.ended.put((node, view.settle(node)))
        except BaseException as error:
            with self.lock:
                self.errors.append(error)
            self.ended.put((node, error))

    def note(self, node: PlannedNode, result: SettledNode | BaseException) -> None:
        self.begun -= 1
        if isinstance(result, BaseException):
            return
        run = self.run
        run.states[node.position] = result
        if result.executed:
            run.steps[node.id] = result.output
        elif result.held:
            run.held.add(node.id)
        for position in self.followers[node.position]:
            self.missing[position] -= 1
            if not self.missing[position]:
                self.make_ready(position)

    def make_ready(self, position: int) -> None:
        node = self.nodes[position]
        view = self.make_view(node)
        heappush(self.quick if self.ends_at_once(view, node) else self.others, (position, view))

    def make_view(self, node: PlannedNode) -> Settling:
        """Return the run as the node sees it, with a context of its own.

        A node that may read any step sees those before it in the plan, whatever else is settled already.
        """
        view = copy(self.run)
        view.job, view.context = self.job, copy(view.context)
        if "*" in node.references or node.addresses:
            before = [(other.id, view.states[other.position]) for other in self.nodes[: node.position]]
            view.held = {id_ for id_, state in before if state.held}
            view.steps = {**view.links, **{id_: state.output for id_, state in before if state.executed}}
            view.scope = {**view.scope, "steps": view.steps}
        return view

    def ends_at_once(self, view: Settling, node: PlannedNode) -> bool:
        """Return True if the node needs no thread, because it is quick or will not be executed."""
        if node.is_quick or node.disabled or node.pinned is not None or (node.id, None) in view.job.settled:
            return True
        return view.is_held(node) or view.live(node) is None

    def on_step(self, step: StepRecord) -> None:
        """Record a step. Of several failures, only the first is recorded as the one that ends the run."""
        if not step.final:
            self.run.job.on_step(step)
            return
        with self.lock:
            is_first = self.final is None and not self.errors
            self.final = step.node_id if is_first else self.final
            self.run.job.on_step(step._replace(final=is_first))

    def choose_error(self) -> BaseException:
        """Return the error that ends the run: one of its record if there is one, else the first of a node."""
        of_record = [error for error in self.errors if not isinstance(error, Failure | Cancelled)]
        final = [error for error in self.errors if isinstance(error, Failure) and error.node.id == self.final]
        return [*of_record, *final, *self.errors][0]


def _with_work(work_ids: dict[str, object], work: partial[None]) -> None:
    set_work(work_ids)
    work()
