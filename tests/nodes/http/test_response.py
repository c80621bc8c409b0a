"""Responses of the http node: data, binary content, files, and the texts of errors."""

import base64
import gzip

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sites import address, answering, failure, unplaced
from werkzeug import Response

from net.egress import HttpResponse
from nodes.files.files import split_path
from nodes.http.body import Download, get_retry_after, make_file_name, to_safe_name

PNG = b"\x89PNG\r\n\x1a\n\x00\xff"


def answer(status=200, url="https://a.example/", **headers):
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return HttpResponse(status, "", named, b"", None, url, "GET a.example")


@pytest.fixture
def page(httpserver):
    """`page(text, **headers)` adds a page with this answer and returns its URL."""

    def add(text, status=200, path="/page", **headers):
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return answering(httpserver, path, (status, named, text))

    return add


# Binary content


@pytest.mark.parametrize("content_type", ["image/png", "application/pdf", "application/octet-stream"])
def test_binary_content_is_base64_as_in_webhooks(run, page, content_type):
    body = run("http", {"url": page(PNG, content_type=content_type)})["body"]
    assert body == {"content_type": content_type, "size": 10, "base64": base64.b64encode(PNG).decode()}


@pytest.mark.parametrize(
    ("content_type", "content", "body"),
    [
        ("application/octet-stream", "é".encode(), "é"),
        ("", b"plain", "plain"),
        ("image/svg+xml", b"<svg/>", "<svg/>"),
        ("application/xml", b"<a/>", "<a/>"),
        ("application/x; charset=latin-1", b"\xe9", "é"),
        ("image/png", b"", ""),
    ],
)
def test_content_that_is_valid_text_is_text(run, page, content_type, content, body):
    assert run("http", {"url": page(content, content_type=content_type)})["body"] == body


def test_binary_content_is_text_if_the_config_says_so(run, page):
    assert run("http", {"url": page(b"a\xff", content_type="image/png"), "response": "text"})["body"] == "a\ufffd"


# Compressed responses


def test_all_members_of_a_gzip_response_are_decompressed(run, page):
    packed = gzip.compress(b"one,") + gzip.compress(b"") + gzip.compress(b"two") + b"\0\0padding"
    assert run("http", {"url": page(packed, content_encoding="gzip", content_type="text/plain")})["body"] == "one,two"


@pytest.mark.parametrize("cut", [5, -9, -1])
def test_truncated_gzip_is_a_temporary_failure(run, page, cut):
    error = failure(run, {"url": page(gzip.compress(b"tea" * 100)[:cut], content_encoding="gzip")})
    assert (
        unplaced(error.message) == "GET 127.0.0.1: the answer ends in the middle of its gzip data"
        and not error.permanent
    )


@pytest.mark.parametrize(
    "content", [b"tea", b"\x1f\x8b" + b"\xff" * 50, gzip.compress(b"tea", mtime=0) + b"\x1f\x8b\xff\xff\xff"]
)
def test_invalid_gzip_is_a_temporary_failure(run, page, content):
    error = failure(run, {"url": page(content, content_encoding="gzip")})
    assert unplaced(error.message) == "GET 127.0.0.1: the answer is not valid gzip" and not error.permanent


def test_gzip_of_many_chunks_is_decompressed_completely(run, page):
    text = bytes(range(32, 127)) * 400 + b"0" * 10_000
    url = page(gzip.compress(text), content_encoding="gzip", content_type="text/plain")
    assert run("http", {"url": url})["body"] == text.decode()
    output = run("http", {"url": page(gzip.compress(b"0" * 900_000), path="/zeros", content_encoding="gzip"),
                         "response": "file"})  # fmt: skip
    assert output["body"]["size"] == 900_000


# Files


def save(run, make_ctx, config, **context):
    """Save a response; return the description of the file in the output, and the content of the file."""
    ctx, _ = make_ctx(**context)
    output = run("http", {"response": "file", **config}, ctx=ctx)
    return output["body"], ctx.files.read(output["body"]["path"])


def test_a_response_is_saved_at_the_configured_path(run, make_ctx, page):
    url = page(PNG, content_type="image/png; x=y")
    body, content = save(run, make_ctx, {"url": url, "save_to": "shop/tea.png"})
    assert body == {"path": "shop/tea.png", "name": "tea.png", "size": 10, "content_type": "image/png"}
    assert content == PNG


def test_a_response_over_the_size_limit_can_be_saved(run, make_ctx, page):
    body, content = save(run, make_ctx, {"url": page(b"x" * 400_000)})
    assert body["size"] == len(content) == 400_000


def test_a_saved_response_can_be_sent_by_another_request(run, make_ctx, page, httpserver):
    httpserver.expect_request("/up").respond_with_handler(
        lambda request: respond_with(request.files["a"].filename, request.files["a"].content_type)
    )
    body, _ = save(run, make_ctx, {"url": page(PNG, path="/tea.png", content_type="image/png")})
    config = {"url": address(httpserver, "/up"), "method": "POST", "body_type": "multipart", "files": {"a": body}}
    assert run("http", config)["body"] == "tea.png image/png"


def respond_with(*words):
    return Response(" ".join(words), content_type="text/plain")


def test_a_response_with_a_bad_status_is_not_saved(run, make_ctx, page):
    ctx, _ = make_ctx()
    ctx.files.write("old.txt", b"old")
    config = {"url": page("gone", 404, content_type="text/plain"), "response": "file", "save_to": "old.txt"}
    error = failure(run, config, ctx=ctx)
    assert (
        unplaced(error.message) == "GET 127.0.0.1 answered 404 NOT FOUND: gone" and ctx.files.read("old.txt") == b"old"
    )


def test_a_bad_status_that_is_not_a_failure_is_saved(run, make_ctx, page):
    body, content = save(run, make_ctx, {"url": page("no", 404), "fail_on_status": False, "save_to": "a/"})
    assert (body["path"], content) == ("a/page", b"no")


def test_a_file_over_the_limit_fails_and_is_removed(run, make_ctx, page):
    ctx, _ = make_ctx()
    config = {"url": page(b"0" * 1_000_001), "response": "file", "save_to": "a/b.bin"}
    error = failure(run, config, ctx=ctx)
    assert "'a/b.bin' would exceed the limit of 1,000,000 bytes" in error.message and error.permanent
    assert ctx.files.list("a") == []


@pytest.mark.parametrize("save_to", ["../x", "/etc/x", "a/../../x", "a\\b", ".draft-x"])
def test_a_path_outside_the_workspace_is_refused(run, page, save_to):
    error = failure(run, {"url": page("x"), "response": "file", "save_to": save_to})
    assert error.permanent and "GET 127.0.0.1: " in unplaced(error.message)


def test_items_are_saved_under_different_names(run, make_ctx, page):
    url = page("x", path="/report.csv")
    body, _ = save(run, make_ctx, {"url": url}, scope={"index": 3, "item": 1})
    assert body["path"] == "downloads/3-report.csv"


@pytest.mark.parametrize(
    ("header", "url", "name"),
    [
        ('attachment; filename="tea list.csv"', "/x", "tea list.csv"),
        ("attachment; filename*=UTF-8''Z%C3%B6e.txt; filename=zoe.txt", "/x", "Zöe.txt"),
        ("attachment; filename*=iso-8859-1''Z%F6e.txt", "/x", "Zöe.txt"),
        ('attachment; filename="../../etc/passwd"', "/x", "passwd"),
        ('attachment; filename="C:\\\\Windows\\\\a.dll"', "/x", "a.dll"),
        ('attachment; filename=".bashrc"', "/x", "bashrc"),
        ('attachment; filename=".draft-1234"', "/x", "draft-1234"),
        ('attachment; filename="a:b|c?.txt"', "/x", "a_b_c_.txt"),
        ('attachment; filename=".."', "/x.txt", "x.txt"),
        ("attachment; filename*=idna''xn--a.txt", "/x.txt", None),
        ("attachment; filename*=nonsense''a.txt", "/x.txt", None),
        ("attachment", "/a/b%2Fc.txt", "c.txt"),
        ("", "/a/tea%20list.csv?x=/y", "tea list.csv"),
        ("", "/", "download"),
        ("", "", "download"),
    ],
)
def test_a_file_name_from_the_server_is_made_safe(header, url, name):
    found = make_file_name(answer(url="https://a.example" + url, content_disposition=header))
    assert found == (name or found) and "/" not in found


def test_without_a_name_the_content_type_determines_the_extension():
    assert make_file_name(answer(content_type="application/pdf")) == "download.pdf"


@given(st.text(max_size=400), st.text(max_size=40))
def test_any_name_becomes_a_valid_path(text, ending):
    for name in (to_safe_name(text), to_safe_name(f"{text}.{ending}")):
        assert len(name.encode()) <= 130 and split_path(f"downloads/{name}x") == ["downloads", f"{name}x"]


@given(st.text(st.characters(min_codepoint=32, max_codepoint=255), max_size=300))
def test_any_header_leads_to_a_valid_name(header):
    assert split_path(make_file_name(answer(content_disposition="attachment; filename" + header)))


def test_a_header_of_many_quotes_is_parsed_quickly():
    assert make_file_name(answer(content_disposition='attachment; filename="' + '";' * 50_000))


def test_a_path_with_a_slash_at_the_end_is_a_folder():
    assert Download(None, "a/b/").path(answer(url="https://a.example/c.txt")) == "a/b/c.txt"
    assert Download(None, "a/b").path(answer()) == "a/b"


# Errors


@pytest.mark.parametrize(
    ("content_type", "content", "words"),
    [
        ("application/json", b'{"error":\n "no tea"}', ': {"error": "no tea"}'),
        ("text/plain", b"no\n tea", ": no tea"),
        ("text/html", b"<html><title>No tea</title><p>today</p>", ": No tea today"),
        ("text/html", b"<" * 60_000, ": " + "<" * 300 + "…"),
        ("text/plain", "é".encode() * 40_000, ": " + "é" * 300 + "…"),
        ("image/png", PNG, ""),
        ("text/plain", b"", ""),
    ],
)
def test_a_bad_status_fails_with_the_beginning_of_the_body(run, page, content_type, content, words):
    error = failure(run, {"url": page(content, 400, content_type=content_type)})
    assert unplaced(error.message) == f"GET 127.0.0.1 answered 400 BAD REQUEST{words}" and error.permanent


def test_a_secret_in_an_error_is_redacted_before_truncation(run, make_ctx, page):
    secret = "hunter2-" + "x" * 400
    ctx, _ = make_ctx(credentials={"key": ("http_bearer", {"token": secret}, ["127.0.0.1"])})
    config = {"url": page("a" * 295 + secret, 400, content_type="text/plain"), "credential": "key"}
    error = failure(run, config, ctx=ctx)
    assert error.message.endswith("a***") and "hunter2" not in error.message


def test_the_error_for_a_very_long_body_has_its_status(run, page):
    error = failure(run, {"url": page("x" * 200_000, 500, content_type="text/plain")})
    assert "answered 500" in error.message and "more than" not in error.message


# Retry-After


NOW = "Wed, 21 Oct 2026 07:28:00 GMT"


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("120", 120), ("0", 0), (" 7 ", 7), ("1000000000", 1e9), ("Wed, 21 Oct 2026 07:28:30 GMT", 30),
        ("Wednesday, 21-Oct-26 07:28:30 GMT", 30), ("Wed, 21 Oct 2020 07:28:00 GMT", 0),
        *((value, None) for value in ("", "soon", "-5", "1.5", "1e3", "٣", "9" * 5000, "Wed, 99 Oct 2026 07:28:00 GMT",
                                    "Wed, 21 Oct 99999999 07:28:00 GMT", NOW[:-4], "\x00")),
    ],
)  # fmt: skip
def test_retry_after_is_parsed_or_ignored_if_invalid(value, seconds):
    assert get_retry_after(answer(503, retry_after=value, date=NOW)) == seconds


def test_without_a_date_header_the_local_clock_is_used():
    assert get_retry_after(answer(429, retry_after="Wed, 21 Oct 2099 07:28:00 GMT")) > 1e6


@pytest.mark.parametrize("status", [200, 301, 404, 413, 500])
def test_retry_after_applies_only_to_busy_servers(status):
    assert get_retry_after(answer(status, retry_after="5")) is None
