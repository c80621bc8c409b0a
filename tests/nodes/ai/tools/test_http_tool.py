"""The tool `http_request`: whom it asks, what it tells them, and what a model reads of their answers."""

import gzip
import json
import socket
import time

import pytest
from sites import address, answering, echoing, paths, silent
from toolboxes import Spec, called
from werkzeug import Response

from errors import NodeError
from nodes.ai.tools import find_issues

TOKEN = "t0ken-of-the-shop"


def ask(toolbox, url, **arguments):
    return called(toolbox, "http_request", url=url, **arguments)


def fails(toolbox, url, **arguments):
    with pytest.raises(NodeError) as caught:
        toolbox["http_request"].call({"url": url, **arguments}, "call:1")
    return caught.value


def page(httpserver, html, path="/page", content_type="text/html; charset=utf-8"):
    httpserver.expect_request(path).respond_with_data(html, content_type=content_type)
    return address(httpserver, path)


# What it answers


def test_json_is_handed_on_as_data(tools, httpserver):
    url = answering(httpserver, "/orders", {"id": 7, "total": 2.5})
    answer = ask(tools(Spec("http")), url)
    assert (answer["status"], answer["url"], answer["body"]) == (200, url, {"id": 7, "total": 2.5})
    assert answer["headers"]["content-type"] == "application/json" and "server" not in answer["headers"]


def test_json_that_is_none_is_text(tools, httpserver):
    url = answering(httpserver, "/", (200, {"Content-Type": "application/json"}, "{oh no"))
    assert ask(tools(Spec("http")), url)["body"] == "{oh no"


def test_a_status_that_is_an_error_is_an_answer_too(tools, httpserver):
    url = answering(httpserver, "/", (404, {"Content-Type": "text/plain"}, "no such order"))
    answer = ask(tools(Spec("http")), url)
    assert (answer["status"], answer["body"]) == (404, "no such order")


def test_a_server_that_asks_to_wait_is_not_waited_for(tools, httpserver):
    url = answering(httpserver, "/", (429, {"Retry-After": "30"}, "later"))
    assert ask(tools(Spec("http")), url)["headers"]["retry-after"] == "30"


def test_a_page_is_read_as_text_with_its_links(tools, httpserver):
    html = """<html><head><title>Prices</title><script>let a = 1</script></head><body><nav><a href="/">Home</a></nav>
    <h1>Tea &amp; more</h1><p>Ask <a href="/contact?a=1">us</a>.</p><ul><li>green<li>black</ul>
    <table><tr><th>tea<th>price<tr><td>green<td>2.50 €</table></body></html>"""
    body = ask(tools(Spec("http")), page(httpserver, html))["body"]
    link = address(httpserver, "/contact?a=1")
    assert body == (f"# Prices\n\n# Tea & more\n\nAsk [us]({link}).\n\n- green\n- black\n\ntea | price\ngreen | 2.50 €")


def test_a_page_says_itself_in_which_charset_it_is(tools, httpserver):
    html = '<html><head><meta charset="windows-1252"></head><p>Zoë – 5 €'.encode("windows-1252")
    assert ask(tools(Spec("http")), page(httpserver, html, content_type="text/html"))["body"] == "Zoë – 5 €"


def test_what_is_no_text_is_not_shown(tools, httpserver):
    httpserver.expect_request("/a").respond_with_data(b"\x89PNG\0\xff", content_type="image/png")
    body = ask(tools(Spec("http")), address(httpserver, "/a"))["body"]
    assert body == {"content_type": "image/png", "size": 6, "note": "the content is not text"}


def test_head_gives_the_headers_alone(tools, httpserver):
    url = answering(httpserver, "/", (200, {"ETag": "abc", "Content-Type": "text/html"}, "<p>much"))
    answer = ask(tools(Spec("http")), url, method="HEAD")
    assert (answer["headers"]["etag"], answer["body"]) == ("abc", "")


# What it may ask


def test_only_get_and_head_are_there_unless_the_spec_names_others(tools):
    made = tools(Spec("http"))["http_request"]
    assert made.parameters["properties"]["method"]["enum"] == ["GET", "HEAD"]
    assert "body" not in made.parameters["properties"]
    assert find_issues(made, {"url": "https://a.example", "method": "POST"}) != []
    assert find_issues(made, {"url": "https://a.example", "body": 1}) != []
    assert "GET or HEAD" in made.description
    other = tools(Spec("http", {"methods": ["post"]}))["http_request"]
    assert other.parameters["properties"]["method"]["enum"] == ["POST"]
    assert other.parameters["required"] == ["method", "url"]


def test_a_method_that_there_is_not_is_an_error(tools):
    with pytest.raises(NodeError, match="'CONNECT' must be one of: GET, POST"):
        tools(Spec("http", {"methods": ["CONNECT"]}))


def test_a_call_may_be_repeated_where_it_changes_nothing(tools):
    made = tools(Spec("http", {"methods": ["GET", "POST"]}))["http_request"]
    assert made.may_repeat({"url": "a"}) and made.may_repeat({"url": "a", "method": "HEAD"})
    assert not made.may_repeat({"url": "a", "method": "POST"})


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.2:1/",
        "http://[::1]:1/",
        "http://2130706434:1/",
        "http://0x7f.0.0.2:1/",
        "http://169.254.169.254/latest/meta-data/",
        "http://10.0.0.1/",
    ],
)
def test_addresses_that_the_server_may_not_reach_are_refused(tools, url):
    assert "may not be reached" in fails(tools(Spec("http")), url).message


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://a.example/", "a.example", "http:///a", "javascript:1"])
def test_what_is_no_address_of_the_web_is_refused(tools, url):
    assert "must begin with http" in fails(tools(Spec("http")), url).message


def test_hosts_may_be_chosen(tools, httpserver, names):
    names |= {host: ["127.0.0.1"] for host in ("a.example", "shop.b.example", "b.example", "bb.example")}
    url = answering(httpserver, "/", 1)
    toolbox = tools(Spec("http", {"hosts": ["A.example", "*.b.example"]}))
    assert "Permitted: a.example or *.b.example." in toolbox["http_request"].description
    for host in ("a.example", "A.EXAMPLE", "shop.b.example"):
        assert ask(toolbox, url.replace("127.0.0.1", host))["body"] == 1
    httpserver.clear_log()
    for host in ("b.example", "bb.example", "127.0.0.1", "a.example.evil.example", "localhost"):
        error = fails(toolbox, url.replace("127.0.0.1", host))
        assert error.message.endswith("is not permitted; this tool may call a.example or *.b.example")
    assert "no host" in fails(tools(Spec("http", {"hosts": []})), url).message
    assert httpserver.log == []


def test_a_host_is_known_in_each_of_its_spellings(tools):
    for name in ("bücher.example", "xn--bcher-kva.example", "BÜCHER.example."):
        toolbox = tools(Spec("http", {"hosts": [name]}))
        for host in ("bücher.example", "xn--bcher-kva.example"):
            assert "cannot be resolved" in fails(toolbox, f"http://{host}/").message


@pytest.mark.parametrize("name", ["a b", "", "http://a.example", "a.example/x", "user@a.example:99999"])
def test_what_is_no_name_of_a_host_is_an_error_at_once(tools, name):
    with pytest.raises(NodeError, match="is not a host name"):
        tools(Spec("http", {"hosts": [name]}))


def test_many_hosts_make_no_endless_description(tools):
    hosts = [f"h{number}.example" for number in range(500)]
    made = tools(Spec("http", {"hosts": hosts}))["http_request"]
    assert "h19.example or 480 others" in made.description and len(made.description) < 1_000


@pytest.mark.parametrize("form", ["http://a.example@127.0.0.1:{}/", "http://127.0.0.1:{}#@a.example/"])
def test_an_address_that_looks_like_another_is_that_which_is_asked(tools, httpserver, form):
    toolbox = tools(Spec("http", {"hosts": ["a.example"]}))
    assert "127.0.0.1 is not permitted" in fails(toolbox, form.format(httpserver.port)).message


def test_a_header_with_another_host_is_looked_at_too(tools, httpserver):
    toolbox = tools(Spec("http", {"hosts": ["127.0.0.1"]}))
    error = fails(toolbox, echoing(httpserver), headers={"Host": "internal.example"})
    assert "internal.example is not permitted" in error.message and httpserver.log == []


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_leads_to_no_host_that_may_not_be_asked(tools, httpserver, names, status):
    names["b.example"] = ["127.0.0.1"]
    url = answering(httpserver, "/", (status, {"Location": f"http://b.example:{httpserver.port}/secret"}, ""))
    error = fails(tools(Spec("http", {"hosts": ["127.0.0.1"]})), url)
    assert "b.example is not permitted" in error.message and paths(httpserver) == ["/"]


def test_a_redirect_leads_to_no_address_that_may_not_be_reached(tools, httpserver):
    url = answering(httpserver, "/", (302, {"Location": f"http://127.0.0.2:{httpserver.port}/"}, ""))
    assert "may not be reached" in fails(tools(Spec("http")), url).message


def test_a_redirect_within_the_hosts_is_followed(tools, httpserver):
    answering(httpserver, "/new", {"ok": True})
    url = answering(httpserver, "/old", (302, {"Location": "/new"}, ""))
    answer = ask(tools(Spec("http", {"hosts": ["127.0.0.1"]})), url)
    assert answer["url"] == address(httpserver, "/new") and answer["body"] == {"ok": True}


# What it tells


def test_the_body_goes_as_json_or_as_text(tools, httpserver):
    toolbox, url = tools(Spec("http", {"methods": ["POST"]})), echoing(httpserver)
    seen = ask(toolbox, url, method="POST", body={"a": "é"}, headers={"X-A": "1"})["body"]
    assert json.loads(seen["body"]) == {"a": "é"} and seen["headers"]["content-type"] == "application/json"
    assert seen["headers"]["x-a"] == "1"
    seen = ask(toolbox, url, method="POST", body="a,b", headers={"Content-Type": "text/csv"})["body"]
    assert seen["body"] == "a,b" and seen["headers"]["content-type"] == "text/csv"


def test_a_call_is_known_again_by_its_key(tools, httpserver):
    toolbox, url = tools(Spec("http", {"methods": ["POST"]})), echoing(httpserver)
    for _ in range(2):
        assert ask(toolbox, url, mark="run:3", method="POST")["body"]["headers"]["idempotency-key"] == "run:3"
    assert "is set automatically" in fails(toolbox, url, method="POST", headers={"idempotency-KEY": "x"}).message


@pytest.mark.parametrize(
    "headers",
    [{"X-A": "a\r\nX-B: b"}, {"X A": "1"}, {"": "1"}, {"Content-Length": "5"}, {"Transfer-Encoding": "chunked"}],
)
def test_headers_that_would_change_the_request_itself_are_refused(tools, httpserver, headers):
    assert "header" in fails(tools(Spec("http")), echoing(httpserver), headers=headers).message
    assert httpserver.log == []


def test_arguments_have_bounds(tools):
    made = tools(Spec("http", {"methods": ["POST"]}))["http_request"]
    good = {"method": "POST", "url": "https://a.example"}
    assert find_issues(made, {**good, "headers": {f"h{number}": "" for number in range(31)}}) != []
    assert find_issues(made, {**good, "headers": {"a": "x" * 4_001}}) != []
    assert find_issues(made, {**good, "headers": {"a": 1}}) != []
    assert find_issues(made, {**good, "url": "https://a.example/" + "x" * 8_000}) != []
    assert "body exceeds the limit" in fails({"http_request": made}, **{**good, "body": "x" * 100_001}).message


def bearer(hosts):
    return {"shop": ("http_bearer", {"token": TOKEN}, hosts)}


def test_a_credential_goes_along_and_comes_back_nowhere(tools, httpserver):
    toolbox = tools(Spec("http", {"credential": "shop"}), credentials=bearer(("127.0.0.1",)))
    answer = ask(toolbox, echoing(httpserver))
    assert answer["body"]["headers"]["authorization"] == f"Bearer {TOKEN}"
    # Which is for the loop to strike out of what it hands on.
    assert TOKEN not in json.dumps(tools.ctx.keyring.clean_data(answer))
    assert TOKEN not in str(toolbox["http_request"])


def test_who_runs_an_agent_may_give_the_credential(tools, httpserver):
    toolbox = tools(Spec("http"), credentials=bearer(("127.0.0.1",)), lent={"http": "shop"})
    assert ask(toolbox, echoing(httpserver))["body"]["headers"]["authorization"] == f"Bearer {TOKEN}"


@pytest.mark.parametrize("hosts", [(), ("a.example",)])
def test_a_host_that_the_credential_is_not_bound_to_is_not_asked(tools, httpserver, hosts):
    error = fails(tools(Spec("http", {"credential": "shop"}), credentials=bearer(hosts)), echoing(httpserver))
    assert "'shop' may not be sent to 127.0.0.1" in error.message and httpserver.log == []


def test_a_credential_that_is_not_there_or_of_another_type_is_an_error_at_once(tools):
    with pytest.raises(NodeError, match="there is no credential 'shop'"):
        tools(Spec("http", {"credential": "shop"}))
    with pytest.raises(NodeError, match="is of type smtp"):
        tools(Spec("http", {"credential": "shop"}), credentials={"shop": ("smtp", {"host": "a.example"})})


def test_a_redirect_elsewhere_is_not_told_the_credential(tools, httpserver):
    other = socket.create_server(("127.0.0.1", 0))
    url = answering(httpserver, "/", (302, {"Location": f"http://127.0.0.1:{other.getsockname()[1]}/"}, ""))
    toolbox = tools(Spec("http", {"credential": "shop"}), credentials=bearer(("127.0.0.1",)), seconds=0.5)
    assert "no complete answer" in fails(toolbox, url).message
    connection, _ = other.accept()
    asked = connection.recv(10_000).decode()
    connection.close()
    other.close()
    assert asked.startswith("GET / ") and TOKEN not in asked


# Servers that do not behave


def test_a_server_that_says_nothing_holds_nobody(tools):
    listener, url = silent()
    began = time.monotonic()
    with listener:
        assert "no complete answer within" in fails(tools(Spec("http"), seconds=0.4), url).message
    assert time.monotonic() - began < 15


def test_an_answer_without_end_is_refused(tools, httpserver):
    endless = (b"x" * 10_000 for _ in range(1_000_000))
    httpserver.expect_request("/").respond_with_handler(lambda request: Response(endless, mimetype="text/plain"))
    assert "has more than 50000 bytes" in fails(tools(Spec("http")), address(httpserver)).message


def test_an_answer_that_unzips_to_much_is_refused(tools, httpserver):
    packed = gzip.compress(b" " * 50_000_000)
    headers = {"Content-Encoding": "gzip", "Content-Type": "text/html"}
    httpserver.expect_request("/").respond_with_data(packed, headers=headers)
    assert "has more than 50000 bytes" in fails(tools(Spec("http")), address(httpserver)).message


def test_a_long_answer_is_cut_to_what_a_model_can_read(tools, httpserver):
    toolbox = tools(Spec("http"))
    for path, answer in (("/text", (200, {"Content-Type": "text/plain"}, "x" * 49_000)), ("/list", ["item"] * 4_000)):
        shown = ask(toolbox, answering(httpserver, path, answer))
        assert len(json.dumps(shown, ensure_ascii=False)) < 25_000 and "were cut)" in json.dumps(shown)
        assert shown["status"] == 200
    shown = ask(toolbox, page(httpserver, "<p>word</p>" * 4_000))
    assert len(shown["body"]) < 16_000 and shown["body"].endswith("… (the page continues)")


@pytest.mark.slow
@pytest.mark.parametrize(
    "html", ["<div>" * 9_000, "<a><b><i>" * 5_000, "<table><tr><td>" * 3_000, "<p>" + "<font>" * 8_000]
)
def test_a_page_that_is_made_to_be_slow_holds_nobody(tools, httpserver, html):
    began = time.monotonic()
    shown = ask(tools(Spec("http"), seconds=8), page(httpserver, html + "x"))
    assert time.monotonic() - began < 10
    assert shown["status"] == 200 and len(json.dumps(shown)) < 25_000


def test_json_that_is_nested_without_end_is_text(tools, httpserver):
    url = answering(httpserver, "/", (200, {"Content-Type": "application/json"}, "[" * 20_000 + "]" * 20_000))
    assert len(json.dumps(ask(tools(Spec("http")), url))) < 25_000


def test_headers_of_an_answer_have_a_bound(tools, httpserver):
    url = answering(httpserver, "/", (200, {"ETag": "x" * 5_000, "X-Other": "1"}, "a"))
    headers = ask(tools(Spec("http")), url)["headers"]
    assert len(headers["etag"]) == 500 and "x-other" not in headers
