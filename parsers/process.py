"""Process of a parser: reads untrusted data in a separate process, with limits on time and memory."""

from __future__ import annotations

import math
import os
import subprocess
import sys
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

import orjson

from errors import NodeError

from .child import receive, send

# Places of parser processes: a workspace leaves one of them to the others, and waiting workspaces take turns.


class NoPlace(Exception):
    """No place became free in time."""


class ParserSlots:
    """At most `count` places at once, of which one workspace never holds the last, so that the others find one free."""

    def __init__(self, count: int) -> None:
        self._free, self._share = count, count - 1
        self._lock = threading.Lock()
        self._held: Counter[str | None] = Counter()
        # Those who wait, by workspace. The workspace that got a place last is at the end.
        self._waiting: dict[str | None, deque[threading.Event]] = {}

    @contextmanager
    def take(self, workspace_id: str | None, seconds: float) -> Iterator[None]:
        """Hold a place of this workspace. Raises: NoPlace if there is none within `seconds`."""
        turn = threading.Event()
        with self._lock:
            self._waiting.setdefault(workspace_id, deque()).append(turn)
            self._grant()
        try:
            if not turn.wait(seconds) and self._leave(workspace_id, turn):
                raise NoPlace
            yield
        finally:
            with self._lock:
                if turn.is_set():
                    self._free += 1
                    self._held[workspace_id] -= 1
                    self._grant()

    def _leave(self, workspace_id: str | None, turn: threading.Event) -> bool:
        """Stop waiting. Return False if the place was granted meanwhile."""
        with self._lock:
            if turn.is_set():
                return False
            queue = self._waiting[workspace_id]
            queue.remove(turn)
            if not queue:
                del self._waiting[workspace_id]
            return True

    def _grant(self) -> None:
        """Grant free places to waiting workspaces. Call with the lock."""
        for workspace_id in [*self._waiting] if self._free else ():
            if self._free and self._held[workspace_id] < self._share:
                queue = self._waiting.pop(workspace_id)
                queue.popleft().set()
                self._free -= 1
                self._held[workspace_id] += 1
                if queue:
                    self._waiting[workspace_id] = queue
        self._held = +self._held  # without workspaces that hold none


ROOT = Path(__file__).parents[1]
# `-I`: ignore the environment, which has the server's secrets, and the working directory.
CODE = "import sys; sys.path.append(sys.argv[1]); from parsers.child import serve; serve(sys.argv[2])"
# A workspace has at most one process for each processor: more would only compete. One more is for the others.
_places = ParserSlots(max(2, os.cpu_count() or 2) + 1)
PARSE_PAGE_SECONDS = 5.0  # for the parser of a web page
MAX_PIECE, MAX_PIECES = 64 * 2**20, 1_000
Result = tuple[dict[str, Any], list[bytes]]


class Unreadable(NodeError):
    """The data exceeded the limits on time or memory, or crashed its parser."""


def describe_kind(kind: str) -> str:
    """Return the name of this parser's data for error messages."""
    name = kind.rpartition(".")[2]
    return "schema" if name == "json_schema_process" else name


class _Thread(threading.local):
    refuse: Callable[[], object] | None = None


_thread = _Thread()


def refuse_to_wait(refuse: Callable[[], object] | None) -> None:
    """Forbid `read_apart` in the current thread, which may not wait: call `refuse`, which raises. None: allow it."""
    _thread.refuse = refuse


def read_apart(
    kind: str,
    options: dict[str, Any],
    data: bytes,
    seconds: float,
    workspace_id: str | None,
    *,
    parse_seconds: float = math.inf,
) -> dict[str, Any]:
    """Return the result of a parser, in a process of this workspace; None: of all work for no workspace.

    `kind` is the parser's module. `parse_seconds` limits the parser alone, without the wait for a process.
    Raises: Unreadable if it takes more than `seconds` or fails, NodeError if no process is free.
    """
    if _thread.refuse is not None:
        _thread.refuse()
    end = time.monotonic() + seconds
    try:
        with _places.take(workspace_id, seconds), Reader(kind) as reader:
            left = max(0.0, end - time.monotonic())
            return reader.read(options, data, min(left, parse_seconds))[0]
    except NoPlace:
        busy = f"all parsers of the workspace were busy for {seconds:.3g} s"
        raise NodeError(f"the {describe_kind(kind)} was not read: {busy}; try again") from None


class Reader:
    """A process of the parser in the module `kind`. Started at first use, and again if necessary."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Reader:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def read(self, options: dict[str, Any], data: bytes, seconds: float) -> Result:
        """Return the result as JSON and pieces. Raises: Unreadable if it takes more than `seconds` or fails."""
        what = f"the {describe_kind(self.kind)} cannot be read"
        if self._process is None:
            command = [sys.executable, "-I", "-c", CODE, str(ROOT), self.kind]
            pipe, nothing = subprocess.PIPE, subprocess.DEVNULL
            self._process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=nothing, cwd="/", env={})
        process = self._process
        late = threading.Event()

        def end() -> None:
            late.set()
            process.kill()

        timer = threading.Timer(seconds, end)
        timer.start()
        try:
            answer, pieces = self._exchange(process, options, data)
        except (OSError, ValueError) as error:
            self.close(at_once=True)
            why = "it takes too much memory or is malformed"
            if late.is_set():
                why = f"it takes longer than {seconds:.3g} s"
            raise Unreadable(f"{what}: {why}", permanent=not late.is_set()) from error
        finally:
            timer.cancel()
        if "error" in answer:
            raise Unreadable(f"{what}: {answer['error']}", permanent=True)
        return answer, pieces

    def close(self, at_once: bool = False) -> None:
        """End the process."""
        process, self._process = self._process, None
        if process is None:
            return
        if at_once:
            process.kill()
        # Closes its pipes, which ends it, and waits. It may have died before reading everything.
        with suppress(BrokenPipeError), process:
            return

    @staticmethod
    def _exchange(process: subprocess.Popen[bytes], options: dict[str, Any], data: bytes) -> Result:
        assert process.stdin is not None and process.stdout is not None
        send(process.stdin, orjson.dumps(options), data)
        answer = orjson.loads(_receive(process.stdout))
        count = int(answer.pop("pieces"))
        if count > MAX_PIECES:
            raise ValueError("too many pieces")
        return answer, [_receive(process.stdout) for _ in range(count)]


def _receive(stream: IO[bytes]) -> bytes:
    piece = receive(stream, MAX_PIECE)
    if piece is None:
        raise ValueError("cut off")
    return piece
