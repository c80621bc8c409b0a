"""SQL tools: read-only queries of a database.

Several layers prevent a model, or an attacker misleading it, from changing anything: one statement, of a reading kind,
in a transaction that the database makes read-only, and that is rolled back. That does not cover effects outside the
database (files, programs, other connections); so a login with such privileges is rejected, and so are the names of the
functions for them. Extensions add unknown functions: of PostgreSQL's, only those declared free of effects are
permitted, of MySQL's, which declares nothing, only known ones.
"""

from __future__ import annotations

import re
import time
from typing import Any

from errors import LimitExceeded, NodeError
from nodes.credentials.keyring import or_list
from packs.agents.definition import ToolSpec
from packs.agents.runtime.types import Tool
from packs.agents.tools.base import ToolContext, text
from packs.sql import node
from packs.sql.statement import SqlWork, end_of_comment

SECONDS = 30.0
MAX_ROWS, MAX_COLUMNS, MAX_QUERY, MAX_PARAMS = 200, 2_000, 20_000, 100
TITLES = {"postgresql": "PostgreSQL", "mysql": "MySQL", "sqlite": "SQLite"}
FIRST_WORDS = {
    "postgresql": {"SELECT", "WITH", "VALUES", "TABLE", "EXPLAIN", "SHOW"},
    "mysql": {"SELECT", "WITH", "VALUES", "TABLE", "EXPLAIN", "SHOW", "DESCRIBE", "DESC"},
    "sqlite": {"SELECT", "WITH", "VALUES", "EXPLAIN"},
}
# Names of functions with effects outside the transaction, or that execute text, in which a name could be assembled.
# Searched in the whole text, including strings and comments, because a name can be written in many ways. To MySQL, a
# version comment (/*!) is code, and U&"…" hides a name.
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
# Functions outside PostgreSQL's own that may have effects: extensions can do anything.
WITH_EFFECTS = """SELECT DISTINCT lower(p.proname) AS name FROM pg_catalog.pg_proc AS p
    JOIN pg_catalog.pg_language AS l ON l.oid = p.prolang JOIN pg_catalog.pg_namespace AS n ON n.oid = p.pronamespace
    WHERE n.nspname <> 'pg_catalog' AND (p.provolatile = 'v' OR NOT (l.lanpltrusted OR l.lanname IN ('c', 'internal')))
    AND n.nspname <> 'information_schema'"""
MAX_FUNCTIONS = 10_000
# MySQL's and MariaDB's functions without effects, and other words that may precede a parenthesis.
MYSQL_WORDS = """
    abs acos adddate addtime aes_decrypt aes_encrypt any_value ascii asin atan atan2 avg bin bin_to_uuid bit_and
    bit_count bit_length bit_or bit_xor cast ceil ceiling char char_length character_length charset chr coalesce
    coercibility collation compress concat concat_ws connection_id conv convert convert_tz cos cot count crc32 crc32c
    cume_dist curdate current_date current_role current_time current_timestamp current_user curtime database date
    date_add date_format date_sub datediff day dayname dayofmonth dayofweek dayofyear decode degrees dense_rank elt
    encode exp export_set extract extractvalue field find_in_set first_value floor format format_bytes found_rows
    from_base64 from_days from_unixtime geometrycollection get_format greatest group_concat grouping hex hour if ifnull
    inet6_aton inet6_ntoa inet_aton inet_ntoa insert instr interval is_ipv4 is_ipv6 is_uuid isnull json_array
    json_array_append json_array_insert json_arrayagg json_compact json_contains json_contains_path json_depth
    json_detailed json_exists json_extract json_insert json_keys json_length json_loose json_merge json_merge_patch
    json_merge_preserve json_normalize json_object json_objectagg json_overlaps json_pretty json_query json_quote
    json_remove json_replace json_search json_set json_table json_type json_unquote json_valid json_value lag last_day
    last_value lcase lead least left length linestring ln locate log log10 log2 lower lpad ltrim make_set makedate
    maketime max md5 median microsecond mid min minute mod month monthname now nth_value ntile nullif nvl nvl2 oct
    octet_length ord percent_rank percentile_cont percentile_disc period_add period_diff pi point polygon position pow
    power quarter quote radians rand random_bytes rank regexp_instr regexp_like regexp_replace regexp_substr repeat
    replace reverse right round row_count row_number rpad rtrim schema sec_to_time second sha sha1 sha2 sign sin soundex
    space sqrt st_area st_asgeojson st_astext st_aswkt st_contains st_distance st_distance_sphere st_geomfromgeojson
    st_geomfromtext st_intersects st_latitude st_length st_longitude st_within st_x st_y std stddev stddev_pop
    stddev_samp str_to_date strcmp subdate substr substring substring_index subtime sum sysdate tan time time_format
    time_to_sec timediff timestamp timestampadd timestampdiff to_base64 to_char to_days to_seconds trim truncate ucase
    uncompress uncompressed_length unhex unix_timestamp updatexml upper user utc_date utc_time utc_timestamp uuid
    uuid_short uuid_to_bin value values var_pop var_samp variance version week weekday weekofyear weight_string year
    yearweek all and any as between binary bigint bit blob by case char columns datetime dec decimal distinct div double
    else end except exists explain float for force from full group having ignore in index inner int integer intersect is
    join key lateral like limit match against national nchar not numeric on or order over partition path precision range
    real recursive regexp rlike rows select separator set show signed some straight_join table then tinyint union
    unsigned use using varbinary varchar where when window with xor
"""
MYSQL_CALLS = frozenset(MYSQL_WORDS.split())
# Privileges of a login that take effect outside a transaction: a row for each.
PRIVILEGES = {
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
NAME = re.compile(r"[\w$]+")


class SQLDatabase:
    """A credential's database, for the tools."""

    def __init__(self, tool_ctx: ToolContext, name: str) -> None:
        self.tool_ctx = tool_ctx
        self.found = tool_ctx.ctx.credential(name, "database_url")
        self.kind, _ = node.parse_url(self.found)
        self.is_known_as_harmless = self.kind == "sqlite"
        self.with_effects: frozenset[str] = frozenset()

    def ask(self, statement: str, params: Any, most: int, is_ours: bool = False) -> dict[str, Any]:
        """Return `{rows, row_count, truncated}`. `is_ours`: the statement calls no functions. Raises: NodeError."""
        end = time.monotonic() + self.tool_ctx.ctx.seconds_left(SECONDS)
        if not self.is_known_as_harmless:
            granted = self._execute(PRIVILEGES[self.kind], None, 10, end)["rows"]
            if granted:
                raise NodeError(
                    f"the login of {self.found.label} {granted[0]['power']}: even read-only statements could then "
                    "change the server; use a login that may only read tables",
                    permanent=True,
                )
            if self.kind == "postgresql":
                found = self._execute(WITH_EFFECTS, None, MAX_FUNCTIONS, end)
                if found["truncated"]:
                    raise LimitExceeded(f"the database has more than {MAX_FUNCTIONS} functions with effects")
                self.with_effects = frozenset(str(row["name"]) for row in found["rows"])
            self.is_known_as_harmless = True
        text = statement.lower()
        words = {*NAME.findall(text)}
        for name in () if is_ours else self.with_effects:
            # The whole text counts, with strings and comments. Within quotation marks, a name may have any characters.
            if name in words or (not NAME.fullmatch(name) and name in text):
                raise NodeError(
                    f"{name[:100]} is not permitted: the function may have effects outside the transaction; declare it "
                    "STABLE or IMMUTABLE if it has none",
                    permanent=True,
                )
        return self._execute(statement, params, most, end)

    def _execute(self, statement: str, params: Any, most: int, end: float) -> dict[str, Any]:
        work = SqlWork(statement, [] if params is None else [params], False, True, most, end)
        return node.execute(self.found, work, self.tool_ctx.ctx)


def tools(spec: ToolSpec, tool_ctx: ToolContext) -> list[Tool]:
    """Return the tools `sql_query` and `sql_schema`."""
    database = SQLDatabase(
        tool_ctx, tool_ctx.need_credential(spec, "of the type database_url, with the database's URL")
    )
    title = TITLES[database.kind]

    def query(arguments: dict[str, Any], key: str) -> Any:
        check_reads(arguments["query"], database.kind)
        return database.ask(arguments["query"], arguments.get("params"), MAX_ROWS)

    def schema(arguments: dict[str, Any], key: str) -> Any:
        answer = database.ask(COLUMNS[database.kind], None, MAX_COLUMNS, is_ours=True)
        tables: dict[str, dict[str, str]] = {}
        for row in answer["rows"]:
            tables.setdefault(str(row["place"]), {})[str(row["name"])] = str(row["type"])
        listed = [{"table": name, "columns": columns} for name, columns in tables.items()]
        return {"database": title, "tables": listed, "truncated": answer["truncated"]}

    values = [{"type": "array", "items": {}, "maxItems": MAX_PARAMS}, {"type": "object", "maxProperties": MAX_PARAMS}]
    properties = {
        "query": text("One statement, with ? or :name for each value.", MAX_QUERY),
        "params": {"anyOf": values, "description": "The values: a list for ?, an object for :name."},
    }
    reading = (
        f"Read from the {title} database, in its SQL: {or_list(sorted(FIRST_WORDS[database.kind]))}. Read-only. "
        f"Returns at most {MAX_ROWS} rows, and the total row_count. Call sql_schema first."
    )
    listing = f"List the tables and views of the {title} database with their columns."
    return [
        tool_ctx.tool("sql_query", reading, properties, query, required=["query"], repeatable=True),
        tool_ctx.tool("sql_schema", listing, {}, schema, repeatable=True),
    ]


def check_reads(statement: str, kind: str) -> None:
    """Raise NodeError unless the statement only reads, without functions that have effects outside the transaction."""
    word = WORD.match(statement, _find_start(statement, kind))
    if word is None or word[0].upper() not in FIRST_WORDS[kind]:
        allowed = or_list(sorted(FIRST_WORDS[kind]))
        raise NodeError(f"the statement must start with {allowed}, because access is read-only", permanent=True)
    found = REFUSED[kind].search(statement) if kind in REFUSED else None
    name = found[0] if found else None
    if name is None and kind == "mysql":
        name = _find_unknown_call(statement[_find_start(statement, kind) :])
    if name is not None:
        raise NodeError(f"{name[:100]} is not permitted; if it is part of a value, pass the value in params", True)


def _find_unknown_call(statement: str) -> str | None:
    """Return a called name that is not in MYSQL_CALLS, or None. Searches the whole text, like REFUSED."""
    at = -1
    while (at := statement.find("(", at + 1)) >= 0:
        before = _before(statement, at)
        if before is None:
            return "a comment before a parenthesis"
        if before.endswith(("`", '"')):
            return before[-60:].rpartition(" ")[2]
        begin = len(before)
        while begin and (before[begin - 1].isalnum() or before[begin - 1] in "_$" or before[begin - 1] > "\x7f"):
            begin -= 1
        name = before[begin:]
        if name and name.lower() not in MYSQL_CALLS:
            return name
    return None


def _before(statement: str, at: int) -> str | None:
    """Return the text before a position, without trailing spaces and comment lines; None if it may end within another
    comment, so that the called name is uncertain.
    """
    while True:
        before = statement[:at].rstrip()
        if before.endswith("*/"):
            return None
        line = before.rpartition("\n")[2] if "\n" in statement[len(before) : at] else ""
        if "--" not in line and "#" not in line:
            return before
        # Within a string, or at the end of another comment, a line only looks like a comment.
        if not line.lstrip().startswith(("--", "#")) or "*/" in line or not {*"'\"`"}.isdisjoint(line):
            return None
        at = len(before) - len(line)


def _find_start(statement: str, kind: str) -> int:
    """Return the position of the first word, after spaces, comments and parentheses."""
    at = 0
    while True:
        if statement.startswith("/*", at):
            at = end_of_comment(statement, at, kind == "postgresql")
        elif found := SPACE.match(statement, at):
            at = found.end()
        else:
            return at
