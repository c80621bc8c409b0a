"""Cache of plans: each version of a flow is planned once per process."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable

import orjson

import engine
from engine import Plan

MAX_PLANS = 256


class Plans:
    """The MAX_PLANS most recently used plans, by flow and version. Thread-safe."""

    def __init__(self, max_nodes: int) -> None:
        self.max_nodes = max_nodes
        self._kept: OrderedDict[tuple[str, int], Plan] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, workflow_id: str, version: int, definition_json: Callable[[], str]) -> Plan:
        """Return the plan; `definition_json` is called if it is not in the cache. Raises: DefinitionError."""
        plan = self.known(workflow_id, version)
        if plan is not None:
            return plan
        plan = engine.plan(orjson.loads(definition_json()), self.max_nodes)
        with self._lock:
            self._kept[workflow_id, version] = plan
            if len(self._kept) > MAX_PLANS:
                self._kept.popitem(last=False)
        return plan

    def known(self, workflow_id: str, version: int) -> Plan | None:
        """Return the plan if it is in the cache, else None."""
        key = (workflow_id, version)
        with self._lock:
            plan = self._kept.get(key)
            if plan is not None:
                self._kept.move_to_end(key)
            return plan
