import pytest

from errors import NodeError
from packs.sql.params import prepare

DIALECTS = ("sqlite", "postgresql", "mysql", "mysql-plain")


def of(statement, dialect="postgresql", named=False):
    return prepare(statement, dialect, named).text


def refusal(statement, dialect="postgresql"):
    with pytest.raises(NodeError) as caught:
        of(statement, dialect)
    assert caught.value.permanent
    return caught.value.message


@pytest.mark.parametrize(
    ("dialect", "text"),
    [("sqlite", "a = ? AND b = ?"), ("postgresql", "a = $1 AND b = $2"), ("mysql", "a = %s AND b = %s")],
)
def test_placeholders_are_written_in_the_drivers_style(dialect, text):
    assert of("a = ? AND b = ?", dialect) == text
    named = prepare("a = :x AND b = :y_2", dialect, named=True)
    assert (named.text, named.names) == (text, ("x", "y_2"))


def test_a_repeated_name_is_bound_each_time():
    prepared = prepare(":a + :b + :a", "postgresql", named=True)
    assert prepared.text == "$1 + $2 + $3"
    assert prepared.values({"a": 1, "b": 2, "unused": 3}) == [1, 2, 1]


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize(
    "text",
    [
        "'a ? :b'",
        "'it''s ?'",
        '"a ? :b"',
        '"a""?"',
        "/* ? :b */",
        "/* a\n* ? ** */",
        "-- ? :b\n",
        "-- ?",
        "''",
        "'?'''",
    ],
)
def test_placeholders_in_strings_names_and_comments_are_ignored(dialect, text):
    assert of(f"SELECT ?, {text}", dialect).endswith(text)
    assert of(f"SELECT :a, {text}", dialect, named=True).endswith(text)


@pytest.mark.parametrize(
    "text",
    ["$$ ? $$", "$body$ ? $$ ? $body$", "$é$?$é$", "E'it\\'s ?'", "e'\\\\'", "a::text", "'{}'::jsonb",
     "/* /* ? */ ? */", "a[1:2]", "a[lo:hi]", "x := 5"],
)  # fmt: skip
def test_placeholders_in_postgresql_syntax_are_ignored(text):
    assert of(f"SELECT ?, {text}") == f"SELECT $1, {text}"
    assert of(f"SELECT :a, {text}", named=True) == f"SELECT $1, {text}"


def test_a_string_after_a_name_that_ends_in_e_is_not_an_escape_string():
    assert of(r"SELECT date'\', ?, '\'") == r"SELECT date'\', $1, '\'"


@pytest.mark.parametrize("text", ["`a ? ``b`", "'it\\'s ?'", "'\\\\'", "# ? :b\n", "@a := 5"])
def test_placeholders_in_mysql_syntax_are_ignored(text):
    assert of(f"SELECT ?, {text}", "mysql") == f"SELECT %s, {text}"
    assert of(f"SELECT :a, {text}", "mysql", named=True) == f"SELECT %s, {text}"


def test_two_minus_signs_without_a_space_are_not_a_comment_in_mysql():
    assert of("SELECT 5--?", "mysql") == "SELECT 5--%s"
    assert of("SELECT 5--?", "postgresql") == "SELECT 5--?"


def test_without_escapes_a_backslash_in_a_mysql_string_is_ordinary():
    assert of(r"SELECT '\', ?, '\'", "mysql-plain") == r"SELECT '\', %s, '\'"
    assert of(r"SELECT '\', ?, '", "mysql") == r"SELECT '\', ?, '"


@pytest.mark.parametrize("dialect", ["mysql", "mysql-plain"])
def test_a_backslash_in_double_quotes_is_refused_as_its_meaning_depends_on_the_server(dialect):
    assert "backslash" in refusal('SELECT "a\\" ? "', dialect)


def test_percent_signs_keep_their_meaning():
    assert of("SELECT a % ?, '%'", "mysql") == "SELECT a %% %s, '%%'"
    assert of("SELECT a % ?, '%'") == "SELECT a % $1, '%'"


def test_placeholders_in_bracketed_sqlite_names_are_ignored():
    assert of("SELECT [a?], ?", "sqlite") == "SELECT [a?], ?"


def test_a_doubled_question_mark_is_an_operator():
    assert of("SELECT doc ?? ?, doc ??| ?") == "SELECT doc ? $1, doc ?| $2"


def test_with_named_placeholders_a_question_mark_is_an_operator():
    assert of("SELECT doc ? :key, doc ?| :keys", named=True) == "SELECT doc ? $1, doc ?| $2"


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("text", ["'a ?", '"a ?', "/* ?", "'a''?"])
def test_unclosed_strings_and_comments_are_refused(dialect, text):
    message = refusal(f"SELECT ?,\n {text}", dialect)
    assert "is not closed" in message and "line 2" in message


@pytest.mark.parametrize("text", ["?1", "?a", "?_"])
def test_a_placeholder_followed_by_a_letter_or_digit_is_refused(text):
    assert "line 1" in refusal(f"SELECT {text}")


@pytest.mark.parametrize(
    ("named", "params", "part"),
    [
        (False, [1], "2 placeholders ?, params has 1 value"),
        (False, [1, 2, 3], "2 placeholders ?, params has 3 values"),
        (False, {"a": 1}, "must be a list"),
        (True, {"a": 1}, "no value for :b"),
        (True, [1, 2], "must be an object"),
    ],
)
def test_values_that_do_not_match_the_placeholders_are_refused(named, params, part):
    prepared = prepare(":a, :b" if named else "?, ?", "sqlite", named)
    with pytest.raises(NodeError) as caught:
        prepared.values(params)
    assert part in caught.value.message and caught.value.permanent


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize(
    "text", ["'" * 19_999, "/*" * 10_000, "$a" * 10_000, "''a" * 6_000, "$" * 20_000, "e'\\" * 6_000]
)
def test_a_hostile_statement_is_parsed_quickly(dialect, text):
    try:
        of(text, dialect)
    except NodeError as error:
        assert "not closed" in error.message
