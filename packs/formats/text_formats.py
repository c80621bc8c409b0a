"""Format nodes: parse and write text formats. CSV, XML, YAML and HTML are implemented in their own modules."""

from __future__ import annotations

import functools
import json
from typing import Any, ClassVar

from marshmallow import ValidationError, fields, validate

from errors import LimitExceeded, MalformedData
from fields import Schema
from nodes.base import Context, Node
from nodes.fields import NamedValues, anything, choice, flag, line, setting, whole
from nodes.limits import (
    MAX_CONTAINERS,
    MAX_INTEGER,
    MAX_ITEMS,
    MAX_TEXT,
    LimitedText,
    check_data,
    check_json,
    check_text,
    has_too_many_parts,
    refusal,
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
        "Whether to read text or to write it", {"parse": "Parse", "format": "Format"}, title="Operation", required=True
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
        header = flag(
            "Whether the first row contains the column names. Without names, rows are lists", True, title="Header row"
        )
        columns = names_setting(
            "Columns to read or write, in this order; for format also paths: customer.name. Default: all",
            title="Columns",
        )
        types = flag(
            "For parse: whether to convert numbers and booleans, and empty cells to null", False, title="Detect types"
        )
        skip = whole(
            "For parse: the number of lines to skip before the table", 0, 10_000, load_default=0, title="Skip lines"
        )
        escape_formulas = flag(
            "For format: whether to escape texts that spreadsheets would run as formulas", True, title="Escape formulas"
        )
        bom = flag(
            "For format: whether to add a byte order mark, by which Excel detects UTF-8", False, title="Byte order mark"
        )

    def run(self, config: dict[str, Any], input: Any, ctx: Context) -> Any:
        from packs.formats import csv_format

        delimiter = {"auto": "", "\\t": "\t"}.get(config["delimiter"], config["delimiter"])
        header, columns = config["header"], config["columns"]
        if config["operation"] == "parse":
            text = text_of_config(config, input)
            return csv_format.parse(text, delimiter, header, columns, config["types"], config["skip"])
        rows = config.get("data", input)
        if not isinstance(rows, list | dict):
            raise refusal("data must be a list of objects or lists to be formatted as CSV")
        table = rows if isinstance(rows, list) else [rows]
        return csv_format.write(table, delimiter or ",", header, columns, config["escape_formulas"], config["bom"])


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
        sort_keys = flag(
            "For format: whether to sort keys, so that equal data gives equal text", False, title="Sort keys"
        )
        lines = flag(
            "Whether each line is a separate value (JSON Lines); the data is then a list", False, title="JSON Lines"
        )

    def run(self, config: dict[str, Any], input: Any, ctx: Context) -> Any:
        if config["operation"] == "parse":
            text = text_of_config(config, input).removeprefix("\ufeff")
            return _json_lines(text) if config["lines"] else json_value(text, "data")
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


def _json_lines(text: str) -> list[Any]:
    found = [(number, line) for number, line in enumerate(text.split("\n"), 1) if line.strip()]
    if len(found) > MAX_ITEMS:
        raise LimitExceeded(f"data has more than {MAX_ITEMS:,} lines")
    return [json_value(line, f"line {number} of data") for number, line in found]


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
        declaration = flag("For format: whether to start with <?xml …?>", True, title="XML declaration")

    def run(self, config: dict[str, Any], input: Any, ctx: Context) -> Any:
        from packs.formats import xml_format

        if config["operation"] == "parse":
            return xml_format.parse(text_of_config(config, input), config["lists"])
        value = config.get("data", input)
        return xml_format.write(value, config["root"], config["item"], config["indent"], config["declaration"])


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
            "Whether the text may contain several documents; the data is then a list", False, title="Multiple documents"
        )

    def run(self, config: dict[str, Any], input: Any, ctx: Context) -> Any:
        from nodes.data import yaml_format

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
        breaks = flag("Whether a line end becomes a line break, as in a chat", False, title="Keep line breaks")

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
