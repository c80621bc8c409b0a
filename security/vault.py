"""Vault: the server's key, which encrypts stored secrets and signs links. No tables here.

The key is HEADRACE_SECRET_KEY, else the file `secret.key` in the data folder, which the first start creates. A separate
key is derived for each purpose (HKDF, RFC 5869), so that none reveals another.
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

from config import KEY_FILE, Config
from errors import ConfigError, VaultError

log = logging.getLogger("headrace.vault")

# What is encrypted, each under a key of its own: the values of credentials, and the tokens of OAuth grants.
VALUES, GRANTS = "encrypt", "grants"
MIN_KEY = 16
MAX_CACHED = 1000
IF_LOST = (
    "If it is lost, the stored credentials are unreadable: "
    "`DELETE FROM server_facts WHERE name = 'key'` in the database lets the server use a new key, "
    "and the credentials must be entered again"
)


class Vault:
    """Encrypts, decrypts and signs with the server's key. Thread-safe; it may be created before a fork.

    `key` is the secret; `source` describes its origin for messages.
    """

    def __init__(self, key: bytes, source: str) -> None:
        self.source = source
        # The first half of HKDF, with a fixed salt: every process must derive the same keys.
        self._root = hmac.digest(b"headrace", key, "sha256")
        self._opened: dict[str, tuple[int, Any]] = {}
        self._fernets: dict[str, Any] = {}

    @classmethod
    def open(cls, config: Config, make: bool = True) -> Vault:
        """Return the vault of these settings; `make` creates a missing key. Raises: ConfigError for an invalid key."""
        if config.secret_key:
            return cls(config.secret_key.encode("utf-8", "surrogateescape"), "HEADRACE_SECRET_KEY")
        path = config.data_dir / KEY_FILE
        return cls(read_key(path, make), str(path))

    def encrypt(self, value: bytes, purpose: str = VALUES) -> bytes:
        """Return a Fernet token: encrypted (AES-128-CBC) and authenticated (HMAC-SHA256), as printable ASCII.

        Only `decrypt` with the same `purpose` can read it.
        """
        return bytes(self._fernet(purpose).encrypt(value))

    def decrypt(self, token: bytes, purpose: str = VALUES) -> bytes:
        """Return the value that was encrypted. Raises: VaultError if another key encrypted it, or it was changed."""
        from cryptography.fernet import InvalidToken

        try:
            return bytes(self._fernet(purpose).decrypt(token))
        except InvalidToken:
            raise VaultError("it was not encrypted with the server's key, or was changed since") from None

    def seal(self, value: Any, purpose: str = VALUES) -> str:
        """Return JSON data encrypted for a row."""
        return self.encrypt(orjson.dumps(value), purpose).decode()

    def unseal(self, id_: str, stamp: int, text: str, purpose: str = VALUES) -> Any:
        """Return the data given to `seal`. It is cached by the row's id until the row's `stamp` changes.

        Raises: VaultError as `decrypt` does.
        """
        kept = self._opened.get(id_)
        if kept is not None and kept[0] == stamp:
            return kept[1]
        value = orjson.loads(self.decrypt(text.encode(), purpose))
        if len(self._opened) >= MAX_CACHED:
            self._opened.clear()
        self._opened[id_] = (stamp, value)
        return value

    def sign(self, *parts: str) -> str:
        """Return the signature of these parts: 43 characters, safe in URLs."""
        signed = hmac.new(self._signing_key, digestmod=hashlib.sha256)
        for part in parts:
            data = part.encode("utf-8", "surrogatepass")
            # Prefixed by its length, so that joined parts are never the same as separate ones.
            signed.update(struct.pack(">Q", len(data)) + data)
        return base64.urlsafe_b64encode(signed.digest()).decode().rstrip("=")

    def verify(self, token: str, *parts: str) -> bool:
        """Return True if the token is the signature of these parts, in constant time."""
        return hmac.compare_digest(token.encode("utf-8", "surrogatepass"), self.sign(*parts).encode())

    def fingerprint(self) -> str:
        """Return text that identifies the key without revealing anything about it."""
        return self._derived("fingerprint").hex()

    def _derived(self, purpose: str) -> bytes:
        """Return a 32-byte key for this purpose: the second half of HKDF, of which one block is enough."""
        return hmac.digest(self._root, purpose.encode() + b"\x01", "sha256")

    @cached_property
    def _signing_key(self) -> bytes:
        return self._derived("sign")

    def _fernet(self, purpose: str) -> Any:
        found = self._fernets.get(purpose)
        if found is None:
            # Imported at first use: signing and starting do not need this slow library.
            from cryptography.fernet import Fernet

            self._fernets[purpose] = found = Fernet(base64.urlsafe_b64encode(self._derived(purpose)))
        return found


def read_key(path: Path, make: bool) -> bytes:
    """Return the key in this file; `make` creates a missing one. Raises: ConfigError if it is unusable."""
    try:
        if make and not path.exists():
            _make_key(path)
        text = path.read_bytes().strip()
        mode = path.stat().st_mode
    except FileNotFoundError:
        raise ConfigError(
            f"The server's key {path} is missing, and the database was created with one; put it back. {IF_LOST}"
        ) from None
    except OSError as error:
        raise ConfigError(f"The server's key {path} cannot be read or created: {error.strerror}") from None
    if len(text) < MIN_KEY:
        raise ConfigError(f"The server's key {path} is too short; put the right key there")
    if mode & 0o077:
        log.warning("the server's key %s is readable by other users; fix it with `chmod 600 %s`", path, path)
    return text


def write_new_key(path: Path) -> Vault:
    """Write a new key to `secret.key.new` beside this key file, complete and on disk, and return its vault.

    An existing one is left from a failed rotation and is replaced.
    """
    draft, new = _write_key(path), _get_new_path(path)
    draft.replace(new)
    _sync(path.parent)
    return Vault(read_key(new, make=False), str(path))


def activate_new_key(path: Path, fingerprint: str) -> Path | None:
    """Make `secret.key.new` the key file if it has this fingerprint. Return the path of the old key, kept for backups.

    It can be repeated after any interruption. Only one process may call it at a time.
    """
    new, old = _open_vault(_get_new_path(path)), _open_vault(path)
    if new is None or new.fingerprint() != fingerprint or (old and old.fingerprint() == fingerprint):
        return None
    kept = None
    if old is not None:
        kept = path.with_name(f"{path.name}.old-{old.fingerprint()[:8]}")
        kept.unlink(missing_ok=True)
        os.link(path, kept)
        kept.chmod(0o600)
        _sync(path.parent)
    _get_new_path(path).replace(path)
    _sync(path.parent)
    log.info("the server now uses its new key %s; keep a copy of it apart from the database", path)
    return kept


def find_key(path: Path, fingerprint: str) -> Path | None:
    """Return the file beside this key file whose key has this fingerprint, or None."""
    for other in sorted(path.parent.glob(f"{path.name}*")):
        vault = _open_vault(other)
        if vault is not None and vault.fingerprint() == fingerprint:
            return other
    return None


def _get_new_path(path: Path) -> Path:
    return path.with_name(f"{path.name}.new")


def _open_vault(path: Path) -> Vault | None:
    """Return the vault of the key in this file, or None if it has no complete key."""
    try:
        text = path.read_bytes().strip()
    except OSError:
        return None
    return Vault(text, str(path)) if len(text) >= MIN_KEY else None


def _make_key(path: Path) -> None:
    """Create the key file, complete and on disk, unless another process was faster: then its key counts."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    draft = _write_key(path)
    try:
        os.link(draft, path)
    except FileExistsError:
        return
    finally:
        draft.unlink()
    log.info("created the server's key %s; keep a copy of it apart from the database", path)
    _sync(path.parent)


def _write_key(path: Path) -> Path:
    """Return a new file beside this path with a new key, complete and on disk."""
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    fd = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(fd, "wb") as file:
        file.write(base64.urlsafe_b64encode(secrets.token_bytes(32)) + b"\n")
        file.flush()
        os.fsync(file.fileno())
    return draft


def _sync(folder: Path) -> None:
    """Flush the folder's entries to disk."""
    fd = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
