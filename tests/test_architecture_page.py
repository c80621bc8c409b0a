"""docs/architecture.md names files and functions that are there."""

import re
from pathlib import Path

from each import for_each

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
NAMED = re.findall(r"`([\w/]+\.py)`: `(\w+)`", PAGE) + re.findall(r"`([\w/]+\.py): (\w+)`", PAGE)


@for_each("path, name", NAMED)
def test_each_name_is_defined_in_its_file(path, name):
    source = (ROOT / path).read_text(encoding="utf-8")
    assert re.search(rf"^ *(?:def|class) {name}\b|^{name}\b.*=", source, re.MULTILINE)


def test_each_file_is_there():
    assert [path for path in re.findall(r"`([\w/]+\.(?:py|tsx?|json))", PAGE) if not (ROOT / path).is_file()] == []
    assert len(NAMED) > 15
