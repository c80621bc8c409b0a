"""The server's own mail: what Headrace itself writes to people, through the server of HEADRACE_SMTP_URL."""

from __future__ import annotations

import logging
from dataclasses import asdict, replace

from config import Config
from errors import NodeError
from net.egress import Rule
from nodes.base import Services
from nodes.credentials.keyring import Credential
from nodes.mail import smtp
from nodes.mail.message import Letter, mailbox

SECONDS = 10.0

log = logging.getLogger("headrace.mail")


def send(config: Config, services: Services, to: str, subject: str, body: str, key: str) -> bool:
    """Send plain text to one address, within SECONDS. Return True if the mail server took it.

    What goes wrong is logged, without the body. `key` is the same at every attempt to send the same message.
    """
    server = config.mail_server
    if server is None:
        return False
    # The administrator chose this host, so it may be in a network of theirs. The exemption is for this host alone.
    exempt = replace(services, egress=Rule([server.host]))
    try:
        sender = mailbox(f"Headrace <{server.sender}>", "HEADRACE_SMTP_URL")
        letter = Letter(sender=sender, key=key, to=[mailbox(to, "to")], subject=subject, body=body)
        letter.check()
        credential = Credential("HEADRACE_SMTP_URL", "smtp", asdict(server), (server.host,))
        with smtp.logged_in(credential, exempt, SECONDS) as client:
            smtp.send(client, sender.address, letter.recipients, letter.encoded(), letter.is_international)
    except NodeError as error:
        log.warning("mail to %s was not sent: %s", to, error.message)
        return False
    return True
