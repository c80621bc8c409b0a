"""Tokens of clients: requested once, kept until they end, and renewed if a service rejects them."""

import base64
import itertools
import threading
from types import SimpleNamespace

import pytest
from sites import answering, failure, unplaced

from errors import NodeError
from nodes.credentials.keyring import DecryptedCredential
from nodes.credentials.types import CHECKS, TYPES
from packs.oauth.tokens import Tokens, get_token

HERE = ["127.0.0.1"]
CLIENTS = itertools.count()


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


def test_the_check_of_an_oauth2_credential_requests_a_new_token(run, make_ctx, server):
    assert call(run, server) == "t1-secret"
    assert check(make_ctx, server.credential()) == "127.0.0.1 issued a token valid for 3600 s"
    found = check(make_ctx, server.credential(), url=server.api)
    assert found == "127.0.0.1 issued a token valid for 3600 s; 127.0.0.1 answered 200 OK"
    assert server.given == 3
