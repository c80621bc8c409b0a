"""The tools with which an agent asks a database. They only read.

What keeps a model, or whoever misleads it, from changing anything: the statement is one, and of a kind that reads; it
is executed in a transaction that the database itself holds to reading, and that is rolled back. That does not bind what
acts on the server beside the database (its files, its programs, other connections); so a login that may do such things
is refused, and so are the names of the functions for them.
"""

from __future__ import annotations

import re
import time
from typing import Any

from agent.definition import ToolSpec
from agent.tools import Tool
from errors import NodeError
from nodes import databases
from nodes.keyring import or_list
from nodes.placeholders import end_of_comment
from nodes.rows import Work
from nodes.toolbox.making import Bench

SECONDS = 30.0
MOST_ROWS, MOST_COLUMNS, MOST_QUERY, MOST_PARAMS = 200, 2_000, 20_000, 100
TITLES = {"postgresql": "PostgreSQL", "mysql": "MySQL", "sqlite": "SQLite"}
FIRST_WORDS = {
    "postgresql": {"SELECT", "WITH", "VALUES", "TABLE", "EXPLAIN", "SHOW"},
    "mysql": {"SELECT", "WITH", "VALUES", "TABLE", "EXPLAIN", "SHOW", "DESCRIBE", "DESC"},
    "sqlite": {"SELECT", "WITH", "VALUES", "EXPLAIN"},
}
# Names of what acts beside the transaction, and of what executes a text, in which a name can be put together. They are
# looked for in all of the text, strings and comments too, for there are many ways to write a name. A version comment of
# MySQL (/*!) is no comment to it, and U&"…" hides a name.
REFUSED = {
    "postgresql": re.compile(
        r"""U&\s*"|\b(?:set_config|dblink\w*|\w+_to_xml\w*|ts_stat|ts_rewrite|crosstab\w*|connectby|xpath_table|loread|lowrite
        |lo_(?:import|export|creat|create|from_bytea|get|lseek\w*|open|put|truncate\w*|unlink)
        |pg_(?:cancel_backend|terminate_backend|reload_conf|rotate_logfile\w*|promote|notify|stat_file|stat_reset\w*
        |stat_statements_reset|log_backend\w*|switch_wal|import_\w+|replication_\w+|logical_\w+|wal_\w+)
        |pg_(?:read|ls|file|create|drop|backup|start|stop|copy|advisory|try_advisory|export)_\w+)\b""",
        re.IGNORECASE | re.VERBOSE,
    ),
    "mysql": re.compile(r"/\*M?!|\b(?:load_file|outfile|dumpfile|sys_exec|sys_eval|sys_set|get_lock)\b", re.IGNORECASE),
}
# What a login may do beside a transaction, whatever that is held to: a row for each such thing.
POWERS = {
    "postgresql": """SELECT 'is a superuser' AS power FROM pg_catalog.pg_roles WHERE rolsuper AND rolname = session_user
        UNION ALL SELECT 'has the role ' || rolname FROM pg_catalog.pg_roles WHERE rolname IN
        ('pg_execute_server_program', 'pg_read_server_files', 'pg_write_server_files', 'pg_signal_backend')
        AND pg_catalog.pg_has_role(session_user, oid, 'MEMBER')""",
    "mysql": """SELECT CONCAT('has the privilege ', privilege_type) AS power FROM information_schema.user_privileges,
        (SELECT CURRENT_USER() AS me, SUBSTRING_INDEX(CURRENT_USER(), '@', -1) AS host) AS login
        WHERE privilege_type IN ('FILE', 'SUPER') AND grantee = CONCAT('''',
        LEFT(me, CHAR_LENGTH(me) - CHAR_LENGTH(host) - 1), '''@''', host, '''')""",
}
COLUMNS = {
    "postgresql": """SELECT table_schema || '.' || table_name AS place, column_name AS name, data_type AS type
        FROM information_schema.columns WHERE table_schema NOT IN ('pg_catalog', 'information_schema')
        ORDER BY table_schema, table_name, ordinal_position""",
    "mysql": """SELECT CONCAT(table_schema, '.', table_name) AS place, column_name AS name, column_type AS type
        FROM information_schema.columns
        WHERE table_schema NOT IN ('mysql', 'information_schema', 'performance_schema', 'sys')
        ORDER BY table_schema, table_name, ordinal_position""",
    "sqlite": """SELECT t.name AS place, c.name AS name, c.type AS type
        FROM sqlite_schema AS t, pragma_table_xinfo(t.name) AS c
        WHERE t.type IN ('table', 'view') AND t.name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY t.name, c.cid""",
}
SPACE = re.compile(r"[\s(]+|--[^\n]*")
WORD = re.compile(r"[A-Za-z]+")


class Database:
    """A credential's database, as the tools ask it."""

    def __init__(self, bench: Bench, name: str) -> None:
        self.bench = bench
        self.found = bench.ctx.credential(name, "database_url")
        self.kind, _ = databases.place_of(self.found)
        self.is_known_as_harmless = self.kind == "sqlite"

    def ask(self, statement: str, params: Any, most: int) -> dict[str, Any]:
        """`{rows, row_count, truncated}`; NodeError."""
        end = time.monotonic() + self.bench.ctx.seconds_left(SECONDS)
        if not self.is_known_as_harmless:
            self._check_login(end)
        return self._execute(statement, params, most, end)

    def _check_login(self, end: float) -> None:
        powers = self._execute(POWERS[self.kind], None, 10, end)["rows"]
        if powers:
            raise NodeError(
                f"the login of the credential {self.found.name!r} {powers[0]['power']}: with that, statements which "
                "only read can still act on the server itself; give the agent a login that may only read tables",
                permanent=True,
            )
        self.is_known_as_harmless = True

    def _execute(self, statement: str, params: Any, most: int, end: float) -> dict[str, Any]:
        work = Work(statement, [] if params is None else [params], False, True, most, end)
        return databases.execute(self.found, work, self.bench.ctx)


def tools(spec: ToolSpec, bench: Bench) -> list[Tool]:
    """The tools `sql_query` and `sql_schema`."""
    database = Database(bench, bench.need_credential(spec, "of the type database_url, with the database's address"))
    title = TITLES[database.kind]

    def query(arguments: dict[str, Any], key: str) -> Any:
        check_reads(arguments["query"], database.kind)
        return database.ask(arguments["query"], arguments.get("params"), MOST_ROWS)

    def schema(arguments: dict[str, Any], key: str) -> Any:
        answer = database.ask(COLUMNS[database.kind], None, MOST_COLUMNS)
        tables: dict[str, dict[str, str]] = {}
        for row in answer["rows"]:
            tables.setdefault(str(row["place"]), {})[str(row["name"])] = str(row["type"])
        listed = [{"table": name, "columns": columns} for name, columns in tables.items()]
        return {"database": title, "tables": listed, "truncated": answer["truncated"]}

    one = "One statement; write ? or :name where a value goes."
    values = [{"type": "array", "items": {}, "maxItems": MOST_PARAMS}, {"type": "object", "maxProperties": MOST_PARAMS}]
    properties = {
        "query": {"type": "string", "minLength": 1, "maxLength": MOST_QUERY, "description": one},
        "params": {"anyOf": values, "description": "The values: a list for ?, an object for :name."},
    }
    return [
        bench.tool(
            "sql_query",
            f"Read from the {title} database, in its SQL: {or_list(sorted(FIRST_WORDS[database.kind]))}. Nothing can "
            f"be changed. Gives at most {MOST_ROWS} rows, and row_count of all. Ask sql_schema first what there is.",
            properties,
            query,
            required=["query"],
            repeatable=True,
        ),
        bench.tool(
            "sql_schema",
            f"List the tables and views of the {title} database with their columns.",
            {},
            schema,
            repeatable=True,
        ),
    ]


def check_reads(statement: str, kind: str) -> None:
    """NodeError unless the statement is of a kind that reads, and uses nothing that acts beside its transaction."""
    first = _first_word(statement, kind)
    if first not in FIRST_WORDS[kind]:
        allowed = or_list(sorted(FIRST_WORDS[kind]))
        raise NodeError(f"the statement must begin with {allowed}, for this only reads", permanent=True)
    found = REFUSED[kind].search(statement) if kind in REFUSED else None
    if found:
        raise NodeError(
            f"{found[0][:100]} cannot be used here; where it is part of a value, give that in params", permanent=True
        )


def _first_word(statement: str, kind: str) -> str:
    """The first word, in capitals, after blanks, comments and parentheses."""
    at = 0
    while True:
        if statement.startswith("/*", at):
            at = end_of_comment(statement, at, kind == "postgresql")
        elif found := SPACE.match(statement, at):
            at = found.end()
        else:
            word = WORD.match(statement, at)
            return word[0].upper() if word else ""
