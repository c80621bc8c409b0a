"""docs/packs.md works: its pack is written and used with a real server. Also packs that are wrong or installed."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from doc_pages import blocks_of, paste, write_files

from registry import registry

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "packs.md").read_text(encoding="utf-8")
BLOCKS = blocks_of("packs.md")
SETUP = '"""Shop."""\n\ndef setup(registry):\n    '
# Loads the packs as a server does, and prints what came of them.
LOAD = """
from pathlib import Path
from config import Config
from nodes import REGISTRY, plugins
from registry import registry
import os, sys
folder = Path(sys.argv[1]) if sys.argv[1:] else None
plugins.prepare(Config(nodes_dir=folder, packs=tuple(os.environ.get("PACKS", "").split())))
print(sorted(registry.packs), [broken.reason for broken in plugins.BROKEN])
print(sorted(type_ for type_, node in REGISTRY.items() if node.own), len(registry.blueprints), len(registry.jobs))
"""


@pytest.fixture
def place(tmp_path):
    """A folder with `headrace`, where the commands are executed, and `own-nodes/shop` with the files of the page."""
    write_files(BLOCKS, tmp_path)
    return tmp_path


@pytest.fixture
def load(tmp_path):
    """`load(folder)` loads the packs in it in a process of its own, and returns the two lines about them."""

    def load(*folder, **env):
        command = [sys.executable, "-c", LOAD, *map(str, folder)]
        path = ":".join([str(ROOT), *env.pop("path", ())])
        done = subprocess.run(
            command, cwd=tmp_path, env={"PYTHONPATH": path, **env}, capture_output=True, text=True, timeout=60
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.splitlines()

    return load


def test_the_table_lists_the_packs():
    table = dict(re.findall(r"^\| `(\w+)` \| (.+) \|$", PAGE.split("## A pack of your own")[0], re.MULTILINE))
    assert table == dict(sorted(registry.packs.items()))


@pytest.mark.slow
def test_the_pack_of_the_page_works_on_a_server(place):
    done = paste(BLOCKS, place).stdout
    assert '"shop"' in done and "Sign in first" in done
    assert '{"article":"tea","price":4.5}' in done and '"type":"acme_price"' in done
    assert '"type":"acme_shop"' in done and "open-sesame" not in done
    assert re.search(r"\b4 passed in", done, re.MULTILINE), done


def test_a_pack_adds_what_its_setup_says(place, load):
    assert load(place / "own-nodes") == ["['shop'] []", "['acme_price'] 1 1"]


def test_a_wrong_pack_leaves_nothing_behind(place, load):
    wrong = {
        "registry.add_credential_types(http_basic=None)": "'http_basic' exists already",
        "registry.add_job(print, seconds=0.1)": "a job cannot be called more often than every 1 seconds",
        "raise KeyError('no')": "KeyError",
        "import missing_library": "missing_library",
    }
    shop = place / "own-nodes" / "shop"
    for number, line in enumerate(wrong):
        copy = shutil.copytree(shop, place / "wrong" / f"shop{number}")
        (copy / "pack.py").write_text(f"{(shop / 'pack.py').read_text()}    {line}\n")
    packs, added = load(place / "wrong")
    assert packs.startswith("[] [") and added == "[] 0 0"
    assert all(reason in packs for reason in wrong.values())


def test_an_installed_pack_is_loaded_by_its_entry_point(tmp_path, load):
    site = tmp_path / "site"
    info = site / "headrace_shop-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: headrace-shop\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[headrace.packs]\nshop = headrace_shop\n")
    (site / "headrace_shop.py").write_text(f"{SETUP}registry.add_job(print, seconds=60)\n")
    assert load(path=[str(site)], PACKS="shop") == ["['shop'] []", "[] 0 1"]
