"""Malicious servers and inputs for the nodes that use HTTP: each is refused or stopped soon, with its reason."""

import gzip
import ipaddress
import itertools
import json
import ssl
import time
from datetime import UTC, datetime, timedelta

import httpx2
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from marshmallow import ValidationError
from sites import Site, address, answering, echoing, failure, unplaced
from werkzeug import Response

from errors import NodeError
from net.egress import HttpClient, Rule, _remove_secrets
from nodes import REGISTRY

BEARER = {"key": ("http_bearer", {"token": "hunter2"}, ["127.0.0.1", "b.example"])}
CHUNKED = b"HTTP/1.1 %s\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.fixture
def strict():
    """A client that may reach public addresses only."""
    client = HttpClient(Rule([]))
    yield client
    client.close()


def endless(status=b"200 OK"):
    """Return a response whose body never ends."""
    return itertools.chain([CHUNKED % status], itertools.repeat(b"1000\r\n" + b"x" * 4096 + b"\r\n"))


# Private networks


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "[::1]", "[::ffff:7f00:1]", "0x7f.1", "a.example"])
@pytest.mark.parametrize("type_", ["http", "graphql"])
def test_this_machine_is_refused_under_any_name(run, names, httpserver, strict, host, type_):
    names["a.example"] = ["127.0.0.1"]
    config = {"url": f"http://{host}:{httpserver.port}/"} | ({"query": "{ a }"} if type_ == "graphql" else {})
    error = failure(run, config, type_, http=strict)
    assert "is at an address that may not be reached" in error.message and error.permanent
    assert not httpserver.log


@pytest.mark.parametrize(
    "target", ["http://169.254.169.254/latest/", "http://10.0.0.1/", "http://[fd00::1]/", "//[::]/"]
)
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_to_a_private_address_is_refused(run, httpserver, target, status):
    url = answering(httpserver, "/", (status, {"Location": target}, ""))
    error = failure(run, {"url": url, "method": "POST", "body": {}, "credential": "key"}, credentials=BEARER)
    assert "is at an address that may not be reached" in error.message and error.permanent


def test_a_next_link_to_a_private_address_is_refused(run, httpserver):
    url = answering(httpserver, "/", {"list": [1], "next": "http://169.254.169.254/latest/"})
    config = {"url": url, "pagination": {"type": "next_link", "path": "next", "items": "list"}}
    assert "leads from 127.0.0.1 to another host, 169.254.169.254" in failure(run, config).message


# Theft of credentials


def test_a_credential_does_not_follow_a_redirect_to_another_bound_host(run, names, httpserver):
    names["b.example"] = ["127.0.0.1"]
    echoing(httpserver)
    url = answering(httpserver, "/", (307, {"Location": f"http://b.example:{httpserver.port}/echo"}, ""))
    for credentials in (BEARER, {"key": ("http_header", {"name": "X-Key", "value": "hunter2"}, ["127.0.0.1"])}):
        seen = run("http", {"url": url, "credential": "key"}, credentials=credentials)["body"]["headers"]
        assert "authorization" not in seen and "x-key" not in seen and "hunter2" not in str(seen)


@pytest.mark.parametrize(
    ("old", "new", "kept"),
    [
        ("https://a.example/", "http://a.example/", False),
        ("https://a.example/", "https://a.example:8443/", False),
        ("https://a.example/", "https://b.example/", False),
        ("https://a.example/", "https://a.example.b.example/", False),
        ("https://a.example/", "https://a.example/b", True),
        ("http://a.example/", "https://a.example/", True),
    ],
)
def test_secret_headers_are_dropped_for_another_origin_or_without_tls(old, new, kept):
    headers = {"Authorization": "Bearer s", "X-Api-Key": "s", "Accept": "*/*"}
    following = httpx2.Request("GET", new, headers=headers)
    assert _remove_secrets(httpx2.Request("GET", old), following, None) is not kept
    assert ("authorization" in following.headers, "x-api-key" in following.headers) == (kept, kept)
    assert following.headers["accept"] == "*/*"


def test_a_credential_that_the_server_echoes_is_redacted_in_the_error(run, make_ctx, httpserver):
    def answer(request):
        return Response(request.headers["Authorization"], 400, content_type="text/plain")

    httpserver.expect_request("/").respond_with_handler(answer)
    ctx, _ = make_ctx(credentials=BEARER)
    error = failure(run, {"url": address(httpserver), "credential": "key"}, ctx=ctx)
    assert unplaced(error.message) == "GET 127.0.0.1 answered 400 BAD REQUEST: Bearer ***"


# TLS


@pytest.fixture(scope="module")
def identity(tmp_path_factory):
    """The files of a self-signed certificate for 127.0.0.1 and of its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    alternative = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(now - timedelta(1)).not_valid_after(now + timedelta(1))
    made = builder.add_extension(alternative, critical=False).sign(key, hashes.SHA256())
    folder = tmp_path_factory.mktemp("identity")
    (folder / "cert.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    private = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (folder / "key.pem").write_bytes(key.private_bytes(*private))
    return folder / "cert.pem", folder / "key.pem"


@pytest.fixture
def secure(identity):
    """An HTTPS server with the self-signed certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*identity)
    with Site("127.0.0.1", ssl_context=context) as server:
        yield server


@pytest.fixture
def trusting(identity):
    """A client that trusts the self-signed certificate."""
    client = HttpClient(Rule(["127.0.0.1"]))
    client._http._transport._pool._ssl_context.load_verify_locations(identity[0])
    yield client
    client.close()


def test_nothing_is_sent_to_a_server_with_an_untrusted_certificate(run, secure):
    error = failure(run, {"url": f"https://127.0.0.1:{secure.port}/", "credential": "key"}, credentials=BEARER)
    assert "certificate" in error.message.lower() and not secure.log


def test_a_credential_does_not_follow_a_redirect_from_https_to_http(run, secure, trusting, httpserver):
    echoing(httpserver)
    echoing(secure, "/safe")
    secure.expect_request("/down").respond_with_data(status=307, headers={"Location": address(httpserver, "/echo")})
    for path, kept in (("/safe", True), ("/down", False)):
        config = {"url": f"https://127.0.0.1:{secure.port}{path}", "credential": "key"}
        seen = run("http", config, credentials=BEARER, http=trusting)["body"]["headers"]
        assert ("authorization" in seen) is kept


# Injection


INJECTED = "a\r\nX-Evil: 1\r\n\r\nGET /evil HTTP/1.1\r\n"


@pytest.mark.parametrize("type_", ["http", "graphql"])
@pytest.mark.parametrize("headers", [{"X-A": INJECTED}, {INJECTED: "a"}, {"X-A": "\0"}, {"X:A": "1"}])
def test_a_header_cannot_inject_another_header(type_, headers):
    with pytest.raises(ValidationError) as caught:
        REGISTRY[type_].Config().load({"url": "http://a.example", "query": {}, "headers": headers})
    assert "headers" in caught.value.messages


def test_a_query_or_a_path_cannot_inject_a_header(run, httpserver):
    seen = run("http", {"url": echoing(httpserver), "query": {INJECTED: INJECTED}})["body"]
    assert "x-evil" not in seen["headers"] and "%0D%0A" in seen["query"]
    assert failure(run, {"url": address(httpserver, "/" + INJECTED)}).permanent
    assert len(httpserver.log) == 1


def test_a_part_of_a_form_cannot_inject_another_part(run, make_ctx, httpserver):
    def answer(request):
        return Response(json.dumps([request.get_data(as_text=True), [*request.headers]]))

    httpserver.expect_request("/").respond_with_handler(answer)
    ctx, _ = make_ctx()
    ctx.files.write("a.txt", b"tea")
    evil = 'x"; filename="evil.txt"\r\nContent-Type: text/evil\r\n\r\n--'
    config = {
        "url": address(httpserver),
        "method": "POST",
        "body_type": "multipart",
        "body": {evil: "value"},
        "files": {evil: {"path": "a.txt", "name": evil, "content_type": "text/plain"}},
        "response": "json",
    }
    body, headers = run("http", config, ctx=ctx)["body"]
    lines = body.split("\r\n")
    assert sum(line.startswith("Content-Disposition: ") for line in lines) == 2
    assert [line for line in lines if line.lower().startswith("content-type")] == ["Content-Type: text/plain"]
    assert '"evil.txt"' not in body and not any("evil" in name.lower() for name, _ in headers)


@pytest.mark.parametrize("content_type", [INJECTED, "text/plain\r\nX: 1", "text", "text/plain;\n", "text/é"])
def test_the_content_type_of_a_file_cannot_inject_a_header(run, make_ctx, httpserver, content_type):
    ctx, _ = make_ctx()
    ctx.files.write("a.txt", b"tea")
    named = {"path": "a.txt", "content_type": content_type}
    for config in ({"body_type": "file", "body": named}, {"body_type": "multipart", "files": {"a": named}}):
        error = failure(run, {"url": echoing(httpserver), "method": "POST", **config}, ctx=ctx)
        assert "is not a content type" in error.message and error.permanent
    assert not httpserver.log


# Size limits


@pytest.fixture(scope="module")
def bomb():
    return gzip.compress(bytes(2**26), compresslevel=1)


@pytest.mark.parametrize("response", ["auto", "json", "text", "file"])
def test_a_decompression_bomb_is_stopped(run, make_ctx, httpserver, bomb, response):
    url = answering(httpserver, "/", (200, {"Content-Encoding": "gzip"}, bomb))
    ctx, _ = make_ctx()
    began = time.monotonic()
    error = failure(run, {"url": url, "response": response, "save_to": "a/b"}, ctx=ctx)
    assert "more than 50000 bytes" in error.message or "exceed the limit of 1,000,000 bytes" in error.message
    assert error.permanent and time.monotonic() - began < 15
    assert response != "file" or ctx.files.list("a") == []


@pytest.mark.parametrize("response", ["auto", "file"])
def test_an_endless_body_is_stopped(run, make_ctx, serve_bytes, response):
    ctx, _ = make_ctx()
    error = failure(run, {"url": serve_bytes(endless(), pause=0).url, "response": response, "save_to": "a/b"}, ctx=ctx)
    assert "more than 50000 bytes" in error.message or "exceed the limit of 1,000,000 bytes" in error.message
    assert error.permanent


def test_an_endless_error_body_is_truncated(run, serve_bytes):
    error = failure(run, {"url": serve_bytes(endless(b"500 Oh"), pause=0).url})
    assert unplaced(error.message) == "GET 127.0.0.1 answered 500 Oh: " + "x" * 300 + "…" and not error.permanent


@pytest.mark.parametrize(
    "pieces",
    [
        lambda: [b"HTTP/1.1 200 OK\r\n" + b"X-A: " + b"x" * 200_000 + b"\r\n\r\n"],
        lambda: itertools.chain([b"HTTP/1.1 200 OK\r\n"], (b"X-%d: x\r\n" % n for n in itertools.count())),
        lambda: [b"HTTP/1.1 200 " + b"x" * 200_000],
        lambda: [b"x" * 200_000],
    ],
    ids=["one", "many", "reason", "nonsense"],
)
def test_endless_headers_are_stopped(run, serve_bytes, pieces):
    error = failure(run, {"url": serve_bytes(pieces(), pause=0).url})
    assert unplaced(error.message).startswith("GET 127.0.0.1: ") and "no complete answer" not in unplaced(error.message)


def test_endless_pages_stop_at_max_pages(run, httpserver):
    count = itertools.count(1)
    url = answering(httpserver, "/", lambda request: {"list": [1], "next": f"c{next(count)}"})
    config = {"url": url, "pagination": {"type": "cursor", "path": "next", "items": "list", "max_pages": 7}}
    output = run("http", config)
    assert (output["pages"], output["truncated"], len(httpserver.log)) == (7, True, 7)


def test_a_redirect_loop_is_stopped(run, httpserver):
    count = itertools.count()
    url = answering(httpserver, "/", lambda request: (302, {"Location": f"/?{next(count)}"}, ""))
    error = failure(run, {"url": url, "method": "POST", "body": {}})
    assert unplaced(error.message) == "POST 127.0.0.1: more than 10 redirects" and error.permanent
    assert len(httpserver.log) == 11


def test_a_malformed_link_header_is_parsed_quickly(run, httpserver):
    url = answering(httpserver, "/", (200, {"Link": "<" * 10_000 + ";rel=" * 10_000}, "[1]"))
    began = time.monotonic()
    assert run("http", {"url": url, "pagination": {"type": "next_link"}})["pages"] == 1
    assert time.monotonic() - began < 5


# Timeouts


def drip(head, piece):
    return itertools.chain([head], itertools.repeat(piece))


@pytest.mark.parametrize(
    "pieces",
    [
        drip(b"HTTP/1.1 200 OK\r\nContent-Length: 999\r\n\r\n", b"x"),
        drip(b"HTTP/1.1 500 Oh\r\nContent-Length: 999\r\n\r\n", b"x"),
        drip(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n"),
        drip(b"HTTP/1.1 200 OK\r\n", b"X-A: b\r\n"),
        drip(b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
        [b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 999\r\n\r\n", *[b""] * 999],
    ],
    ids=["body", "error", "chunks", "headers", "continue", "gzip"],
)
@pytest.mark.parametrize("response", ["auto", "file"])
def test_a_slow_server_does_not_extend_the_timeout(run, serve_bytes, pieces, response):
    began = time.monotonic()
    error = failure(run, {"url": serve_bytes(pieces).url, "timeout": 0.3, "response": response})
    assert unplaced(error.message) == "GET 127.0.0.1: no complete answer within 0.3 s" and not error.permanent
    assert time.monotonic() - began < 10


def test_a_download_that_times_out_leaves_no_file(run, make_ctx, serve_bytes):
    ctx, _ = make_ctx()
    ctx.files.max_bytes = 2**40
    config = {"url": serve_bytes(endless(), pause=0).url, "response": "file", "save_to": "a/b", "timeout": 0.2}
    error = failure(run, config, ctx=ctx)
    assert unplaced(error.message) == "GET 127.0.0.1: no complete answer within 0.2 s" and not error.permanent
    assert ctx.files.list("a") == []


@pytest.mark.parametrize("body_type", ["file", "multipart"])
def test_a_server_that_does_not_read_does_not_extend_the_timeout(run, make_ctx, serve_bytes, body_type):
    ctx, _ = make_ctx()
    ctx.files.max_bytes = 30_000_000
    ctx.files.write("a.bin", bytes(20_000_000))
    named = {"body": "a.bin"} if body_type == "file" else {"files": {"a": "a.bin"}}
    url = serve_bytes([b""], pause=60).url
    config = {"url": url, "method": "PUT", "body_type": body_type, "timeout": 0.3, **named}
    began = time.monotonic()
    error = failure(run, config, ctx=ctx)
    assert unplaced(error.message) == "PUT 127.0.0.1: no complete answer within 0.3 s"
    assert time.monotonic() - began < 10


def test_an_answer_before_the_end_of_the_upload_is_not_a_timeout(run, make_ctx, serve_bytes):
    ctx, _ = make_ctx()
    ctx.files.max_bytes = 30_000_000
    ctx.files.write("a.bin", bytes(20_000_000))
    url = serve_bytes([b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"], pause=0).url
    error = failure(run, {"url": url, "method": "PUT", "body_type": "file", "body": "a.bin", "timeout": 5}, ctx=ctx)
    assert error.message.startswith("PUT 127.0.0.1") and "within" not in error.message


def test_many_pages_do_not_extend_the_deadline(run, httpserver):
    count = itertools.count(1)
    url = answering(httpserver, "/", lambda request: {"list": [1], "next": f"c{next(count)}"})
    options = {"type": "cursor", "path": "next", "items": "list", "max_pages": 1000}
    began = time.monotonic()
    error = failure(run, {"url": url, "pagination": options}, seconds=0.3)
    assert error.message.startswith("page ") and time.monotonic() - began < 10


# Malformed responses


@pytest.mark.parametrize("content", [b"[" * 40_000, b"1" * 40_000, b'{"a": NaN}', b'{"a": 1', b"\xff\xfe"])
def test_invalid_json_is_a_permanent_failure(run, httpserver, content):
    url = answering(httpserver, "/", (200, {"Content-Type": "application/json"}, content))
    for more in ({}, {"pagination": {"type": "page"}}):
        error = failure(run, {"url": url, **more})
        assert "GET 127.0.0.1 answered 200 with a body that is not JSON" in unplaced(error.message) and error.permanent


@pytest.mark.parametrize(
    "location", [b"http://[", b"http://a:b:c/", b"http://", b"http://a.example:99999/", b"javascript:0"]
)
def test_a_redirect_to_an_invalid_url_is_a_failure(run, serve_bytes, location):
    head = b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\nConnection: close\r\nLocation: " + location
    with pytest.raises(NodeError, match=r"^GET 127.0.0.1:\d+\S*: "):
        run("http", {"url": serve_bytes([head + b"\r\n\r\n"], pause=0).url})
