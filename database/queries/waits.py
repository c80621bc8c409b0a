"""Waits of runs: node, deadline and answer."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from constants import UNFINISHED
from database import db, execute, execute_all, fetch_value, write
from database.base import Write, now_ms, without_index
from database.queries.locks import lock_runs
from models import Wait

# Loops whose items wait: SQL of their waits, and of the runs of other flows that they start in turn.
#
# The wait of item 3 of the node `n` is at the place `n:3`, that of the loop itself at `n`. A loop inserts the runs of
# all its items at once, each held back until it is its turn. The end of one gives the turn to the next, so neither
# costs a resume of the parent run. That resumes when an item needs it, or when all have ended.

# The condition that a claim still executes its run.
STILL_RUNS = "EXISTS (SELECT 1 FROM runs WHERE id = ? AND claims = ? AND status = 'running')"
HELD = "its turn"  # the column `waiting` of a run that a loop has not started yet
OPEN = "parent_run_id = ? AND parent_run_id IS NOT NULL AND parent_node_id > ? AND parent_node_id < ?"
HELD_BACK = f"FROM runs WHERE status = 'pending' AND waiting = '{HELD}' AND {OPEN}"
STARTED = f"FROM runs WHERE status IN ('pending', 'running') AND COALESCE(waiting, '') <> '{HELD}' AND {OPEN}"
# Uses the index `waits_open`, because at the end of a long loop few waits are open. The primary key has all of them.
OPEN_ITEM = (
    "SELECT 1 FROM waits WHERE run_id = ? AND COALESCE(answered_at, 0) = 0 "
    f"AND {without_index('node_id')} > ? AND {without_index('node_id')} < ?"
)
# Selects the next run of a loop, if the loop has a free place and its delay has passed.
TAKE_TURN = (
    f"UPDATE waits SET turn = (SELECT id {HELD_BACK} ORDER BY id LIMIT 1), next_at = ? + delay_ms "
    "WHERE run_id = ? AND node_id = ? AND kind = 'loop' AND answered_at IS NULL AND COALESCE(next_at, 0) <= ? "
    f"AND EXISTS (SELECT 1 {HELD_BACK}) AND (SELECT COUNT(*) {STARTED}) < places"
)
START = (
    "UPDATE runs SET waiting = NULL WHERE id = (SELECT turn FROM waits WHERE run_id = ? AND node_id = ?) "
    f"AND status = 'pending' AND waiting = '{HELD}'"
)
WAKE_NEXT = (
    f"UPDATE waits SET wake_at = CASE WHEN next_at > ? AND EXISTS (SELECT 1 {HELD_BACK}) THEN next_at END "
    "WHERE run_id = ? AND node_id = ? AND kind = 'loop' AND delay_ms > 0 AND answered_at IS NULL"
)
# The answer of an item also answers the wait of its loop, if the loop must continue at once or no other item is open. A
# parent run that is being executed checks this itself: see `check`.
ANSWER_LOOP = (
    "UPDATE waits SET name = 'items', answered_at = ? WHERE run_id = ? AND node_id = ? AND kind = 'loop' "
    "AND answered_at IS NULL AND EXISTS (SELECT 1 FROM runs WHERE id = ? AND status = 'pending') AND ("
    "EXISTS (SELECT 1 FROM waits AS i WHERE i.run_id = ? AND i.node_id = ? AND i.answered_at IS NOT NULL "
    "AND (i.name = 'failed' OR i.kind IN ('item_each', 'item_pause'))) "
    f"OR NOT EXISTS ({OPEN_ITEM}))"
)
CHECK_LOOP = (
    "UPDATE waits SET name = 'items', answered_at = ? WHERE run_id = ? AND node_id = ? AND kind = 'loop' "
    f"AND answered_at IS NULL AND (NOT EXISTS ({OPEN_ITEM}) "
    "OR EXISTS (SELECT 1 FROM waits AS i JOIN steps AS s ON s.run_id = i.run_id AND s.seq = i.seq WHERE i.run_id = ? "
    "AND i.node_id > ? AND i.node_id < ? AND i.answered_at IS NOT NULL AND s.status = 'waiting' "
    "AND (i.name = 'failed' OR i.kind IN ('item_each', 'item_pause'))))"
)
DROP = (
    "UPDATE waits SET name = 'dropped', answered_at = ? WHERE run_id = ? AND answered_at IS NULL AND node_id IN "
    f"(SELECT parent_node_id {HELD_BACK})"
)
SETTLE_ITEM = (
    "UPDATE steps SET status = ?, output = ?, error_text = ?, error_kind = ?, finished_at = ?, "
    "duration_ms = ? - started_at WHERE run_id = ? AND status = 'waiting' "
    "AND seq = (SELECT seq FROM waits WHERE run_id = ? AND node_id = ? AND answered_at IS NULL AND kind {})"
)
RESUME = (
    "UPDATE runs SET waiting = NULL WHERE id = ? AND status = 'pending' AND EXISTS (SELECT 1 FROM waits "
    "WHERE run_id = ? AND node_id = ? AND seq IS NOT NULL AND answered_at IS NOT NULL)"
)


def node_of(place: str) -> str:
    """Return the node of a place: `n` for `n` and `n:3`."""
    return place.partition(":")[0]


def is_item(place: str) -> bool:
    """Return True if this is the place of an item of a loop."""
    return ":" in place


def _items_of(node_id: str) -> tuple[str, str]:
    """Return the bounds of the places of all items of a loop."""
    return f"{node_id}:", f"{node_id};"


def resume_after(run_id: str, place: str) -> list[Write]:
    """Return the writes after an answer at this place: the run resumes if the node can go on."""
    node_id = node_of(place)
    resume = Write(RESUME, (run_id, run_id, node_id))
    if not is_item(place):
        return [resume]
    answer = (now_ms(), run_id, node_id, run_id, run_id, place, run_id, *_items_of(node_id))
    return [Write(ANSWER_LOOP, answer), resume]


def settle_item(
    run_id: str, place: str, output: str | None, error: tuple[str, str | None] | None, finished_at: int
) -> Write:
    """Return the write that settles the step of an item by the end of its run: with an output, or an error.

    A failed one is settled only in a loop that continues after errors; its `output` is the object of the error.
    """
    status, kinds = ("success", "IN ('item', 'item_on')") if error is None else ("failed", "= 'item_on'")
    text, kind = error or (None, None)
    params = (status, output, text, kind, finished_at, finished_at, run_id, run_id, place)
    return Write(SETTLE_ITEM.format(kinds), params)


def give_turn(run_id: str, node_id: str) -> list[Write]:
    """Return the writes that start the next run of a loop, if one is held back and the loop has a free place."""
    now, held = now_ms(), (run_id, *_items_of(node_id))
    return [
        Write(TAKE_TURN, (*held, now, run_id, node_id, now, *held, *held)),
        Write(START, (run_id, node_id)),
        Write(WAKE_NEXT, (now, *held, run_id, node_id)),
    ]


def check(run_id: str, node_id: str, places: int) -> list[Write]:
    """Return the writes for a run that suspends at a loop: they handle items that ended since the run was read."""
    bounds = _items_of(node_id)
    checked = Write(CHECK_LOOP, (now_ms(), run_id, node_id, run_id, *bounds, run_id, *bounds))
    return [checked, *(write for _ in range(places) for write in give_turn(run_id, node_id))]


def stop(run_id: str, node_id: str) -> list[Write]:
    """Return the writes that drop the runs of a loop which have not started."""
    held = (run_id, *_items_of(node_id))
    return [Write(DROP, (now_ms(), run_id, *held)), Write(f"DELETE {HELD_BACK}", held)]


def stop_all(run_id: str) -> Write:
    """Return the write that drops all runs of an ended run's loops which have not started."""
    sql = f"DELETE FROM runs WHERE status = 'pending' AND waiting = '{HELD}' AND parent_run_id = ?"
    return Write(sql, (run_id,))


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


# Link signatures in stored text, and their removal for users who may not answer runs.
#
# A flow may put a link into any message or error. Such text is cut anywhere and searched by its letters, and any
# visible part of a signature would help to guess the rest.

# As dispatch/resources.py writes it, also inside another URL or JSON text, and cut anywhere. The part of the link
# before it is searched afterwards: in one pattern with this, it would be tried at each of its beginnings in the text.
SIGNATURE = re.compile(rb"(token(?:=|%(?:25)*3D|\\+u003D))[\w-]+", re.IGNORECASE)
BEFORE, FAR = b"resume", 500  # bytes
DOTS = "…".encode()


def without_signatures(text: bytes) -> bytes:
    """Return the text with dots in place of each signature or part of one."""

    def hide(found: re.Match[bytes]) -> bytes:
        before = found.string[max(0, found.start() - FAR) : found.start()]
        return found[1] + DOTS if BEFORE in before else found[0]

    return SIGNATURE.sub(hide, text) if b"token" in text else text


def in_sql(text: str | None) -> str | None:
    """Return `without_signatures(text)`, as an SQL function."""
    if text is None or "token" not in text:
        return text
    return without_signatures(text.encode()).decode()


db.register_function(in_sql, "without_signatures", 1)
