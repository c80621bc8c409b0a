"""Threads of a loop that executes several items at once. Each closes its connection to the database at its end."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

from database import disconnect_thread


class Workers:
    """Threads for the items of one loop."""

    def __init__(self, pool: ThreadPoolExecutor) -> None:
        self._pool = pool

    def submit(self, work: Callable[[], Any], /) -> Future[Any]:
        """Execute the work in a free thread."""

        def run() -> Any:
            try:
                return work()
            finally:
                disconnect_thread()

        return self._pool.submit(run)


@contextmanager
def make_workers(count: int) -> Iterator[Workers]:
    """Give up to `count` threads, and wait for them at the end."""
    with ThreadPoolExecutor(count, thread_name_prefix="item") as pool:
        yield Workers(pool)
