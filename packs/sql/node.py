"""Nodes of SQL: the query, the trigger on notifications of PostgreSQL, and their credential.

The drivers for each kind of database are in `postgres.py`, `mysql.py` and `sqlite.py`. A connection serves one
execution. A pool would save 3 to 6 ms (measured for PostgreSQL on the same machine), but also leak state between
executions, from the role to temporary tables.
"""

from __future__ import annotations

import re
import time
from collections import deque
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, unquote, urlsplit

from marshmallow import ValidationError, fields, validate, validates_schema

from errors import LimitExceeded, NodeError
from fields import Schema
from nodes.base import Context, Inbox, Item, Node, Polled, setting
from nodes.core.triggers import TriggerNode
from nodes.credentials.base import CredentialType, parts_of_url, secret
from nodes.credentials.keyring import DecryptedCredential
from nodes.credentials.types import Untested, checks
from nodes.data.jmespath_query import MAX_QUERY, make_key, read_payload
from nodes.fields import anything, choice, credential, flag, no_expression, number, text, texts, whole
from nodes.files.files import Absent
from nodes.http.pagination import jmespath
from packs.sql.statement import DatabaseAddress, SqlWork

if TYPE_CHECKING:
    from packs.sql.postgres import Notifications


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
        read_only = flag("Let the database refuse every change", False, title="Read-only")

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


class DatabaseUrl(CredentialType):
    """The URL of a database with user name and password: postgresql://user:password@host/name."""

    title = "Database"
    main = url_field = "url"
    url = secret(
        "postgresql://… or mysql://…, optionally with ?sslmode=verify-full, or sqlite:///shop.db for a file "
        "of the workspace",
        required=True,
        title="Database URL",
    )

    @classmethod
    def secrets(cls, data: Mapping[str, Any]) -> list[str]:
        password = parts_of_url(data["url"]).password
        return [data["url"], *([password, unquote(password)] if password else [])]

    @validates_schema
    def is_an_address(self, data: Mapping[str, Any], **kwargs: Any) -> None:
        """Require a supported kind of database, with a host unless it is a file."""
        parts = parts_of_url(data.get("url", ""))
        if parts.scheme not in ("sqlite", "postgresql", "postgres", "mysql"):
            raise ValidationError("Must start with postgresql://, mysql:// or sqlite:///.", "url")
        if parts.scheme == "sqlite":
            if parts.netloc or not parts.path.strip("/"):
                raise ValidationError("Must be sqlite:/// and the path of a file.", "url")
            if parts.path.startswith("//"):
                raise ValidationError("Must lead to one of the workspace's files: sqlite:///shop.sqlite3.", "url")
        elif not parts.hostname or not parts.path.strip("/"):
            raise ValidationError("Must name a host and a database: postgresql://user:password@host/name.", "url")


# PostgreSQL's notifications: it sends one to those who listen at that moment and keeps none. A query can catch up after
# that.

WAIT_SECONDS = 0.4
CATCH_UP_SECONDS = 60.0
MAX_CAUGHT_UP = 1_000
BATCH = 100


def _channel(name: str) -> None:
    if not 0 < len(name.encode()) <= 63 or "\0" in name:
        raise ValidationError("Must be the name of a channel, with at most 63 bytes.")


class PostgresTrigger(TriggerNode):
    """Starts a run for each notification of a channel of a PostgreSQL database: NOTIFY orders, '{"id": 7}'.

    A notification is lost while the trigger is not connected. A catch-up query, run at each connection,
    finds missed messages: its rows start runs like notifications, unless their key is known.
    """

    type = "postgres_trigger"
    title = "PostgreSQL notification"
    icon = "database-import"
    also = ("listen", "notify", "postgresql", "database trigger", "supabase", "pg_notify")
    polls = True
    listens = True
    source = ("credential", "key", "catch_up")
    examples = (
        {
            "config": {
                "credential": "shop",
                "channels": ["orders"],
                "key": "payload.id",
                "catch_up": "SELECT id FROM orders WHERE NOT done ORDER BY id",
            },
            "input": {"channel": "orders", "payload": {"id": 7}},
            "output": {"channel": "orders", "payload": {"id": 7}},
        },
    )

    class Config(Schema):
        credential = credential("The credential of the database", "database_url", required=True, title="Credential")
        channels = setting(
            fields.List(fields.String(validate=_channel), required=True, validate=validate.Length(1, 50)),
            "The channels, as NOTIFY names them: orders",
            literal=True,
            title="Channels",
        )
        key = text(
            "JMESPath of the key of a notification: payload.id. One with a known key starts no run",
            jmespath,
            most=MAX_QUERY,
            least=1,
            literal=True,
            title="Key path",
        )
        catch_up = text(
            "A SELECT that runs at each connection, for missed messages. Each row is a payload: SELECT id FROM orders",
            no_expression("use conditions of the database instead, such as now() - interval '1 day'"),
            most=20_000,
            least=1,
            literal=True,
            lines="sql",
            title="Catch-up query",
        )
        backlog = flag("Also start runs for the rows of the first catch-up query", False, title="Include existing rows")

        @validates_schema
        def has_a_key_to_catch_up(self, data: Mapping[str, Any], **kwargs: Any) -> None:
            """Require a key with a catch-up query, whose rows come again at each connection."""
            if data.get("catch_up") and not data.get("key"):
                raise ValidationError("Is required with a catch-up query.", "key")

    def poll(self, config: dict[str, Any], state: Any, ctx: Context) -> Polled:
        raise NodeError("this process cannot listen to databases")

    def listen(self, config: dict[str, Any], state: Any, ctx: Context, inbox: Inbox) -> None:
        from packs.sql import postgres

        found = ctx.credential(config["credential"], "database_url")
        kind, place = parse_url(found)
        if kind != "postgresql":
            raise NodeError(f"{found.label} must be a postgresql:// URL", permanent=True, kind="config")
        found.check_host(place.host)
        with postgres.listening(place, config["channels"], ctx.need_services()) as notifications:
            # The query comes after LISTEN, so that nothing is missed between them.
            if "catch_up" in config:
                inbox.catch_up(self.query(config, ctx), config["backlog"])
            inbox.connected()
            self.receive(config, notifications, inbox)

    def query(self, config: dict[str, Any], ctx: Context) -> list[Item]:
        """Return the rows of the catch-up query. Raises: NodeError if a row has no key."""
        end = time.monotonic() + CATCH_UP_SECONDS
        work = SqlWork(config["catch_up"], [], False, True, MAX_CAUGHT_UP, end)
        answer = execute(ctx.credential(config["credential"], "database_url"), work, ctx)
        if "rows" not in answer:
            raise NodeError("catch_up: must be a SELECT", permanent=True, kind="config")
        if answer.get("truncated"):
            ctx.log("warning", f"The catch-up query found more than {MAX_CAUGHT_UP:,} rows; the others are ignored")
        items = [self.item(config, None, row) for row in answer["rows"]]
        if not all(item.key for item in items):
            raise NodeError(f"catch_up: a row has nothing at {config['key']}", permanent=True, kind="config")
        return items

    def receive(self, config: dict[str, Any], notifications: Notifications, inbox: Inbox) -> None:
        """Deliver notifications until the inbox is closed. Nothing more is read while there is no room for runs."""
        pending: deque[Item] = deque()
        while inbox.is_open():
            if not pending:
                pending.extend(self.item(config, *found) for found in notifications.get(WAIT_SECONDS, BATCH))
            if pending:
                taken = inbox.deliver([pending[at] for at in range(min(BATCH, len(pending)))])
                for _ in range(taken):
                    pending.popleft()
                if not taken:
                    time.sleep(WAIT_SECONDS)

    def item(self, config: dict[str, Any], channel: str | None, payload: Any) -> Item:
        """Return the run's input with its key, for a notification with a text or a row."""
        value = {"channel": channel, "payload": read_payload(payload.encode()) if isinstance(payload, str) else payload}
        return Item(make_key(config.get("key"), value), value)
