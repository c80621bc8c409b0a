"""Request bodies of the http node: multipart forms and files."""

import json
from contextlib import ExitStack

import pytest
from sites import address, echoing, failure
from werkzeug import Response

from errors import NodeError
from nodes.files.files import guess_content_type
from nodes.http.body import FileStream, encode


@pytest.fixture
def form(httpserver):
    """The URL of a page that answers with the fields and files of the received form."""

    def answer(request):
        files = [
            [field, file.filename, file.content_type, file.read().decode("latin-1")]
            for field, file in request.files.items(multi=True)
        ]
        fields = [list(pair) for pair in request.form.items(multi=True)]
        seen = {"fields": fields, "files": files, "length": request.content_length}
        return Response(json.dumps(seen), content_type="application/json")

    httpserver.expect_request("/form").respond_with_handler(answer)
    return address(httpserver, "/form")


@pytest.fixture
def files(make_ctx):
    ctx, _ = make_ctx()
    return ctx.files


def send(run, url, **config):
    return run("http", {"url": url, "method": "POST", **config})["body"]


def test_a_multipart_form_has_its_fields_and_files(run, form, files):
    files.write("shop/tea.png", b"\x89PNG")
    seen = send(
        run,
        form,
        body_type="multipart",
        body={"name": "Zoë", "count": 2, "yes": True, "tags": ["a", "b"], "none": None, "object": {"a": 1}},
        files={
            "photo": "shop/tea.png",
            "more": [{"path": "shop/tea.png", "name": "ü.txt", "content_type": "text/plain", "size": 9}, None],
        },
    )
    assert seen["fields"] == [
        *(["name", "Zoë"], ["count", "2"], ["yes", "true"], ["tags", "a"], ["tags", "b"], ["object", '{"a": 1}'])
    ]
    assert seen["files"] == [
        ["photo", "tea.png", "image/png", "\x89PNG"],
        ["more", "ü.txt", "text/plain", "\x89PNG"],
    ]
    assert seen["length"] > 0


def test_a_multipart_form_needs_no_files(run, form):
    assert send(run, form, body_type="multipart", body={"a": 1})["fields"] == [["a", "1"]]


def test_an_object_in_a_field_is_sent_as_text_and_not_as_a_file(run, form, files):
    files.write("private.txt", b"private")
    seen = send(run, form, body_type="multipart", body={"note": {"path": "private.txt"}})
    assert (seen["fields"], seen["files"]) == ([["note", '{"path": "private.txt"}']], [])


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({}, "must have at least one field or file"),
        ({"body": {}}, "must have at least one field or file"),
        ({"body": [1]}, "must be an object"),
        ({"body": {"a": "\ud800"}}, "cannot be encoded as multipart"),
        ({"files": {"a": "nowhere.txt"}}, "'nowhere.txt': the file does not exist"),
        ({"files": {"a": "../x"}}, "leads out of the workspace's files"),
        ({"files": {"a": "\ud800"}}, "is not a valid path"),
        ({"files": {"a": 5}}, "files.a: must be a path"),
        ({"files": {"a": {"file": "x"}}}, "files.a: must be a path"),
        ({"files": {"a": ["x"] * 21}}, "at most 1000 fields and 20 files"),
        ({"body": {"a": [1] * 1001}}, "at most 1000 fields and 20 files"),
        ({"body": {"a": 1}, "headers": {"Content-Type": "multipart/form-data"}}, "content-type of a multipart body"),
    ],
)
def test_an_invalid_multipart_form_is_refused(run, form, files, config, message):
    error = failure(run, {"url": form, "method": "POST", "body_type": "multipart", **config})
    assert message in error.message and error.permanent


def test_files_require_a_multipart_body(run, form):
    error = failure(run, {"url": form, "body": {"a": 1}, "files": {"a": "x"}})
    assert error.message == "files: set the body type to multipart, or remove the files" and error.permanent


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        ("reports/today.csv", "text/csv"),
        ({"path": "reports/today.csv", "content_type": "text/x-mine; charset=utf-8"}, "text/x-mine; charset=utf-8"),
    ],
)
def test_a_file_is_sent_unchanged(run, httpserver, files, body, content_type):
    files.write("reports/today.csv", b"a,b\n")
    seen = send(run, echoing(httpserver), body_type="file", body=body)
    assert (seen["body"], seen["headers"]["content-type"]) == ("a,b\n", content_type)
    assert seen["headers"]["content-length"] == "4" and "transfer-encoding" not in seen["headers"]


def test_a_content_type_header_overrides_the_type_of_the_file(run, httpserver, files):
    files.write("a.bin", b"x")
    seen = send(run, echoing(httpserver), body_type="file", body="a.bin", headers={"content-type": "text/mine"})
    assert seen["headers"]["content-type"] == "text/mine"


def test_an_empty_file_is_sent(run, httpserver, files):
    files.write("a.txt", b"")
    assert send(run, echoing(httpserver), body_type="file", body="a.txt")["headers"]["content-length"] == "0"


@pytest.mark.parametrize(
    ("name", "content_type"),
    [("a.json", "application/json"), ("a.tar.gz", "application/gzip"), ("a", "application/octet-stream"),
     ("a.b.unknown", "application/octet-stream"), ("a.txt.xz", "application/octet-stream")],
)  # fmt: skip
def test_the_content_type_is_guessed_from_the_file_name(name, content_type):
    assert guess_content_type(name) == content_type


def test_without_a_workspace_there_are_no_files(run, make_ctx, form):
    ctx, _ = make_ctx()
    ctx.files = None
    error = failure(run, {"url": form, "body_type": "file", "body": "a.txt"}, ctx=ctx)
    assert error.message == "files are not available here" and error.permanent


def test_a_query_that_is_not_valid_unicode_is_refused(run, form):
    error = failure(run, {"url": form, "query": {"a": "\ud800"}})
    assert error.message == "query: contains text that is not valid Unicode" and error.permanent


@pytest.mark.parametrize("body_type", ["file", "multipart"])
def test_a_redirected_request_sends_the_file_again(run, httpserver, form, files, body_type):
    files.write("a.txt", b"tea")
    httpserver.expect_request("/old").respond_with_data(status=307, headers={"Location": f"/{body_type}"})
    httpserver.expect_request("/file").respond_with_handler(lambda request: Response(request.get_data()))
    httpserver.expect_request("/multipart").respond_with_handler(lambda request: Response(request.files["a"].read()))
    named = {"body": "a.txt"} if body_type == "file" else {"files": {"a": "a.txt"}}
    assert send(run, address(httpserver, "/old"), body_type=body_type, **named) == "tea"


@pytest.mark.parametrize(("kind", "body", "uploads"), [("file", "a.bin", {}), ("multipart", None, {"a": "a.bin"})])
def test_a_large_file_is_read_in_chunks_and_again_for_a_retry(files, kind, body, uploads):
    files.write("a.bin", bytes(900_000))
    with ExitStack() as stack:
        made = encode(body, kind, uploads, files, stack)
        sizes = [len(piece) for piece in made.content]
        assert max(sizes) == 64 * 1024 and sum(sizes) == int(made.headers["Content-Length"]) >= 900_000
        assert [len(piece) for piece in made.content] == sizes


def test_a_file_that_grows_while_it_is_sent_keeps_its_first_size(tmp_path):
    (tmp_path / "a").write_bytes(b"one")
    with (tmp_path / "a").open("rb") as file:
        sent = FileStream(file, "a")
        with (tmp_path / "a").open("ab") as more:
            more.write(b"two")
        assert b"".join(sent) == b"one" and b"".join(sent) == b"one"


def test_a_file_that_is_truncated_while_it_is_sent_is_a_temporary_failure(tmp_path):
    (tmp_path / "a").write_bytes(b"one")
    with (tmp_path / "a").open("rb") as file:
        sent = FileStream(file, "a")
        (tmp_path / "a").write_bytes(b"")
        with pytest.raises(NodeError, match="'a' was truncated") as caught:
            list(sent)
    assert not caught.value.permanent
