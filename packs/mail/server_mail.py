"""Server mail: messages from Headrace itself to people, through the server of HEADRACE_SMTP_URL."""

from __future__ import annotations

import logging
from dataclasses import asdict, replace

from config import Config
from errors import NodeError
from net.egress import Rule
from nodes.base import Services
from nodes.credentials.keyring import DecryptedCredential
from nodes.mail_message import Message, parse_mailbox
from packs.mail import smtp

SECONDS = 10.0

log = logging.getLogger("headrace.mail")


def send(config: Config, services: Services, to: str, subject: str, body: str, key: str) -> bool:
    """Send plain text to one address within SECONDS. Return True if the mail server accepted it.

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
        with smtp.open_session(credential, exempt, SECONDS) as client:
            smtp.send(client, sender.address, message.recipients, message.encode(), message.is_international)
    except NodeError as error:
        log.warning("Could not send mail to %s: %s", to, error.message)
        return False
    return True
