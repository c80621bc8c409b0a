"""Authentication of webhook callers: each type, invalid secrets and signatures, and that no secret is recorded."""

import base64
import dataclasses
import hashlib
import hmac
import time

import orjson
import pytest
from engines import stored_bytes

from api.http.request_origin import ClientAddress
from api.webhooks.auth import is_authentic
from api.webhooks.rate_limit import (
    KNOWN_SECONDS,
    LONG_SECRET,
    MAX_LINES,
    MAX_OF_ADDRESS,
    MAX_OF_SECRET,
    MAX_OF_SHARED,
    RECENT,
    WINDOW,
    Guesses,
    RateLimits,
    RefusalLog,
)
from database import execute, write
from errors import TooMany, Unavailable
from models import LogEntry, Run
from nodes.credentials.types import TYPES

pytestmark = pytest.mark.usefixtures("shared_server", "way")

SECRET = "It's a Secret to Everybody"
# The example of GitHub's documentation, "Validating webhook deliveries".
GITHUB_BODY = b"Hello, World!"
GITHUB_SIGNATURE = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"

GITHUB = {"secret": SECRET, "style": "github"}
STRIPE = {"secret": "whsec_test", "style": "stripe"}
NOW = 1_700_000_000

PUSH = {
    "ref": "refs/heads/main",
    "before": "6113728f27ae82c7b1a177c8d03f9e96e0adf246",
    "after": "0000000000000000000000000000000000000000",
    "repository": {"id": 1296269, "full_name": "octocat/Hello-World", "private": False},
    "pusher": {"name": "octocat", "email": "octocat@example.org"},
    "commits": [{"id": "7fd1a60b01f91b314f59955a4e4d4e80d8edf11d", "message": "Fix größe ✓", "distinct": True}],
}
ISSUE = {
    "action": "opened",
    "issue": {"number": 1347, "title": "Found a bug", "user": {"login": "octocat"}, "labels": [], "body": None},
    "repository": {"full_name": "octocat/Hello-World"},
}
PAYMENT = {
    "id": "evt_1NG8Du2eZvKYlo2CUI79vXWy",
    "object": "event",
    "type": "payment_intent.succeeded",
    "created": 1686089970,
    "data": {"object": {"id": "pi_1", "amount": 2000, "currency": "eur", "metadata": {"order": "ü-17"}}},
}


def sign(body, secret=SECRET, algorithm="sha256"):
    """Return the HMAC in hex, computed by another function of the standard library than the server uses."""
    return hmac.new(secret.encode(), body, getattr(hashlib, algorithm)).hexdigest()


def stripe(body, at=NOW, secret="whsec_test"):
    return f"t={at},v1={sign(str(at).encode() + b'.' + body, secret)}"


def proof(data, headers, body=GITHUB_BODY, type_="hmac", now=NOW):
    """Return the result of the check of a request, for a credential with this data."""
    return is_authentic(type_, TYPES[type_].load(data), headers, body, now)


# Signatures, by themselves


def test_githubs_documented_example_is_right():
    assert proof(GITHUB, {"X-Hub-Signature-256": GITHUB_SIGNATURE})


@pytest.mark.parametrize(
    ("body", "signature"),
    [
        (b"Hello, World", GITHUB_SIGNATURE),
        (b"Hello, World! ", GITHUB_SIGNATURE),
        (GITHUB_BODY, GITHUB_SIGNATURE[:-1] + "f"),
        (GITHUB_BODY, GITHUB_SIGNATURE.removeprefix("sha256=")),
        (GITHUB_BODY, GITHUB_SIGNATURE.replace("sha256", "sha1")),
        (GITHUB_BODY, GITHUB_SIGNATURE[:-10]),
        (GITHUB_BODY, "sha256="),
        (GITHUB_BODY, ""),
        (GITHUB_BODY, "sha256=" + "é" * 64),
        (GITHUB_BODY, "sha256=" + sign(GITHUB_BODY, "another secret")),
    ],
)
def test_an_invalid_github_signature_is_refused(body, signature):
    assert not proof(GITHUB, {"X-Hub-Signature-256": signature}, body)


def test_a_missing_signature_is_refused():
    assert not proof(GITHUB, {}) and not proof(STRIPE, {})


@pytest.mark.parametrize("body", [b"", b'{"a": 1}', "größe".encode(), bytes(range(256)), b"\r\n\0"])
def test_any_bytes_can_be_signed(body):
    assert proof(GITHUB, {"X-Hub-Signature-256": f"sha256={sign(body)}"}, body)
    assert proof(STRIPE, {"Stripe-Signature": stripe(body)}, body)


def test_stripes_signature_may_be_one_of_several():
    old = stripe(b"{}", secret="whsec_old").partition(",")[2]
    good = stripe(b"{}")
    for header in (f"{good},{old}", f"t={NOW},{old},{good.partition(',')[2]},v0=x", good.replace(",", ", ")):
        assert proof(STRIPE, {"Stripe-Signature": header}, b"{}")
    assert not proof(STRIPE, {"Stripe-Signature": f"t={NOW},{old},v1=,v0={sign(b'x')}"}, b"{}")


@pytest.mark.parametrize(
    ("age", "good"), [(0, True), (299, True), (300, True), (301, False), (-300, True), (-301, False)]
)
def test_stripes_signature_is_of_about_now(age, good):
    assert proof(STRIPE, {"Stripe-Signature": stripe(b"{}", NOW - age)}, b"{}") == good
    assert proof({**STRIPE, "tolerance": 1000}, {"Stripe-Signature": stripe(b"{}", NOW - age)}, b"{}")


@pytest.mark.parametrize(
    "header",
    [
        "",
        "v1={v1}",
        "t={now}",
        "t={now},v1=",
        "t=,v1={v1}",
        "t=x,v1={v1}",
        "t=-1,v1={v1}",
        "t={now},t={now},v1={v1}",
        "t={now}.0,v1={v1}",
        "t=٠,v1={v1}",
        "t={later},v1={v1}",
        "t={now},v2={v1}",
    ],
)
def test_an_invalid_stripe_signature_is_refused(header):
    v1 = stripe(b"{}").partition("v1=")[2]
    given = header.format(now=NOW, later=NOW + 1, v1=v1)
    assert not proof(STRIPE, {"Stripe-Signature": given}, b"{}")


@pytest.mark.parametrize("algorithm", ["sha256", "sha1", "sha512"])
@pytest.mark.parametrize("prefix", [None, "v0="])
def test_a_plain_signature_is_as_its_credential_says(algorithm, prefix):
    digest = bytes.fromhex(sign(b"body", algorithm=algorithm))
    data = {"secret": SECRET, "style": "plain", "header": "X-Sign", "algorithm": algorithm}
    data |= {} if prefix is None else {"prefix": prefix}
    shown = (prefix or "") + digest.hex()
    assert proof(data, {"X-Sign": shown}, b"body") and not proof(data, {"X-Sign": shown}, b"body ")
    assert proof(data, {"X-Sign": (prefix or "") + digest.hex().upper()}, b"body")
    shown = (prefix or "") + base64.b64encode(digest).decode()
    assert not proof(data, {"X-Sign": shown}, b"body")
    assert proof({**data, "encoding": "base64"}, {"X-Sign": shown}, b"body")
    assert not proof({**data, "encoding": "base64"}, {"X-Sign": shown.swapcase()}, b"body")


# Other proofs, by themselves


def basic(user, password):
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


@pytest.mark.parametrize(
    ("header", "good"),
    [
        (basic("ada", "pass:wörd"), True),
        (basic("ada", "pass:wörd").replace("Basic", "bAsIc"), True),
        (basic("ada", "pass"), False),
        (basic("eve", "pass:wörd"), False),
        (basic("ada", "pass:wörd") + "=", False),
        (basic("ada", "pass:wörd").replace("Basic", "Bearer"), False),
        ("Basic", False),
        ("Basic !!!", False),
        ("Basic é", False),
        ("", False),
    ],
)
def test_basic_takes_the_user_and_the_password(header, good):
    data = {"username": "ada", "password": "pass:wörd"}
    assert proof(data, {"Authorization": header}, type_="http_basic") == good


@pytest.mark.parametrize(
    ("header", "good"),
    [("Bearer tok", True), ("bearer tok", True), ("Bearer  tok", True), ("Bearer toc", False), ("tok", False)],
)
def test_bearer_takes_the_token(header, good):
    assert proof({"token": "tok"}, {"Authorization": header}, type_="http_bearer") == good


@pytest.mark.parametrize(("value", "good"), [("s3crèt", True), ("s3cret", False), ("", False)])
def test_a_header_takes_its_value(value, good):
    sent = value.encode().decode("latin-1")  # as WSGI hands UTF-8 over
    assert proof({"name": "X-Key", "value": "s3crèt"}, {"X-Key": sent}, type_="http_header") == good


# Calls


@pytest.fixture
def protected(owner, make_flow):
    """`protected(auth, type, data)` makes a credential and an active flow that checks its callers with it."""

    def make(auth, type_, data, **config):
        made = owner.post("/api/credentials", {"name": "key", "type": type_, "data": data})
        assert made.status_code == 201, made.text
        config = {"path": "safe", "auth": auth, "credential": "key", "respond": "last", **config}
        make_flow({"nodes": [{"id": "hook", "type": "webhook", "config": config}]}, status="active")
        return made.json["id"]

    return make


def call(client, body=b"{}", content_type="application/json", **headers):
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return client.post("/api/webhooks/safe", data=body, content_type=content_type, headers=named)


@pytest.mark.parametrize("event", [PUSH, ISSUE], ids=["push", "issues"])
def test_an_event_of_github_is_taken_and_a_tampered_one_is_not(client, protected, event):
    protected("hmac", "hmac", GITHUB)
    # As GitHub sends it: without blanks, and text beyond ASCII as it is. Written anew it would have another signature.
    body = orjson.dumps(event)
    signature = f"sha256={sign(body)}"
    answer = call(client, body, X_Hub_Signature_256=signature, X_GitHub_Event="push")
    assert answer.status_code == 200 and answer.json["body"] == event
    assert answer.json["headers"]["x-github-event"] == "push" and "x-hub-signature-256" not in answer.json["headers"]
    pretty = orjson.dumps(event, option=orjson.OPT_INDENT_2)
    assert call(client, pretty, X_Hub_Signature_256=signature).status_code == 401
    assert call(client, pretty, X_Hub_Signature_256=f"sha256={sign(pretty)}").status_code == 200
    assert call(client, body.replace(b"octocat", b"octodog"), X_Hub_Signature_256=signature).status_code == 401
    assert call(client, body).status_code == 401
    assert Run.select().count() == 2


def test_an_event_of_stripe_is_taken_while_it_is_fresh(client, protected):
    protected("hmac", "hmac", STRIPE)
    body = orjson.dumps(PAYMENT, option=orjson.OPT_INDENT_2)
    now = int(time.time())
    answer = call(client, body, Stripe_Signature=stripe(body, now))
    assert answer.status_code == 200 and answer.json["body"]["data"]["object"]["metadata"] == {"order": "ü-17"}
    assert "stripe-signature" not in answer.json["headers"]
    assert call(client, body, Stripe_Signature=stripe(body, now - 400)).status_code == 401
    assert call(client, body, Stripe_Signature=stripe(body, now, "whsec_other")).status_code == 401


def test_a_body_is_authenticated_before_it_is_parsed(client, protected):
    protected("hmac", "hmac", GITHUB)
    assert call(client, b"{broken").status_code == 401
    assert call(client, b"{broken", X_Hub_Signature_256=f"sha256={sign(b'{broken')}").status_code == 400
    form = b"--x\r\nbroken"
    assert call(client, form, "multipart/form-data; boundary=x").status_code == 401


def test_a_signed_body_may_be_binary(client, protected):
    protected("hmac", "hmac", GITHUB)
    body = bytes(range(256))
    answer = call(client, body, "application/octet-stream", X_Hub_Signature_256=f"sha256={sign(body)}")
    assert base64.b64decode(answer.json["body"]["base64"]) == body


WAYS = {
    "basic": ("basic", "http_basic", {"username": "ada", "password": "hunter2hunter2"}, {"Authorization": basic("ada", "hunter2hunter2")}),  # noqa: E501
    "bearer": ("header", "http_bearer", {"token": "hunter2hunter2"}, {"Authorization": "Bearer hunter2hunter2"}),
    "header": ("header", "http_header", {"name": "X-Key", "value": "hunter2hunter2"}, {"X-Key": "hunter2hunter2"}),
    "hmac": ("hmac", "hmac", {"secret": "hunter2hunter2", "style": "github"}, {"X-Hub-Signature-256": f"sha256={sign(b'{}', 'hunter2hunter2')}"}),  # noqa: E501
}  # fmt: skip


@pytest.mark.parametrize("way", WAYS)
def test_only_callers_with_the_secret_are_accepted(client, protected, way):
    auth, type_, data, headers = WAYS[way]
    protected(auth, type_, data)
    assert call(client, **headers).status_code == 200
    for wrong in ({}, {name: value + "x" for name, value in headers.items()}, {"Authorization": "Basic x"}):
        answer = call(client, **wrong)
        assert answer.status_code == 401 and set(answer.json) == {"error"}
        assert ("WWW-Authenticate" in answer.headers) == (way == "basic")
        assert "hunter2" not in answer.text and "key" not in answer.text
    assert Run.select().count() == 1


@pytest.mark.parametrize("way", WAYS)
def test_no_secret_is_left_in_any_file_of_the_server(client, protected, config, server, caplog, way):
    caplog.set_level("DEBUG")
    auth, type_, data, headers = WAYS[way]
    protected(auth, type_, data)
    cookies = {"Cookie": "session=chocolatechip", "Proxy-Authorization": "Basic cHJveHk6cHJveHk="}
    other = {} if "Authorization" in headers else {"Authorization": "Bearer somebodyelses"}
    assert call(client, **headers, **cookies, **other, X_Visible="in the record").status_code == 200
    call(client, X_Key="wronghunter2")
    server.recorder.commit([])
    written = b"".join(path.read_bytes() for path in config.data_dir.rglob("*") if path.is_file())
    written += stored_bytes(config.database_path)
    assert b"in the record" in written
    secrets = ["hunter2", "chocolatechip", "cHJveHk6cHJveHk", "somebodyelses", *headers.values()]
    secrets += [value.rpartition(" ")[2].rpartition("=")[2] or "=" * 9 for value in headers.values()]
    for secret in secrets:
        assert secret.encode() not in written and secret not in caplog.text, secret


def test_the_usual_secret_headers_are_not_recorded_without_authentication(client, make_flow):
    make_flow(
        {"nodes": [{"id": "h", "type": "webhook", "config": {"path": "safe", "respond": "last"}}]}, status="active"
    )
    seen = call(client, Authorization="Bearer x", Cookie="a=b", Proxy_Authorization="Basic x").json["headers"]
    assert not {"authorization", "cookie", "proxy-authorization"} & seen.keys()


# Credentials that change or cannot be used


def test_a_changed_credential_counts_at_once(client, owner, protected):
    id_ = protected("header", "http_bearer", {"token": "old"})
    assert call(client, Authorization="Bearer old").status_code == 200
    owner.put(f"/api/credentials/{id_}", {"data": {"token": "new"}})
    assert call(client, Authorization="Bearer old").status_code == 401
    assert call(client, Authorization="Bearer new").status_code == 200


@pytest.mark.parametrize(
    "breakage",
    [
        "DELETE FROM credentials",
        "UPDATE credentials SET type = 'http_basic', updated_at = updated_at + 1",
        "UPDATE credentials SET type = 'from_the_future', updated_at = updated_at + 1",
        "UPDATE credentials SET data = 'garbage', updated_at = updated_at + 1",
        "UPDATE webhooks SET credential_id = NULL",
    ],
)
def test_an_unusable_credential_refuses_all_callers(client, protected, caplog, breakage):
    protected("header", "http_bearer", {"token": "t"})
    assert call(client, Authorization="Bearer t").status_code == 200
    with write():
        execute(breakage)
    for headers in ({"Authorization": "Bearer t"}, {}):
        answer = call(client, **headers)
        assert answer.status_code == 503 and "credential" not in answer.text
    assert "cannot use its credential" in caplog.text and Run.select().count() == 1


@pytest.mark.parametrize(("auth", "name"), [("hmac", "nothing"), ("basic", "key"), ("header", "key")])
def test_activating_a_flow_names_the_node_whose_credential_cannot_be(owner, make_flow, auth, name):
    owner.post("/api/credentials", {"name": "key", "type": "hmac", "data": GITHUB})
    config = {"path": "safe", "auth": auth, "credential": name}
    draft = make_flow({"nodes": [{"id": "hook", "type": "webhook", "config": config}]})
    answer = owner.put(f"/api/workflows/{draft['id']}", {"status": "active"})
    assert answer.status_code == 400
    (detail,) = answer.json["details"]
    assert detail["node_id"] == "hook" and "credential" in detail["path"] and name in detail["message"]
    assert owner.get(f"/api/workflows/{draft['id']}").json["status"] == "draft"


def test_calls_that_are_refused_do_not_use_up_a_key(client, protected):
    protected("header", "http_bearer", {"token": "t"})
    assert call(client, Idempotency_Key="k").status_code == 401
    assert call(client, Idempotency_Key="k", Authorization="Bearer t").status_code == 200
    assert call(client, Idempotency_Key="k").status_code == 401


# Guessing


NEAR, FAR = {"REMOTE_ADDR": "127.0.0.1"}, {"REMOTE_ADDR": "8.8.8.8"}
RIGHT = {"X-Key": "hunter2hunter2"}


@pytest.fixture
def rates(tmp_path):
    return RateLimits(tmp_path / "rates")


@pytest.fixture
def hook(protected):
    auth, type_, data, _ = WAYS["header"]
    return protected(auth, type_, data)


def guess(client, place=NEAR, **headers):
    given = {"X-Key": "wrong", **headers}
    return client.post("/api/webhooks/safe", {}, headers=given, environ_base=place)


def told(server):
    """Return the log entries about refusals, oldest first."""
    server.recorder.commit([])
    return [row for row in LogEntry.select().order_by(LogEntry.id) if "was refused" in row.message]


def guess_from(client, number, **headers):
    """Guess from another address for each number."""
    return guess(client, {"REMOTE_ADDR": f"198.18.{number >> 8}.{number & 255}"}, **headers).status_code


class Clock:
    """The clock of both limits: `now` in seconds."""

    def __init__(self, server, monkeypatch):
        self.now = 1_000_000.0
        monkeypatch.setattr(server.guesses, "clock", lambda: self.now)
        monkeypatch.setattr(server.rates, "clock", lambda: int(self.now * 1e9))


@pytest.fixture
def clock(server, monkeypatch):
    return Clock(server, monkeypatch)


def test_a_caller_with_many_failures_must_wait_and_others_need_not(client, hook, clock):
    assert [guess(client).status_code for _ in range(MAX_OF_ADDRESS + 1)] == [401] * MAX_OF_ADDRESS + [429]
    answer = call(client, X_Key="hunter2hunter2")
    assert answer.status_code == 429 and 0 < int(answer.headers["Retry-After"]) <= RECENT
    assert client.post("/api/webhooks/safe", {}, headers=RIGHT, environ_base=FAR).status_code == 200


def test_a_guesser_has_a_guess_every_six_seconds_until_a_quiet_minute_has_passed(client, hook, clock):
    for _ in range(MAX_OF_ADDRESS):
        guess(client)
    clock.now += 5
    assert call(client, X_Key="hunter2hunter2").status_code == 429
    clock.now += 1
    assert call(client, X_Key="hunter2hunter2").status_code == 200
    assert [guess(client).status_code for _ in range(2)] == [401, 429]
    clock.now += RECENT
    assert [guess(client).status_code for _ in range(MAX_OF_ADDRESS + 1)] == [401] * MAX_OF_ADDRESS + [429]


@pytest.mark.parametrize("name", ["X-Forwarded-For", "Forwarded", "X-Real-IP"])
def test_no_header_of_the_caller_lifts_the_limit_or_moves_it(client, hook, clock, name):
    statuses = [guess(client, **{name: f"203.0.113.{number}"}).status_code for number in range(3 * MAX_OF_ADDRESS)]
    assert statuses == [401] * MAX_OF_ADDRESS + [429] * 2 * MAX_OF_ADDRESS
    assert call(client, X_Key="hunter2hunter2", X_Forwarded_For="203.0.113.99").status_code == 429


def test_guesses_from_many_addresses_are_limited_together(client, hook, clock):
    statuses = [guess_from(client, number) for number in range(MAX_OF_SECRET + 20)]
    assert statuses == [401] * MAX_OF_SECRET + [429] * 20
    # The right secret from an unknown address is refused too: else each guess would be answered.
    assert guess_from(client, 500, **RIGHT) == 429
    clock.now += 1
    assert guess_from(client, 500, **RIGHT) == 200


def test_an_address_with_the_right_secret_is_served_while_others_guess(client, hook, clock):
    assert guess_from(client, 500, **RIGHT) == 200
    for number in range(MAX_OF_SECRET + 1):
        guess_from(client, number)
    assert guess_from(client, 501, **RIGHT) == 429
    assert guess_from(client, 500, **RIGHT) == 200
    assert [guess_from(client, 500) for _ in range(MAX_OF_ADDRESS + 1)] == [401] * MAX_OF_ADDRESS + [429]


def test_one_address_does_not_use_up_the_limit_of_all(client, hook, clock):
    for _ in range(2 * MAX_OF_SECRET):
        guess(client)
    assert guess_from(client, 500, **RIGHT) == 200


def test_nobody_can_keep_out_the_callers_of_a_long_secret(client, protected, clock):
    protected("header", "http_header", {"name": "X-Key", "value": "k" * LONG_SECRET})
    assert {guess_from(client, number) for number in range(MAX_OF_SECRET + 20)} == {401}
    assert guess_from(client, 500, **{"X-Key": "k" * LONG_SECRET}) == 200


def test_many_behind_a_proxy_that_is_not_trusted_have_a_wider_limit(client, hook, clock, server, monkeypatch):
    config = dataclasses.replace(server.config, public_url="https://flows.example.org", trusted_proxies=0)
    monkeypatch.setattr(server, "config", config)
    statuses = [guess(client).status_code for _ in range(MAX_OF_SHARED + 20)]
    assert statuses == [401] * MAX_OF_SHARED + [429] * 20
    assert call(client, X_Key="hunter2hunter2").status_code == 429
    clock.now += 1
    assert call(client, X_Key="hunter2hunter2").status_code == 200
    assert len(told(server)) == 1


def test_known_addresses_are_bounded_and_forgotten(rates, monkeypatch):
    monkeypatch.setattr("api.webhooks.rate_limit.MAX_KNOWN", 100)
    now = [1000.0]
    guesses = Guesses(rates, lambda: now[0])
    for number in range(1_000):
        guesses.note_right("hook", f"192.0.2.{number}")
    assert len(guesses._known) + len(guesses._known_before) <= 200
    assert guesses.knows("hook", "192.0.2.999") and not guesses.knows("hook", "192.0.2.1")
    for _ in range(2):
        now[0] += KNOWN_SECONDS
        guesses.note_right("another", "192.0.2.1")
    assert not guesses.knows("hook", "192.0.2.999")


def test_processes_count_guesses_together(tmp_path):
    client = ClientAddress("192.0.2.1", False)
    statuses = []
    processes = [Guesses(RateLimits(tmp_path / "rates")) for _ in range(2)]
    for number in range(3 * MAX_OF_ADDRESS):
        try:
            processes[number % 2].begin("hook", client, ["short"]).mark_wrong()
            statuses.append(401)
        except TooMany:
            statuses.append(429)
    assert statuses.count(401) == MAX_OF_ADDRESS


def test_a_file_of_limits_that_cannot_be_opened_refuses_guesses(tmp_path):
    with pytest.raises(Unavailable, match="cannot be authenticated"):
        Guesses(RateLimits(tmp_path / "missing" / "rates")).begin("hook", ClientAddress("", False), []).mark_wrong()


def test_refusals_are_in_the_log_of_the_flow_once_a_minute_for_each_address(client, hook, server, monkeypatch, owner):
    now = [1000.0]
    monkeypatch.setattr(server.refusals, "_clock", lambda: now[0])
    for place in (NEAR, NEAR, NEAR, FAR):
        guess(client, place)
    assert [orjson.loads(row.data)["address"] for row in told(server)] == ["127.0.0.1", "8.8.8.8"]
    now[0] += WINDOW
    guess(client)
    assert len(told(server)) == 3
    flow = owner.get("/api/flows").json["items"][0]["id"]
    items = owner.get(f"/api/logs?workflow_id={flow}").json["items"]
    assert len(items) == 3 and items[0]["level"] == "warning" and "wrong" not in str(items[0]["data"])


def test_many_addresses_fill_neither_the_log_nor_the_memory(monkeypatch):
    monkeypatch.setattr("api.webhooks.rate_limit.MAX_KEPT", 100)
    refusals = RefusalLog(lambda: 1000.0)
    lines = [refusals.note("hook", f"192.0.2.{number}") for number in range(90)]
    assert sum(lines) == MAX_LINES
    for number in range(1_000):
        refusals.note(f"hook {number}", "192.0.2.1")
    assert len(refusals._counts) == 100


def test_guesses_count_for_a_minute_after_the_last_one(rates):
    now = [1000.0]
    guesses = Guesses(rates, lambda: now[0])
    assert not guesses
    guesses.begin("hook", ClientAddress("192.0.2.1", False), []).mark_wrong()
    now[0] += RECENT - 1
    assert guesses
    now[0] += 1
    assert not guesses
