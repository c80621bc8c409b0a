"""Plugin runner: calls plugin nodes in isolation, so that their errors affect only themselves.

A plugin works on copies, in its own thread, which is abandoned if it does not end. The run's thread, with the record
and the database connection, executes its calls of the context (log, store, …). A result must use a declared branch;
everything else is a NodeError.
"""

from __future__ import annotations

import dataclasses
import logging
import queue
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from marshmallow import Schema, ValidationError

from constants import LEVELS
from errors import ERROR_KINDS, NodeError
from nodes.base import Branch, Context, Node, Suspend
from server_log import copy_work, set_work

log = logging.getLogger("headrace.nodes")
LATE_SECONDS = 0.5  # after the deadline, for a node that notices it itself: its own error is more specific
MAX_ABANDONED = 50
PACKAGE = "headrace_nodes"  # package of the files in HEADRACE_NODES_DIR
# Fields of the context that a node may use in its own thread; all others are called in the run's thread.
FREE = {"node_id", "inputs", "scope", "idempotency_key", "deadline", "services", "files"}

_abandoned: set[threading.Thread] = set()


def call(node: Node, work: Callable[[Context], Any], ctx: Context) -> Any:
    """Return the result of `work`, called in a new thread with a context that is safe there. Raises its errors, and
    NodeError if it does not end in time.
    """
    _check_abandoned()
    calls = CallQueue()
    result: Future[Any] = Future()
    ids = copy_work()

    def perform() -> None:
        set_work(ids)
        try:
            # Return the context for another thread. Its `scope` has no secrets; `credential` returns them.
            asked: dict[str, Any] = {
                field.name: Proxy(calls, getattr(ctx, field.name))
                for field in dataclasses.fields(ctx)
                if field.name not in FREE and getattr(ctx, field.name) is not None
            }

            # Invalid entries fail the node, and not the whole run.
            def write_log(node_id: str, level: str, message: str, data: Any) -> None:
                if level not in LEVELS:
                    raise NodeError(
                        f"ctx.log: the level {level!r:.50} must be one of: {', '.join(LEVELS)}", permanent=True
                    )
                ctx.write_log(node_id, level, str(message), data)

            asked["write_log"] = Proxy(calls, write_log)
            scope = {key: value for key, value in ctx.scope.items() if key != "secrets"}
            result.set_result(work(dataclasses.replace(ctx, inputs=Copies(ctx.inputs), scope=Copies(scope), **asked)))
        except BaseException as error:
            result.set_exception(error)
        if calls.is_closed:
            log.warning("Node %s (%s) ended after it was abandoned", ctx.node_id, node.type)
        calls.end()

    began = time.monotonic()
    thread = threading.Thread(target=perform, name=f"own-{node.type}", daemon=True)
    thread.start()
    if not calls.serve(None if ctx.deadline is None else ctx.deadline + LATE_SECONDS) and not result.done():
        _abandoned.add(thread)
        log.error("Node %s (%s) did not end in time; its thread is abandoned", ctx.node_id, node.type)
        given = (ctx.deadline or began) - began
        # With side effects, a second attempt must not start while the first may still be working.
        raise NodeError(f"did not end within {given:.2g} s and was abandoned", not node.pure, kind="timeout")
    return _outcome(result)


def _check_abandoned() -> None:
    for thread in list(_abandoned):
        if not thread.is_alive():
            _abandoned.discard(thread)
    if len(_abandoned) >= MAX_ABANDONED:
        raise NodeError(
            f"{MAX_ABANDONED} abandoned nodes of HEADRACE_NODES_DIR are still running; restart the server", kind="limit"
        )


def _outcome(result: Future[Any]) -> Any:
    error = result.exception()
    if error is None:
        return result.result()
    if isinstance(error, NodeError):
        seconds = error.retry_after if isinstance(error.retry_after, int | float) else 0.0
        kind = error.kind if error.kind in ERROR_KINDS else "code"
        raise NodeError(str(error.message), bool(error.permanent), seconds, kind) from error
    if isinstance(error, Exception):
        raise error
    # SystemExit and similar errors would end more than this node.
    raise NodeError(describe_with_place(error), kind="code") from error


class CallQueue:
    """Executes calls from a node's thread in the run's thread until the node has ended."""

    def __init__(self) -> None:
        self.is_closed = False
        self._asked: queue.SimpleQueue[tuple[Future[Any], Callable[[], Any]] | None] = queue.SimpleQueue()
        self._lock = threading.Lock()

    def ask(self, work: Callable[[], Any]) -> Any:
        """Execute `work` in the run's thread; return its result. Raises: its errors; NodeError after abandonment."""
        answer: Future[Any] = Future()
        with self._lock:
            if self.is_closed:
                raise NodeError("the node was abandoned", permanent=True, kind="timeout")
            self._asked.put((answer, work))
        return answer.result()

    def end(self) -> None:
        """Signal that the node has ended."""
        self._asked.put(None)

    def serve(self, until: float | None) -> bool:
        """Execute calls until the node has ended. Return False if it has not by `until`, on time.monotonic."""
        try:
            while True:
                left = None if until is None else max(0.0, until - time.monotonic())
                try:
                    item = self._asked.get(timeout=left)
                except queue.Empty:
                    return False
                if item is None:
                    return True
                answer, work = item
                try:
                    answer.set_result(work())
                except BaseException as error:
                    answer.set_exception(error)
                    if not isinstance(error, Exception):
                        raise
        finally:
            with self._lock:
                self.is_closed = True
            while not self._asked.empty():
                if (item := self._asked.get()) is not None:
                    item[0].set_exception(NodeError("the node was abandoned", permanent=True))


class Proxy:
    """A proxy for an object of the run's thread: every call of it or its methods is executed there."""

    def __init__(self, calls: CallQueue, target: Any) -> None:
        self._calls, self._target = calls, target

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._calls.ask(lambda: self._target(*args, **kwargs))

    def __getattr__(self, name: str) -> Proxy:
        return Proxy(self._calls, getattr(self._target, name))


class Copies(Mapping[str, Any]):
    """A mapping that copies each value on access."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        self._values = values

    def __getitem__(self, key: str) -> Any:
        return copy_value(self._values[key])

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)


def copy_value(value: Any) -> Any:
    """Return the value with its lists and objects copied."""
    if isinstance(value, dict):
        return {key: copy_value(item) for key, item in value.items()}
    if isinstance(value, list):
        return [copy_value(item) for item in value]
    return value


def check(node: Node, branches: tuple[str, ...], result: Any) -> None:
    """Raise NodeError if a result uses an undeclared branch, or an impossible wait."""
    if type(result) is Suspend:
        if not node.suspends:
            raise NodeError(
                f"{node.type} returned Suspend, but does not set suspends = True", permanent=True, kind="code"
            )
        if not isinstance(result.reason, str):
            raise NodeError(f"{node.type} returned Suspend with a reason that is not text", permanent=True, kind="code")
        if result.until is not None and (type(result.until) is not int or not 0 <= result.until < 2**53):
            raise NodeError(
                f"{node.type} returned Suspend with a time that is not in milliseconds", permanent=True, kind="code"
            )
        if result.until is None and result.run_id is None and not node.answers:
            raise NodeError(
                f"{node.type} returned Suspend without a time, but it can have no answer", permanent=True, kind="code"
            )
        return
    name = result.name if type(result) is Branch else None
    if name not in (branches or (None,)):
        returned = "no Branch" if name is None else f"the branch {str(name)[:100]!r}"
        declared = f"it declares: {', '.join(map(repr, branches))}" if branches else "it declares none"
        raise NodeError(f"{node.type} returned {returned}; {declared}", permanent=True, kind="code")


def describe_error(error: BaseException) -> str:
    """Return the error's class and message, such as `KeyError: 'rate'`."""
    name = type(error).__name__
    try:
        text = str(error)
    except Exception:
        return f"{name}, whose message cannot be shown"
    return f"{name}: {text}" if text else name


def describe_with_place(error: BaseException) -> str:
    """Return the same with its place in a file of HEADRACE_NODES_DIR, if it was raised there."""
    place = find_place(error)
    return f"{describe_error(error)} ({place})" if place else describe_error(error)


def find_place(error: BaseException) -> str:
    """Return the place in HEADRACE_NODES_DIR where it was raised, such as `rates.py, line 12`; empty if elsewhere."""
    found = ""
    for frame, line in traceback.walk_tb(error.__traceback__):
        if str(frame.f_globals.get("__name__", "")).startswith(f"{PACKAGE}."):
            found = f"{Path(frame.f_code.co_filename).name}, line {line}"
    return found


# Calls during validation of a definition


@contextmanager
def contain_errors(what: str) -> Iterator[None]:
    """Convert every error within, except ValidationError, to a NodeError that starts with `what`."""
    try:
        yield
    except (NodeError, ValidationError, KeyboardInterrupt):
        raise
    except BaseException as error:
        raise NodeError(f"{what} raised {describe_with_place(error)}", permanent=True, kind="code") from error


def branches(node: Node, config: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the branches under this raw config. Raises: NodeError if they are not valid names."""
    with contain_errors(f"{node.type}.branches"):
        names = node.branches(copy_value(config))
    if not isinstance(names, tuple) or not all(isinstance(name, str) and name for name in names):
        raise NodeError(f"{node.type}.branches must return a tuple of names", permanent=True)
    if len(set(names)) < len(names):
        raise NodeError(f"{node.type}.branches returned the same name twice", permanent=True)
    return names


def looks_at_steps(node: Node, config: Mapping[str, Any]) -> bool:
    """Return True if it may read outputs of any earlier node under this raw config. Raises: NodeError."""
    with contain_errors(f"{node.type}.looks_at_steps"):
        return bool(node.looks_at_steps(copy_value(config)))


def load_config(node: Node, schema: Schema, static: dict[str, Any], partial: tuple[str, ...]) -> dict[str, Any]:
    """Return the config as loaded by its schema. Raises: ValidationError; NodeError if the schema itself fails."""
    with contain_errors(f"{node.type}.Config"):
        config = schema.load(copy_value(static), partial=partial)
    if not isinstance(config, dict):
        raise NodeError(f"{node.type}.Config must return a dict", permanent=True)
    return config
