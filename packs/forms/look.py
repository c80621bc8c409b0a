"""Look of forms: one HTML template for all pages, with its style, its content policy and nothing to load or to run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from flask import Response, current_app

from api.http.static_app import FullPolicyResponse, hash_inline
from api.run_answer import SECURITY_HEADERS
from packs.forms.colors import choose_accents
from packs.forms.upload import format_size

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
