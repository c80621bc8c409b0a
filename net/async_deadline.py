"""Deadline for libraries of coroutines: a node runs them in an event loop of its own, in its own thread."""

from __future__ import annotations

import time
from collections.abc import Coroutine
from typing import Any

from errors import NodeError


def run_in_time(work: Coroutine[Any, Any, Any], end: float, otherwise: str) -> Any:
    """Return the coroutine's result. Raises: NodeError with this text if it is not done at `end` (`time.monotonic`)."""
    import asyncio

    async def bounded() -> Any:
        async with asyncio.timeout(end - time.monotonic()):
            return await work

    try:
        return asyncio.run(bounded())
    except TimeoutError:
        raise NodeError(otherwise) from None
