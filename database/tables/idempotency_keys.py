"""Idempotency keys, which keep a run from being started twice."""

from __future__ import annotations

from peewee import CompositeKey, IntegerField, TextField

from .base import DAY_MS, Base, Expiring, Write, insert, now_ms
from .runs import Run


class IdempotencyKey(Expiring, Base):
    """A key under which a run was started; it identifies that run for a day."""

    expired, kept_ms = "created_at < ?", DAY_MS
    workflow_id = TextField()
    key = TextField()
    run_id = TextField()
    created_at = IntegerField()

    class Meta:
        primary_key = CompositeKey("workflow_id", "key")

    @classmethod
    def take(cls, workflow_id: str, key: str, run_id: str) -> list[Write]:
        """Return writes that bind the key to the run, if it has a row; the second fails if the key is bound already."""
        now = now_ms()
        stale = "DELETE FROM idempotency_keys WHERE workflow_id = ? AND key = ? AND created_at < ?"
        row = {"workflow_id": workflow_id, "key": key, "run_id": run_id, "created_at": now}
        bound = insert("idempotency_keys", row).with_condition("EXISTS (SELECT 1 FROM runs WHERE id = ?)", (run_id,))
        return [Write(stale, (workflow_id, key, now - DAY_MS)), bound]

    @classmethod
    def run_of(cls, workflow_id: str, key: str) -> Run | None:
        """Return the run started under this key within a day, or None."""
        row = cls.one("workflow_id = ? AND key = ? AND created_at >= ?", workflow_id, key, now_ms() - DAY_MS)
        return None if row is None else Run.find(row.run_id)
