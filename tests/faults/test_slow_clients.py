"""Clients that send half a request, or read the response slowly or not at all: they block nobody and time out."""

import resource
import socket
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest
from servers import until

pytestmark = pytest.mark.slow

HEADS, BODIES, READERS = 300, 300, 50
HALF_HEAD = b"POST /api/webhooks/any HTTP/1.1\r\nHost: localhost\r\nContent-Le"
HALF_BODY = b"POST /api/webhooks/any HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n\r\n" + b"x" * 20_000
PIECES = (
    b"POST /api/webhooks/any HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n4000\r\n" + b"x" * 9_000
)
GET_FILE = b"GET /assets/large.bin HTTP/1.1\r\nHost: localhost\r\n\r\n"
FILE = bytes(range(256)) * 4 * 8192  # 8 MB
DEADLINE = 10  # seconds that the server allows for a head, a stalled body and a stalled reader
LATER = 10  # further seconds until everything has ended
POOLS = 2 * (16 + 16)  # threads of both workers, some of which may start only now
SOON = 1.0  # maximum seconds of a response at any time
ECHO = {"nodes": [{"id": "start", "type": "manual"}], "edges": []}
LIMITED = (
    "-c",
    "import resource, runpy, sys; resource.setrlimit(resource.RLIMIT_NOFILE, (200, 200)); "
    "sys.argv = ['workflow_server.py']; runpy.run_path('workflow_server.py', run_name='__main__')",
)


@pytest.fixture(autouse=True)
def many_files():
    """Raise the limit of open files to the number of sockets of the test."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 4096 if hard == resource.RLIM_INFINITY else min(4096, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.fixture
def folder(tmp_path):
    """A web folder with one large file."""
    (tmp_path / "web" / "assets").mkdir(parents=True)
    (tmp_path / "web" / "index.html").write_text("<!doctype html>")
    (tmp_path / "web" / "assets" / "large.bin").write_bytes(FILE)
    return tmp_path / "web"


@pytest.fixture
def connect():
    """`connect(server, data)` returns a socket that has sent only this; all are closed in the end."""
    made = []

    def begin(server, data, buffer=None):
        client = socket.socket()
        made.append(client)
        if buffer is not None:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        client.settimeout(30)
        client.connect(("127.0.0.1", server.port))
        client.sendall(data)
        return client

    yield begin
    for client in made:
        client.close()


class Pulse:
    """Requests /api/health repeatedly, each time on a new connection, and measures the time."""

    def __init__(self, server):
        self.server, self.times, self.failures = server, [], []
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._beat, daemon=True)

    def _beat(self):
        while not self._ending.wait(0.05):
            began = time.monotonic()
            try:
                assert self.server.request("GET", "/api/health")[0] == 200
            except Exception as error:
                self.failures.append(error)
            self.times.append(time.monotonic() - began)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._ending.set()
        self._thread.join(60)


def usage(server):
    """Return the threads, open sockets and MB of memory of the workers."""
    found = Counter()
    for pid in server.workers():
        found["threads"] += len(list(Path(f"/proc/{pid}/task").iterdir()))
        found["sockets"] += sum(path.startswith("socket:") for path in open_files(pid))
        found["memory"] += int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * resource.getpagesize() >> 20
    return found


def open_files(pid):
    for path in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(OSError):  # closed meanwhile
            yield str(path.readlink())


def warm_up(server, times=400):
    """Make the workers start all threads and allocate all permanent memory."""
    with ThreadPoolExecutor(40) as pool:
        list(pool.map(lambda _: server.request("GET", "/api/metrics"), range(times)))


def read_slowly(clients, ending, size, pause):
    """Make each client read so many bytes after each pause, until the server has closed all, or `end` is set."""
    left = set(clients)
    while left and not ending.wait(pause):
        # Received data can be read long after the server has closed, so the state of the socket is checked.
        left = {client for client in left if not client.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)}
        left = {client for client in left if client.recv(size)}


def status_at_end(client):
    """Return the status of the response before the server closes; None without a response."""
    got = b""
    with suppress(ConnectionResetError):
        while data := client.recv(65_536):
            got += data
    return int(got.split()[1]) if got else None


def test_half_requests_and_slow_readers_block_nobody_and_time_out(serve, folder, connect):
    server = serve(HEADRACE_WEB_DIR=folder)
    flow = server.add_flow(ECHO)
    warm_up(server)
    with Pulse(server) as calm:
        time.sleep(2)
    before = usage(server)
    ending = threading.Event()
    with Pulse(server) as pulse, ThreadPoolExecutor(2) as pool, ExitStack() as stack:
        stack.callback(ending.set)  # before the pool joins its threads
        began = time.monotonic()
        readers = [connect(server, GET_FILE, buffer=4096) for _ in range(READERS)]
        reading = pool.submit(read_slowly, readers, ending, 1, 0.2)
        steady = connect(server, GET_FILE, buffer=65_536)
        taking = pool.submit(read_slowly, [steady], ending, 65_536, 0.2)
        heads = [connect(server, HALF_HEAD) for _ in range(HEADS)]
        bodies = [connect(server, PIECES if number % 3 == 0 else HALF_BODY) for number in range(BODIES)]
        assert time.monotonic() - began < DEADLINE, "all of them are there at once"
        for number in range(5):
            assert server.session()["Cookie"]
            assert server.run(flow, number, wait=10)["status"] == "success"
        assert [status_at_end(client) for client in heads] == [408] * HEADS
        assert [status_at_end(client) for client in bodies] == [408] * BODIES
        until(lambda: reading.done(), "the slow readers are closed", began + DEADLINE + LATER - time.monotonic())
        assert not taking.done(), "who reads fast enough goes on"
    steady.close()
    with Pulse(server) as later:
        time.sleep(2)
    assert not pulse.failures
    # A busy machine is slow without them, too.
    assert max(pulse.times) < SOON + max(calm.times + later.times)
    until(lambda: usage(server)["sockets"] <= before["sockets"], "the connections are gone", LATER)
    after = usage(server)
    assert after["threads"] <= before["threads"] + POOLS
    assert after["memory"] <= before["memory"] + 60
    assert server.run(flow, wait=10)["status"] == "success"


def test_large_incomplete_bodies_do_not_fill_the_memory(serve, connect):
    server = serve()
    warm_up(server)
    before = usage(server)["memory"]
    size = 4_900_000
    head = f"POST /api/webhooks/any HTTP/1.1\r\nHost: localhost\r\nContent-Length: {size + 1}\r\n\r\n".encode()
    body = b"x" * size
    most = 0
    for number in range(80):
        with suppress(OSError):
            connect(server, head + body)
        if number % 4 == 0:
            most = max(most, usage(server)["memory"] - before)
    assert most < 2 * 128 + 100, "80 of them would be 392 MB"
    assert server.session()["Cookie"]


def test_connections_beyond_the_limit_wait_until_idle_ones_are_closed(serve, connect):
    server = serve(command=LIMITED, WEB_CONCURRENCY=1)
    heads = [connect(server, HALF_HEAD) for _ in range(300)]
    began = time.monotonic()
    assert server.request("GET", "/api/health")[0] == 200
    assert time.monotonic() - began < DEADLINE, "with a limit of 100, they would take 30 s otherwise"
    assert Counter(status_at_end(client) for client in heads) == {408: 300}


def test_a_slow_client_gets_the_whole_response(serve, folder, connect):
    server = serve(HEADRACE_WEB_DIR=folder)
    client = connect(server, GET_FILE + GET_FILE.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"), buffer=65_536)
    got = []
    while data := client.recv(100_000):
        got.append(data)
        time.sleep(0.002)
    answers = b"".join(got).split(b"HTTP/1.1 200 OK\r\n")
    assert [answer.partition(b"\r\n\r\n")[2] for answer in answers[1:]] == [FILE, FILE]


def test_half_requests_do_not_delay_the_stop_of_a_server(serve, connect):
    server = serve(HEADRACE_GRACE=0)
    for _ in range(20):
        connect(server, HALF_HEAD), connect(server, HALF_BODY), connect(server, b"")
    began = time.monotonic()
    server.terminate()
    assert server.ended() == 0
    assert time.monotonic() - began < 5 + LATER
