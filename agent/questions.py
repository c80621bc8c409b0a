"""What people are asked before an agent may do something: all of what will be done, or a word on what is not shown.

Whoever misleads a model writes what it calls a tool with. So nothing of that may look like something else, or like
nothing: no character that turns the order of others round, and none that is not seen.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

MOST_ARGUMENTS = 1_500  # characters
# Letters that look like blanks; what else is not seen counts as not printable.
BLANK = frozenset("\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0")
# What a text for people may have all the same: lines, and the joiners that some scripts and emoji are written with.
OF_TEXTS = "\n\r\t\u200c\u200d"


def question(agent: str, tool: str, arguments: Any, shorten: Callable[[Any, int], Any]) -> str:
    """What is asked about a call. `shorten(value, most)` cuts each long value in it, and says so there."""
    written = json.dumps(arguments, ensure_ascii=False)
    cut = ""
    if len(written) > MOST_ARGUMENTS:
        cut = f" (cut: the arguments have {len(written):,} characters; they are all in the agent's run)"
        written = json.dumps(shorten(arguments, MOST_ARGUMENTS), ensure_ascii=False)
    return f"{visible(agent)} wants to call {tool} with {visible(written)}{cut}"


def visible(text: str, but: str = "") -> str:
    """The text with every character that is not seen, or moves others, as JSON escapes it; those of `but` stay."""
    if text.isprintable() and BLANK.isdisjoint(text):
        return text
    return "".join(
        letter if letter in but or (letter.isprintable() and letter not in BLANK) else json.dumps(letter)[1:-1]
        for letter in text
    )
