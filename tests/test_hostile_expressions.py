"""Malicious expressions, which try to escape or to use much time or memory: each is refused quickly."""

from __future__ import annotations

import sys
import time

import pytest
from each import for_each
from hypothesis import given, settings
from hypothesis import strategies as st
from properties import examples
from test_expressions import SCOPE, error_of, value_of

from errors import ExpressionError
from expressions import compile_value
from expressions.library import FILTERS, FUNCTIONS, METHODS, TESTS

ESCAPES = [
    "{{ ''.__class__ }}",
    "{{ ''['__class__'] }}",
    "{{ ''|attr('__class__') }}",
    "{{ ''.__class__.__mro__[1].__subclasses__() }}",
    "{{ ''.__class__.mro() }}",
    "{{ [].__class__.__base__ }}",
    "{{ {}.__init__.__globals__ }}",
    "{{ input.__class__ }}",
    "{{ input['__class__'] }}",
    "{{ input['__' ~ 'class__'] }}",
    "{{ now.__class__ }}",
    "{{ now['__class__'] }}",
    "{{ now.tzinfo }}",
    "{{ now.isoformat.__self__ }}",
    "{{ range.__globals__ }}",
    "{{ ''.upper.__globals__ }}",
    "{{ ''['upper'] }}",
    "{{ '{0.__class__}'.format(1) }}",
    "{{ '{0.__class__}'.format_map({}) }}",
    "{{ '{0.__class__}'|format(1) }}",
    "{{ ['{0.__class__}']|map('format_map') }}",
    "{{ 'a'.translate({}) }}",
    "{{ 'a'.encode() }}",
    "{{ lipsum() }}",
    "{{ lipsum.__globals__ }}",
    "{{ cycler('a') }}",
    "{{ cycler.__init__.__globals__.os }}",
    "{{ joiner() }}",
    "{{ namespace() }}",
    "{{ dict(a=1) }}",
    "{{ self.__init__ }}",
    "{{ self._TemplateReference__context }}",
    "{{ loop.index }}",
    "{{ caller() }}",
    "{{ super() }}",
    "{{ config }}",
    "{{ request.application }}",
    "{{ get_flashed_messages.__globals__ }}",
    "{{ url_for.__globals__ }}",
    "{{ _('x') }}",
    "{{ (input.items|map(attribute='id')).gi_frame }}",
    "{{ input.items|map(attribute='__class__') }}",
    "{{ input.items|map(attribute='id.__class__') }}",
    "{{ [now]|map(attribute='__class__') }}",
    "{{ ['a']|map('attr', '__class__') }}",
    "{{ ['a']|selectattr('__class__') }}",
    "{{ [1]|groupby('__class__') }}",
    "{{ [1]|sum(attribute='__class__') }}",
    "{{ ['a']|sort(attribute='__class__') }}",
    "{{ input.items.append(1) }}",
    "{{ input.update({}) }}",
    "{{ input.pop('name') }}",
    "{{ input.setdefault('a', 1) }}",
    "{{ ''.join.__call__ }}",
    "{{ x|xmlattr }}",
    "{{ 'a'|pprint }}",
    "{{ 'a'|urlize }}",
    "{{ [1]|random }}",
    "{{ 'a'|safe }}",
    "{{ eval('1') }}",
    "{{ open('/etc/passwd') }}",
    "{{ __import__('os') }}",
    "{{ __builtins__ }}",
    "{{ len(work=1) }}",
    "{{ 'a'|replace('a', 'b', work=1) }}",
    "{{ (1).bit_length() }}",
    "{{ (1.0).as_integer_ratio() }}",
    "{{ '%(__class__)s' % {} }}",
    "{{ '%(a.__class__)s' % {'a': 1} }}",
    "{% for x in ().__class__.__base__.__subclasses__() %}{% endfor %}",
    "{% set x = 1 %}",
    "{% import 'x' as y %}",
    "{% print(1) %}",
]


@for_each("source", ESCAPES)
def test_a_sandbox_escape_is_rejected(source: str) -> None:
    error_of(source)


def test_an_object_of_another_type_has_no_attributes_and_no_methods() -> None:
    class Leak:
        secret = "s3cret"

        def upper(self) -> str:
            return self.secret

    scope = {"input": Leak()}
    assert error_of("{{ input }}", scope) == "a Leak is not a JSON value"
    for source in ("{{ input.secret }}", "{{ input.upper() }}", "{{ input }}", "x{{ input }}", "{{ input|upper }}"):
        assert "s3cret" not in error_of(source, scope)


# -- limits

BLOW_UPS = [
    "{{ 'a' * 10 ** 9 }}",
    "{{ 10 ** 9 * 'a' }}",
    "{{ [0] * 10 ** 9 }}",
    "{{ 2 ** 999999999 }}",
    "{{ 9 ** 9 ** 9 ** 9 }}",
    "{{ 10 ** 600 * 10 ** 600 }}",
    "{{ 10.0 ** 400 }}",
    "{{ ('9' * 10 ** 6)|int }}",
    "{{ int('9' * 10 ** 6) }}",
    "{{ range(10 ** 9) }}",
    "{{ range(10 ** 30) }}",
    "{{ range(-(10 ** 30), 10 ** 30) }}",
    "{{ range(10 ** 9, 0, -1) }}",
    "{{ 'a'.ljust(10 ** 9) }}",
    "{{ 'a'.rjust(10 ** 9) }}",
    "{{ 'a'.center(10 ** 9) }}",
    "{{ 'a'.zfill(10 ** 9) }}",
    "{{ 'a'|center(10 ** 9) }}",
    "{{ '%1000000000d' % 1 }}",
    "{{ '%.1000000000f' % 1 }}",
    "{{ '%*d' % [1000000000, 1] }}",
    "{{ '%1000000000s'|format('a') }}",
    "{{ ('%999d' * 100000) % ([1] * 100000) }}",
    "{{ ('a' * 1000000).replace('a', 'b' * 1000) }}",
    "{{ ('a' * 1000000).replace('', 'bb') }}",
    "{{ ('a' * 1000000)|replace('a', 'bb') }}",
    "{{ (['a' * 1000] * 100000)|join }}",
    "{{ ('a' * 1000000).join(['a'] * 1000) }}",
    "{{ ('\n' * 500000)|indent(1000, true, true) }}",
    "{{ 'a'|indent(10 ** 9) }}",
    "{{ 1|round(10 ** 9) }}",
    "{{ 1.5|round(-10 ** 9) }}",
    "{{ [1]|batch(10 ** 9, 0) }}",
    "{{ ([['a' * 1000000] * 1000] * 1000)|tojson }}",
    "{{ ([['a'] * 100000] * 100000) == ([['a'] * 100000] * 100000) }}",
    "{{ (('a' * 999999) ~ 'b') in ([('a' * 999999) ~ 'c'] * 100000) }}",
    "{{ [['a'] * 99999] in ([['a'] * 99999] * 100000) }}",
    "{{ ([('a' * 999999)] * 99999)|sort }}",
    "{{ ([('a' * 999999)] * 99999)|unique }}",
    "{{ ([('a' * 9999)] * 99999)|map('upper')|list }}",
    "{{ (['a'] * 100000)|map('center', 1000000)|list }}",
    "{{ (['a' * 1000000] * 100000)|sum(start='') }}",
    "{{ ([[1] * 1000] * 1000)|sum(start=[]) }}",
    "{{ ('a' * 1000000).rfind('b' ~ 'a' * 500000) }}",
    "{{ ('a' * 1000000).rsplit('b' ~ 'a' * 500000) }}",
    "{{ ('a ' * 500000).split() }}",
    "{{ ('a,' * 500000).split(',') }}",
    "{{ ('a\n' * 500000).splitlines() }}",
    "{{ ('a' * 1000000).strip('b' * 999999 ~ 'a') }}",
    "{{ ('a' * 1000000)|list }}",
    "{{ ('&' * 1000000)|e }}",
    "{{ (' ' * 1000000)|urlencode }}",
    "{{ ('a' * 1000000)|b64encode }}",
    "{{ now.strftime('%Y' * 1000000) }}",
    "{{ now.strftime('%1000000000Y') }}",
    "{{ now + timedelta(days=10 ** 9) }}",
    "{{ timedelta(days=10 ** 300) }}",
    "{{ datetime(10 ** 300) }}",
    "{{ datetime('2' * 1000000) }}",
    "{{ ('[' * 1000000)|fromjson }}",
    "{{ ('[' * 500 ~ ']' * 500)|fromjson }}",
    "{{ ('&#' ~ '9' * 900000 ~ ';')|striptags }}",
    "{{ '-'.join(['a' * 1000000] * 100000) }}",
    "{{ ('a' * 1000000) ~ ('a' * 1000000) }}",
    "{{ 'a' * 1000000 }}b",
    "{{ " + "(" * 1_000 + "1" + ")" * 1_000 + " }}",
    "{{ " + "[" * 4_000 + " }}",
    "{{ " + "not " * 1_500 + "1 }}",
    "{{ " + "-" * 4_000 + "1 }}",
    "{{ " + "1 + " * 1_500 + "1 }}",
    "{{ " + "1 if 1 else " * 600 + "1 }}",
    "{{ input" + ".a" * 2_000 + " }}",
    "{{ ''" + "|trim" * 1_000 + " }}",
    "{{ " + "'a'" * 4_000 + " }}",
    "{{ [" + "1," * 4_000 + "] }}",
    "{{ '" + "a" * 20_000 + "' }}",
    "{{ " + "_1" * 4_900 + ".x }}",
    "{{1}}" * 100_000,
    "{{ 1 }}" + "a" * 1_000_000,
    "{#" * 100_000 + "{{ 1 }}",
    "{{ 0x" + "f" * 9_000 + " }}",
    "{{ " + "'a'.x(" * 300 + ")" * 300 + " }}",
]


# Refused only after much work.
NESTED_BLOW_UPS = [
    "{{ [[['a'] * 100000] * 100000] * 100000 }}",
    "{{ ([[[now] * 1000] * 1000] * 1000) }}",
    "{{ ([['a'] * 100000] * 100000)|tojson }}",
    "x{{ ([['a'] * 100000] * 100000) }}",
    "{{ ([['a'] * 99999] * 99999)|unique }}",
    "{{ ([[['a'] * 1000] * 1000] * 1000)|map('map', 'map', 'upper') }}",
]


def fails_fast(source: str) -> None:
    started = time.thread_time()
    error_of(source)
    assert time.thread_time() - started < 1


@for_each("source", BLOW_UPS)
def test_a_blow_up_fails_fast(source: str) -> None:
    fails_fast(source)


@pytest.mark.slow
@for_each("source", NESTED_BLOW_UPS)
def test_a_nested_blow_up_fails_fast(source: str) -> None:
    fails_fast(source)


EXPENSIVE = [
    "{{ [" + ", ".join(["(('a' * 1000000)|upper|title|length)"] * 100) + "] }}",
    "{{ [" + ", ".join(["(range(100000)|sort|length)"] * 100) + "] }}",
    "{{ [" + ", ".join(["(('\n' * 1000000)|indent(0)|length)"] * 100) + "] }}",
    "{{ [" + ", ".join(["(('a' * 999999)|wordcount)"] * 100) + "] }}",
    "{{ [" + ", ".join(["('a' * 999999).find('a' * 400000 ~ 'b')"] * 100) + "] }}",
    "{{ [" + ", ".join(["(range(100000)|map('string')|join|length)"] * 80) + "] }}",
    "{{ [" + ", ".join(["(('<' * 999999)|striptags|length)"] * 100) + "] }}",
    "{{ [" + ", ".join(["(('%' * 999998) % [])"] * 100) + "] }}",
]


@pytest.mark.slow
@pytest.mark.parametrize("source", EXPENSIVE, ids=lambda source: source[:60])
def test_many_limited_operations_share_one_budget(source: str) -> None:
    started = time.thread_time()
    error_of(source)
    assert time.thread_time() - started < 2


def test_one_budget_covers_all_strings_of_a_value() -> None:
    template = compile_value(["{{ range(100000)|sum }}"] * 100)
    assert template
    started = time.thread_time()
    with pytest.raises(ExpressionError, match="too much work"):
        template.evaluate(SCOPE)
    assert time.thread_time() - started < 1


def test_a_list_of_100_000_items_can_be_filtered_sorted_and_summed() -> None:
    scope = {"input": [{"n": n % 1000, "s": "text"} for n in range(100_000)]}
    source = "{{ input|selectattr('n', 'gt', 500)|map(attribute='n')|sort|sum }}"
    assert value_of(source, scope) == sum(n % 1000 for n in range(100_000) if n % 1000 > 500)


def test_a_deep_caller_gets_an_expression_error_and_no_recursion_error() -> None:
    def dive(depth: int) -> str:
        return dive(depth - 1) if depth else error_of("{{ " + "(" * 60 + "1" + ")" * 60 + " }}")

    frame, depth = sys._getframe(), 0
    while frame.f_back:
        frame, depth = frame.f_back, depth + 1
    assert "nested too deep" in dive(sys.getrecursionlimit() - depth - 200)


PIECES = st.sampled_from(
    [
        "{{",
        "}}",
        "{%",
        "%}",
        "{#",
        "#}",
        "input",
        ".",
        "[",
        "]",
        "(",
        ")",
        "|",
        "'",
        '"',
        " ",
        "\r",
        "\n",
        "-",
        "+",
        "*",
    ]
    + ["**", "%", "~", ",", ":", "=", "<", "if", "else", "is", "not", "in", "0", "1e9", "9" * 9, "\\", "{", "}", "now"]
    + list(FILTERS)
    + list(TESTS)
    + list(FUNCTIONS)
    + [name for table in METHODS.values() for name in table]
    + ["name", "total", "tags", "items", "é", "\x00", "\ud800"]
)


def try_it(source: str) -> None:
    try:
        result = value_of(source)
    except ExpressionError as error:
        assert str(error)
    else:
        assert isinstance(result, dict | list | str | int | float | None)


@settings(max_examples=examples(150), deadline=None)
@given(st.text())
def test_random_text_raises_nothing_but_an_expression_error(text: str) -> None:
    try_it(text)
    try_it("{{ " + text + " }}")


@settings(max_examples=examples(300), deadline=None)
@given(st.lists(PIECES, max_size=30))
def test_random_tokens_raise_nothing_but_an_expression_error(pieces: list[str]) -> None:
    try_it("{{ " + "".join(pieces) + " }}")
    try_it("{{ input." + " ".join(pieces) + " }}")


OPERANDS = ["input", "now", "none", "1.5", "'a'", "[]", "[1, 'a', none]", "input.items", "(now - now)", "(2 ** 2000)"]


@settings(max_examples=examples(300), deadline=None)
@given(st.sampled_from(sorted(FILTERS)), st.lists(st.sampled_from(OPERANDS), min_size=1, max_size=4), st.booleans())
def test_any_filter_on_any_arguments_raises_nothing_but_an_expression_error(
    name: str, operands: list[str], as_method: bool
) -> None:
    arguments = ", ".join(operands[1:])
    try_it(
        f"{{{{ {operands[0]}.{name}({arguments}) }}}}" if as_method else f"{{{{ {operands[0]}|{name}({arguments}) }}}}"
    )


@pytest.mark.slow
def test_all_expressions_of_a_value_share_a_limit() -> None:
    many = ["{{ a." + ".".join("b" * 90) + f".c{at} }}}}" for at in range(1_200)]
    assert compile_value(many[:10]).parts == 10 * 93
    with pytest.raises(ExpressionError, match="100,000 parts"):
        compile_value({"a": many})
