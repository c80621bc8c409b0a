"""Form nodes: a public form that starts runs, and a page of a form in the middle of a run.

The pages are made by the other modules. This one has their settings and their work as steps of a run.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

from marshmallow import ValidationError, fields, validate, validates_schema

from errors import ExpressionError
from expressions import compile_text, has_expression
from fields import OF_TEXTS, Schema, iso, visible
from nodes.base import Answer, Branch, Context, Suspend
from nodes.core.triggers import TriggerNode, WebhookPath
from nodes.core.waits import WaitingNode, complete, form_fields, matches, timeout_field
from nodes.fields import choice, credential, line, number, setting, text, whole

# Names that the texts after sending may read.
EVALUATED_LATER = "The page after sending evaluates them"
THANKS_ROOTS = {"input", "output", "run"}
COLOR = re.compile(r"#[0-9a-fA-F]{6}\Z")
ORIGIN = re.compile(r"https?://(\*\.)?[A-Za-z0-9.-]{1,253}(:[0-9]{1,5})?\Z")
EXAMPLE_FIELDS = [
    {"kind": "text", "name": "name", "title": "Your name", "required": True},
    {"kind": "email", "name": "email", "title": "E-mail address", "required": True},
    {"kind": "long_text", "name": "message", "title": "Message", "required": True},
]


def check_redirect(value: str) -> None:
    """Reject an address that is neither on this server nor HTTPS."""
    try:
        parts = urlsplit(value)
        is_secure = parts.scheme == "https" and bool(parts.hostname)
    except ValueError:
        is_secure = False
    is_local = value.startswith("/") and not value.startswith(("//", "/\\"))
    if not is_local and not is_secure:
        raise ValidationError("Must be an https:// address, or a path of this server such as /forms/next.")
    if any(letter in value for letter in "\\\r\n\t "):
        raise ValidationError("Must be an address without spaces or backslashes.")


def check_thanks(value: str) -> None:
    """Reject an expression that is invalid, or reads something that is not known after the form was sent."""
    if not has_expression(value):
        return
    try:
        compiled = compile_text(value)
    except ExpressionError as error:
        raise ValidationError(f"{error}.") from None
    if wrong := compiled.roots - THANKS_ROOTS:
        raise ValidationError(f"Cannot read {min(wrong)}; use input (the answers), output (of the run) and run.")


def fill_in(value: str, scope: Mapping[str, Any]) -> Any:
    """Return a text that `check_thanks` accepts, with its expressions evaluated. Raises: ExpressionError."""
    return compile_text(value).evaluate(scope) if has_expression(value) else value


def check_moment(value: str) -> None:
    """Reject text that is not a time."""
    try:
        datetime.fromisoformat(value)
    except ValueError:
        raise ValidationError("Must be a time such as 2026-01-31T18:00:00Z.") from None


def to_ms(value: str) -> int:
    """Return a time that `check_moment` accepts in milliseconds since 1970; without a time zone it is in UTC."""
    moment = datetime.fromisoformat(value)
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)


class FormPath(WebhookPath):
    """A relative path without parameters."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Any:
        path = super()._deserialize(value, attr, data, **kwargs)
        if ":" in path:
            raise ValidationError("Must not have parameters; use hidden fields that the address may fill in.")
        return path


def origins_field() -> Any:
    """Return the config field for the sites that may embed the form."""
    kind = fields.List(
        fields.String(validate=matches(ORIGIN, "Must be an origin such as https://example.com.")),
        validate=validate.Length(max=20),
    )
    help = "Origins of the sites that may show the form in a frame: https://example.com. Default: none"
    return setting(kind, help, literal=True, title="Embed in")


class FormNode(TriggerNode):
    """Starts a run for each answer to a public form, which the server shows as a web page."""

    type = "form"
    title = "Form"
    icon = "forms"
    also = ("form trigger", "survey", "questionnaire", "contact", "google forms", "typeform")
    examples = (
        {
            "config": {"path": "contact", "title": "Contact us", "fields": EXAMPLE_FIELDS},
            "output": {
                "name": "Ada Brandt",
                "email": "ada@example.com",
                "message": "Do you deliver to Norway?",
                "_form": {"path": "contact", "submitted_at": "2026-01-05T07:20:00.000Z", "by": None},
            },
        },
    )

    class Config(Schema):
        path = setting(FormPath, "Path of the page after /forms/: contact", literal=True, required=True, title="Path")
        title = line("The heading of the page", most=200, required=True, title="Title")
        intro = line("Text below the heading", most=5_000, least=0, title="Introduction", lines="")
        fields = form_fields('The fields in order. Add "Next page" to split the form', required=True)
        button = line("The button that sends the form. Default: Send", most=60, title="Button")
        respond = choice(
            "The page after sending: thanks at once, thanks when the run has ended, or the text of a Respond node",
            {"immediately": "Thanks at once", "last": "Thanks when the run ends", "node": "By a Respond node"},
            load_default="immediately",
            title="Response",
        )
        thanks_title = line(
            "Heading after sending; it may read the answers: Thank you, {{ input.name }}. Default: Thank you",
            check_thanks,
            most=1_000,
            title="Thank-you title",
            braces=EVALUATED_LATER,
        )
        thanks_text = line(
            'Text after sending; for "when the run ends" also the run\'s output: {{ output.number }}',
            check_thanks,
            most=5_000,
            least=0,
            title="Thank-you text",
            braces=EVALUATED_LATER,
            lines="",
        )
        redirect = line(
            "Address to go to after sending, instead of the thanks: https://example.com/thanks",
            check_redirect,
            most=1_000,
            title="Redirect",
        )
        access = choice(
            "Who may open the form: anybody, people with the user name and password of a credential, or members of "
            "this workspace",
            {"public": "Anybody", "password": "With a password", "members": "Members"},
            load_default="public",
            title="Access",
        )
        credential = credential("The user name and password that people must enter", "http_basic", title="Credential")
        closes_at = line(
            "From this time on the form is closed: 2026-01-31T18:00:00Z", check_moment, most=40, title="Closes at"
        )
        max_answers = whole(
            "The form closes after this number of answers. Default: no limit", 1, 10_000_000, title="Max answers"
        )
        closed_text = line("Text on the page of the closed form", most=1_000, title="Text when closed")
        rate_limit = whole(
            "Maximum number of answers per minute, of all people together; unfinished pages with files count, too",
            1,
            100_000,
            title="Rate limit (per minute)",
            load_default=60,
        )
        min_seconds = number(
            "An answer that arrives sooner after the page was opened must be sent again: robots are fast",
            0,
            3_600,
            title="Minimum time (seconds)",
            load_default=2.0,
        )
        accent = line(
            "The color of buttons and marks: #0b6e4f. It is made darker or lighter if it is hard to see",
            matches(COLOR, "Must be a color such as #0b6e4f."),
            most=7,
            title="Accent color",
            load_default="#0b6e4f",
        )
        theme = choice(
            "Light or dark page",
            {"auto": "As the reader's device", "light": "Light", "dark": "Dark"},
            load_default="auto",
            title="Theme",
        )
        embed = origins_field()

        @validates_schema
        def fits_together(self, data: Mapping[str, Any], **kwargs: Any) -> None:
            """Require a credential for a password, and the end of the run for its output."""
            if data.get("access") == "password" and not data.get("credential"):
                raise ValidationError("Is required for a password; choose a credential.", "credential")
            texts = {key: data.get(key, "") for key in ("thanks_title", "thanks_text")}
            for key, value in texts.items():
                if data.get("respond") != "last" and has_expression(value) and "output" in compile_text(value).roots:
                    raise ValidationError('Reads the output; set the response to "Thanks when the run ends".', key)


class FormPage(WaitingNode):
    """Asks the person who sent the form for more, on the next page, and routes to received, or to timeout.

    The same browser is led there after sending the form. The signed link `steps.<id>.url` opens the page elsewhere.
    """

    type = "form_page"
    title = "Next form page"
    icon = "clipboard-list"
    also = ("form", "multi-step form", "wait for form", "ask", "page")
    answers = ("received",)
    examples = (
        {
            "config": {
                "title": "Delivery",
                "fields": [{"kind": "date", "name": "day", "title": "When shall we deliver?", "required": True}],
            },
            "input": {"name": "Ada Brandt"},
            "branch": "received",
            "output": {"day": "2026-01-09", "_form": {"submitted_at": "2026-01-05T07:20:00.000Z", "by": None}},
        },
    )

    class Config(Schema):
        title = line("The heading of the page", most=200, required=True, title="Title")
        intro = text("Text below the heading", most=2_000, title="Introduction", lines="")
        fields = form_fields('The fields in order. Add "Next page" to split the form', required=True)
        button = line("The button that sends the page. Default: Continue", most=60, title="Button")
        timeout = timeout_field()

    @classmethod
    def branches(cls, config: Mapping[str, Any]) -> tuple[str, ...]:
        return "received", "timeout"

    def run(self, config: dict[str, Any], input: Any, ctx: Context) -> Any:
        asked = visible(config.get("intro") or config["title"], but=OF_TEXTS)
        return Suspend(ctx.now_ms() + int(config["timeout"] * 1000), f"form: {asked}")

    def resume(self, config: dict[str, Any], input: Any, answer: Answer) -> Any:
        if answer.name == "time":
            return Branch("timeout", None)
        about = {"submitted_at": iso(answer.at), "by": answer.by}
        return Branch("received", {**complete(config["fields"], answer.value["fields"]), "_form": about})
