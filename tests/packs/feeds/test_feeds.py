import gzip
import html
import resource
import socket
import time
from pathlib import Path

import orjson
import pytest
from contract import Case, Contract
from marshmallow import ValidationError
from werkzeug import Response

import engine
from errors import DefinitionError, NodeError
from nodes import REGISTRY
from packs.feeds.node import identify, sort_oldest_first
from parsers import child
from parsers.process import Reader, Unreadable

RSS = '<?xml version="1.0" encoding="utf-8"?><rss version="2.0"><channel><title>T</title>{}</channel></rss>'
ATOM = '<?xml version="1.0" encoding="utf-8"?><feed xmlns="http://www.w3.org/2005/Atom"><title>T</title>{}</feed>'


def item(guid=None, title="A title", link=None, **more):
    """Return an RSS entry: `item("1", pubDate="…")`."""
    given = {"guid": guid, "title": title, "link": link, **more}
    return f"<item>{''.join(f'<{name}>{value}</{name}>' for name, value in given.items() if value is not None)}</item>"


def rss(*items):
    return RSS.format("".join(items))


class Page:
    """A page with the text, status and headers set by the test; `seen` lists the headers of each request."""

    def __init__(self, httpserver):
        self.url = f"http://127.0.0.1:{httpserver.port}/feed.xml"
        self.text, self.status, self.headers, self.seen = "", 200, {}, []
        httpserver.expect_request("/feed.xml").respond_with_handler(self.answer)

    def answer(self, request):
        self.seen.append({name.lower(): value for name, value in request.headers.items()})
        headers = {"Content-Type": "application/rss+xml", **self.headers}
        return Response(self.text, self.status, headers)


@pytest.fixture
def page(httpserver):
    return Page(httpserver)


@pytest.fixture
def poll(make_ctx, page):
    """`poll(state, **config)` polls the page once with the trigger."""

    def execute(state=None, **config):
        ctx, _ = make_ctx(seconds=30)
        node = REGISTRY["rss_trigger"]
        polled = node.poll(node.Config().load({"url": page.url, **config}), state, ctx)
        orjson.dumps(polled.state)
        return polled

    return execute


def keys(polled):
    return [found.key for found in polled.items]


# Entries


def test_an_rss_entry_has_all_its_fields(run, page):
    page.text = rss(
        """<item><guid isPermaLink="false">id-1</guid><title>Fish &amp;amp; &lt;b&gt;chips&lt;/b&gt;</title>
        <link>https://example.com/1?a=1&amp;b=2</link><author>ada@example.com (Ada)</author>
        <description>&lt;p&gt;Hello &lt;a href="/x"&gt;you&lt;/a&gt;&lt;/p&gt;</description>
        <pubDate>Mon, 02 Mar 2026 13:00:00 +0100</pubDate><category>food</category><category>sea</category>
        <enclosure url="https://example.com/1.mp3" length="512" type="audio/mpeg"/></item>"""
    )
    (entry,) = run("rss", {"url": page.url})
    host = page.url.removesuffix("/feed.xml")
    assert entry == {
        "id": "id-1",
        "title": "Fish & chips",
        "link": "https://example.com/1?a=1&b=2",
        "summary": f'<p>Hello <a href="{host}/x" rel="noopener noreferrer">you</a></p>',
        "content": "",
        "author": "ada@example.com (Ada)",
        "published": "2026-03-02T12:00:00Z",
        "updated": None,
        "tags": ["food", "sea"],
        "enclosures": [{"url": "https://example.com/1.mp3", "type": "audio/mpeg", "length": 512}],
    }


def test_an_atom_entry_has_the_same_fields(run, page):
    page.text = ATOM.format(
        """<entry><id>tag:example.com,2026:1</id><title type="text">1 &lt; 2</title>
        <link href="https://example.com/1"/><author><name>Ada</name></author>
        <published>2026-03-02T12:00:00Z</published><updated>2026-03-03T12:00:00+01:00</updated>
        <summary type="text">a &lt;b&gt; c</summary>
        <content type="html">&lt;p onclick="x()"&gt;Hi&lt;/p&gt;&lt;script&gt;x()&lt;/script&gt;</content>
        <category term="news"/></entry>"""
    )
    (entry,) = run("rss", {"url": page.url})
    assert (entry["id"], entry["title"], entry["link"]) == ("tag:example.com,2026:1", "1 < 2", "https://example.com/1")
    assert (entry["author"], entry["tags"], entry["enclosures"]) == ("Ada", ["news"], [])
    assert (entry["published"], entry["updated"]) == ("2026-03-02T12:00:00Z", "2026-03-03T11:00:00Z")
    assert (entry["summary"], entry["content"]) == ("a &lt;b&gt; c", "<p>Hi</p>")


MARKUPS = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "<a href='javascript:alert(1)'>x</a>",
    "<iframe src='https://example.com'></iframe>",
    "<svg><script>alert(1)</script></svg>",
    "<p style='background:url(javascript:alert(1))'>x</p>",
]


def test_html_in_an_entry_is_sanitized(run, page):
    markups = [html.escape(markup) for markup in MARKUPS]
    page.text = rss(*[item(str(at), title=markup, description=markup) for at, markup in enumerate(markups)])
    entries = run("rss", {"url": page.url})
    assert {entry["id"] for entry in entries} == {str(at) for at in range(len(MARKUPS))}
    for entry in entries:
        assert not any(word in entry["summary"] for word in ("alert", "iframe", "javascript", "onerror")), entry
        assert "<" not in entry["title"], entry


def test_relative_links_are_resolved_but_ids_are_not(run, page):
    """The URL of a feed may contain a key. Entries must keep their ids when the key is rotated."""
    page.text = rss(item("7", link="/seven", description='&lt;img src="a.png"&gt;'))
    (entry,) = run("rss", {"url": page.url})
    host = page.url.removesuffix("/feed.xml")
    assert (entry["id"], entry["link"], entry["summary"]) == ("7", f"{host}/seven", f'<img src="{host}/a.png">')


@pytest.mark.parametrize("link", ["javascript:alert(1)", "file:///etc/passwd", "data:text/html,x", "http://[x"])
def test_a_link_that_is_not_http_is_null(run, page, link):
    page.text = rss(item("1", link=link))
    assert run("rss", {"url": page.url})[0]["link"] is None


def test_entries_keep_the_order_of_the_feed_up_to_the_limit(run, page):
    page.text = rss(*(item(str(number)) for number in range(5)))
    assert [entry["id"] for entry in run("rss", {"url": page.url, "limit": 3})] == ["0", "1", "2"]


def test_a_feed_in_another_charset_is_read(run, page):
    page.text = rss(item("1", title="Grüße")).replace("utf-8", "iso-8859-1").encode("iso-8859-1")
    assert run("rss", {"url": page.url})[0]["title"] == "Grüße"


def test_a_compressed_feed_is_read(run, page):
    page.text, page.headers = gzip.compress(rss(item("1")).encode()), {"Content-Encoding": "gzip"}
    assert len(run("rss", {"url": page.url})) == 1


def test_a_lone_surrogate_does_not_break_an_entry(run, page):
    page.text = rss(item("1", title="a&amp;#xD800;b", description="&amp;#xD83D;"))
    (entry,) = run("rss", {"url": page.url})
    assert orjson.loads(orjson.dumps(entry)) == entry


@pytest.mark.parametrize("type_", ["rss", "rss_trigger"])
def test_a_url_that_is_not_http_is_rejected_in_the_definition(type_):
    definition = {"nodes": [{"id": "it", "type": type_, "config": {"url": "example.com/feed"}}]}
    with pytest.raises(DefinitionError, match="config.url: must start with http:// or https://"):
        engine.plan(definition)
    definition["nodes"][0]["config"]["url"] = "{{ vars.url }}"
    engine.plan(definition)


@pytest.mark.parametrize("text", ["<html><body>Hello</body></html>", "", "{}", "hello", "<rss", "\0\0\0"])
def test_a_document_that_is_not_a_feed_is_rejected(run, page, text):
    page.text = text
    with pytest.raises(NodeError, match=r"the response of 127.0.0.1 is not an RSS or Atom feed") as caught:
        run("rss", {"url": page.url})
    assert caught.value.permanent


@pytest.mark.parametrize(("status", "permanent"), [(404, True), (410, True), (401, True), (500, False), (429, False)])
def test_an_error_status_is_a_failure(run, page, status, permanent):
    page.status = status
    with pytest.raises(NodeError, match=rf"GET 127.0.0.1:\d+\S* answered {status}") as caught:
        run("rss", {"url": page.url})
    assert caught.value.permanent == permanent


def test_status_204_is_a_failure_and_not_an_empty_feed(poll, page):
    page.status = 204
    with pytest.raises(NodeError, match="204"):
        poll()


def test_a_forbidden_address_is_rejected(run):
    with pytest.raises(NodeError, match="may not be reached"):
        run("rss", {"url": "http://127.0.0.2/feed"})


def test_a_secret_in_the_url_is_sent_only_to_its_allowed_hosts(run, page, make_ctx):
    page.text = rss(item("1"))
    for hosts, allowed in ((["127.0.0.1"], True), (["example.com"], False)):
        ctx, _ = make_ctx(credentials={"token": ("secret", {"value": "s3cret"}, hosts)})
        url = f"{page.url}?token={ctx.keyring['token']}"
        if allowed:
            assert run("rss", {"url": url}, ctx=ctx)
        else:
            with pytest.raises(NodeError, match="may not be sent to 127.0.0.1"):
                run("rss", {"url": url}, ctx=ctx)
    assert len(page.seen) == 1


def test_a_secret_in_the_url_is_not_redirected_to_another_host(run, httpserver, names, make_ctx):
    names["b.example"] = ["127.0.0.1"]
    away = {"Location": f"http://b.example:{httpserver.port}/s3cret"}
    httpserver.expect_request("/go").respond_with_data(status=302, headers=away)
    ctx, _ = make_ctx(credentials={"token": ("secret", {"value": "s3cret"}, ["127.0.0.1"])})
    url = f"http://127.0.0.1:{httpserver.port}/go?to=http://b.example/{ctx.keyring['token']}"
    with pytest.raises(NodeError, match="may not be sent to b.example"):
        run("rss", {"url": url}, ctx=ctx)
    assert len(httpserver.log) == 1


def test_a_slowly_sending_server_times_out(run, serve_bytes):
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n"
    server = serve_bytes([head, *[b"<"] * 1_000])
    began = time.monotonic()
    with pytest.raises(NodeError, match="no complete answer"):
        run("rss", {"url": server.url}, seconds=0.5)
    assert time.monotonic() - began < 15


@pytest.mark.parametrize("config", [{"every": 29}, {"url": ""}, {"backlog": "perhaps"}, {"url": "x", "limit": 5}])
def test_a_trigger_rejects_invalid_settings(config):
    with pytest.raises(ValidationError):
        REGISTRY["rss_trigger"].Config().load({"url": "https://example.com", **config})


def test_a_trigger_has_defaults():
    loaded = REGISTRY["rss_trigger"].Config().load({"url": "https://example.com"})
    assert loaded == {"url": "https://example.com", "every": 900.0, "backlog": False, "updates": False}


def test_a_trigger_outputs_the_entry(run):
    assert run("rss_trigger", {"url": "https://example.com"}, {"id": "1"}) == {"id": "1"}


# Polls of the trigger


def test_a_poll_returns_all_entries_oldest_first(poll, page):
    page.text = rss(*(item(str(number), pubDate=f"Mon, 02 Mar 2026 12:00:0{9 - number} GMT") for number in range(3)))
    polled = poll()
    assert keys(polled) == ["2", "1", "0"] and polled.whole and not polled.more
    assert polled.items[0].value["id"] == "2"


@pytest.mark.parametrize(
    ("dates", "order"),
    [([None, None, None], [2, 1, 0]), (["2026", "2024", "2025"], [1, 2, 0]), (["2026", None, "2025"], [2, 1, 0])],
)
def test_without_all_dates_the_feed_is_assumed_to_be_newest_first(dates, order):
    entries = [{"published": date, "updated": None, "at": at} for at, date in enumerate(dates)]
    assert [entry["at"] for entry in sort_oldest_first(entries)] == order


def test_the_etag_and_last_modified_are_sent_with_the_next_poll(poll, page):
    page.text = rss(item("1"))
    page.headers = {"ETag": '"abc"', "Last-Modified": "Mon, 02 Mar 2026 12:00:00 GMT"}
    first = poll()
    assert first.state == {"etag": '"abc"', "modified": "Mon, 02 Mar 2026 12:00:00 GMT"}
    assert "if-none-match" not in page.seen[0]
    page.status, page.text = 304, ""
    second = poll(first.state)
    assert page.seen[1]["if-none-match"] == '"abc"' and "if-modified-since" in page.seen[1]
    assert (second.items, second.state, second.whole) == ((), first.state, False)


def test_an_unrequested_304_answer_is_a_failure(poll, page):
    page.status = 304
    with pytest.raises(NodeError, match="304"):
        poll()
    with pytest.raises(NodeError, match="304"):
        poll({})


def test_a_truncated_feed_is_incomplete_and_its_etag_is_not_kept(poll, page):
    page.text, page.headers = rss(item("1"), item("2"))[:-40], {"ETag": '"abc"'}
    polled = poll()
    assert "1" in keys(polled) and not polled.whole and polled.state == {}


def test_an_oversized_etag_is_not_kept(poll, page):
    page.text, page.headers = rss(item("1")), {"ETag": '"' + "x" * 2_000 + '"'}
    assert poll().state == {}


def test_an_empty_feed_is_valid(poll, page):
    page.text = rss()
    assert poll() == ([], {}, True, False)


def test_an_entry_without_an_id_is_identified_by_link_and_title(poll, page):
    page.text = rss(item(link="https://a/1", title="x"), item(link="https://a/1", title="y"), item(title="x"))
    assert len(set(keys(poll()))) == 3
    page.text = rss(item(title="x"), item(link="https://a/1", title="x", description="changed"))
    assert len(set(keys(poll()))) == 2
    page.text = rss("<item></item>", item(title=None, description="only that"))
    assert len(keys(poll())) == 1


def test_an_edited_entry_has_a_new_key_only_with_updates(poll, page):
    found = {}
    for updates in (False, True):
        for text in ("a", "b"):
            page.text = rss(item("1", description=text))
            found[updates, text] = keys(poll(updates=updates))
    assert found[False, "a"] == found[False, "b"] == ["1"]
    assert found[True, "a"] != found[True, "b"] and found[True, "a"] != ["1"]


def entry(id_, link="l", **more):
    return {"id": id_, "link": link, **dict.fromkeys(("title", "summary", "content", "published", "updated")), **more}


def test_the_updated_date_decides_if_an_entry_has_changed():
    (before,), (after,), (same,) = (
        [found.key for found in identify([entry("1", summary=text, updated=at, enclosures=[])], updates=True)]
        for text, at in (("a", "2025"), ("a", "2026"), ("b", "2026"))
    )
    assert before != after == same


def test_entries_with_the_same_id_and_different_links_get_different_keys():
    """Some feeds wrongly use one id for several entries."""
    first, second, third = entry("x", "a"), entry("x", "b"), entry("x", "c")
    alone = [found.key for found in identify([first], False)]
    both = [found.key for found in identify([first, second], False)]
    later = [found.key for found in identify([first, second, third], False)]
    assert alone == ["x"] and both[0] == "x" and later[:2] == both and len(set(later)) == 3


def test_an_entry_listed_twice_has_one_key():
    assert len({found.key for found in identify([entry("x", "a"), entry("x", "a", title="again")], False)}) == 1


# Malicious feeds


def entity_bomb():
    entities = "".join(f'<!ENTITY e{at} "{f"&e{at - 1};" * 10 if at else "lol"}">\n' for at in range(12))
    return f'<?xml version="1.0"?>\n<!DOCTYPE rss [\n{entities}]>' + rss(item("1", description="&e11;"))[38:]


def entity_amplification():
    return (
        f'<?xml version="1.0"?>\n<!DOCTYPE rss [\n<!ENTITY a "{"x" * 200_000}">\n]>'
        f"{rss(item('1', description='&a;' * 100_000))[38:]}"
    )


def external_entity():
    entity = '<!ENTITY a SYSTEM "file:///etc/passwd">'
    return f'<?xml version="1.0"?>\n<!DOCTYPE rss [\n{entity}\n]>' + rss(item("1", description="&a;"))[38:]


MALICIOUS = {
    "entities in entities": entity_bomb(),
    "a long entity often": entity_amplification(),
    "an author that takes quadratic time": rss(item("1", author="a" * 200_000)),
    "blanks that take quadratic time": '<?xml version="1.0"?>' + "\n " * 100_000 + rss()[38:],
    "a declaration that takes quadratic time": "<?" + 'encoding="' * 30_000,
    "a very deep feed": rss("<b>" * 100_000),
    "attributes without end": "<rss " + " ".join(f'a{number}="b"' for number in range(30_000)) + "></rss>",
}


@pytest.mark.slow
@pytest.mark.parametrize("name", MALICIOUS)
def test_a_malicious_feed_is_bounded_and_the_reader_keeps_working(name):
    with Reader("packs.feeds.feed") as reader:
        began = time.monotonic()
        try:
            found, _ = reader.read({"url": "http://a/", "content_type": "text/xml"}, MALICIOUS[name].encode(), 2.0)
            assert len(orjson.dumps(found)) < 10 * len(MALICIOUS[name]) + 10_000
        except Unreadable as error:
            assert error.message.startswith("the feed cannot be read: ")
        assert time.monotonic() - began < 20
        again, _ = reader.read({"url": "http://a/", "content_type": "text/xml"}, rss(item("1")).encode(), 10.0)
        assert again["entries"][0]["id"] == "1"


def test_an_external_entity_is_not_read_from_a_file():
    with Reader("packs.feeds.feed") as reader:
        found, _ = reader.read({"url": "http://a/", "content_type": "text/xml"}, external_entity().encode(), 10.0)
    assert "root:" not in str(found)


def test_a_feed_that_takes_too_long_to_parse_is_aborted():
    with Reader("packs.feeds.feed") as reader:
        text = MALICIOUS["an author that takes quadratic time"].encode()
        with pytest.raises(Unreadable, match=r"the feed cannot be read: it takes longer than 0.3 s"):
            reader.read({"url": "http://a/", "content_type": "text/xml"}, text, 0.3)


def test_a_dead_parser_process_is_replaced():
    with Reader("packs.feeds.feed") as reader:
        options = {"url": "http://a/", "content_type": "text/xml"}
        reader.read(options, rss().encode(), 10.0)
        reader._process.kill()
        with pytest.raises(Unreadable, match="it takes too much memory or is malformed"):
            reader.read(options, b"x" * 10_000_000, 10.0)
        assert reader.read(options, rss().encode(), 10.0)[0]["entries"] == []


def test_the_parser_process_has_an_empty_environment(monkeypatch):
    monkeypatch.setenv("HEADRACE_SECRET_KEY", "the key of the server")
    with Reader("packs.feeds.feed") as reader:
        reader.read({"url": "http://a/", "content_type": "text/xml"}, rss().encode(), 10.0)
        assert Path(f"/proc/{reader._process.pid}/environ").read_text() == ""


def test_a_parser_process_without_resource_limits_reports_an_error(monkeypatch):
    def refuse(kind, limits):
        raise ValueError("not allowed")

    monkeypatch.setattr(resource, "setrlimit", refuse)
    assert child._limit() == "the limits of the parser process cannot be set (setrlimit): not allowed"


def test_the_retry_after_header_of_a_429_answer_is_kept(run, page):
    page.status, page.headers = 429, {"Retry-After": "7200"}
    with pytest.raises(NodeError) as caught:
        run("rss", {"url": page.url})
    assert caught.value.retry_after == 7200


@pytest.fixture
def case_rss(page):
    page.text = rss(item("1"))
    with socket.create_server(("127.0.0.1", 0)) as silent:
        stalled = {"url": f"http://127.0.0.1:{silent.getsockname()[1]}/"}
        yield Case(config={"url": page.url}, stalled=stalled, count=lambda: len(page.seen))


class TestRssKeepsTheContract(Contract):
    type_ = "rss"
