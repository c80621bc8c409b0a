"""Types of an agent's run: its tools, its input and its outcomes."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from packs.agents.runtime.journal import Journal

# Tools of an agent: a function with a name, a description and the JSON Schema of its arguments.


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


# Types of an agent's run: its input and its outcomes.


class Done(NamedTuple):
    """The agent has answered: `output` is text, or data if it has a schema."""

    output: Any


class AgentWait(NamedTuple):
    """The run waits for the end of another run, `run_id`, or for a person's answer to the `question`."""

    reason: str
    question: str | None = None
    run_id: str | None = None


class WaitOutcome(NamedTuple):
    """The outcome of a wait: `name` is approved, rejected, time or ended; `value` a comment, or the run's end."""

    question: str | None
    name: str
    value: Any = None
    by: str | None = None


@dataclass(frozen=True, slots=True)
class AgentWork:
    """One run of an agent.

    `key` is its idempotency key. `start` is its input as JSON, the same at every resumption: `{"agent", "model",
    "instructions", "prompt", "history", "mark"}`. `open_model()` connects to the model; `settings` are those of each
    request, such as `{"temperature", "max_tokens"}`. `wrong(tool, arguments)` and `wrong_output(data)` return issues
    as text. `clean` redacts JSON, and raises NodeError for other values; `clean_text` also redacts parts of secrets;
    `shorten(value, most)` truncates to about `most` characters. `stopped()` returns a reason to stop early, or None.
    `deadline` (the agent's limit) and `until` (the end of this attempt) are in seconds on `time.monotonic`.
    """

    key: str
    journal: Journal
    start: Mapping[str, Any]
    tools: Sequence[Tool]
    open_model: Callable[[], AbstractAsyncContextManager[Any]]
    wrong: Callable[[Tool, Any], Sequence[str]]
    wrong_output: Callable[[Any], Sequence[str]]
    deadline: float
    clean: Callable[[Any], Any] = field(default=lambda value: value)
    clean_text: Callable[[str], str] = str
    shorten: Callable[[Any, int], Any] = field(default=lambda value, most: value)
    stopped: Callable[[], str | None] = field(default=lambda: None)
    until: float = math.inf
    given: WaitOutcome | None = None
    cost_of: Callable[[Any], float | None] = field(default=lambda response: None)
    settings: Mapping[str, Any] = field(default_factory=dict)
