"""HTML parser: extracts parts by CSS selectors.

HTML's error recovery can turn kilobytes into gigabytes, and some selectors take quadratic time. The library limits
neither.
"""

from __future__ import annotations

import re
from collections import Counter
from typing import Any

from selectolax.lexbor import LexborHTMLParser, SelectolaxError

MAX_MATCHES = 100_000
# Elements whose text is not shown.
HIDDEN = {"script", "style", "template", "noscript"}
# Block elements: a word ends before and after them.
BLOCKS = {
    *("address", "article", "aside", "blockquote", "br", "caption", "dd", "div", "dl", "dt", "fieldset", "figcaption"),
    *("figure", "footer", "form", "h1", "h2", "h3", "h4", "h5", "h6", "header", "hr", "legend", "li", "main", "nav"),
    *("ol", "option", "p", "pre", "section", "table", "tbody", "td", "tfoot", "th", "thead", "tr", "ul"),
}


def read(options: dict[str, Any], data: bytes) -> tuple[dict[str, Any], tuple[bytes, ...]]:
    """Return `{result}`, the matches of `selectors` (`{name: {selector, attribute, all, get, fields}}`); `{problem}`
    if they are too large. `most` is the maximum number of characters.
    """
    try:
        text = data.decode("utf-8", "replace")
        check_nesting(text)
        document = LexborHTMLParser(text)
        return {"result": Picker(options["most"]).pick(document, options["selectors"])}, ()
    except ResultTooLarge as error:
        return {"problem": str(error)}, ()
    except (SelectolaxError, TooDeep, UnicodeError, MemoryError) as error:
        return {"problem": f"cannot be read within the limits: {error}"}, ()


class ResultTooLarge(Exception):
    """The result is too large."""


class Picker:
    """Applies selectors; `left` is the number of characters left for the result."""

    def __init__(self, most: int) -> None:
        self.left, self.matches = most, 0

    def pick(self, node: Any, selectors: dict[str, Any]) -> dict[str, Any]:
        """Return the matches of each selector in the node, by name."""
        return {name: self.found(node, spec) for name, spec in selectors.items()}

    def found(self, node: Any, spec: dict[str, Any]) -> Any:
        """Return a list of all matches if `all`, otherwise the first or None."""
        if not spec["all"]:
            first = node.css_first(spec["selector"])
            return None if first is None else self.value(first, spec)
        nodes = node.css(spec["selector"])
        self.matches += len(nodes)
        if self.matches > MAX_MATCHES:
            raise ResultTooLarge(f"the selectors match more than {MAX_MATCHES:,} elements")
        return [self.value(one, spec) for one in nodes]

    def value(self, node: Any, spec: dict[str, Any]) -> Any:
        """Return an attribute, the text, the HTML, or an object of nested selectors."""
        if spec.get("fields"):
            return self.pick(node, spec["fields"])
        if spec.get("attribute"):
            attributes = node.attributes
            name = spec["attribute"].lower()
            # An attribute without a value is empty, not missing.
            text = (attributes[name] or "") if name in attributes else None
        else:
            text = node.html if spec["get"] == "html" else text_of(node)
        self.left -= len(text or "") + 4
        if self.left < 0:
            raise ResultTooLarge("the text of the matches is too large")
        return text


def text_of(node: Any) -> str:
    """Return the visible text of an element: whitespace collapsed, blocks separated."""
    if node.tag in HIDDEN:
        return str(node.text()).strip()
    pieces = []
    for part in node.traverse(include_text=True):
        before = part.prev
        if part.tag in BLOCKS or (before is not None and before.tag in BLOCKS):
            pieces.append(" ")
        if part.is_text_node and part.parent.tag not in HIDDEN:
            pieces.append(part.text_content or "")
    return " ".join("".join(pieces).split())


# Limit on the nesting of HTML, checked before it is parsed: the parser takes quadratic time for deep nesting.
#
# The check reads each tag once. It only estimates what a parser makes of tags in the wrong order; for the rest, the
# time of the parser is limited.

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
