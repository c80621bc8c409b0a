"""What people are asked before an agent may do something: all of what will be done, or a word on what is not shown.

Whoever misleads a model writes what it calls a tool with. So nothing of that may look like something else, or like
nothing: no character that turns the order of others round, and none that is not seen.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from parsers.invisible_characters import visible

MOST_ARGUMENTS = 1_500  # characters


def question(agent: str, tool: str, arguments: Any, shorten: Callable[[Any, int], Any]) -> str:
    """What is asked about a call. `shorten(value, most)` cuts each long value in it, and says so there."""
    written = json.dumps(arguments, ensure_ascii=False)
    cut = ""
    if len(written) > MOST_ARGUMENTS:
        cut = f" (cut: the arguments have {len(written):,} characters; they are all in the agent's run)"
        written = json.dumps(shorten(arguments, MOST_ARGUMENTS), ensure_ascii=False)
    return f"{visible(agent)} wants to call {tool} with {visible(written)}{cut}"
