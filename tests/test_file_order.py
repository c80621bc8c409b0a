"""The order in which several processes take the files of long tests."""

import pytest
from file_order import LONGEST, WAITING, ordered
from world import ROOT

FAULTS = ROOT / "tests" / "faults"


def test_the_files_that_take_longest_exist():
    assert all(any((ROOT / "tests" / folder / f"test_{name}.py").exists() for folder in WAITING) for name in LONGEST)


def test_files_of_browsers_run_beside_those_that_wait_and_the_longest_come_first():
    waiting = {FAULTS / f"test_{name}.py": 1 for name in ("clocks", "disks", "orders", "workers")}
    browsers = {ROOT / "tests" / "browser" / f"test_{name}.py": count for name, count in (("tables", 4), ("pages", 61))}
    names = [path.stem[5:] for path in ordered({path: [None] * n for path, n in {**waiting, **browsers}.items()})]
    assert names == ["workers", "pages", "orders", "clocks", "tables", "disks"]


def test_on_postgresql_the_files_that_kill_servers_are_spread_among_the_others():
    waiting = {FAULTS / f"test_{name}.py": [None] for name in ("doubts", "kills")}
    others = {ROOT / "tests" / "api" / f"test_{name}.py": [None] * count for name, count in (("runs", 8), ("flows", 9))}
    assert [path.stem[5:] for path in ordered({**others, **waiting})] == ["kills", "flows", "doubts", "runs"]


@pytest.mark.parametrize("folder", ["faults", "api"])
def test_the_order_of_one_kind_stays(folder):
    files = {ROOT / "tests" / folder / f"test_{name}.py": [None] for name in ("kills", "workers", "disks")}
    assert ordered(files) == list(files)
