"""Whether a run may begin with an input: what the triggers at which it would begin say, before there is a run."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

from definition import PlannedNode
from engine import Plan
from errors import Issue, NodeError, Unavailable, Unprocessable
from nodes.core.triggers import AskingNode, InputRefused


def check_input(plan: Plan, trigger_node: str | None, value: Callable[[], Any], done: Collection[str] = ()) -> None:
    """Unprocessable where a trigger that such a run would execute does not take the input, which `value` gives.

    Without a `trigger_node` these are all of the flow. Those of `done` are not executed any more.

    A refused input starts no run and uses no idempotency key: the caller is present and can correct it. The trigger
    checks again when it is executed, for runs that no request started. `default` in a schema is for forms: the server
    fills in none, so a repeated run has the same input, and a changed schema gives old inputs no new meaning.
    """
    fired = plan.by_id.get(trigger_node) if trigger_node is not None else None
    for planned in plan.nodes if trigger_node is None else (fired,) if fired is not None else ():
        if isinstance(planned.node, AskingNode) and planned.id not in done and _asks(planned):
            _check(planned.node, planned.config.static, value())


def _asks(planned: PlannedNode) -> bool:
    """Whether the trigger is executed for the input, not for its items, and says what that has to be."""
    is_whole = not planned.disabled and planned.pinned is None and planned.foreach is None
    return is_whole and "input_schema" in planned.config.static


def _check(node: AskingNode, config: dict[str, Any], value: Any) -> None:
    try:
        node.check(config, value)
    except InputRefused as error:
        issues = [Issue(_within(issue["path"]), issue["message"]) for issue in error.issues]
        raise Unprocessable(error.message[0].upper() + error.message[1:], issues) from None
    except NodeError as error:
        told = f"The input cannot be taken: {error.message}"
        if error.permanent:
            raise Unprocessable(told, [Issue("input", error.message)]) from None
        raise Unavailable(told, retry_after=5) from None


def _within(path: str) -> str:
    """A place in the input as one in the request."""
    return f"input{path}" if path.startswith("[") or not path else f"input.{path}"
