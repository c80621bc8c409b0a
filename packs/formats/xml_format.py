"""XML format: parses and writes XML as plain data. Attributes are `@name`, text beside them is `#text`, repeated
elements are a list.

DTDs are refused, so there are no entities except XML's own five: nothing is fetched, and no text can grow. Names keep
their prefixes; comments and processing instructions are skipped.

xmltodict creates the data. It accepts DTDs and has no limits, so defusedxml reads the text first.
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
    import xmltodict

    text = text.removeprefix("\ufeff")
    _check(text)
    # Neither a text nor the root is a list, even if it is named: there is only one.
    data = xmltodict.parse(text, strip_whitespace=False, postprocessor=_tidy, force_list={*lists} - {"#text"})
    return {name: value[0] if isinstance(value, list) else value for name, value in data.items()}


def _check(text: str) -> None:
    """Raises: NodeError if the text is not XML, has a DTD, or exceeds the limits."""
    from defusedxml import DTDForbidden
    from defusedxml.expatreader import DefusedExpatParser

    parser = DefusedExpatParser(forbid_dtd=True)
    parser.setContentHandler(_Limits())
    try:
        parser.feed(text)
        parser.close()
    except SAXParseException as error:
        line, column = error.getLineNumber(), (error.getColumnNumber() or 0) + 1
        raise MalformedData(f"data is not XML: line {line}, column {column}: {error.getMessage()}") from None
    except DTDForbidden:
        raise MalformedData("data has a DTD (<!DOCTYPE …>), which is not supported; remove it") from None
    except UnicodeEncodeError:
        raise MalformedData("data is not XML: it has half a surrogate pair") from None


class _Limits(ContentHandler):
    """Refuses a document with too many parts or levels."""

    parts = level = 0

    def startElement(self, name: str, attrs: Any) -> None:
        self.parts += 1 + len(attrs)
        self.level += 1
        if self.parts > MAX_PARTS:
            raise LimitExceeded(f"data has more than {MAX_PARTS:,} elements and attributes")
        if self.level > MAX_LEVELS:
            raise LimitExceeded(f"data has elements more than {MAX_LEVELS} levels deep")

    def endElement(self, name: str) -> None:
        self.level -= 1


def _tidy(path: Any, name: str, value: Any) -> tuple[str, Any]:
    """Return an empty element as empty text. Whitespace around and between children is layout: dropped."""
    if isinstance(value, dict) and "#text" in value and any(key[0] not in "@#" for key in value):
        value["#text"] = value["#text"].strip()
        if not value["#text"]:
            del value["#text"]
    return name, value or ""


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
