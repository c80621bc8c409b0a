"""The browsers that docs/app.md names are those that the app is built for."""

import re

from world import ROOT

PAGE = (ROOT / "docs" / "app.md").read_text(encoding="utf-8")
CONFIG = (ROOT / "web" / "vite.config.ts").read_text(encoding="utf-8")


def test_the_page_names_the_browsers_of_the_build():
    (target,) = re.findall(r"^    target: \[(.+)\],$", CONFIG, re.MULTILINE)
    built = dict(re.findall(r'"([a-z]+)([\d.]+)"', target))
    assert built["chrome"] == built["edge"]
    told = "Chrome and Edge from {chrome}, Firefox from {firefox} and Safari from {safari} on".format_map(built)
    assert told in PAGE
