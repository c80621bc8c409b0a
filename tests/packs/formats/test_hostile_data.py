"""Malicious data: each node ends within seconds, with an error that says why."""

import threading
import time
import tracemalloc
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from errors import NodeError
from nodes.limits import MAX_DEPTH, MAX_ITEMS, MAX_TEXT

pytestmark = pytest.mark.slow
# Limited work takes a few seconds at most, also on a busy machine; unlimited work would take hours.
SECONDS = 30

PARSERS = [
    ("csv", {"operation": "parse"}, "data"),
    ("json", {"operation": "parse"}, "data"),
    ("xml", {"operation": "parse"}, "data"),
    ("yaml", {"operation": "parse"}, "data"),
    ("html", {"selectors": {"x": "p"}}, "html"),
    ("markdown", {}, "text"),
    ("split", {"separator": ","}, "the text"),
    ("crypto", {"operation": "hash"}, "data"),
]


@contextmanager
def quickly(seconds=SECONDS):
    began = time.monotonic()
    yield
    assert time.monotonic() - began < seconds


@pytest.fixture
def fails(run):
    """`fails(type, config, input, message)`: the node soon fails with this permanent error."""

    def execute(type_, config, input, message, seconds=SECONDS):
        with quickly(seconds), pytest.raises(NodeError, match=message) as caught:
            run(type_, config, input)
        assert caught.value.permanent and len(caught.value.message) < 500

    return execute


@pytest.fixture
def ends(run):
    """`ends(type, config, input)` returns the result, which must be available soon."""

    def execute(type_, config, input, seconds=SECONDS):
        with quickly(seconds):
            return run(type_, config, input)

    return execute


# Size


@pytest.mark.parametrize(("type_", "config", "key"), PARSERS)
def test_text_that_is_too_long_is_refused_unread(fails, type_, config, key):
    fails(type_, config, "a" * (MAX_TEXT + 1), f"{key} has 16,777,217 characters; the limit is", seconds=5)


def test_a_csv_of_200_mb_is_refused_at_once_without_using_memory(fails):
    text = "id,name,price\n" + "1,a name,2.50\n" * 15_000_000
    assert len(text) > 200_000_000
    tracemalloc.start()
    try:
        fails("csv", {"operation": "parse"}, text, "the limit is 16,777,216", seconds=5)
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,b,c,d,e\n" + "1,2,3,4,5\n" * 1_600_000, "more than 250,000 rows"),
        ("," * 16_000_000, "more than 16,384 columns"),
        (",".join(["a"] * 16_000) + "\n" + "1\n" * 200_000, "more than 2,500,000 cells"),
        (",".join(["a"] * 10) + "\n" + ",".join("1" * 400) + "\n" + "1\n" * 200_000, "more than 2,500,000 cells"),
        ("a\n" + '"' + "x" * 16_000_000, "a quotation mark may not be closed"),
    ],
)
def test_the_cells_of_a_table_are_limited(fails, text, message):
    process = psutil.Process()
    before = process.memory_info().rss
    fails("csv", {"operation": "parse"}, text, message)
    assert process.memory_info().rss - before < 1_500_000_000


def test_rows_with_different_columns_do_not_use_quadratic_memory(fails):
    fails("csv", {"operation": "format"}, [{f"k{i}": 1} for i in range(20_000)], "more than 2,500,000 cells")


def shared(levels=60):
    """Return a list of 2 ** levels items that takes almost no memory."""
    value = ["x"]
    for _ in range(levels):
        value = [value, value]
    return value


@pytest.mark.parametrize(
    ("type_", "config"),
    [
        ("json", {"operation": "format"}),
        ("json", {"operation": "format", "indent": 8}),
        ("xml", {"operation": "format"}),
        ("yaml", {"operation": "format"}),
        ("csv", {"operation": "format"}),
    ],
)
def test_a_value_that_is_small_only_in_memory_is_not_formatted(fails, type_, config):
    data = [{"a": shared()}] if type_ == "csv" else shared()
    fails(type_, config, data, "exceeds the limit of 16,777,216 characters of JSON")


def deep(levels):
    value = 1
    for _ in range(levels):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("type_", "config"),
    [
        ("json", {"operation": "format", "indent": 8}),
        ("xml", {"operation": "format", "indent": 8}),
        ("yaml", {"operation": "format"}),
    ],
)
def test_indentation_is_limited(fails, type_, config):
    data = [1] * 1_000
    for _ in range(MAX_DEPTH - 2):
        data = [{"a": inner, "b": 1} for inner in data]
    fails(type_, config, data, "the text would ")


# Depth

NESTED = [
    ("json", {"operation": "parse"}, "[", "more than 200,000 lists"),
    ("json", {"operation": "parse"}, '{"a":', "more than 200,000 lists"),
    ("yaml", {"operation": "parse"}, "[", "nest"),
    ("yaml", {"operation": "parse"}, "- ", "nest"),
    ("yaml", {"operation": "parse"}, "? ", "nest|a key must be text"),
    ("yaml", {"operation": "parse"}, "{a: ", "nest"),
    ("xml", {"operation": "parse"}, "<a>", "elements more than 100 levels deep"),
]


@pytest.mark.parametrize(("type_", "config", "part", "message"), NESTED)
def test_a_million_levels_are_refused(fails, type_, config, part, message):
    fails(type_, config, part * 1_000_000, message, seconds=5)


@pytest.mark.parametrize(
    ("type_", "config"),
    [
        ("sort", {}),
        ("dedupe", {}),
        ("group", {"by": "0"}),
        ("split", {"field": "0", "keep": True}),
        ("json", {"operation": "format"}),
        ("xml", {"operation": "format"}),
        ("yaml", {"operation": "format"}),
        ("csv", {"operation": "format"}),
    ],
)
def test_data_that_is_nested_too_deeply_is_refused(fails, type_, config):
    value = deep(3_000)
    data = {"csv": [{"a": value}], "split": [[[value, value], value]]}.get(type_, [value, value])
    fails(type_, config, data, "nested more than 200 levels deep", seconds=5)


# Numbers


HUGE = ["1e999", "-1e999", "9" * 100_000, "-" + "9" * 100_000, "9" * 400 + ".5", "1" + "0" * 25]


@pytest.mark.parametrize("number", HUGE)
def test_numbers_beyond_the_limits_are_refused_with_their_place(fails, number):
    problem = "(an integer of more than 64 bits|a number that is not finite)"
    fails("json", {"operation": "parse"}, f'{{"a": [{number}]}}', rf"data, at a\[0\]: {problem}", seconds=5)
    fails("yaml", {"operation": "parse"}, f"a:\n- {number}", f"line 2, column 3: {problem}", seconds=5)


def test_numbers_beyond_the_limits_are_text_in_a_table(ends):
    for number in ("1e999", "9" * 100_000, "0." + "9" * 100_000 + "e" + "9" * 20):
        (row,) = ends("csv", {"operation": "parse", "types": True}, f"a,b\n{number},1", seconds=5)
        assert row == {"a": number, "b": 1}


def test_a_million_digits_are_sorted_and_dated_quickly(ends, fails):
    digits = ["9" * 1_000_000, "1" * 1_000_000, "1"]
    assert ends("sort", {"natural": True}, digits, seconds=5) == digits[::-1]
    fails("date", {"operation": "parse"}, digits[0], "which is not a time", seconds=5)


# XML

LAUGHS = '<!DOCTYPE a [<!ENTITY l0 "lol">' + "".join(
    f'<!ENTITY l{i} "{f"&l{i - 1};" * 10}">' for i in range(1, 11)
)  # fmt: skip


@pytest.mark.parametrize(
    "text",
    [
        LAUGHS + "]><a>&l10;</a>",
        f'<!DOCTYPE a [<!ENTITY x "{"x" * 100_000}">]><a>{"&x;" * 100_000}</a>',
        '<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><a>&x;</a>',
        '<!DOCTYPE a [<!ENTITY x SYSTEM "http://127.0.0.1:9/">]><a>&x;</a>',
        '<!DOCTYPE a [<!ENTITY % x SYSTEM "http://127.0.0.1:9/"> %x;]><a/>',
        '<!DOCTYPE a SYSTEM "http://127.0.0.1:9/a.dtd"><a/>',
        '<!DOCTYPE a PUBLIC "-//W3C//DTD" "file:///etc/passwd"><a/>',
        "<!DOCTYPE a [<!ATTLIST a b CDATA 'c'>]><a/>",
        "<!DOCTYPE a><a/>",
    ],
)
def test_xml_with_a_dtd_is_refused_before_the_dtd_is_parsed(fails, text):
    fails(
        "xml", {"operation": "parse"}, text, r"has a DTD \(<!DOCTYPE …>\), which is not supported; remove it", seconds=5
    )


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: "<a>" + "<b/>" * 4_000_000, "more than 1,000,000 elements and attributes"),
        (
            lambda: "<a " + " ".join(f"b{i}=''" for i in range(1_200_000)) + "/>",
            "more than 1,000,000 elements and attributes",
        ),
        (lambda: "<a " + "b='' " * 1_000_000 + "/>", "duplicate attribute"),
        (lambda: "<" + "a" * 16_000_000, "unclosed token"),
        (lambda: "<a b='" + "x" * 16_000_000, "unclosed token"),
        (lambda: "<!--" + "-" * 16_000_000, "is not XML"),
        (lambda: "<a><![CDATA[" + "]" * 16_000_000, "unclosed CDATA"),
        (lambda: "<a>" + "&lt;" * 4_000_000, "no element found"),
        (lambda: "<a>" + "\r\n" * 8_000_000, "no element found"),
    ],
)
@pytest.mark.nightly
def test_large_xml_is_refused_in_limited_time(fails, make, message):
    # Made here, because each process of the tests collects the list.
    fails("xml", {"operation": "parse"}, make(), message)


# YAML


@pytest.mark.parametrize(
    "text",
    [
        "!!python/object/apply:os.system ['touch /tmp/hostile']",
        "!!python/object:nodes.base.Node {}",
        "!!python/name:os.system",
        "!!python/tuple [1]",
        "!!binary aGk=",
        "!!set {a}",
        "!!timestamp 2026-01-01",
        "!!int 1",
        "!!map {}",
        "!local x",
        "%TAG ! tag:example.org,2026:\n---\n!a b",
        "a: &a !!python/name:os.system\nb: *a",
        "!!python/name:os.system : 1",
    ],
)
def test_yaml_tags_create_no_objects(fails, text):
    fails("yaml", {"operation": "parse"}, text, "the tag .* is not supported; remove it", seconds=5)
    assert not Path("/tmp/hostile").exists()


def laughs(first, levels, times=9):
    """Return aliases of aliases, each level several times as large as the one before."""
    lines = [f"l0: &l0 {first}"]
    lines += [f"l{i}: &l{i} [{', '.join([f'*l{i - 1}'] * times)}]" for i in range(1, levels)]
    return "\n".join(lines)


@pytest.mark.parametrize(
    "text",
    [
        laughs("[lol, lol, lol]", 12),
        laughs("lol", 40, times=2),
        laughs("{a: b}", 12),
        "a: &a " + "x" * 1_000_000 + "\nb: [" + "*a, " * 100 + "]",
        "a: &a {" + ", ".join(f"k{i}: {'x' * 100}" for i in range(1000)) + "}\nb: [" + "{<<: *a}, " * 1000 + "]",
        "a: &a {" + ", ".join(f"k{i}: x" for i in range(1000)) + "}\nb: [" + "{<<: [*a, *a, *a]}, " * 2000 + "]",
    ],
)
def test_the_size_of_yaml_aliases_is_checked_before_they_are_resolved(fails, text):
    fails("yaml", {"operation": "parse"}, text, "would exceed the limit of 16,777,216 characters of JSON", seconds=5)


def test_the_nesting_of_yaml_aliases_is_limited(fails):
    chain = "\n".join(["- &a0 [x]"] + [f"- &a{i} [*a{i - 1}]" for i in range(1, 400)])
    fails("yaml", {"operation": "parse"}, chain, "nested more than 200 levels deep", seconds=5)
    for text in ("&a [*a]", "&a {b: *a}", "a: &a\n  b: [{c: *a}]", "&a {<<: *a}"):
        fails("yaml", {"operation": "parse"}, text, "the alias a contains itself", seconds=5)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("- 1\n" * 4_000_000, "more than 1,000,000 parts"),
        ("[" + "a," * 8_000_000, "more than 1,000,000 parts"),
        ("---\n" * 4_000_000, "more than 1,000,000 parts"),
        ("a" * 8_000_000 + ": " + "b" * 8_000_000, "is not YAML"),
        ('"' + "\\" * 15_999_999, "is not YAML"),
        ("a: |\n" + " x\n" * 5_000_000 + "\0", "is not YAML"),
        ("{" + "a, " * 1_000, "the key 'a' occurs twice"),
    ],
)
@pytest.mark.nightly
def test_large_yaml_is_refused_in_limited_time(fails, text, message):
    fails("yaml", {"operation": "parse"}, text, message)


# HTML


def formatting(count, paragraphs):
    """Return HTML whose open elements are repeated in every paragraph by the rules of HTML: quadratic growth."""
    return "<p>" + "".join(f"<b a={i}>" for i in range(count)) + "<p>x" * paragraphs


def test_html_that_grows_to_gigabytes_by_error_recovery_harms_only_its_own_process(fails):
    before = psutil.Process().memory_info().rss
    text = formatting(5_000, 20_000)
    assert len(text) < 200_000
    fails("html", {"selectors": {"x": "p"}}, text, "cannot be read(: it takes too much| within the limits)")
    assert psutil.Process().memory_info().rss - before < 50_000_000


@pytest.mark.parametrize(
    "text",
    ["<div>" * 2_000_000, "<table>" * 1_400_000, "<span></i>" * 1_000_000, "<" * 10_000_000, "<a b='" * 1_600_000],
)
def test_ten_megabytes_of_html_end_within_the_time_of_the_node(run, text):
    with quickly():
        try:
            result = run("html", {"selectors": {"x": {"selector": "nope", "all": True}}}, text, seconds=3)
        except NodeError as error:
            assert "it takes longer than" in error.message or "more than 500 levels" in error.message
        else:
            assert result == {"x": []}


SLOW_SELECTORS = [
    "* " * 240 + "*",
    "*~*~*~*~*",
    "*:nth-last-child(2n+1)",
    "div:has(div:has(div:has(div)))",
    ":not(" * 80 + "p" + ")" * 80,
]


@pytest.mark.parametrize("selector", SLOW_SELECTORS)
def test_every_selector_ends_in_time(run, selector):
    page = "<div>" * 200 + "<p>x</p>" * 100_000
    children = set(psutil.Process().children())
    with quickly():
        try:
            run("html", {"selectors": {"x": {"selector": selector, "all": True}}}, page, seconds=3)
        except NodeError as error:
            # The speed of the machine decides which limit is reached first.
            bounds = ("the html cannot be read: it takes longer than", "html: the selectors match more")
            assert error.message.startswith((*bounds, "html: the text of the matches is too large"))
    assert set(psutil.Process().children()) <= children


@pytest.mark.parametrize("get", ["text", "html"])
def test_the_matches_of_selectors_are_limited(run, get):
    page, found = "<div>" * 400 + "x" * 100_000, {"selector": "div", "all": True, "get": get}
    with quickly(), pytest.raises(NodeError, match="the text of the matches is too large|takes longer"):
        run("html", {"selectors": {f"x{i}": found for i in range(100)}}, page, seconds=10)


def test_other_threads_continue_while_html_is_parsed(run):
    """A selector that takes seconds runs in a separate process."""
    done = threading.Event()

    def execute():
        with pytest.raises(NodeError):
            run("html", {"selectors": {"x": {"selector": "* " * 240 + "*", "all": True}}}, "<div>" * 300, seconds=4)
        done.set()

    thread = threading.Thread(target=execute)
    thread.start()
    longest, last = 0.0, time.monotonic()
    while not done.wait(0.01):
        longest, last = max(longest, time.monotonic() - last), time.monotonic()
    thread.join(60)
    assert longest < 3


SLOW = {"selectors": {"x": {"selector": "* " * 240 + "*", "all": True}}}


def test_html_is_parsed_for_at_most_five_seconds(run):
    with quickly(12), pytest.raises(NodeError, match="the html cannot be read: it takes longer than 5 s"):
        run("html", SLOW, "<div>" * 300)


def test_deeply_nested_html_is_refused_at_once(fails):
    fails("html", {"selectors": {"x": "p"}}, "<div>" * 200_000, "nested in more than 500 levels", seconds=3)


def test_a_workspace_whose_parsers_are_busy_delays_no_other_one(run, make_ctx):
    """Six calls of one workspace, each for seconds of work; then a page of another one."""

    def work_for(workspace, seconds=None):
        ctx, _ = make_ctx(seconds)
        return replace(ctx, workspace_id=workspace)

    def execute():
        with pytest.raises(NodeError):
            run("html", SLOW, "<div>" * 300, ctx=work_for("ws_a", 6))

    threads = [threading.Thread(target=execute) for _ in range(6)]
    for thread in threads:
        thread.start()
    for _ in range(3):
        with quickly(3):
            assert run("html", {"selectors": {"x": "p"}}, "<p>x</p>", ctx=work_for("ws_b")) == {"x": "x"}
    assert all(thread.is_alive() for thread in threads)
    for thread in threads:
        thread.join(60)


# Markdown


SLOW_MARKDOWN = [
    *("[", "![", "[a](", "[a][", "[a](<b", "*a **b ", "_a_ ", "`" * 7 + "a", "<a ", "<http://a.b>", "> ", "- ", "1. "),
    *("&amp;", "|a\n", "[a]: /x\n", "# a\n", ">a\n", "~~a ", "a\\\n", "|"),
]


@pytest.mark.nightly
@pytest.mark.parametrize("part", SLOW_MARKDOWN)
def test_no_markdown_takes_long(ends, part):
    html = ends("markdown", {}, part * (100_000 // len(part)))
    assert len(html) < 3_000_000


@pytest.mark.nightly
def test_a_markdown_table_does_not_use_quadratic_memory(ends):
    html = ends("markdown", {}, "|a" * 10_000 + "\n" + "|-" * 10_000 + "\n" + "a\n" * 20_000)
    assert len(html) < 10_000_000


# Lists


TOO_LARGE = "exceed the limit of 16,777,216 characters"


def test_a_join_does_not_return_a_product(fails):
    rows = [{"k": 1, "n": place} for place in range(20_000)]
    fails("join", {"left": rows, "right": rows, "by": "k"}, None, f"{TOO_LARGE}|more than {MAX_ITEMS:,} items")
    bare = [{"k": 1}] * 20_000
    fails("join", {"left": bare, "right": bare, "by": "k"}, None, f"more than {MAX_ITEMS:,} items")


@pytest.mark.parametrize("more", [{}, {"nest": "other"}])
def test_a_join_does_not_repeat_a_large_row_without_limit(fails, more):
    large, small = [{"k": 1, "t": "x" * 5_000_000}], [{"k": 1}] * 1_000
    for left, right in ((large, small), (small, large)):
        fails("join", {"left": left, "right": right, "by": "k", **more}, None, TOO_LARGE, seconds=5)


def test_keys_of_single_rows_are_not_added_to_all_rows_without_limit(fails):
    left = [{f"a{place}": 1} for place in range(20_000)]
    config = {"left": left, "right": [{"k": place} for place in range(20_000)], "by": "k", "how": "full"}
    fails("join", config, None, TOO_LARGE)


def test_a_group_does_not_repeat_its_items_in_many_aggregates(fails):
    items = [{"t": "x" * 1_000} for _ in range(10_000)]
    aggregate = {f"a{i}": {"op": "list", "field": "t"} for i in range(50)}
    fails("group", {"aggregate": aggregate}, items, TOO_LARGE)


def test_split_does_not_repeat_kept_fields_without_limit(fails):
    items = [{"text": "x" * 100_000, "n": list(range(10_000))}]
    fails("split", {"field": "n", "keep": True}, items, TOO_LARGE, seconds=5)
    fails("split", {"field": "n"}, [{"n": [1] * MAX_ITEMS}, {"n": [1]}], "the limit is 250,000", seconds=5)
    fails("split", {"separator": ","}, "," * 1_000_000, "more than 250,000 parts", seconds=5)


def test_joined_text_is_limited(fails):
    fails("join", {"separator": "x" * 100}, ["a"] * 200_000, TOO_LARGE, seconds=5)


def colliding(count):
    """Return different pairs of integers whose tuples all have the same hash in Python 3.11."""
    first, second, wrap = 11400714785074694791, 14029467366897019727, 2**64
    rotate = 31
    inverse_second = pow(second, -1, wrap)
    inverse_first = pow(first, -1, wrap)
    made, place = [], 0
    while len(made) < count:
        place += 1
        # One lane: acc = rotl(acc + lane * second, 31) * first; the second is chosen so that all have the same acc.
        acc = (2870177450012600261 + place * second) % wrap
        acc = ((acc << rotate | acc >> (64 - rotate)) * first) % wrap
        goal = inverse_first * 12345 % wrap
        goal = (goal >> rotate | goal << (64 - rotate)) % wrap
        lane = (goal - acc) * inverse_second % wrap
        if lane < 2**61 - 1:
            made.append((place, lane))
    return made


@pytest.mark.parametrize(
    ("type_", "config"),
    [("dedupe", {"by": ["a", "b"]}), ("group", {"by": ["a", "b"], "aggregate": {"n": {"op": "count"}}})],
)
def test_numbers_whose_hashes_collide_take_no_longer_than_others(ends, type_, config):
    pairs = colliding(30_000)
    assert len({hash(pair) for pair in pairs}) == 1
    items = [{"a": a, "b": b} for a, b in pairs]
    assert len(ends(type_, config, items, seconds=20)) == 30_000
    assert len(ends("join", {"left": items, "right": items, "by": ["a", "b"]}, None, seconds=20)) == 30_000


@pytest.mark.nightly
def test_the_maximum_number_of_items_is_sorted_and_grouped_within_seconds(ends):
    items = [{"a": place * 7919 % 1_000_003, "b": str(place % 1000), "c": [place]} for place in range(MAX_ITEMS)]
    assert ends("sort", {"by": ["-b", "a"]}, items)[0]["b"] == "999"
    assert len(ends("group", {"by": "b"}, items)) == 1000
    some = items[: MAX_ITEMS // 5]
    assert len(ends("sort", {"natural": True}, some)) == len(ends("dedupe", {}, some)) == len(some)
