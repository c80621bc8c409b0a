"""Tools of an agent: a function with a name, a description and the JSON Schema of its arguments."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple


class PendingResult(NamedTuple):
    """A result that is not available yet: the run holds no thread until the run `run_id` has ended.

    `reason` describes the wait.
    """

    reason: str
    run_id: str


class Tool(NamedTuple):
    """A tool.

    `call(arguments, key)` returns JSON or a PendingResult; a NodeError is shown to the model, which may try something
    else. `key` is the call's idempotency key. `resume(ended)` returns the result after a wait, from
    `{"run_id", "status", "output", "error_text"}`. With `approval`, a person must approve each call. `repeatable`, for
    all arguments or by a function of them: an interrupted call may be repeated, because it has no side effects, or
    `key` makes them idempotent.
    """

    name: str
    description: str
    parameters: Mapping[str, Any]
    call: Callable[[dict[str, Any], str], Any]
    approval: bool = False
    repeatable: bool | Callable[[dict[str, Any]], bool] = False
    resume: Callable[[dict[str, Any]], Any] | None = None

    def may_repeat(self, arguments: dict[str, Any]) -> bool:
        """Return True if an interrupted call with these arguments may be repeated."""
        return self.repeatable(arguments) if callable(self.repeatable) else self.repeatable
