"""PostgreSQL trigger: a run for each notification of some channels (LISTEN and NOTIFY).

PostgreSQL sends a notification to those who listen at that moment and keeps none. A query can catch up after that.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from marshmallow import ValidationError, fields, validate, validates_schema

from errors import NodeError
from fields import Schema
from nodes.base import Context, Inbox, Item, Polled, setting
from nodes.core.triggers import TriggerNode
from nodes.data.jmespath_query import MAX_QUERY, make_key, read_payload
from nodes.fields import credential, flag, no_expression, text
from nodes.http.pagination import jmespath
from packs.sql.node import execute, parse_url
from packs.sql.rows import SqlWork

if TYPE_CHECKING:
    from packs.sql.postgres import Notifications

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
        backlog = flag("Whether rows of the first catch-up query also start runs", False, title="Include existing rows")

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
