"""Credentials of the http node, and the hosts that they are sent to."""

import base64

import pytest
from sites import address, answering, echoing, failure, paths

from errors import NodeError
from nodes.credentials.types import CHECKS, Untested

HERE = ["127.0.0.1"]
BASIC = ("http_basic", {"username": "Zoë", "password": "hunter2"}, HERE)
BEARER = ("http_bearer", {"token": "hunter2"}, HERE)
HEADER = ("http_header", {"name": "X-Api-Key", "value": "hunter2"}, HERE)


def get_headers(run, url, credential, **config):
    credentials = {"key": credential}
    return run("http", {"url": url, "credential": "key", **config}, credentials=credentials)["body"]["headers"]


@pytest.mark.parametrize(
    ("credential", "header", "value"),
    [
        (BASIC, "authorization", "Basic " + base64.b64encode("Zoë:hunter2".encode()).decode()),
        (BEARER, "authorization", "Bearer hunter2"),
        (HEADER, "x-api-key", "hunter2"),
        (("http_bearer", {"token": " hunter2 "}, HERE), "authorization", "Bearer hunter2"),
    ],
)
def test_a_credential_is_sent_in_its_header(run, httpserver, credential, header, value):
    assert get_headers(run, echoing(httpserver), credential, headers={"X-Other": "1"})[header] == value


@pytest.mark.parametrize("hosts", [[], ["api.example.com"], ["*.127.0.0.1"]])
def test_a_credential_that_is_not_bound_to_the_host_is_refused_before_any_connection(run, httpserver, hosts):
    credentials = {"key": ("http_bearer", {"token": "hunter2"}, hosts)}
    error = failure(run, {"url": echoing(httpserver), "credential": "key"}, credentials=credentials)
    assert "the credential 'key' may not be sent to 127.0.0.1" in error.message and error.permanent
    assert not httpserver.log and "hunter2" not in error.message


def test_a_credential_of_another_type_is_refused(run, httpserver):
    credentials = {"key": ("secret", {"value": "hunter2"})}
    error = failure(run, {"url": echoing(httpserver), "credential": "key"}, credentials=credentials)
    assert "of type secret; it must be http_basic, http_bearer, http_header, " in error.message


@pytest.mark.parametrize(
    ("credential", "config", "message"),
    [
        (BEARER, {"headers": {"authorization": "mine"}}, "the header Authorization is set by headers and by the cred"),
        (HEADER, {"headers": {"X-API-KEY": "mine"}}, "the header X-Api-Key is set by headers and by the credential"),
        (("http_header", {"name": "User-Agent", "value": "hunter2"}, HERE), {}, "must not carry a secret"),
        (("http_header", {"name": "Content-Length", "value": "7"}, HERE), {}, "must not carry a secret"),
    ],
)
def test_a_conflicting_or_reserved_header_is_refused(run, httpserver, credential, config, message):
    config = {"url": echoing(httpserver), "credential": "key", **config}
    error = failure(run, config, credentials={"key": credential})
    assert message in error.message and error.permanent and not httpserver.log


def test_a_user_in_the_url_conflicts_with_a_basic_credential(run, httpserver):
    url = echoing(httpserver).replace("http://", "http://me:secret@")
    assert "remove one" in failure(run, {"url": url, "credential": "key"}, credentials={"key": BASIC}).message
    assert get_headers(run, url, HEADER)["authorization"].startswith("Basic ")


@pytest.mark.parametrize("credential", [BASIC, BEARER, HEADER])
def test_a_credential_follows_a_redirect_on_the_same_host(run, httpserver, credential):
    echoing(httpserver)
    httpserver.expect_request("/old").respond_with_data(status=307, headers={"Location": "/echo"})
    seen = get_headers(run, address(httpserver, "/old"), credential)
    assert "hunter2" in str(seen) or "authorization" in seen


# Secrets from expressions


def with_secret(make_ctx, hosts):
    """Return a context whose expressions have read a secret."""
    ctx, lines = make_ctx(credentials={"key": ("secret", {"value": "hunter2+x"}, hosts)})
    assert ctx.keyring["key"] == "hunter2+x"
    return ctx


@pytest.mark.parametrize(
    "config",
    [
        {"query": {"key": "hunter2+x"}},
        {"headers": {"X-Key": "Token hunter2+x"}},
        {"body": {"key": "hunter2+x"}},
        {"body": {"key": "hunter2+x"}, "body_type": "form"},
        {"body": {"key": "hunter2+x"}, "body_type": "multipart"},
        {"body": "key=hunter2+x", "body_type": "text"},
    ],
)
def test_a_secret_from_an_expression_is_only_sent_to_its_hosts(run, make_ctx, httpserver, config):
    config = {"url": echoing(httpserver), "method": "POST", **config}
    error = failure(run, config, ctx=with_secret(make_ctx, ["api.example.com"]))
    assert "the credential 'key' may not be sent to 127.0.0.1" in error.message and error.permanent
    assert not httpserver.log
    assert run("http", config, ctx=with_secret(make_ctx, HERE))["status"] == 200


@pytest.mark.parametrize(
    ("status", "location", "refused"),
    [(307, "/echo", True), (303, "/echo", False), (303, "/echo?key=hunter2%2Bx", True)],
)
def test_a_secret_from_an_expression_does_not_follow_a_redirect(
    run, make_ctx, httpserver, names, status, location, refused
):
    names["b.example"] = ["127.0.0.1"]
    echoing(httpserver)
    target = f"http://b.example:{httpserver.port}{location}"
    httpserver.expect_request("/old").respond_with_data(status=status, headers={"Location": target})
    config = {"url": address(httpserver, "/old"), "method": "POST", "body": {"key": "hunter2+x"}}
    ctx = with_secret(make_ctx, HERE)
    if refused:
        assert "may not be sent to b.example" in failure(run, config, ctx=ctx).message
        assert paths(httpserver) == ["/old"]
    else:
        assert run("http", config, ctx=ctx)["body"]["body"] == ""


@pytest.mark.parametrize(
    "config",
    [
        {"body": {"path": "a.txt", "content_type": "x/hunter2"}, "body_type": "file"},
        {"files": {"photo": {"path": "a.txt", "name": "hunter2.txt"}}, "body_type": "multipart"},
        {"files": {"photo": {"path": "a.txt", "content_type": "x/hunter2"}}, "body_type": "multipart"},
    ],
)
def test_a_secret_in_the_metadata_of_a_file_is_not_sent(run, make_ctx, httpserver, config):
    ctx, _ = make_ctx(credentials={"key": ("secret", {"value": "hunter2"}, ["api.example.com"])})
    assert ctx.keyring["key"] == "hunter2"
    ctx.files.write("a.txt", b"hello")
    error = failure(run, {"url": echoing(httpserver), "method": "POST", **config}, ctx=ctx)
    assert "the credential 'key' may not be sent to 127.0.0.1" in error.message and not httpserver.log


@pytest.mark.parametrize("header", ["User-Agent", "accept", "Idempotency-Key"])
def test_a_secret_in_a_kept_header_does_not_follow_a_redirect(run, make_ctx, httpserver, names, header):
    names["b.example"] = ["127.0.0.1"]
    echoing(httpserver)
    location = {"Location": f"http://b.example:{httpserver.port}/echo"}
    httpserver.expect_request("/old").respond_with_data(status=302, headers=location)
    config = {"url": address(httpserver, "/old"), "headers": {header: "hunter2+x"}}
    error = failure(run, config, ctx=with_secret(make_ctx, HERE))
    assert "may not be sent to b.example" in error.message and paths(httpserver) == ["/old"]


def test_the_host_header_must_name_a_bound_host(run, make_ctx, httpserver):
    """A server with several sites selects the site by the header Host."""
    config = {"url": echoing(httpserver), "credential": "key", "headers": {"host": "evil.example:80"}}
    error = failure(run, config, credentials={"key": BEARER})
    assert "may not be sent to evil.example" in error.message
    config = {"url": echoing(httpserver), "headers": {"Host": "evil.example", "X-Key": "hunter2+x"}}
    assert "may not be sent to evil.example" in failure(run, config, ctx=with_secret(make_ctx, HERE)).message
    assert not httpserver.log
    assert run("http", config, ctx=with_secret(make_ctx, [*HERE, "evil.example"]))["status"] == 200


# Credential check


def check(make_ctx, credential, **asked):
    ctx, _ = make_ctx(credentials={"key": credential})
    return CHECKS[credential[0]](ctx.credential("key"), ctx, asked)


@pytest.mark.parametrize("kind", [BASIC, BEARER, HEADER])
def test_the_credential_check_requests_a_url(make_ctx, httpserver, kind):
    assert check(make_ctx, kind, url=echoing(httpserver)) == "127.0.0.1 answered 200 OK"
    with pytest.raises(Untested, match="Enter a URL"):
        check(make_ctx, kind)
    assert len(httpserver.log) == 1


def test_the_credential_check_fails_on_a_bad_status(make_ctx, httpserver):
    url = answering(httpserver, "/api", (403, {"Content-Type": "text/plain"}, "go away"))
    with pytest.raises(NodeError, match=r"GET 127.0.0.1:\d+\S* answered 403 FORBIDDEN: go away"):
        check(make_ctx, BEARER, url=url)


def test_the_credential_check_does_not_send_it_to_an_unbound_host(make_ctx, httpserver):
    with pytest.raises(NodeError, match="may not be sent to localhost"):
        check(make_ctx, BEARER, url=f"http://localhost:{httpserver.port}/")
    assert not httpserver.log


def test_the_credential_check_does_not_wait_for_retry_after(make_ctx, httpserver):
    url = answering(httpserver, "/api", (429, {"Retry-After": "3"}, ""))
    with pytest.raises(NodeError, match="asks to wait 3 s"):
        check(make_ctx, BEARER, url=url)
