"""Pagination by links, cursors, page numbers and offsets."""

import json

import pytest
from marshmallow import ValidationError
from sites import address, answering, failure, paths, unplaced
from werkzeug import Response

from errors import NodeError
from nodes import REGISTRY, catalogue
from nodes.credentials.keyring import DecryptedCredential
from nodes.http.pagination import PageLocation, PageRequests

ITEMS = list(range(1, 8))


def pages(run, url, options, **more):
    config, context = {"url": url, "pagination": options}, {}
    for key, value in more.items():
        (context if key in ("ctx", "credentials") else config)[key] = value
    return run("http", config, **context)


def refused(run, url, options, **more):
    config = {"url": url, "pagination": options, **{key: more.pop(key) for key in ("query",) if key in more}}
    return failure(run, config, **more)


def queries(httpserver):
    return [request.query_string.decode() for request, _ in httpserver.log]


@pytest.fixture
def numbered(httpserver):
    """An API with page numbers: `page` and `per`, which it limits to 3."""

    def answer(request):
        number, per = int(request.args.get("page", 1)), min(int(request.args.get("per", 3)), 3)
        return {"data": {"list": ITEMS[(number - 1) * per : number * per]}}

    return answering(httpserver, "/numbered", answer)


@pytest.fixture
def offset(httpserver):
    def answer(request):
        at, most = int(request.args["offset"]), min(int(request.args.get("limit", 3)), 3)
        return ITEMS[at : at + most]

    return answering(httpserver, "/offset", answer)


@pytest.fixture
def cursor(httpserver):
    def answer(request):
        body = json.loads(request.get_data() or b"{}")
        at = int(request.args.get("cursor", body.get("start", {"at": 0}).get("at", 0)))
        more = at + 3 < len(ITEMS)
        return {"list": ITEMS[at : at + 3], "meta": {"next": str(at + 3) if more else None}, "at": {"at": at + 3}}

    return answering(httpserver, "/cursor", answer)


# Types of pagination


def test_page_numbers_end_at_an_empty_page(run, httpserver, numbered):
    output = pages(run, numbered + "?x=1", {"type": "page", "items": "data.list"})
    assert (output["body"], output["pages"], output["truncated"], output["status"]) == (ITEMS, 4, False, 200)
    assert queries(httpserver) == [f"x=1&page={number}" for number in (1, 2, 3, 4)]


def test_page_numbers_end_at_a_page_that_is_not_full(run, httpserver, numbered):
    options = {"type": "page", "items": "data.list", "size": 2, "size_param": "per", "start": 1}
    assert pages(run, numbered, options)["body"] == ITEMS
    assert queries(httpserver)[-1] == "page=4&per=2"


def test_the_first_page_number_can_be_set(run, httpserver, numbered):
    options = {"type": "page", "param": "page", "start": 3, "items": "data.list"}
    assert pages(run, numbered, options, query={"page": 9, "y": "a b"})["body"] == [7]
    assert queries(httpserver)[0] == "y=a+b&page=3"


def test_an_offset_grows_by_the_number_of_received_items(run, httpserver, offset):
    assert pages(run, offset, {"type": "offset"})["body"] == ITEMS
    assert queries(httpserver) == ["offset=0", "offset=3", "offset=6", "offset=7"]


def test_an_offset_can_have_a_page_size(run, httpserver, offset):
    output = pages(run, offset, {"type": "offset", "size": 3, "size_param": "limit"})
    assert (output["body"], output["pages"]) == (ITEMS, 3)


def test_a_cursor_leads_to_the_next_page(run, httpserver, cursor):
    output = pages(run, cursor, {"type": "cursor", "path": "meta.next", "items": "list"}, query={"a": 1})
    assert (output["body"], output["pages"]) == (ITEMS, 3)
    assert queries(httpserver) == ["a=1", "a=1&cursor=3", "a=1&cursor=6"]


@pytest.mark.parametrize("end", [None, "", False])
def test_an_empty_cursor_ends_the_pages(run, httpserver, end):
    url = answering(httpserver, "/", {"list": [1], "next": end})
    assert pages(run, url, {"type": "cursor", "path": "next", "items": "list"})["pages"] == 1


def test_the_last_items_id_can_be_the_cursor(run, httpserver):
    def answer(request):
        after = int(request.args.get("starting_after", 0))
        return {"data": [{"id": id_} for id_ in ITEMS if id_ > after][:3]}

    options = {"type": "cursor", "path": "data[-1].id", "param": "starting_after", "items": "data"}
    output = pages(run, answering(httpserver, "/", answer), options)
    assert [item["id"] for item in output["body"]] == ITEMS and output["pages"] == 4


def test_a_cursor_can_be_sent_in_the_body(run, httpserver):
    def answer(request):
        asked = json.loads(request.get_data())
        at = asked.get("start_cursor", 0)
        assert asked["filter"] == "tea"
        return {"results": ITEMS[at : at + 4], "next_cursor": at + 4 if at + 4 < len(ITEMS) else None}

    options = {"type": "cursor", "path": "next_cursor", "param": "start_cursor", "place": "body", "items": "results"}
    output = pages(run, answering(httpserver, "/", answer), options, method="POST", body={"filter": "tea"})
    assert output["body"] == ITEMS


def test_a_page_number_in_the_body_requires_an_object(run, httpserver):
    url = answering(httpserver, "/", [1])
    error = refused(run, url, {"type": "page", "place": "body"})
    assert error.message.startswith("page 2: the page equals the previous one")
    config = {"url": url, "body": [1], "pagination": {"type": "page", "place": "body"}}
    assert failure(run, config).message == "pagination.place: the body must be an object"


LINKS = [
    lambda number: f"/linked?page={number}",
    lambda number: f"?page={number}",
    lambda number: f"linked?page={number}",
]


@pytest.mark.parametrize("link", LINKS)
def test_a_link_in_the_body_leads_to_the_next_page(run, httpserver, link):
    def answer(request):
        number = int(request.args.get("page", 1))
        return {"list": [number], "@odata.nextLink": link(number + 1) if number < 3 else None}

    options = {"type": "next_link", "path": '"@odata.nextLink"', "items": "list"}
    output = pages(run, answering(httpserver, "/linked", answer), options, query={"per": 1})
    assert (output["body"], output["pages"]) == ([1, 2, 3], 3)
    assert queries(httpserver) == ["per=1", "page=2", "page=3"]


@pytest.mark.parametrize(
    "header",
    [
        '<{url}>; rel="next"',
        '</other>; rel="prev", <{url}>; rel=next',
        '</a,b;c>; rel="last"; title="next; rel=next", <{url}>; title="a, b"; rel="foo NEXT"',
        "<{url}>;rel=next,</last>;rel=last",
    ],
)
def test_a_link_in_the_header_leads_to_the_next_page(run, httpserver, header):
    def answer(request):
        if request.args.get("page"):
            return Response("[2]", content_type="application/json", headers={"Link": '</linked>; rel="first"'})
        link = header.format(url=address(httpserver, "/linked?page=2"))
        return Response("[1]", content_type="application/json", headers={"Link": link})

    httpserver.expect_request("/linked").respond_with_handler(answer)
    output = pages(run, address(httpserver, "/linked"), {"type": "next_link"})
    assert (output["body"], output["pages"]) == ([1, 2], 2)


def test_the_user_of_the_url_is_sent_for_the_next_page(run, httpserver):
    def answer(request):
        assert request.authorization.username == "me"
        return {"list": [1], "next": None if request.args else address(httpserver, "/?page=2")}

    url = answering(httpserver, "/", answer).replace("http://", "http://me:secret@")
    assert pages(run, url, {"type": "next_link", "path": "next", "items": "list"})["pages"] == 2


def test_the_credential_is_sent_for_every_page(run, httpserver, cursor):
    options = {"type": "cursor", "path": "meta.next", "items": "list"}
    credentials = {"key": ("http_bearer", {"token": "t"}, ["127.0.0.1"])}
    assert pages(run, cursor, options, credential="key", credentials=credentials)["pages"] == 3
    assert {request.headers["Authorization"] for request, _ in httpserver.log} == {"Bearer t"}


def test_each_page_has_its_own_idempotency_key(run, httpserver, cursor):
    pages(run, cursor, {"type": "cursor", "path": "meta.next", "items": "list"}, method="POST")
    keys = [request.headers["Idempotency-Key"] for request, _ in httpserver.log]
    assert keys == ["run:node:0", "run:node:0:2", "run:node:0:3"]


# Limits


@pytest.mark.parametrize(
    ("limits", "body", "number", "truncated"),
    [
        ({"max_pages": 2}, ITEMS[:6], 2, True),
        ({"max_items": 4}, ITEMS[:4], 2, True),
        ({"max_items": 6}, ITEMS[:6], 2, True),
        ({"max_items": 7}, ITEMS, 3, False),
        ({"max_pages": 3}, ITEMS, 3, False),
    ],
)
def test_truncation_is_in_the_output_and_in_the_log(run, make_ctx, cursor, limits, body, number, truncated):
    ctx, lines = make_ctx()
    output = pages(run, cursor, {"type": "cursor", "path": "meta.next", "items": "list", **limits}, ctx=ctx)
    assert (output["body"], output["pages"], output["truncated"]) == (body, number, truncated)
    assert [level for level, _, _ in lines] == ["warning"] * truncated
    assert all(f"{number} pages were read; there are more" in message for _, message, _ in lines)


def test_the_size_of_all_pages_together_is_limited(run, httpserver):
    url = answering(httpserver, "/", lambda request: [request.args["page"] * 20_000])
    error = refused(run, url, {"type": "page"})
    assert error.message == "page 3: all pages together have more than 50000 bytes; set max_items" and error.permanent


@pytest.mark.parametrize("link", ["/", "/?page=2"])
def test_a_repeated_link_is_a_failure(run, httpserver, link):
    url = answering(httpserver, "/", {"list": [1], "next": link})
    error = refused(run, url, {"type": "next_link", "path": "next", "items": "list"})
    assert "repeat endlessly" in error.message and error.permanent
    assert len(httpserver.log) <= 2


def test_a_repeated_cursor_is_a_failure(run, httpserver):
    url = answering(httpserver, "/", {"list": [1], "next": "a"})
    error = refused(run, url, {"type": "cursor", "path": "next", "items": "list"})
    assert error.message == "page 2: the cursor to the next page was used before: the pages repeat endlessly"


def test_a_page_parameter_that_the_api_ignores_is_a_failure(run, httpserver):
    error = refused(run, answering(httpserver, "/", [1, 2]), {"type": "page", "param": "p"})
    assert error.message == "page 2: the page equals the previous one: the API seems to ignore p"


# Hosts of links


@pytest.mark.parametrize(
    ("link", "host"),
    [
        ("http://b.example/x", "b.example"),
        ("//b.example/x", "b.example"),
        ("http://127.0.0.1:1/x", "127.0.0.1"),
        ("https://127.0.0.1/x", "127.0.0.1"),
        ("http://me@b.example/x", "b.example"),
    ],
)
def test_a_link_to_another_host_is_refused(run, httpserver, link, host):
    url = answering(httpserver, "/", {"list": [1], "next": link})
    error = refused(run, url, {"type": "next_link", "path": "next", "items": "list"})
    assert error.message == f"page 1: the link to the next page leads from 127.0.0.1 to another host, {host}"
    assert error.permanent and len(httpserver.log) == 1


@pytest.mark.parametrize("link", ["ftp://127.0.0.1/", "file:///etc/passwd", "http://[::1", "\x00"])
def test_an_invalid_link_is_refused(run, httpserver, link):
    url = answering(httpserver, "/", {"list": [1], "next": link})
    assert refused(run, url, {"type": "next_link", "path": "next", "items": "list"}).permanent
    assert len(httpserver.log) == 1


def resolve(first, link, hosts=()):
    found = DecryptedCredential("key", "http_bearer", {"token": "t"}, tuple(hosts)) if hosts else None
    options = {"type": "next_link", "max_pages": 2}
    return PageRequests(options, PageLocation(first, None), None, 100, found)._resolve(first, link)


def test_an_http_link_from_an_https_page_is_followed_by_https():
    assert resolve("https://a.example/x", "http://a.example/y") == "https://a.example/y"
    assert resolve("http://a.example/x", "https://a.example/y") == "https://a.example/y"


@pytest.mark.parametrize("link", ["http://a.example:8000/y", "https://b.example/y", "http://b.example/y"])
def test_a_link_to_another_port_or_an_unbound_host_is_refused(link):
    with pytest.raises(NodeError, match="leads from a.example"):
        resolve("https://a.example/x", link, ["a.example"])


def test_a_link_to_another_bound_host_is_followed():
    assert resolve("https://a.example/", "https://b.example/y", ["a.example", "b.example"]) == "https://b.example/y"


# Failures


def test_the_error_of_a_failed_page_has_its_number(run, httpserver, make_ctx):
    url = answering(httpserver, "/", [1], [2], (503, {"Content-Type": "text/plain", "Retry-After": "99"}, "no"))
    error = refused(run, url, {"type": "page"})
    assert unplaced(error.message) == "page 3: GET 127.0.0.1 answered 503 SERVICE UNAVAILABLE and asks to wait 99 s: no"
    assert (error.permanent, error.retry_after) == (False, 99)


@pytest.mark.parametrize(
    ("body", "options", "message"),
    [
        ({"b": [1], "a": [2], "c": 3}, {}, "the body is not a list; set pagination.items to the path of the list: "
                                           "a, b"),
        (5, {}, "the body is not a list; set pagination.items to the path of the list"),
        ({"a": [1]}, {"items": "b"}, "pagination.items: there is no list at b"),
        ({"a": {"b": 1}}, {"items": "a"}, "pagination.items: there is no list at a"),
        ({"a": [1], "n": 5}, {"items": "a", "type": "next_link", "path": "n"},
         "pagination.path: the value is not a link"),
        ({"a": [1], "n": {"x": 1}}, {"items": "a", "type": "cursor", "path": "n"},
         "pagination.path: the value is not a cursor"),
        ({"a": [1], "n": True}, {"items": "a", "type": "cursor", "path": "n"},
         "pagination.path: the value is not a cursor"),
        ((200, {}, "tea"), {}, "GET 127.0.0.1 answered 200 with a body that is not JSON"),
    ],
)  # fmt: skip
def test_a_page_that_does_not_match_the_config_is_a_failure(run, httpserver, body, options, message):
    error = refused(run, answering(httpserver, "/", body), {"type": "page", **options})
    assert unplaced(error.message) == f"page 1: {message}" and error.permanent


def test_a_page_without_the_list_ends_the_pages(run, httpserver):
    url = answering(httpserver, "/", {"list": [1]}, {"total": 1})
    assert pages(run, url, {"type": "page", "items": "list"})["body"] == [1]


def test_a_cancelled_run_requests_no_more_pages(run, httpserver, numbered, make_ctx):
    ctx, _ = make_ctx()

    def stop(seconds):
        if len(httpserver.log) == 2:
            raise NodeError("cancelled by me", permanent=True)

    ctx.pause = stop
    error = refused(run, numbered, {"type": "page", "items": "data.list"}, ctx=ctx)
    assert error.message == "page 3: cancelled by me" and paths(httpserver) == ["/numbered"] * 2


# The config


@pytest.mark.parametrize(
    ("options", "key"),
    [
        ({}, "type"),
        ({"type": "magic"}, "type"),
        ({"type": "cursor"}, "path"),
        ({"type": "cursor", "path": "a["}, "path"),
        ({"type": "page", "items": "a b"}, "items"),
        ({"type": "page", "path": "a"}, "path"),
        ({"type": "next_link", "param": "a"}, "param"),
        ({"type": "cursor", "path": "a", "size": 5}, "size"),
        ({"type": "page", "size_param": "per"}, "size"),
        ({"type": "page", "size": 0}, "size"),
        ({"type": "page", "size": "5"}, "size"),
        ({"type": "page", "start": -1}, "start"),
        ({"type": "page", "max_pages": 1001}, "max_pages"),
        ({"type": "page", "max_items": 0}, "max_items"),
        ({"type": "page", "place": "header"}, "place"),
        ({"type": "page", "more": 1}, "more"),
    ],
)
def test_the_error_for_an_invalid_option_names_it(options, key):
    with pytest.raises(ValidationError) as caught:
        REGISTRY["http"].Config().load({"url": "https://a.example", "pagination": options})
    assert list(caught.value.messages["pagination"]) == [key]


@pytest.mark.parametrize("response", ["text", "file"])
def test_pagination_refuses_responses_as_text_or_file(response):
    with pytest.raises(ValidationError) as caught:
        REGISTRY["http"].Config().load(
            {"url": "https://a.example", "pagination": {"type": "page"}, "response": response}
        )
    assert "response" in caught.value.messages


def test_the_catalogue_describes_the_options_for_forms():
    (entry,) = [entry for entry in catalogue() if entry["type"] == "http"]
    schema = entry["config_schema"]["properties"]["pagination"]
    assert schema["x-literal"] and schema["additionalProperties"] is False and schema["required"] == ["type"]
    assert schema["properties"]["type"]["enum"] == ["next_link", "cursor", "page", "offset"]
    assert all(field["description"] for field in schema["properties"].values())
