"""Child: the loop of a parser process. Requests are JSON and data, responses JSON and pieces of data.

Each piece is sent as its length, in eight bytes, and its bytes.
"""

from __future__ import annotations

import importlib
import json
import resource
import struct
import sys
from collections.abc import Sequence
from typing import IO, Any

MEMORY = 768 * 2**20
CPU_SECONDS = 60
LENGTH = struct.Struct(">Q")
# Errors of a library on a malformed file, besides its own.
SLIPS = (AttributeError, IndexError, KeyError, RecursionError, TypeError, ValueError)


def receive(stream: IO[bytes], most: int | None = None) -> bytes | None:
    """Return the next piece; None at the end. Raises: ValueError if it is cut off, or longer than `most`."""
    head = stream.read(LENGTH.size)
    if not head:
        return None
    if len(head) < LENGTH.size:
        raise ValueError("cut off")
    (length,) = LENGTH.unpack(head)
    if most is not None and length > most:
        raise ValueError("too long")
    piece = stream.read(length)
    if len(piece) < length:
        raise ValueError("cut off")
    return piece


def send(stream: IO[bytes], *pieces: bytes) -> None:
    """Send these pieces."""
    for piece in pieces:
        stream.write(LENGTH.pack(len(piece)))
        stream.write(piece)
    stream.flush()


def serve(kind: str) -> None:
    """Answer requests with `read` of the named module, which returns JSON and a list of bytes."""
    read = importlib.import_module(kind).read
    problem = _limit()
    stdin, stdout = sys.stdin.buffer, sys.stdout.buffer
    while (options := receive(stdin)) is not None:
        data = receive(stdin)
        answer: dict[str, Any]
        pieces: Sequence[bytes]
        try:
            answer, pieces = ({"error": problem}, ()) if problem else read(json.loads(options), data)
        except Exception as error:
            answer, pieces = {"error": f"{type(error).__name__}: {error}"[:500]}, ()
        # Half a surrogate pair is valid text in Python, but not UTF-8.
        text = json.dumps({**answer, "pieces": len(pieces)}, ensure_ascii=False).encode("utf-8", "replace")
        send(stdout, text, *pieces)


def _limit() -> str | None:
    """Set resource limits, at which the system ends the process. Return an error if they cannot be set: then nothing
    is parsed.
    """
    bounds = {
        resource.RLIMIT_AS: MEMORY,
        resource.RLIMIT_CPU: CPU_SECONDS,
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_FSIZE: 0,
    }
    try:
        for what, most in bounds.items():
            _, hard = resource.getrlimit(what)
            resource.setrlimit(what, (most if hard == resource.RLIM_INFINITY else min(most, hard), hard))
    except (ValueError, OSError) as error:
        return f"the limits of the parser process cannot be set (setrlimit): {error}"
    return None
