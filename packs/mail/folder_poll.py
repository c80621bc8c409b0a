"""One poll of a mail folder: the new mails since the last poll, each with its attachments as files."""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from errors import NodeError
from nodes.base import Context, Item, Polled
from packs.mail.imap import MAX_MAIL, About, ImapSession, Late, session
from parsers.process import Reader, Unreadable

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
            return self._read_new(self._mark(before, marks))
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

    def _mark(self, place: FolderProgress, marks: tuple[int, ...]) -> FolderProgress:
        """Mark these mails, whose runs are on disk, as seen; return the new place. If that is not permitted, warn once
        and continue.
        """
        allowed = not marks or self.server.mark_seen(marks)
        if not allowed and not place.told:
            text = f"mails in {self.config['folder']} cannot be marked as seen: the folder is read-only"
            self.ctx.log("warning", text)
        return place._replace(marks=(), told=place.told if not marks else not allowed)

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
