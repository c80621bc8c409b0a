"""The egress rule where a library opens its own connections, and where it is given one."""

import asyncio
import socket
import ssl
import threading
import urllib.request

import pytest

from errors import NodeError
from nodes.egress import Rule
from nodes.guard import dial, guarded

NOBODY, HERE = Rule([]), Rule(["127.0.0.1"])


@pytest.fixture
def port():
    """A port of this machine where somebody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


def test_a_library_may_connect_only_where_the_rule_permits(httpserver):
    httpserver.expect_request("/").respond_with_data("hello")
    url = httpserver.url_for("/").replace("localhost", "127.0.0.1")
    with guarded(HERE), urllib.request.urlopen(url) as answer:
        assert answer.read() == b"hello"
    with pytest.raises(NodeError, match="127.0.0.1 may not be reached") as caught, guarded(NOBODY):
        urllib.request.urlopen(url)
    assert caught.value.permanent and len(httpserver.log) == 1


def test_a_host_that_is_permitted_by_name_may_be_reached(port):
    with guarded(Rule(["localhost"])), socket.create_connection(("localhost", port)):
        pass
    with pytest.raises(NodeError), guarded(Rule(["elsewhere"])):
        socket.create_connection(("localhost", port))


def test_a_refusal_that_a_library_swallows_is_raised_all_the_same(port):
    with pytest.raises(NodeError, match="may not be reached"), guarded(NOBODY):
        try:
            socket.create_connection(("127.0.0.1", port))
        except OSError as error:
            assert "may not be reached" in str(error)


def test_a_refusal_that_a_library_dresses_up_is_what_is_raised(port):
    with pytest.raises(NodeError, match="may not be reached"), guarded(NOBODY):
        try:
            socket.create_connection(("127.0.0.1", port))
        except Exception:
            raise ssl.SSLError("something else") from None


def test_sockets_of_this_machine_are_refused(tmp_path):
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "sock"))
        server.listen()
        with (
            pytest.raises(NodeError, match="socket of this machine"),
            guarded(HERE),
            socket.socket(socket.AF_UNIX) as s,
        ):
            s.connect(str(tmp_path / "sock"))


def test_asyncio_connects_under_the_rule_of_its_thread(port):
    async def connect():
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.close()
        await writer.wait_closed()

    with guarded(HERE):
        asyncio.run(connect())
    with pytest.raises(NodeError), guarded(NOBODY):
        asyncio.run(connect())


def test_other_threads_are_not_concerned(port):
    failures = []

    def connect():
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except OSError as error:
            failures.append(error)

    with guarded(NOBODY):
        thread = threading.Thread(target=connect)
        thread.start()
        thread.join()
    assert failures == []


def test_dialling_gives_a_connection_or_says_why_not(port):
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
