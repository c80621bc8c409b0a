"""Sending: nodes for mail and for notices by a hundred services, the SMTP client, and mail of the server itself."""

from __future__ import annotations

import base64
import logging
import re
import ssl
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from config import Config
from errors import NodeError, TimedOut
from fields import Schema
from net.egress import Rule
from net.library_sockets import dial
from nodes.base import Context, Node, Services
from nodes.credentials.keyring import DecryptedCredential
from nodes.credentials.types import Untested, checks
from nodes.fields import anything, choice, credential, number, text
from packs.mail import apprise_client
from packs.mail.message import Mailbox, Message, attachments, get_texts, parse_mailbox, parse_mailboxes
from packs.mail.servers import MailToken, Wire, find_token, refusal

if TYPE_CHECKING:
    from smtplib import SMTP


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
        end = time.monotonic() + ctx.seconds_left(config["timeout"])
        server = ctx.credential(config["credential"], "smtp")
        attached = config.get("attachments") or []
        values = [value for key, value in config.items() if key not in ("credential", "attachments", "timeout")]
        texts = [str(item) for value in values for item in (value if isinstance(value, list) else [value])]
        ctx.check_secrets(server.data["host"], [*texts, *get_texts(attached)])
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


def _sender(given: str | None, server: DecryptedCredential) -> Mailbox:
    if given:
        return parse_mailbox(given, "from")
    if server.data.get("sender"):
        return parse_mailbox(server.data["sender"], "the credential's sender")
    username = server.data.get("username", "")
    if "@" not in username:
        raise NodeError("from: is required, because the credential has no sender", permanent=True)
    return parse_mailbox(username, "the credential's user name")


def _send(message: Message, server: DecryptedCredential, ctx: Context, end: float) -> dict[str, str]:
    encoded = message.encode()
    left = end - time.monotonic()
    if left <= 0:
        raise TimedOut("timed out before the mail was sent")
    with open_session(server, ctx.need_services(), left, find_token(server, ctx)) as client:
        return send_message(client, message.sender.address, message.recipients, encoded, message.is_international)


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
        seconds = ctx.seconds_left(MAX_SECONDS)
        service = ctx.credential(config["credential"], "service_url")
        attached = config.get("attachments") or []
        loaded = attachments(attached, ctx.files)
        notice = apprise_client.Notice(config["message"], config["title"], config["format"], config["level"], loaded)
        return {"service": apprise_client.send(service, notice, ctx, seconds, get_texts(attached))}


@checks("service_url")
def try_service(service: DecryptedCredential, ctx: Context, asked: Mapping[str, Any]) -> str:
    """Check which service the URL is of, and send it a test message if `asked` is `{"send": true}`."""
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
    with open_session(server, ctx.need_services(), ctx.seconds_left(15), find_token(server, ctx)) as client:
        name = (client.ehlo_resp or client.helo_resp or b"").split(b"\n")[0].split(b" ")[0].decode("ascii", "replace")
        client.noop()
    who = f"{name[:100] or server.data['host']} answers"
    username = server.data.get("username")
    return f"{who}, and accepts the login of {username}" if username else f"{who}; the login was not tested"


# SMTP client, under the egress rule, with the encryption of the credential and a deadline

MAX_ANSWERS = 2**20
MAX_REASON = 300


@contextmanager
def open_session(
    credential: DecryptedCredential, services: Services, seconds: float, token: MailToken | None = None
) -> Iterator[SMTP]:
    """Connect and log in, with the token if there is one, and `seconds` for everything within.

    Raises: NodeError if anything fails.
    """
    import smtplib

    host, port, end = _host(credential), int(credential.data["port"]), time.monotonic() + seconds
    wire = None
    try:
        wire = Wire(dial(services.egress, host, port, seconds), end, MAX_ANSWERS)
        # EHLO names our address as the server sees it, or nearly (RFC 5321, 4.1.3).
        own = str(wire.sock.getsockname()[0]).partition("%")[0]
        client = smtplib.SMTP(local_hostname=f"[IPv6:{own}]" if ":" in own else f"[{own}]")
        client.sock = wire  # type: ignore[assignment]
        _start_session(client, wire, credential, services)
        if credential.data.get("username"):
            _log_in(client, credential, token)
        yield client
        with suppress(smtplib.SMTPException, OSError):
            client.quit()
    except (smtplib.SMTPException, OSError, ValueError) as error:
        raise _to_node_error(f"{host}:{port}", error, late=time.monotonic() >= end, seconds=seconds) from None
    finally:
        if wire is not None:
            wire.close()


def _host(credential: DecryptedCredential) -> str:
    host = str(credential.data["host"])
    credential.check_host(host)
    return host.strip("[]")


def _start_session(client: SMTP, wire: Wire, credential: DecryptedCredential, services: Services) -> None:
    security, host = credential.data["security"], _host(credential)
    if security == "tls":
        wire.start_tls(services.tls("smtp"), host)
    _expect(220, client.getreply())
    client.ehlo_or_helo_if_needed()
    if security == "starttls":
        # An attacker could strip STARTTLS from the response to read the mail: stop here.
        if not client.has_extn("starttls"):
            raise NodeError(f"{host} does not offer STARTTLS; nothing was sent. Use another security", permanent=True)
        _expect(220, client.docmd("STARTTLS"))
        wire.start_tls(services.tls("smtp"), host)
        # Discard everything received before TLS was started (RFC 3207, section 6).
        client.file = None
        client.helo_resp = client.ehlo_resp = None
        client.esmtp_features = {}
        client.does_esmtp = False
        client.ehlo_or_helo_if_needed()


def _log_in(client: SMTP, credential: DecryptedCredential, token: MailToken | None) -> None:
    if not client.has_extn("auth"):
        raise NodeError(f"{credential.data['host']} does not offer a login on this connection", permanent=True)
    if token is not None:
        # Once more with another token if the server refuses the first.
        for is_last in (False, True):
            code, said = client.docmd("AUTH", f"XOAUTH2 {base64.b64encode(token.make_login().encode()).decode()}")
            if code == 334:  # the reasons of a refusal, which the client confirms
                code, said = client.docmd("")
            if code == 235:
                return
            if code < 500:
                _expect(235, (code, said))
            if not token.renew(is_last):
                raise refusal(str(credential.data["host"]), reason(code, said))
        return
    username, password = credential.data["username"], credential.data["password"]
    if (username + password).isascii():
        client.login(username, password)
        return
    # smtplib supports only ASCII; PLAIN is in UTF-8 (RFC 4616).
    sent = base64.b64encode(f"\0{username}\0{password}".encode()).decode()
    _expect(235, client.docmd("AUTH", f"PLAIN {sent}"))


def _expect(code: int, answer: tuple[int, bytes]) -> None:
    if answer[0] != code:
        import smtplib

        raise smtplib.SMTPResponseException(*answer)


def send_message(
    client: SMTP, sender: str, recipients: list[str], message: bytes, international: bool
) -> dict[str, str]:
    """Send the message; return the rejected recipients with the reasons.

    Raises: NodeError if all recipients were rejected; errors of smtplib, which `open_session` converts.
    """
    import smtplib

    if international and not client.has_extn("smtputf8"):
        raise NodeError(
            "the server does not support such addresses (SMTPUTF8); use ASCII addresses", True, kind="refused"
        )
    try:
        refused = client.sendmail(sender, recipients, message, ["SMTPUTF8", "BODY=8BITMIME"] if international else [])
    except smtplib.SMTPRecipientsRefused as error:
        shown = "; ".join(f"{address}: {reason(*answer)}" for address, answer in list(error.recipients.items())[:5])
        permanent = all(code >= 500 for code, _ in error.recipients.values())
        raise NodeError(f"the mail server rejected all recipients: {shown}", permanent, kind="refused") from None
    return {address: reason(*answer) for address, answer in refused.items()}


def reason(code: int, text: bytes | str) -> str:
    """Return a server's response in one line."""
    shown = text.decode("utf-8", "replace") if isinstance(text, bytes) else text
    shown = re.sub(r"[\s\x00-\x1f\x7f-\x9f]+", " ", shown).strip()
    return f"{code} {shown}"[:MAX_REASON].strip() if code > 0 else f"not SMTP: {shown}"[:MAX_REASON]


def _to_node_error(who: str, error: Exception, late: bool, seconds: float) -> NodeError:
    """Convert an error. Permanent if the server rejected something for good, not if the connection was lost."""
    import smtplib

    if isinstance(error, smtplib.SMTPAuthenticationError):
        answer = reason(error.smtp_code, error.smtp_error)
        text = f"{who} rejected the user name or the password: {answer}"
        return NodeError(text, error.smtp_code >= 500, kind="credential")
    if isinstance(error, smtplib.SMTPResponseException):
        permanent, text = error.smtp_code >= 500, reason(error.smtp_code, error.smtp_error)
        return NodeError(f"{who} answered {text}", permanent, kind="refused" if permanent else "remote")
    if isinstance(error, ssl.SSLCertVerificationError):
        return NodeError(f"{who}: the certificate is not valid: {error.verify_message}", True, kind="remote")
    if late or isinstance(error, TimeoutError):
        return TimedOut(f"{who}: timed out after {round(seconds, 1):g} s")
    if type(error) is smtplib.SMTPException or isinstance(error, smtplib.SMTPNotSupportedError | ValueError):
        return NodeError(f"{who}: {error}", permanent=True, kind="refused")
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return NodeError(f"{who}: {text[:MAX_REASON] or type(error).__name__}")


# Mail of the server itself, by the server of HEADRACE_SMTP_URL

SERVER_SECONDS = 10.0  # for a mail of the server itself

log = logging.getLogger("headrace.mail")


def send_server_mail(config: Config, services: Services, to: str, subject: str, body: str, key: str) -> bool:
    """Send plain text to one address within SERVER_SECONDS. Return True if the mail server accepted it.

    Logs errors, without the body. `key` is the idempotency key of the message.
    """
    server = config.mail_server
    if server is None:
        return False
    # The administrator chose this host, so it may be in a private network. Exempt this host only.
    exempt = replace(services, egress=Rule([server.host]))
    try:
        sender = parse_mailbox(f"Headrace <{server.sender}>", "HEADRACE_SMTP_URL")
        message = Message(sender=sender, key=key, to=[parse_mailbox(to, "to")], subject=subject, body=body)
        message.check()
        credential = DecryptedCredential("HEADRACE_SMTP_URL", "smtp", asdict(server), (server.host,))
        with open_session(credential, exempt, SERVER_SECONDS) as client:
            send_message(client, sender.address, message.recipients, message.encode(), message.is_international)
    except NodeError as error:
        log.warning("Could not send mail to %s: %s", to, error.message)
        return False
    return True
