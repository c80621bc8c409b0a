"""One poll of a trigger, or its opening for listening: evaluate its config, open its credentials, query its source.

A poll writes nothing, so it can be aborted, or made twice at the same time.
"""

from __future__ import annotations

import logging
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, NamedTuple

import orjson

import engine
from database.base import now_ms
from database.queries.store import WorkspaceStore
from database.queries.workspace_variables import find_variables
from definition import PlannedNode
from dispatch.resources import Flow, Resources
from dispatch.run_record import log_data
from errors import HeadraceError, LimitExceeded, NodeError
from nodes import plugin_runner
from nodes.base import Context, Item, Polled
from nodes.credentials.keyring import Keyring

log = logging.getLogger("headrace.dispatch")
SECONDS = 120.0  # timeout of one poll
MAX_ITEMS = 10_000
MAX_STATE = 256 * 1024
MAX_LINES = 20
MAX_LINE = 2_000
Line = tuple[str, str, str | None]  # level, message and data (JSON text) of a log entry


class PollResult(NamedTuple):
    """The result of a poll. `state` is JSON text. If `backlog`, entries found by the first poll start runs too."""

    items: tuple[Item, ...]
    state: str
    whole: bool
    more: bool
    backlog: bool
    keyring: Keyring


def encode_item(item: Item, keyring: Keyring, max_bytes: int) -> bytes:
    """Return an entry's value as JSON text, with secrets redacted. Raises: NodeError if not JSON, or too large."""
    return keyring.clean(engine.encode(item.value, max_bytes))


class Opened(NamedTuple):
    """A trigger that is ready to poll or to listen: its evaluated config, and the state after the last poll."""

    planned: PlannedNode
    config: dict[str, Any]
    state: Any
    ctx: Context


def look(resources: Resources, flow: Flow, node_id: str, state: str | None, lines: list[Line]) -> PollResult:
    """Poll the trigger with the state of its last poll as JSON text. Its log entries are added to `lines`.

    Raises: NodeError for every failure, with secrets redacted in the message.
    """
    keyring = resources.keyring_of(flow.workspace_id)
    with redacted_errors(keyring, flow, node_id):
        planned, config, before, ctx = open_trigger(resources, flow, node_id, state, lines, keyring, SECONDS)
        if planned.node.own:
            given = plugin_runner.copy_value(config)
            polled = plugin_runner.call(planned.node, lambda lent: planned.node.poll(given, before, lent), ctx)
        else:
            polled = planned.node.poll(config, before, ctx)
        if not isinstance(polled, Polled) or not all(
            isinstance(item, Item) and isinstance(item.key, str) for item in polled.items
        ):
            raise NodeError(f"{planned.type} must return Polled with a list of Item", permanent=True)
        if len(polled.items) > MAX_ITEMS:
            raise LimitExceeded(f"found {len(polled.items)} entries at once; at most {MAX_ITEMS} are allowed")
        encoded = encode_state(polled.state, keyring)
        return PollResult(tuple(polled.items), encoded, polled.whole, polled.more, bool(config.get("backlog")), keyring)


@contextmanager
def redacted_errors(keyring: Keyring, flow: Flow, node_id: str) -> Iterator[None]:
    """Convert every error of a trigger to a NodeError with secrets redacted in its message."""
    wait = 0.0
    try:
        yield
        return
    except NodeError as error:
        text, wait = error.message, error.retry_after
    except HeadraceError as error:
        text = error.message
    except Exception as error:
        trace = keyring.clean_text(traceback.format_exc())
        ids = {"node_id": node_id, "workflow_id": flow.id, "traceback": trace}
        log.error("the trigger %s of the flow %s raised\n%s", node_id, flow.id, trace, extra=ids)
        text = plugin_runner.describe_with_place(error)
    raise NodeError(_short(keyring.clean_text(text)), retry_after=wait)


def open_trigger(
    resources: Resources,
    flow: Flow,
    node_id: str,
    state: str | None,
    lines: list[Line],
    keyring: Keyring,
    seconds: float | None,
) -> Opened:
    """Evaluate the config of a trigger. `seconds` is its timeout; None for no timeout."""
    plan = resources.plan_of(flow)
    planned = plan.by_id[node_id]
    before = None if state is None else orjson.loads(state)
    scope = {
        "workflow": {"id": flow.id, "name": flow.name, "version": flow.version},
        "vars": {**find_variables(flow.workspace_id), **plan.settings.vars},
        "secrets": keyring,
        "now": datetime.fromtimestamp(now_ms() / 1000, UTC),
        "since": before.get("since") if isinstance(before, dict) else None,
    }
    config = planned.config.evaluate(scope)
    return Opened(planned, config, before, _context(resources, flow, node_id, scope, lines, keyring, seconds))


def encode_state(state: Any, keyring: Keyring) -> str:
    """Return the state as JSON text with secrets redacted. Raises: NodeError if it is not JSON, or too large."""
    return keyring.clean(engine.encode(state, MAX_STATE)).decode()


def _context(
    resources: Resources,
    flow: Flow,
    node_id: str,
    scope: dict[str, Any],
    lines: list[Line],
    keyring: Keyring,
    seconds: float | None,
) -> Context:
    def note(node_id: str, level: str, message: str, data: Any) -> None:
        if len(lines) < MAX_LINES:
            lines.append((level, _short(message), log_data(data)))

    return Context(
        node_id=node_id,
        inputs={},
        scope=scope,
        idempotency_key=f"{flow.id}:{node_id}:poll",
        deadline=None if seconds is None else time.monotonic() + seconds,
        write_log=note,
        store=WorkspaceStore(flow.workspace_id, keyring.clean),
        services=resources.services,
        keyring=keyring,
        files=resources.files_of(flow.workspace_id),
        workspace_id=flow.workspace_id,
    )


def _short(text: str) -> str:
    """Return the text with at most MAX_LINE characters, and with halves of surrogate pairs replaced."""
    text = text.encode("utf-8", "replace").decode()
    return text if len(text) <= MAX_LINE else text[:MAX_LINE] + "…"
