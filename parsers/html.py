"""HTML, of which CSS selectors pick parts.

The rules by which HTML is mended let a few kilobytes grow to gigabytes, and some selectors take a time that grows with
the square of the document. Neither has a bound in the library.
"""

from __future__ import annotations

from typing import Any

from selectolax.lexbor import LexborHTMLParser, SelectolaxError

MAX_MATCHES = 100_000
# What is in them is no text for people.
HIDDEN = {"script", "style", "template", "noscript"}
# What stands on lines of its own: before and after it a word ends.
BLOCKS = {
    *("address", "article", "aside", "blockquote", "br", "caption", "dd", "div", "dl", "dt", "fieldset", "figcaption"),
    *("figure", "footer", "form", "h1", "h2", "h3", "h4", "h5", "h6", "header", "hr", "legend", "li", "main", "nav"),
    *("ol", "option", "p", "pre", "section", "table", "tbody", "td", "tfoot", "th", "thead", "tr", "ul"),
}


def read(options: dict[str, Any], data: bytes) -> tuple[dict[str, Any], tuple[bytes, ...]]:
    """`{result}`, what `selectors` find (`{name: {selector, attribute, all, get, fields}}`); `{problem}` if too much.

    `most` is how many characters may come out.
    """
    try:
        document = LexborHTMLParser(data.decode("utf-8", "replace"))
        return {"result": Picker(options["most"]).picked(document, options["selectors"])}, ()
    except TooMuch as error:
        return {"problem": str(error)}, ()
    except (SelectolaxError, UnicodeError, MemoryError) as error:
        return {"problem": f"cannot be read within its bounds: {error}"}, ()


class TooMuch(Exception):
    """A result that is too large, in words."""


class Picker:
    """Applies selectors; `left` is how many characters may still come out."""

    def __init__(self, most: int) -> None:
        self.left, self.matches = most, 0

    def picked(self, node: Any, selectors: dict[str, Any]) -> dict[str, Any]:
        """What each selector finds in the node, by name."""
        return {name: self.found(node, spec) for name, spec in selectors.items()}

    def found(self, node: Any, spec: dict[str, Any]) -> Any:
        """A list where all are wanted, else the first, null where there is none."""
        if not spec["all"]:
            first = node.css_first(spec["selector"])
            return None if first is None else self.value(first, spec)
        nodes = node.css(spec["selector"])
        self.matches += len(nodes)
        if self.matches > MAX_MATCHES:
            raise TooMuch(f"the selectors match more than {MAX_MATCHES:,} elements")
        return [self.value(one, spec) for one in nodes]

    def value(self, node: Any, spec: dict[str, Any]) -> Any:
        """An attribute, the text, the HTML, or an object of what further selectors find in the element."""
        if spec.get("fields"):
            return self.picked(node, spec["fields"])
        if spec.get("attribute"):
            attributes = node.attributes
            name = spec["attribute"].lower()
            # One that is there without a value is empty, and not missing.
            text = (attributes[name] or "") if name in attributes else None
        else:
            text = node.html if spec["get"] == "html" else text_of(node)
        self.left -= len(text or "") + 4
        if self.left < 0:
            raise TooMuch("what the selectors find is too large")
        return text


def text_of(node: Any) -> str:
    """The text of an element as people see it: blanks run together, and blocks do not run into each other."""
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
