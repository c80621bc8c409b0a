"""Behavior of the `sql` node that is specific to one database."""

import sqlite3
import time
from pathlib import Path

import pytest
from each import for_each
from sql_servers import HOSTILE, PASSWORD, column, database

from errors import NodeError
from net.egress import Rule

# PostgreSQL


def test_a_password_may_contain_any_characters(ask, sql_server):
    assert ask(database("any", sql_server.url()), "SELECT 1 AS a")["rows"] == [{"a": 1}]


def test_a_wrong_password_or_database_is_permanent_and_the_password_is_not_shown(fails, sql_server):
    error = fails(database("any", sql_server.url(password="falsch!")), "SELECT 1")
    assert error.permanent and "falsch!" not in error.message
    assert fails(database("any", sql_server.url(database="nowhere")), "SELECT 1").permanent


@for_each(
    "expression, value",
    [
        ("5::smallint", 5),
        ("9223372036854775807", 2**63 - 1),
        ("19.90::numeric", 19.9),
        ("1650.00::numeric", 1650.0),
        ("12::numeric", 12),
        ("18446744073709551615::numeric", 2**64 - 1),
        ("9999999999999.99::numeric", 9999999999999.99),
        ("0.1234567890123456789::numeric", 0.12345678901234568),
        ("array[1650.00, 19.9]", [1650.0, 19.9]),
        ("'NaN'::numeric", "NaN"),
        ("'-Infinity'::float8", "-Infinity"),
        ("1.5::float4", 1.5),
        ("true", True),
        ("'2026-02-28'::date", "2026-02-28"),
        ("'infinity'::date", "infinity"),
        ("'0044-03-15 BC'::date", "0044-03-15 BC"),
        ("'2026-01-05 10:00:00.5'::timestamp", "2026-01-05T10:00:00.500000"),
        ("'2026-01-05 10:00:00+02'::timestamptz", "2026-01-05T08:00:00+00:00"),
        ("'infinity'::timestamptz", "infinity"),
        ("'24:00'::time", "24:00:00"),
        ("'10:00:00'::time", "10:00:00"),
        ("'1 month 2 days 03:00'::interval", "1 mon 2 days 03:00:00"),
        ("'\\x00ff'::bytea", "AP8="),
        ("'6f2a1c30-0000-4000-8000-000000000001'::uuid", "6f2a1c30-0000-4000-8000-000000000001"),
        ("'{\"a\": [1, null, 1.5]}'::jsonb", {"a": [1, None, 1.5]}),
        ("'[123456789012345678901234567890]'::json", ["123456789012345678901234567890"]),
        ("'{{1,2},{3,NULL}}'::int[]", [[1, 2], [3, None]]),
        ("array['a', 'b']", ["a", "b"]),
        ("array['infinity'::date]", ["infinity"]),
        ("'[1,5)'::int4range", "[1,5)"),
        ("'10.0.0.1'::inet", "10.0.0.1"),
        ("'(1,2)'::point", "(1,2)"),
        ("row(1, 'a')", ["1", "a"]),
        ("'5.00'::money", "$5.00"),
    ],
)
def test_values_of_postgresql_as_json(ask, postgres, expression, value):
    (found,) = column(ask(postgres, f"SELECT {expression} AS a"))
    assert (found, type(found)) == (value, type(value))


def test_a_list_of_plain_values_is_an_array_of_postgresql(ask, postgres):
    assert column(ask(postgres, "SELECT n FROM generate_series(1, 9) n WHERE n = ANY(?)", [[2, 3, 11]])) == [2, 3]
    assert column(ask(postgres, "SELECT ?::text[]", [["a'b", None]])) == [["a'b", None]]
    assert column(ask(postgres, "SELECT ?::text[]", [[]])) == [[]]


def test_operators_with_question_marks_can_be_used(ask, postgres):
    assert column(ask(postgres, """SELECT '{"a": 1}'::jsonb ?? ?""", ["a"])) == [True]
    assert column(ask(postgres, """SELECT '{"a": 1}'::jsonb ? :key""", {"key": "a"})) == [True]
    assert column(ask(postgres, """SELECT '{"a": 1}'::jsonb ? 'a'""")) == [True]


@for_each(
    "code, permanent",
    [("40001", False), ("40P01", False), ("53300", False), ("55P03", False), ("57P01", False), ("08006", False)]
    + [("22012", True), ("23505", True), ("42601", True), ("P0001", True), ("XX000", True)],
)
def test_the_error_code_decides_whether_an_error_is_permanent(fails, postgres, code, permanent):
    raised = f"RAISE EXCEPTION 'so it is' USING ERRCODE = '{code}', HINT = 'do this'"
    error = fails(postgres, f"DO $$ BEGIN {raised}; END $$")
    assert (error.message, error.permanent) == (f"PostgreSQL: so it is; do this ({code})", permanent)


def test_a_lost_connection_is_not_permanent(fails, postgres):
    assert not fails(postgres, "SELECT pg_terminate_backend(pg_backend_pid())").permanent


@for_each(
    "statement, params, part",
    [
        ("SELECT jsonb_build_object('a', ?)", ["x"], "?::text"),
        ("SELECT ?", ["a\0b"], "NUL"),
        ("SELECT ?", ["\ud800"], "surrogates"),
        ("SELECT ?::text[]", [[1, "a"]], "mixed types"),
        ("VACUUM", None, "already a transaction"),
        ("COPY pg_class TO STDOUT", None, "COPY is not supported"),
        ("SELECT ('" + "[" * 5_000 + "]" * 5_000 + "')::json", None, "deep"),
        ("SELECT ('" + "[" * 150 + "]" * 150 + "')::json", None, "levels deep"),
    ],
)
def test_unsupported_statements_and_values_are_permanent_errors(fails, postgres, statement, params, part):
    error = fails(postgres, statement, params)
    assert part in error.message and error.permanent


def test_a_statement_that_times_out_is_cancelled_in_the_server(fails, postgres, postgres_server):
    fails(postgres, "SELECT pg_sleep(60) /* late */", timeout=0.3)
    end = time.monotonic() + 30
    query = "SELECT 1 FROM pg_stat_activity WHERE query LIKE '%late%' AND state = 'active' AND pid <> pg_backend_pid()"
    while postgres_server.admin(query):
        assert time.monotonic() < end
        time.sleep(0.02)


def test_session_state_does_not_leak_into_the_next_statement(ask, postgres):
    ask(postgres, "SET search_path = pg_catalog")
    ask(postgres, "CREATE TEMP TABLE mine (id int)")
    assert column(ask(postgres, "SHOW search_path")) == ['"$user", public']
    assert column(ask(postgres, "SELECT to_regclass('pg_temp.mine')")) == [None]


def test_passwords_of_the_servers_environment_are_not_used(fails, postgres_server, monkeypatch, tmp_path):
    passwords = tmp_path / "pgpass"
    passwords.write_text(f"*:*:*:*:{PASSWORD}")
    passwords.chmod(0o600)
    monkeypatch.setenv("PGPASSFILE", str(passwords))
    monkeypatch.setenv("PGPASSWORD", PASSWORD)
    assert "no password" in fails(database("any", postgres_server.url(password="")), "SELECT 1").message


def test_session_options_may_be_in_the_url(ask, postgres_server):
    url = postgres_server.url(query="?options=-csearch_path%3Dpg_catalog&application_name=till")
    assert column(ask(database("any", url), "SHOW search_path")) == ["pg_catalog"]
    assert column(ask(database("any", url), "SHOW application_name")) == ["till"]


# TLS


@pytest.fixture(params=["postgres", pytest.param("mysql", marks=pytest.mark.slow)])
def server(request):
    server = request.getfixturevalue(f"{request.param}_server")
    if not server.tls:
        pytest.skip(f"this machine's {request.param} was built without TLS")
    return server


ENCRYPTED = {
    "postgresql": "SELECT ssl::int FROM pg_stat_ssl WHERE pid = pg_backend_pid()",
    "mysql": "SELECT variable_value <> '' FROM information_schema.session_status WHERE variable_name = 'Ssl_cipher'",
}


@pytest.mark.parametrize(("query", "encrypted"), [("", 1), ("?sslmode=require", 1), ("?sslmode=disable", 0)])
def test_a_connection_is_encrypted_unless_tls_is_disabled(ask, server, query, encrypted):
    assert column(ask(database("any", server.url(query=query)), ENCRYPTED[server.scheme])) == [encrypted]


@pytest.mark.parametrize("mode", ["verify-ca", "verify-full"])
def test_a_verifying_sslmode_requires_a_trusted_certificate(ask, fails, server, authority, mode):
    known = database("any", server.url(query=f"?sslmode={mode}"))
    assert column(ask(known, ENCRYPTED[server.scheme], context={"ca_file": authority.file})) == [1]
    error = fails(known, "SELECT 1")
    assert error.permanent and "certificate" in error.message


def test_verify_ca_ignores_the_host_name_and_verify_full_checks_it(ask, fails, server, authority):
    context = {"ca_file": authority.file, "rule": Rule(["localhost"])}
    loose, strict = (database("any", server.url("localhost", query=f"?sslmode=verify-{how}")) for how in ("ca", "full"))
    assert ask(loose, "SELECT 1 AS a", context=context)["rows"] == [{"a": 1}]
    assert fails(strict, "SELECT 1", context=context).permanent


# MySQL


@pytest.mark.slow
@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("CAST(19.90 AS DECIMAL(10, 2))", 19.9),
        ("CAST(1650 AS DECIMAL(10, 2))", 1650.0),
        ("CAST(12 AS DECIMAL(32))", 12),
        ("18446744073709551615", 2**64 - 1),
        ("x'00ff'", "AP8="),
        ("CAST('2026-01-05 10:00:00' AS DATETIME)", "2026-01-05T10:00:00"),
        ("CAST('0000-00-00' AS DATETIME)", "0000-00-00 00:00:00"),
        ("CAST('-30:00:01' AS TIME)", "-30:00:01"),
        ("b'100000001'", "AQE="),
        ("1.5e0", 1.5),
        ("TRUE", 1),
    ],
)
def test_values_of_mysql_as_json(ask, mysql, expression, value):
    (found,) = column(ask(mysql, f"SELECT {expression} AS a"))
    assert (found, type(found)) == (value, type(value))


@pytest.mark.slow
def test_times_are_in_utc_for_mysql(make_ctx, ask, mysql):
    import datetime

    zone = datetime.timezone(datetime.timedelta(hours=2))
    ask(mysql, "CREATE TABLE notes (at TIMESTAMP NULL, bits BIT(9))")
    ask(mysql, "INSERT INTO notes VALUES (?, b'100000001')", [datetime.datetime(2026, 1, 5, 10, tzinfo=zone)])
    assert ask(mysql, "SELECT * FROM notes")["rows"] == [{"at": "2026-01-05T08:00:00", "bits": 257}]


@pytest.mark.slow
def test_the_mysql_mode_without_backslash_escapes_is_respected(mysql_server, ask, mysql):
    """The server's SQL mode decides whether a placeholder is inside a string."""
    mysql_server.admin("SET GLOBAL sql_mode = 'NO_BACKSLASH_ESCAPES'")
    try:
        for value in HOSTILE:
            assert ask(mysql, r"SELECT '\', ? AS a, '\'", [value])["rows"] == [{"\\": "\\", "a": value, "\\_2": "\\"}]
    finally:
        mysql_server.admin("SET GLOBAL sql_mode = DEFAULT")


@pytest.mark.slow
def test_no_file_of_this_machine_is_sent_to_mysql(fails, mysql):
    assert fails(mysql, "LOAD DATA LOCAL INFILE '/etc/hostname' INTO TABLE notes (note)").permanent


# SQLite


@pytest.mark.parametrize(
    "statement",
    [
        "ATTACH '/tmp/other.db' AS other",
        "ATTACH ':memory:' AS other",
        "DETACH main",
        "VACUUM",
        "VACUUM INTO '/tmp/other.db'",
        "PRAGMA writable_schema = ON",
        "PRAGMA journal_mode = WAL",
        "PRAGMA query_only = OFF",
        "PRAGMA max_page_count = 4294967294",
        "PRAGMA database_list",
        "SELECT * FROM pragma_database_list",
        "SELECT load_extension('/tmp/x.so')",
        "SELECT fts3_tokenizer('simple')",
        "CREATE VIRTUAL TABLE t USING dbstat",
        "COMMIT",
        "BEGIN",
        "ROLLBACK",
        "SAVEPOINT a",
        "INSERT INTO sqlite_master VALUES ('table', 'a', 'a', 2, 'x')",
    ],
)
def test_a_statement_cannot_reach_beyond_its_database_file(fails, sqlite, statement):
    assert fails(sqlite, statement).permanent


def test_full_text_search_and_table_info_are_allowed(ask, sqlite):
    ask(sqlite, "CREATE VIRTUAL TABLE notes USING fts5(note)")
    ask(sqlite, "INSERT INTO notes VALUES ('a needle'), ('hay')")
    assert ask(sqlite, "SELECT note FROM notes WHERE notes MATCH ?", ["needle"])["rows"] == [{"note": "a needle"}]
    assert column(ask(sqlite, "PRAGMA table_info(notes)")) == [0]


def test_foreign_keys_are_enforced(ask, fails, sqlite):
    ask(sqlite, "CREATE TABLE a (id INTEGER PRIMARY KEY)")
    ask(sqlite, "CREATE TABLE b (a INTEGER REFERENCES a)")
    assert "FOREIGN KEY" in fails(sqlite, "INSERT INTO b VALUES (1)").message


@pytest.mark.parametrize(
    ("url", "part"),
    [
        ("sqlite:///../data/headrace.db", "leads out"),
        ("sqlite:///%2e%2e/headrace.db", "leads out"),
        ("sqlite:///%2Fetc/passwd.db", "not a valid path of the workspace"),
        ("sqlite:///notes.txt", "must end with .db"),
        ("sqlite:///a.db?mode=memory", "unknown option 'mode'"),
        ("sqlite:///a.db%3Fvfs=unix-none", "must end with .db"),
    ],
)
def test_only_database_files_of_the_workspace_can_be_opened(fails, url, part):
    error = fails(database("sqlite", url), "SELECT 1")
    assert part in error.message and error.permanent


ENDLESS = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT "


@pytest.mark.skipif(not Path("/proc/thread-self/io").exists(), reason="this system has no /proc/thread-self/io")
def test_a_large_sort_does_not_fill_the_disk(fails, sqlite):
    """SQLite sorts in temporary files, and has no setting that limits their size."""
    error = fails(sqlite, f"{ENDLESS} randomblob(100000) AS b FROM n ORDER BY b")
    assert error.permanent and "needs too much temporary disk space" in error.message


@pytest.mark.slow
def test_the_timeout_holds_if_each_step_takes_long(fails, sqlite):
    began = time.monotonic()
    assert (
        "not answered in time"
        in fails(sqlite, f"{ENDLESS} max(length(randomblob(30000000))) FROM n", timeout=0.5).message
    )
    assert time.monotonic() - began < 120


def test_a_link_is_not_followed(fails, sqlite, tmp_path):
    sqlite3.connect(tmp_path / "other.db").close()
    (tmp_path / "files/data").mkdir(parents=True)
    (tmp_path / "files/data/shop.db").symlink_to(tmp_path / "other.db")
    assert "link" in fails(sqlite, "CREATE TABLE a (id)").message


def test_file_names_may_contain_special_characters(ask, tmp_path):
    ask(database("sqlite", "sqlite:///a%3F%23b%25%20c.db"), "CREATE TABLE a (id)")
    assert (tmp_path / "files/a?#b% c.db").is_file()


@pytest.mark.parametrize("name", ["shop.db-journal", "data/SHOP.SQLITE3-wal", "shop.sqlite-shm"])
def test_the_file_node_cannot_access_the_companion_files_of_a_database(run, name):
    """A journal can name any file on the machine, and SQLite then deletes that file."""
    for operation in ("write", "delete", "read"):
        with pytest.raises(NodeError) as caught:
            run("file", {"operation": operation, "path": name, "data": "x"})
        assert "beside a database" in caught.value.message


def test_a_database_has_a_maximum_size(ask, fails, sqlite):
    ask(sqlite, "CREATE TABLE notes (note)")
    assert "full" in fails(sqlite, "INSERT INTO notes VALUES (zeroblob(2000000))").message


def test_a_locked_database_is_not_a_permanent_error(fails, ask, sqlite, tmp_path):
    ask(sqlite, "CREATE TABLE notes (note)")
    other = sqlite3.connect(tmp_path / "files/data/shop.db", isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    error = fails(sqlite, "INSERT INTO notes VALUES (1)", timeout=0.2)
    other.close()
    assert not error.permanent


def test_a_file_that_is_not_a_database_is_an_error(fails, sqlite, tmp_path):
    (tmp_path / "files/data").mkdir(parents=True)
    (tmp_path / "files/data/shop.db").write_text("This is no database at all, it is a text" * 50)
    error = fails(sqlite, "SELECT * FROM sqlite_master")
    assert "not a database" in error.message and error.permanent


def test_read_only_does_not_create_a_file(fails, sqlite, tmp_path):
    assert "the file does not exist" in fails(sqlite, "SELECT 1", read_only=True).message
    assert not (tmp_path / "files/data/shop.db").exists()


@pytest.mark.parametrize("value", [2**64, "\ud800"])
def test_a_value_that_sqlite_cannot_store_is_permanent(fails, sqlite, value):
    assert fails(sqlite, "SELECT ?", [value]).permanent


@pytest.mark.parametrize(
    ("expression", "value"),
    [("x'00ff'", "AP8="), ("9e999", "Infinity"), ("CAST(x'ff41' AS TEXT)", "\ufffdA"), ("1 = 1", 1), ("NULL", None)],
)
def test_values_of_sqlite_as_json(ask, sqlite, expression, value):
    assert ask(sqlite, f"SELECT {expression} AS a")["rows"] == [{"a": value}]
