"""Limit on the nesting of HTML, checked before it is parsed: the parser takes quadratic time for deep nesting.

The check reads each tag once. It only estimates what a parser makes of tags in the wrong order; for the rest, the
time of the parser is limited.
"""

from __future__ import annotations

import re
from collections import Counter

MAX_LEVELS = 500  # a browser flattens deeper pages
# Comments, the content of elements that has no tags, and tags.
PIECES = re.compile(
    r"<!--.*?(?:-->|\Z)|<(script|style|textarea|title)(?=[\s/>]).*?(?:</\1|\Z)|<(/?)([a-z][^\s/>]*)",
    re.IGNORECASE | re.DOTALL,
)
# Elements without content, and those that the next one of their kind ends.
FLAT = {
    *("area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "param", "source", "track", "wbr"),
    *("a", "body", "button", "caption", "colgroup", "dd", "dt", "frame", "h1", "h2", "h3", "h4", "h5", "h6", "head"),
    *("html", "li", "nobr", "optgroup", "option", "p", "rp", "rt", "tbody", "td", "tfoot", "th", "thead", "tr"),
}


class TooDeep(ValueError):
    """The elements of the page are nested too deeply."""


def check_nesting(html: str) -> None:
    """Raises: TooDeep if elements are nested in more than MAX_LEVELS levels."""
    if html.count("<") <= MAX_LEVELS:
        return
    levels: list[str] = []
    is_open: Counter[str] = Counter()
    for piece in PIECES.finditer(html):
        name = (piece[3] or "").lower()
        if not name or name in FLAT:
            continue
        if not piece[2]:
            if len(levels) == MAX_LEVELS:
                raise TooDeep(f"its elements are nested in more than {MAX_LEVELS} levels")
            levels.append(name)
            is_open[name] += 1
        elif is_open[name]:
            while (ended := levels.pop()) != name:
                is_open[ended] -= 1
            is_open[name] -= 1
