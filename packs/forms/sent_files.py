"""The files of a filled form: their names in the folder of the run, and their place in the answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from nodes.core.form_fields import complete, takes_several
from nodes.http.response import to_safe_name
from packs.forms.form import Filled, Form

MAX_FILE_NAME = 100  # characters of a file's own name that are kept


def make_answers(form: Form, filled: Filled, moved: Mapping[str, dict[str, Any]]) -> dict[str, Any]:
    """Return the answers with the files in their places; `moved` are the file objects by key."""
    answers = dict(filled.answers)
    for item in form.uploads:
        found = [moved[file["key"]] for file in filled.files.get(item["name"], ())]
        answers[item["name"]] = found if takes_several(item) else next(iter(found), None)
    return complete(form.items, answers)


def name_files(files: Mapping[str, Sequence[Mapping[str, Any]]], prefix: str = "") -> dict[str, str]:
    """Return a name for each staged file by its key, from the name of its field and its own; each name once."""
    names: dict[str, str] = {}
    for field_name, found in files.items():
        for at, file in enumerate(found):
            number = f"-{at + 1}" if at else ""
            names[file["key"]] = (
                f"{prefix}{field_name}{number}-{to_safe_name(file['name'])[-MAX_FILE_NAME:].lstrip(' .')}"
            )
    return names
