"""Python sandbox: runs Python source from users by pydantic-monty, an interpreter in worker processes, without
files, network or imports except a few harmless modules. Any source results in a value or a NodeError.
"""

from __future__ import annotations

import math
import os
import threading
from collections.abc import Callable
from typing import Any

from errors import LimitExceeded, NodeError, TimedOut

WAIT_FOR_WORKER = 30.0
SESSIONS_PER_WORKER = 500
MAX_LINES, MAX_OUTPUT = 100, 64 * 1024
MAX_VALUES, MAX_DEPTH = 1_000_000, 200
MAX_MESSAGE = 500
CHECK_SECONDS, CHECK_MB, WAIT_FOR_CHECK = 2.0, 128, 1.0
# The first statement of a checked source: the source is compiled as a whole, and ends here before anything of it runs.
STOP = "assert False\n"
CUT = "further output was truncated"


class Sandbox:
    """A pool of workers for a process, created at its first use. Thread-safe; a run has a worker to itself."""

    def __init__(self, max_processes: int | None = None) -> None:
        self.max_processes = max_processes or max(2, os.cpu_count() or 2)
        self._pool: Any = None
        self._checks: Any = None  # a pool of its own, so that a check never waits for code that runs
        self._lock = threading.Lock()

    def run(
        self, source: str, inputs: dict[str, Any], timeout: float, memory_mb: int, print: Callable[[str], None]
    ) -> Any:
        """Return the value of the last expression of `source`, as plain JSON.

        `timeout` is in seconds; `print` is called with each line that the source prints. Raises NodeError.
        """
        import pydantic_monty as monty

        output = Lines(print)
        try:
            return as_json(self._feed(source, inputs, timeout, memory_mb, output))
        except monty.MontyCrashedError as error:
            reason = _too_long(timeout) if error.timed_out else "the sandbox crashed"
            raise NodeError(f"code: {reason}", kind="timeout" if error.timed_out else "code") from None
        except monty.MontyError as error:
            raise _convert_error(error, timeout, memory_mb) from None
        except TimeoutError:
            text = f"code: all sandboxes were busy for {WAIT_FOR_WORKER:g} s; try again"
            raise NodeError(text, kind="limit") from None
        except (TypeError, ValueError, OverflowError, RecursionError) as error:
            raise NodeError(f"code: {error}", permanent=True, kind="code") from None
        finally:
            output.close()

    def check(self, source: str) -> str | None:
        """Return the first syntax error of `source`, with its line; None if it compiles, or cannot be checked now.

        Nothing of the source is executed.
        """
        import pydantic_monty as monty

        limits = {"max_feed_duration_secs": CHECK_SECONDS, "max_memory": CHECK_MB << 20}
        try:
            with self._started(checks=True).checkout(limits=limits, script_name="code") as session:
                session.feed_run(STOP + source)
        except monty.MontyError as failure:
            error: Any = failure  # its subclasses have more
            # Nothing is wrong if only the first statement, STOP, has failed.
            frames = error.traceback() if hasattr(error, "traceback") else []
            line = frames[-1].line - STOP.count("\n") if frames else 0
            return f"line {line}: {error.display('type-msg')}"[:MAX_MESSAGE] if line > 0 else None
        except (TimeoutError, ValueError):
            return None
        return None

    def _feed(self, source: str, inputs: dict[str, Any], timeout: float, memory_mb: int, output: Lines) -> Any:
        limits = {"max_feed_duration_secs": timeout, "max_total_sleep_secs": timeout, "max_memory": memory_mb << 20}
        # A longer sleep would be cut short silently; so the limit exceeds the total sleep of a run, which then fails.
        policy = {"sleep_system_max": timeout + 1}
        with self._started().checkout(limits=limits, os_policy=policy, script_name="code") as session:
            return session.feed_run(source, inputs=inputs, print_callback=output.write)

    def _started(self, checks: bool = False) -> Any:
        with self._lock:
            if checks:
                self._checks = self._checks or _make_pool(1, WAIT_FOR_CHECK)
                return self._checks
            self._pool = self._pool or _make_pool(self.max_processes, WAIT_FOR_WORKER)
            return self._pool

    def close(self) -> None:
        """End the workers. The next run starts new ones."""
        with self._lock:
            pools, self._pool, self._checks = (self._pool, self._checks), None, None
        for pool in pools:
            if pool is not None:
                pool.__exit__(None, None, None)


def _make_pool(processes: int, wait: float) -> Any:
    """Return a pool that waits this many seconds for a free worker."""
    import pydantic_monty as monty

    return monty.Monty(
        max_processes=processes, checkout_timeout=wait, max_checkouts_per_worker=SESSIONS_PER_WORKER
    ).__enter__()


class Lines:
    """Splits printed output into lines, up to a limit."""

    def __init__(self, emit: Callable[[str], None]) -> None:
        self.emit = emit
        self.rest = ""
        self.lines, self.room = 0, MAX_OUTPUT

    def write(self, stream: str, text: str) -> None:
        """Add output; complete lines are emitted at once."""
        if self.room < 0:
            return
        kept = text[: self.room]
        self.room -= len(text)
        *lines, self.rest = (self.rest + kept).split("\n")
        for line in lines:
            if self.lines == MAX_LINES:
                self.rest, self.room = "", -1
                break
            self.lines += 1
            self.emit(line)

    def close(self) -> None:
        """Emit the last incomplete line, and a note if output was truncated."""
        if self.rest:
            self.emit(self.rest)
        if self.room < 0:
            self.emit(CUT)
        self.rest, self.room = "", 0


def _too_long(timeout: float) -> str:
    return f"ran longer than {timeout:.3g} s"


def _convert_error(error: Any, timeout: float, memory_mb: int) -> NodeError:
    """Convert an error inside the sandbox, with its line."""
    text = str(error)
    if "time limit exceeded" in text or text.startswith("TimeoutError: sleep limit exceeded"):
        return TimedOut(f"code: {_too_long(timeout)}")
    # The interpreter counts most memory itself; what it allocates at once can end its process instead.
    if text.startswith("MemoryError: ") and "memory limit" in text:
        advice = "process less data at once, or raise memory_mb (at most 512)"
        return LimitExceeded(f"code: it needs more memory than memory_mb allows, which is {memory_mb} MB; {advice}")
    shown = error.display("type-msg") if hasattr(error, "display") else text
    frames = error.traceback() if hasattr(error, "traceback") else []
    where = f"line {frames[-1].line}: " if frames else ""
    return NodeError(f"code: {where}{shown}", permanent=True, kind="code")


def as_json(value: Any) -> Any:
    """Return the value with tuples as lists. Raises: NodeError if it is not JSON, or too large."""
    left = MAX_VALUES

    def walk(value: Any, depth: int) -> Any:
        nonlocal left
        left -= 1
        if left < 0 or depth > MAX_DEPTH:
            raise LimitExceeded("code: the result is too large or nested too deeply")
        if isinstance(value, list | tuple):
            return [walk(item, depth + 1) for item in value]
        if isinstance(value, dict):
            for key in value:
                if not isinstance(key, str):
                    raise _bad_result(f"has the key {key!r:.50}; keys must be text")
            return {key: walk(item, depth + 1) for key, item in value.items()}
        kind = type(value)
        if value is None or kind in (bool, str):
            return value
        if kind in (int, float):
            if (kind is int and -(2**63) <= value < 2**64) or (kind is float and math.isfinite(value)):
                return value
            raise _bad_result("has a number that JSON does not allow")
        name = getattr(value, "name", "object") if kind.__name__ == "MontyClassProxy" else kind.__name__
        hint = "a list" if isinstance(value, set | frozenset) else "text, a number, a list or a dict"
        raise _bad_result(f"has a {name}, which is not JSON; return {hint} instead")

    return walk(value, 0)


def _bad_result(problem: str) -> NodeError:
    return NodeError(f"code: the result {problem}", permanent=True, kind="code")
