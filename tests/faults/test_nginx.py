"""The example configuration with a real nginx: TLS, forwarded headers, limits, slow senders and readers."""

import http.client
import json
import re
import socket
import ssl
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress

import pytest
from form_pages import make_definition
from nginx import PROGRAM, Nginx
from servers import EMAIL, PASSWORD, until
from world import chain, node

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(PROGRAM is None, reason="nginx is not installed (on Debian: apt install nginx-light)"),
]

LARGE = bytes(range(256)) * 4 * 40_960  # 40 MB: more than nginx keeps for a slow client
ECHO = node("hook", "webhook", {"path": "echo", "auth": "none", "respond": "last"})
CREDENTIALS = {"email": EMAIL, "password": PASSWORD}


@pytest.fixture
def server(serve, tmp_path):
    (tmp_path / "web" / "assets").mkdir(parents=True)
    (tmp_path / "web" / "index.html").write_text("<!doctype html>")
    (tmp_path / "web" / "assets" / "large.bin").write_bytes(LARGE)
    return serve(HEADRACE_TRUSTED_PROXIES=1, HEADRACE_WEB_DIR=tmp_path / "web")


@pytest.fixture
def nginx(server, tmp_path, tell):
    (tmp_path / "nginx").mkdir()
    made = Nginx(tmp_path / "nginx", server.port)
    tell("nginx", made.said)
    try:
        yield made.start()
    finally:
        made.close()


def tls(nginx, source="127.0.0.1", timeout=30):
    """Open a TLS connection from this loopback address; the certificate is verified."""
    plain = socket.create_connection(("127.0.0.1", nginx.https), timeout=timeout, source_address=(source, 0))
    return ssl.create_default_context(cafile=nginx.certificate).wrap_socket(plain, server_hostname="localhost")


def ask(nginx, method, path, body=None, source="127.0.0.1", **headers):
    """Return the response to one request over TLS: status, headers, body."""
    connection = http.client.HTTPConnection("localhost", timeout=60)
    connection.sock = tls(nginx, source)
    try:
        data = json.dumps(body) if isinstance(body, dict) else body
        sent = {"Content-Type": "application/json"} | {name.replace("_", "-"): text for name, text in headers.items()}
        connection.request(method, path, data, sent)
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read()
    finally:
        connection.close()


def seconds_until_answered(nginx):
    began = time.monotonic()
    assert ask(nginx, "GET", "/api/health", source="127.0.0.9")[0] == 200
    return time.monotonic() - began


def is_closed(client):
    """Return True if the other side has closed the connection."""
    client.settimeout(0.01)
    with suppress(TimeoutError, ssl.SSLWantReadError):
        try:
            return client.recv(4096) == b""
        except OSError as error:
            if isinstance(error, TimeoutError):
                raise
            return True
    return False


def test_plain_http_redirects_to_https(nginx):
    connection = http.client.HTTPConnection("127.0.0.1", nginx.http, timeout=30)
    connection.request("GET", "/runs?status=failed", headers={"Host": "flows.example.org"})
    answer = connection.getresponse()
    connection.close()
    assert (answer.status, answer.headers["Location"]) == (301, "https://flows.example.org/runs?status=failed")


def test_the_server_gets_the_clients_address_and_scheme(nginx, server):
    forged = {"X_Forwarded_For": "203.0.113.9", "X_Forwarded_Proto": "http", "X_Forwarded_Host": "evil.example.org"}
    status, headers, _ = ask(nginx, "POST", "/api/auth/login", CREDENTIALS, "127.0.0.5", **forged)
    assert status == 200 and "Secure" in headers["Set-Cookie"]
    assert headers["Strict-Transport-Security"] and "nginx/" not in headers["Server"]
    cookie = headers["Set-Cookie"].partition(";")[0]
    status, _, text = ask(nginx, "GET", "/api/audit?action=session", Cookie=cookie)
    assert status == 200 and b"127.0.0.5" in text and b"203.0.113.9" not in text
    # A write with the cookie, from the page's own origin.
    origin = {"Origin": "https://localhost", "Host": "localhost", "Cookie": cookie}
    assert ask(nginx, "DELETE", "/api/auth/session", **origin)[0] == 204


def test_the_metrics_are_not_public(nginx, server):
    own = {"Authorization": f"Bearer {server.token}"}
    assert ask(nginx, "GET", "/metrics", **own)[0] == 200
    for path in ("/metrics", "//metrics", "/./metrics", "/%6detrics", "/metrics?a=b"):
        assert ask(nginx, "GET", path, source="127.0.0.2", **own)[0] == 403, path


def test_webhooks_and_large_bodies_are_forwarded(nginx, server):
    server.add_flow(chain(ECHO, "after"))
    text = "x" * 4_000_000
    status, _, answer = ask(nginx, "POST", "/api/webhooks/echo", {"text": text})
    assert status == 200 and text.encode() in answer
    status, _, answer = ask(nginx, "POST", "/api/flows", b"x" * 5_500_000, Authorization=f"Bearer {server.token}")
    assert status == 413 and json.loads(answer)["error"]
    status, _, answer = ask(nginx, "POST", "/api/flows", b"x" * 7_000_000, Authorization=f"Bearer {server.token}")
    assert status == 413 and json.loads(answer)["error"]


def test_an_upload_larger_than_other_bodies_is_forwarded(nginx, server):
    content = b'--edge\r\nContent-Disposition: form-data; name="file"; filename="large.bin"\r\n\r\n'
    content += bytes(8_000_000) + b"\r\n--edge--\r\n"
    sent = {"Content_Type": "multipart/form-data; boundary=edge", "Authorization": f"Bearer {server.token}"}
    status, _, text = ask(nginx, "POST", "/api/files", content, **sent)
    assert (status, json.loads(text)["size"]) == (201, 8_000_000)


def test_a_large_file_of_a_form_is_forwarded(nginx, server):
    cv = {"kind": "file", "name": "cv", "title": "CV", "max_bytes": 10_000_000}
    server.call("POST", "/api/flows", {"name": "F", "status": "active", "definition": make_definition(fields=[cv])})
    _, _, page = ask(nginx, "GET", "/forms/contact")
    state = re.search(rb'name="_state" value="([^"]+)"', page)[1]
    part = b'--edge\r\nContent-Disposition: form-data; name="%s"\r\n\r\n%s\r\n'
    content = part % (b"_state", state) + part % (b"_go", b"send")
    content += b'--edge\r\nContent-Disposition: form-data; name="cv"; filename="large.bin"\r\n\r\n'
    content += bytes(8_000_000) + b"\r\n--edge--\r\n"
    status, _, _ = ask(nginx, "POST", "/forms/contact", content, Content_Type="multipart/form-data; boundary=edge")
    (run,) = server.call("GET", "/api/runs")["items"]
    assert (status, run["input"]["cv"]["size"]) == (303, 8_000_000)


def test_too_many_requests_of_one_address_are_refused_and_others_are_served(nginx):
    wrong = {"email": "nobody@example.org", "password": "wrong"}
    found = [ask(nginx, "POST", "/api/auth/login", wrong, "127.0.0.3") for _ in range(30)]
    status, headers, text = found[-1]
    assert status == 429 and headers["Retry-After"] and "this address" in json.loads(text)["error"]
    assert ask(nginx, "POST", "/api/auth/login", CREDENTIALS, "127.0.0.4")[0] == 200


def test_too_many_connections_of_one_address_are_refused_and_others_are_served(nginx):
    body = b"POST /api/flows HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n"
    with ExitStack() as stack:
        clients = [stack.enter_context(tls(nginx, "127.0.0.3")) for _ in range(110)]
        for client in clients:
            client.sendall(body)
        # nginx closes immediately after its response, so a client may lose it.
        refused = [client.recv(4096).split(b"\r\n")[0] for client in clients[-10:]]
        assert any(b" 429 " in line for line in refused) and all(b" 429 " in line or not line for line in refused)
        assert seconds_until_answered(nginx) < 2


def test_an_unreachable_server_is_reported_as_json(nginx, server):
    server.kill()
    status, headers, text = ask(nginx, "GET", "/api/health")
    assert status == 502 and headers["Retry-After"] and json.loads(text)["error"]


def test_incomplete_heads_and_bodies_block_nobody_and_time_out(nginx, server):
    half_head = b"POST /api/flows HTTP/1.1\r\nHost: localhost\r\nContent-Le"
    half_body = b"POST /api/webhooks/any HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n\r\nhalf"
    with ExitStack() as stack:
        clients = []
        for number in range(400):
            connect = tls if number % 2 else plain
            client = stack.enter_context(connect(nginx, f"127.0.1.{number % 200 + 1}"))
            client.sendall(half_head if number < 300 else half_body)
            clients.append(client)
        assert max(seconds_until_answered(nginx) for _ in range(20)) < 2
        left = set(clients)

        def all_are_closed():
            left.difference_update([client for client in left if is_closed(client)])
            return not left

        until(all_are_closed, "nginx closes them", 40)
    assert server.request("GET", "/api/health")[0] == 200


def plain(nginx, source):
    return socket.create_connection(("127.0.0.1", nginx.http), timeout=30, source_address=(source, 0))


def test_slow_readers_block_nobody(nginx):
    request = b"GET /assets/large.bin HTTP/1.1\r\nHost: localhost\r\n\r\n"
    with ExitStack() as stack:
        for number in range(50):
            client = stack.enter_context(tls(nginx, f"127.0.2.{number + 1}"))
            client.sendall(request)
            assert client.recv(100).startswith(b"HTTP/1.1 200")
        assert max(seconds_until_answered(nginx) for _ in range(20)) < 2


def test_a_slow_sender_and_a_slow_reader_that_continue_are_served(nginx, server):
    server.add_flow(chain(ECHO, "after"))
    body = json.dumps({"text": "x" * 2_000_000}).encode()
    head = "POST /api/webhooks/echo HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    head += f"Connection: close\r\nContent-Length: {len(body)}\r\n\r\n"

    def exchange(number):
        with tls(nginx, f"127.0.3.{number + 1}") as client:
            client.sendall(head.encode())
            for at in range(0, len(body), 200_000):
                client.sendall(body[at : at + 200_000])
                time.sleep(0.1)
            got = b""
            while data := client.recv(16_384):
                got += data
                time.sleep(0.005)
            return got

    with ThreadPoolExecutor(8) as pool:
        for got in pool.map(exchange, range(8)):
            assert got.startswith(b"HTTP/1.1 200") and got.count(b"x" * 1000) == 2000
