"""HTTP of the server, byte by byte: accepted requests, responses, closing of connections."""

import json
import random
import socket
import time
from types import SimpleNamespace

import pytest
from gunicorn.http.body import ChunkedReader
from gunicorn.http.unreader import IterUnreader
from hypothesis import given, settings
from hypothesis import strategies as st
from servers import Server

from api.run_answer import SECURITY_HEADERS
from net.http_worker.connection import MAX_LINE, Chunks

SECURITY = {"Cache-Control": "no-store", **dict(SECURITY_HEADERS)}
HEALTH = b"GET /api/health HTTP/1.1\r\nHost: localhost\r\n\r\n"
LAST = b"GET /api/health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
LOGIN = b"POST /api/auth/login HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
BODY = json.dumps({"email": "nobody@example.org", "password": "wrong"}).encode()
SIZED = LOGIN + f"Content-Length: {len(BODY)}\r\n".encode()
CHUNKED = LOGIN + b"Transfer-Encoding: chunked\r\n\r\n"


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A real server, one worker."""
    server = Server(tmp_path_factory.mktemp("http"), WEB_CONCURRENCY=1)
    try:
        yield server.start()
    finally:
        server.close()


@pytest.fixture
def talk(server):
    """`talk(*pieces)` sends the pieces one by one, and returns their statuses; `talk.got` has all responses."""

    def begin(*pieces, pause=0.0, ends=False):
        with socket.create_connection(("127.0.0.1", server.port), timeout=30) as client:
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for piece in pieces:
                client.sendall(piece)
                time.sleep(pause)
            if ends:
                client.shutdown(socket.SHUT_WR)
            begin.got = b""
            while data := client.recv(65_536):
                begin.got += data
        return [int(line.split()[1]) for line in begin.got.split(b"\r\n") if line.startswith(b"HTTP/1.")] + [
            int(part.split()[0]) for part in begin.got.split(b"}HTTP/1.1 ")[1:]
        ]

    return begin


def chunks(*texts):
    return b"".join(b"%x\r\n%s\r\n" % (len(text), text) for text in texts)


# Requests


def test_one_connection_serves_many_requests(talk):
    assert talk(HEALTH, HEALTH, LAST, pause=0.05) == [200, 200, 200]


def test_requests_may_be_sent_before_their_answers(talk):
    assert talk(HEALTH * 20 + LAST) == [200] * 21


def test_a_request_may_come_byte_by_byte(talk):
    request = SIZED + b"Connection: close\r\n\r\n" + BODY
    assert talk(*(request[at : at + 1] for at in range(len(request))), pause=0.001) == [401]


def test_a_body_may_come_after_its_head(talk):
    assert talk(SIZED + b"\r\n", BODY[:10], BODY[10:], LAST, pause=0.05) == [401, 200]


def test_a_body_that_the_app_does_not_read_is_not_parsed_as_a_request(talk):
    assert talk(b"POST /nothing HTTP/1.1\r\nHost: localhost\r\nContent-Length: 44\r\n\r\n" + HEALTH[:44] + LAST) == [
        404,
        200,
    ]


def test_http_1_0_closes_after_its_answer(talk):
    assert talk(b"GET /api/health HTTP/1.0\r\n\r\n") == [200]


def test_a_client_that_closes_its_side_gets_its_response(talk):
    assert talk(HEALTH, ends=True) == [200]


@pytest.mark.slow
def test_an_idle_connection_is_closed(talk):
    began = time.monotonic()
    assert talk(HEALTH) == [200]
    assert 4 < time.monotonic() - began < 20


def test_a_client_that_expects_100_continue_gets_it(talk):
    assert talk(SIZED + b"Expect: 100-continue\r\n\r\n", BODY + LAST, pause=0.2) == [100, 401, 200]


# Chunked bodies


def test_chunks_are_joined(talk):
    assert talk(CHUNKED + chunks(BODY[:7], BODY[7:]) + b"0\r\n\r\n" + LAST) == [401, 200]


def test_chunks_may_have_extensions_and_trailers(talk):
    pieces = b"%x;name=value\r\n%s\r\n" % (len(BODY), BODY), b"0\r\nX-Trailer: 1\r\n", b"\r\n" + LAST
    assert talk(CHUNKED, *pieces, pause=0.05) == [401, 200]


@pytest.mark.parametrize(
    "broken", [b"zz\r\nab\r\n", b"-1\r\n\r\n", b"2\r\nabc\r\n", b"\r\n", b"1" * 70_000], ids=range(5)
)
def test_invalid_chunks_are_refused_and_later_data_is_not_read(talk, broken):
    assert talk(CHUNKED + broken + b"0\r\n\r\n" + LAST, ends=True) == [400]


@settings(deadline=None)  # the machine may be busy
@given(st.data(), st.lists(st.binary(min_size=1, max_size=40), max_size=6), st.sampled_from([b"", b"X: 1\r\n"]))
def test_the_end_of_a_chunked_body_is_the_same_as_gunicorns(data, texts, trailer):
    whole = chunks(*texts) + b"0\r\n" + trailer + b"\r\n"
    follows = data.draw(st.binary(max_size=20))
    received, found, ends = bytearray(), None, Chunks()
    while found is None:
        size = data.draw(st.integers(1, 30))
        received += (whole + follows)[len(received) : len(received) + size]
        found = ends.end(received)
    assert found == len(whole) and ends.is_valid
    assert ends.received(received) == sum(map(len, texts))
    rest = IterUnreader([bytes(received)])
    reader = ChunkedReader(SimpleNamespace(parse_headers=lambda *_, **__: []), rest)
    assert reader.read(1000) == b"".join(texts)
    assert rest.take_buffered() == received[found:]


@settings(deadline=None)  # the machine may be busy
@given(st.binary(max_size=200))
def test_any_bytes_as_chunks_have_an_end_or_wait_for_more(garbage):
    ends = Chunks()
    received = bytearray()
    for byte in garbage:
        received.append(byte)
        if ends.end(received) is not None:
            return
    assert ends.end(received + b"\0" * (2 * MAX_LINE)) is not None or ends.received(received) < len(received)


# Refusals


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"GET /api/health HTTP/1.1\nHost: localhost\n\n", 400),
        (b"nonsense\r\n\r\n", 400),
        (b"GET /api/health HTTP/1.1\r\nbad header\r\n\r\n", 400),
        (LOGIN + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
        (LOGIN + b"Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc", 400),
        (LOGIN + b"Content-Length: -1\r\n\r\n", 400),
        (b"GET /" + b"a" * 5_000 + b" HTTP/1.1\r\n\r\n", 414),
        (b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 101 + b"\r\n", 431),
        (b"GET / HTTP/1.1\r\n" + (b"A: " + b"b" * 8_000 + b"\r\n") * 9 + b"\r\n", 431),
        (b"GET / HTTP/1.1\r\nA: " + b"b" * 9_000 + b"\r\n\r\n", 431),
        (b"GET / HTTP/1.1\r\nA: " + b"b" * 70_000, 431),
        (LOGIN + b"Content-Length: 6000000\r\n\r\n", 413),
        (LOGIN + b"Content-Length: 6000000\r\n\r\n" + b"x" * 6_000_000, 413),
        (CHUNKED + chunks(b"x" * 65_536) * 90 + b"0\r\n\r\n", 413),
        (CHUNKED + chunks(b"x") * 100_000, 413),
        (b"GET /api/health HTTP/1.1\r\n\r\n", 400),
        (HEALTH.replace(b"\r\n\r\n", b"\r\nHost: other\r\n\r\n"), 400),
        (CHUNKED.replace(b"chunked", b"gzip, chunked") + chunks(BODY) + b"0\r\n\r\n", 501),
        (CHUNKED.replace(b"chunked", b"gzip\r\nTransfer-Encoding: chunked") + chunks(BODY) + b"0\r\n\r\n", 501),
        (LOGIN + b"Expect: the-unexpected\r\n\r\n", 417),
    ],
    ids=range(20),
)
def test_invalid_requests_are_refused_like_others_and_the_connection_closes(talk, request_, status):
    assert talk(request_ + LAST) == [status]
    head, _, body = talk.got.partition(b"\r\n\r\n")
    headers = dict(line.split(": ", 1) for line in head.decode().split("\r\n")[1:])
    assert headers["Content-Type"] == "application/json" and headers["Connection"] == "close"
    assert list(json.loads(body)) == ["error"] and int(headers["Content-Length"]) == len(body)
    assert SECURITY.items() <= headers.items()


def test_a_disconnected_client_does_not_affect_others(server, talk):
    random.seed(1)
    request = SIZED + b"\r\n" + BODY
    for _ in range(50):
        with socket.create_connection(("127.0.0.1", server.port), timeout=30) as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            client.sendall(request[: random.randrange(len(request) + 1)])
    assert talk(LAST) == [200]
    assert not any("Traceback" in line for line in list(server.lines))
