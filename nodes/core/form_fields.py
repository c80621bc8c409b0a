"""Fields of forms: how a node's setting defines them, and the JSON Schema of their answers.

A form is a list of items in order. Most ask for an answer; a heading or a paragraph stands between them, and a page
starts the next step of the form. Pages in HTML are made in `packs/forms/`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any

from marshmallow import ValidationError, fields, validate, validates_schema

from fields import Schema
from nodes.fields import choice, flag, labels_of, line, number, setting, whole
from parsers.json_schema import issues_of

MAX_ITEMS, MAX_PAGES, MAX_OPTIONS = 100, 20, 200
MAX_FILES, MAX_FILE_BYTES, DEFAULT_FILE_BYTES = 20, 2**30, 10_000_000
NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,63}\Z")
EMAIL = r"^[^@\s]{1,64}@[^@\s.]{1,63}(\.[^@\s.]{1,63}){1,8}$"
TIME, MOMENT = r"^([01]\d|2[0-3]):[0-5]\d$", r"^\d{4}-\d{2}-\d{2}T([01]\d|2[0-3]):[0-5]\d$"
ENDING = re.compile(r"\.[A-Za-z0-9]{1,12}\Z")
# Kind to its label and the JSON Schema of its answer. Those without a schema ask for nothing.
KINDS: dict[str, tuple[str, dict[str, Any] | None]] = {
    "text": ("Text", {"type": "string"}),
    "long_text": ("Long text", {"type": "string", "x-multiline": True}),
    "email": ("E-mail address", {"type": "string", "pattern": EMAIL, "maxLength": 254}),
    "number": ("Number", {"type": "number"}),
    "date": ("Date", {"type": "string", "format": "date"}),
    "time": ("Time", {"type": "string", "pattern": TIME}),
    "datetime": ("Date and time", {"type": "string", "pattern": MOMENT}),
    "choice": ("One choice", {"type": "string"}),
    "choices": ("Several choices", {"type": "array"}),
    "checkbox": ("Checkbox", {"type": "boolean"}),
    "file": ("File", {"type": "object"}),
    "hidden": ("Hidden value", {"type": "string"}),
    "heading": ("Heading", None),
    "paragraph": ("Text between fields", None),
    "page": ("Next page", None),
}
MAX_LENGTHS = {"text": 1_000, "long_text": 10_000, "email": 254, "hidden": 1_000}
MAX_LENGTH = 100_000  # characters that a field may allow


def matches(pattern: re.Pattern[str], message: str) -> Callable[[str], None]:
    """Return a check for text: it must match the pattern. The message is for people, so the schema has no pattern."""

    def check(value: str) -> None:
        if not pattern.match(value):
            raise ValidationError(message)

    return check


class FormField(Schema):
    """One item of a form."""

    kind = choice("The kind of the item", labels_of(KINDS), load_default="text", title="Kind")
    name = line(
        "The key of the answer: `email` is read as `{{ input.email }}`",
        matches(NAME, "Must be a letter, then up to 63 letters, digits and underscores."),
        most=64,
        title="Name",
    )
    title = line("The label of the field, or the text of a heading, paragraph or page", most=2_000, title="Title")
    help = line("A sentence below the label", most=1_000, least=0, title="Help")
    placeholder = line("An example that is shown in the empty field", most=200, least=0, title="Placeholder")
    required = flag("Whether it must be answered. A required checkbox must be checked", False, title="Required")
    options = setting(
        fields.List(fields.String(validate=validate.Length(1, 200)), validate=validate.Length(1, MAX_OPTIONS)),
        "The choices, in order",
        literal=True,
        title="Choices",
    )
    default = setting(
        fields.Raw, "The answer at the start: text, a number, true, or a list of choices", literal=True, title="Default"
    )
    prefill = flag(
        "Whether the address of the form may fill in the field: `?name=value`", False, title="Fill in from the address"
    )
    min = number("The smallest number, the shortest text, the fewest choices", -1e15, 1e15, title="Minimum")
    max = number("The largest number, the longest text, the most choices, the most files", -1e15, 1e15, title="Maximum")
    integer = flag("Whether a number must have no fraction", False, title="Whole number")
    accept = setting(
        fields.List(
            fields.String(validate=matches(ENDING, "Must be an ending such as .pdf.")),
            validate=validate.Length(1, 50),
        ),
        "Endings of the files to accept: `.pdf`. Default: any file",
        literal=True,
        title="File types",
    )
    max_bytes = whole("The largest size of a file in bytes. Default: 10 MB", 1, MAX_FILE_BYTES, title="Max file size")

    @validates_schema
    def is_complete(self, data: Mapping[str, Any], **kwargs: Any) -> None:
        """Require what the kind needs."""
        kind = data.get("kind", "text")
        if not is_input(data):
            if kind != "page" and not data.get("title"):
                raise ValidationError("Is required; write the text.", "title")
            return
        if not data.get("name"):
            raise ValidationError("Is required; the answer is read by it.", "name")
        if kind in ("choice", "choices") and not data.get("options"):
            raise ValidationError("Is required; add at least one choice.", "options")
        if data.get("min", -1e16) > data.get("max", 1e16):
            raise ValidationError("Must not be greater than the maximum.", "min")
        if kind == "file" and not 1 <= data.get("max", 1) <= MAX_FILES:
            raise ValidationError(f"Must be a number of files from 1 to {MAX_FILES}.", "max")
        if kind in MAX_LENGTHS and not 0 <= data.get("max", 1) <= MAX_LENGTH:
            raise ValidationError(f"Must be a number of characters up to {MAX_LENGTH}.", "max")
        _check_default(data)


def _check_default(data: Mapping[str, Any]) -> None:
    """Reject a default that the field would not accept as an answer."""
    default = data.get("default")
    if default is None:
        return
    if data.get("kind") == "file":
        raise ValidationError("A file field has none.", "default")
    try:
        issues = issues_of(make_answer_schema({**data, "required": False}), default)
    except ValueError as error:
        raise ValidationError(str(error), "default") from None
    if issues:
        raise ValidationError(f"Is not a valid answer: {issues[0]['message']}.", "default")


def is_input(item: Mapping[str, Any]) -> bool:
    """Return True if the item asks for an answer."""
    return KINDS[item.get("kind", "text")][1] is not None


def list_inputs(items: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return the items that ask for an answer."""
    return [item for item in items if is_input(item)]


def check_items(items: Sequence[Mapping[str, Any]]) -> None:
    """Reject names that occur twice, too many pages or files, and an empty page."""
    names: set[str] = set()
    for at, item in enumerate(items):
        if is_input(item) and item["name"] in names:
            raise ValidationError({at: {"name": [f"{item['name']!r} is the name of an earlier field, too."]}})
        names |= {item["name"]} if is_input(item) else set()
    if sum(item["kind"] == "page" for item in items) >= MAX_PAGES:
        raise ValidationError(f"A form has at most {MAX_PAGES} pages.")
    if sum(int(item.get("max", 1)) for item in items if item["kind"] == "file") > MAX_FILES:
        raise ValidationError(f"A form takes at most {MAX_FILES} files.")
    if items and items[-1]["kind"] == "page":
        raise ValidationError("The last page is empty; add a field to it, or remove it.")


def form_fields(help: str, **options: Any) -> Any:
    """Return the config field for the items of a form."""
    kind = fields.List(
        fields.Nested(FormField),
        validate=[validate.Length(1, MAX_ITEMS), check_items],
        metadata={"x-holds": "form-fields"},
        **options,
    )
    return setting(kind, help, literal=True, title="Fields")


# Answers


def make_answer_schema(item: Mapping[str, Any]) -> dict[str, Any]:
    """Return the JSON Schema of the answer to one item, with its title and help."""
    kind = item.get("kind", "text")
    schema = {**(KINDS[kind][1] or {}), "title": item.get("title") or item["name"]}
    least, most = item.get("min"), item.get("max")
    if item.get("help"):
        schema["description"] = item["help"]
    if item.get("default") is not None:
        schema["default"] = item["default"]
    if kind in MAX_LENGTHS:
        shortest = int(least or 0)
        schema["minLength"] = max(1, shortest) if item.get("required") else shortest
        schema["maxLength"] = int(most if most is not None else MAX_LENGTHS[kind])
    elif kind == "number":
        schema["type"] = "integer" if item.get("integer") else "number"
        schema |= {} if least is None else {"minimum": least}
        schema |= {} if most is None else {"maximum": most}
    elif kind == "choice":
        schema["enum"] = list(item["options"])
    elif kind == "choices":
        fewest = max(int(least or 0), 1 if item.get("required") else 0)
        schema |= {"items": {"type": "string", "enum": list(item["options"])}, "uniqueItems": True}
        schema |= {"minItems": fewest} if fewest and item.get("required") else {}
        schema |= {"maxItems": int(most)} if most is not None else {}
    elif kind == "checkbox" and item.get("required"):
        schema["const"] = True
    return schema


def make_schema(items: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the JSON Schema of the answers to a form as JSON, its properties in the order of the fields.

    It has no files: they are uploaded on the page of the form, and nobody may name a file that exists already.
    """
    asked = [item for item in list_inputs(items) if item["kind"] != "file"]
    required = [item["name"] for item in asked if item.get("required")]
    properties = {item["name"]: make_answer_schema(item) for item in asked}
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}


def find_issues(items: Sequence[Mapping[str, Any]], answers: Any) -> list[dict[str, str]]:
    """Return the issues of answers, as `{"path", "message"}`. Raises: NodeError if they cannot be checked."""
    given = dict(_drop_empty(items, answers)) if isinstance(answers, Mapping) else answers
    return issues_of(make_schema(items), given)


def list_missing_files(items: Sequence[Mapping[str, Any]], given: Collection[str]) -> dict[str, str]:
    """Return a problem for each required file field that is not among those with files."""
    return {
        item["name"]: f"Choose a file for “{item.get('title') or item['name']}”."
        for item in items
        if item["kind"] == "file" and item.get("required") and item["name"] not in given
    }


def complete(items: Sequence[Mapping[str, Any]], answers: Mapping[str, Any]) -> dict[str, Any]:
    """Return the answers with a value for every field: null, false or no items for a field without an answer."""
    return {
        item["name"]: _empty(item) if (value := answers.get(item["name"])) in (None, "") else value
        for item in list_inputs(items)
    }


def get_max_bytes(item: Mapping[str, Any], most: int) -> int:
    """Return the largest size of a file of this field; `most` is that of all files of the workspace, 0 for no limit."""
    return min(int(item.get("max_bytes") or DEFAULT_FILE_BYTES), most or DEFAULT_FILE_BYTES)


def takes_several(item: Mapping[str, Any]) -> bool:
    """Return True if the answer of a file field is a list of files."""
    return item.get("max", 1) > 1


def _empty(item: Mapping[str, Any]) -> Any:
    """Return the answer of a field that was left empty."""
    if item["kind"] == "checkbox":
        return False
    return [] if item["kind"] == "choices" or (item["kind"] == "file" and takes_several(item)) else None


def _drop_empty(items: Sequence[Mapping[str, Any]], answers: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield the answers without the empty ones of fields that may stay empty."""
    optional = {item["name"] for item in list_inputs(items) if not item.get("required")}
    for name, value in answers.items():
        if name not in optional or value not in (None, "", []):
            yield name, value
