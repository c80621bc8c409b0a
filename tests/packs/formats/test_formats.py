"""The nodes that parse and format CSV, JSON, XML and YAML."""

import json
import math
import os
import subprocess
import sys

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from marshmallow import ValidationError
from world import ROOT

from errors import NodeError
from nodes import REGISTRY
from packs.formats.text_formats import NOT_XML

integers = st.integers(-(2**63), 2**64 - 1)
floats = st.floats(allow_nan=False, allow_infinity=False)
texts = st.text(st.characters(exclude_categories=["Cs"]))
scalars = st.none() | st.booleans() | integers | floats | texts
values = st.recursive(scalars, lambda inner: st.lists(inner) | st.dictionaries(texts, inner), max_leaves=12)


def refused(type_, **config):
    with pytest.raises(ValidationError) as caught:
        REGISTRY[type_].Config().load(config)
    return caught.value.messages


def run_alone(type_, config, input=None):
    """Run a node without a context: the fixture `run` for properties."""
    node = REGISTRY[type_]
    return node.run(node.Config().load(config), input, None)


def parse(run, type_, text, **config):
    return run(type_, {"operation": "parse", **config}, text)


def written(run, type_, data, **config):
    return run(type_, {"operation": "format", **config}, data)


def failure(run, type_, data, operation="parse", **config):
    with pytest.raises(NodeError) as caught:
        run(type_, {"operation": operation, "data": data, **config})
    assert caught.value.permanent
    return caught.value.message


# Input

PARSERS = [("csv", "data"), ("json", "data"), ("xml", "data"), ("yaml", "data"), ("html", "html"), ("markdown", "text")]


@pytest.mark.parametrize(("type_", "key"), PARSERS)
@pytest.mark.parametrize("input", [{"status": 200, "body": "a"}, {"content": "a"}, {"n": 1}, None, 5, ["a"]])
def test_the_error_for_input_that_is_not_text_shows_the_setting_to_write(run, type_, key, input):
    config = {"html": {"selectors": {"a": "b"}}, "markdown": {}}.get(type_, {"operation": "parse"})
    name = "content" if input == {"content": "a"} else "body"
    with pytest.raises(NodeError) as caught:
        run(type_, config, input)
    assert f'set "{key}": "{{{{ input.{name} }}}}"' in caught.value.message


@pytest.mark.parametrize(("type_", "key"), PARSERS)
def test_the_error_for_a_setting_that_is_not_text_names_it(run, type_, key):
    config = {"html": {"selectors": {"a": "b"}}, "markdown": {}}.get(type_, {"operation": "parse"})
    with pytest.raises(NodeError, match=f"^{key} must be text, but is an object$"):
        run(type_, {**config, key: {"a": 1}}, "text")


# CSV


def test_csv_is_a_list_of_objects_of_text(run):
    assert parse(run, "csv", 'id,name\r\n1,"Ada, L."\n\n2,"two\nlines"\n') == [
        {"id": "1", "name": "Ada, L."},
        {"id": "2", "name": "two\nlines"},
    ]
    assert parse(run, "csv", "\ufeffa;b\n1;2") == [{"a": "1", "b": "2"}]
    assert parse(run, "csv", "") == parse(run, "csv", "a,b") == parse(run, "csv", "\n\n") == []


@pytest.mark.parametrize(
    ("text", "cells"),
    [
        ("a,b\n1,2", ["1", "2"]),
        ("a;b\n1,5;2", ["1,5", "2"]),
        ("a\tb\n1, 2\t3", ["1, 2", "3"]),
        ("a|b\n1;0|2", ["1;0", "2"]),
        ("sep=;\na;b\n1;2", ["1", "2"]),
        ('a;b\n"x, y, z";2\n"u, v, w";3', ["x, y, z", "2"]),
        ("a\n1", ["1"]),
        ("a b\n1", ["1"]),
    ],
)
def test_the_delimiter_of_csv_is_detected(run, text, cells):
    assert list(parse(run, "csv", text)[0].values()) == cells


def test_csv_is_parsed_with_the_given_delimiter(run):
    assert parse(run, "csv", "a,b;c\n1,2;3", delimiter=";") == [{"a,b": "1,2", "c": "3"}]
    assert parse(run, "csv", "a\tb\n1\t2", delimiter="\\t") == [{"a": "1", "b": "2"}]
    assert written(run, "csv", [{"a": 1, "b": 2}], delimiter="\\t") == "a\tb\r\n1\t2\r\n"


def test_shorter_and_longer_rows_keep_all_cells(run):
    assert parse(run, "csv", "a,b\n1\n1,2,3") == [{"a": "1", "b": ""}, {"a": "1", "b": "2", "column_3": "3"}]


def test_column_names_are_made_unique(run):
    assert list(parse(run, "csv", "a, a ,,a_2,a\n1,2,3,4,5")[0]) == ["a", "a_2", "column_3", "a_2_2", "a_3"]


def test_columns_can_be_selected_or_named(run):
    assert parse(run, "csv", "a,b,c\n1,2,3", columns=["c", "a"]) == [{"c": "3", "a": "1"}]
    assert parse(run, "csv", "1,2\n3,4", header=False, columns=["x", "y"])[1] == {"x": "3", "y": "4"}
    assert parse(run, "csv", "1,2\n3,4", header=False) == [["1", "2"], ["3", "4"]]
    assert "there is no column 'x'; the columns are a, b" in failure(run, "csv", "a,b\n1,2", columns=["x"])


def test_lines_before_the_table_are_skipped(run):
    assert parse(run, "csv", "Bank\nof;\na,b\n1,2", skip=2) == [{"a": "1", "b": "2"}]
    assert parse(run, "csv", "a", skip=3) == []


@pytest.mark.parametrize(
    ("cell", "value"),
    [
        ("1", 1), ("-12", -12), ("0", 0), ("1.50", 1.5), ("-0.5", -0.5), ("1e3", 1000.0), ("true", True),
        ("FALSE", False), ("", None), ("18446744073709551615", 2**64 - 1),
        # Text that would lose information stays text.
        ("007", "007"), ("+49", "+49"), ("1,5", "1,5"), ("1.", "1."), (".5", ".5"), ("-0", "-0"), (" 1", " 1"),
        ("18446744073709551616", "18446744073709551616"), ("1e999", "1e999"), ("0x1f", "0x1f"), ("nan", "nan"),
        ("yes", "yes"), ("١", "١"),
    ],
)  # fmt: skip
def test_only_plain_numbers_and_booleans_are_converted_and_only_with_types(run, cell, value):
    (row,) = parse(run, "csv", f'a,b\n"{cell}",x', types=True)
    assert (row["a"], type(row["a"])) == (value, type(value))
    assert parse(run, "csv", f'a,b\n"{cell}",x')[0]["a"] == cell


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('a,b\n1,"2\n3,4', "line 3: unexpected end of data; a quotation mark may not be closed"),
        ('a,b\n1,"2"x', "line 2: ',' expected after '\"'"),
        ('a\n"' + "x" * 200_000, "a quotation mark may not be closed"),
    ],
)
def test_broken_csv_is_refused_with_its_line(run, text, message):
    assert message in failure(run, "csv", text)


def test_csv_has_the_columns_of_all_rows_in_order_of_occurrence(run):
    rows = [{"b": 1, "a": "x,y"}, {"c": None, "a": 'say "hi"'}, {"b": True, "c": [1, {"k": 2.0}]}]
    assert written(run, "csv", rows) == (
        'b,a,c\r\n1,"x,y",\r\n,"say ""hi""",\r\ntrue,,"[1, {""k"": 2.0}]"\r\n'
    )  # fmt: skip
    assert written(run, "csv", {"a": 1}) == "a\r\n1\r\n"
    assert written(run, "csv", []) == ""
    assert written(run, "csv", [], columns=["a", "b"]) == "a,b\r\n"
    assert written(run, "csv", [{"x": {"y": 5}, "z": 1}], columns=["x.y", "nope"]) == "x.y,nope\r\n5,\r\n"
    assert written(run, "csv", [[1, None], ["a"]], columns=["n", "m"]) == "n,m\r\n1,\r\na\r\n"
    assert written(run, "csv", [{"é": "ü"}], bom=True) == "\ufeffé\r\nü\r\n"


@pytest.mark.parametrize(
    "text", ["=1+1", "+1+cmd|' /C calc'!A0", "-2+3", "@SUM(A1)", "\t=1", "\n=1", "＝1", "＠x", "-", "+"]
)
def test_text_that_spreadsheets_would_run_is_escaped(run, text):
    defused = written(run, "csv", [{text: text}])
    assert parse(run, "csv", defused, delimiter=",") == [{f"'{text}": f"'{text}"}]
    kept = written(run, "csv", [{"a": text}], escape_formulas=False)
    assert parse(run, "csv", kept, delimiter=",") == [{"a": text}]


@pytest.mark.parametrize("value", [-5, "-5", "+49", "-1,234.50", "1-2", "a=b", -1.5e300, "-1e5"])
def test_numbers_are_not_escaped_as_formulas(run, value):
    assert "'" not in written(run, "csv", [{"a": value}])


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("a", "data must be a list of objects"),
        (5, "data must be a list of objects"),
        ([1], "item 0 is a number"),
        ([{"a": 1}, [1]], "item 1 is a list"),
        ([[1], {"a": 1}], "item 1 is an object, but the rows of this table must be lists"),
    ],
)
def test_only_a_table_is_formatted_as_csv(run, data, message):
    assert message in failure(run, "csv", data, "format")


@pytest.mark.parametrize("delimiter", ["", "ab", "\n", '"', "\r"])
def test_a_delimiter_is_one_character(delimiter):
    assert "delimiter" in refused("csv", operation="parse", delimiter=delimiter)


cells = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=6)
names = st.text("abcd", min_size=1, max_size=3)


@given(st.lists(names, min_size=1, max_size=4, unique=True), st.data(), st.sampled_from(",;\t| "))
def test_parsing_formatted_csv_restores_the_table(columns, data, delimiter):
    rows = data.draw(st.lists(st.fixed_dictionaries(dict.fromkeys(columns, cells)), max_size=4))
    text = run_alone("csv", {"operation": "format", "delimiter": delimiter, "escape_formulas": False}, rows)
    assert run_alone("csv", {"operation": "parse", "delimiter": delimiter}, text) == rows


@given(st.lists(st.fixed_dictionaries({"a": cells, "b": cells}), max_size=4))
def test_no_cell_starts_with_a_formula(rows):
    text = run_alone("csv", {"operation": "format"}, rows)
    for row in run_alone("csv", {"operation": "parse", "delimiter": ","}, text):
        for cell in row.values():
            assert cell[:1] not in tuple("=@\t\r\n＝＋－＠") and (cell[:1] not in ("-", "+") or cell[1:2].isdecimal())


# JSON


def test_json_is_parsed_and_formatted(run):
    assert parse(run, "json", '\ufeff {"a": [1, 2.5, null, true, "é"]} ') == {"a": [1, 2.5, None, True, "é"]}
    assert written(run, "json", {"b": "é", "a": [1]}) == '{"b":"é","a":[1]}'
    assert written(run, "json", {"b": 1, "a": [1]}, indent=1, sort_keys=True) == '{\n "a": [\n  1\n ],\n "b": 1\n}'
    assert run("json", {"operation": "format", "data": None}, "in") == "null"


def test_json_lines(run):
    assert parse(run, "json", '{"a": 1}\r\n\n[2]\n', lines=True) == [{"a": 1}, [2]]
    assert written(run, "json", [{"a": 1}, "x"], lines=True) == '{"a":1}\n"x"\n'
    assert failure(run, "json", "1\n\n{", lines=True).startswith("line 3 of data is not JSON")
    assert "must be a list" in failure(run, "json", {}, "format", lines=True)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"a": [1 2]}', "data is not JSON: line 1, column 10: expecting ',' delimiter"),
        ("{}\n{}", "data is not JSON: line 2, column 1: extra data"),
        ("", "data is not JSON: line 1, column 1: expecting value"),
        ('{"a": [1, {"b": NaN}]}', "data, at a[1].b: a number that is not finite"),
        ("[-Infinity]", "data, at [0]: a number that is not finite"),
        ('{"a": 1e999}', "data, at a: a number that is not finite"),
        ("18446744073709551616", "data: an integer of more than 64 bits; use text instead"),
        ("[[-9223372036854775809]]", "data, at [0][0]: an integer of more than 64 bits; use text instead"),
        ("[" * 201 + "]" * 201, "is nested more than 200 levels deep"),
    ],
)
def test_json_that_cannot_be_recorded_is_refused_with_its_place(run, text, message):
    assert message in failure(run, "json", text)


def test_only_json_data_is_formatted_as_json(run):
    for type_ in ("json", "yaml", "xml"):
        assert "data, at a[0]: a number that is not finite" in failure(run, type_, {"a": [math.inf]}, "format")
        assert "an integer of more than 64 bits" in failure(run, type_, {"a": 2**64}, "format")


@given(values, st.integers(0, 3), st.booleans())
def test_parsing_formatted_json_restores_the_data(value, indent, sort_keys):
    text = run_alone("json", {"operation": "format", "data": value, "indent": indent, "sort_keys": sort_keys})
    assert json.loads(text) == value
    assert run_alone("json", {"operation": "parse"}, text) == value


# XML

FEED = """<?xml version="1.0"?>
<feed xmlns="urn:a" xmlns:x="urn:b">
  <!-- a comment --><?target instruction?>
  <entry x:id="1">One &amp; &#233;<![CDATA[ <b> ]]></entry>
  <entry><title lang="en">Two</title> mixed <title/>up</entry>
  <empty/><blank> </blank>
</feed>"""


def test_xml_is_parsed_to_plain_data(run):
    assert parse(run, "xml", "\ufeff" + FEED) == {
        "feed": {
            "@xmlns": "urn:a",
            "@xmlns:x": "urn:b",
            "entry": [
                {"@x:id": "1", "#text": "One & é <b> "},
                {"title": [{"@lang": "en", "#text": "Two"}, ""], "#text": "mixed up"},
            ],
            "empty": "",
            "blank": " ",
        }
    }


def test_a_single_element_can_be_a_list(run):
    text = "<a><b>1</b><c><b>2</b></c></a>"
    assert parse(run, "xml", text) == {"a": {"b": "1", "c": {"b": "2"}}}
    assert parse(run, "xml", text, lists=["b"]) == {"a": {"b": ["1"], "c": {"b": ["2"]}}}


def test_neither_a_root_nor_a_text_nor_an_attribute_is_a_list(run):
    text = '<a x="1"> t <a/></a>'
    assert parse(run, "xml", text, lists=["a", "#text", "@x"]) == {"a": {"@x": "1", "a": [""], "#text": "t"}}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("<a><b></a>", "data is not XML: line 1, column 9: mismatched tag"),
        ("", "data is not XML: line 1, column 1: no element found"),
        ("<a>\n&nope;</a>", "line 2, column 1: undefined entity"),
        ("<a/><b/>", "junk after document element"),
        ("text", "syntax error"),
        ("<a x='1' x='2'/>", "duplicate attribute"),
        ("<a>\0</a>", "data is not XML"),
        ("<a>\ud800</a>", "half a surrogate pair"),
    ],
)
def test_broken_xml_is_refused_with_its_place(run, text, message):
    assert message in failure(run, "xml", text)


@pytest.mark.parametrize(
    ("data", "config", "text"),
    [
        ({"a": {"@id": 1, "b": ["x", True, None], "#text": ""}}, {}, '<a id="1"><b>x</b><b>true</b><b/></a>'),
        ({"a": {"#text": "t <&>", "b": 1.0}}, {}, "<a>t &lt;&amp;&gt;<b>1</b></a>"),
        ({"a": 1, "b": 2}, {}, "<root><a>1</a><b>2</b></root>"),
        ({"a": [1, 2]}, {}, "<root><a>1</a><a>2</a></root>"),
        ([1, [2, 3]], {"item": "n"}, "<root><n>1</n><n><n>2</n><n>3</n></n></root>"),
        ({"a": 1}, {"root": "r"}, "<r><a>1</a></r>"),
        ("x", {"root": "r"}, "<r>x</r>"),
        (None, {}, "<root/>"),
        ({"@a": None, "@b": '"\n'}, {}, '<root b="&quot;&#10;"/>'),
        ({"a": {"b": [], "c": {}}}, {"indent": 2}, "<a>\n  <c/>\n</a>"),
    ],
)
def test_data_is_formatted_as_xml(run, data, config, text):
    assert run("xml", {"operation": "format", "data": data, "declaration": False, **config}) == text
    declared = run("xml", {"operation": "format", "data": data, **config})
    assert declared == '<?xml version="1.0" encoding="UTF-8"?>\n' + text


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"a b": 1}, "'a b' is not a valid name in XML"),
        ({"a": {"@": 1}}, "'' is not a valid name in XML"),
        ({"a": {"@x><y": 1}}, "is not a valid name in XML"),
        ({"a": {"@x": [1]}}, "in a: an attribute or a text cannot be a list"),
        ({"a": {"#text": {"b": 1}}}, "in a: an attribute or a text cannot be an object"),
        ({"a": {"b": "\x01"}}, "in b: XML does not allow the character U+0001"),
        ({"a": "\ud800"}, "in a: XML does not allow the character U+D800"),
    ],
)
def test_data_that_xml_cannot_represent_is_refused(run, data, message):
    assert message in failure(run, "xml", data, "format")


# Only these two letters of other alphabets, because expat supports the fourth edition of XML, not the fifth.
xml_names = st.text("aZ_:é中", min_size=1, max_size=3).map(lambda name: name + "-.0")
xml_texts = texts.filter(lambda text: not NOT_XML.search(text))
elements = st.recursive(
    xml_texts,
    lambda inner: st.builds(
        lambda attributes, children, text: {
            **{f"@{name}": value for name, value in attributes.items()},
            **children,
            **({"#text": text} if text else {}),
        },
        st.dictionaries(xml_names, xml_texts, max_size=2),
        st.dictionaries(xml_names, inner | st.lists(inner, min_size=2, max_size=3), min_size=1, max_size=3),
        xml_texts.map(str.strip),
    ),
    max_leaves=8,
)


@given(xml_names, elements)
def test_parsing_formatted_xml_restores_the_data(name, element):
    text = run_alone("xml", {"operation": "format", "data": {name: element}})
    assert run_alone("xml", {"operation": "parse"}, text) == {name: element}


@given(elements, st.integers(1, 8))
def test_indentation_does_not_change_the_data_of_xml(element, indent):
    text = run_alone("xml", {"operation": "format", "root": "r", "indent": indent, "data": element})
    assert run_alone("xml", {"operation": "parse"}, text) == {"r": element}


# YAML


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", None), ("~", None), ("a:", {"a": None}), ("[true, False, TRUE]", [True, False, True]),
        ("[no, on, yes, off, y]", ["no", "on", "yes", "off", "y"]), ("12:30", "12:30"), ("1_000", "1_000"),
        ("[1, -2, +3, 0x1F, 0o17, 010]", [1, -2, 3, 31, 15, 10]),
        ("[1., .5, 1e3, -2.5E-1]", [1.0, 0.5, 1000.0, -0.25]),
        ("2026-01-31", "2026-01-31"), ("2026-1-5", "2026-01-05"), ("2026-13-45", "2026-13-45"),
        ("2026-01-31T10:00:00+02:00", "2026-01-31T08:00:00.000Z"),
        ("2026-01-31 10:00:00.25", "2026-01-31T10:00:00.250Z"),
        ("2001-12-14t21:59:43.10-05:00", "2001-12-15T02:59:43.100Z"),
        ("0001-01-01T00:00:00+05:00", "0001-01-01T00:00:00+05:00"),
        ("'1'", "1"), ('"\\u00e9"', "é"), ("!!str 1", "1"), ("! 1", "1"), ("|\n a\n b", "a\nb"), (">\n a\n b", "a b"),
        ("{1: a, true: b, 1.0: c, 2026-01-01: d}", {"1": "a", "true": "b", "1.0": "c", "2026-01-01": "d"}),
        ("- &x {a: 1}\n- *x", [{"a": 1}, {"a": 1}]), ("&k a: 1\nb: *k", {"a": 1, "b": "a"}),
    ],
)  # fmt: skip
def test_yaml_is_parsed_by_version_1_2(run, text, value):
    found = parse(run, "yaml", text)
    assert found == value and repr(found) == repr(value)


def test_yaml_merges_defaults(run):
    text = "a: &a {x: 1, y: 2}\nb: &b {y: 3, z: 4}\nc: {<<: [*a, *b], x: 0}\nd:\n  x: 9\n  <<: *a\ne: {'<<': 1}"
    found = parse(run, "yaml", text)
    assert found["c"] == {"x": 0, "y": 2, "z": 4}
    assert found["d"] == {"x": 9, "y": 2}
    assert found["e"] == {"<<": 1}
    assert "the value of << must be an object" in failure(run, "yaml", "{<<: 1}")


def test_several_documents_are_a_list_with_the_setting_documents(run):
    assert parse(run, "yaml", "a: 1\n---\n- 2\n", documents=True) == [{"a": 1}, [2]]
    assert parse(run, "yaml", "", documents=True) == []
    assert "data has 2 documents; set documents to true" in failure(run, "yaml", "a\n---\nb")
    assert parse(run, "yaml", written(run, "yaml", [1, {"a": "b"}], documents=True), documents=True) == [1, {"a": "b"}]
    assert "must be a list of documents" in failure(run, "yaml", {}, "format", documents=True)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\nb: [", "data is not YAML: line 3, column 1"),
        ("a: b: c", "line 1, column 5: mapping values are not allowed in this context"),
        ("a: 1\na: 2", "line 2, column 1: the key 'a' occurs twice"),
        ("\n[a]: b", "line 2, column 1: a key must be text, not a list or an object"),
        ("- &a 1\n- {*a : 2}", "line 2, column 4: a key must be text"),
        ("a: *b", "line 1, column 4: the alias b has no anchor"),
        ("a: &b [*b]", "line 1, column 8: the alias b contains itself"),
        ("a:\n  - .NaN", "line 2, column 5: a number that is not finite"),
        ("- -.inf", "line 1, column 3: a number that is not finite"),
        ("- 1e999", "line 1, column 3: a number that is not finite"),
        ("- 18446744073709551616", "line 1, column 3: an integer of more than 64 bits; use text instead"),
        ("- 0xFFFFFFFFFFFFFFFFF", "line 1, column 3: an integer of more than 64 bits"),
        ("\x01", "data is not YAML"),
        ("a: \ud800", "half a surrogate pair"),
    ],
)
def test_broken_yaml_is_refused_with_its_place(run, text, message):
    assert message in failure(run, "yaml", text)


@pytest.mark.parametrize(
    "word", ["no", "On", "y", "~", "null", "1e5", "0o7", "-0x1", "0b1", "12:30:00", "1_0", "2026-01-01", "", "<<", "="]
)
def test_text_that_other_parsers_would_convert_is_quoted(run, word):
    text = written(run, "yaml", {"a": word, word: "b"})
    assert yaml.safe_load(text) == {"a": word, word: "b"}
    assert parse(run, "yaml", text) == {"a": word, word: "b"}


def test_formatted_yaml_is_readable(run):
    data = {"name": "import", "steps": [{"run": "a\nb\n"}, [], {}], "big": 1e300, "ok": True, "long": "x " * 100 + "x"}
    assert written(run, "yaml", data) == (
        "name: import\nsteps:\n- run: |\n    a\n    b\n- []\n- {}\nbig: 1.0e+300\nok: true\nlong: " + "x " * 100 + "x\n"
    )


@given(values)
def test_parsing_formatted_yaml_restores_the_data(value):
    text = run_alone("yaml", {"operation": "format", "data": value})
    assert run_alone("yaml", {"operation": "parse"}, text) == value


@pytest.mark.parametrize(
    "text", ["a\r\nb", "\n", " a\n b\n", "\u2028", "a\n\n", "\t\n", "# a", "a # b", "- a", "\ufeff", "\0", "a: b\n"]
)
def test_no_space_or_line_break_is_lost(run, text):
    assert parse(run, "yaml", written(run, "yaml", [text, {text: text}])) == [text, {text: text}]


WITHOUT_LIBYAML = """
import json, sys
sys.modules["yaml._yaml"] = None
import yaml
from errors import NodeError
from packs.formats import yaml_format

def found(call, *args):
    try:
        return call(*args)
    except NodeError as error:
        return error.message

assert not yaml.__with_libyaml__
texts = json.load(sys.stdin)
read = [found(yaml_format.parse, text, True) for text in texts]
json.dump([read, [found(yaml_format.write, data, False) for data in read]], sys.stdout)
"""


@pytest.mark.slow
def test_yaml_without_libyaml_is_the_same(run):
    texts = ["a: &a {x: 1}\nb: {<<: *a, z: [no, 0o7, 1e3]}", "- 2026-01-05\n- |\n a\n b\n", "a\n---\nb", "é: '\u2028'"]
    texts += ["a: 1\na: 2", "&a [*a]", "!x 1", "- .inf", "[" * 300, "x: *x", "{[a]: b}"]
    command = [sys.executable, "-c", WITHOUT_LIBYAML]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        command, input=json.dumps(texts), capture_output=True, text=True, timeout=60, env=environment, check=True
    )
    read, made = json.loads(done.stdout)
    for text, data, again in zip(texts, read, made, strict=True):
        try:
            assert parse(run, "yaml", text, documents=True) == data
        except NodeError as error:
            assert error.message == data
        assert written(run, "yaml", data) == again
