"""Reads what strangers wrote in a process of its own, bounded in time and memory."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import orjson

from errors import NodeError

from .worker import receive, send

ROOT = Path(__file__).parents[1]
# `-I`: nothing from the environment, where the server's secrets are, nor from the working directory.
CODE = "import sys; sys.path.append(sys.argv[1]); from parsers.worker import serve; serve(sys.argv[2])"
# As many at a time as there are processors: more would only take each other's time and memory.
_places = threading.BoundedSemaphore(max(2, os.cpu_count() or 2))
MOST_TEXT, MOST_PIECE, MOST_PIECES = 64 * 2**20, 64 * 2**20, 1_000


class Unreadable(NodeError):
    """What was to be read ended its reader, by the time or the memory that it would have taken, or by a fault."""


def called(kind: str) -> str:
    """Return what errors call the data of this parser."""
    return {"html_text": "page", "json_schema": "schema"}.get(kind, kind)


class _Thread(threading.local):
    refuse: Callable[[], object] | None = None


_thread = _Thread()


def refuse_to_wait(refuse: Callable[[], object] | None) -> None:
    """Have `read_apart` call this, which is to raise, in the present thread: it may not wait. None: it may again."""
    _thread.refuse = refuse


def read_apart(kind: str, options: dict[str, Any], data: bytes, seconds: float) -> dict[str, Any]:
    """What a reader of this kind says of the data, within so many seconds; Unreadable, or NodeError if none is free."""
    if _thread.refuse is not None:
        _thread.refuse()
    end = time.monotonic() + seconds
    if not _places.acquire(timeout=seconds):
        raise NodeError(f"nobody was free to read the {called(kind)} within {seconds:.3g} s")
    try:
        with Reader(kind) as reader:
            return reader.read(options, data, max(0.0, end - time.monotonic()))[0]
    finally:
        _places.release()


class Reader:
    """A process that reads by the parser of this name, such as `pdf`. Started at the first use, again if need be."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Reader:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def read(self, options: dict[str, Any], data: bytes, seconds: float) -> tuple[dict[str, Any], list[bytes]]:
        """What the data say, as JSON and pieces. Unreadable where that takes longer than `seconds`, or goes wrong."""
        process = self._process = self._process or self._start()
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
            why = f"it takes longer than {seconds:.3g} s" if late.is_set() else "it takes too much, or ends its reader"
            raise Unreadable(f"the {called(self.kind)} cannot be read: {why}", permanent=not late.is_set()) from error
        finally:
            timer.cancel()
        if "error" in answer:
            raise Unreadable(f"the {called(self.kind)} cannot be read: {answer['error']}", permanent=True)
        return answer, pieces

    def close(self, at_once: bool = False) -> None:
        """End the process."""
        process, self._process = self._process, None
        if process is None:
            return
        if at_once:
            process.kill()
        # Closes its pipes, at which it ends, and waits for that. It may have died before it had heard all.
        with suppress(BrokenPipeError), process:
            return

    def _start(self) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-I", "-c", CODE, str(ROOT), self.kind]
        pipe, nothing = subprocess.PIPE, subprocess.DEVNULL
        return subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=nothing, cwd="/", env={})

    @staticmethod
    def _exchange(
        process: subprocess.Popen[bytes], options: dict[str, Any], data: bytes
    ) -> tuple[dict[str, Any], list[bytes]]:
        assert process.stdin is not None and process.stdout is not None
        send(process.stdin, orjson.dumps(options), data)  # type: ignore[arg-type]
        answer = orjson.loads(_needed(receive(process.stdout, MOST_TEXT)))  # type: ignore[arg-type]
        count = int(answer.pop("pieces"))
        if count > MOST_PIECES:
            raise ValueError("too many pieces")
        return answer, [_needed(receive(process.stdout, MOST_PIECE)) for _ in range(count)]  # type: ignore[arg-type]


def _needed(piece: bytes | None) -> bytes:
    if piece is None:
        raise ValueError("cut off")
    return piece
