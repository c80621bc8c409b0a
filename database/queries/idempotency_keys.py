"""Idempotency keys, which keep a run from being started twice."""

from __future__ import annotations

from database.base import DAY_MS, Write, insert, now_ms
from errors import Unprocessable
from models import IdempotencyKey, Run

OTHER_REQUEST = (
    "This idempotency key was used within 24 hours for a request with another method, path or body; send a new key "
    "for a new request"
)


def take(workflow_id: str, key: str, run_id: str, request_hash: str | None = None) -> list[Write]:
    """Return writes that bind the key to the run, if it has a row; the second fails if the key is bound already."""
    now = now_ms()
    stale = "DELETE FROM idempotency_keys WHERE workflow_id = ? AND key = ? AND created_at < ?"
    row = {
        "workflow_id": workflow_id, "key": key, "run_id": run_id, "created_at": now, "request_hash": request_hash,
    }  # fmt: skip
    bound = insert("idempotency_keys", row).with_condition("EXISTS (SELECT 1 FROM runs WHERE id = ?)", (run_id,))
    return [Write(stale, (workflow_id, key, now - DAY_MS)), bound]


def run_of(workflow_id: str, key: str, request_hash: str | None = None) -> Run | None:
    """Return the run started under this key within a day, or None.

    Raises: Unprocessable if another request had the key.
    """
    row = IdempotencyKey.one("workflow_id = ? AND key = ? AND created_at >= ?", workflow_id, key, now_ms() - DAY_MS)
    if row is None:
        return None
    if None not in (row.request_hash, request_hash) and row.request_hash != request_hash:
        raise Unprocessable(OTHER_REQUEST)
    return Run.find(row.run_id)
