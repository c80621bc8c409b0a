"""The order in which several processes take the files of long tests."""

from file_order import LONGEST, ordered
from world import ROOT

FAULTS = ROOT / "tests" / "faults"


def test_the_files_that_take_longest_exist():
    assert all((FAULTS / f"test_{name}.py").exists() for name in LONGEST)


def test_files_of_browsers_run_beside_those_that_wait_and_the_longest_come_first():
    waiting = {FAULTS / f"test_{name}.py": 1 for name in ("clocks", "disks", "orders", "workers")}
    browsers = {ROOT / "tests" / "browser" / f"test_{name}.py": count for name, count in (("tables", 4), ("pages", 61))}
    names = [path.stem[5:] for path in ordered({path: [None] * n for path, n in {**waiting, **browsers}.items()})]
    assert names == ["workers", "pages", "orders", "clocks", "tables", "disks"]


def test_without_browsers_the_order_stays():
    files = {FAULTS / f"test_{name}.py": [None] for name in ("kills", "workers", "disks")}
    assert ordered(files) == list(files)
