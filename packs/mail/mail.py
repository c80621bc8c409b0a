"""Mails of any structure, as plain JSON and the bytes of their attachments."""

from __future__ import annotations

import email
import email.policy
import html
from collections.abc import Callable
from datetime import UTC
from typing import Any

import nh3
from imap_tools.message import MailAttachment, MailMessage

MAX_HEADER = 20_000  # characters of one header: some longer ones take quadratic time to decode
MAX_SHOWN, MAX_BODY, MAX_PEOPLE = 2_000, 1_000_000, 500
MAX_BYTES = 48 * 2**20  # of all attachments: parts of an attached mail are repeated in every mail around it
HEADERS = (
    "reply-to", "in-reply-to", "references", "list-id", "auto-submitted", "precedence", "return-path", "delivered-to",
    "x-priority", "importance",
)  # fmt: skip
TOO_MANY = "has more attachments than the limit; the rest is left out"


class _Short(email.policy.Compat32):
    """Truncates headers before they are parsed."""

    def header_source_parse(self, sourcelines: list[str]) -> tuple[str, str]:
        name, value = super().header_source_parse(sourcelines)
        return name, value[:MAX_HEADER]


class _Mail(MailMessage):
    """A mail without a mailbox."""

    def __init__(self, data: bytes) -> None:
        self._raw_uid_data, self._raw_flag_data = b"", []
        self.obj = email.message_from_bytes(data, policy=_Short())


def read(options: dict[str, Any], data: bytes) -> tuple[dict[str, Any], list[bytes]]:
    """Return the mail as an object, and the content of at most `options["attachments"]` attachments."""
    mail = _Mail(data)
    attachments, pieces, note = _attachments(mail, options["attachments"])
    markup = mail.html
    text = mail.text or html.unescape(nh3.clean(markup[:MAX_BODY], tags=set()))
    notes = [note] if note else []
    if max(len(text), len(markup)) > MAX_BODY:
        notes.append(f"its text is truncated after {MAX_BODY} characters")
    found = {
        "message_id": _shorten(mail.obj["message-id"]),
        "from": next(iter(_people(lambda: [mail.from_values] if mail.from_values else [], mail.obj["from"])), None),
        "to": _people(lambda: list(mail.to_values), mail.obj["to"]),
        "cc": _people(lambda: list(mail.cc_values), mail.obj["cc"]),
        "subject": _subject(mail),
        "date": _date(mail),
        "text": text[:MAX_BODY].strip(),
        "html": markup[:MAX_BODY],
        "headers": {name: _shorten(mail.obj[name]) for name in HEADERS if name in mail.obj},
        "attachments": attachments,
        "note": "; ".join(notes) or None,
    }
    return found, pieces


def _attachments(mail: MailMessage, most: int) -> tuple[list[dict[str, Any]], list[bytes], str | None]:
    described: list[dict[str, Any]] = []
    pieces: list[bytes] = []
    size = 0
    for attachment in mail.attachments:
        if len(pieces) == most or size > MAX_BYTES:
            return described, pieces, TOO_MANY if most else None
        payload = attachment.payload
        size += len(payload)
        pieces.append(payload)
        described.append(
            {"name": _file_name(attachment), "size": len(payload), "content_type": attachment.content_type[:200]}
        )
    return described, pieces, None


def _file_name(attachment: MailAttachment) -> str:
    try:
        name = attachment.filename.replace("\\", "/").rpartition("/")[2]
        return " ".join(name.split())[:MAX_SHOWN]
    except (ValueError, LookupError):  # the name's encoding is invalid
        return ""


def _people(read: Callable[[], list[Any]], raw: Any) -> list[dict[str, str]]:
    """Return each address as `{name, address}`; if they cannot be parsed, all in the first name."""
    try:
        return [{"name": _shorten(one.name), "address": _shorten(one.email)} for one in read()[:MAX_PEOPLE]]
    except (ValueError, LookupError):
        return [{"name": _shorten(raw), "address": ""}]


def _subject(mail: MailMessage) -> str:
    try:
        return _shorten(mail.subject)
    except (ValueError, LookupError):
        return _shorten(mail.obj["subject"])


def _date(mail: MailMessage) -> str | None:
    """Return the date it was sent as ISO 8601 in UTC; a date without a time zone counts as UTC."""
    sent = mail.date
    try:
        sent = sent.replace(tzinfo=UTC) if sent.tzinfo is None else sent.astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    return f"{sent:%Y-%m-%dT%H:%M:%SZ}" if sent.year > 1900 else None  # 1900 stands for a missing date


def _shorten(value: Any) -> str:
    """Return the value in one line of limited length."""
    return " ".join(str(value or "").split())[:MAX_SHOWN]
