"""Test files are compiled once, though several processes need them."""

import pytest
from _pytest.assertion import rewrite
from compiling import compile_test, list_tests


@pytest.fixture
def folder(tmp_path):
    for path in ("test_a.py", "inner/test_b.py", "inner/other.py", "left_out/test_c.py"):
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_text("def test_it():\n    assert True\n")
    return tmp_path


def test_collected_files_are_compiled(folder, request, monkeypatch):
    monkeypatch.setattr(request.config.option, "ignore", [str(folder / "left_out")])
    found = list(list_tests(folder, request.config))
    assert found == [folder / "inner/test_b.py", folder / "test_a.py"]


def test_a_compiled_file_is_what_pytest_reads(folder, request):
    path = folder / "test_a.py"
    compile_test(path, request.config)
    (compiled,) = (folder / "__pycache__").iterdir()
    assert rewrite._read_pyc(path, compiled).co_filename == str(path)
    path.write_text("changed = True\n")
    assert rewrite._read_pyc(path, compiled) is None
