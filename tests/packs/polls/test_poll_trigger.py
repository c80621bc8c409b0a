"""The trigger `poll`: lists of a real server, their keys, cursors, pages and conditional requests."""

import orjson
import pytest
from marshmallow import ValidationError
from sites import address, answering

from errors import NodeError
from nodes import REGISTRY
from packs.polls.node import Entries, make_polled

SECRET = "hunter2hunter2"


@pytest.fixture
def poll(make_ctx):
    """`poll(url, state, **config)` polls once; `poll.lines` is its log."""

    def execute(url, state=None, credentials=None, **config):
        ctx, execute.lines = make_ctx(seconds=30, credentials=credentials)
        node = REGISTRY["poll"]
        polled = node.poll(node.Config().load({"url": url, **config}), state, ctx)
        orjson.dumps(polled.state)
        return polled

    return execute


def keys(polled):
    return [item.key for item in polled.items]


def values(polled):
    return [item.value for item in polled.items]


def test_entries_are_found_oldest_first_with_their_keys(poll, httpserver):
    url = answering(httpserver, "/orders", {"data": {"orders": [{"id": "b"}, {"id": "a"}]}})
    polled = poll(url, items="data.orders")
    assert (keys(polled), polled.whole) == (["a", "b"], True)
    assert values(polled) == [{"id": "a"}, {"id": "b"}]
    assert keys(poll(url, items="data.orders", order="oldest_first")) == ["b", "a"]


def test_a_number_and_a_text_are_different_keys_and_a_list_is_one(poll, httpserver):
    url = answering(httpserver, "/orders", [{"id": 1, "status": "new"}, {"id": "1", "status": "new"}])
    assert len(set(keys(poll(url)))) == 2
    assert len(set(keys(poll(url, key="[id, status]")))) == 2
    assert len(set(keys(poll(url, key="status")))) == 1


def test_with_updates_the_content_belongs_to_the_key(poll, httpserver):
    url = answering(httpserver, "/orders", [{"id": 1, "a": 1}], [{"id": 1, "a": 2}], [{"a": 2, "id": 1}])
    first, second, third = (keys(poll(url, updates=True)) for _ in range(3))
    assert first != second and len(first) == len(third) == 1


@pytest.mark.parametrize(
    ("body", "config", "message"),
    [
        ({"orders": []}, {}, "the body is an object, not a list; set items to the path of the list"),
        ([], {"items": "data"}, "items: the value at data is null, not a list"),
        ([{"number": 7}], {}, "key: there is nothing at id in entry 1; it has: number"),
        ([{"id": None}], {}, "key: there is nothing at id in entry 1"),
        ([7], {}, "key: there is nothing at id in entry 1; it is a number"),
    ],
)
def test_a_list_that_cannot_be_read_is_an_error(poll, httpserver, body, config, message):
    url = answering(httpserver, "/orders", body)
    with pytest.raises(NodeError) as caught:
        poll(url, **config)
    assert message in caught.value.message and caught.value.permanent


def test_an_error_of_the_service_is_not_an_empty_list(poll, httpserver):
    url = answering(httpserver, "/orders", (429, {"Retry-After": "70"}, "[]"))
    with pytest.raises(NodeError) as caught:
        poll(url)
    assert "answered 429" in caught.value.message and caught.value.retry_after == 70


# The state


def test_a_list_is_requested_again_only_if_it_has_changed(poll, httpserver):
    marks = {"ETag": '"one"', "Last-Modified": "Mon, 02 Mar 2026 12:00:00 GMT"}
    url = answering(httpserver, "/orders", (200, marks, '[{"id": 1}]'), (304, {}, ""), (200, {}, '[{"id": 2}]'))
    first = poll(url)
    second = poll(url, first.state)
    assert (keys(second), second.state, second.whole) == ([], first.state, False)
    asked = httpserver.log[1][0].headers
    assert (asked["If-None-Match"], asked["If-Modified-Since"]) == ('"one"', marks["Last-Modified"])
    poll(url + "?other", first.state)
    assert "If-None-Match" not in httpserver.log[2][0].headers


def test_the_largest_cursor_is_the_state_and_orders_the_entries(poll, httpserver):
    pages = [[{"id": 1, "at": "2026-03-02"}, {"id": 2, "at": "2026-03-01"}], [], [{"id": 3, "at": "2026-02-01"}]]
    url = answering(httpserver, "/orders", *pages)
    first = poll(url, cursor="at", order="oldest_first")
    assert [value["id"] for value in values(first)] == [2, 1] and first.state["since"] == "2026-03-02"
    state = first.state
    for _ in pages[1:]:
        state = poll(url, state, cursor="at").state
        assert state["since"] == "2026-03-02"


def test_values_that_cannot_be_compared_are_no_cursor():
    found = [{"id": 1, "at": 7}, {"id": 2, "at": None}, {"id": 3, "at": [1]}, {"id": 4, "at": True}]
    polled = make_polled(found, Entries(cursor="at"), None, True)
    assert polled.state == {"since": 7} and len(polled.items) == 4
    assert (
        make_polled([{"id": 1, "at": "new"}], Entries(cursor="at"), {"since": 7, "a": 1}, True).state["since"] == "new"
    )


def test_each_poll_has_an_idempotency_key_of_its_own(poll, httpserver, monkeypatch):
    url = answering(httpserver, "/orders", [])
    times = iter(range(1, 9))
    monkeypatch.setattr("nodes.base.Context.now_ms", lambda self: next(times))
    for _ in range(2):
        poll(url, method="POST", body={"status": "open"})
    first, second = (request for request, _ in httpserver.log)
    assert first.headers["Idempotency-Key"] != second.headers["Idempotency-Key"] and first.json == {"status": "open"}


# Pages and credentials


def test_the_pages_of_a_list_are_one_list(poll, httpserver):
    pages = [{"orders": [{"id": 1}], "next": "/orders?p=2"}, {"orders": [{"id": 2}], "next": None}]
    url = answering(httpserver, "/orders", *pages)
    polled = poll(url, items="orders", pagination={"type": "next_link", "path": "next"})
    assert len(keys(polled)) == 2 and polled.whole


def test_a_list_with_more_pages_is_not_whole(poll, httpserver):
    url = answering(httpserver, "/orders", [{"id": 1}], [{"id": 2}])
    assert not poll(url, pagination={"type": "page", "max_pages": 1}).whole
    assert "there are more, but the limit is pagination.max_pages (1)" in poll.lines[0][1]


def test_a_credential_is_sent_to_its_hosts_only(poll, httpserver):
    url = answering(httpserver, "/orders", [])
    credentials = {"shop": ("http_query", {"parameters": {"key": SECRET}}, ["127.0.0.1"])}
    poll(url, credentials=credentials, credential="shop")
    assert httpserver.log[0][0].args["key"] == SECRET
    credentials = {"shop": ("http_bearer", {"token": SECRET}, ["api.example.com"])}
    with pytest.raises(NodeError) as caught:
        poll(address(httpserver, "/orders"), credentials=credentials, credential="shop")
    assert "may not be sent to 127.0.0.1" in caught.value.message


@pytest.mark.parametrize(
    "config", [{"every": 1}, {"key": "["}, {"key": ""}, {"items": "a b"}, {"order": "up"}, {"url": "ftp://example.com"}]
)
def test_wrong_settings_are_refused(config):
    with pytest.raises(ValidationError):
        REGISTRY["poll"].Config().load({"url": "https://example.com", **config})


def test_as_a_step_it_outputs_its_input(run):
    assert run("poll", {"url": "https://example.com"}, {"id": 1}) == {"id": 1}
