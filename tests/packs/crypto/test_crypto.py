"""The crypto node: hashes, signatures, random values and encodings."""

import base64
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
from packs.crypto.node import ALGORITHMS, CHARSETS, SYMBOLS, uuid7

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
