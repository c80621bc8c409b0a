"""The server's key, and what is done with it: stored secrets are encrypted, links are signed. No tables here.

The key is HEADRACE_SECRET_KEY, else the file `secret.key` in the data folder, which the first start makes. For each
purpose a key of its own is derived from it (HKDF, RFC 5869), so that none says anything about another.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import logging
import os
import secrets
import struct
from functools import cached_property
from pathlib import Path
from typing import Any

import orjson

from config import Config
from errors import ConfigError, VaultError

log = logging.getLogger("headrace.vault")

KEY_FILE = "secret.key"
SHORTEST_KEY = 16
MOST_OPENED = 1000
IF_LOST = (
    "If it is lost, nothing can read the stored credentials any more: "
    "`DELETE FROM server_facts WHERE name = 'key'` in the database lets another key begin, "
    "and the credentials have to be entered again"
)


class Vault:
    """Encrypts, decrypts and signs under the server's key. Safe to share among threads, and to have across a fork.

    `key` is the secret that all of it rests on, `source` says in words where it comes from.
    """

    def __init__(self, key: bytes, source: str) -> None:
        self.source = source
        # HKDF's first half; a fixed salt, since the same key must give the same result in every process.
        self._root = hmac.digest(b"headrace", key, "sha256")
        self._opened: dict[str, tuple[int, Any]] = {}

    @classmethod
    def open(cls, config: Config, make: bool = True) -> Vault:
        """The vault of these settings; `make` a key where there is none. ConfigError for one that cannot be."""
        if config.secret_key:
            return cls(config.secret_key.encode("utf-8", "surrogateescape"), "HEADRACE_SECRET_KEY")
        path = config.data_dir / KEY_FILE
        return cls(read_key(path, make), str(path))

    def encrypt(self, value: bytes) -> bytes:
        """The value as a Fernet token: encrypted (AES-128-CBC) and authenticated (HMAC-SHA256), as printable ASCII."""
        token: bytes = self._fernet.encrypt(value)
        return token

    def decrypt(self, token: bytes) -> bytes:
        """What `encrypt` was given. VaultError for what this key has not encrypted, or what was changed since."""
        from cryptography.fernet import InvalidToken

        try:
            value: bytes = self._fernet.decrypt(token)
        except InvalidToken:
            raise VaultError("this was not encrypted with the server's key, or it was changed since") from None
        return value

    def seal(self, value: Any) -> str:
        """JSON data, encrypted for a row."""
        return self.encrypt(orjson.dumps(value)).decode()

    def unseal(self, id_: str, stamp: int, text: str) -> Any:
        """What `seal` was given. It is kept, decrypted, under the row's id until the row's `stamp` is another one.

        VaultError as `decrypt`.
        """
        kept = self._opened.get(id_)
        if kept is not None and kept[0] == stamp:
            return kept[1]
        value = orjson.loads(self.decrypt(text.encode()))
        if len(self._opened) >= MOST_OPENED:
            self._opened.clear()
        self._opened[id_] = (stamp, value)
        return value

    def sign(self, *parts: str) -> str:
        """A token that only this key makes of these parts: 43 characters, fit for an URL."""
        signed = hmac.new(self._signing_key, digestmod=hashlib.sha256)
        for part in parts:
            data = part.encode("utf-8", "surrogatepass")
            # With its length before it, no part can be mistaken for two, nor two for one.
            signed.update(struct.pack(">Q", len(data)) + data)
        return base64.urlsafe_b64encode(signed.digest()).decode().rstrip("=")

    def verify(self, token: str, *parts: str) -> bool:
        """Whether `sign` makes this token of these parts; takes the same time for every wrong one."""
        return hmac.compare_digest(token.encode("utf-8", "surrogatepass"), self.sign(*parts).encode())

    def fingerprint(self) -> str:
        """What tells this key from another one, and nothing else about it."""
        return self._derived("fingerprint").hex()

    def _derived(self, purpose: str) -> bytes:
        """A key of 32 bytes for this purpose: HKDF's second half, whose one block is enough."""
        return hmac.digest(self._root, purpose.encode() + b"\x01", "sha256")

    @cached_property
    def _signing_key(self) -> bytes:
        return self._derived("sign")

    @cached_property
    def _fernet(self) -> Any:
        # At the first use: signing and starting up do without this library, which takes its time to load.
        from cryptography.fernet import Fernet

        return Fernet(base64.urlsafe_b64encode(self._derived("encrypt")))


def read_key(path: Path, make: bool) -> bytes:
    """The key in this file, which is made where it is missing. ConfigError where it cannot be read or is too short."""
    try:
        if make and not path.exists():
            _make_key(path)
        text = path.read_bytes().strip()
        mode = path.stat().st_mode
    except FileNotFoundError:
        raise ConfigError(
            f"The server's key {path} is missing, and the database was begun with one; put it back. {IF_LOST}"
        ) from None
    except OSError as error:
        raise ConfigError(f"The server's key {path} cannot be read or made: {error.strerror}") from None
    if len(text) < SHORTEST_KEY:
        raise ConfigError(f"The server's key {path} is not whole; put the right one there")
    if mode & 0o077:
        log.warning("the server's key %s can be read by other users; `chmod 600 %s` puts that right", path, path)
    return text


def write_new_key(path: Path) -> Vault:
    """Write a key beside this key file, as `secret.key.new`, whole and on the disk, for the database to be put under.

    One that lies there belongs to a rotation that came to nothing, and is replaced.
    """
    draft, new = _written_key(path), _new(path)
    draft.replace(new)
    _sync(path.parent)
    return Vault(read_key(new, make=False), str(path))


def take_up_new_key(path: Path, fingerprint: str) -> Path | None:
    """Let `secret.key.new` be the key file if it has this fingerprint; where the old one is kept then, for old backups.

    Whether it was cut off at any point of it before, it can be done again. Only one process may be at it.
    """
    new, old = _vault_at(_new(path)), _vault_at(path)
    if new is None or new.fingerprint() != fingerprint or (old and old.fingerprint() == fingerprint):
        return None
    kept = None
    if old is not None:
        kept = path.with_name(f"{path.name}.old-{old.fingerprint()[:8]}")
        kept.unlink(missing_ok=True)
        os.link(path, kept)
        kept.chmod(0o600)
        _sync(path.parent)
    _new(path).replace(path)
    _sync(path.parent)
    log.info("took up the server's new key %s; keep a copy of it apart from the database", path)
    return kept


def fitting_key(path: Path, fingerprint: str) -> Path | None:
    """The file beside this key file, one of an earlier or another key, that has the key of this fingerprint."""
    for other in sorted(path.parent.glob(f"{path.name}*")):
        vault = _vault_at(other)
        if vault is not None and vault.fingerprint() == fingerprint:
            return other
    return None


def _new(path: Path) -> Path:
    return path.with_name(f"{path.name}.new")


def _vault_at(path: Path) -> Vault | None:
    """The vault of the key in this file; None where there is no whole one."""
    try:
        text = path.read_bytes().strip()
    except OSError:
        return None
    return Vault(text, str(path)) if len(text) >= SHORTEST_KEY else None


def _make_key(path: Path) -> None:
    """Write a new key file, whole and on the disk, unless another process was quicker: then its key is the one."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    draft = _written_key(path)
    try:
        os.link(draft, path)
    except FileExistsError:
        return
    finally:
        draft.unlink()
    log.info("made the server's key %s; keep a copy of it apart from the database", path)
    _sync(path.parent)


def _written_key(path: Path) -> Path:
    """A new key in a file of its own beside this path, whole and on the disk."""
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    fd = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(fd, "wb") as file:
        file.write(base64.urlsafe_b64encode(secrets.token_bytes(32)) + b"\n")
        file.flush()
        os.fsync(file.fileno())
    return draft


def _sync(folder: Path) -> None:
    """Bring the folder's entries to the disk."""
    fd = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
