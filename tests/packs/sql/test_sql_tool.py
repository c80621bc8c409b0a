"""The tools `sql_query` and `sql_schema`: the results they read, and that no statement can change anything."""

import sqlite3
import time

import pytest
from each import for_each
from node_contexts import Spec, called
from sql_servers import PASSWORD, database

from errors import NodeError
from packs.agents.tools.base import find_issues
from packs.sql.agent_tools import check_reads

SQL = Spec("sql", {"credential": "shop"})


@pytest.fixture(params=["sqlite", "postgres", pytest.param("mysql", marks=pytest.mark.slow)])
def shop(request, run):
    """Each kind of database in turn, with a table `notes` of one row."""
    return create_notes(request.getfixturevalue(request.param), run)


def create_notes(server, run):
    for statement in ("CREATE TABLE notes (id INTEGER, note VARCHAR(200))", "INSERT INTO notes VALUES (1, 'a')"):
        run("sql", {"credential": "shop", "statement": statement}, credentials=server.credentials)
    return server


@pytest.fixture
def rows(run):
    """`rows(server)` reads all rows of `notes` with the node `sql`."""

    def rows(server):
        config = {"credential": "shop", "statement": "SELECT * FROM notes"}
        return run("sql", config, credentials=server.credentials)["rows"]

    return rows


@pytest.fixture
def query(tools):
    def query(server, statement, params=None, **context):
        toolbox = tools(SQL, credentials=server.credentials, **context)
        return called(toolbox, "sql_query", query=statement, **({} if params is None else {"params": params}))

    return query


@pytest.fixture
def fails(query):
    def fails(*args, **context):
        with pytest.raises(NodeError) as caught:
            query(*args, **context)
        return caught.value

    return fails


# Reading


def test_rows_are_read_with_bound_values(query, shop):
    answer = {"rows": [{"id": 1, "note": "a"}], "row_count": 1, "truncated": False}
    assert query(shop, "SELECT * FROM notes WHERE id = ?", [1]) == answer
    assert query(shop, "SELECT * FROM notes WHERE note = :note", {"note": "a"}) == answer
    assert query(shop, "SELECT * FROM notes WHERE note = ?", ["a' OR 1=1 -- "])["rows"] == []
    assert query(shop, "/* a */ -- b\n (SELECT 2 AS n);" if shop.kind != "sqlite" else "/* a */ -- b\n SELECT 2 AS n;")[
        "rows"
    ] == [{"n": 2}]
    assert query(shop, "WITH a AS (SELECT 3 AS n) SELECT * FROM a")["rows"] == [{"n": 3}]


def test_decimals_are_returned_as_numbers(query, run, shop):
    for statement in ("CREATE TABLE prices (price DECIMAL(30, 2))", "INSERT INTO prices VALUES (1650.00), (19.90)"):
        run("sql", {"credential": "shop", "statement": statement}, credentials=shop.credentials)
    assert query(shop, "SELECT price FROM prices ORDER BY price")["rows"] == [{"price": 19.9}, {"price": 1650}]
    assert query(shop, "SELECT SUM(price) AS a FROM prices")["rows"] == [{"a": 1669.9}]


def test_a_decimal_that_would_lose_digits_is_an_error(fails, postgres):
    error = fails(postgres, "SELECT 12345678901234567890.12 AS total")
    assert "column 'total'" in error.message and "cast it to text" in error.message


def test_the_tables_are_listed_with_their_columns(tools, shop):
    listed = called(tools(SQL, credentials=shop.credentials), "sql_schema")
    name = {"sqlite": "notes", "postgres": "public.notes", "mysql": "shop.notes"}[shop.kind]
    title = {"sqlite": "SQLite", "postgres": "PostgreSQL", "mysql": "MySQL"}[shop.kind]
    kinds = {"sqlite": ("INTEGER", "VARCHAR(200)"), "postgres": ("integer", "character varying")}
    id_, note = kinds.get(shop.kind, ("int(11)", "varchar(200)"))
    assert listed == {
        "database": title,
        "tables": [{"table": name, "columns": {"id": id_, "note": note}}],
        "truncated": False,
    }


def test_at_most_200_rows_are_returned_and_all_are_counted(query, shop):
    digits = "(SELECT 0 AS n UNION ALL SELECT 1 UNION ALL SELECT 2 UNION ALL SELECT 3 UNION ALL SELECT 4)"
    answer = query(shop, f"SELECT a.n AS n FROM {digits} a, {digits} b, {digits} c, {digits} d")
    assert (answer["row_count"], answer["truncated"], len(answer["rows"])) == (625, True, 200)


def test_long_values_are_truncated(query, shop):
    answer = query(shop, "SELECT ? AS note FROM notes", ["x" * 90_000])
    assert len(answer["rows"][0]["note"]) < 20_000 and "more characters were cut" in answer["rows"][0]["note"]


def test_the_error_names_the_mistake_in_a_query(fails, shop):
    assert "nowhere" in fails(shop, "SELECT * FROM nowhere").message
    error = fails(shop, "SELECT * FROM notes WHERE id = ?", [1, 2])
    assert "1 placeholder ?, params has 2 values" in error.message


@pytest.mark.slow
def test_an_endless_statement_times_out(fails, shop):
    endless = {
        "sqlite": "WITH RECURSIVE a(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM a) SELECT COUNT(*) FROM a",
        "postgres": "SELECT pg_sleep(60)",
        "mysql": "SELECT SLEEP(60)",
    }
    began = time.monotonic()
    assert fails(shop, endless[shop.kind], seconds=1).message
    assert time.monotonic() - began < 20


def test_invalid_and_oversized_arguments_are_rejected(tools, sqlite, run):
    made = tools(SQL, credentials=create_notes(sqlite, run).credentials)["sql_query"]
    assert find_issues(made, {"query": "SELECT 1", "params": "a"}) != []
    assert find_issues(made, {"query": "x" * 20_001}) != []
    assert find_issues(made, {"query": "SELECT ?", "params": [1] * 101}) != []
    assert made.may_repeat({"query": "SELECT 1"})


# The credential


def test_the_error_for_a_missing_credential_names_its_type(tools):
    with pytest.raises(NodeError) as caught:
        tools(Spec("sql"))
    assert caught.value.message.startswith("the tool sql needs a credential of the type database_url")
    assert '{"sql": "its name"}' in caught.value.message and caught.value.permanent


def test_the_caller_of_an_agent_can_supply_the_credential(tools, sqlite, run):
    toolbox = tools(Spec("sql"), credentials=create_notes(sqlite, run).credentials, lent={"sql": "shop"})
    assert called(toolbox, "sql_query", query="SELECT 1 AS n")["rows"] == [{"n": 1}]


def test_a_database_at_a_forbidden_address_is_rejected(fails, postgres_server):
    error = fails(database("postgres", postgres_server.url(host="127.0.0.2")), "SELECT 1")
    assert "may not be reached" in error.message


def test_errors_do_not_contain_the_password(fails, postgres_server):
    error = fails(database("postgres", postgres_server.url(password="falsch!")), "SELECT 1")
    assert "authentication failed" in error.message and "falsch!" not in error.message and PASSWORD not in error.message


# Statements that change something or reach outside the database


UNSAFE = [
    "INSERT INTO notes VALUES (2, 'b')",
    "UPDATE notes SET note = 'b'",
    "DELETE FROM notes",
    "CREATE TABLE more (id INTEGER)",
    "DROP TABLE notes",
    "ALTER TABLE notes ADD COLUMN more INTEGER",
    "CREATE VIEW v AS SELECT 1",
    "CREATE INDEX i ON notes (id)",
    "/* SELECT */ DELETE FROM notes",
    "-- SELECT\nDELETE FROM notes",
    "\ufeffDELETE FROM notes",
    "(DELETE FROM notes)",
    "SELECT 1; DELETE FROM notes",
    "SELECT 1;;DELETE FROM notes",
    "WITH a AS (SELECT 1) DELETE FROM notes",
    "WITH a AS (SELECT 2 AS id) INSERT INTO notes SELECT id, 'b' FROM a",
    "COMMIT",
    "BEGIN",
    "ROLLBACK; DELETE FROM notes",
    "SAVEPOINT a",
    " ",
    ";",
    "-- only a comment",
]
UNSAFE_SQLITE = [
    "REPLACE INTO notes VALUES (1, 'b')",
    "PRAGMA user_version = 5",
    "PRAGMA query_only = OFF",
    "PRAGMA writable_schema = ON",
    "PRAGMA journal_mode = WAL",
    "ATTACH 'other.db' AS other",
    "VACUUM",
    "VACUUM INTO 'copy.db'",
    "REINDEX",
    "ANALYZE",
    "SELECT load_extension('x')",
    "SELECT * FROM pragma_user_version(5)",
    "SELECT writefile('x', 'y')",
    "SELECT edit('x')",
    "EXPLAIN INSERT INTO notes VALUES (2, 'b')",
]
UNSAFE_POSTGRES = [
    "WITH a AS (INSERT INTO notes VALUES (2, 'b') RETURNING *) SELECT * FROM a",
    "WITH a AS (DELETE FROM notes RETURNING *) SELECT * FROM a",
    "EXPLAIN ANALYZE DELETE FROM notes",
    "EXPLAIN (ANALYZE) INSERT INTO notes VALUES (2, 'b')",
    "SELECT * INTO more FROM notes",
    "SELECT * FROM notes FOR UPDATE",
    "/* /* */ SELECT */ DELETE FROM notes",
    "DO $$ BEGIN DELETE FROM notes; END $$",
    "CALL p()",
    "COPY notes TO PROGRAM 'cat'",
    "COPY notes FROM PROGRAM 'echo 1'",
    "COPY (SELECT 1) TO '/tmp/headrace-copy'",
    "TRUNCATE notes",
    "SET TRANSACTION READ WRITE",
    "SET SESSION CHARACTERISTICS AS TRANSACTION READ WRITE",
    "RESET ROLE",
    "LOCK notes",
    "LISTEN a",
    "NOTIFY a",
    "PREPARE p AS DELETE FROM notes",
    "EXECUTE p",
    "VACUUM notes",
    "SELECT set_config('transaction_read_only', 'off', false)",
    "SELECT \"set_config\"('transaction_read_only', 'off', false)",
    "SELECT pg_catalog . SET_CONFIG ('transaction_read_only', 'off', false)",
    "SELECT U&\"set\\005fconfig\"('transaction_read_only', 'off', false)",
    "SELECT setval('numbers', 100)",
    "SELECT nextval('numbers')",
    "SELECT pg_read_file('/etc/passwd')",
    "SELECT pg_read_binary_file('/etc/passwd')",
    "SELECT pg_ls_dir('/')",
    "SELECT pg_stat_file('/etc/passwd')",
    "SELECT lo_import('/etc/passwd')",
    "SELECT lo_export(1, '/tmp/headrace-lo')",
    "SELECT lo_create(4711)",
    "SELECT lo_unlink(1)",
    "SELECT dblink('dbname=shop', 'DELETE FROM notes')",
    "SELECT dblink_exec('dbname=shop', 'DELETE FROM notes')",
    "SELECT pg_terminate_backend(pg_backend_pid())",
    "SELECT pg_cancel_backend(1)",
    "SELECT pg_reload_conf()",
    "SELECT pg_notify('a', 'b')",
    "SELECT pg_advisory_lock(1)",
    "SELECT query_to_xml('SELECT pg_cancel_backend(1)', true, true, '')",
    "SELECT * FROM ts_stat('SELECT to_tsvector(pg_advis' || 'ory_lock(1)::text)')",
    "SELECT ts_rewrite('a'::tsquery, 'SELECT pg_advis' || 'ory_lock(1)::text::tsquery, ''b''::tsquery')",
    "SELECT * FROM crosstab('SELECT pg_can' || 'cel_backend(1)') AS t (a text)",
    "SELECT pg_create_physical_replication_slot('a')",
    "SELECT remove_all()",
]
UNSAFE_MYSQL = [
    "REPLACE INTO notes VALUES (1, 'b')",
    "/*! DELETE FROM notes */",
    "/*!50000 DELETE FROM notes */",
    "/*M! DELETE FROM notes */",
    "SELECT 1 /*! INTO OUTFILE '/tmp/headrace-out' */",
    "SELECT * FROM notes INTO OUTFILE '/tmp/headrace-out'",
    "SELECT * FROM notes INTO DUMPFILE '/tmp/headrace-out'",
    "SELECT LOAD_FILE('/etc/passwd')",
    "SELECT `load_file`('/etc/passwd')",
    "LOAD DATA INFILE '/etc/passwd' INTO TABLE notes",
    "SET GLOBAL max_connections = 1",
    "SET SESSION TRANSACTION READ WRITE",
    "START TRANSACTION READ WRITE",
    "LOCK TABLES notes WRITE",
    "TRUNCATE TABLE notes",
    "CALL p()",
    "DO SLEEP(0)",
    "KILL 1",
    "FLUSH TABLES",
    "HANDLER notes OPEN",
    "PREPARE p FROM 'DELETE FROM notes'",
    "ANALYZE DELETE FROM notes",
    "SELECT remove_all()",
    "SELECT NEXTVAL(numbers)",
    "SELECT SETVAL(numbers, 100)",
    "SELECT GET_LOCK('a', 1)",
    "SHUTDOWN",
]


@for_each("statement", UNSAFE)
def test_unsafe_statements_are_rejected(fails, rows, shop, statement):
    assert fails(shop, statement).permanent
    assert rows(shop) == [{"id": 1, "note": "a"}]


@pytest.fixture
def noted_sqlite(sqlite, run):
    return create_notes(sqlite, run)


@pytest.fixture
def noted_postgres(postgres, postgres_server, run):
    """A database with things that statements must not change."""
    create_notes(postgres, run)
    postgres_server.admin(
        "CREATE SEQUENCE numbers",
        "GRANT ALL ON numbers TO app",
        "CREATE PROCEDURE p() LANGUAGE sql AS 'DELETE FROM notes'",
        # SECURITY DEFINER: a call has the rights of the function's owner, who may do anything.
        "CREATE FUNCTION remove_all() RETURNS int LANGUAGE sql SECURITY DEFINER AS 'DELETE FROM notes; SELECT 1'",
        "CREATE FUNCTION remove_all(text) RETURNS int LANGUAGE sql SECURITY DEFINER AS 'DELETE FROM notes; SELECT 1'",
        "CREATE FUNCTION ask_out(int) RETURNS int LANGUAGE sql VOLATILE AS 'SELECT 1'",
        "CREATE FUNCTION \"Ask, too\"(int) RETURNS int LANGUAGE sql VOLATILE AS 'SELECT 1'",
    )
    return postgres


@for_each("statement", UNSAFE_SQLITE)
def test_unsafe_sqlite_statements_are_rejected(query, noted_sqlite, tmp_path, statement):
    before = {path.name: path.read_bytes() for path in (tmp_path / "files/data").iterdir()}
    with pytest.raises(NodeError) as caught:
        query(noted_sqlite, statement)
    assert caught.value.permanent
    assert {path.name: path.read_bytes() for path in (tmp_path / "files/data").iterdir()} == before


@for_each("statement", UNSAFE_POSTGRES)
def test_unsafe_postgresql_statements_are_rejected(fails, rows, noted_postgres, postgres_server, statement):
    assert fails(noted_postgres, statement).permanent
    assert rows(noted_postgres) == [{"id": 1, "note": "a"}]
    objects = "(SELECT count(*) FROM pg_largeobject_metadata)"
    assert postgres_server.admin(f"SELECT last_value, is_called, {objects} FROM numbers") == [(1, False, 0)]


@for_each(
    "call",
    ["ask_out(1)", "public.ASK_OUT (1)", '"ask_out"(1)', '"Ask, too"(1)', "ask_out/**/(1)", "(1)::text, ask_out(1)"],
)
def test_a_volatile_postgresql_function_is_rejected(fails, noted_postgres, call):
    """For example a function of an extension that calls other servers: a read-only transaction does not stop it."""
    error = fails(noted_postgres, f"SELECT {call}")
    assert error.permanent and "is not permitted" in str(error)


def test_a_stable_postgresql_function_is_permitted(query, postgres_server, run, postgres):
    create_notes(postgres, run)
    postgres_server.admin("CREATE FUNCTION twice(n int) RETURNS int LANGUAGE sql STABLE AS 'SELECT 2 * n'")
    assert query(postgres, "SELECT twice(21) AS n, lower('A') AS low, random() < 2 AS yes")["rows"] == [
        {"n": 42, "low": "a", "yes": True}
    ]


@for_each(
    "statement",
    [
        "SELECT sys_evil('id')",
        "SELECT lib_mysqludf_sys_info ()",
        "SELECT `http_get`('http://a.example')",
        "SELECT shop.ask_out(1)",
        "SELECT ask_out\n(1)",
        "SELECT ask_out/* a */(1)",
        "SELECT ask_out -- in\n(1)",
        "SELECT ask_out # in\n(1)",
        "SELECT ask_out\n-- in\n(1)",
        "SELECT ask_out\n  # in\n\n-- in\n(1)",
        "SELECT '\n--', ask_out -- in\n(1)",
        "SELECT /*\n-- */ ask_out\n(1)",
        "SELECT é(1)",
        "SELECT '/*', ask_out('*/')",
    ],
)
def test_an_unknown_mysql_function_is_rejected(statement):
    with pytest.raises(NodeError, match="is not permitted"):
        check_reads(statement, "mysql")


@for_each(
    "statement",
    [
        "SELECT COUNT(*), sum(total) FROM notes WHERE id IN (1, 2) AND (note LIKE 'a%' OR note IS NULL)",
        "WITH a AS (SELECT 3 AS n) SELECT * FROM a WHERE EXISTS (SELECT 1)",
        "SELECT CAST(id AS CHAR(10)), row_number() OVER (PARTITION BY note) FROM notes",
        "/* a */ -- b\n (SELECT 2 AS n)",
        "SELECT (1), -(2), DATE_FORMAT(NOW(), '%Y')",
    ],
)
def test_common_mysql_functions_are_permitted(statement):
    check_reads(statement, "mysql")


@pytest.mark.slow
@pytest.mark.parametrize("statement", UNSAFE_MYSQL)
def test_unsafe_mysql_statements_are_rejected(fails, run, rows, mysql, mysql_server, statement):
    create_notes(mysql, run)
    mysql_server.admin(
        "CREATE SEQUENCE numbers",
        "CREATE PROCEDURE p() DELETE FROM notes",
        "CREATE FUNCTION remove_all() RETURNS INT BEGIN DELETE FROM notes; RETURN 1; END",
    )
    assert fails(mysql, statement).permanent
    assert rows(mysql) == [{"id": 1, "note": "a"}]
    assert mysql_server.admin("SELECT next_not_cached_value FROM numbers") == ((1,),)


# Protection by the database itself, if a statement passes the check of its text


@for_each(
    "statement",
    [
        "SET TRANSACTION READ WRITE",
        "DO $$ BEGIN SET TRANSACTION READ WRITE; DELETE FROM notes; END $$",
        "DO $$ BEGIN PERFORM set_config('transaction_read_only', 'off', false); DELETE FROM notes; END $$",
        "DO $$ BEGIN COMMIT; DELETE FROM notes; END $$",
        "DO $$ BEGIN EXECUTE 'DELETE FROM notes'; END $$",
        "SELECT remove_all(set_config('transaction_read_only', 'off', false))",
        "SELECT lo_create(4711)",
        "SELECT lo_from_bytea(4711, 'a')",
        "SELECT pg_notify('notes', 'changed')",
        "COMMIT",
        "ROLLBACK AND CHAIN",
        "COPY notes FROM PROGRAM 'echo 1,b'",
        "COPY (SELECT 1) TO '/tmp/headrace-copy'",
        "SELECT pg_read_file('/etc/passwd')",
        "SELECT lo_export(1, '/tmp/headrace-lo')",
        "ALTER ROLE app SET default_transaction_read_only = off",
        "CREATE TEMP TABLE mine (id int)",
    ],
)
def test_postgresql_blocks_changes_in_read_only_mode(run, rows, noted_postgres, postgres_server, statement):
    read_notifications = postgres_server.listening("notes")
    config = {"credential": "shop", "statement": statement, "read_only": True}
    try:
        run("sql", config, credentials=noted_postgres.credentials)
    except NodeError as error:
        assert "PostgreSQL: " in error.message
    assert rows(noted_postgres) == [{"id": 1, "note": "a"}]
    assert postgres_server.admin("SELECT count(*) FROM pg_largeobject_metadata") == [(0,)]
    assert read_notifications() == []


@pytest.mark.slow
def test_mysql_blocks_changes_in_read_only_mode(run, rows, mysql):
    create_notes(mysql, run)
    for statement in (
        "DELETE FROM notes",
        "DROP TABLE notes",
        "SET SESSION TRANSACTION READ WRITE",
        "COMMIT AND CHAIN",
    ):
        config = {"credential": "shop", "statement": statement, "read_only": True}
        try:
            run("sql", config, credentials=mysql.credentials)
        except NodeError as error:
            assert "READ ONLY transaction" in error.message
    assert rows(mysql) == [{"id": 1, "note": "a"}]


def test_a_postgresql_superuser_login_is_rejected(fails, postgres_server):
    url = postgres_server.url().replace("//app:", "//postgres:")
    error = fails(database("postgres", url), "SELECT 1")
    assert error.message.startswith("the login of the credential 'shop' is a superuser: ") and error.permanent


def test_a_superuser_login_with_another_role_set_is_rejected(fails, postgres_server):
    url = postgres_server.url(query="?options=-crole%3Dapp").replace("//app:", "//postgres:")
    assert "is a superuser" in fails(database("postgres", url), "SELECT 1").message


@pytest.mark.parametrize("role", ["pg_execute_server_program", "pg_read_server_files", "pg_write_server_files"])
def test_a_postgresql_login_with_access_to_server_files_is_rejected(fails, query, postgres, postgres_server, role):
    postgres_server.admin(f"GRANT {role} TO app")
    try:
        assert f"has the role {role}" in fails(postgres, "SELECT 1").message
    finally:
        postgres_server.admin(f"REVOKE {role} FROM app")
    assert query(postgres, "SELECT 1 AS n")["rows"] == [{"n": 1}]


@pytest.mark.slow
def test_a_mysql_login_with_access_to_server_files_is_rejected(fails, query, mysql, mysql_server):
    mysql_server.admin("GRANT FILE ON *.* TO app")
    try:
        assert "has the privilege FILE" in fails(mysql, "SELECT 1").message
    finally:
        mysql_server.admin("REVOKE FILE ON *.* FROM app")
    assert query(mysql, "SELECT 1 AS n")["rows"] == [{"n": 1}]


# SQLite files


@pytest.fixture
def file(tmp_path):
    """The path of the database file of the credential `shop`."""
    folder = tmp_path / "files/data"
    folder.mkdir(parents=True, exist_ok=True)
    return folder / "shop.db"


@pytest.fixture
def other_connection(file):
    """Another connection to the file."""
    connection = sqlite3.connect(file, isolation_level=None)
    yield connection
    connection.close()


def test_a_missing_file_is_not_created(fails, sqlite, file):
    assert "the file does not exist" in fails(sqlite, "SELECT 1").message
    assert not file.exists()


def test_a_file_is_read_while_another_connection_writes(query, sqlite, other_connection, run, rows):
    create_notes(sqlite, run)
    other_connection.execute("BEGIN IMMEDIATE")
    other_connection.execute("INSERT INTO notes VALUES (2, 'b')")
    assert query(sqlite, "SELECT COUNT(*) AS n FROM notes")["rows"] == [{"n": 1}]
    other_connection.execute("COMMIT")
    assert len(rows(sqlite)) == 2


def test_a_half_written_file_is_recovered_and_read_after_a_crash(query, sqlite, other_connection, file, run, tmp_path):
    create_notes(sqlite, run)
    other_connection.execute("PRAGMA cache_size = 1")
    other_connection.execute("BEGIN")
    other_connection.executemany("INSERT INTO notes VALUES (?, ?)", [(number, "x" * 500) for number in range(1_000)])
    journal = file.with_name("shop.db-journal")
    half, half_journal = file.read_bytes(), journal.read_bytes()
    other_connection.execute("ROLLBACK")
    other_connection.close()
    file.write_bytes(half)
    journal.write_bytes(half_journal)
    assert query(sqlite, "SELECT COUNT(*) AS n FROM notes")["rows"] == [{"n": 1}]


def test_a_file_in_wal_mode_is_read(query, sqlite, other_connection):
    other_connection.execute("PRAGMA journal_mode = WAL")
    other_connection.execute("CREATE TABLE notes (id)")
    other_connection.execute("INSERT INTO notes VALUES (1)")
    assert query(sqlite, "SELECT * FROM notes")["rows"] == [{"id": 1}]


def test_virtual_tables_are_read(query, sqlite, other_connection):
    other_connection.execute("CREATE VIRTUAL TABLE words USING fts5(text)")
    other_connection.execute("INSERT INTO words VALUES ('green tea')")
    other_connection.execute("CREATE VIRTUAL TABLE places USING rtree(id, x, y)")
    other_connection.execute("INSERT INTO places VALUES (1, 2, 3)")
    assert query(sqlite, "SELECT * FROM words WHERE words MATCH 'tea'")["rows"] == [{"text": "green tea"}]
    assert query(sqlite, "SELECT id FROM places WHERE x > 1")["rows"] == [{"id": 1}]
    assert query(sqlite, "SELECT value FROM json_each('[1, 2]')")["row_count"] == 2


def test_shadow_tables_of_virtual_tables_are_not_written(fails, sqlite, other_connection):
    other_connection.execute("CREATE VIRTUAL TABLE places USING rtree(id, x, y)")
    other_connection.execute("INSERT INTO places VALUES (1, 2, 3)")
    other_connection.execute("CREATE TABLE my_node (id)")
    for statement in (
        "WITH a AS (SELECT 1) DELETE FROM places_node",
        "WITH a AS (SELECT 1) INSERT INTO my_node VALUES (1)",
    ):
        assert "readonly" in fails(sqlite, statement).message
    assert other_connection.execute("SELECT COUNT(*) FROM places_node").fetchone() == (1,)
