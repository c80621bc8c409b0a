"""Keys that keep a run from being started twice."""

from __future__ import annotations

from peewee import CompositeKey, IntegerField, TextField

from .base import DAY_MS, Base, Write, insert, now_ms
from .runs import Run


class IdempotencyKey(Base):
    """A key under which a flow was started; for a day it stands for that run."""

    workflow_id = TextField()
    key = TextField()
    run_id = TextField(index=True)
    created_at = IntegerField()

    class Meta:
        table_name = "idempotency_keys"
        primary_key = CompositeKey("workflow_id", "key")

    @classmethod
    def take(cls, workflow_id: str, key: str, run_id: str) -> list[Write]:
        """Writes that bind the key to the run, if that has a row; the second violates the primary key while the key is
        bound.
        """
        now = now_ms()
        stale = "DELETE FROM idempotency_keys WHERE workflow_id = ? AND key = ? AND created_at < ?"
        row = {"workflow_id": workflow_id, "key": key, "run_id": run_id, "created_at": now}
        bound = insert("idempotency_keys", row).provided("EXISTS (SELECT 1 FROM runs WHERE id = ?)", (run_id,))
        return [Write(stale, (workflow_id, key, now - DAY_MS)), bound]

    @classmethod
    def run_of(cls, workflow_id: str, key: str) -> Run | None:
        """The run that was started under this key within a day."""
        row = cls.one("workflow_id = ? AND key = ? AND created_at >= ?", workflow_id, key, now_ms() - DAY_MS)
        return None if row is None else Run.find(row.run_id)

    @classmethod
    def prune(cls) -> int:
        """Delete those that stand for nothing any more."""
        return cls.drop_old("created_at < ?", now_ms() - DAY_MS)
