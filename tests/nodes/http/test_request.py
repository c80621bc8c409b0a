import gzip
import time

import pytest
from contract import Case, Contract
from marshmallow import ValidationError
from sites import echoing, failure, silent, unplaced

from net.egress import describe_url, parse_url
from nodes import REGISTRY


def refused(**config):
    with pytest.raises(ValidationError) as caught:
        REGISTRY["http"].Config().load({"url": "http://a.example", **config})
    return caught.value.messages


@pytest.fixture
def echo(httpserver):
    """The URL of a page that answers with the received request."""
    return echoing(httpserver)


@pytest.fixture
def url(httpserver):
    """`url(path, …)` adds a page with this answer and returns its URL."""

    def page(path="/", **answer):
        httpserver.expect_request(path).respond_with_data(**answer)
        return f"http://127.0.0.1:{httpserver.port}{path}"

    return page


def test_a_get_has_an_idempotency_key_and_a_user_agent_but_no_body(run, echo):
    output = run("http", {"url": echo})
    headers = output["body"]["headers"]
    assert output["status"] == 200 and output["headers"]["content-type"] == "application/json"
    assert headers["idempotency-key"] == "run:node:0" and headers["user-agent"] == "Headrace"
    assert output["body"]["body"] == "" and "content-type" not in headers and "content-length" not in headers


def test_headers_of_the_config_override_the_defaults(run, echo):
    given = {"idempotency-key": "mine", "User-Agent": "me", "X-Number": 5, "X-Name": "Zoë"}
    headers = run("http", {"url": echo, "headers": given})["body"]["headers"]
    assert (headers["idempotency-key"], headers["user-agent"], headers["x-number"]) == ("mine", "me", "5")


@pytest.mark.parametrize(
    ("kind", "body", "sent", "content_type"),
    [
        ("json", {"a": ["é"]}, '{"a":["é"]}', "application/json"),
        ("form", {"a": [1, 2], "b": "c d", "e": None}, "a=1&a=2&b=c+d", "application/x-www-form-urlencoded"),
        ("text", "plain é", "plain é", "text/plain; charset=utf-8"),
    ],
)
def test_a_body_is_encoded_by_its_type(run, echo, kind, body, sent, content_type):
    seen = run("http", {"url": echo, "method": "POST", "body": body, "body_type": kind})["body"]
    assert (seen["method"], seen["body"], seen["headers"]["content-type"]) == ("POST", sent, content_type)


@pytest.mark.parametrize(("kind", "body"), [("json", float("nan")), ("json", "\ud800"), ("form", [1])])
def test_a_body_that_cannot_be_encoded_is_refused(run, echo, kind, body):
    assert failure(run, {"url": echo, "body": body, "body_type": kind}).permanent


@pytest.mark.parametrize(
    ("suffix", "query", "sent"),
    [
        ("", {"a": [1, "b c"], "d": None, "e": True}, "a=1&a=b+c&e=true"),
        ("?x=%20y", {"a": "&"}, "x=%20y&a=%26"),
        ("?x=1#there", {"a": 1}, "x=1&a=1"),
        ("?x=1", {}, "x=1"),
    ],
)
def test_the_query_is_appended(run, echo, suffix, query, sent):
    assert run("http", {"url": echo + suffix, "query": query})["body"]["query"] == sent


@pytest.mark.parametrize(
    ("content_type", "response", "data", "body"),
    [
        ("application/json", "auto", "[1]", [1]),
        ("application/problem+json; charset=utf-8", "auto", "[1]", [1]),
        ("application/json", "text", "[1]", "[1]"),
        ("text/html", "auto", "[1]", "[1]"),
        ("text/html", "json", "[1]", [1]),
        ("application/json", "auto", "", None),
        ("text/plain; charset=iso-8859-1", "auto", "é".encode("latin-1"), "é"),
        ("text/plain; charset=nonsense", "auto", "é".encode(), "é"),
        ("text/plain; charset=punycode", "auto", b"a-b", "a-b"),
        ("text/plain", "auto", b"\xff", "\ufffd"),
    ],
)
def test_a_response_is_parsed_by_its_content_type_or_the_config(run, url, content_type, response, data, body):
    page = url("/page", response_data=data, content_type=content_type)
    assert run("http", {"url": page, "response": response})["body"] == body


@pytest.mark.parametrize("data", ["{", "NaN", "[" * 40_000, "\udcff".encode("utf-8", "surrogatepass")])
def test_invalid_json_is_a_permanent_failure(run, url, data):
    error = failure(run, {"url": url("/page", response_data=data, content_type="application/json")})
    assert unplaced(error.message) == "GET 127.0.0.1 answered 200 with a body that is not JSON" and error.permanent


@pytest.mark.parametrize(
    ("status", "permanent"), [(400, True), (404, True), (408, False), (429, False), (500, False), (503, False)]
)
def test_the_status_decides_whether_a_failure_is_permanent(run, url, status, permanent):
    page = url("/page", status=status).replace("http://", "http://user:hunter2@") + "?token=hunter3"
    error = failure(run, {"url": page})
    assert error.permanent is permanent
    assert unplaced(error.message).startswith(f"GET 127.0.0.1 answered {status} ")
    assert "hunter" not in error.message


def test_a_bad_status_can_be_an_output(run, url):
    output = run("http", {"url": url("/page", status=404, response_data="no"), "fail_on_status": False})
    assert (output["status"], output["body"]) == (404, "no")


def test_the_user_of_a_url_is_sent_as_credentials(run, echo):
    seen = run("http", {"url": echo.replace("http://", "http://me:secret@")})["body"]
    assert seen["headers"]["authorization"].startswith("Basic ")


@pytest.mark.parametrize(
    "address",
    ["a.example/x", "//a.example", "ftp://a.example/", "file:///etc/passwd", "http://", "http://a.example:99999/",
     "http://[::1", "http://a.example\r\nX: 1/", "http://\x00/"],
)  # fmt: skip
def test_an_invalid_url_is_refused(run, address):
    assert failure(run, {"url": address}).permanent


@pytest.mark.parametrize(
    "headers", [{"X-A": "1\r\nX-B: 2"}, {"X-A": "1\n"}, {"X-A\r\nX-B": "1"}, {"X A": "1"}, {"X-A": "\0"}, {"": "1"}]
)
def test_headers_that_would_inject_others_are_refused(headers):
    assert "headers" in refused(headers=headers)


@pytest.mark.parametrize("name", ["Content-Length", "Transfer-Encoding", "connection"])
def test_headers_that_frame_the_request_cannot_be_set(run, echo, name):
    assert f"the header {name.lower()} cannot be set" in failure(run, {"url": echo, "headers": {name: "5"}}).message


def test_a_redirect_is_followed_unless_switched_off(run, httpserver, echo):
    httpserver.expect_request("/old").respond_with_data(status=302, headers={"Location": "/echo?x=1"})
    old = echo.replace("/echo", "/old")
    assert run("http", {"url": old})["body"]["query"] == "x=1"
    output = run("http", {"url": old, "follow_redirects": False})
    assert (output["status"], output["headers"]["location"]) == (302, "/echo?x=1")


def test_a_redirect_loop_is_a_failure(run, url):
    page = url("/loop", status=302, headers={"Location": "/loop"})
    error = failure(run, {"url": page})
    assert unplaced(error.message) == "GET 127.0.0.1: more than 10 redirects" and error.permanent


def test_a_redirect_to_the_same_host_keeps_the_headers(run, httpserver, echo):
    httpserver.expect_request("/there").respond_with_data(status=307, headers={"Location": echo})
    headers = {"Authorization": "Bearer s", "X-Api-Key": "k"}
    seen = run("http", {"url": echo.replace("/echo", "/there"), "headers": headers})["body"]["headers"]
    assert (seen["authorization"], seen["x-api-key"]) == ("Bearer s", "k")


def test_cookies_are_not_kept(run, httpserver, echo):
    httpserver.expect_request("/login").respond_with_data(headers={"Set-Cookie": "session=1; Path=/"})
    run("http", {"url": echo.replace("/echo", "/login")})
    assert "cookie" not in run("http", {"url": echo})["body"]["headers"]


# Limits


def test_a_response_over_the_size_limit_is_a_failure(run, url):
    error = failure(run, {"url": url("/page", response_data="x" * 60_000)})
    assert unplaced(error.message) == "GET 127.0.0.1: the answer has more than 50000 bytes" and error.permanent


def test_a_decompressed_response_over_the_size_limit_is_a_failure(run, url):
    packed = gzip.compress(b"0" * 50_000_000)
    assert len(packed) < 50_000
    page = url("/page", response_data=packed, headers={"Content-Encoding": "gzip"})
    assert "more than 50000 bytes" in failure(run, {"url": page}).message


def test_a_gzip_response_is_decompressed(run, url):
    page = url("/page", response_data=gzip.compress(b"hello"), headers={"Content-Encoding": "gzip"})
    assert run("http", {"url": page})["body"] == "hello"


@pytest.mark.parametrize("encoding", ["br", "gzip, gzip", "deflate"])
def test_an_encoding_that_was_not_requested_is_refused(run, url, encoding):
    page = url("/page", response_data=b"x", headers={"Content-Encoding": encoding})
    assert "compressed in a way" in failure(run, {"url": page}).message


@pytest.mark.parametrize(
    "pieces",
    [
        [b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n"] + [b"x"] * 5000,
        [b"HTTP/1.1 200 OK\r\nX: "] + [b"x"] * 5000,
        [],
    ],
    ids=["body", "headers", "silence"],
)
def test_a_slow_server_does_not_extend_the_timeout(run, serve_bytes, pieces):
    server = serve_bytes(pieces or [b""], pause=0.02 if pieces else 60)
    began = time.monotonic()
    error = failure(run, {"url": server.url, "timeout": 0.3})
    assert unplaced(error.message) == "GET 127.0.0.1: no complete answer within 0.3 s" and not error.permanent
    assert 0.2 < time.monotonic() - began < 10


def test_the_deadline_of_the_run_applies_too(run, serve_bytes):
    server = serve_bytes([b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n"] + [b"x"] * 5000)
    assert "no complete answer" in failure(run, {"url": server.url}, seconds=0.2).message


def test_a_run_past_its_deadline_sends_nothing(run, httpserver, echo):
    assert "timed out" in failure(run, {"url": echo}, seconds=-1).message
    assert not httpserver.log


@pytest.mark.parametrize(
    "pieces", [[b"nonsense\r\n\r\n"], [b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc"], [b"HTTP/1.1 200 OK\r\n"]]
)
def test_a_malformed_response_is_a_temporary_failure(run, serve_bytes, pieces):
    error = failure(run, {"url": serve_bytes(pieces).url})
    assert unplaced(error.message).startswith("GET 127.0.0.1: ") and not error.permanent


def test_a_refused_connection_is_a_temporary_failure(run, serve_bytes):
    server = serve_bytes([b""])
    failure(run, {"url": server.url})
    server.thread.join(60)
    error = failure(run, {"url": "http://127.0.0.1:1/?token=hunter2"})
    assert (unplaced(error.message), error.permanent) == ("GET 127.0.0.1: Connection refused", False)


# The contract of nodes with side effects


@pytest.fixture
def case_http(httpserver, echo):
    listener, stalled_url = silent()
    with listener:
        yield Case(
            config={"method": "POST", "url": echo, "body": {"a": 1}, "credential": "key"},
            credentials={"key": ("http_bearer", {"token": "hunter2-and-more"}, ["127.0.0.1"])},
            secret="hunter2-and-more",
            stalled={"url": stalled_url},
            count=lambda: len(httpserver.log),
        )


class TestHttpKeepsTheContract(Contract):
    type_ = "http"


def test_an_error_has_method_host_port_and_path_but_not_the_query(run, url):
    place = url("/gone", status=404).removeprefix("http://")
    error = failure(run, {"url": f"http://{place}?key=hunter2"})
    assert error.message.startswith(f"GET {place} answered 404") and "hunter2" not in error.message


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("http://example.com", "example.com:80/"),
        ("https://user:hunter2@example.com/a/b?c=hunter2#hunter2", "example.com:443/a/b"),
        ("https://[::1]:8443/x", "[::1]:8443/x"),
        ("https://example.com/" + "a/" * 150 + "hunter2", "example.com:443/" + "a/" * 99 + "…"),
        ("https://example.com/" + "h" * 300, "example.com:443/…"),
    ],
)
def test_a_described_url_has_no_part_of_a_secret(url, place):
    assert describe_url(parse_url(url)) == place
