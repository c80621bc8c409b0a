"""What asks a server again and again: a client that costs little, in several processes, and wrk where that is wanted.

Nothing here knows what is asked, nor what the answer means beyond what a `Target` says.
"""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import random
import re
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from tools.benchmarks import common

LOAD_PROCESSES = 2
# Seconds that an answer may take; one that takes longer is an error.
PATIENCE = 30.0
LENGTH = re.compile(rb"content-length: *(\d+)", re.I)
RETRY_AFTER = re.compile(rb"retry-after: *(\d+)", re.I)
CLOSES = re.compile(rb"connection: *close", re.I)


class Target(NamedTuple):
    """A request to repeat, and what its answer must contain. Plain values: it goes to other processes."""

    name: str
    port: int
    session: int
    request: bytes
    contains: bytes
    status: int = 200


# Load a target over so many connections for so many seconds, and tell what `measure` does.
Measure = Callable[[Target, int, float], dict[str, Any]]


class Load(NamedTuple):
    """What one process saw: seconds of each good answer, how many were not good, and how many said to come again."""

    times: list[float]
    errors: int
    turned_away: int


class Answer(NamedTuple):
    """What a server answered; `head` is the text of its status line and headers."""

    status: int
    head: bytes
    body: bytes


class Client:
    """A connection that is kept open. As little work as can be, since the server needs the same cores."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.connection: socket.socket | None = None

    def exchange(self, request: bytes) -> Answer:
        """Send the request and wait for the whole answer."""
        if self.connection is None:
            self.connection = socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE)
            self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.connection.sendall(request)
        head = self._received(b"")
        while b"\r\n\r\n" not in head:
            head = self._received(head)
        head, _, body = head.partition(b"\r\n\r\n")
        found = LENGTH.search(head)
        length = int(found[1]) if found else 0
        while len(body) < length:
            body = self._received(body)
        if CLOSES.search(head):
            self.close()
        return Answer(int(head[9:12]), head, body)

    def _received(self, so_far: bytes) -> bytes:
        assert self.connection is not None
        more = self.connection.recv(262_144)
        if not more:
            raise ConnectionError("the server closed the connection")
        return so_far + more

    def close(self) -> None:
        """End the connection; the next exchange opens another."""
        if self.connection is not None:
            self.connection.close()
            self.connection = None


def request(method: str, path: str, headers: dict[str, str], body: Any = None) -> bytes:
    """The text of an HTTP/1.1 request."""
    content = b"" if body is None else json.dumps(body).encode()
    lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1", *(f"{name}: {text}" for name, text in headers.items())]
    if body is not None:
        lines += ["Content-Type: application/json", f"Content-Length: {len(content)}"]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + content


def load_processes() -> Any:
    """The processes that `measure` loads from. To be made before a thread or a server is."""
    return multiprocessing.get_context("fork").Pool(LOAD_PROCESSES)


def load(target: Target, connections: int, seconds: float, pause: float = 0.0) -> Load:
    """Repeat the request over this many connections at once, from as many threads."""
    loads = [Load([], 0, 0)] * connections
    end = time.perf_counter() + seconds

    def work(number: int) -> None:
        loads[number] = repeat(target, end, pause)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(connections)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    times = [taken for part in loads for taken in part.times]
    return Load(times, sum(part.errors for part in loads), sum(part.turned_away for part in loads))


def repeat(target: Target, end: float, pause: float = 0.0) -> Load:
    """Repeat the request over one connection until `end`; where the server is full, when it says.

    With a pause, requests begin that many seconds apart, or at once after one that took longer.
    """
    client, times, errors, turned_away = Client(target.port), [], 0, 0
    due = time.perf_counter() + random.uniform(0, pause)
    while (began := time.perf_counter()) < end:
        if began < due:
            time.sleep(min(due, end) - began)
            continue
        due = max(due + pause, began)
        try:
            answer = client.exchange(target.request)
            if answer.status == target.status and target.contains in answer.body:
                times.append(time.perf_counter() - began)
            elif answer.status == 503 and (after := RETRY_AFTER.search(answer.head)):
                turned_away += 1
                time.sleep(max(0.0, min(float(after[1]), end - time.perf_counter())))
            else:
                errors += 1
        except OSError:
            client.close()
            errors += 1
    client.close()
    return Load(times, errors, turned_away)


def measure(pool: Any, target: Target, concurrency: int, seconds: float, pace: float = 0.0) -> dict[str, Any]:
    """Load the target with this many connections, from separate processes; with a pace, at most so many times a second.

    Requests a second, times in ms, and `cpu_ms`, the server's processor time an answer, which other work on the
    machine disturbs least.
    """
    shares = [
        concurrency // LOAD_PROCESSES + (number < concurrency % LOAD_PROCESSES) for number in range(LOAD_PROCESSES)
    ]
    pause = concurrency / pace if pace else 0.0
    before = common.cpu_seconds(target.session)
    loads = pool.starmap(load, [(target, share, seconds, pause) for share in shares if share], chunksize=1)
    used = common.cpu_seconds(target.session) - before
    times = sorted(taken * 1000 for part in loads for taken in part.times)
    return {
        "answers": len(times),
        "errors": sum(part.errors for part in loads),
        "turned_away": sum(part.turned_away for part in loads),
        "rate": len(times) / seconds,
        "p50_ms": quantile(times, 0.50),
        "p99_ms": quantile(times, 0.99),
        "cpu_ms": used / max(len(times), 1) * 1000,
    }


def quantile(ordered: Sequence[float], share: float) -> float:
    """The nearest-rank quantile; infinity of nothing."""
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else float("inf")


class Api:
    """What the benchmark asks of the server once: as the owner, by an API token."""

    def __init__(self, port: int) -> None:
        self.client = Client(port)
        credentials = {"email": "bench@localhost", "password": common.PASSWORD}
        session = re.search(
            rb"set-cookie: *([^;]+)", self.answer("POST", "/api/auth/login", {}, credentials).head, re.I
        )
        assert session is not None
        cookie = {"Cookie": session[1].decode()}
        made = json.loads(self.answer("POST", "/api/tokens", cookie, {"name": "bench", "role": "owner"}).body)
        self.headers = {"Authorization": f"Bearer {made['token']}"}

    def answer(self, method: str, path: str, headers: dict[str, str], body: Any = None) -> Answer:
        """The answer. Ends the benchmark where the server refuses."""
        answer = self.client.exchange(request(method, path, headers, body))
        # By the next call, minutes later, the server would have closed an idle connection.
        self.client.close()
        if answer.status not in (200, 201, 202):
            raise SystemExit(f"{method} {path} was answered with {answer.status}: {answer.body[:500]!r}")
        return answer

    def call(self, method: str, path: str, body: Any = None) -> Any:
        """The JSON of an answer."""
        return json.loads(self.answer(method, path, self.headers, body).body)


@contextlib.contextmanager
def echo_server(workers: int, folder: Path, root: Path = common.ROOT) -> Iterator[common.Server]:
    """echo.py under Headrace's gunicorn.conf.py, both of the checkout at `root`."""
    port = common.free_port()
    environment = common.headrace_environment(folder, port, workers)
    command = [sys.executable, "-m", "gunicorn", "-c", "gunicorn.conf.py", "tools.benchmarks.echo:app"]
    with common.serve(command, environment, port, "/", root) as server:
        yield server


# wrk (https://github.com/wg/wrk): the same load from a client in C, which leaves the server more of the cores

WRK_SCRIPT = """\
local threads = {{}}
wrong, turned_away = 0, 0
setup = function(thread) table.insert(threads, thread) end
response = function(status)
  if status == 503 then turned_away = turned_away + 1 elseif status ~= {status} then wrong = wrong + 1 end
end
wrk.method = "{method}"
wrk.body = {body}
{headers}
done = function(summary, latency, requests)
  local errors, bad, full = summary.errors, 0, 0
  for _, thread in ipairs(threads) do
    bad, full = bad + thread:get("wrong"), full + thread:get("turned_away")
  end
  io.write(string.format(
    '\\n{{"seconds": %.6f, "answers": %d, "bad": %d, "full": %d, "broken": %d, "p50_ms": %.3f, "p99_ms": %.3f}}\\n',
    summary.duration / 1e6, summary.requests, bad, full,
    errors.connect + errors.read + errors.write + errors.timeout,
    latency:percentile(50) / 1e3, latency:percentile(99) / 1e3))
end
"""


def wrk_script(target: Target) -> str:
    """A script of wrk that sends the request and writes what came of it as JSON in its last line."""
    head, _, body = target.request.decode().partition("\r\n\r\n")
    first, *lines = head.split("\r\n")
    headers = "\n".join(f"wrk.headers[ {_lua(name)} ] = {_lua(text)}" for name, text in (_pair(line) for line in lines))
    return WRK_SCRIPT.format(
        status=target.status, method=first.split()[0], body=_lua(body) if body else "nil", headers=headers
    )


def _pair(line: str) -> tuple[str, str]:
    name, _, text = line.partition(": ")
    return name, text


def _lua(text: str) -> str:
    """The text as a string of Lua."""
    assert "]==]" not in text
    return f"[==[{text}]==]"


def measure_with_wrk(target: Target, concurrency: int, seconds: float) -> dict[str, Any]:
    """As `measure`, from wrk, for whole seconds, one at least.

    It looks at the status alone, comes again at once where the server is full, and leaves at its end what it waits for.
    """
    path = target.request.split(maxsplit=2)[1].decode()
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
        script.write(wrk_script(target))
        script.flush()
        url = f"http://127.0.0.1:{target.port}{path}"
        threads = str(min(LOAD_PROCESSES, concurrency))
        options = ["-t", threads, "-c", str(concurrency), "-d", f"{max(1, round(seconds))}s", "-s", script.name]
        options += ["--timeout", f"{PATIENCE:g}s"]
        before = common.cpu_seconds(target.session)
        done = subprocess.run(
            ["wrk", *options, url], capture_output=True, text=True, timeout=seconds + PATIENCE, check=False
        )
        used = common.cpu_seconds(target.session) - before
    if done.returncode:
        raise SystemExit(f"wrk ended with code {done.returncode}: {done.stdout}{done.stderr}")
    said = json.loads(done.stdout.splitlines()[-1])
    good = said["answers"] - said["bad"] - said["full"]
    return {
        "answers": good,
        "errors": said["bad"] + said["broken"],
        "turned_away": said["full"],
        "rate": good / said["seconds"],
        "p50_ms": said["p50_ms"],
        "p99_ms": said["p99_ms"],
        "cpu_ms": used / max(good, 1) * 1000,
    }
