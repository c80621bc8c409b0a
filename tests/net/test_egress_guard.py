"""The egress rule for libraries that open their own connections, and for libraries that accept one."""

import asyncio
import contextlib
import json
import os
import socket
import ssl
import subprocess
import sys
import threading
import time
import urllib.request
from pathlib import Path

import pytest

from errors import NodeError
from net.egress import Rule
from net.egress_guard import dial, guard_connections

NOBODY, HERE = Rule([]), Rule(["127.0.0.1"])


@pytest.fixture
def port():
    """A listening port of this machine."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


def test_a_library_may_connect_only_to_permitted_addresses(httpserver):
    httpserver.expect_request("/").respond_with_data("hello")
    url = httpserver.url_for("/").replace("localhost", "127.0.0.1")
    with guard_connections(HERE), urllib.request.urlopen(url, timeout=60) as answer:
        assert answer.read() == b"hello"
    with pytest.raises(NodeError, match="127.0.0.1 may not be reached") as caught, guard_connections(NOBODY):
        urllib.request.urlopen(url, timeout=60)
    assert caught.value.permanent and len(httpserver.log) == 1


def test_a_host_permitted_by_name_may_be_reached(port):
    with guard_connections(Rule(["localhost"])), socket.create_connection(("localhost", port), 60):
        pass
    with pytest.raises(NodeError), guard_connections(Rule(["elsewhere"])):
        socket.create_connection(("localhost", port), 60)


def test_a_refusal_that_a_library_swallows_is_still_raised(port):
    with pytest.raises(NodeError, match="may not be reached"), guard_connections(NOBODY):
        try:
            socket.create_connection(("127.0.0.1", port), 60)
        except OSError as error:
            assert "may not be reached" in str(error)


def test_a_refusal_that_a_library_replaces_is_raised_instead(port):
    with pytest.raises(NodeError, match="may not be reached"), guard_connections(NOBODY):
        try:
            socket.create_connection(("127.0.0.1", port), 60)
        except Exception:
            raise ssl.SSLError("something else") from None


def test_sockets_of_this_machine_are_refused(tmp_path):
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "sock"))
        server.listen()
        with (
            pytest.raises(NodeError, match="socket of this machine"),
            guard_connections(HERE),
            socket.socket(socket.AF_UNIX) as s,
        ):
            s.connect(str(tmp_path / "sock"))


def test_datagrams_are_refused_too(port):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        for send in sock.sendto, lambda data, address: sock.sendmsg([data], (), 0, address):
            with pytest.raises(NodeError, match="127.0.0.1 may not be reached"), guard_connections(NOBODY):
                send(b"hello", ("127.0.0.1", port))
        with guard_connections(HERE):
            sock.connect(("127.0.0.1", port))
            sock.sendmsg([b"hello"])


def test_asyncio_connects_under_the_rule_of_its_thread(port):
    async def connect():
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.close()
        await writer.wait_closed()

    with guard_connections(HERE):
        asyncio.run(connect())
    with pytest.raises(NodeError), guard_connections(NOBODY):
        asyncio.run(connect())


def test_other_threads_are_not_affected(port):
    failures = []

    def connect():
        try:
            socket.create_connection(("127.0.0.1", port), 60).close()
        except OSError as error:
            failures.append(error)

    with guard_connections(NOBODY):
        thread = threading.Thread(target=connect)
        thread.start()
        thread.join(60)
    assert failures == []


def test_dial_returns_a_connection_or_raises_the_reason(port):
    dial(HERE, "127.0.0.1", port, 5).close()
    dial(Rule(["localhost"]), "localhost", port, 5).close()
    with pytest.raises(NodeError, match="may not be reached") as caught:
        dial(NOBODY, "localhost", port, 5)
    assert caught.value.permanent
    with socket.create_server(("127.0.0.1", 0)) as closed:
        free = closed.getsockname()[1]
    with pytest.raises(NodeError, match="refused") as caught:
        dial(HERE, "127.0.0.1", free, 5)
    assert not caught.value.permanent
    with pytest.raises(NodeError, match="cannot be resolved"):
        dial(HERE, "no-such-host.invalid", 80, 5)


# Deadlines


@pytest.fixture
def silent(authority):
    """`silent(tls)` is the port of a server that accepts a connection and sends nothing until the test ends."""
    over, listeners = threading.Event(), []

    def serve(listener, context):
        connection, _ = listener.accept()
        with connection if context is None else context.wrap_socket(connection, server_side=True):
            over.wait(30)

    def start(tls):
        listener = socket.create_server(("127.0.0.1", 0))
        context = authority.server("127.0.0.1") if tls else None
        thread = threading.Thread(target=serve, args=(listener, context))
        listeners.append((listener, thread))
        thread.start()
        return listener.getsockname()[1]

    yield start
    over.set()
    for listener, thread in listeners:
        thread.join(60)
        listener.close()


@pytest.mark.parametrize("tls", [False, True])
def test_a_call_that_waits_for_data_ends_at_the_deadline(silent, authority, tls):
    port, began = silent(tls), time.monotonic()
    with guard_connections(HERE, seconds=0.3), socket.create_connection(("127.0.0.1", port), timeout=None) as sock:
        if tls:
            sock = ssl.create_default_context(cafile=authority.file).wrap_socket(sock, server_hostname="127.0.0.1")
        with sock, contextlib.suppress(OSError):
            assert sock.recv(1) == b""
        with pytest.raises(TimeoutError):
            socket.create_connection(("127.0.0.1", port), timeout=None)
    assert 0.25 < time.monotonic() - began < 10


def test_a_call_that_ends_in_time_is_not_affected(port):
    with guard_connections(HERE, seconds=30), socket.create_connection(("127.0.0.1", port), 60) as sock:
        sock.sendall(b"hello")
    before = threading.active_count()
    with guard_connections(HERE, seconds=30):
        assert threading.active_count() == before + 1
    assert threading.active_count() == before


# Threads kept away from this machine


@pytest.fixture
def folder(tmp_path):
    """A readable folder, with a link to a forbidden file beside it."""
    (tmp_path / "key").write_text("secret")
    (tmp_path / "open").mkdir()
    (tmp_path / "open" / "file").write_text("hello")
    (tmp_path / "open" / "link").symlink_to(tmp_path / "key")
    return tmp_path / "open"


def test_only_files_of_the_folders_and_of_python_can_be_read(folder):
    with guard_connections(NOBODY, folders=[folder]):
        assert (folder / "file").read_text() == "hello"
        assert "JSON" in Path(json.__file__).read_text()
        assert "pytest" in Path(pytest.__file__).read_text()
        for path in ("../key", "link", "../open/../key"):
            with pytest.raises(PermissionError):
                (folder / path).read_text()
            with pytest.raises(PermissionError):
                os.open(folder / path, os.O_RDONLY)
        with pytest.raises(PermissionError):
            Path("/etc/passwd").read_text()
    assert (folder.parent / "key").read_text() == "secret"


def test_a_folder_with_the_same_prefix_is_forbidden(folder):
    (folder.parent / "open too").write_text("secret")
    with guard_connections(NOBODY, folders=[folder]), pytest.raises(PermissionError):
        (folder.parent / "open too").read_text()


def test_nothing_can_be_written(folder):
    with guard_connections(NOBODY, folders=[folder]):
        for mode in ("w", "a", "r+", "x"):
            with pytest.raises(PermissionError):
                (folder / "file").open(mode)
        for change in (
            (folder / "file").unlink,
            (folder / "new").mkdir,
            lambda: (folder / "file").rename(folder / "new"),
        ):
            with pytest.raises(PermissionError):
                change()
    assert (folder / "file").read_text() == "hello" and len(list(folder.iterdir())) == 2


@pytest.mark.parametrize(
    "run",
    [
        lambda: subprocess.run([sys.executable, "-c", ""], timeout=60),
        lambda: os.system("true"),
        lambda: os.posix_spawn("/bin/true", ["true"], {}),
        pytest.param(
            lambda: threading.Thread(target=print).start(),
            marks=pytest.mark.skipif(sys.version_info < (3, 12), reason="Python 3.11 does not tell of threads"),
        ),
    ],
)
def test_starting_a_program_or_a_thread_is_refused_even_if_the_library_hides_it(run, port):
    with (
        pytest.raises(NodeError, match="may not use this machine itself") as caught,
        guard_connections(HERE, folders=[]),
    ):
        with pytest.raises(PermissionError):
            run()
        socket.create_connection(("127.0.0.1", port), 60).close()
    assert caught.value.permanent


def test_without_folders_files_and_programs_are_allowed(tmp_path):
    with guard_connections(NOBODY):
        (tmp_path / "file").write_text("hello")
        assert subprocess.run([sys.executable, "-c", ""], timeout=60).returncode == 0
