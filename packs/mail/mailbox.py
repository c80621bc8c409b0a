"""Mailbox: a trigger that starts a run for each new mail of a folder, each poll of it, and the IMAP session."""

from __future__ import annotations

import functools
import hashlib
import re
import ssl
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple, TypeVar

from errors import LimitExceeded, NodeError, TimedOut
from fields import Schema
from net.library_sockets import dial
from nodes.base import Context, Item, Polled
from nodes.core.triggers import TriggerNode
from nodes.credentials.keyring import DecryptedCredential
from nodes.credentials.types import checks
from nodes.fields import credential, flag, header_value, line, number
from packs.mail.servers import MailToken, TooMuchData, Wire, find_token
from parsers.process import Reader, Unreadable

EXAMPLE = {
    "uid": 7,
    "message_id": "<1@example.com>",
    "from": {"name": "Ada", "address": "ada@example.com"},
    "to": [{"name": "", "address": "orders@example.org"}],
    "cc": [],
    "subject": "An order",
    "date": "2026-03-02T12:00:00Z",
    "text": "Two of them, please",
    "html": "",
    "headers": {"reply-to": "ada@example.com"},
    "attachments": [
        {"path": "mail/wf_1/new/1-7/1-order.pdf", "name": "order.pdf", "size": 812, "content_type": "application/pdf"}
    ],
    "size": 2_048,
    "note": None,
}


class EmailTrigger(TriggerNode):
    """Starts a run for each new mail in a folder, with the mail as input and its attachments as files."""

    type = "email_trigger"
    title = "New mail"
    icon = "inbox"
    also = ("email trigger", "imap", "gmail trigger", "inbox", "outlook")
    polls = True
    source = ("credential", "folder")
    examples = ({"config": {"credential": "orders mailbox"}, "input": EXAMPLE, "output": EXAMPLE},)

    class Config(Schema):
        credential = credential("The credential of the mailbox", "imap", required=True, title="Credential")
        folder = line(
            "The folder to watch: INBOX, Orders/New", header_value, most=500, load_default="INBOX", title="Folder"
        )
        every = number("Seconds between two checks", 10, 366 * 86_400, load_default=60.0, title="Interval (seconds)")
        mark_seen = flag("Mark a mail as read after its run has started", True, title="Mark as read")
        backlog = flag("Also start runs for mails that exist at the first check", False, title="Include existing mails")
        attachments = flag("Save attachments as files in mail/", True, title="Save attachments")

    def poll(self, config: dict[str, Any], state: Any, ctx: Context) -> Polled:
        return poll_folder(config, state, ctx)


@checks("imap")
def try_mailbox(found: DecryptedCredential, ctx: Context, asked: Mapping[str, Any]) -> str:
    """Log in and count the folders."""
    ctx.deadline = time.monotonic() + ctx.seconds_left(15)
    with session(found, ctx) as server:
        count = server.folder_count()
    return f"logged in as {found.data['username']}; {count} folder{'' if count == 1 else 's'}"


# One poll of a folder: the new mails since the last poll, each with its attachments as files

MAX_MAIL = 25 * 2**20  # bytes; only the headers of a larger mail are read
READ_SECONDS = 20.0  # for one mail
MAX_BATCH, MAX_BATCH_BYTES, RESERVED_SECONDS = 50, 40 * 2**20, 40.0
MAX_EXISTING = 1_000  # existing mails whose keys are recorded by the first poll
MAX_SAVED_ATTACHMENTS = 50
UNSAFE_CHARACTERS = re.compile(r"[^\w.() -]+|^[. ]+")
EMPTY_MAIL: dict[str, Any] = {
    "message_id": "", "from": None, "to": [], "cc": [], "subject": "", "date": None, "text": "", "html": "",
    "headers": {}, "attachments": [],
}  # fmt: skip
TOO_LARGE = f"the mail has more than {MAX_MAIL} bytes, so only its headers were read"
TRUNCATED = f"the mail is truncated after {MAX_MAIL} bytes; the server reported a smaller size"


class FolderProgress(NamedTuple):
    """Progress in a folder: read up to the UID `uid` of `validity` (UIDVALIDITY).

    `marks` are mails that must still be marked as seen; their runs are on disk. `arrived` is the time of the newest
    mail in seconds since 1970. If the server renumbers all mails, the poll reads again the mails that arrived at
    `since` or later, up to the UID `until`; their keys show which of them had a run. `told`: a refusal to mark a mail
    was logged.
    """

    validity: int
    uid: int
    arrived: int = 0
    marks: tuple[int, ...] = ()
    since: int | None = None
    until: int | None = None
    told: bool = False

    def after_mail(self, uid: int, arrived: int | None, marked: bool) -> FolderProgress:
        """Return the place after this mail."""
        marks = (*self.marks, uid) if marked else self.marks
        return self._replace(uid=uid, arrived=max(self.arrived, arrived or 0), marks=marks)

    def after_reading_again(self) -> FolderProgress:
        """Return the place after everything has been read again."""
        if self.until is None:
            return self
        return self._replace(uid=max(self.uid, self.until), since=None, until=None)


def poll_folder(config: dict[str, Any], state: Any, ctx: Context) -> Polled:
    """Return the new mails of the folder since this state of the last poll; None: at the first poll."""
    found = ctx.credential(config["credential"], "imap")
    place = None if state is None else FolderProgress(**{**state, "marks": tuple(state["marks"])})
    with session(found, ctx) as server, Reader("packs.mail.mail") as reader:
        return FolderPoll(config, ctx, server, reader).poll_since(place)


class FolderPoll:
    """One poll of a folder."""

    def __init__(self, config: dict[str, Any], ctx: Context, server: ImapSession, reader: Reader) -> None:
        self.config, self.ctx, self.server, self.reader = config, ctx, server, reader
        self.folder = f"mail/{ctx.scope['workflow']['id']}/{ctx.node_id}"

    def poll_since(self, before: FolderProgress | None) -> Polled:
        """Return the new mails since `before`; for a new folder, the mails known from the start."""
        marks = before.marks if before is not None and self.config["mark_seen"] else ()
        validity, following, count = self.server.open_folder(self.config["folder"], to_mark=bool(marks))
        if before is None:
            return (
                self._read_new(FolderProgress(validity, 0))
                if self.config["backlog"]
                else self._record_existing(validity, following, count)
            )
        if before.validity == validity and before.uid < following:
            # The runs of these mails are on disk: mark them as seen. If that is not permitted, warn once and continue.
            allowed = not marks or self.server.mark_seen(marks)
            if not allowed and not before.told:
                text = f"mails in {self.config['folder']} cannot be marked as seen: the folder is read-only"
                self.ctx.log("warning", text)
            return self._read_new(before._replace(marks=(), told=before.told if not marks else not allowed))
        self.ctx.log("info", f"the server has renumbered the mails of {self.config['folder']}")
        since = before.arrived if before.since is None else before.since
        return self._read_new(
            FolderProgress(validity, 0, before.arrived, since=since, until=following - 1, told=before.told)
        )

    def _record_existing(self, validity: int, following: int, count: int) -> Polled:
        """Record existing mails without runs. Mails arriving meanwhile are left for the next poll."""
        known = [about for about in self.server.newest(MAX_EXISTING, count) if about.uid < following]
        arrived = max((about.arrived or 0 for about in known), default=0)
        return Polled(
            [Item(about.key, None) for about in known], FolderProgress(validity, following - 1, arrived)._asdict()
        )

    def _read_new(self, place: FolderProgress) -> Polled:
        """Return the mails after this place, oldest first, as many as fit into one poll."""
        uids = self.server.uids(place.uid, place.since)
        if place.until is not None:
            uids = [uid for uid in uids if uid <= place.until]
        items: list[Item] = []
        size = 0
        batch = uids[:MAX_BATCH]
        described = {about.uid: about for about in self.server.about(batch)}
        for uid in batch:
            if items and (size > MAX_BATCH_BYTES or self.ctx.seconds_left(2 * RESERVED_SECONDS) < RESERVED_SECONDS):
                break
            about = described.get(uid)
            try:
                value = None if about is None else self._read_mail(about, place.validity)
            except Late:
                if not items:
                    raise
                break
            if about is None or value is None:  # just deleted
                place = place._replace(uid=uid)
                continue
            items.append(Item(about.key, value))
            size += about.size
            place = place.after_mail(uid, about.arrived, self.config["mark_seen"])
        more = bool(uids) and place.uid < uids[-1]
        # The next poll marks these mails as seen, because only then their runs are certainly on disk.
        return Polled(items, (place if more else place.after_reading_again())._asdict(), more=more or bool(place.marks))

    def _read_mail(self, about: About, validity: int) -> dict[str, Any] | None:
        is_large = about.size > MAX_MAIL
        content = self.server.content(about.uid, headers_only=is_large)
        if content is None:
            return None
        most = MAX_SAVED_ATTACHMENTS if not is_large else 0
        try:
            seconds = self.ctx.seconds_left(READ_SECONDS)
            mail, pieces = self.reader.read({"attachments": most}, content, seconds)
        except Unreadable as error:
            mail, pieces = {**EMPTY_MAIL, "note": error.message}, []
        for place, (attachment, piece) in enumerate(zip(mail["attachments"], pieces, strict=True), start=1):
            path = f"{self.folder}/{validity}-{about.uid}/{place}-{safe_name(attachment['name'])}"
            attachment.update(self._save(path, piece) if self.config["attachments"] else {"path": None})
        notes = [TOO_LARGE] if is_large else [TRUNCATED] if len(content) == MAX_MAIL else []
        note = "; ".join([*notes, *([mail["note"]] if mail["note"] else [])]) or None
        return {**mail, "uid": about.uid, "size": about.size, "note": note}

    def _save(self, path: str, piece: bytes) -> dict[str, Any]:
        """Write an attachment; return its path, or why it has none. Raises: NodeError on a transient failure."""
        try:
            self.ctx.need_files().write(path, piece)
        except NodeError as error:
            if not error.permanent:
                raise
            return {"path": None, "note": error.message}
        return {"path": path}


def safe_name(name: str) -> str:
    """Return a safe, non-empty file name of letters, digits and a few signs, with its extension."""
    kept = UNSAFE_CHARACTERS.sub("_", name).strip("_ ")
    stem, dot, ending = kept.rpartition(".")
    if dot and len(ending) <= 10:
        return f"{stem[:40]}.{ending}" if stem else f"file.{ending}"
    return kept[:50] or "file"


# IMAP session, over a connection with a deadline, by imaplib and imap-tools

T = TypeVar("T")
SESSION_SECONDS = 100.0
MAX_HEADERS = 256 * 1024
MAX_LINE, MAX_LINES, MAX_BYTES = 10 * 2**20, 200_000, 120 * 2**20
# Identifies a mail across folders, and after the server has renumbered all mails.
MARK = "BODY.PEEK[HEADER.FIELDS (MESSAGE-ID DATE FROM SUBJECT)]"
ABOUT = f"(UID RFC822.SIZE INTERNALDATE {MARK})"
UID, SIZE = re.compile(rb"UID (\d{1,10})"), re.compile(rb"RFC822\.SIZE (\d{1,19})")
ARRIVED = re.compile(rb'INTERNALDATE "([^"]{1,40})"')
HAS_ID = re.compile(rb"^message-id:\s*\S", re.IGNORECASE | re.MULTILINE)
MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")


class Late(TimedOut):
    """The server did not answer in time."""


@functools.cache
def _classes() -> tuple[Any, Any]:
    """Return the client and mailbox classes, made at first use because their bases are slow to import."""
    import imaplib

    from imap_tools import BaseMailBox

    class ImapClient(imaplib.IMAP4):
        """A client over an existing wire, with limits on the data that it reads."""

        def __init__(self, wire: Wire) -> None:
            self.wire, self.reader, self.bytes_read, self.lines = wire, wire.makefile("rb"), 0, 0
            super().__init__()

        def open(self, host: str = "", port: int = 143, timeout: float | None = None) -> None:
            self.host, self.port = host, port

        def read(self, size: int) -> bytes:
            if size > MAX_MAIL + MAX_HEADERS:
                raise NodeError("the server sent more data than requested", permanent=True)
            data = self.reader.read(size)
            self.bytes_read += len(data)
            return data

        def readline(self) -> bytes:
            line = self.reader.readline(MAX_LINE + 1)
            self.bytes_read, self.lines = self.bytes_read + len(line), self.lines + 1
            if len(line) > MAX_LINE:
                raise LimitExceeded(f"the server sent a line of more than {MAX_LINE:,} bytes")
            if self.lines > MAX_LINES:
                raise LimitExceeded(f"the server sent more than {MAX_LINES:,} lines")
            return line

        def send(self, data: Any) -> None:
            self.wire.sendall(data)

        def shutdown(self) -> None:
            self.wire.close()

        def secure(self, context: ssl.SSLContext, host: str) -> None:
            """Start TLS. Rejects a server that skips it (PREAUTH): it may be an attacker in between."""
            answer, text = self._simple_command("STARTTLS")
            if answer != "OK":
                raise self.error(f"STARTTLS was rejected: {text}")
            if self.wire.received > self.bytes_read:
                raise NodeError("the server sent data before TLS was started", permanent=True)
            self.wire.start_tls(context, host)
            self._get_capabilities()

    class Box(BaseMailBox):
        """A mailbox over this client."""

        def __init__(self, client: ImapClient) -> None:
            self._given = client
            super().__init__()

        def _get_mailbox_client(self) -> ImapClient:
            return self._given

    return ImapClient, Box


@contextmanager
def session(found: DecryptedCredential, ctx: Context) -> Iterator[ImapSession]:
    """Open a session, logged in with the credential. Raises: NodeError naming the host if anything fails."""
    host, port, security = str(found.data["host"]), int(found.data["port"]), found.data["security"]
    found.check_host(host)
    token = find_token(found, ctx)
    seconds, services = ctx.seconds_left(SESSION_SECONDS), ctx.need_services()
    end = time.monotonic() + seconds
    wire = Wire(dial(services.egress, host, port, seconds), end, MAX_BYTES)
    where = f"{host}:{port}"
    try:
        with _errors(where):
            context = services.tls("imap")
            client_of, box_of = _classes()
            if security == "tls":
                wire.start_tls(context, host)
            client = client_of(wire)
            if security == "starttls":
                client.secure(context, host)
            box = box_of(client)
            _log_in(box, found, token)
        opened = ImapSession(box, where)
        yield opened
        opened.log_out()
    finally:
        wire.close()


def _log_in(box: Any, found: DecryptedCredential, token: MailToken | None) -> None:
    if token is None:
        username, password = found.data["username"], found.data["password"]
        log_in = box.login if (username + password).isascii() else box.login_utf8
        log_in(username, password, initial_folder=None)
        return
    client = box.client
    # Once more with another token if the server refuses the first.
    for is_last in (False, True):
        login = token.make_login().encode()
        try:
            # The second challenge has the reasons of a refusal, which an empty answer confirms.
            client.authenticate("XOAUTH2", lambda challenge, login=login: b"" if challenge else login)
            return
        except client.abort:
            raise
        except client.error as error:
            if not token.renew(is_last):
                raise NodeError(
                    f"the access token was rejected: {_message_of(error)}", True, kind="credential"
                ) from None


@contextmanager
def _errors(where: str) -> Iterator[None]:
    import imaplib

    from imap_tools.errors import ImapToolsError, MailboxLoginError

    try:
        yield
    except MailboxLoginError as error:
        raise NodeError(f"{where}: the login was rejected: {_message_of(error)}", True, kind="credential") from None
    except ssl.SSLCertVerificationError as error:
        raise NodeError(f"{where}: the certificate is not trusted: {error.verify_message}") from None
    except TimeoutError:
        raise Late(f"{where}: timed out waiting for the server's answer") from None
    except TooMuchData as error:
        raise LimitExceeded(f"{where}: {error}") from None
    except (OSError, imaplib.IMAP4.error, ImapToolsError, ValueError, LookupError) as error:
        raise NodeError(f"{where}: {_message_of(error)}") from None
    except NodeError as error:
        raise error.at(where) from None


def _message_of(error: Exception) -> str:
    """Return the server's text, or else the error's."""
    result = getattr(error, "command_result", None)
    if result is not None and isinstance(result[1], list):
        said = [part.decode("utf-8", "replace") for part in result[1] if isinstance(part, bytes)]
        return " ".join(said)[:300] or str(result[0])
    return (str(error) or type(error).__name__)[:300]


def _convert_errors(method: Callable[..., T]) -> Callable[..., T]:
    """Decorate a method to convert its errors to readable NodeErrors."""

    @functools.wraps(method)
    def call(self: ImapSession, *args: Any, **options: Any) -> T:
        with _errors(self.where):
            return method(self, *args, **options)

    return call


class About(NamedTuple):
    """Data about a mail without its content. `arrived` is in seconds since 1970, None if unknown."""

    uid: int
    size: int
    arrived: int | None
    key: str


class ImapSession:
    """Operations on a mailbox. Reading does not mark mails as seen. Every NodeError names the server, `where`."""

    def __init__(self, box: Any, where: str) -> None:
        self.box, self.client, self.where = box, box.client, where
        self.is_readonly = True

    @_convert_errors
    def open_folder(self, folder: str, to_mark: bool) -> tuple[int, int, int]:
        """Open the folder; return its UIDVALIDITY, its UIDNEXT, and its number of mails."""
        import imaplib

        status = self.box.folder.status(folder, ("UIDVALIDITY", "UIDNEXT"))
        try:
            self.box.folder.set(folder, readonly=not to_mark)
            self.is_readonly = not to_mark
        except imaplib.IMAP4.readonly:
            self.box.folder.set(folder, readonly=True)
        _, count = self.client.response("EXISTS")
        if "UIDVALIDITY" not in status or "UIDNEXT" not in status:
            raise NodeError("the server does not number its mails (UIDVALIDITY, UIDNEXT)")
        return status["UIDVALIDITY"], status["UIDNEXT"], int((count or [b"0"])[-1] or 0)

    @_convert_errors
    def uids(self, after: int, since: int | None = None) -> list[int]:
        """Return the sorted UIDs greater than `after`; with `since`, only of mails that arrived after a day before
        that time.
        """
        words = f"UID {after + 1}:*"
        if since is not None:
            day = datetime.fromtimestamp(since, UTC) - timedelta(days=1)
            words += f" SINCE {day.day}-{MONTHS[day.month - 1].title()}-{day.year}"
        # If there are none, `*` is the last existing mail, whatever its UID.
        return sorted({int(uid) for uid in self.box.uids(words, charset=None) if int(uid) > after})

    @_convert_errors
    def about(self, uids: Sequence[int]) -> list[About]:
        """Return data about these mails, except deleted ones."""
        return self._about(self.client.uid("FETCH", ",".join(map(str, uids)), ABOUT)) if uids else []

    @_convert_errors
    def newest(self, count: int, of: int) -> list[About]:
        """Return data about the last `count` mails of the folder, which has `of` mails."""
        return self._about(self.client.fetch(f"{max(1, of - count + 1)}:{of}", ABOUT)) if of else []

    def _about(self, answer: tuple[str, list[Any]]) -> list[About]:
        self._check(answer)
        found = [about_of(head, text) for head, text in _with_text(answer[1])]
        return sorted((about for about in found if about is not None), key=lambda about: about.uid)

    @_convert_errors
    def content(self, uid: int, headers_only: bool) -> bytes | None:
        """Return the whole mail or its headers; None if it was deleted."""
        part = f"BODY.PEEK[HEADER]<0.{MAX_HEADERS}>" if headers_only else f"BODY.PEEK[]<0.{MAX_MAIL}>"
        answer = self.client.uid("FETCH", str(uid), f"(UID {part})")
        self._check(answer)
        return next((text for _, text in _with_text(answer[1])), None)

    @_convert_errors
    def mark_seen(self, uids: Sequence[int]) -> bool:
        """Mark the mails as seen. Return False if that is not permitted.

        Not by imap-tools, whose method would also expunge mails that somebody has marked as deleted.
        """
        if self.is_readonly:
            return False
        answer = self.client.uid("STORE", ",".join(map(str, uids)), "+FLAGS.SILENT", r"(\Seen)")
        return bool(answer[0] == "OK")

    @_convert_errors
    def folder_count(self) -> int:
        """Return the number of folders."""
        answer = self.client.list()
        self._check(answer)
        return sum(item is not None for item in answer[1])

    def log_out(self) -> None:
        """Log out, ignoring errors: the work is done."""
        import imaplib

        from imap_tools.errors import ImapToolsError

        with suppress(OSError, imaplib.IMAP4.error, ImapToolsError, NodeError):
            self.box.logout()

    @staticmethod
    def _check(answer: tuple[str, Any]) -> None:
        if answer[0] != "OK":
            raise ValueError(
                b" ".join(part for part in answer[1] if isinstance(part, bytes)).decode("utf-8", "replace")
            )


def _with_text(data: Sequence[Any]) -> list[tuple[bytes, bytes]]:
    """Return imaplib's FETCH responses by mail: the metadata in one piece, and the literal."""
    found: list[tuple[bytes, bytes]] = []
    for part in data:
        if isinstance(part, tuple):
            found.append((part[0], part[1]))
        elif found and isinstance(part, bytes):
            head, text = found[-1]
            found[-1] = (head + part, text)
    return found


def about_of(head: bytes, text: bytes) -> About | None:
    """Return the data about a mail in a FETCH response; None for another response."""
    uid, size, arrived = (pattern.search(head[:2_000]) for pattern in (UID, SIZE, ARRIVED))
    if uid is None:
        return None
    marks = [b" ".join(text[:MAX_HEADERS].split())]
    if not HAS_ID.search(text):
        marks += [found[1] for found in (size, arrived) if found]
    key = hashlib.sha256(b"\n".join(marks)).hexdigest()
    return About(int(uid[1]), int(size[1]) if size else 0, _seconds(arrived[1].decode()) if arrived else None, key)


def _seconds(text: str) -> int | None:
    """Parse ` 2-Mar-2026 12:00:00 +0100` to seconds since 1970."""
    try:
        day, clock, zone = text.split()
        number, month, year = day.split("-")
        hour, minute, second = clock.split(":")
        at = datetime(int(year), MONTHS.index(month.lower()) + 1, int(number), int(hour), int(minute), int(second))
        offset = timedelta(hours=int(zone[:3]), minutes=int(zone[0] + zone[3:]))
        return int((at.replace(tzinfo=UTC) - offset).timestamp())
    except (ValueError, IndexError, OverflowError):
        return None
