"""Servers that ask to wait (Retry-After): the http node waits, within limits, and repeats the request."""

import pytest
from sites import answering, failure, unplaced

from errors import NodeError

TEXT = {"Content-Type": "text/plain"}


def busy(after, status=429, words="slow down"):
    return (status, TEXT | {"Retry-After": str(after)}, words)


@pytest.fixture
def slept(make_ctx):
    """`slept(seconds=…)` returns a context that does not sleep; `slept.pauses` has the requested pauses."""

    def make(**context):
        ctx, make.lines = make_ctx(**context)
        make.pauses = []
        ctx.pause = make.pauses.append
        return ctx

    return make


@pytest.mark.parametrize("status", [429, 503])
def test_the_request_is_repeated_after_the_requested_wait(run, httpserver, slept, status):
    url = answering(httpserver, "/", busy(7, status), busy(0, status), {"ok": True})
    assert run("http", {"url": url, "method": "POST", "body": {"a": 1}}, ctx=slept())["body"] == {"ok": True}
    assert slept.pauses == [7, 0]
    requests = [request for request, _ in httpserver.log]
    assert {request.headers["Idempotency-Key"] for request in requests} == {"run:node:0"}
    assert {request.get_data() for request in requests} == {b'{"a":1}'}
    level, message, _ = slept.lines[0]
    assert (level, unplaced(message)) == (
        "info",
        f"POST 127.0.0.1 answered {status}; waiting 7 s as it asks (Retry-After)",
    )


def test_a_request_is_sent_at_most_four_times(run, httpserver, slept):
    error = failure(run, {"url": answering(httpserver, "/", busy(1))}, ctx=slept())
    assert unplaced(error.message) == "GET 127.0.0.1 answered 429 TOO MANY REQUESTS and asks to wait 1 s: slow down"
    assert (slept.pauses, len(httpserver.log)) == ([1, 1, 1], 4)
    assert (error.permanent, error.retry_after) == (False, 1)


def test_all_waits_together_take_at_most_a_minute(run, httpserver, slept):
    error = failure(run, {"url": answering(httpserver, "/", busy(40), busy(25))}, ctx=slept())
    assert (slept.pauses, error.retry_after) == ([40], 25)


@pytest.mark.parametrize("after", [60, 10**9])
def test_the_error_for_a_long_wait_has_its_duration(run, httpserver, slept, after):
    error = failure(run, {"url": answering(httpserver, "/", busy(after, 503))}, ctx=slept())
    assert f"answered 503 SERVICE UNAVAILABLE and asks to wait {after} s" in error.message
    assert (slept.pauses, error.permanent, error.retry_after) == ([], False, after)


def test_the_node_does_not_wait_past_its_deadline(run, httpserver, slept):
    error = failure(run, {"url": answering(httpserver, "/", busy(20))}, ctx=slept(seconds=10))
    assert (slept.pauses, error.retry_after) == ([], 20)


@pytest.mark.parametrize("after", ["soon", "-1", "9" * 50, ""])
def test_an_invalid_retry_after_is_ignored(run, httpserver, slept, after):
    error = failure(run, {"url": answering(httpserver, "/", busy(after))}, ctx=slept())
    assert unplaced(error.message) == "GET 127.0.0.1 answered 429 TOO MANY REQUESTS: slow down"
    assert (slept.pauses, error.permanent, error.retry_after) == ([], False, 0)


def test_the_node_does_not_wait_if_a_bad_status_is_not_a_failure(run, httpserver, slept):
    output = run("http", {"url": answering(httpserver, "/", busy(5)), "fail_on_status": False}, ctx=slept())
    assert (output["status"], output["headers"]["retry-after"], slept.pauses) == (429, "5", [])


def test_a_cancelled_run_stops_waiting(run, httpserver, slept):
    def stop(seconds):
        raise NodeError("cancelled by me", permanent=True)

    ctx = slept()
    ctx.pause = stop
    assert failure(run, {"url": answering(httpserver, "/", busy(5))}, ctx=ctx).message == "cancelled by me"
    assert len(httpserver.log) == 1
    del ctx


def test_a_file_is_sent_again_from_its_start(run, httpserver, slept):
    ctx = slept()
    ctx.files.write("a.txt", b"tea")
    url = answering(httpserver, "/", busy(1), lambda request: {"got": request.get_data(as_text=True)})
    config = {"url": url, "method": "PUT", "body_type": "file", "body": "a.txt"}
    assert run("http", config, ctx=ctx)["body"] == {"got": "tea"}


def test_only_the_successful_response_is_saved(run, httpserver, slept):
    ctx = slept()
    url = answering(httpserver, "/", busy(1), (200, {}, "tea"))
    output = run("http", {"url": url, "response": "file", "save_to": "a.txt"}, ctx=ctx)
    assert (output["body"]["size"], ctx.files.read("a.txt")) == (3, b"tea")
