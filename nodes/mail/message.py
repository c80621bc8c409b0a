"""Mail as it goes out: the addresses that people write, and the message made of them (RFC 5322, MIME). No network.

Nothing of a header can become another header: control characters are refused, wherever they come from. The headers are
put together here, an address a line, since `EmailMessage` loses the quotes of names when it folds them (Python 3.11).
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

from errors import NodeError
from nodes.files.files import Files

MAX_BYTES = 25 * 2**20
MAX_RECIPIENTS = 100
MAX_ATTACHMENTS = 50
LONGEST_LIST = 20_000
LONGEST_NAME = 200
LONGEST_ADDRESS = 320
CONTROL = re.compile(r"[\x00-\x1f\x7f\x80-\x9f\u2028\u2029]")
# All but blanks, control characters and those that RFC 5322 keeps for itself: a list of the others, up to the last of
# Unicode, takes milliseconds to compile.
LOCAL = re.compile(r'[^\0- "(),:;<>@[\\\]\x7f-\xa0]{1,64}\Z')
DOMAIN = re.compile(r"(?=.{1,253}\Z)[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9])?(\.[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9])?)*\Z")
MEDIA = re.compile(r"[a-z0-9!#$&^_.+-]{1,60}/[a-z0-9!#$&^_.+-]{1,60}\Z")
# What stands in a header as it is: short words, none of which looks like an encoded one.
PLAIN = re.compile(r"(?!.*=\?)[!-~]{1,60}( [!-~]{1,60})*\Z")


class Mailbox(NamedTuple):
    """An address with the name that is shown for it; `domain` is in ASCII (IDNA)."""

    name: str
    local: str
    domain: str

    @property
    def address(self) -> str:
        """As a server gets it; a local part that the rules do not know is quoted."""
        odd = self.local.startswith(".") or self.local.endswith(".") or ".." in self.local
        return f'"{self.local}"@{self.domain}' if odd else f"{self.local}@{self.domain}"

    @property
    def header(self) -> str:
        """As it stands in a header."""
        if not self.name:
            return self.address
        name = f'"{quote(self.name)}"' if PLAIN.match(self.name) else Header(self.name, "utf-8").encode(linesep="\r\n")
        return f"{name} <{self.address}>"


def mailboxes(value: Any, key: str) -> list[Mailbox]:
    """The addresses of a text with commas, or of a list of such texts. NodeError, which names the key, for others."""
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise NodeError(f"{key}: must be an address, several with commas between them, or a list of them", True)
    if sum(map(len, texts)) > LONGEST_LIST:
        raise NodeError(f"{key}: has more than {LONGEST_LIST} characters", permanent=True)
    return [mailbox(entry, key) for text in texts for entry in _entries(text, key) if entry.strip()]


def _entries(text: str, key: str) -> list[str]:
    entries, begun = [], 0
    is_quoted = is_escaped = False
    for at, letter in enumerate(text):
        if is_escaped:
            is_escaped = False
        elif letter == '"':
            is_quoted = not is_quoted
        elif is_quoted:
            is_escaped = letter == "\\"
        elif letter == ",":
            entries.append(text[begun:at])
            begun = at + 1
    if is_quoted:
        raise NodeError(f"{key}: a quotation mark is not closed", permanent=True)
    return [*entries, text[begun:]]


def check_line(text: str, what: str) -> None:
    """NodeError for text that would not stay in its line."""
    if CONTROL.search(text):
        raise NodeError(f"{what}: must not have line breaks or other control characters", permanent=True)


def mailbox(text: str, key: str) -> Mailbox:
    """One address: `shop@example.com`, `Shop <shop@example.com>`, `"Shop, Berlin" <shop@example.com>`."""
    check_line(text, key)
    shown, name, bare = text.strip()[:100], "", text.strip()
    if bare.endswith(">") and "<" in bare:
        written, _, bare = bare[:-1].rpartition("<")
        name, bare = _shown_name(written.strip(), key), bare.strip()
    if len(bare) > LONGEST_ADDRESS:
        raise NodeError(f"{key}: the address {bare[:50]!r}… has more than {LONGEST_ADDRESS} characters", permanent=True)
    local, at, domain = bare.rpartition("@")
    if not at or not LOCAL.match(local):
        raise NodeError(f"{key}: {shown!r} is no e-mail address; it looks like Shop <shop@example.com>", True)
    return Mailbox(name, sound(local), _domain(domain, key))


def _shown_name(written: str, key: str) -> str:
    """The name that stands before an address, without its quotation marks."""
    shown = written[:50]
    if len(written) > 2 * LONGEST_NAME + 2:  # each character may have a backslash before it
        raise _too_long(shown, key)
    quoted = written[1:-1] if len(written) > 1 and written[0] == written[-1] == '"' else None
    name = written if quoted is None else _unescaped(quoted)
    if name is None or (quoted is None and not {*'"<>@'}.isdisjoint(name)):
        raise NodeError(f'{key}: the name {shown!r} has to stand in quotation marks: "Shop" <shop@example.com>', True)
    if len(name) > LONGEST_NAME:
        raise _too_long(shown, key)
    return sound(name.strip())


def _too_long(shown: str, key: str) -> NodeError:
    return NodeError(f"{key}: the name {shown!r}… has more than {LONGEST_NAME} characters", permanent=True)


def _unescaped(text: str) -> str | None:
    """The text between two quotation marks without its backslashes; None if one of the marks ends it before."""
    letters, is_escaped = "", False
    for letter in text:
        if not is_escaped and letter in '"\\':
            if letter == '"':
                return None
            is_escaped = True
        else:
            letters, is_escaped = letters + letter, False
    return None if is_escaped else letters


def _domain(text: str, key: str) -> str:
    """The domain in ASCII (IDNA 2008), in lower case."""
    import idna

    try:
        made = text.lower() if text.isascii() else idna.encode(text, uts46=True).decode("ascii")
    except idna.IDNAError:
        made = ""
    if not DOMAIN.match(made):
        raise NodeError(f"{key}: {text[:100]!r} is no domain of an e-mail address", permanent=True)
    return made


def sound(text: str) -> str:
    """Text without half characters, which no encoding has."""
    return text.encode("utf-8", "replace").decode()


class Attachment(NamedTuple):
    """A file that goes with a message; `content_type` is `type/subtype`, `is_text` where it is known to be UTF-8."""

    name: str
    content_type: str
    content: bytes
    is_text: bool = False


def attachments(value: Any, files: Files | None, most: int = MAX_BYTES) -> list[Attachment]:
    """What a list of paths, file objects and `{"name", "content"}` stands for, with `most` bytes altogether.

    Nothing is read beyond that. NodeError names the entry.
    """
    entries = value if isinstance(value, list) else [value]
    if len(entries) > MAX_ATTACHMENTS:
        raise NodeError(f"attachments: there are {len(entries)}; at most {MAX_ATTACHMENTS} are allowed", True)
    found: list[Attachment] = []
    for number, entry in enumerate(entries):
        key = f"attachments[{number}]"
        made = _attachment({"path": entry} if isinstance(entry, str) else entry, key, files, most)
        most -= len(made.content)
        found.append(made)
    return found


def _attachment(entry: Any, key: str, files: Files | None, room: int) -> Attachment:
    if not isinstance(entry, dict) or not isinstance(entry.get("path", entry.get("content")), str):
        text = 'must be the path of a file, a file such as {"path": …} or {"name": …, "content": text}'
        raise NodeError(f"{key}: {text}", permanent=True)
    written = str(entry.get("content", "")).encode("utf-8", "replace")
    content = _read(files, entry["path"], key, room) if "path" in entry else written
    if len(content) > room:
        raise NodeError(f"{key}: the attachments have more than the {MAX_BYTES} bytes that are allowed", True)
    name, is_text = _name(entry.get("name") or entry.get("path"), key), "path" not in entry
    return Attachment(name, _content_type(entry.get("content_type"), name, key, is_text), content, is_text)


def _read(files: Files | None, path: str, key: str, room: int) -> bytes:
    if files is None:
        raise NodeError("there are no files here", permanent=True)
    try:
        with files.reading(path) as file:
            return file.read(room + 1)
    except NodeError as error:
        raise NodeError(f"{key}: {error.message}", error.permanent) from None


def _name(given: Any, key: str) -> str:
    """The last part of a name: what comes before it is nobody's business, and a trap where it is saved."""
    if not isinstance(given, str):
        raise NodeError(f"{key}: needs a name", permanent=True)
    check_line(given, f"{key}.name")
    name = sound(re.split(r"[/\\]", given)[-1]).strip()
    if name in ("", ".", "..") or len(name) > 200:
        raise NodeError(f"{key}: {given[:100]!r} is no name of a file", permanent=True)
    return name


def _content_type(given: Any, name: str, key: str, is_text: bool) -> str:
    guessed = mimetypes.guess_type(name)[0] or ("text/plain" if is_text else "application/octet-stream")
    made = str(given).partition(";")[0].strip().lower() if given else guessed
    if not MEDIA.match(made):
        raise NodeError(f"{key}: {str(given)[:100]!r} is no content type such as application/pdf", permanent=True)
    # These have a structure of their own, which may not be wrapped as a file is.
    return "application/octet-stream" if made.startswith(("multipart/", "message/")) else made


@dataclass(frozen=True, slots=True)
class Letter:
    """What is written: `body` is text, `html` the same for those who see it; `key` is the same at every attempt."""

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
        """NodeError unless it goes to somebody, and to no more than MAX_RECIPIENTS, under a sound subject."""
        number = len(self.recipients)
        if not number:
            raise NodeError("to: there is nobody to write to", permanent=True)
        if number > MAX_RECIPIENTS:
            raise NodeError(f"to: there are {number} recipients; at most {MAX_RECIPIENTS} are allowed", permanent=True)
        check_line(self.subject, "subject")

    @property
    def message_id(self) -> str:
        """The same at every attempt, so that who gets it twice can tell."""
        return f"<{hashlib.sha256(self.key.encode()).hexdigest()[:40]}@{self.sender.domain}>"

    @property
    def recipients(self) -> list[str]:
        """Who gets it, each once."""
        return list(dict.fromkeys(each.address for each in (*self.to, *self.cc, *self.bcc)))

    @property
    def is_international(self) -> bool:
        """Whether an address has characters that only SMTPUTF8 (RFC 6531) carries."""
        known = (self.sender, *self.to, *self.cc, *self.bcc, *self.reply_to)
        return not all(each.local.isascii() for each in known)

    def encoded(self) -> bytes:
        """The message, as it goes over the wire. NodeError where it is larger than any server takes."""
        made = "".join(self._headers()).encode() + self._content().as_bytes()
        if len(made) > MAX_BYTES:
            raise NodeError(f"the message has {len(made)} bytes; at most {MAX_BYTES} are allowed", permanent=True)
        return made

    def _headers(self) -> Iterator[str]:
        for name, known in (("From", [self.sender]), ("To", self.to), ("Cc", self.cc), ("Reply-To", self.reply_to)):
            if known:
                yield f"{name}: " + ",\r\n ".join(each.header for each in known) + "\r\n"
        yield f"Subject: {encoded_line(sound(self.subject), 'Subject')}\r\n"
        yield f"Date: {format_datetime(datetime.now(UTC))}\r\n"
        yield f"Message-ID: {self.message_id}\r\n"
        # So that nothing which answers by itself answers this (RFC 3834).
        yield "Auto-Submitted: auto-generated\r\n"

    def _content(self) -> EmailMessage:
        from email.policy import SMTP

        message = EmailMessage(SMTP.clone(cte_type="7bit"))
        body, html = sound(self.body), sound(self.html)
        if body or not html:
            message.set_content(body)
        if html and body:
            message.add_alternative(html, subtype="html")
        elif html:
            message.set_content(html, subtype="html")
        for each in self.attachments:
            main, _, sub = each.content_type.partition("/")
            params = {"charset": "utf-8"} if each.is_text and main == "text" else None
            message.add_attachment(each.content, maintype=main, subtype=sub, filename=each.name, params=params)
        return message


def encoded_line(text: str, header: str) -> str:
    """Text as it stands in a header, over several lines where it is long."""
    charset = "us-ascii" if not text or PLAIN.match(text) else "utf-8"
    return Header(text, charset, header_name=header).encode(linesep="\r\n")


def texts_of(attached: Any) -> Iterable[str]:
    """What was written in attachments, as they are given."""
    for entry in attached if isinstance(attached, list) else [attached]:
        yield from (str(value) for value in entry.values()) if isinstance(entry, dict) else [str(entry)]
