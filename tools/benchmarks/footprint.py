"""A server that runs alone: start time, memory when idle and under load, and memory during minutes of steady load.

PSS counts a page that processes share once, and shares are taken with every process of the machine: so the memory of a
server is read while no other one runs.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tools.benchmarks import common
from tools.benchmarks.load import Measure
from tools.benchmarks.subjects import Peer

CONNECTIONS = 32
SAMPLE_SECONDS = 0.5
FLAT_SAMPLE_SECONDS = 30.0
Sample = dict[str, Any]


@contextmanager
def samples(session: int, every: float, tell: Callable[[Sample], None] | None = None) -> Iterator[list[Sample]]:
    """Read the memory of a session periodically until the block ends, and once more at its end."""
    found: list[Sample] = []
    began, ended = time.perf_counter(), threading.Event()

    def read() -> None:
        found.append({"seconds": round(time.perf_counter() - began, 1), **common.memory(session)})
        if tell:
            tell(found[-1])

    def work() -> None:
        while not ended.wait(every):
            read()

    thread = threading.Thread(target=work, name="samples", daemon=True)
    thread.start()
    try:
        yield found
    finally:
        ended.set()
        thread.join(every + 10)
    read()


def alone(peer: Peer, measured: Measure, unanswered: int, options: argparse.Namespace) -> dict[str, Any]:
    """Start the server twice on the same folder, empty at first; then measure it when idle and under load."""
    with tempfile.TemporaryDirectory(prefix="headrace-bench-") as name:
        folder = Path(name) / "data"
        with peer.serve(folder) as server:
            first = server.seconds
        with peer.serve(folder) as server:
            second, used = server.seconds, common.cpu_seconds(server.process.pid)
            time.sleep(options.settle)
            idle = common.memory(server.process.pid)
            subject = peer.subjects(server, folder)[0]
            with samples(server.process.pid, SAMPLE_SECONDS) as during:
                seen = subject.load(measured, CONNECTIONS, options.load_seconds, unanswered)
    return {
        "peer": peer.name,
        "processes": idle["processes"],
        "start_empty_s": round(first, 3),
        "start_again_s": round(second, 3),
        "start_again_cpu_s": round(used, 3),
        "idle_pss_mib": idle["pss_mib"],
        "idle_rss_mib": idle["rss_mib"],
        "load_pss_mib": max(sample["pss_mib"] for sample in during),
        "load_rss_mib": max(sample["rss_mib"] for sample in during),
        "rate": round(seen["rate"], 1),
        "wrong": sum(seen.get(key, 0) for key in ("errors", "lost", "extra", "incomplete")),
    }


def all_alone(
    peers: Sequence[Peer], measured: Measure, unanswered: int, options: argparse.Namespace
) -> list[dict[str, Any]]:
    """Return the medians of each server, started alone `options.starts` times, in turns, and the times in `times`."""
    found: dict[str, list[dict[str, Any]]] = {peer.name: [] for peer in peers}
    for number in range(options.starts):
        for peer in peers:
            one = alone(peer, measured, unanswered, options)
            found[peer.name].append(one)
            print(f"alone {number + 1}: {one}", file=sys.stderr, flush=True)
    return [_medians(name, ones) | {"times": ones} for name, ones in found.items() if ones]


def _medians(name: str, ones: Sequence[dict[str, Any]]) -> dict[str, Any]:
    keys = [key for key in ones[0] if key not in ("peer", "wrong")]
    medians = {key: round(statistics.median(one[key] for one in ones), 3) for key in keys}
    return {"peer": name, **medians, "wrong": sum(one["wrong"] for one in ones)}


def flat(peer: Peer, paced: Measure, minutes: float) -> dict[str, Any]:
    """Load the webhook at the pace of `paced` for so many minutes, and read the memory every 30 seconds.

    The growths are the medians of the last third less those of the middle third: caches fill in the first.
    """
    with tempfile.TemporaryDirectory(prefix="headrace-bench-") as name, peer.serve(Path(name)) as server:
        subject = peer.subjects(server, Path(name))[0]
        every = min(FLAT_SAMPLE_SECONDS, minutes * 60 / 6)
        with samples(server.process.pid, every, _tell) as found:
            seen = subject.load(paced, CONNECTIONS, minutes * 60, 0)
    return {
        "peer": peer.name,
        "minutes": minutes,
        "pss_growth_mib": _growth([sample["pss_mib"] for sample in found]),
        "rss_growth_mib": _growth([sample["rss_mib"] for sample in found]),
        "max_pss_mib": max(sample["pss_mib"] for sample in found),
        **{key: round(seen[key], 2) for key in ("rate", "p50_ms", "p99_ms", "cpu_ms")},
        **{key: seen.get(key, 0) for key in ("answers", "errors", "turned_away", "lost", "extra", "incomplete")},
        "samples": found,
    }


def _growth(mib: Sequence[float]) -> float:
    third = max(1, len(mib) // 3)
    return round(statistics.median(mib[-third:]) - statistics.median(mib[third:-third] or mib[:third]), 2)


def _tell(sample: Sample) -> None:
    text = f"{sample['seconds']:.0f} s: PSS {sample['pss_mib']} MiB, RSS {sample['rss_mib']} MiB"
    print(text, file=sys.stderr, flush=True)
