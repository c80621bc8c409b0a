"""How a node type that is not ours is called: apart, so that what it does wrong stays with it.

It works on copies, in a thread of its own that is left behind if it does not end. What it asks of its run (the log, the
store…) the run's own thread does, which has the record and the connection to the database. What it gives leaves by a
branch that it declares; everything else is a NodeError.
"""

from __future__ import annotations

import dataclasses
import logging
import queue
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from marshmallow import Schema, ValidationError

from errors import NodeError
from nodes.base import Branch, Context, Node, Suspend

log = logging.getLogger("headrace.nodes")
LATE_SECONDS = 0.5  # beyond the deadline, for a node that notices it by itself: its own error says more
MAX_LEFT = 50
LEVELS = ("debug", "info", "warning", "error")
PACKAGE = "headrace_nodes"  # of which the files of HEADRACE_NODES_DIR are modules
# What a node may use in its own thread; all else in the context is asked for.
FREE = {"node_id", "inputs", "scope", "idempotency_key", "deadline", "services", "files"}

_left: set[threading.Thread] = set()


def call(node: Node, work: Callable[[Context], Any], ctx: Context) -> Any:
    """What `work` gives when the node's thread calls it with a context that is safe there. Raises what it raises, and
    NodeError where it does not end in time.
    """
    _check_left()
    desk = Desk()
    result: Future[Any] = Future()

    def perform() -> None:
        try:
            result.set_result(work(_lent(ctx, desk)))
        except BaseException as error:
            result.set_exception(error)
        if desk.is_closed:
            log.warning("node %s (%s) has ended after it was given up", ctx.node_id, node.type)
        desk.leave()

    began = time.monotonic()
    thread = threading.Thread(target=perform, name=f"own-{node.type}", daemon=True)
    thread.start()
    if not desk.serve(None if ctx.deadline is None else ctx.deadline + LATE_SECONDS) and not result.done():
        _left.add(thread)
        log.error("node %s (%s) does not end; its thread is left behind", ctx.node_id, node.type)
        given = (ctx.deadline or began) - began
        # Where it has effects, a second attempt must not begin while the first may still be at it.
        raise NodeError(f"did not end within {given:.2g} s and was given up", permanent=not node.pure)
    return _outcome(result)


def _check_left() -> None:
    for thread in list(_left):
        if not thread.is_alive():
            _left.discard(thread)
    if len(_left) >= MAX_LEFT:
        raise NodeError(f"{MAX_LEFT} nodes of HEADRACE_NODES_DIR were given up and run on; restart the server")


def _outcome(result: Future[Any]) -> Any:
    error = result.exception()
    if error is None:
        return result.result()
    if isinstance(error, NodeError):
        seconds = error.retry_after if isinstance(error.retry_after, int | float) else 0.0
        raise NodeError(str(error.message), bool(error.permanent), seconds) from error
    if isinstance(error, Exception):
        raise error
    # SystemExit and the like would end more than this node.
    raise NodeError(told(error)) from error


class Desk:
    """Where a node's thread asks for something, and the run's thread serves it until the node has ended."""

    def __init__(self) -> None:
        self.is_closed = False
        self._asked: queue.SimpleQueue[tuple[Future[Any], Callable[[], Any]] | None] = queue.SimpleQueue()
        self._lock = threading.Lock()

    def ask(self, work: Callable[[], Any]) -> Any:
        """What `work` gives or raises, called in the run's thread. NodeError once the node was given up."""
        answer: Future[Any] = Future()
        with self._lock:
            if self.is_closed:
                raise NodeError("the node was given up", permanent=True)
            self._asked.put((answer, work))
        return answer.result()

    def leave(self) -> None:
        """Say that the node has ended."""
        self._asked.put(None)

    def serve(self, until: float | None) -> bool:
        """Do what is asked for until the node has ended; False where that is not by `until`, on time.monotonic."""
        try:
            while True:
                left = None if until is None else max(0.0, until - time.monotonic())
                try:
                    item = self._asked.get(timeout=left)
                except queue.Empty:
                    return False
                if item is None:
                    return True
                _do(*item)
        finally:
            self._close()

    def _close(self) -> None:
        with self._lock:
            self.is_closed = True
        while not self._asked.empty():
            if (item := self._asked.get()) is not None:
                item[0].set_exception(NodeError("the node was given up", permanent=True))


def _do(answer: Future[Any], work: Callable[[], Any]) -> None:
    try:
        answer.set_result(work())
    except BaseException as error:
        answer.set_exception(error)
        if not isinstance(error, Exception):
            raise


class Asking:
    """Stands for something that only the run's thread may use: each call of it, or of a method, is asked for."""

    def __init__(self, desk: Desk, target: Any) -> None:
        self._desk, self._target = desk, target

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._desk.ask(lambda: self._target(*args, **kwargs))

    def __getattr__(self, name: str) -> Asking:
        return Asking(self._desk, getattr(self._target, name))


def _lent(ctx: Context, desk: Desk) -> Context:
    """The context as a node may have it in another thread. Its `scope` has no secrets; `credential` gives those."""
    asked: dict[str, Any] = {
        field.name: Asking(desk, getattr(ctx, field.name))
        for field in dataclasses.fields(ctx)
        if field.name not in FREE and getattr(ctx, field.name) is not None
    }
    asked["write_log"] = Asking(desk, _checked_log(ctx.write_log))
    scope = {key: value for key, value in ctx.scope.items() if key != "secrets"}
    return dataclasses.replace(ctx, inputs=Copies(ctx.inputs), scope=Copies(scope), **asked)


def _checked_log(write: Callable[[str, str, str, Any], None]) -> Callable[[str, str, str, Any], None]:
    """The log, where an entry that the database would not take fails its node, and not the whole run."""

    def write_log(node_id: str, level: str, message: str, data: Any) -> None:
        if level not in LEVELS:
            raise NodeError(f"ctx.log: the level is {level!r:.50}; it must be {', '.join(LEVELS)}", permanent=True)
        write(node_id, level, str(message), data)

    return write_log


class Copies(Mapping[str, Any]):
    """A mapping that gives a copy of each value, made when it is asked for."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        self._values = values

    def __getitem__(self, key: str) -> Any:
        return copied(self._values[key])

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)


def copied(value: Any) -> Any:
    """The value with new lists and objects; what is neither stays what it is."""
    if isinstance(value, dict):
        return {key: copied(item) for key, item in value.items()}
    if isinstance(value, list):
        return [copied(item) for item in value]
    return value


def check(node: Node, branches: tuple[str, ...], result: Any) -> None:
    """NodeError where a result leaves by no branch that is declared, or waits for what will never come."""
    if type(result) is Suspend:
        _check_wait(node, result)
        return
    way = result.name if type(result) is Branch else None
    if way in (branches or (None,)):
        return
    offer = f"it declares {', '.join(map(repr, branches))}" if branches else "it declares none"
    said = "gave no Branch" if way is None else f"left by the branch {str(way)[:100]!r}"
    raise NodeError(f"{node.type} {said}; {offer}", permanent=True)


def _check_wait(node: Node, wait: Suspend) -> None:
    if not node.suspends:
        raise NodeError(f"{node.type} gave Suspend, but does not say suspends = True", permanent=True)
    if not isinstance(wait.reason, str):
        raise NodeError(f"{node.type} gave Suspend with a reason that is no text", permanent=True)
    if wait.until is not None and (type(wait.until) is not int or not 0 <= wait.until < 2**53):
        raise NodeError(f"{node.type} gave Suspend with a time that is no number of milliseconds", permanent=True)
    if wait.until is None and wait.run_id is None and not node.answers:
        raise NodeError(f"{node.type} gave Suspend without a time, and there is nobody to answer", permanent=True)


def said(error: BaseException) -> str:
    """The error's class and message, such as `KeyError: 'rate'`."""
    name = type(error).__name__
    try:
        text = str(error)
    except Exception:
        return f"{name}, which cannot be shown"
    return f"{name}: {text}" if text else name


def told(error: BaseException) -> str:
    """The same, with its place in a file of HEADRACE_NODES_DIR where it comes from there: for those who wrote it."""
    place = place_of(error)
    return f"{said(error)} ({place})" if place else said(error)


def place_of(error: BaseException) -> str:
    """Where in the files of HEADRACE_NODES_DIR it was raised, such as `rates.py, line 12`; empty where it was not."""
    found = ""
    trace = error.__traceback__
    while trace is not None:
        name = trace.tb_frame.f_globals.get("__name__", "")
        if str(name).startswith(f"{PACKAGE}."):
            found = f"{Path(trace.tb_frame.f_code.co_filename).name}, line {trace.tb_lineno}"
        trace = trace.tb_next
    return found


# What is called while a definition is checked


@contextmanager
def contained(what: str) -> Iterator[None]:
    """Whatever is raised meanwhile is a NodeError that begins with `what`, but for ValidationError."""
    try:
        yield
    except (NodeError, ValidationError, KeyboardInterrupt):
        raise
    except BaseException as error:
        raise NodeError(f"{what} raised {told(error)}", permanent=True) from error


def branches(node: Node, config: Mapping[str, Any]) -> tuple[str, ...]:
    """The branches that it declares under this raw config; NodeError where they are no names."""
    with contained(f"{node.type}.branches"):
        names = node.branches(copied(config))
    if not isinstance(names, tuple) or not all(isinstance(name, str) and name for name in names):
        raise NodeError(f"{node.type}.branches must give a tuple of names", permanent=True)
    if len(set(names)) < len(names):
        raise NodeError(f"{node.type}.branches gives the same name twice", permanent=True)
    return names


def looks_at_steps(node: Node, config: Mapping[str, Any]) -> bool:
    """Whether it may look at outputs of any node before it, under this raw config; NodeError."""
    with contained(f"{node.type}.looks_at_steps"):
        return bool(node.looks_at_steps(copied(config)))


def loaded(node: Node, schema: Schema, static: dict[str, Any], partial: tuple[str, ...]) -> dict[str, Any]:
    """The config as its schema loads it. ValidationError, and NodeError where the schema itself fails."""
    with contained(f"{node.type}.Config"):
        config = schema.load(copied(static), partial=partial)
    if not isinstance(config, dict):
        raise NodeError(f"{node.type}.Config must give a dict", permanent=True)
    return config
