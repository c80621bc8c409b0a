"""Sending nodes: mail, and notifications by a hundred other services."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from errors import NodeError, TimedOut
from fields import Schema
from nodes.base import Context, Node
from nodes.credentials.checks import Untested, checks
from nodes.credentials.keyring import DecryptedCredential
from nodes.fields import anything, choice, credential, number, text

if TYPE_CHECKING:
    from nodes.mail_message import Mailbox, Message

MAX_SECONDS = 60.0  # for a notice
PEOPLE = "jane@example.com, Shop <shop@example.com>, as text with commas or as a list"
ATTACHED = 'Files: ["reports/today.csv"], {{ [steps.make] }}, [{"name": "a.txt", "content": "Hello"}]'


class EmailNode(Node):
    """Sends a mail through an SMTP server, as text, HTML or both, with optional attachments."""

    type = "email"
    category = "integration"
    title = "E-mail"
    icon = "mail"
    also = ("send email", "gmail", "smtp", "outlook", "mail")
    pure = False
    examples = (
        {
            "config": {
                "credential": "mail",
                "to": "{{ input.email }}",
                "subject": "Order {{ input.id }}",
                "body": "Dear {{ input.name }},\n\nthank you. The bill is attached.",
                "attachments": ["bills/{{ input.id }}.pdf"],
            },
            "input": {"id": 17, "name": "Ada", "email": "ada@example.com"},
            "output": {"message_id": "<5f0c…@example.com>", "accepted": ["ada@example.com"], "refused": {}},
        },
    )

    class Config(Schema):
        credential = credential("The SMTP server that sends the mail", "smtp", required=True, title="Credential")
        to = anything(f"Recipients: {PEOPLE}", title="To")
        cc = anything("Recipients of a copy, visible to all", title="Cc")
        bcc = anything("Recipients of a copy, invisible to others", title="Bcc")
        reply_to = anything("The address for replies. Default: the sender", title="Reply to")
        subject = text("The subject", most=1_000, load_default="", title="Subject")
        body = text("The message as text", load_default="", lines="", title="Text")
        html = text(
            "The message as HTML. With text too, the reader's mail program chooses",
            load_default="",
            lines="html",
            title="HTML",
        )
        attachments = anything(ATTACHED, title="Attachments", names="files")
        timeout = number(
            "Seconds for the whole exchange with the server", 0.1, 300, load_default=30.0, title="Timeout (seconds)"
        )

        class Meta:
            include = {
                "from": text("The sender. Default: the credential's sender or user name", title="From", most=1_000)
            }

    def run(self, config: dict[str, Any], input: Any, ctx: Context) -> Any:
        from nodes.mail_message import Message, attachments, get_texts, parse_mailboxes

        end = time.monotonic() + ctx.seconds_left(config["timeout"])
        server = ctx.credential(config["credential"], "smtp")
        attached = config.get("attachments") or []
        ctx.check_secrets(server.data["host"], [*_written(config), *get_texts(attached)])
        people = {key: parse_mailboxes(config.get(key) or [], key) for key in ("to", "cc", "bcc", "reply_to")}
        message = Message(
            sender=_sender(config.get("from"), server),
            key=ctx.idempotency_key,
            subject=config["subject"],
            body=config["body"],
            html=config["html"],
            attachments=attachments(attached, ctx.files),
            **people,
        )
        message.check()
        refused = _send(message, server, ctx, end)
        if refused:
            text = f"the mail server rejected {len(refused)} of {len(message.recipients)} recipients"
            ctx.log("warning", text, refused)
        accepted = [address for address in message.recipients if address not in refused]
        return {"message_id": message.message_id, "accepted": accepted, "refused": refused}


def _written(config: Mapping[str, Any]) -> list[str]:
    """Return all text in the config, except attachments."""
    values = [value for key, value in config.items() if key not in ("credential", "attachments", "timeout")]
    return [str(item) for value in values for item in (value if isinstance(value, list) else [value])]


def _sender(given: str | None, server: DecryptedCredential) -> Mailbox:
    from nodes.mail_message import parse_mailbox

    if given:
        return parse_mailbox(given, "from")
    if server.data.get("sender"):
        return parse_mailbox(server.data["sender"], "the credential's sender")
    username = server.data.get("username", "")
    if "@" not in username:
        raise NodeError("from: is required, because the credential has no sender", permanent=True)
    return parse_mailbox(username, "the credential's user name")


def _send(message: Message, server: DecryptedCredential, ctx: Context, end: float) -> dict[str, str]:
    from packs.mail import smtp
    from packs.mail.xoauth2 import find_token

    encoded = message.encode()
    left = end - time.monotonic()
    if left <= 0:
        raise TimedOut("timed out before the mail was sent")
    with smtp.open_session(server, ctx.need_services(), left, find_token(server, ctx)) as client:
        return smtp.send(client, message.sender.address, message.recipients, encoded, message.is_international)


class Notify(Node):
    """Sends a message to Slack, Discord, Telegram, Teams, ntfy, Matrix, a phone or any of a hundred other services."""

    type = "notify"
    category = "integration"
    title = "Notification"
    icon = "bell"
    also = (
        "slack", "telegram", "discord", "teams", "chat", "message", "sms", "whatsapp", "mattermost", "rocket chat",
        "pushover", "alert", "send",
    )  # fmt: skip
    pure = False
    examples = (
        {
            "config": {
                "credential": "team chat",
                "title": "Backup failed",
                "message": "{{ input.host }} has no backup since **{{ input.since }}**.",
                "format": "markdown",
                "level": "failure",
            },
            "input": {"host": "db1", "since": "Monday"},
            "output": {"service": "Slack"},
        },
    )

    class Config(Schema):
        credential = credential("The service that sends the message", "service_url", required=True, title="Credential")
        title = text("The title above the message", most=1_000, load_default="", title="Title")
        message = text(
            "The message. One that is too long for the service is split", required=True, lines="", title="Message"
        )
        format = choice(
            "The format of the message; it is converted to what the service supports",
            {"text": "Text", "markdown": "Markdown", "html": "HTML"},
            load_default="text",
            title="Format",
        )
        level = choice(
            "The kind of message, if the service distinguishes them",
            {"info": "Info", "success": "Success", "warning": "Warning", "failure": "Failure"},
            load_default="info",
            title="Level",
        )
        attachments = anything(ATTACHED, title="Attachments", names="files")

    def run(self, config: dict[str, Any], input: Any, ctx: Context) -> Any:
        from nodes.mail_message import attachments, get_texts
        from packs.mail import apprise_client

        seconds = ctx.seconds_left(MAX_SECONDS)
        service = ctx.credential(config["credential"], "service_url")
        attached = config.get("attachments") or []
        loaded = attachments(attached, ctx.files)
        notice = apprise_client.Notice(config["message"], config["title"], config["format"], config["level"], loaded)
        return {"service": apprise_client.send(service, notice, ctx, seconds, get_texts(attached))}


@checks("service_url")
def try_service(service: DecryptedCredential, ctx: Context, asked: Mapping[str, Any]) -> str:
    """Check which service the URL is of, and send it a test message if `asked` is `{"send": true}`."""
    from packs.mail import apprise_client

    seconds = ctx.seconds_left(15)
    if asked.get("send") is not True:
        name = apprise_client.identify_service(service, ctx, seconds)
        raise Untested(f"The URL is valid for {name}. Send a test message to check that it works")
    notice = apprise_client.Notice("This is a test message. Notifications of your flows will arrive here.", "Headrace")
    name = apprise_client.send(service, notice, ctx, seconds)
    return f"{name} accepted the test message"


@checks("smtp")
def try_mail_server(server: DecryptedCredential, ctx: Context, asked: Mapping[str, Any]) -> str:
    """Connect, start TLS and log in, without sending anything."""
    from packs.mail import smtp
    from packs.mail.xoauth2 import find_token

    with smtp.open_session(server, ctx.need_services(), ctx.seconds_left(15), find_token(server, ctx)) as client:
        name = (client.ehlo_resp or client.helo_resp or b"").split(b"\n")[0].split(b" ")[0].decode("ascii", "replace")
        client.noop()
    who = f"{name[:100] or server.data['host']} answers"
    username = server.data.get("username")
    return f"{who}, and accepts the login of {username}" if username else f"{who}; the login was not tested"
