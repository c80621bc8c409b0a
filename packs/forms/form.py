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
from functools import cache, lru_cache
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import orjson
from flask import Request, Response, current_app

from api.http.json_io import get_server
from api.http.static_app import FullPolicyResponse, hash_inline
from api.run_answer import SECURITY_HEADERS
from database.base import now_ms
from nodes.core.waits import complete, get_max_bytes, is_input, list_inputs, list_missing_files, takes_several
from nodes.files.files import WorkspaceFiles
from nodes.files.staged import discard, renew
from nodes.http.body import to_safe_name
from packs.forms.answers import (
    Item,
    SentForm,
    Storage,
    Texts,
    format_size,
    make_start_texts,
    merge_files,
    read_answers,
    read_sent,
    take_texts,
)

# Colors: an accent color that can be read on a light and on a dark page (WCAG 2.2, 1.4.3 and 1.4.11).

Rgb: TypeAlias = tuple[int, int, int]

MIN_CONTRAST = 4.5
STEPS = 50
LIGHT_CARD, DARK_CARD = (255, 255, 255), (27, 33, 41)
BLACK, WHITE = (0, 0, 0), (255, 255, 255)


class Accent(NamedTuple):
    """An accent color for one theme, and that of text on it, in CSS."""

    color: str
    text: str


@lru_cache(256)
def choose_accents(color: str) -> tuple[Accent, Accent]:
    """Return the accent `#rrggbb` for the light and for the dark theme, changed as little as its contrast requires."""
    given = int(color[1:3], 16), int(color[3:5], 16), int(color[5:7], 16)
    return _fit(given, LIGHT_CARD, BLACK), _fit(given, DARK_CARD, WHITE)


def get_contrast(one: Rgb, other: Rgb) -> float:
    """Return the contrast ratio of two colors, from 1 to 21."""
    darker, lighter = sorted((_get_luminance(one), _get_luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


def _fit(color: Rgb, card: Rgb, towards: Rgb) -> Accent:
    """Mix the color with black or white until it is seen on the card."""
    mixed = (_mix(color, towards, step / STEPS) for step in range(STEPS + 1))
    found = next(one for one in mixed if get_contrast(one, card) >= MIN_CONTRAST)
    text = max((BLACK, WHITE), key=lambda one: get_contrast(one, found))
    return Accent(_format(found), _format(text))


def _mix(color: Rgb, other: Rgb, share: float) -> Rgb:
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(color, other, strict=True))
    return red, green, blue


def _get_luminance(color: Rgb) -> float:
    """Return the relative luminance of a color, as WCAG defines it."""
    red, green, blue = (
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in (one / 255 for one in color)
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _format(color: Rgb) -> str:
    return "#{:02x}{:02x}{:02x}".format(*color)


# The look: one HTML template for all pages, with its style, its content policy and nothing to load or to run.

FOLDER = Path(__file__).parent
ACCENT = "#0b6e4f"
MAX_RADIOS = 8  # choices that are all shown; more are a list to open
INPUT_TYPES = {"email": "email", "date": "date", "time": "time", "datetime": "datetime-local"}


class Look(NamedTuple):
    """The look of a form's pages. `embed` are the origins that may show them in a frame."""

    accent: str = ACCENT
    theme: str = "auto"
    embed: Sequence[str] = ()

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> Look:
        """Return the look that the config of a form node describes."""
        return cls(config["accent"], config["theme"], config.get("embed") or ())


PLAIN = Look()


@cache
def _read(name: str) -> str:
    return (FOLDER / name).read_text(encoding="utf-8")


@cache
def _load_templates() -> Any:
    """Return the templates, compiled once at the first page. Values are escaped."""
    return current_app.jinja_env.from_string(_read("form.html"))


def render(kind: str, look: Look, status: int = 200, refresh: str | None = None, **values: Any) -> Response:
    """Return a page of this kind: `form`, or `message` with `title`, `text` and `link`.

    `refresh` is the value of the header Refresh: seconds, and the address to open then.
    """
    light, dark = choose_accents(look.accent)
    page = _load_templates().render(
        kind=kind,
        look=look,
        light=light,
        dark=dark,
        style=_read("form.css"),
        types=INPUT_TYPES,
        max_radios=MAX_RADIOS,
        format_size=format_size,
        **values,
    )
    # The page has the person's answers, so it is kept in no shared cache; but the browser's own buttons Back and Reload
    # restore typed text only if it may keep the page.
    headers = {
        **dict(SECURITY_HEADERS),
        "Cache-Control": "private, no-cache",
        "Content-Security-Policy": make_policy(page, look),
        "X-Robots-Tag": "noindex",
    }
    if refresh is not None:
        headers["Refresh"] = refresh
    if look.embed:
        del headers["X-Frame-Options"]
    return FullPolicyResponse(page, status, headers, mimetype="text/html")


def make_policy(page: str, look: Look) -> str:
    """Return the content policy of a page: its own style, forms to this server, no scripts and nothing to load."""
    frames = " ".join(look.embed) or "'none'"
    return (
        f"default-src 'none'; style-src {hash_inline(page, 'style')}; base-uri 'none'; form-action 'self'; "
        f"frame-ancestors {frames}"
    )


def show_message(
    title: str,
    text: str = "",
    look: Look = PLAIN,
    status: int = 200,
    link: tuple[str, str] | None = None,
    refresh: str | None = None,
    mark: str = "",
) -> Response:
    """Return a page with a message. `link` is its address and label, `mark` is `done`, `wait` or empty."""
    return render("message", look, status, refresh, title=title, text=text, link=link, mark=mark)


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
        progress.notice = f"{sent.refused.message}."
        response = show(form, progress, sent.refused.status)
        if sent.refused.retry_after is not None:
            response.headers["Retry-After"] = str(sent.refused.retry_after)
        return response
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
        first = (at for at, page in enumerate(pages) for item in page.items if item.get("name") in problems)
        progress.page = next(first, 0)
        return show(form, progress, 422)
    return Filled(progress, answers, action, bool(sent.get("_website")), now_ms() - token.opened_at)


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
