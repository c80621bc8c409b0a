"""Literals: text from outside, escaped so that the language takes it as text."""

from __future__ import annotations

import json
import re

# A brace at the end could form `{{` with the text appended after it.
_SPECIAL = re.compile(r"\{(?:[{%#]|\Z)")
_PIECE = 1_500  # characters; even written as `\u0000` each, they fit into one expression


def quote(text: str) -> str:
    """Return the text as a literal of the language: `"a\\nb"`. Jinja accepts Python's escapes, which include JSON's."""
    return json.dumps(text, ensure_ascii=False)


def escape(text: str) -> str:
    """Return a template that evaluates to exactly this text, also beside expressions; plain text stays unchanged.

    `Hi {{name}}` becomes `{{ "Hi {{name}}" }}`. Stays within the limits on parts and tokens: each piece is one of each.
    """
    pieces = [text[at : at + _PIECE] for at in range(0, len(text), _PIECE)]
    return "".join(f"{{{{ {quote(piece)} }}}}" if _SPECIAL.search(piece) else piece for piece in pieces)
