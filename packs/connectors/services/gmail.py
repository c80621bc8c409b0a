"""Gmail: mails as MIME, and their parts as data."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from email.utils import getaddresses
from typing import Any

from errors import LimitExceeded, NodeError
from nodes.fields import text_of
from packs.connectors.operation import ConnectorExchange
from packs.mail.message import (
    MAX_BYTES,
    Mailbox,
    attachments,
    build_content,
    check_line,
    encode_line,
    parse_mailbox,
    parse_mailboxes,
    to_valid_text,
)

SHOWN = {
    "from": "from", "to": "to", "cc": "cc", "reply_to": "reply-to", "subject": "subject", "message_id": "message-id",
}  # fmt: skip
REPLY_HEADERS = ["From", "Reply-To", "To", "Cc", "Subject", "Message-ID", "References"]
MAX_REFERENCES = 4_000
MAX_PARTS = 200


def send_message(x: ConnectorExchange) -> dict[str, Any]:
    """Send a mail. Return its ids and labels."""
    return dict(x.read(x.send("POST", "/messages/send", body={"raw": _encode(x, _addressed(x))})))


def create_draft(x: ConnectorExchange) -> dict[str, Any]:
    """Save a mail as a draft, in the thread of the message that it answers. Return its ids."""
    headers, message = _addressed(x), {}
    if answered := x.inputs.get("answer_to"):
        original = _read_original(x, answered)
        message["threadId"] = original["threadId"]
        headers = {**_reply_headers(original, _headers(original)), **headers}
        if "to" not in x.inputs:
            headers["To"] = _join(_senders(_headers(original)))
    return dict(x.read(x.send("POST", "/drafts", body={"message": {"raw": _encode(x, headers), **message}})))


def reply_to_message(x: ConnectorExchange) -> dict[str, Any]:
    """Send an answer in the message's thread. Return its ids and labels."""
    original = _read_original(x, x.inputs["message"])
    found = _headers(original)
    to = _parse(found.get("from", "")) if x.inputs.get("only_sender") else _senders(found)
    headers = {"To": _join(to), **_addressed(x), **_reply_headers(original, found)}
    if x.inputs.get("to_all"):
        own = x.read(x.send("GET", "/profile"))["emailAddress"].casefold()
        known = {own, *(each.address.casefold() for each in to)}
        others = [each for each in _parse(found.get("to", ""), found.get("cc", "")) if _is_new(each, known)]
        given = parse_mailboxes(x.inputs.get("cc", ""), "cc")
        if others or given:
            headers["Cc"] = _join([*given, *others])
    body = {"raw": _encode(x, headers), "threadId": original["threadId"]}
    return dict(x.read(x.send("POST", "/messages/send", body=body)))


def list_messages(x: ConnectorExchange) -> list[Any]:
    """Return the messages that match, newest first, as detailed as the setting says."""
    given = x.inputs
    words = [given["query"]] if "query" in given else []
    if "after" in given:
        # A search takes seconds since 1970 as the exact time. Without a zone it is UTC.
        time = given["after"]
        try:
            at = datetime.fromisoformat(time)
        except ValueError:
            raise NodeError(
                f"after: {time[:50]!r} is not a time such as 2026-01-31T12:00:00Z", permanent=True
            ) from None
        words.append(f"after:{int((at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp())}")
    query: dict[str, Any] = {"q": " ".join(words)} if words else {}
    names = {"labels": "labelIds", "spam_and_trash": "includeSpamTrash"}
    query |= {theirs: given[ours] for ours, theirs in names.items() if ours in given}
    found = x.items("GET", "/messages", query=query, result="messages")
    if given["details"] == "ids":
        return [{"id": each["id"], "thread_id": each["threadId"]} for each in found]
    return [_get(x, each["id"]) for each in found]


def get_message(x: ConnectorExchange) -> dict[str, Any]:
    """Return a message; with its attachments as files, if the setting says so."""
    return _get(x, x.inputs["message"], x.inputs["attachments"])


def _get(x: ConnectorExchange, id_: str, with_files: bool = False) -> dict[str, Any]:
    x.ctx.pause(0)
    message = x.read(x.send("GET", f"/messages/{_segment(id_)}", query={"format": "full"}))
    parts = list(_parts(message.get("payload", {})))
    made = dict(message) if x.inputs["details"] == "full" else _parse_message(message, parts)
    named = [part for part in parts if part.get("filename") and "attachmentId" in part.get("body", {})]
    if with_files:
        made["attachments"] = [_save(x, id_, part) for part in named]
    elif x.inputs["details"] != "full":
        made["attachments"] = [
            {
                "id": part["body"]["attachmentId"], "name": part["filename"], "content_type": part.get("mimeType"),
                "size": part["body"].get("size"),
            }
            for part in named
        ]  # fmt: skip
    return made


def _segment(id_: str) -> str:
    """Return an id for a path. Raises: NodeError if it is not one."""
    if not id_.isascii() or not id_.replace("-", "").replace("_", "").isalnum():
        raise NodeError(f"message: {id_[:50]!r} is not an id", permanent=True)
    return id_


def _parts(payload: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yield the parts of a message that have no parts themselves."""
    todo, seen = [payload], 0
    while todo:
        part = todo.pop(0)
        seen += 1
        if seen > MAX_PARTS:
            raise LimitExceeded(f"the message has more than {MAX_PARTS} parts")
        if inner := part.get("parts"):
            todo[:0] = inner
        else:
            yield part


def _parse_message(message: Mapping[str, Any], parts: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    headers = _headers(message)
    when = datetime.fromtimestamp(int(message.get("internalDate", 0)) / 1000, UTC)
    made = {
        "id": message["id"], "thread_id": message["threadId"], "labels": message.get("labelIds", []),
        "snippet": message.get("snippet", ""), "date": when.isoformat(),
    }  # fmt: skip
    made |= {ours: headers[theirs] for ours, theirs in SHOWN.items() if theirs in headers}
    for part in parts:
        kind = {"text/plain": "text", "text/html": "html"}.get(part.get("mimeType", ""))
        if kind and not part.get("filename") and kind not in made and "data" in part.get("body", {}):
            made[kind] = _decode(part["body"]["data"]).decode("utf-8", "replace")
    return made


def _headers(message: Mapping[str, Any]) -> dict[str, str]:
    """Return the headers by name in lower case; of several, the first."""
    found: dict[str, str] = {}
    for header in message.get("payload", {}).get("headers", []):
        found.setdefault(header["name"].lower(), header["value"])
    return found


def _save(x: ConnectorExchange, id_: str, part: Mapping[str, Any]) -> dict[str, Any]:
    path = f"/messages/{_segment(id_)}/attachments/{_segment(part['body']['attachmentId'])}"
    found = x.read(x.send("GET", path))
    return x.save(_decode(found["data"]), part["filename"])


def _decode(data: str) -> bytes:
    try:
        return base64.urlsafe_b64decode(data + "=" * (-len(data) % 4))
    except ValueError:
        raise NodeError("the message has a part that is not base64") from None


# Mails that are sent


def _addressed(x: ConnectorExchange) -> dict[str, str]:
    """Return the headers that the settings give."""
    given = x.inputs
    named = {"From": "from", "To": "to", "Cc": "cc", "Bcc": "bcc", "Reply-To": "reply_to"}
    found = {name: parse_mailboxes(given[key], key) for name, key in named.items() if key in given}
    if "sender_name" in given:
        if "From" not in found:
            own = x.read(x.send("GET", "/profile"))["emailAddress"]
            found["From"] = [parse_mailbox(own, "from")]
        check_line(given["sender_name"], "sender_name")
        found["From"] = [each._replace(name=given["sender_name"]) for each in found["From"]]
    headers = {name: _join(each) for name, each in found.items()}
    if "subject" in given:
        check_line(given["subject"], "subject")
        headers["Subject"] = given["subject"]
    return headers


def _encode(x: ConnectorExchange, headers: Mapping[str, str]) -> str:
    """Return the mail as Gmail takes it: MIME in base64."""
    given = x.inputs
    added = attachments(given["attachments"], x.ctx.files) if "attachments" in given else []
    content = build_content(text_of(given.get("text", "")), text_of(given.get("html", "")), added)
    written = {**headers, "Subject": encode_line(to_valid_text(headers.get("Subject", "")), "Subject")}
    made = "".join(f"{name}: {value}\r\n" for name, value in written.items()).encode() + content.as_bytes()
    if len(made) > MAX_BYTES:
        raise LimitExceeded(f"the message has {len(made):,} bytes; the limit is {MAX_BYTES:,}")
    return base64.urlsafe_b64encode(made).decode()


def _read_original(x: ConnectorExchange, id_: str) -> dict[str, Any]:
    query = {"format": "metadata", "metadataHeaders": REPLY_HEADERS}
    return dict(x.read(x.send("GET", f"/messages/{_segment(id_)}", query=query)))


def _reply_headers(original: Mapping[str, Any], found: Mapping[str, str]) -> dict[str, str]:
    """Return the headers that put a mail into the thread of another."""
    subject = found.get("subject", "")
    headers = {"Subject": subject if subject.lower().startswith("re:") else f"Re: {subject}"}
    if id_ := found.get("message-id"):
        before = " ".join(found.get("references", "")[-MAX_REFERENCES:].split())
        headers |= {"In-Reply-To": id_, "References": f"{before} {id_}".strip()}
    for name, value in headers.items():
        check_line(value, name)
    return headers


def _senders(found: Mapping[str, str]) -> list[Mailbox]:
    return _parse(found.get("reply-to") or found.get("from", ""))


def _parse(*headers: str) -> list[Mailbox]:
    """Return the addresses in headers of a received message; those that are not valid are left out."""
    made = []
    for name, address in getaddresses(list(headers)):
        try:
            check_line(name, "name")
            made.append(parse_mailbox(address, "address")._replace(name=name[:200]))
        except NodeError:
            continue
    return made


def _is_new(mailbox: Mailbox, known: set[str]) -> bool:
    """Return True at the first time that an address comes."""
    address = mailbox.address.casefold()
    if address in known:
        return False
    known.add(address)
    return True


def _join(found: Iterable[Mailbox]) -> str:
    return ",\r\n ".join(each.header for each in found)
