"""Which key the database is under: looked at by each start, changed by `rotate-key`.

Its fingerprint changes in one transaction with all credentials, so at any moment one key opens all of them. In the data
folder the new key is on the disk before that, as `secret.key.new`, and takes its place after it; where a crash comes in
between, the next start does that.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from config import Config
from database import empty_log, execute, write
from errors import BadInput, ConfigError, Conflict, VaultError
from models import Credential, Fact, Lease, Wait
from nodes import REGISTRY

from .vault import IF_LOST, KEY_FILE, SHORTEST_KEY, Vault, fitting_key, take_up_new_key, write_new_key

MOST_NAMED = 20


class Rotated(NamedTuple):
    """What was done: how many credentials are under the new key, which could not be read, how many runs have links that
    are void now, and where the old key is kept, if it was a file.
    """

    changed: int
    unreadable: list[str]
    waiting: int
    old: Path | None


def check(config: Config) -> Vault:
    """The vault that the database is under, to be called inside `write()`; the first start notes which key that is.

    ConfigError where the server's key is another one.
    """
    known = Fact.find("key")
    if known is not None and not config.secret_key:
        take_up_new_key(config.data_dir / KEY_FILE, known.value)
    vault = Vault.open(config, make=known is None)
    if known is None:
        Fact.add(name="key", value=vault.fingerprint())
    elif known.value != vault.fingerprint():
        begun = f"the key that the database {config.database_path} was begun with"
        found = fitting_key(config.data_dir / KEY_FILE, known.value)
        hint = "" if found is None else f", which is {found}"
        raise ConfigError(f"{vault.source} is not {begun}; put that one back{hint}. {IF_LOST}")
    return vault


def rotate(config: Config, new_key: bytes | None = None, skip_unreadable: bool = False) -> Rotated:
    """Encrypt all credentials anew: under this key, which has to be set from now on, else under a new `secret.key`.

    Conflict while a server works on the database, or where a credential cannot be read and is not to be skipped.
    """
    if new_key is None and config.secret_key:
        raise BadInput("HEADRACE_SECRET_KEY is set: give the key that it is to have with --new-key-file")
    # A power cut must not take back what the key file says already.
    execute("PRAGMA synchronous = FULL")
    # What was encrypted with the old key is overwritten, not only let go of.
    execute("PRAGMA secure_delete = ON")
    path = config.data_dir / KEY_FILE
    with write():
        old = check(config)
        _check_alone(config)
        opened, unreadable = _opened(old)
        if unreadable and not skip_unreadable:
            raise Conflict(_told(unreadable))
        new = write_new_key(path) if new_key is None else Vault(new_key, "the new key")
        if new.fingerprint() == old.fingerprint():
            raise BadInput("The new key is the one that the database is under already")
        for id_, value in opened.items():
            execute("UPDATE credentials SET data = ? WHERE id = ?", (new.encrypt(value).decode(), id_))
        execute("UPDATE server_facts SET value = ? WHERE name = 'key'", (new.fingerprint(),))
    kept = None
    if new_key is None:
        with write():
            kept = take_up_new_key(path, new.fingerprint())
    empty_log()
    answering = [type_ for type_, node in REGISTRY.items() if node.has_address]
    return Rotated(len(opened), unreadable, Wait.count_open(answering), kept)


def key_of(raw: bytes, what: str) -> bytes:
    """The key in a file, as HEADRACE_SECRET_KEY would have it; BadInput for what a variable might not carry whole."""
    try:
        text = raw.decode().rstrip("\r\n")
    except UnicodeDecodeError:
        raise BadInput(f"{what}: is not UTF-8 text") from None
    if len(text) < SHORTEST_KEY or text != text.strip() or not text.isprintable():
        raise BadInput(f"{what}: a key is one line of at least {SHORTEST_KEY} characters, with no space around it")
    return text.encode()


def _check_alone(config: Config) -> None:
    """Conflict while another process may use the old key, or write something under it."""
    living = Lease.living()
    if living:
        raise Conflict(
            f"A server is working on {config.database_path} ({', '.join(living)}); stop it first. "
            f"One that was killed counts as gone after {config.lease} seconds"
        )


def _opened(vault: Vault) -> tuple[dict[str, bytes], list[str]]:
    """The values of all credentials by id, and the names of those that this key does not open."""
    opened, unreadable = {}, []
    for row in Credential.select().order_by(Credential.id):
        try:
            opened[row.id] = vault.decrypt(row.data.encode())
        except VaultError:
            unreadable.append(f"{row.name!r} of {row.workspace_id}")
    return opened, unreadable


def _told(unreadable: list[str]) -> str:
    more = len(unreadable) - MOST_NAMED
    return (
        f"The present key does not open these credentials: {', '.join(unreadable[:MOST_NAMED])}"
        f"{f' and {more} more' if more > 0 else ''}. Enter their values again, delete them, or leave them as they are "
        "with --skip-unreadable"
    )
