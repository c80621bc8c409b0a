"""Nodes that transform data, and those of cryptography."""

import base64
import datetime
import hashlib
import hmac
import re
import string
import time
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st
from marshmallow import ValidationError

from errors import NodeError
from nodes import REGISTRY
from nodes.base import Branch
from nodes.data.crypto import ALGORITHMS, CHARSETS, SYMBOLS, uuid7


def refused(type_, **config):
    with pytest.raises(ValidationError) as caught:
        REGISTRY[type_].Config().load(config)
    return caught.value.messages


def test_set_returns_a_new_object(run):
    assert run("set", {"values": {"a": 1}}, {"b": 2}) == {"a": 1}


def test_set_replaces_values_of_the_input(run):
    given = {"a": 0, "b": 2}
    assert run("set", {"values": {"a": 1}, "keep_input": True}, given) == {"a": 1, "b": 2}
    assert given == {"a": 0, "b": 2}


def test_set_keeps_only_an_object(run):
    assert run("set", {"values": {"a": 1}, "keep_input": True}, [2]) == {"a": 1}


def test_set_requires_an_object():
    assert "values" in refused("set", values=[1])
    assert "values" in refused("set")


def test_set_copies_an_object_that_it_is_given():
    given = {"a": {"b": 1}, "c": 2}
    values = REGISTRY["set"].Config().load({"values": given})["values"]
    assert values == given and values is not given


@pytest.mark.parametrize("values", [{}, {"": None}, {"a": {"b": [1]}}])
def test_set_accepts_any_values(run, values):
    assert run("set", {"values": values}) == values


def test_set_requires_text_keys():
    assert "values" in refused("set", values={"a": 1, 2: 3})


# JMESPath


def test_jmespath_queries_the_input(run):
    data = {"orders": [{"id": 1, "total": 5}, {"id": 2, "total": 500}]}
    assert run("jmespath", {"query": "orders[?total > `100`].id"}, data) == [2]


def test_jmespath_queries_other_data(run):
    assert run("jmespath", {"query": "sum(@)", "data": [1, 2]}, "in") == 3
    assert run("jmespath", {"query": "a", "data": None}, {"a": 1}) is None


@pytest.mark.parametrize(
    ("query", "where"),
    [("a.", "its end"), ("a b", "column 3"), ("a[?b", "its end"), ("a[*].{b: c", "its end"), ("a == 'b", "JMESPath")],
)
def test_the_error_of_jmespath_has_a_position(query, where):
    (message,) = refused("jmespath", query=query)["query"]
    assert where in message and "\n" not in message


@pytest.mark.parametrize("query", ["", "x" * 3000, "[" * 2000, "(" * 2000, "!" * 1999 + "a"])
def test_jmespath_refuses_a_query_that_is_too_long_or_too_deep(query):
    assert "query" in refused("jmespath", query=query)


@pytest.mark.parametrize("query", ["nope(@)", "sum('a')", "join(@, 'a')", "length(`1`)"])
def test_jmespath_that_fails_is_permanent(run, query):
    with pytest.raises(NodeError, match="the query failed") as caught:
        run("jmespath", {"query": query}, "in")
    assert caught.value.permanent


@pytest.mark.slow
@pytest.mark.parametrize(
    "query",
    [
        "|".join(["[@,@]"] * 60),
        "|".join(["[@,@][]"] * 60),
        "|".join(["{a: @, b: @}"] * 60),
        "|".join(["join('', [@, @])"] * 60),
        "|".join(["to_string([@])"] * 60),
        "|".join(["[@,@]"] * 60) + "|[@ == @]",
        f"map(&`{list(range(400))}`, @)",
        f"join('{'x' * 1500}', map(&'y', @))",
    ],
)
def test_a_small_jmespath_query_cannot_create_large_data(run, query):
    began = time.thread_time()
    data = "a" if "join('', " in query else ["a"] * 200_000
    with pytest.raises(NodeError, match="too much work|too large"):
        run("jmespath", {"query": query}, data)
    assert time.thread_time() - began < 5


# JSON Schema

ORDER = {
    "type": "object",
    "required": ["id"],
    "properties": {"id": {"type": "integer"}, "lines": {"type": "array", "items": {"$ref": "#/$defs/line"}}},
    "$defs": {"line": {"type": "object", "properties": {"count": {"minimum": 1}}}},
}


def test_validate_passes_valid_data_on(run):
    given = {"id": 1, "lines": [{"count": 2}]}
    result = run("validate", {"schema": ORDER}, given)
    assert result == Branch("valid", given) and result.value is given


def test_validate_returns_issues_with_their_paths(run):
    result = run("validate", {"schema": ORDER, "data": {"id": "x", "lines": [{"count": 2}, {"count": 0}]}}, "in")
    assert result.name == "invalid"
    assert [issue["path"] for issue in result.value] == ["id", "lines[1].count"]
    assert result.value[0]["message"] == '"x" is not of type "integer"'


def test_validate_lists_at_most_fifty_short_issues(run):
    result = run("validate", {"schema": {"items": {"type": "string"}}}, [["x" * 1000]] * 80)
    assert len(result.value) == 50
    assert max(len(issue["message"]) for issue in result.value) <= 300


@pytest.mark.parametrize(
    ("schema", "message"),
    [
        ({"type": "strin"}, "type: "),
        ({"properties": {"a": {"minLength": -1}}}, "properties.a.minLength: "),
        ({"pattern": "("}, "pattern: "),
        ({"pattern": "(?=a)b"}, "pattern: "),
        ({"$ref": "#/$defs/nope"}, ""),
        ({"$ref": "http://127.0.0.1:9/schema.json"}, "not fetched"),
        ({"$ref": "file:///etc/passwd"}, "not fetched"),
        ({"$schema": "http://127.0.0.1:9/draft"}, ""),
    ],
)
def test_validate_refuses_invalid_schemas_and_fetches_none(schema, message):
    (found,) = refused("validate", schema=schema)["schema"]
    assert message in found and len(found) < 500


def test_a_pattern_takes_time_linear_in_its_text(run):
    began = time.monotonic()
    schema = {"pattern": "^(a+)+$", "patternProperties": {"^(b+)+$": True}, "additionalProperties": False}
    assert run("validate", {"schema": schema}, "a" * 50_000 + "!").name == "invalid"
    assert run("validate", {"schema": schema}, {"b" * 50_000 + "!": 1}).name == "invalid"
    assert time.monotonic() - began < 15


def test_a_schema_that_refers_to_itself_ends(run):
    assert run("validate", {"schema": {"allOf": [{"$ref": "#"}]}}, 1).name == "valid"


@pytest.mark.slow
def test_data_whose_validation_would_take_years_is_an_error(run):
    data = "end"
    for _ in range(60):
        data = {"a": data}
    forking = {"anyOf": [{"type": "object", "properties": {"a": {"$ref": "#"}}}] * 2}
    with pytest.raises(NodeError, match="the data cannot be validated by this schema: it takes too much"):
        run("validate", {"schema": forking}, data)


def test_data_that_is_not_json_cannot_be_validated(run):
    with pytest.raises(NodeError, match="cannot be validated"):
        run("validate", {"schema": {"type": "string"}}, datetime.date(2025, 1, 1))


# The crypto node: hashes, signatures, random values and encodings


SECRET = "a secret that nobody guesses"
KEYS = {"signing": ("hmac", {"secret": SECRET, "style": "github"}), "other": ("http_bearer", {"token": "t" * 20})}


def rejected(**config):
    with pytest.raises(ValidationError) as caught:
        REGISTRY["crypto"].Config().load(config)
    return caught.value.messages


def failure(run, operation, data=None, **config):
    with pytest.raises(NodeError) as caught:
        run("crypto", {"operation": operation, **config}, data, credentials=KEYS)
    assert caught.value.permanent
    return caught.value.message


# Hashes


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_hash_is_that_of_the_text_in_utf_8(run, algorithm):
    digest = hashlib.new(algorithm, "é".encode()).digest()
    config = {"operation": "hash", "algorithm": algorithm}
    assert run("crypto", config, "é") == digest.hex()
    assert run("crypto", {**config, "encoding": "base64"}, "é") == base64.b64encode(digest).decode()
    url_safe = base64.urlsafe_b64encode(digest).decode().rstrip("=")
    assert run("crypto", {**config, "encoding": "base64url"}, "é") == url_safe


def test_encoded_data_is_decoded_before_it_is_hashed(run):
    expected = hashlib.sha256(b"\xff\x00").hexdigest()
    for encoding, data in [("hex", "ff00"), ("hex", "FF 00"), ("base64", "/wA="), ("base64", "_wA")]:
        assert run("crypto", {"operation": "hash", "data": data, "data_encoding": encoding}) == expected
    assert run("crypto", {"operation": "hash", "data": 12.0}) == hashlib.sha256(b"12").hexdigest()


@pytest.mark.parametrize("value", [None, {"body": "a"}, ["a"]])
def test_only_text_is_hashed(run, value):
    message = failure(run, "hash", value)
    assert "data must be text" in message and "{{ input.body }}" in message and "{{ input|tojson }}" in message


# Signatures


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_text_is_signed_with_the_secret_of_a_credential(run, algorithm):
    config = {"operation": "hmac", "credential": "signing", "algorithm": algorithm, "data": "text"}
    expected = hmac.new(SECRET.encode(), b"text", algorithm).hexdigest()
    assert run("crypto", config, credentials=KEYS) == expected


@pytest.mark.parametrize("change", [str, str.upper, "sha256={}".format, " {} ".format])
def test_a_correct_signature_is_valid_in_every_notation(run, change):
    signature = hmac.new(SECRET.encode(), b"text", "sha256").hexdigest()
    config = {"operation": "verify", "credential": "signing", "data": "text", "signature": change(signature)}
    assert run("crypto", config, {"in": 1}, credentials=KEYS) == Branch("valid", {"in": 1})


@pytest.mark.parametrize("signature", ["", "00", "0" * 64, "zz", "sha1=", "é", "\0", "sha256="])
def test_an_incorrect_signature_is_invalid_but_no_error(run, signature):
    config = {"operation": "verify", "credential": "signing", "data": "text", "signature": signature}
    assert run("crypto", config, "in", credentials=KEYS) == Branch("invalid", "in")


def test_a_signature_in_base64_is_verified_too(run):
    raw = hmac.digest(SECRET.encode(), b"text", "sha512")
    config = {
        "operation": "verify",
        "credential": "signing",
        "algorithm": "sha512",
        "encoding": "base64",
        "data": "text",
    }
    for signature in (base64.b64encode(raw).decode(), base64.urlsafe_b64encode(raw).decode().rstrip("=")):
        assert run("crypto", {**config, "signature": signature}, credentials=KEYS).name == "valid"
    assert run("crypto", {**config, "signature": raw.hex()}, credentials=KEYS).name == "invalid"


def test_only_verify_has_branches():
    branches = REGISTRY["crypto"].branches
    assert branches({"operation": "verify"}) == ("valid", "invalid")
    assert branches({"operation": "hmac"}) == branches({}) == branches({"operation": []}) == ()


def test_errors_name_the_missing_or_wrong_credential_but_no_secret(run):
    assert "nobody" in failure(run, "hmac", "x", credential="nobody")
    message = failure(run, "hmac", "x", credential="other")
    assert "must be hmac" in message and "ttt" not in message
    assert SECRET not in failure(run, "hmac", {}, credential="signing")


@pytest.mark.parametrize(
    ("config", "key"),
    [
        ({"operation": "hmac"}, "credential"),
        ({"operation": "verify", "signature": "x"}, "credential"),
        ({"operation": "verify", "credential": "x"}, "signature"),
        ({"operation": "encrypt"}, "operation"),
        ({"operation": "hash", "algorithm": "crc32"}, "algorithm"),
        ({"operation": "random", "length": 0}, "length"),
        ({"operation": "random", "length": 10_001}, "length"),
        ({"operation": "random", "bytes": 10_001}, "bytes"),
        ({"operation": "random", "charset": "runes"}, "charset"),
        ({"operation": "random", "characters": ""}, "characters"),
        ({"operation": "uuid", "version": 1}, "version"),
    ],
)
def test_settings_that_an_operation_requires_must_be_set(config, key):
    assert key in rejected(**config)


# Encodings


@given(st.text(st.characters(exclude_categories=["Cs"])), st.booleans())
def test_decoding_restores_encoded_text(text, url_safe):
    node = REGISTRY["crypto"]

    def run(data, **config):
        return node.run(node.Config().load({**config, "data": data}), None, None)

    encoded = run(text, operation="base64_encode", url_safe=url_safe)
    expected = base64.urlsafe_b64encode if url_safe else base64.b64encode
    assert encoded == (expected(text.encode()).decode().rstrip("=") if url_safe else expected(text.encode()).decode())
    assert run(encoded, operation="base64_decode") == text
    assert run(run(text, operation="hex_encode"), operation="hex_decode") == text


def test_base64_is_decoded_in_both_alphabets_with_line_breaks_and_without_padding(run):
    for text in ("Pz4/Pg==", "Pz4_Pg", "Pz4/\r\nPg=="):
        assert run("crypto", {"operation": "base64_decode"}, text) == "?>?>"


@pytest.mark.parametrize(
    ("operation", "data", "message"),
    [
        ("base64_decode", "a", "data is not base64"),
        ("base64_decode", "a$bc", "data is not base64"),
        ("base64_decode", "é", "data is not base64"),
        ("base64_decode", "/w==", "is not UTF-8 text"),
        ("hex_decode", "abc", "data is not hex"),
        ("hex_decode", "zz", "data is not hex"),
        ("hex_decode", "ff", "is not UTF-8 text"),
        ("hash", "\ud800", "half a surrogate pair"),
    ],
)
def test_invalid_encodings_are_refused(run, operation, data, message):
    assert message in failure(run, operation, data)


# Random values


def test_uuids_of_version_4_are_random(run):
    made = [run("crypto", {"operation": "uuid"}) for _ in range(50)]
    assert len(set(made)) == 50
    assert {(uuid.UUID(text).version, uuid.UUID(text).variant) for text in made} == {(4, uuid.RFC_4122)}


def test_uuids_of_version_7_start_with_the_time(run):
    before = time.time_ns() // 1_000_000
    made = uuid.UUID(run("crypto", {"operation": "uuid", "version": 7}))
    assert made.version == 7 and made.variant == uuid.RFC_4122
    assert before <= made.int >> 80 <= time.time_ns() // 1_000_000
    assert str(uuid7(0x017F22E279B0)).startswith("017f22e2-79b0-7")
    assert len({uuid7(1) for _ in range(50)}) == 50
    assert uuid7(2**48 - 1).version == 7


@pytest.mark.parametrize("charset", CHARSETS)
def test_random_text_has_the_given_characters_and_length(run, charset):
    text = run("crypto", {"operation": "random", "charset": charset, "length": 2_000})
    assert len(text) == 2_000 and set(text) == set(CHARSETS[charset])
    assert len(run("crypto", {"operation": "random", "charset": charset, "length": 1})) == 1


def test_random_text_is_32_letters_and_digits_by_default(run):
    texts = {run("crypto", {"operation": "random"}) for _ in range(20)}
    assert len(texts) == 20 and all(re.fullmatch("[A-Za-z0-9]{32}", text) for text in texts)


def test_a_password_has_some_of_each_class(run):
    for _ in range(50):
        made = set(run("crypto", {"operation": "random", "charset": "password", "length": 6}))
        classes = (string.ascii_lowercase, string.ascii_uppercase, string.digits, SYMBOLS)
        assert all(made & set(one) for one in classes)


def test_random_text_of_your_own_characters_and_random_bytes(run):
    assert set(run("crypto", {"operation": "random", "characters": "é1", "length": 200})) == {"é", "1"}
    assert re.fullmatch("[0-9a-f]{32}", run("crypto", {"operation": "random", "bytes": 16}))
    assert len(base64.b64decode(run("crypto", {"operation": "random", "bytes": 16, "encoding": "base64"}))) == 16
