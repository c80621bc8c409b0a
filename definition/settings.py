"""Settings of a workflow: their validation."""

from __future__ import annotations

import zoneinfo
from collections.abc import Callable
from typing import Any

from .execution_plan import FlowSettings
from .node_graph import MAX_ID, Issues, report_unknown_keys
from .schema import MAX_DESCRIPTION, SETTINGS, get_bounds, get_enum


def read_settings(raw: Any, issues: Issues) -> FlowSettings:
    if raw is None:
        return FlowSettings()
    if not isinstance(raw, dict):
        issues.add("settings", "must be an object")
        return FlowSettings()
    report_unknown_keys(raw, SETTING_CHECKS, "settings", issues)
    good = {}
    for key, (accepts, message) in SETTING_CHECKS.items():
        if key not in raw:
            continue
        if accepts(raw[key]):
            if key not in FOR_PEOPLE:
                good[key] = raw[key]
        else:
            issues.add(f"settings.{key}", message)
    return FlowSettings(**good)


def _is_within(value: Any, key: str) -> bool:
    low, high = get_bounds(SETTINGS, key)
    return not isinstance(value, bool) and isinstance(value, int | float) and low <= value <= high


def _is_text(value: Any, key: str) -> bool:
    return isinstance(value, str) and len(value) <= SETTINGS["properties"][key]["maxLength"]


def is_zone(value: Any) -> bool:
    """Return True if the value is the name of an IANA time zone."""
    if not isinstance(value, str):
        return False
    try:
        zoneinfo.ZoneInfo(value)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        return False
    return True


SETTING_CHECKS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "timezone": (is_zone, "must be an IANA time zone such as Europe/Berlin"),
    "timeout": (lambda v: v is None or _is_within(v, "timeout"), "must be a number of seconds from 0.001 to 2592000"),
    "max_concurrent_runs": (
        lambda v: isinstance(v, int) and _is_within(v, "max_concurrent_runs"),
        "must be a whole number from 0 to 10000",
    ),
    "overlap": (lambda v: v in get_enum(SETTINGS, "overlap"), "must be queue or skip"),
    "parallel": (lambda v: isinstance(v, int) and _is_within(v, "parallel"), "must be a whole number from 1 to 16"),
    "error_workflow_id": (
        lambda v: v is None or (isinstance(v, str) and len(v) <= MAX_ID),
        "must be the id of a flow, or null",
    ),
    "vars": (lambda v: isinstance(v, dict), "must be an object"),
    "description": (lambda v: _is_text(v, "description"), f"must be text of at most {MAX_DESCRIPTION} characters"),
    "template": (lambda v: _is_text(v, "template"), "must be the id of a template"),
}
# Settings that a run does not need.
FOR_PEOPLE = {"description", "template"}
