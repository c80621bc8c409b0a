"""Read types of TypeScript declarations, and compare values with them.

Services publish clients whose `.d.ts` files tell the fields of each request. Only the part of the language that
generators write is read: objects, arrays, unions, intersections, literals, references and index types.
"""

import re
from functools import cached_property
from itertools import product
from typing import NamedTuple

TOKEN = re.compile(
    r"""\s+|/\*.*?\*/|//[^\n]*|(?P<text>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')|(?P<word>[\w$]+|-\d+)|(?P<mark>=>|\.\.\.|.)""",
    re.DOTALL,
)
DECLARATION = re.compile(r"^(?:export )?(?:declare )?(type|interface|enum|const) (\w+)", re.MULTILINE)
PLAIN = {"string": str, "number": (int, float), "boolean": bool, "null": type(None), "true": bool, "false": bool}
WRAPPERS = {"Array", "ReadonlyArray", "readonly", "OneOf", "Maybe", "InputMaybe", "NullableOption", "Partial", "Exact"}
LISTS = {"Array", "ReadonlyArray"}
MAX_DEPTH = 40


class Object(NamedTuple):
    """An object: its fields by name, each a type and whether it is required, and the type of all others, if any."""

    fields: dict
    others: object


class Type(NamedTuple):
    """Another type: `kind` is any, plain, literal, list, union, both, name or index; `parts` are what it is made of."""

    kind: str
    parts: tuple


UNKNOWN = Type("any", ())


class Parser:
    """Parse a type from the tokens of its text."""

    def __init__(self, text):
        self.tokens = ((found.lastgroup, found[0]) for found in TOKEN.finditer(text) if found.lastgroup)
        self.next = next(self.tokens)

    def peek(self):
        return self.next[1]

    def take(self):
        taken, self.next = self.next, next(self.tokens, ("", ""))
        return taken

    def skip(self, *marks):
        if self.peek() in marks:
            self.take()
            return True
        return False

    def type(self):
        return self.joined("|", "union", lambda: self.joined("&", "both", self.single))

    def joined(self, mark, kind, inner):
        self.skip(mark)
        parts = [inner()]
        while self.skip(mark):
            parts.append(inner())
        return parts[0] if len(parts) == 1 else Type(kind, tuple(parts))

    def single(self):
        found = self.primary()
        while self.peek() == "[":
            self.take()
            if self.skip("]"):
                found = Type("list", (found,))
            else:
                found = Type("index", (found, self.type()))
                self.skip("]")
        return found

    def primary(self):
        kind, word = self.take()
        if kind == "text":
            return Type("literal", (word[1:-1],))
        if word == "{":
            return self.object()
        if word == "[":
            return Type("list", (Type("union", tuple(self.until("]"))),))
        if word == "(":
            found = self.type()
            self.skip(")")
            return found
        if word == "readonly":
            return self.single()
        return self.name(word)

    def name(self, word):
        while self.skip("."):
            word += "." + self.take()[1]
        inner = self.until(">") if self.skip("<") else []
        if word in LISTS or word == "OneOf":  # a OneOf has a list of its alternatives
            return Type("list", tuple(inner)) if word in LISTS else inner[0].parts[0]
        if word == "Record":
            return Object({}, inner[1])
        if word in WRAPPERS:
            return inner[0] if word == "Exact" else Type("union", (*inner, Type("plain", ("null",))))
        if word in PLAIN:
            return Type("plain", (word,))
        if word.lstrip("-").isdecimal():
            return Type("literal", (word,))
        return Type("name", (word,))

    def until(self, end):
        found = []
        while not self.skip(end):
            found.append(self.type())
            self.skip(",")
        return found

    def object(self):
        fields, others = {}, None
        while not self.skip("}"):
            self.skip("readonly")
            kind, name = self.take()
            if name == "[":
                while self.take()[1] != "]":
                    pass
                self.skip("?")
                self.skip(":")
                others = self.type()
            else:
                name = name[1:-1] if kind == "text" else name
                required = not self.skip("?")
                self.skip(":")
                fields[name] = (self.type(), required)
            self.skip(";", ",")
        return Object(fields, others)


class Types:
    """The declarations of a text, each parsed when it is first asked for."""

    def __init__(self, text):
        self.text = text
        self.parsed = {}

    @cached_property
    def places(self):
        found = list(DECLARATION.finditer(self.text))
        ends = [each.start() for each in found[1:]] + [len(self.text)]
        return {each[2]: (each[1], each.end(), end) for each, end in zip(found, ends, strict=True)}

    def named(self, name):
        """Return the type that is declared by this name; an unknown one if it is not in the text."""
        if name not in self.parsed:
            self.parsed[name] = self._declared(name) if name in self.places else UNKNOWN
        return self.parsed[name]

    def _declared(self, name):
        keyword, start, end = self.places[name]
        text = self.text[start:end]
        if keyword != "enum":
            return self.parse(text)
        return Type("union", tuple(Type("literal", (value,)) for value in re.findall(r"""= ["'](.+?)["']""", text)))

    def parse(self, text):
        """Return the type in a text that begins with it, or with the rest of its declaration."""
        head, rest = re.match(r"([^={:]*)(?:[=:]\s*)?(.*)", text, re.DOTALL).groups()
        bases = re.findall(r"\w+", head.partition("extends")[2])
        found = Parser(rest).type()
        return Type("both", (*(Type("name", (base,)) for base in bases), found)) if bases else found

    def resolve(self, type_, depth=0):
        """Return the type with references at its top replaced."""
        while isinstance(type_, Type) and type_.kind in ("name", "index") and depth < MAX_DEPTH:
            depth += 1
            type_ = self.named(type_.parts[0]) if type_.kind == "name" else self._indexed(type_, depth)
        return type_

    def _indexed(self, type_, depth):
        outer, key = self.resolve(type_.parts[0], depth), type_.parts[1]
        if isinstance(outer, Object) and key.kind == "literal" and key.parts[0] in outer.fields:
            return outer.fields[key.parts[0]][0]
        return UNKNOWN

    def object_of(self, type_):
        """Return all fields that an object of the type may have; None if there may be any others."""
        type_ = self.resolve(type_)
        if isinstance(type_, Object):
            return type_.fields if type_.others is None else None
        if type_.kind not in ("union", "both"):
            return {} if type_.kind != "any" else None
        found = [self.object_of(part) for part in type_.parts]
        return None if None in found else {name: each for fields in found for name, each in fields.items()}

    def problems(self, value, type_, place="", optional=False):
        """Return the places where the value is not of the type, and why.

        With `optional`, fields that are missing are not a problem.
        """
        type_ = self.resolve(type_)
        if isinstance(type_, Object):
            return self._object_problems(value, type_, place, optional)
        check = getattr(self, f"_{type_.kind}_problems", None)
        return check(value, type_, place, optional) if check else []

    def _union_problems(self, value, type_, place, optional):
        return min((self.problems(value, part, place, optional) for part in type_.parts), key=_badness)

    def _both_problems(self, value, type_, place, optional):
        found = (self._object_problems(value, each, place, optional) for each in self._alternatives(type_))
        return min(found, key=_badness)

    def _alternatives(self, type_):
        """Return the objects of which a value must be one: A & (B | C) is A & B or A & C."""
        type_ = self.resolve(type_)
        if isinstance(type_, Object):
            return [type_]
        if type_.kind == "union":
            return [each for part in type_.parts for each in self._alternatives(part)]
        if type_.kind != "both":
            return [Object({}, UNKNOWN)]
        return [_merge(parts) for parts in product(*(self._alternatives(part) for part in type_.parts))]

    def _plain_problems(self, value, type_, place, optional):
        name = type_.parts[0]
        bad = not isinstance(value, PLAIN[name]) or (isinstance(value, bool) and name == "number")
        bad = bad or (name in ("true", "false") and value is not (name == "true"))
        return [f"{place} must be {name}"] if bad else []

    def _literal_problems(self, value, type_, place, optional):
        return [] if str(value) == type_.parts[0] else [f"{place} must be {type_.parts[0]!r}, not {value!r}"]

    def _list_problems(self, value, type_, place, optional):
        if not isinstance(value, list):
            return [f"{place} must be a list"]
        return [text for item in value for text in self.problems(item, type_.parts[0], place, optional)]

    def _object_problems(self, value, type_, place, optional):
        if not isinstance(value, dict):
            return [f"{place} must be an object"]
        found = []
        for name, inner in value.items():
            told = type_.fields.get(name, (type_.others, False))[0]
            at = f"{place}.{name}".lstrip(".")
            found += [f"{at} is not known"] if told is None else self.problems(inner, told, at, optional)
        missing = [name for name, (_, required) in type_.fields.items() if required and name not in value]
        return found + [f"{place}.{name} is missing".lstrip(".") for name in missing if not optional]


def _merge(objects):
    fields = {name: told for each in objects for name, told in each.fields.items()}
    return Object(fields, next((each.others for each in objects if each.others is not None), None))


def _badness(problems):
    """Rank problems: those that lie deeper are of an alternative that fits better."""
    return len(problems), -max((text.split(" ")[0].count(".") for text in problems), default=0)
