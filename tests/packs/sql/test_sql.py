"""The `sql` node with SQLite files, and with real database servers if they are installed."""

import socket
import threading
import time

import pytest
from contract import Case, Contract
from each import for_each
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from marshmallow import ValidationError
from properties import examples
from sql_servers import HOSTILE, PASSWORD, column, database

from errors import NodeError
from nodes import REGISTRY
from nodes.credentials.types import TYPES, Untested
from packs.sql import mysql, postgres, sqlite
from packs.sql import node as databases
from packs.sql.statement import plain, prepare, rename_duplicates


@pytest.fixture(params=["sqlite", "postgres", pytest.param("mysql", marks=pytest.mark.slow)])
def shop(request):
    """Return a database of each kind in turn."""
    return request.getfixturevalue(request.param)


# All databases


def test_a_query_returns_rows_as_objects_and_a_change_returns_a_row_count(ask, shop):
    assert ask(shop, "CREATE TABLE notes (id INTEGER PRIMARY KEY, note VARCHAR(200))") == {"row_count": 0}
    assert ask(shop, "INSERT INTO notes VALUES (1, 'a'), (2, NULL)") == {"row_count": 2}
    assert ask(shop, "SELECT * FROM notes ORDER BY id") == {
        "rows": [{"id": 1, "note": "a"}, {"id": 2, "note": None}],
        "row_count": 2,
        "truncated": False,
    }
    assert ask(shop, "SELECT * FROM notes WHERE id = 9") == {"rows": [], "row_count": 0, "truncated": False}
    assert ask(shop, "UPDATE notes SET note = 'a'") == {"row_count": 2}
    assert ask(shop, "UPDATE notes SET note = 'a'") == {"row_count": 2}
    assert ask(shop, "DELETE FROM notes WHERE id = 1") == {"row_count": 1}


def test_values_are_bound_by_position_or_by_name(ask, shop):
    assert ask(shop, "SELECT ? AS a WHERE 1 = ?", ["x", 1])["rows"] == [{"a": "x"}]
    assert ask(shop, "SELECT :b AS a WHERE 1 = :a", {"a": 1, "b": "x", "more": 2})["rows"] == [{"a": "x"}]


def test_returning_returns_the_rows_and_commits(ask, shop):
    ask(shop, "CREATE TABLE notes (id INTEGER PRIMARY KEY, note VARCHAR(200))")
    answer = ask(shop, "INSERT INTO notes VALUES (?, ?) RETURNING id, note", [1, "a"])
    assert answer == {"rows": [{"id": 1, "note": "a"}], "row_count": 1, "truncated": False}
    assert ask(shop, "SELECT COUNT(*) FROM notes")["rows"][0].popitem()[1] == 1


@pytest.mark.parametrize("named", [True, False])
def test_hostile_values_are_not_executed(ask, shop, named):
    ask(shop, "CREATE TABLE notes (id INTEGER, note VARCHAR(200))")
    for number, note in enumerate(HOSTILE):
        if named:
            ask(shop, "INSERT INTO notes VALUES (:id, :note) -- :note", {"id": number, "note": note})
        else:
            ask(shop, "INSERT INTO notes VALUES (?, ?) /* ? */", [number, note])
    assert column(ask(shop, "SELECT note FROM notes ORDER BY id")) == HOSTILE
    for note in HOSTILE:
        assert ask(shop, "SELECT note FROM notes WHERE note = ?", [note])["rows"] == [{"note": note}]


TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs",)), max_size=30)


@settings(max_examples=examples(15), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(notes=st.lists(TEXT, min_size=20, max_size=60))
def test_any_text_is_stored_unchanged(ask, shop, notes):
    ask(shop, "DROP TABLE IF EXISTS notes")
    ask(shop, "CREATE TABLE notes (id INTEGER, note TEXT)")
    ask(shop, "INSERT INTO notes VALUES (?, ?)", batch=[[number, note] for number, note in enumerate(notes)])
    assert column(ask(shop, "SELECT note FROM notes ORDER BY id")) == notes


def test_a_batch_is_one_transaction(ask, fails, shop):
    ask(shop, "CREATE TABLE notes (id INTEGER PRIMARY KEY, note VARCHAR(200))")
    statement = "INSERT INTO notes VALUES (:id, :note)"
    batch = [{"id": number, "note": note} for number, note in enumerate(HOSTILE)]
    assert ask(shop, statement, batch=batch) == {"row_count": len(HOSTILE)}
    assert fails(shop, statement, batch=[{"id": 50, "note": ""}, {"id": 1, "note": ""}]).permanent
    assert fails(shop, statement, batch=[{"id": 60, "note": ""}, {"id": 61}]).message == (
        "batch[1]: params has no value for :note"
    )
    assert column(ask(shop, "SELECT note FROM notes ORDER BY id")) == HOSTILE
    assert ask(shop, statement, batch=[]) == {"row_count": 0}


def test_rows_beyond_the_limit_are_dropped_with_a_warning(ask, run, shop):
    ask(shop, "CREATE TABLE notes (id INTEGER)")
    ask(shop, "INSERT INTO notes VALUES (?)", batch=[[number] for number in range(1_500)])
    answer = ask(shop, "SELECT id FROM notes ORDER BY id")
    assert (len(answer["rows"]), answer["row_count"], answer["truncated"]) == (1_000, 1_500, True)
    assert run.lines[-1][:2] == ("warning", "1500 rows found; only the first 1000 are returned")
    answer = ask(shop, "SELECT id FROM notes ORDER BY id", max_rows=1_500)
    assert column(answer) == list(range(1_500)) and not answer["truncated"]


def test_read_only_refuses_changes(ask, fails, shop):
    ask(shop, "CREATE TABLE notes (id INTEGER)")
    for statement in ("INSERT INTO notes VALUES (1)", "CREATE TABLE other (id INTEGER)", "DROP TABLE notes"):
        error = fails(shop, statement, read_only=True)
        assert error.permanent and "read" in error.message.lower()
    assert ask(shop, "SELECT COUNT(*) AS n FROM notes", read_only=True)["rows"] == [{"n": 0}]
    assert fails(shop, "SELECT * FROM other").permanent


@pytest.mark.parametrize("statement", ["SELECT 1; SELECT 2", "CREATE TABLE a (id INTEGER); DROP TABLE notes"])
def test_several_statements_are_refused(ask, fails, shop, statement):
    ask(shop, "CREATE TABLE notes (id INTEGER)")
    assert fails(shop, statement).permanent
    assert ask(shop, "SELECT * FROM notes")["rows"] == []
    assert ask(shop, "SELECT 1 AS a;")["rows"] == [{"a": 1}]


def test_an_sql_error_is_quoted_and_permanent(ask, fails, shop):
    assert "selec" in fails(shop, "selec 1").message
    error = fails(shop, "SELECT * FROM nowhere")
    assert "nowhere" in error.message and error.permanent
    ask(shop, "CREATE TABLE notes (id INTEGER PRIMARY KEY)")
    ask(shop, "INSERT INTO notes VALUES (1)")
    assert fails(shop, "INSERT INTO notes VALUES (1)").permanent


def test_a_failed_statement_changes_nothing(ask, fails, shop):
    ask(shop, "CREATE TABLE notes (id INTEGER PRIMARY KEY)")
    assert fails(shop, "INSERT INTO notes SELECT 1 UNION ALL SELECT 2 UNION ALL SELECT 1").permanent
    assert ask(shop, "SELECT * FROM notes")["rows"] == []


def test_duplicate_column_names_get_a_number(ask, shop):
    ask(shop, "CREATE TABLE notes (id INTEGER, n INTEGER)")
    ask(shop, "INSERT INTO notes VALUES (1, 2), (1, 3)")
    rows = ask(shop, "SELECT * FROM notes a JOIN notes b ON a.id = b.id WHERE a.n = 2 AND b.n = 3")["rows"]
    assert rows == [{"id": 1, "n": 2, "id_2": 1, "n_2": 3}]


@for_each("value", [None, 0, -5, 2**62, 1.5, 1e300, "", "é\n", "2026-01-05"])
def test_plain_values_are_stored_unchanged(ask, shop, value):
    ask(shop, "DROP TABLE IF EXISTS notes")
    kind = {str: "VARCHAR(50)", float: "DOUBLE PRECISION"}.get(type(value), "BIGINT")
    ask(shop, f"CREATE TABLE notes (a {kind})")
    ask(shop, "INSERT INTO notes VALUES (?)", [value])
    assert ask(shop, "SELECT a FROM notes")["rows"] == [{"a": value}]


PRICES = ["1650.00", "19.90", "0.00", "-7.25", "9999999999999.99"]
# More digits than a float can hold.
LONG = "12345678901234567890.12"


@pytest.fixture
def prices(ask, shop):
    """Return a database with a table of prices and a column of decimals without fraction digits."""
    ask(shop, "CREATE TABLE prices (id INTEGER, price DECIMAL(30, 2), pieces DECIMAL(20))")
    for number, price in enumerate(PRICES):
        cast = "?" if shop.kind == "sqlite" else "CAST(? AS DECIMAL(30, 2))"
        ask(shop, f"INSERT INTO prices VALUES (?, {cast}, 2)", [number, price])
    return shop


def types(rows):
    return {type(value) for row in rows for value in row.values()}


def test_all_decimals_of_a_column_have_the_same_number_type(ask, prices):
    assert column(ask(prices, "SELECT price FROM prices ORDER BY id")) == [float(price) for price in PRICES]
    assert column(ask(prices, "SELECT pieces FROM prices")) == [2] * len(PRICES)
    sums = ask(prices, "SELECT SUM(price) AS a, AVG(price) AS b, MAX(price * 2) AS c FROM prices WHERE id < 2")["rows"]
    assert sums == [{"a": 1669.9, "b": 834.95, "c": 3300}]
    assert ask(prices, "SELECT SUM(pieces) AS a FROM prices")["rows"] == [{"a": 2 * len(PRICES)}]
    if prices.kind != "sqlite":  # SQLite may store integers in such a column
        assert types(ask(prices, "SELECT price FROM prices")["rows"]) == {float}
        assert types(ask(prices, "SELECT SUM(price), AVG(price), SUM(price) / 3 FROM prices")["rows"]) == {float}
        assert types(ask(prices, "SELECT pieces, SUM(pieces) AS a FROM prices GROUP BY pieces")["rows"]) == {int}


def test_decimals_can_be_returned_as_text_with_all_digits(ask, prices):
    if prices.kind == "sqlite":  # SQLite has no decimal type
        found = ask(prices, "SELECT price FROM prices ORDER BY id", decimals="text")
        assert column(found) == [float(price) for price in PRICES]
        return
    ask(prices, f"INSERT INTO prices VALUES (5, {LONG}, 12345678901234567890)")
    assert column(ask(prices, "SELECT price FROM prices ORDER BY id", decimals="text")) == [*PRICES, LONG]
    assert column(ask(prices, "SELECT pieces FROM prices WHERE id > 3 ORDER BY id", decimals="text")) == [
        *("2", "12345678901234567890")
    ]
    sums = ask(prices, "SELECT SUM(price) AS a, SUM(pieces) AS b FROM prices WHERE id < 2", decimals="text")["rows"]
    assert sums == [{"a": "1669.90", "b": "4"}]
    assert types(ask(prices, "SELECT id FROM prices", decimals="text")["rows"]) == {int}


@pytest.mark.parametrize("value", [LONG, "99999999999999.99", "12345678901234567890123"])
def test_a_decimal_that_would_lose_digits_as_a_number_fails_and_changes_nothing(ask, fails, prices, value):
    if prices.kind == "sqlite":
        pytest.skip("SQLite has no decimals: the number has lost them when it is stored")
    ask(prices, f"INSERT INTO prices VALUES (5, {value}, 1)")
    error = fails(prices, "SELECT id, price FROM prices")
    assert error.permanent and "column 'price'" in error.message and "cast it to text" in error.message
    kind = "CHAR(40)" if prices.kind == "mysql" else "TEXT"
    (found,) = column(ask(prices, f"SELECT CAST(price AS {kind}) AS a FROM prices WHERE id = 5"))
    assert found.startswith(value)
    fails(prices, f"INSERT INTO prices VALUES (6, {value}, 1) RETURNING price")
    assert column(ask(prices, "SELECT COUNT(*) FROM prices")) == [len(PRICES) + 1]


def test_an_object_is_stored_as_json(ask, shop):
    ask(shop, f"CREATE TABLE notes (doc {'JSONB' if shop.kind == 'postgres' else 'TEXT'})")
    ask(shop, "INSERT INTO notes VALUES (?)", [{"a": ["é", {"b": None}]}])
    (found,) = column(ask(shop, "SELECT doc FROM notes"))
    assert found == ({"a": ["é", {"b": None}]} if shop.kind == "postgres" else '{"a": ["é", {"b": null}]}')


def test_a_response_that_is_too_large_is_refused(fails, shop, monkeypatch):
    for module in (postgres, mysql, sqlite):
        monkeypatch.setattr(module, "MAX_BYTES", 2**20)
    if shop.kind == "mysql":
        monkeypatch.setattr(mysql._session_class(), "room", 2**20)
    text = "'" + "x" * 2_000 + "'"
    rows = " UNION ALL ".join(f"SELECT {number} AS n" for number in range(100))
    error = fails(shop, f"SELECT a.n, {text} FROM ({rows}) a JOIN ({rows}) b ON 1 = 1")
    assert "the response has more than" in error.message and error.permanent


def test_a_statement_ends_at_its_timeout(fails, shop):
    endless = {
        "sqlite": "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT COUNT(*) FROM n",
        "postgres": "SELECT pg_sleep(60)",
        "mysql": "SELECT SLEEP(60)",
    }
    began = time.monotonic()
    error = fails(shop, endless[shop.kind], timeout=0.3)
    assert time.monotonic() - began < 15
    assert not error.permanent and "in time" in error.message
    assert not fails(shop, endless[shop.kind], context={"seconds": 0.3}).permanent


@pytest.mark.parametrize(
    ("config", "part"),
    [
        ({"params": "x"}, "params must be a list or an object"),
        ({"params": 5}, "params must be a list or an object"),
        ({"params": [0] * 10_001}, "at most 10,000 values"),
        ({"batch": {"a": 1}}, "batch must be a list"),
        ({"batch": [[1], 5]}, "batch[1] must be a list or an object"),
        ({"batch": [[1]] * 10_001}, "at most 10,000 items"),
        ({"batch": [[1]], "params": [1]}, "cannot be combined"),
        ({"params": [1]}, "has 2 placeholders ?, params has 1 value; for :name, params must be an object"),
        ({"params": {"a": 1}}, "the statement has placeholders without values in params"),
    ],
)
def test_invalid_params_are_refused(fails, sqlite, config, part):
    error = fails(sqlite, "SELECT ?, ?", **config)
    assert part in error.message and error.permanent


@pytest.mark.parametrize(
    "config",
    [{"max_rows": 0}, {"max_rows": 100_001}, {"timeout": 0}, {"read_only": "perhaps"}, {"decimals": "float"}],
)
def test_a_bad_setting_is_refused(config):
    with pytest.raises(ValidationError) as caught:
        REGISTRY["sql"].Config().load({"credential": "a", "statement": "b", **config})
    assert caught.value.messages.keys() == config.keys()


def test_expressions_in_the_statement_are_not_evaluated():
    for key in ("statement", "credential", "max_rows", "decimals", "timeout", "read_only"):
        assert REGISTRY["sql"].Config().fields[key].metadata["x-literal"]


# Egress and secrets


def test_a_database_blocked_by_the_egress_rule_is_refused(fails, sql_server):
    error = fails(database("any", sql_server.url(host="127.0.0.2")), "SELECT 1")
    assert "may not be reached" in error.message and error.permanent


def test_a_credential_is_not_sent_to_a_host_outside_its_allowed_hosts(fails, postgres):
    kind, data = postgres.credentials["shop"]
    postgres.credentials["shop"] = (kind, data, ("db.example.com",))
    assert "may not be sent to 127.0.0.1" in fails(postgres, "SELECT 1").message


def test_a_secret_is_not_written_to_a_database_outside_its_allowed_hosts(make_ctx, sqlite):
    other = ("http_bearer", {"token": "s3cret!"}, ("a.example",))
    ctx, _ = make_ctx(credentials={**sqlite.credentials, "other": other})
    node = REGISTRY["sql"]
    config = {"credential": "shop", "statement": "SELECT ?", "params": [f"x {ctx.keyring['other']}"]}
    with pytest.raises(NodeError) as caught:
        node.run(node.Config().load(config), None, ctx)
    assert "'other' may not be sent to a file of the workspace" in caught.value.message


@pytest.mark.parametrize(
    ("query", "part"),
    [
        ("?host=/tmp", "unknown option 'host'"),
        ("?hostaddr=10.0.0.1", "unknown option 'hostaddr'"),
        ("?sslrootcert=/etc/passwd", "unknown option 'sslrootcert'"),
        ("?service=x&sslmode=require", "unknown option 'service'"),
        ("?sslmode=sometimes", "sslmode must be one of"),
    ],
)
def test_a_postgresql_url_cannot_redirect_the_driver(fails, query, part):
    error = fails(database("any", f"postgresql://app:geheim@127.0.0.1:1/shop{query}"), "SELECT 1")
    assert part in error.message and error.permanent and "geheim" not in error.message


@pytest.mark.parametrize("query", ["?unix_socket=/tmp/s", "?read_default_file=/etc/my.cnf", "?local_infile=1"])
def test_a_mysql_url_cannot_redirect_the_driver(fails, query):
    error = fails(database("any", f"mysql://app:geheim@127.0.0.1:1/shop{query}"), "SELECT 1")
    assert "unknown option" in error.message and error.permanent


@pytest.mark.parametrize("scheme", ["postgresql", "postgres", "mysql"])
def test_a_refused_connection_is_not_permanent(fails, scheme):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    error = fails(database("any", f"{scheme}://app:geheim@127.0.0.1:{port}/shop"), "SELECT 1")
    assert not error.permanent and "geheim" not in error.message and "refused" in error.message


@pytest.mark.parametrize("scheme", ["postgresql", "mysql"])
def test_a_silent_server_is_given_up_at_the_timeout(fails, scheme):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        began = time.monotonic()
        url = f"{scheme}://app:geheim@127.0.0.1:{listener.getsockname()[1]}/shop"
        error = fails(database("any", url), "SELECT 1", timeout=0.3)
        assert time.monotonic() - began < 15 and not error.permanent


@pytest.mark.parametrize("scheme", ["postgresql", "mysql"])
@pytest.mark.parametrize(
    "answer", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\0" * 100, b"\x05\0\0\0\x0aabcd", b"E\xff\xff\xff\xff"]
)
def test_a_server_with_another_protocol_is_an_error(fails, scheme, answer):
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve():
            connection, _ = listener.accept()
            with connection:
                connection.sendall(answer)
                connection.recv(65536)

        thread = threading.Thread(target=serve)
        thread.start()
        url = f"{scheme}://app:geheim@127.0.0.1:{listener.getsockname()[1]}/shop"
        error = fails(database("any", url), "SELECT 1", timeout=1)
        thread.join(60)
    assert error.message and "geheim" not in error.message


# Testing a credential


def check(make_ctx, found, **context):
    ctx, _ = make_ctx(credentials=found.credentials, **context)
    return databases.check(ctx.credential("shop"), ctx, {})


def test_the_check_of_a_working_credential_names_the_database(make_ctx, ask, shop):
    ask(shop, "CREATE TABLE notes (id INTEGER)")
    name = {"sqlite": "SQLite", "postgres": "PostgreSQL", "mysql": "MySQL"}[shop.kind]
    assert check(make_ctx, shop).startswith(f"connected to {name} ")


def test_the_check_of_a_missing_database_file_is_reported_as_untested(make_ctx, sqlite):
    with pytest.raises(Untested, match="the first statement creates it"):
        check(make_ctx, sqlite)


def test_the_check_of_a_broken_credential_gives_the_reason(make_ctx, postgres_server):
    with pytest.raises(NodeError) as caught:
        check(make_ctx, database("any", postgres_server.url(password="falsch!")))
    assert "password authentication failed" in caught.value.message and "falsch!" not in caught.value.message


# Values and names


def test_renamed_columns_do_not_collide_with_existing_names():
    assert rename_duplicates(["a", "a", "a_2", "a"]) == ["a", "a_3", "a_2", "a_4"]


def test_a_value_of_an_unknown_type_becomes_text():
    assert plain(threading.Event) == str(threading.Event)


# The contract


@pytest.fixture
def case_sql(postgres, postgres_server):
    postgres_server.admin("CREATE TABLE visits (note text)", "GRANT ALL ON visits TO app")
    return Case(
        config={
            "credential": "shop",
            "statement": "INSERT INTO visits VALUES (:note) RETURNING note, current_user, :note || '!' AS shouted",
            "params": {"note": PASSWORD},
        },
        credentials=postgres.credentials,
        secret=PASSWORD,
        stalled={"statement": "SELECT pg_sleep(60), :note::text"},
        count=lambda: len(postgres_server.admin("SELECT * FROM visits")),
    )


class TestSqlKeepsTheContract(Contract):
    type_ = "sql"


@pytest.mark.parametrize("address", ["sqlite:////etc/passwd.db", "sqlite:////srv/shop.db"])
def test_a_credential_for_a_file_outside_the_workspace_is_refused_on_creation(address):
    with pytest.raises(ValidationError, match="one of the workspace's files: sqlite:///shop.sqlite3"):
        TYPES["database_url"].load({"url": address})


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
