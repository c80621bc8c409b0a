"""Literals: escaped text stays text, alone and beside expressions."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from properties import examples

from expressions import compile_value, escape, has_expression, quote

TEXTS = st.text(st.sampled_from("{}%#-\"'\\ \r\n\0é\x85\u2028ab🙂"), max_size=30)


def value_of(source):
    template = compile_value(source)
    return source if template is None else template.evaluate({"x": "<x>"})


@pytest.mark.parametrize("text", ["", "plain", "a}} b %} c #}", "{ { }", '{"a": 1}'])
def test_text_without_special_characters_stays_unchanged(text):
    assert escape(text) == text


def test_text_with_an_expression_is_escaped():
    assert escape('Hi {{ name }}, "{%"') == r'{{ "Hi {{ name }}, \"{%\"" }}'


@given(TEXTS, TEXTS, st.integers(0, 3_200))
@settings(max_examples=examples(500), deadline=None)
def test_any_text_evaluates_to_itself_alone_and_beside_expressions(before, after, padding):
    before += "-" * padding
    assert value_of(escape(before) + escape(after)) == before + after
    assert value_of(escape(before) + "{{ x }}" + escape(after)) == f"{before}<x>{after}"


@pytest.mark.parametrize("text", ["{{" * 100_000, "{% x %}" * 20_000, "\0{{" * 60_000], ids=["braces", "tags", "nul"])
def test_a_long_text_full_of_braces_stays_within_the_limits(text):
    assert has_expression(escape(text)) and value_of(escape(text)) == text


@given(TEXTS)
def test_a_quoted_text_is_a_literal_of_the_language(text):
    assert value_of(f"{{{{ {quote(text)} }}}}") == text
