"""docs/architecture.md has a row for each file and folder of ours, and names files and functions that are there."""

import re
from pathlib import Path

from each import for_each
from test_layers import layer_of, sources

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
NAMED = re.findall(r"`([\w/]+\.py)`: `(\w+)`", PAGE) + re.findall(r"`([\w/]+\.py): (\w+)`", PAGE)
LAYOUT = PAGE.split("## Files and folders")[1].split("\n## ")[0]
PATHS = {
    path.rstrip("/")
    for row in re.findall(r"^\| (`.*?) \|", LAYOUT, re.MULTILINE)
    for path in re.findall(r"`(.+?)`", row)
}
OURS = sorted({path.split("/")[0] for path in sources()})


@for_each("path, name", NAMED)
def test_each_name_is_defined_in_its_file(path, name):
    source = (ROOT / path).read_text(encoding="utf-8")
    assert re.search(rf"^ *(?:def|class) {name}\b|^{name}\b.*=", source, re.MULTILINE)


def test_each_file_is_there():
    assert [path for path in re.findall(r"`([\w/]+\.(?:py|tsx?|json))", PAGE) if not (ROOT / path).is_file()] == []
    assert len(NAMED) > 15


@for_each("name", OURS)
def test_each_file_and_folder_of_ours_has_its_row(name):
    assert name in PATHS


def test_each_row_is_of_something_that_is_there():
    assert not [path for path in sorted(PATHS) if not (ROOT / path).exists()]


def test_a_layer_is_a_file_or_a_folder():
    assert {layer_of(name) for name in OURS} <= {Path(path).stem for path in PATHS} | {"gunicorn.conf"}
