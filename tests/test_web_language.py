"""The names that the browser app offers while one writes an expression are those that there are."""

import json
from pathlib import Path

from expressions import compile_text
from expressions.library import FILTERS, FUNCTIONS, METHODS, TESTS
from nodes.base import REGISTRY
from nodes.data.python_sandbox import Sandbox

FILE = Path(__file__).parent.parent / "web/src/forms/expression/language.json"


def test_the_app_offers_every_name_of_the_language_and_no_other():
    language = json.loads(FILE.read_text())
    for table, known in (("filters", FILTERS), ("functions", FUNCTIONS), ("tests", TESTS)):
        assert [entry["name"] for entry in language[table]] == sorted(known), table
    offered = {kind: [entry["name"] for entry in entries] for kind, entries in language["methods"].items()}
    assert offered == {kind: sorted(methods) for kind, methods in METHODS.items()}


DOCUMENTED = FILE.with_name("documented.json")


def entries(part):
    """Return the entries of the language by name, or by type and name."""
    return {name: {**entry} for name, entry in part.items() if "does" in entry} or {
        f"{kind}.{name}": entry for kind, named in part.items() for name, entry in named.items()
    }


def test_every_name_is_documented_with_an_example_that_has_this_result():
    documented = json.loads(DOCUMENTED.read_text())
    methods = [f"{kind}.{name}" for kind, named in METHODS.items() for name in named]
    for table, names in (("filters", FILTERS), ("functions", FUNCTIONS), ("tests", TESTS), ("methods", methods)):
        found = entries(documented[table])
        assert sorted(found) == sorted(names), table
        for name, entry in found.items():
            assert name.rpartition(".")[2] in entry["example"]
            assert compile_text(f"{{{{ {entry['example']} }}}}").evaluate({}) == entry["result"], name


def test_python_is_completed_with_names_that_the_sandbox_has():
    names = json.loads((FILE.parent.parent / "code/builtins.json").read_text())
    sandbox = Sandbox(1)
    try:
        assert sandbox.run(f"{', '.join(names)}\n1", {}, 10, 64, print) == 1
    finally:
        sandbox.close()
    scope = REGISTRY["code"].Config().fields["source"].metadata["x-scope"]
    assert set(scope) == set(REGISTRY["code"].names)
