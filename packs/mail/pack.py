"""Mail: sends mail and notices by a hundred services, and starts a run for each new mail of a mailbox."""

from packs.mail import mailbox, send
from packs.mail.servers import Imap, ServiceUrl, Smtp
from registry import Registry

NEEDS = ("polls",)


def setup(registry: Registry) -> None:
    registry.add_nodes(send, mailbox)
    registry.add_credential_types(smtp=Smtp(), imap=Imap(), service_url=ServiceUrl())
    registry.send_notice = "packs.mail.apprise_client:send_text"
    registry.send_mail = "packs.mail.send:send_server_mail"
