"""Loops whose items wait: SQL of their waits, and of the runs of other flows that they start in turn.

The wait of item 3 of the node `n` is at the place `n:3`, that of the loop itself at `n`. A loop inserts the runs of all
its items at once, each held back until it is its turn. The end of one gives the turn to the next, so neither costs a
resume of the parent run. That resumes when an item needs it, or when all have ended.
"""

from __future__ import annotations

from database.base import Write, now_ms, without_index

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
