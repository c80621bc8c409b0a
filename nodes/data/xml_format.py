"""XML format: parses and writes XML as plain data. Attributes are `@name`, text beside them is `#text`, repeated
elements are a list.

DTDs are refused, so there are no entities except XML's own five: nothing is fetched, and no text can grow. Names keep
their prefixes; comments and processing instructions are skipped.

xmltodict is not used: it makes null of an empty element, loses or invents whitespace, accepts a DTD, limits neither
elements nor levels without a subclass of its private parts, and takes 50 percent longer.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any
from xml.sax import ContentHandler, SAXParseException

from errors import LimitExceeded, MalformedData
from nodes.fields import kind_of, text_of
from nodes.limits import MAX_TEXT, check_data, refusal

# Levels of elements. Each may be two levels of data, an object and a list.
MAX_LEVELS = 100
# Elements and attributes: each takes some hundred bytes of memory, even a short one.
MAX_PARTS = 1_000_000
START = "A-Z_a-z\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u02ff\u0370-\u037d\u037f-\u1fff\u200c\u200d\u2070-\u218f\u2c00-\u2fef"
START += "\u3001-\ud7ff\uf900-\ufdcf\ufdf0-\ufffd\U00010000-\U000effff"
NOT_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
ESCAPES = {"&": "&amp;", "<": "&lt;", ">": "&gt;", "\r": "&#13;"}
IN_TEXT = str.maketrans(ESCAPES)
IN_QUOTES = str.maketrans({**ESCAPES, '"': "&quot;", "\n": "&#10;", "\t": "&#9;"})


# Reading


def parse(text: str, lists: Collection[str]) -> dict[str, Any]:
    """Return the document as `{root: content}`; elements named in `lists` are lists even if there is only one."""
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
        raise MalformedData("data has a DTD (<!DOCTYPE …>), which is not supported; remove it") from None
    except UnicodeEncodeError:
        raise MalformedData("data is not XML: it has half a surrogate pair") from None
    return reader.document


@dataclass(slots=True)
class _Element:
    """An open element: its attributes and children, and the pieces of its text."""

    content: dict[str, Any]
    has_children: bool = False
    texts: list[str] = field(default_factory=list)

    def value(self) -> Any:
        """Return an object, or the text if there is nothing else. Whitespace between children is layout: dropped."""
        text = "".join(self.texts)
        if self.has_children:
            text = text.strip()
        elif not self.content:
            return text
        return {**self.content, "#text": text} if text else self.content


class _Reader(ContentHandler):
    """Creates the data from the parser's events, without a tree in between."""

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
            raise LimitExceeded(f"data has elements more than {MAX_LEVELS} levels deep")
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
    """Return the document. Without `root`, the only key of the data is the root element, unless its value is a list.

    Items of a list without a name, at the top or in another list, become elements named `item`.
    """
    check_data(value, "data")
    content = value
    if not root and isinstance(value, dict) and len(value) == 1:
        ((name, inside),) = value.items()
        if not isinstance(inside, list) and name[:1] not in ("@", "#"):
            root, content = name, inside
    writer = _Writer(item, indent)
    if declaration:
        writer.put('<?xml version="1.0" encoding="UTF-8"?>\n')
    writer.element(root or "root", content, 0)
    return "".join(writer.made)


class _Writer:
    """Collects the text, up to its maximum length."""

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
        """Write an element; its content is an object, a list or text."""
        self.parts += 1
        if self.parts > MAX_PARTS:
            raise LimitExceeded(f"data would have more than {MAX_PARTS:,} elements")
        self.put(f"<{_check_name(name)}")
        content = value if isinstance(value, dict) else {self.item if isinstance(value, list) else "#text": value}
        children = {}
        for key, part in content.items():
            if key.startswith("@"):
                self.attribute(name, key[1:], part)
            elif key != "#text":
                children[key] = part if isinstance(part, list) else [part]
        text = _to_text(content.get("#text"), name)
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
        """Write an attribute, unless its value is null."""
        if value is not None:
            self.put(f' {_check_name(name)}="{_to_text(value, element).translate(IN_QUOTES)}"')


@functools.cache
def _name_pattern() -> re.Pattern[str]:
    """Return the pattern of names. It is created at its first use, because compiling its large classes takes long."""
    return re.compile(f"[:{START}][:{START}.0-9\u00b7\u0300-\u036f\u203f\u2040-]*")


def _check_name(name: str) -> str:
    if not _name_pattern().fullmatch(name):
        raise refusal(f"{name[:100]!r} is not a valid name in XML; rename this key")
    return name


def _to_text(value: Any, element: str) -> str:
    if isinstance(value, list | dict):
        raise refusal(f"in {element}: an attribute or a text cannot be {kind_of(value)}; convert it to text")
    text = "" if value is None else text_of(value)
    if found := NOT_XML.search(text):
        raise refusal(f"in {element}: XML does not allow the character U+{ord(found[0]):04X}; remove it")
    return text
