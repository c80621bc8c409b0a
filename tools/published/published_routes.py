"""Pipedrive's own client and discord-api-types: which requests these services know, and which fields they have.

Both are packages for JavaScript, of which only declarations and paths are read: see published_packages.
"""

import re
from functools import cache

from published_apis import ANY, Call, pattern_of
from published_packages import file_of, files_of

MODEL = re.compile(r"^export interface (\w+) \{\n(.*?)^\}", re.MULTILINE | re.DOTALL)
FIELD = re.compile(r"^    '?(\w+)'?\??: (.*)$", re.MULTILINE)


# Pipedrive


@cache
def pipedrive_methods():
    """Return `(HTTP method, pattern of the path, Call)` of all methods for deals, persons, organizations and fields."""
    found = []
    fields = ("deal-fields", "person-fields", "organization-fields")
    for kind in ("deals", "persons", "organizations", *fields):
        for part in file_of("pipedrive", f"dist/versions/v2/api/{kind}-api.js").split("const localVarPath = `")[1:]:
            query = set(re.findall(r"localVarQueryParameter\['(\w+)'\]", part))
            model = re.search(r"serializeDataIfNeeded\)\((\w+),", part)
            told = Call(query, pipedrive_shape(model[1]) if model else {})
            found.append((re.search(r"method: '(\w+)'", part)[1], pattern_of(part[: part.index("`")]), told))
    return found


@cache
def pipedrive_models():
    """Return the types of the fields of all models."""
    text = "".join(files_of("pipedrive", "dist/versions/v2/models/*.d.ts"))
    return {name: dict(FIELD.findall(inner)) for name, inner in MODEL.findall(text)}


def pipedrive_shape(model):
    """Return the fields of a model, with those below."""
    fields = pipedrive_models().get(model, {})
    inner = {
        field: [name for name in re.findall(r"\w+", type_) if name in pipedrive_models()]
        for field, type_ in fields.items()
    }
    return {field: pipedrive_shape(names[0]) if names else ANY for field, names in inner.items()} or ANY


# Discord


@cache
def discord_routes():
    """Return `(HTTP method, pattern of the path)` of all routes of Discord's API."""
    text = file_of("discord-api-types", "_generated_/rest/v10/interfaces.d.ts")
    return [(method, pattern_of(path)) for method, path in re.findall(r"- ([A-Z]+) +`(/[^`]*)`", text)]


@cache
def discord_fields():
    """Return the names of the fields of bodies and of parameters, by the place in Discord's documentation."""
    bodies, queries = {}, {}
    for text in files_of("discord-api-types", "rest/v10/*.d.ts"):
        for place, name, inner in re.findall(
            r"#([\w-]+)\}\n \*/\nexport interface (REST\w+)[^{]*\{\n(.*?)^\}", text, re.MULTILINE | re.DOTALL
        ):
            known = queries if name.endswith("Query") else bodies if name.endswith("JSONBody") else {}
            known.setdefault(place, set()).update(field for field, _ in FIELD.findall(inner))
    return bodies, queries
