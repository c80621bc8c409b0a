"""How a loop of events and an ordinary thread work together.

The library that asks models lives in a loop of events. What a run does itself, its tools and its record, belongs to the
run's own thread: its connections are there, its guards, and tools that have loops of events of their own.
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
LOOK_SECONDS = 0.25  # how soon a run that is to end notices it while a model thinks
END_SECONDS = 5.0  # in which a loop that is cancelled ends


class Desk:
    """Runs a coroutine in a thread with a loop of events, and meanwhile what that wants done in this thread."""

    def __init__(self) -> None:
        self._orders: queue.SimpleQueue[tuple[Future[Any], Callable[[], Any]] | None] = queue.SimpleQueue()
        self._outcome: Future[Any] = Future()
        self._begun = threading.Event()
        self._cancel: Callable[[], None] = lambda: None

    async def do(self, work: Callable[..., T], *args: Any) -> T:
        """In the loop: what `work(*args)` gives in the thread that serves."""
        order: Future[T] = Future()
        self._orders.put((order, lambda: work(*args)))
        return await asyncio.wrap_future(order)

    def serve(self, make: Callable[[], Coroutine[Any, Any, Any]], check: Callable[[], None]) -> Any:
        """What the coroutine gives. Whatever `check`, which is asked again and again, raises ends it."""
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
        """Whether there may be more to do."""
        try:
            order = self._orders.get(timeout=LOOK_SECONDS)
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
                runner.get_loop()  # before there is a coroutine that nobody would ever await
                runner.run(self._cancellable(make))
        except BaseException as error:
            self._end(error)
        finally:
            self._begun.set()

    async def _cancellable(self, make: Callable[[], Coroutine[Any, Any, Any]]) -> None:
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        assert task is not None

        def cancel() -> None:
            with suppress(RuntimeError):  # it has just come to its end by itself
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
        """Say what it came to, once. The loop may take longer to close, for threads that look up names in its name."""
        if self._outcome.done():
            return
        if error is None:
            self._outcome.set_result(result)
        else:
            self._outcome.set_exception(error)
        self._orders.put(None)
