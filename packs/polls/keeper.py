"""What the core calls for triggers that poll: what a flow wants to be polled, and the poller of a process."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from definition import Plan, PlannedNode
from errors import DefinitionError, Issue
from packs.polls import queries
from packs.polls.poller import Listening, Poller
from registry import PollKeeper

DEFAULT_INTERVAL = 900.0  # seconds between polls
YEAR = 366 * 86_400
NOT_SOURCE = {"every", "backlog"}
IN_A_RUN = {"input", "steps", "trigger", "run", "item", "index"}


class Polls(PollKeeper):
    """Polls triggers in the process that leads."""

    def describe(self, node: PlannedNode, plan: Plan) -> dict[str, Any]:
        """Return `{type, every, source}`. `source` stays the same as long as the config points to the same place.

        Expressions count by their source text, so a secret can be rotated; `vars` count if an expression reads them.

        Raises: DefinitionError if the config uses a value that exists only within a run, or the interval is wrong.
        """
        written = {**node.config.static, **{item.key: item.written for item in node.config.dynamic}}
        keys = node.node.source or sorted(written.keys() - NOT_SOURCE)
        roots: set[str] = set()
        for item in node.config.dynamic:
            if wrong := item.compiled.roots & IN_A_RUN:
                text = f"{min(wrong)} is not available here: a trigger polls before there is a run"
                raise DefinitionError([Issue(f"nodes ({node.id}).config.{item.key}", text, node.id)])
            roots |= item.compiled.roots
        said = [node.type, {key: written.get(key) for key in keys}, plan.settings.vars if "vars" in roots else None]
        digest = hashlib.sha256(json.dumps(said, default=str, sort_keys=True).encode()).hexdigest()
        every = node.config.static.get("every", DEFAULT_INTERVAL)
        if isinstance(every, bool) or not isinstance(every, int | float) or not 1 <= every <= YEAR:
            text = f"must be a number of seconds from 1 to {YEAR} (a year)"
            raise DefinitionError([Issue(f"nodes ({node.id}).config.every", text, node.id)])
        return {"type": node.type, "every": float(every), "source": digest[:32]}

    def sync(self, flow: Any, wanted: Sequence[tuple[str, Mapping[str, Any]]]) -> None:
        queries.sync(flow, wanted)

    def take_over(self, owner: str, now: int) -> None:
        queries.take_over(owner, now)

    def prune(self, now: int) -> None:
        queries.prune(now)

    def make_poller(self, dispatcher: Any, owner: str, leads: Callable[[], bool]) -> Any:
        return Poller(dispatcher, owner, leads, make_listeners=make_listeners)


def make_listeners(poller: Poller) -> Listening:
    """Return the listeners of a process. Called when the first trigger is to listen."""
    from packs.polls.listeners import Listeners

    return Listeners(poller)
