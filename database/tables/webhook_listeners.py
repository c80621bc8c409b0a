"""Listeners for test calls of webhooks: the editor waits for the next call of a flow, in any process of the server."""

from __future__ import annotations

from typing import Any

from peewee import IntegerField, TextField

from database import execute, write
from errors import Conflict

from .base import Base, insert, new_id, now_ms
from .locks import lock_names

KEPT_MS = 86_400_000  # after its deadline a listener has no use; the next one deletes it then


class WebhookListener(Base):
    """A listener takes one call before `until` (ms). `options` is JSON as dispatch/run_options.py makes it.

    `called_at` is set by the call that claims it, and `run_id` once this call has started its run.
    """

    prefix = "lis"
    workflow_id = TextField(primary_key=True)
    id = TextField()
    workspace_id = TextField()
    user_id = TextField()
    until = IntegerField()
    options = TextField()
    called_at = IntegerField(null=True)
    run_id = TextField(null=True)

    @classmethod
    def begin(cls, flow: Any, user_id: str, options: str, seconds: int) -> WebhookListener:
        """Replace the flow's listener. Raises: Conflict if another user is listening."""
        now = now_ms()
        row = {
            "workflow_id": flow.id, "id": new_id(cls.prefix), "workspace_id": flow.workspace_id, "user_id": user_id,
            "until": now + seconds * 1000, "options": options,
        }  # fmt: skip
        with write():
            lock_names("listener", (flow.id,))
            present = cls.find(flow.id)
            if present is not None and present.user_id != user_id and present.is_open:
                raise Conflict("Another member is listening for a test call of this flow; try again in two minutes")
            execute("DELETE FROM webhook_listeners WHERE workflow_id = ? OR until < ?", (flow.id, now - KEPT_MS))
            execute(*insert("webhook_listeners", row))
        return cls.fresh({**row, "called_at": None, "run_id": None})

    @property
    def state(self) -> str:
        """Return `listening`, `called` or `expired`."""
        if self.called_at is not None:
            return "called"
        return "listening" if self.until > now_ms() else "expired"

    @property
    def is_open(self) -> bool:
        """Return True if it can still take a call."""
        return self.state == "listening"

    def claim(self) -> bool:
        """Take the listener for a call. Return True if no other call has it, in any process."""
        now = now_ms()
        sql = "UPDATE webhook_listeners SET called_at = ? WHERE id = ? AND called_at IS NULL AND until > ?"
        with write():
            return bool(execute(sql, (now, self.id, now)).rowcount)

    def settle(self, run_id: str | None) -> None:
        """Note the run of the call; or, if it started none, let the listener take another call."""
        sql = "UPDATE webhook_listeners SET run_id = ?, called_at = ? WHERE id = ?"
        with write():
            execute(sql, (run_id, None if run_id is None else now_ms(), self.id))

    @classmethod
    def stop(cls, workflow_id: str) -> None:
        """Delete the flow's listener, if any."""
        execute("DELETE FROM webhook_listeners WHERE workflow_id = ?", (workflow_id,))
