"""The resources of runs, by the settings of the process."""

import pytest

from config import Config
from dispatch import Resources, make_services
from dispatch.payloads import PayloadRows
from errors import ConfigError, NodeError
from registry import registry

POSTGRES = "postgresql://me@db/x"


def resources(**settings):
    config = Config(**settings)
    return Resources(config, make_services(config))


def test_files_are_in_the_data_folder(tmp_path):
    resources(data_dir=tmp_path).files_of("ws_1").write("a/b.txt", b"x")
    assert (tmp_path / "files" / "ws_1" / "a" / "b.txt").read_bytes() == b"x"


def test_files_of_several_machines_are_in_the_folder_that_they_share(tmp_path):
    made = resources(data_dir=tmp_path / "data", database_url=POSTGRES, files_dir=tmp_path / "shared")
    made.files_of("ws_1").write("b.txt", b"x")
    assert (tmp_path / "shared" / "ws_1" / "b.txt").read_bytes() == b"x" and not (tmp_path / "data").exists()


@pytest.mark.parametrize(
    "use",
    [
        lambda files: files.write("a.txt", b"x"),
        lambda files: files.read("a.txt"),
        lambda files: files.append("a.txt", b"x"),
        lambda files: files.list(),
        lambda files: files.find(),
        lambda files: files.delete("a.txt"),
        lambda files: files.move("a.txt", "b.txt"),
        lambda files: files.real_path("a.sqlite3", make=True),
        lambda files: files.uploading().__enter__(),
    ],
)
def test_without_a_shared_folder_a_workspace_has_no_files(tmp_path, use):
    files = resources(data_dir=tmp_path / "data", database_url=POSTGRES).files_of("ws_1")
    with pytest.raises(NodeError, match="HEADRACE_FILES_DIR") as error:
        use(files)
    assert error.value.permanent and not (tmp_path / "data").exists()


def test_large_values_of_several_machines_are_in_the_database(tmp_path):
    assert isinstance(resources(data_dir=tmp_path, database_url=POSTGRES).payloads, PayloadRows)
    assert not isinstance(resources(data_dir=tmp_path).payloads, PayloadRows)


def test_a_store_of_large_values_without_its_pack_is_refused_by_name(monkeypatch, tmp_path):
    monkeypatch.setattr(registry, "value_store", "")
    with pytest.raises(ConfigError, match="HEADRACE_VALUES_URL is set, but .* pack s3"):
        resources(data_dir=tmp_path, database_url=POSTGRES, values_url="s3://bucket")
