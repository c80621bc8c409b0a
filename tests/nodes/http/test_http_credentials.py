"""Credentials of the http node: the hosts that they are sent to, and OAuth2 tokens."""

import base64
import itertools
import threading
from types import SimpleNamespace

import pytest
from sites import address, answering, echoing, failure, paths, unplaced

from errors import NodeError
from nodes.credentials.checks import CHECKS, Untested
from nodes.credentials.keyring import DecryptedCredential
from nodes.credentials.types import TYPES
from nodes.http.client import check_credential
from nodes.http.oauth2 import Tokens, get_token

HERE = ["127.0.0.1"]
BASIC = ("http_basic", {"username": "Zoë", "password": "hunter2"}, HERE)
BEARER = ("http_bearer", {"token": "hunter2"}, HERE)
HEADER = ("http_header", {"name": "X-Api-Key", "value": "hunter2"}, HERE)
CLIENTS = itertools.count()


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


# OAuth2


@pytest.fixture
def server(httpserver):
    """A token server and an API. `server.credential(**data)` is a credential for them; the tokens are t1, t2…

    `server.good` has the tokens that the API accepts; None accepts all.
    """
    made = SimpleNamespace(given=0, good=None, life=3600, delay=threading.Event(), slow=False)

    def give(request):
        made.given += 1
        made.asked = request
        if made.slow:
            made.delay.wait(5)
        return {"access_token": f"t{made.given}-secret", "token_type": "Bearer", "expires_in": made.life}

    def api(request):
        token = request.headers.get("Authorization", "").removeprefix("Bearer ")
        if made.good is not None and token not in made.good:
            return 401, {}, "who are you?"
        return {"token": token}

    made.token_url = answering(httpserver, "/token", give)
    made.api = answering(httpserver, "/api", api)
    # Tokens are cached by the values of the credential, so each test uses its own client.
    made.client = f"me-{next(CLIENTS)}"

    def credential(hosts=HERE, **data):
        values = {"token_url": made.token_url, "client_id": made.client, "client_secret": "hunter 2"} | data
        return ("oauth2_client_credentials", values, hosts)

    made.credential = credential
    yield made
    made.delay.set()


def call(run, server, credential=None, **context):
    config = {"url": server.api, "credential": "key"}
    output = run("http", config, credentials={"key": credential or server.credential()}, **context)
    return output["body"]["token"]


def test_a_token_is_requested_once_and_used_by_all_runs(run, server):
    assert [call(run, server) for _ in range(3)] == ["t1-secret"] * 3
    assert server.given == 1


def test_the_token_request_has_the_options_of_the_credential(run, server):
    call(run, server, server.credential(scope="read write", audience="shop"))
    assert dict(server.asked.form) == {
        "grant_type": "client_credentials",
        "scope": "read write",
        "audience": "shop",
    }
    sent = base64.b64decode(server.asked.headers["Authorization"].removeprefix("Basic ")).decode()
    assert sent == f"{server.client}:hunter+2"


def test_the_client_id_and_secret_can_be_sent_in_the_body(run, server):
    call(run, server, server.credential(auth="body"))
    assert server.asked.form["client_id"] == server.client and server.asked.form["client_secret"] == "hunter 2"
    assert "Authorization" not in server.asked.headers


def test_a_changed_credential_gets_another_token(run, server):
    assert call(run, server) == "t1-secret"
    assert call(run, server, server.credential(client_secret="other")) == "t2-secret"
    assert call(run, server, server.credential(scope="more")) == "t3-secret"
    assert call(run, server) == "t1-secret"


def test_a_rejected_token_is_renewed_once(run, server):
    assert call(run, server) == "t1-secret"
    server.good = {"t2-secret"}
    assert call(run, server) == "t2-secret"
    server.good = set()
    error = failure(run, {"url": server.api, "credential": "key"}, credentials={"key": server.credential()})
    assert unplaced(error.message) == "GET 127.0.0.1 answered 401 UNAUTHORIZED: who are you?" and error.permanent
    assert server.given == 3


def test_a_token_is_redacted_in_the_records_of_the_run(run, make_ctx, server):
    ctx, _ = make_ctx(credentials={"key": server.credential()})
    run("http", {"url": server.api, "credential": "key"}, ctx=ctx)
    assert ctx.keyring.clean_text("t1-secret") == "***"
    sent = server.asked.headers["Authorization"].removeprefix("Basic ")
    assert ctx.keyring.clean_text(sent) == "***"


def test_the_credential_must_be_bound_to_the_host_of_the_api(run, httpserver, server):
    error = failure(
        run, {"url": server.api, "credential": "key"}, credentials={"key": server.credential(["api.example.com"])}
    )
    assert "may not be sent to 127.0.0.1" in error.message and not httpserver.log


@pytest.mark.parametrize(
    ("answer", "message", "permanent"),
    [
        ((401, {}, '{"error": "invalid_client"}'), '127.0.0.1 answered 401: {"error": "invalid_client"}', True),
        ((500, {"Content-Type": "text/html"}, "<h1>Oh</h1>"), "127.0.0.1 answered 500: Oh", False),
        ((302, {"Location": "/api"}, ""), "127.0.0.1 answered 302", True),
        ((429, {"Retry-After": "7"}, ""), "127.0.0.1 answered 429", False),
        ((200, {}, "<html>"), "POST 127.0.0.1 answered 200 with a body that is not JSON", True),
        ([], "the response of 127.0.0.1 has no valid access_token", True),
        ({"token": "x"}, "the response of 127.0.0.1 has no valid access_token", True),
        ({"access_token": 5}, "the response of 127.0.0.1 has no valid access_token", True),
        ({"access_token": "a\r\nb"}, "the response of 127.0.0.1 has no valid access_token", True),
        ({"access_token": "a b"}, "the response of 127.0.0.1 has no valid access_token", True),
        ({"access_token": "é"}, "the response of 127.0.0.1 has no valid access_token", True),
        ({"access_token": "x" * 20_001}, "the response of 127.0.0.1 has no valid access_token", True),
        ({"access_token": "x", "token_type": "mac"}, "the token of 127.0.0.1 is not a bearer token", True),
    ],
)
def test_the_error_of_a_failed_token_request_has_the_answer(run, httpserver, server, answer, message, permanent):
    credential = server.credential(token_url=answering(httpserver, "/broken", answer))
    error = failure(run, {"url": server.api, "credential": "key"}, credentials={"key": credential})
    assert unplaced(error.message) == f"the credential 'key' got no token: {message}"
    assert error.permanent is permanent and error.retry_after == (7 if "429" in message else 0)


def test_a_token_server_at_a_private_address_is_refused(run, names, server):
    names["a.example"] = ["10.0.0.1"]
    credential = server.credential(token_url="http://a.example/token")
    error = failure(run, {"url": server.api, "credential": "key"}, credentials={"key": credential})
    assert "a.example is at an address that may not be reached" in error.message and server.given == 0


def test_a_silent_token_server_does_not_extend_the_deadline(run, serve_bytes, server):
    credential = server.credential(token_url=serve_bytes([b""], pause=5).url)
    error = failure(run, {"url": server.api, "credential": "key"}, credentials={"key": credential}, seconds=0.2)
    assert "got no token: POST 127.0.0.1: no complete answer within" in unplaced(error.message) and not error.permanent


def test_concurrent_runs_share_one_token_request(run, server):
    server.slow = True
    found = []
    threads = [threading.Thread(target=lambda: found.append(call(run, server))) for _ in range(5)]
    for thread in threads:
        thread.start()
    server.delay.set()
    for thread in threads:
        thread.join(60)
    assert (found, server.given) == (["t1-secret"] * 5, 1)


# Token cache


def credential(**data):
    values = {"token_url": "https://a.example/token", "client_id": "me", "client_secret": "s"} | data
    return DecryptedCredential("key", "oauth2_client_credentials", TYPES["oauth2_client_credentials"].load(values))


class Clock:
    now = 1000.0

    def __call__(self):
        return self.now


@pytest.mark.parametrize(("life", "kept"), [(3600, 3570), (100, 90), (0, 0)])
def test_a_token_is_not_used_shortly_before_it_expires(life, kept):
    clock, asked = Clock(), []
    tokens = Tokens(clock)

    def ask():
        asked.append(clock.now)
        return "t", float(life)

    tokens.get(credential(), ask, 1)
    clock.now += kept - 1 if kept else 0
    tokens.get(credential(), ask, 1)
    clock.now += 1
    tokens.get(credential(), ask, 1)
    assert len(asked) == (2 if kept else 3)


@pytest.mark.parametrize(
    ("expires_in", "life"),
    [
        (60, 60),
        ("60", 60),
        (None, 300),
        ("soon", 300),
        (10**400, 300),
        ("9" * 400, 86_400),
        (10**9, 86_400),
        (-1, 0),
        ([], 300),
    ],
)
def test_the_lifetime_of_a_token_is_bounded(make_ctx, httpserver, server, expires_in, life):
    server.life = expires_in
    ctx, _ = make_ctx(credentials={"key": server.credential()})
    assert get_token(ctx.credential("key"), ctx, Tokens()).life == life


def test_the_number_of_tokens_is_bounded():
    tokens, asked = Tokens(most=2), []

    def get(secret):
        tokens.get(credential(client_secret=secret), lambda: asked.append(secret) or ("t", 60.0), 1)

    for secret in ("a", "b", "a", "c", "a", "b"):
        get(secret)
    assert asked == ["a", "b", "c", "b"]


def test_waiting_for_a_token_times_out():
    tokens, asking, go = Tokens(), threading.Event(), threading.Event()

    def ask():
        asking.set()
        go.wait(10)
        return "t", 60.0

    thread = threading.Thread(target=lambda: tokens.get(credential(), ask, 10))
    thread.start()
    asking.wait(60)
    with pytest.raises(NodeError, match="the credential 'key' got no token within 0.05 s") as caught:
        tokens.get(credential(), ask, 0.05)
    go.set()
    thread.join(60)
    assert not caught.value.permanent
    assert tokens.get(credential(), ask, 0.05).value == "t"


def test_a_failed_token_request_is_not_cached():
    tokens = Tokens()
    with pytest.raises(NodeError):
        tokens.get(credential(), lambda: (_ for _ in ()).throw(NodeError("no")), 1)
    assert tokens.get(credential(), lambda: ("t", 60.0), 1).value == "t"


def test_only_the_rejected_token_is_forgotten():
    tokens = Tokens()
    old = tokens.get(credential(), lambda: ("old", 60.0), 1)
    tokens.forget(credential(), old)
    new = tokens.get(credential(), lambda: ("new", 60.0), 1)
    tokens.forget(credential(), old)
    assert tokens.get(credential(), lambda: ("newer", 60.0), 1) is new


# Credential check


def check(make_ctx, credential, **asked):
    ctx, _ = make_ctx(credentials={"key": credential})
    return CHECKS[credential[0]](ctx.credential("key"), ctx, asked)


@pytest.mark.parametrize("kind", [BASIC, BEARER, HEADER])
def test_the_credential_check_requests_a_url(make_ctx, httpserver, kind):
    assert CHECKS[kind[0]] is check_credential
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


def test_the_check_of_an_oauth2_credential_requests_a_new_token(run, make_ctx, server):
    assert call(run, server) == "t1-secret"
    assert check(make_ctx, server.credential()) == "127.0.0.1 issued a token valid for 3600 s"
    found = check(make_ctx, server.credential(), url=server.api)
    assert found == "127.0.0.1 issued a token valid for 3600 s; 127.0.0.1 answered 200 OK"
    assert server.given == 3
