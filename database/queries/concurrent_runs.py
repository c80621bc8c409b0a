"""The limit of concurrent runs of a flow: runs over it are queued, and follow when one of the flow's runs ends."""

from __future__ import annotations

from database import execute, fetch_value, write
from database.base import IN_LIST, UNLOCKED_ONLY, Write, encode_list
from database.queries.locks import FlowLock, lock_runs

# The reason of runs that wait because the flow's limit of concurrent runs is reached.
QUEUED = "a free place (max_concurrent_runs)"
ANY_QUEUED = f"SELECT 1 FROM runs WHERE status = 'pending' AND waiting = '{QUEUED}' LIMIT 1"
RUNNING = "(SELECT COUNT(*) FROM runs AS o WHERE o.workflow_id = {0} AND o.status = 'running' AND o.recorded = 0)"
BUSY = (
    "(SELECT COUNT(*) FROM runs WHERE workflow_id = ? AND status = 'running' AND recorded = 0) + "
    "(SELECT COUNT(*) FROM runs WHERE workflow_id = ? AND status = 'pending' AND recorded = 0 AND waiting IS NULL) + "
    f"(SELECT COUNT(*) FROM runs WHERE workflow_id = ? AND status = 'pending' AND waiting = '{QUEUED}')"
)
OLDER = (
    "(EXISTS (SELECT 1 FROM runs AS o WHERE o.workflow_id = runs.workflow_id AND o.status = 'pending' "
    "AND o.waiting IS NULL AND o.id < runs.id AND o.recorded = 0) "
    "OR EXISTS (SELECT 1 FROM runs AS o WHERE o.workflow_id = runs.workflow_id AND o.status = 'pending' "
    f"AND o.waiting = '{QUEUED}' AND o.id < runs.id))"
)
# Lets the oldest queued run of a flow (?) start. It needs the flow's lock in its unit.
RELEASE_NEXT = (
    "UPDATE runs SET waiting = NULL WHERE id = (SELECT o.id FROM runs AS o WHERE o.workflow_id = ? "
    f"AND o.status = 'pending' AND o.waiting = '{QUEUED}' ORDER BY o.id LIMIT 1 {UNLOCKED_ONLY})"
)
FIRST_QUEUED = f"SELECT MIN(id) FROM runs WHERE status = 'pending' AND waiting = '{QUEUED}' GROUP BY workflow_id"
UNQUEUE = (
    f"UPDATE runs SET waiting = NULL WHERE id {IN_LIST} AND status = 'pending' AND waiting = '{QUEUED}' "
    f"AND {RUNNING.format('runs.workflow_id')} = 0"
)


def claim_within(limit: int, claim: Write, id_: str, workflow_id: str) -> list[Write | FlowLock]:
    """Return writes that claim a run if fewer than `limit` runs of its flow run, and no older one waits; else queue it.

    They succeeded if the row count of the first one is 1. `claim` claims the run in any case.
    """
    place = f"{RUNNING.format('runs.workflow_id')} < ?"
    queued = f"UPDATE runs SET waiting = '{QUEUED}' WHERE id = ? AND status = 'pending' AND waiting IS NULL"
    following = (
        "UPDATE runs SET waiting = NULL WHERE id = (SELECT o.id FROM runs AS o WHERE o.status = 'pending' "
        "AND o.workflow_id = (SELECT workflow_id FROM runs WHERE id = ?) "
        f"AND o.waiting = '{QUEUED}' ORDER BY o.id LIMIT 1 {UNLOCKED_ONLY}) AND {place} AND NOT {OLDER}"
    )
    return [
        claim.with_condition(f"{place} AND NOT {OLDER}", (limit,)),
        Write(queued, (id_,)),
        Write(following, (id_, limit)),
        FlowLock(workflow_id, alone=True),
    ]


def unqueue() -> None:
    """Release the first queued run of each flow that has no running one, whose end would release it."""
    # Usually there is none, and each process asks every two seconds: a write would clear the caches of all.
    if fetch_value(ANY_QUEUED) is None:
        return
    with write():
        found = [id_ for (id_,) in execute(FIRST_QUEUED).fetchall()]
        lock_runs(found)
        execute(UNQUEUE, (encode_list(found),))


def busy(workflow_id: str) -> int:
    """Return the number of the flow's active runs: running ones, and pending ones that may start."""
    return int(fetch_value(f"SELECT {BUSY}", (workflow_id,) * 3))
