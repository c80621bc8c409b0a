"""The HTML and Markdown nodes."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_formats import refused, run_alone
from world import flow, node

from definition import check
from errors import NodeError
from packs.formats.html import MAX_LEVELS, TooDeep, check_nesting, read

# HTML

PAGE = """<html><head><title>Shop</title><script>var a = "<p>no</p>";</script></head><body>
<p>Hello <b>big</b>world</p>after<p>next</p>
<ul><li><a href="/1" class="x y">One</a> <i>1.50</i></li><li><a>Two</a></li></ul>
<input disabled name=q><script type="application/json">{"a": 1}</script><pre> a
 b</pre></body></html>"""


def test_the_message_of_an_invalid_selector_names_it():
    _, issues = check(flow(node("it", "html", {"html": "x", "selectors": {"t": "h1["}})))
    found = {issue.path: issue.message for issue in issues}
    assert found == {"nodes[0].config.selectors.t": "is not a CSS selector: h1["}


@pytest.mark.parametrize(
    ("selector", "found"),
    [
        ("title", "Shop"),
        ("body > p", "Hello bigworld"),
        ("body", 'Hello bigworld after next One 1.50 Two a b'),
        ("nope", None),
        ({"selector": "li", "all": True}, ["One 1.50", "Two"]),
        ({"selector": "nope", "all": True}, []),
        ({"selector": "a", "attribute": "HREF"}, "/1"),
        ({"selector": "a", "attribute": "href", "all": True}, ["/1", None]),
        ({"selector": "input", "attribute": "disabled"}, ""),
        ({"selector": "i", "get": "html"}, "<i>1.50</i>"),
        ("script[type='application/json']", '{"a": 1}'),
        (
            {"selector": "li", "all": True, "fields": {"t": "a", "n": "i"}},
            [{"t": "One", "n": "1.50"}, {"t": "Two", "n": None}],
        ),
        (
            {"selector": "ul", "fields": {"l": {"selector": "li", "all": True, "fields": {"a": "a"}}}},
            {"l": [{"a": "One"}, {"a": "Two"}]},
        ),
    ],
)  # fmt: skip
def test_selectors_find_texts_attributes_and_html(run, selector, found):
    assert run("html", {"selectors": {"x": selector}}, PAGE) == {"x": found}


def test_broken_html_is_repaired(run):
    assert run("html", {"html": "<p>a<p>b & c", "selectors": {"x": {"selector": "p", "all": True}}}) == {
        "x": ["a", "b & c"]
    }
    assert run("html", {"html": "", "selectors": {"x": "p"}}) == {"x": None}


def nested(depth):
    return {"selector": "a", "fields": {"y": nested(depth - 1)}} if depth > 1 else "a"


def test_fields_may_be_nested(run):
    assert run("html", {"selectors": {"x": nested(3)}}, "<a>1</a>") == {"x": {"y": {"y": "1"}}}


@pytest.mark.parametrize(
    "selectors",
    [
        {}, 5, {"x": ""}, {"x": "a["}, {"x": ":nope"}, {"x": 5}, {"x": "p\ud800"}, {"x": "p" * 501}, {"x": {}},
        {"x": {"selector": "a", "attribut": "b"}}, {"x": {"selector": "a", "all": 1}},
        {"x": {"selector": "a", "get": "xml"}},
        {"x": {"selector": "a", "attribute": 1}}, {"x": {"selector": "a", "fields": {}}},
        {"x": nested(4)},
        {f"x{i}": "a" for i in range(101)},
    ],
)  # fmt: skip
def test_an_invalid_selector_is_refused_by_validation(selectors):
    assert "selectors" in refused("html", selectors=selectors)


def test_html_fails_at_its_timeout(run):
    with pytest.raises(NodeError, match=r"the html cannot be read: it takes longer than 0\.0") as caught:
        run("html", {"selectors": {"x": {"selector": "p:nth-child(3n)", "all": True}}}, "<p>" * 100_000, seconds=0.05)
    assert not caught.value.permanent


# Markdown


@pytest.mark.parametrize(
    ("text", "html"),
    [
        ("*a* ~~b~~ `c`", "<p><em>a</em> <s>b</s> <code>c</code></p>\n"),
        ("|a|\n|-|", "<table>\n<thead>\n<tr>\n<th>a</th>\n</tr>\n</thead>\n</table>\n"),
        ("<b>x</b>", "<p>&lt;b&gt;x&lt;/b&gt;</p>\n"),
        ("<script>alert(1)</script>", "<p>&lt;script&gt;alert(1)&lt;/script&gt;</p>\n"),
        ("[a](javascript:alert(1))", "<p>[a](javascript:alert(1))</p>\n"),
        ("![a](https://b/c.png)", '<p><img src="https://b/c.png" alt="a"></p>\n'),
        ("", ""),
    ],
)  # fmt: skip
def test_markdown_becomes_html_that_is_safe_to_show(run, text, html):
    assert run("markdown", {}, text) == html


def test_line_ends_become_line_breaks_with_the_setting_breaks(run):
    assert run("markdown", {"text": "a\nb"}) == "<p>a\nb</p>\n"
    assert run("markdown", {"text": "a\nb", "breaks": True}) == "<p>a<br>\nb</p>\n"


@given(st.text("<>&\"'[]()!:*_`~#|- \n\tajvscript/=.onx", max_size=60))
def test_no_markdown_creates_a_script(text):
    html = run_alone("markdown", {"text": text}).lower()
    assert "<script" not in html and 'href="javascript' not in html and " onx=" not in html.replace("&", "<")


DEEP = "<div>" * (MAX_LEVELS + 1)


@pytest.mark.parametrize(
    "html",
    [
        DEEP,
        "<DIV class='a'>" * 501,
        "<b>" * 501,
        "<ul><li>" * 501,
        "<table><tr><td>" * 501,
        "<div></x>" * 501,
        "<div><br></br></p>" * 501,
        "<x-a>" * 501,
        f"<!-- <p> --><script>'</div>'</script>{DEEP}",
        f"<script-x>{DEEP}",
    ],
)
def test_elements_in_more_than_500_levels_are_refused(html):
    with pytest.raises(TooDeep, match="nested in more than 500 levels"):
        check_nesting(html)
    assert "more than 500 levels" in read({"selectors": {}, "most": 10}, html.encode())[0]["problem"]


@pytest.mark.parametrize(
    "html",
    [
        "<div>" * MAX_LEVELS,
        "<div>x</div>" * 5_000,
        "<p>x" * 5_000,
        "<ul>" + "<li>x" * 5_000,
        "<table>" + "<tr><td>x<td>y" * 5_000,
        "<br><img src=x><input>" * 5_000,
        "<a name=x>" * 5_000,
        "<div><span></div>" * 5_000,
        f"<!-- {DEEP} --><p>x",
        f"<script>{DEEP}</script><p>x",
        f"<textarea>{DEEP}</TEXTAREA ><p>x",
        "1 < 2 " * 5_000,
    ],
)
def test_wide_pages_are_not_refused(html):
    check_nesting(html)


@pytest.mark.parametrize("piece", ["<div></div>", "<!--", "<script ", "</div", "<", "<div><span></div>", "<p", "</x>"])
def test_the_check_takes_linear_time(piece):
    began = time.process_time()
    check_nesting("<i>" * 400 + piece * (2_000_000 // len(piece)))
    assert time.process_time() - began < 5
