"""Text formats: nodes that parse and write CSV, JSON, XML, YAML, HTML and Markdown."""

from __future__ import annotations

import csv
import functools
import io
import json
import math
import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, ClassVar
from xml.sax import ContentHandler, SAXParseException

from marshmallow import ValidationError, fields, validate

from constants import FORMULA_STARTS
from errors import LimitExceeded, MalformedData
from fields import Schema
from nodes.base import Context, Node
from nodes.data.lists import MISSING, path, read
from nodes.fields import NamedValues, anything, choice, flag, kind_of, line, setting, text_of, whole
from nodes.limits import (
    MAX_CONTAINERS,
    MAX_INTEGER,
    MAX_ITEMS,
    MAX_TEXT,
    MIN_INTEGER,
    LimitedText,
    check_data,
    check_json,
    check_text,
    has_too_many_parts,
    refusal,
    size_of,
    text_of_config,
)
from parsers.process import PARSE_PAGE_SECONDS, read_apart

MAX_NAME = 200
HTML_SECONDS = 30.0
MAX_SELECTORS, MAX_SELECTOR, MAX_NESTED = 100, 500, 3
# Markdown is parsed in Python; this many characters take up to two seconds.
MAX_MARKDOWN = 100_000


def names_setting(help: str, *, title: str) -> Any:
    """Return a literal field for a list of names."""
    made = fields.List(
        fields.String(validate=validate.Length(1, MAX_NAME)), load_default=[], validate=validate.Length(max=1_000)
    )
    return setting(made, help, title=title, literal=True)


class Conversion(Schema):
    """Settings of all nodes that parse and format text."""

    operation = choice(
        "Parse text, or create text", {"parse": "Parse", "format": "Format"}, title="Operation", required=True
    )
    data = anything(
        "The text to parse: {{ input.body }}, or the data to format. Default: the input", title="Data", lines=""
    )


class Csv(Node):
    """Parses CSV text to a list of objects, or formats such a list as CSV."""

    type = "csv"
    category = "data"
    title = "CSV"
    icon = "file-type-csv"
    also = ("convert to file", "extract from file", "spreadsheet", "table")
    examples = (
        {
            "config": {"operation": "parse", "data": "{{ input.body }}", "types": True},
            "input": {"body": "id;name;zip\n1;Ada;01234\n2;Grace;\n"},
            "output": [{"id": 1, "name": "Ada", "zip": "01234"}, {"id": 2, "name": "Grace", "zip": None}],
        },
        {
            "config": {"operation": "format"},
            "input": [{"id": 1, "note": "one, two"}, {"id": 2, "paid": True, "note": "=1+1"}],
            "output": 'id,note,paid\r\n1,"one, two",\r\n2,\'=1+1,true\r\n',
        },
        {
            "config": {"operation": "format", "columns": ["id", "customer.name"], "delimiter": ";", "header": False},
            "input": [{"id": 1, "customer": {"name": "Ada"}}],
            "output": "1;Ada\r\n",
        },
    )

    class Config(Conversion):
        delimiter = setting(
            fields.String,
            "The character between cells; \\t is a tab. With auto, reading detects it and writing uses a comma",
            literal=True,
            load_default="auto",
            validate=validate.Regexp(r"(auto|\\t|[^\r\n\"])\Z", error="Must be auto, \\t or one character."),
            title="Delimiter",
        )
        header = flag("Read the column names from the first row. If off, rows are lists", True, title="Header row")
        columns = names_setting(
            "Columns to read or write, in this order; for format also paths: customer.name. Default: all",
            title="Columns",
        )
        types = flag("For parse: convert numbers and booleans, and empty cells to null", False, title="Detect types")
        skip = whole(
            "For parse: the number of lines to skip before the table", 0, 10_000, load_default=0, title="Skip lines"
        )
        escape_formulas = flag(
            "For format: escape texts that spreadsheets would run as formulas", True, title="Escape formulas"
        )
        bom = flag("For format: add a byte order mark, by which Excel detects UTF-8", False, title="Byte order mark")

    def run(self, config: dict[str, Any], input: Any, ctx: Context) -> Any:

        delimiter = {"auto": "", "\\t": "\t"}.get(config["delimiter"], config["delimiter"])
        header, columns = config["header"], config["columns"]
        if config["operation"] == "parse":
            text = text_of_config(config, input)
            return parse_csv(text, delimiter, header, columns, config["types"], config["skip"])
        rows = config.get("data", input)
        if not isinstance(rows, list | dict):
            raise refusal("data must be a list of objects or lists to be formatted as CSV")
        table = rows if isinstance(rows, list) else [rows]
        return write_csv(table, delimiter or ",", header, columns, config["escape_formulas"], config["bom"])


class JsonNode(Node):
    """Parses JSON text, or formats data as JSON text."""

    type = "json"
    category = "data"
    title = "JSON"
    icon = "json"
    also = ("parse", "stringify", "convert")
    examples = (
        {
            "config": {"operation": "parse", "data": "{{ input.body }}"},
            "input": {"body": '{"id": 1, "tags": ["a"]}'},
            "output": {"id": 1, "tags": ["a"]},
        },
        {"config": {"operation": "format", "indent": 2}, "input": {"id": 1}, "output": '{\n  "id": 1\n}'},
        {
            "config": {"operation": "parse", "lines": True},
            "input": '{"id": 1}\n{"id": 2}\n',
            "output": [{"id": 1}, {"id": 2}],
        },
    )

    class Config(Conversion):
        indent = whole(
            "For format: the number of spaces to indent; 0 writes one line", 0, 8, load_default=0, title="Indentation"
        )
        sort_keys = flag("For format: sort keys, so that equal data gives equal text", False, title="Sort keys")
        lines = flag(
            "Treat each line as a separate value (JSON Lines); the data is then a list", False, title="JSON Lines"
        )

    def run(self, config: dict[str, Any], input: Any, ctx: Context) -> Any:
        if config["operation"] == "parse":
            text = text_of_config(config, input).removeprefix("\ufeff")
            if not config["lines"]:
                return json_value(text, "data")
            found = [(number, line) for number, line in enumerate(text.split("\n"), 1) if line.strip()]
            if len(found) > MAX_ITEMS:
                raise LimitExceeded(f"data has more than {MAX_ITEMS:,} lines")
            return [json_value(line, f"line {number} of data") for number, line in found]
        value = check_data(config.get("data", input), "data")
        if not config["lines"]:
            return json_text(value, config["indent"], config["sort_keys"])
        if not isinstance(value, list):
            raise refusal("data must be a list to be formatted as JSON Lines")
        return "".join(json_text(item, 0, config["sort_keys"]) + "\n" for item in value)


def json_value(text: str, what: str) -> Any:
    """Return the data of a JSON text. Raises: NodeError if it is invalid, or has a number that cannot be recorded."""
    try:
        value = _parse_json(text)
    except json.JSONDecodeError as error:
        problem = error.msg[:1].lower() + error.msg[1:]
        raise MalformedData(f"{what} is not JSON: line {error.lineno}, column {error.colno}: {problem}") from None
    except RecursionError:
        raise LimitExceeded(f"{what} is nested too deeply") from None
    return check_json(value, what)


def _parse_json(text: str) -> Any:
    if has_too_many_parts(text.encode("utf-8", "replace")):
        raise LimitExceeded(f"the text has more than {MAX_CONTAINERS:,} lists and objects; parse it in parts")
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        raise
    except ValueError:
        # An integer with more digits than Python parses is replaced by one that exceeds 64 bits, too.
        return json.loads(text, parse_int=lambda digits: int(digits) if len(digits) < 25 else MAX_INTEGER + 1)


def json_text(value: Any, indent: int, sort_keys: bool) -> str:
    """Return readable JSON, with the characters of all languages unescaped."""
    if indent:
        # Piece by piece, because the indentation may be much larger than the content.
        made = LimitedText()
        for piece in json.JSONEncoder(ensure_ascii=False, indent=indent, sort_keys=sort_keys).iterencode(value):
            made.write(piece)
        return made.getvalue()
    return check_text(json.dumps(value, ensure_ascii=False, sort_keys=sort_keys, separators=(",", ":")), "the text")


class Xml(Node):
    """Parses XML, or formats data as XML.

    Attributes become @name, text becomes #text, repeated elements become a list. The order of elements with different
    names is lost. A DTD is refused.
    """

    type = "xml"
    category = "data"
    title = "XML"
    icon = "file-type-xml"
    also = ("convert", "soap", "parse")
    examples = (
        {
            "config": {"operation": "parse", "lists": ["line"]},
            "input": '<order id="7"><line sku="A">2</line><note/></order>',
            "output": {"order": {"@id": "7", "line": [{"@sku": "A", "#text": "2"}], "note": ""}},
        },
        {
            "config": {"operation": "format", "root": "order", "declaration": False},
            "input": {"@id": 7, "line": ["A", "B"]},
            "output": '<order id="7"><line>A</line><line>B</line></order>',
        },
    )

    class Config(Conversion):
        lists = names_setting(
            "For parse: elements that are always a list, even if there is only one: line", title="List elements"
        )
        root = line(
            "For format: the name of the root element. Default: the only key of the data, else root",
            most=MAX_NAME,
            least=0,
            load_default="",
            title="Root element",
        )
        item = line(
            "For format: element of list items without a name", most=MAX_NAME, load_default="item", title="Item element"
        )
        indent = whole(
            "For format: the number of spaces to indent; 0 writes one line", 0, 8, load_default=0, title="Indentation"
        )
        declaration = flag("For format: start with <?xml …?>", True, title="XML declaration")

    def run(self, config: dict[str, Any], input: Any, ctx: Context) -> Any:

        if config["operation"] == "parse":
            return parse_xml(text_of_config(config, input), config["lists"])
        value = config.get("data", input)
        return write_xml(value, config["root"], config["item"], config["indent"], config["declaration"])


class Yaml(Node):
    """Parses YAML, or formats data as YAML (1.2: no and on are text).

    Dates become ISO 8601 text. Tags and duplicate keys are refused.
    """

    type = "yaml"
    category = "data"
    title = "YAML"
    icon = "file-code"
    also = ("parse", "convert")
    examples = (
        {
            "config": {"operation": "parse"},
            "input": "base: &base\n  retries: 3\njobs:\n  - <<: *base\n    name: import\n    on: 2026-01-05\n",
            "output": {"base": {"retries": 3}, "jobs": [{"retries": 3, "name": "import", "on": "2026-01-05"}]},
        },
        {
            "config": {"operation": "format"},
            "input": {"name": "import", "country": "no", "steps": [1, 2]},
            "output": "name: import\ncountry: 'no'\nsteps:\n- 1\n- 2\n",
        },
    )

    class Config(Conversion):
        documents = flag(
            "Accept several documents in the text; the data is then a list", False, title="Multiple documents"
        )

    def run(self, config: dict[str, Any], input: Any, ctx: Context) -> Any:
        from packs.formats import yaml_format

        if config["operation"] == "parse":
            return yaml_format.parse(text_of_config(config, input), config["documents"])
        return yaml_format.write(config.get("data", input), config["documents"])


def check_selector(selector: Any) -> str:
    """Reject text that is not a CSS selector."""
    from selectolax.lexbor import LexborHTMLParser, SelectolaxError

    if not isinstance(selector, str) or not 1 <= len(selector) <= MAX_SELECTOR:
        raise ValidationError(f"Must be a CSS selector of 1 to {MAX_SELECTOR} characters.")
    try:
        LexborHTMLParser("<p>").css(selector)
    except (SelectolaxError, UnicodeError):
        raise ValidationError(f"Is not a CSS selector: {selector[:100]}") from None
    return selector


class Selector(fields.Field[dict[str, Any]]):
    """A CSS selector, or an object of one with the parts to extract."""

    KEYS: ClassVar = {"selector": None, "all": False, "attribute": "", "get": "text", "fields": None}

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> dict[str, Any]:
        return self.loaded(value, MAX_NESTED)

    def loaded(self, value: Any, depth: int) -> dict[str, Any]:
        if not isinstance(value, dict):
            value = {"selector": value}
        if unknown := sorted(map(str, value.keys() - self.KEYS)):
            raise ValidationError(f"Has the unknown key {unknown[0][:100]}; known keys: {', '.join(self.KEYS)}.")
        spec = {**self.KEYS, **value}
        check_selector(spec["selector"])
        if not isinstance(spec["all"], bool) or spec["get"] not in ("text", "html"):
            raise ValidationError("all must be true or false, and get must be text or html.")
        if not isinstance(spec["attribute"], str) or len(spec["attribute"]) > MAX_NAME:
            raise ValidationError("attribute must be the name of an attribute, such as href.")
        if spec["fields"] is not None:
            spec["fields"] = self.inner(spec["fields"], depth - 1)
        return spec

    def inner(self, given: Any, depth: int) -> dict[str, Any]:
        if depth < 1 or not isinstance(given, dict) or not 1 <= len(given) <= MAX_SELECTORS:
            limits = f"1 to {MAX_SELECTORS} selectors, at most {MAX_NESTED} levels deep"
            raise ValidationError(f"fields must be an object of {limits}.")
        return {name: self.loaded(spec, depth) for name, spec in given.items()}


class Html(Node):
    """Extracts texts, attributes or HTML from a page by CSS selectors.

    A selector without a match gives null, or an empty list. The page may have 500 levels of elements, and takes 5 s at
    most.
    """

    type = "html"
    category = "data"
    title = "HTML extract"
    icon = "html"
    also = ("scrape", "scraper", "crawl", "css selector", "web page")
    examples = (
        {
            "config": {
                "html": "{{ input.body }}",
                "selectors": {"title": "h1", "links": {"selector": "a", "attribute": "href", "all": True}},
            },
            "input": {"body": "<h1>News <b>today</b></h1><p><a href='/1'>One</a> <a href='/2'>Two</a>"},
            "output": {"title": "News today", "links": ["/1", "/2"]},
        },
        {
            "config": {
                "selectors": {
                    "books": {
                        "selector": "li",
                        "all": True,
                        "fields": {"name": "b", "price": {"selector": "i", "get": "html"}},
                    }
                }
            },
            "input": "<ul><li><b>Dune</b> <i>9.50</i></li><li><b>Emma</b></li></ul>",
            "output": {"books": [{"name": "Dune", "price": "<i>9.50</i>"}, {"name": "Emma", "price": None}]},
        },
    )

    class Config(Schema):
        html = anything("The page: {{ input.body }}. Default: the input", lines="html", title="HTML")
        selectors = setting(
            NamedValues(
                keys=fields.String(validate=validate.Length(1, MAX_NAME)),
                values=Selector(),
                required=True,
                validate=validate.Length(1, MAX_SELECTORS),
            ),
            'A CSS selector for each value to extract: {"title": "h1", "links": {"selector": "a", "attribute": '
            '"href", "all": true}}; also "get": "html", and "fields" with selectors inside each match',
            lines="json",
            title="Selectors",
        )

    def run(self, config: dict[str, Any], input: Any, ctx: Context) -> Any:
        html = text_of_config(config, input, "html")
        options = {"selectors": config["selectors"], "most": MAX_TEXT}
        data = html.encode("utf-8", "replace")
        left = ctx.seconds_left(HTML_SECONDS)
        found = read_apart(
            "packs.formats.html", options, data, left, ctx.workspace_id, parse_seconds=PARSE_PAGE_SECONDS
        )
        if "problem" in found:
            raise MalformedData(f"html: {found['problem']}")
        return found["result"]


class Markdown(Node):
    """Converts Markdown (CommonMark, tables and strikethrough) to HTML that is safe to show: it contains no scripts."""

    type = "markdown"
    category = "data"
    title = "Markdown to HTML"
    icon = "markdown"
    also = ("convert", "md")
    examples = (
        {
            "config": {"text": "{{ input.note }}"},
            "input": {"note": "# Hi\n\nSee **[this](https://example.org)** <script>"},
            "output": '<h1>Hi</h1>\n<p>See <strong><a href="https://example.org" rel="noopener noreferrer">this</a>'
            "</strong> &lt;script&gt;</p>\n",
        },
    )

    class Config(Schema):
        text = anything("The Markdown text: {{ input.body }}. Default: the input", lines="markdown", title="Markdown")
        breaks = flag("Show a line end as a line break, as in a chat", False, title="Keep line breaks")

    def run(self, config: dict[str, Any], input: Any, ctx: Context) -> Any:
        import nh3

        text = text_of_config(config, input, "text")
        if len(text) > MAX_MARKDOWN:
            raise LimitExceeded(f"text has {len(text):,} characters; the limit for Markdown is {MAX_MARKDOWN:,}")
        return nh3.clean(_renderer(config["breaks"]).render(text))


@functools.cache
def _renderer(breaks: bool) -> Any:
    """Return a parser that treats HTML as text. Its result is sanitized as well."""
    from markdown_it import MarkdownIt

    return MarkdownIt("commonmark", {"html": False, "breaks": breaks}).enable(["table", "strikethrough"])


# CSV (RFC 4180), within limits

DELIMITERS = (",", ";", "\t", "|")
# The limit of an Excel sheet.
MAX_COLUMNS = 16_384
# A cell of an object takes at least seven characters of JSON, so more cells would exceed a step's output. Padding the
# short rows of a table with one long row counts, too.
MAX_CELLS = 2_500_000
SAMPLE, SAMPLE_ROWS = 64 * 1024, 20
PLAIN_NUMBER = re.compile(r"[+-]?[0-9][0-9.,]*(?:[eE][+-]?[0-9]+)?")
INTEGER = re.compile(r"-?(?:0|[1-9][0-9]{0,19})")
DECIMAL = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]{1,4})?")


def parse_csv(text: str, delimiter: str, header: bool, columns: Sequence[str], types: bool, skip: int) -> list[Any]:
    """Return the rows: objects by the names in the first row or in `columns`, or lists without either.

    `delimiter` is one character, or empty to detect it. `skip` is the number of lines to skip first. If the first row
    has names, `columns` selects columns.
    """
    text = _skip_lines(text.removeprefix("\ufeff"), skip)
    if not delimiter:
        # From a first line `sep=;`, as in Excel, else the one with the most columns.
        first = text[:10].splitlines()[:1]
        if first and first[0].startswith("sep=") and len(first[0]) == 5:
            text, delimiter = _skip_lines(text, 1), first[0][4]
        else:
            sample = text[:SAMPLE]
            delimiter = max(DELIMITERS, key=lambda each: _rate(sample, each))
    rows, read_cell = _read_rows(text, delimiter), parse_cell if types else str
    if not header and not columns:
        return [[read_cell(cell) for cell in row] for row in rows]
    names = _make_unique(next(rows, []) if header else columns)
    made = _make_objects(rows, names, read_cell)
    if not header or not columns:
        return made
    if missing := [column for column in columns if column not in names]:
        raise refusal(f"there is no column {missing[0]!r}; the columns are {', '.join(names[:20])[:500]}")
    return [{column: row[column] for column in columns} for row in made]


def _skip_lines(text: str, count: int) -> str:
    parts = text.split("\n", count)
    return parts[count] if len(parts) > count else ""


def _make_objects(rows: Iterator[list[str]], names: list[str], read_cell: Any) -> list[dict[str, Any]]:
    """Return rows as objects: missing cells are empty, and additional cells get generated names."""
    made, left = [], MAX_CELLS
    for row in rows:
        if len(row) > len(names):
            names = _make_unique([*names, *[""] * (len(row) - len(names))])
        row += [""] * (len(names) - len(row))
        left -= len(row)
        if left < 0:
            raise LimitExceeded(f"the table has more than {MAX_CELLS:,} cells")
        made.append(dict(zip(names, map(read_cell, row), strict=True)))
    return made


def _read_rows(text: str, delimiter: str) -> Iterator[list[str]]:
    """Yield the rows that are not blank."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    count = cells = 0
    try:
        for row in filter(None, reader):
            count, cells = count + 1, cells + len(row)
            if len(row) > MAX_COLUMNS:
                raise LimitExceeded(f"the table has more than {MAX_COLUMNS:,} columns")
            if count > MAX_ITEMS:
                raise LimitExceeded(f"the table has more than {MAX_ITEMS:,} rows")
            if cells > MAX_CELLS:
                raise LimitExceeded(f"the table has more than {MAX_CELLS:,} cells")
            yield row
    except csv.Error as error:
        hint = "; a quotation mark may not be closed" if "limit" in str(error) or "end" in str(error) else ""
        raise MalformedData(f"line {reader.line_num}: {error}{hint}") from None


def _rate(sample: str, delimiter: str) -> tuple[float, int]:
    """Rate a delimiter: the fraction of the first rows with as many columns as the first one, and their number.

    A single column proves nothing, so it has the lowest rating.
    """
    reader = csv.reader(io.StringIO(sample, newline=""), delimiter=delimiter)
    try:
        widths = [len(row) for row in islice(reader, SAMPLE_ROWS) if row]
    except csv.Error:
        return 0.0, 0
    if not widths or widths[0] < 2:
        return 0.0, 0
    return widths.count(widths[0]) / len(widths), widths[0]


def _make_unique(names: Iterable[str]) -> list[str]:
    """Return stripped, unique column names; empty and duplicate ones get a number."""
    made: dict[str, None] = {}
    counts: dict[str, int] = {}
    for place, given in enumerate(names, 1):
        name = base = given.strip() or f"column_{place}"
        while name in made:
            counts[base] = counts.get(base, 1) + 1
            name = f"{base}_{counts[base]}"
        made[name] = None
    return list(made)


def parse_cell(cell: str) -> Any:
    """Return a cell as a number, a boolean or null if it is clearly one.

    Text with leading zeros (phone numbers), with a plus, or beyond 64 bits stays text.
    """
    if not cell:
        return None
    if INTEGER.fullmatch(cell):
        whole = int(cell)
        return whole if MIN_INTEGER <= whole <= MAX_INTEGER and cell != "-0" else cell
    if DECIMAL.fullmatch(cell) and math.isfinite(number := float(cell)):
        return number
    return {"true": True, "false": False}.get(cell.lower(), cell) if len(cell) < 6 else cell


def write_csv(rows: list[Any], delimiter: str, header: bool, columns: Sequence[str], escape: bool, bom: bool) -> str:
    """Return the CSV of objects, whose keys become columns, or of lists. Lines end with CR LF (RFC 4180).

    With `escape`, text that a spreadsheet would treat as a formula gets an apostrophe.
    """
    made = LimitedText()
    if bom:
        made.write("\ufeff")
    writer = csv.writer(made, delimiter=delimiter)
    format_cell = _escape_formula if escape else _format_cell
    if rows and isinstance(rows[0], list):
        names = list(columns)
        table: Iterable[list[Any]] = _check_kind(rows, list)
    else:
        names = list(columns) or list(dict.fromkeys(name for row in _check_kind(rows, dict) for name in row))
        if len(rows) * len(names) > MAX_CELLS or len(names) > MAX_COLUMNS:
            raise LimitExceeded(f"the table would have more than {MAX_CELLS:,} cells or {MAX_COLUMNS:,} columns")
        paths = [path(name) for name in names]
        table = (
            [None if (value := read(row, column)) is MISSING else value for column in paths]
            for row in _check_kind(rows, dict)
        )
    if header and names:
        writer.writerow(map(format_cell, names))
    writer.writerows([format_cell(value) for value in row] for row in table)
    return made.getvalue()


def _check_kind(rows: list[Any], kind: type) -> Iterator[Any]:
    for place, row in enumerate(rows):
        if not isinstance(row, kind):
            kinds = "lists" if kind is list else "objects"
            raise refusal(f"item {place} is {kind_of(row)}, but the rows of this table must be {kinds}")
        yield row


def _format_cell(value: Any) -> str:
    kind = type(value)
    if kind is str or kind is int:
        return str(value)
    if kind is list or kind is dict:
        size_of(value, "a cell")
    return "" if value is None else text_of(value)


def _escape_formula(value: Any) -> str:
    text = _format_cell(value)
    if isinstance(value, str) and text.startswith(FORMULA_STARTS) and not PLAIN_NUMBER.fullmatch(text):
        return "'" + text
    return text


# XML as plain data: attributes are `@name`, text beside them is `#text`, repeated elements are a list.
#
# DTDs are refused, so there are no entities except XML's own five: nothing is fetched, and no text can grow. Names keep
# their prefixes; comments and processing instructions are skipped. xmltodict creates the data. It accepts DTDs and has
# no limits, so defusedxml reads the text first.

# Levels of elements. Each may be two levels of data, an object and a list.
MAX_XML_LEVELS = 100
# Elements and attributes: each takes some hundred bytes of memory, even a short one.
MAX_XML_PARTS = 1_000_000
NAME_START = (
    "A-Z_a-z\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u02ff\u0370-\u037d\u037f-\u1fff\u200c\u200d\u2070-\u218f\u2c00-\u2fef"
)
NAME_START += "\u3001-\ud7ff\uf900-\ufdcf\ufdf0-\ufffd\U00010000-\U000effff"
NOT_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
ESCAPES = {"&": "&amp;", "<": "&lt;", ">": "&gt;", "\r": "&#13;"}
IN_TEXT = str.maketrans(ESCAPES)
IN_QUOTES = str.maketrans({**ESCAPES, '"': "&quot;", "\n": "&#10;", "\t": "&#9;"})


def parse_xml(text: str, lists: Collection[str]) -> dict[str, Any]:
    """Return the document as `{root: content}`; elements named in `lists` are lists even if there is only one."""
    import xmltodict
    from defusedxml import DTDForbidden
    from defusedxml.expatreader import DefusedExpatParser

    text = text.removeprefix("\ufeff")
    parser = DefusedExpatParser(forbid_dtd=True)
    parser.setContentHandler(_XmlLimits())
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
    # Neither a text nor the root is a list, even if it is named: there is only one.
    data = xmltodict.parse(text, strip_whitespace=False, postprocessor=_tidy_element, force_list={*lists} - {"#text"})
    return {name: value[0] if isinstance(value, list) else value for name, value in data.items()}


class _XmlLimits(ContentHandler):
    """Refuses a document with too many parts or levels."""

    parts = level = 0

    def startElement(self, name: str, attrs: Any) -> None:
        self.parts += 1 + len(attrs)
        self.level += 1
        if self.parts > MAX_XML_PARTS:
            raise LimitExceeded(f"data has more than {MAX_XML_PARTS:,} elements and attributes")
        if self.level > MAX_XML_LEVELS:
            raise LimitExceeded(f"data has elements more than {MAX_XML_LEVELS} levels deep")

    def endElement(self, name: str) -> None:
        self.level -= 1


def _tidy_element(path: Any, name: str, value: Any) -> tuple[str, Any]:
    """Return an empty element as empty text. Whitespace around and between children is layout: dropped."""
    if isinstance(value, dict) and "#text" in value and any(key[0] not in "@#" for key in value):
        value["#text"] = value["#text"].strip()
        if not value["#text"]:
            del value["#text"]
    return name, value or ""


def write_xml(value: Any, root: str, item: str, indent: int, declaration: bool) -> str:
    """Return the document. Without `root`, the only key of the data is the root element, unless its value is a list.

    Items of a list without a name, at the top or in another list, become elements named `item`.
    """
    check_data(value, "data")
    content = value
    if not root and isinstance(value, dict) and len(value) == 1:
        ((name, inside),) = value.items()
        if not isinstance(inside, list) and name[:1] not in ("@", "#"):
            root, content = name, inside
    writer = _XmlWriter(item, indent)
    if declaration:
        writer.put('<?xml version="1.0" encoding="UTF-8"?>\n')
    writer.element(root or "root", content, 0)
    return "".join(writer.made)


class _XmlWriter:
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
        if self.parts > MAX_XML_PARTS:
            raise LimitExceeded(f"data would have more than {MAX_XML_PARTS:,} elements")
        self.put(f"<{_check_xml_name(name)}")
        content = value if isinstance(value, dict) else {self.item if isinstance(value, list) else "#text": value}
        children = {}
        for key, part in content.items():
            if key.startswith("@"):
                self.attribute(name, key[1:], part)
            elif key != "#text":
                children[key] = part if isinstance(part, list) else [part]
        text = _to_xml_text(content.get("#text"), name)
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
            self.put(f' {_check_xml_name(name)}="{_to_xml_text(value, element).translate(IN_QUOTES)}"')


@functools.cache
def _xml_name_pattern() -> re.Pattern[str]:
    """Return the pattern of names. It is created at its first use, because compiling its large classes takes long."""
    return re.compile(f"[:{NAME_START}][:{NAME_START}.0-9\u00b7\u0300-\u036f\u203f\u2040-]*")


def _check_xml_name(name: str) -> str:
    if not _xml_name_pattern().fullmatch(name):
        raise refusal(f"{name[:100]!r} is not a valid name in XML; rename this key")
    return name


def _to_xml_text(value: Any, element: str) -> str:
    if isinstance(value, list | dict):
        raise refusal(f"in {element}: an attribute or a text cannot be {kind_of(value)}; convert it to text")
    text = "" if value is None else text_of(value)
    if found := NOT_XML.search(text):
        raise refusal(f"in {element}: XML does not allow the character U+{ord(found[0]):04X}; remove it")
    return text
