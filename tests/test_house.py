"""Limits on the size and shape of the code, and on its words."""

import ast
import re
from collections import Counter
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import NamedTuple

import pytest
from test_layers import LAYERS, ROOT, layer_of, parsed, sources, statements

import constants
from tools.weight import imported, module_name

MAX_FILE, MAX_FUNCTION, MAX_PARAMETERS = 1_000, 60, 7
MAX_ROOT, MAX_ROOT_MODULES, MAX_FOLDER = 44, 14, 45


def files(folder):
    """The Python files of a folder, as paths from the root."""
    return sorted(path.relative_to(ROOT).as_posix() for path in ROOT.glob(f"{folder}/*.py"))


PRODUCTION = [path for path in sources() if not path.startswith("database/migrations/")]
VIEWS = [path for path in PRODUCTION if path.startswith("api/")]
TESTS = files("tests/**")
OTHERS = [path for folder in ("tools/**", "database/migrations/**") for path in files(folder)]
APP = [path.relative_to(ROOT).as_posix() for path in ROOT.glob("web/src/**/*.ts*") if path.name != "schema.d.ts"]


class Function(NamedTuple):
    """The facts about a function that the rules check."""

    name: str
    line: int
    lines: int
    parameters: int
    first_word: str  # of its docstring


class Source(NamedTuple):
    """The facts about a file that the rules check. Syntax trees of all files would be too large to keep."""

    lines: int
    functions: list[Function]  # methods and inner ones too
    imports: list[ast.Import | ast.ImportFrom]
    word_lists: list[tuple[str, frozenset[str]]]
    constants: set[tuple[str, str]]
    classes: dict[str, int]  # public ones, with their lines


@cache
def look_at(path):
    """Return the file's Source."""
    text = (ROOT / path).read_text(encoding="utf-8")
    tree = parsed(text, path)
    nodes = [node for node, _ in statements(tree)]
    return Source(
        len(text.splitlines()),
        [function(node) for node in nodes if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)],
        [node for node in nodes if isinstance(node, ast.Import | ast.ImportFrom)],
        list(word_lists(tree)),
        set(constants_of(tree)),
        {node.name: node.end_lineno - node.lineno + 1 for node in tree.body if is_public_class(node)},
    )


def is_public_class(node):
    return isinstance(node, ast.ClassDef) and not node.name.startswith("_")


def function(node):
    """Return the Function; its parameters are counted without `self`, `cls` and those that a call must name."""
    given = [*node.args.posonlyargs, *node.args.args]
    parameters = len([one for one in given if one.arg not in ("self", "cls")])
    first_word = (ast.get_docstring(node) or "-").split()[0].strip(".,:;")
    return Function(node.name, node.lineno, node.end_lineno - node.lineno + 1, parameters, first_word)


def word_lists(tree):
    """Yield the constants of a module that are collections of words: name and words."""
    for node in tree.body:
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Tuple | ast.List | ast.Set):
            words = [getattr(one, "value", None) for one in node.value.elts]
            if len(words) > 1 and all(isinstance(word, str) for word in words):
                yield ast.unparse(node.targets[0]), frozenset(words)


def constants_of(tree):
    """Yield the constants of a module: name and value as Python source."""
    for node in tree.body:
        if isinstance(node, ast.Assign):
            (target,), value = node.targets[:1], node.value
            paired = isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple)
            for name, one in zip(target.elts, value.elts, strict=True) if paired else [(target, value)]:
                if isinstance(name, ast.Name) and name.id.isupper() and len(name.id) > 1:
                    yield name.id, ast.unparse(one)


def functions(paths):
    """Yield all functions of these files, each with its place."""
    for path in paths:
        for one in look_at(path).functions:
            yield f"{path}:{one.line}: {one.name}", one


def test_a_file_is_not_too_long():
    lines = {path: look_at(path).lines for path in [*PRODUCTION, *TESTS, *OTHERS]}
    lines |= {path: len((ROOT / path).read_text(encoding="utf-8").splitlines()) for path in APP}
    found = [f"{path} has {count} lines" for path, count in lines.items() if count > MAX_FILE]
    assert not found, "\n".join(found)


def test_a_function_is_not_too_long():
    every = functions([*PRODUCTION, *TESTS, *OTHERS])
    found = [f"{place} has {one.lines} lines" for place, one in every if one.lines > MAX_FUNCTION]
    assert not found, "\n".join(found)


def test_a_function_has_few_parameters():
    every = functions([*PRODUCTION, *OTHERS])
    found = [f"{place} has {one.parameters} parameters" for place, one in every if one.parameters > MAX_PARAMETERS]
    assert not found, "\n".join(found)


def test_the_root_has_few_entries():
    ignored = {".git", ".venv", "data", "__pycache__", "node_modules"}
    text = (ROOT / ".gitignore").read_text(encoding="utf-8").split()
    ignored |= {line.strip("/") for line in text}
    entries = [path.name for path in ROOT.iterdir() if path.name not in ignored]
    assert len(entries) <= MAX_ROOT, sorted(entries)
    assert len([path for path in sources() if "/" not in path]) <= MAX_ROOT_MODULES


def test_a_folder_has_few_modules():
    sizes = Counter(Path(path).parent.as_posix() for path in sources())
    found = {folder: count for folder, count in sizes.items() if count > MAX_FOLDER}
    assert not found


# Names and places


def share_a_word(names, words):
    """Return True if one of the words begins like one of the names: `polls` like `polling`, `body` like `bodies`."""
    stems = [name[: max(3, min(5, len(name) - 1))] for name in names]
    return any(word.startswith(stem) for word in words for stem in stems)


def test_the_main_class_of_a_module_has_a_word_of_its_path():
    """The main class is the only public one, if it is longer than a value or an error."""
    exempt = {
        "Template",  # the result of the compiler of expressions
        "Caller",  # whom sessions and tokens identify
        "Starts",  # what a rate limit counts
    }
    found = set()
    for path in PRODUCTION:
        for name, lines in look_at(path).classes.items():
            words = re.findall("[A-Z]+(?![a-z])|[A-Z][a-z0-9]+", name)
            names = re.split("[/_]", path.removesuffix(".py"))
            if (
                len(look_at(path).classes) == 1
                and lines >= 30
                and not share_a_word(names, [word.lower() for word in words])
            ):
                found.add(name)
    assert found == exempt


# Names of classes that stand in more than one module, and why.
SHARED_CLASS_NAMES = {
    "Config",  # a node's own
    "Meta",  # marshmallow's and Peewee's options of a class
}


def test_names_of_classes_are_unique():
    """Classes inside classes and functions too: somebody who searches for a name finds one thing."""
    places = {}
    for path in PRODUCTION:
        for node in ast.walk(parsed((ROOT / path).read_text(encoding="utf-8"), path)):
            if isinstance(node, ast.ClassDef) and node.name not in SHARED_CLASS_NAMES:
                places.setdefault(node.name, set()).add(path)
    assert {name: sorted(paths) for name, paths in places.items() if len(paths) > 1} == {}


def test_a_shape_of_one_resource_stands_with_its_views():
    """Every class of schemas.py is imported by two modules, or is a part of another class of it."""
    assert list(ROOT.glob("api/*_schemas.py")) == []
    shapes = (ROOT / "schemas.py").read_text(encoding="utf-8")
    users = Counter()
    for path in PRODUCTION:
        for node in look_at(path).imports:
            if isinstance(node, ast.ImportFrom) and node.module == "schemas":
                users.update(one.name for one in node.names)
    classes = [node.name for node in ast.parse(shapes).body if isinstance(node, ast.ClassDef)]
    assert [one for one in classes if users[one] < 2 and len(re.findall(rf"\b{one}\b", shapes)) < 2] == []


def test_a_shape_of_several_resources_stands_in_schemas():
    exempt = {"api.webhooks", "api.http.paging"}  # test calls are calls of webhooks; all lists have pages
    taken = set()
    for path in VIEWS:
        for node in look_at(path).imports:
            if isinstance(node, ast.ImportFrom) and any(re.search("(In|Out|Args)$", one.name) for one in node.names):
                taken.add(node.module)
    assert {module for module in taken if module.startswith("api.")} == exempt


def test_shapes_stand_above_views():
    pattern = re.compile(r"^(?:class \w+(?:In|Out|Args)\(|@blueprint\.)", re.M)
    kinds = {path: [found[0] for found in pattern.findall((ROOT / path).read_text(encoding="utf-8"))] for path in VIEWS}
    assert len(VIEWS) > 20 and [path for path, found in kinds.items() if found != sorted(found, reverse=True)] == []


# Words and constants

# A docstring of a function starts with a verb: `Return …`, `Raise …`, `Claim …`, or with the name of a parameter.
NOT_VERBS = {
    *("A", "All", "An", "Any", "As", "Each", "Every", "Everything", "For", "From", "How", "If", "In", "It", "No"),
    *("None", "Nothing", "Of", "One", "Only", "So", "Some", "That", "The", "There", "They", "This", "Those", "To"),
    *("True", "What", "When", "Where", "Whether", "Which", "Who", "Whoever", "Whom", "Whose", "Why", "With"),
}


def test_a_docstring_of_a_function_starts_with_a_verb():
    every = functions(PRODUCTION)
    found = [f"{place} starts with {one.first_word}" for place, one in every if one.first_word in NOT_VERBS]
    assert not found, "\n".join(found)


def test_a_list_of_words_has_one_home():
    found = {}
    for path in PRODUCTION:
        for name, words in look_at(path).word_lists:
            found.setdefault(words, []).append(f"{path}: {name}")
    assert [places for places in found.values() if len(places) > 1] == [], "see constants.py"


def test_the_words_of_constants_are_written_nowhere_else():
    """Neither in an expression: `run.status in ("success", "failed")` is `run.status in ENDED`."""
    tuples = [words for words in vars(constants).values() if type(words) is tuple]
    lists = {", ".join(f'"{word}"' for word in words) for words in tuples}
    written = re.compile(rf"[(\[{{]\s*(?:{'|'.join(map(re.escape, lists))}),?\s*[)\]}}]")
    texts = {path: (ROOT / path).read_text(encoding="utf-8") for path in PRODUCTION if path != "constants.py"}
    assert [(path, found) for path, text in texts.items() for found in written.findall(text)] == []


# Names of limits of different things, in several layers, that are equal by chance.
EQUAL_BY_CHANCE = {
    *("BATCH", "CLOSE_SECONDS", "LEASE_MS", "PAGE", "PIECE", "SHARE"),
    *("BODY", "CACHED", "CAUGHT_UP", "DEPTH", "DESCRIPTION", "EXAMINED", "ID", "ISSUES", "KEY", "LINES"),
    *("LISTED", "NAME", "NAMED", "PAIRS", "PARTS", "PATH", "PATTERN", "REASON", "SECONDS"),
    *("TAGS", "THIS", "TRIES", "WAIT", "WORK", "ITEMS"),
    "ANY_ORIGIN",
}


def test_a_constant_of_several_layers_has_one_home():
    found = {}
    for path in PRODUCTION:
        for constant in look_at(path).constants:
            found.setdefault(constant, {}).setdefault(layer_of(path), path)
    several = {constant: paths for constant, paths in found.items() if len(paths) > 1}
    assert {name.removeprefix("MAX_") for name, _ in several} == EQUAL_BY_CHANCE, several


# Plugins


def plugins():
    """Yield each plugin that the documentation shows or a test writes: its place and its source."""
    pages = {page.name: page.read_text(encoding="utf-8") for page in ROOT.glob("docs/**/*.md")}
    texts = [(name, text) for name in pages for text in re.findall(r"^```python\n(.*?)^```", pages[name], re.S | re.M)]
    for path in TESTS:
        source = (ROOT / path).read_text(encoding="utf-8")
        if "(Node):" in source:
            found = [node.value for node in ast.walk(parsed(source)) if isinstance(node, ast.Constant)]
            texts += [(path, text) for text in found if isinstance(text, str)]
    for place, text in texts:
        if re.search(r"^from nodes\b", text, re.M) and re.search(r"\bNode\b", text):
            yield place, text


def test_a_plugin_imports_nothing_of_ours_but_nodes_sdk():
    ours = "|".join(set(LAYERS) - {"workflow_server"})  # a test that adds a node type starts the server itself
    found = list(plugins())
    assert {"writing-a-node.md", "triggers.md", "tests/nodes/test_plugins.py"} <= {place for place, _ in found}
    lines = [
        (place, line) for place, text in found for line in re.findall(rf"^(?:from|import) (?:{ours})\b.*", text, re.M)
    ]
    assert not [(place, line) for place, line in lines if not line.startswith("from nodes.sdk import ")]


# Circles of modules


def test_no_modules_import_each_other_in_a_circle():
    modules = {module_name(path): path for path in PRODUCTION}
    modules |= {Path(path).stem: path for path in TESTS if path.startswith("tests/support/")}
    names = set(modules)
    graph = {name: set(imported(path, look_at(path).imports, names)) - {name} for name, path in modules.items()}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" imports ".join(reversed(error.args[1])))
