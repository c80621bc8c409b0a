"""Loops: the execution of a node for each item of a list (`foreach`), one after the other or several at once.

An item is a checkpoint: a finished one is not executed again. A loop whose items wait is a waiting step itself, which
goes on when an item needs it; then items that have not begun begin, as `concurrency` allows.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, wait
from functools import partial
from typing import Any, cast

from definition import PlannedNode
from errors import ErrorKind, ExpressionError, NodeError
from execution.node import HELD, BegunAttempt, Execution, Running, SettledNode, Ways, check_time
from execution.types import SEVERAL, Open, Workers
from nodes.base import Branch, Suspend, WaitKind
from nodes.limits import encode
from server_log.work_ids import copy_work, set_work


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
        self.mark = self.begin(None, 1, None, announce=False) if open_ is None else _mark_of(open_)
        try:
            results = self.collect(self.items(), open_)
            if results is None:
                return HELD
            return self.route(results) if self.node.routes_items else self.finish(self.mark, _outputs(results))
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
            self.error = NodeError(open_.error_text, permanent=True, kind=cast(ErrorKind, open_.error_kind))
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


def _outputs(results: list[SettledNode]) -> list[Any]:
    return [state.output for state in results]


def _mark_of(open_: Open) -> BegunAttempt:
    return BegunAttempt(open_.seq, open_.attempt, None, None, open_.started_at, 0.0)
