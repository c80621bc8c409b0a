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
from typing import Any, TypeVar

T = TypeVar("T")
CHECK_SECONDS = 0.25  # interval of checks whether a run has to stop while a model answers
END_SECONDS = 5.0  # for a cancelled loop to end


class ThreadBridge:
    """Runs a coroutine in a second thread with an event loop, and executes its orders in the current thread."""

    def __init__(self) -> None:
        self._orders: queue.SimpleQueue[tuple[Future[Any], Callable[[], Any]] | None] = queue.SimpleQueue()

    async def do(self, work: Callable[..., T], *args: Any) -> T:
        """Execute `work(*args)` in the serving thread and return its result. Call within the loop."""
        order: Future[T] = Future()
        self._orders.put((order, lambda: work(*args)))
        return await asyncio.wrap_future(order)

    def serve(self, make: Callable[[], Coroutine[Any, Any, Any]], check: Callable[[], None]) -> Any:
        """Return the result of the coroutine. `check` is called repeatedly; an exception from it ends the coroutine."""
        loop = asyncio.new_event_loop()
        thread = threading.Thread(target=_run, args=(loop,), name=f"{threading.current_thread().name}-loop")
        thread.daemon = True
        try:
            thread.start()
        except RuntimeError:
            loop.close()
            raise
        outcome = asyncio.run_coroutine_threadsafe(make(), loop)
        outcome.add_done_callback(lambda _: self._orders.put(None))
        try:
            while self._serve_one(check):
                continue
        finally:
            loop.call_soon_threadsafe(loop.stop)
            # It may take longer to close, because of threads resolving host names.
            thread.join(END_SECONDS)
        return outcome.result()

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


def _run(loop: asyncio.AbstractEventLoop) -> None:
    """Run the loop until it is stopped, then cancel its tasks and close it."""
    with asyncio.Runner(loop_factory=lambda: loop):
        loop.run_forever()
