"""The tool `http_request`: the hosts it may call, the requests it sends, and the answers a model reads."""

import gzip
import json
import socket
import time

import pytest
from node_contexts import Spec, called
from sites import address, answering, echoing, paths, silent
from werkzeug import Response

from errors import NodeError
from packs.agents.tools.base import find_issues

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


# Answers


def test_a_json_answer_is_parsed(tools, httpserver):
    url = answering(httpserver, "/orders", {"id": 7, "total": 2.5})
    answer = ask(tools(Spec("http")), url)
    assert (answer["status"], answer["url"], answer["body"]) == (200, url, {"id": 7, "total": 2.5})
    assert answer["headers"]["content-type"] == "application/json" and "server" not in answer["headers"]


def test_malformed_json_is_returned_as_text(tools, httpserver):
    url = answering(httpserver, "/", (200, {"Content-Type": "application/json"}, "{oh no"))
    assert ask(tools(Spec("http")), url)["body"] == "{oh no"


def test_an_error_status_is_returned_as_an_answer(tools, httpserver):
    url = answering(httpserver, "/", (404, {"Content-Type": "text/plain"}, "no such order"))
    answer = ask(tools(Spec("http")), url)
    assert (answer["status"], answer["body"]) == (404, "no such order")


def test_a_429_answer_is_returned_without_waiting(tools, httpserver):
    url = answering(httpserver, "/", (429, {"Retry-After": "30"}, "later"))
    assert ask(tools(Spec("http")), url)["headers"]["retry-after"] == "30"


def test_an_html_page_is_returned_as_text_with_links(tools, httpserver):
    html = """<html><head><title>Prices</title><script>let a = 1</script></head><body><nav><a href="/">Home</a></nav>
    <h1>Tea &amp; more</h1><p>Ask <a href="/contact?a=1">us</a>.</p><ul><li>green<li>black</ul>
    <table><tr><th>tea<th>price<tr><td>green<td>2.50 €</table></body></html>"""
    body = ask(tools(Spec("http")), page(httpserver, html))["body"]
    link = address(httpserver, "/contact?a=1")
    assert body == (f"# Prices\n\n# Tea & more\n\nAsk [us]({link}).\n\n- green\n- black\n\ntea | price\ngreen | 2.50 €")


def test_the_charset_is_read_from_the_page(tools, httpserver):
    html = '<html><head><meta charset="windows-1252"></head><p>Zoë – 5 €'.encode("windows-1252")
    assert ask(tools(Spec("http")), page(httpserver, html, content_type="text/html"))["body"] == "Zoë – 5 €"


def test_binary_content_is_not_shown(tools, httpserver):
    httpserver.expect_request("/a").respond_with_data(b"\x89PNG\0\xff", content_type="image/png")
    body = ask(tools(Spec("http")), address(httpserver, "/a"))["body"]
    assert body == {"content_type": "image/png", "size": 6, "note": "the content is not text"}


def test_head_returns_headers_without_a_body(tools, httpserver):
    url = answering(httpserver, "/", (200, {"ETag": "abc", "Content-Type": "text/html"}, "<p>much"))
    answer = ask(tools(Spec("http")), url, method="HEAD")
    assert (answer["headers"]["etag"], answer["body"]) == ("abc", "")


# Permitted methods, hosts and redirects


def test_methods_default_to_get_and_head(tools):
    made = tools(Spec("http"))["http_request"]
    assert made.parameters["properties"]["method"]["enum"] == ["GET", "HEAD"]
    assert "body" not in made.parameters["properties"]
    assert find_issues(made, {"url": "https://a.example", "method": "POST"}) != []
    assert find_issues(made, {"url": "https://a.example", "body": 1}) != []
    assert "GET or HEAD" in made.description
    other = tools(Spec("http", {"methods": ["post"]}))["http_request"]
    assert other.parameters["properties"]["method"]["enum"] == ["POST"]
    assert other.parameters["required"] == ["method", "url"]


def test_an_unknown_method_is_rejected(tools):
    with pytest.raises(NodeError, match="'CONNECT' must be one of: GET, POST"):
        tools(Spec("http", {"methods": ["CONNECT"]}))


def test_only_get_and_head_calls_may_be_repeated(tools):
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
def test_forbidden_addresses_are_rejected(tools, url):
    assert "may not be reached" in fails(tools(Spec("http")), url).message


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://a.example/", "a.example", "http:///a", "javascript:1"])
def test_a_url_that_is_not_http_is_rejected(tools, url):
    assert "must begin with http" in fails(tools(Spec("http")), url).message


def test_only_the_configured_hosts_may_be_called(tools, httpserver, names):
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


def test_a_configured_host_matches_its_unicode_and_punycode_forms(tools):
    for name in ("bücher.example", "xn--bcher-kva.example", "BÜCHER.example."):
        toolbox = tools(Spec("http", {"hosts": [name]}))
        for host in ("bücher.example", "xn--bcher-kva.example"):
            assert "cannot be resolved" in fails(toolbox, f"http://{host}/").message


@pytest.mark.parametrize("name", ["a b", "", "http://a.example", "a.example/x", "user@a.example:99999"])
def test_an_invalid_host_name_is_rejected_at_creation(tools, name):
    with pytest.raises(NodeError, match="is not a host name"):
        tools(Spec("http", {"hosts": [name]}))


def test_the_description_lists_at_most_20_hosts(tools):
    hosts = [f"h{number}.example" for number in range(500)]
    made = tools(Spec("http", {"hosts": hosts}))["http_request"]
    assert "h19.example or 480 others" in made.description and len(made.description) < 1_000


@pytest.mark.parametrize("form", ["http://a.example@127.0.0.1:{}/", "http://127.0.0.1:{}#@a.example/"])
def test_a_misleading_url_is_checked_by_its_real_host(tools, httpserver, form):
    toolbox = tools(Spec("http", {"hosts": ["a.example"]}))
    assert "127.0.0.1 is not permitted" in fails(toolbox, form.format(httpserver.port)).message


def test_a_forbidden_host_header_is_rejected(tools, httpserver):
    toolbox = tools(Spec("http", {"hosts": ["127.0.0.1"]}))
    error = fails(toolbox, echoing(httpserver), headers={"Host": "internal.example"})
    assert "internal.example is not permitted" in error.message and httpserver.log == []


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_to_a_forbidden_host_is_not_followed(tools, httpserver, names, status):
    names["b.example"] = ["127.0.0.1"]
    url = answering(httpserver, "/", (status, {"Location": f"http://b.example:{httpserver.port}/secret"}, ""))
    error = fails(tools(Spec("http", {"hosts": ["127.0.0.1"]})), url)
    assert "b.example is not permitted" in error.message and paths(httpserver) == ["/"]


def test_a_redirect_to_a_forbidden_address_is_not_followed(tools, httpserver):
    url = answering(httpserver, "/", (302, {"Location": f"http://127.0.0.2:{httpserver.port}/"}, ""))
    assert "may not be reached" in fails(tools(Spec("http")), url).message


def test_a_redirect_to_a_permitted_host_is_followed(tools, httpserver):
    answering(httpserver, "/new", {"ok": True})
    url = answering(httpserver, "/old", (302, {"Location": "/new"}, ""))
    answer = ask(tools(Spec("http", {"hosts": ["127.0.0.1"]})), url)
    assert answer["url"] == address(httpserver, "/new") and answer["body"] == {"ok": True}


# Body, headers and credentials of a request


def test_the_body_is_sent_as_json_or_as_text(tools, httpserver):
    toolbox, url = tools(Spec("http", {"methods": ["POST"]})), echoing(httpserver)
    seen = ask(toolbox, url, method="POST", body={"a": "é"}, headers={"X-A": "1"})["body"]
    assert json.loads(seen["body"]) == {"a": "é"} and seen["headers"]["content-type"] == "application/json"
    assert seen["headers"]["x-a"] == "1"
    seen = ask(toolbox, url, method="POST", body="a,b", headers={"Content-Type": "text/csv"})["body"]
    assert seen["body"] == "a,b" and seen["headers"]["content-type"] == "text/csv"


def test_a_repeated_call_sends_the_same_idempotency_key(tools, httpserver):
    toolbox, url = tools(Spec("http", {"methods": ["POST"]})), echoing(httpserver)
    for _ in range(2):
        assert ask(toolbox, url, mark="run:3", method="POST")["body"]["headers"]["idempotency-key"] == "run:3"
    assert "is set automatically" in fails(toolbox, url, method="POST", headers={"idempotency-KEY": "x"}).message


@pytest.mark.parametrize(
    "headers",
    [{"X-A": "a\r\nX-B: b"}, {"X A": "1"}, {"": "1"}, {"Content-Length": "5"}, {"Transfer-Encoding": "chunked"}],
)
def test_headers_that_alter_the_request_framing_are_rejected(tools, httpserver, headers):
    assert "header" in fails(tools(Spec("http")), echoing(httpserver), headers=headers).message
    assert httpserver.log == []


def test_invalid_and_oversized_arguments_are_rejected(tools):
    made = tools(Spec("http", {"methods": ["POST"]}))["http_request"]
    good = {"method": "POST", "url": "https://a.example"}
    assert find_issues(made, {**good, "headers": {f"h{number}": "" for number in range(31)}}) != []
    assert find_issues(made, {**good, "headers": {"a": "x" * 4_001}}) != []
    assert find_issues(made, {**good, "headers": {"a": 1}}) != []
    assert find_issues(made, {**good, "url": "https://a.example/" + "x" * 8_000}) != []
    assert "body exceeds the limit" in fails({"http_request": made}, **{**good, "body": "x" * 100_001}).message


def bearer(hosts):
    return {"shop": ("http_bearer", {"token": TOKEN}, hosts)}


def test_a_credential_is_sent_and_redacted_from_the_answer(tools, httpserver):
    toolbox = tools(Spec("http", {"credential": "shop"}), credentials=bearer(("127.0.0.1",)))
    answer = ask(toolbox, echoing(httpserver))
    assert answer["body"]["headers"]["authorization"] == f"Bearer {TOKEN}"
    # The tool returns the token. The agent loop redacts the answer with the keyring, as here.
    assert TOKEN not in json.dumps(tools.ctx.keyring.clean_data(answer))
    assert TOKEN not in str(toolbox["http_request"])


def test_the_caller_of_an_agent_can_supply_the_credential(tools, httpserver):
    toolbox = tools(Spec("http"), credentials=bearer(("127.0.0.1",)), lent={"http": "shop"})
    assert ask(toolbox, echoing(httpserver))["body"]["headers"]["authorization"] == f"Bearer {TOKEN}"


@pytest.mark.parametrize("hosts", [(), ("a.example",)])
def test_a_host_outside_the_credential_binding_is_not_called(tools, httpserver, hosts):
    error = fails(tools(Spec("http", {"credential": "shop"}), credentials=bearer(hosts)), echoing(httpserver))
    assert "'shop' may not be sent to 127.0.0.1" in error.message and httpserver.log == []


def test_a_missing_or_wrong_credential_is_rejected_at_creation(tools):
    with pytest.raises(NodeError, match="there is no credential 'shop'"):
        tools(Spec("http", {"credential": "shop"}))
    with pytest.raises(NodeError, match="is of type smtp"):
        tools(Spec("http", {"credential": "shop"}), credentials={"shop": ("smtp", {"host": "a.example"})})


def test_a_redirect_to_another_port_does_not_get_the_credential(tools, httpserver):
    other = socket.create_server(("127.0.0.1", 0))
    url = answering(httpserver, "/", (302, {"Location": f"http://127.0.0.1:{other.getsockname()[1]}/"}, ""))
    toolbox = tools(Spec("http", {"credential": "shop"}), credentials=bearer(("127.0.0.1",)), seconds=0.5)
    assert "no complete answer" in fails(toolbox, url).message
    connection, _ = other.accept()
    received = connection.recv(10_000).decode()
    connection.close()
    other.close()
    assert received.startswith("GET / ") and TOKEN not in received


# Misbehaving servers


def test_a_silent_server_times_out(tools):
    listener, url = silent()
    began = time.monotonic()
    with listener:
        assert "no complete answer within" in fails(tools(Spec("http"), seconds=0.4), url).message
    assert time.monotonic() - began < 15


def test_an_endless_answer_is_rejected(tools, httpserver):
    endless = (b"x" * 10_000 for _ in range(1_000_000))
    httpserver.expect_request("/").respond_with_handler(lambda request: Response(endless, mimetype="text/plain"))
    assert "has more than 50000 bytes" in fails(tools(Spec("http")), address(httpserver)).message


def test_a_decompression_bomb_is_rejected(tools, httpserver):
    packed = gzip.compress(b" " * 50_000_000)
    headers = {"Content-Encoding": "gzip", "Content-Type": "text/html"}
    httpserver.expect_request("/").respond_with_data(packed, headers=headers)
    assert "has more than 50000 bytes" in fails(tools(Spec("http")), address(httpserver)).message


def test_a_long_answer_is_truncated_for_the_model(tools, httpserver):
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
def test_a_page_designed_to_parse_slowly_is_read_in_time(tools, httpserver, html):
    began = time.monotonic()
    shown = ask(tools(Spec("http"), seconds=8), page(httpserver, html + "x"))
    assert time.monotonic() - began < 10
    assert shown["status"] == 200 and len(json.dumps(shown)) < 25_000


def test_deeply_nested_json_is_truncated(tools, httpserver):
    url = answering(httpserver, "/", (200, {"Content-Type": "application/json"}, "[" * 20_000 + "]" * 20_000))
    assert len(json.dumps(ask(tools(Spec("http")), url))) < 25_000


def test_answer_headers_are_limited(tools, httpserver):
    url = answering(httpserver, "/", (200, {"ETag": "x" * 5_000, "X-Other": "1"}, "a"))
    headers = ask(tools(Spec("http")), url)["headers"]
    assert len(headers["etag"]) == 500 and "x-other" not in headers
