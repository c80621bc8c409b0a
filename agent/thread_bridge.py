"""Thread bridge: lets an event loop execute work in an ordinary thread.

The model libraries need an event loop. The run's tools and journal need its own thread, with its connections, guards,
and tools that run their own event loops.
"""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from contextlib import suppress
from typing import Any, TypeVar

T = TypeVar("T")
CHECK_SECONDS = 0.25  # interval of checks whether a run has to stop while a model answers
END_SECONDS = 5.0  # for a cancelled loop to end


class ThreadBridge:
    """Runs a coroutine in a second thread with an event loop, and executes its orders in the current thread."""

    def __init__(self) -> None:
        self._orders: queue.SimpleQueue[tuple[Future[Any], Callable[[], Any]] | None] = queue.SimpleQueue()
        self._outcome: Future[Any] = Future()
        self._begun = threading.Event()
        self._cancel: Callable[[], None] = lambda: None

    async def do(self, work: Callable[..., T], *args: Any) -> T:
        """Execute `work(*args)` in the serving thread and return its result. Call within the loop."""
        order: Future[T] = Future()
        self._orders.put((order, lambda: work(*args)))
        return await asyncio.wrap_future(order)

    def serve(self, make: Callable[[], Coroutine[Any, Any, Any]], check: Callable[[], None]) -> Any:
        """Return the result of the coroutine. `check` is called repeatedly; an exception from it ends the coroutine."""
        thread = threading.Thread(target=self._loop, args=(make,), name=f"{threading.current_thread().name}-loop")
        thread.daemon = True
        thread.start()
        self._begun.wait()
        try:
            while self._serve_one(check):
                continue
        finally:
            self._cancel()
            thread.join(END_SECONDS)
        return self._outcome.result()

    def _serve_one(self, check: Callable[[], None]) -> bool:
        """Execute one order. Return False if there will be no more."""
        try:
            order = self._orders.get(timeout=CHECK_SECONDS)
        except queue.Empty:
            check()
            return True
        if order is None:
            return False
        future, work = order
        if not future.set_running_or_notify_cancel():
            return True
        try:
            result = work()
        except Exception as error:
            future.set_exception(error)
        else:
            future.set_result(result)
        return True

    def _loop(self, make: Callable[[], Coroutine[Any, Any, Any]]) -> None:
        try:
            with asyncio.Runner() as runner:
                runner.get_loop()  # fails before a coroutine exists that would never be awaited
                runner.run(self._cancellable(make))
        except BaseException as error:
            self._end(error)
        finally:
            self._begun.set()

    async def _cancellable(self, make: Callable[[], Coroutine[Any, Any, Any]]) -> None:
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        assert task is not None

        def cancel() -> None:
            with suppress(RuntimeError):  # the loop has just ended
                loop.call_soon_threadsafe(task.cancel)

        self._cancel = cancel
        self._begun.set()
        try:
            result = await make()
        except Exception as error:
            self._end(error)
        else:
            self._end(None, result)

    def _end(self, error: BaseException | None, result: Any = None) -> None:
        """Set the outcome, once. The loop may take longer to close, because of threads resolving host names."""
        if self._outcome.done():
            return
        if error is None:
            self._outcome.set_result(result)
        else:
            self._outcome.set_exception(error)
        self._orders.put(None)
