"""The way back: text that is not ours, written so that the language takes it as text."""

from __future__ import annotations

import json
import re

# A brace at the end may become half of a `{{` when something is put behind it.
_SPECIAL = re.compile(r"\{(?:[{%#]|\Z)")
_PIECE = 1_500  # characters; written as `\u0000` each, they still fit into one expression


def quoted(text: str) -> str:
    """The text as a literal of the language: `"a\\nb"`. JSON's escapes are all among Python's, which Jinja takes."""
    return json.dumps(text, ensure_ascii=False)


def literal(text: str) -> str:
    """What evaluates to exactly this text, also beside expressions; the text itself where nothing in it is special.

    `Hi {{name}}` becomes `{{ "Hi {{name}}" }}`. However much in it is special, the bounds on the parts and tokens of
    a string are kept: a piece is one of each.
    """
    pieces = [text[at : at + _PIECE] for at in range(0, len(text), _PIECE)]
    return "".join(f"{{{{ {quoted(piece)} }}}}" if _SPECIAL.search(piece) else piece for piece in pieces)
