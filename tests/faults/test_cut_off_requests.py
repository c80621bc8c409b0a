"""Requests that are interrupted within the body have no effect, because the sender repeats them."""

import socket

import pytest
from record import ask
from world import chain, node

pytestmark = pytest.mark.slow

HOOK = node("hook", "webhook", {"path": "orders", "auth": "none", "respond": "immediately"})
HALVES = {
    "a body of a known length": b"Content-Length: 100\r\n\r\nhalf of it",
    "an empty one": b"Content-Length: 100\r\n\r\n",
    "pieces": b"Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
    "half of a piece": b"Transfer-Encoding: chunked\r\n\r\n40\r\nhalf\r\n",
}


def answer_to(server, path, rest):
    """Return the status of the response to a request that ends after this."""
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {server.token}\r\n"
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as client:
        client.sendall(head.encode() + rest)
        client.shutdown(socket.SHUT_WR)
        return client.recv(1_000).split(b"\r\n")[0]


@pytest.mark.parametrize("rest", HALVES.values(), ids=list(HALVES))
def test_an_incomplete_webhook_call_starts_no_run(serve, rest):
    server = serve()
    server.add_flow(chain(HOOK, "after"))
    assert b" 400 " in answer_to(server, "/api/webhooks/orders", b"Content-Type: text/plain\r\n" + rest)
    assert ask(server.database, "SELECT * FROM runs") == []
    assert server.request("POST", "/api/webhooks/orders", {"whole": True})[0] == 202


def test_an_incomplete_body_that_is_valid_json_is_still_incomplete(serve):
    server = serve()
    rest = b'Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{"name": "half"}'
    assert b" 400 " in answer_to(server, "/api/flows", rest)
    assert ask(server.database, "SELECT * FROM workflows") == []
