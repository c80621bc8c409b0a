"""What one run of an agent needs, and how it may come out. The libraries are loaded when one is run."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from agent.journal import Journal
from agent.tools import Tool


class Done(NamedTuple):
    """The agent has answered: `output` is text, or data where there is a schema for it."""

    output: Any


class Waiting(NamedTuple):
    """The run waits: for the end of another run, `run_id`, or for a person's answer to the `question`."""

    reason: str
    question: str | None = None
    run_id: str | None = None


class Given(NamedTuple):
    """What came of a wait: `name` is approved, rejected, time or ended; `value` a comment, or how a run ended."""

    question: str | None
    name: str
    value: Any = None
    by: str | None = None


@dataclass(frozen=True, slots=True)
class Work:
    """One run of an agent.

    `key` is the same for this run after a crash, and of no other. `start` is what it began with, as JSON, the same at
    every resumption: `{"agent", "model", "instructions", "prompt", "history", "mark"}`. `open_model()` connects to the
    model, and `settings` are those of each request, such as `{"temperature", "max_tokens"}`. `wrong(tool, arguments)`
    and `wrong_output(data)` say what is wrong, in words, or nothing. `clean` strikes secrets out of JSON, and raises
    NodeError for what is none; `clean_text` also strikes pieces of them out of a message; `shorten(value, most)` makes
    it about so many characters long. `stopped()` gives the reason to end early, if there is one. `deadline`, by the
    agent's own limit, and `until`, when whoever runs it has no more time for this attempt, are on the clock of
    `time.monotonic`, in seconds.
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
    given: Given | None = None
    cost_of: Callable[[Any], float | None] = field(default=lambda response: None)
    settings: Mapping[str, Any] = field(default_factory=dict)


def load(provider: str) -> None:
    """Load the libraries, which takes a second or several the first time: no agent's time is to be spent on that."""
    from . import loop, model_client  # noqa: F401

    model_client.load(provider)


def run(work: Work) -> Done | Waiting:
    """Let the agent work from where its journal ends. NodeError where it comes to no answer."""
    from .loop import execute

    return execute(work)
