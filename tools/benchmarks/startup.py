"""Start time of the real server, and its memory when idle.

    python tools/benchmarks/startup.py [--repeat 7] [--settle 4] [--workers 2] [--packs NAMES] [--json]

A cold start is the time from the spawn of `python workflow_server.py` to the first 200 of GET /api/health; once on an
empty data folder, where the database and the first owner are made, and once more on that same folder. Files are in the
page cache, as after any earlier start. Memory is read `settle` seconds after the start (Linux only).
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

# As a script, this folder is first in the path, and its files would hide modules of the same name.
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tools.benchmarks import common

TARGET_SECONDS = 1.0
TARGET_MIB = 126.0


def start_twice(workers: int, settle: float, packs: str) -> tuple[float, float, dict[str, Any]]:
    """Return the seconds of a start on an empty folder and of the next on the same, and the memory after it."""
    with tempfile.TemporaryDirectory(prefix="headrace-bench-") as folder:
        with common.headrace(Path(folder), workers, {"HEADRACE_PACKS": packs}) as server:
            first = server.seconds
        with common.headrace(Path(folder), workers, {"HEADRACE_PACKS": packs}) as server:
            second = server.seconds
            time.sleep(settle)
            return first, second, common.memory(server.process.pid)


def summary(values: Sequence[float]) -> dict[str, float]:
    """Return the median and the extremes."""
    return {
        "median": round(statistics.median(values), 3),
        "min": round(min(values), 3),
        "max": round(max(values), 3),
    }


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="Measure the server's start and idle memory.")
    parser.add_argument("--repeat", type=int, default=7)
    parser.add_argument("--settle", type=float, default=4.0, help="seconds before memory is read")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--packs", default="all", help='as HEADRACE_PACKS; "" is the core alone')
    parser.add_argument("--json", action="store_true", help="print only the JSON document")
    options = parser.parse_args(arguments)
    empty, existing, memories = zip(
        *(start_twice(options.workers, options.settle, options.packs) for _ in range(options.repeat)), strict=True
    )
    start = {"empty_s": summary(empty), "existing_s": summary(existing)}
    memory = {name: statistics.median(found[name] for found in memories) for name in memories[0]}
    document = {
        "benchmark": "startup",
        "machine": common.machine(),
        "workers": options.workers,
        "packs": options.packs,
        "repeat": options.repeat,
        "start": start,
        "memory": memory,
        "targets": {
            "cold_start_empty_s": common.target(start["empty_s"]["median"], TARGET_SECONDS),
            "cold_start_existing_s": common.target(start["existing_s"]["median"], TARGET_SECONDS),
            "idle_pss_mib": common.target(memory["pss_mib"], TARGET_MIB),
        },
    }
    rows = [(name, *found.values()) for name, found in start.items()]
    tables = [
        common.table(("cold start, s", "median", "min", "max"), rows),
        common.table(("idle memory of all processes", "median"), list(memory.items())),
        common.target_table(document["targets"]),
    ]
    common.report(document, tables, options.json)


if __name__ == "__main__":
    main()
