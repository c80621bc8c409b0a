"""The server's key: its source, encryption and signatures, and the refusal of another key."""

import logging
import stat

import pytest
from hypothesis import given
from hypothesis import strategies as st
from world import raced, said, start_python

import database
import workflow_server
from config import KEY_FILE, Config
from errors import ConfigError, VaultError
from models import ServerFact
from security.vault import Vault

KEY = "a key of the test's own"


@pytest.fixture
def vault(tmp_path):
    return Vault.open(Config(data_dir=tmp_path, secret_key=KEY))


# Encrypting


@pytest.mark.parametrize("value", [b"", b"x", "né\0".encode(), bytes(range(256)) * 1000])
def test_an_encrypted_value_can_be_decrypted_only_with_the_same_key(vault, tmp_path, value):
    token = vault.encrypt(value)
    assert vault.decrypt(token) == value
    assert token.isascii() and (len(value) < 4 or value not in token)
    with pytest.raises(VaultError):
        Vault.open(Config(data_dir=tmp_path, secret_key=KEY + "!")).decrypt(token)


def test_the_same_value_is_encrypted_differently_each_time(vault):
    assert vault.encrypt(b"value") != vault.encrypt(b"value")


@pytest.mark.parametrize("change", [lambda token: token[:-2], lambda token: b"A" + token[1:], lambda token: b""])
def test_a_changed_token_is_rejected(vault, change):
    with pytest.raises(VaultError):
        vault.decrypt(change(vault.encrypt(b"value")))


# Signing


@given(st.lists(st.text(), max_size=4))
def test_a_signature_is_short_safe_in_urls_and_verifies(parts):
    vault = Vault(KEY.encode(), "test")
    token = vault.sign(*parts)
    assert len(token) == 43 and set(token) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_")
    assert vault.verify(token, *parts)


@given(st.lists(st.text(max_size=3), max_size=3), st.lists(st.text(max_size=3), max_size=3))
def test_other_parts_have_another_signature(parts, others):
    vault = Vault(KEY.encode(), "test")
    assert (vault.sign(*parts) == vault.sign(*others)) == (parts == others)


def test_moving_a_boundary_between_parts_changes_the_signature(vault):
    ways = [("ab", "c"), ("a", "bc"), ("abc",), ("abc", ""), ("", "abc"), ("a", "b", "c")]
    assert len({vault.sign(*way) for way in ways}) == len(ways)


@pytest.mark.parametrize("token", ["", "A" * 43, "é" * 43, "\ud800", "x" * 100_000])
def test_a_wrong_signature_is_rejected(vault, token):
    assert not vault.verify(token, "a")


def test_the_last_letter_of_a_signature_counts(vault):
    # It carries two bits that base64 ignores: a token that decodes to the same bytes is still a different token.
    token = vault.sign("a")
    letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_"
    assert [letter for letter in letters if vault.verify(token[:-1] + letter, "a")] == [token[-1]]


def test_signatures_and_fingerprints_depend_only_on_the_key(tmp_path):
    vaults = [Vault.open(Config(data_dir=tmp_path, secret_key=key)) for key in (KEY, KEY, KEY + "!")]
    assert vaults[0].sign("a") == vaults[1].sign("a") != vaults[2].sign("a")
    assert vaults[0].fingerprint() == vaults[1].fingerprint() != vaults[2].fingerprint()


def test_keys_are_derived_by_rfc_5869(vault):
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF

    expected = HKDF(SHA256(), 32, salt=b"headrace", info=b"fingerprint").derive(KEY.encode())
    assert vault.fingerprint() == expected.hex()


def test_the_key_is_in_no_repr(vault):
    assert KEY not in repr(vault) and KEY not in str(vars(vault))
    assert KEY not in repr(Config(secret_key=KEY))


def test_signing_loads_no_cryptography(tmp_path):
    source = """
import sys, pathlib
from config import Config
from security.vault import Vault
vault = Vault.open(Config(data_dir=pathlib.Path(sys.argv[1])))
vault.verify(vault.sign("a"), "a"), vault.fingerprint()
print("cryptography" in sys.modules)
"""
    assert said(start_python(source, tmp_path)) == ["False"]


# The key file


def test_the_first_start_creates_a_key_file_readable_only_by_its_owner(tmp_path):
    first = Vault.open(Config(data_dir=tmp_path / "data"))
    path = tmp_path / "data" / KEY_FILE
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [file.name for file in path.parent.iterdir()] == [KEY_FILE]
    assert Vault.open(Config(data_dir=tmp_path / "data")).fingerprint() == first.fingerprint()
    assert Vault.open(Config(data_dir=tmp_path / "other")).fingerprint() != first.fingerprint()


def test_a_key_from_the_settings_needs_no_file(tmp_path):
    Vault.open(Config(data_dir=tmp_path, secret_key=KEY))
    assert not list(tmp_path.iterdir())


def test_the_line_break_is_not_part_of_the_key(tmp_path):
    prints = []
    for number, end in enumerate((b"", b"\n", b"\r\n")):
        folder = tmp_path / str(number)
        folder.mkdir(mode=0o700)
        (folder / KEY_FILE).write_bytes(KEY.encode() + end)
        prints.append(Vault.open(Config(data_dir=folder)).fingerprint())
    assert len(set(prints)) == 1


@pytest.mark.parametrize("content", [b"", b"\n", b"too short"])
def test_an_incomplete_key_file_is_rejected_and_not_changed(tmp_path, content):
    (tmp_path / KEY_FILE).write_bytes(content)
    with pytest.raises(ConfigError, match=KEY_FILE):
        Vault.open(Config(data_dir=tmp_path))
    assert (tmp_path / KEY_FILE).read_bytes() == content


def test_an_unreadable_key_file_is_rejected(tmp_path):
    (tmp_path / KEY_FILE).mkdir()
    with pytest.raises(ConfigError, match="cannot be read"):
        Vault.open(Config(data_dir=tmp_path))


@pytest.mark.parametrize(("mode", "warned"), [(0o600, False), (0o400, False), (0o640, True), (0o604, True)])
def test_a_key_readable_by_others_causes_a_warning(tmp_path, caplog, mode, warned):
    Vault.open(Config(data_dir=tmp_path))
    (tmp_path / KEY_FILE).chmod(mode)
    with caplog.at_level(logging.WARNING, "headrace.vault"):
        Vault.open(Config(data_dir=tmp_path))
    assert bool(caplog.records) == warned


@pytest.mark.slow
def test_processes_that_start_together_have_the_same_key(tmp_path):
    source = """
import sys, pathlib
from config import Config
from security.vault import Vault
print("ready", flush=True)
sys.stdin.readline()
print(Vault.open(Config(data_dir=pathlib.Path(sys.argv[1]))).fingerprint())
"""
    prints = raced(6, source, tmp_path / "data")
    assert len(prints) == 6 and len(set(prints)) == 1
    assert [file.name for file in (tmp_path / "data").iterdir()] == [KEY_FILE]


# The key of a database


def start(folder, **settings):
    """Do the work of a start before serving."""
    config = Config(data_dir=folder, admin_password="correct horse", durability="normal", **settings)
    workflow_server.prepare(config)
    return config


def test_the_first_start_records_the_fingerprint_of_the_key(tmp_path):
    config = start(tmp_path)
    database.connect(config.database_path, "normal")
    assert ServerFact.find("key").value == Vault.open(config).fingerprint()
    database.disconnect()
    start(tmp_path)


def test_a_start_with_another_key_is_refused_with_the_remedy(tmp_path):
    start(tmp_path, secret_key=KEY)
    with pytest.raises(ConfigError) as refused:
        start(tmp_path, secret_key="another key altogether")
    text = str(refused.value)
    assert "HEADRACE_SECRET_KEY" in text and "put that key back" in text and "server_facts" in text
    assert "altogether" not in text and KEY not in text
    database.disconnect()
    start(tmp_path, secret_key=KEY)


def test_a_start_without_the_key_file_is_refused_and_creates_none(tmp_path):
    start(tmp_path)
    (tmp_path / KEY_FILE).rename(tmp_path / "kept")
    with pytest.raises(ConfigError, match="missing"):
        start(tmp_path)
    database.disconnect()
    assert not (tmp_path / KEY_FILE).exists()
    (tmp_path / "kept").rename(tmp_path / KEY_FILE)
    start(tmp_path)


def test_the_remedy_in_the_error_works(tmp_path):
    config = start(tmp_path, secret_key=KEY)
    database.connect(config.database_path, "normal")
    with database.write():
        database.execute("DELETE FROM server_facts WHERE name = 'key'")
    database.disconnect()
    start(tmp_path, secret_key="another key altogether")


@pytest.mark.slow
def test_a_wrong_key_is_a_one_line_error_on_the_command_line(tmp_path):
    start(tmp_path, secret_key=KEY)
    source = """
import os, sys
os.environ.update(HEADRACE_DATA_DIR=sys.argv[1], HEADRACE_SECRET_KEY="another key altogether", PORT="1")
import workflow_server
sys.argv = ["workflow_server.py"]
workflow_server.main()
"""
    process = start_python(source, tmp_path)
    _, error = process.communicate(timeout=60)
    assert process.returncode == 2, error
    assert error.startswith("Error: HEADRACE_SECRET_KEY is not the key") and error.count("\n") == 1, error


# Data of rows


def test_sealed_data_is_decrypted_once_for_each_stamp(vault):
    text = vault.seal({"token": "é"})
    assert vault.unseal("cred_1", 1, text) == {"token": "é"}
    assert vault.unseal("cred_1", 1, "not read again") == {"token": "é"}
    assert vault.unseal("cred_1", 2, vault.seal(["new"])) == ["new"]
    with pytest.raises(VaultError):
        vault.unseal("cred_1", 3, "not sealed")


def test_the_cache_of_decrypted_data_is_bounded(vault, monkeypatch):
    monkeypatch.setattr("security.vault.MAX_CACHED", 3)
    text = vault.seal(1)
    for number in range(10):
        assert vault.unseal(f"cred_{number}", 1, text) == 1
    assert len(vars(vault)["_opened"]) <= 3
