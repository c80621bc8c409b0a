"""Mail servers on this machine, and what arrives at them."""

import email
import email.policy
import warnings

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult

PASSWORD = "correct horse battery"


class Mails:
    """A handler for aiosmtpd that keeps what arrives; `refuse` maps an address to the answer that its RCPT gets."""

    def __init__(self):
        self.envelopes, self.refuse, self.logins = [], {}, []

    async def handle_RCPT(self, server, session, envelope, address, options):
        if address in self.refuse:
            return self.refuse[address]
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        self.envelopes.append(envelope)
        return "250 taken"

    def let_in(self, server, session, envelope, mechanism, data):
        self.logins.append((mechanism, data.login, server.transport.get_extra_info("ssl_object") is not None))
        return AuthResult(success=data.password == PASSWORD.encode(), handled=False)

    def latest(self):
        """The message that came last."""
        content = self.envelopes[-1].original_content.replace(b"\r\n", b"\n")
        return email.message_from_bytes(content, policy=email.policy.default)


class Server(Controller):
    """aiosmtpd with STARTTLS, with TLS from the first byte on (`tls`), or with neither."""

    def __init__(self, handler, starttls=None, tls=None, **options):
        self.starttls, self.options = starttls, options
        super().__init__(handler, hostname="127.0.0.1", port=0, ssl_context=tls)

    def factory(self):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that passwords without encryption are no good idea
            return SMTP(self.handler, hostname="mail.example", tls_context=self.starttls, **self.options)

    def _trigger_server(self):
        """aiosmtpd connects to its port to see whether it is there; the port is known only now."""
        self.port = self.server.sockets[0].getsockname()[1]
        super()._trigger_server()
