"""Scheduled publishes: each due one is published once, or its failure is recorded and logged."""

from __future__ import annotations

import logging

import orjson

from database import DatabaseRefused, LockTimeout, execute, write
from database.queries import drafts, logs
from dispatch.publishing import publish_scheduled
from errors import HeadraceError
from fields import iso
from models import ScheduledPublish, Workflow

log = logging.getLogger("headrace.scheduler")
PAGE = 100
INTERNAL = "An internal error occurred; the log of the server has the details"


def publish_due(now: int, max_nodes: int) -> int:
    """Publish what is due; return the number of new versions. Several processes may call this at the same time."""
    published = 0
    for due in drafts.find_due(now, PAGE):
        try:
            published += publish_scheduled(due, max_nodes)
        except (DatabaseRefused, LockTimeout):
            raise  # tried again at the next call
        except HeadraceError as error:
            if error.status >= 500:
                raise
            _fail(due, error.message, now)
        except Exception:
            # One flow must not hold up those of the others.
            log.exception("Could not publish the draft of the flow %s, which was scheduled", due.workflow_id)
            _fail(due, INTERNAL, now)
    return published


def _fail(due: ScheduledPublish, reason: str, now: int) -> None:
    """Record why it was not published: for the people who open the flow, and in the log of its workspace."""
    flow = Workflow.find(due.workflow_id)
    if flow is None:
        return
    with write():
        if not drafts.fail_scheduled(due, reason, now):
            return
        text = f"The draft of the flow {flow.name} was not published at {iso(due.publish_at)}, as scheduled: {reason}"
        data = orjson.dumps({"workflow_id": flow.id, "publish_at": iso(due.publish_at)}).decode()
        execute(*logs.entry(flow.workspace_id, None, None, "error", text, data))
    log.warning("%s", text)
