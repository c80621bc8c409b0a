"""Web pages as text: the text of each element, and that no page takes long to read."""

import time

import pytest

from packs.agents.page import MORE, read
from parsers.process import read_apart

BASE = "https://a.example/news/"


def text(html, max_size=5_000):
    return read({"url": BASE, "most": max_size}, html.encode())[0]["text"]


@pytest.mark.parametrize(
    ("html", "shown"),
    [
        ("<h2>A <span></span>b</h2><h3>c</h3>d", "## A b\n\n### c\n\nd"),
        ("<p>one\n two<p>three", "one two\n\nthree"),
        ("a<b>b</b> c<br>d<hr>e", "ab c\nd\n\ne"),
        ("<ul><li>a<li><p>b</p><ul><li>c</ul><li>d</ul>e", "- a\n- b\n  - c\n- d\n\ne"),
        ("<ol><li>a<li>b</ol>", "1. a\n2. b"),
        ("<ul><li></li><li>a</ul>", "- a"),
        ("<table><tr><td>a<td>b<tr><td><p>c</p><td><p>d<p>e</table>f", "a | b\nc | d e\n\nf"),
        ("<pre>if a:\n    b\n</pre>c", "```\nif a:\n    b\n```\n\nc"),
        ("<pre>a</pre>", "```\na\n```"),
        ("x <a href='b?c=1#d'>the <i>link</i></a>.", "x [the link](https://a.example/news/b?c=1#d)."),
        ("<h2><a href=x>a</a></h2><ul><li><a href=x>b<br>c</a></ul>", f"## [a]({BASE}x)\n\n- [b c]({BASE}x)"),
        ("<a href='//b.example'>b</a> <a href='mailto:a@b'>mail</a>", "[b](https://b.example) mail"),
        ("<a href='#top'>up</a> <a href='javascript:x'>js</a> <a>none</a> <a href='/x'></a>", "up js none"),
        ("<a href='http://[bad'>bad</a>", "bad"),
        ("<a href='/long/" + "x" * 600 + "'>long</a>", "long"),
        ("<img alt='a cat' src=x><img src=y>", "[image: a cat]"),
        ("<p><script>a</script><style>b</style><noscript>c</noscript><svg><text>d</text></svg><!-- e -->f", "f"),
        ("<nav>menu</nav><button>press</button><p>text", "text"),
        ("<nav>x</nav><article><h1>T</h1>t</article><footer>f</footer>", "# T\n\nt"),
        ("<main>m</main><article>a</article>", "m"),
        ("<article>a</article><article>b</article>", "a\n\nb"),
        ("<dl><dt>a<dd>b</dl>", "a\nb"),
        ("&lt;b&gt; &amp; &#8364;\u00a0x", "<b> & € x"),
        ("", ""),
    ],
)
def test_a_page_becomes_text(html, shown):
    assert text(html) == shown


def test_the_title_is_the_first_heading():
    assert text("<html><head><title> A \n page </title></head><body>b") == "# A page\n\nb"


def test_a_truncated_page_says_that_it_continues():
    shown = text("<p>" + "word " * 1_000, max_size=100)
    assert shown.endswith(MORE) and len(shown) < 150
    assert text("<a href=/x>" + "word " * 100 + "</a>", max_size=100).endswith(MORE)


@pytest.mark.parametrize(
    "html", ["<div>" * 3_000, "<ul><li>" * 2_000, "<pre>" * 2_000, "<a href=x>" * 5_000, "</p>" * 9_000]
)
def test_a_deeply_nested_page_is_read(html):
    assert "x" in text(html + "x")


@pytest.mark.parametrize("html", [b"\xff\xfe\x00", b"<", b"<!--", b"<table><td><a><table>", b"<svg><p>", b"\x00\xd8"])
def test_malformed_html_is_read(html):
    assert isinstance(read({"url": "", "most": 100}, html)[0]["text"], str)


@pytest.mark.slow
def test_a_large_page_is_read_in_time():
    html = "<p>word <a href=/x>link</a> <b>more</b></p>" * 100_000
    began = time.monotonic()
    found = read_apart("packs.agents.page", {"url": BASE, "most": 15_000}, html.encode(), 15, "ws_1")
    assert found["text"].endswith(MORE)
    assert time.monotonic() - began < 10
