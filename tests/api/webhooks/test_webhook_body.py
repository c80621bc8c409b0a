"""The webhook request as the input of a run: the body by its content type, query and headers."""

import base64
import time
import tracemalloc
from io import BytesIO

import pytest

from errors import NodeError
from models import Run
from net.egress import HttpResponse
from nodes.files.files import parse_content
from nodes.http import body
from nodes.limits import has_too_many_parts

pytestmark = pytest.mark.usefixtures("shared_server", "way")

FORM, JSON_TYPE = "application/x-www-form-urlencoded", "application/json"
PATH = "/api/webhooks/in"


@pytest.fixture
def send(client, make_flow):
    """`send(data, content_type)` calls a webhook and returns the input of its run."""
    config = {"path": "in", "respond": "last", "methods": ["POST", "GET"]}
    make_flow({"nodes": [{"id": "hook", "type": "webhook", "config": config}]}, status="active")

    def send(data=b"", content_type=None, path="/api/webhooks/in", **options):
        answer = client.post(path, data=data, content_type=content_type, **options)
        assert answer.status_code == 200, answer.text
        return answer.json

    return send


def binary(data, content_type):
    return {"content_type": content_type, "size": len(data), "base64": base64.b64encode(data).decode()}


@pytest.mark.parametrize(
    "content_type",
    ["application/json", "application/json; charset=utf-8", "application/cloudevents+json", "APPLICATION/JSON"],
)
@pytest.mark.parametrize(
    ("data", "value"),
    [(b'{"a": [1, 2.5, null]}', {"a": [1, 2.5, None]}), (b"[]", []), (b"null", None), (b'"\xc3\xa9"', "é")],
)
def test_json_is_data(send, content_type, data, value):
    assert send(data, content_type)["body"] == value


@pytest.mark.parametrize("data", [b"{", b"\xff", b'{"a": NaN}', b"{} {}", b'"\\ud800"', b"[" * 101 + b"]" * 101])
def test_json_that_is_malformed_or_too_deep_is_400(client, send, data):
    answer = client.post("/api/webhooks/in", data=data, content_type="application/json")
    assert answer.status_code == 400 and "the body" in answer.json["error"] and Run.select().count() == 0


@pytest.mark.parametrize("content_type", [None, "application/json", "text/plain", "application/octet-stream"])
def test_no_body_is_null(send, content_type):
    assert send(b"", content_type)["body"] is None


def test_a_form_is_an_object_with_lists_for_repeated_names(send):
    body = send(b"name=Zo%C3%AB+M&empty=&tag=a&tag=b&%F0%9F%98%80=1", FORM)["body"]
    assert body == {"name": "Zoë M", "empty": "", "tag": ["a", "b"], "😀": "1"}


def test_a_form_with_broken_bytes_or_too_many_fields_does_no_harm(client, send):
    assert send(b"a=%ff\xff", FORM)["body"] == {"a": "\ufffd\ufffd"}
    answer = client.post("/api/webhooks/in", data=b"&".join([b"a=1"] * 10_001), content_type=FORM)
    assert answer.status_code == 400 and "fields" in answer.json["error"]


def test_a_multipart_form_has_text_and_files(send):
    form = {
        "title": "Größe",
        "tag": ["a", "b"],
        "file": (BytesIO(b"\x89PNG\0"), "übung.png", "image/png"),
        "both": [(BytesIO(b"1"), "1.txt"), (BytesIO(b""), "2.txt")],
    }
    body = send(form, "multipart/form-data")["body"]
    assert body["title"] == "Größe" and body["tag"] == ["a", "b"]
    assert body["file"] == {"filename": "übung.png", **binary(b"\x89PNG\0", "image/png")}
    assert [file["filename"] for file in body["both"]] == ["1.txt", "2.txt"] and body["both"][1]["size"] == 0


@pytest.mark.parametrize(
    "content_type", ["multipart/form-data", "multipart/form-data; boundary=x", "multipart/form-data; boundary=é"]
)
def test_a_broken_multipart_form_is_400(client, send, content_type):
    answer = client.post("/api/webhooks/in", data=b"no form", content_type=content_type)
    assert answer.status_code == 400 and "multipart" in answer.json["error"]


@pytest.mark.parametrize(
    ("content_type", "data", "text"),
    [
        ("text/plain", "größe\0".encode(), "größe\0"),
        ("text/plain; charset=iso-8859-1", "größe".encode("latin-1"), "größe"),
        ("text/csv; charset=utf-16", "a,ü".encode("utf-16"), "a,ü"),
        ("text/plain; charset=Shift_JIS", "日本".encode("shift_jis"), "日本"),
        ("application/xml", b"<a/>", "<a/>"),
        ("application/atom+xml", b"<a/>", "<a/>"),
        (None, "ohne Typ ü".encode(), "ohne Typ ü"),
        ("application/x-thing; charset=utf-8", b"with a charset", "with a charset"),
    ],
)
def test_text_is_text(send, content_type, data, text):
    assert send(data, content_type)["body"] == text


@pytest.mark.parametrize(
    ("content_type", "shown"),
    [
        ("application/octet-stream", "application/octet-stream"),
        ("image/png", "image/png"),
        ("text/plain", "text/plain"),
        (None, None),
        ("text/plain; charset=nonsense", "text/plain"),
        ("text/plain; charset=unicode_escape", "text/plain"),
        ("text/plain; charset=zip", "text/plain"),
        ("text/plain; charset=\0", "text/plain"),
    ],
)
def test_everything_else_is_bytes_in_base64(send, content_type, shown):
    data = b"\xff\xfe\xfd\x00 \\ud800"
    assert send(data, content_type)["body"] == binary(data, shown)


def test_a_chunked_body_is_taken_whole(client, send):
    chunked = {"wsgi.input_terminated": True, "HTTP_TRANSFER_ENCODING": "chunked"}
    answer = client.post(
        "/api/webhooks/in",
        input_stream=BytesIO(b'{"a": "' + b"x" * 200_000 + b'"}'),
        content_type="application/json",
        environ_overrides=chunked,
    )
    assert answer.status_code == 200 and len(answer.json["body"]["a"]) == 200_000


def test_the_query_has_lists_for_repeated_names(send):
    got = send(path="/api/webhooks/in?a=1&a=2&b=%C3%A9+x&c&token=kept&%ff=%ff")["query"]
    assert {"a": ["1", "2"], "b": "é x", "c": "", "token": "kept"}.items() <= got.items()


def test_headers_are_in_lower_case_and_several_are_joined(send):
    got = send(headers=[("X-Tag", "a"), ("X-Tag", "b"), ("x-MIXED-case", "1")])["headers"]
    assert got["x-tag"].replace(" ", "") == "a,b" and got["x-mixed-case"] == "1"
    assert got["host"] == "localhost"


def test_a_header_in_latin_1_is_unchanged(send):
    assert send(headers={"X-Name": "Zo\xeb"})["headers"]["x-name"] == "Zoë"


# JSON that is small, and large in memory


def of_size(size):
    return b"[" + b"{}," * (size // 3) + b"{}]"


def test_json_of_many_tiny_parts_is_413_and_takes_no_memory(owner, client, flow, send):
    tracemalloc.start()
    try:
        for answer in (
            client.post(PATH, data=of_size(4_900_000), content_type="application/json"),
            owner.post("/api/logs", data=b'{"message":"a","data":' + of_size(4_900_000) + b"}", content_type=JSON_TYPE),
        ):
            assert answer.status_code == 413 and "more than 200,000 lists and objects" in answer.json["error"]
        assert tracemalloc.get_traced_memory()[1] < 60 * 2**20
    finally:
        tracemalloc.stop()
    assert Run.select().count() == 0


@pytest.mark.parametrize(
    ("text", "fine"),
    [
        (of_size(3 * 200_000 - 9), False),
        (of_size(3 * 200_000 + 9), True),
        (b'"' + b"{" * 4_000_000 + b'"', False),
        (b'{"a":"' + b'\\"{' * 1_000_000 + b'"}', False),
        (b'{"a":"' + b"[" * 1_000_000, False),
        (b'["\\\\",' + b"[]," * 200_000 + b"[]]", True),
        (b'{"number":1,"name":"a real one"},' * 190_000, False),
        (b"[" * 300_000, True),
    ],
)
def test_only_lists_and_objects_count(text, fine):
    begun = time.thread_time()
    assert has_too_many_parts(text) is fine
    assert time.thread_time() - begun < 2


@pytest.mark.parametrize(
    "read",
    [
        lambda raw: parse_content(raw, "file", "json"),
        lambda raw: body.parse_json(HttpResponse(200, "OK", {}, raw, None, "http://a.example", "GET a.example")),
    ],
    ids=["file", "http"],
)
def test_nodes_read_no_such_json_either(read):
    with pytest.raises(NodeError, match="lists and objects"):
        read(of_size(4_900_000))
    assert read(b'[{"a": 1}]') == [{"a": 1}]
