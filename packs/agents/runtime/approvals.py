"""Approvals: the question that people are asked before an agent calls a tool, with its complete or shortened arguments.

An attacker who misleads a model controls the arguments. So none of them may hide or disguise itself: invisible
characters, and characters that reverse the order of others, are made visible.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from fields import visible

MAX_ARGUMENTS = 1_500  # characters


def write_question(agent: str, tool: str, arguments: Any, shorten: Callable[[Any, int], Any]) -> str:
    """Return the question about a call. `shorten(value, most)` truncates long values, marking each cut."""
    written = json.dumps(arguments, ensure_ascii=False)
    cut = ""
    if len(written) > MAX_ARGUMENTS:
        cut = f" (shortened: the arguments have {len(written):,} characters; the agent's run has all of them)"
        written = json.dumps(shorten(arguments, MAX_ARGUMENTS), ensure_ascii=False)
    return f"{visible(agent)} wants to call {tool} with {visible(written)}{cut}"
