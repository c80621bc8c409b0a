"""Parallel branches: executes independent nodes of one run at the same time, in threads (`settings.parallel`).

The run's own thread coordinates: it alone chooses the next nodes and changes the states of the run. A node is ready
once its sources, and the steps that its expressions read, are settled. The coordinator executes quick nodes itself,
and lends a thread to each of the others. After a failure no node begins, and those being executed are awaited.
"""

from __future__ import annotations

import threading
from copy import copy
from dataclasses import replace
from functools import partial
from heapq import heappop, heappush
from queue import SimpleQueue
from typing import Protocol, TypeAlias

from definition import Plan, PlannedNode
from execution.node import Cancelled, Failure, Running, SettledNode
from execution.types import Job, StepRecord, Workers
from server_log.work_ids import CURRENT, copy_work, set_work


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
        for position, count in enumerate(self.missing):
            if not count:
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
