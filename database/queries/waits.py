"""Waits of runs: node, deadline and answer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from constants import UNFINISHED
from database import execute, execute_all, fetch_value, write
from database.base import Write, now_ms
from database.queries.locks import lock_runs
from database.queries.loops import give_turn, is_item, resume_after
from database.queries.runs import STILL_RUNS
from models import Wait

WAKE_AT_ONCE = 500
# Only the last claim of a running run writes a wait: in a cancelled run the wait would never be closed. An answer that
# came before its question is kept. An answer to an earlier question of the node, before a retry, is cleared.
BEGIN = (
    "INSERT INTO waits (run_id, node_id, seq, reason, wake_at, question, created_at, kind, places, delay_ms) "
    f"SELECT ?, ?, ?, ?, ?, ?, ?, ?, ?, ? WHERE {STILL_RUNS} "
    "ON CONFLICT (run_id, node_id) DO UPDATE SET seq = excluded.seq, reason = excluded.reason, "
    "wake_at = excluded.wake_at, question = excluded.question, kind = excluded.kind, places = excluded.places, "
    "delay_ms = excluded.delay_ms, "
    + ", ".join(
        f"{name} = CASE WHEN waits.seq IS NULL THEN waits.{name} END"
        for name in ("name", "answer", "answer_bytes", "answered_by", "answered_at")
    )
)
ANSWER = (
    "INSERT INTO waits (run_id, node_id, created_at, name, answer, answer_bytes, answered_by, answered_at) "
    "VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (run_id, node_id) DO UPDATE SET name = excluded.name, "
    "answer = excluded.answer, answer_bytes = excluded.answer_bytes, answered_by = excluded.answered_by, "
    "answered_at = excluded.answered_at WHERE waits.answered_at IS NULL"
)
EXPIRE = "UPDATE waits SET name = 'time', answered_at = ? WHERE run_id = ? AND node_id = ? AND answered_at IS NULL"


def begin(run_id: str, claims: int, place: str, seq: int, wait: Any) -> Write:
    """Return the write for the waiting step `seq`; `wait` is a `Suspend` of nodes.base."""
    loop = (wait.places, wait.delay_ms) if wait.kind == "loop" else (None, None)
    values = (run_id, place, seq, wait.reason, wait.until, wait.question, now_ms(), wait.kind, *loop)
    return Write(BEGIN, (*values, run_id, claims))


def of(run_id: str) -> dict[str, Wait]:
    """Return the run's waits by node."""
    return {row.node_id: row for row in Wait.select().where(Wait.run_id == run_id)}


def explain_closed(run_id: str, node_id: str, now: int, asks: bool = False, question: str | None = None) -> str | None:
    """Return why this node of the run accepts no answer, or None if it does.

    Call it in the settling transaction, after `lock_runs`.

    A node that `asks` accepts none before its question, nor to another `question` than the open one.
    """
    # The wait is read before the run, because the end of a run deletes its waits.
    wait = Wait.one("run_id = ? AND node_id = ?", run_id, node_id)
    run = execute("SELECT status, recorded FROM runs WHERE id = ?", (run_id,)).fetchone()
    if run is None or run[0] not in UNFINISHED:
        return "The run has ended already"
    if run[1]:
        return "This run is executed by another system. Answer it there."
    if wait is not None and wait.answered_at is not None:
        return "The time to answer is over" if wait.name == "time" else "It was answered already"
    if (asks and (wait is None or wait.question is None)) or (wait is None and is_item(node_id)):
        return "The run has no question here at the moment"
    if asks and wait is not None and question not in (None, wait.question):
        return "That question was answered already"
    over = wait is not None and wait.wake_at is not None and wait.wake_at <= now
    return "The time to answer is over" if over else None


def settle(run_id: str, node_id: str, name: str, answer: str | None, answer_bytes: int | None, by: str | None) -> None:
    """Answer an open node, and resume the run if it has reached the node."""
    now = now_ms()
    with write():
        lock_runs((run_id,))
        execute(ANSWER, (run_id, node_id, now, name, answer, answer_bytes, by, now))
        execute_all(resume_after(run_id, node_id))


def wake(now: int) -> list[str]:
    """Resume runs whose time has come, WAKE_AT_ONCE at most. Return their ids."""
    due = (
        "SELECT run_id, node_id, kind FROM waits "
        "WHERE wake_at IS NOT NULL AND answered_at IS NULL AND wake_at <= ? ORDER BY wake_at LIMIT ?"
    )
    if fetch_value(due, (now, 1)) is None:
        return []
    woken = []
    with write():
        found = execute(due, (now, WAKE_AT_ONCE)).fetchall()
        lock_runs({run_id for run_id, *_ in found})
        for run_id, node_id, kind in found:
            if kind == "loop":
                execute_all(give_turn(run_id, node_id))
                woken.append(run_id)
            elif execute(EXPIRE, (now, run_id, node_id)).rowcount:
                execute_all(resume_after(run_id, node_id))
                woken.append(run_id)
    return woken


def count_open(types: Sequence[str]) -> int:
    """Return the number of runs that wait for an answer at a node of one of these types, or by an agent."""
    sql = (
        "SELECT COUNT(DISTINCT w.run_id) FROM waits w JOIN runs r ON r.id = w.run_id AND r.finished_at IS NULL "
        "JOIN steps s ON s.run_id = w.run_id AND s.seq = w.seq "
        "WHERE w.answered_at IS NULL AND (w.question IS NOT NULL "
        f"OR s.node_type IN ({', '.join('?' * len(types))}))"
    )
    return int(fetch_value(sql, tuple(types)))


def find_next_wake(run_id: str) -> int | None:
    """Return when the first of the run's open waits expires, or None."""
    sql = "SELECT MIN(wake_at) FROM waits WHERE run_id = ? AND answered_at IS NULL"
    found: int | None = fetch_value(sql, (run_id,))
    return found
