"""A real IMAP server: Dovecot (2.4) as a private instance in its own folder; users are created on demand."""

import os
import pwd
import shutil
import socket
import ssl
import subprocess
import tempfile
import time
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from imaplib import IMAP4
from ipaddress import ip_address
from pathlib import Path

from children import start_child

PASSWORD = "secret-of-the-mailbox"
COMMAND = shutil.which("dovecot", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
PATIENCE = 60
SETTINGS = """
dovecot_config_version = 2.4.0
dovecot_storage_version = 2.4.0
base_dir = {folder}/run
state_dir = {folder}/run
instance_name = {folder}
log_path = {folder}/log
protocols = imap
listen = 127.0.0.1
default_internal_user = {internal}
default_internal_group = {group}
default_login_user = {login}
first_valid_uid = 0
first_valid_gid = 0
mail_uid = {uid}
mail_gid = {gid}
mail_driver = maildir
mail_home = {folder}/mail/%{{user}}
mail_path = {folder}/mail/%{{user}}/Maildir
auth_allow_cleartext = yes
auth_failure_delay = 0
ssl = yes
ssl_server_cert_file = {folder}/cert.pem
ssl_server_key_file = {folder}/key.pem
passdb static {{
  password = {password}
}}
userdb static {{
}}
service imap-login {{
  chroot =
  inet_listener imap {{
    port = {port}
  }}
  inet_listener imaps {{
    port = {tls_port}
  }}
}}
service anvil {{
  chroot =
}}
service stats {{
  chroot =
}}
"""


def why_not():
    """Return the reason why Dovecot cannot run here, or None."""
    if COMMAND is None:
        return "dovecot is not installed (apt-get install dovecot-imapd)"
    version = subprocess.run([COMMAND, "--version"], capture_output=True, text=True, timeout=60).stdout.split()[0]
    return None if version.startswith("2.4.") else f"dovecot is {version}, and the settings of these tests are of 2.4"


class Dovecot:
    """The server: `host`, `port` (plain and STARTTLS), `tls_port`, and `ca`, the file that its certificate is in."""

    host = "127.0.0.1"

    def __init__(self, folder):
        self.folder = folder
        self.port, self.tls_port = free_port(), free_port()
        self.ca = folder / "cert.pem"
        self._process = None

    def start(self):
        write_certificate(self.folder)
        (self.folder / "run").mkdir()
        mail = self.folder / "mail"
        mail.mkdir()
        me, root = pwd.getpwuid(os.getuid()), os.getuid() == 0
        owner = pwd.getpwnam("nobody") if root else me  # Dovecot does not serve mail of root
        os.chown(mail, owner.pw_uid, owner.pw_gid)
        settings = SETTINGS.format(
            folder=self.folder,
            internal="dovecot" if root else me.pw_name,
            group="dovecot" if root else me.pw_gid,
            login="dovenull" if root else me.pw_name,
            uid=owner.pw_uid,
            gid=owner.pw_gid,
            password=PASSWORD,
            port=self.port,
            tls_port=self.tls_port,
        )
        (self.folder / "dovecot.conf").write_text(settings)
        command = [COMMAND, "-F", "-c", str(self.folder / "dovecot.conf")]
        self._process = start_child(command, seconds=None, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                return socket.create_connection((self.host, self.tls_port), 1).close()
            except OSError:
                assert self._process.poll() is None and time.monotonic() < deadline, self.log()
                time.sleep(0.02)

    def stop(self):
        if self._process is not None:
            self._process.terminate()
            self._process.wait(PATIENCE)

    def log(self):
        path = self.folder / "log"
        return path.read_text() if path.exists() else ""

    def mailbox(self, user):
        """Connect as the user with an IMAP client."""
        return Mailbox(self, user)


class Mailbox:
    """One user's mail."""

    def __init__(self, server, user):
        self.server, self.user = server, user
        self._client = IMAP4(server.host, server.port)
        self._client.login(user, PASSWORD)

    def close(self):
        self._client.logout()

    def credential(self, **more):
        """Return the data of a credential for the mailbox."""
        given = {"host": self.server.host, "port": self.server.port, "security": "none"}
        return {**given, "username": self.user, "password": PASSWORD, **more}

    def add(self, content="hello", folder="INBOX", at=None, **headers):
        """Deliver a mail: an `EmailMessage`, bytes, or a text with these headers. Return its bytes."""
        raw = content if isinstance(content, bytes) else bytes(mail(content, **headers))
        done(self._client.append(quoted(folder), None, at, raw))
        return raw

    def seen(self, folder="INBOX"):
        """Return the subjects of the mails that are marked as seen."""
        return self._subjects(folder, "SEEN")

    def subjects(self, folder="INBOX"):
        return self._subjects(folder, "ALL")

    def _subjects(self, folder, which):
        done(self._client.select(quoted(folder), readonly=True))
        (numbers,) = done(self._client.search(None, which))
        if not numbers:
            return []
        parts = done(self._client.fetch(numbers.replace(b" ", b","), "(BODY.PEEK[HEADER.FIELDS (SUBJECT)])"))
        return [part[1].decode().partition(":")[2].strip() for part in parts if isinstance(part, tuple)]

    def create(self, folder):
        done(self._client.create(quoted(folder)))

    def delete_folder(self, folder):
        done(self._client.select("INBOX"))
        done(self._client.delete(quoted(folder)))

    def move(self, subject, source, target):
        """Move a mail into another folder, where it gets a new number."""
        done(self._client.select(quoted(source)))
        (numbers,) = done(self._client.search(None, "SUBJECT", quoted(subject)))
        done(self._client._simple_command("MOVE", numbers.decode(), quoted(target)))

    def delete(self, subject, folder="INBOX", for_good=True):
        done(self._client.select(quoted(folder)))
        (numbers,) = done(self._client.search(None, "SUBJECT", quoted(subject)))
        done(self._client.store(numbers.decode().replace(" ", ","), "+FLAGS", r"(\Deleted)"))
        if for_good:
            done(self._client.expunge())

    def numbering(self, folder="INBOX"):
        """Return the UIDVALIDITY of the folder."""
        (status,) = done(self._client.status(quoted(folder), "(UIDVALIDITY)"))
        return int(status.rpartition(b" ")[2].rstrip(b")"))


def done(answer):
    kind, data = answer
    assert kind == "OK", answer
    return data


def quoted(text):
    return f'"{text}"'


def mail(text="hello", subject="Hello", sender="Ada <ada@example.com>", to="orders@example.org", **headers):
    """Return a mail as a program would write it: `mail("text", subject="…", message_id="…")`."""
    made = EmailMessage()
    given = {"from": sender, "to": to, "subject": subject, "message-id": f"<{os.urandom(8).hex()}@example.com>"}
    given |= {"date": "Mon, 02 Mar 2026 12:00:00 +0000"}
    for name, value in (given | {key.replace("_", "-"): value for key, value in headers.items()}).items():
        if value is not None:
            made[name] = value
    made.set_content(text)
    return made


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def write_certificate(folder):
    """Write a self-signed certificate of 127.0.0.1 and its key."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    (folder / "cert.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (folder / "key.pem").write_bytes(private)
    (folder / "key.pem").chmod(0o600)


@contextmanager
def running():
    """Run a server within the `with`. Its folder has a short path, because the paths of sockets are limited."""
    with tempfile.TemporaryDirectory(prefix="dove") as name:
        folder = Path(name)
        folder.chmod(0o755)
        server = Dovecot(folder)
        try:
            server.start()
            yield server
        finally:
            server.stop()


def context(server):
    """Return a TLS context that trusts the server."""
    return ssl.create_default_context(cafile=server.ca)
