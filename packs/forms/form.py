"""A form as a person fills it in, page by page: the sent texts, the next page, and its HTML.

The state is in the page: the texts of other pages are hidden inputs, and a signed token names the staged files and when
the form was opened. So a reload loses nothing, no row waits for people who leave, and no cookie is set.
"""

from __future__ import annotations

import base64
import binascii
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import orjson
from flask import Request, Response

from api.http.server import get_server
from database.base import now_ms
from errors import HeadraceError
from nodes.core.waits import complete, get_max_bytes, is_input, list_inputs, list_missing_files, takes_several
from nodes.files.files import WorkspaceFiles
from nodes.files.staged import discard, renew
from nodes.http.response import to_safe_name
from packs.forms.answers import Item, Texts, make_start_texts, read_answers, take_texts
from packs.forms.look import Look, render
from packs.forms.upload import SentForm, Storage, merge_files, read_sent

PURPOSE = "form page"
MAX_AGE_MS = 24 * 3_600_000  # of an opened form: idempotency keys live as long
MAX_STATE = 100_000  # characters
MAX_FILE_NAME = 100  # characters of a file's own name that are kept
OLD = "This page was open for very long. Check your answers and send them again."


class FormStep(NamedTuple):
    """One step of a form."""

    title: str
    items: list[Item]


@dataclass(frozen=True)
class Form:
    """A form that can be opened. Its token is bound to `owner`; `buttons` are values and labels, in order."""

    owner: tuple[str, ...]
    title: str
    intro: str
    items: Sequence[Item]
    buttons: Sequence[tuple[str, str]]
    action: str
    look: Look
    storage: Storage
    note: str = ""  # above the form, as in a test
    has_trap: bool = True
    must_choose: bool = False  # the buttons differ, so the key Enter presses none of them

    @property
    def files(self) -> WorkspaceFiles:
        """Return the files of the workspace."""
        return self.storage.files

    @property
    def pages(self) -> list[FormStep]:
        """Return the steps of the form."""
        pages = [FormStep("", [])]
        for item in self.items:
            if item["kind"] == "page":
                pages.append(FormStep(item.get("title", ""), []))
            else:
                pages[-1].items.append(item)
        return [page for page in pages if page.items]

    @property
    def uploads(self) -> list[Item]:
        """Return the file fields."""
        return [item for item in self.items if item["kind"] == "file"]


class FormToken(NamedTuple):
    """The signed part of the state. `opened_at` is in milliseconds, `nonce` becomes the idempotency key."""

    opened_at: int
    nonce: str
    files: dict[str, list[dict[str, Any]]]

    def write(self, owner: Sequence[str]) -> str:
        """Return the token as text for the page."""
        data = base64.urlsafe_b64encode(orjson.dumps([*self])).decode()
        return f"{data}.{get_server().vault.sign(PURPOSE, *owner, data)}"

    @classmethod
    def read(cls, text: str, owner: Sequence[str]) -> FormToken | None:
        """Return the token of this text; None if it is not one that this server made for this form within a day."""
        data, _, signature = text.partition(".")
        if len(text) > MAX_STATE or not get_server().vault.verify(signature, PURPOSE, *owner, data):
            return None
        try:
            found = cls(*orjson.loads(base64.urlsafe_b64decode(data)))
        except (binascii.Error, ValueError, TypeError):
            return None
        return found if now_ms() - found.opened_at < MAX_AGE_MS else None

    @classmethod
    def make(cls) -> FormToken:
        return cls(now_ms(), secrets.token_hex(16), {})


@dataclass
class FormProgress:
    """The state of a form: the page to show, the entered texts, and their errors."""

    token: FormToken
    texts: Texts
    page: int = 0
    problems: dict[str, str] = field(default_factory=dict)
    notice: str = ""


class Filled(NamedTuple):
    """A completely and correctly filled form. `files` are those of each field, still staged."""

    progress: FormProgress
    answers: dict[str, Any]
    button: str
    is_trapped: bool
    age_ms: int

    @property
    def files(self) -> dict[str, list[dict[str, Any]]]:
        return self.progress.token.files


def open_form(form: Form, query: Mapping[str, Sequence[str]]) -> Response:
    """Return the first page of the form."""
    return show(form, FormProgress(FormToken.make(), make_start_texts(form.items, query)))


def take(form: Form, request: Request) -> Filled | Response:
    """Return the filled form that the request sends, or the page that comes next."""
    sent = read_sent(request, form.items, form.storage)
    token = FormToken.read(sent.get("_state"), form.owner)
    progress = FormProgress(token or FormToken.make(), take_texts(form.items, sent.texts))
    _take_files(form, sent, progress)
    pages = form.pages
    progress.page = min(int(number) if (number := sent.get("_page")).isdecimal() else 0, len(pages) - 1)
    if sent.refused is not None:
        return _show_refused(form, progress, sent.refused)
    action = sent.get("_go")
    if action == "back":
        progress.page = max(0, progress.page - 1)
        return show(form, progress)
    answers, problems = read_answers(form.items, progress.texts)
    problems |= find_missing_files(form, progress) | sent.problems
    here = {item["name"] for item in pages[progress.page].items if is_input(item)}
    if action == "next":
        progress.problems = {name: text for name, text in problems.items() if name in here}
        progress.page += 0 if progress.problems else 1
        progress.page = min(progress.page, len(pages) - 1)
        return show(form, progress, 422 if progress.problems else 200)
    if token is None:
        progress.notice = OLD
        return show(form, progress, 422)
    if action not in dict(form.buttons):
        if form.must_choose:
            progress.notice = f"Choose {' or '.join(label for _, label in form.buttons)}."
            return show(form, progress, 422)
        action = form.buttons[0][0]
    if problems:
        progress.problems = problems
        progress.page = _find_page(pages, problems)
        return show(form, progress, 422)
    return Filled(progress, answers, action, bool(sent.get("_website")), now_ms() - token.opened_at)


def _show_refused(form: Form, progress: FormProgress, error: HeadraceError) -> Response:
    """Return the page again, with everything that was entered, and with the reason why its files were not stored."""
    progress.notice = f"{error.message}."
    response = show(form, progress, error.status)
    if error.retry_after is not None:
        response.headers["Retry-After"] = str(error.retry_after)
    return response


def show(form: Form, progress: FormProgress, status: int = 200) -> Response:
    """Return the page of this progress."""
    pages = form.pages
    progress.page = min(progress.page, len(pages) - 1)
    page = pages[progress.page]
    here = {item["name"] for item in page.items if is_input(item) and item["kind"] != "hidden"}
    hidden = [
        (item["name"], text)
        for item in list_inputs(form.items)
        if item["name"] not in here and item["kind"] != "file"
        for text in progress.texts.get(item["name"], [])
    ]
    shown = [_describe(form, item, progress) for item in page.items if item["kind"] != "hidden"]
    labels = {item["name"]: item.get("title") or item["name"] for item in list_inputs(form.items)}
    problems = [
        {"name": name, "text": progress.problems[name], "is_here": name in here}
        for name in labels
        if name in progress.problems
    ]
    return render(
        "form",
        form.look,
        status,
        form=form,
        page=page,
        number=progress.page,
        count=len(pages),
        items=shown,
        hidden=hidden,
        problems=problems,
        notice=progress.notice,
        state=progress.token.write(form.owner),
    )


def drop_files(form: Form, progress: FormProgress) -> None:
    """Delete the staged files of a form that is not wanted."""
    discard(form.files, [file["key"] for found in progress.token.files.values() for file in found])


def _describe(form: Form, item: Item, progress: FormProgress) -> dict[str, Any]:
    """Return the variables of the template for one item."""
    shown = {**item, "label": item.get("title") or item.get("name", ""), "texts": []}
    if not is_input(item):
        return shown
    shown["texts"] = progress.texts.get(item["name"], [])
    shown["problem"] = progress.problems.get(item["name"])
    shown["id"] = f"f-{item['name']}"
    if item["kind"] == "file":
        shown["files"] = progress.token.files.get(item["name"], [])
        shown["several"] = takes_several(item)
        shown["most_bytes"] = get_max_bytes(item, form.files.max_bytes)
    return shown


def _take_files(form: Form, sent: SentForm, progress: FormProgress) -> None:
    """Add the new files to those of the token, except the dropped ones."""
    files: dict[str, list[dict[str, Any]]] = {}
    unwanted = set(sent.texts.get("_drop", ()))
    for item in form.uploads:
        name = item["name"]
        known = progress.token.files.get(name, [])
        kept = [file for file in known if file["key"] not in unwanted]
        files[name], dropped = merge_files(item, kept, sent.files.get(name, []))
        if len(dropped) and takes_several(item):
            sent.problems[name] = f"Choose at most {int(item['max'])} files for “{item.get('title') or name}”."
        discard(form.files, [file["key"] for file in (*dropped, *known) if file not in files[name]])
        renew(form.files, [file["key"] for file in known if file in files[name]])
    progress.token = progress.token._replace(files=files)


def find_missing_files(form: Form, progress: FormProgress) -> dict[str, str]:
    """Return the problems of required file fields without a file, by name."""
    return list_missing_files(form.items, [name for name, files in progress.token.files.items() if files])


def _find_page(pages: Sequence[FormStep], problems: Mapping[str, str]) -> int:
    """Return the number of the first page with a problem."""
    found = (at for at, page in enumerate(pages) for item in page.items if item.get("name") in problems)
    return next(found, 0)


# The files of a filled form


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
