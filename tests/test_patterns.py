"""No regular expression of the code takes long for any text: a slow one would block its whole process.

Every pattern of the code base is collected: those that are made while all modules are imported, those that calls in
functions name as literals, those in JSON Schemas, and those that a function puts together, for which COMPUTED has
examples. Each is tried, by the methods with which it is used, on long runs of its own kinds of characters.

A pattern is too slow if its time grows faster than the text, and is many times as long as a plain pattern's for the
longest text. Neither depends on the machine: growth is a ratio, and the plain pattern is timed on the same machine.
"""

import ast
import importlib
import json
import os
import re
import re._constants as constants
import re._parser as parser
import subprocess
import sys
import time
from collections import defaultdict
from functools import cache, partial
from itertools import product
from math import log2
from typing import NamedTuple

import pytest
from test_layers import ROOT, sources

pytestmark = pytest.mark.slow
LENGTH = 20_000
LONG = 1_000  # so many times as long as a plain pattern is too long: some 30 ms
STEEP = 1.5  # growth of time, as a power of the length: 1 is linear, 2 quadratic
MAX_WORDS = 20  # of a pattern, tried with each letter
PATIENCE = 120  # seconds for importing all modules
# Exponential growth shows at one of the first sizes.
SIZES = (12, 16, 20, 22, 24, 27, 40, 100, 400, 2_000, LENGTH)
METHODS = ("match", "fullmatch", "search", "sub")
# Other methods that process the whole text.
WALKS = {"subn": "sub", "split": "sub", "findall": "sub", "finditer": "sub"}
CALL_OF_RE = re.compile(r"\bre(\[\w+\])?\.\w+\(")
# Characters of all kinds that patterns distinguish.
ALPHABET = "aZg0_9 \t\n\r\x0b\x00\x1f\x7f\x85-.,:;/\\|\"'`<>()[]{}@#$%^&*+=?!~xeTutéß\u2028\ud800\uffff"
TAILS = ("", "\x01")
CATEGORIES = {
    constants.CATEGORY_DIGIT: r"\d", constants.CATEGORY_NOT_DIGIT: r"\D", constants.CATEGORY_SPACE: r"\s",
    constants.CATEGORY_NOT_SPACE: r"\S", constants.CATEGORY_WORD: r"\w", constants.CATEGORY_NOT_WORD: r"\W",
}  # fmt: skip


class Found(NamedTuple):
    """A pattern, its place, and the methods that are called on it."""

    where: str
    pattern: re.Pattern
    methods: frozenset[str]


# Collecting


@cache
def trees():
    """Return the syntax tree of each of our files, by its path."""
    return {path: ast.parse((ROOT / path).read_text(encoding="utf-8")) for path in sources()}


def calls(tree):
    """Yield every call as (node, name of the function, name of the object that has it)."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            owner = node.func.value if isinstance(node.func, ast.Attribute) else None
            if isinstance(owner, ast.Subscript):
                owner = owner.value
            yield node, name_of(node.func), None if owner is None else name_of(owner)


def name_of(node):
    """Return the last part of a name with or without dots; None for other expressions."""
    return node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else None


@cache
def by_function(path):
    """Return the methods that each function of this file calls on its arguments, by its name."""
    found = defaultdict(set)
    for node in ast.walk(trees()[path]):
        if isinstance(node, ast.FunctionDef):
            given = {argument.arg for argument in (*node.args.args, *node.args.kwonlyargs)}
            found[node.name] |= {called for _, called, owner in calls(node) if owner in given}
    return found


@cache
def homes(path):
    """Return the path of the file of ours from which each name is imported."""
    found = {}
    for node in ast.walk(trees()[path]):
        if isinstance(node, ast.ImportFrom) and node.module:
            stem = node.module.replace(".", "/")
            home = next((file for file in (f"{stem}.py", f"{stem}/__init__.py") if file in trees()), None)
            found |= {alias.asname or alias.name: home for alias in node.names if home is not None}
    return found


def called_on_arguments(path, function):
    """Return the methods that a function, called in this file, calls on its arguments."""
    if function == "Regexp":
        return {"match"}  # marshmallow's
    return by_function(homes(path).get(function, path))[function]


@cache
def used(path):
    """Return the methods called on each pattern of this file, also by functions that get it, by its name."""
    found = defaultdict(set)
    for node, called, owner in calls(trees()[path]):
        if owner is not None:
            found[owner].add(called)
        for argument in (*node.args, *(keyword.value for keyword in node.keywords)):
            if name_of(argument) is not None:
                found[name_of(argument)] |= called_on_arguments(path, called)
    return found


def methods_of(names, where):
    """Return the methods called on a pattern with these names in these files; all methods if none is known."""
    path, line = where.split(":")
    for node in ast.walk(trees()[path]):
        if isinstance(node, ast.Assign) and node.lineno == int(line):
            names = [*names, *([path, name_of(target)] for target in node.targets)]
    called = set().union(*(used(path)[name] for path, name in names if path in trees()))
    return frozenset({WALKS.get(name, name) for name in called} & set(METHODS)) or frozenset(METHODS[:3])


def names():
    """Return the files and names of patterns, and of containers of patterns, in modules and classes, by their ids."""
    found = defaultdict(set)

    def note(path, name, value):
        inside = value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple) else (value,)
        for one in inside:
            if isinstance(one, re.Pattern):
                found[id(one)].add((path, name))

    for module in list(sys.modules.values()):
        if is_ours(file := getattr(module, "__file__", None)):
            path = file.removeprefix(f"{ROOT}/")
            for name, value in list(vars(module).items()):
                note(path, name, value)
                for inner, kept in list(vars(value).items()) if isinstance(value, type) else ():
                    note(path, inner, kept)
    return found


def is_ours(path):
    return bool(path) and str(path).startswith(f"{ROOT}/") and ".venv" not in str(path)


def imported(path):
    return importlib.import_module(path.removesuffix(".py").replace("/", ".").removesuffix(".__init__"))


def import_all():
    """Import all modules, and print what that compiles: `{where, text, is_bytes, flags, names}` each. In a process of
    its own: some modules register what they define.
    """
    made, compile_ = [], re.compile

    def spy(pattern, flags=0):
        found = compile_(pattern, flags)
        path, line = sys._getframe(1).f_code.co_filename, sys._getframe(1).f_lineno
        if is_ours(path):
            made.append((f"{path.removeprefix(f'{ROOT}/')}:{line}", found))
        return found

    re.compile = spy
    for path in trees():
        if path.split("/")[0] not in ("migrations", "gunicorn.conf.py"):
            imported(path)
    called = names()
    for where, found in made:
        is_bytes = isinstance(found.pattern, bytes)
        text = found.pattern.decode("latin-1") if is_bytes else found.pattern
        row = {"where": where, "text": text, "is_bytes": is_bytes, "flags": found.flags}
        print(json.dumps({**row, "names": sorted(called[id(found)])}))


@cache
def made_by_imports():
    """Return the patterns that are compiled when all modules are imported."""
    path = os.pathsep.join(map(str, (ROOT, ROOT / "tests" / "support")))
    command, environment = [sys.executable, __file__], {**os.environ, "PYTHONPATH": path}
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=PATIENCE, cwd=ROOT, env=environment, check=False
    )
    assert not done.returncode, done.stderr
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(rows) > 90, "modules compile more than that"
    return [Found(row["where"], compiled(**row), methods_of(row["names"], row["where"])) for row in rows]


def compiled(text, is_bytes, flags, **_):
    return re.compile(text.encode("latin-1") if is_bytes else text, flags)


def in_functions(path):
    """Return the patterns of calls such as `re.sub("…", …)`, and the places of calls with a computed pattern."""
    literal, computed = [], []
    known = {found.where for found in made_by_imports()}
    for node, called, owner in calls(trees()[path]):
        where = f"{path}:{node.lineno}"
        if owner != "re" or called == "escape" or where in known:
            continue
        if isinstance(node.args[0], ast.Constant):
            flags = next((keyword.value for keyword in node.keywords if keyword.arg == "flags"), None)
            value = 0 if flags is None else eval(ast.unparse(flags), {"re": re})
            methods = METHODS[:3] if called == "compile" else {WALKS.get(called, called)}
            literal.append(Found(where, re.compile(node.args[0].value, value), frozenset(methods)))
        else:
            computed.append(f"{path}: {ast.unparse(node.args[0])}")
    return literal, computed


# Computed patterns: some examples of each, with their methods.
COMPUTED = {
    "packs/connectors/app_triggers/app_trigger.py: pattern": lambda app_trigger: [
        (re.compile(told["pattern"]), "fullmatch")
        for path in sorted((ROOT / "packs" / "connectors" / "data" / "triggers").glob("[a-z]*.json"))
        for told in json.loads(path.read_text()).get("register", {}).get("params", {}).values()
    ],
    "packs/agents/runtime/prompts.py: re.escape(mark)": lambda prompts: [
        (re.compile(re.escape(prompts.new_mark()), re.IGNORECASE), "sub"),
    ],
    "nodes/credentials/redaction.py: ''.join(map(_escaped_or_not, text))": lambda redaction: [
        (pattern, "sub") for text in ("pass:wörd", "aaaaaaaa/aa/") for _, pattern in redaction.in_urls(text)
    ],
    "packs/formats/text_formats.py: f'[:{NAME_START}]": lambda formats: [(formats._xml_name_pattern(), "fullmatch")],
    "packs/sql/statement.py: f'(?P<skip>": lambda placeholders: [
        (placeholders._pattern(dialect), "search") for dialect in placeholders._QUOTED
    ],
}


# Trying


def parts_of(tree, sets, words):
    """Collect all sets of characters and all literal words of a parsed pattern."""
    word = ""
    for kind, value in [*tree, (None, None)]:
        if kind is constants.LITERAL:
            word += chr(value)
            sets.append([(kind, value)])
            continue
        if len(word) > 1:
            words.add(word)
        word = ""
        if kind is constants.NOT_LITERAL:
            sets.append([(constants.NEGATE, None), (constants.LITERAL, value)])
        elif kind is constants.IN:
            sets.append(value)
        else:
            for below in value if isinstance(value, tuple | list) else [value]:
                for inner in below if isinstance(below, list) else [below]:
                    if isinstance(inner, parser.SubPattern):
                        parts_of(inner, sets, words)


def is_in(letter, members, flags):
    """Return True if the letter is in the set."""
    found = negated = False
    for kind, value in members:
        if kind is constants.NEGATE:
            negated = True
        elif kind is constants.CATEGORY:
            found |= re.fullmatch(CATEGORIES[value], letter, flags & re.ASCII) is not None
        elif kind is constants.RANGE:
            found |= any(value[0] <= ord(case) <= value[1] for case in cases(letter, flags))
        else:
            found |= chr(value) in cases(letter, flags)
    return found != negated


def cases(letter, flags):
    return {letter, letter.lower(), letter.upper()} - {"SS"} if flags & re.IGNORECASE else {letter}


def units(pattern):
    """Return a letter of each kind that the pattern distinguishes, and its words."""
    text = pattern.pattern if isinstance(pattern.pattern, str) else pattern.pattern.decode("latin-1")
    sets, words = [], set()
    parts_of(parser.parse(text, pattern.flags & ~re.UNICODE), sets, words)
    own = [chr(members[0][1]) for members in sets if members[0][0] is constants.LITERAL]
    kinds = {}
    for letter in (*own, *ALPHABET):
        kinds.setdefault(tuple(is_in(letter, members, pattern.flags) for members in sets), letter)
    return list(kinds.values()), sorted(words)


def makers(pattern):
    """Yield functions that make a long text of a size: of one unit, two alternating ones, or two in sequence, each with
    some endings.
    """
    letters, words = units(pattern)
    pairs = [
        pair for pair in product([*letters, *words], repeat=2) if not set(pair) <= set(words) or pair[0] == pair[1]
    ]
    for first, second in pairs:
        for tail in TAILS:
            yield partial(in_turns, first, second, tail)
            if first != second:
                yield partial(in_halves, first, second, tail)


def in_turns(first, second, tail, size):
    unit = first + second
    return (unit * (size // len(unit) + 1))[:size] + tail


def in_halves(first, second, tail, size):
    half = size // 2
    return (first * half)[:half] + (second * (size - half))[: size - half] + tail


def seconds(pattern, method, text):
    """Return the processor time of the method for the text."""
    if isinstance(pattern.pattern, bytes):
        text = text.encode("latin-1", "replace")
    arguments = (text[:0], text) if method == "sub" else (text,)
    begun = time.thread_time()
    getattr(pattern, method)(*arguments)
    return time.thread_time() - begun


def best_of_five(*tried):
    """Return the least of five measurements: a single one varies."""
    return min(seconds(*tried) for _ in range(5))


@cache
def long_time():
    """Return a long processor time: a multiple of that of a plain pattern for the longest text."""
    return LONG * best_of_five(re.compile("(?:a|b)*"), "fullmatch", "ab" * (LENGTH // 2))


def growth(pattern, method, make, size):
    """Return how the time grows with the length of the text, as a power of it."""
    whole, half = (best_of_five(pattern, method, make(length)) for length in (size, size // 2))
    return log2(whole / half)


def slow(found):
    """Describe the first text for which the pattern takes too long; None if there is none."""
    limit = long_time()
    for method in sorted(found.methods):
        for make in makers(found.pattern):
            for size in SIZES:
                text = make(size)
                taken = seconds(found.pattern, method, text)
                if taken > limit and (power := growth(found.pattern, method, make, size)) > STEEP:
                    return (
                        f"{found.where}: {method} takes {taken:.2f} s for {size} characters {text[:20]!r}…{text[-5:]!r}"
                        f", and its time grows with the power {power:.1f} of their number"
                    )
                # Even with cubic growth, the longest text would stay within the limit.
                if size == SIZES[-2] and taken * (LENGTH / size) ** 3 < limit:
                    break
    return None


# Found by their text, because each process of the tests collects this file: the syntax trees take two seconds.
WITH_PATTERNS = [path for path in sources() if CALL_OF_RE.search((ROOT / path).read_text(encoding="utf-8"))]


def test_all_files_that_call_the_library_are_tried():
    assert [path for path, tree in trees().items() if any(owner == "re" for *_, owner in calls(tree))] == WITH_PATTERNS


@pytest.mark.parametrize("path", WITH_PATTERNS)
def test_no_pattern_takes_long_for_any_text(path):
    literal, computed = in_functions(path)
    made = [found for found in made_by_imports() if found.where.startswith(f"{path}:")]
    for place in computed:
        key = next((key for key in COMPUTED if place.startswith(key)), None)
        assert key is not None, f"{place} is put together: COMPUTED needs an example of it"
        literal += [Found(place, pattern, frozenset({method})) for pattern, method in COMPUTED[key](imported(path))]
    assert made or literal
    assert [told for found in (*made, *literal) if (told := slow(found))] == []


def test_every_example_belongs_to_an_existing_pattern():
    places = [place for path in WITH_PATTERNS for place in in_functions(path)[1]]
    assert [key for key in COMPUTED if not any(place.startswith(key) for place in places)] == []


def of_schemas(value):
    """Yield every `pattern` of JSON Schemas anywhere in this JSON."""
    if isinstance(value, dict):
        if isinstance(value.get("pattern"), str):
            yield value["pattern"]
        value = list(value.values())
    if isinstance(value, list):
        for inner in value:
            yield from of_schemas(inner)


def test_no_pattern_of_a_json_schema_takes_long(client):
    templates = [json.loads(path.read_bytes()) for path in (ROOT / "templates_data").rglob("*.json")]
    # Patterns in the description of the API are matched from the beginning of a text.
    patterns = [(text, "search") for text in of_schemas(templates)]
    patterns += [(text, "match") for text in of_schemas(client.get("/api/openapi.json").json)]
    assert len(patterns) > 3
    found = [Found(text, re.compile(text), frozenset({method})) for text, method in sorted(set(patterns))]
    assert [told for one in found if (told := slow(one))] == []


@pytest.mark.parametrize(
    ("text", "method"),
    [
        (r"\s*(?:\"(?P<quoted>(?:[^\"\\]|\\.)*)\"|(?P<plain>[^\"<>@]*?))\s*<(?P<address>[^<>]*)>\s*\Z", "match"),
        (r"(a+)+b", "match"),
        (r"(x+x+)+y", "search"),
        (r"\S+://\S+", "sub"),
        (r"<script>(.*?)</script>", "sub"),
        (r"ssh-[\w@.-]+[ \t]", "search"),
    ],
)
def test_a_pattern_that_takes_long_is_found(text, method):
    assert slow(Found("here", re.compile(text), frozenset({method}))) is not None


if __name__ == "__main__":
    import_all()
