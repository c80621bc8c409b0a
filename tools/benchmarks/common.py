"""Shared code of the benchmarks: a server as a child process, memory of its processes, tables, the JSON document.

Independent of the measured subject. Each benchmark prints Markdown tables, then one JSON document; `--json` prints only
that.
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
PASSWORD = "only-for-the-benchmark"
POLL_SECONDS = 0.002
START_SECONDS = 60.0
STOP_SECONDS = 20.0
IN_USE = re.compile("address already in use|EADDRINUSE", re.I)


@dataclass
class Server:
    """A running server. `seconds` is the time from its spawn to the first 200."""

    process: subprocess.Popen[bytes]
    port: int
    seconds: float


def free_port() -> int:
    """Return a free port of the loopback."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
    return port


def headrace_environment(
    data_dir: Path, port: int, workers: int, settings: Mapping[str, object] | None = None
) -> dict[str, str]:
    """Return the environment of a server with default settings except these, and none of the caller's."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR", "VIRTUAL_ENV") if name in os.environ}
    return kept | {
        "HOST": "127.0.0.1",
        "PORT": str(port),
        "WEB_CONCURRENCY": str(workers),
        "HEADRACE_DATA_DIR": str(data_dir),
        "HEADRACE_ADMIN_EMAIL": "bench@localhost",
        "HEADRACE_ADMIN_PASSWORD": PASSWORD,
        **{name: str(value) for name, value in (settings or {}).items()},
    }


@contextlib.contextmanager
def headrace(
    data_dir: Path, workers: int, settings: Mapping[str, object] | None = None, root: Path = ROOT
) -> Iterator[Server]:
    """Start the server of the checkout at `root`, on this data folder, with these settings."""
    port = free_port()
    environment = headrace_environment(data_dir, port, workers, settings)
    with serve([sys.executable, "workflow_server.py"], environment, port, "/api/health", root) as server:
        yield server


@contextlib.contextmanager
def serve(
    command: Sequence[str], environment: Mapping[str, str], port: int, path: str, folder: Path = ROOT
) -> Iterator[Server]:
    """Run the command in the folder, in a session of its own; enter the block when `path` answers 200.

    When the block ends, all processes of the session are stopped.
    """
    with tempfile.TemporaryFile() as output:
        began = time.perf_counter()
        process = subprocess.Popen(
            command, cwd=folder, env=dict(environment), stdout=output, stderr=output, start_new_session=True
        )
        try:
            yield Server(process, port, seconds_until_200(process, port, path, began))
        except ServerError as error:
            output.seek(0)
            said = output.read().decode(errors="replace")[-4000:]
            taken = (
                "\nAnother program took the port meanwhile; start the benchmark again." if IN_USE.search(said) else ""
            )
            raise SystemExit(f"{error}; it said:\n{said}{taken}") from None
        finally:
            end(process)


class ServerError(Exception):
    """The server did not start."""


def seconds_until_200(process: subprocess.Popen[bytes], port: int, path: str, began: float) -> float:
    """Return the seconds from `began` (of `time.perf_counter`) until the path answers 200."""
    request = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n".encode()
    while (passed := time.perf_counter() - began) < START_SECONDS:
        if process.poll() is not None:
            raise ServerError(f"the server ended with code {process.returncode}")
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
            connection.sendall(request)
            if connection.recv(16)[9:12] == b"200":
                return time.perf_counter() - began
        time.sleep(POLL_SECONDS)
    raise ServerError(f"the server did not answer within {passed:.0f} s")


def end(process: subprocess.Popen[bytes]) -> None:
    """Ask a server to stop, then kill all remaining processes of its session."""
    process.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(STOP_SECONDS)
    process.kill()
    for pid in processes(process.pid):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    process.wait(STOP_SECONDS)


def processes(session: int) -> list[int]:
    """Return the ids of all living processes of a session (Linux)."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            # The name, in parentheses, may contain anything; then follow state, parent, group and session.
            state, _, _, its_session, *_ = stat.read_text().rpartition(")")[2].split()
            if int(its_session) == session and state not in "ZX":
                found.append(int(stat.parent.name))
    return sorted(found)


def memory(session: int) -> dict[str, Any]:
    """Return the MiB of all processes of a session: `pss_mib` counts shared pages once, `rss_mib` in each process."""
    pids = processes(session)
    return {
        "processes": len(pids),
        "pss_mib": _sum_mib(pids, "smaps_rollup", "Pss"),
        "rss_mib": _sum_mib(pids, "smaps_rollup", "Rss"),
        "peak_rss_mib": _sum_mib(pids, "status", "VmHWM"),
    }


def cpu_seconds(session: int) -> float:
    """Return the processor time used by the living processes of a session."""
    ticks = 0
    for pid in processes(session):
        with contextlib.suppress(OSError):
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def _sum_mib(pids: Sequence[int], file: str, key: str) -> float:
    texts = [Path(f"/proc/{pid}/{file}").read_text() for pid in pids]
    return round(sum(int(kib) for text in texts for kib in re.findall(rf"^{key}:\s+(\d+) kB", text, re.M)) / 1024, 1)


def machine() -> dict[str, Any]:
    """Return the time and the machine of the measurement."""
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()}",
        "processor": _processor(),
        "cores": os.cpu_count(),
    }


def load_average() -> float:
    """Return the load average of the last minute: before a benchmark it shows other work."""
    return round(os.getloadavg()[0], 1)


def _processor() -> str:
    with contextlib.suppress(OSError):
        if found := re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.M):
            return found[1]
    return platform.processor() or platform.machine()


def target(value: float, bound: float, at_least: bool = False) -> dict[str, Any]:
    """Return a figure, its target, and True if it meets the target."""
    met = value >= bound if at_least else value <= bound
    return {"value": value, "at_least" if at_least else "at_most": bound, "met": met}


def table(head: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """Return a Markdown table."""
    cells = [list(map(str, head)), *([_cell(value) for value in row] for row in rows)]
    widths = [max(len(row[at]) for row in cells) for at in range(len(head))]
    lines = [
        "| " + " | ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)) + " |" for row in cells
    ]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(lines)


def target_table(targets: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the targets of a document as a table."""
    rows = []
    for name, entry in targets.items():
        bound = f"at least {entry['at_least']:,}" if "at_least" in entry else f"at most {entry['at_most']:,}"
        rows.append((name, entry["value"], bound, "yes" if entry["met"] else "no"))
    return table(("target", "measured", "wanted", "met"), rows)


def _cell(value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    if isinstance(value, int) or abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.4g}"


def report(document: Mapping[str, Any], tables: Sequence[str], only_json: bool) -> None:
    """Print the tables, unless only JSON is requested, and the document."""
    if not only_json:
        print("\n\n".join(tables), end="\n\n")
    print(json.dumps(document, indent=None if only_json else 2))
