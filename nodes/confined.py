"""Starts work that has no bound of its own in a process of its own, which has one on its time and its memory."""

from __future__ import annotations

import math
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import orjson

from errors import NodeError
from nodes.bounds import refusal

MEGABYTES = 1024
# As many at a time as there are processors: more would only take each other's time and memory.
_places = threading.BoundedSemaphore(max(2, os.cpu_count() or 2))


def run_confined(program: Path, request: Any, seconds: float, megabytes: int = MEGABYTES) -> Any:
    """What the program answers to the request, both JSON: its `result`; NodeError with its `error`.

    It is given its bounds as arguments, whole seconds of processor time and bytes, and is killed after so many seconds.
    It sees nothing of this process: no environment, no open files.
    """
    try:
        asked = orjson.dumps(request)
    except TypeError:
        raise refusal("the text has half a surrogate pair, which no text can have") from None
    end = time.monotonic() + seconds
    if not _places.acquire(timeout=seconds):
        raise NodeError(f"no process became free within {seconds:.3g} s")
    try:
        command = [sys.executable, "-I", str(program), str(math.ceil(seconds)), str(megabytes << 20)]
        left = max(0.0, end - time.monotonic())
        done = subprocess.run(command, input=asked, capture_output=True, timeout=left, env={})
    except subprocess.TimeoutExpired:
        raise NodeError(f"took longer than {seconds:.3g} s") from None
    finally:
        _places.release()
    if done.returncode != 0:
        raise refusal(f"could not be done within {megabytes} MB and {seconds:.3g} s of processor time")
    answer = orjson.loads(done.stdout)
    if "error" in answer:
        raise refusal(answer["error"])
    return answer["result"]
