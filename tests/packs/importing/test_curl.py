"""cURL command lines as nodes: imported and ignored parts, and equal requests of node and curl."""

import contextlib
import json
import re
import shutil
import subprocess
import time
from dataclasses import asdict
from urllib.parse import parse_qsl

import pytest
from each import for_each
from hypothesis import given, settings
from hypothesis import strategies as st
from properties import examples
from werkzeug import Response
from world import flow, run

import engine
from config import Config
from dispatch import make_services
from errors import BadInput, HeadraceError, TooLarge
from nodes.credentials.types import TYPES
from nodes.files.files import WorkspaceFiles
from packs.importing.curl import MAX_BYTES, make_node
from schemas import CredentialIn

SECRET = "hunter2hunter2"


def config_of(command):
    return make_node(command).node["config"]


def notes_of(command):
    return " | ".join(make_node(command).notes)


CHROME = r"""curl 'https://shop.example/api/search?q=red%20shoes&page=2' \
  -X 'POST' \
  -H 'accept: application/json, text/plain, */*' \
  -H 'accept-language: en-GB,en;q=0.9' \
  -H 'content-type: application/json' \
  -b 'sid=hunter2hunter2; theme=dark' \
  -H 'origin: https://shop.example' \
  -H 'priority: u=1, i' \
  -H 'sec-ch-ua: "Chromium";v="140", "Not=A?Brand";v="24"' \
  -H 'sec-fetch-mode: cors' \
  -H 'user-agent: Mozilla/5.0 (X11; Linux x86_64)' \
  --data-raw $'{"name":"Zo\u00eb\'s","size":[41,42.5],"note":"a\\nb"}'"""

CHROME_CMD = (
    'curl ^"https://shop.example/api/search?q=red^%^20shoes^&page=2^" ^\r\n'
    '  -H ^"accept: */*^" ^\r\n'
    '  -H ^"content-type: application/json^" ^\r\n'
    '  -H ^"user-agent: Mozilla/5.0 (Windows NT 10.0; Win64; x64)^" ^\r\n'
    '  --data-raw ^"^{^\\^"name^\\^":^\\^"a ^& b^\\^",^\\^"n^\\^":1^}^"'
)

FIREFOX = r"""curl 'https://shop.example/login' --compressed -X POST -H 'User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0)' -H 'Accept-Encoding: gzip, deflate, br, zstd' -H 'Content-Type: application/x-www-form-urlencoded' -H 'Connection: keep-alive' --data-raw 'user=ada+l&remember=on&tag=a&tag=b'"""  # noqa: E501

POSTMAN = """curl --location --request PATCH 'https://api.example.com/v1/orders/42?expand=lines' \\
--header 'Content-Type: application/json' \\
--header 'Authorization: Bearer hunter2hunter2' \\
--data-raw '{
    "status": "paid",
    "lines": [{"sku": "A-1", "count": 2}]
}'"""

POSTMAN_FORM = """curl --location 'https://api.example.com/v1/files' \\
--header 'X-Api-Key: hunter2hunter2' \\
--form 'title="Invoice; May"' \\
--form 'file=@"/C:/Users/Ada/invoice 5.pdf"'"""

STRIPE = """curl https://api.stripe.com/v1/charges \\
  -u sk_test_hunter2hunter2: \\
  -d amount=2000 \\
  -d currency=usd \\
  -d "metadata[order_id]"=6735"""

GITHUB = """curl -L \\
  -X POST \\
  -H "Accept: application/vnd.github+json" \\
  -H "Authorization: Bearer <YOUR-TOKEN>" \\
  -H "X-GitHub-Api-Version: 2022-11-28" \\
  https://api.github.com/repos/OWNER/REPO/issues \\
  -d '{"title":"Found a bug","labels":["bug"]}'"""


def test_a_command_copied_from_chrome_becomes_a_node():
    imported = make_node(CHROME)
    assert imported.node == {
        "id": "request",
        "type": "http",
        "name": "POST shop.example",
        "config": {
            "method": "POST",
            "url": "https://shop.example/api/search",
            "query": {"q": "red shoes", "page": "2"},
            "headers": {
                "accept": "application/json, text/plain, */*",
                "accept-language": "en-GB,en;q=0.9",
                "origin": "https://shop.example",
                "user-agent": "Mozilla/5.0 (X11; Linux x86_64)",
            },
            "body": {"name": "Zoë's", "size": [41, 42.5], "note": "a\nb"},
            "body_type": "json",
            "credential": "shop.example",
            "follow_redirects": False,
        },
    }
    (cookie,) = imported.credentials
    assert (cookie.type, cookie.data, cookie.sources) == ("http_header", {"name": "Cookie"}, {"value": "--cookie"})


def test_a_cmd_command_copied_from_chrome_becomes_the_same_node():
    config = config_of(CHROME_CMD)
    assert config["url"] == "https://shop.example/api/search"
    assert config["query"] == {"q": "red shoes", "page": "2"}
    assert config["body"] == {"name": "a & b", "n": 1}


def test_cmd_commands_of_older_browsers_are_imported():
    header = '-H "content-type: application/json"'
    older = f'curl "https://a.example/" ^\n  --data-raw "^{{^\\^"a^\\^":^\\^"b^\\^"^}}" ^\n  {header}'
    firefox = f'curl "https://a.example/?x=^y" ^\n  {header} --data "{{""a"":""b""}}"'
    assert config_of(older)["body"] == config_of(firefox)["body"] == {"a": "b"}
    assert config_of(firefox)["query"] == {"x": "^y"}


def test_a_line_break_in_a_value_survives_the_carets_of_cmd():
    command = 'curl ^"https://a.example/^" ^\n  -H ^"content-type: text/plain^" ^\n  --data-raw ^"one^\n\ntwo^"'
    assert config_of(command)["body"] == "one\ntwo"


def test_a_command_copied_from_firefox_becomes_a_node():
    config = config_of(FIREFOX)
    assert config["body"] == {"user": "ada l", "remember": "on", "tag": ["a", "b"]} and config["body_type"] == "form"
    assert config["headers"] == {"User-Agent": "Mozilla/5.0 (X11; Linux x86_64; rv:140.0)"}


def test_a_command_copied_from_postman_becomes_a_node():
    config = config_of(POSTMAN)
    assert config["method"] == "PATCH" and config["query"] == {"expand": "lines"} and config["follow_redirects"] is True
    assert config["body"] == {"status": "paid", "lines": [{"sku": "A-1", "count": 2}]} and "headers" not in config


def test_the_files_of_a_form_are_named_as_files_of_the_workspace():
    config = config_of(POSTMAN_FORM)
    assert (config["body_type"], config["body"], config["files"]) == (
        "multipart", {"title": "Invoice; May"}, {"file": "invoice 5.pdf"},
    )  # fmt: skip
    assert "'invoice 5.pdf': upload it to the workspace's files" in notes_of(POSTMAN_FORM)


def test_settings_of_a_forms_file_are_kept_and_repeated_names_become_a_list():
    fields = "-F 'f=@a.bin;type=image/png;filename=b.png' -F 'f=@c,d' -F 'n=1;type=text/x' -F n=2 --form-string 's=@;x'"
    config = config_of(f"curl https://a.example {fields}")
    assert config["body"] == {"n": ["1", "2"], "s": "@;x"}
    assert config["files"] == {"f": [{"path": "a.bin", "name": "b.png", "content_type": "image/png"}, "c", "d"]}
    notes = notes_of(f"curl https://a.example {fields}")
    assert "'n' is sent as plain text, without its type" in notes and "several files in one part" in notes


@pytest.mark.parametrize(
    ("field", "word"), [("a=<x", "content of a file"), ("a=@-", "standard input"), ("a=@", "no file")]
)
def test_unsupported_form_fields_are_noted(field, word):
    command = f"curl https://a.example -F '{field}' -F b=1"
    assert word in notes_of(command) and config_of(command)["body"] == {"b": "1"}


# Data


@for_each(
    "options, body, kind, header",
    [
        ("-d a=1 -d b=2", {"a": "1", "b": "2"}, "form", None),
        ("-d a=1 --data-urlencode 'b=x & y' --data-raw @c=d", {"a": "1", "b": "x & y", "@c": "d"}, "form", None),
        ("--data-urlencode '=x=y z'", "x%3Dy+z", "text", "application/x-www-form-urlencoded"),
        ("-d plain", "plain", "text", "application/x-www-form-urlencoded"),
        ("-d ''", "", "text", "application/x-www-form-urlencoded"),
        ("-d 'a=1&b=2&a=3'", "a=1&b=2&a=3", "text", "application/x-www-form-urlencoded"),
        ("-d 'a=%ff'", "a=%ff", "text", "application/x-www-form-urlencoded"),
        ("--json '[1,' --json '2]'", [1, 2], "json", None),
        ("--json 'null'", "null", "text", "application/json"),
        ('--json \'{"a":1,"a":2}\'', '{"a":1,"a":2}', "text", "application/json"),
        ("--json '123456789012345678901234567890'", "123456789012345678901234567890", "text", "application/json"),
        ("--json '0.12345678901234567890'", "0.12345678901234567890", "text", "application/json"),
        ("--json '1e999'", "1e999", "text", "application/json"),
        ("--json 'NaN'", "NaN", "text", "application/json"),
        ("--json '{'", '{{ "{" }}', "text", "application/json"),
        ("""--json '"\\ud800"'""", '"\\ud800"', "text", "application/json"),
        ("--json '" + "[" * 60 + "]" * 60 + "'", "[" * 60 + "]" * 60, "text", "application/json"),
        ("--json '" + "[" * 90_000 + "'", "[" * 90_000, "text", "application/json"),
        ("-d '{\"a\":1}'", {"a": 1}, "json", "application/x-www-form-urlencoded"),
        ("-H 'Content-Type: application/vnd.api+json' -d '{}'", {}, "json", "application/vnd.api+json"),
        ("-H 'content-type: text/xml' -d '<a/>'", "<a/>", "text", "text/xml"),
        ("-d @/home/ada/order.json --json ''", "", "text", "application/json"),
        ("--data-binary @/home/ada/photo.jpg", "photo.jpg", "file", "application/x-www-form-urlencoded"),
        ("--json @order.json", "order.json", "file", "application/json"),
        (r"-T 'C:\x\photo.jpg'", "photo.jpg", "file", None),
    ],
)
def test_data_becomes_a_body(options, body, kind, header):
    config = config_of(f"curl https://a.example/x {options}")
    assert config["body"] == body
    assert config["body_type"] == kind
    headers = {name.lower(): value for name, value in config.get("headers", {}).items()}
    assert headers.get("content-type") == header


def test_a_json_body_that_curl_sends_as_a_form_is_noted():
    assert "is a header missing?" in notes_of("""curl https://a.example -d '{"a":1}'""")


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ("-d a=1 -d @more.txt", "'more.txt' is not imported"),
        ("-d @-", "standard input"),
        ("-G --data-urlencode q@file", "the query is not imported"),
        ("--url-query @file", "the query is not imported"),
        ("-b cookies.txt", "cookie file"),
        ("-H @headers.txt", "header file"),
    ],
)
def test_a_file_that_cannot_be_read_is_noted(options, word):
    assert word in notes_of(f"curl https://a.example {options}")


def test_an_upload_goes_to_the_name_of_the_file_below_a_folder():
    config = config_of("curl -T dir/a.bin https://a.example/up/")
    assert (config["method"], config["url"], config["body_type"]) == ("PUT", "https://a.example/up/a.bin", "file")


# The address


@pytest.mark.parametrize(
    ("url", "base", "query"),
    [
        ("a.example/x", "http://a.example/x", None),
        ("HTTPS://a.example:8443?q=1#there", "https://a.example:8443", {"q": "1"}),
        ("'https://a.example/?a=1&a=2&b='", "https://a.example/", {"a": ["1", "2"], "b": ""}),
        ("'https://a.example/?a=1&flag'", "https://a.example/?a=1&flag", None),
        ("'https://a.example/?a=%ff'", "https://a.example/?a=%ff", None),
        ("-g 'https://a.example/?f[x]={y}'", "https://a.example/", {"f[x]": "{y}"}),
        (r"'https://a.example/?f\[x\]=1'", "https://a.example/", {"f[x]": "1"}),
        ("-G -d a=1 'https://a.example/?b=2' -d c=3", "https://a.example/", {"b": "2", "a": "1", "c": "3"}),
        ("https://a.example --url-query 'a=x y' --url-query +b=%20", "https://a.example", {"a": "x y", "b": " "}),
        ("--url https://a.example/x", "https://a.example/x", None),
        ("-- https://a.example/x", "https://a.example/x", None),
        ("'https://a.example/a b'", "https://a.example/a%20b", None),
    ],
)
def test_the_query_is_separated_from_the_address(url, base, query):
    config = config_of(f"curl {url}")
    assert (config["url"], config.get("query")) == (base, query)


@pytest.mark.parametrize("url", ["https://a.example/users/{id}", "https://a.example/users/:id", "{{base}}/users"])
def test_a_placeholder_is_noted(url):
    assert "placeholder" in notes_of(f"curl '{url}'")


@pytest.mark.parametrize(
    ("options", "method"),
    [
        ("", "GET"),
        ("-I", "HEAD"),
        ("-d a=1", "POST"),
        ("-F a=1", "POST"),
        ("--json 1", "POST"),
        ("-T x", "PUT"),
        ("-G -d a=1", "GET"),
        ("-XDELETE", "DELETE"),
        ("-X patch -d a=1", "PATCH"),
        ("-sSLX PUT", "PUT"),
        ("--request OPTIONS", "OPTIONS"),
        ("--head --no-head", "GET"),
    ],
)
def test_the_method_is_given_or_implied_by_other_options(options, method):
    assert config_of(f"curl {options} https://a.example")["method"] == method


# Other options


def test_options_irrelevant_to_the_request_are_ignored():
    command = (
        "curl -sSLfv -o out.json -w '%{http_code}' --compressed --http2 --retry 3 --connect-timeout 5 -# --no-buffer "
        "--no-progress-meter --tlsv1.2 https://a.example -O"
    )
    assert make_node(command).notes == []
    assert config_of(command) == {"method": "GET", "url": "https://a.example", "follow_redirects": True}


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ("-x http://proxy.example:3128", "--proxy"),
        ("--cert me.pem", "--cert"),
        ("--resolve a:1:2", "--resolve"),
        ("--from-the-future", "--from-the-future"),
        ("--from-the-future 5", "--from-the-future"),
        ("--netrc", "--netrc"),
    ],
)
def test_an_unsupported_option_is_noted_by_name(options, name):
    imported = make_node(f"curl {options} https://a.example")
    assert imported.notes == [f"The option {name} is not imported"]
    assert imported.node["config"]["url"] == "https://a.example"


def test_certificates_are_always_verified():
    assert "Certificates are always verified" in notes_of("curl -k https://a.example")


@pytest.mark.parametrize(("given", "seconds"), [("2.5", 2.5), ("0", 300), ("600", 300), ("0.01", 0.1)])
def test_the_timeout_is_clamped_to_the_nodes_limits(given, seconds):
    command = f"curl -m {given} https://a.example"
    assert config_of(command)["timeout"] == seconds
    assert ("timeout" in notes_of(command)) == (float(given) != seconds)


def test_explicit_headers_override_those_of_options():
    command = (
        "curl https://a.example -A me -e 'https://b.example;auto' -r 0-9 -H 'user-agent: you' -H 'X-A: 1' -H 'x-a: 2'"
    )
    headers = config_of(command)["headers"]
    assert headers == {"user-agent": "you", "Referer": "https://b.example", "Range": "bytes=0-9", "x-a": "1, 2"}


def test_a_header_may_be_empty_or_suppressed():
    headers = config_of("curl https://a.example --json '{}' -H 'Accept:' -H 'X-Empty;' -H 'nonsense'")["headers"]
    assert headers == {"X-Empty": ""}
    assert "without a colon" in notes_of("curl https://a.example -H nonsense")


def test_headers_of_the_http_client_are_left_out():
    command = "curl https://a.example -H 'Content-Length: 5' -H 'Connection: close' -H 'Idempotency-Key: abc'"
    assert "headers" not in config_of(command)
    assert "Idempotency-Key" in notes_of(command)


def test_only_the_first_command_is_imported_with_a_note():
    for command in (
        "curl https://a.example/?a=1&b=2",
        "curl https://a.example/?a=1 | jq .",
        "curl https://a.example/?a=1 2>/dev/null",
        "$ curl https://a.example/?a=1 > out.json",
        "curl https://a.example/?a=1 # why\n\ncurl https://b.example",
    ):
        imported = make_node(command)
        assert imported.node["config"]["query"] == {"a": "1"}
        assert "Only the first command" in imported.notes[0]
    assert make_node("curl https://a.example;\n").notes == []


def test_a_variable_of_the_shell_is_noted_and_one_in_quotes_is_text():
    assert "shell variables" in notes_of('curl "https://a.example/$PLACE"')
    assert notes_of("curl 'https://a.example/$PLACE'") == notes_of(r'curl "https://a.example/\$PLACE"') == ""
    assert config_of('curl https://a.example/ -H "X-Place: $(cat place)"')["headers"] == {"X-Place": "$(cat place)"}


def test_a_backslash_followed_by_blanks_continues_the_line():
    assert config_of("curl https://a.example \\  \n  -X PUT")["method"] == "PUT"


# Secrets


@pytest.mark.parametrize(
    ("options", "type_", "data", "sources"),
    [
        ("-u ada:{}", "http_basic", {}, {"username": "-u: before the colon", "password": "-u: after the colon"}),
        ("-u {}", "http_basic", {}, {"username": "-u", "password": "not in the command; curl asks for it"}),
        ("-H 'Authorization: Bearer {}'", "http_bearer", {}, {"token": "-H Authorization, after Bearer"}),
        ("--oauth2-bearer {}", "http_bearer", {}, {"token": "--oauth2-bearer, after Bearer"}),
        ("-H 'authorization: token {}'", "http_header", {"name": "authorization"}, {"value": "-H authorization"}),
        ("-H 'X-Api-Key: {}'", "http_header", {"name": "X-Api-Key"}, {"value": "-H X-Api-Key"}),
        ("-H 'PRIVATE-TOKEN: {}'", "http_header", {"name": "PRIVATE-TOKEN"}, {"value": "-H PRIVATE-TOKEN"}),
        ("-b 'a={}' -b b=2", "http_header", {"name": "Cookie"}, {"value": "--cookie"}),
        ("-H 'cookie: a={}' -H 'x-csrf-token: {}'", "http_header", {"name": "cookie"}, {"value": "-H cookie"}),
    ],
)
def test_a_secret_becomes_the_suggestion_of_a_credential(options, type_, data, sources):
    imported = make_node(f"curl https://a.example {options.replace('{}', SECRET)}")
    found = imported.credentials[0]
    assert (found.name, found.type, found.data, found.sources) == ("a.example", type_, data, sources)
    assert found.hosts == ("a.example",)
    assert imported.node["config"]["credential"] == "a.example"
    assert SECRET not in json.dumps([imported.node, asdict(found), imported.notes])


def test_basic_written_out_in_a_header_is_basic():
    (found,) = make_node("curl https://a.example -H 'Authorization: Basic YWRhOmh1bnRlcjJodW50ZXIy'").credentials
    assert found.type == "http_basic" and "decoded from base64" in found.sources["password"]


def test_user_and_password_are_removed_from_the_address():
    imported = make_node(f"curl https://ada:{SECRET}@a.example/x")
    assert imported.node["config"]["url"] == "https://a.example/x"
    assert imported.credentials[0].sources["password"] == "the URL, before the @: after the colon"


def test_unsupported_authentication_is_noted_without_the_password():
    imported = make_node(f"curl --digest -u ada:{SECRET} https://a.example")
    assert imported.credentials == [] and "credential" not in imported.node["config"]
    assert "--digest" in " ".join(imported.notes)


def test_further_secrets_become_expressions():
    command = (
        f"curl 'https://a.example/?api_key={SECRET}&q=1' -H 'Authorization: Bearer {SECRET}' "
        f"-H 'X-Auth-Token: {SECRET}' "
        f'-b \'sid={SECRET}\' --json \'{{"user": "ada", "client": {{"password": "{SECRET}"}}}}\''
    )
    imported = make_node(command)
    config = imported.node["config"]
    assert config["query"] == {"api_key": "{{ secrets.a_example_api_key }}", "q": "1"}
    assert config["headers"] == {"Accept": "application/json", "X-Auth-Token": "{{ secrets.a_example_x_auth_token }}"}
    assert config["body"] == {"user": "ada", "client": {"password": "{{ secrets.a_example_password }}"}}
    assert [(found.name, found.type, *found.sources.values()) for found in imported.credentials] == [
        ("a.example", "http_bearer", "-H Authorization, after Bearer"),
        ("a_example_x_auth_token", "secret", "-H X-Auth-Token"),
        ("a_example_password", "secret", "the body, 'password'"),
        ("a_example_api_key", "secret", "the query, 'api_key'"),
    ]
    assert "cookies are not imported" in imported.notes[0]
    assert SECRET not in json.dumps([imported.node, imported.notes, [asdict(found) for found in imported.credentials]])


def test_a_secret_in_a_query_or_form_that_stays_text_is_replaced_too():
    command = f"curl 'https://a.example/?flag&key={SECRET}' -d 'x&client_secret={SECRET}'"
    config = config_of(command)
    assert config["url"] == "https://a.example/?flag&key={{ secrets.a_example_key }}"
    assert config["body"] == "x&client_secret={{ secrets.a_example_client_secret }}"


def test_a_suggested_credential_can_be_created():
    for command in (
        CHROME,
        POSTMAN,
        POSTMAN_FORM,
        STRIPE,
        "curl 'https://a.example:8443/?key=x'",
        "curl '{{base}}/?key=x'",
    ):
        for found in make_node(command).credentials:
            body = {**asdict(found), "data": {**found.data, **dict.fromkeys(found.sources, "x")}}
            del body["sources"]
            loaded = CredentialIn().load(body)
            TYPES[found.type].load(loaded["data"])


# Rejections


REFUSED = [
    ("", "must start with curl"),
    ("wget https://a.example", "must start with curl"),
    ("Invoke-WebRequest -Uri 'https://a.example'", "must start with curl"),
    ("curl", "no URL"),
    ("curl -X", "-X has no value"),
    ("curl https://a.example --data", "--data has no value"),
    ("curl https://a.example https://b.example", "several URLs"),
    (f"curl https://a.example -H Authorization: Bearer {SECRET}", "several URLs"),
    ("curl https://a.example --next https://b.example", "several requests"),
    ("curl https://a.example -: https://b.example", "several requests"),
    ("curl 'https://a.example/[1-3]'", "several requests"),
    ("curl 'https://a.example/{a,b}'", "several requests"),
    ("curl ftp://a.example/x", "ftp://"),
    ("curl file:///etc/passwd", "no host"),
    ("curl https://", "no host"),
    ("curl $'https://a.example/\\x07'", "control characters"),
    ("curl https://a.example/" + "x" * 8_000, "longer than 8,000"),
    (f"curl -X {SECRET} https://a.example", "method"),
    (f"curl https://a.example -H '{SECRET} {SECRET}: x'", "header with an invalid name"),
    ("curl https://a.example -H $'X-A: b\\x07'", "'X-A' contains control characters"),
    ("curl https://a.example -H 'X-A: " + "b" * 8_001 + "'", "'X-A' is longer"),
    ("curl https://a.example " + " ".join(f"-H 'X-{n}: 1'" for n in range(101)), "more than 100 headers"),
    (f"curl https://a.example -m {SECRET}", "--max-time"),
    ("curl https://a.example -m nan", "--max-time"),
    ("curl https://a.example -d a -F b=c", "only one of"),
    ("curl https://a.example -I -d a", "only one of"),
    (f"curl https://a.example -F {SECRET}", "name=value"),
    ("curl https://a.example -F 'a=(;type=multipart/mixed'", "nested form"),
    (f"curl https://a.example '{SECRET}", "not closed"),
    (f'curl ^"https://a.example^" ^\n "{SECRET}', "not closed"),
    (f"curl https://a.example --{SECRET.upper()}", "curl does not have"),
    ("curl https://a.example -€", "curl does not have"),
    ("curl $'https://a.example/\\ud800'", "does not exist"),
    ("curl https://a.example/\udcff", "not valid text"),
]


@pytest.mark.parametrize(("command", "words"), REFUSED, ids=[words for _, words in REFUSED])
def test_an_invalid_command_is_rejected_without_repeating_a_secret(command, words):
    with pytest.raises(BadInput) as caught:
        make_node(command)
    assert words in str(caught.value) and not re.search(SECRET, str(caught.value), re.IGNORECASE)


def test_a_command_has_a_size_limit():
    with pytest.raises(TooLarge):
        make_node("curl https://a.example -d '" + "é" * (MAX_BYTES // 2) + "'")


HOSTILE = ["'" * 199_000, '"\\' * 99_000, "\\" * 199_000, "$(" * 99_000, "^" * 199_000, " a" * 99_000, "a''" * 66_000]


@pytest.mark.slow
@pytest.mark.parametrize("text", [*HOSTILE, "=&" * 90_000, "a=1&" * 49_000, ";" * 190_000])
@pytest.mark.parametrize("start", ["curl https://a.example", 'curl ^"https://a.example^"'])
@pytest.mark.parametrize("option", ["-d", "-F x=", "-d @", "-b", "-G -d"])
def test_a_hostile_command_is_fast(start, option, text):
    began = time.process_time()
    with contextlib.suppress(HeadraceError):
        make_node(f"{start} {option} {text}")
    assert time.process_time() - began < 5


@given(st.text(st.sampled_from("curl -dHXF'\"\\^$\n =:;&@{}%#[]a/.<>|`"), max_size=60))
@settings(max_examples=examples(400), deadline=None)
def test_any_text_becomes_a_node_or_is_rejected(text):
    try:
        imported = make_node(f"curl https://a.example {text}")
    except HeadraceError:
        return
    engine.plan(flow(imported.node))


# Against curl itself


@pytest.fixture
def services():
    services = make_services(Config(egress_allow=("127.0.0.1",)))
    yield services
    services.close()


@pytest.fixture
def seen(httpserver):
    """Return the request that the server received, in comparable form."""
    requests = []

    def note(request):
        content_type = request.headers.get("Content-Type")
        media, body = (content_type or "").partition(";")[0], request.get_data()
        pairs = parse_qsl(request.query_string.decode(), keep_blank_values=True)
        if media == "multipart/form-data" and request.form | request.files:
            found = request.files.items(multi=True)
            files = [(name, file.filename, file.content_type, file.read()) for name, file in found]
            content_type, body = media, (list(request.form.items(multi=True)), files)
        else:
            body = read_as_meant(body)
        requests.append((request.method, request.path, pairs, content_type, body))
        return Response("ok")

    httpserver.expect_request(re.compile(".*")).respond_with_handler(note)
    return requests


def read_as_meant(body):
    try:
        return json.loads(body)
    except ValueError:
        pass
    pairs = parse_qsl(body.decode(), keep_blank_values=True)
    return pairs if b"=" in body else body


CURL = shutil.which("curl")
LIKE_CURL = [
    CHROME,
    FIREFOX,
    POSTMAN,
    STRIPE,
    GITHUB,
    POSTMAN_FORM.replace("/C:/Users/Ada/", ""),
    "curl https://a.example -F 'f=@a.json;type=application/json;filename=\"b c.json\"' -F 'f=@a.txt' -F a=1 -F a=2",
    "curl https://a.example/up --json @a.json",
    "curl https://a.example/up -H 'Content-Type: image/png' --data-binary @a.txt",
    "curl https://a.example/up/ -H 'Content-Type: text/plain' -T a.txt",
    "curl 'https://a.example/a/b?x=1&y=%20%2B+&z='",
    "curl 'https://a.example/search?flag&x=1'",
    "curl https://a.example/?q=%C3%A9 -I",
    "curl https://a.example -G --data-urlencode 'q=a b&c' -d 'sort=up'",
    "curl https://a.example --url-query 'q=ü' --url-query +x=%41",
    "curl https://a.example -d plain",
    "curl https://a.example -d ''",
    "curl https://a.example -d 'a=1&b=2&a=3'",
    "curl https://a.example --data-urlencode 'a=x y+z/é'",
    "curl https://a.example -d '{{ not.ours }} {% if x %}={#c#}' -H 'Content-Type: text/plain'",
    'curl \'https://a.example/x\' --json \'{"a": "{{ b }}", "c": ["{%", "{", null, 1.50, -0, true]}\'',
    "curl https://a.example --json '{\"a\":' --json '1}'",
    "curl -X DELETE https://a.example/things/5",
    "curl -X PUT https://a.example -H 'Content-Type: application/xml' --data-binary $'<a>\\n<b/></a>'",
    "curl -X GET https://a.example/_search -H 'Content-Type: application/json' -d '{\"query\":{\"match_all\":{}}}'",
    "curl https://a.example -F 'f=@\"a.txt\";filename=\"q;r,s\"' -F 'g=@ a.txt ;type=text/x;charset=utf-8'",
    "curl https://a.example -F 'a=\"b\\\"\\\\\"; type=text/x' -F 'b=  ' -F 'c= @d,e' -F $'d=\\n e \\n' -F 'h=\"q\"x'",
    "curl https://a.example -F a=1 -F 'b=\"x;y\"' --form-string 'c=@z;q' -F 'd= e '",
    "curl -g 'https://a.example/?f[a]=1&f[b]=2'",
    r"curl 'https://a.example/?f\[a\]=1'",
    "curl https://a.example/#there",
]


@pytest.mark.skipif(CURL is None, reason="there is no curl to compare with")
@pytest.mark.parametrize("command", LIKE_CURL)
def test_the_node_sends_the_same_request_as_curl(command, httpserver, seen, services, tmp_path):
    here = f"http://127.0.0.1:{httpserver.port}"
    command = re.sub(r"https://[a-z.]+", here, command, count=1)
    for name, text in (("a.txt", "plain\n\ntext"), ("a.json", '{"a": 1}'), ("invoice 5.pdf", "%PDF")):
        (tmp_path / name).write_text(text)
    subprocess.run(["bash", "-c", command], cwd=tmp_path, check=True, capture_output=True, timeout=20)
    node = make_node(command).node
    node["config"].pop("credential", None)  # curl is not installed here
    outcome = run(flow(node), services=services, files=WorkspaceFiles(tmp_path, 2**20))
    assert outcome.status == "success", outcome.error_text
    by_curl, by_node = seen
    assert by_node == by_curl


@pytest.mark.parametrize("command", [CHROME, CHROME_CMD, FIREFOX, POSTMAN, POSTMAN_FORM, STRIPE, GITHUB])
def test_a_node_can_be_planned(command):
    engine.plan(flow(make_node(command).node))


@given(st.text(st.sampled_from("{}%#\"'\\ \r\né\0ab\u2028"), max_size=40), st.integers(0, 3_000))
@settings(max_examples=examples(300), deadline=None)
def test_imported_text_is_never_an_expression(text, padding):
    body = "x" * padding + text
    command = "curl https://a.example -H 'Content-Type: text/plain' --data-raw '" + body.replace("'", "'\\''") + "'"
    node = make_node(command).node
    plan = engine.plan(flow(node))
    assert plan.nodes[0].config.evaluate({})["body"] == body.replace("\0", " ")
