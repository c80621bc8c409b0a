"""The nodes that tell people something: by mail, and by a hundred other services."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from marshmallow import Schema, validate

from errors import NodeError
from nodes.base import Context, Node, setting
from nodes.credentials.keyring import Credential, Untested, checks
from nodes.fields import Number, anything, choice, credential, text
from nodes.mail import apprise_client, smtp
from nodes.mail.apprise_client import FORMATS, LEVELS, Notice
from nodes.mail.message import Letter, Mailbox, attachments, mailbox, mailboxes, texts_of

LONGEST = 60.0  # seconds for a notice
PEOPLE = "jane@example.com, Shop <shop@example.com>; text with commas or a list"
ATTACHED = 'Files: ["reports/today.csv"], {{ [steps.make] }}, [{"name": "a.txt", "content": "Hello"}]'


class Email(Node):
    """Sends a mail through an SMTP server, as text, as HTML or as both, with files if need be."""

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
        credential = credential("The server to send it through", "smtp", required=True)
        to = anything(f"To whom: {PEOPLE}")
        cc = anything("Who gets a copy, as all can see")
        bcc = anything("Who gets a copy, as nobody can see")
        reply_to = anything("Who is to get the answers, where that is not the sender")
        subject = text("The subject", most=1_000, load_default="")
        body = text("The message as text", load_default="", lines="")
        html = text("The message as HTML; with body too, readers choose", load_default="", lines="html")
        attachments = anything(ATTACHED)
        timeout = setting(
            Number,
            "Seconds for the whole conversation with the server",
            literal=True,
            load_default=30.0,
            validate=validate.Range(0.1, 300),
        )

        class Meta:
            include = {"from": text("The sender; without it, the credential's sender or user name", most=1_000)}

    def run(self, config: dict[str, Any], input: Any, ctx: Context) -> Any:
        end = time.monotonic() + ctx.seconds_left(config["timeout"])
        server = ctx.credential(config["credential"], "smtp")
        attached = config.get("attachments") or []
        if ctx.keyring is not None:
            ctx.keyring.check_host(server.data["host"], [*_written(config), *texts_of(attached)])
        people = {key: mailboxes(config.get(key) or [], key) for key in ("to", "cc", "bcc", "reply_to")}
        letter = Letter(
            sender=_sender(config.get("from"), server),
            key=ctx.idempotency_key,
            subject=config["subject"],
            body=config["body"],
            html=config["html"],
            attachments=attachments(attached, ctx.files),
            **people,
        )
        letter.check()
        refused = _sent(letter, server, ctx, end)
        if refused:
            ctx.log(
                "warning", f"the mail server refused {len(refused)} of {len(letter.recipients)} recipients", refused
            )
        accepted = [address for address in letter.recipients if address not in refused]
        return {"message_id": letter.message_id, "accepted": accepted, "refused": refused}


def _written(config: Mapping[str, Any]) -> list[str]:
    """All that the config says, but for the attachments, in text."""
    values = [value for key, value in config.items() if key not in ("credential", "attachments", "timeout")]
    return [str(item) for value in values for item in (value if isinstance(value, list) else [value])]


def _sender(given: str | None, server: Credential) -> Mailbox:
    if given:
        return mailbox(given, "from")
    if server.data.get("sender"):
        return mailbox(server.data["sender"], "the credential's sender")
    username = server.data.get("username", "")
    if "@" not in username:
        raise NodeError("from: is required, since the credential names no sender", permanent=True)
    return mailbox(username, "the credential's user name")


def _sent(letter: Letter, server: Credential, ctx: Context, end: float) -> dict[str, str]:
    message = letter.encoded()
    left = end - time.monotonic()
    if left <= 0:
        raise NodeError("timed out before it could be sent")
    with smtp.logged_in(server, ctx.need_services(), left) as client:
        return smtp.send(client, letter.sender.address, letter.recipients, message, letter.is_international)


class Notify(Node):
    """Sends a message to Slack, Discord, Telegram, Teams, ntfy, Matrix, a phone or any other of a hundred services."""

    type = "notify"
    category = "integration"
    title = "Notification"
    icon = "bell"
    also = (
        "slack",
        "telegram",
        "discord",
        "teams",
        "chat",
        "message",
        "sms",
        "whatsapp",
        "mattermost",
        "rocket chat",
        "pushover",
        "alert",
        "send",
    )
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
        credential = credential("The address of the service", "service_url", required=True)
        title = text("What stands above the message", most=1_000, load_default="")
        message = text("The message; one that is too long for the service becomes several", required=True, lines="")
        format = choice("How the message is written; the service gets what it can show", FORMATS, load_default="text")
        level = choice("How it looks, where the service makes a difference", LEVELS, load_default="info")
        attachments = anything(ATTACHED)

    def run(self, config: dict[str, Any], input: Any, ctx: Context) -> Any:
        seconds = ctx.seconds_left(LONGEST)
        service = ctx.credential(config["credential"], "service_url")
        attached = config.get("attachments") or []
        notice = Notice(
            message=config["message"],
            title=config["title"],
            format=config["format"],
            level=config["level"],
            attachments=attachments(attached, ctx.files),
        )
        return {"service": apprise_client.send(service, notice, ctx, seconds, texts_of(attached))}


@checks("service_url")
def try_service(service: Credential, ctx: Context, asked: Mapping[str, Any]) -> str:
    """See which service the address is of, and send it a message where that is `asked` for: `{"send": true}`."""
    seconds = ctx.seconds_left(15)
    if asked.get("send") is not True:
        name = apprise_client.understood(service, ctx, seconds)
        raise Untested(f"The address is one of {name}. Only a test message shows whether it works")
    name = apprise_client.send(
        service, Notice("A test: what your flows have to say arrives here.", "Headrace"), ctx, seconds
    )
    return f"{name} took a test message"


@checks("smtp")
def try_mail_server(server: Credential, ctx: Context, asked: Mapping[str, Any]) -> str:
    """Connect, encrypt, log in, and do nothing."""
    with smtp.logged_in(server, ctx.need_services(), ctx.seconds_left(15)) as client:
        name = (client.ehlo_resp or client.helo_resp or b"").split(b"\n")[0].split(b" ")[0].decode("ascii", "replace")
        client.noop()
    who = f"{name[:100] or server.data['host']} answers"
    username = server.data.get("username")
    return f"{who}, and lets {username} in" if username else f"{who}; without a user name nobody logged in"
