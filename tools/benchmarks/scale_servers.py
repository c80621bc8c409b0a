"""The programs that scale.py measures: PostgreSQL and RabbitMQ of its own, web servers, workers.

Each ends with its block. PostgreSQL has its default settings, so each commit is synced to the disk.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import psycopg

from tools.benchmarks import common

sys.path.append(str(common.ROOT / "tests" / "support"))
from message_brokers import RabbitMQ  # noqa: E402
from sql_servers import POSTGRES, Server, program  # noqa: E402

READY = b"This worker executes"
START_SECONDS = 60.0
POLL_SECONDS = 0.02


class Postgres(Server):  # type: ignore[misc]
    """A server with the default settings, to which everybody on this machine may log in."""

    scheme, signal = "postgresql", 2
    databases = 0

    def start(self) -> Any:
        data, initdb = self.folder / "data", Path(program("initdb", POSTGRES))
        self.ask(str(initdb), "-D", str(data), "-U", "postgres", "--no-sync", "-A", "trust", "-E", "UTF8", "--locale=C")
        options = ("-p", str(self.port), "-h", "127.0.0.1", "-k", str(self.folder))
        return self.spawn(str(initdb.with_name("postgres")), "-D", str(data), *options)

    def prepare(self) -> None:
        self.ask_first("SELECT 1")

    def ask_first(self, sql: str) -> Any:
        """Execute a statement, and return the first row of its result, if it has one."""
        with psycopg.connect(self.address("postgres"), autocommit=True) as connection:
            cursor = connection.execute(sql)
            return cursor.fetchone() if cursor.description else None

    def new_database(self) -> str:
        """Create a database and return its URL."""
        self.databases += 1
        self.ask_first(f"CREATE DATABASE bench_{self.databases}")
        return self.address(f"bench_{self.databases}")

    def version(self) -> str:
        """Return the version of PostgreSQL."""
        return str(self.ask_first("SHOW server_version")[0])

    def address(self, name: str) -> str:
        return f"postgresql://postgres@127.0.0.1:{self.port}/{name}"


def find_missing() -> str | None:
    """Return the name of a program that this machine lacks, or None."""
    if program("initdb", POSTGRES) is None:
        return "PostgreSQL"
    return None if RabbitMQ.find() else "RabbitMQ"


@contextlib.contextmanager
def postgres() -> Iterator[Postgres]:
    server = Postgres(Path(os.devnull))
    try:
        yield server
    finally:
        server.stop()


@contextlib.contextmanager
def rabbitmq() -> Iterator[Any]:
    broker = RabbitMQ()
    try:
        yield broker.start()
    finally:
        broker.close()


@contextlib.contextmanager
def service() -> Iterator[common.Server]:
    port = common.free_port()
    command = [sys.executable, "tools/benchmarks/quick_service.py", str(port)]
    with common.serve(command, {"PATH": os.environ["PATH"]}, port, "/") as server:
        yield server


@contextlib.contextmanager
def worker(folder: Path, concurrency: int, settings: Mapping[str, object]) -> Iterator[int]:
    """Start a worker, and give its process id when it is ready."""
    environment = common.headrace_environment(folder, 8000, 1, settings)  # it listens nowhere
    command = [sys.executable, "workflow_server.py", "worker", "--concurrency", str(concurrency)]
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(
            command, cwd=common.ROOT, env=environment, stdout=output, stderr=output, start_new_session=True
        )
        try:
            _wait_until_ready(process, output)
            yield process.pid
        finally:
            common.end(process)


def _wait_until_ready(process: subprocess.Popen[bytes], output: Any) -> None:
    end = time.monotonic() + START_SECONDS
    while True:
        said = os.pread(output.fileno(), 100_000, 0)
        if READY in said:
            return
        if process.poll() is not None or time.monotonic() > end:
            raise SystemExit(f"a worker does not start: {said.decode(errors='replace')}")
        time.sleep(POLL_SECONDS)


class Usage:
    """Processor time of groups of processes, transactions of PostgreSQL, and the machine's idle time."""

    def __init__(self, groups: Mapping[str, list[int]], database: str | None) -> None:
        """`groups`: by name, processes that count with their descendants. `database`: URL of PostgreSQL."""
        self.groups, self.database = groups, database

    def read(self) -> dict[str, float]:
        """Return the sums so far: seconds by group, seconds of the clock and idle ones, bytes of WAL, transactions."""
        children = _children()
        found = {name: sum(_cpu(pid, children) for pid in pids) for name, pids in self.groups.items()}
        idle = [int(ticks) for ticks in Path("/proc/stat").read_text().split("\n", 1)[0].split()[4:6]]
        found |= {"clock": time.perf_counter(), "idle": sum(idle) / os.sysconf("SC_CLK_TCK")}
        if self.database:
            with psycopg.connect(self.database, autocommit=True) as connection:
                sql = "SELECT pg_current_wal_lsn() - '0/0', pg_snapshot_xmax(pg_current_snapshot())::text"
                wal, commits = connection.execute(sql).fetchone()
            found |= {"wal": float(wal), "commits": float(commits)}
        return found


def _children() -> dict[int, list[int]]:
    """Return the children of each process (Linux)."""
    found: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            parent = int(stat.read_text().rpartition(")")[2].split()[1])
            found.setdefault(parent, []).append(int(stat.parent.name))
    return found


def _cpu(pid: int, children: Mapping[int, list[int]]) -> float:
    """Return the processor time of a process and its descendants, also of those that have ended."""
    ticks = 0
    with contextlib.suppress(OSError):
        # utime, stime, and both of children that have ended
        ticks = sum(map(int, Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:15]))
    return ticks / os.sysconf("SC_CLK_TCK") + sum(_cpu(child, children) for child in children.get(pid, ()))
