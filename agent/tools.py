"""What an agent can do: a tool is a function with a name, a description and the JSON Schema of its arguments."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Later:
    """A tool's result that is not there yet: the run holds no thread until the run `run_id` has ended.

    `reason` says what is waited for, in words.
    """

    reason: str
    run_id: str


@dataclass(frozen=True, slots=True)
class Tool:
    """One thing that an agent can do.

    `call(arguments, key)` gives JSON or `Later`; a NodeError is told to the model, which may try something else. `key`
    is the same for the same call after a crash. `resume(ended)` makes the result of what was waited for:
    `{"run_id", "status", "output", "error_text"}`. With `approval`, a person must agree before each call. `repeatable`
    says, perhaps of such arguments, that a call which a crash cut off may be made again: it has no effect outside, or
    one that `key` makes single.
    """

    name: str
    description: str
    parameters: Mapping[str, Any]
    call: Callable[[dict[str, Any], str], Any]
    approval: bool = False
    repeatable: bool | Callable[[dict[str, Any]], bool] = False
    resume: Callable[[dict[str, Any]], Any] | None = None

    def may_repeat(self, arguments: dict[str, Any]) -> bool:
        """Whether a call with these arguments, which a crash cut off, may be made again."""
        return self.repeatable(arguments) if callable(self.repeatable) else self.repeatable
