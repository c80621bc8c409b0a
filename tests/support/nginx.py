"""nginx in a separate process, with `deploy/nginx.conf`, in front of a server."""

import datetime
import ipaddress
import os
import re
import shutil
import socket
import subprocess
from contextlib import suppress

from children import end_child, start_child
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from servers import free_port, until
from world import ROOT

PROGRAM = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")
AROUND = """
daemon off;
{user}
pid {folder}/pid;
error_log stderr;
worker_processes 1;
events {{ worker_connections 2048; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    {conf}
}}
"""


def adapted(text, server_ports, http_port, https_port, folder):
    """Return the configuration with these ports, only for this machine, and with the certificate in the folder."""
    servers = " ".join(f"server 127.0.0.1:{port} max_fails=0;" for port in server_ports)
    changes = [
        (r"listen \[::\]:\d+( ssl)?;", "", 2),
        (r"listen 80;", f"listen 127.0.0.1:{http_port};", 1),
        (r"listen 443 ssl;", f"listen 127.0.0.1:{https_port} ssl;", 1),
        (r"server 127\.0\.0\.1:8000 max_fails=0;", servers, 1),
        (r"/etc/letsencrypt/live/flows\.example\.com/", f"{folder}/", 2),
        (r"server_name flows\.example\.com;", "server_name localhost;", 2),
    ]
    for pattern, new, times in changes:
        text, count = re.subn(pattern, new, text)
        assert count == times, f"{pattern} was found {count} times instead of {times}"
    return text


def make_certificate(folder):
    """Write a self-signed certificate for localhost, and its key, into the folder."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .sign(key, hashes.SHA256())
    )
    (folder / "fullchain.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    form = serialization.PrivateFormat.PKCS8
    (folder / "privkey.pem").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())
    )


class Nginx:
    """nginx in front of the servers at these ports, from `start` to `close`. `http` and `https` are its ports."""

    def __init__(self, folder, *server_ports):
        self.folder, self.http, self.https = folder, free_port(), free_port()
        self.certificate = folder / "fullchain.pem"
        make_certificate(folder)
        text = (ROOT / "deploy" / "nginx.conf").read_text()
        conf = adapted(text, server_ports, self.http, self.https, folder)
        user = "user root;" if os.getuid() == 0 else ""
        (folder / "nginx.conf").write_text(AROUND.format(folder=folder, conf=conf, user=user))
        self._log = (folder / "log").open("w+")
        self._process = None

    def start(self):
        """Start nginx and return when it accepts connections."""
        command = [PROGRAM, "-p", str(self.folder), "-c", str(self.folder / "nginx.conf"), "-e", "stderr"]
        self._process = start_child(command, seconds=None, stderr=self._log, stdin=subprocess.DEVNULL)
        until(self._is_up, "nginx listens", 20)
        return self

    def _is_up(self):
        assert self._process.poll() is None, self.said()
        with suppress(OSError), socket.create_connection(("127.0.0.1", self.https), timeout=5):
            return True
        return False

    def said(self):
        """Return the content of its log."""
        return (self.folder / "log").read_text()

    def close(self):
        """Stop nginx."""
        if self._process is not None:
            end_child(self._process)
        self._log.close()
