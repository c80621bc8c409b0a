"""The limit on the nesting of HTML."""

import time

import pytest

from packs.formats.html import read
from packs.formats.html_nesting import MAX_LEVELS, TooDeep, check_nesting

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
