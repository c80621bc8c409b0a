"""SQL node. The drivers for each kind of database are in `postgres.py`, `mysql.py` and `sqlite.py`.

A connection serves one execution. A pool would save 3 to 6 ms (measured for PostgreSQL on the same machine), but also
leak state between executions, from the role to temporary tables.
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from errors import LimitExceeded, NodeError
from fields import Schema
from nodes.base import Context, Node
from nodes.credentials.checks import Untested, checks
from nodes.credentials.keyring import DecryptedCredential
from nodes.fields import anything, choice, credential, flag, no_expression, number, text, texts, whole
from nodes.files.files import Absent
from packs.sql.rows import DatabaseAddress, SqlWork

MAX_SETS, MAX_PARAMS = 10_000, 10_000
# Permitted options in a database URL; others could redirect the driver, or make it read files.
OPTIONS = {"postgresql": {"sslmode", "application_name", "options"}, "mysql": {"sslmode"}, "sqlite": set[str]()}
SSLMODES = ("disable", "prefer", "require", "verify-ca", "verify-full")
VERSIONS = {
    "postgresql": ("PostgreSQL", "SHOW server_version"),
    "mysql": ("MySQL", "SELECT version()"),
    "sqlite": ("SQLite", "SELECT sqlite_version()"),
}


class SQL(Node):
    """Queries a PostgreSQL, MySQL or SQLite database with bound parameters and returns the rows, or the number of
    changed rows.
    """

    type = "sql"
    category = "integration"
    title = "SQL"
    icon = "database"
    also = ("query", "execute query", "postgresql", "mariadb", "supabase", "timescale")
    pure = False
    examples = (
        {
            "config": {
                "credential": "shop",
                "statement": "SELECT id, total FROM orders WHERE customer = ? AND paid = ?",
                "params": ["{{ input.customer }}", False],
            },
            "input": {"customer": "Zoë"},
            "output": {"rows": [{"id": 7, "total": 19.9}], "row_count": 1, "truncated": False},
        },
        {
            "config": {
                "credential": "shop",
                "statement": "INSERT INTO visits (page, seen) VALUES (:page, :at)",
                "batch": "{{ input.visits }}",
            },
            "input": {"visits": [{"page": "/", "at": "2026-01-05"}, {"page": "/help", "at": "2026-01-06"}]},
            "output": {"row_count": 2},
        },
    )

    class Config(Schema):
        credential = credential("The credential of the database", "database_url", required=True, title="Credential")
        statement = text(
            "One statement, with ? or :name for each value. With ?, write ?? for an operator of that name",
            no_expression("write :name there, and give its value in params"),
            most=20_000,
            literal=True,
            required=True,
            braces="PostgreSQL writes arrays of arrays as {{1,2},{3,4}}",
            lines="sql",
            title="SQL statement",
        )
        params = anything(
            'The values: a list for ?, an object for :name: {"id": "{{ input.id }}"}', lines="json", title="Parameters"
        )
        batch = anything(
            "A list of parameters. The statement is executed with each of them in one transaction",
            lines="json",
            title="Batch",
        )
        max_rows = whole(
            "Maximum number of rows to return; truncated tells if there were more",
            1,
            100_000,
            load_default=1_000,
            title="Max rows",
        )
        decimals = choice(
            "How to return values of type DECIMAL and NUMERIC: as numbers with 15 exact digits, or as text with "
            "all digits",
            {"number": "Number", "text": "Text"},
            load_default="number",
            title="Decimals",
        )
        timeout = number("Seconds until the statement fails", 0.1, 3_600, load_default=30.0, title="Timeout (seconds)")
        read_only = flag("Whether the database must refuse every change", False, title="Read-only")

    def run(self, config: dict[str, Any], input: Any, ctx: Context) -> Any:
        end = time.monotonic() + ctx.seconds_left(config["timeout"])
        many = config.get("batch") is not None
        work = SqlWork(
            config["statement"],
            _sets(config),
            many,
            config["read_only"],
            config["max_rows"],
            end,
            decimals_as_text=config["decimals"] == "text",
        )
        if many and not work.sets:
            return {"row_count": 0}
        answer = execute(ctx.credential(config["credential"], "database_url"), work, ctx)
        if answer.get("truncated"):
            ctx.log("warning", f"{answer['row_count']} rows found; only the first {config['max_rows']} are returned")
        return answer


def _sets(config: Mapping[str, Any]) -> list[Any]:
    """Return the values of each execution; empty if the config has none. Raises: NodeError if they are invalid."""
    params, batch = config.get("params"), config.get("batch")
    if batch is None:
        sets = [] if params is None else [params]
    elif params is not None:
        raise NodeError("params and batch cannot be combined; remove one of them", permanent=True)
    elif not isinstance(batch, list) or len(batch) > MAX_SETS:
        raise LimitExceeded(f"batch must be a list of at most {MAX_SETS:,} items")
    else:
        sets = batch
    for at, values in enumerate(sets):
        if not isinstance(values, list | dict) or len(values) > MAX_PARAMS:
            where = "params" if batch is None else f"batch[{at}]"
            raise LimitExceeded(f"{where} must be a list or an object of at most {MAX_PARAMS:,} values")
    return sets


def execute(found: DecryptedCredential, work: SqlWork, ctx: Context) -> dict[str, Any]:
    """Execute the work in the credential's database; return `{"rows", "row_count", "truncated"}` or `{"row_count"}`."""
    from packs.sql import mysql, postgres, sqlite

    kind, place = parse_url(found)
    ctx.check_secrets(place.host or "a file of the workspace", texts(work.sets))
    if kind == "sqlite":
        sqlite.check_name(place.database)
        files = ctx.need_files()
        return sqlite.execute(files.real_path(place.database, make=not work.read_only), work, files.max_bytes)
    found.check_host(place.host)
    return (postgres if kind == "postgresql" else mysql).execute(place, work, ctx.need_services())


def parse_url(found: DecryptedCredential) -> tuple[str, DatabaseAddress]:
    """Return the kind of database and its location. Raises: NodeError if the URL has options that are not permitted."""
    from playhouse.db_url import parse

    url = urlsplit(found.data["url"])
    kind = "postgresql" if url.scheme == "postgres" else url.scheme
    options = dict(parse_qsl(url.query, keep_blank_values=True))
    if unknown := sorted(options.keys() - OPTIONS[kind]):
        known = ", ".join(sorted(OPTIONS[kind])) or "none"
        raise NodeError(f"{found.label}: unknown option {unknown[0]!r} in the URL; known options: {known}", True)
    if options.get("sslmode", "prefer") not in SSLMODES:
        raise NodeError(f"{found.label}: sslmode must be one of: {', '.join(SSLMODES)}", permanent=True)
    # Without the query, which could name another host.
    parts = parse(re.split("[?#]", found.data["url"])[0], unquote_password=True, unquote_user=True)
    password = parts.get("password", parts.get("passwd", ""))
    host, user, database = parts.get("host", ""), parts.get("user", ""), unquote(parts["database"])
    return kind, DatabaseAddress(host, parts.get("port"), user, password, database, options)


@checks("database_url")
def check(found: DecryptedCredential, ctx: Context, asked: Mapping[str, Any]) -> str:
    """Connect, and return the server's version."""
    kind, place = parse_url(found)
    name, statement = VERSIONS[kind]
    end = time.monotonic() + ctx.seconds_left(15)
    try:
        (row,) = execute(found, SqlWork(statement, [], False, True, 1, end), ctx)["rows"]
    except Absent:
        raise Untested(f"The file {place.database} does not exist yet; the first statement creates it") from None
    return f"connected to {name} {next(iter(row.values()))}"
