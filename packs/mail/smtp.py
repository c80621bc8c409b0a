"""SMTP client, under the egress rule, with the credential's encryption and a deadline."""

from __future__ import annotations

import base64
import re
import socket
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from errors import NodeError, TimedOut
from net.egress_guard import dial
from nodes.base import Services
from nodes.credentials.keyring import DecryptedCredential
from packs.mail.wire import Wire
from packs.mail.xoauth2 import MailToken, refusal

if TYPE_CHECKING:
    from smtplib import SMTP

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
        client = smtplib.SMTP(local_hostname=_local_name(wire.sock))
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


def _local_name(sock: socket.socket) -> str:
    """Return the address literal for EHLO: our address as the server sees it, or nearly (RFC 5321, 4.1.3)."""
    address = str(sock.getsockname()[0])
    return f"[IPv6:{address.partition('%')[0]}]" if ":" in address else f"[{address}]"


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
        _discard_received(client)
        client.ehlo_or_helo_if_needed()


def _discard_received(client: SMTP) -> None:
    """Discard everything received before TLS was started (RFC 3207, section 6)."""
    client.file = None
    client.helo_resp = client.ehlo_resp = None
    client.esmtp_features = {}
    client.does_esmtp = False


def _log_in(client: SMTP, credential: DecryptedCredential, token: MailToken | None) -> None:
    if not client.has_extn("auth"):
        raise NodeError(f"{credential.data['host']} does not offer a login on this connection", permanent=True)
    if token is not None:
        _log_in_with(client, credential, token)
        return
    username, password = credential.data["username"], credential.data["password"]
    if (username + password).isascii():
        client.login(username, password)
        return
    # smtplib supports only ASCII; PLAIN is in UTF-8 (RFC 4616).
    sent = base64.b64encode(f"\0{username}\0{password}".encode()).decode()
    _expect(235, client.docmd("AUTH", f"PLAIN {sent}"))


def _log_in_with(client: SMTP, credential: DecryptedCredential, token: MailToken) -> None:
    """Log in with an access token; once more with another one if the server refuses the first."""
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


def _expect(code: int, answer: tuple[int, bytes]) -> None:
    if answer[0] != code:
        import smtplib

        raise smtplib.SMTPResponseException(*answer)


def send(client: SMTP, sender: str, recipients: list[str], message: bytes, international: bool) -> dict[str, str]:
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
