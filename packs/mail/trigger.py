"""Mail trigger: starts a run for each new mail of a folder (folder_poll.py)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fields import Schema
from nodes.base import Context, Polled
from nodes.core.triggers import TriggerNode
from nodes.credentials.checks import checks
from nodes.credentials.keyring import DecryptedCredential
from nodes.fields import credential, flag, header_value, line, number

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
        mark_seen = flag("Whether a mail is marked as read after its run has started", True, title="Mark as read")
        backlog = flag(
            "Whether mails that exist at the first check also start runs", False, title="Include existing mails"
        )
        attachments = flag("Whether to save attachments as files in mail/", True, title="Save attachments")

    def poll(self, config: dict[str, Any], state: Any, ctx: Context) -> Polled:
        from packs.mail.folder_poll import poll_folder

        return poll_folder(config, state, ctx)


@checks("imap")
def try_mailbox(found: DecryptedCredential, ctx: Context, asked: Mapping[str, Any]) -> str:
    """Log in and count the folders."""
    from packs.mail.imap import check

    return check(found, ctx)
