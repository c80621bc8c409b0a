"""Mail servers on this machine that record the messages they receive."""

import email
import email.policy
import warnings

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult

PASSWORD = "correct horse battery"


class Mails:
    """A handler for aiosmtpd that stores messages; `refuse` maps an address to the response to its RCPT."""

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
        """Return the last message."""
        content = self.envelopes[-1].original_content.replace(b"\r\n", b"\n")
        return email.message_from_bytes(content, policy=email.policy.default)


class Server(Controller):
    """aiosmtpd with STARTTLS, with implicit TLS (`tls`), or without encryption."""

    def __init__(self, handler, starttls=None, tls=None, **options):
        self.starttls, self.options = starttls, options
        super().__init__(handler, hostname="127.0.0.1", port=0, ssl_context=tls)

    def factory(self):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # aiosmtpd warns of passwords without encryption
            return SMTP(self.handler, hostname="mail.example", tls_context=self.starttls, **self.options)

    def _trigger_server(self):
        """Set the port before aiosmtpd connects to it as a check; it is not known earlier."""
        self.port = self.server.sockets[0].getsockname()[1]
        super()._trigger_server()
