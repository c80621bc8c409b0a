"""The `s3` node with moto's store behind a real HTTP server."""

import hashlib
import os
import socket
import threading
import time
from types import SimpleNamespace
from urllib.request import Request, urlopen

import pytest
from contract import Case, Contract
from marshmallow import ValidationError
from werkzeug import Response
from werkzeug.serving import make_server

from errors import NodeError
from net.egress import Rule
from nodes import REGISTRY
from packs.s3 import node as s3

SECRET = "Geheim/Key+1"


class Requests:
    """A WSGI application that records each request and passes it on."""

    def __init__(self, app):
        self.app, self.seen, self.answer = app, [], None

    def __call__(self, environ, start_response):
        self.seen.append(SimpleNamespace(method=environ["REQUEST_METHOD"], path=environ["RAW_URI"], environ=environ))
        return (self.answer or self.app)(environ, start_response)


@pytest.fixture(scope="session")
def moto_app():
    from moto.server import DomainDispatcherApplication, create_backend_app

    return DomainDispatcherApplication(create_backend_app)


def serve(app, **options):
    server = make_server("127.0.0.1", 0, app, threaded=True, **options)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    return server, thread


@pytest.fixture
def store(moto_app):
    """Return a store with a bucket `reports`; `store.requests.seen` has the requests so far."""
    from moto.s3.models import s3_backends

    for account in s3_backends.values():
        for backend in account.values():
            backend.reset()
    requests = Requests(moto_app)
    server, thread = serve(requests)
    found = SimpleNamespace(requests=requests, url=f"http://127.0.0.1:{server.port}", port=server.port)
    urlopen(Request(f"{found.url}/reports", method="PUT"), timeout=60).close()
    requests.seen.clear()
    found.backend = next(backend for account in s3_backends.values() for backend in account.values())
    yield found
    server.shutdown()
    thread.join(60)
    server.server_close()


def credential(url, **changes):
    data = {"endpoint": url, "region": "us-east-1", "access_key": "AKIAZOE", "secret_key": SECRET, **changes}
    return {"store": ("s3", {key: value for key, value in data.items() if value is not None})}


@pytest.fixture
def do(run, store):
    def do(operation, key=None, credentials=None, input=None, context=None, **config):
        config = {"credential": "store", "operation": operation, "bucket": "reports", **config}
        config |= {} if key is None else {"key": key}
        return run("s3", config, input, credentials=credentials or credential(store.url), **(context or {}))

    return do


@pytest.fixture
def fails(do):
    def fails(*args, **config):
        with pytest.raises(NodeError) as caught:
            do(*args, **config)
        return caught.value

    return fails


def md5(data):
    return hashlib.md5(data).hexdigest()


def test_a_stored_object_can_be_read(do):
    made = do("put", "2026/may.txt", data="höre")
    assert made == {"bucket": "reports", "key": "2026/may.txt", "size": 5, "etag": md5("höre".encode())}
    assert do("get", "2026/may.txt") == {
        "key": "2026/may.txt",
        "etag": made["etag"],
        "size": 5,
        "content_type": "text/plain",
        "data": "höre",
    }


def test_data_other_than_text_is_stored_as_json(do):
    do("put", "a.json", data={"a": ["é", 1]})
    answer = do("get", "a.json", encoding="json")
    assert (answer["data"], answer["content_type"]) == ({"a": ["é", 1]}, "application/json")
    do("put", "b.json", input={"b": 2})
    assert do("get", "b.json")["data"] == '{"b":2}'


def test_binary_data_is_passed_as_base64(do):
    do("put", "a", data="AP8=", encoding="base64", content_type="image/x-own")
    answer = do("get", "a", encoding="base64")
    assert (answer["data"], answer["size"], answer["content_type"]) == ("AP8=", 2, "image/x-own")


def test_files_are_uploaded_and_downloaded(do, make_ctx, tmp_path):
    files = make_ctx()[0].need_files()
    content = os.urandom(300_000)
    files.write("a/photo.png", content)
    made = do("put", "photo", file="a/photo.png")
    assert (made["size"], made["etag"]) == (300_000, md5(content))
    assert do("get", "photo", file={"path": "b/photo.png"}) == {
        "path": "b/photo.png",
        "name": "photo.png",
        "size": 300_000,
        "content_type": "image/png",
        "key": "photo",
        "etag": made["etag"],
    }
    assert files.read("b/photo.png") == content


def test_a_large_file_is_uploaded_in_parts(do, make_ctx, store, monkeypatch):
    monkeypatch.setattr(s3, "PART", 5 * 2**20)
    ctx, _ = make_ctx(credentials=credential(store.url))
    ctx.files.max_bytes = 20 * 2**20
    content = os.urandom(2**20) * 11
    ctx.files.write("large.bin", content)
    node = REGISTRY["s3"]
    config = {"credential": "store", "bucket": "reports", "key": "large"}
    node.run(node.Config().load({**config, "operation": "put", "file": "large.bin"}), None, ctx)
    assert [seen.method for seen in store.requests.seen] == ["POST", "PUT", "PUT", "PUT", "POST"]
    node.run(node.Config().load({**config, "operation": "get", "file": "back.bin"}), None, ctx)
    assert ctx.files.read("back.bin") == content


def test_an_object_above_the_file_size_limit_leaves_no_file(do, fails, make_ctx, store):
    do("put", "large", data="x" * 1_500_000)
    error = fails("get", "large", file="a/large.txt")
    assert error.permanent and "exceed the limit" in error.message
    assert make_ctx()[0].need_files().list("a") == []


def test_an_object_too_large_for_a_value_must_be_downloaded_to_a_file(do, fails, monkeypatch):
    monkeypatch.setattr(s3, "MAX_READ", 1_000)
    do("put", "large", data="x" * 1_001)
    error = fails("get", "large")
    assert error.permanent and "download it to a file" in error.message


def test_an_object_that_is_not_text_or_not_json_is_refused(do, fails):
    do("put", "a", data="AP8=", encoding="base64")
    assert "read it as base64" in fails("get", "a").message
    assert "is not JSON" in fails("get", do("put", "b", data="x")["key"], encoding="json").message


def test_objects_are_listed_by_key(do):
    for number in (2, 1, 3):
        do("put", f"b/{number} ä+&.txt", data="x" * number)
    do("put", "a", data="")
    answer = do("list", prefix="b/", limit=2)
    assert [(one["key"], one["size"]) for one in answer["objects"]] == [("b/1 ä+&.txt", 1), ("b/2 ä+&.txt", 2)]
    assert answer["truncated"] and answer["objects"][0]["etag"] == md5(b"x")
    assert answer["objects"][0]["modified_at"].endswith("Z")
    assert [one["key"] for one in do("list")["objects"]] == ["a"] + [f"b/{number} ä+&.txt" for number in (1, 2, 3)]
    assert do("list", prefix="nothing") == {"objects": [], "truncated": False}


def test_a_list_is_read_page_by_page_up_to_the_limit(do, store):
    for number in range(1_005):
        store.backend.put_object("reports", f"{number:04}", b"")
    answer = do("list", limit=1_004)
    assert len(answer["objects"]) == 1_004 and answer["truncated"]
    assert len(store.requests.seen) == 2


def test_a_deleted_object_is_not_found(do, fails):
    do("put", "a", data="x")
    assert do("delete", "a") == {"bucket": "reports", "key": "a", "deleted": True}
    assert do("list")["objects"] == []
    error = fails("get", "a")
    assert error.permanent and "NoSuchKey" in error.message


def test_a_missing_bucket_is_permanent(fails):
    error = fails("put", "a", data="x", bucket="nowhere")
    assert error.permanent and "NoSuchBucket" in error.message


@pytest.mark.parametrize("bucket", ["x", "a/b", "a..b", "192.168.0.1"])
def test_an_invalid_bucket_name_is_permanent(fails, store, bucket):
    assert fails("get", "a", bucket=bucket).permanent
    assert store.requests.seen == []


@pytest.mark.parametrize("key", ["../other/a", "a/../../b", "./a", "a/.."])
@pytest.mark.parametrize("operation", ["get", "put", "delete"])
def test_a_key_with_dot_segments_is_refused(fails, store, operation, key):
    assert fails(operation, key, data="x").permanent
    assert store.requests.seen == []


@pytest.mark.parametrize("key", ["a?b=c", "a#b", "a b", "ä", "a%2fb", "/a", "a//b", "-", "a\\b"])
def test_keys_may_contain_special_characters(do, key):
    do("put", key, data=key)
    assert do("get", key)["data"] == key
    assert [one["key"] for one in do("list")["objects"]] == [key]


@pytest.mark.parametrize("operation", ["get", "put", "delete"])
def test_a_key_is_required(fails, operation):
    assert fails(operation).message == f"key is required for the operation {operation}"


@pytest.mark.parametrize("config", [{"limit": 0}, {"limit": 10_001}, {"timeout": 0}, {"operation": "copy"}])
def test_a_bad_setting_is_refused(config):
    with pytest.raises(ValidationError) as caught:
        REGISTRY["s3"].Config().load({"credential": "a", "operation": "get", "bucket": "abc", **config})
    assert caught.value.messages.keys() == config.keys()


def test_a_header_cannot_be_injected(fails, store):
    assert fails("put", "a", data="x", content_type="text/plain\r\nx-amz-acl: public-read").permanent
    assert store.requests.seen == []


def test_requests_are_signed_and_do_not_contain_the_secret(do, store):
    do("put", "a", data="x")
    (seen,) = store.requests.seen
    assert seen.environ["HTTP_AUTHORIZATION"].startswith("AWS4-HMAC-SHA256 Credential=AKIAZOE/")
    assert SECRET not in repr(seen.environ)


def test_without_a_region_the_node_asks_the_store_for_it(do, store):
    do("put", "a", data="x", credentials=credential(store.url, region=None))
    assert [seen.path for seen in store.requests.seen] == ["/reports?location=", "/reports/a"]


@pytest.mark.parametrize(
    ("status", "body", "permanent", "part"),
    [
        (403, "<Error><Code>SignatureDoesNotMatch</Code><Message>No.</Message></Error>", True, "SignatureDoesNotMatch"),
        (503, "<Error><Code>SlowDown</Code><Message>Later.</Message></Error>", False, "SlowDown: Later."),
        (400, "<Error><Code>RequestTimeout</Code><Message>Late.</Message></Error>", False, "RequestTimeout"),
        (500, "<Error><Code>InternalError</Code></Error>", False, "InternalError"),
        (502, "Bad Gateway", False, "answered 502"),
        (404, "nothing", True, "answered 404"),
        (200, "<", True, ""),
        (200, "nothing", True, ""),
        (200, "", True, ""),
        (301, "<Error><Code>PermanentRedirect</Code><Message>x</Message></Error>", True, "PermanentRedirect"),
    ],
)
def test_the_stores_error_decides_whether_it_is_permanent(fails, store, status, body, permanent, part):
    media = "application/xml" if body.startswith("<") else "text/plain"
    store.requests.answer = Response(body, status=status, content_type=media)
    error = fails("list")
    assert (error.permanent, part in error.message) == (permanent, True)
    assert len(store.requests.seen) == 1


def test_a_redirect_is_not_followed(fails, store):
    store.requests.answer = Response(status=307, headers={"Location": f"{store.url}/other"})
    assert fails("list").permanent
    assert len(store.requests.seen) == 1


def test_a_response_that_is_too_large_is_refused(fails, store, monkeypatch):
    monkeypatch.setattr(s3, "MAX_RESPONSE", 10_000)
    for status in (200, 404):
        store.requests.answer = Response(b"x" * 20_000, status=status, content_type="application/xml")
        assert "more than 10,000 bytes" in fails("list").message


def test_a_compressed_object_is_not_unzipped(do, store):
    import gzip

    packed = gzip.compress(b"x" * 10_000_000)
    store.requests.answer = Response(packed, headers={"Content-Encoding": "gzip", "ETag": '"e"'})
    assert do("get", "a", encoding="base64")["size"] == len(packed)


def test_a_truncated_body_is_an_error(fails, serve_bytes):
    url = serve_bytes([b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nabc"], pause=0).url.rstrip("/")
    assert not fails("get", "a", credentials=credential(url), timeout=5).permanent


def test_a_slow_response_ends_at_the_timeout(fails, serve_bytes, make_ctx):
    url = serve_bytes([b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n", *[b"a"] * 900], pause=0.1).url.rstrip("/")
    began = time.monotonic()
    error = fails("get", "a", credentials=credential(url), timeout=0.5, file="a.txt")
    assert time.monotonic() - began < 15
    assert "in time" in error.message and not error.permanent
    assert make_ctx()[0].need_files().list() == []


def test_a_refused_connection_is_not_permanent(fails):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    error = fails("list", credentials=credential(f"http://127.0.0.1:{port}"))
    assert not error.permanent and error.message == "127.0.0.1: Connection refused"


def test_a_store_blocked_by_the_egress_rule_is_not_contacted(fails, store):
    error = fails("list", credentials=credential(f"http://127.0.0.2:{store.port}"))
    assert "may not be reached" in error.message and error.permanent and store.requests.seen == []


def test_a_credential_is_not_sent_to_a_host_outside_its_allowed_hosts(fails, store):
    type_, data = credential(store.url)["store"]
    assert "may not be sent to" in fails("list", credentials={"store": (type_, data, ("a.example",))}).message


@pytest.mark.parametrize("key", ["data", "key", "prefix"])
def test_a_secret_is_not_sent_to_a_store_outside_its_allowed_hosts(make_ctx, store, key):
    other = ("http_bearer", {"token": "s3cret!"}, ("a.example",))
    ctx, _ = make_ctx(credentials={**credential(store.url), "other": other})
    config = {"credential": "store", "operation": "put", "bucket": "reports", "key": "a", "data": "b"}
    config[key] = f"x {ctx.keyring['other']}"
    with pytest.raises(NodeError) as caught:
        REGISTRY["s3"].run(REGISTRY["s3"].Config().load(config), None, ctx)
    assert "'other' may not be sent to 127.0.0.1" in caught.value.message and store.requests.seen == []


@pytest.fixture
def encrypted(moto_app, authority):
    server, thread = serve(moto_app, ssl_context=authority.server("localhost"))
    yield f"https://localhost:{server.port}"
    server.shutdown()
    thread.join(60)
    server.server_close()


def test_a_stores_certificate_must_be_trusted(do, fails, encrypted, authority):
    context = {"rule": Rule(["localhost"])}
    known = credential(encrypted)
    error = fails("list", credentials=known, context=context)
    assert error.permanent and "certificate" in error.message
    assert do("list", credentials=known, context={**context, "ca_file": authority.file})["objects"] == []


def check(make_ctx, credentials):
    ctx, _ = make_ctx(credentials=credentials)
    return s3.check(ctx.credential("store"), ctx, {})


def test_the_check_of_a_working_credential_counts_its_buckets(make_ctx, store):
    assert check(make_ctx, credential(store.url)) == "the store accepts the key; it has 1 bucket"


def test_the_check_accepts_a_key_that_may_not_list_buckets(make_ctx, store):
    body = "<Error><Code>AccessDenied</Code></Error>"
    store.requests.answer = Response(body, status=403, content_type="application/xml")
    assert "may not list buckets" in check(make_ctx, credential(store.url))


def test_the_check_of_an_unknown_key_is_an_error(make_ctx, store):
    body = "<Error><Code>InvalidAccessKeyId</Code></Error>"
    store.requests.answer = Response(body, status=403, content_type="application/xml")
    with pytest.raises(NodeError) as caught:
        check(make_ctx, credential(store.url))
    assert "InvalidAccessKeyId" in caught.value.message and SECRET not in caught.value.message


@pytest.fixture
def case_s3(store):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        silent = f"http://127.0.0.1:{listener.getsockname()[1]}"
        yield Case(
            config={"credential": "store", "operation": "put", "bucket": "reports", "key": SECRET, "data": SECRET},
            credentials=credential(store.url) | {"silent": credential(silent)["store"]},
            secret=SECRET,
            stalled={"credential": "silent"},
            count=lambda: len([seen for seen in store.requests.seen if seen.method == "PUT"]),
        )


class TestS3KeepsTheContract(Contract):
    type_ = "s3"
