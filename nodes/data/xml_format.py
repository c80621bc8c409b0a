"""XML as plain data and back: attributes are `@name`, text beside them is `#text`, what repeats is a list.

There are no DTDs, and so no entities but XML's own five: nothing is fetched and nothing grows. Names keep their
prefixes as they are written; comments and processing instructions are passed over.

xmltodict was tried: it makes null of an empty element, loses or invents blanks, accepts a DTD, bounds neither elements
nor levels but by a subclass of what it keeps private, and takes half as long again.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Collection
from typing import Any
from xml.sax import ContentHandler, SAXParseException

from errors import LimitExceeded, MalformedData
from nodes.fields import kind_of, text_of
from nodes.limits import MAX_TEXT, check_data, refusal

# Levels of elements. Each may be two levels of data, an object and a list.
MAX_LEVELS = 100
# Elements and attributes: each costs some hundred bytes of memory, however short it is.
MAX_PARTS = 1_000_000
START = "A-Z_a-z\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u02ff\u0370-\u037d\u037f-\u1fff\u200c\u200d\u2070-\u218f\u2c00-\u2fef"
START += "\u3001-\ud7ff\uf900-\ufdcf\ufdf0-\ufffd\U00010000-\U000effff"
NOT_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
ESCAPES = {"&": "&amp;", "<": "&lt;", ">": "&gt;", "\r": "&#13;"}
IN_TEXT = str.maketrans(ESCAPES)
IN_QUOTES = str.maketrans({**ESCAPES, '"': "&quot;", "\n": "&#10;", "\t": "&#9;"})


# Reading


def parse(text: str, lists: Collection[str]) -> dict[str, Any]:
    """The document as `{root: content}`; elements named in `lists` are lists even where there is one of them."""
    from defusedxml import DTDForbidden
    from defusedxml.expatreader import DefusedExpatParser

    reader = _Reader(lists)
    parser = DefusedExpatParser(forbid_dtd=True)
    parser.setContentHandler(reader)
    try:
        parser.feed(text.removeprefix("\ufeff"))
        parser.close()
    except SAXParseException as error:
        line, column = error.getLineNumber(), (error.getColumnNumber() or 0) + 1
        raise MalformedData(f"data is not XML: line {line}, column {column}: {error.getMessage()}") from None
    except DTDForbidden:
        raise MalformedData("data has a DTD (<!DOCTYPE …>), which is never read; take it out first") from None
    except UnicodeEncodeError:
        raise MalformedData("data is not XML: it has half a surrogate pair") from None
    return reader.document


class _Element:
    """An element that is being read: its attributes and children, and its text in pieces."""

    __slots__ = ("content", "has_children", "texts")

    def __init__(self, content: dict[str, Any]) -> None:
        self.content, self.has_children = content, False
        self.texts: list[str] = []

    def value(self) -> Any:
        """Text alone where there is nothing else. Blanks between children are layout, and dropped."""
        text = "".join(self.texts)
        if self.has_children:
            text = text.strip()
        elif not self.content:
            return text
        return {**self.content, "#text": text} if text else self.content


class _Reader(ContentHandler):
    """Makes data of what the parser tells, without a tree in between."""

    def __init__(self, lists: Collection[str]) -> None:
        super().__init__()
        self.lists = frozenset(lists)
        self.document: dict[str, Any] = {}
        self.open: list[_Element] = []
        self.parts = 0

    def startElement(self, name: str, attrs: Any) -> None:
        self.parts += 1 + len(attrs)
        if self.parts > MAX_PARTS:
            raise LimitExceeded(f"data has more than {MAX_PARTS:,} elements and attributes")
        if len(self.open) >= MAX_LEVELS:
            raise LimitExceeded(f"data has elements more than {MAX_LEVELS} deep")
        self.open.append(_Element({f"@{key}": value for key, value in attrs.items()}))

    def characters(self, content: str) -> None:
        self.open[-1].texts.append(content)

    def endElement(self, name: str) -> None:
        value = self.open.pop().value()
        if not self.open:
            self.document = {name: value}
            return
        parent = self.open[-1]
        parent.has_children = True
        if name not in parent.content:
            parent.content[name] = [value] if name in self.lists else value
        elif isinstance(parent.content[name], list):
            parent.content[name].append(value)
        else:
            parent.content[name] = [parent.content[name], value]


# Writing


def write(value: Any, root: str, item: str, indent: int, declaration: bool) -> str:
    """The document. Without a name for its `root`, an object of one key that is no list is the root and its content.

    What is in a list without a name of its own, at the top or in another list, becomes elements named `item`.
    """
    check_data(value, "data")
    content = value
    if not root and isinstance(value, dict) and len(value) == 1:
        ((name, inside),) = value.items()
        if not isinstance(inside, list) and name[:1] not in ("@", "#"):
            root, content = name, inside
    writer = _Writer(item, indent)
    if declaration:
        writer.put('<?xml version="1.0" encoding="UTF-8"?>')
        writer.put("\n")
    writer.element(root or "root", content, 0)
    return "".join(writer.made)


class _Writer:
    """Collects the text, as long as it is not too long."""

    def __init__(self, item: str, indent: int) -> None:
        self.item, self.indent = item, indent
        self.made: list[str] = []
        self.left, self.parts = MAX_TEXT, 0

    def put(self, text: str) -> None:
        self.left -= len(text)
        if self.left < 0:
            raise LimitExceeded(f"the text would have more than {MAX_TEXT:,} characters")
        self.made.append(text)

    def line(self, level: int) -> None:
        if self.indent:
            self.put("\n" + " " * (self.indent * level))

    def element(self, name: str, value: Any, level: int) -> None:
        """One element; its content is an object, a list or text."""
        self.parts += 1
        if self.parts > MAX_PARTS:
            raise LimitExceeded(f"data would have more than {MAX_PARTS:,} elements")
        self.put(f"<{_named(name)}")
        content = value if isinstance(value, dict) else {self.item if isinstance(value, list) else "#text": value}
        children = {}
        for key, part in content.items():
            if key.startswith("@"):
                self.attribute(name, key[1:], part)
            elif key != "#text":
                children[key] = part if isinstance(part, list) else [part]
        text = _text(content.get("#text"), name)
        if not text and not any(children.values()):
            self.put("/>")
            return
        self.put(">" + text.translate(IN_TEXT))
        for key, parts in children.items():
            for part in parts:
                if not text:
                    self.line(level + 1)
                self.element(key, part, level + 1)
        if children and not text:
            self.line(level)
        self.put(f"</{name}>")

    def attribute(self, element: str, name: str, value: Any) -> None:
        """One attribute; null is none."""
        if value is not None:
            self.put(f' {_named(name)}="{_text(value, element).translate(IN_QUOTES)}"')


@functools.cache
def _name() -> re.Pattern[str]:
    """What names look like. Made at its first use, since so large a class of characters takes long to make."""
    return re.compile(f"[:{START}][:{START}.0-9\u00b7\u0300-\u036f\u203f\u2040-]*")


def _named(name: str) -> str:
    if not _name().fullmatch(name):
        raise refusal(f"{name[:100]!r} is no name that XML allows; rename that key first")
    return name


def _text(value: Any, element: str) -> str:
    if isinstance(value, list | dict):
        raise refusal(f"in {element}: an attribute or a text cannot be {kind_of(value)}")
    text = "" if value is None else text_of(value)
    if found := NOT_XML.search(text):
        raise refusal(f"in {element}: XML has no character U+{ord(found[0]):04X}")
    return text
