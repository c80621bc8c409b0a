"""The names that the browser app offers while one writes an expression are those that there are."""

import json
from pathlib import Path

from expressions.library import FILTERS, FUNCTIONS, METHODS, TESTS

FILE = Path(__file__).parent.parent / "web/src/forms/expression/language.json"


def test_the_app_offers_every_name_of_the_language_and_no_other():
    language = json.loads(FILE.read_text())
    for table, known in (("filters", FILTERS), ("functions", FUNCTIONS), ("tests", TESTS)):
        assert [entry["name"] for entry in language[table]] == sorted(known), table
    offered = {kind: [entry["name"] for entry in entries] for kind, entries in language["methods"].items()}
    assert offered == {kind: sorted(methods) for kind, methods in METHODS.items()}
