"""Certificates for tests: a certificate authority, and server certificates signed by it."""

import datetime
import ipaddress
import ssl

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

PEM = serialization.Encoding.PEM
PLAIN = (PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())


def name_of(text):
    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, text)])


class Authority:
    """A certificate authority in a folder; `file` has its certificate."""

    def __init__(self, folder):
        self.folder, self.file = folder, folder / "authority.pem"
        self.key, self.name = ec.generate_private_key(ec.SECP256R1()), name_of("An authority for tests")
        usage = dict.fromkeys(
            ("digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement")
            + ("encipher_only", "decipher_only"),
            False,
        )
        made = self._signed(self.name, self.key, x509.BasicConstraints(ca=True, path_length=None))
        made = made.add_extension(x509.KeyUsage(**usage, key_cert_sign=True, crl_sign=True), critical=True)
        self.file.write_bytes(made.sign(self.key, hashes.SHA256()).public_bytes(PEM))

    def server(self, host):
        """Return the TLS context of a server for `host`, a name or an address."""
        key = ec.generate_private_key(ec.SECP256R1())
        try:
            names = [x509.IPAddress(ipaddress.ip_address(host))]
        except ValueError:
            names = [x509.DNSName(host)]
        made = self._signed(name_of(host), key, x509.BasicConstraints(ca=False, path_length=None))
        made = made.add_extension(x509.SubjectAlternativeName(names), critical=False)
        path = self.folder / f"{host}.pem"
        path.write_bytes(made.sign(self.key, hashes.SHA256()).public_bytes(PEM) + key.private_bytes(*PLAIN))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(path)
        return context

    def _signed(self, name, key, constraints):
        now = datetime.datetime.now(datetime.UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(self.name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(now + datetime.timedelta(days=1))
            .add_extension(constraints, critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()), critical=False)
        )
