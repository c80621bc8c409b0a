"""Key rotation, and the check at each start that the database uses the server's key.

The fingerprint changes in one transaction with all credentials, so at any moment one key decrypts all of them. In the
data folder the new key is on disk before that transaction, as `secret.key.new`, and replaces the old one after it. If a
crash comes between, the next start does that.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from config import KEY_FILE, Config
from database import empty_log, execute, protect_rotation, write
from database.queries import leases, registered_hooks, waits
from database.queries.locks import lock_names
from errors import BadInput, ConfigError, Conflict, VaultError
from models import Credential, OAuthGrant, ServerFact
from nodes import REGISTRY

from .vault import GRANTS, IF_LOST, MIN_KEY, Vault, activate_new_key, find_key, write_new_key

MAX_LISTED = 20


class Rotation(NamedTuple):
    """Result of a rotation: number of re-encrypted credentials, unreadable ones, the number of waiting runs whose
    links became invalid, and the path of the old key, if it was a file.
    """

    changed: int
    unreadable: list[str]
    waiting: int
    old: Path | None


def check_key(config: Config) -> Vault:
    """Return the vault of the database's key. Call it inside `write()`; the first start records the key's fingerprint.

    Processes that start do this one after the other, each until its transaction ends.

    Raises: ConfigError if the server has another key.
    """
    lock_names("key", ("",))
    known = ServerFact.find("key")
    if known is not None and not config.secret_key:
        activate_new_key(config.data_dir / KEY_FILE, known.value)
    vault = Vault.open(config, make=known is None)
    if known is None:
        ServerFact.add(name="key", value=vault.fingerprint())
    elif known.value != vault.fingerprint():
        begun = f"the key that the database {config.database_name} was created with"
        found = find_key(config.data_dir / KEY_FILE, known.value)
        hint = "" if found is None else f", which is {found}"
        raise ConfigError(f"{vault.source} is not {begun}; put that key back{hint}. {IF_LOST}")
    return vault


def has_key(config: Config) -> bool:
    """Return True if the config's key, or a key file beside it, decrypts the connected database."""
    known = ServerFact.find("key")
    return known is None or bool(config.secret_key) or find_key(config.data_dir / KEY_FILE, known.value) is not None


def rotate_key(config: Config, new_key: bytes | None = None, skip_unreadable: bool = False) -> Rotation:
    """Re-encrypt all credentials and accounts under this key, which must then be set, else under a new `secret.key`.

    Raises: BadInput if no new key is given but one is set, or if it is the present one; Conflict while a server uses
        the database, or if a credential is unreadable and not to be skipped.
    """
    if new_key is None and config.secret_key:
        raise BadInput("HEADRACE_SECRET_KEY is set: give its new value with --new-key-file")
    # The key file is replaced after the transaction, so a power failure must not undo the transaction. Values that were
    # encrypted with the old key must be overwritten, not only have their space freed.
    protect_rotation()
    path = config.data_dir / KEY_FILE
    with write():
        old = check_key(config)
        # While a server is alive, it may use the old key.
        living = leases.find_living()
        if living:
            raise Conflict(
                f"A server is working on {config.database_name} ({', '.join(living)}); stop it first. "
                f"A server that was killed counts as stopped after {config.lease} seconds"
            )
        opened, grants, unreadable = {}, {}, []
        for row in Credential.select().order_by(Credential.id):
            try:
                opened[row.id] = old.decrypt(row.data.encode())
            except VaultError:
                unreadable.append(f"{row.name!r} of {row.workspace_id}")
        for grant in OAuthGrant.each("tokens IS NOT NULL ORDER BY credential_id", ()):
            try:
                grants[grant.credential_id] = old.decrypt(str(grant.tokens).encode(), GRANTS)
            except VaultError:
                unreadable.append(f"the account of {grant.credential_id!r} of {grant.workspace_id}")
        if unreadable and not skip_unreadable:
            more = len(unreadable) - MAX_LISTED
            raise Conflict(
                f"The present key does not decrypt these credentials: {', '.join(unreadable[:MAX_LISTED])}"
                f"{f' and {more} more' if more > 0 else ''}. Enter their values again, delete them, or keep them "
                "unreadable with --skip-unreadable"
            )
        new = write_new_key(path) if new_key is None else Vault(new_key, "the new key")
        if new.fingerprint() == old.fingerprint():
            raise BadInput("The new key is the database's present key; give another one")
        for id_, value in opened.items():
            execute("UPDATE credentials SET data = ? WHERE id = ?", (new.encrypt(value).decode(), id_))
        for id_, tokens in grants.items():
            sealed = new.encrypt(tokens, GRANTS).decode()
            execute("UPDATE oauth_grants SET tokens = ? WHERE credential_id = ?", (sealed, id_))
        # The secrets that services sign with come from the key, so services must be told new ones.
        registered_hooks.add_all_again()
        # Who is just connecting an account must begin again.
        execute("DELETE FROM oauth_attempts")
        execute("UPDATE server_facts SET value = ? WHERE name = 'key'", (new.fingerprint(),))
    kept = None
    if new_key is None:
        with write():
            kept = activate_new_key(path, new.fingerprint())
    empty_log()
    answering = [type_ for type_, node in REGISTRY.items() if node.has_address]
    return Rotation(len(opened), unreadable, waits.count_open(answering), kept)


def parse_key(raw: bytes, source: str) -> bytes:
    """Return the key in a file. Raises: BadInput if HEADRACE_SECRET_KEY could not hold it unchanged."""
    try:
        text = raw.decode().rstrip("\r\n")
    except UnicodeDecodeError:
        raise BadInput(f"{source}: is not UTF-8 text") from None
    if len(text) < MIN_KEY or text != text.strip() or not text.isprintable():
        raise BadInput(f"{source}: must be one line of at least {MIN_KEY} characters, without spaces around it")
    return text.encode()
