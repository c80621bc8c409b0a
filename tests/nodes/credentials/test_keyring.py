"""The keyring: access to credentials, the hosts they are bound to, and redaction of secrets in every encoding."""

import base64
import functools
import html
import json
import re
import secrets
import sys
import threading
import time
from urllib.parse import quote, quote_plus

import orjson
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from world import Types, chain, node, run, workers

from errors import ExpressionError, NodeError, VaultError
from expressions import compile_text
from nodes.base import Context
from nodes.credentials.keyring import MAX_IN_STEPS, MAX_ONCE, DecryptedCredential, Keyring
from nodes.credentials.redaction import HIDDEN, Needles, forms
from nodes.credentials.types import TYPES, checks

TOKEN = "s3cr3t-T0ken/with+odd=signs&é'\"\\"
BASIC = {"username": "ada", "password": "open sesame"}


def keyring(**credentials):
    """A keyring over credentials such as `shop=("secret", {"value": "x"}, ["a.example"])`."""

    def find(name):
        if name not in credentials:
            return None
        type_, data, *hosts = credentials[name]
        return DecryptedCredential(
            name, type_, TYPES[type_].load(data), tuple(hosts[0] if hosts else TYPES[type_].hosts(data))
        )

    return Keyring(find)


def keyring_hiding(*values):
    """Return a keyring that redacts these values."""
    ring = Keyring()
    ring.hide(*values)
    return ring


def clean(ring, value):
    return orjson.loads(ring.clean(orjson.dumps(value)))


# Access


def test_a_credential_is_found_by_name_and_must_have_an_accepted_type():
    ring = keyring(shop=("http_basic", {"username": "ada", "password": "hunter2hunter2"}))
    found = ring.use("shop", "http_basic", "http_digest")
    assert (found.name, found.type, found.data["password"]) == ("shop", "http_basic", "hunter2hunter2")
    assert "hunter2" not in repr(found)
    with pytest.raises(NodeError, match="is of type http_basic; it must be aws or hmac") as error:
        ring.use("shop", "aws", "hmac")
    assert error.value.permanent
    with pytest.raises(NodeError, match="there is no credential 'other' in this workspace"):
        ring.use("other")


def test_a_credential_that_cannot_be_decrypted_is_an_error():
    def find(name):
        raise VaultError("this was not encrypted with the server's key")

    with pytest.raises(NodeError, match="'shop' cannot be read"):
        Keyring(find).use("shop")
    with pytest.raises(ExpressionError, match="'shop' cannot be read"):
        compile_text("{{ secrets.shop }}").evaluate({"secrets": Keyring(find)})


@pytest.mark.parametrize(
    ("source", "value"),
    [
        ("{{ secrets.shop }}", "hunter2hunter2"),
        ("{{ secrets['shop'] }}", "hunter2hunter2"),
        ("Bearer {{ secrets.shop }}", "Bearer hunter2hunter2"),
        ("{{ secrets.till.password }}", "open sesame"),
        ("{{ secrets.till }}", BASIC),
        ("{{ secrets }}", {}),
        ("{{ secrets|length }}", 0),
        ("{{ secrets|tojson }}", "{}"),
        ("{{ secrets.items() }}", []),
        ("{{ secrets|list }}", []),
    ],
)
def test_an_expression_can_read_a_secret_by_name_but_not_list_secrets(source, value):
    ring = keyring(shop=("secret", {"value": "hunter2hunter2"}), till=("http_basic", BASIC))
    assert compile_text(source).evaluate({"secrets": ring}) == value


@pytest.mark.parametrize("source", ["{{ secrets.other }}", "{{ secrets.other|default('x') }}", "{{ 'a' in secrets }}"])
def test_an_expression_with_a_missing_credential_fails_even_with_a_default(source):
    with pytest.raises(ExpressionError, match="there is no credential"):
        compile_text(source).evaluate({"secrets": keyring(shop=("secret", {"value": "x"}))})


# Hosts


@pytest.mark.parametrize(
    ("hosts", "host", "may"),
    [
        (["api.example.com"], "api.example.com", True),
        (["api.example.com"], "API.Example.com.", True),
        (["api.example.com"], "example.com", False),
        (["api.example.com"], "evil-api.example.com", False),
        (["api.example.com"], "api.example.com.evil.com", False),
        (["*.example.com"], "a.b.example.com", True),
        (["*.example.com"], "example.com", False),
        (["*.example.com"], "badexample.com", False),
        ([], "example.com", False),
    ],
)
def test_a_credential_is_only_sent_to_its_hosts(hosts, host, may):
    found = keyring(shop=("secret", {"value": "x"}, hosts)).use("shop")
    assert found.may_go_to(host) == may
    if not may:
        with pytest.raises(NodeError, match="may not be sent to"):
            found.check_host(host)


@pytest.mark.parametrize("sent", [TOKEN, f"Bearer {TOKEN}", quote(TOKEN), base64.b64encode(b"u:" + TOKEN.encode())])
def test_a_secret_from_an_expression_is_not_sent_to_an_unbound_host(sent):
    ring = keyring(shop=("secret", {"value": TOKEN}, ["good.example"]))
    sent = sent if isinstance(sent, str) else sent.decode()
    ring.check_host("evil.example", ["before anything was asked for", sent])
    assert ring["shop"] == TOKEN
    ring.check_host("good.example", [sent])
    ring.check_host("evil.example", ["nothing of it"])
    with pytest.raises(NodeError, match="'shop' may not be sent to evil.example: it is bound to good.example") as error:
        ring.check_host("evil.example", ["harmless", sent])
    assert TOKEN not in str(error.value)


# Redaction

ENCODINGS = {
    "itself": lambda text: text,
    "inside": lambda text: f"a {text} b",
    "twice": lambda text: text + text,
    "url": lambda text: quote(text, safe=""),
    "path": quote,
    "form": quote_plus,
    "browser": lambda text: quote(text, safe="!'()*"),
    "small_escapes": lambda text: re.sub("%..", lambda escape: escape[0].lower(), quote(text, safe="")),
    "json": lambda text: json.dumps(text, ensure_ascii=False),
    "ascii_json": json.dumps,
    "php_json": lambda text: json.dumps(text).replace("/", "\\/"),
    "html": html.escape,
    "python": repr,
    "base64": lambda text: base64.b64encode(text.encode()).decode(),
    "hex": lambda text: text.encode().hex(),
    "hex_upper": lambda text: text.encode().hex().upper(),
    "base64_url": lambda text: base64.urlsafe_b64encode(text.encode()).decode().rstrip("="),
    "capitals": str.upper,
    "small": str.lower,
}


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("secret", ["s3cr3tT0ken", "a/b+c=d&e f", 'quo"te\\d', "Grüße, 世界!", "line\nfeed\ttab"])
def test_a_value_is_redacted_in_every_encoding(secret, encoding):
    written = ENCODINGS[encoding](secret)
    ring = keyring_hiding(secret)
    shown = clean(ring, {"echo": [written], written: 1})
    assert written not in str(shown) and HIDDEN in shown["echo"][0] and any(HIDDEN in key for key in shown)
    assert written not in ring.clean_text(f"failed: {written}")


@pytest.mark.parametrize("before", ["", "u", "us", "use", "user:"])
@pytest.mark.parametrize("after", ["", ":", ":x", ":xy"])
def test_a_value_is_redacted_inside_base64(before, after):
    secret = "s3cr3tT0ken"
    whole = base64.b64encode(f"{before}{secret}{after}".encode()).decode()
    shown = clean(keyring_hiding(secret), f"Basic {whole}")
    assert HIDDEN in shown
    left = shown.removeprefix("Basic ").split(HIDDEN)
    # Only the base64 characters that also encode a part of the neighbouring text may remain.
    shared = (len(before) * 8 // 6 + 1, len(whole) - (len(before) + len(secret)) * 8 // 6)
    assert (len(left[0]) <= shared[0]) and (len(left[1]) <= shared[1])


@given(st.data())
def test_a_value_is_redacted_in_a_url_whichever_characters_are_escaped(data):
    secret = "aB3/+=&?c d%é-4567"
    written = "".join(
        data.draw(st.sampled_from([letter, quote(letter, safe=""), quote(letter, safe="").lower()]))
        if not letter.isalnum() or not letter.isascii()
        else letter
        for letter in secret
    )
    ring = keyring(shop=("secret", {"value": secret}))
    assert ring["shop"] == secret
    url = f"https://a.example/?key={written}&next=1"
    assert clean(ring, [url]) == ["https://a.example/?key=***&next=1"]
    assert ring.clean_text(url) == "https://a.example/?key=***&next=1"
    with pytest.raises(NodeError, match="may not be sent"):
        ring.check_host("a.example", [url])


@given(
    st.text(st.characters(exclude_categories=["Cs"]), min_size=4, max_size=40),
    st.sampled_from(sorted(set(ENCODINGS) - {"capitals", "small"})),
    st.text(max_size=10),
    st.text(max_size=10),
)
def test_any_value_is_redacted_in_any_text(secret, encoding, before, after):
    assume(secret.strip() == secret and secret not in HIDDEN * 3 and (before + after).isprintable())
    written = before + ENCODINGS[encoding](secret) + after
    shown = clean(keyring_hiding(secret), {"a": [written, {"b": 1}]})
    assert ENCODINGS[encoding](secret) not in shown["a"][0].replace(HIDDEN, "\0") and shown["a"][1] == {"b": 1}


def test_data_without_a_secret_is_returned_as_the_same_object():
    encoded = orjson.dumps({"a": ["b", 1, None, True, 2.5], "c": {"d": "x" * 10_000}})
    assert Keyring().clean(encoded) is encoded
    assert keyring_hiding(TOKEN, "ab", "1234").clean(encoded) is encoded


@pytest.mark.parametrize(
    ("secret", "value", "shown"),
    [
        ("ab", ["ab", "abc", {"ab": "x"}], [HIDDEN, "abc", {HIDDEN: "x"}]),
        ("7", [7, 7.0, "7", 77, "a7", True], [HIDDEN, HIDDEN, HIDDEN, 77, "a7", True]),
        ("1", [True, 1, "1", 10], [True, HIDDEN, HIDDEN, 10]),
        ("4711", [4711, 4711.0, "4711", "no. 4711", 94711, 4.5], [HIDDEN, HIDDEN, HIDDEN, "no. ***", HIDDEN, 4.5]),
        ("12", [3132, "3132", 12], [3132, "3132", HIDDEN]),
        ("12.5", [12.5, "12.5", 12], [HIDDEN, HIDDEN, 12]),
        ("null", [None, "null"], [None, HIDDEN]),
        ("true", [True, "true"], [True, HIDDEN]),
        ("  padded value \n", ["padded value", "a padded value!"], [HIDDEN, "a ***!"]),
        ("nabc", ["\nabc", "nabc"], ["\nabc", HIDDEN]),
        ('","', ["a", "b"], ["a", "b"]),
        (HIDDEN, ["a ***", "b"], ["a ***", "b"]),
        ("é", ["é", "café"], [HIDDEN, "café"]),
    ],
)
def test_short_values_match_whole_texts_only_and_numbers_match_as_text(secret, value, shown):
    assert clean(keyring_hiding(secret), value) == shown


def test_each_long_line_of_a_long_value_is_redacted():
    lines = [secrets.token_urlsafe(48) for _ in range(5)]
    ring = keyring_hiding("\n".join(["-----BEGIN KEY-----", *lines, "-----END KEY-----"]))
    shown = clean(ring, {"windows": "\r\n".join(lines), "one": f"x {lines[2]}"})
    assert not any(line in str(shown) for line in lines) and shown["one"] == "x ***"


def test_a_value_inside_another_value_is_redacted():
    ring = keyring_hiding("hunter2", "hunter2hunter2extra")
    assert clean(ring, "hunter2hunter2extra hunter2") == "*** ***"


def test_data_nested_too_deeply_to_search_is_not_shown():
    value = TOKEN
    for _ in range(252):
        value = [value]
    assert TOKEN not in str(clean(keyring_hiding(TOKEN), value))


@pytest.mark.parametrize("cut", [12, 13, 20, 39])
def test_a_truncated_value_in_a_message_is_redacted(cut):
    secret = secrets.token_urlsafe(30)
    ring = keyring_hiding(secret)
    assert ring.clean_text(f"bad value {secret[:cut]}…") == "bad value ***…"
    assert ring.clean_text(f"…{secret[-cut:]} is the end") == "…*** is the end"
    assert ring.clean_text(f"{secret[:cut]} and {secret}{secret}") == "*** and ******"


def test_data_that_only_begins_like_a_value_is_kept():
    ring = keyring_hiding("https://hooks.example.com/services/T0/B0/s3cr3t")
    assert clean(ring, "https://hooks.example.com/help") == "https://hooks.example.com/help"


def test_a_repetitive_value_is_redacted_quickly():
    ring = keyring_hiding("ab" * 5_000)
    began = time.perf_counter()
    assert "abababab" not in ring.clean_text("ab" * 4_000 + "x" + "ab" * 30_000)
    assert time.perf_counter() - began < 10


def test_a_node_can_redact_a_text_before_it_truncates_it():
    assert Context("node", {}, {}, "key").clean(f"x {TOKEN}") == f"x {TOKEN}"
    assert Context("node", {}, {}, "key", keyring=keyring_hiding(TOKEN)).clean(f"x {TOKEN}") == "x ***"


class Odd:
    def __str__(self):
        return f"odd {TOKEN}"


@pytest.mark.parametrize("data", [TOKEN.encode(), {TOKEN}, Odd(), {"a": (TOKEN, 1)}, [{"b": Odd()}]])
def test_a_log_entry_is_redacted_in_any_type_of_data(data):
    written = []
    ring = keyring_hiding(TOKEN)
    ctx = Context("node", {}, {}, "key", write_log=lambda *entry: written.append(entry), keyring=ring)
    ctx.log("info", f"seen {TOKEN}", data)
    # The recorder encodes entries in the same way.
    text = orjson.dumps(written, default=str).decode()
    assert HIDDEN in text and not any(form in text for form in forms(TOKEN))


def test_values_hidden_earlier_stay_hidden():
    ring = keyring_hiding("first value")
    ring.hide("second value", "first value", "")
    assert clean(ring, ["first value", "second value"]) == [HIDDEN, HIDDEN]


# Search for many secrets


@given(st.lists(st.binary(min_size=1, max_size=12), min_size=1, max_size=40), st.data())
def test_a_search_for_many_needles_finds_the_same_as_single_searches(needles, data):
    text = data.draw(st.binary(max_size=40))
    if data.draw(st.booleans()):
        at = data.draw(st.integers(0, len(text)))
        text = text[:at] + data.draw(st.sampled_from(needles)) + text[at:]
    found = Needles(needles)
    found.FEW = found.SMALL = 0
    assert found.are_in(text) == any(needle in text for needle in needles)


@functools.cache
def many_rows():
    return [
        {"id": number, "name": secrets.token_urlsafe(24), "total": number * 1.5, "url": f"https://a.example/{number}"}
        for number in range(10_500)
    ]


def make_megabyte(extra=""):
    encoded = orjson.dumps([*many_rows(), extra])
    assert len(encoded) > 1_000_000
    return encoded


@pytest.mark.parametrize("length", [8, 30, 300])
def test_a_megabyte_is_searched_for_20_secrets_in_50_milliseconds(length):
    hidden = [secrets.token_urlsafe(length) for _ in range(20)]
    ring, encoded = keyring_hiding(*hidden), make_megabyte()
    took = []
    for _ in range(5):
        began = time.thread_time()
        assert ring.clean(encoded) is encoded
        took.append(time.thread_time() - began)
    assert min(took) < 0.05
    assert hidden[7] not in ring.clean(make_megabyte(f"x{hidden[7]}y")).decode()


def test_without_secrets_nothing_is_searched():
    ring, encoded = Keyring(), make_megabyte()
    began = time.perf_counter()
    for _ in range(10_000):
        ring.clean(encoded)
    assert time.perf_counter() - began < 5


def test_checks_registers_a_check_for_each_credential_type(monkeypatch):
    monkeypatch.setattr("nodes.credentials.types.CHECKS", found := {})

    @checks("one", "two")
    def check(credential, ctx, asked):
        return "good"

    assert found == {"one": check, "two": check}


def test_of_values_that_ended_steps_used_once_the_latest_are_redacted_and_all_others_still_are():
    keyring = Keyring()
    keyring.hide("a secret that stays")
    signatures = [f"signature-{number:04}" for number in range(500)]
    for signature in signatures:
        keyring.hide_once("node", signature)
        assert keyring.clean_text(f"{signature}, a secret that stays") == "***, ***"
        keyring.end_step("node")
    assert keyring.clean_text(signatures[-20]) == "***"
    assert len(keyring._values) <= MAX_ONCE + 1


@pytest.mark.parametrize("count", [MAX_ONCE + 10, 4 * MAX_ONCE])
def test_all_values_that_a_step_uses_once_are_redacted_until_it_ends(count):
    keyring = Keyring()
    signatures = [f"signature-{number:04}" for number in range(count)]
    for number, signature in enumerate(signatures):
        keyring.hide_once("node:3", signature)
        keyring.hide_once("other", f"short-lived-{number}")
        keyring.end_step("other")
    assert keyring.clean_data(signatures) == ["***"] * count
    assert keyring.clean_text(signatures[0]) == "***"
    keyring.end_step("node", 4)
    assert keyring.clean_text(signatures[0]) == "***"
    keyring.end_step("node", 3)
    assert len(keyring._values) <= MAX_ONCE


def test_a_step_that_uses_more_values_than_are_redacted_fails():
    keyring = Keyring()
    for number in range(MAX_IN_STEPS):
        keyring.hide_once("node", f"signature-{number:04}")
    with pytest.raises(NodeError, match=r"more than 2,000 signed requests.*fewer pages") as refused:
        keyring.hide_once("other", "one more")
    assert refused.value.permanent and refused.value.kind == "limit"
    keyring.end_step("node")
    keyring.hide_once("other", "one more")


def test_a_step_and_the_items_of_a_loop_return_and_log_no_value_that_they_used_once():
    made = [f"signature-{number:04}" for number in range(60)]
    ring, lines = Keyring(), []

    def sign(config, input, ctx):
        ctx.hide_once(*made)
        ctx.log("info", f"Sent {made[0]}", made)
        return {"echo": made}

    with Types() as types:
        types.offer("sign", sign, pure=False)
        items = node("items", "sign", foreach=list(range(50)), concurrency=4)
        done = run(
            chain(node("one", "sign"), items), keyring=ring, log=lambda *line: lines.append(line), workers=workers
        )
    assert done.status == "success" and len(done.steps) >= 52
    assert "signature-" not in repr([done.output, done.steps, lines])
    assert len(ring._values) <= MAX_ONCE + len(made)


def test_a_thread_can_redact_while_another_opens_credentials():
    ring, opened = Keyring(), threading.Event()

    def open_many():
        for number in range(60):
            ring.hide(f"another-secret-{number}")
        opened.set()

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)  # so that the threads take turns within each of them
    thread = threading.Thread(target=open_many)
    try:
        ring.hide("the-first-secret")
        thread.start()
        while not opened.is_set() and thread.is_alive():
            assert ring.clean_text("It is the-first-secret.") == f"It is {HIDDEN}."
    finally:
        thread.join(60)
        sys.setswitchinterval(interval)
    assert ring.clean_text("another-secret-59") == HIDDEN
