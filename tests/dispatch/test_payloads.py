"""Values that are too large for a row are stored in files."""

import errno
import os
import stat

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dispatch.payloads import Kept, Payloads


@pytest.fixture
def payloads(tmp_path):
    return Payloads(tmp_path / "values", inline_bytes=10)


def files(payloads):
    return sorted(str(path.relative_to(payloads.folder)) for path in payloads.folder.rglob("*") if path.is_file())


def test_a_small_value_stays_in_its_row(payloads):
    assert payloads.keep("run_1", "input", b'"12345678"') == Kept('"12345678"', None)
    assert not payloads.folder.exists()


def test_a_larger_value_goes_to_a_file_and_the_row_has_its_size(payloads):
    assert payloads.keep("run_1", "input", b'"123456789"') == Kept(None, 11)
    assert files(payloads) == ["run_1/input.json"]
    assert (payloads.folder / "run_1" / "input.json").read_bytes() == b'"123456789"'


def test_the_size_is_in_bytes_not_characters(payloads):
    assert payloads.keep("run_1", "input", '"éééé"'.encode()).size is None
    assert payloads.keep("run_1", "input", '"ééééé"'.encode()).size == 12


def test_a_missing_value_is_loaded_as_none(payloads):
    assert payloads.keep("run_1", "input", None) == Kept(None)
    assert payloads.load("run_1", "input", Kept(None)) is None


@pytest.mark.parametrize("value", [b"null", b"[1, 2, 3, 4, 5, 6]"])
def test_a_kept_value_is_loaded_unchanged(payloads, value):
    assert payloads.load("run_1", "output", payloads.keep("run_1", "output", value)) == value


def test_a_value_of_the_same_name_replaces_the_earlier_one(payloads):
    payloads.keep("run_1", "step_0", b"a" * 100)
    kept = payloads.keep("run_1", "step_0", b"b" * 20)
    assert payloads.load("run_1", "step_0", kept) == b"b" * 20


def test_the_value_of_the_latest_claim_counts_even_if_an_older_one_writes_later(payloads):
    kept = payloads.keep("run_1", "step_1", b"b" * 20, claims=10)
    payloads.keep("run_1", "step_1", b"c" * 20, claims=9)
    payloads.keep("run_1", "step_1", b"a" * 20)
    payloads.keep("run_1", "step_11", b"d" * 20, claims=11)
    assert payloads.load("run_1", "step_1", kept) == b"b" * 20


def test_equal_values_of_a_run_are_on_the_disk_once(payloads):
    value = b"a" * 100
    for name, claims in (("input", 1), ("step_0", 1), ("step_1", 2), ("output", 1)):
        assert payloads.load("run_1", name, payloads.keep("run_1", name, value, claims)) == value
    assert len({(payloads.folder / name).stat().st_ino for name in files(payloads)}) == 1
    assert payloads.size_of("run_1") == 100
    assert payloads.remove("run_1") == 100 and not files(payloads)


def test_replacing_a_value_leaves_equal_values_unchanged(payloads):
    first = payloads.keep("run_1", "step_0", b"a" * 100)
    payloads.keep("run_1", "step_1", b"a" * 100)
    second = payloads.keep("run_1", "step_0", b"b" * 100)
    assert payloads.load("run_1", "step_1", first) == b"a" * 100
    assert payloads.load("run_1", "step_0", second) == b"b" * 100
    third = payloads.keep("run_1", "step_2", b"a" * 100)
    assert payloads.load("run_1", "step_2", third) == b"a" * 100


def test_an_equal_value_is_written_again_if_its_file_has_too_many_links(payloads, monkeypatch):
    def refuse(*paths):
        raise OSError(errno.EMLINK, "too many links")

    monkeypatch.setattr(os, "link", refuse)
    for name in ("input", "output"):
        assert payloads.load("run_1", name, payloads.keep("run_1", name, b"a" * 100)) == b"a" * 100
    assert payloads.size_of("run_1") == 200


def test_a_file_shared_with_another_run_is_not_freed(payloads):
    for name in ("input", "step_0"):
        payloads.keep("run_1", name, b"a" * 100)
    payloads.share("run_1", "run_2", ["step_0"])
    assert payloads.remove("run_1") == 0
    assert payloads.remove("run_2") == 100


def test_runs_do_not_share_their_files(payloads):
    first, second = (payloads.keep(run, "input", letter * 20) for run, letter in (("run_1", b"a"), ("run_2", b"b")))
    payloads.remove("run_1")
    assert files(payloads) == ["run_2/input.json"]
    assert payloads.load("run_2", "input", second) == b"b" * 20
    with pytest.raises(FileNotFoundError):
        payloads.load("run_1", "input", first)


def test_removing_a_run_without_files_does_nothing(payloads):
    payloads.keep("run_1", "input", b"x" * 20)
    payloads.remove("run_9")
    assert (payloads.folder / "run_1" / "input.json").exists()


def test_only_the_servers_own_user_reads_the_files(payloads):
    payloads.keep("run_1", "input", b"x" * 20)
    assert stat.S_IMODE((payloads.folder / "run_1" / "input.json").stat().st_mode) == 0o600


@pytest.mark.parametrize("name", ["", ".", "..", "../x", "a/b", "/etc/passwd", "a.b", "a\0b", "a\n", "ü"])
def test_a_name_that_could_lead_elsewhere_is_refused(payloads, name):
    for run_id, value in ((name, "input"), ("run_1", name)):
        with pytest.raises(ValueError, match="not a valid name"):
            payloads.keep(run_id, value, b"x" * 20)
        with pytest.raises(ValueError, match="not a valid name"):
            payloads.load(run_id, value, Kept(None, 20))
    with pytest.raises(ValueError, match="not a valid name"):
        payloads.remove(name)
    assert not payloads.folder.exists()


def test_a_file_that_cannot_be_written_raises_an_error(payloads):
    payloads.folder.write_text("a file where the folder should be")
    with pytest.raises(OSError):
        payloads.keep("run_1", "input", b"x" * 20)


@given(st.text(max_size=40))
def test_any_text_is_read_back_unchanged(tmp_path_factory, text):
    payloads = Payloads(tmp_path_factory.getbasetemp() / "any", inline_bytes=8)
    kept = payloads.keep("run_1", "input", text.encode())
    assert payloads.load("run_1", "input", kept) == text.encode()
    assert (kept.text is None) == (len(text.encode()) > 8)
