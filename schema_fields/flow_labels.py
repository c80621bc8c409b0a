"""Labels of a flow: fields for its folder and its tags.

A folder is a path of names, such as `Billing/Invoices`, and exists as long as it contains a flow.
"""

from __future__ import annotations

from typing import Any

from marshmallow import ValidationError, validate

from schema_fields import fields, text

MAX_PATH = 200
MAX_DEPTH = 4
MAX_FOLDER_NAME = 60
MAX_TAG = 40
MAX_TAGS = 20  # of a flow
PATH_HELP = f"Path of a folder, up to {MAX_DEPTH} names separated by slashes: `Billing/Invoices`"
TAGS_HELP = f"Up to {MAX_TAGS} tags"


def normalize_path(path: str) -> str:
    """Return the path without spaces around its names. Raises: ValidationError if it is not a path of a folder."""
    names = [name.strip() for name in path.split("/")]
    if not all(names):
        raise ValidationError("must be names separated by single slashes, such as Billing/Invoices")
    if len(names) > MAX_DEPTH:
        raise ValidationError(f"must have at most {MAX_DEPTH} levels")
    if any(len(name) > MAX_FOLDER_NAME for name in names):
        raise ValidationError(f"must have names of at most {MAX_FOLDER_NAME} characters")
    path = "/".join(names)
    if len(path) > MAX_PATH:
        raise ValidationError(f"must have at most {MAX_PATH} characters")
    return path


class FolderPath(fields.String):
    """The path of a folder."""

    def __init__(self, **options: Any) -> None:
        super().__init__(validate=text(MAX_PATH).validators, **{"help": PATH_HELP, **options})

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> str:
        path: str = super()._deserialize(value, attr, data, **kwargs)
        if not path.strip():
            raise ValidationError("must not be blank; for no folder, give null")
        return normalize_path(path)


class Tag(fields.String):
    """A tag; without commas, which separate tags in a query."""

    def __init__(self, **options: Any) -> None:
        super().__init__(validate=text(MAX_TAG).validators, **options)

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> str:
        tag: str = super()._deserialize(value, attr, data, **kwargs).strip()
        if "," in tag:
            raise ValidationError("must not contain a comma")
        return tag


def tag_list(max_length: int = MAX_TAGS, **options: Any) -> fields.List:
    """Return a field for tags of a flow."""
    return fields.List(Tag(), validate=validate.Length(max=max_length), **{"help": TAGS_HELP, **options})


class TagsArg(fields.String):
    """Tags in a query, separated by commas; internally a tuple."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Any:
        tag = Tag()
        tags = tuple(dict.fromkeys(tag.deserialize(one, attr, data, **kwargs) for one in str(value).split(",")))
        if len(tags) > MAX_TAGS:
            raise ValidationError(f"must have at most {MAX_TAGS} tags")
        return tags
