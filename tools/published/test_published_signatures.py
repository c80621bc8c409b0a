"""Signatures of services' webhooks: we accept and refuse the same calls as packages that check them too."""

import hashlib
import hmac
from urllib.parse import urlsplit

import published_apis
import published_clients
import published_signatures as published
import pytest
from werkzeug.datastructures import Headers

from api.webhooks.auth import is_authentic
from nodes.credentials.types import TYPES
from packs.connectors.app_triggers import app_trigger
from packs.connectors.app_triggers.app_events import is_signed

SECRET = "8f742231b10e8888abcd99yyyzzz85a5"
NOW = 1_767_600_000
BODY = '{"id": "evt_1", "text": "Grüße, 3 €"}'.encode()
TRIGGERS = {type_.removesuffix("_trigger"): app_trigger.read(type_) for type_ in sorted(app_trigger.types())}
OTHERWISE = {  # compared by their texts below, or by nothing
    "telegram": "sends the secret itself",
    "shopify": "its own client is for JavaScript",
    "typeform": "the package is for JavaScript",
    "jotform": "signs nothing",
    "calendly": "no package checks its calls: developer.calendly.com/api-docs/overview/webhooks/webhook-signatures",
}


def signed_by_hub(secret, body, at):
    """Sign a body as GitHub and Meta do; the packages for them only check signatures."""
    return {"X-Hub-Signature-256": "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()}


SERVICES = {
    "github": (signed_by_hub, published.github),
    "slack": (published.signed_by_slack, published.slack),
    "stripe": (published.signed_by_stripe, published.stripe),
    "whatsapp": (signed_by_hub, published.whatsapp),
}
STYLES = ("github", "stripe")  # of the credential type "hmac", for a webhook node
CALLS = {
    "as it is": (lambda headers, body: (headers, body), True),
    "a changed body": (lambda headers, body: (headers, body.replace(b"evt_1", b"evt_2")), False),
    "a body with a space more": (lambda headers, body: (headers, body + b" "), False),
    "a changed signature": (lambda headers, body: (changed(headers, "0"), body), False),
    "a shorter signature": (lambda headers, body: (changed(headers, ""), body), False),
    "no signature": (lambda headers, body: ({}, body), False),
}


def changed(headers, digit):
    """Return the headers with another last digit of the signature."""
    name = next(name for name in headers if "Signature" in name)
    last = headers[name][-1]
    return {**headers, name: headers[name][:-1] + ("1" if digit == last else digit)}


def ours(name, headers, body):
    """Return the answers of the trigger, and of a webhook node with a credential of the style."""
    answers = {is_signed(TRIGGERS[name]["verify"], SECRET, Headers(headers), body, NOW)}
    if name in STYLES:
        values = TYPES["hmac"].load({"secret": SECRET, "style": name})
        answers.add(is_authentic("hmac", values, Headers(headers), body, NOW))
    return answers


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("name", SERVICES)
def test_we_accept_the_calls_that_the_package_accepts(name, call):
    sign, make_check = SERVICES[name]
    change, expected = CALLS[call]
    headers, body = change(sign(SECRET, BODY, NOW - 10), BODY)
    assert make_check(SECRET, NOW)(headers, body) is expected
    assert ours(name, headers, body) == {expected}


@pytest.mark.parametrize("name", SERVICES)
def test_we_refuse_another_secret_as_the_package_does(name):
    sign, make_check = SERVICES[name]
    headers = sign("another secret", BODY, NOW)
    assert not make_check(SECRET, NOW)(headers, BODY)
    assert ours(name, headers, BODY) == {False}


@pytest.mark.parametrize(("age", "expected"), [(299, True), (301, False)])
@pytest.mark.parametrize("name", ["slack", "stripe"])
def test_we_refuse_an_old_call_when_the_package_does(name, age, expected):
    sign, make_check = SERVICES[name]
    headers = sign(SECRET, BODY, NOW - age)
    assert make_check(SECRET, NOW)(headers, BODY) is expected
    assert ours(name, headers, BODY) == {expected}


def test_each_trigger_is_compared_or_says_why_not():
    assert sorted([*SERVICES, *OTHERWISE]) == sorted(TRIGGERS)


def test_shopify_signs_as_its_own_client_checks():
    trigger, headers = TRIGGERS["shopify"], published.shopify_headers()
    verify = trigger["verify"]
    assert (verify["header"], verify["encoding"]) == (headers["Hmac"], published.shopify_form())
    assert (verify["prefix"], verify["signed"]) == ("", "{body}")
    assert trigger["event"] == {"header": headers["Topic"]}
    assert trigger["dedupe_header"] == headers["WebhookId"]


def test_typeform_signs_as_the_package_checks():
    verify = TRIGGERS["typeform"]["verify"]
    found = verify["header"].lower(), "sha256", verify["encoding"], verify["prefix"]
    assert found == published.typeform_form() and verify["signed"] == "{body}"


def test_telegram_sends_its_secret_where_the_package_reads_it():
    assert TRIGGERS["telegram"]["verify"] == {"kind": "token", "header": published.telegram_header()}


def test_whatsapp_checks_an_address_as_the_package_answers():
    words, challenge = published.pywa_words(), TRIGGERS["whatsapp"]["challenge"]
    assert (challenge["token"], challenge["answer"]) == (words["HUB_VT"], words["HUB_CH"])
    assert TRIGGERS["whatsapp"]["verify"]["header"] == words["HUB_SIG"]


@pytest.mark.parametrize(
    ("name", "known"), [("stripe", published.stripe_events), ("telegram", published.telegram_updates)]
)
def test_services_know_the_events_of_their_triggers(name, known):
    assert set(TRIGGERS[name]["events"]) - known() == set()


def calls_of(name):
    """Return `(call, method, path, query, body)` of the requests that add, find and remove a webhook."""
    register = TRIGGERS[name]["register"]
    for call in ("find", "create", "remove"):
        path, _, query = register[call]["path"].partition("?")
        names = {part.partition("=")[0] for part in query.split("&") if part}
        yield call, register[call]["method"], path, names, register[call].get("body", {})


def test_stripe_knows_how_its_trigger_registers_webhooks():
    for _, method, path, query, body in calls_of("stripe"):
        path = urlsplit(TRIGGERS["stripe"]["register"]["base"]).path + path
        found = [told for told in published_apis.stripe_methods() if told[0] == method and told[1].match(path)]
        shape = published_apis.stripe_shape(*found[0][2])
        assert {*query, *body} - set(shape) == set(), path


def test_telegram_knows_how_its_trigger_registers_webhooks():
    for _, _, path, _, body in calls_of("telegram"):
        assert set(body) - set(published_clients.telegram_methods()[path.strip("/")]) == set(), path


def test_calendly_knows_how_its_trigger_registers_webhooks():
    methods = published_clients.arcade_methods("arcade_calendly_api", "https://api.calendly.com")
    for _, method, path, query, body in calls_of("calendly"):
        told = published_apis.find(methods, method, path)
        assert query - told.query == set(), path
        assert list(published_apis.unknown_fields(body, told.body)) == [], path
