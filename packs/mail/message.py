"""Outgoing message: the addresses that people write, and the mail built from them (RFC 5322, MIME). No network.

Rejects control characters everywhere, so that no header can inject another. Builds the headers itself, one address a
line, because `EmailMessage` loses the quotes of names when it folds them (Python 3.11).
"""

from __future__ import annotations

import hashlib
import mimetypes
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.header import Header
from email.message import EmailMessage
from email.utils import format_datetime, quote
from typing import Any, NamedTuple

from errors import LimitExceeded, NodeError
from nodes.files.files import WorkspaceFiles

MAX_BYTES = 25 * 2**20
MAX_RECIPIENTS = 100
MAX_ATTACHMENTS = 50
MAX_LIST = 20_000
MAX_NAME = 200
MAX_ADDRESS = 320
CONTROL = re.compile(r"[\x00-\x1f\x7f\x80-\x9f\u2028\u2029]")
# All characters except spaces, control characters and RFC 5322 specials: a positive list up to the end of Unicode
# would take milliseconds to compile.
LOCAL = re.compile(r'[^\0- "(),:;<>@[\\\]\x7f-\xa0]{1,64}\Z')
DOMAIN = re.compile(r"(?=.{1,253}\Z)[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9])?(\.[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9])?)*\Z")
MEDIA = re.compile(r"[a-z0-9!#$&^_.+-]{1,60}/[a-z0-9!#$&^_.+-]{1,60}\Z")
# Text up to a comma or the end, with commas in quotation marks; the inside of a quoted string; an escaped character.
ENTRY = re.compile(r'((?:[^",]|"(?:[^"\\]|\\.)*+")*+)(,|\Z)', re.DOTALL)
QUOTED, ESCAPED = re.compile(r'(?:[^"\\]|\\.)*+\Z', re.DOTALL), re.compile(r"\\(.)", re.DOTALL)
# Text that needs no encoding in a header: short words, none of which looks like an encoded word.
PLAIN = re.compile(r"(?!.*=\?)[!-~]{1,60}( [!-~]{1,60})*\Z")


class Mailbox(NamedTuple):
    """An address with its display name; `domain` is in ASCII (IDNA)."""

    name: str
    local: str
    domain: str

    @property
    def address(self) -> str:
        """Return the address for a server; an unusual local part is quoted."""
        odd = self.local.startswith(".") or self.local.endswith(".") or ".." in self.local
        return f'"{self.local}"@{self.domain}' if odd else f"{self.local}@{self.domain}"

    @property
    def header(self) -> str:
        """Return the address for a header."""
        if not self.name:
            return self.address
        name = f'"{quote(self.name)}"' if PLAIN.match(self.name) else Header(self.name, "utf-8").encode(linesep="\r\n")
        return f"{name} <{self.address}>"


def parse_mailboxes(value: Any, key: str) -> list[Mailbox]:
    """Parse addresses from text with commas, or a list of such texts. Raises: NodeError naming the key."""
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise NodeError(f"{key}: must be an address, several separated by commas, or a list of them", True)
    if sum(map(len, texts)) > MAX_LIST:
        raise LimitExceeded(f"{key}: must have at most {MAX_LIST:,} characters")
    return [parse_mailbox(entry, key) for text in texts for entry in _split(text, key) if entry.strip()]


def _split(text: str, key: str) -> list[str]:
    """Split text at the commas outside quotation marks."""
    entries, at = [], 0
    while found := ENTRY.match(text, at):
        entries.append(found[1])
        if found[2] == "":
            return entries
        at = found.end()
    raise NodeError(f"{key}: a quotation mark is not closed", permanent=True)


def check_line(text: str, what: str) -> None:
    """Raise NodeError if the text has control characters, such as line breaks."""
    if CONTROL.search(text):
        raise NodeError(f"{what}: must not contain line breaks or other control characters", permanent=True)


def parse_mailbox(text: str, key: str) -> Mailbox:
    """Parse one address: `shop@example.com`, `Shop <shop@example.com>`, `"Shop, Berlin" <shop@example.com>`."""
    import idna

    check_line(text, key)
    shown, name, bare = text.strip()[:100], "", text.strip()
    if bare.endswith(">") and "<" in bare:
        written, _, bare = bare[:-1].rpartition("<")
        name, bare = _parse_name(written.strip(), key), bare.strip()
    if len(bare) > MAX_ADDRESS:
        raise LimitExceeded(f"{key}: the address {bare[:50]!r}… has more than {MAX_ADDRESS} characters")
    local, at, domain = bare.rpartition("@")
    if not at or not LOCAL.match(local):
        raise NodeError(f"{key}: {shown!r} is not an e-mail address such as Shop <shop@example.com>", True)
    try:
        made = domain.lower() if domain.isascii() else idna.encode(domain, uts46=True).decode("ascii")
    except idna.IDNAError:
        made = ""
    if not DOMAIN.match(made):
        raise NodeError(f"{key}: {domain[:100]!r} is not a valid domain of an e-mail address", permanent=True)
    return Mailbox(name, to_valid_text(local), made)


def _parse_name(written: str, key: str) -> str:
    """Return the display name before an address, without quotes."""
    shown = written[:50]
    if len(written) > 2 * MAX_NAME + 2:  # each character may be escaped
        raise _too_long(shown, key)
    quoted = written[1:-1] if len(written) > 1 and written[0] == written[-1] == '"' else None
    name = written if quoted is None else ESCAPED.sub(r"\1", quoted) if QUOTED.match(quoted) else None
    if name is None or (quoted is None and not {*'"<>@'}.isdisjoint(name)):
        raise NodeError(f'{key}: put the name {shown!r} in quotation marks: "Shop" <shop@example.com>', True)
    if len(name) > MAX_NAME:
        raise _too_long(shown, key)
    return to_valid_text(name.strip())


def _too_long(shown: str, key: str) -> NodeError:
    return LimitExceeded(f"{key}: the name {shown!r}… has more than {MAX_NAME} characters")


def to_valid_text(text: str) -> str:
    """Replace half surrogate pairs, which cannot be encoded."""
    return text.encode("utf-8", "replace").decode()


class Attachment(NamedTuple):
    """An attachment; `content_type` is `type/subtype`, `is_text` if it is known to be UTF-8."""

    name: str
    content_type: str
    content: bytes
    is_text: bool = False


def attachments(value: Any, files: WorkspaceFiles | None, most: int = MAX_BYTES) -> list[Attachment]:
    """Load attachments from a list of paths, file objects and `{"name", "content"}`, at most `most` bytes in total.

    An entry may be a list itself: the result of an expression beside files that are chosen by hand.
    Raises: NodeError naming the entry, before reading more.
    """
    entries = list(_list_entries(value))
    if len(entries) > MAX_ATTACHMENTS:
        raise LimitExceeded(f"attachments: there are {len(entries)}; the limit is {MAX_ATTACHMENTS}")
    found: list[Attachment] = []
    for key, entry in entries:
        made = _load_attachment({"path": entry} if isinstance(entry, str) else entry, key, files, most)
        most -= len(made.content)
        found.append(made)
    return found


def _list_entries(value: Any) -> Iterator[tuple[str, Any]]:
    """Yield each entry with its key: `attachments[0]`, or `attachments[0][2]` in a list within the list."""
    for number, entry in enumerate(value if isinstance(value, list) else [value]):
        key = f"attachments[{number}]"
        if isinstance(entry, list):
            yield from ((f"{key}[{at}]", each) for at, each in enumerate(entry))
        else:
            yield key, entry


def _load_attachment(entry: Any, key: str, files: WorkspaceFiles | None, room: int) -> Attachment:
    if not isinstance(entry, dict) or not isinstance(entry.get("path", entry.get("content")), str):
        text = 'must be a path, a file such as {"path": …}, or {"name": …, "content": text}'
        raise NodeError(f"{key}: {text}", permanent=True)
    written = str(entry.get("content", "")).encode("utf-8", "replace")
    content = _read(files, entry["path"], key, room) if "path" in entry else written
    if len(content) > room:
        raise LimitExceeded(f"{key}: the attachments exceed the limit of {MAX_BYTES:,} bytes")
    name, is_text = _name(entry.get("name") or entry.get("path"), key), "path" not in entry
    given = entry.get("content_type")
    guessed = mimetypes.guess_type(name)[0] or ("text/plain" if is_text else "application/octet-stream")
    made = str(given).partition(";")[0].strip().lower() if given else guessed
    if not MEDIA.match(made):
        raise NodeError(f"{key}: {str(given)[:100]!r} is not a content type such as application/pdf", permanent=True)
    if made.startswith(("multipart/", "message/")):
        # These have their own structure, which must not be encoded like a file.
        made = "application/octet-stream"
    return Attachment(name, made, content, is_text)


def _read(files: WorkspaceFiles | None, path: str, key: str, room: int) -> bytes:
    if files is None:
        raise NodeError("files are not available here", permanent=True)
    try:
        with files.reading(path) as file:
            return file.read(room + 1)
    except NodeError as error:
        raise error.at(key) from None


def _name(given: Any, key: str) -> str:
    """Return the last part of a name: folders are private, and could be misused when the file is saved."""
    if not isinstance(given, str):
        raise NodeError(f"{key}: name is required", permanent=True)
    check_line(given, f"{key}.name")
    name = to_valid_text(re.split(r"[/\\]", given)[-1]).strip()
    if name in ("", ".", "..") or len(name) > 200:
        raise NodeError(f"{key}: {given[:100]!r} is not a file name", permanent=True)
    return name


@dataclass(frozen=True, slots=True)
class Message:
    """A mail to send: `body` is text, `html` its alternative; `key` is the idempotency key."""

    sender: Mailbox
    key: str
    to: Sequence[Mailbox]
    cc: Sequence[Mailbox] = ()
    bcc: Sequence[Mailbox] = ()
    reply_to: Sequence[Mailbox] = ()
    subject: str = ""
    body: str = ""
    html: str = ""
    attachments: Sequence[Attachment] = ()

    def check(self) -> None:
        """Raise NodeError if it has no or too many recipients, or an invalid subject."""
        number = len(self.recipients)
        if not number:
            raise NodeError("to: at least one recipient is required", permanent=True)
        if number > MAX_RECIPIENTS:
            raise LimitExceeded(f"to: there are {number} recipients; the limit is {MAX_RECIPIENTS}")
        check_line(self.subject, "subject")

    @property
    def message_id(self) -> str:
        """Return the Message-ID, the same at every attempt, so that duplicates can be recognized."""
        return f"<{hashlib.sha256(self.key.encode()).hexdigest()[:40]}@{self.sender.domain}>"

    @property
    def recipients(self) -> list[str]:
        """Return the addresses of all recipients, without duplicates."""
        return list(dict.fromkeys(each.address for each in (*self.to, *self.cc, *self.bcc)))

    @property
    def is_international(self) -> bool:
        """Return True if an address needs SMTPUTF8 (RFC 6531)."""
        known = (self.sender, *self.to, *self.cc, *self.bcc, *self.reply_to)
        return not all(each.local.isascii() for each in known)

    def encode(self) -> bytes:
        """Return the encoded message. Raises: NodeError if it is too large."""
        people = (("From", [self.sender]), ("To", self.to), ("Cc", self.cc), ("Reply-To", self.reply_to))
        headers = [f"{name}: " + ",\r\n ".join(each.header for each in known) for name, known in people if known]
        headers += [
            f"Subject: {encode_line(to_valid_text(self.subject), 'Subject')}",
            f"Date: {format_datetime(datetime.now(UTC))}",
            f"Message-ID: {self.message_id}",
            "Auto-Submitted: auto-generated",  # prevents automatic replies (RFC 3834)
        ]
        made = "".join(f"{header}\r\n" for header in headers).encode()
        made += build_content(self.body, self.html, self.attachments).as_bytes()
        if len(made) > MAX_BYTES:
            raise LimitExceeded(f"the message has {len(made):,} bytes; the limit is {MAX_BYTES:,}")
        return made


def build_content(body: str, html: str, attached: Iterable[Attachment]) -> EmailMessage:
    """Return the content of a mail, without its addresses and subject."""
    from email.policy import SMTP

    message = EmailMessage(SMTP.clone(cte_type="7bit"))
    body, html = to_valid_text(body), to_valid_text(html)
    if body or not html:
        message.set_content(body)
    if html and body:
        message.add_alternative(html, subtype="html")
    elif html:
        message.set_content(html, subtype="html")
    for each in attached:
        main, _, sub = each.content_type.partition("/")
        params = {"charset": "utf-8"} if each.is_text and main == "text" else None
        message.add_attachment(each.content, maintype=main, subtype=sub, filename=each.name, params=params)
    return message


def encode_line(text: str, header: str) -> str:
    """Return text encoded for a header, folded if it is long."""
    charset = "us-ascii" if not text or PLAIN.match(text) else "utf-8"
    return Header(text, charset, header_name=header).encode(linesep="\r\n")


def get_texts(attached: Any) -> Iterable[str]:
    """Yield all text in attachments, as given in the config."""
    for _, entry in _list_entries(attached):
        yield from (str(value) for value in entry.values()) if isinstance(entry, dict) else [str(entry)]
