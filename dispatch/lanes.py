"""Lanes of claimable runs: `slow` for runs that may hold a thread for minutes, `runs` for all others."""

from __future__ import annotations

from database.queries.server_metrics import count_claimable
from errors import HeadraceError

from .resources import Resources, find_version, is_task


def count_by_lane(resources: Resources) -> dict[str, int]:
    """Return the number of claimable runs by lane. A flow that cannot be planned counts for `runs`."""
    counts = {"runs": 0, "slow": 0}
    for workflow_id, version, count in count_claimable():
        counts["slow" if _is_slow(resources, workflow_id, version) else "runs"] += count
    return counts


def _is_slow(resources: Resources, workflow_id: str, version: int | None) -> bool:
    if is_task(workflow_id):
        return True
    row = find_version(workflow_id, version)
    if row is None:
        return False
    try:
        return resources.plans.get(workflow_id, int(version or 0), lambda: str(row.definition_json)).is_slow
    except HeadraceError:
        return False
